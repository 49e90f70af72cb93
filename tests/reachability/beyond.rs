//! What the model names and does not follow: findings where registers show it, and answers that do not
//! pretend to know.

use acsscan::db::{Alias, Claim, Database, Entry, Layer, Match};
use acsscan::finding::{Code, Finding, reach_findings};
use acsscan::route::fabric::Fabric;
use acsscan::route::port::TlpClass::{self, Io, MemoryTranslated, MemoryUntranslated};
use acsscan::route::trace::GateKind;
use acsscan::route::{Assumptions, Disposition, Reason};
use acsscan::testkit::engines::disagreement;
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::testkit::{Config, Machine, port_type};
use acsscan::topology::Topology;
use proptest::prelude::*;

use super::cases::{ALL, ask, index};

const UNDETERMINED: Disposition = Disposition::Undetermined;

fn findings(topology: &Topology) -> Vec<Finding> {
    let database = Database::default();
    reach_findings(&Fabric::new(topology, &database))
}

/// What one finding shows: its functions and its evidence.
fn shown(topology: &Topology, code: Code) -> Option<(Vec<String>, Vec<String>)> {
    let finding = findings(topology).into_iter().find(|finding| finding.code == code)?;
    let functions = finding.functions.iter().map(ToString::to_string).collect();
    Some((functions, finding.evidence.iter().map(ToString::to_string).collect()))
}

/// Two root ports that redirect, with a switch below the first whose ports do so, too.
pub(super) fn portals(change: impl Fn(&str, Config) -> Config) -> Topology {
    let mut machine = Machine::new();
    for (at, config) in [
        ("00:01.0", Config::root_port(1, 4).acs(0x5f, ALL, 0)),
        ("00:02.0", Config::root_port(5, 5).acs(0x5f, ALL, 0)),
        ("01:00.0", Config::upstream(2, 4)),
        ("02:00.0", Config::downstream(1, 3, 3).acs(0x5f, ALL, 0)),
        ("02:01.0", Config::downstream(2, 4, 4).acs(0x5f, ALL, 0)),
        ("03:00.0", Config::endpoint()),
        ("04:00.0", Config::endpoint()),
        ("05:00.0", Config::endpoint()),
    ] {
        machine = machine.with(at, change(at, config));
    }
    machine.topology()
}

/// The topology with one function changed.
pub(super) fn with(at: &'static str, change: impl Fn(Config) -> Config) -> Topology {
    portals(|here, config| if here == at { change(config) } else { config })
}

#[test]
fn below_a_flattening_portal_nothing_is_proved_apart() {
    let topology = with("02:00.0", |port| port.flattening_portal(true, false));
    for (from, to) in [("03:00.0", "04:00.0"), ("04:00.0", "03:00.0"), ("03:00.0", "05:00.0")] {
        let answer = ask(&topology, from, to, MemoryUntranslated);
        assert_eq!(answer, (UNDETERMINED, Reason::FlatteningPortal), "{from} to {to}");
    }
    let beside = ask(&topology, "04:00.0", "05:00.0", MemoryUntranslated);
    assert_eq!(beside.0, Disposition::Redirected, "neither is below it");
    let (functions, evidence) = shown(&topology, Code::FlatteningPortal).expect("a finding");
    assert_eq!(functions, ["0000:02:00.0"]);
    assert_eq!(evidence, ["FPB RID Vector Control 1 at 0x088 reads 0x0001: RID Decode Mechanism Enable+"]);
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let (from, to) = (index(&topology, "03:00.0"), index(&topology, "04:00.0"));
    let route = fabric.trace(from, to, MemoryUntranslated, &Assumptions::default());
    let decisive = route.decisive().expect("one decides");
    assert_eq!(decisive.function, index(&topology, "02:00.0"));
    assert_eq!(decisive.evidence.len(), 1);
    let domains = fabric.domains(&Assumptions::default());
    let of = |at| domains.domain_of(index(&topology, at));
    assert_eq!(of("03:00.0"), of("05:00.0"));
}

#[test]
fn what_goes_directly_goes_so_below_a_flattening_portal_too() {
    let topology = portals(|at, config| match at {
        "02:00.0" => Config::downstream(1, 3, 3).flattening_portal(true, false),
        "02:01.0" => Config::downstream(2, 4, 4),
        _ => config,
    });
    let answer = ask(&topology, "03:00.0", "04:00.0", MemoryUntranslated);
    assert_eq!(answer, (Disposition::Direct, Reason::PortWithoutAcs), "the bus ranges count as before");
}

