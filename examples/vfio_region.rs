//! Reads configuration space through an open file, as a user of VFIO has it: no copy of the bytes is made,
//! each register is read where it stands.
//!
//! `cargo run --example vfio_region -- FILE [OFFSET]`. With VFIO, FILE is the device's file descriptor
//! and OFFSET what VFIO_DEVICE_GET_REGION_INFO says of region 7 (VFIO_PCI_CONFIG_REGION_INDEX); any file
//! that holds configuration space does as well, such as /sys/bus/pci/devices/*/config.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;

use acsscan::addr::Sbdf;
use acsscan::config::{ConfigSpace, SIZE, Source};
use acsscan::function::decode;

/// A region of an open file.
struct Region<'a> {
    file: &'a File,
    offset: u64,
    extent: u16,
}

impl<'a> Region<'a> {
    /// Finds out how much can be read: 4096 bytes, or 256 of a conventional function, or 64 without
    /// privileges.
    fn new(file: &'a File, offset: u64) -> Self {
        let can_read = |end: &u16| file.read_exact_at(&mut [0], offset + u64::from(*end) - 1).is_ok();
        let extent = [SIZE, 256, 64].into_iter().find(can_read).unwrap_or(0);
        Self { file, offset, extent }
    }
}

impl Source for Region<'_> {
    fn extent(&self) -> u16 {
        self.extent
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let end = usize::from(offset) + N;
        let mut bytes = [0; N];
        let inside = end <= usize::from(self.extent);
        (inside && self.file.read_exact_at(&mut bytes, self.offset + u64::from(offset)).is_ok())
            .then_some(bytes)
    }
}

fn run(path: &str, offset: u64) -> Result<String, Box<dyn Error>> {
    let file = File::open(path)?;
    let region = Region::new(&file, offset);
    let function = decode(Sbdf::default(), &ConfigSpace::new(region)).function;
    Ok(format!(
        "{:04x}:{:04x}, {} bytes, ACS: {:x?}",
        function.vendor_id,
        function.device_id,
        function.captured,
        function.acs.map(|acs| acs.control.bits())
    ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: vfio_region FILE [OFFSET]")?;
    let offset = arguments.next().map_or(Ok(0), |offset| offset.parse())?;
    println!("{}", run(&path, offset)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_at_an_offset_reads_as_the_bytes_themselves() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("device");
        let mut bytes = vec![0xee; 0x1000];
        bytes.extend([0x86, 0x80, 0x94, 0xa2, 0, 0, 0x10]);
        bytes.resize(0x2000, 0);
        bytes[0x1034] = 0x40;
        bytes[0x1040..0x1044].copy_from_slice(&[0x10, 0x00, 0x02, 0x00]);
        bytes[0x1100..0x1108].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00, 0x1f, 0x00, 0x1d, 0x00]);
        std::fs::write(&path, &bytes).expect("writable");
        let path = path.to_str().expect("UTF-8");
        let read = run(path, 0x1000).expect("an answer");
        assert_eq!(read, "8086:a294, 4096 bytes, ACS: Present(1d)");
        std::fs::write(path, &bytes[..0x1100]).expect("writable");
        let read = run(path, 0x1000).expect("an answer");
        assert_eq!(read, "8086:a294, 256 bytes, ACS: NotCaptured");
    }
}
