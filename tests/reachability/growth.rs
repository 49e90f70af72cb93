//! How the work grows where egress control vectors decide, which is asked inside one switch or device and never
//! between them; where bus numbers do not tell what is below bridges; and where every device is asked about.

use std::hint::black_box;
use std::time::Duration;

use acsscan::addr::{Bdf, Sbdf, Segment};
use acsscan::db::Database;
use acsscan::finding::{Facts, Questions};
use acsscan::route::Assumptions;
use acsscan::route::accept::Acceptances;
use acsscan::route::check::{Policy, Unknown, Verdict};
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::Linux;
use acsscan::testkit::engines::all_assumptions;
use acsscan::testkit::{Config, Machine};
use acsscan::topology::Topology;
use nix::time::{ClockId, clock_gettime};

fn add(machine: &mut Machine, segment: usize, bus: usize, devfn: usize, config: Config) {
    let bdf = Bdf::from_bits((bus << 8 | devfn) as u16);
    machine.add(Sbdf { segment: Segment(segment as u32), bdf }, config);
}

/// A vector that differs from port to port.
fn vector(n: usize) -> u32 {
    (n as u32).wrapping_mul(0x9e37_79b9)
}

/// In each segment six root ports with egress control, each above a switch with eight ports that have it, each
/// above a device of eight functions that have it, too.
fn switches(segments: usize) -> Topology {
    let mut machine = Machine::new();
    for segment in 0..segments {
        for root in 0..6 {
            let first = root * 10 + 1;
            let (last, number) = (first as u8 + 9, root as u8);
            let port =
                Config::root_port(first as u8, last).port_number(number).acs(0x207f, 0x3d, vector(root));
            add(&mut machine, segment, 0, (root + 1) << 3, port);
            add(&mut machine, segment, first, 0, Config::upstream(first as u8 + 1, last));
            for n in 0..8 {
                let bus = first as u8 + 2 + n as u8;
                let port = Config::downstream(n as u8, bus, bus).acs(0x207f, 0x3d, vector(root * 8 + n));
                add(&mut machine, segment, first + 1, n << 3, port);
                for function in 0..8 {
                    let config = Config::endpoint().multi_function().bar(1, 0xc001);
                    let config = config.acs(0x087f, 0x3d, vector(n * 8 + function));
                    add(&mut machine, segment, usize::from(bus), function, config);
                }
            }
        }
    }
    machine.topology()
}

/// A device whose virtual functions fill this many buses, each with a vector of its own.
fn virtual_functions(buses: usize) -> Topology {
    let mut machine = Machine::new();
    let port = Config::root_port(1, buses as u8).acs(0x5f, 0x1d, 0).ari_forwarding();
    add(&mut machine, 0, 0, 8, port);
    let count = buses * 256 - 1;
    let physical = Config::endpoint().ari().acs(0x007f, 0x3d, vector(0)).sriov(1, 1, count as u16);
    add(&mut machine, 0, 1, 0, physical);
    for n in 1..=count {
        let config = Config::virtual_function().acs(0x007f, 0x3d, vector(n));
        add(&mut machine, 0, 1 + n / 256, n % 256, config);
    }
    machine.topology()
}

/// In each segment root ports that are flattening portals, each above a device, and as many devices on buses
/// that no bridge leads to.
fn portals(segments: usize) -> Topology {
    let mut machine = Machine::new();
    for segment in 0..segments {
        for root in 0..64_u8 {
            let (own, orphan) = (1 + root, 128 + root);
            let port = Config::root_port(own, own).acs(0x5f, 0x1d, 0).flattening_portal(true, false);
            add(&mut machine, segment, 0, (usize::from(root) + 1) << 1, port);
            for function in 0..4 {
                let config = || Config::endpoint().multi_function();
                add(&mut machine, segment, usize::from(own), function, config());
                add(&mut machine, segment, usize::from(orphan), function, config());
            }
        }
    }
    machine.topology()
}

/// What this thread has worked: other threads and processes take no part.
fn worked() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the clock of a thread").into()
}

fn shortest(topology: &Topology) -> Duration {
    let database = Database::default();
    let run = || {
        let started = worked();
        let fabric = Fabric::new(topology, &database);
        for assumptions in all_assumptions() {
            black_box(fabric.domains(&assumptions));
        }
        black_box(fabric.unsettled(&Assumptions::default()));
        worked().saturating_sub(started)
    };
    (0..3).map(|_| run()).min().expect("some runs")
}

/// Fails where what is four times as large takes more than four times as long by far: sixteen times is what
/// pairs would take.
fn assert_grows_with_size(name: &str, make: fn(usize) -> Topology, size: usize) {
    let (small, large) = (shortest(&make(size)), shortest(&make(4 * size)));
    assert!(large < 10 * small, "{name}: {small:?}, and of four times as many {large:?}");
}

#[test]
fn work_with_bridges_that_bus_numbers_do_not_describe_grows_with_functions_not_with_bridges_times_them() {
    assert_grows_with_size("flattening portals", portals, 8);
}

/// Conventional bridges with full buses: all of it is one domain.
fn conventional(buses: usize) -> Topology {
    let mut machine = Machine::new();
    add(&mut machine, 0, 0, 8, Config::conventional().buses(1, 1 + buses as u8));
    for bus in 2..2 + buses {
        let bridge = Config::conventional().buses(bus as u8, bus as u8).multi_function();
        add(&mut machine, 0, 1, bus - 2, bridge);
        for devfn in 0..256 {
            add(&mut machine, 0, bus, devfn, Config::conventional().multi_function());
        }
    }
    machine.topology()
}

#[test]
fn asking_about_every_device_grows_with_functions_not_with_pairs_of_them() {
    let asked = |buses: usize| {
        let (topology, database) = (conventional(buses), Database::default());
        let (linux, accepted) = (
            Linux::new(&topology, &database),
            Acceptances::new(&topology, &database, super::survey::TODAY, false),
        );
        let (fabric, grouping) = (Fabric::seen_by(&linux), linux.group());
        let domains = fabric.domains(&Assumptions::default());
        let devices = super::survey::devices(&topology);
        assert_eq!(devices.len(), buses * 32);
        let started = worked();
        let mut questions =
            Questions::new(Facts::new(&linux, &fabric, &domains, &grouping, &accepted), Unknown::Fail);
        for device in devices {
            let question = questions.ask(&device);
            let judgement = question.judge(Policy::Spec);
            assert_eq!(question.verdict(&judgement), Verdict::NotAssignable);
            assert!(question.why(&judgement).is_some());
        }
        worked().saturating_sub(started)
    };
    // Both are beyond what is looked at pair by pair.
    let (small, large) = (asked(8), asked(32));
    assert!(large < 10 * small, "{small:?}, and of four times as many {large:?}");
}

#[test]
fn work_with_egress_control_vectors_grows_with_switches_and_devices_not_with_pairs_of_them() {
    assert_grows_with_size("switches", switches, 2);
    assert_grows_with_size("virtual functions", virtual_functions, 1);
}
