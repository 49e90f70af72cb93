//! A cell of the matrix must be the answer of every pair that it stands for.

use std::collections::BTreeMap;

use acsscan::config::ConfigSpace;
use acsscan::db::Database;
use acsscan::function::{Attributes, Inventory, Record, Sink};
use acsscan::route::Assumptions;
use acsscan::route::fabric::Fabric;
use acsscan::route::matrix::Relation;
use acsscan::testkit::generate::{self, Size};
use acsscan::topology::{Kind, Parent, Topology};

/// The bus where a function counts, and the functions on the way up from it, itself first.
fn way_up(topology: &Topology, index: usize) -> Vec<(usize, usize)> {
    let mut way = Vec::new();
    let mut at = index;
    loop {
        let counts = match topology.kind(at) {
            Kind::Virtual(physical) => physical,
            _ => at,
        };
        let bus = topology.bus_of(counts).expect("every function is on a bus");
        way.push((at, bus));
        match topology.bus(bus).expect("a bus").parent {
            Parent::Bridge(bridge) => at = bridge,
            _ => return way,
        }
    }
}

/// How two functions stand to each other, and how many bridges are above where their ways part.
fn stand(fabric: &Fabric<'_>, from: usize, to: usize) -> (Relation, u8) {
    let (s, t) = (way_up(fabric.topology(), from), way_up(fabric.topology(), to));
    let parts = s.iter().rev().zip(t.iter().rev()).take_while(|(s, t)| s.1 == t.1).last();
    let Some((x, y)) = parts else { return (Relation::OtherRootBus, 0) };
    let level = s.iter().rev().position(|step| step.1 == x.1).expect("it is on the way");
    let relation = match (fabric.devices().same(x.0, y.0), (x.0, y.0) == (from, to)) {
        (true, true) => Relation::SameDevice,
        (true, false) => Relation::BridgesOfOneDevice,
        (false, true) => Relation::SameBus,
        (false, false) => Relation::Apart,
    };
    (relation, level as u8)
}

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
    let cells: BTreeMap<_, _> =
        matrix.cells.iter().map(|c| ((c.from, c.to, c.relation, c.level), c)).collect();
    assert_eq!(cells.len(), matrix.cells.len());
    for from in 0..class_of.len() {
        for to in 0..class_of.len() {
            let (Some(a), Some(b)) = (class_of[from], class_of[to]) else { continue };
            if from == to {
                continue;
            }
            let (relation, level) = stand(&fabric, from, to);
            let cell = cells.get(&(a, b, relation, level));
            let Some(cell) = cell else {
                return Some(format!("{from} to {to}: no cell {a} {b} {relation:?} at {level}"));
            };
            let worst = assumptions
                .counted()
                .map(|class| fabric.disposition(from, to, class, &assumptions).0)
                .min()
                .expect("classes count");
            let impersonation = match fabric.impersonation(from, to, &assumptions) {
                Some(why) if why.is_unproven() => None,
                why => Some(why.is_some()),
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

#[test]
fn a_full_segment_and_many_segments_have_a_matrix() {
    for size in [Size::S, Size::L, Size::Xl] {
        let topology = generated(size);
        let database = Database::default();
        let fabric = Fabric::new(&topology, &database);
        let matrix = fabric.matrix(&[], &Assumptions::default()).expect("not too many cells");
        let members: usize = matrix.classes.iter().map(|class| class.members.len()).sum();
        let initiators = (0..topology.functions().len()).filter(|f| fabric.initiates(*f)).count();
        assert_eq!(members, initiators, "{size:?}");
        assert!(matrix.classes.len() < 400, "{size:?}: {}", matrix.classes.len());
    }
    assert_eq!(disagreement(&generated(Size::S)), None);
}

fn generated(size: Size) -> Topology {
    let mut inventory = Inventory::new();
    let mut space = [0; 4096];
    for node in generate::machine(generate::Set::Regular, size, 1) {
        let config = &ConfigSpace::new(node.bytes(1, &mut space));
        inventory.record(Record { address: node.address, config, attributes: Attributes::default() });
    }
    Topology::new(inventory.finish())
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
