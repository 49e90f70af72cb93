//! The C interface: `acsscan.h`, for hypervisors and management daemons that are not written in Rust.
//!
//! Layer 8. The functions here are what a C program calls, under their own names; `acsscan.h` is
//! generated from this module (`src/capi/acsscan.h` is a copy). How to build, link and use the library
//! is in [`crate::guide::embed`].
//!
//! Thin on purpose: nothing is judged here, and everything is checked. Ownership, threads, errors and
//! numbers are as the head of `acsscan.h` says; here types have a `C` in front (`CScan`), there they are
//! named as functions are (`acsscan_scan`).
//!
//! # Safety
//!
//! What every function here asks of its caller, so that none repeats it: a pointer is `NULL` where its
//! documentation allows that, or points to what its type says, for as long as the call lasts; an
//! address and a size name memory that may be read (a buffer: written) over its whole length; strings
//! end with a NUL; handles come from this library and have not been freed; no other thread changes
//! what is passed. A `NULL` where none is allowed is reported, not followed.
#![expect(unsafe_code, reason = "a C interface takes pointers, and exports names that are not mangled")]
#![expect(clippy::missing_safety_doc, reason = "the module's own documentation says it once, for all")]

mod address;
mod border;
mod builder;
mod check;
mod domain;
mod function;
mod open;
mod route;
#[cfg(test)]
mod tests;

pub use address::{CAddress, acsscan_address_format, acsscan_address_parse};
pub use border::{CStatus, acsscan_string_free, acsscan_version};
pub use builder::{
    CAttributes, CBuilder, acsscan_builder_add, acsscan_builder_finish, acsscan_builder_free,
    acsscan_builder_new,
};
pub use check::{CPolicy, CVerdict, acsscan_check};
pub use domain::{
    CHeldBy, acsscan_domain_count, acsscan_domain_held_by, acsscan_domain_members, acsscan_domain_of,
    acsscan_group_count, acsscan_group_members, acsscan_group_of,
};
pub use function::{
    CAcs, CPresence, acsscan_function_acs, acsscan_function_address, acsscan_function_count,
    acsscan_function_find, acsscan_function_ids, acsscan_function_kernel_group,
};
pub use open::{
    CFlag, COptions, CScan, acsscan_close, acsscan_open_live, acsscan_open_memory, acsscan_open_path,
    acsscan_problem, acsscan_problem_count,
};
pub use route::{CDisposition, CTransaction, acsscan_p2p};
