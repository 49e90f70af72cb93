//! No verb: the scan.

use std::collections::BTreeSet;

use super::args::Common;
use super::output::Answers;
use super::reach::assumptions;
use super::{Exit, Stop, address, input};
use crate::report::json::{self, Body, DisagreementDocument, FunctionDocument, HostDocument, ScanDocument};
use crate::report::{text, words};
use crate::route::disagree::disagreements;
use crate::route::fabric::Fabric;
use crate::route::linux::{Grouping, Linux};

pub(super) fn run(common: &Common, names: &[String]) -> Result<Exit, Stop> {
    let scanned = input::read(common, !names.is_empty())?;
    let selected = address::resolve(&scanned.topology, names)?;
    let selected = (!names.is_empty()).then_some(selected);
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), selected.as_deref());
    answers.write(
        common,
        |answers| Body::Scan(document(answers, selected.as_deref())),
        |mut out, view| text::scan(&mut out, view, selected.as_deref()),
    )?;
    Ok(answers.exit(common, selected.as_deref()))
}

fn document(answers: &Answers<'_>, selected: Option<&[usize]>) -> ScanDocument {
    let (linux, grouping): (_, &Grouping) = (answers.linux, &answers.grouping);
    let topology = linux.topology();
    let mut groups = json::groups(linux, grouping);
    let mut ungrouped = json::ungrouped(topology, grouping);
    if let Some(selected) = selected {
        let of = |index: &usize| grouping.group_of.get(*index).copied().flatten();
        let ids: BTreeSet<usize> = selected.iter().filter_map(of).collect();
        groups.retain(|group| ids.contains(&group.id));
        let outside: Vec<usize> = selected.iter().filter(|index| of(index).is_none()).copied().collect();
        let address = |index: &usize| topology.function(*index).map(|f| f.address.to_string());
        ungrouped = outside.iter().filter_map(address).collect();
    }
    let mut domains = json::domains(&answers.reach());
    let mut disagreements = disagreements(topology, &answers.domains, &grouping.group_of);
    if let Some(selected) = selected {
        let ids: BTreeSet<usize> =
            selected.iter().filter_map(|index| answers.domains.domain_of(*index)).collect();
        domains.retain(|domain| ids.contains(&domain.id));
        disagreements.retain(|found| selected.iter().any(|index| found.functions.contains(index)));
    }
    let document = |found| DisagreementDocument::new(&answers.reach(), found);
    let host = answers.scanned.source.host.as_ref();
    ScanDocument {
        host: host.map(|host| HostDocument::new(host, topology)),
        assumptions: answers.assumptions(answers.domains.assumptions()),
        unsettled: json::unsettled(topology, &answers.unsettled),
        limits: words::limits(answers.domains.assumptions()),
        domains,
        disagreements: disagreements.iter().map(document).collect(),
        groups,
        ungrouped,
        kernel_groups: json::kernel_groups(topology),
        differences: json::differences(linux, grouping, answers.scanned.source.host.as_ref()),
        functions: selected.map(|selected| {
            selected.iter().filter_map(|index| FunctionDocument::new(linux, *index)).collect()
        }),
    }
}
