//! What a tree says about its machine beside PCI functions: kernel and command line, IOMMUs, groups,
//! firmware tables.
//!
//! Source: Linux, Documentation/ABI/testing/sysfs-class-iommu and sysfs-kernel-iommu_groups;
//! Documentation/filesystems/proc.rst.

use std::collections::BTreeMap;
use std::format;
use std::io::Read;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use super::error::shown;
use super::files::Files;
#[cfg(feature = "archive")]
use super::host_use::RESERVED_REGIONS;
use super::on_demand::Sequential;
use super::{Delivery, ProblemKind};
use crate::function::Sink;
use crate::kernel::{Board, Host, IOMMU_TABLES};
use crate::limits::Limit;

/// Longest text that is looked at.
pub(super) const MAX: usize = 64 * 1024;

/// Directories of a sysfs whose names tell.
const IOMMUS: &str = "class/iommu";
pub(super) const GROUPS: &str = "kernel/iommu_groups";
const TABLES: &str = "firmware/acpi/tables";
/// Where a sysfs has what SMBIOS says, one file each.
const BOARD: &str = "class/dmi/id";
/// Where an sos report has the output of dmidecode.
const DMIDECODE: [&str; 2] = ["sos_commands/hardware/dmidecode", "dmidecode"];

/// A field of [`Board`]: the file in sysfs, section and name in the output of dmidecode.
type Field = (&'static str, &'static str, &'static str, fn(&mut Board) -> &mut Option<String>);

const FIELDS: [Field; 7] = [
    ("sys_vendor", "System Information", "Manufacturer", |board| &mut board.system_vendor),
    ("product_name", "System Information", "Product Name", |board| &mut board.product),
    ("board_vendor", "Base Board Information", "Manufacturer", |board| &mut board.vendor),
    ("board_name", "Base Board Information", "Product Name", |board| &mut board.name),
    ("bios_vendor", "BIOS Information", "Vendor", |board| &mut board.firmware_vendor),
    ("bios_version", "BIOS Information", "Version", |board| &mut board.firmware_version),
    ("bios_date", "BIOS Information", "Release Date", |board| &mut board.firmware_date),
];

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
    let dmidecode = || DMIDECODE.iter().find_map(|name| files.start_of(&machine.join(name), MAX));
    if let Some(text) = host.board.is_empty().then(dmidecode).flatten() {
        host.board = board(&String::from_utf8_lossy(&text));
    }
}

/// Takes what the sysfs of a running kernel does not have for something that there is not: a kernel
/// without support for IOMMUs has no such directories. Of a copy nobody knows what was copied.
pub(super) fn settle<K: Sink>(files: &Files, root: &Path, delivery: &mut Delivery<'_, K>) {
    let Some(host) = &mut delivery.host else { return };
    let has_all = |name: &str| {
        let directory = files.real(&root.join(name));
        directory.is_ok_and(|directory| files.names(&directory, 0).is_ok())
    };
    if host.iommus.is_none() && has_all("class") && !has_all(IOMMUS) {
        host.iommus = Some(Vec::new());
    }
    if host.group_types.is_none() && has_all("kernel") && !has_all(GROUPS) {
        host.group_types = Some(BTreeMap::new());
    }
}

/// What dmidecode printed: sections that begin at the start of a line, indented fields in them. Of
/// several sections of a name the first counts.
fn board(text: &str) -> Board {
    let mut board = Board::default();
    let mut section = "";
    for line in text.lines() {
        let Some(field) = line.strip_prefix('\t') else {
            section = line;
            continue;
        };
        let Some((name, value)) = field.split_once(": ") else { continue };
        for (_, of, wanted, place) in FIELDS {
            let place = place(&mut board);
            if place.is_none() && of == section && wanted == name && !value.trim().is_empty() {
                *place = Some(value.trim().to_string());
            }
        }
    }
    board
}

