//! Page Request Interface (extended ID 0013h).
//!
//! Layer 2. Source: PCIe Base 6.x, §10.5.2 "Page Request Extended Capability Structure".

use crate::config::{ConfigSpace, Source};

/// The PRI structure: control (+04h) and status (+06h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pri {
    /// Offset of the structure in configuration space.
    pub offset: u16,
    control: u16,
    status: u16,
}

impl Pri {
    /// Reads the structure at `offset`; `None` if +04h to +07h were not captured.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u16) -> Option<Self> {
        let registers = config.u32(offset.checked_add(reg::CONTROL)?)?;
        Some(Self { offset, control: (registers & 0xffff) as u16, status: (registers >> 16) as u16 })
    }

    /// Page Request Control register as it reads.
    #[must_use]
    pub const fn control(&self) -> u16 {
        self.control
    }

    /// Page Request Status register as it reads.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Enable, control bit 0.
    #[must_use]
    pub const fn enabled(&self) -> bool {
        self.control & 1 != 0
    }
}

/// Register offsets within the structure.
mod reg {
    pub(super) const CONTROL: u16 = 0x04;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_stands_before_status() {
        let mut bytes = [0; 0x108];
        bytes[0x104..].copy_from_slice(&[0x01, 0x00, 0x00, 0x81]);
        let pri = Pri::read(&ConfigSpace::new(&bytes), 0x100).expect("captured");
        assert_eq!((pri.enabled(), pri.status()), (true, 0x8100));
    }
}
