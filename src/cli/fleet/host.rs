//! One host: its document, and its rows.

use sha2::{Digest, Sha256};

use super::Wanted;
use super::args::Rows;
use crate::cap::pcie::DevicePortType;
use crate::cli::input::Scanned;
use crate::cli::output::Answers;
use crate::finding::Questions;
use crate::kernel::{Iommu, Mode};
use crate::report::clean;
use crate::report::json::{
    self, BoardDocument, Body, CheckedDevice, Document, FindingDocument, FleetCheck, FleetCounts,
    FleetHostDocument, FunctionRow, KindCounts, PairRow, PortCounts, Row, RowDocument, RowError,
    SharedDomain, SourceDocument,
};
use crate::report::words::address;
use crate::route::check::Verdict;
use crate::route::compare;
use crate::route::fabric::Fabric;
use crate::route::linux::{Linux, REQUIRED};
use crate::route::matrix::Label;
use crate::topology::stable::{self, Entry};
use crate::topology::{FunctionIndex, Topology};

/// SHA-256 of the canonical text, in hexadecimal.
pub(in crate::cli) fn fingerprint<'e>(entries: impl Iterator<Item = &'e Entry>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{}\n", stable::VERSION));
    entries.for_each(|entry| hash.update(format!("{entry}\n")));
    hexadecimal(&hash.finalize())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The document of a host, and its rows if there are to be any.
