//! Groups, in the order in which the kernel assigns them.
//!
//! Source: Linux 7.2.13, drivers/iommu/iommu.c, `pci_device_group`, `get_pci_alias_group`,
//! `get_pci_function_alias_group`; drivers/pci/search.c, `pci_for_each_dma_alias`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use super::{Above, Basis, Guess, Linux, REQUIRED};
use crate::addr::Segment;
use crate::cap::pcie::DevicePortType;
use crate::db::Claim;
use crate::route::evidence::Evidence;
use crate::route::requester::Requester;
use crate::topology::{BusIndex, FunctionIndex};

/// The partition of a topology's functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grouping {
    /// The groups, by the lowest address in each.
    pub groups: Vec<Group>,
    /// For each function: its group; `None` for what the kernel puts into none.
    pub group_of: Vec<Option<usize>>,
}

/// One group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// Its functions, sorted by address.
    pub functions: Vec<FunctionIndex>,
    /// Why each function but the first came to be in it, in the order in which they joined.
    pub joins: Vec<Join>,
    /// What was guessed: if any of it is wrong, the group may be another one. Empty: certain.
    pub depends_on: BTreeSet<Dependency>,
}

impl Group {
    /// Whether nothing had to be guessed.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.depends_on.is_empty()
    }
}

/// How one function joined a group that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Join {
    /// The function.
    pub function: FunctionIndex,
    /// The function that made it join: the port that does not isolate, the bridge whose requester ID
    /// it uses, the sibling.
    pub hop: FunctionIndex,
    /// The rule.
    pub cause: Cause,
}

/// Why a function joins a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its requests carry the hop's requester ID, or one that the hop puts in place of it.
    RequesterId,
    /// The hop is on its way up and does not isolate.
    PathDoesNotIsolate,
    /// It and the hop are functions of one device, and neither isolates.
    MultiFunction,
    /// It and the hop use each other's requester ID.
    Alias,
    /// The dump does not tell, and the running kernel had both in one group.
    KernelSays,
}

impl Cause {
    /// Kebab-case code, as in JSON output.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RequesterId => "requester-id",
            Self::PathDoesNotIsolate => "path-does-not-isolate",
            Self::MultiFunction => "multi-function",
            Self::Alias => "requester-id-alias",
            Self::KernelSays => "kernel-says",
        }
    }
}

/// Something that a group rests on and that the dump does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dependency {
    /// Whether this function isolates.
    Isolation(FunctionIndex, Guess),
    /// Whether this bridge is a PCIe port, or one to a conventional bus.
    BridgeType(FunctionIndex),
    /// What is above this bus.
    BridgeAbove(BusIndex),
    /// Whose requester ID the functions of this segment use.
    Requester(Segment),
    /// Which requester IDs this function uses beside its own.
    Aliases(FunctionIndex),
    /// That the running kernel's groups, with this number, are still right: the dump does not tell enough
    /// to form them.
    KernelSays(u32),
    /// Whether ACS of this function was on before its siblings were grouped: recent kernels enable and
    /// group one function after the other, older ones enable all of them first.
    EnabledLate(FunctionIndex),
}

impl Join {
    /// What it rests on: the hop's lack of isolation; in one device the function's own, too.
    #[must_use]
    pub fn evidence(&self, linux: &Linux<'_>) -> Vec<Evidence> {
        let of = |index| linux.isolation(index).evidence(linux, index);
        match self.cause {
            Cause::PathDoesNotIsolate => of(self.hop),
            Cause::MultiFunction => [of(self.function), of(self.hop)].concat(),
            Cause::RequesterId => linux.requester_evidence(self.hop),
            Cause::Alias => [linux.alias_evidence(self.function), linux.alias_evidence(self.hop)].concat(),
            Cause::KernelSays => Vec::new(),
        }
    }
}

