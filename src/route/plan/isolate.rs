//! Keeping functions apart from all others.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::bench::{Bench, Changes, Controls};
use super::{Measure, Obstacle, Obstruction, Outcome, Plan};
use crate::cap::acs::AcsControl;
use crate::db::Database;
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::route::port::{Role, TlpClass};
use crate::route::trace::Rule;
use crate::route::{Assumptions, Disposition};
use crate::topology::{FunctionIndex, Parent, Topology};

/// One bit that can be changed, and only ever isolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Action {
    function: FunctionIndex,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A control on.
    On(u16),
    /// A control off: one that lets something through.
    Off(u16),
    /// A bit of the egress control vector set.
    Vector(u8),
}

/// Obstacles that are told at most.
const OBSTACLES: usize = 16;

/// The smallest plan after which no function but these shares an isolation domain, or a group of Linux,
/// with any of them. They may share one with each other.
#[must_use]
pub fn isolate(
    topology: &Topology,
    database: &Database,
    assumptions: &Assumptions,
    measure: Measure,
    functions: &[FunctionIndex],
) -> Outcome {
    let named: BTreeSet<FunctionIndex> = functions.iter().copied().collect();
    let mut search = Search {
        bench: Bench::new(topology, database, assumptions),
        named,
        controls: BTreeMap::new(),
        measure,
    };
    if search.reached(&[]) {
        return Outcome::Reached(Plan { writes: Vec::new(), proved_smallest: true });
    }
    let all = search.actions();
    // Where egress control alone blocks, Request Redirect would turn the block into a redirect.
    let without: Vec<Action> =
        all.iter().filter(|action| !search.redirects_under_egress_control(action)).copied().collect();
    for actions in [&all, &without] {
        if search.reached(actions) {
            let (found, proved) = search.smallest(actions);
            let changes = search.changes(&found);
            return Outcome::Reached(search.bench.plan(&changes, proved && actions.len() == all.len()));
        }
    }
    Outcome::Impossible(search.obstacles(&all))
}

struct Search<'a> {
    bench: Bench<'a>,
    named: BTreeSet<FunctionIndex>,
    /// Registers of the functions that actions are about.
    controls: BTreeMap<FunctionIndex, Controls>,
    measure: Measure,
}

