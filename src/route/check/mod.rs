//! May these functions be assigned to one guest together, isolated from everything else?
//!
//! [`Assignment`] finds what crosses the border around them: each way in which a function outside
//! reaches one inside, or is reached, or uses its requester ID. [`Assignment::judge`] answers under a
//! [`Policy`], and says what that policy does not see.

mod policy;
mod survey;

pub use policy::{Cause, Judgement, Objection, Policy, Unknown, Verdict};
pub use survey::Survey;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::accept::Acceptances;
use super::domains::Domains;
use super::fabric::Fabric;
use super::port::TlpClass;
use super::{Assumptions, Disposition, Reason, RootComplex};
use crate::db::Acceptance;
use crate::topology::FunctionIndex;

/// Pairs that are looked at one by one; beyond that the domains answer alone.
const MAX_PAIRS: usize = 1 << 18;

/// Functions that are to be assigned together, and what crosses the border around them.
#[derive(Clone, Debug)]
pub struct Assignment<'a> {
    /// The functions, sorted.
    inside: Vec<FunctionIndex>,
    /// The domains of the functions, ports included, sorted.
    unit: Vec<FunctionIndex>,
    /// Functions of the unit that are not inside and can initiate.
    outside: Vec<FunctionIndex>,
    ways: Vec<Way<'a>>,
    /// For functions inside, what hangs on bridges that the dump lacks, and that only the assumption that
    /// these isolate keeps apart from them.
    behind_missing: Vec<(FunctionIndex, Vec<FunctionIndex>)>,
    /// Whether every pair was looked at.
    complete: bool,
    /// Whether something proved crosses the border.
    proved: bool,
    /// Where the domains answer alone: for which function, and how many more than those listed are outside.
    by_domains: Option<(FunctionIndex, usize)>,
}

/// Pairs across the border that stand alike.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way<'a> {
    /// Whether it is proved; otherwise it is not known.
    pub proved: bool,
    /// Whether the functions inside are the initiators.
    pub outwards: bool,
    /// Class of transaction; `None` for the use of the other's requester ID.
    pub class: Option<TlpClass>,
    /// Why; `None` for impersonation.
    pub reason: Option<Reason>,
    /// Who accepted it.
    pub accepted: Option<&'a Acceptance>,
    /// One such pair: initiator and target.
    pub example: (FunctionIndex, FunctionIndex),
    /// The functions inside, sorted.
    pub inside: BTreeSet<FunctionIndex>,
    /// The functions outside, sorted.
    pub outside: BTreeSet<FunctionIndex>,
}

/// The key of a [`Way`]: proved ones first, then by class and reason; of an acceptance its place in
/// memory stands for it.
type Key = (bool, bool, Option<TlpClass>, Option<Reason>, usize);

/// Ways of single functions inside as one, where they lead to the same functions outside: every way is
/// then as many pairs as it has functions inside times outside.
fn together(ways: BTreeMap<(Key, FunctionIndex), Way<'_>>) -> Vec<Way<'_>> {
    let mut merged: BTreeMap<(Key, BTreeSet<FunctionIndex>), Way<'_>> = BTreeMap::new();
    for ((key, inside), way) in ways {
        let outside = way.outside.clone();
        merged.entry((key, outside)).or_insert(way).inside.insert(inside);
    }
    merged.into_values().collect()
}

impl<'a> Assignment<'a> {
    /// Looks at everything that crosses the border around these functions.
    #[must_use]
    pub fn new(
        fabric: &Fabric<'_>,
        domains: &Domains,
        accepted: &Acceptances<'a>,
        functions: &[FunctionIndex],
    ) -> Self {
        Self::whole((fabric, domains, accepted), functions, &fabric.behind_missing_bridges())
    }

    /// The same where it is known what stands next to where bridges are missing.
    fn whole(
        (fabric, domains, accepted): (&Fabric<'_>, &Domains, &Acceptances<'a>),
        functions: &[FunctionIndex],
        missing: &[FunctionIndex],
    ) -> Self {
        let mut inside = functions.to_vec();
        inside.sort_unstable();
        inside.dedup();
        let ids: BTreeSet<usize> =
            inside.iter().filter_map(|function| domains.domain_of(*function)).collect();
        let mut unit: Vec<FunctionIndex> =
            ids.iter().filter_map(|id| domains.get(*id)).flat_map(|domain| domain.functions()).collect();
        unit.sort_unstable();
        let is_inside = |function: &FunctionIndex| inside.binary_search(function).is_ok();
        let is_outside = |function: &FunctionIndex| !is_inside(function) && fabric.initiates(*function);
        let outside: Vec<FunctionIndex> = unit.iter().copied().filter(is_outside).collect();
        let proved =
            ids.iter().filter_map(|id| domains.get(*id)).flat_map(|domain| domain.remains()).any(|part| {
                part.iter().any(|f| is_inside(f) && fabric.initiates(*f)) && part.iter().any(is_outside)
            });
        let mut ways: BTreeMap<(Key, FunctionIndex), Way<'a>> = BTreeMap::new();
        let mut pairs = 0_usize;
        'all: for a in inside.iter().filter(|function| fabric.initiates(**function)) {
            let own = domains.domain_of(*a);
            for b in outside.iter().filter(|function| domains.domain_of(**function) == own) {
                pairs = pairs.saturating_add(1);
                if pairs > MAX_PAIRS {
                    break 'all;
                }
                Looker { fabric, domains, accepted, ways: &mut ways }.pair(*a, *b);
            }
        }
        let ways = together(ways);
        let complete = pairs <= MAX_PAIRS;
        let proved = if complete { ways.iter().any(|way| way.proved) } else { proved };
        let behind_missing = behind_missing(fabric, domains.assumptions(), &inside, missing, usize::MAX);
        Self { inside, unit, outside, ways, behind_missing, complete, proved, by_domains: None }
    }

    /// The functions that are to be assigned, sorted.
    #[must_use]
    pub fn functions(&self) -> &[FunctionIndex] {
        &self.inside
    }

    /// What crosses the border, what is proved first.
    #[must_use]
    pub fn ways(&self) -> &[Way<'a>] {
        &self.ways
    }

    /// Whether [`ways`](Self::ways) has every pair; otherwise there were too many.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// What somebody has accepted of it.
    pub fn accepted(&self) -> impl Iterator<Item = &'a Acceptance> {
        self.ways.iter().filter_map(|way| way.accepted)
    }
}

