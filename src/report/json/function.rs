//! One decoded function as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::EvidenceDocument;
use super::registers::{
    self, AcsDocument, AriRegisters, EnableRegisters, SriovRegisters, StructureDocument, VcDocument,
};
use crate::anomaly::{Anomaly, Presence};
use crate::function::{Listed, ListedId};
use crate::report::clean;
use crate::route::linux::Linux;
use crate::topology::{FunctionIndex, Kind};

/// One decoded function.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FunctionDocument {
    /// Where it is: `0000:00:1f.2`.
    pub address: String,
    /// Vendor ID; of a virtual function its physical function's. `null` if not known.
    pub vendor: Option<String>,
    /// Device ID; of a virtual function the VF Device ID. `null` if not known.
    pub device: Option<String>,
    /// Subsystem IDs. `null` if it has none, or they are not known.
    pub subsystem: Option<SubsystemDocument>,
    /// Class code, 24 bits. `null` if not captured.
    pub class: Option<String>,
    /// Revision ID. `null` if not captured.
    pub revision: Option<String>,
    /// Header Type register. `null` if not captured.
    pub header_type: Option<String>,
    /// Multi-Function Device, bit 7 of it.
    pub multifunction: Option<bool>,
    /// `ordinary`, `physical`, `virtual`.
    pub function_kind: &'static str,
    /// Of a virtual function: its physical function, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical_function: Option<String>,
    /// Driver that is bound to it, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Device/Port Type as the register has it; `none` without a PCI Express capability; `null` if not
    /// known.
    pub port_type: Option<&'static str>,
    /// Port Number; `null` without a link, or if not known.
    pub port_number: Option<u8>,
    /// ARI forwarding of a port; absent in other functions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ari_forwarding: Option<AriForwardingDocument>,
    /// Captured bytes.
    pub captured: u16,
    /// Bus numbers of a bridge; `null` in other functions.
    pub buses: Option<BusesDocument>,
    /// Access Control Services.
    pub acs: AcsDocument,
    /// Alternative Routing-ID Interpretation.
    pub ari: StructureDocument<AriRegisters>,
    /// Single Root I/O Virtualization.
    pub sriov: StructureDocument<SriovRegisters>,
    /// Address Translation Services.
    pub ats: StructureDocument<EnableRegisters>,
    /// Page Request Interface.
    pub pri: StructureDocument<EnableRegisters>,
    /// Process Address Space ID.
    pub pasid: StructureDocument<EnableRegisters>,
    /// Virtual Channel structures.
    pub vc: Vec<VcDocument>,
    /// How Linux judges it.
    pub linux: JudgementDocument,
    /// Both capability lists, in the order in which they are linked.
    pub capabilities: Vec<CapabilityDocument>,
    /// What contradicts the specification.
    pub anomalies: Vec<AnomalyDocument>,
}

/// Subsystem IDs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct SubsystemDocument {
    /// Subsystem Vendor ID.
    pub vendor: String,
    /// Subsystem ID.
    pub device: String,
}

/// ARI forwarding of a port.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AriForwardingDocument {
    /// ARI Forwarding Supported; `null` if not captured.
    pub supported: Option<bool>,
    /// ARI Forwarding Enable; `null` if not captured.
    pub enabled: Option<bool>,
}

/// Bus numbers of a bridge.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct BusesDocument {
    /// Primary Bus Number.
    pub primary: String,
    /// Secondary Bus Number.
    pub secondary: String,
    /// Subordinate Bus Number.
    pub subordinate: String,
}

/// How Linux judges a function.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct JudgementDocument {
    /// Whether it isolates.
    pub isolates: bool,
    /// Whether that is certain.
    pub certain: bool,
    /// What it rests on.
    pub evidence: Vec<EvidenceDocument>,
}

/// One entry of a capability list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CapabilityDocument {
    /// ID: two hexadecimal digits in the standard list, four in the extended list.
    pub id: String,
    /// The specification's name.
    pub name: String,
    /// Where it is.
    pub offset: String,
    /// Whether it is of the extended list.
    pub extended: bool,
    /// Version, in the extended list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u8>,
}

