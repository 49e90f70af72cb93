//! Pairs: where a transaction from one function to another goes, hop by hop, and why.
//!
//! [`Fabric::disposition`] gives the answer alone, without allocating; [`Fabric::trace`] the whole
//! [`Route`] with its evidence. Both come from the same walk.
//!
//! Sources: PCIe Base 6.x, §6.12 "Access Control Services (ACS)", §2.2.4 "Transaction Descriptor -
//! Routing and Addressing Rules"; PCI Express to PCI/PCI-X Bridge 1.0, §2.2.

mod evidence;
mod gate;
mod walk;

pub use gate::{Gate, GateKind};

pub(super) use walk::{Nowhere, Outcome, Walk, ends, may_emit};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::evidence::Evidence;
use super::fabric::{Fabric, Kind, NONE};
use super::port::{Decision, TlpClass};
use super::{Assumptions, Disposition, Reason};
use crate::addr::{Bdf, RequesterId};
use crate::topology::{FunctionIndex, Topology};
use walk::{Sink, Step};

/// The rule that a hop applies, by the names of the routing model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// What a function can emit at all.
    Emission,
    /// From an ancestor, everything below is reached directly.
    Ancestor,
    /// Inside one multi-function device.
    Device,
    /// Between what is below a multi-function upstream port and the port's siblings.
    UpstreamPort,
    /// Entering a port from below: Source Validation, Translation Blocking, I/O Request Blocking.
    Entering,
    /// Turning inside a switch.
    Switch,
    /// A redirected transaction meets a port above.
    Forwarding,
    /// Turning in the root complex.
    RootComplex,
    /// Between host bridges or segments, or with a part whose bridge is not in the dump.
    HostBridges,
    /// Conventional buses, and bridges to them.
    Conventional,
    /// No way: decoding, BARs and windows as configured.
    NoWay,
    /// Downstream towards the target; no control acts.
    Downstream,
    /// A bridge decodes by more than what the model follows.
    NotFollowed,
}

impl Rule {
    /// Short code, as in JSON output.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Emission => "emission",
            Self::Ancestor => "ancestor",
            Self::Device => "R1",
            Self::UpstreamPort => "R1b",
            Self::Entering => "R2",
            Self::Switch => "R3",
            Self::Forwarding => "R4",
            Self::RootComplex => "R5",
            Self::HostBridges => "R6",
            Self::Conventional => "R7",
            Self::NoWay => "R8",
            Self::Downstream => "downstream",
            Self::NotFollowed => "not-followed",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One hop of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The function or port.
    pub function: FunctionIndex,
    /// The rule that is applied there.
    pub rule: Rule,
    /// What it decides.
    pub decision: Decision,
    /// The register bits or the database entry that decide.
    pub evidence: Vec<Evidence>,
}

/// Where the ways of initiator and target part, and the port that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DivergencePort {
    /// The port or function through which the transaction comes to where the ways part.
    pub ingress: FunctionIndex,
    /// The port or function beside it that leads to the target, or is the target.
    pub egress: FunctionIndex,
}

/// The whole way of one transaction, with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The initiator.
    pub from: FunctionIndex,
    /// The target.
    pub to: FunctionIndex,
    /// Class of transaction.
    pub class: TlpClass,
    /// What becomes of it.
    pub disposition: Disposition,
    /// Why.
    pub reason: Reason,
    /// The hops in order: up, the turn, on up if redirected, down if direct.
    pub hops: Vec<Hop>,
    /// Where the ways part; `None` where they do not meet, or the target is above the initiator.
    pub divergence: Option<DivergencePort>,
    /// What else must be open for the route to work as configured.
    pub gates: Vec<Gate>,
    /// The requester ID that arrives, where a bridge on the way puts its own in place of the
    /// initiator's. A bridge may use either of its two; this is that of its secondary side.
    pub substituted_requester: Option<RequesterId>,
}

impl Route {
    /// The hop that decided.
    #[must_use]
    pub fn decisive(&self) -> Option<&Hop> {
        self.hops.iter().rev().find(|hop| hop.decision.reason() == Some(self.reason))
    }

