//! `hook libvirt`: libvirt's qemu hook.
//!
//! libvirt runs `/etc/libvirt/hooks/qemu GUEST OPERATION SUBOPERATION EXTRA` with the guest's XML on
//! standard input, and takes an exit code other than 0 of `prepare begin` for a refusal to start. Of
//! other operations it is taken for an order to stop a guest that runs (`reconnect`): they all end with
//! 0, whatever happens.

use std::ffi::OsString;
use std::io::Read;

use super::args::{Common, LibvirtHook, UnknownArg};
use super::input::Scanned;
use super::output::Answers;
use super::reach::assumptions;
use super::{Exit, Stop, input};
use crate::addr::Sbdf;
use crate::finding::Question;
use crate::guest;
use crate::kernel::Iommu;
use crate::report::clean;
use crate::route::check::{Unknown, Verdict};
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;

/// Whether the arguments that libvirt adds at the end ask whether a guest may start.
fn asks(arguments: &[OsString]) -> bool {
    matches!(arguments, [.., operation, suboperation, _extra]
        if operation == "prepare" && suboperation == "begin")
}

/// Whether the program was run as a hook for something that it must not fail, however wrong its options
/// are.
pub(super) fn must_not_fail(arguments: &[OsString]) -> bool {
    let is_hook = arguments.windows(2).any(|pair| pair == ["hook", "libvirt"]);
    is_hook && !asks(arguments)
}

pub(super) fn run(common: &Common, hook: &LibvirtHook) -> Result<Exit, Stop> {
    if !asks(&hook.arguments) {
        return Ok(Exit::Done);
    }
    let guest = hook.arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let refuse = |why: String| Stop::Input(format!("guest {guest} may not start: {why}"));
    let functions = assigned().map_err(&refuse)?;
    if functions.is_empty() {
        return Ok(Exit::Done);
    }
    let say = |line: String| eprintln!("acsscan: {}", clean(&format!("guest {guest} {line}")));
    if common.overlays.any() {
        say(String::from(
            "may not start: a hook is about the machine as it is: leave out the what-if options",
        ));
        return Ok(Exit::Usage);
    }
    let scanned = match (input::read_silently(common, false), hook.unknown) {
        (Ok(scanned), _) => scanned,
        // Not even read: that is not known, and handled as such.
        (Err(stop), UnknownArg::Fail) => return Err(refuse(stop.text())),
        (Err(stop), UnknownArg::Warn | UnknownArg::Pass) => {
            say(format!("starts unchecked: {}", stop.text()));
            return Ok(Exit::Done);
        }
    };
    let Answer { exit, line } = judge(common, hook, &scanned, &functions);
    let may = if exit == Exit::Done { "may start" } else { "may not start" };
    line.into_iter().for_each(|line| say(format!("{may}: {line}")));
    // Behind the reason, which libvirt shows.
    input::say_refused(&scanned.refused);
    Ok(exit)
}

/// The functions that the domain on standard input is given.
fn assigned() -> Result<Vec<Sbdf>, String> {
    let mut xml = Vec::new();
    let limit = u64::try_from(guest::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut xml)
        .map_err(|error| format!("its XML cannot be read: {error}"))?;
    guest::assigned_functions(&xml).map_err(|error| error.to_string())
}

struct Answer {
    exit: Exit,
    /// What is to be said, in one line.
    line: Option<String>,
}

fn judge(common: &Common, hook: &LibvirtHook, scanned: &Scanned, functions: &[Sbdf]) -> Answer {
    let refusal = |line| Answer { exit: Exit::Negative, line: Some(line) };
    let iommu = scanned.source.host.as_ref().map(|host| host.iommu(&scanned.topology));
    // Whatever the policy: libvirt's own check does not ask.
    if let Some(Iommu::Off | Iommu::Absent) = iommu {
        return refusal(String::from(
            "the kernel uses no IOMMU, without which nothing can be assigned safely",
        ));
    }
    let mut indices = Vec::new();
    for function in functions {
        match scanned.topology.index_of(*function) {
            Some(index) => indices.push(index),
            None => return refusal(format!("{function}: no such function on this host")),
        }
    }
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(scanned, &linux, &fabric, &assumptions(common), None);
    let unknown = Unknown::from(hook.unknown);
    let question = Question::new(answers.facts(), &indices, unknown);
    let judgement = question.judge(hook.policy.into());
    let (verdict, line) = (question.verdict(&judgement), question.why(&judgement));
    let see = |line| format!("{line}; see acsscan check {}", names(functions));
    match verdict {
        Verdict::NotAssignable => Answer { exit: Exit::Negative, line: line.map(see) },
        Verdict::Inconclusive => Answer { exit: Exit::Inconclusive, line: line.map(see) },
        Verdict::Assignable if unknown == Unknown::Pass => Answer { exit: Exit::Done, line: None },
        Verdict::Assignable | Verdict::Accepted => Answer { exit: Exit::Done, line },
    }
}

fn names(functions: &[Sbdf]) -> String {
    functions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
