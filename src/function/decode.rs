//! From configuration space to [`Function`].

use byteorder::{ByteOrder, LittleEndian};

use super::regular::{self, Extended, Standard};
use super::{Function, Known, ListState, PcieSummary};
use crate::addr::Sbdf;
use crate::anomaly::{Anomaly, Presence};
use crate::cap::acs::Acs;
use crate::cap::ari::Ari;
use crate::cap::ats::Ats;
use crate::cap::list::{WalkError, capabilities_of, extended_capabilities_of};
use crate::cap::pcie::Pcie;
use crate::cap::sriov::SrIov;
use crate::config::{CommonHeader, ConfigSpace, HeaderLayout, HeaderType, Source};

/// A function, and what only few functions have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// What every function has.
    pub function: Function,
    /// What few have.
    pub extras: Extras,
}

/// What only few functions have, kept apart so that [`Function`] stays compact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Extras {
    /// SR-IOV: this is a physical function.
    pub sriov: Presence<SrIov>,
    /// The egress control vector, eight double words; `None` for those that are past its end or not
    /// captured.
    pub egress_vector: Option<[Option<u32>; 8]>,
    /// Whether a Multicast capability was found: multicast TLPs are not modelled.
    pub multicast: bool,
    /// Root Complex Base Address register (F0h) of an Intel ISA bridge, where the PCH's peer decode
    /// controls are found. `None` elsewhere, or if not captured.
    pub root_complex_base: Option<u32>,
    anomalies: [Option<Anomaly>; MAX_ANOMALIES],
}

/// More than one function can show: one for the header's state, one for its layout, one a list, one
/// for ACS, two for bus numbers.
const MAX_ANOMALIES: usize = 8;

impl Extras {
    /// What contradicts the specification, in the order in which it was met.
    pub fn anomalies(&self) -> impl Iterator<Item = Anomaly> + '_ {
        self.anomalies.iter().flatten().copied()
    }

    /// Whether there is nothing to keep: what is not present is absent, unless the function's
    /// extended list was not walked to its end.
    #[must_use]
    pub fn is_usual(&self, function: &Function) -> bool {
        let sriov_is_told = match self.sriov {
            Presence::Present(_) => false,
            Presence::Absent => true,
            Presence::NotCaptured => function.extended_list != ListState::Complete,
        };
        sriov_is_told
            && self.egress_vector.is_none()
            && !self.multicast
            && self.root_complex_base.is_none()
            && self.anomalies.iter().all(Option::is_none)
    }

    /// Other values of the ACS structure, and what contradicts the specification in them.
    pub(super) fn replace_acs(&mut self, vector: Option<[Option<u32>; 8]>, anomaly: Option<Anomaly>) {
        self.egress_vector = vector;
        let of_acs = |slot: &Option<Anomaly>| {
            matches!(
                slot,
                Some(Anomaly::AcsControlAllOnes { .. } | Anomaly::AcsControlWithoutCapability { .. })
            )
        };
        self.anomalies.iter_mut().filter(|slot| of_acs(slot)).for_each(|slot| *slot = None);
        if let Some(anomaly) = anomaly {
            self.note(anomaly);
        }
    }

    #[cold]
    #[inline(never)]
    fn note(&mut self, anomaly: Anomaly) {
        if let Some(free) = self.anomalies.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(anomaly);
        }
    }
}

/// Decodes one function. Reads the header, both capability chains and the registers that matter, and
/// nothing else.
///
/// ```
/// use acsscan::{addr::Sbdf, config::ConfigSpace, function::decode};
/// let address: Sbdf = "00:1c.0".parse()?;
/// let decoded = decode(address, &ConfigSpace::new(&[0xff; 256]));
/// assert!(!decoded.function.answers);
/// assert!(decoded.function.acs.is_not_captured(), "nothing is known about its ACS");
/// # Ok::<(), acsscan::addr::ParseAddressError>(())
/// ```
#[must_use]
#[inline]
pub fn decode<S: Source>(address: Sbdf, config: &ConfigSpace<S>) -> Decoded {
    let mut decoded = Decoded::unknown(address);
    // Where all bytes are in one piece, most bounds are known to hold when this is compiled.
    match config.whole() {
        Some(bytes) => fill::<_, false>(&ConfigSpace::new(bytes), &mut decoded),
        None => fill::<_, false>(config, &mut decoded),
    }
    decoded
}

