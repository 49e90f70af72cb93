//! What several test programs need: the shared inputs, and the command.
#![allow(dead_code, reason = "each test program uses some of it")]

#[cfg(feature = "std")]
mod bytes;

use std::path::{Path, PathBuf};
use std::process::Command;

#[cfg(feature = "std")]
#[allow(unused_imports, reason = "each test program uses some of it")]
pub(crate) use bytes::Bytes;

/// A folder of the shared inputs: beside the checkout, or where `ACSSCAN_SHARED` says. `None`, and a
/// line that says so, where there are none.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ACSSCAN_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there (ACSSCAN_SHARED names the folder)", path.display());
    None
}

/// The directories in `path`, sorted.
pub(crate) fn subdirectories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("readable");
    let mut found: Vec<_> =
        entries.map(|entry| entry.expect("readable").path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// All files below `path`, sorted.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// `name` in `folder`, or `name.xz` unpacked into `scratch`; `None` if there is neither.
pub(crate) fn plain(folder: &Path, name: &str, scratch: &Path) -> Option<PathBuf> {
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    let packed = folder.join(format!("{name}.xz"));
    if !packed.exists() {
        return None;
    }
    let unpacked = Command::new("xz").arg("-dc").arg(&packed).output().expect("xz is installed");
    assert!(unpacked.status.success(), "{}", packed.display());
    let path = scratch.join(name);
    std::fs::write(&path, unpacked.stdout).expect("writable");
    Some(path)
}

/// The command under test, without colour, with numbers instead of names.
#[cfg(feature = "cli")]
pub(crate) fn acsscan(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .args(arguments)
        .arg("-n")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("runs")
}
