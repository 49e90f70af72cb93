//! The C header that is committed is the one that the sources make.
//!
//! `ACSSCAN_BLESS=1 cargo test --all-features` writes it anew.
#![cfg(feature = "capi")]

use std::path::Path;

#[test]
fn the_committed_header_is_what_the_sources_make() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("a configuration");
    let bindings = cbindgen::generate_with_config(root, config).expect("a header");
    let mut made = Vec::new();
    bindings.write(&mut made);
    let made = String::from_utf8(made).expect("UTF-8");
    let path = root.join("src/capi/acsscan.h");
    if std::env::var_os("ACSSCAN_BLESS").is_some() {
        std::fs::write(&path, &made).expect("writable");
    }
    let committed = std::fs::read_to_string(&path).expect("src/capi/acsscan.h");
    assert!(committed == made, "src/capi/acsscan.h is stale: ACSSCAN_BLESS=1 cargo test --all-features");
    assert!(!made.contains("CScan"), "every type has its C name");
}
