//! Impersonation: whose requester IDs a function can use.
//!
//! The IOMMU knows a device by its requester ID. Source Validation lets only IDs of a port's own buses
//! through; without it, what is below a port may use others.
//!
//! Source: PCIe Base 6.x, §6.12.1.1 "ACS Downstream Ports" (ACS Source Validation).

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use super::join::Joiner;
use super::{HeldBy, Impersonation, Merge};
use crate::addr::BusRange;
use crate::route::fabric::{Fabric, Kind, NONE, Place};
use crate::route::{Assumptions, Reason};
use crate::topology::FunctionIndex;

/// Whose requester IDs a function can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// How far it reaches.
    pub impersonated: Impersonated,
    /// Whether a port on the way up does not tell whether Source Validation is on; it is taken as off.
    pub unproven: bool,
    /// Why the port may let more requester IDs through than those of its bus numbers, if it may.
    pub beyond: Option<Reason>,
}

/// How far impersonation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Impersonated {
    /// On a root bus: nothing above lets other IDs through.
    Nobody,
    /// Functions on the buses of this port, the nearest with Source Validation on.
    BusesOf(FunctionIndex),
    /// Functions below this port, the topmost, and those on buses of the numbers of the ports up to it that no
    /// bridge leads to; and since nothing checks, any requester ID of the segment.
    AnyRequesterId(FunctionIndex),
}

impl Impersonated {
    /// The port that ends it.
    #[must_use]
    pub const fn port(self) -> Option<FunctionIndex> {
        match self {
            Self::BusesOf(port) | Self::AnyRequesterId(port) => Some(port),
            Self::Nobody => None,
        }
    }
}

/// For each bus: whom what stands on it can impersonate, the topmost port above, and whether that is
/// unproven.
struct Reach {
    by_bus: Vec<(Impersonated, u32, bool)>,
}

impl Reach {
    /// `trusting`: a port that does not tell is taken as one that validates.
    fn new(fabric: &Fabric<'_>, trusting: bool) -> Self {
        let mut by_bus = vec![(Impersonated::Nobody, NONE, false); fabric.topology.buses().len()];
        for index in 0..by_bus.len() {
            let first = fabric.topology.on_bus(index).start as u32;
            let bridge = fabric.node(first).up;
            if bridge == NONE {
                continue;
            }
            let node = fabric.node(bridge);
            let above = by_bus.get(node.bus as usize).copied().unwrap_or((Impersonated::Nobody, NONE, false));
            let validates = match node.kind {
                Kind::RootPort | Kind::SwitchDownstreamPort => fabric.validates_source(node),
                Kind::UnknownBridge => None,
                _ => {
                    set(&mut by_bus, index, above);
                    continue;
                }
            };
            let top = if above.1 == NONE { bridge } else { above.1 };
            let reach = match (validates, above.0) {
                (Some(true), _) => (Impersonated::BusesOf(bridge as usize), top, false),
                (None, _) if trusting => (Impersonated::BusesOf(bridge as usize), top, true),
                (_, Impersonated::Nobody) => {
                    (Impersonated::AnyRequesterId(top as usize), top, validates.is_none() || above.2)
                }
                (_, above_it) => (above_it, top, validates.is_none() || above.2),
            };
            set(&mut by_bus, index, reach);
        }
        Self { by_bus }
    }

    fn of(&self, bus: u32) -> (Impersonated, u32, bool) {
        self.by_bus.get(bus as usize).copied().unwrap_or((Impersonated::Nobody, NONE, false))
    }
}

fn set(by_bus: &mut [(Impersonated, u32, bool)], index: usize, reach: (Impersonated, u32, bool)) {
    if let Some(slot) = by_bus.get_mut(index) {
        *slot = reach;
    }
}

