//! Cases worked by hand: where a transaction goes.

use Disposition::{Blocked, Direct, Redirected, Undetermined};
use acsscan::addr::RequesterId;
use acsscan::db::Database;
use acsscan::route::evidence::Evidence;
use acsscan::route::fabric::Fabric;
use acsscan::route::port::TlpClass::{
    self, Completion, CompletionRelaxed, Io, MemoryTranslated, MemoryUntranslated,
};
use acsscan::route::trace::Rule;
use acsscan::route::{Assumptions, Disposition, Reason};
use acsscan::testkit::{Config, Machine, port_type};
use acsscan::topology::Topology;

/// Source Validation, Request Redirect, Completion Redirect, Upstream Forwarding.
pub(super) const ALL: u16 = 0x1d;
const TB: u16 = 0x02;
const RR: u16 = 0x04;
pub(super) const CR: u16 = 0x08;
const UF: u16 = 0x10;
const EC: u16 = 0x20;
const DT: u16 = 0x40;

pub(super) type Answer = (Disposition, Reason);

pub(super) fn ask_as(
    topology: &Topology,
    from: &str,
    to: &str,
    class: TlpClass,
    assumptions: &Assumptions,
) -> Answer {
    let database = Database::default();
    ask_with(topology, &database, from, to, class, assumptions)
}

pub(super) fn ask_with(
    topology: &Topology,
    database: &Database,
    from: &str,
    to: &str,
    class: TlpClass,
    assumptions: &Assumptions,
) -> Answer {
    let fabric = Fabric::new(topology, database);
    let [from, to] = [from, to].map(|at| index(topology, at));
    let answer = fabric.disposition(from, to, class, assumptions);
    let route = fabric.trace(from, to, class, assumptions);
    assert_eq!((route.disposition, route.reason), answer, "the route says what the answer says");
    answer
}

pub(super) fn ask(topology: &Topology, from: &str, to: &str, class: TlpClass) -> Answer {
    ask_as(topology, from, to, class, &Assumptions::default())
}

pub(super) fn index(topology: &Topology, at: &str) -> usize {
    topology.index_of(at.parse().expect("an address")).expect("in the machine")
}

/// Endpoints 03:00.0 and 04:00.0 below ports 1 and 2 of a switch below root port 00:01.0.
pub(super) fn switch(first: impl Fn(Config) -> Config, root: u16) -> Topology {
    let full = |config: Config| config.acs(0x5f, ALL, 0);
    Machine::new()
        .with("00:01.0", Config::root_port(1, 4).acs(0x5f, root, 0))
        .with("01:00.0", Config::upstream(2, 4).bar(0, 0xf000_0000))
        .with("02:00.0", first(Config::downstream(1, 3, 3)))
        .with("02:01.0", full(Config::downstream(2, 4, 4)))
        .with("03:00.0", Config::endpoint())
        .with("04:00.0", Config::endpoint())
        .topology()
}

fn first_port(capability: u16, control: u16, vector: u32) -> Topology {
    switch(|port| port.acs(capability, control, vector), ALL)
}

fn between(topology: &Topology, class: TlpClass) -> Answer {
    ask(topology, "03:00.0", "04:00.0", class)
}

#[test]
fn switch_ports_without_acs_route_peers_directly() {
    let without = switch(|port| port, ALL);
    for class in [MemoryUntranslated, MemoryTranslated, Completion] {
        assert_eq!(between(&without, class), (Direct, Reason::PortWithoutAcs));
    }
    for class in [MemoryUntranslated, MemoryTranslated] {
        assert_eq!(between(&first_port(0x5f, 0, 0), class), (Direct, Reason::RequestRedirectOff));
    }
}

#[test]
fn each_row_of_the_table_for_requests() {
    // Request Redirect, Egress Control, vector bit of port 2.
    for (control, vector, answer) in [
        (0, 0, (Direct, Reason::RequestRedirectOff)),
        (RR, 0, (Redirected, Reason::RequestRedirect)),
        (EC, !4, (Direct, Reason::EgressAllowed)),
        (EC, 4, (Blocked, Reason::EgressControl)),
        (RR | EC, !4, (Direct, Reason::EgressAllowed)),
        (RR | EC, 4, (Redirected, Reason::EgressRedirect)),
    ] {
        assert_eq!(between(&first_port(0x207f, control, vector), MemoryUntranslated), answer, "{control:#x}");
        assert_eq!(between(&first_port(0x207f, control, vector), MemoryTranslated), answer, "{control:#x}");
    }
}

