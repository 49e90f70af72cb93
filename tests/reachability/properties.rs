//! What holds for every machine.

use acsscan::db::{Database, Date};
use acsscan::route::accept::Acceptances;
use acsscan::route::check::{Assignment, Policy, Unknown, Verdict};
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::Linux;
use acsscan::route::port::TlpClass;
use acsscan::route::trace::Rule;
use acsscan::route::{Assumptions, Reason};
use acsscan::testkit::Machine;
use acsscan::testkit::engines::{answers, turned_round};
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::topology::{Kind, Parent, Topology};
use proptest::prelude::*;

fn both() -> [Assumptions; 2] {
    [Assumptions::default(), Assumptions::as_configured()]
}

pub(super) fn make(numbers: &[u32], damaged: bool) -> Machine {
    machine(&mut Choices::new(numbers), Shape { damaged, beyond: damaged, buses: 12, ..Shape::default() })
}

/// What the specification's policy answers for one function, bytes of its own way up being missing or not.
fn verdict(topology: &Topology, function: usize) -> Verdict {
    let database = Database::default();
    let linux = Linux::new(topology, &database);
    let fabric = Fabric::seen_by(&linux);
    let domains = fabric.domains(&Assumptions::default());
    let today = Date { year: 2026, month: 1, day: 1 };
    let accepted = Acceptances::new(topology, &database, today, false);
    let assignment = Assignment::new(&fabric, &domains, &accepted, &[function]);
    let judgement = assignment.judge(Policy::Spec, &linux, &linux.group());
    let own = topology.bridges_above(function).chain([function]);
    let missing = own.filter_map(|index| topology.function(index)).any(|f| !f.is_complete());
    judgement.verdict(&assignment, missing, Unknown::Fail)
}

fn depth(topology: &Topology, index: usize) -> usize {
    let (mut at, mut depth) = (index, 0);
    loop {
        match topology.parent_of(at) {
            Parent::Bridge(bridge) => {
                at = bridge;
                depth += 1;
            }
            Parent::VirtualFunctions(bus) => at = topology.on_bus(bus).start,
            Parent::Root | Parent::Orphan(_) => return depth,
        }
    }
}

/// Bytes of a function that are left: none, and up to each register that decides.
const LENGTHS: [usize; 12] = [0, 8, 16, 0x1a, 64, 0x42, 0x50, 256, 0x104, 0x108, 0x10a, 0x148];

