//! See `src/testkit/fuzz/kernel_cmdline.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| acsscan::testkit::fuzz::run("kernel_cmdline", bytes));