/// The same, always by the careful walkers: what [`decode`] is held against.
#[cfg(feature = "testkit")]
pub(crate) fn decode_carefully<S: Source>(address: Sbdf, config: &ConfigSpace<S>) -> Decoded {
    let mut decoded = Decoded::unknown(address);
    fill::<_, true>(config, &mut decoded);
    decoded
}

impl Decoded {
    /// A function of which nothing was captured.
    #[inline(always)]
    fn unknown(address: Sbdf) -> Self {
        let function = Function {
            address,
            vendor_id: 0,
            device_id: 0,
            subsystem: (0, 0),
            class: crate::config::ClassCode::default(),
            revision: 0,
            command: 0,
            header_type: HeaderType(0),
            captured: 0,
            extent: 0,
            answers: false,
            header: [0; 9],
            pcie: Presence::NotCaptured,
            acs: Presence::NotCaptured,
            acs_dword_8: 0,
            acs_guessed: 0,
            ari: Presence::NotCaptured,
            ats: Presence::NotCaptured,
            standard_list: ListState::NotCaptured,
            extended_list: ListState::NotCaptured,
            known: Known::empty(),
        };
        let extras = Extras {
            sriov: Presence::NotCaptured,
            egress_vector: None,
            multicast: false,
            root_complex_base: None,
            anomalies: [None; MAX_ANOMALIES],
        };
        Self { function, extras }
    }
}

/// Decodes into a function of which nothing is known yet: it is large, and is made where it stays.
#[inline(never)]
fn fill<S: Source, const CAREFUL: bool>(config: &ConfigSpace<S>, decoded: &mut Decoded) {
    let Decoded { function, extras } = decoded;
    (function.captured, function.extent) = (config.captured(), config.extent());
    match config.common_header() {
        Some(common)
            if common.vendor_id() == 0xffff && common.command() == 0xffff && config.reads_all_ones() =>
        {
            extras.note(Anomaly::ConfigAllOnes);
            (function.standard_list, function.extended_list) = (ListState::Broken, ListState::Broken);
        }
        Some(common) => read::<S, CAREFUL>(config, &common, function, extras),
        None if config.reads_all_ones() => extras.note(Anomaly::ConfigAllOnes),
        None => {}
    }
}

/// Decodes a function that answers with this header.
#[inline(always)]
fn read<S: Source, const CAREFUL: bool>(
    config: &ConfigSpace<S>,
    common: &CommonHeader,
    function: &mut Function,
    extras: &mut Extras,
) {
    function.answers = true;
    function.vendor_id = common.vendor_id();
    function.device_id = common.device_id();
    function.class = common.class_code();
    function.revision = common.revision_id();
    function.command = common.command();
    function.header_type = common.header_type();
    let mut known = Known::empty();
    if let Some(dwords) = header_dwords(config) {
        function.header = dwords;
        known.insert(Known::HEADER);
    }
    function.known = known;
    match function.header_type.layout() {
        HeaderLayout::Type0 => {}
        HeaderLayout::Type1 | HeaderLayout::Type2 => check_bus_numbers(function, extras),
        HeaderLayout::Reserved(layout) => extras.note(Anomaly::HeaderTypeReserved { layout }),
    }
    let (mut standard, mut standard_list) = (Standard::default(), ListState::Complete);
    if CAREFUL || !regular::standard(config, common, &mut standard) {
        (standard, standard_list) = walk_standard(config, common, extras);
    }
    function.standard_list = standard_list;
    let subsystem = match common.header_type().layout() {
        HeaderLayout::Type0 => function.header().map(|[.., subsystem, _]| subsystem),
        _ => standard.bridge_subsystem().and_then(|at| config.u32(u16::from(at).saturating_add(4))),
    };
    if let Some(ids) = subsystem {
        function.subsystem = halves(ids);
        known.insert(Known::SUBSYSTEM);
    }
    match read_pcie(config, standard.pcie(), standard_list) {
        Presence::Absent => {
            // A conventional function has no extended list.
            function.pcie = Presence::Absent;
            function.extended_list = ListState::Complete;
            function.acs = Presence::Absent;
            function.ari = Presence::Absent;
            function.ats = Presence::Absent;
            extras.sriov = Presence::Absent;
        }
        pcie => {
            function.pcie = pcie;
            if registers_missing(pcie, standard.pcie()) {
                known.insert(Known::REGISTERS_MISSING);
            }
            let (mut extended, mut extended_list) = (Extended::default(), ListState::Complete);
            let ids = u32::from(common.device_id()) << 16 | u32::from(common.vendor_id());
            if CAREFUL || !regular::extended(config, ids, &mut extended) {
                (extended, extended_list) = walk_extended(config, ids, extras);
            }
            function.extended_list = extended_list;
            let ended = extended_list == ListState::Complete && pcie.present().is_some();
            known.insert(read_extended(config, &extended, ended, function, extras));
        }
    }
    function.known = known;
    if common.vendor_id() == reg::VENDOR_INTEL && common.class_code().class() == reg::CLASS_ISA_BRIDGE {
        extras.root_complex_base = config.u32(reg::ROOT_COMPLEX_BASE);
    }
}

