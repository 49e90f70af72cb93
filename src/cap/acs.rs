//! Access Control Services (extended ID 000Dh).
//!
//! Layer 2. Sources: PCIe Base 6.x, §6.12 "Access Control Services (ACS)" and §7.7.11 "ACS Extended
//! Capability"; PCI-SIG ECN "ACS Enhanced Capability" of 2019-05-07 for bit 7 and control bits 12:7.
//!
//! | bit | Capability (+04h) | Control (+06h) | lspci's token |
//! |---|---|---|---|
//! | 0 | ACS Source Validation | Enable | `SrcValid` |
//! | 1 | ACS Translation Blocking | Enable | `TransBlk` |
//! | 2 | ACS P2P Request Redirect | Enable | `ReqRedir` |
//! | 3 | ACS P2P Completion Redirect | Enable | `CmpltRedir` |
//! | 4 | ACS Upstream Forwarding | Enable | `UpstreamFwd` |
//! | 5 | ACS P2P Egress Control | Enable | `EgressCtrl` |
//! | 6 | ACS Direct Translated P2P | Enable | `DirectTrans` |
//! | 7 | ACS Enhanced Capability | ACS I/O Request Blocking Enable | `Enhanced`, `IoReqBlk` |
//! | 9:8 | 15:8 Egress Control Vector Size | ACS DSP Memory Target Access Control | `DspMemTarget` |
//! | 11:10 | | ACS USP Memory Target Access Control | `UspMemTarget` |
//! | 12 | | ACS Unclaimed Request Redirect Control | `UnclaimedRedir` |
//!
//! From +08h on stands the Egress Control Vector, one bit a port or function.

use bitflags::bitflags;

use crate::anomaly::{Anomaly, Presence};
use crate::config::{ConfigSpace, Offset, Source};

bitflags! {
    /// ACS Capability register (+04h), bits 7:0. Bits 15:8, the vector size, are kept as unknown
    /// bits: see [`vector_bits`](AcsCapability::vector_bits).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct AcsCapability: u16 {
        /// ACS Source Validation.
        const SOURCE_VALIDATION = 1 << 0;
        /// ACS Translation Blocking.
        const TRANSLATION_BLOCKING = 1 << 1;
        /// ACS P2P Request Redirect.
        const REQUEST_REDIRECT = 1 << 2;
        /// ACS P2P Completion Redirect.
        const COMPLETION_REDIRECT = 1 << 3;
        /// ACS Upstream Forwarding.
        const UPSTREAM_FORWARDING = 1 << 4;
        /// ACS P2P Egress Control.
        const EGRESS_CONTROL = 1 << 5;
        /// ACS Direct Translated P2P.
        const DIRECT_TRANSLATED = 1 << 6;
        /// ACS Enhanced Capability: the control bits 12:7 exist.
        const ENHANCED = 1 << 7;
        const _ = !0;
    }
}

bitflags! {
    /// ACS Control register (+06h). Bit 7 is not the same thing as bit 7 of the capability register.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct AcsControl: u16 {
        /// ACS Source Validation Enable: a request must carry a requester ID of the port's buses.
        const SOURCE_VALIDATION = 1 << 0;
        /// ACS Translation Blocking Enable: requests that claim to be translated are blocked.
        const TRANSLATION_BLOCKING = 1 << 1;
        /// ACS P2P Request Redirect Enable: requests to peers go upstream.
        const REQUEST_REDIRECT = 1 << 2;
        /// ACS P2P Completion Redirect Enable: completions to peers go upstream, if their Relaxed
        /// Ordering attribute is clear.
        const COMPLETION_REDIRECT = 1 << 3;
        /// ACS Upstream Forwarding Enable: what was redirected below and leads back below goes on
        /// upstream.
        const UPSTREAM_FORWARDING = 1 << 4;
        /// ACS P2P Egress Control Enable: the vector decides peer by peer.
        const EGRESS_CONTROL = 1 << 5;
        /// ACS Direct Translated P2P Enable: translated requests go directly to peers.
        const DIRECT_TRANSLATED = 1 << 6;
        /// ACS I/O Request Blocking Enable (enhanced).
        const IO_REQUEST_BLOCKING = 1 << 7;
        /// ACS Unclaimed Request Redirect Control (enhanced).
        const UNCLAIMED_REQUEST_REDIRECT = 1 << 12;
        const _ = !0;
    }
}

