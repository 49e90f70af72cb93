//! Everything that `show` prints about one function beyond [`Function`](super::Function): the
//! capability lists by name, and the structures that routing does not need.

use alloc::vec::Vec;

use crate::cap::id::{CapabilityId, ExtendedCapabilityId};
use crate::cap::list::{WalkError, capabilities, extended_capabilities};
use crate::cap::pasid::Pasid;
use crate::cap::pri::Pri;
use crate::cap::vc::Vc;
use crate::config::{ConfigSpace, Source};

/// ID of a listed capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedId {
    /// From the list below 100h.
    Standard(CapabilityId),
    /// From the extended list, with its version.
    Extended(ExtendedCapabilityId, u8),
}

/// One entry of either list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is.
    pub id: ListedId,
    /// Where it is.
    pub offset: u16,
}

/// The lists, and the structures that routing does not need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Both lists in the order in which they are linked.
    pub capabilities: Vec<Listed>,
    /// Why the standard list could not be walked to its end.
    pub standard_stop: Option<WalkError>,
    /// Why the extended list could not be walked to its end; `None` for conventional functions.
    pub extended_stop: Option<WalkError>,
    /// Page Request Interface.
    pub pri: Option<Pri>,
    /// Process Address Space ID.
    pub pasid: Option<Pasid>,
    /// Virtual Channel structures: VC and MFVC.
    pub vc: Vec<Vc>,
}

impl Detail {
    /// Walks both lists of a function. `conventional` functions have no extended list.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, conventional: bool) -> Self {
        let mut detail = Self::default();
        for entry in capabilities(config) {
            match entry {
                Ok(entry) => detail
                    .capabilities
                    .push(Listed { id: ListedId::Standard(entry.id), offset: u16::from(entry.offset) }),
                Err(error) => detail.standard_stop = Some(error),
            }
        }
        if conventional {
            return detail;
        }
        for entry in extended_capabilities(config) {
            match entry {
                Ok(entry) => {
                    let id = ListedId::Extended(entry.id, entry.version);
                    detail.capabilities.push(Listed { id, offset: entry.offset });
                    detail.read_structure(config, entry.id, entry.offset);
                }
                Err(error) => detail.extended_stop = Some(error),
            }
        }
        detail
    }

    fn read_structure<S: Source>(&mut self, config: &ConfigSpace<S>, id: ExtendedCapabilityId, at: u16) {
        match id {
            ExtendedCapabilityId::PRI if self.pri.is_none() => self.pri = Pri::read(config, at),
            ExtendedCapabilityId::PASID if self.pasid.is_none() => self.pasid = Pasid::read(config, at),
            ExtendedCapabilityId::VC | ExtendedCapabilityId::MFVC | ExtendedCapabilityId::VC_WITH_MFVC => {
                self.vc.extend(Vc::read(config, at));
            }
            _ => {}
        }
    }
}
