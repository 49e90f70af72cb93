//! What holds domains and groups together, within limits.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Inputs;
use super::embed::Table;
use super::routes::Reach;
use crate::report::words::address;
use crate::report::{json, words};
use crate::route::Reason;
use crate::route::domains::Merge;
use crate::route::linux::Group;
use crate::route::port::TlpClass;

/// Most bonds of one kind in a domain that are told one by one, and most pieces of evidence of each.
const OF_A_KIND: usize = 6;
const EVIDENCE: usize = 8;
/// Most bonds, and most joins of groups, in all.
const MAX_BONDS: usize = 1_500;

/// Domains of several functions that can initiate, and groups of several functions or that are guessed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Bonds {
    domains: Vec<DomainRow>,
    groups: Vec<GroupRow>,
    /// Texts of groups.
    texts: Table,
    #[serde(skip)]
    told: usize,
}

#[derive(Debug, Serialize)]
struct DomainRow {
    id: usize,
    /// How many functions can initiate.
    initiators: usize,
    held_by: Option<&'static str>,
    /// `[held by, from, to, class of transaction, reason, evidence, how many more of the kind, who accepted
    /// it]`
    why: Vec<BondRow>,
    /// Kinds of bonds that are not in `why`.
    left_out: usize,
    /// How many parts would remain if all unknowns were answered well.
    parts: usize,
}

type BondRow = (
    &'static str,
    String,
    String,
    Option<&'static str>,
    Option<usize>,
    Vec<usize>,
    usize,
    Option<String>,
    &'static str,
);

#[derive(Debug, Serialize)]
struct GroupRow {
    id: usize,
    functions: usize,
    certain: bool,
    /// What it depends on, and why functions joined: indices into `texts`.
    depends_on: Vec<usize>,
    why: Vec<usize>,
    left_out: usize,
}

impl Bonds {
    pub(super) fn new(inputs: &Inputs<'_>, reach: &mut Reach) -> Self {
        let mut bonds = Self::default();
        for (id, domain) in inputs.domains().iter().enumerate() {
            let initiators = domain.functions().filter(|index| inputs.fabric().initiates(*index)).count();
            if initiators > 1 {
                let mut kinds: BTreeMap<_, Vec<&Merge>> = BTreeMap::new();
                for merge in domain.why() {
                    kinds
                        .entry((merge.held_by, merge.class, merge.reason, accepted(inputs, merge)))
                        .or_default()
                        .push(merge);
                }
                let (mut why, mut left_out) = (Vec::new(), 0_usize);
                for merges in kinds.values() {
                    if bonds.told >= MAX_BONDS {
                        left_out = left_out.saturating_add(1);
                        continue;
                    }
                    bonds.told = bonds.told.saturating_add(merges.len().min(OF_A_KIND));
                    let more = merges.len().saturating_sub(OF_A_KIND);
                    let told = merges.iter().take(OF_A_KIND).enumerate();
                    why.extend(
                        told.map(|(n, merge)| bond(inputs, reach, merge, if n == 0 { more } else { 0 })),
                    );
                }
                let parts = domain.remains().len();
                let held_by = domain.held_by().map(|by| by.word());
                bonds.domains.push(DomainRow { id, initiators, held_by, why, left_out, parts });
            }
        }
        bonds.told = 0;
        for (id, group) in inputs.grouping().groups.iter().enumerate() {
            if group.functions.len() > 1 || !group.is_certain() {
                bonds.group(inputs, id, group);
            }
        }
        bonds
    }

    fn group(&mut self, inputs: &Inputs<'_>, id: usize, group: &Group) {
        let linux = inputs.view.linux;
        let topology = linux.topology();
        let room = MAX_BONDS.saturating_sub(self.told).min(EVIDENCE);
        let depends_on: Vec<usize> = group
            .depends_on
            .iter()
            .take(room)
            .map(|dependency| self.texts.add(&words::dependency(linux, *dependency)))
            .collect();
        let mut why = Vec::new();
        for join in group.joins.iter().take(room) {
            let evidence: Vec<String> = join.evidence(linux).iter().map(ToString::to_string).collect();
            let evidence =
                if evidence.is_empty() { evidence.concat() } else { format!(" ({})", evidence.join("; ")) };
            let (function, hop) = (address(topology, join.function), address(topology, join.hop));
            why.push(self.texts.add(&format!("{function} joins {hop}: {}{evidence}", join.cause.code())));
        }
        let told = depends_on.len().saturating_add(why.len());
        let all = group.depends_on.len().saturating_add(group.joins.len());
        self.told = self.told.saturating_add(told);
        self.groups.push(GroupRow {
            id,
            functions: group.functions.len(),
            certain: group.is_certain(),
            depends_on,
            why,
            left_out: all.saturating_sub(told),
        });
    }
}

fn bond(inputs: &Inputs<'_>, reach: &mut Reach, merge: &Merge, more: usize) -> BondRow {
    let topology = inputs.topology();
    let forged = match merge.class {
        Some(_) => None,
        None => inputs.fabric().impersonation(merge.from, merge.to, inputs.assumptions()),
    };
    let mut evidence = json::merge_evidence(inputs.fabric(), inputs.assumptions(), merge);
    evidence.truncate(EVIDENCE);
    (
        merge.held_by.word(),
        address(topology, merge.from),
        address(topology, merge.to),
        merge.class.map(TlpClass::words),
        merge.reason.and_then(|reason| Reason::ALL.iter().position(|other| *other == reason)),
        reach.evidence(&evidence),
        more,
        accepted(inputs, merge),
        forged.map_or("", |why| inputs.fabric().impersonation_words(merge.from, merge.to, why)),
    )
}

/// Who accepted a bond.
fn accepted(inputs: &Inputs<'_>, merge: &Merge) -> Option<String> {
    let accepted = inputs.view.reach.accepted.of_merge(inputs.fabric(), merge, inputs.assumptions());
    accepted.map(ToString::to_string)
}
