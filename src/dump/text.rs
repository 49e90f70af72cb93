//! Reader of lspci's hex text, with whatever else is in the file.
//!
//! A function begins with a line that starts with its address. Its hex lines follow, directly or
//! after decoded text; everything else is passed over. Two things are taken from decoded text: the
//! driver and the IOMMU group.

mod in_parts;

pub(super) use in_parts::read_file;

use std::format;
use std::io::{self, Read};
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use super::decoded::{Filled, Image, Text};
use super::error::{Error, Unsupported};
use super::hex::{Body, HexLine, HexRecord, hex_line};
use super::lines::Window;
use super::{Delivery, Format, NOTHING, ProblemKind, cut, lazy, uniform};
use crate::addr::{Bdf, Sbdf};
use crate::config::{ConfigSpace, SIZE, Source};
use crate::function::{Attributes, Sink, decode};
use crate::limits::Limit;

/// Longest driver name that is taken.
const MAX_DRIVER: usize = 64;

/// Reads the text to its end.
pub(super) fn read<R: Read, K: Sink>(
    mut window: Window<R>,
    path: &Path,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let failed = |error| Error::io(path, error);
    window.skip_mark().map_err(failed)?;
    let mut reader = Reader::new();
    while reader.step(&mut window, delivery, |_| true).map_err(failed)? {}
    reader.end(&window, path, delivery)
}

/// Longest line with an address that [`Reader::usual`] looks at.
const USUAL_LINE: usize = 400;
/// What it looks at: an empty line, one with an address, and a record.
const USUAL: usize = 1 + USUAL_LINE + uniform::MAX;

/// A function without hex.
type Waiting = (Sbdf, Attributes, Option<Image>);

/// Where the reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first header line.
    Start,
    /// In the record of a function.
    Record {
        address: Sbdf,
        /// Whether the header line looks like one of lspci's, and not like prose.
        listed: bool,
    },
    /// Behind a record that was delivered as a whole.
    Delivered { address: Sbdf },
    /// In hex whose header line is lost.
    Lost,
}

struct Reader {
    state: State,
    body: Body,
    attributes: Attributes,
    /// What is decoded of the function.
    decoded: Text,
    /// Functions without hex, not delivered yet, with what was decoded of them.
    waiting: Vec<Waiting>,
    waiting_left_out: bool,
    hex_records: usize,
    /// Functions of which decoded text tells registers.
    texts: usize,
    listed: usize,
}

impl Reader {
    fn new() -> Self {
        Self {
            state: State::Start,
            body: Body::new(),
            attributes: Attributes::default(),
            decoded: Text::default(),
            waiting: Vec::new(),
            waiting_left_out: false,
            hex_records: 0,
            texts: 0,
            listed: 0,
        }
    }

    /// Goes on by functions, as long as they are usual and `may` begin here, or by a line; whether there may
    /// be more.
    fn step<R: Read, K: Sink>(
        &mut self,
        window: &mut Window<R>,
        delivery: &mut Delivery<'_, K>,
        may: impl Fn(&Window<R>) -> bool,
    ) -> io::Result<bool> {
        if self.may_go_on_as_usual(delivery) {
            while may(window) {
                let Some(length) = self.usual(window.look_ahead(USUAL)?, delivery) else { break };
                window.consume(length);
            }
        }
        if self.awaits_hex() && window.ahead().starts_with(b"00: ") {
            window.look_ahead(uniform::MAX)?;
            let length = self.whole_record(window.ahead(), window.is_last(), delivery);
            window.consume(length);
        }
        let line = window.line()?;
        let more = line.is_some();
        line.into_iter().for_each(|line| self.line(line, delivery));
        Ok(more)
    }

    /// Ends the text, and says what it was.
    fn end<R: Read, K: Sink>(
        &mut self,
        window: &Window<R>,
        path: &Path,
        delivery: &mut Delivery<'_, K>,
    ) -> Result<Format, Error> {
        self.finish(window.open_line(), delivery);
        if self.hex_records > 0 {
            return Ok(Format::LspciHex);
        }
        if self.texts > 0 {
            self.deliver_waiting(delivery);
            return Ok(Format::LspciText);
        }
        if self.listed > 0 {
            return Err(Error::unsupported(path, Unsupported::LspciText));
        }
        Err(Error::NoRecord { path: path.to_path_buf() })
    }

