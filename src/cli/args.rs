//! What can be typed.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::capture::Capture;
use super::diff::Diff;
use super::fleet::Fleet;
use super::help;
use super::overlay::Overlays;
use super::plan::PlanVerb;
use super::report::Report;
use crate::db::{Date, date};
use crate::dump::Format;
use crate::finding::Severity;
use crate::limits::{Limit, Limits};
use crate::route::matrix::Label;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "acsscan", version, about = help::ABOUT, long_about = help::LONG_ABOUT, after_help = help::SCAN)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    /// Only these functions and their groups: 00:1f.2, 0000:00:1f.2, pci_0000_00_1f_2, a sysfs path,
    /// or the way down from a root bus, 00:1c.0/00.0
    #[arg(value_name = "ADDR")]
    pub(super) addresses: Vec<String>,
    /// The scan in numbers only: domains and findings are counted
    #[arg(long, conflicts_with = "addresses")]
    pub(super) summary: bool,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// What to do instead of the scan.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Decoded registers of functions
    #[command(after_help = "\
Examples:
  acsscan show -s 00:1c.0                  one function of this host
  acsscan show -d 8086: --dump host.txt    every Intel function of a dump
  acsscan show -t --dump host.txt          the hierarchy as a tree, with groups and domains
  acsscan show -t --format dot | dot -Tsvg the same for Graphviz")]
    Show(Show),
    /// The groups that a model forms
    #[command(after_help = "\
Examples:
  acsscan groups                           this host, as Linux groups it
  acsscan groups --model spec --dump host.txt         isolation domains
  acsscan groups --model spec,linux --dump host.txt   where the two disagree, most dangerous first")]
    Groups(Groups),
    /// The routes from one function to another, class by class, hop by hop
    #[command(after_help = "\
Examples:
  acsscan p2p 03:00.0 04:00.0 --dump host.txt                   can one attack the other?
  acsscan p2p 03:00.0 04:00.0 --as-configured --dump host.txt   does peer-to-peer traffic work?
  acsscan p2p --matrix --class gpu,nic --dump host.txt          GPUs against network cards
  acsscan p2p --cliques --dump host.txt                         GPUDirect in a guest: who with whom")]
    P2p(P2p),
    /// Why a function's isolation domain is as it is, and what could change it
    #[command(after_help = "\
Examples:
  acsscan explain 03:00.0 --dump host.txt           who is with it, because of which bit
  acsscan explain 03:00.0 04:00.0 --dump host.txt   these two")]
    Explain(Explain),
    /// The smallest change of registers that keeps functions apart, or connects them; printed, never made
    #[command(after_help = "\
Examples:
  acsscan plan isolate 03:00.0 --dump host.txt                     its setpci lines, parameters, side effects
  acsscan plan connect 03:00.0 04:00.0 --dump host.txt             for GPUDirect or RDMA between the two
  acsscan plan connect --all-pairs --class gpu,nic --dump host.txt between all of these

Exit code 1 where no change of registers does it.")]
    Plan {
        #[command(subcommand)]
        goal: PlanVerb,
    },
    /// What changed between two dumps, or what a what-if option would change, and what caused it
    #[command(after_help = "\
Examples:
  acsscan diff before.txt after.txt                          exit code 1 if they differ
  acsscan diff host.txt --set 00:1c.0=+ReqRedir              what would that change?
  acsscan diff host.txt --kernel-params 'pci=config_acs=…'   and that?")]
    Diff(Diff),
    /// Many hosts at once: which are alike, which are not, and how they differ
    #[command(after_help = super::fleet::HELP)]
    Fleet(Fleet),
    /// May these functions be assigned to one guest together, isolated from everything else?
    #[command(after_help = "\
Examples:
  acsscan check 01:00.0 01:00.1                      both functions of a card, on this host
  acsscan check 03:00.0 --dump host.txt              the same question about a dump
  acsscan check 03:00.0 --policy libvirt             as libvirt's own check answers
  acsscan check -d 10de: --unknown warn              all functions of a vendor; what is not known is told only
  virsh dumpxml guest | acsscan check --domain -     what a guest of libvirt is given

Exit codes:
  0 assignable, or accepted   1 not assignable   3 inconclusive: not everything is known (--unknown fail)")]
    Check(Check),
    /// The device database: what configuration space does not tell, and what somebody accepts
    #[command(after_help = help::DB)]
    Db {
        /// What to do with it
        #[command(subcommand)]
        verb: Db,
    },
    /// Write what was read into one file, to look at it elsewhere
    #[command(after_help = "\
