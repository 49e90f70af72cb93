//! The usual record, read where it is touched: the place of each line is computed, and what stands there
//! is checked before it is believed.
//!
//! Lines that decoding does not ask for are jumped over: a scan of a large dump then runs as fast as the
//! text can be read. A jump that does not land on a line of the expected offset, or on digits, spoils the
//! record, and the reader goes through it line by line.

use core::cell::Cell;

use super::hex::{LINES, PAIRS, WIDTH};
use super::uniform::line_at;
use crate::config::Source;

/// A record that was found by its first and its last line.
pub(super) struct LazyRecord<'a> {
    text: &'a [u8],
    line_end: usize,
    extent: u16,
    spoilt: Cell<bool>,
}

/// A record at the start of `text`, with its length: 64, 128, 256 or 4096 bytes long, an empty line or
/// the end behind it. `None` leaves it to a more careful reader.
pub(super) fn record(text: &[u8], is_last: bool) -> Option<(LazyRecord<'_>, usize)> {
    let line_end = match text.get(line_at(1, 0)..)? {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => return None,
    };
    // The shortest first: what follows a short record must not be taken for the rest of a long one.
    for lines in [4, 8, 16, LINES] {
        let length = line_at(lines, line_end);
        let ends = match text.get(length..) {
            None => return None,
            Some([]) => is_last,
            Some([b'\n', ..] | [b'\r', b'\n', ..]) => true,
            Some(_) => false,
        };
        if ends {
            let extent = u16::try_from(lines).ok()?.checked_mul(WIDTH)?;
            let record = LazyRecord { text: text.get(..length)?, line_end, extent, spoilt: Cell::new(false) };
            record.pairs(lines.checked_sub(1)?)?;
            return Some((record, length));
        }
    }
    None
}

impl LazyRecord<'_> {
    /// The letters of line `number`, if that line is where it should be.
    fn pairs(&self, number: usize) -> Option<&[u8; PAIRS]> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let start = line_at(number, self.line_end);
        let line = self.text.get(start..)?;
        let low = *DIGITS.get(number & 15)?;
        let pairs = if number < 16 {
            line.strip_prefix(&[low, b'0', b':', b' '])?
        } else {
            line.strip_prefix(&[*DIGITS.get(number >> 4)?, low, b'0', b':', b' '])?
        };
        let (pairs, end) = pairs.split_first_chunk()?;
        let ends = match end {
            [b'\n', ..] => self.line_end == 1,
            [b'\r', b'\n', ..] => self.line_end == 2,
            _ => false,
        };
        let begins = match start.checked_sub(1) {
            Some(before) => self.text.get(before) == Some(&b'\n'),
            None => true,
        };
        (begins && ends).then_some(pairs)
    }

    fn read<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let mut out = [0; N];
        let mut rest = out.as_mut_slice();
        let mut number = usize::from(offset / WIDTH);
        let mut column = usize::from(offset % WIDTH);
        while !rest.is_empty() {
            let pairs = self.pairs(number)?.get(column.checked_mul(3)?..)?;
            let here = rest.len().min(usize::from(WIDTH).checked_sub(column)?);
            let (bytes, behind) = rest.split_at_mut_checked(here)?;
            decode(pairs, bytes)?;
            (rest, column) = (behind, 0);
            number = number.checked_add(1)?;
        }
        Some(out)
    }
}

/// Reads pairs of digits with single spaces between.
fn decode(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    let mut wrong = 0;
    let mut text = text;
    for byte in bytes {
        let ([high, low], rest) = text.split_first_chunk()?;
        let (high, low) = (*VALUES.get(usize::from(*high))?, *VALUES.get(usize::from(*low))?);
        wrong |= high | low;
        *byte = (high << 4) | (low & 0xf);
        text = match rest {
            [b' ', rest @ ..] => rest,
            [] => rest,
            _ => return None,
        };
    }
    (wrong & WRONG == 0).then_some(())
}

/// Set in what is no digit.
const WRONG: u8 = 0x80;

/// What each letter is worth as a hexadecimal digit.
const VALUES: [u8; 256] = {
    let mut values = [WRONG; 256];
    let digits = [(b'0', 10, 0), (b'a', 6, 10), (b'A', 6, 10)];
    let mut kind = 0;
    while kind < digits.len() {
        let (first, count, value) = digits[kind];
        let mut n = 0;
        while n < count {
            values[(first + n) as usize] = value + n;
            n += 1;
        }
        kind += 1;
    }
    values
};

impl Source for LazyRecord<'_> {
    fn extent(&self) -> u16 {
        self.extent
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        if usize::from(offset).saturating_add(N) > usize::from(self.extent) {
            return None;
        }
        let bytes = self.read(offset);
        if bytes.is_none() {
            self.spoilt.set(true);
        }
        bytes
    }

    fn is_spoilt(&self) -> bool {
        self.spoilt.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::uniform::tests::{counting, dump};
    use std::format;

    #[test]
    fn any_place_gives_the_bytes_that_were_printed() {
        for length in [64, 128, 256, 4096] {
            for end in ["\n", "\r\n"] {
                let bytes = counting(length);
                let text = dump(&bytes, end) + end + "next";
                let (found, used) = record(text.as_bytes(), false).expect("a record");
                assert_eq!(&text[used..], format!("{end}next"));
                assert_eq!(usize::from(found.extent()), length);
                for offset in 0..u16::try_from(length + 8).expect("small") {
                    assert_eq!(found.array::<4>(offset), (&bytes[..]).array(offset), "{offset}");
                    assert_eq!(found.array::<36>(offset), (&bytes[..]).array(offset), "{offset}");
                }
                assert!(!found.is_spoilt());
            }
        }
    }

    #[test]
    fn a_damaged_letter_spoils_the_record_for_whoever_reads_there() {
        let bytes = counting(4096);
        let text = dump(&bytes, "\n");
        for at in (0..text.len()).step_by(31) {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = b'z';
            let Some((found, _)) = record(&damaged, true) else { continue };
            for offset in (0..4096).step_by(16) {
                match found.array::<16>(offset) {
                    Some(read) => assert_eq!(Some(read), (&bytes[..]).array(offset), "{at}"),
                    None => assert!(found.is_spoilt(), "{at}: {offset}"),
                }
            }
            assert!(found.is_spoilt(), "{at}");
        }
    }

    #[test]
    fn a_record_that_does_not_end_is_none() {
        let text = dump(&counting(4096), "\n");
        assert!(record(text.as_bytes(), false).is_none(), "the end has not been seen");
        for length in [0, 1, 50, 51, 52, 1000, text.len() - 1] {
            assert!(record(&text.as_bytes()[..length], true).is_none(), "{length}");
        }
        let twice = format!("{}{}", &text[..line_at(5, 1)], text);
        assert!(record(twice.as_bytes(), true).is_none());
    }
}
