//! The functions of one dump, sorted by address, each once.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use super::{Decoded, Detail, Extras, Function, decode};
use crate::addr::{Sbdf, Segment};
use crate::cap::acs::AcsControl;
use crate::config::{ConfigSpace, Source};

/// What a dump may say about a function beside its configuration space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// Driver that is bound to it.
    pub driver: Option<String>,
    /// IOMMU group that the kernel put it into.
    pub kernel_group: Option<u32>,
    /// For a virtual function: its physical function, as sysfs links it.
    pub physical_function: Option<Sbdf>,
    /// Lines of hex text that could not be used, because something else was written into them.
    pub damaged_lines: u32,
    /// The kernel's own `config` file of the function had 256 bytes: the kernel reads no more of it,
    /// whatever the function has.
    pub conventional_size: bool,
    /// What the host uses it for, beside its driver.
    pub host_uses: Vec<HostUse>,
    /// From which offset on the registers were decoded by lspci and come from its text, not from
    /// bytes; `None` if all are bytes.
    pub text_from: Option<u16>,
    /// Whether Vendor and Device ID are not known: a text has them by their names, and what reads 0 was
    /// not printed.
    pub ids_unknown: bool,
    /// Whether the Class Code is not known, for the same reason.
    pub class_unknown: bool,
}

/// What a host uses a function for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostUse {
    /// A file system on it is mounted here.
    Mounted(String),
    /// A default route leaves through this interface of it, or through one that stands on it.
    DefaultRoute(String),
}

impl fmt::Display for HostUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted(point) => write!(f, "mounted on {point}"),
            Self::DefaultRoute(interface) => write!(f, "default route through {interface}"),
        }
    }
}

/// Addresses that the kernel keeps free of mappings in the IOMMU group of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReservedRegion {
    /// First address.
    pub first: u64,
    /// Last address.
    pub last: u64,
    /// Why.
    pub kind: RegionKind,
}

/// Why a region is reserved. Source: Linux, Documentation/ABI/testing/sysfs-kernel-iommu_groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionKind {
    /// Must be mapped to itself at all times; the kernel does not let a guest have the device then.
    Direct,
    /// Should be mapped to itself, but the device can do without.
    DirectRelaxable,
    /// Must not be mapped.
    Reserved,
    /// Message-signalled interrupts.
    Msi,
}

impl RegionKind {
    /// The kernel's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::DirectRelaxable => "direct-relaxable",
            Self::Reserved => "reserved",
            Self::Msi => "msi",
        }
    }

    /// The kind with this [`word`](Self::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Direct, Self::DirectRelaxable, Self::Reserved, Self::Msi]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

impl Attributes {
    /// What is known of a function whose `config` file has this many bytes.
    #[must_use]
    pub fn of_config_file(bytes: usize) -> Self {
        let conventional_size = bytes == usize::from(crate::config::CONVENTIONAL_SIZE);
        Self { conventional_size, ..Self::default() }
    }

    /// Takes what is not known from another record of the same function.
    pub(crate) fn fill_from(&mut self, other: Self) {
        self.driver = self.driver.take().or(other.driver);
        self.kernel_group = self.kernel_group.or(other.kernel_group);
        self.physical_function = self.physical_function.or(other.physical_function);
        if self.host_uses.is_empty() {
            self.host_uses = other.host_uses;
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One function as a reader found it.
#[derive(Debug)]
pub struct Record<'a, S> {
    /// Where it is.
    pub address: Sbdf,
    /// Its bytes.
    pub config: &'a ConfigSpace<S>,
    /// What else the dump says.
    pub attributes: Attributes,
}

/// A host bridge that the dump names, as sysfs does (`pciDDDD:BB`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct HostBridge {
    /// Its segment.
    pub segment: Segment,
    /// Its root bus.
    pub bus: u8,
    /// The function whose requester ID everything below uses, where the host bridge is one that
    /// Linux's VMD driver made.
    pub requester: Option<Sbdf>,
}

impl HostBridge {
    /// An ordinary one.
    #[must_use]
    pub const fn new(segment: Segment, bus: u8) -> Self {
        Self { segment, bus, requester: None }
    }
}

/// What readers deliver functions to, one at a time.
pub trait Sink {
    /// Whether it accepts bytes that the reader has not checked yet: having read what it wants, it asks
    /// [`ConfigSpace::is_spoilt`], and if so, forgets this record; the reader delivers the function
    /// again, checked. Readers check everything first for a sink that does not.
    fn takes_unchecked(&self) -> bool {
        false
    }

