//! Hex lines of one function, read in place: bytes are decoded when they are asked for.
//!
//! A line is an offset, a colon, and up to 16 pairs of digits with one space before each. lspci
//! writes two digits of offset below 100h and three from there on. What other programs wrote into a
//! line ends it: the whole pairs before count, the rest of the line was not captured. Of a line that has too
//! many pairs, or too few where others follow, nobody knows which are right: none was captured.

use std::vec;
use std::vec::Vec;

use super::uniform::pairs_at;
use crate::config::Source;

/// Bytes in a line.
pub(super) const WIDTH: u16 = 16;
/// Lines of 4096 bytes.
pub(super) const LINES: usize = 256;
/// Letters of 16 pairs.
pub(super) const PAIRS: usize = 47;

/// What a line of text is, as far as hex is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HexLine<'a> {
    /// Something else.
    Other,
    /// A hex line that cannot be used: an offset that lspci does not write.
    Unusable,
    /// A hex line.
    Pairs {
        /// Its offset, a multiple of 16.
        offset: u16,
        /// The whole pairs, with the spaces between.
        text: &'a [u8],
        /// Whether the line goes on with something else before its 16th pair.
        cut: bool,
    },
}

/// Looks at a line.
pub(super) fn hex_line(line: &[u8]) -> HexLine<'_> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (Some(offset), Some([b':', b' ', text @ ..])) = (line.get(..digits), line.get(digits..)) else {
        return HexLine::Other;
    };
    let pairs = leading_pairs(text);
    if digits < 2 || pairs == 0 {
        return HexLine::Other;
    }
    let expected_digits = |offset: u16| if offset < 0x100 { 2 } else { 3 };
    let offset = match parse_offset(offset) {
        Some(offset) if offset % WIDTH == 0 && digits == expected_digits(offset) => offset,
        _ => return HexLine::Unusable,
    };
    let length = usize::from(pairs).saturating_mul(3).saturating_sub(1);
    let (Some(kept), Some(rest)) = (text.get(..length), text.get(length..)) else {
        return HexLine::Unusable;
    };
    // Where there is one pair more than fits, nobody knows which of them is too many.
    if pairs == 16 && rest.strip_prefix(b" ").is_some_and(|more| leading_pairs(more) > 0) {
        return HexLine::Unusable;
    }
    let cut = pairs < 16 && !rest.iter().all(u8::is_ascii_whitespace);
    HexLine::Pairs { offset, text: kept, cut }
}

fn parse_offset(digits: &[u8]) -> Option<u16> {
    if digits.len() > 3 {
        return None;
    }
    digits.iter().try_fold(0_u16, |value, digit| Some((value << 4) | u16::from(nibble(*digit)?)))
}

/// How many whole pairs the text starts with: each followed by a space or the end.
fn leading_pairs(text: &[u8]) -> u8 {
    let mut count = 0;
    let mut rest = text;
    while count < 16 {
        match rest {
            [high, low] | [high, low, b' ' | b'\t' | b'\r', ..] => {
                if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
                    break;
                }
            }
            _ => break,
        }
        count = u8::saturating_add(count, 1);
        rest = rest.get(3..).unwrap_or_default();
    }
    count
}

/// Value of a hexadecimal digit.
fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Where a line's pairs stand in the text, and how many there are.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    at: u16,
    pairs: u8,
}

/// The hex lines of the function being read, kept as text. Reused from function to function.
#[derive(Default)]
pub(super) struct Body {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Offset of the last line taken.
    last: Option<u16>,
    /// Whether it ends before its 16th pair, and nothing stands in place of the rest.
    short: bool,
    captured: u16,
}

