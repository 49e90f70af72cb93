//! Decoded text of `lspci -vv` and `-vvv`, turned back into the registers that it prints.
//!
//! A byte counts as captured only if the text says what it holds. Everything above sees bytes with
//! holes, as in any other dump, and proves absence as there: the lists are linked as they were
//! printed, and end where lspci printed their end. A list that was not printed - `<access denied>`,
//! or no extended capability at all - has its first entry missing, so nothing is absent.
//!
//! Three things are taken from other words: the class and the vendor of a listing without numbers by
//! their names, with 0 where they are not known, and the multi-function bit from the functions
//! listed beside.
//!
//! Source: pciutils 3.13, `lspci.c`, `ls-caps.c`, `ls-ecaps.c`.

mod names;

use std::collections::BTreeMap;
use std::vec::Vec;

use crate::cap::acs::{AcsCapability, AcsControl};
use crate::config::Source;

/// Longest decoded text of one function that is kept.
const MAX_TEXT: usize = 64 * 1024;

/// The decoded text of the function being read, as it comes.
#[derive(Default)]
pub(super) struct Text {
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Text {
    /// Begins a function with its header line.
    pub(super) fn begin(&mut self, header: &[u8]) {
        self.header.clear();
        self.header.extend_from_slice(header);
        self.body.clear();
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: &[u8]) {
        if self.body.len().saturating_add(line.len()) < MAX_TEXT {
            self.body.extend_from_slice(line);
            self.body.push(b'\n');
        }
    }

    /// The registers that the text tells; `None` if it is not the text of `-vv`.
    pub(super) fn image(&self) -> Option<Image> {
        let body = std::string::String::from_utf8_lossy(&self.body);
        if !body.lines().any(|line| line.starts_with("\tControl: ")) {
            return None;
        }
        let mut parser = Parser::default();
        parser.header(&std::string::String::from_utf8_lossy(&self.header));
        for line in body.lines() {
            parser.line(line);
        }
        Some(parser.finish())
    }
}

/// Bytes that a text tells, with holes between.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    bytes: BTreeMap<u16, u8>,
    /// Whether the text has the IDs as numbers.
    pub(super) has_ids: bool,
}

impl Image {
    /// Takes a header for one of a multi-function device.
    pub(super) fn set_multifunction(&mut self) {
        if let Some(header_type) = self.bytes.get_mut(&HEADER_TYPE) {
            *header_type |= 0x80;
        }
    }

    /// Whether it tells anything of the extended space.
    pub(super) fn is_extended(&self) -> bool {
        self.bytes.range(0x100..).next().is_some()
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

const HEADER_TYPE: u16 = 0x0e;
const CAPABILITIES_POINTER: u16 = 0x34;

/// The structure whose lines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Structure {
    Express(u16),
    Extended(u16, u16),
}

#[derive(Default)]
struct Parser {
    image: Image,
    is_bridge: bool,
    is_cardbus: bool,
    bars: [u32; 6],
    /// Base and limit of I/O, memory and prefetchable windows.
    windows: [Option<(u64, u64)>; 3],
    buses: Option<[u8; 3]>,
    /// Offsets in the order in which they were printed, with the ID.
    standard: Vec<(u8, u8)>,
    extended: Vec<(u16, u16, u8)>,
    standard_broken: bool,
    extended_broken: bool,
    structure: Option<Structure>,
    /// The register whose line, or line after it, comes.
    register: Option<&'static str>,
    device_capabilities_2: Option<u32>,
    device_control_2: Option<u32>,
}

impl Parser {
    fn header(&mut self, line: &str) {
        let text = line.split_once(char::is_whitespace).map_or("", |(_, text)| text.trim());
        let (class_text, rest) = text.split_once(": ").unwrap_or((text, ""));
        let numeric = (class_text.len() == 4).then(|| hex(class_text)).flatten();
        let bracketed = class_text.rsplit_once('[').and_then(|(_, end)| hex(end.strip_suffix(']')?));
        let class = numeric.or(bracketed).and_then(|class| u16::try_from(class).ok());
        let class = class.or_else(|| names::class(class_text)).unwrap_or(0);
        let pair = |text: &str| -> Option<(u16, u16)> {
            let (vendor, device) = text.get(..9)?.split_once(':')?;
            let of = |text: &str| (text.len() == 4).then(|| u16::try_from(hex(text)?).ok()).flatten();
            Some((of(vendor)?, of(device)?))
        };
        let ids = match numeric {
            Some(_) => pair(rest),
            None => rest
                .match_indices('[')
                .filter_map(|(at, _)| pair(rest.get(at.checked_add(1)?..)?))
                .next_back(),
        };
        self.image.has_ids = ids.is_some();
        let (vendor, device) = ids.unwrap_or((names::vendor(rest).unwrap_or(0), 0));
        let after = |mark: &str| {
            let (_, text) = rest.split_once(mark)?;
            u8::try_from(hex(text.get(..2)?)?).ok()
        };
        self.is_bridge = class == 0x0604 || class == 0x0609;
        self.is_cardbus = class == 0x0607;
        self.image.put(0, &vendor.to_le_bytes());
        self.image.put(2, &device.to_le_bytes());
        self.image.put(8, &[after("(rev ").unwrap_or(0), after("(prog-if ").unwrap_or(0)]);
        self.image.put(0x0a, &class.to_le_bytes());
    }

