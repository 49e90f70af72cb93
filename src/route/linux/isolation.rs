//! Whether one function isolates in the kernel's eyes, and why.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Linux, REQUIRED};
use crate::anomaly::Presence;
use crate::cap::acs::{AcsCapability, AcsControl};
use crate::cap::pcie::DevicePortType;
use crate::db::{Claim, Condition, Entry, Subject};
use crate::function::{Function, ListState};
use crate::route::evidence::{Evidence, control_tokens};
use crate::route::view;
use crate::topology::FunctionIndex;

/// Whether a function isolates: `pci_acs_enabled` with [`REQUIRED`](super::REQUIRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Isolation {
    /// The kernel's answer, or the best guess at it.
    pub isolates: bool,
    /// What decided.
    pub basis: Basis,
    /// What had to be guessed; `None` if the answer is certain.
    pub guess: Option<Guess>,
}

impl Default for Isolation {
    fn default() -> Self {
        Self { isolates: false, basis: Basis::Unknown, guess: Some(Guess::NoAnswer) }
    }
}

/// What decided whether a function isolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// An entry of the database: index into [`Database::entries`](crate::db::Database::entries).
    Database(usize),
    /// No PCI Express capability: conventional functions never isolate.
    Conventional,
    /// A type that never isolates: bridges to and from conventional buses, event collectors.
    NeverIsolates(DevicePortType),
    /// A function that is alone in its device need not do anything.
    SingleFunction,
    /// A type that the kernel does not judge and takes as isolating.
    NotJudged(DevicePortType),
    /// No ACS capability where one is needed.
    NoAcs,
    /// The ACS registers; `missing` are the required controls that are offered and off.
    Registers {
        /// Offset of the structure.
        offset: u16,
        /// ACS Capability as it reads.
        capability: AcsCapability,
        /// The database entry that has the kernel ignore bits of it.
        ignoring: Option<usize>,
        /// ACS Control.
        control: AcsControl,
        /// Required controls that are not on.
        missing: AcsControl,
    },
    /// ACS registers that are 32 bits wide, as this database entry says.
    WideRegisters {
        /// Index into the entries.
        entry: usize,
        /// Offset of the control register in configuration space.
        control_offset: u16,
        /// Low word of the control register.
        control: AcsControl,
        /// Required controls that are not on.
        missing: AcsControl,
    },
    /// The dump does not tell.
    Unknown,
}

/// Why an answer is a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Guess {
    /// Nothing of the function was captured, or it reads all ones.
    NoAnswer,
    /// The standard capability list was not captured, so that its type is not known.
    TypeNotCaptured,
    /// The extended capabilities were not captured.
    AcsNotCaptured,
    /// The kernel's own `config` file ended before the extended capabilities.
    KernelReadsNoMore,
    /// Whether ARI is in use, and so whether the function is one of several of a device, was not
    /// captured.
    AriNotCaptured,
    /// A list is broken; the kernel finds nothing behind the break.
    BrokenList,
    /// ACS Control bits that an overlay leaves to what firmware set, which the dump does not tell; taken
    /// as 0.
    FirmwareNotKnown,
    /// ACS Control reads FFFFh, which the kernel takes as all on.
    ControlAllOnes,
    /// A database entry applies under a condition that the dump cannot check: index into the entries.
    Condition(usize),
    /// Kernels differ in which capability bits they use: index into the entries.
    KernelVersion(usize),
}

/// Judges one function whose [`View`](super::View) is known.
pub(super) fn isolation(linux: &Linux<'_>, index: FunctionIndex) -> Isolation {
    let mut isolation = judge(linux, index);
    if linux.view(index).multi_function_guessed {
        isolation.guess = isolation.guess.or(Some(Guess::AriNotCaptured));
    }
    isolation
}

fn judge(linux: &Linux<'_>, index: FunctionIndex) -> Isolation {
    let Some(function) = linux.topology.function(index) else { return Isolation::default() };
    let view = linux.view(index);
    let subject = linux.subject(index);
    if let Some(answer) = subject.and_then(|subject| by_database(linux, index, function, &subject)) {
        return answer;
    }
    let certain = |isolates, basis| Isolation { isolates, basis, guess: None };
    if view.guessed {
        return by_guess(function, view.port_type, view.multi_function);
    }
    let Some(port_type) = view.port_type else { return certain(false, Basis::Conventional) };
    match port_type {
        DevicePortType::PcieToPciBridge
        | DevicePortType::PciToPcieBridge
        | DevicePortType::RootComplexEventCollector => certain(false, Basis::NeverIsolates(port_type)),
        DevicePortType::RootPort | DevicePortType::SwitchDownstreamPort => {
            by_registers(linux, index, function, subject.as_ref(), true)
        }
        DevicePortType::Endpoint
        | DevicePortType::LegacyEndpoint
        | DevicePortType::SwitchUpstreamPort
        | DevicePortType::RootComplexIntegratedEndpoint => {
            if !view.multi_function {
                return certain(true, Basis::SingleFunction);
            }
            by_registers(linux, index, function, subject.as_ref(), false)
        }
        DevicePortType::Reserved(_) => certain(true, Basis::NotJudged(port_type)),
    }
}

