//! The walk that every answer for a pair comes from: up from the initiator to where the ways part, the
//! decision there, and for what is redirected, on to the root complex.
//!
//! It does not allocate, and it tells each step to a [`Sink`]: one that keeps them makes a route, one
//! that does not makes an answer.

use super::Rule;
use crate::route::fabric::{BusKind, Emits, Fabric, Kind, NONE, Node, Place};
use crate::route::port::{Acs, Decision, PortMemory, Role, TlpClass, VectorBit, Way, decide};
use crate::route::{Assumptions, Disposition, Reason};

/// One step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::route) struct Step {
    /// The function that is passed or decides.
    pub(in crate::route) at: u32,
    /// The rule that is applied.
    pub(in crate::route) rule: Rule,
    /// What it decides.
    pub(in crate::route) decision: Decision,
}

/// Takes the steps of a walk.
pub(in crate::route) trait Sink {
    /// Whether every step is asked for, also those that let everything through.
    const ALL: bool;

    fn step(&mut self, step: Step);
}

/// Keeps nothing.
pub(in crate::route) struct Nowhere;

impl Sink for Nowhere {
    const ALL: bool = false;

    #[inline(always)]
    fn step(&mut self, _: Step) {}
}

/// What a walk comes to.
pub(in crate::route) type Outcome = (Disposition, Reason);

/// The transaction on its way, and whom it tells.
pub(in crate::route) struct Walk<'f, 'a, S> {
    pub(in crate::route) fabric: &'f Fabric<'a>,
    pub(in crate::route) class: TlpClass,
    pub(in crate::route) assumptions: Assumptions,
    pub(in crate::route) sink: &'f mut S,
    /// The bus whose number stands in the requester ID.
    pub(in crate::route) requester_bus: u8,
    /// Something on the way may have ended it, and is not known.
    pub(in crate::route) doubt: Option<Reason>,
    /// Where the way down to the target begins: on the bus where the ways part.
    pub(in crate::route) arrives: u32,
}

impl<S: Sink> Walk<'_, '_, S> {
    /// The whole walk from one function to another.
    pub(in crate::route) fn run(&mut self, from: u32, to: u32) -> Outcome {
        let (s, t) = (self.fabric.node(from), self.fabric.node(to));
        if s.bus == NONE || t.bus == NONE {
            return (Disposition::Undetermined, Reason::NotInDump);
        }
        if from == to {
            return self.stop(from, Rule::Emission, Decision::Direct(Reason::SameFunction));
        }
        if !s.initiates() {
            return self.by_port(from, s, to, t);
        }
        if let Some(reason) = self.not_emitted(from, s) {
            return self.stop(from, Rule::Emission, Decision::Block(reason));
        }
        let outcome = self.between(from, s, to, t);
        match self.fabric.strays_between(from, to) {
            // What more a bridge decodes takes nothing away from what goes directly.
            Some((bridge, reason)) if outcome.0 != Disposition::Direct => {
                self.stop(bridge, Rule::NotFollowed, Decision::Undetermined(reason))
            }
            _ => outcome,
        }
    }

    /// From an initiator that can emit the transaction, as far as registers tell that the model follows.
    fn between(&mut self, from: u32, s: &Node, to: u32, t: &Node) -> Outcome {
        // What does not answer may be the very bridge that leads to an orphan.
        if s.emits == Emits::Unseen
            && top_bus(self.fabric, t) != top_bus(self.fabric, s)
            && self.fabric.bus_kind(top_bus(self.fabric, t)) == BusKind::Orphan
        {
            let reason = self.fabric.missing_between(from, to);
            return self.stop(from, Rule::HostBridges, Decision::Undetermined(reason));
        }
        // What does not answer may be a port, of whose place and BARs nothing is known.
        if t.is_unseen() {
            self.doubt = Some(Reason::TypeNotCaptured);
        }
        let outcome = self.climb(from, s, to, t);
        if let (
            Disposition::Blocked,
            Reason::SourceValidation | Reason::TranslationBlocking | Reason::IoRequestBlocking,
        ) = outcome
        {
            // An orphan may be below the port that blocks, so that the way does not lead there.
            if self.fabric.way_is_unknown(s, t) {
                return self.stop(from, Rule::HostBridges, Decision::Undetermined(Reason::BridgeNotInDump));
            }
        }
        match (outcome, self.doubt) {
            // What may have ended before does not reach the target for certain.
            ((Disposition::Direct, _), Some(reason)) => (Disposition::Undetermined, reason),
            _ => outcome,
        }
    }