    fn line(&mut self, line: &str) {
        let text = line.trim();
        if let Some(capability) = line.strip_prefix("\tCapabilities: ") {
            return self.capability(capability);
        }
        if line.starts_with("\t\t") {
            return self.register(text);
        }
        let Some((label, value)) = text.split_once(": ") else { return };
        match label {
            "Control" => {
                const BITS: [&str; 11] = [
                    "I/O",
                    "Mem",
                    "BusMaster",
                    "SpecCycle",
                    "MemWINV",
                    "VGASnoop",
                    "ParErr",
                    "Stepping",
                    "SERR",
                    "FastB2B",
                    "DisINTx",
                ];
                self.image.put(4, &bits(value, &BITS).to_le_bytes());
            }
            "Status" => {
                let mut status =
                    bits(value, &["", "", "", "INTx", "Cap", "66MHz", "UDF", "FastB2B", "ParErr"]);
                let more = [(">TAbort", 11), ("<TAbort", 12), ("<MAbort", 13), (">SERR", 14), ("<PERR", 15)];
                for (name, bit) in more {
                    status |= u16::from(token(value, name) == Some(true)) << bit;
                }
                self.image.put(6, &status.to_le_bytes());
            }
            "Bus" => {
                let field = |name: &str| {
                    let (_, text) = value.split_once(name)?;
                    u8::try_from(hex(text.get(..2)?)?).ok()
                };
                let all = (field("primary="), field("secondary="), field("subordinate="));
                if let (Some(primary), Some(secondary), Some(subordinate)) = all {
                    self.buses = Some([primary, secondary, subordinate]);
                    self.is_bridge |= !self.is_cardbus;
                }
            }
            "I/O behind bridge" => self.window(0, value),
            "Memory behind bridge" => self.window(1, value),
            "Prefetchable memory behind bridge" => self.window(2, value),
            _ => {
                if let Some(number) = label.strip_prefix("Region ").and_then(|text| text.parse().ok()) {
                    self.region(number, value);
                }
            }
        }
    }

    fn window(&mut self, which: usize, value: &str) {
        let range = value.split_whitespace().next().and_then(|range| {
            let (base, limit) = range.split_once('-')?;
            Some((wide(base)?, wide(limit)?))
        });
        let open = !value.contains("[disabled]");
        if let Some(window) = self.windows.get_mut(which) {
            *window = range.filter(|_| open);
        }
    }

