//! What is known beside registers, and what is decided: the device database, acceptances, `check`.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use acsscan::testkit::{Config, port_type};
use serde_json::Value;
use support::{acsscan, shared};

/// A machine as config files: two root ports with all that isolation needs, below each a card with two
/// functions and no ACS; the first card is unknown to everybody, the second is an 82576, which the
/// built-in database knows. A switch without ACS leads to two more cards.
struct Machine {
    scratch: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let dump = scratch.path().join("dump");
        fs::create_dir(&dump).expect("made");
        let put = |address: &str, config: Config| {
            fs::write(dump.join(format!("{address}.bin")), config.bytes()).expect("written");
        };
        let root_port = |bus, last| Config::root_port(bus, last).acs(0x001f, 0x001d, 0);
        put("0000:00:00.0", Config::conventional().class(0x0600));
        put("0000:00:01.0", root_port(1, 1));
        put("0000:00:02.0", root_port(2, 2));
        put("0000:00:03.0", root_port(3, 6));
        for function in 0..2 {
            put(&format!("0000:01:00.{function}"), Config::endpoint().ids(0x1af4, 0x9999).multi_function());
            put(&format!("0000:02:00.{function}"), Config::endpoint().ids(0x8086, 0x10c9).multi_function());
        }
        put("0000:03:00.0", Config::upstream(4, 6));
        put("0000:04:00.0", Config::downstream(0, 5, 5));
        put("0000:04:01.0", Config::downstream(1, 6, 6));
        put("0000:05:00.0", Config::pcie(port_type::ENDPOINT));
        put("0000:06:00.0", Config::endpoint().class(0x0108));
        Self { scratch }
    }

    fn root(&self) -> &Path {
        self.scratch.path()
    }

    fn dump(&self) -> String {
        text(&self.root().join("dump"))
    }

    /// Writes a database file of these entries.
    fn file(&self, path: &str, entries: &str) -> String {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("made");
        fs::write(&path, format!("schema = 1\n{entries}")).expect("written");
        text(&path)
    }

    /// The command on this machine, in the year 2026, with the directories of the machine's own root.
    fn run(&self, arguments: &[&str]) -> std::process::Output {
        let root = text(self.root());
        let common = ["--dump", &self.dump(), "--db-root", &root];
        let day = if arguments.contains(&"--today") { &[][..] } else { &["--today", "2026-11-01"] };
        acsscan(&[arguments, &common, day].concat())
    }

    /// Exit code and document.
    fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), document)
    }

    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).stdout).expect("UTF-8")
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn codes(document: &Value) -> Vec<&str> {
    let findings = document["findings"].as_array().expect("findings");
    findings.iter().filter_map(|finding| finding["code"].as_str()).collect()
}

const ISOLATES: &str = r#"
[[entry]]
name = "our-card"
kind = "isolates"
match = { vendor = "1af4", devices = ["9999"] }
services = ["ReqRedir", "CmpltRedir"]
source = "Letter of the vendor, 2026-03-02"
reason = "Its functions share no internal path."
"#;

/// An acceptance of the switch's first port, until the end of 2026.
const ACCEPT: &str = r#"
[[entry]]
name = "lab-switch"
kind = "accept"
slot = "0000:00:03.0/00.0/00.0/00.0"
direct = true
who = "Erika Mustermann"
reason = "Both guests are ours."
until = 2026-12-31
"#;

#[test]
fn a_multi_function_card_without_acs_is_undetermined_out_of_the_box() {
    let machine = Machine::new();
    let (code, check) = machine.json(&["check", "01:00.0"]);
    assert_eq!((code, &check["verdict"]), (Some(3), &Value::from("inconclusive")));
    assert_eq!(check["objections"][0]["certain"], false);
    assert_eq!(check["reached"][0]["disposition"], "undetermined");
    assert_eq!(check["reached"][0]["reason"], "multi-function-without-acs");
    let unit: Vec<_> = check["unit"].as_array().expect("unit").iter().map(|m| &m["function"]).collect();
    assert_eq!(unit, ["0000:00:01.0", "0000:01:00.0", "0000:01:00.1"]);
    let bound: Vec<_> = check["unit"].as_array().expect("unit").iter().map(|m| &m["bind"]).collect();
    assert_eq!(bound, [false, true, true], "a port need not be bound");
    assert_eq!(machine.run(&["check", "01:00.0", "01:00.1"]).status.code(), Some(0), "together they may");
}

