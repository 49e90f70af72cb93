//! From the options to a topology.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Common;
use super::confine::{self, Needs};
use super::{Stop, overlay, verbs};
use crate::addr::Sbdf;
use crate::db::{self, Database, Date, Loaded, Places, Refused};
use crate::dump::{self, Input, Options, SourceInfo};
use crate::finding::Code;
use crate::function::Inventory;
use crate::limits::Limits;
use crate::report::{Problem, Source, names};
use crate::route::accept::Acceptances;
use crate::topology::Topology;

/// What was read.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) source: Source,
    pub(super) topology: Topology,
    pub(super) database: Arc<Database>,
    /// Database files that could not be used.
    pub(super) refused: Vec<Refused>,
    /// The day for which acceptances count.
    pub(super) today: Date,
    /// Whether it is this host.
    pub(super) live: bool,
}

impl Scanned {
    /// The acceptances, brought together with the functions.
    pub(super) fn acceptances(&self) -> Acceptances<'_> {
        Acceptances::new(&self.topology, &self.database, self.today, self.live)
    }
}

/// What a path on the command line names.
fn named(path: PathBuf) -> Input {
    if path.as_os_str() == "-" { Input::Stdin } else { Input::Path(path) }
}

/// What the options name, and how to read it.
pub(super) fn options(common: &Common) -> Result<(Input, Options), Stop> {
    reading(common, common.dump.clone().flatten())
}

/// The limits as they are, or as the options have them.
pub(super) fn limits(common: &Common) -> Limits {
    let mut limits = Limits::default();
    common.limits.iter().for_each(|(limit, value)| limits.set(*limit, *value));
    limits
}

/// A source (this host if it is none), and how to read it.
pub(super) fn reading(common: &Common, source: Option<PathBuf>) -> Result<(Input, Options), Stop> {
    let options = Options {
        format: common.input_format,
        at: common.at.as_deref().map(address).transpose()?,
        segment: common.segment,
        start_bus: common.start_bus,
        #[cfg(feature = "mmap")]
        mmap: common.mmap,
        #[cfg(not(feature = "mmap"))]
        mmap: false,
        strict: common.strict,
        limits: limits(common),
        threads: 0,
        whole: false,
    };
    let meant_for_a_dump =
        common.at.is_some() || common.segment != 0 || common.start_bus != 0 || options.mmap;
    if meant_for_a_dump && source.is_none() {
        let text = "--at, --segment, --start-bus and --mmap say how to read a dump: name it with --dump";
        return Err(Stop::Usage(String::from(text)));
    }
    let real = source.as_ref().and_then(|path| path.canonicalize().ok());
    if let Some(real) = real.filter(|real| [Path::new("/"), Path::new("/sys")].contains(&real.as_path())) {
        let text = format!("{} is the running host: leave out --dump", real.display());
        return Err(Stop::Usage(text));
    }
    let input = match source {
        None => Input::Live { sysfs_root: common.sysfs_root.clone() },
        Some(path) => named(path),
    };
    Ok((input, options))
}

/// Reads the functions of an input.
fn inventory(input: &Input, options: &Options, detail: bool) -> Result<(SourceInfo, Inventory), Stop> {
    let mut inventory = if detail { Inventory::with_detail() } else { Inventory::new() };
    let info = dump::read(input, options, &mut inventory)
        .map_err(|error| Stop::Input(format!("{error}{}", hint(input).unwrap_or_default())))?;
    Ok((info, inventory.finish()))
}

/// Reads the functions of a file or directory.
pub(super) fn functions(common: &Common, path: PathBuf) -> Result<Inventory, Stop> {
    let (input, options) = reading(common, Some(path))?;
    inventory(&input, &options, false).map(|(_, inventory)| inventory)
}

/// Reads what the options name, applies the overlays, and says which database files could not be used.
/// `detail` keeps the capability lists of each function.
pub(super) fn read(common: &Common, detail: bool) -> Result<Scanned, Stop> {
    let scanned = read_silently(common, detail)?;
    say_refused(&scanned.refused);
    Ok(scanned)
}

/// The same, and says nothing: see [`say_refused`].
pub(super) fn read_silently(common: &Common, detail: bool) -> Result<Scanned, Stop> {
    overlay::apply(common, read_source(common, common.dump.clone().flatten(), detail)?)
}

/// Reads a source (this host if it is none) without overlays, with these database files in place of those of --db.
pub(super) fn as_it_is(
    common: &Common,
    source: Option<PathBuf>,
    databases: &[PathBuf],
) -> Result<Scanned, Stop> {
    let scanned = read_with(common, source, false, &Knowledge::with(common, databases)?)?;
    say_refused(&scanned.refused);
    Ok(scanned)
}

/// Reads a source (this host if it is none) with overlays.
pub(super) fn as_if(common: &Common, source: Option<PathBuf>) -> Result<Scanned, Stop> {
    overlay::apply(common, read_source(common, source, false)?)
}

fn read_source(common: &Common, source: Option<PathBuf>, detail: bool) -> Result<Scanned, Stop> {
    read_with(common, source, detail, &Knowledge::load(common)?)
}

fn read_with(
    common: &Common,
    source: Option<PathBuf>,
    detail: bool,
    knowledge: &Knowledge,
) -> Result<Scanned, Stop> {
    let (input, options) = reading(common, source)?;
    let (info, inventory) = inventory(&input, &options, detail)?;
    let scanned = scanned(info, inventory, knowledge);
    Ok(Scanned { live: matches!(input, Input::Live { .. }), ..scanned })
}

