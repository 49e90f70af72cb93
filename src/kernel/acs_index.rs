//! The entries of an ACS option by what they match, so that a function is asked once and not entry by
//! entry: a line of a dump can have more of them than any kernel would take.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::acs_param::{DeviceMatch, Entry, bridge_above};
use crate::addr::Sbdf;
use crate::topology::{FunctionIndex, Topology};

/// A position among the entries, and whether the kernel gives up there.
type Position = (usize, bool);

/// Vendor, device, and both of the subsystem; 0 is any.
type Ids = [u16; 4];

/// The first entry of each kind of match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    ids: BTreeMap<Ids, usize>,
    /// The ways of addresses from their ends, the first is that of an empty way: the kernel reads
    /// them from there.
    ways: Vec<Way>,
}

/// What is known after some devices and functions of a way, from its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Way {
    /// The ways one further up.
    further: BTreeMap<u8, usize>,
    /// Where the next number, or the start, cannot be read.
    malformed: Option<usize>,
    /// Where the way starts here.
    starts: BTreeMap<Sbdf, usize>,
}

impl Index {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut index = Self { ids: BTreeMap::new(), ways: Vec::from([Way::default()]) };
        for (position, entry) in entries.iter().enumerate() {
            match &entry.device {
                DeviceMatch::Ids { vendor, device, subsystem_vendor, subsystem } => {
                    let ids = [*vendor, *device, *subsystem_vendor, *subsystem];
                    index.ids.entry(ids).or_insert(position);
                }
                DeviceMatch::Path { start, hops } => index.add_way(*start, hops, position),
            }
        }
        index
    }

    fn add_way(&mut self, start: Option<Sbdf>, hops: &[Option<u8>], position: usize) {
        let mut at = 0;
        for hop in hops.iter().rev() {
            let next = self.ways.len();
            let Some(way) = self.ways.get_mut(at) else { return };
            let Some(devfn) = *hop else {
                way.malformed.get_or_insert(position);
                return;
            };
            at = *way.further.entry(devfn).or_insert(next);
            if at == next {
                self.ways.push(Way::default());
            }
        }
        let Some(way) = self.ways.get_mut(at) else { return };
        match start {
            Some(start) => {
                way.starts.entry(start).or_insert(position);
            }
            None => {
                way.malformed.get_or_insert(position);
            }
        }
    }

    /// The entry that the kernel applies to a function: the first that matches, unless it meets
    /// something before that it cannot read.
    pub(super) fn position(&self, topology: &Topology, index: FunctionIndex) -> Option<usize> {
        let found = self.by_ids(topology, index).into_iter().chain(self.by_way(topology, index)).min();
        found.and_then(|(position, gives_up)| (!gives_up).then_some(position))
    }

    fn by_ids(&self, topology: &Topology, index: FunctionIndex) -> Option<Position> {
        if self.ids.is_empty() {
            return None;
        }
        let ids = topology.ids(index);
        let sub = topology.function(index).and_then(|function| function.subsystem());
        let own = [ids.map(|ids| ids.0), ids.map(|ids| ids.1), sub.map(|ids| ids.0), sub.map(|ids| ids.1)];
        // Each of the four as it is, or any.
        let keys = (0_u8..16).filter_map(|any| {
            let mut key = Ids::default();
            for ((place, own), bit) in key.iter_mut().zip(own).zip([1_u8, 2, 4, 8]) {
                *place = if any & bit == 0 { own? } else { 0 };
            }
            Some(key)
        });
        keys.filter_map(|key| self.ids.get(&key)).min().map(|position| (*position, false))
    }

    fn by_way(&self, topology: &Topology, index: FunctionIndex) -> Option<Position> {
        let (mut way, mut at) = (self.ways.first()?, index);
        let mut found: Option<Position> = None;
        loop {
            let address = topology.address(at)?;
            let started = way.starts.get(&address).map(|position| (*position, false));
            let malformed = way.malformed.map(|position| (position, true));
            found = found.into_iter().chain(started).chain(malformed).min();
            let further = way.further.get(&address.bdf.devfn()).and_then(|next| self.ways.get(*next));
            match (further, bridge_above(topology, at)) {
                (Some(further), Some(above)) => (way, at) = (further, above),
                _ => return found,
            }
        }
    }
}