    /// Whether the record has begun and has no hex yet.
    fn awaits_hex(&self) -> bool {
        matches!(self.state, State::Record { .. }) && self.body.is_empty()
    }

    fn line<K: Sink>(&mut self, line: &[u8], delivery: &mut Delivery<'_, K>) {
        let line = unquoted(line);
        // A listing may be indented as a whole: so is its next header line.
        if matches!(line.first(), Some(b' ' | b'\t')) && is_header_of_listing(line) {
            return self.header(line, delivery);
        }
        let line = match self.state {
            State::Record { .. } => self.decoded.dedented(line),
            _ => line,
        };
        match line.first() {
            Some(b' ' | b'\t') => {
                self.decoded.push(line);
                return self.attribute(line);
            }
            Some(first) if first.is_ascii_hexdigit() || matches!(first, b'S' | b'I') => {}
            None => return self.decoded.end(),
            // What goes wrong while it writes, in the middle of what it writes.
            _ if line.starts_with(b"pcilib: ") || line.starts_with(b"lspci: ") => return,
            _ => return self.decoded.gap(),
        }
        if header(line).is_some() {
            return self.header(line, delivery);
        }
        match hex_line(line) {
            HexLine::Other => {
                self.decoded.gap();
                self.attribute(line);
            }
            HexLine::Unusable => self.damaged(),
            HexLine::Pairs { offset, text, cut } => {
                self.decoded.followed();
                self.pairs(offset, text, cut, delivery);
            }
        }
    }

    /// Begins the function of a line with an address.
    fn header<K: Sink>(&mut self, line: &[u8], delivery: &mut Delivery<'_, K>) {
        if let Some((address, listed)) = header(line.trim_ascii_start()) {
            self.decoded.followed();
            self.finish_record(delivery);
            self.listed = self.listed.saturating_add(usize::from(listed));
            self.decoded.begin(line);
            self.state = State::Record { address, listed };
        }
    }

    fn pairs<K: Sink>(&mut self, offset: u16, text: &[u8], cut: bool, delivery: &mut Delivery<'_, K>) {
        match self.state {
            State::Lost => {}
            State::Start => {
                let text = "hex lines before the first line with an address: ignored";
                delivery.problem(ProblemKind::HeaderLost, None, text);
                self.state = State::Lost;
            }
            State::Delivered { address } if offset == 0 => self.lose(address, delivery),
            State::Delivered { address } => {
                let text = "more hex behind an empty line: ignored";
                delivery.problem(ProblemKind::DamagedLines, Some(address), text);
                self.state = State::Lost;
            }
            State::Record { address, .. } => {
                if offset == 0 && !self.body.is_empty() {
                    self.finish_record(delivery);
                    self.lose(address, delivery);
                    return;
                }
                let damaged = self.body.push(offset, text, cut);
                self.attributes.damaged_lines = self.attributes.damaged_lines.saturating_add(damaged);
            }
        }
    }

    fn lose<K: Sink>(&mut self, after: Sbdf, delivery: &mut Delivery<'_, K>) {
        let text = "the hex behind this function begins again at offset 00 without a line with an address: \
                    ignored, a function is missing";
        delivery.problem(ProblemKind::HeaderLost, Some(after), text);
        self.state = State::Lost;
    }

    fn damaged(&mut self) {
        if matches!(self.state, State::Record { .. }) {
            self.attributes.damaged_lines = self.attributes.damaged_lines.saturating_add(1);
        }
    }

    fn attribute(&mut self, line: &[u8]) {
        if !matches!(self.state, State::Record { .. }) {
            return;
        }
        let value = |keys: [&[u8]; 2]| {
            let line = line.trim_ascii();
            keys.iter().find_map(|key| line.strip_prefix(*key)).map(<[u8]>::trim_ascii)
        };
        if let Some(driver) = value([b"Kernel driver in use:", b"Driver:\t"]) {
            let plain = driver.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
            if plain && !driver.is_empty() && driver.len() <= MAX_DRIVER {
                self.attributes.driver = Some(String::from_utf8_lossy(driver).into_owned());
            }
        } else if let Some(group) = value([b"IOMMU group:", b"IOMMUGroup:\t"]) {
            let number = core::str::from_utf8(group).ok().filter(|text| !text.starts_with('+'));
            self.attributes.kernel_group =
                number.and_then(|text| text.parse().ok()).or(self.attributes.kernel_group);
        }
    }

