//! The fixtures as data: what each is, and which files it has.

mod function;
mod inputs;
mod lists;
mod machines;
mod registers;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use function::Made;

/// One fixture.
pub(crate) struct Case {
    name: String,
    what: String,
    files: Vec<(String, Node)>,
}

/// A file or a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File(Vec<u8>),
    Link(String),
}

impl Node {
    /// Writes it in place of what is there.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match self {
            Self::File(bytes) => fs::write(path, bytes),
            Self::Link(target) => link(target, path),
        }
    }
}

#[cfg(unix)]
fn link(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Case {
    fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into(), files: Vec::new() }
    }

    fn file(mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.into(), Node::File(bytes.into())));
        self
    }

    fn link(mut self, path: impl Into<String>, target: impl Into<String>) -> Self {
        self.files.push((path.into(), Node::Link(target.into())));
        self
    }

    /// The functions as `lspci -D -xxxx` prints them.
    fn text(self, functions: &[Made]) -> Self {
        let text: Vec<String> = functions.iter().map(Made::text).collect();
        self.file("dump.txt", text.join("\n"))
    }

    /// One file a function.
    fn configs(self, functions: &[Made]) -> Self {
        functions
            .iter()
            .fold(self, |case, made| case.file(format!("configs/{}.bin", made.address), made.bytes.clone()))
    }
}

fn cases() -> Vec<Case> {
    let mut cases = lists::cases();
    cases.extend(registers::cases());
    cases.extend(machines::cases());
    cases.extend(inputs::cases());
    cases
}

/// Everything that is made, by its path below `corpus/`.
pub(crate) fn nodes() -> BTreeMap<String, Node> {
    let cases = cases();
    let mut nodes = BTreeMap::from([("README.md".to_string(), Node::File(readme(&cases).into_bytes()))]);
    for case in cases {
        for (path, node) in case.files {
            let path = format!("{}/{path}", case.name);
            assert!(nodes.insert(path.clone(), node).is_none(), "{path} is made twice");
        }
    }
    nodes
}

/// An ECAM image of buses 0 and 1: 1 MiB each, all ones where no function is.
pub(crate) fn ecam_image() -> Vec<u8> {
    let mut image = vec![0xff; 2 << 20];
    for made in machines::port_and_endpoint() {
        let at = made.ecam_offset();
        image[at..at + made.bytes.len()].copy_from_slice(&made.bytes);
    }
    image
}

fn readme(cases: &[Case]) -> String {
    let mut text = String::from(README_HEAD);
    for case in cases {
        text.push_str(&format!("| `{}` | {} |\n", case.name, case.what));
    }
    text.push_str(README_FOOT);
    text
}

const README_HEAD: &str = "\
# Corpus

Dumps that the tests read, one directory a case. `cargo run --example make_corpus` writes this file and
the cases of the first table; a test compares them with what is committed, and with `ACSSCAN_BLESS=1` in
the environment it rewrites them.

| file | what |
|---|---|
| `dump.txt` | text, as `lspci -D -xxxx` prints it unless the case says otherwise |
| `configs/ADDRESS.bin` | configuration space of one function, as sysfs has it |
| `sys/` | a part of a sysfs tree |
| `groups.json` | IOMMU groups that a kernel formed; the numbers mean nothing beyond equality |
| `expected/` | what `acsscan` says about it |

An image of memory-mapped configuration space is too large to be kept: `cargo run --example make_corpus --
--ecam FILE` writes one with the functions of `port-and-endpoint`.

## Made by hand

No machine looks like these; each shows one thing. The IDs are of real devices only where the device
database decides.

| case | what it shows |
|---|---|
";

const README_FOOT: &str = "
## Captures

Machines emulated by QEMU 10.0, booted with Debian kernels: the text is what `lspci -D -xxxx` printed in
the guest, the groups are what that kernel formed. Virtual functions read FFFFh as their IDs.

| case | kernel | what it shows |
|---|---|---|
| `qemu-small` | 6.1 | two kinds of root ports, SR-IOV network cards below them |
| `qemu-sriov` | 6.12 | SR-IOV of several kinds with ARI, and a switch without ACS |
| `qemu-config-acs` | 7.3 | `pci=config_acs=`: ACS controls that an administrator asked for |
| `kernel-iommu-off` | 7.3 | ACS as firmware left it; `boots.json` has the registers and groups of other boots of the machine, `plans.json` its registers after plans |
| `kernel-iommu-on` | 6.1 | the same machine with an IOMMU, and its `boots.json` |

## Seeds of the fuzz targets

`fuzz/` has a directory for each target of `fuzz/`, with small inputs that together reach what the targets have
reached so far, and every input that once broke a promise, named after it. `tests/fuzz_corpus.rs` replays them.
";
