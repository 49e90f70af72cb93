//! One pass over the buses from the leaves up: at each bus, who gets past whom.

use alloc::vec::Vec;
use core::mem;

use super::Merge;
use super::ask::Question;
use super::lists::{Below, Lists, Which};
use super::runs::{Child, Runs};
use crate::route::fabric::{BusKind, Emits, Fabric, Kind, Node, has_egress_control};
use crate::route::port::{Acs, Role, TlpClass};
use crate::route::trace::{Outcome, ends, may_emit};
use crate::route::{Assumptions, Disposition, Reason, RootComplex};
use crate::topology::Parent;

/// What stands on a bus and parts from the rest there: a port with all below it, or the other
/// functions of one device.
pub(super) struct Unit {
    /// A function of it on this bus.
    pub(super) at: u32,
    pub(super) device: u32,
    pub(super) below: Below,
    /// Its members on this bus, as a range of the bus's children.
    pub(super) children: (usize, usize),
    /// On a root bus that is asked about: the members themselves.
    pub(super) members: Vec<u32>,
    pub(super) port: bool,
}

/// Who is sought: a set of initiators towards all units but their own.
pub(super) struct Source {
    pub(super) unit: usize,
    /// The part of the unit that is meant, where not all of it is.
    pub(super) part: Option<Below>,
    pub(super) class: TlpClass,
    pub(super) why: Merge,
}

/// Functions of a device that one bit of an egress control vector stands for.
struct Peers {
    functions: Vec<u32>,
    /// Whether I/O requests can be for them, where these count.
    io: bool,
    /// Whether they are joined.
    joined: bool,
}

pub(super) struct Pass<'p, 'a> {
    pub(super) fabric: &'p Fabric<'a>,
    pub(super) assumptions: &'p Assumptions,
    /// Only what is proved to be direct joins.
    pub(super) proved: bool,
    pub(super) lists: &'p mut Lists,
    runs: &'p Runs,
    /// For each bus: what is below.
    below: Vec<Below>,
    pub(super) classes: Vec<TlpClass>,
    /// Kept from bus to bus, so that none allocates.
    children: Vec<Child>,
    units: Vec<Unit>,
    sources: Vec<Source>,
    /// By class, the last question and its answer: neighbours are mostly alike.
    pub(super) asked: [Option<(Question, Outcome)>; 5],
}

/// Joins what is not isolated below the root complex and, if that is not assumed to isolate, in it.
pub(super) fn run(
    fabric: &Fabric<'_>,
    assumptions: &Assumptions,
    proved: bool,
    runs: &Runs,
    lists: &mut Lists,
) {
    let topology = fabric.topology;
    let mut pass = Pass {
        fabric,
        assumptions,
        proved,
        lists,
        runs,
        below: alloc::vec![Below::EMPTY; topology.buses().len()],
        classes: assumptions.counted().collect(),
        children: Vec::new(),
        units: Vec::new(),
        sources: Vec::new(),
        asked: [None; 5],
    };
    let mut tops: Vec<Unit> = Vec::new();
    for index in (0..topology.buses().len()).rev() {
        let Some(bus) = topology.bus(index) else { continue };
        if !matches!(bus.parent, Parent::VirtualFunctions(_)) {
            let (mut children, mut units) = (mem::take(&mut pass.children), mem::take(&mut pass.units));
            pass.bus(index as u32, &mut children, &mut units, &mut tops);
            (pass.children, pass.units) = (children, units);
        }
    }
    pass.orphans(&mut tops);
    if assumptions.root_complex == RootComplex::Unknown && !proved {
        pass.root_complex(&mut tops);
    }
}

impl Pass<'_, '_> {
    /// A function by itself, in the lists that it belongs to.
    pub(super) fn single(&self, function: u32, node: &Node) -> Below {
        let io = self.assumptions.count_relaxed_and_io;
        // What is sent only perhaps is not proved to arrive.
        let emits = |class| match self.proved {
            true => node.emits.class(class) == Some(true),
            false => may_emit(node.emits, class),
        };
        let translated = emits(TlpClass::MemoryTranslated);
        let completes = emits(TlpClass::Completion);
        let which = [
            (Which::All, true),
            (Which::Translated, translated),
            (Which::Completion, completes),
            (Which::Io, io),
            (Which::IoTarget, io && self.is_io_target(function)),
        ];
        self.lists.single(function, which.into_iter().filter(|(_, is)| *is).map(|(which, _)| which))
    }

