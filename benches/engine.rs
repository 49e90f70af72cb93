//! The routing engine alone: topology, fabric, domains, pairs and the matrix, on the machines of the
//! benchmark set and on such as are meant to hurt.
//!
//! `cargo bench --features testkit --bench engine`. Criterion gives time for each function; for instructions,
//! which do not depend on what else the machine does, the engine can run one pass alone:
//! `valgrind --tool=callgrind --toggle-collect='*Fabric*::domains' target/release/deps/engine-… --once L`.

use std::hint::black_box;

use acsscan::addr::{Bdf, Sbdf, Segment};
use acsscan::config::ConfigSpace;
use acsscan::db::Database;
use acsscan::function::{Attributes, Inventory, Record, Sink};
use acsscan::route::Assumptions;
use acsscan::route::fabric::Fabric;
use acsscan::route::port::TlpClass;
use acsscan::testkit::generate::{self, Set, Size};
use acsscan::testkit::{Config, Machine};
use acsscan::topology::Topology;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

const ISOLATING: u16 = 0x1d;

fn at(segment: u32, bus: u32, devfn: u32) -> Sbdf {
    Sbdf { segment: Segment(segment), bdf: Bdf::from_bits((bus << 8 | devfn) as u16) }
}

/// 255 root ports with 256 functions each, below each one device, with ACS in the ports.
fn root_ports(control: u16) -> Topology {
    let mut machine = Machine::new();
    for port in 1..=255 {
        let config = Config::root_port(port as u8, port as u8).acs(0x5f, control, 0).ari_forwarding();
        machine.add(at(0, 0, port), config);
        for function in 0..256 {
            let config = Config::endpoint().ari().multi_function().acs(0, 0, 0);
            machine.add(at(0, port, function), config);
        }
    }
    machine.topology()
}

/// In each of 32 segments root ports above four switches inside each other: functions at depth 9.
fn switches() -> Topology {
    let mut machine = Machine::new();
    for segment in 0..32 {
        for port in 0..15 {
            let base = port * 16 + 1;
            let last = base + 15;
            let root = Config::root_port(base as u8, last as u8).acs(0x5f, ISOLATING, 0);
            machine.add(at(segment, 0, (port + 1) << 3), root);
            for level in 0..4 {
                let bus = base + level * 3;
                machine.add(at(segment, bus, 0), Config::upstream((bus + 1) as u8, last as u8));
                let port = |number: u8, first: u32, last: u32| {
                    Config::downstream(number, first as u8, last as u8).acs(0x5f, ISOLATING, 0)
                };
                machine.add(at(segment, bus + 1, 0), port(1, bus + 2, bus + 2).ari_forwarding());
                if level < 3 {
                    machine.add(at(segment, bus + 1, 8), port(2, bus + 3, last));
                }
                for function in 0..45 {
                    let config = Config::endpoint().ari().multi_function().acs(0, 0, 0);
                    machine.add(at(segment, bus + 2, function), config);
                }
            }
        }
    }
    machine.topology()
}

/// One bridge below the other, 255 deep.
fn chain() -> Topology {
    let mut machine = Machine::new();
    machine.add(at(0, 0, 8), Config::root_port(1, 255).acs(0x5f, ISOLATING, 0));
    for bus in 1..255 {
        machine.add(at(0, bus, 0), Config::upstream(bus as u8 + 1, 255));
        for device in 1..30 {
            machine.add(at(0, bus, device << 3), Config::endpoint());
        }
    }
    machine.topology()
}

/// Root ports in many segments: nothing is below a common one. With nothing that names their root buses,
/// the endpoints are orphans.
fn segments(ports: bool, control: u16) -> Topology {
    let mut machine = Machine::new();
    for segment in 0..16_000 {
        if ports {
            let config = Config::root_port(1, 1).acs(0x5f, control, 0);
            machine.add(at(segment, 0, 8), config);
        }
        machine.add(at(segment, 1, 0), Config::endpoint());
        machine.add(at(segment, 1, 8), Config::endpoint());
    }
    machine.topology()
}

/// A machine of the benchmark set.
fn generated(set: Set, size: Size) -> Topology {
    let mut inventory = Inventory::new();
    let mut space = [0; 4096];
    for node in generate::machine(set, size, 1) {
        let config = &ConfigSpace::new(node.bytes(1, &mut space));
        inventory.record(Record { address: node.address, config, attributes: Attributes::default() });
    }
    Topology::new(inventory.finish())
}

