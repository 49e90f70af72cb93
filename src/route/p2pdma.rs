//! What the kernel's peer-to-peer DMA answers for a pair: whether a client can reach a provider's
//! memory, by which address, and how far it is.
//!
//! Its rule is not that of the specification: any redirect control on any port of the way counts, also
//! below the port where the ways part; Upstream Forwarding, Translation Blocking and Direct Translated
//! do not.
//!
//! Source: Linux 7.2.13, drivers/pci/p2pdma.c, `calc_map_type_and_dist`, `host_bridge_whitelist`.

use super::view::{self, View};
use crate::anomaly::Presence;
use crate::cap::acs::AcsControl;
use crate::cap::pcie::DevicePortType;
use crate::db::{Claim, Database, Layer};
use crate::topology::{FunctionIndex, Parent, Topology};

/// How the kernel maps a provider's memory for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapType {
    /// By bus address: the traffic stays below a common bridge.
    BusAddress,
    /// Through the host bridge, by physical or IOMMU address.
    ThroughHostBridge,
    /// Not at all.
    NotSupported,
}

impl MapType {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BusAddress => "bus-addr",
            Self::ThroughHostBridge => "thru-host-bridge",
            Self::NotSupported => "not-supported",
        }
    }
}

/// Why the kernel maps as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Why {
    /// A common bridge, and no redirect on the way.
    NoRedirect,
    /// An AMD root complex, taken to be of family 17h or later (Zen): a dump does not tell the CPU.
    AmdZenGuessed,
    /// The host bridges are listed.
    Listed,
    /// A host bridge is listed for peers of one host bridge only.
    ListedForOneHostBridge,
    /// A host bridge is not listed.
    NotListed,
    /// The dump does not hold a function that the list could be asked for.
    HostBridgeNotFound,
}

impl Why {
    /// Kebab-case code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoRedirect => "no-redirect",
            Self::AmdZenGuessed => "amd-zen-guessed",
            Self::Listed => "host-bridge-listed",
            Self::ListedForOneHostBridge => "listed-for-one-host-bridge",
            Self::NotListed => "host-bridge-not-listed",
            Self::HostBridgeNotFound => "host-bridge-not-found",
        }
    }
}

/// The kernel's answer for a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping {
    /// How the memory is mapped.
    pub map_type: MapType,
    /// Hops from one to the other over their common bridge, or of both up to the root.
    pub distance: u32,
    /// Why.
    pub why: Why,
    /// The first function on the way with a redirect control on, from the provider on.
    pub redirect: Option<FunctionIndex>,
    /// Their common bridge (or one of them, if it is above the other, or both).
    pub common: Option<FunctionIndex>,
    /// Whether the dump lacks something that the answer rests on.
    pub guessed: bool,
}

/// What the kernel answers a client that asks for a provider's memory.
#[must_use]
pub fn mapping(
    topology: &Topology,
    database: &Database,
    provider: FunctionIndex,
    client: FunctionIndex,
) -> Mapping {
    let (mut redirect, mut guessed) = (None, false);
    let mut ask = |index: FunctionIndex| match redirects(topology, index) {
        Some(true) => redirect = redirect.or(Some(index)),
        Some(false) => {}
        None => guessed = true,
    };
    let (mut distance, mut common) = (0_u32, None);
    let mut a = Some(provider);
    'up: while let Some(at) = a {
        // Counted before it is compared: the provider itself and the common bridge count.
        ask(at);
        let (mut b, mut hops) = (Some(client), 0_u32);
        while let Some(other) = b {
            if other == at {
                common = Some(at);
                distance = distance.saturating_add(hops);
                break 'up;
            }
            hops = hops.saturating_add(1);
            b = upstream_bridge(topology, other);
        }
        distance = distance.saturating_add(1);
        a = upstream_bridge(topology, at);
    }
    let mut b = Some(client);
    while let Some(at) = b.filter(|at| Some(*at) != common) {
        match common {
            Some(_) => ask(at),
            None => distance = distance.saturating_add(1),
        }
        b = upstream_bridge(topology, at);
    }
    if common.is_some() && redirect.is_none() {
        return Mapping {
            map_type: MapType::BusAddress,
            distance,
            why: Why::NoRedirect,
            redirect,
            common,
            guessed,
        };
    }
    let (map_type, why) = through_host_bridge(topology, database, provider, client);
    let guessed = guessed || matches!(why, Why::AmdZenGuessed | Why::HostBridgeNotFound);
    Mapping { map_type, distance, why, redirect, common, guessed }
}

