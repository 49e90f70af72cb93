//! The command as a user meets it: exit codes, one-line errors, nothing on standard output when there
//! is no answer.
#![cfg(feature = "cli")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{acsscan, files, shared};

/// One line on standard error that begins with the program's name; nothing on standard output.
fn assert_refused(arguments: &[&str], code: i32, told: &[&str]) {
    let output = acsscan(arguments);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}: something on standard output");
    assert!(stderr.starts_with("acsscan: ") && stderr.trim_end().lines().count() == 1, "{stderr:?}");
    for text in told {
        assert!(stderr.contains(text), "{arguments:?}: {stderr:?} does not say {text:?}");
    }
}

#[test]
fn input_that_holds_no_functions_is_refused_in_one_line() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = |name: &str, content: &[u8]| {
        let path = scratch.path().join(name);
        std::fs::write(&path, content).expect("writable");
        path.to_str().expect("UTF-8").to_owned()
    };
    let noise: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_refused(&["--dump", "/nowhere/dump.txt"], 4, &["/nowhere/dump.txt", "no such file"]);
    assert_refused(&["--dump", &path("empty", b"")], 4, &["empty"]);
    assert_refused(&["--dump", &path("noise", &noise)], 4, &["noise"]);
    assert_refused(&["--dump", &path("prose", b"Dear list,\nmy machine hangs.\n")], 4, &["prose", "lspci"]);
    assert_refused(&["--dump", &path("list", b"00:00.0 Host bridge: Intel\n")], 4, &["-xxxx"]);
    assert_refused(&["--dump", &path("unnamed", &[0; 256])], 4, &["--at"]);
    assert_refused(
        &["--dump", &path("host.tar.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0])],
        4,
        &["unpacked", "file whole"],
    );
    let folder = scratch.path().join("folder");
    std::fs::create_dir(&folder).expect("writable");
    assert_refused(&["--dump", folder.to_str().expect("UTF-8")], 4, &["folder"]);
}

#[test]
fn a_mistake_in_the_arguments_says_what_was_meant() {
    assert_refused(&["gruops"], 2, &["did you mean groups"]);
    assert_refused(&["--dump", "groups"], 4, &["groups is a verb"]);
    assert_refused(&["show", "-s", "0:0:0:0.0"], 2, &["[[[[domain]:]bus]:][device][.[function]]"]);
    assert_refused(&["show", "-d", "8086"], 2, &["[vendor]:[device]"]);
    assert_refused(&["show", "-t", "--format", "json"], 2, &["-t is text"]);
    assert_eq!(acsscan(&["--no-such-option"]).status.code(), Some(2));
    assert_eq!(acsscan(&["groups", "--model", "guess"]).status.code(), Some(2));
    assert_eq!(acsscan(&["--help"]).status.code(), Some(0));
}

/// One function's hex: a conventional one, or a PCIe endpoint.
fn record(address: &str, bytes: &[u8]) -> String {
    let mut text = format!("{address} Class 0000: Device\n");
    for (line, row) in bytes.chunks(16).enumerate() {
        let pairs: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{:02x}: {}\n", line * 16, pairs.join(" ")));
    }
    text + "\n"
}

fn scan_stdin(text: &str, arguments: &[&str]) -> std::process::Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .args(arguments)
        .args(["--dump", "-", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
    child.wait_with_output().expect("ends")
}

#[test]
fn standard_input_is_a_dash_in_the_source() {
    let dump = std::fs::read_to_string("corpus/qemu-small/dump.txt").expect("readable");
    let output = scan_stdin(&dump, &["--format", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["source"]["path"], "-");
}

#[test]
fn a_conventional_function_is_complete_with_256_bytes_and_a_pcie_function_is_not() {
    let mut bytes = [0_u8; 256];
    bytes[..4].copy_from_slice(&[0x86, 0x80, 0x18, 0x29]);
    let output = scan_stdin(&record("00:1f.0", &bytes), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    bytes[0x06] = 0x10;
    bytes[0x34] = 0x40;
    bytes[0x40..0x43].copy_from_slice(&[0x10, 0, 0x02]);
    for length in [256, 64] {
        let output = scan_stdin(&record("00:1f.0", &bytes[..length]), &["--format", "json"]);
        assert_eq!(output.status.code(), Some(3), "{length} bytes");
        let scan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(scan["source"]["complete"], false);
        assert_eq!(scan["findings"][0]["code"], "config-not-captured");
        let shown = scan_stdin(&record("00:1f.0", &bytes[..length]), &["show", "--format", "json"]);
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        assert_eq!(shown["functions"][0]["acs"]["presence"], "not-captured");
    }
}

#[test]
fn fail_on_turns_findings_into_exit_code_1_and_wins_over_inconclusive() {
    let gone = record("00:1f.0", &[0xff; 64]);
    assert_eq!(scan_stdin(&gone, &[]).status.code(), Some(3));
    assert_eq!(scan_stdin(&gone, &["--fail-on", "error"]).status.code(), Some(1));
    let short = record("00:1f.0", &{
        let mut bytes = [0; 64];
        bytes[0] = 1;
        bytes[6] = 0x10;
        bytes[0x34] = 0x40;
        bytes
    });
    assert_eq!(scan_stdin(&short, &["--fail-on", "error"]).status.code(), Some(3));
    assert_eq!(scan_stdin(&short, &["--fail-on", "warning"]).status.code(), Some(1));
}

#[test]
fn a_dump_cannot_write_to_the_terminal() {
    let mut bytes = [0_u8; 64];
    bytes[0] = 1;
    let hostile = record("00:1f.0", &bytes).replace(
        "Device\n",
        "Device \u{1b}[2J\n\tKernel driver in use: a\u{1b}]0;owned\u{7}\u{9b}1m\u{202e}b\n",
    );
    for arguments in [&[][..], &["show"], &["show", "-t"], &["groups"], &["--color", "always"]] {
        let output = scan_stdin(&hostile, arguments);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let coloured = arguments.contains(&"always");
        for (at, c) in text.char_indices() {
            let styling = coloured && c == '\u{1b}' && text[at..].starts_with("\u{1b}[");
            let harmless = !c.is_control() || c == '\n' || c == '\t' || styling;
            assert!(harmless && c != '\u{202e}', "{arguments:?}: {c:?} in {text:?}");
        }
        assert!(!text.contains("]0;owned\u{7}"));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dump = record("00:1f.0", &[0; 64]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .args(["schema"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(scan_stdin(&dump, &[]).stderr.is_empty());
}

#[test]
fn every_real_file_gives_an_answer_or_one_line_within_a_second() {
    let Some(realworld) = shared("realworld") else { return };
    let mut answered = 0;
    for path in files(&realworld) {
        let started = Instant::now();
        let output = acsscan(&["--dump", path.to_str().expect("UTF-8")]);
        // The limit is for the program; a test on a busy machine gets some more.
        assert!(started.elapsed() < Duration::from_secs(5), "{}", path.display());
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        match output.status.code() {
            Some(0 | 3) => answered += 1,
            Some(4) => {
                assert!(output.stdout.is_empty() && stderr.trim_end().lines().count() == 1, "{stderr}")
            }
            other => panic!("{}: {other:?} {stderr}", path.display()),
        }
    }
    assert!(answered >= 40, "only {answered} files were answered");
}

#[test]
fn a_report_is_written_whole_to_a_new_file_or_to_standard_output() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("host.html");
    let path = path.to_str().expect("UTF-8");
    let dump = ["--dump", "corpus/port-and-endpoint/configs"];
    let report = |options: &[&str]| acsscan(&[&["report"], options, &dump[..]].concat());
    let written = report(&["-o", path]);
    assert!(written.status.success() && written.stdout.is_empty() && written.stderr.is_empty());
    let page = std::fs::read(path).expect("readable");
    assert_eq!(report(&["-o", "-"]).stdout, page);
    assert!(page.starts_with(b"<!DOCTYPE html>") && page.ends_with(b"</html>\n"));
    assert_refused(&["report", "-o", path, dump[0], dump[1]], 2, &["--force"]);
    assert!(report(&["-o", path, "--force"]).status.success());
    assert_refused(
        &["report", "-o", "-", "--format", "json", dump[0], dump[1]],
        2,
        &["acsscan --format json"],
    );
    let names: Vec<_> = std::fs::read_dir(scratch.path()).expect("readable").collect();
    assert_eq!(names.len(), 1, "something was left behind");
}

/// 4096 bytes of a root port that leads to this bus, or of an endpoint.
fn pcie(leads_to: Option<u8>) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..4].copy_from_slice(&[0x34, 0x12, 0x78, 0x56]);
    (bytes[0x06], bytes[0x34]) = (0x10, 0x40);
    bytes[0x40..0x43].copy_from_slice(&[0x10, 0, if leads_to.is_some() { 0x42 } else { 0x02 }]);
    if let Some(bus) = leads_to {
        bytes[0x0e] = 1;
        bytes[0x19..0x1b].copy_from_slice(&[bus, bus]);
    }
    bytes
}

#[test]
fn ports_that_leave_the_way_open_are_listed_once_for_all_reasons() {
    let mut text = String::new();
    for (port, bus) in [("00:01.0", 0x01), ("00:02.0", 0x02), ("40:01.0", 0x41), ("40:02.0", 0x42)] {
        text += &record(port, &pcie(Some(bus)));
        text += &record(&format!("{bus:02x}:00.0"), &pcie(None));
    }
    let output = scan_stdin(&text, &[]);
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(told.matches("left open by").count(), 2, "within a root bus, and between root buses: {told}");
    let ports = "0000:00:01.0, 0000:00:02.0, 0000:40:01.0, 0000:40:02.0";
    assert_eq!(told.matches(ports).count(), 1, "{told}");
    assert_eq!(told.matches("left open by the same").count(), 1, "{told}");
}

#[test]
fn habits_of_lspci_are_met_with_what_to_type() {
    for (arguments, tip) in [
        (&["-F", "x"][..], "acsscan --dump FILE"),
        (&["-s", "00:1c"], "acsscan show -s"),
        (&["-d", "8086:"], "acsscan show -d"),
        (&["-t"], "acsscan show -t"),
        (&["-k"], "drivers are always shown"),
        (&["-nnk"], "drivers are always shown"),
        (&["-xxxx"], "registers are decoded"),
        (&["-i", "x"], "--ids FILE"),
        (&["groups", "Cargo.toml"], "--dump Cargo.toml"),
        (&["show", "Cargo.toml"], "acsscan show --dump Cargo.toml"),
        (&["check", "Cargo.toml"], "acsscan check --dump Cargo.toml"),
        (&["explain", "Cargo.toml"], "acsscan explain --dump Cargo.toml"),
    ] {
        let output = acsscan(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(tip) && !said.contains("as a value"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_tree_of_some_functions_has_the_way_to_them_and_what_is_below() {
    let dump = ["--dump", "corpus/qemu-sriov/dump.txt"];
    let tree = |more: &[&str]| {
        let output = acsscan(&[&["show", "-t"], more, &dump].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let whole = tree(&[]);
    let deepest = whole.lines().max_by_key(|line| line.find(char::is_alphanumeric)).expect("a line");
    let address = deepest.trim_start_matches(|letter: char| !letter.is_ascii_hexdigit());
    let address = address.split(' ').next().expect("an address");
    let part = tree(&["-s", address]);
    assert!(part.contains(address) && part.lines().count() > 2, "{part}");
    assert!(part.lines().count() < whole.lines().count());
    let bridges = tree(&["-d", "::06xx"]);
    assert!(bridges.lines().count() > part.lines().count() && bridges.contains(address), "what is below");
}

#[test]
fn the_help_of_fleet_shows_nothing_of_one_host_and_breaks_no_line() {
    let output = acsscan(&["fleet", "--help"]);
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    for hidden in ["--sysfs-root", "--start-bus", "--set ", "--kernel-params", "--dump"] {
        assert!(!help.contains(hidden), "{hidden}");
    }
    assert!(help.contains("  2 usage") && help.contains("--strict"));
    let told = help.split("\nEvery file is one host").nth(1).expect("the text behind the options");
    assert!(told.lines().all(|line| line.len() <= 80 && !matches!(line, "an" | "a" | "bus")), "{told}");
    // What is hidden is said to be out of place, and not unknown.
    let refused = acsscan(&["fleet", "corpus", "--set", "00:01.0=+ReqRedir"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("for one host"));
}

#[test]
fn db_accept_says_that_a_day_is_over_and_db_check_that_a_directory_is_empty() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dump = scratch.path().join("dump.txt");
    std::fs::write(&dump, "00:00.0 Host bridge: x\n00: 86 80 00 12 06 00 00 00 00 00 00 06 00 00 00 00\n")
        .expect("writable");
    let accept = |until: &str| {
        let dump = dump.to_str().expect("UTF-8");
        let what = ["db", "accept", "00:00.0", "--who", "a team", "--reason", "a reason"];
        let arguments = [&what[..], &["--until", until, "--today", "2026-11-01", "--dump", dump]].concat();
        let output = acsscan(&arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert!(accept("2026-10-31").contains("2026-10-31 is over (today is 2026-11-01)"));
    assert!(!accept("2026-11-01").contains("is over"));
    let empty = scratch.path().join("empty");
    std::fs::create_dir(&empty).expect("writable");
    let output = acsscan(&["db", "check", empty.to_str().expect("UTF-8")]);
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.code() == Some(0) && stdout.contains("no files *.toml in /"), "{stdout}");
}

#[test]
fn a_function_that_is_not_there_ends_every_verb_alike() {
    let dump = ["--dump", "corpus/qemu-sriov/dump.txt"];
    let told = &["7f:00.0: no such function in the dump; show -t lists them, such as 0000:00:00.0"];
    for arguments in [
        &["7f:00.0"][..],
        &["show", "7f:00.0"],
        &["p2p", "7f:00.0", "00:00.0"],
        &["p2p", "00:00.0", "7f:00.0"],
        &["p2p", "--cliques", "7f:00.0", "00:00.0"],
        &["explain", "7f:00.0"],
        &["explain", "00:00.0", "7f:00.0"],
        &["check", "7f:00.0"],
        &["plan", "isolate", "7f:00.0"],
        &["plan", "connect", "7f:00.0", "00:00.0"],
        &["db", "lookup", "7f:00.0"],
        &["db", "accept", "7f:00.0", "--who", "us", "--reason", "known"],
        &["--set", "7f:00.0=+ReqRedir"],
        &["--remove", "7f:00.0"],
    ] {
        assert_refused(&[arguments, &dump].concat(), 4, told);
    }
}

#[test]
fn p2p_says_what_else_it_answers_and_which_classes_there_are() {
    let dump = ["--dump", "corpus/qemu-sriov/dump.txt"];
    for arguments in [&["p2p"][..], &["p2p", "00:00.0"]] {
        assert_refused(&[arguments, &dump].concat(), 2, &["FROM TO", "--matrix", "--cliques"]);
    }
    let matrix = ["p2p", "--matrix", "--class", "gpu,accelerator"];
    let told = &["--class gpu, accelerator: no such function in the dump; there are nic, "];
    assert_refused(&[&matrix[..], &dump].concat(), 4, told);
    let there = acsscan(&["p2p", "--matrix", "--class", "gpu,nic", "--dump", "corpus/qemu-sriov/dump.txt"]);
    assert_eq!(there.status.code(), Some(0), "one of them is there");
    let apart = acsscan(&["p2p", "02:00.0", "00:1f.2", "--dump", "corpus/qemu-sriov/dump.txt"]);
    let apart = String::from_utf8(apart.stdout).expect("UTF-8");
    assert!(
        apart.contains("they have no common bridge, so that traffic would pass the host bridge: "),
        "{apart}"
    );
}

#[test]
fn groups_say_what_they_assume_in_json_too() {
    let assumptions = |model: &str| {
        let arguments =
            ["groups", "--model", model, "--dump", "corpus/qemu-sriov/dump.txt", "--format", "json"];
        let document: serde_json::Value = serde_json::from_slice(&acsscan(&arguments).stdout).expect("JSON");
        document["assumptions"].as_array().map(Vec::len)
    };
    let models = ["spec", "linux,spec", "linux", "libvirt"];
    assert_eq!(models.map(assumptions), [Some(1), Some(1), None, None]);
}

/// Of a machine with many functions that show a thing, `check` tells of those that it was asked about.
#[test]
fn findings_of_a_question_are_about_its_functions_alone() {
    let about = |arguments: &[&str]| {
        let dump = ["--dump", "corpus/qemu-sriov/dump.txt", "--format", "json"];
        let output = acsscan(&[arguments, &dump].concat());
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let functions = |finding: &serde_json::Value| -> Vec<String> {
            let functions = finding["functions"].as_array().expect("a list").iter();
            functions.map(|function| function.as_str().expect("an address").to_owned()).collect()
        };
        let findings = document["findings"].as_array().expect("a list").clone();
        findings.iter().filter(|finding| finding["code"] == "multi-function-without-acs").for_each(
            |finding| {
                let count = format!("{} function", functions(finding).len());
                assert!(finding["message"].as_str().expect("text").starts_with(&count), "{finding}");
                let evidence = finding["evidence"].as_array().expect("a list");
                assert!(evidence.iter().all(|one| {
                    functions(finding).iter().any(|function| one["function"] == function.as_str())
                }));
            },
        );
        findings.iter().flat_map(functions).collect::<Vec<_>>()
    };
    let all = about(&[]);
    assert!(all.iter().any(|function| function.starts_with("0000:00:1f.")));
    for arguments in [&["check", "02:00.0"][..], &["show", "02:00.0"], &["explain", "02:00.0"]] {
        let some = about(arguments);
        assert!(!some.is_empty(), "{arguments:?}");
        assert!(some.iter().all(|function| !function.starts_with("0000:00:1f.")), "{arguments:?}: {some:?}");
    }
}

#[test]
fn a_domains_xml_is_judged_as_the_functions_that_it_assigns() {
    let dump = "corpus/qemu-small/dump.txt";
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("guest.xml");
    let path = file.to_str().expect("UTF-8");
    let hostdev = "<hostdev mode='subsystem' type='pci'><source>\
                   <address domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></source></hostdev>";
    let write = |devices: &str| {
        std::fs::write(&file, format!("<domain type='kvm'><devices>{devices}</devices></domain>"))
            .expect("written");
    };
    write(hostdev);
    let typed = acsscan(&["check", "02:00.0", "--dump", dump]);
    let named = acsscan(&["check", "--domain", path, "--dump", dump]);
    assert_eq!((named.status.code(), &named.stdout), (typed.status.code(), &typed.stdout));
    assert!(String::from_utf8_lossy(&named.stdout).contains("0000:02:00.0"));
    let both = acsscan(&["check", "02:00.7", "--domain", path, "--dump", dump]);
    let typed = acsscan(&["check", "02:00.7", "02:00.0", "--dump", dump]);
    assert_eq!((both.status.code(), both.stdout), (typed.status.code(), typed.stdout));
    write("");
    let question = ["check", "--domain", path, "--dump", dump];
    assert_refused(
        &question,
        4,
        &["guest.xml: its <hostdev>, <interface> and <disk> elements assign no PCI function"],
    );
    write("<hostdev type='pci'/>");
    assert_refused(&question, 4, &["guest.xml: a <hostdev> assigns a PCI function without a source address"]);
    assert_refused(&["check", "--domain", "nowhere.xml", "--dump", dump], 4, &["nowhere.xml: "]);
    assert_refused(&["check", "--domain", "-", "--dump", "-"], 2, &["both take standard input"]);
}

#[test]
fn a_reader_that_goes_away_changes_nothing_of_the_exit_code() {
    let dump = "corpus/qemu-small/dump.txt";
    for (arguments, code) in [
        (&["check", "02:00.0"][..], 3),
        (&["check", "02:00.0", "--format", "json"], 3),
        (&["check", "00:1f.0", "--policy", "linux"], 1),
        (&["--fail-on", "note", "--format", "jsonl"], 1),
        (&["--summary"], 0),
    ] {
        let whole = acsscan(&[arguments, &["--dump", dump]].concat());
        assert_eq!(whole.status.code(), Some(code), "{arguments:?}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
            .args(arguments)
            .args(["--dump", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("runs");
        // Gone before anything is read, and so before anything is written.
        drop(child.stdout.take());
        std::io::Write::write_all(
            &mut child.stdin.take().expect("piped"),
            &std::fs::read(dump).expect("there"),
        )
        .expect("read");
        assert_eq!(child.wait().expect("ends").code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn functions_with_two_contents_make_an_answer_incomplete() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("two.txt");
    let line =
        |ids: &str| format!("00:00.0 Host bridge: x\n00: {ids} 00 00 00 00 00 00 00 06 00 00 00 00\n\n");
    std::fs::write(&file, line("86 80 c0 29") + &line("22 10 c0 29")).expect("written");
    let output = acsscan(&["--dump", file.to_str().expect("UTF-8")]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("0000:00:00.0: several times in the dump, with different content"), "{text}");
}

#[test]
fn the_running_host_is_no_dump() {
    for path in ["/", "/sys", "/../"] {
        assert_refused(&["--dump", path], 2, &["is the running host: leave out --dump"]);
    }
}
