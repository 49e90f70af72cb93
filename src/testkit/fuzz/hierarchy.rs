//! Machines that no hardware is: bridges to anywhere, loops, several bridges to one bus, virtual functions
//! at any distance. The laws of partitions hold, and so does the agreement of the two engines.
//!
//! Input: twelve bytes a function.

use super::{judge, take};
use crate::addr::{Bdf, Sbdf, Segment};
use crate::db;
use crate::testkit::{Config, Machine};

/// Functions at most.
const FUNCTIONS: usize = 24;

pub(super) fn run(mut bytes: &[u8]) {
    let mut machine = Machine::new();
    let mut count = 0;
    while !bytes.is_empty() && count < FUNCTIONS {
        let [bus, devfn, kind, secondary, subordinate, acs, control, vector, extra, offset, vfs, cut] =
            take(&mut bytes);
        // Few numbers, so that they meet.
        let bus_of = |number: u8| if number & 0x80 == 0 { number & 7 } else { number };
        let to = (bus_of(secondary), bus_of(subordinate));
        let config = match kind & 15 {
            0 => Config::conventional(),
            1 => Config::conventional().class(0x0600),
            2 => Config::conventional().buses(to.0, to.1),
            3 => Config::pcie(kind >> 4).buses(to.0, to.1),
            4 => Config::pcie(kind >> 4),
            5 => Config::root_port(to.0, to.1).port_number(extra),
            6 => Config::upstream(to.0, to.1),
            7 => Config::downstream(extra, to.0, to.1),
            8 => Config::virtual_function(),
            9 => Config::endpoint().sriov(u16::from(offset) << (extra & 7), u16::from(extra), u16::from(vfs)),
            10 => Config::endpoint().ids(0x8086, 0x1901),
            11 => Config::pcie(super::super::port_type::TO_PCI).buses(to.0, to.1),
            12 => {
                machine.root(u32::from(secondary & 1), bus_of(bus));
                Config::conventional().class(0x0600)
            }
            _ => Config::endpoint(),
        };
        let mut config = if extra & 1 != 0 { config.multi_function() } else { config };
        if config.bytes().len() > 256 {
            if extra & 2 != 0 {
                config = config.acs(u16::from(acs), u16::from(control), u32::from(vector) | 0xffff_0000);
            }
            if extra & 4 != 0 {
                config = config.ari();
            }
            if extra & 8 != 0 {
                config = config.ari_forwarding();
            }
            if extra & 16 != 0 {
                config = config.ats(true);
            }
        }
        if cut & 0xc0 == 0xc0 {
            config = config.captured(usize::from(cut & 0x3f) * 8);
        }
        let bdf = Bdf::from_bits(u16::from(bus_of(bus)) << 8 | u16::from(devfn));
        machine.add(Sbdf { segment: Segment(u32::from(kind >> 7)), bdf }, config);
        count += 1;
    }
    judge::judge(&machine.topology(), &db::builtin().expect("good"), "hierarchy");
}
