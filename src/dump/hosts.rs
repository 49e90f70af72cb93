//! Many hosts: which of the files and directories below a path is one host's dump.
//!
//! A directory is one host if it is, or has, a machine's tree (`bus/pci/devices`, `proc/bus/pci`,
//! `sos_commands`) or has files or directories named like functions. Any other directory holds hosts:
//! each regular file in it is one, whatever it is, and each directory is looked into. A link is what it
//! leads to, or a host that cannot be read if it leads nowhere; links to directories are counted and passed
//! over, because they may lead to the same hosts again. So are names that begin with a dot, pipes and
//! devices, uncounted.

use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec::Vec;

use super::error::shown;
use super::name::{from_name, host_bridge};

/// One host among many.
#[derive(Debug)]
#[non_exhaustive]
pub struct HostInput {
    /// What tells it from the others: its path below the directory that was named, or the path as it was
    /// named. Control characters are escaped, and bytes that are no UTF-8.
    pub key: String,
    /// Where its dump is.
    pub path: PathBuf,
    /// Why it cannot be looked into.
    pub error: Option<io::Error>,
}

/// How deep directories are looked into.
const MAX_DEPTH: usize = 32;

/// The names that make a directory one host's.
const MACHINE: [&str; 4] = ["bus/pci/devices", "sys/bus/pci/devices", "proc/bus/pci", "sos_commands"];

/// Finds the hosts below paths, in the order of the paths and of the names below them.
#[derive(Debug, Default)]
pub struct Hosts {
    /// What is still to be looked at, last first.
    pending: Vec<Pending>,
    /// The directory that keys are relative to.
    root: Option<PathBuf>,
    /// How many links to directories were passed over.
    links: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Pending {
    path: PathBuf,
    depth: usize,
}

impl Hosts {
    /// The hosts at a path. With `relative`, keys leave out the path itself if it is a directory that
    /// holds hosts.
    #[must_use]
    pub fn new(path: PathBuf, relative: bool) -> Self {
        let root = relative.then(|| path.clone());
        Self { pending: [Pending { path, depth: 0 }].into(), root, links: Arc::default() }
    }

    /// Counts the links to directories that are passed over here, too.
    #[must_use]
    pub fn counting(self, links: Arc<AtomicUsize>) -> Self {
        Self { links, ..self }
    }

    fn host(&self, path: PathBuf, error: Option<io::Error>) -> HostInput {
        let below = self.root.as_deref().and_then(|root| path.strip_prefix(root).ok());
        let key = below.filter(|below| *below != Path::new("")).unwrap_or(&path);
        HostInput { key: shown(key), path, error }
    }
}

impl Iterator for Hosts {
    type Item = HostInput;

    fn next(&mut self) -> Option<HostInput> {
        while let Some(Pending { path, depth }) = self.pending.pop() {
            let named = depth == 0;
            // What was named may be a link.
            let metadata = if named { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
            let kind = match metadata.map(|metadata| metadata.file_type()) {
                // Reading it says what is wrong.
                Err(_) if named => return Some(self.host(path, None)),
                // It was there when the directory was listed.
                Err(_) => continue,
                Ok(kind) => kind,
            };
            // What a shell puts in place of a command's output may wait for its end; a pipe that lies
            // about may wait for ever, and all other hosts with it.
            let by_shell = ["/dev", "/proc"].iter().any(|root| path.starts_with(root));
            if named && kind.is_fifo() && !by_shell {
                let error = io::Error::other("a pipe: write what comes out of it to a file");
                return Some(self.host(path, Some(error)));
            }
            if !kind.is_dir() {
                // Reading a link that leads nowhere says so.
                let target = fs::metadata(&path).map(|target| target.file_type());
                if named || kind.is_file() || target.as_ref().map_or(true, FileType::is_file) {
                    return Some(self.host(path, None));
                }
                if target.is_ok_and(|target| target.is_dir()) {
                    self.links.fetch_add(1, Ordering::Relaxed);
                }
                continue;
            }
            if depth > MAX_DEPTH {
                let error = io::Error::other(std::format!("deeper than {MAX_DEPTH} directories"));
                return Some(self.host(path, Some(error)));
            }
            if MACHINE.iter().any(|name| path.join(name).is_dir()) {
                return Some(self.host(path, None));
            }
            let names = match names(&path) {
                Ok(names) => names,
                Err(error) => return Some(self.host(path, Some(error))),
            };
            let is_function = |name: &str| from_name(name).is_some() || host_bridge(name).is_some();
            if names.iter().filter_map(|name| name.to_str()).any(is_function) || (named && names.is_empty()) {
                return Some(self.host(path, None));
            }
            let depth = depth.saturating_add(1);
            let shown = names.into_iter().filter(|name| !is_hidden(name)).rev();
            self.pending.extend(shown.map(|name| Pending { path: path.join(name), depth }));
        }
        None
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// The names in a directory, sorted.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<OsString>>>()?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::vec;

    fn put(path: &Path) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, "x").expect("written");
    }

