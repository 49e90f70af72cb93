//! Decoding functions in memory, beside the limit and beside other crates: `cargo bench --bench walk`.

mod walks;

use acsscan::testkit::generate::Size;
use criterion::{BenchmarkId, Criterion, Throughput};

fn walk(criterion: &mut Criterion) {
    for size in [Size::S, Size::Xl] {
        let machine = walks::Machine::new(size);
        let mut group = criterion.benchmark_group(format!("walk {}", size.word()));
        group.throughput(Throughput::Elements(machine.len() as u64)).sample_size(10);
        for (name, walk) in walks::WALKS {
            group.bench_with_input(BenchmarkId::from_parameter(name), &machine, |bencher, machine| {
                bencher.iter(|| walk(machine));
            });
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    walk(&mut criterion);
    criterion.final_summary();
}