The file is a tar archive (zstd) with a small sysfs tree, and manifest.json: kernel, command line,
board, what is complete. It takes root to read all of it. Every byte is read once, nothing is
written to a device.

Examples:
  acsscan capture -o host.tar.zst                  this host, as root
  acsscan capture --redact -o host.tar.zst         without serial numbers, VPD and the host's name
  acsscan capture --dump lspci.txt -o host.tar.zst another form of dump
  tar --zstd -xf host.tar.zst && acsscan --dump .  look at it")]
    Capture(Capture),
    /// One page for a browser that holds everything: hierarchy, registers, routes, findings
    #[command(after_help = "\
The page loads nothing from anywhere: it can be opened from a file, sent, and printed.

Examples:
  acsscan report -o host.html                     this host, as root
  acsscan report -o host.html --dump host.tar.zst somebody else's
  acsscan report -o - --dump host.txt > host.html to standard output")]
    Report(Report),
    /// Answer as a hook of other programs
    #[command(after_help = help::HOOK)]
    Hook {
        /// Of which program
        #[command(subcommand)]
        hook: Hook,
    },
    /// The JSON Schema of what --format json writes
    #[command(after_help = "\
Examples:
  acsscan schema > acsscan.schema.json     for a validator, or a generator of types")]
    Schema,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// What to read: a file, a directory, - for standard input; this host if left out
    #[arg(long, value_name = "SOURCE", num_args = 0..=1, global = true)]
    pub(super) dump: Option<Option<PathBuf>>,
    /// What SOURCE is, if it is not recognised: sysfs, lspci-hex, lspci-text,
    /// config, ecam, tree, archive, rdma-topo
    #[arg(long, value_name = "FORMAT", global = true)]
    pub(super) input_format: Option<Format>,
    /// Address of a single config file whose name does not tell
    #[arg(long, value_name = "ADDR", global = true)]
    pub(super) at: Option<String>,
    /// Segment (domain) of an ECAM image, in hexadecimal
    #[arg(long, value_name = "SEGMENT", global = true, value_parser = hexadecimal, default_value = "0")]
    pub(super) segment: u32,
    /// First bus of an ECAM image, in hexadecimal
    #[arg(long, value_name = "BUS", global = true, value_parser = bus, default_value = "0")]
    pub(super) start_bus: u8,
    /// Map an ECAM image instead of reading it (a file that shrinks meanwhile ends the program)
    #[cfg(feature = "mmap")]
    #[arg(long, global = true)]
    pub(super) mmap: bool,
    /// Check every line of hex text, also those that no answer needs
    #[arg(long, global = true)]
    pub(super) strict: bool,
    /// Take more (or less) from a dump than usual: entries, unpacked, ratio, kept, file, window,
    /// functions, segments, waiting, table, uses; from other files: xml, xml-depth, database, db-entries, db-files.
    /// The error that a limit causes names it. K, M and G stand for powers of 1024
    #[arg(long = "limit", value_name = "NAME=VALUE", global = true, value_parser = Limits::parse)]
    pub(super) limits: Vec<(Limit, u64)>,
    /// Where the running host's sysfs is
    #[arg(long, value_name = "DIR", global = true, default_value = "/sys")]
    pub(super) sysfs_root: PathBuf,
    #[command(flatten)]
    pub(super) overlays: Overlays,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text")]
    pub(super) format: OutputFormat,
    /// Names of devices from this file instead of the system's pci.ids
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) ids: Option<PathBuf>,
    /// Numbers instead of names
    #[arg(short = 'n', long, global = true, action = clap::ArgAction::Count)]
    pub(super) numeric: u8,
    /// Domains are always shown; taken because lspci has it
    #[arg(short = 'D', global = true, hide = true)]
    pub(super) domains: bool,
    /// Say on standard error what the process has given up before reading
    #[arg(short = 'v', long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// When to use colour
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(super) color: Color,
    /// What to assume of the root complex between devices on root buses, and of bridges that the dump lacks
    #[arg(long, value_name = "WHAT", global = true, default_value = "isolates")]
    pub(super) root_complex: RootComplexArg,
    /// Let completions with Relaxed Ordering and I/O requests count, which no ACS control can redirect
    #[arg(long, global = true)]
    pub(super) count_relaxed_and_io: bool,
    /// Do not trust functions of one device to use their own routing IDs
    #[arg(long, global = true)]
    pub(super) distrust_routing_ids: bool,
    /// Device database: a file, or a directory of them; may be repeated, later ones win
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) db: Vec<PathBuf>,
    /// Leave out /usr/share/acsscan/devices.d and /etc/acsscan/devices.d
    #[arg(long, global = true)]
    pub(super) no_default_db: bool,
    /// Root of the file system that has both directories; for tests
    #[arg(long, value_name = "DIR", global = true, default_value = "/", hide = true)]
    pub(super) db_root: PathBuf,
    /// The day for which acceptances count, instead of today; for tests
    #[arg(long, value_name = "DATE", global = true, value_parser = day, hide = true)]
    pub(super) today: Option<Date>,
    /// Exit with 1 if there is a finding of this severity or above
    #[arg(long, value_name = "SEVERITY", global = true)]
    pub(super) fail_on: Option<FailOn>,
}

