//! acsscan
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(not(any(feature = "mmap", feature = "capi")), forbid(unsafe_code))]
#![cfg_attr(any(feature = "mmap", feature = "capi"), deny(unsafe_code))]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod addr;
pub mod anomaly;
pub mod cap;
pub mod config;
#[cfg(feature = "alloc")]
pub mod db;
#[cfg(feature = "alloc")]
pub mod finding;
#[cfg(feature = "alloc")]
pub mod function;
pub mod route;
#[cfg(feature = "alloc")]
pub mod topology;