#[test]
fn a_flattening_portal_that_is_off_changes_nothing() {
    let topology = with("02:00.0", |port| port.flattening_portal(false, false));
    assert_eq!(ask(&topology, "03:00.0", "04:00.0", MemoryUntranslated).0, Disposition::Redirected);
    assert_eq!(shown(&topology, Code::FlatteningPortal), None);
}

#[test]
fn a_flattening_portal_whose_controls_were_not_captured_leaves_what_bus_ranges_cover() {
    let topology = with("02:00.0", |port| port.standard(0xf8, 0x15, &[0; 4]).captured(0x100));
    let off = with("02:00.0", |port| port.captured(0x100));
    let answer = |topology| ask(topology, "04:00.0", "03:00.0", MemoryUntranslated);
    assert_eq!(answer(&topology), answer(&off));
    assert_eq!(shown(&topology, Code::FlatteningPortal), None, "nothing shows that it is in force");
}

/// The bridge itself has no bus numbers, and what is below it is on a bus that nothing else leads to.
#[test]
fn what_no_bus_range_covers_may_be_below_a_flattening_portal() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(0, 0).acs(0x5f, ALL, 0).flattening_portal(true, false))
        .with("00:02.0", Config::root_port(5, 5).acs(0x5f, ALL, 0))
        .with("05:00.0", Config::endpoint())
        .with("08:00.0", Config::endpoint())
        .with("00:03.0", Config::endpoint())
        .with("0001:00:01.0", Config::endpoint())
        .topology();
    for (from, to) in [("08:00.0", "05:00.0"), ("00:03.0", "05:00.0"), ("05:00.0", "08:00.0")] {
        let answer = ask(&topology, from, to, MemoryUntranslated);
        assert_eq!(answer, (UNDETERMINED, Reason::FlatteningPortal), "{from} to {to}");
    }
    let other = ask(&topology, "0001:00:01.0", "05:00.0", MemoryUntranslated);
    assert_eq!(other.1, Reason::BridgeNotInDump, "another segment's numbers are its own");
    assert_eq!(disagreement(&topology, &Database::default()), None);
}

#[test]
fn bus_numbers_that_enhanced_allocation_contradicts_tell_nothing() {
    let fixed = |buses| with("02:00.0", move |port| port.enhanced_allocation(6, Some(buses)));
    // The last has more buses than the registers: what is behind it there is on none of them.
    for buses in [(7, 7), (3, 4)] {
        for to in ["04:00.0", "05:00.0"] {
            let answer = ask(&fixed(buses), "03:00.0", to, MemoryUntranslated);
            assert_eq!(answer, (UNDETERMINED, Reason::EnhancedAllocation), "{buses:?} to {to}");
        }
    }
    let agrees = fixed((3, 3));
    assert_eq!(ask(&agrees, "03:00.0", "05:00.0", MemoryUntranslated).0, Disposition::Redirected);
    let (_, evidence) = shown(&agrees, Code::EnhancedAllocation).expect("a finding");
    assert_eq!(
        evidence,
        [
            "EA Fixed Bus Numbers at 0x0b4 reads 0x0303: buses 03-03",
            "EA Entry at 0x0b8 reads 0x80000062: Enable+, BAR Equivalent Indicator 6"
        ]
    );
}

/// What becomes of a request as configured, and whether the last gate of a kind is open.
fn configured(topology: &Topology, to: &str, class: TlpClass, kind: GateKind) -> (Outcome, Option<bool>) {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    let [from, to] = ["01:00.0", to].map(|at| index(topology, at));
    let route = fabric.trace(from, to, class, &Assumptions::as_configured());
    let gate = route.gates.iter().rfind(|gate| gate.kind == kind).expect("a gate");
    ((route.disposition, route.reason), gate.open)
}

type Outcome = (Disposition, Reason);

