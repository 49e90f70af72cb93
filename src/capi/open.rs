//! From an input to a scan: everything that is asked later, worked out once.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use self_cell::self_cell;

use super::border::{CStatus, Failure, Output, call, follow, owned, plain, slice, string};
use crate::db::{self, Database};
use crate::dump::{self, Input, Options, SourceInfo};
use crate::function::Inventory;
use crate::route::domains::Domains;
use crate::route::fabric::Fabric;
use crate::route::linux::{Grouping, Linux};
use crate::route::{Assumptions, RootComplex};
use crate::topology::Topology;

/// What may be asked for when a scan is made; a sum of them is passed. 0 assumes what Linux assumes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CFlag {
    /// Do not assume that the root complex passes traffic between its ports through the IOMMU.
    RootComplexUnknown = 1,
    /// Completions with Relaxed Ordering and I/O requests count, too, which no ACS control redirects.
    CountRelaxedAndIo = 2,
    /// Do not trust functions of one device to use their own routing IDs only.
    DistrustRoutingIds = 4,
}

/// A dump or a host, read and worked out. It does not change; threads may share it.
pub struct CScan {
    world: World,
    domains: Domains,
    groups: Grouping,
    problems: Vec<String>,
}

/// What the models look at.
struct Facts {
    topology: Topology,
    database: Database,
}

self_cell!(
    struct World {
        owner: Facts,
        #[covariant]
        dependent: Fabric,
    }
);

impl CScan {
    pub(super) fn new(
        inventory: Inventory,
        info: Option<&SourceInfo>,
        assumptions: &Assumptions,
    ) -> Result<Self, Failure> {
        let database = db::builtin().map_err(|error| Failure::input(error.to_string()))?;
        let facts = Facts { topology: Topology::new(inventory.finish()), database };
        let groups = Linux::new(&facts.topology, &facts.database).group();
        let world = World::new(facts, |facts| Fabric::new(&facts.topology, &facts.database));
        let domains = world.borrow_dependent().domains(assumptions);
        Ok(Self { world, domains, groups, problems: info.map(problems).unwrap_or_default() })
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.world.borrow_owner().topology
    }

    pub(super) fn fabric(&self) -> &Fabric<'_> {
        self.world.borrow_dependent()
    }

    pub(super) const fn domains(&self) -> &Domains {
        &self.domains
    }

    pub(super) const fn groups(&self) -> &Grouping {
        &self.groups
    }

    /// Refuses a number that is no function's.
    pub(super) fn function(&self, index: usize) -> Result<usize, Failure> {
        let count = self.topology().functions().len();
        if index < count { Ok(index) } else { Err(too_large("function", index, count)) }
    }
}

pub(super) fn too_large(what: &str, index: usize, count: usize) -> Failure {
    Failure::argument(format!("{what} {index} of {count}: numbers start at 0"))
}

/// One line for each problem of the reader.
fn problems(info: &SourceInfo) -> Vec<String> {
    let mut lines: Vec<String> = info.problems.iter().map(ToString::to_string).collect();
    if info.problems_left_out > 0 {
        lines.push(format!("and {} more problems", info.problems_left_out));
    }
    lines
}

pub(super) fn assumptions(flags: u32) -> Result<Assumptions, Failure> {
    let known = [CFlag::RootComplexUnknown, CFlag::CountRelaxedAndIo, CFlag::DistrustRoutingIds];
    let unknown = known.into_iter().fold(flags, |rest, flag| rest & !(flag as u32));
    if unknown != 0 {
        return Err(Failure::argument(format!("flags {unknown:#x} are not known to this version")));
    }
    let has = |flag: CFlag| flags & flag as u32 != 0;
    let defaults = Assumptions::default();
    Ok(Assumptions {
        root_complex: match has(CFlag::RootComplexUnknown) {
            true => RootComplex::Unknown,
            false => defaults.root_complex,
        },
        count_relaxed_and_io: has(CFlag::CountRelaxedAndIo),
        trust_routing_ids: !has(CFlag::DistrustRoutingIds),
        ..defaults
    })
}

/// Hands a scan to the caller.
pub(super) unsafe fn hand_over(output: Output<*mut CScan>, scan: CScan) {
    // SAFETY: as the module says.
    unsafe { output.write(Box::into_raw(Box::new(scan))) };
}

