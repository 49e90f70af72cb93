//! Many hosts as JSON: one document a host, rows, and the summary of all.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{BoardDocument, FindingDocument};

/// `acsscan fleet`: one host, on one line. The findings are those of the document.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetHostDocument {
    /// What tells it from the others: its path, below the directory if one was named.
    pub host: String,
    /// The question: lines that have the same were written by the same version, with the same options and
    /// databases.
    pub run: String,
    /// SHA-256 of the canonical form: structure, IDs, ACS; without bus numbers and serial numbers.
    pub fingerprint: String,
    /// `conclusive`, or `inconclusive`: something that the answers need was not captured.
    pub answer: &'static str,
    /// `in-use`, `off`, `absent`, `unknown`.
    pub iommu: &'static str,
    /// What happens to the host's own traffic: `translated`, `pass-through`, `mixed`; where known.
    pub mode: Option<&'static str>,
    /// System, board and firmware; where known.
    pub board: Option<BoardDocument>,
    /// How many there are of what.
    pub counts: FleetCounts,
    /// Functions by what they are for.
    pub kinds: KindCounts,
    /// Root ports and switch downstream ports.
    pub downstream_ports: PortCounts,
    /// The isolation domains with more than one function that can initiate.
    pub shared_domains: Vec<SharedDomain>,
    /// What the policy says, if functions were asked about.
    pub check: Option<FleetCheck>,
}

/// How many there are of what.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetCounts {
    /// Functions.
    pub functions: usize,
    /// Bridges and ports among them.
    pub bridges: usize,
    /// Virtual functions among them.
    pub virtual_functions: usize,
    /// Isolation domains.
    pub domains: usize,
    /// Those with more than one function that can initiate.
    pub shared_domains: usize,
    /// Linux's groups, as predicted.
    pub groups: usize,
    /// Those of them that are not certain.
    pub predicted_groups: usize,
    /// Parts in which the running kernel's groups are not the predicted ones; where the dump has them.
    pub differences: Option<usize>,
}

/// Functions by what they are for.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct KindCounts {
    /// Display controllers.
    pub gpu: usize,
    /// Network controllers.
    pub nic: usize,
    /// NVM Express.
    pub nvme: usize,
    /// Other mass storage.
    pub storage: usize,
    /// Processing accelerators.
    pub accelerator: usize,
    /// USB controllers.
    pub usb: usize,
    /// Everything else.
    pub other: usize,
}

/// Root ports and switch downstream ports, by their ACS.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PortCounts {
    /// How many there are.
    pub total: usize,
    /// Those with ACS.
    pub with_acs: usize,
    /// Those with ACS of which not all is enabled that Linux asks for, and that the port offers.
    pub not_enabled: usize,
    /// Those that are proved to have none.
    pub without_acs: usize,
    /// Those of which the dump does not tell.
    pub not_captured: usize,
}

/// An isolation domain that functions share.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct SharedDomain {
    /// Number, by the lowest address; it means nothing beyond this host.
    pub domain: usize,
    /// The weakest bond that holds it together: `direct`, `impersonation`, `unproven`.
    pub held_by: Option<&'static str>,
    /// What its functions are for: `gpu`, `nic`, …; each once.
    pub kinds: Vec<&'static str>,
    /// Its functions.
    pub functions: Vec<String>,
}

/// What the policy says of a host.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetCheck {
    /// Whose rules decide: `spec`, `linux`, `libvirt`, `relaxed`.
    pub policy: &'static str,
    /// The least favourable verdict of its devices: `assignable`, `accepted`, `inconclusive`,
    /// `not-assignable`; `null` if it has none of those that were asked about.
    pub verdict: Option<&'static str>,
    /// The devices.
    pub devices: Vec<CheckedDevice>,
}

/// A device with a function that was asked about: all functions of it would be assigned together.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CheckedDevice {
    /// Its functions.
    pub functions: Vec<String>,
    /// The verdict.
    pub verdict: &'static str,
    /// What that rests on, in one line; `null` if nothing speaks against it.
    pub reason: Option<String>,
}

/// An input of `acsscan fleet` that could not be read.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetErrorDocument {
    /// What tells it from the others.
    pub host: String,
    /// The question, as in the line of a host.
    pub run: String,
    /// What kind of error, in kebab case: `not-found`, `empty`, `no-record`, `unpack`, `limit`, …
    pub code: &'static str,
    /// One line: what was found, what to try.
    pub message: String,
}

/// One row of `acsscan fleet --rows`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RowDocument {
    /// Name and major number of the schema: `acsscan/1`.
    pub schema: &'static str,
    /// The host.
    pub host: String,
    /// The question, as in the line of a host.
    pub run: String,
    /// What the row is about; adds `kind`.
    #[serde(flatten)]
    pub row: Row,
}

/// What a row is about.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Row {
    /// `--rows functions`.
    FleetFunction(FunctionRow),
    /// `--rows domains`.
    FleetDomain(SharedDomain),
    /// `--rows pairs`.
    FleetPair(PairRow),
    /// `--rows findings`.
    FleetFinding(FindingDocument),
    /// There are no rows, and why.
    Error(RowError),
}

/// Why a host has no rows.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RowError {
    /// What kind of error, in kebab case, as in the host's document; `too-many-classes` of pairs.
    pub code: &'static str,
    /// One line.
    pub message: String,
}

