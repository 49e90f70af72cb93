//! Where the kernel's groups and the isolation domains disagree: where an administrator who trusts the
//! groups is too safe, or not safe enough.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::compare::{Difference, differences};
use super::domains::{Domains, HeldBy, Merge};
use crate::function::Function;
use crate::topology::{FunctionIndex, Topology};

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
pub fn disagreements(topology: &Topology, domains: &Domains, groups: &[Option<usize>]) -> Vec<Disagreement> {
    let domain =
        |(index, function): (usize, &Function)| domains.domain_of(index).filter(|_| !function.is_bridge());
    let domain_of: Vec<Option<usize>> = topology.functions().iter().enumerate().map(domain).collect();
    let group = |index: FunctionIndex| groups.get(index).copied().flatten();
    let judge = |difference: Difference<usize, usize>| {
        let bonds = difference.first.iter().filter_map(|domain| domains.get(*domain)).flat_map(|d| d.why());
        let across = bonds.filter(|merge| {
            group(merge.from).is_some() && group(merge.to).is_some() && group(merge.from) != group(merge.to)
        });
        let example = across.min_by_key(|merge| merge.held_by).copied();
        let kind = match example.map(|merge| merge.held_by) {
            Some(HeldBy::Direct) => Danger::SeparatedAlthoughDirect,
            Some(HeldBy::Impersonation) => Danger::SeparatedAlthoughImpersonation,
            Some(HeldBy::Unproven) => Danger::SeparatedAlthoughUnproven,
            None if difference.second.len() > difference.first.len() => Danger::SeparatedAlthoughUnproven,
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
    let mut found: Vec<_> = differences(&domain_of, groups).into_iter().map(judge).collect();
    found.sort_by(|a, b| (a.kind, &a.functions).cmp(&(b.kind, &b.functions)));
    found
}