/// Value of the two-bit Memory Target Access Control fields of the ACS Control register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryTargetAccess {
    /// 00b: direct access.
    Direct,
    /// 01b: requests are blocked.
    Block,
    /// 10b: requests are redirected upstream.
    Redirect,
    /// 11b: reserved.
    Reserved,
}

impl MemoryTargetAccess {
    /// The meaning of bits 1:0; bits above are ignored.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        match bits & 3 {
            0 => Self::Direct,
            1 => Self::Block,
            2 => Self::Redirect,
            _ => Self::Reserved,
        }
    }

    /// Lower-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Block => "block",
            Self::Redirect => "redirect",
            Self::Reserved => "reserved",
        }
    }
}

impl AcsCapability {
    /// lspci's tokens for bits 0 to 6, then ours for bit 7.
    pub const TOKENS: [(&'static str, Self); 8] = [
        ("SrcValid", Self::SOURCE_VALIDATION),
        ("TransBlk", Self::TRANSLATION_BLOCKING),
        ("ReqRedir", Self::REQUEST_REDIRECT),
        ("CmpltRedir", Self::COMPLETION_REDIRECT),
        ("UpstreamFwd", Self::UPSTREAM_FORWARDING),
        ("EgressCtrl", Self::EGRESS_CONTROL),
        ("DirectTrans", Self::DIRECT_TRANSLATED),
        ("Enhanced", Self::ENHANCED),
    ];

    /// Egress Control Vector Size, bits 15:8, in bits: 0 means 256. 0 where there is no egress
    /// control, because the field means nothing then.
    #[must_use]
    pub const fn vector_bits(self) -> u16 {
        if !self.contains(Self::EGRESS_CONTROL) {
            return 0;
        }
        match self.bits() >> 8 {
            0 => 256,
            size => size,
        }
    }

    /// The control bits that these capability bits make meaningful.
    #[must_use]
    pub const fn controls(self) -> AcsControl {
        let mut bits = self.bits() & 0x7f;
        if self.contains(Self::ENHANCED) {
            bits |= 0x1f80;
        }
        AcsControl::from_bits_retain(bits)
    }
}

impl AcsControl {
    /// lspci's tokens for bits 0 to 6, then ours for the single enhanced bits.
    pub const TOKENS: [(&'static str, Self); 9] = [
        ("SrcValid", Self::SOURCE_VALIDATION),
        ("TransBlk", Self::TRANSLATION_BLOCKING),
        ("ReqRedir", Self::REQUEST_REDIRECT),
        ("CmpltRedir", Self::COMPLETION_REDIRECT),
        ("UpstreamFwd", Self::UPSTREAM_FORWARDING),
        ("EgressCtrl", Self::EGRESS_CONTROL),
        ("DirectTrans", Self::DIRECT_TRANSLATED),
        ("IoReqBlk", Self::IO_REQUEST_BLOCKING),
        ("UnclaimedRedir", Self::UNCLAIMED_REQUEST_REDIRECT),
    ];

    /// ACS DSP Memory Target Access Control, bits 9:8: requests to BARs of downstream-facing ports.
    #[must_use]
    pub const fn dsp_memory_target_access(self) -> MemoryTargetAccess {
        MemoryTargetAccess::from_bits(self.bits() >> 8)
    }

    /// ACS USP Memory Target Access Control, bits 11:10: requests to BARs of the upstream port.
    #[must_use]
    pub const fn usp_memory_target_access(self) -> MemoryTargetAccess {
        MemoryTargetAccess::from_bits(self.bits() >> 10)
    }

    /// Whether the register reads FFFFh, which is no answer.
    #[must_use]
    pub const fn reads_all_ones(self) -> bool {
        self.bits() == 0xffff
    }
}

/// The ACS structure: both registers, as the specification lays them out. Devices that lay them out
/// differently are known to the device database ([`crate::db`]), not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acs {
    /// Offset of the structure in configuration space.
    pub offset: Offset,
    /// ACS Capability register, +04h.
    pub capability: AcsCapability,
    /// ACS Control register, +06h.
    pub control: AcsControl,
}

impl Acs {
    /// Reads the structure at `offset`; `None` if +04h to +07h were not captured.
    ///
    /// ```
    /// use acsscan::cap::acs::{Acs, AcsControl};
    /// use acsscan::config::ConfigSpace;
    /// let mut bytes = [0; 0x108];
    /// bytes[0x100..].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00, 0x1f, 0x00, 0x1d, 0x00]);
    /// let acs = Acs::read(&ConfigSpace::new(&bytes), 0x100).ok_or("not captured")?;
    /// assert!(acs.control.contains(AcsControl::REQUEST_REDIRECT));
    /// assert!(!acs.control.contains(AcsControl::TRANSLATION_BLOCKING));
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u16) -> Option<Self> {
        let registers = config.u32(offset.checked_add(reg::CAPABILITY)?)?;
        let offset = Offset::new(offset)?;
        Some(Self {
            offset,
            capability: AcsCapability::from_bits_retain((registers & 0xffff) as u16),
            control: AcsControl::from_bits_retain((registers >> 16) as u16),
        })
    }

