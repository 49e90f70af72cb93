//! May these be assigned? One answer, one sentence.

use std::ffi::c_char;

use super::border::{CStatus, Failure, Output, call, follow, owned, slice};
use super::open::CScan;
use super::route::sentence;
use crate::report::words;
use crate::route::domains::{HeldBy, Merge};
use crate::route::libvirt;

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

impl CPolicy {
    fn from_number(number: u32) -> Result<Self, Failure> {
        let all = [Self::Spec, Self::Linux, Self::Libvirt, Self::LibvirtRelaxed];
        let found = all.into_iter().find(|policy| *policy as u32 == number);
        found.ok_or_else(|| Failure::argument(format!("policy {number} is not one of acsscan_policy")))
    }
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
}

type Answer = (CVerdict, String);

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

fn check(scan: &CScan, functions: &[usize], policy: u32) -> Result<Answer, Failure> {
    let policy = CPolicy::from_number(policy)?;
    let topology = scan.topology();
    let is_bridge = |index: usize| topology.function(index).is_some_and(|function| function.is_bridge());
    if let Some(bridge) = functions.iter().find(|index| is_bridge(**index)) {
        let text = format!("{} is a bridge, and bridges are not assigned", words::address(topology, *bridge));
        return Ok((CVerdict::NotAssignable, text));
    }
    let one = |index: &usize| match policy {
        CPolicy::Spec => isolation(scan, functions, *index),
        CPolicy::Linux => group(scan, functions, *index),
        CPolicy::Libvirt => by_libvirt(scan, *index, true),
        CPolicy::LibvirtRelaxed => by_libvirt(scan, *index, false),
    };
    // A no counts for more than not knowing.
    let against = functions.iter().filter_map(one);
    let worst = against.reduce(|worst, next| match worst.0 {
        CVerdict::NotAssignable => worst,
        _ if next.0 == CVerdict::NotAssignable => next,
        _ => worst,
    });
    let names: Vec<String> = functions.iter().map(|index| words::address(topology, *index)).collect();
    Ok(worst.unwrap_or_else(|| {
        let what = match policy {
            CPolicy::Spec => "no other function shares an isolation domain with",
            CPolicy::Linux => "no other function that could stay in use shares a group with",
            CPolicy::Libvirt => "no switch downstream port without ACS is above",
            CPolicy::LibvirtRelaxed => "nothing is asked of the ports above",
        };
        (CVerdict::Assignable, format!("{what} {}", names.join(", ")))
    }))
}

/// What the isolation domain of one function says against assigning these.
fn isolation(scan: &CScan, functions: &[usize], index: usize) -> Option<Answer> {
    let fabric = scan.fabric();
    let domain = scan.domains().get(scan.domains().domain_of(index)?)?;
    let is_outside = |other: &usize| fabric.initiates(*other) && !functions.contains(other);
    let proved = domain.remains().into_iter().find(|part| part.contains(&index)).unwrap_or_default();
    let (verdict, outside) = match proved.iter().copied().find(is_outside) {
        Some(outside) => (CVerdict::NotAssignable, outside),
        None => (CVerdict::Inconclusive, domain.functions().find(is_outside)?),
    };
    // Of the bonds, one between inside and outside tells most; there is none where a chain leads out.
    let fits = |merge: &&Merge| (merge.held_by == HeldBy::Unproven) == (verdict == CVerdict::Inconclusive);
    let crosses = |merge: &&Merge| functions.contains(&merge.from) != functions.contains(&merge.to);
    let merge = domain.why().filter(fits).find(crosses).or_else(|| domain.why().find(fits))?;
    let address = |index| words::address(scan.topology(), index);
    let because = match merge.class {
        Some(class) => {
            let route = fabric.trace(merge.from, merge.to, class, scan.domains().assumptions());
            sentence(scan, &route)
        }
        None => format!(
            "{} may use the requester ID of {}, because no port above validates them",
            address(merge.from),
            address(merge.to)
        ),
    };
    let known = if verdict == CVerdict::NotAssignable { "is not" } else { "is not proved to be" };
    Some((verdict, format!("{} {known} kept apart from {}: {because}", address(index), address(outside))))
}

/// What Linux's group of one function says against assigning these: others that VFIO would have to take,
/// too.
fn group(scan: &CScan, functions: &[usize], index: usize) -> Option<Answer> {
    let topology = scan.topology();
    let address = |index| words::address(topology, index);
    let Some(number) = scan.groups().group_of.get(index).copied().flatten() else {
        let text = format!("{} is in no IOMMU group, and VFIO takes none such", address(index));
        return Some((CVerdict::NotAssignable, text));
    };
    let group = scan.groups().groups.get(number)?;
    let is_bridge = |index: usize| topology.function(index).is_some_and(|function| function.is_bridge());
    let outside = group.functions.iter().find(|other| !is_bridge(**other) && !functions.contains(other));
    match (outside, group.is_certain()) {
        (None, true) => None,
        (None, false) => Some((
            CVerdict::Inconclusive,
            format!("the dump does not tell for certain which IOMMU group {} is in", address(index)),
        )),
        (Some(other), certain) => {
            let verdict = if certain { CVerdict::NotAssignable } else { CVerdict::Inconclusive };
            let join = group.joins.iter().find(|join| join.function == index || join.function == *other);
            let cause = join.map(|join| format!(": {} at {}", join.cause.code(), address(join.hop)));
            let text = format!(
                "{} shares an IOMMU group with {}{}",
                address(index),
                address(*other),
                cause.unwrap_or_default()
            );
            Some((verdict, text))
        }
    }
}

/// What libvirt's check says against one function.
fn by_libvirt(scan: &CScan, index: usize, strict: bool) -> Option<Answer> {
    let topology = scan.topology();
    let address = |index| words::address(topology, index);
    let found = libvirt::verdict(topology, index);
    let verdict = match found.assignable(strict) {
        Some(true) => return None,
        Some(false) => CVerdict::NotAssignable,
        None => CVerdict::Inconclusive,
    };
    let why = match found {
        libvirt::Verdict::Lacking(port) => {
            format!("is behind {}, a switch port that lacks ACS", address(port))
        }
        libvirt::Verdict::Unknown(port) => format!("is behind {}, whose ACS was not captured", address(port)),
        libvirt::Verdict::NotAssignable => String::from("has no ordinary header, and is not assigned"),
        libvirt::Verdict::Error | libvirt::Verdict::Assignable => {
            String::from("has no bridge above it and is not on bus 0, which libvirt takes for an error")
        }
    };
    Some((verdict, format!("{} {why}", address(index))))
}
