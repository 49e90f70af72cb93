//! What a kernel does with ACS while it starts: its own enabling, and the parameters that change it.
//!
//! Source: Linux 7.2.13 and 6.12.117, drivers/pci/pci.c (`pci_enable_acs`, `pci_std_enable_acs`,
//! `__pci_config_acs`), drivers/pci/quirks.c (`pci_quirk_enable_intel_spt_pch_acs`,
//! `pci_quirk_disable_intel_spt_pch_acs_redir`); 6.1, the same files (`pci_disable_acs_redir`).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{control_of, described, names, set_control, wide_registers};
use crate::cap::acs::{AcsCapability, AcsControl};
use crate::db::Database;
use crate::function::{AcsRegisters, Inventory};
use crate::kernel::Version;
use crate::kernel::acs_param::{AcsOptions, REDIRECT};
use crate::route::linux::REQUIRED;
use crate::topology::{FunctionIndex, Topology};

/// The latest kernel whose source was read.
pub const LATEST: Version = Version::new(7, 2, 0);
/// From here on `pci=disable_acs_redir=` is known.
const DISABLE_ACS_REDIR: Version = Version::new(4, 19, 0);
/// From here on `pci=config_acs=` is known, and both parameters start from what firmware left.
pub const CONFIG_ACS: Version = Version::new(6, 11, 0);

/// What is known of the registers as firmware left them, before a kernel changed them.
#[derive(Clone, Copy, Debug)]
pub enum Firmware<'a> {
    /// The dump has them: the kernel that it was taken under did not change ACS.
    Seen,
    /// The kernel that the dump was taken under may have turned on what it turns on by itself: a bit
    /// that reads 0 was 0.
    Enabled,
    /// That kernel had parameters that change ACS: nothing is known.
    Changed,
    /// This dump has them.
    Dump(&'a Inventory),
}

/// What parameters say of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ordered {
    /// The first matching entry of `pci=config_acs=`: bits that it gives a value, and the values.
    config_acs: Option<(AcsControl, AcsControl)>,
    /// Whether `pci=disable_acs_redir=` names it.
    disable_acs_redir: bool,
}

/// What both parameters say of a function.
fn ordered(options: &AcsOptions, topology: &Topology, index: FunctionIndex) -> Ordered {
    let config = options.config_acs.as_ref().and_then(|option| option.entry_for(topology, index));
    let redir = options.disable_acs_redir.as_ref().and_then(|option| option.entry_for(topology, index));
    Ordered { config_acs: config.map(|entry| (entry.mask, entry.value)), disable_acs_redir: redir.is_some() }
}

/// A kernel that starts.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a> {
    /// Its version.
    pub version: Version,
    /// Whether an IOMMU driver asks for ACS (`pci_request_acs`).
    pub requested: bool,
    /// Whether ATS is off (`pci=noats`), so that Translation Blocking is turned on, too.
    pub no_ats: bool,
    /// What its parameters say of ACS.
    pub options: &'a AcsOptions,
    /// What firmware left.
    pub firmware: Firmware<'a>,
}

/// Functions that a note lists at most.
const LISTED: usize = 16;

