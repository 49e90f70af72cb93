//! Functions of which bus numbers do not tell for certain where they are: a bridge takes more requester IDs
//! for its own than those of its bus range.
//!
//! What a bus range covers is below its bridge, whatever else is: so what goes directly goes directly, and a
//! structure of which nothing shows that it is in force leaves everything as it is. What is kept apart is not
//! proved to be.
//!
//! Source: PCIe Base 6.x, §6.26 "Flattening Portal Bridge (FPB)", §6.9 "Enhanced Allocation".

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::{BusKind, Fabric, NONE};
use crate::addr::Segment;
use crate::function::Function;
use crate::route::Reason;
use crate::topology::{FunctionIndex, Topology};

/// Who is astray; empty on almost all machines.
#[derive(Clone, Debug, Default)]
pub(super) struct Astray {
    /// Bridges that decode by more than their bus numbers, and why that is said of them.
    bridges: Vec<(u32, Reason)>,
    /// By function: which of these leaves open where it is; [`NONE`] if none does. Empty if there are none.
    by: Vec<u32>,
}

impl Fabric<'_> {
    /// Finds the bridges, and what they leave open: all that is below them, and in their segments all that is
    /// on no bridge's bus.
    pub(super) fn look_for_strays(&mut self) {
        let bridges: Vec<(u32, Reason)> = bridges(self.topology).collect();
        if bridges.is_empty() {
            return;
        }
        // By function, if it is such a bridge: its place in the list.
        let mut own = vec![NONE; self.nodes.len()];
        // Of each segment the first.
        let mut nearby: BTreeMap<Segment, u32> = BTreeMap::new();
        for (at, (bridge, _)) in (0_u32..).zip(&bridges) {
            if let Some(slot) = own.get_mut(*bridge as usize) {
                *slot = at;
            }
            if let Some(segment) = self.segment(*bridge) {
                nearby.entry(segment).or_insert(at);
            }
        }
        let mut by = vec![NONE; self.nodes.len()];
        for (index, node) in (0_u32..).zip(&self.nodes) {
            let found = if node.up != NONE {
                let of = |list: &[u32]| list.get(node.up as usize).copied().filter(|at| *at != NONE);
                of(&own).or_else(|| of(&by))
            } else if self.bus_kind(node.bus) == BusKind::Orphan || self.is_hidden(node) {
                self.segment(index).and_then(|segment| nearby.get(&segment).copied())
            } else {
                None
            };
            if let (Some(slot), Some(found)) = (by.get_mut(index as usize), found) {
                *slot = found;
            }
        }
        self.astray = Astray { bridges, by };
    }

    fn segment(&self, index: u32) -> Option<Segment> {
        self.topology.function(index as usize).map(|function| function.address.segment)
    }

    /// The bridge that leaves open where a function is, and why.
    #[inline]
    pub(in crate::route) fn astray(&self, index: u32) -> Option<(u32, Reason)> {
        let by = *self.astray.by.get(index as usize)?;
        self.astray.bridges.get(by as usize).copied()
    }

    /// Why it is not known which requester IDs are below a port, if its bus numbers do not tell.
    pub(in crate::route) fn leaves_open(&self, port: u32) -> Option<Reason> {
        let bridges = &self.astray.bridges;
        let at = bridges.binary_search_by_key(&port, |(bridge, _)| *bridge).ok()?;
        bridges.get(at).map(|(_, reason)| *reason)
    }

    /// The bridge that leaves open what is between two functions; nothing is between those of one device, and
    /// one segment's numbers say nothing of another's.
    #[inline]
    pub(in crate::route) fn strays_between(&self, from: u32, to: u32) -> Option<(u32, Reason)> {
        if self.astray.by.is_empty() || self.node(from).device == self.node(to).device {
            return None;
        }
        let found = self.astray(from).or_else(|| self.astray(to))?;
        (self.segment(from) == self.segment(to)).then_some(found)
    }

    /// The functions of each segment in which some are astray.
    pub(in crate::route) fn segments_with_strays(&self) -> impl Iterator<Item = Range<FunctionIndex>> + '_ {
        let (functions, bridges) = (self.topology.functions(), &self.astray.bridges);
        // Both are by address.
        let segments = bridges.chunk_by(|(a, _), (b, _)| self.segment(*a) == self.segment(*b));
        segments.filter_map(|chunk| self.segment(chunk.first()?.0)).map(|segment| {
            let from = functions.partition_point(|function| function.address.segment < segment);
            let to = functions.partition_point(|function| function.address.segment <= segment);
            from..to.max(from)
        })
    }
}

/// The bridges of which more is below than their bus numbers say.
fn bridges(topology: &Topology) -> impl Iterator<Item = (u32, Reason)> + '_ {
    topology.inventory().all_extras().filter_map(|(index, extras)| {
        let beyond = &extras.beyond;
        let by_vector = beyond.flattening_portal.is_some_and(|fpb| fpb.decodes_rids() == Some(true));
        let reason = match by_vector {
            true => Reason::FlatteningPortal,
            false if topology.function(index).is_some_and(bus_numbers_contradict(extras)) => {
                Reason::EnhancedAllocation
            }
            false => return None,
        };
        Some((index as u32, reason))
    })
}

/// Whether the bus numbers that Enhanced Allocation fixes are not those of the registers.
fn bus_numbers_contradict(extras: &crate::function::Extras) -> impl Fn(&Function) -> bool + '_ {
    |function| {
        let fixed = extras.beyond.enhanced_allocation.and_then(|ea| ea.fixed_buses());
        fixed.is_some_and(|fixed| fixed != function.bus_range().unwrap_or_default())
    }
}
