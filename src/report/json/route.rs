//! Routes, domains and what models disagree on, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::{AcceptedDocument, EvidenceDocument};
use crate::db::Acceptance;
use crate::report::Reach;
use crate::report::words::{self, address};
use crate::route::compare::Difference;
use crate::route::disagree::Disagreement;
use crate::route::domains::{IsolationDomain, Merge, Unsettled};
use crate::route::evidence::Evidence;
use crate::route::fabric::Fabric;
use crate::route::matrix::{Cell, Matrix};
use crate::route::p2pdma::Mapping;
use crate::route::port::TlpClass;
use crate::route::trace::{Gate, Hop, Route};
use crate::route::{Assumptions, Disposition, Reason};
use crate::topology::{FunctionIndex, Topology};

/// One isolation domain.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DomainDocument {
    /// Number, by the lowest address; it means nothing beyond this document.
    pub id: usize,
    /// Its functions.
    pub functions: Vec<String>,
    /// The weakest bond that holds it together: `direct`, `impersonation`, `unproven`; `null` for a
    /// function that is alone.
    pub held_by: Option<&'static str>,
    /// What forced each merge, proved bonds first.
    pub why: Vec<MergeDocument>,
    /// The parts that would remain if all unknowns were answered well; empty if it would stay whole.
    pub remains: Vec<Vec<String>>,
    /// The database entries that the ACS of its functions rests on.
    pub database: Vec<EvidenceDocument>,
}

/// Why functions came together: the first pair that forced it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MergeDocument {
    /// `direct`, `impersonation`, `unproven`.
    pub held_by: &'static str,
    /// The initiator.
    pub from: String,
    /// The target.
    pub to: String,
    /// Class of transaction; `null` for impersonation.
    pub tlp: Option<&'static str>,
    /// Code of the reason; `null` for impersonation that is proved.
    pub reason: Option<&'static str>,
    /// The reason in words.
    pub message: String,
    /// What decided.
    pub evidence: Vec<EvidenceDocument>,
    /// Who accepted it, and until when; `null` if nobody did.
    pub accepted: Option<AcceptedDocument>,
}

/// `acsscan p2p`: what becomes of transactions of one function towards another.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct P2pDocument {
    /// The initiator.
    pub from: String,
    /// The target.
    pub to: String,
    /// The model: `spec`.
    pub model: String,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// One route for each class of transaction.
    pub routes: Vec<RouteDocument>,
    /// Whether one may use the other's requester ID.
    pub impersonation: ImpersonationDocument,
    /// What the kernel's p2pdma would answer, with the target as provider of the memory.
    pub p2pdma: P2pdmaDocument,
}

/// The way of one class of transaction.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RouteDocument {
    /// `memory-untranslated`, `memory-translated`, `completion`, `completion-relaxed`, `io`.
    pub tlp: &'static str,
    /// `direct`, `redirected`, `blocked`, `undetermined`.
    pub disposition: &'static str,
    /// Code of the reason.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// The hops in order.
    pub hops: Vec<HopDocument>,
    /// What else must be open for the route to work as configured.
    pub gates: Vec<GateDocument>,
    /// The requester ID that arrives, where a bridge puts its own in place of the initiator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substituted_requester: Option<String>,
    /// Who accepted what is left open, and until when; `null` if nobody did.
    pub accepted: Option<AcceptedDocument>,
}

/// `acsscan p2p --matrix`: classes of functions that answer alike, against each other.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MatrixDocument {
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// The classes.
    pub classes: Vec<ClassDocument>,
    /// The answer for each two classes, and for each way in which their functions can stand to each other.
    pub cells: Vec<CellDocument>,
}

/// Functions that answer alike.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ClassDocument {
    /// Number, by the lowest address.
    pub id: usize,
    /// `gpu`, `nic`, `nvme`, `storage`, `accelerator`, `usb`, `other`.
    pub label: &'static str,
    /// The functions.
    pub members: Vec<String>,
}

/// One cell.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CellDocument {
    /// `id` of the initiators' class.
    pub from: usize,
    /// `id` of the targets' class.
    pub to: usize,
    /// `same-device`, `same-bus`, `bridges-of-one-device`, `apart`, `other-root-bus`.
    pub relation: &'static str,
    /// How many bridges are above the bus where the ways of the two part; 0 on and between root buses.
    pub level: u8,
    /// The class of transaction that decides: the least safe that counts.
    pub tlp: &'static str,
    /// `direct`, `redirected`, `blocked`, `undetermined`.
    pub disposition: &'static str,
    /// Code of the reason.
    pub reason: &'static str,
    /// Who accepted it for all of either class, and until when; `null` if nobody did.
    pub accepted: Option<AcceptedDocument>,
    /// Whether the initiators may use the targets' requester IDs; `null` if that is not known. Such pairs
    /// are not isolated, whatever becomes of transactions.
    pub impersonation: Option<bool>,
}

