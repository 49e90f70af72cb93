//! Who reaches whom, over classes of functions that routing cannot tell apart.
//!
//! Functions of one kind, behind ports with equal ACS of one switch, or behind root ports with equal ACS
//! on one root bus, answer alike. A cell between two classes is therefore one pair, and 65,536 functions
//! need no 4 billion cells.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::fabric::{BusKind, Fabric, Kind, NONE};
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
pub const MAX_CLASSES: usize = 1024;

/// What routing knows of a function: equal keys mean equal answers.
type Key = (Label, u32, Beside, Signature, Signature, u8);

/// A function's ACS in numbers; the last is the function itself where no other is like it.
type Signature = (u8, u16, u16, u32);

/// What the port above stands beside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    /// On this bus, other devices.
    Bus(u32),
    /// In this device, others that may have a way of their own to it.
    Device(u32),
}

/// Which functions are not like others that have the same registers.
struct Special {
    /// Ports with a further bridge below, or with something below that is not in the dump: what stands
    /// beside such is on the way of others.
    leading: BTreeSet<u32>,
    /// Buses on which egress control decides target by target.
    controlled: BTreeSet<u32>,
}

impl Special {
    fn new(fabric: &Fabric<'_>) -> Self {
        let nodes = fabric.nodes().iter();
        let mut leading: BTreeSet<u32> =
            nodes.filter(|node| !node.initiates() && node.up != NONE).map(|node| node.up).collect();
        for (bus, place) in fabric.places().iter().enumerate() {
            if place.kind == BusKind::Orphan {
                leading.insert(fabric.attached_to(fabric.topology().on_bus(bus).start as u32));
            }
        }
        let controlled = (0..fabric.nodes().len() as u32)
            .filter(|index| fabric.has_egress_control(*index))
            .map(|index| fabric.node(index).bus)
            .collect();
        Self { leading, controlled }
    }
}

/// Where the members of a class stand: how many in each device, and on each bus.
pub(super) struct Spread {
    first: Option<FunctionIndex>,
    devices: Vec<(u32, u64)>,
    buses: Vec<(u32, u64)>,
    all: u64,
}

