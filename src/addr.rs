//! Addresses: segment, bus, device and function, requester IDs, and bus ranges.
//!
//! Layer 0. Nothing here reads configuration space.
//!
//! Sources: PCIe Base 6.x, §2.2.4.2 "ID Based Routing Rules" (the 16-bit routing ID) and §2.2.6.2
//! "Transaction Descriptor - Transaction ID Field" (the requester ID); PCI Firmware 3.3, §4.1
//! (segment groups).

use core::fmt;
use core::str::FromStr;

/// PCI segment group, which Linux calls the *domain*.
///
/// ACPI gives 16 bits; Linux numbers the buses that its VMD driver creates from `10000h` up, so
/// 32 bits are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment(pub u32);

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

/// Bus, device and function as the 16-bit routing ID: bus in bits 15:8, device in 7:3, function in
/// 2:0.
///
/// Below a port that forwards ARI, bits 7:0 are one 8-bit function number; the address is still
/// written as if they were a device and a function, as Linux and lspci do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf(u16);

impl Bdf {
    /// Puts an address together; `None` if `device` exceeds 31 or `function` exceeds 7.
    ///
    /// ```
    /// use acsscan::addr::Bdf;
    /// assert_eq!(Bdf::new(0x00, 0x1f, 2).map(|a| a.to_bits()), Some(0x00fa));
    /// assert_eq!(Bdf::new(0, 32, 0), None);
    /// ```
    #[must_use]
    pub const fn new(bus: u8, device: u8, function: u8) -> Option<Self> {
        if device > 0x1f || function > 7 {
            return None;
        }
        Some(Self(((bus as u16) << 8) | ((device as u16) << 3) | function as u16))
    }

    /// The address with this routing ID.
    #[must_use]
    pub const fn from_bits(routing_id: u16) -> Self {
        Self(routing_id)
    }

    /// The 16-bit routing ID.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// Bus number.
    #[must_use]
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Device number, 0 to 31.
    #[must_use]
    pub const fn device(self) -> u8 {
        ((self.0 >> 3) & 0x1f) as u8
    }

    /// Function number, 0 to 7 (bits 2:0, also where ARI is in use).
    #[must_use]
    pub const fn function(self) -> u8 {
        (self.0 & 7) as u8
    }

    /// Device and function together, bits 7:0: the ARI function number where ARI is in use.
    #[must_use]
    pub const fn devfn(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    /// The function with another `devfn` on the same bus.
    #[must_use]
    pub const fn with_devfn(self, devfn: u8) -> Self {
        Self((self.0 & 0xff00) | devfn as u16)
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{:x}", self.bus(), self.device(), self.function())
    }
}

/// A function's full address: segment and routing ID. Ordered by segment, then routing ID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sbdf {
    /// Segment group (Linux: domain).
    pub segment: Segment,
    /// Bus, device and function.
    pub bdf: Bdf,
}

impl Sbdf {
    /// Puts an address together; `None` if `device` exceeds 31 or `function` exceeds 7.
    #[must_use]
    pub const fn new(segment: u32, bus: u8, device: u8, function: u8) -> Option<Self> {
        match Bdf::new(bus, device, function) {
            Some(bdf) => Some(Self { segment: Segment(segment), bdf }),
            None => None,
        }
    }

    /// Bus number within the segment.
    #[must_use]
    pub const fn bus(self) -> u8 {
        self.bdf.bus()
    }
}

impl fmt::Display for Sbdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.bdf)
    }
}

/// The text was not a PCI address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseAddressError;

impl fmt::Display for ParseAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected [domain:]bus:device.function in hexadecimal, such as 0000:00:1f.2")
    }
}

impl core::error::Error for ParseAddressError {}

/// Accepts `00:1f.2` (segment 0), `0000:00:1f.2` (1 to 8 digits of domain), libvirt's
/// `pci_0000_00_1f_2`, and a path whose last component is one of those, as in sysfs.
///
/// ```
/// use acsscan::addr::Sbdf;
/// let address: Sbdf = "/sys/bus/pci/devices/10000:e1:00.0".parse()?;
/// assert_eq!(address.to_string(), "10000:e1:00.0");
/// assert_eq!("pci_0000_00_1f_2".parse(), "00:1F.2".parse::<Sbdf>());
/// assert!("1f.2".parse::<Sbdf>().is_err());
/// # Ok::<(), acsscan::addr::ParseAddressError>(())
/// ```
impl FromStr for Sbdf {
    type Err = ParseAddressError;