    fn is_io_target(&self, function: u32) -> bool {
        match self.fabric.has_io_bar(function as usize) {
            Some(has) => has,
            None => !self.proved,
        }
    }

    /// What is below a port, as far as it gets past it.
    pub(super) fn past(&self, bridge: u32, node: &Node) -> Below {
        let Ok(at) = self.runs.leads.binary_search_by_key(&bridge, |(bridge, _)| *bridge) else {
            return Below::EMPTY;
        };
        let bus = self.runs.leads.get(at).map(|(_, bus)| *bus as usize);
        let mut below = bus.and_then(|bus| self.below.get(bus)).copied().unwrap_or(Below::EMPTY);
        for (which, class) in [(Which::Translated, TlpClass::MemoryTranslated), (Which::Io, TlpClass::Io)] {
            if ends(node.kind, node.acs, class, self.proved) {
                below.clear(which);
            }
        }
        below
    }

    fn bus(&mut self, bus: u32, children: &mut Vec<Child>, units: &mut Vec<Unit>, tops: &mut Vec<Unit>) {
        children.clear();
        units.clear();
        self.collect(bus, children);
        let kind = self.fabric.bus_kind(bus);
        if kind == BusKind::Conventional {
            self.conventional(bus, children);
            return;
        }
        if !children.is_sorted() {
            children.sort_unstable();
        }
        for (n, (device, port, function, _)) in children.iter().enumerate() {
            let node = self.fabric.node(*function);
            let own = match node.kind {
                Kind::Leaf => self.single(*function, node),
                Kind::HostBridge => continue,
                _ => self.past(*function, node),
            };
            let after = n.saturating_add(1);
            match units.last_mut() {
                Some(unit) if !*port && !unit.port && unit.device == *device => {
                    // The members of a device are looked at again below, bridges by themselves.
                    if node.kind == Kind::Leaf {
                        self.lists.append(&mut unit.below, &own);
                    }
                    unit.children.1 = after;
                }
                _ => {
                    let below = if node.kind == Kind::Leaf || *port { own } else { Below::EMPTY };
                    let unit = Unit {
                        at: *function,
                        device: *device,
                        below,
                        children: (n, after),
                        members: Vec::new(),
                        port: *port,
                    };
                    units.push(unit);
                }
            }
        }
        for unit in units.iter_mut().filter(|unit| !unit.port) {
            let members = children.get(unit.children.0..unit.children.1).unwrap_or_default();
            self.device(unit, members);
        }
        if kind == BusKind::Root {
            self.root_bus(units, children);
            if self.assumptions.root_complex == RootComplex::Unknown && !self.proved {
                for unit in units.iter_mut().filter(|unit| !unit.port) {
                    let members = children.get(unit.children.0..unit.children.1).unwrap_or_default();
                    unit.members = members.iter().map(|child| child.2).collect();
                }
            }
            units.retain(|unit| !unit.below.is_empty());
            tops.append(units);
            return;
        }
        self.part(units);
        let mut all = Below::EMPTY;
        for unit in units.iter() {
            self.lists.append(&mut all, &unit.below);
        }
        if kind == BusKind::Orphan {
            if let (Some(first), false) = (children.first(), all.is_empty()) {
                let device = first.0;
                tops.push(Unit {
                    at: first.2,
                    device,
                    below: all,
                    children: (0, 0),
                    members: Vec::new(),
                    port: false,
                });
            }
        } else if let Some(slot) = self.below.get_mut(bus as usize) {
            *slot = all;
        }
    }

    /// The functions on a bus and the virtual ones that spilled over.
    fn collect(&mut self, bus: u32, children: &mut Vec<Child>) {
        let from = self.runs.spilled.partition_point(|(of, _)| *of < bus);
        let spilled =
            self.runs.spilled.get(from..).unwrap_or_default().iter().take_while(|(of, _)| *of == bus);
        for bus in core::iter::once(bus).chain(spilled.map(|(_, other)| *other)) {
            children.extend_from_slice(self.runs.of(bus as usize));
        }
        for (_, _, start, end) in children {
            self.lists.make_run(*start, *end);
        }
    }

