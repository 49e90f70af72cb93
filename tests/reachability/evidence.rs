//! Cases worked by hand: what an answer rests on, and what a reader is told that could change it.

use Disposition::{Blocked, Direct, Redirected, Undetermined};
use acsscan::db::Database;
use acsscan::finding::{Code, reach_findings};
use acsscan::route::domains::Impersonation;
use acsscan::route::evidence::Evidence;
use acsscan::route::fabric::Fabric;
use acsscan::route::port::TlpClass::{self, Completion, MemoryTranslated, MemoryUntranslated};
use acsscan::route::trace::{GateKind, Route};
use acsscan::route::{Assumptions, Disposition, Reason};
use acsscan::testkit::{Config, Machine, port_type};
use acsscan::topology::Topology;

use super::cases::{ALL, ask, index, switch};

fn trace(topology: &Topology, from: &str, to: &str, class: TlpClass) -> Route {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    fabric.trace(index(topology, from), index(topology, to), class, &Assumptions::default())
}

/// Function, register and bits of what decided.
fn decisive(topology: &Topology, from: &str, to: &str, class: TlpClass) -> Vec<String> {
    let route = trace(topology, from, to, class);
    route.decisive().expect("one decides").evidence.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_port_does_not_implement_is_told_apart_from_what_is_off() {
    let answer = |capability, class| {
        ask(&switch(|port| port.acs(capability, ALL, 0), ALL), "03:00.0", "04:00.0", class)
    };
    assert_eq!(answer(0x5b, MemoryUntranslated), (Direct, Reason::RequestRedirectNotImplemented));
    assert_eq!(answer(0x57, Completion), (Direct, Reason::CompletionRedirectNotImplemented));
    let above = |root: &dyn Fn(Config) -> Config| {
        let topology = Machine::new()
            .with("00:01.0", root(Config::root_port(1, 4)))
            .with("01:00.0", Config::upstream(2, 4))
            .with("02:00.0", Config::downstream(1, 3, 3).acs(0x5f, ALL, 0))
            .with("02:01.0", Config::downstream(2, 4, 4).acs(0x5f, ALL, 0))
            .with("03:00.0", Config::endpoint())
            .with("04:00.0", Config::endpoint())
            .topology();
        ask(&topology, "03:00.0", "04:00.0", MemoryUntranslated)
    };
    let lacks = (Undetermined, Reason::UpstreamForwardingNotImplemented);
    assert_eq!(above(&|port| port.acs(0x4f, ALL, 0)), lacks);
    assert_eq!(above(&|port| port), lacks, "without ACS there is nothing to turn on, either");
    assert_eq!(above(&|port| port.acs(0x5f, 0, 0)), (Undetermined, Reason::UpstreamForwardingOff));
}

#[test]
fn a_bridges_requester_id_arrives_only_where_the_bridge_is_passed() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 2).acs(0x5f, ALL, 0))
        .with("00:02.0", Config::root_port(3, 3).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::pcie(port_type::TO_PCI).buses(2, 2))
        .with("02:00.0", Config::conventional())
        .with("02:01.0", Config::conventional())
        .with("03:00.0", Config::endpoint())
        .topology();
    let arrives = |to, class| trace(&topology, "02:00.0", to, class).substituted_requester;
    assert_eq!(arrives("02:01.0", MemoryUntranslated), None, "the bridge is not passed");
    assert_eq!(arrives("03:00.0", MemoryUntranslated).map(|id| id.0), Some(0x0200));
    assert_eq!(arrives("03:00.0", Completion), None, "nothing is sent");
}

