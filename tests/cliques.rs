//! Cliques: who a guest may be told reaches whom, by which way, and what stands between the others.
#![cfg(all(feature = "std", feature = "testkit"))]

use acsscan::db;
use acsscan::route::clique::{Cliques, Hindrance, MAX_FUNCTIONS, Way, cliques};
use acsscan::route::fabric::Fabric;
use acsscan::route::p2pdma::Why;
use acsscan::route::trace::GateKind;
use acsscan::route::{Assumptions, Reason};
use acsscan::testkit::{Config, Machine};
use acsscan::topology::Topology;

/// A GPU with 1 MiB of memory at this mebibyte, enables off as without a driver.
fn gpu(mebibyte: u32, ats: bool) -> Config {
    let gpu = Config::endpoint().class(0x0302).ids(0x10de, 0x2230).bar(0, mebibyte << 20);
    if ats { gpu.ats(false) } else { gpu }
}

/// Two root ports; below each a switch with two ports and two GPUs. Redirects are on.
fn machine(host_bridge: (u16, u16), control: u16, ats: bool) -> Machine {
    let bridge = Config::conventional().class(0x0600).ids(host_bridge.0, host_bridge.1);
    let mut machine = Machine::new().with("00:00.0", bridge);
    let through = |port: Config, base: u16, limit: u16| port.command(6).memory_window(base, limit);
    for n in 0..2_u8 {
        let (bus, base) = (0x10 * (n + 1), 0x100 * (u16::from(n) + 1));
        let root = Config::root_port(bus, bus + 3).acs(0x001d, 0x001d, 0);
        machine = machine
            .with(&format!("00:{:02x}.0", n + 1), through(root, base, base + 7))
            .with(&format!("{bus:02x}:00.0"), through(Config::upstream(bus + 1, bus + 3), base, base + 7));
        for slot in 0..2_u8 {
            let at = base + 4 * u16::from(slot);
            let port = Config::downstream(slot, bus + 2 + slot, bus + 2 + slot).acs(0x005d, control, 0);
            machine = machine
                .with(&format!("{:02x}:{slot:02x}.0", bus + 1), through(port, at, at + 3))
                .with(&format!("{:02x}:00.0", bus + 2 + slot), gpu(u32::from(at), ats));
        }
    }
    machine
}

fn found(topology: &Topology) -> Cliques {
    let database = db::builtin().expect("valid");
    let fabric = Fabric::new(topology, &database);
    let is_gpu = |index: &usize| topology.functions()[*index].class.base == 3;
    let gpus: Vec<usize> = (0..topology.functions().len()).filter(is_gpu).collect();
    cliques(&fabric, &gpus, &Assumptions::default()).expect("few")
}

fn names(topology: &Topology, set: &[usize]) -> Vec<String> {
    set.iter().map(|index| topology.address(*index).expect("there").to_string()[5..].to_owned()).collect()
}

#[test]
fn a_listed_host_bridge_joins_all_and_one_that_is_not_listed_none() {
    // Ice Lake-X and Sapphire Rapids are listed without a limit.
    let topology = machine((0x8086, 0x09a2), 0x001d, false).topology();
    let all = found(&topology);
    assert_eq!(all.sets.len(), 1, "{all:?}");
    assert_eq!(names(&topology, &all.sets[0]), ["12:00.0", "13:00.0", "22:00.0", "23:00.0"]);
    assert!(all.pairs.iter().all(|pair| pair.way == Ok(Way::HostBridge)));
    let none = found(&machine((0x1234, 0x5678), 0x001d, false).topology());
    assert!(none.sets.is_empty() && none.alone.len() == 4);
    for pair in &none.pairs {
        assert!(pair.way.is_err_and(|hindered| hindered.by == Hindrance::HostBridge(Why::NotListed)));
    }
    // Without redirects it is the same: the switch does not know a guest's addresses.
    assert!(found(&machine((0x1234, 0x5678), 0, false).topology()).sets.is_empty());
}

#[test]
fn direct_translated_joins_what_is_below_one_switch() {
    // Completion Redirect off, Direct Translated on.
    let topology = machine((0x1234, 0x5678), 0x0055, true).topology();
    let two = found(&topology);
    let sets: Vec<_> = two.sets.iter().map(|set| names(&topology, set)).collect();
    assert_eq!(sets, [["12:00.0", "13:00.0"], ["22:00.0", "23:00.0"]]);
    let ways: Vec<_> = two.pairs.iter().filter_map(|pair| pair.way.ok()).collect();
    assert_eq!(ways, [Way::Translated; 2]);
    assert!(found(&machine((0x1234, 0x5678), 0x0055, false).topology()).sets.is_empty(), "not without ATS");
    assert!(found(&machine((0x1234, 0x5678), 0x001d, true).topology()).sets.is_empty(), "nor redirected");
}

#[test]
fn a_window_that_is_shut_or_a_register_that_was_not_captured_stands_between() {
    let mut shut = machine((0x8086, 0x09a2), 0x001d, false);
    let (_, port) =
        shut.functions_mut().iter_mut().find(|(at, _)| at.to_string() == "0000:00:02.0").expect("it");
    *port = port.clone().memory_window(0x400, 0x3ff);
    let topology = shut.topology();
    let one = found(&topology);
    assert_eq!(names(&topology, &one.sets[0]), ["12:00.0", "13:00.0"]);
    let port = topology.index_of("00:02.0".parse().expect("one")).expect("there");
    let gates = one.pairs.iter().filter_map(|pair| pair.way.err()).filter_map(|hindered| match hindered.by {
        Hindrance::Gate(gate) => Some((gate.function, gate.kind, hindered.by.is_not_captured())),
        _ => None,
    });
    assert!(gates.clone().all(|gate| gate == (port, GateKind::Window, false)) && gates.count() == 5);
    let mut short = machine((0x8086, 0x09a2), 0x001d, false);
    for (_, config) in short.functions_mut() {
        *config = config.clone().captured(64);
    }
    let topology = short.topology();
    let unknown = found(&topology);
    let hindered: Vec<_> = unknown.pairs.iter().filter(|pair| pair.way.is_err()).collect();
    assert!(hindered.iter().all(|pair| pair.way.is_err_and(|hindered| hindered.by.is_not_captured())));
    let pairs: Vec<_> =
        hindered.iter().map(|pair| names(&topology, &[pair.functions.0, pair.functions.1])).collect();
    assert_eq!(pairs, [["12:00.0", "13:00.0"], ["22:00.0", "23:00.0"]], "a switch's port may block");
}

#[test]
fn a_host_bridge_that_is_missing_is_not_known_and_too_many_functions_are_refused() {
    let mut machine = machine((0x8086, 0x09a2), 0x001d, false);
    machine.functions_mut().retain(|(at, _)| at.bus() != 0);
    let orphans = found(&machine.topology());
    assert!(orphans.sets.is_empty());
    let apart = orphans.pairs.iter().find(|pair| pair.functions == (4, 9)).or(orphans.pairs.last());
    let by = apart.expect("a pair").way.expect_err("not known").by;
    assert!(by.is_not_captured(), "{by:?}");
    assert!(matches!(
        by,
        Hindrance::Route { reason: Reason::BridgeNotInDump, .. } | Hindrance::HostBridge(_)
    ));
    let topology = machine.topology();
    let database = db::builtin().expect("valid");
    let fabric = Fabric::new(&topology, &database);
    let error = cliques(&fabric, &[0; MAX_FUNCTIONS + 1], &Assumptions::default()).expect_err("too many");
    assert_eq!(error.functions, MAX_FUNCTIONS + 1);
}