#[test]
fn direct_translated_lets_translated_requests_through_and_no_others() {
    let topology = first_port(0x5f, ALL | DT, 0);
    assert_eq!(between(&topology, MemoryTranslated), (Direct, Reason::DirectTranslated));
    assert_eq!(between(&topology, MemoryUntranslated), (Redirected, Reason::RequestRedirect));
}

#[test]
fn translation_blocking_wins_over_direct_translated() {
    let topology = first_port(0x5f, ALL | DT | TB, 0);
    assert_eq!(between(&topology, MemoryTranslated), (Blocked, Reason::TranslationBlocking));
}

#[test]
fn translation_blocking_holds_for_redirected_requests_further_up() {
    let topology = switch(|port| port.acs(0x5f, ALL, 0), ALL | TB);
    assert_eq!(between(&topology, MemoryTranslated), (Blocked, Reason::TranslationBlocking));
    assert_eq!(between(&topology, MemoryUntranslated), (Redirected, Reason::RequestRedirect));
}

#[test]
fn completions_are_redirected_by_their_own_control_unless_ordering_is_relaxed() {
    let topology = first_port(0x5f, ALL, 0);
    assert_eq!(between(&topology, Completion), (Redirected, Reason::CompletionRedirect));
    assert_eq!(between(&topology, CompletionRelaxed), (Direct, Reason::RelaxedOrdering));
    let requests_only = first_port(0x5f, ALL & !CR, 0);
    assert_eq!(between(&requests_only, Completion), (Direct, Reason::CompletionRedirectOff));
    assert_eq!(between(&requests_only, MemoryUntranslated).0, Redirected);
}

#[test]
fn upstream_forwarding_off_above_leaves_it_undetermined() {
    let topology = switch(|port| port.acs(0x5f, ALL, 0), ALL & !UF);
    for class in [MemoryUntranslated, MemoryTranslated, Completion] {
        assert_eq!(between(&topology, class), (Undetermined, Reason::UpstreamForwardingOff));
    }
}

#[test]
fn redirect_where_egress_control_alone_blocked_is_up_to_the_port_above() {
    // The one case in which a control that is turned on makes a pair less isolated.
    let uf_off = |control| switch(|port| port.acs(0x207f, control, 4), ALL & !UF);
    assert_eq!(between(&uf_off(EC), MemoryUntranslated), (Blocked, Reason::EgressControl));
    let redirected = between(&uf_off(EC | RR), MemoryUntranslated);
    assert_eq!(redirected, (Undetermined, Reason::UpstreamForwardingOff));
    assert!(redirected.0 < Blocked);
}

#[test]
fn a_vector_that_is_short_or_not_captured_is_undetermined() {
    assert_eq!(
        between(&first_port(0x017f, EC, 0), MemoryUntranslated),
        (Undetermined, Reason::VectorNotKnown)
    );
    let cut = switch(|port| port.acs(0x007f, EC, 0).captured(0x108), ALL);
    assert_eq!(between(&cut, MemoryUntranslated), (Undetermined, Reason::VectorNotKnown));
    // Size 0 means 256 bits.
    assert_eq!(between(&first_port(0x007f, EC, 4), MemoryUntranslated), (Blocked, Reason::EgressControl));
}

#[test]
fn a_port_that_is_not_readable_is_undetermined() {
    let cut = switch(|port| port.acs(0x5f, ALL, 0).captured(256), ALL);
    assert_eq!(between(&cut, MemoryUntranslated), (Undetermined, Reason::AcsNotCaptured));
    let header_only = switch(|port| port.acs(0x5f, ALL, 0).captured(64), ALL);
    assert_eq!(between(&header_only, MemoryUntranslated), (Undetermined, Reason::TypeNotCaptured));
    assert_eq!(between(&first_port(0x5f, 0xffff, 0), Completion), (Undetermined, Reason::ControlAllOnes));
}

