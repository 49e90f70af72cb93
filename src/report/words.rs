//! Sentences that text and JSON share.

use crate::finding::count;
use crate::route::domains::{Impersonated, Impersonation, Unsettled};
use crate::route::fabric::Fabric;
use crate::route::linux::{Dependency, Guess, Linux};
use crate::route::p2pdma::{Mapping, Why};
use crate::route::trace::GateKind;
use crate::route::{Assumptions, Reason, RootComplex};
use crate::topology::{FunctionIndex, Parent, Topology};

/// What a group rests on, in one sentence.
#[must_use]
pub fn dependency(linux: &Linux<'_>, dependency: Dependency) -> String {
    let topology = linux.topology();
    match dependency {
        Dependency::Isolation(index, guess) => {
            let taken = if linux.isolation(index).isolates { "isolating" } else { "not isolating" };
            format!("{}: taken as {taken}: {}", address(topology, index), self::guess(linux, guess))
        }
        Dependency::BridgeType(index) => {
            let conventional = linux.view(index).port_type.is_none();
            let taken = if conventional { "a bridge to a conventional bus" } else { "a PCIe port" };
            format!("{}: taken as {taken}: its capabilities are not known", address(topology, index))
        }
        Dependency::BridgeAbove(bus) => match topology.bus(bus) {
            Some(bus) => format!("bridge above bus {}:{:02x} not in the dump", bus.segment, bus.number),
            None => String::from("bridge not in the dump"),
        },
        Dependency::Requester(segment) => {
            format!("segment {segment}: a driver made it; whose requester ID it uses is not in the dump")
        }
        Dependency::KernelSays(group) => {
            format!("the running kernel's group {group}: the dump does not hold what would tell without it")
        }
        Dependency::EnabledLate(index) => format!(
            "{}: taken as isolating when its siblings were grouped; kernels from 6.15 on enable its ACS only \
             then, unless firmware had",
            address(topology, index)
        ),
        Dependency::Aliases(index) => format!(
            "{}: uses other requester IDs, which are not in configuration space",
            address(topology, index)
        ),
    }
}

/// Why something had to be guessed.
#[must_use]
pub fn guess(linux: &Linux<'_>, guess: Guess) -> String {
    let entries = linux.database().entries();
    match guess {
        Guess::NoAnswer => String::from("its configuration space gave no answer"),
        Guess::TypeNotCaptured => String::from("its capability list is not in the dump"),
        Guess::AcsNotCaptured => String::from("its extended configuration space is not in the dump"),
        Guess::KernelReadsNoMore => {
            String::from("the kernel's file of it ends at 256 bytes, so the kernel sees no ACS")
        }
        Guess::AriNotCaptured => {
            String::from("whether ARI makes it one of several functions of a device is not in the dump")
        }
        Guess::BrokenList => {
            String::from("its capability list is broken, and the kernel finds nothing behind the break")
        }
        Guess::FirmwareNotKnown => String::from(
            "its ACS Control bits that the kernel leaves to firmware are not in the dump, and taken as 0",
        ),
        Guess::ControlAllOnes => String::from("its ACS Control register reads ffff"),
        Guess::Condition(entry) => match entries.get(entry) {
            Some(entry) => {
                let conditions: Vec<String> =
                    entry.conditions.iter().map(|condition| condition.kind.to_string()).collect();
                format!("database entry {} asks that {}", entry.name, conditions.join(" and that "))
            }
            None => String::from("a database entry has a condition"),
        },
        Guess::KernelVersion(entry) => match entries.get(entry) {
            Some(entry) => format!("kernels differ: database entry {}", entry.name),
            None => String::from("kernels differ"),
        },
    }
}

/// `31 groups`, with the number of those that are predicted.
#[must_use]
pub fn groups(total: usize, predicted: usize) -> String {
    let total = count(total, "group");
    match predicted {
        0 => format!("{total}, all certain"),
        n => format!("{total}, {n} of them predicted: see what each depends on"),
    }
}