    /// Why the initiator cannot emit the transaction.
    fn not_emitted(&mut self, from: u32, s: &Node) -> Option<Reason> {
        match s.emits.class(self.class) {
            Some(false) => return Some(Reason::ClassNotEmitted),
            None => self.doubt = Some(Reason::TypeNotCaptured),
            Some(true) => {}
        }
        if self.assumptions.hostile {
            return None;
        }
        let function = self.fabric.topology.function(from as usize)?;
        if !function.answers {
            self.doubt = Some(Reason::TargetNotCaptured);
            return None;
        }
        if !self.class.is_completion() && function.command & super::BUS_MASTER == 0 {
            return Some(Reason::BusMasterOff);
        }
        if self.class == TlpClass::MemoryTranslated {
            match function.ats {
                crate::anomaly::Presence::Present(ats) if ats.enabled() => {}
                crate::anomaly::Presence::NotCaptured => self.doubt = Some(Reason::AtsNotCaptured),
                _ => return Some(Reason::AtsOff),
            }
        }
        None
    }

    /// From a port or host bridge: only what is below it is reached.
    fn by_port(&mut self, from: u32, s: &Node, to: u32, t: &Node) -> Outcome {
        let mut at = t;
        while at.depth > s.depth && at.up != from {
            at = self.fabric.node(at.up);
        }
        let top = top_bus(self.fabric, t);
        let below =
            at.up == from || (s.kind == Kind::HostBridge && s.depth == 0 && top == s.bus && from != to);
        let decision = match (below, self.fabric.bus_kind(top)) {
            (true, _) => Decision::Direct(Reason::Downstream),
            (false, BusKind::Orphan) if top != top_bus(self.fabric, s) => {
                Decision::Undetermined(Reason::BridgeNotInDump)
            }
            (false, _) => Decision::Block(Reason::PortDoesNotInitiate),
        };
        self.stop(from, Rule::Ancestor, decision)
    }

    /// Whether ports that are merely passed can make a difference, or are asked for.
    #[inline]
    fn must_pass(&self, from: &Place) -> bool {
        S::ALL
            || !self.assumptions.hostile
            || self.class == TlpClass::Io
            || (self.class == TlpClass::MemoryTranslated && from.translation_watched)
    }

    /// Up to where the ways part.
    fn climb(&mut self, from: u32, s: &Node, to: u32, t: &Node) -> Outcome {
        let (mut x, mut y) = (from, to);
        let (mut at, mut peer) = (self.fabric.place(s.bus), self.fabric.place(t.bus));
        let must_pass = self.must_pass(at);
        if !must_pass && at.root != peer.root {
            let top = |place: &Place, own| if place.top == NONE { own } else { place.top };
            (x, y) = (top(at, from), top(peer, to));
            return self.between_tops(x, self.fabric.node(x), y, self.fabric.node(y));
        }
        while at.depth > peer.depth {
            if at.up == to {
                return self.upwards(x, self.fabric.node(x), to, t);
            }
            if must_pass {
                if let Some(blocked) = self.pass(x, self.fabric.node(x)) {
                    return blocked;
                }
            }
            x = at.up;
            at = self.fabric.place(at.above);
        }
        while peer.depth > at.depth {
            y = peer.up;
            peer = self.fabric.place(peer.above);
        }
        while at.bus != peer.bus {
            if at.up == NONE || peer.up == NONE {
                return self.between_tops(x, self.fabric.node(x), y, self.fabric.node(y));
            }
            if must_pass {
                if let Some(blocked) = self.pass(x, self.fabric.node(x)) {
                    return blocked;
                }
            }
            (x, y) = (at.up, peer.up);
            (at, peer) = (self.fabric.place(at.above), self.fabric.place(peer.above));
        }
        self.turn(x, y, from, to)
    }

