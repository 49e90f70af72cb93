//! `plan isolate` and `plan connect`.

use clap::{Args, Subcommand, ValueEnum};

use super::args::{Common, label};
use super::input::Scanned;
use super::output::Answers;
use super::reach::assumptions;
use super::{Exit, Stop, address, clique, help, input};
use crate::cap::acs::AcsControl;
use crate::diff::{State, diff};
use crate::finding::Question;
use crate::kernel::Version;
use crate::kernel::acs_param::AcsOptions;
use crate::report::json::{
    Body, ConnectionDocument, DiffDocument, GateDocument, ObstacleDocument, P2pdmaDocument, PlanDocument,
};
use crate::report::{text, words};
use crate::route::check::{Policy, Unknown};
use crate::route::fabric::Fabric;
use crate::route::linux::{Linux, REQUIRED};
use crate::route::matrix::Label;
use crate::route::plan::{self, Goal, Measure, Outcome, Plan, Register};
use crate::route::port::TlpClass;
use crate::route::{Assumptions, Disposition, overlay, p2pdma};
use crate::topology::{FunctionIndex, Topology};

/// What is to be reached.
#[derive(Debug, Subcommand)]
pub(super) enum PlanVerb {
    /// Keep these functions apart from all others
    #[command(after_help = help::PLAN_ISOLATE)]
    Isolate(Isolate),
    /// Let functions reach each other directly, both ways
    #[command(after_help = help::PLAN_CONNECT)]
    Connect(Connect),
}

/// Options of `plan isolate`.
#[derive(Debug, Args)]
pub(super) struct Isolate {
    /// The functions; they may share a domain with each other
    #[arg(value_name = "ADDR", required = true)]
    addresses: Vec<String>,
    /// By whose measure: isolation domains, or the groups that Linux will form (which VFIO asks for)
    #[arg(long, value_name = "MODEL", default_value = "spec")]
    model: By,
}

/// By whose measure functions are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// The specification's: isolation domains
    Spec,
    /// The kernel's groups
    Linux,
}

/// Options of `plan connect`.
#[derive(Debug, Args)]
pub(super) struct Connect {
    /// The functions, each with each other
    #[arg(value_name = "ADDR", required_unless_present = "all_pairs", num_args = 2..)]
    addresses: Vec<String>,
    /// All functions of the kinds that --class names, each with each other
    #[arg(long, requires = "class", conflicts_with = "addresses")]
    all_pairs: bool,
    /// Kinds of functions: gpu, nic, nvme, storage, accelerator, usb, other
    #[arg(long, value_name = "KIND[,KIND]", requires = "all_pairs", value_delimiter = ',', value_parser = label)]
    class: Vec<Label>,
}

/// Functions that are connected with each other at most.
const MAX_CONNECTED: usize = 64;

type Pair = (FunctionIndex, FunctionIndex);

