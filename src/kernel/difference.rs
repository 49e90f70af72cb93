//! Why the running kernel's groups are not those of the model, as far as what was read tells.
//!
//! Source: Linux 7.2.13 and 6.12.117, drivers/iommu/iommu.c (groups form once, and are never split or
//! merged afterwards), drivers/pci/pci.c (when ACS is turned on); the stable revert of "PCI: Enable ACS
//! after configuring IOMMU for OF platforms", 2026-03-31.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::cmdline::parameters;
use super::{Host, Version};
use crate::config::ClassCode;
use crate::route::compare::Difference;
use crate::route::linux::{Basis, Grouping, Linux};
use crate::topology::{FunctionIndex, Kind, Parent, Topology};

/// One possible reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Kebab-case word, as in JSON output.
    pub cause: &'static str,
    /// One sentence.
    pub text: String,
}

/// The reasons that what was read points to, the surest first; if there is none, that is said.
/// `difference`: groups of the model first, of the kernel second.
#[must_use]
pub fn explain(
    linux: &Linux<'_>,
    grouping: &Grouping,
    host: Option<&Host>,
    difference: &Difference<usize, u32>,
) -> Vec<Explanation> {
    let case = Case { linux, grouping, difference };
    let kernel = crate::route::compare::kernel_groups(linux.topology());
    let of = |index: &FunctionIndex| {
        (grouping.group_of.get(*index).copied().flatten(), kernel.get(*index).copied().flatten())
    };
    let pairs: BTreeSet<_> = difference.functions.iter().map(of).collect();
    let spans = |sides: Vec<usize>| sides.len() > sides.into_iter().collect::<BTreeSet<_>>().len();
    // A group that occurs in two pairs was cut or put together by the other side.
    let kernel_splits = spans(pairs.iter().filter_map(|pair| pair.0).collect());
    let kernel_joins =
        spans(pairs.iter().filter_map(|pair| pair.1.and_then(|id| usize::try_from(id).ok())).collect());
    let mut found = Vec::new();
    if kernel_splits {
        found.extend(host.and_then(override_patch));
        found.extend(case.turned_off_since());
    }
    if kernel_joins {
        found.extend(case.turned_on_since());
        found.extend(
            host.and_then(Host::version).and_then(|version| late_enabling(linux.topology(), version)),
        );
        found.extend(case.exception());
    }
    found.extend(case.hot_plug());
    found.extend(case.guess());
    if found.is_empty() {
        let text = "nothing that was read explains it: another version of the kernel, a patch, or registers that \
                    changed and changed back";
        found.push(Explanation { cause: "unexplained", text: text.to_string() });
    }
    found
}

/// The parameter that only patched kernels know.
fn override_patch(host: &Host) -> Option<Explanation> {
    let line = host.cmdline.as_deref()?;
    let parameter =
        parameters(line).into_iter().find(|parameter| parameter.is_called("pcie_acs_override"))?;
    let text = format!(
        "the kernel was told pcie_acs_override={}: if it is patched to know that, it takes functions as isolated \
         that are not",
        parameter.value_text()
    );
    Some(Explanation { cause: "override-patch", text })
}

/// Stable releases in which ACS was turned on after the groups had formed, before that was taken back.
fn late_enabling(topology: &Topology, version: Version) -> Option<Explanation> {
    let is_iommu = |class: ClassCode| class.class() == ClassCode::IOMMU;
    let amd = topology.functions().iter().any(|function| function.answers && is_iommu(function.class));
    let may_be = match (version.major, version.minor) {
        (6, 12) => version.patch < 83,
        (6, 1 | 6) => true,
        _ => false,
    };
    let text = format!(
        "Linux {version} may be one of the stable releases that turned ACS on after they had formed the groups (on \
         AMD's IOMMU; taken back in April 2026, in 6.12.83)"
    );
    (amd && may_be).then_some(Explanation { cause: "kernel-version", text })
}

struct Case<'a> {
    linux: &'a Linux<'a>,
    grouping: &'a Grouping,
    difference: &'a Difference<usize, u32>,
}

