//! The standard header, layouts 0 (functions), 1 (PCI-to-PCI bridges and PCIe ports) and 2
//! (CardBus bridges).
//!
//! Layer 1. Each view owns its bytes, so that its accessors cannot fail.
//!
//! | offset | common | layout 0 | layout 1 | layout 2 |
//! |---|---|---|---|---|
//! | 00h | vendor, device | | | |
//! | 04h | command, status | | | |
//! | 08h | revision, class | | | |
//! | 0Ch | cache line, latency, header type, BIST | | | |
//! | 10h | | BAR 0-5 | BAR 0-1 | register base |
//! | 14h | | | | capabilities pointer |
//! | 18h | | | primary, secondary, subordinate | PCI bus, CardBus bus, subordinate |
//! | 1Ch | | | I/O base and limit | memory base 0 |
//! | 20h | | | memory base and limit | memory limit 0 |
//! | 24h | | | prefetchable base and limit | memory base 1 |
//! | 28h | | | prefetchable base, upper | memory limit 1 |
//! | 2Ch | | subsystem | prefetchable limit, upper | I/O base 0 |
//! | 30h | | expansion ROM | I/O base and limit, upper | I/O limit 0 |
//! | 34h | | capabilities pointer | capabilities pointer | I/O base 1 |
//! | 3Ch | | interrupt | interrupt, bridge control | interrupt, bridge control |
//!
//! Sources: PCIe Base 6.x, §7.5.1.1 "Type 0/1 Common Configuration Space", §7.5.1.2 "Type 0
//! Configuration Space Header", §7.5.1.3 "Type 1 Configuration Space Header"; PC Card Standard 8.0,
//! volume 4, §4.5 (layout 2).

use byteorder::{ByteOrder, LittleEndian};

use crate::addr::BusRange;

/// The first 16 bytes of configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonHeader {
    bytes: [u8; 16],
}

impl CommonHeader {
    /// The header in these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self { bytes }
    }

    /// Vendor ID. FFFFh in a virtual function (its physical function has it) and where nothing
    /// answers.
    #[must_use]
    pub fn vendor_id(&self) -> u16 {
        LittleEndian::read_u16(&[self.bytes[0], self.bytes[1]])
    }

    /// Device ID. FFFFh in a virtual function: see [`crate::cap::sriov::SrIov::vf_device_id`].
    #[must_use]
    pub fn device_id(&self) -> u16 {
        LittleEndian::read_u16(&[self.bytes[2], self.bytes[3]])
    }

    /// Command register: bit 0 I/O Space Enable, bit 1 Memory Space Enable, bit 2 Bus Master Enable.
    #[must_use]
    pub fn command(&self) -> u16 {
        LittleEndian::read_u16(&[self.bytes[4], self.bytes[5]])
    }

    /// Status register.
    #[must_use]
    pub fn status(&self) -> u16 {
        LittleEndian::read_u16(&[self.bytes[6], self.bytes[7]])
    }

    /// Capabilities List, bit 4 of Status: whether a list of capabilities exists.
    #[must_use]
    pub fn has_capabilities_list(&self) -> bool {
        self.status() & 0x0010 != 0
    }

    /// Revision ID.
    #[must_use]
    pub const fn revision_id(&self) -> u8 {
        self.bytes[8]
    }

    /// Class Code.
    #[must_use]
    pub const fn class_code(&self) -> ClassCode {
        ClassCode { base: self.bytes[11], sub: self.bytes[10], interface: self.bytes[9] }
    }

    /// Header Type register.
    #[must_use]
    pub const fn header_type(&self) -> HeaderType {
        HeaderType(self.bytes[14])
    }
}

/// Class Code register: base class, sub-class, programming interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassCode {
    /// Base class, such as 02h for network controllers.
    pub base: u8,
    /// Sub-class.
    pub sub: u8,
    /// Programming interface.
    pub interface: u8,
}

