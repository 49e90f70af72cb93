//! Decompression with a budget.

use std::boxed::Box;
use std::cell::Cell;
use std::fmt;
use std::format;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::vec::Vec;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::super::error::{Error, Unsupported};
use crate::limits::{Limit, Limits};

/// From how many unpacked bytes on the ratio counts.
const RATIO_FROM: u64 = 16 << 20;

/// A decompressor for what [`reads`](super::reads) names.
pub(super) fn decoder<'a>(
    what: Unsupported,
    input: Box<dyn Read + 'a>,
    limits: &Limits,
) -> Box<dyn Read + 'a> {
    let input = BufReader::new(input);
    match what {
        Unsupported::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Unsupported::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Unsupported::Zstd => {
            Box::new(Zstd { input, decoder: FrameDecoder::new(), in_frame: false, window: limits.window })
        }
        _ => {
            let kib = u32::try_from(limits.window >> 10).unwrap_or(u32::MAX);
            Box::new(Xz {
                reader: lzma_rust2::XzReader::new_mem_limit(input, true, kib),
                window: limits.window,
            })
        }
    }
}

/// What an error of unpacking means: a limit that was passed, or damage.
pub(super) fn failed(path: &Path, source: io::Error) -> Error {
    let path = path.to_path_buf();
    let exceeded = source.get_ref().and_then(|inner| inner.downcast_ref::<Exceeded>()).copied();
    match exceeded {
        Some(Exceeded { limit, value }) => Error::Limit { path, limit, value },
        None => Error::Unpack { path, source },
    }
}

/// A limit was passed; travels as an error of the stream.
#[derive(Clone, Copy, Debug)]
struct Exceeded {
    limit: Limit,
    value: u64,
}

impl Exceeded {
    fn error(limit: Limit, value: u64) -> io::Error {
        io::Error::other(Self { limit, value })
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} {}", self.value, self.limit.what())
    }
}

impl std::error::Error for Exceeded {}

/// What an input may cost, over all its layers.
#[derive(Clone)]
pub(super) struct Budget {
    /// Bytes of the input that were read.
    packed: Rc<Cell<u64>>,
    unpacked: u64,
    ratio: u64,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { packed: Rc::new(Cell::new(0)), unpacked: limits.unpacked, ratio: limits.ratio }
    }

    /// The input itself: what is read of it is what unpacking is measured by.
    pub(super) fn packed<R: Read>(&self, input: R) -> Packed<R> {
        Packed { input, count: Rc::clone(&self.packed) }
    }

    /// A layer: what comes out of it counts.
    pub(super) fn unpacked<R: Read>(&self, input: R) -> Unpacked<R> {
        Unpacked { input, budget: self.clone(), count: 0 }
    }
}

/// Counts what is read.
pub(super) struct Packed<R> {
    input: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.count.set(self.count.get().saturating_add(length as u64));
        Ok(length)
    }
}

/// Ends with an error where the budget does.
pub(super) struct Unpacked<R> {
    input: R,
    budget: Budget,
    count: u64,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.count = self.count.saturating_add(length as u64);
        let Budget { unpacked, ratio, .. } = self.budget;
        if self.count > unpacked {
            return Err(Exceeded::error(Limit::Unpacked, unpacked));
        }
        let packed = self.budget.packed.get();
        if self.count > RATIO_FROM && self.count > packed.saturating_mul(ratio) {
            return Err(Exceeded::error(Limit::Ratio, ratio));
        }
        Ok(length)
    }
}

/// xz, with the limit of its window told from damage.
struct Xz<R: Read> {
    reader: lzma_rust2::XzReader<R>,
    window: u64,
}

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => Exceeded::error(Limit::Window, self.window),
            _ => error,
        })
    }
}

/// Zstandard: frames one after the other, with those passed over that hold something else.
struct Zstd<R> {
    input: R,
    decoder: FrameDecoder,
    in_frame: bool,
    window: u64,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            while self.in_frame && self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBytes(buffer.len());
                self.decoder.decode_blocks(&mut self.input, strategy).map_err(io::Error::other)?;
            }
            let length = if self.in_frame { self.decoder.read(buffer)? } else { 0 };
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            self.in_frame = false;
            if self.input.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.begin()?;
        }
    }
}

