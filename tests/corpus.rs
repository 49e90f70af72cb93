//! What the command says about every case of `corpus/`, word for word, and that its JSON keeps to its
//! own schema. `ACSSCAN_BLESS=1` rewrites what is expected.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{acsscan, subdirectories};

/// The dump of a case, relative to the repository, so that reports do not depend on where that is.
fn dump(case: &Path) -> String {
    let found = ["dump.txt", "configs", "sys"].iter().map(|name| case.join(name)).find(|path| path.exists());
    let path = found.unwrap_or_else(|| panic!("{}: no dump", case.display()));
    let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("in the repository");
    relative.to_str().expect("UTF-8").to_owned()
}

fn cases() -> Vec<PathBuf> {
    let mut cases = subdirectories(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
    cases.retain(|case| !case.ends_with("fuzz"));
    assert!(cases.len() > 40, "{} cases", cases.len());
    cases
}

/// Exit code, standard output and standard error in one text.
fn transcript(arguments: &[&str]) -> String {
    let output = acsscan(arguments);
    let code = output.status.code().expect("no signal");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    let mut transcript = format!("{stdout}[exit code {code}]\n");
    for line in stderr.lines() {
        transcript.push_str(&format!("[stderr] {line}\n"));
    }
    transcript
}

#[test]
fn every_case_is_answered_as_expected() {
    let bless = std::env::var_os("ACSSCAN_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let source = dump(&case);
        for (name, arguments) in [
            ("scan.txt", &[][..]),
            ("show.txt", &["show"]),
            ("tree.txt", &["show", "-t"]),
            ("groups.json", &["groups", "--format", "json"]),
        ] {
            let found = transcript(&[arguments, &["--dump", &source]].concat());
            let path = case.join("expected").join(name);
            if bless {
                fs::create_dir_all(case.join("expected")).expect("writable");
                fs::write(&path, found).expect("writable");
            } else if fs::read_to_string(&path).unwrap_or_default() != found {
                wrong.push(format!("{}: now\n{found}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nIf that is right: ACSSCAN_BLESS=1", wrong.join("\n"));
}

#[test]
fn the_json_of_every_case_keeps_to_the_schema() {
    let schema = serde_json::from_slice(&acsscan(&["schema"]).stdout).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    let mut documents = 0;
    for case in cases() {
        let source = dump(&case);
        for verb in [&[][..], &["show"], &["groups"], &["groups", "--model", "spec,linux"]] {
            let output = acsscan(&[verb, &["--format", "json", "--dump", &source]].concat());
            if output.status.code() == Some(4) {
                continue;
            }
            let document = serde_json::from_slice(&output.stdout).expect("JSON");
            let errors: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{source} {verb:?}: {errors:?}");
            assert_eq!(document["schema"], "acsscan/1");
            documents += 1;
        }
    }
    let (off, on) = ("corpus/kernel-iommu-off/configs", "corpus/kernel-iommu-on/configs");
    let as_if = ["diff", off, "--kernel-params", "pci=config_acs=1@00:02.0", "--enable-acs=7.2"];
    for (arguments, code) in [
        (&["diff", off, on][..], 1),
        (&["diff", on, on], 0),
        (&as_if, 1),
        (&["plan", "isolate", "06:00.0", "--dump", off], 0),
        (&["plan", "isolate", "06:00.0", "--model", "linux", "--dump", off], 0),
        (&["plan", "isolate", "04:00.0", "--dump", off], 1),
        (&["plan", "connect", "03:00.0", "04:00.0", "--dump", on], 0),
        (&["plan", "connect", "05:00.0", "06:00.0", "--dump", on], 1),
        (&["show", "--set", "00:02.0=+ReqRedir", "--dump", off], 0),
    ] {
        let output = acsscan(&[arguments, &["--format", "json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let document = serde_json::from_slice(&output.stdout).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{arguments:?}: {errors:?}");
        let text = acsscan(arguments);
        assert_eq!(text.status.code(), Some(code), "{arguments:?}");
        assert!(!text.stdout.is_empty());
    }
    assert!(documents > 100, "{documents} documents");
    assert!(!validator.is_valid(&serde_json::json!({"schema": "acsscan/1", "kind": "scan"})));
}