    /// Takes a function. The same address may come more than once.
    fn record<S: Source>(&mut self, record: Record<'_, S>);

    /// Takes a host bridge that the dump names.
    fn host_bridge(&mut self, host_bridge: HostBridge);

    /// Takes a reserved region of an IOMMU group. Left out by default.
    fn reserved_region(&mut self, _group: u32, _region: ReservedRegion) {}

    /// Where a part of a large input may be gathered, by another thread, to be given to
    /// [`take`](Self::take): [`record`](Self::record) is not asked for what is in it. `None`, as by default,
    /// where everything has to come one by one.
    fn part(&self) -> Option<Inventory> {
        None
    }

    /// Takes what a part has, as if it came now, one by one; `false` if that would not be the same: then it
    /// has taken nothing.
    fn take(&mut self, _part: Inventory) -> bool {
        false
    }
}

/// An address that the dump holds more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repeat {
    /// The address.
    pub address: Sbdf,
    /// How many records it has.
    pub records: usize,
    /// Whether two of those with the most bytes decode differently.
    pub differ: bool,
}

/// The ACS registers that an overlay can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcsRegisters {
    /// ACS Control.
    pub control: AcsControl,
    /// Bits of it that are not known, and read 0.
    pub guessed: AcsControl,
    /// The double word at +08h.
    pub dword_8: Option<u32>,
    /// The egress control vector.
    pub vector: Option<[Option<u32>; 8]>,
    /// Whether they are an overlay's.
    pub as_if: bool,
}

/// The functions of one dump: sorted by address, each once, whatever the order and the repetitions of
/// the input. Its size is that of the functions, however often they come.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    functions: Vec<Function>,
    /// What only some functions have, by index; apart from each other, because many have one of them
    /// and few have all.
    extras: BTreeMap<usize, Box<Extras>>,
    attributes: BTreeMap<usize, Attributes>,
    details: BTreeMap<usize, Detail>,
    /// Where each function is, from the first one on that came out of order.
    places: Option<BTreeMap<Sbdf, usize>>,
    host_bridges: Vec<HostBridge>,
    repeats: BTreeMap<Sbdf, Repeat>,
    /// By IOMMU group.
    reserved: BTreeMap<u32, Vec<ReservedRegion>>,
    keep_detail: bool,
}

impl Inventory {
    /// An empty inventory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty inventory that also keeps the [`Detail`] of each function.
    #[must_use]
    pub fn with_detail() -> Self {
        Self { keep_detail: true, ..Self::default() }
    }

    /// Takes the functions of another, if they are in order and all behind its own; whether they were.
    fn append(&mut self, other: Self) -> bool {
        let (last, first) = (self.functions.last(), other.functions.first());
        let behind = last.zip(first).is_none_or(|(last, first)| last.address < first.address);
        if !behind || self.places.is_some() || other.places.is_some() {
            return false;
        }
        let before = self.functions.len();
        let moved = |index: usize| index.checked_add(before);
        self.functions.extend(other.functions);
        self.extras.append(&mut rekeyed(other.extras, moved));
        self.attributes.append(&mut rekeyed(other.attributes, moved));
        self.details.append(&mut rekeyed(other.details, moved));
        self.host_bridges.extend(other.host_bridges);
        self.repeats.extend(other.repeats);
        for (group, regions) in other.reserved {
            self.reserved.entry(group).or_default().extend(regions);
        }
        true
    }

    /// Sorts the functions. To be called when the reader is done.
    #[must_use]
    pub fn finish(mut self) -> Self {
        self.host_bridges.sort_unstable();
        self.host_bridges.dedup();
        if self.places.take().is_none() {
            return self;
        }
        let addresses: Vec<Sbdf> = self.functions.iter().map(|function| function.address).collect();
        self.functions.sort_unstable_by_key(|function| function.address);
        let functions = &self.functions;
        let moved = |old: usize| {
            let address = addresses.get(old)?;
            functions.binary_search_by_key(address, |function| function.address).ok()
        };
        self.extras = rekeyed(core::mem::take(&mut self.extras), moved);
        self.attributes = rekeyed(core::mem::take(&mut self.attributes), moved);
        self.details = rekeyed(core::mem::take(&mut self.details), moved);
        self
    }

    /// Where the function at `address` is, if it has come before.
    #[inline]
    fn place(&mut self, address: Sbdf) -> Option<usize> {
        if let Some(places) = &self.places {
            return places.get(&address).copied();
        }
        if self.functions.last().is_none_or(|last| last.address < address) {
            return None;
        }
        self.place_out_of_order(address)
    }

