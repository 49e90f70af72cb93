//! Groups with their members, and why they are together.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{BOLD, View, YELLOW};
use crate::finding::count;
use crate::report::{clean, words};
use crate::route::compare;
use crate::route::libvirt::{self, Verdict};
use crate::route::linux::{Cause, Dependency, Group, Join};
use crate::topology::FunctionIndex;

/// `acsscan groups`: the partition, and where the running kernel's differs.
///
/// # Errors
///
/// Those of the writer.
pub fn groups(out: &mut impl Write, view: &View<'_>) -> io::Result<()> {
    view.source(out)?;
    view.summary(out)?;
    for (id, group) in view.grouping.groups.iter().enumerate() {
        view.group(out, id, group)?;
    }
    view.ungrouped(out)?;
    view.differences(out)?;
    view.findings(out)
}

/// `acsscan groups --model spec`: the isolation domains.
///
/// # Errors
///
/// Those of the writer.
pub fn domain_groups(out: &mut impl Write, view: &View<'_>) -> io::Result<()> {
    view.source(out)?;
    view.domain_summary(out)?;
    view.shared_domains(out)?;
    view.findings(out)
}

/// `acsscan groups --model spec,MODEL`: where a model's groups are not the isolation domains.
///
/// # Errors
///
/// Those of the writer.
pub fn domains_against(
    out: &mut impl Write,
    view: &View<'_>,
    model: &str,
    groups: &[Option<usize>],
) -> io::Result<()> {
    view.source(out)?;
    view.domain_summary(out)?;
    view.disagreements(out, model, groups)
}

/// `acsscan groups --model libvirt`: what is below a switch with a port that lacks ACS, together.
///
/// # Errors
///
/// Those of the writer.
pub fn libvirt_groups(out: &mut impl Write, view: &View<'_>, groups: &[Option<usize>]) -> io::Result<()> {
    view.source(out)?;
    let text = "libvirt's check looks at switch downstream ports only: what is below a switch with a port that \
                lacks ACS stands together, everything else alone";
    view.paragraph(out, 0, text)?;
    let mut members: BTreeMap<usize, Vec<FunctionIndex>> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate() {
        members.entry(group.unwrap_or(usize::MAX)).or_default().push(index);
    }
    for (id, functions) in members {
        if functions.len() > 1 {
            writeln!(out, "\n{BOLD}group {id}{BOLD:#}")?;
        }
        for index in functions {
            view.paragraph(out, 2, &view.line(index))?;
            match libvirt::verdict(view.topology(), index) {
                Verdict::Lacking(port) => {
                    view.paragraph(out, 6, &format!("refused: {} above it lacks ACS", view.address(port)))?;
                }
                Verdict::Unknown(port) => {
                    let text =
                        format!("not known: the ACS of {} above it is not in the dump", view.address(port));
                    view.paragraph(out, 6, &text)?;
                }
                Verdict::Error => {
                    view.paragraph(out, 6, "refused: libvirt finds no parent, and it is not on bus 0")?;
                }
                Verdict::Assignable | Verdict::NotAssignable => {}
            }
        }
    }
    Ok(())
}

/// `acsscan groups --model A,B` without `spec`: where two partitions differ.
///
/// # Errors
///
/// Those of the writer.
pub fn partitions_against(
    out: &mut impl Write,
    view: &View<'_>,
    (first_model, first): (&str, &[Option<usize>]),
    (second_model, second): (&str, &[Option<usize>]),
) -> io::Result<()> {
    view.source(out)?;
    let found = compare::differences(first, second);
    if found.is_empty() {
        return writeln!(out, "{first_model} and {second_model} form the same groups.");
    }
    for difference in found {
        let functions: Vec<String> = difference.functions.iter().map(|index| view.address(*index)).collect();
        let text = format!(
            "{} of {first_model}, {} of {second_model}: {}",
            count(difference.first.len(), "group"),
            count(difference.second.len(), "group"),
            functions.join(", ")
        );
        view.paragraph(out, 0, &text)?;
    }
    Ok(())
}