#[cfg(feature = "std")]
#[test]
fn a_bridge_that_hides_its_capability_substitutes_below_pcie_ports_only() {
    let database = acsscan::db::builtin().expect("right");
    let asmedia = |secondary| Config::conventional().ids(0x1b21, 0x1080).buses(secondary, secondary);
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 2).acs(0x5f, ALL, 0))
        .with("00:02.0", asmedia(3))
        .with("00:03.0", Config::root_port(4, 5).acs(0x5f, ALL, 0))
        .with("01:00.0", asmedia(2))
        .with("02:00.0", Config::conventional())
        .with("03:00.0", Config::conventional())
        .with("04:00.0", Config::conventional().ids(0x1b21, 0x1081).buses(5, 5))
        .with("05:00.0", Config::conventional())
        .topology();
    let fabric = Fabric::new(&topology, &database);
    let requester = |at| fabric.substituted_requester(index(&topology, at)).map(|id| id.0);
    assert_eq!(requester("02:00.0"), Some(0x0200), "secondary bus, device 0, function 0");
    assert_eq!(requester("03:00.0"), None, "on a root bus it is what it looks like");
    assert_eq!(requester("05:00.0"), None, "another bridge");
    let none = Database::default();
    assert_eq!(Fabric::new(&topology, &none).substituted_requester(index(&topology, "02:00.0")), None);
}

#[test]
fn evidence_for_port_bars_says_that_there_are_no_enhanced_controls() {
    let topology = switch(|port| port.acs(0x5f, ALL, 0), ALL);
    let evidence = decisive(&topology, "03:00.0", "01:00.0", MemoryUntranslated);
    assert!(
        evidence.iter().any(|one| one.contains("ACS Capability") && one.contains("Enhanced-")),
        "{evidence:?}"
    );
    let enhanced = switch(|port| port.acs(0xdf, ALL, 0), ALL);
    let evidence = decisive(&enhanced, "03:00.0", "01:00.0", MemoryUntranslated);
    assert!(evidence.iter().all(|one| !one.contains("Enhanced-")), "{evidence:?}");
}

#[test]
fn a_host_bridge_has_no_bus_numbers() {
    let topology = Machine::new()
        .with("00:00.0", Config::conventional().class(0x0600))
        .with("00:01.0", Config::root_port(1, 1))
        .with("01:00.0", Config::endpoint())
        .topology();
    let evidence = decisive(&topology, "00:00.0", "01:00.0", MemoryUntranslated);
    assert_eq!(evidence, ["Class Code at 0x00a reads 0x0600: host bridge"]);
}

#[test]
fn ports_that_face_upstream_are_no_evidence() {
    let topology = switch(|port| port.acs(0x5f, ALL, 0), ALL);
    for class in [MemoryUntranslated, MemoryTranslated] {
        let route = trace(&topology, "03:00.0", "04:00.0", class);
        let upstream =
            route.hops.iter().find(|hop| hop.function == index(&topology, "01:00.0")).expect("passed");
        assert!(upstream.evidence.is_empty(), "{:?}", upstream.evidence);
        let root = route.hops.iter().find(|hop| hop.function == index(&topology, "00:01.0")).expect("passed");
        assert_eq!(root.evidence.len(), 1, "Upstream Forwarding lets it through");
    }
}

#[test]
fn forged_requester_ids_are_shown_by_the_ports_that_let_them_through() {
    let topology = switch(|port| port.acs(0x5f, ALL & !1, 0), ALL);
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let [from, to] = ["03:00.0", "04:00.0"].map(|at| index(&topology, at));
    let why = fabric.impersonation(from, to, &Assumptions::default()).expect("not validated");
    assert_eq!(why, Impersonation::NotValidated { missing: None });
    let evidence = fabric.impersonation_evidence(from, why);
    let Some(Evidence::Register { function, offset, bits, value, .. }) = evidence.first() else {
        panic!("{evidence:?}");
    };
    assert_eq!((function.bdf.to_string(), *offset, bits.as_str()), ("02:00.0".into(), 0x106, "SrcValid-"));
    assert_eq!((*value, evidence.len()), (u32::from(ALL & !1), 1), "the root port validates");
    let assumptions = Assumptions::default();
    assert!(
        assumptions.counted().all(|class| fabric.disposition(from, to, class, &assumptions).0.isolates())
    );
    assert!(!fabric.isolates(from, to, &assumptions), "it may use the other's requester ID");
    assert!(fabric.isolates(to, from, &assumptions));
    assert_eq!(fabric.validation_could_stop(from, to), Some(true));
    let lacking = switch(|port| port, ALL);
    let fabric = Fabric::new(&lacking, &database);
    assert_eq!(fabric.validation_could_stop(from, to), Some(false));
}