/// A conventional bus with a function, and a bridge to bus 2 whose windows are closed; behind it the target.
fn behind(bridge: impl Fn(Config) -> Config, target: Config) -> Topology {
    let closed = Config::conventional().buses(2, 2).command(7).memory_window(0xf80, 0xf8f);
    Machine::new()
        .with("00:02.0", Config::conventional().buses(1, 2).command(7))
        .with("01:00.0", Config::conventional().command(7))
        .with("01:01.0", bridge(closed.dword(0x24, 0x0001_fff1).dword(0x1c, 0xe0f0)))
        .with("02:00.0", target.command(7))
        .topology()
}

fn same(bridge: Config) -> Config {
    bridge
}

#[test]
fn windows_do_not_tell_what_enhanced_allocation_places() {
    let target = || Config::conventional();
    let untranslated = |topology: &Topology, kind| configured(topology, "02:00.0", MemoryUntranslated, kind);
    let (blocked, undetermined) = (Disposition::Blocked, (UNDETERMINED, Reason::EnhancedAllocation));
    let plain = behind(same, target());
    assert_eq!(untranslated(&plain, GateKind::Bar), ((blocked, Reason::NoMemoryBar), Some(false)));
    let placed = behind(same, target().enhanced_allocation(0, None));
    assert_eq!(untranslated(&placed, GateKind::Bar), (undetermined, None));
    assert_eq!(untranslated(&placed, GateKind::Window).1, None);
    let off = behind(same, target().enhanced_allocation(0, None).dword(0xb4, 2));
    assert_eq!(untranslated(&off, GateKind::Bar).0, (blocked, Reason::NoMemoryBar), "not enabled");
    let set = || target().bar(0, 0xf000_0000);
    assert_eq!(untranslated(&behind(same, set()), GateKind::Window).1, Some(false));
    let window = behind(|bridge| bridge.enhanced_allocation(6, Some((0, 0))), set());
    assert_eq!(untranslated(&window, GateKind::Window), (undetermined, None));
}

#[test]
fn a_target_without_bars_that_enhanced_allocation_places_may_have_io() {
    let io = |target| ask(&behind(same, target), "01:00.0", "02:00.0", Io);
    assert_eq!(io(Config::conventional()), (Disposition::Blocked, Reason::NoIoBar));
    let placed = Config::conventional().enhanced_allocation(0, None);
    assert_eq!(io(placed), (UNDETERMINED, Reason::EnhancedAllocation));
}

#[test]
fn windows_do_not_tell_what_vectors_decode() {
    let topology = Machine::new()
        .with("00:01.0", Config::conventional().command(7))
        .with(
            "00:02.0",
            Config::root_port(2, 2).command(7).flattening_portal(false, true).dword(0x20, 0xfff0),
        )
        .with("02:00.0", Config::endpoint().command(7).bar(0, 0xf000_0000))
        .topology();
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let [from, to] = ["00:02.0", "02:00.0"].map(|at| index(&topology, at));
    let route = fabric.trace(from, to, MemoryUntranslated, &Assumptions::as_configured());
    assert_eq!((route.disposition, route.reason), (UNDETERMINED, Reason::FlatteningPortal));
    let (_, evidence) = shown(&topology, Code::FlatteningPortal).expect("a finding");
    assert_eq!(
        evidence,
        ["FPB MEM Low Vector Control at 0x090 reads 0x0001: MEM Low Decode Mechanism Enable+"]
    );
}

#[test]
fn subtractive_decode_is_named_where_windows_do_not_cover_the_target() {
    let subtractive = |bridge: Config| bridge.dword(0x08, 0x0604_0100);
    let topology = behind(subtractive, Config::conventional().bar(0, 0xf000_0000));
    let answer = configured(&topology, "02:00.0", MemoryUntranslated, GateKind::Window);
    assert_eq!(answer, ((UNDETERMINED, Reason::SubtractiveDecode), None));
    let covered = behind(subtractive, Config::conventional().bar(0, 0xf810_0000));
    let answer = configured(&covered, "02:00.0", MemoryUntranslated, GateKind::Window);
    assert_eq!(answer.1, Some(true), "a window that leads there does so all the same");
    let (functions, evidence) = shown(&topology, Code::SubtractiveDecode).expect("a finding");
    assert_eq!(functions, ["0000:01:01.0"]);
    assert_eq!(evidence, ["Class Code at 0x009 reads 0x60401: subtractive decode"]);
}