pub(super) fn report(key: &str, scanned: &Scanned, wanted: &Wanted) -> (Document, Vec<RowDocument>) {
    let topology = &scanned.topology;
    let linux = Linux::new(topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(scanned, &linux, &fabric, &wanted.assumptions, None);
    let canonical = stable::canonical(topology);
    let host = Host { answers: &answers, canonical: &canonical };
    let findings: Vec<FindingDocument> = answers.findings.iter().map(FindingDocument::from).collect();
    let rows = wanted.rows.map(|rows| host.rows(rows, wanted)).unwrap_or_default();
    let row = |row| RowDocument { schema: json::SCHEMA, host: key.to_owned(), run: wanted.run.clone(), row };
    let document = Document {
        schema: json::SCHEMA,
        source: SourceDocument::new(&scanned.source, topology),
        body: Body::FleetHost(Box::new(host.document(key, wanted))),
        findings,
    };
    (document, rows.into_iter().map(row).collect())
}

struct Host<'h, 'a> {
    answers: &'h Answers<'a>,
    canonical: &'h [(FunctionIndex, Entry)],
}

impl Host<'_, '_> {
    fn topology(&self) -> &Topology {
        &self.answers.scanned.topology
    }

    fn document(&self, key: &str, wanted: &Wanted) -> FleetHostDocument {
        let (topology, answers) = (self.topology(), self.answers);
        let host = answers.scanned.source.host.as_ref();
        let shared_domains = self.shared_domains();
        let functions = topology.functions();
        let kernel = compare::kernel_groups(topology);
        let has_kernel = kernel.iter().any(Option::is_some);
        let differences = || compare::differences(&answers.grouping.group_of, &kernel).len();
        FleetHostDocument {
            host: key.to_owned(),
            run: wanted.run.clone(),
            fingerprint: fingerprint(self.canonical.iter().map(|(_, entry)| entry)),
            answer: if answers.is_inconclusive(None) { "inconclusive" } else { "conclusive" },
            iommu: Iommu::of(host, topology).word(),
            mode: host.and_then(crate::kernel::Host::mode).map(Mode::word),
            board: host.and_then(|host| BoardDocument::new(&host.board)),
            counts: FleetCounts {
                functions: functions.len(),
                bridges: functions.iter().filter(|function| function.is_bridge()).count(),
                virtual_functions: (0..functions.len()).filter(|i| topology.kind(*i).is_virtual()).count(),
                domains: answers.domains.len(),
                shared_domains: shared_domains.len(),
                groups: answers.grouping.groups.len(),
                predicted_groups: answers.grouping.groups.iter().filter(|group| !group.is_certain()).count(),
                differences: has_kernel.then(differences),
            },
            kinds: kinds(topology),
            downstream_ports: ports(topology),
            shared_domains,
            check: self.check(wanted),
        }
    }

    /// The domains that functions which can initiate share.
    fn shared_domains(&self) -> Vec<SharedDomain> {
        let topology = self.topology();
        let shared = self.answers.domains.iter().enumerate().filter(|(_, domain)| {
            domain.functions().filter(|index| self.answers.fabric.initiates(*index)).nth(1).is_some()
        });
        let document = |(id, domain): (usize, crate::route::domains::IsolationDomain<'_>)| {
            let functions = || domain.functions();
            let mut labels: Vec<Label> = functions().filter_map(|index| label(topology, index)).collect();
            labels.sort_unstable();
            labels.dedup();
            SharedDomain {
                domain: id,
                held_by: domain.held_by().map(|held_by| held_by.word()),
                kinds: labels.into_iter().map(Label::word).collect(),
                functions: functions().map(|index| address(topology, index)).collect(),
            }
        };
        shared.map(document).collect()
    }

    /// The verdict about each device that was asked about.
    fn check(&self, wanted: &Wanted) -> Option<FleetCheck> {
        if wanted.check.is_empty() {
            return None;
        }
        let topology = self.topology();
        let mut questions = Questions::new(self.answers.facts(), wanted.unknown);
        let mut devices: Vec<(u8, CheckedDevice)> = Vec::new();
        let mut done: FunctionIndex = 0;
        for (index, function) in topology.functions().iter().enumerate() {
            let is_asked = wanted.check.iter().any(|selector| selector.holds(topology, index));
            if index < done || function.is_bridge() || !is_asked {
                continue;
            }
            // A virtual function goes alone, anything else with the rest of its device.
            let together: Vec<FunctionIndex> = match topology.kind(index).is_virtual() {
                true => vec![index],
                false => {
                    topology.in_slot(index).filter(|other| !topology.kind(*other).is_virtual()).collect()
                }
            };
            done = together.last().map_or(index, |last| last.saturating_add(1));
            let question = questions.ask(&together);
            let judgement = question.judge(wanted.policy);
            let (verdict, reason) = (question.verdict(&judgement), question.why(&judgement));
            let functions = together.iter().map(|index| address(topology, *index)).collect();
            let rank = match verdict {
                Verdict::Assignable => 0_u8,
                Verdict::Accepted => 1,
                Verdict::Inconclusive => 2,
                Verdict::NotAssignable => 3,
            };
            devices.push((rank, CheckedDevice { functions, verdict: verdict.word(), reason }));
        }
        let worst = devices.iter().max_by_key(|(rank, _)| *rank).map(|(_, device)| device.verdict);
        let devices = devices.into_iter().map(|(_, device)| device).collect();
        Some(FleetCheck { policy: wanted.policy.word(), verdict: worst, devices })
    }

    fn rows(&self, rows: Rows, wanted: &Wanted) -> Vec<Row> {
        match rows {
            Rows::Functions => self.functions(),
            Rows::Domains => self.shared_domains().into_iter().map(Row::FleetDomain).collect(),
            Rows::Pairs => self.pairs(wanted),
            Rows::Findings => {
                self.answers.findings.iter().map(|finding| Row::FleetFinding(finding.into())).collect()
            }
        }
    }

    fn functions(&self) -> Vec<Row> {
        let topology = self.topology();
        let paths = stable::paths(topology);
        let mut canonical: Vec<Option<&Entry>> = vec![None; paths.len()];
        for (index, entry) in self.canonical {
            if let Some(place) = canonical.get_mut(*index) {
                *place = Some(entry);
            }
        }
        let row = |(index, (path, entry)): (usize, (String, Option<&Entry>))| {
            let function = topology.function(index)?;
            let attributes = topology.inventory().attributes(index);
            let acs = function.acs.present();
            let enabled = acs.map(|acs| {
                let tokens = crate::cap::acs::AcsControl::TOKENS.iter();
                let on = tokens.filter(|(_, bit)| acs.control.contains(*bit)).map(|(name, _)| *name);
                on.collect::<Vec<_>>().join(" ")
            });
            Some(Row::FleetFunction(FunctionRow {
                address: function.address.to_string(),
                path,
                vendor: topology.ids(index).map(|(vendor, _)| format!("{vendor:#06x}")),
                device: topology.ids(index).map(|(_, device)| format!("{device:#06x}")),
                class: format!("{:#06x}", function.class.class()),
                label: Label::of(function.class).word(),
                port_type: function.port_type().map(DevicePortType::word),
                bridge: function.is_bridge(),
                is_virtual: topology.kind(index).is_virtual(),
                acs: function.acs.word(),
                acs_capability: acs.map(|acs| format!("{:#06x}", acs.capability.bits())),
                acs_control: acs.map(|acs| format!("{:#06x}", acs.control.bits())),
                acs_enabled: enabled,
                domain: self.answers.domains.domain_of(index),
                group: self.answers.grouping.group_of.get(index).copied().flatten(),
                kernel_group: attributes.and_then(|known| known.kernel_group),
                driver: attributes.and_then(|known| known.driver.as_deref()).map(|d| clean(d).into_owned()),
                complete: function.is_complete(),
                canonical: entry.map(ToString::to_string),
            }))
        };
        paths.into_iter().zip(canonical).enumerate().filter_map(row).collect()
    }

    fn pairs(&self, wanted: &Wanted) -> Vec<Row> {
        let matrix = match self.answers.fabric.matrix(&[], &wanted.assumptions) {
            Ok(matrix) => matrix,
            Err(error) => {
                let message = format!("{} classes of functions answer differently", error.classes);
                return vec![Row::Error(RowError { code: "too-many-classes", message })];
            }
        };
        let class = |id: usize| matrix.classes.get(id);
        let row = |cell: &crate::route::matrix::Cell| {
            let (from, to) = (class(cell.from)?, class(cell.to)?);
            Some(Row::FleetPair(PairRow {
                from: address(self.topology(), cell.pair.0),
                from_label: from.label.word(),
                from_functions: from.members.len(),
                to: address(self.topology(), cell.pair.1),
                to_label: to.label.word(),
                to_functions: to.members.len(),
                relation: cell.relation.word(),
                tlp: cell.tlp.word(),
                disposition: cell.disposition.word(),
                reason: cell.reason.code(),
                impersonation: cell.impersonation,
            }))
        };
        matrix.cells.iter().filter_map(row).collect()
    }
}

fn label(topology: &Topology, index: FunctionIndex) -> Option<Label> {
    topology.function(index).filter(|function| !function.is_bridge()).map(|f| Label::of(f.class))
}

fn kinds(topology: &Topology) -> KindCounts {
    let mut counts = KindCounts::default();
    for label in (0..topology.functions().len()).filter_map(|index| label(topology, index)) {
        let count = match label {
            Label::Gpu => &mut counts.gpu,
            Label::Nic => &mut counts.nic,
            Label::Nvme => &mut counts.nvme,
            Label::Storage => &mut counts.storage,
            Label::Accelerator => &mut counts.accelerator,
            Label::Usb => &mut counts.usb,
            Label::Other => &mut counts.other,
        };
        *count = count.saturating_add(1);
    }
    counts
}

/// Root ports and switch downstream ports by their ACS, as the specification lays it out.
fn ports(topology: &Topology) -> PortCounts {
    let mut counts = PortCounts::default();
    let is_downstream = |port_type: DevicePortType| {
        matches!(port_type, DevicePortType::RootPort | DevicePortType::SwitchDownstreamPort)
    };
    for function in topology.functions().iter().filter(|f| f.port_type().is_some_and(is_downstream)) {
        counts.total = counts.total.saturating_add(1);
        let count = match function.acs {
            crate::anomaly::Presence::Absent => &mut counts.without_acs,
            crate::anomaly::Presence::NotCaptured => &mut counts.not_captured,
            crate::anomaly::Presence::Present(acs) => {
                let offered = REQUIRED & acs.capability.controls();
                if !acs.control.contains(offered) {
                    counts.not_enabled = counts.not_enabled.saturating_add(1);
                }
                &mut counts.with_acs
            }
        };
        *count = count.saturating_add(1);
    }
    counts
}