/// Whether Request Redirect, Completion Redirect or Egress Control is on, offered or not.
fn redirects(topology: &Topology, index: FunctionIndex) -> Option<bool> {
    let bits = AcsControl::REQUEST_REDIRECT | AcsControl::COMPLETION_REDIRECT | AcsControl::EGRESS_CONTROL;
    match topology.function(index)?.acs {
        Presence::Present(acs) => Some(acs.control.intersects(bits)),
        Presence::Absent => Some(false),
        Presence::NotCaptured => None,
    }
}

fn upstream_bridge(topology: &Topology, index: FunctionIndex) -> Option<FunctionIndex> {
    match topology.parent_of(index) {
        Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) => Some(bridge),
        Parent::VirtualFunctions(bus) => upstream_bridge(topology, topology.on_bus(bus).start),
        Parent::Root | Parent::Orphan(None) => None,
    }
}

/// What the kernel says of host bridges that traffic between two functions would pass.
pub(super) fn through_host_bridge(
    topology: &Topology,
    database: &Database,
    provider: FunctionIndex,
    client: FunctionIndex,
) -> (MapType, Why) {
    let bridges = [provider, client].map(|index| host_bridge(topology, index));
    let [Some(a), Some(b)] = bridges else { return (MapType::NotSupported, Why::HostBridgeNotFound) };
    let is_amd = |index| topology.function(index).is_some_and(|f| f.answers && f.vendor_id == VENDOR_AMD);
    if is_amd(a) || is_amd(b) {
        return (MapType::ThroughHostBridge, Why::AmdZenGuessed);
    }
    let (listed_a, listed_b) = (listed(topology, database, a), listed(topology, database, b));
    match (listed_a, listed_b) {
        (Some(_), Some(_)) if a == b => (MapType::ThroughHostBridge, Why::Listed),
        (Some(false), Some(false)) => (MapType::ThroughHostBridge, Why::Listed),
        (Some(_), Some(_)) => (MapType::NotSupported, Why::ListedForOneHostBridge),
        _ => (MapType::NotSupported, Why::NotListed),
    }
}

/// The first function of the root bus above, if it is the one at 00.0 or a root port.
fn host_bridge(topology: &Topology, index: FunctionIndex) -> Option<FunctionIndex> {
    let mut at = index;
    while let Some(bridge) = upstream_bridge(topology, at) {
        at = bridge;
    }
    let first = topology.on_bus(topology.bus_of(at)?).start;
    let function = topology.function(first)?;
    let root_port = function.port_type() == Some(DevicePortType::RootPort);
    (topology.on_root_bus(first) && (function.address.bdf.devfn() == 0 || root_port)).then_some(first)
}

/// Whether a host bridge is listed, and if so for one host bridge only. The kernel knows built-in
/// entries only.
fn listed(topology: &Topology, database: &Database, index: FunctionIndex) -> Option<bool> {
    let view: View = view::view(topology, index, |_| None);
    let subject = view::subject(topology, index, view)?;
    database.lookup(&subject).find_map(|entry| match entry.claim {
        Claim::HostBridgeP2p { same_host_bridge } if entry.layer == Layer::BuiltIn => Some(same_host_bridge),
        _ => None,
    })
}

const VENDOR_AMD: u16 = 0x1022;