impl Fabric<'_> {
    /// Whose requester IDs a function can use, if it is hostile.
    #[must_use]
    pub fn scope(&self, index: FunctionIndex) -> Scope {
        let mut scope = Scope { impersonated: Impersonated::Nobody, unproven: false, beyond: None };
        for (port, validates) in self.checks_above(index as u32) {
            scope.beyond = self.leaves_open(port);
            if validates == Some(true) {
                scope.impersonated = Impersonated::BusesOf(port as usize);
                return scope;
            }
            scope.impersonated = Impersonated::AnyRequesterId(port as usize);
            scope.unproven |= validates.is_none();
        }
        scope
    }

    /// The ports above a function that could validate requester IDs, from the nearest up, and whether each
    /// does.
    pub(in crate::route) fn checks_above(
        &self,
        index: u32,
    ) -> impl Iterator<Item = (u32, Option<bool>)> + '_ {
        let up = |index: u32| Some(self.node(index).up).filter(|up| *up != NONE);
        core::iter::successors(up(index), move |bridge| up(*bridge)).filter_map(|bridge| {
            let node = self.node(bridge);
            match node.kind {
                Kind::RootPort | Kind::SwitchDownstreamPort => Some((bridge, self.validates_source(node))),
                Kind::UnknownBridge => Some((bridge, None)),
                _ => None,
            }
        })
    }

    /// Whether the ports above `from` let the requester ID of `to` through, and what that rests on without
    /// being known.
    pub(super) fn not_validated(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        assumptions: &Assumptions,
    ) -> Option<Impersonation> {
        let (s, t) = (self.node(from as u32), self.node(to as u32));
        if s.device == t.device && assumptions.trust_routing_ids {
            return None;
        }
        let scope = self.scope(from);
        let reaches = match scope.impersonated {
            Impersonated::Nobody => return None,
            Impersonated::BusesOf(port) => self.has_bus_of(port, to),
            // What a port would let through if it checked, it lets through: also the numbers of buses that no
            // bridge of the dump leads to.
            Impersonated::AnyRequesterId(port) => {
                self.is_below(to, port)
                    || self.checks_above(from as u32).any(|(port, _)| self.has_bus_of(port as usize, to))
            }
        };
        let missing = match reaches {
            true if s.is_unseen() || t.is_unseen() => Some(Reason::TypeNotCaptured),
            true => scope.unproven.then_some(Reason::AcsNotCaptured),
            false => Some(self.beyond_bus_numbers(from, to, &scope)?),
        };
        Some(Impersonation::NotValidated { missing })
    }

    /// Why a port may let the requester ID of `to` through that is none of its buses: no dump holds the vectors
    /// of a flattening portal. A port above it that validates, and has no more than its buses, stops it.
    fn beyond_bus_numbers(&self, from: FunctionIndex, to: FunctionIndex, scope: &Scope) -> Option<Reason> {
        let reason = scope.beyond?;
        self.strays_between(from as u32, to as u32)?;
        let mut last = scope.impersonated.port()?;
        for (port, validates) in self.checks_above(last as u32) {
            last = port as usize;
            if validates == Some(true) && self.leaves_open(port).is_none() {
                return self.has_bus_of(last, to).then_some(reason);
            }
        }
        (self.leaves_open(last as u32).is_some() || self.is_below(to, last)).then_some(reason)
    }

    /// Whether the bus of a function is one of a port's by its registers.
    pub(in crate::route) fn has_bus_of(&self, port: FunctionIndex, function: FunctionIndex) -> bool {
        let (port, function) = (self.topology.function(port), self.topology.function(function));
        port.zip(function).is_some_and(|(port, function)| {
            let range = port.bus_range().unwrap_or_default();
            port.address.segment == function.address.segment && range.contains(function.address.bus())
        })
    }

    fn is_below(&self, function: FunctionIndex, port: FunctionIndex) -> bool {
        let mut at = self.node(function as u32);
        while at.up != NONE && at.up as usize != port {
            at = self.node(at.up);
        }
        at.up as usize == port
    }
}

/// A run of buses whose functions are to be joined, and why.
struct Run {
    start: usize,
    end: usize,
    why: Merge,
}

/// Buses with initiators by the topmost port above them; nothing where no scope reaches so far.
struct ByTop(Vec<(u32, u32)>);

impl ByTop {
    fn new(reach: &Reach, places: &[Place], sources: &[(Impersonated, u32, bool)]) -> Self {
        if !sources.iter().any(|source| matches!(source.0, Impersonated::AnyRequesterId(_))) {
            return Self(Vec::new());
        }
        let occupied = places.iter().zip(0_u32..).filter(|(place, _)| place.first != NONE);
        let mut by_top: Vec<(u32, u32)> = occupied.map(|(place, bus)| (reach.of(place.bus).1, bus)).collect();
        by_top.sort_unstable();
        Self(by_top)
    }

    fn of<'p>(
        &self,
        port: FunctionIndex,
        places: &'p [Place],
    ) -> impl Iterator<Item = &'p Place> + use<'_, 'p> {
        let from = self.0.partition_point(|(top, _)| (*top as usize) < port);
        let below = self.0.get(from..).unwrap_or_default().iter();
        below
            .take_while(move |(top, _)| *top as usize == port)
            .filter_map(|(_, bus)| places.get(*bus as usize))
    }
}

