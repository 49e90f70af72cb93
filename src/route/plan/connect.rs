//! Letting functions reach each other directly.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::bench::{Bench, Changes, Controls};
use super::{Obstacle, Obstruction, Outcome, Plan};
use crate::anomaly::Presence;
use crate::cap::acs::AcsControl;
use crate::db::Database;
use crate::function::AcsRegisters;
use crate::route::effect::{Effect, effects};
use crate::route::fabric::Fabric;
use crate::route::overlay::{control_of, set_control};
use crate::route::port::{Acs, Role, TlpClass};
use crate::route::trace::{Hop, Rule};
use crate::route::{Assumptions, Disposition, Reason};
use crate::topology::{FunctionIndex, Topology};

/// Two functions.
type Pair = (FunctionIndex, FunctionIndex);

/// Most ways that are tried before the ways of each port are chosen one by one.
const TRIED: usize = 2048;

/// The smallest plan after which each of these pairs reaches each other directly, both ways: memory
/// requests, untranslated or (where both have ATS) translated, and completions, unless the function is a
/// conventional one, which has none of its own. Whether windows and enables let traffic through as
/// configured is another question: see the gates of a route.
#[must_use]
pub fn connect(
    topology: &Topology,
    database: &Database,
    assumptions: &Assumptions,
    pairs: &[Pair],
) -> Outcome {
    let before = Fabric::new(topology, database);
    let mut bench = Bench::new(topology, database, assumptions);
    if reached(&before, pairs) {
        return Outcome::Reached(Plan { writes: Vec::new(), proved_smallest: true });
    }
    let mut search = Search { bench: &mut bench, before: &before, pairs, best: None, exhaustive: true };
    let obstacles = search.each_choice();
    let (best, exhaustive) = (search.best, search.exhaustive);
    match best {
        Some((_, changes)) => Outcome::Reached(bench.plan(&changes, exhaustive)),
        None => Outcome::Impossible(obstacles),
    }
}

/// Those of these pairs that some plan connects, and what stands in the way of the others. Opening more
/// never closes anything, so that all are asked about at once.
#[must_use]
pub fn connectable(
    topology: &Topology,
    database: &Database,
    assumptions: &Assumptions,
    pairs: &[Pair],
) -> (Vec<Pair>, Vec<Obstacle>) {
    let fabric = Fabric::new(topology, database);
    let mut bench = Bench::new(topology, database, assumptions);
    let mut widest = Changes::new();
    let mut obstacles: BTreeMap<Pair, Vec<Obstacle>> = BTreeMap::new();
    for pair in pairs {
        for request in requests(topology, *pair) {
            let ways = needs(&bench, &fabric, &[(*pair, *request)]);
            match ways.and_then(|needs| ways_of(&bench, &fabric, &needs, &[(*pair, *request)])) {
                Ok(ways) => {
                    for (function, ways) in ways {
                        let Some(way) = ways.last() else { continue };
                        // What another pair opened there stays open.
                        let open = widest.get(&function).copied().unwrap_or(way.registers);
                        widest.insert(function, opened_by_both(open, way));
                    }
                }
                Err(found) => obstacles.entry(*pair).or_default().extend(found),
            }
        }
    }
    let assumptions = bench.assumptions;
    bench.ask(&widest, |after| {
        let mut found = Vec::new();
        let (open, shut): (Vec<Pair>, Vec<Pair>) =
            pairs.iter().copied().partition(|pair| reached(after, &[*pair]));
        for pair in shut {
            match obstacles.remove(&pair).filter(|known| !known.is_empty()) {
                Some(known) => found.extend(known),
                None => found.extend(
                    requests(topology, pair)
                        .iter()
                        .flat_map(|request| remaining(after, &[(pair, *request)], &assumptions)),
                ),
            }
        }
        (open, found)
    })
}

/// A function's registers with everything open that either opens: redirects off, and what lets through on.
fn opened_by_both(open: AcsRegisters, way: &Controls) -> AcsRegisters {
    let (one, other) = (control_of(&open, way.wide), control_of(&way.registers, way.wide));
    let mut both = open;
    if let (Some(one), Some(other)) = (one, other) {
        let on = AcsControl::DIRECT_TRANSLATED;
        set_control(&mut both, way.wide, (one & other) | ((one | other) & on));
    }
    both
}

