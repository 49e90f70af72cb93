//! Many hosts at once: outliers are found, failures are records, and every run writes the same bytes.
#![cfg(all(feature = "cli", feature = "testkit"))]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use acsscan::testkit::Config;
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
        assert!(said.contains("other options or databases, or other paths"), "{said}");
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
    hash.update("acsscan-topology/2\n");
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
    assert_eq!((none.status.code(), &lines(&none)[0]["check"]["verdict"]), (Some(3), &Value::Null));
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
    let promised = "88 series for a\nscan (one labelled with the fingerprint, one with the kernel), 89 and one for each kind";
    assert!(fs::read_to_string("src/docs/fleet.md").expect("readable").contains(promised));
    assert_eq!(few.len(), 89);
    let scan = acsscan(&["--dump", "corpus/qemu-sriov/dump.txt", "--format", "prom"]);
    let scan = series(&scan);
    assert_eq!(scan.len(), 88);
    assert!(scan.iter().any(|name| name.starts_with("acsscan_topology_info{fingerprint=\"")));
    let line = acsscan(&["--dump", "corpus/qemu-sriov/dump.txt", "--format", "line"]);
    assert_eq!(text(&line).lines().count(), 1);
    assert!(text(&line).starts_with("32 functions, known whole; IOMMU unknown; "), "{}", text(&line));
    assert_eq!(acsscan(&["groups", "--format", "prom"]).status.code(), Some(2));
}

/// A dump of one root port with this ACS Control, and an endpoint below it.
fn dump(control: u16, device: u16) -> String {
    let hex = |address: &str, bytes: &[u8]| {
        let mut text = format!("{address} 0604: made\n");
        for (line, bytes) in bytes.chunks(16).enumerate() {
            text += &format!("{:02x}:", line * 16);
            bytes.iter().for_each(|byte| text += &format!(" {byte:02x}"));
            text.push('\n');
        }
        text + "\n"
    };
    let port = Config::root_port(1, 1).acs(0x1f, control, 0);
    let endpoint = Config::endpoint().ids(0x8086, device).class(0x0200);
    hex("00:1c.0", port.bytes()) + &hex("01:00.0", endpoint.bytes())
}

