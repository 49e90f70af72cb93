//! Archives of strangers: whatever a tar file may hold, and bytes that only begin like something packed.
//!
//! Input: flags, then either the archive as it is (flag 1), or operations of three bytes that make a tar
//! file: kind, name, length of what follows.

use std::format;
use std::string::String;
use std::vec::Vec;

use tar::{Builder, EntryType, Header};

use super::tree::NAMES;
use super::{judge, take};
use crate::dump::{self, Options};
use crate::function::Inventory;
use crate::limits::Limits;

/// Entries at most.
const ENTRIES: usize = 64;

pub(super) fn run(mut bytes: &[u8]) {
    let [flags] = take(&mut bytes);
    let packed = if flags & 1 != 0 { bytes.to_vec() } else { make(bytes) };
    let mut limits = Limits::default();
    (limits.unpacked, limits.kept, limits.file, limits.window) = (16 << 20, 8 << 20, 1 << 20, 8 << 20);
    limits.entries = if flags & 2 != 0 { 5 } else { 10_000 };
    limits.functions = if flags & 4 != 0 { 2 } else { 10_000 };
    let functions = limits.functions;
    let options = Options { limits, ..Options::default() };
    let mut inventory = Inventory::with_detail();
    let result = dump::read_stream(packed.as_slice(), "sos.tar", &options, &mut inventory);
    let inventory = inventory.finish();
    assert!(inventory.functions().len() as u64 <= functions, "more functions than the limit");
    judge::judge_read(result, inventory);
}

fn make(mut bytes: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut directory = String::new();
    for _ in 0..ENTRIES {
        if bytes.is_empty() {
            break;
        }
        let [kind, which, length] = take(&mut bytes);
        let name = NAMES[usize::from(which) % NAMES.len()];
        let (content, rest) = bytes.split_at(bytes.len().min(usize::from(length)));
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        let mut data = Vec::new();
        match kind % 8 {
            0 | 1 => {
                directory = format!("{directory}{name}/");
                continue;
            }
            2 => {
                directory.clear();
                continue;
            }
            3 | 4 => {
                bytes = rest;
                data = content.to_vec();
                if kind & 0x80 != 0 {
                    data.resize([64, 256, 4096, 4097][usize::from(kind >> 4 & 3)], 0);
                }
                header.set_entry_type(EntryType::Regular);
            }
            5 => header.set_entry_type(if kind & 0x80 != 0 { EntryType::Link } else { EntryType::Symlink }),
            6 => header.set_entry_type(EntryType::new(kind)),
            _ => header.set_entry_type(EntryType::Fifo),
        }
        // A header may lie about the size.
        let size = if kind & 0x48 == 0x48 { u64::from(length) << 24 } else { data.len() as u64 };
        header.set_size(size);
        // What the library refuses to write is written as it is.
        let path = format!("{directory}{name}");
        let field = &mut header.as_old_mut().name;
        let kept = path.len().min(field.len());
        field[..kept].copy_from_slice(&path.as_bytes()[..kept]);
        let target = NAMES[usize::from(length) % NAMES.len()].as_bytes();
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        let _ = builder.append(&header, data.as_slice());
    }
    builder.into_inner().unwrap_or_default()
}
