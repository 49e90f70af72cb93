//! Enhanced Allocation (ID 14h): resources at fixed places, in entries that stand in for BARs, windows and bus
//! numbers.
//!
//! Layer 2. Source: PCIe Base 6.x, §7.8.5 "Enhanced Allocation Capability Structure (EA)", §6.9 "Enhanced
//! Allocation"; Linux, include/uapi/linux/pci_regs.h, `PCI_EA_*`.
//!
//! | offset | register | fields |
//! |---|---|---|
//! | +02h | Num Entries | 5:0 |
//! | +04h | of a bridge: fixed bus numbers | 7:0 Secondary, 15:8 Subordinate |
//! | then | first double word of each entry | 2:0 double words that follow, 7:4 BAR Equivalent Indicator, 31 Enable |

use bitflags::bitflags;

use crate::addr::BusRange;
use crate::config::{ConfigSpace, Source};

bitflags! {
    /// What enabled entries stand in for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Stands: u8 {
        /// The function's own BARs, or resources of it that are none (indicators 0 to 5, 7 and 15).
        const BARS = 1 << 0;
        /// Windows of a bridge (indicator 6).
        const WINDOWS = 1 << 1;
        /// BARs of virtual functions (indicators 9 to 14).
        const VF_BARS = 1 << 2;
        /// An entry was not captured: it may be any of these.
        const NOT_CAPTURED = 1 << 3;
    }
}

/// The EA structure: what is in force of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct EnhancedAllocation {
    /// Offset of the structure in configuration space.
    pub offset: u8,
    /// What enabled entries stand in for.
    pub stands: Stands,
    /// Offset and value of the first double word of the first enabled entry.
    pub first: Option<(u16, u32)>,
    /// The fixed bus numbers of a bridge as they read; `None` if it is none, or they were not captured.
    pub bus_numbers: Option<u32>,
}

impl EnhancedAllocation {
    /// Offset of a bridge's fixed bus numbers within the structure.
    pub const BUS_NUMBERS: u16 = 0x04;

    /// The structure at `offset`, as far as it was captured. Entries of bridges begin behind the bus numbers.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u8, bridge: bool) -> Self {
        let start = u16::from(offset);
        let mut ea = Self {
            offset,
            stands: Stands::empty(),
            first: None,
            bus_numbers: match bridge {
                true => config.u32(start.saturating_add(Self::BUS_NUMBERS)),
                false => None,
            },
        };
        let Some(entries) = Self::entries(config, offset) else {
            ea.stands = Stands::NOT_CAPTURED;
            return ea;
        };
        let mut at = start.saturating_add(if bridge { reg::FIRST_OF_BRIDGE } else { reg::FIRST });
        for _ in 0..entries {
            // A list that leaves the first 256 bytes is broken: what is there is none of its entries.
            let Some(entry) = config.u32(at).filter(|_| at < 0x100) else {
                ea.stands.insert(Stands::NOT_CAPTURED);
                break;
            };
            let stands = stands_for(entry);
            if !stands.is_empty() {
                ea.first = ea.first.or(Some((at, entry)));
                ea.stands.insert(stands);
            }
            let dwords = ((entry & 7) as u16).saturating_add(1);
            at = at.saturating_add(dwords.saturating_mul(4));
        }
        ea
    }

    /// How many entries the structure at `offset` has, 0 to 63; `None` if that was not captured.
    #[inline]
    pub(crate) fn entries<S: Source>(config: &ConfigSpace<S>, offset: u8) -> Option<u8> {
        Some(config.u8(u16::from(offset).saturating_add(reg::ENTRIES))? & 0x3f)
    }

    /// The bus numbers that are fixed; `None` if they are not, or make no range, which Linux takes for none.
    #[must_use]
    pub fn fixed_buses(&self) -> Option<BusRange> {
        let [secondary, subordinate, ..] = self.bus_numbers?.to_le_bytes();
        (secondary != 0 && secondary <= subordinate).then_some(BusRange { secondary, subordinate })
    }
}

/// What an entry stands in for; nothing if it is not enabled, or for an expansion ROM.
const fn stands_for(entry: u32) -> Stands {
    if entry & (1 << 31) == 0 {
        return Stands::empty();
    }
    match entry >> 4 & 0xf {
        6 => Stands::WINDOWS,
        8 => Stands::empty(),
        9..=14 => Stands::VF_BARS,
        _ => Stands::BARS,
    }
}

/// Register offsets within the structure.
mod reg {
    pub(super) const ENTRIES: u16 = 0x02;
    pub(super) const FIRST: u16 = 0x04;
    pub(super) const FIRST_OF_BRIDGE: u16 = 0x08;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A structure at 40h with these double words from +04h on.
    fn read(entries: u8, dwords: &[u32], bridge: bool) -> EnhancedAllocation {
        let mut bytes = [0; 0x80];
        (bytes[0x40], bytes[0x42]) = (0x14, entries);
        for (at, dword) in (0x44..).step_by(4).zip(dwords) {
            bytes[at..at + 4].copy_from_slice(&dword.to_le_bytes());
        }
        EnhancedAllocation::read(&ConfigSpace::new(&bytes[..]), 0x40, bridge)
    }

    #[test]
    fn entries_are_followed_by_their_sizes_and_count_if_they_are_enabled() {
        let ea = read(3, &[0x0000_0002, 1, 2, 0x8000_0093, 3, 4, 5, 0x8000_0012], false);
        assert_eq!(ea.stands, Stands::VF_BARS | Stands::BARS);
        assert_eq!(ea.first, Some((0x50, 0x8000_0093)), "the first is not enabled");
        assert_eq!(read(1, &[0x8000_0082, 1, 2], false).stands, Stands::empty(), "a ROM");
    }

    #[test]
    fn entries_of_a_bridge_begin_behind_its_bus_numbers() {
        let ea = read(1, &[0x0000_0502, 0x8000_0062], true);
        assert_eq!(ea.stands, Stands::WINDOWS);
        assert_eq!(ea.fixed_buses(), Some(BusRange { secondary: 2, subordinate: 5 }));
        assert_eq!(read(0, &[0x0000_0500], true).fixed_buses(), None);
        assert_eq!(read(0, &[0x0000_0105], true).fixed_buses(), None, "no range");
    }

    #[test]
    fn entries_past_what_was_captured_may_be_anything() {
        assert_eq!(read(63, &[7; 15], false).stands, Stands::NOT_CAPTURED);
        let bytes = [0x14, 0];
        let ea = EnhancedAllocation::read(&ConfigSpace::new(&bytes[..]), 0, false);
        assert_eq!(ea.stands, Stands::NOT_CAPTURED);
    }
}
