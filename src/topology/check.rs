//! What is wrong with the bus numbers as a whole; what is wrong within one bridge is an
//! [`Anomaly`](crate::anomaly::Anomaly).

use alloc::vec::Vec;

use super::{Bus, BusIndex, FunctionIndex, Parent};
use crate::addr::BusRange;
use crate::function::Function;

/// Bus numbers of two bridges that contradict each other, or a bus that nothing leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusDefect {
    /// Two bridges on one bus claim the same secondary bus; the second is not used.
    Repeated(FunctionIndex, FunctionIndex),
    /// The ranges of two bridges on one bus overlap.
    Overlap(FunctionIndex, FunctionIndex),
    /// The range of the second bridge, which is below the first, leaves that of the first.
    Escapes(FunctionIndex, FunctionIndex),
    /// Nothing in the dump leads to this bus.
    Orphan(BusIndex),
}

/// Goes over the bridges once, siblings side by side.
pub(super) fn bus_defects(functions: &[Function], buses: &[Bus], bus_of: &[u32]) -> Vec<BusDefect> {
    let mut defects = Vec::new();
    for (index, bus) in buses.iter().enumerate() {
        if let Parent::Orphan(_) = bus.parent {
            defects.push(BusDefect::Orphan(index));
        }
    }
    let mut bridges: Vec<(BusIndex, BusRange, FunctionIndex)> = Vec::new();
    for (index, function) in functions.iter().enumerate() {
        let (Some(range), Some(bus)) = (function.bus_range(), bus_of.get(index)) else { continue };
        let bus = *bus as BusIndex;
        let configured = range.secondary > function.address.bus() && !range.is_reversed();
        if configured {
            bridges.push((bus, range, index));
            escape(functions, buses, bus, range, index, &mut defects);
        }
    }
    bridges.sort_unstable();
    // Along one bus, the bridge whose range reaches furthest so far.
    let mut furthest: Option<(BusIndex, BusRange, FunctionIndex)> = None;
    for (bus, range, index) in bridges {
        match furthest {
            Some((last_bus, last, other)) if last_bus == bus => {
                if last.secondary == range.secondary {
                    defects.push(BusDefect::Repeated(other, index));
                } else if last.overlaps(range) {
                    defects.push(BusDefect::Overlap(other, index));
                }
                if range.subordinate > last.subordinate {
                    furthest = Some((bus, range, index));
                }
            }
            _ => furthest = Some((bus, range, index)),
        }
    }
    defects
}

fn escape(
    functions: &[Function],
    buses: &[Bus],
    bus: BusIndex,
    range: BusRange,
    index: FunctionIndex,
    defects: &mut Vec<BusDefect>,
) {
    let Some(Parent::Bridge(above)) = buses.get(bus).map(|bus| bus.parent) else { return };
    let outer = functions.get(above).and_then(Function::bus_range);
    if outer.is_some_and(|outer| !outer.contains(range.secondary) || !outer.contains(range.subordinate)) {
        defects.push(BusDefect::Escapes(above, index));
    }
}
