//! Two engines: domains against the closure of all pairs.

use std::collections::BTreeMap;

use acsscan::db::{Alias, Claim, Condition, ConditionKind, Database, Entry, Layer, Match};
use acsscan::route::fabric::Fabric;
use acsscan::route::port::TlpClass;
use acsscan::route::{Assumptions, Reason, RootComplex};
use acsscan::testkit::engines::{all_assumptions, disagreement};
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::testkit::{Config, Machine};
use acsscan::topology::Topology;
use proptest::prelude::*;

/// Pairs that only what is not known of root complexes or missing bridges keeps apart, by brute force.
fn unsettled_pairs(fabric: &Fabric<'_>, assumptions: &Assumptions) -> BTreeMap<Reason, u64> {
    let initiators: Vec<usize> =
        (0..fabric.topology().functions().len()).filter(|index| fabric.initiates(*index)).collect();
    let mut counts = BTreeMap::new();
    for (n, &s) in initiators.iter().enumerate() {
        for &t in &initiators[n + 1..] {
            let answers: Vec<_> = assumptions
                .counted()
                .filter(|class| *class != TlpClass::Io)
                .flat_map(|class| [(s, t, class), (t, s, class)])
                .map(|(s, t, class)| fabric.disposition(s, t, class, assumptions))
                .filter(|(disposition, _)| !disposition.isolates())
                .collect();
            if answers.iter().all(|(_, reason)| reason.is_root_complex()) {
                if let Some((_, reason)) = answers.first() {
                    // What is missing is told pair by pair; here it counts as the root complex.
                    let topology = fabric.topology();
                    let root = |f| topology.bus_of(topology.bridges_above(f).last().unwrap_or(f));
                    let reason = match reason {
                        Reason::RootAcsNotKnown if root(s) == root(t) => &Reason::RootComplex,
                        Reason::RootAcsNotKnown => &Reason::OtherHostBridge,
                        reason => reason,
                    };
                    *counts.entry(*reason).or_default() += 1;
                }
            }
        }
    }
    counts
}

pub(super) fn assert_unsettled(topology: &Topology) -> Result<(), TestCaseError> {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    for assumptions in all_assumptions().filter(|a| a.root_complex == RootComplex::Isolates) {
        let counted = fabric.unsettled(&assumptions);
        let mut expected = unsettled_pairs(&fabric, &assumptions);
        for unsettled in &counted {
            prop_assert!(!unsettled.open.is_empty(), "{unsettled:?}");
            prop_assert_eq!(expected.remove(&unsettled.reason), Some(unsettled.pairs), "{:?}", unsettled);
        }
        prop_assert!(expected.is_empty(), "{expected:?} not told, only {counted:?}");
    }
    Ok(())
}

fn alias() -> impl Strategy<Value = Alias> {
    prop_oneof![
        (0..8_u8).prop_map(Alias::FunctionOfSlot),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Alias::Fixed),
        (0..3_u8).prop_map(Alias::FunctionsOfEverySlot),
        Just(Alias::All),
        Just(Alias::Unknown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn domains_are_the_closure_of_all_pairs(numbers in prop::collection::vec(any::<u32>(), 0..160)) {
        let machine = machine(&mut Choices::new(&numbers), Shape::default());
        let found = disagreement(&machine.topology(), &Database::default());
        prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
    }

    #[test]
    fn domains_are_the_closure_where_functions_share_requester_ids(
        numbers in prop::collection::vec(any::<u32>(), 0..160),
        aliases in prop::collection::vec((alias(), 0..4_u8, any::<bool>()), 1..3),
    ) {
        let machine = machine(&mut Choices::new(&numbers), Shape::default());
        let entries = aliases.into_iter().map(|(alias, not_function, conditional)| {
            let mut matches = Match::default();
            matches.not_function = Some(not_function);
            let claim = Claim::RequesterIdAlias(alias);
            let mut entry = Entry::new(Layer::Administrator, "shares", matches, claim, "a letter", "measured");
            let condition = || Condition::new(ConditionKind::Other("firmware".into()), false);
            entry.conditions.extend(conditional.then(condition));
            entry
        });
        let found = disagreement(&machine.topology(), &Database::new(entries.collect()));
        prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
    }

    #[test]
    fn pairs_that_only_an_assumption_keeps_apart_are_counted(
        numbers in prop::collection::vec(any::<u32>(), 0..160),
        damaged in any::<bool>(),
    ) {
        let shape = Shape { damaged, beyond: damaged, ..Shape::default() };
        assert_unsettled(&machine(&mut Choices::new(&numbers), shape).topology())?;
    }

    #[test]
    fn domains_are_the_closure_of_all_pairs_where_parts_are_missing(
        numbers in prop::collection::vec(any::<u32>(), 0..160),
    ) {
        let machine = machine(&mut Choices::new(&numbers), Shape { damaged: true, ..Shape::default() });
        let found = disagreement(&machine.topology(), &Database::default());
        prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
    }
}

#[test]
fn what_does_not_answer_leads_to_no_orphan_of_another_segment() {
    let gone = Config::endpoint().captured(0);
    let machine = Machine::new().with("0001:e9:14.2", gone).with("0000:04:08.4", Config::conventional());
    assert_eq!(disagreement(&machine.topology(), &Database::default()), None);
}

/// Found by fuzzing: 06:00.0 stands on a bus of the port's range that no bridge of the dump leads to.
#[test]
fn what_a_port_lets_through_if_it_checks_it_lets_through_if_it_does_not() {
    let root_port = || Config::root_port(5, 0x10);
    for (what, port) in [
        ("on", root_port().acs(0x5f, 0x1d, 0)),
        ("off", root_port().acs(0x5f, 0x1c, 0)),
        ("absent", root_port()),
        ("not captured", root_port().captured(256)),
    ] {
        let topology = Machine::new()
            .with("00:00.0", Config::conventional().class(0x0600))
            .with("00:01.0", port)
            .with("05:00.0", Config::endpoint())
            .with("06:00.0", Config::endpoint())
            .topology();
        let database = Database::default();
        let fabric = Fabric::new(&topology, &database);
        let [from, to] = ["05:00.0", "06:00.0"].map(|at| topology.index_of(at.parse().unwrap()).unwrap());
        let assumptions = Assumptions::default();
        assert!(fabric.may_impersonate(from, to, &assumptions), "{what}");
        assert!(!fabric.may_impersonate(to, from, &assumptions), "{what}");
        let domains = fabric.domains(&assumptions);
        assert_eq!(domains.domain_of(from), domains.domain_of(to), "{what}");
        assert_eq!(disagreement(&topology, &database), None, "{what}");
    }
}
