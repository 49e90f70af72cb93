//! Who can reach whom, and who is kept apart: the models.
//!
//! Layer 5. [`port`] has the specification's rules for one port, [`trace`] applies them along a whole
//! route, [`domains`] to all functions at once. [`linux`] is the kernel's own grouping, exactly, so
//! that it can be compared with `/sys/kernel/iommu_groups`; [`libvirt`] and [`p2pdma`] are the checks
//! of those names. [`clique`] asks what works, rather than what is open.

#[cfg(feature = "alloc")]
pub mod accept;
#[cfg(feature = "alloc")]
pub(crate) mod beyond;
#[cfg(feature = "alloc")]
pub mod check;
#[cfg(feature = "alloc")]
pub mod clique;
#[cfg(feature = "alloc")]
pub mod compare;
#[cfg(feature = "alloc")]
pub mod device;
#[cfg(feature = "alloc")]
pub mod disagree;
#[cfg(feature = "alloc")]
pub mod domains;
#[cfg(feature = "alloc")]
pub mod effect;
#[cfg(feature = "alloc")]
pub mod evidence;
#[cfg(feature = "alloc")]
pub mod fabric;
#[cfg(feature = "alloc")]
pub mod libvirt;
#[cfg(feature = "alloc")]
pub mod linux;
#[cfg(feature = "alloc")]
pub mod matrix;
#[cfg(feature = "alloc")]
pub mod overlay;
#[cfg(feature = "alloc")]
pub mod p2pdma;
#[cfg(feature = "alloc")]
pub mod plan;
pub mod port;
mod reason;
#[cfg(feature = "alloc")]
mod requester;
#[cfg(feature = "alloc")]
pub mod trace;
#[cfg(feature = "alloc")]
mod view;

pub use reason::{Disposition, Reason};

/// What is assumed where configuration space does not tell, and what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Assumptions {
    /// The initiator is under an attacker's control: its own registers are no evidence, and it may
    /// forge requester IDs. Otherwise everything is as configured.
    pub hostile: bool,
    /// What the root complex does with traffic between different devices on root buses.
    pub root_complex: RootComplex,
    /// Completions with Relaxed Ordering and I/O requests hold domains together, too, although no ACS
    /// control can redirect either.
    pub count_relaxed_and_io: bool,
    /// Functions of one device use their own routing IDs only. Source Validation cannot tell: it sees
    /// bus numbers.
    pub trust_routing_ids: bool,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            hostile: true,
            root_complex: RootComplex::Isolates,
            count_relaxed_and_io: false,
            trust_routing_ids: true,
        }
    }
}

impl Assumptions {
    /// The default, but that functions do as their own registers say.
    #[must_use]
    pub fn as_configured() -> Self {
        Self { hostile: false, ..Self::default() }
    }

    /// The default, but for what the root complex does, which no register tells.
    #[must_use]
    pub fn without_root_complex() -> Self {
        Self { root_complex: RootComplex::Unknown, ..Self::default() }
    }
}

/// What is assumed of traffic between different devices on root buses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RootComplex {
    /// It passes the IOMMU, as Linux assumes. What hangs on bridges that are not in the dump is taken to be
    /// apart from the rest, too, or one such bridge would make one domain of the machine. Neither is proved:
    /// [`Fabric::unsettled`](fabric::Fabric::unsettled) counts and lists the pairs that rest on it.
    #[default]
    Isolates,
    /// Not known: it may be routed directly.
    Unknown,
}
