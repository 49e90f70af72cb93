//! See `src/testkit/fuzz/domain_xml.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("domain_xml", bytes));
