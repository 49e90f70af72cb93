//! Images of the memory-mapped configuration space (ECAM, MMCONFIG): 1 MiB a bus, 4 KiB a function.
//!
//! Read in chunks at their offsets, so that the holes of a sparse file cost nothing. Every page is
//! looked at: with ARI a function can have any number, whatever is at its neighbours.
//!
//! Source: PCIe Base 6.x, §7.2.2 "PCI Express Enhanced Configuration Access Mechanism (ECAM)".

use std::format;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::vec::Vec;

use super::error::Error;
use super::on_demand::read_full_at;
use super::parts::{self, Parts};
use super::{Delivery, Options, ProblemKind};
use crate::addr::{Bdf, Sbdf, Segment};
use crate::config::{HeaderLayout, HeaderType, SIZE};
use crate::function::{AHEAD, Attributes, Sink, touch};

/// Bytes of a function.
const PAGE: u64 = SIZE as u64;
/// Bytes of a bus.
const BUS: u64 = 256 * PAGE;
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// Bytes of a header: a page that is cut before has nothing to decode.
const HEADER: usize = 64;

/// Delivers the functions of an image.
pub(super) fn read<K: Sink>(
    file: &File,
    size: u64,
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<(), Error> {
    if size == 0 {
        return Err(Error::Empty { path: path.to_path_buf() });
    }
    if size < HEADER as u64 {
        return Err(Error::EcamSize { path: path.to_path_buf(), size });
    }
    let buses = size.div_ceil(BUS);
    let start_bus = options.start_bus;
    if buses.saturating_add(u64::from(start_bus)) > 256 {
        return Err(Error::EcamBuses { path: path.to_path_buf(), start_bus, buses });
    }
    let first = Sbdf { segment: Segment(options.segment), bdf: Bdf::from_bits(u16::from(start_bus) << 8) };
    let before = delivery.records;
    let mut pages = Pages { first, delivery };
    #[cfg(feature = "mmap")]
    let mapped = options.mmap;
    #[cfg(not(feature = "mmap"))]
    let mapped = false;
    if mapped {
        #[cfg(feature = "mmap")]
        pages.map(file, size, path)?;
    } else {
        pages.read(file, size).map_err(|error| Error::io(path, error))?;
    }
    if delivery.records == before {
        return Err(Error::EcamEmpty { path: path.to_path_buf() });
    }
    let rest = size % PAGE;
    if rest != 0 {
        let text =
            format!("{}: the image ends {rest} bytes into a function's 4096", super::error::shown(path));
        delivery.problem(ProblemKind::Truncated, None, text);
    }
    Ok(())
}

/// Whether the first pages that hold something look like functions' headers.
pub(super) fn is_plausible(file: &File, size: u64, path: &Path) -> Result<bool, Error> {
    const ENOUGH: usize = 8;
    let mut header = [0; HEADER];
    let (mut seen, mut plausible) = (0_usize, 0_usize);
    let mut at = next_data(file, 0, size);
    // Buses without functions may come first.
    for _ in 0..65_536 {
        if at >= size || seen >= ENOUGH {
            break;
        }
        let length = read_full_at(file, &mut header, at).map_err(|error| Error::io(path, error))?;
        if length == HEADER && !is_uniform(&header) {
            seen = seen.saturating_add(1);
            plausible = plausible.saturating_add(usize::from(is_header(&header)));
        }
        at = next_data(file, at.saturating_add(PAGE), size);
    }
    Ok(plausible > 0 && plausible.saturating_mul(4) >= seen.saturating_mul(3))
}

/// Whether the bytes can be a header: a vendor, a known layout, a class that has a name, and zeros
/// where Command, Status and BIST have no bits.
fn is_header(header: &[u8; HEADER]) -> bool {
    let &[vendor, vendor_high, _, _, _, command, status, _, _, _, _, class, _, _, header_type, bist, ..] =
        header;
    let layout = HeaderType(header_type).layout();
    (vendor, vendor_high) != (0, 0)
        && !matches!(layout, HeaderLayout::Reserved(_))
        && matches!(class, 1..=0x14 | 0x40 | 0xff)
        && command & 0xf8 == 0
        && status & 0x06 == 0
        && bist & 0x30 == 0
}

struct Pages<'a, 'b, K> {
    first: Sbdf,
    delivery: &'a mut Delivery<'b, K>,
}

impl<K: Sink> Pages<'_, '_, K> {
    /// Reads a large file in parts.
    fn read(&mut self, file: &File, size: u64) -> io::Result<()> {
        let first = self.first;
        let at_chunks = |offset: u64| offset & !(CHUNK as u64).saturating_sub(1);
        let mut offsets: Vec<u64> = parts::cuts(0..size, self.delivery.threads).map(at_chunks).collect();
        offsets.push(size);
        let done = scope(|scope| {
            let mut parts = Parts::start(scope, self.delivery, &offsets, move |range, delivery, stop| {
                let end = range.end;
                Pages { first, delivery }.range(file, range, stop).map(|()| end)
            });
            let mut done = offsets.first().copied().unwrap_or(size);
            self.range(file, 0..done, &AtomicBool::new(false))?;
            while let Some((end, part)) = parts.next(done) {
                if !self.delivery.take(part) {
                    break;
                }
                done = end;
            }
            io::Result::Ok(done)
        })?;
        self.range(file, done..size, &AtomicBool::new(false))
    }

    /// Reads chunk by chunk, until somebody says to stop.
    fn range(&mut self, file: &File, range: Range<u64>, stop: &AtomicBool) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut at = next_data(file, range.start, range.end);
        while at < range.end && !stop.load(Ordering::Relaxed) {
            let length = usize::try_from(range.end.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
            buffer.resize(length, 0);
            let length = read_full_at(file, &mut buffer, at)?;
            if length == 0 {
                break;
            }
            self.chunk(at, buffer.get(..length).unwrap_or_default());
            at = next_data(file, at.saturating_add(CHUNK as u64), range.end);
        }
        Ok(())
    }

    /// Looks at the file where it is mapped, past its holes.
    #[cfg(feature = "mmap")]
    fn map(&mut self, file: &File, size: u64, path: &Path) -> Result<(), Error> {
        let mapping = super::map::map(file).map_err(|error| Error::io(path, error))?;
        let mut at = next_data(file, 0, size);
        while at < size {
            let Ok(from) = usize::try_from(at) else { break };
            let Some(rest) = mapping.get(from..).filter(|rest| !rest.is_empty()) else { break };
            self.chunk(at, rest.get(..CHUNK).unwrap_or(rest));
            at = next_data(file, at.saturating_add(CHUNK as u64), size);
        }
        Ok(())
    }

    /// Delivers the functions in bytes that begin at a page.
    fn chunk(&mut self, at: u64, bytes: &[u8]) {
        let mut number = at / PAGE;
        let pages = bytes.chunks(usize::from(SIZE));
        let mut ahead = pages.clone().skip(AHEAD);
        for page in pages {
            if let Some(later) = ahead.next() {
                touch(later);
            }
            if let Ok(offset) = u16::try_from(number) {
                let bits = self.first.bdf.to_bits().saturating_add(offset);
                self.page(Sbdf { bdf: Bdf::from_bits(bits), ..self.first }, page);
            }
            number = number.saturating_add(1);
        }
    }

    fn page(&mut self, address: Sbdf, page: &[u8]) {
        let Some(header) = page.first_chunk::<HEADER>() else { return };
        if is_uniform(header) && page.iter().all(|byte| Some(byte) == header.first()) {
            return;
        }
        if header.starts_with(&[0; 4]) {
            let text = "Vendor and Device ID read 0 although other bytes do not: not taken for a function";
            self.delivery.problem(ProblemKind::NotAFunction, Some(address), text);
            return;
        }
        self.delivery.record(address, page, Attributes::default());
    }
}

/// Whether the bytes are all zero or all ones.
fn is_uniform(bytes: &[u8; HEADER]) -> bool {
    let ones = bytes.iter().fold(0xff, |all, byte| all & byte);
    let zeros = bytes.iter().fold(0, |any, byte| any | byte);
    ones == 0xff || zeros == 0
}

/// The page at or behind `at` where the file has data: past a hole. Where the file system does not
/// tell, `at` itself.
fn next_data(file: &File, at: u64, size: u64) -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if at < size {
        use nix::unistd::{Whence, lseek};
        let Ok(from) = nix::libc::off_t::try_from(at) else { return at };
        return match lseek(file, from, Whence::SeekData) {
            Ok(data) => {
                let data = u64::try_from(data).unwrap_or(at);
                data.saturating_sub(data % PAGE).max(at)
            }
            // Nothing but a hole up to the end.
            Err(nix::errno::Errno::ENXIO) => size,
            Err(_) => at,
        };
    }
    let _ = (file, size);
    at
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;
    use crate::function::Inventory;
    use std::fs::OpenOptions;
    use std::os::unix::fs::FileExt;
    use std::string::{String, ToString};
    use std::vec::Vec;

    struct Image(tempfile::NamedTempFile);

    impl Image {
        fn new(size: u64) -> Self {
            let file = tempfile::NamedTempFile::new().expect("a file");
            file.as_file().set_len(size).expect("set");
            Self(file)
        }

        fn put(&self, page: u64, bytes: &[u8]) {
            self.0.as_file().write_all_at(bytes, page * PAGE).expect("written");
        }

        fn read(&self, options: &Options) -> (Result<(), Error>, Vec<String>, Vec<Problem>) {
            let file = OpenOptions::new().read(true).open(self.0.path()).expect("there");
            let size = file.metadata().expect("known").len();
            let mut inventory = Inventory::new();
            let mut delivery = Delivery::new(&mut inventory);
            let result = read(&file, size, self.0.path(), options, &mut delivery);
            let problems = delivery.problems;
            let found = inventory.finish().functions().iter().map(|f| f.address.to_string()).collect();
            (result, found, problems)
        }
    }

    fn header() -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..12].copy_from_slice(&[0x86, 0x80, 0x34, 0x12, 7, 0, 0x10, 0, 1, 0, 0, 2]);
        bytes
    }

    fn both_ways() -> [Options; 2] {
        [Options::default(), Options { mmap: true, ..Options::default() }]
    }

    #[test]
    fn functions_are_found_at_every_number_and_behind_holes() {
        let image = Image::new(4 * BUS);
        image.put(0, &header());
        image.put(3 * 8 + 5, &header());
        image.put(255, &header());
        image.put(3 * 256 + 1, &header());
        image.put(7, &[0xff; 4096]);
        for options in both_ways() {
            let (result, found, problems) = image.read(&options);
            assert!(result.is_ok() && problems.is_empty());
            assert_eq!(found, ["0000:00:00.0", "0000:00:03.5", "0000:00:1f.7", "0000:03:00.1"]);
        }
        let options = Options { segment: 0x10000, start_bus: 0xe0, ..Options::default() };
        assert_eq!(image.read(&options).1[3], "10000:e3:00.1");
    }

    #[test]
    fn a_virtual_function_is_one_although_its_ids_read_all_ones() {
        let image = Image::new(BUS);
        let mut virtual_function = header();
        virtual_function[..4].fill(0xff);
        image.put(9, &virtual_function);
        assert_eq!(image.read(&Options::default()).1, ["0000:00:01.1"]);
    }

    #[test]
    fn a_page_without_a_vendor_is_a_problem_and_no_function() {
        let image = Image::new(BUS);
        image.put(0, &header());
        image.put(1, &[0, 0, 0, 0, 5]);
        let (_, found, problems) = image.read(&Options::default());
        assert_eq!(found, ["0000:00:00.0"]);
        assert_eq!(problems[0].kind, ProblemKind::NotAFunction);
        assert_eq!(problems[0].address, "00:00.1".parse().ok());
    }

    #[test]
    fn a_cut_image_gives_what_is_there() {
        for options in both_ways() {
            for (rest, count) in [(63, 1), (64, 2), (4095, 2)] {
                let image = Image::new(PAGE + rest);
                image.put(0, &header());
                image.put(1, &header()[..usize::try_from(rest).expect("small").min(64)]);
                let (result, found, problems) = image.read(&options);
                assert!(result.is_ok());
                assert_eq!(found.len(), count, "{rest}");
                assert_eq!(problems[0].kind, ProblemKind::Truncated);
            }
        }
    }

    #[test]
    fn impossible_images_are_errors() {
        let image = Image::new(2 * BUS);
        image.put(0, &header());
        let late = Options { start_bus: 255, ..Options::default() };
        assert!(matches!(image.read(&late).0, Err(Error::EcamBuses { buses: 2, .. })));
        assert!(image.read(&Options { start_bus: 254, ..Options::default() }).0.is_ok());
        let huge = Image::new(257 * BUS);
        assert!(matches!(huge.read(&Options::default()).0, Err(Error::EcamBuses { .. })));
        assert!(matches!(Image::new(10).read(&Options::default()).0, Err(Error::EcamSize { .. })));
        assert!(matches!(Image::new(BUS).read(&Options::default()).0, Err(Error::EcamEmpty { .. })));
    }

    #[test]
    fn headers_make_an_image_plausible_and_other_files_do_not() {
        let image = Image::new(BUS);
        image.put(8, &header());
        let path = Path::new("x");
        assert!(is_plausible(image.0.as_file(), BUS, path).expect("read"));
        image.put(1, &[0x55; 64]);
        assert!(!is_plausible(image.0.as_file(), BUS, path).expect("read"));
        assert!(!is_plausible(Image::new(BUS).0.as_file(), BUS, path).expect("read"));
    }
}
