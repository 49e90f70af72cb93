//! Reads the layers of the database: what is compiled in, the directories of the distribution and of the
//! administrator, and what the command line names.
//!
//! A file that cannot be used is refused as a whole, and said; the others count.

use std::ffi::OsStr;
use std::fmt;
use std::format;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use nix::fcntl::OFlag;

use super::parse::{BUILTIN, ParseError, parse, parse_within};
use super::{Contents, Database, Layer};
use crate::limits::{Limit, Limits};

/// Directories of database files below the root of the file system, and the layer of each.
const DIRECTORIES: [(&str, Layer); 2] =
    [("usr/share/acsscan/devices.d", Layer::Distribution), ("etc/acsscan/devices.d", Layer::Administrator)];

/// Where database files are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Places {
    /// Root of the file system that has the directories of the distribution and of the administrator;
    /// `None` leaves both out.
    pub root: Option<PathBuf>,
    /// Files, and directories of them, in the order of the command line: later ones win.
    pub named: Vec<PathBuf>,
    /// How much is taken from them: [`Limits::database`], [`Limits::db_entries`], [`Limits::db_files`].
    pub limits: Limits,
}

impl Places {
    /// The files and directories that [`load`] looks at, and the files that links in these directories lead
    /// to; some may not exist.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let below = |root: &PathBuf| DIRECTORIES.map(|(directory, _)| root.join(directory));
        let directories = self.root.as_ref().map(below).into_iter().flatten();
        let mut paths: Vec<PathBuf> = directories.chain(self.named.iter().cloned()).collect();
        let listed = paths.iter().filter_map(|path| list(path).ok());
        let linked: Vec<PathBuf> = listed
            .filter(|files| files.len() <= self.limits.count(Limit::DbFiles))
            .flatten()
            .filter(|file| file.is_symlink() && file.is_file())
            .filter_map(|file| file.canonicalize().ok())
            .collect();
        paths.extend(linked);
        paths
    }
}

/// The database files of a directory, in the order of their names.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let is_toml = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        path.extension() == Some(OsStr::new("toml")) && !hidden
    };
    let paths = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.as_ref().map_or(true, is_toml)).collect::<io::Result<_>>()?;
    files.sort_unstable();
    Ok(files)
}

impl Default for Places {
    fn default() -> Self {
        Self { root: Some(PathBuf::from("/")), named: Vec::new(), limits: Limits::default() }
    }
}

/// What was loaded.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Loaded {
    /// The entries and acceptances of all files that are right.
    pub database: Database,
    /// The files that are right, with how many entries and acceptances each has; the winning one last.
    pub files: Vec<(Layer, String, usize)>,
    /// The files that are not.
    pub refused: Vec<Refused>,
}

impl Loaded {
    /// The first that was named and does not exist.
    #[must_use]
    pub fn missing(&self) -> Option<&Refused> {
        let is_missing =
            |file: &&Refused| file.layer == Layer::CommandLine && file.error == RefusedBy::Missing;
        self.refused.iter().find(is_missing)
    }
}

/// A file, or a directory of files, that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The layer that it would be of.
    pub layer: Layer,
    /// Its path.
    pub file: String,
    /// What is wrong.
    pub error: RefusedBy,
}

/// Why a file could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedBy {
    /// It could not be read.
    Unreadable(String),
    /// There is no such file.
    Missing,
    /// It is not as it must be.
    Wrong(ParseError),
}

/// One line for each problem, each with the file.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            RefusedBy::Unreadable(text) => write!(f, "{}: {text}", self.file),
            RefusedBy::Missing => write!(f, "{}: there is no such file or directory", self.file),
            RefusedBy::Wrong(error) => error.fmt(f),
        }
    }
}