#[test]
fn what_is_not_known_can_be_told_only_or_passed() {
    let machine = Machine::new();
    for (unknown, verdict, code) in
        [("fail", "inconclusive", 3), ("warn", "assignable", 0), ("pass", "assignable", 0)]
    {
        let (found, check) = machine.json(&["check", "01:00.0", "--unknown", unknown]);
        assert_eq!((found, &check["verdict"]), (Some(code), &Value::from(verdict)), "{unknown}");
        let (found, check) = machine.json(&["check", "05:00.0", "--unknown", unknown]);
        assert_eq!((found, &check["verdict"]), (Some(1), &Value::from("not-assignable")), "{unknown}");
    }
}

#[test]
fn a_built_in_entry_makes_a_card_isolated_by_database_with_its_source() {
    let machine = Machine::new();
    let (code, check) = machine.json(&["check", "02:00.0"]);
    assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("assignable")));
    let entry = &check["database"][0];
    assert_eq!((&entry["entry"], &entry["layer"]), (&"intel-ethernet-endpoints".into(), &"built-in".into()));
    assert!(entry["source"].as_str().is_some_and(|source| source.starts_with("Linux 7.2.13")), "{entry}");
    let said = "by database entry intel-ethernet-endpoints (built-in), source: Linux 7.2.13";
    for verb in [&["check", "02:00.0"][..], &["p2p", "02:00.0", "02:00.1"], &[]] {
        assert!(machine.text(verb).contains(said), "{verb:?}: {}", machine.text(verb));
    }
    let (_, route) = machine.json(&["p2p", "02:00.0", "02:00.1"]);
    assert_eq!(route["routes"][0]["disposition"], "redirected", "as with the control on, never isolated");
}

#[test]
fn an_administrators_file_does_the_same_for_an_unknown_card_without_touching_a_guest() {
    let machine = Machine::new();
    let path = machine.file("etc/acsscan/devices.d/10-ours.toml", ISOLATES);
    let (code, check) = machine.json(&["check", "01:00.0"]);
    assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("assignable")));
    let entry = &check["database"][0];
    assert_eq!(entry["layer"], "administrator");
    assert_eq!(entry["file"], path.as_str());
    assert_eq!(entry["source"], "Letter of the vendor, 2026-03-02");
    let said = format!("by database entry our-card (administrator, {path}), source: Letter of the vendor");
    assert!(machine.text(&["explain", "01:00.0", "01:00.1"]).contains("isolated"));
    assert!(machine.text(&["check", "01:00.0"]).contains(&said), "{}", machine.text(&["check", "01:00.0"]));
    let without = machine.run(&["check", "01:00.0", "--no-default-db"]);
    assert_eq!(without.status.code(), Some(3));
    let (_, linux) = machine.json(&["check", "01:00.0", "--policy", "linux"]);
    assert_eq!(linux["verdict"], "not-assignable", "the kernel knows nothing of the file");
}

#[test]
fn an_entry_with_a_condition_leaves_the_verdict_open_and_names_the_condition() {
    let machine = Machine::new();
    let entry = format!("{ISOLATES}conditions = [{{ other = \"firmware 12 or later is loaded\" }}]\n");
    let path = machine.file("conditional.toml", &entry);
    let (code, check) = machine.json(&["check", "01:00.0", "--db", &path]);
    assert_eq!((code, &check["reached"][0]["reason"]), (Some(3), &Value::from("database-condition")));
    let words = "firmware 12 or later is loaded";
    assert_eq!(check["reached"][0]["evidence"][0]["conditions"][0], words);
    assert_eq!(check["database"][0]["conditions"][0], words);
    for verb in [
        &["db", "explain", "01:00.0"][..],
        &["check", "01:00.0"],
        &["p2p", "01:00.0", "01:00.1"],
        &["explain", "01:00.0"],
        &["explain", "01:00.0", "01:00.1"],
        &[],
    ] {
        let asked = [verb, &["--db", &path]].concat();
        // Lines are broken where the terminal ends.
        let text = machine.text(&asked).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{verb:?}: {text}");
        let (_, document) = machine.json(&asked);
        assert!(document.to_string().contains(words), "{verb:?}: {document}");
    }
}

