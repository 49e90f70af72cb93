//! From the options to a topology.

use std::path::Path;

use super::args::Common;
use super::confine::{self, Needs};
use super::{Stop, verbs};
use crate::addr::Sbdf;
use crate::db::{self, Database};
use crate::dump::{self, Input, Limits, Options, ProblemKind};
use crate::function::Inventory;
use crate::report::{Problem, Source, names};
use crate::topology::Topology;

/// What was read.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) source: Source,
    pub(super) topology: Topology,
    pub(super) database: Database,
}

/// What the options name, and how to read it.
pub(super) fn options(common: &Common) -> Result<(Input, Options), Stop> {
    let mut limits = Limits::default();
    for (limit, value) in &common.limits {
        limits.set(*limit, *value);
    }
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
        limits,
        whole: false,
    };
    let meant_for_a_dump =
        common.at.is_some() || common.segment != 0 || common.start_bus != 0 || options.mmap;
    if meant_for_a_dump && common.dump.as_ref().is_none_or(Option::is_none) {
        let text = "--at, --segment, --start-bus and --mmap say how to read a dump: name it with --dump";
        return Err(Stop::Usage(String::from(text)));
    }
    let input = match common.dump.clone().flatten() {
        None => Input::Live { sysfs_root: common.sysfs_root.clone() },
        Some(path) if path.as_os_str() == "-" => Input::Stdin,
        Some(path) => Input::Path(path),
    };
    Ok((input, options))
}

/// Reads what the options name. `detail` keeps the capability lists of each function.
pub(super) fn read(common: &Common, detail: bool) -> Result<Scanned, Stop> {
    let (input, options) = options(common)?;
    give_up_the_rest(common, &input);
    let mut inventory = if detail { Inventory::with_detail() } else { Inventory::new() };
    let info = dump::read(&input, &options, &mut inventory)
        .map_err(|error| Stop::Input(format!("{error}{}", hint(&input).unwrap_or_default())))?;
    let problem = |problem: &dump::Problem| Problem {
        text: problem.to_string(),
        // Holes in a record are counted with the function.
        loses: problem.kind != ProblemKind::DamagedLines,
    };
    let mut problems: Vec<Problem> = info.problems.iter().map(problem).collect();
    if info.problems_left_out > 0 {
        problems.push(Problem { text: format!("and {} more problems", info.problems_left_out), loses: true });
    }
    let source = Source {
        kind: info.kind.word().to_owned(),
        path: info.path,
        part: info.part,
        kernel: info.kernel,
        cmdline: info.cmdline,
        host: info.host,
        problems,
    };
    let database = db::builtin().map_err(|error| Stop::Input(error.to_string()))?;
    Ok(Scanned { source, topology: Topology::new(inventory.finish()), database })
}

/// Keeps what the input and the names of devices take, and tells with `-v`.
fn give_up_the_rest(common: &Common, input: &Input) {
    let mut read = names::files(common.ids.as_deref());
    let (path, dump) = match input {
        Input::Path(path) => (Some(path), true),
        Input::Stdin => (None, true),
        Input::Live { sysfs_root } => (Some(sysfs_root), false),
    };
    if let Some(path) = path {
        read.push(path.clone());
        // What the machine says of itself stands beside its sysfs.
        let real = path.canonicalize().unwrap_or_default();
        if let (true, Some(parent)) = (real.ends_with("sys"), real.parent()) {
            read.extend(["proc/cmdline", "proc/sys/kernel/osrelease"].map(|file| parent.join(file)));
        }
    }
    let needs = Needs { read, dump };
    for line in confine::confine(&needs) {
        if common.verbose > 0 {
            eprintln!("acsscan: {line}");
        }
    }
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
