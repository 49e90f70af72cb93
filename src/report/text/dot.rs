//! `--format dot`: the hierarchy with its isolation domains, as Graphviz draws it.
//!
//! Functions of one bus that have nothing below them, and the same IDs and domain (or each one of its
//! own), are one node from five on; beyond 4096 nodes nothing is drawn, which is said.
//!
//! Source: Graphviz, "DOT Language" (quoted strings: `"` and `\` are escaped) and "Attributes".

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::View;
use super::tree::Marks;
use crate::finding::count;
use crate::topology::{BusIndex, FunctionIndex, Parent};

/// Most what-if overlays in the graph's title.
const OVERLAYS: usize = 8;
/// Most nodes that are drawn.
const MAX_NODES: usize = 4096;
/// From so many on, functions that are alike become one node.
const ALIKE: usize = 5;
/// Light backgrounds of domains that several functions share, taken in turn; the number tells.
const FILLS: [&str; 6] = ["#fff3b0", "#cfe8ff", "#f3d1f4", "#d3f2d3", "#ffd9c2", "#d9d9f7"];

/// What makes functions of one bus alike: IDs, and the domain if it is shared.
type Likeness = (Option<(u16, u16)>, Option<(usize, bool)>);

/// The hierarchy as a directed graph, parents before what is below them.
///
/// # Errors
///
/// Those of the writer.
pub fn dot(out: &mut impl Write, view: &View<'_>) -> io::Result<()> {
    let topology = view.topology();
    writeln!(out, "digraph acsscan {{")?;
    writeln!(out, "  graph [rankdir=LR];")?;
    if !view.source.overlays.is_empty() {
        let first = view.source.overlays.iter().take(OVERLAYS).map(|line| escaped(line));
        let lines: Vec<String> = [String::from("as if")].into_iter().chain(first).collect();
        let more = if view.source.overlays.len() > OVERLAYS { "\\n…" } else { "" };
        writeln!(out, "  graph [labelloc=t, label=\"{}{more}\"];", lines.join("\\n"))?;
    }
    writeln!(out, "  node [shape=box, style=filled, fillcolor=white];")?;
    let marks = Marks::new(view);
    let mut leads = vec![false; topology.functions().len()];
    for bus in topology.buses() {
        if let Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) = bus.parent {
            leads.get_mut(bridge).into_iter().for_each(|leads| *leads = true);
        }
    }
    let (mut nodes, mut left_out) = (0_usize, 0_usize);
    for (index, bus) in topology.buses().iter().enumerate() {
        let here = topology.on_bus(index);
        if nodes >= MAX_NODES {
            left_out = left_out.saturating_add(here.len());
            continue;
        }
        let parent = above(view, index);
        if parent == format!("b{index}") {
            let missing = if bus.parent == Parent::Root { "root bus" } else { "bridge not in the dump" };
            let label = format!("{missing}\\n{}:{:02x}", bus.segment, bus.number);
            writeln!(out, "  b{index} [label=\"{label}\", shape=ellipse];")?;
            if let Parent::Orphan(Some(bridge)) = bus.parent {
                writeln!(out, "  f{bridge} -> b{index} [style=dashed];")?;
            }
            nodes = nodes.saturating_add(1);
        }
        let mut alike: BTreeMap<Likeness, Vec<FunctionIndex>> = BTreeMap::new();
        for function in here {
            if leads.get(function).copied().unwrap_or(false) {
                let node = format!("f{function}");
                one(out, view, &marks, &node, &[function])?;
                writeln!(out, "  {parent} -> {node};")?;
                nodes = nodes.saturating_add(1);
                continue;
            }
            // Alone in a domain is alone, whatever its number.
            let domain =
                marks.domain(view, function).map(|(n, shared)| if shared { (n, true) } else { (0, false) });
            alike.entry((topology.ids(function), domain)).or_default().push(function);
        }
        for functions in alike.values() {
            let parts =
                if functions.len() < ALIKE { functions.chunks(1) } else { functions.chunks(usize::MAX) };
            for part in parts {
                let Some(first) = part.first() else { continue };
                let node = format!("f{first}");
                one(out, view, &marks, &node, part)?;
                writeln!(out, "  {parent} -> {node};")?;
                nodes = nodes.saturating_add(1);
            }
        }
    }
    if left_out > 0 {
        let text = format!("{} more, not drawn", count(left_out, "function"));
        writeln!(out, "  more [label=\"{text}\", shape=note];")?;
    }
    writeln!(out, "}}")
}

/// The node that functions of a bus hang on: a bridge, or the bus itself.
fn above(view: &View<'_>, bus: BusIndex) -> String {
    let mut at = bus;
    // A bus of virtual functions stands beside one that is not.
    while let Some(Parent::VirtualFunctions(beside)) = view.topology().bus(at).map(|bus| bus.parent) {
        if beside >= at {
            break;
        }
        at = beside;
    }
    match view.topology().bus(at).map(|bus| bus.parent) {
        Some(Parent::Bridge(bridge)) => format!("f{bridge}"),
        _ => format!("b{at}"),
    }
}

/// A node for functions that are alike.
fn one(
    out: &mut impl Write,
    view: &View<'_>,
    marks: &Marks,
    node: &str,
    functions: &[FunctionIndex],
) -> io::Result<()> {
    let (Some(first), Some(last)) = (functions.first(), functions.last()) else { return Ok(()) };
    let topology = view.topology();
    let mut lines = Vec::new();
    match functions.len() {
        1 => lines.push(view.address(*first)),
        n => lines.push(format!("{n} functions, {} to {}", view.address(*first), view.address(*last))),
    }
    let function = topology.function(*first);
    let port = function.and_then(|function| function.port_type()).map(|port| port.to_string());
    let range = function.and_then(|function| function.bus_range()).map(|range| format!("[{range}]"));
    let kind: Vec<String> = port.into_iter().chain(range).collect();
    if !kind.is_empty() {
        lines.push(kind.join(" "));
    }
    lines.push(view.names.function(topology, *first));
    let group = view.grouping.group_of.get(*first).copied().flatten();
    let group = group.map_or_else(|| String::from("no group"), |group| format!("group {group}"));
    let several = functions.len() > 1;
    let mut fill = "white";
    lines.push(match marks.domain(view, *first) {
        Some((number, true)) => {
            fill = FILLS.get(number.checked_rem(FILLS.len()).unwrap_or_default()).copied().unwrap_or(fill);
            let group = if several { String::new() } else { format!("{group}, ") };
            format!("{group}domain {number}, shared")
        }
        Some((_, false)) if several => String::from("each in a domain of its own"),
        Some((number, false)) => format!("{group}, domain {number}"),
        None => group,
    });
    let label: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
    writeln!(out, "  {node} [label=\"{}\", fillcolor=\"{fill}\"];", label.join("\\n"))
}

/// Text in a quoted string: nothing ends the string, and nothing is an escape sequence of labels.
fn escaped(text: &str) -> String {
    super::clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nothing_ends_a_label_or_is_an_escape_sequence_of_it() {
        assert_eq!(escaped("a\"b\\N\n<b>"), "a\\\"b\\\\N\\\\u{a}<b>");
    }
}
