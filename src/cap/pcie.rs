//! PCI Express capability (ID 10h): the port type, the port number and ARI forwarding.
//!
//! Layer 2. Source: PCIe Base 6.x, §7.5.3 "PCI Express Capability Structure".
//!
//! | offset | register | used here |
//! |---|---|---|
//! | +02h | PCI Express Capabilities | 3:0 version, 7:4 Device/Port Type, 8 Slot Implemented |
//! | +08h | Device Control | |
//! | +0Ch | Link Capabilities | 31:24 Port Number |
//! | +14h | Slot Capabilities | 6 Hot-Plug Capable |
//! | +24h | Device Capabilities 2 (version 2) | 5 ARI Forwarding Supported |
//! | +28h | Device Control 2 (version 2) | 5 ARI Forwarding Enable |

use core::fmt;

use crate::config::{ConfigSpace, Source};

/// Device/Port Type, bits 7:4 of the PCI Express Capabilities register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DevicePortType {
    /// PCI Express Endpoint (0).
    Endpoint,
    /// Legacy PCI Express Endpoint (1).
    LegacyEndpoint,
    /// Root Port of a PCI Express root complex (4).
    RootPort,
    /// Upstream Port of a PCI Express switch (5).
    SwitchUpstreamPort,
    /// Downstream Port of a PCI Express switch (6).
    SwitchDownstreamPort,
    /// PCI Express to PCI/PCI-X bridge (7).
    PcieToPciBridge,
    /// PCI/PCI-X to PCI Express bridge (8).
    PciToPcieBridge,
    /// Root Complex Integrated Endpoint (9).
    RootComplexIntegratedEndpoint,
    /// Root Complex Event Collector (10).
    RootComplexEventCollector,
    /// A value without a meaning: 2, 3, 11 to 15.
    Reserved(u8),
}

impl DevicePortType {
    /// The type with this value; bits above 3:0 are ignored.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0xf {
            0 => Self::Endpoint,
            1 => Self::LegacyEndpoint,
            4 => Self::RootPort,
            5 => Self::SwitchUpstreamPort,
            6 => Self::SwitchDownstreamPort,
            7 => Self::PcieToPciBridge,
            8 => Self::PciToPcieBridge,
            9 => Self::RootComplexIntegratedEndpoint,
            10 => Self::RootComplexEventCollector,
            n => Self::Reserved(n),
        }
    }

    /// The register value.
    #[must_use]
    pub const fn to_bits(self) -> u8 {
        match self {
            Self::Endpoint => 0,
            Self::LegacyEndpoint => 1,
            Self::RootPort => 4,
            Self::SwitchUpstreamPort => 5,
            Self::SwitchDownstreamPort => 6,
            Self::PcieToPciBridge => 7,
            Self::PciToPcieBridge => 8,
            Self::RootComplexIntegratedEndpoint => 9,
            Self::RootComplexEventCollector => 10,
            Self::Reserved(n) => n,
        }
    }

    /// Kebab-case word, as in JSON output and in the device database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::LegacyEndpoint => "legacy-endpoint",
            Self::RootPort => "root-port",
            Self::SwitchUpstreamPort => "switch-upstream-port",
            Self::SwitchDownstreamPort => "switch-downstream-port",
            Self::PcieToPciBridge => "pcie-to-pci-bridge",
            Self::PciToPcieBridge => "pci-to-pcie-bridge",
            Self::RootComplexIntegratedEndpoint => "root-complex-integrated-endpoint",
            Self::RootComplexEventCollector => "root-complex-event-collector",
            Self::Reserved(_) => "reserved",
        }
    }

    /// The type with this [`word`](Self::word); none for reserved values.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        (0..=15).map(Self::from_bits).find(|t| !matches!(t, Self::Reserved(_)) && t.word() == word)
    }

    /// Root port or switch downstream port: a port whose link leads away from the root complex.
    #[must_use]
    pub const fn is_downstream_facing(self) -> bool {
        matches!(self, Self::RootPort | Self::SwitchDownstreamPort)
    }
}

/// As lspci prints it.
impl fmt::Display for DevicePortType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoint => "Endpoint",
            Self::LegacyEndpoint => "Legacy Endpoint",
            Self::RootPort => "Root Port",
            Self::SwitchUpstreamPort => "Upstream Port",
            Self::SwitchDownstreamPort => "Downstream Port",
            Self::PcieToPciBridge => "PCI-Express to PCI/PCI-X Bridge",
            Self::PciToPcieBridge => "PCI/PCI-X to PCI-Express Bridge",
            Self::RootComplexIntegratedEndpoint => "Root Complex Integrated Endpoint",
            Self::RootComplexEventCollector => "Root Complex Event Collector",
            Self::Reserved(n) => return write!(f, "Unknown type {n}"),
        })
    }
}

/// View of the PCI Express capability.
#[derive(Clone, Copy, Debug)]
pub struct Pcie<'c, S> {
    config: &'c ConfigSpace<S>,
    offset: u16,
    flags: u16,
}

impl<'c, S: Source> Pcie<'c, S> {
    /// The capability at `offset`; `None` if its Capabilities register was not captured.
    #[must_use]
    pub fn read(config: &'c ConfigSpace<S>, offset: u8) -> Option<Self> {
        let offset = u16::from(offset);
        let flags = config.u16(offset.checked_add(reg::CAPABILITIES)?)?;
        Some(Self { config, offset, flags })
    }