    #[test]
    fn files_archives_and_trees_are_hosts_in_the_order_of_their_names() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path();
        for name in [
            "rack2/b.txt",
            "rack1/sys/bus/pci/devices/0000:00:00.0/config",
            "rack2/configs/0000:00:1f.0.bin",
            "a.tar.gz",
            "rack2/sos/sos_commands/pci/lspci",
            "rack2/.hidden",
        ] {
            put(&root.join(name));
        }
        symlink(".", root.join("loop")).expect("made");
        symlink("a.tar.gz", root.join("latest")).expect("made");
        symlink("nowhere", root.join("zz-gone")).expect("made");
        let keys = |relative: bool| -> Vec<String> {
            Hosts::new(root.to_path_buf(), relative).map(|host| host.key).collect()
        };
        let expected =
            vec!["a.tar.gz", "latest", "rack1", "rack2/b.txt", "rack2/configs", "rack2/sos", "zz-gone"];
        assert_eq!(keys(true), expected);
        assert_eq!(keys(false)[0], root.join("a.tar.gz").to_str().expect("UTF-8"));
        let links = Arc::new(AtomicUsize::new(0));
        assert_eq!(Hosts::new(root.to_path_buf(), true).counting(Arc::clone(&links)).count(), 7);
        assert_eq!(links.load(Ordering::Relaxed), 1, "the loop");
        nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert_eq!(keys(true), expected, "a pipe is passed over");
        let pipe = Hosts::new(root.join("pipe"), true).next().expect("named");
        assert!(pipe.error.expect("not waited for").to_string().starts_with("a pipe"));
        let one = Hosts::new(root.join("rack1"), true).map(|host| host.key);
        assert_eq!(one.collect::<Vec<_>>(), [root.join("rack1").to_str().expect("UTF-8")]);
    }

    #[test]
    fn names_that_are_no_text_are_hosts_too_and_stay_apart() {
        let root = tempfile::tempdir().expect("a directory");
        for name in [b"a\xff".as_slice(), b"a\xfe", b"b"] {
            put(&root.path().join(OsStr::from_bytes(name)));
        }
        let hosts: Vec<HostInput> = Hosts::new(root.path().to_path_buf(), true).collect();
        let keys: Vec<&str> = hosts.iter().map(|host| host.key.as_str()).collect();
        assert_eq!(keys, ["a\\xfe", "a\\xff", "b"]);
        assert!(hosts.iter().all(|host| fs::read(&host.path).is_ok()));
    }

    #[test]
    fn what_is_not_there_is_a_host_whose_reading_will_say_so() {
        let hosts: Vec<HostInput> = Hosts::new(PathBuf::from("/nowhere/a\nb"), true).collect();
        assert_eq!(hosts[0].key, "/nowhere/a\\nb");
        assert!(hosts[0].error.is_none() && hosts.len() == 1);
    }
}