#[test]
fn an_acceptance_makes_check_pass_as_accepted_and_fail_after_its_last_day() {
    let machine = Machine::new();
    assert_eq!(machine.run(&["check", "05:00.0"]).status.code(), Some(1));
    let path = machine.file("accepted.toml", ACCEPT);
    let (code, check) = machine.json(&["check", "05:00.0", "--db", &path]);
    assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("accepted")));
    assert_eq!(check["accepted"][0]["who"], "Erika Mustermann");
    assert_eq!(check["accepted"][0]["until"], "2026-12-31");
    for way in check["reached"].as_array().expect("ways") {
        let disposition = way["disposition"].as_str().unwrap_or_default();
        assert!(["direct", "impersonation"].contains(&disposition), "what is Direct stays Direct: {way}");
        assert_eq!(way["accepted"]["entry"], "lab-switch");
    }
    for (day, code) in [("2026-12-31", 0), ("2027-01-01", 1)] {
        let output = machine.run(&["check", "05:00.0", "--db", &path, "--today", day]);
        assert_eq!(output.status.code(), Some(code), "{day}");
    }
    let (_, late) = machine.json(&["check", "05:00.0", "--db", &path, "--today", "2027-01-01"]);
    assert_eq!(late["verdict"], "not-assignable");
    assert!(codes(&late).contains(&"acceptance-expired"), "{:?}", codes(&late));
    assert!(late["reached"].as_array().expect("ways").iter().all(|way| way["accepted"].is_null()));
}

#[test]
fn what_is_direct_needs_an_acceptance_that_says_so() {
    let machine = Machine::new();
    let path = machine.file("accepted.toml", &ACCEPT.replace("direct = true\n", ""));
    let (code, check) = machine.json(&["check", "05:00.0", "--db", &path]);
    assert_eq!((code, &check["verdict"]), (Some(1), &Value::from("not-assignable")));
    let card = ACCEPT.replace("direct = true\n", "").replace(
        "slot = \"0000:00:03.0/00.0/00.0/00.0\"",
        "match = { vendor = \"1af4\", devices = [\"9999\"] }",
    );
    let path = machine.file("card.toml", &card);
    let (code, check) = machine.json(&["check", "01:00.0", "--db", &path]);
    assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("accepted")), "what is not known does not");
}

#[test]
fn an_acceptance_of_the_port_that_decides_covers_what_passes_it() {
    let machine = Machine::new();
    let ports = ["0000:00:03.0/00.0/00.0", "0000:00:03.0/00.0/01.0"];
    let entries = ports.map(|slot| {
        ACCEPT
            .replace("0000:00:03.0/00.0/00.0/00.0", slot)
            .replace("lab-switch", &format!("port-{}", &slot[slot.len() - 3..slot.len() - 2]))
    });
    let path = machine.file("ports.toml", &entries.concat());
    let (code, check) = machine.json(&["check", "05:00.0", "--db", &path]);
    assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("accepted")), "{check:#}");
}

#[test]
fn an_acceptance_with_one_other_function_covers_that_pair_only() {
    let machine = Machine::new();
    let with = |slot: &str| format!("{ACCEPT}with = {{ slot = \"{slot}\" }}\n");
    let other = machine.file("other.toml", &with("0000:00:03.0/00.0/01.0/00.0"));
    assert_eq!(machine.run(&["check", "05:00.0", "--db", &other]).status.code(), Some(0));
    let elsewhere = machine.file("elsewhere.toml", &with("0000:00:01.0/00.0"));
    assert_eq!(machine.run(&["check", "05:00.0", "--db", &elsewhere]).status.code(), Some(1));
}

