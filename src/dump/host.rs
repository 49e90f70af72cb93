//! What a tree says about its machine beside PCI functions: kernel and command line, IOMMUs, groups,
//! firmware tables.
//!
//! Source: Linux, Documentation/ABI/testing/sysfs-class-iommu and sysfs-kernel-iommu_groups;
//! Documentation/filesystems/proc.rst.

use std::collections::BTreeMap;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use super::Delivery;
use super::files::Files;
#[cfg(feature = "archive")]
use super::host_use::RESERVED_REGIONS;
use crate::function::Sink;
use crate::kernel::{Host, IOMMU_TABLES};

/// Longest text that is looked at.
pub(super) const MAX: usize = 64 * 1024;
/// Most entries of a directory that are looked at.
const MAX_ENTRIES: u64 = 1 << 16;

/// Directories of a sysfs whose names tell.
const IOMMUS: &str = "class/iommu";
pub(super) const GROUPS: &str = "kernel/iommu_groups";
const TABLES: &str = "firmware/acpi/tables";

/// Reads what the tree of a machine says, where it is not known yet.
pub(super) fn read<K: Sink>(files: &Files, machine: &Path, delivery: &mut Delivery<'_, K>) {
    read_sysfs(files, &machine.join("sys"), delivery);
    let Some(host) = &mut delivery.host else { return };
    if host.cmdline.is_none() {
        host.cmdline = first_line(files, &machine.join("proc/cmdline"));
    }
    if host.release.is_none() {
        host.release =
            first_line(files, &machine.join("proc/sys/kernel/osrelease")).or_else(|| release(files, machine));
    }
}

/// Reads what a sysfs says, where it is not known yet.
pub(super) fn read_sysfs<K: Sink>(files: &Files, root: &Path, delivery: &mut Delivery<'_, K>) {
    let host = delivery.host.get_or_insert_with(Host::default);
    if host.iommus.is_none() {
        host.iommus = names(files, &root.join(IOMMUS));
    }
    if host.tables.is_none() {
        host.tables = names(files, &root.join(TABLES)).map(|names| {
            let known = IOMMU_TABLES.iter().filter(|table| names.iter().any(|name| name == *table));
            known.map(ToString::to_string).collect()
        });
    }
    if host.group_types.is_none() {
        let directory = root.join(GROUPS);
        host.group_types = names(files, &directory).map(|names| {
            let ids = names.into_iter().filter_map(|name| name.parse::<u32>().ok());
            let kind = |id: u32| first_line(files, &directory.join(id.to_string()).join("type"));
            ids.map(|id| (id, kind(id))).collect::<BTreeMap<_, _>>()
        });
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

/// The start of a text.
pub(super) fn text(files: &Files, path: &Path, limit: usize) -> Option<String> {
    Some(String::from_utf8_lossy(&files.start_of(path, limit)?).into_owned())
}

/// The first line of a small file.
pub(super) fn first_line(files: &Files, path: &Path) -> Option<String> {
    let text = text(files, path, MAX)?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(ToString::to_string)
}

/// The names in a directory, sorted; `None` if it cannot be listed.
pub(super) fn names(files: &Files, directory: &Path) -> Option<Vec<String>> {
    let (names, _) = files.names(&files.real(directory).ok()?, MAX_ENTRIES).ok()?;
    Some(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
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
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let above = |levels: usize| path.ancestors().nth(levels);
    NAMES.iter().any(|name| path.ends_with(name))
        || (["type", RESERVED_REGIONS].contains(&name)
            && above(2).is_some_and(|directory| directory.ends_with(GROUPS)))
        || (IOMMU_TABLES.contains(&name) && above(1).is_some_and(|directory| directory.ends_with(TABLES)))
}

/// Whether a directory in an archive tells by being there, even if there is nothing in it.
#[cfg(feature = "archive")]
pub(super) fn is_wanted_directory(path: &Path) -> bool {
    [IOMMUS, GROUPS, TABLES].iter().any(|name| path.ends_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Inventory;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::vec;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn host_of(root: &Path) -> Host {
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        read(&Files::directory(root).expect("there"), Path::new(""), &mut delivery);
        delivery.host.expect("read")
    }

    #[test]
    fn the_files_of_a_machine_say_what_its_iommu_does() {
        let root = tempfile::tempdir().expect("a directory");
        let sysfs = root.path().join("sys");
        put(&sysfs.join("kernel/iommu_groups/3/type"), "DMA-FQ\n");
        put(&sysfs.join("firmware/acpi/tables/DMAR"), "");
        put(&sysfs.join("firmware/acpi/tables/FACP"), "");
        fs::create_dir_all(sysfs.join("class/iommu/dmar0")).expect("made");
        put(&root.path().join("proc/cmdline"), "quiet pci=noats\n");
        let host = host_of(root.path());
        assert_eq!(host.cmdline.as_deref(), Some("quiet pci=noats"));
        assert_eq!(host.release, None);
        assert_eq!(host.iommus, Some(vec!["dmar0".into()]));
        assert_eq!(host.tables, Some(vec!["DMAR".into()]));
        assert_eq!(host.group_types, Some(BTreeMap::from([(3, Some("DMA-FQ".into()))])));
    }

    #[test]
    fn a_copy_does_not_show_files_of_this_host() {
        let root = tempfile::tempdir().expect("a directory");
        let sysfs = root.path().join("sys");
        fs::create_dir_all(sysfs.join("kernel")).expect("made");
        symlink("/proc", root.path().join("proc")).expect("made");
        symlink("/sys/class", sysfs.join("class")).expect("made");
        assert_eq!(host_of(root.path()), Host::default());
    }
}
