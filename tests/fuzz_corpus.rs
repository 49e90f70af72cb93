//! The bodies of the fuzz targets over the committed seeds, on a stable compiler, and over the corpus's
//! dumps. `ACSSCAN_FUZZ_CORPUS` names another folder with a directory for each target.
#![cfg(all(feature = "archive", feature = "cli", feature = "testkit"))]

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use acsscan::testkit::fuzz::{TARGETS, run};
use support::files;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corpus() -> PathBuf {
    std::env::var_os("ACSSCAN_FUZZ_CORPUS").map_or_else(|| root().join("corpus/fuzz"), PathBuf::from)
}

#[test]
fn every_seed_keeps_what_its_target_promises() {
    let mut failed = Vec::new();
    for (target, body) in TARGETS {
        let seeds = files(&corpus().join(target));
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for seed in seeds {
            let bytes = fs::read(&seed).expect("readable");
            if catch_unwind(AssertUnwindSafe(|| body(&bytes))).is_err() {
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_text_of_the_corpus_keeps_what_lspci_text_promises() {
    let mut texts = 0;
    for path in files(&root().join("corpus")) {
        if path.file_name().is_some_and(|name| name == "dump.txt") {
            run("lspci_text", &fs::read(&path).expect("readable"));
            texts += 1;
        }
    }
    assert!(texts > 20, "{texts} texts");
}

#[test]
fn every_target_has_its_body_and_its_binary() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("readable");
    let binaries: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .collect();
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(binaries, names);
    for name in names {
        let path = root().join("fuzz/fuzz_targets").join(name).with_extension("rs");
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.contains(&format!("run(\"{name}\", bytes)")), "{name} calls another body");
    }
}
