//! What else must be open for a route to work as configured: bus mastering, decoding, windows.
//!
//! Somebody who wants peer-to-peer traffic to work needs all of it; for isolation none of it counts,
//! because BARs, windows and enables can be reprogrammed.
//!
//! What takes the place of BARs and windows (Enhanced Allocation, vectors of a Flattening Portal Bridge, VGA's
//! addresses, subtractive decode) is not followed: what registers show open is open, and the rest not known.
//!
//! Source: PCIe Base 6.x, §7.5.1.1.3 "Command Register", §7.5.1.2.1 "Base Address Registers",
//! §7.5.1.3 "Type 1 Configuration Space Header"; §9.3.3.3.4 "VF MSE".

use alloc::vec::Vec;

use super::BUS_MASTER;
use crate::cap::ea::Stands;
use crate::config::{ClassCode, HeaderLayout, Type1Header};
use crate::function::{Beyond, Function};
use crate::route::Reason;
use crate::route::fabric::{Fabric, NONE};
use crate::route::port::{Decision, TlpClass};
use crate::topology::{FunctionIndex, Kind};

/// One thing that must be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gate {
    /// The function whose register it is.
    pub function: FunctionIndex,
    /// What it is.
    pub kind: GateKind,
    /// Whether it is open; `None` if the dump does not tell.
    pub open: Option<bool>,
}

/// What a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GateKind {
    /// Bus Master Enable of the initiator: it may send requests.
    InitiatorBusMaster,
    /// Bus Master Enable of a bridge on the way up: it forwards requests upstream.
    BusMaster,
    /// Memory Space Enable (for I/O requests: I/O Space Enable) of the target or, for a virtual
    /// function, VF MSE of its physical function.
    Decode,
    /// A memory (or I/O) BAR of the target with an address in it.
    Bar,
    /// Windows of a bridge on the way down that cover such a BAR.
    Window,
}

impl GateKind {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InitiatorBusMaster => "initiator-bus-master",
            Self::BusMaster => "bus-master",
            Self::Decode => "decode",
            Self::Bar => "bar",
            Self::Window => "window",
        }
    }

    const fn reason(self, class: TlpClass) -> Reason {
        match self {
            Self::InitiatorBusMaster => Reason::BusMasterOff,
            Self::BusMaster => Reason::BridgeBusMasterOff,
            Self::Decode => Reason::TargetDecodeOff,
            Self::Bar if matches!(class, TlpClass::Io) => Reason::NoIoBar,
            Self::Bar => Reason::NoMemoryBar,
            Self::Window => Reason::WindowClosed,
        }
    }
}

