//! Where the kernel's groups and the isolation domains disagree: where an administrator who trusts the
//! groups is too safe, or not safe enough.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::compare::{Difference, differences};
use super::domains::{Domains, HeldBy, Merge};
use super::fabric::Fabric;
use crate::function::Function;
use crate::topology::FunctionIndex;

/// How a model's groups are wrong. The order is that of danger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Danger {
    /// They keep apart what reaches each other directly.
    SeparatedAlthoughDirect,
    /// They keep apart what may use each other's requester IDs.
    SeparatedAlthoughImpersonation,
    /// They keep apart what is not proved to be isolated.
    SeparatedAlthoughUnproven,
    /// They hold together what is isolated.
    JoinedAlthoughIsolated,
}

impl Danger {
    /// Kebab-case code, as in JSON output.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::SeparatedAlthoughDirect => "separated-although-direct",
            Self::SeparatedAlthoughImpersonation => "separated-although-impersonation",
            Self::SeparatedAlthoughUnproven => "separated-although-unproven",
            Self::JoinedAlthoughIsolated => "joined-although-isolated",
        }
    }

    /// In words, of a model with this name.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::SeparatedAlthoughDirect => "kept apart although one reaches the other directly",
            Self::SeparatedAlthoughImpersonation => {
                "kept apart although one may use the other's requester ID"
            }
            Self::SeparatedAlthoughUnproven => "kept apart although not proved to be isolated",
            Self::JoinedAlthoughIsolated => "held together although isolated",
        }
    }
}

/// Domains and groups that hold the same functions between them, and are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disagreement {
    /// The worst that is wrong.
    pub kind: Danger,
    /// The functions, sorted by address.
    pub functions: Vec<FunctionIndex>,
    /// The domains.
    pub domains: BTreeSet<usize>,
    /// The model's groups.
    pub groups: BTreeSet<usize>,
    /// The bond between two of the model's groups that is the worst.
    pub example: Option<Merge>,
}

/// Where a model's groups are not the domains, most dangerous first. What the model leaves out takes no
/// part, and neither do bridges and ports: they initiate nothing, and are where they are through what is
/// below them.
#[must_use]
pub fn disagreements(fabric: &Fabric<'_>, domains: &Domains, groups: &[Option<usize>]) -> Vec<Disagreement> {
    let domain =
        |(index, function): (usize, &Function)| domains.domain_of(index).filter(|_| !function.is_bridge());
    let functions = fabric.topology().functions();
    let domain_of: Vec<Option<usize>> = functions.iter().enumerate().map(domain).collect();
    let found = differences(&domain_of, groups);
    let mut worst: BTreeMap<usize, Merge> = BTreeMap::new();
    if !found.is_empty() {
        for bond in fabric.bonds_across(domains.assumptions(), groups) {
            let ends = [bond.from, bond.to].map(|end| groups.get(end).copied().flatten());
            for group in ends.into_iter().flatten() {
                let known = worst.entry(group).or_insert(bond);
                if bond.held_by < known.held_by {
                    *known = bond;
                }
            }
        }
    }
    let judge = |difference: Difference<usize, usize>| {
        let bonds = difference.second.iter().filter_map(|group| worst.get(group));
        let example = bonds.min_by_key(|bond| bond.held_by).copied();
        let kind = match example.map(|bond| bond.held_by) {
            Some(HeldBy::Direct) => Danger::SeparatedAlthoughDirect,
            Some(HeldBy::Impersonation) => Danger::SeparatedAlthoughImpersonation,
            Some(HeldBy::Unproven) => Danger::SeparatedAlthoughUnproven,
            // What holds a domain together that spans groups goes through what the model leaves out.
            None if spans(&difference.functions, &domain_of, groups) => Danger::SeparatedAlthoughUnproven,
            None => Danger::JoinedAlthoughIsolated,
        };
        Disagreement {
            kind,
            functions: difference.functions,
            domains: difference.first,
            groups: difference.second,
            example,
        }
    };
    let mut found: Vec<_> = found.into_iter().map(judge).collect();
    found.sort_by(|a, b| (a.kind, &a.functions).cmp(&(b.kind, &b.functions)));
    found
}

/// Whether a domain of these functions holds functions of several groups.
fn spans(functions: &[FunctionIndex], domain_of: &[Option<usize>], groups: &[Option<usize>]) -> bool {
    let mut group_of: BTreeMap<usize, usize> = BTreeMap::new();
    functions.iter().any(|function| {
        let domain = domain_of.get(*function).copied().flatten();
        let group = groups.get(*function).copied().flatten();
        let (Some(domain), Some(group)) = (domain, group) else { return false };
        *group_of.entry(domain).or_insert(group) != group
    })
}