    /// In one sentence: who, what becomes of it, why, and which registers say so.
    #[must_use]
    pub fn sentence(&self, topology: &Topology) -> String {
        let address = |index| topology.address(index).unwrap_or_default();
        let (from, to) = (address(self.from), address(self.to));
        let evidence = self.decisive().map(|hop| hop.evidence.as_slice()).unwrap_or_default();
        let evidence: Vec<String> =
            evidence.iter().map(|evidence| format!("{}: {evidence}", evidence.function())).collect();
        let told = if evidence.is_empty() { String::new() } else { format!(" ({})", evidence.join("; ")) };
        format!("{} from {from} to {to} is {}: {}{told}", self.class.words(), self.disposition, self.reason)
    }
}

impl Fabric<'_> {
    /// What becomes of a transaction of this class, and why. Does not allocate; at most one step a
    /// level of the hierarchy on each side, and one more a level if it is redirected.
    #[must_use]
    pub fn disposition(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        class: TlpClass,
        assumptions: &Assumptions,
    ) -> (Disposition, Reason) {
        let (outcome, _) = self.answer(from, to, class, assumptions, &mut Nowhere);
        outcome
    }

    /// Whether the pair is isolated in this direction: every class that counts is redirected or
    /// blocked, and `from` cannot use the requester ID of `to`.
    #[must_use]
    pub fn isolates(&self, from: FunctionIndex, to: FunctionIndex, assumptions: &Assumptions) -> bool {
        assumptions.counted().all(|class| self.disposition(from, to, class, assumptions).0.isolates())
            && !self.may_impersonate(from, to, assumptions)
    }

    /// The whole route of a transaction of this class.
    #[must_use]
    pub fn trace(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        class: TlpClass,
        assumptions: &Assumptions,
    ) -> Route {
        let for_port = class.is_memory() && evidence::is_bridge(self.node(to as u32).kind);
        let mut hops = Hops { fabric: self, class, ends: (from, to), for_port, hops: Vec::new() };
        let ((disposition, reason), arrives) = self.answer(from, to, class, assumptions, &mut hops);
        let mut hops = hops.hops;
        let turn = hops.iter().find(|hop| hop.decision.reason().is_some() && hop.rule != Rule::NoWay);
        let divergence = turn.filter(|_| arrives != NONE).map(|_| DivergencePort {
            ingress: self.ingress(from, arrives as usize),
            egress: arrives as usize,
        });
        let passed = hops.iter().filter(|hop| (hop.rule, hop.decision) == (Rule::Conventional, Decision::Up));
        let goes_up = hops.iter().any(|hop| matches!(hop.decision, Decision::Redirect(_)))
            && !hops.iter().any(|hop| {
                hop.rule != Rule::NoWay
                    && matches!(hop.decision, Decision::Undetermined(_) | Decision::Block(_))
            });
        let substituted_requester = passed.rev().find_map(|hop| self.substitutes(hop.function as u32));
        if disposition == Disposition::Direct && arrives != NONE {
            let down = self.chain(to as u32, arrives);
            let down = down.into_iter().rev().filter(|index| *index as usize != to).map(|index| Hop {
                function: index as usize,
                rule: Rule::Downstream,
                decision: Decision::Down,
                evidence: Vec::new(),
            });
            hops.extend(down);
        }
        Route {
            from,
            to,
            class,
            disposition,
            reason,
            hops,
            divergence,
            gates: self.gates(from, to, class, if goes_up { NONE } else { arrives }),
            substituted_requester,
        }
    }

    /// The walk, and what holds at its end: no I/O BAR, and if all is as configured, no way.
    fn answer<S: Sink>(
        &self,
        from: FunctionIndex,
        to: FunctionIndex,
        class: TlpClass,
        assumptions: &Assumptions,
        sink: &mut S,
    ) -> ((Disposition, Reason), u32) {
        let (Ok(s), Ok(t)) = (u32::try_from(from), u32::try_from(to)) else {
            return ((Disposition::Undetermined, Reason::NotInDump), NONE);
        };
        let requester_bus = match assumptions.hostile {
            true => 0,
            false => match self.substituted_requester(from) {
                Some(requester) => Bdf::from_bits(requester.0).bus(),
                None => self.topology.function(from).map_or(0, |f| f.address.bus()),
            },
        };
        let mut walk = Walk {
            fabric: self,
            class,
            assumptions: *assumptions,
            sink,
            requester_bus,
            doubt: None,
            arrives: NONE,
        };
        let outcome = walk.run(s, t);
        let arrives = walk.arrives;
        if outcome.0 == Disposition::Blocked || from == to || (assumptions.hostile && class != TlpClass::Io) {
            return (outcome, arrives);
        }
        // What is redirected turns at the top.
        let turn = if outcome.0 == Disposition::Redirected { NONE } else { arrives };
        let Some((at, decision)) = self.no_way(from, to, class, turn, assumptions.hostile) else {
            return (outcome, arrives);
        };
        let outcome = match decision {
            Decision::Block(reason) => (Disposition::Blocked, reason),
            Decision::Undetermined(reason) if outcome.0 == Disposition::Direct => {
                (Disposition::Undetermined, reason)
            }
            _ => return (outcome, arrives),
        };
        sink.step(Step { at: at as u32, rule: Rule::NoWay, decision });
        (outcome, arrives)
    }

    /// The functions from `bottom` up to `top`, both included.
    fn chain(&self, bottom: u32, top: u32) -> Vec<u32> {
        let mut chain = alloc::vec![bottom];
        let mut at = bottom;
        while at != top {
            at = self.node(at).up;
            if at == NONE {
                break;
            }
            chain.push(at);
        }
        chain
    }

    /// The function on the way up from `from` that stands on the bus of `egress`.
    fn ingress(&self, from: FunctionIndex, egress: FunctionIndex) -> FunctionIndex {
        let bus = self.node(egress as u32).bus;
        let mut at = from as u32;
        while self.node(at).bus != bus && self.node(at).up != NONE {
            at = self.node(at).up;
        }
        at as usize
    }

    /// The requester ID that a bridge above the function puts in place of its own: the secondary bus,
    /// device 0, function 0, of a PCIe-to-PCI bridge, or of a bridge that the database knows to act as one.
    /// Of several the topmost counts.
    #[must_use]
    pub fn substituted_requester(&self, from: FunctionIndex) -> Option<RequesterId> {
        let mut found = None;
        let mut at = self.node(u32::try_from(from).ok()?);
        while at.up != NONE {
            found = self.substitutes(at.up).or(found);
            at = self.node(at.up);
        }
        found
    }

    /// The requester ID that a bridge puts in place of those of what is below it.
    fn substitutes(&self, bridge: u32) -> Option<RequesterId> {
        let keeps = self.node(bridge).kind != Kind::PcieToPciBridge || self.keeps_requester_id(bridge);
        if keeps && !self.substitutes_secondary(bridge) {
            return None;
        }
        let range = self.topology.function(bridge as usize)?.bus_range()?;
        Bdf::new(range.secondary, 0, 0).map(RequesterId::from)
    }
}

