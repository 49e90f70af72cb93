//! One function as routing sees it.

use alloc::vec::Vec;

use super::super::device::Devices;
use super::super::port::{Acs, Role, TlpClass};
use super::super::reason::Reason;
use crate::anomaly::Presence;
use crate::cap::acs::AcsControl;
use crate::cap::pcie::DevicePortType;
use crate::config::ClassCode;
use crate::function::Function;
use crate::topology::{Parent, Topology};

/// No function.
pub(in crate::route) const NONE: u32 = u32::MAX;

/// What a function is to what passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::route) enum Kind {
    /// Nothing is below it.
    Leaf,
    /// Host bridge.
    HostBridge,
    RootPort,
    SwitchUpstreamPort,
    SwitchDownstreamPort,
    PcieToPciBridge,
    PciToPcieBridge,
    /// Bridge without a PCI Express capability.
    ConventionalBridge,
    /// Bridge whose type was not captured, or is none of a bridge.
    UnknownBridge,
}

impl Kind {
    /// Its role towards peers outside its device, if it faces downstream.
    #[inline]
    pub(in crate::route) const fn facing(self) -> Option<Role> {
        match self {
            Self::RootPort => Some(Role::RootPort),
            Self::SwitchDownstreamPort => Some(Role::SwitchDownstreamPort),
            _ => None,
        }
    }
}

/// What a bus is, from what leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::route) enum BusKind {
    Root,
    /// Internal bus of a switch.
    Switch,
    /// A link: one device is at its end.
    Link,
    Conventional,
    Orphan,
    /// The bridge above is of unknown type.
    Unknown,
}

/// Which classes of transaction a function can emit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::route) enum Emits {
    All,
    /// A conventional function has no Address Type and no PCIe completions.
    Conventional,
    Unknown,
    /// Nothing of it was captured: it may be a port, which emits nothing.
    Unseen,
}

impl Emits {
    /// Whether it can emit this class; `None` if not known.
    #[inline]
    pub(in crate::route) const fn class(self, class: TlpClass) -> Option<bool> {
        match (self, class) {
            (Self::Unseen, _) => None,
            (_, TlpClass::MemoryUntranslated | TlpClass::Io) | (Self::All, _) => Some(true),
            (Self::Conventional, _) => Some(false),
            (Self::Unknown, _) => None,
        }
    }
}

/// One function as routing sees it.
#[derive(Clone, Copy, Debug)]
pub(in crate::route) struct Node {
    /// The bridge above; [`NONE`] on root buses and orphans.
    pub(in crate::route) up: u32,
    /// The bus it stands on; of virtual functions that spilled over, their physical function's.
    pub(in crate::route) bus: u32,
    /// First function of its device.
    pub(in crate::route) device: u32,
    pub(in crate::route) acs: Acs,
    /// Number of bridges above; at most 255.
    pub(in crate::route) depth: u8,
    pub(in crate::route) kind: Kind,
    pub(in crate::route) emits: Emits,
    /// Its type is found below ports only: an endpoint with a link, or a port of a switch.
    pub(in crate::route) misplaced: bool,
}

impl Node {
    pub(in crate::route) const NOWHERE: Self = Self {
        up: NONE,
        bus: NONE,
        device: NONE,
        acs: Acs::Unknown(Reason::NotInDump),
        depth: 0,
        kind: Kind::Leaf,
        emits: Emits::Unknown,
        misplaced: false,
    };

    /// Whether it can be a hostile initiator: ports and host bridges are none.
    #[inline]
    pub(in crate::route) const fn initiates(&self) -> bool {
        matches!(self.kind, Kind::Leaf)
    }

    /// Whether it does not answer, so that it may be a port as well.
    #[inline]
    pub(in crate::route) const fn is_unseen(&self) -> bool {
        matches!(self.emits, Emits::Unseen)
    }
}

