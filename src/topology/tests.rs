//! Topologies made of literal headers.

use super::*;
use crate::config::ConfigSpace;
use crate::function::{Record, Sink};
#[cfg(feature = "testkit")]
use alloc::string::ToString;
use alloc::vec;

/// 4096 bytes of a PCIe function: port type, and for bridges secondary and subordinate bus.
fn function(port_type: u8, buses: Option<(u8, u8)>) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..4].copy_from_slice(&[0x34, 0x12, 0x78, 0x56]);
    bytes[0x06] = 0x10;
    bytes[0x34] = 0x40;
    bytes[0x40..0x43].copy_from_slice(&[0x10, 0, 2 | port_type << 4]);
    if let Some((secondary, subordinate)) = buses {
        bytes[0x0e] = 1;
        bytes[0x19] = secondary;
        bytes[0x1a] = subordinate;
    }
    bytes
}

/// A physical function with enabled VFs.
fn physical(offset: u8, stride: u8, vfs: u16) -> Vec<u8> {
    let mut bytes = function(0, None);
    bytes[0x100..0x104].copy_from_slice(&[0x10, 0, 1, 0]);
    bytes[0x108] = 1;
    bytes[0x10e..0x110].copy_from_slice(&vfs.to_le_bytes());
    bytes[0x110..0x112].copy_from_slice(&vfs.to_le_bytes());
    bytes[0x114] = offset;
    bytes[0x116] = stride;
    bytes[0x11a..0x11c].copy_from_slice(&[0xca, 0x10]);
    bytes
}

fn virtual_function() -> Vec<u8> {
    let mut bytes = function(0, None);
    bytes[..4].fill(0xff);
    bytes
}

fn topology(functions: &[(&str, Vec<u8>)]) -> Topology {
    let mut inventory = Inventory::new();
    for (address, bytes) in functions {
        let address = address.parse().expect("valid");
        let config = &ConfigSpace::new(bytes.as_slice());
        inventory.record(Record { address, config, attributes: Default::default() });
    }
    Topology::new(inventory.finish())
}

fn at(topology: &Topology, address: &str) -> FunctionIndex {
    topology.index_of(address.parse().expect("valid")).expect("in the dump")
}

#[test]
fn a_switch_hangs_below_its_root_port() {
    let t = topology(&[
        ("00:01.0", function(4, Some((1, 3)))),
        ("01:00.0", function(5, Some((2, 3)))),
        ("02:01.0", function(6, Some((3, 3)))),
        ("03:00.0", function(0, None)),
    ]);
    assert_eq!(t.parent_of(at(&t, "00:01.0")), Parent::Root);
    assert_eq!(t.parent_of(at(&t, "03:00.0")), Parent::Bridge(at(&t, "02:01.0")));
    assert_eq!(t.bus_defects(), []);
}

#[test]
fn virtual_functions_are_known_by_their_placing_also_on_later_buses() {
    let t = topology(&[
        ("00:01.0", function(4, Some((1, 2)))),
        ("01:00.0", physical(0xff, 1, 3)),
        ("01:1f.7", virtual_function()),
        ("02:00.0", virtual_function()),
        ("02:00.5", virtual_function()),
    ]);
    let owner = at(&t, "01:00.0");
    assert_eq!(t.kind(owner), Kind::Physical);
    assert_eq!(t.kind(at(&t, "02:00.0")), Kind::Virtual(owner));
    assert_eq!(t.ids(at(&t, "02:00.0")), Some((0x1234, 0x10ca)));
    assert_eq!(t.kind(at(&t, "02:00.5")), Kind::VirtualOfUnknown);
    assert_eq!(t.ids(at(&t, "02:00.5")), None);
    let bus_1 = t.bus_of(owner).expect("has a bus");
    assert_eq!(t.parent_of(at(&t, "02:00.0")), Parent::VirtualFunctions(bus_1));
    assert_eq!(t.missing_vfs(), [(owner, 1)]);
}

#[test]
fn a_placing_never_turns_a_port_or_a_named_function_into_a_virtual_one() {
    let t = topology(&[
        ("00:01.0", function(4, Some((1, 1)))),
        ("01:00.0", physical(1, 1, 2)),
        ("01:00.1", function(0, None)),
        ("01:00.2", function(6, Some((2, 2)))),
    ]);
    assert_eq!(t.kind(at(&t, "01:00.1")), Kind::Ordinary);
    assert_eq!(t.kind(at(&t, "01:00.2")), Kind::Ordinary);
    assert_eq!(t.missing_vfs(), [(at(&t, "01:00.0"), 2)]);
}

