//! `check`: may these functions be assigned together?

use std::cell::LazyCell;
use std::fs::File;
use std::path::Path;

use super::args::{Check, Common, PolicyArg, UnknownArg};
use super::output::Answers;
use super::reach::assumptions;
use super::selector::Wanted;
use super::{Exit, Stop, hook, input};
use crate::finding::{Question, in_use_findings};
use crate::report::json::{Body, CheckDocument, PolicyDocument};
use crate::report::text;
use crate::route::check::{Policy, Unknown, Verdict};
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;

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

/// The functions that a domain is given, as they would be typed.
fn of_domain(common: &Common, path: &Path) -> Result<Vec<String>, Stop> {
    let is_stdin = path == Path::new("-");
    if is_stdin && common.dump.as_ref().and_then(Option::as_deref) == Some(path) {
        return Err(Stop::Usage(String::from("--dump - and --domain - both take standard input")));
    }
    let told = |error: String| Stop::Input(format!("{}: {error}", path.display()));
    let limits = input::limits(common);
    let functions = match is_stdin {
        true => hook::assigned(std::io::stdin().lock(), &limits),
        false => hook::assigned(File::open(path).map_err(|error| told(error.to_string()))?, &limits),
    };
    let functions = functions.map_err(told)?;
    if functions.is_empty() {
        return Err(told(String::from(
            "its <hostdev>, <interface> and <disk> elements assign no PCI function: nothing to check \
                     (<qemu:commandline> and networks that hand out functions are not looked at)",
        )));
    }
    Ok(functions.iter().map(ToString::to_string).collect())
}

pub(super) fn run(common: &Common, check: &Check) -> Result<Exit, Stop> {
    let mut selection = check.selection.clone();
    if let Some(path) = &check.domain {
        selection.addresses.extend(of_domain(common, path)?);
    }
    let wanted = Wanted::parse(&selection)?;
    if wanted.is_all() {
        let text = "check what? Name the functions that one guest is to have: acsscan check 01:00.0 01:00.1, \
                    select them with -s or -d, or name its XML with --domain";
        return Err(Stop::Usage(String::from(text)));
    }
    let scanned = input::read(common, false)?;
    let functions = wanted.select(&scanned.topology)?;
    if functions.is_empty() {
        return Err(Stop::Input(String::from("nothing to check")));
    }
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let mut answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), None);
    let (decides, findings, document) = {
        let question = Question::new(answers.facts(), &functions, check.unknown.into());
        let chosen = question.judge(check.policy.into());
        let judgements = Policy::ALL.map(|policy| match policy == chosen.policy {
            true => chosen.clone(),
            false => question.judge(policy),
        });
        let mut findings = answers.findings_about(&question.concerned(&chosen));
        findings.extend(in_use_findings(&scanned.topology, &chosen.unit));
        crate::finding::sort(&mut findings);
        let (reach, assignment) = (answers.reach(), question.assignment());
        let policies = judgements.iter().map(|judgement| {
            PolicyDocument::new(&reach, assignment, judgement, question.verdict(judgement).word())
        });
        let unknown = Unknown::from(check.unknown).word();
        let document = CheckDocument::new(&reach, &chosen, unknown, &question, policies.collect());
        (question.verdict(&chosen), findings, document)
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
