//! A window over a stream: lines of bounded length, and a look ahead.

use std::io::{self, Read};
use std::vec;
use std::vec::Vec;

use memchr::memchr;

/// Size of the window: small enough to stay in the processor's cache, many times a record.
const SIZE: usize = 256 * 1024;

/// Longest line that is looked at; longer ones are skipped to their end.
pub(super) const MAX_LINE: usize = 64 * 1024;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A window over a stream.
pub(super) struct Window<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    finished: bool,
    /// Where the last line begins, if nothing ended it.
    open_line: Option<usize>,
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; SIZE], start: 0, end: 0, finished: false, open_line: None }
    }

    /// What it is filled from.
    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// What is in the window, without reading more.
    pub(super) fn ahead(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether the window holds the rest of the stream.
    pub(super) fn is_last(&self) -> bool {
        self.finished
    }

    /// Reads until `wanted` bytes are ahead, or all that there are.
    pub(super) fn look_ahead(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.end.saturating_sub(self.start) < wanted.min(SIZE) && !self.finished {
            self.fill()?;
        }
        Ok(self.ahead())
    }

    /// Drops the byte order mark that Windows puts before a text.
    pub(super) fn skip_mark(&mut self) -> io::Result<()> {
        if self.look_ahead(BYTE_ORDER_MARK.len())?.starts_with(BYTE_ORDER_MARK) {
            self.consume(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    /// Drops `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// The next line without its end, or an empty one in place of a line longer than [`MAX_LINE`].
    pub(super) fn line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = 0;
        loop {
            let ahead = self.ahead();
            if let Some(more) = newline(ahead.get(searched..).unwrap_or_default()) {
                let length = searched.saturating_add(more);
                let from = self.start;
                self.consume(length.saturating_add(1));
                return Ok(Some(self.bounded(from, length)));
            }
            searched = ahead.len();
            if self.finished {
                if searched == 0 {
                    return Ok(None);
                }
                let from = self.start;
                self.consume(searched);
                self.open_line = Some(from);
                return Ok(Some(self.bounded(from, searched)));
            }
            if searched > MAX_LINE {
                self.skip_line()?;
                return Ok(Some(&[]));
            }
            self.fill()?;
        }
    }

    /// The last line of the stream, once it was given, if no line end stands behind it.
    pub(super) fn open_line(&self) -> Option<&[u8]> {
        self.buffer.get(self.open_line?..self.end)
    }

    fn bounded(&self, from: usize, length: usize) -> &[u8] {
        if length > MAX_LINE {
            return &[];
        }
        let line = self.buffer.get(from..from.saturating_add(length)).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Drops everything up to and including the next newline.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let ahead = self.ahead();
            let (length, found) = (ahead.len(), newline(ahead));
            match found {
                Some(at) => {
                    self.consume(at.saturating_add(1));
                    return Ok(());
                }
                None => self.consume(length),
            }
            if self.finished {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Moves what is ahead to the front and reads once.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        let Some(free) = self.buffer.get_mut(self.end..).filter(|free| !free.is_empty()) else {
            return Ok(());
        };
        loop {
            match self.input.read(free) {
                Ok(0) => self.finished = true,
                Ok(count) => self.end = self.end.saturating_add(count).min(SIZE),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

/// What is ahead first, then the rest of the stream.
#[cfg(feature = "archive")]
impl<R: Read> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead().is_empty() && !self.finished {
            self.fill()?;
        }
        let count = self.ahead().read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

fn newline(bytes: &[u8]) -> Option<usize> {
    memchr(b'\n', bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, as a slow pipe would.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn all<R: Read>(input: R) -> Vec<Vec<u8>> {
        let mut window = Window::new(input);
        let mut lines = Vec::new();
        while let Some(line) = window.line().expect("no error") {
            lines.push(line.to_vec());
        }
        lines
    }

    #[test]
    fn lines_come_whole_whatever_the_reads_give() {
        let text = b"one\r\n\ntwo\nthree that is longer than a chunk of the search for newlines\nlast";
        let whole = all(&text[..]);
        assert_eq!(whole, all(Trickle(text)));
        assert_eq!(whole.len(), 5);
        assert_eq!(whole[0], b"one");
        assert_eq!(whole[4], b"last");
    }

    #[test]
    fn an_endless_line_is_skipped_in_bounded_memory() {
        let long = io::repeat(b'x').take(3 << 20);
        let mut window = Window::new(long.chain(&b"\nafter\n"[..]));
        assert_eq!(window.line().expect("no error"), Some(&b""[..]));
        assert_eq!(window.line().expect("no error"), Some(&b"after"[..]));
        assert_eq!(window.line().expect("no error"), None);
        assert_eq!(window.buffer.len(), SIZE);
    }

    #[test]
    fn the_longest_line_passes_and_one_byte_more_does_not() {
        for (length, kept) in [(MAX_LINE, MAX_LINE), (MAX_LINE + 1, 0)] {
            let line = io::repeat(b'x').take(length as u64);
            let lines = all(line.chain(&b"\nafter"[..]));
            assert_eq!((lines[0].len(), lines.len()), (kept, 2));
        }
    }
}
