//! What the specification's rules need of each function, prepared once: the way up, the device, the
//! kind, and the ACS controls that count.
//!
//! [`Fabric`] answers for pairs ([`disposition`](Fabric::disposition), [`trace`](Fabric::trace)) and
//! for all functions at once ([`domains`](Fabric::domains)).
//!
//! Source: PCIe Base 6.x, §6.12 "Access Control Services (ACS)"; the device database for what
//! registers do not tell.

mod acs;
mod astray;
mod node;

pub(in crate::route) use node::{BusKind, Emits, Kind, NONE, Node, Place};

use alloc::vec::Vec;

use super::device::Devices;
use super::linux::Linux;
use super::port::{Acs, Role, Services, VectorBit};
use super::requester::{self, DriverSegments, Requester};
use super::view::{self, View};
use crate::anomaly::Presence;
use crate::cap::acs::AcsControl;
use crate::db::{Claim, Database};
use crate::topology::{FunctionIndex, Topology};

/// A function that sends with the requester ID of the function whose driver made its segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::route) struct Behind {
    /// The function.
    pub(in crate::route) function: u32,
    /// The owner of the segment; [`NONE`] if the dump does not tell.
    pub(in crate::route) owner: u32,
    /// Whether the owner is a guess, or not known.
    pub(in crate::route) unproven: bool,
}

/// A function that sends with other requester IDs than its own.
#[derive(Clone, Copy, Debug)]
pub(in crate::route) struct SendsAs {
    /// The function.
    pub(in crate::route) function: u32,
    /// The database entry that says so.
    pub(in crate::route) entry: u32,
    /// Whether the entry has a condition of which nothing is known, or does not know which ID.
    pub(in crate::route) unproven: bool,
}

/// A topology as the specification's rules see it.
#[derive(Clone, Debug)]
pub struct Fabric<'a> {
    pub(in crate::route) topology: &'a Topology,
    pub(in crate::route) database: &'a Database,
    devices: Devices,
    nodes: Vec<Node>,
    places: Vec<Place>,
    /// Functions whose ACS is as a database entry says, and the entry, by function.
    claims: Vec<(u32, u32)>,
    /// Functions that send with the requester ID of the owner of their segment, sorted.
    behind: Vec<Behind>,
    /// The owners of such segments, sorted.
    segment_owners: Vec<u32>,
    /// What the database says of functions that send with other requester IDs, by function.
    sends_as: Vec<SendsAs>,
    /// Bridges that keep the requester IDs of what is below them, by index.
    keeps_requester_id: Vec<u32>,
    /// Bridges that are said to put their own in their place although they look conventional, by index.
    substitutes_secondary: Vec<u32>,
    /// Functions of which bus numbers do not tell where they are.
    astray: astray::Astray,
}

impl<'a> Fabric<'a> {
    /// Looks at each function once.
    #[must_use]
    pub fn new(topology: &'a Topology, database: &'a Database) -> Self {
        Self::with(topology, database, None)
    }

    /// The same for functions that were looked at as the kernel does, so that this is done once.
    #[must_use]
    pub fn seen_by(linux: &Linux<'a>) -> Self {
        Self::with(linux.topology(), linux.database(), Some(linux.views()))
    }

    fn with(topology: &'a Topology, database: &'a Database, views: Option<&[View]>) -> Self {
        let (nodes, places, devices) = node::nodes(topology);
        let mut fabric = Self {
            topology,
            database,
            devices,
            nodes,
            places,
            claims: Vec::new(),
            behind: Vec::new(),
            segment_owners: Vec::new(),
            sends_as: Vec::new(),
            keeps_requester_id: Vec::new(),
            substitutes_secondary: Vec::new(),
            astray: astray::Astray::default(),
        };
        if !database.entries().is_empty() {
            match views {
                Some(views) => fabric.ask_database(views),
                None => fabric.ask_database(&view::views(topology)),
            }
        }
        fabric.look_behind_drivers();
        fabric.look_for_strays();
        node::watch(&fabric.nodes, &mut fabric.places);
        fabric
    }

