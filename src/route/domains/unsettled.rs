//! Pairs that only an assumption keeps apart: what a root complex does with traffic between devices on
//! root buses, and what a bridge does that the dump lacks.
//!
//! Counted over the tops of the hierarchy, never over pairs: ACS constrains what enters, so that each top
//! leaves the way open towards all others or towards none. Egress control alone is asked top by top.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use crate::route::fabric::{BusKind, Fabric, NONE, Node, has_egress_control};
use crate::route::port::{Decision, Role, TlpClass, VectorBit, Way, decide};
use crate::route::trace::{ends, may_emit};
use crate::route::{Assumptions, Reason};
use crate::topology::FunctionIndex;

/// The pairs of functions that are kept apart for one reason only, which is no proof.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsettled {
    /// The reason: the root complex, another host bridge, a bridge that is not in the dump.
    pub reason: Reason,
    /// Pairs of functions that can initiate, each counted once whichever way is open. I/O requests take
    /// no part: whom they reach depends on each target's BARs.
    pub pairs: u64,
    /// Root ports and functions on root buses that leave the way to the rest open (of a bridge that is not
    /// in the dump: the functions next to where it belongs).
    pub open: Vec<FunctionIndex>,
    /// The rest: root ports, and functions on root buses, towards which it is open.
    pub others: Vec<FunctionIndex>,
}

/// A root port or other bridge on a root bus with all below it, or one function there.
#[derive(Clone, Copy)]
struct Top {
    at: u32,
    bus: u32,
    device: u32,
    count: u64,
    /// How many of them get no further, by what an egress control vector says of the target.
    closed: [u64; 3],
    by_vector: bool,
}

const BITS: [VectorBit; 3] = [VectorBit::Unknown, VectorBit::Clear, VectorBit::Set];

/// Two numbers of functions, whoever is paired with whom.
const fn both(a: u64, b: u64) -> u64 {
    a.saturating_mul(b)
}

/// Pairs among this many.
const fn among(count: u64) -> u64 {
    count.saturating_mul(count.saturating_sub(1)) / 2
}

/// Pairs of members of different parts, by the part of each and how many they are.
fn across(parts: impl Iterator<Item = (u32, u64)>) -> u64 {
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    for (part, count) in parts {
        let size = sizes.entry(part).or_default();
        *size = size.saturating_add(count);
    }
    let all = sizes.values().fold(0_u64, |sum, size| sum.saturating_add(*size));
    sizes.values().fold(among(all), |pairs, size| pairs.saturating_sub(among(*size)))
}

