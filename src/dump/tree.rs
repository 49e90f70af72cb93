//! Directories: configuration files by their names, or a copy of sysfs somewhere inside.

use std::ffi::OsString;
use std::format;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use nix::fcntl::OFlag;

use super::config_file::BUFFER;
use super::detect::{is_text, read_full_at};
use super::error::{Error, shown};
use super::name::address_of;
use super::{Delivery, Format, NOTHING, ProblemKind, sysfs};
use crate::addr::Sbdf;
use crate::function::{Attributes, Sink};

/// How deep configuration files are looked for.
const MAX_DEPTH: usize = 16;

/// How many entries are looked at: a full segment with a dozen files a function.
const MAX_ENTRIES: usize = 1 << 20;

/// Reads every configuration file below `root`, in the order of their names.
pub(super) fn read<K: Sink>(root: &Path, delivery: &mut Delivery<'_, K>) -> Result<Format, Error> {
    if let Some(copy) = sysfs::find(root) {
        sysfs::read_copy(&copy, sysfs::tables_beside(root, &copy).as_deref(), delivery)?;
        return Ok(Format::Sysfs);
    }
    let real = fs::canonicalize(root).map_err(|error| Error::io(root, error))?;
    let mut walk = Walk { given: root, real, entries: 0, configs: 0, copy: None };
    walk.directory(root, 0, delivery)?;
    match walk {
        Walk { copy: Some(_), .. } => Ok(Format::Sysfs),
        Walk { configs: 0, .. } => Err(Error::NoConfigs { path: root.to_path_buf() }),
        _ => Ok(Format::Tree),
    }
}

struct Walk<'a> {
    /// The root as it was given, for messages.
    given: &'a Path,
    /// The root without links.
    real: PathBuf,
    entries: usize,
    configs: usize,
    /// The copy of sysfs that was read.
    copy: Option<PathBuf>,
}

