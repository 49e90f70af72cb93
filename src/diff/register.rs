//! What changed in registers.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Matching;
use crate::anomaly::Presence;
use crate::cap::acs::AcsControl;
use crate::function::Function;
use crate::route::evidence::control_tokens;
use crate::topology::{FunctionIndex, Topology};

/// One register of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisterChange {
    /// The function, by index before the change.
    pub before: FunctionIndex,
    /// The function, by index after the change.
    pub after: FunctionIndex,
    /// The specification's name of the register, or what was captured.
    pub register: &'static str,
    /// What it read, with lspci's tokens of bits that changed.
    pub was: String,
    /// What it reads.
    pub is: String,
    /// Whether it is a register of the ACS structure.
    pub of_acs: bool,
}

/// What changed in registers that decide, function by function.
#[must_use]
pub fn register_changes(old: &Topology, new: &Topology, matching: &Matching) -> Vec<RegisterChange> {
    let mut found = Vec::new();
    for (after, before) in matching.places.iter().enumerate() {
        let Some(before) = *before else { continue };
        let (Some(was), Some(is)) = (old.function(before), new.function(after)) else { continue };
        let mut note = |register, of_acs, was: String, is: String| {
            if was != is {
                found.push(RegisterChange { before, after, register, was, is, of_acs });
            }
        };
        acs(old, new, (before, was), (after, is), &mut note);
        note("captured", false, captured(was), captured(is));
        note("Command", false, format!("{:#06x}", was.command), format!("{:#06x}", is.command));
        let ari = |f: &Function| match f.pcie {
            Presence::Present(pcie) => match pcie.ari_forwarding_enabled() {
                Some(on) => String::from(if on { "ARIFwd+" } else { "ARIFwd-" }),
                None => String::from("not captured"),
            },
            _ => String::new(),
        };
        note("Device Control 2", false, ari(was), ari(is));
        note(
            "ATS",
            false,
            presence(&was.ats, |ats| on_off(ats.enabled())),
            presence(&is.ats, |ats| on_off(ats.enabled())),
        );
        let ari = |f: &Function| presence(&f.ari, |ari| format!("{ari:?}"));
        note("ARI", false, ari(was), ari(is));
        let vfs = |topology: &Topology, index| {
            presence(&topology.sriov(index), |sriov| format!("{} virtual functions", sriov.enabled_vfs()))
        };
        note("SR-IOV", false, vfs(old, before), vfs(new, after));
        let class = |f: &Function| format!("{:04x}, revision {:02x}", f.class.class(), f.revision);
        note("class", false, class(was), class(is));
        let kind = |f: &Function| f.port_type().map(|kind| kind.to_string()).unwrap_or_default();
        note("Device/Port Type", false, kind(was), kind(is));
    }
    found
}

fn on_off(on: bool) -> String {
    String::from(if on { "Enable+" } else { "Enable-" })
}

fn presence<T>(value: &Presence<T>, show: impl Fn(&T) -> String) -> String {
    match value {
        Presence::Present(value) => show(value),
        Presence::Absent => String::from("absent"),
        Presence::NotCaptured => String::from("not captured"),
    }
}

fn captured(function: &Function) -> String {
    match (function.answers, function.is_complete()) {
        (false, _) => String::from("no answer"),
        (true, true) => String::from("all that is decoded"),
        (true, false) => format!("{} bytes, not all that is decoded", function.captured),
    }
}

fn acs(
    old: &Topology,
    new: &Topology,
    (before, was): (FunctionIndex, &Function),
    (after, is): (FunctionIndex, &Function),
    note: &mut impl FnMut(&'static str, bool, String, String),
) {
    let (Presence::Present(a), Presence::Present(b)) = (was.acs, is.acs) else {
        let shown = |f: &Function| presence(&f.acs, |acs| format!("control {:#06x}", acs.control.bits()));
        return note("ACS", true, shown(was), shown(is));
    };
    let capability = |word: u16| format!("{word:#06x}");
    note("ACS Capability", true, capability(a.capability.bits()), capability(b.capability.bits()));
    let changed = a.control.symmetric_difference(b.control);
    let control = |word: AcsControl, f: &Function| {
        let on = control_tokens(word.intersection(changed), '+');
        let off = control_tokens(changed.difference(word), '-');
        let guessed = match f.acs_guessed().is_empty() {
            true => String::new(),
            false => format!(", {} not known", control_tokens(f.acs_guessed(), '?')),
        };
        let read = format!("{:#06x} {on} {off}", word.bits()).trim().replace("  ", " ");
        format!("{read}{guessed}")
    };
    note("ACS Control", true, control(a.control, was), control(b.control, is));
    let vectors = [(old, before), (new, after)]
        .map(|(topology, index)| topology.inventory().extras(index).and_then(|extras| extras.egress_vector));
    let shown = |vector: &Option<[Option<u32>; 8]>| match vector {
        None => String::from("none"),
        Some(dwords) => {
            let dword = |d: &Option<u32>| d.map_or_else(|| String::from("-"), |d| format!("{d:08x}"));
            dwords.iter().map(dword).collect::<Vec<_>>().join(" ")
        }
    };
    let [first, second] = &vectors;
    if first.is_some() || second.is_some() {
        note("Egress Control Vector", true, shown(first), shown(second));
    } else {
        // Where registers have 32 bits, the control register stands here.
        let dword = |f: &Function| f.acs_dword_8().map_or_else(String::new, |d| format!("{d:#010x}"));
        note("ACS structure +08h", true, dword(was), dword(is));
    }
}
