//! Where answers go, and what the exit code says of them.

use std::cell::LazyCell;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::rc::Rc;

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use super::args::{Color, Common, OutputFormat};
use super::input::Scanned;
use super::{Exit, Stop, input};
use crate::finding::{self, Facts, Finding, refused_finding};
use crate::kernel::Iommu;
use crate::report::json::{self, Body, Document, FindingDocument, HeadLine, Line, SourceDocument};
use crate::report::names::Names;
use crate::report::text::{self, View};
use crate::report::{Reach, words};
use crate::route::Assumptions;
use crate::route::accept::Acceptances;
use crate::route::domains::{Domains, Unsettled};
use crate::route::fabric::Fabric;
use crate::route::linux::{Grouping, Linux};
use crate::topology::FunctionIndex;

/// Standard output. A reader that has seen enough and goes away changes nothing of the exit code: what it
/// would have been given is dropped.
pub(super) struct Stdout<W = io::StdoutLock<'static>>(W);

impl Stdout {
    pub(super) fn lock() -> Self {
        Self(io::stdout().lock())
    }
}

fn unless_nobody_reads<T>(result: io::Result<T>, otherwise: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(otherwise),
        result => result,
    }
}

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_nobody_reads(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_nobody_reads(self.0.flush(), ())
    }
}

/// What is worked out when it is first asked for.
type Lazily<'a, T> = LazyCell<T, Box<dyn FnOnce() -> T + 'a>>;

/// A scan's answers, each worked out only if something asks for it.
pub(super) struct Answers<'a> {
    pub(super) scanned: &'a Scanned,
    pub(super) linux: &'a Linux<'a>,
    pub(super) grouping: Rc<Lazily<'a, Grouping>>,
    pub(super) fabric: &'a Fabric<'a>,
    pub(super) domains: Lazily<'a, Domains>,
    pub(super) unsettled: Lazily<'a, Vec<Unsettled>>,
    pub(super) accepted: Rc<Acceptances<'a>>,
    pub(super) findings: Lazily<'a, Vec<Finding>>,
}

impl<'a> Answers<'a> {
    /// Groups and judges; of the findings only those about these functions (sorted), if some are selected,
    /// and those about the input as a whole.
    pub(super) fn new(
        scanned: &'a Scanned,
        linux: &'a Linux<'a>,
        fabric: &'a Fabric<'a>,
        assumptions: &Assumptions,
        selected: Option<&[FunctionIndex]>,
    ) -> Self {
        let assumptions = *assumptions;
        let grouping: Rc<Lazily<'a, Grouping>> = Rc::new(LazyCell::new(Box::new(|| linux.group())));
        let (groups, selected) = (Rc::clone(&grouping), selected.map(<[FunctionIndex]>::to_vec));
        let accepted = Rc::new(scanned.acceptances());
        let judged = Rc::clone(&accepted);
        let findings = move || findings(scanned, linux, &groups, fabric, &judged, selected.as_deref());
        Self {
            scanned,
            linux,
            grouping,
            fabric,
            domains: LazyCell::new(Box::new(move || fabric.domains(&assumptions))),
            unsettled: LazyCell::new(Box::new(move || fabric.unsettled(&assumptions))),
            accepted,
            findings: LazyCell::new(Box::new(findings)),
        }
    }