impl Search<'_> {
    /// Whether these changes reach the goal.
    fn reached(&mut self, actions: &[Action]) -> bool {
        let changes = self.changes(actions);
        let (named, assumptions, measure) = (&self.named, self.bench.assumptions, self.measure);
        self.bench.ask(&changes, |fabric| others(fabric, named, measure, &assumptions).is_empty())
    }

    fn changes(&self, actions: &[Action]) -> Changes {
        let mut changed: BTreeMap<FunctionIndex, Controls> = BTreeMap::new();
        for action in actions {
            let known = changed.get(&action.function).or_else(|| self.controls.get(&action.function));
            let Some(mut controls) = known.copied() else { continue };
            match action.kind {
                Kind::On(bit) => controls.put(AcsControl::from_bits_retain(bit), true),
                Kind::Off(bit) => controls.put(AcsControl::from_bits_retain(bit), false),
                Kind::Vector(index) => controls.put_vector(index, true),
            }
            changed.insert(action.function, controls);
        }
        changed.into_iter().map(|(function, controls)| (function, controls.registers)).collect()
    }

    /// Every bit that could help: of the functions that share a domain with those named, and of all ports
    /// above them.
    fn actions(&mut self) -> Vec<Action> {
        let topology = self.bench.topology();
        let fabric = Fabric::new(topology, self.bench.database);
        let mut open = others(&fabric, &self.named, self.measure, &self.bench.assumptions);
        open.extend(&self.named);
        let mut concerned = BTreeSet::new();
        while let Some(index) = open.pop() {
            if concerned.insert(index) {
                match topology.parent_of(index) {
                    Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) => open.push(bridge),
                    Parent::VirtualFunctions(bus) => open.extend(topology.on_bus(bus).next()),
                    Parent::Root | Parent::Orphan(None) => {}
                }
            }
        }
        let (mut actions, mut known) = (Vec::new(), BTreeMap::new());
        for function in concerned {
            let Some(controls) = self.bench.writable(&fabric, function) else { continue };
            known.insert(function, controls);
            let mut add = |kind| actions.push(Action { function, kind });
            for bit in [
                AcsControl::SOURCE_VALIDATION,
                AcsControl::REQUEST_REDIRECT,
                AcsControl::COMPLETION_REDIRECT,
                AcsControl::UPSTREAM_FORWARDING,
            ] {
                if controls.offers(bit) && !controls.is_on(bit) {
                    add(Kind::On(bit.bits()));
                }
            }
            let direct = AcsControl::DIRECT_TRANSLATED;
            if controls.is_on(direct) && !controls.is_on(AcsControl::TRANSLATION_BLOCKING) {
                add(Kind::Off(direct.bits()));
            }
            if controls.is_on(AcsControl::EGRESS_CONTROL) {
                for index in peer_indices(&fabric, function) {
                    match controls.vector_bit(index) {
                        Some(false) => add(Kind::Vector(index)),
                        Some(true) => {}
                        None => add(Kind::Off(AcsControl::EGRESS_CONTROL.bits())),
                    }
                }
            }
        }
        actions.sort_unstable();
        actions.dedup();
        self.controls = known;
        actions
    }

    fn redirects_under_egress_control(&self, action: &Action) -> bool {
        let function = self.bench.topology().function(action.function);
        let control = function.and_then(|f| f.acs.present()).map(|acs| acs.control).unwrap_or_default();
        action.kind == Kind::On(AcsControl::REQUEST_REDIRECT.bits())
            && control.contains(AcsControl::EGRESS_CONTROL)
    }

    /// The smallest part of `all` that reaches the goal, and whether it is proved to be. Changes only ever
    /// isolate, so that a change without which all others fail is part of every plan.
    fn smallest(&mut self, all: &[Action]) -> (Vec<Action>, bool) {
        let mut forced = Vec::new();
        self.forced(all, all, &mut forced);
        if self.reached(&forced) {
            return (forced, true);
        }
        let rest: Vec<Action> = all.iter().filter(|action| !forced.contains(action)).copied().collect();
        let paid: BTreeSet<FunctionIndex> = forced.iter().map(|action| action.function).collect();
        let (free, rest): (Vec<Action>, Vec<Action>) =
            rest.into_iter().partition(|action| paid.contains(&action.function));
        let functions: BTreeSet<FunctionIndex> = rest.iter().map(|action| action.function).collect();
        let mut functions: Vec<FunctionIndex> = functions.into_iter().collect();
        // Of plans that are equal in size, the first that is found is taken: one at what leads to those named.
        let leads = self.leading();
        functions.sort_by_key(|function| !leads.contains(function));
        let base = [forced.as_slice(), free.as_slice()].concat();
        for size in 0..=functions.len() {
            let mut best: Option<Vec<Action>> = None;
            let finished = each_subset(functions.len(), size, &mut |chosen| {
                let own = rest
                    .iter()
                    .filter(|action| chosen.iter().any(|n| functions.get(*n) == Some(&action.function)));
                let mut actions = base.clone();
                actions.extend(own.copied());
                if self.reached(&actions) {
                    let bound = best.as_ref().map_or(usize::MAX, Vec::len);
                    if let Some(found) = self.fewest(&forced, &actions, bound) {
                        best = Some(found);
                    }
                }
                self.bench.has_time(1)
            });
            if !finished {
                let found = best.unwrap_or_else(|| all.to_vec());
                return (self.irreducible(found), false);
            }
            if let Some(found) = best {
                return (found, true);
            }
        }
        (self.irreducible(all.to_vec()), false)
    }

    /// The functions that are named, and the bridges above them.
    fn leading(&self) -> BTreeSet<FunctionIndex> {
        let topology = self.bench.topology();
        let above = self.named.iter().flat_map(|index| topology.bridges_above(*index));
        self.named.iter().copied().chain(above).collect()
    }

    /// Those of a block of `all` without which the others do not reach the goal.
    fn forced(&mut self, block: &[Action], all: &[Action], found: &mut Vec<Action>) {
        let without: Vec<Action> =
            all.iter().filter(|action| block.binary_search(action).is_err()).copied().collect();
        if block.is_empty() || !self.bench.has_time(1) || self.reached(&without) {
            return;
        }
        if let [one] = block {
            found.push(*one);
            return;
        }
        let (low, high) = block.split_at(block.len().div_ceil(2));
        self.forced(low, all, found);
        self.forced(high, all, found);
    }

    /// Of `actions` the fewest that reach the goal together with `forced`, if fewer than `bound`.
    fn fewest(&mut self, forced: &[Action], actions: &[Action], bound: usize) -> Option<Vec<Action>> {
        let choice: Vec<Action> = actions.iter().filter(|action| !forced.contains(action)).copied().collect();
        for size in 0..=choice.len() {
            if forced.len().saturating_add(size) >= bound {
                return None;
            }
            let mut found = None;
            let finished = each_subset(choice.len(), size, &mut |chosen| {
                let mut some = forced.to_vec();
                some.extend(chosen.iter().filter_map(|n| choice.get(*n)));
                if self.reached(&some) {
                    found = Some(some);
                }
                found.is_none() && self.bench.has_time(1)
            });
            if found.is_some() || !finished {
                return found;
            }
        }
        None
    }

    /// The same without what can be left out, by halves.
    fn irreducible(&mut self, mut actions: Vec<Action>) -> Vec<Action> {
        actions.sort_unstable();
        let mut kept = actions.clone();
        self.leave_out(&actions, &mut kept);
        kept
    }

    fn leave_out(&mut self, block: &[Action], kept: &mut Vec<Action>) {
        // What is left is looked at once more than all before.
        if block.is_empty() || !self.bench.has_time(2) {
            return;
        }
        let without: Vec<Action> =
            kept.iter().filter(|action| block.binary_search(action).is_err()).copied().collect();
        if self.reached(&without) {
            *kept = without;
        } else if block.len() > 1 {
            let (low, high) = block.split_at(block.len().div_ceil(2));
            self.leave_out(low, kept);
            self.leave_out(high, kept);
        }
    }

    /// What stands in the way even when everything is on that can be.
    fn obstacles(&mut self, all: &[Action]) -> Vec<Obstacle> {
        let changes = self.changes(all);
        let (named, assumptions, measure) = (&self.named, self.bench.assumptions, self.measure);
        self.bench.ask(&changes, |fabric| {
            let others = others(fabric, named, measure, &assumptions);
            let mut found: Vec<Obstacle> = Vec::new();
            let pairs = named.iter().flat_map(|n| others.iter().flat_map(|o| [(*n, *o), (*o, *n)]));
            for (from, to) in pairs {
                if found.len() >= OBSTACLES {
                    break;
                }
                let of_pair = match measure {
                    Measure::Domains => obstacle(fabric, from, to, &assumptions),
                    Measure::LinuxGroups => Some(grouped(fabric, from, to, &assumptions)),
                };
                let known = |obstacle: &Obstacle| {
                    found.iter().any(|o| (o.at, o.why) == (obstacle.at, obstacle.why) && o.at.is_some())
                };
                found.extend(of_pair.filter(|obstacle| !known(obstacle)));
            }
            found
        })
    }
}

