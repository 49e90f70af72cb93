//! Which function of one state is which of the other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::topology::way::{Way, starts, ways};
use crate::topology::{BusIndex, FunctionIndex, Topology};

/// Which function is which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Matching {
    /// For each function after: where it was before.
    pub places: Vec<Option<FunctionIndex>>,
    /// Functions that are only after.
    pub added: Vec<FunctionIndex>,
    /// Functions that were only before.
    pub removed: Vec<FunctionIndex>,
    /// Places that another device has taken: before and after.
    pub replaced: Vec<(FunctionIndex, FunctionIndex)>,
    /// Functions that stand elsewhere, known by their IDs: before and after.
    pub moved: Vec<(FunctionIndex, FunctionIndex)>,
    /// How many functions have another address in the same place.
    pub renumbered: usize,
}

/// Matches the functions of two states.
#[must_use]
pub fn matching(old: &Topology, new: &Topology) -> Matching {
    let [olds, news] = [old, new].map(|topology| ways(topology, &names(old, topology)));
    let by_way: BTreeMap<&Way, FunctionIndex> = olds.iter().enumerate().map(|(i, way)| (way, i)).collect();
    let mut matching = Matching { places: alloc::vec![None; news.len()], ..Matching::default() };
    let mut taken: BTreeSet<FunctionIndex> = BTreeSet::new();
    for (index, way) in news.iter().enumerate() {
        let Some(was) = by_way.get(way).copied() else {
            matching.added.push(index);
            continue;
        };
        taken.insert(was);
        if old.ids(was) != new.ids(index) {
            matching.replaced.push((was, index));
            continue;
        }
        if old.address(was) != new.address(index) {
            matching.renumbered = matching.renumbered.saturating_add(1);
        }
        if let Some(place) = matching.places.get_mut(index) {
            *place = Some(was);
        }
    }
    matching.removed = (0..olds.len()).filter(|index| !taken.contains(index)).collect();
    follow_moved(old, new, &mut matching);
    matching
}

/// What went here and came there is one function that moved, if nothing else could be it.
fn follow_moved(old: &Topology, new: &Topology, matching: &mut Matching) {
    type Identity = (Option<(u16, u16)>, Option<(u16, u16)>, u8, bool);
    let identity = |topology: &Topology, index: FunctionIndex| -> Option<Identity> {
        let function = topology.function(index)?;
        let ids = topology.ids(index)?;
        Some((Some(ids), function.subsystem(), function.address.bdf.function(), function.is_bridge()))
    };
    let mut by_identity: BTreeMap<Identity, (Vec<FunctionIndex>, Vec<FunctionIndex>)> = BTreeMap::new();
    for index in &matching.removed {
        if let Some(identity) = identity(old, *index) {
            by_identity.entry(identity).or_default().0.push(*index);
        }
    }
    for index in &matching.added {
        if let Some(identity) = identity(new, *index) {
            by_identity.entry(identity).or_default().1.push(*index);
        }
    }
    for (went, came) in by_identity.values() {
        if let ([was], [is]) = (went.as_slice(), came.as_slice()) {
            matching.moved.push((*was, *is));
            if let Some(place) = matching.places.get_mut(*is) {
                *place = Some(*was);
            }
        }
    }
    matching.moved.sort_unstable_by_key(|(_, is)| *is);
    let moved: BTreeSet<(FunctionIndex, bool)> =
        matching.moved.iter().flat_map(|(was, is)| [(*was, false), (*is, true)]).collect();
    matching.removed.retain(|index| !moved.contains(&(*index, false)));
    matching.added.retain(|index| !moved.contains(&(*index, true)));
}

/// Added to the number of a bus that no bridge leads to, and that the other state does not have.
const OTHER: u32 = 0x100;

/// A name for each bus of `of` that no bridge leads to: the number of the one of `old` that it is taken for.
/// That is, where both have as many, the one whose turn it is; else the one with its number, or the next that
/// is left over.
fn names(old: &Topology, of: &Topology) -> BTreeMap<BusIndex, u32> {
    let before = starts(old);
    let number =
        |topology: &Topology, bus: BusIndex| topology.bus(bus).map_or(0, |bus| u32::from(bus.number));
    let mut names = BTreeMap::new();
    for (key, own) in starts(of) {
        let olds: Vec<u32> = before.get(&key).into_iter().flatten().map(|bus| number(old, *bus)).collect();
        if olds.len() == own.len() {
            names.extend(own.into_iter().zip(olds));
            continue;
        }
        let numbers: BTreeSet<u32> = own.iter().map(|bus| number(of, *bus)).collect();
        let mut left_over = olds.iter().filter(|old| !numbers.contains(old));
        for bus in own {
            let number = number(of, bus);
            let name = match olds.contains(&number) {
                true => number,
                false => left_over.next().copied().unwrap_or(number | OTHER),
            };
            names.insert(bus, name);
        }
    }
    names
}
