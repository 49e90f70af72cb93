//! The table of codes: what each says, how much it matters, and what to do.

use core::fmt;

use crate::anomaly::Anomaly;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Isolation is weaker than it looks, or part of the answer is missing.
    Warning,
    /// The answer for these functions cannot be trusted.
    Error,
}

impl Severity {
    /// Lower-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Declares the table of codes: name, code, severity, what it means, what to do.
macro_rules! codes {
    ($(#[doc = $doc:literal] $name:ident = $code:literal, $severity:ident, $advice:literal;)*) => {
        /// What a finding is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $doc] $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Stable kebab-case code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Severity of every finding with this code.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// Whether it says that part of the hierarchy is hidden or not in the dump, so that an answer
            /// about its functions is not conclusive.
            #[must_use]
            pub const fn is_missing_part(self) -> bool {
                matches!(
                    self,
                    Self::EndpointWithoutPort
                        | Self::DownstreamPortMisplaced
                        | Self::UpstreamPortWithoutDownstreamPorts
                        | Self::FunctionZeroMissing
                        | Self::OrphanBus
                        | Self::InputIncomplete
                )
            }

            /// Whether it says that something is missing which may keep its functions from being assigned.
            #[must_use]
            pub const fn leaves_assignment_open(self) -> bool {
                self.is_missing_part()
                    || matches!(self, Self::VirtualFunctionsMissing | Self::DatabaseFileRefused)
            }

            /// Whether each of its functions shows it by itself, so that it may be told of some of them.
            pub(super) const fn is_of_each(self) -> bool {
                matches!(
                    self,
                    Self::ConfigNotCaptured
                        | Self::RecordsDiffer
                        | Self::RecordRepeated
                        | Self::VirtualFunctionUnplaced
                        | Self::EndpointWithoutPort
                        | Self::DownstreamPortMisplaced
                        | Self::UpstreamPortWithoutDownstreamPorts
                        | Self::FunctionZeroMissing
                        | Self::DeviceNumberBelowLink
                        | Self::ConventionalBelowPciePort
                )
            }

            /// What it says, in one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }

            /// What to do about it; empty if nothing can be done.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    /// The dump lacks bytes that the answer needs.
    ConfigNotCaptured = "config-not-captured", Warning,
        "take the dump as root with all 4096 bytes: lspci -xxxx, or the config files of sysfs";
    /// The reader lost a function, or bytes that nobody has counted.
    InputIncomplete = "input-incomplete", Warning,
        "nothing is said of what is missing: repair the input, or take it again";
    /// Every captured byte of the header reads FFh.
    ConfigReadsAllOnes = "config-reads-all-ones", Error,
        "the function is gone, asleep (D3cold) or not decoding: wake it and take the dump again";
    /// The header layout is not defined.
    HeaderTypeReserved = "header-type-reserved", Error,
        "the dump is damaged or the device is broken: take the dump again";
    /// A capability pointer leads into the header.
    CapPointerOutOfRange = "cap-pointer-out-of-range", Error,
        "the capability list is broken: what stands behind the break is not known";
    /// The capability list loops.
    CapListCycle = "cap-list-cycle", Error,
        "the capability list is broken: what stands behind the break is not known";
    /// A capability reads ID FFh.
    CapReadsAllOnes = "cap-reads-all-ones", Error,
        "the capability list is broken: what stands behind the break is not known";
    /// An extended capability points below 100h.
    ExtCapPointerOutOfRange = "ext-cap-pointer-out-of-range", Error,
        "the extended list is broken: ACS behind the break would not be seen, by Linux either";
    /// The extended list loops.
    ExtCapListCycle = "ext-cap-list-cycle", Error,
        "the extended list is broken: ACS behind the break would not be seen, by Linux either";
    /// An extended capability header reads all ones.
    ExtCapReadsAllOnes = "ext-cap-reads-all-ones", Error,
        "extended configuration space does not answer: check that the platform's ECAM works for it";
    /// Extended space repeats the first 256 bytes.
    ExtSpaceAliased = "ext-space-aliased", Warning,
        "the platform does not reach extended configuration space: ACS is not known, and Linux sees none";
    /// A structure does not fit into configuration space.
    CapStructureCut = "cap-structure-cut", Error,
        "the structure is not complete, and was not used";
    /// ACS Control reads FFFFh.
    AcsControlReadsAllOnes = "acs-control-reads-all-ones", Error,
        "the register gave no answer: wake the function and take the dump again";
    /// ACS Control bits are set that the capability does not offer.
    AcsControlWithoutCapability = "acs-control-without-capability", Note,
        "the bits have no effect";
    /// Subordinate bus below secondary bus.
    BusRangeReversed = "bus-range-reversed", Error,
        "nothing is routed to the bridge's buses: check the firmware's bus numbers";
    /// Secondary bus not above the bridge's own.
    SecondaryBusNotBelow = "secondary-bus-not-below", Error,
        "the bridge was not used to build the hierarchy: check the firmware's bus numbers";
    /// The ranges of two bridges on one bus overlap.
    BusRangeOverlap = "bus-range-overlap", Error,
        "requests to the shared buses may go either way: check the firmware's bus numbers";
    /// A bridge's range leaves that of the bridge above it.
    BusRangeEscapes = "bus-range-escapes", Error,
        "the buses outside cannot be reached through the bridge above: check the firmware's bus numbers";
    /// Two bridges lead to one bus.
    BusNumberRepeated = "bus-number-repeated", Error,
        "only the bridge with the lower address was used: check the firmware's bus numbers";
    /// Nothing leads to a bus.
    OrphanBus = "orphan-bus", Warning,
        "the dump lacks the bridge, or it is hidden: add it, or take what is said of these functions with care";
    /// An endpoint without its port.
    EndpointWithoutPort = "endpoint-without-port", Warning,
        "its port is hidden or not in the dump: what stands between it and the rest is not known";
    /// A switch downstream port without its upstream port.
    DownstreamPortMisplaced = "downstream-port-misplaced", Warning,
        "the upstream port of its switch is hidden or not in the dump";
    /// A switch upstream port without downstream ports.
    UpstreamPortWithoutDownstreamPorts = "upstream-port-without-downstream-ports", Warning,
        "the downstream ports of its switch are hidden or not in the dump";
    /// Function 0 of a device is not in the dump.
    FunctionZeroMissing = "function-zero-missing", Warning,
        "other functions of the device may be missing, too, and would be in one group with it";
    /// A device number above 0 below a link.
    DeviceNumberBelowLink = "device-number-below-link", Warning,
        "a link has room for one device: a bridge may be hidden between the port and these functions";
    /// A conventional function directly below a PCIe port.
    ConventionalBelowPciePort = "conventional-below-pcie-port", Note,
        "a bridge to a conventional bus may be hidden, or the device hides its PCI Express capability";
    /// A switch downstream port has no ACS.
    AcsAbsentOnDownstreamPort = "acs-absent-on-downstream-port", Warning,
        "what is behind different ports of this switch reaches each other past the IOMMU, whatever groups the kernel shows";
    /// A port does not redirect requests.
    RequestRedirectOff = "request-redirect-off", Warning,
        "the kernel turns it on where an IOMMU is on; pci=config_acs= or setpci can";
    /// A port does not implement a control that isolation needs.
    RedirectNotImplemented = "redirect-not-implemented", Warning,
        "no register helps: Linux counts what is not implemented as on, the specification does not";
    /// Request Redirect is on, and what has to go with it is not.
    RedirectIncomplete = "redirect-incomplete", Warning,
        "completions take another way than requests, or redirected traffic may be turned back: turn on both";
    /// An egress control vector opens a peer.
    EgressOpensPeer = "egress-opens-peer", Warning,
        "set the peers' bits in the vector, or turn P2P Egress Control off";
    /// Translated requests go directly.
    DirectTranslatedWithAts = "direct-translated-with-ats", Warning,
        "a function that claims that its addresses are translated reaches peers directly: turn Direct Translated P2P off or Translation Blocking on";
    /// A hot-plug slot lets translated requests in.
    TranslationBlockingOff = "translation-blocking-off", Note,
        "a device that is plugged in there can claim that its addresses are translated";
    /// Requester IDs can be forged.
    SourceValidationOff = "source-validation-off", Warning,
        "the kernel turns it on where an IOMMU is on; pci=config_acs= or setpci can";
    /// A multi-function device without ACS.
    MultiFunctionWithoutAcs = "multi-function-without-acs", Note,
        "whether its functions reach each other inside the device only the vendor knows";
    /// Function 0 of a multi-function device, and no other function of it.
    MultiFunctionAlone = "multi-function-alone", Note,
        "firmware hides its other functions, or the dump lacks them, and what they could do is not looked at: take the dump of the whole host to be sure";
    /// An ACS capability that offers nothing.
    EmptyAcs = "empty-acs-capability", Note, "";
    /// Enhanced controls are left direct.
    EnhancedControlsDirect = "enhanced-controls-direct", Note,
        "the kernel does not set them; functions below reach the port's own registers";
    /// Redirected traffic may be turned back.
    UpstreamForwardingOff = "upstream-forwarding-off", Warning,
        "what ports below redirect may be turned back here: turn it on";
    /// Nothing on the way up blocks a function's translated requests.
    TranslatedNotBlocked = "translated-not-blocked", Note,
        "isolated for certain only with Translation Blocking on at a port above, or ATS kept off in the IOMMU, \
         while the function is in other hands";
    /// Multicast is there.
    Multicast = "multicast", Note, "";
    /// A bridge decodes requester IDs or memory by vectors, beside its bus numbers and windows.
    FlatteningPortal = "flattening-portal", Warning,
        "no dump holds the vectors: where requester IDs are decoded so, nothing is proved of what is below";
    /// Enhanced Allocation takes the place of BARs, windows or bus numbers.
    EnhancedAllocation = "enhanced-allocation", Note,
        "whether windows lead to such resources is not followed; bus numbers of a bridge count as its registers have them";
    /// A port ends AtomicOps instead of sending them on.
    AtomicOpEgressBlocking = "atomic-op-egress-blocking", Note,
        "AtomicOps are no class of transaction here: where memory requests get through this port, they do not";
    /// A function may be a non-transparent bridge.
    NonTransparentBridge = "non-transparent-bridge", Note,
        "what is on its other side is not in the dump: another host's requests may come through it, with requester IDs of this side";
    /// A bridge passes on what nobody else claims.
    SubtractiveDecode = "subtractive-decode", Note,
        "its windows do not tell what it passes: whether they lead to a target is not followed";
    /// A bridge forwards VGA's addresses, or keeps ISA's from going down.
    LegacyForwarding = "legacy-forwarding", Note,
        "VGA's memory and I/O addresses go down whatever the windows say, ISA's do not: neither is followed";
    /// A function without a driver may master the bus.
    BusMasterWithoutDriver = "bus-master-without-driver", Note,
        "it can send requests although nobody uses it";
    /// Enabled virtual functions are not in the dump.
    VirtualFunctionsMissing = "virtual-functions-missing", Note,
        "they were not dumped, or came after the dump: nothing is said of them";
    /// A function looks virtual, and no physical function places it.
    VirtualFunctionUnplaced = "virtual-function-unplaced", Warning,
        "its physical function is not in the dump, or its SR-IOV registers have changed since";
    /// Records of one function differ.
    RecordsDiffer = "records-differ", Warning,
        "the dump holds two states of the function; one of them was used";
    /// A function is in the dump more than once.
    RecordRepeated = "record-repeated", Note, "";
    /// Lines of hex could not be used.
    HexLineDamaged = "hex-line-damaged", Warning,
        "something was written into the dump: redirect standard error elsewhere and take it again";
    /// The running kernel has formed no groups.
    NoKernelGroups = "no-kernel-groups", Warning,
        "the IOMMU is off or absent: nothing can be assigned safely until it is on; the groups are those that would be formed then";
    /// The kernel's groups are not those of the model.
    KernelGroupsDiffer = "kernel-groups-differ", Warning,
        "registers changed after boot, the kernel is patched, or the dump is not complete";
    /// The host itself uses a function that is to be assigned, or that would have to go with one.
    InUseByHost = "in-use-by-host", Warning,
        "the host loses it when a guest gets it: move that use elsewhere first";
    /// A file of the device database could not be used.
    DatabaseFileRefused = "database-file-refused", Warning,
        "nothing of this file counts: correct it; acsscan db check tells all that is wrong with it";
    /// The last day of an acceptance is over.
    AcceptanceExpired = "acceptance-expired", Warning,
        "it has no effect any more: decide again, and write a later `until`, or remove it";
    /// An acceptance names nothing that is in the dump.
    AcceptanceUnmatched = "acceptance-unmatched", Note,
        "the device is gone or has moved, or the entry has a mistake: acsscan db accept prints one that is right";
    /// An acceptance names a place of the host that it is installed on.
    AcceptanceElsewhere = "acceptance-elsewhere", Note,
        "it was not applied to a dump, which may be of another host: name its file with --db if it is of this one";
    /// An acceptance names an address below a bridge.
    AcceptanceByAddress = "acceptance-by-address", Note,
        "addresses change when buses are renumbered: name the way down from the root bus, as acsscan db accept prints it";
    /// The host has no IOMMU, or none that shows.
    IommuAbsent = "iommu-absent", Error,
        "nothing can be assigned safely: turn the IOMMU on in firmware (VT-d, AMD-Vi, SMMU), or take another machine";
    /// The host has an IOMMU, and the kernel does not use it.
    IommuOff = "iommu-off", Error,
        "nothing can be assigned safely until it is on: intel_iommu=on on Intel's, no iommu=off, a kernel with its driver";
    /// The host's own traffic passes the IOMMU untranslated.
    IommuPassThrough = "iommu-pass-through", Note, "";
    /// The command line lifts what protects the host from whoever is given a function.
    CmdlineUnsafe = "cmdline-unsafe", Warning,
        "remove it, unless whoever is given a function may do all that the host may";
    /// The command line has an option that no kernel knows.
    CmdlineUnknownOption = "cmdline-unknown-option", Warning,
        "remove it; ACS is set with pci=config_acs= and pci=disable_acs_redir=";
    /// The command line has a parameter that takes an unofficial patch.
    CmdlineNeedsPatch = "cmdline-needs-patch", Warning,
        "remove it: whom it seems to isolate still reach each other; look at the domains";
    /// The command line has an option that this kernel is too old for.
    CmdlineNotInKernel = "cmdline-not-in-kernel", Warning,
        "it does nothing on this kernel: take a newer one, or setpci";
    /// The command line has an option that this kernel gets wrong.
    CmdlineMisread = "cmdline-misread-by-kernel", Warning,
        "look at the registers, not at the option; take a newer kernel";
    /// The command line has an entry that cannot be read.
    CmdlineMalformed = "cmdline-malformed", Warning,
        "BITS@DEVICE, entries separated by ';', the whole in quotation marks for the boot loader";
    /// The command line repeats an option.
    CmdlineOverwritten = "cmdline-overwritten", Warning, "put all entries into the last one";
    /// The command line has an entry that changes nothing.
    CmdlineWithoutEffect = "cmdline-without-effect", Note, "";
    /// The command line has two options for one function.
    CmdlineConflict = "cmdline-conflict", Warning,
        "say all in config_acs, which has the last word";
    /// The command line takes back controls that the kernel turns on.
    CmdlineTakesBack = "cmdline-takes-back", Note,
        "config_acs says exactly which bits are to be on and off";
}

impl Code {
    /// The code of an anomaly.
    #[must_use]
    pub fn of(anomaly: Anomaly) -> Self {
        match anomaly {
            Anomaly::ConfigAllOnes => Self::ConfigReadsAllOnes,
            Anomaly::HeaderTypeReserved { .. } => Self::HeaderTypeReserved,
            Anomaly::CapPointerOutOfRange { .. } => Self::CapPointerOutOfRange,
            Anomaly::CapListCycle { .. } => Self::CapListCycle,
            Anomaly::CapAllOnes { .. } => Self::CapReadsAllOnes,
            Anomaly::ExtCapPointerOutOfRange { .. } => Self::ExtCapPointerOutOfRange,
            Anomaly::ExtCapListCycle { .. } => Self::ExtCapListCycle,
            Anomaly::ExtCapAllOnes { .. } => Self::ExtCapReadsAllOnes,
            Anomaly::ExtSpaceAliased => Self::ExtSpaceAliased,
            Anomaly::CapStructureCut { .. } => Self::CapStructureCut,
            Anomaly::AcsControlAllOnes { .. } => Self::AcsControlReadsAllOnes,
            Anomaly::AcsControlWithoutCapability { .. } => Self::AcsControlWithoutCapability,
            Anomaly::BusRangeReversed { .. } => Self::BusRangeReversed,
            Anomaly::SecondaryNotBelow { .. } => Self::SecondaryBusNotBelow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn codes_are_unique_kebab_slugs() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in codes {
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
        }
    }

    #[test]
    fn every_anomaly_has_the_code_of_its_finding() {
        for anomaly in [
            Anomaly::ConfigAllOnes,
            Anomaly::HeaderTypeReserved { layout: 0x7f },
            Anomaly::CapPointerOutOfRange { at: 0x34, target: 0x10 },
            Anomaly::CapListCycle { at: 0x40, target: 0x40 },
            Anomaly::CapAllOnes { at: 0x40 },
            Anomaly::ExtCapPointerOutOfRange { at: 0x100, target: 0x40 },
            Anomaly::ExtCapListCycle { at: 0x100, target: 0x100 },
            Anomaly::ExtCapAllOnes { at: 0x100 },
            Anomaly::ExtSpaceAliased,
            Anomaly::CapStructureCut { at: 0xffc },
            Anomaly::AcsControlAllOnes { at: 0x106 },
            Anomaly::AcsControlWithoutCapability { at: 0x106, bits: 2 },
            Anomaly::BusRangeReversed { secondary: 2, subordinate: 1 },
            Anomaly::SecondaryNotBelow { secondary: 1 },
        ] {
            assert_eq!(Code::of(anomaly).as_str(), anomaly.code());
        }
    }
}