#[test]
fn every_output_shows_an_acceptance_beside_the_disposition() {
    let machine = Machine::new();
    let path = machine.file("accepted.toml", ACCEPT);
    let said = "accepted (by Erika Mustermann, until 2026-12-31)";
    for verb in [
        &[][..],
        &["groups", "--model", "spec"],
        &["groups", "--model", "spec,linux"],
        &["p2p", "05:00.0", "06:00.0"],
        &["p2p", "--matrix"],
        &["explain", "05:00.0"],
        &["explain", "05:00.0", "06:00.0"],
        &["check", "05:00.0"],
        &["db", "explain", "05:00.0"],
        &["db", "lookup", "05:00.0"],
        &["db", "list"],
    ] {
        let text = machine.text(&[verb, &["--db", &path]].concat());
        assert!(text.contains(said), "{verb:?}: {text}");
    }
    let (_, route) = machine.json(&["p2p", "05:00.0", "06:00.0", "--db", &path]);
    let memory = &route["routes"][0];
    assert_eq!(
        (&memory["disposition"], &memory["accepted"]["who"]),
        (&"direct".into(), &"Erika Mustermann".into())
    );
    let (_, with) = machine.json(&["--db", &path]);
    let (_, without) = machine.json(&[]);
    let functions = |scan: &Value| {
        scan["domains"]
            .as_array()
            .expect("domains")
            .iter()
            .map(|d| d["functions"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(functions(&with), functions(&without), "no domain changes");
}

#[test]
fn an_acceptance_that_names_nothing_or_an_address_is_told() {
    let machine = Machine::new();
    let gone = machine.file("gone.toml", &ACCEPT.replace("0000:00:03.0", "0000:00:09.0"));
    assert!(codes(&machine.json(&["--db", &gone]).1).contains(&"acceptance-unmatched"));
    let place = "slot = \"0000:00:03.0/00.0/00.0/00.0\"";
    let address = machine.file("address.toml", &ACCEPT.replace(place, "slot = \"0000:05:00.0\""));
    let (code, check) = machine.json(&["check", "05:00.0", "--db", &address]);
    assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("accepted")));
    assert!(codes(&check).contains(&"acceptance-by-address"));
}

#[test]
fn a_place_of_this_host_is_not_taken_for_one_of_a_dump() {
    let machine = Machine::new();
    machine.file("etc/acsscan/devices.d/accepted.toml", ACCEPT);
    let (code, check) = machine.json(&["check", "05:00.0"]);
    assert_eq!((code, &check["verdict"]), (Some(1), &Value::from("not-assignable")));
    assert!(codes(&check).contains(&"acceptance-elsewhere"), "{:?}", codes(&check));
}

#[test]
fn db_accept_prints_an_entry_that_check_then_takes() {
    let machine = Machine::new();
    let arguments = ["db", "accept", "05:00.0", "--direct", "--who", "Erika \"E\" \\ M", "--reason", "Ours."];
    let entry = machine.text(&arguments);
    assert!(entry.contains("slot = \"0000:00:03.0/00.0/00.0/00.0\"") && entry.contains("until = 2027-11-01"));
    let path = machine.root().join("printed.toml");
    fs::write(&path, entry).expect("written");
    let (code, check) = machine.json(&["check", "05:00.0", "--db", &text(&path)]);
    assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("accepted")));
    assert_eq!(check["accepted"][0]["who"], "Erika \"E\" \\ M");
    let nobody = ["db", "accept", "05:00.0", "--direct", "--reason", "Ours."];
    assert_eq!(machine.run(&nobody).status.code(), Some(2), "a decision is somebody's");
    let by_id = machine
        .text(&["db", "accept", "01:00.0", "--by-id", "--with", "01:00.1", "--who", "E", "--reason", "R"]);
    assert!(by_id.contains("match = { vendor = \"1af4\", devices = [\"9999\"] }"), "{by_id}");
    assert!(acsscan(&["db", "check", &text(&path)]).status.success());
}