pub(super) fn run(common: &Common, verb: &PlanVerb) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let assumed = assumptions(common);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumed, None);
    let (topology, database) = (&scanned.topology, &scanned.database);
    let named = match verb {
        PlanVerb::Isolate(options) => address::resolve(topology, &options.addresses)?,
        PlanVerb::Connect(options) if options.all_pairs => of_labels(&fabric, &options.class)?,
        PlanVerb::Connect(options) => address::resolve(topology, &options.addresses)?,
    };
    if let Some(port) = named.iter().find(|index| !fabric.initiates(**index)) {
        return Err(Stop::Usage(format!(
            "{}: ports and host bridges are on the way; name the functions that are below",
            words::address(topology, *port)
        )));
    }
    let (goal, pairs, outcome, left_out) = match verb {
        PlanVerb::Isolate(options) => {
            let measure = match options.model {
                By::Spec => Measure::Domains,
                By::Linux => Measure::LinuxGroups,
            };
            let outcome = plan::isolate(topology, database, &assumed, measure, &named);
            (Goal::Isolate, Vec::new(), outcome, Vec::new())
        }
        PlanVerb::Connect(_) => {
            let (pairs, left_out) = possible(topology, &scanned, &assumed, &named)?;
            let outcome = match pairs.is_empty() {
                true => Outcome::Impossible(Vec::new()),
                false => plan::connect(topology, database, &assumed, &pairs),
            };
            (Goal::Connect, pairs, outcome, left_out)
        }
    };
    let mut changed = topology.clone();
    if let Outcome::Reached(plan) = &outcome {
        plan.apply(&mut changed, false);
    }
    let after = Fabric::new(&changed, database);
    let difference = difference(&answers, &after, &changed);
    let addresses = named.iter().map(|index| words::address(topology, *index)).collect();
    let mut document = PlanDocument::new(
        goal,
        addresses,
        answers.assumptions(&assumed),
        (topology, &changed),
        &outcome,
        difference,
    );
    document.obstacles.extend(left_out);
    if let PlanVerb::Isolate(options) = verb {
        document.leave_open(not_known(&answers, options.model, &named, &outcome));
    }
    if let Outcome::Reached(plan) = &outcome {
        document.warnings = warnings(&scanned, &fabric, plan, goal, &document);
        let both = pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]);
        document.connections = both.map(|pair| connection(&fabric, &after, pair)).collect();
    }
    if goal == Goal::Isolate && matches!(outcome, Outcome::Reached(_)) {
        document.warnings.extend(still_grouped(&after, &named));
        document.warnings.extend(still_shared(&after, &assumed, &named));
    }
    answers.write(
        common,
        |_| Body::Plan(Box::new(document.clone())),
        |mut out, _| text::plan(&mut out, &document),
    )?;
    Ok(match (&outcome, document.obstacles.is_empty()) {
        (Outcome::Reached(_), true) => {
            answers.exit_if(common, || !document.missing.is_empty() || answers.is_inconclusive(Some(&named)))
        }
        _ => Exit::Negative,
    })
}

/// What is not known of what functions are to be kept apart from, as `check` tells it: what the dump lacks, and
/// where nothing has to change, what then remains open.
fn not_known(answers: &Answers<'_>, by: By, named: &[FunctionIndex], outcome: &Outcome) -> Vec<String> {
    let question = Question::new(answers.facts(), named, Unknown::Fail);
    let mut found = Vec::new();
    if matches!(outcome, Outcome::Reached(plan) if plan.writes.is_empty()) {
        let judgement = question.judge(match by {
            By::Spec => Policy::Spec,
            By::Linux => Policy::Linux,
        });
        let open = judgement.objections.iter().filter(|objection| !objection.certain);
        found.extend(open.map(|objection| question.objection(objection)));
    }
    found.extend(question.missing().iter().cloned());
    found
}

fn of_labels(fabric: &Fabric<'_>, labels: &[Label]) -> Result<Vec<FunctionIndex>, Stop> {
    let found = clique::of_labels(fabric, labels);
    match found.len() {
        0 | 1 => Err(Stop::Input(String::from("--class: fewer than two such functions are in the dump"))),
        n if n > MAX_CONNECTED => Err(Stop::Usage(format!(
            "--class: {n} functions are too many to connect each with each other, {MAX_CONNECTED} are not: name them"
        ))),
        _ => Ok(found),
    }
}

/// The pairs of these functions that can be connected, and why others cannot.
fn possible(
    topology: &Topology,
    scanned: &Scanned,
    assumed: &Assumptions,
    named: &[FunctionIndex],
) -> Result<(Vec<Pair>, Vec<ObstacleDocument>), Stop> {
    if named.len() < 2 {
        return Err(Stop::Usage(String::from("plan connect needs two functions")));
    }
    if named.len() > MAX_CONNECTED {
        return Err(Stop::Usage(format!("plan connect takes {MAX_CONNECTED} functions at most")));
    }
    let mut pairs = Vec::new();
    for (n, a) in named.iter().enumerate() {
        pairs.extend(named.iter().skip(n.saturating_add(1)).map(|b| (*a, *b)));
    }
    let (pairs, obstacles) = plan::connectable(topology, &scanned.database, assumed, &pairs);
    let document = |found| ObstacleDocument::new(topology, Goal::Connect, found);
    Ok((pairs, obstacles.iter().map(document).collect()))
}

