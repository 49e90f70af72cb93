//! Functions of which bus numbers do not tell for certain where they are: a bridge takes more requester IDs
//! for its own than those of its bus range.
//!
//! What a bus range covers is below its bridge, whatever else is: so what goes directly goes directly, and a
//! structure of which nothing shows that it is in force leaves everything as it is. What is kept apart is not
//! proved to be.
//!
//! Source: PCIe Base 6.x, §6.26 "Flattening Portal Bridge (FPB)", §6.9 "Enhanced Allocation".

use alloc::vec;
use alloc::vec::Vec;

use super::{BusKind, Fabric, NONE};
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
        let mut by = vec![NONE; self.nodes.len()];
        let segment = |index: u32| self.topology.function(index as usize).map(|f| f.address.segment);
        for (index, node) in self.nodes.iter().enumerate() {
            let found = if node.up != NONE {
                let own = bridges.iter().position(|(bridge, _)| *bridge == node.up);
                own.map(|at| at as u32).or_else(|| by.get(node.up as usize).copied())
            } else if self.bus_kind(node.bus) == BusKind::Orphan || self.is_hidden(node) {
                let here = segment(index as u32);
                let is_near = |bridge: &(u32, Reason)| segment(bridge.0) == here;
                bridges.iter().position(is_near).map(|at| at as u32)
            } else {
                None
            };
            if let (Some(slot), Some(found)) = (by.get_mut(index), found) {
                *slot = found;
            }
        }
        self.astray = Astray { bridges, by };
    }

    /// The bridge that leaves open where a function is, and why.
    #[inline]
    pub(in crate::route) fn astray(&self, index: u32) -> Option<(u32, Reason)> {
        let by = *self.astray.by.get(index as usize)?;
        self.astray.bridges.get(by as usize).copied()
    }

    /// The bridge that leaves open what is between two functions; nothing is between those of one device.
    #[inline]
    pub(in crate::route) fn strays_between(&self, from: u32, to: u32) -> Option<(u32, Reason)> {
        if self.astray.by.is_empty() || self.node(from).device == self.node(to).device {
            return None;
        }
        self.astray(from).or_else(|| self.astray(to))
    }

    /// Functions that are astray, by index.
    pub(in crate::route) fn strays(&self) -> impl Iterator<Item = FunctionIndex> + '_ {
        let by = self.astray.by.iter().enumerate();
        by.filter(|(_, by)| **by != NONE).map(|(index, _)| index)
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
        fixed.is_some_and(|fixed| {
            let own = function.bus_range().unwrap_or_default();
            own.secondary != fixed.secondary || own.subordinate > fixed.subordinate
        })
    }
}
