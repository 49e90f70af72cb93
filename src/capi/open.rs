//! From an input to a scan: everything that is asked later, worked out once.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use self_cell::self_cell;

use super::border::{CStatus, Failure, Output, call, follow, owned, plain, sized, slice, string, utf8};
use crate::db::{self, Database, Date, Loaded, Places};
use crate::dump::{self, Input, Options, SourceInfo};
use crate::finding::{self, Facts, Finding};
use crate::function::Inventory;
use crate::kernel::Iommu;
use crate::route::accept::Acceptances;
use crate::route::domains::{Domains, IsolationDomain};
use crate::route::fabric::Fabric;
use crate::route::linux::{Group, Grouping, Linux};
use crate::route::{Assumptions, RootComplex};
use crate::topology::Topology;

/// What may be asked for when a scan is made; `acsscan_options.flags` is a sum of them. 0 assumes what
/// Linux assumes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CFlag {
    /// Do not assume that the root complex passes traffic between its ports through the IOMMU.
    RootComplexUnknown = 1,
    /// Completions with Relaxed Ordering and I/O requests count, too, which no ACS control redirects.
    CountRelaxedAndIo = 2,
    /// Do not trust functions of one device to use their own routing IDs only.
    DistrustRoutingIds = 4,
    /// Leave out the distribution's and the administrator's directories of database files.
    NoDefaultDatabases = 8,
    /// The input is of this host: what its own directories of database files say of places counts.
    /// `acsscan_open_live()` knows that by itself.
    OwnHost = 16,
}

/// How a scan is made. Set everything to 0, then `size`, then what is wanted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct COptions {
    /// `sizeof(acsscan_options)`: later versions have more, and leave 0 what an earlier one lacks.
    pub size: usize,
    /// A sum of `acsscan_flag`.
    pub flags: u32,
    /// How many database files are named.
    pub database_count: usize,
    /// Database files, and directories of them: later ones win. NULL if there are none.
    pub databases: *const *const c_char,
    /// Root of the file system that has the distribution's and the administrator's directories of database
    /// files; NULL is `/`.
    pub database_root: *const c_char,
    /// The day for which acceptances count, as `2026-03-02`; NULL is today, in UTC.
    pub today: *const c_char,
}

/// A dump or a host, read and worked out. It does not change; threads may share it.
pub struct CScan {
    world: World,
    domains: Domains,
    groups: Grouping,
    findings: Vec<Finding>,
    iommu: Iommu,
    problems: Vec<String>,
}

/// What the models look at.
struct Given {
    topology: Topology,
    database: Database,
    today: Date,
    own_host: bool,
    live: bool,
}

/// The models.
struct Models<'a> {
    linux: Linux<'a>,
    fabric: Fabric<'a>,
    accepted: Acceptances<'a>,
}

self_cell!(
    struct World {
        owner: Given,
        #[covariant]
        dependent: Models,
    }
);

/// What the caller asked for.
pub(super) struct Setup {
    assumptions: Assumptions,
    places: Places,
    today: Date,
    own_host: bool,
    live: bool,
}

impl CScan {
    pub(super) fn new(
        inventory: Inventory,
        info: Option<&SourceInfo>,
        setup: &Setup,
    ) -> Result<Self, Failure> {
        let loaded = db::load(&setup.places);
        if let Some(missing) = loaded.missing() {
            return Err(Failure::input(missing.to_string()));
        }
        let Loaded { database, refused, .. } = loaded;
        let given = Given {
            topology: Topology::new(inventory.finish()),
            database,
            today: setup.today,
            own_host: setup.own_host,
            live: setup.live,
        };
        let world = World::new(given, |given| {
            let linux = Linux::new(&given.topology, &given.database);
            let accepted = Acceptances::new(&given.topology, &given.database, given.today, given.own_host);
            Models { fabric: Fabric::seen_by(&linux), linux, accepted }
        });
        let models = world.borrow_dependent();
        let (domains, groups) = (models.fabric.domains(&setup.assumptions), models.linux.group());
        let lines: Vec<(String, bool)> = info.map(|info| info.lines().collect()).unwrap_or_default();
        let topology = models.linux.topology();
        let mut findings = finding::findings(topology);
        let losses = lines.iter().filter(|(_, loses)| *loses).map(|(text, _)| text.as_str());
        findings.extend(finding::lost_findings(losses));
        let host = info.and_then(|info| info.host.as_ref());
        findings.extend(refused.iter().map(|refused| finding::refused_finding(&refused.to_string())));
        let iommu = Iommu::of(host, topology);
        let mut problems: Vec<String> = lines.into_iter().map(|(text, _)| text).collect();
        problems.extend(refused.iter().map(ToString::to_string));
        Ok(Self { world, domains, groups, findings, iommu, problems })
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.world.borrow_owner().topology
    }

