//! What the host itself uses functions for: mounted file systems, default routes. And what the kernel
//! reserves in their groups.
//!
//! Followed from the kernel's tables to a device, and from there through the devices that it is made
//! of (partitions, RAID, device mapper, bonds, bridges) down to PCI functions. Only what lies below the
//! given trees is read.
//!
//! Sources: proc_pid_mountinfo(5); Linux, Documentation/ABI/testing/sysfs-block, sysfs-class-net;
//! net/ipv4/fib_trie.c and net/ipv6/route.c for the forms of `route` and `ipv6_route`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use super::error::shown;
use super::files::{Files, Kind};
use super::host;
use crate::addr::Sbdf;
use crate::function::{HostUse, RegionKind, ReservedRegion};
use crate::limits::{Limit, Limits};

/// Reserved regions that are kept of one group.
const REGIONS: usize = 256;
/// Where a group says them.
pub(super) const RESERVED_REGIONS: &str = "reserved_regions";

/// The reserved regions of a group in the sysfs at `sysfs` of a tree. Source: Linux,
/// Documentation/ABI/testing/sysfs-kernel-iommu_groups.
pub(super) fn reserved_regions(files: &Files, sysfs: &Path, group: u32) -> Vec<ReservedRegion> {
    let path = sysfs.join(host::GROUPS).join(group.to_string()).join(RESERVED_REGIONS);
    let text = host::text(files, &path, host::MAX).unwrap_or_default();
    text.lines().filter_map(region).take(REGIONS).collect()
}

/// First address, last address, kind.
fn region(line: &str) -> Option<ReservedRegion> {
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let mut parts = line.split(' ');
    let (first, last) = (number(parts.next()?)?, number(parts.next()?)?);
    Some(ReservedRegion { first, last, kind: RegionKind::from_word(parts.next()?)? })
}

/// What PCI functions are used for, in the order of the tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) of: BTreeMap<Sbdf, Vec<HostUse>>,
    /// What was left out, and why.
    pub(super) left_out: Vec<String>,
}

/// What each PCI function is used for, by the tables at `proc` of one tree and the devices in the sysfs
/// at `sysfs` of another, or of the same.
pub(super) fn host_uses(files: &Files, sysfs: &Path, machine: &Files, proc: &Path, limits: &Limits) -> Uses {
    let mut uses = Uses::default();
    let mut table = |name: &str| {
        let path = proc.join(name);
        let (text, cut) = host::lines(machine, &path, limits.count(Limit::Table)).unwrap_or_default();
        if cut {
            let passed = limits.passed(Limit::Table);
            uses.left_out.push(format!("{}: not read to its end: {passed}", shown(&machine.full(&path))));
        }
        text
    };
    let [mounts, ipv4, ipv6] = ["self/mountinfo", "net/route", "net/ipv6_route"].map(&mut table);
    let mut search = Search { files, sysfs, left: Some(limits.count(Limit::Uses)), known: BTreeMap::new() };
    // Thousands may be mounted from one device.
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();
    let mut devices: BTreeMap<(&str, Option<&str>), Rc<BTreeSet<Sbdf>>> = BTreeMap::new();
    let mut told: BTreeSet<(Sbdf, &str)> = BTreeSet::new();
    for mount in &mounts {
        let functions = devices.entry((mount.numbers, mount.source)).or_insert_with(|| {
            let numbers = sysfs.join("dev/block").join(mount.numbers);
            let named = mount.source.and_then(|name| below(&sysfs.join("class/block"), name));
            search.functions([Some(numbers), named])
        });
        for function in functions.iter() {
            // What is kept of a mount grows with its name.
            if !search.costs(mount.point.len().div_ceil(64)) {
                break;
            }
            if told.insert((*function, &mount.point)) {
                uses.of.entry(*function).or_default().push(HostUse::Mounted(mount.point.clone()));
            }
        }
    }
    let interfaces: BTreeSet<&str> =
        ipv4.lines().filter_map(default_ipv4).chain(ipv6.lines().filter_map(default_ipv6)).collect();
    for interface in interfaces {
        for function in search.functions([below(&sysfs.join("class/net"), interface), None]).iter() {
            if search.costs(interface.len().div_ceil(64)) {
                let of = uses.of.entry(*function).or_default();
                of.push(HostUse::DefaultRoute(interface.to_string()));
            }
        }
    }
    if search.left.is_none() {
        let passed = limits.passed(Limit::Uses);
        uses.left_out.push(format!("what the host uses is not looked for any further: {passed}"));
    }
    uses
}

