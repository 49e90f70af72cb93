//! Address Translation Services (extended ID 000Fh).
//!
//! Layer 2. Source: PCIe Base 6.x, §10.5.1 "ATS Extended Capability".
//!
//! | offset | register | fields |
//! |---|---|---|
//! | +04h | ATS Capability | 4:0 Invalidate Queue Depth, 5 Page Aligned Request |
//! | +06h | ATS Control | 4:0 Smallest Translation Unit, 15 Enable |

use crate::config::{ConfigSpace, Offset, Source};

/// The ATS structure: both registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ats {
    /// Offset of the structure in configuration space.
    pub offset: Offset,
    capability: u16,
    control: u16,
}

impl Ats {
    /// Reads the structure at `offset`; `None` if +04h to +07h were not captured.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u16) -> Option<Self> {
        let registers = config.u32(offset.checked_add(reg::CAPABILITY)?)?;
        let offset = Offset::new(offset)?;
        Some(Self { offset, capability: (registers & 0xffff) as u16, control: (registers >> 16) as u16 })
    }

    /// ATS Capability register as it reads.
    #[must_use]
    pub const fn capability(&self) -> u16 {
        self.capability
    }

    /// ATS Control register as it reads.
    #[must_use]
    pub const fn control(&self) -> u16 {
        self.control
    }

    /// Invalidate Queue Depth, capability bits 4:0, in requests; 0 means 32.
    #[must_use]
    pub const fn invalidate_queue_depth(&self) -> u8 {
        match self.capability & 0x1f {
            0 => 32,
            depth => (depth & 0x1f) as u8,
        }
    }

    /// Page Aligned Request, capability bit 5.
    #[must_use]
    pub const fn page_aligned_request(&self) -> bool {
        self.capability & (1 << 5) != 0
    }

    /// Smallest Translation Unit, control bits 4:0, as a power of two of 4096 bytes.
    #[must_use]
    pub const fn smallest_translation_unit(&self) -> u8 {
        (self.control & 0x1f) as u8
    }

    /// Enable, control bit 15: the function may send translated requests.
    #[must_use]
    pub const fn enabled(&self) -> bool {
        self.control & (1 << 15) != 0
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
        bytes[0x104..].copy_from_slice(&[0x20, 0x00, 0x03, 0x80]);
        let ats = Ats::read(&ConfigSpace::new(&bytes), 0x100).expect("captured");
        assert_eq!((ats.invalidate_queue_depth(), ats.page_aligned_request()), (32, true));
        assert_eq!((ats.smallest_translation_unit(), ats.enabled()), (3, true));
    }
}
