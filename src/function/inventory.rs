//! The functions of one dump, sorted by address, each once.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Detail, Extras, Function, decode};
use crate::addr::{Sbdf, Segment};
use crate::config::{ConfigSpace, Source};

/// What a dump may say about a function beside its configuration space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
}

impl Attributes {
    /// What is known of a function whose `config` file has this many bytes.
    #[must_use]
    pub fn of_config_file(bytes: usize) -> Self {
        let conventional_size = bytes == usize::from(crate::config::CONVENTIONAL_SIZE);
        Self { conventional_size, ..Self::default() }
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
pub struct HostBridge {
    /// Its segment.
    pub segment: Segment,
    /// Its root bus.
    pub bus: u8,
    /// The function whose requester ID everything below uses, where the host bridge is one that
    /// Linux's VMD driver made.
    pub requester: Option<Sbdf>,
}

/// What readers deliver functions to, one at a time.
pub trait Sink {
    /// Takes a function. The same address may come more than once.
    fn record<S: Source>(&mut self, record: Record<'_, S>);

    /// Takes a host bridge that the dump names.
    fn host_bridge(&mut self, host_bridge: HostBridge);
}

/// An address that the dump holds more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The address.
    pub address: Sbdf,
    /// How many records it has.
    pub records: usize,
    /// Whether two of those with the most bytes decode differently.
    pub differ: bool,
}

/// What only some functions have; `index` is into the functions.
#[derive(Clone, Debug)]
struct Side {
    index: usize,
    extras: Option<Extras>,
    attributes: Attributes,
    detail: Option<Detail>,
}

/// The functions of one dump: sorted by address, each once, whatever the order and the repetitions of
/// the input.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    functions: Vec<Function>,
    sides: Vec<Side>,
    host_bridges: Vec<HostBridge>,
    repeats: Vec<Repeat>,
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

    /// Sorts the functions and settles repetitions: the record with the most captured bytes stays.
    /// To be called when the reader is done.
    #[must_use]
    pub fn finish(mut self) -> Self {
        self.host_bridges.sort_unstable();
        self.host_bridges.dedup();
        if self.functions.windows(2).all(|pair| matches!(pair, [a, b] if a.address < b.address)) {
            return self;
        }
        let mut numbered: Vec<(usize, Function)> =
            core::mem::take(&mut self.functions).into_iter().enumerate().collect();
        // The whole record takes part in the order, so that the order of the input does not.
        numbered.sort_by(|(_, a), (_, b)| {
            (a.address, core::cmp::Reverse(a.captured))
                .cmp(&(b.address, core::cmp::Reverse(b.captured)))
                .then_with(|| fingerprint(a).cmp(&fingerprint(b)))
        });
        let mut old_sides = core::mem::take(&mut self.sides);
        old_sides.sort_unstable_by_key(|side| side.index);
        for (old, function) in numbered {
            let side = old_sides
                .binary_search_by_key(&old, |side| side.index)
                .ok()
                .and_then(|at| old_sides.get_mut(at));
            let same = self.functions.last().is_some_and(|last| last.address == function.address);
            if same {
                self.note_repeat(&function);
                if let (Some(side), Some(index)) = (side, self.functions.len().checked_sub(1)) {
                    self.merge_attributes(index, core::mem::take(&mut side.attributes));
                }
                continue;
            }
            if let Some(side) = side {
                let moved = Side {
                    index: self.functions.len(),
                    extras: side.extras.take(),
                    attributes: core::mem::take(&mut side.attributes),
                    detail: side.detail.take(),
                };
                self.sides.push(moved);
            }
            self.functions.push(function);
        }
        self
    }

    fn note_repeat(&mut self, other: &Function) {
        let Some(kept) = self.functions.last() else { return };
        let differ = other.captured == kept.captured && fingerprint(other) != fingerprint(kept);
        match self.repeats.last_mut() {
            Some(repeat) if repeat.address == other.address => {
                repeat.records = repeat.records.saturating_add(1);
                repeat.differ |= differ;
            }
            _ => self.repeats.push(Repeat { address: other.address, records: 2, differ }),
        }
    }

    /// Fills what is not known of function `index` from another record of it.
    fn merge_attributes(&mut self, index: usize, other: Attributes) {
        if other.is_empty() {
            return;
        }
        let known = match self.sides.last_mut() {
            Some(side) if side.index == index => &mut side.attributes,
            _ => {
                self.sides.push(Side { index, extras: None, attributes: other, detail: None });
                return;
            }
        };
        known.driver = known.driver.take().or(other.driver);
        known.kernel_group = known.kernel_group.or(other.kernel_group);
        known.physical_function = known.physical_function.or(other.physical_function);
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

    /// What only few functions have, of function `index`; `None` if it has nothing of the kind.
    #[must_use]
    pub fn extras(&self, index: usize) -> Option<&Extras> {
        self.side(index)?.extras.as_ref()
    }

    /// What the dump says about function `index` beside its configuration space.
    #[must_use]
    pub fn attributes(&self, index: usize) -> Option<&Attributes> {
        self.side(index).map(|side| &side.attributes)
    }

    /// Its capability lists, if the inventory was made [`with_detail`](Self::with_detail).
    #[must_use]
    pub fn detail(&self, index: usize) -> Option<&Detail> {
        self.side(index)?.detail.as_ref()
    }

    fn side(&self, index: usize) -> Option<&Side> {
        let at = self.sides.binary_search_by_key(&index, |side| side.index).ok()?;
        self.sides.get(at)
    }

    /// Every function that has extras, with its index, in order of address.
    pub fn all_extras(&self) -> impl Iterator<Item = (usize, &Extras)> {
        self.sides.iter().filter_map(|side| Some((side.index, side.extras.as_ref()?)))
    }

    /// The host bridge with this root bus, if the dump names it.
    #[must_use]
    pub fn host_bridge_at(&self, segment: Segment, bus: u8) -> Option<HostBridge> {
        let at = self.host_bridges.partition_point(|known| (known.segment, known.bus) < (segment, bus));
        self.host_bridges.get(at).copied().filter(|known| (known.segment, known.bus) == (segment, bus))
    }

    /// The addresses that the dump holds more than once.
    #[must_use]
    pub fn repeats(&self) -> &[Repeat] {
        &self.repeats
    }
}

impl Sink for Inventory {
    fn record<S: Source>(&mut self, record: Record<'_, S>) {
        let decoded = decode(record.address, record.config);
        let conventional = decoded.function.pcie.is_absent();
        let detail = self.keep_detail.then(|| Detail::read(record.config, conventional));
        let extras = (!decoded.extras.is_usual()).then_some(decoded.extras);
        if extras.is_some() || detail.is_some() || !record.attributes.is_empty() {
            let index = self.functions.len();
            self.sides.push(Side { index, extras, attributes: record.attributes, detail });
        }
        self.functions.push(decoded.function);
    }

    fn host_bridge(&mut self, host_bridge: HostBridge) {
        self.host_bridges.push(host_bridge);
    }
}

/// What tells two records of one function apart.
fn fingerprint(function: &Function) -> impl Ord + use<> {
    let acs = function.acs.present().map(|acs| (acs.offset, acs.capability.bits(), acs.control.bits()));
    let ari = function.ari.present().map(|ari| (ari.offset, ari.capability(), ari.control()));
    let ats = function.ats.present().map(|ats| (ats.offset, ats.capability(), ats.control()));
    let pcie = function.pcie.present().map(|pcie| (pcie.offset, pcie.port_type, pcie.ari_forwarding_enabled));
    let ids = (function.vendor_id, function.device_id, function.subsystem, function.class);
    (ids, function.header_type.0, function.command, function.header, pcie, acs, ari, ats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn record(inventory: &mut Inventory, at: &str, bytes: &[u8], driver: Option<&str>) {
        let address = at.parse().expect("valid");
        let attributes = Attributes { driver: driver.map(String::from), ..Attributes::default() };
        inventory.record(Record { address, config: &ConfigSpace::new(bytes), attributes });
    }

    #[test]
    fn order_and_repetition_of_the_input_do_not_matter() {
        let (short, mut long, mut other) = (vec![0; 64], vec![0; 256], vec![0; 256]);
        long[0] = 1;
        other[0] = 2;
        let mut forward = Inventory::new();
        record(&mut forward, "00:02.0", &short, Some("vfio-pci"));
        record(&mut forward, "00:01.0", &long, None);
        record(&mut forward, "00:02.0", &long, None);
        record(&mut forward, "00:02.0", &other, None);
        let mut backward = Inventory::new();
        record(&mut backward, "00:02.0", &other, None);
        record(&mut backward, "00:02.0", &long, None);
        record(&mut backward, "00:01.0", &long, None);
        record(&mut backward, "00:02.0", &short, Some("vfio-pci"));
        let (forward, backward) = (forward.finish(), backward.finish());
        assert_eq!(forward.functions(), backward.functions());
        assert_eq!(forward.functions().len(), 2);
        let address = "00:02.0".parse().expect("valid");
        assert_eq!(forward.repeats(), [Repeat { address, records: 3, differ: true }]);
        let index = forward.index_of(address).expect("there");
        assert_eq!(forward.functions()[index].captured, 256);
        let driver = forward.attributes(index).and_then(|known| known.driver.as_deref());
        assert_eq!(driver, Some("vfio-pci"));
    }

    #[test]
    fn extras_follow_their_function_through_the_sorting() {
        let mut inventory = Inventory::new();
        record(&mut inventory, "00:03.0", &[0xff; 64], None);
        record(&mut inventory, "00:02.0", &[0; 64], None);
        let inventory = inventory.finish();
        assert!(inventory.extras(0).is_none());
        assert_eq!(inventory.extras(1).expect("all ones").anomalies().count(), 1);
    }
}