impl Body {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::with_capacity(LINES.saturating_mul(PAIRS)),
            lines: vec![Line::default(); LINES],
            last: None,
            short: false,
            captured: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.short = false;
        if self.last.is_some() {
            self.text.clear();
            self.lines.fill(Line::default());
            self.last = None;
            self.captured = 0;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Takes a line, if its offset is above that of the last one; gives how many lines are damaged.
    ///
    /// Of a line that is too short although another follows nobody knows which pairs it lacks, and of two
    /// with one offset and different pairs not which is right: then none of their bytes is captured.
    pub(super) fn push(&mut self, offset: u16, text: &[u8], cut: bool) -> u32 {
        let Some(text) = text.get(..text.len().min(PAIRS)) else { return 1 };
        if self.last.is_some_and(|last| offset <= last) {
            let lines = Lines::Indexed { text: &self.text, lines: &self.lines };
            if lines.pairs(offset / WIDTH).is_some_and(|known| known != text) {
                self.forget(offset);
            }
            return 1;
        }
        let mut damaged = u32::from(cut);
        if let Some(last) = self.last.filter(|_| self.short) {
            self.forget(last);
            damaged = damaged.saturating_add(1);
        }
        let pairs = leading_pairs(text);
        let (Some(line), Ok(at)) =
            (self.lines.get_mut(usize::from(offset / WIDTH)), u16::try_from(self.text.len()))
        else {
            return 1;
        };
        *line = Line { at, pairs };
        self.text.extend_from_slice(text);
        self.last = Some(offset);
        self.short = u16::from(pairs) < WIDTH && !cut;
        self.captured = self.captured.saturating_add(u16::from(pairs));
        damaged
    }

    /// Takes the pairs of a line for not captured.
    fn forget(&mut self, offset: u16) {
        if let Some(line) = self.lines.get_mut(usize::from(offset / WIDTH)) {
            self.captured = self.captured.saturating_sub(u16::from(line.pairs));
            line.pairs = 0;
        }
    }

    pub(super) fn record(&self) -> HexRecord<'_> {
        let extent = match self.last {
            Some(last) => {
                let pairs = self.lines.get(usize::from(last / WIDTH)).map_or(0, |line| line.pairs);
                last.saturating_add(u16::from(pairs))
            }
            None => 0,
        };
        HexRecord {
            extent,
            captured: self.captured,
            lines: Lines::Indexed { text: &self.text, lines: &self.lines },
        }
    }
}

/// Configuration space that is hex text.
#[derive(Clone, Copy)]
pub(super) struct HexRecord<'a> {
    extent: u16,
    captured: u16,
    lines: Lines<'a>,
}

#[derive(Clone, Copy)]
enum Lines<'a> {
    /// Whole lines from offset 0 on, each checked, at fixed distances: the usual case, where nothing
    /// is copied.
    Uniform { text: &'a [u8], line_end: usize },
    /// Lines with gaps.
    Indexed { text: &'a [u8], lines: &'a [Line] },
}

impl<'a> HexRecord<'a> {
    /// Whole lines from offset 0 up to `extent`, each checked, with line ends of `line_end` bytes.
    pub(super) fn uniform(text: &'a [u8], extent: u16, line_end: usize) -> Self {
        Self { extent, captured: extent, lines: Lines::Uniform { text, line_end } }
    }
}

impl<'a> Lines<'a> {
    /// The valid pairs of a line, with the spaces between.
    fn pairs(self, number: u16) -> Option<&'a [u8]> {
        match self {
            Self::Uniform { text, line_end } => {
                let at = pairs_at(usize::from(number), line_end);
                text.get(at..at.checked_add(PAIRS)?)
            }
            Self::Indexed { text, lines } => {
                let line = lines.get(usize::from(number))?;
                let length = usize::from(line.pairs).checked_mul(3)?.checked_sub(1)?;
                let at = usize::from(line.at);
                text.get(at..at.checked_add(length)?)
            }
        }
    }
}

