//! `acsscan check` as JSON.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::{AcceptedDocument, EvidenceDocument};
use crate::finding::Question;
use crate::function::{Function, ReservedRegion};
use crate::kernel::Iommu;
use crate::report::Reach;
use crate::report::words::{self, address};
use crate::route::Reason;
use crate::route::check::{Assignment, Judgement, Objection, Way};
use crate::route::port::TlpClass;
use crate::topology::{FunctionIndex, Topology};

/// May these functions be assigned to one guest together, isolated from everything else?
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CheckDocument {
    /// The functions.
    pub functions: Vec<String>,
    /// Whose rules decide: `spec`, `linux`, `libvirt`, `relaxed`.
    pub policy: &'static str,
    /// What is done about what is not known: `fail`, `warn`, `pass`.
    pub unknown: &'static str,
    /// `assignable`, `accepted`, `not-assignable`, `inconclusive`.
    pub verdict: &'static str,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// What the policy objects to.
    pub objections: Vec<ObjectionDocument>,
    /// What is missing in the dump for a certain answer.
    pub missing: Vec<String>,
    /// Everything that would have to be assigned together.
    pub unit: Vec<MemberDocument>,
    /// Who else can reach it, or be reached, and how: what crosses the border around the functions.
    pub reached: Vec<WayDocument>,
    /// Whether `reached` has every pair; otherwise there were too many.
    pub reached_complete: bool,
    /// The acceptances that count.
    pub accepted: Vec<AcceptedDocument>,
    /// What each policy answers, and what it would let through.
    pub policies: Vec<PolicyDocument>,
    /// The database entries that the ACS of the unit and of the ports above rests on.
    pub database: Vec<EvidenceDocument>,
}

/// One function of the unit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MemberDocument {
    /// The function.
    pub function: String,
    /// Whether it is one of those that are to be assigned.
    pub asked: bool,
    /// Whether it has to be bound to a driver for assignment; ports and bridges do not.
    pub bind: bool,
    /// The driver that it is bound to; `null` if there is none or the dump does not tell.
    pub driver: Option<String>,
    /// What the host uses it for: `mounted on /`, `default route through eth0`.
    pub host_uses: Vec<String>,
    /// What the kernel keeps free of mappings in its IOMMU group.
    pub reserved_regions: Vec<RegionDocument>,
}

/// A reserved region.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RegionDocument {
    /// First address.
    pub first: String,
    /// Last address.
    pub last: String,
    /// `direct`, `direct-relaxable`, `reserved`, `msi`.
    pub kind: &'static str,
}

/// Something that a policy objects to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ObjectionDocument {
    /// The function.
    pub function: String,
    /// Stable kebab-case code.
    pub code: &'static str,
    /// Whether it holds for certain; otherwise the dump does not tell.
    pub certain: bool,
    /// In words.
    pub message: String,
    /// The functions outside, or the port.
    pub others: Vec<String>,
}

/// Pairs across the border that stand alike: each of `from` with each of `to`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct WayDocument {
    /// The initiators.
    pub from: Vec<String>,
    /// The targets.
    pub to: Vec<String>,
    /// Class of transaction; `null` for the use of the other's requester ID.
    pub tlp: Option<&'static str>,
    /// `direct`, `undetermined`, `impersonation`, `impersonation-unproven`.
    pub disposition: &'static str,
    /// Code of the reason; `null` for impersonation.
    pub reason: Option<&'static str>,
    /// In words.
    pub message: String,
    /// What decides for the first pair.
    pub evidence: Vec<EvidenceDocument>,
    /// Who accepted it, and until when; `null` if nobody did.
    pub accepted: Option<AcceptedDocument>,
}

/// What one policy answers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PolicyDocument {
    /// `spec`, `linux`, `libvirt`, `relaxed`.
    pub policy: &'static str,
    /// Its verdict, under the same treatment of what is not known.
    pub verdict: &'static str,
    /// What it would let through although the specification counts it.
    pub lets_through: Vec<WayDocument>,
}

impl MemberDocument {
    /// All of these, by address.
    #[must_use]
    pub fn all(topology: &Topology, unit: &[FunctionIndex], asked: &[FunctionIndex]) -> Vec<Self> {
        let document = |index: &FunctionIndex| {
            let attributes = topology.inventory().attributes(*index);
            let group = attributes.and_then(|known| known.kernel_group);
            let regions = group.map_or(&[][..], |group| topology.inventory().reserved_regions(group));
            Self {
                function: address(topology, *index),
                asked: asked.binary_search(index).is_ok(),
                bind: !topology.function(*index).is_some_and(Function::is_bridge),
                driver: attributes.and_then(|known| known.driver.clone()),
                host_uses: attributes
                    .map(|known| known.host_uses.iter().map(ToString::to_string).collect())
                    .unwrap_or_default(),
                reserved_regions: regions.iter().map(RegionDocument::from).collect(),
            }
        };
        unit.iter().map(document).collect()
    }
}

impl From<&ReservedRegion> for RegionDocument {
    fn from(region: &ReservedRegion) -> Self {
        Self {
            first: format!("{:#018x}", region.first),
            last: format!("{:#018x}", region.last),
            kind: region.kind.word(),
        }
    }
}