/// Double words 10h to 33h.
#[inline(always)]
fn header_dwords<S: Source>(config: &ConfigSpace<S>) -> Option<[u32; 9]> {
    // As large as lines of hex text.
    let (first, second) = (config.array::<16>(0x10)?, config.array::<16>(0x20)?);
    let mut dwords = [0; 9];
    let bytes = first.chunks_exact(4).chain(second.chunks_exact(4));
    for (dword, bytes) in dwords.iter_mut().zip(bytes) {
        *dword = LittleEndian::read_u32(bytes);
    }
    let [.., last] = &mut dwords;
    *last = config.u32(0x30)?;
    Some(dwords)
}

#[inline]
fn check_bus_numbers(function: &Function, extras: &mut Extras) {
    let Some(range) = function.bus_range() else { return };
    // 0 and 0: a bridge that nobody has configured.
    if range.secondary == 0 && range.subordinate == 0 {
        return;
    }
    if range.is_reversed() {
        let (secondary, subordinate) = (range.secondary, range.subordinate);
        extras.note(Anomaly::BusRangeReversed { secondary, subordinate });
    }
    if range.secondary <= function.address.bus() {
        extras.note(Anomaly::SecondaryNotBelow { secondary: range.secondary });
    }
}

/// Walks the standard list with care: what ended it is noted.
#[cold]
#[inline(never)]
fn walk_standard<S: Source>(
    config: &ConfigSpace<S>,
    common: &CommonHeader,
    extras: &mut Extras,
) -> (Standard, ListState) {
    let (mut found, mut state) = (Standard::default(), ListState::Complete);
    for entry in capabilities_of(config, common) {
        match entry {
            Ok(entry) => found.note(entry.id, entry.offset),
            Err(error) => state = ended_by(error, extras),
        }
    }
    (found, state)
}

/// Reads the PCI Express capability where it was found.
#[inline(always)]
fn read_pcie<S: Source>(
    config: &ConfigSpace<S>,
    found: Option<u8>,
    list: ListState,
) -> Presence<PcieSummary> {
    match found {
        Some(offset) => {
            Presence::from(Pcie::read(config, offset).map(|view| PcieSummary::new(offset, &view)))
        }
        None if list == ListState::Complete => Presence::Absent,
        None => Presence::NotCaptured,
    }
}

/// Whether registers were not captured of a PCI Express capability that was found.
#[inline(always)]
fn registers_missing(pcie: Presence<PcieSummary>, found: Option<u8>) -> bool {
    match pcie {
        Presence::Present(pcie) => {
            let forwards = pcie.port_type().is_downstream_facing();
            forwards && pcie.ari_forwarding_supported().and(pcie.ari_forwarding_enabled()).is_none()
        }
        Presence::Absent => false,
        Presence::NotCaptured => found.is_some(),
    }
}