/// Which functions; none given are all.
#[derive(Clone, Debug, Args)]
pub(super) struct Selection {
    /// Functions, as in the scan
    #[arg(value_name = "ADDR")]
    pub(super) addresses: Vec<String>,
    /// Functions by address, as lspci: [[[[domain]:]bus]:][device][.[function]]
    #[arg(short = 's', long = "slot", value_name = "SLOT")]
    pub(super) slot: Option<String>,
    /// Functions by ID, as lspci: [vendor]:[device][:class[:prog-if]], x in the class for any digit
    #[arg(short = 'd', long = "device", value_name = "ID")]
    pub(super) device: Option<String>,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// The hierarchy as a tree, each function with its group and isolation domain; with -s or -d what these
    /// select, the way to it and what is below
    #[arg(short = 't', long = "tree")]
    pub(super) tree: bool,
}

/// Programs that have hooks.
#[derive(Debug, Subcommand)]
pub(super) enum Hook {
    /// libvirt's qemu hook: refuse to start a guest whose PCI functions are not isolated
    #[command(after_help = help::HOOK_LIBVIRT)]
    Libvirt(LibvirtHook),
}

/// Options of `hook libvirt`.
#[derive(Debug, Args)]
pub(super) struct LibvirtHook {
    /// Whose rules decide
    #[arg(long, value_name = "POLICY", default_value = "spec")]
    pub(super) policy: PolicyArg,
    /// What to do about what is not known
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    pub(super) unknown: UnknownArg,
    /// What libvirt adds, in this order: guest, operation, suboperation, extra
    #[arg(value_name = "ARGUMENT")]
    pub(super) arguments: Vec<std::ffi::OsString>,
}

/// Options of `p2p`.
#[derive(Debug, Args)]
pub(super) struct P2p {
    /// The function that sends
    #[arg(value_name = "FROM")]
    pub(super) from: Option<String>,
    /// The function that is to be reached
    #[arg(value_name = "TO")]
    pub(super) to: Option<String>,
    /// Further functions, with --cliques
    #[arg(value_name = "ADDR", requires = "cliques", conflicts_with = "class")]
    pub(super) others: Vec<String>,
    /// The sender is not hostile: its own registers count, and closed windows block
    #[arg(long, conflicts_with = "among")]
    pub(super) as_configured: bool,
    /// Classes of functions that answer alike against each other, instead of one pair
    #[arg(long, conflicts_with = "from", group = "among")]
    pub(super) matrix: bool,
    /// Which functions a guest may be told reach each other (all display controllers of NVIDIA, if none are
    /// named), with the arguments of QEMU (x-nv-gpudirect-clique) and Cloud Hypervisor
    #[arg(long, group = "among")]
    pub(super) cliques: bool,
    /// Only functions of these kinds: gpu, nic, nvme, storage, accelerator, usb, other
    #[arg(long, value_name = "KIND[,KIND]", requires = "among", value_delimiter = ',', value_parser = label)]
    pub(super) class: Vec<Label>,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The function
    #[arg(value_name = "ADDR")]
    pub(super) function: String,
    /// Another function: how the two stand to each other
    #[arg(value_name = "OTHER")]
    pub(super) other: Option<String>,
}

