//! Bridges whose bus numbers do not tell all that is below them: whose requester IDs they let through, and that
//! they say nothing of other segments.

use acsscan::addr::Segment;
use acsscan::db::Database;
use acsscan::report::words;
use acsscan::route::domains::{Impersonated, Impersonation};
use acsscan::route::fabric::Fabric;
use acsscan::route::port::TlpClass::MemoryUntranslated;
use acsscan::route::{Assumptions, Disposition, Reason};
use acsscan::testkit::engines::disagreement;
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::testkit::{Config, Machine};
use acsscan::topology::Topology;
use proptest::prelude::*;

use super::beyond::with;
use super::cases::{ALL, ask, index};

/// Whether one may use the requester ID of the other, and what is told of it.
fn forged(topology: &Topology, from: &str, to: &str) -> (Option<Impersonation>, String, Vec<String>) {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    let [from, to] = [from, to].map(|at| index(topology, at));
    let why = fabric.impersonation(from, to, &Assumptions::default());
    let evidence = why.map(|why| fabric.impersonation_evidence(from, why)).unwrap_or_default();
    let evidence = evidence.iter().map(ToString::to_string).collect();
    (why, words::scope(&fabric, from, to, why), evidence)
}

const UNPROVEN: Option<Impersonation> =
    Some(Impersonation::NotValidated { missing: Some(Reason::FlatteningPortal) });

#[test]
fn a_flattening_portal_that_validates_may_let_requester_ids_through_that_only_its_vector_names() {
    let topology = with("02:00.0", |port| port.flattening_portal(true, false));
    let (why, words, evidence) = forged(&topology, "03:00.0", "04:00.0");
    assert_eq!(why, UNPROVEN);
    assert!(words.contains("whether the other's is among them is not known"), "{words}");
    assert_eq!(evidence, ["FPB RID Vector Control 1 at 0x088 reads 0x0001: RID Decode Mechanism Enable+"]);
    // The root port above validates, too, and has the buses of its range only.
    let (why, words, _) = forged(&topology, "03:00.0", "05:00.0");
    assert_eq!(why, None);
    assert!(
        words.contains("and perhaps more") && words.ends_with("the other's is not among them"),
        "{words}"
    );
    // The port that checks the other is none.
    assert_eq!(forged(&topology, "04:00.0", "03:00.0").0, None);
    let fabric = Fabric::new(&topology, &NO_ENTRIES);
    let scope = fabric.scope(index(&topology, "03:00.0"));
    assert_eq!(scope.impersonated, Impersonated::BusesOf(index(&topology, "02:00.0")));
    assert_eq!(scope.beyond, Some(Reason::FlatteningPortal));
    // What is off lets nothing else through.
    let off = with("02:00.0", |port| port.flattening_portal(false, true));
    assert_eq!(forged(&off, "03:00.0", "04:00.0").0, None);
}

#[test]
fn a_root_port_that_is_a_flattening_portal_may_let_any_requester_id_of_its_segment_through() {
    for controls in [ALL, ALL & !1] {
        let topology = Machine::new()
            .with("00:01.0", Config::root_port(1, 1).acs(0x5f, controls, 0).flattening_portal(true, false))
            .with("00:02.0", Config::root_port(2, 2).acs(0x5f, ALL, 0))
            .with("01:00.0", Config::endpoint())
            .with("02:00.0", Config::endpoint())
            .with("0001:00:01.0", Config::root_port(2, 2).acs(0x5f, ALL, 0))
            .with("0001:02:00.0", Config::endpoint())
            .topology();
        assert_eq!(forged(&topology, "01:00.0", "02:00.0").0, UNPROVEN);
        assert_eq!(forged(&topology, "01:00.0", "0001:02:00.0").0, None);
    }
}

#[test]
fn a_requester_id_of_the_bus_range_of_a_flattening_portal_is_let_through_for_certain() {
    let topology = with("02:00.0", |port| port.flattening_portal(true, false));
    let fabric = Fabric::new(&topology, &NO_ENTRIES);
    let from = index(&topology, "03:00.0");
    let mut machine = Machine::new();
    for (address, config) in [
        ("00:01.0", Config::root_port(1, 2).acs(0x5f, ALL, 0).flattening_portal(true, false)),
        ("01:00.0", Config::pcie(7).buses(2, 2)),
        ("02:00.0", Config::conventional()),
        ("02:01.0", Config::conventional()),
    ] {
        machine = machine.with(address, config);
    }
    assert!(fabric.scope(from).beyond.is_some());
    let topology = machine.topology();
    let (why, ..) = forged(&topology, "02:00.0", "02:01.0");
    assert_eq!(why, Some(Impersonation::NotValidated { missing: None }));
}

#[test]
fn bus_numbers_that_do_not_tell_say_nothing_of_another_segment() {
    let segment = |at: u32, portal: bool| {
        let port = |bus| Config::root_port(bus, bus).acs(0x5f, ALL, 0);
        let first = if portal { port(1).flattening_portal(true, false) } else { port(1) };
        [
            (format!("{at:04x}:00:01.0"), first),
            (format!("{at:04x}:00:02.0"), port(2)),
            (format!("{at:04x}:01:00.0"), Config::endpoint()),
            (format!("{at:04x}:02:00.0"), Config::endpoint()),
        ]
    };
    let mut machine = Machine::new();
    for (address, config) in [segment(0, true), segment(1, false)].into_iter().flatten() {
        machine = machine.with(&address, config);
    }
    let topology = machine.topology();
    let answer = |from, to| ask(&topology, from, to, MemoryUntranslated);
    assert_eq!(answer("01:00.0", "02:00.0").1, Reason::FlatteningPortal);
    for to in ["0001:01:00.0", "0001:02:00.0"] {
        assert_eq!(answer("01:00.0", to).0, Disposition::Redirected, "{to}");
        assert_eq!(answer(to, "01:00.0").0, Disposition::Redirected, "{to}");
    }
    let fabric = Fabric::new(&topology, &NO_ENTRIES);
    let domains = fabric.domains(&Assumptions::default());
    let of = |at| domains.domain_of(index(&topology, at));
    assert_eq!(of("01:00.0"), of("02:00.0"));
    let own = ["01:00.0", "0001:01:00.0", "0001:02:00.0"].map(of);
    assert!(own[0] != own[1] && own[1] != own[2] && own[0] != own[2], "{own:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    /// Domains, what is counted as kept apart by assumption, and the matrix, each against all pairs.
    #[test]
    fn segments_with_and_without_such_bridges_are_answered_alike_by_all_engines(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        other in prop::collection::vec(any::<u32>(), 0..120),
        damaged in any::<bool>(),
    ) {
        let shape = Shape { buses: 9, damaged, beyond: true, ..Shape::default() };
        let mut both = machine(&mut Choices::new(&numbers), shape);
        for (mut address, config) in machine(&mut Choices::new(&other), shape).functions_mut().drain(..) {
            address.segment = Segment(1);
            both.add(address, config);
        }
        let topology = both.topology();
        let found = disagreement(&topology, &NO_ENTRIES).or_else(|| super::matrix::disagreement(&topology));
        prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
        super::engines::assert_unsettled(&topology)?;
    }
}

static NO_ENTRIES: std::sync::LazyLock<Database> = std::sync::LazyLock::new(Database::default);
