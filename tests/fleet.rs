//! Many hosts at once: outliers are found, failures are records, and every run writes the same bytes.
#![cfg(feature = "cli")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::acsscan;

const ALIKE: usize = 12;

/// Twelve machines that are alike but for their bus numbers, one with a control off, one with another
/// root port, and one file that is no dump.
fn fleet() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/qemu-sriov/dump.txt");
    let text = fs::read_to_string(dump).expect("there");
    let put = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("one")).expect("made");
        fs::write(path, text).expect("written");
    };
    for n in 0..ALIKE {
        put(&format!("rack{}/h{n:02}.txt", n % 3), &text);
    }
    put("rack1/control.txt", &with_first_control(&text));
    let without = text.rfind("\n\n00:").or_else(|| text.rfind("\n\n0000:")).expect("functions");
    put("rack2/fewer.txt", &text[..without + 1]);
    put("rack3/empty.txt", "");
    directory
}

/// The dump with Request Redirect of the first ACS turned over: +06h of the structure that begins with
/// 0Dh 00h 01h.
fn with_first_control(text: &str) -> String {
    let mut out = String::new();
    let mut done = false;
    for line in text.lines() {
        let mut line = line.to_owned();
        if let (false, Some((at, row))) = (done, line.split_once(": ")) {
            let bytes: Vec<&str> = row.split(' ').collect();
            let is_row = at.len() == 3 && bytes.len() == 16;
            let place = is_row.then(|| (0..9).step_by(4).find(|n| bytes[*n..*n + 2] == ["0d", "00"]));
            if let Some(Some(n)) = place {
                let control = u8::from_str_radix(bytes[n + 6], 16).expect("hex") ^ 4;
                let changed = format!("{control:02x}");
                let mut bytes = bytes.clone();
                bytes[n + 6] = &changed;
                line = format!("{at}: {}", bytes.join(" "));
                done = true;
            }
        }
        out.push_str(&line);
        out.push('\n');
    }
    assert!(done, "no ACS in the dump");
    out
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    acsscan(&[&["fleet", directory.to_str().expect("UTF-8")], arguments].concat())
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn lines(output: &Output) -> Vec<Value> {
    text(output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn keys(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["host"].as_str().expect("a host")).collect()
}

#[test]
fn outliers_are_found_and_how_they_differ() {
    let hosts = fleet();
    let output = run(hosts.path(), &["--format", "json"]);
    assert_eq!(output.status.code(), Some(3), "one host is not read");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let count = |name: &str| found[name].as_u64().expect("a number");
    assert_eq!((count("hosts"), count("read"), count("failed"), count("outliers")), (15, 14, 1, 2));
    assert_eq!(found["errors"][0]["code"], "empty");
    let kinds = found["fingerprints"].as_array().expect("kinds");
    assert_eq!((kinds.len(), &kinds[0]["hosts"]), (3, &Value::from(ALIKE)));
    let of = |name: &str| {
        let kind = kinds.iter().find(|kind| kind["examples"][0] == name).expect(name);
        assert_eq!(
            (&kind["outlier"], &kind["compared_with"]),
            (&Value::from(true), &kinds[0]["fingerprint"])
        );
        kind["differences"].as_array().expect("differences")
    };
    let control = of("rack1/control.txt");
    assert_eq!((control.len(), &control[0]["change"]), (1, &Value::from("changed")));
    assert_eq!(control[0]["fields"][0]["field"], "acs-control");
    assert_eq!(control[0]["fields"][0]["bits"], "ReqRedir-");
    let fewer = of("rack2/fewer.txt");
    assert!(
        !fewer.is_empty() && fewer.iter().all(|difference| difference["change"] == "removed"),
        "{fewer:?}"
    );
    let report = run(hosts.path(), &[]);
    for told in ["12 hosts are alike", "2 outliers", "outlier (", "(ReqRedir-)", "not here", "empty (1)"] {
        assert!(text(&report).contains(told), "{told}: {}", text(&report));
    }
}

#[test]
fn every_run_writes_the_same_bytes_in_the_order_of_the_names() {
    let hosts = fleet();
    let once = run(hosts.path(), &["--format", "jsonl", "-j", "1"]);
    for jobs in ["1", "2", "7"] {
        let again = run(hosts.path(), &["--format", "jsonl", "-j", jobs]);
        assert_eq!(text(&again), text(&once), "{jobs} at a time");
    }
    let found = lines(&once);
    let keys = keys(&found);
    assert!(keys.is_sorted() && keys.len() == 15, "{keys:?}");
    let failed = found.iter().find(|line| line["kind"] == "error").expect("one");
    assert_eq!((&failed["host"], &failed["code"]), (&"rack3/empty.txt".into(), &"empty".into()));
    assert!(failed["message"].as_str().expect("text").contains("empty, expected a dump"));
}

#[test]
fn paths_come_from_a_list_too_and_names_select_files() {
    let hosts = fleet();
    let path = |name: &str| hosts.path().join(name).to_str().expect("UTF-8").to_owned();
    let list = format!("{}\n/nowhere\n\n{}\n", path("rack0/h00.txt"), path("rack1"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .args(["fleet", "-", "--format", "jsonl", "--name", "h0*"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("piped").write_all(list.as_bytes()).expect("taken");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(3));
    let found = lines(&output);
    let expected = ["rack0/h00.txt", "/nowhere", "rack1/h01.txt", "rack1/h04.txt", "rack1/h07.txt"];
    let expected = expected.map(|name| if name.starts_with('/') { name.to_owned() } else { path(name) });
    assert_eq!(keys(&found), expected);
    assert_eq!(found[1]["code"], "not-found");
    assert_eq!(run(&hosts.path().join("rack3"), &[]).status.code(), Some(4), "nothing could be read");
}

#[test]
fn a_list_names_files_whose_names_are_no_text_and_what_ends_it_is_said() {
    let hosts = fleet();
    let odd = hosts.path().join(OsStr::from_bytes(b"odd\xff.txt"));
    fs::copy(hosts.path().join("rack0/h00.txt"), &odd).expect("copied");
    let list = hosts.path().with_extension("list");
    fs::write(&list, [odd.as_os_str().as_bytes(), b"\n/nowhere"].concat()).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .args(["fleet", "--format", "jsonl", "--files-from"])
        .args([&list, hosts.path()])
        .output()
        .expect("runs");
    let found = lines(&output);
    let from_list = &found[found.len() - 2..];
    assert!(keys(from_list)[0].ends_with("odd\\xff.txt"), "{:?}", keys(from_list));
    assert_eq!((&from_list[0]["kind"], &from_list[1]["code"]), (&"fleet-host".into(), &"not-found".into()));
    // A directory can be opened, and not read.
    let output = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .args(["fleet", "--format", "jsonl", "--files-from"])
        .args([hosts.path(), &hosts.path().join("rack0")])
        .output()
        .expect("runs");
    let last = lines(&output).pop().expect("a line");
    assert_eq!((&last["host"], &last["code"]), (&"(list of paths)".into(), &"io".into()));
}

#[test]
fn a_run_is_not_resumed_with_another_question() {
    let hosts = fleet();
    let file = hosts.path().with_extension("jsonl");
    let name = file.to_str().expect("UTF-8");
    run(hosts.path(), &["-o", name, "--check", "gpu"]);
    let before = fs::read(&file).expect("written");
    for other in [
        &[][..],
        &["--check", "nic"],
        &["--check", "gpu", "--policy", "linux"],
        &["--check", "gpu", "--strict"],
    ] {
        let output = run(hosts.path(), &[&["--resume", name], other].concat());
        assert_eq!(output.status.code(), Some(4), "{other:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("other options"), "{said}");
        assert!(fs::read(&file).expect("there") == before, "{other:?} changed the file");
    }
    assert_eq!(run(hosts.path(), &["--resume", name, "--check", "gpu"]).status.code(), Some(3));
}

#[test]
fn a_run_that_was_cut_short_is_resumed_to_the_same_bytes() {
    let hosts = fleet();
    let file = hosts.path().with_extension("jsonl");
    let name = file.to_str().expect("UTF-8");
    for rows in [&[][..], &["--rows", "functions"], &["--rows", "findings"]] {
        let whole = run(hosts.path(), &[rows, &["-o", name]].concat());
        assert_eq!(whole.status.code(), Some(3));
        assert_eq!(run(hosts.path(), &[rows, &["-o", name]].concat()).status.code(), Some(4), "it is there");
        let expected = fs::read(&file).expect("written");
        for keep in [0, 1, expected.len() / 3, expected.len() / 2, expected.len() - 1, expected.len()] {
            fs::write(&file, &expected[..keep]).expect("written");
            let resumed = run(hosts.path(), &[rows, &["--resume", name]].concat());
            assert!(fs::read(&file).expect("written") == expected, "{rows:?}: {keep} bytes kept");
            assert_eq!(resumed.status.code(), Some(3));
            if rows.is_empty() {
                assert_eq!(text(&resumed), text(&whole), "{keep} bytes kept");
            }
        }
        fs::remove_file(&file).expect("there");
    }
}

#[test]
fn every_line_keeps_to_the_schema() {
    let hosts = fleet();
    let validator = |arguments: &[&str]| {
        let schema = serde_json::from_slice(&acsscan(arguments).stdout).expect("JSON");
        jsonschema::validator_for(&schema).expect("a JSON Schema")
    };
    let (document, line) = (validator(&["schema"]), validator(&["schema", "--format", "jsonl"]));
    let of_hosts = lines(&run(hosts.path(), &["--format", "jsonl", "--check", "nic"]));
    assert!(of_hosts.iter().all(|host| document.is_valid(host)), "a host is a document");
    for rows in ["functions", "domains", "pairs", "findings"] {
        let found = lines(&run(hosts.path(), &["--rows", rows]));
        assert!(found.len() > 15, "{rows}");
        for row in of_hosts.iter().chain(&found) {
            assert!(line.is_valid(row), "{row}");
        }
        let kinds: std::collections::BTreeSet<_> = found.iter().map(|row| row["kind"].as_str()).collect();
        assert_eq!(kinds.len(), 2, "{kinds:?}");
    }
    let whole = serde_json::from_slice(&run(hosts.path(), &["--format", "json"]).stdout).expect("JSON");
    assert!(document.is_valid(&whole));
    assert!(!line.is_valid(&serde_json::json!({"schema": "acsscan/1", "host": "a", "kind": "fleet-pair"})));
}

#[test]
fn a_fingerprint_is_the_hash_of_the_canonical_lines() {
    use sha2::Digest;
    let hosts = fleet();
    let directory = hosts.path().join("rack0");
    let host = &lines(&run(&directory, &["--format", "jsonl"]))[0];
    let mut hash = sha2::Sha256::new();
    hash.update("acsscan-topology/1\n");
    let rows = lines(&run(&directory, &["--rows", "functions"]));
    let mut canonical: Vec<&str> = rows
        .iter()
        .filter(|row| row["host"] == host["host"])
        .filter_map(|row| row["canonical"].as_str())
        .collect();
    // On this machine buses are numbered in the order of the ways down.
    canonical.sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    canonical.iter().for_each(|line| hash.update(format!("{line}\n")));
    let expected: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(host["fingerprint"], expected.as_str());
}

#[test]
fn the_policy_answers_for_each_device_of_each_host() {
    let hosts = fleet();
    let directory = hosts.path().join("rack0");
    let output = run(&directory, &["--format", "jsonl", "--check", "nic", "--policy", "linux"]);
    let check = &lines(&output)[0]["check"];
    let devices = check["devices"].as_array().expect("devices");
    assert!(devices.len() > 1);
    let verdicts: Vec<&str> = devices.iter().filter_map(|device| device["verdict"].as_str()).collect();
    let refused = verdicts.contains(&"not-assignable");
    assert_eq!(output.status.code(), Some(if refused { 1 } else { 0 }), "{verdicts:?}");
    assert_eq!(check["verdict"] == "not-assignable", refused);
    let none = run(&directory, &["--format", "jsonl", "--check", "ffff:fffe"]);
    assert_eq!((none.status.code(), &lines(&none)[0]["check"]["verdict"]), (Some(0), &Value::Null));
    assert_eq!(run(&directory, &["--check", "everything"]).status.code(), Some(2));
    assert_eq!(run(&directory, &["--fail-on", "note"]).status.code(), Some(1));
    assert_eq!(run(&directory, &["--set", "00:01.0=+ReqRedir"]).status.code(), Some(2));
}

#[test]
fn metrics_are_in_prometheus_format_and_do_not_grow_with_the_fleet() {
    let hosts = fleet();
    let series = |output: &Output| {
        let mut names = Vec::new();
        for line in text(output).lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                assert!(
                    comment.starts_with("HELP acsscan_") || comment.starts_with("TYPE acsscan_"),
                    "{line}"
                );
                continue;
            }
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert!(name.starts_with("acsscan_") && value.parse::<u64>().is_ok(), "{line}");
            names.push(name.to_owned());
        }
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "each series once");
        names
    };
    let few = series(&run(&hosts.path().join("rack0"), &["--format", "prom"]));
    let all = series(&run(hosts.path(), &["--format", "prom"]));
    assert_eq!(all.len(), few.len() + 1, "one kind of error more");
    let promised = "80 series for a\nscan (one labelled with the fingerprint, one with the kernel), 80 and one for each kind";
    assert!(fs::read_to_string("src/docs/fleet.md").expect("readable").contains(promised));
    assert_eq!(few.len(), 80);
    let scan = acsscan(&["--dump", "corpus/qemu-sriov/dump.txt", "--format", "prom"]);
    let scan = series(&scan);
    assert_eq!(scan.len(), 80);
    assert!(scan.iter().any(|name| name.starts_with("acsscan_topology_info{fingerprint=\"")));
    let line = acsscan(&["--dump", "corpus/qemu-sriov/dump.txt", "--format", "line"]);
    assert_eq!(text(&line).lines().count(), 1);
    assert!(text(&line).starts_with("32 functions, known whole; IOMMU unknown; "), "{}", text(&line));
    assert_eq!(acsscan(&["groups", "--format", "prom"]).status.code(), Some(2));
}