    // Over bytes: the searches of `str` hold panics that no optimizer can prove away.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut last = text.as_bytes();
        while let [rest @ .., b'/'] = last {
            last = rest;
        }
        if let Some((_, component)) = split_last(last, b'/') {
            last = component;
        }
        let parsed = match last.strip_prefix(b"pci_") {
            Some(node) => parse_separated(node, b'_', b'_'),
            None => parse_separated(last, b':', b'.'),
        };
        parsed.ok_or(ParseAddressError)
    }
}

/// What is before the last `separator`, and what is behind it.
fn split_last(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|byte| *byte == separator)?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// Parses `[domain SEP] bus SEP device LAST function`.
fn parse_separated(text: &[u8], separator: u8, last: u8) -> Option<Sbdf> {
    let (rest, function) = split_last(text, last)?;
    let (rest, device) = split_last(rest, separator)?;
    let (domain, bus) = split_last(rest, separator).unwrap_or((b"0", rest));
    let bus = u8::try_from(hex(bus, 2)?).ok()?;
    let device = u8::try_from(hex(device, 2)?).ok()?;
    let function = u8::try_from(hex(function, 1)?).ok()?;
    Sbdf::new(hex(domain, 8)?, bus, device, function)
}

/// One to `max` hexadecimal digits, eight at most, and nothing else.
fn hex(text: &[u8], max: usize) -> Option<u32> {
    if text.is_empty() || text.len() > max {
        return None;
    }
    text.iter().try_fold(0_u32, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

/// The 16-bit requester ID that a TLP carries: what the IOMMU and Source Validation look at.
///
/// Not every requester ID is the address of a function in the dump: bridges substitute their own,
/// and some devices use IDs of functions that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequesterId(pub u16);

impl From<Bdf> for RequesterId {
    fn from(bdf: Bdf) -> Self {
        Self(bdf.to_bits())
    }
}

impl fmt::Display for RequesterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bdf::from_bits(self.0).fmt(f)
    }
}

/// The buses below a bridge: secondary to subordinate, both included.
///
/// Taken from the registers as they are; [`is_reversed`](Self::is_reversed) ranges occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusRange {
    /// Secondary Bus Number: the bus directly below the bridge.
    pub secondary: u8,
    /// Subordinate Bus Number: the highest bus below the bridge.
    pub subordinate: u8,
}

impl BusRange {
    /// Whether `bus` is in the range.
    #[must_use]
    pub const fn contains(self, bus: u8) -> bool {
        self.secondary <= bus && bus <= self.subordinate
    }

    /// Whether the subordinate number is below the secondary one, so that the range is empty.
    #[must_use]
    pub const fn is_reversed(self) -> bool {
        self.subordinate < self.secondary
    }

    /// Whether some bus is in both ranges.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        !self.is_reversed()
            && !other.is_reversed()
            && self.secondary <= other.subordinate
            && other.secondary <= self.subordinate
    }
}

impl fmt::Display for BusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}-{:02x}", self.secondary, self.subordinate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString;

    #[test]
    fn every_routing_id_survives_a_round_trip_through_text() {
        for bits in 0..=u16::MAX {
            let address = Sbdf { segment: Segment(0x10000), bdf: Bdf::from_bits(bits) };
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for bad in [
            "",
            ":",
            "00:00",
            "00.0",
            "00:20.0",
            "00:1f.8",
            "+0:00.0",
            "000:00.0",
            "00:000.0",
            "100000000:00:00.0",
            "0000:00:00.0 ",
            "pci_0000_00_1f",
            "0:0:0:0.0",
            "g0:00.0",
            "/",
        ] {
            assert_eq!(bad.parse::<Sbdf>(), Err(ParseAddressError), "{bad:?}");
        }
    }

    #[test]
    fn reversed_ranges_hold_and_overlap_nothing() {
        let reversed = BusRange { secondary: 9, subordinate: 3 };
        assert!(reversed.is_reversed());
        for bus in 0..=255 {
            assert!(!reversed.contains(bus));
        }
        assert!(!reversed.overlaps(BusRange { secondary: 0, subordinate: 255 }));
    }
}
