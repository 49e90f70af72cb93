//! Virtual functions: which functions of the dump are one, and whose.

use alloc::vec::Vec;

use super::{Kind, Kinds};
use crate::addr::{Bdf, Sbdf, Segment};
use crate::cap::sriov::SrIov;
use crate::config::HeaderLayout;
use crate::function::{Function, Inventory};

/// What [`place_virtual_functions`] found.
pub(super) struct VirtualFunctions {
    pub(super) kinds: Kinds,
    /// Physical functions whose enabled virtual functions are not all in the dump, and how many are
    /// missing.
    pub(super) missing: Vec<(usize, u16)>,
}

/// Addresses looked up for one segment at most: twice the routing IDs that it has. Physical functions
/// that claim more than all of them together contradict each other.
const LOOKUPS_PER_SEGMENT: u32 = 0x2_0000;

/// Finds the virtual functions by the placing in their physical function's SR-IOV structure, and where
/// sysfs names the physical function, by that.
pub(super) fn place_virtual_functions(inventory: &Inventory) -> VirtualFunctions {
    let functions = inventory.functions();
    let mut kinds = Kinds::new(functions.len());
    let mut missing = Vec::new();
    let mut budget = (Segment(0), LOOKUPS_PER_SEGMENT);
    for (index, extras) in inventory.all_extras() {
        let (Some(function), Some(sriov)) = (functions.get(index), extras.sriov.present()) else { continue };
        if !kinds.settle(index, Kind::Physical) {
            continue;
        }
        if budget.0 != function.address.segment {
            budget = (function.address.segment, LOOKUPS_PER_SEGMENT);
        }
        let absent = place(inventory, index, &sriov, &mut kinds, &mut budget.1);
        if absent > 0 {
            missing.push((index, absent));
        }
    }
    for (index, function) in functions.iter().enumerate() {
        let linked = inventory.attributes(index).and_then(|known| known.physical_function);
        let linked =
            linked.and_then(|address| inventory.index_of(address)).filter(|physical| *physical < index);
        if let Some(physical) = linked {
            kinds.settle(index, Kind::Virtual(physical));
        } else if function.hides_its_ids() {
            kinds.settle(index, Kind::VirtualOfUnknown);
        }
    }
    VirtualFunctions { kinds, missing }
}

/// Marks the virtual functions of one physical function; the number of those that are missing.
fn place(inventory: &Inventory, physical: usize, sriov: &SrIov, kinds: &mut Kinds, budget: &mut u32) -> u16 {
    let functions = inventory.functions();
    let Some(owner) = functions.get(physical) else { return 0 };
    let enabled = sriov.enabled_vfs();
    let mut found = 0_u16;
    // Few functions or few virtual functions: go through whichever is fewer.
    let Some(first) = sriov.vf_address(owner.address.bdf, 0).filter(|_| enabled > 0) else { return enabled };
    let after = Sbdf { segment: owner.address.segment, bdf: first };
    let start = inventory.first_at(physical, after);
    let rest = functions.get(start..).unwrap_or_default();
    if rest.len() < usize::from(enabled) {
        for (offset, function) in rest.iter().enumerate() {
            if function.address.segment != owner.address.segment || *budget == 0 {
                break;
            }
            *budget = budget.saturating_sub(1);
            if is_placed(sriov, first, enabled, function.address.bdf) {
                found = found.saturating_add(claim(
                    functions,
                    owner,
                    sriov,
                    physical,
                    start.saturating_add(offset),
                    kinds,
                ));
            }
        }
    } else {
        let mut next = start;
        for n in 0..enabled {
            let Some(bdf) = sriov.vf_address(owner.address.bdf, n).filter(|_| *budget > 0) else { break };
            *budget = budget.saturating_sub(1);
            let address = Sbdf { segment: owner.address.segment, bdf };
            // They come in order, mostly one behind the other.
            next = inventory.first_at(next, address);
            if functions.get(next).is_some_and(|function| function.address == address) {
                found = found.saturating_add(claim(functions, owner, sriov, physical, next, kinds));
            }
        }
    }
    enabled.saturating_sub(found)
}

/// Whether one of `enabled` virtual functions from `first` on has this address.
fn is_placed(sriov: &SrIov, first: Bdf, enabled: u16, bdf: Bdf) -> bool {
    let Some(distance) = bdf.to_bits().checked_sub(first.to_bits()) else { return false };
    let (Some(n), Some(remainder)) =
        (distance.checked_div(sriov.vf_stride), distance.checked_rem(sriov.vf_stride))
    else {
        return distance == 0;
    };
    remainder == 0 && n < enabled
}

/// Marks the function as virtual if it looks like one; 1 if it does. Something else at such an address
/// means that the placing is wrong, or older than the rest of the dump.
fn claim(
    functions: &[Function],
    owner: &Function,
    sriov: &SrIov,
    physical: usize,
    index: usize,
    kinds: &mut Kinds,
) -> u16 {
    let Some(function) = functions.get(index) else { return 0 };
    let silent = !function.answers || function.hides_its_ids();
    let named = function.vendor_id == owner.vendor_id && function.device_id == sriov.vf_device_id;
    let layout_0 = function.header_type.layout() == HeaderLayout::Type0;
    let fits = index != physical && layout_0 && (silent || named);
    u16::from(fits && kinds.settle(index, Kind::Virtual(physical)))
}
