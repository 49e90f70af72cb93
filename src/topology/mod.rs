//! How the functions of a dump hang together: buses, parents, virtual functions, orphans.
//!
//! Layer 4. Built from bus numbers alone, as software sees them. A bus's parent is the bridge whose
//! Secondary Bus Number equals it and stands on a lower bus, so that the structure is a forest
//! whatever the registers say: following parents ends after at most 255 steps.
//!
//! Sources: PCIe Base 6.x, §7.3.1 "Device Number" and §7.5.1.3.3 "Secondary Bus Number Register";
//! §9.2.1.2 "VF Discovery".

mod build;
mod check;
mod sign;
pub mod stable;
mod vf;
pub(crate) mod way;

pub use check::BusDefect;
pub use sign::HiddenBridge;

use alloc::vec;
use alloc::vec::Vec;

use crate::addr::{Bdf, Sbdf, Segment};
use crate::anomaly::Presence;
use crate::cap::sriov::SrIov;
use crate::db::Slot;
use crate::function::{AcsRegisters, Function, Inventory};

/// Index of a function in [`Topology::functions`].
pub type FunctionIndex = usize;
/// Index of a bus in [`Topology::buses`].
pub type BusIndex = usize;

/// What leads to a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// It is a root bus: directly below a host bridge.
    Root,
    /// The bridge with this Secondary Bus Number.
    Bridge(FunctionIndex),
    /// No bridge: virtual functions spilled onto it from the bus of their physical function.
    VirtualFunctions(BusIndex),
    /// The dump lacks the bridge, or it is hidden. The bridge with the tightest bus range around it,
    /// if any, is above it.
    Orphan(Option<FunctionIndex>),
}

/// One bus with at least one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bus {
    /// Its segment.
    pub segment: Segment,
    /// Its number.
    pub number: u8,
    /// What leads to it.
    pub parent: Parent,
    /// Index of its first function.
    first: FunctionIndex,
    /// One more than the index of its last function.
    end: FunctionIndex,
}

/// What kind of function one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Neither of the following.
    Ordinary,
    /// A physical function: it has SR-IOV.
    Physical,
    /// A virtual function of this physical function.
    Virtual(FunctionIndex),
    /// Its IDs read FFFFh as a virtual function's do, but no physical function in the dump places one
    /// here.
    VirtualOfUnknown,
}

impl Kind {
    /// Whether it is a virtual function, of a known physical function or not.
    #[must_use]
    pub const fn is_virtual(self) -> bool {
        matches!(self, Self::Virtual(_) | Self::VirtualOfUnknown)
    }
}

/// The kind of each function, in four bytes: a scan holds tens of thousands.
#[derive(Clone, Debug)]
struct Kinds(Vec<u32>);

impl Kinds {
    const ORDINARY: u32 = u32::MAX;
    const PHYSICAL: u32 = u32::MAX - 1;
    const VIRTUAL_OF_UNKNOWN: u32 = u32::MAX - 2;

    /// All ordinary.
    fn new(count: usize) -> Self {
        Self(vec![Self::ORDINARY; count])
    }

    fn get(&self, index: FunctionIndex) -> Kind {
        match self.0.get(index).copied().unwrap_or(Self::ORDINARY) {
            Self::ORDINARY => Kind::Ordinary,
            Self::PHYSICAL => Kind::Physical,
            Self::VIRTUAL_OF_UNKNOWN => Kind::VirtualOfUnknown,
            physical => Kind::Virtual(physical as FunctionIndex),
        }
    }

    /// Says what a function is that was ordinary so far; whether it was.
    fn settle(&mut self, index: FunctionIndex, kind: Kind) -> bool {
        let Some(slot) = self.0.get_mut(index).filter(|slot| **slot == Self::ORDINARY) else { return false };
        *slot = match kind {
            Kind::Ordinary => Self::ORDINARY,
            Kind::Physical => Self::PHYSICAL,
            Kind::VirtualOfUnknown => Self::VIRTUAL_OF_UNKNOWN,
            Kind::Virtual(physical) => u32::try_from(physical).unwrap_or(Self::VIRTUAL_OF_UNKNOWN),
        };
        true
    }
}

/// The functions of a dump, and how they hang together.
#[derive(Clone, Debug)]
pub struct Topology {
    inventory: Inventory,
    buses: Vec<Bus>,
    /// For each function: its bus.
    bus_of: Vec<u32>,
    kinds: Kinds,
    /// Virtual functions that are enabled but not in the dump: physical function and how many.
    missing_vfs: Vec<(FunctionIndex, u16)>,
    defects: Vec<BusDefect>,
}