impl Linux<'_> {
    /// Why requests from behind a bridge, or in a segment that a driver made, carry its requester ID.
    fn requester_evidence(&self, index: FunctionIndex) -> Vec<Evidence> {
        let Some(function) = self.topology.function(index) else { return Vec::new() };
        match self.view(index).port_type {
            Some(port_type @ (DevicePortType::PcieToPciBridge | DevicePortType::PciToPcieBridge)) => {
                vec![Evidence::PortType { function: function.address, port_type }]
            }
            None if function.is_bridge() => self.isolation(index).evidence(self, index),
            _ => self.entry_evidence_where(index, |claim| *claim == Claim::OwnsSegment),
        }
    }

    fn alias_evidence(&self, index: FunctionIndex) -> Vec<Evidence> {
        self.entry_evidence_where(index, |claim| matches!(claim, Claim::RequesterIdAlias(_)))
    }

    /// Assigns each function to a group as the kernel does: bus by bus, virtual functions last.
    #[must_use]
    pub fn group(&self) -> Grouping {
        let count = self.topology.functions().len();
        let mut state = State {
            linux: self,
            groups: Vec::new(),
            group_of: vec![None; count],
            aliases: self.aliases(),
            first_of_kernel_group: BTreeMap::new(),
            possible_owners: self.possible_owners(),
            assigning: 0,
        };
        let is_virtual = |index: &FunctionIndex| self.topology.kind(*index).is_virtual();
        let ordinary = (0..count).filter(|index| !is_virtual(index));
        for index in ordinary.chain((0..count).filter(is_virtual)) {
            if !self.is_ungrouped(index) {
                state.assign(index);
            }
        }
        state.finish()
    }

    /// The functions that use other requester IDs of their bus, with the entries that say so, sorted.
    fn aliases(&self) -> Vec<(FunctionIndex, Vec<usize>)> {
        let alias_entries = |index| {
            let subject = self.subject(index)?;
            let entries = self.entries(&subject);
            let aliases = entries.filter(|(_, entry)| matches!(entry.claim, Claim::RequesterIdAlias(_)));
            Some(aliases.map(|(found, _)| found).collect::<Vec<_>>()).filter(|found| !found.is_empty())
        };
        let functions = 0..self.topology.functions().len();
        functions.filter_map(|index| Some((index, alias_entries(index)?))).collect()
    }
}

/// A group that was found, and what led to it.
type Found = Option<(usize, FunctionIndex, Cause)>;

struct State<'l, 'a> {
    linux: &'l Linux<'a>,
    groups: Vec<Group>,
    group_of: Vec<Option<usize>>,
    aliases: Vec<(FunctionIndex, Vec<usize>)>,
    /// For each group of the running kernel: the first function of it that was assigned.
    first_of_kernel_group: BTreeMap<u32, FunctionIndex>,
    /// Functions that could own a segment which a driver made.
    possible_owners: Vec<FunctionIndex>,
    /// The function that is being assigned.
    assigning: FunctionIndex,
}

impl State<'_, '_> {
    fn assign(&mut self, index: FunctionIndex) {
        let mut depends_on = BTreeSet::new();
        self.assigning = index;
        let mut found = self.find(index, &mut depends_on);
        if !depends_on.is_empty() {
            if let Some((kernel_group, as_the_kernel_says)) = self.as_the_kernel_says(index) {
                found = as_the_kernel_says;
                depends_on = BTreeSet::from([Dependency::KernelSays(kernel_group)]);
            }
        }
        let (group, join) = match found {
            Some((group, hop, cause)) => (group, Some(Join { function: index, hop, cause })),
            None => {
                self.groups.push(Group::default());
                (self.groups.len().saturating_sub(1), None)
            }
        };
        if let Some(slot) = self.group_of.get_mut(index) {
            *slot = Some(group);
        }
        let attributes = self.linux.topology.inventory().attributes(index);
        if let Some(kernel_group) = attributes.and_then(|known| known.kernel_group) {
            self.first_of_kernel_group.entry(kernel_group).or_insert(index);
        }
        if let Some(group) = self.groups.get_mut(group) {
            group.functions.push(index);
            group.joins.extend(join);
            group.depends_on.append(&mut depends_on);
        }
    }

