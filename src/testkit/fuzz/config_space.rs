//! The bytes of one function: the walkers, the views, the decoder, and the same bytes as hex text.
//!
//! Input: two bytes that say where the space is cut or has a hole, then the space.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::string::String;
use std::vec::Vec;

use super::judge;
use super::take;
use crate::addr::Sbdf;
use crate::anomaly::Presence;
use crate::cap::acs::Acs;
use crate::cap::ari::Ari;
use crate::cap::ats::Ats;
use crate::cap::id::{CapabilityId, ExtendedCapabilityId};
use crate::cap::list::{self, WalkError};
use crate::cap::pasid::Pasid;
use crate::cap::pcie::Pcie;
use crate::cap::pri::Pri;
use crate::cap::sriov::SrIov;
use crate::cap::vc::Vc;
use crate::config::{ConfigSpace, SIZE, Source};
use crate::db::Database;
use crate::dump;
use crate::function::{Attributes, Decoded, Detail, Inventory, Record, Sink, decode};
use crate::topology::Topology;

pub(super) fn run(mut bytes: &[u8]) {
    let cut = u16::from_le_bytes(take(&mut bytes));
    let bytes = bytes.get(..usize::from(SIZE)).unwrap_or(bytes);
    let config = ConfigSpace::new(bytes);
    walks(&config);
    views(&config, cut);
    let whole = decode(Sbdf::default(), &config);
    let shortened = bytes.get(..usize::from(cut)).unwrap_or(bytes);
    takes_away(&whole, &decode(Sbdf::default(), &ConfigSpace::new(shortened)));
    let holed = ConfigSpace::new(Holed { bytes, row: cut & 0xfff0 });
    takes_away(&whole, &decode(Sbdf::default(), &holed));
    walks(&holed);
    as_text(bytes, &whole);
    let mut inventory = Inventory::with_detail();
    inventory.record(Record { address: Sbdf::default(), config: &config, attributes: Attributes::default() });
    judge::judge(&Topology::new(inventory.finish()), &Database::default(), "config");
}

/// Walks both lists: bounded, no offset twice, at most one error, which is last, and nothing after the
/// end; what `find` finds is in the list.
///
/// # Panics
///
/// If that does not hold.
pub fn walks<S: Source>(config: &ConfigSpace<S>) {
    let mut walk = list::capabilities(config);
    let entries: Vec<_> = walk.by_ref().take(list::MAX_CAPABILITIES + 2).collect();
    assert!(walk.next().is_none(), "fused");
    let found = walked(&entries, list::MAX_CAPABILITIES, |entry| u16::from(entry.offset));
    assert!(found.iter().all(|at| (0x40..0x100).contains(at) && at % 4 == 0), "{found:x?}");
    let complete = entries.iter().all(Result::is_ok);
    for id in [CapabilityId::PCI_EXPRESS, CapabilityId(0), CapabilityId(9)] {
        let first = entries.iter().flatten().find(|entry| entry.id == id).map(|entry| entry.offset);
        assert_eq!(list::find(config, id), presence(first, complete));
    }
    let mut walk = list::extended_capabilities(config);
    let entries: Vec<_> = walk.by_ref().take(list::MAX_EXTENDED_CAPABILITIES + 2).collect();
    assert!(walk.next().is_none(), "fused");
    let found = walked(&entries, list::MAX_EXTENDED_CAPABILITIES, |entry| entry.offset);
    assert!(found.iter().all(|at| (0x100..SIZE).contains(at) && at % 4 == 0), "{found:x?}");
    let complete = entries.iter().all(Result::is_ok);
    let conventional = list::find(config, CapabilityId::PCI_EXPRESS).is_absent();
    for id in [ExtendedCapabilityId::ACS, ExtendedCapabilityId::SR_IOV, ExtendedCapabilityId(0)] {
        let first = entries.iter().flatten().find(|entry| entry.id == id).map(|entry| entry.offset);
        let expected = if conventional { Presence::Absent } else { presence(first, complete) };
        assert_eq!(list::find_extended(config, id), expected);
    }
}

fn walked<T>(entries: &[Result<T, WalkError>], bound: usize, offset: impl Fn(&T) -> u16) -> BTreeSet<u16> {
    assert!(entries.len() <= bound + 1, "{} steps", entries.len());
    let found: Vec<u16> = entries.iter().flatten().map(offset).collect();
    let once: BTreeSet<u16> = found.iter().copied().collect();
    assert_eq!(once.len(), found.len(), "an offset twice: {found:x?}");
    assert!(found.len() + 1 >= entries.len(), "more than one error");
    let last_is_ok = entries.last().is_none_or(Result::is_ok);
    assert_eq!(last_is_ok, found.len() == entries.len(), "an error that is not the last");
    once
}

fn presence<T>(found: Option<T>, complete: bool) -> Presence<T> {
    match found {
        Some(found) => Presence::Present(found),
        None if complete => Presence::Absent,
        None => Presence::NotCaptured,
    }
}