/// Classes of requests by which a pair can be connected.
fn requests(topology: &Topology, (a, b): Pair) -> &'static [TlpClass] {
    match has_ats(topology, a) && has_ats(topology, b) {
        true => &[TlpClass::MemoryUntranslated, TlpClass::MemoryTranslated],
        false => &[TlpClass::MemoryUntranslated],
    }
}

/// A pair, and the class of requests by which it is to be connected.
type Wanted = (Pair, TlpClass);

struct Search<'s, 'a> {
    bench: &'s mut Bench<'a>,
    before: &'s Fabric<'s>,
    pairs: &'s [Pair],
    best: Option<(Cost, Changes)>,
    /// Whether everything was tried so far.
    exhaustive: bool,
}

/// Most pairs with ATS for which every choice of classes is tried.
const CHOSEN_FREELY: usize = 4;

impl Search<'_, '_> {
    /// Tries choices of a class for each pair; what stands in the way of those that fail.
    fn each_choice(&mut self) -> Vec<Obstacle> {
        let topology = self.before.topology();
        let free: Vec<usize> = (0..self.pairs.len())
            .filter(|n| self.pairs.get(*n).is_some_and(|pair| requests(topology, *pair).len() > 1))
            .collect();
        let mut wanted: Vec<Wanted> =
            self.pairs.iter().map(|pair| (*pair, TlpClass::MemoryUntranslated)).collect();
        let mut obstacles = self.by(&wanted);
        let choose = |wanted: &mut Vec<Wanted>, n: usize, translated: bool| {
            if let Some((_, class)) = wanted.get_mut(n) {
                *class = if translated { TlpClass::MemoryTranslated } else { TlpClass::MemoryUntranslated };
            }
        };
        if free.len() <= CHOSEN_FREELY {
            for number in 1..1_u32.wrapping_shl(free.len() as u32) {
                for (bit, n) in free.iter().enumerate() {
                    choose(&mut wanted, *n, number.wrapping_shr(bit as u32) & 1 != 0);
                }
                obstacles.extend(self.by(&wanted));
            }
            return obstacles;
        }
        // All of them, then one by one back where that is better.
        free.iter().for_each(|n| choose(&mut wanted, *n, true));
        obstacles.extend(self.by(&wanted));
        self.exhaustive = false;
        for n in free {
            if !self.bench.has_time(1) {
                break;
            }
            let cost = self.best.as_ref().map(|(cost, _)| *cost);
            choose(&mut wanted, n, false);
            self.by(&wanted);
            if self.best.as_ref().map(|(cost, _)| *cost) == cost {
                choose(&mut wanted, n, true);
            }
        }
        obstacles
    }

    /// Looks for the cheapest plan with this choice; what stands in its way if there is none.
    fn by(&mut self, wanted: &[Wanted]) -> Vec<Obstacle> {
        let found = needs(self.bench, self.before, wanted);
        let found = found.and_then(|needs| ways_of(self.bench, self.before, &needs, wanted));
        let ways = match found {
            Ok(ways) => ways,
            Err(obstacles) => return obstacles,
        };
        let (reached, exhaustive) = self.cheapest(&ways);
        self.exhaustive &= exhaustive;
        if reached {
            return Vec::new();
        }
        let widest = ways.iter().filter_map(|(function, ways)| Some((*function, ways.last()?.registers)));
        let changes: Changes = widest.collect();
        let assumptions = self.bench.assumptions;
        self.bench.ask(&changes, |after| remaining(after, wanted, &assumptions))
    }

    /// Tries one way for each function; whether any choice reaches the goal, and whether all were tried.
    fn cheapest(&mut self, ways: &Ways) -> (bool, bool) {
        let count = ways.iter().try_fold(1_usize, |count, (_, ways)| count.checked_mul(ways.len()));
        let mut choice = alloc::vec![0; ways.len()];
        let mut reached = false;
        if let Some(count) = count.filter(|count| *count <= TRIED) {
            for number in 0..count {
                if reached && !self.bench.has_time(1) {
                    return (reached, false);
                }
                let mut rest = number;
                for (slot, (_, ways)) in choice.iter_mut().zip(ways) {
                    *slot = rest.checked_rem(ways.len()).unwrap_or_default();
                    rest = rest.checked_div(ways.len()).unwrap_or_default();
                }
                reached |= self.consider(ways, &choice) != Considered::Fails;
            }
            return (reached, true);
        }
        // The widest way everywhere reaches the goal if any does; then narrower ones, function by function.
        for (slot, (_, ways)) in choice.iter_mut().zip(ways) {
            *slot = ways.len().saturating_sub(1);
        }
        reached |= self.consider(ways, &choice) != Considered::Fails;
        for (n, (_, ways_here)) in ways.iter().enumerate() {
            for way in 0..ways_here.len().saturating_sub(1) {
                if !self.bench.has_time(1) {
                    return (reached, false);
                }
                let before = choice.get(n).copied().unwrap_or_default();
                choice.get_mut(n).into_iter().for_each(|slot| *slot = way);
                let found = self.consider(ways, &choice);
                reached |= found != Considered::Fails;
                if found != Considered::Best {
                    choice.get_mut(n).into_iter().for_each(|slot| *slot = before);
                }
            }
        }
        (reached, false)
    }

