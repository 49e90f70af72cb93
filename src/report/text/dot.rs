//! `acsscan show -t --format dot`: the hierarchy for Graphviz.
//!
//! Source: Graphviz, "DOT Language" (quoted strings), "Escape Strings" of labels.

use std::io::{self, Write};

use super::View;
use crate::report::clean;
use crate::topology::Parent;

/// The hierarchy as a graph: a box for each bus without a bridge and for each function, filled with the
/// colour of its domain if several functions share that, and labelled with domain and group in any case.
///
/// # Errors
///
/// Those of the writer.
pub fn dot(out: &mut impl Write, view: &View<'_>) -> io::Result<()> {
    let topology = view.topology();
    writeln!(out, "digraph pci {{")?;
    writeln!(out, "  graph [rankdir=LR];")?;
    writeln!(out, "  node [shape=box, style=filled, fillcolor=white, fontname=monospace];")?;
    for (number, bus) in topology.buses().iter().enumerate() {
        let name = match bus.parent {
            Parent::Root => "root bus",
            Parent::VirtualFunctions(_) => "virtual functions",
            Parent::Bridge(_) => "bus",
            Parent::Orphan(_) => "the bridge above it is not in the dump",
        };
        let node = format!("bus {}:{:02x}", bus.segment, bus.number);
        // Below a bridge the bridge itself stands for the bus.
        let above = match bus.parent {
            Parent::Bridge(bridge) => view.address(bridge),
            _ => {
                writeln!(
                    out,
                    "  {} [label={}, style=rounded];",
                    quoted(&node),
                    quoted(&format!("{node}\n{name}"))
                )?;
                node.clone()
            }
        };
        let beside = match bus.parent {
            Parent::Orphan(Some(bridge)) => Some(view.address(bridge)),
            Parent::VirtualFunctions(other) => topology.on_bus(other).next().map(|index| view.address(index)),
            Parent::Root | Parent::Bridge(_) | Parent::Orphan(None) => None,
        };
        if let Some(beside) = beside {
            writeln!(out, "  {} -> {} [style=dashed];", quoted(&beside), quoted(&node))?;
        }
        for index in topology.on_bus(number) {
            let address = view.address(index);
            let function = topology.function(index);
            let port = function.and_then(|function| function.port_type());
            let port = port.map(|port| format!("\n{port}")).unwrap_or_default();
            let marks = format!("{}, {}", view.domain_mark(index), view.group_mark(index));
            let name = view.names.function(topology, index);
            let label = format!("{address}\n{marks}{port}\n{name}");
            let colour = match view.reach.domains.domain_of(index) {
                Some(id) if view.shares_domain(id) => format!(", fillcolor=\"{} 0.35 1.0\"", hue(id)),
                _ => String::new(),
            };
            writeln!(out, "  {} [label={}{colour}];", quoted(&address), quoted(&label))?;
            writeln!(out, "  {} -> {};", quoted(&above), quoted(&address))?;
        }
    }
    writeln!(out, "}}")
}

/// A hue from 0 to 1; those of neighbours are far apart (the golden ratio's fraction, in thousandths).
fn hue(id: usize) -> String {
    let thousandths = id.wrapping_mul(618) % 1000;
    format!("0.{thousandths:03}")
}

/// A quoted string. A backslash would begin an escape in a label.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for line in text.lines().enumerate() {
        if line.0 > 0 {
            quoted.push_str("\\n");
        }
        quoted.push_str(&clean(line.1).replace('\\', "\\\\").replace('"', "\\\""));
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_cannot_end_the_string_or_begin_an_escape() {
        assert_eq!(quoted("a\"]; b\\\nc"), r#""a\"]; b\\\nc""#);
        assert_eq!(quoted("\u{1b}[2J"), r#""\\u{1b}[2J""#);
    }
}
