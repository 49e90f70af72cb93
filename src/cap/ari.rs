//! Alternative Routing-ID Interpretation (extended ID 000Eh).
//!
//! Layer 2. Sources: PCIe Base 6.x, §6.13 "Alternative Routing-ID Interpretation (ARI)" and §7.8.8
//! "ARI Extended Capability".
//!
//! | offset | register | fields |
//! |---|---|---|
//! | +04h | ARI Capability | 0 MFVC Function Groups, 1 ACS Function Groups, 15:8 Next Function Number |
//! | +06h | ARI Control | 0 MFVC and 1 ACS Function Groups Enable, 6:4 Function Group |

use crate::config::{ConfigSpace, Offset, Source};

/// The ARI structure: both registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ari {
    /// Offset of the structure in configuration space.
    pub offset: Offset,
    capability: u16,
    control: u16,
}

impl Ari {
    /// Reads the structure at `offset`; `None` if +04h to +07h were not captured.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u16) -> Option<Self> {
        let registers = config.u32(offset.checked_add(reg::CAPABILITY)?)?;
        let offset = Offset::new(offset)?;
        Some(Self { offset, capability: (registers & 0xffff) as u16, control: (registers >> 16) as u16 })
    }

    /// ARI Capability register as it reads.
    #[must_use]
    pub const fn capability(&self) -> u16 {
        self.capability
    }

    /// ARI Control register as it reads.
    #[must_use]
    pub const fn control(&self) -> u16 {
        self.control
    }

    /// MFVC Function Groups Capability, capability bit 0.
    #[must_use]
    pub const fn mfvc_function_groups(&self) -> bool {
        self.capability & 1 != 0
    }

    /// ACS Function Groups Capability, capability bit 1; meaningful in function 0 only.
    #[must_use]
    pub const fn acs_function_groups(&self) -> bool {
        self.capability & 2 != 0
    }

    /// Next Function Number, capability bits 15:8; 0 ends the chain. Undefined in virtual functions.
    #[must_use]
    pub const fn next_function(&self) -> u8 {
        (self.capability >> 8) as u8
    }

    /// MFVC Function Groups Enable, control bit 0.
    #[must_use]
    pub const fn mfvc_function_groups_enabled(&self) -> bool {
        self.control & 1 != 0
    }

    /// ACS Function Groups Enable, control bit 1; meaningful in function 0 only. Egress control
    /// vectors are then indexed by function group.
    #[must_use]
    pub const fn acs_function_groups_enabled(&self) -> bool {
        self.control & 2 != 0
    }

    /// Function Group, control bits 6:4, of this function.
    #[must_use]
    pub const fn function_group(&self) -> u8 {
        ((self.control >> 4) & 7) as u8
    }
}

/// Register offsets within the structure.
mod reg {
    pub(super) const CAPABILITY: u16 = 0x04;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_specification_puts_them() {
        let mut bytes = [0; 0x108];
        bytes[0x104..].copy_from_slice(&[0x02, 0x09, 0x52, 0x00]);
        let ari = Ari::read(&ConfigSpace::new(&bytes), 0x100).expect("captured");
        assert!(ari.acs_function_groups() && !ari.mfvc_function_groups());
        assert!(ari.acs_function_groups_enabled() && !ari.mfvc_function_groups_enabled());
        assert_eq!((ari.next_function(), ari.function_group()), (9, 5));
        assert!(Ari::read(&ConfigSpace::new(&bytes[..0x107]), 0x100).is_none());
    }
}
