//! `acsscan explain`: why a function's domain is as it is, and what could change it.

use std::io::{self, Write};

use super::{BOLD, View};
use crate::report::clean;
use crate::report::json::{ExplainDocument, StepDocument};
use crate::topology::FunctionIndex;

/// The way up from a function, its domain, the bonds, and what could change each.
///
/// # Errors
///
/// Those of the writer.
pub fn explain(
    out: &mut impl Write,
    view: &View<'_>,
    function: FunctionIndex,
    answer: &ExplainDocument,
) -> io::Result<()> {
    writeln!(out, "{BOLD}function{BOLD:#} {}", view.line(function))?;
    for assumption in &answer.assumptions {
        view.paragraph(out, 0, &format!("assumed: {assumption}"))?;
    }
    writeln!(out, "\n{BOLD}the way up{BOLD:#}")?;
    for StepDocument { function, port_type, acs, .. } in &answer.way_up {
        view.paragraph(out, 2, &clean(&format!("{function} {port_type}: {acs}")))?;
    }
    let way_up = answer.way_up.iter().filter_map(|step| view.index_of(&step.function));
    view.entries(out, way_up)?;
    if answer.way_up.is_empty() {
        view.paragraph(out, 2, "it stands on a root bus")?;
    }
    if let Some(id) = view.reach.domains.domain_of(function) {
        if let Some(domain) = view.reach.domains.get(id) {
            view.domain(out, id, domain)?;
        }
    }
    if let Some(other) = &answer.other {
        writeln!(out, "\n{BOLD}{} and {}{BOLD:#}: {}", answer.function, other.function, other.verdict)?;
        for impersonation in &other.impersonation {
            view.paragraph(out, 2, &clean(impersonation))?;
        }
        for route in &other.routes {
            let accepted =
                route.accepted.as_ref().map(|accepted| format!("; {accepted}")).unwrap_or_default();
            let text = format!(
                "{} from {} to {}: {}, {}{accepted}",
                route.tlp, route.from, route.to, route.disposition, route.message
            );
            view.paragraph(out, 2, &clean(&text))?;
        }
    }
    writeln!(out, "\n{BOLD}what could change it{BOLD:#}")?;
    if answer.remedies.is_empty() {
        return view.paragraph(
            out,
            2,
            "nothing has to: under what is assumed, it is kept apart from everything else",
        );
    }
    for remedy in &answer.remedies {
        view.paragraph(out, 2, &format!("{}: {}", remedy.reason, remedy.change))?;
    }
    Ok(())
}
