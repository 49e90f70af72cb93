//! Parameters of the kernel's command line that do not do what they look like.
//!
//! Source: Linux 7.2.13 and 6.12.117, drivers/pci/pci.c (`pci_setup`), arch/x86/pci/common.c
//! (`pcibios_setup`), Documentation/admin-guide/kernel-parameters.txt. Which versions have what:
//! `disable_acs_redir` came with 4.19 and `config_acs` with 6.11 (dates of the commits); the latter was
//! mended for 6.15, and in 6.14.2, 6.13.11 and 6.12.23 (the stable releases by their date, not by their
//! source).

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Version;
use super::acs_param::{AcsOption, AcsOptionName, AcsOptions, Problem, acs_option};
use super::cmdline::{Piece, parameters, pci_options};
use crate::addr::Sbdf;
use crate::topology::{FunctionIndex, Topology};

/// Kinds of [`Lint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No kernel knows it.
    Unknown,
    /// It takes a patch that the kernel never took.
    NeedsPatch,
    /// This kernel is too old for it.
    NotInThisKernel,
    /// This kernel has it, with mistakes.
    MisreadByThisKernel,
    /// The kernel stumbles over it.
    Malformed,
    /// A later one of the same name overwrites it.
    Overwritten,
    /// It matches no function, or an earlier entry matches all of its functions.
    WithoutEffect,
    /// Two options match one function, and the second undoes the first.
    Conflict,
    /// It takes away controls that the kernel turns on by itself.
    TakesBack,
    /// The host's own traffic passes untranslated.
    PassThrough,
    /// It lifts what protects the host from whoever is given a function.
    Unsafe,
}

impl Kind {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NeedsPatch => "needs-patch",
            Self::NotInThisKernel => "not-in-this-kernel",
            Self::MisreadByThisKernel => "misread-by-this-kernel",
            Self::Malformed => "malformed",
            Self::Overwritten => "overwritten",
            Self::WithoutEffect => "without-effect",
            Self::Conflict => "conflict",
            Self::TakesBack => "takes-back",
            Self::PassThrough => "pass-through",
            Self::Unsafe => "unsafe",
        }
    }
}

/// One parameter, or a piece of it, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lint {
    /// What kind.
    pub kind: Kind,
    /// Byte offset in the command line.
    pub at: usize,
    /// The parameter, as it is written.
    pub parameter: String,
    /// One sentence.
    pub message: String,
    /// The functions that it is about, sorted.
    pub functions: Vec<Sbdf>,
}

/// Looks through a command line. With a version: whether that kernel has what is asked for; with a
/// topology: what matches. Sorted by position.
///
/// ```
/// use acsscan::kernel::lint::{Kind, lint};
/// let found = lint("quiet pci=noacs", None, None);
/// assert_eq!((found[0].kind, found[0].at), (Kind::Unknown, 10));
/// ```
#[must_use]
pub fn lint(line: &str, version: Option<Version>, topology: Option<&Topology>) -> Vec<Lint> {
    let mut lints = Lints { found: Vec::new() };
    lints.parameters(line);
    for option in pci_options(line) {
        lints.pci_option(option, version);
    }
    let mut options = AcsOptions::of_command_line(line);
    for (at, name) in &options.overwritten {
        let message = "a later option of this name overwrites it: put all entries into one, with ';' between";
        lints.add(Kind::Overwritten, *at, name.word(), message);
    }
    // What this kernel does not have does nothing, whatever it says.
    let had = |option: &AcsOption| version.is_none_or(|version| version >= since(option.name));
    options.disable_acs_redir = options.disable_acs_redir.filter(had);
    options.config_acs = options.config_acs.filter(had);
    for option in [&options.disable_acs_redir, &options.config_acs].into_iter().flatten() {
        for problem in &option.problems {
            lints.malformed(line, option, *problem);
        }
    }
    if let Some(topology) = topology {
        let matched = |option: &AcsOption| option.functions(topology);
        let redir = options.disable_acs_redir.as_ref().map(|option| (option, matched(option)));
        let config = options.config_acs.as_ref().map(|option| (option, matched(option)));
        for (option, functions) in [&redir, &config].into_iter().flatten() {
            lints.entries(option, functions, version, topology);
        }
        if let (Some((redir, first)), Some((_, second))) = (&redir, &config) {
            lints.both(redir, first, second, version, topology);
        }
    }
    lints.found.sort_by_key(|lint| (lint.at, lint.kind));
    lints.shortened()
}

/// What is said about one command line at most.
pub const MOST: usize = 200;

struct Lints {
    found: Vec<Lint>,
}

impl Lints {
    fn add(&mut self, kind: Kind, at: usize, parameter: &str, message: impl ToString) {
        self.about(kind, at, parameter, message, Vec::new());
    }

    fn about(
        &mut self,
        kind: Kind,
        at: usize,
        parameter: &str,
        message: impl ToString,
        functions: Vec<Sbdf>,
    ) {
        let (parameter, message) = (parameter.to_string(), message.to_string());
        self.found.push(Lint { kind, at, parameter, message, functions });
    }