/// Walks the extended list with care: what ended it is noted.
#[cold]
#[inline(never)]
fn walk_extended<S: Source>(config: &ConfigSpace<S>, ids: u32, extras: &mut Extras) -> (Extended, ListState) {
    let (mut found, mut state) = (Extended::default(), ListState::Complete);
    for entry in extended_capabilities_of(config, ids) {
        match entry {
            Ok(entry) => found.note(entry.id, entry.offset),
            Err(error) => state = ended_by(error, extras),
        }
    }
    (found, state)
}

/// Reads ACS, ARI, ATS and SR-IOV. `ended` says that what was not found is not there.
#[inline(always)]
fn read_extended<S: Source>(
    config: &ConfigSpace<S>,
    found: &Extended,
    ended: bool,
    function: &mut Function,
    extras: &mut Extras,
) -> Known {
    let (mut known, mut missing) = (Known::empty(), false);
    let acs = structure(found.acs(), ended, &mut missing, |at| Acs::read(config, at));
    function.acs = acs;
    function.ari = structure(found.ari(), ended, &mut missing, |at| Ari::read(config, at));
    function.ats = structure(found.ats(), ended, &mut missing, |at| Ats::read(config, at));
    extras.multicast = found.multicast().is_some();
    if let (Presence::Present(acs), Some(at)) = (acs, found.acs()) {
        if let Some(anomaly) = acs.anomaly() {
            extras.note(anomaly);
        }
        if let Some(dword) = config.u32(at.saturating_add(8)) {
            function.acs_dword_8 = dword;
            known.insert(Known::ACS_DWORD_8);
        }
        if acs.capability.vector_bits() > 0 {
            read_vector(config, &acs, extras);
        }
    }
    match found.sriov() {
        Some(at) => missing |= read_sriov(config, at, extras),
        None if ended => extras.sriov = Presence::Absent,
        None => {}
    }
    if missing {
        known.insert(Known::REGISTERS_MISSING);
    }
    if missing || found.sriov().is_some() {
        note_cuts(found, extras);
    }
    known
}

/// Reads SR-IOV; whether it is missing.
#[cold]
#[inline(never)]
fn read_sriov<S: Source>(config: &ConfigSpace<S>, at: u16, extras: &mut Extras) -> bool {
    extras.sriov = Presence::from(SrIov::read(config, at));
    extras.sriov.is_not_captured()
}

/// What is known of a structure; notes if it was found and its registers are missing.
#[inline(always)]
fn structure<T>(
    found: Option<u16>,
    ended: bool,
    missing: &mut bool,
    read: impl Fn(u16) -> Option<T>,
) -> Presence<T> {
    match found {
        Some(at) => match read(at) {
            Some(structure) => Presence::Present(structure),
            None => {
                *missing = true;
                Presence::NotCaptured
            }
        },
        None if ended => Presence::Absent,
        None => Presence::NotCaptured,
    }
}

/// Keeps the egress control vector.
#[cold]
#[inline(never)]
fn read_vector<S: Source>(config: &ConfigSpace<S>, acs: &Acs, extras: &mut Extras) {
    extras.egress_vector = acs.egress_vector(config).map(|vector| {
        let mut dwords = [None; 8];
        for (dword, n) in dwords.iter_mut().zip(0_u8..) {
            *dword = vector.dword(n).present();
        }
        dwords
    });
}

/// Notes the structures that reach past the end of configuration space: where one does, its registers are
/// missing, or it is SR-IOV, whose last registers may be.
#[cold]
#[inline(never)]
fn note_cuts(found: &Extended, extras: &mut Extras) {
    for (found, size) in [(found.acs(), 8_u16), (found.ari(), 8), (found.ats(), 8), (found.sriov(), 0x40)] {
        if let Some(at) = found.filter(|at| at.saturating_add(size) > crate::config::SIZE) {
            extras.note(Anomaly::CapStructureCut { at });
        }
    }
}

/// Notes the anomaly that ended a walk, and says what the end proves.
fn ended_by(error: WalkError, extras: &mut Extras) -> ListState {
    match error {
        WalkError::NotCaptured { .. } => ListState::NotCaptured,
        WalkError::Anomaly(anomaly) => {
            extras.note(anomaly);
            ListState::Broken
        }
    }
}

