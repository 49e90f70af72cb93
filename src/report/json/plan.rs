//! `acsscan plan` as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::diff::{DiffDocument, RegroupedDocument};
use super::effect::EffectDocument;
use super::route::{GateDocument, P2pdmaDocument};
use crate::cap::acs::AcsControl;
use crate::report::words::{self, address};
use crate::route::evidence::control_tokens;
use crate::route::plan::emit::{self, Parameters};
use crate::route::plan::{Goal, Obstacle, Obstruction, Outcome, Plan, Register};
use crate::topology::Topology;

/// A plan: what to write, what it does, how to take it back. Nothing is written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PlanDocument {
    /// `isolate` or `connect`.
    pub goal: &'static str,
    /// The functions that were named.
    pub functions: Vec<String>,
    /// `reached` (already), `plan`, `impossible`; `inconclusive` where nothing has to change as far as the dump
    /// tells, and `missing` could change that.
    pub outcome: &'static str,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// What is not known of what functions are to be kept apart from, as `check` has it.
    pub missing: Vec<String>,
    /// Whether no smaller plan exists, by exhaustive search.
    pub proved_smallest: bool,
    /// How many functions change.
    pub changed_functions: usize,
    /// How many bits change.
    pub changed_bits: u32,
    /// The writes, in order.
    pub writes: Vec<WriteDocument>,
    /// The writes as lines.
    pub setpci: Vec<String>,
    /// Lines that take them back, in order.
    pub undo: Vec<String>,
    /// Kernel parameters that come to the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<ParametersDocument>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_parameters: Option<&'static str>,
    /// What may undo the plan, or go stale.
    pub warnings: Vec<String>,
    /// Isolation domains that change.
    pub domains: Vec<RegroupedDocument>,
    /// Linux's groups that change, once it forms them anew.
    pub groups: Vec<RegroupedDocument>,
    /// Every pair that opens or closes, the goal's included; `null` where there are too many classes.
    pub pairs: Option<Vec<EffectDocument>>,
    /// For pairs to be connected: what else must be open, and what the kernel's peer-to-peer DMA says.
    pub connections: Vec<ConnectionDocument>,
    /// What stands in the way of an impossible goal, or of pairs that were left out.
    pub obstacles: Vec<ObstacleDocument>,
}

/// One write.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct WriteDocument {
    /// The function.
    pub function: String,
    /// Name of the register.
    pub register: String,
    /// Bits that are written.
    pub mask: String,
    /// Their values now.
    pub old: String,
    /// Their values then.
    pub new: String,
    /// lspci's tokens of what changes.
    pub bits: String,
}

/// Kernel parameters, for each way to give them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ParametersDocument {
    /// On the command line itself; Linux 6.11 and later.
    pub plain: String,
    /// A line for a file in `/etc/default/grub.d` (Debian), before `update-grub`; undone by removing it.
    pub grub: String,
    /// A command (RHEL, Fedora).
    pub grubby: String,
    /// The command that takes it back.
    pub grubby_undo: String,
    /// The parameter of Linux 4.19 and later that does it, too, where redirects only go off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_acs_redir: Option<String>,
}

/// A pair that is to be connected, after the plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ConnectionDocument {
    /// The initiator.
    pub from: String,
    /// The target.
    pub to: String,
    /// What is closed on the way as configured, in words.
    pub closed_gates: Vec<GateDocument>,
    /// The kernel's peer-to-peer DMA before.
    pub p2pdma_before: P2pdmaDocument,
    /// The kernel's peer-to-peer DMA after.
    pub p2pdma_after: P2pdmaDocument,
}

/// One answer that stands in the way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ObstacleDocument {
    /// The initiator.
    pub from: String,
    /// The target.
    pub to: String,
    /// Class of transaction; absent for impersonation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlp: Option<&'static str>,
    /// Where it is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What becomes of it whatever is written.
    pub disposition: &'static str,
    /// Code of the reason; `impersonation` where no port validates requester IDs, `linux-group`.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// What else could change it.
    pub remedy: &'static str,
}

