//! Archives and compressed files, unpacked while they are read.
//!
//! Nothing is written to disk, and nothing is kept but what a reader may need: configuration space,
//! links, text dumps, the kernel's command line. Formats are told from the content: tar, plain or in
//! gzip, bzip2, xz or Zstandard; any of these around another input; compression around compression
//! once.

mod members;
mod unpack;

use std::boxed::Box;
use std::format;
use std::io::Read;
use std::path::Path;

use super::detect::{Content, read_window};
use super::error::{Error, Unsupported};
use super::files::Files;
use super::lines::Window;
use super::{Delivery, Format, Options, ProblemKind, detect, tree};
use crate::function::Sink;
use unpack::{Budget, failed};

/// Layers of compression that are taken off.
const MAX_LAYERS: usize = 2;

/// Whether inputs of this kind are read here.
pub(super) const fn reads(what: Unsupported) -> bool {
    matches!(
        what,
        Unsupported::Gzip | Unsupported::Xz | Unsupported::Bzip2 | Unsupported::Zstd | Unsupported::Tar
    )
}

/// Reads an archive or a compressed input; gives what it is: what is in a compressed file that is no
/// archive counts as itself.
pub(super) fn read<R: Read, K: Sink>(
    window: Window<R>,
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let budget = Budget::new(&delivery.limits);
    let mut window: Window<Box<dyn Read + '_>> = Window::new(Box::new(budget.packed(window)));
    for layer in 0..=MAX_LAYERS {
        window.look_ahead(detect::PREFIX).map_err(|error| failed(path, error))?;
        let what = match Content::of(window.ahead()) {
            Content::Archive(Unsupported::Tar) => return read_tar(window, path, delivery),
            Content::Archive(what) if reads(what) && layer < MAX_LAYERS => what,
            Content::Archive(what) if reads(what) => {
                return Err(Error::unsupported(path, Unsupported::Nested));
            }
            _ => break,
        };
        let unpacked = unpack::decoder(what, Box::new(window), &delivery.limits);
        window = Window::new(Box::new(budget.unpacked(unpacked)));
    }
    if options.format == Some(Format::Archive) {
        let (path, wanted) = (path.to_path_buf(), Format::Archive);
        return Err(Error::WrongFormat { path, wanted, found: "a compressed file, but no archive" });
    }
    read_window(window, path, options, delivery).map_err(|error| match error {
        Error::Io { path, source } => failed(&path, source),
        error => error,
    })
}

fn read_tar<R: Read, K: Sink>(
    window: Window<R>,
    path: &Path,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let (tree, cut) = members::collect(window, path, delivery)?;
    let read = tree::read(&Files::Packed { archive: path.to_path_buf(), tree }, delivery);
    match (read, cut) {
        (Err(Error::NoConfigs { .. }), Some(cut)) => return Err(cut),
        (Err(error), _) => return Err(error),
        (Ok(_), Some(cut)) => {
            let text = format!("{cut}; what came before was read, the rest is missing");
            delivery.problem(ProblemKind::Truncated, None, text);
        }
        (Ok(_), None) => {}
    }
    Ok(Format::Archive)
}

#[cfg(test)]
mod tests;
