//! `groups`: the partition of a model, or where two models disagree.

use super::args::{Common, Groups, Model};
use super::output::Answers;
use super::reach::assumptions;
use super::{Exit, Stop, input};
use crate::report::json::{
    self, Body, Certainty, DisagreementDocument, DomainDocument, GroupDocument, GroupsDocument, WhyDocument,
};
use crate::report::text;
use crate::route::disagree::disagreements;
use crate::route::fabric::Fabric;

pub(super) fn run(common: &Common, groups: &Groups) -> Result<Exit, Stop> {
    let compare = match groups.model.as_slice() {
        [Model::Linux] | [Model::Spec] => false,
        [Model::Spec, Model::Linux] | [Model::Linux, Model::Spec] => true,
        _ => return Err(Stop::Usage(String::from("--model takes spec, linux, or both: spec,linux"))),
    };
    let linux = groups.model.as_slice() == [Model::Linux];
    let scanned = input::read(common, false)?;
    let fabric = Fabric::new(&scanned.topology, &scanned.database);
    let answers = Answers::new(&scanned, &fabric, &assumptions(common));
    answers.write(
        common,
        |answers| {
            let mut document = if linux { of_linux(answers) } else { of_spec(answers) };
            if compare {
                document.model = String::from("spec,linux");
                let found = disagreements(&scanned.topology, &answers.domains, &answers.grouping.group_of);
                let of = |found| DisagreementDocument::new(&fabric, answers.domains.assumptions(), found);
                document.other = Some(json::groups(&answers.linux, &answers.grouping));
                document.disagreements = Some(found.iter().map(of).collect());
            }
            Body::Groups(document)
        },
        |mut out, view| {
            if linux { text::groups(&mut out, view) } else { text::domain_groups(&mut out, view, compare) }
        },
    )?;
    Ok(answers.exit(common, None))
}

fn of_linux(answers: &Answers<'_>) -> GroupsDocument {
    let topology = answers.linux.topology();
    GroupsDocument {
        model: String::from("linux"),
        groups: json::groups(&answers.linux, &answers.grouping),
        ungrouped: json::ungrouped(topology, &answers.grouping),
        other: None,
        disagreements: None,
        kernel_groups: json::kernel_groups(topology),
        differences: json::differences(topology, &answers.grouping),
    }
}

/// The domains in the form of groups: one that is held together by what is not known is a prediction.
fn of_spec(answers: &Answers<'_>) -> GroupsDocument {
    let domains = json::domains(answers.fabric, &answers.domains);
    GroupsDocument {
        model: String::from("spec"),
        groups: domains.into_iter().map(group).collect(),
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
            })
            .collect(),
    }
}
