//! Broken capability lists, and dumps that end early.

use super::Case;
use super::function::{ACS, AER, Made, ROOT_PORT};

/// A root port with four ACS controls on.
fn root_port() -> Made {
    Made::port("0000:00:1c.0", ROOT_PORT, 1, 1)
}

pub(super) fn cases() -> Vec<Case> {
    let one = |name: &str, what: &str, made: Made| Case::new(name, what).text(&[made]);
    let list = |next: u16| root_port().extended(0x100, AER, next);
    let mut cases = vec![
        one(
            "cap-list-cycle",
            "the standard list goes 50h, 60h, 50h before PCI Express is reached",
            root_port()
                .usual_acs(0x1f, 0x1d)
                .byte(0x34, 0x50)
                .put(0x50, &[0x01, 0x60])
                .put(0x60, &[0x05, 0x50]),
        ),
        one(
            "cap-self-pointing",
            "the PCI Express capability points to itself",
            root_port().usual_acs(0x1f, 0x1d).byte(0x41, 0x40),
        ),
        one(
            "cap-pointer-out-of-range",
            "the capabilities pointer leads into the header",
            root_port().usual_acs(0x1f, 0x1d).byte(0x34, 0x20),
        ),
        one(
            "ext-cap-cycle",
            "the extended list goes 100h, 150h, 100h: no ACS found, none proved absent",
            list(0x150).extended(0x150, 0x0003, 0x100),
        ),
        one("ext-cap-self", "the first extended capability points to itself", list(0x100)),
        one("ext-cap-out-of-range", "the extended list leads below 100h", list(0x080)),
        one(
            "ext-cap-all-ones",
            "the second extended capability reads all ones",
            list(0x148).dword(0x148, u32::MAX),
        ),
        one("ext-all-zero", "the extended list is empty: ACS is absent for certain", root_port()),
        one("all-ones", "every byte reads FFh: asleep, or gone", {
            let mut made = root_port();
            made.bytes.fill(0xff);
            made
        }),
        one(
            "acs-at-ff8",
            "ACS in the last eight bytes: its registers are there, a vector is not",
            list(0xff8).acs(0xff8, 0x203f, 0x1d),
        ),
        one(
            "acs-at-ffc",
            "ACS in the last four bytes: its registers would be past the end",
            list(0xffc).extended(0xffc, ACS, 0),
        ),
        one("header-type-7f", "a reserved header layout", Made::endpoint("0000:00:02.0").byte(0x0e, 0x7f)),
    ];
    for length in [0x40, 0x41, 0xff, 0x100, 0x101, 0x14b] {
        let what = format!("the first {length} bytes of a root port with ACS at 148h");
        let made = root_port().usual_acs(0x1f, 0x1d).cut(length);
        cases.push(Case::new(format!("truncated-{length:03x}"), what).configs(&[made]));
    }
    cases
}
