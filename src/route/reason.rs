//! What becomes of a transaction, and why: closed sets, with stable codes.
//!
//! Core only: nothing here allocates.

use core::fmt;

/// What becomes of a transaction as a whole. The order is that of safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// It reaches the target below the root complex: no IOMMU sees it.
    Direct,
    /// Configuration space does not tell; the reason names what is missing.
    Undetermined,
    /// It is forced upstream into the root complex, where the IOMMU decides.
    Redirected,
    /// It ends on the way, or is never sent.
    Blocked,
}

impl Disposition {
    /// Lower-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Undetermined => "undetermined",
            Self::Redirected => "redirected",
            Self::Blocked => "blocked",
        }
    }

    /// Whether it keeps initiator and target apart for certain.
    #[must_use]
    pub const fn isolates(self) -> bool {
        matches!(self, Self::Redirected | Self::Blocked)
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Declares the reasons: name, code, message.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        /// Why a transaction has its disposition.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Stable kebab-case code, as in JSON output.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }

        /// One line.
        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $message,)* })
            }
        }
    };
}

reasons! {
    /// Initiator and target are one.
    SameFunction = "same-function", "initiator and target are one function";
    /// The target is below the initiator.
    Downstream = "downstream", "the target is below the initiator";
    /// The target is a bridge on the transaction's own way up.
    OnTheWayUp = "on-the-way-up", "the target is a bridge on the way up";
    /// All functions of a conventional bus share its wires.
    ConventionalBus = "conventional-bus", "functions on conventional buses share wires";
    /// A switch port without ACS routes to peers directly.
    PortWithoutAcs = "port-without-acs", "the port has no ACS and routes to its peers directly";
    /// Request Redirect is off, and so is egress control.
    RequestRedirectOff = "request-redirect-off", "P2P Request Redirect is off";
    /// The port has ACS without Request Redirect, and egress control is off.
    RequestRedirectNotImplemented = "request-redirect-not-implemented",
        "the port does not implement P2P Request Redirect";
    /// Egress control is on, and the target's vector bit is clear.
    EgressAllowed = "egress-allowed", "the egress control vector leaves the target uncontrolled";
    /// Direct Translated P2P is on.
    DirectTranslated = "direct-translated", "Direct Translated P2P sends translated requests directly";
    /// Completion Redirect is off.
    CompletionRedirectOff = "completion-redirect-off", "P2P Completion Redirect is off";
    /// The port has ACS without Completion Redirect.
    CompletionRedirectNotImplemented = "completion-redirect-not-implemented",
        "the port does not implement P2P Completion Redirect";
    /// No control acts on completions with Relaxed Ordering set.
    RelaxedOrdering = "relaxed-ordering", "completions with Relaxed Ordering are never redirected";
    /// Memory Target Access Control says direct.
    MemoryTargetDirect = "memory-target-direct", "Memory Target Access Control allows direct access";
    /// Request Redirect is on.
    RequestRedirect = "request-redirect", "P2P Request Redirect sends requests upstream";
    /// Completion Redirect is on.
    CompletionRedirect = "completion-redirect", "P2P Completion Redirect sends completions upstream";
    /// The vector bit is set, and Request Redirect is on.
    EgressRedirect = "egress-redirect", "the egress control vector has the target redirected";
    /// Memory Target Access Control says redirect.
    MemoryTargetRedirect = "memory-target-redirect", "Memory Target Access Control sends requests upstream";
    /// Unclaimed Request Redirect is on.
    UnclaimedRedirect = "unclaimed-redirect", "Unclaimed Request Redirect sends requests upstream";
    /// A device that implements no redirect has no internal traffic of this kind.
    NoInternalPath = "no-internal-path",
        "the device has ACS without this redirect, so it has no internal traffic of this kind";
    /// The requester ID is outside the port's bus range.
    SourceValidation = "source-validation", "Source Validation blocks requester IDs of other buses";
    /// Translation Blocking is on.
    TranslationBlocking = "translation-blocking", "Translation Blocking blocks translated requests";
    /// I/O Request Blocking is on.
    IoRequestBlocking = "io-request-blocking", "I/O Request Blocking blocks I/O requests";
    /// The vector bit is set, and Request Redirect is off.
    EgressControl = "egress-control", "P2P Egress Control blocks requests to the target";
    /// Memory Target Access Control says block.
    MemoryTargetBlock = "memory-target-block", "Memory Target Access Control blocks requests";
    /// A root port with ACS that lacks Request Redirect does no peer traffic.
    NoPeerSupport = "no-peer-support", "the root port has ACS without Request Redirect: no peer traffic";
    /// No port claims the address, and Unclaimed Request Redirect is off.
    UnsupportedRequest = "unsupported-request", "no downstream port claims the address";
    /// The function cannot emit transactions of this class.
    ClassNotEmitted = "class-not-emitted", "the initiator cannot emit this class of transaction";
    /// Ports and host bridges initiate nothing towards others.
    PortDoesNotInitiate = "port-does-not-initiate", "ports and host bridges do not initiate transactions";
    /// The target has no I/O BAR.
    NoIoBar = "no-io-bar", "the target has no I/O BAR";
    /// The initiator's Bus Master Enable is clear.
    BusMasterOff = "bus-master-off", "the initiator's Bus Master Enable is clear";
    /// ATS is absent or disabled in the initiator.
    AtsOff = "ats-off", "the initiator's ATS is absent or disabled";
    /// A bridge on the way up does not forward: its Bus Master Enable is clear.
    BridgeBusMasterOff = "bridge-bus-master-off", "a bridge on the way has Bus Master Enable clear";
    /// The target's memory (or I/O) decoding is off.
    TargetDecodeOff = "target-decode-off", "the target's address decoding is off";
    /// The target has no memory BAR.
    NoMemoryBar = "no-memory-bar", "the target has no memory BAR";
    /// No window of a bridge on the way down covers a BAR of the target.
    WindowClosed = "window-closed", "a bridge's windows cover no BAR of the target";
    /// How a root complex forwards between its ports is not specified.
    RootComplex = "root-complex", "the root complex may route peers directly";
    /// Between host bridges, or segments.
    OtherHostBridge = "other-host-bridge", "how host bridges forward to each other is not specified";
    /// The same, and bytes are missing that would tell whether it is asked at all.
    RootAcsNotKnown = "root-acs-not-known",
        "the ACS with which one enters the root complex is not known, and the root complex may route peers directly";
    /// Ports and functions of one device on a root bus, without a control that redirects.
    OneRootDevice = "one-root-device", "ports or functions of one root complex device, without redirection";
    /// A bridge takes requester IDs outside its bus range for its own, by a vector that no dump holds.
    FlatteningPortal = "flattening-portal",
        "a bridge on the way is a flattening portal: bus numbers do not tell what is below it";
    /// The bus numbers, BARs or windows that count stand in Enhanced Allocation.
    EnhancedAllocation = "enhanced-allocation",
        "Enhanced Allocation takes the place of the registers that would tell";
    /// A bridge passes on what nobody else claims.
    SubtractiveDecode = "subtractive-decode",
        "a bridge on the way decodes subtractively: its windows do not tell what it passes";
    /// A bridge forwards VGA's addresses, or keeps ISA's above.
    LegacyForwarding = "legacy-forwarding",
        "VGA Enable or ISA Enable of a bridge on the way decides, which is not followed";
    /// The dump lacks the bridge above a bus; only what is above the dump's topmost bridges lies between.
    BridgeNotInDump = "bridge-not-in-dump", "the bridge above one of the two is not in the dump";
    /// A port between the two is hidden, or not in the dump.
    PortNotInDump = "port-not-in-dump", "a port between the two is hidden or not in the dump";
    /// A multi-function device without ACS may route internally.
    MultiFunctionWithoutAcs = "multi-function-without-acs",
        "the multi-function device has no ACS and may route internally";
    /// The ACS capability was not captured.
    AcsNotCaptured = "acs-not-captured", "the ACS capability is not in the dump";
    /// The initiator's ATS capability was not captured.
    AtsNotCaptured = "ats-not-captured", "the initiator's ATS capability is not in the dump";
    /// ACS Control reads FFFFh.
    ControlAllOnes = "control-all-ones", "ACS Control reads ffff: no answer";
    /// The answer depends on a bit that an overlay leaves to firmware.
    FirmwareNotKnown = "firmware-not-known", "the kernel leaves the bit that decides to firmware, and the dump does not tell it";
    /// The Device/Port Type was not captured.
    TypeNotCaptured = "type-not-captured", "the type of a function on the way is not in the dump";
    /// A database entry holds under a condition that the dump cannot show.
    DatabaseCondition = "database-condition",
        "a database entry applies under a condition that the dump does not show";
    /// A driver made the segment, and the dump does not name the function whose requester ID is used.
    RequesterNotInDump = "requester-not-in-dump",
        "a driver made the segment, and the dump does not say whose requester ID its functions use";
    /// The entry that claims isolation leaves this class of transaction open.
    NotClaimed = "not-claimed",
        "the database entry that isolates the function claims nothing for this class of transaction";
    /// The vector bit cannot be told.
    VectorNotKnown = "vector-not-known", "the egress control vector's bit for the target is not known";
    /// Whether Request Redirect covers a port's own BARs is implementation specific.
    PortTargetUnspecified = "port-target-unspecified",
        "whether Request Redirect covers a port's own BARs is implementation specific";
    /// Memory Target Access Control has its reserved value.
    MemoryTargetReserved = "memory-target-reserved", "Memory Target Access Control has a reserved value";
    /// Upstream Forwarding is off at a port that a redirected transaction meets.
    UpstreamForwardingOff = "upstream-forwarding-off",
        "Upstream Forwarding is off above: what the port does is not specified";
    /// A port that a redirected transaction meets has no Upstream Forwarding to turn on.
    UpstreamForwardingNotImplemented = "upstream-forwarding-not-implemented",
        "Upstream Forwarding is not implemented above: what the port does is not specified";
    /// No redirect is known to cover I/O requests.
    IoNotGoverned = "io-not-governed", "no redirect is known to cover I/O requests";
    /// The target's registers were not captured.
    TargetNotCaptured = "target-not-captured", "the target's registers are not in the dump";
    /// There is no such function.
    NotInDump = "not-in-dump", "there is no such function in the dump";
}