    fn parameters(&mut self, line: &str) {
        for parameter in parameters(line) {
            let text = format!("{}={}", parameter.name, parameter.value_text());
            if parameter.is_called("pcie_acs_override") {
                let message = "only kernels with an unofficial patch know it; they take functions as isolated \
                               that are not, and their groups promise what the hardware does not keep";
                self.add(Kind::NeedsPatch, parameter.at, &text, message);
            }
            for (name, message) in UNSAFE {
                if parameter.is_called(name) && is_on(parameter.value.map(|value| value.text)) {
                    self.add(Kind::Unsafe, parameter.at, &text, message);
                }
            }
            let passes = (parameter.is_called("iommu") && parameter.value_text() == "pt")
                || (parameter.is_called("iommu.passthrough")
                    && is_on(parameter.value.map(|value| value.text)));
            if passes {
                let message = "traffic of functions that the host uses passes the IOMMU untranslated; functions \
                               that are assigned to guests are translated all the same";
                self.add(Kind::PassThrough, parameter.at, &text, message);
            }
        }
    }

    fn pci_option(&mut self, option: Piece<'_>, version: Option<Version>) {
        let Some((name, value)) = acs_option(option) else {
            if !is_known(option.text) {
                let entry = option.text.contains('@') || option.text.contains(':');
                let message = if entry {
                    "no such option of pci=: the kernel cuts at commas first; entries are separated by ';'"
                } else {
                    "no such option of pci=: it does nothing; for ACS there are config_acs= and \
                     disable_acs_redir="
                };
                self.add(Kind::Unknown, option.at, option.text, message);
            }
            return;
        };
        let Some(version) = version else { return };
        if version < since(name) {
            let message = format!("Linux {version} does not have it: it came with {}", since(name));
            self.add(Kind::NotInThisKernel, option.at, option.text, message);
        } else if name == AcsOptionName::ConfigAcs && misreads_config_acs(version) {
            let entries = AcsOption::parse(name, value).entries().len();
            let more = if entries > 1 { ", and reads no entry after the first" } else { "" };
            let message = format!(
                "Linux {version} takes 0 and x for each other's meaning in part (bits that are to be cleared keep \
                 what firmware had set){more}; mended for 6.15 and in 6.14.2, 6.13.11 and 6.12.23"
            );
            self.add(Kind::MisreadByThisKernel, option.at, option.text, message);
        }
    }

    fn malformed(&mut self, line: &str, option: &AcsOption, problem: Problem) {
        let rest = line.get(problem.at..).unwrap_or_default();
        let end = rest.find(|letter: char| matches!(letter, ',' | ';') || letter.is_whitespace());
        let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let text = if text.is_empty() { option.name.word() } else { text };
        let effect = if problem.kind.voids() { "; from here on nothing counts" } else { "" };
        let message = format!(
            "{} at column {}: {}{effect}",
            option.name.word(),
            problem.at.saturating_add(1),
            problem.kind
        );
        self.add(Kind::Malformed, problem.at, text, message);
    }

    /// What each entry matches, and what it takes away.
    fn entries(
        &mut self,
        option: &AcsOption,
        matched: &[Vec<FunctionIndex>],
        version: Option<Version>,
        topology: &Topology,
    ) {
        let has_acs = |index: &FunctionIndex| topology.function(*index).is_some_and(|f| !f.acs.is_absent());
        // Until `config_acs` came, this option only cleared what it names.
        let falls_back = version.is_none_or(|version| version >= since(AcsOptionName::ConfigAcs));
        for (entry, functions) in option.entries().iter().zip(matched) {
            let about = addresses(topology, functions);
            if functions.is_empty() {
                let message = "matches no function, or an earlier entry matches first; bus numbers may have \
                               changed: an address with a way down, or IDs, are more stable";
                self.add(Kind::WithoutEffect, entry.at, &entry.text, message);
            } else if !functions.iter().any(has_acs) {
                let message = "matches functions without ACS only, which have nothing to set";
                self.about(Kind::WithoutEffect, entry.at, &entry.text, message, about);
            } else if option.name == AcsOptionName::DisableAcsRedir && falls_back {
                let kernels = if version.is_none() { " (on kernels since 6.11)" } else { "" };
                let message = format!(
                    "not only redirection goes: each other control falls back to what firmware had set, \
                     Source Validation and Upstream Forwarding included{kernels}"
                );
                self.about(Kind::TakesBack, entry.at, &entry.text, message, about);
            }
        }
    }

    /// Functions that both options match.
    fn both(
        &mut self,
        redir: &AcsOption,
        first: &[Vec<FunctionIndex>],
        second: &[Vec<FunctionIndex>],
        version: Option<Version>,
        topology: &Topology,
    ) {
        let second: BTreeSet<FunctionIndex> = second.iter().flatten().copied().collect();
        let both = first.iter().flatten().copied().filter(|index| second.contains(index));
        let mut functions: Vec<FunctionIndex> = both.collect();
        functions.sort_unstable();
        if functions.is_empty() {
            return;
        }
        let message = if version.is_some_and(misreads_config_acs) {
            "config_acs matches these functions, too, and is applied last"
        } else {
            "config_acs matches these functions, too, and has the last word: it starts from what firmware had \
             set, so that nothing of disable_acs_redir remains"
        };
        let kernels = if version.is_none() { " (on kernels that have it, since 6.11)" } else { "" };
        let message = format!("{message}{kernels}");
        self.about(Kind::Conflict, redir.at, redir.name.word(), message, addresses(topology, &functions));
    }

