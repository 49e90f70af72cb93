//! Findings about what lets functions reach each other, port by port and device by device.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::beyond::beyond;
use super::{Code, Finding, count};
use crate::addr::Sbdf;
use crate::anomaly::Presence;
use crate::cap::acs::{Acs, AcsCapability, AcsControl, MemoryTargetAccess};
use crate::cap::pcie::DevicePortType;
use crate::function::Function;
use crate::route::evidence::{Evidence, control_tokens};
use crate::route::fabric::Fabric;
use crate::route::port::TlpClass;
use crate::topology::{FunctionIndex, Parent, Topology};

/// Pieces of evidence that one finding shows at most; it names all its functions.
const SHOWN: usize = 8;

/// What the ports and devices of a topology leave open. One finding for each code.
#[must_use]
pub fn reach_findings(fabric: &Fabric<'_>) -> Vec<Finding> {
    of(fabric, |_| true)
}

/// The same of these functions (sorted) only.
#[must_use]
pub fn reach_findings_about(fabric: &Fabric<'_>, functions: &[FunctionIndex]) -> Vec<Finding> {
    of(fabric, |index| functions.binary_search(&index).is_ok())
}

fn of(fabric: &Fabric<'_>, is_asked: impl Fn(FunctionIndex) -> bool) -> Vec<Finding> {
    let topology = fabric.topology();
    let mut found = Found::default();
    let drivers_known = (0..topology.functions().len())
        .any(|index| topology.inventory().attributes(index).is_some_and(|known| known.driver.is_some()));
    let below = below(topology);
    for (index, function) in topology.functions().iter().enumerate() {
        if !function.answers || !is_asked(index) {
            continue;
        }
        port(fabric, index, function, below.get(index).copied().unwrap_or_default(), &mut found);
        device(fabric, index, function, &mut found);
        if let Presence::Present(ats) = function.ats {
            if fabric.initiates(index) && fabric.sends_up(index, TlpClass::MemoryTranslated) {
                let evidence = || Evidence::Register {
                    function: function.address,
                    register: "ATS Control",
                    offset: ats.offset.of_register(6),
                    bits: String::from(if ats.enabled() { "Enable+" } else { "Enable-" }),
                    value: u32::from(ats.control()),
                };
                found.note(Code::TranslatedNotBlocked, function, || Some(evidence()));
            }
        }
        if topology.inventory().extras(index).is_some_and(|extras| extras.multicast) {
            found.note(Code::Multicast, function, || None);
        }
        beyond(fabric, index, function, &mut found);
        if topology.lacks_siblings(index) {
            let evidence = || Evidence::Register {
                function: function.address,
                register: "Header Type",
                offset: 0x0e,
                bits: String::from("Multi-Function Device+"),
                value: u32::from(function.header_type.0),
            };
            found.note(Code::MultiFunctionAlone, function, || Some(evidence()));
        }
        let driver = topology.inventory().attributes(index).and_then(|known| known.driver.as_deref());
        if drivers_known && driver.is_none() && fabric.initiates(index) && function.command & BUS_MASTER != 0
        {
            let evidence = || Evidence::Register {
                function: function.address,
                register: "Command",
                offset: 0x04,
                bits: String::from("BusMaster+"),
                value: u32::from(function.command),
            };
            found.note(Code::BusMasterWithoutDriver, function, || Some(evidence()));
        }
    }
    found.findings()
}

/// Bus Master Enable, bit 2 of the Command register.
const BUS_MASTER: u16 = 1 << 2;

/// Functions and evidence by code.
#[derive(Default)]
pub(super) struct Found {
    by_code: Vec<(Code, Vec<Sbdf>, Vec<Evidence>)>,
}

impl Found {
    /// Notes a function; its evidence is made only if it will be shown.
    pub(super) fn note<E: IntoIterator<Item = Evidence>>(
        &mut self,
        code: Code,
        function: &Function,
        evidence: impl FnOnce() -> E,
    ) {
        let at = match self.by_code.iter().position(|(known, ..)| *known == code) {
            Some(at) => at,
            None => {
                self.by_code.push((code, Vec::new(), Vec::new()));
                self.by_code.len().saturating_sub(1)
            }
        };
        if let Some((_, functions, shown)) = self.by_code.get_mut(at) {
            functions.push(function.address);
            if shown.len() < SHOWN {
                shown.extend(evidence());
            }
        }
    }

    fn findings(self) -> Vec<Finding> {
        let finding = |(code, functions, evidence): (Code, Vec<Sbdf>, Vec<Evidence>)| {
            let message = format!("{}: {}", count(functions.len(), "function"), meaning(code));
            Finding { code, functions, message, evidence }
        };
        self.by_code.into_iter().map(finding).collect()
    }
}

