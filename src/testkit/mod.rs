//! Builders of machines for tests: real configuration space bytes, read back through the library.
//!
//! No part of the public interface.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that does not hold panics"
)]

pub mod decode;
pub mod engines;
pub mod fabric;
#[cfg(all(feature = "archive", feature = "cli"))]
pub mod fuzz;
pub mod generate;
#[cfg(feature = "std")]
pub mod lazy;

use alloc::vec;
use alloc::vec::Vec;

use crate::addr::{Sbdf, Segment};
use crate::config::ConfigSpace;
use crate::function::{Attributes, HostBridge, Inventory, Record, Sink};
use crate::topology::Topology;

/// Configuration space under construction.
#[derive(Clone, Debug)]
pub struct Config {
    bytes: Vec<u8>,
    /// Where the next extended capability goes, and where the last one is.
    extended: (usize, usize),
    /// Where the ACS structure is; 0 if there is none.
    acs: usize,
}

/// Device/Port Types, as the register has them.
pub mod port_type {
    /// PCI Express Endpoint.
    pub const ENDPOINT: u8 = 0;
    /// Root Port.
    pub const ROOT_PORT: u8 = 4;
    /// Upstream Port of a switch.
    pub const UPSTREAM: u8 = 5;
    /// Downstream Port of a switch.
    pub const DOWNSTREAM: u8 = 6;
    /// PCI Express to PCI bridge.
    pub const TO_PCI: u8 = 7;
    /// Root Complex Integrated Endpoint.
    pub const INTEGRATED: u8 = 9;
}

impl Config {
    /// A conventional function.
    #[must_use]
    pub fn conventional() -> Self {
        let mut bytes = vec![0; 256];
        bytes[..8].copy_from_slice(&[0xf4, 0x1a, 0x01, 0x10, 0x06, 0x00, 0x00, 0x00]);
        bytes[0x0b] = 0x02;
        Self { bytes, extended: (0, 0), acs: 0 }
    }

    /// A PCIe function of this Device/Port Type.
    #[must_use]
    pub fn pcie(port_type: u8) -> Self {
        let mut config = Self::conventional();
        config.bytes.resize(4096, 0);
        config.bytes[0x06] = 0x10;
        config.bytes[0x34] = 0x40;
        config.bytes[0x40..0x43].copy_from_slice(&[0x10, 0, 2 | port_type << 4]);
        config.extended = (0x100, 0);
        config
    }

    /// A bridge to these buses.
    #[must_use]
    pub fn buses(mut self, secondary: u8, subordinate: u8) -> Self {
        self.bytes[0x0e] |= 1;
        self.bytes[0x0a..0x0c].copy_from_slice(&[0x04, 0x06]);
        self.bytes[0x19] = secondary;
        self.bytes[0x1a] = subordinate;
        self
    }

    /// A root port.
    #[must_use]
    pub fn root_port(secondary: u8, subordinate: u8) -> Self {
        Self::pcie(port_type::ROOT_PORT).buses(secondary, subordinate)
    }

    /// A switch's upstream port.
    #[must_use]
    pub fn upstream(secondary: u8, subordinate: u8) -> Self {
        Self::pcie(port_type::UPSTREAM).buses(secondary, subordinate)
    }

    /// A switch's downstream port with this port number.
    #[must_use]
    pub fn downstream(number: u8, secondary: u8, subordinate: u8) -> Self {
        Self::pcie(port_type::DOWNSTREAM).buses(secondary, subordinate).port_number(number)
    }

    /// An endpoint with a link.
    #[must_use]
    pub fn endpoint() -> Self {
        Self::pcie(port_type::ENDPOINT)
    }

    /// Base class and sub-class.
    #[must_use]
    pub fn class(mut self, class: u16) -> Self {
        self.bytes[0x0a..0x0c].copy_from_slice(&class.to_le_bytes());
        self
    }

    /// Vendor and Device ID.
    #[must_use]
    pub fn ids(mut self, vendor: u16, device: u16) -> Self {
        self.bytes[..2].copy_from_slice(&vendor.to_le_bytes());
        self.bytes[2..4].copy_from_slice(&device.to_le_bytes());
        self
    }

