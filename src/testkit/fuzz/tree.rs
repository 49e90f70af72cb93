//! Directories of strangers: names, links, pipes, sizes. Nothing outside is read, and nothing hangs.
//!
//! Input: a byte that says how to read, then operations of two bytes, some with content.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use nix::sys::stat::Mode;

use super::scratch::Scratch;
use super::{judge, take};
use crate::dump::{self, Format, Input, Options};
use crate::function::Inventory;

/// What occurs in such trees, and where links may lead.
pub(super) const NAMES: [&str; 24] = [
    "sys",
    "bus",
    "pci",
    "devices",
    "pci0000:00",
    "pci10000:e0",
    "0000:00:00.0",
    "0000:00:1c.0",
    "0000:01:00.0",
    "10000:e0:06.0",
    "config",
    "driver",
    "iommu_group",
    "physfn",
    "00.0",
    "proc",
    "0000:02:00.0.bin",
    "../../../devices/pci0000:00/0000:00:00.0",
    "../../../devices/pci0000:00/0000:00:1c.0/0000:01:00.0",
    "../../../kernel/iommu_groups/17",
    "../../../../../outside",
    "/",
    "..",
    ".",
];

/// Operations at most: each one is a few calls of the system.
const OPERATIONS: usize = 64;

/// Where a function is that must not be found.
const OUTSIDE: &str = "0000:ee:1f.7";

pub(super) fn run(mut bytes: &[u8]) {
    let [how] = take(&mut bytes);
    let scratch = Scratch::new();
    let (root, outside) = (scratch.path().join("root"), scratch.path().join("outside").join(OUTSIDE));
    fs::create_dir_all(&outside).expect("made");
    fs::write(outside.join("config"), [0x86; 256]).expect("written");
    fs::create_dir(&root).expect("made");
    if how & 4 != 0 {
        fs::create_dir_all(root.join("bus/pci/devices")).expect("made");
        fs::create_dir_all(root.join("devices/pci0000:00/0000:00:1c.0/0000:01:00.0")).expect("made");
    }
    build(&root, bytes);
    let (input, format) = match how & 3 {
        0 => (Input::Path(root.clone()), None),
        1 => (Input::Path(root.clone()), Some(Format::Tree)),
        2 => (Input::Path(root.clone()), Some(Format::Sysfs)),
        _ => (Input::Live { sysfs_root: root.clone() }, None),
    };
    let mut inventory = Inventory::with_detail();
    let options = Options { format, ..Options::default() };
    let result = dump::read(&input, &options, &mut inventory);
    let inventory = inventory.finish();
    for function in inventory.functions() {
        assert!(function.captured == 0 || function.address.to_string() != OUTSIDE, "read from outside");
    }
    judge::judge_read(result, inventory);
}

/// Makes what the operations say; what the system refuses is left out.
fn build(root: &Path, mut bytes: &[u8]) {
    let mut at = root.to_path_buf();
    for _ in 0..OPERATIONS {
        if bytes.is_empty() {
            return;
        }
        let [operation, which] = take(&mut bytes);
        let path = at.join(name(which, &mut bytes));
        match operation % 8 {
            0 | 1 => {
                if fs::create_dir(&path).is_ok() || path.is_dir() {
                    at = inside(root, path);
                }
            }
            2 => at = inside(root, at.parent().map(Path::to_path_buf).unwrap_or_default()),
            3 | 4 => {
                let [length] = take(&mut bytes);
                let (content, rest) = bytes.split_at(bytes.len().min(usize::from(length)));
                bytes = rest;
                let mut content: Vec<u8> = content.to_vec();
                if operation & 0x80 != 0 {
                    content.resize([64, 256, 4096, 4097][usize::from(operation >> 4 & 3)], 0);
                }
                if fs::symlink_metadata(&path).is_err() {
                    let _ = fs::write(&path, content);
                }
            }
            5 | 6 => {
                let [target] = take(&mut bytes);
                let _ = symlink(NAMES[usize::from(target) % NAMES.len()], &path);
            }
            _ => {
                let _ = nix::unistd::mkfifo(&path, Mode::S_IRUSR);
            }
        }
    }
}

/// A known name, or one that the input spells.
fn name(which: u8, bytes: &mut &[u8]) -> PathBuf {
    if which < 0xf0 {
        let name = NAMES[usize::from(which) % (NAMES.len() - 7)];
        return PathBuf::from(name);
    }
    let spelled = take::<12>(bytes).map(|byte| if matches!(byte, 0 | b'/') { b'_' } else { byte });
    PathBuf::from(OsStr::from_bytes(&spelled))
}

/// The directory, or the root if a link led out of it.
fn inside(root: &Path, path: PathBuf) -> PathBuf {
    match fs::canonicalize(&path) {
        Ok(real) if real.starts_with(fs::canonicalize(root).expect("there")) => path,
        _ => root.to_path_buf(),
    }
}