impl Spread {
    /// How many pairs of different functions of two classes stand to each other in each way: in one device,
    /// on one bus, apart. Classes have no member in common, unless they are the same.
    pub(super) fn counts(&self, other: &Self) -> [u64; 3] {
        let together = |a: &[(u32, u64)], b: &[(u32, u64)]| -> u64 {
            let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
            let beside = |place: u32| {
                let at = many.binary_search_by_key(&place, |(place, _)| *place).ok();
                at.and_then(|at| many.get(at)).map_or(0, |(_, count)| *count)
            };
            few.iter().map(|(place, count)| count.saturating_mul(beside(*place))).sum()
        };
        let same = if self.first == other.first { self.all } else { 0 };
        let device = together(&self.devices, &other.devices);
        let bus = together(&self.buses, &other.buses);
        let all = self.all.saturating_mul(other.all);
        [device.saturating_sub(same), bus.saturating_sub(device), all.saturating_sub(bus)]
    }
}

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
        let cells = self.pairs(&classes).into_iter().map(|(from, to, relation, pair)| {
            let (disposition, tlp, reason) = self.worst(pair, &assumptions);
            let impersonation = match self.may_impersonate(pair.0, pair.1, &assumptions) {
                true if self.scope(pair.0).unproven => None,
                may => Some(may),
            };
            Cell { from, to, relation, pair, tlp, disposition, reason, impersonation }
        });
        let cells = cells.collect();
        Ok(Matrix { classes, cells })
    }

    /// Functions with these labels (all if empty) that routing cannot tell apart, by the lowest address.
    #[must_use]
    pub fn classes(&self, labels: &[Label]) -> Vec<Class> {
        let special = Special::new(self);
        let mut by_key: BTreeMap<Key, Vec<FunctionIndex>> = BTreeMap::new();
        for (index, function) in self.topology().functions().iter().enumerate() {
            let label = Label::of(function.class);
            if self.node(index as u32).initiates() && (labels.is_empty() || labels.contains(&label)) {
                by_key.entry(self.key(index, label, &special)).or_default().push(index);
            }
        }
        let mut classes: Vec<Class> =
            by_key.into_iter().map(|(key, members)| Class { label: key.0, members }).collect();
        classes.sort_by_key(|class| class.members.first().copied());
        classes
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

    /// Where the members of a class stand.
    pub(super) fn spread(&self, class: &Class) -> Spread {
        let count = |place: &dyn Fn(u32) -> u32| {
            let mut places: Vec<u32> = class.members.iter().map(|member| place(*member as u32)).collect();
            places.sort_unstable();
            places.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len() as u64))).collect()
        };
        Spread {
            first: class.members.first().copied(),
            devices: count(&|index| self.node(index).device),
            // Functions of one device are on one bus, virtual ones as if they were.
            buses: count(&|index| self.node(index).bus),
            all: class.members.len() as u64,
        }
    }

    fn key(&self, index: FunctionIndex, label: Label, special: &Special) -> Key {
        let node = self.node(index as u32);
        let mut own = self.signature(index as u32);
        if special.controlled.contains(&node.bus) {
            own.3 = index as u32;
        }
        // What it can emit, and whether its own port is hidden.
        let traits = ((node.emits as u8) << 1) | u8::from(node.misplaced);
        if node.up == NONE {
            // On a root bus devices are told apart by their own ACS only.
            if special.leading.contains(&(index as u32)) {
                own.3 = index as u32;
            }
            return (label, NONE, Beside::Bus(node.bus), own, (0, 0, 0, NONE), traits);
        }
        let port = self.node(node.up);
        // Root ports of one device may have a way of their own between them.
        let beside = match port.kind {
            Kind::RootPort if self.is_alone(node.up) => Beside::Bus(port.bus),
            Kind::RootPort => Beside::Device(port.device),
            _ => Beside::Bus(port.bus),
        };
        // Of bridges to conventional buses, of ports that are not known, and of those that lead further,
        // each is its own.
        let alike = matches!(port.kind, Kind::RootPort | Kind::SwitchDownstreamPort)
            && !special.leading.contains(&node.up)
            && !special.controlled.contains(&port.bus);
        let which = if alike { port.up } else { node.up };
        (label, which, beside, self.signature(node.up), own, traits)
    }

    /// Whether no other function of the port's device is on its bus: neighbours would be.
    fn is_alone(&self, port: u32) -> bool {
        let device = self.node(port).device;
        let is_same = |other: Option<u32>| other.is_some_and(|other| self.node(other).device == device);
        !is_same(port.checked_sub(1)) && !is_same(port.checked_add(1))
    }

    fn has_egress_control(&self, index: u32) -> bool {
        match self.acs(index as usize) {
            Acs::Present(services) => services.offered().contains(AcsCapability::EGRESS_CONTROL),
            Acs::Absent | Acs::Unknown(_) => false,
        }
    }

    fn signature(&self, index: u32) -> Signature {
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

    /// For each two classes, and each way in which their functions stand to each other: one such pair.
    pub(super) fn pairs(
        &self,
        classes: &[Class],
    ) -> Vec<(usize, usize, Relation, (FunctionIndex, FunctionIndex))> {
        let node = |index: FunctionIndex| self.node(index as u32);
        let mut found = Vec::new();
        // On one bus, or in one device: place, class, its first member there and another; on a bus, one
        // of another device if there is any.
        for relation in [Relation::SameDevice, Relation::SameBus] {
            let mut at: Vec<(u32, usize, FunctionIndex, FunctionIndex)> = Vec::new();
            for (class, members) in classes.iter().map(|class| &class.members).enumerate() {
                for member in members {
                    let place = match relation {
                        Relation::SameDevice => node(*member).device,
                        Relation::SameBus | Relation::Apart => node(*member).bus,
                    };
                    at.push((place, class, *member, *member));
                }
            }
            at.sort_unstable();
            at.dedup_by(|next, kept| {
                let together = (next.0, next.1) == (kept.0, kept.1);
                let differs = node(kept.3).device == node(kept.2).device;
                if together && (relation == Relation::SameDevice || differs) {
                    kept.3 = next.3;
                }
                together
            });
            for together in at.chunk_by(|a, b| a.0 == b.0) {
                for (_, from, s, other_s) in together {
                    for (_, to, t, other_t) in together {
                        let stands = |(s, t): &(FunctionIndex, FunctionIndex)| {
                            let same_device = node(*s).device == node(*t).device;
                            s != t && same_device == (relation == Relation::SameDevice)
                        };
                        let pairs = [(*s, *t), (*s, *other_t), (*other_s, *t)];
                        if let Some(pair) = pairs.into_iter().find(stands) {
                            found.push((*from, *to, relation, pair));
                        }
                    }
                }
            }
        }
        // Behind different ports: of each class a member, and one that stands on another bus.
        let ends: Vec<(FunctionIndex, Option<FunctionIndex>)> = classes
            .iter()
            .filter_map(|class| {
                let first = class.members.first().copied()?;
                let elsewhere = class.members.iter().find(|member| node(**member).bus != node(first).bus);
                Some((first, elsewhere.copied()))
            })
            .collect();
        for (from, (s, other_s)) in ends.iter().enumerate() {
            for (to, (t, other_t)) in ends.iter().enumerate() {
                let pairs = [(Some(*s), Some(*t)), (Some(*s), *other_t), (*other_s, Some(*t))];
                let mut pairs = pairs.into_iter().filter_map(|(s, t)| Some((s?, t?)));
                if let Some(pair) = pairs.find(|(s, t)| node(*s).bus != node(*t).bus) {
                    found.push((from, to, Relation::Apart, pair));
                }
            }
        }
        found.sort_unstable();
        found.dedup_by_key(|(from, to, relation, _)| (*from, *to, *relation));
        found
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