/// Every view at any offset: nothing is read that was not captured.
fn views<S: Source>(config: &ConfigSpace<S>, at: u16) {
    if let Some(header) = config.common_header() {
        let _ = (header.class_code(), header.header_type().layout(), header.has_capabilities_list());
    }
    if let Some(pcie) = Pcie::read(config, at as u8) {
        assert!(config.u8(pcie.offset()).is_some());
        let _ = (pcie.version(), pcie.device_port_type().to_bits(), pcie.slot_implemented());
        let _ = (pcie.hot_plug_capable(), pcie.port_number());
        let _ = (pcie.ari_forwarding_supported(), pcie.ari_forwarding_enabled());
    }
    if let Some(acs) = Acs::read(config, at) {
        assert_eq!(config.u16(acs.control_offset()), Some(acs.control.bits()));
        let _ = (acs.anomaly(), acs.capability.vector_bits(), acs.capability.controls());
        if let Some(vector) = acs.egress_vector(config) {
            assert!((1..=256).contains(&vector.bits()));
            for index in 0..=255_u8 {
                assert!(!vector.bit(index).is_absent() || u16::from(index) >= vector.bits());
                let _ = vector.dword(index);
            }
        }
    }
    if let Some(ari) = Ari::read(config, at) {
        assert!(ari.function_group() < 8);
    }
    if let Some(ats) = Ats::read(config, at) {
        assert!((1..=32).contains(&ats.invalidate_queue_depth()));
    }
    let _ = (Pri::read(config, at), Pasid::read(config, at), Vc::read(config, at));
    if let Some(sriov) = SrIov::read(config, at) {
        for n in [0, 1, 255, sriov.enabled_vfs(), u16::MAX] {
            let _ = sriov.vf_address(Sbdf::default().bdf, n);
        }
    }
}

/// Compares a function with what is left when bytes are taken away: what is known of a structure stays,
/// or is not known any more. It never turns into something else, and least of all into absence.
///
/// # Panics
///
/// If that does not hold.
pub fn takes_away(whole: &Decoded, less: &Decoded) {
    fn kept<T: PartialEq + Debug>(what: &str, whole: &Presence<T>, less: &Presence<T>) {
        let fine = matches!(less, Presence::NotCaptured) || less == whole;
        assert!(fine, "{what}: {whole:?} became {less:?} when bytes were taken away");
    }
    let (function, cut) = (&whole.function, &less.function);
    // A conventional function has no extended list, whatever its dump holds there. Where it is not known
    // to be conventional any more, what stands there may be one.
    if !function.pcie.is_absent() {
        kept("ACS", &function.acs, &cut.acs);
        kept("ARI", &function.ari, &cut.ari);
        kept("ATS", &function.ats, &cut.ats);
        kept("SR-IOV", &less_parts(&whole.sriov(), &less.sriov()), &less.sriov());
    }
    assert!(cut.pcie.present().is_none() || cut.port_type() == function.port_type());
    assert!(!cut.pcie.is_absent() || function.pcie.is_absent(), "PCI Express became absent");
    assert!(!cut.is_complete() || function.is_complete(), "became complete");
    assert!(cut.bus_range().is_none() || cut.bus_range() == function.bus_range());
}

/// SR-IOV without the parts that may be missing alone, as far as they are missing.
fn less_parts(whole: &Presence<SrIov>, less: &Presence<SrIov>) -> Presence<SrIov> {
    let mut whole = *whole;
    if let (Presence::Present(whole), Presence::Present(less)) = (&mut whole, less) {
        whole.system_page_size = whole.system_page_size.filter(|_| less.system_page_size.is_some());
        whole.vf_bars = whole.vf_bars.filter(|_| less.vf_bars.is_some());
    }
    whole
}

/// A row of 16 bytes is missing.
struct Holed<'a> {
    bytes: &'a [u8],
    row: u16,
}

impl Source for Holed<'_> {
    fn extent(&self) -> u16 {
        self.bytes.extent()
    }

    fn captured(&self) -> u16 {
        self.extent() - self.extent().saturating_sub(self.row).min(16)
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let (from, to) = (usize::from(offset), usize::from(offset) + N);
        let hole = usize::from(self.row)..usize::from(self.row) + 16;
        if from < hole.end && to > hole.start { None } else { self.bytes.array(offset) }
    }
}

/// The same bytes, written as lspci does, decode to the same function.
fn as_text(bytes: &[u8], whole: &Decoded) {
    let mut text = String::from("0000:00:00.0 Class 0000: Device\n");
    for (line, row) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:02x}:", line * 16);
        for byte in row {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    let mut inventory = Inventory::with_detail();
    let read = dump::read_stream(text.as_bytes(), "-", &dump::Options::default(), &mut inventory);
    if bytes.is_empty() {
        return assert!(read.is_err());
    }
    let inventory = inventory.finish();
    assert_eq!(inventory.functions(), core::slice::from_ref(&whole.function));
    assert_eq!(inventory.extras(0), whole.extras.as_deref());
    let conventional = whole.function.pcie.is_absent();
    assert_eq!(inventory.detail(0), Some(&Detail::read(&ConfigSpace::new(bytes), conventional)));
}