    /// Past a function on the way up.
    #[inline]
    fn pass(&mut self, x: u32, at: &Node) -> Option<Outcome> {
        if at.kind == Kind::Leaf {
            return None;
        }
        let Some(role) = at.kind.facing() else {
            if at.kind == Kind::UnknownBridge
                && matches!(self.class, TlpClass::MemoryTranslated | TlpClass::Io)
            {
                self.doubt = Some(Reason::TypeNotCaptured);
            }
            let rule = if at.kind == Kind::PcieToPciBridge { Rule::Conventional } else { Rule::Entering };
            self.sink.step(Step { at: x, rule, decision: Decision::Up });
            return None;
        };
        if let Some(blocked) = self.validate_source(x, at) {
            return Some(blocked);
        }
        match decide(role, at.acs, Way::Up, self.class) {
            decision @ Decision::Block(_) => Some(self.stop(x, Rule::Entering, decision)),
            decision => {
                if let Decision::Undetermined(reason) = decision {
                    self.doubt = Some(reason);
                }
                self.sink.step(Step { at: x, rule: Rule::Entering, decision });
                None
            }
        }
    }

    /// Source Validation stops a requester ID of another bus. A hostile function forges one that passes.
    #[inline]
    fn validate_source(&mut self, x: u32, at: &Node) -> Option<Outcome> {
        if self.assumptions.hostile || self.class.is_completion() {
            return None;
        }
        let on = self.fabric.validates_source(at);
        let range =
            self.fabric.topology.function(x as usize).and_then(crate::function::Function::bus_range)?;
        if on == Some(false) || range.contains(self.requester_bus) {
            return None;
        }
        if on.is_none() {
            self.doubt = Some(match at.acs {
                Acs::Unknown(reason) => reason,
                Acs::Absent | Acs::Present(_) => Reason::AcsNotCaptured,
            });
            return None;
        }
        Some(self.stop(x, Rule::Entering, Decision::Block(Reason::SourceValidation)))
    }

    /// The target is a bridge on the way up, directly above `x`.
    fn upwards(&mut self, x: u32, at: &Node, to: u32, t: &Node) -> Outcome {
        if t.kind == Kind::SwitchUpstreamPort {
            let Some(role) = at.kind.facing() else {
                return self.stop(x, Rule::Switch, Decision::Undetermined(Reason::PortNotInDump));
            };
            if let Some(blocked) = self.validate_source(x, at) {
                return blocked;
            }
            let decision = decide(role, at.acs, Way::Port(PortMemory::Upstream), self.class);
            return self.follow(x, Rule::Switch, decision, t);
        }
        if let Some(blocked) = self.pass(x, at) {
            return blocked;
        }
        match t.kind {
            Kind::RootPort | Kind::SwitchDownstreamPort => {
                if let Some(blocked) = self.validate_source(to, t) {
                    return blocked;
                }
                let role = t.kind.facing().unwrap_or(Role::SwitchDownstreamPort);
                let decision = decide(role, t.acs, Way::Port(PortMemory::Own), self.class);
                let rule = if role == Role::RootPort { Rule::RootComplex } else { Rule::Switch };
                self.follow(to, rule, decision, t)
            }
            Kind::PcieToPciBridge | Kind::ConventionalBridge => {
                self.stop(to, Rule::Conventional, Decision::Direct(Reason::ConventionalBus))
            }
            Kind::PciToPcieBridge => self.stop(to, Rule::Switch, Decision::Direct(Reason::OnTheWayUp)),
            _ => self.stop(to, Rule::Switch, Decision::Undetermined(Reason::TypeNotCaptured)),
        }
    }

