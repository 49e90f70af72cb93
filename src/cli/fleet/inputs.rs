//! Which hosts there are: from the paths that were named, and from lists of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::iter;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use glob::Pattern;

use super::args::Fleet;
use crate::cli::Stop;
use crate::dump::hosts::{HostInput, Hosts};
use crate::report::clean;

/// What stands for a list of paths that cannot be read to its end.
const LIST: &str = "(list of paths)";

/// Longest path in a list. Source: Linux, `PATH_MAX`, with much to spare.
const MAX_PATH: u64 = 64 * 1024;

/// Whether paths come from a list.
pub(super) fn listed(fleet: &Fleet) -> bool {
    fleet.files_from.is_some() || fleet.paths.iter().any(|path| path.as_os_str() == "-")
}

/// The hosts of all paths, in order, found while they are asked for; `links` counts those to directories.
/// The file that is written is none.
pub(super) fn inputs(
    fleet: &Fleet,
    links: &Arc<AtomicUsize>,
) -> Result<impl Iterator<Item = HostInput> + Send, Stop> {
    let open = |path: &Path| -> Result<Box<dyn BufRead + Send>, Stop> {
        if path.as_os_str() == "-" {
            return Ok(Box::new(BufReader::new(io::stdin())));
        }
        let shown = || clean(&path.to_string_lossy()).into_owned();
        let file = File::open(path).map_err(|error| Stop::Input(format!("{}: {error}", shown())))?;
        Ok(Box::new(BufReader::new(file)))
    };
    let mut sources: Vec<Box<dyn Iterator<Item = io::Result<PathBuf>> + Send>> = Vec::new();
    for path in &fleet.paths {
        match path.as_os_str() == "-" {
            true => sources.push(Box::new(paths_in(open(path)?))),
            false => sources.push(Box::new(iter::once(Ok(path.clone())))),
        }
    }
    if let Some(path) = &fleet.files_from {
        sources.push(Box::new(paths_in(open(path)?)));
    }
    // Of one directory alone, the names in it are enough.
    let relative = !listed(fleet) && fleet.paths.len() == 1;
    let (patterns, links) = (fleet.name.clone(), Arc::clone(links));
    let written = fleet.output.as_deref().or(fleet.resume.as_deref()).and_then(Written::new);
    let below = move |path: PathBuf| {
        let (patterns, written) = (patterns.clone(), written.clone());
        let named = path.clone();
        Hosts::new(path, relative).counting(Arc::clone(&links)).filter(move |host| {
            let is_wanted = host.path == named || is_named(&patterns, &host.path);
            is_wanted && !written.as_ref().is_some_and(|written| written.is(&host.path))
        })
    };
    let hosts = sources.into_iter().flatten().flat_map(move |path| {
        let (path, error) = match path {
            Ok(path) => (Some(path), None),
            Err(error) => {
                (None, Some(HostInput { key: LIST.to_owned(), path: LIST.into(), error: Some(error) }))
            }
        };
        path.map(&below).into_iter().flatten().chain(error)
    });
    Ok(hosts)
}

/// The file that lines go to, whatever path leads to it.
#[derive(Clone)]
struct Written {
    name: OsString,
    id: (u64, u64),
}

impl Written {
    fn new(path: &Path) -> Option<Self> {
        Some(Self { name: path.file_name()?.to_owned(), id: id(path)? })
    }

    fn is(&self, path: &Path) -> bool {
        path.file_name() == Some(&self.name) && id(path) == Some(self.id)
    }
}

fn id(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether a file has one of the names; directories need none.
fn is_named(patterns: &[Pattern], path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(&name)) || path.is_dir()
}

/// The paths in a list, one a line, or with NUL behind each, as `find -print0` writes it: what ends the
/// first one. An error ends the list. A name may be any bytes but those.
fn paths_in(mut list: Box<dyn BufRead + Send>) -> impl Iterator<Item = io::Result<PathBuf>> + Send {
    let (mut ended, mut end) = (false, None);
    iter::from_fn(move || {
        while !ended {
            let mut path = Vec::new();
            match read_path(&mut *list, &mut end, &mut path) {
                Ok(more) => ended = !more,
                Err(error) => {
                    ended = true;
                    return Some(Err(error));
                }
            }
            // As Windows ends lines.
            if end != Some(0) && path.last() == Some(&b'\r') {
                path.pop();
            }
            if !path.is_empty() {
                return Some(Ok(PathBuf::from(OsString::from_vec(path))));
            }
        }
        None
    })
}

/// Reads up to the next end of a path; whether there may be more.
fn read_path(list: &mut dyn BufRead, end: &mut Option<u8>, path: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let ahead = list.fill_buf()?;
        if ahead.is_empty() {
            return Ok(false);
        }
        let is_end = |byte: &u8| end.map_or(matches!(byte, 0 | b'\n'), |end| *byte == end);
        let length = ahead.iter().position(is_end);
        path.extend_from_slice(ahead.get(..length.unwrap_or(ahead.len())).unwrap_or_default());
        if path.len() as u64 > MAX_PATH {
            let text = format!("a line of more than {MAX_PATH} bytes: not a list of paths");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        match length {
            Some(length) => {
                *end = ahead.get(length).copied();
                list.consume(length.saturating_add(1));
                return Ok(true);
            }
            None => {
                let length = ahead.len();
                list.consume(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(list: &[u8]) -> Vec<Result<String, io::ErrorKind>> {
        // A few bytes at a time, as a pipe may give them.
        let list = BufReader::with_capacity(3, io::Cursor::new(list.to_vec()));
        let shown = |path: PathBuf| path.to_string_lossy().into_owned();
        paths_in(Box::new(list)).map(|path| path.map(shown).map_err(|error| error.kind())).collect()
    }

    #[test]
    fn lists_of_every_kind_name_the_same_paths() {
        let expected = [Ok("a b".to_owned()), Ok("longer/name".to_owned())];
        for list in [
            "a b\nlonger/name\n",
            "a b\nlonger/name",
            "a b\r\n\r\nlonger/name\r\n",
            "a b\0longer/name\0",
            "a b\0longer/name",
        ] {
            assert_eq!(paths(list.as_bytes()), expected, "{list:?}");
        }
        assert_eq!(paths(b"a\0b\nc\0"), [Ok("a".to_owned()), Ok("b\nc".to_owned())], "find -print0");
    }

    #[test]
    fn a_list_without_ends_is_no_list() {
        let mut endless = b"a\n".to_vec();
        endless.extend(vec![b'x'; 1 << 20]);
        assert_eq!(paths(&endless), [Ok("a".to_owned()), Err(io::ErrorKind::InvalidData)]);
    }
}