impl PlanDocument {
    /// Describes what planning came to. `diff` compares the machine with itself after the plan.
    #[must_use]
    pub fn new(
        goal: Goal,
        functions: Vec<String>,
        assumptions: Vec<String>,
        (before, after): (&Topology, &Topology),
        outcome: &Outcome,
        diff: DiffDocument,
    ) -> Self {
        let nothing = Plan::default();
        let (word, plan, obstacles) = match outcome {
            Outcome::Reached(plan) if plan.writes.is_empty() => ("reached", plan, &[][..]),
            Outcome::Reached(plan) => ("plan", plan, &[][..]),
            Outcome::Impossible(obstacles) => ("impossible", &nothing, obstacles.as_slice()),
        };
        let (parameters, no_parameters) = match emit::parameters(before, after, plan) {
            Parameters::None(_) if plan.writes.is_empty() => (None, None),
            Parameters::None(why) => (None, Some(why)),
            Parameters::Pci { config_acs, disable_acs_redir } => {
                let emit::Quoted { plain, grub, grubby, grubby_undo } = emit::quoted(&config_acs);
                let disable_acs_redir = disable_acs_redir.map(|value| emit::quoted(&value).plain);
                (Some(ParametersDocument { plain, grub, grubby, grubby_undo, disable_acs_redir }), None)
            }
        };
        Self {
            goal: goal.word(),
            functions,
            outcome: word,
            assumptions,
            missing: Vec::new(),
            proved_smallest: plan.proved_smallest,
            changed_functions: plan.functions().len(),
            changed_bits: plan.bits(),
            writes: plan.writes.iter().map(|write| write_document(before, write)).collect(),
            setpci: emit::setpci(before, plan),
            undo: emit::undo(before, plan),
            parameters,
            no_parameters,
            warnings: Vec::new(),
            domains: diff.domains,
            groups: diff.groups,
            pairs: diff.pairs,
            connections: Vec::new(),
            obstacles: obstacles
                .iter()
                .map(|obstacle| ObstacleDocument::new(before, goal, obstacle))
                .collect(),
        }
    }

    /// Notes what is not known: a goal is not reached already where that could change it.
    pub fn leave_open(&mut self, missing: Vec<String>) {
        if self.outcome == "reached" && !missing.is_empty() {
            self.outcome = "inconclusive";
        }
        self.missing = missing;
    }
}

impl ObstacleDocument {
    /// Describes what stands in the way of a goal.
    #[must_use]
    pub fn new(topology: &Topology, goal: Goal, obstacle: &Obstacle) -> Self {
        Self {
            from: address(topology, obstacle.from),
            to: address(topology, obstacle.to),
            tlp: obstacle.tlp.map(|tlp| tlp.word()),
            at: obstacle.at.map(|at| address(topology, at)),
            disposition: obstacle.disposition.word(),
            reason: match obstacle.why {
                Obstruction::Route(reason) => reason.code(),
                Obstruction::Impersonation(_) => "impersonation",
                Obstruction::Group => "linux-group",
            },
            message: match obstacle.why {
                Obstruction::Route(reason) => reason.to_string(),
                Obstruction::Impersonation(why) if why.is_by_making() => {
                    String::from("both send with one requester ID, by their making")
                }
                Obstruction::Impersonation(_) => {
                    String::from("no port on the way up offers Source Validation")
                }
                Obstruction::Group => String::from("Linux groups them together; acsscan groups says why"),
            },
            remedy: match obstacle.why {
                Obstruction::Route(reason) => match goal {
                    Goal::Isolate => words::remedy(reason),
                    Goal::Connect => words::opening(reason),
                },
                Obstruction::Impersonation(why) if why.is_by_making() => "none: assign them together",
                Obstruction::Impersonation(_) => "the slot: below a port that validates requester IDs",
                Obstruction::Group => {
                    "the slot, or another kernel: no register that it looks at is left to set"
                }
            },
        }
    }
}

fn write_document(topology: &Topology, write: &crate::route::plan::Write) -> WriteDocument {
    let digits = if write.register == Register::Control { 6 } else { 10 };
    let hex = |value: u32| format!("{value:#0digits$x}");
    let bits = |value: u32| AcsControl::from_bits_retain((value & 0xffff) as u16);
    let (on, off) = (bits(write.new), bits(write.old));
    let tokens = format!("{} {}", control_tokens(on, '+'), control_tokens(off, '-'));
    let (register, bits) = match write.register {
        Register::Control => (String::from("ACS Control"), tokens.trim().to_owned()),
        Register::WideControl => (String::from("ACS Control (32-bit)"), tokens.trim().to_owned()),
        Register::Vector(n) => (format!("Egress Control Vector, double word {n}"), hex(write.new)),
    };
    WriteDocument {
        function: address(topology, write.function),
        register,
        mask: hex(write.mask),
        old: hex(write.old),
        new: hex(write.new),
        bits,
    }
}
