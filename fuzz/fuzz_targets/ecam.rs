//! See `src/testkit/fuzz/ecam.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("ecam", bytes));
