//! Requester IDs that functions share by their making: the device database says which other ID, of the
//! same bus, a function sends with. The IOMMU cannot tell two functions with one ID apart, and no port
//! checks it: Source Validation looks at bus numbers.
//!
//! Source: PCIe Base 6.x, §2.2.6.2 "Transaction Descriptor - Transaction ID Field" (Requester ID);
//! Linux 7.2.13, drivers/pci/search.c, `pci_for_each_dma_alias`.

use alloc::vec::Vec;

use super::join::Joiner;
use super::{HeldBy, Merge};
use crate::db::{Alias, Claim};
use crate::route::fabric::{Fabric, SendsAs};
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
    /// No port on the way up keeps it from that.
    NotValidated {
        /// What is not known: a port on the way up does not tell, and is taken as one that does not
        /// validate; or one of the two does not answer, and may be a port.
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
            Self::Device { unproven: false, .. } => None,
            Self::NotValidated { missing } => missing,
        }
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
        let shared = || self.shared_requester_id(from, to);
        let not_validated = || {
            self.reaches_requester_id(from, to, assumptions)
                .then(|| Impersonation::NotValidated { missing: self.forging_rests_on(from, to) })
        };
        shared().or_else(not_validated)
    }

    /// Whether a function can use the requester ID of another, if it is hostile.
    #[must_use]
    pub fn may_impersonate(&self, from: FunctionIndex, to: FunctionIndex, assumptions: &Assumptions) -> bool {
        self.impersonation(from, to, assumptions).is_some()
    }

    /// The entry by which `from` sends with the requester ID of `to`, or with one that `to` sends with.
    fn shared_requester_id(&self, from: FunctionIndex, to: FunctionIndex) -> Option<Impersonation> {
        let sent = self.sends_as(from);
        if sent.is_empty() || self.topology.bus_of(from) != self.topology.bus_of(to) {
            return None;
        }
        let own = self.topology.function(to)?.address.bdf.devfn();
        let (theirs, devfn) = (self.sends_as(to), self.topology.function(from)?.address.bdf.devfn());
        let mut sent: Vec<&SendsAs> = sent.iter().collect();
        sent.sort_by_key(|sends| sends.unproven);
        sent.into_iter().find_map(|sends| {
            let covers = |id: &u8| self.alias(sends).is_some_and(|a| a.covers(devfn, *id) != Some(false));
            let used = |id: &u8| {
                *id == own
                    || theirs.iter().any(|t| self.alias(t).is_some_and(|a| a.covers(own, *id) != Some(false)))
            };
            let shares = (0..=u8::MAX).filter(covers).any(|id| used(&id));
            let unproven = sends.unproven || self.node(to as u32).is_unseen();
            shares.then_some(Impersonation::Device { entry: sends.entry as usize, unproven })
        })
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
        let Some(bus) = sends.first().and_then(|first| fabric.topology.bus_of(first.function as usize))
        else {
            continue;
        };
        let devfn = |function: u32| {
            Some(usize::from(fabric.topology.function(function as usize)?.address.bdf.devfn()))
        };
        // By requester ID of the bus: the first that sends with it.
        let mut senders: [Option<u32>; 256] = [None; 256];
        for function in fabric.topology.on_bus(bus).map(|index| index as u32) {
            let slot = devfn(function).and_then(|devfn| senders.get_mut(devfn));
            if let Some(slot) = slot.filter(|_| fabric.node(function).initiates()) {
                *slot = Some(function);
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
                let other = *slot.get_or_insert(one.function);
                let why = Merge {
                    held_by: if one.unproven { HeldBy::Unproven } else { HeldBy::Impersonation },
                    from: one.function as usize,
                    to: other as usize,
                    class: None,
                    reason: one.unproven.then_some(Reason::DatabaseCondition),
                };
                if other != one.function && joiner.join(one.function, other) {
                    joiner.note(&why);
                }
            }
        }
    }
}
