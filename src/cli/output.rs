//! Where answers go, and what the exit code says of them.

use std::io::{self, BufWriter, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::args::{Color, Common, OutputFormat};
use super::input::Scanned;
use super::{Exit, Stop};
use crate::addr::Sbdf;
use crate::dump::Format;
use crate::finding::{self, Code, Finding};
use crate::report::json::{self, Body, Document, FindingDocument, SourceDocument};
use crate::report::names::Names;
use crate::report::text::View;
use crate::report::{Reach, Source};
use crate::route::Assumptions;
use crate::route::accept::Acceptances;
use crate::route::compare;
use crate::route::domains::Domains;
use crate::route::fabric::Fabric;
use crate::route::linux::{Grouping, Linux};
use crate::topology::FunctionIndex;

/// A scan's answers.
pub(super) struct Answers<'a> {
    pub(super) scanned: &'a Scanned,
    pub(super) linux: Linux<'a>,
    pub(super) grouping: Grouping,
    pub(super) fabric: &'a Fabric<'a>,
    pub(super) domains: Domains,
    pub(super) accepted: Acceptances<'a>,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Answers<'a> {
    /// Groups, and judges.
    pub(super) fn new(scanned: &'a Scanned, fabric: &'a Fabric<'a>, assumptions: &Assumptions) -> Self {
        let linux = Linux::new(&scanned.topology, &scanned.database);
        let grouping = linux.group();
        let mut findings = finding::findings(&scanned.topology);
        findings.extend(finding::reach_findings(fabric));
        findings.extend(kernel_differs(scanned, &grouping));
        findings.extend(lost(&scanned.source));
        findings.extend(no_kernel_groups(scanned));
        let accepted = scanned.acceptances();
        findings.extend(finding::acceptance_findings(&scanned.topology, &accepted));
        findings.extend(refused(scanned));
        finding::sort(&mut findings);
        let domains = fabric.domains(assumptions);
        Self { scanned, linux, grouping, fabric, domains, accepted, findings }
    }

    /// What reports about reachability are made of.
    pub(super) const fn reach(&self) -> Reach<'_> {
        Reach { fabric: self.fabric, domains: &self.domains, accepted: &self.accepted }
    }

    /// Only the findings about these functions (sorted), and those about the input as a whole.
    pub(super) fn keep_findings_about(&mut self, selected: &[FunctionIndex]) {
        let functions = self.scanned.topology.functions();
        let is_selected = |address: &Sbdf| {
            let index = functions.binary_search_by_key(address, |function| function.address);
            index.is_ok_and(|index| selected.binary_search(&index).is_ok())
        };
        self.findings
            .retain(|finding| finding.functions.is_empty() || finding.functions.iter().any(is_selected));
    }

    /// Whether something that the answer needed was not captured. Of all functions, or of these.
    pub(super) fn is_inconclusive(&self, selected: Option<&[FunctionIndex]>) -> bool {
        let functions = self.scanned.topology.functions();
        let of = |index: FunctionIndex| {
            let group = self.grouping.group_of.get(index).copied().flatten();
            let certain =
                group.and_then(|group| self.grouping.groups.get(group)).is_none_or(|g| g.is_certain());
            !certain || functions.get(index).is_some_and(|function| !function.is_complete())
        };
        let functions = match selected {
            Some(selected) => selected.iter().any(|index| of(*index)),
            None => (0..functions.len()).any(of),
        };
        functions || self.findings.iter().any(|finding| finding.code.is_missing_part())
    }

    /// Whether there is a finding that the options ask to fail on.
    pub(super) fn is_severe(&self, common: &Common) -> bool {
        let fail_on = common.fail_on.map(crate::finding::Severity::from);
        fail_on.is_some_and(|limit| self.findings.iter().any(|f| f.code.severity() >= limit))
    }

    /// The exit code, once the answer is written.
    pub(super) fn exit(&self, common: &Common, selected: Option<&[FunctionIndex]>) -> Exit {
        if self.is_severe(common) {
            return Exit::Negative;
        }
        if self.is_inconclusive(selected) { Exit::Inconclusive } else { Exit::Done }
    }

    /// Writes the answer in the form that the options ask for.
    pub(super) fn write(
        &self,
        common: &Common,
        body: impl FnOnce(&Self) -> Body,
        text: impl FnOnce(&mut dyn Write, &View<'_>) -> io::Result<()>,
    ) -> Result<(), Stop> {
        if common.format == OutputFormat::Json {
            let source = SourceDocument::new(&self.scanned.source, &self.scanned.topology);
            return write_json(source, body(self), &self.findings);
        }
        let names = names(common)?;
        let view = View {
            source: &self.scanned.source,
            linux: &self.linux,
            grouping: &self.grouping,
            reach: self.reach(),
            findings: &self.findings,
            names: &names,
            width: width(),
        };
        write_text(common, |out| text(out, &view))
    }
}

/// Writes a document to standard output.
pub(super) fn write_json(source: SourceDocument, body: Body, findings: &[Finding]) -> Result<(), Stop> {
    let findings = findings.iter().map(FindingDocument::from).collect();
    let document = Document { schema: json::SCHEMA, source, body, findings };
    let mut out = BufWriter::new(io::stdout().lock());
    json::write(&mut out, &document)?;
    Ok(out.flush()?)
}

/// Writes text to standard output, in colour or not.
pub(super) fn write_text(
    common: &Common,
    text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Stop> {
    let choice = match common.color {
        Color::Auto => AutoStream::choice(&io::stdout()),
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let mut out = BufWriter::new(AutoStream::new(io::stdout().lock(), choice));
    text(&mut out)?;
    Ok(out.flush()?)
}

/// sysfs links each function to its group, if there are any.
fn no_kernel_groups(scanned: &Scanned) -> Option<Finding> {
    let none = compare::kernel_groups(&scanned.topology).iter().all(Option::is_none);
    let sysfs = scanned.source.kind == Format::Sysfs.word();
    let text = "sysfs links no function to an IOMMU group: the kernel has formed none";
    (sysfs && none).then(|| Finding::new(Code::NoKernelGroups, Vec::new(), String::from(text)))
}

/// A finding for each database file that could not be used.
fn refused(scanned: &Scanned) -> impl Iterator<Item = Finding> + '_ {
    scanned.refused.iter().map(|refused| {
        let text = refused.to_string();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        let message = match lines.count() {
            0 => first,
            more => format!("{first} (and {} more)", finding::count(more, "line")),
        };
        Finding::new(Code::DatabaseFileRefused, Vec::new(), message)
    })
}

/// A finding for each thing that the reader lost; those after the first few in one.
fn lost(source: &Source) -> Vec<Finding> {
    const SHOWN: usize = 20;
    let losses = || source.problems.iter().filter(|problem| problem.loses);
    let finding = |text: String| Finding::new(Code::InputIncomplete, Vec::new(), text);
    let mut found: Vec<_> = losses().take(SHOWN).map(|problem| finding(problem.text.clone())).collect();
    let more = losses().count().saturating_sub(SHOWN);
    if more > 0 {
        found.push(finding(format!("and {} more", finding::count(more, "loss"))));
    }
    found
}

/// A finding for each place where the running kernel formed other groups.
fn kernel_differs(scanned: &Scanned, grouping: &Grouping) -> Vec<Finding> {
    let functions = scanned.topology.functions();
    let kernel = compare::kernel_groups(&scanned.topology);
    let finding = |difference: compare::Difference<usize, u32>| {
        let addresses = difference
            .functions
            .iter()
            .filter_map(|index| functions.get(*index))
            .map(|f| f.address)
            .collect();
        let message = format!(
            "the running kernel formed {} of them, the model {}",
            finding::count(difference.second.len(), "group"),
            difference.first.len()
        );
        Finding::new(Code::KernelGroupsDiffer, addresses, message)
    };
    compare::differences(&grouping.group_of, &kernel).into_iter().map(finding).collect()
}

fn names(common: &Common) -> Result<Names, Stop> {
    match &common.ids {
        // -nn asks lspci for names and numbers, which is what is shown anyway.
        _ if common.numeric == 1 => Ok(Names::numeric()),
        Some(path) => Names::from_file(path).map_err(Stop::Input),
        None => Ok(Names::of_system()),
    }
}

/// Columns to wrap to; `None` where standard output is no terminal.
pub(super) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// `acsscan schema`.
pub(super) fn schema() -> Result<Exit, Stop> {
    let mut out = io::stdout().lock();
    out.write_all(json::schema().as_bytes())?;
    out.write_all(b"\n")?;
    Ok(Exit::Done)
}
