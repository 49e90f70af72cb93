//! Machines as files: each form that the readers take, one function at a time.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::{Node, Role};
use crate::addr::Segment;
use crate::config::SIZE;
use crate::testkit::port_type;

/// How a machine is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Output of `lspci -xxxx`.
    Text,
    /// 4096 bytes a function, one after the other.
    Pages,
    /// An image of one segment's configuration space, absent functions as all ones.
    Ecam,
    /// The same with holes for absent functions.
    Sparse,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Text, Self::Pages, Self::Ecam, Self::Sparse];

    /// The name on command lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Pages => "pages",
            Self::Ecam => "ecam",
            Self::Sparse => "sparse",
        }
    }
}

/// Bytes of a bus in an image.
const BUS: u64 = 256 * SIZE as u64;

/// What lspci writes of a function, as long as such lines are.
fn title(node: &Node) -> &'static str {
    match node.role {
        Role::HostBridge => "Host bridge: Red Hat, Inc. QEMU PCIe Host bridge",
        Role::Port(port) if port.port_type == port_type::UPSTREAM => {
            "PCI bridge: PLX Technology, Inc. PEX 9797, 97-lane, 25-port PCI Express Gen 3.0 ExpressFabric Platform"
        }
        Role::Port(port) if port.port_type == port_type::DOWNSTREAM => {
            "PCI bridge: PLX Technology, Inc. PEX 9798 PCI Express Gen 3.0 Switch, downstream port"
        }
        Role::Port(_) => "PCI bridge: Red Hat, Inc. QEMU PCIe Root port",
        Role::Endpoint | Role::Physical { .. } => {
            "Ethernet controller: Mellanox Technologies MT2892 Family [ConnectX-6 Dx]"
        }
        Role::Virtual => {
            "Ethernet controller: Mellanox Technologies ConnectX Family mlx5Gen Virtual Function (rev ff)"
        }
    }
}

/// Writes the machine as `lspci -xxxx` does.
///
/// # Errors
///
/// Those of the writer.
pub fn text(nodes: &[Node], seed: u64, out: &mut impl Write) -> io::Result<()> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut space = [0; SIZE as usize];
    let mut record = std::vec::Vec::new();
    for node in nodes {
        record.clear();
        writeln!(record, "{} {}", node.address, title(node))?;
        for (number, line) in node.bytes(seed, &mut space).chunks(16).enumerate() {
            write!(record, "{:02x}:", number * 16)?;
            for byte in line {
                record.extend([b' ', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            record.push(b'\n');
        }
        record.push(b'\n');
        out.write_all(&record)?;
    }
    Ok(())
}

/// Writes 4096 bytes for each function.
///
/// # Errors
///
/// Those of the writer.
pub fn pages(nodes: &[Node], seed: u64, out: &mut impl Write) -> io::Result<()> {
    let mut space = [0; SIZE as usize];
    for node in nodes {
        let length = node.bytes(seed, &mut space).len();
        space[length..].fill(0xff);
        out.write_all(&space)?;
    }
    Ok(())
}

/// Writes an image of one segment, up to its last bus: absent functions as all ones, or as holes. Of
/// addresses that come twice the last stays.
///
/// # Errors
///
/// Those of the file system.
pub fn ecam(nodes: &[Node], seed: u64, segment: u32, sparse: bool, file: &File) -> io::Result<()> {
    let of_segment = || nodes.iter().filter(|node| node.address.segment == Segment(segment));
    let buses = of_segment().map(|node| u64::from(node.address.bus()) + 1).max().unwrap_or(0);
    file.set_len(buses * BUS)?;
    let ones = std::vec![0xff; BUS as usize];
    for bus in (0..buses).filter(|_| !sparse) {
        file.write_all_at(&ones, bus * BUS)?;
    }
    let mut space = [0; SIZE as usize];
    for node in of_segment() {
        let at = u64::from(node.address.bdf.to_bits()) * u64::from(SIZE);
        let length = node.bytes(seed, &mut space).len();
        space[length..].fill(0xff);
        file.write_all_at(&space, at)?;
    }
    Ok(())
}
