//! Virtual Channel (extended IDs 0002h and 0009h) and Multi-Function Virtual Channel (0008h).
//!
//! Layer 2. Only their presence and the number of channels: arbitration does not change who reaches
//! whom. Source: PCIe Base 6.x, §7.9.1 "Virtual Channel Extended Capability" and §7.9.2
//! "Multi-Function Virtual Channel Extended Capability".

use crate::config::{ConfigSpace, Source};

/// The first register of a VC or MFVC structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vc {
    /// Offset of the structure in configuration space.
    pub offset: u16,
    capability_1: u32,
}

impl Vc {
    /// Reads the structure at `offset`; `None` if +04h to +07h were not captured.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u16) -> Option<Self> {
        Some(Self { offset, capability_1: config.u32(offset.checked_add(reg::PORT_CAPABILITY_1)?)? })
    }

    /// Port VC Capability Register 1 as it reads.
    #[must_use]
    pub const fn capability_1(&self) -> u32 {
        self.capability_1
    }

    /// Extended VC Count, bits 2:0: channels beside VC0.
    #[must_use]
    pub const fn extended_vc_count(&self) -> u8 {
        (self.capability_1 & 7) as u8
    }
}

/// Register offsets within the structure.
mod reg {
    pub(super) const PORT_CAPABILITY_1: u16 = 0x04;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_excludes_vc0() {
        let mut bytes = [0; 0x108];
        bytes[0x104] = 0xf9;
        let vc = Vc::read(&ConfigSpace::new(&bytes), 0x100).expect("captured");
        assert_eq!(vc.extended_vc_count(), 1);
    }
}
