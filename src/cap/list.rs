//! The two capability lists.
//!
//! Layer 2. Both walkers are fused iterators of `Result`: at most one `Err`, and it is the last
//! item. A visited map and a step bound (48 and 960) keep them finite on any bytes. Only a list
//! that was walked to its end proves that something is absent: see [`find`] and [`find_extended`].
//!
//! Sources: PCIe Base 6.x, §7.5.1.1.11 "Capabilities Pointer", §7.5.3 "PCI Express Capability
//! Structure" (list rules), §7.6.3 "PCI Express Extended Capability Header"; a list that ends in a
//! zero header and the mask on the low two bits as Linux reads them (drivers/pci/pci.c).

use core::fmt;

use super::id::{CapabilityId, ExtendedCapabilityId};
use crate::anomaly::{Anomaly, Presence};
use crate::config::{CommonHeader, ConfigSpace, HeaderLayout, Source};

/// Upper bound of the standard list: 192 bytes hold 48 structures of four bytes.
pub const MAX_CAPABILITIES: usize = 48;
/// Upper bound of the extended list: 3840 bytes hold 960 headers of four bytes.
pub const MAX_EXTENDED_CAPABILITIES: usize = 960;

/// Why a walk stopped before the end of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalkError {
    /// The next structure's header was not captured.
    NotCaptured {
        /// Offset of the first byte that would have been read.
        at: u16,
    },
    /// The list is broken.
    Anomaly(Anomaly),
}

impl fmt::Display for WalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCaptured { at } => write!(f, "what stands at {at:#05x} was not captured"),
            Self::Anomaly(anomaly) => anomaly.fmt(f),
        }
    }
}

impl core::error::Error for WalkError {}

/// One entry of the standard list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawCapability {
    /// Capability ID.
    pub id: CapabilityId,
    /// Offset of the structure, 40h to FCh.
    pub offset: u8,
}

/// One entry of the extended list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawExtendedCapability {
    /// Extended Capability ID.
    pub id: ExtendedCapabilityId,
    /// Capability Version.
    pub version: u8,
    /// Offset of the structure, 100h to FFCh.
    pub offset: u16,
}

/// The standard list, below 100h. Made by [`capabilities`].
#[derive(Clone, Debug)]
pub struct Capabilities<'c, S> {
    config: &'c ConfigSpace<S>,
    /// The structure to read, 0 at the end, and where its pointer stands.
    next: u16,
    from: u16,
    /// What comes in place of a next structure.
    failure: Option<WalkError>,
    visited: u64,
}

/// Walks the standard capability list.
///
/// Empty where the Status register says that there is no list. The pointer stands at 34h, in a
/// layout 2 header at 14h; a reserved layout is read as layout 0, as Linux does not read it at all
/// and nothing better is known.
pub fn capabilities<S: Source>(config: &ConfigSpace<S>) -> Capabilities<'_, S> {
    let header = config.common_header();
    let failed = |error| Capabilities { config, next: 0, from: 0, failure: Some(error), visited: 0 };
    match header {
        None => failed(WalkError::NotCaptured { at: reg::STATUS }),
        Some(_) if config.reads_all_ones() => failed(WalkError::Anomaly(Anomaly::ConfigAllOnes)),
        Some(header) => capabilities_of(config, &header),
    }
}

/// The same for a function that is known to answer with this header.
#[inline]
pub(crate) fn capabilities_of<'c, S: Source>(
    config: &'c ConfigSpace<S>,
    header: &CommonHeader,
) -> Capabilities<'c, S> {
    let mut list = Capabilities { config, next: 0, from: 0, failure: None, visited: 0 };
    if header.has_capabilities_list() {
        let at = match header.header_type().layout() {
            HeaderLayout::Type2 => reg::CARDBUS_POINTER,
            _ => reg::POINTER,
        };
        match config.u8(at) {
            None => list.failure = Some(WalkError::NotCaptured { at }),
            Some(pointer) => list.follow(at, pointer),
        }
    }
    list
}

