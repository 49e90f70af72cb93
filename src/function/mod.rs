//! One decoded function: compact, owned, comparable.
//!
//! Layer 3. [`decode`] turns configuration space into a [`Function`] and what only few functions
//! have ([`Extras`]); [`Inventory`] collects the functions of a dump.

mod ahead;
mod beyond;
mod decode;
mod detail;
mod inventory;
mod pcie;
mod regular;

pub use ahead::{AHEAD, touch};
pub use beyond::Beyond;
#[cfg(feature = "testkit")]
pub(crate) use decode::decode_carefully;
pub use decode::{Decoded, Extras, decode};
pub use detail::{Detail, Listed, ListedId};
pub use inventory::{
    AcsRegisters, Attributes, HostBridge, HostUse, Inventory, Record, RegionKind, Repeat, ReservedRegion,
    Sink,
};
pub use pcie::PcieSummary;

use bitflags::bitflags;

use crate::addr::{BusRange, Sbdf};
use crate::anomaly::Presence;
use crate::cap::acs::{Acs, AcsControl};
use crate::cap::ari::Ari;
use crate::cap::ats::Ats;
use crate::cap::pcie::DevicePortType;
use crate::cap::sriov::SrIov;
use crate::config::{ClassCode, HeaderLayout, HeaderType};

/// How a walk of a capability list ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ListState {
    /// At its end: what was not found is absent.
    Complete,
    /// The next structure was not captured.
    NotCaptured,
    /// The list is broken; the anomaly says where.
    Broken,
}

/// One function of the dump: an ordinary one, a port, a physical or a virtual function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Function {
    /// Where it is.
    pub address: Sbdf,
    /// Vendor ID as the register has it: FFFFh in a virtual function.
    pub vendor_id: u16,
    /// Device ID as the register has it: FFFFh in a virtual function.
    pub device_id: u16,
    /// Subsystem vendor and subsystem ID, if `known` has them.
    subsystem: (u16, u16),
    /// Class Code.
    pub class: ClassCode,
    /// Revision ID.
    pub revision: u8,
    /// Command register.
    pub command: u16,
    /// Header Type register.
    pub header_type: HeaderType,
    /// Bytes of configuration space that were captured.
    pub captured: u16,
    /// One more than the offset of the highest captured byte.
    pub extent: u16,
    /// Whether the common header (16 bytes) was captured and is not all ones. If not, every field
    /// above but the address is 0.
    pub answers: bool,
    /// Double words 10h to 33h, if `known` has them.
    header: [u32; 9],
    /// PCI Express capability.
    pub pcie: Presence<PcieSummary>,
    /// ACS, read as the specification lays it out.
    pub acs: Presence<Acs>,
    /// The double word at +08h of the ACS structure, if `known` has it.
    acs_dword_8: u32,
    /// Bits 6:0 of an overlay's ACS Control that are not known; they read 0.
    acs_guessed: u8,
    /// ARI.
    pub ari: Presence<Ari>,
    /// ATS.
    pub ats: Presence<Ats>,
    /// How the standard capability list ended.
    pub standard_list: ListState,
    /// How the extended list ended; `Complete` for a conventional function, which has none.
    pub extended_list: ListState,
    /// Which of the private fields hold something.
    known: Known,
}

/// A scan holds one record a function, and nothing else that grows with each.
const _: () = assert!(size_of::<Function>() <= 96);

bitflags! {
    /// Which fields hold something: one byte, where an `Option` each would take four.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Known: u8 {
        const SUBSYSTEM = 1 << 0;
        const HEADER = 1 << 1;
        const ACS_DWORD_8 = 1 << 2;
        /// An overlay stands in place of what was read of ACS.
        const ACS_AS_IF = 1 << 3;
        /// A structure was found of which registers were not captured.
        const REGISTERS_MISSING = 1 << 4;
        /// It has no subsystem: a bridge without that capability.
        const NO_SUBSYSTEM = 1 << 5;
    }
}

impl Function {
    /// Subsystem vendor and subsystem ID, from the header or, in a bridge, from its capability. `None`
    /// if it has none, or they were not captured.
    #[must_use]
    pub fn subsystem(&self) -> Option<(u16, u16)> {
        self.known.contains(Known::SUBSYSTEM).then_some(self.subsystem)
    }

    /// The same, telling a bridge that has none from one of which it was not captured.
    #[must_use]
    pub fn subsystem_presence(&self) -> Presence<(u16, u16)> {
        match self.subsystem() {
            Some(ids) => Presence::Present(ids),
            None if self.known.contains(Known::NO_SUBSYSTEM) => Presence::Absent,
            None => Presence::NotCaptured,
        }
    }