/// What is known beside the input, the same for many of them.
pub(super) struct Knowledge {
    pub(super) database: Arc<Database>,
    /// Database files that could not be used.
    pub(super) refused: Vec<Refused>,
    today: Date,
}

impl Knowledge {
    /// As the options have it.
    pub(super) fn load(common: &Common) -> Result<Self, Stop> {
        Self::with(common, &common.db)
    }

    /// The same with these files instead of those that --db names.
    fn with(common: &Common, databases: &[PathBuf]) -> Result<Self, Stop> {
        let Loaded { database, refused, .. } = load(common, databases)?;
        Ok(Self { database: Arc::new(database), refused, today: today(common) })
    }
}

/// Reads one of many inputs, without overlays.
pub(super) fn one_of_many(
    path: &Path,
    options: &Options,
    knowledge: &Knowledge,
) -> Result<Scanned, dump::Error> {
    let mut inventory = Inventory::new();
    let info = dump::read(&Input::Path(path.to_path_buf()), options, &mut inventory)?;
    Ok(scanned(info, inventory.finish(), knowledge))
}

/// That functions come with different bytes, of one machine at two times or of two: nobody knows which count.
fn contradicting(inventory: &Inventory) -> Option<Problem> {
    let mut differing = inventory.repeats().filter(|repeat| repeat.differ);
    let first = differing.next()?;
    let others = match differing.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!(
        "{}{others}: several times in the dump, with different content; one of those with the most bytes is used: \
         if these are two machines or two states of one, read them one by one",
        first.address
    );
    Some(Problem { text, loses: true })
}

fn scanned(info: SourceInfo, inventory: Inventory, knowledge: &Knowledge) -> Scanned {
    let mut problems: Vec<Problem> = info.lines().map(|(text, loses)| Problem { text, loses }).collect();
    problems.extend(contradicting(&inventory));
    let source = Source {
        kind: info.kind.word().to_owned(),
        path: info.path,
        part: info.part,
        kernel: info.kernel,
        cmdline: info.cmdline,
        host: info.host,
        problems,
        overlays: Vec::new(),
    };
    Scanned {
        source,
        topology: Topology::new(inventory),
        database: Arc::clone(&knowledge.database),
        refused: knowledge.refused.clone(),
        today: knowledge.today,
        live: false,
    }
}

/// What a machine says of itself and of what it uses, beside its sysfs.
const BESIDE_SYSFS: [&str; 5] =
    ["proc/cmdline", "proc/sys/kernel/osrelease", "proc/version", "proc/self/mountinfo", "proc/self/net"];

/// Gives up what reading these sources (this host for `None`) and the other files that the options name
/// does not take, and tells with `-v`. Comes before anything is read.
pub(super) fn give_up_the_rest(common: &Common, sources: &[Option<PathBuf>]) {
    let mut read = names::files(common.ids.as_deref());
    read.extend(common.overlays.firmware.clone());
    read.extend(places(common).paths());
    for source in sources {
        let path = source.as_ref().unwrap_or(&common.sysfs_root);
        read.push(path.clone());
        let real = path.canonicalize().unwrap_or_default();
        if let (true, Some(parent)) = (real.ends_with("sys"), real.parent()) {
            read.extend(BESIDE_SYSFS.map(|file| parent.join(file)));
        }
    }
    let needs = Needs { read, dump: sources.iter().all(Option::is_some) };
    for line in confine::confine(&needs) {
        if common.verbose > 0 {
            eprintln!("acsscan: {line}");
        }
    }
}

/// The database: all layers that the options leave in.
pub(super) fn database(common: &Common) -> Result<Loaded, Stop> {
    let loaded = load(common, &common.db)?;
    say_refused(&loaded.refused);
    Ok(loaded)
}

fn load(common: &Common, named: &[PathBuf]) -> Result<Loaded, Stop> {
    let loaded = db::load(&Places { named: named.to_vec(), ..places(common) });
    if let Some(missing) = loaded.missing() {
        return Err(Stop::Input(format!("--db {missing}")));
    }
    Ok(loaded)
}

/// Says which database files could not be used, and why.
pub(super) fn say_refused(refused: &[Refused]) {
    for refused in refused {
        for line in refused.to_string().lines().take(5) {
            let code = Code::DatabaseFileRefused.as_str();
            eprintln!("acsscan: {code}: {}", crate::report::clean(line));
        }
    }
}

/// Where the database files are.
pub(super) fn places(common: &Common) -> Places {
    Places {
        root: (!common.no_default_db).then(|| common.db_root.clone()),
        named: common.db.clone(),
        limits: limits(common),
    }
}

/// The day for which acceptances count.
pub(super) fn today(common: &Common) -> Date {
    common.today.unwrap_or_else(Date::today)
}

fn address(text: &str) -> Result<Sbdf, Stop> {
    text.parse().map_err(|error| Stop::Usage(format!("--at {text}: {error}")))
}

/// Where SOURCE does not exist and looks like something else that could have been meant.
fn hint(input: &Input) -> Option<String> {
    let Input::Path(path) = input else { return None };
    if path.exists() {
        return None;
    }
    let text = path.to_str()?;
    if verbs().iter().any(|verb| verb == text) {
        return Some(format!(
            " ({text} is a verb: acsscan {text} reads this host, --dump SOURCE comes after it)"
        ));
    }
    let is_address = Path::new(text).components().count() == 1 && text.parse::<Sbdf>().is_ok();
    is_address.then(|| format!(" ({text} is an address: acsscan {text} reads this host)"))
}
