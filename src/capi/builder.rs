//! Functions handed over one by one, by callers who have read configuration space themselves.

use std::ffi::c_char;

use super::address::CAddress;
use super::border::{CStatus, Failure, Output, call, follow, follow_mut, plain, sized, slice, utf8};
use super::open::{COptions, CScan, hand_over, setup};
use crate::config::ConfigSpace;
use crate::function::{Attributes, Inventory, Record, Sink};

/// Functions that are being collected.
pub struct CBuilder {
    inventory: Inventory,
}

/// What a caller may know of a function beside its bytes. Set everything to 0, then `size`, then what
/// is known.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CAttributes {
    /// `sizeof(acsscan_attributes)`: later versions have more, and leave 0 what an earlier one lacks.
    pub size: usize,
    /// Name of the driver that is bound to it; NULL if there is none, or it is not known.
    pub driver: *const c_char,
    /// IOMMU group that the kernel put it into; NULL if not known.
    pub kernel_group: *const u32,
    /// Of a virtual function: its physical function; NULL if it is none, or not known.
    pub physical_function: *const CAddress,
    /// Whether the bytes are all of the kernel's own `config` file. Where that has 256 bytes, the kernel
    /// reads no more of the function, whatever it has.
    pub is_whole_config_file: bool,
}

/// Starts to collect functions. The result is the caller's: hand it to `acsscan_builder_finish()`, or
/// to `acsscan_builder_free()`.
#[unsafe(no_mangle)]
pub extern "C" fn acsscan_builder_new() -> *mut CBuilder {
    Box::into_raw(Box::new(CBuilder { inventory: Inventory::new() }))
}

/// Adds a function: its configuration space from offset 0 on, 64, 256 or 4096 bytes, or as much of it
/// as there is. What is not given counts as not captured, not as zero.
///
/// `attributes` may be NULL. Functions may be added in any order; of one that is added more than once
/// the record with the most bytes counts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_builder_add(
    builder: *mut CBuilder,
    address: *const CAddress,
    bytes: *const u8,
    size: usize,
    attributes: *const CAttributes,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        // SAFETY: as the module says.
        let (builder, address, bytes) = unsafe {
            (follow_mut(builder, "builder")?, follow(address, "address")?, slice(bytes, size, "bytes")?)
        };
        let address = address.resolve()?;
        if bytes.len() > usize::from(crate::config::SIZE) {
            let text = format!("{address}: {} bytes; configuration space has 4096 at most", bytes.len());
            return Err(Failure::argument(text));
        }
        // SAFETY: as the module says.
        let attributes = unsafe { self::attributes(attributes, bytes.len()) }?;
        let config = &ConfigSpace::new(bytes);
        builder.inventory.record(Record { address, config, attributes });
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// Ends collecting, and works out the scan. The builder is freed, whatever the outcome.
///
/// `options` may be `NULL`. On success `*scan` is the caller's, for `acsscan_close()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_builder_finish(
    builder: *mut CBuilder,
    options: *const COptions,
    scan: *mut *mut CScan,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        // SAFETY: as the module says; a builder comes from `acsscan_builder_new`, and goes here.
        let builder = (!builder.is_null()).then(|| unsafe { Box::from_raw(builder) });
        let builder = builder.ok_or_else(|| Failure::argument("builder is NULL"))?;
        let output = Output::new(scan, "scan")?;
        // SAFETY: as the module says.
        unsafe {
            let scan = CScan::new(builder.inventory, None, &setup(options)?)?;
            hand_over(output, scan);
        }
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// Drops what was collected. `NULL` is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_builder_free(builder: *mut CBuilder) {
    if !builder.is_null() {
        // SAFETY: by the module's contract it comes from `acsscan_builder_new`, and nobody else has it.
        plain(|| drop(unsafe { Box::from_raw(builder) }));
    }
}

unsafe fn attributes(given: *const CAttributes, bytes: usize) -> Result<Attributes, Failure> {
    if given.is_null() {
        return Ok(Attributes::default());
    }
    // SAFETY: as the module says.
    let given = unsafe { sized(given, "attributes") }?;
    let mut known = match given.is_whole_config_file {
        true => Attributes::of_config_file(bytes),
        false => Attributes::default(),
    };
    if !given.driver.is_null() {
        // SAFETY: as the module says.
        known.driver = Some(unsafe { utf8(given.driver, "attributes.driver") }?.to_owned());
    }
    // SAFETY: as the module says.
    known.kernel_group = unsafe { given.kernel_group.as_ref() }.copied();
    // SAFETY: as the module says.
    let physical = unsafe { given.physical_function.as_ref() };
    known.physical_function = physical.map(|address| address.resolve()).transpose()?;
    Ok(known)
}