    /// Offset of the structure.
    #[must_use]
    pub const fn offset(&self) -> u16 {
        self.offset
    }

    /// Bits 7:0 of the Capabilities register.
    pub(crate) const fn type_and_version(&self) -> u8 {
        (self.flags & 0xff) as u8
    }

    /// Capability Version, bits 3:0: 1 or 2. Version 1 lacks the "2" registers.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.type_and_version() & 0xf
    }

    /// Device/Port Type as the register has it.
    #[must_use]
    pub const fn device_port_type(&self) -> DevicePortType {
        DevicePortType::from_bits(self.type_and_version() >> 4)
    }

    /// Slot Implemented, bit 8: the port leads to a slot rather than to a part on the board.
    #[must_use]
    pub const fn slot_implemented(&self) -> bool {
        self.flags & 0x0100 != 0
    }

    /// Hot-Plug Capable, Slot Capabilities bit 6; `None` if there is no slot or it was not captured.
    #[must_use]
    pub fn hot_plug_capable(&self) -> Option<bool> {
        if !self.slot_implemented() {
            return None;
        }
        Some(self.byte(reg::SLOT_CAPABILITIES)? & (1 << 6) != 0)
    }

    /// Port Number, Link Capabilities bits 31:24: what egress control vectors are indexed by.
    /// `None` if not captured, and for functions without a link.
    #[must_use]
    pub fn port_number(&self) -> Option<u8> {
        let integrated =
            [DevicePortType::RootComplexIntegratedEndpoint, DevicePortType::RootComplexEventCollector];
        match integrated.map(DevicePortType::to_bits).contains(&(self.type_and_version() >> 4)) {
            true => None,
            false => self.byte(reg::PORT_NUMBER),
        }
    }

    /// ARI Forwarding Supported, Device Capabilities 2 bit 5; `None` if not captured.
    #[must_use]
    pub fn ari_forwarding_supported(&self) -> Option<bool> {
        self.register_2(reg::DEVICE_CAPABILITIES_2)
    }

    /// ARI Forwarding Enable, Device Control 2 bit 5; `None` if not captured.
    #[must_use]
    pub fn ari_forwarding_enabled(&self) -> Option<bool> {
        self.register_2(reg::DEVICE_CONTROL_2)
    }

    /// Device Control 2 with its offset in configuration space; `None` in version 1, or if not captured.
    #[must_use]
    pub fn device_control_2(&self) -> Option<(u16, u16)> {
        if self.version() < 2 {
            return None;
        }
        let at = self.offset.checked_add(reg::DEVICE_CONTROL_2)?;
        Some((at, self.config.u16(at)?))
    }

    /// Bit 5 of a register that version 1 lacks, where it counts as clear.
    #[inline]
    fn register_2(&self, register: u16) -> Option<bool> {
        if self.version() < 2 {
            return Some(false);
        }
        Some(self.byte(register)? & (1 << 5) != 0)
    }

    /// The byte of a register that matters.
    #[inline]
    fn byte(&self, register: u16) -> Option<u8> {
        self.config.u8(self.offset.checked_add(register)?)
    }
}

/// Register offsets within the structure.
mod reg {
    pub(super) const CAPABILITIES: u16 = 0x02;
    /// Bits 31:24 of Link Capabilities.
    pub(super) const PORT_NUMBER: u16 = 0x0f;
    pub(super) const SLOT_CAPABILITIES: u16 = 0x14;
    pub(super) const DEVICE_CAPABILITIES_2: u16 = 0x24;
    pub(super) const DEVICE_CONTROL_2: u16 = 0x28;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sixteen_types_survive_a_round_trip() {
        for bits in 0..16 {
            let port_type = DevicePortType::from_bits(bits);
            assert_eq!(port_type.to_bits(), bits);
            let reserved = matches!(port_type, DevicePortType::Reserved(_));
            assert_eq!(DevicePortType::from_word(port_type.word()).is_none(), reserved);
        }
    }

    #[test]
    fn version_1_never_forwards_ari_whatever_stands_behind_it() {
        let mut bytes = [0xff_u8; 256];
        bytes[0x42] = 0x61;
        bytes[0x43] = 0x00;
        let config = ConfigSpace::new(&bytes);
        let pcie = Pcie::read(&config, 0x40).expect("captured");
        assert_eq!(pcie.device_port_type(), DevicePortType::SwitchDownstreamPort);
        assert_eq!(pcie.ari_forwarding_enabled(), Some(false));
        assert_eq!(pcie.port_number(), Some(0xff));
        assert_eq!(pcie.hot_plug_capable(), None, "no slot");
    }

    #[test]
    fn registers_past_the_end_of_the_dump_are_none() {
        let mut bytes = [0_u8; 0x60];
        bytes[0x42] = 0x42;
        let config = ConfigSpace::new(&bytes);
        let pcie = Pcie::read(&config, 0x40).expect("captured");
        assert_eq!(pcie.port_number(), Some(0));
        assert_eq!(pcie.ari_forwarding_enabled(), None);
        assert!(Pcie::read(&config, 0xfc).is_none());
    }
}
