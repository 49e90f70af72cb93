//! A cell of the matrix must be the answer of every pair that it stands for.

use acsscan::db::Database;
use acsscan::route::Assumptions;
use acsscan::route::fabric::Fabric;
use acsscan::route::matrix::Relation;
use acsscan::topology::Topology;

/// The first pair that is answered otherwise than its cell, in words.
pub(super) fn disagreement(topology: &Topology) -> Option<String> {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    let assumptions = Assumptions::default();
    let matrix = fabric.matrix(&[], &assumptions).expect("few classes");
    let mut class_of = vec![None; topology.functions().len()];
    for (id, class) in matrix.classes.iter().enumerate() {
        for member in &class.members {
            class_of[*member] = Some(id);
        }
    }
    let bus = |index: usize| match topology.kind(index) {
        acsscan::topology::Kind::Virtual(physical) => topology.bus_of(physical),
        _ => topology.bus_of(index),
    };
    for from in 0..class_of.len() {
        for to in 0..class_of.len() {
            let (Some(a), Some(b)) = (class_of[from], class_of[to]) else { continue };
            if from == to {
                continue;
            }
            let relation = if fabric.devices().same(from, to) {
                Relation::SameDevice
            } else if bus(from) == bus(to) {
                Relation::SameBus
            } else {
                Relation::Apart
            };
            let cell = matrix.cells.iter().find(|c| (c.from, c.to, c.relation) == (a, b, relation));
            let Some(cell) = cell else {
                return Some(format!("{from} to {to}: no cell {a} {b} {relation:?}"));
            };
            let worst = assumptions
                .counted()
                .map(|class| fabric.disposition(from, to, class, &assumptions).0)
                .min()
                .expect("classes count");
            let impersonation = match fabric.may_impersonate(from, to, &assumptions) {
                true if fabric.scope(from).unproven => None,
                may => Some(may),
            };
            if worst != cell.disposition || impersonation != cell.impersonation {
                let address = |index: usize| topology.functions()[index].address;
                return Some(format!(
                    "{} to {}: {worst}, impersonation {impersonation:?}, the cell says {cell:?}",
                    address(from),
                    address(to)
                ));
            }
        }
    }
    None
}

#[test]
fn a_cell_is_the_answer_of_every_pair_that_it_stands_for() {
    for (name, topology) in super::oracle::sets() {
        assert_eq!(disagreement(&topology), None, "{name}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn a_cell_is_the_answer_of_every_pair_of_any_machine(
        numbers in proptest::collection::vec(proptest::prelude::any::<u32>(), 0..160),
        damaged in proptest::prelude::any::<bool>(),
    ) {
        let topology = super::properties::make(&numbers, damaged).topology();
        let found = disagreement(&topology);
        proptest::prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
    }
}