/// 01:00.0 sends to virtual functions of 02:00.0, the first of which is 02:10.0.
fn virtual_functions(bar: u32, limit: u16) -> Topology {
    Machine::new()
        .with("00:01.0", Config::root_port(1, 1).command(6))
        .with("00:02.0", Config::root_port(2, 2).command(6).memory_window(0xf00, limit))
        .with("01:00.0", Config::endpoint().command(6))
        .with("02:00.0", Config::endpoint().command(6).sriov(0x80, 1, 2).dword(0x124, bar))
        .with("02:10.0", Config::virtual_function())
        .with("02:10.1", Config::virtual_function())
        .topology()
}

#[test]
fn bars_of_virtual_functions_are_gates() {
    let as_configured = Assumptions::as_configured();
    let gates = |topology: &Topology, to| {
        let database = Database::default();
        let fabric = Fabric::new(topology, &database);
        let (from, to) = (index(topology, "01:00.0"), index(topology, to));
        let route = fabric.trace(from, to, MemoryUntranslated, &as_configured);
        let open = |kind| route.gates.iter().find(|gate| gate.kind == kind).expect("there").open;
        (open(GateKind::Bar), open(GateKind::Window), (route.disposition, route.reason))
    };
    let set = virtual_functions(0xf000_0000, 0xf0f);
    assert_eq!(gates(&set, "02:10.0").0, Some(true));
    assert_eq!(gates(&set, "02:10.0").1, Some(true));
    // Where the second begins is not known: the base would do for shares of 256 MiB.
    assert_eq!(gates(&set, "02:10.1").1, None);
    let aligned = virtual_functions(0xf000_4000, 0xf0f);
    assert_eq!(gates(&aligned, "02:10.1").1, Some(true), "shares are no larger than the base is aligned to");
    let unset = gates(&virtual_functions(0, 0xf0f), "02:10.0");
    assert_eq!((unset.0, unset.2), (Some(false), (Blocked, Reason::NoMemoryBar)));
    let outside = gates(&virtual_functions(0xe010_0000, 0xf0f), "02:10.1");
    assert_eq!((outside.1, outside.2), (Some(false), (Blocked, Reason::WindowClosed)));
}

/// Inside a device, egress control vectors are indexed by function, or by function group.
#[test]
fn vectors_in_a_device_are_indexed_by_function_or_group() {
    let device = |vector, groups: Option<u16>| {
        let function = |group: u16| {
            let own = Config::endpoint().multi_function().acs(0x082c, 0x2c, vector);
            match groups {
                None => own,
                Some(enable) => own.extended(0x000e, &[[2, 0], (enable | group << 4).to_le_bytes()].concat()),
            }
        };
        let port = Config::root_port(1, 1).acs(0x5f, ALL, 0);
        let port = if groups.is_some() { port.ari_forwarding() } else { port };
        let topology = Machine::new()
            .with("00:01.0", port)
            .with("01:00.0", function(0))
            .with("01:00.3", function(5))
            .topology();
        ask(&topology, "01:00.0", "01:00.3", MemoryUntranslated)
    };
    let (open, redirected) = ((Direct, Reason::EgressAllowed), (Redirected, Reason::EgressRedirect));
    assert_eq!(device(1 << 3, None), redirected);
    assert_eq!(device(!(1 << 3), None), open);
    assert_eq!(device(1 << 5, Some(2)), redirected, "function groups are enabled");
    assert_eq!(device(1 << 3, Some(2)), open);
    assert_eq!(device(1 << 3, Some(0)), redirected, "groups are not enabled");
}

