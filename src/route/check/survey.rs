//! Questions about every device of one machine: what they have in common is worked out once, and together they
//! look at no more pairs than is bearable. Beyond that the domains answer alone: what they say is the same, only
//! that of the ways not all are looked at.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use super::{Assignment, Looker, MAX_PAIRS, Way, behind_missing};
use crate::route::accept::Acceptances;
use crate::route::domains::Domains;
use crate::route::fabric::Fabric;
use crate::topology::FunctionIndex;

/// Functions outside that an answer of the domains alone lists.
pub(super) const LISTED: usize = 8;
/// Functions outside among which such an answer looks for an example.
const TRIED: usize = 64;

/// What the questions about one machine have in common.
#[derive(Clone, Debug)]
pub struct Survey<'s, 'f, 'a> {
    fabric: &'s Fabric<'f>,
    domains: &'s Domains,
    accepted: &'s Acceptances<'a>,
    /// What stands next to where bridges are missing.
    missing: Vec<FunctionIndex>,
    /// The initiators of each domain, by address.
    initiators: Vec<Vec<FunctionIndex>>,
    /// How many initiators proved bonds hold together, by label of the part.
    proved: BTreeMap<u32, usize>,
    /// Pairs and members that may still be looked at one by one.
    left: usize,
}

impl<'s, 'f, 'a> Survey<'s, 'f, 'a> {
    /// Looks at each function once.
    #[must_use]
    pub fn new(fabric: &'s Fabric<'f>, domains: &'s Domains, accepted: &'s Acceptances<'a>) -> Self {
        let mut initiators = vec![Vec::new(); domains.len()];
        let mut proved: BTreeMap<u32, usize> = BTreeMap::new();
        for function in (0..fabric.nodes().len()).filter(|function| fabric.initiates(*function)) {
            let of_domain = domains.domain_of(function).and_then(|id| initiators.get_mut(id));
            if let Some(of_domain) = of_domain {
                of_domain.push(function);
            }
            let count = proved.entry(domains.proved_part(function)).or_default();
            *count = count.saturating_add(1);
        }
        let missing = fabric.behind_missing_bridges();
        Self { fabric, domains, accepted, missing, initiators, proved, left: MAX_PAIRS }
    }

    /// With this many pairs (and members of their domains) to look at, for all questions together.
    #[must_use]
    pub const fn with_pairs(mut self, pairs: usize) -> Self {
        self.left = pairs;
        self
    }

    /// Looks at what crosses the border around these functions: at everything as long as pairs are left, or
    /// where somebody accepted something, which only pairs can tell.
    pub fn assignment(&mut self, functions: &[FunctionIndex]) -> Assignment<'a> {
        let inside: BTreeSet<FunctionIndex> = functions.iter().copied().collect();
        let outside = |function: &FunctionIndex| self.outside(&inside, *function).count_all();
        let initiators = inside.iter().filter(|function| self.fabric.initiates(**function));
        let pairs = initiators.map(outside).fold(0_usize, usize::saturating_add);
        let ids: BTreeSet<usize> = inside.iter().filter_map(|f| self.domains.domain_of(*f)).collect();
        let members = ids.iter().filter_map(|id| self.domains.get(*id)).map(|d| d.functions().len());
        let work = members.fold(pairs, usize::saturating_add);
        if pairs > 0 && self.accepted.is_empty() && work > self.left {
            return self.by_domains(&inside);
        }
        self.left = self.left.saturating_sub(work);
        Assignment::whole((self.fabric, self.domains, self.accepted), functions, &self.missing)
    }

    fn outside<'i>(&'i self, inside: &'i BTreeSet<FunctionIndex>, function: FunctionIndex) -> Outside<'i> {
        let id = self.domains.domain_of(function);
        let all = id.and_then(|id| self.initiators.get(id)).map(Vec::as_slice).unwrap_or_default();
        Outside { all, inside }
    }

    /// The answer of the domains: a function is not kept apart where others of its domain initiate, and that is
    /// proved where something is proved between it and another of its part.
    fn by_domains(&self, inside: &BTreeSet<FunctionIndex>) -> Assignment<'a> {
        let initiators = || inside.iter().copied().filter(|function| self.fabric.initiates(*function));
        let is_open = |function: &FunctionIndex| self.outside(inside, *function).count_all() > 0;
        // Most often the first pair of a part shows what is proved.
        let shown = initiators().find_map(|function| Some((function, self.proved_way(inside, function)?)));
        let proved = shown.is_some();
        let (function, ways) = shown.unwrap_or_else(|| {
            let function = initiators().find(is_open).or_else(|| inside.first().copied()).unwrap_or_default();
            let tried = self.outside(inside, function).iter().take(TRIED);
            let found = tried.map(|other| self.ways(function, other)).find(|ways| !ways.is_empty());
            (function, found.unwrap_or_default())
        });
        let outside = self.outside(inside, function);
        let listed: Vec<FunctionIndex> = outside.iter().take(LISTED).collect();
        let more = outside.count_all().saturating_sub(listed.len());
        let inside: Vec<FunctionIndex> = inside.iter().copied().collect();
        Assignment {
            unit: inside.clone(),
            behind_missing: behind_missing(
                self.fabric,
                self.domains.assumptions(),
                &inside,
                &self.missing,
                LISTED,
            ),
            inside,
            outside: listed,
            ways,
            complete: false,
            proved,
            by_domains: Some((function, more)),
        }
    }
}

impl<'a> Survey<'_, '_, 'a> {
    /// What is proved between a function and the first outside that proved bonds hold together with it.
    fn proved_way(&self, inside: &BTreeSet<FunctionIndex>, function: FunctionIndex) -> Option<Vec<Way<'a>>> {
        let part = self.domains.proved_part(function);
        if self.proved.get(&part).is_none_or(|all| *all <= 1) {
            return None;
        }
        let others = self.outside(inside, function).iter();
        let ways = others.filter(|other| self.domains.proved_part(*other) == part).map(|other| {
            let mut ways = self.ways(function, other);
            ways.retain(|way| way.proved);
            ways
        });
        ways.into_iter().find(|ways| !ways.is_empty())
    }

    fn ways(&self, inside: FunctionIndex, outside: FunctionIndex) -> Vec<Way<'a>> {
        let mut ways = BTreeMap::new();
        let (fabric, domains, accepted) = (self.fabric, self.domains, self.accepted);
        Looker { fabric, domains, accepted, ways: &mut ways }.pair(inside, outside);
        ways.into_values().collect()
    }
}

/// Initiators of a domain that stay outside.
struct Outside<'i> {
    all: &'i [FunctionIndex],
    inside: &'i BTreeSet<FunctionIndex>,
}

impl<'i> Outside<'i> {
    fn iter(&self) -> impl Iterator<Item = FunctionIndex> + use<'i> {
        let inside = self.inside;
        self.all.iter().copied().filter(move |function| !inside.contains(function))
    }

    fn count_all(&self) -> usize {
        let own = self.inside.iter().filter(|function| self.all.binary_search(function).is_ok());
        self.all.len().saturating_sub(own.count())
    }
}