impl ObjectionDocument {
    /// Describes an objection.
    #[must_use]
    pub fn new(topology: &Topology, objection: &Objection) -> Self {
        Self {
            function: address(topology, objection.function),
            code: objection.cause.code(),
            certain: objection.certain,
            message: String::from(objection.cause.words()),
            others: objection.others.iter().map(|index| address(topology, *index)).collect(),
        }
    }
}

impl WayDocument {
    /// Describes a way, to all functions outside, or to these only.
    #[must_use]
    pub fn new(reach: &Reach<'_>, way: &Way<'_>, only: Option<&[FunctionIndex]>) -> Self {
        let list = |functions: &mut dyn Iterator<Item = &FunctionIndex>| -> Vec<String> {
            functions.map(|index| address(reach.topology(), *index)).collect()
        };
        let inside = list(&mut way.inside.iter());
        let outside = only.map_or_else(|| list(&mut way.outside.iter()), |only| list(&mut only.iter()));
        let (from, to) = if way.outwards { (inside, outside) } else { (outside, inside) };
        let (initiator, target) = way.example;
        let route =
            way.class.map(|class| reach.fabric.trace(initiator, target, class, reach.domains.assumptions()));
        let hop = route.as_ref().and_then(|route| route.decisive());
        let forged = match way.class {
            Some(_) => None,
            None => reach.fabric.impersonation(initiator, target, reach.domains.assumptions()),
        };
        let forgery = forged.map(|why| reach.fabric.impersonation_evidence(initiator, why));
        let evidence = hop.map(|hop| hop.evidence.clone()).or(forgery);
        let evidence = evidence.map(|evidence| evidence.iter().map(EvidenceDocument::from).collect());
        Self {
            from,
            to,
            tlp: way.class.map(TlpClass::word),
            disposition: match (way.class.is_some(), way.proved) {
                (true, true) => "direct",
                (true, false) => "undetermined",
                (false, true) => "impersonation",
                (false, false) => "impersonation-unproven",
            },
            reason: way.reason.map(Reason::code),
            message: match (way.reason, forged) {
                (Some(reason), _) => reason.to_string(),
                (None, Some(why)) => {
                    let why = reach.fabric.impersonation_words(initiator, target, why);
                    format!("may use the other's requester ID: {why}")
                }
                (None, None) => String::new(),
            },
            evidence: evidence.unwrap_or_default(),
            accepted: way.accepted.map(AcceptedDocument::from),
        }
    }
}

impl PolicyDocument {
    /// Describes a policy's answer.
    #[must_use]
    pub fn new(
        reach: &Reach<'_>,
        assignment: &Assignment<'_>,
        judgement: &Judgement,
        verdict: &'static str,
    ) -> Self {
        let ways = judgement.lets_through.iter();
        Self {
            policy: judgement.policy.word(),
            verdict,
            lets_through: ways
                .filter_map(|(way, only)| Some((assignment.ways().get(*way)?, only)))
                .map(|(way, only)| WayDocument::new(reach, way, Some(only)))
                .collect(),
        }
    }
}

impl CheckDocument {
    /// Describes an answer; `judgements` are those of all policies, `chosen` the one that decides.
    #[must_use]
    pub fn new(
        reach: &Reach<'_>,
        chosen: &Judgement,
        unknown: &'static str,
        question: &Question<'_, '_>,
        policies: Vec<PolicyDocument>,
    ) -> Self {
        let assignment = question.assignment();
        let topology = reach.topology();
        let mut assumptions = words::assumptions(reach.domains.assumptions(), reach.unsettled);
        if question.iommu() == Iommu::Unknown {
            assumptions.push(String::from("the host has an IOMMU in use: the dump does not tell"));
        }
        let own = policies.iter().find(|policy| policy.policy == chosen.policy.word());
        let mut used = chosen.unit.clone();
        used.extend(assignment.functions().iter().flat_map(|function| topology.bridges_above(*function)));
        // What keeps these apart from others rests on the others, too: those of the same device, and the
        // other ports of a switch.
        let devices: BTreeSet<_> = used.iter().map(|f| reach.fabric.devices().device_of(*f)).collect();
        let below = used.iter().filter(|f| !topology.on_root_bus(**f));
        let buses: BTreeSet<_> = below.filter_map(|f| topology.bus_of(*f)).collect();
        used.extend(devices.into_iter().flat_map(|device| reach.fabric.devices().members(device)));
        used.extend(buses.into_iter().flat_map(|bus| topology.on_bus(bus)));
        used.sort_unstable();
        used.dedup();
        let mut seen = BTreeSet::new();
        let accepted = assignment.accepted().filter(|one| seen.insert((one.name.clone(), one.file.clone())));
        Self {
            functions: assignment.functions().iter().map(|index| address(topology, *index)).collect(),
            policy: chosen.policy.word(),
            unknown,
            verdict: own.map_or("inconclusive", |own| own.verdict),
            assumptions,
            objections: chosen.objections.iter().map(|one| ObjectionDocument::new(topology, one)).collect(),
            missing: question.missing().to_vec(),
            unit: MemberDocument::all(topology, &chosen.unit, assignment.functions()),
            reached: assignment.ways().iter().map(|way| WayDocument::new(reach, way, None)).collect(),
            reached_complete: assignment.is_complete(),
            accepted: accepted.map(AcceptedDocument::from).collect(),
            policies,
            database: super::entries(reach, used.into_iter()),
        }
    }
}