fn codes(topology: &Topology, code: Code) -> Vec<String> {
    let database = Database::default();
    let found = reach_findings(&Fabric::new(topology, &database));
    let of_code = found.iter().filter(|finding| finding.code == code);
    of_code.flat_map(|finding| &finding.functions).map(|function| function.bdf.to_string()).collect()
}

#[test]
fn upstream_forwarding_off_is_found_however_deep_the_redirect_is() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 6).acs(0x5f, ALL & !0x10, 0))
        .with("01:00.0", Config::upstream(2, 6))
        .with("02:00.0", Config::downstream(1, 3, 6).acs(0x5f, 1, 0))
        .with("03:00.0", Config::upstream(4, 6))
        .with("04:00.0", Config::downstream(1, 5, 5).acs(0x5f, ALL, 0))
        .with("04:01.0", Config::downstream(2, 6, 6).acs(0x5f, 1, 0))
        .with("05:00.0", Config::endpoint())
        .with("06:00.0", Config::endpoint())
        .topology();
    assert_eq!(codes(&topology, Code::UpstreamForwardingOff), ["00:01.0", "02:00.0"]);
}

#[test]
fn translated_requests_that_nothing_blocks_are_found_and_hold_nothing_together() {
    let machine = |root| {
        Machine::new()
            .with("00:01.0", Config::root_port(1, 1).acs(0x5f, root, 0))
            .with("01:00.0", Config::endpoint().ats(true))
            .with("00:02.0", Config::root_port(2, 2).acs(0x5f, ALL, 0))
            .with("02:00.0", Config::endpoint())
            .topology()
    };
    assert_eq!(codes(&machine(ALL), Code::TranslatedNotBlocked), ["01:00.0"]);
    assert_eq!(codes(&machine(ALL | 2), Code::TranslatedNotBlocked), Vec::<String>::new());
    let (topology, database) = (machine(ALL), Database::default());
    let domains = Fabric::new(&topology, &database).domains(&Assumptions::default());
    assert_ne!(
        domains.domain_of(index(&topology, "01:00.0")),
        domains.domain_of(index(&topology, "02:00.0"))
    );
}

#[test]
fn what_only_a_missing_bridge_keeps_apart_is_counted_with_what_hangs_on_it() {
    let topology = Machine::new()
        .with("00:00.0", Config::conventional().class(0x0600))
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint())
        .with("07:00.0", Config::conventional())
        .with("07:01.0", Config::conventional())
        .topology();
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let assumptions = Assumptions::default();
    let [unsettled] = fabric.unsettled(&assumptions).try_into().expect("one reason");
    assert_eq!((unsettled.reason, unsettled.pairs), (Reason::BridgeNotInDump, 2));
    assert_eq!(unsettled.open, ["07:00.0", "07:01.0"].map(|at| index(&topology, at)));
    assert_eq!(unsettled.others, [index(&topology, "00:01.0")]);
}

/// A switch with windows, of which one thing is shut.
fn open_switch(change: impl Fn(&str, Config) -> Config) -> Topology {
    let bridge = |config: Config| config.command(7).memory_window(0xf00, 0xf0f);
    let mut machine = Machine::new();
    let functions = [
        ("00:01.0", bridge(Config::root_port(1, 4).acs(0x5f, ALL, 0))),
        ("01:00.0", bridge(Config::upstream(2, 4))),
        ("02:00.0", bridge(Config::downstream(1, 3, 3).acs(0x5f, ALL, 0)).memory_window(0xf00, 0xf00)),
        ("02:01.0", bridge(Config::downstream(2, 4, 4).acs(0x5f, ALL, 0)).memory_window(0xf01, 0xf01)),
        ("03:00.0", Config::endpoint().command(7).bar(0, 0xf000_0000)),
        ("04:00.0", Config::endpoint().command(7).bar(0, 0xf010_0000)),
    ];
    for (at, config) in functions {
        machine = machine.with(at, change(at, config));
    }
    machine.topology()
}

