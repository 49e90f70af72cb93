//! An answer that is a file.
//!
//! Who may write a file does not read bytes of strangers: the command runs again, with a new file as its
//! standard output, and there gives up what reading does not take, as for any other answer. What it wrote takes
//! its place under the name that was given, whole or not at all.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use clap::Args;
use tempfile::NamedTempFile;

use super::{Exit, Stop};

/// Where an answer goes.
#[derive(Debug, Args)]
pub(super) struct To {
    /// Where to write; - for standard output
    #[arg(short = 'o', long = "output", value_name = "FILE", overrides_with = "output")]
    output: PathBuf,
    /// Replace FILE if it exists and is a regular file; a link to one is replaced, not followed
    #[arg(long)]
    force: bool,
}

impl To {
    /// The file; `None` for standard output.
    pub(super) fn file(&self) -> Option<&Path> {
        Some(self.output.as_path()).filter(|path| path.as_os_str() != "-")
    }

    /// Has the file written by another process, whose exit code this one's is.
    pub(super) fn write(&self, path: &Path) -> Result<Exit, Stop> {
        if !self.force && path.symlink_metadata().is_ok() {
            return Err(Stop::Usage(format!("{}: is there already; --force replaces it", path.display())));
        }
        // What a link leads to, too: nobody means /dev/null to become a file.
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            let text = "is no regular file, and is not replaced; -o - is standard output";
            return Err(Stop::Usage(format!("{}: {text}", path.display())));
        }
        // Not the error's own text: it names a file that nobody has asked for.
        let failed =
            |error: io::Error| Stop::Input(format!("{}: cannot write: {}", path.display(), error.kind()));
        let directory = directory(path);
        if !directory.is_dir() {
            let text = "no such directory: make it first, or name another with -o";
            return Err(Stop::Input(format!("{}: {text}", directory.display())));
        }
        // Only its owner may read it.
        let file = tempfile::Builder::new().prefix(".acsscan-").tempfile_in(directory).map_err(failed)?;
        let status =
            again(file.as_file()).map_err(|error| Stop::Input(format!("cannot run again: {error}")))?;
        let exit = match status.code() {
            Some(0) => Exit::Done,
            Some(1) => Exit::Negative,
            // It has said why.
            Some(2) => return Ok(Exit::Usage),
            Some(3) => Exit::Inconclusive,
            Some(4) => return Ok(Exit::Failed),
            _ => return Err(Stop::Input(format!("{}: not written: {status}", path.display()))),
        };
        self.keep(file, path).map_err(failed)?;
        Ok(exit)
    }

    fn keep(&self, file: NamedTempFile, path: &Path) -> io::Result<()> {
        file.as_file().sync_all()?;
        let kept = if self.force { file.persist(path) } else { file.persist_noclobber(path) };
        kept.map_err(|error| error.error)?;
        File::open(directory(path))?.sync_all()
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Runs this command with the same arguments and `-o -` behind them, to its end.
fn again(output: &File) -> io::Result<ExitStatus> {
    let mut arguments = std::env::args_os();
    // The file that runs, whatever is under its name by now.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).args(["-o", "-"]).stdout(output.try_clone()?).status()
}
