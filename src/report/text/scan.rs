//! `acsscan --dump`: the summary.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{BOLD, View, show};
use crate::topology::FunctionIndex;

/// The summary: groups of several functions with the reasons, then the functions that are alone, then
/// the findings. With `selected` functions: those, and their groups.
///
/// # Errors
///
/// Those of the writer.
pub fn scan(out: &mut impl Write, view: &View<'_>, selected: Option<&[FunctionIndex]>) -> io::Result<()> {
    view.source(out)?;
    view.summary(out)?;
    if let Some(selected) = selected {
        return of_functions(out, view, selected);
    }
    let (shared, alone): (Vec<_>, Vec<_>) =
        view.grouping.groups.iter().enumerate().partition(|(_, group)| group.functions.len() > 1);
    for (id, group) in shared {
        view.group(out, id, group)?;
    }
    let (certain, predicted): (Vec<_>, Vec<_>) = alone.into_iter().partition(|(_, group)| group.is_certain());
    if !certain.is_empty() {
        writeln!(out, "\n{BOLD}each alone in its group{BOLD:#}")?;
        for (_, group) in certain {
            for index in &group.functions {
                view.paragraph(out, 2, &view.line(*index))?;
            }
        }
    }
    for (id, group) in predicted {
        view.group(out, id, group)?;
    }
    view.ungrouped(out)?;
    view.differences(out)?;
    view.findings(out)
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
    for index in selected {
        if view.grouping.group_of.get(*index).is_some_and(Option::is_none) {
            writeln!(out, "\n{} is in no group", view.address(*index))?;
        }
    }
    view.findings(out)
}
