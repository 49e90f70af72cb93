//! From configuration space to [`Function`].

use alloc::boxed::Box;

use byteorder::{ByteOrder, LittleEndian};

use super::beyond;
use super::regular::{self, Extended, Standard};
use super::{Beyond, Function, Known, ListState, PcieSummary};
use crate::addr::Sbdf;
use crate::anomaly::{Anomaly, Presence};
use crate::cap::acs::Acs;
use crate::cap::ari::Ari;
use crate::cap::ats::Ats;
use crate::cap::list::{WalkError, capabilities_of, extended_capabilities_of};
use crate::cap::pcie::Pcie;
use crate::cap::sriov::SrIov;
use crate::config::{ClassCode, CommonHeader, ConfigSpace, HeaderLayout, HeaderType, Source};

/// A function, and what only few functions have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// What every function has.
    pub function: Function,
    /// What few have; `None` if there is nothing of the kind.
    pub extras: Option<Box<Extras>>,
}

impl Decoded {
    /// The SR-IOV structure.
    #[must_use]
    pub fn sriov(&self) -> Presence<SrIov> {
        self.extras.as_ref().map_or(self.function.sriov_without_extras(), |extras| extras.sriov)
    }
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
    /// What is in force that routing does not follow.
    pub beyond: Beyond,
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

    fn note(&mut self, anomaly: Anomaly) {
        if let Some(free) = self.anomalies.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(anomaly);
        }
    }
}

/// Extras come to be when the first of them is found: most functions have none.
#[cold]
pub(super) fn of(extras: &mut Option<Box<Extras>>) -> &mut Extras {
    extras.get_or_insert_with(|| {
        Box::new(Extras {
            sriov: Presence::NotCaptured,
            egress_vector: None,
            multicast: false,
            beyond: Beyond::default(),
            root_complex_base: None,
            anomalies: [None; MAX_ANOMALIES],
        })
    })
}

#[cold]
#[inline(never)]
fn note(extras: &mut Option<Box<Extras>>, anomaly: Anomaly) {
    of(extras).note(anomaly);
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
    // Where all bytes are in one piece, most bounds are known to hold when this is compiled.
    match config.whole() {
        Some(bytes) => decode_by::<_, false>(address, &ConfigSpace::new(bytes)),
        None => decode_by::<_, false>(address, config),
    }
}

/// The same, always by the careful walkers: what [`decode`] is held against.
#[cfg(feature = "testkit")]
pub(crate) fn decode_carefully<S: Source>(address: Sbdf, config: &ConfigSpace<S>) -> Decoded {
    decode_by::<_, true>(address, config)
}

#[inline]
fn decode_by<S: Source, const CAREFUL: bool>(address: Sbdf, config: &ConfigSpace<S>) -> Decoded {
    let answers = |common: &CommonHeader| {
        common.vendor_id() != 0xffff || common.command() != 0xffff || !config.reads_all_ones()
    };
    match config.common_header().filter(answers) {
        Some(common) => read::<_, CAREFUL>(address, config, &common),
        None => silent(address, config),
    }
}

/// A function that does not answer, or whose header was not captured.
#[cold]
#[inline(never)]
fn silent<S: Source>(address: Sbdf, config: &ConfigSpace<S>) -> Decoded {
    let mut extras = None;
    let mut list = ListState::NotCaptured;
    if config.reads_all_ones() {
        note(&mut extras, Anomaly::ConfigAllOnes);
        if config.common_header().is_some() {
            list = ListState::Broken;
        }
    }
    let function = Function {
        address,
        vendor_id: 0,
        device_id: 0,
        subsystem: (0, 0),
        class: ClassCode::default(),
        revision: 0,
        command: 0,
        header_type: HeaderType(0),
        captured: config.captured(),
        extent: config.extent(),
        answers: false,
        header: [0; 9],
        pcie: Presence::NotCaptured,
        acs: Presence::NotCaptured,
        acs_dword_8: 0,
        acs_guessed: 0,
        ari: Presence::NotCaptured,
        ats: Presence::NotCaptured,
        standard_list: list,
        extended_list: list,
        known: Known::empty(),
    };
    Decoded { function, extras }
}