    /// All functions of a conventional bus reach each other.
    fn conventional(&mut self, bus: u32, children: &[Child]) {
        let mut all = Below::EMPTY;
        for (_, _, function, end) in children {
            let node = self.fabric.node(*function);
            let mut own = match node.kind {
                Kind::Leaf => self.single(*function, node),
                _ => self.past(*function, node),
            };
            let shares = |pass: &Self, from, to| {
                let (class, reason) = (TlpClass::MemoryUntranslated, Reason::ConventionalBus);
                pass.joins(from, to, class, Disposition::Direct, reason)
            };
            let second = function.saturating_add(1);
            if let (Some(why), true) = (shares(self, *function, second), second < *end) {
                self.lists.collapse(&mut own, Which::All, &why);
            }
            if !all.is_empty() && !own.is_empty() {
                let firsts = (all.get(Which::All).first(), own.get(Which::All).first());
                if let Some(why) = shares(self, firsts.0, firsts.1) {
                    self.lists.unite((&mut all, Which::All), (&mut own, Which::All), &why);
                }
            }
            self.lists.append(&mut all, &own);
        }
        if let Some(slot) = self.below.get_mut(bus as usize) {
            *slot = all;
        }
    }

    /// Inside one device: functions among themselves, and with what is below its bridges.
    fn device(&mut self, unit: &mut Unit, members: &[Child]) {
        if let [(_, _, only, _)] = members {
            let node = self.fabric.node(*only);
            if node.kind != Kind::Leaf {
                unit.below = self.past(*only, node);
                return;
            }
        }
        self.siblings(unit, members);
        let mut bridges: Vec<(u32, Below)> = Vec::new();
        for (_, _, function, _) in members {
            let node = self.fabric.node(*function);
            if node.kind != Kind::Leaf {
                bridges.push((*function, self.past(*function, node)));
            }
        }
        bridges.retain(|(_, below)| !below.is_empty());
        let leaves: Vec<u32> = match bridges.is_empty() {
            true => Vec::new(),
            false => {
                members.iter().map(|c| c.2).filter(|f| self.fabric.node(*f).kind == Kind::Leaf).collect()
            }
        };
        for n in 0..bridges.len() {
            let Some((bridge, mut below)) = bridges.get(n).copied() else { break };
            self.beside_leaves(bridge, &mut below, &leaves, &mut unit.below);
            for (m, (other, theirs)) in bridges.iter_mut().enumerate() {
                if m != n {
                    self.one_way(bridge, &mut below, *other, theirs);
                }
            }
            if let Some(slot) = bridges.get_mut(n) {
                slot.1 = below;
            }
        }
        for (_, below) in &bridges {
            self.lists.append(&mut unit.below, below);
        }
    }

    /// Whether class `n` joins what is below `x` with what is below `y`: the lists that become one, and why.
    pub(super) fn way(
        &mut self,
        n: usize,
        (x, from): (u32, &Below),
        (y, to): (u32, &Below),
    ) -> Option<(Which, Which, Merge)> {
        let class = self.classes.get(n).copied()?;
        let (e, t) = (Which::from(class), Which::to(class));
        if from.get(e).is_empty() || to.get(t).is_empty() {
            return None;
        }
        let why = self.asks(x, y, from.get(e).first(), to.get(t).first(), class)?;
        Some((e, t, why))
    }

    /// From what is below `x` to what is below `y`, for each class.
    pub(super) fn one_way(&mut self, x: u32, from: &mut Below, y: u32, to: &mut Below) {
        for n in 0..self.classes.len() {
            if let Some((e, t, why)) = self.way(n, (x, from), (y, to)) {
                self.lists.unite((from, e), (to, t), &why);
            }
        }
    }

    /// Between what is below a bridge and its sibling functions, both ways.
    fn beside_leaves(&mut self, bridge: u32, below: &mut Below, leaves: &[u32], siblings: &mut Below) {
        let uniform = !has_egress_control(self.fabric.node(bridge));
        if uniform {
            if let Some(any) = leaves.first() {
                self.one_way(bridge, below, *any, siblings);
                self.one_way(*any, siblings, bridge, below);
            }
            return;
        }
        for leaf in leaves {
            let mut own = self.single(*leaf, self.fabric.node(*leaf));
            self.one_way(bridge, below, *leaf, &mut own);
            self.one_way(*leaf, &mut own, bridge, below);
        }
    }

