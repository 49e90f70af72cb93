//! What a machine says beside its functions: IOMMUs, groups, firmware tables, kernel, board.
//!
//! Source: Linux, Documentation/ABI/testing/sysfs-class-iommu, sysfs-kernel-iommu_groups and
//! sysfs-firmware-dmi-tables; Documentation/filesystems/proc.rst.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use super::Input;
use super::tree::open_regular;
use crate::kernel::{Host, IOMMU_TABLES};

/// Longest file that is looked at, in bytes.
const MAX: u64 = 64 * 1024;
/// Most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 1 << 16;

/// Where the sysfs of an input is, if it is one: the running host's, or a copy in a directory.
#[must_use]
pub fn sysfs_of(input: &Input) -> Option<PathBuf> {
    match input {
        Input::Live { sysfs_root } => Some(sysfs_root.clone()),
        Input::Path(path) if path.is_dir() => super::sysfs::find(path),
        Input::Path(_) | Input::Stdin => None,
    }
}

/// What the machine with this sysfs says of itself. `/proc` is looked for beside it, where the sysfs is
/// called `sys`: elsewhere it would be another machine's.
#[must_use]
pub fn host(sysfs: &Path) -> Host {
    let Some(machine) = Machine::new(sysfs) else { return Host::default() };
    let groups = machine.names("kernel/iommu_groups").map(|names| {
        let ids = names.into_iter().filter_map(|name| name.parse::<u32>().ok());
        ids.map(|id| (id, machine.line(&format!("kernel/iommu_groups/{id}/type"))))
            .collect::<BTreeMap<_, _>>()
    });
    let tables = machine.names("firmware/acpi/tables").map(|names| {
        let known = IOMMU_TABLES.iter().filter(|table| names.iter().any(|name| name == *table));
        known.map(ToString::to_string).collect()
    });
    Host {
        release: machine.proc_line("sys/kernel/osrelease"),
        cmdline: machine.proc_line("cmdline"),
        iommus: machine.names("class/iommu"),
        group_types: groups,
        tables,
    }
}

/// A machine's files. No link that leads out is followed.
pub(super) struct Machine {
    /// The sysfs, without links.
    sysfs: PathBuf,
    /// The procfs, if there is one beside it.
    proc: Option<PathBuf>,
}

impl Machine {
    pub(super) fn new(sysfs: &Path) -> Option<Self> {
        let sysfs = fs::canonicalize(sysfs).ok()?;
        let beside =
            sysfs.ends_with("sys").then(|| sysfs.parent().map(|parent| parent.join("proc"))).flatten();
        let real =
            |path: PathBuf| fs::symlink_metadata(&path).is_ok_and(|data| data.is_dir()).then_some(path);
        let proc = beside.and_then(real);
        Some(Self { sysfs, proc })
    }

    /// The names in a directory of the sysfs, sorted; `None` if it cannot be listed.
    pub(super) fn names(&self, path: &str) -> Option<Vec<String>> {
        let real =
            fs::canonicalize(self.sysfs.join(path)).ok().filter(|real| real.starts_with(&self.sysfs))?;
        let entries = fs::read_dir(real).ok()?.take(MAX_ENTRIES);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Some(names)
    }

    /// The first line of a file of the sysfs.
    pub(super) fn line(&self, path: &str) -> Option<String> {
        first_line(&self.file(path)?)
    }

    /// A small file of the sysfs.
    pub(super) fn file(&self, path: &str) -> Option<Vec<u8>> {
        let real =
            fs::canonicalize(self.sysfs.join(path)).ok().filter(|real| real.starts_with(&self.sysfs))?;
        read(&real)
    }

    /// The first line of a file of the procfs.
    pub(super) fn proc_line(&self, path: &str) -> Option<String> {
        let proc = self.proc.as_ref()?;
        let real = fs::canonicalize(proc.join(path)).ok().filter(|real| real.starts_with(proc))?;
        first_line(&read(&real)?)
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path).ok()??.take(MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn first_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::vec;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
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
        let host = host(&sysfs);
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
        assert_eq!(host(&sysfs), Host::default());
    }
}
