//! A function's `config` file that is read where decoding asks for it and nowhere else.
//!
//! The function behind it may go away, fall asleep, or be taken from the reader at any time: what was read
//! until then counts, and what could not be read is told.

use core::cell::Cell;
use core::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::vec;
use std::vec::Vec;

use crate::config::{SIZE, Source};

/// Something that is read at offsets: a file.
pub(super) trait ReadAt {
    /// Reads once, from `offset` on.
    fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How long it says it is; some of sysfs's passers-on say 0.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl<F: ReadAt> ReadAt for &F {
    fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_once_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }
}

/// Bytes from an offset to the end.
pub(super) struct Sequential<F> {
    file: F,
    at: u64,
}

impl<F: ReadAt> Sequential<F> {
    pub(super) fn from(file: F, at: u64) -> Self {
        Self { file, at }
    }

    /// Where the first byte is that was not read yet.
    pub(super) fn at(&self) -> u64 {
        self.at
    }
}

impl<F: ReadAt> Read for Sequential<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_once_at(buffer, self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

/// Fills the buffer from `offset` on as far as the file goes; gives how many bytes there were.
pub(super) fn read_full_at<F: ReadAt>(file: &F, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0_usize;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_once_at(rest, offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(count) => done = done.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// An open `config` file; the start is kept, the rest is read when it is asked for.
pub(super) struct Config<F> {
    file: F,
    /// The first bytes, which were read when it was opened.
    start: Vec<u8>,
    extent: u16,
    limited: bool,
    lost: Cell<Option<Lost>>,
}

/// What the kernel gives to everybody.
const HEADER: u16 = 64;

/// The first read that failed although the file had said that the bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    at: u16,
    /// Without: the file ended there.
    error: Option<io::ErrorKind>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, error } = self;
        match error {
            Some(error) => write!(f, "reading at {at:#05x} failed while the function was read ({error})"),
            None => write!(f, "ended at {at:#05x} while the function was read: it may be gone"),
        }
    }
}

impl<F: ReadAt> Config<F> {
    /// Reads the header, or where the `whole` file is wanted, all of it.
    pub(super) fn open(file: F, whole: bool) -> io::Result<Self> {
        let size = match file.size()? {
            0 => SIZE,
            size => u16::try_from(size).unwrap_or(SIZE).min(SIZE),
        };
        let mut start = vec![0; usize::from(if whole { size } else { HEADER })];
        let length = read_full_at(&file, &mut start, 0)?;
        start.truncate(length);
        let mut extent = u16::try_from(length).unwrap_or(SIZE);
        if extent == HEADER && !whole {
            // The largest size whose last byte can be read: that of the file, else what the kernel
            // limits it to.
            let sizes = [size, 256, 128];
            let readable = |size: &u16| *size > HEADER && ends_at(&file, *size);
            extent = sizes.into_iter().filter(|end| *end <= size).find(readable).unwrap_or(HEADER);
        }
        let limited = extent < size && extent > 0;
        Ok(Self { file, start, extent, limited, lost: Cell::new(None) })
    }

    /// Whether the file gave less than its size from the beginning.
    pub(super) fn is_limited(&self) -> bool {
        self.limited
    }

    /// What went wrong after it was opened.
    pub(super) fn lost(&self) -> Option<Lost> {
        self.lost.get()
    }
}

/// Whether the last bytes before `end` can be read.
fn ends_at<F: ReadAt>(file: &F, end: u16) -> bool {
    let mut last = [0; 1];
    matches!(read_full_at(file, &mut last, u64::from(end.saturating_sub(1))), Ok(1))
}

impl<F: ReadAt> Source for &Config<F> {
    fn extent(&self) -> u16 {
        self.extent
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let end = usize::from(offset).checked_add(N)?;
        if end > usize::from(self.extent) {
            return None;
        }
        if end <= self.start.len() {
            return self.start.get(usize::from(offset)..)?.first_chunk().copied();
        }
        // What has gone away once is not asked again.
        if self.lost.get().is_some() {
            return None;
        }
        let mut bytes = [0; N];
        let error = match read_full_at(&self.file, &mut bytes, u64::from(offset)) {
            Ok(length) if length == N => return Some(bytes),
            Ok(_) => None,
            Err(error) => Some(error.kind()),
        };
        self.lost.set(Some(Lost { at: offset, error }));
        None
    }
}

#[cfg(all(test, feature = "testkit"))]
mod tests {
    use super::*;
    use crate::config::ConfigSpace;
    use crate::function::{Decoded, decode};
    use crate::testkit::Config as Bytes;
    use std::fs;
    use std::string::ToString;

    /// A file of which not everything can be read, or not always.
    struct Fake {
        bytes: Vec<u8>,
        /// From here on reads fail, or find the end.
        fails_from: u64,
        error: Option<i32>,
        /// Bytes that one read gives at most.
        at_most: usize,
        /// Reads after which the function answers with ones.
        asleep_after: usize,
        reads: Cell<usize>,
        asked: Cell<u64>,
    }

