//! Names of capability IDs.
//!
//! Layer 2. Source: PCI Code and ID Assignment Specification 1.16, §2 "Capability IDs" and §3
//! "Extended Capability IDs"; IDs from 0032h on as pciutils names them (header.h of 2025-12-20).

use core::fmt;

/// Capability ID of the list below 100h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilityId(pub u8);

impl CapabilityId {
    /// Null Capability: an entry without registers.
    pub const NULL: Self = Self(0x00);
    /// PCI Bridge Subsystem Vendor ID.
    pub const BRIDGE_SUBSYSTEM: Self = Self(0x0d);
    /// PCI Express.
    pub const PCI_EXPRESS: Self = Self(0x10);
    /// Enhanced Allocation.
    pub const ENHANCED_ALLOCATION: Self = Self(0x14);
    /// Flattening Portal Bridge.
    pub const FLATTENING_PORTAL_BRIDGE: Self = Self(0x15);

    /// The specification's name; `None` if the ID is not assigned.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "Null Capability",
            0x01 => "PCI Power Management Interface",
            0x02 => "AGP",
            0x03 => "VPD",
            0x04 => "Slot Identification",
            0x05 => "Message Signaled Interrupts",
            0x06 => "CompactPCI Hot Swap",
            0x07 => "PCI-X",
            0x08 => "HyperTransport",
            0x09 => "Vendor Specific",
            0x0a => "Debug Port",
            0x0b => "CompactPCI Central Resource Control",
            0x0c => "PCI Hot-Plug",
            0x0d => "PCI Bridge Subsystem Vendor ID",
            0x0e => "AGP 8x",
            0x0f => "Secure Device",
            0x10 => "PCI Express",
            0x11 => "MSI-X",
            0x12 => "Serial ATA Data/Index Configuration",
            0x13 => "Advanced Features",
            0x14 => "Enhanced Allocation",
            0x15 => "Flattening Portal Bridge",
            _ => return None,
        })
    }
}

impl fmt::Display for CapabilityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Unknown capability {:#04x}", self.0),
        }
    }
}

/// Extended Capability ID of the list from 100h on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCapabilityId(pub u16);

impl ExtendedCapabilityId {
    /// Access Control Services.
    pub const ACS: Self = Self(0x0d);
    /// Alternative Routing-ID Interpretation.
    pub const ARI: Self = Self(0x0e);
    /// Address Translation Services.
    pub const ATS: Self = Self(0x0f);
    /// Single Root I/O Virtualization.
    pub const SR_IOV: Self = Self(0x10);
    /// Page Request Interface.
    pub const PRI: Self = Self(0x13);
    /// Process Address Space ID.
    pub const PASID: Self = Self(0x1b);
    /// Virtual Channel.
    pub const VC: Self = Self(0x02);
    /// Multi-Function Virtual Channel.
    pub const MFVC: Self = Self(0x08);
    /// Virtual Channel of a device that has MFVC.
    pub const VC_WITH_MFVC: Self = Self(0x09);
    /// Multicast.
    pub const MULTICAST: Self = Self(0x12);

    /// The specification's name; `None` if the ID is not assigned.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "Null Capability",
            0x01 => "Advanced Error Reporting",
            0x02 => "Virtual Channel",
            0x03 => "Device Serial Number",
            0x04 => "Power Budgeting",
            0x05 => "Root Complex Link Declaration",
            0x06 => "Root Complex Internal Link Control",
            0x07 => "Root Complex Event Collector Endpoint Association",
            0x08 => "Multi-Function Virtual Channel",
            0x09 => "Virtual Channel (MFVC present)",
            0x0a => "Root Complex Register Block Header",
            0x0b => "Vendor-Specific Extended Capability",
            0x0c => "Configuration Access Correlation",
            0x0d => "Access Control Services",
            0x0e => "Alternative Routing-ID Interpretation",
            0x0f => "Address Translation Services",
            0x10 => "Single Root I/O Virtualization",
            0x11 => "Multi-Root I/O Virtualization",
            0x12 => "Multicast",
            0x13 => "Page Request Interface",
            0x14 => "Reserved for AMD",
            0x15 => "Resizable BAR",
            0x16 => "Dynamic Power Allocation",
            0x17 => "TPH Requester",
            0x18 => "Latency Tolerance Reporting",
            0x19 => "Secondary PCI Express",
            0x1a => "Protocol Multiplexing",
            0x1b => "Process Address Space ID",
            0x1c => "LN Requester",
            0x1d => "Downstream Port Containment",
            0x1e => "L1 PM Substates",
            0x1f => "Precision Time Measurement",
            0x20 => "PCI Express over M-PHY",
            0x21 => "FRS Queueing",
            0x22 => "Readiness Time Reporting",
            0x23 => "Designated Vendor-Specific Extended Capability",
            0x24 => "VF Resizable BAR",
            0x25 => "Data Link Feature",
            0x26 => "Physical Layer 16.0 GT/s",
            0x27 => "Lane Margining at the Receiver",
            0x28 => "Hierarchy ID",
            0x29 => "Native PCIe Enclosure Management",
            0x2a => "Physical Layer 32.0 GT/s",
            0x2b => "Alternate Protocol",
            0x2c => "System Firmware Intermediary",
            0x2d => "Shadow Functions",
            0x2e => "Data Object Exchange",
            0x2f => "Device 3",
            0x30 => "Integrity and Data Encryption",
            0x31 => "Physical Layer 64.0 GT/s",
            0x32 => "Flit Logging",
            0x33 => "Flit Performance Measurement",
            0x34 => "Flit Error Injection",
            0x35 => "Streamlined Virtual Channel",
            0x36 => "MMIO Register Block Locator",
            0x37 => "NOP Flit",
            0x38 => "Scalable I/O Virtualization",
            0x39 => "Physical Layer 128.0 GT/s",
            0x3a => "Captured Data",
            _ => return None,
        })
    }
}

impl fmt::Display for ExtendedCapabilityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Unknown extended capability {:#06x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::collections::BTreeSet;

    #[test]
    fn every_assigned_id_has_a_name_of_its_own_and_no_other_has() {
        let standard: BTreeSet<_> = (0..=0xff).filter_map(|id| CapabilityId(id).name()).collect();
        let extended: BTreeSet<_> = (0..=0xfff).filter_map(|id| ExtendedCapabilityId(id).name()).collect();
        assert_eq!((standard.len(), extended.len()), (0x16, 0x3b));
    }
}