#[test]
fn libvirts_own_check_gives_its_verdicts_and_the_difference_to_strict_is_named() {
    let Some(dumps) = shared("realworld/libvirt") else { return };
    let dumps = text(&dumps);
    let check = |function: &str, policy: &str| {
        let output = acsscan(&["check", function, "--policy", policy, "--dump", &dumps, "--format", "json"]);
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), document)
    };
    for function in ["0005:90:01.0", "0001:01:00.0"] {
        for policy in ["libvirt", "relaxed"] {
            let (code, document) = check(function, policy);
            assert_eq!((code, &document["verdict"]), (Some(0), &"assignable".into()), "{function} {policy}");
        }
    }
    // Not on bus 0, and no bridge above: an error, relaxed or not.
    for policy in ["libvirt", "relaxed"] {
        let (code, document) = check("0000:06:12.0", policy);
        assert_eq!((code, &document["objections"][0]["code"]), (Some(1), &"no-parent".into()));
    }
    let (code, strict) = check("0001:01:00.0", "strict");
    assert_eq!((code, &strict["policy"]), (Some(3), &"spec".into()));
    let libvirt = strict["policies"].as_array().expect("policies").iter().find(|p| p["policy"] == "libvirt");
    let through = &libvirt.expect("libvirt")["lets_through"][0];
    assert_eq!((&through["from"][0], &through["to"][0]), (&"0001:01:00.0".into(), &"0001:01:00.1".into()));
}

#[test]
fn libvirt_refuses_behind_a_switch_without_acs_and_relaxed_lets_it_through_pair_by_pair() {
    let machine = Machine::new();
    let (code, libvirt) = machine.json(&["check", "05:00.0", "--policy", "libvirt"]);
    assert_eq!((code, &libvirt["objections"][0]["code"]), (Some(1), &"behind-switch-lacking-acs".into()));
    assert_eq!(libvirt["objections"][0]["others"][0], "0000:04:00.0");
    let (code, relaxed) = machine.json(&["check", "05:00.0", "--policy", "relaxed"]);
    assert_eq!((code, &relaxed["verdict"]), (Some(0), &"assignable".into()));
    let policies = relaxed["policies"].as_array().expect("policies");
    let through = |name: &str| {
        let policy = policies.iter().find(|policy| policy["policy"] == name).expect("there");
        policy["lets_through"].as_array().expect("ways").len()
    };
    assert_eq!((through("spec"), through("libvirt")), (0, 0));
    assert!(
        through("relaxed") > 0 && through("linux") == through("relaxed"),
        "the kernel does not see it either"
    );
    let said = "does not see that 0000:05:00.0 is not kept apart from 0000:06:00.0: direct, impersonation";
    assert_eq!(machine.text(&["check", "05:00.0"]).matches(said).count(), 2);
}

#[test]
fn bridges_are_not_assigned_and_a_mistake_in_the_arguments_says_what_to_do() {
    let machine = Machine::new();
    let (code, check) = machine.json(&["check", "04:00.0"]);
    assert_eq!((code, &check["objections"][0]["code"]), (Some(1), &"not-an-endpoint".into()));
    for (arguments, code, told) in [
        (&["check"][..], 2, "check what?"),
        (&["check", "7f:00.0"], 4, "no such function"),
        (&["check", "eth0"], 2, "eth0"),
        (&["check", "-d", "dead:"], 4, "nothing to check"),
        (&["db", "lookup", "intel"], 2, "neither IDs such as 8086:10fb"),
        (&["db", "accept", "05:00.0", "--until", "2027-02-30"], 2, "expected a day"),
        (&["--db", "/nowhere.toml"], 4, "--db /nowhere.toml: there is no such file"),
    ] {
        let output = machine.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(told) && output.stdout.is_empty(), "{arguments:?}: {stderr}");
    }
}

