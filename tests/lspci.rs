//! lspci as a second opinion: where it decodes an ACS structure, the same bits must be decoded here.
#![cfg(feature = "std")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use acsscan::addr::Sbdf;
use acsscan::cap::acs::{AcsCapability, AcsControl};
use acsscan::dump::{self, Input, Options};
use acsscan::function::Inventory;
use support::{files, plain, shared, subdirectories};

/// Offset, and the `+` tokens of both registers, by address.
type Structures = BTreeMap<Sbdf, (u16, String, String)>;

/// What `lspci -F` makes of a dump; `None` where lspci is missing or refuses the file.
fn of_lspci(path: &Path) -> Option<Structures> {
    let output = Command::new("lspci").args(["-D", "-vvv", "-F"]).arg(path).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let (mut found, mut address, mut offset) = (Structures::new(), None, 0);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let words = || line.split_whitespace().skip(1).take(7).collect::<Vec<_>>().join(" ");
        if !line.starts_with(['\t', ' ']) {
            address = line.split(' ').next().and_then(|word| word.parse().ok()).or(address);
        } else if line.contains("Access Control Services") {
            let hex = line.split(['[', ' ']).find_map(|word| u16::from_str_radix(word, 16).ok());
            offset = hex.expect("lspci prints the offset");
        } else if line.trim_start().starts_with("ACSCap:") {
            found.entry(address.expect("a function")).or_insert((offset, words(), String::new()));
        } else if line.trim_start().starts_with("ACSCtl:") {
            let entry = found.get_mut(&address.expect("a function")).expect("after ACSCap");
            if entry.2.is_empty() {
                entry.2 = words();
            }
        }
    }
    Some(found)
}

fn of_acsscan(path: &Path) -> Option<Structures> {
    let mut inventory = Inventory::new();
    dump::read(&Input::Path(path.to_owned()), &Options::default(), &mut inventory).ok()?;
    let inventory = inventory.finish();
    let sign = |on| if on { '+' } else { '-' };
    let structures = inventory.functions().iter().filter_map(|function| {
        let acs = function.acs.present()?;
        let capability = AcsCapability::TOKENS[..7].iter();
        let control = AcsControl::TOKENS[..7].iter();
        let capability: Vec<String> =
            capability.map(|(t, bit)| format!("{t}{}", sign(acs.capability.contains(*bit)))).collect();
        let control: Vec<String> =
            control.map(|(t, bit)| format!("{t}{}", sign(acs.control.contains(*bit)))).collect();
        Some((function.address, (acs.offset.get(), capability.join(" "), control.join(" "))))
    });
    Some(structures.collect())
}

#[test]
fn every_acs_structure_that_lspci_decodes_is_decoded_to_the_same_bits() {
    if Command::new("lspci").arg("--version").output().is_err() {
        println!("skipped: lspci is not installed");
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let mut dumps = Vec::new();
    for set in shared("oracle").iter().flat_map(|oracle| subdirectories(oracle)) {
        let place = scratch.path().join(set.file_name().expect("named"));
        std::fs::create_dir(&place).expect("writable");
        dumps.extend(plain(&set, "lspci-xxxx.txt", &place));
    }
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    dumps
        .extend(["qemu-config-acs", "qemu-small", "qemu-sriov"].map(|set| corpus.join(set).join("dump.txt")));
    dumps.extend(shared("realworld").iter().flat_map(|realworld| files(realworld)));
    let (mut compared, mut files) = (0, 0);
    for path in dumps {
        let Some(expected) = of_lspci(&path).filter(|expected| !expected.is_empty()) else { continue };
        let found = of_acsscan(&path).unwrap_or_else(|| panic!("{}: not read", path.display()));
        for (address, structure) in &expected {
            assert_eq!(found.get(address), Some(structure), "{} {address}", path.display());
        }
        // And nothing that lspci does not see, in the files that it reads.
        assert_eq!(found.len(), expected.len(), "{}", path.display());
        compared += expected.len();
        files += 1;
    }
    println!("{compared} structures in {files} dumps");
    let least = if shared("oracle").is_some() && shared("realworld").is_some() { 130 } else { 10 };
    assert!(compared > least, "only {compared} structures were compared");
}