/// What was assumed, one sentence each; `unsettled` is what rests on it.
#[must_use]
pub fn assumptions(assumptions: &Assumptions, unsettled: &[Unsettled]) -> Vec<String> {
    let mut said = Vec::new();
    said.push(String::from(match assumptions.root_complex {
        RootComplex::Isolates => {
            "that the root complex passes traffic between devices on root buses through the IOMMU, as Linux \
             does (--root-complex unknown drops this)"
        }
        RootComplex::Unknown => "nothing of what the root complex does between devices on root buses",
    }));
    let missing = unsettled.iter().any(|found| found.reason == Reason::BridgeNotInDump);
    if missing && assumptions.root_complex == RootComplex::Isolates {
        said.push(String::from(
            "that bridges which the dump lacks keep what is below them apart from the rest (--root-complex \
             unknown drops this, too)",
        ));
    }
    if !assumptions.hostile {
        said.push(String::from("that functions do as their own registers say (as configured)"));
    }
    if assumptions.count_relaxed_and_io {
        said.push(String::from("that completions with Relaxed Ordering and I/O requests count, too"));
    }
    if !assumptions.trust_routing_ids {
        said.push(String::from("that functions may use the routing IDs of their device's other functions"));
    }
    said
}

/// How many pairs rest on what is assumed, and why.
#[must_use]
pub fn unsettled(unsettled: &Unsettled) -> String {
    let (pairs, are) = match unsettled.pairs {
        1 => (String::from("1 pair of functions"), "is"),
        pairs => (format!("{pairs} pairs of functions"), "are"),
    };
    format!("{pairs} {are} kept apart by this assumption only: {}", unsettled.reason)
}

/// What ACS cannot do, where it is not counted.
#[must_use]
pub fn limits(assumptions: &Assumptions) -> Vec<String> {
    if assumptions.count_relaxed_and_io {
        return Vec::new();
    }
    vec![String::from(
        "ACS cannot redirect completions with Relaxed Ordering, nor I/O requests, which it can only block: neither \
         is counted (--count-relaxed-and-io counts both)",
    )]
}

/// Whose requester IDs a function can use, in words; `of_other`: why that of `other` is among them, if it
/// is.
#[must_use]
pub fn scope(
    fabric: &Fabric<'_>,
    index: FunctionIndex,
    other: FunctionIndex,
    of_other: Option<Impersonation>,
) -> String {
    let topology = fabric.topology();
    let function = address(topology, index);
    match of_other {
        Some(Impersonation::Device { unproven, .. }) => {
            let unproven = if unproven { ", as far as is known of it" } else { "" };
            return format!(
                "{function} sends with the other's requester ID, or both with a third one, by their making{unproven}"
            );
        }
        Some(Impersonation::Segment { owner: Some(owner), unproven }) => {
            let unproven = if unproven { ", as far as the dump tells" } else { "" };
            let owner = address(topology, owner);
            return format!("{function} and the other both send with the requester ID of {owner}{unproven}");
        }
        Some(Impersonation::Segment { owner: None, .. }) => {
            return format!(
                "{function} and the other send with the requester ID of the function whose driver made the segment, \
                 which the dump does not name"
            );
        }
        Some(_) | None => {}
    }
    let beyond = of_other.and_then(Impersonation::beyond_bus_numbers);
    let of_other = of_other.is_some();
    if !fabric.initiates(index) {
        return format!("{function} is a port or host bridge: it sends no requests of its own");
    }
    if !of_other && index != other && fabric.initiates(other) && fabric.devices().same(index, other) {
        return format!(
            "{function} is trusted not to use the other's requester ID: functions of one device are taken to use \
             their own only, and Source Validation, which sees bus numbers, cannot stop them \
             (--distrust-routing-ids counts it)"
        );
    }
    let scope = fabric.scope(index);
    let unproven = if scope.unproven { ", as far as the dump tells" } else { "" };
    let among = match (beyond, of_other) {
        (Some(_), _) => "whether the other's is among them is not known",
        (None, true) => "the other's among them",
        (None, false) => "the other's is not among them",
    };
    let more = match scope.beyond {
        Some(reason) => format!(", and perhaps more ({reason})"),
        None => String::new(),
    };
    let reach = match scope.impersonated {
        Impersonated::Nobody => {
            let why = match topology.parent_of(index) {
                Parent::Root => "it stands on a root bus",
                Parent::Orphan(_) => "no port above it is in the dump",
                Parent::Bridge(_) | Parent::VirtualFunctions(_) => {
                    "no PCIe port is above it that could let others through"
                }
            };
            format!("{function} can use no requester ID but its device's: {why}")
        }
        Impersonated::BusesOf(port) => format!(
            "{function} can use requester IDs of the buses below {}, which validates them{unproven}{more}: {among}",
            address(topology, port)
        ),
        Impersonated::AnyRequesterId(port) => {
            let among = match of_other {
                true => among,
                false => "the other is not below it; whether anything above would stop its ID is not known",
            };
            format!(
                "no port from {function} up to {} validates requester IDs{unproven}: it can use those of all that \
                 is below that port{more}, {among}",
                address(topology, port)
            )
        }
    };
    match fabric.substituted_requester(index) {
        Some(requester) => format!(
            "{reach}; what it sends itself arrives with {requester}, which a bridge puts in place of its own"
        ),
        None => reach,
    }
}