/// One function of each hierarchy that holds some of these, and what hangs on missing bridges elsewhere, as many
/// as are to be listed.
fn behind_missing(
    fabric: &Fabric<'_>,
    assumptions: &Assumptions,
    inside: &[FunctionIndex],
    missing: &[FunctionIndex],
    listed: usize,
) -> Vec<(FunctionIndex, Vec<FunctionIndex>)> {
    if missing.is_empty() || assumptions.root_complex == RootComplex::Unknown {
        return Vec::new();
    }
    let mut of_hierarchy: BTreeMap<u32, FunctionIndex> = BTreeMap::new();
    for function in inside.iter().filter(|function| fabric.initiates(**function)) {
        of_hierarchy.entry(fabric.attached_to(*function as u32)).or_insert(*function);
    }
    let apart = |from: FunctionIndex, to: FunctionIndex| {
        let (disposition, reason) = fabric.disposition(from, to, TlpClass::MemoryUntranslated, assumptions);
        disposition == Disposition::Undetermined && reason == Reason::BridgeNotInDump
    };
    let behind = |function: FunctionIndex| {
        let others = missing.iter().copied();
        let top = fabric.attached_to(function as u32);
        let is_own = |other: &FunctionIndex| fabric.attached_to(*other as u32) == top;
        let is_apart =
            |other: &FunctionIndex| inside.binary_search(other).is_err() && apart(function, *other);
        (function, others.filter(|other| is_own(other) || is_apart(other)).take(listed).collect::<Vec<_>>())
    };
    of_hierarchy.into_values().map(behind).filter(|(_, others)| !others.is_empty()).collect()
}

struct Looker<'l, 'f, 'a> {
    fabric: &'l Fabric<'f>,
    domains: &'l Domains,
    accepted: &'l Acceptances<'a>,
    ways: &'l mut BTreeMap<(Key, FunctionIndex), Way<'a>>,
}

impl Looker<'_, '_, '_> {
    /// Looks at a pair in both directions.
    fn pair(&mut self, inside: FunctionIndex, outside: FunctionIndex) {
        let assumptions = self.domains.assumptions();
        for (outwards, from, to) in [(true, inside, outside), (false, outside, inside)] {
            for class in assumptions.counted() {
                let (disposition, reason) = self.fabric.disposition(from, to, class, assumptions);
                if assumptions.merges(disposition, reason) {
                    let accepted = (!self.accepted.is_empty())
                        .then(|| self.accepted.of_route(&self.fabric.trace(from, to, class, assumptions)));
                    let proved = disposition == Disposition::Direct;
                    self.way(proved, outwards, Some((class, reason)), accepted.flatten(), (from, to));
                }
            }
            if let Some(why) = self.fabric.impersonation(from, to, assumptions) {
                let accepted = self.accepted.of_impersonation(self.fabric, (from, to), why);
                self.way(!why.is_unproven(), outwards, None, accepted, (from, to));
            }
        }
    }
}

impl<'a> Looker<'_, '_, 'a> {
    fn way(
        &mut self,
        proved: bool,
        outwards: bool,
        traffic: Option<(TlpClass, Reason)>,
        accepted: Option<&'a Acceptance>,
        example: (FunctionIndex, FunctionIndex),
    ) {
        let (class, reason) = traffic.unzip();
        let mark = accepted.map_or(0, |acceptance| core::ptr::from_ref(acceptance) as usize);
        let (from, to) = example;
        let (inside, outside) = if outwards { (from, to) } else { (to, from) };
        let key = ((!proved, !outwards, class, reason, mark), inside);
        let way = self.ways.entry(key).or_insert_with(|| Way {
            proved,
            outwards,
            class,
            reason,
            accepted,
            example,
            inside: BTreeSet::from([inside]),
            outside: BTreeSet::new(),
        });
        way.outside.insert(outside);
    }
}