/// Reads what a sysfs says, where it is not known yet.
pub(super) fn read_sysfs<K: Sink>(files: &Files, root: &Path, delivery: &mut Delivery<'_, K>) {
    let most = delivery.limits.entries;
    let mut cut = Vec::new();
    let mut names = |name: &str| {
        let (names, more) = names(files, &root.join(name), most)?;
        if more {
            cut.push(files.full(&root.join(name)));
        }
        // Of a part nobody knows what is in the rest.
        (!more).then_some(names)
    };
    let host = delivery.host.get_or_insert_with(Host::default);
    if host.iommus.is_none() {
        host.iommus = names(IOMMUS);
    }
    if host.tables.is_none() {
        host.tables = names(TABLES).map(|names| {
            let known = IOMMU_TABLES.iter().filter(|table| names.iter().any(|name| name == *table));
            known.map(ToString::to_string).collect()
        });
    }
    if host.board.is_empty() {
        for (name, _, _, place) in FIELDS {
            *place(&mut host.board) = first_line(files, &root.join(BOARD).join(name));
        }
    }
    if host.group_types.is_none() {
        let directory = root.join(GROUPS);
        host.group_types = names(GROUPS).map(|names| {
            let ids = names.into_iter().filter_map(|name| name.parse::<u32>().ok());
            let kind = |id: u32| first_line(files, &directory.join(id.to_string()).join("type"));
            ids.map(|id| (id, kind(id))).collect::<BTreeMap<_, _>>()
        });
    }
    for directory in cut {
        let text = format!("{}: not used: {}", shown(&directory), delivery.limits.passed(Limit::Entries));
        delivery.problem(ProblemKind::LeftOut, None, text);
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

/// The lines of a text, as many as are whole within so many bytes; and whether there are more.
pub(super) fn lines(files: &Files, path: &Path, limit: usize) -> Option<(String, bool)> {
    let opened = files.open(&files.real(path).ok()?).ok()??;
    let mut bytes = Vec::new();
    let mut text = Sequential::from(opened, 0).take(limit.saturating_add(1) as u64);
    text.read_to_end(&mut bytes).ok()?;
    let cut = bytes.len() > limit;
    if cut {
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or_default());
    }
    Some((String::from_utf8_lossy(&bytes).into_owned(), cut))
}

/// The first line of a small file.
pub(super) fn first_line(files: &Files, path: &Path) -> Option<String> {
    let text = text(files, path, MAX)?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(ToString::to_string)
}

/// The names in a directory, at most so many, and whether there are more; `None` if it cannot be listed.
fn names(files: &Files, directory: &Path, most: u64) -> Option<(Vec<String>, bool)> {
    let (names, more) = files.names(&files.real(directory).ok()?, most).ok()?;
    Some((names.into_iter().filter_map(|name| name.into_string().ok()).collect(), more))
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
    NAMES.iter().chain(&DMIDECODE).any(|name| path.ends_with(name))
        || (FIELDS.iter().any(|field| field.0 == name) && above(1).is_some_and(|d| d.ends_with(BOARD)))
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
        put(&sysfs.join("class/dmi/id/bios_version"), "P3.40\n");
        put(&root.path().join("proc/cmdline"), "quiet pci=noats\n");
        let host = host_of(root.path());
        assert_eq!(host.cmdline.as_deref(), Some("quiet pci=noats"));
        assert_eq!(host.release, None);
        assert_eq!(host.iommus, Some(vec!["dmar0".into()]));
        assert_eq!(host.tables, Some(vec!["DMAR".into()]));
        assert_eq!(host.group_types, Some(BTreeMap::from([(3, Some("DMA-FQ".into()))])));
        assert_eq!(host.board.firmware_version.as_deref(), Some("P3.40"));
    }

    #[test]
    fn the_output_of_dmidecode_names_board_and_firmware() {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("sys/class/iommu")).expect("made");
        let text = "Handle 0x0000, DMI type 0, 26 bytes\nBIOS Information\n\tVendor: American Megatrends\n\
                    \tVersion: 2.3\n\nHandle 0x0001, DMI type 1, 27 bytes\nSystem Information\n\
                    \tProduct Name: X11\n\tVersion: 9\n\tSerial Number: SECRET\n";
        put(&root.path().join("sos_commands/hardware/dmidecode"), text);
        let board = host_of(root.path()).board;
        assert_eq!(board.firmware_vendor.as_deref(), Some("American Megatrends"));
        assert_eq!(board.firmware_version.as_deref(), Some("2.3"));
        assert_eq!(board.product.as_deref(), Some("X11"));
        assert_eq!(board.name, None);
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
