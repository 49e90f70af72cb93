//! No verb: the scan.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};

use serde::Serialize;

use super::args::{Common, OutputFormat};
use super::output::{Answers, Stdout, write_text};
use super::reach::assumptions;
use super::{Exit, Stop, address, fleet, input};
use crate::finding;
use crate::kernel::Iommu;
use crate::report::json::{
    self, Body, DisagreementDocument, Document, FunctionDocument, HostDocument, Line, Listed, ScanDocument,
    SourceDocument, SummaryDocument,
};
use crate::report::prom::{self, Numbers};
use crate::report::{text, words};
use crate::route::disagree::disagreements;
use crate::route::domains::{Domains, HeldBy};
use crate::route::fabric::Fabric;
use crate::route::linux::{Grouping, Linux};
use crate::topology::stable;

pub(super) fn run(common: &Common, names: &[String], in_numbers: bool) -> Result<Exit, Stop> {
    if in_numbers && matches!(common.format, OutputFormat::Text | OutputFormat::Json | OutputFormat::Jsonl) {
        return summary(common);
    }
    if common.format == OutputFormat::Prom && common.overlays.any() {
        let text = "metrics are of machines as they are: leave out the what-if options";
        return Err(Stop::Usage(String::from(text)));
    }
    let scanned = input::read(common, !names.is_empty())?;
    let selected = address::resolve_or_verb(&scanned.topology, names)?;
    let selected = (!names.is_empty()).then_some(selected);
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), selected.as_deref());
    match common.format {
        OutputFormat::Jsonl => lines(&answers, selected.as_deref())?,
        OutputFormat::Prom | OutputFormat::Line => numbers(common, &answers)?,
        OutputFormat::Text | OutputFormat::Json | OutputFormat::Dot => answers.write_as(
            common,
            |answers| Body::Scan(document(answers, selected.as_deref())),
            |mut out, view| match common.format {
                OutputFormat::Dot => text::dot(&mut out, view),
                _ => text::scan(&mut out, view, selected.as_deref()),
            },
        )?,
    }
    Ok(answers.exit(common, selected.as_deref()))
}

/// The scan as lines, each made when it is written.
fn lines(answers: &Answers<'_>, selected: Option<&[usize]>) -> Result<(), Stop> {
    let (linux, grouping): (_, &Grouping) = (answers.linux, &answers.grouping);
    let ids = |of: &dyn Fn(usize) -> Option<usize>| {
        selected.map(|selected| selected.iter().filter_map(|index| of(*index)).collect::<BTreeSet<usize>>())
    };
    let in_domains = ids(&|index| answers.domains.domain_of(index));
    let in_groups = ids(&|index| grouping.group_of.get(index).copied().flatten());
    let wanted = |ids: &Option<BTreeSet<usize>>, id: usize| ids.as_ref().is_none_or(|ids| ids.contains(&id));
    let reach = answers.reach();
    let domains = json::domains(&reach).filter(|domain| wanted(&in_domains, domain.id)).map(Line::Domain);
    let groups = json::groups(linux, grouping).filter(|group| wanted(&in_groups, group.id)).map(Line::Group);
    let functions = selected.unwrap_or_default().iter();
    let functions = functions.filter_map(|index| FunctionDocument::new(linux, *index));
    let functions = functions.map(|function| Line::Function(Box::new(function)));
    answers.write_lines(domains.chain(groups).chain(functions))
}

/// The scan for those who watch many machines: metrics, or one line.
fn numbers(common: &Common, answers: &Answers<'_>) -> Result<(), Stop> {
    let topology = &answers.scanned.topology;
    let source = SourceDocument::new(&answers.scanned.source, topology);
    let canonical = stable::canonical(topology);
    let host = answers.scanned.source.host.as_ref();
    let mut domains = [0_usize; 4];
    for domain in answers.domains.iter() {
        let at = match domain.held_by() {
            None => 0,
            Some(HeldBy::Direct) => 1,
            Some(HeldBy::Impersonation) => 2,
            Some(HeldBy::Unproven) => 3,
        };
        if let Some(count) = domains.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }
    let certain = answers.grouping.groups.iter().filter(|group| group.is_certain()).count();
    let numbers = Numbers {
        source: &source,
        inconclusive: answers.is_inconclusive(None),
        iommu: Iommu::of(host, topology),
        domains,
        groups: [certain, answers.grouping.groups.len().saturating_sub(certain)],
        fingerprint: &fleet::fingerprint(canonical.iter().map(|(_, entry)| entry)),
        findings: &answers.findings,
    };
    let mut out = BufWriter::new(Stdout::lock());
    match common.format {
        OutputFormat::Prom => prom::scan(&mut out, &numbers)?,
        _ => text::scan_line(&mut out, &numbers)?,
    }
    Ok(out.flush()?)
}