#[test]
fn one_bad_file_is_told_and_does_not_drop_the_others() {
    let machine = Machine::new();
    machine.file("etc/acsscan/devices.d/10-ours.toml", ISOLATES);
    let bad = machine.file("etc/acsscan/devices.d/20-bad.toml", &ISOLATES.replace("services", "service"));
    let output = machine.run(&["check", "01:00.0", "--format", "json"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains(&format!("database-file-refused: {bad}:7:1: ")), "{stderr}");
    let check: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(check["objections"].as_array().map(Vec::len), Some(0), "the other file counts: {check:#}");
    assert!(codes(&check).contains(&"database-file-refused"));
    // What it would have said, nobody knows.
    assert_eq!((output.status.code(), &check["verdict"]), (Some(3), &Value::from("inconclusive")));
    assert!(check["missing"][0].as_str().expect("text").contains("20-bad.toml"), "{check:#}");
    let passed = machine.json(&["check", "01:00.0", "--unknown", "warn"]);
    assert_eq!((passed.0, &passed.1["verdict"]), (Some(0), &Value::from("assignable")));
    let checked = machine.run(&["db", "check", &bad]);
    assert_eq!(checked.status.code(), Some(1));
    let told = String::from_utf8(checked.stdout).expect("UTF-8");
    assert!(told.contains(&format!("{bad}:7:1: wrong: `service` is not a key here")), "{told}");
}

/// Every file below `tests/databases`, with what is told about it: the expected text stands beside it.
#[test]
fn every_bad_database_gets_its_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/databases");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 12, "{}", files.len());
    for path in files {
        let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("in the repository");
        let output = acsscan(&["db", "check", &text(relative)]);
        assert_eq!(output.status.code(), Some(1), "{}", path.display());
        let told = String::from_utf8(output.stdout).expect("UTF-8");
        let expected = path.with_extension("txt");
        if std::env::var_os("ACSSCAN_BLESS").is_some() {
            fs::write(&expected, &told).expect("writable");
        }
        assert_eq!(told, fs::read_to_string(&expected).unwrap_or_default(), "{}", path.display());
        assert!(told.lines().all(|line| line.starts_with("tests/databases/")), "{told}");
    }
}

#[test]
fn what_the_host_uses_is_told_with_its_reserved_regions() {
    let scratch = tempfile::tempdir().expect("a directory");
    let root = scratch.path();
    let make = |path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("made");
        fs::write(path, content).expect("written");
    };
    let link = |to: &str, at: &str| {
        let at = root.join(at);
        fs::create_dir_all(at.parent().expect("below")).expect("made");
        std::os::unix::fs::symlink(root.join(to), at).expect("made");
    };
    let disk = "sys/devices/pci0000:00/0000:00:17.0";
    make(&format!("{disk}/config"), Config::conventional().class(0x0106).bytes());
    make(&format!("{disk}/ata1/block/sda/sda1/partition"), b"1\n");
    link(&format!("{disk}/ata1/block/sda/sda1"), "sys/dev/block/8:1");
    link(disk, "sys/bus/pci/devices/0000:00:17.0");
    link("sys/bus/pci/drivers/ahci", &format!("{disk}/driver"));
    link("sys/kernel/iommu_groups/7", &format!("{disk}/iommu_group"));
    make(
        "sys/kernel/iommu_groups/7/reserved_regions",
        b"0x00000000fee00000 0x00000000feefffff msi\n0x000000007b800000 0x000000007fffffff direct\nnonsense\n",
    );
    make("proc/self/mountinfo", b"21 1 8:1 / / rw - ext4 /dev/root rw\n");
    let dump = text(root);
    let run = |policy: &str| {
        let arguments = ["check", "00:17.0", "--policy", policy, "--dump", &dump, "--format", "json"];
        let output = acsscan(&arguments);
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let check = run("spec");
    let member = &check["unit"][0];
    assert_eq!((&member["driver"], &member["host_uses"][0]), (&"ahci".into(), &"mounted on /".into()));
    assert_eq!(member["reserved_regions"][1]["kind"], "direct");
    assert!(codes(&check).contains(&"in-use-by-host"), "{check:#}");
    let objections = &run("linux")["objections"];
    assert!(
        objections.as_array().expect("some").iter().any(|o| o["code"] == "direct-mapping"),
        "{objections}"
    );
    let capture = text(&root.join("host.tar.zst"));
    let captured = acsscan(&["capture", "--sysfs-root", &text(&root.join("sys")), "-o", &capture]);
    assert!(matches!(captured.status.code(), Some(0 | 3)), "{captured:?}");
    let output = acsscan(&["check", "00:17.0", "--dump", &capture, "--format", "json"]);
    let check: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let member = &check["unit"][0];
    assert_eq!((&member["driver"], &member["host_uses"]), (&"ahci".into(), &Value::Array(vec![])));
    assert_eq!(member["reserved_regions"][1]["kind"], "direct", "captures have them");
}