/// What could change an answer with this reason: a register, a slot, firmware, a database entry, a
/// better dump, or nothing.
#[must_use]
pub const fn remedy(reason: Reason) -> &'static str {
    if let Some(knowing) = knowing(reason) {
        return knowing;
    }
    match reason {
        Reason::RequestRedirectOff => {
            "a register: ReqRedir of the port's ACS Control; the kernel turns it on where an IOMMU is on, and \
             pci=config_acs= can"
        }
        Reason::RequestRedirectNotImplemented | Reason::CompletionRedirectNotImplemented => {
            "the slot: no register of this port helps, it does not implement the control; Linux counts that as on"
        }
        Reason::CompletionRedirectOff => {
            "a register: CmpltRedir of the port's ACS Control; the kernel turns it on where an IOMMU is on, and \
             pci=config_acs= can"
        }
        Reason::EgressAllowed => {
            "a register: the port's egress control vector, or EgressCtrl of its ACS Control"
        }
        Reason::DirectTranslated => "a register: DirectTrans- or TransBlk+ in the port's ACS Control",
        Reason::MemoryTargetDirect | Reason::MemoryTargetReserved => {
            "a register: the Memory Target Access Control fields of the port's ACS Control"
        }
        Reason::UpstreamForwardingOff => {
            "a register: UpstreamFwd of the ACS Control of the port above; the kernel turns it on where an IOMMU is \
             on"
        }
        Reason::UpstreamForwardingNotImplemented => {
            "the slot: the port above has no Upstream Forwarding to turn on; Linux counts that as on where it has \
             ACS"
        }
        Reason::PortWithoutAcs => "the slot: no register of this port helps; below a port with ACS it would",
        Reason::ConventionalBus => "the slot: functions on conventional buses cannot be kept apart",
        Reason::MultiFunctionWithoutAcs => {
            "a database entry, if the vendor says that the device's functions do not reach each other; \
             otherwise they go together"
        }
        Reason::NotClaimed => {
            "the vendor's word, as a database entry that claims more; otherwise they go together"
        }
        Reason::PortTargetUnspecified => "the vendor's word: the specification leaves it open",
        Reason::RootComplex | Reason::OtherHostBridge | Reason::OneRootDevice => {
            "the vendor's word, as a database entry: no register says what the root complex does"
        }
        Reason::FlatteningPortal => {
            "firmware or the operating system: with the bridge's RID Decode Mechanism off, bus numbers tell what is \
             below it"
        }
        Reason::EnhancedAllocation => {
            "firmware: bus numbers of the bridge that are those of its Enhanced Allocation; no register of BARs or \
             windows helps"
        }
        Reason::SubtractiveDecode | Reason::LegacyForwarding => {
            "nothing that isolates: what the bridge lets through beside its windows is not followed"
        }
        Reason::RelaxedOrdering | Reason::IoNotGoverned => "nothing: no ACS control acts on it",
        _ => "nothing has to change",
    }
}

