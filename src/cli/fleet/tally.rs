//! What all hosts together come to, gathered from their lines, so that a resumed run counts those of the
//! earlier one alike. Its size grows with the kinds of hosts, not with the hosts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::finding::Severity;
use crate::report::json::{FleetErrors, FleetFindings};

/// Examples that are kept of each kind.
const EXAMPLES: usize = 5;
/// Hosts that the policy refuses of which the names are kept.
const REFUSED: usize = 20;

/// What is read back of a host's line.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) host: String,
    kind: String,
    source: SourceOf,
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    iommu: String,
    #[serde(default)]
    check: Option<CheckOf>,
    #[serde(default)]
    findings: Vec<FindingOf>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct SourceOf {
    path: String,
}

#[derive(Debug, Deserialize)]
struct CheckOf {
    verdict: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct FindingOf {
    severity: String,
    code: String,
}

/// Hosts with one fingerprint.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) fingerprint: String,
    pub(super) hosts: usize,
    pub(super) examples: Vec<String>,
    /// Where the first of them is.
    pub(super) path: PathBuf,
    /// When it came.
    order: usize,
}

/// All hosts so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) hosts: usize,
    pub(super) failed: usize,
    pub(super) inconclusive: usize,
    pub(super) severe: usize,
    pub(super) iommu: BTreeMap<String, usize>,
    pub(super) verdicts: BTreeMap<String, usize>,
    pub(super) refused: Vec<String>,
    kinds: BTreeMap<String, Kind>,
    errors: BTreeMap<String, (usize, String)>,
    findings: BTreeMap<FindingOf, usize>,
}

fn count<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

impl Tally {
    /// Counts a host. `fail_on`: the severity from which on a finding counts as severe.
    pub(super) fn add(&mut self, line: Line, path: Option<PathBuf>, fail_on: Option<Severity>) {
        self.hosts = self.hosts.saturating_add(1);
        if line.kind == "error" {
            self.failed = self.failed.saturating_add(1);
            let error = self.errors.entry(line.code).or_insert((0, line.message));
            error.0 = error.0.saturating_add(1);
            return;
        }
        let plus = |number: &mut usize, more: bool| *number = number.saturating_add(usize::from(more));
        let severities = [Severity::Note, Severity::Warning, Severity::Error];
        let severe = |finding: &FindingOf| {
            let severity = severities.into_iter().find(|severity| severity.word() == finding.severity);
            fail_on.is_some_and(|limit| severity.is_some_and(|severity| severity >= limit))
        };
        plus(&mut self.severe, line.findings.iter().any(severe));
        let verdict = line.check.and_then(|check| check.verdict);
        let open = line.answer == "inconclusive" || verdict.as_deref() == Some("inconclusive");
        plus(&mut self.inconclusive, open);
        count(&mut self.iommu, line.iommu);
        if let Some(verdict) = verdict {
            if verdict == "not-assignable" && self.refused.len() < REFUSED {
                self.refused.push(line.host.clone());
            }
            count(&mut self.verdicts, verdict);
        }
        let mut findings = line.findings;
        findings.sort_unstable();
        findings.dedup();
        findings.into_iter().for_each(|finding| count(&mut self.findings, finding));
        let order = self.kinds.len();
        let kind = self.kinds.entry(line.fingerprint).or_insert_with_key(|fingerprint| Kind {
            fingerprint: fingerprint.clone(),
            hosts: 0,
            examples: Vec::new(),
            path: path.unwrap_or_else(|| PathBuf::from(line.source.path)),
            order,
        });
        plus(&mut kind.hosts, true);
        if kind.examples.len() < EXAMPLES {
            kind.examples.push(line.host);
        }
    }

    /// Counts a host of which only rows are known: whether it could be read.
    pub(super) fn skip(&mut self, failed: bool) {
        self.hosts = self.hosts.saturating_add(1);
        self.failed = self.failed.saturating_add(usize::from(failed));
    }

    /// Hosts that could be read.
    pub(super) const fn read(&self) -> usize {
        self.hosts.saturating_sub(self.failed)
    }

    /// The kinds, those with most hosts first, and of equals those that came first.
    pub(super) fn kinds(&self) -> Vec<&Kind> {
        let mut kinds: Vec<&Kind> = self.kinds.values().collect();
        kinds.sort_by_key(|kind| (std::cmp::Reverse(kind.hosts), kind.order));
        kinds
    }

    pub(super) fn errors(&self) -> Vec<FleetErrors> {
        let error = |(code, (hosts, message)): (&String, &(usize, String))| FleetErrors {
            code: code.clone(),
            hosts: *hosts,
            message: message.clone(),
        };
        self.errors.iter().map(error).collect()
    }

    pub(super) fn findings(&self) -> Vec<FleetFindings> {
        let finding = |(finding, hosts): (&FindingOf, &usize)| FleetFindings {
            code: finding.code.clone(),
            severity: finding.severity.clone(),
            hosts: *hosts,
        };
        let mut findings: Vec<_> = self.findings.iter().map(finding).collect();
        let rank = |severity: &str| ["error", "warning", "note"].iter().position(|word| *word == severity);
        findings.sort_by(|a, b| (rank(&a.severity), &a.code).cmp(&(rank(&b.severity), &b.code)));
        findings
    }
}
