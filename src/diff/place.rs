//! Which function of one state is which of the other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::topology::{FunctionIndex, Kind, Parent, Topology};

/// The way down from the root: segment, root, then device and function of each port, and of the function.
type Path = Vec<u32>;

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

/// Marks that are no device and function number.
mod mark {
    /// Added to a root bus number that the other state does not have.
    pub(super) const OTHER_ROOT: u32 = 0x100;
    /// Added to the number of a bus whose bridge is not in the dump.
    pub(super) const ORPHAN: u32 = 0x1_0000;
    /// Added to the distance of a virtual function from its physical one.
    pub(super) const VIRTUAL: u32 = 0x10_0000;
}

/// Matches the functions of two states.
#[must_use]
pub fn matching(old: &Topology, new: &Topology) -> Matching {
    let (olds, news) = (paths(old, &roots(old, old)), paths(new, &roots(old, new)));
    let by_path: BTreeMap<&Path, FunctionIndex> =
        olds.iter().enumerate().map(|(i, path)| (path, i)).collect();
    let mut matching = Matching { places: alloc::vec![None; news.len()], ..Matching::default() };
    let mut taken: BTreeSet<FunctionIndex> = BTreeSet::new();
    for (index, path) in news.iter().enumerate() {
        let Some(was) = by_path.get(path).copied() else {
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

/// A name for each root bus of `of`, by segment and number: its number if `old` has it, too, or that of
/// the root bus of `old` whose turn it is.
fn roots(old: &Topology, of: &Topology) -> BTreeMap<(u32, u8), u32> {
    let list = |topology: &Topology| -> BTreeSet<(u32, u8)> {
        let roots = topology.buses().iter().filter(|bus| bus.parent == Parent::Root);
        roots.map(|bus| (bus.segment.0, bus.number)).collect()
    };
    let (olds, own) = (list(old), list(of));
    let of_segment = |roots: &BTreeSet<(u32, u8)>, segment: u32| -> Vec<u8> {
        roots.iter().filter(|(own, _)| *own == segment).map(|(_, number)| *number).collect()
    };
    let mut free: Vec<(u32, u8)> = olds.difference(&own).copied().collect();
    let mut names = BTreeMap::new();
    for root in &own {
        // As many as before: in their order, whatever their numbers.
        let (before, after) = (of_segment(&olds, root.0), of_segment(&own, root.0));
        let turn = after.iter().position(|number| *number == root.1);
        if let Some(number) = turn.filter(|_| before.len() == after.len()).and_then(|n| before.get(n)) {
            names.insert(*root, u32::from(*number));
            continue;
        }
        let name = match olds.contains(root) {
            true => u32::from(root.1),
            false => match free.iter().position(|(segment, _)| *segment == root.0) {
                Some(at) => u32::from(free.remove(at).1),
                None => u32::from(root.1) | mark::OTHER_ROOT,
            },
        };
        names.insert(*root, name);
    }
    names
}

fn paths(topology: &Topology, roots: &BTreeMap<(u32, u8), u32>) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::with_capacity(topology.functions().len());
    for (index, function) in topology.functions().iter().enumerate() {
        let address = function.address;
        let start = |name: u32| alloc::vec![address.segment.0, name];
        if let Kind::Virtual(physical) = topology.kind(index) {
            let distance = topology.address(physical).map_or(0, |of| {
                u32::from(address.bdf.to_bits()).wrapping_sub(u32::from(of.bdf.to_bits())) & 0xffff
            });
            let mut path = paths.get(physical).cloned().unwrap_or_else(|| start(mark::ORPHAN));
            path.push(mark::VIRTUAL | distance);
            paths.push(path);
            continue;
        }
        let orphan = || start(mark::ORPHAN | u32::from(address.bus()));
        let mut path = match topology.parent_of(index) {
            Parent::Bridge(bridge) => paths.get(bridge).cloned().unwrap_or_else(orphan),
            Parent::Root => {
                let name = roots.get(&(address.segment.0, address.bus())).copied();
                start(name.unwrap_or_else(|| u32::from(address.bus())))
            }
            Parent::VirtualFunctions(_) | Parent::Orphan(_) => orphan(),
        };
        path.push(u32::from(address.bdf.devfn()));
        paths.push(path);
    }
    paths
}
