//! Cases worked by hand: domains and impersonation, what holds as configured, the database, and the
//! checks of libvirt and the kernel.

use Disposition::{Blocked, Direct, Redirected, Undetermined};
use acsscan::addr::Segment;
use acsscan::cap::acs::AcsControl;
use acsscan::db::{Alias, Claim, Condition, ConditionKind, Database, Entry, Layer, Match};
use acsscan::function::HostBridge;
use acsscan::route::disagree::{Danger, disagreements};
use acsscan::route::domains::{HeldBy, Impersonated, Impersonation};
use acsscan::route::evidence::Evidence;
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::Linux;
use acsscan::route::port::TlpClass::{Completion, CompletionRelaxed, MemoryTranslated, MemoryUntranslated};
use acsscan::route::trace::GateKind;
use acsscan::route::{Assumptions, Disposition, Reason, libvirt, p2pdma};
use acsscan::testkit::{Config, Machine, port_type};
use acsscan::topology::Topology;

use super::cases::{ALL, CR, ask_as, ask_with, index, root_ports, switch, together};

#[test]
fn without_source_validation_everything_below_shares_its_requester_ids() {
    let topology = switch(|port| port.acs(0x5f, ALL & !1, 0), ALL & !1);
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let scope = |at| fabric.scope(index(&topology, at)).impersonated;
    assert_eq!(scope("03:00.0"), Impersonated::AnyRequesterId(index(&topology, "00:01.0")));
    assert_eq!(scope("04:00.0"), Impersonated::BusesOf(index(&topology, "02:01.0")));
    let domains = fabric.domains(&Assumptions::default());
    let domain = domains.get(domains.domain_of(index(&topology, "03:00.0")).expect("there")).expect("there");
    assert!(domain.functions().any(|function| function == index(&topology, "04:00.0")));
    assert_eq!(domain.held_by(), Some(HeldBy::Impersonation));
    assert_eq!(domain.remains().len(), 1, "impersonation is proved");
}

/// What reads all ones on a switch's internal bus may be a port, which uses nobody's requester ID.
#[test]
fn what_does_not_answer_holds_nothing_together_for_certain() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 4).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::upstream(2, 4))
        .with("02:00.0", Config::downstream(1, 3, 3).acs(0x5f, ALL, 0))
        .with("02:01.0", Config::downstream(2, 4, 4).acs(0x5f, ALL, 0))
        .with("02:02.0", Config::conventional().ids(0xffff, 0xffff).captured(0))
        .with("03:00.0", Config::endpoint())
        .with("04:00.0", Config::endpoint())
        .topology();
    let (database, default) = (Database::default(), Assumptions::default());
    let fabric = Fabric::new(&topology, &database);
    let [unseen, seen] = ["02:02.0", "03:00.0"].map(|at| index(&topology, at));
    let why = fabric.impersonation(unseen, seen, &default);
    assert_eq!(why, Some(Impersonation::NotValidated { missing: Some(Reason::TypeNotCaptured) }));
    let domains = fabric.domains(&default);
    let domain = domains.get(domains.domain_of(seen).expect("there")).expect("there");
    assert_eq!(domain.held_by(), Some(HeldBy::Unproven));
    assert!(
        domain.why().all(|merge| merge.held_by == HeldBy::Unproven),
        "{:?}",
        domain.why().collect::<Vec<_>>()
    );
    assert!(domain.remains().iter().all(|part| part.len() < 3), "{:?}", domain.remains());
}

