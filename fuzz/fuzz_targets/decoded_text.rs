//! See `src/testkit/fuzz/decoded_text.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("decoded_text", bytes));
