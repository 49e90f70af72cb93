//! The device database: what configuration space cannot tell, kept once, as data.
//!
//! Layer 3. An [`Entry`] says which functions it is about ([`Match`]), what it claims ([`Claim`]),
//! where that is known from, and why. Entries stand in an order; where entries of one kind answer the
//! same question, the first that matches wins. An [`Acceptance`] is something else: no fact, but a
//! decision with a name on it.
//!
//! `load` reads the built-in entries, the distribution's and the administrator's directories and the files
//! named on the command line. `README.md` beside this file explains the files to those who write them.
//!
//! Source of the built-in entries: Linux 7.2.13, drivers/pci/quirks.c, p2pdma.c and search.c.

mod accept;
mod index;
#[cfg(feature = "std")]
mod load;
#[cfg(feature = "std")]
mod parse;
#[cfg(all(test, feature = "std"))]
mod tests;

pub use accept::{Acceptance, Date, ParseSlotError, Slot, Subjects};
pub(crate) use index::Index;
#[cfg(feature = "std")]
pub use load::{Loaded, Places, Refused, RefusedBy, load};
#[cfg(feature = "std")]
pub use parse::{BUILTIN, ParseError, Problem, builtin, date, parse, parse_within};

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::cap::acs::AcsControl;
use crate::cap::pcie::DevicePortType;

/// Where an entry comes from; later layers win over earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// Compiled in.
    BuiltIn,
    /// The distribution's directory.
    Distribution,
    /// The administrator's directory.
    Administrator,
    /// A file named on the command line.
    CommandLine,
}

impl Layer {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Distribution => "distribution",
            Self::Administrator => "administrator",
            Self::CommandLine => "command-line",
        }
    }
}

/// One statement about devices.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Kebab-case name, unique within its file.
    pub name: String,
    /// Layer that it comes from.
    pub layer: Layer,
    /// File that it comes from; empty for the built-in layer.
    pub file: String,
    /// Which functions it is about.
    pub matches: Match,
    /// What it says about them.
    pub claim: Claim,
    /// What must hold beside the match and cannot be read from a dump.
    pub conditions: Vec<Condition>,
    /// Where the statement is known from.
    pub source: String,
    /// Why it is so.
    pub reason: String,
}

