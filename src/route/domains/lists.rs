//! Lists of functions below a port, joined and put together in constant time.
//!
//! An entry of a list is a run of functions with consecutive indices that are alike in all that is
//! asked: most functions of large machines are.

use alloc::vec;
use alloc::vec::Vec;

use super::Merge;
use super::join::Joiner;
use crate::route::fabric::NONE;
use crate::route::port::TlpClass;

/// Which functions below a port a list holds: for the classes of transaction who can send them past
/// every port so far, and for whom they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// All that can initiate.
    All = 0,
    /// Those whose translated requests are not known to be blocked.
    Translated = 1,
    /// Those that may emit completions.
    Completion = 2,
    /// Those whose I/O requests are not known to be blocked.
    Io = 3,
    /// Those that may have an I/O BAR.
    IoTarget = 4,
}

impl Which {
    pub(super) const fn from(class: TlpClass) -> Self {
        match class {
            TlpClass::MemoryUntranslated => Self::All,
            TlpClass::MemoryTranslated => Self::Translated,
            TlpClass::Completion | TlpClass::CompletionRelaxed => Self::Completion,
            TlpClass::Io => Self::Io,
        }
    }

    pub(super) const fn to(class: TlpClass) -> Self {
        match class {
            TlpClass::Io => Self::IoTarget,
            _ => Self::All,
        }
    }
}

/// A list: first and last run, each by its first function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    pub(super) const fn is_empty(self) -> bool {
        self.head == NONE
    }

    /// Some function of it.
    pub(super) const fn first(self) -> u32 {
        self.head
    }
}

/// What is below a port (or is one function), list by list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Below {
    lists: [List; 5],
}

impl Below {
    pub(super) const EMPTY: Self = Self { lists: [List::EMPTY; 5] };

    pub(super) fn get(&self, which: Which) -> List {
        self.lists.get(which as usize).copied().unwrap_or(List::EMPTY)
    }

    pub(super) fn clear(&mut self, which: Which) {
        self.set(which, List::EMPTY);
    }

    fn set(&mut self, which: Which, list: List) {
        if let Some(slot) = self.lists.get_mut(which as usize) {
            *slot = list;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.get(Which::All).is_empty()
    }
}

/// The links of all lists, and the union-find that they feed.
pub(super) struct Lists {
    next: [Vec<u32>; 5],
    /// For each run: how many functions it has beside the first.
    more: Vec<u32>,
    pub(super) joiner: Joiner,
}

impl Lists {
    pub(super) fn new(count: usize, io: bool) -> Self {
        let links = |needed: bool| if needed { vec![NONE; count] } else { Vec::new() };
        let next = [links(true), links(true), links(true), links(io), links(io)];
        Self { next, more: vec![0; count], joiner: Joiner::new(count) }
    }

    /// What was joined.
    pub(super) fn into_joiner(self) -> Joiner {
        self.joiner
    }

    /// Makes the functions from `start` on up to `end`, without it, a run.
    pub(super) fn make_run(&mut self, start: u32, end: u32) {
        if let Some(slot) = self.more.get_mut(start as usize) {
            *slot = end.saturating_sub(start).saturating_sub(1);
        }
    }

    fn end(&self, run: u32) -> u32 {
        run.saturating_add(1).saturating_add(self.more.get(run as usize).copied().unwrap_or(0))
    }

    /// Joins a run with `first`; from then on it counts as one function.
    fn join_run(&mut self, first: u32, run: u32) -> bool {
        let mut joined = first != run && self.joiner.join(first, run);
        for function in run.saturating_add(1)..self.end(run) {
            joined |= self.joiner.join(first, function);
        }
        self.make_run(run, run.saturating_add(1));
        joined
    }

    /// One function, or the run that begins with it, in these lists.
    pub(super) fn single(&self, function: u32, which: impl Iterator<Item = Which>) -> Below {
        let mut below = Below::EMPTY;
        for which in which {
            below.set(which, List { head: function, tail: function });
        }
        below
    }

    /// Puts one after the other.
    pub(super) fn append(&mut self, to: &mut Below, from: &Below) {
        for ((to, from), next) in to.lists.iter_mut().zip(from.lists).zip(&mut self.next) {
            if from.is_empty() {
                continue;
            }
            if to.is_empty() {
                *to = from;
                continue;
            }
            if let Some(link) = next.get_mut(to.tail as usize) {
                *link = from.head;
            }
            to.tail = from.tail;
        }
    }

    /// Joins all functions of a list, which then needs one entry only.
    pub(super) fn collapse(&mut self, below: &mut Below, which: Which, why: &Merge) {
        let list = below.get(which);
        if list.is_empty() {
            return;
        }
        let mut joined = self.join_run(list.head, list.head);
        let mut at = list.head;
        while at != list.tail {
            let Some(link) = self.next.get_mut(which as usize).and_then(|n| n.get_mut(at as usize)) else {
                break;
            };
            at = core::mem::replace(link, NONE);
            joined |= self.join_run(list.head, at);
        }
        self.note(joined, why);
        below.set(which, List { head: list.head, tail: list.head });
        if which == Which::All {
            // Whoever is in another list is in this one.
            for other in [Which::Translated, Which::Completion, Which::Io, Which::IoTarget] {
                let list = below.get(other);
                if list.head != list.tail {
                    if let Some(link) =
                        self.next.get_mut(other as usize).and_then(|n| n.get_mut(list.head as usize))
                    {
                        *link = NONE;
                    }
                    below.set(other, List { head: list.head, tail: list.head });
                }
            }
        }
    }

    /// Joins all of one list with all of another.
    pub(super) fn unite(&mut self, a: (&mut Below, Which), b: (&mut Below, Which), why: &Merge) {
        self.collapse(a.0, a.1, why);
        self.collapse(b.0, b.1, why);
        self.join(a.0.get(a.1).first(), b.0.get(b.1).first(), why);
    }

    /// Whether a list has one function, or such as are joined.
    pub(super) fn is_single(&self, list: List) -> bool {
        !list.is_empty() && list.head == list.tail && self.end(list.head) == list.head.saturating_add(1)
    }

    /// Joins all functions of a list that is part of another, whose entries must stay.
    pub(super) fn join_within(&mut self, list: List, which: Which, why: &Merge) {
        if list.is_empty() {
            return;
        }
        let mut joined = self.join_run(list.head, list.head);
        let mut at = list.head;
        while at != list.tail {
            // Cut short: all of it was joined before.
            let link = self.next.get(which as usize).and_then(|links| links.get(at as usize)).copied();
            let Some(next) = link.filter(|link| *link != NONE) else { break };
            at = next;
            joined |= self.join_run(list.head, at);
        }
        self.note(joined, why);
    }

    pub(super) fn join(&mut self, a: u32, b: u32, why: &Merge) {
        let joined = self.joiner.join(a, b);
        self.note(joined, why);
    }

    /// One entry for each merge, however many functions it joins.
    fn note(&mut self, joined: bool, why: &Merge) {
        if joined {
            self.joiner.note(why);
        }
    }
}