/// The machine with one function cut, and which.
fn cut(before: &Machine, which: prop::sample::Index, length: usize) -> (Machine, usize) {
    let mut after = before.clone();
    let functions = after.functions_mut();
    let at = which.index(functions.len());
    functions[at].1 = functions[at].1.clone().captured(length);
    (after, at)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn controls_that_isolate_never_make_a_pair_less_isolated(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        which in any::<prop::sample::Index>(),
        control in prop::sample::select(vec![0x01_u16, 0x04, 0x08, 0x10, 0x1d]),
    ) {
        let before = make(&numbers, false);
        let mut after = before.clone();
        let functions = after.functions_mut();
        let at = which.index(functions.len());
        let changed = functions[at].1.enable(control);
        for assumptions in both() {
            let (old, new) = (answers(&before.topology(), &assumptions), answers(&after.topology(), &assumptions));
            for (old, new) in old.iter().zip(&new) {
                // Where egress control alone blocked, redirection has its way.
                let exception = old.1 == Reason::EgressControl && changed & 4 != 0;
                prop_assert!(new.0 >= old.0 || exception, "{old:?} became {new:?}");
            }
        }
        let (old, new) = (before.topology(), after.topology());
        let database = Database::default();
        let (old, new) = (Fabric::new(&old, &database), Fabric::new(&new, &database));
        for s in 0..old.topology().functions().len() {
            for t in 0..old.topology().functions().len() {
                let assumptions = Assumptions::default();
                let fewer = old.may_impersonate(s, t, &assumptions) || !new.may_impersonate(s, t, &assumptions);
                prop_assert!(fewer, "validation gave {s} the ID of {t}");
            }
        }
    }

    #[test]
    fn erased_bytes_take_answers_away_and_never_turn_one_round(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        which in any::<prop::sample::Index>(),
        length in prop::sample::select(LENGTHS.to_vec()),
    ) {
        let before = make(&numbers, false);
        let (after, at) = cut(&before, which, length);
        for assumptions in both() {
            let turned = turned_round(&before.topology(), &after.topology(), &assumptions);
            prop_assert!(turned.is_none(), "{turned:?} after function {at} was cut");
        }
    }

    #[test]
    fn erased_bytes_never_make_a_function_assignable(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        which in any::<prop::sample::Index>(),
        length in prop::sample::select(LENGTHS.to_vec()),
    ) {
        let before = make(&numbers, false);
        let (after, at) = cut(&before, which, length);
        let (before, after) = (before.topology(), after.topology());
        for function in 0..before.functions().len() {
            let (old, new) = (verdict(&before, function), verdict(&after, function));
            let better = old != Verdict::Assignable && new == Verdict::Assignable;
            prop_assert!(!better, "{function}: {old:?} became {new:?} after function {at} was cut");
        }
    }

    #[test]
    fn bus_numbers_change_nothing(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        shift in 1_u8..200,
    ) {
        let machine = make(&numbers, false);
        let has_vfs = machine.clone().functions_mut().iter().any(|(_, config)| config.bytes()[0] == 0xff);
        let shifted = machine.renumbered(|bus| bus + shift);
        let spread = machine.renumbered(|bus| bus * 3);
        let database = Database::default();
        let (topology, shifted, spread) = (machine.topology(), shifted.topology(), spread.topology());
        let mut others = vec![shifted];
        // Virtual functions stand at a distance from their physical one.
        if !has_vfs {
            others.push(spread);
        }
        for other in &others {
            for assumptions in both() {
                prop_assert_eq!(answers(&topology, &assumptions), answers(other, &assumptions));
            }
            let domains = |topology| Fabric::new(topology, &database).domains(&Assumptions::default());
            prop_assert_eq!(domains(&topology), domains(other));
        }
    }

    #[test]
    fn routes_are_bounded_and_say_what_the_answer_says(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        damaged in any::<bool>(),
    ) {
        let topology = make(&numbers, damaged).topology();
        let database = Database::default();
        let fabric = Fabric::new(&topology, &database);
        let count = topology.functions().len();
        for s in 0..count {
            for t in 0..count {
                for class in TlpClass::ALL {
                    for assumptions in both() {
                        let route = fabric.trace(s, t, class, &assumptions);
                        let answer = fabric.disposition(s, t, class, &assumptions);
                        prop_assert_eq!((route.disposition, route.reason), answer);
                        // Two more for what the initiator and the target decide themselves, one for the bridge
                        // that leaves open where they are.
                        let astray = route.hops.iter().filter(|hop| hop.rule == Rule::NotFollowed).count();
                        prop_assert!(astray <= 1);
                        let bound = 2 * depth(&topology, s).max(depth(&topology, t)) + 2 + astray;
                        prop_assert!(route.hops.len() <= bound, "{} hops, {}", route.hops.len(), bound);
                        prop_assert!(!route.hops.is_empty());
                        let isolating = route.disposition.isolates();
                        let decided = route.hops.iter().any(|hop| hop.decision.reason() == Some(route.reason));
                        prop_assert!(decided || !isolating, "{:?} without a hop that says so", route.reason);
                        for hop in &route.hops {
                            // A virtual function's decoding is its physical one's; VGA's addresses are those of
                            // the bridge above that forwards them.
                            let other = match topology.kind(hop.function) {
                                Kind::Virtual(physical) => Some(physical),
                                _ if hop.decision.reason() == Some(Reason::LegacyForwarding) => {
                                    topology.bridges_above(hop.function).next()
                                }
                                _ => None,
                            };
                            let owners = [Some(hop.function), other].map(|owner| topology.address(owner?));
                            let strays = hop.evidence.iter().find(|one| !owners.contains(&Some(one.function())));
                            prop_assert!(strays.is_none(), "{strays:?} with {hop:?}");
                        }
                        if let Some(hop) = route.hops.iter().find(|hop| hop.decision.reason() == Some(route.reason)) {
                            let silent = matches!(route.reason, Reason::SameFunction | Reason::NoMemoryBar | Reason::NoIoBar | Reason::TargetNotCaptured);
                            prop_assert!(silent || !hop.evidence.is_empty(), "{route:?} without evidence");
                        }
                    }
                }
            }
        }
    }
}