/// One line of `mountinfo`.
struct Mount<'l> {
    /// Major and minor number, `8:1`.
    numbers: &'l str,
    point: String,
    /// Name of the block device, if the source is one.
    source: Option<&'l str>,
}

impl<'l> Mount<'l> {
    fn parse(line: &'l str) -> Option<Self> {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let numbers = fields.nth(2)?;
        let point = fields.nth(1)?;
        let (major, minor) = numbers.split_once(':')?;
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !number(major) || !number(minor) {
            return None;
        }
        let source = source.split(' ').nth(1).and_then(|source| source.strip_prefix("/dev/"));
        // Source: proc_pid_mountinfo(5): white space is written as \040 and the like.
        Some(Self { numbers, point: point.replace("\\040", " "), source })
    }
}

/// The interface of a line of `route` that is a default route: destination and mask 0, and up.
fn default_ipv4(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [interface, destination, _, flags, _, _, _, mask, ..] = *fields.as_slice() else { return None };
    let up = u32::from_str_radix(flags, 16).ok()? & 1 != 0;
    (up && destination == "00000000" && mask == "00000000").then_some(interface)
}

/// The same of `ipv6_route`. The kernel refuses what has no route through `lo`.
fn default_ipv6(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [destination, "00", .., flags, interface] = *fields.as_slice() else { return None };
    let up = u32::from_str_radix(flags, 16).ok()? & 1 != 0;
    (up && interface != "lo" && destination.bytes().all(|b| b == b'0')).then_some(interface)
}

/// A name in a directory, if it is one name.
fn below(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) => Some(directory.join(name)),
        _ => None,
    }
}

struct Search<'s> {
    files: &'s Files,
    sysfs: &'s Path,
    /// How much may still be looked at; `None` where more was wanted.
    left: Option<usize>,
    /// What was found of devices.
    known: BTreeMap<PathBuf, Rc<BTreeSet<Sbdf>>>,
}

