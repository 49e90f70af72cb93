//! Requester IDs that functions share by their making: the device database says which other ID, of the
//! same bus, a function sends with; and all devices of a segment that a driver made send with the ID of
//! the function whose driver it is. The IOMMU cannot tell functions with one ID apart, and no port checks
//! it: Source Validation looks at bus numbers.
//!
//! Source: PCIe Base 6.x, §2.2.6.2 "Transaction Descriptor - Transaction ID Field" (Requester ID);
//! Linux 7.2.13, drivers/pci/search.c, `pci_for_each_dma_alias`.

use alloc::collections::BTreeMap;

use super::join::Joiner;
use super::{HeldBy, Merge};
use crate::db::{Alias, Claim};
use crate::route::fabric::{Fabric, NONE, SendsAs};
use crate::route::{Assumptions, Reason};
use crate::topology::FunctionIndex;

/// Why a function can use another's requester ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Impersonation {
    /// The device sends with it, or both send with a third one.
    Device {
        /// The entry that says so: index into [`Database::entries`](crate::db::Database::entries).
        entry: usize,
        /// Whether the entry has a condition of which nothing is known, or does not know which ID.
        unproven: bool,
    },
    /// A driver made the segment, and all of it sends with the requester ID of the driver's function.
    Segment {
        /// That function, if it is known or can be guessed.
        owner: Option<FunctionIndex>,
        /// Whether it is a guess, or not known.
        unproven: bool,
    },
    /// No port on the way up keeps it from that.
    NotValidated {
        /// What is not known: a port on the way up does not tell, and is taken as one that does not
        /// validate; or one of the two does not answer, and may be a port; or the port validates, and its bus
        /// numbers do not tell all that it lets through.
        missing: Option<Reason>,
    },
}

impl Impersonation {
    /// Whether it rests on something that is not known.
    #[must_use]
    pub const fn is_unproven(self) -> bool {
        self.missing().is_some()
    }

    /// What is not known, if it rests on something that is not.
    #[must_use]
    pub const fn missing(self) -> Option<Reason> {
        match self {
            Self::Device { unproven: true, .. } => Some(Reason::DatabaseCondition),
            Self::Segment { unproven: true, .. } => Some(Reason::RequesterNotInDump),
            Self::Device { .. } | Self::Segment { .. } => None,
            Self::NotValidated { missing } => missing,
        }
    }

    /// Why the ports above may let the other's requester ID through although it is none of their buses, if that
    /// is what it rests on.
    #[must_use]
    pub const fn beyond_bus_numbers(self) -> Option<Reason> {
        match self {
            Self::NotValidated {
                missing: Some(reason @ (Reason::FlatteningPortal | Reason::EnhancedAllocation)),
            } => Some(reason),
            _ => None,
        }
    }

    /// Whether the functions are made so, and nothing on the host changes it.
    #[must_use]
    pub const fn is_by_making(self) -> bool {
        matches!(self, Self::Device { .. } | Self::Segment { .. })
    }
}

impl Fabric<'_> {
    /// Whether a function can use the requester ID of another, if it is hostile, and why.
    #[must_use]
    pub fn impersonation(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        assumptions: &Assumptions,
    ) -> Option<Impersonation> {
        if from == to || !self.initiates(from) || !self.initiates(to) {
            return None;
        }
        // What is proved before what is not known; of what does not answer nothing is proved.
        let unseen = [from, to].into_iter().any(|index| self.node(index as u32).is_unseen());
        let shared = [self.shared_segment(from, to, unseen), self.shared_requester_id(from, to, unseen)];
        let proved = shared.into_iter().flatten().find(|why| !why.is_unproven());
        proved
            .or_else(|| self.not_validated(from, to, assumptions))
            .or_else(|| shared.into_iter().flatten().next())
    }

    /// Whether a function can use the requester ID of another, if it is hostile.
    #[must_use]
    pub fn may_impersonate(&self, from: FunctionIndex, to: FunctionIndex, assumptions: &Assumptions) -> bool {
        self.impersonation(from, to, assumptions).is_some()
    }

    /// The entry by which `from` sends with the requester ID of `to`, or with one that `to` sends with.
    fn shared_requester_id(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        unseen: bool,
    ) -> Option<Impersonation> {
        let sent = self.sends_as(from);
        if sent.is_empty() || self.topology.bus_of(from) != self.topology.bus_of(to) {
            return None;
        }
        let own = self.topology.function(to)?.address.bdf.devfn();
        let (theirs, devfn) = (self.sends_as(to), self.topology.function(from)?.address.bdf.devfn());
        let mut found: Option<Impersonation> = None;
        for (sends, alias) in sent.iter().filter_map(|sends| Some((sends, self.alias(sends)?))) {
            for id in (0..=u8::MAX).filter(|id| alias.covers(devfn, *id) != Some(false)) {
                let third = theirs.iter().filter(|theirs| {
                    self.alias(theirs).is_some_and(|alias| alias.covers(own, id) != Some(false))
                });
                let used = if id == own { Some(false) } else { third.map(|theirs| theirs.unproven).min() };
                let Some(unproven) = used.map(|unproven| unproven || sends.unproven || unseen) else {
                    continue;
                };
                if found.is_none_or(|found| found.is_unproven() && !unproven) {
                    found = Some(Impersonation::Device { entry: sends.entry as usize, unproven });
                }
            }
        }
        found
    }

    /// Whether both send with the requester ID of the function whose driver made a segment.
    fn shared_segment(&self, from: FunctionIndex, to: FunctionIndex, unseen: bool) -> Option<Impersonation> {
        let (one, other) = (self.behind(from), self.behind(to));
        let (owner, unproven) = match (one, other) {
            (None, None) => return None,
            (Some(behind), None) if behind.owner as usize == to => (behind.owner, behind.unproven),
            (None, Some(behind)) if behind.owner as usize == from => (behind.owner, behind.unproven),
            (Some(one), Some(other)) => {
                let segment = |index| self.topology.function(index).map(|f| f.address.segment);
                let same =
                    if one.owner == NONE { segment(from) == segment(to) } else { one.owner == other.owner };
                if !same {
                    return None;
                }
                (one.owner, one.unproven || other.unproven)
            }
            _ => return None,
        };
        let owner = Some(owner as usize).filter(|_| owner != NONE);
        Some(Impersonation::Segment { owner, unproven: unproven || unseen })
    }

    fn alias(&self, sends: &SendsAs) -> Option<&Alias> {
        match &self.database.entries().get(sends.entry as usize)?.claim {
            Claim::RequesterIdAlias(alias) => Some(alias),
            _ => None,
        }
    }
}

