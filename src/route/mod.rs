//! Who can reach whom, and who is kept apart: the models.
//!
//! Layer 5. [`port`] has the specification's rules for one port. [`linux`] is the kernel's own grouping, exactly, so
//! that it can be compared with `/sys/kernel/iommu_groups`.

#[cfg(feature = "alloc")]
pub mod compare;
#[cfg(feature = "alloc")]
pub mod evidence;
#[cfg(feature = "alloc")]
pub mod linux;
pub mod port;
mod reason;
#[cfg(feature = "alloc")]
mod view;

pub use reason::{Disposition, Reason};
