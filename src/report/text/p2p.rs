//! `acsscan p2p` and `acsscan explain`: routes hop by hop, and why a domain is as it is.

use std::io::{self, Write};

use super::{BOLD, View, YELLOW};
use crate::report::json::{P2pDocument, P2pdmaDocument};
use crate::report::{clean, words};
use crate::route::port::TlpClass;
use crate::route::trace::Route;
use crate::route::{Assumptions, Disposition};
use crate::topology::FunctionIndex;

/// All classes of transaction from one function to another.
///
/// # Errors
///
/// Those of the writer.
pub fn p2p(
    out: &mut impl Write,
    view: &View<'_>,
    assumptions: &Assumptions,
    (from, to): (FunctionIndex, FunctionIndex),
    answer: &P2pDocument,
) -> io::Result<()> {
    writeln!(out, "{BOLD}from{BOLD:#} {}", view.line(from))?;
    writeln!(out, "{BOLD}to{BOLD:#}   {}", view.line(to))?;
    for assumption in words::assumptions(assumptions, view.reach.unsettled) {
        view.paragraph(out, 0, &format!("assumed: {assumption}"))?;
    }
    for class in TlpClass::ALL {
        view.route(out, &view.reach.fabric.trace(from, to, class, assumptions))?;
    }
    writeln!(out, "\n{BOLD}impersonation{BOLD:#}")?;
    let fabric = view.reach.fabric;
    for (index, other) in [(from, to), (to, from)] {
        let why = fabric.impersonation(index, other, assumptions);
        view.paragraph(out, 4, &words::scope(fabric, index, other, why))?;
        for evidence in why.map(|why| fabric.impersonation_evidence(index, why)).unwrap_or_default() {
            view.paragraph(out, 6, &clean(&format!("{}: {evidence}", evidence.function())))?;
        }
    }
    if let Some(accepted) = &answer.impersonation.accepted {
        view.paragraph(out, 4, &clean(&accepted.to_string()))?;
    }
    let P2pdmaDocument { map_type, distance, message, guessed, .. } = &answer.p2pdma;
    writeln!(out, "{BOLD}kernel's p2pdma{BOLD:#} {map_type}, distance {distance}")?;
    let guessed = if *guessed { " (as far as the dump tells)" } else { "" };
    view.paragraph(out, 4, &format!("{message}{guessed}"))
}

impl View<'_> {
    /// One class: the answer, the hops with their evidence, the gates that are shut.
    pub(super) fn route(&self, out: &mut impl Write, route: &Route) -> io::Result<()> {
        let style = match route.disposition {
            Disposition::Direct | Disposition::Undetermined => YELLOW,
            Disposition::Redirected | Disposition::Blocked => anstyle::Style::new(),
        };
        let (class, disposition) = (route.class.words(), route.disposition);
        writeln!(out, "\n{BOLD}{class}{BOLD:#}: {style}{disposition}{style:#}, {}", route.reason)?;
        if let Some(accepted) = self.reach.accepted.of_route(route) {
            self.paragraph(out, 4, &clean(&accepted.to_string()))?;
        }
        for hop in &route.hops {
            let evidence: Vec<String> = hop.evidence.iter().map(ToString::to_string).collect();
            let evidence =
                if evidence.is_empty() { String::new() } else { format!(": {}", evidence.join("; ")) };
            let text =
                format!("{} {} {}{evidence}", self.address(hop.function), hop.rule, hop.decision.word());
            self.paragraph(out, 4, &clean(&text))?;
        }
        if let Some(requester) = route.substituted_requester {
            self.paragraph(out, 4, &format!("arrives with requester ID {requester}, a bridge's"))?;
        }
        for gate in route.gates.iter().filter(|gate| gate.open != Some(true)) {
            let state = if gate.open.is_some() { "shut" } else { "not known" };
            let text = format!("gate {} of {}: {state}", gate.kind.word(), self.address(gate.function));
            self.paragraph(out, 4, &text)?;
        }
        Ok(())
    }
}
