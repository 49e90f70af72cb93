//! Topologies: what is right but rare, and bus numbers that are wrong.

use super::Case;
use super::function::{ACS, ARI, ENDPOINT, INTEGRATED, Made, ROOT_PORT, SR_IOV};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("port-and-endpoint", "nothing special: a root port with ACS and an endpoint")
            .configs(&port_and_endpoint()),
        Case::new("vmd-segment-10000", "a segment above FFFFh that belongs to an endpoint of segment 0")
            .configs(&vmd()),
        Case::new("ari-device", "one device with functions 0, 1 and 8, below a port that forwards ARI")
            .configs(&ari()),
        Case::new("sriov-next-bus", "virtual functions that spill onto the next bus; they read FFFFh as IDs")
            .configs(&sriov()),
        Case::new("amd-iommu-host", "AMD's IOMMU (class 0806h), the host bridge beside it, and a root port")
            .configs(&amd()),
        Case::new("bus-loop", "a bridge that leads back to the bus above it, and one to its own").configs(&[
            bridge("0000:00:01.0", 1, 2),
            bridge("0000:01:00.0", 0, 2),
            bridge("0000:01:01.0", 1, 1),
            Made::endpoint("0000:02:00.0"),
        ]),
        Case::new("bus-reversed", "the subordinate bus is below the secondary bus")
            .configs(&[bridge("0000:00:01.0", 5, 2), Made::endpoint("0000:05:00.0")]),
        Case::new("bus-overlap", "two root ports claim the same buses").configs(&[
            bridge("0000:00:01.0", 1, 3),
            bridge("0000:00:02.0", 2, 4),
            Made::endpoint("0000:01:00.0"),
            Made::endpoint("0000:02:00.0"),
            Made::endpoint("0000:03:00.0"),
        ]),
        Case::new("orphan-bus", "no bridge in the dump leads to bus 05").configs(&[
            bridge("0000:00:01.0", 1, 1),
            Made::endpoint("0000:01:00.0"),
            Made::endpoint("0000:05:00.0"),
        ]),
    ]
}

/// A root port with four ACS controls on.
fn bridge(address: &'static str, secondary: u8, subordinate: u8) -> Made {
    Made::port(address, ROOT_PORT, secondary, subordinate).usual_acs(0x1f, 0x1d)
}

/// The smallest machine that isolates.
pub(super) fn port_and_endpoint() -> Vec<Made> {
    vec![bridge("0000:00:1c.0", 1, 1), Made::endpoint("0000:01:00.0")]
}

fn vmd() -> Vec<Made> {
    let title = "RAID bus controller: Intel Corporation Volume Management Device NVMe RAID Controller";
    let nvme = "Non-Volatile memory controller: Made by hand Drive";
    let host = "Host bridge: Made by hand";
    vec![
        Made::conventional("0000:5d:00.0", (0x1b36, 0x0ff2), 0x0600, host),
        Made::pcie("0000:5d:05.5", (0x8086, 0x201d), 0x0104, title, INTEGRATED),
        bridge_in_vmd("10000:00:02.0", 1),
        bridge_in_vmd("10000:00:03.0", 2),
        Made::pcie("10000:01:00.0", (0x1b36, 0x0010), 0x0108, nvme, ENDPOINT),
        Made::pcie("10000:02:00.0", (0x1b36, 0x0010), 0x0108, nvme, ENDPOINT),
    ]
}

/// Without [`Made::bridge`], which expects a segment of four digits.
fn bridge_in_vmd(address: &'static str, bus: u8) -> Made {
    let title = "PCI bridge: Made by hand Root Port";
    let port = Made::pcie(address, (0x1b36, 0x0ff1), 0x0604, title, ROOT_PORT);
    port.byte(0x04, 0x07).byte(0x0e, 0x01).put(0x18, &[0, bus, bus]).usual_acs(0x1f, 0x1d)
}

fn ari() -> Vec<Made> {
    let function = |address, next: u8| {
        let made = Made::endpoint(address).extended(0x100, ARI, 0x110).byte(0x105, next);
        made.acs(0x110, 0x0000, 0x0000)
    };
    vec![
        bridge("0000:00:1c.0", 1, 1).forwards_ari(),
        function("0000:01:00.0", 1).multi_function(),
        function("0000:01:00.1", 8),
        // Function 8.
        function("0000:01:01.0", 0),
    ]
}

fn sriov() -> Vec<Made> {
    let physical = Made::endpoint("0000:01:00.0")
        .extended(0x100, ARI, 0x110)
        .extended(0x110, ACS, 0x120)
        .extended(0x120, SR_IOV, 0)
        // VF Enable, VF MSE, ARI Capable Hierarchy; 4 of 8; first at +FEh, stride 2; device ID.
        .word(0x128, 0x0019)
        .word(0x12c, 8)
        .word(0x12e, 8)
        .word(0x130, 4)
        .word(0x134, 0x00fe)
        .word(0x136, 2)
        .word(0x13a, 0x0ff3);
    let function = |address| {
        let title = "Ethernet controller: Made by hand Virtual Function";
        let made = Made::pcie(address, (0xffff, 0xffff), 0x0200, title, ENDPOINT);
        made.extended(0x100, ARI, 0x110).acs(0x110, 0, 0)
    };
    vec![
        bridge("0000:00:1c.0", 1, 2).forwards_ari(),
        physical,
        function("0000:01:1f.6"),
        function("0000:02:00.0"),
        function("0000:02:00.2"),
        function("0000:02:00.4"),
    ]
}

fn amd() -> Vec<Made> {
    let amd = |address, device, class, title: &str| {
        Made::conventional(
            address,
            (0x1022, device),
            class,
            &format!("{title}: Advanced Micro Devices, Inc. [AMD]"),
        )
    };
    vec![
        amd("0000:00:00.0", 0x1480, 0x0600, "Host bridge").multi_function(),
        amd("0000:00:00.2", 0x1481, 0x0806, "IOMMU").multi_function(),
        amd("0000:00:01.0", 0x1482, 0x0600, "Host bridge").multi_function(),
        bridge("0000:00:01.1", 1, 1).ids(0x1022, 0x1483).multi_function(),
        Made::endpoint("0000:01:00.0"),
    ]
}
