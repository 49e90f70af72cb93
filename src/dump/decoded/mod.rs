//! Decoded text of `lspci -vv` and `-vvv`, turned back into the registers that it prints.
//!
//! A byte counts as captured only if the text says what it holds. Everything above sees bytes with
//! holes, as in any other dump, and proves absence as there: the lists are linked as they were
//! printed, and end where it is seen that they do: at a line that lspci prints behind them, an empty line,
//! hex, or another function. A list that was not printed - `<access denied>`, or no extended capability at
//! all - has its first entry missing, and one that was cut has no end, so nothing is absent.
//!
//! Three things are taken from other words: the class and the vendor of a listing without numbers by
//! their names, and the multi-function bit from the functions listed beside.
//!
//! Source: pciutils 3.13, `lspci.c`, `ls-caps.c`, `ls-ecaps.c`.

mod names;
mod parse;

use std::collections::BTreeMap;
use std::vec::Vec;

use crate::addr::Sbdf;
use crate::config::Source;
use crate::function::{Attributes, HostBridge, Record, Sink};
use parse::Parser;

/// Longest decoded text of one function that is kept.
const MAX_TEXT: usize = 64 * 1024;

const HEADER_TYPE: u16 = 0x0e;

/// The decoded text of the function being read, as it comes.
#[derive(Default)]
pub(super) struct Text {
    header: Vec<u8>,
    body: Vec<u8>,
    /// Columns before the header line: the listing is quoted, or part of something else.
    indent: usize,
    /// Columns by which the first line of the body is indented beyond that; 0 before it.
    unit: usize,
    /// Whether the last line was an empty one.
    after_empty: bool,
    /// Whether lines stand apart, so that an empty one ends nothing.
    spaced: bool,
    /// Whether lines were left out.
    full: bool,
}

impl Text {
    /// Begins a function with its header line, which may be indented.
    pub(super) fn begin(&mut self, header: &[u8]) {
        let (indent, header) = indented(header);
        self.header.clear();
        self.header.extend_from_slice(header);
        self.body.clear();
        *self = Self {
            header: core::mem::take(&mut self.header),
            body: core::mem::take(&mut self.body),
            indent,
            ..Self::default()
        };
    }

    /// The line without the indentation of the header line.
    pub(super) fn dedented<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        let mut rest = line;
        let mut columns = 0_usize;
        while let [byte @ (b' ' | b'\t'), behind @ ..] = rest {
            if columns >= self.indent {
                break;
            }
            columns = advanced(columns, *byte);
            rest = behind;
        }
        rest
    }

    /// Adds a line that is indented.
    pub(super) fn push(&mut self, line: &[u8]) {
        let (columns, text) = indented(line);
        if text.is_empty() {
            return self.end();
        }
        if is_ellipsis(text) {
            return self.gap();
        }
        self.spaced |= core::mem::take(&mut self.after_empty);
        if self.unit == 0 {
            self.unit = columns.max(1);
        }
        let tabs: &[u8] = if columns < self.unit.saturating_mul(2) { b"\t" } else { b"\t\t" };
        self.add(tabs, text);
    }

    /// Notes that lines are missing here, or something stands between that is none of lspci's.
    pub(super) fn gap(&mut self) {
        self.add(&[], parse::GAP.as_bytes());
    }

    /// Notes an empty line: the function ends, unless every line is followed by one.
    pub(super) fn end(&mut self) {
        self.after_empty = !self.body.is_empty();
    }

    /// Notes that hex or another function follows.
    pub(super) fn followed(&mut self) {
        self.add(&[], parse::END.as_bytes());
    }

    fn add(&mut self, tabs: &[u8], text: &[u8]) {
        if self.body.len().saturating_add(text.len()) < MAX_TEXT {
            self.body.extend_from_slice(tabs);
            self.body.extend_from_slice(text);
            self.body.push(b'\n');
        } else {
            self.full = true;
        }
    }

    /// The registers that the text tells; `None` if it is not the text of `-vv`.
    pub(super) fn image(&self) -> Option<Image> {
        let body = std::string::String::from_utf8_lossy(&self.body);
        if !body.lines().any(|line| line.starts_with("\tControl:")) {
            return None;
        }
        let mut parser = Parser::default();
        parser.header(&std::string::String::from_utf8_lossy(&self.header));
        body.lines().for_each(|line| parser.line(line));
        if self.after_empty && !self.spaced {
            parser.line(parse::END);
        }
        if self.full {
            parser.line(parse::GAP);
        }
        Some(parser.finish())
    }
}

