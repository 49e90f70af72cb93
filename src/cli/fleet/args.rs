//! What can be typed behind `fleet`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::args::{PolicyArg, UnknownArg};

pub(in crate::cli) const HELP: &str = "\
Every file is one host; so is a directory that is a machine's tree
(sys/bus/pci/devices, proc/bus/pci, an sos report) or has files named like
functions. Other directories are looked into, in the order of names; links to
directories are counted only. An input that fails becomes a record and does not
end the run.

Standard output has the report: how many hosts are alike, which are not, and how
they differ. With --format jsonl it has one JSON line a host instead, with
--rows flat lines; -o writes these lines to a file, beside the report. Hosts are
alike if their fingerprints are: structure, IDs and ACS, without bus numbers and
serial numbers. Rows do not say all that the report counts: of a resumed file of
rows there is none, and the exit code is 3.

Examples:
  acsscan fleet dumps/                             the report
  acsscan fleet dumps/ -o fleet.jsonl              and one line a host
  acsscan fleet dumps/ --resume fleet.jsonl        only what is not in it yet
  find /srv -name '*.tar.xz' -print0 | acsscan fleet - --format jsonl
  acsscan fleet dumps/ --rows domains --name '*.txt'  flat lines, of such files
  acsscan fleet dumps/ --check gpu --policy linux  may the GPUs be assigned?
  acsscan fleet dumps/ --format prom               for Prometheus, as a textfile

Exit codes:
  0 done
  1 the policy refuses a device of --check, or a finding at or above --fail-on
  2 usage
  3 a host could not be read, something that its answers need was not captured,
    or no host has a device of --check
  4 no host could be read";

/// Options of `fleet`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Fleet {
    /// Dumps, archives, directories of them; - for a list of paths on standard input, one a line
    #[arg(value_name = "PATH", required_unless_present = "files_from")]
    pub(super) paths: Vec<PathBuf>,
    /// Take more paths from this file, one a line
    #[arg(long, value_name = "FILE")]
    pub(super) files_from: Option<PathBuf>,
    /// In directories take only files with such names, as a shell would match them; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(super) name: Vec<glob::Pattern>,
    /// Flat lines instead of one line a host
    #[arg(long, value_name = "WHAT")]
    pub(super) rows: Option<Rows>,
    /// Write the lines to this file, which must not be there yet
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Go on with a file of an earlier run that was cut short, with the same options: hosts that it has are
    /// left out, what was cut off is done again
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    pub(super) resume: Option<PathBuf>,
    /// How many hosts to read at a time; as many as there are processors if left out
    #[arg(short = 'j', long, value_name = "N")]
    pub(super) jobs: Option<NonZeroUsize>,
    /// Ask whether these may be assigned, each device of its own: an ID as lspci -d takes it
    /// ([vendor]:[device][:class[:prog-if]]), or gpu, nic, nvme, storage, accelerator, usb; several with commas between
    #[arg(long = "check", value_name = "ID|KIND", value_delimiter = ',')]
    pub(super) check: Vec<String>,
    /// Whose rules decide about --check
    #[arg(long, value_name = "POLICY", default_value = "spec", requires = "check")]
    pub(super) policy: PolicyArg,
    /// What to do about what is not known, in --check
    #[arg(long, value_name = "WHAT", default_value = "fail", requires = "check")]
    pub(super) unknown: UnknownArg,
}

/// What flat lines are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Rows {
    /// Functions, with their ACS and what they belong to
    Functions,
    /// Isolation domains that functions share
    Domains,
    /// Classes of functions that answer alike, against each other
    Pairs,
    /// Findings
    Findings,
}
