//! sysfs, of the running host or as a copy.
//!
//! Configuration space of a live function is read where decoding asks for it and nowhere else:
//! reading some registers of some devices has effects. The kernel gives ordinary users the first 64
//! bytes only (128 of a CardBus bridge), although the file looks longer.
//!
//! Source: Linux, Documentation/PCI/sysfs-pci.rst and Documentation/ABI/testing/sysfs-bus-pci.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::format;
use std::io;
use std::path::{Path, PathBuf};
use std::string::ToString;
use std::vec::Vec;

use super::error::{Error, shown};
use super::files::{Files, Kind, Lost, Opened};
use super::host_use::{Uses, host_uses, reserved_regions};
use super::name;
use super::on_demand::Config;
use super::{Delivery, NOTHING, ProblemKind, host, tree};
use crate::addr::{Sbdf, Segment};
use crate::config::{CONVENTIONAL_SIZE, Source};
use crate::function::{Attributes, HostBridge, Sink};

/// Where sysfs lists PCI functions.
const DEVICES: &str = "bus/pci/devices";

/// Reads the running host through the sysfs at `root`.
pub(super) fn read_live<K: Sink>(root: &Path, delivery: &mut Delivery<'_, K>) -> Result<(), Error> {
    let files = Files::directory(root).map_err(|error| no_pci(&root.join(DEVICES), error))?;
    // Where it is not called `sys`, the /proc beside may be another machine's.
    let machine = machine(root).and_then(|machine| Files::directory(machine).ok());
    let here = Path::new("");
    let limits = &delivery.limits;
    let uses = machine.as_ref().map(|machine| host_uses(&files, here, machine, Path::new("proc"), limits));
    Reader::read(&files, here, uses.unwrap_or_default(), delivery)?;
    match &machine {
        Some(machine) => host::read(machine, here, delivery),
        None => host::read_sysfs(&files, here, delivery),
    }
    host::settle(&files, here, delivery);
    Ok(())
}

/// Reads a copy of sysfs at `root` of a tree.
pub(super) fn read_copy<K: Sink>(
    files: &Files,
    root: &Path,
    delivery: &mut Delivery<'_, K>,
) -> Result<(), Error> {
    let mut uses = Uses::default();
    match machine(root) {
        Some(machine) => {
            uses = host_uses(files, root, files, &machine.join("proc"), &delivery.limits);
            host::read(files, machine, delivery);
        }
        None => host::read_sysfs(files, root, delivery),
    }
    delivery.part(root);
    Reader::read(files, root, uses, delivery).map_err(|error| match error {
        Error::NoPci { .. } => Error::no_configs(&files.full(root)),
        error => error,
    })
}

/// The sysfs that a directory is, or has as `sys`; not one that a link puts there from outside.
pub(super) fn find(files: &Files, directory: &Path) -> Option<PathBuf> {
    let inside = |root: &PathBuf| {
        let devices = files.real(&root.join(DEVICES)).ok()?;
        let real = files.real(directory).ok()?;
        let is_there = files.kind(&devices).ok()? == Kind::Directory && devices.starts_with(real);
        is_there.then_some(())
    };
    [directory.to_path_buf(), directory.join("sys")].into_iter().find(|root| inside(root).is_some())
}

/// The sysfs that a path leads into, if it names its list of devices: its links lead to the rest.
pub(super) fn root_above(path: &Path) -> Option<&Path> {
    path.ends_with(DEVICES).then(|| path.ancestors().nth(3)).flatten()
}

/// Whether the sysfs at `root` lists any function.
pub(super) fn has_functions(files: &Files, root: &Path) -> bool {
    list(files, root).is_ok_and(|functions| !functions.is_empty())
}

/// Whether there are bytes of any function of the sysfs at `root`.
pub(super) fn has_bytes(files: &Files, root: &Path) -> bool {
    let procfs = procfs(files, root);
    list(files, root).unwrap_or_default().into_iter().any(|(address, name)| {
        let config = root.join(DEVICES).join(name).join("config");
        let procfs = procfs.as_ref().map(|procfs| procfs_file(procfs, address));
        [Some(config), procfs]
            .into_iter()
            .flatten()
            .any(|path| files.start_of(&path, 1).is_some_and(|b| !b.is_empty()))
    })
}

/// Whether of some function of the sysfs at `root` there are only the first bytes.
pub(super) fn is_short(files: &Files, root: &Path) -> bool {
    let procfs = procfs(files, root);
    let length =
        |path: &Path| files.start_of(path, tree::SHORT.saturating_add(1)).map_or(0, |start| start.len());
    list(files, root).unwrap_or_default().into_iter().any(|(address, name)| {
        let config = length(&root.join(DEVICES).join(name).join("config"));
        let procfs = || procfs.as_ref().map_or(0, |procfs| length(&procfs_file(procfs, address)));
        (if config == 0 { procfs() } else { config }) <= tree::SHORT
    })
}

