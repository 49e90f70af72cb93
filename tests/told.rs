//! What the command tells of machines that are made for one question each.
#![cfg(all(feature = "cli", feature = "testkit"))]

mod support;

use std::fmt::Write as _;
use std::path::PathBuf;

use acsscan::testkit::{Config, Machine};
use serde_json::Value;
use support::acsscan;

/// All controls that isolation needs.
const ALL: u16 = 0x1d;

/// Writes a machine as `lspci -xxxx` would print it.
fn dump(name: &str, machine: &Machine) -> String {
    let mut text = String::new();
    for (address, config) in machine.clone().functions_mut() {
        writeln!(text, "{address} Class").expect("a string takes it");
        for (line, bytes) in config.bytes().chunks(16).enumerate() {
            write!(text, "{:02x}:", line * 16).expect("a string takes it");
            for byte in bytes {
                write!(text, " {byte:02x}").expect("a string takes it");
            }
            text.push('\n');
        }
        text.push('\n');
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("told-{name}.txt"));
    std::fs::write(&path, text).expect("a dump");
    path.into_os_string().into_string().expect("a path")
}

/// What the command prints, and its exit status.
fn told(arguments: &[&str], dump: &str) -> (String, Option<i32>) {
    let output = acsscan(&[arguments, &["--dump", dump]].concat());
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("text");
    (text.split_whitespace().collect::<Vec<_>>().join(" "), output.status.code())
}

fn json(arguments: &[&str], dump: &str) -> Value {
    let output = acsscan(&[arguments, &["--format", "json", "--dump", dump]].concat());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A switch whose upstream port is one function of a device with a DMA engine beside it.
fn beside_an_upstream_port() -> Machine {
    Machine::new()
        .with("00:01.0", Config::root_port(1, 4).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::upstream(2, 4).multi_function())
        .with("01:00.1", Config::endpoint().multi_function())
        .with("02:00.0", Config::downstream(1, 3, 3).acs(0x5f, ALL, 0))
        .with("02:01.0", Config::downstream(2, 4, 4).acs(0x5f, ALL, 0))
        .with("03:00.0", Config::endpoint())
        .with("03:00.1", Config::endpoint().multi_function())
        .with("04:00.0", Config::endpoint())
}

#[test]
fn functions_of_one_device_are_told_to_be_trusted_with_their_own_requester_ids() {
    let dump = dump("siblings", &beside_an_upstream_port());
    let (text, _) = told(&["p2p", "03:00.0", "03:00.1"], &dump);
    assert!(text.contains("0000:03:00.0 is trusted not to use the other's requester ID"), "{text}");
    assert!(text.contains("--distrust-routing-ids counts it"), "{text}");
    assert!(!text.contains("is not among them") && !text.contains("is not below it"), "{text}");
    let (text, _) = told(&["p2p", "03:00.0", "03:00.1", "--distrust-routing-ids"], &dump);
    assert!(text.contains("the other's among them"), "{text}");
    let (text, _) = told(&["p2p", "03:00.0", "04:00.0"], &dump);
    assert!(text.contains("the other's is not among them") && !text.contains("is trusted"), "{text}");
}

#[test]
fn a_forged_requester_id_of_a_validated_range_is_not_put_down_to_a_port_that_does_not_validate() {
    let dump = dump("beside", &beside_an_upstream_port());
    let explained = json(&["explain", "01:00.1", "03:00.0"], &dump);
    let remedies = explained["remedies"].as_array().expect("remedies");
    let change = |reason: &str| {
        remedies.iter().find(|remedy| remedy["reason"] == reason).and_then(|remedy| remedy["change"].as_str())
    };
    let forged = change("impersonation").expect("a remedy");
    assert!(forged.starts_with("the slot") && forged.contains("no register helps"), "{forged}");
    let (text, _) = told(&["explain", "01:00.1", "03:00.0"], &dump);
    assert!(!text.contains("a port above it does not validate them"), "{text}");
    let shown =
        "the nearest port above it lets all requester IDs of the buses below it through, this one among them";
    assert!(text.contains(shown), "{text}");
    assert!(text.contains("0000:00:01.0: Bus Numbers at 0x018"), "{text}");
    // Where a port in between does not validate, it is the one.
    let mut machine = beside_an_upstream_port();
    machine.functions_mut()[3].1 = Config::downstream(1, 3, 3).acs(0x5f, ALL & !1, 0);
    let dump = self::dump("open", &machine);
    let (text, _) = told(&["explain", "03:00.0", "04:00.0"], &dump);
    assert!(text.contains("impersonation: a register: SrcValid of the ACS Control"), "{text}");
}

/// Two root ports of one device without ACS: what one leads to may reach what the other leads to.
#[test]
fn a_function_is_not_assignable_because_the_port_of_another_was_not_captured() {
    let machine = |length: usize| {
        let port = |bus| Config::root_port(bus, bus).multi_function();
        Machine::new()
            .with("00:01.0", port(1).captured(length))
            .with("00:01.1", port(2))
            .with("01:00.0", Config::endpoint())
            .with("02:00.0", Config::endpoint())
    };
    for (length, cause) in [(4096, "not-isolated"), (16, "bridge-not-in-dump")] {
        let dump = dump(&format!("other-port-{length}"), &machine(length));
        let (text, status) = told(&["check", "02:00.0"], &dump);
        assert_eq!(status, Some(3), "{text}");
        let answer = json(&["check", "02:00.0"], &dump);
        assert_eq!(answer["verdict"], "inconclusive", "{answer}");
        let objections = answer["objections"].as_array().expect("objections").clone();
        assert!(objections.iter().any(|o| o["code"] == cause), "{objections:?}");
    }
}

#[test]
fn a_pair_whose_answer_needs_a_root_ports_acs_is_inconclusive_without_it() {
    let machine = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, ALL, 0).captured(256))
        .with("00:02.0", Config::root_port(2, 2).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint())
        .with("02:00.0", Config::endpoint());
    let dump = dump("root-acs", &machine);
    let (text, status) = told(&["p2p", "01:00.0", "02:00.0"], &dump);
    assert!(text.contains("is not known, and the root complex may route"), "{text}");
    assert_eq!(status, Some(3), "{text}");
}