impl Reason {
    /// Whether nothing but what is above the topmost bridges of the dump lies between the two: the
    /// root complex, several of them, or a bridge that leads there. Such pairs do not hold domains
    /// together unless [`RootComplex::Unknown`](super::RootComplex) is assumed.
    #[must_use]
    pub const fn is_root_complex(self) -> bool {
        matches!(
            self,
            Self::RootComplex | Self::OtherHostBridge | Self::RootAcsNotKnown | Self::BridgeNotInDump
        )
    }
}

impl Reason {
    /// Whether bytes are missing that would tell, rather than that the specification leaves it open.
    #[must_use]
    pub const fn is_not_captured(self) -> bool {
        matches!(
            self,
            Self::BridgeNotInDump
                | Self::RootAcsNotKnown
                | Self::PortNotInDump
                | Self::AcsNotCaptured
                | Self::AtsNotCaptured
                | Self::ControlAllOnes
                | Self::FirmwareNotKnown
                | Self::TypeNotCaptured
                | Self::VectorNotKnown
                | Self::TargetNotCaptured
                | Self::DatabaseCondition
                | Self::RequesterNotInDump
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kebab_case_and_no_two_alike() {
        for (n, reason) in Reason::ALL.iter().enumerate() {
            let code = reason.code();
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
            assert!(Reason::ALL[n + 1..].iter().all(|other| other.code() != code), "{code}");
        }
    }

    #[test]
    fn dispositions_are_ordered_by_safety() {
        use Disposition::{Blocked, Direct, Redirected, Undetermined};
        assert!(Direct < Undetermined && Undetermined < Redirected && Redirected < Blocked);
    }
}
