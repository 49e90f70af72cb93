//! Captures: what was read of a machine, as a small sysfs tree in a tar archive, packed with zstd.
//!
//! | path | what |
//! |---|---|
//! | `manifest.json` | tool, kernel, command line, board, what is complete, what was left out |
//! | `sys/bus/pci/devices/*`, `sys/devices/pciDDDD:BB/…` | the functions: `config`, IDs, links to driver and group |
//! | `sys/kernel/iommu_groups/*`, `sys/class/iommu/*` | the kernel's groups, with `type`; its IOMMUs, by name |
//! | `sys/firmware/acpi/tables/*` | names of the tables that describe an IOMMU; they are empty |
//! | `sys/class/dmi/id/*` | board and firmware version, without serial numbers |
//! | `proc/cmdline`, `proc/sys/kernel/osrelease` | command line, kernel release |
//!
//! Entries are sorted and have no times, so that the same input makes the same bytes, except for the
//! time in the manifest. zstd is written by `ruzstd`, which also reads it: no C compiler is needed, and
//! a capture is small anyway.
//!
//! What [`Redact`] leaves out is replaced by zeros, exactly: the Device Serial Number capability
//! (extended ID 0003h, +04h to +0Bh); the data register of Vital Product Data (ID 03h, +04h to +07h);
//! subsystem IDs (header 2Ch to 2Fh, of CardBus bridges 40h to 43h, of bridges ID 0Dh, +04h to +07h); the
//! host's name in the manifest and in the command line. Where a list is broken, so that such a structure
//! may have been missed, what the list leads through is left out as a whole. Vendor-specific structures
//! are kept: what they hold nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::time::{SystemTime, UNIX_EPOCH};
use std::vec::Vec;
use std::{format, io};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::files::Files;
use super::host::first_line;
use super::{Error, Input, Options, SourceInfo};
use crate::addr::Sbdf;
use crate::cap::id::{CapabilityId, ExtendedCapabilityId};
use crate::cap::list::{WalkError, capabilities, extended_capabilities};
use crate::config::{CONVENTIONAL_SIZE, ConfigSpace, HeaderLayout, Source};
use crate::function::{HostBridge, Inventory, Record, Sink};
use crate::topology::{FunctionIndex, Parent, Topology};

/// What is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redact {
    /// Device serial numbers.
    pub serials: bool,
    /// What was last read of Vital Product Data.
    pub vpd: bool,
    /// The host's name.
    pub hostname: bool,
    /// Subsystem IDs.
    pub subsystem: bool,
}

impl Redact {
    fn words(self) -> Vec<&'static str> {
        let all = [
            (self.serials, "serials"),
            (self.vpd, "vpd"),
            (self.hostname, "hostname"),
            (self.subsystem, "subsystem"),
        ];
        all.into_iter().filter_map(|(is, word)| is.then_some(word)).collect()
    }
}

/// A capture, in memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Capture {
    members: BTreeMap<PathBuf, Member>,
    problems: Vec<String>,
    complete: bool,
}

