//! See `src/testkit/fuzz/topology.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("topology", bytes));
