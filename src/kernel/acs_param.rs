//! `pci=config_acs=` and `pci=disable_acs_redir=`: what they say, and what the kernel makes of it.
//!
//! | piece | form |
//! |---|---|
//! | `config_acs=` | `BITS@DEVICE[;BITS@DEVICE…]` |
//! | `disable_acs_redir=` | `DEVICE[;DEVICE…]` |
//! | `BITS` | `0`, `1` or `x` for each bit, the rightmost for bit 0 of the ACS Control register; bits up to 6 |
//! | `DEVICE` | `[domain:]bus:dev.fn[/dev.fn…]`, or `pci:vendor:device[:subvendor:subdevice]` where 0 is any |
//!
//! Traps, all of them faithful here: the first entry that matches a function wins; what the kernel
//! cannot read voids everything from there on; each option starts from what firmware had set, and so
//! takes back what the kernel (or the other option) has turned on; `config_acs` has the last word; a
//! repeated option overwrites the earlier one; `;` is the only separator, because `pci=` is cut at
//! commas first.
//!
//! Source: Linux 7.2.13, drivers/pci/pci.c (`pci_enable_acs`, `__pci_config_acs`, `pci_dev_str_match`,
//! `pci_setup`); Documentation/admin-guide/kernel-parameters.txt.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::acs_index::Index;
use super::cmdline::{Piece, pci_options};
use crate::addr::{Bdf, Sbdf, Segment};
use crate::cap::acs::{AcsCapability, AcsControl};
use crate::route::linux::REQUIRED;
use crate::topology::{FunctionIndex, Kind, Parent, Topology};

/// What `disable_acs_redir` turns off: Request Redirect, Completion Redirect and Egress Control.
pub const REDIRECT: AcsControl =
    AcsControl::REQUEST_REDIRECT.union(AcsControl::COMPLETION_REDIRECT).union(AcsControl::EGRESS_CONTROL);

/// The ACS Control register after the kernel has turned on what it does by itself
/// (`pci_std_enable_acs`): [`REQUIRED`], as far as the capability has it. `block_translated`:
/// Translation Blocking, too, which it asks for with `pci=noats`, and for external or untrusted devices.
#[must_use]
pub fn standard(capability: AcsCapability, firmware: AcsControl, block_translated: bool) -> AcsControl {
    let extra = if block_translated { AcsControl::TRANSLATION_BLOCKING } else { AcsControl::empty() };
    firmware | (capability.controls() & (REQUIRED | extra))
}

/// Both options of one command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcsOptions {
    /// `disable_acs_redir=`, applied first.
    pub disable_acs_redir: Option<AcsOption>,
    /// `config_acs=`, applied last.
    pub config_acs: Option<AcsOption>,
    /// Where an earlier option stands that a later one of the same name overwrites.
    pub overwritten: Vec<(usize, AcsOptionName)>,
}

/// Which of the two options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcsOptionName {
    /// `config_acs=`
    ConfigAcs,
    /// `disable_acs_redir=`
    DisableAcsRedir,
}

impl AcsOptionName {
    /// The name, as it is written after `pci=`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConfigAcs => "config_acs",
            Self::DisableAcsRedir => "disable_acs_redir",
        }
    }
}

impl AcsOptions {
    /// Reads both options of a command line. The last one of each name counts.
    ///
    /// ```
    /// # use acsscan::kernel::acs_param::AcsOptions;
    /// let options = AcsOptions::of_command_line("ro pci=noats,config_acs=1x@0000:00:1c.0/0.0");
    /// let config_acs = options.config_acs.unwrap();
    /// assert_eq!(config_acs.entries()[0].mask.bits(), 0b10);
    /// assert!(config_acs.problems.is_empty());
    /// ```
    #[must_use]
    pub fn of_command_line(line: &str) -> Self {
        let mut found = Self::default();
        for option in pci_options(line) {
            let Some((name, piece)) = acs_option(option) else { continue };
            let place = match name {
                AcsOptionName::ConfigAcs => &mut found.config_acs,
                AcsOptionName::DisableAcsRedir => &mut found.disable_acs_redir,
            };
            if let Some(earlier) = place.replace(AcsOption::parse(name, piece)) {
                found.overwritten.push((earlier.at, name));
            }
        }
        found
    }

    /// The ACS Control register of a function after the kernel has applied both options: `standard` is
    /// what the kernel would have written without them, `firmware` what was there before. Not for ports
    /// whose registers Linux handles in another way (Intel's, by quirk): there either option only
    /// clears [`REDIRECT`].
    #[must_use]
    pub fn control(
        &self,
        topology: &Topology,
        index: FunctionIndex,
        firmware: AcsControl,
        standard: AcsControl,
    ) -> AcsControl {
        let mut entries = [&self.disable_acs_redir, &self.config_acs]
            .into_iter()
            .flatten()
            .filter_map(|option| option.entry_for(topology, index));
        entries.next_back().map_or(standard, |entry| entry.apply(firmware))
    }
}