/// Name of a machine, and how it is made.
type Shape = (&'static str, fn() -> Topology);

const SHAPES: [Shape; 12] = [
    ("S", || generated(Set::Regular, Size::S)),
    ("M", || generated(Set::Regular, Size::M)),
    ("L", || generated(Set::Regular, Size::L)),
    ("XL", || generated(Set::Regular, Size::Xl)),
    ("chains", || generated(Set::Chain, Size::L)),
    ("buses", || generated(Set::Buses, Size::L)),
    ("root-ports", || root_ports(ISOLATING)),
    ("root-ports-open", || root_ports(0)),
    ("switches", switches),
    ("chain", chain),
    ("segments-without-validation", || segments(true, ISOLATING & !1)),
    ("orphans", || segments(false, 0)),
];

fn engine(criterion: &mut Criterion) {
    let (database, default) = (Database::default(), Assumptions::default());
    let unknown = Assumptions::without_root_complex();
    for (name, make) in SHAPES {
        let topology = &make();
        let fabric = Fabric::new(topology, &database);
        let mut group = criterion.benchmark_group("pass");
        group.sample_size(10);
        group.throughput(Throughput::Elements(topology.functions().len() as u64));
        group.bench_function(BenchmarkId::new("topology", name), |b| {
            b.iter_batched(|| topology.inventory().clone(), Topology::new, BatchSize::LargeInput);
        });
        group.bench_function(BenchmarkId::new("fabric", name), |b| {
            b.iter(|| Fabric::new(black_box(topology), &database));
        });
        group.bench_function(BenchmarkId::new("domains", name), |b| b.iter(|| fabric.domains(&default)));
        group.bench_function(BenchmarkId::new("domains-root-complex-unknown", name), |b| {
            b.iter(|| fabric.domains(&unknown));
        });
        group.bench_function(BenchmarkId::new("unsettled", name), |b| b.iter(|| fabric.unsettled(&default)));
        if fabric.matrix(&[], &default).is_ok() {
            group.bench_function(BenchmarkId::new("matrix", name), |b| {
                b.iter(|| fabric.matrix(&[], &default))
            });
        }
        group.finish();
        pairs(criterion, name, &fabric, &default);
    }
}

/// One class for one pair, no route kept: the same deep pair again and again, and pairs all over.
fn pairs(criterion: &mut Criterion, name: &str, fabric: &Fabric<'_>, assumptions: &Assumptions) {
    let initiators: Vec<usize> =
        (0..fabric.topology().functions().len()).filter(|index| fabric.initiates(*index)).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut pick = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        initiators[(state % initiators.len() as u64) as usize]
    };
    let random: Vec<(usize, usize)> = (0..4096).map(|_| (pick(), pick())).collect();
    let deepest =
        |(s, t): &(usize, usize)| fabric.trace(*s, *t, TlpClass::MemoryTranslated, assumptions).hops.len();
    let Some(deep) = random.iter().copied().max_by_key(deepest) else { return };
    let mut group = criterion.benchmark_group("pair");
    group.sample_size(20);
    for class in [TlpClass::MemoryUntranslated, TlpClass::MemoryTranslated] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new(format!("repeated-{}", class.word()), name), |b| {
            b.iter(|| fabric.disposition(black_box(deep.0), black_box(deep.1), class, assumptions));
        });
        group.throughput(Throughput::Elements(random.len() as u64));
        group.bench_function(BenchmarkId::new(format!("random-{}", class.word()), name), |b| {
            b.iter(|| {
                for (s, t) in &random {
                    black_box(fabric.disposition(*s, *t, class, assumptions));
                }
            });
        });
    }
    group.finish();
}

/// One pass over one machine, for counting instructions.
fn once(name: &str) {
    let Some((_, make)) = SHAPES.iter().find(|(other, _)| *other == name) else { return };
    let (topology, database) = (make(), Database::default());
    black_box(Fabric::new(&topology, &database).domains(&Assumptions::default()));
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(name) = arguments.iter().position(|argument| argument == "--once") {
        return arguments.get(name + 1).map(|name| once(name)).unwrap_or_default();
    }
    let mut criterion = Criterion::default().configure_from_args();
    engine(&mut criterion);
    criterion.final_summary();
}
