//! See `src/testkit/fuzz/hierarchy.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("hierarchy", bytes));
