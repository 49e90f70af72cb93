//! Configuration space: bounded reads over whatever holds the bytes.
//!
//! Layer 1. [`Source`] is the one reading primitive: borrowed bytes answer it, and so can hex text
//! or an open file, without copying. Everything above is generic over it. A read of bytes that were
//! not captured is `None`, never zero.
//!
//! Source: PCIe Base 6.x, §7.2 "PCI Express Enhanced Configuration Access Mechanism" and §7.5
//! "PCI and PCIe Capabilities Required by the Base Spec".

mod header;
mod offset;

pub use header::{ClassCode, CommonHeader, HeaderLayout, HeaderType, Type0Header, Type1Header, Type2Header};
pub use offset::Offset;

/// Size of a PCIe function's configuration space in bytes.
pub const SIZE: u16 = 4096;
/// Size of a conventional function's configuration space in bytes; extended capabilities start here.
pub const CONVENTIONAL_SIZE: u16 = 256;

/// Something that holds captured bytes of one function's configuration space.
pub trait Source {
    /// One more than the offset of the highest captured byte; at most 4096. There may be holes
    /// below.
    fn extent(&self) -> u16;

    /// How many bytes were captured: [`extent`](Self::extent) less the holes.
    fn captured(&self) -> u16 {
        self.extent()
    }

    /// The `N` bytes from `offset` on, if every one of them was captured.
    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]>;

    /// All bytes in one piece, if it holds every one of them so: then they are read faster.
    fn whole(&self) -> Option<&[u8; 4096]> {
        None
    }

    /// Whether a read found what holds the bytes to be other than was assumed, so that no answer of
    /// this source counts.
    fn is_spoilt(&self) -> bool {
        false
    }
}

impl Source for &[u8] {
    fn extent(&self) -> u16 {
        u16::try_from(self.len()).unwrap_or(SIZE).min(SIZE)
    }

    #[inline]
    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let start = usize::from(offset);
        let end = start.checked_add(N).filter(|end| *end <= usize::from(SIZE))?;
        self.get(start..end)?.first_chunk().copied()
    }

    #[inline]
    fn whole(&self) -> Option<&[u8; 4096]> {
        self.first_chunk()
    }
}

impl<const L: usize> Source for &[u8; L] {
    fn extent(&self) -> u16 {
        self.as_slice().extent()
    }

    #[inline]
    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        self.as_slice().array(offset)
    }

    #[inline]
    fn whole(&self) -> Option<&[u8; 4096]> {
        self.as_slice().first_chunk()
    }
}

/// Captured configuration space of one function.
///
/// ```
/// use acsscan::config::ConfigSpace;
/// let bytes = [0x86, 0x80, 0x94, 0xa2];
/// let config = ConfigSpace::new(&bytes);
/// assert_eq!(config.u16(0), Some(0x8086));
/// assert_eq!(config.u32(2), None, "two of the four bytes were not captured");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConfigSpace<S> {
    source: S,
}

impl<S: Source> ConfigSpace<S> {
    /// Wraps a source.
    pub const fn new(source: S) -> Self {
        Self { source }
    }

    /// The source again.
    pub fn into_source(self) -> S {
        self.source
    }

    /// One more than the offset of the highest captured byte; at most 4096.
    #[must_use]
    pub fn extent(&self) -> u16 {
        self.source.extent()
    }

    /// How many bytes were captured: the extent less the holes.
    #[must_use]
    pub fn captured(&self) -> u16 {
        self.source.captured()
    }

    /// The `N` bytes from `offset` on, if captured.
    #[must_use]
    pub fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        self.source.array(offset)
    }

    /// The byte at `offset`.
    #[must_use]
    pub fn u8(&self, offset: u16) -> Option<u8> {
        self.source.array::<1>(offset).map(|[byte]| byte)
    }

    /// The little-endian word at `offset`.
    #[must_use]
    pub fn u16(&self, offset: u16) -> Option<u16> {
        self.source.array::<2>(offset).map(u16::from_le_bytes)
    }

    /// The little-endian double word at `offset`.
    #[must_use]
    pub fn u32(&self, offset: u16) -> Option<u32> {
        self.source.array::<4>(offset).map(u32::from_le_bytes)
    }

    /// All 4096 bytes in one piece, if the source holds them so: see [`Source::whole`].
    #[must_use]
    pub fn whole(&self) -> Option<&[u8; 4096]> {
        self.source.whole()
    }

    /// Whether no answer of the source counts: see [`Source::is_spoilt`].
    #[must_use]
    pub fn is_spoilt(&self) -> bool {
        self.source.is_spoilt()
    }

    /// The first 16 bytes, which all header layouts share.
    #[must_use]
    pub fn common_header(&self) -> Option<CommonHeader> {
        self.array(0).map(CommonHeader::new)
    }

    /// Whether the header answers nothing at all: each of its captured bytes, at least four, reads
    /// FFh. A virtual function is not such a case: only its Vendor and Device ID read FFFFh.
    #[must_use]
    pub fn reads_all_ones(&self) -> bool {
        let mut captured = 0_u32;
        for offset in 0..HEADER_SIZE {
            match self.u8(offset) {
                Some(0xff) => captured = captured.saturating_add(1),
                Some(_) => return false,
                None => {}
            }
        }
        captured >= 4
    }
}

/// Size of the standard header in bytes.
const HEADER_SIZE: u16 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_touches_one_missing_byte_is_none() {
        let bytes = [0x11_u8; 66];
        let config = ConfigSpace::new(&bytes);
        assert_eq!(config.u16(64), Some(0x1111));
        assert_eq!(config.u32(64), None);
        assert_eq!(config.u8(66), None);
        assert_eq!(config.u32(u16::MAX), None);
    }

    #[test]
    fn bytes_past_4096_do_not_exist() {
        let bytes = [0_u8; 5000];
        let config = ConfigSpace::new(&bytes);
        assert_eq!(config.extent(), 4096);
        assert_eq!(config.u8(4095), Some(0));
        assert_eq!(config.u8(4096), None);
        assert_eq!(config.u32(4094), None);
    }

    #[test]
    fn only_the_ids_of_a_virtual_function_read_all_ones() {
        let mut bytes = [0xff_u8; 64];
        assert!(ConfigSpace::new(&bytes).reads_all_ones());
        assert!(!ConfigSpace::new(&bytes[..3]).reads_all_ones());
        bytes[4] = 0;
        assert!(!ConfigSpace::new(&bytes).reads_all_ones());
    }

    #[test]
    fn what_was_captured_is_what_can_be_read() {
        let bytes: [u8; 64] = core::array::from_fn(|n| n as u8);
        let config = ConfigSpace::new(&bytes);
        assert_eq!((config.captured(), config.extent(), config.is_spoilt()), (64, 64, false));
        assert_eq!(config.array(0x10), Some([0x10, 0x11, 0x12]));
        assert_eq!(config.common_header().map(|header| header.vendor_id()), Some(0x0100));
        let short = ConfigSpace::new(&bytes[..15]);
        assert_eq!((short.captured(), short.common_header()), (15, None));
    }
}
