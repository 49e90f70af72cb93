//! See `src/testkit/fuzz/config_space.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("config_space", bytes));
