//! What if: other register values, another kernel's settings, a device less or elsewhere.
//!
//! An overlay turns one topology into another that any question can be asked of. It changes copies in
//! memory, never hardware and never a dump, and each function whose registers it changed says so
//! ([`Function::acs_as_if`](crate::function::Function::acs_as_if)): evidence names such a register
//! *ACS Control (as if)*, and every report lists the overlays with what it read from.
//!
//! [`remove`] and [`relocate`] change the hierarchy, [`boot`] does what a kernel does with ACS while it
//! starts, [`set`] writes registers. Used in that order, the later ones see what the earlier ones did.

mod boot;
mod set;

pub use boot::{Boot, CONFIG_ACS, Firmware, LATEST, boot};
pub use set::{Edit, parse_edits};

pub(in crate::route) use set::{control_of, names, set_control};

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::device::Devices;
use super::linux::{Basis, Linux};
use crate::addr::{Bdf, Sbdf};
use crate::db::Database;
use crate::function::AcsRegisters;
use crate::topology::{FunctionIndex, Parent, Topology};

/// Why an overlay is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The function that it was for.
    pub function: Sbdf,
    /// Why, and what can be done.
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.function, self.why)
    }
}

impl core::error::Error for Refused {}

fn refused(topology: &Topology, index: FunctionIndex, why: impl Into<String>) -> Refused {
    Refused { function: topology.address(index).unwrap_or_default(), why: why.into() }
}

/// Whether the ACS registers of each function have 32 bits, as a built-in database entry says: the
/// control register then stands at +08h of the structure.
#[must_use]
pub fn wide_registers(topology: &Topology, database: &Database) -> Vec<bool> {
    let linux = Linux::new(topology, database);
    let wide = |index| matches!(linux.isolation(index).basis, Basis::WideRegisters { .. });
    (0..topology.functions().len()).map(wide).collect()
}

/// Writes ACS registers of one function. One line about what changed. `wide` is what [`wide_registers`] says.
///
/// # Errors
///
/// The function has no ACS capability, it was not captured, or it does not offer what is asked for.
pub fn set(
    topology: &mut Topology,
    wide: &[bool],
    index: FunctionIndex,
    edits: &[Edit],
) -> Result<String, Refused> {
    let wide = wide.get(index).copied().unwrap_or(false);
    let before = registers(topology, index)?;
    let capability = topology.function(index).and_then(|f| f.acs.present()).map(|acs| acs.capability);
    let after = edits.iter().try_fold(before, |registers, edit| {
        set::edited(registers, capability.unwrap_or_default(), wide, *edit)
            .map_err(|why| refused(topology, index, why))
    })?;
    topology.set_acs_registers(index, after);
    Ok(described(topology, index, &before, &after, wide))
}

fn registers(topology: &Topology, index: FunctionIndex) -> Result<AcsRegisters, Refused> {
    topology.inventory().acs_registers(index).ok_or_else(|| {
        let why = match topology.function(index).is_some_and(|function| function.acs.is_absent()) {
            true => "it has no ACS capability, so there is nothing to set",
            false => "its ACS capability was not captured: take the dump as root, with all 4096 bytes",
        };
        refused(topology, index, why)
    })
}

/// `0000:00:1c.0: ACS Control 0x0000 becomes 0x0004 (ReqRedir+)`.
fn described(
    topology: &Topology,
    index: FunctionIndex,
    before: &AcsRegisters,
    after: &AcsRegisters,
    wide: bool,
) -> String {
    let address = topology.address(index).unwrap_or_default();
    let mut parts = Vec::new();
    if let (Some(old), Some(new)) = (control_of(before, wide), control_of(after, wide)) {
        if old == new {
            parts.push(format!("ACS Control stays {:#06x}", old.bits()));
        } else {
            let signed = |bits, sign| match names(bits) {
                text if text.is_empty() => text,
                text => format!("{sign}{}", text.replace(", ", &format!(" {sign}"))),
            };
            let (on, off) = (signed(new.difference(old), '+'), signed(old.difference(new), '-'));
            let changed = format!("{on} {off}");
            parts.push(format!(
                "ACS Control {:#06x} becomes {:#06x} ({})",
                old.bits(),
                new.bits(),
                changed.trim()
            ));
        }
    }
    if before.vector != after.vector {
        parts.push(String::from("Egress Control Vector changes"));
    }
    if !after.guessed.is_empty() {
        parts.push(format!("{} not known, taken as 0", names(after.guessed)));
    }
    format!("{address}: {}", parts.join(", "))
}