/// What would tell, where the answer is not known for want of it.
const fn knowing(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::AcsNotCaptured
        | Reason::AtsNotCaptured
        | Reason::RootAcsNotKnown
        | Reason::TypeNotCaptured
        | Reason::TargetNotCaptured
        | Reason::VectorNotKnown
        | Reason::BridgeNotInDump
        | Reason::PortNotInDump => Some("a better dump: as root, with all 4096 bytes of every function"),
        Reason::FirmwareNotKnown => {
            Some("a dump taken before the kernel changed the register, with --firmware")
        }
        Reason::ControlAllOnes => Some("a better dump: taken while the function is awake"),
        Reason::RequesterNotInDump => {
            Some("a dump with sysfs's tree, which names the function below which the driver made the segment")
        }
        Reason::DatabaseCondition => Some("knowing whether the entry's condition holds on the machine"),
        _ => None,
    }
}

/// What else could let a pair reach each other, where no register does.
#[must_use]
pub const fn opening(reason: Reason) -> &'static str {
    if let Some(knowing) = knowing(reason) {
        return knowing;
    }
    match reason {
        Reason::MultiFunctionWithoutAcs => {
            "the vendor's word: no register says whether the device passes traffic between its functions"
        }
        Reason::NoInternalPath => "another device: this one has no way between its functions",
        _ => "the slot: below one switch, where traffic can turn before it meets the root complex",
    }
}

/// That something on a way is not open, in words.
#[must_use]
pub const fn shut(kind: GateKind, known: bool) -> &'static str {
    match (kind, known) {
        (GateKind::InitiatorBusMaster | GateKind::BusMaster, true) => "its Bus Master Enable is off",
        (GateKind::InitiatorBusMaster | GateKind::BusMaster, false) => "its Bus Master Enable is not known",
        (GateKind::Decode, true) => "it does not decode memory addresses",
        (GateKind::Decode, false) => "whether it decodes memory addresses is not known",
        (GateKind::Bar, true) => "it has no memory BAR with an address",
        (GateKind::Bar, false) => "its BARs are not known",
        (GateKind::Window, true) => "its windows do not lead to the target's memory",
        (GateKind::Window, false) => "whether its windows lead to the target's memory is not known",
    }
}

/// Why the kernel's p2pdma answers as it does: what makes the host bridge matter, and what the kernel knows of
/// that.
#[must_use]
pub fn p2pdma(topology: &Topology, mapping: &Mapping) -> String {
    let why = host_bridge(mapping.why);
    match (mapping.common, mapping.redirect) {
        (None, _) => format!("they have no common bridge, so that traffic would pass the host bridge: {why}"),
        (Some(_), Some(port)) => {
            format!(
                "{} redirects, so that traffic would pass the host bridge: {why}",
                address(topology, port)
            )
        }
        (Some(_), None) => String::from(why),
    }
}

/// What the kernel knows of the host bridge that traffic would pass, if it passes one.
#[must_use]
pub const fn host_bridge(why: Why) -> &'static str {
    match why {
        Why::NoRedirect => "they have a common bridge, and no port on the way redirects",
        Why::AmdZenGuessed => "AMD's root complexes from Zen on pass it (the processor is guessed)",
        Why::Listed => "the kernel lists the host bridge as one that passes it",
        Why::ListedForOneHostBridge => "the kernel lists the host bridge for peers of one host bridge only",
        Why::NotListed => "the kernel does not list the host bridge as one that passes it",
        Why::HostBridgeNotFound => "the host bridge that the kernel would look up is not in the dump",
    }
}

/// A function's address as text.
#[must_use]
pub fn address(topology: &Topology, index: FunctionIndex) -> String {
    topology.address(index).unwrap_or_default().to_string()
}