/// What a finding of this file says, after the number of functions.
const fn meaning(code: Code) -> &'static str {
    match code {
        Code::AcsAbsentOnDownstreamPort => "switch downstream port without ACS: it routes peers directly",
        Code::RequestRedirectOff => {
            "port with P2P Request Redirect off: requests to peers are not sent upstream"
        }
        Code::RedirectNotImplemented => {
            "port with ACS that does not implement P2P Request Redirect, Completion Redirect or Upstream Forwarding"
        }
        Code::RedirectIncomplete => {
            "port with P2P Request Redirect on and P2P Completion Redirect or Upstream Forwarding off"
        }
        Code::EgressOpensPeer => {
            "port with P2P Egress Control on and bits of its vector clear: those peers are reached directly, \
             in spite of P2P Request Redirect"
        }
        Code::DirectTranslatedWithAts => {
            "port with Direct Translated P2P on above functions with ATS enabled: translated requests go directly"
        }
        Code::TranslationBlockingOff => "port to a hot-plug slot with Translation Blocking off",
        Code::SourceValidationOff => "port with Source Validation off: requester IDs can be forged below it",
        Code::MultiFunctionWithoutAcs => "part of a multi-function device without ACS",
        Code::MultiFunctionAlone => {
            "function 0 that says it is one of several of its device, of which no other is in the dump: hidden by \
             firmware, or missing"
        }
        Code::EmptyAcs => "ACS capability that offers nothing: the device declares no internal peer traffic",
        Code::EnhancedControlsDirect => "port with enhanced ACS that leaves access to port BARs direct",
        Code::UpstreamForwardingOff => {
            "port with Upstream Forwarding off above ports or functions that redirect"
        }
        Code::TranslatedNotBlocked => {
            "with ATS, and no Translation Blocking on the way up: what an IOMMU that allows it ATS takes as \
             translated passes unchecked"
        }
        Code::Multicast => {
            "has Multicast, which is not modelled: of the ACS controls only Source Validation acts on it"
        }
        Code::FlatteningPortal => {
            "bridge that decodes by vectors beside its bus numbers and windows (FPB): bus numbers do not tell all \
             that is below"
        }
        Code::EnhancedAllocation => "with Enhanced Allocation in place of BARs, windows or bus numbers",
        Code::AtomicOpEgressBlocking => "port with AtomicOp Egress Blocking on: AtomicOps end there",
        Code::NonTransparentBridge => {
            "of a class that non-transparent bridges have: another hierarchy may be on the other side"
        }
        Code::SubtractiveDecode => "bridge that decodes subtractively: it passes on what nobody else claims",
        Code::LegacyForwarding => {
            "bridge that forwards VGA's addresses or keeps ISA's above (Bridge Control)"
        }
        Code::BusMasterWithoutDriver => "may master the bus although no driver is bound",
        _ => "",
    }
}

/// Findings about one downstream-facing port.
fn port(fabric: &Fabric<'_>, index: FunctionIndex, function: &Function, below: Below, found: &mut Found) {
    let Some(port_type) = function.port_type().filter(|port_type| port_type.is_downstream_facing()) else {
        return;
    };
    let acs = match function.acs {
        Presence::Present(acs) if fabric.claim(index).is_none() => acs,
        Presence::Absent
            if port_type == DevicePortType::SwitchDownstreamPort && fabric.claim(index).is_none() =>
        {
            let (function_address, presence) = (function.address, "absent");
            let evidence =
                Evidence::Structure { function: function_address, structure: "ACS capability", presence };
            found.note(Code::AcsAbsentOnDownstreamPort, function, || Some(evidence));
            return;
        }
        _ => return,
    };
    if acs.control.reads_all_ones() {
        return;
    }
    let offered = |bit: AcsControl| acs.capability.controls().contains(bit);
    let on = |bit: AcsControl| offered(bit) && acs.control.contains(bit);
    let off = |bit: AcsControl| offered(bit) && !acs.control.contains(bit);
    let mut note = |code: Code, bits: AcsControl| {
        found.note(code, function, || Some(control(function, &acs, bits)));
    };
    if off(AcsControl::REQUEST_REDIRECT) {
        note(Code::RequestRedirectOff, AcsControl::REQUEST_REDIRECT);
    }
    let rest = AcsControl::COMPLETION_REDIRECT.union(AcsControl::UPSTREAM_FORWARDING);
    let lacking = rest.union(AcsControl::REQUEST_REDIRECT).difference(acs.capability.controls());
    // A root port without Request Redirect declares that it does no peer traffic.
    if !lacking.is_empty()
        && (port_type == DevicePortType::SwitchDownstreamPort || offered(AcsControl::REQUEST_REDIRECT))
    {
        note(Code::RedirectNotImplemented, lacking);
    }
    let missing = rest.intersection(acs.capability.controls()).difference(acs.control);
    if on(AcsControl::REQUEST_REDIRECT) && !missing.is_empty() {
        note(Code::RedirectIncomplete, missing);
    }
    if off(AcsControl::SOURCE_VALIDATION) {
        note(Code::SourceValidationOff, AcsControl::SOURCE_VALIDATION);
    }
    if on(AcsControl::DIRECT_TRANSLATED) && !on(AcsControl::TRANSLATION_BLOCKING) && below.ats {
        note(Code::DirectTranslatedWithAts, AcsControl::TRANSLATION_BLOCKING);
    }
    let hot_plug = function.pcie.present().and_then(|pcie| pcie.hot_plug_capable()) == Some(true);
    if hot_plug && off(AcsControl::TRANSLATION_BLOCKING) {
        note(Code::TranslationBlockingOff, AcsControl::TRANSLATION_BLOCKING);
    }
    let both = on(AcsControl::REQUEST_REDIRECT) && on(AcsControl::EGRESS_CONTROL);
    if both && leaves_a_peer_open(fabric.topology(), index) {
        note(Code::EgressOpensPeer, AcsControl::empty());
    }
    let direct = MemoryTargetAccess::Direct;
    // Only switch ports have an upstream port beside them.
    let usp =
        port_type == DevicePortType::SwitchDownstreamPort && acs.control.usp_memory_target_access() == direct;
    let dsp = acs.control.dsp_memory_target_access() == direct;
    if acs.capability.contains(AcsCapability::ENHANCED) && (dsp || usp) {
        note(Code::EnhancedControlsDirect, AcsControl::empty());
    }
    if off(AcsControl::UPSTREAM_FORWARDING) && below.redirects {
        note(Code::UpstreamForwardingOff, AcsControl::UPSTREAM_FORWARDING);
    }
}

