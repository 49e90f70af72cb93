//! Addresses.

use std::ffi::c_char;

use super::border::{CStatus, Failure, Output, call, fill, follow, utf8};
use crate::addr::Sbdf;

/// Address of a function.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CAddress {
    /// Segment group; Linux and libvirt call it domain. More than 16 bits occur.
    pub segment: u32,
    /// Bus number.
    pub bus: u8,
    /// Device number, 0 to 31.
    pub device: u8,
    /// Function number, 0 to 7. With ARI in use, device and function are bits 7:3 and 2:0 of the
    /// function number, as in every tool of Linux.
    pub function: u8,
}

impl CAddress {
    pub(super) fn resolve(self) -> Result<Sbdf, Failure> {
        Sbdf::new(self.segment, self.bus, self.device, self.function)
            .ok_or_else(|| Failure::argument("a device number above 31, or a function number above 7"))
    }
}

impl From<Sbdf> for CAddress {
    fn from(address: Sbdf) -> Self {
        Self {
            segment: address.segment.0,
            bus: address.bdf.bus(),
            device: address.bdf.device(),
            function: address.bdf.function(),
        }
    }
}

/// Reads an address: `0000:00:1f.2`, `00:1f.2` (segment 0), libvirt's `pci_0000_00_1f_2`, or a path that
/// ends with one of those.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_address_parse(
    text: *const c_char,
    address: *mut CAddress,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        let output = Output::new(address, "address")?;
        // SAFETY: as the module says.
        let text = unsafe { utf8(text, "text") }?;
        let parsed: Sbdf = text.parse().map_err(|error| Failure::argument(format!("{text}: {error}")))?;
        // SAFETY: as the module says.
        unsafe { output.write(parsed.into()) };
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// Writes an address as `0000:00:1f.2` and a NUL into `buffer`, if `size` bytes are room enough: 17
/// always are. `buffer` may be `NULL` if `size` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_address_format(
    address: *const CAddress,
    buffer: *mut c_char,
    size: usize,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        // SAFETY: as the module says.
        let text = unsafe { follow(address, "address") }?.resolve()?.to_string();
        if text.len() >= size || buffer.is_null() {
            return Err(Failure::argument("the buffer is too small for an address: 17 bytes are enough"));
        }
        let bytes = text.bytes().chain([0]).map(|byte| c_char::from_ne_bytes([byte]));
        // SAFETY: as the module says.
        unsafe { fill(buffer, size, bytes) };
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}