impl Fabric<'_> {
    /// All gates of a route that turns where `arrives` is (at the top if it is `NONE`). Completions, which are
    /// routed by ID, pass none.
    pub(in crate::route) fn gates(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        class: TlpClass,
        arrives: u32,
    ) -> Vec<Gate> {
        let mut gates = Vec::new();
        self.each_gate(from, to, class, arrives, |gate, _| gates.push(gate));
        gates
    }

    /// Why there is no way as configured, and which function's register says so. In hostile mode only a target that has no I/O BAR at all ends
    /// a route.
    pub(super) fn no_way(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        class: TlpClass,
        arrives: u32,
        hostile: bool,
    ) -> Option<(FunctionIndex, Decision)> {
        if hostile {
            return match self.has_io_bar(to) {
                Some(true) => None,
                Some(false) => Some((to, Decision::Block(Reason::NoIoBar))),
                None => {
                    let reason = self.elsewhere(to).unwrap_or(Reason::TargetNotCaptured);
                    Some((to, Decision::Undetermined(reason)))
                }
            };
        }
        let (mut closed, mut unknown) = (None, None);
        self.each_gate(from, to, class, arrives, |gate, left_open| match gate.open {
            Some(true) => {}
            Some(false) => {
                closed = closed.or(Some((gate.function, Decision::Block(gate.kind.reason(class)))));
            }
            None => {
                let (function, reason) = left_open.unwrap_or((gate.function, Reason::TargetNotCaptured));
                unknown = unknown.or(Some((function, Decision::Undetermined(reason))));
            }
        });
        closed.or(unknown)
    }

    /// Each gate, and if what is not followed may open it: of which function, and what.
    fn each_gate(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        class: TlpClass,
        arrives: u32,
        mut take: impl FnMut(Gate, Option<(FunctionIndex, Reason)>),
    ) {
        if class.is_completion() || from == to {
            return;
        }
        let (s, t) = (self.node(from as u32), self.node(to as u32));
        let unknown_way = self.way_is_unknown(s, t) || self.strays_between(from as u32, to as u32).is_some();
        // A bridge that may not be on the way closes nothing for certain.
        let on_the_way = |open: Option<bool>| if unknown_way { None } else { open };
        let bus_master = |index: FunctionIndex| {
            let function = self.topology.function(index)?;
            function.answers.then_some(function.command & BUS_MASTER != 0)
        };
        if self.topology.function(from).is_some() {
            let open = bus_master(from);
            take(Gate { function: from, kind: GateKind::InitiatorBusMaster, open }, None);
        }
        let turn = (arrives != NONE).then(|| self.node(arrives).bus);
        let mut at = self.node(from as u32);
        while at.up != NONE && at.up != to as u32 && Some(at.bus) != turn {
            let open = on_the_way(bus_master(at.up as usize));
            take(Gate { function: at.up as usize, kind: GateKind::BusMaster, open }, None);
            at = self.node(at.up);
        }
        let io = class == TlpClass::Io;
        let decoder = match self.topology.kind(to) {
            Kind::Virtual(physical) if !io => physical,
            _ => to,
        };
        take(Gate { function: decoder, kind: GateKind::Decode, open: self.decodes(to, io) }, None);
        let elsewhere = self.elsewhere(to).map(|reason| (to, reason));
        let open = match self.bars(to, io).map(|mut bars| bars.next().is_some()) {
            Some(false) if elsewhere.is_some() => None,
            open => open,
        };
        take(Gate { function: to, kind: GateKind::Bar, open }, elsewhere);
        if at.up == to as u32 {
            return;
        }
        let mut below = to as u32;
        while below != arrives && self.node(below).up != NONE {
            below = self.node(below).up;
            let function = self.topology.function(below as usize);
            let covers = || {
                let keeps_isa = self.beyond(below as usize).is_some_and(Beyond::keeps_isa);
                let windows = Windows::of(function?, io, keeps_isa)?;
                windows.cover_any(self.bars(to, io)?)
            };
            let beyond = self.beyond_windows(below as usize, io).map(|reason| (below as usize, reason));
            let beyond = beyond.or(elsewhere).filter(|_| !unknown_way);
            let open = match covers() {
                Some(false) if beyond.is_some() => None,
                open => open,
            };
            let gate = Gate { function: below as usize, kind: GateKind::Window, open: on_the_way(open) };
            take(gate, beyond);
        }
    }

    /// Whether the target decodes memory (or I/O) addresses.
    fn decodes(&self, to: FunctionIndex, io: bool) -> Option<bool> {
        if let Kind::Virtual(physical) = self.topology.kind(to) {
            return self
                .topology
                .sriov(physical)
                .present()
                .map(|sriov| !io && sriov.vf_memory_space_enable());
        }
        let function = self.topology.function(to)?;
        let bit = if io { 1 } else { 2 };
        function.answers.then_some(function.command & bit != 0)
    }

    /// What a function decodes that its BARs do not show, if there is anything.
    fn elsewhere(&self, to: FunctionIndex) -> Option<Reason> {
        let (owner, wanted) = match self.topology.kind(to) {
            Kind::Virtual(physical) => (physical, Stands::VF_BARS),
            _ => (to, Stands::BARS),
        };
        if self.beyond(owner).is_some_and(|beyond| stands(beyond, wanted)) {
            return Some(Reason::EnhancedAllocation);
        }
        // A virtual function decodes none of the legacy addresses: they are its physical function's, if anyone's
        // (PCIe Base 6.x, §9 "Single Root I/O Virtualization": it has no I/O space).
        let is_virtual = self.topology.kind(to).is_virtual();
        let is_vga = !is_virtual && VGA.contains(&self.topology.function(to)?.class.class());
        let above = self.node(to as u32).up;
        let forwards = is_vga && self.beyond(above as usize).is_some_and(Beyond::forwards_vga);
        forwards.then_some(Reason::LegacyForwarding)
    }

    /// What a bridge passes down that its windows do not show, or keeps above although they do.
    fn beyond_windows(&self, bridge: FunctionIndex, io: bool) -> Option<Reason> {
        if self.topology.function(bridge)?.class == ClassCode::SUBTRACTIVE_BRIDGE {
            return Some(Reason::SubtractiveDecode);
        }
        let beyond = self.beyond(bridge)?;
        if stands(beyond, Stands::WINDOWS) {
            return Some(Reason::EnhancedAllocation);
        }
        let by_vector = beyond.flattening_portal.is_some_and(|fpb| fpb.decodes_memory() != Some(false));
        if by_vector && !io {
            return Some(Reason::FlatteningPortal);
        }
        (io && beyond.keeps_isa()).then_some(Reason::LegacyForwarding)
    }

    fn beyond(&self, index: FunctionIndex) -> Option<&Beyond> {
        self.topology.inventory().extras(index).map(|extras| &extras.beyond)
    }

    /// Whether the target has an I/O BAR. One that is implemented reads 1 in bit 0 whatever else it
    /// holds. `None` if it is not known, or if the target decodes more than its BARs show.
    pub(in crate::route) fn has_io_bar(&self, to: FunctionIndex) -> Option<bool> {
        if self.topology.kind(to).is_virtual() {
            return Some(false);
        }
        let function = self.topology.function(to)?;
        let registers = function.header()?;
        let count = bar_count(function);
        let mut upper = false;
        let has = registers.iter().take(count).any(|register| {
            let own = !upper;
            upper = own && register & 7 == 4;
            own && register & 1 != 0
        });
        if has || self.elsewhere(to).is_none() { Some(has) } else { None }
    }

    /// Where the memory (or I/O) behind the target's BARs begins, BAR by BAR: the lowest and the highest
    /// address that it can be, which differ for virtual functions only. `None` if they are not known.
    fn bars(&self, to: FunctionIndex, io: bool) -> Option<impl Iterator<Item = (u64, u64)> + use<>> {
        let function = self.topology.function(to)?;
        let (own, virtual_bars) = match self.topology.kind(to) {
            Kind::Virtual(physical) => {
                let sriov = self.topology.sriov(physical).present()?;
                let physical = self.topology.function(physical)?.address.bdf;
                let n = sriov.vf_number(physical, function.address.bdf)?;
                // Virtual functions have no I/O BARs.
                (None, Some(sriov.vf_memory(n)?.filter(move |_| !io)))
            }
            Kind::VirtualOfUnknown => return None,
            _ => {
                let count = bar_count(function);
                (Some(header_bars(function.header()?, count, io)), None)
            }
        };
        let own = own.into_iter().flatten().map(|address| (address, address));
        Some(own.chain(virtual_bars.into_iter().flatten()))
    }
}