    /// Keeps a choice if it is the cheapest so far.
    fn consider(&mut self, ways: &Ways, choice: &[usize]) -> Considered {
        let chosen = ways.iter().zip(choice);
        let changes: Changes =
            chosen.filter_map(|((function, ways), n)| Some((*function, ways.get(*n)?.registers))).collect();
        let best = self.best.as_ref().map(|(cost, _)| *cost);
        match self.cost(&changes, best) {
            None => Considered::Fails,
            Some(cost) if best.is_none_or(|best| cost < best) => {
                self.best = Some((cost, changes));
                Considered::Best
            }
            Some(_) => Considered::Reaches,
        }
    }

    /// What these changes cost; `None` if they do not reach the goal. Where the first parts are more than
    /// the best has, the others are not worked out.
    fn cost(&mut self, changes: &Changes, best: Option<Cost>) -> Option<Cost> {
        let plan = self.bench.plan(changes, false);
        let kept = AcsControl::SOURCE_VALIDATION.union(AcsControl::TRANSLATION_BLOCKING);
        let control =
            plan.writes.iter().filter(|write| !matches!(write.register, super::Register::Vector(_)));
        let lost = control.fold(0_u32, |lost, write| {
            lost.saturating_add((write.old & !write.new & u32::from(kept.bits())).count_ones())
        });
        let functions = plan.functions().len();
        let dearer = best.is_some_and(|best| (best.0, best.1) < (lost, functions));
        let (before, pairs, assumptions) = (self.before, self.pairs, self.bench.assumptions);
        let opened = self.bench.ask(changes, |after| {
            if !reached(after, pairs) {
                return None;
            }
            if dearer {
                return Some(u64::MAX);
            }
            let places: Vec<Option<FunctionIndex>> =
                (0..before.topology().functions().len()).map(Some).collect();
            let found = effects(before, after, &places, &assumptions).unwrap_or_default();
            Some(found.iter().map(opens).sum())
        })?;
        Some((lost, functions, opened, plan.bits()))
    }
}

/// What a choice comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Considered {
    /// It does not reach the goal.
    Fails,
    /// It does, as others do.
    Reaches,
    /// It is the cheapest so far.
    Best,
}

/// For each function, the ways in which its registers let everything through.
type Ways = Vec<(FunctionIndex, Vec<Controls>)>;

/// The ways of each function that has to change.
fn ways_of(
    bench: &Bench<'_>,
    fabric: &Fabric<'_>,
    needs: &BTreeMap<FunctionIndex, Need>,
    wanted: &[Wanted],
) -> Result<Ways, Vec<Obstacle>> {
    let mut ways = Ways::new();
    for (function, need) in needs {
        let Some(controls) = bench.writable(fabric, *function) else {
            let obstacle = wanted.first().map(|((from, to), request)| {
                let (disposition, reason) = fabric.disposition(*from, *to, *request, &bench.assumptions);
                let why = Obstruction::Route(reason);
                Obstacle { from: *from, to: *to, tlp: Some(*request), at: Some(*function), disposition, why }
            });
            return Err(obstacle.into_iter().collect());
        };
        ways.push((*function, need.ways(controls)));
    }
    Ok(ways)
}

fn has_ats(topology: &Topology, index: FunctionIndex) -> bool {
    topology.function(index).is_some_and(|function| matches!(function.ats, Presence::Present(_)))
}

