//! `acsscan show -t`: the hierarchy, with each function's group and isolation domain.

use std::io::{self, Write};

use termtree::Tree;

use anstyle::AnsiColor;

use super::View;
use crate::topology::{Bus, BusIndex, FunctionIndex, Parent};

/// What hangs on what.
struct Hierarchy {
    /// Buses below each function.
    below: Vec<Vec<BusIndex>>,
    /// Buses that virtual functions made beside that of their physical one.
    spilled: Vec<Vec<BusIndex>>,
    marks: Marks,
    /// Which functions are drawn, if not all are.
    drawn: Option<Vec<bool>>,
}

impl Hierarchy {
    fn new(view: &View<'_>) -> Self {
        let topology = view.topology();
        let buses = topology.buses();
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
        Self { below, spilled, marks: Marks::new(view), drawn: None }
    }

    /// Draws these functions, the way to them and what is below them.
    fn only(self, view: &View<'_>, selected: &[FunctionIndex]) -> Self {
        let topology = view.topology();
        let mut above = vec![false; topology.functions().len()];
        for index in selected.iter().flat_map(|index| topology.bridges_above(*index)) {
            above.get_mut(index).into_iter().for_each(|above| *above = true);
        }
        let is_below =
            |index| topology.bridges_above(index).any(|above| selected.binary_search(&above).is_ok());
        let drawn = above
            .iter()
            .enumerate()
            .map(|(index, is_above)| *is_above || selected.binary_search(&index).is_ok() || is_below(index));
        Self { drawn: Some(drawn.collect()), ..self }
    }

    fn draws(&self, function: FunctionIndex) -> bool {
        self.drawn.as_ref().is_none_or(|drawn| drawn.get(function).copied().unwrap_or(false))
    }

    fn below(&self, function: FunctionIndex) -> &[BusIndex] {
        self.below.get(function).map(Vec::as_slice).unwrap_or_default()
    }

    fn spilled(&self, bus: BusIndex) -> &[BusIndex] {
        self.spilled.get(bus).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The hierarchy as a tree, a root bus at a time.
///
/// # Errors
///
/// Those of the writer.
pub fn tree(out: &mut impl Write, view: &View<'_>) -> io::Result<()> {
    draw(out, view, &Hierarchy::new(view))
}

/// The same of some functions (sorted), with the bridges above them and what is below them.
///
/// # Errors
///
/// Those of the writer.
pub fn tree_of(out: &mut impl Write, view: &View<'_>, selected: &[FunctionIndex]) -> io::Result<()> {
    draw(out, view, &Hierarchy::new(view).only(view, selected))
}

fn draw(out: &mut impl Write, view: &View<'_>, hierarchy: &Hierarchy) -> io::Result<()> {
    let buses = view.topology().buses();
    for (index, bus) in buses.iter().enumerate() {
        let label = match bus.parent {
            Parent::Root => format!("[{}:{:02x}]", bus.segment, bus.number),
            Parent::Orphan(None) => {
                format!("[{}:{:02x}] bridge above not in the dump", bus.segment, bus.number)
            }
            _ => continue,
        };
        let mut root = Tree::new(label);
        add_bus(&mut root, view, bus, index, hierarchy);
        if hierarchy.drawn.is_none() || !root.leaves.is_empty() {
            write!(out, "{root}")?;
        }
    }
    if view.grouping.groups.iter().any(|group| !group.is_certain()) {
        writeln!(out, "? predicted: acsscan groups says what it depends on")?;
    }
    if hierarchy.marks.any() {
        writeln!(
            out,
            "+ an isolation domain of several devices or functions: acsscan explain ADDR says why"
        )?;
    }
    Ok(())
}

/// Bus numbers rise on the way down, so that this goes at most 255 levels deep.
fn add_bus(tree: &mut Tree<String>, view: &View<'_>, bus: &Bus, index: BusIndex, hierarchy: &Hierarchy) {
    let topology = view.topology();
    for function in topology.on_bus(index).filter(|function| hierarchy.draws(*function)) {
        let mut node = Tree::new(label(view, &hierarchy.marks, bus, function));
        for child in hierarchy.below(function) {
            let Some(bus) = topology.bus(*child) else { continue };
            if let Parent::Orphan(_) = bus.parent {
                let mut gap = Tree::new(format!("[{:02x}] bridge not in the dump", bus.number));
                add_bus(&mut gap, view, bus, *child, hierarchy);
                node.push(gap);
            } else {
                add_bus(&mut node, view, bus, *child, hierarchy);
            }
        }
        tree.push(node);
    }
    for other in hierarchy.spilled(index) {
        if let Some(bus) = topology.bus(*other) {
            add_bus(tree, view, bus, *other, hierarchy);
        }
    }
}

fn label(view: &View<'_>, marks: &Marks, bus: &Bus, index: FunctionIndex) -> String {
    let group = match view.grouping.group_of.get(index).copied().flatten() {
        Some(group) => {
            let certain = view.grouping.groups.get(group).is_some_and(|group| group.is_certain());
            format!("group {group}{}", if certain { "" } else { "?" })
        }
        None => String::from("no group"),
    };
    let domain = match marks.domain(view, index) {
        Some((number, true)) => {
            let colour = COLOURS.get(number.checked_rem(COLOURS.len()).unwrap_or_default());
            let style = colour.map(|colour| colour.on_default()).unwrap_or_default();
            format!("{style}domain {number}+{style:#}")
        }
        Some((number, false)) => format!("domain {number}"),
        None => String::from("no domain"),
    };
    let topology = view.topology();
    let function = topology.function(index);
    let bdf = function.map(|function| function.address.bdf).unwrap_or_default();
    let range = function.and_then(|function| function.bus_range());
    let range = range.map(|range| format!(" [{range}]")).unwrap_or_default();
    let port = function.and_then(|function| function.port_type());
    let port = port.map(|port| format!(" {port},")).unwrap_or_default();
    let name = view.names.function(topology, index);
    format!(
        "{:02x}:{:02x}.{}{range} {{{group}, {domain}}}{port} {name}",
        bus.number,
        bdf.device(),
        bdf.function()
    )
}

/// Colours of domains that several functions share, taken in turn: neighbours differ, the number tells.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Yellow,
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// Isolation domains, and which of them several functions share that can initiate: a port beside the only
/// device below it is no danger.
pub(super) struct Marks {
    shared: Vec<bool>,
}

impl Marks {
    pub(super) fn new(view: &View<'_>) -> Self {
        let fabric = view.reach.fabric;
        let shared = view.reach.domains.iter().map(|domain| {
            let mut initiators = domain.functions().filter(|index| fabric.initiates(*index));
            initiators.nth(1).is_some()
        });
        Self { shared: shared.collect() }
    }

    pub(super) fn any(&self) -> bool {
        self.shared.contains(&true)
    }

    /// A function's isolation domain, and whether it is such a one.
    pub(super) fn domain(&self, view: &View<'_>, index: FunctionIndex) -> Option<(usize, bool)> {
        let number = view.reach.domains.domain_of(index)?;
        Some((number, self.shared.get(number).copied().unwrap_or(false)))
    }
}