#[test]
fn a_control_bit_without_its_capability_bit_has_no_effect() {
    let topology = first_port(0x5b, ALL, 0);
    assert_eq!(between(&topology, MemoryUntranslated), (Direct, Reason::RequestRedirectNotImplemented));
    let fabric_evidence = {
        let database = Database::default();
        let fabric = Fabric::new(&topology, &database);
        let [from, to] = ["03:00.0", "04:00.0"].map(|at| index(&topology, at));
        fabric.trace(from, to, MemoryUntranslated, &Assumptions::default()).hops[0].evidence.clone()
    };
    let registers: Vec<_> = fabric_evidence
        .iter()
        .map(|evidence| match evidence {
            Evidence::Register { register, offset, value, .. } => (*register, *offset, *value),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(registers, [("ACS Control", 0x106, 0x1d), ("ACS Capability", 0x104, 0x5b)]);
}

/// A switch inside a switch: 05:00.0 below the inner one's port, 06:00.0 beside the inner one.
fn nested(inner: u16, outer: u16) -> Topology {
    let port = |number, to, last, control| Config::downstream(number, to, last).acs(0x5f, control, 0);
    Machine::new()
        .with("00:01.0", Config::root_port(1, 7).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::upstream(2, 7))
        .with("02:00.0", port(1, 3, 6, outer))
        .with("02:01.0", port(2, 7, 7, ALL))
        .with("03:00.0", Config::upstream(4, 6))
        .with("04:00.0", port(1, 5, 5, inner))
        .with("04:01.0", port(2, 6, 6, ALL))
        .with("05:00.0", Config::endpoint())
        .with("06:00.0", Config::endpoint())
        .with("07:00.0", Config::endpoint())
        .topology()
}

#[test]
fn in_nested_switches_only_the_port_where_the_ways_part_decides() {
    let to_outer = |inner, outer| ask(&nested(inner, outer), "05:00.0", "07:00.0", MemoryUntranslated);
    assert_eq!(to_outer(ALL, 0), (Direct, Reason::RequestRedirectOff), "the inner port has no choice");
    assert_eq!(to_outer(0, ALL), (Redirected, Reason::RequestRedirect));
    let to_inner = |inner, outer| ask(&nested(inner, outer), "05:00.0", "06:00.0", MemoryUntranslated);
    assert_eq!(to_inner(0, ALL), (Direct, Reason::RequestRedirectOff));
    assert_eq!(to_inner(ALL, ALL & !UF), (Undetermined, Reason::UpstreamForwardingOff));
    assert_eq!(to_inner(ALL, ALL), (Redirected, Reason::RequestRedirect));
}

#[test]
fn a_direct_route_lists_every_hop_once() {
    let topology = nested(ALL, 0);
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let [from, to] = ["05:00.0", "07:00.0"].map(|at| index(&topology, at));
    let route = fabric.trace(from, to, MemoryUntranslated, &Assumptions::default());
    let hops: Vec<_> = route
        .hops
        .iter()
        .map(|hop| (topology.functions()[hop.function].address.bdf.to_string(), hop.rule))
        .collect();
    let expected = [
        ("04:00.0", Rule::Entering),
        ("03:00.0", Rule::Entering),
        ("02:00.0", Rule::Switch),
        ("02:01.0", Rule::Downstream),
    ];
    assert_eq!(hops, expected.map(|(at, rule)| (at.to_string(), rule)));
    let divergence = route.divergence.expect("they part");
    assert_eq!(divergence.ingress, index(&topology, "02:00.0"));
    assert_eq!(divergence.egress, index(&topology, "02:01.0"));
}

pub(super) fn root_ports(second: &str, acs: Option<(u16, u16)>) -> Topology {
    let port = |to| match acs {
        Some((capability, control)) => Config::root_port(to, to).multi_function().acs(capability, control, 0),
        None => Config::root_port(to, to).multi_function(),
    };
    Machine::new()
        .with("00:00.0", Config::conventional().class(0x0600))
        .with("00:01.0", port(1))
        .with(second, port(2))
        .with("01:00.0", Config::endpoint())
        .with("02:00.0", Config::endpoint())
        .topology()
}

pub(super) fn together(topology: &Topology, a: &str, b: &str, assumptions: &Assumptions) -> bool {
    let database = Database::default();
    let domains = Fabric::new(topology, &database).domains(assumptions);
    domains.domain_of(index(topology, a)) == domains.domain_of(index(topology, b))
}

#[test]
fn root_ports_without_acs_in_one_device_and_in_different_slots() {
    let unknown = Assumptions::without_root_complex();
    let apart = root_ports("00:02.0", None);
    assert_eq!(ask(&apart, "01:00.0", "02:00.0", MemoryUntranslated), (Undetermined, Reason::RootComplex));
    assert!(!together(&apart, "01:00.0", "02:00.0", &Assumptions::default()));
    assert!(together(&apart, "01:00.0", "02:00.0", &unknown));
    let one_device = root_ports("00:01.1", None);
    assert_eq!(
        ask(&one_device, "01:00.0", "02:00.0", MemoryUntranslated),
        (Undetermined, Reason::OneRootDevice)
    );
    assert!(together(&one_device, "01:00.0", "02:00.0", &Assumptions::default()));
}

#[test]
fn each_row_for_root_ports() {
    let answer = |capability, control, class| {
        ask(&root_ports("00:02.0", Some((capability, control))), "01:00.0", "02:00.0", class)
    };
    assert_eq!(answer(0x5f, ALL, MemoryUntranslated), (Redirected, Reason::RequestRedirect));
    assert_eq!(answer(0x5f, ALL, Completion), (Redirected, Reason::CompletionRedirect));
    assert_eq!(answer(0x5f, 0, MemoryUntranslated), (Undetermined, Reason::RootComplex));
    assert_eq!(answer(0x5f, ALL | DT, MemoryTranslated), (Undetermined, Reason::RootComplex));
    assert_eq!(answer(0x5f, ALL | TB, MemoryTranslated), (Blocked, Reason::TranslationBlocking));
    assert_eq!(answer(0x03, 0, MemoryUntranslated), (Blocked, Reason::NoPeerSupport));
    assert_eq!(answer(0x03, 0, Completion), (Blocked, Reason::NoPeerSupport));
}

#[test]
fn host_bridges_and_segments_have_a_reason_of_their_own() {
    let topology = Machine::new()
        .with("0000:00:01.0", Config::root_port(1, 1))
        .with("0000:01:00.0", Config::endpoint())
        .with("0000:80:01.0", Config::root_port(0x81, 0x81).acs(0x5f, ALL, 0))
        .with("0000:81:00.0", Config::endpoint())
        .with("0001:00:01.0", Config::root_port(1, 1))
        .with("0001:01:00.0", Config::endpoint())
        .topology();
    let ask = |from, to| ask(&topology, from, to, MemoryUntranslated);
    assert_eq!(ask("0000:01:00.0", "0000:81:00.0"), (Undetermined, Reason::OtherHostBridge));
    assert_eq!(ask("0000:01:00.0", "0001:01:00.0"), (Undetermined, Reason::OtherHostBridge));
    assert_eq!(ask("0000:81:00.0", "0000:01:00.0"), (Redirected, Reason::RequestRedirect));
}

/// Functions 01:00.0 and 01:00.1 of one device.
fn device(acs: impl Fn(Config) -> Config, root: u16) -> Topology {
    Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, root, 0))
        .with("01:00.0", acs(Config::endpoint().multi_function()))
        .with("01:00.1", Config::endpoint())
        .topology()
}

