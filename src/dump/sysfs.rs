//! sysfs, of the running host or as a copy.
//!
//! Configuration space of a live function is read where decoding asks for it and nowhere else:
//! reading some registers of some devices has effects. The kernel gives ordinary users the first 64
//! bytes only (128 of a CardBus bridge), although the file looks longer.
//!
//! Source: Linux, Documentation/PCI/sysfs-pci.rst and Documentation/ABI/testing/sysfs-bus-pci.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::format;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use super::detect::read_full_at;
use super::error::{Error, shown};
use super::host_use::host_uses;
use super::name;
use super::tree::open_regular;
use super::{Delivery, Host, NOTHING, ProblemKind};
use crate::addr::{Sbdf, Segment};
use crate::config::{CONVENTIONAL_SIZE, SIZE, Source};
use crate::function::{Attributes, HostBridge, HostUse, RegionKind, ReservedRegion, Sink};

/// Reserved regions that are kept of one group.
const REGIONS: usize = 256;

/// Where sysfs lists PCI functions.
const DEVICES: &str = "bus/pci/devices";

/// Reads the running host through the sysfs at `root`.
pub(super) fn read_live<K: Sink>(root: &Path, delivery: &mut Delivery<'_, K>) -> Result<Host, Error> {
    let own = root == Path::new("/sys");
    Reader::read(root, own.then_some(Path::new("/proc")), delivery)?;
    // With another root, /proc may be another machine's, or another container's.
    if !own {
        return Ok(Host::default());
    }
    Ok(Host { kernel: first_line("sys/kernel/osrelease"), cmdline: first_line("cmdline") })
}

