//! Names that lspci prints, and what stands for them in the registers.
//!
//! Source: pciutils 2.1 to 3.14, `ls-caps.c`, `ls-ecaps.c`; pci.ids of 2025 (classes); PCI Code and ID
//! Assignment Specification 1.16.

mod class;

pub(in crate::dump::decoded) use class::class;

use super::parse::hex;
use crate::cap::id::ExtendedCapabilityId;

/// ID of a capability below 100h by the start of its description; `None` if nothing is known by it.
pub(super) fn capability(text: &str) -> Option<u8> {
    const NAMES: [(&str, u8); 25] = [
        ("Null", 0x00),
        ("Message Signalled Interrupts", 0x05),
        ("VirtIO", 0x09),
        ("AGP3", 0x0e),
        ("PCI bridge subsystem", 0x0d),
        ("Flattening Portal Bridge", 0x15),
        ("Power Management", 0x01),
        ("AGP", 0x02),
        ("Vital Product Data", 0x03),
        ("Slot ID", 0x04),
        ("MSI-X", 0x11),
        ("MSI", 0x05),
        ("CompactPCI hot-swap", 0x06),
        ("PCI-X", 0x07),
        ("HyperTransport", 0x08),
        ("Vendor Specific", 0x09),
        ("Debug port", 0x0a),
        ("CompactPCI central", 0x0b),
        ("Hot-plug capable", 0x0c),
        ("Subsystem", 0x0d),
        ("Secure device", 0x0f),
        ("Express", 0x10),
        ("SATA HBA", 0x12),
        ("PCI Advanced Features", 0x13),
        ("Enhanced Allocation", 0x14),
    ];
    match numbered(text, "Capability ID ") {
        Some((id, _)) => u8::try_from(id).ok(),
        None => find(&NAMES, text),
    }
}

/// The word behind the header of a capability that lspci gives as it is: `#10 [0142]`.
pub(super) fn raw_word(text: &str) -> Option<u16> {
    let (_, rest) = numbered(text, "Capability ID ")?;
    u16::try_from(hex(rest.trim().strip_prefix('[')?.strip_suffix(']')?)?).ok()
}

/// A number in place of a name, as lspci gives IDs that it does not know, and what is behind it.
fn numbered<'t>(text: &'t str, words: &str) -> Option<(u32, &'t str)> {
    let digits = match text.strip_prefix(words) {
        Some(number) => number.strip_prefix("0x").unwrap_or(number),
        None => text.strip_prefix('#')?,
    };
    let end = digits.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    Some((hex(digits)?, rest))
}

/// ID of an extended capability by the start of its description; `None` if nothing is known by it. Beside
/// lspci's names, old and new, those of the specification.
pub(super) fn extended_capability(text: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 37] = [
        ("Null", 0x00),
        ("Root Complex Internal Link", 0x06),
        ("Root Complex Register Block", 0x0a),
        ("Root Bridge Control Block", 0x0a),
        ("Access Controls", 0x0d),
        ("Physical Layer 16.0 GT/s", 0x26),
        ("Designated Vendor-Specific", 0x23),
        ("Virtual Resizable BAR", 0x24),
        ("PCI Express over M_PHY", 0x20),
        ("Integrity & Data Encryption", 0x30),
        ("Alternate Protocol", 0x2b),
        ("Multi-Root I/O Virtualization", 0x11),
        ("Configuration Access Correlation", 0x0c),
        ("Advanced Error Reporting", 0x01),
        ("Virtual Channel", 0x02),
        ("Device Serial Number", 0x03),
        ("Power Budgeting", 0x04),
        ("Root Complex Link", 0x05),
        ("Root Complex Event Collector", 0x07),
        ("Multi-Function Virtual Channel", 0x08),
        ("Vendor Specific Information", 0x0b),
        ("Access Control Services", 0x0d),
        ("Alternative Routing-ID Interpretation", 0x0e),
        ("Address Translation Service", 0x0f),
        ("Single Root I/O Virtualization", 0x10),
        ("Multicast", 0x12),
        ("Page Request Interface", 0x13),
        ("Physical Resizable BAR", 0x15),
        ("Resizable BAR", 0x15),
        ("Dynamic Power Allocation", 0x16),
        ("Transaction Processing Hints", 0x17),
        ("Latency Tolerance Reporting", 0x18),
        ("Secondary PCI Express", 0x19),
        ("Process Address Space ID", 0x1b),
        ("Downstream Port Containment", 0x1d),
        ("L1 PM Substates", 0x1e),
        ("Precision Time Measurement", 0x1f),
    ];
    if let Some((id, _)) = numbered(text, "Extended Capability ID ") {
        return u16::try_from(id).ok();
    }
    let specified = |text: &str| {
        let known = |id: &u16| ExtendedCapabilityId(*id).name().is_some_and(|name| text.starts_with(name));
        (1..=u16::from(u8::MAX)).filter(known).max_by_key(|id| ExtendedCapabilityId(*id).name().map(str::len))
    };
    find(&NAMES, text).or_else(|| specified(text))
}

/// Device/Port Type by the description of a PCI Express capability.
pub(super) fn port_type(text: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 10] = [
        ("Endpoint", 0),
        ("Legacy Endpoint", 1),
        ("Root Port", 4),
        ("Upstream Port", 5),
        ("Downstream Port", 6),
        ("PCI-Express to PCI", 7),
        ("PCI/PCI-X to PCI-Express", 8),
        ("Root Complex Integrated Endpoint", 9),
        ("Root Complex Event Collector", 10),
        ("Root Complex Endpoint", 9),
    ];
    find(&NAMES, text)
}

/// Vendor by its name, of listings without numbers: those of which Linux knows classes of devices.
pub(super) fn vendor(text: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 5] = [
        ("Intel Corporation", 0x8086),
        ("Advanced Micro Devices, Inc. [AMD]", 0x1022),
        ("Advanced Micro Devices, Inc. [AMD/ATI]", 0x1002),
        ("NVIDIA Corporation", 0x10de),
        ("ASMedia Technology", 0x1b21),
    ];
    find(&NAMES, text)
}

/// What the longest name stands for with which the text begins.
fn find<T: Copy>(names: &[(&str, T)], text: &str) -> Option<T> {
    let known = names.iter().filter(|(name, _)| text.starts_with(name));
    known.max_by_key(|(name, _)| name.len()).map(|(_, value)| *value)
}
