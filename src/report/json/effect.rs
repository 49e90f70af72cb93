//! What a change does to pairs, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::report::words::address;
use crate::route::effect::{Effect, Turn};
use crate::topology::Topology;

/// Pairs whose answers change alike.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EffectDocument {
    /// The initiators: functions that answer alike.
    pub from: Vec<String>,
    /// The targets.
    pub to: Vec<String>,
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
    let list = |members: &[usize]| members.iter().map(|index| address(topology, *index)).collect();
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
