//! Trees of files, on disk or from an archive: a copy of sysfs somewhere inside, configuration files by
//! their names, or one text dump.
//!
//! What holds the most comes first: configuration space of a sysfs tree, with `/proc/bus/pci` beside
//! it for what it lacks; then files by their names; then the text of lspci; then sysfs's links alone,
//! which tell the functions and the kernel's groups. What was used is said.

use std::collections::BTreeMap;
use std::format;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::vec;

use super::config_file::BUFFER;
use super::decoded::Texts;
use super::detect::is_text;
use super::error::{Error, shown};
use super::files::{Files, Kind, Lost};
use super::lines::Window;
use super::name::address_of;
use super::on_demand::{ReadAt, Sequential};
use super::{Delivery, Format, NOTHING, ProblemKind, host, sysfs, text};
use crate::addr::Sbdf;
use crate::function::{Attributes, Sink};
use crate::limits::{Limit, Limits};

/// How deep configuration files are looked for.
const MAX_DEPTH: usize = 16;

/// Reads a tree; gives what its useful part is.
pub(super) fn read<K: Sink>(files: &Files, delivery: &mut Delivery<'_, K>) -> Result<Format, Error> {
    let root = Path::new("");
    let mut walk =
        Walk { files, entries: 0, configs: 0, read: BTreeMap::new(), copy: None, looked_for_text: false };
    if !walk.machine(root, delivery)? {
        walk.directory(root, 0, delivery)?;
    }
    match walk {
        Walk { copy: Some((_, kind)), .. } => Ok(kind),
        Walk { configs: 0, .. } => {
            let Some(dump) = text_dump(files, root, &delivery.limits)? else {
                return Err(Error::no_configs(&files.full(root)));
            };
            read_text(files, &dump, delivery)
        }
        _ => Ok(Format::Tree),
    }
}

/// Reads one text dump of a tree.
fn read_text<K: Sink>(files: &Files, path: &Path, delivery: &mut Delivery<'_, K>) -> Result<Format, Error> {
    let full = files.full(path);
    let opened = files.open(path).map_err(|error| Error::io(&full, error))?;
    let opened = opened.ok_or_else(|| Error::no_configs(&full))?;
    delivery.part(path);
    let limit = delivery.limits.file;
    if opened.size().is_ok_and(|size| size > limit) {
        return Err(Error::Limit { path: full, limit: Limit::File, value: limit });
    }
    text::read(Window::new(Sequential::from(opened, 0)), &full, delivery)
}

struct Walk<'a> {
    files: &'a Files,
    entries: u64,
    configs: usize,
    /// The configuration files that were read: the directory of each, and a hash of its bytes.
    read: BTreeMap<Sbdf, (PathBuf, u64)>,
    /// The copy of sysfs that was read, and what was used of the machine that it is of.
    copy: Option<(PathBuf, Format)>,
    /// Whether a text was looked for that says more than the first bytes of a function.
    looked_for_text: bool,
}