impl<S> Capabilities<'_, S> {
    /// Takes a pointer, its reserved low two bits masked.
    #[inline]
    fn follow(&mut self, from: u16, pointer: u8) {
        let target = u16::from(pointer & !3);
        if target >= reg::FIRST {
            (self.from, self.next) = (from, target);
        } else if target > 0 {
            self.failure = Some(WalkError::Anomaly(Anomaly::CapPointerOutOfRange { at: from, target }));
        }
    }
}

impl<S: Source> Iterator for Capabilities<'_, S> {
    type Item = Result<RawCapability, WalkError>;

    // Its result is taken apart at once: as a call it costs more than the step itself.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (from, target) = (self.from, self.next);
        if target == 0 {
            return self.failure.take().map(Err);
        }
        self.next = 0;
        let bit = 1_u64 << ((target >> 2) & 63);
        if self.visited & bit != 0 {
            return Some(Err(WalkError::Anomaly(Anomaly::CapListCycle { at: from, target })));
        }
        self.visited |= bit;
        let Some([id, next]) = self.config.array::<2>(target) else {
            return Some(Err(WalkError::NotCaptured { at: target }));
        };
        if id == 0xff {
            return Some(Err(WalkError::Anomaly(Anomaly::CapAllOnes { at: target })));
        }
        self.follow(target, next);
        Some(Ok(RawCapability { id: CapabilityId(id), offset: (target & 0xff) as u8 }))
    }
}

impl<S: Source> core::iter::FusedIterator for Capabilities<'_, S> {}

/// The extended list, from 100h on. Made by [`extended_capabilities`].
#[derive(Clone, Debug)]
pub struct ExtendedCapabilities<'c, S> {
    config: &'c ConfigSpace<S>,
    /// Vendor and Device ID: what a repetition of the first 256 bytes begins with.
    ids: u32,
    /// The structure to read, 0 at the end, and where its pointer stands.
    next: u16,
    from: u16,
    /// What comes in place of a next structure.
    failure: Option<WalkError>,
    visited: [u64; 16],
}

/// Walks the extended capability list.
///
/// Meaningful for PCIe functions (and PCI-X 2.0 ones); a conventional function has no extended
/// space, and what a dump holds there is not a list: see [`find_extended`].
pub fn extended_capabilities<S: Source>(config: &ConfigSpace<S>) -> ExtendedCapabilities<'_, S> {
    let mut list = extended_capabilities_of(config, config.u32(0).unwrap_or(0));
    if config.reads_all_ones() {
        list.next = 0;
        list.failure = Some(WalkError::Anomaly(Anomaly::ConfigAllOnes));
    }
    list
}

/// The same for a function that is known to answer with these IDs.
#[inline]
pub(crate) fn extended_capabilities_of<S: Source>(
    config: &ConfigSpace<S>,
    ids: u32,
) -> ExtendedCapabilities<'_, S> {
    ExtendedCapabilities { config, ids, next: reg::EXTENDED_FIRST, from: 0, failure: None, visited: [0; 16] }
}

/// Whether every 256 bytes begin with the function's IDs: the platform drops the upper bits of the
/// offset, and what reads as extended space is the first 256 bytes again. Pages that were not captured
/// prove nothing else. Source: Linux 7.2.13, drivers/pci/probe.c, `pci_ext_cfg_is_aliased`.
#[cold]
fn is_aliased<S: Source>(config: &ConfigSpace<S>, ids: u32) -> bool {
    let mut pages = (reg::EXTENDED_FIRST..crate::config::SIZE).step_by(0x100);
    pages.all(|page| config.u32(page).is_none_or(|first| first == ids))
}