/// Bus ranges that overlap where only a bridge stands, which initiates nothing, hold nothing together.
#[test]
fn scopes_that_overlap_where_nothing_initiates_stay_apart() {
    let at_03 = |occupied: bool| {
        let mut machine = Machine::new()
            .with("00:01.0", Config::root_port(1, 3).acs(0x5f, ALL, 0))
            .with("00:02.0", Config::root_port(3, 5).acs(0x5f, ALL, 0))
            .with("01:00.0", Config::upstream(2, 2))
            .with("01:00.1", Config::endpoint())
            .with("02:01.0", Config::endpoint())
            .with("03:00.0", Config::upstream(4, 5))
            .with("04:00.0", Config::endpoint())
            .with("04:01.0", Config::endpoint());
        if occupied {
            machine.add("03:01.0".parse().expect("an address"), Config::endpoint());
        }
        machine.topology()
    };
    let impersonation = |topology: &Topology| {
        let database = Database::default();
        let domains = Fabric::new(topology, &database).domains(&Assumptions::default());
        let merges: Vec<_> =
            domains.iter().flat_map(|domain| domain.why().copied().collect::<Vec<_>>()).collect();
        merges
            .into_iter()
            .filter(|merge| merge.class.is_none())
            .map(|merge| (merge.from, merge.to))
            .collect::<Vec<_>>()
    };
    let apart = at_03(false);
    let crosses = |topology: &Topology| {
        let low = |index: usize| topology.functions()[index].address.bus() < 3;
        impersonation(topology).iter().any(|(a, b)| low(*a) != low(*b))
    };
    assert!(!crosses(&apart), "{:?}", impersonation(&apart));
    assert!(!together(&apart, "02:01.0", "04:00.0", &Assumptions::default()));
    assert!(together(&at_03(true), "02:01.0", "04:00.0", &Assumptions::default()));
    for topology in [apart, at_03(true)] {
        let found = acsscan::testkit::engines::disagreement(&topology, &Database::default());
        assert!(found.is_none(), "{}", found.unwrap_or_default());
    }
}

#[test]
fn unproven_domains_say_what_would_remain() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint().multi_function())
        .with("01:00.1", Config::endpoint())
        .topology();
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let domains = fabric.domains(&Assumptions::default());
    let domain = domains.get(0).expect("there");
    assert_eq!(domain.functions().len(), 3, "the port belongs to what is below it");
    assert_eq!(domain.held_by(), Some(HeldBy::Unproven));
    assert_eq!(domain.remains(), [[0], [1], [2]]);
}

#[test]
fn as_configured_the_initiators_own_registers_count() {
    let machine = |command| {
        Machine::new()
            .with("00:01.0", Config::root_port(1, 4).command(6))
            .with("01:00.0", Config::upstream(2, 4).command(6))
            .with("02:00.0", Config::downstream(1, 3, 3).command(6))
            .with("02:01.0", Config::downstream(2, 4, 4).command(6).memory_window(0xf00, 0xf0f))
            .with("03:00.0", Config::endpoint().command(command).ats(false))
            .with("04:00.0", Config::endpoint().command(6).bar(0, 0xf010_0000))
            .topology()
    };
    let configured = Assumptions::as_configured();
    let ask = |command, class| ask_as(&machine(command), "03:00.0", "04:00.0", class, &configured);
    assert_eq!(ask(6, MemoryUntranslated), (Direct, Reason::PortWithoutAcs));
    assert_eq!(ask(2, MemoryUntranslated), (Blocked, Reason::BusMasterOff));
    assert_eq!(ask(2, Completion).0, Direct, "answers need no bus mastering");
    assert_eq!(ask(6, MemoryTranslated), (Blocked, Reason::AtsOff));
    assert_eq!(
        ask_as(&machine(2), "03:00.0", "04:00.0", MemoryTranslated, &Assumptions::default()).0,
        Direct
    );
}

#[test]
fn windows_must_cover_a_memory_bar_as_configured() {
    let machine = |port: &dyn Fn(Config) -> Config, target: Config| {
        Machine::new()
            .with("00:01.0", Config::root_port(1, 4).command(6))
            .with("01:00.0", Config::upstream(2, 4).command(6))
            .with("02:00.0", Config::downstream(1, 3, 3).command(6))
            .with("02:01.0", port(Config::downstream(2, 4, 4).command(6)))
            .with("03:00.0", Config::endpoint().command(6))
            .with("04:00.0", target)
            .topology()
    };
    let configured = Assumptions::as_configured();
    let wide = |target: Config| target.bar(0, 0x4000_000c).bar(1, 0x3f);
    let prefetchable = |port: Config| port.prefetchable_window(0x3f_4000_0000 >> 20, 0x3f_4fff_ffff >> 20);
    let closed = |port: Config| port.memory_window(0xf00, 0xf0f).prefetchable_window(0x1000, 0x1001);
    let target = || Config::endpoint().command(2);
    let ask = |topology: &Topology| ask_as(topology, "03:00.0", "04:00.0", MemoryUntranslated, &configured);
    assert_eq!(ask(&machine(&prefetchable, wide(target()))).0, Direct);
    assert_eq!(ask(&machine(&closed, wide(target()))), (Blocked, Reason::WindowClosed));
    assert_eq!(ask(&machine(&prefetchable, target())), (Blocked, Reason::NoMemoryBar));
    assert_eq!(ask(&machine(&prefetchable, wide(target().command(0)))), (Blocked, Reason::TargetDecodeOff));
    // For isolation a closed window is a gate, and no wall.
    let topology = machine(&closed, wide(target()));
    let hostile = ask_as(&topology, "03:00.0", "04:00.0", MemoryUntranslated, &Assumptions::default());
    assert_eq!(hostile, (Direct, Reason::PortWithoutAcs));
    let database = Database::default();
    let fabric = Fabric::new(&topology, &database);
    let [from, to] = ["03:00.0", "04:00.0"].map(|at| index(&topology, at));
    let gates = fabric.trace(from, to, MemoryUntranslated, &Assumptions::default()).gates;
    let closed: Vec<_> = gates.iter().filter(|gate| gate.open == Some(false)).map(|gate| gate.kind).collect();
    assert_eq!(closed, [GateKind::Window]);
}