/// The name and value of one of the two options.
#[must_use]
pub fn acs_option(option: Piece<'_>) -> Option<(AcsOptionName, Piece<'_>)> {
    [AcsOptionName::ConfigAcs, AcsOptionName::DisableAcsRedir].into_iter().find_map(|name| {
        let text = option.text.strip_prefix(name.word())?.strip_prefix('=')?;
        let before = option.text.len().saturating_sub(text.len());
        Some((name, Piece { at: option.at.saturating_add(before), text }))
    })
}

/// One of the two options.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcsOption {
    /// Which one.
    pub name: AcsOptionName,
    /// Byte offset of the value in the command line.
    pub at: usize,
    entries: Vec<Entry>,
    /// What is wrong with it, by position.
    pub problems: Vec<Problem>,
    /// The entries by what they match.
    index: Index,
}

/// What is set for which functions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Byte offset in the command line.
    pub at: usize,
    /// As it is written, bits and device.
    pub text: String,
    /// The bits that it sets or clears; others keep what firmware had set.
    pub mask: AcsControl,
    /// Their values.
    pub value: AcsControl,
    /// The functions.
    pub device: DeviceMatch,
}

impl Entry {
    /// The control register that the kernel writes: it starts from what firmware had set.
    #[must_use]
    pub fn apply(&self, firmware: AcsControl) -> AcsControl {
        firmware.difference(self.mask) | (self.value & self.mask)
    }
}

/// Something in an option that the kernel does not read as it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Byte offset in the command line.
    pub at: usize,
    /// What it is.
    pub kind: ProblemKind,
}

/// Kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Nothing after the `=`.
    Empty,
    /// An entry of `config_acs` without `BITS@`.
    BitsMissing,
    /// Something else than `0`, `1`, `x` before the `@`.
    BitInvalid(char),
    /// A `0` or `1` for a bit above 6.
    BitAbove6,
    /// Neither an address, with or without a way down, nor IDs.
    DeviceMalformed,
    /// A device number above 1fh or a function number above 7, of which the kernel takes the low bits.
    DeviceNumberCut,
    /// Text after IDs: the kernel reads no further.
    TextAfterIds,
}

impl ProblemKind {
    /// Whether the kernel reads nothing from here on (for some functions: of an address with a way
    /// down it reads the end first).
    #[must_use]
    pub const fn voids(self) -> bool {
        !matches!(self, Self::Empty | Self::DeviceNumberCut)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no entry",
            Self::BitsMissing => "bits are missing: each entry needs its own BITS@",
            Self::BitInvalid(letter) => {
                return write!(f, "{letter:?} among the bits, where only 0, 1 and x may stand");
            }
            Self::BitAbove6 => "a 0 or 1 for a bit above 6: there are seven, the rightmost is bit 0",
            Self::DeviceMalformed => {
                "no device: expected [domain:]bus:dev.fn[/dev.fn...] or pci:vendor:device[:subvendor:subdevice]"
            }
            Self::DeviceNumberCut => "a device number above 1f or a function number above 7: its high bits are cut off",
            Self::TextAfterIds => "text after the IDs: entries are separated by ';'",
        })
    }
}

/// Which functions an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceMatch {
    /// An address, and the way down from it.
    Path {
        /// Where it starts; `None` if it cannot be read.
        start: Option<Sbdf>,
        /// Device and function on each bus further down; `None` where it cannot be read.
        hops: Vec<Option<u8>>,
    },
    /// IDs; 0 is any.
    Ids {
        /// Vendor ID.
        vendor: u16,
        /// Device ID.
        device: u16,
        /// Subsystem vendor ID.
        subsystem_vendor: u16,
        /// Subsystem ID.
        subsystem: u16,
    },
}

/// Whether a function is the one that an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Match {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The kernel meets something that it cannot read, and gives up.
    Malformed,
}

impl AcsOption {
    /// Reads the value of an option, as far as the kernel does.
    #[must_use]
    pub fn parse(name: AcsOptionName, value: Piece<'_>) -> Self {
        let mut option =
            Self { name, at: value.at, entries: Vec::new(), problems: Vec::new(), index: Index::default() };
        if value.text.is_empty() {
            option.problem(value.at, ProblemKind::Empty);
        }
        let mut rest = value;
        while !rest.text.is_empty() {
            match option.entry(rest) {
                Some(next) => rest = next,
                None => break,
            }
        }
        option.index = Index::of(&option.entries);
        option
    }

