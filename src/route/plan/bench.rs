//! The machine on which plans are tried: a copy whose registers change and go back.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Plan, Write, writes};
use crate::cap::acs::{AcsCapability, AcsControl};
use crate::db::Database;
use crate::function::AcsRegisters;
use crate::route::Assumptions;
use crate::route::fabric::Fabric;
use crate::route::overlay::{control_of, set_control, wide_registers};
use crate::topology::{FunctionIndex, Topology};

/// Registers of functions, in place of their own.
pub(super) type Changes = BTreeMap<FunctionIndex, AcsRegisters>;

pub(super) struct Bench<'a> {
    topology: Topology,
    pub(super) database: &'a Database,
    pub(super) assumptions: Assumptions,
    wide: Vec<bool>,
    /// How often the engine was asked.
    asked: usize,
}

/// How often the engine may be asked, at most, while the smallest plan is looked for; what is found by then
/// is still a plan.
const MOST_QUESTIONS: usize = 6000;
/// On large machines less often: so many functions in all answers together.
const MOST_FUNCTIONS: usize = 20_000_000;

impl<'a> Bench<'a> {
    pub(super) fn new(topology: &Topology, database: &'a Database, assumptions: &Assumptions) -> Self {
        Self {
            topology: topology.clone(),
            database,
            assumptions: Assumptions { hostile: true, ..*assumptions },
            wide: wide_registers(topology, database),
            asked: 0,
        }
    }

    /// The machine as it is.
    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether time is left for `share` times as many questions as a search has.
    pub(super) fn has_time(&self, share: usize) -> bool {
        let functions = self.topology.functions().len().max(1);
        let most = MOST_FUNCTIONS.checked_div(functions).unwrap_or_default().min(MOST_QUESTIONS);
        self.asked < most.saturating_mul(share)
    }

    pub(super) fn is_wide(&self, index: FunctionIndex) -> bool {
        self.wide.get(index).copied().unwrap_or(false)
    }

    /// Asks the engine about the machine with these changes.
    pub(super) fn ask<T>(&mut self, changes: &Changes, question: impl FnOnce(&Fabric<'_>) -> T) -> T {
        self.asked = self.asked.saturating_add(1);
        let mut own = Vec::with_capacity(changes.len());
        for (index, registers) in changes {
            own.extend(self.topology.inventory().acs_registers(*index).map(|own| (*index, own)));
            self.topology.set_acs_registers(*index, *registers);
        }
        let answer = question(&Fabric::new(&self.topology, self.database));
        for (index, registers) in own {
            self.topology.set_acs_registers(index, registers);
        }
        answer
    }

    /// Registers of a function that a plan may write: it has ACS, it answers, and registers count.
    pub(super) fn writable(&self, fabric: &Fabric<'_>, index: FunctionIndex) -> Option<Controls> {
        let capability = self.topology.function(index)?.acs.present()?.capability;
        let wide = self.is_wide(index);
        if fabric.claim(index).is_some() && !wide {
            return None;
        }
        let registers = self.topology.inventory().acs_registers(index)?;
        let control = control_of(&registers, wide).filter(|control| !control.reads_all_ones())?;
        Some(Controls { registers, capability, control, wide })
    }

    /// The plan that changes come to.
    pub(super) fn plan(&self, changes: &Changes, proved_smallest: bool) -> Plan {
        let of = |(index, after): (&FunctionIndex, &AcsRegisters)| -> Vec<Write> {
            let before = self.topology.inventory().acs_registers(*index);
            before.map(|before| writes(*index, self.is_wide(*index), &before, after)).unwrap_or_default()
        };
        Plan { writes: changes.iter().flat_map(of).collect(), proved_smallest }
    }
}

/// ACS registers of a function, read for planning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controls {
    pub(super) registers: AcsRegisters,
    pub(super) capability: AcsCapability,
    pub(super) control: AcsControl,
    pub(super) wide: bool,
}

impl Controls {
    pub(super) fn offers(&self, bit: AcsControl) -> bool {
        self.capability.controls().contains(bit)
    }

    /// Whether a control is in force.
    pub(super) fn is_on(&self, bit: AcsControl) -> bool {
        self.offers(bit) && self.control.contains(bit)
    }

    /// The same registers with a control on or off.
    pub(super) fn put(&mut self, bit: AcsControl, on: bool) {
        self.control.set(bit, on);
        set_control(&mut self.registers, self.wide, self.control);
        self.registers.guessed.remove(bit);
        self.registers.as_if = true;
    }

    /// The bit of the egress control vector at this index; `None` where there is none to write.
    pub(super) fn vector_bit(&self, index: u8) -> Option<bool> {
        if u16::from(index) >= self.capability.vector_bits() || self.wide {
            return None;
        }
        let dword = (*self.registers.vector?.get(usize::from(index >> 5))?)?;
        Some(dword & 1_u32.wrapping_shl(u32::from(index & 31)) != 0)
    }

    /// The same registers with a bit of the vector set or clear.
    pub(super) fn put_vector(&mut self, index: u8, set: bool) {
        let mask = 1_u32.wrapping_shl(u32::from(index & 31));
        let put = |dword: u32| if set { dword | mask } else { dword & !mask };
        let dword = usize::from(index >> 5);
        if let Some(slot) = self.registers.vector.as_mut().and_then(|vector| vector.get_mut(dword)) {
            *slot = slot.map(put);
        }
        if dword == 0 {
            self.registers.dword_8 = self.registers.dword_8.map(put);
        }
        self.registers.as_if = true;
    }
}