    /// Delivers the record that the text starts with, if it is laid out as lspci does; its length, 0
    /// if it is not.
    fn whole_record<K: Sink>(&mut self, text: &[u8], is_last: bool, delivery: &mut Delivery<'_, K>) -> usize {
        let State::Record { address, .. } = self.state else { return 0 };
        self.decoded.followed();
        // The first hex of a text decides what its functions without hex are: it is looked at closely.
        if delivery.unchecked && self.waiting.is_empty() && self.attributes.damaged_lines == 0 {
            if let Some((record, length)) = lazy::record(text, is_last) {
                if self.text_beyond(record.extent()).is_none()
                    && delivery.record_unchecked(address, record, self.attributes.clone())
                {
                    self.hex_records = self.hex_records.saturating_add(1);
                    self.attributes = Attributes::default();
                    self.state = State::Delivered { address };
                    return length;
                }
            }
        }
        let Some((record, length)) = uniform::record(text, is_last) else { return 0 };
        self.deliver(address, record, delivery);
        self.state = State::Delivered { address };
        length
    }

    /// Whether what comes next may be a function as [`usual`](Self::usual) takes them: so was the one before.
    fn may_go_on_as_usual<K>(&self, delivery: &Delivery<'_, K>) -> bool {
        matches!(self.state, State::Delivered { .. }) && delivery.unchecked && self.waiting.is_empty()
    }

    /// Delivers the next function, if its 4096 bytes follow its first line directly, all as lspci writes it;
    /// the length of what was taken. `None` leaves it to be read line by line.
    fn usual<K: Sink>(&mut self, text: &[u8], delivery: &mut Delivery<'_, K>) -> Option<usize> {
        let rest = text.strip_prefix(b"\n").unwrap_or(text);
        let address = usual_address(rest)?;
        let line = rest.get(..USUAL_LINE)?;
        let (line, body) = rest.split_at_checked(memchr::memchr(b'\n', line)?.checked_add(1)?)?;
        if line.ends_with(b"\r\n") {
            return None;
        }
        // The last one, with nothing behind it, is not worth a case.
        let (record, length) = lazy::record(body, false)?;
        if record.extent() != SIZE || !delivery.record_unchecked(address, record, Attributes::default()) {
            return None;
        }
        self.hex_records = self.hex_records.saturating_add(1);
        self.state = State::Delivered { address };
        text.len().checked_sub(body.len())?.checked_add(length)
    }

    fn finish_record<K: Sink>(&mut self, delivery: &mut Delivery<'_, K>) {
        if let State::Record { address, listed } = self.state {
            if !self.body.is_empty() {
                let body = core::mem::take(&mut self.body);
                self.deliver(address, body.record(), delivery);
                self.body = body;
            } else if listed {
                self.deliver_without_hex(address, delivery);
            }
        }
        self.attributes = Attributes::default();
        self.body.clear();
    }

    fn deliver<K: Sink>(&mut self, address: Sbdf, record: HexRecord<'_>, delivery: &mut Delivery<'_, K>) {
        let attributes = core::mem::take(&mut self.attributes);
        let (lines, hole) = (attributes.damaged_lines, record.extent().saturating_sub(record.captured()));
        if lines > 0 || hole > 0 {
            let text = match (lines, hole) {
                (0, hole) => format!("{hole} byte(s) missing between others: not captured"),
                (lines, 0) => format!("{lines} damaged hex line(s)"),
                (lines, hole) => {
                    format!(
                        "{lines} damaged hex line(s), {hole} byte(s) missing between others: not captured"
                    )
                }
            };
            delivery.problem(ProblemKind::DamagedLines, Some(address), text);
        }
        self.hex_records = self.hex_records.saturating_add(1);
        self.deliver_waiting(delivery);
        let mut attributes = attributes;
        match self.text_beyond(record.extent()) {
            Some(text) => {
                attributes.text_from = Some(record.extent());
                delivery.record(address, Filled { bytes: record, text: &text }, attributes);
            }
            None => delivery.record(address, record, attributes),
        }
    }

