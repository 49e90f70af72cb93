//! Decoded structures as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::anomaly::Presence;
use crate::cap::acs::{AcsCapability, AcsControl};
use crate::cap::ari::Ari;
use crate::cap::ats::Ats;
use crate::cap::pasid::Pasid;
use crate::cap::pri::Pri;
use crate::cap::sriov::SrIov;
use crate::cap::vc::Vc;
use crate::db::Claim;
use crate::function::Function;
use crate::route::linux::{Basis, Linux};
use crate::topology::FunctionIndex;

/// A word register.
fn word(value: u16) -> String {
    format!("{value:#06x}")
}

/// An offset in configuration space.
pub(super) fn offset(value: u16) -> String {
    format!("{value:#05x}")
}

/// Whether a structure is there: `present`, `absent` or `not-captured`.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PresenceDocument {
    /// It is there.
    Present,
    /// Proved not to be there.
    Absent,
    /// The dump does not tell.
    NotCaptured,
}

impl<T> From<&Presence<T>> for PresenceDocument {
    fn from(presence: &Presence<T>) -> Self {
        match presence {
            Presence::Present(_) => Self::Present,
            Presence::Absent => Self::Absent,
            Presence::NotCaptured => Self::NotCaptured,
        }
    }
}

/// A structure with its registers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct StructureDocument<T> {
    /// Whether it is there.
    pub presence: PresenceDocument,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
    /// Its registers.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub registers: Option<T>,
}

impl<T> StructureDocument<T> {
    /// Describes a structure: where it is, and its registers.
    fn new<S: Copy>(structure: Presence<S>, at: impl Fn(S) -> u16, registers: impl Fn(S) -> T) -> Self {
        let present = structure.present();
        Self {
            presence: PresenceDocument::from(&structure),
            offset: present.map(|structure| offset(at(structure))),
            registers: present.map(registers),
        }
    }
}

/// ACS Capability register (+04h), or what counts as it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "one for each bit of the register")]
#[non_exhaustive]
pub struct AcsCapabilityDocument {
    /// The register.
    #[serde(rename = "raw")]
    pub raw: String,
    /// ACS Source Validation.
    pub src_valid: bool,
    /// ACS Translation Blocking.
    pub trans_blk: bool,
    /// ACS P2P Request Redirect.
    pub req_redir: bool,
    /// ACS P2P Completion Redirect.
    pub cmplt_redir: bool,
    /// ACS Upstream Forwarding.
    pub upstream_fwd: bool,
    /// ACS P2P Egress Control.
    pub egress_ctrl: bool,
    /// ACS Direct Translated P2P.
    pub direct_trans: bool,
    /// ACS Enhanced Capability.
    pub enhanced: bool,
    /// Size of the egress control vector in bits; 0 without egress control.
    #[serde(rename = "vector_bits")]
    pub vector_bits: u16,
}

impl From<AcsCapability> for AcsCapabilityDocument {
    fn from(register: AcsCapability) -> Self {
        Self {
            raw: word(register.bits()),
            src_valid: register.contains(AcsCapability::SOURCE_VALIDATION),
            trans_blk: register.contains(AcsCapability::TRANSLATION_BLOCKING),
            req_redir: register.contains(AcsCapability::REQUEST_REDIRECT),
            cmplt_redir: register.contains(AcsCapability::COMPLETION_REDIRECT),
            upstream_fwd: register.contains(AcsCapability::UPSTREAM_FORWARDING),
            egress_ctrl: register.contains(AcsCapability::EGRESS_CONTROL),
            direct_trans: register.contains(AcsCapability::DIRECT_TRANSLATED),
            enhanced: register.contains(AcsCapability::ENHANCED),
            vector_bits: register.vector_bits(),
        }
    }
}

/// ACS Control register (+06h), or what counts as it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "one for each bit of the register")]
#[non_exhaustive]
pub struct AcsControlDocument {
    /// The register.
    #[serde(rename = "raw")]
    pub raw: String,
    /// ACS Source Validation Enable.
    pub src_valid: bool,
    /// ACS Translation Blocking Enable.
    pub trans_blk: bool,
    /// ACS P2P Request Redirect Enable.
    pub req_redir: bool,
    /// ACS P2P Completion Redirect Enable.
    pub cmplt_redir: bool,
    /// ACS Upstream Forwarding Enable.
    pub upstream_fwd: bool,
    /// ACS P2P Egress Control Enable.
    pub egress_ctrl: bool,
    /// ACS Direct Translated P2P Enable.
    pub direct_trans: bool,
    /// ACS I/O Request Blocking Enable (enhanced).
    pub io_req_blk: bool,
    /// ACS Unclaimed Request Redirect Control (enhanced).
    pub unclaimed_redir: bool,
    /// ACS DSP Memory Target Access Control (enhanced): `direct`, `block`, `redirect`, `reserved`.
    pub dsp_mem_target: &'static str,
    /// ACS USP Memory Target Access Control (enhanced).
    pub usp_mem_target: &'static str,
}

