//! `check`: may these functions be assigned together?

use std::cell::LazyCell;

use super::args::{Check, Common, PolicyArg, UnknownArg};
use super::output::{Answers, is_about, keep_about};
use super::reach::assumptions;
use super::selector::Wanted;
use super::{Exit, Stop, input};
use crate::finding::{Code, Finding};
use crate::function::RegionKind;
use crate::report::json::{Body, CheckDocument, PolicyDocument};
use crate::report::{text, words};
use crate::route::check::{Assignment, Judgement, Policy, Unknown, Verdict};
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::topology::{FunctionIndex, Topology};

impl From<PolicyArg> for Policy {
    fn from(policy: PolicyArg) -> Self {
        match policy {
            PolicyArg::Spec => Self::Spec,
            PolicyArg::Linux => Self::Linux,
            PolicyArg::Libvirt => Self::Libvirt,
            PolicyArg::Relaxed => Self::Relaxed,
        }
    }
}

impl From<UnknownArg> for Unknown {
    fn from(unknown: UnknownArg) -> Self {
        match unknown {
            UnknownArg::Fail => Self::Fail,
            UnknownArg::Warn => Self::Warn,
            UnknownArg::Pass => Self::Pass,
        }
    }
}

pub(super) fn run(common: &Common, check: &Check) -> Result<Exit, Stop> {
    let wanted = Wanted::parse(&check.selection)?;
    if wanted.is_all() {
        let text = "check what? Name the functions that one guest is to have: acsscan check 01:00.0 01:00.1, \
                    or select them with -s or -d";
        return Err(Stop::Usage(String::from(text)));
    }
    let scanned = input::read(common, false)?;
    let functions = wanted.select(&scanned.topology)?;
    if functions.is_empty() {
        return Err(Stop::Input(String::from(
            "nothing to check: no function is selected; show -t lists them",
        )));
    }
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let mut answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), None);
    let mut findings = answers.findings.clone();
    let question = Question::new(&answers, &functions, check.unknown.into());
    let chosen = question.judge(&answers, check.policy.into());
    let judgements = Policy::ALL.map(|policy| match policy == chosen.policy {
        true => chosen.clone(),
        false => question.judge(&answers, policy),
    });
    let Question { assignment, missing, unknown, .. } = &question;
    let verdicts = judgements.each_ref().map(|judgement| question.verdict(judgement));
    let decides = question.verdict(&chosen);
    let about = with_bridges_above(&scanned.topology, &functions, chosen.unit.clone());
    findings.extend(in_use(&scanned.topology, &chosen.unit));
    crate::finding::sort(&mut findings);
    keep_about(&mut findings, &scanned.topology, &about);
    let document = {
        let reach = answers.reach();
        let policies = judgements.iter().zip(verdicts);
        let policies = policies
            .map(|(judgement, verdict)| PolicyDocument::new(&reach, assignment, judgement, verdict.word()));
        let policies = policies.collect();
        CheckDocument::new(&reach, assignment, &chosen, unknown.word(), missing.clone(), policies)
    };
    answers.findings = LazyCell::new(Box::new(move || findings));
    answers.write(
        common,
        |_| Body::Check(document.clone()),
        |mut out, view| text::check(&mut out, view, &document),
    )?;
    Ok(match (decides, answers.is_severe(common)) {
        (Verdict::NotAssignable, _) | (_, true) => Exit::Negative,
        (Verdict::Inconclusive, false) => Exit::Inconclusive,
        (Verdict::Assignable | Verdict::Accepted, false) => Exit::Done,
    })
}

/// What was asked, and what every policy's answer rests on.
struct Question<'a> {
    assignment: Assignment<'a>,
    /// What is missing in the dump that could change the answer.
    missing: Vec<String>,
    /// Whether the host is known to have no IOMMU in use.
    no_iommu: bool,
    unknown: Unknown,
}

impl<'a> Question<'a> {
    fn new(answers: &Answers<'a>, functions: &[FunctionIndex], unknown: Unknown) -> Self {
        let is_off = |finding: &Finding| matches!(finding.code, Code::IommuAbsent | Code::IommuOff);
        Self {
            assignment: Assignment::new(answers.fabric, &answers.domains, &answers.accepted, functions),
            missing: missing(answers, functions),
            no_iommu: answers.findings.iter().any(is_off),
            unknown,
        }
    }