#[test]
fn vga_and_isa_addresses_are_named_where_they_would_decide() {
    let vga = |bridge: Config| bridge.dword(0x3c, 0x0008_0000);
    let display = || Config::conventional().class(0x0300);
    let answer =
        |bridge: fn(Config) -> Config, target| ask(&behind(bridge, target), "01:00.0", "02:00.0", Io);
    assert_eq!(answer(same, display()), (Disposition::Blocked, Reason::NoIoBar));
    assert_eq!(answer(vga, display()), (UNDETERMINED, Reason::LegacyForwarding));
    assert_eq!(answer(vga, Config::conventional()), (Disposition::Blocked, Reason::NoIoBar), "no VGA");
    let topology = behind(vga, display());
    let (functions, evidence) = shown(&topology, Code::LegacyForwarding).expect("a finding");
    assert_eq!(functions, ["0000:01:01.0"]);
    assert_eq!(evidence, ["Bridge Control at 0x03e reads 0x0008: VGA+ VGA16- ISA-"]);
    // The window is e000 to efff; of each KiB the first 256 bytes pass.
    let isa = |bridge: Config| bridge.dword(0x1c, 0xe0e0).dword(0x3c, 0x0004_0000);
    let window = |bar| {
        let topology = behind(isa, Config::conventional().bar(0, bar));
        configured(&topology, "02:00.0", Io, GateKind::Window)
    };
    assert_eq!(window(0xe001).1, Some(true));
    assert_eq!(window(0xe101), ((UNDETERMINED, Reason::LegacyForwarding), None));
    assert_eq!(shown(&behind(|b| b.dword(0x3c, 0x0010_0000), display()), Code::LegacyForwarding), None);
}

#[test]
fn ports_that_end_atomic_operations_are_named() {
    let topology = with("02:01.0", |port| port.dword(0x68, 0x80));
    let (functions, evidence) = shown(&topology, Code::AtomicOpEgressBlocking).expect("a finding");
    assert_eq!(functions, ["0000:02:01.0"]);
    assert_eq!(evidence, ["Device Control 2 at 0x068 reads 0x0080: AtomicOp Egress Blocking+"]);
    let endpoint = with("03:00.0", |config| config.dword(0x68, 0x80));
    assert_eq!(shown(&endpoint, Code::AtomicOpEgressBlocking), None, "it is for ports");
}

#[test]
fn functions_that_may_be_non_transparent_bridges_are_named() {
    let functions = |config: Config| {
        let topology = with("05:00.0", move |_| config.clone());
        shown(&topology, Code::NonTransparentBridge)
    };
    let (named, evidence) = functions(Config::endpoint().class(0x0680)).expect("a finding");
    assert_eq!(named, ["0000:05:00.0"]);
    assert_eq!(evidence, ["Class Code at 0x009 reads 0x68000: other bridge, without buses of its own"]);
    assert!(functions(Config::pcie(port_type::ENDPOINT).class(0x0609)).is_some());
    assert_eq!(functions(Config::conventional().class(0x0680)), None, "chipsets have many of these");
    assert_eq!(functions(Config::endpoint()), None);
}

#[test]
fn a_non_transparent_bridge_is_shown_by_entries_about_its_requester_ids_and_by_no_others() {
    let topology = Machine::new().with("00:03.0", Config::endpoint().class(0x0680)).topology();
    let entry = |id: &str, claim| {
        let mut matches = Match::default();
        matches.classes = vec![(6, Some(0x80))];
        Entry::new(Layer::Administrator, id, matches, claim, "a letter", "measured")
    };
    let acs = Claim::DoesNotIsolate;
    let sends = Claim::RequesterIdAlias(Alias::Fixed(vec![8]));
    let database = Database::new(vec![entry("acs", acs), entry("sends", sends)]);
    let fabric = Fabric::new(&topology, &database);
    assert_eq!(fabric.entries_about(index(&topology, "00:03.0")).count(), 2);
    let found = reach_findings(&fabric);
    let found = found.iter().find(|finding| finding.code == Code::NonTransparentBridge).expect("a finding");
    let evidence: Vec<String> = found.evidence.iter().map(ToString::to_string).collect();
    assert_eq!(evidence.len(), 2, "{evidence:?}");
    assert!(evidence[1].contains("sends"), "{evidence:?}");
}

