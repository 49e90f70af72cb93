//! The fixtures show what `corpus/README.md` says that they show.
//!
//! Only what each case is about is looked at; whole outputs are compared elsewhere. Text is read here
//! in its plainest form, without the readers.
#![cfg(feature = "std")]

use std::fs;
use std::path::Path;

use acsscan::addr::Sbdf;
use acsscan::anomaly::{Anomaly, Presence};
use acsscan::config::ConfigSpace;
use acsscan::db;
use acsscan::function::{Attributes, Inventory, ListState, Record, Sink};
use acsscan::route::linux::{Linux, REQUIRED};
use acsscan::topology::{Kind, Parent, Topology};

fn topology(case: &str) -> Topology {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(case);
    let mut inventory = Inventory::new();
    let mut add = |address: &str, bytes: &[u8]| {
        let address: Sbdf = address.parse().expect("an address");
        let config = &ConfigSpace::new(bytes);
        inventory.record(Record { address, config, attributes: Attributes::default() });
    };
    match fs::read_to_string(folder.join("dump.txt")) {
        Ok(text) => {
            for record in text.trim_end().split("\n\n") {
                let (title, hex) = record.split_once('\n').expect("a title");
                let digits =
                    hex.lines().filter_map(|line| line.split_once(": ")).flat_map(|(_, hex)| hex.split(' '));
                let bytes: Vec<u8> =
                    digits.map(|digits| u8::from_str_radix(digits, 16).expect("hex")).collect();
                add(title.split(' ').next().expect("a word"), &bytes);
            }
        }
        Err(_) => {
            for entry in fs::read_dir(folder.join("configs")).expect("a dump") {
                let path = entry.expect("readable").path();
                let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8");
                add(name, &fs::read(&path).expect("readable"));
            }
        }
    }
    Topology::new(inventory.finish())
}

/// The group of each function, in order of address.
fn groups(topology: &Topology) -> Vec<Option<usize>> {
    let database = db::builtin().expect("good");
    Linux::new(topology, &database).group().group_of
}

#[test]
fn each_broken_list_has_its_anomaly_and_proves_nothing_absent() {
    for (case, anomaly) in [
        ("cap-list-cycle", Anomaly::CapListCycle { at: 0x60, target: 0x50 }),
        ("cap-self-pointing", Anomaly::CapListCycle { at: 0x40, target: 0x40 }),
        ("cap-pointer-out-of-range", Anomaly::CapPointerOutOfRange { at: 0x34, target: 0x20 }),
        ("ext-cap-cycle", Anomaly::ExtCapListCycle { at: 0x150, target: 0x100 }),
        ("ext-cap-self", Anomaly::ExtCapListCycle { at: 0x100, target: 0x100 }),
        ("ext-cap-out-of-range", Anomaly::ExtCapPointerOutOfRange { at: 0x100, target: 0x080 }),
        ("ext-cap-all-ones", Anomaly::ExtCapAllOnes { at: 0x148 }),
        ("all-ones", Anomaly::ConfigAllOnes),
        ("acs-at-ffc", Anomaly::CapStructureCut { at: 0xffc }),
        ("header-type-7f", Anomaly::HeaderTypeReserved { layout: 0x7f }),
        ("acs-control-without-capability", Anomaly::AcsControlWithoutCapability { at: 0x14e, bits: 0x42 }),
        ("bus-reversed", Anomaly::BusRangeReversed { secondary: 5, subordinate: 2 }),
    ] {
        let topology = topology(case);
        let extras = topology.inventory().extras(0).unwrap_or_else(|| panic!("{case}: nothing special"));
        assert!(
            extras.anomalies().any(|found| found == anomaly),
            "{case}: {:?}",
            extras.anomalies().collect::<Vec<_>>()
        );
        let function = &topology.functions()[0];
        let broken = [function.standard_list, function.extended_list].contains(&ListState::Broken);
        assert!(!broken || !function.acs.is_absent(), "{case}");
    }
    assert!(topology("ext-all-zero").functions()[0].acs.is_absent());
}

