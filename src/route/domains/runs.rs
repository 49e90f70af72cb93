//! Runs: functions with consecutive indices that are alike in all that is asked, found once for both
//! passes.

use alloc::vec::Vec;

use crate::route::Assumptions;
use crate::route::fabric::{Fabric, Kind, Node, has_egress_control};
use crate::topology::Parent;

/// A child of a bus: device, whether it faces downstream, function; of a run of functions that are
/// alike the first, and one more than the last.
pub(super) type Child = (u32, bool, u32, u32);

/// The children of each bus, and which bus is where.
pub(super) struct Runs {
    children: Vec<Child>,
    /// Where each bus's children end.
    ends: Vec<u32>,
    /// Bridge and the bus it leads to, by bridge.
    pub(super) leads: Vec<(u32, u32)>,
    /// Buses with virtual functions only, by the bus that counts.
    pub(super) spilled: Vec<(u32, u32)>,
}

impl Runs {
    pub(super) fn new(fabric: &Fabric<'_>, assumptions: &Assumptions) -> Self {
        let topology = fabric.topology;
        let buses = topology.buses();
        let mut runs = Self {
            children: Vec::new(),
            ends: Vec::with_capacity(buses.len()),
            leads: Vec::new(),
            spilled: Vec::new(),
        };
        for (index, bus) in buses.iter().enumerate() {
            let range = topology.on_bus(index);
            match bus.parent {
                Parent::Bridge(bridge) => runs.leads.push((bridge as u32, index as u32)),
                Parent::VirtualFunctions(_) => {
                    runs.spilled.push((fabric.node(range.start as u32).bus, index as u32));
                }
                Parent::Root | Parent::Orphan(_) => {}
            }
            let nodes = fabric.nodes().get(range.clone()).unwrap_or_default();
            runs.add(nodes, range.start as u32, assumptions.count_relaxed_and_io);
            runs.ends.push(runs.children.len() as u32);
        }
        runs.leads.sort_unstable();
        runs.spilled.sort_unstable();
        runs
    }

    fn add(&mut self, nodes: &[Node], first: u32, apart: bool) {
        let mut last: Option<&Node> = None;
        for (node, index) in nodes.iter().zip(first..) {
            let alike = last.is_some_and(|last| {
                let kinds = (last.kind, node.kind) == (Kind::Leaf, Kind::Leaf);
                let rest = (last.device, last.acs, last.emits) == (node.device, node.acs, node.emits);
                // Who is asked function by function is no run.
                kinds && rest && last.misplaced == node.misplaced && !apart && !has_egress_control(node)
            });
            last = Some(node);
            let after = index.saturating_add(1);
            match self.children.last_mut() {
                Some(run) if alike => run.3 = after,
                _ => self.children.push((node.device, node.kind.facing().is_some(), index, after)),
            }
        }
    }

    /// The children of a bus, without virtual functions that spilled onto others.
    pub(super) fn of(&self, bus: usize) -> &[Child] {
        let before = bus.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(bus).copied().unwrap_or(before);
        self.children.get(before as usize..end as usize).unwrap_or_default()
    }
}
