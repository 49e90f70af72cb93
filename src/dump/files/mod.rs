//! A tree of files to read from, be it a directory or what was kept of an archive.
//!
//! Paths are relative to the tree's root; the empty path is the root itself. Links are resolved here,
//! component by component, so that none leads out of the tree, whatever holds it.

mod packed;

pub(super) use packed::Packed;
#[cfg(feature = "archive")]
pub(super) use packed::Refused;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::vec::Vec;

use nix::fcntl::OFlag;

use super::on_demand::{ReadAt, read_full_at};

/// Links that are followed on one path, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// A tree of files.
#[cfg_attr(not(feature = "archive"), allow(dead_code, reason = "trees in memory are made from archives"))]
pub(super) enum Files {
    /// A directory on disk.
    Directory {
        /// As it was given.
        root: PathBuf,
        /// Without links.
        real: PathBuf,
    },
    /// What was kept of an archive.
    Packed {
        /// The archive's path, for messages.
        archive: PathBuf,
        /// Its tree.
        tree: Packed,
    },
}

/// What a name stands for, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    /// A device, a pipe: nothing to be read.
    Other,
}

/// Why a path leads to nothing.
#[derive(Debug)]
pub(super) enum Lost {
    /// A link leads out of the tree.
    Outside,
    Failed(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Files {
    /// The tree of a directory.
    pub(super) fn directory(root: &Path) -> io::Result<Self> {
        Ok(Self::Directory { root: root.to_path_buf(), real: fs::canonicalize(root)? })
    }

    /// The path as messages show it.
    pub(super) fn full(&self, path: &Path) -> PathBuf {
        match self {
            Self::Directory { root, .. } => root.join(path),
            Self::Packed { archive, .. } => archive.join(path),
        }
    }

    /// What the name stands for.
    pub(super) fn kind(&self, path: &Path) -> io::Result<Kind> {
        match self {
            Self::Directory { real, .. } => {
                let kind = fs::symlink_metadata(real.join(path))?.file_type();
                Ok(match () {
                    () if kind.is_dir() => Kind::Directory,
                    () if kind.is_symlink() => Kind::Link,
                    () if kind.is_file() => Kind::File,
                    () => Kind::Other,
                })
            }
            Self::Packed { tree, .. } => tree.kind(path),
        }
    }

    /// Where a link points, as it was written.
    pub(super) fn link(&self, path: &Path) -> io::Result<PathBuf> {
        match self {
            Self::Directory { real, .. } => fs::read_link(real.join(path)),
            Self::Packed { tree, .. } => tree.link(path),
        }
    }

    /// The names in a directory, at most `limit` of them, sorted, so that what is read does not depend
    /// on the file system; and whether there are more.
    pub(super) fn names(&self, path: &Path, limit: u64) -> io::Result<(Vec<OsString>, bool)> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        match self {
            Self::Directory { real, .. } => {
                let mut names = Vec::new();
                for entry in fs::read_dir(real.join(path))? {
                    if names.len() >= limit {
                        return Ok((names, true));
                    }
                    names.push(entry?.file_name());
                }
                names.sort_unstable();
                Ok((names, false))
            }
            Self::Packed { tree, .. } => {
                let mut names = tree.names(path)?;
                let more = names.len() > limit;
                names.truncate(limit);
                Ok((names, more))
            }
        }
    }

    /// Opens a regular file, and nothing that would block or do something: a tree may hold pipes and
    /// devices under any name. A link is not followed: see [`real`](Self::real).
    pub(super) fn open(&self, path: &Path) -> io::Result<Option<Opened<'_>>> {
        match self {
            Self::Directory { real, .. } => {
                let path = real.join(path);
                if !fs::symlink_metadata(&path)?.is_file() {
                    return Ok(None);
                }
                let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
                let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
                Ok(file.metadata()?.is_file().then_some(Opened::File(file)))
            }
            Self::Packed { tree, .. } => tree.open(path).map(|bytes| bytes.map(Opened::Bytes)),
        }
    }

