//! Who answers: the specification, the kernel, or libvirt; and what each objects to.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::survey::LISTED;
use super::{Assignment, Way};
use crate::function::{Function, RegionKind};
use crate::route::libvirt;
use crate::route::linux::{Grouping, Linux};
use crate::topology::{FunctionIndex, Topology};

/// Whose rules decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// The specification's, strictly: nothing that is not proved to be kept apart.
    Spec,
    /// The kernel's groups, as VFIO asks for them.
    Linux,
    /// libvirt's own check.
    Libvirt,
    /// libvirt with `relaxed_acs_check`.
    Relaxed,
}

impl Policy {
    /// All policies.
    pub const ALL: [Self; 4] = [Self::Spec, Self::Linux, Self::Libvirt, Self::Relaxed];

    /// Lower-case word, as in JSON output and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Linux => "linux",
            Self::Libvirt => "libvirt",
            Self::Relaxed => "relaxed",
        }
    }

    /// What it says where nothing speaks against assigning functions, whose addresses follow.
    #[must_use]
    pub const fn grant(self) -> &'static str {
        match self {
            Self::Spec => "nothing that stays outside shares an isolation domain with",
            Self::Linux => "nothing that could stay in use shares an IOMMU group with",
            Self::Libvirt => "no switch downstream port without ACS is above",
            Self::Relaxed => "nothing is asked of the ports above",
        }
    }
}

/// Why a policy objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Something outside is not kept apart.
    NotIsolated,
    /// A bridge that is not in the dump would have to keep it apart.
    BridgeNotInDump,
    /// It is no endpoint: bridges and ports are not assigned.
    NotAnEndpoint,
    /// Others are in its IOMMU group.
    GroupShared,
    /// The kernel puts it into no group, or has put others into groups and not this one.
    NoGroup,
    /// The dump does not tell its group for certain.
    GroupPredicted,
    /// Firmware demands that the IOMMU maps memory to itself for it, and the kernel refuses then.
    DirectMapping,
    /// A switch downstream port above it lacks ACS.
    BehindSwitch,
    /// The ACS of a switch port above it is not in the dump.
    SwitchNotCaptured,
    /// libvirt finds no bridge above it, although it is not on bus 0.
    NoParent,
    /// The host has no IOMMU in use.
    NoIommu,
}

impl Cause {
    /// Kebab-case code, as in JSON output.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotIsolated => "not-isolated",
            Self::BridgeNotInDump => "bridge-not-in-dump",
            Self::NotAnEndpoint => "not-an-endpoint",
            Self::GroupShared => "group-shared",
            Self::NoGroup => "no-group",
            Self::GroupPredicted => "group-predicted",
            Self::DirectMapping => "direct-mapping",
            Self::BehindSwitch => "behind-switch-lacking-acs",
            Self::SwitchNotCaptured => "switch-not-captured",
            Self::NoParent => "no-parent",
            Self::NoIommu => "no-iommu",
        }
    }

    /// In words, to follow the function's address.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotIsolated => "is not kept apart from functions outside",
            Self::BridgeNotInDump => {
                "is next to a bridge that is not in the dump, and nothing else is known to keep it apart from what \
                 is beyond"
            }
            Self::NotAnEndpoint => "is a bridge or a port, which nobody assigns",
            Self::GroupShared => "shares its IOMMU group with functions outside",
            Self::NoGroup => "is put into no IOMMU group by the kernel: no IOMMU is behind it",
            Self::GroupPredicted => "is in an IOMMU group that is a prediction: the dump does not tell",
            Self::DirectMapping => {
                "has memory that firmware demands to be mapped directly (RMRR or the like), and the kernel refuses then"
            }
            Self::BehindSwitch => "is behind a switch whose downstream port lacks ACS",
            Self::SwitchNotCaptured => "is behind a switch port whose ACS is not in the dump",
            Self::NoParent => {
                "has no bridge above it although it is not on bus 0, which libvirt takes for an error"
            }
            Self::NoIommu => "is of a host that has no IOMMU in use: nothing can be assigned safely",
        }
    }
}

