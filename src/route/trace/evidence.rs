//! What a hop's decision rests on.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::walk::Step;
use super::{BUS_MASTER, Rule};
use crate::anomaly::Presence;
use crate::cap::acs::{AcsCapability, AcsControl};
use crate::function::Function;
use crate::route::Reason;
use crate::route::beyond;
use crate::route::domains::Impersonation;
use crate::route::evidence::{Evidence, control_tokens};
use crate::route::fabric::{Fabric, Kind, NONE};
use crate::route::port::{Acs, Decision, Role, TlpClass};
use crate::topology::FunctionIndex;

impl Fabric<'_> {
    /// The evidence for a decision at a function. `port_target`: the transaction is for a port's own BARs.
    pub(super) fn evidence(
        &self,
        step: &Step,
        class: TlpClass,
        port_target: bool,
        ends: (FunctionIndex, FunctionIndex),
    ) -> Vec<Evidence> {
        let Step { at, rule, decision } = *step;
        let index = at as usize;
        let Some(function) = self.topology.function(index) else { return Vec::new() };
        let port_type = || {
            let address = function.address;
            match function.pcie {
                Presence::Present(pcie) => {
                    Evidence::PortType { function: address, port_type: pcie.port_type() }
                }
                Presence::Absent => absent(function, "PCI Express capability", "absent"),
                Presence::NotCaptured => absent(function, "PCI Express capability", "not-captured"),
            }
        };
        let kind = self.node(index as u32).kind;
        let Some(reason) = decision.reason() else {
            // What faces upstream has no say in what comes from below.
            let decides = kind.facing().is_some();
            return match (decision, rule) {
                (Decision::Up, Rule::Forwarding) if decides => {
                    self.controls(index, function, AcsControl::UPSTREAM_FORWARDING)
                }
                (Decision::Up, Rule::Entering) if decides && class == TlpClass::MemoryTranslated => {
                    self.controls(index, function, AcsControl::TRANSLATION_BLOCKING)
                }
                (Decision::Up, Rule::Conventional) => vec![bus_numbers(function), port_type()],
                _ => Vec::new(),
            };
        };
        // Without the enhanced controls, a port's own BARs are left to what acts on peers.
        let not_enhanced = match function.acs {
            Presence::Present(acs) if port_target => AcsCapability::ENHANCED.difference(acs.capability),
            _ => AcsCapability::empty(),
        };
        match reason {
            Reason::RequestRedirect
            | Reason::RequestRedirectOff
            | Reason::RequestRedirectNotImplemented
            | Reason::PortTargetUnspecified => {
                let bits = AcsControl::REQUEST_REDIRECT | AcsControl::EGRESS_CONTROL;
                let mut evidence = self.controls(index, function, bits);
                evidence.extend(self.lacking(function, not_enhanced));
                evidence
            }
            Reason::CompletionRedirectNotImplemented => {
                self.controls(index, function, AcsControl::COMPLETION_REDIRECT)
            }
            Reason::EgressAllowed
            | Reason::EgressControl
            | Reason::EgressRedirect
            | Reason::VectorNotKnown => {
                let bits = AcsControl::REQUEST_REDIRECT | AcsControl::EGRESS_CONTROL;
                let mut evidence = self.controls(index, function, bits);
                evidence.extend(self.vector(index, function, rule, ends));
                evidence
            }
            Reason::DirectTranslated => self.controls(
                index,
                function,
                AcsControl::DIRECT_TRANSLATED | AcsControl::TRANSLATION_BLOCKING,
            ),
            Reason::CompletionRedirect | Reason::CompletionRedirectOff => {
                self.controls(index, function, AcsControl::COMPLETION_REDIRECT)
            }
            Reason::MemoryTargetDirect
            | Reason::MemoryTargetBlock
            | Reason::MemoryTargetRedirect
            | Reason::MemoryTargetReserved => self.memory_target(index, function),
            Reason::UnclaimedRedirect | Reason::UnsupportedRequest => {
                self.controls(index, function, AcsControl::UNCLAIMED_REQUEST_REDIRECT)
            }
            Reason::NoInternalPath if class.is_completion() => {
                self.offers(index, function, AcsCapability::COMPLETION_REDIRECT)
            }
            Reason::NoInternalPath | Reason::NoPeerSupport => {
                self.offers(index, function, AcsCapability::REQUEST_REDIRECT)
            }
            Reason::SourceValidation => self.controls(index, function, AcsControl::SOURCE_VALIDATION),
            Reason::TranslationBlocking => self.controls(index, function, AcsControl::TRANSLATION_BLOCKING),
            Reason::IoRequestBlocking | Reason::IoNotGoverned => {
                self.controls(index, function, AcsControl::IO_REQUEST_BLOCKING)
            }
            Reason::UpstreamForwardingOff | Reason::UpstreamForwardingNotImplemented => {
                self.controls(index, function, AcsControl::UPSTREAM_FORWARDING)
            }
            Reason::FirmwareNotKnown => self.controls(index, function, function.acs_guessed()),
            Reason::PortWithoutAcs
            | Reason::MultiFunctionWithoutAcs
            | Reason::AcsNotCaptured
            | Reason::ControlAllOnes
            | Reason::DatabaseCondition
            | Reason::RequesterNotInDump
            | Reason::NotClaimed => self.structure(index, function),
            Reason::RootAcsNotKnown if !matches!(self.acs(index), Acs::Present(_)) => {
                self.structure(index, function)
            }
            Reason::RootAcsNotKnown => {
                let bits = AcsControl::REQUEST_REDIRECT | AcsControl::EGRESS_CONTROL;
                let mut evidence = self.controls(index, function, bits);
                evidence.extend(self.vector(index, function, rule, ends));
                evidence
            }
            Reason::RootComplex | Reason::OtherHostBridge | Reason::OneRootDevice => {
                let bits = match class.is_completion() {
                    true => AcsControl::COMPLETION_REDIRECT,
                    false => AcsControl::REQUEST_REDIRECT,
                };
                let mut evidence = self.controls(index, function, bits);
                evidence.push(port_type());
                evidence
            }
            Reason::ClassNotEmitted
            | Reason::PortDoesNotInitiate
            | Reason::ConventionalBus
            | Reason::TypeNotCaptured
            | Reason::PortNotInDump
            | Reason::BridgeNotInDump
            | Reason::OnTheWayUp
            | Reason::RelaxedOrdering => vec![port_type()],
            Reason::Downstream if kind == Kind::HostBridge => vec![class_code(function)],
            Reason::Downstream => vec![bus_numbers(function)],
            Reason::BusMasterOff | Reason::BridgeBusMasterOff => {
                vec![command(function, BUS_MASTER, "Bus Master Enable")]
            }
            Reason::TargetDecodeOff if class == TlpClass::Io => {
                vec![command(function, 1, "I/O Space Enable")]
            }
            Reason::TargetDecodeOff => vec![command(function, 2, "Memory Space Enable")],
            Reason::AtsOff | Reason::AtsNotCaptured => ats(function),
            Reason::NoIoBar | Reason::NoMemoryBar => self.bar_evidence(index, function),
            Reason::WindowClosed => windows(function, class),
            Reason::FlatteningPortal
            | Reason::EnhancedAllocation
            | Reason::SubtractiveDecode
            | Reason::LegacyForwarding => self.beyond_evidence(index, reason),
            Reason::SameFunction | Reason::TargetNotCaptured | Reason::NotInDump => Vec::new(),
        }
    }

    /// What a function has in force that is not followed, or its physical function, or the bridge above it.
    fn beyond_evidence(&self, index: FunctionIndex, reason: Reason) -> Vec<Evidence> {
        let owner = match self.topology.kind(index) {
            crate::topology::Kind::Virtual(physical) => physical,
            _ => self.node(index as u32).up as usize,
        };
        let of = |index: FunctionIndex| {
            let beyond = self.topology.inventory().extras(index).map(|extras| extras.beyond);
            let (function, beyond) = (self.topology.function(index)?, beyond.unwrap_or_default());
            let mut shown = beyond::evidence(function, &beyond, reason);
            let structure = match reason {
                Reason::FlatteningPortal => {
                    beyond.flattening_portal.map(|_| "Flattening Portal Bridge capability")
                }
                _ => beyond.enhanced_allocation.map(|_| "Enhanced Allocation capability"),
            };
            if shown.is_empty() {
                shown.extend(structure.map(|structure| absent(function, structure, "not-captured")));
            }
            (!shown.is_empty()).then_some(shown)
        };
        [index, owner].into_iter().find_map(of).unwrap_or_default()
    }

    /// The BARs as they read; of a virtual function those in its physical function's SR-IOV structure.
    fn bar_evidence(&self, index: FunctionIndex, function: &Function) -> Vec<Evidence> {
        let crate::topology::Kind::Virtual(physical) = self.topology.kind(index) else {
            return bars(function);
        };
        let read = || {
            let sriov = self.topology.sriov(physical).present()?;
            let address = self.topology.function(physical)?.address;
            let offsets = (sriov.offset.saturating_add(0x24)..).step_by(4);
            let bar = |(value, offset)| Evidence::Register {
                function: address,
                register: "VF BAR",
                offset,
                bits: String::from("memory"),
                value,
            };
            let set = sriov.vf_bars?.into_iter().zip(offsets).filter(|(value, _)| *value != 0);
            Some(set.map(bar).collect())
        };
        read().unwrap_or_default()
    }

    /// The ACS Control register with these bits, and what explains bits that are not offered.
    fn controls(&self, index: FunctionIndex, function: &Function, bits: AcsControl) -> Vec<Evidence> {
        let Acs::Present(services) = self.acs(index) else { return self.structure(index, function) };
        let mut evidence: Vec<Evidence> = self.entry(index, function).into_iter().collect();
        let mut bits = bits;
        if self.entry_decides(index) {
            // Beside an entry that claims controls, only those count that the registers have on, too.
            let Presence::Present(acs) = function.acs else { return evidence };
            bits = bits & acs.control & acs.capability.controls() & services.enabled();
            if bits.is_empty() || acs.control.reads_all_ones() {
                return evidence;
            }
        }
        if let Presence::Present(acs) = function.acs {
            let wide = self.layout_is_wide(index);
            let (register, offset, value) = match (wide, function.acs_dword_8()) {
                (true, Some(dword)) => ("ACS Control (32-bit)", acs.offset.of_register(8), dword),
                _ => (function.acs_control_name(), acs.control_offset(), u32::from(acs.control.bits())),
            };
            let set = AcsControl::from_bits_retain((value & 0xffff) as u16).intersection(bits);
            let tokens = join(control_tokens(set, '+'), control_tokens(bits.difference(set), '-'));
            let at = function.address;
            evidence.push(Evidence::Register { function: at, register, offset, bits: tokens, value });
            let not_offered =
                AcsCapability::from_bits_retain(bits.difference(services.offered().controls()).bits());
            let basic = not_offered.intersection(AcsCapability::from_bits_retain(0x7f));
            evidence.extend(self.lacking(function, basic));
        }
        evidence
    }

    /// That ACS Capability does not offer these.
    fn offers(&self, index: FunctionIndex, function: &Function, bits: AcsCapability) -> Vec<Evidence> {
        let mut evidence: Vec<Evidence> = self.entry(index, function).into_iter().collect();
        evidence.extend(self.lacking(function, bits));
        evidence
    }

    /// ACS Capability, with bits that it lacks.
    fn lacking(&self, function: &Function, bits: AcsCapability) -> Option<Evidence> {
        let acs = function.acs.present().filter(|_| !bits.is_empty())?;
        Some(Evidence::Register {
            function: function.address,
            register: "ACS Capability",
            offset: acs.capability_offset(),
            bits: offered_tokens(bits),
            value: u32::from(acs.capability.bits()),
        })
    }

    /// What an impersonation by a function rests on: the database entry, or each port from the nearest up
    /// that does not validate requester IDs, with its registers.
    #[must_use]
    pub fn impersonation_evidence(&self, index: FunctionIndex, why: Impersonation) -> Vec<Evidence> {
        let of_entry = |(index, entry): (FunctionIndex, usize)| {
            let function = self.topology.function(index)?;
            Some(Evidence::entry(function.address, self.database.entries().get(entry)?))
        };
        match why {
            Impersonation::Device { entry, .. } => return of_entry((index, entry)).into_iter().collect(),
            Impersonation::Segment { owner, .. } => {
                let entry = owner.and_then(|owner| Some((owner, self.owns_segment(owner)?)));
                return entry.and_then(of_entry).into_iter().collect();
            }
            Impersonation::NotValidated { .. } => {}
        }
        if let (Some(reason), Some(port)) = (why.beyond_bus_numbers(), self.scope(index).impersonated.port())
        {
            let extras = self.topology.inventory().extras(port);
            let of = |function| extras.map(|extras| beyond::evidence(function, &extras.beyond, reason));
            return self.topology.function(port).and_then(of).unwrap_or_default();
        }
        let of = |port: FunctionIndex| {
            let function = self.topology.function(port)?;
            Some(self.controls(port, function, AcsControl::SOURCE_VALIDATION))
        };
        let unvalidated = self.unvalidated(index);
        if unvalidated.is_empty() {
            // The nearest port validates, and the other's bus is one of its own.
            let port = self.nearest_port(index).and_then(|port| self.topology.function(port));
            return port.map(bus_numbers).into_iter().collect();
        }
        unvalidated.into_iter().filter_map(of).flatten().collect()
    }

    /// The nearest port above that faces downstream.
    fn nearest_port(&self, index: FunctionIndex) -> Option<FunctionIndex> {
        let mut at = self.node(index as u32).up;
        while at != NONE && self.node(at).kind.facing().is_none() {
            at = self.node(at).up;
        }
        (at != NONE).then_some(at as usize)
    }

    /// Whether Source Validation could keep `from` from using the requester ID of `to`: whether a port on the
    /// way up, which lets it through now, has that control. `None` if no port's could, because each that
    /// does not validate has the bus of `to` below it, too.
    #[must_use]
    pub fn validation_could_stop(&self, from: FunctionIndex, to: FunctionIndex) -> Option<bool> {
        let is_outside = |port: &FunctionIndex| !self.has_bus_of(*port, to);
        let could = |port: FunctionIndex| match self.acs(port) {
            Acs::Present(services) => services.offered().contains(AcsCapability::SOURCE_VALIDATION),
            Acs::Absent => false,
            Acs::Unknown(_) => true,
        };
        let mut ports = self.unvalidated(from).into_iter().filter(is_outside).map(could).peekable();
        ports.peek().copied().map(|first| first || ports.any(|could| could))
    }

    /// Why `from` can use the requester ID of `to`, in words that follow it.
    #[must_use]
    pub fn impersonation_words(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        why: Impersonation,
    ) -> &'static str {
        match why {
            Impersonation::Device { .. } => "by their making both send with one",
            Impersonation::Segment { .. } => "a driver made the segment, and all of it sends with one",
            _ if why.beyond_bus_numbers().is_some() => {
                "bus numbers of a port above it do not tell all that it lets through"
            }
            Impersonation::NotValidated { .. } if self.validation_could_stop(from, to).is_some() => {
                "a port above it does not validate them"
            }
            Impersonation::NotValidated { .. } => {
                "the nearest port above it lets all requester IDs of the buses below it through, this one among them"
            }
        }
    }

    /// The ports on the way up that let other requester IDs through, up to the first that does not.
    fn unvalidated(&self, index: FunctionIndex) -> Vec<FunctionIndex> {
        let ports = self.checks_above(index as u32).take_while(|(_, validates)| *validates != Some(true));
        ports.map(|(port, _)| port as usize).collect()
    }

    fn memory_target(&self, index: FunctionIndex, function: &Function) -> Vec<Evidence> {
        let Presence::Present(acs) = function.acs else { return self.structure(index, function) };
        let (dsp, usp) = (acs.control.dsp_memory_target_access(), acs.control.usp_memory_target_access());
        vec![Evidence::Register {
            function: function.address,
            register: function.acs_control_name(),
            offset: acs.control_offset(),
            bits: format!("DspMemTarget {}, UspMemTarget {}", dsp.word(), usp.word()),
            value: u32::from(acs.control.bits()),
        }]
    }

    /// The double word of the egress control vector that has the target's bit.
    fn vector(
        &self,
        index: FunctionIndex,
        function: &Function,
        rule: Rule,
        (from, to): (FunctionIndex, FunctionIndex),
    ) -> Option<Evidence> {
        let acs = function.acs.present()?;
        let bus = self.node(index as u32).bus;
        let on_bus = |end: FunctionIndex| {
            let mut at = end as u32;
            while self.node(at).bus != bus && self.node(at).up != NONE {
                at = self.node(at).up;
            }
            at
        };
        // A port decides for what comes up through it, and inside its device for what goes down, too.
        let other = if on_bus(to) as usize == index { on_bus(from) } else { on_bus(to) };
        let role = match rule {
            Rule::Device | Rule::UpstreamPort => Role::Function,
            _ => self.node(index as u32).kind.facing().unwrap_or(Role::SwitchDownstreamPort),
        };
        let count = acs.capability.vector_bits();
        let bit = self.peer_index(other, role);
        let (dword, bits) = match bit {
            Some(bit) if u16::from(bit) < count => {
                let target = self.topology.address(other as usize).unwrap_or_default();
                (u16::from(bit >> 5), format!("bit {} for {bit}, {target}", bit & 31))
            }
            Some(bit) => (0, format!("{count} bits, and none for {bit}")),
            None => (0, format!("{count} bits; which is the target's is not known")),
        };
        let vector = self.topology.inventory().extras(index).and_then(|extras| extras.egress_vector);
        let value = vector.and_then(|vector| vector.get(usize::from(dword)).copied().flatten());
        Some(Evidence::Register {
            function: function.address,
            register: "Egress Control Vector",
            offset: acs.offset.of_register(dword.saturating_mul(4).saturating_add(8)),
            bits,
            value: value?,
        })
    }

    /// The SR-IOV register by which a virtual target does not decode addresses; it is its physical function's.
    pub(super) fn decoding_evidence(
        &self,
        step: &Step,
        class: TlpClass,
        to: FunctionIndex,
    ) -> Option<Vec<Evidence>> {
        let crate::topology::Kind::Virtual(physical) = self.topology.kind(to) else { return None };
        let decoding = step.decision.reason() == Some(Reason::TargetDecodeOff);
        if step.at as usize != physical || !decoding || class == TlpClass::Io {
            return None;
        }
        let sriov = self.topology.sriov(physical).present()?;
        Some(vec![Evidence::Register {
            function: self.topology.address(physical)?,
            register: "SR-IOV Control",
            offset: sriov.offset.saturating_add(8),
            bits: String::from("VF MSE-"),
            value: u32::from(sriov.control),
        }])
    }

    /// That there is no ACS capability, or that it gives no answer.
    fn structure(&self, index: FunctionIndex, function: &Function) -> Vec<Evidence> {
        let mut evidence: Vec<Evidence> = self.entry(index, function).into_iter().collect();
        if self.entry_decides(index) {
            return evidence;
        }
        match function.acs {
            Presence::Present(acs) if acs.control.reads_all_ones() => evidence.push(Evidence::Register {
                function: function.address,
                register: function.acs_control_name(),
                offset: acs.control_offset(),
                bits: String::from("all ones"),
                value: u32::from(acs.control.bits()),
            }),
            Presence::Present(_) => {}
            Presence::Absent => evidence.push(absent(function, "ACS capability", "absent")),
            Presence::NotCaptured => evidence.push(absent(function, "ACS capability", "not-captured")),
        }
        evidence
    }

    /// Whether an entry says which controls act, whatever the registers read.
    fn entry_decides(&self, index: FunctionIndex) -> bool {
        use crate::db::Claim;
        let entry = self.claim(index).and_then(|entry| self.database.entries().get(entry));
        entry.is_some_and(|entry| matches!(entry.claim, Claim::Isolates { .. } | Claim::DoesNotIsolate))
    }

    fn layout_is_wide(&self, index: FunctionIndex) -> bool {
        let entry = self.claim(index).and_then(|entry| self.database.entries().get(entry));
        entry.is_some_and(|entry| matches!(entry.claim, crate::db::Claim::AcsLayout { .. }))
    }

    fn entry(&self, index: FunctionIndex, function: &Function) -> Option<Evidence> {
        let entry = self.database.entries().get(self.claim(index)?)?;
        Some(Evidence::entry(function.address, entry))
    }
}