impl Walk<'_> {
    /// Reads the copy of sysfs that a directory is or has, if there is one with functions.
    fn machine<K: Sink>(&mut self, path: &Path, delivery: &mut Delivery<'_, K>) -> Result<bool, Error> {
        let Some(copy) = sysfs::find(self.files, path) else { return Ok(false) };
        if !sysfs::has_functions(self.files, &copy) {
            return Ok(false);
        }
        if let Some((first, _)) = self.copy.take() {
            return Err(self.several(&first, &copy));
        }
        let dump = match sysfs::has_bytes(self.files, &copy) {
            true => None,
            false => text_dump(self.files, path, &delivery.limits)?,
        };
        let kind = match dump {
            Some(dump) => read_text(self.files, &dump, delivery)?,
            None => {
                if sysfs::is_short(self.files, &copy) {
                    fill_in(self.files, path, delivery);
                }
                sysfs::read_copy(self.files, &copy, delivery)?;
                Format::Sysfs
            }
        };
        self.copy = Some((copy, kind));
        Ok(true)
    }

    fn directory<K: Sink>(
        &mut self,
        path: &Path,
        depth: usize,
        delivery: &mut Delivery<'_, K>,
    ) -> Result<(), Error> {
        let left = delivery.limits.entries.saturating_sub(self.entries);
        let names = match self.files.names(path, left) {
            Ok((names, false)) => names,
            Ok((_, true)) => return Err(too_many(self.files, &delivery.limits)),
            Err(error) if depth == 0 => return Err(Error::io(&self.files.full(path), error)),
            Err(error) => {
                delivery.file_problem(None, &self.files.full(path), &error);
                return Ok(());
            }
        };
        self.entries = self.entries.saturating_add(names.len() as u64);
        if names.iter().any(|name| name == "proc") {
            host::read(self.files, path, delivery);
        }
        for name in names {
            let path = path.join(name);
            let Ok(kind) = self.files.kind(&path) else { continue };
            if kind == Kind::Directory {
                self.subdirectory(&path, depth, delivery)?;
            } else if let Some(address) = address_of(&self.files.full(&path)) {
                self.file(&path, address, delivery)?;
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
        if self.machine(path, delivery)? {
            return Ok(());
        }
        if depth >= MAX_DEPTH {
            let path = self.files.full(path);
            let text = format!("{}: deeper than {MAX_DEPTH} directories: not looked into", shown(&path));
            delivery.problem(ProblemKind::LeftOut, None, text);
            return Ok(());
        }
        self.directory(path, depth.saturating_add(1), delivery)
    }

    fn file<K: Sink>(
        &mut self,
        path: &Path,
        address: Sbdf,
        delivery: &mut Delivery<'_, K>,
    ) -> Result<(), Error> {
        let full = self.files.full(path);
        let real = match self.files.real(path) {
            Ok(real) => real,
            Err(Lost::Outside) => {
                let text = format!("{}: a link out of the directory: not followed", shown(&full));
                delivery.problem(ProblemKind::LeadsOut, Some(address), text);
                return Ok(());
            }
            Err(Lost::Failed(error)) => {
                delivery.file_problem(Some(address), &full, &error);
                return Ok(());
            }
        };
        let mut buffer = [0; BUFFER];
        let read = self.files.open(&real).and_then(|file| match file {
            Some(file) => file.read_at(&mut buffer, 0).map(Some),
            None => Ok(None),
        });
        match read {
            Ok(None) => {}
            Ok(Some(length)) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                self.of_one_machine(path, address, bytes)?;
                self.bytes(bytes, &full, address, delivery);
            }
            Err(error) => {
                delivery.file_problem(Some(address), &full, &error);
                delivery.record(address, NOTHING, Attributes::default());
                self.configs = self.configs.saturating_add(1);
            }
        }
        Ok(())
    }

    /// One function has one place: where another directory has other bytes of it, it is another machine's.
    fn of_one_machine(&mut self, path: &Path, address: Sbdf, bytes: &[u8]) -> Result<(), Error> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let directory = path.parent().unwrap_or(path);
        let (first, hash) =
            self.read.entry(address).or_insert_with(|| (directory.to_path_buf(), hasher.finish()));
        if first == directory || *hash == hasher.finish() {
            return Ok(());
        }
        let first = first.clone();
        Err(self.several(&first, directory))
    }

    /// There is a machine in each of two directories.
    fn several(&self, first: &Path, second: &Path) -> Error {
        let full = |path: &Path| self.files.full(path);
        Error::SeveralTrees { path: full(Path::new("")), first: full(first), second: full(second) }
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
        if bytes.len() <= SHORT && !core::mem::replace(&mut self.looked_for_text, true) {
            fill_in(self.files, Path::new(""), delivery);
        }
        delivery.record(address, bytes, Attributes::of_config_file(bytes.len()));
        self.configs = self.configs.saturating_add(1);
    }
}

/// What the kernel gives of a function to users without privileges.
pub(super) const SHORT: usize = 64;

/// Takes the text dump of a tree, if it has one with registers, to fill in what its configuration files lack.
/// What is wrong with it matters to nobody who has not named it.
fn fill_in<K: Sink>(files: &Files, root: &Path, delivery: &mut Delivery<'_, K>) {
    let Ok(Some(dump)) = text_dump(files, root, &delivery.limits) else { return };
    let mut texts = Texts::default();
    let mut reading = Delivery::new(&mut texts);
    reading.limits = delivery.limits.clone();
    if read_text(files, &dump, &mut reading).is_err() {
        return;
    }
    let text = format!(
        "{}: fills in what is missing behind the first bytes of functions",
        shown(&files.full(&dump))
    );
    delivery.note_filled(texts, text);
}

fn too_many(files: &Files, limits: &Limits) -> Error {
    Error::Limit { path: files.full(Path::new("")), limit: Limit::Entries, value: limits.entries }
}

/// How much a text says of each function, and whether it says so from the start: what stands deep in a log is
/// taken if there is nothing better.
type Rank = (Says, bool);

