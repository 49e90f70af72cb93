//! Readers: from whatever holds configuration space to functions, one at a time.
//!
//! Layer 7. [`read`] finds out what it was given (from the content, never from the extension) and
//! delivers each function to a [`Sink`] as soon as it is read: memory is one read buffer and one
//! function, whatever the size of the input, and where several threads read a large one, what those
//! have found ([`Sink::part`]). What concerns one function or one file degrades that
//! function and becomes a [`Problem`]; what concerns the whole input is an [`Error`].
//!
//! Nothing here writes, follows a link out of the directory it was given, or trusts a byte.

#[cfg(feature = "archive")]
mod archive;
#[cfg(all(feature = "archive", feature = "serde"))]
pub mod capture;
mod config_file;
mod cut;
#[allow(clippy::arithmetic_side_effects, reason = "shifts of fields by constants")]
mod decoded;
mod detect;
mod ecam;
mod error;
mod files;
mod hex;
mod host;
mod host_use;
pub mod hosts;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "line numbers are below 256, columns below 16, and the table is made at compile time"
)]
mod lazy;
mod lines;
#[cfg(feature = "mmap")]
mod map;
mod name;
mod on_demand;
mod parts;
#[cfg(feature = "archive")]
mod rdma_topo;
mod sysfs;
mod text;
mod tree;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "line numbers are below 256, and the tables are made at compile time"
)]
mod uniform;

pub use error::{Error, Unsupported};

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use crate::addr::{Sbdf, Segment};
use crate::config::{ConfigSpace, Source};
use crate::function::{Attributes, HostBridge, Record, ReservedRegion, Sink};
use crate::kernel::Host;
use crate::limits::{Limit, Limits};
use decoded::{Filled, Texts};

/// Where to read from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// A file or a directory.
    Path(PathBuf),
    /// Standard input: text, or one binary configuration space together with [`Options::at`].
    Stdin,
    /// The running host.
    Live {
        /// Where sysfs is mounted: `/sys`, or a place where a container or a test has it.
        sysfs_root: PathBuf,
    },
}

/// How to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// What the input is; `None` finds out from the content.
    pub format: Option<Format>,
    /// Address of a single configuration space whose file name does not tell.
    pub at: Option<Sbdf>,
    /// Segment group of an ECAM image.
    pub segment: u32,
    /// First bus of an ECAM image.
    pub start_bus: u8,
    /// Map an ECAM image instead of reading it. Needs the feature `mmap`, and is ignored without. A
    /// process that mapped a file dies if somebody shortens the file meanwhile.
    pub mmap: bool,
    /// Check every line of hex text. Otherwise those that decoding does not ask for are passed over in
    /// records that are laid out as lspci lays them out: damage there stays unnoticed, and changes no
    /// answer but how many bytes are said to be captured.
    pub strict: bool,
    /// How much is taken from one input.
    pub limits: Limits,
    /// How many threads may read a large text or image, the calling one among them: 0 for as many as there
    /// are processors and are worth it, 1 for that one alone, four at most. What is found is the same.
    pub threads: u8,
    /// Read each function of a sysfs whole, in one go, instead of what decoding asks for: what is meant
    /// to be kept.
    pub whole: bool,
}

/// What an input can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// sysfs, live or copied: `bus/pci/devices/*/config`.
    Sysfs,
    /// Output of `lspci -x`, `-xxx` or `-xxxx`, whatever else is printed or written between.
    LspciHex,
    /// Output of `lspci -vv` or `-vvv` without hex: registers as far as it prints them.
    LspciText,
    /// The bytes of one function.
    Config,
    /// An image of the memory-mapped configuration space: 1 MiB a bus, 4 KiB a function.
    Ecam,
    /// A directory with `config` files.
    Tree,
    /// A packed directory: tar, plain or compressed. Needs the feature `archive`.
    Archive,
    /// A dump of rdma_topo: JSON with packed configuration space. Needs the feature `archive`.
    RdmaTopo,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Sysfs,
        Self::LspciHex,
        Self::LspciText,
        Self::Config,
        Self::Ecam,
        Self::Tree,
        Self::Archive,
        Self::RdmaTopo,
    ];

    /// Kebab-case word, as the command line and JSON output have it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sysfs => "sysfs",
            Self::LspciHex => "lspci-hex",
            Self::LspciText => "lspci-text",
            Self::Config => "config",
            Self::Ecam => "ecam",
            Self::Tree => "tree",
            Self::Archive => "archive",
            Self::RdmaTopo => "rdma-topo",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = ParseFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.word() == text).ok_or(ParseFormatError)
    }
}