impl View<'_> {
    /// How many groups, and how sure.
    pub(super) fn summary(&self, out: &mut impl Write) -> io::Result<()> {
        let predicted = self.grouping.groups.iter().filter(|group| !group.is_certain()).count();
        let groups = words::groups(self.grouping.groups.len(), predicted);
        writeln!(out, "{BOLD}Groups{BOLD:#}  as Linux forms them: {groups}")
    }

    pub(super) fn group(&self, out: &mut impl Write, id: usize, group: &Group) -> io::Result<()> {
        let certainty =
            if group.is_certain() { String::new() } else { format!(" {YELLOW}predicted{YELLOW:#}") };
        writeln!(out, "\n{BOLD}group {id}{BOLD:#}{certainty}")?;
        for index in &group.functions {
            self.paragraph(out, 2, &self.line(*index))?;
        }
        self.joins(out, group)?;
        for dependency in &group.depends_on {
            let text = format!("depends on {}", words::dependency(self.linux, *dependency));
            self.paragraph(out, 4, &clean(&text))?;
        }
        Ok(())
    }

    /// One paragraph for each hop and rule, with the functions that they brought in.
    fn joins(&self, out: &mut impl Write, group: &Group) -> io::Result<()> {
        let mut together: BTreeMap<(FunctionIndex, Cause), Vec<&Join>> = BTreeMap::new();
        for join in &group.joins {
            together.entry((join.hop, join.cause)).or_default().push(join);
        }
        for ((hop, cause), joins) in together {
            let functions: Vec<String> = joins.iter().map(|join| self.address(join.function)).collect();
            let shown = functions.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
            let more = functions.len().saturating_sub(6);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let hop = self.address(hop);
            let text = match cause {
                Cause::PathDoesNotIsolate => {
                    format!("because {hop} does not isolate, and is above {shown}{more}")
                }
                Cause::RequesterId => {
                    format!("because requests of {shown}{more} carry the requester ID of {hop}")
                }
                Cause::MultiFunction => {
                    format!("because {hop} and {shown}{more} are functions of one device, and do not isolate")
                }
                Cause::Alias => format!("because {hop} and {shown}{more} use each other's requester ID"),
                Cause::KernelSays => format!("because the running kernel had {shown}{more} with {hop}"),
            };
            self.paragraph(out, 4, &text)?;
            let mut evidence: Vec<String> = joins
                .iter()
                .flat_map(|join| join.evidence(self.linux))
                .map(|evidence| format!("{}: {evidence}", evidence.function()))
                .collect();
            evidence.sort_unstable();
            evidence.dedup();
            for line in evidence {
                self.paragraph(out, 6, &clean(&line))?;
            }
        }
        Ok(())
    }

    pub(super) fn ungrouped(&self, out: &mut impl Write) -> io::Result<()> {
        let outside: Vec<FunctionIndex> = (0..self.grouping.group_of.len())
            .filter(|index| self.grouping.group_of.get(*index).is_some_and(Option::is_none))
            .collect();
        if outside.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{BOLD}in no group{BOLD:#}")?;
        for index in outside {
            self.paragraph(out, 2, &self.line(index))?;
        }
        self.paragraph(out, 4, "because AMD's IOMMU does not translate for itself and its host bridge")
    }

    pub(super) fn differences(&self, out: &mut impl Write) -> io::Result<()> {
        let kernel = compare::kernel_groups(self.topology());
        if kernel.iter().all(Option::is_none) {
            return Ok(());
        }
        let differences = compare::differences(&self.grouping.group_of, &kernel);
        if differences.is_empty() {
            let taken =
                |group: &Group| group.depends_on.iter().any(|d| matches!(d, Dependency::KernelSays(_)));
            let taken = self.grouping.groups.iter().filter(|group| taken(group)).count();
            let but = match taken {
                0 => String::new(),
                n => format!(" {n} of them were taken from it, because the dump does not tell."),
            };
            return writeln!(out, "\nThe running kernel formed the same groups.{but}");
        }
        writeln!(out, "\n{BOLD}The running kernel formed other groups{BOLD:#}")?;
        for difference in differences {
            let list = |ids: Vec<String>| ids.join(", ");
            let text = format!(
                "group {} here, {} there: {}",
                list(difference.first.iter().map(ToString::to_string).collect()),
                list(difference.second.iter().map(ToString::to_string).collect()),
                list(difference.functions.iter().map(|index| self.address(*index)).collect()),
            );
            self.paragraph(out, 2, &text)?;
        }
        Ok(())
    }
}
