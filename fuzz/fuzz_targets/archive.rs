//! See `src/testkit/fuzz/archive.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("archive", bytes));
