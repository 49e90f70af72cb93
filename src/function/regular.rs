//! Both capability lists as almost every function has them, followed without the careful walkers' books.
//!
//! The walkers of [`crate::cap::list`] keep a visited map, and both ends of each pointer for the anomaly
//! that may come. Here steps are counted, and whatever is unusual ends the walk: the list is then walked
//! again, with care. `testkit::decode` holds both against each other.

use crate::cap::id::{CapabilityId, ExtendedCapabilityId};
use crate::config::{CommonHeader, ConfigSpace, HeaderLayout, Source};

/// Steps of each list. No function that is built has as many; a list that loops ends here.
const MAX_STEPS: u8 = 64;

/// IDs of standard capabilities that decoding reads, and what lies between.
const FIRST_STANDARD: u8 = CapabilityId::BRIDGE_SUBSYSTEM.0;
const STANDARDS: usize = (CapabilityId::FLATTENING_PORTAL_BRIDGE.0 - FIRST_STANDARD + 1) as usize;

/// Where the structures stand that were found in a standard list, by ID; 0 for what was not found, as no structure
/// stands there.
#[derive(Clone, Copy, Default)]
pub(super) struct Standard([u8; STANDARDS]);

impl Standard {
    /// Offset of the PCI Express capability.
    #[inline(always)]
    pub(super) fn pcie(self) -> Option<u8> {
        self.offset(CapabilityId::PCI_EXPRESS)
    }

    /// Offset of a bridge's subsystem IDs.
    #[inline(always)]
    pub(super) fn bridge_subsystem(self) -> Option<u8> {
        self.offset(CapabilityId::BRIDGE_SUBSYSTEM)
    }

    /// Offset of Enhanced Allocation.
    #[inline(always)]
    pub(super) fn enhanced_allocation(self) -> Option<u8> {
        self.offset(CapabilityId::ENHANCED_ALLOCATION)
    }

    /// Offset of a Flattening Portal Bridge's structure.
    #[inline(always)]
    pub(super) fn flattening_portal(self) -> Option<u8> {
        self.offset(CapabilityId::FLATTENING_PORTAL_BRIDGE)
    }

    #[inline(always)]
    fn offset(self, id: CapabilityId) -> Option<u8> {
        let at = self.0.get(usize::from(id.0.wrapping_sub(FIRST_STANDARD))).copied();
        at.filter(|at| *at != 0)
    }

    /// Notes a structure, if it is the first with an ID that is looked for: the first one counts, as in Linux
    /// and in lspci.
    #[inline(always)]
    pub(super) fn note(&mut self, id: CapabilityId, at: u8) {
        if let Some(first) = self.0.get_mut(usize::from(id.0.wrapping_sub(FIRST_STANDARD))) {
            if *first == 0 {
                *first = at;
            }
        }
    }
}

/// Follows the standard list. `false` if anything is unusual, or was not captured: what was found counts for
/// nothing then.
#[inline(always)]
pub(super) fn standard<S: Source>(
    config: &ConfigSpace<S>,
    header: &CommonHeader,
    found: &mut Standard,
) -> bool {
    if !header.has_capabilities_list() {
        return true;
    }
    if header.header_type().layout() == HeaderLayout::Type2 {
        return false;
    }
    let Some(pointer) = config.u8(reg::POINTER) else { return false };
    let mut at = u32::from(pointer) & !3;
    for _ in 0..MAX_STEPS {
        if at < u32::from(reg::FIRST) {
            return at == 0;
        }
        let Some(header) = config.u16((at & 0xffff) as u16).map(u32::from) else { return false };
        let id = (header & 0xff) as u8;
        if id == 0xff {
            return false;
        }
        found.note(CapabilityId(id), (at & 0xff) as u8);
        at = (header >> 8) & !3;
    }
    false
}

/// IDs of extended capabilities that decoding reads: they lie side by side.
const FIRST_ID: u16 = ExtendedCapabilityId::ACS.0;
const IDS: usize = (ExtendedCapabilityId::MULTICAST.0 - FIRST_ID + 1) as usize;

/// Where the structures stand that were found in an extended list, by ID; 0 for what was not found.
#[derive(Clone, Copy, Default)]
pub(super) struct Extended([u16; IDS]);

impl Extended {
    pub(super) fn acs(&self) -> Option<u16> {
        self.offset(ExtendedCapabilityId::ACS)
    }

    pub(super) fn ari(&self) -> Option<u16> {
        self.offset(ExtendedCapabilityId::ARI)
    }

    pub(super) fn ats(&self) -> Option<u16> {
        self.offset(ExtendedCapabilityId::ATS)
    }

    pub(super) fn sriov(&self) -> Option<u16> {
        self.offset(ExtendedCapabilityId::SR_IOV)
    }

    pub(super) fn multicast(&self) -> Option<u16> {
        self.offset(ExtendedCapabilityId::MULTICAST)
    }

    #[inline(always)]
    fn offset(&self, id: ExtendedCapabilityId) -> Option<u16> {
        let at = self.0.get(usize::from(id.0.wrapping_sub(FIRST_ID))).copied();
        at.filter(|at| *at != 0)
    }

    /// Notes a structure, if it is the first with an ID that is looked for.
    #[inline(always)]
    pub(super) fn note(&mut self, id: ExtendedCapabilityId, at: u16) {
        if let Some(first) = self.0.get_mut(usize::from(id.0.wrapping_sub(FIRST_ID))) {
            if *first == 0 {
                *first = at;
            }
        }
    }
}

/// Follows the extended list of a function with these IDs. `false` if anything is unusual, or was not
/// captured: what was found counts for nothing then.
#[inline(always)]
pub(super) fn extended<S: Source>(config: &ConfigSpace<S>, ids: u32, found: &mut Extended) -> bool {
    let mut at = reg::EXTENDED_FIRST;
    let Some(mut header) = config.u32(at) else { return false };
    // The function's IDs: maybe these are the first 256 bytes again.
    if header == ids {
        return false;
    }
    for _ in 0..MAX_STEPS {
        // A header of zeros ends the list as a next pointer of 0 does.
        if header == u32::MAX {
            return false;
        }
        found.note(ExtendedCapabilityId((header & 0xffff) as u16), at);
        at = (header >> 20) as u16 & !3;
        if at < reg::EXTENDED_FIRST {
            return at == 0;
        }
        match config.u32(at) {
            Some(next) => header = next,
            None => return false,
        }
    }
    false
}

/// Offsets and bounds of the two lists.
mod reg {
    pub(super) const POINTER: u16 = 0x34;
    pub(super) const FIRST: u16 = 0x40;
    pub(super) const EXTENDED_FIRST: u16 = 0x100;
}
