//! Root buses: what shares a device there, what is hidden, orphans, and the root complex itself.

use alloc::vec::Vec;

use super::lists::{Below, Which};
use super::pass::{Pass, Source, Unit};
use super::runs::Child;
use crate::route::fabric::{BusKind, Kind, NONE, has_egress_control};
use crate::route::port::TlpClass;
use crate::route::{Disposition, Reason};

impl Pass<'_, '_> {
    /// On a root bus: devices with root ports in them.
    pub(super) fn root_bus(&mut self, units: &mut [Unit], children: &[Child]) {
        let mut start = 0;
        while let Some(device) = units.get(start).map(|unit| unit.device) {
            let end = units
                .iter()
                .skip(start)
                .take_while(|unit| unit.device == device)
                .count()
                .saturating_add(start);
            for n in start..end {
                for m in (start..end).filter(|m| *m != n) {
                    self.in_root_device(units, n, m, children);
                }
            }
            start = end.max(start.saturating_add(1));
        }
    }

    /// From one unit to another of the same device on a root bus. The functions that are no ports have
    /// each their own ACS.
    fn in_root_device(&mut self, units: &mut [Unit], n: usize, m: usize, children: &[Child]) {
        let Some(unit) = units.get(n) else { return };
        let members_of = |unit: &Unit| children.get(unit.children.0..unit.children.1).unwrap_or_default();
        if unit.port {
            let targets = units.get(m).map(members_of).unwrap_or_default();
            if targets.iter().any(|child| self.fabric.is_hidden(self.fabric.node(child.2))) {
                // Which of the device's functions are hidden makes a difference.
                let Some(x) = units.get_mut(n) else { return };
                for (_, _, y, _) in targets.iter().filter(|child| self.fabric.initiates(child.2 as usize)) {
                    let mut own = self.single(*y, self.fabric.node(*y));
                    self.one_way(x.at, &mut x.below, *y, &mut own);
                }
                return;
            }
            self.pair(units, n, m, false);
            return;
        }
        let members = members_of(unit);
        for (_, _, x, _) in members {
            let node = self.fabric.node(*x);
            let mut own = match node.kind {
                Kind::Leaf => self.single(*x, node),
                _ => self.past(*x, node),
            };
            let Some(y) = units.get_mut(m) else { return };
            let at = y.at;
            if node.kind == Kind::Leaf {
                self.one_way(*x, &mut own, at, &mut y.below);
            } else {
                self.part_of_unit(*x, &own, at, &mut y.below);
            }
        }
    }

    /// From below a bridge whose lists have become part of its unit's.
    fn part_of_unit(&mut self, x: u32, from: &Below, y: u32, to: &mut Below) {
        for n in 0..self.classes.len() {
            if let Some((e, t, why)) = self.way(n, (x, from), (y, to)) {
                self.lists.join_within(from.get(e), e, &why);
                self.lists.collapse(to, t, &why);
                self.lists.join(from.get(e).first(), to.get(t).first(), &why);
            }
        }
    }

    /// What hangs on one bridge without those between being in the dump: orphans among themselves, and
    /// with what is known to be below the bridge.
    pub(super) fn orphans(&mut self, tops: &mut [Unit]) {
        let is_orphan = |at: u32| self.fabric.bus_kind(self.fabric.node(at).bus) == BusKind::Orphan;
        let mut attached: Vec<(u32, usize)> = Vec::new();
        for (n, unit) in tops.iter().enumerate().filter(|(_, unit)| is_orphan(unit.at)) {
            attached.push((self.fabric.attached_to(unit.at), n));
        }
        attached.sort_unstable();
        for together in attached.chunk_by(|a, b| a.0 == b.0) {
            let Some(((bridge, first), rest)) = together.split_first() else { continue };
            let first_of = |n: usize| tops.get(n).map_or(NONE, |unit| unit.below.get(Which::All).first());
            let class = TlpClass::MemoryUntranslated;
            let to = first_of(*first);
            let why = |from| self.joins(from, to, class, Disposition::Undetermined, Reason::PortNotInDump);
            let merges: Vec<_> = rest.iter().filter_map(|(_, n)| Some((*n, why(first_of(*n))?))).collect();
            let below = self.past(*bridge, self.fabric.node(*bridge)).get(Which::All);
            let beside = why(below.first()).filter(|_| !below.is_empty() && !is_orphan(*bridge));
            for (n, why) in merges {
                self.unite_units(tops, &Source { unit: n, part: None, class, why }, *first, Which::All);
            }
            if let (Some(why), Some(orphan)) = (beside, tops.get_mut(*first)) {
                self.lists.join_within(below, Which::All, &why);
                self.lists.collapse(&mut orphan.below, Which::All, &why);
                self.lists.join(below.first(), to, &why);
            }
        }
    }