/// Pairs that only an assumption keeps apart.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct UnsettledDocument {
    /// Code of the reason: `root-complex`, `other-host-bridge`, `bridge-not-in-dump`.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// How many pairs of functions.
    pub pairs: u64,
    /// Root ports and functions on root buses that leave the way to the rest open.
    pub open: Vec<String>,
    /// The rest, towards which it is open.
    pub others: Vec<String>,
}

/// One hop.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct HopDocument {
    /// The function or port.
    pub function: String,
    /// The rule: `R1` to `R8`, `emission`, `ancestor`, `downstream`.
    pub rule: &'static str,
    /// What it decides.
    pub decision: &'static str,
    /// Code of the reason, where the hop decides the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What that rests on.
    pub evidence: Vec<EvidenceDocument>,
}

/// Something that must be open for a route to work.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct GateDocument {
    /// The function whose register it is.
    pub function: String,
    /// `initiator-bus-master`, `bus-master`, `decode`, `bar`, `window`.
    pub gate: &'static str,
    /// Whether it is open; `null` if the dump does not tell.
    pub open: Option<bool>,
}

/// Who may use whose requester ID.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ImpersonationDocument {
    /// Whether the initiator may use the target's requester ID; `null` if that is not known.
    pub from_as_to: Option<bool>,
    /// Whether the target may use the initiator's.
    pub to_as_from: Option<bool>,
    /// Why, in words.
    pub message: String,
    /// Who accepted it, and until when; `null` if nobody did.
    pub accepted: Option<AcceptedDocument>,
    /// The ports on the way up that let other requester IDs through.
    pub evidence: Vec<EvidenceDocument>,
}

/// What the kernel's p2pdma answers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct P2pdmaDocument {
    /// `bus-addr`, `thru-host-bridge`, `not-supported`.
    pub map_type: &'static str,
    /// Hops between the two, over their common bridge, or of both up to the root.
    pub distance: u32,
    /// Code of the reason.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// Whether it rests on something that is not in the dump.
    pub guessed: bool,
}

/// Where two models disagree.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DisagreementDocument {
    /// `separated-although-direct`, `separated-although-impersonation`, `separated-although-unproven`,
    /// `joined-although-isolated`: most dangerous first. `differ` where neither model is `spec`.
    pub kind: &'static str,
    /// The functions.
    pub functions: Vec<String>,
    /// `id` in the first model's groups.
    pub first: Vec<usize>,
    /// `id` in the second model's groups.
    pub second: Vec<usize>,
    /// The bond across the second model's groups, if that is what is wrong with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<MergeDocument>,
}

/// The acceptance of a cell: one that names all of either class.
#[must_use]
pub fn accepted_cell<'a>(reach: &Reach<'a>, matrix: &Matrix, cell: &Cell) -> Option<&'a Acceptance> {
    if cell.disposition.isolates() {
        return None;
    }
    let members = |class: usize| matrix.classes.get(class).map_or(&[][..], |class| &class.members);
    let of = |class| reach.accepted.of_all(members(class), cell.disposition == Disposition::Direct);
    of(cell.from).or_else(|| of(cell.to))
}

fn addresses(topology: &Topology, functions: impl IntoIterator<Item = FunctionIndex>) -> Vec<String> {
    functions.into_iter().map(|index| address(topology, index)).collect()
}

/// All domains, each described when it is asked for.
pub fn domains<'a>(reach: &'a Reach<'_>) -> impl Iterator<Item = DomainDocument> + 'a {
    reach.domains.iter().enumerate().map(|(id, one)| domain(reach, id, one))
}

/// One domain.
#[must_use]
pub fn domain(reach: &Reach<'_>, id: usize, domain: IsolationDomain<'_>) -> DomainDocument {
    let topology = reach.topology();
    let remains = domain.remains();
    let parts = remains.iter().map(|part| addresses(topology, part.iter().copied()));
    DomainDocument {
        id,
        functions: addresses(topology, domain.functions()),
        held_by: domain.held_by().map(|held_by| held_by.word()),
        why: domain.why().map(|merge| MergeDocument::new(reach, merge)).collect(),
        remains: if remains.len() > 1 { parts.collect() } else { Vec::new() },
        database: super::entries(reach, domain.functions()),
    }
}

impl MergeDocument {
    /// Describes a merge, with the evidence of the hop that decided its first pair.
    #[must_use]
    pub fn new(reach: &Reach<'_>, merge: &Merge) -> Self {
        let (fabric, assumptions) = (reach.fabric, reach.domains.assumptions());
        let forged = || {
            let why = fabric.impersonation(merge.from, merge.to, assumptions)?;
            Some(fabric.impersonation_words(merge.from, merge.to, why))
        };
        let message = match (merge.class, merge.reason) {
            (_, Some(reason)) => reason.to_string(),
            (None, None) => format!("one may use the other's requester ID: {}", forged().unwrap_or_default()),
            (Some(_), None) => String::new(),
        };
        Self {
            held_by: merge.held_by.word(),
            from: address(fabric.topology(), merge.from),
            to: address(fabric.topology(), merge.to),
            tlp: merge.class.map(TlpClass::word),
            reason: merge.reason.map(Reason::code),
            message,
            evidence: merge_evidence(fabric, assumptions, merge).iter().map(EvidenceDocument::from).collect(),
            accepted: reach.accepted.of_merge(fabric, merge, assumptions).map(AcceptedDocument::from),
        }
    }
}