#[test]
fn source_validation_blocks_other_buses_unless_forged() {
    // Virtual functions on a bus that the port does not cover.
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, ALL, 0).ari_forwarding())
        .with("00:02.0", Config::root_port(3, 3))
        .with("01:00.0", Config::endpoint().ari().sriov(0x100, 1, 1))
        .with("02:00.0", Config::virtual_function().command(4))
        .with("03:00.0", Config::endpoint())
        .topology();
    let configured = Assumptions::as_configured();
    let ask = |assumptions| ask_as(&topology, "02:00.0", "03:00.0", MemoryUntranslated, assumptions);
    assert_eq!(ask(&configured), (Blocked, Reason::SourceValidation));
    assert_eq!(ask(&Assumptions::default()), (Redirected, Reason::RequestRedirect));
}

fn database(claim: Claim, conditions: Vec<Condition>) -> Database {
    let mut matches = Match::default();
    matches.vendor = Some(0x1af4);
    let mut entry = Entry::new(Layer::Administrator, "nic", matches, claim, "a letter", "measured");
    entry.conditions = conditions;
    Database::new(vec![entry])
}

#[test]
fn the_database_acts_as_control_bits_and_is_the_evidence() {
    let isolates = || Claim::Isolates {
        services: AcsControl::REQUEST_REDIRECT | AcsControl::COMPLETION_REDIRECT,
        ignored: AcsControl::empty(),
        open: AcsControl::empty(),
    };
    let bridges = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).ids(0x8086, 1).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint().multi_function())
        .with("01:00.1", Config::endpoint());
    let topology = bridges.topology();
    let ask = |database: &Database| {
        ask_with(&topology, database, "01:00.0", "01:00.1", MemoryUntranslated, &Assumptions::default())
    };
    assert_eq!(ask(&Database::default()), (Undetermined, Reason::MultiFunctionWithoutAcs));
    let known = database(isolates(), Vec::new());
    assert_eq!(ask(&known), (Redirected, Reason::RequestRedirect));
    let fabric = Fabric::new(&topology, &known);
    let route = fabric.trace(1, 2, MemoryUntranslated, &Assumptions::default());
    let evidence = route.hops[0].evidence.last().expect("evidence");
    assert!(
        matches!(evidence, Evidence::Database { entry, layer: Layer::Administrator, .. } if entry == "nic")
    );
    let condition = Condition::new(ConditionKind::Other("firmware 12".into()), false);
    assert_eq!(ask(&database(isolates(), vec![condition])), (Undetermined, Reason::DatabaseCondition));
    assert_eq!(ask(&database(Claim::DoesNotIsolate, Vec::new())), (Direct, Reason::RequestRedirectOff));
}