impl From<AcsControl> for AcsControlDocument {
    fn from(register: AcsControl) -> Self {
        Self {
            raw: word(register.bits()),
            src_valid: register.contains(AcsControl::SOURCE_VALIDATION),
            trans_blk: register.contains(AcsControl::TRANSLATION_BLOCKING),
            req_redir: register.contains(AcsControl::REQUEST_REDIRECT),
            cmplt_redir: register.contains(AcsControl::COMPLETION_REDIRECT),
            upstream_fwd: register.contains(AcsControl::UPSTREAM_FORWARDING),
            egress_ctrl: register.contains(AcsControl::EGRESS_CONTROL),
            direct_trans: register.contains(AcsControl::DIRECT_TRANSLATED),
            io_req_blk: register.contains(AcsControl::IO_REQUEST_BLOCKING),
            unclaimed_redir: register.contains(AcsControl::UNCLAIMED_REQUEST_REDIRECT),
            dsp_mem_target: register.dsp_memory_target_access().word(),
            usp_mem_target: register.usp_memory_target_access().word(),
        }
    }
}

/// ACS: the registers as lspci reads them, and what counts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AcsDocument {
    /// Whether the capability is there.
    pub presence: PresenceDocument,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
    /// The word at +04h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<AcsCapabilityDocument>,
    /// The word at +06h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<AcsControlDocument>,
    /// The egress control vector, double words from bit 0 on; `null` where not captured. Absent without
    /// egress control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_vector: Option<Vec<Option<String>>>,
    /// What counts, after the device database. Absent where nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectiveDocument>,
    /// Where the registers were read from: `bytes`, or `text` that lspci decoded; `overlay` where a what-if
    /// stands in their place.
    pub from: &'static str,
}

/// What counts as a function's ACS.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct EffectiveDocument {
    /// `registers` or `database`.
    pub source: &'static str,
    /// `standard`, `32-bit`, or `none` where an entry answers without registers.
    pub layout: &'static str,
    /// The database entry that changed the reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The capability register as it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<AcsCapabilityDocument>,
    /// The control register as it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<AcsControlDocument>,
}

impl AcsDocument {
    /// Describes the ACS of function `index`.
    #[must_use]
    pub fn new(linux: &Linux<'_>, index: FunctionIndex, function: &Function) -> Self {
        let acs = function.acs.present();
        // Where registers are 32 bits wide, the control register stands in the vector's place.
        let wide = matches!(linux.isolation(index).basis, Basis::WideRegisters { .. });
        let extras = linux.topology().inventory().extras(index).filter(|_| !wide);
        let vector = extras.and_then(|extras| extras.egress_vector);
        let known = linux.topology().inventory().attributes(index);
        let text_from = known.and_then(|known| known.text_from).unwrap_or(u16::MAX);
        let dwords = acs.map_or(0, |acs| usize::from(acs.capability.vector_bits()).div_ceil(32));
        Self {
            presence: PresenceDocument::from(&function.acs),
            offset: acs.map(|acs| offset(acs.offset.get())),
            capability: acs.map(|acs| acs.capability.into()),
            control: acs.map(|acs| acs.control.into()),
            egress_vector: vector.map(|vector| {
                vector.iter().take(dwords).map(|dword| dword.map(|dword| format!("{dword:#010x}"))).collect()
            }),
            effective: EffectiveDocument::new(linux, index, function),
            from: match acs {
                _ if function.acs_as_if() => "overlay",
                Some(acs) if acs.offset.get() >= text_from => "text",
                _ => "bytes",
            },
        }
    }
}

impl EffectiveDocument {
    fn new(linux: &Linux<'_>, index: FunctionIndex, function: &Function) -> Option<Self> {
        let name = |entry: usize| linux.database().entries().get(entry).map(|entry| entry.name.clone());
        let acs = function.acs.present();
        match linux.isolation(index).basis {
            Basis::Database(entry) => Some(Self {
                source: "database",
                layout: "none",
                entry: name(entry),
                capability: None,
                control: None,
            }),
            Basis::WideRegisters { entry, control, .. } => Some(Self {
                source: "database",
                layout: "32-bit",
                entry: name(entry),
                capability: acs.map(|acs| acs.capability.into()),
                control: Some(control.into()),
            }),
            Basis::Registers { ignoring: Some(entry), .. } => acs.map(|acs| Self {
                source: "database",
                layout: "standard",
                entry: name(entry),
                capability: Some(without(acs.capability, linux, entry).into()),
                control: Some(acs.control.into()),
            }),
            _ => acs.map(|acs| Self {
                source: "registers",
                layout: "standard",
                entry: None,
                capability: Some(acs.capability.into()),
                control: Some(
                    AcsControl::from_bits_retain(acs.control.bits() & acs.capability.controls().bits())
                        .into(),
                ),
            }),
        }
    }
}

/// Capability bits less those that a database entry has the kernel ignore.
fn without(capability: AcsCapability, linux: &Linux<'_>, entry: usize) -> AcsCapability {
    match linux.database().entries().get(entry).map(|entry| &entry.claim) {
        Some(Claim::IgnoreAcsCapability { cleared }) => {
            capability.difference(AcsCapability::from_bits_retain(cleared.bits()))
        }
        _ => capability,
    }
}