    /// The findings, or the first of them and how many there are more.
    fn shortened(mut self) -> Vec<Lint> {
        let more = self.found.len().saturating_sub(MOST);
        if let Some(next) = self.found.get(MOST) {
            let message =
                format!("{more} more findings about the command line, from here on, are not listed");
            let last = Lint { message, functions: Vec::new(), ..next.clone() };
            self.found.truncate(MOST);
            self.found.push(last);
        }
        self.found
    }
}

/// The first kernel that has an option.
const fn since(name: AcsOptionName) -> Version {
    match name {
        AcsOptionName::ConfigAcs => Version::new(6, 11, 0),
        AcsOptionName::DisableAcsRedir => Version::new(4, 19, 0),
    }
}

fn addresses(topology: &Topology, functions: &[FunctionIndex]) -> Vec<Sbdf> {
    functions.iter().filter_map(|index| topology.address(*index)).collect()
}

/// Whether a kernel has `config_acs` as it first came: with several entries it gives up after the first,
/// and bits that are to be cleared keep what firmware had set.
fn misreads_config_acs(version: Version) -> bool {
    let mended = match (version.major, version.minor) {
        (6, 11) => return true,
        (6, 12) => 23,
        (6, 13) => 11,
        (6, 14) => 2,
        _ => return false,
    };
    version.patch < mended
}

/// Parameters of VFIO that let functions go to guests without what protects the host.
///
/// Source: Linux, Documentation/driver-api/vfio.rst; drivers/vfio (`enable_unsafe_noiommu_mode`),
/// drivers/vfio/vfio_iommu_type1.c (`allow_unsafe_interrupts`), the parameters' descriptions.
const UNSAFE: [(&str, &str); 2] = [
    (
        "vfio.enable_unsafe_noiommu_mode",
        "VFIO also hands out functions that no IOMMU translates: whoever is given one reaches all memory",
    ),
    (
        "vfio_iommu_type1.allow_unsafe_interrupts",
        "functions may be assigned where the IOMMU does not remap interrupts: a guest can then send the host any \
         interrupt",
    ),
];

/// Whether a switch is on: as the kernel reads it, by its first letter; without a value it is.
///
/// Source: Linux, kernel/params.c (`param_set_bool`), lib/kstrtox.c (`kstrtobool`).
fn is_on(value: Option<&str>) -> bool {
    let Some(value) = value else { return true };
    let on = |second: &str| second.starts_with(['n', 'N']);
    value.starts_with(['1', 'y', 'Y', 't', 'T']) || value.strip_prefix(['o', 'O']).is_some_and(on)
}

/// Whether some kernel has this option of `pci=`.
fn is_known(option: &str) -> bool {
    let with_value = |name: &&str| option.strip_prefix(*name).is_some_and(|rest| rest.starts_with('='));
    OPTIONS.contains(&option) || OPTIONS_WITH_VALUE.iter().any(with_value)
}

/// Options of `pci=` without a value: of all machines, then of x86, s390, Arm and others.
const OPTIONS: [&str; 44] = [
    "nomsi",
    "noats",
    "noaer",
    "earlydump",
    "realloc",
    "nodomains",
    "noari",
    "notph",
    "pcie_bus_tune_off",
    "pcie_bus_safe",
    "pcie_bus_perf",
    "pcie_bus_peer2peer",
    "pcie_scan_all",
    "aer_clear_on_recovery_failure",
    "off",
    "bfsort",
    "nobfsort",
    "bios",
    "nobios",
    "biosirq",
    "conf1",
    "conf2",
    "nommconf",
    "check_enable_amd_mmconf",
    "noacpi",
    "noearly",
    "usepirqmask",
    "rom",
    "norom",
    "nobar",
    "assign-busses",
    "use_crs",
    "nocrs",
    "use_e820",
    "no_e820",
    "routeirq",
    "skip_isa_align",
    "noioapicquirk",
    "ioapicreroute",
    "noioapicreroute",
    "big_root_window",
    "nomio",
    "norid",
    "force_floating",
];

/// Options of `pci=` with a value.
const OPTIONS_WITH_VALUE: [&str; 14] = [
    "realloc",
    "cbiosize",
    "cbmemsize",
    "resource_alignment",
    "ecrc",
    "hpiosize",
    "hpmmiosize",
    "hpmmioprefsize",
    "hpmemsize",
    "hpbussize",
    "pirqaddr",
    "irqmask",
    "lastbus",
    "firmware",
];

#[cfg(all(test, feature = "testkit"))]
#[path = "lint_tests.rs"]
mod tests;