/// The machine that a sysfs is of: the directory that has it as `sys`.
fn machine(root: &Path) -> Option<&Path> {
    root.ends_with("sys").then(|| root.parent()).flatten()
}

/// The machine's `/proc/bus/pci`, if the tree has it.
fn procfs(files: &Files, root: &Path) -> Option<PathBuf> {
    let path = machine(root)?.join("proc/bus/pci");
    (files.kind(&path).ok()? == Kind::Directory).then_some(path)
}

/// A function's file in `/proc/bus/pci`, which names segment 0 only if there are others.
///
/// Source: Linux 7.2.13, `drivers/pci/proc.c`, `pci_proc_attach_device`.
fn procfs_file(procfs: &Path, address: Sbdf) -> PathBuf {
    let (bus, devfn) = (address.bus(), address.bdf.devfn());
    let directory = match address.segment.0 {
        0 => format!("{bus:02x}"),
        segment => format!("{segment:04x}:{bus:02x}"),
    };
    procfs.join(directory).join(format!("{:02x}.{:x}", devfn >> 3, devfn & 7))
}

/// The functions that a sysfs lists, sorted.
fn list(files: &Files, root: &Path) -> io::Result<Vec<(Sbdf, OsString)>> {
    let (names, _) = files.names(&files.real(&root.join(DEVICES)).map_err(as_io)?, u64::MAX)?;
    let mut functions: Vec<_> = names.into_iter().filter_map(|name| Some((address(&name)?, name))).collect();
    functions.sort_unstable();
    Ok(functions)
}

fn as_io(lost: Lost) -> io::Error {
    match lost {
        Lost::Outside => io::ErrorKind::NotFound.into(),
        Lost::Failed(error) => error,
    }
}

fn no_pci(devices: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::NoPci { path: devices.to_path_buf() }
        }
        _ => Error::io(devices, error),
    }
}

struct Reader<'a, 'b, K> {
    files: &'a Files,
    delivery: &'a mut Delivery<'b, K>,
    /// Where sysfs is in the tree: nothing outside is read.
    root: &'a Path,
    procfs: Option<PathBuf>,
    host_bridges: BTreeSet<HostBridge>,
    uses: Uses,
    /// Groups whose reserved regions have been read.
    groups: BTreeSet<u32>,
    /// Functions on the way to others, with their directories.
    above: BTreeMap<Sbdf, PathBuf>,
    /// Functions of which the kernel gave the first bytes only.
    limited: usize,
    /// Functions without a file, and the first of them.
    missing: usize,
    first_missing: Option<Sbdf>,
}

impl<'a, 'b, K: Sink> Reader<'a, 'b, K> {
    fn read(
        files: &'a Files,
        root: &'a Path,
        uses: Uses,
        delivery: &'a mut Delivery<'b, K>,
    ) -> Result<(), Error> {
        let devices = root.join(DEVICES);
        let functions = list(files, root).map_err(|error| no_pci(&files.full(&devices), error))?;
        if functions.is_empty() {
            return Err(Error::NoPci { path: files.full(&devices) });
        }
        for text in &uses.left_out {
            delivery.problem(ProblemKind::LeftOut, None, text);
        }
        let mut reader = Self {
            files,
            delivery,
            root,
            procfs: procfs(files, root),
            host_bridges: BTreeSet::new(),
            uses,
            groups: BTreeSet::new(),
            above: BTreeMap::new(),
            limited: 0,
            missing: 0,
            first_missing: None,
        };
        for (address, name) in &functions {
            reader.function(*address, &devices.join(name));
        }
        // Some copies have bridges as directories on the way only, without their links.
        for (address, directory) in core::mem::take(&mut reader.above) {
            if functions.binary_search_by_key(&address, |(known, _)| *known).is_err() {
                reader.function(address, &directory);
            }
        }
        reader.say_limited();
        reader.say_missing();
        Ok(())
    }

