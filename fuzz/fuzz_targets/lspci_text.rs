//! See `src/testkit/fuzz/lspci_text.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("lspci_text", bytes));
