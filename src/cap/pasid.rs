//! Process Address Space ID (extended ID 001Bh).
//!
//! Layer 2. Source: PCIe Base 6.x, §7.8.9 "PASID Extended Capability Structure".

use crate::config::{ConfigSpace, Source};

/// The PASID structure: capability (+04h) and control (+06h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pasid {
    /// Offset of the structure in configuration space.
    pub offset: u16,
    capability: u16,
    control: u16,
}

impl Pasid {
    /// Reads the structure at `offset`; `None` if +04h to +07h were not captured.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u16) -> Option<Self> {
        let registers = config.u32(offset.checked_add(reg::CAPABILITY)?)?;
        Some(Self { offset, capability: (registers & 0xffff) as u16, control: (registers >> 16) as u16 })
    }

    /// PASID Capability register as it reads.
    #[must_use]
    pub const fn capability(&self) -> u16 {
        self.capability
    }

    /// PASID Control register as it reads.
    #[must_use]
    pub const fn control(&self) -> u16 {
        self.control
    }

    /// Max PASID Width, capability bits 12:8, in bits.
    #[must_use]
    pub const fn max_width(&self) -> u8 {
        ((self.capability >> 8) & 0x1f) as u8
    }

    /// PASID Enable, control bit 0.
    #[must_use]
    pub const fn enabled(&self) -> bool {
        self.control & 1 != 0
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
    fn width_and_enable_stand_where_the_specification_puts_them() {
        let mut bytes = [0; 0x108];
        bytes[0x104..].copy_from_slice(&[0x02, 0x14, 0x01, 0x00]);
        let pasid = Pasid::read(&ConfigSpace::new(&bytes), 0x100).expect("captured");
        assert_eq!((pasid.max_width(), pasid.enabled()), (20, true));
    }
}