    /// The entries that the kernel gets to, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry that the kernel applies to a function.
    #[must_use]
    pub fn entry_for(&self, topology: &Topology, index: FunctionIndex) -> Option<&Entry> {
        self.index.position(topology, index).and_then(|position| self.entries.get(position))
    }

    /// For each entry, in order: the functions that the kernel applies it to. Each function is asked
    /// once, and is in one list at most.
    #[must_use]
    pub fn functions(&self, topology: &Topology) -> Vec<Vec<FunctionIndex>> {
        let mut found: Vec<Vec<FunctionIndex>> = self.entries.iter().map(|_| Vec::new()).collect();
        for index in 0..topology.functions().len() {
            let position = self.index.position(topology, index);
            if let Some(functions) = position.and_then(|position| found.get_mut(position)) {
                functions.push(index);
            }
        }
        found
    }

    fn problem(&mut self, at: usize, kind: ProblemKind) {
        self.problems.push(Problem { at, kind });
    }

    /// Reads one entry; `None` if the kernel reads no further.
    fn entry<'a>(&mut self, rest: Piece<'a>) -> Option<Piece<'a>> {
        let (mask, value, device) = match self.name {
            AcsOptionName::DisableAcsRedir => (REDIRECT, AcsControl::empty(), rest),
            AcsOptionName::ConfigAcs => self.bits(rest)?,
        };
        let (device_match, length) = self.device(device)?;
        let length = device.at.saturating_sub(rest.at).saturating_add(length);
        let text = rest.text.get(..length)?.to_string();
        self.entries.push(Entry { at: rest.at, text, mask, value, device: device_match });
        let after = skip(rest, length);
        if after.text.is_empty() {
            return None;
        }
        if !after.text.starts_with(';') {
            self.problem(after.at, ProblemKind::TextAfterIds);
            return None;
        }
        Some(skip(after, 1))
    }

    /// `BITS@`, and what follows. The kernel looks for the next `@`, wherever it is, and reads backwards.
    fn bits<'a>(&mut self, rest: Piece<'a>) -> Option<(AcsControl, AcsControl, Piece<'a>)> {
        let Some((bits, _)) = rest.text.split_once('@') else {
            self.problem(rest.at, ProblemKind::BitsMissing);
            return None;
        };
        let (mut mask, mut value) = (0_u16, 0_u16);
        for (shift, (offset, letter)) in bits.char_indices().rev().enumerate() {
            let at = rest.at.saturating_add(offset);
            let set = match letter {
                'x' | 'X' => continue,
                '0' => false,
                '1' => true,
                letter => {
                    // Most often the bits of an earlier entry are all there is.
                    let missing = bits.contains(';');
                    let kind =
                        if missing { ProblemKind::BitsMissing } else { ProblemKind::BitInvalid(letter) };
                    self.problem(if missing { rest.at } else { at }, kind);
                    return None;
                }
            };
            if shift > 6 {
                self.problem(at, ProblemKind::BitAbove6);
                return None;
            }
            let bit = 1_u16.checked_shl(u32::try_from(shift).ok()?).unwrap_or_default();
            mask |= bit;
            value |= if set { bit } else { 0 };
        }
        let control = AcsControl::from_bits_retain;
        Some((control(mask), control(value), skip(rest, bits.len().saturating_add(1))))
    }

    /// A device at the start of `rest`, and how many bytes it has.
    fn device(&mut self, rest: Piece<'_>) -> Option<(DeviceMatch, usize)> {
        if let Some(ids) = rest.text.strip_prefix("pci:") {
            let Some((device, length)) = read_ids(ids) else {
                self.problem(rest.at, ProblemKind::DeviceMalformed);
                return None;
            };
            return Some((device, length.saturating_add("pci:".len())));
        }
        let path = rest.text.split(';').next().unwrap_or_default();
        let mut parts = path.split('/');
        let mut cut = false;
        let start = parts.next().and_then(|part| read_start(part, &mut cut));
        let hops: Vec<Option<u8>> = parts.map(|part| read_device_function(part, &mut cut)).collect();
        if start.is_none() || hops.contains(&None) {
            self.problem(rest.at, ProblemKind::DeviceMalformed);
        } else if cut {
            self.problem(rest.at, ProblemKind::DeviceNumberCut);
        }
        Some((DeviceMatch::Path { start, hops }, path.len()))
    }
}