impl Walk<'_> {
    fn directory<K: Sink>(
        &mut self,
        path: &Path,
        depth: usize,
        delivery: &mut Delivery<'_, K>,
    ) -> Result<(), Error> {
        let names = match self.names(path) {
            Ok(names) => names,
            Err(Listing::Failed(error)) if depth == 0 => return Err(Error::io(path, error)),
            Err(Listing::Failed(error)) => {
                delivery.file_problem(None, path, &error);
                return Ok(());
            }
            Err(Listing::TooMany) => {
                return Err(Error::TooManyEntries { path: self.given.to_path_buf(), limit: MAX_ENTRIES });
            }
        };
        for name in names {
            let path = path.join(name);
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                self.subdirectory(&path, depth, delivery)?;
            } else if let Some(address) = address_of(&path) {
                self.file(&path, address, metadata.is_symlink(), delivery);
            }
        }
        Ok(())
    }

    fn subdirectory<K: Sink>(
        &mut self,
        path: &Path,
        depth: usize,
        delivery: &mut Delivery<'_, K>,
    ) -> Result<(), Error> {
        let Some(copy) = sysfs::find(path) else {
            if depth >= MAX_DEPTH {
                let text = format!("{}: deeper than {MAX_DEPTH} directories: not looked into", shown(path));
                delivery.problem(ProblemKind::LeftOut, None, text);
                return Ok(());
            }
            return self.directory(path, depth.saturating_add(1), delivery);
        };
        if let Some(first) = self.copy.take() {
            return Err(Error::SeveralTrees { path: self.given.to_path_buf(), first, second: copy });
        }
        match sysfs::read_copy(&copy, sysfs::tables_beside(path, &copy).as_deref(), delivery) {
            Ok(()) => self.configs = self.configs.saturating_add(1),
            Err(Error::NoPci { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.copy = Some(copy);
        Ok(())
    }

    /// Names in a directory, sorted, so that what is read does not depend on the file system.
    fn names(&mut self, path: &Path) -> Result<Vec<OsString>, Listing> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(Listing::Failed)? {
            self.entries = self.entries.saturating_add(1);
            if self.entries > MAX_ENTRIES {
                return Err(Listing::TooMany);
            }
            names.push(entry.map_err(Listing::Failed)?.file_name());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn file<K: Sink>(&mut self, path: &Path, address: Sbdf, link: bool, delivery: &mut Delivery<'_, K>) {
        let target;
        let mut real = path;
        if link {
            match fs::canonicalize(path) {
                Ok(found) if found.starts_with(&self.real) => {
                    target = found;
                    real = &target;
                }
                Ok(_) => {
                    let text = format!("{}: a link out of the directory: not followed", shown(path));
                    delivery.problem(ProblemKind::LeadsOut, Some(address), text);
                    return;
                }
                Err(error) => return delivery.file_problem(Some(address), path, &error),
            }
        }
        let mut buffer = [0; BUFFER];
        let read = open_regular(real).and_then(|file| match file {
            Some(file) => read_full_at(&file, &mut buffer, 0).map(Some),
            None => Ok(None),
        });
        match read {
            Ok(None) => {}
            Ok(Some(length)) => self.bytes(buffer.get(..length).unwrap_or_default(), path, address, delivery),
            Err(error) => {
                delivery.file_problem(Some(address), path, &error);
                delivery.record(address, NOTHING, Attributes::default());
                self.configs = self.configs.saturating_add(1);
            }
        }
    }

    fn bytes<K: Sink>(&mut self, bytes: &[u8], path: &Path, address: Sbdf, delivery: &mut Delivery<'_, K>) {
        if bytes.len() == BUFFER {
            let text =
                format!("{}: more than 4096 bytes: not one function's configuration space", shown(path));
            delivery.problem(ProblemKind::TooLarge, Some(address), text);
            return;
        }
        if bytes.is_empty() {
            let text = format!("{}: empty: nothing is known of this function", shown(path));
            delivery.problem(ProblemKind::NoConfig, Some(address), text);
        } else if is_text(bytes) {
            return;
        }
        delivery.record(address, bytes, Attributes::of_config_file(bytes.len()));
        self.configs = self.configs.saturating_add(1);
    }
}

/// Why a directory could not be listed.
enum Listing {
    Failed(io::Error),
    TooMany,
}

/// Opens a regular file, and nothing that would block or do something: a tree may hold pipes and
/// devices under any name.
pub(super) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let regular = file.metadata()?.is_file();
    Ok(regular.then_some(file))
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;
    use crate::function::Inventory;
    use std::os::unix::fs::symlink;
    use std::string::String;
    use std::string::ToString;
    use std::vec;

    fn read_tree(root: &Path) -> (Result<Format, Error>, Vec<String>, Vec<Problem>) {
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        let result = read(root, &mut delivery);
        let problems = delivery.problems;
        let found =
            inventory.finish().functions().iter().map(|function| function.address.to_string()).collect();
        (result, found, problems)
    }

    fn put(path: &Path, bytes: &[u8]) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    fn config() -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..4].copy_from_slice(&[0x86, 0x80, 0x34, 0x12]);
        bytes
    }

    #[test]
    fn configuration_files_are_found_among_other_files() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path();
        for name in
            ["a/0000:00:1f.0.bin", "b/0000:01:00.0/config", "proc/bus/pci/02/00.1", "0001-00-00.0.config"]
        {
            put(&root.join(name), &config());
        }
        put(&root.join("DMAR.bin"), &config());
        put(&root.join("a/0000:00:1e.0.txt"), b"00:1e.0 ISA: not a config");
        put(&root.join("a/0000:00:1d.0.bin"), &[0; 4097]);
        let (result, found, problems) = read_tree(root);
        assert!(matches!(result, Ok(Format::Tree)));
        assert_eq!(found, ["0000:00:1f.0", "0000:01:00.0", "0000:02:00.1", "0001:00:00.0"]);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].kind, ProblemKind::TooLarge);
    }

    #[test]
    fn links_out_of_the_directory_are_not_followed() {
        let outside = tempfile::tempdir().expect("a directory");
        put(&outside.path().join("secret"), &config());
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path();
        put(&root.join("real"), &config());
        symlink("real", root.join("0000:00:01.0")).expect("made");
        symlink(outside.path().join("secret"), root.join("0000:00:02.0")).expect("made");
        symlink(outside.path(), root.join("dir")).expect("made");
        symlink(".", root.join("loop")).expect("made");
        let (result, found, problems) = read_tree(root);
        assert!(result.is_ok());
        assert_eq!(found, ["0000:00:01.0"]);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].kind, ProblemKind::LeadsOut);
    }

    #[test]
    fn pipes_under_the_name_of_a_function_do_not_block() {
        let root = tempfile::tempdir().expect("a directory");
        nix::unistd::mkfifo(&root.path().join("0000:00:01.0"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        put(&root.path().join("0000:00:02.0"), &config());
        assert_eq!(read_tree(root.path()).1, ["0000:00:02.0"]);
    }

    #[test]
    fn a_directory_without_configs_says_what_it_looked_for() {
        let root = tempfile::tempdir().expect("a directory");
        put(&root.path().join("readme.txt"), b"hello");
        let error = read_tree(root.path()).0.expect_err("nothing there");
        assert!(matches!(error, Error::NoConfigs { .. }));
    }

    #[test]
    fn trees_of_two_machines_are_not_mixed() {
        let root = tempfile::tempdir().expect("a directory");
        for machine in ["one", "two"] {
            put(&root.path().join(machine).join("sys/bus/pci/devices/0000:00:01.0/config"), &config());
        }
        assert!(matches!(read_tree(root.path()).0, Err(Error::SeveralTrees { .. })));
        let (result, found, _) = read_tree(&root.path().join("one"));
        assert!(matches!(result, Ok(Format::Sysfs)));
        assert_eq!(found, ["0000:00:01.0"]);
    }

    #[test]
    fn directories_are_not_followed_down_for_ever() {
        let root = tempfile::tempdir().expect("a directory");
        let deep: PathBuf = (0..40).map(|_| "d").collect();
        put(&root.path().join(deep).join("0000:00:01.0.bin"), &config());
        let (result, _, problems) = read_tree(root.path());
        assert!(matches!(result, Err(Error::NoConfigs { .. })));
        assert_eq!(problems[0].kind, ProblemKind::LeftOut);
    }
}