#[test]
fn each_case_inside_a_device() {
    let answer = |acs: &dyn Fn(Config) -> Config, class| ask(&device(acs, ALL), "01:00.0", "01:00.1", class);
    let registers =
        |capability, control, vector| move |config: Config| config.acs(capability, control, vector);
    let without = |config: Config| config;
    assert_eq!(answer(&without, MemoryUntranslated), (Undetermined, Reason::MultiFunctionWithoutAcs));
    let empty = registers(0, 0, 0);
    for class in [MemoryUntranslated, MemoryTranslated, Completion] {
        assert_eq!(answer(&empty, class), (Redirected, Reason::NoInternalPath), "an empty ACS capability");
    }
    assert_eq!(answer(&registers(RR | CR, 0, 0), MemoryUntranslated), (Direct, Reason::RequestRedirectOff));
    assert_eq!(answer(&registers(RR | CR, 0, 0), Completion), (Direct, Reason::CompletionRedirectOff));
    assert_eq!(
        answer(&registers(RR | CR, RR | CR, 0), MemoryUntranslated),
        (Redirected, Reason::RequestRedirect)
    );
    assert_eq!(answer(&registers(RR, RR, 0), Completion), (Redirected, Reason::NoInternalPath));
    let vector = |bit| registers(0x0800 | RR | EC, EC, bit);
    assert_eq!(answer(&vector(2), MemoryUntranslated), (Blocked, Reason::EgressControl));
    assert_eq!(answer(&vector(1), MemoryUntranslated), (Direct, Reason::EgressAllowed));
    let cut = |config: Config| config.acs(0, 0, 0).captured(256);
    assert_eq!(answer(&cut, MemoryUntranslated), (Undetermined, Reason::AcsNotCaptured));
}

