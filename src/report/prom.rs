//! Metrics in Prometheus's text format, for the textfile collector of node_exporter.
//!
//! The number of series does not grow with the machine or the fleet, but for one series a finding code
//! (all of [`Code::ALL`], so that a series does not vanish when its count reaches 0) and one a kind of
//! error that occurred. No metric is labelled with a host, an address or a path.
//!
//! Source: Prometheus documentation, "Exposition formats", text format 0.0.4.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::json::{FleetDocument, SourceDocument};
use crate::finding::{Code, Finding};
use crate::kernel::Iommu;

/// One metric: its name, its help, and its samples: labels and value.
struct Metric<'a> {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, &'a str)>, usize)>,
}

impl Metric<'_> {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "# HELP {} {}", self.name, self.help)?;
        writeln!(out, "# TYPE {} gauge", self.name)?;
        for (labels, value) in &self.samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            writeln!(out, "{}{labels} {value}", self.name)?;
        }
        Ok(())
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn single(name: &'static str, help: &'static str, value: usize) -> Metric<'static> {
    Metric { name, help, samples: vec![(Vec::new(), value)] }
}

/// What one machine has, in numbers.
#[derive(Clone, Debug)]
pub struct Numbers<'a> {
    /// What was read.
    pub source: &'a SourceDocument,
    /// Whether something that the answers need was not captured.
    pub inconclusive: bool,
    /// Whether an IOMMU is in use.
    pub iommu: Iommu,
    /// Isolation domains: those of one function, and those held together by direct traffic,
    /// impersonation, what is not known.
    pub domains: [usize; 4],
    /// Linux's groups: certain and predicted ones.
    pub groups: [usize; 2],
    /// Fingerprint of the machine.
    pub fingerprint: &'a str,
    /// The findings.
    pub findings: &'a [Finding],
}

/// Metrics of one machine.
///
/// # Errors
///
/// Those of the writer.
pub fn scan(out: &mut impl Write, numbers: &Numbers<'_>) -> io::Result<()> {
    let states = [Iommu::InUse, Iommu::Off, Iommu::Absent, Iommu::Unknown];
    let kernel = numbers.source.kernel.as_deref().unwrap_or_default();
    let info = [("version", env!("CARGO_PKG_VERSION")), ("kernel", kernel)];
    let by = |name, words: &[&'static str], values: &[usize]| {
        words.iter().zip(values).map(|(word, value)| (vec![(name, *word)], *value)).collect()
    };
    let mut findings: BTreeMap<Code, usize> = BTreeMap::new();
    for finding in numbers.findings {
        let count = findings.entry(finding.code).or_default();
        *count = count.saturating_add(1);
    }
    let findings = Code::ALL.iter().map(|code| {
        let labels = vec![("code", code.as_str()), ("severity", code.severity().word())];
        (labels, findings.get(code).copied().unwrap_or_default())
    });
    let metrics = [
        Metric {
            name: "acsscan_info",
            help: "The version of acsscan, and the kernel of the machine.",
            samples: vec![(info.to_vec(), 1)],
        },
        Metric {
            name: "acsscan_topology_info",
            help: "Fingerprint of structure, IDs and ACS: it changes when one of them does.",
            samples: vec![(vec![("fingerprint", numbers.fingerprint)], 1)],
        },
        single("acsscan_functions", "PCI functions.", numbers.source.functions),
        single(
            "acsscan_conclusive",
            "1 if everything that the answers need was captured.",
            usize::from(!numbers.inconclusive),
        ),
        Metric {
            name: "acsscan_iommu",
            help: "1 for the state in which the IOMMU is.",
            samples: states
                .iter()
                .map(|state| (vec![("state", state.word())], usize::from(*state == numbers.iommu)))
                .collect(),
        },
        Metric {
            name: "acsscan_isolation_domains",
            help: "Isolation domains, by the weakest bond that holds them together.",
            samples: by("held_by", &["alone", "direct", "impersonation", "unproven"], &numbers.domains),
        },
        Metric {
            name: "acsscan_iommu_groups",
            help: "Linux's groups, as predicted from the registers.",
            samples: by("certainty", &["certain", "predicted"], &numbers.groups),
        },
        Metric { name: "acsscan_findings", help: "Findings, by code.", samples: findings.collect() },
    ];
    metrics.iter().try_for_each(|metric| metric.write(out))
}

/// Metrics of many machines.
///
/// # Errors
///
/// Those of the writer.
pub fn fleet(out: &mut impl Write, fleet: &FleetDocument) -> io::Result<()> {
    let conclusive = fleet.read.saturating_sub(fleet.inconclusive);
    let results =
        [("conclusive", conclusive), ("inconclusive", fleet.inconclusive), ("failed", fleet.failed)];
    let frequent = fleet.fingerprints.iter().map(|kind| kind.hosts).max().unwrap_or_default();
    let kinds = fleet.fingerprints.len().saturating_add(fleet.more_fingerprints);
    let findings = Code::ALL.iter().map(|code| {
        let of = fleet.finding_counts.iter().find(|found| found.code == code.as_str());
        let labels = vec![("code", code.as_str()), ("severity", code.severity().word())];
        (labels, of.map_or(0, |found| found.hosts))
    });
    let of_map = |name: &'static str, words: &[&'static str], map: &BTreeMap<String, usize>| {
        let count = |word: &'static str| map.get(word).copied().unwrap_or_default();
        words.iter().map(|word| (vec![(name, *word)], count(word))).collect::<Vec<_>>()
    };
    let iommu = of_map("state", &["in-use", "off", "absent", "unknown"], &fleet.iommu);
    let words = ["assignable", "accepted", "inconclusive", "not-assignable"];
    let mut verdicts = of_map("verdict", &words, &fleet.verdicts);
    verdicts.push((vec![("verdict", "no-device")], fleet.without_device.unwrap_or_default()));
    let metrics = [
        Metric {
            name: "acsscan_fleet_hosts",
            help: "Hosts, by what became of them.",
            samples: results.iter().map(|(word, n)| (vec![("result", *word)], *n)).collect(),
        },
        Metric {
            name: "acsscan_fleet_errors",
            help: "Hosts that could not be read, by kind of error.",
            samples: fleet.errors.iter().map(|e| (vec![("code", e.code.as_str())], e.hosts)).collect(),
        },
        single("acsscan_fleet_kinds", "Kinds of hosts, by fingerprint.", kinds),
        single("acsscan_fleet_alike", "Hosts of the most frequent kind.", frequent),
        single("acsscan_fleet_outliers", "Hosts of which few or none are alike.", fleet.outliers),
        Metric { name: "acsscan_fleet_iommu", help: "Hosts, by the state of the IOMMU.", samples: iommu },
        Metric { name: "acsscan_fleet_verdicts", help: "Hosts, by the policy's verdict.", samples: verdicts },
        Metric {
            name: "acsscan_fleet_findings",
            help: "Hosts that have a finding, by code.",
            samples: findings.collect(),
        },
    ];
    metrics.iter().try_for_each(|metric| metric.write(out))
}