    /// Through a root complex that is not assumed to isolate.
    pub(super) fn root_complex(&mut self, tops: &mut [Unit]) {
        let mut sources: Vec<Source> = Vec::new();
        // What is hidden is undetermined for all, and asks for itself; another stands for the rest. One of
        // another device than a unit's own is among the first of two devices.
        let is_plain = |at: &u32| {
            let node = self.fabric.node(*at);
            self.fabric.bus_kind(node.bus) == BusKind::Root && !self.fabric.is_hidden(node)
        };
        let others = || tops.iter().filter(|unit| !unit.below.is_empty());
        let any_of_two =
            of_two_devices(others().map(|u| (u.device, (u.at, u.below.get(Which::All).first()))));
        let plain_of_two = of_two_devices(others().flat_map(|u| {
            let ats = core::iter::once(u.at).chain(u.members.iter().copied());
            ats.filter(is_plain).map(|at| (u.device, at))
        }));
        for n in 0..tops.len() {
            let Some(unit) = tops.get(n) else { break };
            let by_pair = unit.port && has_egress_control(self.fabric.node(unit.at));
            let Some((any, to)) = not_of(&any_of_two, unit.device) else { continue };
            let plain = not_of(&plain_of_two, unit.device);
            // In a device, each function may have its own ACS.
            let alone = [unit.at];
            let members: &[u32] = if unit.members.is_empty() { &alone } else { &unit.members };
            for x in members {
                let node = self.fabric.node(*x);
                let part = match (unit.members.is_empty(), node.kind) {
                    (true, _) => None,
                    (false, Kind::Leaf) => Some(self.single(*x, node)),
                    (false, _) => Some(self.past(*x, node)),
                };
                for class in 0..self.classes.len() {
                    let Some(class) = self.classes.get(class).copied() else { break };
                    let from = part.as_ref().unwrap_or(&unit.below).get(Which::from(class));
                    if from.is_empty() || (by_pair && class.is_memory()) {
                        continue;
                    }
                    let Some(y) = plain.or((!is_plain(x)).then_some(any)) else { continue };
                    if let Some(why) = self.asks(*x, y, from.first(), to, class) {
                        sources.push(Source { unit: n, part, class, why });
                    }
                }
            }
            if by_pair {
                for m in (0..tops.len()).filter(|m| *m != n) {
                    self.pair(tops, n, m, true);
                }
            }
        }
        self.escape(tops, &sources);
    }
}

/// The first item, and the first of another device.
fn of_two_devices<T: Copy>(items: impl Iterator<Item = (u32, T)>) -> [Option<(u32, T)>; 2] {
    let (mut first, mut second) = (None, None);
    for item in items {
        match first {
            None => first = Some(item),
            Some((device, _)) if device == item.0 => {}
            Some(_) => {
                second = Some(item);
                break;
            }
        }
    }
    [first, second]
}

/// The first that is not of this device.
fn not_of<T: Copy>(of_two: &[Option<(u32, T)>; 2], device: u32) -> Option<T> {
    of_two.iter().flatten().find(|(other, _)| *other != device).map(|(_, item)| *item)
}
