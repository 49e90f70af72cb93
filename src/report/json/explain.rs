//! `acsscan explain` as JSON.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::route::{DomainDocument, domain};
use super::{AcceptedDocument, EvidenceDocument};
use crate::anomaly::Presence;
use crate::cap::acs::AcsControl;
use crate::report::Reach;
use crate::report::words::{self, address};
use crate::route::domains::Impersonation;
use crate::route::{Disposition, Reason};
use crate::topology::{FunctionIndex, Parent};

/// Why a function's domain is as it is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ExplainDocument {
    /// The function.
    pub function: String,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// The ports above it, from the nearest to the root.
    pub way_up: Vec<StepDocument>,
    /// Its domain, with the bonds that hold it together.
    pub domain: Option<DomainDocument>,
    /// How it stands to the second function that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherDocument>,
    /// What could change it: one for each reason that holds the domain together.
    pub remedies: Vec<RemedyDocument>,
}

/// One port on the way up.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct StepDocument {
    /// The port.
    pub function: String,
    /// Its Device/Port Type, or what is known of it.
    pub port_type: String,
    /// Its ACS controls as lspci's tokens, or why there are none.
    pub acs: String,
    /// The database entry that its ACS rests on instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<EvidenceDocument>,
}

/// How two functions stand to each other.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct OtherDocument {
    /// The second function.
    pub function: String,
    /// `isolated`, `isolated as assumed` (only an assumption keeps them apart), `not proved isolated`,
    /// `not isolated`.
    pub verdict: &'static str,
    /// Who may use whose requester ID.
    pub impersonation: Vec<String>,
    /// Each class that counts, both ways.
    pub routes: Vec<DirectionDocument>,
}

/// One class, one way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DirectionDocument {
    /// Class of transaction.
    pub tlp: &'static str,
    /// The initiator.
    pub from: String,
    /// The target.
    pub to: String,
    /// `direct`, `redirected`, `blocked`, `undetermined`.
    pub disposition: &'static str,
    /// Code of the reason.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// Who accepted it, and until when; `null` if nobody did.
    pub accepted: Option<AcceptedDocument>,
}

/// What could change an answer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RemedyDocument {
    /// Code of the reason.
    pub reason: &'static str,
    /// A register, a slot, a database entry, a better dump, or nothing; in words.
    pub change: &'static str,
}

impl RemedyDocument {
    /// What keeps functions from using each other's requester IDs.
    const FORGED: Self = Self {
        reason: "impersonation",
        change: "a register: SrcValid of the ACS Control of the ports on the way up that lack it; the kernel turns \
                 it on where an IOMMU is on",
    };
    /// The same, where a port cannot.
    const FORGED_FOR_GOOD: Self = Self {
        reason: "impersonation",
        change: "the slot: a port on the way up does not implement SrcValid, and no register helps",
    };
    /// The same, where both are below the nearest port that could.
    const FORGED_WITHIN: Self = Self {
        reason: "impersonation",
        change: "the slot: Source Validation sees bus numbers only, and the bus of both is below the nearest port that \
                 has it; no register helps",
    };
    /// What nothing keeps functions from that send with one requester ID.
    const SHARED: Self = Self {
        reason: "impersonation",
        change: "nothing on the host: several functions send with one requester ID; assign them together",
    };
}

impl ExplainDocument {
    /// Explains a function, and how it stands to another.
    #[must_use]
    pub fn new(reach: &Reach<'_>, function: FunctionIndex, other: Option<FunctionIndex>) -> Self {
        let (fabric, topology, partition) = (reach.fabric, reach.topology(), &**reach.domains);
        let assumptions = partition.assumptions();
        let id = partition.domain_of(function);
        let mut reasons: BTreeSet<Reason> = id
            .and_then(|id| partition.get(id))
            .into_iter()
            .flat_map(|domain| domain.why())
            .filter_map(|merge| merge.reason)
            .collect();
        let within = id
            .and_then(|id| partition.get(id))
            .into_iter()
            .flat_map(|domain| domain.why())
            .filter(|merge| merge.class.is_none())
            .map(|merge| (merge.from, merge.to));
        let with_other = other.into_iter().flat_map(|other| [(function, other), (other, function)]);
        let forgers: Vec<((FunctionIndex, FunctionIndex), Impersonation)> = within
            .chain(with_other)
            .filter_map(|(from, to)| Some(((from, to), fabric.impersonation(from, to, assumptions)?)))
            .collect();
        let other = other.map(|other| OtherDocument::new(reach, function, other, &mut reasons));
        let way_up = way_up(reach, function);
        if way_up.iter().any(|step| step.function == "?") {
            reasons.insert(Reason::BridgeNotInDump);
        }
        let remedy = |reason: Reason| RemedyDocument { reason: reason.code(), change: words::remedy(reason) };
        reasons.extend(forgers.iter().filter_map(|(_, why)| why.beyond_bus_numbers()));
        let shared = forgers.iter().any(|(_, why)| why.is_by_making());
        let mut let_through: Vec<Option<bool>> = forgers
            .iter()
            .filter(|(_, why)| !why.is_by_making() && why.beyond_bus_numbers().is_none())
            .map(|((from, to), _)| fabric.validation_could_stop(*from, *to))
            .collect();
        let_through.sort_unstable();
        let_through.dedup();
        let forged = let_through.into_iter().rev().map(|could| match could {
            Some(true) => RemedyDocument::FORGED,
            Some(false) => RemedyDocument::FORGED_FOR_GOOD,
            None => RemedyDocument::FORGED_WITHIN,
        });
        let forged = forged.chain(shared.then_some(RemedyDocument::SHARED));
        Self {
            function: address(topology, function),
            assumptions: words::assumptions(assumptions, reach.unsettled),
            way_up,
            domain: id.and_then(|id| Some(domain(reach, id, partition.get(id)?))),
            other,
            remedies: forged.chain(reasons.into_iter().map(remedy)).collect(),
        }
    }
}

