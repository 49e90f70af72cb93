//! The fixtures that are made by hand are what the generator makes: they never drift.
//!
//! With `ACSSCAN_BLESS=1` in the environment the committed files are rewritten instead.

#[path = "../examples/make_corpus/corpus/mod.rs"]
mod corpus;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use corpus::Node;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// What is at `path`; links are not followed.
fn committed(path: &Path) -> Option<Node> {
    if let Ok(target) = fs::read_link(path) {
        return Some(Node::Link(target.to_str().expect("UTF-8").into()));
    }
    fs::read(path).ok().map(Node::File)
}

#[test]
fn the_committed_fixtures_are_what_the_generator_makes() {
    let bless = env::var_os("ACSSCAN_BLESS").is_some_and(|value| value == "1");
    let mut stale = Vec::new();
    for (path, node) in corpus::nodes() {
        let place = folder().join(&path);
        if committed(&place).as_ref() == Some(&node) {
            continue;
        }
        if bless {
            node.write(&place).expect("writable");
        } else {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "not as made; ACSSCAN_BLESS=1 rewrites them: {stale:#?}");
}

#[test]
fn every_directory_of_the_corpus_is_in_its_readme_and_holds_a_dump() {
    let readme = fs::read_to_string(folder().join("README.md")).expect("readable");
    let described: BTreeSet<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    for entry in fs::read_dir(folder()).expect("readable") {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("UTF-8");
        // The seeds of the fuzz targets are no dumps.
        if entry.path().is_dir() && name != "fuzz" {
            assert!(described.contains(name.as_str()), "{name} is not in corpus/README.md");
            let holds = |file: &str| entry.path().join(file).exists();
            assert!(["dump.txt", "configs", "sys"].into_iter().any(holds), "{name} has no dump");
        }
    }
}

#[test]
fn a_made_case_holds_nothing_else_but_expectations() {
    fn files(path: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(path).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_symlink() || path.is_file() {
                found.push(path);
            } else if path.file_name().is_some_and(|name| name != "expected") {
                files(&path, found);
            }
        }
    }
    let made = corpus::nodes();
    let cases: BTreeSet<&str> =
        made.keys().filter_map(|path| path.split_once('/')).map(|(case, _)| case).collect();
    for case in cases {
        let mut found = Vec::new();
        files(&folder().join(case), &mut found);
        for path in found {
            let name = path.strip_prefix(folder()).expect("inside").to_str().expect("UTF-8");
            assert!(made.contains_key(name), "{name} is not made any more");
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    fn size(path: &Path) -> u64 {
        let inside = |entry: std::io::Result<fs::DirEntry>| size(&entry.expect("readable").path());
        match path.symlink_metadata().expect("readable") {
            known if known.is_dir() => fs::read_dir(path).expect("readable").map(inside).sum(),
            known => known.len(),
        }
    }
    let bytes = size(&folder());
    assert!(bytes < 3 << 20, "{bytes} bytes");
}

#[test]
fn the_ecam_image_holds_each_function_in_its_place() {
    let image = corpus::ecam_image();
    assert_eq!(image.len(), 2 << 20);
    let (port, endpoint) = (0x1c << 15, 1 << 20);
    assert_eq!(image[port..port + 4], [0x36, 0x1b, 0xf1, 0x0f]);
    assert_eq!(image[endpoint..endpoint + 4], [0x36, 0x1b, 0xf0, 0x0f]);
    assert!(image[..port].iter().all(|byte| *byte == 0xff));
}