fn hosts(of: impl IntoIterator<Item = (String, String)>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in of {
        fs::write(directory.path().join(name), text).expect("written");
    }
    directory
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

#[test]
fn an_outlier_is_listed_however_many_kinds_there_are() {
    let kinds =
        (0..60_u16).flat_map(|kind| (0..2).map(move |n| (format!("k{kind:02}-{n}"), dump(0x1d, kind + 1))));
    let few = (0..60_u16).map(|n| (format!("one{n:02}"), dump(0x11, 100 + n)));
    let alike = (0..3).map(|n| (format!("alike{n}"), dump(0x1d, 0x9999)));
    let directory = hosts(kinds.chain(few).chain(alike));
    let found = report(&run(directory.path(), &["--format", "json"]));
    let listed = found["fingerprints"].as_array().expect("kinds");
    let outliers: Vec<_> = listed.iter().filter(|kind| kind["outlier"] == true).collect();
    assert_eq!((listed.len(), outliers.len(), &found["outliers"]), (100, 50, &Value::from(60)));
    assert_eq!((&found["more_fingerprints"], &found["more_outlier_fingerprints"]), (&21.into(), &10.into()));
    assert_eq!(outliers[0]["examples"][0], "one00");
    let told = run(directory.path(), &[]);
    assert!(text(&told).contains("and 21 kinds more, 10 of them outliers"), "{}", text(&told));
}

#[test]
fn a_host_captured_in_part_is_told_from_one_that_is_otherwise() {
    let whole = dump(0x1d, 1);
    let cut: String =
        whole.lines().filter(|line| line.find(':') != Some(3)).map(|line| format!("{line}\n")).collect();
    let many = (0..4).map(|n| (format!("h{n}"), whole.clone()));
    let directory = hosts(many.chain([("part".to_owned(), cut), ("other".to_owned(), dump(0x11, 1))]));
    let told = run(directory.path(), &[]);
    let text = text(&told);
    assert!(text.contains("captured in part (2 functions); nothing else differs from "), "{text}");
    assert!(text.contains("differs from ") && text.contains("SEGMENT:#ROOT:DEV.FN"), "{text}");
    assert_eq!(text.matches("~ ").count(), 1, "{text}");
}

#[test]
fn hosts_with_a_finding_or_an_error_are_named() {
    let ones = |line: usize| format!("{:02x}:{}\n", line * 16, " ff".repeat(16));
    let broken = dump(0x1d, 1) + "02:00.0 0200: gone\n" + &(0..4).map(ones).collect::<String>();
    let many = (0..4).map(|n| (format!("h{n}"), dump(0x1d, 1)));
    let more = [("gone".to_owned(), broken), ("void".to_owned(), String::new())];
    let directory = hosts(many.chain(more));
    let found = report(&run(directory.path(), &["--format", "json"]));
    let findings = found["finding_counts"].as_array().expect("findings");
    let error =
        findings.iter().find(|finding| finding["severity"] == "error").expect("a function that is gone");
    assert_eq!(error["examples"], serde_json::json!(["gone"]));
    assert_eq!(found["errors"][0]["examples"], serde_json::json!(["void"]));
    assert_eq!(found["iommu_examples"]["unknown"][0], "gone");
    let told = run(directory.path(), &[]);
    assert!(text(&told).lines().any(|line| line.starts_with("error") && line.ends_with(": gone")));
}

#[test]
fn rows_that_are_resumed_give_no_report_of_half_the_hosts() {
    let directory = hosts((0..4).map(|n| (format!("h{n}"), dump(0x1d, 1))));
    let file = directory.path().with_extension("rows");
    let name = file.to_str().expect("UTF-8");
    let options = ["--rows", "functions", "--check", "nic", "--policy", "linux"];
    let whole = run(directory.path(), &[&options[..], &["-o", name]].concat());
    assert!(text(&whole).contains("4 hosts") && whole.status.code() == Some(0), "{}", text(&whole));
    let rows = fs::read_to_string(&file).expect("written");
    let kept: String = rows.lines().take(5).map(|line| format!("{line}\n")).collect();
    fs::write(&file, kept).expect("written");
    let resumed = run(directory.path(), &[&options[..], &["--resume", name]].concat());
    assert_eq!(fs::read_to_string(&file).expect("written"), rows);
    assert_eq!((text(&resumed), resumed.status.code()), ("", Some(3)));
    assert!(said(&resumed).contains("no report: of 2 host(s)"), "{}", said(&resumed));
}

#[test]
fn a_file_is_not_resumed_with_another_directory() {
    let [monday, tuesday] = [1, 2].map(|day| hosts([("h".to_owned(), dump(0x1d, day))]));
    let file = monday.path().with_extension("jsonl");
    let name = file.to_str().expect("UTF-8");
    assert_eq!(run(monday.path(), &["-o", name]).status.code(), Some(0));
    let before = fs::read(&file).expect("written");
    let other = run(tuesday.path(), &["--resume", name]);
    assert_eq!((other.status.code(), fs::read(&file).expect("there") == before), (Some(4), true));
    assert!(said(&other).contains("other paths"), "{}", said(&other));
    let again = monday.path().join(".");
    assert_eq!(run(&again, &["--resume", name]).status.code(), Some(0), "the same by another name");
}

#[test]
fn a_policy_that_met_no_device_is_no_clean_bill() {
    let directory = hosts((0..2).map(|n| (format!("h{n}"), dump(0x1d, 1))));
    let output = run(directory.path(), &["--check", "gpu", "--format", "json"]);
    assert_eq!((output.status.code(), &report(&output)["without_device"]), (Some(3), &2.into()));
    assert_eq!(report(&run(directory.path(), &["--format", "json"]))["without_device"], Value::Null);
    let told = run(directory.path(), &["--check", "gpu"]);
    assert!(text(&told).contains("none of 2 hosts has a device of --check"), "{}", text(&told));
    let metrics = run(directory.path(), &["--check", "gpu", "--format", "prom"]);
    assert!(text(&metrics).contains("acsscan_fleet_verdicts{verdict=\"no-device\"} 2"));
}

#[test]
fn what_is_written_and_where_is_never_a_surprise() {
    let directory = hosts((0..2).map(|n| (format!("h{n}"), dump(0x1d, 1))));
    let inside = directory.path().join("out.jsonl");
    let name = inside.to_str().expect("UTF-8");
    let output = run(directory.path(), &["-o", name, "--format", "json"]);
    assert_eq!(
        (output.status.code(), &report(&output)["hosts"]),
        (Some(0), &2.into()),
        "the file is no host"
    );
    let output = run(directory.path(), &["--resume", name, "--format", "json"]);
    assert_eq!((output.status.code(), &report(&output)["hosts"]), (Some(0), &2.into()));
    let prom = directory.path().with_extension("prom");
    let output = run(directory.path(), &["--format", "prom", "-o", prom.to_str().expect("UTF-8")]);
    assert_eq!((output.status.code(), prom.exists()), (Some(2), false));
    assert!(said(&output).contains("standard output"), "{}", said(&output));
    for format in ["prom", "json", "line"] {
        assert_eq!(
            run(directory.path(), &["--rows", "functions", "--format", format]).status.code(),
            Some(2)
        );
    }
}

#[test]
fn links_are_followed_to_files_and_said_where_they_are_not() {
    use std::os::unix::fs::symlink;
    let outside = hosts([("elsewhere".to_owned(), dump(0x1d, 1))]);
    let directory = hosts([("h".to_owned(), dump(0x1d, 1))]);
    let at = |name: &str| directory.path().join(name);
    symlink("h", at("inside")).expect("made");
    symlink(outside.path().join("elsewhere"), at("out")).expect("made");
    symlink("nowhere", at("dangling")).expect("made");
    symlink(outside.path(), at("to-directory")).expect("made");
    let output = run(directory.path(), &["--format", "jsonl"]);
    let found = lines(&output);
    assert_eq!(keys(&found), ["dangling", "h", "inside", "out"]);
    assert_eq!(found[0]["code"], "not-found");
    // Without Landlock the link is followed.
    if found[3]["kind"] == "error" {
        let message = found[3]["message"].as_str().expect("text");
        assert_eq!(found[3]["code"], "leads-out");
        assert!(message.contains("a link out of what was named, to ") && !message.contains("as a user"));
        let named = run(directory.path(), &["--format", "jsonl", outside.path().to_str().expect("UTF-8")]);
        assert_eq!(lines(&named)[3]["kind"], "fleet-host");
    }
    assert!(said(&output).contains("1 link(s) to directories"), "{}", said(&output));
    assert_eq!(report(&run(directory.path(), &["--format", "json"]))["links_passed_over"], 1);
}

#[test]
fn lines_come_while_the_list_is_still_written() {
    use std::io::{BufRead, BufReader};
    let directory = hosts([("h".to_owned(), dump(0x1d, 1))]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .args(["fleet", "-", "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut list = child.stdin.take().expect("piped");
    list.write_all(format!("{}\r\n", directory.path().join("h").display()).as_bytes()).expect("taken");
    list.flush().expect("taken");
    // The list is open: this would wait for ever if the line were kept.
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let host: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(host["kind"], "fleet-host", "{line}");
    drop(list);
    child.wait().expect("ends");
}

#[test]
fn a_resumed_outlier_is_compared_whatever_its_name() {
    let directory = hosts((0..4).map(|n| (format!("h{n}"), dump(0x1d, 1))));
    fs::write(directory.path().join("odd\u{1b}[2J"), dump(0x11, 1)).expect("written");
    let file = directory.path().with_extension("jsonl");
    let name = file.to_str().expect("UTF-8");
    let whole = run(directory.path(), &["-o", name]);
    let resumed = run(directory.path(), &["--resume", name]);
    assert_eq!(text(&resumed), text(&whole));
    assert!(text(&resumed).contains("differs from"), "{}", text(&resumed));
}
