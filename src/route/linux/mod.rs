//! Linux's grouping of functions for the IOMMU, exactly.
//!
//! [`Linux`] sees each function as the kernel does ([`View`]), asks whether it isolates
//! ([`Isolation`]), and assigns groups in the order in which the kernel would ([`Linux::group`]).
//! Where the dump cannot tell, the best guess is taken and the group says that it rests on it.
//!
//! Source: Linux 7.2.13, drivers/iommu/iommu.c (`pci_device_group`), drivers/pci/search.c
//! (`pci_for_each_dma_alias`), drivers/pci/pci.c (`pci_acs_enabled`, `pci_acs_path_enabled`),
//! drivers/pci/quirks.c; alike in 6.12.117.

mod group;
mod isolation;

pub use super::view::View;
pub use group::{Cause, Dependency, Group, Grouping, Join};
pub use isolation::{Basis, Guess, Isolation};

use alloc::vec::Vec;

use crate::cap::acs::AcsControl;
use crate::config::{ClassCode, HeaderLayout};
use crate::db::{Claim, Database, Entry, Layer, Subject};
use crate::function::Function;
use crate::route::requester::{self, DriverSegments, Requester};
use crate::route::view;
use crate::topology::{FunctionIndex, Parent, Topology};

/// The ACS controls that Linux asks for: Source Validation, Request Redirect, Completion Redirect and
/// Upstream Forwarding (`REQ_ACS_FLAGS`).
pub const REQUIRED: AcsControl = AcsControl::SOURCE_VALIDATION
    .union(AcsControl::REQUEST_REDIRECT)
    .union(AcsControl::COMPLETION_REDIRECT)
    .union(AcsControl::UPSTREAM_FORWARDING);

/// The kernel's view of a topology.
#[derive(Debug)]
pub struct Linux<'a> {
    topology: &'a Topology,
    database: &'a Database,
    views: Vec<View>,
    isolations: Vec<Isolation>,
    paths: Vec<Answer>,
    has_amd_iommu: bool,
    driver_segments: DriverSegments,
    /// What the running kernel made of the machine: groups and their functions, sorted.
    formed: Vec<(u32, FunctionIndex)>,
}

/// Yes or no, and whether that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    yes: bool,
    certain: bool,
}

impl Answer {
    const YES: Self = Self { yes: true, certain: true };

    /// Certain if either is a certain no, or both are certain.
    fn and(self, other: Self) -> Self {
        let certain_no = |answer: Self| answer.certain && !answer.yes;
        Self {
            yes: self.yes && other.yes,
            certain: certain_no(self) || certain_no(other) || (self.certain && other.certain),
        }
    }
}

impl<'a> Linux<'a> {
    /// Looks at each function once. Only built-in entries of the database count: the kernel knows no
    /// others.
    #[must_use]
    pub fn new(topology: &'a Topology, database: &'a Database) -> Self {
        let count = topology.functions().len();
        let mut linux = Self {
            topology,
            database,
            views: view::views(topology),
            isolations: Vec::with_capacity(count),
            paths: Vec::with_capacity(count),
            has_amd_iommu: topology.functions().iter().any(is_amd_iommu),
            driver_segments: DriverSegments::default(),
            formed: topology.inventory().kernel_groups().map(|(index, group)| (group, index)).collect(),
        };
        // Bridges have lower addresses than what is below them, so that each step finds the step of the
        // bridge above done.
        for index in 0..count {
            let isolation = isolation::isolation(&linux, index);
            linux.isolations.push(isolation);
            let path = linux.path_from(index, isolation);
            linux.paths.push(path);
        }
        linux.formed.sort_unstable();
        let owns = |index| linux.claims(index, |claim| *claim == Claim::OwnsSegment);
        linux.driver_segments = DriverSegments::new(topology, owns);
        linux
    }

