//! `capture`: what was read, in one file.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};

use super::args::Common;
use super::file::To;
use super::{Exit, Stop, input};
use crate::dump::capture::{self, Redact};
use crate::report::clean;

/// Options of `capture`.
#[derive(Debug, Args)]
pub(super) struct Capture {
    #[command(flatten)]
    pub(super) to: To,
    /// Leave out: serials (device serial numbers), vpd, hostname, subsystem; without a value the first three
    #[arg(
        long,
        value_name = "WHAT[,WHAT]",
        num_args = 0..=1,
        require_equals = true,
        value_delimiter = ',',
        default_missing_value = "serials,vpd,hostname"
    )]
    redact: Vec<RedactArg>,
}

/// What `capture` leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RedactArg {
    /// Device Serial Number
    Serials,
    /// The last word read of Vital Product Data
    Vpd,
    /// The host's name
    Hostname,
    /// Subsystem vendor and subsystem ID
    Subsystem,
}

/// Writes the capture to standard output: a file is written by [`file`](super::file).
pub(super) fn run(common: &Common, arguments: &Capture) -> Result<Exit, Stop> {
    if common.overlays.any() {
        return Err(Stop::Usage(String::from(
            "a capture holds what was read, so that what-if options do not go with it: give them when it is looked at",
        )));
    }
    if io::stdout().is_terminal() {
        let text = "a capture is no text: name a file with -o FILE, or send standard output somewhere";
        return Err(Stop::Usage(String::from(text)));
    }
    let (input, options) = input::options(common)?;
    let wants = |what| arguments.redact.contains(&what);
    let redact = Redact {
        serials: wants(RedactArg::Serials),
        vpd: wants(RedactArg::Vpd),
        hostname: wants(RedactArg::Hostname),
        subsystem: wants(RedactArg::Subsystem),
    };
    let captured =
        capture::capture(&input, &options, redact).map_err(|error| Stop::Input(error.to_string()))?;
    let bytes = captured.to_bytes().map_err(|error| Stop::Input(format!("cannot pack: {error}")))?;
    io::stdout().lock().write_all(&bytes)?;
    for problem in captured.problems() {
        eprintln!("acsscan: {}", clean(problem));
    }
    Ok(if captured.is_complete() { Exit::Done } else { Exit::Inconclusive })
}