/// One bus as routing sees it. There are few buses: climbing over them stays in fast memory.
#[derive(Clone, Copy, Debug)]
pub(in crate::route) struct Place {
    pub(in crate::route) kind: BusKind,
    /// The bus that counts: of virtual functions that spilled over, their physical function's.
    pub(in crate::route) bus: u32,
    /// The bridge above; [`NONE`] on root buses and orphans.
    pub(in crate::route) up: u32,
    /// The bus on which that bridge stands.
    pub(in crate::route) above: u32,
    /// Number of bridges above.
    pub(in crate::route) depth: u8,
    /// The first bridge from here up that may do anything but let a redirected memory request or
    /// completion through; [`NONE`] if it gets to the top.
    pub(in crate::route) watcher: u32,
    /// Whether a bridge above may do anything but let a translated request pass.
    pub(in crate::route) translation_watched: bool,
    /// Topmost bridge; [`NONE`] on root buses and orphans.
    pub(in crate::route) top: u32,
    /// The bus on which that stands, or this one.
    pub(in crate::route) root: u32,
    /// First and last function on this very bus that can initiate; [`NONE`] if there are none.
    pub(in crate::route) first: u32,
    pub(in crate::route) last: u32,
    /// Whether those are of more than one device.
    pub(in crate::route) several: bool,
}

impl Place {
    pub(in crate::route) const NOWHERE: Self = Self {
        kind: BusKind::Unknown,
        bus: NONE,
        up: NONE,
        above: NONE,
        depth: 0,
        watcher: NONE,
        translation_watched: false,
        top: NONE,
        root: NONE,
        first: NONE,
        last: NONE,
        several: false,
    };

    /// Takes the bus's next function into account, if it can initiate.
    fn add_initiator(&mut self, index: u32, node: &Node, device_of: impl Fn(u32) -> Option<u32>) {
        if !node.initiates() {
            return;
        }
        if self.first == NONE {
            self.first = index;
        }
        self.last = index;
        self.several |= self.first != index && device_of(self.first) != Some(node.device);
    }
}

/// All functions and buses, with ACS as the registers have it.
pub(super) fn nodes(topology: &Topology) -> (Vec<Node>, Vec<Place>, Devices) {
    let count = topology.functions().len();
    let mut nodes: Vec<Node> = Vec::with_capacity(count);
    let mut places: Vec<Place> = Vec::with_capacity(topology.buses().len());
    let mut devices = Devices::with_capacity(count);
    for (index, bus) in topology.buses().iter().enumerate() {
        let own = Place { bus: index as u32, root: index as u32, ..Place::NOWHERE };
        let mut place = match bus.parent {
            Parent::Root => Place { kind: BusKind::Root, ..own },
            Parent::Orphan(_) => Place { kind: BusKind::Orphan, ..own },
            Parent::Bridge(bridge) => {
                let above = nodes.get(bridge).copied().unwrap_or(Node::NOWHERE);
                let (up, depth) = (bridge as u32, above.depth.saturating_add(1));
                Place { kind: below(above.kind), up, above: above.bus, depth, ..own }
            }
            Parent::VirtualFunctions(of) => {
                let of = places.get(of).copied().unwrap_or(own);
                Place { first: NONE, last: NONE, several: false, ..of }
            }
        };
        devices.add_bus(topology, index);
        let range = topology.on_bus(index);
        let functions = topology.functions().get(range.clone()).unwrap_or_default();
        for (index, function) in range.zip(functions) {
            let is_virtual = topology.kind(index).is_virtual();
            let node = Node {
                bus: place.bus,
                up: place.up,
                device: devices.device_of(index) as u32,
                acs: super::acs::by_registers(function),
                depth: place.depth,
                kind: kind_of(function),
                emits: if is_virtual { Emits::All } else { emits(function) },
                misplaced: is_misplaced_on_root_buses(function),
            };
            place.add_initiator(index as u32, &node, |first| nodes.get(first as usize).map(|n| n.device));
            nodes.push(node);
        }
        places.push(place);
    }
    (nodes, places, devices)
}