/// Verbs of `db`.
#[derive(Debug, Subcommand)]
pub(super) enum Db {
    /// All entries of all layers, with sources
    #[command(after_help = help::DB_LIST)]
    List,
    /// What the database has about a device
    #[command(after_help = help::DB_LOOKUP)]
    Lookup {
        /// IDs such as 8086:10fb (or 8086:), or a function
        #[arg(value_name = "ID|ADDR")]
        asked: String,
    },
    /// Whether database files are right: every mistake, with line and column; exit code 1 if there is one
    #[command(after_help = help::DB_CHECK)]
    Check {
        /// Files or directories; all files of this host if left out
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// What the database does to one function, and which entry decides
    #[command(after_help = help::DB_EXPLAIN)]
    Explain {
        /// The function
        #[arg(value_name = "ADDR")]
        function: String,
    },
    /// Print an entry that accepts what is open about a function; writes no file
    #[command(after_help = help::DB_ACCEPT)]
    Accept(Accept),
}

/// Options of `db accept`.
#[derive(Debug, Args)]
pub(super) struct Accept {
    /// The function, or the port that lets traffic through
    #[arg(value_name = "ADDR")]
    pub(super) function: String,
    /// Only together with this function
    #[arg(long, value_name = "ADDR")]
    pub(super) with: Option<String>,
    /// Who decides
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) who: String,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(super) reason: String,
    /// The last day on which it holds; a year from today if left out
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(super) until: Option<Date>,
    /// Accept what is proved, too: direct traffic and impersonation
    #[arg(long)]
    pub(super) direct: bool,
    /// By PCI ID, not by place: all devices of this kind
    #[arg(long)]
    pub(super) by_id: bool,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Also the functions that a libvirt domain is given: its XML (virsh dumpxml), - for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) domain: Option<PathBuf>,
    /// Whose rules decide
    #[arg(long, value_name = "POLICY", default_value = "spec")]
    pub(super) policy: PolicyArg,
    /// What to do about what is not known
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    pub(super) unknown: UnknownArg,
}

/// Whose rules decide.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PolicyArg {
    /// The specification's, strictly: what is not proved to be kept apart counts
    #[value(alias = "strict")]
    Spec,
    /// The kernel's IOMMU groups, as VFIO asks for them
    Linux,
    /// libvirt's own check: switch downstream ports only
    Libvirt,
    /// libvirt with relaxed_acs_check: its check left out
    Relaxed,
}

/// What to do about what is not known.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum UnknownArg {
    /// Answer that it is inconclusive, exit code 3
    Fail,
    /// Say it, and go on as if it were isolated
    Warn,
    /// Go on as if it were isolated
    Pass,
}

/// Options of `groups`.
#[derive(Debug, Args)]
pub(super) struct Groups {
    /// The model; of two, separated by a comma, where they disagree
    #[arg(long, value_name = "MODEL[,MODEL]", default_value = "linux", value_delimiter = ',')]
    pub(super) model: Vec<Model>,
}

/// Models that form groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Model {
    /// The specification's: isolation domains
    Spec,
    /// The kernel's own grouping
    Linux,
    /// libvirt's check: switch downstream ports only
    Libvirt,
}

impl Model {
    /// The word on the command line.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Linux => "linux",
            Self::Libvirt => "libvirt",
        }
    }
}

/// What to assume of the root complex.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RootComplexArg {
    /// It passes traffic between devices on root buses through the IOMMU, as Linux assumes; missing bridges keep
    /// what hangs on them apart
    Isolates,
    /// Nothing
    Unknown,
}

/// How to write the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people
    Text,
    /// For programs: see acsscan schema
    Json,
    /// For programs, one record a line, of a scan: see acsscan schema --format jsonl
    Jsonl,
    /// The hierarchy with its domains for Graphviz, of a scan or of show -t
    Dot,
    /// For Prometheus, as a textfile, of a scan and of fleet
    Prom,
    /// One line, for health checks, of a scan and of fleet
    Line,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Severity for `--fail-on`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FailOn {
    /// Everything
    Note,
    /// Warnings and errors
    Warning,
    /// Errors
    Error,
}

impl From<FailOn> for Severity {
    fn from(fail_on: FailOn) -> Self {
        match fail_on {
            FailOn::Note => Self::Note,
            FailOn::Warning => Self::Warning,
            FailOn::Error => Self::Error,
        }
    }
}

pub(super) fn day(text: &str) -> Result<Date, String> {
    date(text).ok_or_else(|| String::from("expected a day, such as 2027-06-30"))
}

pub(super) fn label(text: &str) -> Result<Label, String> {
    Label::from_word(text).ok_or_else(|| {
        let words: Vec<&str> = Label::ALL.iter().map(|label| label.word()).collect();
        format!("expected one of {}", words.join(", "))
    })
}

fn hexadecimal(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| String::from("expected a number in hexadecimal, 0 to ffffffff"))
}

fn bus(text: &str) -> Result<u8, String> {
    u8::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| String::from("expected a bus number in hexadecimal, 0 to ff"))
}
