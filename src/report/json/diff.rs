//! `acsscan diff` as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::effect::{EffectDocument, effects};
use crate::diff::{Cause, Diff, Regrouped};
use crate::report::words::address;
use crate::topology::{FunctionIndex, Topology};

/// What changed between two states of a machine. Addresses are those after the change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DiffDocument {
    /// What the first state was read from.
    pub old: String,
    /// What the second state was read from; it is what `source` describes.
    pub new: String,
    /// Whether nothing changed but bus numbers; where `pairs` is `null`, as far as all else tells.
    pub alike: bool,
    /// How many functions of the second are in the first, too, in whatever place.
    pub matched: usize,
    /// Functions that are only in the second.
    pub added: Vec<String>,
    /// Functions that are only in the first, by their address there.
    pub removed: Vec<String>,
    /// The same functions, with what they are.
    pub added_functions: Vec<PlaceDocument>,
    /// The same functions, with what they are.
    pub removed_functions: Vec<PlaceDocument>,
    /// Places that another device has taken.
    pub replaced: Vec<FromToDocument>,
    /// Functions that stand elsewhere.
    pub moved: Vec<FromToDocument>,
    /// How many functions have another address in the same place.
    pub renumbered: usize,
    /// What changed in registers.
    pub registers: Vec<RegisterDocument>,
    /// Isolation domains that changed.
    pub domains: Vec<RegroupedDocument>,
    /// Linux's groups, as predicted, that changed.
    pub groups: Vec<RegroupedDocument>,
    /// The running kernel's groups that changed, where both have them.
    pub kernel_groups: Vec<RegroupedDocument>,
    /// Pairs that changed, over classes of functions; `null` where there are too many classes.
    pub pairs: Option<Vec<EffectDocument>>,
    /// Findings that came and went.
    pub finding_changes: Vec<FindingChangeDocument>,
}

/// Before and after.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FromToDocument {
    /// Address before.
    pub from: String,
    /// Address after.
    pub to: String,
    /// What it was, and where.
    pub was: PlaceDocument,
    /// What it is, and where.
    pub is: PlaceDocument,
}

/// One function of one of the two states.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlaceDocument {
    /// Its address there.
    pub address: String,
    /// The way down to it from a root bus, which does not depend on the numbers of the buses between, such as
    /// `0000:00:1c.0/00.0`; `null` where it is not in the dump.
    pub path: Option<String>,
    /// `vendor:device`; `null` where they were not captured.
    pub ids: Option<String>,
}

impl PlaceDocument {
    fn new(topology: &Topology, index: FunctionIndex) -> Self {
        Self {
            address: address(topology, index),
            path: topology.place_of(index).map(|place| place.to_string()),
            ids: topology.ids(index).map(|(vendor, device)| format!("{vendor:04x}:{device:04x}")),
        }
    }
}

/// One register of one function.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RegisterDocument {
    /// The function.
    pub function: String,
    /// Name of the register.
    pub register: &'static str,
    /// What it read.
    pub was: String,
    /// What it reads.
    pub is: String,
}

/// A part of a partition that is not what it was.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RegroupedDocument {
    /// How the functions were together.
    pub before: Vec<Vec<String>>,
    /// How they are together.
    pub after: Vec<Vec<String>>,
    /// What caused it.
    pub cause: CauseDocument,
}

/// What caused a change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CauseDocument {
    /// Changes of registers.
    pub registers: Vec<RegisterDocument>,
    /// Whether each of them alone makes a difference; otherwise all together, as far as is known.
    pub each_alone: bool,
    /// Functions that came.
    pub added: Vec<String>,
    /// Functions that went.
    pub removed: Vec<String>,
}

/// Functions that a finding is new about, or no longer about.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FindingChangeDocument {
    /// Code of the finding.
    pub code: &'static str,
    /// `appeared` or `disappeared`.
    pub change: &'static str,
    /// The functions.
    pub functions: Vec<String>,
    /// Its message, where it is about no function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl DiffDocument {
    /// Describes a difference.
    #[must_use]
    pub fn new((old, new): (&Topology, &Topology), (from, to): (&str, &str), diff: &Diff) -> Self {
        let matching = &diff.matching;
        let from_to = |(was, is): &(FunctionIndex, FunctionIndex)| {
            let (was, is) = (PlaceDocument::new(old, *was), PlaceDocument::new(new, *is));
            FromToDocument { from: was.address.clone(), to: is.address.clone(), was, is }
        };
        let places = |topology: &Topology, indices: &[FunctionIndex]| -> Vec<PlaceDocument> {
            indices.iter().map(|index| PlaceDocument::new(topology, *index)).collect()
        };
        let register = |n: &usize| {
            let change = diff.registers.get(*n)?;
            Some(RegisterDocument {
                function: address(new, change.after),
                register: change.register,
                was: change.was.clone(),
                is: change.is.clone(),
            })
        };
        let list = |topology: &Topology, indices: &[usize]| -> Vec<String> {
            indices.iter().map(|index| address(topology, *index)).collect()
        };
        let cause = |cause: &Cause| CauseDocument {
            registers: cause.registers.iter().filter_map(register).collect(),
            each_alone: cause.each_alone,
            added: list(new, &cause.added),
            removed: list(old, &cause.removed),
        };
        let part = |part: &Regrouped| RegroupedDocument {
            before: part.before.iter().map(|part| list(new, part)).collect(),
            after: part.after.iter().map(|part| list(new, part)).collect(),
            cause: cause(&part.cause),
        };
        let parts = |parts: &[Regrouped]| parts.iter().map(part).collect();
        Self {
            old: from.to_owned(),
            new: to.to_owned(),
            alike: diff.is_alike(),
            matched: matching.places.iter().flatten().count(),
            added: list(new, &matching.added),
            removed: list(old, &matching.removed),
            added_functions: places(new, &matching.added),
            removed_functions: places(old, &matching.removed),
            replaced: matching.replaced.iter().map(from_to).collect(),
            moved: matching.moved.iter().map(from_to).collect(),
            renumbered: matching.renumbered,
            registers: (0..diff.registers.len()).filter_map(|n| register(&n)).collect(),
            domains: parts(&diff.domains),
            groups: parts(&diff.groups),
            kernel_groups: parts(&diff.kernel_groups),
            pairs: diff.pairs.as_ref().ok().map(|pairs| effects(new, pairs)),
            finding_changes: diff
                .findings
                .iter()
                .map(|change| FindingChangeDocument {
                    code: change.code.as_str(),
                    change: if change.appeared { "appeared" } else { "disappeared" },
                    functions: change.functions.iter().map(ToString::to_string).collect(),
                    message: change.message.clone(),
                })
                .collect(),
        }
    }
}