/// Takes functions away, each with its virtual functions, and if it is a bridge with all that is below it. A
/// line for each.
#[must_use]
pub fn remove(topology: Topology, functions: &[FunctionIndex]) -> (Topology, Vec<String>) {
    let mut taken: Vec<Sbdf> = Vec::new();
    let mut notes = Vec::with_capacity(functions.len());
    for index in functions {
        let gone = below(&topology, *index);
        let address = topology.address(*index).unwrap_or_default();
        let more = match gone.len() {
            0 | 1 => String::new(),
            n => {
                format!(", with {} more that are below it or are its virtual functions", n.saturating_sub(1))
            }
        };
        notes.push(format!("{address} removed{more}"));
        taken.extend(gone.iter().filter_map(|index| topology.address(*index)));
        taken.sort_unstable();
        taken.dedup();
    }
    let keep = |address: Sbdf| taken.binary_search(&address).is_err().then_some(address);
    let inventory = topology.into_inventory().readdressed(keep);
    (Topology::new(inventory), notes)
}

/// A function, its virtual functions and everything on buses below any of these, sorted.
fn below(topology: &Topology, index: FunctionIndex) -> Vec<FunctionIndex> {
    let count = topology.functions().len();
    let mut gone = alloc::vec![false; count];
    let is_gone = |gone: &[bool], index: FunctionIndex| gone.get(index).copied().unwrap_or(false);
    for other in 0..count {
        let above = match topology.parent_of(other) {
            Parent::Bridge(bridge) => is_gone(&gone, bridge),
            _ => false,
        };
        let physical = match topology.kind(other) {
            crate::topology::Kind::Virtual(physical) => is_gone(&gone, physical),
            _ => false,
        };
        if let Some(slot) = gone.get_mut(other) {
            *slot = other == index || above || physical;
        }
    }
    (0..count).filter(|other| is_gone(&gone, *other)).collect()
}

/// Moves the device of a function, with its virtual functions, below a port. Bus numbers of ports stay.
///
/// # Errors
///
/// The device is a bridge, the port leads nowhere, or its place is taken.
pub fn relocate(
    topology: Topology,
    device: FunctionIndex,
    port: FunctionIndex,
) -> Result<(Topology, String), Refused> {
    let members: Vec<FunctionIndex> = Devices::new(&topology).members(device).collect();
    let first = members.first().copied().unwrap_or(device);
    let from = topology.address(first).unwrap_or_default();
    let is_bridge = |index: &FunctionIndex| topology.function(*index).is_some_and(|f| f.is_bridge());
    if members.iter().any(is_bridge) {
        return Err(refused(&topology, device, "it is a bridge: only devices move; name what is below it"));
    }
    let port_function = topology.function(port).filter(|function| function.is_bridge());
    let range = port_function.and_then(|function| function.bus_range()).filter(|range| range.secondary != 0);
    let (Some(port_function), Some(range)) = (port_function, range) else {
        return Err(refused(
            &topology,
            port,
            "it is no bridge with a bus below it, so nothing can be moved there",
        ));
    };
    let link = port_function.port_type().is_some_and(|port_type| port_type.is_downstream_facing());
    let segment = port_function.address.segment;
    let to = |address: Sbdf| -> Option<Sbdf> {
        let bus = range.secondary.checked_add(address.bus().checked_sub(from.bus())?)?;
        let alone_on_link = link && bus == range.secondary && members.len() <= 8;
        let devfn = address.bdf.devfn();
        let devfn = if alone_on_link && address.bus() == from.bus() { devfn & 7 } else { devfn };
        let bdf = Bdf::from_bits(u16::from(bus) << 8 | u16::from(devfn));
        (bus <= range.subordinate).then_some(Sbdf { segment, bdf })
    };
    let mut places = Vec::with_capacity(members.len());
    for member in &members {
        let Some(old) = topology.address(*member) else { continue };
        let Some(new) = to(old) else {
            let why =
                format!("its virtual functions do not fit the buses {range} of {}", port_function.address);
            return Err(refused(&topology, device, why));
        };
        places.push((old, new));
    }
    let taken = topology.functions().iter().map(|function| function.address).find(|address| {
        let moves = places.iter().any(|(old, _)| old == address);
        let same_bus = |new: &Sbdf| new.segment == address.segment && new.bus() == address.bus();
        !moves && places.iter().any(|(_, new)| new == address || (link && same_bus(new)))
    });
    if let Some(taken) = taken {
        let why = format!("{taken} is below {} already: remove it first", port_function.address);
        return Err(refused(&topology, device, why));
    }
    let note = format!("{from} moved below {}", port_function.address);
    places.sort_unstable();
    let map = |address: Sbdf| match places.binary_search_by_key(&address, |(old, _)| *old) {
        Ok(at) => places.get(at).map(|(_, new)| *new),
        Err(_) => Some(address),
    };
    let note = match places.first() {
        Some((_, new)) => format!("{note}, as {new}"),
        None => note.to_string(),
    };
    Ok((Topology::new(topology.into_inventory().readdressed(map)), note))
}
