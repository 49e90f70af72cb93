//! `groups`: the partition of a model, or where two models disagree.

use std::collections::BTreeMap;

use super::args::{Common, Groups, Model};
use super::output::Answers;
use super::reach::assumptions;
use super::{Exit, Stop, input};
use crate::report::json::{
    self, Body, Certainty, DisagreementDocument, DomainDocument, GroupDocument, GroupsDocument, WhyDocument,
};
use crate::report::text;
use crate::report::words::address;
use crate::route::compare;
use crate::route::disagree::disagreements;
use crate::route::fabric::Fabric;
use crate::route::libvirt::{self, Verdict};
use crate::route::linux::Linux;
use crate::topology::FunctionIndex;

pub(super) fn run(common: &Common, groups: &Groups) -> Result<Exit, Stop> {
    let (first, second) = match *groups.model.as_slice() {
        [model] => (model, None),
        // Domains come first: what is dangerous is told of the other.
        [other, Model::Spec] if other != Model::Spec => (Model::Spec, Some(other)),
        [first, second] if first != second => (first, Some(second)),
        _ => {
            return Err(Stop::Usage(String::from(
                "--model takes one of spec, linux, libvirt, or two of them",
            )));
        }
    };
    let scanned = input::read(common, false)?;
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), None);
    answers.write(
        common,
        |answers| {
            let mut document = document(first, answers);
            if let Some(second) = second {
                document.model = format!("{},{}", first.word(), second.word());
                document.other = Some(self::document(second, answers).groups);
                document.disagreements = Some(disagreement_documents(first, second, answers));
            }
            Body::Groups(document)
        },
        |mut out, view| {
            let partition = |model| numbers(model, &answers);
            match (first, second) {
                (Model::Linux, None) => text::groups(&mut out, view),
                (Model::Spec, None) => text::domain_groups(&mut out, view),
                (Model::Libvirt, None) => text::libvirt_groups(&mut out, view, &partition(first)),
                (Model::Spec, Some(other)) => {
                    text::domains_against(&mut out, view, other.word(), &partition(other))
                }
                (first, Some(second)) => text::partitions_against(
                    &mut out,
                    view,
                    (first.word(), &partition(first)),
                    (second.word(), &partition(second)),
                ),
            }
        },
    )?;
    Ok(answers.exit(common, None))
}

/// For each function: its group under a model.
fn numbers(model: Model, answers: &Answers<'_>) -> Vec<Option<usize>> {
    let topology = answers.linux.topology();
    match model {
        Model::Linux => answers.grouping.group_of.clone(),
        Model::Spec => {
            (0..topology.functions().len()).map(|index| answers.domains.domain_of(index)).collect()
        }
        Model::Libvirt => {
            let mut known = BTreeMap::new();
            let number = |first: FunctionIndex| {
                let next = known.len();
                Some(*known.entry(first).or_insert(next))
            };
            libvirt::partition(topology).into_iter().map(number).collect()
        }
    }
}

fn document(model: Model, answers: &Answers<'_>) -> GroupsDocument {
    match model {
        Model::Linux => of_linux(answers),
        Model::Spec => of_spec(answers),
        Model::Libvirt => of_libvirt(answers),
    }
}

fn disagreement_documents(first: Model, second: Model, answers: &Answers<'_>) -> Vec<DisagreementDocument> {
    let topology = answers.linux.topology();
    if first == Model::Spec {
        let found = disagreements(answers.fabric, &answers.domains, &numbers(second, answers));
        return found.iter().map(|one| DisagreementDocument::new(&answers.reach(), one)).collect();
    }
    let found = compare::differences(&numbers(first, answers), &numbers(second, answers));
    found.iter().map(|one| DisagreementDocument::of_partitions(topology, one)).collect()
}

/// libvirt forms no groups: all that is below a switch with a port that lacks ACS, together.
fn of_libvirt(answers: &Answers<'_>) -> GroupsDocument {
    let topology = answers.linux.topology();
    let mut groups: Vec<GroupDocument> = Vec::new();
    for (index, number) in numbers(Model::Libvirt, answers).into_iter().enumerate() {
        let Some(id) = number else { continue };
        if id == groups.len() {
            let (functions, depends_on, why) = (Vec::new(), Vec::new(), Vec::new());
            groups.push(GroupDocument { id, functions, certainty: Certainty::Certain, depends_on, why });
        }
        let Some(group) = groups.get_mut(id) else { continue };
        match libvirt::verdict(topology, index) {
            Verdict::Lacking(port) => group.why.push(WhyDocument {
                function: address(topology, index),
                hop: address(topology, port),
                cause: "behind-switch-lacking-acs",
                evidence: Vec::new(),
                accepted: None,
            }),
            Verdict::Unknown(port) => {
                group.certainty = Certainty::Predicted;
                group.depends_on.push(format!("{}: its ACS is not in the dump", address(topology, port)));
            }
            _ => {}
        }
        group.functions.push(address(topology, index));
    }
    GroupsDocument {
        model: String::from("libvirt"),
        assumptions: None,
        groups,
        ungrouped: Vec::new(),
        other: None,
        disagreements: None,
        kernel_groups: json::kernel_groups(topology),
        differences: None,
    }
}

fn of_linux(answers: &Answers<'_>) -> GroupsDocument {
    let topology = answers.linux.topology();
    GroupsDocument {
        model: String::from("linux"),
        assumptions: None,
        groups: json::groups(answers.linux, &answers.grouping).collect(),
        ungrouped: json::ungrouped(topology, &answers.grouping),
        other: None,
        disagreements: None,
        kernel_groups: json::kernel_groups(topology),
        differences: json::differences(
            answers.linux,
            &answers.grouping,
            answers.scanned.source.host.as_ref(),
        ),
    }
}

/// The domains in the form of groups: one that is held together by what is not known is a prediction.
fn of_spec(answers: &Answers<'_>) -> GroupsDocument {
    let reach = answers.reach();
    let domains = json::domains(&reach);
    GroupsDocument {
        model: String::from("spec"),
        assumptions: Some(answers.assumptions(answers.domains.assumptions())),
        groups: domains.map(group).collect(),
        ungrouped: Vec::new(),
        other: None,
        disagreements: None,
        kernel_groups: json::kernel_groups(answers.linux.topology()),
        differences: None,
    }
}

fn group(domain: DomainDocument) -> GroupDocument {
    let unproven = domain.held_by == Some("unproven");
    let guesses = domain.why.iter().filter(|merge| merge.held_by == "unproven");
    GroupDocument {
        id: domain.id,
        certainty: if unproven { Certainty::Predicted } else { Certainty::Certain },
        depends_on: guesses
            .map(|merge| format!("{} to {}: {}", merge.from, merge.to, merge.message))
            .collect(),
        functions: domain.functions,
        why: domain
            .why
            .into_iter()
            .map(|merge| WhyDocument {
                function: merge.from,
                hop: merge.to,
                cause: merge.reason.unwrap_or("impersonation"),
                evidence: merge.evidence,
                accepted: merge.accepted,
            })
            .collect(),
    }
}
