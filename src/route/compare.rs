//! Two partitions of the same functions side by side.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use crate::topology::{FunctionIndex, Topology};

/// Groups of two partitions that hold the same functions between them, and are not the same groups.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference<A, B> {
    /// Groups of the first partition.
    pub first: BTreeSet<A>,
    /// Groups of the second partition.
    pub second: BTreeSet<B>,
    /// Their functions, sorted by address.
    pub functions: Vec<FunctionIndex>,
}

/// Where two partitions differ. A function that either of them leaves out takes no part, because
/// nothing is known of it there.
#[must_use]
pub fn differences<A: Ord + Copy, B: Ord + Copy>(
    first: &[Option<A>],
    second: &[Option<B>],
) -> Vec<Difference<A, B>> {
    let both = first.iter().zip(second).enumerate();
    let mut members: BTreeMap<(A, B), Vec<FunctionIndex>> = BTreeMap::new();
    for (index, (a, b)) in
        both.filter_map(|(index, pair)| Some((index, (pair.0.as_ref()?, pair.1.as_ref()?))))
    {
        members.entry((*a, *b)).or_default().push(index);
    }
    let (mut of_first, mut of_second): (BTreeMap<A, Vec<B>>, BTreeMap<B, Vec<A>>) = Default::default();
    for (a, b) in members.keys() {
        of_first.entry(*a).or_default().push(*b);
        of_second.entry(*b).or_default().push(*a);
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for start in of_first.keys() {
        if !seen.insert(*start) {
            continue;
        }
        let mut component =
            Difference { first: BTreeSet::new(), second: BTreeSet::new(), functions: Vec::new() };
        let mut open = Vec::from([*start]);
        while let Some(a) = open.pop() {
            component.first.insert(a);
            for b in of_first.get(&a).into_iter().flatten() {
                component.functions.extend(members.get(&(a, *b)).into_iter().flatten());
                if component.second.insert(*b) {
                    let others = of_second.get(b).into_iter().flatten();
                    open.extend(others.filter(|other| seen.insert(**other)));
                }
            }
        }
        if component.first.len() > 1 || component.second.len() > 1 {
            component.functions.sort_unstable();
            found.push(component);
        }
    }
    found
}

/// For each function: the group that the running kernel put it into, as far as the dump says.
#[must_use]
pub fn kernel_groups(topology: &Topology) -> Vec<Option<u32>> {
    let mut groups = vec![None; topology.functions().len()];
    for (index, group) in topology.inventory().kernel_groups() {
        if let Some(slot) = groups.get_mut(index) {
            *slot = Some(group);
        }
    }
    groups
}

/// Whether the running kernel put any function into a group, which it does behind IOMMUs only.
#[must_use]
pub fn has_kernel_groups(topology: &Topology) -> bool {
    topology.inventory().kernel_groups().next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_matter_and_what_is_unknown_takes_no_part() {
        let model = [Some(0), Some(0), Some(1), Some(2), None];
        let kernel = [Some(70), Some(70), Some(5), None, Some(9)];
        assert_eq!(differences(&model, &kernel), []);
    }

    #[test]
    fn a_split_and_a_merge_are_told_with_their_functions() {
        let model = [Some(0), Some(0), Some(1), Some(2), Some(3)];
        let kernel = [Some(7), Some(8), Some(9), Some(9), Some(1)];
        let found = differences(&model, &kernel);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].functions, [0, 1]);
        assert_eq!((found[0].first.len(), found[0].second.len()), (1, 2));
        assert_eq!(found[1].functions, [2, 3]);
        assert_eq!((found[1].first.len(), found[1].second.len()), (2, 1));
    }
}