/// What a merge rests on: the hop that decided its first pair, or the ports that let other requester IDs
/// through.
#[must_use]
pub fn merge_evidence(fabric: &Fabric<'_>, assumptions: &Assumptions, merge: &Merge) -> Vec<Evidence> {
    match merge.class {
        Some(class) => {
            let route = fabric.trace(merge.from, merge.to, class, assumptions);
            route.decisive().map(|hop| hop.evidence.clone()).unwrap_or_default()
        }
        None => fabric
            .impersonation(merge.from, merge.to, assumptions)
            .map(|why| fabric.impersonation_evidence(merge.from, why))
            .unwrap_or_default(),
    }
}

/// What keeps pairs apart by assumption only.
#[must_use]
pub fn unsettled(topology: &Topology, found: &[Unsettled]) -> Vec<UnsettledDocument> {
    let document = |found: &Unsettled| UnsettledDocument {
        reason: found.reason.code(),
        message: found.reason.to_string(),
        pairs: found.pairs,
        open: addresses(topology, found.open.iter().copied()),
        others: addresses(topology, found.others.iter().copied()),
    };
    found.iter().map(document).collect()
}

impl MatrixDocument {
    /// Describes a matrix; `assumptions` in words.
    #[must_use]
    pub fn new(reach: &Reach<'_>, matrix: &Matrix, assumptions: Vec<String>) -> Self {
        let topology = reach.topology();
        let classes = matrix.classes.iter().enumerate().map(|(id, class)| ClassDocument {
            id,
            label: class.label.word(),
            members: addresses(topology, class.members.iter().copied()),
        });
        let cells = matrix.cells.iter().map(|cell| CellDocument {
            from: cell.from,
            to: cell.to,
            relation: cell.relation.word(),
            level: cell.level,
            tlp: cell.tlp.word(),
            disposition: cell.disposition.word(),
            reason: cell.reason.code(),
            accepted: accepted_cell(reach, matrix, cell).map(AcceptedDocument::from),
            impersonation: cell.impersonation,
        });
        Self { assumptions, classes: classes.collect(), cells: cells.collect() }
    }
}

impl GateDocument {
    /// Describes a gate.
    #[must_use]
    pub fn new(topology: &Topology, gate: &Gate) -> Self {
        Self { function: address(topology, gate.function), gate: gate.kind.word(), open: gate.open }
    }
}

impl RouteDocument {
    /// Describes a route.
    #[must_use]
    pub fn new(reach: &Reach<'_>, route: &Route) -> Self {
        let topology = reach.topology();
        Self {
            tlp: route.class.word(),
            disposition: route.disposition.word(),
            reason: route.reason.code(),
            message: route.reason.to_string(),
            hops: route.hops.iter().map(|hop| HopDocument::new(topology, hop)).collect(),
            gates: route.gates.iter().map(|gate| GateDocument::new(topology, gate)).collect(),
            substituted_requester: route.substituted_requester.map(|requester| requester.to_string()),
            accepted: reach.accepted.of_route(route).map(AcceptedDocument::from),
        }
    }
}

impl HopDocument {
    fn new(topology: &Topology, hop: &Hop) -> Self {
        Self {
            function: address(topology, hop.function),
            rule: hop.rule.code(),
            decision: hop.decision.word(),
            reason: hop.decision.reason().map(Reason::code),
            evidence: hop.evidence.iter().map(EvidenceDocument::from).collect(),
        }
    }
}

impl P2pdmaDocument {
    /// Describes the kernel's answer.
    #[must_use]
    pub fn new(topology: &Topology, mapping: &Mapping) -> Self {
        Self {
            map_type: mapping.map_type.word(),
            distance: mapping.distance,
            reason: mapping.why.code(),
            message: words::p2pdma(topology, mapping),
            guessed: mapping.guessed,
        }
    }
}

impl DisagreementDocument {
    /// Describes groups of two models that are not the same, where neither says which is right.
    #[must_use]
    pub fn of_partitions(topology: &Topology, difference: &Difference<usize, usize>) -> Self {
        Self {
            kind: "differ",
            functions: addresses(topology, difference.functions.iter().copied()),
            first: difference.first.iter().copied().collect(),
            second: difference.second.iter().copied().collect(),
            example: None,
        }
    }

    /// Describes a disagreement between the domains and a model's groups.
    #[must_use]
    pub fn new(reach: &Reach<'_>, disagreement: &Disagreement) -> Self {
        Self {
            kind: disagreement.kind.code(),
            functions: addresses(reach.topology(), disagreement.functions.iter().copied()),
            first: disagreement.domains.iter().copied().collect(),
            second: disagreement.groups.iter().copied().collect(),
            example: disagreement.example.map(|merge| MergeDocument::new(reach, &merge)),
        }
    }
}
