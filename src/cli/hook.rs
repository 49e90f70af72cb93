//! `hook libvirt`: libvirt's qemu hook.
//!
//! libvirt runs `/etc/libvirt/hooks/qemu GUEST OPERATION SUBOPERATION EXTRA` with the guest's XML on
//! standard input, and takes an exit code other than 0 of `prepare begin` for a refusal to start. Of
//! other operations it is taken for an order to stop a guest that runs (`reconnect`): they all end with
//! 0, whatever happens. Arguments that are not in their places refuse, where a start is asked for.

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
use crate::limits::Limits;
use crate::report::clean;
use crate::route::check::{Unknown, Verdict};
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;

/// Whether what was typed, right or wrong, asks whether a guest may start: `prepare`, and behind it
/// `begin`, nothing, or what libvirt gives where there is nothing. No operation follows a guest of the name
/// `prepare` that way.
fn asks(typed: &[OsString]) -> bool {
    typed.iter().enumerate().any(|(at, word)| {
        let behind = typed.get(at.saturating_add(1));
        let ends = at > 0 && behind.is_none_or(|next| next == "-");
        word == "prepare" && (ends || behind.is_some_and(|next| next == "begin"))
    })
}

/// What follows `hook libvirt` of the program's arguments, if it was run as that hook.
fn typed(arguments: &[OsString]) -> Option<&[OsString]> {
    let at = arguments.windows(2).position(|pair| pair == ["hook", "libvirt"])?;
    arguments.get(at.saturating_add(2)..)
}

/// What becomes of a command line that means nothing, or asks for help. A hook of something else than the
/// start of a guest must not fail, and the hook of a start must not pass, whatever a guest is called.
pub(super) fn exit_without_answer(arguments: &[OsString], is_error: bool) -> Exit {
    match typed(arguments).map(asks) {
        Some(true) => Exit::Usage,
        Some(false) => Exit::Done,
        None if is_error => Exit::Usage,
        None => Exit::Done,
    }
}

/// What is wrong with the arguments of a hook that is asked whether a guest may start.
fn misplaced(arguments: &[OsString]) -> Option<String> {
    let wrong = match arguments {
        [_, operation, suboperation, _] if operation == "prepare" && suboperation == "begin" => return None,
        [_, _, _, _] => "they are not in this order",
        [_, _, _, _, ..] => "there are more",
        _ => "there are fewer",
    };
    let found: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    Some(format!(
        "the arguments are wrong: expected GUEST prepare begin EXTRA, as libvirt gives them (hook libvirt \
         [OPTIONS] -- \"$@\"); {wrong}: {}",
        found.join(" ")
    ))
}

pub(super) fn run(common: &Common, hook: &LibvirtHook) -> Result<Exit, Stop> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // All that was typed: a guest's name may have been taken for an option, and what is behind it for its value.
    if !typed(&arguments).is_some_and(asks) {
        return Ok(Exit::Done);
    }
    if let Some(wrong) = misplaced(&hook.arguments) {
        return Err(Stop::Usage(format!("the guest may not start: {wrong}")));
    }
    let guest = hook.arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let refuse = |why: String| Stop::Input(format!("guest {guest} may not start: {why}"));
    // The guest's XML and its functions' registers are a stranger's, too.
    input::give_up_the_rest(common, &[common.dump.clone().flatten()]);
    let functions = assigned(std::io::stdin().lock(), &input::limits(common)).map_err(&refuse)?;
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

/// The functions that a domain is given.
pub(super) fn assigned(xml: impl Read, limits: &Limits) -> Result<Vec<Sbdf>, String> {
    let mut bytes = Vec::new();
    xml.take(limits.xml.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| format!("the domain's XML cannot be read: {error}"))?;
    guest::assigned_functions_within(limits, &bytes).map_err(|error| error.to_string())
}

struct Answer {
    exit: Exit,
    /// What is to be said, in one line.
    line: Option<String>,
}

fn judge(common: &Common, hook: &LibvirtHook, scanned: &Scanned, functions: &[Sbdf]) -> Answer {
    let refusal = |line| Answer { exit: Exit::Negative, line: Some(line) };
    let iommu = Iommu::of(scanned.source.host.as_ref(), &scanned.topology);
    // Whatever the policy: libvirt's own check does not ask.
    if let Iommu::Off | Iommu::Absent = iommu {
        return refusal(String::from(
            "the kernel uses no IOMMU, without which nothing can be assigned safely",
        ));
    }
    let mut indices = Vec::new();
    for function in functions {
        match scanned.topology.index_of(*function) {
            Some(index) => indices.push(index),
            None => return refusal(format!("{function}: no such function")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_start_is_answered_whatever_guests_are_called() {
        let asks = |line: &str| asks(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>());
        for start in [
            "g prepare begin -",
            "g prepare begin",
            "prepare begin -",
            "g prepare",
            "g prepare -",
            "--x g prepare begin - y",
        ] {
            assert!(asks(start), "{start}");
        }
        for other in [
            "",
            "g",
            "prepare",
            "prepare reconnect begin -",
            "g reconnect begin -",
            "g start begin",
            "begin release end -",
        ] {
            assert!(!asks(other), "{other}");
        }
    }
}
