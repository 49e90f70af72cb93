//! Letting functions reach each other directly.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::bench::{Bench, Changes, Controls};
use super::{Obstacle, Obstruction, Outcome, Plan};
use crate::anomaly::Presence;
use crate::cap::acs::AcsControl;
use crate::db::Database;
use crate::route::effect::{Effect, effects};
use crate::route::fabric::Fabric;
use crate::route::port::{Acs, Role, TlpClass};
use crate::route::trace::{Hop, Rule};
use crate::route::{Assumptions, Disposition, Reason};
use crate::topology::{FunctionIndex, Topology};

/// Most ways that are tried before the ways of each port are chosen one by one.
const TRIED: usize = 2048;

/// The smallest plan after which each of these pairs reaches each other directly, both ways: memory
/// requests, untranslated or (where both have ATS) translated, and completions. Whether windows and enables
/// let traffic through as configured is another question: see the gates of a route.
#[must_use]
pub fn connect(
    topology: &Topology,
    database: &Database,
    assumptions: &Assumptions,
    pairs: &[(FunctionIndex, FunctionIndex)],
) -> Outcome {
    let mut bench = Bench::new(topology, database, assumptions);
    if bench.ask(&Changes::new(), |fabric| reached(fabric, pairs)) {
        return Outcome::Reached(Plan { writes: Vec::new(), proved_smallest: true });
    }
    let mut obstacles = Vec::new();
    let mut best: Option<(Cost, Changes, bool)> = None;
    let translated = pairs.iter().all(|(a, b)| has_ats(topology, *a) && has_ats(topology, *b));
    let requests: &[TlpClass] = match translated {
        true => &[TlpClass::MemoryUntranslated, TlpClass::MemoryTranslated],
        false => &[TlpClass::MemoryUntranslated],
    };
    for request in requests {
        let needs = match needs(&bench, pairs, *request) {
            Ok(needs) => needs,
            Err(found) => {
                obstacles.extend(found);
                continue;
            }
        };
        let fabric = Fabric::new(topology, database);
        let mut ways: Vec<(FunctionIndex, Vec<Controls>)> = Vec::new();
        let mut closed = None;
        for (function, need) in &needs {
            let Some(controls) = bench.writable(&fabric, *function) else {
                closed = Some(*function);
                break;
            };
            ways.push((*function, need.ways(controls, *request)));
        }
        if let Some(at) = closed {
            obstacles.extend(pairs.first().map(|(from, to)| Obstacle {
                from: *from,
                to: *to,
                tlp: Some(*request),
                at: Some(at),
                disposition: fabric.disposition(*from, *to, *request, assumptions).0,
                why: Obstruction::Route(fabric.disposition(*from, *to, *request, assumptions).1),
            }));
            continue;
        }
        let (found, exhaustive) = cheapest(&mut bench, &ways, pairs);
        if found.is_none() {
            obstacles.extend(remaining(&mut bench, &ways, pairs, *request));
        }
        if let Some((cost, changes)) = found {
            if best.as_ref().is_none_or(|(known, ..)| cost < *known) {
                best = Some((cost, changes, exhaustive));
            }
        }
    }
    match best {
        // Several pairs could be served each in its own way.
        Some((_, changes, exhaustive)) => {
            let proved = exhaustive && (pairs.len() == 1 || requests.len() == 1);
            Outcome::Reached(bench.plan(&changes, proved))
        }
        None => Outcome::Impossible(obstacles),
    }
}

fn has_ats(topology: &Topology, index: FunctionIndex) -> bool {
    topology.function(index).is_some_and(|function| matches!(function.ats, Presence::Present(_)))
}

/// Whether each pair reaches each other directly.
fn reached(fabric: &Fabric<'_>, pairs: &[(FunctionIndex, FunctionIndex)]) -> bool {
    let assumptions = Assumptions::default();
    let both = |a, b, tlp| {
        [(a, b), (b, a)]
            .iter()
            .all(|(s, t)| fabric.disposition(*s, *t, tlp, &assumptions).0 == Disposition::Direct)
    };
    pairs.iter().all(|(a, b)| {
        let ats = has_ats(fabric.topology(), *a) && has_ats(fabric.topology(), *b);
        both(*a, *b, TlpClass::Completion)
            && (both(*a, *b, TlpClass::MemoryUntranslated)
                || (ats && both(*a, *b, TlpClass::MemoryTranslated)))
    })
}

