//! One port's answer: what happens to a transaction that enters a port or function, as a pure
//! function of its ACS controls, of where the target lies, and of the class of transaction.
//!
//! Core only. Sources: PCIe Base 6.x, §6.12.1 "ACS Component Capability Requirements", §6.12.3 "ACS
//! Peer-to-Peer Control Interactions" and §6.12.4 "ACS Enhanced Capability"; §7.7.11 "ACS Extended
//! Capability".

use super::reason::Reason;
use crate::cap::acs::{AcsCapability, AcsControl, MemoryTargetAccess};

/// Class of transaction: how it is routed, and which controls act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlpClass {
    /// Memory request with Address Type 00b: routed by address.
    MemoryUntranslated,
    /// Memory request with Address Type 10b, which claims that an IOMMU has translated it.
    MemoryTranslated,
    /// Completion with Relaxed Ordering clear: routed by requester ID.
    Completion,
    /// Completion with Relaxed Ordering set.
    CompletionRelaxed,
    /// I/O request: routed by I/O address.
    Io,
}

impl TlpClass {
    /// All classes.
    pub const ALL: [Self; 5] = [
        Self::MemoryUntranslated,
        Self::MemoryTranslated,
        Self::Completion,
        Self::CompletionRelaxed,
        Self::Io,
    ];

    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::MemoryUntranslated => "memory-untranslated",
            Self::MemoryTranslated => "memory-translated",
            Self::Completion => "completion",
            Self::CompletionRelaxed => "completion-relaxed",
            Self::Io => "io",
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::MemoryUntranslated => "memory request",
            Self::MemoryTranslated => "translated memory request",
            Self::Completion => "completion",
            Self::CompletionRelaxed => "completion with Relaxed Ordering",
            Self::Io => "I/O request",
        }
    }

    /// The class with this [`word`](Self::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }

    /// Memory request of either Address Type.
    #[must_use]
    pub const fn is_memory(self) -> bool {
        matches!(self, Self::MemoryUntranslated | Self::MemoryTranslated)
    }

    /// Completion of either ordering.
    #[must_use]
    pub const fn is_completion(self) -> bool {
        matches!(self, Self::Completion | Self::CompletionRelaxed)
    }
}

/// Where the deciding port or function stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Downstream port of a switch.
    SwitchDownstreamPort,
    /// Root port.
    RootPort,
    /// Function of a multi-function device, an upstream port among them, towards its siblings.
    Function,
    /// Function on a root bus that is no root port, towards other devices.
    Integrated,
}

/// The ACS controls of one function that count: what is offered, and what of it is on. A control bit
/// without its capability bit is dropped here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Services {
    offered: AcsCapability,
    enabled: AcsControl,
    guessed: AcsControl,
    /// Why those are not known, if not because firmware has the last word.
    guess: Option<Reason>,
    /// An entry of the device database claims these, where the registers prove nothing: why nothing is
    /// known of what it does not claim.
    beside: Option<Reason>,
}

impl Services {
    /// From the two registers.
    #[must_use]
    pub const fn new(capability: AcsCapability, control: AcsControl) -> Self {
        let enabled = control.intersection(capability.controls());
        let offered = AcsCapability::from_bits_retain(capability.bits() & 0xff);
        Self { offered, enabled, guessed: AcsControl::empty(), guess: None, beside: None }
    }

    /// The same with these controls on, because an entry of the device database says so. What the
    /// capability register offers stays as it is.
    #[must_use]
    pub const fn claiming(self, controls: AcsControl) -> Self {
        let (enabled, guessed) = (self.enabled.union(controls), self.guessed.difference(controls));
        Self { enabled, guessed, ..self }
    }

    /// The same where that entry leaves open whether these are on.
    #[must_use]
    pub const fn leaving_open(self, controls: AcsControl) -> Self {
        if controls.is_empty() {
            return self;
        }
        let guessed = self.guessed.union(controls.difference(self.enabled));
        Self { guessed, guess: Some(Reason::NotClaimed), ..self }
    }

    /// The same where the registers prove nothing, for this reason.
    #[must_use]
    pub const fn beside(self, reason: Reason) -> Self {
        Self { beside: Some(reason), ..self }
    }

    /// Why nothing is known of what is not claimed.
    #[must_use]
    pub const fn is_beside(self) -> Option<Reason> {
        self.beside
    }

    /// The same where these controls are not known, although they read as off.
    #[must_use]
    pub const fn guessing(self, controls: AcsControl) -> Self {
        Self { guessed: controls.intersection(self.offered.controls()), ..self }
    }

    /// Controls that are not known.
    #[must_use]
    pub const fn guessed(self) -> AcsControl {
        self.guessed
    }

    /// What the capability register offers.
    #[must_use]
    pub const fn offered(self) -> AcsCapability {
        self.offered
    }