/// Finds anew which functions of each bus can initiate.
pub(super) fn count_initiators(topology: &Topology, nodes: &[Node], places: &mut [Place]) {
    for (bus, place) in places.iter_mut().enumerate() {
        (place.first, place.last, place.several) = (NONE, NONE, false);
        for index in topology.on_bus(bus) {
            let Some(node) = nodes.get(index) else { continue };
            place.add_initiator(index as u32, node, |first| nodes.get(first as usize).map(|n| n.device));
        }
    }
}

/// Fills in what is known of the way up when all ACS is known.
pub(super) fn watch(nodes: &[Node], places: &mut [Place]) {
    for index in 0..places.len() {
        let Some(place) = places.get(index).copied() else { break };
        let Some(node) = nodes.get(place.up as usize) else { continue };
        let above = places.get(node.bus as usize).copied().unwrap_or(Place::NOWHERE);
        let passes = match (node.kind, node.acs) {
            (Kind::SwitchUpstreamPort, _) => true,
            (Kind::RootPort | Kind::SwitchDownstreamPort, Acs::Present(services)) => {
                let on = services.enabled();
                on.contains(AcsControl::UPSTREAM_FORWARDING)
                    && !on.union(services.guessed()).contains(AcsControl::TRANSLATION_BLOCKING)
            }
            _ => false,
        };
        let translated_pass = match (node.kind, node.acs) {
            (Kind::RootPort | Kind::SwitchDownstreamPort, Acs::Present(services)) => {
                !services.enabled().contains(AcsControl::TRANSLATION_BLOCKING)
            }
            (Kind::RootPort | Kind::SwitchDownstreamPort, Acs::Absent) => true,
            (Kind::RootPort | Kind::SwitchDownstreamPort, Acs::Unknown(_)) | (Kind::UnknownBridge, _) => {
                false
            }
            _ => true,
        };
        if let Some(slot) = places.get_mut(index) {
            slot.translation_watched = !translated_pass || above.translation_watched;
            slot.watcher = if passes { above.watcher } else { place.up };
            slot.top = if above.top == NONE { place.up } else { above.top };
            slot.root = above.root;
        }
    }
}

const fn below(bridge: Kind) -> BusKind {
    match bridge {
        Kind::RootPort | Kind::SwitchDownstreamPort | Kind::PciToPcieBridge => BusKind::Link,
        Kind::SwitchUpstreamPort => BusKind::Switch,
        Kind::PcieToPciBridge | Kind::ConventionalBridge => BusKind::Conventional,
        Kind::UnknownBridge | Kind::Leaf | Kind::HostBridge => BusKind::Unknown,
    }
}

fn kind_of(function: &Function) -> Kind {
    use DevicePortType as Type;
    if function.is_bridge() {
        return match function.pcie {
            Presence::Absent => Kind::ConventionalBridge,
            Presence::NotCaptured => Kind::UnknownBridge,
            Presence::Present(pcie) => match pcie.port_type() {
                Type::RootPort => Kind::RootPort,
                Type::SwitchUpstreamPort => Kind::SwitchUpstreamPort,
                Type::SwitchDownstreamPort => Kind::SwitchDownstreamPort,
                Type::PcieToPciBridge => Kind::PcieToPciBridge,
                Type::PciToPcieBridge => Kind::PciToPcieBridge,
                _ => Kind::UnknownBridge,
            },
        };
    }
    let linked = matches!(function.port_type(), Some(Type::Endpoint | Type::LegacyEndpoint));
    if function.answers && function.class.class() == ClassCode::HOST_BRIDGE && !linked {
        return Kind::HostBridge;
    }
    Kind::Leaf
}

fn emits(function: &Function) -> Emits {
    match function.pcie {
        Presence::Present(_) => Emits::All,
        Presence::Absent => Emits::Conventional,
        Presence::NotCaptured if !function.answers => Emits::Unseen,
        Presence::NotCaptured => Emits::Unknown,
    }
}

fn is_misplaced_on_root_buses(function: &Function) -> bool {
    use DevicePortType as Type;
    matches!(
        function.port_type(),
        Some(Type::Endpoint | Type::LegacyEndpoint | Type::SwitchUpstreamPort | Type::SwitchDownstreamPort)
    )
}
