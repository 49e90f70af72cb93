//! The scan in numbers: for large machines, and for programs that only want to know whether to look.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::SeverityDocument;
use crate::finding::{Code, Finding};
use crate::report::words;
use crate::route::domains::{Domains, HeldBy, Unsettled};
use crate::topology::Topology;

/// The scan in numbers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct SummaryDocument {
    /// What was assumed where no dump can tell.
    pub assumptions: Vec<String>,
    /// How many buses have functions.
    pub buses: usize,
    /// The isolation domains.
    pub domains: DomainCounts,
    /// How many findings there are of each code, most severe first; `findings` stays empty.
    pub finding_counts: Vec<FindingCount>,
}

/// Isolation domains in numbers.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DomainCounts {
    /// All of them.
    pub total: usize,
    /// Those of one function.
    pub alone: usize,
    /// Those held together by direct traffic.
    pub direct: usize,
    /// Those held together by impersonation.
    pub impersonation: usize,
    /// Those held together by what is not known.
    pub unproven: usize,
    /// Functions of the largest.
    pub largest: usize,
}

/// Findings of one code.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FindingCount {
    /// Stable kebab-case code.
    pub code: &'static str,
    /// How much it matters.
    pub severity: SeverityDocument,
    /// How many findings.
    pub findings: usize,
    /// How many functions they name; one that several name counts each time.
    pub functions: usize,
}

impl SummaryDocument {
    /// Counts.
    #[must_use]
    pub fn new(
        topology: &Topology,
        domains: &Domains,
        unsettled: &[Unsettled],
        findings: &[Finding],
    ) -> Self {
        let mut counts = DomainCounts { total: domains.len(), ..DomainCounts::default() };
        for domain in domains.iter() {
            let size = domain.functions().len();
            counts.largest = counts.largest.max(size);
            let counted = match domain.held_by() {
                None => &mut counts.alone,
                Some(HeldBy::Direct) => &mut counts.direct,
                Some(HeldBy::Impersonation) => &mut counts.impersonation,
                Some(HeldBy::Unproven) => &mut counts.unproven,
            };
            *counted = counted.saturating_add(1);
        }
        let mut by_code: BTreeMap<(core::cmp::Reverse<_>, Code), (usize, usize)> = BTreeMap::new();
        for finding in findings {
            let key = (core::cmp::Reverse(finding.code.severity()), finding.code);
            let (count, functions) = by_code.entry(key).or_default();
            *count = count.saturating_add(1);
            *functions = functions.saturating_add(finding.functions.len());
        }
        let finding_counts = by_code.into_iter().map(|((_, code), (findings, functions))| FindingCount {
            code: code.as_str(),
            severity: code.severity().into(),
            findings,
            functions,
        });
        Self {
            assumptions: words::assumptions(domains.assumptions(), unsettled),
            buses: topology.buses().len(),
            domains: counts,
            finding_counts: finding_counts.collect(),
        }
    }
}