impl Case<'_> {
    fn addresses(&self, functions: &BTreeSet<FunctionIndex>) -> String {
        const SHOWN: usize = 4;
        let topology = self.linux.topology();
        let shown = functions.iter().take(SHOWN).filter_map(|index| topology.address(*index));
        let text = shown.map(|address| address.to_string()).collect::<Vec<_>>().join(", ");
        match functions.len().saturating_sub(SHOWN) {
            0 => text,
            more => format!("{text} and {more} more"),
        }
    }

    /// Functions because of which the model joins, and whose registers could isolate.
    fn turned_off_since(&self) -> Option<Explanation> {
        let groups = self.difference.first.iter().filter_map(|group| self.grouping.groups.get(*group));
        let joins = groups.flat_map(|group| &group.joins);
        let off = |index: &FunctionIndex| {
            matches!(
                self.linux.isolation(*index).basis,
                Basis::Registers { missing, .. } | Basis::WideRegisters { missing, .. } if !missing.is_empty()
            )
        };
        let functions: BTreeSet<FunctionIndex> =
            joins.flat_map(|join| [join.hop, join.function]).filter(off).collect();
        let text = format!(
            "ACS of {} is off now and may have been on when the groups formed (setpci, or a driver): Linux never joins \
             groups later",
            self.addresses(&functions)
        );
        (!functions.is_empty()).then_some(Explanation { cause: "registers-changed", text })
    }

    /// The functions, and the ports above them.
    fn with_ports(&self) -> BTreeSet<FunctionIndex> {
        let topology = self.linux.topology();
        let mut found: BTreeSet<FunctionIndex> = BTreeSet::new();
        for start in &self.difference.functions {
            let mut at = *start;
            while found.insert(at) {
                let from = match topology.kind(at) {
                    Kind::Virtual(physical) => physical,
                    _ => at,
                };
                match topology.parent_of(from) {
                    Parent::Bridge(bridge) => at = bridge,
                    _ => break,
                }
            }
        }
        found
    }

    fn turned_on_since(&self) -> Option<Explanation> {
        let on = |index: &FunctionIndex| {
            matches!(
                self.linux.isolation(*index).basis,
                Basis::Registers { missing, control, .. } if missing.is_empty() && !control.is_empty()
            )
        };
        let functions: BTreeSet<FunctionIndex> = self.with_ports().into_iter().filter(on).collect();
        let text = format!(
            "ACS of {} is on now and may have been off when the group formed (setpci, or a kernel that turns it on \
             late): Linux never splits a group later",
            self.addresses(&functions)
        );
        (!functions.is_empty()).then_some(Explanation { cause: "registers-changed", text })
    }

    /// Exceptions that the model knows, and this kernel perhaps not.
    fn exception(&self) -> Option<Explanation> {
        let by_entry = |index: FunctionIndex| match self.linux.isolation(index) {
            isolation if !isolation.isolates => None,
            isolation => match isolation.basis {
                Basis::Database(entry) => Some((index, entry)),
                _ => None,
            },
        };
        let (index, entry) = self.with_ports().into_iter().find_map(by_entry)?;
        let name = &self.linux.database().entries().get(entry)?.name;
        let text = format!(
            "the model takes {} as isolating by database entry {name}; a kernel without that exception does not",
            self.linux.topology().address(index)?
        );
        Some(Explanation { cause: "quirk", text })
    }

    fn hot_plug(&self) -> Option<Explanation> {
        let topology = self.linux.topology();
        let hot_plug = |index: &FunctionIndex| {
            let pcie = topology.function(*index).and_then(|function| function.pcie.present());
            pcie.is_some_and(|pcie| pcie.hot_plug_capable() == Some(true))
        };
        let slots: BTreeSet<FunctionIndex> = self.with_ports().into_iter().filter(hot_plug).collect();
        let text = format!(
            "what is behind {} may have been plugged in after boot: it was grouped when it came, with the registers of \
             then",
            self.addresses(&slots)
        );
        (!slots.is_empty()).then_some(Explanation { cause: "hot-plug", text })
    }

    fn guess(&self) -> Option<Explanation> {
        let groups = self.difference.first.iter().filter_map(|group| self.grouping.groups.get(*group));
        let guessed = groups.into_iter().any(|group| !group.is_certain());
        let text = "the model had to guess, because not everything was captured";
        guessed.then(|| Explanation { cause: "not-captured", text: text.to_string() })
    }
}