    fn group(&self, index: FunctionIndex) -> Option<usize> {
        self.group_of.get(index).copied().flatten()
    }

    /// Where the answer is a guess and the dump says which group the running kernel made, that is the
    /// best guess: its number, and the group of an earlier function of the same one, or a new group.
    fn as_the_kernel_says(&self, index: FunctionIndex) -> Option<(u32, Found)> {
        let kernel_group = self.linux.topology.inventory().attributes(index)?.kernel_group?;
        let first = self.first_of_kernel_group.get(&kernel_group).copied();
        let found = first.and_then(|first| Some((self.group(first)?, first, Cause::KernelSays)));
        Some((kernel_group, found))
    }

    /// `pci_device_group`.
    fn find(&self, index: FunctionIndex, depends_on: &mut BTreeSet<Dependency>) -> Found {
        // Whether it is a bridge, and to which buses, decides who else is in its group.
        if self.linux.topology.function(index).is_some_and(|function| function.header().is_none()) {
            depends_on.insert(Dependency::Isolation(index, Guess::NoAnswer));
        }
        match self.linux.requester(index) {
            Requester::Itself => {}
            Requester::Known(owner) => return Some((self.group(owner)?, owner, Cause::RequesterId)),
            Requester::Unknown(owner) => return self.by_segment(index, owner, depends_on),
        }
        let mut highest = index;
        if let Some(bridge) = self.aliasing_bridge(index, depends_on) {
            if let Some(group) = self.group(bridge) {
                return Some((group, bridge, Cause::RequesterId));
            }
            highest = bridge;
        }
        let mut at = highest;
        while let Some(bridge) = self.bridge_above(at, depends_on) {
            let path = self.linux.path(bridge);
            if !path.certain {
                self.add_path(bridge, depends_on);
            }
            if path.yes {
                break;
            }
            at = bridge;
            if let Some(group) = self.group(bridge) {
                return Some((group, self.first_open(bridge), Cause::PathDoesNotIsolate));
            }
        }
        let mut seen = [0_u64; 4];
        self.alias_group(at, &mut seen, depends_on).or_else(|| self.sibling_group(at, &mut seen, depends_on))
    }

    /// Functions of a segment that a driver made, where the dump does not name the function that owns
    /// it: together, whatever their owner is.
    fn by_segment(
        &self,
        index: FunctionIndex,
        owner: Option<FunctionIndex>,
        depends_on: &mut BTreeSet<Dependency>,
    ) -> Found {
        let segment = self.linux.topology.function(index)?.address.segment;
        depends_on.insert(Dependency::Requester(segment));
        if let Some(group) = owner.and_then(|owner| self.group(owner)) {
            return Some((group, owner?, Cause::RequesterId));
        }
        let functions = self.linux.topology.functions();
        let first = functions.partition_point(|f| f.address.segment < segment);
        Some((self.group(first).filter(|_| first != index)?, first, Cause::RequesterId))
    }

    /// The bridge above, noting where the dump does not tell.
    fn bridge_above(
        &self,
        index: FunctionIndex,
        depends_on: &mut BTreeSet<Dependency>,
    ) -> Option<FunctionIndex> {
        match self.linux.above(index) {
            Above::Root => None,
            Above::Bridge(bridge) => Some(bridge),
            Above::Unknown(bridge) => {
                depends_on.extend(self.linux.topology.bus_of(index).map(Dependency::BridgeAbove));
                bridge
            }
        }
    }