impl Entry {
    /// An entry without conditions that is from no file.
    #[must_use]
    pub fn new(layer: Layer, name: &str, matches: Match, claim: Claim, source: &str, reason: &str) -> Self {
        Self {
            name: name.to_owned(),
            layer,
            file: String::new(),
            matches,
            claim,
            conditions: Vec::new(),
            source: source.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Inclusive range of 16-bit IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdRange {
    /// First ID.
    pub first: u16,
    /// Last ID.
    pub last: u16,
}

/// Which functions an entry is about: all parts that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Match {
    /// Vendor ID; `None` is any.
    pub vendor: Option<u16>,
    /// Device IDs; empty is any.
    pub devices: Vec<IdRange>,
    /// Subsystem vendor and subsystem ID; empty is any.
    pub subsystems: Vec<(u16, u16)>,
    /// Revision IDs; `None` is any.
    pub revisions: Option<(u8, u8)>,
    /// Base class and sub-class, or (with `None`) the base class alone; empty is any.
    pub classes: Vec<(u8, Option<u8>)>,
    /// Device/Port Types; empty is any, also a function without a PCI Express capability.
    pub port_types: Vec<DevicePortType>,
    /// Whether the function has a PCI Express capability.
    pub pcie: Option<bool>,
    /// Whether its header is that of a PCI-to-PCI bridge (layout 1).
    pub bridge: Option<bool>,
    /// Whether it is part of a multi-function device, as the kernel counts.
    pub multi_function: Option<bool>,
    /// Whether it stands on a root bus.
    pub root_bus: Option<bool>,
    /// Function number, bits 2:0 of the address, that is excluded.
    pub not_function: Option<u8>,
    /// Whether an ACS capability is there.
    pub acs: Option<bool>,
}

/// What is known about one function when it is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Vendor ID; of a virtual function its physical function's.
    pub vendor: u16,
    /// Device ID; of a virtual function the VF Device ID of its physical function.
    pub device: u16,
    /// Subsystem vendor and subsystem ID, if known.
    pub subsystem: Option<(u16, u16)>,
    /// Revision ID.
    pub revision: u8,
    /// Base class and sub-class.
    pub class: (u8, u8),
    /// Device/Port Type after correction; `None` without a PCI Express capability.
    pub port_type: Option<DevicePortType>,
    /// Whether the header is of layout 1.
    pub bridge: bool,
    /// Whether it is part of a multi-function device, as the kernel counts.
    pub multi_function: bool,
    /// Whether it stands on a root bus.
    pub root_bus: bool,
    /// Function number, bits 2:0 of the address.
    pub function: u8,
    /// Whether an ACS capability is there.
    pub acs: bool,
}

impl Match {
    /// Whether the function is one of those meant.
    #[must_use]
    pub fn holds(&self, subject: &Subject) -> bool {
        fn agrees(wanted: Option<bool>, is: bool) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        fn listed<T>(list: &[T], is: impl FnMut(&T) -> bool) -> bool {
            list.is_empty() || list.iter().any(is)
        }
        self.vendor.is_none_or(|vendor| vendor == subject.vendor)
            && listed(&self.devices, |ids| (ids.first..=ids.last).contains(&subject.device))
            && listed(&self.subsystems, |ids| subject.subsystem == Some(*ids))
            && self.revisions.is_none_or(|(first, last)| (first..=last).contains(&subject.revision))
            && listed(&self.classes, |(base, sub)| {
                *base == subject.class.0 && sub.is_none_or(|sub| sub == subject.class.1)
            })
            && listed(&self.port_types, |port_type| subject.port_type == Some(*port_type))
            && agrees(self.pcie, subject.port_type.is_some())
            && agrees(self.bridge, subject.bridge)
            && agrees(self.multi_function, subject.multi_function)
            && agrees(self.root_bus, subject.root_bus)
            && self.not_function.is_none_or(|function| function != subject.function)
            && agrees(self.acs, subject.acs)
    }
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// The function isolates as if these ACS controls were on, whatever its registers say.
    Isolates {
        /// The controls that count as on.
        services: AcsControl,
        /// Controls that mean nothing for it, and are not asked for.
        ignored: AcsControl,
        /// Controls that may be on as well: the entry says nothing of what they let through.
        open: AcsControl,
    },
    /// The function does not isolate, whatever its registers say.
    DoesNotIsolate,
    /// The ACS registers are laid out differently: both 32 bits wide, at these offsets in the
    /// structure.
    AcsLayout {
        /// Offset of the capability register within the structure.
        capability_offset: u16,
        /// Offset of the control register within the structure.
        control_offset: u16,
    },
    /// These ACS capability bits are to be read as clear.
    IgnoreAcsCapability {
        /// The bits, at their places in either register.
        cleared: AcsControl,
    },
    /// The function also uses other requester IDs of its bus.
    RequesterIdAlias(Alias),
    /// A bridge without a PCI Express capability that acts as a PCIe-to-PCI bridge for requester IDs:
    /// it puts its secondary bus, device 0, function 0, in place of what came from below.
    BridgeSubstitutesSecondary,
    /// A PCIe-to-PCI bridge that keeps the requester IDs of what is below it.
    BridgeKeepsRequesterId,
    /// The IOMMU is attached at this bridge: requester IDs do not change above it.
    TranslationRoot,
    /// Everything in the segments that this function's driver creates uses its requester ID.
    OwnsSegment,
    /// The host bridge (or root port) is known to pass traffic between peers.
    HostBridgeP2p {
        /// Only between peers of one host bridge.
        same_host_bridge: bool,
    },
    /// Nothing that a verdict uses: it explains what else may change the picture.
    Note,
}

impl Claim {
    /// Kebab-case word: the `kind` of the entry in the file.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Isolates { .. } => "isolates",
            Self::DoesNotIsolate => "does-not-isolate",
            Self::AcsLayout { .. } => "acs-layout",
            Self::IgnoreAcsCapability { .. } => "ignore-acs-capability",
            Self::RequesterIdAlias(_) => "requester-id-alias",
            Self::BridgeSubstitutesSecondary => "bridge-substitutes-secondary",
            Self::BridgeKeepsRequesterId => "bridge-keeps-requester-id",
            Self::TranslationRoot => "translation-root",
            Self::OwnsSegment => "owns-segment",
            Self::HostBridgeP2p { .. } => "host-bridge-p2p",
            Self::Note => "note",
        }
    }
}

