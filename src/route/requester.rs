//! Whose requester ID functions behind a driver's host bridge use: Linux's VMD driver makes segments
//! whose devices send with the ID of the VMD endpoint.
//!
//! Source: Linux 7.2.13, drivers/pci/controller/vmd.c; arch/x86/pci/common.c, `pci_real_dma_dev`.

use alloc::vec::Vec;

use crate::addr::Segment;
use crate::topology::{FunctionIndex, Topology};

/// The lowest segment that a driver takes for what firmware knows nothing of. Source: Linux 7.2.13,
/// drivers/pci/controller/vmd.c, `vmd_find_free_domain`.
const FIRST_SEGMENT_OF_DRIVERS: u32 = 0x1_0000;

/// Whether only a driver makes such a segment.
pub(in crate::route) const fn is_of_driver(segment: Segment) -> bool {
    segment.0 >= FIRST_SEGMENT_OF_DRIVERS
}

/// Whose requester ID a function uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::route) enum Requester {
    /// Its own.
    Itself,
    /// This function's: the dump names it.
    Known(FunctionIndex),
    /// Another's, which the dump does not name; this one's, by the order of owners and segments.
    Unknown(Option<FunctionIndex>),
}

/// The segments that drivers made, and the functions whose drivers make some.
#[derive(Clone, Debug, Default)]
pub(in crate::route) struct DriverSegments {
    /// Sorted.
    segments: Vec<Segment>,
    /// Sorted.
    owners: Vec<FunctionIndex>,
}

impl DriverSegments {
    /// Those of a topology. `owns`: whether the driver of a function makes segments.
    pub(in crate::route) fn new(topology: &Topology, owns: impl Fn(FunctionIndex) -> bool) -> Self {
        let segments = topology.functions().iter().map(|function| function.address.segment);
        let mut segments: Vec<Segment> = segments.filter(|segment| is_of_driver(*segment)).collect();
        segments.dedup();
        if segments.is_empty() {
            return Self::default();
        }
        let owners = (0..topology.functions().len()).filter(|index| owns(*index)).collect();
        Self { segments, owners }
    }

    /// Whose requester ID a function uses that is below this root bus.
    pub(in crate::route) fn requester(
        &self,
        topology: &Topology,
        index: FunctionIndex,
        root_bus: Option<u8>,
    ) -> Requester {
        let Some(function) = topology.function(index) else { return Requester::Itself };
        let segment = function.address.segment;
        let named = root_bus.and_then(|bus| topology.inventory().host_bridge_at(segment, bus));
        if let Some(requester) = named.and_then(|bridge| bridge.requester) {
            return topology.index_of(requester).map_or(Requester::Unknown(None), Requester::Known);
        }
        if named.is_some() || !is_of_driver(segment) {
            return Requester::Itself;
        }
        Requester::Unknown(self.owner(segment))
    }

    /// The function that owns a segment, by position: the owners and such segments of the dump, both in
    /// order, if there are as many of the one as of the other.
    fn owner(&self, segment: Segment) -> Option<FunctionIndex> {
        let at = self.segments.binary_search(&segment).ok()?;
        (self.owners.len() == self.segments.len()).then(|| self.owners.get(at).copied())?
    }
}
