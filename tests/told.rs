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
