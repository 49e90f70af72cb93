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
use crate::config::{ConfigSpace, HeaderLayout, Source};

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

/// Where a walk stands.
#[derive(Clone, Copy, Debug)]
enum Cursor {
    /// Read the structure at `target`; its pointer stands at `from`.
    At {
        from: u16,
        target: u16,
    },
    /// Yield the error, then be done.
    Fail(WalkError),
    Done,
}

/// The standard list, below 100h. Made by [`capabilities`].
#[derive(Clone, Debug)]
pub struct Capabilities<'c, S> {
    config: &'c ConfigSpace<S>,
    cursor: Cursor,
    visited: u64,
}

/// Walks the standard capability list.
///
/// Empty where the Status register says that there is no list. The pointer stands at 34h, in a
/// layout 2 header at 14h; a reserved layout is read as layout 0, as Linux does not read it at all
/// and nothing better is known.
pub fn capabilities<S: Source>(config: &ConfigSpace<S>) -> Capabilities<'_, S> {
    let cursor = match config.common_header() {
        None => Cursor::Fail(WalkError::NotCaptured { at: reg::STATUS }),
        Some(_) if config.reads_all_ones() => Cursor::Fail(WalkError::Anomaly(Anomaly::ConfigAllOnes)),
        Some(header) if !header.has_capabilities_list() => Cursor::Done,
        Some(header) => {
            let at = match header.header_type().layout() {
                HeaderLayout::Type2 => reg::CARDBUS_POINTER,
                _ => reg::POINTER,
            };
            match config.u8(at) {
                None => Cursor::Fail(WalkError::NotCaptured { at }),
                Some(target) => standard_cursor(at, target),
            }
        }
    };
    Capabilities { config, cursor, visited: 0 }
}

/// Where a pointer of the standard list leads, its reserved low two bits masked.
fn standard_cursor(from: u16, pointer: u8) -> Cursor {
    match u16::from(pointer & !3) {
        0 => Cursor::Done,
        target if target < reg::FIRST => {
            Cursor::Fail(WalkError::Anomaly(Anomaly::CapPointerOutOfRange { at: from, target }))
        }
        target => Cursor::At { from, target },
    }
}

impl<S: Source> Iterator for Capabilities<'_, S> {
    type Item = Result<RawCapability, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (from, target) = match core::mem::replace(&mut self.cursor, Cursor::Done) {
            Cursor::Done => return None,
            Cursor::Fail(error) => return Some(Err(error)),
            Cursor::At { from, target } => (from, target),
        };
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
        self.cursor = standard_cursor(target, next);
        Some(Ok(RawCapability { id: CapabilityId(id), offset: u8::try_from(target).unwrap_or(0) }))
    }
}

impl<S: Source> core::iter::FusedIterator for Capabilities<'_, S> {}

/// The extended list, from 100h on. Made by [`extended_capabilities`].
#[derive(Clone, Debug)]
pub struct ExtendedCapabilities<'c, S> {
    config: &'c ConfigSpace<S>,
    cursor: Cursor,
    visited: [u64; 16],
}

/// Walks the extended capability list.
///
/// Meaningful for PCIe functions (and PCI-X 2.0 ones); a conventional function has no extended
/// space, and what a dump holds there is not a list: see [`find_extended`].
pub fn extended_capabilities<S: Source>(config: &ConfigSpace<S>) -> ExtendedCapabilities<'_, S> {
    let cursor = if config.reads_all_ones() {
        Cursor::Fail(WalkError::Anomaly(Anomaly::ConfigAllOnes))
    } else if is_aliased(config) {
        Cursor::Fail(WalkError::Anomaly(Anomaly::ExtSpaceAliased))
    } else {
        Cursor::At { from: 0, target: reg::EXTENDED_FIRST }
    };
    ExtendedCapabilities { config, cursor, visited: [0; 16] }
}

/// Whether every 256 bytes begin with the function's IDs: the platform drops the upper bits of the
/// offset, and what reads as extended space is the first 256 bytes again. Pages that were not captured
/// prove nothing else. Source: Linux 7.2.13, drivers/pci/probe.c, `pci_ext_cfg_is_aliased`.
fn is_aliased<S: Source>(config: &ConfigSpace<S>) -> bool {
    let Some(ids) = config.u32(0).filter(|ids| *ids != u32::MAX && *ids != 0) else { return false };
    let pages = (reg::EXTENDED_FIRST..crate::config::SIZE).step_by(0x100);
    config.u32(reg::EXTENDED_FIRST).is_some()
        && pages.filter_map(|page| config.u32(page)).all(|page| page == ids)
}

impl<S: Source> Iterator for ExtendedCapabilities<'_, S> {
    type Item = Result<RawExtendedCapability, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (from, target) = match core::mem::replace(&mut self.cursor, Cursor::Done) {
            Cursor::Done => return None,
            Cursor::Fail(error) => return Some(Err(error)),
            Cursor::At { from, target } => (from, target),
        };
        let bit = 1_u64 << ((target >> 2) & 63);
        if let Some(word) = self.visited.get_mut(usize::from(target >> 8)) {
            if *word & bit != 0 {
                return Some(Err(WalkError::Anomaly(Anomaly::ExtCapListCycle { at: from, target })));
            }
            *word |= bit;
        }
        let header = match self.config.u32(target) {
            None => return Some(Err(WalkError::NotCaptured { at: target })),
            Some(0) => return None,
            Some(u32::MAX) => {
                return Some(Err(WalkError::Anomaly(Anomaly::ExtCapAllOnes { at: target })));
            }
            Some(header) => header,
        };
        let [low, high] = [header as u16, (header >> 16) as u16];
        self.cursor = match (high >> 4) & 0xffc {
            0 => Cursor::Done,
            next if next < reg::EXTENDED_FIRST => {
                let anomaly = Anomaly::ExtCapPointerOutOfRange { at: target, target: next };
                Cursor::Fail(WalkError::Anomaly(anomaly))
            }
            next => Cursor::At { from: target, target: next },
        };
        let id = ExtendedCapabilityId(low);
        Some(Ok(RawExtendedCapability { id, version: (high & 0xf) as u8, offset: target }))
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
