//! The ACS of one function: its registers, or what the database says of them.

use alloc::vec::Vec;

use super::{Fabric, SendsAs};
use crate::anomaly::Presence;
use crate::cap::acs::{AcsCapability, AcsControl};
use crate::db::{Alias, Claim, Entry, Subject};
use crate::function::Function;
use crate::route::Reason;
use crate::route::port::{Acs, Services};
use crate::route::view;

/// As the registers have it.
pub(super) fn by_registers(function: &Function) -> Acs {
    match function.acs {
        Presence::Absent => Acs::Absent,
        Presence::Present(acs) if acs.control.reads_all_ones() => Acs::Unknown(Reason::ControlAllOnes),
        Presence::Present(acs) => {
            Acs::Present(Services::new(acs.capability, acs.control).guessing(function.acs_guessed()))
        }
        Presence::NotCaptured if function.pcie.is_not_captured() => Acs::Unknown(Reason::TypeNotCaptured),
        Presence::NotCaptured => Acs::Unknown(Reason::AcsNotCaptured),
    }
}

/// As the first entry says that has an answer, and which one that is.
pub(super) fn by_database(fabric: &Fabric<'_>, index: usize, subject: &Subject) -> Option<(Acs, usize)> {
    let function = fabric.topology.function(index)?;
    let mut ignored = None;
    for found in fabric.database.facts(subject) {
        let Some(entry) = fabric.database.entries().get(found) else { continue };
        let acs = match &entry.claim {
            Claim::Isolates { services, open, .. } => match conditions(fabric, index, entry) {
                Condition::Holds => isolating(by_registers(function), *services, *open),
                Condition::Denied => claimed(AcsControl::empty()),
                Condition::NotKnown => Acs::Unknown(Reason::DatabaseCondition),
                Condition::DoesNotApply => continue,
            },
            Claim::DoesNotIsolate => claimed(AcsControl::empty()),
            Claim::AcsLayout { capability_offset: 4, control_offset: 8 } => wide_registers(function),
            // A record keeps the registers of that one layout only.
            Claim::AcsLayout { .. } => Acs::Unknown(Reason::AcsNotCaptured),
            Claim::IgnoreAcsCapability { cleared } => {
                ignored = ignored.or(Some((found, *cleared)));
                continue;
            }
            _ => continue,
        };
        return Some((acs, found));
    }
    let (found, cleared) = ignored?;
    let acs = function.acs.present()?;
    let capability = acs.capability.difference(AcsCapability::from_bits_retain(cleared.bits() & 0x7f));
    let acs = match by_registers(function) {
        Acs::Present(_) => Acs::Present(Services::new(capability, acs.control)),
        other => other,
    };
    Some((acs, found))
}

/// What entries say of other requester IDs that the function sends with.
pub(super) fn aliases(fabric: &Fabric<'_>, index: usize, subject: &Subject) -> Vec<SendsAs> {
    let of_entry = |found: usize| {
        let entry = fabric.database.entries().get(found)?;
        let unproven = match (&entry.claim, conditions(fabric, index, entry)) {
            (Claim::RequesterIdAlias(alias), Condition::Holds) => *alias == Alias::Unknown,
            (Claim::RequesterIdAlias(_), Condition::NotKnown) => true,
            _ => return None,
        };
        Some(SendsAs { function: index as u32, entry: found as u32, unproven })
    };
    fabric.database.facts(subject).filter_map(of_entry).collect()
}

/// Controls that an entry claims to act as if on, beside those of the registers, and those of which it
/// says nothing either way.
fn isolating(registers: Acs, services: AcsControl, open: AcsControl) -> Acs {
    let alone = |reason: Reason| match claimed(services) {
        Acs::Present(claimed) => Acs::Present(claimed.leaving_open(open).beside(reason)),
        other => other,
    };
    match registers {
        Acs::Present(own) => Acs::Present(own.claiming(services).leaving_open(open)),
        Acs::Absent => alone(Reason::MultiFunctionWithoutAcs),
        Acs::Unknown(reason) => alone(reason),
    }
}

/// Controls that an entry says act, whatever the registers have. What it does not claim is off, and never
/// *not implemented*: that would be a claim of its own.
fn claimed(services: AcsControl) -> Acs {
    let implied = AcsCapability::SOURCE_VALIDATION
        .union(AcsCapability::REQUEST_REDIRECT)
        .union(AcsCapability::COMPLETION_REDIRECT)
        .union(AcsCapability::UPSTREAM_FORWARDING);
    let claimed = AcsCapability::from_bits_retain(services.bits() & 0x7f);
    Acs::Present(Services::new(implied | claimed, services))
}

/// Both registers 32 bits wide, the capability at +4 and the control at +8.
fn wide_registers(function: &Function) -> Acs {
    match (function.acs, function.acs_dword_8()) {
        (Presence::Present(_), Some(u32::MAX)) => Acs::Unknown(Reason::ControlAllOnes),
        (Presence::Present(acs), Some(dword)) => {
            let control = AcsControl::from_bits_retain((dword & 0xffff) as u16);
            Acs::Present(Services::new(acs.capability, control).guessing(function.acs_guessed()))
        }
        (Presence::Absent, _) => Acs::Absent,
        _ => Acs::Unknown(Reason::AcsNotCaptured),
    }
}

/// What is known of an entry's conditions together.
enum Condition {
    Holds,
    Denied,
    NotKnown,
    DoesNotApply,
}

fn conditions(fabric: &Fabric<'_>, index: usize, entry: &Entry) -> Condition {
    let mut open = false;
    for condition in &entry.conditions {
        // Whether an ACPI table exists is a guess either way, and guesses do not count here.
        match view::condition(fabric.topology, index, &condition.kind, false) {
            (true, true) => {}
            (false, true) if condition.denies => return Condition::Denied,
            (false, true) => return Condition::DoesNotApply,
            (_, false) => open = true,
        }
    }
    if open { Condition::NotKnown } else { Condition::Holds }
}