    /// Command register.
    #[must_use]
    pub fn command(mut self, command: u16) -> Self {
        self.bytes[4..6].copy_from_slice(&command.to_le_bytes());
        self
    }

    /// Bit 7 of Header Type.
    #[must_use]
    pub fn multi_function(mut self) -> Self {
        self.bytes[0x0e] |= 0x80;
        self
    }

    /// Port Number.
    #[must_use]
    pub fn port_number(mut self, number: u8) -> Self {
        self.bytes[0x4f] = number;
        self
    }

    /// ARI Forwarding Enable.
    #[must_use]
    pub fn ari_forwarding(mut self) -> Self {
        self.bytes[0x64] |= 0x20;
        self.bytes[0x68] |= 0x20;
        self
    }

    /// Base address register `n` as it reads.
    #[must_use]
    pub fn bar(self, n: usize, value: u32) -> Self {
        self.dword(0x10 + 4 * n, value)
    }

    /// Any double word.
    #[must_use]
    pub fn dword(mut self, at: usize, value: u32) -> Self {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// The memory window of a bridge, in mebibytes.
    #[must_use]
    pub fn memory_window(self, base: u16, limit: u16) -> Self {
        self.dword(0x20, u32::from(base << 4) | u32::from(limit << 4) << 16)
    }

    /// The 64-bit prefetchable window of a bridge, in mebibytes.
    #[must_use]
    pub fn prefetchable_window(self, base: u64, limit: u64) -> Self {
        let low = |mebibyte: u64| (mebibyte as u32 & 0xfff) << 4 | 1;
        let high = |mebibyte: u64| (mebibyte >> 12) as u32;
        self.dword(0x24, low(base) | low(limit) << 16).dword(0x28, high(base)).dword(0x2c, high(limit))
    }

    /// A capability of the standard list, linked last, with these bytes from +2 on. `at`: where it goes.
    #[must_use]
    pub fn standard(mut self, at: u8, id: u8, body: &[u8]) -> Self {
        let mut link = 0x34;
        while self.bytes[link] != 0 {
            link = usize::from(self.bytes[link]) + 1;
        }
        self.bytes[0x06] |= 0x10;
        self.bytes[link] = at;
        let at = usize::from(at);
        self.bytes[at..at + 2].copy_from_slice(&[id, 0]);
        self.bytes[at + 2..at + 2 + body.len()].copy_from_slice(body);
        self
    }

    /// A Flattening Portal Bridge that decodes requester IDs, or memory below 4 GiB, by vectors.
    #[must_use]
    pub fn flattening_portal(self, requester_ids: bool, memory: bool) -> Self {
        let mut body = [0; 0x22];
        body[6] = u8::from(requester_ids);
        body[0x0e] = u8::from(memory);
        self.standard(0x80, 0x15, &body)
    }

    /// Enhanced Allocation with one enabled entry for this indicator; a bridge's fixed bus numbers before it.
    #[must_use]
    pub fn enhanced_allocation(self, indicator: u8, buses: Option<(u8, u8)>) -> Self {
        let mut body = vec![1, 0];
        body.extend(buses.iter().flat_map(|(secondary, subordinate)| [*secondary, *subordinate, 0, 0]));
        body.extend([2 | indicator << 4, 0, 0, 0x80]);
        body.extend([0; 8]);
        self.standard(0xb0, 0x14, &body)
    }

    /// An extended capability of this ID with these bytes from +4 on.
    #[must_use]
    pub fn extended(mut self, id: u16, body: &[u8]) -> Self {
        let (at, last) = self.extended;
        if last != 0 {
            self.bytes[last + 3] = (at >> 4) as u8;
            self.bytes[last + 2] |= ((at & 0xf) << 4) as u8;
        }
        self.bytes[at..at + 2].copy_from_slice(&id.to_le_bytes());
        self.bytes[at + 2] = 1;
        self.bytes[at + 4..at + 4 + body.len()].copy_from_slice(body);
        self.extended = ((at + 4 + body.len() + 15) & !15, at);
        self
    }

    /// ACS: capability and control register, and the first 32 bits of the vector.
    #[must_use]
    pub fn acs(mut self, capability: u16, control: u16, vector: u32) -> Self {
        self.acs = self.extended.0;
        let mut body = [0; 36];
        body[..2].copy_from_slice(&capability.to_le_bytes());
        body[2..4].copy_from_slice(&control.to_le_bytes());
        body[4..8].copy_from_slice(&vector.to_le_bytes());
        self.extended(0x000d, &body)
    }

    /// Turns controls on that ACS Capability offers; the ones that were off.
    pub fn enable(&mut self, control: u16) -> u16 {
        let Some(registers) = self.bytes.get(self.acs..self.acs + 8).filter(|_| self.acs != 0) else {
            return 0;
        };
        let word = |at: usize| u16::from_le_bytes([registers[at], registers[at + 1]]);
        let (offered, old) = (word(4), word(6));
        if old == 0xffff {
            return 0;
        }
        let new = old | (control & offered & 0x7f);
        self.bytes[self.acs + 6..self.acs + 8].copy_from_slice(&new.to_le_bytes());
        new & !old
    }

    /// ARI.
    #[must_use]
    pub fn ari(self) -> Self {
        self.extended(0x000e, &[0; 4])
    }

    /// ATS, enabled or not.
    #[must_use]
    pub fn ats(self, enabled: bool) -> Self {
        self.extended(0x000f, &[0, 0, 0, if enabled { 0x80 } else { 0 }])
    }

    /// SR-IOV with this many functions enabled, all of them here.
    #[must_use]
    pub fn sriov(self, first_offset: u16, stride: u16, count: u16) -> Self {
        let mut body = [0; 0x3c];
        body[4] = 9;
        for at in [8, 10, 12] {
            body[at..at + 2].copy_from_slice(&count.to_le_bytes());
        }
        body[0x10..0x12].copy_from_slice(&first_offset.to_le_bytes());
        body[0x12..0x14].copy_from_slice(&stride.to_le_bytes());
        self.extended(0x0010, &body)
    }

    /// A virtual function: IDs read FFFFh.
    #[must_use]
    pub fn virtual_function() -> Self {
        Self::endpoint().ids(0xffff, 0xffff)
    }

    /// Only this many bytes were captured.
    #[must_use]
    pub fn captured(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A machine under construction.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    functions: Vec<(Sbdf, Config)>,
    roots: Vec<HostBridge>,
}

impl Machine {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function.
    ///
    /// # Panics
    ///
    /// If the address is none.
    #[must_use]
    pub fn with(mut self, address: &str, config: Config) -> Self {
        self.add(address.parse().expect("an address"), config);
        self
    }

    /// Adds a function.
    pub fn add(&mut self, address: Sbdf, config: Config) {
        self.functions.push((address, config));
    }

    /// Names a root bus, as sysfs does.
    pub fn root(&mut self, segment: u32, bus: u8) {
        self.roots.push(HostBridge::new(Segment(segment), bus));
    }

    /// With a host bridge that a driver made below a function, as sysfs names it.
    #[must_use]
    pub fn host_bridge(mut self, host_bridge: HostBridge) -> Self {
        self.roots.push(host_bridge);
        self
    }

    /// The functions.
    pub fn functions_mut(&mut self) -> &mut Vec<(Sbdf, Config)> {
        &mut self.functions
    }

    /// The same machine with every bus number mapped.
    #[must_use]
    pub fn renumbered(&self, map: impl Fn(u8) -> u8) -> Self {
        let mut other = self.clone();
        for (address, config) in &mut other.functions {
            address.bdf = crate::addr::Bdf::from_bits(
                u16::from(map(address.bus())) << 8 | u16::from(address.bdf.devfn()),
            );
            if config.bytes.len() > 0x1a && config.bytes[0x0e] & 0x7f == 1 {
                config.bytes[0x19] = map(config.bytes[0x19]);
                config.bytes[0x1a] = map(config.bytes[0x1a]);
            }
        }
        for root in &mut other.roots {
            root.bus = map(root.bus);
        }
        other
    }

    /// Reads the machine.
    #[must_use]
    pub fn topology(&self) -> Topology {
        let mut inventory = Inventory::new();
        for (address, config) in &self.functions {
            let bytes = &ConfigSpace::new(config.bytes.as_slice());
            inventory.record(Record { address: *address, config: bytes, attributes: Attributes::default() });
        }
        for root in &self.roots {
            inventory.host_bridge(*root);
        }
        Topology::new(inventory.finish())
    }
}
