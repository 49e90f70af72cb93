//! Isolation domains: functions that are not proved to be kept apart.
//!
//! A domain is a connected component of *not proved isolated in either direction*: direct and
//! undetermined pairs, and impersonation. Functions that can initiate are what is connected; a port
//! belongs to the domain of what is below it if that is one, and else stands alone.
//!
//! Found in two passes from the leaves up with a union-find, never by pairs: the first with what is
//! proved, the second with what is not known, so that each domain can say what holds it together and
//! what would remain if the unknowns were answered well. Where two ways part, it is asked once for
//! each port and class whether what is below gets past it; only egress control is asked pair by pair.
//!
//! Domains are a question about hostile functions: [`Assumptions::hostile`] is not looked at.
//!
//! Source: PCIe Base 6.x, §6.12 "Access Control Services (ACS)".

mod across;
mod ask;
mod astray;
mod identity;
mod join;
mod lists;
mod pass;
mod root;
mod runs;
mod scope;
mod unsettled;

pub use identity::Impersonation;
pub use scope::{Impersonated, Scope};
pub use unsettled::Unsettled;

use alloc::vec;
use alloc::vec::Vec;

use super::fabric::{Fabric, NONE};
use super::port::TlpClass;
use super::{Assumptions, Reason};
use crate::topology::FunctionIndex;
use lists::Lists;
use runs::Runs;

/// What holds a domain together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HeldBy {
    /// Direct traffic, proved.
    Direct,
    /// Requester IDs that one of them may use although they are another's.
    Impersonation,
    /// Facts that are missing: with them it might fall apart.
    Unproven,
}

impl HeldBy {
    /// Lower-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Impersonation => "impersonation",
            Self::Unproven => "unproven",
        }
    }
}

/// Why functions came together: the first pair that forced it, and the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merge {
    /// What kind of bond it is.
    pub held_by: HeldBy,
    /// The initiator of the first pair.
    pub from: FunctionIndex,
    /// Its target.
    pub to: FunctionIndex,
    /// Class of transaction; `None` for impersonation.
    pub class: Option<TlpClass>,
    /// Why the pair is not isolated; of impersonation, what is missing where that is unproven.
    pub reason: Option<Reason>,
}

/// The partition of a topology's functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    assumptions: Assumptions,
    /// Functions by domain, each domain's by address.
    members: Partition,
    /// Labels of the parts that proved bonds only would make; empty if there are no others.
    proved: Vec<u32>,
    /// By domain.
    merges: Vec<(u32, Merge)>,
}

/// One isolation domain.
#[derive(Clone, Copy, Debug)]
pub struct IsolationDomain<'d> {
    domains: &'d Domains,
    index: usize,
}

impl Domains {
    /// What was assumed.
    #[must_use]
    pub const fn assumptions(&self) -> &Assumptions {
        &self.assumptions
    }

    /// How many domains there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.starts.len().saturating_sub(1)
    }

    /// Whether there are none, because there are no functions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The domain of a function: index into the domains, which are ordered by lowest address.
    #[must_use]
    pub fn domain_of(&self, function: FunctionIndex) -> Option<usize> {
        self.members.part_of.get(function).map(|part| *part as usize)
    }

    /// The label of the part that proved bonds hold a function in: within its domain, and no index.
    pub(in crate::route) fn proved_part(&self, function: FunctionIndex) -> u32 {
        let labels = if self.proved.is_empty() { &self.members.part_of } else { &self.proved };
        labels.get(function).copied().unwrap_or(NONE)
    }

    /// The domain with this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<IsolationDomain<'_>> {
        (index < self.len()).then_some(IsolationDomain { domains: self, index })
    }

    /// All domains, by lowest address.
    pub fn iter(&self) -> impl Iterator<Item = IsolationDomain<'_>> + Clone {
        (0..self.len()).map(|index| IsolationDomain { domains: self, index })
    }
}

impl<'d> IsolationDomain<'d> {
    /// Its functions, by address.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = FunctionIndex> + use<'d> {
        self.domains.members.part(self.index).iter().map(|function| *function as usize)
    }

    /// The weakest of the bonds that hold it together; `None` for a function that is alone.
    #[must_use]
    pub fn held_by(&self) -> Option<HeldBy> {
        self.why().map(|merge| merge.held_by).max()
    }

    /// For each merge the first pair and the reason that forced it: proved ones first.
    pub fn why(&self) -> impl Iterator<Item = &'d Merge> + use<'d> {
        let merges = &self.domains.merges;
        let from = merges.partition_point(|(domain, _)| (*domain as usize) < self.index);
        let index = self.index;
        let of_domain = merges.get(from..).unwrap_or_default().iter();
        of_domain.take_while(move |(domain, _)| *domain as usize == index).map(|(_, merge)| merge)
    }

    /// What would remain of it if all unknowns were answered well: the parts that proved bonds hold
    /// together, each by address.
    #[must_use]
    pub fn remains(&self) -> Vec<Vec<FunctionIndex>> {
        if self.domains.proved.is_empty() {
            return vec![self.functions().collect()];
        }
        let mut labelled: Vec<(u32, FunctionIndex)> = self
            .functions()
            .map(|function| (self.domains.proved.get(function).copied().unwrap_or(NONE), function))
            .collect();
        labelled.sort_unstable();
        let mut parts: Vec<Vec<FunctionIndex>> = Vec::new();
        let mut last = None;
        for (label, function) in labelled {
            match parts.last_mut() {
                Some(part) if last == Some(label) => part.push(function),
                _ => parts.push(vec![function]),
            }
            last = Some(label);
        }
        parts.sort_unstable();
        parts
    }
}

