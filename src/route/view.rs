//! What Linux derives of a function before it judges, and what the device database is asked with:
//! type, multi-function flag, subject; what is known of a database entry's conditions.

use alloc::vec::Vec;

use crate::anomaly::Presence;
use crate::cap::pcie::DevicePortType;
use crate::db::{ConditionKind, Subject};
use crate::function::{Function, ListState};
use crate::topology::{FunctionIndex, Parent, Topology};

/// A function as the kernel sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// Device/Port Type after the kernel's correction of impossible ones (`set_pcie_port_type`).
    /// `None`: no PCI Express capability (`pci_is_pcie` is false).
    pub port_type: Option<DevicePortType>,
    /// Whether the dump does not tell the type, so that it is guessed.
    pub guessed: bool,
    /// Whether the dump does not tell if ARI is in use, so that the multi-function flag is guessed.
    pub multi_function_guessed: bool,
    /// The kernel's multi-function flag (`pdev->multifunction`): bit 7 of this function's Header Type,
    /// set for every function but the first of its device, clear for virtual functions.
    pub multi_function: bool,
}

/// The views of all functions. Bridges have lower addresses than what is below them.
pub(in crate::route) fn views(topology: &Topology) -> Vec<View> {
    let count = topology.functions().len();
    let mut views: Vec<View> = Vec::with_capacity(count);
    for index in 0..count {
        views.push(view(topology, index, |above| views.get(above).copied()));
    }
    views
}

/// The view of one function. `above` has the views of functions with lower indices.
pub(in crate::route) fn view(
    topology: &Topology,
    index: FunctionIndex,
    above: impl Fn(FunctionIndex) -> Option<View>,
) -> View {
    let Some(function) = topology.function(index) else { return View::default() };
    let parent = topology.parent_of(index);
    let (port_type, guessed) = match function.pcie {
        Presence::Present(pcie) => (Some(pcie.port_type()), false),
        Presence::Absent => (None, false),
        // The kernel finds nothing in a list that is broken before the capability.
        Presence::NotCaptured if function.answers && function.standard_list == ListState::Broken => {
            (None, true)
        }
        Presence::NotCaptured => (guess(function, parent), true),
    };
    let bridge = match parent {
        Parent::Bridge(bridge) => above(bridge).and_then(|view| view.port_type),
        _ => None,
    };
    let (multi_function, multi_function_guessed) = multi_function(topology, index, function);
    let port_type = port_type.map(|port_type| corrected(port_type, bridge));
    View { port_type, guessed, multi_function, multi_function_guessed }
}

/// A type that cannot be where it is is turned into the one that can. Source: Linux 7.2.13,
/// drivers/pci/probe.c, `set_pcie_port_type`.
fn corrected(port_type: DevicePortType, bridge: Option<DevicePortType>) -> DevicePortType {
    use DevicePortType::{PciToPcieBridge, RootPort, SwitchDownstreamPort, SwitchUpstreamPort};
    match (port_type, bridge) {
        (SwitchDownstreamPort, Some(RootPort | SwitchDownstreamPort | PciToPcieBridge)) => SwitchUpstreamPort,
        (SwitchUpstreamPort, Some(SwitchUpstreamPort)) => SwitchDownstreamPort,
        _ => port_type,
    }
}

/// What a function whose capabilities were not captured most likely is.
fn guess(function: &Function, parent: Parent) -> Option<DevicePortType> {
    // Subtractive decode: bridges to conventional buses.
    let subtractive = function.class.interface == 0x01;
    match (function.is_bridge(), parent) {
        (true, _) if subtractive => None,
        (true, Parent::Root) => Some(DevicePortType::RootPort),
        (true, _) => Some(DevicePortType::SwitchDownstreamPort),
        (false, Parent::Root) => None,
        (false, _) => Some(DevicePortType::Endpoint),
    }
}

/// The flag, and whether it is a guess. Source: Linux 7.2.13, drivers/pci/probe.c, `pci_scan_slot`,
/// `pci_configure_ari`; drivers/pci/iov.c, `pci_iov_add_virtfn`.
fn multi_function(topology: &Topology, index: FunctionIndex, function: &Function) -> (bool, bool) {
    let bdf = function.address.bdf;
    if topology.kind(index).is_virtual() {
        return (false, false);
    }
    if function.pcie.is_absent() {
        return (function.header_type.multi_function() || bdf.function() > 0, false);
    }
    if function.header_type.multi_function() || bdf.function() > 0 || bdf.devfn() == 0 {
        return (function.header_type.multi_function() || bdf.function() > 0, false);
    }
    // With ARI all functions of the bus are one device, and only devfn 0 is its first. The kernel lets
    // a port forward ARI only where devfn 0 below has it.
    let Some(bus) = topology.bus_of(index) else { return (false, false) };
    match topology.uses_ari(bus) {
        Some(ari) => (ari, false),
        None => (topology.probably_uses_ari(bus), true),
    }
}

/// What the database is asked with; `None` where the IDs are not known.
pub(in crate::route) fn subject(topology: &Topology, index: FunctionIndex, view: View) -> Option<Subject> {
    let function = topology.function(index)?;
    let (vendor, device) = topology.ids(index)?;
    Some(Subject {
        vendor,
        device,
        subsystem: function.subsystem(),
        revision: function.revision,
        class: (function.class.base, function.class.sub),
        port_type: view.port_type,
        bridge: function.is_bridge(),
        multi_function: view.multi_function,
        root_bus: topology.on_root_bus(index),
        function: function.address.bdf.function(),
        acs: function.acs.present().is_some(),
    })
}

/// The best guess at whether a condition of a database entry holds for a function, and whether that is
/// certain.
pub(in crate::route) fn condition(
    topology: &Topology,
    index: FunctionIndex,
    kind: &ConditionKind,
    has_amd_iommu: bool,
) -> (bool, bool) {
    match kind {
        // An IVRS table is taken to exist where an AMD IOMMU does.
        ConditionKind::AcpiTable(name) => (name == "IVRS" && has_amd_iommu, false),
        ConditionKind::BootStep(_) => match peer_decode_window(topology, index) {
            Some(false) => (false, true),
            _ => (true, false),
        },
        ConditionKind::Other(_) => (false, false),
    }
}

/// Whether the window to the PCH's peer decode controls is open: bit 0 of the Root Complex Base
/// Address register (F0h) of the ISA bridge at device 1Fh, function 0 of the same bus. Without it the
/// kernel's step fails. Source: Linux 7.2.13, drivers/pci/quirks.c, `pci_quirk_enable_intel_lpc_acs`.
fn peer_decode_window(topology: &Topology, index: FunctionIndex) -> Option<bool> {
    let mut address = topology.function(index)?.address;
    address.bdf = address.bdf.with_devfn(ISA_BRIDGE_DEVFN);
    let isa_bridge = topology.index_of(address)?;
    let base = topology.inventory().extras(isa_bridge)?.root_complex_base?;
    Some(base & 1 != 0)
}

/// Device 1Fh, function 0.
const ISA_BRIDGE_DEVFN: u8 = 0x1f << 3;