    fn region(&mut self, number: usize, value: &str) {
        let address = |mark: &str| {
            let (_, text) = value.split_once(mark)?;
            wide(text.split(|letter: char| !letter.is_ascii_hexdigit()).next()?)
        };
        let low = |address: u64| u32::try_from(address & 0xffff_ffff).unwrap_or(0);
        if let Some(port) = address("I/O ports at ") {
            if let Some(bar) = self.bars.get_mut(number) {
                *bar = (low(port) & !3) | 1;
            }
        } else if let Some(at) = address("Memory at ") {
            let is_wide = value.contains("(64-bit");
            let prefetchable = value.contains(", prefetchable)");
            if let Some(bar) = self.bars.get_mut(number) {
                *bar = (low(at) & !15) | u32::from(is_wide) << 2 | u32::from(prefetchable) << 3;
            }
            if let Some(bar) = self.bars.get_mut(number.saturating_add(1)).filter(|_| is_wide) {
                *bar = low(at >> 32);
            }
        }
    }

    fn capability(&mut self, text: &str) {
        self.structure = None;
        self.register = None;
        let Some((offset, description)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) else {
            // <access denied>, <chain broken>: the rest of the list was not seen.
            let broken =
                if self.extended.is_empty() { &mut self.standard_broken } else { &mut self.extended_broken };
            *broken = true;
            return;
        };
        let (offset, version) = offset.split_once(" v").unwrap_or((offset, "1"));
        let Some(at) = hex(offset).and_then(|at| u16::try_from(at).ok()) else { return };
        let description = description.trim();
        let broken = description.starts_with("<chain") || description.starts_with("<unreadable");
        if let Ok(at) = u8::try_from(at) {
            self.standard_broken |= broken;
            let id = names::capability(description);
            self.standard.push((at, id));
            if id == 0x10 {
                self.express(u16::from(at), description);
            }
        } else if at < crate::config::SIZE {
            self.extended_broken |= broken;
            let id = names::extended_capability(description);
            let version = version.parse::<u8>().unwrap_or(1).clamp(1, 15);
            self.extended.push((at, id, version));
            self.structure = Some(Structure::Extended(at, id));
        }
    }

    /// `Express (v2) Root Port (Slot+), MSI 00`: the capabilities register.
    fn express(&mut self, at: u16, description: &str) {
        let text = description.trim_start_matches("Express").trim();
        let (version, text) = match text.strip_prefix("(v").and_then(|text| text.split_once(')')) {
            Some((version, text)) => (version.parse::<u16>().unwrap_or(1) & 15, text.trim()),
            None => (1, text),
        };
        if let Some(port_type) = names::port_type(text) {
            let slot = u16::from(text.contains("(Slot+)"));
            self.image.put(at.saturating_add(2), &(version | port_type << 4 | slot << 8).to_le_bytes());
        }
        self.structure = Some(Structure::Express(at));
    }

    fn register(&mut self, text: &str) {
        const LABELS: [&str; 12] = [
            "SltCap", "DevCap2", "DevCtl2", "ACSCap", "ACSCtl", "ARICap", "ARICtl", "ATSCap", "ATSCtl",
            "IOVCap", "IOVCtl", "IOVSta",
        ];
        if let Some((label, _)) = text.split_once(':').filter(|(label, _)| !label.contains(' ')) {
            self.register = LABELS.into_iter().find(|known| *known == label);
        }
        match (self.structure, self.register) {
            (Some(Structure::Express(at)), Some(register)) => self.express_register(at, register, text),
            (Some(Structure::Extended(at, id)), register) => self.extended_register(at, id, register, text),
            _ => {}
        }
    }

    fn express_register(&mut self, at: u16, register: &str, text: &str) {
        match register {
            "SltCap" => {
                if let Some(hot_plug) = token(text, "HotPlug") {
                    let bits = u32::from(hot_plug) << 6;
                    self.image.put(at.saturating_add(0x14), &bits.to_le_bytes());
                }
            }
            "DevCap2" => {
                // Without the token the register was printed all the same: the function is no port.
                let bits = self.device_capabilities_2.get_or_insert(0);
                *bits |= u32::from(token(text, "ARIFwd") == Some(true)) << 5;
                self.image.put(at.saturating_add(0x24), &bits.to_le_bytes());
            }
            "DevCtl2" => {
                // With Device Status 2, which has no bits, in the upper half.
                let bits = self.device_control_2.get_or_insert(0);
                *bits |= u32::from(token(text, "ARIFwd") == Some(true)) << 5;
                self.image.put(at.saturating_add(0x28), &bits.to_le_bytes());
            }
            _ => {}
        }
    }

