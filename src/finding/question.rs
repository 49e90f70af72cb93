//! The whole question: may these functions be assigned to one guest, and what does that rest on?
//!
//! The command, libvirt's hook, `fleet` and the C interface all ask it here, so that they cannot
//! disagree.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Code, Finding, count};
use crate::kernel::Iommu;
use crate::route::accept::Acceptances;
use crate::route::check::{Assignment, Cause, Judgement, Objection, Policy, Survey, Unknown, Verdict, Way};
use crate::route::domains::Domains;
use crate::route::fabric::Fabric;
use crate::route::linux::{Grouping, Linux};
use crate::topology::{FunctionIndex, Topology};

/// Functions, or uses of one, that one line names at most.
const SHOWN: usize = 8;

/// What the answers rest on: everything that was worked out about one machine.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Facts<'q, 'a> {
    /// The kernel's view.
    pub linux: &'q Linux<'a>,
    /// The specification's view.
    pub fabric: &'q Fabric<'a>,
    /// The isolation domains.
    pub domains: &'q Domains,
    /// The kernel's groups.
    pub grouping: &'q Grouping,
    /// Who accepted what.
    pub accepted: &'q Acceptances<'a>,
    /// Whether the host has an IOMMU in use.
    pub iommu: Iommu,
    /// Whether the machine is the one that would assign them, so that what it does not tell is missing.
    pub live: bool,
    /// The findings; those that say that something is missing count.
    pub findings: &'q [Finding],
}

impl<'q, 'a> Facts<'q, 'a> {
    /// What the models say of a machine that is not this one. Set [`iommu`](Self::iommu) where the host is
    /// known, [`live`](Self::live) where it is this one, and [`findings`](Self::findings) where the input may
    /// have holes.
    #[must_use]
    pub const fn new(
        linux: &'q Linux<'a>,
        fabric: &'q Fabric<'a>,
        domains: &'q Domains,
        grouping: &'q Grouping,
        accepted: &'q Acceptances<'a>,
    ) -> Self {
        Self { linux, fabric, domains, grouping, accepted, iommu: Iommu::Unknown, live: false, findings: &[] }
    }
}

/// May these functions be assigned to one guest together?
#[derive(Clone, Debug)]
pub struct Question<'q, 'a> {
    facts: Facts<'q, 'a>,
    assignment: Assignment<'a>,
    missing: Vec<String>,
    unknown: Unknown,
}

impl<'q, 'a> Question<'q, 'a> {
    /// Asks about functions of the topology that the facts are about.
    #[must_use]
    pub fn new(facts: Facts<'q, 'a>, functions: &[FunctionIndex], unknown: Unknown) -> Self {
        let assignment = Assignment::new(facts.fabric, facts.domains, facts.accepted, functions);
        let missing = missing(&facts, functions, &parts(&facts));
        Self { facts, assignment, missing, unknown }
    }

