//! What a function has in force that the routing model names and does not follow.

use alloc::boxed::Box;

use super::Function;
use super::decode::{self, Extras};
use super::regular::Standard;
use crate::cap::ea::EnhancedAllocation;
use crate::cap::fpb::Fpb;
use crate::cap::pcie::Pcie;
use crate::config::{ConfigSpace, HeaderLayout, Source};

/// Registers that change where transactions go, or whether they do, beside those that routing follows. Each
/// is kept only where it is in force, or was found and not captured.
///
/// Source: PCIe Base 6.x, §7.5.3.16 "Device Control 2 Register", §7.5.1.3.13 "Bridge Control Register"; for
/// the structures see [`crate::cap::fpb`] and [`crate::cap::ea`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Beyond {
    /// Flattening Portal Bridge of which a mechanism decodes, or may.
    pub flattening_portal: Option<Fpb>,
    /// Enhanced Allocation with an entry that is enabled, with fixed bus numbers, or not captured.
    pub enhanced_allocation: Option<EnhancedAllocation>,
    /// Device Control 2 of a port with AtomicOp Egress Blocking (bit 7) set: its offset, and the register.
    pub device_control_2: Option<(u16, u16)>,
    /// Bridge Control, where VGA Enable (bit 3) or ISA Enable (bit 2) is set.
    pub bridge_control: Option<u16>,
}

impl Beyond {
    /// AtomicOp Egress Blocking, Device Control 2 bit 7.
    pub const ATOMIC_OP_EGRESS_BLOCKING: u16 = 1 << 7;
    /// ISA Enable, Bridge Control bit 2: the last 768 bytes of each KiB of I/O below 64 KiB stay above.
    pub const ISA_ENABLE: u16 = 1 << 2;
    /// VGA Enable, Bridge Control bit 3: VGA's addresses go down whatever the windows say.
    pub const VGA_ENABLE: u16 = 1 << 3;
    /// VGA 16-bit Decode, Bridge Control bit 4: VGA's I/O addresses are decoded in full.
    pub const VGA_16_BIT: u16 = 1 << 4;

    /// Whether VGA's addresses go down.
    #[must_use]
    pub fn forwards_vga(&self) -> bool {
        self.bridge_control.is_some_and(|control| control & Self::VGA_ENABLE != 0)
    }

    /// Whether ISA's I/O addresses stay above.
    #[must_use]
    pub fn keeps_isa(&self) -> bool {
        self.bridge_control.is_some_and(|control| control & Self::ISA_ENABLE != 0)
    }
}

/// Whether a function that is no bridge may have some of them. Most have Enhanced Allocation without an entry, if
/// they have it at all.
#[inline(always)]
pub(super) fn leads_beyond<S: Source>(config: &ConfigSpace<S>, standard: Standard) -> bool {
    let has_entries = |at: u8| EnhancedAllocation::entries(config, at) != Some(0);
    standard.flattening_portal().is_some() || standard.enhanced_allocation().is_some_and(has_entries)
}

/// Reads them of a bridge, or of a function in whose standard list one of the structures was found.
#[inline(never)]
pub(super) fn read<S: Source>(
    config: &ConfigSpace<S>,
    standard: Standard,
    function: &Function,
    extras: &mut Option<Box<Extras>>,
) {
    let mut beyond = Beyond::default();
    if let Some(at) = standard.flattening_portal() {
        let fpb = Fpb::read(config, at);
        let known = [fpb.decodes_rids(), fpb.decodes_memory()];
        beyond.flattening_portal = (known != [Some(false); 2]).then_some(fpb);
    }
    if let Some(at) = standard.enhanced_allocation() {
        // A CardBus bridge has no double word of bus numbers there.
        let has_buses = function.header_type.layout() == HeaderLayout::Type1;
        let ea = EnhancedAllocation::read(config, at, has_buses);
        let is_in_force = !ea.stands.is_empty() || ea.fixed_buses().is_some();
        beyond.enhanced_allocation = is_in_force.then_some(ea);
    }
    if function.header_type.layout() == HeaderLayout::Type1 {
        let view = standard.pcie().and_then(|at| Pcie::read(config, at));
        let control = view.and_then(|view| view.device_control_2());
        beyond.device_control_2 = control.filter(|(_, value)| value & Beyond::ATOMIC_OP_EGRESS_BLOCKING != 0);
        let in_force = Beyond::VGA_ENABLE | Beyond::ISA_ENABLE;
        beyond.bridge_control = config.u16(reg::BRIDGE_CONTROL).filter(|value| value & in_force != 0);
    }
    if beyond != Beyond::default() {
        decode::of(extras).beyond = beyond;
    }
}

mod reg {
    pub(super) const BRIDGE_CONTROL: u16 = 0x3e;
}
