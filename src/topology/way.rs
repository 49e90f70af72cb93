//! Ways down from the root: where a function stands, whatever numbers its buses have.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::{BusIndex, FunctionIndex, Kind, Parent, Topology};
use crate::addr::Segment;

/// Segment, the name of the bus that no bridge leads to, then device and function number of each bridge on
/// the way and of the function. A virtual function's way is that of its physical function, and [`VIRTUAL`]
/// with how far its routing ID is from that one's.
pub(crate) type Way = Vec<u32>;

/// Marks the name of a bus to which a bridge should lead, but none in the dump does.
pub(crate) const ORPHAN: u32 = 1 << 16;
/// Marks the last part of a virtual function's way.
pub(crate) const VIRTUAL: u32 = 1 << 20;

/// The buses that ways start from, by segment and whether a bridge should lead to them, in their order.
pub(crate) fn starts(topology: &Topology) -> BTreeMap<(Segment, bool), Vec<BusIndex>> {
    let mut starts: BTreeMap<_, Vec<BusIndex>> = BTreeMap::new();
    for (index, bus) in topology.buses().iter().enumerate() {
        let is_orphan = match bus.parent {
            Parent::Bridge(_) | Parent::VirtualFunctions(_) => continue,
            Parent::Root => false,
            Parent::Orphan(_) => true,
        };
        starts.entry((bus.segment, is_orphan)).or_default().push(index);
    }
    starts
}

/// The way of each function. `names` has the names of the buses that ways start from, below [`ORPHAN`].
pub(crate) fn ways(topology: &Topology, names: &BTreeMap<BusIndex, u32>) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::with_capacity(topology.functions().len());
    for (index, function) in topology.functions().iter().enumerate() {
        let address = function.address;
        // Bridges come before what is below them, physical functions before what they have.
        let known = |above: usize| ways.get(above).cloned();
        let (above, step) = match (physical(topology, index), topology.parent_of(index)) {
            (Some(physical), _) => {
                let of = topology.address(physical).map_or(0, |of| of.bdf.to_bits());
                (known(physical), VIRTUAL | u32::from(address.bdf.to_bits().wrapping_sub(of)))
            }
            (None, Parent::Bridge(bridge)) => (known(bridge), u32::from(address.bdf.devfn())),
            (None, _) => (None, u32::from(address.bdf.devfn())),
        };
        let mut way = above.unwrap_or_else(|| {
            let bus = topology.bus_of(index);
            let name = bus.and_then(|bus| names.get(&bus)).copied().unwrap_or_default();
            let mark = if topology.on_root_bus(index) { 0 } else { ORPHAN };
            vec![address.segment.0, mark | name]
        });
        way.push(step);
        ways.push(way);
    }
    ways
}

/// The physical function of a virtual one; of one of which it is not known, that of its neighbours on a bus of
/// virtual functions.
fn physical(topology: &Topology, index: FunctionIndex) -> Option<FunctionIndex> {
    let of = |index| match topology.kind(index) {
        Kind::Virtual(physical) => Some(physical),
        Kind::Ordinary | Kind::Physical | Kind::VirtualOfUnknown => None,
    };
    of(index).or_else(|| match topology.parent_of(index) {
        Parent::VirtualFunctions(_) => of(topology.on_bus(topology.bus_of(index)?).start),
        _ => None,
    })
}
