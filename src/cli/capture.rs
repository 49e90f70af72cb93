//! `capture`: what was read, in one file.

use super::args::{Capture, Common, RedactArg};
use super::output::Target;
use super::{Exit, Stop, input};
use crate::dump::capture::{self, Redact};
use crate::report::clean;

pub(super) fn run(common: &Common, arguments: &Capture) -> Result<Exit, Stop> {
    let target = Target::new(&arguments.output, arguments.force)?;
    if target.is_terminal() {
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
    target.write(&bytes)?;
    for problem in captured.problems() {
        eprintln!("acsscan: {}", clean(problem));
    }
    Ok(if captured.is_complete() { Exit::Done } else { Exit::Inconclusive })
}