#[test]
fn what_leaves_a_device_meets_the_port_above() {
    let answer =
        |root| ask(&device(|config| config.acs(0, 0, 0), root), "01:00.0", "01:00.1", MemoryUntranslated);
    assert_eq!(answer(ALL), (Redirected, Reason::NoInternalPath));
    assert_eq!(answer(ALL & !UF), (Undetermined, Reason::UpstreamForwardingOff));
}

#[test]
fn a_physical_function_and_its_virtual_ones_are_one_device() {
    let machine = |acs: &dyn Fn(Config) -> Config| {
        Machine::new()
            .with("00:01.0", Config::root_port(1, 2).acs(0x5f, ALL, 0).ari_forwarding())
            .with("01:00.0", acs(Config::endpoint().ari().sriov(0xff, 1, 2)))
            .with("01:1f.7", acs(Config::virtual_function()))
            .with("02:00.0", acs(Config::virtual_function()))
            .topology()
    };
    let without = machine(&|config| config);
    let answer = (Undetermined, Reason::MultiFunctionWithoutAcs);
    assert_eq!(ask(&without, "01:00.0", "01:1f.7", MemoryUntranslated), answer);
    assert_eq!(ask(&without, "02:00.0", "01:1f.7", MemoryUntranslated), answer, "spilled onto the next bus");
    let with = machine(&|config| config.acs(0, 0, 0));
    assert_eq!(ask(&with, "02:00.0", "01:00.0", MemoryUntranslated), (Redirected, Reason::NoInternalPath));
    assert!(!together(&with, "02:00.0", "01:1f.7", &Assumptions::default()));
}

#[test]
fn functions_beside_an_upstream_port_are_decided_by_the_ports_own_acs() {
    let machine = |acs: &dyn Fn(Config) -> Config| {
        Machine::new()
            .with("00:01.0", Config::root_port(1, 3).acs(0x5f, ALL, 0))
            .with("01:00.0", acs(Config::upstream(2, 3).multi_function()))
            .with("01:00.1", Config::endpoint().acs(RR | CR, 0, 0))
            .with("02:00.0", Config::downstream(1, 3, 3).acs(0x5f, ALL, 0))
            .with("03:00.0", Config::endpoint())
            .topology()
    };
    let without = machine(&|config| config);
    let with = machine(&|config| config.acs(RR | CR, RR | CR, 0));
    for (from, to) in [("03:00.0", "01:00.1"), ("01:00.1", "03:00.0")] {
        let answer = ask(&without, from, to, MemoryUntranslated);
        assert_eq!(answer, (Undetermined, Reason::MultiFunctionWithoutAcs), "{from} {to}");
        assert_eq!(
            ask(&with, from, to, MemoryUntranslated),
            (Redirected, Reason::RequestRedirect),
            "{from} {to}"
        );
    }
}

#[test]
fn own_bars_of_ports_are_under_the_enhanced_controls() {
    let machine = |capability, control| first_port(capability, control, 0);
    let upstream = |topology: &Topology| ask(topology, "03:00.0", "01:00.0", MemoryUntranslated);
    let own = |topology: &Topology| ask(topology, "03:00.0", "02:00.0", MemoryUntranslated);
    let peer = |topology: &Topology| ask(topology, "03:00.0", "02:01.0", MemoryUntranslated);
    for (code, answer) in [
        (0, (Direct, Reason::MemoryTargetDirect)),
        (1, (Blocked, Reason::MemoryTargetBlock)),
        (2, (Redirected, Reason::MemoryTargetRedirect)),
        (3, (Undetermined, Reason::MemoryTargetReserved)),
    ] {
        let dsp = machine(0xdf, ALL | code << 8);
        assert_eq!((own(&dsp), peer(&dsp)), (answer, answer));
        assert_eq!(upstream(&dsp), (Direct, Reason::MemoryTargetDirect));
        let usp = machine(0xdf, ALL | code << 10);
        assert_eq!(upstream(&usp), answer);
        assert_eq!(own(&usp), (Direct, Reason::MemoryTargetDirect));
    }
    let (redirecting, open) = (machine(0x5f, ALL), machine(0x5f, 0));
    for to in [own, peer, upstream] {
        assert_eq!(to(&redirecting), (Undetermined, Reason::PortTargetUnspecified));
        assert_eq!(to(&open), (Direct, Reason::RequestRedirectOff));
    }
}

