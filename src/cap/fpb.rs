//! Flattening Portal Bridge (ID 15h): a bridge that decodes by vectors beside its bus range and windows.
//!
//! Layer 2. Source: PCIe Base 6.x, §7.8.11 "Flattening Portal Bridge (FPB) Capability", §6.26 "Flattening
//! Portal Bridge (FPB)"; the vectors stand behind an index register, so that no dump holds them.
//!
//! | offset | register | fields |
//! |---|---|---|
//! | +08h | RID Vector Control 1 | 0 RID Decode Mechanism Enable |
//! | +10h | MEM Low Vector Control | 0 MEM Low Decode Mechanism Enable |
//! | +14h | MEM High Vector Control 1 | 0 MEM High Decode Mechanism Enable |

use crate::config::{ConfigSpace, Source};

/// The FPB structure: what says which mechanisms decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Fpb {
    /// Offset of the structure in configuration space.
    pub offset: u8,
    /// RID Vector Control 1 as it reads; `None` if not captured.
    pub rid_control: Option<u32>,
    /// MEM Low Vector Control as it reads; `None` if not captured.
    pub memory_low_control: Option<u32>,
    /// MEM High Vector Control 1 as it reads; `None` if not captured.
    pub memory_high_control: Option<u32>,
}

impl Fpb {
    /// Offset of RID Vector Control 1 within the structure.
    pub const RID_CONTROL: u16 = 0x08;
    /// Offset of MEM Low Vector Control within the structure.
    pub const MEMORY_LOW_CONTROL: u16 = 0x10;
    /// Offset of MEM High Vector Control 1 within the structure.
    pub const MEMORY_HIGH_CONTROL: u16 = 0x14;

    /// The structure at `offset`, as far as it was captured.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u8) -> Self {
        let register = |at: u16| config.u32(u16::from(offset).checked_add(at)?);
        Self {
            offset,
            rid_control: register(Self::RID_CONTROL),
            memory_low_control: register(Self::MEMORY_LOW_CONTROL),
            memory_high_control: register(Self::MEMORY_HIGH_CONTROL),
        }
    }

    /// RID Decode Mechanism Enable: requester IDs outside the bus range may be below, too. `None` if not
    /// captured.
    #[must_use]
    pub fn decodes_rids(&self) -> Option<bool> {
        self.rid_control.map(is_on)
    }

    /// MEM Low or MEM High Decode Mechanism Enable: memory outside the windows may be below, too. `None` if
    /// neither is known to be on, and not both were captured.
    #[must_use]
    pub fn decodes_memory(&self) -> Option<bool> {
        match (self.memory_low_control.map(is_on), self.memory_high_control.map(is_on)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }
    }
}

/// Bit 0 of each control register.
const fn is_on(control: u32) -> bool {
    control & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mechanism_is_turned_on_by_bit_0_of_its_control() {
        let read = |at: usize, value: u8| {
            let mut bytes = [0; 0x80];
            bytes[0x40] = 0x15;
            bytes[at] = value;
            let fpb = Fpb::read(&ConfigSpace::new(&bytes), 0x40);
            (fpb.decodes_rids(), fpb.decodes_memory())
        };
        assert_eq!(read(0x48, 1), (Some(true), Some(false)));
        assert_eq!(read(0x48, 0xfe), (Some(false), Some(false)), "granularity is no enable");
        assert_eq!(read(0x50, 1), (Some(false), Some(true)));
        assert_eq!(read(0x54, 1), (Some(false), Some(true)));
    }

    #[test]
    fn what_was_not_captured_is_not_off() {
        let mut bytes = [0; 0x54];
        bytes[0x50] = 1;
        let at = |length: usize| {
            let fpb = Fpb::read(&ConfigSpace::new(&bytes[..length]), 0x40);
            (fpb.decodes_rids(), fpb.decodes_memory())
        };
        assert_eq!(at(0x54), (Some(false), Some(true)));
        assert_eq!(at(0x50), (Some(false), None));
        assert_eq!(at(0x48), (None, None));
    }
}
