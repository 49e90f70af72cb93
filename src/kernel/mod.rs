//! What the kernel was told, and which kernel it is: releases, the command line, and what the command
//! line does to ACS.
//!
//! Layer 5. [`cmdline`] cuts the command line as the kernel does, [`acs_param`] reads the options
//! `pci=config_acs=` and `pci=disable_acs_redir=` with all their traps.

pub mod acs_param;
pub mod cmdline;
mod version;

pub use version::{ParseVersionError, Version};
