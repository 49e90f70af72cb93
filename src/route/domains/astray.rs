//! Functions of which bus numbers do not tell where they are: nothing keeps them from any other for certain.

use super::join::Joiner;
use super::{HeldBy, Merge};
use crate::route::fabric::Fabric;
use crate::route::port::TlpClass;
use crate::topology::FunctionIndex;

/// Joins each with all functions of other devices.
pub(super) fn join(fabric: &Fabric<'_>, joiner: &mut Joiner) {
    let initiates = |index: &FunctionIndex| fabric.initiates(*index);
    let device = |index: FunctionIndex| fabric.node(index as u32).device;
    let Some(first) = fabric.strays().find(initiates) else { return };
    let mut note = |from: FunctionIndex, to: FunctionIndex| {
        let between = fabric.strays_between(from as u32, to as u32);
        if joiner.join(from as u32, to as u32) {
            let (class, reason) = (Some(TlpClass::MemoryUntranslated), between.map(|(_, reason)| reason));
            joiner.note(&Merge { held_by: HeldBy::Unproven, from, to, class, reason });
        }
    };
    let all = || (0..fabric.nodes().len()).filter(initiates);
    for other in all().filter(|other| device(*other) != device(first)) {
        note(first, other);
    }
    // Those of its own device: with what is astray elsewhere, or if they are astray themselves, with anything.
    let elsewhere = |index: &FunctionIndex| device(*index) != device(first);
    let stray = fabric.strays().filter(initiates).find(elsewhere);
    let any = all().find(elsewhere);
    for own in all().filter(|own| device(*own) == device(first)) {
        let partner = if fabric.astray(own as u32).is_some() { any } else { stray };
        if let Some(other) = partner {
            note(own, other);
        }
    }
}