/// The text was not the name of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of sysfs, lspci-hex, lspci-text, config, ecam, tree, archive, rdma-topo")]
#[non_exhaustive]
pub struct ParseFormatError;

/// What was read, and what went wrong on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceInfo {
    /// What the input turned out to be.
    pub kind: Format,
    /// Where it was read from, `-` for standard input; control characters are escaped.
    pub path: String,
    /// What of a tree or an archive was read, if not all: the path within.
    pub part: Option<String>,
    /// Kernel release of the machine, if the input says so.
    pub kernel: Option<String>,
    /// Kernel command line of the machine, if the input says so.
    pub cmdline: Option<String>,
    /// What the machine says of itself, if the input is a tree of one.
    pub host: Option<Host>,
    /// How many records were delivered; an address that the input repeats counts each time.
    pub records: usize,
    /// What degraded single functions or files, in the order in which it was met. Bounded:
    /// see [`problems_left_out`](Self::problems_left_out).
    pub problems: Vec<Problem>,
    /// How many more problems there were.
    pub problems_left_out: usize,
}

impl SourceInfo {
    /// What went wrong, one line each, and whether a function, or bytes that nobody has counted, are
    /// missing for it.
    pub fn lines(&self) -> impl Iterator<Item = (String, bool)> {
        // Holes in a record are counted with the function.
        let loses = |kind| !matches!(kind, ProblemKind::DamagedLines | ProblemKind::FilledFromText);
        let line = move |problem: &Problem| (problem.to_string(), loses(problem.kind));
        let left_out = (self.problems_left_out > 0)
            .then(|| (format!("and {} more problems", self.problems_left_out), true));
        self.problems.iter().map(line).chain(left_out)
    }
}

/// Something that one function or one file suffers from; the rest was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What kind of problem.
    pub kind: ProblemKind,
    /// The function, if the problem is about one.
    pub address: Option<Sbdf>,
    /// One line: what was found, and where it helps, what to do. Control characters are escaped.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The reader may not open or list it.
    PermissionDenied,
    /// Only the first bytes of configuration space may be read: this takes privileges.
    Limited,
    /// It was there and is no more.
    Vanished,
    /// It could not be read, for another reason.
    Unreadable,
    /// The function has no configuration space in the input.
    NoConfig,
    /// Functions whose IDs the text does not tell.
    NoIds,
    /// Lines of hex text were damaged.
    DamagedLines,
    /// Hex text without a line that says whose it is.
    HeaderLost,
    /// A file is too large for one function's configuration space.
    TooLarge,
    /// A symbolic link leads out of the directory.
    LeadsOut,
    /// Bytes that cannot be a function's.
    NotAFunction,
    /// The input ends in the middle of a function.
    Truncated,
    /// Something was left out because there was too much of it.
    LeftOut,
    /// Registers are taken from another file of the tree, a text.
    FilledFromText,
}

impl ProblemKind {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PermissionDenied => "permission-denied",
            Self::Limited => "limited",
            Self::Vanished => "vanished",
            Self::Unreadable => "unreadable",
            Self::NoConfig => "no-config",
            Self::NoIds => "no-ids",
            Self::DamagedLines => "damaged-lines",
            Self::HeaderLost => "header-lost",
            Self::TooLarge => "too-large",
            Self::LeadsOut => "leads-out",
            Self::NotAFunction => "not-a-function",
            Self::Truncated => "truncated",
            Self::LeftOut => "left-out",
            Self::FilledFromText => "filled-from-text",
        }
    }
}

/// Reads `input` and delivers every function in it to `sink`, one at a time.
///
/// ```no_run
/// use acsscan::{dump, function::Inventory};
/// let mut inventory = Inventory::new();
/// let input = dump::Input::Path("lspci.txt".into());
/// let info = dump::read(&input, &dump::Options::default(), &mut inventory)?;
/// println!("{}: {} functions", info.path, inventory.finish().functions().len());
/// # Ok::<(), dump::Error>(())
/// ```
///
/// # Errors
///
/// If nothing useful can be read; the message is one line that says what was found, what was
/// expected, and what to try. Functions may have been delivered before an error.
pub fn read<K: Sink>(input: &Input, options: &Options, sink: &mut K) -> Result<SourceInfo, Error> {
    let mut delivery = Delivery::new(sink).reading(options);
    let (kind, path) = match input {
        Input::Live { sysfs_root } => {
            sysfs::read_live(sysfs_root, &mut delivery)?;
            (Format::Sysfs, error::shown(sysfs_root))
        }
        Input::Stdin => return read_stream(std::io::stdin().lock(), "-", options, sink),
        Input::Path(path) => {
            let kind = detect::read_path(path, options, &mut delivery)
                .map_err(|error| error.with_lost(&delivery.problems))?;
            (kind, error::clean_path(path))
        }
    };
    Ok(delivery.info(kind, path))
}

