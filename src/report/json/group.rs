//! Groups as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{AcceptedDocument, EvidenceDocument};
use crate::kernel::{self, Host};
use crate::report::clean;
use crate::report::words::{self, address};
use crate::route::compare;
use crate::route::linux::{Group, Grouping, Linux};
use crate::topology::Topology;

/// Whether a group rests on guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Certainty {
    /// Everything that it rests on was captured.
    Certain,
    /// It is the best guess.
    Predicted,
}

/// One group.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct GroupDocument {
    /// Number, by the lowest address; it means nothing beyond this document.
    pub id: usize,
    /// Its functions.
    pub functions: Vec<String>,
    /// Whether it rests on guesses.
    pub certainty: Certainty,
    /// The guesses.
    pub depends_on: Vec<String>,
    /// Why each function but the first is in it.
    pub why: Vec<WhyDocument>,
}

/// Why one function joined a group.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct WhyDocument {
    /// The function.
    pub function: String,
    /// The function that made it join: a port, a bridge, a sibling.
    pub hop: String,
    /// `path-does-not-isolate`, `requester-id`, `multi-function`, `requester-id-alias`, `kernel-says`.
    pub cause: &'static str,
    /// What that rests on.
    pub evidence: Vec<EvidenceDocument>,
    /// Who accepted it, and until when, where somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AcceptedDocument>,
}

/// A group that the running kernel formed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct KernelGroupDocument {
    /// Its number.
    pub id: u32,
    /// Its functions.
    pub functions: Vec<String>,
}

/// Groups of the model and of the kernel that share functions and are not the same.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DifferenceDocument {
    /// `id` in `groups`.
    pub groups: Vec<usize>,
    /// `id` in `kernel_groups`.
    pub kernel_groups: Vec<u32>,
    /// The functions.
    pub functions: Vec<String>,
    /// What may be the reason, the surest first.
    pub explanations: Vec<ExplanationDocument>,
}

/// Why the running kernel may have formed another group.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ExplanationDocument {
    /// `override-patch`, `registers-changed`, `kernel-version`, `quirk`, `hot-plug`, `not-captured`,
    /// `unexplained`.
    pub cause: &'static str,
    /// One sentence.
    pub text: String,
}

/// All groups of a partition, each described when it is asked for.
pub fn groups<'a>(
    linux: &'a Linux<'_>,
    grouping: &'a Grouping,
) -> impl Iterator<Item = GroupDocument> + Clone + 'a {
    grouping.groups.iter().enumerate().map(|(id, group)| GroupDocument::new(linux, id, group))
}

/// The functions that are in no group.
#[must_use]
pub fn ungrouped(topology: &Topology, grouping: &Grouping) -> Vec<String> {
    let outside = grouping.group_of.iter().enumerate().filter(|(_, group)| group.is_none());
    outside.map(|(index, _)| address(topology, index)).collect()
}

/// The running kernel's groups; `None` if the dump has none.
#[must_use]
pub fn kernel_groups(topology: &Topology) -> Option<Vec<KernelGroupDocument>> {
    let mut groups: Vec<KernelGroupDocument> = Vec::new();
    let mut place: BTreeMap<u32, usize> = BTreeMap::new();
    for (index, group) in compare::kernel_groups(topology).into_iter().enumerate() {
        let Some(id) = group else { continue };
        let at = *place.entry(id).or_insert_with(|| {
            groups.push(KernelGroupDocument { id, functions: Vec::new() });
            groups.len().saturating_sub(1)
        });
        groups.get_mut(at).into_iter().for_each(|group| group.functions.push(address(topology, index)));
    }
    (!groups.is_empty()).then_some(groups)
}

/// Where the model and the running kernel differ; `None` if the dump has no groups of a kernel.
#[must_use]
pub fn differences(
    linux: &Linux<'_>,
    grouping: &Grouping,
    host: Option<&Host>,
) -> Option<Vec<DifferenceDocument>> {
    let topology = linux.topology();
    let kernel = compare::kernel_groups(topology);
    kernel.iter().any(Option::is_some).then(|| {
        let found = compare::differences(&grouping.group_of, &kernel);
        let explanations = |difference: &compare::Difference<usize, u32>| {
            let found = kernel::explain(linux, grouping, host, difference).into_iter();
            found.map(|e| ExplanationDocument { cause: e.cause, text: clean(&e.text).into_owned() }).collect()
        };
        let document = |difference: compare::Difference<usize, u32>| DifferenceDocument {
            explanations: explanations(&difference),
            groups: difference.first.into_iter().collect(),
            kernel_groups: difference.second.into_iter().collect(),
            functions: difference.functions.iter().map(|index| address(topology, *index)).collect(),
        };
        found.into_iter().map(document).collect()
    })
}

impl GroupDocument {
    fn new(linux: &Linux<'_>, id: usize, group: &Group) -> Self {
        let topology = linux.topology();
        let why = |join: &crate::route::linux::Join| WhyDocument {
            function: address(topology, join.function),
            hop: address(topology, join.hop),
            cause: join.cause.code(),
            evidence: join.evidence(linux).iter().map(EvidenceDocument::from).collect(),
            accepted: None,
        };
        let mut joins = group.joins.clone();
        joins.sort_unstable_by_key(|join| join.function);
        Self {
            id,
            functions: group.functions.iter().map(|index| address(topology, *index)).collect(),
            certainty: if group.is_certain() { Certainty::Certain } else { Certainty::Predicted },
            depends_on: group.depends_on.iter().map(|d| words::dependency(linux, *d)).collect(),
            why: joins.iter().map(why).collect(),
        }
    }
}
