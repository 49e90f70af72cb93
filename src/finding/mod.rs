//! Judgements with a code, a severity and a place: what is off, how it shows, and what to do.
//!
//! Layer 6. [`findings`] lifts what the layers below noticed. Codes are stable; [`Code::ALL`] is the
//! one table of them.

mod accept;
mod beyond;
mod code;
mod host;
mod question;
mod reach;

pub use accept::acceptance_findings;
pub use code::{Code, Severity};
pub use host::host_findings;
pub use question::{Facts, Question, Questions, in_use_findings, lost_findings, refused_finding};
pub use reach::{reach_findings, reach_findings_about};

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::addr::Sbdf;
use crate::anomaly::{Anomaly, Presence};
use crate::function::Repeat;
use crate::route::evidence::Evidence;
use crate::topology::{BusDefect, FunctionIndex, HiddenBridge, Kind, Topology};

/// One judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is about.
    pub code: Code,
    /// The functions, sorted by address.
    pub functions: Vec<Sbdf>,
    /// One sentence.
    pub message: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
}

impl Finding {
    /// A finding without evidence beyond its message.
    #[must_use]
    pub const fn new(code: Code, functions: Vec<Sbdf>, message: String) -> Self {
        Self { code, functions, message, evidence: Vec::new() }
    }

    /// Whether it is about one of these functions (sorted), or about the input as a whole.
    #[must_use]
    pub fn is_about(&self, topology: &Topology, functions: &[FunctionIndex]) -> bool {
        self.functions.is_empty()
            || self.functions.iter().any(|address| is_one(topology, functions, *address))
    }

    /// Leaves of it what is about these functions (sorted), and tells whether that is anything. What several
    /// functions show together, and what is about the input as a whole, stays as it is.
    pub fn keep_about(&mut self, topology: &Topology, functions: &[FunctionIndex]) -> bool {
        if !self.is_about(topology, functions) {
            return false;
        }
        if self.code.is_of_each() {
            let all = count(self.functions.len(), "function");
            self.functions.retain(|address| is_one(topology, functions, *address));
            if let Some(rest) = self.message.strip_prefix(&all) {
                self.message = format!("{}{rest}", count(self.functions.len(), "function"));
            }
        }
        true
    }
}

/// Whether a function is one of these (sorted).
fn is_one(topology: &Topology, functions: &[FunctionIndex], address: Sbdf) -> bool {
    topology.index_of(address).is_some_and(|index| functions.binary_search(&index).is_ok())
}

/// What the functions and the hierarchy show, most severe first, then by code and address.
#[must_use]
pub fn findings(topology: &Topology) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, extras) in topology.inventory().all_extras() {
        let Some(address) = topology.address(index) else { continue };
        for anomaly in extras.anomalies() {
            found.push(Finding::new(Code::of(anomaly), vec![address], anomaly.to_string()));
        }
    }
    not_captured(topology, &mut found);
    records(topology, &mut found);
    virtual_functions(topology, &mut found);
    hidden_bridges(topology, &mut found);
    for defect in topology.bus_defects() {
        found.extend(bus_defect(topology, *defect));
    }
    sort(&mut found);
    found
}

/// One finding for each sign, with all functions that show it.
fn hidden_bridges(topology: &Topology, found: &mut Vec<Finding>) {
    for (sign, index) in topology.hidden_bridges() {
        let Some(address) = topology.address(index) else { continue };
        let (code, what) = match sign {
            HiddenBridge::EndpointWithoutPort => {
                (Code::EndpointWithoutPort, "PCIe endpoint on a bus that no PCIe port leads to")
            }
            HiddenBridge::DownstreamPortMisplaced => {
                (Code::DownstreamPortMisplaced, "switch downstream port that is not below an upstream port")
            }
            HiddenBridge::UpstreamPortWithoutDownstreamPorts => {
                (Code::UpstreamPortWithoutDownstreamPorts, "switch upstream port without downstream ports")
            }
            HiddenBridge::FunctionZeroMissing => {
                (Code::FunctionZeroMissing, "device whose function 0 is not in the dump")
            }
            HiddenBridge::DeviceNumberBelowLink => {
                (Code::DeviceNumberBelowLink, "device number above 0 below a link, without ARI")
            }
            HiddenBridge::ConventionalBelowPciePort => {
                (Code::ConventionalBelowPciePort, "conventional function directly below a PCIe port")
            }
        };
        match found.last_mut() {
            Some(last) if last.code == code => last.functions.push(address),
            _ => found.push(Finding::new(code, vec![address], String::from(what))),
        }
    }
}

/// Most severe first, then by code and address.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let severity = |finding: &Finding| core::cmp::Reverse(finding.code.severity());
        (severity(a), a.code, &a.functions).cmp(&(severity(b), b.code, &b.functions))
    });
}