impl Fabric<'_> {
    /// The isolation domains under these assumptions.
    #[must_use]
    pub fn domains(&self, assumptions: &Assumptions) -> Domains {
        let assumptions = Assumptions { hostile: true, ..*assumptions };
        let runs = Runs::new(self, &assumptions);
        let mut lists = Lists::new(self.nodes().len(), assumptions.count_relaxed_and_io);
        self.join_all(&assumptions, true, &runs, &mut lists);
        let proved = lists.joiner.clone();
        self.join_all(&assumptions, false, &runs, &mut lists);
        // The rest of the lists goes before more is made of it.
        let mut all = lists.into_joiner();
        let bonds = core::mem::take(&mut all.merges);
        let proved = match bonds.len() > proved.merges.len() {
            true => self.with_ports(&runs, proved.into_labels()),
            false => Vec::new(),
        };
        let members = Partition::new(self.with_ports(&runs, all.into_labels()));
        let domain_of = |function: FunctionIndex| members.part_of.get(function).copied().unwrap_or(NONE);
        let mut merges: Vec<_> = bonds.into_iter().map(|merge| (domain_of(merge.from), merge)).collect();
        merges.sort_by_key(|(domain, _)| *domain);
        Domains { assumptions, members, proved, merges }
    }

    /// Joins what is proved not to be apart, or what is not known to be.
    fn join_all(&self, assumptions: &Assumptions, proved: bool, runs: &Runs, lists: &mut Lists) {
        // Of what does not answer nothing is proved.
        let is_unseen = |function: FunctionIndex| self.node(function as u32).is_unseen();
        let seen = (proved && (0..self.nodes().len()).any(is_unseen)).then(|| self.without(is_unseen));
        let fabric = seen.as_ref().unwrap_or(self);
        pass::run(fabric, assumptions, proved, runs, lists);
        scope::impersonate(fabric, assumptions, proved, &mut lists.joiner);
        identity::join_shared(fabric, proved, &mut lists.joiner);
        identity::join_segments(fabric, proved, &mut lists.joiner);
        if !proved {
            astray::join(fabric, &mut lists.joiner);
        }
    }

    /// Gives each port the label of what is below it, if that is one.
    fn with_ports(&self, runs: &Runs, mut labels: Vec<u32>) -> Vec<u32> {
        const NOTHING: u32 = NONE;
        const SEVERAL: u32 = NONE - 1;
        let mut below: Vec<u32> = vec![NOTHING; self.places().len()];
        for (bus, place) in self.places().iter().enumerate().rev() {
            let mut all = below.get(bus).copied().unwrap_or(NOTHING);
            for (_, _, start, end) in runs.of(bus) {
                if !self.node(*start).initiates() {
                    continue;
                }
                for own in labels.get(*start as usize..*end as usize).unwrap_or_default() {
                    all = if all == NOTHING || all == *own { *own } else { SEVERAL };
                    if all == SEVERAL {
                        break;
                    }
                }
            }
            // Virtual functions that spilled over count where their physical one does.
            let to = if place.bus as usize == bus { place.above } else { place.bus };
            let spilled = place.bus as usize != bus;
            let (Some(above), true) = (below.get_mut(to as usize), place.up != NONE) else { continue };
            // What is below the bridge is below its own bus, too.
            *above = match (*above, all) {
                (NOTHING, all) => all,
                (above, NOTHING) => above,
                (above, all) if above == all => above,
                _ => SEVERAL,
            };
            if let (Some(label), true) = (labels.get_mut(place.up as usize), all < SEVERAL && !spilled) {
                *label = all;
            }
        }
        labels
    }
}

/// Functions by part, as one sorted list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Partition {
    part_of: Vec<u32>,
    functions: Vec<u32>,
    /// Where each part starts in `functions`, and where the last ends.
    starts: Vec<u32>,
}

impl Partition {
    /// From one label a function; parts are numbered by their first function.
    fn new(labels: Vec<u32>) -> Self {
        let mut number = vec![NONE; labels.len()];
        let mut sizes: Vec<u32> = Vec::new();
        let mut part_of = labels;
        for label in &mut part_of {
            let Some(number) = number.get_mut(*label as usize) else { continue };
            if *number == NONE {
                *number = sizes.len() as u32;
                sizes.push(0);
            }
            *label = *number;
            if let Some(size) = sizes.get_mut(*number as usize) {
                *size = size.saturating_add(1);
            }
        }
        let mut starts = Vec::with_capacity(sizes.len().saturating_add(1));
        let mut next = 0_u32;
        for size in &mut sizes {
            starts.push(next);
            next = next.saturating_add(core::mem::replace(size, next));
        }
        starts.push(next);
        let mut functions = vec![0; part_of.len()];
        for (function, part) in part_of.iter().enumerate() {
            let Some(at) = sizes.get_mut(*part as usize) else { continue };
            if let Some(slot) = functions.get_mut(*at as usize) {
                *slot = function as u32;
            }
            *at = at.saturating_add(1);
        }
        Self { part_of, functions, starts }
    }

    fn part(&self, index: usize) -> &[u32] {
        let ends = (self.starts.get(index), index.checked_add(1).and_then(|next| self.starts.get(next)));
        let (Some(from), Some(to)) = ends else { return &[] };
        self.functions.get(*from as usize..*to as usize).unwrap_or_default()
    }
}