    /// The functions, and what crosses the border around them.
    #[must_use]
    pub const fn assignment(&self) -> &Assignment<'a> {
        &self.assignment
    }

    /// What is missing in the dump that could change the answer, one line each: bytes of the functions
    /// and of the bridges above them, and parts of the hierarchy about them.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Whether the host has an IOMMU in use, as far as is known.
    #[must_use]
    pub const fn iommu(&self) -> Iommu {
        self.facts.iommu
    }

    /// What a policy objects to.
    #[must_use]
    pub fn judge(&self, policy: Policy) -> Judgement {
        let mut judgement = self.assignment.judge(policy, self.facts.linux, self.facts.grouping);
        if matches!(self.facts.iommu, Iommu::Off | Iommu::Absent) {
            judgement.miss_iommu(self.assignment.functions());
        }
        judgement
    }

    /// The answer that follows.
    #[must_use]
    pub fn verdict(&self, judgement: &Judgement) -> Verdict {
        judgement.verdict(&self.assignment, !self.missing.is_empty(), self.unknown)
    }

    /// In one line what the answer rests on: who accepted it, the first objection with the function and
    /// the bits that are in the way, or else what is missing. `None` if nothing speaks against it.
    #[must_use]
    pub fn why(&self, judgement: &Judgement) -> Option<String> {
        if self.verdict(judgement) == Verdict::Accepted {
            return self.assignment.accepted().next().map(|accepted| {
                let names = names(self.topology(), self.assignment.functions(), 0);
                format!("{names}: {accepted}: {}", accepted.reason)
            });
        }
        let first = judgement.objections.first().map(|objection| self.objection(objection));
        first.or_else(|| Some(format!("not captured: {}", self.missing.first()?)))
    }

    /// The functions whose findings matter to a judgement: its unit, and the bridges above the functions.
    /// Sorted.
    #[must_use]
    pub fn concerned(&self, judgement: &Judgement) -> Vec<FunctionIndex> {
        with_bridges_above(self.topology(), self.assignment.functions(), judgement.unit.clone())
    }

    /// An objection of a [judgement](Self::judge) in one sentence.
    #[must_use]
    pub fn objection(&self, objection: &Objection) -> String {
        let topology = self.topology();
        let certain = if objection.certain { "" } else { "not known: " };
        let function = address(topology, objection.function);
        let mut line = format!("{certain}{function} {}", objection.cause.words());
        if !objection.others.is_empty() {
            line.push_str(": ");
            line.push_str(&names(topology, &objection.others, objection.more));
        }
        let ways = self.assignment.ways().iter().filter(|way| {
            let is_open = way.accepted.is_none() && way.proved == objection.certain;
            objection.cause == Cause::NotIsolated && is_open && way.inside.contains(&objection.function)
        });
        // Traffic tells more than impersonation: which bits of which port let it through.
        if let Some(way) = ways.min_by_key(|way| way.class.is_none()) {
            line.push_str("; ");
            line.push_str(&self.way(way));
        }
        line
    }

    /// How functions are not kept apart, by an example.
    fn way(&self, way: &Way<'_>) -> String {
        let (from, to) = way.example;
        match way.class {
            Some(class) => {
                let route = self.facts.fabric.trace(from, to, class, self.facts.domains.assumptions());
                route.sentence(self.topology())
            }
            None => {
                let fabric = self.facts.fabric;
                let why = fabric.impersonation(from, to, self.facts.domains.assumptions());
                let why = why.map_or("", |why| fabric.impersonation_words(from, to, why));
                let (from, to) = (address(self.topology(), from), address(self.topology(), to));
                let proved = if way.proved { "" } else { "as far as the dump tells, " };
                format!("{proved}{from} may use the requester ID of {to}: {why}")
            }
        }
    }

    const fn topology(&self) -> &'a Topology {
        self.facts.linux.topology()
    }
}

/// The same question about one device after the other: see [`Survey`].
#[derive(Clone, Debug)]
pub struct Questions<'q, 'a> {
    facts: Facts<'q, 'a>,
    survey: Survey<'q, 'a, 'a>,
    parts: Vec<Part<'q>>,
    unknown: Unknown,
}

impl<'q, 'a> Questions<'q, 'a> {
    /// Prepares for questions about functions of the topology that the facts are about.
    #[must_use]
    pub fn new(facts: Facts<'q, 'a>, unknown: Unknown) -> Self {
        let survey = Survey::new(facts.fabric, facts.domains, facts.accepted);
        Self { facts, survey, parts: parts(&facts), unknown }
    }

    /// May these functions be assigned to one guest together?
    pub fn ask(&mut self, functions: &[FunctionIndex]) -> Question<'q, 'a> {
        let assignment = self.survey.assignment(functions);
        let missing = missing(&self.facts, functions, &self.parts);
        Question { facts: self.facts, assignment, missing, unknown: self.unknown }
    }
}

/// Something that is missing, and the functions that it is about, sorted; `None` if it is about the whole.
type Part<'q> = (&'q Finding, Option<Vec<FunctionIndex>>);

