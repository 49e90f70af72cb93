//! What a tree says about its machine beside PCI: kernel and command line.

use std::path::Path;
use std::string::{String, ToString};

use super::Delivery;
use super::files::Files;
use crate::function::Sink;

/// Longest text that is looked at.
const MAX: usize = 64 * 1024;

/// Reads what the tree of a machine says, where it is not known yet.
pub(super) fn read<K: Sink>(files: &Files, machine: &Path, delivery: &mut Delivery<'_, K>) {
    if delivery.cmdline.is_none() {
        delivery.cmdline = first_line(files, &machine.join("proc/cmdline"));
    }
    if delivery.kernel.is_none() {
        delivery.kernel =
            first_line(files, &machine.join("proc/sys/kernel/osrelease")).or_else(|| release(files, machine));
    }
}

/// The release in a longer text: `Linux version RELEASE ...`, `Linux HOST RELEASE ...`.
fn release(files: &Files, machine: &Path) -> Option<String> {
    ["proc/version", "sos_commands/kernel/uname_-a", "uname"].into_iter().find_map(|name| {
        let line = first_line(files, &machine.join(name))?;
        let mut words = line.split_whitespace();
        let release = (words.next()? == "Linux").then(|| words.nth(1)).flatten()?;
        release.starts_with(|first: char| first.is_ascii_digit()).then(|| release.to_string())
    })
}

/// The first line of a small file.
fn first_line(files: &Files, path: &Path) -> Option<String> {
    let text = files.start_of(path, MAX)?;
    let text = String::from_utf8_lossy(&text);
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(ToString::to_string)
}

/// Whether a name in an archive is one that [`read`] looks for.
#[cfg(feature = "archive")]
pub(super) fn is_wanted(path: &Path) -> bool {
    const NAMES: [&str; 5] = [
        "proc/cmdline",
        "proc/sys/kernel/osrelease",
        "proc/version",
        "sos_commands/kernel/uname_-a",
        "uname",
    ];
    NAMES.iter().any(|name| path.ends_with(name))
}
