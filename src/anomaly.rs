//! What the bytes say against the specification ([`Anomaly`]), and whether they say anything at all
//! ([`Presence`]).
//!
//! Layer 0. An anomaly is a fact about bytes, with the numbers that show it; whether it matters is
//! for a later layer to judge.

use core::fmt;

/// Whether a structure or register is there.
///
/// *Not captured* is not *absent*: absence is proved by a list that was walked to its end, never
/// assumed because the dump is short or a list is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence<T> {
    /// It is there, and this is it.
    Present(T),
    /// Proved not to be there.
    Absent,
    /// The dump does not tell: the bytes are missing, or the list that leads there is broken.
    NotCaptured,
}

impl<T> Presence<T> {
    /// The value, if present.
    #[must_use]
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::NotCaptured => None,
        }
    }

    /// The value by reference.
    #[must_use]
    pub const fn as_ref(&self) -> Presence<&T> {
        match self {
            Self::Present(value) => Presence::Present(value),
            Self::Absent => Presence::Absent,
            Self::NotCaptured => Presence::NotCaptured,
        }
    }

    /// Applies `f` to a present value.
    #[must_use]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Presence<U> {
        match self {
            Self::Present(value) => Presence::Present(f(value)),
            Self::Absent => Presence::Absent,
            Self::NotCaptured => Presence::NotCaptured,
        }
    }

    /// Applies `f` to a present value, where reading further may find the bytes missing.
    #[must_use]
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Presence<U>) -> Presence<U> {
        match self {
            Self::Present(value) => f(value),
            Self::Absent => Presence::Absent,
            Self::NotCaptured => Presence::NotCaptured,
        }
    }

    /// Whether it is proved not to be there.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the dump does not tell.
    #[must_use]
    pub const fn is_not_captured(&self) -> bool {
        matches!(self, Self::NotCaptured)
    }

    /// `present`, `absent` or `not-captured`, as in JSON output.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Present(_) => "present",
            Self::Absent => "absent",
            Self::NotCaptured => "not-captured",
        }
    }
}

/// A read that the dump cannot answer is `NotCaptured`.
impl<T> From<Option<T>> for Presence<T> {
    fn from(read: Option<T>) -> Self {
        match read {
            Some(value) => Self::Present(value),
            None => Self::NotCaptured,
        }
    }
}

/// Bytes that contradict the specification. Offsets are byte offsets in configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Anomaly {
    /// Every captured byte of the header reads FFh: the function is gone, asleep (D3cold), or not
    /// decoding.
    ConfigAllOnes,
    /// The header layout (bits 6:0 of the Header Type register) is none of 0, 1 and 2.
    HeaderTypeReserved {
        /// The layout field.
        layout: u8,
    },
    /// A capability pointer leads into the standard header (below 40h).
    CapPointerOutOfRange {
        /// Where the pointer stands.
        at: u16,
        /// Where it leads.
        target: u16,
    },
    /// A capability pointer leads to a structure that the walk has already visited.
    CapListCycle {
        /// The structure that holds the pointer.
        at: u16,
        /// Where it leads.
        target: u16,
    },
    /// A standard capability reads ID FFh: nothing answers there.
    CapAllOnes {
        /// Offset of the structure.
        at: u16,
    },
    /// A next pointer of the extended list leads below 100h.
    ExtCapPointerOutOfRange {
        /// The structure that holds the pointer.
        at: u16,
        /// Where it leads.
        target: u16,
    },
    /// A next pointer of the extended list leads to a structure already visited.
    ExtCapListCycle {
        /// The structure that holds the pointer.
        at: u16,
        /// Where it leads.
        target: u16,
    },
    /// An extended capability header reads FFFFFFFFh: nothing answers there.
    ExtCapAllOnes {
        /// Offset of the header.
        at: u16,
    },
    /// Every 256 bytes of extended space repeat the function's IDs: it is the first 256 bytes again.
    ExtSpaceAliased,
    /// A structure is longer than the space behind its offset.
    CapStructureCut {
        /// Offset of the structure.
        at: u16,
    },
    /// The ACS Control register reads FFFFh: no answer.
    AcsControlAllOnes {
        /// Offset of the register.
        at: u16,
    },
    /// ACS Control bits are set whose capability bits are 0; they have no effect.
    AcsControlWithoutCapability {
        /// Offset of the ACS Control register.
        at: u16,
        /// The bits.
        bits: u16,
    },
    /// A bridge's subordinate bus number is below its secondary one.
    BusRangeReversed {
        /// Secondary Bus Number.
        secondary: u8,
        /// Subordinate Bus Number.
        subordinate: u8,
    },
    /// A bridge's secondary bus number is not above the bus it stands on, though it is not 0.
    SecondaryNotBelow {
        /// Secondary Bus Number.
        secondary: u8,
    },
}