    /// Delivers one function: what cannot be read is missing, the function is not.
    fn function(&mut self, address: Sbdf, link: &Path) {
        let directory = match self.files.real(link) {
            Ok(directory) if directory.starts_with(self.root) => directory,
            Ok(_) | Err(Lost::Outside) => {
                let text =
                    format!("{}: a link out of the directory: not followed", shown(&self.files.full(link)));
                self.delivery.problem(ProblemKind::LeadsOut, Some(address), text);
                return self.delivery.record(address, NOTHING, Attributes::default());
            }
            Err(Lost::Failed(error)) => {
                self.delivery.file_problem(Some(address), &self.files.full(link), &error);
                return self.delivery.record(address, NOTHING, Attributes::default());
            }
        };
        self.name_those_above(&directory);
        let mut attributes = attributes(self.files, &directory);
        attributes.host_uses = self.uses.of.remove(&address).unwrap_or_default();
        if let Some(group) = attributes.kernel_group.filter(|group| self.groups.insert(*group)) {
            for region in reserved_regions(self.files, self.root, group) {
                self.delivery.reserved_region(group, region);
            }
        }
        let path = directory.join("config");
        let full = self.files.full(&path);
        let opened = self.open(&path, address);
        let whole = self.delivery.whole;
        match opened.and_then(|file| file.map(|file| Config::open(file, whole)).transpose()) {
            Ok(Some(config)) => {
                let source = &config;
                let extent = source.extent();
                if extent == 0 {
                    let text = format!("{}: gives no bytes: the function may be gone", shown(&full));
                    self.delivery.problem(ProblemKind::Unreadable, Some(address), text);
                }
                self.limited = self.limited.saturating_add(usize::from(config.is_limited()));
                attributes.conventional_size = extent == CONVENTIONAL_SIZE && !config.is_limited();
                self.delivery.record(address, source, attributes);
                if let Some(lost) = config.lost() {
                    let text = format!("{}: {lost}: not captured", shown(&full));
                    self.delivery.problem(ProblemKind::Unreadable, Some(address), text);
                }
                return;
            }
            Ok(None) => {
                let text = format!("{}: no regular file: not read", shown(&full));
                self.delivery.problem(ProblemKind::Unreadable, Some(address), text);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.missing = self.missing.saturating_add(1);
                self.first_missing.get_or_insert(address);
            }
            Err(error) => self.delivery.file_problem(Some(address), &full, &error),
        }
        self.delivery.record(address, NOTHING, attributes);
    }

    /// The function's bytes: from its own directory, else from the copy of `/proc/bus/pci` beside.
    fn open(&self, config: &Path, address: Sbdf) -> io::Result<Option<Opened<'a>>> {
        let opened = self.files.open(config);
        // Not read if there is no other place to look at: each byte may have to be read once only.
        let has_bytes =
            || matches!(&opened, Ok(Some(opened)) if opened.read_at(&mut [0], 0).is_ok_and(|n| n > 0));
        let Some(procfs) = self.procfs.as_ref().filter(|_| !has_bytes()) else { return opened };
        match self.files.open(&procfs_file(procfs, address)) {
            Ok(Some(other)) => Ok(Some(other)),
            _ => opened,
        }
    }

    /// Host bridges are directories `pciDDDD:BB` on the way to the function. One below a function is
    /// made by that function's driver (VMD), and everything below uses that function's requester ID.
    fn name_those_above(&mut self, directory: &Path) {
        let Ok(path) = directory.strip_prefix(self.root) else { return };
        let (mut at, mut above) = (self.root.to_path_buf(), None);
        for component in path.components() {
            let name = component.as_os_str();
            at.push(name);
            if let Some((segment, bus)) = name.to_str().and_then(name::host_bridge) {
                let host_bridge = HostBridge { segment: Segment(segment), bus, requester: above };
                if self.host_bridges.insert(host_bridge) {
                    self.delivery.host_bridge(host_bridge);
                }
            }
            above = address(name);
            if let Some(above) = above.filter(|_| at != directory) {
                self.above.entry(above).or_insert_with(|| at.clone());
            }
        }
    }

    /// One line, however many there are: some copies have the links only.
    fn say_missing(&mut self) {
        if self.missing > 0 {
            let text = match self.missing {
                1 => "has no config file: nothing is known of this function".to_string(),
                n => {
                    format!("and {} more have no config file: nothing is known of them", n.saturating_sub(1))
                }
            };
            self.delivery.problem(ProblemKind::NoConfig, self.first_missing, text);
        }
    }

    fn say_limited(&mut self) {
        if self.limited > 0 {
            let text = format!(
                "the kernel gave only the first 64 bytes of {} function(s), so their capabilities are not \
                 captured: run as root (with CAP_SYS_ADMIN on the host), or read a dump that root took with \
                 lspci -xxxx",
                self.limited
            );
            self.delivery.problem(ProblemKind::Limited, None, text);
        }
    }
}

/// The address that is the whole name.
fn address(name: &OsStr) -> Option<Sbdf> {
    name.to_str()?.parse().ok()
}