/// Something that a policy objects to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Objection {
    /// What it is.
    pub cause: Cause,
    /// Whether it holds for certain; otherwise the dump does not tell.
    pub certain: bool,
    /// Which of the functions that are to be assigned.
    pub function: FunctionIndex,
    /// The port that it is about, or the functions outside.
    pub others: Vec<FunctionIndex>,
    /// How many more there are: of a [`Survey`](super::Survey) an answer may list the first only.
    pub more: usize,
}

/// A policy's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// Whose answer it is.
    pub policy: Policy,
    /// What it objects to; nothing if the functions may be assigned.
    pub objections: Vec<Objection>,
    /// What would have to be assigned together, the functions and ports included, sorted.
    pub unit: Vec<FunctionIndex>,
    /// What crosses the border and the policy does not see: index into [`Assignment::ways`], and the
    /// functions outside.
    pub lets_through: Vec<(usize, Vec<FunctionIndex>)>,
}

impl Judgement {
    /// Objects that the host has no IOMMU in use, which everything here relies on. libvirt's check does
    /// not ask.
    pub fn miss_iommu(&mut self, functions: &[FunctionIndex]) {
        if let (Policy::Spec | Policy::Linux, Some(function)) = (self.policy, functions.first()) {
            let (cause, others) = (Cause::NoIommu, Vec::new());
            self.objections
                .insert(0, Objection { cause, certain: true, function: *function, others, more: 0 });
        }
    }

    /// Whether it refuses for certain.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.objections.iter().any(|objection| objection.certain)
    }
}