    /// The controls in force.
    #[must_use]
    pub const fn enabled(self) -> AcsControl {
        self.enabled
    }

    const fn on(self, bit: AcsControl) -> bool {
        self.enabled.contains(bit)
    }
}

/// What is known of a function's ACS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acs {
    /// It is proved to have none.
    Absent,
    /// Not known, for this reason.
    Unknown(Reason),
    /// It has it.
    Present(Services),
}

/// The bit of an egress control vector that stands for the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorBit {
    /// The target is not controlled.
    Clear,
    /// The target is controlled.
    Set,
    /// Not captured, past the end of the vector, or the target's index is not known.
    Unknown,
}

/// Whose BARs a request is for, where the target is a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortMemory {
    /// The port's through which it enters.
    Own,
    /// Another downstream-facing port's of the same switch or root complex.
    Peer,
    /// The upstream port's of the switch.
    Upstream,
}

/// Where the target lies, as seen from the port or function that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// Above: the transaction only passes.
    Up,
    /// Below the very port through which it enters: it was redirected further down.
    Back,
    /// Behind, or in, another port or function of the same switch, device or root complex.
    Peer(VectorBit),
    /// A port's own BARs.
    Port(PortMemory),
    /// Inside the switch's window, where no downstream port claims the address. No pair of functions
    /// leads here, because an address of a function is claimed by the port above it: routes between
    /// functions never meet Unclaimed Request Redirect.
    Unclaimed,
}

/// One port's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It goes on upstream.
    Up,
    /// It goes on downstream, past ports that have no say in it.
    Down,
    /// It turns towards the target here.
    Direct(Reason),
    /// It is sent upstream although the target is a peer.
    Redirect(Reason),
    /// It ends here.
    Block(Reason),
    /// Not known.
    Undetermined(Reason),
}

impl Decision {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Direct(_) => "direct",
            Self::Redirect(_) => "redirect",
            Self::Block(_) => "block",
            Self::Undetermined(_) => "undetermined",
        }
    }

    /// Why, where there was a choice.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Up | Self::Down => None,
            Self::Direct(reason)
            | Self::Redirect(reason)
            | Self::Block(reason)
            | Self::Undetermined(reason) => Some(reason),
        }
    }
}

/// What happens to a transaction of this class that enters here and goes that way. Source Validation
/// is not decided here: it looks at the requester ID.
///
/// ```
/// use acsscan::cap::acs::{AcsCapability, AcsControl};
/// use acsscan::route::Reason;
/// use acsscan::route::port::{Acs, Decision, Role, Services, TlpClass, VectorBit, Way, decide};
/// let on = Services::new(AcsCapability::REQUEST_REDIRECT, AcsControl::REQUEST_REDIRECT);
/// let way = Way::Peer(VectorBit::Unknown);
/// let decision = decide(Role::SwitchDownstreamPort, Acs::Present(on), way, TlpClass::MemoryUntranslated);
/// assert_eq!(decision, Decision::Redirect(Reason::RequestRedirect));
/// ```
#[must_use]
#[inline]
pub const fn decide(role: Role, acs: Acs, way: Way, tlp: TlpClass) -> Decision {
    match acs {
        Acs::Present(services) if !services.guessed.is_empty() => decide_guessing(role, services, way, tlp),
        _ => decide_known(role, acs, way, tlp),
    }
}

/// With controls that are not known: an answer only where it does not depend on them.
const fn decide_guessing(role: Role, services: Services, way: Way, tlp: TlpClass) -> Decision {
    let guessed = services.guessed.bits();
    let lowest = AcsControl::from_bits_retain(guessed & guessed.wrapping_neg());
    let rest = services.guessed.difference(lowest);
    let off = Services { enabled: services.enabled.difference(lowest), guessed: rest, ..services };
    let on = Services { enabled: services.enabled.union(lowest), guessed: rest, ..services };
    let (off, on) = (decide(role, Acs::Present(off), way, tlp), decide(role, Acs::Present(on), way, tlp));
    match (off, on) {
        (Decision::Up, Decision::Up)
        | (Decision::Down, Decision::Down)
        | (Decision::Direct(_), Decision::Direct(_))
        | (Decision::Redirect(_), Decision::Redirect(_))
        | (Decision::Block(_), Decision::Block(_))
        | (Decision::Undetermined(_), _) => off,
        (_, Decision::Undetermined(_)) => on,
        _ => Decision::Undetermined(match services.guess {
            Some(reason) => reason,
            None => Reason::FirmwareNotKnown,
        }),
    }
}

