//! What a change does to pairs: the answers before and after, over classes of functions.
//!
//! Functions that routing can tell apart neither before nor after are one class, so that the list stays
//! short on machines of any size and still speaks for every pair.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::fabric::{Fabric, NONE};
use super::matrix::{Class, Meeting, Meetings, Relation, TooManyCells};
use super::port::TlpClass;
use super::{Assumptions, Disposition, Reason};
use crate::topology::FunctionIndex;

/// One class of transaction before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// The class of transaction.
    pub tlp: TlpClass,
    /// What became of it.
    pub before: (Disposition, Reason),
    /// What becomes of it.
    pub after: (Disposition, Reason),
}

impl Turn {
    /// Whether the pair is less safe than before.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.after.0 < self.before.0
    }
}

/// Pairs whose answers change alike.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effect {
    /// The initiators, by index after the change.
    pub from: Arc<Class>,
    /// The targets.
    pub to: Arc<Class>,
    /// How the pairs stand to each other.
    pub relation: Relation,
    /// How many bridges are above the bus where their ways part.
    pub level: u8,
    /// How many pairs.
    pub pairs: u64,
    /// The classes of transaction that change.
    pub turns: Vec<Turn>,
}

impl Effect {
    /// Whether any class becomes less safe.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.turns.iter().any(Turn::opens)
    }

    /// Whether any class becomes safer.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.turns.iter().any(|turn| turn.after.0 > turn.before.0)
    }

    /// Every pair that it speaks for.
    pub fn each<'e>(
        &'e self,
        after: &'e Fabric<'_>,
    ) -> impl Iterator<Item = (FunctionIndex, FunctionIndex)> + 'e {
        let pairs = self.from.members.iter().flat_map(|s| self.to.members.iter().map(move |t| (*s, *t)));
        pairs.filter(|(s, t)| s != t && after.stand(*s, *t) == (self.relation, self.level))
    }
}

/// What changes between two states of a machine. `places` has, for each function after, where it was
/// before; functions without a place take no part, and no more do those that stand otherwise to their
/// neighbours.
///
/// # Errors
///
/// More cells than a [matrix](super::matrix::MAX_CELLS) is made for.
pub fn effects(
    before: &Fabric<'_>,
    after: &Fabric<'_>,
    places: &[Option<FunctionIndex>],
    assumptions: &Assumptions,
) -> Result<Vec<Effect>, TooManyCells> {
    let mut class_before: BTreeMap<FunctionIndex, usize> = BTreeMap::new();
    for (number, class) in before.classes(&[]).0.iter().enumerate() {
        class_before.extend(class.members.iter().map(|member| (*member, number)));
    }
    let mut refined: BTreeMap<(usize, usize), Class> = BTreeMap::new();
    for (number, class) in after.classes(&[]).0.into_iter().enumerate() {
        for member in &class.members {
            let place = places.get(*member).copied().flatten();
            let Some(was) = place.and_then(|place| class_before.get(&place)) else { continue };
            let empty = || Class { label: class.label, members: Vec::new() };
            refined.entry((*was, number)).or_insert_with(empty).members.push(*member);
        }
    }
    let mut classes: Vec<Class> = refined.into_values().collect();
    classes.sort_by_key(|class| class.members.first().copied());
    let place = |index: FunctionIndex| places.get(index).copied().flatten();
    let mut class_of = vec![NONE; after.topology().functions().len()];
    for (id, class) in (0_u32..).zip(&classes) {
        for member in &class.members {
            if let Some(slot) = class_of.get_mut(*member) {
                *slot = id;
            }
        }
    }
    let Some(meetings) = Meetings::new(after, &class_of).pairs() else {
        return Err(TooManyCells { classes: classes.len() });
    };
    let shared: Vec<Arc<Class>> = classes.into_iter().map(Arc::new).collect();
    let mut found = Vec::new();
    for (Meeting { from, to, relation, level }, ((s, t), pairs)) in meetings {
        let (Some(from), Some(to)) = (shared.get(from), shared.get(to)) else { continue };
        let (Some(old_s), Some(old_t)) = (place(s), place(t)) else { continue };
        if before.stand(old_s, old_t) != (relation, level) {
            continue;
        }
        let turn = |tlp| {
            let was = before.disposition(old_s, old_t, tlp, assumptions);
            let is = after.disposition(s, t, tlp, assumptions);
            (was.0 != is.0).then_some(Turn { tlp, before: was, after: is })
        };
        let turns: Vec<Turn> = assumptions.counted().filter_map(turn).collect();
        if !turns.is_empty() {
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            found.push(Effect { from, to, relation, level, pairs, turns });
        }
    }
    Ok(found)
}