impl DeviceMatch {
    /// Whether the kernel finds that this is the function.
    #[must_use]
    pub fn matches(&self, topology: &Topology, index: FunctionIndex) -> Match {
        match self {
            Self::Path { start, hops } => on_path(topology, index, *start, hops),
            Self::Ids { vendor, device, subsystem_vendor, subsystem } => {
                let ids = topology.ids(index);
                let sub = topology.function(index).and_then(|function| function.subsystem());
                let is = |wanted: u16, found: Option<u16>| wanted == 0 || found == Some(wanted);
                let yes = is(*vendor, ids.map(|ids| ids.0))
                    && is(*device, ids.map(|ids| ids.1))
                    && is(*subsystem_vendor, sub.map(|ids| ids.0))
                    && is(*subsystem, sub.map(|ids| ids.1));
                if yes { Match::Yes } else { Match::No }
            }
        }
    }
}

/// Goes up from the function, as the kernel does: the start is read only if all hops are right.
fn on_path(topology: &Topology, index: FunctionIndex, start: Option<Sbdf>, hops: &[Option<u8>]) -> Match {
    let mut at = index;
    for hop in hops.iter().rev() {
        let Some(devfn) = hop else { return Match::Malformed };
        let here = topology.address(at).map(|address| address.bdf.devfn());
        if here != Some(*devfn) {
            return Match::No;
        }
        let Some(above) = bridge_above(topology, at) else { return Match::No };
        at = above;
    }
    match start {
        None => Match::Malformed,
        Some(start) if topology.address(at) == Some(start) => Match::Yes,
        Some(_) => Match::No,
    }
}

/// The bridge above a function; above its physical function, if it is virtual.
pub(super) fn bridge_above(topology: &Topology, index: FunctionIndex) -> Option<FunctionIndex> {
    let index = match topology.kind(index) {
        Kind::Virtual(physical) => physical,
        _ => index,
    };
    match topology.parent_of(index) {
        Parent::Bridge(bridge) => Some(bridge),
        Parent::Root | Parent::VirtualFunctions(_) | Parent::Orphan(_) => None,
    }
}

/// What remains after the first bytes.
fn skip(piece: Piece<'_>, bytes: usize) -> Piece<'_> {
    Piece { at: piece.at.saturating_add(bytes), text: piece.text.get(bytes..).unwrap_or_default() }
}

/// A number as `sscanf` reads it with `%x`, and what follows.
fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let end = digits.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// `vendor:device[:subvendor:subdevice]`, and how many bytes it has. Of three numbers, two count.
fn read_ids(text: &str) -> Option<(DeviceMatch, usize)> {
    let id = |text| number(text).and_then(|(value, rest)| Some((u16::try_from(value).ok()?, rest)));
    let (vendor, rest) = id(text)?;
    let (device, rest) = id(rest.strip_prefix(':')?)?;
    let both = || {
        let (subsystem_vendor, rest) = id(rest.strip_prefix(':')?)?;
        let (subsystem, rest) = id(rest.strip_prefix(':')?)?;
        Some((subsystem_vendor, subsystem, rest))
    };
    let (subsystem_vendor, subsystem, rest) = both().unwrap_or((0, 0, rest));
    let length = text.len().saturating_sub(rest.len());
    Some((DeviceMatch::Ids { vendor, device, subsystem_vendor, subsystem }, length))
}

/// `[domain:]bus:dev.fn`.
fn read_start(text: &str, cut: &mut bool) -> Option<Sbdf> {
    let (bus, device_function) = text.rsplit_once(':')?;
    let devfn = read_device_function(device_function, cut)?;
    let (segment, bus) = match bus.split_once(':') {
        Some((segment, bus)) => (whole(segment)?, bus),
        None => (0, bus),
    };
    let bus = u8::try_from(whole(bus)?).ok()?;
    let bdf = Bdf::from_bits(u16::from(bus).checked_shl(8).unwrap_or_default() | u16::from(devfn));
    Some(Sbdf { segment: Segment(segment), bdf })
}

/// `dev.fn`, of which the kernel takes five and three bits.
fn read_device_function(text: &str, cut: &mut bool) -> Option<u8> {
    let (device, function) = text.split_once('.')?;
    let (device, function) = (whole(device)?, whole(function)?);
    *cut |= device > 0x1f || function > 7;
    let low = |value: u32, mask: u32| u8::try_from(value & mask).unwrap_or_default();
    Bdf::new(0, low(device, 0x1f), low(function, 7)).map(Bdf::devfn)
}

/// A number and nothing else.
fn whole(text: &str) -> Option<u32> {
    number(text).and_then(|(value, rest)| rest.is_empty().then_some(value))
}

#[cfg(all(test, feature = "testkit"))]
#[path = "acs_param_tests.rs"]
mod tests;