impl Fabric<'_> {
    /// What keeps pairs apart by assumption only, reason by reason. Empty if all that is kept apart is
    /// proved to be.
    #[must_use]
    pub fn unsettled(&self, assumptions: &Assumptions) -> Vec<Unsettled> {
        let assumptions = Assumptions { hostile: true, ..*assumptions };
        let mut found = self.unsettled_among(&self.counted(0..self.nodes().len(), true), &assumptions);
        // No assumption keeps apart what is astray and others of its segment.
        for segment in self.segments_with_strays() {
            let without = self.unsettled_among(&self.counted(segment.clone(), false), &assumptions);
            for with in self.unsettled_among(&self.counted(segment, true), &assumptions) {
                let same = |other: &&Unsettled| other.reason == with.reason;
                let kept = without.iter().find(same).map_or(0, |unsettled| unsettled.pairs);
                if let Some(unsettled) = found.iter_mut().find(|other| other.reason == with.reason) {
                    unsettled.pairs = unsettled.pairs.saturating_sub(with.pairs.saturating_sub(kept));
                }
            }
        }
        found.retain(|unsettled| unsettled.pairs > 0);
        found
    }

    /// The same among these functions.
    fn unsettled_among(&self, counted: &[(usize, &Node)], assumptions: &Assumptions) -> Vec<Unsettled> {
        let mut below: BTreeMap<u32, u64> = BTreeMap::new();
        let mut orphans: BTreeMap<u32, u64> = BTreeMap::new();
        for (index, node) in counted {
            let place = self.place(node.bus);
            let of = match self.bus_kind(place.root) {
                BusKind::Root if place.top == NONE => below.entry(*index as u32),
                BusKind::Root => below.entry(place.top),
                _ => orphans.entry(place.root),
            };
            let count = of.or_default();
            *count = count.saturating_add(1);
        }
        let (hidden, plain): (Vec<_>, Vec<_>) =
            below.iter().partition(|(top, _)| self.is_hidden(self.node(**top)));
        let tops = self.tops(&plain, counted, assumptions);
        let mut found = Vec::from(self.between_plain(&tops));
        found.extend(self.missing(&below, &hidden, &orphans, &tops));
        found.retain(|unsettled| unsettled.pairs > 0);
        found
    }

    /// The initiators among these functions, with those that are astray or without.
    fn counted(&self, functions: Range<FunctionIndex>, strays: bool) -> Vec<(usize, &Node)> {
        let start = functions.start;
        let nodes = self.nodes().get(functions).unwrap_or_default().iter();
        let counts = |(index, node): &(usize, &Node)| {
            node.initiates() && (strays || self.astray(*index as u32).is_none())
        };
        (start..).zip(nodes).filter(counts).collect()
    }

    /// Each top with how many functions below it are kept from getting further.
    fn tops(
        &self,
        plain: &[(&u32, &u64)],
        counted: &[(usize, &Node)],
        assumptions: &Assumptions,
    ) -> Vec<Top> {
        let mut tops: Vec<Top> = Vec::new();
        for (at, count) in plain {
            let node = self.node(**at);
            let by_vector = has_egress_control(node) && node.kind.facing().is_some();
            let closed = [**count; 3];
            tops.push(Top {
                at: **at,
                bus: node.bus,
                device: node.device,
                count: **count,
                closed,
                by_vector,
            });
        }
        let mut asked: Vec<(usize, usize, Vec<TlpClass>)> = Vec::new();
        for (n, top) in tops.iter_mut().enumerate() {
            let node = self.node(top.at);
            let role = node.kind.facing().unwrap_or(Role::Integrated);
            for (k, (bit, closed)) in BITS.into_iter().zip(&mut top.closed).enumerate() {
                let open = |class: &TlpClass| {
                    let decision = decide(role, node.acs, Way::Peer(bit), *class);
                    *class != TlpClass::Io && matches!(decision, Decision::Undetermined(_))
                };
                let classes: Vec<TlpClass> = assumptions.counted().filter(open).collect();
                if classes.contains(&TlpClass::MemoryUntranslated) {
                    // Everything that initiates can emit these, and no port on the way stops them.
                    *closed = 0;
                } else if !classes.is_empty() {
                    asked.push((n, k, classes));
                }
            }
        }
        if asked.is_empty() {
            return tops;
        }
        // The rest depends on what each function can emit, and on the ports on its way.
        let mut of_top: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (index, node) in counted {
            let top = self.place(node.bus).top;
            of_top.entry(if top == NONE { *index as u32 } else { top }).or_default().push(*index as u32);
        }
        for (n, k, classes) in asked {
            let Some(top) = tops.get_mut(n) else { continue };
            let members = of_top.get(&top.at).map(Vec::as_slice).unwrap_or_default();
            let gets_up = |s: &&u32| classes.iter().any(|class| self.sends_up(**s as FunctionIndex, *class));
            let open = members.iter().filter(gets_up).count() as u64;
            if let Some(closed) = top.closed.get_mut(k) {
                *closed = top.count.saturating_sub(open);
            }
        }
        tops
    }

    /// Whether a function can send this class past every port above it, as far as is known.
    #[must_use]
    pub fn sends_up(&self, function: FunctionIndex, class: TlpClass) -> bool {
        let mut at = self.node(function as u32);
        if !may_emit(at.emits, class) {
            return false;
        }
        while at.up != NONE {
            at = self.node(at.up);
            if ends(at.kind, at.acs, class, false) {
                return false;
            }
        }
        true
    }

    /// Between devices on one root bus, and between root buses.
    fn between_plain(&self, tops: &[Top]) -> [Unsettled; 2] {
        let closed = |top: &Top, bit: VectorBit| {
            let at = BITS.iter().position(|other| *other == bit).unwrap_or(0);
            top.closed.get(at).copied().unwrap_or(0)
        };
        let unknown = |top: &Top| closed(top, VectorBit::Unknown);
        let mut by_bus: BTreeMap<u32, Vec<&Top>> = BTreeMap::new();
        for top in tops {
            by_bus.entry(top.bus).or_default().push(top);
        }
        let mut same = Unsettled::new(Reason::RootComplex);
        for on_bus in by_bus.values() {
            let bulk = || on_bus.iter().filter(|top| !top.by_vector);
            let all = across(bulk().map(|top| (top.device, top.count)));
            let both_closed = across(bulk().map(|top| (top.device, unknown(top))));
            let mut pairs = all.saturating_sub(both_closed);
            for (n, x) in on_bus.iter().enumerate().filter(|(_, top)| top.by_vector) {
                for (m, y) in on_bus.iter().enumerate() {
                    if y.device == x.device || (y.by_vector && m <= n) {
                        continue;
                    }
                    let bit = self.vector_bit(x.at, y.at, Role::RootPort);
                    let back = match y.by_vector {
                        true => self.vector_bit(y.at, x.at, Role::RootPort),
                        false => VectorBit::Unknown,
                    };
                    let open = both(x.count, y.count).saturating_sub(both(closed(x, bit), closed(y, back)));
                    pairs = pairs.saturating_add(open);
                }
            }
            same.pairs = same.pairs.saturating_add(pairs);
            if pairs > 0 {
                same.list(on_bus.iter().copied());
            }
        }
        let mut other = Unsettled::new(Reason::OtherHostBridge);
        let all = across(tops.iter().map(|top| (top.bus, top.count)));
        other.pairs = all.saturating_sub(across(tops.iter().map(|top| (top.bus, unknown(top)))));
        if other.pairs > 0 {
            other.list(tops.iter());
        }
        [same, other]
    }

    /// Between what hangs on a bridge that the dump lacks, and everything else.
    fn missing(
        &self,
        below: &BTreeMap<u32, u64>,
        hidden: &[(&u32, &u64)],
        orphans: &BTreeMap<u32, u64>,
        tops: &[Top],
    ) -> Option<Unsettled> {
        if hidden.is_empty() && orphans.is_empty() {
            return None;
        }
        let mut missing = Unsettled::new(Reason::BridgeNotInDump);
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0_u64, u64::saturating_add);
        let known = sum(&mut tops.iter().map(|top| top.count));
        let apart = sum(&mut hidden.iter().map(|(_, count)| **count).chain(orphans.values().copied()));
        let mut same = 0_u64;
        // Below one port, and inside one device, what is hidden makes no difference.
        let mut in_device: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        let is_function = |at: u32| self.node(at).kind.facing().is_none();
        for (at, count) in hidden {
            if is_function(**at) {
                let sizes = in_device.entry(self.node(**at).device).or_default();
                sizes.0 = sizes.0.saturating_add(**count);
            } else {
                same = same.saturating_add(among(**count));
            }
        }
        for top in tops.iter().filter(|top| is_function(top.at)) {
            if let Some(sizes) = in_device.get_mut(&top.device) {
                sizes.1 = sizes.1.saturating_add(top.count);
            }
        }
        same = in_device
            .values()
            .fold(same, |sum, (a, b)| sum.saturating_add(among(*a)).saturating_add(both(*a, *b)));
        // What hangs on one bridge is that bridge's: a port between them is missing, not the bridge.
        let mut attached: BTreeMap<u32, u64> = BTreeMap::new();
        for (bus, count) in orphans {
            let first = self.topology.on_bus(*bus as usize).start as u32;
            let size = attached.entry(self.attached_to(first)).or_default();
            *size = size.saturating_add(*count);
        }
        for (to, count) in &attached {
            let beside = below.get(to).copied().unwrap_or(0);
            same = same.saturating_add(among(*count)).saturating_add(both(*count, beside));
        }
        missing.pairs = among(apart).saturating_add(both(apart, known)).saturating_sub(same);
        missing.open = hidden.iter().map(|(at, _)| **at as FunctionIndex).collect();
        for bus in orphans.keys() {
            missing.open.extend(self.topology.on_bus(*bus as usize));
        }
        missing.open.sort_unstable();
        missing.others = tops.iter().map(|top| top.at as FunctionIndex).collect();
        Some(missing)
    }
}

impl Unsettled {
    const fn new(reason: Reason) -> Self {
        Self { reason, pairs: 0, open: Vec::new(), others: Vec::new() }
    }

    fn list<'t>(&mut self, tops: impl Iterator<Item = &'t Top>) {
        for top in tops {
            let open = top.closed.iter().any(|closed| *closed < top.count);
            let list = if open { &mut self.open } else { &mut self.others };
            list.push(top.at as FunctionIndex);
        }
    }
}