/// What the links in a function's directory say. They are read, never followed.
fn attributes(files: &Files, directory: &Path) -> Attributes {
    let target = |name: &str| files.link(&directory.join(name)).ok()?.file_name().map(OsStr::to_os_string);
    let driver = target("driver").and_then(|name| name.into_string().ok());
    let group = target("iommu_group").and_then(|name| name.to_str()?.parse().ok());
    let physical_function = target("physfn").and_then(|name| address(&name));
    Attributes { driver, kernel_group: group, physical_function, ..Attributes::default() }
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;
    use crate::function::Inventory;
    use std::fs::{self, File};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::vec;

    /// A copy of sysfs with an ordinary function, a VMD endpoint and a function below it.
    fn copy(root: &Path) {
        let vmd = "devices/pci0000:00/0000:00:0e.0";
        for (address, directory) in [
            ("0000:00:01.0", "devices/pci0000:00/0000:00:01.0".to_string()),
            ("0000:00:0e.0", vmd.to_string()),
            ("10000:e0:06.0", format!("{vmd}/pci10000:e0/10000:e0:06.0")),
        ] {
            let directory_path = root.join(&directory);
            fs::create_dir_all(&directory_path).expect("made");
            let mut bytes = vec![0; 256];
            bytes[..4].copy_from_slice(&[0x86, 0x80, 0x34, 0x12]);
            fs::write(directory_path.join("config"), bytes).expect("written");
            fs::create_dir_all(root.join(DEVICES)).expect("made");
            symlink(Path::new("../../..").join(directory), root.join(DEVICES).join(address)).expect("made");
        }
        let plain = root.join("devices/pci0000:00/0000:00:01.0");
        symlink("../../../bus/pci/drivers/vfio-pci", plain.join("driver")).expect("made");
        symlink("../../../kernel/iommu_groups/17", plain.join("iommu_group")).expect("made");
        symlink("../0000:00:0e.0", plain.join("physfn")).expect("made");
    }

    fn read_root(root: &Path) -> (Result<(), Error>, Inventory, Vec<Problem>) {
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        let result = read_live(root, &mut delivery);
        let problems = delivery.problems;
        (result, inventory.finish(), problems)
    }

    #[test]
    fn functions_come_with_driver_group_and_physical_function() {
        let root = tempfile::tempdir().expect("a directory");
        copy(root.path());
        let (result, inventory, problems) = read_root(root.path());
        result.expect("read");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(inventory.functions().len(), 3);
        assert!(
            inventory
                .functions()
                .iter()
                .all(|function| function.captured == 256 && function.vendor_id == 0x8086)
        );
        let known = inventory.attributes(0).expect("known");
        assert_eq!((known.driver.as_deref(), known.kernel_group), (Some("vfio-pci"), Some(17)));
        assert_eq!(known.physical_function, "00:0e.0".parse().ok());
    }

    #[test]
    fn a_host_bridge_below_a_function_uses_that_functions_requester_id() {
        let root = tempfile::tempdir().expect("a directory");
        copy(root.path());
        let (_, inventory, _) = read_root(root.path());
        let requester = |segment, bus| inventory.host_bridge_at(Segment(segment), bus).map(|h| h.requester);
        assert_eq!(requester(0, 0), Some(None));
        assert_eq!(requester(0x10000, 0xe0), Some("00:0e.0".parse().ok()));
    }

    #[test]
    fn a_function_that_cannot_be_read_stays_with_nothing_captured() {
        let root = tempfile::tempdir().expect("a directory");
        copy(root.path());
        let devices = root.path().join(DEVICES);
        fs::remove_file(devices.join("0000:00:01.0/config")).expect("removed");
        symlink("../../../devices/gone", devices.join("0000:00:02.0")).expect("made");
        symlink("/", devices.join("0000:00:03.0")).expect("made");
        let (result, inventory, problems) = read_root(root.path());
        assert!(result.is_ok());
        let captured: Vec<_> = inventory.functions().iter().map(|function| function.captured).collect();
        assert_eq!(captured, [0, 0, 0, 256, 256]);
        let kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [ProblemKind::Vanished, ProblemKind::LeadsOut, ProblemKind::NoConfig]);
        assert_eq!(inventory.attributes(0).and_then(|known| known.kernel_group), Some(17), "still known");
    }

    #[test]
    fn a_config_file_that_may_not_be_read_degrades_its_function_only() {
        let root = tempfile::tempdir().expect("a directory");
        copy(root.path());
        let config = root.path().join(DEVICES).join("0000:00:01.0/config");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o000)).expect("set");
        if File::open(&config).is_ok() {
            return; // root may read everything
        }
        let (_, inventory, problems) = read_root(root.path());
        assert_eq!(inventory.functions().len(), 3);
        assert_eq!(problems[0].kind, ProblemKind::PermissionDenied);
    }

    #[test]
    fn a_host_without_pci_is_an_error_that_says_so() {
        let root = tempfile::tempdir().expect("a directory");
        assert!(matches!(read_root(root.path()).0, Err(Error::NoPci { .. })));
        fs::create_dir_all(root.path().join(DEVICES)).expect("made");
        assert!(matches!(read_root(root.path()).0, Err(Error::NoPci { .. })));
    }
}
