//! Questions about every device of a machine: what the domains answer alone is what pairs answer.

use std::collections::BTreeSet;

use acsscan::db::{Database, Date};
use acsscan::route::accept::Acceptances;
use acsscan::route::check::{Assignment, Cause, Policy, Survey, Unknown};
use acsscan::route::domains::Domains;
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::{Grouping, Linux};
use acsscan::testkit::engines::all_assumptions;
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::topology::{FunctionIndex, Topology};
use proptest::prelude::*;

/// Nothing is accepted on any day.
pub(super) const TODAY: Date = Date { year: 2026, month: 1, day: 1 };

/// The devices that are asked about: slots without bridges.
pub(super) fn devices(topology: &Topology) -> Vec<Vec<FunctionIndex>> {
    let functions = topology.functions();
    let own = |index: &FunctionIndex| topology.in_slot(*index).next() == Some(*index);
    let slots = (0..functions.len()).filter(own).map(|index| topology.in_slot(index).collect::<Vec<_>>());
    slots.filter(|slot| !slot.iter().any(|index| functions[*index].is_bridge())).collect()
}

/// The verdict, what is objected for certain, and the first objection.
type Answer = (&'static str, BTreeSet<(bool, Cause)>, Option<(bool, Cause)>);

fn answer(assignment: &Assignment<'_>, policy: Policy, linux: &Linux<'_>, grouping: &Grouping) -> Answer {
    let judgement = assignment.judge(policy, linux, grouping);
    let causes = || judgement.objections.iter().map(|objection| (objection.certain, objection.cause));
    let verdict = judgement.verdict(assignment, false, Unknown::Fail);
    // What is not known beside what is certain is not told of functions one by one.
    let certain = causes().filter(|(certain, _)| *certain).collect();
    (verdict.word(), certain, causes().next())
}

fn assert_alike(topology: &Topology) -> Result<(), TestCaseError> {
    let database = Database::default();
    let accepted = Acceptances::new(topology, &database, TODAY, false);
    let linux = Linux::new(topology, &database);
    let (fabric, grouping) = (Fabric::seen_by(&linux), linux.group());
    for assumptions in all_assumptions() {
        let domains: Domains = fabric.domains(&assumptions);
        let mut survey = Survey::new(&fabric, &domains, &accepted).with_pairs(0);
        for device in devices(topology) {
            let brief = survey.assignment(&device);
            let whole = Assignment::new(&fabric, &domains, &accepted, &device);
            for policy in Policy::ALL {
                let [brief, whole] = [&brief, &whole].map(|a| answer(a, policy, &linux, &grouping));
                prop_assert_eq!(brief, whole, "{:?} {:?}", policy, device);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn domains_alone_answer_as_pairs_do(
        numbers in prop::collection::vec(any::<u32>(), 0..160),
        damaged in any::<bool>(),
    ) {
        let shape = Shape { damaged, beyond: damaged, ..Shape::default() };
        assert_alike(&machine(&mut Choices::new(&numbers), shape).topology())?;
    }
}
