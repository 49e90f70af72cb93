//! Which answers somebody has accepted. An annotation: no answer changes.
//!
//! An acceptance is about pairs of functions: those in which a function that it names takes part, or
//! that a port that it names decides. What is proved (direct traffic, impersonation) is accepted only
//! where the acceptance says so.

use alloc::vec::Vec;

use super::domains::{HeldBy, Impersonation, Merge};
use super::fabric::Fabric;
use super::trace::Route;
use super::view::{self, View};
use super::{Assumptions, Disposition};
use crate::cap::acs::AcsControl;
use crate::db::{Acceptance, Database, Date, Index, Layer, Match, Subject, Subjects};
use crate::route::port::Acs;
use crate::topology::{FunctionIndex, Topology};

/// The acceptances of a database, brought together with the functions that they name.
#[derive(Clone, Debug)]
pub struct Acceptances<'a> {
    database: &'a Database,
    topology: &'a Topology,
    today: Date,
    named: Vec<Named>,
    /// Function and acceptance, sorted.
    by_function: Vec<(FunctionIndex, usize)>,
}

/// The functions that one acceptance names, sorted.
#[derive(Clone, Debug, Default)]
struct Named {
    subject: Vec<FunctionIndex>,
    with: Option<Vec<FunctionIndex>>,
    /// It names a place of the host that it is installed on, and the dump may be of another.
    elsewhere: bool,
}

/// Why an acceptance has no effect, or not for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// Its last day is over.
    Expired,
    /// It names nothing that is in the dump.
    Unmatched,
    /// It names a place of the host that it is installed on, and this is a dump.
    Elsewhere,
    /// It names an address below a bridge, which changes when buses are renumbered.
    ByAddress,
}

impl<'a> Acceptances<'a> {
    /// Brings the acceptances together with the functions. `own_host`: the topology is that of the host
    /// on which the program runs; otherwise places that its directories of database files name do not
    /// count, since they are places of that host.
    #[must_use]
    pub fn new(topology: &'a Topology, database: &'a Database, today: Date, own_host: bool) -> Self {
        let accepted = database.acceptances();
        let mut named: Vec<Named> = Vec::new();
        named.resize_with(accepted.len(), Named::default);
        let by_match = Index::new(accepted.iter().enumerate().flat_map(|(at, acceptance)| {
            let own = matching(Some(&acceptance.subject)).map(|wanted| (at.saturating_mul(2), wanted));
            let with = matching(acceptance.with.as_ref())
                .map(|wanted| (at.saturating_mul(2).saturating_add(1), wanted));
            own.into_iter().chain(with)
        }));
        let find = |subjects: &Subjects| match subjects {
            Subjects::Slot(slot) => topology.in_place(slot).into_iter().collect(),
            Subjects::Matching(_) => Vec::new(),
        };
        for (acceptance, named) in accepted.iter().zip(&mut named) {
            let by_place = [Some(&acceptance.subject), acceptance.with.as_ref()];
            let by_place = by_place.into_iter().flatten().any(|s| matches!(s, Subjects::Slot(_)));
            let installed = matches!(acceptance.layer, Layer::Distribution | Layer::Administrator);
            named.elsewhere = by_place && installed && !own_host;
            named.subject = find(&acceptance.subject);
            named.with = acceptance.with.as_ref().map(find);
        }
        if accepted.iter().any(|a| matching(Some(&a.subject)).or(matching(a.with.as_ref())).is_some()) {
            for (index, subject) in subjects(topology) {
                for position in by_match.candidates(subject.vendor, subject.device) {
                    let (at, of_with) = (position >> 1, position & 1 != 0);
                    let (Some(acceptance), Some(named)) = (accepted.get(at), named.get_mut(at)) else {
                        continue;
                    };
                    let wanted = if of_with { acceptance.with.as_ref() } else { Some(&acceptance.subject) };
                    if matching(wanted).is_some_and(|wanted| wanted.holds(&subject)) {
                        let list = if of_with { named.with.as_mut() } else { Some(&mut named.subject) };
                        list.into_iter().for_each(|list| list.push(index));
                    }
                }
            }
        }
        let mut by_function: Vec<(FunctionIndex, usize)> = Vec::new();
        for (at, (acceptance, named)) in accepted.iter().zip(&named).enumerate() {
            if acceptance.holds_on(today) && !named.elsewhere {
                by_function.extend(named.subject.iter().map(|function| (*function, at)));
            }
        }
        by_function.sort_unstable();
        Self { database, topology, today, named, by_function }
    }