    fn extended_register(&mut self, at: u16, id: u16, register: Option<&str>, text: &str) {
        let is_first = |label: &str| text.starts_with(label);
        let words = |name: &str| number(text, name);
        let mut put = |offset: u16, bytes: &[u8]| self.image.put(at.saturating_add(offset), bytes);
        match (id, register) {
            (0x0d, Some("ACSCap")) if is_first("ACSCap") => {
                let known =
                    AcsCapability::TOKENS.iter().take(7).filter(|(name, _)| token(text, name) == Some(true));
                put(4, &known.fold(0, |bits, (_, flag)| bits | flag.bits()).to_le_bytes());
            }
            (0x0d, Some("ACSCtl")) if is_first("ACSCtl") => {
                let known =
                    AcsControl::TOKENS.iter().take(7).filter(|(name, _)| token(text, name) == Some(true));
                put(6, &known.fold(0, |bits, (_, flag)| bits | flag.bits()).to_le_bytes());
            }
            (0x0e, Some("ARICap")) if is_first("ARICap") => {
                let next = words("Next Function: ").unwrap_or(0);
                put(4, &(bits(text, &["MFVC", "ACS"]) | next << 8).to_le_bytes());
            }
            (0x0e, Some("ARICtl")) if is_first("ARICtl") => {
                let group = words("Function Group: ").unwrap_or(0);
                put(6, &(bits(text, &["MFVC", "ACS"]) | (group & 7) << 4).to_le_bytes());
            }
            (0x0f, Some("ATSCap")) if is_first("ATSCap") => {
                put(4, &(hexadecimal(text, "Invalidate Queue Depth: ").unwrap_or(0) & 31).to_le_bytes());
            }
            (0x0f, Some("ATSCtl")) if is_first("ATSCtl") => {
                let unit = hexadecimal(text, "Smallest Translation Unit: ").unwrap_or(0) & 31;
                let enable = u16::from(token(text, "Enable") == Some(true)) << 15;
                put(6, &(unit | enable).to_le_bytes());
            }
            (0x10, Some("IOVCap")) if is_first("IOVCap") => {
                put(4, &u32::from(token(text, "Migration") == Some(true)).to_le_bytes());
            }
            (0x10, Some("IOVCtl")) if is_first("IOVCtl") => {
                let control = bits(text, &["Enable", "Migration", "Interrupt", "MSE", "ARIHierarchy"]);
                put(8, &control.to_le_bytes());
            }
            (0x10, Some("IOVSta")) if is_first("IOVSta") => put(0x0a, &[0, 0]),
            (0x10, _) => {
                let counts = (words("Initial VFs: "), words("Total VFs: "), words("Number of VFs: "));
                if let (Some(initial), Some(total), Some(enabled)) = counts {
                    let link = hexadecimal(text, "Function Dependency Link: ").unwrap_or(0);
                    for (offset, word) in [(0x0c, initial), (0x0e, total), (0x10, enabled), (0x12, link)] {
                        put(offset, &word.to_le_bytes());
                    }
                }
                let placing = (words("VF offset: "), words("stride: "), hexadecimal(text, "Device ID: "));
                if let (Some(offset), Some(stride), Some(device)) = placing {
                    for (at, word) in [(0x14, offset), (0x16, stride), (0x18, 0), (0x1a, device)] {
                        put(at, &word.to_le_bytes());
                    }
                }
            }
            _ => {}
        }
    }

    /// Lays out the header and links the lists.
    fn finish(mut self) -> Image {
        let layout = if self.is_cardbus { 2 } else { u8::from(self.is_bridge) };
        self.image.put(0x0c, &[0, 0, layout, 0]);
        let bars = if layout == 0 { 6 } else { 2 };
        for (offset, bar) in (0x10_u16..).step_by(4).zip(self.bars.iter().take(bars)) {
            self.image.put(offset, &bar.to_le_bytes());
        }
        match (layout, self.buses) {
            (0, _) => self.image.put(0x28, &[0; 12]),
            (1, Some([primary, secondary, subordinate])) => {
                self.image.put(0x18, &[primary, secondary, subordinate, 0]);
                self.lay_windows();
            }
            (2, Some([primary, secondary, subordinate])) => {
                self.image.put(0x18, &[primary, secondary, subordinate, 0]);
            }
            _ => {}
        }
        self.link_standard(if layout == 2 { 0x14 } else { CAPABILITIES_POINTER });
        self.link_extended();
        self.image
    }

