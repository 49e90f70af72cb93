//! Devices: which functions belong together, so that a transaction between them need not leave.
//!
//! Functions with equal segment, bus and device number form one device. Below a port that forwards
//! ARI, where function 0 has ARI, all functions of the bus do. Virtual functions belong to their
//! physical function's device, on whatever bus they are.
//!
//! Sources: PCIe Base 6.x, §6.13 "Alternative Routing-ID Interpretation (ARI)", §9.2.1.2 "VF
//! Discovery".

use alloc::vec::Vec;

use crate::topology::{BusIndex, FunctionIndex, Kind, Topology};

/// The devices of a topology.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    /// For each function: the first function of its device.
    first: Vec<u32>,
}

impl Devices {
    /// One pass over the sorted functions.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        let mut devices = Self::with_capacity(topology.functions().len());
        for bus in 0..topology.buses().len() {
            devices.add_bus(topology, bus);
        }
        devices
    }

    pub(super) fn with_capacity(count: usize) -> Self {
        Self { first: Vec::with_capacity(count) }
    }

    /// The functions of the next bus.
    pub(super) fn add_bus(&mut self, topology: &Topology, bus: BusIndex) {
        let range = topology.on_bus(bus);
        let ari = topology.uses_ari(bus) == Some(true);
        let start = range.start;
        let functions = topology.functions().get(range.clone()).unwrap_or_default();
        let mut of_slot: Option<(u8, u32)> = None;
        for (index, function) in range.zip(functions) {
            let slot = function.address.bdf.devfn() >> 3;
            let own = match of_slot {
                Some((last, own)) if last == slot => own,
                _ => index as u32,
            };
            let device = match topology.kind(index) {
                Kind::Virtual(physical) => self.first.get(physical).copied().unwrap_or(index as u32),
                _ if ari => start as u32,
                _ => {
                    of_slot = Some((slot, own));
                    own
                }
            };
            self.first.push(device);
        }
    }

    /// The first function of a function's device: equal for two functions of one device.
    #[must_use]
    pub fn device_of(&self, index: FunctionIndex) -> FunctionIndex {
        self.first.get(index).map_or(index, |first| *first as usize)
    }

    /// The functions of a function's device, itself included, by address.
    pub fn members(&self, index: FunctionIndex) -> impl Iterator<Item = FunctionIndex> + '_ {
        let device = self.device_of(index);
        let from = self.first.get(device..).unwrap_or_default();
        let members = from.iter().zip(device..).filter(move |(first, _)| **first as usize == device);
        members.map(|(_, member)| member)
    }

    /// Whether the functions are of one device.
    #[must_use]
    pub fn same(&self, a: FunctionIndex, b: FunctionIndex) -> bool {
        self.device_of(a) == self.device_of(b)
    }

    /// Whether a function is not alone in its device, as far as the dump shows.
    #[must_use]
    pub fn is_multi_function(&self, topology: &Topology, index: FunctionIndex) -> bool {
        let device = self.device_of(index);
        let flagged = topology.function(device).is_some_and(|f| f.header_type.multi_function());
        let has_vfs = topology.sriov(device).present().is_some_and(|sriov| sriov.enabled_vfs() > 0);
        flagged || has_vfs || self.members(device).nth(1).is_some()
    }
}