#[inline]
const fn decide_known(role: Role, acs: Acs, way: Way, tlp: TlpClass) -> Decision {
    let port = matches!(role, Role::SwitchDownstreamPort | Role::RootPort);
    let enters = match acs {
        Acs::Present(services) if port => entering(services, tlp),
        // Only these two classes can end at a port that they merely pass.
        Acs::Unknown(reason) if port && matches!(tlp, TlpClass::MemoryTranslated | TlpClass::Io) => {
            Decision::Undetermined(reason)
        }
        _ => Decision::Up,
    };
    let decision = match (enters, way) {
        (Decision::Block(_), _) | (_, Way::Up) => return enters,
        (_, Way::Back) => back(acs, tlp),
        (_, Way::Peer(bit)) => peer(role, acs, bit, tlp),
        (_, Way::Port(memory)) => port_memory(role, acs, memory, tlp),
        (_, Way::Unclaimed) => unclaimed(acs, tlp),
    };
    match (role, way, decision) {
        // What bytes would tell is said to be missing, not left to the root complex.
        (Role::RootPort | Role::Integrated, Way::Peer(_), Decision::Undetermined(reason))
            if reason.is_not_captured() =>
        {
            decision
        }
        // How a root complex forwards between its ports is not specified; what would be direct in a
        // switch, or may be, is not known there.
        (_, Way::Port(PortMemory::Own), _) => decision,
        (
            Role::RootPort | Role::Integrated,
            Way::Peer(_),
            Decision::Direct(_) | Decision::Undetermined(_),
        )
        | (Role::RootPort, Way::Port(_), Decision::Direct(_)) => Decision::Undetermined(Reason::RootComplex),
        _ => decision,
    }
}

/// What a downstream-facing port checks before any routing.
const fn entering(services: Services, tlp: TlpClass) -> Decision {
    match tlp {
        TlpClass::MemoryTranslated if services.on(AcsControl::TRANSLATION_BLOCKING) => {
            Decision::Block(Reason::TranslationBlocking)
        }
        TlpClass::Io if services.on(AcsControl::IO_REQUEST_BLOCKING) => {
            Decision::Block(Reason::IoRequestBlocking)
        }
        _ => Decision::Up,
    }
}

/// A redirected transaction whose target lies below the port itself.
const fn back(acs: Acs, tlp: TlpClass) -> Decision {
    match (acs, tlp) {
        (Acs::Unknown(reason), _) => Decision::Undetermined(reason),
        (_, TlpClass::Io) => Decision::Undetermined(Reason::IoNotGoverned),
        (Acs::Present(services), _) if services.on(AcsControl::UPSTREAM_FORWARDING) => Decision::Up,
        (Acs::Present(services), _) if services.offered.contains(AcsCapability::UPSTREAM_FORWARDING) => {
            Decision::Undetermined(Reason::UpstreamForwardingOff)
        }
        _ => Decision::Undetermined(Reason::UpstreamForwardingNotImplemented),
    }
}

/// Towards a peer: the table of §6.12.3.
const fn peer(role: Role, acs: Acs, bit: VectorBit, tlp: TlpClass) -> Decision {
    let services = match (acs, role) {
        (Acs::Present(services), _) => services,
        (Acs::Unknown(reason), _) => return Decision::Undetermined(reason),
        (Acs::Absent, Role::Function) => return Decision::Undetermined(Reason::MultiFunctionWithoutAcs),
        (Acs::Absent, _) if matches!(tlp, TlpClass::Io) => {
            return Decision::Undetermined(Reason::IoNotGoverned);
        }
        (Acs::Absent, _) => return Decision::Direct(Reason::PortWithoutAcs),
    };
    let offers = services.offered;
    match (role, tlp) {
        (Role::RootPort, _) if !offers.contains(AcsCapability::REQUEST_REDIRECT) => {
            Decision::Block(Reason::NoPeerSupport)
        }
        (_, TlpClass::Io) => Decision::Undetermined(Reason::IoNotGoverned),
        (Role::Function, TlpClass::Completion | TlpClass::CompletionRelaxed)
            if !offers.contains(AcsCapability::COMPLETION_REDIRECT) =>
        {
            Decision::Redirect(Reason::NoInternalPath)
        }
        (Role::Function, TlpClass::MemoryUntranslated | TlpClass::MemoryTranslated)
            if !offers.contains(AcsCapability::REQUEST_REDIRECT) =>
        {
            Decision::Redirect(Reason::NoInternalPath)
        }
        (Role::Function, TlpClass::CompletionRelaxed) => match services.beside {
            // That what is claimed is redirected does not prove that there is anything else.
            Some(reason) => Decision::Undetermined(reason),
            None => Decision::Direct(Reason::RelaxedOrdering),
        },
        (_, TlpClass::CompletionRelaxed) => Decision::Direct(Reason::RelaxedOrdering),
        (_, TlpClass::Completion) => completion(services),
        (_, TlpClass::MemoryTranslated) if translated_directly(services) => {
            Decision::Direct(Reason::DirectTranslated)
        }
        (_, TlpClass::MemoryUntranslated | TlpClass::MemoryTranslated) => request(services, bit),
    }
}