    /// What decoded text tells of configuration space behind the hex: bytes win, text fills in what they
    /// lack.
    fn text_beyond(&self, extent: u16) -> Option<Image> {
        (extent < SIZE).then(|| self.decoded.image()).flatten().filter(|image| image.tells_from(extent))
    }

    fn deliver_waiting<K: Sink>(&mut self, delivery: &mut Delivery<'_, K>) {
        let mut waiting = core::mem::take(&mut self.waiting);
        waiting.sort_by_key(|(address, ..)| *address);
        let slot = |address: &Sbdf| (address.segment, address.bus(), address.bdf.devfn() >> 3);
        for device in waiting.chunk_by_mut(|(a, ..), (b, ..)| slot(a) == slot(b)) {
            if device.iter().all(|(address, ..)| address.bdf.devfn() & 7 == 0) {
                continue;
            }
            // Virtual functions beside their physical one make it no device of several functions.
            let sriov = |(address, _, image): &Waiting| {
                let config = ConfigSpace::new(image.as_ref()?);
                Some((address.bdf, decode(*address, &config).extras?.sriov.present()?))
            };
            let physical: Vec<_> = device.iter().filter_map(sriov).collect();
            let is_virtual = |at: Bdf| {
                physical.iter().any(|(owner, sriov)| {
                    let number = sriov.vf_number(*owner, at).filter(|n| *n < sriov.enabled_vfs());
                    number.is_some_and(|n| sriov.vf_address(*owner, n) == Some(at))
                })
            };
            let own = |(address, ..): &&mut Waiting| !is_virtual(address.bdf);
            if device.iter_mut().filter(own).any(|(address, ..)| address.bdf.devfn() & 7 != 0) {
                for (_, _, image) in device.iter_mut().filter(own) {
                    image.iter_mut().for_each(Image::set_multifunction);
                }
            }
        }
        let nameless =
            waiting.iter().filter(|(_, _, image)| image.as_ref().is_some_and(|i| !i.has_ids)).count();
        if nameless > 0 {
            let text = format!(
                "{nameless} function(s) without their IDs: exceptions for single devices are not found; take \
                 the listing with lspci -nnvv"
            );
            delivery.problem(ProblemKind::NoIds, None, text);
        }
        for (address, mut attributes, image) in waiting {
            match image {
                Some(image) => {
                    attributes.text_from = Some(0);
                    attributes.ids_unknown = !image.has_ids;
                    attributes.class_unknown = !image.has_class;
                    delivery.record(address, &image, attributes);
                }
                None => delivery.record(address, NOTHING, attributes),
            }
        }
    }

    /// A function without hex is one only if the text is a hex dump at all: of a text that is none,
    /// nothing is delivered.
    fn deliver_without_hex<K: Sink>(&mut self, address: Sbdf, delivery: &mut Delivery<'_, K>) {
        let attributes = core::mem::take(&mut self.attributes);
        let image = self.decoded.image();
        self.texts = self.texts.saturating_add(usize::from(image.is_some()));
        if self.hex_records > 0 {
            self.waiting.push((address, attributes, image));
            self.deliver_waiting(delivery);
        } else if (self.waiting.len() as u64) < delivery.limits.waiting {
            self.waiting.push((address, attributes, image));
        } else if !self.waiting_left_out {
            self.waiting_left_out = true;
            delivery.left_out(Limit::Waiting);
        }
    }

    /// Ends the text; `open_line` is its last line if no line end stands behind it.
    fn finish<K: Sink>(&mut self, open_line: Option<&[u8]>, delivery: &mut Delivery<'_, K>) {
        let open_line = open_line.map(|line| self.decoded.dedented(unquoted(line)));
        // lspci prints 64 (for CardBus bridges 128), 256 or 4096 bytes.
        let extent = self.body.record().extent();
        let cut = match self.state {
            State::Record { address, .. } if !matches!(extent, 0 | 64 | 128 | 256 | 4096) => {
                let text = format!(
                    "the text ends in the middle of this function, after {extent} bytes: functions behind it \
                     may be missing"
                );
                Some((Some(address), text))
            }
            _ if open_line.is_some_and(cut::may_begin_more) => {
                let text = "the text ends within a line that may begin a function, or more hex of one: functions \
                            may be missing";
                Some((None, String::from(text)))
            }
            _ => None,
        };
        if let Some((address, text)) = cut {
            delivery.problem(ProblemKind::Truncated, address, text);
        }
        self.finish_record(delivery);
        self.state = State::Start;
    }
}