/// The machine against itself after the plan.
fn difference(before: &Answers<'_>, after: &Fabric<'_>, changed: &Topology) -> DiffDocument {
    let domains = after.domains(before.domains.assumptions());
    let grouping = Linux::new(changed, after.database()).group();
    let state = |fabric, domains, grouping| State { fabric, domains, grouping, findings: &[] };
    let found =
        diff(&state(before.fabric, &before.domains, &before.grouping), &state(after, &domains, &grouping));
    DiffDocument::new((before.fabric.topology(), changed), ("", ""), &found)
}

/// That Linux's groups would still hold others, if they would: they ask for more.
fn still_grouped(after: &Fabric<'_>, named: &[FunctionIndex]) -> Option<String> {
    let groups = Linux::new(after.topology(), after.database()).group().group_of;
    let group = |index: FunctionIndex| groups.get(index).copied().flatten();
    let other = (0..groups.len()).find(|other| {
        let together = named.iter().any(|index| group(*index).is_some() && group(*index) == group(*other));
        together && after.initiates(*other) && !named.contains(other)
    })?;
    Some(format!(
        "Linux's group would still hold {}, too, which matters to VFIO: --model linux plans for the groups",
        words::address(after.topology(), other)
    ))
}

/// That the isolation domain would still hold others, if it would: Linux does not look at everything.
fn still_shared(after: &Fabric<'_>, assumed: &Assumptions, named: &[FunctionIndex]) -> Option<String> {
    let domains = after.domains(assumed);
    let others = named.iter().filter_map(|index| domains.get(domains.domain_of(*index)?));
    let mut others = others.flat_map(|domain| domain.functions());
    let other = others.find(|other| after.initiates(*other) && !named.contains(other))?;
    Some(format!(
        "the isolation domain would still hold {}, too, whatever Linux's groups say: --model spec plans for domains",
        words::address(after.topology(), other)
    ))
}

/// One direction of a pair that is connected.
fn connection(before: &Fabric<'_>, after: &Fabric<'_>, (from, to): Pair) -> ConnectionDocument {
    let topology = after.topology();
    let assumed = Assumptions::as_configured();
    let untranslated = after.disposition(from, to, TlpClass::MemoryUntranslated, &Assumptions::default()).0;
    let class = match untranslated {
        Disposition::Direct => TlpClass::MemoryUntranslated,
        _ => TlpClass::MemoryTranslated,
    };
    let route = after.trace(from, to, class, &assumed);
    let closed = route.gates.iter().filter(|gate| gate.open != Some(true));
    let mapping = |fabric: &Fabric<'_>| {
        let mapping = p2pdma::mapping(fabric.topology(), fabric.database(), to, from);
        P2pdmaDocument::new(fabric.topology(), &mapping)
    };
    ConnectionDocument {
        from: words::address(topology, from),
        to: words::address(topology, to),
        closed_gates: closed.map(|gate| GateDocument::new(topology, gate)).collect(),
        p2pdma_before: mapping(before),
        p2pdma_after: mapping(after),
    }
}

/// What may undo the plan, or go stale.
fn warnings(
    scanned: &Scanned,
    fabric: &Fabric<'_>,
    plan: &Plan,
    goal: Goal,
    document: &PlanDocument,
) -> Vec<String> {
    if plan.writes.is_empty() {
        return Vec::new();
    }
    let version = scanned.source.kernel.as_deref().and_then(|kernel| kernel.parse::<Version>().ok());
    let mut found: Vec<String> = about_registers(plan, goal, version).into_iter().collect();
    found.extend(about_groups(goal, document));
    found.extend(about_pairs(plan, document));
    found.extend(about_parameters(scanned, version, document));
    let claimed = plan.functions().into_iter().find(|index| fabric.claim(*index).is_some());
    if let Some(index) = claimed {
        found.push(format!(
            "{}: its registers have 32 bits, which lspci shows in the wrong place",
            words::address(fabric.topology(), index)
        ));
    }
    found.push(String::from(
        "some devices ignore writes of bits that they offer: read the registers back, or scan again",
    ));
    found
}