impl Assumptions {
    /// The classes of transaction that count for isolation.
    pub fn counted(&self) -> impl Iterator<Item = TlpClass> + use<> {
        let all = self.count_relaxed_and_io;
        TlpClass::ALL
            .into_iter()
            .filter(move |class| all || !matches!(class, TlpClass::CompletionRelaxed | TlpClass::Io))
    }

    /// Whether an answer keeps two functions in one domain: not proved to isolate, and not for the sole
    /// reason of a root complex that is assumed to isolate.
    #[must_use]
    pub fn merges(&self, disposition: Disposition, reason: Reason) -> bool {
        match disposition {
            Disposition::Direct => true,
            Disposition::Undetermined => {
                self.root_complex == super::RootComplex::Unknown || !reason.is_root_complex()
            }
            Disposition::Redirected | Disposition::Blocked => false,
        }
    }
}

/// Keeps the steps as hops.
struct Hops<'f, 'a> {
    fabric: &'f Fabric<'a>,
    class: TlpClass,
    /// The initiator and the target.
    ends: (FunctionIndex, FunctionIndex),
    /// The transaction is for a port's own BARs.
    for_port: bool,
    hops: Vec<Hop>,
}

impl Sink for Hops<'_, '_> {
    const ALL: bool = true;

    fn step(&mut self, step: Step) {
        let evidence = match self.fabric.decoding_evidence(&step, self.class, self.ends.1) {
            Some(evidence) => evidence,
            None => self.fabric.evidence(&step, self.class, self.for_port, self.ends),
        };
        self.hops.push(Hop {
            function: step.at as usize,
            rule: step.rule,
            decision: step.decision,
            evidence,
        });
    }
}

/// Bus Master Enable, bit 2 of the Command register.
pub(super) const BUS_MASTER: u16 = 1 << 2;