#[test]
fn a_truncated_port_has_no_acs_that_is_known() {
    for case in ["040", "041", "0ff", "100", "101", "14b"] {
        let topology = topology(&format!("truncated-{case}"));
        assert_eq!(topology.functions()[0].captured, u16::from_str_radix(case, 16).expect("hex"));
        assert!(topology.functions()[0].acs.is_not_captured(), "{case}");
    }
}

#[test]
fn each_egress_vector_has_its_size_and_its_last_bit() {
    for bits in [1_u16, 31, 32, 33, 255, 256] {
        let topology = topology(&format!("egress-{bits:03}"));
        let port = topology.index_of("02:00.0".parse().expect("an address")).expect("there");
        let Presence::Present(acs) = topology.functions()[port].acs else { panic!("{bits}: no ACS") };
        assert_eq!(acs.capability.vector_bits(), bits);
        let vector =
            topology.inventory().extras(port).and_then(|extras| extras.egress_vector).expect("a vector");
        let last = usize::from(bits - 1);
        for (n, dword) in vector.into_iter().enumerate() {
            let expected = if n == last / 32 { 1 << (last % 32) } else { 0 };
            assert_eq!(dword, (n <= last / 32).then_some(expected), "{bits}: {n}");
        }
    }
}

#[test]
fn virtual_functions_on_the_next_bus_belong_to_their_physical_function() {
    let topology = topology("sriov-next-bus");
    let kinds: Vec<Kind> = (0..topology.functions().len()).map(|index| topology.kind(index)).collect();
    let virtual_function = Kind::Virtual(1);
    assert_eq!(kinds[..2], [Kind::Ordinary, Kind::Physical]);
    assert_eq!(kinds[2..], [virtual_function; 4]);
}

#[test]
fn the_database_decides_where_registers_do_not() {
    // The first chipset port isolates, the other does not and takes its endpoint into its group.
    assert_eq!(groups(&topology("acs-32-bit-registers")), [0, 1, 2, 1].map(Some));
    // The host bridge beside AMD's IOMMU and the IOMMU are in no group.
    assert_eq!(groups(&topology("amd-iommu-host"))[..2], [None, None]);
    // What is in the segment of the VMD endpoint uses its requester ID.
    let vmd = groups(&topology("vmd-segment-10000"));
    assert!(vmd[1..].iter().all(|group| *group == vmd[1]) && vmd[0] != vmd[1], "{vmd:?}");
    let idt = topology("idt-switch");
    let Presence::Present(acs) = idt.functions()[2].acs else { panic!("no ACS") };
    assert!(!acs.control.contains(REQUIRED));
    let groups = groups(&idt);
    assert_ne!(groups[4], groups[5], "hidden source validation counts as on: {groups:?}");
}

#[test]
fn bus_numbers_that_are_wrong_are_seen() {
    assert!(!topology("bus-overlap").bus_defects().is_empty());
    let orphan = topology("orphan-bus");
    assert_eq!(orphan.parent_of(2), Parent::Orphan(None));
    // A loop ends: each bus has a parent on a lower one.
    let looped = topology("bus-loop");
    assert_eq!(looped.parent_of(1), Parent::Bridge(0));
    assert!(ari_is_used(&topology("ari-device")));
}

fn ari_is_used(topology: &Topology) -> bool {
    topology.bus_of(1).and_then(|bus| topology.uses_ari(bus)) == Some(true)
}

#[test]
fn the_captured_machines_group_as_their_kernels_did() {
    for case in ["qemu-small", "qemu-sriov", "qemu-config-acs"] {
        let topology = topology(case);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(case).join("groups.json");
        let json = fs::read_to_string(path).expect("readable");
        let kernel: Vec<(Sbdf, u32)> = json
            .lines()
            .filter_map(|line| line.trim().trim_end_matches(',').strip_prefix('"')?.split_once("\": "))
            .map(|(address, group)| (address.parse().expect("an address"), group.parse().expect("a group")))
            .collect();
        assert_eq!(kernel.len(), topology.functions().len(), "{case}");
        let ours = groups(&topology);
        for (a, group_a) in &kernel {
            for (b, group_b) in &kernel {
                let group = |address| topology.index_of(address).and_then(|index| ours[index]);
                assert_eq!(group_a == group_b, group(*a) == group(*b), "{case}: {a} and {b}");
            }
        }
    }
}