/// The scan in numbers: domains and findings are counted, and nothing else is worked out.
fn summary(common: &Common) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let topology = &scanned.topology;
    let fabric = Fabric::new(topology, &scanned.database);
    let assumptions = assumptions(common);
    let domains = fabric.domains(&assumptions);
    let unsettled = fabric.unsettled(&assumptions);
    let mut findings = finding::findings(topology);
    findings.extend(finding::reach_findings(&fabric));
    findings.extend(finding::lost_findings(scanned.source.losses()));
    let document = SummaryDocument::new(topology, &domains, &unsettled, &findings);
    let source = SourceDocument::new(&scanned.source, topology);
    let inconclusive = !source.complete || findings.iter().any(|finding| finding.code.is_missing_part());
    if common.format == OutputFormat::Text {
        write_text(common, |mut out| text::summary(&mut out, &source, &document))?;
    } else {
        let mut out = BufWriter::new(Stdout::lock());
        let body: Body = Body::Summary(document);
        let document = Document { schema: json::SCHEMA, source, body, findings: Vec::new() };
        json::write(&mut out, &document)?;
        out.flush()?;
    }
    let fail_on = common.fail_on.map(finding::Severity::from);
    let severe = fail_on.is_some_and(|limit| findings.iter().any(|found| found.code.severity() >= limit));
    Ok(match (severe, inconclusive) {
        (true, _) => Exit::Negative,
        (false, true) => Exit::Inconclusive,
        (false, false) => Exit::Done,
    })
}

/// The scan as one document; what grows with the machine is made when it is written.
fn document<'s>(answers: &'s Answers<'_>, selected: Option<&'s [usize]>) -> impl Serialize {
    let (linux, grouping): (_, &'s Grouping) = (answers.linux, &answers.grouping);
    let (topology, domains): (_, &'s Domains) = (linux.topology(), &answers.domains);
    let group_of = |index: &usize| grouping.group_of.get(*index).copied().flatten();
    let ids = |of: &dyn Fn(&usize) -> Option<usize>| {
        selected.map(|selected| selected.iter().filter_map(of).collect::<BTreeSet<usize>>())
    };
    let (in_groups, in_domains) = (ids(&group_of), ids(&|index| domains.domain_of(*index)));
    let ungrouped = match selected {
        None => json::ungrouped(topology, grouping),
        Some(selected) => {
            let outside = selected.iter().filter(|index| group_of(index).is_none());
            outside.filter_map(|index| topology.address(*index)).map(|address| address.to_string()).collect()
        }
    };
    let mut disagreements = disagreements(answers.fabric, domains, &grouping.group_of);
    if let Some(selected) = selected {
        disagreements.retain(|found| selected.iter().any(|index| found.functions.contains(index)));
    }
    let host = answers.scanned.source.host.as_ref();
    let is_wanted =
        |ids: &Option<BTreeSet<usize>>, id: usize| ids.as_ref().is_none_or(|ids| ids.contains(&id));
    let wanted = domains.iter().enumerate().filter(move |(id, _)| is_wanted(&in_domains, *id));
    ScanDocument {
        host: host.map(|host| HostDocument::new(host, topology)),
        assumptions: answers.assumptions(domains.assumptions()),
        unsettled: json::unsettled(topology, &answers.unsettled),
        limits: words::limits(domains.assumptions()),
        domains: Listed(wanted.map(|(id, domain)| json::domain(&answers.reach(), id, domain))),
        disagreements: Listed(
            disagreements.into_iter().map(|found| DisagreementDocument::new(&answers.reach(), &found)),
        ),
        groups: Listed(json::groups(linux, grouping).filter(move |group| is_wanted(&in_groups, group.id))),
        ungrouped,
        kernel_groups: json::kernel_groups(topology),
        differences: json::differences(linux, grouping, host),
        functions: selected.map(|selected| {
            selected.iter().filter_map(|index| FunctionDocument::new(linux, *index)).collect()
        }),
    }
}
