//! Findings about what the routing model names and does not follow.

use alloc::string::String;
use alloc::vec::Vec;

use super::Code;
use super::reach::Found;
use crate::config::HeaderLayout;
use crate::db::Claim;
use crate::function::Function;
use crate::route::Reason;
use crate::route::beyond::{class, evidence};
use crate::route::evidence::Evidence;
use crate::route::fabric::Fabric;
use crate::topology::FunctionIndex;

/// What one function has in force.
pub(super) fn beyond(fabric: &Fabric<'_>, index: FunctionIndex, function: &Function, found: &mut Found) {
    let beyond = fabric.topology().inventory().extras(index).map(|extras| extras.beyond).unwrap_or_default();
    let by_reason = [
        (Code::FlatteningPortal, Reason::FlatteningPortal),
        (Code::EnhancedAllocation, Reason::EnhancedAllocation),
        (Code::SubtractiveDecode, Reason::SubtractiveDecode),
        (Code::LegacyForwarding, Reason::LegacyForwarding),
    ];
    for (code, reason) in by_reason {
        // What was found and not captured shows nothing in force.
        let shown = evidence(function, &beyond, reason);
        if !shown.is_empty() {
            found.note(code, function, || shown);
        }
    }
    if let Some((offset, value)) = beyond.device_control_2 {
        let evidence = || Evidence::Register {
            function: function.address,
            register: "Device Control 2",
            offset,
            bits: String::from("AtomicOp Egress Blocking+"),
            value: u32::from(value),
        };
        found.note(Code::AtomicOpEgressBlocking, function, || Some(evidence()));
    }
    let shown = non_transparent(fabric, index, function);
    if !shown.is_empty() {
        found.note(Code::NonTransparentBridge, function, || shown);
    }
}

/// What speaks for a non-transparent bridge. Configuration space has no structure that says it: the class may,
/// and entries about the requester IDs that such a bridge sends with.
fn non_transparent(fabric: &Fabric<'_>, index: FunctionIndex, function: &Function) -> Vec<Evidence> {
    let says = match function.class.class() {
        SEMI_TRANSPARENT => "semi-transparent bridge",
        OTHER_BRIDGE if is_pcie_leaf(function) => "other bridge, without buses of its own",
        _ => return Vec::new(),
    };
    let entries = fabric.entries_about(index).filter_map(|entry| {
        let entry = fabric.database().entries().get(entry)?;
        let is_of_sender = matches!(entry.claim, Claim::RequesterIdAlias(_));
        is_of_sender.then(|| Evidence::entry(function.address, entry))
    });
    core::iter::once(class(function, says)).chain(entries).collect()
}

fn is_pcie_leaf(function: &Function) -> bool {
    function.header_type.layout() == HeaderLayout::Type0 && function.pcie.present().is_some()
}

/// Class codes, base class and sub-class. Source: PCI Code and ID Assignment Specification 1.16, §1.7 "Base
/// Class 06h".
const SEMI_TRANSPARENT: u16 = 0x0609;
const OTHER_BRIDGE: u16 = 0x0680;
