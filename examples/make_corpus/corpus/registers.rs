//! ACS registers in every shape.

use super::Case;
use super::function::{DOWNSTREAM, Made, ROOT_PORT, UPSTREAM};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in [1_u16, 31, 32, 33, 255, 256] {
        let what = format!("egress control vector of {bits} bits in a switch, its last bit set");
        cases.push(Case::new(format!("egress-{bits:03}"), what).configs(&switch(bits)));
    }
    let port = || Made::port("0000:00:1c.0", ROOT_PORT, 1, 1);
    cases.extend([
        Case::new("acs-enhanced", "enhanced ACS: the memory target controls, I/O request blocking and unclaimed request redirect are on")
            .text(&[port().usual_acs(0x00df, 0x1a9d), Made::endpoint("0000:01:00.0")]),
        Case::new("acs-control-without-capability", "ACS controls are set that the capability does not offer")
            .text(&[port().usual_acs(0x001d, 0x005f), Made::endpoint("0000:01:00.0")]),
        Case::new("acs-32-bit-registers", "chipset root ports (8086:a294) with ACS registers of 32 bits: one isolates, one does not")
            .text(&[
                intel_pch("0000:00:1c.4", 1, 0x1f),
                intel_pch("0000:00:1c.5", 2, 0x00),
                Made::endpoint("0000:01:00.0"),
                Made::endpoint("0000:02:00.0"),
            ]),
        Case::new("idt-switch", "a switch (111d:80b5) whose source validation Linux hides").configs(&idt()),
    ]);
    cases
}

/// A switch whose first downstream port has a vector of `bits` bits, and whose other port is the last
/// that the vector knows. (A vector of one bit knows that port alone; the first port's number is past
/// its end.)
fn switch(bits: u16) -> Vec<Made> {
    let last = (bits - 1) as u8;
    let first = u8::from(bits == 1);
    let words = usize::from(bits.div_ceil(32));
    // The size field is 8 bits wide: 256 is written as 0.
    let capability = 0x003d | bits << 8;
    let mut ingress =
        Made::port("0000:02:00.0", DOWNSTREAM, 3, 3).port_number(first).usual_acs(capability, 0x0021);
    ingress = ingress.dword(0x150 + (words - 1) * 4, 1 << (last % 32));
    vec![
        Made::port("0000:00:01.0", ROOT_PORT, 1, 4).usual_acs(0x1f, 0x1d),
        Made::port("0000:01:00.0", UPSTREAM, 2, 4),
        ingress,
        Made::port("0000:02:01.0", DOWNSTREAM, 4, 4).port_number(last).usual_acs(0x001d, 0x0001),
        Made::endpoint("0000:03:00.0"),
        Made::endpoint("0000:04:00.0"),
    ]
}

fn intel_pch(address: &'static str, bus: u8, control: u32) -> Made {
    let title = "PCI bridge: Intel Corporation 200 Series PCH PCI Express Root Port";
    Made::port(address, ROOT_PORT, bus, bus)
        .ids(0x8086, 0xa294)
        .title(title)
        .multi_function()
        .usual_acs(0x001f, 0)
        .dword(0x150, control)
}

fn idt() -> Vec<Made> {
    let title = "PCI bridge: Integrated Device Technology, Inc. [IDT] Switch";
    let downstream = |address, bus| {
        let port = Made::port(address, DOWNSTREAM, bus, bus).ids(0x111d, 0x80b5).title(title);
        port.port_number(bus).usual_acs(0x001f, 0x001c)
    };
    vec![
        Made::port("0000:00:01.0", ROOT_PORT, 1, 4).usual_acs(0x1f, 0x1d),
        Made::port("0000:01:00.0", UPSTREAM, 2, 4).ids(0x111d, 0x80b5).title(title),
        downstream("0000:02:02.0", 3),
        downstream("0000:02:03.0", 4),
        Made::endpoint("0000:03:00.0"),
        Made::endpoint("0000:04:00.0"),
    ]
}