/// Reads, works out and hands over.
unsafe fn open(
    scan: *mut *mut CScan,
    flags: u32,
    read: impl FnOnce(&mut Inventory) -> Result<SourceInfo, Failure>,
) -> Result<(), Failure> {
    let output = Output::new(scan, "scan")?;
    let assumptions = assumptions(flags)?;
    let mut inventory = Inventory::new();
    let info = read(&mut inventory)?;
    // SAFETY: as the module says.
    unsafe { hand_over(output, CScan::new(inventory, Some(&info), &assumptions)?) };
    Ok(())
}

fn path(text: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(text.to_bytes()))
}

fn failed(error: &dump::Error) -> Failure {
    Failure::input(error.to_string())
}

/// Scans the running host. Without privileges the kernel shows 64 bytes of each function, which are not
/// enough: see `acsscan_problem()`.
///
/// `sysfs_root` is where sysfs is, for containers; `NULL` is `/sys`. `flags` is a sum of `acsscan_flag`. On
/// success `*scan` is the caller's, for `acsscan_close()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_open_live(
    sysfs_root: *const c_char,
    flags: u32,
    scan: *mut *mut CScan,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        let sysfs_root = match sysfs_root.is_null() {
            true => Path::new("/sys"),
            // SAFETY: as the module says.
            false => path(unsafe { string(sysfs_root, "sysfs_root") }?),
        };
        let input = Input::Live { sysfs_root: sysfs_root.to_path_buf() };
        let read = |sink: &mut Inventory| {
            dump::read(&input, &Options::default(), sink).map_err(|error| failed(&error))
        };
        // SAFETY: as the module says.
        unsafe { open(scan, flags, read) }
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// Scans a file or directory; its format is found out from the content, as the command does.
///
/// `flags` is a sum of `acsscan_flag`. On success `*scan` is the caller's, for `acsscan_close()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_open_path(
    path: *const c_char,
    flags: u32,
    scan: *mut *mut CScan,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        // SAFETY: as the module says.
        let input = Input::Path(self::path(unsafe { string(path, "path") }?).to_path_buf());
        let read = |sink: &mut Inventory| {
            dump::read(&input, &Options::default(), sink).map_err(|error| failed(&error))
        };
        // SAFETY: as the module says.
        unsafe { open(scan, flags, read) }
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// Scans text in memory: the output of `lspci -xxxx`, with anything between its records. For bytes of
/// configuration space see `acsscan_builder_new()`.
///
/// `flags` is a sum of `acsscan_flag`. On success `*scan` is the caller's, for `acsscan_close()`; `bytes` is
/// no longer needed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_open_memory(
    bytes: *const u8,
    size: usize,
    flags: u32,
    scan: *mut *mut CScan,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        // SAFETY: as the module says.
        let bytes = unsafe { slice(bytes, size, "bytes") }?;
        let read = |sink: &mut Inventory| {
            dump::read_stream(bytes, "memory", &Options::default(), sink).map_err(|error| failed(&error))
        };
        // SAFETY: as the module says.
        unsafe { open(scan, flags, read) }
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// Ends a scan. `NULL` is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_close(scan: *mut CScan) {
    if !scan.is_null() {
        // SAFETY: by the module's contract it comes from `hand_over`, and nobody else has it.
        plain(|| drop(unsafe { Box::from_raw(scan) }));
    }
}

/// How many problems the reader had with single functions or files: bytes that it may not read, lines
/// that are damaged. What is missing for them is *not captured*, never absent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_problem_count(scan: *const CScan) -> usize {
    // SAFETY: as the module says.
    plain(|| unsafe { follow(scan, "scan") }.map_or(0, |scan| scan.problems.len()))
}

/// One problem of the reader, in one line. `*text` is the caller's, for `acsscan_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_problem(
    scan: *const CScan,
    problem: usize,
    text: *mut *mut c_char,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        let output = Output::new(text, "text")?;
        // SAFETY: as the module says.
        let problems = &unsafe { follow(scan, "scan") }?.problems;
        let line = problems.get(problem).ok_or_else(|| too_large("problem", problem, problems.len()))?;
        // SAFETY: as the module says.
        unsafe { output.write(owned(line)) };
        Ok(())
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}
