//! What must hold for every topology, and for everything that is written about it.

use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;

use crate::db::{Database, Date};
use crate::dump::{self, SourceInfo};
use crate::finding;
use crate::function::Inventory;
use crate::report::json::{self, Body, Document, FunctionDocument, SourceDocument};
use crate::report::names::Names;
use crate::report::text::{self, View};
use crate::report::{Reach, Source, is_unsafe, words};
use crate::route::accept::Acceptances;
use crate::route::disagree::disagreements;
use crate::route::domains::Domains;
use crate::route::fabric::Fabric;
use crate::route::linux::{Grouping, Linux};
use crate::route::port::TlpClass;
use crate::route::{Assumptions, RootComplex, libvirt, p2pdma};
use crate::testkit::engines;
use crate::topology::{Parent, Topology};

/// The day of acceptances.
const TODAY: Date = Date { year: 2026, month: 1, day: 1 };
/// Functions up to which the two engines are compared.
const ENGINES: usize = 16;
/// Functions between which routes are looked at.
const ROUTES: usize = 8;
/// Functions of which all is written.
const WRITTEN: usize = 64;

/// Takes a topology through every model and every writer.
pub(super) fn judge(topology: &Topology, database: &Database, kind: &str) {
    let count = topology.functions().len();
    hierarchy(topology);
    let linux = Linux::new(topology, database);
    let grouping = linux.group();
    groups(&linux, &grouping);
    for (index, first) in libvirt::partition(topology).into_iter().enumerate() {
        assert!(first <= index && libvirt::partition(topology)[first] == first);
    }
    let fabric = Fabric::new(topology, database);
    let assumptions = Assumptions { root_complex: RootComplex::Unknown, ..Assumptions::default() };
    partition(&fabric.domains(&assumptions), count);
    let domains = fabric.domains(&Assumptions::default());
    partition(&domains, count);
    if count <= ENGINES {
        if let Some(found) = engines::disagreement(topology, database) {
            panic!("{found}");
        }
    }
    pairs(&fabric);
    let mut findings = finding::findings(topology);
    findings.extend(finding::reach_findings(&fabric));
    finding::sort(&mut findings);
    let source = Source { kind: String::from(kind), path: String::from("-"), ..Source::default() };
    let names = Names::numeric();
    let unsettled = fabric.unsettled(&Assumptions::default());
    let accepted = Acceptances::new(topology, database, TODAY, false);
    let reach = Reach { fabric: &fabric, domains: &&domains, unsettled: &&unsettled, accepted: &accepted };
    let view = View {
        source: &source,
        linux: &linux,
        grouping: &&grouping,
        reach,
        findings: &&findings,
        names: &names,
        width: Some(100),
    };
    written(&view);
    as_json(&view);
}

/// What a reader made of its input: a machine that is judged, or an error that says so harmlessly.
pub(super) fn judge_read(result: Result<SourceInfo, dump::Error>, inventory: Inventory) {
    match result {
        Ok(info) => {
            for problem in &info.problems {
                assert_eq!(harmless(&problem.text), None, "{problem}");
            }
            judge(&Topology::new(inventory), &Database::default(), info.kind.word());
        }
        Err(error) => assert_eq!(harmless(&std::format!("{error}")), None, "{error}"),
    }
}

/// Parents stand on lower buses: following them ends.
fn hierarchy(topology: &Topology) {
    for (index, bus) in topology.buses().iter().enumerate() {
        let above = match bus.parent {
            Parent::Root => continue,
            Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) => topology.bus_of(bridge),
            Parent::VirtualFunctions(other) => Some(other),
            Parent::Orphan(None) => continue,
        };
        assert!(above.is_some_and(|above| above < index), "{bus:?}");
    }
    let addresses = topology.functions().iter().map(|function| function.address);
    let once: BTreeSet<_> = addresses.clone().collect();
    assert!(once.into_iter().eq(addresses), "sorted, each once");
}

/// Every function in one group at most, and in that which it is said to be in.
fn groups(linux: &Linux<'_>, grouping: &Grouping) {
    let count = linux.topology().functions().len();
    let mut seen = std::vec![None; count];
    for (id, group) in grouping.groups.iter().enumerate() {
        assert!(!group.functions.is_empty(), "an empty group");
        for function in &group.functions {
            assert_eq!(seen[*function].replace(id), None, "in two groups");
        }
    }
    assert_eq!(seen, grouping.group_of);
    for (index, group) in seen.iter().enumerate() {
        assert_eq!(group.is_none(), linux.is_ungrouped(index), "{index}");
    }
}