/// Low and high word.
const fn halves(dword: u32) -> (u16, u16) {
    ((dword & 0xffff) as u16, (dword >> 16) as u16)
}

/// IDs and offsets that this file needs beside those of the capabilities.
mod reg {
    pub(super) const VENDOR_INTEL: u16 = 0x8086;
    pub(super) const CLASS_ISA_BRIDGE: u16 = 0x0601;
    pub(super) const ROOT_COMPLEX_BASE: u16 = 0xf0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Sbdf {
        Sbdf::new(0, 0, 0x1c, 0).expect("valid")
    }

    /// A root port with an ACS structure at 148h.
    fn root_port() -> [u8; 4096] {
        let mut bytes = [0; 4096];
        bytes[..4].copy_from_slice(&[0x86, 0x80, 0x94, 0xa2]);
        bytes[0x06] = 0x10;
        bytes[0x0e] = 0x81;
        bytes[0x19..0x1b].copy_from_slice(&[2, 3]);
        bytes[0x34] = 0x40;
        bytes[0x40..0x44].copy_from_slice(&[0x10, 0x00, 0x42, 0x01]);
        bytes[0x4f] = 5;
        bytes[0x100..0x104].copy_from_slice(&[0x01, 0x00, 0x81, 0x14]);
        bytes[0x148..0x150].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00, 0x1f, 0x00, 0x1d, 0x00]);
        bytes
    }

    #[test]
    fn truncation_takes_answers_away_and_never_changes_one() {
        let whole = decode(at(), &ConfigSpace::new(&root_port())).function;
        assert!(whole.is_complete());
        for length in 0..4096 {
            let bytes = root_port();
            let cut = decode(at(), &ConfigSpace::new(&bytes[..length])).function;
            assert!(!cut.acs.is_absent() && !cut.pcie.is_absent(), "{length}: absence is not proved");
            assert!(cut.acs.is_not_captured() || cut.acs == whole.acs, "{length}");
            assert!(cut.port_type().is_none() || cut.port_type() == whole.port_type(), "{length}");
            assert!(cut.ari.is_not_captured() || cut.ari == whole.ari, "{length}");
            assert!(cut.bus_range().is_none() || cut.bus_range() == whole.bus_range(), "{length}");
        }
    }

    #[test]
    fn a_conventional_function_is_complete_with_256_bytes() {
        let mut bytes = [0; 256];
        bytes[0] = 1;
        let function = decode(at(), &ConfigSpace::new(&bytes)).function;
        assert!(function.is_complete());
        assert!(function.acs.is_absent());
        bytes[0x06] = 0x10;
        bytes[0x34] = 0x40;
        bytes[0x40] = 0x10;
        let function = decode(at(), &ConfigSpace::new(&bytes)).function;
        assert!(!function.is_complete(), "PCIe: extended space is missing");
        assert!(function.acs.is_not_captured());
    }

    #[test]
    fn a_broken_extended_list_proves_nothing_absent() {
        let mut bytes = root_port();
        bytes[0x102..0x104].copy_from_slice(&[0x01, 0x10]);
        let decoded = decode(at(), &ConfigSpace::new(&bytes));
        assert!(decoded.function.acs.is_not_captured());
        assert_eq!(decoded.function.extended_list, ListState::Broken);
        let cycle = Anomaly::ExtCapListCycle { at: 0x100, target: 0x100 };
        assert!(decoded.extras.anomalies().eq([cycle]));
    }

    #[test]
    fn acs_at_the_very_end_of_the_space_is_cut_not_absent() {
        let mut bytes = root_port();
        bytes[0x102..0x104].copy_from_slice(&[0xc1, 0xff]);
        bytes[0xffc..].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00]);
        let decoded = decode(at(), &ConfigSpace::new(&bytes));
        assert!(decoded.function.acs.is_not_captured());
        assert!(decoded.extras.anomalies().eq([Anomaly::CapStructureCut { at: 0xffc }]));
    }
}