    /// What reports about reachability are made of.
    pub(super) fn reach(&self) -> Reach<'_> {
        Reach {
            fabric: self.fabric,
            domains: &self.domains,
            unsettled: &self.unsettled,
            accepted: &self.accepted,
        }
    }

    /// What the question rests on whether functions may be assigned. The answers must be about all
    /// functions.
    pub(super) fn facts(&self) -> Facts<'_, 'a> {
        let host = self.scanned.source.host.as_ref();
        Facts {
            linux: self.linux,
            fabric: self.fabric,
            domains: &self.domains,
            grouping: &self.grouping,
            accepted: &self.accepted,
            iommu: Iommu::of(host, &self.scanned.topology),
            live: self.scanned.live,
            findings: &self.findings,
        }
    }

    /// The findings about these functions (sorted), and those about the input as a whole, where the answers
    /// are about all.
    pub(super) fn findings_about(&self, selected: &[FunctionIndex]) -> Vec<Finding> {
        findings(self.scanned, self.linux, &self.grouping, self.fabric, &self.accepted, Some(selected))
    }

    /// What was assumed, in words.
    pub(super) fn assumptions(&self, assumptions: &Assumptions) -> Vec<String> {
        words::assumptions(assumptions, &self.unsettled)
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
        self.exit_if(common, || self.is_inconclusive(selected))
    }

    /// The exit code of an answer that may rest on what was not captured.
    pub(super) fn exit_if(&self, common: &Common, inconclusive: impl FnOnce() -> bool) -> Exit {
        if self.is_severe(common) {
            return Exit::Negative;
        }
        if inconclusive() { Exit::Inconclusive } else { Exit::Done }
    }

    /// Writes what was read, these records, and the findings, a line each as they come.
    pub(super) fn write_lines(&self, records: impl Iterator<Item = Line>) -> Result<(), Stop> {
        let source = SourceDocument::new(&self.scanned.source, &self.scanned.topology);
        let head = HeadLine::new(source, self.assumptions(self.domains.assumptions()));
        let findings = self.findings.iter().map(|finding| Line::Finding(finding.into()));
        let mut out = BufWriter::new(Stdout::lock());
        json::write_lines(&mut out, std::iter::once(Line::Source(head)).chain(records).chain(findings))?;
        Ok(out.flush()?)
    }

    /// Writes the answer in the form that the options ask for.
    pub(super) fn write(
        &self,
        common: &Common,
        body: impl FnOnce(&Self) -> Body,
        text: impl FnOnce(&mut dyn Write, &View<'_>) -> io::Result<()>,
    ) -> Result<(), Stop> {
        self.write_as(common, body, text)
    }

    /// The same, with a body that may be [`Listed`](json::Listed) in parts.
    pub(super) fn write_as<'s, B: Serialize>(
        &'s self,
        common: &Common,
        body: impl FnOnce(&'s Self) -> B,
        text: impl FnOnce(&mut dyn Write, &View<'_>) -> io::Result<()>,
    ) -> Result<(), Stop> {
        let for_others = match common.format {
            OutputFormat::Jsonl => Some("--format jsonl is for the scan, show and fleet"),
            OutputFormat::Prom => Some("--format prom is for the scan and fleet"),
            OutputFormat::Line => Some("--format line is for the scan and fleet"),
            // Who may draw was settled before anything was read.
            OutputFormat::Text | OutputFormat::Json | OutputFormat::Dot => None,
        };
        if let Some(text) = for_others {
            return Err(Stop::Usage(format!("{text}: this verb has --format json")));
        }
        if common.format == OutputFormat::Json {
            let source = SourceDocument::new(&self.scanned.source, &self.scanned.topology);
            return write_json(source, body(self), &self.findings);
        }
        let names = names(common)?;
        let view = self.view(&names, width());
        write_text(common, |mut out| {
            if common.format == OutputFormat::Text {
                text::as_if(&mut out, &self.scanned.source.overlays)?;
            }
            text(out, &view)
        })
    }
}

impl Answers<'_> {
    /// What reports for people are made of.
    pub(super) fn view<'v>(&'v self, names: &'v Names, width: Option<usize>) -> View<'v> {
        View {
            source: &self.scanned.source,
            linux: self.linux,
            grouping: &*self.grouping,
            reach: self.reach(),
            findings: &self.findings,
            names,
            width,
        }
    }
}

/// Writes a document to standard output.
pub(super) fn write_json(
    source: SourceDocument,
    body: impl Serialize,
    findings: &[Finding],
) -> Result<(), Stop> {
    let findings = findings.iter().map(FindingDocument::from).collect();
    let document = Document { schema: json::SCHEMA, source, body, findings };
    let mut out = BufWriter::new(Stdout::lock());
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
    let mut out = BufWriter::new(Stdout(AutoStream::new(io::stdout().lock(), choice)));
    text(&mut out)?;
    Ok(out.flush()?)
}

/// All findings; if functions are selected (sorted), those about them, and those about the input as a whole.
fn findings(
    scanned: &Scanned,
    linux: &Linux<'_>,
    groups: &Grouping,
    fabric: &Fabric<'_>,
    accepted: &Acceptances<'_>,
    selected: Option<&[FunctionIndex]>,
) -> Vec<Finding> {
    let topology = &scanned.topology;
    let mut findings = finding::findings(topology);
    findings.extend(finding::host_findings(linux, groups, scanned.source.host.as_ref(), scanned.live));
    findings.extend(finding::lost_findings(scanned.source.losses()));
    findings.extend(finding::acceptance_findings(topology, accepted));
    findings.extend(scanned.refused.iter().map(|refused| refused_finding(&refused.to_string())));
    match selected {
        None => findings.extend(finding::reach_findings(fabric)),
        Some(selected) => {
            findings.retain_mut(|finding| finding.keep_about(topology, selected));
            findings.extend(finding::reach_findings_about(fabric, selected));
        }
    }
    finding::sort(&mut findings);
    findings
}

pub(super) fn names(common: &Common) -> Result<Names, Stop> {
    match &common.ids {
        // -nn asks lspci for names and numbers, which is what is shown anyway.
        _ if common.numeric == 1 => Ok(Names::numeric()),
        Some(path) => Names::from_file(path, &input::limits(common)).map_err(Stop::Input),
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
pub(super) fn schema(common: &Common) -> Result<Exit, Stop> {
    let schema = if common.format == OutputFormat::Jsonl { json::line_schema() } else { json::schema() };
    let mut out = Stdout::lock();
    out.write_all(schema.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(Exit::Done)
}
