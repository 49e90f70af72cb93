//! What the pass asks: every question is put to the walk that answers pairs, with one pair that stands for
//! all alike, so that both engines have one set of rules.

use super::pass::Pass;
use super::{HeldBy, Merge};
use crate::route::fabric::{Emits, Kind, NONE, has_egress_control};
use crate::route::port::{Acs, TlpClass};
use crate::route::trace::{Nowhere, Outcome, Walk};
use crate::route::{Disposition, Reason};

/// What two functions on one bus are to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    bus: u32,
    kinds: (Kind, Kind),
    acs: (Acs, Acs),
    emits: Emits,
    misplaced: (bool, bool),
    same_device: bool,
    /// Whether they are the initiator and the target themselves.
    ends: (bool, bool),
}

impl Pass<'_, '_> {
    /// Whether a pair whose ways part at `x` and `y` belongs together, and why.
    pub(super) fn asks(&mut self, x: u32, y: u32, from: u32, to: u32, class: TlpClass) -> Option<Merge> {
        let (disposition, reason) = match self.question(x, y, from, to) {
            Some(question) => match self.asked.get(class as usize).copied().flatten() {
                Some((asked, outcome)) if asked == question => outcome,
                _ => {
                    let outcome = self.walk(x, y, from, to, class);
                    if let Some(slot) = self.asked.get_mut(class as usize) {
                        *slot = Some((question, outcome));
                    }
                    outcome
                }
            },
            None => self.walk(x, y, from, to, class),
        };
        self.joins(from, to, class, disposition, reason)
    }

    /// All that the answer for two on one bus depends on; `None` where it depends on who they are.
    fn question(&self, x: u32, y: u32, from: u32, to: u32) -> Option<Question> {
        let (at, peer) = (self.fabric.node(x), self.fabric.node(y));
        if at.bus != peer.bus || has_egress_control(at) || has_egress_control(peer) {
            return None;
        }
        Some(Question {
            bus: at.bus,
            kinds: (at.kind, peer.kind),
            acs: (at.acs, peer.acs),
            emits: peer.emits,
            misplaced: (at.misplaced, peer.misplaced),
            same_device: at.device == peer.device,
            ends: (x == from, y == to),
        })
    }

    fn walk(&self, x: u32, y: u32, from: u32, to: u32, class: TlpClass) -> Outcome {
        let mut walk = Walk {
            fabric: self.fabric,
            class,
            assumptions: *self.assumptions,
            sink: &mut Nowhere,
            requester_bus: 0,
            doubt: None,
            arrives: NONE,
        };
        let (at, peer) = (self.fabric.node(x), self.fabric.node(y));
        // A function that stands on the bus itself is its own representative.
        let first = if at.kind == Kind::Leaf { x } else { from };
        let last = if peer.kind == Kind::Leaf { y } else { to };
        match at.bus == peer.bus {
            true => walk.turn(x, y, first, last),
            false => walk.between_tops(x, at, y, peer),
        }
    }

    pub(super) fn joins(
        &self,
        from: u32,
        to: u32,
        class: TlpClass,
        disposition: Disposition,
        reason: Reason,
    ) -> Option<Merge> {
        let joins = match self.proved {
            true => disposition == Disposition::Direct,
            false => self.assumptions.merges(disposition, reason),
        };
        // All that is proved has joined before the rest is asked.
        let held_by = if self.proved { HeldBy::Direct } else { HeldBy::Unproven };
        let (from, to) = (from as usize, to as usize);
        joins.then_some(Merge { held_by, from, to, class: Some(class), reason: Some(reason) })
    }
}