    #[cold]
    fn place_out_of_order(&mut self, address: Sbdf) -> Option<usize> {
        let found = self.functions.binary_search_by_key(&address, |function| function.address).ok();
        if found.is_none() {
            let places = self.functions.iter().enumerate().map(|(index, function)| (function.address, index));
            self.places = Some(places.collect());
        }
        found
    }

    #[inline]
    fn add(&mut self, function: Function, extras: Option<Box<Extras>>) -> usize {
        let index = self.functions.len();
        if let Some(places) = &mut self.places {
            places.insert(function.address, index);
        }
        if let Some(extras) = extras {
            self.extras.insert(index, extras);
        }
        self.functions.push(function);
        index
    }

    /// Settles a repetition: the record with the most captured bytes stays; of several with as many, one
    /// that does not depend on the order in which they came. Gives whether it is this one.
    #[cold]
    fn repeat(&mut self, index: usize, function: Function, extras: Option<Box<Extras>>) -> bool {
        let Some(kept) = self.functions.get_mut(index) else { return false };
        let kept_extras = self.extras.get(&index);
        let address = function.address;
        let repeat = self.repeats.entry(address).or_insert(Repeat { address, records: 1, differ: false });
        repeat.records = repeat.records.saturating_add(1);
        let replaces = match function.captured.cmp(&kept.captured) {
            Ordering::Less => false,
            Ordering::Greater => {
                repeat.differ = false;
                true
            }
            Ordering::Equal => {
                let order = (&function, extras.as_ref()).cmp(&(&*kept, kept_extras));
                repeat.differ |= order.is_ne();
                order.is_lt()
            }
        };
        if replaces {
            *kept = function;
            match extras {
                Some(extras) => _ = self.extras.insert(index, extras),
                None => _ = self.extras.remove(&index),
            }
        }
        replaces
    }

    /// Keeps what the dump says of a function; of one that has come before, what it did not say then,
    /// too.
    fn say(&mut self, index: usize, mut attributes: Attributes, replaces: bool) {
        if attributes.is_empty() && !self.attributes.contains_key(&index) {
            return;
        }
        let known = self.attributes.entry(index).or_default();
        if replaces {
            core::mem::swap(known, &mut attributes);
        }
        known.fill_from(attributes);
        if known.is_empty() {
            self.attributes.remove(&index);
        }
    }

    /// The functions, sorted by address.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Index of the function at `address`.
    #[must_use]
    pub fn index_of(&self, address: Sbdf) -> Option<usize> {
        self.functions.binary_search_by_key(&address, |function| function.address).ok()
    }

    /// Index of the first function at or after `address`, or the number of functions: as a search from
    /// `from` on, where everything before has a lower address. Near ones are found soonest.
    pub(crate) fn first_at(&self, from: usize, address: Sbdf) -> usize {
        let (mut start, mut step) = (from, 1_usize);
        while self.functions.get(start.saturating_add(step)).is_some_and(|other| other.address < address) {
            start = start.saturating_add(step);
            step = step.saturating_mul(2);
        }
        let end = start.saturating_add(step).min(self.functions.len());
        let between = self.functions.get(start..end).unwrap_or_default();
        start.saturating_add(between.partition_point(|other| other.address < address))
    }

    /// What only few functions have, of function `index`; `None` if it has nothing of the kind.
    #[must_use]
    pub fn extras(&self, index: usize) -> Option<&Extras> {
        self.extras.get(&index).map(Box::as_ref)
    }

    /// What the dump says about function `index` beside its configuration space.
    #[must_use]
    pub fn attributes(&self, index: usize) -> Option<&Attributes> {
        self.attributes.get(&index)
    }

    /// The functions that the running kernel put into groups, with those, by function.
    pub fn kernel_groups(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.attributes.iter().filter_map(|(index, known)| Some((*index, known.kernel_group?)))
    }

    /// Its capability lists, if the inventory was made [`with_detail`](Self::with_detail).
    #[must_use]
    pub fn detail(&self, index: usize) -> Option<&Detail> {
        self.details.get(&index)
    }

    /// The ACS registers of function `index`, as an overlay may change them; `None` without ACS, or if it
    /// was not captured.
    #[must_use]
    pub fn acs_registers(&self, index: usize) -> Option<AcsRegisters> {
        let function = self.functions.get(index)?;
        Some(AcsRegisters {
            control: function.acs.present()?.control,
            guessed: function.acs_guessed(),
            dword_8: function.acs_dword_8(),
            vector: self.extras(index).and_then(|extras| extras.egress_vector),
            as_if: function.acs_as_if(),
        })
    }

