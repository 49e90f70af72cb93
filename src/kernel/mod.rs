//! What the kernel was told, and which kernel it is: releases, the command line, and what the command
//! line does to ACS; whether there is an IOMMU and how it is used; why the running kernel's groups are
//! not the model's.
//!
//! Layer 5. [`cmdline`] cuts the command line as the kernel does, [`acs_param`] reads the options
//! `pci=config_acs=` and `pci=disable_acs_redir=` with all their traps, [`lint`] says which parameters
//! do not do what they look like.

mod acs_index;
pub mod acs_param;
pub mod cmdline;
mod difference;
mod host;
pub mod lint;
mod version;

pub use difference::{Explanation, explain};
pub use host::{Board, Host, IOMMU_TABLES, Iommu, Mode};
pub use version::{ParseVersionError, Version};