/// ACS Control with the bits that are off.
fn control(function: &Function, acs: &Acs, off: AcsControl) -> Evidence {
    Evidence::Register {
        function: function.address,
        register: function.acs_control_name(),
        offset: acs.control_offset(),
        bits: match off.is_empty() {
            true => format!(
                "DspMemTarget={} UspMemTarget={}",
                acs.control.dsp_memory_target_access().word(),
                acs.control.usp_memory_target_access().word()
            ),
            false => control_tokens(off, '-'),
        },
        value: u32::from(acs.control.bits()),
    }
}

/// Whether a vector bit of a peer port on the same bus is clear.
fn leaves_a_peer_open(topology: &Topology, index: FunctionIndex) -> bool {
    let Some(vector) = topology.inventory().extras(index).and_then(|extras| extras.egress_vector) else {
        return false;
    };
    let Some(bus) = topology.bus_of(index) else { return false };
    topology.on_bus(bus).filter(|peer| *peer != index).any(|peer| {
        let number =
            topology.function(peer).and_then(|f| f.pcie.present()).and_then(|pcie| pcie.port_number());
        number.is_some_and(|number| {
            let dword = vector.get(usize::from(number / 32)).copied().flatten();
            dword.is_some_and(|dword| dword & (1 << (number % 32)) == 0)
        })
    })
}

/// What there is anywhere below a bridge.
#[derive(Clone, Copy, Default)]
struct Below {
    /// A function with ATS enabled.
    ats: bool,
    /// A port or function with Request or Completion Redirect on.
    redirects: bool,
}

/// For each bridge what is below it. Children have higher indices.
fn below(topology: &Topology) -> Vec<Below> {
    let mut below = alloc::vec![Below::default(); topology.functions().len()];
    for (index, function) in topology.functions().iter().enumerate().rev() {
        let Parent::Bridge(bridge) = topology.parent_of(index) else { continue };
        let redirect = AcsControl::REQUEST_REDIRECT.union(AcsControl::COMPLETION_REDIRECT);
        let redirects = function.acs.present().is_some_and(|acs| {
            let on = acs.control.intersection(acs.capability.controls());
            !acs.control.reads_all_ones() && on.intersects(redirect)
        });
        let ats = function.ats.present().is_some_and(|ats| ats.enabled());
        let own = below.get(index).copied().unwrap_or_default();
        if let Some(above) = below.get_mut(bridge) {
            above.ats |= ats || own.ats;
            above.redirects |= redirects || own.redirects;
        }
    }
    below
}

/// Findings about one function of a device.
fn device(fabric: &Fabric<'_>, index: FunctionIndex, function: &Function, found: &mut Found) {
    let topology = fabric.topology();
    if !fabric.initiates(index) || topology.kind(index).is_virtual() || fabric.claim(index).is_some() {
        return;
    }
    let absent =
        Evidence::Structure { function: function.address, structure: "ACS capability", presence: "absent" };
    match function.acs {
        Presence::Absent if topology.in_slot(index).len() > 1 => {
            found.note(Code::MultiFunctionWithoutAcs, function, || Some(absent));
        }
        Presence::Present(acs) if acs.capability.controls().is_empty() => {
            let evidence = || Evidence::Register {
                function: function.address,
                register: "ACS Capability",
                offset: acs.capability_offset(),
                bits: String::from("empty"),
                value: u32::from(acs.capability.bits()),
            };
            found.note(Code::EmptyAcs, function, || Some(evidence()));
        }
        _ => {}
    }
}
