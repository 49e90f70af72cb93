//! The usual record, read where it is touched: the place of each line is computed, and what stands there
//! is checked before it is believed.
//!
//! Lines that decoding does not ask for are jumped over: a scan of a large dump then runs as fast as the
//! text can be read. A jump that does not land on a line of the expected offset, or on digits, spoils the
//! record, and the reader goes through it line by line.

use core::cell::Cell;

use super::hex::{LINES, PAIRS, WIDTH};
use super::uniform::{line_at, pairs_at};
use crate::config::Source;

/// A record that was found by its first and its last line.
pub(super) struct LazyRecord<'a> {
    text: &'a [u8],
    extent: u16,
    spoilt: Cell<bool>,
}

/// A record at the start of `text`, with its length: 64, 128, 256 or 4096 bytes long, an empty line or
/// the end behind it. `None` leaves it to a more careful reader, as are lines that end as DOS has it.
pub(super) fn record(text: &[u8], is_last: bool) -> Option<(LazyRecord<'_>, usize)> {
    // The shortest first: what follows a short record must not be taken for the rest of a long one.
    for lines in [4, 8, 16, LINES] {
        let length = line_at(lines, LINE_END);
        let ends = match text.get(length..) {
            None => return None,
            Some([]) => is_last,
            Some([first, ..]) => *first == b'\n',
        };
        if ends {
            let extent = u16::try_from(lines).ok()?.checked_mul(WIDTH)?;
            let record = LazyRecord { text: text.get(..length)?, extent, spoilt: Cell::new(false) };
            record.pairs(lines.checked_sub(1)?)?;
            return Some((record, length));
        }
    }
    None
}

/// Letters that end a line.
const LINE_END: usize = 1;

impl LazyRecord<'_> {
    /// The letters of line `number`, if that line is where it should be: its offset stands there, a line
    /// end before it and one behind it.
    #[inline(always)]
    fn pairs(&self, number: usize) -> Option<&[u8; PAIRS]> {
        if number == 0 {
            // Nothing stands before the first line.
            let line = self.text.strip_prefix(b"00: ")?.first_chunk::<{ PAIRS + LINE_END }>()?;
            return (line[PAIRS] == b'\n').then_some(line.first_chunk()?);
        }
        let from = pairs_at(number, LINE_END) - BEFORE;
        let line = self.text.get(from..)?.first_chunk::<{ BEFORE + PAIRS + LINE_END }>()?;
        let (expected, mask) = PREFIXES[number & 255];
        let begins = u64::from_le_bytes(*line.first_chunk()?) & mask == expected;
        (begins && line[BEFORE + PAIRS] == b'\n').then_some(line[BEFORE..].first_chunk()?)
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let (number, column) = (usize::from(offset / WIDTH), usize::from(offset % WIDTH));
        if column + N <= usize::from(WIDTH) {
            return decode(self.pairs(number)?.get(column * 3..)?);
        }
        let mut out = [0; N];
        for (byte, at) in out.iter_mut().zip(offset..) {
            [*byte] = decode(self.pairs(usize::from(at / WIDTH))?.get(usize::from(at % WIDTH) * 3..)?)?;
        }
        Some(out)
    }
}

/// How many letters before a line's pairs are looked at together.
const BEFORE: usize = 8;

/// What stands before the pairs of each line but the first, and which of it: a line end, the offset and `: `.
const PREFIXES: [(u64, u64); LINES] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut prefixes = [(0, 0); LINES];
    let mut number = 0;
    while number < LINES {
        let (high, low) = (DIGITS[number >> 4], DIGITS[number & 15]);
        prefixes[number] = if number < 16 {
            (u64::from_le_bytes([0, 0, 0, b'\n', low, b'0', b':', b' ']), u64::MAX << 24)
        } else {
            (u64::from_le_bytes([0, 0, b'\n', high, low, b'0', b':', b' ']), u64::MAX << 16)
        };
        number += 1;
    }
    prefixes
};

/// Reads pairs of digits with single spaces between.
#[inline(always)]
fn decode<const N: usize>(letters: &[u8]) -> Option<[u8; N]> {
    let letters = letters.get(..N * 3 - 1)?;
    let (mut out, mut wrong, mut between) = ([0; N], 0, 0);
    for (n, byte) in out.iter_mut().enumerate() {
        let value = byte_of(*letters.get(n * 3..)?.first_chunk()?);
        wrong |= value;
        between |= letters.get(n * 3 + 2).map_or(0, |space| space ^ b' ');
        *byte = (value & 0xff) as u8;
    }
    (wrong & WRONG == 0 && between == 0).then_some(out)
}

/// The byte of two digits, with [`WRONG`] if one of them is none.
#[inline(always)]
pub(super) const fn byte_of(pair: [u8; 2]) -> u16 {
    BYTES[u16::from_le_bytes(pair) as usize]
}

/// What each pair of letters is worth. Only the few lines of it that digits lead to are ever in use.
static BYTES: [u16; 1 << 16] = {
    const DIGITS: &[u8; 22] = b"0123456789abcdefABCDEF";
    const VALUES: [u16; 22] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 10, 11, 12, 13, 14, 15];
    let mut bytes = [WRONG; 1 << 16];
    let mut high = 0;
    while high < DIGITS.len() {
        let mut low = 0;
        while low < DIGITS.len() {
            let at = u16::from_le_bytes([DIGITS[high], DIGITS[low]]);
            bytes[at as usize] = VALUES[high] << 4 | VALUES[low];
            low += 1;
        }
        high += 1;
    }
    bytes
};

/// Set in what is no byte.
pub(super) const WRONG: u16 = 0x8000;

impl Source for LazyRecord<'_> {
    fn extent(&self) -> u16 {
        self.extent
    }

    // Its result is taken apart at once: as a call it costs half as much again.
    #[inline(always)]
    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let bytes = self.read(offset);
        // The text ends where the record does: past its extent, nothing is read.
        if bytes.is_none() && usize::from(offset).saturating_add(N) <= usize::from(self.extent) {
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
            let bytes = counting(length);
            let text = dump(&bytes, "\n") + "\nnext";
            let (found, used) = record(text.as_bytes(), false).expect("a record");
            assert_eq!(&text[used..], "\nnext");
            assert_eq!(usize::from(found.extent()), length);
            for offset in 0..u16::try_from(length + 8).expect("small") {
                assert_eq!(found.array::<1>(offset), (&bytes[..]).array(offset), "{offset}");
                assert_eq!(found.array::<4>(offset), (&bytes[..]).array(offset), "{offset}");
                assert_eq!(found.array::<36>(offset), (&bytes[..]).array(offset), "{offset}");
            }
            assert!(!found.is_spoilt());
            let text = dump(&bytes, "\r\n") + "\r\nnext";
            assert!(record(text.as_bytes(), false).is_none(), "left to the careful reader");
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
