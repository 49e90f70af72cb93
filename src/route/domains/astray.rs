//! Functions of which bus numbers do not tell where they are: nothing keeps them for certain from any other of
//! their segment.

use core::ops::Range;

use super::join::Joiner;
use super::{HeldBy, Merge};
use crate::route::fabric::Fabric;
use crate::route::port::TlpClass;
use crate::topology::FunctionIndex;

/// Joins each with all functions of other devices of its segment.
pub(super) fn join(fabric: &Fabric<'_>, joiner: &mut Joiner) {
    for segment in fabric.segments_with_strays() {
        join_segment(fabric, &segment, joiner);
    }
}

fn join_segment(fabric: &Fabric<'_>, segment: &Range<FunctionIndex>, joiner: &mut Joiner) {
    let device = |index: FunctionIndex| fabric.node(index as u32).device;
    let is_stray = |index: &FunctionIndex| fabric.astray(*index as u32).is_some();
    let all = || segment.clone().filter(|index| fabric.initiates(*index));
    let Some(first) = all().find(is_stray) else { return };
    let mut note = |from: FunctionIndex, to: FunctionIndex| {
        let between = fabric.strays_between(from as u32, to as u32);
        if joiner.join(from as u32, to as u32) {
            let (class, reason) = (Some(TlpClass::MemoryUntranslated), between.map(|(_, reason)| reason));
            joiner.note(&Merge { held_by: HeldBy::Unproven, from, to, class, reason });
        }
    };
    for other in all().filter(|other| device(*other) != device(first)) {
        note(first, other);
    }
    // Those of its own device: with what is astray elsewhere, or if they are astray themselves, with anything.
    let elsewhere = |index: &FunctionIndex| device(*index) != device(first);
    let stray = all().filter(is_stray).find(elsewhere);
    let any = all().find(elsewhere);
    for own in all().filter(|own| device(*own) == device(first)) {
        let partner = if is_stray(&own) { any } else { stray };
        if let Some(other) = partner {
            note(own, other);
        }
    }
}