/// Loads all layers. Directories that do not exist are no problem, unless they are named.
///
/// Of a directory the files `*.toml` are read in the order of their names. A later layer wins over an
/// earlier one, and within a layer a later file over an earlier one.
#[must_use]
pub fn load(places: &Places) -> Loaded {
    let mut loader =
        Loader { limits: &places.limits, contents: Vec::new(), count: 0, loaded: Loaded::default() };
    loader.take(Layer::BuiltIn, "", parse(BUILTIN, Layer::BuiltIn, ""));
    for (directory, layer) in DIRECTORIES {
        if let Some(root) = &places.root {
            loader.directory(layer, &root.join(directory), false);
        }
    }
    for path in &places.named {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => loader.directory(Layer::CommandLine, path, true),
            Ok(metadata) => loader.file(Layer::CommandLine, path, metadata.is_file()),
            Err(error) => loader.unreadable(Layer::CommandLine, path, &error),
        }
    }
    let mut all = Contents::default();
    for Contents { entries, acceptances } in loader.contents.into_iter().rev() {
        all.entries.extend(entries);
        all.acceptances.extend(acceptances);
    }
    loader.loaded.database = Database::from(all);
    loader.loaded
}

struct Loader<'p> {
    limits: &'p Limits,
    contents: Vec<Contents>,
    count: usize,
    loaded: Loaded,
}

impl Loader<'_> {
    fn directory(&mut self, layer: Layer, path: &Path, named: bool) {
        let files = match list(path) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return,
            Err(error) => return self.unreadable(layer, path, &error),
        };
        if files.len() > self.limits.count(Limit::DbFiles) {
            let text = format!("none of its files is read: {}", self.limits.passed(Limit::DbFiles));
            return self.refuse(layer, path, RefusedBy::Unreadable(text));
        }
        for file in files {
            self.file(layer, &file, true);
        }
    }

    /// Reads one file. What was found in a directory must be a regular file: opening a pipe would wait
    /// for somebody who writes.
    fn file(&mut self, layer: Layer, path: &Path, regular: bool) {
        match read(path, self.limits.database, regular) {
            Ok(bytes) => {
                let file = path.display().to_string();
                let parsed = text(&bytes, self.limits, &file)
                    .and_then(|text| parse_within(self.limits, text, layer, &file));
                self.take(layer, &file, parsed);
            }
            Err(error) => self.unreadable(layer, path, &error),
        }
    }

    fn take(&mut self, layer: Layer, file: &str, parsed: Result<Contents, ParseError>) {
        let contents = match parsed {
            Ok(contents) => contents,
            Err(error) => return self.refuse(layer, Path::new(file), RefusedBy::Wrong(error)),
        };
        let own = contents.entries.len().saturating_add(contents.acceptances.len());
        // Those compiled in are no input.
        let count = if layer == Layer::BuiltIn { 0 } else { self.count.saturating_add(own) };
        if count > self.limits.count(Limit::DbEntries) {
            let text = format!("not used: with its {own}, {}", self.limits.passed(Limit::DbEntries));
            return self.refuse(layer, Path::new(file), RefusedBy::Unreadable(text));
        }
        self.count = count;
        self.contents.push(contents);
        self.loaded.files.push((layer, file.to_string(), own));
    }

    fn unreadable(&mut self, layer: Layer, path: &Path, error: &io::Error) {
        let error = match error.kind() {
            io::ErrorKind::NotFound => RefusedBy::Missing,
            _ => RefusedBy::Unreadable(error.to_string()),
        };
        self.refuse(layer, path, error);
    }

    fn refuse(&mut self, layer: Layer, path: &Path, error: RefusedBy) {
        self.loaded.refused.push(Refused { layer, file: path.display().to_string(), error });
    }
}