/// The writes to ACS Control.
fn controls(plan: &Plan) -> impl Iterator<Item = &plan::Write> {
    plan.writes.iter().filter(|write| !matches!(write.register, Register::Vector(_)))
}

/// What the kernel does to these registers by itself.
fn about_registers(plan: &Plan, goal: Goal, version: Option<Version>) -> Option<String> {
    let cleared = controls(plan).fold(0, |bits, write| bits | (write.old & !write.new));
    // Linux 7.2.13: pci_enable_acs() is called from pci_dma_configure() and pci_restore_state().
    if cleared & u32::from(REQUIRED.bits()) != 0 && version.is_none_or(|v| v >= Version::new(6, 15, 0)) {
        return Some(String::from(
            "with an IOMMU, Linux 6.15 and later turns SrcValid, ReqRedir, CmpltRedir and UpstreamFwd on again \
             whenever a driver is bound below, and after a reset or resume: what setpci turned off comes back",
        ));
    }
    let changed = plan.writes.iter().fold(0, |bits, write| bits | write.mask);
    let by_itself = cleared == 0 && changed & !u32::from(REQUIRED.bits()) == 0;
    (goal == Goal::Isolate && by_itself).then(|| {
        String::from(
            "Linux turns these bits on by itself once an IOMMU is in use, and without one nothing is kept apart: \
             --enable-acs shows the machine as it is then",
        )
    })
}

fn about_groups(goal: Goal, document: &PlanDocument) -> Vec<String> {
    let mut found = Vec::new();
    if !document.groups.is_empty() {
        found.push(String::from(
            "the kernel forms IOMMU groups once, at boot: after setpci they stay as they were, and tell what was",
        ));
        if goal == Goal::Isolate {
            found.push(String::from(
                "so VFIO goes on to ask for the old groups: only the parameter, or firmware, changes them",
            ));
        }
    }
    found
}

fn about_pairs(plan: &Plan, document: &PlanDocument) -> Vec<String> {
    let mut found = Vec::new();
    let egress = u32::from(AcsControl::EGRESS_CONTROL.bits());
    if controls(plan).any(|write| write.new & egress != 0) {
        found.push(String::from(
            "Linux's groups do not look at EgressCtrl: they stay apart although these pairs reach each other; and its \
             peer-to-peer DMA takes EgressCtrl for a redirect",
        ));
    }
    let opens = document.pairs.iter().flatten().filter(|effect| effect.change != "closes");
    let opened: u64 = opens.map(|effect| effect.pairs).sum();
    if opened > 0 {
        let pairs = if opened == 1 { String::from("1 pair opens") } else { format!("{opened} pairs open") };
        found.push(format!(
            "{pairs} in all: what is open is open to whatever runs on these functions, past the IOMMU"
        ));
    }
    found
}

fn about_parameters(scanned: &Scanned, version: Option<Version>, document: &PlanDocument) -> Vec<String> {
    let Some(parameters) = &document.parameters else { return Vec::new() };
    let mut found = Vec::new();
    let earlier = scanned.source.cmdline.as_deref().map(AcsOptions::of_command_line).unwrap_or_default();
    if earlier.config_acs.is_some() {
        found.push(String::from(
            "the command line has a pci=config_acs= already, and the last one counts: put its entries behind these, \
             separated by ;",
        ));
    }
    if parameters.plain.len() > 2000 {
        found.push(String::from("the parameter is longer than most kernels' command line (2048 on x86)"));
    }
    if version.is_some_and(|version| version < overlay::CONFIG_ACS) {
        found.push(String::from(
            "the kernel of the dump is older than Linux 6.11 and does not know config_acs",
        ));
    }
    found
}