/// The whole dump, and one that ends within a line, alone and compressed.
#[test]
fn a_dump_cut_within_a_functions_first_line_is_incomplete_and_assigns_nothing() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/qemu-sriov/dump.txt");
    let whole = std::fs::read_to_string(path).expect("the corpus");
    let scratch = tempfile::tempdir().expect("a directory");
    let of = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        std::fs::write(&path, text).expect("a dump");
        path.into_os_string().into_string().expect("a path")
    };
    let next = whole.find("0000:00:1f.2 ").expect("there");
    for length in 1..=28 {
        let cut = &whole[..next + length];
        let plain = of("cut.txt", cut);
        for arguments in [&["--summary"][..], &["check", "00:1f.0"]] {
            let (text, status) = told(arguments, &plain);
            assert!(text.contains("input-incomplete") && status == Some(3), "{length}: {text}");
            assert!(!text.contains("complete (") && !text.contains(", complete"), "{length}: {text}");
        }
        if cfg!(feature = "archive") && length % 9 == 1 {
            let packed = std::process::Command::new("gzip").args(["-kf", &plain]).status();
            assert!(packed.expect("gzip is installed").success());
            let (text, status) = told(&["--summary"], &format!("{plain}.gz"));
            assert!(text.contains("input-incomplete") && status == Some(3), "{length}: {text}");
        }
    }
    let without_last_newline = whole.trim_end();
    for end in ["", "\n-- \nme", "\n\nreported by"] {
        let (text, status) = told(&["--summary"], &of("whole.txt", &format!("{without_last_newline}{end}")));
        assert!(text.contains("32 functions, complete") && status == Some(0), "{end:?}: {text}");
    }
}