/// One function.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FunctionRow {
    /// Its address.
    pub address: String,
    /// Its place without bus numbers; the same for all virtual functions of one function.
    pub path: String,
    /// Vendor ID; `null` if not known.
    pub vendor: Option<String>,
    /// Device ID; `null` if not known.
    pub device: Option<String>,
    /// Class Code, of 16 bits.
    pub class: String,
    /// `gpu`, `nic`, `nvme`, `storage`, `accelerator`, `usb`, `other`.
    pub label: &'static str,
    /// Device/Port Type; `null` of a conventional function, or if not known.
    pub port_type: Option<&'static str>,
    /// Whether it is a bridge or a port.
    pub bridge: bool,
    /// Whether it is a virtual function.
    pub is_virtual: bool,
    /// `present`, `absent`, `not-captured`.
    pub acs: &'static str,
    /// The ACS Capability register; `null` without ACS.
    pub acs_capability: Option<String>,
    /// The ACS Control register; `null` without ACS.
    pub acs_control: Option<String>,
    /// The controls that are on, as lspci names them; `null` without ACS.
    pub acs_enabled: Option<String>,
    /// Its isolation domain.
    pub domain: Option<usize>,
    /// Its group, as predicted.
    pub group: Option<usize>,
    /// Its group in the running kernel; where known.
    pub kernel_group: Option<u32>,
    /// Its driver; where known.
    pub driver: Option<String>,
    /// Whether everything that the answers need of it was captured.
    pub complete: bool,
    /// Its line of the canonical form, from which the fingerprint is made; `null` of a virtual function
    /// whose physical function is known.
    pub canonical: Option<String>,
}

/// Two classes of functions that answer alike, and how one reaches the other: see `p2p --matrix`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PairRow {
    /// An initiator.
    pub from: String,
    /// What it is for.
    pub from_label: &'static str,
    /// How many functions answer as it does.
    pub from_functions: usize,
    /// A target.
    pub to: String,
    /// What it is for.
    pub to_label: &'static str,
    /// How many functions answer as it does.
    pub to_functions: usize,
    /// `same-device`, `same-bus`, `apart`.
    pub relation: &'static str,
    /// The class of transaction that decides.
    pub tlp: &'static str,
    /// `direct`, `redirected`, `blocked`, `undetermined`.
    pub disposition: &'static str,
    /// Code of the reason.
    pub reason: &'static str,
    /// Whether the initiators may use the targets' requester IDs; `null` if that is not known.
    pub impersonation: Option<bool>,
}

/// `acsscan fleet`: all hosts together.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetDocument {
    /// How many hosts there are.
    pub hosts: usize,
    /// Those that could be read.
    pub read: usize,
    /// Those of them whose answers rest on what was not captured.
    pub inconclusive: usize,
    /// Those that could not be read.
    pub failed: usize,
    /// Kinds of hosts by fingerprint, the most frequent first; outliers among them come with what differs.
    pub fingerprints: Vec<FleetKind>,
    /// How many more kinds there are, all of them outliers.
    pub more_fingerprints: usize,
    /// How many hosts are outliers.
    pub outliers: usize,
    /// Why inputs could not be read.
    pub errors: Vec<FleetErrors>,
    /// How many hosts have each finding.
    pub findings: Vec<FleetFindings>,
    /// How many hosts have their IOMMU in each state.
    pub iommu: BTreeMap<String, usize>,
    /// How many hosts have each verdict, if functions were asked about.
    pub verdicts: BTreeMap<String, usize>,
    /// The first hosts that the policy refuses.
    pub refused: Vec<String>,
}

/// Hosts with one fingerprint.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetKind {
    /// The fingerprint.
    pub fingerprint: String,
    /// How many hosts have it.
    pub hosts: usize,
    /// The first of them.
    pub examples: Vec<String>,
    /// Whether so few have it that they are outliers.
    pub outlier: bool,
    /// The fingerprint of the kind that it is compared with: of the frequent ones the most similar.
    pub compared_with: Option<String>,
    /// How many functions differ from that kind.
    pub differing: usize,
    /// The first of these differences.
    pub differences: Vec<FleetDifference>,
    /// Why it could not be compared.
    pub not_compared: Option<String>,
}

/// A place in which an outlier differs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetDifference {
    /// The place.
    pub path: String,
    /// `added`, `removed`, `changed`.
    pub change: &'static str,
    /// Vendor and device ID of what was added or removed.
    pub ids: Option<String>,
    /// The fields that changed.
    pub fields: Vec<FleetField>,
}

/// A field of the canonical form that differs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetField {
    /// Name of the field.
    pub field: &'static str,
    /// Its value in the frequent kind.
    pub usual: String,
    /// Its value here.
    pub here: String,
    /// In words, where they say more: the bits that differ.
    pub bits: Option<String>,
}

/// Inputs that could not be read for one reason.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetErrors {
    /// Code of the error.
    pub code: String,
    /// How many.
    pub hosts: usize,
    /// The message of the first.
    pub message: String,
}

/// Hosts that have a finding.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FleetFindings {
    /// Code of the finding.
    pub code: String,
    /// Its severity.
    pub severity: String,
    /// How many hosts have it.
    pub hosts: usize,
}