#[test]
fn the_examples_of_the_documentation_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = 0;
    for page in ["README.md", "src/db/README.md"] {
        let page = fs::read_to_string(root.join(page)).expect("there");
        let examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for example in examples.filter(|example| example.contains("[[entry]]")) {
            acsscan::db::parse(example, acsscan::db::Layer::CommandLine, "example").expect("right");
            found += 1;
        }
    }
    let help = String::from_utf8(acsscan_raw(&["db", "--help"]).stdout).expect("UTF-8");
    let from = help.find("  schema = 1").expect("an example");
    let to = help[from..].find("\n\nAll kinds").expect("its end") + from;
    let contents =
        acsscan::db::parse(&help[from..to], acsscan::db::Layer::CommandLine, "help").expect("right");
    assert_eq!((found, contents.entries.len(), contents.acceptances.len()), (3, 1, 1));
}

fn acsscan_raw(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_acsscan")).args(arguments).output().expect("runs")
}

#[test]
fn check_and_db_keep_to_the_schema() {
    let machine = Machine::new();
    let path = machine.file("own.toml", &format!("{ISOLATES}{ACCEPT}"));
    let schema = serde_json::from_slice(&acsscan(&["schema"]).stdout).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    for arguments in [
        &["check", "05:00.0"][..],
        &["check", "01:00.0", "--policy", "linux"],
        &["db", "list"],
        &["db", "lookup", "8086:10fb"],
        &["db", "lookup", "01:00.0"],
        &["db", "explain", "02:00.0"],
        &["db", "accept", "05:00.0", "--who", "E", "--reason", "R"],
        &["db", "check", &path],
        &["p2p", "05:00.0", "06:00.0"],
        &["p2p", "--matrix"],
        &["explain", "05:00.0", "06:00.0"],
        &[],
    ] {
        let (_, document) = machine.json(&[arguments, &["--db", &path]].concat());
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{arguments:?}: {errors:?}");
    }
}

#[test]
fn links_in_database_directories_are_followed_confined_or_not() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let kept = elsewhere.path().join("kept.toml");
    fs::write(&kept, format!("schema = 1\n{ISOLATES}")).expect("written");
    for (directory, named) in [("etc/acsscan/devices.d", false), ("named", true)] {
        let machine = Machine::new();
        let directory = machine.root().join(directory);
        fs::create_dir_all(&directory).expect("made");
        // By way of another link.
        symlink(&kept, directory.join("stage")).expect("made");
        symlink("stage", directory.join("10.toml")).expect("made");
        let directory = text(&directory);
        let places = if named { &["--db", &directory][..] } else { &[] };
        let (code, check) = machine.json(&[&["check", "01:00.0"], places].concat());
        assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("assignable")), "{places:?}");
        for more in [places, &[&directory]] {
            let checked = machine.run(&[&["db", "check"], more].concat());
            let stdout = String::from_utf8_lossy(&checked.stdout);
            assert!(checked.status.code() == Some(0) && stdout.contains("10.toml"), "{more:?}: {stdout}");
        }
    }
}