impl Assignment<'_> {
    /// What a policy answers.
    #[must_use]
    pub fn judge(&self, policy: Policy, linux: &Linux<'_>, grouping: &Grouping) -> Judgement {
        let topology = linux.topology();
        let mut judgement =
            Judgement { policy, objections: Vec::new(), unit: self.inside.clone(), lets_through: Vec::new() };
        match policy {
            Policy::Spec => self.by_specification(&mut judgement, linux),
            Policy::Linux => self.by_kernel(&mut judgement, linux, grouping),
            Policy::Libvirt => self.by_libvirt(&mut judgement, topology, true),
            Policy::Relaxed => self.by_libvirt(&mut judgement, topology, false),
        }
        judgement
            .objections
            .sort_by_key(|objection| (!objection.certain, objection.function, objection.cause));
        judgement.unit.sort_unstable();
        judgement.unit.dedup();
        if self.by_domains.is_some() {
            // Not every way was looked at.
            return judgement;
        }
        // What the policy takes to be with the functions it does see.
        let mut seen = judgement.unit.clone();
        if policy == Policy::Libvirt {
            seen.extend(self.below_one_switch(&judgement, topology));
            seen.sort_unstable();
        }
        for (index, way) in self.ways.iter().enumerate() {
            let unseen = way.outside.iter().copied().filter(|other| seen.binary_search(other).is_err());
            let unseen: Vec<_> = unseen.collect();
            if !unseen.is_empty() {
                judgement.lets_through.push((index, unseen));
            }
        }
        judgement
    }

    /// Bridges and ports among the functions.
    fn bridges(&self, topology: &Topology) -> impl Iterator<Item = Objection> {
        let is_bridge = |f: &FunctionIndex| topology.function(*f).is_some_and(Function::is_bridge);
        let objection = |function: FunctionIndex| Objection {
            cause: Cause::NotAnEndpoint,
            certain: true,
            function,
            others: Vec::new(),
            more: 0,
        };
        self.inside.iter().copied().filter(is_bridge).map(objection)
    }

    /// Functions that the running kernel has put into no group although it has formed groups: no IOMMU
    /// stands behind them.
    fn ungrouped(&self, linux: &Linux<'_>) -> impl Iterator<Item = Objection> {
        let is_ungrouped = |f: &FunctionIndex| linux.has_formed_groups() && formed(linux, *f).is_none();
        let objection = |function: FunctionIndex| Objection {
            cause: Cause::NoGroup,
            certain: true,
            function,
            others: Vec::new(),
            more: 0,
        };
        self.inside.iter().copied().filter(is_ungrouped).map(objection)
    }

    fn by_specification(&self, judgement: &mut Judgement, linux: &Linux<'_>) {
        judgement.unit.extend(&self.unit);
        judgement.objections.extend(self.bridges(linux.topology()));
        judgement.objections.extend(self.ungrouped(linux));
        let open: Vec<&Way<'_>> = self.ways.iter().filter(|way| way.accepted.is_none()).collect();
        let each = if self.by_domains.is_some() { &[][..] } else { &self.inside };
        for function in each {
            let of = |proved: bool| {
                let ways = open.iter().filter(|way| way.proved == proved && way.inside.contains(function));
                let mut others: Vec<FunctionIndex> =
                    ways.flat_map(|way| way.outside.iter().copied()).collect();
                others.sort_unstable();
                others.dedup();
                others
            };
            for certain in [true, false] {
                let others = of(certain);
                if !others.is_empty() {
                    let (cause, function) = (Cause::NotIsolated, *function);
                    judgement.objections.push(Objection { cause, certain, function, others, more: 0 });
                }
            }
        }
        for (function, others) in &self.behind_missing {
            judgement.objections.push(Objection {
                cause: Cause::BridgeNotInDump,
                certain: false,
                function: *function,
                others: others.clone(),
                more: 0,
            });
        }
        // More than could be looked at, or nothing that is seen pair by pair: the domains decide.
        let unexplained = !self.outside.is_empty() && self.ways.is_empty();
        if !self.complete || unexplained {
            let first = || self.inside.first().map(|function| (*function, 0));
            if let Some((function, more)) = self.by_domains.or_else(first) {
                judgement.objections.push(Objection {
                    cause: Cause::NotIsolated,
                    certain: self.proved,
                    function,
                    others: self.outside.clone(),
                    more,
                });
            }
        }
    }

    fn by_kernel(&self, judgement: &mut Judgement, linux: &Linux<'_>, grouping: &Grouping) {
        let topology = linux.topology();
        judgement.objections.extend(self.bridges(topology));
        judgement.objections.extend(self.ungrouped(linux));
        // The members of each group that stay outside, how many more there are, and whether it is certain.
        let mut known: BTreeMap<Group, Option<(Vec<FunctionIndex>, usize, bool)>> = BTreeMap::new();
        for function in &self.inside {
            let mut object = |cause, certain, others, more| {
                judgement.objections.push(Objection { cause, certain, function: *function, others, more });
            };
            let group = match formed(linux, *function) {
                Some(group) => Group::Formed(group),
                // Said already.
                None if linux.has_formed_groups() => continue,
                None => Group::Predicted(grouping.group_of.get(*function).copied().flatten()),
            };
            let found = known.entry(group).or_insert_with(|| {
                let (members, certain) = group.members(linux, grouping)?;
                if self.by_domains.is_none() {
                    judgement.unit.extend(&members);
                }
                let (others, more) = self.outside_of(members, topology);
                Some((others, more, certain))
            });
            let Some((others, more, certain)) = found else {
                object(Cause::NoGroup, true, Vec::new(), 0);
                continue;
            };
            if !others.is_empty() {
                object(Cause::GroupShared, *certain, others.clone(), *more);
            } else if !*certain {
                object(Cause::GroupPredicted, false, Vec::new(), 0);
            }
            if demands_direct_mapping(linux, *function) {
                object(Cause::DirectMapping, true, Vec::new(), 0);
            }
        }
    }

    /// The members of a group that stay outside and can be in use: of an answer of the domains alone the first,
    /// and how many more.
    fn outside_of(
        &self,
        mut members: Vec<FunctionIndex>,
        topology: &Topology,
    ) -> (Vec<FunctionIndex>, usize) {
        let is_bridge = |f: &FunctionIndex| topology.function(*f).is_some_and(Function::is_bridge);
        members.retain(|other| self.inside.binary_search(other).is_err() && !is_bridge(other));
        let all = members.len();
        if self.by_domains.is_some() {
            members.truncate(LISTED);
        }
        let more = all.saturating_sub(members.len());
        (members, more)
    }

    fn by_libvirt(&self, judgement: &mut Judgement, topology: &Topology, strict: bool) {
        for function in &self.inside {
            let verdict = libvirt::verdict(topology, *function);
            let (cause, others) = match verdict {
                libvirt::Verdict::Assignable => continue,
                libvirt::Verdict::Lacking(port) => (Cause::BehindSwitch, Vec::from([port])),
                libvirt::Verdict::Unknown(port) => (Cause::SwitchNotCaptured, Vec::from([port])),
                libvirt::Verdict::Error => (Cause::NoParent, Vec::new()),
                libvirt::Verdict::NotAssignable => (Cause::NotAnEndpoint, Vec::new()),
            };
            if let Some(certain) = match verdict.assignable(strict) {
                Some(true) => None,
                Some(false) => Some(true),
                None => Some(false),
            } {
                judgement.objections.push(Objection { cause, certain, function: *function, others, more: 0 });
            }
        }
    }

    /// What is below one switch with the functions that libvirt refuses for it.
    fn below_one_switch(&self, judgement: &Judgement, topology: &Topology) -> Vec<FunctionIndex> {
        let refused: Vec<FunctionIndex> = judgement
            .objections
            .iter()
            .filter(|objection| objection.cause == Cause::BehindSwitch)
            .map(|objection| objection.function)
            .collect();
        if refused.is_empty() {
            return Vec::new();
        }
        let parts = libvirt::partition(topology);
        let of = |function: &FunctionIndex| parts.get(*function).copied();
        let own: Vec<_> = refused.iter().filter_map(of).collect();
        parts.iter().enumerate().filter(|(_, part)| own.contains(part)).map(|(index, _)| index).collect()
    }
}