impl<S: Source> Iterator for ExtendedCapabilities<'_, S> {
    type Item = Result<RawExtendedCapability, WalkError>;

    // Its result is taken apart at once: as a call it costs more than the step itself.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (from, target) = (self.from, self.next);
        if target == 0 {
            return self.failure.take().map(Err);
        }
        self.next = 0;
        let bit = 1_u64 << ((target >> 2) & 63);
        if let Some(word) = self.visited.get_mut(usize::from(target >> 8)) {
            if *word & bit != 0 {
                return Some(Err(WalkError::Anomaly(Anomaly::ExtCapListCycle { at: from, target })));
            }
            *word |= bit;
        }
        let Some(header) = self.config.u32(target) else {
            return Some(Err(WalkError::NotCaptured { at: target }));
        };
        if header == 0 {
            return None;
        }
        if header == u32::MAX {
            return Some(Err(WalkError::Anomaly(Anomaly::ExtCapAllOnes { at: target })));
        }
        if header == self.ids && from == 0 && is_aliased(self.config, self.ids) {
            return Some(Err(WalkError::Anomaly(Anomaly::ExtSpaceAliased)));
        }
        let next = (header >> 20) as u16 & !3;
        if next >= reg::EXTENDED_FIRST {
            (self.from, self.next) = (target, next);
        } else if next > 0 {
            let anomaly = Anomaly::ExtCapPointerOutOfRange { at: target, target: next };
            self.failure = Some(WalkError::Anomaly(anomaly));
        }
        let (id, version) = (ExtendedCapabilityId((header & 0xffff) as u16), (header >> 16 & 0xf) as u8);
        Some(Ok(RawExtendedCapability { id, version, offset: target }))
    }
}

impl<S: Source> core::iter::FusedIterator for ExtendedCapabilities<'_, S> {}

/// Offset of the first standard capability with this ID. `Absent` only if the list was walked to
/// its end.
#[must_use]
pub fn find<S: Source>(config: &ConfigSpace<S>, id: CapabilityId) -> Presence<u8> {
    for entry in capabilities(config) {
        match entry {
            Ok(found) if found.id == id => return Presence::Present(found.offset),
            Ok(_) => {}
            Err(_) => return Presence::NotCaptured,
        }
    }
    Presence::Absent
}

/// Offset of the first extended capability with this ID. `Absent` if the extended list was walked
/// to its end, and for a function that is proved to be conventional: it has no extended space.
///
/// ```
/// use acsscan::{anomaly::Presence, cap::{id::ExtendedCapabilityId, list}, config::ConfigSpace};
/// // A PCIe endpoint: capability list (status bit 4), PCI Express at 40h, 256 bytes captured.
/// let mut bytes = [0; 256];
/// bytes[0x06] = 0x10;
/// bytes[0x34] = 0x40;
/// bytes[0x40] = 0x10;
/// let config = ConfigSpace::new(&bytes);
/// assert_eq!(list::find_extended(&config, ExtendedCapabilityId::ACS), Presence::NotCaptured);
/// ```
#[must_use]
pub fn find_extended<S: Source>(config: &ConfigSpace<S>, id: ExtendedCapabilityId) -> Presence<u16> {
    if find(config, CapabilityId::PCI_EXPRESS).is_absent() {
        return Presence::Absent;
    }
    for entry in extended_capabilities(config) {
        match entry {
            Ok(found) if found.id == id => return Presence::Present(found.offset),
            Ok(_) => {}
            Err(_) => return Presence::NotCaptured,
        }
    }
    Presence::Absent
}

/// Offsets and bounds of the two lists.
mod reg {
    pub(super) const STATUS: u16 = 0x06;
    pub(super) const CARDBUS_POINTER: u16 = 0x14;
    pub(super) const POINTER: u16 = 0x34;
    pub(super) const FIRST: u16 = 0x40;
    pub(super) const EXTENDED_FIRST: u16 = 0x100;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PCI Express function, its first 256 bytes again and again, as far as they were captured.
    fn repeated(ids: u32, captured: usize) -> ([u8; 4096], usize) {
        let mut bytes = [0; 4096];
        for page in bytes.chunks_exact_mut(256) {
            page[..4].copy_from_slice(&ids.to_le_bytes());
            (page[0x06], page[0x34], page[0x40]) = (0x10, 0x40, 0x10);
        }
        (bytes, captured)
    }