#[derive(Clone, Debug)]
enum Member {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

/// Reads an input whole. Of a sysfs each byte of configuration space is read once, and nothing else of
/// a device.
///
/// # Errors
///
/// Those of [`read`](super::read).
pub fn capture(input: &Input, options: &Options, redact: Redact) -> Result<Capture, Error> {
    let options = Options { whole: true, strict: true, ..options.clone() };
    let mut collector = Collector { inventory: Inventory::new(), bytes: BTreeMap::new() };
    let info = super::read(input, &options, &mut collector)?;
    let topology = Topology::new(collector.inventory.finish());
    let live = match input {
        Input::Live { sysfs_root } => {
            Files::directory(sysfs_root).ok().map(|files| (files, sysfs_root.as_path()))
        }
        _ => None,
    };
    let mut tree = Tree { topology: &topology, redact, members: BTreeMap::new() };
    let mut cut = Vec::new();
    let mut gaps = Gaps::default();
    let directories = tree.directories();
    for (index, directory) in directories.iter().enumerate() {
        let Some(address) = topology.address(index) else { continue };
        let mut bytes = collector.bytes.remove(&address).unwrap_or_default();
        let known = topology.function(index).map_or(0, |function| function.captured);
        if bytes.len() < usize::from(known) {
            gaps.lost.insert(address);
            gaps.kept.insert(address, bytes.len());
        }
        if redact_config(&mut bytes, redact) {
            cut.push(address);
            gaps.kept.insert(address, bytes.len());
        }
        // A file of 256 bytes would say that the kernel reads no more of the function.
        let kernels = topology.inventory().attributes(index).is_some_and(|known| known.conventional_size);
        let conventional = topology.function(index).is_some_and(|function| function.pcie.is_absent());
        if bytes.len() == usize::from(CONVENTIONAL_SIZE) && !kernels && !conventional {
            bytes.pop();
        }
        tree.function(index, directory, bytes, live.as_ref().map(|(files, _)| files));
    }
    tree.machine(&info, live.as_ref().map(|(files, _)| files), &directories);
    let hostname = live.as_ref().and_then(|(_, root)| hostname(root));
    tree.texts(&info, hostname.as_deref());
    let incomplete = topology.functions().iter().filter(|function| !function.is_complete()).count();
    let complete = incomplete == 0 && info.problems.is_empty() && gaps.lost.is_empty();
    let mut members = tree.members;
    gaps.complete = complete;
    gaps.problems = info.problems.iter().map(ToString::to_string).chain(left_out(&gaps.lost)).collect();
    let manifest = manifest(&info, &topology, &members, redact, hostname.as_deref(), &gaps);
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    members.insert(PathBuf::from("manifest.json"), Member::File(format!("{text}\n").into_bytes()));
    let mut problems = gaps.problems;
    problems.extend(
        cut.iter().map(|address| format!("{address}: a list is broken: cut short, to leave out for certain")),
    );
    Ok(Capture { members, problems, complete })
}

/// What a capture has not got.
#[derive(Default)]
struct Gaps {
    /// Functions of which something that was known is left behind.
    lost: BTreeSet<Sbdf>,
    /// How many bytes are kept of functions that are not kept whole.
    kept: BTreeMap<Sbdf, usize>,
    problems: Vec<String>,
    complete: bool,
}

/// Says which functions' registers do not come along: a file of bytes has no holes and no words.
fn left_out(lost: &BTreeSet<Sbdf>) -> Option<String> {
    let first = lost.first()?;
    let others = lost.len().saturating_sub(1);
    let more = if others > 0 { format!(" and {others} more") } else { String::new() };
    Some(format!(
        "{first}{more}: what decoded text told of registers whose bytes are not there, or what stands behind a gap, \
         cannot be kept: keep the dump that this was made of"
    ))
}

impl Capture {
    /// Whether everything that decoding asks for was there.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// What could not be read, one line each.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(String::as_str)
    }

    /// The archive.
    ///
    /// # Errors
    ///
    /// If a name cannot stand in an archive.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for (path, member) in &self.members {
            let mut header = Header::new_gnu();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            match member {
                Member::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(0o755);
                    builder.append_data(&mut header, path, io::empty())?;
                }
                Member::File(bytes) => {
                    header.set_mode(0o644);
                    header.set_size(bytes.len() as u64);
                    builder.append_data(&mut header, path, bytes.as_slice())?;
                }
                Member::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_mode(0o777);
                    builder.append_link(&mut header, path, target)?;
                }
            }
        }
        Ok(compress_to_vec(builder.into_inner()?.as_slice(), CompressionLevel::Fastest))
    }
}

/// Keeps the bytes of each function beside what they decode to.
struct Collector {
    inventory: Inventory,
    bytes: BTreeMap<Sbdf, Vec<u8>>,
}

impl Sink for Collector {
    fn record<S: Source>(&mut self, record: Record<'_, S>) {
        // A file cannot have holes: what comes after one is left out.
        let bytes: Vec<u8> =
            (0..record.config.extent()).map_while(|offset| record.config.u8(offset)).collect();
        let kept = self.bytes.entry(record.address).or_default();
        if bytes.len() > kept.len() {
            *kept = bytes;
        }
        self.inventory.record(record);
    }

    fn host_bridge(&mut self, host_bridge: HostBridge) {
        self.inventory.host_bridge(host_bridge);
    }
}

struct Tree<'a> {
    topology: &'a Topology,
    redact: Redact,
    members: BTreeMap<PathBuf, Member>,
}

/// Files of a function that tools look at, which the kernel knows without asking the device.
const COPIED: [&str; 9] = [
    "class",
    "vendor",
    "device",
    "revision",
    "subsystem_vendor",
    "subsystem_device",
    "irq",
    "resource",
    "numa_node",
];

/// Files about the board, none of which tells one machine from another.
const BOARD: [&str; 8] = [
    "sys_vendor",
    "product_name",
    "board_vendor",
    "board_name",
    "board_version",
    "bios_vendor",
    "bios_version",
    "bios_date",
];