/// Whether each pair reaches each other directly.
fn reached(fabric: &Fabric<'_>, pairs: &[Pair]) -> bool {
    let assumptions = Assumptions::default();
    let both = |a, b, tlp| {
        [(a, b), (b, a)].iter().all(|(s, t)| is_open(tlp, fabric.disposition(*s, *t, tlp, &assumptions)))
    };
    pairs.iter().all(|(a, b)| {
        let ats = has_ats(fabric.topology(), *a) && has_ats(fabric.topology(), *b);
        both(*a, *b, TlpClass::Completion)
            && (both(*a, *b, TlpClass::MemoryUntranslated)
                || (ats && both(*a, *b, TlpClass::MemoryTranslated)))
    })
}

/// Whether an answer is what a connection asks for. What a conventional function reads or is asked for, the
/// bus or the bridge above it completes: it has no completions that could be turned away.
fn is_open(tlp: TlpClass, (disposition, reason): (Disposition, Reason)) -> bool {
    disposition == Disposition::Direct || (tlp.is_completion() && reason == Reason::ClassNotEmitted)
}

/// What must be let through at one function.
#[derive(Clone, Debug, Default)]
struct Need {
    /// Requests to peers with these indices of the egress control vector; `None` where an index is not
    /// known.
    requests: BTreeSet<Option<u8>>,
    /// Whether all of those are translated.
    translated_only: bool,
    /// Completions to peers.
    completions: bool,
    /// Translated requests that pass, or turn here.
    translated: bool,
    /// Indices of all peers, which are to stay controlled.
    peers: BTreeSet<u8>,
}

/// Where the pairs' transactions are turned away, and what must be let through there.
fn needs(
    bench: &Bench<'_>,
    fabric: &Fabric<'_>,
    wanted: &[Wanted],
) -> Result<BTreeMap<FunctionIndex, Need>, Vec<Obstacle>> {
    let assumptions = Assumptions { hostile: true, ..bench.assumptions };
    let mut needs: BTreeMap<FunctionIndex, Need> = BTreeMap::new();
    let mut obstacles = Vec::new();
    let both = wanted.iter().flat_map(|((a, b), request)| [(*a, *b, *request), (*b, *a, *request)]);
    for (a, b, request) in both {
        for tlp in [request, TlpClass::Completion] {
            let route = fabric.trace(a, b, tlp, &assumptions);
            if is_open(tlp, (route.disposition, route.reason)) {
                continue;
            }
            let decides = |hop: &&Hop| hop.decision.reason().is_some();
            let turn = route.hops.iter().find(decides);
            let is_entry = |hop: &&Hop| {
                hop.rule == Rule::Entering && hop.decision.reason() == Some(Reason::TranslationBlocking)
            };
            let inside = |hop: &&Hop| matches!(hop.rule, Rule::Device | Rule::UpstreamPort | Rule::Switch);
            match (turn.filter(is_entry), turn.filter(inside), route.divergence) {
                (Some(entry), ..) => {
                    needs.entry(entry.function).or_default().translated = true;
                    // What it would meet further up is what an untranslated request meets.
                    let further = fabric.trace(a, b, TlpClass::MemoryUntranslated, &assumptions);
                    let turn = further.hops.iter().find(decides).filter(inside);
                    let egress = further.divergence.map(|divergence| divergence.egress);
                    match (turn, egress) {
                        (Some(hop), Some(egress)) => need(fabric, &mut needs, hop, egress, b, tlp),
                        _ => obstacles.push(obstacle(a, b, tlp, &further)),
                    }
                    let blocks = |hop: &&Hop| match fabric.acs(hop.function) {
                        Acs::Present(acs) => acs.enabled().contains(AcsControl::TRANSLATION_BLOCKING),
                        Acs::Absent | Acs::Unknown(_) => false,
                    };
                    for hop in further.hops.iter().filter(blocks) {
                        needs.entry(hop.function).or_default().translated = true;
                    }
                }
                (None, Some(hop), Some(divergence)) => {
                    need(fabric, &mut needs, hop, divergence.egress, b, tlp);
                }
                _ => obstacles.push(obstacle(a, b, tlp, &route)),
            }
        }
    }
    if obstacles.is_empty() { Ok(needs) } else { Err(obstacles) }
}