    /// Where the ways part: `x` towards `from` and `y` towards `to` stand on one bus.
    pub(in crate::route) fn turn(&mut self, x: u32, y: u32, from: u32, to: u32) -> Outcome {
        self.arrives = y;
        let (at, peer) = (self.fabric.node(x), self.fabric.node(y));
        let bus = self.fabric.bus_kind(at.bus);
        if bus == BusKind::Conventional {
            return self.stop(x, Rule::Conventional, Decision::Direct(Reason::ConventionalBus));
        }
        let same_device = at.device == peer.device;
        if at.kind.facing().is_none() && same_device && (peer.kind.facing().is_none() || y == to) {
            return self.inside_device(x, at, y, peer, from, to);
        }
        if bus == BusKind::Root {
            return self.turn_at_root(x, at, y, peer, to);
        }
        match at.kind {
            Kind::RootPort | Kind::SwitchDownstreamPort => {
                if let Some(blocked) = self.validate_source(x, at) {
                    return blocked;
                }
                // Not on a root bus: whatever it says, it is a port like any other of a switch.
                let role = Role::SwitchDownstreamPort;
                let way = self.way(x, y, peer, to, role);
                let decision = decide(role, at.acs, way, self.class);
                // What does not answer may be a port, whose own BARs are a case of their own.
                let port = decide(role, at.acs, Way::Port(PortMemory::Peer), self.class);
                if peer.emits == Emits::Unseen && y == to && port != decision {
                    return self.stop(x, Rule::Switch, Decision::Undetermined(Reason::TypeNotCaptured));
                }
                self.follow(x, Rule::Switch, decision, at)
            }
            Kind::UnknownBridge => {
                self.stop(x, Rule::Switch, Decision::Undetermined(Reason::TypeNotCaptured))
            }
            _ => {
                let reason = match bus {
                    BusKind::Unknown => Reason::TypeNotCaptured,
                    _ => Reason::PortNotInDump,
                };
                self.stop(x, Rule::Switch, Decision::Undetermined(reason))
            }
        }
    }

    /// Where the target lies, as seen from a downstream-facing port.
    fn way(&self, x: u32, y: u32, peer: &Node, to: u32, role: Role) -> Way {
        match y == to && !matches!(peer.kind, Kind::Leaf | Kind::HostBridge) {
            true => Way::Port(PortMemory::Peer),
            false if self.class.is_memory() => Way::Peer(self.fabric.vector_bit(x, y, role)),
            false => Way::Peer(VectorBit::Unknown),
        }
    }

    /// Inside a multi-function device, an upstream port's among them.
    fn inside_device(&mut self, x: u32, at: &Node, y: u32, peer: &Node, from: u32, to: u32) -> Outcome {
        // Between what is below a port and the port's siblings, the port's own ACS decides.
        let through = y != to || x != from;
        let (decider, other, node) = if x == from && y != to { (y, x, peer) } else { (x, y, at) };
        let bit = match self.class.is_memory() {
            true => self.fabric.vector_bit(decider, other, Role::Function),
            false => VectorBit::Unknown,
        };
        let decision = decide(Role::Function, node.acs, Way::Peer(bit), self.class);
        let rule = if through { Rule::UpstreamPort } else { Rule::Device };
        self.follow(decider, rule, decision, at)
    }

