//! Decodes the functions of size S as often as it is told, from bytes or from text, and does nothing
//! else: what one function costs is the difference of two runs (`.ci/instructions`).

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use acsscan::config::{ConfigSpace, SIZE};
use acsscan::dump;
use acsscan::function::{Inventory, decode};
use acsscan::testkit::generate::{self, Node, Set, Size};

const SEED: u64 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (form, rounds) = match arguments.as_slice() {
        [form, rounds] => (form.as_str(), rounds.parse().unwrap_or(0)),
        _ => ("", 0),
    };
    let nodes = generate::machine(Set::Regular, Size::S, SEED);
    match form {
        "bytes" => bytes(&nodes, rounds),
        "text" => text(&nodes, rounds),
        _ => {
            eprintln!("usage: decode bytes|text ROUNDS");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn bytes(nodes: &[Node], rounds: usize) {
    let mut space = [0; SIZE as usize];
    let pages: Vec<u8> = nodes.iter().flat_map(|node| node.bytes(SEED, &mut space).to_vec()).collect();
    for _ in 0..rounds {
        for (node, page) in nodes.iter().zip(pages.chunks_exact(SIZE as usize)) {
            black_box(&decode(node.address, &ConfigSpace::new(black_box(page))));
        }
    }
}

fn text(nodes: &[Node], rounds: usize) {
    // A file, as copying within this process would be counted and what the kernel copies is not.
    let path = std::env::temp_dir().join(format!("acsscan-decode-{}", std::process::id()));
    let mut file = BufWriter::new(File::create(&path).expect("a temporary file"));
    generate::text(nodes, SEED, &mut file).and_then(|()| file.flush()).expect("written");
    for _ in 0..rounds {
        let mut inventory = Inventory::new();
        let file = File::open(&path).expect("there");
        dump::read_stream(file, "-", &dump::Options::default(), &mut inventory).expect("a dump");
        black_box(inventory.finish());
    }
    std::fs::remove_file(&path).expect("there");
}