#[test]
fn a_bus_without_a_bridge_is_an_orphan_below_the_tightest_range() {
    let t = topology(&[
        ("00:01.0", function(4, Some((1, 9)))),
        ("00:02.0", function(4, Some((10, 12)))),
        ("05:00.0", function(0, None)),
        ("20:00.0", function(0, None)),
        ("30:00.0", function(9, None)),
    ]);
    assert_eq!(t.parent_of(at(&t, "05:00.0")), Parent::Orphan(Some(at(&t, "00:01.0"))));
    assert_eq!(t.parent_of(at(&t, "20:00.0")), Parent::Orphan(None));
    assert_eq!(t.parent_of(at(&t, "30:00.0")), Parent::Root, "integrated endpoints stand on root buses");
}

#[test]
fn functions_that_stand_oddly_are_told() {
    let mut conventional = vec![0; 256];
    conventional[0] = 1;
    let t = topology(&[
        ("00:01.0", function(4, Some((1, 1)))),
        ("00:02.0", function(0, None)),
        ("00:03.0", function(5, Some((2, 2)))),
        ("00:04.0", function(6, Some((3, 3)))),
        ("00:05.0", conventional.clone()),
        ("01:00.0", conventional),
        ("01:01.0", function(0, None)),
    ]);
    let expected = [
        (HiddenBridge::EndpointWithoutPort, at(&t, "00:02.0")),
        (HiddenBridge::DownstreamPortMisplaced, at(&t, "00:04.0")),
        (HiddenBridge::UpstreamPortWithoutDownstreamPorts, at(&t, "00:03.0")),
        (HiddenBridge::DeviceNumberBelowLink, at(&t, "01:01.0")),
        (HiddenBridge::ConventionalBelowPciePort, at(&t, "01:00.0")),
    ];
    assert_eq!(t.hidden_bridges(), expected);
}

#[test]
fn loops_of_bus_numbers_make_no_loop_of_parents() {
    let t = topology(&[
        ("01:00.0", function(6, Some((2, 2)))),
        ("02:00.0", function(6, Some((1, 1)))),
        ("03:00.0", function(6, Some((3, 3)))),
    ]);
    for index in 0..3 {
        let (mut at, mut steps) = (index, 0);
        while let Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) = t.parent_of(at) {
            at = bridge;
            steps += 1;
            assert!(steps < 256);
        }
    }
    assert_eq!(t.parent_of(at(&t, "02:00.0")), Parent::Bridge(at(&t, "01:00.0")));
}

#[test]
fn ranges_that_overlap_repeat_or_escape_are_told() {
    let t = topology(&[
        ("00:01.0", function(4, Some((1, 4)))),
        ("00:02.0", function(4, Some((4, 6)))),
        ("00:03.0", function(4, Some((1, 1)))),
        ("01:00.0", function(5, Some((2, 7)))),
    ]);
    let [rp1, rp2, rp3, up] = ["00:01.0", "00:02.0", "00:03.0", "01:00.0"].map(|a| at(&t, a));
    let mut defects = t.bus_defects().to_vec();
    defects.sort_by_key(|defect| alloc::format!("{defect:?}"));
    let expected = [BusDefect::Escapes(rp3, up), BusDefect::Overlap(rp1, rp2), BusDefect::Repeated(rp1, rp3)];
    // Of the two bridges to bus 1, the one with the lower address leads there.
    assert_eq!(t.parent_of(up), Parent::Bridge(rp1));
    assert_eq!(defects.len(), 3);
    assert!(defects.contains(&expected[1]));
    assert!(defects.contains(&BusDefect::Escapes(rp1, up)));
    assert!(matches!(defects[2], BusDefect::Repeated(..)));
}

#[cfg(feature = "testkit")]
#[test]
fn a_place_leads_back_to_its_function_and_stays_when_buses_are_renumbered() {
    use crate::testkit::{Config, Machine};
    let machine = Machine::new()
        .with("00:01.0", Config::root_port(1, 3))
        .with("01:00.0", Config::upstream(2, 3))
        .with("02:04.0", Config::downstream(0, 3, 3))
        .with("03:00.1", Config::endpoint());
    // Root buses keep their number, what is below them does not.
    let moved = machine.renumbered(|bus| if bus == 0 { 0 } else { bus + 0x40 });
    let (before, after) = (machine.topology(), moved.topology());
    for index in 0..before.functions().len() {
        let place = before.place_of(index).expect("below a root bus");
        assert_eq!(after.place_of(index).as_ref(), Some(&place));
        assert_eq!((before.in_place(&place), after.in_place(&place)), (Some(index), Some(index)));
        assert_eq!(place.to_string().parse().as_ref(), Ok(&place));
    }
    let place = before.place_of(3).expect("there");
    assert_eq!(place.to_string(), "0000:00:01.0/00.0/04.0/00.1");
    assert_eq!(before.bridges_above(3).collect::<Vec<_>>(), [2, 1, 0]);
    assert_eq!(before.in_place(&"00:01.0/00.0/04.0/00.0".parse().expect("a place")), None);
    assert_eq!(before.in_place(&"03:00.1/00.0".parse().expect("a place")), None, "no bridge");
}