    pub(super) fn fabric(&self) -> &Fabric<'_> {
        &self.world.borrow_dependent().fabric
    }

    pub(super) const fn domains(&self) -> &Domains {
        &self.domains
    }

    pub(super) const fn groups(&self) -> &Grouping {
        &self.groups
    }

    /// What the question rests on whether functions may be assigned.
    pub(super) fn facts(&self) -> Facts<'_, '_> {
        let Models { linux, fabric, accepted } = self.world.borrow_dependent();
        Facts {
            linux,
            fabric,
            domains: &self.domains,
            grouping: &self.groups,
            accepted,
            iommu: self.iommu,
            live: self.world.borrow_owner().live,
            findings: &self.findings,
        }
    }

    /// Refuses a number that is no function's.
    pub(super) fn function(&self, index: usize) -> Result<usize, Failure> {
        let count = self.topology().functions().len();
        if index < count { Ok(index) } else { Err(too_large("function", index, count)) }
    }

    /// The isolation domain with this number.
    pub(super) fn domain(&self, number: usize) -> Result<IsolationDomain<'_>, Failure> {
        self.domains.get(number).ok_or_else(|| too_large("domain", number, self.domains.len()))
    }

    /// The group with this number.
    pub(super) fn group(&self, number: usize) -> Result<&Group, Failure> {
        let groups = &self.groups.groups;
        groups.get(number).ok_or_else(|| too_large("group", number, groups.len()))
    }
}

pub(super) fn too_large(what: &str, index: usize, count: usize) -> Failure {
    Failure::argument(format!("{what} {index} of {count}: numbers start at 0"))
}

/// What a caller asks for; `NULL` is everything as it is by default.
pub(super) unsafe fn setup(options: *const COptions) -> Result<Setup, Failure> {
    let mut setup = Setup {
        assumptions: Assumptions::default(),
        places: Places::default(),
        today: Date::today(),
        own_host: false,
        live: false,
    };
    if options.is_null() {
        return Ok(setup);
    }
    // SAFETY: as the module says.
    let given = unsafe { sized(options, "options") }?;
    let known = [
        CFlag::RootComplexUnknown,
        CFlag::CountRelaxedAndIo,
        CFlag::DistrustRoutingIds,
        CFlag::NoDefaultDatabases,
        CFlag::OwnHost,
    ];
    let unknown = known.into_iter().fold(given.flags, |rest, flag| rest & !(flag as u32));
    if unknown != 0 {
        return Err(Failure::argument(format!("flags {unknown:#x} are not known to this version")));
    }
    let has = |flag: CFlag| given.flags & flag as u32 != 0;
    if has(CFlag::RootComplexUnknown) {
        setup.assumptions.root_complex = RootComplex::Unknown;
    }
    setup.assumptions.count_relaxed_and_io = has(CFlag::CountRelaxedAndIo);
    setup.assumptions.trust_routing_ids = !has(CFlag::DistrustRoutingIds);
    setup.own_host = has(CFlag::OwnHost);
    // SAFETY: as the module says.
    unsafe {
        if !given.database_root.is_null() {
            setup.places.root = Some(path(string(given.database_root, "options.database_root")?).into());
        }
        for file in slice(given.databases, given.database_count, "options.databases")? {
            setup.places.named.push(path(string(*file, "a file of options.databases")?).into());
        }
        if !given.today.is_null() {
            let today = utf8(given.today, "options.today")?;
            let wrong =
                || Failure::argument(format!("options.today is {today}, and no day such as 2026-03-02"));
            setup.today = db::date(today).ok_or_else(wrong)?;
        }
    }
    if has(CFlag::NoDefaultDatabases) {
        setup.places.root = None;
    }
    Ok(setup)
}