/// What must be let through at one function.
#[derive(Clone, Debug, Default)]
struct Need {
    /// Requests to peers with these indices of the egress control vector; `None` where an index is not
    /// known.
    requests: BTreeSet<Option<u8>>,
    /// Completions to peers.
    completions: bool,
    /// Translated requests that only pass.
    passing: bool,
    /// Indices of all peers, which are to stay controlled.
    peers: BTreeSet<u8>,
}

/// Where the pairs' transactions are turned away, and what must be let through there.
fn needs(
    bench: &Bench<'_>,
    pairs: &[(FunctionIndex, FunctionIndex)],
    request: TlpClass,
) -> Result<BTreeMap<FunctionIndex, Need>, Vec<Obstacle>> {
    let fabric = Fabric::new(bench.topology(), bench.database);
    let assumptions = Assumptions { hostile: true, ..bench.assumptions };
    let mut needs: BTreeMap<FunctionIndex, Need> = BTreeMap::new();
    let mut obstacles = Vec::new();
    for (a, b) in pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]) {
        for tlp in [request, TlpClass::Completion] {
            let route = fabric.trace(a, b, tlp, &assumptions);
            if route.disposition == Disposition::Direct {
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
                    needs.entry(entry.function).or_default().passing = true;
                    // What it would meet further up is what an untranslated request meets.
                    let further = fabric.trace(a, b, TlpClass::MemoryUntranslated, &assumptions);
                    let turn = further.hops.iter().find(decides).filter(inside);
                    let egress = further.divergence.map(|divergence| divergence.egress);
                    match (turn, egress) {
                        (Some(hop), Some(egress)) => need(&fabric, &mut needs, hop, egress, b, tlp),
                        _ => obstacles.push(obstacle(a, b, tlp, &further)),
                    }
                    let blocks = |hop: &&Hop| match fabric.acs(hop.function) {
                        Acs::Present(acs) => acs.enabled().contains(AcsControl::TRANSLATION_BLOCKING),
                        Acs::Absent | Acs::Unknown(_) => false,
                    };
                    for hop in further.hops.iter().filter(blocks) {
                        needs.entry(hop.function).or_default().passing = true;
                    }
                }
                (None, Some(hop), Some(divergence)) => {
                    need(&fabric, &mut needs, hop, divergence.egress, b, tlp);
                }
                _ => obstacles.push(obstacle(a, b, tlp, &route)),
            }
        }
    }
    if obstacles.is_empty() { Ok(needs) } else { Err(obstacles) }
}

/// What is not direct even where everything is let through that can be.
fn remaining(
    bench: &mut Bench<'_>,
    ways: &[(FunctionIndex, Vec<Controls>)],
    pairs: &[(FunctionIndex, FunctionIndex)],
    request: TlpClass,
) -> Vec<Obstacle> {
    let widest = ways.iter().filter_map(|(function, ways)| Some((*function, ways.last()?.registers)));
    let changes: Changes = widest.collect();
    let assumptions = bench.assumptions;
    bench.ask(&changes, |fabric| {
        let mut found = Vec::new();
        for (a, b) in pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]) {
            for tlp in [request, TlpClass::Completion] {
                let route = fabric.trace(a, b, tlp, &assumptions);
                if route.disposition != Disposition::Direct {
                    found.push(obstacle(a, b, tlp, &route));
                }
            }
        }
        found
    })
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
    need.requests.insert(fabric.peer_index(peer as u32, role));
    let topology = fabric.topology();
    let Some(bus) = topology.bus_of(hop.function) else { return };
    let peers = topology.on_bus(bus).filter(|peer| *peer != hop.function);
    need.peers.extend(peers.filter_map(|peer| fabric.peer_index(peer as u32, role)));
}