/// The functions of one integrated device reach each other with translated addresses, says Intel.
#[test]
fn what_an_entry_leaves_open_is_not_taken_as_redirected() {
    let integrated = |acs: Option<u16>| {
        let config = Config::pcie(port_type::INTEGRATED).ids(0x8086, 0x1234).multi_function();
        acs.map_or(config.clone(), |control| config.acs(0x2c, control, 0))
    };
    let topology = |acs| {
        Machine::new()
            .with("00:00.0", Config::conventional().class(0x0600))
            .with("00:02.0", integrated(acs))
            .with("00:02.1", integrated(acs))
            .with("00:03.0", integrated(acs))
            .topology()
    };
    let database = &acsscan::db::builtin().expect("a built-in database");
    for acs in [None, Some(0), Some(0x0c)] {
        let topology = topology(acs);
        let ask = |to, class| ask_with(&topology, database, "00:02.0", to, class, &Assumptions::default());
        for to in ["00:02.1", "00:03.0"] {
            assert_eq!(ask(to, MemoryUntranslated).0, Redirected, "{acs:?}");
            assert_eq!(ask(to, Completion).0, Redirected, "{acs:?}");
        }
        assert_eq!(ask("00:02.1", MemoryTranslated), (Undetermined, Reason::NotClaimed), "{acs:?}");
        assert_eq!(ask("00:03.0", MemoryTranslated), (Undetermined, Reason::RootComplex), "{acs:?}");
        let fabric = Fabric::new(&topology, database);
        let route = fabric.trace(1, 2, MemoryTranslated, &Assumptions::default());
        let evidence = &route.decisive().expect("a hop").evidence;
        assert!(
            matches!(&evidence[..], [Evidence::Database { entry, .. }] if entry == "intel-integrated-endpoints"),
            "{evidence:?}"
        );
        let linux = Linux::new(&topology, database).group().group_of;
        assert!(linux[1] != linux[2] && linux[2] != linux[3], "the kernel takes the entry as it is");
    }
}

/// An entry says what isolates; that a device without ACS does what it says nothing of is not proved.
#[test]
fn a_claim_of_isolation_proves_no_direct_traffic() {
    let claim =
        |services| Claim::Isolates { services, ignored: AcsControl::empty(), open: AcsControl::empty() };
    let both = AcsControl::REQUEST_REDIRECT | AcsControl::COMPLETION_REDIRECT;
    let mut counted = Assumptions::default();
    counted.count_relaxed_and_io = true;
    let ask = |config: fn(Config) -> Config| {
        let function = || config(Config::endpoint().multi_function());
        let topology = Machine::new()
            .with("00:01.0", Config::root_port(1, 1).ids(0x8086, 1).acs(0x5f, ALL, 0))
            .with("01:00.0", function())
            .with("01:00.1", function())
            .topology();
        let ask =
            |database: &Database, class| ask_with(&topology, database, "01:00.0", "01:00.1", class, &counted);
        let known = database(claim(both), Vec::new());
        assert_eq!(ask(&known, MemoryUntranslated).0, Redirected);
        assert_eq!(ask(&known, Completion).0, Redirected);
        (ask(&Database::default(), CompletionRelaxed), ask(&known, CompletionRelaxed))
    };
    let unproved = (Undetermined, Reason::MultiFunctionWithoutAcs);
    assert_eq!(ask(|config| config), (unproved, unproved));
    let not_captured = (Undetermined, Reason::AcsNotCaptured);
    assert_eq!(ask(|config| config.captured(256)), (not_captured, not_captured));
    // Registers that prove that there is no internal traffic go on proving it.
    let none = (Redirected, Reason::NoInternalPath);
    assert_eq!(ask(|config| config.acs(0x04, 0x04, 0)), (none, none));
    let direct = (Direct, Reason::RelaxedOrdering);
    assert_eq!(ask(|config| config.acs(0x0c, 0, 0)), (direct, direct));
}