/// Every function in exactly one domain.
fn partition(domains: &Domains, count: usize) {
    let mut seen = std::vec![None; count];
    for (id, domain) in domains.iter().enumerate() {
        for function in domain.functions() {
            assert_eq!(seen[function].replace(id), None, "in two domains");
        }
    }
    for (function, domain) in seen.iter().enumerate() {
        assert_eq!(*domain, domains.domain_of(function));
        assert!(domain.is_some(), "in no domain");
    }
}

/// Routes are bounded, and say what the short answer says.
fn pairs(fabric: &Fabric<'_>) {
    let count = fabric.topology().functions().len().min(ROUTES);
    for from in 0..count {
        for to in 0..count {
            let _ = p2pdma::mapping(fabric.topology(), fabric.database(), to, from);
            for hostile in [true, false] {
                let assumptions = Assumptions { hostile, ..Assumptions::default() };
                for class in TlpClass::ALL {
                    let route = fabric.trace(from, to, class, &assumptions);
                    let answer = fabric.disposition(from, to, class, &assumptions);
                    assert_eq!((route.disposition, route.reason), answer);
                    assert!(!route.hops.is_empty() && route.hops.len() <= 2 * 256 + 2);
                }
            }
        }
    }
}

/// The first character that no report may pass on: what moves a cursor or turns the direction of
/// writing. Line ends and tabs pass.
#[must_use]
pub fn harmless(text: &str) -> Option<char> {
    text.chars().find(|c| !matches!(c, '\n' | '\t') && is_unsafe(*c))
}

/// Every text report is UTF-8 and holds no escape but those of our own styles.
fn written(view: &View<'_>) {
    let topology = view.linux.topology();
    let few: Vec<usize> = (0..topology.functions().len().min(WRITTEN)).collect();
    let partition: Vec<_> = libvirt::partition(topology).into_iter().map(Some).collect();
    let mut out = Vec::new();
    text::scan(&mut out, view, None).expect("written");
    text::scan(&mut out, view, Some(&few)).expect("written");
    text::show(&mut out, view, &few).expect("written");
    text::tree(&mut out, view).expect("written");
    text::groups(&mut out, view).expect("written");
    text::domain_groups(&mut out, view).expect("written");
    text::libvirt_groups(&mut out, view, &partition).expect("written");
    text::domains_against(&mut out, view, "libvirt", &partition).expect("written");
    if let Ok(matrix) = view.reach.fabric.matrix(&[], view.reach.domains.assumptions()) {
        text::matrix(&mut out, view, &matrix).expect("written");
    }
    let text = String::from_utf8(out).expect("UTF-8");
    let mut parts = text.split('\u{1b}');
    assert_eq!(harmless(parts.next().unwrap_or_default()), None);
    for part in parts {
        let style = part.strip_prefix('[').and_then(|rest| rest.split_once('m'));
        let (codes, rest) = style.expect("an escape that is no style");
        assert!(codes.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';')), "{codes:?}");
        assert_eq!(harmless(rest), None);
    }
}

/// The JSON of the functions, the groups and the findings is JSON, without a control character even in
/// its text.
fn as_json(view: &View<'_>) {
    let topology = view.linux.topology();
    let few = 0..topology.functions().len().min(WRITTEN);
    let functions: Vec<_> = few.filter_map(|index| FunctionDocument::new(view.linux, index)).collect();
    let domains: &Domains = view.reach.domains;
    let found = disagreements(view.reach.fabric, domains, &view.grouping.group_of);
    let scan: json::ScanDocument = json::ScanDocument {
        host: None,
        assumptions: words::assumptions(domains.assumptions(), view.reach.unsettled),
        unsettled: json::unsettled(topology, view.reach.unsettled),
        limits: words::limits(domains.assumptions()),
        domains: json::domains(&view.reach).collect(),
        disagreements: found.iter().map(|one| json::DisagreementDocument::new(&view.reach, one)).collect(),
        groups: json::groups(view.linux, view.grouping).collect(),
        ungrouped: json::ungrouped(topology, view.grouping),
        kernel_groups: json::kernel_groups(topology),
        differences: json::differences(view.linux, view.grouping, None),
        functions: Some(functions),
    };
    let document = Document {
        schema: json::SCHEMA,
        source: SourceDocument::new(view.source, topology),
        body: Body::Scan(scan),
        findings: view.findings.iter().map(json::FindingDocument::from).collect(),
    };
    let mut out = Vec::new();
    json::write(&mut out, &document).expect("written");
    let text = core::str::from_utf8(&out).expect("UTF-8");
    assert_eq!(harmless(text), None);
    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(value["source"]["functions"], topology.functions().len());
}