impl ClassCode {
    /// Base class and sub-class as lspci prints them: 0600h is a host bridge.
    #[must_use]
    pub const fn class(self) -> u16 {
        ((self.base as u16) << 8) | self.sub as u16
    }

    /// Host bridge, 0600h.
    pub const HOST_BRIDGE: u16 = 0x0600;
    /// PCI-to-PCI bridge, 0604h: every PCIe port, too.
    pub const PCI_BRIDGE: u16 = 0x0604;
    /// PCI-to-PCI bridge that passes on what nobody else claims, 060401h.
    pub const SUBTRACTIVE_BRIDGE: Self = Self { base: 0x06, sub: 0x04, interface: 0x01 };
    /// IOMMU, 0806h: the function through which AMD's IOMMU is found.
    pub const IOMMU: u16 = 0x0806;
}

/// Header Type register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderType(pub u8);

impl HeaderType {
    /// Header Layout, bits 6:0.
    #[must_use]
    pub const fn layout(self) -> HeaderLayout {
        match self.0 & 0x7f {
            0 => HeaderLayout::Type0,
            1 => HeaderLayout::Type1,
            2 => HeaderLayout::Type2,
            n => HeaderLayout::Reserved(n),
        }
    }

    /// Multi-Function Device, bit 7.
    #[must_use]
    pub const fn multi_function(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// Header Layout, bits 6:0 of Header Type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderLayout {
    /// An ordinary function.
    Type0,
    /// A PCI-to-PCI bridge; every PCIe port is one.
    Type1,
    /// A CardBus bridge.
    Type2,
    /// None of the defined layouts.
    Reserved(u8),
}

/// The 64 bytes of a layout 0 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type0Header {
    bytes: [u8; 64],
}

impl Type0Header {
    /// The header in these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self { bytes }
    }

    /// Base Address Registers 0 to 5 as they read.
    #[must_use]
    pub fn base_address_registers(&self) -> [u32; 6] {
        [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map(|at| dword(&self.bytes, at))
    }

    /// Subsystem Vendor ID.
    #[must_use]
    pub fn subsystem_vendor_id(&self) -> u16 {
        LittleEndian::read_u16(&[self.bytes[0x2c], self.bytes[0x2d]])
    }

    /// Subsystem ID.
    #[must_use]
    pub fn subsystem_id(&self) -> u16 {
        LittleEndian::read_u16(&[self.bytes[0x2e], self.bytes[0x2f]])
    }
}

/// The 64 bytes of a layout 1 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type1Header {
    bytes: [u8; 64],
}

impl Type1Header {
    /// The header in these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self { bytes }
    }

    /// Base Address Registers 0 and 1 as they read.
    #[must_use]
    pub fn base_address_registers(&self) -> [u32; 2] {
        [0x10, 0x14].map(|at| dword(&self.bytes, at))
    }

    /// Primary Bus Number. PCIe ports do not use it.
    #[must_use]
    pub const fn primary_bus(&self) -> u8 {
        self.bytes[0x18]
    }

    /// Secondary and Subordinate Bus Number.
    #[must_use]
    pub const fn bus_range(&self) -> BusRange {
        BusRange { secondary: self.bytes[0x19], subordinate: self.bytes[0x1a] }
    }

    /// The memory window, first and last address; `None` if base is above limit (closed).
    #[must_use]
    pub fn memory_window(&self) -> Option<(u64, u64)> {
        let base = u64::from(word(&self.bytes, 0x20) & 0xfff0) << 16;
        let limit = u64::from(word(&self.bytes, 0x22) & 0xfff0) << 16 | 0xf_ffff;
        (base <= limit).then_some((base, limit))
    }

    /// The prefetchable memory window, first and last address; `None` if closed. Bits 63:32 count
    /// where the low nibble says that the window is 64 bits wide.
    #[must_use]
    pub fn prefetchable_window(&self) -> Option<(u64, u64)> {
        let (base_register, limit_register) = (word(&self.bytes, 0x24), word(&self.bytes, 0x26));
        let mut base = u64::from(base_register & 0xfff0) << 16;
        let mut limit = u64::from(limit_register & 0xfff0) << 16 | 0xf_ffff;
        if base_register & 0xf == 1 {
            base |= u64::from(dword(&self.bytes, 0x28)) << 32;
            limit |= u64::from(dword(&self.bytes, 0x2c)) << 32;
        }
        (base <= limit).then_some((base, limit))
    }

    /// The I/O window, first and last address; `None` if closed.
    #[must_use]
    pub fn io_window(&self) -> Option<(u32, u32)> {
        let mut base = u32::from(self.bytes[0x1c] & 0xf0) << 8;
        let mut limit = u32::from(self.bytes[0x1d] & 0xf0) << 8 | 0xfff;
        if self.bytes[0x1c] & 0xf == 1 {
            base |= u32::from(word(&self.bytes, 0x30)) << 16;
            limit |= u32::from(word(&self.bytes, 0x32)) << 16;
        }
        (base <= limit).then_some((base, limit))
    }

    /// Bridge Control register.
    #[must_use]
    pub fn bridge_control(&self) -> u16 {
        word(&self.bytes, 0x3e)
    }
}

