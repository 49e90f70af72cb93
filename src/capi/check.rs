//! May these be assigned? One answer, one sentence.

use std::ffi::c_char;

use super::border::{CStatus, Failure, Output, call, follow, owned, slice};
use super::open::CScan;
use crate::finding::Question;
use crate::report::words;
use crate::route::check::{Policy, Unknown, Verdict};

/// By what rule functions may be assigned to a guest.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CPolicy {
    /// The specification's: nothing that stays outside shares an isolation domain with them.
    Spec = 0,
    /// The kernel's: they are whole IOMMU groups, but for bridges.
    Linux = 1,
    /// libvirt's check: no switch downstream port above lacks ACS.
    Libvirt = 2,
    /// libvirt's check where `relaxed_acs_check` is on.
    LibvirtRelaxed = 3,
}

/// An answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CVerdict {
    /// They may be assigned.
    Assignable = 0,
    /// They may not.
    NotAssignable = 1,
    /// The dump does not tell, or the specification leaves it open. Not a yes.
    Inconclusive = 2,
    /// They may, because somebody has accepted what is left open, as an entry of the device database.
    Accepted = 3,
}

/// Whether functions may be assigned to one guest together, by a rule, and why (not), in one sentence.
///
/// `policy` is one of `acsscan_policy`. `why` may be NULL; else it is set to the sentence, which is the
/// caller's, for `acsscan_string_free()`. That they may not is no error: the call succeeds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_check(
    scan: *const CScan,
    functions: *const usize,
    count: usize,
    policy: u32,
    verdict: *mut CVerdict,
    why: *mut *mut c_char,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        let output = Output::new(verdict, "verdict")?;
        // SAFETY: as the module says.
        let (scan, functions) = unsafe { (follow(scan, "scan")?, slice(functions, count, "functions")?) };
        if functions.is_empty() {
            return Err(Failure::argument("no functions are given"));
        }
        for function in functions {
            scan.function(*function)?;
        }
        let (verdict, text) = check(scan, functions, policy)?;
        // SAFETY: as the module says.
        unsafe {
            output.write(verdict);
            if !why.is_null() {
                why.write(owned(&text));
            }
        }
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

fn check(scan: &CScan, functions: &[usize], policy: u32) -> Result<(CVerdict, String), Failure> {
    let policy = policy_of(policy)?;
    // The question takes the functions for those of one topology, which they are.
    let question = Question::new(scan.facts(), functions, Unknown::Fail);
    let judgement = question.judge(policy);
    let verdict = match question.verdict(&judgement) {
        Verdict::Assignable => CVerdict::Assignable,
        Verdict::NotAssignable => CVerdict::NotAssignable,
        Verdict::Inconclusive => CVerdict::Inconclusive,
        Verdict::Accepted => CVerdict::Accepted,
    };
    let nothing_against = || {
        let names: Vec<String> =
            functions.iter().map(|index| words::address(scan.topology(), *index)).collect();
        format!("{} {}", policy.grant(), names.join(", "))
    };
    Ok((verdict, question.why(&judgement).unwrap_or_else(nothing_against)))
}

fn policy_of(number: u32) -> Result<Policy, Failure> {
    match number {
        n if n == CPolicy::Spec as u32 => Ok(Policy::Spec),
        n if n == CPolicy::Linux as u32 => Ok(Policy::Linux),
        n if n == CPolicy::Libvirt as u32 => Ok(Policy::Libvirt),
        n if n == CPolicy::LibvirtRelaxed as u32 => Ok(Policy::Relaxed),
        n => Err(Failure::argument(format!("policy {n} is not one of acsscan_policy"))),
    }
}