/// How much a text says of each function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Listed,
    /// With registers, which `lspci -v` does not have.
    Decoded,
    Hex,
}

/// The one text dump below a directory that says the most. Links are not followed: they lead to the
/// same files again.
fn text_dump(files: &Files, root: &Path, limits: &Limits) -> Result<Option<PathBuf>, Error> {
    let mut pending = vec![(root.to_path_buf(), 0_usize)];
    let (mut best, mut other): (Option<(Rank, PathBuf)>, Option<PathBuf>) = (None, None);
    let mut entries = 0_u64;
    while let Some((directory, depth)) = pending.pop() {
        let Ok((names, more)) = files.names(&directory, limits.entries.saturating_sub(entries)) else {
            continue;
        };
        if more {
            return Err(too_many(files, limits));
        }
        entries = entries.saturating_add(names.len() as u64);
        for name in names {
            let path = directory.join(name);
            match files.kind(&path) {
                Ok(Kind::Directory) if depth < MAX_DEPTH => pending.push((path, depth.saturating_add(1))),
                Ok(Kind::File) => {
                    let Some(rank) = rank_of(files, &path) else { continue };
                    match &best {
                        Some((known, _)) if *known > rank => {}
                        Some((known, _)) if *known == rank => other = Some(path),
                        _ => (best, other) = (Some((rank, path)), None),
                    }
                }
                _ => {}
            }
        }
    }
    match (best, other) {
        (Some((_, first)), Some(second)) => Err(Error::SeveralDumps {
            path: files.full(root),
            first: files.full(&first),
            second: files.full(&second),
        }),
        (best, _) => Ok(best.map(|(_, path)| path)),
    }
}

/// How much of a file is looked at to see whether it is a text at all, and then whether it is a dump: a log
/// may have much before it.
pub(super) const PROBE: usize = 4096;
pub(super) const DEEP_PROBE: usize = 1 << 20;

/// How much a file says.
fn rank_of(files: &Files, path: &Path) -> Option<Rank> {
    let start = files.start_of(path, PROBE).filter(|start| is_text(start))?;
    let found = says(&start).map(|says| (says, true));
    // Of a listing the next bytes may say more, but no other file's beginning does.
    found.or_else(|| says(&files.start_of(path, DEEP_PROBE)?).map(|says| (says, false)))
}

/// How much a text says that has functions as lspci lists them.
fn says(text: &[u8]) -> Option<Says> {
    let mut found = None;
    for line in text.split(|byte| *byte == b'\n') {
        let says = match line.trim_ascii_start() {
            _ if text::is_listed(line) => Says::Listed,
            [b'0', b'0', b':', b' ', ..] if found.is_some() => return Some(Says::Hex),
            line if found.is_some() && line.starts_with(b"Control: ") => Says::Decoded,
            _ => continue,
        };
        found = found.max(Some(says));
    }
    found
}