fn parts<'q>(facts: &Facts<'q, '_>) -> Vec<Part<'q>> {
    let topology = facts.linux.topology();
    let open = facts.findings.iter().filter(|finding| finding.code.leaves_assignment_open());
    let about = |finding: &'q Finding| {
        let mut functions: Vec<FunctionIndex> =
            finding.functions.iter().filter_map(|address| topology.index_of(*address)).collect();
        functions.sort_unstable();
        (finding, (!finding.functions.is_empty()).then_some(functions))
    };
    open.map(about).collect()
}

/// These and the bridges above the functions, sorted.
fn with_bridges_above(
    topology: &Topology,
    functions: &[FunctionIndex],
    mut these: Vec<FunctionIndex>,
) -> Vec<FunctionIndex> {
    these.extend(functions.iter().flat_map(|function| topology.bridges_above(*function)));
    these.sort_unstable();
    these.dedup();
    these
}

/// A finding for each of these functions that the host itself needs.
pub fn in_use_findings<'t>(
    topology: &'t Topology,
    functions: &'t [FunctionIndex],
) -> impl Iterator<Item = Finding> + 't {
    functions.iter().filter_map(|index| {
        let uses = &topology.inventory().attributes(*index)?.host_uses;
        let first: Vec<String> = uses.iter().take(SHOWN).map(ToString::to_string).collect();
        let first = first.join(", ");
        let text = match uses.len().saturating_sub(SHOWN) {
            0 => first,
            more => format!("{first} and {more} more"),
        };
        (!uses.is_empty())
            .then(|| Finding::new(Code::InUseByHost, topology.address(*index).into_iter().collect(), text))
    })
}

/// A finding for a database file that could not be used, of what was said about it.
#[must_use]
pub fn refused_finding(text: &str) -> Finding {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let message = match lines.count() {
        0 => first,
        more => format!("{first} (and {} more)", count(more, "line")),
    };
    Finding::new(Code::DatabaseFileRefused, Vec::new(), message)
}

/// A finding for each thing that the reader lost; those after the first few in one.
#[must_use]
pub fn lost_findings<'l>(losses: impl IntoIterator<Item = &'l str>) -> Vec<Finding> {
    const SHOWN: usize = 20;
    let finding = |text: String| Finding::new(Code::InputIncomplete, Vec::new(), text);
    let mut losses = losses.into_iter();
    let mut found: Vec<_> = losses.by_ref().take(SHOWN).map(|text| finding(text.to_owned())).collect();
    let more = losses.count();
    if more > 0 {
        found.push(finding(format!("and {} more", count(more, "loss"))));
    }
    found
}

fn missing(facts: &Facts<'_, '_>, functions: &[FunctionIndex], parts: &[Part<'_>]) -> Vec<String> {
    let topology = facts.linux.topology();
    let concerned = with_bridges_above(topology, functions, functions.to_vec());
    let mut missing: Vec<String> = concerned
        .iter()
        .filter_map(|index| topology.function(*index))
        .filter(|function| !function.is_complete())
        .map(|function| format!("{}: not all of its configuration space was captured", function.address))
        .collect();
    if facts.live && facts.iommu == Iommu::Unknown {
        missing.push(String::from("whether the host has an IOMMU in use could not be read"));
    }
    let is_about = |about: &Option<Vec<FunctionIndex>>| {
        let Some(about) = about else { return true };
        concerned.iter().any(|function| about.binary_search(function).is_ok())
    };
    let parts = parts.iter().filter(|(_, about)| is_about(about));
    missing.extend(parts.map(|(finding, _)| format!("{}: {}", finding.code.as_str(), finding.message)));
    missing
}

/// The first of these functions, and how many more there are.
fn names(topology: &Topology, functions: &[FunctionIndex], more: usize) -> String {
    let mut names: Vec<String> =
        functions.iter().take(SHOWN).map(|function| address(topology, *function)).collect();
    let more = functions.len().saturating_sub(SHOWN).saturating_add(more);
    names.extend((more > 0).then(|| format!("and {more} more")));
    names.join(", ")
}

fn address(topology: &Topology, index: FunctionIndex) -> String {
    topology.address(index).unwrap_or_default().to_string()
}
