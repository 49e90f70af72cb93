//! From the lines of a function to the registers that they tell.
//!
//! A register counts as captured only if every token is on its line that lspci prints there: a line that
//! was cut tells nothing. A capability whose name is not known stands at the end of its list, with its
//! header not captured: what was not found may be that one.

use std::vec::Vec;

use super::{Image, names};
use crate::cap::acs::{AcsCapability, AcsControl};

const CAPABILITIES_POINTER: u16 = 0x34;
const SUBSYSTEM: u16 = 0x2c;

/// In place of a line: here lines are missing, or here the function is known to end.
pub(super) const GAP: &str = "\t\0";
pub(super) const END: &str = "\t\u{1}";

/// Beginnings of the lines that lspci prints behind the capabilities.
const BEHIND: [&str; 2] = ["Kernel driver in use:", "Kernel modules:"];

/// Device/Port Types of which lspci says more than of others.
const ROOT_PORT: u16 = 4;
const DOWNSTREAM_PORT: u16 = 6;

/// The structure whose lines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Structure {
    Express(u16),
    Extended(u16, u16),
}

#[derive(Default)]
pub(super) struct Parser {
    image: Image,
    /// Whether the lists have begun: what comes then is none of the header.
    in_lists: bool,
    /// Whether the last list that was printed is known to have ended.
    ended: bool,
    /// The Capabilities List bit.
    has_list: bool,
    is_bridge: bool,
    is_cardbus: bool,
    bars: [u32; 6],
    /// Base and limit of I/O, memory and prefetchable windows.
    windows: [Option<(u64, u64)>; 3],
    buses: Option<[u8; 3]>,
    /// Offsets in the order in which they were printed, with the ID.
    standard: Vec<(u8, Option<u8>)>,
    extended: Vec<(u16, Option<u16>, u8)>,
    standard_broken: bool,
    extended_broken: bool,
    structure: Option<Structure>,
    /// The register whose line, or line after it, comes.
    register: Option<&'static str>,
    port_type: Option<u16>,
    subsystem: Option<(u16, u16)>,
    /// Whether lines of the header are missing.
    header_broken: bool,
}