impl Anomaly {
    /// Stable kebab-case code, as in `findings[].code` of JSON output.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ConfigAllOnes => "config-reads-all-ones",
            Self::HeaderTypeReserved { .. } => "header-type-reserved",
            Self::CapPointerOutOfRange { .. } => "cap-pointer-out-of-range",
            Self::CapListCycle { .. } => "cap-list-cycle",
            Self::CapAllOnes { .. } => "cap-reads-all-ones",
            Self::ExtCapPointerOutOfRange { .. } => "ext-cap-pointer-out-of-range",
            Self::ExtCapListCycle { .. } => "ext-cap-list-cycle",
            Self::ExtCapAllOnes { .. } => "ext-cap-reads-all-ones",
            Self::ExtSpaceAliased => "ext-space-aliased",
            Self::CapStructureCut { .. } => "cap-structure-cut",
            Self::AcsControlAllOnes { .. } => "acs-control-reads-all-ones",
            Self::AcsControlWithoutCapability { .. } => "acs-control-without-capability",
            Self::BusRangeReversed { .. } => "bus-range-reversed",
            Self::SecondaryNotBelow { .. } => "secondary-bus-not-below",
        }
    }

    /// Whether it ended the walk of a capability list early, so that what was not found before it is
    /// not proved absent.
    #[must_use]
    pub const fn breaks_list(self) -> bool {
        matches!(
            self,
            Self::CapPointerOutOfRange { .. }
                | Self::CapListCycle { .. }
                | Self::CapAllOnes { .. }
                | Self::ExtCapPointerOutOfRange { .. }
                | Self::ExtCapListCycle { .. }
                | Self::ExtCapAllOnes { .. }
                | Self::ExtSpaceAliased
        )
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ConfigAllOnes => f.write_str("every captured byte of the header reads ff"),
            Self::HeaderTypeReserved { layout } => {
                write!(f, "header layout {layout:#04x} at 0x0e is none of 0, 1 and 2")
            }
            Self::CapPointerOutOfRange { at, target } => {
                write!(f, "capability pointer at {at:#04x} leads to {target:#04x}, inside the header")
            }
            Self::CapListCycle { at, target } => {
                write!(f, "capability at {at:#04x} points back to {target:#04x}")
            }
            Self::CapAllOnes { at } => write!(f, "capability at {at:#04x} reads ID ff"),
            Self::ExtCapPointerOutOfRange { at, target } => {
                write!(f, "extended capability at {at:#05x} points to {target:#05x}, below 0x100")
            }
            Self::ExtCapListCycle { at, target } => {
                write!(f, "extended capability at {at:#05x} points back to {target:#05x}")
            }
            Self::ExtCapAllOnes { at } => {
                write!(f, "extended capability header at {at:#05x} reads all ones")
            }
            Self::ExtSpaceAliased => f.write_str("extended space repeats the first 256 bytes"),
            Self::CapStructureCut { at } => {
                write!(f, "the structure at {at:#05x} does not fit into configuration space")
            }
            Self::AcsControlAllOnes { at } => {
                write!(f, "ACS Control at {at:#05x} reads ffff: no answer")
            }
            Self::AcsControlWithoutCapability { at, bits } => {
                write!(
                    f,
                    "ACS Control at {at:#05x} has bits {bits:#06x} set that ACS Capability does not offer"
                )
            }
            Self::BusRangeReversed { secondary, subordinate } => {
                write!(f, "subordinate bus {subordinate:02x} is below secondary bus {secondary:02x}")
            }
            Self::SecondaryNotBelow { secondary } => {
                write!(f, "secondary bus {secondary:02x} is not above the bus that the bridge stands on")
            }
        }
    }
}