/// Functions that can initiate, are not named, and are together with one that is.
fn others(
    fabric: &Fabric<'_>,
    named: &BTreeSet<FunctionIndex>,
    measure: Measure,
    assumptions: &Assumptions,
) -> Vec<FunctionIndex> {
    let part_of: Vec<Option<usize>> = match measure {
        Measure::Domains => {
            let domains = fabric.domains(assumptions);
            (0..fabric.topology().functions().len()).map(|index| domains.domain_of(index)).collect()
        }
        Measure::LinuxGroups => Linux::new(fabric.topology(), fabric.database()).group().group_of,
    };
    let of_named: BTreeSet<usize> =
        named.iter().filter_map(|index| part_of.get(*index).copied().flatten()).collect();
    let together = |(index, part): (usize, &Option<usize>)| {
        let is_other = !named.contains(&index) && fabric.initiates(index);
        (is_other && part.is_some_and(|part| of_named.contains(&part))).then_some(index)
    };
    part_of.iter().enumerate().filter_map(together).collect()
}

/// That Linux groups a pair, and the bridge above them that it takes as not isolating, if it is that.
fn grouped(
    fabric: &Fabric<'_>,
    from: FunctionIndex,
    to: FunctionIndex,
    assumptions: &Assumptions,
) -> Obstacle {
    let linux = Linux::new(fabric.topology(), fabric.database());
    let mut at = from;
    let mut found = None;
    while let Parent::Bridge(bridge) = fabric.topology().parent_of(at) {
        if !linux.isolation(bridge).isolates {
            found = Some(bridge);
        }
        at = bridge;
    }
    let disposition = fabric.disposition(from, to, TlpClass::MemoryUntranslated, assumptions).0;
    Obstacle { from, to, tlp: None, at: found, disposition, why: Obstruction::Group }
}