impl Topology {
    /// Builds the topology of an inventory in one pass over its sorted functions.
    #[must_use]
    pub fn new(inventory: Inventory) -> Self {
        build::build(inventory)
    }

    /// The inventory that it was built from.
    #[must_use]
    pub const fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The inventory again, to be changed.
    #[must_use]
    pub fn into_inventory(self) -> Inventory {
        self.inventory
    }

    /// Puts other ACS registers in place of a function's: how functions hang together does not depend on
    /// them.
    pub fn set_acs_registers(&mut self, index: FunctionIndex, registers: AcsRegisters) {
        self.inventory.set_acs_registers(index, registers);
    }

    /// Forgets what the running kernel made of the machine.
    pub fn forget_kernel_groups(&mut self) {
        self.inventory.forget_kernel_groups();
    }

    /// The functions, sorted by address.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        self.inventory.functions()
    }

    /// The function with this index.
    #[must_use]
    pub fn function(&self, index: FunctionIndex) -> Option<&Function> {
        self.functions().get(index)
    }

    /// Address of a function.
    #[must_use]
    pub fn address(&self, index: FunctionIndex) -> Option<Sbdf> {
        self.function(index).map(|function| function.address)
    }

    /// Index of the function at `address`.
    #[must_use]
    pub fn index_of(&self, address: Sbdf) -> Option<FunctionIndex> {
        self.inventory.index_of(address)
    }

    /// The buses that have functions, sorted by segment and number: parents before children.
    #[must_use]
    pub fn buses(&self) -> &[Bus] {
        &self.buses
    }

    /// The bus with this index.
    #[must_use]
    pub fn bus(&self, index: BusIndex) -> Option<&Bus> {
        self.buses.get(index)
    }

    /// Index of the bus of a function.
    #[must_use]
    pub fn bus_of(&self, index: FunctionIndex) -> Option<BusIndex> {
        self.bus_of.get(index).map(|bus| *bus as BusIndex)
    }

    /// What leads to the bus of a function.
    #[must_use]
    pub fn parent_of(&self, index: FunctionIndex) -> Parent {
        self.bus_of(index).and_then(|bus| self.bus(bus)).map_or(Parent::Orphan(None), |bus| bus.parent)
    }

    /// Indices of the functions on a bus, virtual ones included.
    #[must_use]
    pub fn on_bus(&self, bus: BusIndex) -> core::ops::Range<FunctionIndex> {
        self.bus(bus).map_or(0..0, |bus| bus.first..bus.end)
    }

    /// Indices of the functions with the same segment, bus and device number, itself included. Below
    /// a port that forwards ARI that is an arbitrary slice of a device; Linux looks at it anyway.
    #[must_use]
    pub fn in_slot(&self, index: FunctionIndex) -> core::ops::Range<FunctionIndex> {
        let (Some(function), Some(bus)) = (self.function(index), self.bus_of(index)) else { return 0..0 };
        let range = self.on_bus(bus);
        let slot = function.address.bdf.devfn() >> 3;
        let on_bus = self.functions().get(range.clone()).unwrap_or_default();
        let from = on_bus.partition_point(|other| other.address.bdf.devfn() >> 3 < slot);
        let to = on_bus.partition_point(|other| other.address.bdf.devfn() >> 3 <= slot);
        range.start.saturating_add(from)..range.start.saturating_add(to)
    }

    /// The bridge above a function: that which leads to its bus (of virtual functions that spilled over,
    /// their physical function's), or where the dump lacks it, the tightest around it.
    #[must_use]
    pub fn bridge_above(&self, index: FunctionIndex) -> Option<FunctionIndex> {
        let mut parent = self.parent_of(index);
        if let Parent::VirtualFunctions(of) = parent {
            parent = self.bus(of)?.parent;
        }
        match parent {
            Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) => Some(bridge),
            Parent::Root | Parent::Orphan(None) | Parent::VirtualFunctions(_) => None,
        }
    }

    /// The bridges above a function, from the nearest up.
    pub fn bridges_above(&self, index: FunctionIndex) -> impl Iterator<Item = FunctionIndex> + '_ {
        core::iter::successors(self.bridge_above(index), |bridge| self.bridge_above(*bridge))
    }

    /// The function in a place of the hierarchy.
    #[must_use]
    pub fn in_place(&self, slot: &Slot) -> Option<FunctionIndex> {
        let mut address = slot.start;
        for hop in &slot.hops {
            let bridge = self.function(self.index_of(address)?)?;
            address.bdf = Bdf::from_bits(u16::from(bridge.bus_range()?.secondary) << 8 | u16::from(*hop));
        }
        self.index_of(address)
    }

    /// The place of a function: its way down from a root bus, which stays the same when buses are
    /// renumbered. `None` if it does not stand below a root bus, bridge by bridge: the dump lacks one, or
    /// it is a virtual function on a bus of its own.
    #[must_use]
    pub fn place_of(&self, index: FunctionIndex) -> Option<Slot> {
        let mut hops = Vec::new();
        let mut at = index;
        loop {
            let start = self.address(at)?;
            match self.parent_of(at) {
                Parent::Root => {
                    hops.reverse();
                    return Some(Slot { start, hops });
                }
                Parent::Bridge(bridge) => {
                    hops.push(start.bdf.devfn());
                    at = bridge;
                }
                Parent::VirtualFunctions(_) | Parent::Orphan(_) => return None,
            }
        }
    }

    /// What kind of function it is.
    #[must_use]
    pub fn kind(&self, index: FunctionIndex) -> Kind {
        self.kinds.get(index)
    }

    /// The SR-IOV structure of a function.
    #[must_use]
    pub fn sriov(&self, index: FunctionIndex) -> Presence<SrIov> {
        match self.inventory.extras(index) {
            Some(extras) => extras.sriov,
            None => self.function(index).map_or(Presence::NotCaptured, Function::sriov_without_extras),
        }
    }

    /// Vendor and device ID: a virtual function's are its physical function's Vendor ID and VF Device
    /// ID. `None` if they are not known.
    #[must_use]
    pub fn ids(&self, index: FunctionIndex) -> Option<(u16, u16)> {
        let function = self.function(index)?;
        match self.kind(index) {
            Kind::Virtual(physical) => {
                let vendor = self.function(physical)?.vendor_id;
                Some((vendor, self.sriov(physical).present()?.vf_device_id))
            }
            Kind::VirtualOfUnknown => None,
            Kind::Ordinary | Kind::Physical => {
                function.answers.then_some((function.vendor_id, function.device_id))
            }
        }
    }

    /// Whether ARI is in use on a bus: the bridge above forwards it, and function 0 has it. `None` if
    /// the dump does not tell.
    #[must_use]
    pub fn uses_ari(&self, bus: BusIndex) -> Option<bool> {
        let bus = self.bus(bus)?;
        let has_ari = match self.ari_of_function_0(bus) {
            Presence::Present(()) => Some(true),
            Presence::Absent => return Some(false),
            Presence::NotCaptured => None,
        };
        let forwards = self.forwards_ari_to(bus);
        match (forwards, has_ari) {
            (Some(false), _) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    /// Where [`uses_ari`](Self::uses_ari) has no answer: the better guess. Linux lets a bridge forward
    /// ARI only where function 0 has it, and always where it can.
    #[must_use]
    pub fn probably_uses_ari(&self, bus: BusIndex) -> bool {
        self.bus(bus).is_some_and(|bus| {
            self.forwards_ari_to(bus) == Some(true) || self.ari_of_function_0(bus) == Presence::Present(())
        })
    }

    fn ari_of_function_0(&self, bus: &Bus) -> Presence<()> {
        let function_0 = self.function(bus.first).filter(|f| f.address.bdf.devfn() == 0);
        function_0.map_or(Presence::NotCaptured, |function| function.ari.map(|_| ()))
    }

    fn forwards_ari_to(&self, bus: &Bus) -> Option<bool> {
        match bus.parent {
            Parent::Bridge(bridge) => match self.function(bridge)?.pcie {
                Presence::Present(pcie) => pcie.ari_forwarding_enabled(),
                Presence::Absent => Some(false),
                Presence::NotCaptured => None,
            },
            Parent::Root => Some(false),
            Parent::VirtualFunctions(_) | Parent::Orphan(_) => None,
        }
    }

    /// Whether the function stands on a root bus.
    #[must_use]
    pub fn on_root_bus(&self, index: FunctionIndex) -> bool {
        self.parent_of(index) == Parent::Root
    }

    /// The physical functions whose enabled virtual functions are not all in the dump, and how many
    /// are missing.
    #[must_use]
    pub fn missing_vfs(&self) -> &[(FunctionIndex, u16)] {
        &self.missing_vfs
    }

    /// What is wrong with the bus numbers.
    #[must_use]
    pub fn bus_defects(&self) -> &[BusDefect] {
        &self.defects
    }
}

#[cfg(test)]
mod tests;