/// Decodes a function that answers with this header. What is known is written where it stays at once: to
/// collect it first takes more registers than there are.
#[inline(never)]
fn read<S: Source, const CAREFUL: bool>(
    address: Sbdf,
    config: &ConfigSpace<S>,
    common: &CommonHeader,
) -> Decoded {
    let mut decoded = Decoded {
        function: Function {
            address,
            vendor_id: common.vendor_id(),
            device_id: common.device_id(),
            subsystem: (0, 0),
            class: common.class_code(),
            revision: common.revision_id(),
            command: common.command(),
            header_type: common.header_type(),
            captured: config.captured(),
            extent: config.extent(),
            answers: true,
            header: [0; 9],
            pcie: Presence::NotCaptured,
            acs: Presence::Absent,
            acs_dword_8: 0,
            acs_guessed: 0,
            ari: Presence::Absent,
            ats: Presence::Absent,
            standard_list: ListState::Complete,
            extended_list: ListState::Complete,
            known: Known::empty(),
        },
        extras: None,
    };
    let Decoded { function, extras } = &mut decoded;
    let layout = function.header_type.layout();
    if let Some(header) = header_dwords(config) {
        function.header = header;
        function.known.insert(Known::HEADER);
        if layout == HeaderLayout::Type0 {
            let [.., subsystem, _] = header;
            function.subsystem = halves(subsystem);
            function.known.insert(Known::SUBSYSTEM);
        }
    } else if layout == HeaderLayout::Type0 {
        read_bars(config, function);
    }
    if layout != HeaderLayout::Type0 {
        check_header(layout, function, extras);
    }
    let mut standard = Standard::default();
    if CAREFUL || !regular::standard(config, common, &mut standard) {
        (standard, function.standard_list) = walk_standard(config, common, extras);
    }
    if layout != HeaderLayout::Type0 {
        let at = standard.bridge_subsystem().map(|at| u16::from(at).saturating_add(4));
        if let Some(ids) = at.and_then(|at| config.u32(at)) {
            function.subsystem = halves(ids);
            function.known.insert(Known::SUBSYSTEM);
        } else if at.is_none() && function.standard_list == ListState::Complete {
            function.known.insert(Known::NO_SUBSYSTEM);
        }
    }
    function.pcie = read_pcie(config, standard.pcie(), function.standard_list);
    let mut has_sriov = false;
    // A conventional function has no extended list.
    if !function.pcie.is_absent() {
        if registers_missing(function.pcie, standard.pcie()) {
            function.known.insert(Known::REGISTERS_MISSING);
        }
        has_sriov = read_extended::<S, CAREFUL>(config, function, extras);
    }
    if layout != HeaderLayout::Type0 || beyond::leads_beyond(config, standard) {
        beyond::read(config, standard, function, extras);
    }
    if function.vendor_id == reg::VENDOR_INTEL && function.class.class() == reg::CLASS_ISA_BRIDGE {
        if let Some(base) = config.u32(reg::ROOT_COMPLEX_BASE) {
            of(extras).root_complex_base = Some(base);
        }
    }
    if let Some(extras) = extras.as_mut().filter(|_| !has_sriov) {
        extras.sriov = function.sriov_without_extras();
    }
    decoded
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

/// What a text has of layout 0: the Base Address registers, and of what stands behind them the subsystem, if
/// it says that.
#[cold]
#[inline(never)]
fn read_bars<S: Source>(config: &ConfigSpace<S>, function: &mut Function) {
    let subsystem = config.u32(reg::SUBSYSTEM);
    if let Some(ids) = subsystem {
        function.subsystem = halves(ids);
        function.known.insert(Known::SUBSYSTEM);
    }
    let Some(bytes) = config.array::<24>(0x10) else { return };
    for (dword, bytes) in function.header.iter_mut().zip(bytes.chunks_exact(4)) {
        *dword = LittleEndian::read_u32(bytes);
    }
    let [.., place, _] = &mut function.header;
    *place = subsystem.unwrap_or(0);
    function.known.insert(Known::HEADER);
}

/// What contradicts the specification in a header that is not of layout 0.
fn check_header(layout: HeaderLayout, function: &Function, extras: &mut Option<Box<Extras>>) {
    if let HeaderLayout::Reserved(layout) = layout {
        note(extras, Anomaly::HeaderTypeReserved { layout });
    }
    check_bus_numbers(function, extras);
}

fn check_bus_numbers(function: &Function, extras: &mut Option<Box<Extras>>) {
    let Some(range) = function.bus_range() else { return };
    // 0 and 0: a bridge that nobody has configured.
    if range.secondary == 0 && range.subordinate == 0 {
        return;
    }
    if range.is_reversed() {
        let (secondary, subordinate) = (range.secondary, range.subordinate);
        note(extras, Anomaly::BusRangeReversed { secondary, subordinate });
    }
    if range.secondary <= function.address.bus() {
        note(extras, Anomaly::SecondaryNotBelow { secondary: range.secondary });
    }
}

/// Walks the standard list with care: what ended it is noted.
#[cold]
#[inline(never)]
fn walk_standard<S: Source>(
    config: &ConfigSpace<S>,
    common: &CommonHeader,
    extras: &mut Option<Box<Extras>>,
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
        Presence::Present(pcie) => pcie.lacks_ari_forwarding() && pcie.port_type().is_downstream_facing(),
        Presence::Absent => false,
        Presence::NotCaptured => found.is_some(),
    }
}

