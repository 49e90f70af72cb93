//! `acsscan --dump`: the summary.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{BOLD, View, show};
use crate::finding::count;
use crate::report::prom::Numbers;
use crate::route::linux::Group;
use crate::topology::FunctionIndex;

/// The summary: what was assumed, the isolation domains with what holds them together, where Linux's
/// groups are not these domains, and the findings. With `selected` functions: those, their domains and
/// their groups.
///
/// # Errors
///
/// Those of the writer.
pub fn scan(out: &mut impl Write, view: &View<'_>, selected: Option<&[FunctionIndex]>) -> io::Result<()> {
    view.host(out)?;
    view.source(out)?;
    view.domain_summary(out)?;
    view.summary(out)?;
    if let Some(selected) = selected {
        return of_functions(out, view, selected);
    }
    view.shared_domains(out)?;
    view.disagreements(out, "linux", &view.grouping.group_of)?;
    let domains: BTreeSet<Vec<FunctionIndex>> =
        view.reach.domains.iter().map(|domain| view.initiators(domain.functions())).collect();
    let other = |group: &Group| {
        let initiators = view.initiators(group.functions.iter().copied());
        !group.is_certain() || (group.functions.len() > 1 && !domains.contains(&initiators))
    };
    let other: Vec<_> = view.grouping.groups.iter().enumerate().filter(|(_, group)| other(group)).collect();
    if !other.is_empty() {
        writeln!(out, "\n{BOLD}Linux's groups that are not domains, or not certain{BOLD:#}")?;
    }
    for (id, group) in other {
        view.group(out, id, group)?;
    }
    view.ungrouped(out)?;
    view.differences(out)?;
    view.findings(out)
}

/// The scan in one line, for health checks: what is shared, and the most severe findings.
///
/// # Errors
///
/// Those of the writer.
pub fn scan_line(out: &mut impl Write, numbers: &Numbers<'_>) -> io::Result<()> {
    let [_, direct, impersonation, unproven] = numbers.domains;
    let whole = if numbers.inconclusive { "not known whole" } else { "known whole" };
    let worst = numbers.findings.iter().map(|finding| finding.code.severity()).max();
    let codes: BTreeSet<&str> = numbers
        .findings
        .iter()
        .filter(|finding| Some(finding.code.severity()) == worst)
        .map(|finding| finding.code.as_str())
        .collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let findings = worst.map_or(String::from("no findings"), |worst| {
        format!("{}, {worst}: {}", count(numbers.findings.len(), "finding"), codes.join(" "))
    });
    let as_if = if numbers.source.overlays.is_some() { "as if: " } else { "" };
    writeln!(
        out,
        "{as_if}{}, {whole}; IOMMU {}; domains shared by direct traffic {direct}, impersonation {impersonation}, \
         the unproven {unproven}; {findings}",
        count(numbers.source.functions, "function"),
        numbers.iommu.word(),
    )
}

/// Only these functions, their groups, and nothing of the others.
fn of_functions(out: &mut impl Write, view: &View<'_>, selected: &[FunctionIndex]) -> io::Result<()> {
    writeln!(out)?;
    show(out, view, selected)?;
    let groups: BTreeSet<usize> =
        selected.iter().filter_map(|index| view.grouping.group_of.get(*index).copied().flatten()).collect();
    for id in groups {
        if let Some(group) = view.grouping.groups.get(id) {
            view.group(out, id, group)?;
        }
    }
    let domains: BTreeSet<usize> =
        selected.iter().filter_map(|index| view.reach.domains.domain_of(*index)).collect();
    for id in domains {
        if let Some(domain) = view.reach.domains.get(id) {
            view.domain(out, id, domain)?;
        }
    }
    for index in selected {
        if view.grouping.group_of.get(*index).is_some_and(Option::is_none) {
            writeln!(out, "\n{} is in no group", view.address(*index))?;
        }
    }
    view.findings(out)
}