impl ExplainDocument {
    /// Whether a bridge on the way up is not in the dump.
    #[must_use]
    pub fn misses_a_bridge(&self) -> bool {
        self.remedies.iter().any(|remedy| remedy.reason == Reason::BridgeNotInDump.code())
    }
}

impl OtherDocument {
    fn new(
        reach: &Reach<'_>,
        function: FunctionIndex,
        other: FunctionIndex,
        reasons: &mut BTreeSet<Reason>,
    ) -> Self {
        let (fabric, topology, assumptions) = (reach.fabric, reach.topology(), reach.domains.assumptions());
        let mut worst = Disposition::Blocked;
        // Whether more than an assumption would have to hold.
        let mut merges = false;
        let mut routes = Vec::new();
        let mut impersonation = Vec::new();
        for (from, to) in [(function, other), (other, function)] {
            if let Some(why) = fabric.impersonation(from, to, assumptions) {
                let unproven = why.is_unproven();
                worst = worst.min(if unproven { Disposition::Undetermined } else { Disposition::Direct });
                let accepted = reach.accepted.of_impersonation(fabric, (from, to), why);
                merges = true;
                impersonation.push(format!(
                    "{} may use the requester ID of {}{}",
                    address(topology, from),
                    address(topology, to),
                    accepted.map(|accepted| format!(": {accepted}")).unwrap_or_default()
                ));
            }
            for class in assumptions.counted() {
                let (disposition, reason) = fabric.disposition(from, to, class, assumptions);
                worst = worst.min(disposition);
                merges |= assumptions.merges(disposition, reason);
                if !disposition.isolates() {
                    reasons.insert(reason);
                }
                routes.push(DirectionDocument {
                    tlp: class.word(),
                    from: address(topology, from),
                    to: address(topology, to),
                    disposition: disposition.word(),
                    reason: reason.code(),
                    message: reason.to_string(),
                    accepted: (!disposition.isolates())
                        .then(|| reach.accepted.of_route(&fabric.trace(from, to, class, assumptions)))
                        .flatten()
                        .map(AcceptedDocument::from),
                });
            }
        }
        let verdict = match worst {
            Disposition::Direct => "not isolated",
            Disposition::Undetermined if merges => "not proved isolated",
            Disposition::Undetermined => "isolated as assumed",
            Disposition::Redirected | Disposition::Blocked => "isolated",
        };
        Self { function: address(topology, other), verdict, impersonation, routes }
    }
}

fn way_up(reach: &Reach<'_>, function: FunctionIndex) -> Vec<StepDocument> {
    let topology = reach.topology();
    let mut steps = Vec::new();
    let missing = || StepDocument {
        function: String::from("?"),
        port_type: String::from("bridge"),
        acs: String::from("not in the dump"),
        database: None,
    };
    let mut at = function;
    loop {
        if let Parent::Orphan(_) = topology.parent_of(at) {
            steps.push(missing());
        }
        at = match topology.parent_of(at) {
            Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) => bridge,
            Parent::VirtualFunctions(bus) => match topology.bus(bus).map(|bus| bus.parent) {
                Some(Parent::Bridge(bridge) | Parent::Orphan(Some(bridge))) => bridge,
                _ => return steps,
            },
            Parent::Root | Parent::Orphan(None) => return steps,
        };
        let Some(port) = topology.function(at) else { return steps };
        let acs = match port.acs {
            Presence::Present(acs) => {
                let offered = acs.capability.controls();
                let tokens = AcsControl::TOKENS.iter().filter(|(_, bit)| offered.contains(*bit));
                let shown: Vec<String> = tokens
                    .map(|(token, bit)| {
                        format!("{token}{}", if acs.control.contains(*bit) { '+' } else { '-' })
                    })
                    .collect();
                if shown.is_empty() { String::from("an empty ACS capability") } else { shown.join(" ") }
            }
            Presence::Absent => String::from("no ACS capability"),
            Presence::NotCaptured => String::from("ACS not captured"),
        };
        steps.push(StepDocument {
            function: port.address.to_string(),
            port_type: port.port_type().map_or(String::from("bridge"), |port_type| port_type.to_string()),
            acs,
            database: super::entries(reach, [at].into_iter()).pop(),
        });
    }
}