/// Walks the extended list with care: what ended it is noted.
#[cold]
#[inline(never)]
fn walk_extended<S: Source>(
    config: &ConfigSpace<S>,
    ids: u32,
    extras: &mut Option<Box<Extras>>,
) -> (Extended, ListState) {
    let (mut found, mut state) = (Extended::default(), ListState::Complete);
    for entry in extended_capabilities_of(config, ids) {
        match entry {
            Ok(entry) => found.note(entry.id, entry.offset),
            Err(error) => state = ended_by(error, extras),
        }
    }
    (found, state)
}

/// Walks the extended list, and reads ACS, ARI, ATS and SR-IOV; whether it found the last.
#[inline(always)]
fn read_extended<S: Source, const CAREFUL: bool>(
    config: &ConfigSpace<S>,
    function: &mut Function,
    extras: &mut Option<Box<Extras>>,
) -> bool {
    let mut found = Extended::default();
    let ids = u32::from(function.device_id) << 16 | u32::from(function.vendor_id);
    if CAREFUL || !regular::extended(config, ids, &mut found) {
        (found, function.extended_list) = walk_extended(config, ids, extras);
    }
    // Then what was not found is not there.
    let ended = function.extended_list == ListState::Complete && function.pcie.present().is_some();
    let mut missing = false;
    function.ari = structure(found.ari(), ended, &mut missing, |at| Ari::read(config, at));
    function.ats = structure(found.ats(), ended, &mut missing, |at| Ats::read(config, at));
    let acs = structure(found.acs(), ended, &mut missing, |at| Acs::read(config, at));
    function.acs = acs;
    if let Presence::Present(acs) = acs {
        if let Some(anomaly) = acs.anomaly() {
            note(extras, anomaly);
        }
        if let Some(dword) = config.u32(acs.offset.of_register(8)) {
            function.acs_dword_8 = dword;
            function.known.insert(Known::ACS_DWORD_8);
        }
        if acs.capability.vector_bits() > 0 {
            read_vector(config, &acs, extras);
        }
    }
    if found.multicast().is_some() {
        of(extras).multicast = true;
    }
    if let Some(at) = found.sriov() {
        missing |= read_sriov(config, at, extras);
    }
    if missing {
        function.known.insert(Known::REGISTERS_MISSING);
    }
    let has_sriov = found.sriov().is_some();
    if missing || has_sriov {
        note_cuts(&found, extras);
    }
    has_sriov
}

/// Reads SR-IOV; whether it is missing.
#[cold]
#[inline(never)]
fn read_sriov<S: Source>(config: &ConfigSpace<S>, at: u16, extras: &mut Option<Box<Extras>>) -> bool {
    let sriov = Presence::from(SrIov::read(config, at));
    of(extras).sriov = sriov;
    sriov.is_not_captured()
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
fn read_vector<S: Source>(config: &ConfigSpace<S>, acs: &Acs, extras: &mut Option<Box<Extras>>) {
    let Some(vector) = acs.egress_vector(config) else { return };
    let mut dwords = [None; 8];
    for (dword, n) in dwords.iter_mut().zip(0_u8..) {
        *dword = vector.dword(n).present();
    }
    of(extras).egress_vector = Some(dwords);
}

/// Notes the structures that reach past the end of configuration space: where one does, its registers are
/// missing, or it is SR-IOV, whose last registers may be.
#[cold]
#[inline(never)]
fn note_cuts(found: &Extended, extras: &mut Option<Box<Extras>>) {
    for (found, size) in [(found.acs(), 8_u16), (found.ari(), 8), (found.ats(), 8), (found.sriov(), 0x40)] {
        if let Some(at) = found.filter(|at| at.saturating_add(size) > crate::config::SIZE) {
            note(extras, Anomaly::CapStructureCut { at });
        }
    }
}

/// Notes the anomaly that ended a walk, and says what the end proves.
fn ended_by(error: WalkError, extras: &mut Option<Box<Extras>>) -> ListState {
    match error {
        WalkError::NotCaptured { .. } => ListState::NotCaptured,
        WalkError::Anomaly(anomaly) => {
            note(extras, anomaly);
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
    pub(super) const SUBSYSTEM: u16 = 0x2c;
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
        assert!(decoded.extras.expect("found").anomalies().eq([cycle]));
    }

    #[test]
    fn acs_at_the_very_end_of_the_space_is_cut_not_absent() {
        let mut bytes = root_port();
        bytes[0x102..0x104].copy_from_slice(&[0xc1, 0xff]);
        bytes[0xffc..].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00]);
        let decoded = decode(at(), &ConfigSpace::new(&bytes));
        assert!(decoded.function.acs.is_not_captured());
        assert!(decoded.extras.expect("found").anomalies().eq([Anomaly::CapStructureCut { at: 0xffc }]));
    }
}
