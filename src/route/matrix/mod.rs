//! Who reaches whom, over classes of functions that routing cannot tell apart.
//!
//! What becomes of a pair depends on the registers on the two ways up, on where the ways meet, and on
//! nothing else. A class is therefore one way up: functions of one kind, with equal ACS in themselves and
//! in each bridge above. A cell is two classes and the level at which they meet, and its answer that of one
//! pair; 65,536 functions need no 4 billion cells.
//!
//! Only egress control decides target by target, and what is damaged may lead anywhere: there, functions
//! and buses are classes of their own.

mod classes;
mod meetings;

use alloc::vec::Vec;

use super::fabric::{Fabric, NONE};
use super::port::TlpClass;
use super::{Assumptions, Disposition, Reason};
use crate::config::ClassCode;
use crate::topology::FunctionIndex;
pub(super) use meetings::{Meeting, Meetings};

/// What a function is for, from its class code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Label {
    /// Display controllers (03h).
    Gpu,
    /// Network controllers (02h).
    Nic,
    /// NVM Express (0108h).
    Nvme,
    /// Other mass storage (01h).
    Storage,
    /// Processing accelerators (12h).
    Accelerator,
    /// USB controllers (0C03h).
    Usb,
    /// Everything else.
    Other,
}

impl Label {
    /// All labels.
    pub const ALL: [Self; 7] =
        [Self::Gpu, Self::Nic, Self::Nvme, Self::Storage, Self::Accelerator, Self::Usb, Self::Other];

    /// The label of a class code.
    #[must_use]
    pub const fn of(class: ClassCode) -> Self {
        match (class.base, class.sub) {
            (0x03, _) => Self::Gpu,
            (0x02, _) => Self::Nic,
            (0x01, 0x08) => Self::Nvme,
            (0x01, _) => Self::Storage,
            (0x12, _) => Self::Accelerator,
            (0x0c, 0x03) => Self::Usb,
            _ => Self::Other,
        }
    }

    /// Lower-case word, as in JSON output and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Nic => "nic",
            Self::Nvme => "nvme",
            Self::Storage => "storage",
            Self::Accelerator => "accelerator",
            Self::Usb => "usb",
            Self::Other => "other",
        }
    }

    /// The label with this [`word`](Self::word), in any case and with spaces around.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.word().eq_ignore_ascii_case(word.trim()))
    }
}

/// Functions that routing cannot tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Class {
    /// What they are for.
    pub label: Label,
    /// The functions, by address.
    pub members: Vec<FunctionIndex>,
}

/// How the two functions of a cell stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Relation {
    /// Functions of one device.
    SameDevice,
    /// Different devices below one port or bridge, or on one root bus.
    SameBus,
    /// Behind, or one of them behind, bridges that are functions of one device.
    BridgesOfOneDevice,
    /// Behind different ports of one bus.
    Apart,
    /// Below different root buses, or not below one that is in the dump.
    OtherRootBus,
}

impl Relation {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SameDevice => "same-device",
            Self::SameBus => "same-bus",
            Self::BridgesOfOneDevice => "bridges-of-one-device",
            Self::Apart => "apart",
            Self::OtherRootBus => "other-root-bus",
        }
    }
}

/// The answer for all pairs of two classes that stand alike: the least safe class of transaction that
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cell {
    /// Index of the initiators' class.
    pub from: usize,
    /// Index of the targets' class.
    pub to: usize,
    /// How the pairs stand to each other.
    pub relation: Relation,
    /// How many bridges are above the bus where their ways part; 0 on and between root buses.
    pub level: u8,
    /// One such pair.
    pub pair: (FunctionIndex, FunctionIndex),
    /// The class of transaction that decides.
    pub tlp: TlpClass,
    /// What becomes of it.
    pub disposition: Disposition,
    /// Why.
    pub reason: Reason,
    /// Whether the initiators can use the targets' requester IDs; `None` if a port on the way up does not
    /// tell.
    pub impersonation: Option<bool>,
}

impl Cell {
    /// Whether every pair of it is isolated in this direction.
    #[must_use]
    pub fn isolates(&self) -> bool {
        self.disposition.isolates() && self.impersonation == Some(false)
    }
}

/// Classes, and every cell between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Matrix {
    /// The classes, by the lowest address in each.
    pub classes: Vec<Class>,
    /// The cells, by class, relation and level.
    pub cells: Vec<Cell>,
}

/// There are more cells than a matrix is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyCells {
    /// How many classes there are.
    pub classes: usize,
}

/// Most cells that a matrix is made for.
pub const MAX_CELLS: usize = 1 << 18;

impl Fabric<'_> {
    /// The matrix over the functions with these labels (all if empty), of hostile initiators.
    ///
    /// # Errors
    ///
    /// More than [`MAX_CELLS`] cells.
    pub fn matrix(&self, labels: &[Label], assumptions: &Assumptions) -> Result<Matrix, TooManyCells> {
        let assumptions = Assumptions { hostile: true, ..*assumptions };
        let (classes, class_of) = self.classes(labels);
        let Some(pairs) = Meetings::new(self, &class_of).pairs() else {
            return Err(TooManyCells { classes: classes.len() });
        };
        let cells = pairs.into_iter().map(|(meeting, (pair, _))| {
            let Meeting { from, to, relation, level } = meeting;
            let (disposition, tlp, reason) = self.worst(pair, &assumptions);
            let impersonation = match self.impersonation(pair.0, pair.1, &assumptions) {
                Some(why) if why.is_unproven() => None,
                why => Some(why.is_some()),
            };
            Cell { from, to, relation, level, pair, tlp, disposition, reason, impersonation }
        });
        Ok(Matrix { cells: cells.collect(), classes })
    }

    /// How two initiators stand to each other, and how many bridges are above the bus where their ways
    /// part: 0 on and between root buses.
    pub(super) fn stand(&self, from: FunctionIndex, to: FunctionIndex) -> (Relation, u8) {
        let (mut s, mut t) = (self.node(from as u32), self.node(to as u32));
        let mut themselves = true;
        while s.bus != t.bus {
            let lower = if s.depth >= t.depth { &mut s } else { &mut t };
            if lower.up == NONE {
                return (Relation::OtherRootBus, 0);
            }
            *lower = self.node(lower.up);
            themselves = false;
        }
        let relation = match (s.device == t.device, themselves) {
            (true, true) => Relation::SameDevice,
            (true, false) => Relation::BridgesOfOneDevice,
            (false, true) => Relation::SameBus,
            (false, false) => Relation::Apart,
        };
        (relation, s.depth)
    }

    /// The least safe of the classes of transaction that count.
    fn worst(
        &self,
        (from, to): (FunctionIndex, FunctionIndex),
        assumptions: &Assumptions,
    ) -> (Disposition, TlpClass, Reason) {
        let answers = assumptions.counted().map(|class| {
            let (disposition, reason) = self.disposition(from, to, class, assumptions);
            (disposition, class, reason)
        });
        answers.min_by_key(|(disposition, class, _)| (*disposition, *class)).unwrap_or((
            Disposition::Undetermined,
            TlpClass::MemoryUntranslated,
            Reason::NotInDump,
        ))
    }
}
