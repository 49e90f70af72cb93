//! Why the running kernel formed other groups than the model: what a copied tree points to.
#![cfg(all(feature = "cli", feature = "testkit"))]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use acsscan::testkit::{Config, port_type};
use serde_json::Value;
use support::acsscan;

/// The ACS controls that isolation needs.
const ON: u16 = 0x001d;

/// A machine: a root port, a switch with two ports of this ACS control, a function behind each; beside
/// it a card whose functions the built-in database knows, and an IOMMU of AMD's.
fn functions(control: u16) -> Vec<(&'static str, Config)> {
    let downstream = |number, bus| Config::downstream(number, bus, bus).acs(0x001f, control, 0);
    let card = || Config::endpoint().ids(0x8086, 0x10c9).multi_function();
    vec![
        ("0000:00:00.2", Config::conventional().class(0x0806)),
        ("0000:00:01.0", Config::root_port(1, 4).acs(0x001f, ON, 0)),
        ("0000:01:00.0", Config::upstream(2, 4)),
        ("0000:02:00.0", downstream(0, 3)),
        ("0000:02:01.0", downstream(1, 4)),
        ("0000:03:00.0", Config::endpoint()),
        ("0000:04:00.0", Config::endpoint()),
        ("0000:00:02.0", Config::root_port(5, 5).acs(0x001f, ON, 0)),
        ("0000:05:00.0", card()),
        ("0000:05:00.1", card()),
    ]
}