/// One finding for all functions that lack the same thing.
fn not_captured(topology: &Topology, found: &mut Vec<Finding>) {
    let [mut nothing, mut types, mut extended] = [const { Vec::new() }; 3];
    for (index, function) in topology.functions().iter().enumerate() {
        // What an anomaly explains is told once.
        let told = topology.inventory().extras(index).is_some_and(|extras| {
            extras.anomalies().any(|a| {
                a.breaks_list() || matches!(a, Anomaly::ConfigAllOnes | Anomaly::CapStructureCut { .. })
            })
        });
        if function.is_complete() || told {
            continue;
        }
        match (function.answers, function.pcie) {
            (false, _) => nothing.push(function.address),
            (true, Presence::Present(_)) => extended.push(function.address),
            (true, _) => types.push(function.address),
        }
    }
    for (functions, what) in [
        (nothing, "nothing of their configuration space was captured"),
        (types, "their capability list was not captured, so that not even their type is known"),
        (extended, "their extended configuration space was not captured, so that their ACS is not known"),
    ] {
        if !functions.is_empty() {
            let message = format!("{}: {what}", count(functions.len(), "function"));
            found.push(Finding::new(Code::ConfigNotCaptured, functions, message));
        }
    }
}

fn records(topology: &Topology, found: &mut Vec<Finding>) {
    let (differing, alike): (Vec<Repeat>, Vec<Repeat>) =
        topology.inventory().repeats().partition(|repeat| repeat.differ);
    for (code, repeats, what) in [
        (Code::RecordsDiffer, differing, "more than once, with different content"),
        (Code::RecordRepeated, alike, "more than once"),
    ] {
        if !repeats.is_empty() {
            let message = format!("{} in the dump {what}", count(repeats.len(), "function"));
            let functions = repeats.iter().map(|repeat| repeat.address).collect();
            found.push(Finding::new(code, functions, message));
        }
    }
    for (index, function) in topology.functions().iter().enumerate() {
        let damaged = topology.inventory().attributes(index).map_or(0, |known| known.damaged_lines);
        if damaged > 0 {
            let lines = count(usize::try_from(damaged).unwrap_or(usize::MAX), "line");
            let message = format!("{lines} of hex could not be used, or only in part");
            found.push(Finding::new(Code::HexLineDamaged, vec![function.address], message));
        }
    }
}

fn virtual_functions(topology: &Topology, found: &mut Vec<Finding>) {
    for (physical, missing) in topology.missing_vfs() {
        if let Some(address) = topology.address(*physical) {
            let missing = count(usize::from(*missing), "enabled virtual function");
            let message = format!("{missing} of it not in the dump");
            found.push(Finding::new(Code::VirtualFunctionsMissing, vec![address], message));
        }
    }
    let unplaced: Vec<Sbdf> = (0..topology.functions().len())
        .filter(|index| topology.kind(*index) == Kind::VirtualOfUnknown)
        .filter_map(|index| topology.address(index))
        .collect();
    if !unplaced.is_empty() {
        let message = format!(
            "{} with IDs ffff:ffff, as virtual functions have, where no physical function places one",
            count(unplaced.len(), "function")
        );
        found.push(Finding::new(Code::VirtualFunctionUnplaced, unplaced, message));
    }
}

fn bus_defect(topology: &Topology, defect: BusDefect) -> Option<Finding> {
    let range = |index: FunctionIndex| {
        let function = topology.function(index)?;
        Some((function.address, function.bus_range()?))
    };
    let (code, a, b, relation) = match defect {
        BusDefect::Orphan(bus) => {
            let functions: Vec<Sbdf> =
                topology.on_bus(bus).filter_map(|index| topology.address(index)).collect();
            let bus = topology.bus(bus)?;
            let message = format!("no bridge in the dump leads to bus {}:{:02x}", bus.segment, bus.number);
            return Some(Finding::new(Code::OrphanBus, functions, message));
        }
        BusDefect::Overlap(a, b) => (Code::BusRangeOverlap, a, b, "overlaps"),
        BusDefect::Escapes(a, b) => (Code::BusRangeEscapes, b, a, "is not within"),
        BusDefect::Repeated(a, b) => (Code::BusNumberRepeated, a, b, "has the same secondary bus as"),
    };
    let ((first, first_range), (second, second_range)) = (range(a)?, range(b)?);
    let message = format!("bus range {first_range} of {first} {relation} {second_range} of {second}");
    let mut functions = vec![first, second];
    functions.sort_unstable();
    Some(Finding::new(code, functions, message))
}

/// A number and a noun: `1 function`, `2 functions`.
#[must_use]
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