/// Joins each function with those whose requester IDs it can use.
pub(super) fn impersonate(fabric: &Fabric<'_>, assumptions: &Assumptions, proved: bool, joiner: &mut Joiner) {
    let reach = Reach::new(fabric, proved);
    let places = fabric.places();
    // Each scope once: its first source.
    let mut sources: Vec<(Impersonated, u32, bool)> = Vec::new();
    for (bus, place) in places.iter().enumerate().filter(|(_, place)| place.first != NONE) {
        let own = if place.bus as usize == bus { bus } else { place.bus as usize };
        let (impersonated, _, unproven) = reach.of(own as u32);
        if impersonated != Impersonated::Nobody && sources.last().map(|last| last.0) != Some(impersonated) {
            sources.push((impersonated, place.first, unproven));
        }
    }
    let unseen = if proved { Vec::new() } else { unseen(fabric) };
    let mut runs: Vec<Run> = Vec::new();
    let below = ByTop::new(&reach, places, &sources);
    let mut done: BTreeSet<FunctionIndex> = BTreeSet::new();
    for (impersonated, source, unproven) in sources {
        // What is proved has joined before; a scope that is proved has more to join only where something
        // does not answer, which may be no function at all.
        let known = !proved && !unproven;
        let example = |places: &mut dyn Iterator<Item = &Place>, missing: Option<u32>| match (known, missing)
        {
            (false, _) => Some((source, another(fabric, assumptions, source, places)?)),
            (true, None) => None,
            (true, Some(missing)) if may_stand_for(fabric, assumptions, source, missing) => {
                Some((source, missing))
            }
            (true, Some(missing)) => Some((missing, another(fabric, assumptions, missing, places)?)),
        };
        let why = |(from, to): (u32, u32)| Merge {
            held_by: if proved { HeldBy::Impersonation } else { HeldBy::Unproven },
            from: from as usize,
            to: to as usize,
            class: None,
            reason: match (proved, unproven) {
                (true, _) => None,
                (false, true) => Some(Reason::AcsNotCaptured),
                (false, false) => Some(Reason::TypeNotCaptured),
            },
        };
        match impersonated {
            Impersonated::Nobody => {}
            Impersonated::BusesOf(port) => {
                let (start, end) = buses_of(fabric, port);
                let within = places.get(start..end).unwrap_or_default();
                let missing = unseen.get(unseen.partition_point(|(bus, _)| *bus < start));
                let missing = missing.filter(|(bus, _)| *bus < end).map(|(_, function)| *function);
                if let Some(pair) = example(&mut within.iter(), missing) {
                    joiner_join(joiner, pair.0, pair.1, &why(pair));
                    runs.push(Run { start, end, why: why(pair) });
                }
            }
            Impersonated::AnyRequesterId(port) => {
                if !done.insert(port) {
                    continue;
                }
                let is_below = |(bus, _): &&(usize, u32)| {
                    fabric.places().get(*bus).is_some_and(|place| reach.of(place.bus).1 as usize == port)
                };
                let astray = of_numbers(fabric, &reach, below.of(port, places), port);
                let is_astray = |(bus, _): &&(usize, u32)| astray.contains(bus);
                let missing = unseen.iter().find(|found| is_below(found) || is_astray(found));
                let missing = missing.map(|(_, function)| *function);
                let all = || {
                    let astray = astray.iter().filter_map(|bus| places.get(*bus));
                    below.of(port, places).chain(astray.filter(|place| place.first != NONE))
                };
                if let Some(pair) = example(&mut all(), missing) {
                    for place in all() {
                        joiner_join(joiner, source, place.first, &why(pair));
                        join_bus(fabric, place, &why(pair), joiner);
                    }
                }
            }
        }
    }
    join_runs(fabric, &runs, joiner);
}

/// The buses that are not below a port, the topmost of some, and whose numbers are those of a port there with
/// something below it.
fn of_numbers<'p>(
    fabric: &Fabric<'_>,
    reach: &Reach,
    below: impl Iterator<Item = &'p Place>,
    port: FunctionIndex,
) -> BTreeSet<usize> {
    let (mut ports, mut found) = (BTreeSet::new(), BTreeSet::new());
    for place in below {
        for (check, _) in fabric.checks_above(place.first) {
            // Those above have been seen with it.
            if !ports.insert(check) {
                break;
            }
            let (start, end) = buses_of(fabric, check as usize);
            found.extend((start..end).filter(|bus| {
                let place = fabric.places().get(*bus);
                place.is_some_and(|place| reach.of(place.bus).1 as usize != port)
            }));
        }
    }
    found
}