impl Source for HexRecord<'_> {
    fn extent(&self) -> u16 {
        self.extent
    }

    fn captured(&self) -> u16 {
        self.captured
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let mut out = [0; N];
        let mut at = offset;
        let mut pairs = self.lines.pairs(at / WIDTH).filter(|_| at < self.extent)?;
        for byte in &mut out {
            if at % WIDTH == 0 && at != offset {
                pairs = self.lines.pairs(at / WIDTH).filter(|_| at < self.extent)?;
            }
            let column = usize::from(at % WIDTH).checked_mul(3)?;
            let [high, low] = *pairs.get(column..)?.first_chunk::<2>()?;
            *byte = (nibble(high)? << 4) | nibble(low)?;
            at = at.checked_add(1)?;
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_cut_line_keeps_its_whole_pairs_only() {
        let line = b"f10: 00 11 22pcilib: sysfs_read_vpd: read failed";
        assert_eq!(hex_line(line), HexLine::Pairs { offset: 0xf10, text: b"00 11", cut: true });
        let line = b"f10: 00 11 22 pcilib: read failed";
        assert_eq!(hex_line(line), HexLine::Pairs { offset: 0xf10, text: b"00 11 22", cut: true });
        let line = b"f10: 00 11 2";
        assert_eq!(hex_line(line), HexLine::Pairs { offset: 0xf10, text: b"00 11", cut: true });
        let line = b"F0: 00 11 ";
        assert_eq!(hex_line(line), HexLine::Pairs { offset: 0xf0, text: b"00 11", cut: false });
    }

    #[test]
    fn what_lspci_does_not_write_is_no_hex_line() {
        for line in ["0: 00 00", "00:1f.0 ISA", "pcilib: 00", "00 00 00", "f2pcilib: x", "00:", "00: xx", ""]
        {
            assert_eq!(hex_line(line.as_bytes()), HexLine::Other, "{line}");
        }
        for line in ["08: 00 00", "1000: 00", "0f0: 00 00", "ff8: 00", "added: 12 34"] {
            assert_eq!(hex_line(line.as_bytes()), HexLine::Unusable, "{line}");
        }
    }

    #[test]
    fn of_lines_that_contradict_each_other_nothing_is_captured() {
        let line = |first: &str| format!("{first}{}", " 00".repeat(15));
        let hex = |body: &Body, at: u16| body.record().array::<1>(at);
        let mut body = Body::new();
        // Fifteen pairs and another line behind them; then the same line twice, alike and not.
        assert_eq!(body.push(0, line("01").as_bytes(), false), 0);
        assert_eq!(body.push(0x10, &line("02").as_bytes()[..44], false), 0);
        assert_eq!(hex(&body, 0x10), Some([2]), "it may be the last");
        assert_eq!(body.push(0x20, line("03").as_bytes(), false), 1);
        assert_eq!((hex(&body, 0x10), body.record().captured()), (None, 32));
        assert_eq!((body.push(0x20, line("03").as_bytes(), false), hex(&body, 0x20)), (1, Some([3])));
        assert_eq!((body.push(0x20, line("04").as_bytes(), false), hex(&body, 0x20)), (1, None));
        assert_eq!((body.push(0, line("05").as_bytes(), false), hex(&body, 0)), (1, None));
        assert_eq!((body.record().captured(), body.record().extent()), (0, 0x20));
        // More pairs than fit.
        let long = format!("140: {}", line("1d 00"));
        assert_eq!(hex_line(long.as_bytes()), HexLine::Unusable);
        let told = format!("140: {}  |text|", line("1d"));
        assert!(matches!(hex_line(told.as_bytes()), HexLine::Pairs { cut: false, .. }));
    }

    #[test]
    fn holes_are_not_captured_and_lines_do_not_go_back() {
        let mut body = Body::new();
        assert_eq!(body.push(0, b"86 80 1f", true), 1);
        assert_eq!(body.push(0x20, b"01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10", false), 0);
        assert_eq!(body.push(0x20, b"01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10", false), 1);
        assert_eq!(body.push(0x10, b"ff", false), 1);
        let record = body.record();
        assert_eq!((record.captured(), record.extent()), (19, 48));
        assert_eq!(record.array(0), Some([0x86, 0x80]));
        assert_eq!(record.array::<2>(2), None);
        assert_eq!(record.array::<1>(0x10), None);
        assert_eq!(record.array(0x2e), Some([0x0f, 0x10]));
        assert_eq!(record.array::<3>(0x2e), None);
        assert_eq!(record.array::<4>(u16::MAX), None);
        body.clear();
        assert!(body.is_empty());
        assert_eq!(body.record().extent(), 0);
    }
}