#[test]
fn functions_that_send_with_one_requester_id_are_one_domain_although_acs_keeps_them_apart() {
    let topology = Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x5f, ALL, 0))
        .with("01:00.0", Config::endpoint().multi_function().acs(0x5f, ALL, 0))
        .with("01:00.1", Config::endpoint().acs(0x5f, ALL, 0))
        .with("01:00.2", Config::endpoint().acs(0x5f, ALL, 0))
        .topology();
    let assumptions = Assumptions::default();
    let ask = |claim: Option<Claim>, conditions: Vec<Condition>| {
        let database = claim.map_or_else(Database::default, |claim| database(claim, conditions));
        let fabric = Fabric::new(&topology, &database);
        let domains = fabric.domains(&assumptions);
        let held_by = domains.get(domains.domain_of(1).expect("grouped")).expect("there").held_by();
        let together = [2, 3].map(|other| domains.domain_of(1) == domains.domain_of(other));
        let evidence = fabric.impersonation(1, 2, &assumptions).map(|why| {
            fabric.impersonation_evidence(1, why).iter().map(ToString::to_string).collect::<String>()
        });
        (together, held_by, evidence)
    };
    let alias = |alias| Some(Claim::RequesterIdAlias(alias));
    assert_eq!(ask(None, Vec::new()), ([false, false], None, None));
    // Function 0 and function 2 send as function 1.
    let (together, held_by, evidence) = ask(alias(Alias::FunctionOfSlot(1)), Vec::new());
    assert_eq!((together, held_by), ([true, true], Some(HeldBy::Impersonation)));
    assert!(evidence.expect("an entry").contains("nic"));
    // All send with an ID that no function has.
    let (together, held_by, _) = ask(alias(Alias::Fixed(vec![0x58])), Vec::new());
    assert_eq!((together, held_by), ([true, true], Some(HeldBy::Impersonation)));
    assert_eq!(ask(alias(Alias::Fixed(Vec::new())), Vec::new()), ([false, false], None, None));
    let condition = Condition::new(ConditionKind::Other("firmware 12".into()), false);
    for (claim, conditions) in [(Alias::Unknown, Vec::new()), (Alias::All, vec![condition])] {
        let (together, held_by, _) = ask(alias(claim), conditions);
        assert_eq!((together, held_by), ([true, true], Some(HeldBy::Unproven)));
    }
}

#[test]
fn what_a_driver_made_a_segment_of_is_one_domain_with_the_function_that_it_drives() {
    let vmd = || Config::pcie(port_type::INTEGRATED).ids(0x8086, 0x28c0);
    let machine = |count: usize| {
        let vmds = ["0000:00:0e.0", "0000:00:0f.0"].into_iter().take(count);
        let machine = vmds.fold(Machine::new(), |machine, at| machine.with(at, vmd()));
        ["10000:e0:01.0", "10000:e0:02.0"].into_iter().zip([0xe1, 0xe2]).fold(
            machine,
            |machine, (at, bus)| {
                machine
                    .with(at, Config::root_port(bus, bus).acs(0x5f, ALL, 0))
                    .with(&format!("10000:{bus:02x}:00.0"), Config::endpoint())
            },
        )
    };
    let owns = || {
        let mut owner = database(Claim::OwnsSegment, Vec::new()).entries()[0].clone();
        owner.matches.vendor = Some(0x8086);
        Database::new(vec![owner])
    };
    let ask = |topology: &Topology, database: &Database| {
        let fabric = Fabric::new(topology, database);
        let [owner, one, other] =
            ["0000:00:0e.0", "10000:e1:00.0", "10000:e2:00.0"].map(|at| index(topology, at));
        let domains = fabric.domains(&Assumptions::default());
        let domain = domains.domain_of(one).expect("there");
        let held_by = domains.get(domain).expect("there").held_by();
        let together = [owner, other].map(|index| domains.domain_of(index) == Some(domain));
        let why = fabric.impersonation(one, other, &Assumptions::default());
        (together, held_by, why.map(|why| fabric.impersonation_evidence(one, why).len()))
    };
    // By position: one owner, one such segment.
    assert_eq!(ask(&machine(1).topology(), &owns()), ([true, true], Some(HeldBy::Unproven), Some(1)));
    // Whose ID it is, nobody knows: two owners.
    assert_eq!(ask(&machine(2).topology(), &owns()), ([false, true], Some(HeldBy::Unproven), Some(0)));
    // The dump names it, as sysfs does.
    let mut made = HostBridge::new(Segment(0x10000), 0xe0);
    made.requester = "0000:00:0e.0".parse().ok();
    let named = machine(2).host_bridge(made);
    assert_eq!(ask(&named.topology(), &owns()), ([true, true], Some(HeldBy::Impersonation), Some(1)));
}

