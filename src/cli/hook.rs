//! `hook libvirt`: libvirt's qemu hook.
//!
//! libvirt runs `/etc/libvirt/hooks/qemu GUEST OPERATION SUBOPERATION EXTRA` with the guest's XML on
//! standard input, and takes an exit code other than 0 of `prepare begin` for a refusal to start. Of
//! other operations it is taken for an order to stop a guest that runs (`reconnect`): they all end with
//! 0, whatever happens.

use std::ffi::OsString;
use std::io::Read;

use super::args::{Common, LibvirtHook, UnknownArg};
use super::check::{Assessment, assess};
use super::output::Answers;
use super::reach::assumptions;
use super::{Exit, Stop, input};
use crate::addr::Sbdf;
use crate::guest;
use crate::kernel::Iommu;
use crate::report::clean;
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
    match judge(common, hook, &functions) {
        Ok(None) => Ok(Exit::Done),
        Ok(Some(Refusal { exit, why })) => {
            eprintln!("acsscan: {}", clean(&format!("guest {guest} may not start: {why}")));
            Ok(exit)
        }
        // Not even read: that is not known, and handled as such.
        Err(stop) => match hook.unknown {
            UnknownArg::Fail => Err(refuse(stop.text())),
            UnknownArg::Warn | UnknownArg::Pass => {
                eprintln!("acsscan: {}", clean(&format!("guest {guest} starts unchecked: {}", stop.text())));
                Ok(Exit::Done)
            }
        },
    }
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

struct Refusal {
    exit: Exit,
    /// One line.
    why: String,
}

/// `None`: the guest may start.
fn judge(common: &Common, hook: &LibvirtHook, functions: &[Sbdf]) -> Result<Option<Refusal>, Stop> {
    if common.overlays.any() {
        let why = String::from("a hook is about the machine as it is: leave out the what-if options");
        return Ok(Some(Refusal { exit: Exit::Usage, why }));
    }
    let scanned = input::read(common, false)?;
    let iommu = scanned.source.host.as_ref().map(|host| host.iommu(&scanned.topology));
    if let Some(Iommu::Off | Iommu::Absent) = iommu {
        let why = String::from("the kernel uses no IOMMU, without which nothing can be assigned safely");
        return Ok(Some(Refusal { exit: Exit::Negative, why }));
    }
    let mut indices = Vec::new();
    for function in functions {
        match scanned.topology.index_of(*function) {
            Some(index) => indices.push(index),
            None => {
                let why = format!("{function}: no such function on this host");
                return Ok(Some(Refusal { exit: Exit::Negative, why }));
            }
        }
    }
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), Some(&indices));
    let refusal = |exit, why| Some(Refusal { exit, why });
    Ok(match assess(&answers, &indices, hook.policy, hook.unknown) {
        Assessment::Assignable => None,
        Assessment::Not(why) => refusal(Exit::Negative, why),
        Assessment::Inconclusive(why) => refusal(Exit::Inconclusive, why),
    })
}