#[test]
fn entries_of_a_card_bus_bridge_begin_where_those_of_other_functions_do() {
    let card_bus = |config: Config| config.dword(0x0c, 0x0002_0000).dword(0x14, 0xb0);
    let config = Config::conventional().enhanced_allocation(0, None);
    let topology = Machine::new().with("00:02.0", card_bus(config)).topology();
    let (_, evidence) = shown(&topology, Code::EnhancedAllocation).expect("a finding");
    assert_eq!(evidence, ["EA Entry at 0x0b4 reads 0x80000002: Enable+, BAR Equivalent Indicator 0"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn domains_are_the_closure_of_all_pairs_where_the_model_does_not_follow(
        numbers in prop::collection::vec(any::<u32>(), 0..160),
        damaged in any::<bool>(),
    ) {
        let machine = machine(&mut Choices::new(&numbers), Shape { damaged, beyond: true, ..Shape::default() });
        let found = disagreement(&machine.topology(), &Database::default());
        prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
    }

    /// What is in force and not followed opens nothing for certain, and keeps nothing apart.
    #[test]
    fn what_is_not_followed_makes_answers_unknown_and_nothing_else(
        numbers in prop::collection::vec(any::<u32>(), 0..120),
        which in any::<prop::sample::Index>(),
        what in 0..3_u8,
        hostile in any::<bool>(),
    ) {
        let before = machine(&mut Choices::new(&numbers), Shape::default());
        let mut after = before.clone();
        let functions = after.functions_mut();
        let at = which.index(functions.len());
        let config = functions[at].1.clone();
        let is_bridge = config.bytes()[0x0e] & 0x7f == 1;
        functions[at].1 = match what {
            0 if is_bridge => config.flattening_portal(true, true),
            1 if is_bridge => config.enhanced_allocation(6, Some((0xfe, 0xfe))),
            _ => config.enhanced_allocation(0, is_bridge.then_some((0, 0))),
        };
        let assumptions = if hostile { Assumptions::default() } else { Assumptions::as_configured() };
        let (before, after) = (before.topology(), after.topology());
        let answers = |topology: &Topology| acsscan::testkit::engines::answers(topology, &assumptions);
        for (old, new) in answers(&before).iter().zip(&answers(&after)) {
            let is_sure = new.0.isolates() && !old.0.isolates() || new.0 == Disposition::Direct && old.0 != new.0;
            prop_assert!(!is_sure, "{old:?} became {new:?}");
            prop_assert!(old.0 != Disposition::Direct || !hostile || new.0 == old.0, "{old:?} became {new:?}");
        }
    }
}

#[test]
fn translated_requests_below_a_flattening_portal_are_blocked_by_nothing_for_certain() {
    let topology = with("02:00.0", |port| port.acs(0x5f, ALL | 2, 0).flattening_portal(true, false));
    let answer = ask(&topology, "03:00.0", "05:00.0", MemoryTranslated);
    assert_eq!(answer, (UNDETERMINED, Reason::FlatteningPortal));
}

#[test]
fn function_0_that_says_it_has_siblings_is_told_where_none_is_in_the_dump() {
    let alone = |machine: Machine| shown(&machine.topology(), Code::MultiFunctionAlone);
    let several = || Config::endpoint().multi_function();
    let function_0 = Machine::new().with("00:02.0", several());
    let (functions, evidence) = alone(function_0.clone()).expect("a finding");
    assert_eq!(functions, ["0000:00:02.0"]);
    assert_eq!(evidence, ["Header Type at 0x00e reads 0x0080: Multi-Function Device+"]);
    assert!(alone(function_0.clone().with("00:03.0", Config::endpoint())).is_some(), "another device");
    for (sibling, config) in [("00:02.1", several()), ("00:02.7", several().captured(0))] {
        assert_eq!(alone(function_0.clone().with(sibling, config)), None, "the sibling is there");
    }
    for silent in [several().captured(0), Config::endpoint()] {
        assert_eq!(alone(Machine::new().with("00:02.0", silent)), None);
    }
    // A device of two functions by ARI, 1 and 8 apart.
    let ari = |other: &str, config: Config| {
        alone(
            Machine::new()
                .with("00:01.0", Config::root_port(1, 1).ari_forwarding())
                .with("01:00.0", several().ari())
                .with(other, config),
        )
    };
    assert_eq!(ari("01:01.0", several().ari()), None);
    assert!(ari("00:03.0", Config::endpoint()).is_some(), "nothing else is on the bus");
}