#[test]
fn libvirt_sees_switch_ports_only() {
    let without = switch(|port| port, ALL);
    let verdict = |topology: &Topology, at| libvirt::verdict(topology, index(topology, at));
    let port = index(&without, "02:00.0");
    assert_eq!(verdict(&without, "03:00.0"), libvirt::Verdict::Lacking(port));
    assert_eq!(verdict(&without, "03:00.0").assignable(true), Some(false));
    assert_eq!(verdict(&without, "03:00.0").assignable(false), Some(true));
    assert_eq!(verdict(&without, "04:00.0"), libvirt::Verdict::Assignable);
    assert_eq!(verdict(&without, "02:00.0"), libvirt::Verdict::NotAssignable);
    let partition = libvirt::partition(&without);
    assert_eq!(partition[index(&without, "03:00.0")], partition[index(&without, "04:00.0")]);
    let roots = root_ports("00:02.0", None);
    assert_eq!(verdict(&roots, "01:00.0"), libvirt::Verdict::Assignable, "root ports do not count");
    let second = Machine::new().with("80:14.0", Config::pcie(port_type::INTEGRATED)).topology();
    assert_eq!(verdict(&second, "80:14.0"), libvirt::Verdict::Error);
    assert_eq!(libvirt::verdict(&second, 0).assignable(false), Some(false));
}

#[test]
fn the_kernel_counts_any_redirect_on_the_way() {
    let database = Database::default();
    let map = |topology: &Topology, a, b| {
        p2pdma::mapping(topology, &database, index(topology, a), index(topology, b))
    };
    let second_off = |control| {
        Machine::new()
            .with("00:01.0", Config::root_port(1, 4).ids(0x8086, 0x2030))
            .with("01:00.0", Config::upstream(2, 4))
            .with("02:00.0", Config::downstream(1, 3, 3).acs(0x5f, control, 0))
            .with("02:01.0", Config::downstream(2, 4, 4))
            .with("03:00.0", Config::endpoint().multi_function())
            .with("03:00.1", Config::endpoint())
            .with("04:00.0", Config::endpoint())
            .topology()
    };
    let open = map(&second_off(0), "03:00.0", "04:00.0");
    assert_eq!((open.map_type, open.distance), (p2pdma::MapType::BusAddress, 4));
    assert_eq!(map(&second_off(0), "03:00.0", "03:00.1").distance, 2);
    assert_eq!(map(&second_off(0), "03:00.0", "03:00.0").distance, 0);
    let redirected = map(&second_off(CR), "04:00.0", "03:00.0");
    assert_eq!(redirected.map_type, p2pdma::MapType::NotSupported);
    assert_eq!(redirected.why, p2pdma::Why::NotListed);
    assert_eq!(redirected.redirect, Some(index(&second_off(CR), "02:00.0")));
    let amd = Machine::new()
        .with("00:00.0", Config::conventional().class(0x0600).ids(0x1022, 0x1480))
        .with("00:01.0", Config::root_port(1, 1))
        .with("00:02.0", Config::root_port(2, 2))
        .with("01:00.0", Config::endpoint())
        .with("02:00.0", Config::endpoint())
        .topology();
    let zen = map(&amd, "01:00.0", "02:00.0");
    assert_eq!((zen.map_type, zen.why), (p2pdma::MapType::ThroughHostBridge, p2pdma::Why::AmdZenGuessed));
    assert!(zen.guessed);
    assert_eq!((zen.distance, zen.common), (4, None), "both ways up to the root are counted whole");
}

#[test]
fn what_the_kernel_separates_although_a_direct_route_exists_comes_first() {
    // The kernel counts what a port does not implement as on.
    let topology = switch(|port| port.acs(0, 0, 0), ALL);
    let (database, default) = (Database::default(), Assumptions::default());
    let answer = ask_with(&topology, &database, "03:00.0", "04:00.0", MemoryUntranslated, &default);
    assert_eq!(answer, (Direct, Reason::RequestRedirectNotImplemented));
    let groups = Linux::new(&topology, &database).group().group_of;
    assert_ne!(groups[index(&topology, "03:00.0")], groups[index(&topology, "04:00.0")]);
    let fabric = Fabric::new(&topology, &database);
    let domains = fabric.domains(&default);
    let found = disagreements(&fabric, &domains, &groups);
    assert_eq!(found.first().map(|first| first.kind), Some(Danger::SeparatedAlthoughDirect));
    let bond = found.first().and_then(|first| first.example).expect("a pair that shows it");
    assert_eq!((bond.held_by, bond.reason), (HeldBy::Direct, Some(Reason::RequestRedirectNotImplemented)));
}
