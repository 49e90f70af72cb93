//! The class matrix, and the routes of pairs hop by hop.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::embed::Table;
use super::{Inputs, ranges};
use crate::report::json::accepted_cell;
use crate::report::words::{self, address};
use crate::route::evidence::Evidence;
use crate::route::matrix::{Cell, Label, Matrix, Relation};
use crate::route::p2pdma;
use crate::route::port::TlpClass;
use crate::route::trace::Route;
use crate::route::{Disposition, Reason};
use crate::topology::FunctionIndex;

/// Most classes that a table shows cell by cell; of more, functions of a kind are put together.
const MAX_CLASSES: usize = 200;
/// Most pairs.
const MAX_PAIRS: usize = 4_096;
/// Most functions of which all pairs are shown.
const MAX_ENDS: usize = 64;
/// Bytes of pairs, hops and evidence.
const ROUTES: usize = 1_200_000;

/// Everything about who reaches whom.
#[derive(Debug, Default, Serialize)]
pub(super) struct Reach {
    /// Words, by the numbers that stand for them.
    relations: [&'static str; 3],
    dispositions: [&'static str; 4],
    tlps: [&'static str; 5],
    /// The classes of transaction that count.
    counted: Vec<usize>,
    /// `[code, message, remedy, whether functions count as apart if it leaves that undetermined]`
    reasons: Vec<(&'static str, String, &'static str, bool)>,
    /// How many classes there are.
    class_count: usize,
    /// Whether there are so many that classes of one label are put together.
    by_label: bool,
    /// Label, members in words, how many: of each class, or of each label.
    classes: Vec<(&'static str, String, usize)>,
    cells: Vec<CellRow>,
    /// Whether the routes of all pairs are there.
    all_pairs: bool,
    /// Pairs that were to be shown, and are not.
    left_out: usize,
    pairs: Vec<PairRow>,
    functions: Table,
    /// `[disposition, reason, [hop], [gate], requester ID that arrives, who accepted it]`
    routes: Table,
    /// `[function, rule, decision, reason, [evidence]]`
    hops: Table,
    /// `[function, gate, open]`
    gates: Table,
    /// `[function, text]`
    evidence: Table,
    texts: Table,
    #[serde(skip)]
    pair_of: BTreeMap<(FunctionIndex, FunctionIndex), usize>,
}

/// What is between two classes: `[from, to, relation, disposition, class of transaction, reason,
/// impersonation, cells, isolated cells, pair, who accepted it]`, of the least safe cell if they are several.
/// Impersonation: 0 no, 1 yes, 2 not known. The last two are one more than an index, 0 is none.
type CellRow = [usize; 11];

/// `[from, to, [route], impersonation, scope of the initiator in words, the kernel's p2pdma in words]`; a
/// route for each class of transaction.
type PairRow = (usize, usize, Vec<usize>, u8, usize, usize);

const DISPOSITIONS: [Disposition; 4] =
    [Disposition::Direct, Disposition::Undetermined, Disposition::Redirected, Disposition::Blocked];
const RELATIONS: [Relation; 3] = [Relation::SameDevice, Relation::SameBus, Relation::Apart];

fn position<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter().position(|other| other == one).unwrap_or_default()
}

/// The order in which cells are dangerous: those that let something pass first, then those of which it is not
/// known, then those that only an assumption closes.
fn danger(inputs: &Inputs<'_>, cell: &Cell) -> (u8, Disposition) {
    let rank = match (cell.disposition, cell.impersonation) {
        (Disposition::Direct, _) | (_, Some(true)) => 0,
        (_, None) => 1,
        (Disposition::Undetermined, _) => {
            if inputs.assumptions().merges(Disposition::Undetermined, cell.reason) { 1 } else { 2 }
        }
        (Disposition::Redirected | Disposition::Blocked, _) => 3,
    };
    (rank, cell.disposition)
}

impl Reach {
    pub(super) fn new(inputs: &Inputs<'_>, matrix: Result<&Matrix, usize>) -> Self {
        let reason = |reason: &Reason| {
            let assumed = !inputs.assumptions().merges(Disposition::Undetermined, *reason);
            (reason.code(), reason.to_string(), words::remedy(*reason), assumed)
        };
        let mut reach = Self {
            relations: RELATIONS.map(Relation::word),
            dispositions: DISPOSITIONS.map(Disposition::word),
            tlps: TlpClass::ALL.map(TlpClass::words),
            counted: inputs.assumptions().counted().map(|class| position(&TlpClass::ALL, &class)).collect(),
            reasons: Reason::ALL.iter().map(reason).collect(),
            ..Self::default()
        };
        let functions = 0..inputs.topology().functions().len();
        let ends = functions.filter(|index| inputs.fabric().initiates(*index));
        let ends: Vec<FunctionIndex> = ends.take(MAX_ENDS.saturating_add(1)).collect();
        if ends.len() <= MAX_ENDS {
            for from in &ends {
                for to in ends.iter().filter(|to| *to != from) {
                    reach.pair(inputs, *from, *to);
                }
            }
            reach.all_pairs = reach.left_out == 0;
        }
        match matrix {
            Ok(matrix) => reach.matrix(inputs, matrix),
            Err(classes) => reach.class_count = classes,
        }
        reach
    }

    fn matrix(&mut self, inputs: &Inputs<'_>, matrix: &Matrix) {
        self.class_count = matrix.classes.len();
        self.by_label = matrix.classes.len() > MAX_CLASSES;
        let mut end_of: Vec<usize> = (0..matrix.classes.len()).collect();
        if self.by_label {
            let labels: BTreeSet<Label> = matrix.classes.iter().map(|class| class.label).collect();
            let labels: Vec<Label> = labels.into_iter().collect();
            end_of = matrix.classes.iter().map(|class| position(&labels, &class.label)).collect();
            for label in labels {
                let of = || matrix.classes.iter().filter(|class| class.label == label);
                let members = of().map(|class| class.members.len()).sum();
                let classes = of().count();
                let classes =
                    if classes == 1 { String::from("1 class") } else { format!("{classes} classes") };
                self.classes.push((label.word(), classes, members));
            }
        } else {
            for class in &matrix.classes {
                let members = ranges(inputs.topology(), &class.members);
                self.classes.push((class.label.word(), members, class.members.len()));
            }
        }
        // The least safe of the cells that are put together stands for them.
        let mut cells: BTreeMap<(usize, usize, Relation), (&Cell, usize, usize)> = BTreeMap::new();
        for cell in &matrix.cells {
            let (Some(from), Some(to)) = (end_of.get(cell.from), end_of.get(cell.to)) else { continue };
            let entry = cells.entry((*from, *to, cell.relation)).or_insert((cell, 0, 0));
            if danger(inputs, cell) < danger(inputs, entry.0) {
                entry.0 = cell;
            }
            entry.1 = entry.1.saturating_add(1);
            entry.2 = entry.2.saturating_add(usize::from(cell.isolates()));
        }
        // If not all can have their routes on the page, the dangerous ones do.
        let mut cells: Vec<_> = cells.into_iter().collect();
        cells.sort_by_key(|(_, (cell, ..))| danger(inputs, cell));
        for ((from, to, relation), (cell, cells, isolated)) in cells {
            let pair = self.pair(inputs, cell.pair.0, cell.pair.1);
            let accepted = accepted_cell(&inputs.view.reach, matrix, cell);
            let accepted = accepted.map(|accepted| self.texts.add(&accepted.to_string()));
            self.cells.push([
                from,
                to,
                position(&RELATIONS, &relation),
                position(&DISPOSITIONS, &cell.disposition),
                position(&TlpClass::ALL, &cell.tlp),
                position(Reason::ALL, &cell.reason),
                cell.impersonation.map_or(2, usize::from),
                cells,
                isolated,
                pair.map_or(0, |pair| pair.saturating_add(1)),
                accepted.map_or(0, |text| text.saturating_add(1)),
            ]);
        }
    }

    /// The routes from one function to another, one for each class of transaction; `None` if there are too
    /// many already.
    fn pair(&mut self, inputs: &Inputs<'_>, from: FunctionIndex, to: FunctionIndex) -> Option<usize> {
        if let Some(known) = self.pair_of.get(&(from, to)) {
            return Some(*known);
        }
        if self.pairs.len() >= MAX_PAIRS || self.bytes() >= ROUTES {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        let (fabric, assumptions) = (inputs.fabric(), inputs.assumptions());
        let routes = TlpClass::ALL.iter().map(|class| fabric.trace(from, to, *class, assumptions));
        let routes = routes.map(|route| self.route(inputs, &route)).collect();
        let forges = fabric.impersonation(from, to, assumptions);
        let mapping = p2pdma::mapping(inputs.topology(), fabric.database(), to, from);
        let guessed = if mapping.guessed { " (as far as the dump tells)" } else { "" };
        let p2pdma = format!(
            "{}, distance {}: {}{guessed}",
            mapping.map_type.word(),
            mapping.distance,
            words::p2pdma(inputs.topology(), &mapping)
        );
        let forgery = match forges {
            None => 0,
            Some(why) if why.is_unproven() => 2,
            Some(_) => 1,
        };
        let accepted =
            forges.and_then(|why| inputs.view.reach.accepted.of_impersonation(fabric, (from, to), why));
        let accepted = accepted.map(|accepted| format!("; {accepted}")).unwrap_or_default();
        let scope = format!("{}{accepted}", words::scope(fabric, from, to, forges));
        let next = self.pairs.len();
        self.pairs.push((
            self.functions.add(&address(inputs.topology(), from)),
            self.functions.add(&address(inputs.topology(), to)),
            routes,
            forgery,
            self.texts.add(&scope),
            self.texts.add(&p2pdma),
        ));
        self.pair_of.insert((from, to), next);
        Some(next)
    }

    fn route(&mut self, inputs: &Inputs<'_>, route: &Route) -> usize {
        let topology = inputs.topology();
        let mut hops = Vec::with_capacity(route.hops.len());
        for hop in &route.hops {
            let evidence = self.evidence(&hop.evidence);
            let function = self.functions.add(&address(topology, hop.function));
            let reason = hop.decision.reason().map(|reason| position(Reason::ALL, &reason));
            hops.push(self.hops.add(&(function, hop.rule.code(), hop.decision.word(), reason, evidence)));
        }
        let mut gates = Vec::with_capacity(route.gates.len());
        for gate in &route.gates {
            let function = self.functions.add(&address(topology, gate.function));
            gates.push(self.gates.add(&(function, gate.kind.word(), gate.open)));
        }
        self.routes.add(&(
            position(&DISPOSITIONS, &route.disposition),
            position(Reason::ALL, &route.reason),
            hops,
            gates,
            route.substituted_requester.map(|requester| requester.to_string()),
            inputs.view.reach.accepted.of_route(route).map(ToString::to_string),
        ))
    }

    /// Indices of pieces of evidence.
    pub(super) fn evidence(&mut self, evidence: &[Evidence]) -> Vec<usize> {
        let mut indices = Vec::with_capacity(evidence.len());
        for one in evidence {
            let function = self.functions.add(&one.function().to_string());
            indices.push(self.evidence.add(&(function, one.to_string())));
        }
        indices
    }

    fn bytes(&self) -> usize {
        [&self.routes, &self.hops, &self.gates, &self.evidence, &self.texts, &self.functions]
            .iter()
            .fold(self.pairs.len().saturating_mul(40), |sum, table| sum.saturating_add(table.bytes()))
    }
}