impl Tree<'_> {
    fn file(&mut self, path: PathBuf, bytes: impl Into<Vec<u8>>) {
        self.members.insert(path, Member::File(bytes.into()));
    }

    /// A link from one path of the tree to another, relative as sysfs has it.
    fn link(&mut self, path: PathBuf, target: &Path) {
        let from = path.parent().unwrap_or(&path);
        let same = from.components().zip(target.components()).take_while(|(a, b)| a == b).count();
        let up = from.components().skip(same).map(|_| "..");
        let relative: PathBuf = up.chain(target.iter().skip(same).filter_map(|name| name.to_str())).collect();
        self.members.insert(path, Member::Link(relative));
    }

    /// Where each function's directory is. What is above a function comes before it.
    fn directories(&self) -> Vec<PathBuf> {
        let topology = self.topology;
        let devices = Path::new("sys/devices");
        let unplaced = devices.join("unplaced");
        let mut found: Vec<PathBuf> = Vec::new();
        for (index, function) in topology.functions().iter().enumerate() {
            let address = function.address;
            let at = |above: FunctionIndex| found.get(above).cloned();
            let above = match topology.parent_of(index) {
                Parent::Bridge(bridge) => at(bridge),
                Parent::VirtualFunctions(bus) => {
                    at(topology.on_bus(bus).start).and_then(|path| path.parent().map(Path::to_path_buf))
                }
                Parent::Root => {
                    let named = topology.inventory().host_bridge_at(address.segment, address.bus());
                    // Segments of drivers have a function above, which only a name tells.
                    let is_plain = address.segment.0 <= 0xffff;
                    let requester = named.and_then(|bridge| bridge.requester);
                    let base = match requester {
                        Some(requester) => topology.index_of(requester).and_then(at),
                        None => (named.is_some() || is_plain).then(|| devices.to_path_buf()),
                    };
                    base.map(|base| base.join(format!("pci{}:{:02x}", address.segment, address.bus())))
                }
                Parent::Orphan(_) => None,
            };
            found.push(above.unwrap_or_else(|| unplaced.clone()).join(address.to_string()));
        }
        found
    }

    fn function(&mut self, index: FunctionIndex, directory: &Path, bytes: Vec<u8>, live: Option<&Files>) {
        let Some(function) = self.topology.function(index) else { return };
        let name = function.address.to_string();
        self.link(Path::new("sys/bus/pci/devices").join(&name), directory);
        if function.answers {
            let (vendor, device) =
                self.topology.ids(index).unwrap_or((function.vendor_id, function.device_id));
            let class = u32::from(function.class.class());
            let mut put = |name: &str, text: String| self.file(directory.join(name), text);
            put("vendor", format!("{vendor:#06x}\n"));
            put("device", format!("{device:#06x}\n"));
            put("class", format!("0x{class:04x}{:02x}\n", bytes.get(9).copied().unwrap_or_default()));
            put("revision", format!("{:#04x}\n", function.revision));
            if let Some((vendor, device)) = function.subsystem().filter(|_| !self.redact.subsystem) {
                self.file(directory.join("subsystem_vendor"), format!("{vendor:#06x}\n"));
                self.file(directory.join("subsystem_device"), format!("{device:#06x}\n"));
            }
        }
        for file in COPIED.iter().filter(|file| !(self.redact.subsystem && file.starts_with("subsystem"))) {
            let path = Path::new("bus/pci/devices").join(&name).join(file);
            if let Some(bytes) = live.and_then(|files| files.start_of(&path, 4096)) {
                self.members.insert(directory.join(file), Member::File(bytes));
            }
        }
        self.file(directory.join("config"), bytes);
        let Some(known) = self.topology.inventory().attributes(index) else { return };
        if let Some(driver) = known.driver.as_deref().filter(|driver| is_name(driver)) {
            let path = Path::new("sys/bus/pci/drivers").join(driver);
            self.members.insert(path.clone(), Member::Directory);
            self.link(directory.join("driver"), &path);
        }
        if let Some(group) = known.kernel_group {
            let path = Path::new("sys/kernel/iommu_groups").join(group.to_string());
            self.link(path.join("devices").join(&name), directory);
            self.link(directory.join("iommu_group"), &path);
        }
        if let Some(physical) = known.physical_function {
            let target = directory.parent().unwrap_or(directory).join(physical.to_string());
            self.link(directory.join("physfn"), &target);
        }
    }

    /// IOMMUs, groups, tables, board.
    fn machine(&mut self, info: &SourceInfo, live: Option<&Files>, directories: &[PathBuf]) {
        if directories.is_empty() {
            return;
        }
        let Some(host) = &info.host else { return };
        let directory = |name: &str| (PathBuf::from(name), Member::Directory);
        if let Some(iommus) = &host.iommus {
            self.members.extend([directory("sys/class/iommu")]);
            for name in iommus.iter().filter(|name| is_name(name)) {
                self.members.insert(Path::new("sys/devices/virtual/iommu").join(name), Member::Directory);
                let target = Path::new("sys/devices/virtual/iommu").join(name);
                self.link(Path::new("sys/class/iommu").join(name), &target);
            }
        }
        if let Some(groups) = &host.group_types {
            self.members.extend([directory("sys/kernel/iommu_groups")]);
            for (id, kind) in groups {
                let path = Path::new("sys/kernel/iommu_groups").join(id.to_string());
                if let Some(kind) = kind {
                    self.file(path.join("type"), format!("{kind}\n"));
                }
                let regions = live.and_then(|files| {
                    files.start_of(
                        &Path::new("kernel/iommu_groups").join(id.to_string()).join("reserved_regions"),
                        65536,
                    )
                });
                if let Some(regions) = regions {
                    self.file(path.join("reserved_regions"), regions);
                }
            }
        }
        if let Some(tables) = &host.tables {
            self.members.extend([directory("sys/firmware/acpi/tables")]);
            for table in tables {
                self.file(Path::new("sys/firmware/acpi/tables").join(table), Vec::new());
            }
        }
        for name in BOARD {
            let text = live.and_then(|files| first_line(files, &Path::new("class/dmi/id").join(name)));
            if let Some(text) = text {
                self.file(Path::new("sys/class/dmi/id").join(name), format!("{text}\n"));
            }
        }
    }

    /// Kernel and command line.
    fn texts(&mut self, info: &SourceInfo, hostname: Option<&str>) {
        if let Some(release) = &info.kernel {
            self.file(PathBuf::from("proc/sys/kernel/osrelease"), format!("{release}\n"));
        }
        if let Some(cmdline) = &info.cmdline {
            let cmdline = without_name(cmdline, hostname.filter(|_| self.redact.hostname));
            self.file(PathBuf::from("proc/cmdline"), format!("{cmdline}\n"));
        }
    }
}

