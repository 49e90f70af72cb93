//! Everything that `show` prints about one function beyond [`Function`](super::Function): the
//! capability lists by name, and the structures that routing does not need.

use alloc::vec::Vec;

use crate::anomaly::Presence;
use crate::cap::id::{CapabilityId, ExtendedCapabilityId};
use crate::cap::list::{WalkError, capabilities, extended_capabilities};
use crate::cap::pasid::Pasid;
use crate::cap::pri::Pri;
use crate::cap::vc::Vc;
use crate::config::{ConfigSpace, Source};

/// ID of a listed capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListedId {
    /// From the list below 100h.
    Standard(CapabilityId),
    /// From the extended list, with its version.
    Extended(ExtendedCapabilityId, u8),
}

/// One entry of either list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// What it is.
    pub id: ListedId,
    /// Where it is.
    pub offset: u16,
}

/// The lists, and the structures that routing does not need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Detail {
    /// Both lists in the order in which they are linked.
    pub capabilities: Vec<Listed>,
    /// Why the standard list could not be walked to its end.
    pub standard_stop: Option<WalkError>,
    /// Why the extended list could not be walked to its end; `None` for conventional functions.
    pub extended_stop: Option<WalkError>,
    /// Page Request Interface.
    pub pri: Presence<Pri>,
    /// Process Address Space ID.
    pub pasid: Presence<Pasid>,
    /// Virtual Channel structures: VC and MFVC.
    pub vc: Vec<Vc>,
}

impl Detail {
    /// Walks both lists of a function. `conventional` functions have no extended list.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, conventional: bool) -> Self {
        let [mut pri, mut pasid] = [None; 2];
        let mut detail = Self {
            capabilities: Vec::new(),
            standard_stop: None,
            extended_stop: None,
            pri: Presence::NotCaptured,
            pasid: Presence::NotCaptured,
            vc: Vec::new(),
        };
        for entry in capabilities(config) {
            match entry {
                Ok(entry) => detail
                    .capabilities
                    .push(Listed { id: ListedId::Standard(entry.id), offset: u16::from(entry.offset) }),
                Err(error) => detail.standard_stop = Some(error),
            }
        }
        if conventional {
            detail.pri = Presence::Absent;
            detail.pasid = Presence::Absent;
            return detail;
        }
        for entry in extended_capabilities(config) {
            match entry {
                Ok(entry) => {
                    let id = ListedId::Extended(entry.id, entry.version);
                    detail.capabilities.push(Listed { id, offset: entry.offset });
                    match entry.id {
                        ExtendedCapabilityId::PRI => _ = pri.get_or_insert(entry.offset),
                        ExtendedCapabilityId::PASID => _ = pasid.get_or_insert(entry.offset),
                        ExtendedCapabilityId::VC
                        | ExtendedCapabilityId::MFVC
                        | ExtendedCapabilityId::VC_WITH_MFVC => {
                            detail.vc.extend(Vc::read(config, entry.offset));
                        }
                        _ => {}
                    }
                }
                Err(error) => detail.extended_stop = Some(error),
            }
        }
        let walked = detail.standard_stop.is_none() && detail.extended_stop.is_none();
        detail.pri = structure(walked, pri, |at| Pri::read(config, at));
        detail.pasid = structure(walked, pasid, |at| Pasid::read(config, at));
        detail
    }
}

/// A structure at the place where a walk found it; absent only if the walk came to the end.
fn structure<T>(walked: bool, found: Option<u16>, read: impl Fn(u16) -> Option<T>) -> Presence<T> {
    match found {
        Some(at) => Presence::from(read(at)),
        None if walked => Presence::Absent,
        None => Presence::NotCaptured,
    }
}