    /// The functions of a device among themselves: each function's own ACS decides.
    fn siblings(&mut self, unit: &mut Unit, members: &[Child]) {
        let is_leaf = |function: u32| self.fabric.node(function).kind == Kind::Leaf;
        let mut leaves = members.iter().filter(|child| is_leaf(child.2)).flat_map(|child| child.2..child.3);
        let (Some(first), Some(second)) = (leaves.next(), leaves.next()) else { return };
        let mut peers: Option<Vec<Peers>> = None;
        let mut asked: [Option<(Acs, Emits)>; 4] = [None; 4];
        let mut next = asked.len();
        for n in 0..members.len() {
            if self.is_only(&unit.below, Which::All) {
                // All are joined already.
                return;
            }
            let Some((_, _, x, _)) = members.get(n).copied() else { break };
            let node = self.fabric.node(x);
            if node.kind != Kind::Leaf {
                continue;
            }
            if has_egress_control(node) {
                let mut known = peers.take().unwrap_or_else(|| self.peers(members));
                self.by_vector(x, node, &mut known);
                peers = Some(known);
                continue;
            }
            // Functions that are alike give one answer, and a device has few kinds.
            let alike = Some((node.acs, node.emits));
            if asked.contains(&alike) && !self.assumptions.count_relaxed_and_io {
                continue;
            }
            next = next.checked_sub(1).unwrap_or(asked.len().saturating_sub(1));
            if let Some(slot) = asked.get_mut(next) {
                *slot = alike;
            }
            let y = if x == first { second } else { first };
            let mut own = self.single(x, node);
            for class in 0..self.classes.len() {
                let Some(class) = self.classes.get(class).copied() else { break };
                let (e, t) = (Which::from(class), Which::to(class));
                let (to, from) = (unit.below.get(t), own.get(e));
                // The function itself may be all there is to reach.
                if from.is_empty() || to.is_empty() || (to.first() == x && self.is_only(&unit.below, t)) {
                    continue;
                }
                let target = if to.first() == x { y } else { to.first() };
                if let Some(why) = self.asks(x, y, x, target, class) {
                    self.lists.unite((&mut own, e), (&mut unit.below, t), &why);
                }
            }
        }
    }

    fn is_only(&self, below: &Below, which: Which) -> bool {
        self.lists.is_single(below.get(which))
    }

    /// A function with egress control, towards each index of its vector. `peers`: the device's functions by
    /// index; those of one index that came together count as two from then on, whoever asks.
    fn by_vector(&mut self, x: u32, node: &Node, peers: &mut [Peers]) {
        let own = self.single(x, node);
        // Of a peer, the answer depends on its bit alone.
        let mut answers = [[None; 3]; 5];
        for peers in peers {
            for class in 0..self.classes.len() {
                let Some(class) = self.classes.get(class).copied() else { break };
                let io = class == TlpClass::Io;
                let Some(first) = peers.functions.iter().copied().find(|y| *y != x) else { break };
                if own.get(Which::from(class)).is_empty() || (io && !peers.io) {
                    continue;
                }
                let bit = self.fabric.vector_bit(x, first, Role::Function) as usize;
                let answer = answers.get_mut(class as usize).and_then(|of_class| of_class.get_mut(bit));
                let asked = answer.as_ref().and_then(|answer| **answer);
                let why = asked.unwrap_or_else(|| self.asks(x, first, x, first, class));
                if let Some(answer) = answer {
                    *answer = Some(why);
                }
                let Some(why) = why.map(|why| Merge { to: first as usize, ..why }) else { continue };
                if mem::replace(&mut peers.joined, true) {
                    self.lists.join(x, first, &why);
                    continue;
                }
                for y in peers.functions.iter().filter(|y| **y != x) {
                    self.lists.join(x, *y, &why);
                }
            }
        }
    }

    /// The functions of a device by the index that stands for them in egress control vectors.
    fn peers(&self, members: &[Child]) -> Vec<Peers> {
        let io = |y: u32| self.assumptions.count_relaxed_and_io && self.is_io_target(y);
        let leaves = members.iter().flat_map(|child| child.2..child.3);
        let leaves = leaves.filter(|y| self.fabric.node(*y).kind == Kind::Leaf);
        let mut by_index: Vec<((Option<u8>, bool), u32)> =
            leaves.map(|y| ((self.fabric.peer_index(y, Role::Function), io(y)), y)).collect();
        by_index.sort_unstable();
        let of_index = |peers: &[((Option<u8>, bool), u32)]| Peers {
            io: peers.first().is_some_and(|((_, io), _)| *io),
            functions: peers.iter().map(|(_, y)| *y).collect(),
            joined: false,
        };
        by_index.chunk_by(|a, b| a.0 == b.0).map(of_index).collect()
    }

