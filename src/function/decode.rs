//! From configuration space to [`Function`].

use byteorder::{ByteOrder, LittleEndian};

use super::{Function, Known, ListState, PcieSummary};
use crate::addr::Sbdf;
use crate::anomaly::{Anomaly, Presence};
use crate::cap::acs::Acs;
use crate::cap::ari::Ari;
use crate::cap::ats::Ats;
use crate::cap::id::{CapabilityId, ExtendedCapabilityId};
use crate::cap::list::{WalkError, capabilities, extended_capabilities};
use crate::cap::pcie::Pcie;
use crate::cap::sriov::SrIov;
use crate::config::{ConfigSpace, HeaderLayout, HeaderType, Source};

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
pub fn decode<S: Source>(address: Sbdf, config: &ConfigSpace<S>) -> Decoded {
    let mut extras = Extras {
        sriov: Presence::NotCaptured,
        egress_vector: None,
        multicast: false,
        root_complex_base: None,
        anomalies: [None; MAX_ANOMALIES],
    };
    let mut function = Function {
        address,
        vendor_id: 0,
        device_id: 0,
        subsystem: (0, 0),
        class: crate::config::ClassCode::default(),
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
        registers_missing: false,
        ari: Presence::NotCaptured,
        ats: Presence::NotCaptured,
        standard_list: ListState::NotCaptured,
        extended_list: ListState::NotCaptured,
        known: Known::empty(),
    };
    let Some(common) = config.common_header() else {
        if config.reads_all_ones() {
            extras.note(Anomaly::ConfigAllOnes);
        }
        return Decoded { function, extras };
    };
    if config.reads_all_ones() {
        extras.note(Anomaly::ConfigAllOnes);
        function.standard_list = ListState::Broken;
        function.extended_list = ListState::Broken;
        return Decoded { function, extras };
    }
    function.answers = true;
    function.vendor_id = common.vendor_id();
    function.device_id = common.device_id();
    function.class = common.class_code();
    function.revision = common.revision_id();
    function.command = common.command();
    function.header_type = common.header_type();
    if let Some(dwords) = header_dwords(config) {
        function.header = dwords;
        function.known.insert(Known::HEADER);
    }
    if let HeaderLayout::Reserved(layout) = function.header_type.layout() {
        extras.note(Anomaly::HeaderTypeReserved { layout });
    }
    check_bus_numbers(&function, &mut extras);
    walk_standard(config, &mut function, &mut extras);
    walk_extended(config, &mut function, &mut extras);
    if function.vendor_id == reg::VENDOR_INTEL && function.class.class() == reg::CLASS_ISA_BRIDGE {
        extras.root_complex_base = config.u32(reg::ROOT_COMPLEX_BASE);
    }
    Decoded { function, extras }
}

/// Double words 10h to 33h.
fn header_dwords<S: Source>(config: &ConfigSpace<S>) -> Option<[u32; 9]> {
    let bytes = config.array::<36>(0x10)?;
    let mut dwords = [0; 9];
    for (dword, bytes) in dwords.iter_mut().zip(bytes.chunks_exact(4)) {
        *dword = LittleEndian::read_u32(bytes);
    }
    Some(dwords)
}

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