/// Lets a kernel start: the registers of every function with ACS become what it would write. Lines about
/// what changed, and what was guessed.
pub fn boot(topology: &mut Topology, database: &Database, boot: &Boot<'_>) -> Vec<String> {
    let wide = wide_registers(topology, database);
    let mut changed: Vec<String> = Vec::new();
    let mut guessed: Vec<String> = Vec::new();
    let mut ignored = 0_usize;
    for index in 0..topology.functions().len() {
        let Some(function) = topology.function(index) else { continue };
        let (Some(acs), Some(before)) = (function.acs.present(), topology.inventory().acs_registers(index))
        else {
            continue;
        };
        let wide = wide.get(index).copied().unwrap_or(false);
        let says = ordered(boot.options, topology, index);
        if says.config_acs.is_some() && boot.version < CONFIG_ACS
            || says.disable_acs_redir && boot.version < DISABLE_ACS_REDIR
        {
            ignored = ignored.saturating_add(1);
        }
        let firmware = firmware(boot, topology, index, &before);
        let Some(after) = started(boot, acs.capability, before, firmware, wide, says) else { continue };
        if after == before {
            continue;
        }
        let after = AcsRegisters { as_if: true, ..after };
        topology.set_acs_registers(index, after);
        changed.push(described(topology, index, &before, &after, wide));
        if !after.guessed.is_empty() {
            let address = topology.address(index).unwrap_or_default();
            guessed.push(format!("{} of {address}", names(after.guessed)));
        }
    }
    let mut notes = Vec::new();
    let asked = match (boot.requested, boot.no_ats) {
        (true, true) => "asked for ACS by an IOMMU driver, with ATS off",
        (true, false) => "asked for ACS by an IOMMU driver",
        (false, _) => "not asked for ACS by an IOMMU driver",
    };
    notes.push(format!("Linux {} starts, {asked}: {} changed", boot.version, functions(changed.len())));
    list(&mut notes, &changed);
    if boot.requested {
        notes.push(String::from(
            "which ports firmware names as external is not in configuration space: none is taken to be, so \
             that Translation Blocking is not turned on there",
        ));
    }
    if !guessed.is_empty() {
        notes.push(format!(
            "bits that go back to what firmware left are not in the dump, and taken as 0 (--firmware DUMP gives \
             them): {}",
            functions(guessed.len())
        ));
        list(&mut notes, &guessed);
    }
    if ignored > 0 {
        notes.push(format!(
            "Linux {} does not know a parameter that names {}, and ignores it",
            boot.version,
            functions(ignored)
        ));
    }
    notes
}

fn functions(count: usize) -> String {
    if count == 1 { String::from("1 function") } else { format!("{count} functions") }
}

fn list(notes: &mut Vec<String>, lines: &[String]) {
    notes.extend(lines.iter().take(LISTED).map(|line| format!("  {line}")));
    let more = lines.len().saturating_sub(LISTED);
    if more > 0 {
        notes.push(format!("  and {more} more"));
    }
}

/// The bits that kernels turn on by themselves, at some time or other.
const ENABLED: AcsControl = REQUIRED.union(AcsControl::TRANSLATION_BLOCKING);
/// What firmware left in the word that `apply` starts from, and which bits of it are not known (they
/// read 0).
fn firmware(
    boot: &Boot<'_>,
    topology: &Topology,
    index: FunctionIndex,
    now: &AcsRegisters,
) -> (AcsControl, AcsControl) {
    let offered = topology.function(index).and_then(|f| f.acs.present()).map(|acs| acs.capability.controls());
    // Kernels never touch the enhanced controls: they read as firmware left them.
    let offered = offered.unwrap_or_default().intersection(AcsControl::from_bits_retain(0x7f));
    let unknown = match boot.firmware {
        Firmware::Seen => AcsControl::empty(),
        Firmware::Enabled => now.control.intersection(ENABLED).intersection(offered),
        Firmware::Changed => offered,
        Firmware::Dump(inventory) => {
            let found = topology.address(index).and_then(|address| inventory.index_of(address));
            let left = found.and_then(|found| inventory.acs_registers(found));
            match left.filter(|left| !left.control.reads_all_ones()) {
                Some(left) => return (left.control, AcsControl::empty()),
                None => offered,
            }
        }
    };
    let unknown = unknown.union(now.guessed);
    (now.control.difference(unknown), unknown)
}