    /// Where ways part on the bus of a switch, a link, or one that is not known.
    fn part(&mut self, units: &mut [Unit]) {
        if units.iter().filter(|unit| !unit.below.is_empty()).count() < 2 {
            return;
        }
        let mut sources = mem::take(&mut self.sources);
        sources.clear();
        for n in 0..units.len() {
            let Some(unit) = units.get(n).filter(|unit| !unit.below.is_empty()) else { continue };
            let node = self.fabric.node(unit.at);
            let by_pair = unit.port && has_egress_control(node);
            let Some(other) = units.iter().enumerate().find(|(m, u)| *m != n && !u.below.is_empty()) else {
                continue;
            };
            for class in 0..self.classes.len() {
                let Some(class) = self.classes.get(class).copied() else { break };
                let from = unit.below.get(Which::from(class));
                if from.is_empty() || (by_pair && class.is_memory()) {
                    continue;
                }
                let to = other.1.below.get(Which::All).first();
                if let Some(why) = self.asks(unit.at, other.1.at, from.first(), to, class) {
                    sources.push(Source { unit: n, part: None, class, why });
                }
            }
            if by_pair {
                for m in (0..units.len()).filter(|m| *m != n) {
                    self.pair(units, n, m, true);
                }
            }
        }
        self.escape(units, &sources);
        self.sources = sources;
    }

    /// From one unit to another, for each class or for memory requests only.
    pub(super) fn pair(&mut self, units: &mut [Unit], n: usize, m: usize, memory_only: bool) {
        let Some((x, y)) = two(units, n, m) else { return };
        for class in 0..self.classes.len() {
            let Some(class) = self.classes.get(class).copied().filter(|c| !memory_only || c.is_memory())
            else {
                continue;
            };
            let (e, t) = (Which::from(class), Which::to(class));
            if x.below.get(e).is_empty() || y.below.get(t).is_empty() {
                continue;
            }
            if let Some(why) = self.asks(x.at, y.at, x.below.get(e).first(), y.below.get(t).first(), class) {
                self.lists.unite((&mut x.below, e), (&mut y.below, t), &why);
            }
        }
    }

    /// Joins each source with all units but its own, in time that grows with the number of units: once
    /// one source has joined the others, each further one needs two joins.
    pub(super) fn escape(&mut self, units: &mut [Unit], sources: &[Source]) {
        for targets in [Which::All, Which::IoTarget] {
            let mut sources = sources.iter().filter(|source| Which::to(source.class) == targets);
            let reachable =
                |units: &[Unit], n: usize| units.get(n).is_some_and(|u| !u.below.get(targets).is_empty());
            let indices: Vec<usize> = (0..units.len()).filter(|n| reachable(units, *n)).collect();
            let Some(first) = sources.find(|source| indices.iter().any(|n| *n != source.unit)) else {
                continue;
            };
            let others: Vec<usize> = indices.iter().copied().filter(|n| *n != first.unit).collect();
            for m in &others {
                self.unite_units(units, first, *m, targets);
            }
            for source in sources {
                if source.unit == first.unit {
                    if let Some(m) = others.first() {
                        self.unite_units(units, source, *m, targets);
                    }
                    continue;
                }
                // Any other unit stands for all that the first source has joined.
                if let Some(m) = others.iter().find(|m| **m != source.unit) {
                    self.unite_units(units, source, *m, targets);
                }
                if indices.contains(&first.unit) {
                    self.unite_units(units, source, first.unit, targets);
                }
            }
        }
    }

    pub(super) fn unite_units(&mut self, units: &mut [Unit], source: &Source, m: usize, targets: Which) {
        let Some((x, y)) = two(units, source.unit, m) else { return };
        let e = Which::from(source.class);
        if let Some(part) = source.part {
            let (from, to) = (part.get(e).first(), y.below.get(targets).first());
            let why = Merge { from: from as usize, to: to as usize, ..source.why };
            self.lists.join_within(part.get(e), e, &why);
            self.lists.collapse(&mut y.below, targets, &why);
            self.lists.join(from, to, &why);
            return;
        }
        let (from, to) = (x.below.get(e).first() as usize, y.below.get(targets).first() as usize);
        let why = Merge { from, to, ..source.why };
        self.lists.unite((&mut x.below, e), (&mut y.below, targets), &why);
    }
}

/// Two units at once.
pub(super) fn two(units: &mut [Unit], n: usize, m: usize) -> Option<(&mut Unit, &mut Unit)> {
    let (low, high) = (n.min(m), n.max(m));
    let (head, tail) = units.split_at_mut_checked(high)?;
    let (low, high) = (head.get_mut(low)?, tail.first_mut()?);
    Some(if n < m { (low, high) } else { (high, low) })
}
