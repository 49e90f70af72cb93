//! Decoding by the quick walkers against decoding by the careful ones: the body of a fuzz target.

use crate::addr::Sbdf;
use crate::config::ConfigSpace;
use crate::function::{decode, decode_carefully};

/// Decodes the bytes both ways, as many of them as a configuration space has: fields, extras and anomalies
/// are the same.
///
/// # Panics
///
/// If they are not.
pub fn agrees(address: Sbdf, bytes: &[u8]) {
    let config = ConfigSpace::new(bytes);
    assert_eq!(decode(address, &config), decode_carefully(address, &config));
}
