//! Which kinds of hosts are outliers, and how they differ from the others.

use std::path::Path;

use super::host::fingerprint;
use super::tally::{Kind, Tally};
use crate::cap::acs::{AcsCapability, AcsControl};
use crate::cli::input::{self, Knowledge};
use crate::dump::Options;
use crate::report::json::{FleetDifference, FleetDocument, FleetField, FleetKind};
use crate::topology::stable::{self, Difference, Entry};

/// Frequent kinds that are listed, and outliers: those are what a fleet is asked for, and have room of
/// their own.
const KINDS: usize = 50;
/// Frequent kinds that an outlier is compared with.
const COMPARED: usize = 8;
/// Differences that are listed of an outlier.
const DIFFERENCES: usize = 50;

/// A kind is an outlier if the most frequent one has this many times more hosts; one host is, as soon as
/// three are alike.
const TIMES: usize = 20;

fn is_outlier(hosts: usize, most: usize) -> bool {
    hosts.saturating_mul(TIMES) <= most || (hosts == 1 && most >= 3)
}

/// All hosts in one document. Reads one host of each kind that is compared once more.
pub(super) fn document(
    tally: &Tally,
    asked: bool,
    links_passed_over: usize,
    options: &Options,
    knowledge: &Knowledge,
) -> FleetDocument {
    let kinds = tally.kinds();
    let most = kinds.first().map_or(0, |kind| kind.hosts);
    let form = |kind: &Kind| form(&kind.path, &kind.fingerprint, options, knowledge);
    let frequent: Vec<(&Kind, Result<Vec<Entry>, String>)> = match kinds.last() {
        // Nothing is to be compared.
        Some(last) if !is_outlier(last.hosts, most) => Vec::new(),
        _ => {
            let frequent = kinds.iter().filter(|kind| !is_outlier(kind.hosts, most));
            frequent.take(COMPARED).map(|kind| (*kind, form(kind))).collect()
        }
    };
    // The kinds come by their hosts: those that are outliers behind the others.
    let (usual, few) = kinds.split_at(kinds.partition_point(|kind| !is_outlier(kind.hosts, most)));
    let outliers = few.iter().map(|kind| kind.hosts).sum();
    let described = usual.iter().take(KINDS).chain(few.iter().take(KINDS)).map(|kind| {
        let outlier = is_outlier(kind.hosts, most);
        let mut described = FleetKind {
            fingerprint: kind.fingerprint.clone(),
            hosts: kind.hosts,
            examples: kind.examples.clone(),
            outlier,
            compared_with: None,
            differing: 0,
            differing_known: 0,
            differences: Vec::new(),
            not_compared: None,
        };
        if outlier {
            match form(kind) {
                Ok(own) => compare(&own, &frequent, &mut described),
                Err(why) => described.not_compared = Some(why),
            }
        }
        described
    });
    FleetDocument {
        hosts: tally.hosts,
        read: tally.read(),
        inconclusive: tally.inconclusive,
        failed: tally.failed,
        fingerprints: described.collect(),
        more_fingerprints: usual.len().saturating_sub(KINDS).saturating_add(few.len().saturating_sub(KINDS)),
        more_outlier_fingerprints: few.len().saturating_sub(KINDS),
        outliers,
        errors: tally.errors(),
        finding_counts: tally.findings(),
        iommu: tally.iommu.iter().map(|(state, named)| (state.clone(), named.hosts)).collect(),
        iommu_examples: tally
            .iommu
            .iter()
            .map(|(state, named)| (state.clone(), named.examples.clone()))
            .collect(),
        verdicts: tally.verdicts.clone(),
        without_device: asked.then_some(tally.without_device),
        refused: tally.refused.clone(),
        links_passed_over,
    }
}