impl Parser {
    pub(super) fn header(&mut self, line: &str) {
        let text = line.split_once(char::is_whitespace).map_or("", |(_, text)| text.trim());
        let (class_text, rest) = text.split_once(": ").unwrap_or((text, ""));
        let numeric = (class_text.len() == 4).then(|| hex(class_text)).flatten();
        let bracketed = class_text.rsplit_once('[').and_then(|(_, end)| hex(end.strip_suffix(']')?));
        let class = numeric.or(bracketed).and_then(|class| u16::try_from(class).ok());
        let class = class.or_else(|| names::class(class_text));
        self.image.has_class = class.is_some();
        let class = class.unwrap_or(0);
        let ids = match numeric {
            Some(_) => pair(rest),
            None => bracketed_pair(rest),
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

    /// Takes a line, which begins with one tab, or with two where it belongs to the line before.
    pub(super) fn line(&mut self, line: &str) {
        let text = line.trim();
        if let Some(capability) = text.strip_prefix("Capabilities: ") {
            (self.in_lists, self.ended) = (true, false);
            return self.capability(capability);
        }
        match line {
            END => {
                self.ended = true;
                return;
            }
            GAP => {
                self.header_broken |= !self.in_lists;
                self.standard_broken |= self.extended.is_empty();
                self.extended_broken = true;
                return;
            }
            _ => {}
        }
        if BEHIND.iter().any(|begin| text.starts_with(begin)) {
            self.ended = true;
            return;
        }
        // However it is indented: mail programs and forums take that away.
        if self.in_lists {
            return self.register(text);
        }
        if line.starts_with("\t\t") {
            return;
        }
        let Some((label, value)) = text.split_once(": ") else { return };
        match label {
            "Control" => self.control(value),
            "Status" => self.status(value),
            "Subsystem" => {
                if let Some(ids) = pair(value).or_else(|| bracketed_pair(value)) {
                    self.subsystem = Some(ids);
                }
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

    fn control(&mut self, value: &str) {
        let bits = |names: &[(&str, u16)]| every(value, names);
        // The last one is younger than the others.
        let interrupt = u16::from(token(value, "DisINTx") == Some(true)) << 10;
        if let Some(control) = bits(&[
            ("I/O", 0),
            ("Mem", 1),
            ("BusMaster", 2),
            ("SpecCycle", 3),
            ("MemWINV", 4),
            ("VGASnoop", 5),
            ("ParErr", 6),
            ("Stepping", 7),
            ("SERR", 8),
            ("FastB2B", 9),
        ]) {
            self.image.put(4, &(control | interrupt).to_le_bytes());
        }
    }

    fn status(&mut self, value: &str) {
        let interrupt = u16::from(token(value, "INTx") == Some(true)) << 3;
        if let Some(status) = every(
            value,
            &[
                ("Cap", 4),
                ("66MHz", 5),
                ("UDF", 6),
                ("FastB2B", 7),
                ("ParErr", 8),
                (">TAbort", 11),
                ("<TAbort", 12),
                ("<MAbort", 13),
                (">SERR", 14),
                ("<PERR", 15),
            ],
        ) {
            self.has_list = status & 0x10 != 0;
            self.image.put(6, &(status | interrupt).to_le_bytes());
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
            self.standard.push((at, id.filter(|_| !broken)));
            self.standard_registers(u16::from(at), id, description);
        } else if at < crate::config::SIZE {
            self.extended_broken |= broken;
            let id = names::extended_capability(description).filter(|_| !broken);
            let version = version.parse::<u8>().unwrap_or(1).clamp(1, 15);
            self.extended.push((at, id, version));
            self.structure = id.map(|id| Structure::Extended(at, id));
        }
    }

    /// What the line itself tells of a capability below 100h.
    fn standard_registers(&mut self, at: u16, id: Option<u8>, description: &str) {
        // The word behind the header, of one that lspci does not decode.
        if let Some(word) = names::raw_word(description) {
            self.image.put(at.saturating_add(2), &word.to_le_bytes());
            self.structure = id.filter(|id| *id == 0x10).map(|_| Structure::Express(at));
            return;
        }
        match id {
            Some(0x0d) => {
                let ids = description.split_once(": ").and_then(|(_, text)| pair(text.trim()));
                if let Some((vendor, device)) = ids.or_else(|| bracketed_pair(description)) {
                    self.image.put(at.saturating_add(4), &vendor.to_le_bytes());
                    self.image.put(at.saturating_add(6), &device.to_le_bytes());
                }
            }
            Some(0x10) => self.express(at, description),
            _ => {}
        }
    }

    /// `Express (v2) Root Port (Slot+), MSI 00`: the capabilities register.
    fn express(&mut self, at: u16, description: &str) {
        let text = description.trim_start_matches("Express").trim();
        let (version, text) = match text.strip_prefix("(v").and_then(|text| text.split_once(')')) {
            Some((version, text)) => (version.parse::<u16>().unwrap_or(1) & 15, text.trim()),
            None => (1, text),
        };
        // Of ports that may have a slot it is said whether they have.
        let slot = match names::port_type(text) {
            Some(ROOT_PORT | DOWNSTREAM_PORT) => token(&text.replace(['(', ')'], " "), "Slot"),
            _ => Some(false),
        };
        self.port_type = names::port_type(text).filter(|_| slot.is_some());
        if let (Some(port_type), Some(slot)) = (self.port_type, slot) {
            let slot = u16::from(slot);
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
                const NAMES: [(&str, u16); 7] = [
                    ("AttnBtn", 0),
                    ("PwrCtrl", 1),
                    ("MRL", 2),
                    ("AttnInd", 3),
                    ("PwrInd", 4),
                    ("Surprise", 5),
                    ("HotPlug", 6),
                ];
                if let Some(bits) = every(text, &NAMES) {
                    self.image.put(at.saturating_add(0x14), &u32::from(bits).to_le_bytes());
                }
            }
            "DevCap2" => self.forwarding(at.saturating_add(0x24), text),
            // With Device Status 2, which has no bits, in the upper half.
            "DevCtl2" => self.forwarding(at.saturating_add(0x28), text),
            _ => {}
        }
    }

    /// ARI Forwarding, bit 5 of a register with several lines: only of the ports that can forward.
    fn forwarding(&mut self, at: u16, text: &str) {
        let is_port = matches!(self.port_type, None | Some(ROOT_PORT | DOWNSTREAM_PORT));
        let forwards = token(text, "ARIFwd").or((!is_port).then_some(false));
        if let Some(forwards) = forwards {
            self.image.put(at, &(u32::from(forwards) << 5).to_le_bytes());
        }
    }

    fn extended_register(&mut self, at: u16, id: u16, register: Option<&str>, text: &str) {
        let is_first = |label: &str| text.starts_with(label);
        let words = |name: &str| number(text, name);
        let mut put = |offset: u16, word: Option<u16>| {
            if let Some(word) = word {
                self.image.put(at.saturating_add(offset), &word.to_le_bytes());
            }
        };
        match (id, register) {
            (0x0d, Some("ACSCap")) if is_first("ACSCap") => {
                let tokens = AcsCapability::TOKENS.iter().take(7);
                let bits = every_of(text, tokens.map(|(name, flag)| (*name, flag.bits())));
                put(4, bits);
            }
            (0x0d, Some("ACSCtl")) if is_first("ACSCtl") => {
                let tokens = AcsControl::TOKENS.iter().take(7);
                let bits = every_of(text, tokens.map(|(name, flag)| (*name, flag.bits())));
                put(6, bits);
            }
            (0x0e, Some("ARICap")) if is_first("ARICap") => {
                let next = words("Next Function: ").map(|next| next << 8);
                put(4, both(every(text, &[("MFVC", 0), ("ACS", 1)]), next));
            }
            (0x0e, Some("ARICtl")) if is_first("ARICtl") => {
                let group = words("Function Group: ").map(|group| (group & 7) << 4);
                put(6, both(every(text, &[("MFVC", 0), ("ACS", 1)]), group));
            }
            (0x0f, Some("ATSCap")) if is_first("ATSCap") => {
                put(4, hexadecimal(text, "Invalidate Queue Depth: ", 2).map(|depth| depth & 31));
            }
            (0x0f, Some("ATSCtl")) if is_first("ATSCtl") => {
                let unit = hexadecimal(text, "Smallest Translation Unit: ", 2).map(|unit| unit & 31);
                put(6, both(every(text, &[("Enable", 15)]), unit));
            }
            (0x10, Some("IOVCap")) if is_first("IOVCap") => {
                if let Some(bits) = every(text, &[("Migration", 0)]) {
                    put(4, Some(bits));
                    put(6, Some(0));
                }
            }
            (0x10, Some("IOVCtl")) if is_first("IOVCtl") => {
                const NAMES: [(&str, u16); 5] =
                    [("Enable", 0), ("Migration", 1), ("Interrupt", 2), ("MSE", 3), ("ARIHierarchy", 4)];
                put(8, every(text, &NAMES));
            }
            (0x10, Some("IOVSta")) if is_first("IOVSta") => put(0x0a, every(text, &[("Migration", 0)])),
            (0x10, _) => {
                let link = hexadecimal(text, "Function Dependency Link: ", 2);
                let counts = (words("Initial VFs: "), words("Total VFs: "), words("Number of VFs: "), link);
                if let (Some(initial), Some(total), Some(enabled), Some(link)) = counts {
                    for (offset, word) in [(0x0c, initial), (0x0e, total), (0x10, enabled), (0x12, link)] {
                        put(offset, Some(word));
                    }
                }
                let device = hexadecimal(text, "Device ID: ", 4);
                if let (Some(offset), Some(stride), Some(device)) =
                    (words("VF offset: "), words("stride: "), device)
                {
                    for (at, word) in [(0x14, offset), (0x16, stride), (0x18, 0), (0x1a, device)] {
                        put(at, Some(word));
                    }
                }
            }
            _ => {}
        }
    }

    /// Lays out the header and links the lists.
    pub(super) fn finish(mut self) -> Image {
        let layout = if self.is_cardbus { 2 } else { u8::from(self.is_bridge) };
        self.image.put(0x0c, &[0, 0, layout, 0]);
        // What has no line reads 0, if no line was cut off.
        if !self.header_broken && (self.in_lists || self.ended) {
            self.lay_header(layout);
        }
        if let (0, Some((vendor, device))) = (layout, self.subsystem) {
            self.image.put(SUBSYSTEM, &vendor.to_le_bytes());
            self.image.put(SUBSYSTEM + 2, &device.to_le_bytes());
        }
        if self.has_list {
            self.link_standard(if layout == 2 { 0x14 } else { CAPABILITIES_POINTER });
            self.link_extended();
        }
        self.image
    }

    fn lay_header(&mut self, layout: u8) {
        let bars = if layout == 0 { 6 } else { 2 };
        for (offset, bar) in (0x10_u16..).step_by(4).zip(self.bars.iter().take(bars)) {
            self.image.put(offset, &bar.to_le_bytes());
        }
        if let (1 | 2, Some([primary, secondary, subordinate])) = (layout, self.buses) {
            self.image.put(0x18, &[primary, secondary, subordinate, 0]);
            if layout == 1 {
                self.lay_windows();
            }
        }
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

    /// Links the list as it was printed; behind it an entry of which the ID is not known. A list of which the
    /// end was not printed goes on where nothing is known.
    fn link_standard(&mut self, pointer: u16) {
        let entries = core::mem::take(&mut self.standard);
        let mut from = pointer;
        for (at, id) in entries.iter().filter_map(|(at, id)| Some((*at, (*id)?))) {
            self.image.put(from, &[at]);
            self.image.put(u16::from(at), &[id]);
            from = u16::from(at).saturating_add(1);
        }
        let unknown = entries.iter().find(|(_, id)| id.is_none()).map(|(at, _)| *at);
        let ended = !self.standard_broken && !entries.is_empty() && (self.ended || !self.extended.is_empty());
        let open = || (0x40..0x100).rev().step_by(4).find_map(|end| self.free(end, 4));
        let open = (from != pointer).then(open).flatten().and_then(|at| u8::try_from(at).ok());
        if let Some(next) = unknown.or(ended.then_some(0)).or(open) {
            self.image.put(from, &[next]);
        }
    }

    /// The place of this size that ends at an offset, if nothing is known of it.
    fn free(&self, end: u16, size: u16) -> Option<u16> {
        let start = end.checked_add(1)?.checked_sub(size)?;
        (start..=end).all(|at| self.image.byte(at).is_none()).then_some(start)
    }

    fn link_extended(&mut self) {
        let entries = core::mem::take(&mut self.extended);
        let known: Vec<(u16, u16, u8)> =
            entries.iter().filter_map(|(at, id, version)| Some((*at, (*id)?, *version))).collect();
        let unknown = entries.iter().find(|(_, id, _)| id.is_none()).map(|(at, ..)| *at);
        let ended = self.ended && !self.extended_broken;
        let open = || (0x100..crate::config::SIZE).rev().step_by(4).find_map(|end| self.free(end, 4));
        let end = unknown.or(ended.then_some(0)).or_else(open);
        let nexts = known.iter().skip(1).map(|(at, ..)| Some(*at));
        for ((at, id, version), next) in known.iter().zip(nexts.chain([end])) {
            let Some(next) = next else { continue };
            let header = u32::from(*id) | u32::from(*version) << 16 | u32::from(next) << 20;
            self.image.put(*at, &header.to_le_bytes());
        }
    }
}

/// `vvvv:dddd` at the start of a text.
fn pair(text: &str) -> Option<(u16, u16)> {
    let (vendor, device) = text.get(..9)?.split_once(':')?;
    let of = |text: &str| (text.len() == 4).then(|| u16::try_from(hex(text)?).ok()).flatten();
    Some((of(vendor)?, of(device)?))
}

/// The last `[vvvv:dddd]` of a text.
fn bracketed_pair(text: &str) -> Option<(u16, u16)> {
    let ids = |(at, _): (usize, &str)| {
        let text = text.get(at.checked_add(1)?..)?;
        pair(text).filter(|_| text.get(9..10) == Some("]"))
    };
    text.match_indices('[').filter_map(ids).next_back()
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

/// Tokens as bits; `None` if one of them is not there.
fn every(text: &str, names: &[(&str, u16)]) -> Option<u16> {
    every_of(text, names.iter().map(|(name, bit)| (*name, 1 << bit)))
}

/// The same of tokens with their bits in place.
fn every_of<'a>(text: &str, mut names: impl Iterator<Item = (&'a str, u16)>) -> Option<u16> {
    names.try_fold(0, |bits, (name, bit)| Some(if token(text, name)? { bits | bit } else { bits }))
}

fn both(bits: Option<u16>, more: Option<u16>) -> Option<u16> {
    Some(bits? | more?)
}

/// The decimal number behind a mark.
fn number(text: &str, mark: &str) -> Option<u16> {
    let (_, text) = text.split_once(mark)?;
    text.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// The hexadecimal number of so many digits behind a mark.
fn hexadecimal(text: &str, mark: &str, digits: usize) -> Option<u16> {
    let (_, text) = text.split_once(mark)?;
    let text = text.split(|letter: char| !letter.is_ascii_hexdigit()).next()?;
    u16::try_from(hex(text)?).ok().filter(|_| text.len() >= digits)
}

pub(super) fn hex(text: &str) -> Option<u32> {
    u32::try_from(wide(text)?).ok()
}

fn wide(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