impl Search<'_> {
    /// Whether so much more may be looked at.
    fn costs(&mut self, cost: usize) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(cost.max(1)));
        self.left.is_some()
    }

    /// The device that a link leads to.
    fn device(&mut self, link: &Path) -> Option<PathBuf> {
        if !self.costs(1) {
            return None;
        }
        self.files.real(link).ok().filter(|path| path.starts_with(self.sysfs))
    }

    /// The functions that these devices stand on.
    fn functions(&mut self, links: [Option<PathBuf>; 2]) -> Rc<BTreeSet<Sbdf>> {
        let devices: BTreeSet<PathBuf> =
            links.iter().flatten().filter_map(|link| self.device(link)).collect();
        let mut found: Vec<Rc<BTreeSet<Sbdf>>> =
            devices.into_iter().map(|device| self.below(device)).collect();
        match (found.pop(), found.pop()) {
            (Some(one), None) => one,
            (one, other) => Rc::new(one.iter().chain(&other).flat_map(|set| set.iter().copied()).collect()),
        }
    }

    /// The functions that a device stands on, or else those of the devices that it is made of.
    fn below(&mut self, device: PathBuf) -> Rc<BTreeSet<Sbdf>> {
        if let Some(known) = self.known.get(&device) {
            return Rc::clone(known);
        }
        let (mut seen, mut found) = (BTreeSet::from([device.clone()]), BTreeSet::new());
        let mut next = Vec::from([device.clone()]);
        while let Some(device) = next.pop() {
            let inside = device.strip_prefix(self.sysfs).unwrap_or(&device);
            let function =
                inside.components().filter_map(|part| part.as_os_str().to_str()?.parse().ok()).next_back();
            match function {
                Some(function) => _ = found.insert(function),
                None => {
                    next.extend(self.made_of(&device).into_iter().filter(|part| seen.insert(part.clone())))
                }
            }
        }
        let found = Rc::new(found);
        self.known.insert(device, Rc::clone(&found));
        found
    }

    fn made_of(&mut self, device: &Path) -> Vec<PathBuf> {
        // What RAID and device mapper are made of; a partition has it one directory up.
        let slaves = [Some(device), device.parent()].into_iter().flatten().map(|owner| owner.join("slaves"));
        let slaves: Vec<_> = slaves.flat_map(|directory| self.entries(&directory, "")).collect();
        // What bonds, bridges and virtual LANs are made of.
        let lower = self.entries(device, "lower_");
        // NVMe with several paths: the subsystem names its controllers.
        let subsystem = device
            .ancestors()
            .find(|path| path.parent().is_some_and(|parent| parent.ends_with("virtual/nvme-subsystem")));
        let controllers = subsystem.map(|subsystem| self.entries(subsystem, "nvme")).unwrap_or_default();
        [slaves, lower, controllers].concat()
    }

    /// The devices that the links in a directory lead to.
    fn entries(&mut self, directory: &Path, prefix: &str) -> Vec<PathBuf> {
        let Some(left) = self.left else { return Vec::new() };
        let Ok((names, more)) = self.files.names(directory, left as u64) else { return Vec::new() };
        if more {
            self.left = None;
        }
        let links = names.iter().filter(|name| name.to_str().is_some_and(|name| name.starts_with(prefix)));
        let links = links.map(|name| directory.join(name));
        links
            .filter_map(|link| {
                let is_link = self.costs(1) && self.files.kind(&link).is_ok_and(|kind| kind == Kind::Link);
                is_link.then(|| self.device(&link)).flatten()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A host whose root file system is on a mirror of two disks behind one controller and one NVMe with
    /// several paths, and whose default route leaves through a bridge over a bond of two ports.
    fn host(root: &Path) {
        let make = |path: &str| fs::create_dir_all(root.join(path)).expect("made");
        let link = |to: &str, at: &str| {
            let at = root.join(at);
            fs::create_dir_all(at.parent().expect("below")).expect("made");
            symlink(root.join(to), at).expect("made");
        };
        let disk = "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda";
        make(&format!("{disk}/sda1"));
        make("sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0");
        let subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
        make(&format!("{subsystem}/nvme0n1/nvme0n1p2"));
        link("sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0", &format!("{subsystem}/nvme0"));
        make("sys/devices/virtual/block/md0/md0p1");
        link(&format!("{disk}/sda1"), "sys/devices/virtual/block/md0/slaves/sda1");
        link(&format!("{subsystem}/nvme0n1/nvme0n1p2"), "sys/devices/virtual/block/md0/slaves/nvme0n1p2");
        link("sys/devices/virtual/block/md0/md0p1", "sys/dev/block/259:3");
        link(&format!("{disk}/sda1"), "sys/class/block/sda1");
        for (port, name) in [("0000:02:00.0", "eth0"), ("0000:02:00.1", "eth1")] {
            let device = format!("sys/devices/pci0000:00/0000:00:02.0/{port}/net/{name}");
            make(&device);
            link(&device, &format!("sys/devices/virtual/net/bond0/lower_{name}"));
        }
        link("sys/devices/virtual/net/bond0", "sys/devices/virtual/net/br0/lower_bond0");
        link("sys/devices/virtual/net/br0", "sys/class/net/br0");
        make("proc/self");
        make("proc/net");
        let mounts = "21 1 259:3 / / rw - ext4 /dev/root rw\n\
                      22 21 0:30 / /data\\0401 rw shared:1 - btrfs /dev/sda1 rw\n\
                      23 21 0:5 / /dev rw - devtmpfs udev rw\nnonsense\n\
                      24 21 9:9 / /x rw - ext4 /dev/../../proc rw\n";
        fs::write(root.join("proc/self/mountinfo"), mounts).expect("written");
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                      br0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      ../eth9\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      eth5\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        fs::write(root.join("proc/net/route"), routes).expect("written");
    }

    #[test]
    fn uses_are_followed_through_what_devices_are_made_of() {
        let root = tempfile::tempdir().expect("a directory");
        let root = fs::canonicalize(root.path()).expect("there");
        host(&root);
        let whole = Files::directory(&root).expect("there");
        let sysfs = Files::directory(&root.join("sys")).expect("there");
        let limits = Limits::default();
        let uses = host_uses(&whole, Path::new("sys"), &whole, Path::new("proc"), &limits);
        let live = host_uses(&sysfs, Path::new(""), &whole, Path::new("proc"), &limits);
        assert_eq!(uses, live, "as the live host's");
        let of = |address: &str| {
            let address: Sbdf = address.parse().expect("valid");
            uses.of.get(&address).map(|uses| uses.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(of("00:1f.2"), Some(Vec::from(["mounted on /".into(), "mounted on /data 1".into()])));
        assert_eq!(of("01:00.0"), Some(Vec::from(["mounted on /".into()])));
        for port in ["02:00.0", "02:00.1"] {
            assert_eq!(of(port), Some(Vec::from(["default route through br0".into()])));
        }
        assert_eq!((uses.of.len(), uses.left_out.len()), (4, 0));
        let uses_of_all = uses;
        // What is cut is said: here after the first line of the mounts, and behind the third device.
        let limits = Limits { table: 60, uses: 3, ..Limits::default() };
        let cut = host_uses(&whole, Path::new("sys"), &whole, Path::new("proc"), &limits);
        assert!(cut.of.len() < 4, "{cut:?}");
        let told = cut.left_out.join("\n");
        assert!(told.contains("/proc/self/mountinfo: not read to its end"), "{told}");
        assert!(told.contains("--limit table=VALUE") && told.contains("--limit uses=VALUE"), "{told}");
        let enough = (1..200).find(|uses| {
            let limits = Limits { uses: *uses, ..Limits::default() };
            let found = host_uses(&whole, Path::new("sys"), &whole, Path::new("proc"), &limits);
            let told = found.left_out.is_empty();
            assert_eq!(told, found == uses_of_all, "told if and only if something is left out");
            told
        });
        assert!(enough.is_some_and(|enough| enough > 10), "{enough:?}");
        for uses in cut.of.values() {
            assert!(!uses.iter().any(|used| used.to_string().contains("data")), "{uses:?}");
        }
    }

    #[test]
    fn a_host_without_tables_uses_nothing() {
        let root = tempfile::tempdir().expect("a directory");
        let files = Files::directory(root.path()).expect("there");
        let uses = host_uses(&files, Path::new("sys"), &files, Path::new("proc"), &Limits::default());
        assert_eq!(uses, Uses::default());
    }

    #[test]
    fn default_routes_of_both_protocols_are_known() {
        let zero = "0".repeat(32);
        let line =
            format!("{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 1 0 00000003     eth0");
        assert_eq!(default_ipv6(&line), Some("eth0"));
        assert_eq!(default_ipv6(&line.replace("eth0", "lo")), None);
        assert_eq!(default_ipv6(&line.replacen('0', "2", 1)), None);
        assert_eq!(default_ipv4("eth0 00000000 0100000A 0002 0 0 0 00000000 0 0 0"), None, "down");
        assert_eq!(default_ipv4(""), None);
    }
}
