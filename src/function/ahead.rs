//! Touching what will be read: over many functions in memory, decoding waits for cache lines.

use core::hint::black_box;

/// Where capabilities mostly stand: the header and the rest of the first 256 bytes, and the first
/// structures of the extended list.
const LIKELY: [usize; 12] = [0x00, 0x40, 0x80, 0xc0, 0x100, 0x140, 0x180, 0x1c0, 0x200, 0x240, 0x280, 0x2c0];

/// How many functions ahead of the one that is decoded [`touch`] helps most.
pub const AHEAD: usize = 2;

/// Loads the lines of a function's configuration space that decoding is likely to ask for.
///
/// Following a capability list is a chain of loads of which each waits for the one before; these do not
/// wait for each other. To be called for the function [`AHEAD`] of the one that is decoded next, where
/// functions are in memory that the processor's caches do not hold.
#[inline]
pub fn touch(bytes: &[u8]) {
    for at in LIKELY {
        if let Some(byte) = bytes.get(at) {
            black_box(*byte);
        }
    }
}
