//! What caused a changed domain or group: each change of ACS registers is taken back on its own, and what
//! is no longer so without it was caused by it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{Cause, Diff, Regrouped, State};
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::topology::{FunctionIndex, Parent, Topology};

/// Most functions whose registers are taken back one by one; beyond, changes are only listed.
const TRIED: usize = 48;

/// Fills in the causes.
pub(super) fn find(before: &State<'_>, after: &State<'_>, diff: &mut Diff) {
    if diff.domains.is_empty() && diff.groups.is_empty() && diff.kernel_groups.is_empty() {
        return;
    }
    let search = Search::new(before, after, diff);
    let causes = |parts: &[Regrouped], which| -> Vec<Cause> {
        parts.iter().map(|part| search.cause(part, which)).collect()
    };
    let found = [
        causes(&diff.domains, DOMAINS),
        causes(&diff.groups, GROUPS),
        // Prediction tells of the kernel's groups, too, what they would have been.
        causes(&diff.kernel_groups, GROUPS),
    ];
    let parts = [&mut diff.domains, &mut diff.groups, &mut diff.kernel_groups];
    for (parts, causes) in parts.into_iter().zip(found) {
        parts.iter_mut().zip(causes).for_each(|(part, cause)| part.cause = cause);
    }
}

/// What is asked for the cause of each part.
struct Search<'a> {
    old: &'a Topology,
    new: &'a Topology,
    diff: &'a Diff,
    /// Indices of the changes of each function.
    changes: BTreeMap<FunctionIndex, Vec<usize>>,
    /// Functions whose ACS registers changed, and the partitions without that; `None` where they cannot be
    /// taken back.
    without: Vec<(FunctionIndex, Option<Partitions>)>,
}

impl<'a> Search<'a> {
    fn new(before: &'a State<'_>, after: &'a State<'_>, diff: &'a Diff) -> Self {
        let mut changes: BTreeMap<FunctionIndex, Vec<usize>> = BTreeMap::new();
        for (n, change) in diff.registers.iter().enumerate() {
            changes.entry(change.after).or_default().push(n);
        }
        let is_of_acs = |n: &usize| diff.registers.get(*n).is_some_and(|change| change.of_acs);
        let with_acs = changes.iter().filter(|(_, changes)| changes.iter().any(is_of_acs));
        let tried = with_acs.map(|(function, _)| *function).take(TRIED);
        let without = tried.map(|index| (index, taken_back(before, after, diff, index))).collect();
        Self { old: before.topology(), new: after.topology(), diff, changes, without }
    }

    fn cause(&self, part: &Regrouped, which: usize) -> Cause {
        let near = near(self.new, &part.functions);
        let decides = |(index, partitions): &(FunctionIndex, Option<Partitions>)| {
            let partition = partitions.as_ref().and_then(|partitions| partitions.get(which));
            partition.is_some_and(|partition| differs(part, partition)).then_some(*index)
        };
        let decisive: Vec<FunctionIndex> = self.without.iter().filter_map(decides).collect();
        let each_alone = !decisive.is_empty();
        let functions: Vec<FunctionIndex> = match each_alone {
            true => decisive,
            false => self.changes.keys().filter(|index| near.contains(index)).copied().collect(),
        };
        let changes = functions.iter().filter_map(|index| self.changes.get(index)).flatten().copied();
        let counts =
            |n: &usize| self.diff.registers.get(*n).is_some_and(|change| change.of_acs || !each_alone);
        let matching = &self.diff.matching;
        let came = matching.added.iter().chain(matching.replaced.iter().map(|(_, is)| is));
        let came = came.chain(matching.moved.iter().map(|(_, is)| is));
        let old_bridges: BTreeSet<FunctionIndex> =
            near.iter().filter_map(|is| matching.places.get(*is).copied().flatten()).collect();
        let went_near = |index: &&FunctionIndex| match self.old.parent_of(**index) {
            Parent::Bridge(bridge) => old_bridges.contains(&bridge),
            _ => false,
        };
        Cause {
            registers: changes.filter(counts).collect(),
            each_alone,
            added: came.filter(|index| near.contains(index)).copied().collect(),
            removed: matching.removed.iter().filter(went_near).copied().collect(),
        }
    }
}

/// Places in [`Partitions`].
const DOMAINS: usize = 0;
const GROUPS: usize = 1;

/// Labels of every function: domains, groups.
type Partitions = [Vec<Option<usize>>; 2];

/// The partitions after the change, but for one function's ACS registers.
fn taken_back(
    before: &State<'_>,
    after: &State<'_>,
    diff: &Diff,
    index: FunctionIndex,
) -> Option<Partitions> {
    let was = diff.matching.places.get(index).copied().flatten()?;
    let registers = before.topology().inventory().acs_registers(was)?;
    let mut topology = after.topology().clone();
    topology.set_acs_registers(index, registers);
    let fabric = Fabric::new(&topology, after.fabric.database());
    let domains = fabric.domains(after.domains.assumptions());
    let groups = Linux::new(&topology, after.fabric.database()).group().group_of;
    Some([(0..groups.len()).map(|index| domains.domain_of(index)).collect(), groups])
}

/// Whether functions are not together in a partition as they are after the change.
fn differs(part: &Regrouped, partition: &[Option<usize>]) -> bool {
    let label = |index: &FunctionIndex| partition.get(*index).copied().flatten();
    let mut seen = BTreeSet::new();
    part.after.iter().any(|together| {
        let labels: BTreeSet<Option<usize>> = together.iter().map(label).collect();
        labels.len() > 1 || labels.into_iter().any(|label| !seen.insert(label))
    })
}

/// Functions, the bridges above them, and what stands beside either.
fn near(topology: &Topology, functions: &[FunctionIndex]) -> BTreeSet<FunctionIndex> {
    let (mut near, mut climbed) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<FunctionIndex> = functions.to_vec();
    while let Some(index) = open.pop() {
        if !climbed.insert(index) {
            continue;
        }
        match topology.parent_of(index) {
            Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) => open.push(bridge),
            Parent::VirtualFunctions(bus) => open.extend(topology.on_bus(bus).next()),
            Parent::Root | Parent::Orphan(None) => {}
        }
        near.extend(topology.in_slot(index));
    }
    near
}
