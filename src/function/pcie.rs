//! What of the PCI Express capability every function keeps.

use bitflags::bitflags;

use crate::cap::pcie::{DevicePortType, Pcie};
use crate::config::Source;

/// What the PCI Express capability says, as far as topology and routing need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct PcieSummary {
    offset: u8,
    /// Bits 7:0 of the PCI Express Capabilities register: type and version.
    register: u8,
    port_number: u8,
    known: Known,
}

bitflags! {
    /// Single bits of registers, and which of them were captured.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Known: u8 {
        const PORT_NUMBER = 1 << 0;
        const ARI_SUPPORTED_CAPTURED = 1 << 1;
        const ARI_SUPPORTED = 1 << 2;
        const ARI_ENABLED_CAPTURED = 1 << 3;
        const ARI_ENABLED = 1 << 4;
        const SLOT = 1 << 5;
        const HOT_PLUG_CAPTURED = 1 << 6;
        const HOT_PLUG = 1 << 7;
    }
}

impl PcieSummary {
    /// Keeps what matters of the structure.
    pub(super) fn new<S: Source>(offset: u8, view: &Pcie<'_, S>) -> Self {
        let bit = |value: Option<bool>, captured: Known, set: Known| match value {
            None => Known::empty(),
            Some(false) => captured,
            Some(true) => captured.union(set),
        };
        let port_number = view.port_number();
        let known = bit(port_number.map(|_| false), Known::PORT_NUMBER, Known::empty())
            .union(bit(view.ari_forwarding_supported(), Known::ARI_SUPPORTED_CAPTURED, Known::ARI_SUPPORTED))
            .union(bit(view.ari_forwarding_enabled(), Known::ARI_ENABLED_CAPTURED, Known::ARI_ENABLED))
            .union(bit(Some(view.slot_implemented()), Known::empty(), Known::SLOT))
            .union(bit(view.hot_plug_capable(), Known::HOT_PLUG_CAPTURED, Known::HOT_PLUG));
        let register = view.type_and_version();
        Self { offset, register, port_number: port_number.unwrap_or(0), known }
    }

    fn bit(self, captured: Known, set: Known) -> Option<bool> {
        self.known.contains(captured).then_some(self.known.contains(set))
    }

    /// Offset of the structure.
    #[must_use]
    pub const fn offset(self) -> u8 {
        self.offset
    }

    /// Capability Version.
    #[must_use]
    pub const fn version(self) -> u8 {
        self.register & 0xf
    }

    /// Device/Port Type as the register has it. Linux corrects impossible values: see
    /// [`crate::route::linux`].
    #[must_use]
    pub const fn port_type(self) -> DevicePortType {
        DevicePortType::from_bits(self.register >> 4)
    }

    /// Port Number; `None` without a link, or if not captured.
    #[must_use]
    pub fn port_number(self) -> Option<u8> {
        self.known.contains(Known::PORT_NUMBER).then_some(self.port_number)
    }

    /// ARI Forwarding Supported; `None` if not captured.
    #[must_use]
    pub fn ari_forwarding_supported(self) -> Option<bool> {
        self.bit(Known::ARI_SUPPORTED_CAPTURED, Known::ARI_SUPPORTED)
    }

    /// ARI Forwarding Enable; `None` if not captured.
    #[must_use]
    pub fn ari_forwarding_enabled(self) -> Option<bool> {
        self.bit(Known::ARI_ENABLED_CAPTURED, Known::ARI_ENABLED)
    }

    /// Whether a bit of ARI forwarding was not captured.
    pub(super) fn lacks_ari_forwarding(self) -> bool {
        !self.known.contains(Known::ARI_SUPPORTED_CAPTURED.union(Known::ARI_ENABLED_CAPTURED))
    }

    /// Slot Implemented.
    #[must_use]
    pub fn slot_implemented(self) -> bool {
        self.known.contains(Known::SLOT)
    }

    /// Hot-Plug Capable; `None` without a slot, or if not captured.
    #[must_use]
    pub fn hot_plug_capable(self) -> Option<bool> {
        self.bit(Known::HOT_PLUG_CAPTURED, Known::HOT_PLUG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSpace;

    #[test]
    fn a_summary_says_what_the_structure_says_wherever_the_dump_ends() {
        let mut bytes = [0_u8; 0x70];
        bytes[0x42..0x44].copy_from_slice(&[0x62, 0x01]);
        bytes[0x4f] = 7;
        (bytes[0x54], bytes[0x64], bytes[0x68]) = (0x40, 0x20, 0x20);
        for length in 0x44..=bytes.len() {
            let config = ConfigSpace::new(&bytes[..length]);
            let view = Pcie::read(&config, 0x40).expect("captured");
            let summary = PcieSummary::new(0x40, &view);
            assert_eq!((summary.offset(), summary.version()), (0x40, 2));
            assert_eq!(summary.port_type(), view.device_port_type());
            assert_eq!(summary.port_number(), view.port_number());
            assert_eq!(summary.ari_forwarding_supported(), view.ari_forwarding_supported());
            assert_eq!(summary.ari_forwarding_enabled(), view.ari_forwarding_enabled());
            assert_eq!(summary.slot_implemented(), view.slot_implemented());
            assert_eq!(summary.hot_plug_capable(), view.hot_plug_capable());
        }
    }
}