    /// On a root bus, between different devices or through a root port.
    fn turn_at_root(&mut self, x: u32, at: &Node, y: u32, peer: &Node, to: u32) -> Outcome {
        match (self.fabric.is_hidden(at), self.fabric.is_hidden(peer)) {
            (false, false) => {}
            // Each is a case for itself: whether the hidden ports of two are of one switch is not known.
            _ => return self.hidden(x, at, Reason::BridgeNotInDump),
        }
        let same_device = at.device == peer.device;
        let role = at.kind.facing().unwrap_or(Role::Integrated);
        if role != Role::Integrated {
            if let Some(blocked) = self.validate_source(x, at) {
                return blocked;
            }
        }
        let way = match role {
            Role::Integrated => Way::Peer(VectorBit::Unknown),
            _ => self.way(x, y, peer, to, role),
        };
        let decision = match (decide(role, at.acs, way, self.class), way) {
            (Decision::Undetermined(Reason::RootComplex), _) if same_device => {
                Decision::Undetermined(Reason::OneRootDevice)
            }
            (Decision::Undetermined(reason), Way::Peer(_)) if reason.is_not_captured() && !same_device => {
                Decision::Undetermined(Reason::RootAcsNotKnown)
            }
            (decision, _) => decision,
        };
        self.follow(x, Rule::RootComplex, decision, at)
    }

    /// Between different root buses, or with an orphan.
    pub(in crate::route) fn between_tops(&mut self, x: u32, at: &Node, y: u32, peer: &Node) -> Outcome {
        let hidden =
            |node: &Node| self.fabric.bus_kind(node.bus) == BusKind::Orphan || self.fabric.is_hidden(node);
        if hidden(at) || hidden(peer) {
            let reason = self.fabric.missing_between(x, y);
            if let Some(blocked) = self.pass(x, at) {
                return blocked;
            }
            return self.stop(x, Rule::HostBridges, Decision::Undetermined(reason));
        }
        let role = at.kind.facing().unwrap_or(Role::Integrated);
        if role != Role::Integrated {
            if let Some(blocked) = self.validate_source(x, at) {
                return blocked;
            }
        }
        let decision = match decide(role, at.acs, Way::Peer(VectorBit::Unknown), self.class) {
            // Vectors are for ports of one root complex.
            Decision::Undetermined(Reason::RootComplex | Reason::VectorNotKnown) => {
                Decision::Undetermined(Reason::OtherHostBridge)
            }
            Decision::Undetermined(reason) if reason.is_not_captured() => {
                Decision::Undetermined(Reason::RootAcsNotKnown)
            }
            decision => decision,
        };
        self.follow(x, Rule::HostBridges, decision, at)
    }

    fn hidden(&mut self, x: u32, at: &Node, reason: Reason) -> Outcome {
        if let Some(blocked) = self.pass(x, at) {
            return blocked;
        }
        self.stop(x, Rule::RootComplex, Decision::Undetermined(reason))
    }

    /// Notes a decision that ends the walk.
    fn stop(&mut self, at: u32, rule: Rule, decision: Decision) -> Outcome {
        self.sink.step(Step { at, rule, decision });
        match decision {
            Decision::Direct(reason) => (Disposition::Direct, reason),
            Decision::Redirect(reason) => (Disposition::Redirected, reason),
            Decision::Block(reason) => (Disposition::Blocked, reason),
            Decision::Undetermined(reason) => (Disposition::Undetermined, reason),
            Decision::Up | Decision::Down => (Disposition::Undetermined, Reason::NotInDump),
        }
    }

    /// Notes a decision at `x`; what is redirected climbs on from there.
    fn follow(&mut self, x: u32, rule: Rule, decision: Decision, at: &Node) -> Outcome {
        let outcome = self.stop(x, rule, decision);
        match decision {
            Decision::Redirect(reason) => self.forward(at, reason),
            _ => outcome,
        }
    }

