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
    let mut of_function: BTreeMap<FunctionIndex, Vec<usize>> = BTreeMap::new();
    for (n, change) in diff.registers.iter().enumerate() {
        of_function.entry(change.after).or_default().push(n);
    }
    let with_acs = |changes: &[usize]| {
        changes.iter().any(|n| diff.registers.get(*n).is_some_and(|change| change.of_acs))
    };
    let tried: Vec<FunctionIndex> =
        of_function.iter().filter(|(_, n)| with_acs(n)).map(|(f, _)| *f).take(TRIED).collect();
    let without: Vec<Option<Partitions>> =
        tried.iter().map(|index| taken_back(before, after, diff, *index)).collect();
    let new = after.topology();
    let mut domains = core::mem::take(&mut diff.domains);
    let mut groups = core::mem::take(&mut diff.groups);
    let mut kernel = core::mem::take(&mut diff.kernel_groups);
    for (parts, which) in [(&mut domains, 0), (&mut groups, 1), (&mut kernel, 1)] {
        for part in parts.iter_mut() {
            let near = near(new, &part.functions);
            let decides = |n: &usize| {
                let partition = without.get(*n).and_then(|partitions| partitions.as_ref()?.get(which));
                partition.is_some_and(|partition| differs(part, partition))
            };
            let decisive: Vec<FunctionIndex> =
                (0..tried.len()).filter(decides).filter_map(|n| tried.get(n).copied()).collect();
            let each_alone = !decisive.is_empty();
            let functions: Vec<FunctionIndex> = match each_alone {
                true => decisive,
                false => of_function.keys().filter(|index| near.contains(index)).copied().collect(),
            };
            let changes = functions.iter().filter_map(|index| of_function.get(index)).flatten().copied();
            let counts =
                |n: &usize| diff.registers.get(*n).is_some_and(|change| change.of_acs || !each_alone);
            let matching = &diff.matching;
            let old = before.topology();
            let gone_near = |index: &FunctionIndex| {
                let parent = |topology: &Topology, index| topology.parent_of(index);
                match parent(old, *index) {
                    Parent::Bridge(bridge) => {
                        near.iter().any(|is| matching.places.get(*is).copied().flatten() == Some(bridge))
                    }
                    _ => false,
                }
            };
            let came = matching.added.iter().chain(matching.replaced.iter().map(|(_, is)| is));
            let came = came.chain(matching.moved.iter().map(|(_, is)| is));
            part.cause = Cause {
                registers: changes.filter(counts).collect(),
                each_alone,
                added: came.filter(|index| near.contains(index)).copied().collect(),
                removed: matching.removed.iter().filter(|index| gone_near(index)).copied().collect(),
            };
        }
    }
    diff.domains = domains;
    diff.groups = groups;
    diff.kernel_groups = kernel;
}

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
