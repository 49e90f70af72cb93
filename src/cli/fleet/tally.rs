//! What all hosts together come to, gathered from their lines, so that a resumed run counts those of the
//! earlier one alike. Its size grows with the kinds of hosts, not with the hosts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::finding::Severity;
use crate::report::json::{FleetErrors, FleetFindings};

/// Names of hosts that are kept of each kind, finding, error and state.
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
    pub(super) iommu: BTreeMap<String, Named>,
    pub(super) verdicts: BTreeMap<String, usize>,
    /// Hosts that have none of the functions that were asked about.
    pub(super) without_device: usize,
    pub(super) refused: Vec<String>,
    /// Hosts of an earlier run of which only rows are known: nothing but whether they could be read.
    pub(super) rows_only: usize,
    kinds: BTreeMap<String, Kind>,
    errors: BTreeMap<String, (Named, String)>,
    findings: BTreeMap<FindingOf, Named>,
}

/// Some hosts: how many, and the names of the first.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) hosts: usize,
    pub(super) examples: Vec<String>,
}

impl Named {
    fn add(&mut self, host: &str) {
        self.hosts = self.hosts.saturating_add(1);
        if self.examples.len() < EXAMPLES {
            self.examples.push(host.to_owned());
        }
    }
}

impl Tally {
    /// Counts a host. `fail_on`: the severity from which on a finding counts as severe.
    pub(super) fn add(&mut self, line: Line, path: Option<PathBuf>, fail_on: Option<Severity>) {
        self.hosts = self.hosts.saturating_add(1);
        if line.kind == "error" {
            self.failed = self.failed.saturating_add(1);
            let error = self.errors.entry(line.code).or_insert((Named::default(), line.message));
            error.0.add(&line.host);
            return;
        }
        let plus = |number: &mut usize, more: bool| *number = number.saturating_add(usize::from(more));
        let severities = [Severity::Note, Severity::Warning, Severity::Error];
        let severe = |finding: &FindingOf| {
            let severity = severities.into_iter().find(|severity| severity.word() == finding.severity);
            fail_on.is_some_and(|limit| severity.is_some_and(|severity| severity >= limit))
        };
        plus(&mut self.severe, line.findings.iter().any(severe));
        plus(&mut self.without_device, line.check.as_ref().is_some_and(|check| check.verdict.is_none()));
        let verdict = line.check.and_then(|check| check.verdict);
        let open = line.answer == "inconclusive" || verdict.as_deref() == Some("inconclusive");
        plus(&mut self.inconclusive, open);
        self.iommu.entry(line.iommu).or_default().add(&line.host);
        if let Some(verdict) = verdict {
            if verdict == "not-assignable" && self.refused.len() < REFUSED {
                self.refused.push(line.host.clone());
            }
            plus(self.verdicts.entry(verdict).or_default(), true);
        }
        let mut findings = line.findings;
        findings.sort_unstable();
        findings.dedup();
        findings.into_iter().for_each(|finding| self.findings.entry(finding).or_default().add(&line.host));
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
        self.rows_only = self.rows_only.saturating_add(1);
    }

    /// The names of the hosts that are to be read once more, if their kind is to be compared.
    pub(super) fn first_names(&self) -> Vec<String> {
        self.kinds.values().filter_map(|kind| kind.examples.first().cloned()).collect()
    }

    /// Takes the paths of these hosts, which their lines have only as they can be shown.
    pub(super) fn set_paths(&mut self, paths: &BTreeMap<String, PathBuf>) {
        for kind in self.kinds.values_mut() {
            if let Some(path) = kind.examples.first().and_then(|name| paths.get(name)) {
                kind.path.clone_from(path);
            }
        }
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
        let error = |(code, (named, message)): (&String, &(Named, String))| FleetErrors {
            code: code.clone(),
            hosts: named.hosts,
            examples: named.examples.clone(),
            message: message.clone(),
        };
        self.errors.iter().map(error).collect()
    }

    pub(super) fn findings(&self) -> Vec<FleetFindings> {
        let finding = |(finding, named): (&FindingOf, &Named)| FleetFindings {
            code: finding.code.clone(),
            severity: finding.severity.clone(),
            hosts: named.hosts,
            examples: named.examples.clone(),
        };
        let mut findings: Vec<_> = self.findings.iter().map(finding).collect();
        let rank = |severity: &str| ["error", "warning", "note"].iter().position(|word| *word == severity);
        findings.sort_by(|a, b| (rank(&a.severity), &a.code).cmp(&(rank(&b.severity), &b.code)));
        findings
    }
}