/// The canonical form of a host, read once more.
fn form(path: &Path, expected: &str, options: &Options, knowledge: &Knowledge) -> Result<Vec<Entry>, String> {
    let scanned = input::one_of_many(path, options, knowledge).map_err(|error| error.to_string())?;
    let entries: Vec<Entry> =
        stable::canonical(&scanned.topology).into_iter().map(|(_, entry)| entry).collect();
    match fingerprint(entries.iter()) == expected {
        true => Ok(entries),
        false => Err(format!("{}: is not what it was when it was counted", path.display())),
    }
}

/// Compares with the most similar of the frequent kinds.
fn compare(own: &[Entry], frequent: &[(&Kind, Result<Vec<Entry>, String>)], described: &mut FleetKind) {
    let compared = frequent.iter().filter_map(|(kind, form)| {
        let form = form.as_ref().ok()?;
        Some((kind, stable::differences(form, own)))
    });
    let Some((kind, mut differences)) = compared.min_by_key(|(_, differences)| differences.len()) else {
        let why = frequent.iter().find_map(|(_, form)| form.as_ref().err());
        described.not_compared = Some(why.map_or("no kind is frequent", String::as_str).to_owned());
        return;
    };
    described.compared_with = Some(kind.fingerprint.clone());
    described.differing = differences.len();
    // What is known to differ comes first.
    differences.sort_by_key(|difference| !is_known(difference));
    described.differing_known = differences.iter().filter(|difference| is_known(difference)).count();
    described.differences = differences.iter().take(DIFFERENCES).map(difference).collect();
}

/// Whether more differs than that something was not captured.
fn is_known(difference: &Difference) -> bool {
    match difference {
        Difference::Added(_) | Difference::Removed(_) => true,
        Difference::Changed { fields, .. } => fields
            .iter()
            .any(|(_, usual, here)| ![usual, here].into_iter().any(|value| stable::is_unknown(value))),
    }
}

fn difference(difference: &Difference) -> FleetDifference {
    let whole = |entry: &Entry, change| FleetDifference {
        path: entry.path.clone(),
        change,
        ids: entry.get("ids").map(str::to_owned),
        fields: Vec::new(),
    };
    match difference {
        Difference::Added(entry) => whole(entry, "added"),
        Difference::Removed(entry) => whole(entry, "removed"),
        Difference::Changed { path, fields } => FleetDifference {
            path: path.clone(),
            change: "changed",
            ids: None,
            fields: fields
                .iter()
                .map(|(field, usual, here)| FleetField {
                    field,
                    usual: usual.clone(),
                    here: here.clone(),
                    bits: bits(field, usual, here),
                })
                .collect(),
        },
    }
}

/// The bits of an ACS register that differ, as lspci names them, with the value here.
fn bits(field: &str, usual: &str, here: &str) -> Option<String> {
    let number = |text: &str| u16::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let (usual, here) = (number(usual)?, number(here)?);
    let tokens: Vec<(&str, u16)> = match field {
        "acs-capability" => AcsCapability::TOKENS.iter().map(|(name, bit)| (*name, bit.bits())).collect(),
        "acs-control" => AcsControl::TOKENS.iter().map(|(name, bit)| (*name, bit.bits())).collect(),
        _ => return None,
    };
    let differ = tokens.into_iter().filter(|(_, bit)| (usual ^ here) & bit != 0);
    let words = differ.map(|(name, bit)| format!("{name}{}", if here & bit == 0 { '-' } else { '+' }));
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_among_many_are_outliers_and_a_second_model_is_none() {
        assert!(is_outlier(1, 3) && is_outlier(3, 9812) && is_outlier(50, 1000));
        assert!(!is_outlier(1, 2) && !is_outlier(2, 9) && !is_outlier(600, 9000) && !is_outlier(5, 5));
    }

    #[test]
    fn bits_are_named_with_their_value_here() {
        assert_eq!(bits("acs-control", "0x001d", "0x0011").as_deref(), Some("ReqRedir- CmpltRedir-"));
        assert_eq!(bits("acs-control", "absent", "0x0011"), None);
        assert_eq!(bits("revision", "0x0001", "0x0011"), None);
    }
}
