//! `acsscan show -t`: the hierarchy, with each function's isolation domain and group.

use std::io::{self, Write};

use termtree::Tree;

use super::View;
use crate::topology::{Bus, BusIndex, FunctionIndex, Parent};

/// The hierarchy as a tree, a root bus at a time.
///
/// # Errors
///
/// Those of the writer.
pub fn tree(out: &mut impl Write, view: &View<'_>) -> io::Result<()> {
    let topology = view.topology();
    let buses = topology.buses();
    // Buses below each function, and those that virtual functions made beside their physical one.
    let mut below: Vec<Vec<BusIndex>> = vec![Vec::new(); topology.functions().len()];
    let mut spilled: Vec<Vec<BusIndex>> = vec![Vec::new(); buses.len()];
    for (index, bus) in buses.iter().enumerate() {
        match bus.parent {
            Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) => {
                below.get_mut(bridge).into_iter().for_each(|below| below.push(index));
            }
            Parent::VirtualFunctions(bus) => {
                spilled.get_mut(bus).into_iter().for_each(|spilled| spilled.push(index));
            }
            Parent::Root | Parent::Orphan(None) => {}
        }
    }
    for (index, bus) in buses.iter().enumerate() {
        let label = match bus.parent {
            Parent::Root => format!("[{}:{:02x}]", bus.segment, bus.number),
            Parent::Orphan(None) => {
                format!("[{}:{:02x}] bridge above not in the dump", bus.segment, bus.number)
            }
            _ => continue,
        };
        let mut root = Tree::new(label);
        add_bus(&mut root, view, bus, index, &below, &spilled);
        write!(out, "{root}")?;
    }
    if (0..view.reach.domains.len()).any(|id| view.shares_domain(id)) {
        writeln!(out, "* functions of such a domain are not proved to be kept apart: acsscan says why")?;
    }
    if view.grouping.groups.iter().any(|group| !group.is_certain()) {
        writeln!(out, "? predicted: acsscan groups says what it depends on")?;
    }
    Ok(())
}

/// Bus numbers rise on the way down, so that this goes at most 255 levels deep.
fn add_bus(
    tree: &mut Tree<String>,
    view: &View<'_>,
    bus: &Bus,
    index: BusIndex,
    below: &[Vec<BusIndex>],
    spilled: &[Vec<BusIndex>],
) {
    let topology = view.topology();
    for function in topology.on_bus(index) {
        let mut node = Tree::new(label(view, bus, function));
        for child in below.get(function).into_iter().flatten() {
            let Some(bus) = topology.bus(*child) else { continue };
            if let Parent::Orphan(_) = bus.parent {
                let mut gap = Tree::new(format!("[{:02x}] bridge not in the dump", bus.number));
                add_bus(&mut gap, view, bus, *child, below, spilled);
                node.push(gap);
            } else {
                add_bus(&mut node, view, bus, *child, below, spilled);
            }
        }
        tree.push(node);
    }
    for other in spilled.get(index).into_iter().flatten() {
        if let Some(bus) = topology.bus(*other) {
            add_bus(tree, view, bus, *other, below, spilled);
        }
    }
}

fn label(view: &View<'_>, bus: &Bus, index: FunctionIndex) -> String {
    let group = view.group_mark(index);
    let topology = view.topology();
    let function = topology.function(index);
    let bdf = function.map(|function| function.address.bdf).unwrap_or_default();
    let range = function.and_then(|function| function.bus_range());
    let range = range.map(|range| format!(" [{range}]")).unwrap_or_default();
    let port = function.and_then(|function| function.port_type());
    let port = port.map(|port| format!(" {port},")).unwrap_or_default();
    let name = view.names.function(topology, index);
    let domain = view.domain_mark(index);
    let place = format!("{:02x}:{:02x}.{}", bus.number, bdf.device(), bdf.function());
    format!("{place}{range} {{{domain}, {group}}}{port} {name}")
}

impl View<'_> {
    /// `domain 3`, with a star if several functions that can initiate share it.
    pub(super) fn domain_mark(&self, index: FunctionIndex) -> String {
        let Some(id) = self.reach.domains.domain_of(index) else { return String::from("no domain") };
        format!("domain {id}{}", if self.shares_domain(id) { "*" } else { "" })
    }

    /// Whether several functions that can initiate share a domain.
    pub(super) fn shares_domain(&self, id: usize) -> bool {
        let domain = self.reach.domains.get(id);
        let functions = domain.into_iter().flat_map(|domain| domain.functions());
        functions.filter(|index| self.reach.fabric.initiates(*index)).nth(1).is_some()
    }

    /// `group 3`, with a question mark if it is predicted.
    pub(super) fn group_mark(&self, index: FunctionIndex) -> String {
        match self.grouping.group_of.get(index).copied().flatten() {
            Some(group) => {
                let certain = self.grouping.groups.get(group).is_some_and(|group| group.is_certain());
                format!("group {group}{}", if certain { "" } else { "?" })
            }
            None => String::from("no group"),
        }
    }
}
