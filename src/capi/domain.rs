//! Isolation domains, and the kernel's groups.

use std::ffi::c_char;

use super::border::{CStatus, Failure, Output, call, fill, follow, plain};
use super::function::ask;
use super::open::CScan;
use crate::route::domains::HeldBy;

/// What holds an isolation domain together: the weakest of its bonds.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CHeldBy {
    /// Nothing: one function, with the ports that lead to it only.
    Nothing = 0,
    /// Direct traffic, proved.
    Direct = 1,
    /// Requester IDs that one function may use although they are another's.
    Impersonation = 2,
    /// What the dump does not tell, or the specification leaves open.
    Unproven = 3,
}

/// How many isolation domains there are. They are numbered from 0, by their lowest addresses.
///
/// A domain is a set of functions that are not proved to be kept apart: one reaches another directly,
/// may use its requester ID, or the dump does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_domain_count(scan: *const CScan) -> usize {
    // SAFETY: as the module says.
    plain(|| unsafe { follow(scan, "scan") }.map_or(0, |scan| scan.domains().len()))
}

/// The isolation domain of a function. A port belongs to the domain of what is below it, if that is one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_domain_of(
    scan: *const CScan,
    function: usize,
    domain: *mut usize,
    error: *mut *mut c_char,
) -> CStatus {
    let body = |scan: &CScan, function| {
        let domain = scan.domains().domain_of(function);
        domain.ok_or_else(|| Failure::not_found("the function is in no domain"))
    };
    // SAFETY: as the module says.
    unsafe { ask(scan, function, Output::new(domain, "domain"), error, body) }
}

/// The functions of an isolation domain, by address: writes as many as `room` into `functions`, and how
/// many there are to `count`. With a `room` of 0, `functions` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_domain_members(
    scan: *const CScan,
    domain: usize,
    functions: *mut usize,
    room: usize,
    count: *mut usize,
    error: *mut *mut c_char,
) -> CStatus {
    // SAFETY: as the module says.
    unsafe { members(scan, |scan| Ok(scan.domain(domain)?.functions()), functions, room, count, error) }
}

/// What holds an isolation domain together.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_domain_held_by(
    scan: *const CScan,
    domain: usize,
    held_by: *mut CHeldBy,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        let output = Output::new(held_by, "held_by")?;
        // SAFETY: as the module says.
        let held_by = match unsafe { follow(scan, "scan") }?.domain(domain)?.held_by() {
            None => CHeldBy::Nothing,
            Some(HeldBy::Direct) => CHeldBy::Direct,
            Some(HeldBy::Impersonation) => CHeldBy::Impersonation,
            Some(HeldBy::Unproven) => CHeldBy::Unproven,
        };
        // SAFETY: as the module says.
        unsafe { output.write(held_by) };
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// How many IOMMU groups Linux forms of these functions. They are numbered from 0, by their lowest
/// addresses: not with the numbers that a running kernel gives them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_group_count(scan: *const CScan) -> usize {
    // SAFETY: as the module says.
    plain(|| unsafe { follow(scan, "scan") }.map_or(0, |scan| scan.groups().groups.len()))
}

/// The IOMMU group that Linux puts a function into; ACSSCAN_STATUS_NOT_FOUND for those few that it puts
/// into none. `certain` (NULL is allowed) is false where something had to be guessed, because the dump
/// does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_group_of(
    scan: *const CScan,
    function: usize,
    group: *mut usize,
    certain: *mut bool,
    error: *mut *mut c_char,
) -> CStatus {
    let body = |scan: &CScan, function: usize| {
        let groups = scan.groups();
        let found = groups.group_of.get(function).copied().flatten();
        let found = found.ok_or_else(|| Failure::not_found("Linux puts the function into no group"))?;
        let is_certain = groups.groups.get(found).is_some_and(crate::route::linux::Group::is_certain);
        // SAFETY: as the module says.
        unsafe { fill(certain, 1, core::iter::once(is_certain)) };
        Ok(found)
    };
    // SAFETY: as the module says.
    unsafe { ask(scan, function, Output::new(group, "group"), error, body) }
}

/// The functions of a group, by address: as `acsscan_domain_members()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_group_members(
    scan: *const CScan,
    group: usize,
    functions: *mut usize,
    room: usize,
    count: *mut usize,
    error: *mut *mut c_char,
) -> CStatus {
    // SAFETY: as the module says.
    unsafe {
        members(scan, |scan| Ok(scan.group(group)?.functions.iter().copied()), functions, room, count, error)
    }
}

/// Writes the functions of a set, as many as there is room for, and how many there are.
unsafe fn members<'s, I: ExactSizeIterator<Item = usize>>(
    scan: *const CScan,
    list: impl FnOnce(&'s CScan) -> Result<I, Failure>,
    functions: *mut usize,
    room: usize,
    count: *mut usize,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        let output = Output::new(count, "count")?;
        // SAFETY: as the module says.
        let list = list(unsafe { follow(scan, "scan") }?)?;
        let count = list.len();
        // SAFETY: as the module says.
        unsafe {
            fill(functions, room, list);
            output.write(count);
        }
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}