#[test]
fn a_plan_for_a_function_that_nothing_is_known_of_is_not_reached_already() {
    let machine = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint())
        .with("04:00.0", Config::endpoint().captured(64));
    let dump = dump("plan-unknown", &machine);
    for model in ["spec", "linux"] {
        let plan = ["plan", "isolate", "04:00.0", "--model", model];
        let (text, status) = told(&plan, &dump);
        assert!(text.contains("not known whether it is reached"), "{text}");
        assert!(text.contains("Assumed that bridges which the dump lacks keep"), "{text}");
        assert!(!text.contains("reached already") && status == Some(3), "{text}");
        let answer = json(&plan, &dump);
        assert_eq!(answer["outcome"], "inconclusive", "{answer}");
        let missing = answer["missing"].as_array().expect("a list");
        let says =
            |what: &str| missing.iter().any(|line| line.as_str().is_some_and(|line| line.contains(what)));
        assert!(says("orphan-bus") && says("not all of its configuration space"), "{missing:?}");
        assert_eq!(json(&["check", "04:00.0", "--policy", model], &dump)["verdict"], "inconclusive");
    }
    let whole = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint());
    let (text, status) = told(&["plan", "isolate", "01:00.0"], &self::dump("plan-known", &whole));
    assert!(text.contains("reached already") && status == Some(0), "{text}");
}

#[test]
fn a_page_that_is_inconclusive_is_told_to_be_and_a_folder_that_is_not_there_too() {
    let scratch = tempfile::tempdir().expect("a directory");
    let page = scratch.path().join("page.html");
    let page = page.to_str().expect("a path");
    let short = dump("page", &Machine::new().with("00:02.0", Config::endpoint().captured(64)));
    let (text, status) = told(&["report", "-o", page], &short);
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("is not in the dump: the page names it"), "{text}");
    assert!(std::fs::read_to_string(page).expect("a page").contains("config-not-captured"));
    let nowhere = scratch.path().join("none/page.html");
    let (text, status) = told(&["report", "-o", nowhere.to_str().expect("a path")], &short);
    assert!(text.contains("none: no such directory: make it first") && status == Some(4), "{text}");
    assert!(!text.contains(".acsscan-"), "{text}");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_acsscan"));
    let output = command.args(["--ids", "/nonexistent", "--dump", &short]).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("without --ids the system's is taken") && output.status.code() == Some(4),
        "{text}"
    );
}

#[test]
fn kinds_of_functions_are_named_in_any_case_and_with_spaces_behind_the_comma() {
    let port = |bus| Config::root_port(bus, bus).acs(0x5f, ALL, 0);
    let machine = Machine::new()
        .with("00:01.0", port(1))
        .with("00:02.0", port(2))
        .with("01:00.0", Config::endpoint().class(0x0200))
        .with("02:00.0", Config::endpoint().class(0x0108));
    let dump = dump("kinds", &machine);
    for kinds in ["nic,nvme", "NIC, NVMe", " Nic ,nvme "] {
        let (text, status) = told(&["p2p", "--matrix", "--class", kinds], &dump);
        assert!(text.contains("0000:01:00.0") && status == Some(0), "{kinds}: {text}");
        let (text, status) = told(&["plan", "connect", "--all-pairs", "--class", kinds], &dump);
        assert!(text.contains("0000:02:00.0") && status != Some(2), "{kinds}: {text}");
        let checked = acsscan(&["fleet", "--check", kinds, "--format", "jsonl", &dump]);
        let host: Value = serde_json::from_slice(&checked.stdout).expect("a line");
        assert_eq!(host["check"]["devices"].as_array().map(Vec::len), Some(2), "{kinds}: {host}");
    }
    let (text, status) = told(&["p2p", "--matrix", "--class", "GPU"], &dump);
    assert!(
        text.contains("--class gpu: no such function in the dump; there are") && status == Some(4),
        "{text}"
    );
}

#[test]
fn a_function_of_another_segment_is_offered_where_the_segment_is_wrong() {
    let machine =
        Machine::new().with("00:02.0", Config::endpoint()).with("10000:01:00.0", Config::endpoint());
    let dump = dump("segments", &machine);
    let (text, _) = told(&["explain", "01:00.0"], &dump);
    assert!(text.contains("there is 10000:01:00.0, of another segment"), "{text}");
    let (text, _) = told(&["explain", "05:00.0"], &dump);
    assert!(text.contains("show -t lists them, such as 0000:00:02.0"), "{text}");
}
