//! Plans: the smallest set of register changes that keeps functions apart, or lets them reach each other.
//!
//! A plan is found by asking the engine, never by rules of its own: each set of changes that is considered
//! is applied to a copy of the machine, and what counts is the answer there. Nothing is written.
//!
//! *Smallest* is, for [`isolate`]: fewest functions whose registers change, then fewest bits. For
//! [`connect`]: Source Validation and Translation Blocking kept, then fewest functions, then fewest other
//! answers opened, then fewest bits, so that egress vectors and Direct Translated P2P come first where the
//! hardware has them.

mod bench;
mod connect;
pub mod emit;
mod isolate;

pub use connect::{connect, connectable};
pub use isolate::isolate;

use alloc::vec::Vec;

use super::domains::Impersonation;
use super::port::TlpClass;
use super::{Disposition, Reason};
use crate::cap::acs::AcsControl;
use crate::function::AcsRegisters;
use crate::topology::{FunctionIndex, Topology};

/// A register of the ACS structure that a plan writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Register {
    /// A double word of the egress control vector.
    Vector(u8),
    /// ACS Control, the word at +06h.
    Control,
    /// ACS Control of functions whose ACS registers have 32 bits, at +08h.
    WideControl,
}

/// One write: bits of one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Write {
    /// The function.
    pub function: FunctionIndex,
    /// The register.
    pub register: Register,
    /// Bits that are written.
    pub mask: u32,
    /// Their values now.
    pub old: u32,
    /// Their values then.
    pub new: u32,
}

/// A set of writes that reaches a goal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The writes, in the order in which they are to be made: vectors before what turns them on.
    pub writes: Vec<Write>,
    /// Whether no smaller one exists, by exhaustive search.
    pub proved_smallest: bool,
}

impl Plan {
    /// Functions whose registers change.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionIndex> {
        let mut functions: Vec<FunctionIndex> = self.writes.iter().map(|write| write.function).collect();
        functions.sort_unstable();
        functions.dedup();
        functions
    }

    /// Bits that change.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.writes.iter().fold(0, |bits, write| bits.saturating_add(write.mask.count_ones()))
    }

    /// The machine after the plan, or with `undo` after it was taken back.
    pub fn apply(&self, topology: &mut Topology, undo: bool) {
        for write in &self.writes {
            let Some(mut registers) = topology.inventory().acs_registers(write.function) else { continue };
            let value = if undo { write.old } else { write.new };
            let put = |old: u32| (old & !write.mask) | value;
            match write.register {
                Register::Control => {
                    let word = put(u32::from(registers.control.bits())) as u16;
                    registers.control = AcsControl::from_bits_retain(word);
                }
                Register::WideControl => registers.dword_8 = registers.dword_8.map(put),
                Register::Vector(n) => {
                    if let Some(dwords) = &mut registers.vector {
                        if let Some(slot) = dwords.get_mut(usize::from(n)) {
                            *slot = slot.map(put);
                        }
                        if n == 0 {
                            registers.dword_8 = registers.dword_8.map(put);
                        }
                    }
                }
            }
            registers.as_if = !undo;
            topology.set_acs_registers(write.function, registers);
        }
    }
}

/// Why a goal is out of reach: one answer that no register changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// The initiator.
    pub from: FunctionIndex,
    /// The target.
    pub to: FunctionIndex,
    /// Class of transaction; `None` for impersonation.
    pub tlp: Option<TlpClass>,
    /// Where it is decided, if at one function.
    pub at: Option<FunctionIndex>,
    /// What becomes of it even then.
    pub disposition: Disposition,
    /// Why.
    pub why: Obstruction,
}

/// What stands in the way of a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstruction {
    /// The answer for a pair rests on this.
    Route(Reason),
    /// No port on the way up offers Source Validation, or both send with one requester ID.
    Impersonation(Impersonation),
    /// Linux groups the two together all the same.
    Group,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Functions are to be kept apart from all others: [`isolate`].
    Isolate,
    /// Functions are to reach each other directly: [`connect`].
    Connect,
}

impl Goal {
    /// `isolate` or `connect`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Connect => "connect",
        }
    }
}

/// By whose measure functions are to be kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Isolation domains.
    #[default]
    Domains,
    /// The groups that Linux will form, which is what VFIO asks for.
    LinuxGroups,
}

/// What planning comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This reaches the goal; without writes, it is reached already.
    Reached(Plan),
    /// No change of registers does; each answer that stands in the way once, as far as they were looked
    /// for.
    Impossible(Vec<Obstacle>),
}

/// The writes that lead from one state of a function's registers to another.
fn writes(function: FunctionIndex, wide: bool, old: &AcsRegisters, new: &AcsRegisters) -> Vec<Write> {
    let mut found = Vec::new();
    let mut note = |register, old: u32, new: u32| {
        let mask = old ^ new;
        if mask != 0 {
            found.push(Write { function, register, mask, old: old & mask, new: new & mask });
        }
    };
    if let (Some(before), Some(after)) = (old.vector, new.vector) {
        for (n, (before, after)) in before.iter().zip(&after).enumerate() {
            if let (Some(before), Some(after), Ok(n)) = (before, after, u8::try_from(n)) {
                note(Register::Vector(n), *before, *after);
            }
        }
    }
    if wide {
        note(Register::WideControl, old.dword_8.unwrap_or_default(), new.dword_8.unwrap_or_default());
    } else {
        note(Register::Control, u32::from(old.control.bits()), u32::from(new.control.bits()));
    }
    found
}