#[test]
fn io_requests_are_blocked_or_not_governed() {
    let machine = |control, bar| {
        let mut machine = Machine::new()
            .with("00:01.0", Config::root_port(1, 4).acs(0x5f, ALL, 0))
            .with("01:00.0", Config::upstream(2, 4))
            .with("02:00.0", Config::downstream(1, 3, 3).acs(0xdf, control, 0))
            .with("02:01.0", Config::downstream(2, 4, 4));
        machine.add("03:00.0".parse().expect("an address"), Config::endpoint());
        machine.add("04:00.0".parse().expect("an address"), Config::endpoint().bar(0, bar));
        machine.topology()
    };
    assert_eq!(between(&machine(ALL, 0xe001), Io), (Undetermined, Reason::IoNotGoverned));
    assert_eq!(between(&machine(ALL, 0xfe00_0000), Io), (Blocked, Reason::NoIoBar));
    assert_eq!(between(&machine(ALL | 0x80, 0xe001), Io), (Blocked, Reason::IoRequestBlocking));
}

fn conventional() -> Topology {
    Machine::new()
        .with("00:01.0", Config::root_port(1, 3).acs(0x5f, ALL, 0))
        .with("00:02.0", Config::root_port(4, 4).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::pcie(port_type::TO_PCI).buses(2, 3))
        .with("02:00.0", Config::conventional())
        .with("02:01.0", Config::conventional().buses(3, 3))
        .with("03:00.0", Config::conventional())
        .with("04:00.0", Config::endpoint())
        .topology()
}

#[test]
fn conventional_buses_behind_a_pcie_to_pci_bridge_are_one_requester() {
    let topology = conventional();
    let shared = (Direct, Reason::ConventionalBus);
    assert_eq!(ask(&topology, "02:00.0", "03:00.0", MemoryUntranslated), shared);
    assert_eq!(ask(&topology, "03:00.0", "02:01.0", MemoryUntranslated), shared, "the bridge itself");
    assert_eq!(
        ask(&topology, "03:00.0", "04:00.0", MemoryUntranslated),
        (Redirected, Reason::RequestRedirect)
    );
    for class in [MemoryTranslated, Completion, CompletionRelaxed] {
        assert_eq!(ask(&topology, "02:00.0", "03:00.0", class), (Blocked, Reason::ClassNotEmitted));
    }
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let requester = |at| fabric.substituted_requester(index(&topology, at));
    assert_eq!(requester("03:00.0"), Some(RequesterId(0x0200)));
    assert_eq!(requester("04:00.0"), None);
}

#[test]
fn a_guest_that_shows_endpoints_on_its_root_bus_proves_nothing() {
    let topology = Machine::new()
        .with("00:00.0", Config::conventional().class(0x0600))
        .with("00:01.0", Config::endpoint())
        .with("00:02.0", Config::endpoint())
        .with("00:03.0", Config::root_port(1, 1).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint())
        .topology();
    assert_eq!(
        ask(&topology, "00:01.0", "00:02.0", MemoryUntranslated),
        (Undetermined, Reason::BridgeNotInDump)
    );
    assert_eq!(
        ask(&topology, "00:01.0", "01:00.0", MemoryUntranslated),
        (Undetermined, Reason::BridgeNotInDump)
    );
    assert_eq!(
        ask(&topology, "01:00.0", "00:01.0", MemoryUntranslated),
        (Undetermined, Reason::BridgeNotInDump)
    );
    // Each is a case for itself, as an orphan is.
    assert!(!together(&topology, "00:01.0", "00:02.0", &Assumptions::default()));
    assert!(!together(&topology, "00:01.0", "01:00.0", &Assumptions::default()));
}