    fn lay_windows(&mut self) {
        let [io, memory, prefetchable] = self.windows;
        let (io_base, io_limit) = io.unwrap_or((0xf000, 0));
        let high = |address: u64| (address >> 8 & 0xf0) as u8;
        self.image.put(0x1c, &[high(io_base), high(io_limit), 0, 0]);
        let words = |window: Option<(u64, u64)>| {
            let (base, limit) = window.unwrap_or((0xfff0_0000, 0));
            [(base >> 16 & 0xfff0) as u16, (limit >> 16 & 0xfff0) as u16]
        };
        let [base, limit] = words(memory);
        self.image.put(0x20, &base.to_le_bytes());
        self.image.put(0x22, &limit.to_le_bytes());
        let is_wide = u16::from(prefetchable.is_some_and(|(_, limit)| limit > u64::from(u32::MAX)));
        let [base, limit] = words(prefetchable);
        self.image.put(0x24, &(base | is_wide).to_le_bytes());
        self.image.put(0x26, &(limit | is_wide).to_le_bytes());
        let (base, limit) = prefetchable.unwrap_or((0, 0));
        self.image.put(0x28, &((base >> 32) as u32).to_le_bytes());
        self.image.put(0x2c, &((limit >> 32) as u32).to_le_bytes());
        let [io_base, io_limit] = [io_base, io_limit].map(|address| (address >> 16 & 0xffff) as u16);
        self.image.put(0x30, &io_base.to_le_bytes());
        self.image.put(0x32, &io_limit.to_le_bytes());
    }

    fn link_standard(&mut self, pointer: u16) {
        let mut from = pointer;
        for (at, id) in core::mem::take(&mut self.standard) {
            self.image.put(from, &[at]);
            self.image.put(u16::from(at), &[id]);
            from = u16::from(at).saturating_add(1);
        }
        if !self.standard_broken {
            self.image.put(from, &[0]);
        }
    }

    fn link_extended(&mut self) {
        let entries = core::mem::take(&mut self.extended);
        let nexts = entries.iter().skip(1).map(|(at, ..)| Some(*at));
        let end = if self.extended_broken { None } else { Some(0) };
        for ((at, id, version), next) in entries.iter().zip(nexts.chain([end])) {
            // The header of the last one before a break is not wholly known.
            let Some(next) = next else { continue };
            let header = u32::from(*id) | u32::from(*version) << 16 | u32::from(next) << 20;
            self.image.put(*at, &header.to_le_bytes());
        }
    }
}

/// `name+` or `name-` as a word of its own.
fn token(text: &str, name: &str) -> Option<bool> {
    text.split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | ':')).find_map(|word| {
        match word.strip_prefix(name)? {
            "+" => Some(true),
            "-" => Some(false),
            _ => None,
        }
    })
}

/// Tokens as bits from 0 on.
fn bits(text: &str, names: &[&str]) -> u16 {
    let set = names.iter().zip(0_u16..16).filter(|(name, _)| token(text, name) == Some(true));
    set.fold(0, |bits, (_, bit)| bits | 1 << bit)
}

/// The decimal number behind a mark.
fn number(text: &str, mark: &str) -> Option<u16> {
    let (_, text) = text.split_once(mark)?;
    text.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// The hexadecimal number behind a mark.
fn hexadecimal(text: &str, mark: &str) -> Option<u16> {
    let (_, text) = text.split_once(mark)?;
    u16::try_from(hex(text.split(|letter: char| !letter.is_ascii_hexdigit()).next()?)?).ok()
}

fn hex(text: &str) -> Option<u32> {
    u32::try_from(wide(text)?).ok()
}

fn wide(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests;
