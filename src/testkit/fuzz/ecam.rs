//! An image of the memory-mapped configuration space, with holes, read and mapped.
//!
//! Input: the bus that it begins with and flags, then pieces: page (two bytes), length in units of 16
//! bytes, content. With flag 1 the rest is the image as it is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::judge;
use super::scratch::Scratch;
use super::take;
use crate::db::Database;
use crate::dump::{self, Format, Input, Options};
use crate::function::Inventory;
use crate::topology::Topology;

/// Pages of a made image: two buses.
const PAGES: u16 = 512;

pub(super) fn run(mut bytes: &[u8]) {
    let [start_bus, flags] = take(&mut bytes);
    let scratch = Scratch::new();
    let path = scratch.path().join("image");
    if flags & 1 != 0 {
        fs::write(&path, bytes).expect("written");
    } else {
        make(&path, bytes);
    }
    let forced = (flags & 2 == 0).then_some(Format::Ecam);
    let options = Options { format: forced, segment: 0x10000, start_bus, ..Options::default() };
    let read = |mmap| {
        let mut inventory = Inventory::with_detail();
        let options = Options { mmap, ..options.clone() };
        let result = dump::read(&Input::Path(path.clone()), &options, &mut inventory);
        (result.map_err(|error| std::format!("{error}")), inventory.finish())
    };
    let (result, inventory) = read(false);
    let (mapped_result, mapped) = read(true);
    assert_eq!(result, mapped_result);
    assert_eq!(inventory.functions(), mapped.functions());
    match result {
        Ok(info) => {
            if info.kind == Format::Ecam {
                let placed =
                    |address: crate::addr::Sbdf| address.segment.0 == 0x10000 && address.bus() >= start_bus;
                assert!(inventory.functions().iter().all(|function| placed(function.address)));
            }
            judge::judge(&Topology::new(inventory), &Database::default(), info.kind.word());
        }
        Err(text) => assert_eq!(judge::harmless(&text), None, "{text}"),
    }
}

fn make(path: &Path, mut bytes: &[u8]) {
    let file = File::create(path).expect("made");
    file.set_len(u64::from(PAGES) * 4096).expect("sized");
    while !bytes.is_empty() {
        let [low, high, length] = take(&mut bytes);
        let page = u16::from_le_bytes([low, high]) % PAGES;
        let (content, rest) = bytes.split_at(bytes.len().min(usize::from(length) * 16));
        bytes = rest;
        file.write_all_at(content, u64::from(page) * 4096).expect("written");
    }
}
