//! Buses and their parents.

use alloc::vec::Vec;
use core::ops::Range;

use super::vf::{VirtualFunctions, place_virtual_functions};
use super::{Bus, BusIndex, Kind, Kinds, Parent, Topology, check};
use crate::addr::{BusRange, Segment};
use crate::cap::pcie::DevicePortType;
use crate::config::ClassCode;
use crate::function::{Function, Inventory};

/// Builds the topology: virtual functions first, because what a bus is depends on them.
pub(super) fn build(inventory: Inventory) -> Topology {
    let VirtualFunctions { kinds, missing } = place_virtual_functions(&inventory);
    let mut buses = split_by_bus(inventory.functions());
    let mut bus_of = Vec::with_capacity(inventory.functions().len());
    for (index, bus) in buses.iter().enumerate() {
        bus_of.resize(bus.end, u32::try_from(index).unwrap_or(u32::MAX));
    }
    let bridges = Bridges::new(inventory.functions());
    for index in 0..buses.len() {
        let Some(bus) = buses.get(index).copied() else { break };
        let parent = parent_of(&bus, &bridges, &inventory, &kinds, &bus_of);
        if let Some(bus) = buses.get_mut(index) {
            bus.parent = parent;
        }
    }
    let defects = check::bus_defects(inventory.functions(), &buses, &bus_of);
    Topology { inventory, buses, bus_of, kinds, missing_vfs: missing, defects }
}

/// One bus for each run of functions with equal segment and bus number.
fn split_by_bus(functions: &[Function]) -> Vec<Bus> {
    let mut buses: Vec<Bus> = Vec::new();
    for (index, function) in functions.iter().enumerate() {
        let (segment, number) = (function.address.segment, function.address.bus());
        match buses.last_mut() {
            Some(bus) if bus.segment == segment && bus.number == number => {
                bus.end = index.saturating_add(1);
            }
            _ => buses.push(Bus {
                segment,
                number,
                parent: Parent::Orphan(None),
                first: index,
                end: index.saturating_add(1),
            }),
        }
    }
    buses
}

/// The bridges by where they lead.
struct Bridges {
    /// Segment, bus range, index of the bridge; sorted, so that among bridges with one secondary
    /// number and one range the one with the lowest address comes first.
    by_secondary: Vec<(Segment, BusRange, usize)>,
}

impl Bridges {
    /// The bridges that lead to a bus above the one they stand on, as every bridge must.
    fn new(functions: &[Function]) -> Self {
        let mut by_secondary: Vec<_> = functions
            .iter()
            .enumerate()
            .filter_map(|(index, function)| Some((function.address, function.bus_range()?, index)))
            .filter(|(address, range, _)| range.secondary > address.bus())
            .map(|(address, range, index)| (address.segment, range, index))
            .collect();
        by_secondary.sort_unstable_by_key(|(segment, range, index)| (*segment, range.secondary, *index));
        Self { by_secondary }
    }

    /// The bridge whose secondary bus this is; the one with the lowest address of several.
    fn leading_to(&self, segment: Segment, bus: u8) -> Option<usize> {
        let at = self.by_secondary.partition_point(|(s, range, _)| (*s, range.secondary) < (segment, bus));
        let (found, range, index) = self.by_secondary.get(at)?;
        ((*found, range.secondary) == (segment, bus)).then_some(*index)
    }

    /// The bridge with the tightest bus range around this bus.
    fn around(&self, segment: Segment, bus: u8) -> Option<usize> {
        let from = self.by_secondary.partition_point(|(s, _, _)| *s < segment);
        let of_segment =
            self.by_secondary.get(from..).unwrap_or_default().iter().take_while(|(s, _, _)| *s == segment);
        of_segment
            .filter(|(_, range, _)| range.contains(bus))
            .min_by_key(|(_, range, index)| (range.subordinate.saturating_sub(range.secondary), *index))
            .map(|(_, _, index)| *index)
    }
}

fn parent_of(bus: &Bus, bridges: &Bridges, inventory: &Inventory, kinds: &Kinds, bus_of: &[u32]) -> Parent {
    if inventory.host_bridge_at(bus.segment, bus.number).is_some() {
        return Parent::Root;
    }
    if let Some(bridge) = bridges.leading_to(bus.segment, bus.number) {
        return Parent::Bridge(bridge);
    }
    let range = bus.first..bus.end;
    let functions = inventory.functions().get(range.clone()).unwrap_or_default();
    if let Some(physical_bus) = spilled_from(range, kinds, bus_of) {
        return Parent::VirtualFunctions(physical_bus);
    }
    if bus.number == 0 || functions.iter().any(stands_on_a_root_bus) {
        return Parent::Root;
    }
    Parent::Orphan(bridges.around(bus.segment, bus.number))
}

/// Where all functions of a bus are virtual ones of a physical function on a lower bus: that bus.
fn spilled_from(mut bus: Range<usize>, kinds: &Kinds, bus_of: &[u32]) -> Option<BusIndex> {
    let Kind::Virtual(physical) = kinds.get(bus.start) else { return None };
    let physical_bus = bus_of.get(physical).map(|bus| *bus as BusIndex);
    bus.all(|index| kinds.get(index).is_virtual()).then_some(physical_bus)?
}

/// Whether such a function is found on root buses only.
fn stands_on_a_root_bus(function: &Function) -> bool {
    let host_bridge = function.answers && function.class.class() == ClassCode::HOST_BRIDGE;
    let port_type = function.port_type();
    // A host bridge class on something that has a link is a mistake of the device.
    (host_bridge && !matches!(port_type, Some(DevicePortType::Endpoint | DevicePortType::LegacyEndpoint)))
        || matches!(
            port_type,
            Some(
                DevicePortType::RootPort
                    | DevicePortType::RootComplexIntegratedEndpoint
                    | DevicePortType::RootComplexEventCollector
            )
        )
}