    /// Offset of the ACS Capability register.
    #[must_use]
    pub const fn capability_offset(&self) -> u16 {
        self.offset.of_register(reg::CAPABILITY)
    }

    /// Offset of the ACS Control register.
    #[must_use]
    pub const fn control_offset(&self) -> u16 {
        self.offset.of_register(reg::CONTROL)
    }

    /// What contradicts the specification in the two registers.
    #[must_use]
    pub fn anomaly(&self) -> Option<Anomaly> {
        let at = self.control_offset();
        if self.control.reads_all_ones() {
            return Some(Anomaly::AcsControlAllOnes { at });
        }
        let bits = self.control.difference(self.capability.controls()).bits();
        (bits != 0).then_some(Anomaly::AcsControlWithoutCapability { at, bits })
    }

    /// The egress control vector; `None` if the function has no egress control.
    #[must_use]
    pub fn egress_vector<'c, S: Source>(&self, config: &'c ConfigSpace<S>) -> Option<EgressVector<'c, S>> {
        match self.capability.vector_bits() {
            0 => None,
            bits => Some(EgressVector { config, offset: self.offset.of_register(reg::VECTOR), bits }),
        }
    }
}

/// The P2P egress control vector: a set bit means that the peer is *controlled* (blocked, or
/// redirected where Request Redirect is on), not that it is allowed.
///
/// Indexed by the port number of the peer port; in a multi-function device by function number, or
/// by function group where ARI has ACS Function Groups enabled.
#[derive(Clone, Copy, Debug)]
pub struct EgressVector<'c, S> {
    config: &'c ConfigSpace<S>,
    offset: u16,
    bits: u16,
}

impl<S: Source> EgressVector<'_, S> {
    /// Offset of the first double word.
    #[must_use]
    pub const fn offset(&self) -> u16 {
        self.offset
    }

    /// Size in bits, 1 to 256.
    #[must_use]
    pub const fn bits(&self) -> u16 {
        self.bits
    }

    /// The bit of peer `index`: `Absent` if the vector is shorter.
    #[must_use]
    pub fn bit(&self, index: u8) -> Presence<bool> {
        if u16::from(index) >= self.bits {
            return Presence::Absent;
        }
        self.dword(index / 32).map(|dword| dword & (1 << (index % 32)) != 0)
    }

    /// Double word `n` of the vector, bits 32n to 32n+31; `Absent` past its end.
    #[must_use]
    pub fn dword(&self, n: u8) -> Presence<u32> {
        if u16::from(n).saturating_mul(32) >= self.bits {
            return Presence::Absent;
        }
        let at = self.offset.saturating_add(u16::from(n).saturating_mul(4));
        Presence::from(self.config.u32(at))
    }
}

