//! See `src/testkit/fuzz/rdma_topo.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("rdma_topo", bytes));
