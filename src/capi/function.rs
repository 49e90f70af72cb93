//! One function of a scan.

use std::ffi::c_char;

use super::address::CAddress;
use super::border::{CStatus, Failure, Output, call, follow, plain};
use super::open::CScan;
use crate::anomaly::Presence;

/// Whether a structure is there.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CPresence {
    /// Proved not to be there.
    Absent = 0,
    /// It is there.
    Present = 1,
    /// The dump does not tell: never to be taken for absent.
    NotCaptured = 2,
}

/// The ACS structure of a function (PCIe Base 6.x, §7.7.11 "ACS Extended Capability").
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CAcs {
    /// Whether the function has it. If not, the rest is 0.
    pub presence: CPresence,
    /// Offset in configuration space.
    pub offset: u16,
    /// ACS Capability register, as it reads: the bits of Linux's `PCI_ACS_SV` and those after it.
    pub capability: u16,
    /// ACS Control register, as it reads.
    pub control: u16,
}

/// How many functions there are. They are numbered from 0, in the order of their addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_function_count(scan: *const CScan) -> usize {
    // SAFETY: as the module says.
    plain(|| unsafe { follow(scan, "scan") }.map_or(0, |scan| scan.topology().functions().len()))
}

/// The number of the function at an address; ACSSCAN_STATUS_NOT_FOUND if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_function_find(
    scan: *const CScan,
    address: *const CAddress,
    function: *mut usize,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        let output = Output::new(function, "function")?;
        // SAFETY: as the module says.
        let (scan, address) = unsafe { (follow(scan, "scan")?, follow(address, "address")?) };
        let address = address.resolve()?;
        let found = scan.topology().index_of(address);
        let found = found.ok_or_else(|| Failure::not_found(format!("{address}: no such function")))?;
        // SAFETY: as the module says.
        unsafe { output.write(found) };
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// The address of a function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_function_address(
    scan: *const CScan,
    function: usize,
    address: *mut CAddress,
    error: *mut *mut c_char,
) -> CStatus {
    let body = |scan: &CScan, function| Ok(scan.topology().address(function).unwrap_or_default().into());
    // SAFETY: as the module says.
    unsafe { ask(scan, function, Output::new(address, "address"), error, body) }
}

/// Vendor ID in the high 16 bits, device ID in the low ones; a virtual function's are its physical
/// function's and the VF Device ID. ACSSCAN_STATUS_NOT_FOUND if the dump does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_function_ids(
    scan: *const CScan,
    function: usize,
    ids: *mut u32,
    error: *mut *mut c_char,
) -> CStatus {
    let body = |scan: &CScan, function| {
        let ids = scan.topology().ids(function);
        let known = ids.map(|(vendor, device)| u32::from(vendor) << 16 | u32::from(device));
        known.ok_or_else(|| Failure::not_found("the dump does not tell vendor and device"))
    };
    // SAFETY: as the module says.
    unsafe { ask(scan, function, Output::new(ids, "ids"), error, body) }
}

/// The ACS structure of a function, as its registers read. What the device database knows beside them
/// is in the answers about domains and routes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_function_acs(
    scan: *const CScan,
    function: usize,
    acs: *mut CAcs,
    error: *mut *mut c_char,
) -> CStatus {
    let body = |scan: &CScan, function| {
        let acs = scan.topology().function(function).map_or(Presence::NotCaptured, |function| function.acs);
        let empty = |presence| CAcs { presence, offset: 0, capability: 0, control: 0 };
        Ok(match acs {
            Presence::Absent => empty(CPresence::Absent),
            Presence::NotCaptured => empty(CPresence::NotCaptured),
            Presence::Present(acs) => CAcs {
                presence: CPresence::Present,
                offset: acs.offset.get(),
                capability: acs.capability.bits(),
                control: acs.control.bits(),
            },
        })
    };
    // SAFETY: as the module says.
    unsafe { ask(scan, function, Output::new(acs, "acs"), error, body) }
}

/// The IOMMU group that the running kernel had put the function into when the dump was taken;
/// ACSSCAN_STATUS_NOT_FOUND if the dump does not tell. `acsscan_group_of()` predicts it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_function_kernel_group(
    scan: *const CScan,
    function: usize,
    group: *mut u32,
    error: *mut *mut c_char,
) -> CStatus {
    let body = |scan: &CScan, function| {
        let attributes = scan.topology().inventory().attributes(function);
        let group = attributes.and_then(|attributes| attributes.kernel_group);
        group.ok_or_else(|| Failure::not_found("the dump does not tell the kernel's group"))
    };
    // SAFETY: as the module says.
    unsafe { ask(scan, function, Output::new(group, "group"), error, body) }
}

/// Asks about one function, whose number is checked first.
pub(super) unsafe fn ask<T>(
    scan: *const CScan,
    function: usize,
    output: Result<Output<T>, Failure>,
    error: *mut *mut c_char,
    answer: impl FnOnce(&CScan, usize) -> Result<T, Failure>,
) -> CStatus {
    let body = || {
        let output = output?;
        // SAFETY: as the module says.
        let scan = unsafe { follow(scan, "scan") }?;
        let answer = answer(scan, scan.function(function)?)?;
        // SAFETY: as the module says.
        unsafe { output.write(answer) };
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}
