//! Two states of a machine: what changed, and what of it caused what.
//!
//! Layer 6. Functions are matched by their way down from the root, port by port, never by bus number: a
//! machine that was renumbered is the same machine. What changed in registers and in the hierarchy comes
//! first; changed domains and groups name the changes that caused them, found by taking each one back.

mod cause;
mod place;
mod register;

pub use place::{Matching, matching};
pub use register::{RegisterChange, register_changes};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::addr::Sbdf;
use crate::finding::{Code, Finding};
use crate::route::compare::{self, Difference};
use crate::route::domains::Domains;
use crate::route::effect::{Effect, effects};
use crate::route::fabric::Fabric;
use crate::route::linux::Grouping;
use crate::route::matrix::TooManyCells;
use crate::topology::{FunctionIndex, Topology};

/// One state of the machine, with its answers.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// As routing sees it.
    pub fabric: &'a Fabric<'a>,
    /// The isolation domains.
    pub domains: &'a Domains,
    /// Linux's groups.
    pub grouping: &'a Grouping,
    /// The findings.
    pub findings: &'a [Finding],
}

impl State<'_> {
    fn topology(&self) -> &Topology {
        self.fabric.topology()
    }
}

/// A part of a partition that is not what it was. Indices are those after the change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Regrouped {
    /// The functions.
    pub functions: Vec<FunctionIndex>,
    /// How they were together.
    pub before: Vec<Vec<FunctionIndex>>,
    /// How they are together.
    pub after: Vec<Vec<FunctionIndex>>,
    /// What caused it.
    pub cause: Cause,
}

/// What caused a change of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cause {
    /// Indices into [`Diff::registers`].
    pub registers: Vec<usize>,
    /// Whether each of them alone makes a difference; otherwise all of them together, as far as is known.
    pub each_alone: bool,
    /// Functions that came, by index after the change.
    pub added: Vec<FunctionIndex>,
    /// Functions that went, by index before the change.
    pub removed: Vec<FunctionIndex>,
}

impl Cause {
    /// Whether nothing that is compared explains it: another database, or assumptions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.registers.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }
}

/// Functions that a finding is new about, or no longer about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindingChange {
    /// The finding.
    pub code: Code,
    /// Whether it is new.
    pub appeared: bool,
    /// The functions, by address after the change if they are still there.
    pub functions: Vec<Sbdf>,
    /// Its message, where it is about no function.
    pub message: Option<String>,
}

/// Everything that changed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Diff {
    /// Which function is which.
    pub matching: Matching,
    /// What changed in registers, by function.
    pub registers: Vec<RegisterChange>,
    /// Isolation domains that changed.
    pub domains: Vec<Regrouped>,
    /// Linux's groups, as predicted, that changed.
    pub groups: Vec<Regrouped>,
    /// The running kernel's groups that changed, where both dumps have them.
    pub kernel_groups: Vec<Regrouped>,
    /// Pairs that changed.
    pub pairs: Result<Vec<Effect>, TooManyCells>,
    /// Findings that came and went.
    pub findings: Vec<FindingChange>,
}

impl Diff {
    /// Whether nothing changed but bus numbers. Pairs count where they can be compared.
    #[must_use]
    pub fn is_alike(&self) -> bool {
        let Matching { added, removed, moved, replaced, .. } = &self.matching;
        added.is_empty()
            && removed.is_empty()
            && moved.is_empty()
            && replaced.is_empty()
            && self.registers.is_empty()
            && self.domains.is_empty()
            && self.groups.is_empty()
            && self.kernel_groups.is_empty()
            && self.pairs.as_ref().map_or(true, Vec::is_empty)
            && self.findings.is_empty()
    }
}