/// Reads a copy of sysfs at `root`, with a copy of `/proc` if there is one.
pub(super) fn read_copy<K: Sink>(
    root: &Path,
    proc: Option<&Path>,
    delivery: &mut Delivery<'_, K>,
) -> Result<(), Error> {
    Reader::read(root, proc, delivery).map_err(|error| match error {
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

/// The copy of `/proc` beside that of sysfs, in the directory that was named.
pub(super) fn tables_beside(directory: &Path, copy: &Path) -> Option<PathBuf> {
    let proc = fs::canonicalize(directory.join("proc")).ok().filter(|_| copy != directory)?;
    proc.starts_with(fs::canonicalize(directory).ok()?).then_some(proc)
}

/// The first megabyte of a table of the kernel below `root`, which has no links in its path; nothing if
/// it cannot be read.
pub(super) fn text_file(root: &Path, path: &str) -> String {
    let mut text = Vec::new();
    let real = fs::canonicalize(root.join(path)).ok().filter(|path| path.starts_with(root));
    if let Some(file) = real.and_then(|path| open_regular(&path).ok().flatten()) {
        // What was read before an error is the beginning of the table all the same.
        let _ = file.take(1 << 20).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The first line of a file of `/proc`.
fn first_line(path: &str) -> Option<String> {
    let text = text_file(Path::new("/proc"), path);
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(ToString::to_string)
}

struct Reader<'a, 'b, K> {
    delivery: &'a mut Delivery<'b, K>,
    /// The root without links: nothing outside is read.
    root: PathBuf,
    host_bridges: BTreeSet<HostBridge>,
    /// What the host uses functions for.
    uses: BTreeMap<Sbdf, Vec<HostUse>>,
    /// Groups whose reserved regions have been read.
    groups: BTreeSet<u32>,
    /// Functions of which the kernel gave the first bytes only.
    limited: usize,
}

impl<'a, 'b, K: Sink> Reader<'a, 'b, K> {
    fn read(root: &Path, proc: Option<&Path>, delivery: &'a mut Delivery<'b, K>) -> Result<(), Error> {
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
        let uses = proc.map(|proc| host_uses(&real, proc)).unwrap_or_default();
        let mut reader = Self {
            delivery,
            root: real,
            host_bridges: BTreeSet::new(),
            uses,
            groups: BTreeSet::new(),
            limited: 0,
        };
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
        attributes.host_uses = self.uses.remove(&address).unwrap_or_default();
        attributes.kernel_group.into_iter().for_each(|group| self.reserved_regions(group));
        let path = directory.join("config");
        match open_regular(&path).and_then(|file| file.map(Config::open).transpose()) {
            Ok(Some(config)) => {
                if config.extent == 0 {
                    let text = format!("{}: gives no bytes: the function may be gone", shown(&path));
                    self.delivery.problem(ProblemKind::Unreadable, Some(address), text);
                }
                self.limited = self.limited.saturating_add(usize::from(config.limited));
                attributes.conventional_size = config.extent == CONVENTIONAL_SIZE && !config.limited;
                self.delivery.record(address, &config, attributes);
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

    /// Tells the reserved regions of a group that has not come before. Source: Linux,
    /// Documentation/ABI/testing/sysfs-kernel-iommu_groups.
    fn reserved_regions(&mut self, group: u32) {
        if !self.groups.insert(group) {
            return;
        }
        let text = text_file(&self.root, &format!("kernel/iommu_groups/{group}/reserved_regions"));
        let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        for line in text.lines().take(REGIONS) {
            let mut parts = line.split(' ');
            let (Some(first), Some(last), Some(kind)) = (
                parts.next().and_then(number),
                parts.next().and_then(number),
                parts.next().and_then(RegionKind::from_word),
            ) else {
                continue;
            };
            self.delivery.reserved_region(group, ReservedRegion { first, last, kind });
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

/// An open `config` file; the header is kept, the rest is read when it is asked for.
struct Config {
    file: File,
    header: [u8; HEADER as usize],
    extent: u16,
    /// Whether the file gave less than its size.
    limited: bool,
}

/// What the kernel gives to everybody.
const HEADER: u16 = 64;

impl Config {
    fn open(file: File) -> io::Result<Self> {
        let size = match file.metadata()?.len() {
            // Some file systems that pass sysfs on do not know the size.
            0 => SIZE,
            size => u16::try_from(size).unwrap_or(SIZE).min(SIZE),
        };
        let mut header = [0; HEADER as usize];
        let length = read_full_at(&file, &mut header, 0)?;
        let mut extent = u16::try_from(length).unwrap_or(HEADER);
        if extent == HEADER {
            // The largest size whose last byte can be read: that of the file, else what the kernel
            // limits it to.
            let sizes = [size, 256, 128];
            let readable = |size: &u16| *size > HEADER && ends_at(&file, *size);
            extent = sizes.into_iter().filter(|end| *end <= size).find(readable).unwrap_or(HEADER);
        }
        Ok(Self { file, header, extent, limited: extent < size && extent > 0 })
    }
}

/// Whether the last bytes before `end` can be read.
fn ends_at(file: &File, end: u16) -> bool {
    let mut last = [0; 1];
    matches!(read_full_at(file, &mut last, u64::from(end.saturating_sub(1))), Ok(1))
}

impl Source for &Config {
    fn extent(&self) -> u16 {
        self.extent
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let end = usize::from(offset).checked_add(N)?;
        if end > usize::from(self.extent) {
            return None;
        }
        if end <= self.header.len() {
            return self.header.get(usize::from(offset)..)?.first_chunk().copied();
        }
        let mut bytes = [0; N];
        let length = read_full_at(&self.file, &mut bytes, u64::from(offset)).ok()?;
        (length == N).then_some(bytes)
    }
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

    #[test]
    fn reads_stop_where_the_file_does() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("config");
        for (length, extent) in
            [(0, 0), (10, 10), (64, 64), (100, 100), (256, 256), (4096, 4096), (5000, 4096)]
        {
            fs::write(&path, vec![7; length]).expect("written");
            let config = Config::open(File::open(&path).expect("there")).expect("read");
            let source = &config;
            assert_eq!(source.extent(), extent);
            assert!(!config.limited);
            assert_eq!(source.array(extent.saturating_sub(4)), (extent >= 4).then_some([7_u8; 4]));
            assert_eq!(source.array::<4>(extent.saturating_sub(3)), None);
            assert_eq!(source.array::<4>(62), (extent >= 66).then_some([7; 4]));
            assert_eq!(source.array::<4>(u16::MAX), None);
        }
    }
}