impl From<&Listed> for CapabilityDocument {
    fn from(listed: &Listed) -> Self {
        let (id, name, version) = match listed.id {
            ListedId::Standard(id) => (format!("{:#04x}", id.0), id.to_string(), None),
            ListedId::Extended(id, version) => (format!("{:#06x}", id.0), id.to_string(), Some(version)),
        };
        let extended = version.is_some();
        Self { id, name, offset: registers::offset(listed.offset), extended, version }
    }
}

/// Something that contradicts the specification.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AnomalyDocument {
    /// Stable kebab-case code.
    pub code: &'static str,
    /// One sentence with the numbers.
    pub message: String,
}

impl From<Anomaly> for AnomalyDocument {
    fn from(anomaly: Anomaly) -> Self {
        Self { code: anomaly.code(), message: anomaly.to_string() }
    }
}

impl FunctionDocument {
    /// Describes function `index`; `None` if there is none, or its capabilities were not kept.
    #[must_use]
    pub fn new(linux: &Linux<'_>, index: FunctionIndex) -> Option<Self> {
        let topology = linux.topology();
        let function = topology.function(index)?;
        let inventory = topology.inventory();
        let ids = topology.ids(index);
        let known = |text: String| function.answers.then_some(text);
        let (function_kind, physical) = match topology.kind(index) {
            Kind::Ordinary => ("ordinary", None),
            Kind::Physical => ("physical", None),
            Kind::Virtual(physical) => ("virtual", topology.function(physical)),
            Kind::VirtualOfUnknown => ("virtual", None),
        };
        let pcie = function.pcie.present();
        let isolation = linux.isolation(index);
        let detail = inventory.detail(index)?;
        Some(Self {
            address: function.address.to_string(),
            vendor: ids.map(|(vendor, _)| format!("{vendor:#06x}")),
            device: ids.map(|(_, device)| format!("{device:#06x}")),
            subsystem: function.subsystem().map(|(vendor, device)| SubsystemDocument {
                vendor: format!("{vendor:#06x}"),
                device: format!("{device:#06x}"),
            }),
            class: known(format!("{:#06x}{:02x}", function.class.class(), function.class.interface)),
            revision: known(format!("{:#04x}", function.revision)),
            header_type: known(format!("{:#04x}", function.header_type.0)),
            multifunction: function.answers.then_some(function.header_type.multi_function()),
            function_kind,
            physical_function: physical.map(|physical| physical.address.to_string()),
            driver: inventory
                .attributes(index)
                .and_then(|known| known.driver.as_deref())
                .map(|driver| clean(driver).into_owned()),
            port_type: match function.pcie {
                Presence::Present(pcie) => Some(pcie.port_type().word()),
                Presence::Absent => Some("none"),
                Presence::NotCaptured => None,
            },
            port_number: pcie.and_then(|pcie| pcie.port_number()),
            ari_forwarding: pcie.filter(|pcie| pcie.port_type().is_downstream_facing()).map(|pcie| {
                AriForwardingDocument {
                    supported: pcie.ari_forwarding_supported(),
                    enabled: pcie.ari_forwarding_enabled(),
                }
            }),
            captured: function.captured,
            buses: function.bus_range().zip(function.primary_bus()).map(|(range, primary)| BusesDocument {
                primary: format!("{primary:#04x}"),
                secondary: format!("{:#04x}", range.secondary),
                subordinate: format!("{:#04x}", range.subordinate),
            }),
            acs: AcsDocument::new(linux, index, function),
            ari: registers::ari(function.ari),
            sriov: registers::sriov(topology.sriov(index)),
            ats: registers::ats(function.ats),
            pri: registers::pri(detail.pri),
            pasid: registers::pasid(detail.pasid),
            vc: detail.vc.iter().map(VcDocument::from).collect(),
            linux: JudgementDocument {
                isolates: isolation.isolates,
                certain: isolation.guess.is_none(),
                evidence: isolation.evidence(linux, index).iter().map(EvidenceDocument::from).collect(),
            },
            capabilities: detail.capabilities.iter().map(CapabilityDocument::from).collect(),
            anomalies: inventory
                .extras(index)
                .into_iter()
                .flat_map(|extras| extras.anomalies())
                .map(AnomalyDocument::from)
                .collect(),
        })
    }
}