/// How many columns a line is indented by, and the line without them.
fn indented(line: &[u8]) -> (usize, &[u8]) {
    let mut columns = 0_usize;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b' ' | b'\t' => columns = advanced(columns, *byte),
            _ => return (columns, line.get(at..).unwrap_or_default().trim_ascii_end()),
        }
    }
    (columns, &[])
}

/// The column behind a space or a tab.
const fn advanced(columns: usize, byte: u8) -> usize {
    match byte {
        b'\t' => (columns | 7).saturating_add(1),
        _ => columns.saturating_add(1),
    }
}

/// Whether somebody put this in place of lines: `[...]`, `<snip>`.
fn is_ellipsis(text: &[u8]) -> bool {
    let inner = text.trim_ascii();
    let words: [&[u8]; 4] = [b"snip", b"cut", b"snipped", b"\xe2\x80\xa6"];
    let core =
        |byte: &u8| !matches!(byte, b'[' | b']' | b'<' | b'>' | b'(' | b')' | b'.' | b'-' | b' ' | b'*');
    let start = inner.iter().position(core).unwrap_or(inner.len());
    let end = inner.iter().rposition(core).map_or(start, |at| at.saturating_add(1));
    let core = inner.get(start..end).unwrap_or_default();
    (core.is_empty() && inner.len() > 1) || words.iter().any(|word| core.eq_ignore_ascii_case(word))
}

/// Bytes that a text tells, with holes between.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    bytes: BTreeMap<u16, u8>,
    /// Whether the text has the IDs as numbers.
    pub(super) has_ids: bool,
    /// Whether it tells the class.
    pub(super) has_class: bool,
}

impl Image {
    /// Takes a header for one of a multi-function device.
    pub(super) fn set_multifunction(&mut self) {
        if let Some(header_type) = self.bytes.get_mut(&HEADER_TYPE) {
            *header_type |= 0x80;
        }
    }

    /// Whether it tells anything from an offset on.
    pub(super) fn tells_from(&self, offset: u16) -> bool {
        self.bytes.range(offset..).next().is_some()
    }

    fn put(&mut self, offset: u16, bytes: &[u8]) {
        for (at, byte) in (offset..crate::config::SIZE).zip(bytes) {
            self.bytes.insert(at, *byte);
        }
    }

    fn byte(&self, offset: u16) -> Option<u8> {
        self.bytes.get(&offset).copied()
    }
}

impl Source for &Image {
    fn extent(&self) -> u16 {
        self.bytes.keys().next_back().map_or(0, |last| last.saturating_add(1))
    }

    fn captured(&self) -> u16 {
        u16::try_from(self.bytes.len()).unwrap_or(u16::MAX)
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let mut out = [0; N];
        let mut at = offset;
        for byte in &mut out {
            *byte = self.byte(at)?;
            at = at.checked_add(1)?;
        }
        Some(out)
    }
}

/// What the text dump of a tree says of each function, kept to fill in what its configuration files lack.
#[derive(Default)]
pub(super) struct Texts(BTreeMap<Sbdf, (Image, Attributes)>);

impl Texts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is said of a function from an offset on.
    pub(super) fn take(&mut self, address: Sbdf, from: u16) -> Option<(Image, Attributes)> {
        if from >= crate::config::SIZE {
            return None;
        }
        self.0.remove(&address).filter(|(image, _)| image.tells_from(from))
    }
}

impl Sink for Texts {
    fn record<S: Source>(&mut self, record: Record<'_, S>) {
        let mut image = Image::default();
        for at in 0..record.config.extent() {
            if let Some(byte) = record.config.u8(at) {
                image.put(at, &[byte]);
            }
        }
        self.0.insert(record.address, (image, record.attributes));
    }

    fn host_bridge(&mut self, _host_bridge: HostBridge) {}
}

/// Bytes first, and what a text tells for those that are missing.
pub(super) struct Filled<'a, S> {
    pub(super) bytes: S,
    pub(super) text: &'a Image,
}

impl<S: Source> Source for Filled<'_, S> {
    fn extent(&self) -> u16 {
        self.bytes.extent().max(self.text.extent())
    }

    fn captured(&self) -> u16 {
        let from_text = self.text.bytes.keys().filter(|at| self.bytes.array::<1>(**at).is_none()).count();
        self.bytes.captured().saturating_add(u16::try_from(from_text).unwrap_or(u16::MAX))
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        if let Some(bytes) = self.bytes.array(offset) {
            return Some(bytes);
        }
        let mut out = [0; N];
        let mut at = offset;
        for byte in &mut out {
            *byte = match self.bytes.array::<1>(at) {
                Some([byte]) => byte,
                None => self.text.byte(at)?,
            };
            at = at.checked_add(1)?;
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests;