#[test]
fn what_is_missing_of_a_root_ports_acs_is_said_and_holds_nothing_together() {
    let cut = |port: Config| {
        Machine::new()
            .with("00:01.0", port.clone())
            .with("00:02.0", Config::root_port(2, 2).acs(0x5f, ALL, 0))
            .with("01:00.0", Config::endpoint())
            .with("02:00.0", Config::endpoint())
            .topology()
    };
    let port = Config::root_port(1, 1);
    let all_ones = port.clone().acs(0x5f, 0xffff, 0);
    let no_number = port.clone().acs(0x407f, 0x3d, 0).captured(0x108);
    for port in [port.clone().captured(256), all_ones, no_number] {
        let topology = cut(port);
        let answer = ask(&topology, "01:00.0", "02:00.0", MemoryUntranslated);
        assert_eq!(answer, (Undetermined, Reason::RootAcsNotKnown));
        assert!(answer.1.is_not_captured() && answer.1.is_root_complex());
        assert!(!together(&topology, "01:00.0", "02:00.0", &Assumptions::default()));
        let unknown = Assumptions::without_root_complex();
        assert!(together(&topology, "01:00.0", "02:00.0", &unknown));
    }
    assert_eq!(
        ask(&cut(port), "01:00.0", "02:00.0", MemoryUntranslated),
        (Undetermined, Reason::RootComplex)
    );
}

#[test]
fn orphans_are_undetermined_towards_the_rest_and_not_among_themselves() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint())
        .with("20:00.0", Config::downstream(1, 0x21, 0x21))
        .with("20:01.0", Config::downstream(2, 0x22, 0x22))
        .with("21:00.0", Config::endpoint())
        .with("22:00.0", Config::endpoint())
        .topology();
    assert_eq!(ask(&topology, "21:00.0", "01:00.0", Completion), (Undetermined, Reason::BridgeNotInDump));
    assert_eq!(ask(&topology, "01:00.0", "21:00.0", Completion), (Undetermined, Reason::BridgeNotInDump));
    assert_eq!(ask(&topology, "21:00.0", "22:00.0", MemoryUntranslated), (Direct, Reason::PortWithoutAcs));
    let inside = Machine::new()
        .with("00:01.0", Config::root_port(1, 9).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint())
        .with("05:00.0", Config::endpoint())
        .topology();
    assert_eq!(ask(&inside, "01:00.0", "05:00.0", MemoryUntranslated), (Undetermined, Reason::PortNotInDump));
    assert!(together(&inside, "01:00.0", "05:00.0", &Assumptions::default()));
}

#[test]
fn what_does_not_answer_may_share_the_missing_port_of_what_hangs_on_the_same_bridge() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 9).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint().captured(0))
        .with("05:00.0", Config::endpoint().captured(0))
        .with("00:02.0", Config::root_port(0x0a, 0x0a).acs(0x5f, ALL, 0))
        .with("0a:00.0", Config::endpoint().captured(0))
        .topology();
    for (a, b) in [("01:00.0", "05:00.0"), ("05:00.0", "01:00.0")] {
        assert_eq!(ask(&topology, a, b, MemoryUntranslated), (Undetermined, Reason::PortNotInDump));
    }
    let from_elsewhere = ask(&topology, "0a:00.0", "05:00.0", MemoryUntranslated);
    assert_eq!(from_elsewhere, (Undetermined, Reason::BridgeNotInDump));
    assert!(together(&topology, "01:00.0", "05:00.0", &Assumptions::default()));
    assert!(!together(&topology, "0a:00.0", "05:00.0", &Assumptions::default()));
}

#[test]
fn ports_are_targets_and_initiate_nothing_but_downstream() {
    let topology = first_port(0x5f, ALL, 0);
    assert_eq!(ask(&topology, "01:00.0", "04:00.0", MemoryUntranslated), (Direct, Reason::Downstream));
    assert_eq!(
        ask(&topology, "02:00.0", "04:00.0", MemoryUntranslated),
        (Blocked, Reason::PortDoesNotInitiate)
    );
    let machine = root_ports("00:02.0", None);
    assert_eq!(ask(&machine, "00:00.0", "02:00.0", MemoryUntranslated), (Direct, Reason::Downstream));
}