    /// Finds the functions of segments that drivers made.
    fn look_behind_drivers(&mut self) {
        let topology = self.topology;
        let made =
            topology.functions().last().is_some_and(|last| requester::is_of_driver(last.address.segment));
        if !made && !topology.inventory().host_bridges().iter().any(|bridge| bridge.requester.is_some()) {
            return;
        }
        let segments = DriverSegments::new(topology, |index| self.owns_segment(index).is_some());
        let behind = (0..topology.functions().len()).filter_map(|index| {
            let root = topology.bridges_above(index).last().unwrap_or(index);
            let bus = topology.function(root)?.address.bus();
            let (owner, unproven) = match segments.requester(topology, index, Some(bus)) {
                Requester::Itself => return None,
                Requester::Known(owner) => (Some(owner), false),
                Requester::Unknown(owner) => (owner, true),
            };
            let owner = owner.map_or(NONE, |owner| owner as u32);
            Some(Behind { function: index as u32, owner, unproven })
        });
        self.behind = behind.collect();
        self.segment_owners = self.behind.iter().map(|behind| behind.owner).filter(|o| *o != NONE).collect();
        self.segment_owners.sort_unstable();
        self.segment_owners.dedup();
    }

    /// The entry that says that the driver of a function makes segments.
    pub(in crate::route) fn owns_segment(&self, index: FunctionIndex) -> Option<usize> {
        let view = view::view(self.topology, index, |_| None);
        let subject = view::subject(self.topology, index, view)?;
        let claims = |found: &usize| {
            self.database.entries().get(*found).is_some_and(|entry| entry.claim == Claim::OwnsSegment)
        };
        self.database.facts(&subject).find(claims)
    }

    /// Whose requester ID a function sends with because a driver made its segment.
    pub(in crate::route) fn behind(&self, index: FunctionIndex) -> Option<&Behind> {
        let at = self.behind.binary_search_by_key(&index, |behind| behind.function as usize).ok()?;
        self.behind.get(at)
    }

    /// The same of all functions, by function.
    pub(in crate::route) fn all_behind(&self) -> &[Behind] {
        &self.behind
    }

    /// The same where these functions, none of them a bridge, take no part: they initiate nothing.
    pub(in crate::route) fn without(&self, left_out: impl Fn(FunctionIndex) -> bool) -> Self {
        let mut fabric = self.clone();
        let leaves = fabric.nodes.iter_mut().enumerate().filter(|(_, node)| node.initiates());
        for (_, node) in leaves.filter(|(index, _)| left_out(*index)) {
            node.kind = Kind::HostBridge;
        }
        node::count_initiators(self.topology, &fabric.nodes, &mut fabric.places);
        fabric
    }