/// Whether a file that starts so is kept of an archive as a text dump.
#[cfg(feature = "archive")]
pub(super) fn is_text_dump(start: &[u8]) -> bool {
    is_text(start) && says(start).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;
    use crate::function::Inventory;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::string::String;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn read_tree(root: &Path) -> (Result<Format, Error>, Vec<String>, Vec<Problem>) {
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        let files = Files::directory(root).expect("there");
        let result = read(&files, &mut delivery);
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
    fn configuration_files_of_two_machines_are_not_mixed() {
        let root = tempfile::tempdir().expect("a directory");
        for (machine, vendor) in [("a", 1_u8), ("b", 2)] {
            let directory = root.path().join(machine);
            fs::create_dir(&directory).expect("made");
            fs::write(directory.join("0000:00:00.0.bin"), [vendor; 256]).expect("written");
            fs::write(directory.join("0000:00:01.0.bin"), [7; 256]).expect("written");
        }
        let read = |path: &Path| {
            let mut inventory = Inventory::new();
            let files = Files::directory(path).expect("there");
            let result = super::read(&files, &mut Delivery::new(&mut inventory));
            result.map(|_| inventory.finish().functions().len()).map_err(|error| error.to_string())
        };
        let told = read(root.path()).expect_err("two machines");
        assert!(
            told.contains("more than one machine") && told.contains("/a and ") && told.contains("/b)"),
            "{told}"
        );
        assert_eq!(read(&root.path().join("a")), Ok(2));
        // A second copy of the same bytes is none.
        fs::write(root.path().join("b/0000:00:00.0.bin"), [1; 256]).expect("written");
        assert_eq!(read(root.path()), Ok(2));
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

    const REGISTERS: &str = "\
\tControl: I/O- Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr- Stepping- SERR- FastB2B- DisINTx-
\tStatus: Cap+ 66MHz- UDF- FastB2B- ParErr- DEVSEL=fast >TAbort- <TAbort- <MAbort- >SERR- <PERR- INTx-
\tCapabilities: [40] Express (v2) Root Complex Integrated Endpoint, MSI 00
\tCapabilities: [100 v1] Latency Tolerance Reporting
\tKernel driver in use: x
";

    #[test]
    fn of_several_listings_the_one_with_registers_is_taken_and_a_log_if_there_is_no_other() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        put(&at("lspci_-nnk"), b"00:01.0 Audio device [0403]: x [8086:1234]\n\tKernel driver in use: x\n");
        let flags = "\tFlags: fast devsel\n\tCapabilities: [40] Express Endpoint, MSI 00\n";
        put(&at("lspci_-v"), format!("00:01.0 Audio device [0403]: x [8086:1234]\n{flags}").as_bytes());
        let listing = format!("00:01.0 Audio device [0403]: x [8086:1234]\n{REGISTERS}");
        let log = format!("{}\n{}", "started\n".repeat(2000), listing.replace("00:01.0", "00:02.0"));
        put(&at("system.log"), log.as_bytes());
        let (result, found, _) = read_tree(root.path());
        assert!(matches!(result, Ok(Format::LspciText)), "{result:?}");
        assert_eq!(found, ["0000:00:02.0"], "deep in a log");
        put(&at("lspci_-nnvvv"), listing.as_bytes());
        assert_eq!(read_tree(root.path()).1, ["0000:00:01.0"], "a file of its own");
    }

    #[test]
    fn a_text_beside_short_configuration_files_fills_them_in() {
        let root = tempfile::tempdir().expect("a directory");
        let mut bytes = config();
        bytes[0x06] = 0x10;
        bytes[0x34] = 0x40;
        let listing = format!("00:01.0 Audio device [0403]: x [8086:1234]\n{REGISTERS}");
        for place in ["proc/bus/pci/00/01.0", "sys/bus/pci/devices/0000:00:01.0/config"] {
            let root = root.path().join(place.replace('/', "-"));
            put(&root.join(place), &bytes);
            let state = || {
                let mut inventory = Inventory::new();
                let mut delivery = Delivery::new(&mut inventory);
                read(&Files::directory(&root).expect("there"), &mut delivery).expect("read");
                let kinds: Vec<ProblemKind> = delivery.problems.iter().map(|problem| problem.kind).collect();
                let inventory = inventory.finish();
                (inventory.functions()[0].clone(), inventory.attributes(0).cloned(), kinds)
            };
            assert!(state().0.acs.is_not_captured(), "{place}");
            put(&root.join("sos_commands/pci/lspci_-nnvv"), listing.as_bytes());
            let (function, attributes, kinds) = state();
            assert!(function.acs.is_absent() && function.is_complete(), "{place}: the list was printed");
            assert_eq!((function.vendor_id, function.device_id), (0x8086, 0x1234));
            let attributes = attributes.expect("known");
            assert_eq!(
                (attributes.text_from, attributes.driver.as_deref()),
                (Some(64), Some("x")),
                "{place}"
            );
            assert!(kinds.contains(&ProblemKind::FilledFromText), "{kinds:?}");
        }
    }

    #[test]
    fn a_text_dump_is_read_where_there_is_no_configuration_file() {
        let root = tempfile::tempdir().expect("a directory");
        let text = |device: u8| format!("00:0{device}.0 ISA bridge: x\n00:{}\n", " 11".repeat(16));
        put(&root.path().join("sos_commands/pci/lspci_-xxxx"), text(1).as_bytes());
        put(&root.path().join("sos_commands/pci/lspci_-nn"), b"00:02.0 ISA bridge: x\n");
        put(&root.path().join("notes.txt"), b"see 00:02.0\n");
        symlink("sos_commands/pci/lspci_-xxxx", root.path().join("lspci")).expect("made");
        let (result, found, _) = read_tree(root.path());
        assert!(matches!(result, Ok(Format::LspciHex)));
        assert_eq!(found, ["0000:00:01.0"]);
        put(&root.path().join("other.txt"), text(2).as_bytes());
        assert!(matches!(read_tree(root.path()).0, Err(Error::SeveralDumps { .. })));
        put(&root.path().join("0000:00:03.0.bin"), &config());
        assert_eq!(read_tree(root.path()).1, ["0000:00:03.0"], "bytes win");
    }
}