/// lspci's tokens for capability bits that are not there.
fn offered_tokens(bits: AcsCapability) -> String {
    let tokens = AcsCapability::TOKENS.iter().filter(|(_, bit)| bits.contains(*bit));
    tokens.fold(String::new(), |text, (token, _)| join(text, format!("{token}-")))
}

const fn absent(function: &Function, structure: &'static str, presence: &'static str) -> Evidence {
    Evidence::Structure { function: function.address, structure, presence }
}

fn bus_numbers(function: &Function) -> Evidence {
    let register = function.header().map_or(0, |[_, _, buses, ..]| buses);
    let range = function.bus_range().unwrap_or_default();
    Evidence::Register {
        function: function.address,
        register: "Bus Numbers",
        offset: 0x18,
        bits: format!("buses {range}"),
        value: register,
    }
}

/// What makes a host bridge one: its header has no bus numbers.
fn class_code(function: &Function) -> Evidence {
    let class = function.class.class();
    Evidence::Register {
        function: function.address,
        register: "Class Code",
        offset: 0x0a,
        bits: String::from("host bridge"),
        value: u32::from(class),
    }
}

fn command(function: &Function, mask: u16, name: &str) -> Evidence {
    let sign = if function.command & mask == mask { '+' } else { '-' };
    Evidence::Register {
        function: function.address,
        register: "Command",
        offset: 0x04,
        bits: format!("{name}{sign}"),
        value: u32::from(function.command),
    }
}