    /// Puts other values in place of those of function `index`. Without ACS nothing happens.
    pub fn set_acs_registers(&mut self, index: usize, registers: AcsRegisters) {
        let Some(function) = self.functions.get_mut(index) else { return };
        let Some(acs) = function.put_acs(&registers) else { return };
        if let Some(extras) = self.extras.get_mut(&index) {
            extras.replace_acs(registers.vector, acs.anomaly());
        }
    }

    /// Forgets what the running kernel made of the machine: what an overlay shows is another one.
    pub fn forget_kernel_groups(&mut self) {
        self.attributes.values_mut().for_each(|known| known.kernel_group = None);
    }

    /// The same functions elsewhere: each goes to the address that `map` gives, or away.
    #[must_use]
    pub fn readdressed(self, map: impl Fn(Sbdf) -> Option<Sbdf>) -> Self {
        let Self {
            functions,
            mut extras,
            mut attributes,
            mut details,
            host_bridges,
            repeats,
            keep_detail,
            ..
        } = self;
        let mut other = Self { host_bridges, repeats, keep_detail, ..Self::default() };
        for (old, mut function) in functions.into_iter().enumerate() {
            let (extras, detail) = (extras.remove(&old), details.remove(&old));
            let mut attributes = attributes.remove(&old).unwrap_or_default();
            let Some(address) = map(function.address) else { continue };
            function.address = address;
            attributes.physical_function = attributes.physical_function.and_then(&map);
            let (index, replaces) = match other.place(address) {
                Some(taken) => (taken, other.repeat(taken, function, extras)),
                None => (other.add(function, extras), true),
            };
            other.say(index, attributes, replaces);
            if let Some(detail) = detail.filter(|_| replaces) {
                other.details.insert(index, detail);
            }
        }
        other.finish()
    }

    /// Every function that has extras, with its index, in order of address.
    pub fn all_extras(&self) -> impl Iterator<Item = (usize, &Extras)> {
        self.extras.iter().map(|(index, extras)| (*index, extras.as_ref()))
    }

    /// The host bridge with this root bus, if the dump names it.
    #[must_use]
    pub fn host_bridge_at(&self, segment: Segment, bus: u8) -> Option<HostBridge> {
        let at = self.host_bridges.partition_point(|known| (known.segment, known.bus) < (segment, bus));
        self.host_bridges.get(at).copied().filter(|known| (known.segment, known.bus) == (segment, bus))
    }

    /// The host bridges that the dump names, sorted.
    #[must_use]
    pub fn host_bridges(&self) -> &[HostBridge] {
        &self.host_bridges
    }

    /// The reserved regions of an IOMMU group of the kernel, as far as the dump has them.
    #[must_use]
    pub fn reserved_regions(&self, group: u32) -> &[ReservedRegion] {
        self.reserved.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The addresses that the dump holds more than once.
    pub fn repeats(&self) -> impl Iterator<Item = &Repeat> {
        self.repeats.values()
    }
}

/// The same map with its keys moved.
fn rekeyed<T>(map: BTreeMap<usize, T>, moved: impl Fn(usize) -> Option<usize>) -> BTreeMap<usize, T> {
    map.into_iter().filter_map(|(old, value)| Some((moved(old)?, value))).collect()
}

impl Sink for Inventory {
    fn takes_unchecked(&self) -> bool {
        true
    }

    fn record<S: Source>(&mut self, record: Record<'_, S>) {
        let Decoded { function, extras } = decode(record.address, record.config);
        let detail = self.keep_detail.then(|| Detail::read(record.config, function.pcie.is_absent()));
        if record.config.is_spoilt() {
            return;
        }
        let (index, replaces) = match self.place(record.address) {
            Some(index) => (index, self.repeat(index, function, extras)),
            None => (self.add(function, extras), true),
        };
        self.say(index, record.attributes, replaces);
        if let Some(detail) = detail.filter(|_| replaces) {
            self.details.insert(index, detail);
        }
    }

    fn host_bridge(&mut self, host_bridge: HostBridge) {
        self.host_bridges.push(host_bridge);
    }

    fn reserved_region(&mut self, group: u32, region: ReservedRegion) {
        self.reserved.entry(group).or_default().push(region);
    }

    fn part(&self) -> Option<Inventory> {
        Some(Self { keep_detail: self.keep_detail, ..Self::default() })
    }

    fn take(&mut self, part: Inventory) -> bool {
        self.append(part)
    }
}

#[cfg(test)]
mod tests;