/// Joins the functions that send with one requester ID.
pub(super) fn join_shared(fabric: &Fabric<'_>, proved: bool, joiner: &mut Joiner) {
    let all = fabric.all_sends_as();
    let bus_of = |sends: &SendsAs| fabric.topology.bus_of(sends.function as usize);
    for sends in all.chunk_by(|a, b| bus_of(a) == bus_of(b)) {
        let Some(bus) = sends.first().and_then(bus_of) else { continue };
        let devfn = |function: u32| {
            Some(usize::from(fabric.topology.function(function as usize)?.address.bdf.devfn()))
        };
        // By requester ID of the bus: the first that sends with it.
        let mut senders: [Option<(u32, bool)>; 256] = [None; 256];
        for function in fabric.topology.on_bus(bus).map(|index| index as u32) {
            let slot = devfn(function).and_then(|devfn| senders.get_mut(devfn));
            if let Some(slot) = slot.filter(|_| fabric.node(function).initiates()) {
                *slot = Some((function, false));
            }
        }
        for one in
            sends.iter().filter(|one| !(proved && one.unproven) && fabric.node(one.function).initiates())
        {
            let (Some(alias), Some(own)) = (fabric.alias(one), devfn(one.function)) else { continue };
            for (id, slot) in (0..=u8::MAX).zip(&mut senders) {
                if alias.covers(own as u8, id) == Some(false) {
                    continue;
                }
                let (other, unproven) = *slot.get_or_insert((one.function, one.unproven));
                let unproven = unproven || one.unproven || fabric.node(other).is_unseen();
                let why = merge(one.function, other, unproven, Reason::DatabaseCondition);
                if other != one.function && joiner.join(one.function, other) {
                    joiner.note(&why);
                }
            }
        }
    }
}

/// Joins the functions of each segment that a driver made, and the function whose driver it is.
pub(super) fn join_segments(fabric: &Fabric<'_>, proved: bool, joiner: &mut Joiner) {
    // By owner, or by segment where that is not known: the first of them.
    let mut first: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for behind in fabric.all_behind().iter().filter(|behind| !(proved && behind.unproven)) {
        if !fabric.node(behind.function).initiates() {
            continue;
        }
        let segment = fabric.topology.function(behind.function as usize).map(|f| f.address.segment.0);
        let key = if behind.owner == NONE { (NONE, segment.unwrap_or(NONE)) } else { (behind.owner, 0) };
        let owner = Some(behind.owner).filter(|owner| *owner != NONE && fabric.node(*owner).initiates());
        let other = *first.entry(key).or_insert(owner.unwrap_or(behind.function));
        let unseen = fabric.node(behind.function).is_unseen() || fabric.node(other).is_unseen();
        let why = merge(behind.function, other, behind.unproven || unseen, Reason::RequesterNotInDump);
        if other != behind.function && joiner.join(behind.function, other) {
            joiner.note(&why);
        }
    }
}

fn merge(from: u32, to: u32, unproven: bool, reason: Reason) -> Merge {
    Merge {
        held_by: if unproven { HeldBy::Unproven } else { HeldBy::Impersonation },
        from: from as usize,
        to: to as usize,
        class: None,
        reason: unproven.then_some(reason),
    }
}
