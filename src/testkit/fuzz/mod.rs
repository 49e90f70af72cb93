//! Bodies of the fuzz targets: each takes bytes that nobody vouches for through one boundary, and
//! asserts what must hold whatever they are.
//!
//! A target in `fuzz/fuzz_targets` calls one of them, and `tests/fuzz_corpus.rs` calls them all with the
//! committed seeds of `corpus/fuzz` on a stable compiler. To add a target: a file here, a line in
//! [`TARGETS`], a file in `fuzz/fuzz_targets` with its `[[bin]]`, seeds in `corpus/fuzz`.

mod archive;
mod config_space;
mod database;
mod decoded_text;
mod domain_xml;
mod ecam;
mod hierarchy;
mod judge;
mod kernel_cmdline;
mod lspci_text;
mod rdma_topo;
mod scratch;
mod topology;
mod tree;

pub use config_space::{takes_away, walks};
pub use judge::harmless;

/// What a target does with its input. Panics if something does not hold.
pub type Body = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Body); 12] = [
    ("archive", archive::run),
    ("config_space", config_space::run),
    ("database", database::run),
    ("decoded_text", decoded_text::run),
    ("domain_xml", domain_xml::run),
    ("ecam", ecam::run),
    ("hierarchy", hierarchy::run),
    ("kernel_cmdline", kernel_cmdline::run),
    ("lspci_text", lspci_text::run),
    ("rdma_topo", rdma_topo::run),
    ("topology", topology::run),
    ("tree", tree::run),
];

/// Runs the body of the target with this name.
///
/// # Panics
///
/// If something does not hold, or there is no such target.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    body(bytes);
}

/// Takes the first `N` bytes; zeros where there are not so many.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let mut taken = [0; N];
    let (first, rest) = bytes.split_at(N.min(bytes.len()));
    taken[..first.len()].copy_from_slice(first);
    *bytes = rest;
    taken
}