    fn judge(&self, answers: &Answers<'_>, policy: Policy) -> Judgement {
        let demands = |function| demands_direct_mapping(&answers.scanned.topology, function);
        let mut judgement = self.assignment.judge(policy, answers.linux, &answers.grouping, demands);
        if self.no_iommu {
            judgement.miss_iommu(self.assignment.functions());
        }
        judgement
    }

    fn verdict(&self, judgement: &Judgement) -> Verdict {
        judgement.verdict(&self.assignment, !self.missing.is_empty(), self.unknown)
    }
}

/// One policy's answer, and in one line what it rests on; nothing if nothing speaks against it. The
/// answers must be about all functions.
pub(super) fn verdict(
    answers: &Answers<'_>,
    functions: &[FunctionIndex],
    policy: Policy,
    unknown: Unknown,
) -> (Verdict, Option<String>) {
    /// Functions outside that are named.
    const SHOWN: usize = 8;
    let topology = &answers.scanned.topology;
    let question = Question::new(answers, functions, unknown);
    let judgement = question.judge(answers, policy);
    let verdict = question.verdict(&judgement);
    let mut lines = judgement.objections.iter().map(|objection| {
        let others = objection.others.iter().take(SHOWN).map(|other| words::address(topology, *other));
        let mut others: Vec<String> = others.collect();
        let more = objection.others.len().saturating_sub(SHOWN);
        others.extend((more > 0).then(|| format!("and {more} more")));
        let others = if others.is_empty() { String::new() } else { format!(": {}", others.join(", ")) };
        let certain = if objection.certain { "" } else { "not known: " };
        format!(
            "{certain}{} {}{others}",
            words::address(topology, objection.function),
            objection.cause.words()
        )
    });
    let line = match verdict {
        Verdict::Accepted => question.assignment.accepted().next().map(ToString::to_string),
        _ => lines.next().or_else(|| Some(format!("not captured: {}", question.missing.first()?))),
    };
    (verdict, line)
}

/// What is missing in the dump that could change the answer: bytes of the functions and of the bridges
/// above them, and parts of the hierarchy about them.
fn missing(answers: &Answers<'_>, functions: &[FunctionIndex]) -> Vec<String> {
    let topology = &answers.scanned.topology;
    let concerned = with_bridges_above(topology, functions, functions.to_vec());
    let mut missing: Vec<String> = concerned
        .iter()
        .filter_map(|index| topology.function(*index))
        .filter(|function| !function.is_complete())
        .map(|function| format!("{}: not all of its configuration space was captured", function.address))
        .collect();
    let about = |finding: &&Finding| is_about(finding, topology, &concerned);
    let parts = answers.findings.iter().filter(|finding| finding.code.is_missing_part()).filter(about);
    missing.extend(parts.map(|finding| format!("{}: {}", finding.code.as_str(), finding.message)));
    missing
}

/// These and the bridges above the functions, sorted.
fn with_bridges_above(
    topology: &Topology,
    functions: &[FunctionIndex],
    mut these: Vec<FunctionIndex>,
) -> Vec<FunctionIndex> {
    these.extend(functions.iter().flat_map(|function| topology.bridges_above(*function)));
    these.sort_unstable();
    these.dedup();
    these
}

/// Whether the kernel knows of a region that firmware demands to be mapped to itself.
fn demands_direct_mapping(topology: &Topology, function: FunctionIndex) -> bool {
    let inventory = topology.inventory();
    let group = inventory.attributes(function).and_then(|known| known.kernel_group);
    let regions = group.map_or(&[][..], |group| inventory.reserved_regions(group));
    regions.iter().any(|region| region.kind == RegionKind::Direct)
}

/// A finding for each member that the host needs.
fn in_use<'t>(topology: &'t Topology, unit: &'t [FunctionIndex]) -> impl Iterator<Item = Finding> + 't {
    unit.iter().filter_map(|index| {
        let uses = &topology.inventory().attributes(*index)?.host_uses;
        let uses: Vec<String> = uses.iter().map(ToString::to_string).collect();
        let text = uses.join(", ");
        (!uses.is_empty())
            .then(|| Finding::new(Code::InUseByHost, topology.address(*index).into_iter().collect(), text))
    })
}
