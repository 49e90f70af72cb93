//! Where classes meet: for each two, and each level at which ways of theirs part, one pair.
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
pub(super) struct Meeting {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) relation: Relation,
    pub(super) level: u8,
}

/// A function of a class, and what it stands on or below.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    /// Device or bus that is asked about.
    group: u32,
    class: u32,
    /// What parts from the rest there.
    unit: u32,
    function: u32,
}

pub(super) struct Meetings<'f, 'a> {
    fabric: &'f Fabric<'a>,
    /// By bus: class, the function or bridge on this bus above it, and the function.
    on: Vec<Vec<(u32, u32, u32)>>,
    found: BTreeMap<Meeting, (FunctionIndex, FunctionIndex)>,
}

impl<'f, 'a> Meetings<'f, 'a> {
    /// `class_of`: the class of each function.
    pub(super) fn new(fabric: &'f Fabric<'a>, class_of: &[u32]) -> Self {
        let mut on = vec![Vec::new(); fabric.places().len()];
        for ((node, class), index) in fabric.nodes().iter().zip(class_of).zip(0_u32..) {
            if let (Some(on), true) = (on.get_mut(node.bus as usize), *class != NONE) {
                on.push((*class, index, index));
            }
        }
        Self { fabric, on, found: BTreeMap::new() }
    }

    /// One pair for each meeting; `None` if they are more than [`MAX_CELLS`].
    pub(super) fn pairs(mut self) -> Option<BTreeMap<Meeting, (FunctionIndex, FunctionIndex)>> {
        let mut roots: Vec<Member> = Vec::new();
        for bus in (0..self.on.len()).rev() {
            let mut here = self.on.get_mut(bus).map(mem::take).unwrap_or_default();
            if here.is_empty() {
                continue;
            }
            let place = self.fabric.place(bus as u32);
            let device = |unit: u32| self.fabric.node(unit).device;
            // Between devices, and inside each.
            let member =
                |(class, unit, function)| Member { group: bus as u32, class, unit: device(unit), function };
            let between: Vec<Member> = here.iter().copied().map(member).collect();
            self.meet(between, false, Some(place.depth))?;
            let member = |(class, unit, function)| Member { group: device(unit), class, unit, function };
            let inside: Vec<Member> = here.iter().copied().map(member).collect();
            self.meet(inside, true, Some(place.depth))?;
            // One of each class stands for all further up.
            here.sort_unstable();
            here.dedup_by_key(|(class, ..)| *class);
            if place.up == NONE {
                let member = |(class, _, function)| Member { group: 0, class, unit: bus as u32, function };
                roots.extend(here.into_iter().map(member));
            } else if let Some(above) = self.on.get_mut(place.above as usize) {
                above.extend(here.into_iter().map(|(class, _, function)| (class, place.up, function)));
            }
        }
        self.meet(roots, false, None)?;
        Some(self.found)
    }

    /// Notes a pair of each two classes with members of one group and different units.
    fn meet(&mut self, mut members: Vec<Member>, inside: bool, level: Option<u8>) -> Option<()> {
        members.sort_unstable();
        let mut ends: Vec<(Member, Member)> = Vec::new();
        for member in members {
            match ends.last_mut() {
                Some((first, other)) if (first.group, first.class) == (member.group, member.class) => {
                    *other = member;
                }
                _ => ends.push((member, member)),
            }
        }
        for group in ends.chunk_by(|a, b| a.0.group == b.0.group) {
            for (s, other_s) in group {
                for (t, other_t) in group {
                    let pairs = [(s, t), (s, other_t), (other_s, t)];
                    if let Some((s, t)) = pairs.into_iter().find(|(s, t)| s.unit != t.unit) {
                        self.note(s, t, inside, level)?;
                    }
                }
            }
        }
        Some(())
    }

    fn note(&mut self, s: &Member, t: &Member, inside: bool, level: Option<u8>) -> Option<()> {
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
            Entry::Occupied(_) => Some(()),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(slot) => {
                slot.insert((s.function as usize, t.function as usize));
                Some(())
            }
        }
    }
}