/// Reads a stream, or bytes in memory, as [`Input::Stdin`] is read: text, or one binary configuration
/// space together with [`Options::at`]. Says `name` where it speaks of it.
///
/// ```
/// use acsscan::{dump, function::Inventory};
/// let text = b"00:1c.0 Class 0604: 8086:a294\n00: 86 80 94 a2 07 05 10 00 f0 00 04 06 10 00 81 00\n";
/// let mut inventory = Inventory::new();
/// dump::read_stream(text.as_slice(), "bug report", &dump::Options::default(), &mut inventory)?;
/// assert_eq!(inventory.finish().functions()[0].device_id, 0xa294);
/// # Ok::<(), dump::Error>(())
/// ```
///
/// # Errors
///
/// As [`read`].
pub fn read_stream<R: std::io::Read, K: Sink>(
    input: R,
    name: &str,
    options: &Options,
    sink: &mut K,
) -> Result<SourceInfo, Error> {
    let mut delivery = Delivery::new(sink).reading(options);
    let kind = detect::read_stream(input, Path::new(name), options, &mut delivery)
        .map_err(|error| error.with_lost(&delivery.problems))?;
    Ok(delivery.info(kind, error::clean_path(Path::new(name))))
}

/// Problems that are kept; a hostile input could have one a line.
const MAX_PROBLEMS: usize = 1000;

/// Where readers put what they find.
struct Delivery<'a, K> {
    sink: &'a mut K,
    /// Whether bytes may be delivered that are checked only where they are read.
    unchecked: bool,
    records: usize,
    problems: Vec<Problem>,
    problems_left_out: usize,
    limits: Limits,
    threads: u8,
    whole: bool,
    /// What the input says about the machine.
    host: Option<Host>,
    /// What of a tree is used.
    part: Option<String>,
    /// Whether functions have been left out.
    full: bool,
    /// The segments of what was delivered, and the last of them.
    segments: BTreeSet<Segment>,
    segment: Option<Segment>,
    /// Whether functions of others have been left out.
    beyond: bool,
    /// What a text says of functions, for what their bytes lack.
    texts: Texts,
}

impl<'a, K: Sink> Delivery<'a, K> {
    fn new(sink: &'a mut K) -> Self {
        let unchecked = sink.takes_unchecked();
        Self {
            sink,
            unchecked,
            records: 0,
            problems: Vec::new(),
            problems_left_out: 0,
            limits: Limits::default(),
            threads: 0,
            whole: false,
            host: None,
            part: None,
            full: false,
            segments: BTreeSet::new(),
            segment: None,
            beyond: false,
            texts: Texts::default(),
        }
    }

    /// Says what of a tree is used, if it is not the whole.
    fn part(&mut self, path: &Path) {
        if path != Path::new("") {
            self.part = Some(error::shown(path));
        }
    }

    /// Whether as many functions were delivered as are to be taken; says so once.
    fn is_full(&mut self) -> bool {
        let full = self.records as u64 >= self.limits.functions;
        if full && !core::mem::replace(&mut self.full, true) {
            self.left_out(Limit::Functions);
        }
        full
    }

    /// Whether functions of this segment are left out, because there are too many segments; says so once.
    fn is_beyond(&mut self, segment: Segment) -> bool {
        if self.segment == Some(segment) || self.segments.contains(&segment) {
            self.segment = Some(segment);
            return false;
        }
        let beyond = self.segments.len() as u64 >= self.limits.segments;
        if !beyond {
            self.segments.insert(segment);
            self.segment = Some(segment);
        } else if !core::mem::replace(&mut self.beyond, true) {
            self.left_out(Limit::Segments);
        }
        beyond
    }

    /// Whether more came than is taken.
    fn is_beyond_limits(&self) -> bool {
        self.full || self.beyond
    }

    /// Says that a limit was passed, however much there is to say.
    fn left_out(&mut self, limit: Limit) {
        let text = format!("the other functions are left out: {}", self.limits.passed(limit));
        self.problems.push(Problem { kind: ProblemKind::LeftOut, address: None, text });
    }

