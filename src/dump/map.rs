//! Mapping of a file into memory: the only unsafe code of the readers, and only where it is asked for.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps the file for reading.
///
/// If another process shortens the file while it is mapped, a later read of the mapping kills this
/// process (SIGBUS); if it writes to the file, what was read may not be consistent. That is why
/// mapping is opt-in.
#[expect(unsafe_code, reason = "mapping has no safe form: the file can change under the mapping")]
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the mapping is private and read-only, and nothing in this process writes to the file.
    // Bytes are only ever read as bytes, for which every value is valid. What other processes do to the
    // file meanwhile is the documented risk of the option.
    unsafe { Mmap::map(file) }
}