/// Which other requester IDs, all on the function's own bus.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alias {
    /// This function number of the function's own device.
    FunctionOfSlot(u8),
    /// These devices and functions, bits 7:0 of the ID.
    Fixed(Vec<u8>),
    /// Functions 0 up to this one of every device.
    FunctionsOfEverySlot(u8),
    /// All 256.
    All,
    /// Not known from configuration space.
    Unknown,
}

impl Alias {
    /// Whether a function at `devfn` may use the ID `other` of its bus; `None` if not known.
    #[must_use]
    pub fn covers(&self, devfn: u8, other: u8) -> Option<bool> {
        match self {
            Self::FunctionOfSlot(function) => Some(other == (devfn & 0xf8) | (function & 7)),
            Self::Fixed(devfns) => Some(devfns.contains(&other)),
            Self::FunctionsOfEverySlot(last) => Some(other & 7 <= *last),
            Self::All => Some(true),
            Self::Unknown => None,
        }
    }
}

/// What must hold beside the match, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// What is asked.
    pub kind: ConditionKind,
    /// What follows where it does not hold: `true` that the claim's opposite holds (an `isolates`
    /// entry then says *not isolated*), `false` that the entry does not apply.
    pub denies: bool,
}

impl Condition {
    /// Something that must hold; `denies`: what follows where it does not.
    #[must_use]
    pub const fn new(kind: ConditionKind, denies: bool) -> Self {
        Self { kind, denies }
    }
}

/// Conditions that a dump cannot check, or only in part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConditionKind {
    /// This ACPI table exists.
    AcpiTable(String),
    /// The kernel has run a step at boot; the text says which.
    BootStep(String),
    /// Something else; the text says what.
    Other(String),
}

impl fmt::Display for ConditionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AcpiTable(name) => write!(f, "an ACPI {name} table exists"),
            Self::BootStep(text) | Self::Other(text) => f.write_str(text),
        }
    }
}

/// All entries and acceptances, in order, with an index by vendor and device.
#[derive(Clone, Debug, Default)]
pub struct Database {
    entries: Vec<Entry>,
    acceptances: Vec<Acceptance>,
    index: Index,
    /// The same without notes, of which some are about every device.
    facts: Index,
}

/// What one database file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contents {
    /// Facts about devices, in the order of the file.
    pub entries: Vec<Entry>,
    /// What somebody accepts, in the order of the file.
    pub acceptances: Vec<Acceptance>,
}

impl Database {
    /// A database of these entries: later layers first, within a layer in the given order.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        Self::from(Contents { entries, acceptances: Vec::new() })
    }

    /// All entries in order of precedence.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All acceptances in order of precedence.
    #[must_use]
    pub fn acceptances(&self) -> &[Acceptance] {
        &self.acceptances
    }

    /// The entries about this function, in order of precedence.
    pub fn lookup<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = &'a Entry> {
        self.lookup_indices(subject).filter_map(|index| self.entries.get(index))
    }

    /// Indices into [`entries`](Self::entries) of those about this function, in order of precedence.
    /// Entries about other devices are not looked at.
    pub fn lookup_indices<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = usize> + 'a {
        self.about(&self.index, subject)
    }

    /// Those of [`lookup_indices`](Self::lookup_indices) that a verdict can rest on: all but notes.
    pub(crate) fn facts<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = usize> + 'a {
        self.about(&self.facts, subject)
    }

    fn about<'a>(&'a self, index: &'a Index, subject: &'a Subject) -> impl Iterator<Item = usize> + 'a {
        index
            .candidates(subject.vendor, subject.device)
            .filter(|at| self.entries.get(*at).is_some_and(|entry| entry.matches.holds(subject)))
    }
}

/// Later layers first, within a layer in the given order.
impl From<Contents> for Database {
    fn from(contents: Contents) -> Self {
        let Contents { mut entries, mut acceptances } = contents;
        entries.sort_by_key(|entry| core::cmp::Reverse(entry.layer));
        acceptances.sort_by_key(|acceptance| core::cmp::Reverse(acceptance.layer));
        let all = || entries.iter().enumerate();
        let index = Index::new(all().map(|(at, entry)| (at, &entry.matches)));
        let facts = all().filter(|(_, entry)| entry.claim != Claim::Note);
        let facts = Index::new(facts.map(|(at, entry)| (at, &entry.matches)));
        Self { entries, acceptances, index, facts }
    }
}