const fn completion(services: Services) -> Decision {
    if services.on(AcsControl::COMPLETION_REDIRECT) {
        Decision::Redirect(Reason::CompletionRedirect)
    } else if services.offered.contains(AcsCapability::COMPLETION_REDIRECT) {
        Decision::Direct(Reason::CompletionRedirectOff)
    } else {
        Decision::Direct(Reason::CompletionRedirectNotImplemented)
    }
}

/// Request Redirect does not act: it is off, or there is none to turn on.
const fn request_passes(services: Services) -> Decision {
    Decision::Direct(if services.offered.contains(AcsCapability::REQUEST_REDIRECT) {
        Reason::RequestRedirectOff
    } else {
        Reason::RequestRedirectNotImplemented
    })
}

/// Direct Translated P2P is ignored while Translation Blocking is on.
const fn translated_directly(services: Services) -> bool {
    services.on(AcsControl::DIRECT_TRANSLATED) && !services.on(AcsControl::TRANSLATION_BLOCKING)
}

const fn request(services: Services, bit: VectorBit) -> Decision {
    let redirect = services.on(AcsControl::REQUEST_REDIRECT);
    match (services.on(AcsControl::EGRESS_CONTROL), bit, redirect) {
        (false, _, false) => request_passes(services),
        (false, _, true) => Decision::Redirect(Reason::RequestRedirect),
        (true, VectorBit::Clear, _) => Decision::Direct(Reason::EgressAllowed),
        (true, VectorBit::Set, false) => Decision::Block(Reason::EgressControl),
        (true, VectorBit::Set, true) => Decision::Redirect(Reason::EgressRedirect),
        (true, VectorBit::Unknown, _) => Decision::Undetermined(Reason::VectorNotKnown),
    }
}

/// To the BARs of a port.
const fn port_memory(role: Role, acs: Acs, memory: PortMemory, tlp: TlpClass) -> Decision {
    let services = match acs {
        Acs::Present(services) => services,
        Acs::Unknown(reason) => return Decision::Undetermined(reason),
        Acs::Absent if matches!(tlp, TlpClass::Io) => return Decision::Undetermined(Reason::IoNotGoverned),
        Acs::Absent => return Decision::Direct(Reason::PortWithoutAcs),
    };
    let peer = matches!(memory, PortMemory::Peer);
    match tlp {
        _ if peer
            && matches!(role, Role::RootPort)
            && !services.offered.contains(AcsCapability::REQUEST_REDIRECT) =>
        {
            Decision::Block(Reason::NoPeerSupport)
        }
        TlpClass::Io => Decision::Undetermined(Reason::IoNotGoverned),
        TlpClass::Completion if peer => completion(services),
        TlpClass::CompletionRelaxed if peer => Decision::Direct(Reason::RelaxedOrdering),
        TlpClass::Completion | TlpClass::CompletionRelaxed => Decision::Direct(Reason::OnTheWayUp),
        _ if services.offered.contains(AcsCapability::ENHANCED) => {
            let access = match memory {
                PortMemory::Own | PortMemory::Peer => services.enabled.dsp_memory_target_access(),
                PortMemory::Upstream => services.enabled.usp_memory_target_access(),
            };
            match access {
                MemoryTargetAccess::Direct => Decision::Direct(Reason::MemoryTargetDirect),
                MemoryTargetAccess::Block => Decision::Block(Reason::MemoryTargetBlock),
                MemoryTargetAccess::Redirect => Decision::Redirect(Reason::MemoryTargetRedirect),
                MemoryTargetAccess::Reserved => Decision::Undetermined(Reason::MemoryTargetReserved),
            }
        }
        _ if !services.on(AcsControl::REQUEST_REDIRECT) => request_passes(services),
        TlpClass::MemoryTranslated if translated_directly(services) => {
            Decision::Direct(Reason::DirectTranslated)
        }
        _ => Decision::Undetermined(Reason::PortTargetUnspecified),
    }
}

/// To an address that no downstream port claims.
const fn unclaimed(acs: Acs, tlp: TlpClass) -> Decision {
    match acs {
        Acs::Unknown(reason) => Decision::Undetermined(reason),
        Acs::Present(services) if tlp.is_memory() && services.on(AcsControl::UNCLAIMED_REQUEST_REDIRECT) => {
            Decision::Redirect(Reason::UnclaimedRedirect)
        }
        _ => Decision::Block(Reason::UnsupportedRequest),
    }
}

#[cfg(test)]
mod tests;
