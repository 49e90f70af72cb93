//! The usual record, read in place: exactly as lspci writes it, so that nothing is copied.
//!
//! Every letter is checked, but nothing is decoded. A record with the least irregularity is left to
//! the reader that goes line by line.

use super::hex::{HexRecord, LINES, PAIRS, WIDTH};

/// Most bytes that a [`record`] can have, with what ends it.
pub(super) const MAX: usize = 16 * 53 + 240 * 54 + 2;

/// Letters before the pairs of a line: two digits of offset, from line 16 on three, and `: `.
const SHORT: usize = 4;
const LONG: usize = 5;

/// Where a line begins in uniform text whose line ends have `line_end` bytes.
pub(super) const fn line_at(number: usize, line_end: usize) -> usize {
    if number <= 16 {
        number * (SHORT + PAIRS + line_end)
    } else {
        16 * (SHORT + PAIRS + line_end) + (number - 16) * (LONG + PAIRS + line_end)
    }
}

/// Where the pairs of a line begin.
pub(super) const fn pairs_at(number: usize, line_end: usize) -> usize {
    line_at(number, line_end) + if number < 16 { SHORT } else { LONG }
}

/// A record at the start of `text` exactly as lspci writes it: 64, 128, 256 or 4096 bytes, no line
/// damaged, an empty line or the end behind it. Gives it with its length; `None` leaves it to the
/// reader that goes line by line. `is_last` says that nothing follows `text`.
pub(super) fn record(text: &[u8], is_last: bool) -> Option<(HexRecord<'_>, usize)> {
    let line_end = match text.get(4 + PAIRS..)? {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => return None,
    };
    let mut rest = text;
    let mut lines = 0_usize;
    while lines < LINES {
        match uniform_line(rest, lines, line_end) {
            Some(behind) => rest = behind,
            None => break,
        }
        lines = lines.saturating_add(1);
    }
    let ends = match rest {
        [] => is_last,
        [b'\n', ..] | [b'\r', b'\n', ..] => true,
        _ => false,
    };
    if !ends || !matches!(lines, 4 | 8 | 16 | LINES) {
        return None;
    }
    let extent = u16::try_from(lines).ok()?.checked_mul(WIDTH)?;
    let length = text.len().saturating_sub(rest.len());
    Some((HexRecord::uniform(text, extent, line_end), length))
}

/// What follows line `number`, if the text starts with that line.
fn uniform_line(text: &[u8], number: usize, line_end: usize) -> Option<&[u8]> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let low = *DIGITS.get(number & 15)?;
    let text = if number < 16 {
        let (offset, text) = text.split_first_chunk::<4>()?;
        (*offset == [low, b'0', b':', b' ']).then_some(text)?
    } else {
        let (offset, text) = text.split_first_chunk::<5>()?;
        let high = *DIGITS.get(number >> 4)?;
        (*offset == [high, low, b'0', b':', b' ']).then_some(text)?
    };
    let (pairs, text) = text.split_first_chunk::<PAIRS>()?;
    let text = match (line_end, text) {
        (1, [b'\n', text @ ..]) | (2, [b'\r', b'\n', text @ ..]) => text,
        _ => return None,
    };
    are_16_pairs(pairs).then_some(text)
}

/// Whether these are 16 pairs of lower-case digits with single spaces between. It runs over every
/// line of a dump: a letter must lie in one of two ranges, which depend on its place only, so that
/// compilers turn it into vector code without branches.
fn are_16_pairs(letters: &[u8; PAIRS]) -> bool {
    let [first, middle, last] = &RANGES;
    let (Some(a), Some(b), Some(c)) =
        (letters.first_chunk(), letters.get(BLOCK..).and_then(<[u8]>::first_chunk), letters.last_chunk())
    else {
        return false;
    };
    (first.wrong(a) | middle.wrong(b) | last.wrong(c)) == 0
}

/// Letters that are looked at together: a vector register.
const BLOCK: usize = 16;

/// For each place, the first letter and the width of the two ranges that are right there.
struct Ranges {
    first: [u8; BLOCK],
    width: [u8; BLOCK],
    other_first: [u8; BLOCK],
    other_width: [u8; BLOCK],
}

/// Three blocks cover 47 letters; the last begins one letter early.
const RANGES: [Ranges; 3] = [Ranges::from(0), Ranges::from(BLOCK), Ranges::from(PAIRS - BLOCK)];

impl Ranges {
    const fn from(start: usize) -> Self {
        let mut ranges = Self {
            first: [b'0'; BLOCK],
            width: [9; BLOCK],
            other_first: [b'a'; BLOCK],
            other_width: [5; BLOCK],
        };
        let mut at = 0;
        while at < BLOCK {
            if (start + at) % 3 == 2 {
                (ranges.first[at], ranges.width[at]) = (b' ', 0);
                (ranges.other_first[at], ranges.other_width[at]) = (b' ', 0);
            }
            at += 1;
        }
        ranges
    }

    /// 0 if every letter is in its range.
    fn wrong(&self, letters: &[u8; BLOCK]) -> u8 {
        let one = letters.iter().zip(&self.first).zip(&self.width);
        let other = self.other_first.iter().zip(&self.other_width);
        one.zip(other).fold(0, |wrong, (((letter, first), width), (other_first, other_width))| {
            let right =
                (letter.wrapping_sub(*first) <= *width) | (letter.wrapping_sub(*other_first) <= *other_width);
            wrong | u8::from(!right)
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::Source;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    pub(in crate::dump) fn dump(bytes: &[u8], end: &str) -> String {
        let mut text = String::new();
        for (number, line) in bytes.chunks(16).enumerate() {
            text += &format!("{:02x}:", number * 16);
            for byte in line {
                text += &format!(" {byte:02x}");
            }
            text += end;
        }
        text
    }

    pub(in crate::dump) fn counting(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 + at / 256) as u8).collect()
    }

    #[test]
    fn text_in_place_gives_the_bytes_that_were_printed() {
        for length in [64, 256, 4096] {
            for end in ["\n", "\r\n"] {
                let bytes = counting(length);
                let text = dump(&bytes, end) + end + "next";
                let (found, used) = record(text.as_bytes(), false).expect("uniform");
                assert_eq!(&text[used..], format!("{end}next"));
                assert_eq!((usize::from(found.extent()), usize::from(found.captured())), (length, length));
                for offset in 0..u16::try_from(length + 8).expect("small") {
                    assert_eq!(found.array::<4>(offset), (&bytes[..]).array(offset), "{offset}");
                    assert_eq!(found.array::<20>(offset), (&bytes[..]).array(offset), "{offset}");
                }
            }
        }
    }

    #[test]
    fn any_damaged_letter_sends_a_record_to_the_careful_reader() {
        let text = dump(&counting(4096), "\n");
        for at in (0..text.len()).step_by(37) {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = b'z';
            assert!(record(&damaged, true).is_none(), "{at}");
        }
        assert!(record(text.as_bytes(), true).is_some());
        assert!(record(text.as_bytes(), false).is_none(), "the end has not been seen");
    }
}