    /// The path without links. Every component is looked at, and a link is replaced by where it
    /// points, but only within the tree.
    pub(super) fn real(&self, path: &Path) -> Result<PathBuf, Lost> {
        let mut pending: VecDeque<OsString> = VecDeque::new();
        push_front(&mut pending, path, self)?;
        let mut found = PathBuf::new();
        let mut links = 0_usize;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                if !found.pop() {
                    return Err(Lost::Outside);
                }
                continue;
            }
            found.push(&name);
            if self.kind(&found)? != Kind::Link {
                continue;
            }
            links = links.saturating_add(1);
            if links > MAX_LINKS {
                return Err(Lost::Failed(io::Error::other("too many symbolic links on the way")));
            }
            let target = self.link(&found)?;
            found.pop();
            if target.is_absolute() {
                found = PathBuf::new();
            }
            push_front(&mut pending, &target, self)?;
        }
        Ok(found)
    }

    /// The first bytes of a file, wherever links lead to it within the tree.
    pub(super) fn start_of(&self, path: &Path, limit: usize) -> Option<Vec<u8>> {
        let opened = self.open(&self.real(path).ok()?).ok()??;
        let mut bytes = std::vec![0; limit];
        let length = opened.read_at(&mut bytes, 0).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }
}

/// Puts the components of a link's target, or of a path, before what is still to be walked.
fn push_front(pending: &mut VecDeque<OsString>, path: &Path, files: &Files) -> Result<(), Lost> {
    let inside = match files {
        Files::Directory { real, .. } if path.is_absolute() => path.strip_prefix(real).ok(),
        _ => Some(path),
    };
    let mut names: Vec<&OsStr> = Vec::new();
    for component in inside.ok_or(Lost::Outside)?.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => names.push(OsStr::new("..")),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err(Lost::Outside),
        }
    }
    for name in names.into_iter().rev() {
        pending.push_front(name.to_os_string());
    }
    Ok(())
}

/// A regular file of a tree.
pub(super) enum Opened<'a> {
    File(File),
    Bytes(&'a [u8]),
}

impl Opened<'_> {
    /// Fills the buffer from `offset` on as far as the file goes; gives how many bytes there were.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_full_at(self, buffer, offset)
    }
}

impl ReadAt for Opened<'_> {
    fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_once_at(buffer, offset),
            Self::Bytes(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = bytes.get(from..).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..length), rest.get(..length)) {
                    to.copy_from_slice(from);
                }
                Ok(length)
            }
        }
    }

    fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => file.size(),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn packed(links: &[(&str, &str)]) -> Files {
        let mut tree = Packed::new(1 << 20);
        for (name, target) in links {
            tree.add_link(Path::new(name), Path::new(target)).expect("kept");
        }
        tree.add_file(Path::new("a/b/file"), b"bytes").expect("kept");
        Files::Packed { archive: PathBuf::from("x.tar"), tree }
    }

    fn on_disk(links: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("a/b")).expect("made");
        fs::write(root.path().join("a/b/file"), b"bytes").expect("written");
        for (name, target) in links {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("one")).expect("made");
            symlink(target, path).expect("made");
        }
        let files = Files::directory(root.path()).expect("there");
        (root, files)
    }

    #[test]
    fn links_are_resolved_alike_on_disk_and_in_an_archive_and_never_lead_out() {
        let links = [
            ("up", "a/../a/b"),
            ("x/back", "../up/file"),
            ("out", "../../etc"),
            ("a/out", "../.."),
            ("absolute", "/etc"),
            ("loop", "loop"),
            ("ping", "pong"),
            ("pong", "ping"),
            ("gone", "nothing/here"),
        ];
        let (_root, disk) = on_disk(&links);
        for files in [packed(&links), disk] {
            let real = |path: &str| files.real(Path::new(path));
            assert_eq!(real("x/back").expect("there"), Path::new("a/b/file"));
            assert_eq!(real("up/file").expect("there"), Path::new("a/b/file"));
            for path in ["out", "a/out", "absolute", "a/../../x", "out/passwd"] {
                assert!(matches!(real(path), Err(Lost::Outside)), "{path}");
            }
            for path in ["loop", "ping", "gone", "a/b/none", "loop/x"] {
                assert!(matches!(real(path), Err(Lost::Failed(_))), "{path}");
            }
            assert_eq!(files.start_of(Path::new("x/back"), 3).as_deref(), Some(&b"byt"[..]));
            assert!(files.open(Path::new("up")).expect("no error").is_none(), "a link is not opened");
        }
    }

    #[test]
    fn absolute_links_within_a_directory_are_followed() {
        let (root, files) = on_disk(&[]);
        let inside = fs::canonicalize(root.path()).expect("there").join("a/b");
        symlink(inside, root.path().join("in")).expect("made");
        assert_eq!(files.real(Path::new("in/file")).expect("there"), Path::new("a/b/file"));
    }
}
