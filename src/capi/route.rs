//! Pairs: what becomes of a transaction from one function to another.

use std::ffi::c_char;

use super::border::{CStatus, Failure, Output, call, follow, owned};
use super::open::CScan;
use crate::route::Disposition;
use crate::route::port::TlpClass;

/// Class of transaction.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CTransaction {
    /// Memory request, not translated: the usual case.
    Memory = 0,
    /// Memory request that claims that an IOMMU has translated it (ATS).
    MemoryTranslated = 1,
    /// Completion with Relaxed Ordering clear.
    Completion = 2,
    /// Completion with Relaxed Ordering set.
    CompletionRelaxed = 3,
    /// I/O request.
    Io = 4,
}

/// What becomes of a transaction.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CDisposition {
    /// It reaches the target below the root complex: no IOMMU sees it.
    Direct = 0,
    /// The dump does not tell, or the specification leaves it open.
    Undetermined = 1,
    /// It is forced upstream into the root complex, where the IOMMU decides.
    Redirected = 2,
    /// It ends on the way, or is never sent.
    Blocked = 3,
}

impl From<Disposition> for CDisposition {
    fn from(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Direct => Self::Direct,
            Disposition::Undetermined => Self::Undetermined,
            Disposition::Redirected => Self::Redirected,
            Disposition::Blocked => Self::Blocked,
        }
    }
}

fn class(number: u32) -> Result<TlpClass, Failure> {
    match number {
        n if n == CTransaction::Memory as u32 => Ok(TlpClass::MemoryUntranslated),
        n if n == CTransaction::MemoryTranslated as u32 => Ok(TlpClass::MemoryTranslated),
        n if n == CTransaction::Completion as u32 => Ok(TlpClass::Completion),
        n if n == CTransaction::CompletionRelaxed as u32 => Ok(TlpClass::CompletionRelaxed),
        n if n == CTransaction::Io as u32 => Ok(TlpClass::Io),
        n => Err(Failure::argument(format!("transaction {n} is not one of acsscan_transaction"))),
    }
}

/// What becomes of a transaction from one function to another, were `from` hostile.
///
/// `transaction` is one of `acsscan_transaction`. `why` may be NULL; else it is set to one sentence
/// that names the port and the bits which decide. It is the caller's, for `acsscan_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_p2p(
    scan: *const CScan,
    from: usize,
    to: usize,
    transaction: u32,
    disposition: *mut CDisposition,
    why: *mut *mut c_char,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        let output = Output::new(disposition, "disposition")?;
        // SAFETY: as the module says.
        let scan = unsafe { follow(scan, "scan") }?;
        let (from, to, class) = (scan.function(from)?, scan.function(to)?, class(transaction)?);
        let route = scan.fabric().trace(from, to, class, scan.domains().assumptions());
        // SAFETY: as the module says.
        unsafe {
            output.write(route.disposition.into());
            if !why.is_null() {
                why.write(owned(&route.sentence(scan.topology())));
            }
        }
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}
