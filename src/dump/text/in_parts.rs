//! A large text in parts, as far as its functions are as lspci writes them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::vec;
use std::vec::Vec;

use super::super::on_demand::read_full_at;
use super::super::parts::{self, From, Parts};
use super::{Delivery, Error, Format, Reader, USUAL, Window, usual_address};
use crate::function::Sink;

/// Reads the text of a large file to its end: in parts, as far as its functions are as lspci writes them.
pub(in super::super) fn read_file<K: Sink>(
    file: &File,
    size: u64,
    path: &Path,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let failed = |error| Error::io(path, error);
    let mut window = Window::new(From::new(file, 0));
    window.skip_mark().map_err(failed)?;
    let mut reader = Reader::new();
    let mut whole = true;
    while reader.step(&mut window, delivery).map_err(failed)? {
        if whole && reader.may_go_on_as_usual(delivery) {
            whole = false;
            in_parts(&mut reader, file, size, &mut window, delivery).map_err(failed)?;
        }
    }
    reader.end(&window, path, delivery)
}

/// Where a window over a file stands.
fn place(window: &Window<From<'_, File>>) -> u64 {
    window.input().at().saturating_sub(window.ahead().len() as u64)
}

/// Reads the usual functions that come next, with the help of other threads. A part is taken if the reader
/// comes to stand where it begins, as it would have gone on from there in the same way.
fn in_parts<'f, K: Sink>(
    reader: &mut Reader,
    file: &'f File,
    size: u64,
    window: &mut Window<From<'f, File>>,
    delivery: &mut Delivery<'_, K>,
) -> io::Result<()> {
    let mut offsets = Vec::new();
    for near in parts::cuts(place(window)..size) {
        offsets.extend(next_usual(file, near)?);
    }
    offsets.push(size);
    offsets.dedup();
    scope(|scope| {
        let mut parts = Parts::start(scope, delivery, &offsets, |range, delivery, stop| {
            let (mut reader, mut window) = (Reader::new(), Window::new(From::new(file, range.start)));
            reader.usual_up_to(range.end, &mut window, delivery, stop)?;
            Ok((reader.state, reader.hex_records, place(&window)))
        });
        let first = offsets.first().copied().unwrap_or(size);
        reader.usual_up_to(first, window, delivery, &AtomicBool::new(false))?;
        let mut at = place(window);
        while let Some((start, (state, records, end), part)) = parts.next() {
            if start != at || records == 0 || !delivery.take(part) {
                break;
            }
            (reader.state, at) = (state, end);
            reader.hex_records = reader.hex_records.saturating_add(records);
        }
        if at != place(window) {
            *window = Window::new(From::new(file, at));
        }
        Ok(())
    })
}

/// Where, at or behind some byte of a file, an empty line or one with an address begins that
/// [`Reader::usual`] may take, if there is one near.
fn next_usual(file: &File, near: u64) -> io::Result<Option<u64>> {
    let mut text = vec![0; NEAR];
    let length = read_full_at(file, &mut text, near)?;
    let text = text.get(..length).unwrap_or_default();
    for end in memchr::memchr_iter(b'\n', text) {
        let begins = text.get(end.saturating_add(1)..).is_some_and(|line| usual_address(line).is_some());
        if begins {
            let is_empty = end.checked_sub(1).and_then(|before| text.get(before)) == Some(&b'\n');
            let offset = if is_empty { end } else { end.saturating_add(1) };
            return Ok(Some(near.saturating_add(offset as u64)));
        }
    }
    Ok(None)
}

/// How far a part's begin is looked for: further than from one to the next function.
const NEAR: usize = 32 * 1024;

impl Reader {
    /// Goes on by usual functions, up to some byte of the file, or until somebody says to stop.
    fn usual_up_to<K: Sink>(
        &mut self,
        end: u64,
        window: &mut Window<From<'_, File>>,
        delivery: &mut Delivery<'_, K>,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        while place(window) < end && !stop.load(Ordering::Relaxed) {
            match self.usual(window.look_ahead(USUAL)?, delivery) {
                Some(length) => window.consume(length),
                None => break,
            }
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
        let (mut reader, mut window) = (Reader::new(), Window::new(From::new(file, 0)));
        while !reader.may_go_on_as_usual(&delivery) {
            assert!(reader.step(&mut window, &mut delivery).expect("read"));
        }
        let before = place(&window);
        assert!(before < 30_000, "{before}");
        in_parts(&mut reader, file, size, &mut window, &mut delivery).expect("read");
        assert_eq!((reader.hex_records, delivery.records), (700, 700));
        assert!(size - place(&window) < 2, "{} of {size}", place(&window));
        while reader.step(&mut window, &mut delivery).expect("read") {}
        assert!(reader.end(&window, Path::new("x"), &mut delivery).is_ok());
        assert_eq!(inventory.finish().functions().len(), 700);
    }

    #[test]
    fn a_part_begins_at_an_empty_line_or_one_with_an_address() {
        let text = text(3);
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let second = text.find("\n00:00.1").expect("there") as u64;
        for near in [0, 1, 5000, second - 1] {
            assert_eq!(next_usual(file.as_file(), near).expect("read"), Some(second), "{near}");
        }
        let third = text.find("\n00:00.2").expect("there") as u64;
        assert_eq!(next_usual(file.as_file(), second + 1).expect("read"), Some(third));
        assert_eq!(next_usual(file.as_file(), third + 1).expect("read"), None);
    }
}