/// A name that stands for itself in a path.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+');
    !name.is_empty() && name.len() <= 128 && name.bytes().all(plain) && !name.starts_with('.')
}

/// The text without the host's name.
fn without_name(text: &str, name: Option<&str>) -> String {
    name.map_or_else(|| text.to_string(), |name| text.replace(name, "REDACTED"))
}

/// The host's name, of the machine that has this sysfs as `sys`.
fn hostname(sysfs: &Path) -> Option<String> {
    let machine = sysfs.ends_with("sys").then(|| sysfs.parent()).flatten()?;
    first_line(&Files::directory(machine).ok()?, Path::new("proc/sys/kernel/hostname"))
}

fn manifest(
    info: &SourceInfo,
    topology: &Topology,
    members: &BTreeMap<PathBuf, Member>,
    redact: Redact,
    hostname: Option<&str>,
    gaps: &Gaps,
) -> Value {
    let text = |path: &Path| match members.get(path) {
        Some(Member::File(bytes)) => Some(String::from_utf8_lossy(bytes).trim_end().to_string()),
        _ => None,
    };
    let board: BTreeMap<&str, String> = BOARD
        .into_iter()
        .filter_map(|name| Some((name, text(&Path::new("sys/class/dmi/id").join(name))?)))
        .collect();
    let functions: Vec<Value> = topology
        .functions()
        .iter()
        .map(|function| {
            let kept = gaps.kept.get(&function.address);
            let bytes = kept.copied().unwrap_or(usize::from(function.captured));
            let whole = function.is_complete() && kept.is_none();
            json!({"address": function.address.to_string(), "bytes": bytes, "complete": whole})
        })
        .collect();
    let taken = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    json!({
        "format": "acsscan-capture/1",
        "tool": {"name": "acsscan", "version": env!("CARGO_PKG_VERSION")},
        "taken": taken,
        "source": info.kind.word(),
        "kernel": info.kernel,
        "cmdline": text(Path::new("proc/cmdline")),
        "hostname": hostname.filter(|_| !redact.hostname),
        "board": board,
        "redacted": redact.words(),
        "complete": gaps.complete,
        "problems": gaps.problems,
        "functions": functions,
    })
}

