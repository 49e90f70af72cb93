//! Bonds between functions of different groups: where a model's groups keep apart what is not.
//!
//! A domain keeps one pair for each merge, and that pair may lie inside a group. Here the groups are
//! joined first, and then all that the domains join: what still joins something lies across. One that
//! is direct is found before any other, so that no worse one is missed, and no pairs are enumerated.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::lists::Lists;
use super::runs::Runs;
use super::{HeldBy, Merge};
use crate::route::fabric::Fabric;
use crate::route::{Assumptions, Disposition};
use crate::topology::FunctionIndex;

impl Fabric<'_> {
    /// Bonds between functions of different groups, proved ones first: of functions that bonds and groups
    /// hold together, the worst bond across is among them. Functions without a group take no part.
    pub(in crate::route) fn bonds_across(
        &self,
        assumptions: &Assumptions,
        groups: &[Option<usize>],
    ) -> Vec<Merge> {
        let assumptions = Assumptions { hostile: true, ..*assumptions };
        let group = |function: usize| groups.get(function).copied().flatten();
        let is_left_out = |function: usize| self.initiates(function) && group(function).is_none();
        let without = (0..self.nodes().len()).any(is_left_out).then(|| self.without(is_left_out));
        let fabric = without.as_ref().unwrap_or(self);
        let runs = Runs::new(fabric, &assumptions);
        let mut lists = Lists::new(fabric.nodes().len(), assumptions.count_relaxed_and_io);
        let mut first_of: BTreeMap<usize, u32> = BTreeMap::new();
        let grouped = (0..fabric.nodes().len()).filter(|function| fabric.initiates(*function));
        for (function, group) in grouped.filter_map(|function| Some((function as u32, group(function)?))) {
            let first = *first_of.entry(group).or_insert(function);
            lists.joiner.join(first, function);
        }
        lists.joiner.between = Some(Vec::new());
        fabric.join_all(&assumptions, true, &runs, &mut lists);
        fabric.join_all(&assumptions, false, &runs, &mut lists);
        let between = lists.joiner.between.take().unwrap_or_default();
        let across = |(merge, (p, q)): (&Merge, (u32, u32))| {
            // What came together is all that is sent and all that it is sent to: one of the two is of
            // another group than the one or the other end.
            let ends = [merge.from, merge.to, p as usize, q as usize];
            let pairs = ends.into_iter().flat_map(|from| ends.map(|to| (from, to)));
            pairs
                .filter(|(from, to)| {
                    group(*from).is_some() && group(*to).is_some() && group(*from) != group(*to)
                })
                .filter_map(|(from, to)| self.bond(from, to, &assumptions))
                .min_by_key(|bond| bond.held_by)
        };
        lists.joiner.merges.iter().zip(between).filter_map(across).collect()
    }

    /// The worst that keeps `from` from being isolated from `to`, if anything does.
    #[must_use]
    pub fn bond(&self, from: FunctionIndex, to: FunctionIndex, assumptions: &Assumptions) -> Option<Merge> {
        let impersonation = || {
            let why = self.impersonation(from, to, assumptions)?;
            let (held_by, reason) = match why.missing() {
                None => (HeldBy::Impersonation, None),
                Some(missing) => (HeldBy::Unproven, Some(missing)),
            };
            Some(Merge { held_by, from, to, class: None, reason })
        };
        let of_class = |class| {
            let (disposition, reason) = self.disposition(from, to, class, assumptions);
            let held_by = match disposition {
                Disposition::Direct => HeldBy::Direct,
                _ => HeldBy::Unproven,
            };
            let merges = assumptions.merges(disposition, reason);
            merges.then_some(Merge { held_by, from, to, class: Some(class), reason: Some(reason) })
        };
        let traffic = assumptions.counted().filter_map(of_class);
        traffic.chain(core::iter::once_with(impersonation).flatten()).min_by_key(|bond| bond.held_by)
    }
}
