//! A large text in parts.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::vec;
use std::vec::Vec;

use super::super::on_demand::{Sequential, read_full_at};
use super::super::parts::{self, Parts};
use super::{Delivery, Error, Format, Reader, State, Window, header};
use crate::function::Sink;

/// Reads the text of a large file to its end.
pub(in super::super) fn read_file<K: Sink>(
    file: &File,
    size: u64,
    path: &Path,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let failed = |error| Error::io(path, error);
    let mut window = Window::new(Sequential::from(file, 0));
    window.skip_mark().map_err(failed)?;
    let mut reader = Reader::new();
    let mut alone = true;
    while reader.step(&mut window, delivery, |_| true).map_err(failed)? {
        // From the first hex on it does not depend on later lines what earlier ones mean.
        if alone && reader.hex_records > 0 && reader.waiting.is_empty() {
            alone = false;
            in_parts(&mut reader, file, size, &mut window, delivery).map_err(failed)?;
        }
    }
    reader.end(&window, path, delivery)
}

/// Where a window over a file stands.
fn place(window: &Window<Sequential<&File>>) -> u64 {
    window.input().at().saturating_sub(window.ahead().len() as u64)
}

/// Reads on with the help of other threads. Parts begin with a line that begins a function: whatever was
/// before, the reader forgets it there. What is left is read as before.
fn in_parts<'f, K: Sink>(
    reader: &mut Reader,
    file: &'f File,
    size: u64,
    window: &mut Window<Sequential<&'f File>>,
    delivery: &mut Delivery<'_, K>,
) -> io::Result<()> {
    let from = place(window);
    let mut offsets = Vec::new();
    for near in parts::cuts(from..size, delivery.threads) {
        offsets.extend(next_function(file, near)?);
    }
    if offsets.is_empty() {
        return Ok(());
    }
    // The end of the text is not that of a function.
    offsets.extend(next_function(file, size.saturating_sub(NEAR as u64))?);
    offsets.dedup();
    scope(|scope| {
        let mut parts = Parts::start(scope, delivery, &offsets, |range, delivery, stop| {
            let (mut reader, mut window) = (Reader::new(), Window::new(Sequential::from(file, range.start)));
            // That the text has hex is known.
            reader.hex_records = 1;
            reader.up_to(range.end, &mut window, delivery, stop)?;
            Ok((reader, place(&window)))
        });
        reader.up_to(offsets.first().copied().unwrap_or(size), window, delivery, &AtomicBool::new(false))?;
        let mut at = place(window);
        while let Some(((part, end), found)) = parts.next(at) {
            if !delivery.take(found) {
                break;
            }
            at = end;
            reader.hex_records = reader.hex_records.saturating_add(part.hex_records).saturating_sub(1);
            reader.texts = reader.texts.saturating_add(part.texts);
            reader.listed = reader.listed.saturating_add(part.listed);
        }
        if at != place(window) {
            *window = Window::new(Sequential::from(file, at));
        }
        Ok(())
    })
}

/// Where, behind some byte of a file, a line begins that begins a function, if there is one near.
fn next_function(file: &File, near: u64) -> io::Result<Option<u64>> {
    let mut text = vec![0; NEAR];
    let length = read_full_at(file, &mut text, near)?;
    let text = text.get(..length).unwrap_or_default();
    for end in memchr::memchr_iter(b'\n', text) {
        let start = end.saturating_add(1);
        let rest = text.get(start..).unwrap_or_default();
        let line = memchr::memchr(b'\n', rest).and_then(|end| rest.get(..end));
        if line.is_some_and(|line| header(line).is_some()) {
            return Ok(Some(near.saturating_add(start as u64)));
        }
    }
    Ok(None)
}

/// How far a part's begin is looked for: further than from one function to the next.
const NEAR: usize = 64 * 1024;

impl Reader {
    /// Reads up to a line that begins a function, at this byte of the file, and ends the function before; or
    /// until somebody says to stop.
    fn up_to<K: Sink>(
        &mut self,
        end: u64,
        window: &mut Window<Sequential<&File>>,
        delivery: &mut Delivery<'_, K>,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        // An empty line before is a line of its own, and not the first of what is behind it.
        let is_before = |window: &Window<Sequential<&File>>| place(window).saturating_add(1) < end;
        while place(window) < end && !stop.load(Ordering::Relaxed) && !delivery.is_beyond_limits() {
            if !self.step(window, delivery, is_before)? {
                return Ok(());
            }
        }
        if place(window) == end {
            self.decoded.followed();
            self.finish_record(delivery);
            self.state = State::Start;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Inventory;
    use std::fmt::Write as _;
    use std::io::Write as _;
    use std::string::String;

    /// So many functions, all as lspci writes them.
    fn text(functions: usize) -> String {
        let mut text = String::new();
        for number in 0..functions {
            let _ =
                writeln!(text, "{:02x}:{:02x}.{} Host bridge: x", number >> 8, number >> 3 & 31, number & 7);
            for line in 0..256 {
                let _ = writeln!(text, "{:02x}: {}", line << 4, ["01"; 16].join(" "));
            }
            text.push('\n');
        }
        text
    }

    #[test]
    fn parts_are_taken_to_the_last_function() {
        let text = text(700);
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let (file, size) = (file.as_file(), text.len() as u64);
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        let (mut reader, mut window) = (Reader::new(), Window::new(Sequential::from(file, 0)));
        delivery.threads = 4;
        while reader.hex_records == 0 {
            assert!(reader.step(&mut window, &mut delivery, |_| true).expect("read"));
        }
        let before = place(&window);
        assert!(before < 30_000, "{before}");
        in_parts(&mut reader, file, size, &mut window, &mut delivery).expect("read");
        assert_eq!(reader.hex_records, delivery.records);
        assert!(delivery.records > 690 && size - place(&window) < 80_000, "{} of {size}", place(&window));
        while reader.step(&mut window, &mut delivery, |_| true).expect("read") {}
        assert!(reader.end(&window, Path::new("x"), &mut delivery).is_ok());
        assert_eq!(inventory.finish().functions().len(), 700);
    }

    #[test]
    fn a_part_begins_with_a_line_with_an_address() {
        let text = text(3);
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let second = text.find("00:00.1").expect("there") as u64;
        for near in [0, 1, 5000, second - 1] {
            assert_eq!(next_function(file.as_file(), near).expect("read"), Some(second), "{near}");
        }
        let third = text.find("00:00.2").expect("there") as u64;
        assert_eq!(next_function(file.as_file(), second).expect("read"), Some(third));
        assert_eq!(next_function(file.as_file(), third).expect("read"), None);
    }
}