/// Zeroes what is to be left out. Whether a broken list made it cut the bytes short.
fn redact_config(bytes: &mut Vec<u8>, redact: Redact) -> bool {
    if redact == (Redact { hostname: redact.hostname, ..Redact::default() }) {
        return false;
    }
    let mut zero: Vec<(usize, usize)> = Vec::new();
    let mut keep = bytes.len();
    let config = ConfigSpace::new(bytes.as_slice());
    let broken = |error: &WalkError| matches!(error, WalkError::Anomaly(_));
    for entry in capabilities(&config) {
        match entry {
            Ok(found) => {
                let at = usize::from(found.offset).saturating_add(4);
                let is_vpd = found.id == CapabilityId(VITAL_PRODUCT_DATA) && redact.vpd;
                if is_vpd || (found.id == CapabilityId::BRIDGE_SUBSYSTEM && redact.subsystem) {
                    zero.push((at, 4));
                }
            }
            Err(error) if broken(&error) => keep = keep.min(64),
            Err(_) => {}
        }
    }
    if keep > usize::from(CONVENTIONAL_SIZE) {
        for entry in extended_capabilities(&config) {
            match entry {
                Ok(found) if found.id == ExtendedCapabilityId(DEVICE_SERIAL_NUMBER) && redact.serials => {
                    zero.push((usize::from(found.offset).saturating_add(4), 8));
                }
                Ok(_) => {}
                // One byte less than what would say that there is no more.
                Err(error) if broken(&error) => {
                    keep = keep.min(usize::from(CONVENTIONAL_SIZE).saturating_sub(1))
                }
                Err(_) => {}
            }
        }
    }
    match config.common_header().map(|header| header.header_type().layout()) {
        Some(HeaderLayout::Type0) if redact.subsystem => zero.push((0x2c, 4)),
        Some(HeaderLayout::Type2) if redact.subsystem => zero.push((0x40, 4)),
        _ => {}
    }
    for (at, length) in zero {
        bytes.iter_mut().skip(at).take(length).for_each(|byte| *byte = 0);
    }
    let cut = keep < bytes.len();
    bytes.truncate(keep);
    cut
}

/// Capability ID of Vital Product Data (PCI Local Bus 3.0, appendix I).
const VITAL_PRODUCT_DATA: u8 = 0x03;
/// Extended capability ID of the Device Serial Number (PCIe Base 6.x, §7.9.3).
const DEVICE_SERIAL_NUMBER: u16 = 0x0003;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    /// VPD at 40h, subsystem at 50h; a serial number at 100h.
    fn config() -> Vec<u8> {
        let mut bytes = vec![0xaa; 4096];
        bytes[..0x40].fill(0);
        bytes[..4].copy_from_slice(&[0x86, 0x80, 1, 0]);
        bytes[6] = 0x10;
        bytes[0x2c..0x30].copy_from_slice(&[1, 2, 3, 4]);
        bytes[0x34] = 0x40;
        bytes[0x40..0x42].copy_from_slice(&[0x03, 0x50]);
        bytes[0x50..0x52].copy_from_slice(&[0x10, 0x00]);
        bytes[0x100..0x104].copy_from_slice(&[0x03, 0, 1, 0]);
        bytes
    }

    #[test]
    fn what_is_left_out_is_zero_and_nothing_else_changes() {
        let all = Redact { serials: true, vpd: true, hostname: true, subsystem: true };
        for (redact, ranges) in [
            (Redact::default(), vec![]),
            (Redact { serials: true, ..Redact::default() }, vec![(0x104, 0x10c)]),
            (Redact { vpd: true, ..Redact::default() }, vec![(0x44, 0x48)]),
            (all, vec![(0x104, 0x10c), (0x44, 0x48), (0x2c, 0x30)]),
        ] {
            let (before, mut after) = (config(), config());
            assert!(!redact_config(&mut after, redact));
            for at in 0..before.len() {
                let out = ranges.iter().any(|(from, end)| (*from..*end).contains(&at));
                assert_eq!(after[at], if out { 0 } else { before[at] }, "{at:#x}");
            }
        }
    }

    #[test]
    fn behind_a_broken_list_nothing_is_kept_that_could_be_a_serial_number() {
        let redact = Redact { serials: true, ..Redact::default() };
        let mut extended = config();
        extended[0x100..0x104].copy_from_slice(&[0x0b, 0, 1, 0x10]);
        assert!(redact_config(&mut extended, redact));
        assert_eq!(extended.len(), 255);
        let mut standard = config();
        standard[0x41] = 0x40;
        assert!(redact_config(&mut standard, redact));
        assert_eq!(standard.len(), 64);
    }

    #[test]
    fn names_from_a_dump_cannot_lead_elsewhere() {
        for bad in ["", ".", "..", "../x", "a/b", "a\0b", ".hidden"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name("vfio-pci") && is_name("dmar0"));
    }
}