/// What is not direct even where everything is let through that can be.
fn remaining(after: &Fabric<'_>, wanted: &[Wanted], assumptions: &Assumptions) -> Vec<Obstacle> {
    let mut found = Vec::new();
    let both = wanted.iter().flat_map(|((a, b), request)| [(*a, *b, *request), (*b, *a, *request)]);
    for (a, b, request) in both {
        for tlp in [request, TlpClass::Completion] {
            let route = after.trace(a, b, tlp, assumptions);
            if !is_open(tlp, (route.disposition, route.reason)) {
                found.push(obstacle(a, b, tlp, &route));
            }
        }
    }
    found
}

fn obstacle(
    from: FunctionIndex,
    to: FunctionIndex,
    tlp: TlpClass,
    route: &crate::route::trace::Route,
) -> Obstacle {
    let at = route.hops.iter().find(|hop| hop.decision.reason().is_some()).map(|hop| hop.function);
    Obstacle {
        from,
        to,
        tlp: Some(tlp),
        at,
        disposition: route.disposition,
        why: Obstruction::Route(route.reason),
    }
}

/// Notes what must be let through at the function that turns a transaction.
fn need(
    fabric: &Fabric<'_>,
    needs: &mut BTreeMap<FunctionIndex, Need>,
    hop: &Hop,
    egress: FunctionIndex,
    to: FunctionIndex,
    tlp: TlpClass,
) {
    let role = if hop.rule == Rule::Switch { Role::SwitchDownstreamPort } else { Role::Function };
    // Between a multi-function upstream port and its siblings the port decides, either way.
    let peer = if hop.function == egress { to } else { egress };
    let need = needs.entry(hop.function).or_default();
    if tlp.is_completion() {
        need.completions = true;
        return;
    }
    let translated = tlp == TlpClass::MemoryTranslated;
    need.translated_only = translated && (need.translated_only || need.requests.is_empty());
    need.translated |= translated;
    need.requests.insert(fabric.peer_index(peer as u32, role));
    let topology = fabric.topology();
    let Some(bus) = topology.bus_of(hop.function) else { return };
    let peers = topology.on_bus(bus).filter(|peer| *peer != hop.function);
    need.peers.extend(peers.filter_map(|peer| fabric.peer_index(peer as u32, role)));
}

impl Need {
    /// The ways in which a function's registers can let it through, from the one that opens least.
    fn ways(&self, controls: Controls) -> Vec<Controls> {
        let mut base = controls;
        if self.completions {
            base.put(AcsControl::COMPLETION_REDIRECT, false);
        }
        let blocking = AcsControl::TRANSLATION_BLOCKING;
        if self.translated && base.is_on(blocking) {
            base.put(blocking, false);
        }
        if self.requests.is_empty() {
            return Vec::from([base]);
        }
        let mut ways = Vec::new();
        let direct = AcsControl::DIRECT_TRANSLATED;
        if self.translated_only && controls.offers(direct) {
            let mut way = base;
            way.put(direct, true);
            ways.push(way);
        }
        ways.extend(self.by_vector(base));
        let mut way = base;
        way.put(AcsControl::REQUEST_REDIRECT, false);
        if way.is_on(AcsControl::EGRESS_CONTROL) {
            way.put(AcsControl::EGRESS_CONTROL, false);
        }
        ways.push(way);
        ways
    }

    /// By the egress control vector: the peers asked for are uncontrolled, and if it was not in use, all
    /// others are controlled.
    fn by_vector(&self, base: Controls) -> Option<Controls> {
        let control = AcsControl::EGRESS_CONTROL;
        let indices: Option<BTreeSet<u8>> = self.requests.iter().copied().collect();
        let indices = indices.filter(|_| base.offers(control))?;
        let mut way = base;
        for index in self.peers.union(&indices) {
            let set = base.vector_bit(*index);
            match (indices.contains(index), base.is_on(control)) {
                (true, _) => {
                    set?;
                    way.put_vector(*index, false);
                }
                // A peer past the end of the vector cannot be controlled.
                (false, false) => {
                    set?;
                    way.put_vector(*index, true);
                }
                (false, true) => {}
            }
        }
        way.put(control, true);
        Some(way)
    }
}

/// What a plan costs, the first difference deciding: Source Validation and Translation Blocking that go
/// off, functions, other answers that open, bits.
type Cost = (u32, usize, u64, u32);

/// How many answers an effect opens.
fn opens(effect: &Effect) -> u64 {
    let turns = effect.turns.iter().filter(|turn| turn.opens()).count();
    effect.pairs.saturating_mul(turns as u64)
}