/// How many base address registers the header has. A CardBus bridge's one leads to its own registers.
const fn bar_count(function: &Function) -> usize {
    match function.header_type.layout() {
        HeaderLayout::Type1 => 2,
        HeaderLayout::Type2 => 1,
        HeaderLayout::Type0 | HeaderLayout::Reserved(_) => 6,
    }
}

/// The addresses in these BARs that are memory (or I/O).
fn header_bars(registers: [u32; 9], count: usize, io: bool) -> impl Iterator<Item = u64> {
    let mut rest = registers.into_iter().take(count);
    core::iter::from_fn(move || {
        loop {
            let register = rest.next()?;
            let address = match register & 7 {
                bits if bits & 1 != 0 => (true, u64::from(register & !3)),
                4 => (false, u64::from(register & !0xf) | u64::from(rest.next().unwrap_or(0)) << 32),
                _ => (false, u64::from(register & !0xf)),
            };
            // Address 0 is that of a BAR that nobody has set, or that is not there.
            if address.0 == io && address.1 != 0 {
                return Some(address.1);
            }
        }
    })
}

/// Display controllers that decode VGA's addresses.
const VGA: [u16; 2] = [0x0300, 0x0001];

/// Whether enabled entries of Enhanced Allocation stand in for these, or may.
fn stands(beyond: &Beyond, wanted: Stands) -> bool {
    let ea = beyond.enhanced_allocation;
    ea.is_some_and(|ea| ea.stands.intersects(wanted.union(Stands::NOT_CAPTURED)))
}

/// The windows of a bridge.
struct Windows {
    ranges: [Option<(u64, u64)>; 2],
    /// ISA's addresses are kept above, although a window covers them.
    keeps_isa: bool,
}

impl Windows {
    /// Memory and prefetchable window, or the I/O window; `None` if they were not captured, or do not tell: a
    /// CardBus bridge has others.
    fn of(bridge: &Function, io: bool, keeps_isa: bool) -> Option<Self> {
        if bridge.header_type.layout() != HeaderLayout::Type1 {
            return None;
        }
        let mut bytes = [0; 64];
        let registers = bytes.get_mut(0x10..)?.chunks_exact_mut(4);
        for (chunk, register) in registers.zip(bridge.header()?) {
            chunk.copy_from_slice(&register.to_le_bytes());
        }
        let header = Type1Header::new(bytes);
        let wide = |(base, limit)| (u64::from(base), u64::from(limit));
        let ranges = match io {
            true => [header.io_window().map(wide), None],
            false => [header.memory_window(), header.prefetchable_window()],
        };
        Some(Self { ranges, keeps_isa: io && keeps_isa })
    }

    /// Whether a window covers the beginning of one of these; `None` if that is not certain.
    fn cover_any(&self, mut addresses: impl Iterator<Item = (u64, u64)>) -> Option<bool> {
        let mut possible = false;
        let covered = addresses.any(|(lowest, highest)| {
            let is_isa = self.keeps_isa && lowest < 0x1_0000 && lowest & 0x300 != 0;
            self.ranges.iter().flatten().any(|(base, limit)| {
                possible |= *base <= highest && lowest <= *limit;
                *base <= lowest && highest <= *limit && !is_isa
            })
        });
        match (covered, possible) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }
}