/// A group of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// One that the running kernel made, which is what VFIO will ask for.
    Formed(u32),
    /// One that it would make, if it would.
    Predicted(Option<usize>),
}

impl Group {
    /// Its functions, and whether they are certain.
    fn members(self, linux: &Linux<'_>, grouping: &Grouping) -> Option<(Vec<FunctionIndex>, bool)> {
        match self {
            Self::Formed(group) => Some((linux.formed_group(group).collect(), true)),
            Self::Predicted(id) => {
                let group = grouping.groups.get(id?)?;
                Some((group.functions.clone(), group.is_certain()))
            }
        }
    }
}

/// The group that the running kernel put a function into, as far as the dump says.
fn formed(linux: &Linux<'_>, function: FunctionIndex) -> Option<u32> {
    linux.topology().inventory().attributes(function)?.kernel_group
}

/// Whether the kernel knows of a region that firmware demands to be mapped to itself.
fn demands_direct_mapping(linux: &Linux<'_>, function: FunctionIndex) -> bool {
    let regions = |group| linux.topology().inventory().reserved_regions(group);
    let regions = formed(linux, function).map_or(&[][..], regions);
    regions.iter().any(|region| region.kind == RegionKind::Direct)
}

/// What is done about what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It keeps the answer from being given.
    #[default]
    Fail,
    /// It is told, and counts as well.
    Warn,
    /// It counts as well.
    Pass,
}

impl Unknown {
    /// Lower-case word, as in JSON output and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Pass => "pass",
        }
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The functions may be assigned together.
    Assignable,
    /// They may, because somebody has accepted what is left open.
    Accepted,
    /// Nothing speaks against it for certain, and not everything is known.
    Inconclusive,
    /// They may not.
    NotAssignable,
}

impl Verdict {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Assignable => "assignable",
            Self::Accepted => "accepted",
            Self::Inconclusive => "inconclusive",
            Self::NotAssignable => "not-assignable",
        }
    }
}

impl Judgement {
    /// The answer. `missing`: the dump lacks parts that could change it. What is refused for certain wins
    /// over what is not known.
    #[must_use]
    pub fn verdict(&self, assignment: &Assignment<'_>, missing: bool, unknown: Unknown) -> Verdict {
        // libvirt asks nothing else than what it objects to.
        let missing = missing && matches!(self.policy, Policy::Spec | Policy::Linux);
        let open = missing || !self.objections.is_empty();
        if self.refuses() {
            Verdict::NotAssignable
        } else if open && unknown == Unknown::Fail {
            Verdict::Inconclusive
        } else if self.policy == Policy::Spec && !open && assignment.accepted().next().is_some() {
            Verdict::Accepted
        } else {
            Verdict::Assignable
        }
    }
}
