//! Writes a machine for benchmarks:
//! `cargo run --release --features testkit --example generate -- --size XL --form text -o FILE`.
//!
//! An ECAM image holds one segment: of a machine with several, `FILE.0000` and so on are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use acsscan::testkit::generate::{self, Form, Node, Set, Size};

const USAGE: &str = "\
usage: generate --size S|M|L|XL --form text|pages|ecam|sparse [-o FILE]
                [--set regular|chain|crowded|loops|buses|short|segments|shuffled] [--seed N]
Text and pages go to standard output without -o.";

struct Wanted {
    size: Size,
    form: Form,
    set: Set,
    seed: u64,
    path: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(wanted) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match write(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<Wanted> {
    let (mut size, mut form) = (None, None);
    let (mut set, mut seed, mut path) = (Set::Regular, 1, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next()?;
        match option.as_str() {
            "--size" => size = Size::ALL.into_iter().find(|size| size.word().eq_ignore_ascii_case(&value)),
            "--form" => form = Form::ALL.into_iter().find(|form| form.word() == value),
            "--set" => set = Set::ALL.into_iter().find(|set| set.word() == value)?,
            "--seed" => seed = value.parse().ok()?,
            "-o" => path = Some(PathBuf::from(value)),
            _ => return None,
        }
    }
    Some(Wanted { size: size?, form: form?, set, seed, path })
}

fn write(wanted: &Wanted) -> io::Result<()> {
    let nodes = generate::machine(wanted.set, wanted.size, wanted.seed);
    match (wanted.form, &wanted.path) {
        (Form::Text | Form::Pages, None) => stream(wanted, &nodes, io::stdout().lock()),
        (Form::Text | Form::Pages, Some(path)) => stream(wanted, &nodes, File::create(path)?),
        (Form::Ecam | Form::Sparse, Some(path)) => images(wanted, &nodes, path),
        (Form::Ecam | Form::Sparse, None) => Err(io::Error::other("an image needs -o FILE")),
    }
}

fn stream(wanted: &Wanted, nodes: &[Node], out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    match wanted.form {
        Form::Text => generate::text(nodes, wanted.seed, &mut out)?,
        _ => generate::pages(nodes, wanted.seed, &mut out)?,
    }
    out.flush()
}

fn images(wanted: &Wanted, nodes: &[Node], path: &Path) -> io::Result<()> {
    let mut segments: Vec<u32> = nodes.iter().map(|node| node.address.segment.0).collect();
    segments.sort_unstable();
    segments.dedup();
    for segment in &segments {
        let name = match segments.len() {
            1 => path.to_owned(),
            _ => PathBuf::from(format!("{}.{segment:04x}", path.display())),
        };
        let sparse = wanted.form == Form::Sparse;
        generate::ecam(nodes, wanted.seed, *segment, sparse, &File::create(name)?)?;
    }
    Ok(())
}