    /// `pci_for_each_dma_alias`: the first bridge on the way up that puts a requester ID of its own in
    /// place of the function's.
    fn aliasing_bridge(
        &self,
        index: FunctionIndex,
        depends_on: &mut BTreeSet<Dependency>,
    ) -> Option<FunctionIndex> {
        let mut at = index;
        let mut guessed = false;
        while let Some(bridge) = self.bridge_above(at, depends_on) {
            at = bridge;
            if self.linux.claims(bridge, |claim| matches!(claim, Claim::TranslationRoot)) {
                return None;
            }
            let view = self.linux.view(bridge);
            if view.guessed && !guessed {
                guessed = true;
                depends_on.insert(Dependency::BridgeType(bridge));
            }
            match view.port_type {
                None | Some(DevicePortType::PciToPcieBridge) => return Some(bridge),
                Some(DevicePortType::PcieToPciBridge)
                    if !self.linux.claims(bridge, |claim| matches!(claim, Claim::BridgeKeepsRequesterId)) =>
                {
                    return Some(bridge);
                }
                Some(_) => {}
            }
        }
        None
    }

    /// The first function from `bridge` up that does not isolate.
    fn first_open(&self, bridge: FunctionIndex) -> FunctionIndex {
        let mut at = bridge;
        while self.linux.isolation(at).isolates {
            match self.linux.above(at) {
                Above::Bridge(above) | Above::Unknown(Some(above)) => at = above,
                Above::Root | Above::Unknown(None) => return bridge,
            }
        }
        at
    }

    /// What a path that is not certain rests on: the nearest function that is guessed. Those above it
    /// are what its own group rests on.
    fn add_path(&self, bridge: FunctionIndex, depends_on: &mut BTreeSet<Dependency>) {
        let mut at = Some(bridge);
        while let Some(index) = at {
            if self.add_isolation(index, depends_on) {
                return;
            }
            at = self.bridge_above(index, depends_on);
        }
    }

    /// Whether the function's isolation is a guess, which is then noted.
    fn add_isolation(&self, index: FunctionIndex, depends_on: &mut BTreeSet<Dependency>) -> bool {
        let guess = self.linux.isolation(index).guess;
        depends_on.extend(guess.map(|guess| Dependency::Isolation(index, guess)));
        guess.is_some()
    }

    /// `get_pci_alias_group`.
    fn alias_group(
        &self,
        index: FunctionIndex,
        seen: &mut [u64; 4],
        depends_on: &mut BTreeSet<Dependency>,
    ) -> Found {
        let devfn = self.linux.topology.function(index)?.address.bdf.devfn();
        let word = seen.get_mut(usize::from(devfn >> 6))?;
        let bit = 1_u64 << (devfn & 63);
        if *word & bit != 0 {
            return None;
        }
        *word |= bit;
        if let Some(group) = self.group(index) {
            return Some((group, index, Cause::Alias));
        }
        let bus = self.linux.topology.on_bus(self.linux.topology.bus_of(index)?);
        let alias_of = |index| {
            let at = self.aliases.binary_search_by_key(&index, |(index, _)| *index).ok()?;
            self.aliases.get(at)
        };
        let aliasing_here = self.aliases.partition_point(|(index, _)| *index < bus.start);
        let anyone = self.aliases.get(aliasing_here).is_some_and(|(index, _)| *index < bus.end);
        let mut noted = false;
        for other in bus.filter(|other| anyone && *other != index) {
            let mut aliases = false;
            for (from, to) in [(index, other), (other, index)] {
                match alias_of(from).map_or(Some(false), |(_, entries)| self.covers(entries, from, to)) {
                    Some(covered) => aliases |= covered,
                    None if noted => {}
                    None => noted = depends_on.insert(Dependency::Aliases(from)),
                }
            }
            if !aliases {
                continue;
            }
            let found = self.alias_group(other, seen, depends_on);
            if let Some((group, _, _)) = found.or_else(|| self.sibling_group(other, seen, depends_on)) {
                return Some((group, other, Cause::Alias));
            }
        }
        None
    }

