//! What is kept of an archive: a tree in memory, bounded in what it takes.

use std::borrow::Cow;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::vec;
use std::vec::Vec;

use super::Kind;

/// How deep a tree is kept.
const MAX_DEPTH: usize = 64;

/// What an entry costs beside its name and content: a node, its place in the map, which is filled by half, and
/// what the allocator adds to two small pieces.
const OVERHEAD: u64 = 160;

/// A tree in memory.
pub(in crate::dump) struct Packed {
    /// The first is the root.
    nodes: Vec<Node>,
    /// What is in directories, by directory and name: one map for all, because a map of its own costs a directory
    /// with a single entry ten times what the entry takes.
    children: BTreeMap<(usize, Cow<'static, OsStr>), usize>,
    /// Bytes that may still be kept.
    left: u64,
}

enum Node {
    Directory,
    File(Box<[u8]>),
    Link(Box<Path>),
}

/// Why an entry was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dump) enum Refused {
    /// Its name leads out of the tree.
    Outside,
    /// Its name is too deep, or none, or that of something else.
    Name,
    /// The tree would take more memory than it may.
    Full,
}

#[cfg_attr(not(feature = "archive"), allow(dead_code, reason = "trees are made from archives"))]
impl Packed {
    /// An empty tree that keeps at most `limit` bytes.
    pub(in crate::dump) fn new(limit: u64) -> Self {
        Self { nodes: vec![Node::Directory], children: BTreeMap::new(), left: limit }
    }

    /// Adds a file; a later one with the same name replaces it, as unpacking would.
    pub(in crate::dump) fn add_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Refused> {
        self.take(bytes.len())?;
        self.add(path, Node::File(bytes.into()))
    }

    /// Adds a symbolic link.
    pub(in crate::dump) fn add_link(&mut self, path: &Path, target: &Path) -> Result<(), Refused> {
        self.take(target.as_os_str().len())?;
        self.add(path, Node::Link(target.into()))
    }

    /// Adds a directory, and those above it.
    pub(in crate::dump) fn add_directory(&mut self, path: &Path) -> Result<(), Refused> {
        let names = plain(path)?;
        self.directory(names).map(|_| ())
    }

    fn add(&mut self, path: &Path, node: Node) -> Result<(), Refused> {
        let mut names = plain(path)?;
        let name = names.pop().ok_or(Refused::Name)?;
        let directory = self.directory(names)?;
        let new = self.nodes.len();
        self.take(name.len())?;
        let index = *self.children.entry((directory, Cow::Owned(name))).or_insert(new);
        match self.nodes.get_mut(index) {
            Some(Node::Directory) => return Err(Refused::Name),
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        Ok(())
    }

    /// The directory with this name, made where it is missing.
    fn directory(&mut self, names: Vec<OsString>) -> Result<usize, Refused> {
        let mut at = 0;
        for name in names {
            at = match self.child(at, &name) {
                Some(known) => known,
                None => {
                    let new = self.nodes.len();
                    self.take(name.len())?;
                    self.children.insert((at, Cow::Owned(name)), new);
                    self.nodes.push(Node::Directory);
                    new
                }
            };
            if !matches!(self.nodes.get(at), Some(Node::Directory)) {
                return Err(Refused::Name);
            }
        }
        Ok(at)
    }

    fn child(&self, directory: usize, name: &OsStr) -> Option<usize> {
        // A map of owned names is one of borrowed ones, too, which need not be copied to be looked up.
        let children: &BTreeMap<(usize, Cow<'_, OsStr>), usize> = &self.children;
        children.get(&(directory, Cow::Borrowed(name))).copied()
    }

    fn take(&mut self, bytes: usize) -> Result<(), Refused> {
        let needed = OVERHEAD.saturating_add(bytes as u64);
        self.left = self.left.checked_sub(needed).ok_or(Refused::Full)?;
        Ok(())
    }

    fn index(&self, path: &Path) -> io::Result<usize> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let mut at = 0;
        for component in path.components() {
            let Component::Normal(name) = component else { return Err(missing()) };
            at = self.child(at, name).ok_or_else(missing)?;
        }
        Ok(at)
    }

    fn node(&self, path: &Path) -> io::Result<&Node> {
        self.nodes.get(self.index(path)?).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn kind(&self, path: &Path) -> io::Result<Kind> {
        Ok(match self.node(path)? {
            Node::Directory => Kind::Directory,
            Node::File(_) => Kind::File,
            Node::Link(_) => Kind::Link,
        })
    }

    pub(super) fn link(&self, path: &Path) -> io::Result<PathBuf> {
        match self.node(path)? {
            Node::Link(target) => Ok(target.to_path_buf()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    pub(super) fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let index = self.index(path)?;
        let Some(Node::Directory) = self.nodes.get(index) else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        let first = (index, Cow::Borrowed(OsStr::new("")));
        let children = self.children.range(first..).take_while(|((directory, _), _)| *directory == index);
        Ok(children.map(|((_, name), _)| name.clone().into_owned()).collect())
    }

    /// The content of a file; `None` if it is something else.
    pub(in crate::dump) fn open(&self, path: &Path) -> io::Result<Option<&[u8]>> {
        match self.node(path)? {
            Node::File(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

/// The components of a name in an archive. A leading `/` is dropped, as unpacking does; `..` is
/// refused.
fn plain(path: &Path) -> Result<Vec<OsString>, Refused> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if !name.as_bytes().contains(&0) => names.push(name.to_os_string()),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir => return Err(Refused::Outside),
            Component::Normal(_) | Component::Prefix(_) => return Err(Refused::Name),
        }
        if names.len() > MAX_DEPTH {
            return Err(Refused::Name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_rooted_in_the_tree_or_refused() {
        let mut tree = Packed::new(1 << 20);
        tree.add_file(Path::new("/sys//./a"), b"1").expect("kept");
        assert_eq!(tree.open(Path::new("sys/a")).expect("there"), Some(&b"1"[..]));
        assert_eq!(tree.add_file(Path::new("../a"), b"1"), Err(Refused::Outside));
        assert_eq!(tree.add_file(Path::new("x/../../a"), b"1"), Err(Refused::Outside));
        assert_eq!(tree.add_file(Path::new(""), b"1"), Err(Refused::Name));
        assert_eq!(tree.add_file(Path::new("sys"), b"1"), Err(Refused::Name), "is a directory");
        assert_eq!(tree.add_file(Path::new("sys/a/b"), b"1"), Err(Refused::Name), "a is a file");
        let deep: PathBuf = (0..=MAX_DEPTH).map(|_| "d").collect();
        assert_eq!(tree.add_file(&deep, b"1"), Err(Refused::Name));
        tree.add_file(Path::new("sys/a"), b"2").expect("replaced");
        assert_eq!(tree.open(Path::new("sys/a")).expect("there"), Some(&b"2"[..]));
    }

    #[test]
    fn what_is_kept_is_bounded_by_bytes_not_by_what_names_say() {
        let mut tree = Packed::new(4096);
        let kept = (0..1000).take_while(|n| tree.add_directory(Path::new(&format!("{n}"))).is_ok()).count();
        assert!((20..30).contains(&kept), "{kept}");
        assert_eq!(tree.add_file(Path::new("a"), &[0; 4096]), Err(Refused::Full));
    }

    use std::format;
}