fn ats(function: &Function) -> Vec<Evidence> {
    match function.ats {
        Presence::Present(ats) => vec![Evidence::Register {
            function: function.address,
            register: "ATS Control",
            offset: ats.offset.of_register(6),
            bits: String::from("Enable-"),
            value: u32::from(ats.control()),
        }],
        Presence::Absent => vec![absent(function, "ATS capability", "absent")],
        Presence::NotCaptured => vec![absent(function, "ATS capability", "not-captured")],
    }
}

/// The windows of a bridge as they read.
fn windows(function: &Function, class: TlpClass) -> Vec<Evidence> {
    let names: &[(&'static str, u16)] = match class {
        TlpClass::Io => &[("I/O Base and Limit", 0x1c)],
        _ => &[("Memory Base and Limit", 0x20), ("Prefetchable Memory Base and Limit", 0x24)],
    };
    let registers = function.header().unwrap_or_default();
    let window = |(register, offset): &(&'static str, u16)| Evidence::Register {
        function: function.address,
        register,
        offset: *offset,
        bits: String::from("window"),
        value: registers.get(usize::from(offset.saturating_sub(0x10) / 4)).copied().unwrap_or_default(),
    };
    names.iter().map(window).collect()
}

fn bars(function: &Function) -> Vec<Evidence> {
    let count = if function.is_bridge() { 2 } else { 6 };
    let registers = function.header().unwrap_or_default();
    let with_offsets = registers.into_iter().zip((0x10_u16..).step_by(4)).take(count);
    let bar = |(value, offset)| Evidence::Register {
        function: function.address,
        register: "Base Address",
        offset,
        bits: String::from(match value & 1 {
            1 => "I/O",
            _ => "memory",
        }),
        value,
    };
    with_offsets.filter(|(value, _)| *value != 0).map(bar).collect()
}

fn join(mut a: String, b: String) -> String {
    if !a.is_empty() && !b.is_empty() {
        a.push(' ');
    }
    a.push_str(&b);
    a
}

/// The kinds of function whose Bus Numbers mean something.
pub(super) const fn is_bridge(kind: Kind) -> bool {
    !matches!(kind, Kind::Leaf | Kind::HostBridge)
}