    /// Redirected at `last`: each port further up meets a transaction whose target lies below itself.
    fn forward(&mut self, last: &Node, reason: Reason) -> Outcome {
        let mut last = last;
        let skips = !S::ALL && self.assumptions.hostile && self.class != TlpClass::Io;
        while last.up != NONE {
            let mut index = last.up;
            if skips {
                let place = self.fabric.place(last.bus);
                if place.watcher == NONE {
                    last = self.fabric.node(place.top);
                    continue;
                }
                index = place.watcher;
            }
            let above = self.fabric.node(index);
            match above.kind {
                Kind::SwitchUpstreamPort => {
                    self.sink.step(Step { at: index, rule: Rule::Forwarding, decision: Decision::Up });
                }
                Kind::RootPort | Kind::SwitchDownstreamPort => {
                    if let Some(blocked) = self.validate_source(index, above) {
                        return blocked;
                    }
                    let role = above.kind.facing().unwrap_or(Role::SwitchDownstreamPort);
                    let decision = decide(role, above.acs, Way::Back, self.class);
                    if decision != Decision::Up {
                        return self.stop(index, Rule::Forwarding, decision);
                    }
                    self.sink.step(Step { at: index, rule: Rule::Forwarding, decision });
                }
                Kind::UnknownBridge => {
                    return self.stop(
                        index,
                        Rule::Forwarding,
                        Decision::Undetermined(Reason::TypeNotCaptured),
                    );
                }
                _ => {
                    let decision = Decision::Undetermined(Reason::UpstreamForwardingNotImplemented);
                    return self.stop(index, Rule::Forwarding, decision);
                }
            }
            last = above;
        }
        match self.fabric.bus_kind(last.bus) {
            BusKind::Root if !self.fabric.is_hidden(last) => (Disposition::Redirected, reason),
            _ => (Disposition::Undetermined, Reason::PortNotInDump),
        }
    }
}

/// The bus at the top of a function's way up.
#[inline]
fn top_bus(fabric: &Fabric<'_>, node: &Node) -> u32 {
    fabric.place(node.bus).root
}

impl Fabric<'_> {
    /// Whether the two do not meet in the dump, and one of them is an orphan: which bridges are between
    /// is not known.
    pub(in crate::route) fn way_is_unknown(&self, s: &Node, t: &Node) -> bool {
        let (a, b) = (top_bus(self, s), top_bus(self, t));
        a != b && (self.bus_kind(a) == BusKind::Orphan || self.bus_kind(b) == BusKind::Orphan)
    }

    /// What is missing between two that do not meet in the dump: a port, where both hang on one bridge.
    fn missing_between(&self, x: u32, y: u32) -> Reason {
        match self.attached_to(x) == self.attached_to(y) {
            true => Reason::PortNotInDump,
            false => Reason::BridgeNotInDump,
        }
    }

    /// What a top of the hierarchy hangs on: for an orphan inside the range of a bridge, the top above
    /// that bridge.
    pub(in crate::route) fn attached_to(&self, top: u32) -> u32 {
        let mut at = top;
        loop {
            let node = self.node(at);
            if node.up != NONE {
                at = node.up;
                continue;
            }
            match self.topology.bus(node.bus as usize).map(|bus| bus.parent) {
                Some(crate::topology::Parent::Orphan(Some(around))) => at = around as u32,
                // One that is on no bridge's range hangs on nothing that others do.
                Some(crate::topology::Parent::Orphan(None)) => {
                    return self.topology.on_bus(node.bus as usize).start as u32;
                }
                _ => return at,
            }
        }
    }
}

/// Whether what is known of a function lets it be an initiator of the class at all.
pub(in crate::route) const fn may_emit(emits: Emits, class: TlpClass) -> bool {
    !matches!(emits.class(class), Some(false))
}

/// Whether a port ends the class on its way up; where it is not known, whether it is to be feared.
pub(in crate::route) const fn ends(kind: Kind, acs: Acs, class: TlpClass, feared: bool) -> bool {
    match kind.facing() {
        Some(role) => match decide(role, acs, Way::Up, class) {
            Decision::Block(_) => true,
            Decision::Undetermined(_) => feared,
            _ => false,
        },
        None => feared && matches!(kind, Kind::UnknownBridge),
    }
}