impl Need {
    /// The ways in which a function's registers can let it through, from the one that opens least.
    fn ways(&self, controls: Controls, request: TlpClass) -> Vec<Controls> {
        let mut base = controls;
        if self.completions {
            base.put(AcsControl::COMPLETION_REDIRECT, false);
        }
        let blocking = AcsControl::TRANSLATION_BLOCKING;
        let lets_through = self.passing || !self.requests.is_empty();
        if request == TlpClass::MemoryTranslated && lets_through && base.is_on(blocking) {
            base.put(blocking, false);
        }
        if self.requests.is_empty() {
            return Vec::from([base]);
        }
        let mut ways = Vec::new();
        let direct = AcsControl::DIRECT_TRANSLATED;
        if request == TlpClass::MemoryTranslated && controls.offers(direct) {
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

/// The cheapest choice of one way for each function that reaches the goal, and whether all were tried.
fn cheapest(
    bench: &mut Bench<'_>,
    ways: &[(FunctionIndex, Vec<Controls>)],
    pairs: &[(FunctionIndex, FunctionIndex)],
) -> (Option<(Cost, Changes)>, bool) {
    let count = ways.iter().try_fold(1_usize, |count, (_, ways)| count.checked_mul(ways.len()));
    let mut best: Option<(Cost, Changes)> = None;
    let mut consider = |bench: &mut Bench<'_>, choice: &[usize]| {
        let chosen = ways.iter().zip(choice);
        let changes: Changes =
            chosen.filter_map(|((function, ways), n)| Some((*function, ways.get(*n)?.registers))).collect();
        if let Some(cost) = cost(bench, &changes, pairs) {
            if best.as_ref().is_none_or(|(known, _)| cost < *known) {
                best = Some((cost, changes));
                return true;
            }
        }
        false
    };
    let exhaustive = count.is_some_and(|count| count <= TRIED);
    let mut choice = alloc::vec![0; ways.len()];
    if exhaustive {
        for number in 0..count.unwrap_or_default() {
            let mut rest = number;
            for (slot, (_, ways)) in choice.iter_mut().zip(ways) {
                *slot = rest.checked_rem(ways.len()).unwrap_or_default();
                rest = rest.checked_div(ways.len()).unwrap_or_default();
            }
            consider(bench, &choice);
        }
    } else {
        consider(bench, &choice);
        for (n, (_, ways)) in ways.iter().enumerate() {
            for way in 1..ways.len() {
                let before = choice.get(n).copied().unwrap_or_default();
                if let Some(slot) = choice.get_mut(n) {
                    *slot = way;
                }
                if !consider(bench, &choice) {
                    if let Some(slot) = choice.get_mut(n) {
                        *slot = before;
                    }
                }
            }
        }
    }
    (best, exhaustive)
}

/// What these changes cost; `None` if they do not reach the goal.
fn cost(bench: &mut Bench<'_>, changes: &Changes, pairs: &[(FunctionIndex, FunctionIndex)]) -> Option<Cost> {
    let plan = bench.plan(changes, false);
    let kept = AcsControl::SOURCE_VALIDATION.union(AcsControl::TRANSLATION_BLOCKING);
    let control = plan.writes.iter().filter(|write| !matches!(write.register, super::Register::Vector(_)));
    let lost = control.fold(0_u32, |lost, write| {
        lost.saturating_add((write.old & !write.new & u32::from(kept.bits())).count_ones())
    });
    let before = bench.topology().clone();
    let (database, assumptions) = (bench.database, bench.assumptions);
    let opened = bench.ask(changes, |after| {
        if !reached(after, pairs) {
            return None;
        }
        let fabric = Fabric::new(&before, database);
        let places: Vec<Option<FunctionIndex>> = (0..before.functions().len()).map(Some).collect();
        let found = effects(&fabric, after, &places, &assumptions).unwrap_or_default();
        Some(found.iter().map(opens).sum())
    })?;
    Some((lost, plan.functions().len(), opened, plan.bits()))
}

/// How many answers an effect opens.
fn opens(effect: &Effect) -> u64 {
    let turns = effect.turns.iter().filter(|turn| turn.opens()).count();
    effect.pairs.saturating_mul(turns as u64)
}