/// Hands a scan to the caller.
pub(super) unsafe fn hand_over(output: Output<*mut CScan>, scan: CScan) {
    // SAFETY: as the module says.
    unsafe { output.write(Box::into_raw(Box::new(scan))) };
}

/// Reads, works out and hands over.
unsafe fn open(
    scan: *mut *mut CScan,
    setup: Setup,
    read: impl FnOnce(&mut Inventory) -> Result<SourceInfo, dump::Error>,
) -> Result<(), Failure> {
    let output = Output::new(scan, "scan")?;
    let mut inventory = Inventory::new();
    let info = read(&mut inventory).map_err(|error| Failure::input(error.to_string()))?;
    // SAFETY: as the module says.
    unsafe { hand_over(output, CScan::new(inventory, Some(&info), &setup)?) };
    Ok(())
}

unsafe fn open_input(scan: *mut *mut CScan, options: *const COptions, input: &Input) -> Result<(), Failure> {
    // SAFETY: passed on.
    let mut setup = unsafe { setup(options) }?;
    setup.live = matches!(input, Input::Live { .. });
    setup.own_host |= setup.live;
    // SAFETY: passed on.
    unsafe { open(scan, setup, |sink| dump::read(input, &Options::default(), sink)) }
}

fn path(text: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(text.to_bytes()))
}

/// Scans the running host. Without privileges the kernel shows 64 bytes of each function, which are not
/// enough: see `acsscan_problem()`.
///
/// `sysfs_root` is where sysfs is, for containers; `NULL` is `/sys`. `options` may be `NULL`.
/// On success `*scan` is the caller's, for `acsscan_close()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_open_live(
    sysfs_root: *const c_char,
    options: *const COptions,
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
        // SAFETY: as the module says.
        unsafe { open_input(scan, options, &input) }
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// Scans a file or directory; its format is found out from the content, as the command does.
///
/// `options` may be `NULL`. On success `*scan` is the caller's, for `acsscan_close()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_open_path(
    path: *const c_char,
    options: *const COptions,
    scan: *mut *mut CScan,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        // SAFETY: as the module says.
        let input = Input::Path(self::path(unsafe { string(path, "path") }?).to_path_buf());
        // SAFETY: as the module says.
        unsafe { open_input(scan, options, &input) }
    };
    // SAFETY: as the module says.
    unsafe { call(error, body) }
}

/// Scans text in memory: the output of `lspci -xxxx`, with anything between its records. For bytes of
/// configuration space see `acsscan_builder_new()`.
///
/// `options` may be `NULL`. On success `*scan` is the caller's, for `acsscan_close()`; `bytes` is
/// no longer needed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_open_memory(
    bytes: *const u8,
    size: usize,
    options: *const COptions,
    scan: *mut *mut CScan,
    error: *mut *mut c_char,
) -> CStatus {
    let body = || {
        // SAFETY: as the module says.
        let bytes = unsafe { slice(bytes, size, "bytes") }?;
        let read = |sink: &mut Inventory| dump::read_stream(bytes, "memory", &Options::default(), sink);
        // SAFETY: as the module says.
        unsafe { open(scan, setup(options)?, read) }
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

/// How many problems there were with single functions or files: bytes that may not be read, lines that are
/// damaged; what is missing for them is *not captured*, never absent. Also database files that could not
/// be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_problem_count(scan: *const CScan) -> usize {
    // SAFETY: as the module says.
    plain(|| unsafe { follow(scan, "scan") }.map_or(0, |scan| scan.problems.len()))
}

/// One of these problems, in one line. `*text` is the caller's, for `acsscan_string_free()`.
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