/// The functions that do not answer, by bus.
fn unseen(fabric: &Fabric<'_>) -> Vec<(usize, u32)> {
    let places = fabric.places().iter().enumerate().filter(|(_, place)| place.first != NONE);
    let all = places.flat_map(|(bus, place)| (place.first..=place.last).map(move |function| (bus, function)));
    let is_unseen = |function: u32| fabric.node(function).initiates() && fabric.node(function).is_unseen();
    all.filter(|(_, function)| is_unseen(*function)).collect()
}

/// Whether a function is not trusted to leave the requester ID of another alone.
fn may_stand_for(fabric: &Fabric<'_>, assumptions: &Assumptions, source: u32, other: u32) -> bool {
    let same_device = fabric.node(source).device == fabric.node(other).device;
    source != other && !(assumptions.trust_routing_ids && same_device)
}

/// The buses of a port, as a range of all buses.
fn buses_of(fabric: &Fabric<'_>, port: FunctionIndex) -> (usize, usize) {
    let Some(function) = fabric.topology.function(port) else { return (0, 0) };
    let BusRange { secondary, subordinate } = function.bus_range().unwrap_or_default();
    let buses = fabric.topology.buses();
    let segment = function.address.segment;
    let start = buses.partition_point(|bus| (bus.segment, bus.number) < (segment, secondary));
    let end = buses.partition_point(|bus| (bus.segment, bus.number) <= (segment, subordinate));
    (start, end.max(start))
}

/// Some function on these buses whose requester ID the source is not trusted with.
fn another<'p>(
    fabric: &Fabric<'_>,
    assumptions: &Assumptions,
    source: u32,
    places: impl Iterator<Item = &'p Place>,
) -> Option<u32> {
    let other = |function: &u32| may_stand_for(fabric, assumptions, source, *function);
    places.filter(|place| place.first != NONE).find_map(|place| {
        let ends = [place.first, place.last].into_iter().find(&other);
        // The first and the last may be of one device, with others between.
        ends.or_else(|| {
            (place.several.then_some(place.first..=place.last))
                .and_then(|mut all| all.find(|f| fabric.node(*f).initiates() && other(f)))
        })
    })
}

/// Joins all initiators of one bus.
fn join_bus(fabric: &Fabric<'_>, place: &Place, why: &Merge, joiner: &mut Joiner) {
    for function in place.first..=place.last {
        if fabric.node(function).initiates() {
            joiner_join(joiner, place.first, function, why);
        }
    }
}

/// Joins the initiators of each run of buses in one sweep. Runs that overlap hold together what they cover
/// only where an initiator stands on a bus of both: two neighbours among the buses with initiators belong
/// together if one run covers both.
fn join_runs(fabric: &Fabric<'_>, runs: &[Run], joiner: &mut Joiner) {
    let places = fabric.places();
    let occupied: Vec<usize> =
        (0..places.len()).filter(|bus| places.get(*bus).is_some_and(|place| place.first != NONE)).collect();
    let position = |bus: usize| occupied.partition_point(|other| *other < bus);
    let mut spans: Vec<(usize, usize, Merge)> =
        runs.iter().map(|run| (position(run.start), position(run.end), run.why)).collect();
    spans.sort_unstable_by_key(|(start, end, _)| (*start, core::cmp::Reverse(*end)));
    let mut next = spans.into_iter().peekable();
    let mut furthest: Option<(usize, Merge)> = None;
    for (at, bus) in occupied.iter().enumerate() {
        while let Some((_, end, why)) = next.next_if(|(start, ..)| *start <= at) {
            if furthest.is_none_or(|(reached, _)| end > reached) {
                furthest = Some((end, why));
            }
        }
        let Some((_, why)) = furthest.filter(|(end, _)| *end > at) else { continue };
        let Some(place) = places.get(*bus) else { continue };
        join_bus(fabric, place, &why, joiner);
        let after = at.saturating_add(1);
        let neighbour = occupied.get(after).filter(|_| furthest.is_some_and(|(end, _)| end > after));
        if let Some(other) = neighbour.and_then(|bus| places.get(*bus)) {
            joiner_join(joiner, place.first, other.first, &why);
        }
    }
}

fn joiner_join(joiner: &mut Joiner, a: u32, b: u32, why: &Merge) {
    if joiner.join(a, b) {
        joiner.note(why);
    }
}
