//! Who reaches whom, over classes of functions that routing cannot tell apart.
//!
//! Functions of one kind, behind ports with equal ACS of one switch (or of one root port device), answer
//! alike. A cell between two classes is therefore one pair, and 65,536 functions need no 4 billion cells.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::fabric::{Fabric, Kind, NONE};
use super::port::{Acs, TlpClass};
use super::{Assumptions, Disposition, Reason};
use crate::cap::acs::AcsCapability;
use crate::config::ClassCode;
use crate::topology::FunctionIndex;

/// What a function is for, from its class code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The label with this [`word`](Self::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.word() == word)
    }
}

/// Functions that routing cannot tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// What they are for.
    pub label: Label,
    /// The functions, by address.
    pub members: Vec<FunctionIndex>,
}

/// How the two functions of a cell stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// Functions of one device.
    SameDevice,
    /// Different devices below one port or bridge, or on one root bus.
    SameBus,
    /// Behind different ports.
    Apart,
}

impl Relation {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SameDevice => "same-device",
            Self::SameBus => "same-bus",
            Self::Apart => "apart",
        }
    }
}

/// The answer for all pairs of two classes that stand alike: the least safe class of transaction that
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Index of the initiators' class.
    pub from: usize,
    /// Index of the targets' class.
    pub to: usize,
    /// How the pairs stand to each other.
    pub relation: Relation,
    /// One such pair.
    pub pair: (FunctionIndex, FunctionIndex),
    /// The class of transaction that decides.
    pub tlp: TlpClass,
    /// What becomes of it.
    pub disposition: Disposition,
    /// Why.
    pub reason: Reason,
}

/// Classes, and every cell between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    /// The classes, by the lowest address in each.
    pub classes: Vec<Class>,
    /// The cells, by class and relation.
    pub cells: Vec<Cell>,
}

/// There are too many classes for a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyClasses {
    /// How many there are.
    pub classes: usize,
}

/// Most classes that a matrix is made for.
pub const MAX_CLASSES: usize = 512;

/// What routing knows of a function: equal keys mean equal answers.
type Key = (Label, u32, u32, (u8, u16, u16, u32), (u8, u16, u16, u32), u8);

