//! The parts of the page that are text: facts, findings, what is not known.

use std::collections::BTreeMap;

use super::{Inputs, ranges};
use crate::finding::{Finding, count};
use crate::report::json::{HostDocument, SourceDocument};
use crate::report::{clean, words};
use crate::route::Reason;
use crate::route::disagree::disagreements;
use crate::route::domains::HeldBy;
use crate::topology::FunctionIndex;

/// Most overlays, findings, disagreements and problems that are told one by one.
const SHOWN: usize = 200;
/// Most pieces of evidence, and of guesses, of one.
const EVIDENCE: usize = 8;

/// What the template is filled with.
#[derive(Debug)]
pub(super) struct Sections {
    pub(super) title: String,
    /// Said first: without an IOMMU nothing else matters.
    pub(super) alarm: Option<&'static str>,
    /// What-if overlays: the page shows no machine that there is.
    pub(super) overlays: Vec<String>,
    pub(super) overlays_left_out: usize,
    /// What stands for them in commands, if they are too long to be repeated.
    pub(super) instead_of_overlays: Option<&'static str>,
    /// Number and what it counts.
    pub(super) summary: Vec<(usize, &'static str)>,
    /// Name and value.
    pub(super) facts: Vec<(&'static str, String)>,
    /// By code, in the order of the findings.
    pub(super) findings: Vec<CodeSection>,
    pub(super) findings_left_out: usize,
    pub(super) disagreements: Vec<DisagreementSection>,
    pub(super) disagreements_left_out: usize,
    pub(super) unknowns: Vec<Unknown>,
}

/// Findings of one code.
#[derive(Debug)]
pub(super) struct CodeSection {
    pub(super) severity: String,
    pub(super) code: &'static str,
    pub(super) advice: &'static str,
    pub(super) findings: Vec<FindingSection>,
}

#[derive(Debug)]
pub(super) struct FindingSection {
    pub(super) functions: String,
    pub(super) message: String,
    pub(super) evidence: Vec<String>,
}

#[derive(Debug)]
pub(super) struct DisagreementSection {
    pub(super) kind: &'static str,
    pub(super) functions: String,
    pub(super) numbers: String,
}

/// Something that is not known, and how to get it.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) what: String,
    pub(super) details: Vec<String>,
    pub(super) how: String,
}

impl Sections {
    pub(super) fn new(inputs: &Inputs<'_>) -> Self {
        let topology = inputs.topology();
        let findings = &**inputs.view.findings;
        let found = disagreements(inputs.fabric(), inputs.domains(), &inputs.grouping().group_of);
        let numbers = |numbers: &std::collections::BTreeSet<usize>| {
            let shown: Vec<String> = numbers.iter().take(EVIDENCE).map(ToString::to_string).collect();
            let more = if numbers.len() > EVIDENCE { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        let disagreement = |found: &crate::route::disagree::Disagreement| DisagreementSection {
            kind: found.kind.words(),
            functions: ranges(topology, &found.functions),
            numbers: format!("domain {}; Linux's group {}", numbers(&found.domains), numbers(&found.groups)),
        };
        let overlays = &inputs.view.source.overlays;
        let host = inputs.view.source.host.as_ref().map(|host| HostDocument::new(host, topology));
        Self {
            title: clean(&inputs.view.source.path).into_owned(),
            alarm: match host.as_ref().map(|host| host.iommu) {
                Some("off") => Some("The IOMMU is off: nothing can be assigned safely."),
                Some("absent") => Some("There is no IOMMU: nothing can be assigned safely."),
                _ => None,
            },
            overlays: overlays.iter().take(SHOWN).map(|text| clean(text).into_owned()).collect(),
            overlays_left_out: overlays.len().saturating_sub(SHOWN),
            instead_of_overlays: inputs.commands.instead_of_overlays,
            summary: summary(inputs),
            facts: facts(inputs, host.as_ref()),
            findings: by_code(inputs, findings.get(..SHOWN).unwrap_or(findings)),
            findings_left_out: findings.len().saturating_sub(SHOWN),
            disagreements: found.iter().take(SHOWN).map(disagreement).collect(),
            disagreements_left_out: found.len().saturating_sub(SHOWN),
            unknowns: unknowns(inputs),
        }
    }
}

impl Sections {
    /// How many bytes its overlays and findings have, about.
    pub(super) fn bytes(&self) -> usize {
        let of = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
        let findings = self
            .findings
            .iter()
            .flat_map(|code| &code.findings)
            .map(|f| of(&f.evidence).saturating_add(f.functions.len()));
        findings.fold(of(&self.overlays).saturating_add(100_000), usize::saturating_add)
    }
}

fn summary(inputs: &Inputs<'_>) -> Vec<(usize, &'static str)> {
    use crate::finding::Severity::{Error, Note, Warning};
    let fabric = inputs.fabric();
    let several = |functions: &mut dyn Iterator<Item = FunctionIndex>| {
        functions.filter(|index| fabric.initiates(*index)).nth(1).is_some()
    };
    let shared = inputs.domains().iter().filter(|domain| several(&mut domain.functions())).count();
    let of = |severity| inputs.view.findings.iter().filter(|f| f.code.severity() == severity).count();
    let counts: [(usize, [&'static str; 2]); 7] = [
        (inputs.topology().functions().len(), ["function", "functions"]),
        (inputs.domains().len(), ["isolation domain", "isolation domains"]),
        (shared, ["of them shared by several functions"; 2]),
        (inputs.grouping().groups.len(), ["group of Linux", "groups of Linux"]),
        (of(Error), ["error", "errors"]),
        (of(Warning), ["warning", "warnings"]),
        (of(Note), ["note", "notes"]),
    ];
    counts.map(|(number, [one, several])| (number, if number == 1 { one } else { several })).to_vec()
}

fn facts(inputs: &Inputs<'_>, host: Option<&HostDocument>) -> Vec<(&'static str, String)> {
    let source = SourceDocument::new(inputs.view.source, inputs.topology());
    let part = source.part.map(|part| format!(", {part}")).unwrap_or_default();
    let complete =
        if source.complete { "all that the answers need" } else { "not all that the answers need" };
    let mut facts = vec![
        ("Source", format!("{} ({}{part})", source.path, source.kind)),
        ("Captured", format!("{}, {complete}", count(source.functions, "function"))),
    ];
    let known = |name, value: Option<String>| value.map(|value| (name, value));
    facts.extend(known("Kernel", source.kernel));
    facts.extend(known("Kernel's command line", source.cmdline));
    if let Some(host) = host {
        facts.push(("IOMMU", host.iommu.to_owned()));
        facts.extend(known("Host's own traffic", host.mode.map(ToOwned::to_owned)));
        facts.extend(known("IOMMUs in use", host.units.as_ref().map(|units| units.join(", "))));
        facts.extend(known("ACPI tables", host.tables.as_ref().map(|tables| tables.join(", "))));
        let types = host.group_types.as_ref().map(|types| {
            types.iter().map(|(kind, number)| format!("{kind}: {number}")).collect::<Vec<_>>().join(", ")
        });
        facts.extend(known("Types of the kernel's groups", types));
    }
    facts.retain(|(_, value)| !value.is_empty());
    let assumed = words::assumptions(inputs.assumptions(), inputs.view.reach.unsettled);
    facts.extend(assumed.into_iter().map(|text| ("Assumed", text)));
    facts.extend(words::limits(inputs.assumptions()).into_iter().map(|text| ("Limits", text)));
    facts.into_iter().map(|(name, value)| (name, clean(&value).into_owned())).collect()
}

fn by_code(inputs: &Inputs<'_>, findings: &[Finding]) -> Vec<CodeSection> {
    let one = |finding: &Finding| {
        let evidence = finding.evidence.iter().take(EVIDENCE);
        FindingSection {
            functions: of_finding(inputs, finding),
            message: clean(&finding.message).into_owned(),
            evidence: evidence.map(|e| clean(&format!("{}: {e}", e.function())).into_owned()).collect(),
        }
    };
    let mut codes: Vec<CodeSection> = Vec::new();
    for finding in findings {
        let code = finding.code.as_str();
        match codes.iter_mut().find(|section| section.code == code) {
            Some(section) => section.findings.push(one(finding)),
            None => codes.push(CodeSection {
                severity: finding.code.severity().to_string(),
                code,
                advice: finding.code.advice(),
                findings: vec![one(finding)],
            }),
        }
    }
    codes
}

fn of_finding(inputs: &Inputs<'_>, finding: &Finding) -> String {
    let topology = inputs.topology();
    let mut functions: Vec<FunctionIndex> =
        finding.functions.iter().filter_map(|address| topology.index_of(*address)).collect();
    functions.sort_unstable();
    ranges(topology, &functions)
}

/// What is not known, most of it told somewhere else on the page, with how to get it.
fn unknowns(inputs: &Inputs<'_>) -> Vec<Unknown> {
    let topology = inputs.topology();
    let mut found = Vec::new();
    let problems = inputs.view.source.problems.iter().take(SHOWN);
    let problems: Vec<String> = problems.map(|problem| clean(&problem.text).into_owned()).collect();
    if !problems.is_empty() {
        found.push(Unknown {
            what: String::from("what the reader could not read"),
            details: problems,
            how: String::from("a new dump: as root, acsscan capture -o host.tar.zst, or lspci -xxxx"),
        });
    }
    let missing = inputs.view.findings.iter().filter(|finding| finding.code.is_missing_part());
    found.extend(missing.take(SHOWN).map(|finding| Unknown {
        what: clean(&finding.message).into_owned(),
        details: Some(of_finding(inputs, finding)).filter(|text| !text.is_empty()).into_iter().collect(),
        how: finding.code.advice().to_owned(),
    }));
    let mut reasons: BTreeMap<Reason, (usize, Vec<FunctionIndex>)> = BTreeMap::new();
    for merge in inputs.domains().iter().flat_map(|domain| domain.why()) {
        if let (HeldBy::Unproven, Some(reason)) = (merge.held_by, merge.reason) {
            let entry = reasons.entry(reason).or_default();
            entry.0 = entry.0.saturating_add(1);
            entry.1.extend([merge.from, merge.to]);
        }
    }
    for (reason, (bonds, mut functions)) in reasons {
        functions.sort_unstable();
        functions.dedup();
        found.push(Unknown {
            what: format!("domains stay together because {reason} ({})", count(bonds, "bond")),
            details: vec![ranges(topology, &functions)],
            how: words::remedy(reason).to_owned(),
        });
    }
    for unsettled in &**inputs.view.reach.unsettled {
        let mut details = vec![format!("left open by {}", ranges(topology, &unsettled.open))];
        if !unsettled.others.is_empty() {
            details.push(format!("towards {}", ranges(topology, &unsettled.others)));
        }
        let how = words::remedy(unsettled.reason).to_owned();
        found.push(Unknown { what: words::unsettled(unsettled), details, how });
    }
    let predicted: Vec<_> = inputs.grouping().groups.iter().filter(|group| !group.is_certain()).collect();
    let guesses = predicted.iter().flat_map(|group| &group.depends_on);
    let mut guesses: Vec<_> = guesses.collect();
    guesses.sort_unstable();
    guesses.dedup();
    if !guesses.is_empty() {
        let told = guesses.iter().take(EVIDENCE).map(|guess| words::dependency(inputs.view.linux, **guess));
        let mut details: Vec<String> = told.map(|text| clean(&text).into_owned()).collect();
        let more = guesses.len().saturating_sub(details.len());
        if more > 0 {
            details.push(format!("and {more} more"));
        }
        found.push(Unknown {
            what: format!("{} of Linux rest on guesses", count(predicted.len(), "group")),
            details,
            how: String::from(
                "the kernel's own groups, which a capture made on the host holds; the guesses themselves as they say",
            ),
        });
    }
    found
}