impl<R: BufRead> Zstd<R> {
    fn begin(&mut self) -> io::Result<()> {
        let header = frame_header(&mut self.input)?;
        if window(&header).is_some_and(|window| window > self.window) {
            return Err(Exceeded::error(Limit::Window, self.window));
        }
        match self.decoder.reset(header.as_slice().chain(&mut self.input)) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                io::copy(&mut self.input.by_ref().take(u64::from(length)), &mut io::sink())?;
            }
            Err(FrameDecoderError::WindowSizeTooBig { requested }) => {
                let text = format!(
                    "it takes a window of {requested} bytes, more than can be had here: unpack it first, as with \
                     zstd -d --long=31"
                );
                return Err(io::Error::other(text));
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }
}

/// The first bytes of a frame, no more than its header has. Source: RFC 8878, 3.1.1.1 "Frame Header".
fn frame_header(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    input.take(5).read_to_end(&mut header)?;
    if let [0x28, 0xb5, 0x2f, 0xfd, descriptor] = *header.as_slice() {
        let single = descriptor & SINGLE_SEGMENT != 0;
        let [size, dictionary] = fields(descriptor);
        let rest = size.saturating_add(dictionary).saturating_add(u8::from(!single));
        input.take(u64::from(rest)).read_to_end(&mut header)?;
    }
    Ok(header)
}

/// The whole content is the window.
const SINGLE_SEGMENT: u8 = 0x20;

/// How many bytes the content's size and the dictionary's ID have.
const fn fields(descriptor: u8) -> [u8; 2] {
    let size = match descriptor >> 6 {
        0 => (descriptor & SINGLE_SEGMENT) >> 5,
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let dictionary = match descriptor & 3 {
        3 => 4,
        short => short,
    };
    [size, dictionary]
}

/// Bytes of the window that a frame's header asks for.
fn window(header: &[u8]) -> Option<u64> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = header else { return None };
    if descriptor & SINGLE_SEGMENT == 0 {
        let [window, ..] = rest else { return None };
        let base = 1_u64.checked_shl(u32::from(window >> 3).saturating_add(10))?;
        return Some(base.saturating_add((base >> 3).saturating_mul(u64::from(window & 7))));
    }
    let [size, dictionary] = fields(*descriptor);
    let digits = rest.get(usize::from(dictionary)..)?.iter().take(usize::from(size)).rev();
    let size_field = digits.fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    // Two bytes count from 256.
    Some(if size == 2 { size_field.saturating_add(256) } else { size_field })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_what_the_frame_says() {
        let of = |rest: &[u8]| window(&[&[0x28, 0xb5, 0x2f, 0xfd], rest].concat());
        // 1 KiB, 128 MiB, 128 MiB and seven eighths of it; a dictionary's ID and a size behind count nothing.
        assert_eq!(of(&[0, 0]), Some(1 << 10));
        assert_eq!(of(&[0, 0x88]), Some(128 << 20));
        assert_eq!(of(&[0xc3, 0x8f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), Some(240 << 20));
        // A single segment: one byte, two from 256 on, four, eight; behind a dictionary's ID of two.
        assert_eq!(of(&[0x20, 9]), Some(9));
        assert_eq!(of(&[0x60, 1, 1]), Some(257 + 256));
        assert_eq!(of(&[0xa2, 0, 0, 0, 0, 0, 1]), Some(1 << 24));
        assert_eq!(of(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 1]), Some(1 << 56));
        assert_eq!((of(&[]), of(&[0]), window(b"P*M\x18....")), (None, None, None));
        // What is read of a frame is its header.
        let mut input: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0xa2, 0, 0, 0, 0, 0, 1, 77];
        assert_eq!(frame_header(&mut input).expect("in memory").len(), 11);
        assert_eq!(input, [77]);
    }
}
