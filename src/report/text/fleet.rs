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
    iommu(&mut out, fleet)?;
    if let Some(without) = fleet.without_device.filter(|without| *without == *read && *read > 0) {
        let none = "has a device of --check: nothing was decided";
        writeln!(out, "{BOLD}Policy{BOLD:#}  none of {} {none}", count(without, "host"))?;
    }
    if !fleet.verdicts.is_empty() {
        let verdicts: Vec<String> =
            fleet.verdicts.iter().map(|(word, hosts)| format!("{hosts} {word}")).collect();
        writeln!(out, "{BOLD}Policy{BOLD:#}  {}", verdicts.join(", "))?;
        for host in &fleet.refused {
            writeln!(out, "        not assignable: {}", clean(host))?;
        }
        let refused = fleet.verdicts.get("not-assignable").copied().unwrap_or_default();
        let more = refused.saturating_sub(fleet.refused.len());
        if more > 0 {
            writeln!(out, "        and {more} more")?;
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
        let are = match kind.hosts {
            1 => String::from("1 host of its own kind"),
            hosts => format!("{hosts} hosts are alike"),
        };
        writeln!(out, "{are} ({}): {}", short(&kind.fingerprint), named(kind.hosts, &kind.examples))?;
    }
    for kind in &outliers {
        outlier(&mut out, kind)?;
    }
    if fleet.more_fingerprints > 0 {
        let of_them = fleet.more_outlier_fingerprints;
        writeln!(out, "and {} more, {of_them} of them outliers", count(fleet.more_fingerprints, "kind"))?;
    }
    if outliers.iter().any(|kind| kind.differing_known > 0) {
        writeln!(
            out,
            "(SEGMENT:#ROOT:DEV.FN/DEV.FN… is the way down from a root bus, whatever the numbers)"
        )?;
    }
    if fleet.links_passed_over > 0 {
        let links = count(fleet.links_passed_over, "link");
        writeln!(out, "\n{links} to directories, not looked into: name the directories to read them")?;
    }
    if !fleet.errors.is_empty() {
        writeln!(out, "\n{BOLD}Not read{BOLD:#}")?;
    }
    for error in &fleet.errors {
        writeln!(out, "{} ({}), such as {}", error.code, error.hosts, clean(&error.message))?;
        if error.hosts > 1 {
            writeln!(out, "        {}", named(error.hosts, &error.examples))?;
        }
    }
    if !fleet.finding_counts.is_empty() {
        writeln!(out, "\n{BOLD}Findings{BOLD:#}")?;
    }
    for finding in &fleet.finding_counts {
        let (code, hosts) = (clean(&finding.code), count(finding.hosts, "host"));
        // Of what almost all have, the names say nothing.
        let names = match finding.severity == "error" || finding.hosts.saturating_mul(2) < *read {
            true => format!(": {}", named(finding.hosts, &finding.examples)),
            false => String::new(),
        };
        writeln!(out, "{:7} {code} on {hosts}{names}", finding.severity)?;
    }
    Ok(())
}

/// Enough of a fingerprint to tell it from others.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

/// In which state the IOMMU is on how many hosts, and on which it is not as on most.
fn iommu(out: &mut impl Write, fleet: &FleetDocument) -> io::Result<()> {
    let states: Vec<String> = fleet.iommu.iter().map(|(word, hosts)| format!("{word} on {hosts}")).collect();
    if !states.is_empty() {
        writeln!(out, "{BOLD}IOMMU{BOLD:#}   {}", states.join(", "))?;
    }
    let most = fleet.iommu.values().max().copied().unwrap_or_default();
    for (word, hosts) in fleet.iommu.iter().filter(|(_, hosts)| **hosts < most) {
        let examples = fleet.iommu_examples.get(word).map(Vec::as_slice).unwrap_or_default();
        writeln!(out, "        {word}: {}", named(*hosts, examples))?;
    }
    Ok(())
}

/// The names of the first of some hosts, and how many more there are.
fn named(hosts: usize, examples: &[String]) -> String {
    let named: Vec<_> = examples.iter().take(NAMED).map(|host| clean(host)).collect();
    let more = hosts.saturating_sub(named.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}

fn outlier(out: &mut impl Write, kind: &FleetKind) -> io::Result<()> {
    writeln!(
        out,
        "{YELLOW}outlier{YELLOW:#} ({}): {}",
        short(&kind.fingerprint),
        named(kind.hosts, &kind.examples)
    )?;
    if let Some(why) = &kind.not_compared {
        return writeln!(out, "    not compared: {}", clean(why));
    }
    let with = kind.compared_with.as_deref().map(short).unwrap_or_default();
    let unknown = count(kind.differing.saturating_sub(kind.differing_known), "function");
    if kind.differing_known == 0 {
        return writeln!(out, "    captured in part ({unknown}); nothing else differs from {with}");
    }
    writeln!(out, "    differs from {with} in {}", count(kind.differing_known, "function"))?;
    let known = kind.differences.iter().take(kind.differing_known);
    let listed = known.len();
    for FleetDifference { path, change, ids, fields } in known {
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
    let more = kind.differing_known.saturating_sub(listed);
    if more > 0 {
        writeln!(out, "    and {} more", count(more, "function"))?;
    }
    if kind.differing > kind.differing_known {
        writeln!(out, "    and {unknown} captured in part, here or there")?;
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
