//! Writes the fixtures of `corpus/` that are made by hand.
//!
//! ```text
//! cargo run --example make_corpus                    the fixtures, into corpus/
//! cargo run --example make_corpus -- --ecam FILE     an ECAM image of two buses, 2 MiB
//! ```
//!
//! The captures in the same folder are left alone. `tests/corpus_made.rs` compares what is committed
//! with what this makes.

mod corpus;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")),
        ["--ecam", file] => fs::write(file, corpus::ecam_image()),
        _ => {
            eprintln!("usage: make_corpus [--ecam FILE]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make_corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> io::Result<()> {
    for (path, node) in corpus::nodes() {
        node.write(&folder.join(path))?;
    }
    Ok(())
}