/// Compares two states of a machine.
#[must_use]
pub fn diff(before: &State<'_>, after: &State<'_>) -> Diff {
    let (old, new) = (before.topology(), after.topology());
    let matching = matching(old, new);
    let registers = register_changes(old, new, &matching);
    let domain = |domains: &Domains, count: usize| -> Vec<Option<usize>> {
        (0..count).map(|index| domains.domain_of(index)).collect()
    };
    let (olds, news) = (old.functions().len(), new.functions().len());
    let domains = regrouped(&matching, &domain(before.domains, olds), &domain(after.domains, news));
    let groups = regrouped(&matching, &before.grouping.group_of, &after.grouping.group_of);
    let kernel = [old, new].map(compare::kernel_groups);
    let [of_old, of_new] = &kernel;
    let kernel_groups = regrouped(&matching, of_old, of_new);
    // Functions that moved stand otherwise to all others: that is told already.
    let moved: BTreeSet<FunctionIndex> = matching.moved.iter().map(|(_, is)| *is).collect();
    let place = |index: usize| {
        let place = matching.places.get(index).copied().flatten();
        place.filter(|_| !moved.contains(&index))
    };
    let places: Vec<Option<FunctionIndex>> = (0..news).map(place).collect();
    let pairs = effects(before.fabric, after.fabric, &places, after.domains.assumptions());
    let findings = findings(before, after, &matching);
    let mut diff = Diff { matching, registers, domains, groups, kernel_groups, pairs, findings };
    cause::find(before, after, &mut diff);
    diff
}

/// The parts of two partitions that differ, over functions that are in both.
fn regrouped<A: Ord + Copy, B: Ord + Copy>(
    matching: &Matching,
    before: &[Option<A>],
    after: &[Option<B>],
) -> Vec<Regrouped> {
    let pair = |(index, place): (usize, &Option<usize>)| Some((index, (*place)?));
    let pairs: Vec<(usize, usize)> = matching.places.iter().enumerate().filter_map(pair).collect();
    let first: Vec<Option<A>> = pairs.iter().map(|(_, was)| before.get(*was).copied().flatten()).collect();
    let second: Vec<Option<B>> = pairs.iter().map(|(is, _)| after.get(*is).copied().flatten()).collect();
    let index = |k: &usize| pairs.get(*k).map(|(is, _)| *is);
    let part = |difference: Difference<A, B>| Regrouped {
        functions: difference.functions.iter().filter_map(index).collect(),
        before: parts(&difference.functions, &first, index),
        after: parts(&difference.functions, &second, index),
        cause: Cause::default(),
    };
    compare::differences(&first, &second).into_iter().map(part).collect()
}

fn parts<L: Ord + Copy>(
    functions: &[usize],
    labels: &[Option<L>],
    index: impl Fn(&usize) -> Option<FunctionIndex>,
) -> Vec<Vec<FunctionIndex>> {
    let mut parts: BTreeMap<L, Vec<FunctionIndex>> = BTreeMap::new();
    for k in functions {
        if let (Some(label), Some(index)) = (labels.get(*k).copied().flatten(), index(k)) {
            parts.entry(label).or_default().push(index);
        }
    }
    let mut parts: Vec<_> = parts.into_values().collect();
    parts.sort_unstable();
    parts
}

/// Findings that came and went, code by code.
fn findings(before: &State<'_>, after: &State<'_>, matching: &Matching) -> Vec<FindingChange> {
    let (old, new) = (before.topology(), after.topology());
    let mut now_at: BTreeMap<Sbdf, Sbdf> = BTreeMap::new();
    for (is, was) in matching.places.iter().enumerate() {
        if let (Some(was), Some(is)) = (was.and_then(|was| old.address(was)), new.address(is)) {
            now_at.insert(was, is);
        }
    }
    type Told = BTreeMap<(Code, Option<String>), BTreeSet<Sbdf>>;
    let told = |findings: &[Finding], place: &dyn Fn(&Sbdf) -> Sbdf| {
        let mut told = Told::new();
        for finding in findings {
            let message = finding.functions.is_empty().then(|| finding.message.clone());
            told.entry((finding.code, message)).or_default().extend(finding.functions.iter().map(place));
        }
        told
    };
    let was = told(before.findings, &|address| now_at.get(address).copied().unwrap_or(*address));
    let is = told(after.findings, &|address| *address);
    let mut found = Vec::new();
    for (from, other, appeared) in [(&was, &is, false), (&is, &was, true)] {
        for ((code, message), functions) in from {
            let there = other.get(&(*code, message.clone()));
            let rest: Vec<Sbdf> = match there {
                Some(there) => functions.difference(there).copied().collect(),
                None => functions.iter().copied().collect(),
            };
            if there.is_none() || !rest.is_empty() {
                found.push(FindingChange {
                    code: *code,
                    appeared,
                    functions: rest,
                    message: message.clone(),
                });
            }
        }
    }
    found
}
