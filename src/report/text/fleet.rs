//! `acsscan fleet`: all hosts together.

use std::io::{self, Write};

use super::{BOLD, YELLOW};
use crate::finding::count;
use crate::report::clean;
use crate::report::json::{FleetDifference, FleetDocument, FleetKind};

/// Hosts that are named in a line.
const NAMED: usize = 3;

/// The report: how many hosts are alike, which are not, and how they differ.
///
/// # Errors
///
/// Those of the writer.
pub fn fleet(mut out: impl Write, fleet: &FleetDocument) -> io::Result<()> {
    let FleetDocument { hosts, read, inconclusive, failed, .. } = fleet;
    writeln!(
        out,
        "{BOLD}Fleet{BOLD:#}   {}: {read} read, {inconclusive} of them not known whole, {failed} not read",
        count(*hosts, "host")
    )?;
    let iommu: Vec<String> = fleet.iommu.iter().map(|(word, hosts)| format!("{word} on {hosts}")).collect();
    if !iommu.is_empty() {
        writeln!(out, "{BOLD}IOMMU{BOLD:#}   {}", iommu.join(", "))?;
    }
    if !fleet.verdicts.is_empty() {
        let verdicts: Vec<String> =
            fleet.verdicts.iter().map(|(word, hosts)| format!("{hosts} {word}")).collect();
        writeln!(out, "{BOLD}Policy{BOLD:#}  {}", verdicts.join(", "))?;
        for host in &fleet.refused {
            writeln!(out, "        not assignable: {}", clean(host))?;
        }
    }
    if !fleet.fingerprints.is_empty() {
        let kinds = fleet.fingerprints.len().saturating_add(fleet.more_fingerprints);
        let outliers = count(fleet.outliers, "outlier");
        writeln!(out, "\n{BOLD}{} of hosts, {outliers}{BOLD:#}", count(kinds, "kind"))?;
    }
    let (outliers, frequent): (Vec<&FleetKind>, Vec<&FleetKind>) =
        fleet.fingerprints.iter().partition(|kind| kind.outlier);
    for kind in frequent {
        let are = if kind.hosts == 1 { "1 host is" } else { &format!("{} hosts are", kind.hosts) };
        writeln!(out, "{are} alike ({}): {}", short(&kind.fingerprint), examples(kind))?;
    }
    for kind in outliers {
        outlier(&mut out, kind)?;
    }
    if fleet.more_fingerprints > 0 {
        writeln!(out, "and {} more kinds, each an outlier", fleet.more_fingerprints)?;
    }
    if !fleet.errors.is_empty() {
        writeln!(out, "\n{BOLD}Not read{BOLD:#}")?;
    }
    for error in &fleet.errors {
        writeln!(out, "{} ({}), such as {}", error.code, error.hosts, clean(&error.message))?;
    }
    if !fleet.findings.is_empty() {
        writeln!(out, "\n{BOLD}Findings{BOLD:#}")?;
    }
    for finding in &fleet.findings {
        writeln!(out, "{:7} {} on {}", finding.severity, clean(&finding.code), count(finding.hosts, "host"))?;
    }
    Ok(())
}

/// Enough of a fingerprint to tell it from others.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

fn examples(kind: &FleetKind) -> String {
    let named: Vec<_> = kind.examples.iter().take(NAMED).map(|host| clean(host)).collect();
    let more = kind.hosts.saturating_sub(named.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}

fn outlier(out: &mut impl Write, kind: &FleetKind) -> io::Result<()> {
    writeln!(out, "{YELLOW}outlier{YELLOW:#} ({}): {}", short(&kind.fingerprint), examples(kind))?;
    if let Some(why) = &kind.not_compared {
        return writeln!(out, "    not compared: {}", clean(why));
    }
    let with = kind.compared_with.as_deref().map(short).unwrap_or_default();
    writeln!(out, "    differs from {with} in {}", count(kind.differing, "function"))?;
    for FleetDifference { path, change, ids, fields } in &kind.differences {
        let ids = ids.as_deref().unwrap_or_default();
        match *change {
            "added" => writeln!(out, "    + {path} {ids}: only here")?,
            "removed" => writeln!(out, "    - {path} {ids}: not here")?,
            _ => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|field| {
                        let bits = field.bits.as_ref().map(|bits| format!(" ({bits})")).unwrap_or_default();
                        format!("{} {}, usually {}{bits}", field.field, field.here, field.usual)
                    })
                    .collect();
                writeln!(out, "    ~ {path}: {}", fields.join("; "))?;
            }
        }
    }
    let more = kind.differing.saturating_sub(kind.differences.len());
    if more > 0 {
        writeln!(out, "    and {} more", count(more, "function"))?;
    }
    Ok(())
}

/// All hosts in one line, for health checks.
///
/// # Errors
///
/// Those of the writer.
pub fn fleet_line(out: &mut impl Write, fleet: &FleetDocument) -> io::Result<()> {
    let FleetDocument { hosts, read, inconclusive, failed, outliers, .. } = fleet;
    let refused = fleet.verdicts.get("not-assignable").copied().unwrap_or_default();
    writeln!(
        out,
        "{}: {read} read, {failed} not read, {inconclusive} not known whole, {}, {refused} refused by the policy",
        count(*hosts, "host"),
        count(*outliers, "outlier"),
    )
}
