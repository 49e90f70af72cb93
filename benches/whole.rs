//! Whole scans against the cost of reading the file, and walks in memory against their limit, as ratios of
//! one run: `cargo bench --bench whole --features testkit [-- S M XL]`.
//!
//! Each figure is the least of several turns, taken in turn with those that it is compared with. Files go
//! to the folder that `ACSSCAN_BENCH_DIR` names, or to the temporary one, and stay there.

mod walks;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use acsscan::testkit::generate::{self, Set, Size};

const TURNS: usize = 7;
const SEED: u64 = 1;

type Job<'a> = (String, Box<dyn Fn() + 'a>);

fn main() {
    // Cargo adds options of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |size: &Size| match wanted.as_slice() {
        [] => matches!(size, Size::S | Size::M | Size::Xl),
        wanted => wanted.iter().any(|word| word.eq_ignore_ascii_case(size.word())),
    };
    for size in Size::ALL.into_iter().filter(is_wanted) {
        in_memory(size);
        text(size);
        if size.functions().1 == 1 {
            image(size);
        }
    }
    for set in Set::ALL {
        hostile(set);
    }
}

/// The least time of each job.
fn least(jobs: &[Job<'_>], turns: usize) -> Vec<Duration> {
    let mut least = vec![Duration::MAX; jobs.len()];
    for _ in 0..turns {
        for ((_, job), least) in jobs.iter().zip(&mut least) {
            let begin = Instant::now();
            job();
            *least = begin.elapsed().min(*least);
        }
    }
    least
}

/// Prints each job with its time, its time for one function, and its ratio to the first.
fn table(title: &str, functions: usize, jobs: &[Job<'_>], turns: usize) {
    let times = least(jobs, turns);
    println!("\n{title}: {functions} functions");
    println!("| | least | a function | to the first |\n|---|---|---|---|");
    for ((name, _), time) in jobs.iter().zip(&times) {
        let each = time.as_nanos() as f64 / functions as f64;
        let ratio = time.as_secs_f64() / times[0].as_secs_f64();
        println!("| {name} | {:.2} ms | {each:.0} ns | {ratio:.2} |", time.as_secs_f64() * 1e3);
    }
}

fn in_memory(size: Size) {
    let machine = &walks::Machine::new(size);
    let jobs: Vec<Job<'_>> = walks::WALKS
        .iter()
        .map(|(name, walk)| (String::from(*name), Box::new(move || walk(machine)) as _))
        .collect();
    table(&format!("{} in memory", size.word()), machine.len(), &jobs, TURNS);
    println!("{:.1} lines touched of each", machine.touched_lines() as f64 / machine.len() as f64);
}

fn made(name: &str, make: impl FnOnce(File)) -> PathBuf {
    let folder = std::env::var_os("ACSSCAN_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("acsscan-bench-{name}"));
    if !path.exists() {
        make(File::create(&path).expect("a file for the benchmark"));
    }
    path
}

fn made_text(set: Set, size: Size) -> PathBuf {
    made(&format!("{}-{}.txt", set.word(), size.word()), |file| {
        let nodes = generate::machine(set, size, SEED);
        let mut file = BufWriter::with_capacity(1 << 20, file);
        generate::text(&nodes, SEED, &mut file).and_then(|()| file.flush()).expect("written");
    })
}

/// The command in numbers only, or with other options.
fn scan(path: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acsscan"));
    command.arg("--dump").arg(path).args(options).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(mut command: Command) {
    let status = command.status().expect("runs");
    assert!(matches!(status.code(), Some(0 | 3)), "{command:?}: {status}");
}

const SUMMARY: [&str; 3] = ["--summary", "--format", "json"];

fn text(size: Size) {
    let path = &made_text(Set::Regular, size);
    let cat = move || {
        let out = Command::new("cat").arg(path).stdout(Stdio::piped()).spawn().and_then(|mut cat| {
            std::io::copy(cat.stdout.as_mut().expect("piped"), &mut std::io::sink())?;
            cat.wait()
        });
        assert!(out.is_ok_and(|status| status.success()));
    };
    let cat_to_null = move || {
        let status = Command::new("cat").arg(path).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()));
    };
    let mut jobs: Vec<Job<'_>> = vec![
        (String::from("cat to /dev/null"), Box::new(cat_to_null)),
        (String::from("cat to a pipe"), Box::new(cat)),
        (String::from("summary"), Box::new(move || run(scan(path, &SUMMARY)))),
        (String::from("summary, --strict"), Box::new(move || run(scan(path, &["--summary", "--strict"])))),
        (String::from("whole scan, jsonl"), Box::new(move || run(scan(path, &["--format", "jsonl"])))),
    ];
    let lspci = move || {
        let mut command = Command::new("lspci");
        command.arg("-F").arg(path).arg("-nn").stdout(Stdio::null()).stderr(Stdio::null());
        run(command);
    };
    let installed = Command::new("lspci").arg("--version").stdout(Stdio::null()).status().is_ok();
    if installed && size == Size::S {
        jobs.push((String::from("lspci -F -nn"), Box::new(lspci)));
    }
    table(&format!("{} text", size.word()), size.functions().0, &jobs, TURNS);
    if installed && size != Size::S {
        table("lspci -F -nn, once", size.functions().0, &[(String::from("lspci"), Box::new(lspci))], 1);
    }
    memory(&format!("{} text", size.word()), size, path);
}

fn image(size: Size) {
    let image = |name: &str, sparse: bool| {
        made(&format!("{}-{name}.ecam", size.word()), |file| {
            let nodes = generate::machine(Set::Regular, size, SEED);
            generate::ecam(&nodes, SEED, 0, sparse, &file).expect("written");
        })
    };
    let (dense, sparse) = (&image("dense", false), &image("sparse", true));
    let chunks = move || {
        let file = File::open(dense).expect("there");
        let mut buffer = vec![0; 1 << 20];
        let mut at = 0;
        while let Some(count) = file.read_at(&mut buffer, at).ok().filter(|count| *count > 0) {
            at += count as u64;
        }
    };
    let mapped: &[&str] = &["--summary", "--mmap", "--format", "json"];
    let jobs: Vec<Job<'_>> = vec![
        (String::from("pread, 1 MiB at once"), Box::new(chunks)),
        (String::from("summary"), Box::new(move || run(scan(dense, &SUMMARY)))),
        (String::from("summary, --mmap"), Box::new(move || run(scan(dense, mapped)))),
        (String::from("summary, sparse image"), Box::new(move || run(scan(sparse, &SUMMARY)))),
        (String::from("--version"), Box::new(move || run(scan(dense, &["--version"])))),
    ];
    table(&format!("{} image", size.word()), size.functions().0, &jobs, TURNS);
    memory(&format!("{} image", size.word()), size, dense);
}

/// Peak of resident memory, as GNU time sees it.
fn memory(title: &str, size: Size, path: &Path) {
    let scan = scan(path, &SUMMARY);
    let mut time = Command::new("time");
    time.arg("-f").arg("%M").arg(scan.get_program()).args(scan.get_args()).stdout(Stdio::null());
    let Ok(out) = time.output() else { return };
    let kibibytes = String::from_utf8_lossy(&out.stderr);
    let allowed = 8 * 1024 + size.functions().0 * 96 / 1024;
    println!("{title}: {} KiB resident at most, {allowed} allowed", kibibytes.trim());
}

fn hostile(set: Set) {
    let paths = [made_text(Set::Regular, Size::M), made_text(set, Size::M)];
    let [twin, path] = &paths;
    let jobs: Vec<Job<'_>> = vec![
        (String::from("regular"), Box::new(move || run(scan(twin, &SUMMARY)))),
        (String::from(set.word()), Box::new(move || run(scan(path, &SUMMARY)))),
    ];
    table(&format!("M {}", set.word()), Size::M.functions().0, &jobs, 3);
}