/// Blocked by this function's register, which the evidence names.
fn assert_shut(topology: &Topology, reason: Reason, at: &str, register: &str) {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    let configured = Assumptions::as_configured();
    let [from, to] = ["03:00.0", "04:00.0"].map(|at| index(topology, at));
    let route = fabric.trace(from, to, MemoryUntranslated, &configured);
    assert_eq!((route.disposition, route.reason), (Disposition::Blocked, reason), "{at}");
    let hop = route.decisive().expect("a hop that decides");
    assert_eq!(hop.function, index(topology, at), "{reason:?}");
    let decides = |evidence: &Evidence| {
        matches!(evidence, Evidence::Register { function, register: name, .. }
            if *function == topology.functions()[hop.function].address && *name == register)
    };
    assert!(hop.evidence.iter().any(decides), "{:?}", hop.evidence);
}

#[test]
fn what_is_redirected_passes_every_bridge_up_to_the_root_and_down_again() {
    let shut = |which: &'static str| {
        open_switch(move |at, config| if at == which { config.command(3) } else { config })
    };
    let database = Database::default();
    let open = open_switch(|_, config| config);
    let fabric = Fabric::new(&open, &database);
    let configured = Assumptions::as_configured();
    let route =
        fabric.trace(index(&open, "03:00.0"), index(&open, "04:00.0"), MemoryUntranslated, &configured);
    assert_eq!(route.disposition, Disposition::Redirected);
    let gates = |kind: GateKind| route.gates.iter().filter(|gate| gate.kind == kind).count();
    assert_eq!((gates(GateKind::BusMaster), gates(GateKind::Window)), (3, 3), "{:?}", route.gates);
    for bridge in ["00:01.0", "01:00.0", "02:00.0"] {
        assert_shut(&shut(bridge), Reason::BridgeBusMasterOff, bridge, "Command");
    }
    let closed = |which: &'static str| {
        open_switch(move |at, config| if at == which { config.memory_window(0xf80, 0xf8f) } else { config })
    };
    for bridge in ["00:01.0", "01:00.0", "02:01.0"] {
        assert_shut(&closed(bridge), Reason::WindowClosed, bridge, "Memory Base and Limit");
    }
    // What goes directly does not come to the root port.
    let direct = |which: &'static str| {
        open_switch(move |at, config| {
            let config = if at == "02:00.0" { config.dword(0x104, 0x0001_005f) } else { config };
            if at == which { config.command(3) } else { config }
        })
    };
    let topology = direct("00:01.0");
    let fabric = Fabric::new(&topology, &database);
    let (from, to) = (index(&topology, "03:00.0"), index(&topology, "04:00.0"));
    let answer = fabric.disposition(from, to, MemoryUntranslated, &configured);
    assert_eq!(answer, (Disposition::Direct, Reason::RequestRedirectOff));
}

#[test]
fn a_virtual_target_that_does_not_decode_is_shut_by_its_physical_functions_register() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).command(7).acs(0x5f, ALL, 0))
        .with("00:02.0", Config::root_port(2, 2).command(7).memory_window(0xf00, 0xf0f).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint().command(7))
        .with("02:00.0", Config::endpoint().command(7).bar(0, 0xf000_0000).sriov(0x80, 1, 1).dword(0x108, 1))
        .with("02:10.0", Config::virtual_function())
        .topology();
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let configured = Assumptions::as_configured();
    let [from, to] = ["01:00.0", "02:10.0"].map(|at| index(&topology, at));
    let route = fabric.trace(from, to, MemoryUntranslated, &configured);
    assert_eq!((route.disposition, route.reason), (Disposition::Blocked, Reason::TargetDecodeOff));
    let hop = route.decisive().expect("a hop");
    assert_eq!(hop.function, index(&topology, "02:00.0"));
    let [Evidence::Register { register, bits, .. }] = &hop.evidence[..] else { panic!("{:?}", hop.evidence) };
    assert_eq!((*register, bits.as_str()), ("SR-IOV Control", "VF MSE-"));
}

