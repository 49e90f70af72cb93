//! Two engines: domains against the closure of all pairs.

use std::collections::BTreeMap;

use acsscan::db::Database;
use acsscan::route::fabric::Fabric;
use acsscan::route::port::TlpClass;
use acsscan::route::{Assumptions, Reason, RootComplex};
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::topology::Topology;
use proptest::prelude::*;

/// Labels of the closure of all pairs of initiators, the lowest function of each part.
fn closure(fabric: &Fabric<'_>, assumptions: &Assumptions) -> Vec<usize> {
    let count = fabric.topology().functions().len();
    let mut label: Vec<usize> = (0..count).collect();
    let initiators: Vec<usize> = (0..count).filter(|index| fabric.initiates(*index)).collect();
    for &s in &initiators {
        for &t in &initiators {
            if s == t || label[s] == label[t] {
                continue;
            }
            let merged = assumptions.counted().any(|class| {
                let (disposition, reason) = fabric.disposition(s, t, class, assumptions);
                assumptions.merges(disposition, reason)
            });
            if merged || fabric.may_impersonate(s, t, assumptions) {
                let (keep, drop) = (label[s].min(label[t]), label[s].max(label[t]));
                label.iter_mut().filter(|l| **l == drop).for_each(|l| *l = keep);
            }
        }
    }
    label
}

/// All assumptions under which domains can be asked for.
fn all_assumptions() -> impl Iterator<Item = Assumptions> {
    (0..8).map(|bits| Assumptions {
        hostile: true,
        root_complex: if bits & 1 != 0 { RootComplex::Unknown } else { RootComplex::Isolates },
        count_relaxed_and_io: bits & 2 != 0,
        trust_routing_ids: bits & 4 == 0,
    })
}

/// What differs between the two engines, in words.
pub(super) fn disagreement(topology: &Topology, database: &Database) -> Option<String> {
    let fabric = Fabric::new(topology, database);
    let name = |index: usize| topology.functions()[index].address.to_string();
    for assumptions in all_assumptions() {
        let label = closure(&fabric, &assumptions);
        let domains = fabric.domains(&assumptions);
        let initiators: Vec<usize> = (0..label.len()).filter(|index| fabric.initiates(*index)).collect();
        for &a in &initiators {
            for &b in &initiators {
                let (pairs, one_pass) = (label[a] == label[b], domains.domain_of(a) == domains.domain_of(b));
                if pairs != one_pass && pairs {
                    // The pair that the one pass has missed.
                    for &s in &initiators {
                        for &t in &initiators {
                            if domains.domain_of(s) == domains.domain_of(t) {
                                continue;
                            }
                            for class in assumptions.counted() {
                                let route = fabric.trace(s, t, class, &assumptions);
                                if assumptions.merges(route.disposition, route.reason) {
                                    return Some(format!("missed: {} to {}: {route:?}", name(s), name(t)));
                                }
                            }
                            if fabric.may_impersonate(s, t, &assumptions) {
                                return Some(format!(
                                    "missed: {} as {}, {:?}",
                                    name(s),
                                    name(t),
                                    fabric.scope(s)
                                ));
                            }
                        }
                    }
                }
                if pairs != one_pass {
                    let why: Vec<_> = domains.get(domains.domain_of(a)?)?.why().collect();
                    return Some(format!(
                        "{assumptions:?}: {} and {}: pairs {pairs}, one pass {one_pass}; {why:?}",
                        name(a),
                        name(b)
                    ));
                }
            }
        }
        let members: usize = domains.iter().map(|domain| domain.functions().len()).sum();
        if members != label.len() {
            return Some(format!("{members} functions in domains, {} in all", label.len()));
        }
        for domain in domains.iter() {
            let initiators = domain.functions().filter(|f| fabric.initiates(*f)).count();
            if (initiators > 1) != domain.held_by().is_some() {
                return Some(format!(
                    "{assumptions:?}: {initiators} together, held by {:?}",
                    domain.held_by()
                ));
            }
            let remains = domain.remains();
            let unproven = domain.held_by() == Some(acsscan::route::domains::HeldBy::Unproven);
            if unproven != (remains.len() > 1) {
                return Some(format!("{assumptions:?}: {:?}, remains {remains:?}", domain.held_by()));
            }
        }
    }
    None
}

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
                    *counts.entry(*reason).or_default() += 1;
                }
            }
        }
    }
    counts
}

fn assert_unsettled(topology: &Topology) -> Result<(), TestCaseError> {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn domains_are_the_closure_of_all_pairs(numbers in prop::collection::vec(any::<u32>(), 0..160)) {
        let machine = machine(&mut Choices::new(&numbers), Shape::default());
        let found = disagreement(&machine.topology(), &Database::default());
        prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
    }

    #[test]
    fn pairs_that_only_an_assumption_keeps_apart_are_counted(
        numbers in prop::collection::vec(any::<u32>(), 0..160),
        damaged in any::<bool>(),
    ) {
        let shape = Shape { damaged, ..Shape::default() };
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