    impl Fake {
        fn new(bytes: &[u8]) -> Self {
            Self {
                bytes: bytes.to_vec(),
                fails_from: u64::MAX,
                error: None,
                at_most: usize::MAX,
                asleep_after: usize::MAX,
                reads: Cell::new(0),
                asked: Cell::new(0),
            }
        }
    }

    impl ReadAt for Fake {
        fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.reads.set(self.reads.get() + 1);
            let length = buffer.len().min(self.at_most);
            self.asked.set(self.asked.get() + length as u64);
            // The byte at the end is there as long as the function is: opening asks for it.
            let probe = offset + 1 == self.bytes.len() as u64;
            if offset + length as u64 > self.fails_from && !probe {
                return self.error.map_or(Ok(0), |error| Err(io::Error::from_raw_os_error(error)));
            }
            let from = usize::try_from(offset).expect("small").min(self.bytes.len());
            let to = (from + length).min(self.bytes.len());
            let filled = &mut buffer[..to - from];
            filled.copy_from_slice(&self.bytes[from..to]);
            if self.reads.get() > self.asleep_after {
                filled.fill(0xff);
            }
            Ok(to - from)
        }

        fn size(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }
    }

    fn root_port() -> Vec<u8> {
        Bytes::root_port(1, 1).ari().acs(0x1f, 0x1d, 0).bytes().to_vec()
    }

    fn read(fake: Fake) -> (Decoded, Option<Lost>, Fake) {
        let config = Config::open(fake, false).expect("opened");
        let decoded = decode("00:01.0".parse().expect("valid"), &ConfigSpace::new(&config));
        (decoded, config.lost(), config.file)
    }

    #[test]
    fn short_reads_are_put_together() {
        let whole = decode("00:01.0".parse().expect("valid"), &ConfigSpace::new(root_port().as_slice()));
        for at_most in [1, 3, 63] {
            let (decoded, lost, _) = read(Fake { at_most, ..Fake::new(&root_port()) });
            assert_eq!((decoded, lost), (whole.clone(), None));
        }
    }

    #[test]
    fn a_function_that_goes_away_keeps_what_was_read_and_proves_nothing_absent() {
        const EIO: i32 = 5;
        let whole = decode("00:01.0".parse().expect("valid"), &ConfigSpace::new(root_port().as_slice()));
        assert!(whole.function.acs.present().is_some());
        for error in [Some(EIO), None] {
            for fails_from in [64, 0x41, 0x50, 0x100, 0x104, 0x110, 0x114] {
                let (decoded, lost, _) = read(Fake { fails_from, error, ..Fake::new(&root_port()) });
                let function = decoded.function;
                assert_eq!(function.vendor_id, whole.function.vendor_id);
                assert!(function.acs.is_not_captured() && !function.pcie.is_absent(), "{fails_from:#x}");
                assert!(!function.is_complete());
                let lost = lost.expect("told");
                assert!(u64::from(lost.at) + 4 > fails_from, "{lost:?}");
                assert_eq!(lost.error.is_some(), error.is_some());
                assert!(lost.to_string().contains("while the function was read"));
            }
        }
    }

    #[test]
    fn what_has_gone_away_is_not_asked_again() {
        let (_, lost, file) = read(Fake { fails_from: 64, error: Some(5), ..Fake::new(&root_port()) });
        assert!(lost.is_some());
        // The header, the last byte, and the one that failed.
        assert_eq!(file.reads.get(), 3);
    }

    #[test]
    fn a_function_that_falls_asleep_is_not_decoded_from_ones() {
        let (awake, ..) = read(Fake::new(&root_port()));
        for asleep_after in 0..20 {
            let (decoded, _, file) = read(Fake { asleep_after, ..Fake::new(&root_port()) });
            if file.reads.get() <= asleep_after {
                break;
            }
            let function = decoded.function;
            let as_it_was = function.acs == awake.function.acs || function.acs.is_not_captured();
            let ones = function.acs.present().is_some_and(|acs| acs.control.reads_all_ones());
            assert!(as_it_was || ones, "after {asleep_after} reads: {:?}", function.acs);
            assert!(!function.acs.is_absent());
        }
    }

    #[test]
    fn only_what_decoding_needs_is_read() {
        let (_, _, file) = read(Fake::new(&root_port()));
        let asked = file.asked.get();
        assert!(asked < 200, "{asked} of 4096 bytes");
    }

    #[test]
    fn reads_stop_where_the_file_does() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("config");
        let lengths = [(0, 0), (10, 10), (64, 64), (100, 100), (256, 256), (4096, 4096), (5000, 4096)];
        let cases = lengths.into_iter().flat_map(|case| [(case, false), (case, true)]);
        for ((length, extent), whole) in cases {
            fs::write(&path, vec![7; length]).expect("written");
            let config = Config::open(File::open(&path).expect("there"), whole).expect("read");
            let source = &config;
            assert_eq!(source.extent(), extent);
            assert!(!config.is_limited());
            assert_eq!(source.array(extent.saturating_sub(4)), (extent >= 4).then_some([7_u8; 4]));
            assert_eq!(source.array::<4>(extent.saturating_sub(3)), None);
            assert_eq!(source.array::<4>(62), (extent >= 66).then_some([7; 4]));
            assert_eq!(source.array::<4>(u16::MAX), None);
        }
    }
}