    /// Whether none is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_function.is_empty()
    }

    /// The day for which it is asked.
    #[must_use]
    pub const fn today(&self) -> Date {
        self.today
    }

    /// The acceptance of what one of two functions may do to the other: the first that holds, of either,
    /// or of a port `at` which it is decided. `proved`: it is known, not only not excluded.
    #[must_use]
    pub fn of_pair(
        &self,
        (a, b): (FunctionIndex, FunctionIndex),
        at: Option<FunctionIndex>,
        proved: bool,
    ) -> Option<&'a Acceptance> {
        let accepted = self.database.acceptances();
        let holds = |who: FunctionIndex, index: usize| {
            let (Some(acceptance), Some(named)) = (accepted.get(index), self.named.get(index)) else {
                return false;
            };
            if proved && !acceptance.direct {
                return false;
            }
            let has = |list: &[FunctionIndex], one| list.binary_search(&one).is_ok();
            match &named.with {
                None => true,
                Some(with) => (who == a && has(with, b)) || (who == b && has(with, a)),
            }
        };
        let of = |who: FunctionIndex| self.of_function(who).find(|index| holds(who, *index));
        let first = [Some(a), Some(b), at].into_iter().flatten().filter_map(of).min()?;
        accepted.get(first)
    }

    /// The acceptance of a route that does not isolate.
    #[must_use]
    pub fn of_route(&self, route: &Route) -> Option<&'a Acceptance> {
        if route.disposition.isolates() || self.by_function.is_empty() {
            return None;
        }
        let at = route.decisive().map(|hop| hop.function);
        self.of_pair((route.from, route.to), at, route.disposition == Disposition::Direct)
    }

    /// The acceptance of one function's use of another's requester ID: also of a port above it that does
    /// not validate them, if that is why.
    #[must_use]
    pub fn of_impersonation(
        &self,
        fabric: &Fabric<'_>,
        (from, to): (FunctionIndex, FunctionIndex),
        why: Impersonation,
    ) -> Option<&'a Acceptance> {
        if self.by_function.is_empty() {
            return None;
        }
        let proved = !why.is_unproven();
        if why.is_by_making() {
            return self.of_pair((from, to), None, proved);
        }
        let last = fabric.scope(from).impersonated.port();
        let mut found = self.of_pair((from, to), None, proved);
        let mut at = from;
        while let (None, Some(bridge)) = (found, self.topology.bridge_above(at)) {
            let validates = match fabric.acs(bridge) {
                Acs::Present(services) => services.enabled().contains(AcsControl::SOURCE_VALIDATION),
                Acs::Absent | Acs::Unknown(_) => false,
            };
            let lets_more_through =
                why.beyond_bus_numbers().is_some() && fabric.leaves_open(bridge as u32).is_some();
            if !validates || lets_more_through {
                found = self.of_pair((from, to), Some(bridge), proved);
            }
            if Some(bridge) == last {
                break;
            }
            at = bridge;
        }
        found
    }

    /// The acceptance of the pair that made two parts one domain.
    #[must_use]
    pub fn of_merge(
        &self,
        fabric: &Fabric<'_>,
        merge: &Merge,
        assumptions: &Assumptions,
    ) -> Option<&'a Acceptance> {
        if self.by_function.is_empty() {
            return None;
        }
        match merge.class {
            None => {
                let pair = (merge.from, merge.to);
                let why = fabric.impersonation(merge.from, merge.to, assumptions)?;
                self.of_impersonation(fabric, pair, why)
            }
            Some(class) => {
                let route = fabric.trace(merge.from, merge.to, class, assumptions);
                let at = route.decisive().map(|hop| hop.function);
                self.of_pair((merge.from, merge.to), at, merge.held_by != HeldBy::Unproven)
            }
        }
    }

    /// An acceptance that covers every pair of these with anything: it names all of them.
    #[must_use]
    pub fn of_all(&self, functions: &[FunctionIndex], proved: bool) -> Option<&'a Acceptance> {
        let first = functions.first()?;
        let covers = |index: &usize| {
            let acceptance = self.database.acceptances().get(*index);
            let fits = acceptance.is_some_and(|a| a.with.is_none() && (a.direct || !proved));
            fits && functions.iter().all(|f| self.by_function.binary_search(&(*f, *index)).is_ok())
        };
        self.of_function(*first).find(covers).and_then(|index| self.database.acceptances().get(index))
    }

    /// The acceptances that name a function, whatever their date, in order of precedence.
    pub fn naming(&self, function: FunctionIndex) -> impl Iterator<Item = &'a Acceptance> {
        let accepted = self.database.acceptances().iter().zip(&self.named);
        let names = move |named: &Named| {
            let has = |list: &[FunctionIndex]| list.binary_search(&function).is_ok();
            has(&named.subject) || named.with.as_deref().is_some_and(has)
        };
        accepted.filter(move |(_, named)| names(named)).map(|(acceptance, _)| acceptance)
    }

    /// Each acceptance that has no effect or is in doubt, and the functions that it names.
    pub fn doubts(&self) -> impl Iterator<Item = (&'a Acceptance, Doubt, &[FunctionIndex])> {
        self.database.acceptances().iter().zip(&self.named).filter_map(|(acceptance, named)| {
            let unmatched = named.subject.is_empty() || named.with.as_ref().is_some_and(Vec::is_empty);
            let doubt = if !acceptance.holds_on(self.today) {
                Doubt::Expired
            } else if named.elsewhere {
                Doubt::Elsewhere
            } else if unmatched {
                Doubt::Unmatched
            } else if self.is_by_address(&acceptance.subject)
                || acceptance.with.as_ref().is_some_and(|with| self.is_by_address(with))
            {
                Doubt::ByAddress
            } else {
                return None;
            };
            Some((acceptance, doubt, named.subject.as_slice()))
        })
    }

    /// Whether it starts at a function that does not stand on a root bus, and could start at one.
    fn is_by_address(&self, subjects: &Subjects) -> bool {
        let Subjects::Slot(slot) = subjects else { return false };
        let start = self.topology.index_of(slot.start);
        start
            .is_some_and(|start| !self.topology.on_root_bus(start) && self.topology.place_of(start).is_some())
    }

    fn of_function(&self, function: FunctionIndex) -> impl Iterator<Item = usize> + '_ {
        let from = self.by_function.partition_point(|(other, _)| *other < function);
        let rest = self.by_function.get(from..).unwrap_or_default();
        rest.iter().take_while(move |(other, _)| *other == function).map(|(_, index)| *index)
    }
}

/// What the database is asked with, of each function with known IDs.
pub fn subjects(topology: &Topology) -> impl Iterator<Item = (FunctionIndex, Subject)> {
    let mut views: Vec<View> = Vec::with_capacity(topology.functions().len());
    (0..topology.functions().len()).filter_map(move |index| {
        let view = view::view(topology, index, |above| views.get(above).copied());
        views.push(view);
        view::subject(topology, index, view).map(|subject| (index, subject))
    })
}

const fn matching(subjects: Option<&Subjects>) -> Option<&Match> {
    match subjects {
        Some(Subjects::Matching(wanted)) => Some(wanted),
        _ => None,
    }
}