/// The line without the marks that mail programs put before quoted text.
fn unquoted(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_prefix(b">") {
        line = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    line
}

/// The address that a line starts with, and whether the line is surely one of lspci's.
pub(super) fn header(line: &[u8]) -> Option<(Sbdf, bool)> {
    let slot = line.strip_prefix(b"Slot:\t");
    let line = slot.unwrap_or(line);
    // Without a domain, or with one of four to eight digits and its colon.
    let (segment, rest) = match leading_digits(line) {
        (2, bus, [b':', rest @ ..]) => return header_of(0, bus, rest, slot.is_some()),
        (4..=8, segment, [b':', rest @ ..]) => (segment, rest),
        _ => return None,
    };
    match leading_digits(rest) {
        (2, bus, [b':', rest @ ..]) => header_of(segment, bus, rest, slot.is_some()),
        _ => None,
    }
}

/// The address of a line that begins with it in one of the two forms that almost all lines have: with a
/// domain of four digits, or without. What [`header`] says of such lines, with less ado.
#[inline]
fn usual_address(line: &[u8]) -> Option<Sbdf> {
    let (segment, rest) = match line {
        [a, b, c, d, b':', rest @ ..] => ([*a, *b, *c, *d], rest),
        _ => ([b'0'; 4], line),
    };
    let &[bus, bus_low, b':', device, device_low, b'.', function, b' ', ..] = rest else { return None };
    let byte = |high: u8, low: u8| lazy::byte_of([high, low]);
    let [a, b, c, d] = segment;
    let parts = [byte(a, b), byte(c, d), byte(bus, bus_low), byte(device, device_low), byte(b'0', function)];
    if parts.iter().fold(0, |all, part| all | part) & lazy::WRONG != 0 {
        return None;
    }
    let [high, low, bus, device, function] = parts.map(|part| (part & 0xff) as u8);
    Sbdf::new(u32::from(u16::from_be_bytes([high, low])), bus, device, function)
}

/// The rest of it, from the device number on.
fn header_of(segment: u32, bus: u32, rest: &[u8], is_slot: bool) -> Option<(Sbdf, bool)> {
    let (2, device, [b'.', rest @ ..]) = leading_digits(rest) else { return None };
    let (1, function, rest) = leading_digits(rest) else { return None };
    if !matches!(rest.first(), None | Some(b' ' | b'\t' | b'"')) {
        return None;
    }
    let [bus, device, function] = [bus, device, function].map(|number| u8::try_from(number).ok());
    let address = Sbdf::new(segment, bus?, device?, function?)?;
    Some((address, is_slot || looks_listed(rest)))
}

/// How many hexadecimal digits the text starts with, nine at most; their value, and what follows.
fn leading_digits(text: &[u8]) -> (usize, u32, &[u8]) {
    let (mut count, mut value, mut rest) = (0_usize, 0_u32, text);
    while let [first, behind @ ..] = rest {
        let Some(digit) = char::from(*first).to_digit(16).filter(|_| count < 9) else { break };
        value = (value << 4) | digit;
        (count, rest) = (count.saturating_add(1), behind);
    }
    (count, value, rest)
}

/// Whether a line begins the record of a function, surely one of lspci's; it may be indented.
pub(super) fn is_listed(line: &[u8]) -> bool {
    is_header_of_listing(unquoted(line))
}

fn is_header_of_listing(line: &[u8]) -> bool {
    header(line.trim_ascii_start()).is_some_and(|(_, listed)| listed)
}

/// Whether what follows the address is what lspci writes: a class that begins with a capital letter or
/// a digit and ends with a colon, or fields in quotes.
fn looks_listed(rest: &[u8]) -> bool {
    const LONGEST_CLASS: usize = 100;
    let rest = rest.trim_ascii_start();
    match rest.first() {
        Some(b'"') => true,
        Some(first) if first.is_ascii_uppercase() || first.is_ascii_digit() => {
            let class = rest.get(..LONGEST_CLASS).unwrap_or(rest);
            memchr::memchr_iter(b':', class)
                .any(|at| rest.get(at..).is_some_and(|end| end.starts_with(b": ")))
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