    /// Double words 10h to 33h of the header as they read: BARs, bus numbers, windows. `None` if not
    /// captured; of layout 0 the Base Address registers are enough, and what is not captured behind them
    /// reads 0.
    #[must_use]
    pub fn header(&self) -> Option<[u32; 9]> {
        self.known.contains(Known::HEADER).then_some(self.header)
    }

    /// The double word at +08h of the ACS structure: egress control vector, or the control register
    /// of devices that use 32-bit registers. `None` without ACS, or if not captured.
    #[must_use]
    pub fn acs_dword_8(&self) -> Option<u32> {
        self.known.contains(Known::ACS_DWORD_8).then_some(self.acs_dword_8)
    }

    /// Secondary and subordinate bus number, if this is a bridge whose header was captured.
    #[must_use]
    pub fn bus_range(&self) -> Option<BusRange> {
        if !self.is_bridge() {
            return None;
        }
        let [_, secondary, subordinate, _] = self.bus_register()?;
        Some(BusRange { secondary, subordinate })
    }

    /// Primary bus number, if this is a bridge whose header was captured.
    #[must_use]
    pub fn primary_bus(&self) -> Option<u8> {
        if !self.is_bridge() {
            return None;
        }
        self.bus_register().map(|[primary, ..]| primary)
    }

    fn bus_register(&self) -> Option<[u8; 4]> {
        let [_, _, buses, ..] = self.header;
        self.known.contains(Known::HEADER).then_some(buses.to_le_bytes())
    }

    /// Whether the header is of layout 1 or 2: something that leads to other buses.
    #[must_use]
    pub const fn is_bridge(&self) -> bool {
        self.answers && matches!(self.header_type.layout(), HeaderLayout::Type1 | HeaderLayout::Type2)
    }

    /// Whether an overlay stands in place of what was read of ACS: nothing of it is a captured byte.
    #[must_use]
    pub const fn acs_as_if(&self) -> bool {
        self.known.contains(Known::ACS_AS_IF)
    }

    /// ACS Control bits of an overlay that are not known, and read 0.
    #[must_use]
    pub const fn acs_guessed(&self) -> AcsControl {
        AcsControl::from_bits_retain(self.acs_guessed as u16)
    }

    /// What is known of SR-IOV of a function without [`Extras`]: nothing was found.
    pub(crate) fn sriov_without_extras(&self) -> Presence<SrIov> {
        match self.pcie {
            Presence::Absent => Presence::Absent,
            Presence::Present(_) if self.extended_list == ListState::Complete => Presence::Absent,
            _ => Presence::NotCaptured,
        }
    }

    /// Other ACS registers than were read.
    fn put_acs(&mut self, registers: &AcsRegisters) -> Option<Acs> {
        let Presence::Present(acs) = &mut self.acs else { return None };
        acs.control = registers.control;
        self.acs_guessed = (registers.guessed.bits() & 0x7f) as u8;
        self.acs_dword_8 = registers.dword_8.unwrap_or_default();
        self.known.set(Known::ACS_DWORD_8, registers.dword_8.is_some());
        self.known.set(Known::ACS_AS_IF, registers.as_if);
        Some(*acs)
    }

    /// What evidence calls its ACS Control register: an overlay's value is never taken for a captured one.
    #[must_use]
    pub const fn acs_control_name(&self) -> &'static str {
        if self.acs_as_if() { "ACS Control (as if)" } else { "ACS Control" }
    }

    /// Device/Port Type as the register has it, of a PCIe function.
    #[must_use]
    pub fn port_type(&self) -> Option<DevicePortType> {
        self.pcie.present().map(|pcie| pcie.port_type())
    }

    /// Whether Vendor and Device ID read FFFFh although the function answers, as those of a virtual
    /// function do.
    #[must_use]
    pub const fn hides_its_ids(&self) -> bool {
        self.answers && self.vendor_id == 0xffff && self.device_id == 0xffff
    }

    /// Whether nothing that decoding asks for was missing: the function is proved conventional and
    /// its 256 bytes were walked, or both lists were, and every register of what they lead to was
    /// captured. A function with a reserved header layout is not known whole whatever was captured.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.answers
            && self.known.contains(Known::HEADER)
            && self.standard_list == ListState::Complete
            && self.extended_list == ListState::Complete
            && !self.known.contains(Known::REGISTERS_MISSING)
            && !matches!(self.header_type.layout(), HeaderLayout::Reserved(_))
    }
}