/// Ports are taken to have ACS, and the kernel to have enabled it; other functions of a multi-function
/// device are taken to lack it.
fn by_guess(function: &Function, port_type: Option<DevicePortType>, multi_function: bool) -> Isolation {
    let guess = match (function.answers, function.standard_list) {
        (false, _) => Guess::NoAnswer,
        (true, ListState::Broken) => Guess::BrokenList,
        (true, _) => Guess::TypeNotCaptured,
    };
    let isolates = match port_type {
        None => false,
        Some(port_type) => port_type.is_downstream_facing() || !multi_function,
    };
    Isolation { isolates, basis: Basis::Unknown, guess: Some(guess) }
}

/// `pci_acs_flags_enabled`: what the capability register does not offer counts as on.
fn by_registers(
    linux: &Linux<'_>,
    index: FunctionIndex,
    function: &Function,
    subject: Option<&Subject>,
    port: bool,
) -> Isolation {
    let acs = match function.acs {
        Presence::Present(acs) => acs,
        Presence::Absent => return Isolation { isolates: false, basis: Basis::NoAcs, guess: None },
        Presence::NotCaptured if function.extended_list == ListState::Broken => {
            return Isolation { isolates: false, basis: Basis::Unknown, guess: Some(Guess::BrokenList) };
        }
        Presence::NotCaptured => {
            // Where the kernel's own file ends at 256 bytes, the kernel does not see ACS either.
            let attributes = linux.topology.inventory().attributes(index);
            let unseen = attributes.is_some_and(|known| known.conventional_size);
            let guess = if unseen { Guess::KernelReadsNoMore } else { Guess::AcsNotCaptured };
            return Isolation { isolates: port && !unseen, basis: Basis::Unknown, guess: Some(guess) };
        }
    };
    let mut guess = acs.control.reads_all_ones().then_some(Guess::ControlAllOnes);
    let mut capability = acs.capability;
    let mut ignoring = None;
    if let Some((entry, cleared)) = subject.and_then(|subject| ignored_bits(linux, subject)) {
        capability = capability.difference(AcsCapability::from_bits_retain(cleared.bits()));
        ignoring = Some(entry);
        if missing(acs.capability, acs.control) != missing(capability, acs.control) {
            guess = guess.or(Some(Guess::KernelVersion(entry)));
        }
    }
    let missing = missing(capability, acs.control);
    guess = guess.or(depends_on_firmware(function, missing));
    let (offset, control) = (acs.offset.get(), acs.control);
    let basis = Basis::Registers { offset, capability: acs.capability, ignoring, control, missing };
    Isolation { isolates: missing.is_empty(), basis, guess }
}

/// Whether all that is missing is guessed.
fn depends_on_firmware(function: &Function, missing: AcsControl) -> Option<Guess> {
    let guessed = !missing.is_empty() && function.acs_guessed().contains(missing);
    guessed.then_some(Guess::FirmwareNotKnown)
}

/// Required controls that are offered and not on.
fn missing(capability: AcsCapability, control: AcsControl) -> AcsControl {
    let offered = AcsControl::from_bits_retain(capability.bits());
    REQUIRED.intersection(offered).difference(control)
}

/// Capability bits that the kernel ignores, and the entry that says so.
fn ignored_bits(linux: &Linux<'_>, subject: &Subject) -> Option<(usize, AcsControl)> {
    linux.entries(subject).find_map(|(found, entry)| match entry.claim {
        Claim::IgnoreAcsCapability { cleared } => Some((found, cleared)),
        _ => None,
    })
}

/// The first entry that gives a definite answer.
fn by_database(
    linux: &Linux<'_>,
    index: FunctionIndex,
    function: &Function,
    subject: &Subject,
) -> Option<Isolation> {
    let view = linux.view(index);
    let guessed = |entry: &Entry| {
        let by_type = !entry.matches.port_types.is_empty() || entry.matches.pcie.is_some();
        (view.guessed && by_type).then_some(Guess::TypeNotCaptured)
    };
    for (found, entry) in linux.entries(subject) {
        let basis = Basis::Database(found);
        match &entry.claim {
            Claim::Isolates { services, ignored, .. } => {
                let isolates = services.contains(REQUIRED.difference(*ignored));
                match conditions(linux, index, &entry.conditions) {
                    Conditions::None => {
                        return Some(Isolation { isolates, basis, guess: guessed(entry) });
                    }
                    Conditions::GuessedToHold => {
                        return Some(Isolation { isolates, basis, guess: Some(Guess::Condition(found)) });
                    }
                    Conditions::Denied { certain } => {
                        let guess = (!certain).then_some(Guess::Condition(found));
                        return Some(Isolation { isolates: false, basis, guess });
                    }
                    Conditions::DoesNotApply => {}
                }
            }
            Claim::DoesNotIsolate => {
                return Some(Isolation { isolates: false, basis, guess: guessed(entry) });
            }
            Claim::AcsLayout { capability_offset, control_offset } => {
                return Some(by_wide_registers(function, found, *capability_offset, *control_offset));
            }
            _ => {}
        }
    }
    None
}

