//! libvirt's own check: whether a function is behind a switch whose downstream ports lack ACS.
//!
//! Nothing else counts for it: no root port, no multi-function device, no database. In today's QEMU
//! driver with VFIO the check is not even asked; the Xen driver meets its error.
//!
//! Source: libvirt 11.3.0, src/util/virpci.c, `virPCIDeviceIsAssignable`,
//! `virPCIDeviceIsBehindSwitchLackingACS`, `virPCIDeviceDownstreamLacksACS`, `virPCIDeviceGetParent`.

use alloc::vec;
use alloc::vec::Vec;

use crate::anomaly::Presence;
use crate::cap::acs::AcsControl;
use crate::cap::pcie::DevicePortType;
use crate::config::{ClassCode, HeaderLayout};
use crate::topology::{FunctionIndex, Parent, Topology};

/// The controls that libvirt asks for, whether they are offered or not: Source Validation, Request
/// Redirect, Completion Redirect and Upstream Forwarding.
pub const REQUIRED: AcsControl = AcsControl::SOURCE_VALIDATION
    .union(AcsControl::REQUEST_REDIRECT)
    .union(AcsControl::COMPLETION_REDIRECT)
    .union(AcsControl::UPSTREAM_FORWARDING);

/// libvirt's answer for one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be assigned.
    Assignable,
    /// It is behind a switch; this downstream port, the first on the way up, lacks ACS. Refused by the
    /// strict check only.
    Lacking(FunctionIndex),
    /// It has no parent and is not on bus 0, which libvirt takes for an error and refuses always.
    Error,
    /// Not an ordinary function (Header Type 0), which is never assigned.
    NotAssignable,
    /// The dump does not tell whether this port on the way up lacks ACS; those below it do not.
    Unknown(FunctionIndex),
}

impl Verdict {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Assignable => "assignable",
            Self::Lacking(_) => "lacking",
            Self::Error => "error",
            Self::NotAssignable => "not-assignable",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Whether libvirt would assign the function; `strict` is the opposite of `relaxed_acs_check`.
    /// `None` if the dump does not tell.
    #[must_use]
    pub const fn assignable(self, strict: bool) -> Option<bool> {
        match self {
            Self::Assignable => Some(true),
            Self::Lacking(_) => Some(!strict),
            Self::Error | Self::NotAssignable => Some(false),
            Self::Unknown(_) if !strict => Some(true),
            Self::Unknown(_) => None,
        }
    }
}

/// libvirt's answer for one function.
#[must_use]
pub fn verdict(topology: &Topology, index: FunctionIndex) -> Verdict {
    let Some(function) = topology.function(index) else { return Verdict::Error };
    if function.answers && function.header_type.layout() != HeaderLayout::Type0 {
        return Verdict::NotAssignable;
    }
    let Some(first) = topology.bridge_above(index) else {
        return if function.address.bus() == 0 { Verdict::Assignable } else { Verdict::Error };
    };
    let (mut at, mut unknown) = (Some(first), None);
    while let Some(bridge) = at {
        match lacks_acs(topology, bridge) {
            Some(true) => return Verdict::Lacking(bridge),
            Some(false) => {}
            None => unknown = unknown.or(Some(bridge)),
        }
        at = topology.bridge_above(bridge);
    }
    unknown.map_or(Verdict::Assignable, Verdict::Unknown)
}

/// Whether a function is a switch downstream port that lacks ACS; `None` if the dump does not tell.
#[must_use]
pub fn lacks_acs(topology: &Topology, index: FunctionIndex) -> Option<bool> {
    let function = topology.function(index)?;
    match function.pcie {
        Presence::Absent => return Some(false),
        Presence::NotCaptured => return None,
        Presence::Present(pcie) => {
            let bridge = function.class.class() == ClassCode::PCI_BRIDGE;
            if !bridge || pcie.port_type() != DevicePortType::SwitchDownstreamPort {
                return Some(false);
            }
        }
    }
    match function.acs {
        Presence::Absent => Some(true),
        Presence::NotCaptured => None,
        Presence::Present(acs) => Some(!acs.control.contains(REQUIRED)),
    }
}

/// A partition that follows from the check: all that is below one switch, if one of its downstream
/// ports lacks ACS (of nested switches the topmost such counts), because what is behind that port is
/// taken to reach its peers. Everything else stands alone. libvirt itself forms no groups.
///
/// For each function the first of its part. Where the dump does not tell, a port counts as lacking.
#[must_use]
pub fn partition(topology: &Topology) -> Vec<FunctionIndex> {
    let count = topology.functions().len();
    // For each bus: the bus below the topmost switch with a port that lacks ACS.
    let mut shared: Vec<Option<usize>> = vec![None; topology.buses().len()];
    for bus in 0..shared.len() {
        let above = match topology.bus(bus).map(|bus| bus.parent) {
            Some(Parent::Bridge(bridge) | Parent::Orphan(Some(bridge))) => topology.bus_of(bridge),
            Some(Parent::VirtualFunctions(of)) => Some(of),
            _ => None,
        };
        let inherited = above.and_then(|above| shared.get(above).copied().flatten());
        let open = || {
            topology.on_bus(bus).any(|index| lacks_acs(topology, index).unwrap_or(is_bridge(topology, index)))
        };
        if let Some(slot) = shared.get_mut(bus) {
            *slot = inherited.or_else(|| open().then_some(bus));
        }
    }
    let part = |index: FunctionIndex| {
        let bus = topology.bus_of(index)?;
        let top = shared.get(bus).copied().flatten()?;
        Some(topology.on_bus(top).start)
    };
    (0..count).map(|index| part(index).unwrap_or(index)).collect()
}

fn is_bridge(topology: &Topology, index: FunctionIndex) -> bool {
    !topology.on_root_bus(index) && topology.function(index).is_some_and(crate::function::Function::is_bridge)
}