/// Causes and texts of what explains the differences, where the kernel formed these groups and put every
/// other function alone.
fn explained(
    functions: &[(&str, Config)],
    together: &[&[&str]],
    cmdline: &str,
    kernel: &str,
) -> Vec<(String, String)> {
    let root = tempfile::tempdir().expect("a directory");
    let put = |path: &Path, bytes: &[u8]| {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    };
    let sysfs = root.path().join("sys");
    fs::create_dir_all(sysfs.join("bus/pci/devices")).expect("made");
    for (number, (address, config)) in functions.iter().enumerate() {
        let directory = sysfs.join("devices/pci0000:00").join(address);
        put(&directory.join("config"), config.bytes());
        symlink(
            format!("../../../devices/pci0000:00/{address}"),
            sysfs.join("bus/pci/devices").join(address),
        )
        .expect("made");
        let group = together.iter().position(|group| group.contains(address)).map_or(number, |at| 100 + at);
        symlink(format!("../../../kernel/iommu_groups/{group}"), directory.join("iommu_group"))
            .expect("made");
    }
    put(&root.path().join("proc/cmdline"), cmdline.as_bytes());
    put(&root.path().join("proc/sys/kernel/osrelease"), kernel.as_bytes());
    let dump = root.path().to_str().expect("UTF-8");
    let output = acsscan(&["--dump", dump, "--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let differences = document["differences"].as_array().expect("a list");
    let explanations = differences.iter().flat_map(|d| d["explanations"].as_array().expect("a list"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    explanations.map(|e| (text(&e["cause"]), text(&e["text"]))).collect()
}

fn causes(explanations: &[(String, String)]) -> Vec<&str> {
    explanations.iter().map(|(cause, _)| cause.as_str()).collect()
}

/// The groups of the switch without ACS: Linux keeps its ports apart, each with what is behind it.
const PAIRS: [&[&str]; 2] = [&["0000:02:00.0", "0000:03:00.0"], &["0000:02:01.0", "0000:04:00.0"]];
const SWITCH: [&str; 4] = ["0000:02:00.0", "0000:02:01.0", "0000:03:00.0", "0000:04:00.0"];

#[test]
fn groups_as_the_model_has_them_need_no_explanation() {
    assert!(explained(&functions(ON), &[], "quiet", "7.2.13").is_empty());
    assert!(explained(&functions(0), &PAIRS, "quiet", "7.2.13").is_empty());
}

#[test]
fn acs_that_was_turned_off_after_the_groups_formed_is_named_with_its_ports() {
    let found = explained(&functions(0), &PAIRS[1..], "quiet", "7.2.13");
    assert_eq!(causes(&found), ["registers-changed"], "{found:?}");
    let text = &found[0].1;
    assert!(text.contains("0000:02:00.0") && text.contains("off now") && text.contains("setpci"), "{text}");
    assert!(!text.contains("0000:00:01.0"), "its ACS is on: {text}");
}

#[test]
fn the_option_of_the_override_patch_goes_before_other_reasons() {
    let found = explained(&functions(0), &PAIRS[1..], "pcie_acs_override=downstream", "7.2.13");
    assert_eq!(causes(&found), ["override-patch", "registers-changed"]);
    assert!(found[0].1.contains("pcie_acs_override=downstream"));
    let joined = explained(&functions(ON), &[&SWITCH], "pcie_acs_override=downstream", "7.2.13");
    assert!(!causes(&joined).contains(&"override-patch"), "it never joins: {joined:?}");
}

#[test]
fn acs_that_was_turned_on_after_the_groups_formed_is_named() {
    let found = explained(&functions(ON), &[&SWITCH], "quiet", "7.2.13");
    assert_eq!(causes(&found), ["registers-changed"], "{found:?}");
    assert!(found[0].1.contains("on now") && found[0].1.contains("0000:02:00.0"), "{}", found[0].1);
}

#[test]
fn only_releases_that_turned_acs_on_late_are_blamed_and_only_with_amds_iommu() {
    let blamed = |functions: &[(&str, Config)], kernel| {
        let found = explained(functions, &[&SWITCH], "quiet", kernel);
        causes(&found).contains(&"kernel-version")
    };
    let amd = functions(ON);
    for (kernel, expected) in [
        ("6.12.50", true),
        ("6.12.82-amd64", true),
        ("6.12.83", false),
        ("6.11.0", false),
        ("6.6.90", true),
        ("6.1.150", true),
        ("7.2.13", false),
    ] {
        assert_eq!(blamed(&amd, kernel), expected, "{kernel}");
    }
    assert!(!blamed(&amd[1..], "6.12.50"), "no IOMMU of AMD's");
}

#[test]
fn an_exception_that_the_kernel_perhaps_lacks_is_named_with_its_entry() {
    let found = explained(&functions(ON), &[&["0000:05:00.0", "0000:05:00.1"]], "quiet", "4.0.0");
    let quirk = found.iter().find(|(cause, _)| cause == "quirk").expect("told");
    assert!(quirk.1.contains("intel-ethernet-endpoints") && quirk.1.contains("0000:05:00"), "{}", quirk.1);
}

#[test]
fn a_slot_that_takes_devices_later_is_named() {
    // Slot Implemented (PCI Express Capabilities, bit 8), Hot-Plug Capable (Slot Capabilities, bit 6).
    let express = 0x0102_0010 | u32::from(port_type::ROOT_PORT) << 20;
    let mut machine = functions(0);
    assert!(!causes(&explained(&machine, &[], "quiet", "7.2.13")).contains(&"hot-plug"));
    machine[1].1 = machine[1].1.clone().dword(0x40, express).dword(0x54, 1 << 6);
    let found = explained(&machine, &[], "quiet", "7.2.13");
    let slot = found.iter().find(|(cause, _)| cause == "hot-plug").expect("told");
    assert!(slot.1.contains("0000:00:01.0"), "{}", slot.1);
}

#[test]
fn what_nothing_explains_is_said_to_be_unexplained() {
    let found = explained(&functions(ON), &[&["0000:00:00.2", "0000:03:00.0"]], "quiet", "7.2.13");
    assert!(!found.is_empty());
    let alone: Vec<_> =
        functions(ON).into_iter().filter(|(address, _)| address.starts_with("0000:00:00")).collect();
    let more = [alone, vec![("0000:00:03.0", Config::conventional())]].concat();
    let found = explained(&more, &[&["0000:00:00.2", "0000:00:03.0"]], "quiet", "7.2.13");
    assert_eq!(causes(&found), ["unexplained"], "{found:?}");
}