impl Fabric<'_> {
    /// The matrix over the functions with these labels (all if empty), of hostile initiators.
    ///
    /// # Errors
    ///
    /// More than [`MAX_CLASSES`] classes.
    pub fn matrix(&self, labels: &[Label], assumptions: &Assumptions) -> Result<Matrix, TooManyClasses> {
        let assumptions = Assumptions { hostile: true, ..*assumptions };
        let classes = self.classes(labels);
        if classes.len() > MAX_CLASSES {
            return Err(TooManyClasses { classes: classes.len() });
        }
        let mut cells = Vec::new();
        for (from, a) in classes.iter().enumerate() {
            for (to, b) in classes.iter().enumerate() {
                for relation in [Relation::SameDevice, Relation::SameBus, Relation::Apart] {
                    if let Some(pair) = self.pair(a, b, relation) {
                        let (disposition, tlp, reason) = self.worst(pair, &assumptions);
                        cells.push(Cell { from, to, relation, pair, tlp, disposition, reason });
                    }
                }
            }
        }
        Ok(Matrix { classes, cells })
    }

    /// Functions with these labels (all if empty) that routing cannot tell apart, by the lowest address.
    #[must_use]
    pub fn classes(&self, labels: &[Label]) -> Vec<Class> {
        // Ports with a further bridge below: what stands beside such a bridge is on the way of others.
        let nodes = self.nodes().iter();
        let leading: BTreeSet<u32> =
            nodes.filter(|node| !node.initiates() && node.up != NONE).map(|node| node.up).collect();
        // Buses on which egress control decides target by target.
        let controlled: BTreeSet<u32> = (0..self.nodes().len() as u32)
            .filter(|index| self.has_egress_control(*index))
            .map(|index| self.node(index).bus)
            .collect();
        let mut by_key: BTreeMap<Key, Vec<FunctionIndex>> = BTreeMap::new();
        for (index, function) in self.topology().functions().iter().enumerate() {
            let label = Label::of(function.class);
            if self.node(index as u32).initiates() && (labels.is_empty() || labels.contains(&label)) {
                by_key.entry(self.key(index, label, &leading, &controlled)).or_default().push(index);
            }
        }
        let mut classes: Vec<Class> =
            by_key.into_iter().map(|(key, members)| Class { label: key.0, members }).collect();
        classes.sort_by_key(|class| class.members.first().copied());
        classes
    }

    fn key(
        &self,
        index: FunctionIndex,
        label: Label,
        leading: &BTreeSet<u32>,
        controlled: &BTreeSet<u32>,
    ) -> Key {
        let node = self.node(index as u32);
        let mut own = self.signature(index as u32);
        if controlled.contains(&node.bus) {
            own.3 = index as u32;
        }
        // What it can emit, and whether its own port is hidden.
        let traits = ((node.emits as u8) << 1) | u8::from(node.misplaced);
        if node.up == NONE {
            // On a root bus devices are told apart by their own ACS only.
            return (label, NONE, node.bus, own, (0, 0, 0, NONE), traits);
        }
        let port = self.node(node.up);
        // Root ports of one device may have a way of their own between them.
        let beside = if port.kind == Kind::RootPort { port.device } else { port.bus };
        // Of bridges to conventional buses, of ports that are not known, and of those that lead further,
        // each is its own.
        let alike = matches!(port.kind, Kind::RootPort | Kind::SwitchDownstreamPort)
            && !leading.contains(&node.up)
            && !controlled.contains(&port.bus);
        let which = if alike { port.up } else { node.up };
        (label, which, beside, self.signature(node.up), own, traits)
    }

    fn has_egress_control(&self, index: u32) -> bool {
        match self.acs(index as usize) {
            Acs::Present(services) => services.offered().contains(AcsCapability::EGRESS_CONTROL),
            Acs::Absent | Acs::Unknown(_) => false,
        }
    }

    /// A function's ACS in numbers.
    fn signature(&self, index: u32) -> (u8, u16, u16, u32) {
        match self.acs(index as usize) {
            Acs::Present(services) => {
                // What is not known makes each its own.
                let which = if services.guessed().is_empty() { NONE } else { index };
                (0, services.offered().bits(), services.enabled().bits(), which)
            }
            Acs::Absent => (1, 0, 0, NONE),
            Acs::Unknown(reason) => (2, reason as u16, 0, NONE),
        }
    }

    /// How two functions stand to each other.
    pub(super) fn relation(&self, a: FunctionIndex, b: FunctionIndex) -> Relation {
        let (s, t) = (self.node(a as u32), self.node(b as u32));
        if s.device == t.device {
            Relation::SameDevice
        } else if s.bus == t.bus {
            Relation::SameBus
        } else {
            Relation::Apart
        }
    }

    /// How many pairs of different functions of two classes stand to each other in each way: in one
    /// device, on one bus, apart.
    pub(super) fn pairs(&self, a: &Class, b: &Class) -> [u64; 3] {
        let count = |class: &Class, place: &dyn Fn(u32) -> u32| {
            let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
            for member in &class.members {
                let slot = counts.entry(place(*member as u32)).or_default();
                *slot = slot.saturating_add(1);
            }
            counts
        };
        let together = |place: &dyn Fn(u32) -> u32| -> u64 {
            let (a, b) = (count(a, place), count(b, place));
            a.iter().map(|(at, n)| n.saturating_mul(b.get(at).copied().unwrap_or(0))).sum()
        };
        let same = if a.members == b.members { a.members.len() as u64 } else { 0 };
        let device = together(&|index| self.node(index).device);
        // Functions of one device are on one bus, virtual ones as if they were.
        let bus = together(&|index| self.node(index).bus);
        let all = (a.members.len() as u64).saturating_mul(b.members.len() as u64);
        [device.saturating_sub(same), bus.saturating_sub(device), all.saturating_sub(bus)]
    }

    /// The first pair of two classes that stands so.
    pub(super) fn pair(
        &self,
        a: &Class,
        b: &Class,
        relation: Relation,
    ) -> Option<(FunctionIndex, FunctionIndex)> {
        let node = |index: FunctionIndex| self.node(index as u32);
        let stands =
            |from: FunctionIndex, to: FunctionIndex| from != to && self.relation(from, to) == relation;
        // Members come by address: those of one device, and of one bus, are neighbours.
        let first = a.members.first().copied()?;
        if relation == Relation::Apart {
            let last = a.members.last().copied()?;
            let ends = [b.members.first().copied()?, b.members.last().copied()?];
            let pairs = [(first, ends[0]), (first, ends[1]), (last, ends[0]), (last, ends[1])];
            return pairs.into_iter().find(|(from, to)| stands(*from, *to));
        }
        let place = |index: FunctionIndex| match relation {
            Relation::SameDevice => node(index).device,
            _ => node(index).bus,
        };
        let mut of_b: BTreeMap<u32, (FunctionIndex, FunctionIndex)> = BTreeMap::new();
        for member in &b.members {
            of_b.entry(place(*member)).and_modify(|(_, last)| *last = *member).or_insert((*member, *member));
        }
        a.members.iter().find_map(|from| {
            let (first, last) = of_b.get(&place(*from))?;
            [*first, *last].into_iter().find(|to| stands(*from, *to)).map(|to| (*from, to))
        })
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
