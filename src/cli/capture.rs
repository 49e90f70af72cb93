//! `capture`: what was read, in one file.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use super::args::{Capture, Common, RedactArg};
use super::{Exit, Stop, input};
use crate::dump::capture::{self, Redact};
use crate::report::clean;

pub(super) fn run(common: &Common, arguments: &Capture) -> Result<Exit, Stop> {
    if common.overlays.any() {
        return Err(Stop::Usage(String::from(
            "a capture holds what was read, so that what-if options do not go with it: give them when it is looked at",
        )));
    }
    let to_stdout = arguments.output.as_os_str() == "-";
    if to_stdout && io::stdout().is_terminal() {
        let text = "a capture is no text: name a file with -o FILE, or send standard output somewhere";
        return Err(Stop::Usage(String::from(text)));
    }
    let path = &arguments.output;
    if !to_stdout && !arguments.force && path.symlink_metadata().is_ok() {
        return Err(Stop::Usage(format!("{}: is there already; --force replaces it", path.display())));
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
    if to_stdout {
        io::stdout().lock().write_all(&bytes)?;
    } else {
        write_file(path, &bytes, arguments.force)
            .map_err(|error| Stop::Input(format!("{}: cannot write: {error}", path.display())))?;
    }
    for problem in captured.problems() {
        eprintln!("acsscan: {}", clean(problem));
    }
    Ok(if captured.is_complete() { Exit::Done } else { Exit::Inconclusive })
}

/// Writes a file whole or not at all. Only its owner may read it.
fn write_file(path: &Path, bytes: &[u8], force: bool) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".acsscan-").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map_err(|error| error.error)?;
    std::fs::File::open(directory)?.sync_all()
}