/// The 64 bytes of a layout 2 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type2Header {
    bytes: [u8; 64],
}

impl Type2Header {
    /// The header in these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self { bytes }
    }

    /// PCI Bus Number: the bus on which the bridge stands.
    #[must_use]
    pub const fn primary_bus(&self) -> u8 {
        self.bytes[0x18]
    }

    /// CardBus Bus Number and Subordinate Bus Number.
    #[must_use]
    pub const fn bus_range(&self) -> BusRange {
        BusRange { secondary: self.bytes[0x19], subordinate: self.bytes[0x1a] }
    }
}

/// The word at `at`, which the callers of this file keep inside the header.
fn word(bytes: &[u8; 64], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b: &[u8; 2]| LittleEndian::read_u16(b))
}

/// The double word at `at`, which the callers of this file keep inside the header.
fn dword(bytes: &[u8; 64], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b: &[u8; 4]| LittleEndian::read_u32(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type1(fill: &[(usize, &[u8])]) -> Type1Header {
        let mut bytes = [0; 64];
        for (at, value) in fill {
            bytes[*at..at + value.len()].copy_from_slice(value);
        }
        Type1Header::new(bytes)
    }

    #[test]
    fn windows_of_a_bridge_are_closed_when_base_exceeds_limit() {
        let header = type1(&[
            (0x1c, &[0xf0, 0x00]),
            (0x20, &[0xf0, 0xff, 0x00, 0x00]),
            (0x24, &[0xf1, 0xff, 0x01, 0x00]),
        ]);
        assert_eq!(header.io_window(), None);
        assert_eq!(header.memory_window(), None);
        assert_eq!(header.prefetchable_window(), None);
    }

    #[test]
    fn windows_are_one_mebibyte_and_four_kibibytes_grained() {
        let header = type1(&[
            (0x1c, &[0x21, 0x31]),
            (0x20, &[0x20, 0x60, 0xa0, 0x60]),
            (0x24, &[0x01, 0xc0, 0xf1, 0xc7]),
            (0x28, &[0x3f, 0, 0, 0, 0x40, 0, 0, 0]),
            (0x30, &[1, 0, 1, 0]),
        ]);
        assert_eq!(header.io_window(), Some((0x1_2000, 0x1_3fff)));
        assert_eq!(header.memory_window(), Some((0x6020_0000, 0x60af_ffff)));
        assert_eq!(header.prefetchable_window(), Some((0x3f_c000_0000, 0x40_c7ff_ffff)));
    }

    #[test]
    fn header_type_7f_is_reserved_and_single_function() {
        assert_eq!(HeaderType(0x7f).layout(), HeaderLayout::Reserved(0x7f));
        assert!(!HeaderType(0x7f).multi_function());
        assert_eq!(HeaderType(0x81).layout(), HeaderLayout::Type1);
        assert!(HeaderType(0x81).multi_function());
    }
}