    /// The topology.
    #[must_use]
    pub const fn topology(&self) -> &'a Topology {
        self.topology
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &'a Database {
        self.database
    }

    /// Whether the dump says of any function which group the running kernel put it into.
    #[must_use]
    pub fn has_formed_groups(&self) -> bool {
        !self.formed.is_empty()
    }

    /// The functions that the running kernel put into a group of its own numbers, by address.
    pub fn formed_group(&self, group: u32) -> impl Iterator<Item = FunctionIndex> + '_ {
        let from = self.formed.partition_point(|(other, _)| *other < group);
        let rest = self.formed.get(from..).unwrap_or_default().iter();
        rest.take_while(move |(other, _)| *other == group).map(|(_, index)| *index)
    }

    /// How the kernel sees each function.
    pub(in crate::route) fn views(&self) -> &[View] {
        &self.views
    }

    /// How the kernel sees a function.
    #[must_use]
    pub fn view(&self, index: FunctionIndex) -> View {
        self.views.get(index).copied().unwrap_or_default()
    }

    /// Whether the kernel takes the function as isolating (`pci_acs_enabled` with [`REQUIRED`]).
    #[must_use]
    pub fn isolation(&self, index: FunctionIndex) -> Isolation {
        self.isolations.get(index).copied().unwrap_or_default()
    }

    /// The built-in entries about a function, in order of precedence.
    fn entries<'s>(&'s self, subject: &'s Subject) -> impl Iterator<Item = (usize, &'s Entry)> {
        self.database
            .facts(subject)
            .filter_map(|index| Some((index, self.database.entries().get(index)?)))
            .filter(|(_, entry)| entry.layer == Layer::BuiltIn)
    }

    /// Whether everything from this function up to the root isolates (`pci_acs_path_enabled`).
    fn path(&self, index: FunctionIndex) -> Answer {
        self.paths.get(index).copied().unwrap_or(Answer::YES)
    }

    fn path_from(&self, index: FunctionIndex, isolation: Isolation) -> Answer {
        let own = Answer { yes: isolation.isolates, certain: isolation.guess.is_none() };
        let above = match self.above(index) {
            Above::Root => Answer::YES,
            Above::Bridge(bridge) => self.path(bridge),
            Above::Unknown(bridge) => {
                let known = bridge.map_or(Answer::YES, |bridge| self.path(bridge));
                known.and(Answer { yes: true, certain: false })
            }
        };
        own.and(above)
    }

    /// What the kernel finds when it goes from a function's bus upwards (`bus->self`, past virtual
    /// buses, which have none).
    fn above(&self, index: FunctionIndex) -> Above {
        match self.topology.parent_of(index) {
            Parent::Root => Above::Root,
            Parent::Bridge(bridge) => Above::Bridge(bridge),
            Parent::Orphan(bridge) => Above::Unknown(bridge),
            Parent::VirtualFunctions(bus) => match self.topology.bus(bus).map(|bus| bus.parent) {
                Some(Parent::Root) => Above::Root,
                Some(Parent::Bridge(bridge)) => Above::Bridge(bridge),
                Some(Parent::Orphan(bridge)) => Above::Unknown(bridge),
                // Physical functions do not stand on such buses.
                Some(Parent::VirtualFunctions(_)) | None => Above::Unknown(None),
            },
        }
    }

    /// Whether the kernel puts the function into no group: the function through which AMD's IOMMU is
    /// found, AMD's host bridge beside it (a rule of thumb: firmware tables decide), and what has a
    /// header layout that the kernel does not take.
    #[must_use]
    pub fn is_ungrouped(&self, index: FunctionIndex) -> bool {
        let Some(function) = self.topology.function(index) else { return false };
        // The kernel takes no device with a header layout that it does not know.
        if function.answers && matches!(function.header_type.layout(), HeaderLayout::Reserved(_)) {
            return true;
        }
        if !is_of_amd(function) {
            return false;
        }
        match function.class.class() {
            ClassCode::IOMMU => true,
            ClassCode::HOST_BRIDGE if function.address.bdf.devfn() == 0 => {
                let mut others = self.topology.in_slot(index);
                others.any(|other| self.topology.function(other).is_some_and(is_amd_iommu))
            }
            _ => false,
        }
    }

    /// The function whose requester ID a function uses.
    fn requester(&self, index: FunctionIndex) -> Requester {
        self.driver_segments.requester(self.topology, index, self.root_bus_of(index))
    }

    /// Functions that could own a segment which Linux's VMD driver made: Intel's RAID controllers
    /// (class 0104h) of ordinary segments.
    fn possible_owners(&self) -> Vec<FunctionIndex> {
        let could = |function: &Function| {
            function.vendor_id == 0x8086
                && function.class.class() == 0x0104
                && !requester::is_of_driver(function.address.segment)
        };
        let functions = self.topology.functions().iter().enumerate();
        functions.filter(|(_, function)| could(function)).map(|(index, _)| index).collect()
    }

    /// Number of the root bus above a function, as far as the dump leads.
    fn root_bus_of(&self, index: FunctionIndex) -> Option<u8> {
        let mut at = index;
        loop {
            match self.above(at) {
                Above::Bridge(bridge) | Above::Unknown(Some(bridge)) => at = bridge,
                Above::Root | Above::Unknown(None) => {
                    return self.topology.function(at).map(|function| function.address.bus());
                }
            }
        }
    }

    /// Whether a function has an entry with such a claim.
    fn claims(&self, index: FunctionIndex, is: impl Fn(&Claim) -> bool) -> bool {
        self.subject(index).is_some_and(|subject| self.entries(&subject).any(|(_, entry)| is(&entry.claim)))
    }

    /// What the database is asked with; `None` where the IDs are not known.
    fn subject(&self, index: FunctionIndex) -> Option<Subject> {
        view::subject(self.topology, index, self.view(index))
    }
}

/// What is above a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    Root,
    Bridge(FunctionIndex),
    /// The dump does not tell; this bridge's range is around the bus.
    Unknown(Option<FunctionIndex>),
}

/// AMD, and Hygon, which makes the same parts.
fn is_of_amd(function: &Function) -> bool {
    function.answers && matches!(function.vendor_id, 0x1022 | 0x1d94)
}

/// The function through which AMD's IOMMU is found.
fn is_amd_iommu(function: &Function) -> bool {
    is_of_amd(function) && function.class.class() == ClassCode::IOMMU
}
