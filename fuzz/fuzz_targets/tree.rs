//! See `src/testkit/fuzz/tree.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("tree", bytes));
