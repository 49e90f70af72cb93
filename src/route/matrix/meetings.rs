//! Where classes meet: for each two, and each level at which ways of theirs part, one pair, and how many
//! there are.
//!
//! Found from the leaves up. Of each class a bus keeps two functions at most for what stands there, so that
//! the work grows with buses and classes and never with pairs of functions.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use super::{MAX_CELLS, Relation};
use crate::route::fabric::{Fabric, NONE};
use crate::topology::FunctionIndex;

/// Two classes, and how functions of theirs stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::route) struct Meeting {
    pub(in crate::route) from: usize,
    pub(in crate::route) to: usize,
    pub(in crate::route) relation: Relation,
    pub(in crate::route) level: u8,
}

/// For each meeting a pair, and how many pairs meet so.
type Found = BTreeMap<Meeting, ((FunctionIndex, FunctionIndex), u64)>;

/// A function of a class, what it stands on or below, and how many it stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    /// Device or bus that is asked about.
    group: u32,
    class: u32,
    /// What parts from the rest there.
    unit: u32,
    function: u32,
    count: u64,
}

pub(in crate::route) struct Meetings<'f, 'a> {
    fabric: &'f Fabric<'a>,
    /// By bus: class, the function or bridge on this bus above it, the function, and how many it stands
    /// for.
    on: Vec<Vec<(u32, u32, u32, u64)>>,
    found: Found,
}

impl<'f, 'a> Meetings<'f, 'a> {
    /// `class_of`: the class of each function.
    pub(in crate::route) fn new(fabric: &'f Fabric<'a>, class_of: &[u32]) -> Self {
        let mut on = vec![Vec::new(); fabric.places().len()];
        for ((node, class), index) in fabric.nodes().iter().zip(class_of).zip(0_u32..) {
            if let (Some(on), true) = (on.get_mut(node.bus as usize), *class != NONE) {
                on.push((*class, index, index, 1));
            }
        }
        Self { fabric, on, found: BTreeMap::new() }
    }

    /// One pair for each meeting; `None` if they are more than [`MAX_CELLS`].
    pub(in crate::route) fn pairs(mut self) -> Option<Found> {
        let mut roots: Vec<Member> = Vec::new();
        for bus in (0..self.on.len()).rev() {
            let mut here = self.on.get_mut(bus).map(mem::take).unwrap_or_default();
            if here.is_empty() {
                continue;
            }
            let place = self.fabric.place(bus as u32);
            let device = |unit: u32| self.fabric.node(unit).device;
            // Between devices, and inside each.
            let member = |(class, unit, function, count)| {
                let (group, unit) = (bus as u32, device(unit));
                Member { group, class, unit, function, count }
            };
            let between: Vec<Member> = here.iter().copied().map(member).collect();
            self.meet(between, false, Some(place.depth))?;
            let member = |(class, unit, function, count)| {
                let group = device(unit);
                Member { group, class, unit, function, count }
            };
            let inside: Vec<Member> = here.iter().copied().map(member).collect();
            self.meet(inside, true, Some(place.depth))?;
            // One of each class stands for all further up.
            here.sort_unstable();
            here.dedup_by(|other, first| {
                let same = other.0 == first.0;
                first.3 = first.3.saturating_add(if same { other.3 } else { 0 });
                same
            });
            if place.up == NONE {
                let member = |(class, _, function, count)| {
                    let (group, unit) = (0, bus as u32);
                    Member { group, class, unit, function, count }
                };
                roots.extend(here.into_iter().map(member));
            } else if let Some(above) = self.on.get_mut(place.above as usize) {
                above.extend(here.into_iter().map(|(class, _, function, n)| (class, place.up, function, n)));
            }
        }
        self.meet(roots, false, None)?;
        Some(self.found)
    }

    /// Notes a pair of each two classes with members of one group and different units.
    fn meet(&mut self, mut members: Vec<Member>, inside: bool, level: Option<u8>) -> Option<()> {
        members.sort_unstable();
        // Those of one unit stand for each other.
        members.dedup_by(|other, first| {
            let same = (other.group, other.class, other.unit) == (first.group, first.class, first.unit);
            first.count = first.count.saturating_add(if same { other.count } else { 0 });
            same
        });
        for group in members.chunk_by(|a, b| a.group == b.group) {
            let classes: Vec<&[Member]> = group.chunk_by(|a, b| a.class == b.class).collect();
            for from in &classes {
                for to in &classes {
                    let ([s, ..], [t, ..], [.., other_s], [.., other_t]) = (*from, *to, *from, *to) else {
                        continue;
                    };
                    let pairs = [(s, t), (s, other_t), (other_s, t)];
                    if let Some((s, t)) = pairs.into_iter().find(|(s, t)| s.unit != t.unit) {
                        self.note((s, t), pairs_apart(from, to), inside, level)?;
                    }
                }
            }
        }
        Some(())
    }

    fn note(
        &mut self,
        (s, t): (&Member, &Member),
        count: u64,
        inside: bool,
        level: Option<u8>,
    ) -> Option<()> {
        let both = [s, t].map(|member| self.fabric.node(member.function).depth);
        let relation = match level {
            None => Relation::OtherRootBus,
            Some(level) => match (inside, both == [level; 2]) {
                (true, true) => Relation::SameDevice,
                (true, false) => Relation::BridgesOfOneDevice,
                (false, true) => Relation::SameBus,
                (false, false) => Relation::Apart,
            },
        };
        let (from, to) = (s.class as usize, t.class as usize);
        let full = self.found.len() >= MAX_CELLS;
        match self.found.entry(Meeting { from, to, relation, level: level.unwrap_or(0) }) {
            Entry::Occupied(mut known) => {
                known.get_mut().1 = known.get().1.saturating_add(count);
                Some(())
            }
            Entry::Vacant(_) if full => None,
            Entry::Vacant(slot) => {
                slot.insert(((s.function as usize, t.function as usize), count));
                Some(())
            }
        }
    }
}

/// How many pairs of different units two classes have. Both are sorted by unit.
fn pairs_apart(from: &[Member], to: &[Member]) -> u64 {
    let all = |members: &[Member]| members.iter().fold(0_u64, |sum, member| sum.saturating_add(member.count));
    let mut together = 0_u64;
    let mut rest = to.iter().peekable();
    for s in from {
        while rest.next_if(|t| t.unit < s.unit).is_some() {}
        if let Some(t) = rest.next_if(|t| t.unit == s.unit) {
            together = together.saturating_add(s.count.saturating_mul(t.count));
        }
    }
    all(from).saturating_mul(all(to)).saturating_sub(together)
}
