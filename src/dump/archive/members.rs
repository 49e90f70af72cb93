//! The members of a tar archive: what a reader may need is kept, the rest is passed over.
//!
//! Long names are read here and not by the library, which takes them at whatever length they say.
//!
//! Source: POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Header Block"; GNU tar manual,
//! "Basic Tar Format".

use std::ffi::OsStr;
use std::format;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::super::config_file::BUFFER;
use super::super::detect::is_text;
use super::super::error::{Error, shown};
use super::super::files::{Packed, Refused};
use super::super::name::{self, address_of};
use super::super::tree::{DEEP_PROBE, PROBE, is_text_dump};
use super::super::{Delivery, ProblemKind, host};
use super::unpack::failed;
use crate::function::Sink;
use crate::limits::Limit;

/// Longest name, and longest set of names in a header of its own.
const MAX_NAME: u64 = 64 * 1024;

/// Longest small file: command line and the like.
const MAX_SMALL: u64 = 64 * 1024;

/// Reads an archive to its end and gives what was kept of it, and the error that cut it short.
pub(super) fn collect<R: Read, K: Sink>(
    input: R,
    path: &Path,
    delivery: &mut Delivery<'_, K>,
) -> Result<(Packed, Option<Error>), Error> {
    let mut collector = Collector {
        tree: Packed::new(delivery.limits.kept),
        entries: 0,
        next_name: None,
        next_link: None,
        archive: path,
        delivery,
    };
    let mut archive = Archive::new(input);
    let entries = archive.entries().map_err(|error| failed(path, error))?;
    for entry in entries.raw(true) {
        match entry.map_err(|error| failed(path, error)).and_then(|entry| collector.entry(entry)) {
            Ok(()) => {}
            // A cut archive holds what came before the cut.
            Err(error @ Error::Unpack { .. }) if collector.entries > 0 => {
                return Ok((collector.tree, Some(error)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((collector.tree, None))
}

struct Collector<'a, 'b, K> {
    tree: Packed,
    entries: u64,
    /// Name and link of the next entry, where they come in headers of their own.
    next_name: Option<PathBuf>,
    next_link: Option<PathBuf>,
    archive: &'a Path,
    delivery: &'a mut Delivery<'b, K>,
}

impl<K: Sink> Collector<'_, '_, K> {
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<(), Error> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > self.delivery.limits.entries {
            return Err(self.exceeded(Limit::Entries));
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => self.next_name = Some(path_of(&self.header(&mut entry)?)),
            EntryType::GNULongLink => self.next_link = Some(path_of(&self.header(&mut entry)?)),
            EntryType::XHeader => self.pax(&mut entry)?,
            EntryType::XGlobalHeader => {}
            _ => {
                let name = match self.next_name.take() {
                    Some(name) => name,
                    None => path_of(&entry.path_bytes()),
                };
                let link = match self.next_link.take() {
                    Some(link) => Some(link),
                    None => entry.link_name_bytes().map(|link| path_of(&link)),
                };
                let kept = self.member(kind, &name, link.as_deref(), &mut entry)?;
                return self.settle(kept, &name);
            }
        }
        Ok(())
    }

    /// Keeps a member if it may be needed.
    fn member<R: Read>(
        &mut self,
        kind: EntryType,
        name: &Path,
        link: Option<&Path>,
        entry: &mut Entry<'_, R>,
    ) -> Result<Result<(), Refused>, Error> {
        Ok(match kind {
            EntryType::Regular | EntryType::Continuous => match self.content(name, entry)? {
                Some(bytes) => self.tree.add_file(name, &bytes),
                None => Ok(()),
            },
            EntryType::Symlink => self.tree.add_link(name, link.unwrap_or(Path::new(""))),
            EntryType::Link => {
                let target = link.unwrap_or(Path::new(""));
                let bytes = self.tree.open(target.strip_prefix("/").unwrap_or(target));
                match bytes.ok().flatten().map(<[u8]>::to_vec) {
                    Some(bytes) => self.tree.add_file(name, &bytes),
                    None => Ok(()),
                }
            }
            // Of directories those that stand for a function matter even if there is nothing in them.
            EntryType::Directory => {
                let name_text = name.file_name().and_then(OsStr::to_str).unwrap_or_default();
                match name::from_name(name_text).is_some() || host::is_wanted_directory(name) {
                    true => self.tree.add_directory(name),
                    false => Ok(()),
                }
            }
            // Devices and pipes.
            _ => Ok(()),
        })
    }

    /// The bytes of a file that may be needed.
    fn content<R: Read>(&mut self, name: &Path, entry: &mut Entry<'_, R>) -> Result<Option<Vec<u8>>, Error> {
        let broken = |error| failed(self.archive, error);
        let mut bytes = Vec::new();
        if address_of(name).is_some() || address_of(&self.archive.join(name)).is_some() {
            entry.by_ref().take(BUFFER as u64).read_to_end(&mut bytes).map_err(broken)?;
            return Ok(Some(bytes));
        }
        if host::is_wanted(name) {
            entry.by_ref().take(MAX_SMALL).read_to_end(&mut bytes).map_err(broken)?;
            return Ok(Some(bytes));
        }
        entry.by_ref().take(PROBE as u64).read_to_end(&mut bytes).map_err(broken)?;
        if !is_text(&bytes) {
            return Ok(None);
        }
        if !is_text_dump(&bytes) {
            let more = DEEP_PROBE.saturating_sub(bytes.len()) as u64;
            entry.by_ref().take(more).read_to_end(&mut bytes).map_err(broken)?;
            if !is_text_dump(&bytes) {
                return Ok(None);
            }
        }
        let limit = self.delivery.limits.file;
        entry.by_ref().take(limit).read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 > limit {
            let passed = Limit::File.passed(limit);
            let text = format!("{}: not read: {passed}", shown(&self.archive.join(name)));
            self.delivery.problem(ProblemKind::TooLarge, None, text);
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// A name or link that comes in a header of its own, without the NUL that ends it.
    fn header<R: Read>(&self, entry: &mut Entry<'_, R>) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        entry.by_ref().take(MAX_NAME).read_to_end(&mut bytes).map_err(|error| failed(self.archive, error))?;
        if bytes.len() as u64 >= MAX_NAME {
            let source = io::Error::other(format!("a name of {MAX_NAME} bytes or more"));
            return Err(Error::Unpack { path: self.archive.to_path_buf(), source });
        }
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(bytes)
    }

    fn pax<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), Error> {
        let bytes = self.header(entry)?;
        for extension in PaxExtensions::new(&bytes).flatten() {
            match extension.key_bytes() {
                b"path" => self.next_name = Some(path_of(extension.value_bytes())),
                b"linkpath" => self.next_link = Some(path_of(extension.value_bytes())),
                _ => {}
            }
        }
        Ok(())
    }

    /// What was refused ends the reading, or is said, or does not matter.
    fn settle(&mut self, kept: Result<(), Refused>, name: &Path) -> Result<(), Error> {
        match kept {
            Ok(()) => Ok(()),
            Err(Refused::Full) => Err(self.exceeded(Limit::Kept)),
            Err(Refused::Outside) => {
                let text = format!("{}: the name leads out of the archive: not read", shown(name));
                self.delivery.problem(ProblemKind::LeadsOut, None, text);
                Ok(())
            }
            Err(Refused::Name) => Ok(()),
        }
    }

    fn exceeded(&self, limit: Limit) -> Error {
        Error::Limit { path: self.archive.to_path_buf(), limit, value: self.delivery.limits.get(limit) }
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