/// Port 40's bit is bit 8 of the vector's second double word.
#[test]
fn an_egress_vectors_evidence_is_the_double_word_and_the_bit_of_the_target() {
    let vector = |config: Config| config.acs(0x40ff, 0x3d, 0xffff_ffff).dword(0x10c, 0x100);
    for (set, decision) in [(true, Reason::EgressRedirect), (false, Reason::EgressAllowed)] {
        let port = vector(Config::downstream(3, 3, 3)).dword(0x10c, if set { 0x100 } else { 0 });
        let topology = Machine::new()
            .with("00:01.0", Config::root_port(1, 4).acs(0x5f, ALL, 0))
            .with("01:00.0", Config::upstream(2, 4))
            .with("02:00.0", port)
            .with("02:01.0", Config::downstream(40, 4, 4).acs(0x5f, ALL, 0))
            .with("03:00.0", Config::endpoint())
            .with("04:00.0", Config::endpoint())
            .topology();
        let route = trace(&topology, "03:00.0", "04:00.0", MemoryUntranslated);
        assert_eq!(route.reason, decision);
        let shown = route.decisive().expect("a hop").evidence.iter().any(|evidence| {
            matches!(evidence, Evidence::Register { register: "Egress Control Vector", offset: 0x10c, bits, value, .. }
                if bits == "bit 8 for 40, 0000:02:01.0" && (*value == 0x100) == set)
        });
        assert!(shown, "{:?}", route.decisive());
    }
}

#[test]
fn function_groups_that_the_device_does_not_offer_have_no_effect() {
    let function = |ari: u32, vector: u32| {
        let config = Config::endpoint().multi_function().acs(0x082c, 0x2c, vector);
        config.extended(0x0e, &ari.to_le_bytes())
    };
    let answer = |capability: u32| {
        let topology = Machine::new()
            .with("00:01.0", Config::root_port(1, 1).ari_forwarding().acs(0x5f, ALL, 0))
            // Function 1 is of group 5, whose bit is set; its own is clear.
            .with("01:00.0", function(0x0002_0100 | capability, 1 << 5))
            .with("01:00.1", function(0x0050_0000, 0))
            .topology();
        let route = trace(&topology, "01:00.0", "01:00.1", MemoryUntranslated);
        (route.disposition, route.reason)
    };
    assert_eq!(answer(2), (Disposition::Redirected, Reason::EgressRedirect));
    assert_eq!(answer(0), (Disposition::Direct, Reason::EgressAllowed));
}

/// Neither has windows that tell: whether a request gets through is not known.
#[test]
fn a_bridge_without_windows_of_its_own_shuts_nothing_for_certain() {
    let answer = |bridge: Config| {
        let topology = Machine::new()
            .with("00:01.0", Config::conventional().command(7))
            .with("00:02.0", bridge.command(7).dword(0x24, 0x0001_fff1))
            .with("02:00.0", Config::conventional().command(7).bar(0, 0xf000_0000))
            .topology();
        let database = Database::default();
        let fabric = Fabric::new(&topology, &database);
        let configured = Assumptions::as_configured();
        let [from, to] = ["00:01.0", "02:00.0"].map(|at| index(&topology, at));
        let route = fabric.trace(from, to, MemoryUntranslated, &configured);
        let window = route.gates.iter().find(|gate| gate.kind == GateKind::Window).expect("a window");
        (route.disposition, window.open)
    };
    let closed = || Config::conventional().buses(2, 2).memory_window(0xf80, 0xf8f);
    assert_eq!(answer(closed()), (Disposition::Blocked, Some(false)));
    let mut subtractive = closed().dword(0x08, 0x0604_0100);
    assert_eq!(answer(subtractive.clone()), (Disposition::Undetermined, None));
    subtractive = closed().dword(0x0c, 0x0002_0000);
    assert_eq!(answer(subtractive), (Disposition::Undetermined, None), "a CardBus bridge");
}