    /// How the walk of the extended list begins, and how many entries it has.
    fn walk(bytes: &[u8]) -> (Option<Result<RawExtendedCapability, WalkError>>, usize) {
        let config = ConfigSpace::new(bytes);
        (extended_capabilities(&config).next(), extended_capabilities(&config).count())
    }

    const ALIASED: WalkError = WalkError::Anomaly(Anomaly::ExtSpaceAliased);

    #[test]
    fn the_list_of_a_cardbus_bridge_begins_where_its_header_says() {
        let mut bytes = [0_u8; 256];
        (bytes[0x06], bytes[0x0e], bytes[0x14], bytes[0x34]) = (0x10, 2, 0xa0, 0x40);
        (bytes[0x40], bytes[0xa0]) = (0x10, 0x01);
        let config = ConfigSpace::new(&bytes);
        let mut ids = capabilities(&config).map(|found| found.expect("regular").id);
        assert_eq!((ids.next(), ids.next()), (Some(CapabilityId(0x01)), None));
    }

    #[test]
    fn the_first_page_again_and_again_is_no_list_and_proves_nothing() {
        // What was not captured does not stand against it: a dump that is cut says the same.
        for captured in [4096, 2049, 0x204, 0x104] {
            let (bytes, captured) = repeated(0x0001_8086, captured);
            let bytes = &bytes[..captured];
            assert_eq!(walk(bytes), (Some(Err(ALIASED)), 1), "{captured}");
            let acs = find_extended(&ConfigSpace::new(bytes), ExtendedCapabilityId::ACS);
            assert_eq!(acs, Presence::NotCaptured, "{captured}");
        }
        let (bytes, _) = repeated(0x0001_8086, 0x103);
        let cut = Some(Err(WalkError::NotCaptured { at: 0x100 }));
        assert_eq!(walk(&bytes[..0x103]), (cut, 1));
    }

    #[test]
    fn a_header_that_only_looks_like_the_ids_is_a_capability() {
        for other in [0x200, 0x800, 0xf00] {
            let (mut bytes, _) = repeated(0x0001_8086, 4096);
            bytes[other] ^= 1;
            let (first, count) = walk(&bytes);
            let capability =
                RawExtendedCapability { id: ExtendedCapabilityId(0x8086), version: 1, offset: 0x100 };
            assert_eq!((first, count), (Some(Ok(capability)), 1), "{other:x}");
        }
        // Only the first entry can be the start of the repeated space: a later one that equals the IDs is one.
        let (mut bytes, _) = repeated(0x0001_8086, 4096);
        bytes[0x100..0x104].copy_from_slice(&0x2001_000d_u32.to_le_bytes());
        let (first, count) = walk(&bytes);
        assert!(matches!(first, Some(Ok(found)) if found.id == ExtendedCapabilityId::ACS));
        assert_eq!(count, 2);
    }

    #[test]
    fn a_space_of_zeros_ends_its_list_and_one_of_ones_does_not_answer() {
        assert_eq!(walk(&[0; 4096]), (None, 0));
        let failed = |anomaly| (Some(Err(WalkError::Anomaly(anomaly))), 1);
        assert_eq!(walk(&[0xff; 4096]), failed(Anomaly::ConfigAllOnes));
        let mut bytes = [0xff; 4096];
        bytes[..4].copy_from_slice(&[0x86, 0x80, 1, 0]);
        assert_eq!(walk(&bytes), failed(Anomaly::ExtCapAllOnes { at: 0x100 }));
    }
}