/// Register offsets within the structure.
mod reg {
    pub(super) const CAPABILITY: u16 = 0x04;
    pub(super) const CONTROL: u16 = 0x06;
    pub(super) const VECTOR: u16 = 0x08;
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    fn space(capability: u16, control: u16, vector: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 0x100];
        bytes.extend([0x0d, 0, 1, 0]);
        bytes.extend(capability.to_le_bytes());
        bytes.extend(control.to_le_bytes());
        bytes.extend(vector);
        bytes
    }

    #[test]
    fn vector_size_zero_means_256_bits_and_only_with_egress_control() {
        for (register, bits) in [
            (0x0020, 256),
            (0x0120, 1),
            (0x1f20, 31),
            (0x2020, 32),
            (0x2120, 33),
            (0xff20, 255),
            (0x0000, 0),
            (0xff00, 0),
        ] {
            assert_eq!(AcsCapability::from_bits_retain(register).vector_bits(), bits, "{register:#x}");
        }
    }

    #[test]
    fn a_vector_bit_is_absent_past_the_size_and_not_captured_past_the_dump() {
        let bytes = space(0x2120, 0, &[0x02, 0, 0, 0x80]);
        let config = ConfigSpace::new(bytes.as_slice());
        let acs = Acs::read(&config, 0x100).expect("captured");
        let vector = acs.egress_vector(&config).expect("egress control");
        assert_eq!(vector.bit(0), Presence::Present(false));
        assert_eq!(vector.bit(1), Presence::Present(true));
        assert_eq!(vector.bit(31), Presence::Present(true));
        assert_eq!(vector.bit(32), Presence::NotCaptured);
        assert_eq!(vector.bit(33), Presence::Absent);
    }

    #[test]
    fn a_control_bit_without_its_capability_bit_is_an_anomaly() {
        let bytes = space(0x001d, 0x005f, &[]);
        let acs = Acs::read(&ConfigSpace::new(bytes.as_slice()), 0x100).expect("captured");
        let anomaly = Anomaly::AcsControlWithoutCapability { at: 0x106, bits: 0x0042 };
        assert_eq!(acs.anomaly(), Some(anomaly));
        let bytes = space(0x00ff, 0x1fff, &[]);
        let acs = Acs::read(&ConfigSpace::new(bytes.as_slice()), 0x100).expect("captured");
        assert_eq!(acs.anomaly(), None, "the enhanced controls exist");
    }

    #[test]
    fn control_ffff_is_no_answer() {
        let bytes = space(0xffff, 0xffff, &[]);
        let acs = Acs::read(&ConfigSpace::new(bytes.as_slice()), 0x100).expect("captured");
        assert_eq!(acs.anomaly(), Some(Anomaly::AcsControlAllOnes { at: 0x106 }));
    }

    #[test]
    fn a_structure_cut_by_the_dump_is_not_read() {
        let bytes = space(0x001d, 0x001d, &[]);
        for length in 0x104..0x108 {
            assert_eq!(Acs::read(&ConfigSpace::new(&bytes[..length]), 0x100), None);
        }
        let end = [0; 4096];
        assert_eq!(Acs::read(&ConfigSpace::new(&end), 0xffc), None);
    }

    #[test]
    fn registers_stand_where_the_specification_puts_them() {
        let mut bytes = [0; 0x160];
        bytes[0x148..0x150].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00, 0x20, 0x20, 0x20, 0x00]);
        let config = ConfigSpace::new(&bytes[..]);
        let acs = Acs::read(&config, 0x148).expect("captured");
        assert_eq!((acs.capability_offset(), acs.control_offset()), (0x14c, 0x14e));
        assert_eq!(acs.egress_vector(&config).map(|vector| vector.offset()), Some(0x150));
    }

    #[test]
    fn every_memory_target_access_has_a_word_of_its_own() {
        let words = [0, 1, 2, 3].map(|bits| MemoryTargetAccess::from_bits(bits).word());
        for (n, word) in words.iter().enumerate() {
            assert!(!word.is_empty() && !words[..n].contains(word), "{words:?}");
        }
    }
}