/// Registers of 32 bits, capability at +4 and control at +8 (the only layout that a record keeps).
fn by_wide_registers(function: &Function, entry: usize, capability: u16, control: u16) -> Isolation {
    let unknown =
        Isolation { isolates: true, basis: Basis::Database(entry), guess: Some(Guess::AcsNotCaptured) };
    let (Presence::Present(acs), Some(dword), 4, 8) =
        (function.acs, function.acs_dword_8(), capability, control)
    else {
        return unknown;
    };
    let control = AcsControl::from_bits_retain((dword & 0xffff) as u16);
    let missing = missing(acs.capability, control);
    let basis = Basis::WideRegisters { entry, control_offset: acs.offset.of_register(8), control, missing };
    let guess = (dword == u32::MAX).then_some(Guess::ControlAllOnes);
    let guess = guess.or(depends_on_firmware(function, missing));
    Isolation { isolates: missing.is_empty(), basis, guess }
}

/// What is known of an entry's conditions together.
enum Conditions {
    None,
    GuessedToHold,
    Denied { certain: bool },
    DoesNotApply,
}

fn conditions(linux: &Linux<'_>, index: FunctionIndex, conditions: &[Condition]) -> Conditions {
    if conditions.is_empty() {
        return Conditions::None;
    }
    for condition in conditions {
        let (holds, certain) = view::condition(linux.topology, index, &condition.kind, linux.has_amd_iommu);
        if !holds {
            return if condition.denies { Conditions::Denied { certain } } else { Conditions::DoesNotApply };
        }
    }
    Conditions::GuessedToHold
}

impl Isolation {
    /// What the answer rests on. More than one piece where an entry says how to read a register.
    #[must_use]
    pub fn evidence(&self, linux: &Linux<'_>, index: FunctionIndex) -> Vec<Evidence> {
        let Some(function) = linux.topology.function(index) else { return Vec::new() };
        let address = function.address;
        let register = |register, offset, value: AcsControl, missing: AcsControl, sign| Evidence::Register {
            function: address,
            register,
            offset,
            bits: control_tokens(
                if missing.is_empty() { REQUIRED.intersection(value) } else { missing },
                sign,
            ),
            value: u32::from(value.bits()),
        };
        let absent = |structure, presence| Evidence::Structure { function: address, structure, presence };
        match self.basis {
            Basis::Database(entry) => linux.entry_evidence(index, entry).into_iter().collect(),
            Basis::Conventional => vec![absent("PCI Express capability", "absent")],
            Basis::NeverIsolates(port_type) | Basis::NotJudged(port_type) => {
                vec![Evidence::PortType { function: address, port_type }]
            }
            Basis::SingleFunction => vec![Evidence::Register {
                function: address,
                register: "Header Type",
                offset: 0x0e,
                bits: String::from("Multi-Function Device-"),
                value: u32::from(function.header_type.0),
            }],
            Basis::NoAcs => vec![absent("ACS capability", "absent")],
            Basis::Registers { offset, control, missing, capability, ignoring } => {
                let sign = if missing.is_empty() { '+' } else { '-' };
                let mut evidence = vec![register(
                    function.acs_control_name(),
                    offset.saturating_add(6),
                    control,
                    missing,
                    sign,
                )];
                let lacking = REQUIRED.difference(AcsControl::from_bits_retain(capability.bits()));
                if missing.is_empty() && !lacking.is_empty() {
                    evidence.push(Evidence::Register {
                        function: address,
                        register: "ACS Capability",
                        offset: offset.saturating_add(4),
                        bits: control_tokens(lacking, '-'),
                        value: u32::from(capability.bits()),
                    });
                }
                evidence.extend(ignoring.and_then(|entry| linux.entry_evidence(index, entry)));
                evidence
            }
            Basis::WideRegisters { entry, control_offset, control, missing } => {
                let sign = if missing.is_empty() { '+' } else { '-' };
                let mut evidence =
                    vec![register("ACS Control (32-bit)", control_offset, control, missing, sign)];
                evidence.extend(linux.entry_evidence(index, entry));
                evidence
            }
            Basis::Unknown => {
                let structure = match function.pcie {
                    Presence::Present(_) => "ACS capability",
                    _ => "PCI Express capability",
                };
                vec![absent(structure, "not-captured")]
            }
        }
    }
}

impl Linux<'_> {
    /// The entries about a function whose claim is such a one.
    pub(super) fn entry_evidence_where(
        &self,
        index: FunctionIndex,
        is: impl Fn(&Claim) -> bool,
    ) -> Vec<Evidence> {
        let Some(subject) = self.subject(index) else { return Vec::new() };
        let found = self.entries(&subject).filter(|(_, entry)| is(&entry.claim));
        found.filter_map(|(entry, _)| self.entry_evidence(index, entry)).collect()
    }

    fn entry_evidence(&self, index: FunctionIndex, entry: usize) -> Option<Evidence> {
        let function = self.topology.function(index)?.address;
        let entry = self.database.entries().get(entry)?;
        Some(Evidence::entry(function, entry))
    }
}
