//! The union-find, and what made it join.

use alloc::vec::Vec;

use petgraph::unionfind::UnionFind;

use super::Merge;

/// Joins functions, and keeps the first pair of each merge.
#[derive(Clone, Debug)]
pub(super) struct Joiner {
    sets: UnionFind<u32>,
    pub(super) merges: Vec<Merge>,
    /// The two functions that were joined last.
    last: (u32, u32),
    /// For each merge, two functions that it brought together; kept where somebody asks for them.
    pub(super) between: Option<Vec<(u32, u32)>>,
}

impl Joiner {
    pub(super) fn new(count: usize) -> Self {
        Self { sets: UnionFind::new(count), merges: Vec::new(), last: (0, 0), between: None }
    }

    /// Joins two functions; whether they were apart.
    #[inline]
    pub(super) fn join(&mut self, a: u32, b: u32) -> bool {
        let joined = self.sets.try_union(a, b).unwrap_or(false);
        if joined {
            self.last = (a, b);
        }
        joined
    }

    /// Why functions were joined: one entry for each merge, however many functions it joins.
    pub(super) fn note(&mut self, why: &Merge) {
        if self.merges.last() != Some(why) {
            self.merges.push(*why);
            if let Some(between) = &mut self.between {
                between.push(self.last);
            }
        }
    }

    /// For each function the one that stands for its set.
    pub(super) fn into_labels(self) -> Vec<u32> {
        self.sets.into_labeling()
    }
}
