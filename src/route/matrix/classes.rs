//! Classes: one number for each way up that routing can tell from others.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use super::{Class, Label};
use crate::addr::Segment;
use crate::route::fabric::{BusKind, Fabric, NONE, has_egress_control};
use crate::route::port::Acs;
use crate::topology::{BusDefect, FunctionIndex};

/// What routing knows of a function: the number of the way up from its bus, kind and what it can emit,
/// ACS, the bridge that leaves open where it is and the segment where there are such, and who it is where
/// that makes a difference.
type Own = (u32, u8, (u8, u16, u16), (Option<u32>, Option<Segment>), Alone);

/// Whether nothing else answers alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alone {
    No,
    /// What is on this bus.
    Bus(u32),
    Function(u32),
}

/// Numbers below are no ways but the kinds of root buses.
const KINDS: u32 = 8;

impl Fabric<'_> {
    /// The classes of initiators with these labels (all if empty), and the class of each function.
    pub(in crate::route) fn classes(&self, labels: &[Label]) -> (Vec<Class>, Vec<u32>) {
        let topology = self.topology();
        let controlled: BTreeSet<u32> =
            self.nodes().iter().filter(|node| has_egress_control(node)).map(|node| node.bus).collect();
        let attached = self.with_orphans();
        let is_damage = |defect: &BusDefect| !matches!(defect, BusDefect::Orphan(_));
        let damaged = topology.bus_defects().iter().any(is_damage);
        let with_strays: Vec<Segment> = self
            .segments_with_strays()
            .filter_map(|functions| Some(topology.function(functions.start)?.address.segment))
            .collect();
        let mut ways: BTreeMap<Own, u32> = BTreeMap::new();
        let mut way_of: Vec<u32> = vec![NONE; self.nodes().len()];
        let mut by_way: BTreeMap<(Label, u32), Vec<FunctionIndex>> = BTreeMap::new();
        for (bus, index) in
            (0..self.places().len()).flat_map(|bus| topology.on_bus(bus).map(move |f| (bus, f)))
        {
            let (node, Some(function)) = (self.node(index as u32), topology.function(index)) else { break };
            // Bridges come before what is below them; above root buses is nothing but their kind.
            let above = way_of.get(node.up as usize).copied();
            let above = above.unwrap_or(self.bus_kind(node.bus) as u32);
            let guessed = matches!(node.acs, Acs::Present(services) if !services.guessed().is_empty());
            // What is not known makes each its own.
            let alone = guessed || controlled.contains(&node.bus) || attached.contains(&(index as u32));
            let itself = if alone {
                Alone::Function(index as u32)
            } else if damaged
                || node.bus as usize != bus
                || (!attached.is_empty() && attached.contains(&self.attached_to(index as u32)))
            {
                Alone::Bus(bus as u32)
            } else {
                Alone::No
            };
            let traits = (node.kind as u8) << 3 | (node.emits as u8) << 1 | u8::from(node.misplaced);
            let next = u32::try_from(ways.len()).unwrap_or(NONE).saturating_add(KINDS);
            let near_strays = with_strays.binary_search(&function.address.segment).is_ok();
            let astray = (
                self.astray(index as u32).map(|(bridge, _)| bridge),
                near_strays.then_some(function.address.segment),
            );
            let way = *ways.entry((above, traits, signature(node.acs), astray, itself)).or_insert(next);
            if let Some(slot) = way_of.get_mut(index) {
                *slot = way;
            }
            let label = Label::of(function.class);
            if node.initiates() && (labels.is_empty() || labels.contains(&label)) {
                by_way.entry((label, way)).or_default().push(index);
            }
        }
        let mut classes: Vec<Class> =
            by_way.into_iter().map(|((label, _), members)| Class { label, members }).collect();
        classes.sort_by_key(|class| class.members.first().copied());
        let mut class_of = way_of;
        class_of.fill(NONE);
        for (id, class) in (0_u32..).zip(&classes) {
            for member in &class.members {
                if let Some(slot) = class_of.get_mut(*member) {
                    *slot = id;
                }
            }
        }
        (classes, class_of)
    }

    /// Tops of the hierarchy on which orphans hang: what the dump lacks may be below any bridge there.
    fn with_orphans(&self) -> BTreeSet<u32> {
        let orphans = self.places().iter().enumerate().filter(|(_, place)| place.kind == BusKind::Orphan);
        let firsts = orphans.map(|(bus, _)| self.topology().on_bus(bus).start as u32);
        firsts
            .map(|first| (first, self.attached_to(first)))
            .filter(|(f, top)| f != top)
            .map(|o| o.1)
            .collect()
    }
}

const fn signature(acs: Acs) -> (u8, u16, u16) {
    match acs {
        Acs::Present(services) => {
            let beside = match services.is_beside() {
                Some(reason) => (reason as u8).saturating_add(3),
                None => 0,
            };
            (beside, services.offered().bits(), services.enabled().bits())
        }
        Acs::Absent => (1, 0, 0),
        Acs::Unknown(reason) => (2, reason as u16, 0),
    }
}
