//! What a change does to pairs, as JSON.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::report::words::address;
use crate::route::effect::{Effect, Turn};
use crate::topology::Topology;

/// Addresses, of which several effects may speak.
#[derive(Clone, Debug, JsonSchema)]
#[non_exhaustive]
pub struct Addresses(#[schemars(with = "Vec<String>")] Arc<[String]>);

impl Deref for Addresses {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Pairs whose answers change alike.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct EffectDocument {
    /// The initiators: functions that answer alike.
    pub from: Addresses,
    /// The targets.
    pub to: Addresses,
    /// How the pairs stand to each other: `same-device`, `same-bus`, `apart`.
    pub relation: &'static str,
    /// How many pairs.
    pub pairs: u64,
    /// `opens`, `closes`, or `both`.
    pub change: &'static str,
    /// Classes of transaction that change.
    pub turns: Vec<TurnDocument>,
}

/// One class of transaction before and after.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct TurnDocument {
    /// Class of transaction.
    pub tlp: &'static str,
    /// What became of it.
    pub before: &'static str,
    /// What becomes of it.
    pub after: &'static str,
    /// Code of the reason after the change.
    pub reason: &'static str,
}

/// Describes effects.
#[must_use]
pub fn effects(topology: &Topology, effects: &[Effect]) -> Vec<EffectDocument> {
    let turn = |turn: &Turn| TurnDocument {
        tlp: turn.tlp.word(),
        before: turn.before.0.word(),
        after: turn.after.0.word(),
        reason: turn.after.1.code(),
    };
    // No function is in two classes, so that its first member names one.
    let mut known: BTreeMap<Option<usize>, Addresses> = BTreeMap::new();
    let mut list = |members: &[usize]| {
        let addresses = || Addresses(members.iter().map(|index| address(topology, *index)).collect());
        known.entry(members.first().copied()).or_insert_with(addresses).clone()
    };
    let document = |effect: &Effect| EffectDocument {
        from: list(&effect.from.members),
        to: list(&effect.to.members),
        relation: effect.relation.word(),
        pairs: effect.pairs,
        change: match (effect.opens(), effect.closes()) {
            (true, false) => "opens",
            (false, _) => "closes",
            (true, true) => "both",
        },
        turns: effect.turns.iter().map(turn).collect(),
    };
    effects.iter().map(document).collect()
}