    /// Whether one of the aliases of `from` is the ID of `to`; `None` if that is not known.
    fn covers(&self, entries: &[usize], from: FunctionIndex, to: FunctionIndex) -> Option<bool> {
        let devfn = |index| Some(self.linux.topology.function(index)?.address.bdf.devfn());
        let (from, to) = (devfn(from)?, devfn(to)?);
        let mut unknown = false;
        for entry in entries.iter().filter_map(|entry| self.linux.database.entries().get(*entry)) {
            let Claim::RequesterIdAlias(alias) = &entry.claim else { continue };
            match alias.covers(from, to) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => unknown = true,
            }
        }
        (!unknown).then_some(false)
    }

    /// `get_pci_function_alias_group`.
    fn sibling_group(
        &self,
        index: FunctionIndex,
        seen: &mut [u64; 4],
        depends_on: &mut BTreeSet<Dependency>,
    ) -> Found {
        let view = self.linux.view(index);
        let slot = self.linux.topology.in_slot(index);
        if slot.len() > 1 && (view.multi_function || view.multi_function_guessed) {
            self.add_isolation(index, depends_on);
        }
        if !view.multi_function {
            return None;
        }
        let late = self.is_late(index);
        if self.linux.isolation(index).isolates && !late {
            return None;
        }
        for other in slot.filter(|other| *other != index && !self.linux.is_ungrouped(*other)) {
            self.add_isolation(other, depends_on);
            let other_late = self.is_late(other);
            if self.linux.isolation(other).isolates && !other_late {
                continue;
            }
            if late || other_late {
                // As dumped it isolates; it may not have when its siblings were grouped.
                let mut seen = *seen;
                if self.alias_group(other, &mut seen, depends_on).is_some() {
                    depends_on.insert(Dependency::EnabledLate(if late { index } else { other }));
                }
                continue;
            }
            if let Some((group, _, _)) = self.alias_group(other, seen, depends_on) {
                return Some((group, other, Cause::MultiFunction));
            }
        }
        None
    }

    /// Whether the function isolates by controls that the kernel has yet to turn on: recent kernels do so
    /// just before they group it. Source: Linux 7.3.4, drivers/iommu/iommu.c, `iommu_init_device`;
    /// drivers/pci/pci-driver.c, `pci_dma_configure`. Kernels before 6.15 do so when they find it.
    fn is_late(&self, index: FunctionIndex) -> bool {
        let by_enabling = match self.linux.isolation(index).basis {
            Basis::Registers { control, .. } | Basis::WideRegisters { control, .. } => {
                control.intersects(REQUIRED)
            }
            _ => false,
        };
        by_enabling
            && index != self.assigning
            && self.group(index).is_none()
            && self.linux.isolation(index).isolates
    }

    /// Sorts, and lets a guess about one function count for that function's own group too: had it
    /// been wrong, others would have joined there.
    fn finish(mut self) -> Grouping {
        let mut carried = Vec::new();
        let mut unowned = None;
        for group in &self.groups {
            for dependency in &group.depends_on {
                match dependency {
                    Dependency::Isolation(index, _) | Dependency::BridgeType(index) => {
                        carried.extend(self.group(*index).map(|target| (target, *dependency)));
                    }
                    Dependency::Requester(_) => unowned = unowned.or(Some(*dependency)),
                    _ => {}
                }
            }
        }
        // Any function that could own such a segment may be in a larger group.
        if let Some(dependency) = unowned {
            let owners = self.possible_owners.iter().filter_map(|index| self.group(*index));
            carried.extend(owners.map(|target| (target, dependency)));
        }
        for (target, dependency) in carried {
            if let Some(group) = self.groups.get_mut(target) {
                group.depends_on.insert(dependency);
            }
        }
        for group in &mut self.groups {
            group.functions.sort_unstable();
        }
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order
            .sort_unstable_by_key(|group| self.groups.get(*group).and_then(|g| g.functions.first().copied()));
        let mut renumbered = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            if let Some(slot) = renumbered.get_mut(*old) {
                *slot = new;
            }
        }
        for slot in self.group_of.iter_mut().flatten() {
            *slot = renumbered.get(*slot).copied().unwrap_or(*slot);
        }
        let groups = order.iter().filter_map(|old| self.groups.get_mut(*old).map(core::mem::take)).collect();
        Grouping { groups, group_of: self.group_of }
    }
}
