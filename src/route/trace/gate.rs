//! What else must be open for a route to work as configured: bus mastering, decoding, windows.
//!
//! Somebody who wants peer-to-peer traffic to work needs all of it; for isolation none of it counts,
//! because BARs, windows and enables can be reprogrammed.
//!
//! Source: PCIe Base 6.x, §7.5.1.1.3 "Command Register", §7.5.1.2.1 "Base Address Registers",
//! §7.5.1.3 "Type 1 Configuration Space Header"; §9.3.3.3.4 "VF MSE".

use alloc::vec::Vec;

use super::BUS_MASTER;
use crate::config::{ClassCode, HeaderLayout, Type1Header};
use crate::function::Function;
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
        self.each_gate(from, to, class, arrives, |gate| gates.push(gate));
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
                None => Some((to, Decision::Undetermined(Reason::TargetNotCaptured))),
            };
        }
        let (mut closed, mut unknown) = (None, None);
        self.each_gate(from, to, class, arrives, |gate| match gate.open {
            Some(true) => {}
            Some(false) => {
                closed = closed.or(Some((gate.function, Decision::Block(gate.kind.reason(class)))));
            }
            None => {
                let missing = Decision::Undetermined(Reason::TargetNotCaptured);
                unknown = unknown.or(Some((gate.function, missing)));
            }
        });
        closed.or(unknown)
    }

    fn each_gate(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        class: TlpClass,
        arrives: u32,
        mut take: impl FnMut(Gate),
    ) {
        if class.is_completion() || from == to {
            return;
        }
        let (s, t) = (self.node(from as u32), self.node(to as u32));
        let unknown_way = self.way_is_unknown(s, t);
        // A bridge that may not be on the way closes nothing for certain.
        let on_the_way = |open: Option<bool>| if unknown_way { None } else { open };
        let bus_master = |index: FunctionIndex| {
            let function = self.topology.function(index)?;
            function.answers.then_some(function.command & BUS_MASTER != 0)
        };
        if self.topology.function(from).is_some() {
            take(Gate { function: from, kind: GateKind::InitiatorBusMaster, open: bus_master(from) });
        }
        let turn = (arrives != NONE).then(|| self.node(arrives).bus);
        let mut at = self.node(from as u32);
        while at.up != NONE && at.up != to as u32 && Some(at.bus) != turn {
            take(Gate {
                function: at.up as usize,
                kind: GateKind::BusMaster,
                open: on_the_way(bus_master(at.up as usize)),
            });
            at = self.node(at.up);
        }
        let io = class == TlpClass::Io;
        let decoder = match self.topology.kind(to) {
            Kind::Virtual(physical) if !io => physical,
            _ => to,
        };
        take(Gate { function: decoder, kind: GateKind::Decode, open: self.decodes(to, io) });
        take(Gate {
            function: to,
            kind: GateKind::Bar,
            open: self.bars(to, io).map(|mut bars| bars.next().is_some()),
        });
        if at.up == to as u32 {
            return;
        }
        let mut below = to as u32;
        while below != arrives && self.node(below).up != NONE {
            below = self.node(below).up;
            let function = self.topology.function(below as usize);
            let open = function.and_then(|bridge| {
                let windows = Windows::of(bridge, io)?;
                windows.cover_any(self.bars(to, io)?)
            });
            take(Gate { function: below as usize, kind: GateKind::Window, open: on_the_way(open) });
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

    /// Whether the target has an I/O BAR. One that is implemented reads 1 in bit 0 whatever else it
    /// holds.
    pub(in crate::route) fn has_io_bar(&self, to: FunctionIndex) -> Option<bool> {
        if self.topology.kind(to).is_virtual() {
            return Some(false);
        }
        let function = self.topology.function(to)?;
        let registers = function.header()?;
        let count = bar_count(function);
        let mut upper = false;
        Some(registers.iter().take(count).any(|register| {
            let own = !upper;
            upper = own && register & 7 == 4;
            own && register & 1 != 0
        }))
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

/// PCI-to-PCI bridge with subtractive decode.
const SUBTRACTIVE: ClassCode = ClassCode { base: 0x06, sub: 0x04, interface: 0x01 };

/// The windows of a bridge.
struct Windows([Option<(u64, u64)>; 2]);

impl Windows {
    /// Memory and prefetchable window, or the I/O window; `None` if they were not captured, or do not tell: a
    /// CardBus bridge has others, and a bridge that decodes subtractively passes what nobody else claims.
    fn of(bridge: &Function, io: bool) -> Option<Self> {
        if bridge.header_type.layout() != HeaderLayout::Type1 || bridge.class == SUBTRACTIVE {
            return None;
        }
        let mut bytes = [0; 64];
        let registers = bytes.get_mut(0x10..)?.chunks_exact_mut(4);
        for (chunk, register) in registers.zip(bridge.header()?) {
            chunk.copy_from_slice(&register.to_le_bytes());
        }
        let header = Type1Header::new(bytes);
        Some(match io {
            true => Self([header.io_window().map(|(base, limit)| (u64::from(base), u64::from(limit))), None]),
            false => Self([header.memory_window(), header.prefetchable_window()]),
        })
    }

    /// Whether a window covers the beginning of one of these; `None` if that is not certain.
    fn cover_any(&self, mut addresses: impl Iterator<Item = (u64, u64)>) -> Option<bool> {
        let mut possible = false;
        let covered = addresses.any(|(lowest, highest)| {
            self.0.iter().flatten().any(|(base, limit)| {
                possible |= *base <= highest && lowest <= *limit;
                *base <= lowest && highest <= *limit
            })
        });
        match (covered, possible) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }
}
