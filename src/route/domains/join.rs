//! The union-find, and what made it join.

use alloc::vec::Vec;

use petgraph::unionfind::UnionFind;

use super::Merge;

/// Joins functions, and keeps the first pair of each merge.
#[derive(Clone, Debug)]
pub(super) struct Joiner {
    sets: UnionFind<u32>,
    pub(super) merges: Vec<Merge>,
}

impl Joiner {
    pub(super) fn new(count: usize) -> Self {
        Self { sets: UnionFind::new(count), merges: Vec::new() }
    }

    /// Joins two functions; whether they were apart.
    #[inline]
    pub(super) fn join(&mut self, a: u32, b: u32) -> bool {
        self.sets.try_union(a, b).unwrap_or(false)
    }

    /// For each function the one that stands for its set.
    pub(super) fn into_labels(self) -> Vec<u32> {
        self.sets.into_labeling()
    }
}
