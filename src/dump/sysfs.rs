//! sysfs, of the running host or as a copy.
//!
//! Configuration space of a live function is read where decoding asks for it and nowhere else:
//! reading some registers of some devices has effects. The kernel gives ordinary users the first 64
//! bytes only (128 of a CardBus bridge), although the file looks longer.
//!
//! Source: Linux, Documentation/PCI/sysfs-pci.rst and Documentation/ABI/testing/sysfs-bus-pci.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::format;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use super::error::{Error, shown};
use super::name;
use super::on_demand::Config;
use super::tree::open_regular;
use super::{Delivery, Host, NOTHING, ProblemKind};
use crate::addr::{Sbdf, Segment};
use crate::config::{CONVENTIONAL_SIZE, Source};
use crate::function::{Attributes, HostBridge, Sink};

/// Where sysfs lists PCI functions.
const DEVICES: &str = "bus/pci/devices";

/// Reads the running host through the sysfs at `root`.
pub(super) fn read_live<K: Sink>(root: &Path, delivery: &mut Delivery<'_, K>) -> Result<Host, Error> {
    Reader::read(root, delivery)?;
    // With another root, /proc may be another machine's, or another container's.
    if root != Path::new("/sys") {
        return Ok(Host::default());
    }
    Ok(Host { kernel: first_line("/proc/sys/kernel/osrelease"), cmdline: first_line("/proc/cmdline") })
}

/// Reads a copy of sysfs at `root`.
pub(super) fn read_copy<K: Sink>(root: &Path, delivery: &mut Delivery<'_, K>) -> Result<(), Error> {
    Reader::read(root, delivery).map_err(|error| match error {
        Error::NoPci { .. } => Error::NoConfigs { path: root.to_path_buf() },
        error => error,
    })
}

/// The sysfs that a directory is, or has as `sys`; not one that a link puts there from outside.
pub(super) fn find(directory: &Path) -> Option<PathBuf> {
    let inside = |root: &PathBuf| {
        let devices = fs::canonicalize(root.join(DEVICES)).ok()?;
        let real = fs::canonicalize(directory).ok()?;
        (devices.is_dir() && devices.starts_with(real)).then_some(())
    };
    [directory.to_path_buf(), directory.join("sys")].into_iter().find(|root| inside(root).is_some())
}

/// The first line of a small file.
fn first_line(path: &str) -> Option<String> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(64 * 1024).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(ToString::to_string)
}

struct Reader<'a, 'b, K> {
    delivery: &'a mut Delivery<'b, K>,
    /// The root without links: nothing outside is read.
    root: PathBuf,
    host_bridges: BTreeSet<HostBridge>,
    /// Functions of which the kernel gave the first bytes only.
    limited: usize,
}

impl<'a, 'b, K: Sink> Reader<'a, 'b, K> {
    fn read(root: &Path, delivery: &'a mut Delivery<'b, K>) -> Result<(), Error> {
        let devices = root.join(DEVICES);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NoPci { path: devices.clone() },
            _ => Error::io(&devices, error),
        };
        let real = fs::canonicalize(root).map_err(failed)?;
        let mut addresses = Vec::new();
        for entry in fs::read_dir(&devices).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(address) = address(&name) {
                addresses.push((address, name));
            }
        }
        if addresses.is_empty() {
            return Err(Error::NoPci { path: devices });
        }
        addresses.sort_unstable();
        let mut reader = Self { delivery, root: real, host_bridges: BTreeSet::new(), limited: 0 };
        for (address, name) in addresses {
            reader.function(address, &devices.join(name));
        }
        reader.say_limited();
        Ok(())
    }

    /// Delivers one function: what cannot be read is missing, the function is not.
    fn function(&mut self, address: Sbdf, link: &Path) {
        let directory = match fs::canonicalize(link) {
            Ok(directory) if directory.starts_with(&self.root) => directory,
            Ok(_) => {
                let text = format!("{}: a link out of the directory: not followed", shown(link));
                self.delivery.problem(ProblemKind::LeadsOut, Some(address), text);
                return self.delivery.record(address, NOTHING, Attributes::default());
            }
            Err(error) => {
                self.delivery.file_problem(Some(address), link, &error);
                return self.delivery.record(address, NOTHING, Attributes::default());
            }
        };
        self.name_host_bridges(&directory);
        let mut attributes = attributes(&directory);
        let path = directory.join("config");
        match open_regular(&path).and_then(|file| file.map(Config::open).transpose()) {
            Ok(Some(config)) => {
                let source = &config;
                let extent = source.extent();
                if extent == 0 {
                    let text = format!("{}: gives no bytes: the function may be gone", shown(&path));
                    self.delivery.problem(ProblemKind::Unreadable, Some(address), text);
                }
                self.limited = self.limited.saturating_add(usize::from(config.is_limited()));
                attributes.conventional_size = extent == CONVENTIONAL_SIZE && !config.is_limited();
                self.delivery.record(address, source, attributes);
                if let Some(lost) = config.lost() {
                    let text = format!("{}: {lost}: not captured", shown(&path));
                    self.delivery.problem(ProblemKind::Unreadable, Some(address), text);
                }
                return;
            }
            Ok(None) => {
                let text = format!("{}: no regular file: not read", shown(&path));
                self.delivery.problem(ProblemKind::Unreadable, Some(address), text);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!("{}: missing: nothing is known of this function", shown(&path));
                self.delivery.problem(ProblemKind::NoConfig, Some(address), text);
            }
            Err(error) => self.delivery.file_problem(Some(address), &path, &error),
        }
        self.delivery.record(address, NOTHING, attributes);
    }

    /// Host bridges are directories `pciDDDD:BB` on the way to the function. One below a function is
    /// made by that function's driver (VMD), and everything below uses that function's requester ID.
    fn name_host_bridges(&mut self, directory: &Path) {
        let Ok(path) = directory.strip_prefix(&self.root) else { return };
        let mut above = None;
        for component in path.components() {
            let name = component.as_os_str();
            if let Some((segment, bus)) = name.to_str().and_then(name::host_bridge) {
                let host_bridge = HostBridge { segment: Segment(segment), bus, requester: above };
                if self.host_bridges.insert(host_bridge) {
                    self.delivery.host_bridge(host_bridge);
                }
            }
            above = address(name);
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
fn attributes(directory: &Path) -> Attributes {
    let target = |name: &str| fs::read_link(directory.join(name)).ok()?.file_name().map(OsStr::to_os_string);
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

    fn read_root(root: &Path) -> (Result<Host, Error>, Inventory, Vec<Problem>) {
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
        assert!(result.expect("read").kernel.is_none(), "not this host's");
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
        assert_eq!(kinds, [ProblemKind::NoConfig, ProblemKind::Vanished, ProblemKind::LeadsOut]);
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
