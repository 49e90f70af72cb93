//! Configuration space of one function, put together register by register.

use std::fmt::Write;

/// Device/Port Type of an endpoint.
pub(crate) const ENDPOINT: u8 = 0x0;
/// Of a root port.
pub(crate) const ROOT_PORT: u8 = 0x4;
/// Of a switch's upstream port.
pub(crate) const UPSTREAM: u8 = 0x5;
/// Of a switch's downstream port.
pub(crate) const DOWNSTREAM: u8 = 0x6;
/// Of an endpoint integrated in the root complex.
pub(crate) const INTEGRATED: u8 = 0x9;

/// Extended capability IDs.
pub(crate) const AER: u16 = 0x0001;
pub(crate) const ACS: u16 = 0x000d;
pub(crate) const ARI: u16 = 0x000e;
pub(crate) const SR_IOV: u16 = 0x0010;

/// A function under construction.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) address: &'static str,
    /// Class and name, as lspci prints them behind the address.
    pub(crate) title: String,
    pub(crate) bytes: Vec<u8>,
}

impl Made {
    /// A conventional function: 256 bytes, no capabilities.
    pub(crate) fn conventional(address: &'static str, ids: (u16, u16), class: u16, title: &str) -> Self {
        let made = Self { address, title: title.into(), bytes: vec![0; 256] };
        made.word(0x00, ids.0).word(0x02, ids.1).word(0x0a, class)
    }

    /// A PCIe function with 4096 bytes: PCI Express capability, version 2, at 40h.
    pub(crate) fn pcie(
        address: &'static str,
        ids: (u16, u16),
        class: u16,
        title: &str,
        port_type: u8,
    ) -> Self {
        let mut made = Self::conventional(address, ids, class, title);
        made.bytes.resize(4096, 0);
        made.byte(0x06, 0x10).byte(0x34, 0x40).byte(0x40, 0x10).word(0x42, u16::from(port_type) << 4 | 2)
    }

    /// An endpoint with bus mastering on.
    pub(crate) fn endpoint(address: &'static str) -> Self {
        let title = "Ethernet controller: Made by hand Endpoint";
        Self::pcie(address, (0x1b36, 0x0ff0), 0x0200, title, ENDPOINT).byte(0x04, 0x06)
    }

    /// A port that leads to buses `secondary` to `subordinate`.
    pub(crate) fn port(address: &'static str, port_type: u8, secondary: u8, subordinate: u8) -> Self {
        let title = match port_type {
            ROOT_PORT => "PCI bridge: Made by hand Root Port",
            UPSTREAM => "PCI bridge: Made by hand Switch Upstream Port",
            _ => "PCI bridge: Made by hand Switch Downstream Port",
        };
        Self::pcie(address, (0x1b36, 0x0ff1), 0x0604, title, port_type)
            .byte(0x04, 0x07)
            .bridge(secondary, subordinate)
    }

    /// Makes it a bridge.
    pub(crate) fn bridge(self, secondary: u8, subordinate: u8) -> Self {
        let bus = u8::from_str_radix(&self.address[5..7], 16).expect("an address");
        self.byte(0x0e, 0x01).put(0x18, &[bus, secondary, subordinate])
    }

    /// Other IDs.
    pub(crate) fn ids(self, vendor: u16, device: u16) -> Self {
        self.word(0x00, vendor).word(0x02, device)
    }

    /// Another title.
    pub(crate) fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// Multi-function flag.
    pub(crate) fn multi_function(mut self) -> Self {
        self.bytes[0x0e] |= 0x80;
        self
    }

    /// Port Number, in Link Capabilities.
    pub(crate) fn port_number(self, number: u8) -> Self {
        self.byte(0x4f, number)
    }

    /// ARI Forwarding Supported and Enable.
    pub(crate) fn forwards_ari(self) -> Self {
        self.byte(0x64, 0x20).byte(0x68, 0x20)
    }

    /// Header of an extended capability; `next` is 0 at the end of the list.
    pub(crate) fn extended(self, at: usize, id: u16, next: u16) -> Self {
        let version = if id == AER { 2 } else { 1 };
        self.word(at, id).word(at + 2, next << 4 | version)
    }

    /// An ACS structure that ends the list.
    pub(crate) fn acs(self, at: usize, capability: u16, control: u16) -> Self {
        self.extended(at, ACS, 0).word(at + 4, capability).word(at + 6, control)
    }

    /// AER at 100h, then ACS at 148h, as many ports have it.
    pub(crate) fn usual_acs(self, capability: u16, control: u16) -> Self {
        self.extended(0x100, AER, 0x148).acs(0x148, capability, control)
    }

    pub(crate) fn byte(self, at: usize, value: u8) -> Self {
        self.put(at, &[value])
    }

    pub(crate) fn word(self, at: usize, value: u16) -> Self {
        self.put(at, &value.to_le_bytes())
    }

    pub(crate) fn dword(self, at: usize, value: u32) -> Self {
        self.put(at, &value.to_le_bytes())
    }

    pub(crate) fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The first bytes alone.
    pub(crate) fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// As `lspci -D -xxxx` prints it, with lspci's offsets of two or three digits.
    pub(crate) fn text(&self) -> String {
        format!("{} {}\n{}", self.address, self.title, self.hex())
    }

    /// The lines with hex.
    pub(crate) fn hex(&self) -> String {
        let mut text = String::new();
        for (line, bytes) in self.bytes.chunks(16).enumerate() {
            let _ = write!(text, "{:02x}:", line * 16);
            for byte in bytes {
                let _ = write!(text, " {byte:02x}");
            }
            text.push('\n');
        }
        text
    }

    /// Where it is in an ECAM image that begins with bus 0.
    pub(crate) fn ecam_offset(&self) -> usize {
        let number = |range| usize::from_str_radix(&self.address[range], 16).expect("an address");
        let (bus, device, function) = (number(5..7), number(8..10), number(11..12));
        bus << 20 | device << 15 | function << 12
    }
}
