//! No verb: the scan.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use super::args::{Common, OutputFormat};
use super::output::{Answers, lost, write_text};
use super::reach::assumptions;
use super::{Exit, Stop, address, fleet, input};
use crate::finding;
use crate::kernel::Iommu;
use crate::report::json::{
    self, Body, DisagreementDocument, Document, FunctionDocument, HostDocument, Line, ScanDocument,
    SourceDocument, SummaryDocument,
};
use crate::report::prom::{self, Numbers};
use crate::report::{text, words};
use crate::route::disagree::disagreements;
use crate::route::domains::HeldBy;
use crate::route::fabric::Fabric;
use crate::route::linux::{Grouping, Linux};
use crate::topology::stable;

pub(super) fn run(common: &Common, names: &[String], in_numbers: bool) -> Result<Exit, Stop> {
    if in_numbers && matches!(common.format, OutputFormat::Text | OutputFormat::Json | OutputFormat::Jsonl) {
        return summary(common);
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
        OutputFormat::Text | OutputFormat::Json | OutputFormat::Dot => answers.write(
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
        iommu: host.map_or(Iommu::Unknown, |host| host.iommu(topology)),
        domains,
        groups: [certain, answers.grouping.groups.len().saturating_sub(certain)],
        fingerprint: &fleet::fingerprint(canonical.iter().map(|(_, entry)| entry)),
        findings: &answers.findings,
    };
    let mut out = BufWriter::new(io::stdout().lock());
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
    findings.extend(lost(&scanned.source));
    let document = SummaryDocument::new(topology, &domains, &unsettled, &findings);
    let source = SourceDocument::new(&scanned.source, topology);
    let inconclusive = !source.complete || findings.iter().any(|finding| finding.code.is_missing_part());
    if common.format == OutputFormat::Text {
        write_text(common, |mut out| text::summary(&mut out, &source, &document))?;
    } else {
        let mut out = BufWriter::new(io::stdout().lock());
        let body = Body::Summary(document);
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

fn document(answers: &Answers<'_>, selected: Option<&[usize]>) -> ScanDocument {
    let (linux, grouping): (_, &Grouping) = (answers.linux, &answers.grouping);
    let topology = linux.topology();
    let mut groups: Vec<_> = json::groups(linux, grouping).collect();
    let mut ungrouped = json::ungrouped(topology, grouping);
    if let Some(selected) = selected {
        let of = |index: &usize| grouping.group_of.get(*index).copied().flatten();
        let ids: BTreeSet<usize> = selected.iter().filter_map(of).collect();
        groups.retain(|group| ids.contains(&group.id));
        let outside: Vec<usize> = selected.iter().filter(|index| of(index).is_none()).copied().collect();
        let address = |index: &usize| topology.function(*index).map(|f| f.address.to_string());
        ungrouped = outside.iter().filter_map(address).collect();
    }
    let mut domains: Vec<_> = json::domains(&answers.reach()).collect();
    let mut disagreements = disagreements(answers.fabric, &answers.domains, &grouping.group_of);
    if let Some(selected) = selected {
        let ids: BTreeSet<usize> =
            selected.iter().filter_map(|index| answers.domains.domain_of(*index)).collect();
        domains.retain(|domain| ids.contains(&domain.id));
        disagreements.retain(|found| selected.iter().any(|index| found.functions.contains(index)));
    }
    let document = |found| DisagreementDocument::new(&answers.reach(), found);
    let host = answers.scanned.source.host.as_ref();
    ScanDocument {
        host: host.map(|host| HostDocument::new(host, topology)),
        assumptions: answers.assumptions(answers.domains.assumptions()),
        unsettled: json::unsettled(topology, &answers.unsettled),
        limits: words::limits(answers.domains.assumptions()),
        domains,
        disagreements: disagreements.iter().map(document).collect(),
        groups,
        ungrouped,
        kernel_groups: json::kernel_groups(topology),
        differences: json::differences(linux, grouping, answers.scanned.source.host.as_ref()),
        functions: selected.map(|selected| {
            selected.iter().filter_map(|index| FunctionDocument::new(linux, *index)).collect()
        }),
    }
}
