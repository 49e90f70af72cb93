//! Two states of a machine: what changed is told, bus numbers are not a change, and causes are causes.
#![cfg(all(feature = "std", feature = "testkit"))]

use std::collections::BTreeSet;

use acsscan::db::Database;
use acsscan::diff::{Diff, State, diff};
use acsscan::finding;
use acsscan::route::Assumptions;
use acsscan::route::effect::effects;
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::Linux;
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::testkit::{Config, Machine};
use acsscan::topology::Topology;
use proptest::prelude::*;

fn compare(old: &Topology, new: &Topology) -> Diff {
    let database = Database::default();
    let assumptions = Assumptions::default();
    let fabrics = [old, new].map(|topology| Fabric::new(topology, &database));
    let domains = fabrics.each_ref().map(|fabric| fabric.domains(&assumptions));
    let groupings = [old, new].map(|topology| Linux::new(topology, &database).group());
    let findings = fabrics.each_ref().map(|fabric| {
        let mut found = finding::findings(fabric.topology());
        found.extend(finding::reach_findings(fabric));
        found
    });
    let state = |n: usize| State {
        fabric: &fabrics[n],
        domains: &domains[n],
        grouping: &groupings[n],
        findings: &findings[n],
    };
    diff(&state(0), &state(1))
}

/// A switch with three ports, all redirecting.
fn switch() -> Machine {
    let mut machine = Machine::new()
        .with("00:01.0", Config::root_port(1, 5).acs(0x001f, 0x001d, 0))
        .with("01:00.0", Config::upstream(2, 5));
    for n in 1..=3_u8 {
        let port = Config::downstream(n, n + 2, n + 2).acs(0x001f, 0x001d, 0);
        machine = machine.with(&format!("02:{n:02x}.0"), port);
    }
    for n in 3..=5 {
        machine = machine.with(&format!("{n:02x}:00.0"), Config::endpoint().ids(0x10de, 0x2000 + n));
    }
    machine
}

#[test]
fn a_changed_domain_names_the_register_that_caused_it_and_no_other() {
    let old = switch().topology();
    let mut changed = switch();
    for (address, config) in changed.functions_mut() {
        match address.to_string().as_str() {
            "0000:02:01.0" => *config = Config::downstream(1, 3, 3).acs(0x001f, 0x0019, 0),
            // Translation Blocking changes no domain.
            "0000:02:03.0" => *config = Config::downstream(3, 5, 5).acs(0x001f, 0x001f, 0),
            _ => {}
        }
    }
    let new = changed.topology();
    let found = compare(&old, &new);
    assert!(!found.is_alike());
    assert_eq!(found.registers.len(), 2, "{:?}", found.registers);
    let [domain] = found.domains.as_slice() else { panic!("{:?}", found.domains) };
    assert!(domain.cause.each_alone);
    let causes: Vec<_> = domain.cause.registers.iter().map(|n| &found.registers[*n]).collect();
    assert_eq!(causes.len(), 1);
    assert_eq!(new.functions()[causes[0].after].address.to_string(), "0000:02:01.0");
    assert_eq!(causes[0].was, "0x001d ReqRedir+");
    assert_eq!(causes[0].is, "0x0019 ReqRedir-");
    assert!(
        found.findings.iter().any(|change| change.appeared && change.code.as_str() == "request-redirect-off")
    );
    let pairs = found.pairs.as_ref().expect("few classes");
    let opened: u64 = pairs.iter().filter(|effect| effect.opens()).map(|effect| effect.pairs).sum();
    assert_eq!(opened, 2, "from the device below the port to the two others: {pairs:?}");
}

#[test]
fn what_came_went_moved_and_was_replaced_is_told_apart() {
    let old = switch().topology();
    let mut changed = switch();
    let functions = changed.functions_mut();
    functions.retain(|(address, _)| address.to_string() != "0000:03:00.0");
    for (address, config) in functions.iter_mut() {
        match address.to_string().as_str() {
            "0000:04:00.0" => *config = Config::endpoint().ids(0x8086, 0x1533),
            // What stood below the first port is now function 1 of a device of the third.
            "0000:05:00.0" => *config = config.clone().multi_function(),
            _ => {}
        }
    }
    let changed = changed.with("05:00.1", Config::endpoint().ids(0x15b3, 0x1017));
    let new = changed.topology();
    let found = compare(&old, &new);
    let at = |topology: &Topology, index: usize| topology.functions()[index].address.to_string();
    assert_eq!(found.matching.removed.iter().map(|i| at(&old, *i)).collect::<Vec<_>>(), ["0000:03:00.0"]);
    assert_eq!(found.matching.added.iter().map(|i| at(&new, *i)).collect::<Vec<_>>(), ["0000:05:00.1"]);
    assert_eq!(found.matching.replaced.len(), 1);
    let mut moved = switch();
    for (address, _) in moved.functions_mut() {
        if address.to_string() == "0000:03:00.0" {
            *address = "00:03.0".parse().expect("an address");
        }
    }
    let found = compare(&old, &moved.topology());
    assert_eq!(found.matching.moved.len(), 1);
    assert!(found.matching.added.is_empty() && found.matching.removed.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bus_numbers_are_no_difference(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        shift in 1_u8..200,
        damaged in any::<bool>(),
    ) {
        let machine = machine(&mut Choices::new(&numbers), Shape { damaged, buses: 12, ..Shape::default() });
        let other = machine.renumbered(|bus| bus + shift);
        let found = compare(&machine.topology(), &other.topology());
        prop_assert!(found.is_alike(), "{found:?}");
        let same = compare(&machine.topology(), &machine.topology());
        prop_assert!(same.is_alike(), "{same:?}");
    }

    #[test]
    fn effects_over_classes_are_those_of_all_pairs(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 1..4),
        damaged in any::<bool>(),
    ) {
        let machine = machine(&mut Choices::new(&numbers), Shape { damaged, buses: 12, ..Shape::default() });
        let old = machine.topology();
        let mut new = old.clone();
        for (which, control) in changes {
            let index = which.index(new.functions().len());
            if let Some(mut registers) = new.inventory().acs_registers(index) {
                registers.control = acsscan::cap::acs::AcsControl::from_bits_retain(control);
                new.set_acs_registers(index, registers);
            }
        }
        let database = Database::default();
        let (before, after) = (Fabric::new(&old, &database), Fabric::new(&new, &database));
        let assumptions = Assumptions::default();
        let count = old.functions().len();
        let places: Vec<Option<usize>> = (0..count).map(Some).collect();
        let found = effects(&before, &after, &places, &assumptions).expect("few classes");
        let mut told = BTreeSet::new();
        for effect in &found {
            let pairs: Vec<_> = effect.each(&after).collect();
            prop_assert_eq!(pairs.len() as u64, effect.pairs);
            for (s, t) in pairs {
                for turn in &effect.turns {
                    prop_assert!(told.insert((s, t, turn.tlp, turn.before.0, turn.after.0)));
                }
            }
        }
        let mut expected = BTreeSet::new();
        let initiators: Vec<usize> = (0..count).filter(|index| after.initiates(*index)).collect();
        for s in &initiators {
            for t in initiators.iter().filter(|t| *t != s) {
                for tlp in assumptions.counted() {
                    let was = before.disposition(*s, *t, tlp, &assumptions).0;
                    let is = after.disposition(*s, *t, tlp, &assumptions).0;
                    if was != is {
                        expected.insert((*s, *t, tlp, was, is));
                    }
                }
            }
        }
        prop_assert_eq!(told, expected);
    }
}
