//! Signs of a bridge that hides itself, or of a port that the dump lacks.
//!
//! Hardware can hold bridges that software cannot see, and a hypervisor may show an endpoint without its
//! port. What stands between such a function and the rest is not known.

use alloc::vec::Vec;

use super::{FunctionIndex, Kind, Parent, Topology};
use crate::anomaly::Presence;
use crate::cap::pcie::DevicePortType;

/// What is odd about where a function stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HiddenBridge {
    /// A PCIe endpoint on a bus that no root port, downstream port or PCI-to-PCIe bridge leads to.
    EndpointWithoutPort,
    /// A switch downstream port that does not stand on the secondary bus of an upstream port.
    DownstreamPortMisplaced,
    /// A switch upstream port without downstream ports on its secondary bus.
    UpstreamPortWithoutDownstreamPorts,
    /// A function above 0 of a device whose function 0 is not in the dump, though every device has one.
    FunctionZeroMissing,
    /// A device number above 0 below a port whose link has room for one device, and ARI is off.
    DeviceNumberBelowLink,
    /// A conventional function directly below a PCIe port.
    ConventionalBelowPciePort,
}

impl Topology {
    /// The functions that stand oddly, by sign and then by address.
    #[must_use]
    pub fn hidden_bridges(&self) -> Vec<(HiddenBridge, FunctionIndex)> {
        let mut found = Vec::new();
        for index in 0..self.functions().len() {
            found.extend(self.sign(index).map(|sign| (sign, index)));
        }
        found.sort_unstable();
        found
    }

    fn sign(&self, index: FunctionIndex) -> Option<HiddenBridge> {
        let function = self.function(index)?;
        if self.kind(index).is_virtual() || !function.answers {
            return None;
        }
        let bdf = function.address.bdf;
        let in_slot = self.in_slot(index);
        // With ARI only the first slot of the bus has a function 0.
        let ari = self.bus_of(index).is_some_and(|bus| self.uses_ari(bus) != Some(false));
        let alone = self.function(in_slot.start).is_some_and(|first| first.address.bdf.function() > 0);
        if alone && in_slot.start == index && (bdf.device() == 0 || !ari || function.pcie.is_absent()) {
            return Some(HiddenBridge::FunctionZeroMissing);
        }
        let above = match self.parent_of(index) {
            Parent::Bridge(bridge) => Some(self.function(bridge)?),
            Parent::Root => None,
            // That the bridge is missing is told of the bus.
            Parent::Orphan(_) | Parent::VirtualFunctions(_) => return None,
        };
        let type_above = above.and_then(|above| above.port_type());
        if above.is_some_and(|above| above.pcie.is_not_captured()) {
            return None;
        }
        let leads_by_link = matches!(
            type_above,
            Some(
                DevicePortType::RootPort
                    | DevicePortType::SwitchDownstreamPort
                    | DevicePortType::PciToPcieBridge
            )
        );
        match function.pcie {
            Presence::NotCaptured => None,
            Presence::Absent => (leads_by_link).then_some(HiddenBridge::ConventionalBelowPciePort),
            Presence::Present(pcie) => match pcie.port_type() {
                DevicePortType::Endpoint | DevicePortType::LegacyEndpoint if !leads_by_link => {
                    Some(HiddenBridge::EndpointWithoutPort)
                }
                // Linux takes a downstream port below a downstream port as an upstream port.
                DevicePortType::SwitchDownstreamPort
                    if !leads_by_link && type_above != Some(DevicePortType::SwitchUpstreamPort) =>
                {
                    Some(HiddenBridge::DownstreamPortMisplaced)
                }
                DevicePortType::SwitchUpstreamPort if !self.has_downstream_ports(index) => {
                    Some(HiddenBridge::UpstreamPortWithoutDownstreamPorts)
                }
                _ if leads_by_link && function.address.bdf.device() > 0 => {
                    let ari = self.bus_of(index).and_then(|bus| self.uses_ari(bus));
                    (ari == Some(false)).then_some(HiddenBridge::DeviceNumberBelowLink)
                }
                _ => None,
            },
        }
    }

    /// Whether it is function 0 of a multi-function device (Header Type bit 7) without another function of that
    /// device in the dump. With ARI, or where the dump does not tell whether it is in use, every other function of
    /// the bus may be of the device.
    #[must_use]
    pub fn lacks_siblings(&self, index: FunctionIndex) -> bool {
        let (Some(function), Some(bus)) = (self.function(index), self.bus_of(index)) else { return false };
        let says_several = function.answers && function.header_type.multi_function();
        if !says_several || function.address.bdf.function() > 0 || self.kind(index).is_virtual() {
            return false;
        }
        let may_be_of_it = match self.uses_ari(bus) {
            Some(false) => self.in_slot(index),
            _ => self.on_bus(bus),
        };
        // Virtual functions do not make a device one of several functions.
        may_be_of_it.into_iter().all(|other| other == index || matches!(self.kind(other), Kind::Virtual(_)))
    }

    fn has_downstream_ports(&self, upstream: FunctionIndex) -> bool {
        let Some(function) = self.function(upstream) else { return false };
        let Some(range) = function.bus_range() else { return false };
        let key = (function.address.segment, range.secondary);
        let Ok(bus) = self.buses().binary_search_by_key(&key, |bus| (bus.segment, bus.number)) else {
            return false;
        };
        self.on_bus(bus).any(|index| {
            let found = self.function(index);
            // One whose type is not known may be one.
            found.is_some_and(|f| {
                f.pcie.is_not_captured()
                    || matches!(
                        f.port_type(),
                        Some(DevicePortType::SwitchDownstreamPort | DevicePortType::SwitchUpstreamPort)
                    )
            })
        })
    }
}