    /// The topology.
    #[must_use]
    pub const fn topology(&self) -> &'a Topology {
        self.topology
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &'a Database {
        self.database
    }

    /// The devices.
    #[must_use]
    pub const fn devices(&self) -> &Devices {
        &self.devices
    }

    /// The ACS of a function as it counts here: its registers, or what the database says of them.
    #[must_use]
    pub fn acs(&self, index: FunctionIndex) -> Acs {
        self.nodes.get(index).map_or(Acs::Unknown(super::Reason::NotInDump), |node| node.acs)
    }

    /// Whether a function can be a hostile initiator: ports and host bridges are none.
    #[must_use]
    pub fn initiates(&self, index: FunctionIndex) -> bool {
        self.nodes.get(index).is_some_and(Node::initiates)
    }

    /// The database entry that a function's ACS rests on: index into
    /// [`Database::entries`](crate::db::Database::entries).
    #[must_use]
    pub fn claim(&self, index: FunctionIndex) -> Option<usize> {
        let at = self.claims.binary_search_by_key(&(index as u32), |(function, _)| *function).ok()?;
        self.claims.get(at).map(|(_, entry)| *entry as usize)
    }

    /// The other requester IDs that a function sends with.
    pub(in crate::route) fn sends_as(&self, index: FunctionIndex) -> &[SendsAs] {
        let from = self.sends_as.partition_point(|sends| (sends.function as usize) < index);
        let to = self.sends_as.partition_point(|sends| sends.function as usize <= index);
        self.sends_as.get(from..to).unwrap_or_default()
    }

    /// The same of all functions, by function.
    pub(in crate::route) fn all_sends_as(&self) -> &[SendsAs] {
        &self.sends_as
    }

    /// The database entries that the answers about a function rest on, as indices into
    /// [`Database::entries`](crate::db::Database::entries): of its ACS, and of the requester IDs that it
    /// sends with.
    pub fn entries_about(&self, index: FunctionIndex) -> impl Iterator<Item = usize> + '_ {
        let owns = self.segment_owners.binary_search(&(index as u32)).is_ok();
        let sent = self.sends_as(index).iter().map(|sends| sends.entry as usize);
        self.claim(index).into_iter().chain(sent).chain(owns.then(|| self.owns_segment(index)).flatten())
    }

    #[inline]
    pub(in crate::route) fn node(&self, index: u32) -> &Node {
        self.nodes.get(index as usize).unwrap_or(&Node::NOWHERE)
    }

    pub(in crate::route) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    #[inline]
    pub(in crate::route) fn bus_kind(&self, bus: u32) -> BusKind {
        self.place(bus).kind
    }

    #[inline]
    pub(in crate::route) fn place(&self, bus: u32) -> &Place {
        self.places.get(bus as usize).unwrap_or(&Place::NOWHERE)
    }

    pub(in crate::route) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(in crate::route) fn keeps_requester_id(&self, bridge: u32) -> bool {
        self.keeps_requester_id.binary_search(&bridge).is_ok()
    }

    /// Whether an entry says so of a bridge without a PCI Express capability, and it stands where one
    /// can: below a PCI Express port.
    pub(in crate::route) fn substitutes_secondary(&self, bridge: u32) -> bool {
        let node = self.node(bridge);
        let above = self.node(node.up).kind;
        node.kind == Kind::ConventionalBridge
            && matches!(
                above,
                Kind::RootPort
                    | Kind::SwitchUpstreamPort
                    | Kind::SwitchDownstreamPort
                    | Kind::PciToPcieBridge
            )
            && self.substitutes_secondary.binary_search(&bridge).is_ok()
    }

    /// Whether the function's own port is hidden: it stands on a root bus, where its type cannot be.
    #[inline]
    pub(in crate::route) fn is_hidden(&self, node: &Node) -> bool {
        node.misplaced && self.bus_kind(node.bus) == BusKind::Root
    }

    /// What stands next to where bridges are missing: the first function of each orphan bus, and functions
    /// on root buses whose own ports are hidden.
    pub(in crate::route) fn behind_missing_bridges(&self) -> Vec<FunctionIndex> {
        let orphans = self.places.iter().enumerate().filter(|(_, place)| place.kind == BusKind::Orphan);
        let mut found: Vec<FunctionIndex> = orphans.map(|(bus, _)| self.topology.on_bus(bus).start).collect();
        let nodes = self.nodes.iter().enumerate();
        found.extend(nodes.filter(|(_, node)| self.is_hidden(node)).map(|(index, _)| index));
        found.sort_unstable();
        found
    }

    /// Lets the database say what it knows of functions whose ACS can matter: bridges, functions on
    /// root buses, and those that are not alone in their device.
    fn ask_database(&mut self, views: &[View]) {
        // The last subject of each function number without an entry: neighbours are often alike, and most
        // functions have no entry.
        let mut without = [None; 8];
        for (index, view) in views.iter().enumerate() {
            if !self.may_matter(index) {
                continue;
            }
            let Some(subject) = view::subject(self.topology, index, *view) else { continue };
            let Some(without) = without.get_mut(usize::from(subject.function & 7)) else { continue };
            if *without == Some(subject) {
                continue;
            }
            // Nothing but the subject decides this; whether an entry's conditions hold, the place does, too.
            if self.database.facts(&subject).next().is_none() {
                *without = Some(subject);
                continue;
            }
            let found = acs::by_database(self, index, &subject);
            let aliases = acs::aliases(self, index, &subject);
            self.sends_as.extend(aliases);
            for found in self.database.facts(&subject) {
                let list = match self.database.entries().get(found).map(|entry| &entry.claim) {
                    Some(Claim::BridgeKeepsRequesterId) => &mut self.keeps_requester_id,
                    Some(Claim::BridgeSubstitutesSecondary) => &mut self.substitutes_secondary,
                    _ => continue,
                };
                if list.last() != Some(&(index as u32)) {
                    list.push(index as u32);
                }
            }
            if let (Some((acs, entry)), Some(node)) = (found, self.nodes.get_mut(index)) {
                node.acs = acs;
                self.claims.push((index as u32, entry as u32));
            }
        }
    }

    fn may_matter(&self, index: usize) -> bool {
        let Some(node) = self.nodes.get(index) else { return false };
        let shares = |other: Option<usize>| {
            other.and_then(|other| self.nodes.get(other)).is_some_and(|other| other.device == node.device)
        };
        node.kind != Kind::Leaf
            || self.bus_kind(node.bus) == BusKind::Root
            || node.device as usize != index
            || shares(index.checked_add(1))
            || self.topology.kind(index) == crate::topology::Kind::Physical
    }

    /// The bit of `x`'s egress control vector that stands for peer `y`, where that is asked for at all.
    pub(in crate::route) fn vector_bit(&self, x: u32, y: u32, role: Role) -> VectorBit {
        let Acs::Present(services) = self.node(x).acs else { return VectorBit::Unknown };
        if !services.enabled().contains(AcsControl::EGRESS_CONTROL) {
            return VectorBit::Unknown;
        }
        self.peer_index(y, role).map_or(VectorBit::Unknown, |index| self.vector_bit_at(x, index))
    }

    /// The bit at an index of `x`'s egress control vector.
    pub(in crate::route) fn vector_bit_at(&self, x: u32, index: u8) -> VectorBit {
        let read = || {
            let capability = self.topology.function(x as usize)?.acs.present()?.capability;
            if u16::from(index) >= capability.vector_bits() {
                return None;
            }
            let vector = self.topology.inventory().extras(x as usize)?.egress_vector?;
            let dword = (*vector.get(usize::from(index >> 5))?)?;
            Some(dword & (1 << (index & 31)) != 0)
        };
        match read() {
            Some(false) => VectorBit::Clear,
            Some(true) => VectorBit::Set,
            None => VectorBit::Unknown,
        }
    }

    /// What egress control vectors of peers are indexed by: the port number of a port; in a
    /// multi-function device the function number, or the function group where function 0 has ACS
    /// Function Groups enabled.
    pub(in crate::route) fn peer_index(&self, y: u32, role: Role) -> Option<u8> {
        let function = self.topology.function(y as usize)?;
        match role {
            Role::SwitchDownstreamPort | Role::RootPort => {
                let pcie = function.pcie.present()?;
                pcie.port_number().filter(|_| pcie.port_type().is_downstream_facing())
            }
            Role::Integrated => None,
            Role::Function => {
                let bus = self.topology.bus_of(y as usize)?;
                let function_0 = self.topology.function(self.topology.on_bus(bus).start)?;
                let devfn = function.address.bdf.devfn();
                // On other buses than function 0's, and without ARI, virtual functions have no function
                // number of the device.
                let is_virtual = self.topology.kind(y as usize).is_virtual();
                match (self.topology.uses_ari(bus), function_0.ari) {
                    // A control without its capability bit has no effect.
                    (Some(true), Presence::Present(ari))
                        if ari.acs_function_groups() && ari.acs_function_groups_enabled() =>
                    {
                        function.ari.present().map(|ari| ari.function_group())
                    }
                    (Some(true), _) => Some(devfn),
                    _ if is_virtual => None,
                    (Some(false), _) => Some(devfn & 7),
                    (None, _) if devfn < 8 => Some(devfn),
                    _ => None,
                }
            }
        }
    }

    /// Whether Source Validation is known to be on at a port; `None` if that is not known.
    pub(in crate::route) fn validates_source(&self, node: &Node) -> Option<bool> {
        match node.acs {
            Acs::Present(services) if services.guessed().contains(AcsControl::SOURCE_VALIDATION) => None,
            Acs::Present(services) => Some(services.enabled().contains(AcsControl::SOURCE_VALIDATION)),
            Acs::Absent => Some(false),
            Acs::Unknown(_) => None,
        }
    }
}

/// The controls of a port, none if it has no ACS or it is not known.
pub(in crate::route) fn services(node: &Node) -> Services {
    match node.acs {
        Acs::Present(services) => services,
        Acs::Absent | Acs::Unknown(_) => Services::default(),
    }
}

/// Whether a function decides pair by pair.
pub(in crate::route) fn has_egress_control(node: &Node) -> bool {
    let services = services(node);
    services.enabled().union(services.guessed()).contains(AcsControl::EGRESS_CONTROL)
}
