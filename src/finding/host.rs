//! What the host says of itself: its IOMMU, its command line, the groups that its kernel formed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Code, Finding, count};
use crate::kernel::lint::{Kind, Lint, lint};
use crate::kernel::{Host, IOMMU_TABLES, Iommu, explain};
use crate::route::compare;
use crate::route::linux::{Grouping, Linux};
use crate::topology::Topology;

/// Findings about the host as a whole, and about the groups of its kernel. `live`: the input is the running
/// host's sysfs, which links each function to its group, if there is one; a copy may lack the links.
#[must_use]
pub fn host_findings(
    linux: &Linux<'_>,
    grouping: &Grouping,
    host: Option<&Host>,
    live: bool,
) -> Vec<Finding> {
    let topology = linux.topology();
    let mut found = Vec::new();
    let iommu = Iommu::of(host, topology);
    match iommu {
        Iommu::InUse => {}
        Iommu::Off | Iommu::Absent => found.extend(host.map(|host| no_iommu(host, topology, iommu))),
        // Of the host itself, functions without links tell.
        Iommu::Unknown => {
            let text = "sysfs links no function to an IOMMU group: the kernel has formed none";
            found.extend(live.then(|| Finding::new(Code::NoKernelGroups, Vec::new(), text.into())));
        }
    }
    if let Some((host, line)) = host.and_then(|host| Some((host, host.cmdline.as_deref()?))) {
        found.extend(lint(line, host.version(), Some(topology)).into_iter().map(lifted));
    }
    let kernel = compare::kernel_groups(topology);
    for difference in compare::differences(&grouping.group_of, &kernel) {
        let addresses = difference.functions.iter().filter_map(|index| topology.address(*index)).collect();
        let mut message = format!(
            "the running kernel formed {} of them, the model {}",
            count(difference.second.len(), "group"),
            difference.first.len()
        );
        for explanation in explain(linux, grouping, host, &difference) {
            message.push_str("; ");
            message.push_str(&explanation.text);
        }
        found.push(Finding::new(Code::KernelGroupsDiffer, addresses, message));
    }
    found
}

/// Nothing may be assigned: says what that rests on.
fn no_iommu(host: &Host, topology: &Topology, iommu: Iommu) -> Finding {
    let tables = host.tables.as_deref().unwrap_or_default().join(", ");
    let class = crate::config::ClassCode::IOMMU;
    let iommus: Vec<_> = topology
        .functions()
        .iter()
        .filter(|f| f.answers && f.class.class() == class)
        .map(|f| f.address)
        .collect();
    let mut message = String::from("the kernel uses no IOMMU and has formed no groups");
    match iommu {
        Iommu::Absent => {
            let tables = IOMMU_TABLES.join(", ");
            message.push_str(&format!(", and firmware describes none (no {tables})"));
        }
        _ if !tables.is_empty() => message.push_str(&format!(", although firmware describes one ({tables})")),
        _ if !iommus.is_empty() => message.push_str(", although there is one"),
        _ if host.tables.is_none() => {
            message.push_str("; whether there is one, firmware's tables would tell")
        }
        _ => {}
    }
    if let Some(parameter) = host.turned_off_by() {
        message.push_str(&format!("; the command line has {parameter}"));
    }
    let code = if iommu == Iommu::Off { Code::IommuOff } else { Code::IommuAbsent };
    Finding::new(code, iommus, message)
}

fn lifted(lint: Lint) -> Finding {
    let code = match lint.kind {
        Kind::Unknown => Code::CmdlineUnknownOption,
        Kind::NeedsPatch => Code::CmdlineNeedsPatch,
        Kind::NotInThisKernel => Code::CmdlineNotInKernel,
        Kind::MisreadByThisKernel => Code::CmdlineMisread,
        Kind::Malformed => Code::CmdlineMalformed,
        Kind::Overwritten => Code::CmdlineOverwritten,
        Kind::WithoutEffect => Code::CmdlineWithoutEffect,
        Kind::Conflict => Code::CmdlineConflict,
        Kind::TakesBack => Code::CmdlineTakesBack,
        Kind::PassThrough => Code::IommuPassThrough,
        Kind::Unsafe => Code::CmdlineUnsafe,
    };
    let message = format!(
        "{} (kernel command line, column {}): {}",
        lint.parameter,
        lint.at.saturating_add(1),
        lint.message
    );
    Finding::new(code, lint.functions, message)
}
