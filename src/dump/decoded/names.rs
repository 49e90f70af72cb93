//! Names that lspci prints, and what stands for them in the registers.
//!
//! Source: pciutils, `ls-caps.c`, `ls-ecaps.c`; PCI Code and ID Assignment Specification 1.16.

/// ID of a capability below 100h by the start of its description; 0 ("null") for others.
pub(super) fn capability(text: &str) -> u8 {
    const NAMES: [(&str, u8); 20] = [
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
        ("AGP3", 0x0e),
        ("Secure device", 0x0f),
        ("Express", 0x10),
        ("SATA HBA", 0x12),
        ("PCI Advanced Features", 0x13),
        ("Enhanced Allocation", 0x14),
    ];
    find(&NAMES, text).unwrap_or(0)
}

/// ID of an extended capability by the start of its description; 0 ("null") for others.
pub(super) fn extended_capability(text: &str) -> u16 {
    const NAMES: [(&str, u16); 24] = [
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
    find(&NAMES, text).unwrap_or(0)
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

/// Class by its name, of listings without numbers.
pub(super) fn class(text: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 40] = [
        ("SCSI storage controller", 0x0100),
        ("RAID bus controller", 0x0104),
        ("SATA controller", 0x0106),
        ("Serial Attached SCSI controller", 0x0107),
        ("Non-Volatile memory controller", 0x0108),
        ("Mass storage controller", 0x0180),
        ("IDE interface", 0x0101),
        ("Ethernet controller", 0x0200),
        ("Infiniband controller", 0x0207),
        ("Network controller", 0x0280),
        ("VGA compatible controller", 0x0300),
        ("3D controller", 0x0302),
        ("Display controller", 0x0380),
        ("Multimedia video controller", 0x0400),
        ("Multimedia audio controller", 0x0401),
        ("Audio device", 0x0403),
        ("Multimedia controller", 0x0480),
        ("RAM memory", 0x0500),
        ("FLASH memory", 0x0501),
        ("Memory controller", 0x0580),
        ("Host bridge", 0x0600),
        ("ISA bridge", 0x0601),
        ("PCI bridge", 0x0604),
        ("CardBus bridge", 0x0607),
        ("Bridge", 0x0680),
        ("Serial controller", 0x0700),
        ("Communication controller", 0x0780),
        ("PIC", 0x0800),
        ("DMA controller", 0x0801),
        ("SD Host controller", 0x0805),
        ("IOMMU", 0x0806),
        ("System peripheral", 0x0880),
        ("FireWire (IEEE 1394)", 0x0c00),
        ("USB controller", 0x0c03),
        ("SMBus", 0x0c05),
        ("Serial bus controller", 0x0c80),
        ("Wireless controller", 0x0d80),
        ("Encryption controller", 0x1080),
        ("Signal processing controller", 0x1180),
        ("Processing accelerators", 0x1200),
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