/// Finds the PCI Express capability and the subsystem IDs.
fn walk_standard<S: Source>(config: &ConfigSpace<S>, function: &mut Function, extras: &mut Extras) {
    function.standard_list = ListState::Complete;
    let mut pcie = None;
    if function.header_type.layout() == HeaderLayout::Type0 {
        if let Some([.., subsystem, _]) = function.header() {
            function.subsystem = halves(subsystem);
            function.known.insert(Known::SUBSYSTEM);
        }
    }
    for entry in capabilities(config) {
        match entry {
            Ok(entry) if entry.id == CapabilityId::PCI_EXPRESS && pcie.is_none() => {
                pcie = Some(entry.offset);
            }
            Ok(entry)
                if entry.id == CapabilityId::BRIDGE_SUBSYSTEM
                    && !function.known.contains(Known::SUBSYSTEM) =>
            {
                let at = u16::from(entry.offset).saturating_add(4);
                if let Some(ids) = config.u32(at) {
                    function.subsystem = halves(ids);
                    function.known.insert(Known::SUBSYSTEM);
                }
            }
            Ok(_) => {}
            Err(error) => function.standard_list = ended_by(error, extras),
        }
    }
    function.pcie = match pcie {
        Some(offset) => {
            Presence::from(Pcie::read(config, offset).map(|view| PcieSummary::new(offset, &view)))
        }
        None if function.standard_list == ListState::Complete => Presence::Absent,
        None => Presence::NotCaptured,
    };
    function.registers_missing = match function.pcie {
        Presence::Present(pcie) => {
            let forwards = pcie.port_type().is_downstream_facing();
            forwards && pcie.ari_forwarding_supported().and(pcie.ari_forwarding_enabled()).is_none()
        }
        Presence::Absent => false,
        Presence::NotCaptured => pcie.is_some(),
    };
}

/// Finds ACS, ARI, ATS and SR-IOV. A conventional function has none of them, and no extended list.
fn walk_extended<S: Source>(config: &ConfigSpace<S>, function: &mut Function, extras: &mut Extras) {
    function.extended_list = ListState::Complete;
    if function.pcie.is_absent() {
        function.acs = Presence::Absent;
        function.ari = Presence::Absent;
        function.ats = Presence::Absent;
        extras.sriov = Presence::Absent;
        return;
    }
    let [mut acs, mut ari, mut ats, mut sriov] = [None; 4];
    for entry in extended_capabilities(config) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                function.extended_list = ended_by(error, extras);
                continue;
            }
        };
        let slot = match entry.id {
            ExtendedCapabilityId::ACS => &mut acs,
            ExtendedCapabilityId::ARI => &mut ari,
            ExtendedCapabilityId::ATS => &mut ats,
            ExtendedCapabilityId::SR_IOV => &mut sriov,
            ExtendedCapabilityId::MULTICAST => {
                extras.multicast = true;
                continue;
            }
            _ => continue,
        };
        // The first one counts, as in Linux and in lspci.
        slot.get_or_insert(entry.offset);
    }
    let ended = function.extended_list == ListState::Complete && function.pcie.present().is_some();
    let missing = |found: Option<u16>| match found {
        Some(offset) => Presence::Present(offset),
        None if ended => Presence::Absent,
        None => Presence::NotCaptured,
    };
    function.acs = missing(acs).and_then(|at| Presence::from(Acs::read(config, at)));
    function.ari = missing(ari).and_then(|at| Presence::from(Ari::read(config, at)));
    function.ats = missing(ats).and_then(|at| Presence::from(Ats::read(config, at)));
    extras.sriov = missing(sriov).and_then(|at| Presence::from(SrIov::read(config, at)));
    function.registers_missing |= (acs.is_some() && function.acs.is_not_captured())
        || (ari.is_some() && function.ari.is_not_captured())
        || (ats.is_some() && function.ats.is_not_captured())
        || (sriov.is_some() && extras.sriov.is_not_captured());
    if let Presence::Present(structure) = function.acs {
        if let Some(anomaly) = structure.anomaly() {
            extras.note(anomaly);
        }
        if let Some(dword) = config.u32(structure.offset.of_register(8)) {
            function.acs_dword_8 = dword;
            function.known.insert(Known::ACS_DWORD_8);
        }
        extras.egress_vector = structure.egress_vector(config).map(|vector| {
            let mut dwords = [None; 8];
            for (dword, n) in dwords.iter_mut().zip(0_u8..) {
                *dword = vector.dword(n).present();
            }
            dwords
        });
    }
    for (found, structure_end) in [(acs, 8_u16), (ari, 8), (ats, 8), (sriov, 0x40)] {
        if let Some(at) = found.filter(|at| at.saturating_add(structure_end) > crate::config::SIZE) {
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
    (dword as u16, (dword >> 16) as u16)
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