/// Why a pair is not kept apart.
fn obstacle(
    fabric: &Fabric<'_>,
    from: FunctionIndex,
    to: FunctionIndex,
    assumptions: &Assumptions,
) -> Option<Obstacle> {
    for tlp in assumptions.counted() {
        let (disposition, reason) = fabric.disposition(from, to, tlp, assumptions);
        if assumptions.merges(disposition, reason) {
            let route = fabric.trace(from, to, tlp, assumptions);
            let at = route.decisive().filter(|hop| hop.rule != Rule::HostBridges).map(|hop| hop.function);
            return Some(Obstacle {
                from,
                to,
                tlp: Some(tlp),
                at,
                disposition,
                why: Obstruction::Route(reason),
            });
        }
    }
    let why = Obstruction::Impersonation(fabric.impersonation(from, to, assumptions)?);
    Some(Obstacle { from, to, tlp: None, at: None, disposition: Disposition::Direct, why })
}

/// Indices of a function's peers in its egress control vector.
fn peer_indices(fabric: &Fabric<'_>, function: FunctionIndex) -> BTreeSet<u8> {
    let topology = fabric.topology();
    let Some(bus) = topology.bus_of(function) else { return BTreeSet::new() };
    let port = topology.function(function).and_then(|f| f.port_type());
    let role = match port {
        Some(port) if port.is_downstream_facing() => Role::SwitchDownstreamPort,
        _ => Role::Function,
    };
    let members: Vec<FunctionIndex> = match role {
        Role::Function => fabric.devices().members(function).collect(),
        _ => topology.on_bus(bus).collect(),
    };
    let peers = members.into_iter().filter(|peer| *peer != function);
    peers.filter_map(|peer| fabric.peer_index(peer as u32, role)).collect()
}

/// Calls `visit` with each subset of this size of `0..count`, in order, until it says no; whether it never
/// did.
fn each_subset(count: usize, size: usize, visit: &mut impl FnMut(&[usize]) -> bool) -> bool {
    fn go(
        from: usize,
        count: usize,
        left: usize,
        chosen: &mut Vec<usize>,
        visit: &mut impl FnMut(&[usize]) -> bool,
    ) -> bool {
        if left == 0 {
            return visit(chosen);
        }
        (from..count).all(|n| {
            chosen.push(n);
            let goes_on = go(n.saturating_add(1), count, left.saturating_sub(1), chosen, visit);
            chosen.pop();
            goes_on
        })
    }
    go(0, count, size, &mut Vec::new(), visit)
}