/// Up to one byte more than the limit.
fn read(path: &Path, limit: u64, regular: bool) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    if regular {
        options.custom_flags(OFlag::O_NONBLOCK.bits());
    }
    let file: File = options.read(true).open(path)?;
    if regular && !file.metadata()?.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text<'b>(bytes: &'b [u8], limits: &Limits, file: &str) -> Result<&'b str, ParseError> {
    if bytes.len() > limits.count(Limit::Database) {
        return Err(ParseError::one(file, "", 0, limits.passed(Limit::Database)));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before = std::str::from_utf8(before).unwrap_or_default();
        let message = "not UTF-8: save the file as UTF-8";
        ParseError::one(file, before, before.len(), message.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> String {
        format!(
            "schema = 1\n[[entry]]\nname = \"{name}\"\nkind = \"does-not-isolate\"\nmatch.vendor = \"1af4\"\n\
             source = \"s\"\nreason = \"r\"\n"
        )
    }

    fn put(root: &Path, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("made");
        fs::write(&path, text).expect("written");
        path
    }

    fn own(loaded: &Loaded) -> Vec<&str> {
        let entries = loaded.database.entries().iter().filter(|entry| entry.layer != Layer::BuiltIn);
        entries.map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn later_layers_and_later_files_win() {
        let root = tempfile::tempdir().expect("a directory");
        put(root.path(), "usr/share/acsscan/devices.d/10.toml", entry("distribution"));
        put(root.path(), "etc/acsscan/devices.d/20-b.toml", entry("second"));
        put(root.path(), "etc/acsscan/devices.d/10-a.toml", entry("first"));
        put(root.path(), "etc/acsscan/devices.d/.hidden.toml", "no TOML");
        put(root.path(), "etc/acsscan/devices.d/notes.txt", "no TOML");
        let named = [("x.toml", "one"), ("more/y.toml", "two")]
            .map(|(path, name)| put(root.path(), path, entry(name)));
        let places = Places {
            root: Some(root.path().to_path_buf()),
            named: [named[0].clone(), root.path().join("more")].into(),
            ..Places::default()
        };
        let loaded = load(&places);
        assert_eq!(loaded.refused, []);
        assert_eq!(own(&loaded), ["two", "one", "second", "first", "distribution"]);
        let layers: Vec<_> = loaded.files.iter().map(|(layer, ..)| *layer).collect();
        assert!(layers.is_sorted() && layers.len() == 6, "{layers:?}");
        let without = load(&Places { root: None, ..places });
        assert_eq!(own(&without), ["two", "one"]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_said_and_the_others_count() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = "etc/acsscan/devices.d";
        put(root.path(), &format!("{directory}/a.toml"), entry("good"));
        put(root.path(), &format!("{directory}/b.toml"), "schema = 2");
        put(root.path(), &format!("{directory}/c.toml"), b"schema = 1\n# \xff");
        put(root.path(), &format!("{directory}/d.toml"), " ".repeat(2000));
        fs::create_dir_all(root.path().join(directory).join("e.toml")).expect("made");
        nix::unistd::mkfifo(&root.path().join(directory).join("f.toml"), nix::sys::stat::Mode::S_IRUSR)
            .expect("made");
        let nowhere = root.path().join("nowhere.toml");
        let limits = Limits { database: 1000, ..Limits::default() };
        let places = Places { root: Some(root.path().to_path_buf()), named: Vec::from([nowhere]), limits };
        let loaded = load(&places);
        assert_eq!(own(&loaded), ["good"]);
        let told: Vec<String> = loaded.refused.iter().map(ToString::to_string).collect();
        for (told, wanted) in told.iter().zip([
            "b.toml:1:10: unknown `schema`: this program reads 1",
            "c.toml:2:3: not UTF-8: save the file as UTF-8",
            "d.toml:1:1: more than 1000 bytes in a database file; if you trust it, raise the limit with --limit database=VALUE",
            "e.toml: no regular file",
            "f.toml: no regular file",
            "nowhere.toml: there is no such file or directory",
        ]) {
            assert!(told.ends_with(wanted), "{told}");
        }
        assert_eq!(told.len(), 6);
    }
}