/// Registers of ARI.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "one for each bit of the registers")]
#[non_exhaustive]
pub struct AriRegisters {
    /// ARI Capability register.
    pub capability: String,
    /// ARI Control register.
    pub control: String,
    /// Next Function Number.
    pub next_function: u8,
    /// MFVC Function Groups Capability.
    pub mfvc_function_groups: bool,
    /// ACS Function Groups Capability.
    pub acs_function_groups: bool,
    /// MFVC Function Groups Enable.
    pub mfvc_function_groups_enabled: bool,
    /// ACS Function Groups Enable.
    pub acs_function_groups_enabled: bool,
    /// Function Group.
    pub function_group: u8,
}

pub(super) fn ari(ari: Presence<Ari>) -> StructureDocument<AriRegisters> {
    StructureDocument::new(
        ari,
        |ari| ari.offset.get(),
        |ari| AriRegisters {
            capability: word(ari.capability()),
            control: word(ari.control()),
            next_function: ari.next_function(),
            mfvc_function_groups: ari.mfvc_function_groups(),
            acs_function_groups: ari.acs_function_groups(),
            mfvc_function_groups_enabled: ari.mfvc_function_groups_enabled(),
            acs_function_groups_enabled: ari.acs_function_groups_enabled(),
            function_group: ari.function_group(),
        },
    )
}

/// Registers of SR-IOV.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct SriovRegisters {
    /// SR-IOV Capabilities register.
    pub capabilities: String,
    /// SR-IOV Control register.
    pub control: String,
    /// VF Enable.
    pub vf_enable: bool,
    /// ARI Capable Hierarchy.
    pub ari_capable_hierarchy: bool,
    /// InitialVFs.
    pub initial_vfs: u16,
    /// TotalVFs.
    pub total_vfs: u16,
    /// NumVFs.
    pub num_vfs: u16,
    /// First VF Offset.
    pub first_vf_offset: u16,
    /// VF Stride.
    pub vf_stride: u16,
    /// VF Device ID.
    pub vf_device: String,
    /// System Page Size; `null` if not captured.
    pub system_page_size: Option<String>,
    /// VF BAR0 to VF BAR5 as they read; `null` if not captured.
    pub vf_bars: Option<Vec<String>>,
}

pub(super) fn sriov(sriov: Presence<SrIov>) -> StructureDocument<SriovRegisters> {
    StructureDocument::new(
        sriov,
        |sriov| sriov.offset,
        |sriov| SriovRegisters {
            capabilities: format!("{:#010x}", sriov.capabilities),
            control: word(sriov.control),
            vf_enable: sriov.vf_enable(),
            ari_capable_hierarchy: sriov.ari_capable_hierarchy(),
            initial_vfs: sriov.initial_vfs,
            total_vfs: sriov.total_vfs,
            num_vfs: sriov.num_vfs,
            first_vf_offset: sriov.first_vf_offset,
            vf_stride: sriov.vf_stride,
            vf_device: word(sriov.vf_device_id),
            system_page_size: sriov.system_page_size.map(|size| format!("{size:#010x}")),
            vf_bars: sriov.vf_bars.map(|bars| bars.iter().map(|bar| format!("{bar:#010x}")).collect()),
        },
    )
}

/// Two word registers and an enable bit: ATS, PRI, PASID.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct EnableRegisters {
    /// Capability register; of PRI, the status register.
    pub capability: String,
    /// Control register.
    pub control: String,
    /// Enable.
    pub enabled: bool,
}

pub(super) fn ats(ats: Presence<Ats>) -> StructureDocument<EnableRegisters> {
    let registers = |ats: Ats| EnableRegisters {
        capability: word(ats.capability()),
        control: word(ats.control()),
        enabled: ats.enabled(),
    };
    StructureDocument::new(ats, |ats| ats.offset.get(), registers)
}

pub(super) fn pri(pri: Presence<Pri>) -> StructureDocument<EnableRegisters> {
    let registers = |pri: Pri| EnableRegisters {
        capability: word(pri.status()),
        control: word(pri.control()),
        enabled: pri.enabled(),
    };
    StructureDocument::new(pri, |pri| pri.offset, registers)
}

pub(super) fn pasid(pasid: Presence<Pasid>) -> StructureDocument<EnableRegisters> {
    let registers = |pasid: Pasid| EnableRegisters {
        capability: word(pasid.capability()),
        control: word(pasid.control()),
        enabled: pasid.enabled(),
    };
    StructureDocument::new(pasid, |pasid| pasid.offset, registers)
}

/// A VC or MFVC structure.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct VcDocument {
    /// Where it is.
    pub offset: String,
    /// Channels beside VC0.
    pub extended_vc_count: u8,
}

impl From<&Vc> for VcDocument {
    fn from(vc: &Vc) -> Self {
        Self { offset: offset(vc.offset), extended_vc_count: vc.extended_vc_count() }
    }
}