    fn record<S: Source>(&mut self, address: Sbdf, source: S, attributes: Attributes) {
        if self.is_full() || self.is_beyond(address.segment) {
            return;
        }
        self.records = self.records.saturating_add(1);
        let extent = source.extent();
        match self.texts.take(address, extent) {
            Some((text, said)) => {
                let mut attributes = attributes;
                // Of a function without bytes the text is all that there is.
                attributes.ids_unknown = extent == 0 && said.ids_unknown;
                attributes.class_unknown = extent == 0 && said.class_unknown;
                attributes.fill_from(said);
                attributes.text_from = Some(extent);
                let config = &ConfigSpace::new(Filled { bytes: source, text: &text });
                self.sink.record(Record { address, config, attributes });
            }
            None => self.sink.record(Record { address, config: &ConfigSpace::new(source), attributes }),
        }
    }

    /// Takes what a text says of functions, and says so.
    fn note_filled(&mut self, texts: Texts, text: String) {
        if !texts.is_empty() {
            self.texts = texts;
            self.problem(ProblemKind::FilledFromText, None, text);
        }
    }

    fn reading(self, options: &Options) -> Self {
        let unchecked = self.unchecked && !options.strict;
        Self {
            unchecked,
            whole: options.whole,
            limits: options.limits.clone(),
            threads: options.threads,
            ..self
        }
    }

    fn info(self, kind: Format, path: String) -> SourceInfo {
        SourceInfo {
            kind,
            path,
            part: self.part,
            kernel: self.host.as_ref().and_then(|host| host.release.clone()),
            cmdline: self.host.as_ref().and_then(|host| host.cmdline.clone()),
            host: self.host,
            records: self.records,
            problems: self.problems,
            problems_left_out: self.problems_left_out,
        }
    }

    /// Delivers bytes that were not checked; whether they were as assumed. If not, they count for
    /// nothing, and the function is still to be delivered.
    fn record_unchecked<S: Source>(&mut self, address: Sbdf, source: S, attributes: Attributes) -> bool {
        if self.is_full() || self.is_beyond(address.segment) {
            return true;
        }
        let config = &ConfigSpace::new(source);
        self.sink.record(Record { address, config, attributes });
        let good = !config.is_spoilt();
        self.records = self.records.saturating_add(usize::from(good));
        good
    }

    fn host_bridge(&mut self, host_bridge: HostBridge) {
        self.sink.host_bridge(host_bridge);
    }

    fn reserved_region(&mut self, group: u32, region: ReservedRegion) {
        self.sink.reserved_region(group, region);
    }

    /// Notes a problem. Its text may quote the input, or another crate that does.
    fn problem(&mut self, kind: ProblemKind, address: Option<Sbdf>, text: impl ToString) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { kind, address, text: error::escaped(&text.to_string()) });
        } else {
            self.problems_left_out = self.problems_left_out.saturating_add(1);
        }
    }

    /// Keeps problems that another had, in their order.
    fn keep(&mut self, problems: Vec<Problem>, left_out: usize) {
        let (all, room) = (problems.len(), MAX_PROBLEMS.saturating_sub(self.problems.len()));
        self.problems.extend(problems.into_iter().take(room));
        let beyond = all.saturating_sub(room).saturating_add(left_out);
        self.problems_left_out = self.problems_left_out.saturating_add(beyond);
    }

    /// A file that could not be used: says which, and why.
    fn file_problem(&mut self, address: Option<Sbdf>, path: &Path, error: &std::io::Error) {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ProblemKind::PermissionDenied,
            std::io::ErrorKind::NotFound => ProblemKind::Vanished,
            _ => ProblemKind::Unreadable,
        };
        self.problem(kind, address, format!("{}: {error}", error::shown(path)));
    }
}

/// Configuration space of which nothing was captured.
const NOTHING: &[u8] = &[];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Inventory;

    #[test]
    fn every_format_is_found_again_by_its_word() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("lspci".parse::<Format>(), Err(ParseFormatError));
    }

    #[test]
    fn problems_are_bounded_and_the_rest_is_counted() {
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        for _ in 0..MAX_PROBLEMS + 7 {
            delivery.problem(ProblemKind::Unreadable, None, "x");
        }
        assert_eq!((delivery.problems.len(), delivery.problems_left_out), (MAX_PROBLEMS, 7));
    }
}