/// The registers as the kernel leaves them; `None` where they read all ones.
fn started(
    boot: &Boot<'_>,
    capability: AcsCapability,
    before: AcsRegisters,
    (left, unknown): (AcsControl, AcsControl),
    wide: bool,
    says: Ordered,
) -> Option<AcsRegisters> {
    let offered = capability.controls();
    let known = boot.version >= CONFIG_ACS;
    let redir = says.disable_acs_redir && boot.version >= DISABLE_ACS_REDIR;
    let config = says.config_acs.filter(|_| known);
    let mut after = before;
    let mut control = control_of(&before, wide).filter(|control| !control.reads_all_ones())?;
    if boot.requested {
        control |= REQUIRED.intersection(offered);
        // The function's own way to turn ACS on does not know of Translation Blocking.
        if boot.no_ats && !wide {
            control |= AcsControl::TRANSLATION_BLOCKING.intersection(offered);
        }
    }
    after.guessed = before.guessed.difference(control);
    if wide {
        // Either parameter ends in the same, whatever it asks for.
        if redir || config.is_some() {
            control = control.difference(REDIRECT);
        }
        set_control(&mut after, true, control);
        return Some(after);
    }
    let mut order = |mask: AcsControl, value: AcsControl| {
        // What is not offered does not change.
        let mask = mask.intersection(offered);
        let kept = before.control.difference(offered);
        control = left.difference(mask).intersection(offered) | value.intersection(mask) | kept;
        after.guessed = unknown.difference(mask);
    };
    if redir && known {
        order(REDIRECT, AcsControl::empty());
    }
    if let Some((mask, value)) = config {
        order(mask, value);
    }
    if redir && !known {
        control = control.difference(REDIRECT);
        after.guessed = after.guessed.difference(REDIRECT);
    }
    set_control(&mut after, false, control);
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITS: fn(u16) -> AcsControl = AcsControl::from_bits_retain;

    fn run(boot: &Boot<'_>, capability: u16, now: u16, left: (u16, u16), says: Ordered) -> (u16, u16) {
        let capability = AcsCapability::from_bits_retain(capability);
        let before = AcsRegisters {
            control: BITS(now),
            guessed: AcsControl::empty(),
            dword_8: Some(0),
            vector: None,
            as_if: false,
        };
        let after =
            started(boot, capability, before, (BITS(left.0), BITS(left.1)), false, says).expect("an answer");
        (after.control.bits(), after.guessed.bits())
    }

    static NONE: AcsOptions =
        AcsOptions { disable_acs_redir: None, config_acs: None, overwritten: Vec::new() };

    fn new(major: u16, minor: u16) -> Boot<'static> {
        let version = Version::new(major, minor, 0);
        Boot { version, requested: true, no_ats: false, options: &NONE, firmware: Firmware::Enabled }
    }

    #[test]
    fn without_parameters_what_is_offered_of_four_controls_comes_on_and_nothing_goes_off() {
        assert_eq!(run(&new(7, 2), 0x5f, 0x40, (0, 0), Ordered::default()), (0x5d, 0));
        assert_eq!(run(&new(7, 2), 0x05, 0x00, (0, 0), Ordered::default()), (0x05, 0));
        let no_ats = Boot { no_ats: true, ..new(7, 2) };
        assert_eq!(run(&no_ats, 0x5f, 0x00, (0, 0), Ordered::default()), (0x1f, 0));
        let not_asked = Boot { requested: false, ..new(7, 2) };
        assert_eq!(run(&not_asked, 0x5f, 0x00, (0, 0), Ordered::default()), (0x00, 0));
    }

    #[test]
    fn parameters_start_from_firmware_and_discard_what_the_kernel_added() {
        let redir = Ordered { disable_acs_redir: true, ..Ordered::default() };
        assert_eq!(run(&new(7, 2), 0x5f, 0x1d, (0x40, 0), redir), (0x40, 0));
        // Source Validation and Upstream Forwarding go back to what nobody knows.
        assert_eq!(run(&new(7, 2), 0x5f, 0x1d, (0, 0x1d), redir), (0, 0x11));
        assert_eq!(run(&new(6, 1), 0x5f, 0x1d, (0, 0x1d), redir), (0x11, 0), "older kernels only clear");
        assert_eq!(run(&new(4, 18), 0x5f, 0x1d, (0, 0x1d), redir), (0x1d, 0), "not known yet");
    }

    #[test]
    fn config_acs_runs_last_and_wins() {
        let both = Ordered { config_acs: Some((BITS(0x1c), BITS(0x14))), disable_acs_redir: true };
        assert_eq!(run(&new(7, 2), 0x5f, 0x1d, (0x41, 0), both), (0x55, 0));
        assert_eq!(run(&new(6, 1), 0x5f, 0x1d, (0x41, 0), both), (0x11, 0), "only the other is known");
        let more = Ordered { config_acs: Some((BITS(0x7f), BITS(0x3f))), disable_acs_redir: false };
        assert_eq!(run(&new(7, 2), 0x1d, 0x00, (0, 0), more), (0x1d, 0), "what is not offered stays off");
    }
}
