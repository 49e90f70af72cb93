//! Where groups and domains disagree: the kind is that of the worst pair that lies across.

use acsscan::db::Database;
use acsscan::route::disagree::{Danger, Disagreement, disagreements};
use acsscan::route::domains::HeldBy;
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::Linux;
use acsscan::route::{Assumptions, Disposition};
use acsscan::testkit::engines::all_assumptions;
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::testkit::{Config, Machine};
use acsscan::topology::Topology;
use proptest::prelude::*;

use super::cases::ALL;

/// The worst between functions of different groups, pair by pair.
fn worst(
    fabric: &Fabric<'_>,
    assumptions: &Assumptions,
    groups: &[Option<usize>],
    found: &Disagreement,
) -> Option<HeldBy> {
    let initiators: Vec<usize> = found.functions.iter().copied().filter(|f| fabric.initiates(*f)).collect();
    let pairs = initiators.iter().flat_map(|s| initiators.iter().map(move |t| (*s, *t)));
    let across = pairs.filter(|(s, t)| groups[*s] != groups[*t]);
    across.filter_map(|(s, t)| between(fabric, s, t, assumptions)).min()
}

fn between(fabric: &Fabric<'_>, s: usize, t: usize, assumptions: &Assumptions) -> Option<HeldBy> {
    let answers = assumptions.counted().map(|class| fabric.disposition(s, t, class, assumptions));
    let answers: Vec<_> = answers.filter(|(what, why)| assumptions.merges(*what, *why)).collect();
    let impersonation = fabric.impersonation(s, t, assumptions);
    if answers.iter().any(|(disposition, _)| *disposition == Disposition::Direct) {
        Some(HeldBy::Direct)
    } else if impersonation.is_some_and(|why| !why.is_unproven()) {
        Some(HeldBy::Impersonation)
    } else if !answers.is_empty() || impersonation.is_some() {
        Some(HeldBy::Unproven)
    } else {
        None
    }
}

/// Each disagreement has the kind of its worst pair, and a pair of that kind that lies across.
fn assert_worst(topology: &Topology, groups: &[Option<usize>]) -> Result<(), TestCaseError> {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    for assumptions in all_assumptions() {
        let domains = fabric.domains(&assumptions);
        for found in disagreements(&fabric, &domains, groups) {
            let worst = worst(&fabric, &assumptions, groups, &found);
            let kind = match worst {
                Some(HeldBy::Direct) => Danger::SeparatedAlthoughDirect,
                Some(HeldBy::Impersonation) => Danger::SeparatedAlthoughImpersonation,
                Some(HeldBy::Unproven) => Danger::SeparatedAlthoughUnproven,
                // Held together through what has no group, or not at all.
                None if found.kind == Danger::SeparatedAlthoughUnproven => continue,
                None => Danger::JoinedAlthoughIsolated,
                Some(other) => {
                    return Err(TestCaseError::fail(format!("{other:?} is no bond that is known here")));
                }
            };
            prop_assert_eq!(found.kind, kind, "{:?} under {:?}", found, assumptions);
            let example = found.example.map(|e| (groups[e.from] != groups[e.to], e.from, e.to, e.held_by));
            if let Some((across, from, to, held_by)) = example {
                prop_assert!(across, "{:?}", found);
                prop_assert_eq!(between(&fabric, from, to, &assumptions), Some(held_by), "{:?}", found);
            }
            prop_assert_eq!(found.example.map(|e| e.held_by), worst, "{:?}", found);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 1500, ..ProptestConfig::default() })]

    #[test]
    fn the_kind_of_a_disagreement_is_that_of_the_worst_pair_across(
        numbers in prop::collection::vec(any::<u32>(), 0..160),
        groups in prop::collection::vec(0_usize..9, 1..24),
        damaged in any::<bool>(),
    ) {
        let shape = Shape { damaged, beyond: damaged, ..Shape::default() };
        let topology = machine(&mut Choices::new(&numbers), shape).topology();
        let linux = Linux::new(&topology, &Database::default()).group().group_of;
        assert_worst(&topology, &linux)?;
        let count = topology.functions().len();
        // Every so often one without a group.
        let group = |group: &usize| (*group < 8).then_some(*group);
        let any: Vec<Option<usize>> = groups.iter().cycle().take(count).map(group).collect();
        assert_worst(&topology, &any)?;
    }
}

fn disagree(topology: &Topology) -> Vec<Disagreement> {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    let groups = Linux::new(topology, &database).group().group_of;
    disagreements(&fabric, &fabric.domains(&Assumptions::default()), &groups)
}

/// One collapse joins four functions, and its first pair lies inside one of the kernel's groups.
#[test]
fn a_direct_route_across_groups_is_shown_where_the_first_pair_of_a_merge_lies_inside_one() {
    let function = |control| Config::endpoint().multi_function().ari().acs(0x0c, control, 0);
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).ari_forwarding().acs(0x5f, ALL, 0))
        .with("01:00.0", function(0))
        .with("01:00.1", function(0))
        .with("01:01.0", function(0xc))
        .with("01:01.1", function(0xc))
        .topology();
    let groups = Linux::new(&topology, &Database::default()).group().group_of;
    let found = disagree(&topology);
    assert_eq!(found.first().map(|first| first.kind), Some(Danger::SeparatedAlthoughDirect), "{found:?}");
    let example = found[0].example.expect("a pair");
    assert_ne!(groups[example.from], groups[example.to], "{example:?}");
}

/// What one bus may use is another's in a way that is proved; the pair of the merge is below one switch.
#[test]
fn impersonation_across_groups_is_told_as_that() {
    let port = |number, bus, last, control| Config::downstream(number, bus, last).acs(0x5f, control, 0);
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 9).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::upstream(2, 9))
        .with("02:00.0", port(0, 3, 7, ALL & !1))
        .with("02:01.0", port(1, 8, 8, ALL))
        .with("03:00.0", Config::upstream(4, 7))
        .with("04:00.0", port(0, 5, 5, ALL & !1))
        .with("04:01.0", port(1, 6, 6, ALL & !1))
        .with("05:00.0", Config::endpoint())
        .with("06:00.0", Config::endpoint())
        .with("08:00.0", Config::endpoint())
        .topology();
    let found = disagree(&topology);
    assert_eq!(
        found.first().map(|first| first.kind),
        Some(Danger::SeparatedAlthoughImpersonation),
        "{found:?}"
    );
    let groups = Linux::new(&topology, &Database::default()).group().group_of;
    let example = found[0].example.expect("a pair");
    assert_ne!(groups[example.from], groups[example.to], "{example:?}");
}
