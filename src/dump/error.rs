//! What can go wrong with a whole input, in one line each.

use std::fmt;
use std::format;
use std::io;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};

use super::{Format, Problem};
use crate::limits::Limit;

/// The input could not be read. Each message is one line: what was found and where, what was
/// expected, what to try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing has this name.
    #[error(
        "{}: no such file or directory; name a dump, a directory, or - for standard input",
        shown(.path)
    )]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// The file or directory may not be read.
    #[error(
        "{}: permission denied; run as a user who may read it, or make a copy that you may read",
        shown(.path)
    )]
    PermissionDenied {
        /// What was asked for.
        path: PathBuf,
    },
    /// Another error of the operating system.
    #[error("{}: cannot read: {}; check the device or file system that it is on", shown(.path), said(.source))]
    Io {
        /// What was being read.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// Nothing in it.
    #[error("{}: empty, expected a dump; did the command that wrote it fail?", shown(.path))]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither text nor anything known.
    #[error(
        "{}: binary data of no known kind; expected lspci text with hex, configuration space of 64, 256 or \
         4096 bytes, or an ECAM image; try --input-format if you know what it is",
        shown(.path)
    )]
    Binary {
        /// The file.
        path: PathBuf,
    },
    /// Text in which lspci wrote nothing.
    #[error(
        "{}: text without any PCI function; expected the output of lspci -xxxx (a line such as \
         '00:1f.0 ISA bridge: ...', then lines such as '00: 86 80 ...')",
        shown(.path)
    )]
    NoRecord {
        /// The file.
        path: PathBuf,
    },
    /// Recognised, but not read.
    #[error("{}: {what}", shown(.path))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: Unsupported,
    },
    /// The input is forced to be something that it cannot be.
    #[error(
        "{}: is {found}, which cannot be read as {wanted}; leave --input-format out, or name another input",
        shown(.path)
    )]
    WrongFormat {
        /// The input.
        path: PathBuf,
        /// What was asked for.
        wanted: Format,
        /// What it is.
        found: &'static str,
    },
    /// A directory or archive without configuration space.
    #[error(
        "{}: no configuration space in it; expected bus/pci/devices, files named like \
         0000:00:1f.0/config or 0000:00:1f.0.bin, or one text of lspci{}",
        shown(.path),
        .lost.as_ref().map(|lost| format!("; {lost}")).unwrap_or_default()
    )]
    NoConfigs {
        /// The directory.
        path: PathBuf,
        /// The first that was in it and was not read, and why.
        lost: Option<String>,
    },
    /// A directory with the trees of several machines.
    #[error(
        "{}: holds more than one machine ({} and {}), whose addresses would mix; name one of them, or all with \
         acsscan fleet DIRECTORY (an archive unpacked)",
        shown(.path), shown(.first), shown(.second)
    )]
    SeveralTrees {
        /// The directory.
        path: PathBuf,
        /// The first sysfs tree in it.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// A directory or archive with several text dumps and no configuration space.
    #[error(
        "{}: holds more than one text dump ({} and {}), whose addresses would mix; name one of them, or if they are \
         of many machines, all with acsscan fleet DIRECTORY (an archive unpacked)",
        shown(.path), shown(.first), shown(.second)
    )]
    SeveralDumps {
        /// The directory or archive.
        path: PathBuf,
        /// The first dump.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// More than a reader takes from one input.
    #[error("{}: {}", shown(.path), .limit.passed(*.value))]
    Limit {
        /// The input.
        path: PathBuf,
        /// Which limit.
        limit: Limit,
        /// Its value.
        value: u64,
    },
    /// JSON that is no dump of rdma_topo.
    #[error(
        "{}: no dump of rdma_topo: {reason}; expected a list of objects with realpath and config, as rdma_topo dump \
         writes it",
        shown(.path)
    )]
    RdmaTopo {
        /// The file.
        path: PathBuf,
        /// What was found instead, on one line.
        reason: String,
    },
    /// Compressed data or an archive that cannot be unpacked.
    #[error(
        "{}: cannot be unpacked: {}; is the file whole? try to unpack it with other tools",
        shown(.path), said(.source)
    )]
    Unpack {
        /// The file.
        path: PathBuf,
        /// What the decompressor says.
        source: io::Error,
    },
    /// One function's bytes, but not whose.
    #[error(
        "{}: configuration space of one function, but the name does not say which; give its address with \
         --at, such as --at 0000:00:1f.0",
        shown(.path)
    )]
    NoAddress {
        /// The file.
        path: PathBuf,
    },
    /// Too long for one function.
    #[error(
        "{}: {size} bytes, but configuration space of one function has at most 4096; is it an ECAM image \
         (--input-format ecam)?",
        shown(.path)
    )]
    ConfigSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes (for a stream: what was read of it).
        size: u64,
    },
    /// No whole number of functions.
    #[error(
        "{}: {size} bytes are no whole ECAM image, which has 4096 bytes a function and 1 MiB a bus; if it is \
         the start of one, say --input-format ecam",
        shown(.path)
    )]
    EcamSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// More buses than a segment has.
    #[error(
        "{}: {buses} buses from bus {start_bus:02x} on, but a segment ends at bus ff; give the first bus of \
         the image with --start-bus",
        shown(.path)
    )]
    EcamBuses {
        /// The file.
        path: PathBuf,
        /// First bus as given.
        start_bus: u8,
        /// Buses that the file has room for.
        buses: u64,
    },
    /// An ECAM image in which nothing answers.
    #[error("{}: ECAM image in which no function answers; was the right memory range dumped?", shown(.path))]
    EcamEmpty {
        /// The file.
        path: PathBuf,
    },
    /// A host without PCI, or without access to it.
    #[error(
        "{}: no PCI functions on this host, or none visible here; in a container mount the host's sysfs and \
         name it with --sysfs-root, or name a dump with --dump",
        shown(.path)
    )]
    NoPci {
        /// What is missing.
        path: PathBuf,
    },
}

impl Error {
    /// There is no configuration space in it.
    pub(super) fn no_configs(path: &Path) -> Self {
        Self::NoConfigs { path: path.to_path_buf(), lost: None }
    }

    /// The same, and what was in it that was not read.
    pub(super) fn with_lost(self, problems: &[Problem]) -> Self {
        match self {
            Self::NoConfigs { path, lost: None } => {
                let lost = problems.first().map(|problem| problem.text.clone());
                Self::NoConfigs { path, lost }
            }
            error => error,
        }
    }

    /// Sorts an error of the operating system.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { path },
            _ => Self::Io { path, source },
        }
    }

    /// Kebab-case word for its kind, as in JSON output.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not-found",
            Self::PermissionDenied { .. } => "permission-denied",
            Self::Io { .. } => "io",
            Self::Empty { .. } => "empty",
            Self::Binary { .. } => "binary",
            Self::NoRecord { .. } => "no-record",
            Self::Unsupported { .. } => "unsupported",
            Self::WrongFormat { .. } => "wrong-format",
            Self::NoConfigs { .. } => "no-configs",
            Self::SeveralTrees { .. } => "several-trees",
            Self::SeveralDumps { .. } => "several-dumps",
            Self::Limit { .. } => "limit",
            Self::RdmaTopo { .. } => "rdma-topo",
            Self::Unpack { .. } => "unpack",
            Self::NoAddress { .. } => "no-address",
            Self::ConfigSize { .. } => "config-size",
            Self::EcamSize { .. } => "ecam-size",
            Self::EcamBuses { .. } => "ecam-buses",
            Self::EcamEmpty { .. } => "ecam-empty",
            Self::NoPci { .. } => "no-pci",
        }
    }

    pub(super) fn unsupported(path: &Path, what: Unsupported) -> Self {
        Self::Unsupported { path: path.to_path_buf(), what }
    }
}

/// Inputs that are recognised but not read, with what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// gzip.
    #[error("gzip-compressed data: unpack it first (gunzip, tar xzf) and name the file or directory")]
    Gzip,
    /// xz.
    #[error("xz-compressed data: unpack it first (unxz, tar xJf) and name the file or directory")]
    Xz,
    /// bzip2.
    #[error("bzip2-compressed archive: unpack it first (bunzip2, tar xjf) and name the file or directory")]
    Bzip2,
    /// Zstandard.
    #[error("zstd-compressed data: unpack it first (unzstd, tar --zstd -xf) and name the file or directory")]
    Zstd,
    /// Zip.
    #[error("zip archive: unpack it first (unzip) and name the file or directory")]
    Zip,
    /// tar.
    #[error("tar archive: unpack it first (tar xf) and name the directory")]
    Tar,
    /// Compression within compression within compression.
    #[error("compressed more than twice: unpack it first and name the file or directory")]
    Nested,
    /// lspci without hex.
    #[error(
        "lspci text without hex and without registers: take the dump with lspci -xxxx as root, or the text with -nnvv"
    )]
    LspciText,
    /// rdma_topo.
    #[error("rdma_topo dump: not read; take the dump with lspci -xxxx as root on that machine")]
    RdmaTopo,
    /// UTF-16, as some shells write redirected output.
    #[error("UTF-16 text: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)")]
    Utf16,
    /// An ECAM image that cannot be read at offsets.
    #[error("an ECAM image can be read from a regular file only: save it and name the file")]
    EcamStream,
}

/// A path for a message: as [`clean_path`] writes it, but `-` in words.
pub(super) fn shown(path: &Path) -> String {
    if path == Path::new("-") { String::from("standard input") } else { clean_path(path) }
}

/// A path as text: control characters and what is no UTF-8 are escaped, so that a name cannot steer a
/// terminal or add lines.
pub(super) fn clean_path(path: &Path) -> String {
    let mut out = String::new();
    for part in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        out.push_str(&escaped(part.valid()));
        part.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out
}

/// What another crate says of an input, for a message: it may quote the input.
pub(super) fn said(error: &impl fmt::Display) -> String {
    escaped(&error.to_string())
}

/// Text with its control characters, and those that reorder a line, escaped.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let steers =
            matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || steers {
            out.push_str(&format!("{}", letter.escape_default()));
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_decompressor_quotes_of_the_input_cannot_steer_the_terminal() {
        for error in [
            Error::Unpack { path: PathBuf::from("x"), source: io::Error::other("not a number: 01\u{1b}[2J") },
            Error::Io { path: PathBuf::from("x"), source: io::Error::other("odd: \u{12}") },
        ] {
            let message = error.to_string();
            assert!(!message.chars().any(char::is_control), "{message:?}");
        }
    }

    #[test]
    fn a_hostile_file_name_cannot_add_lines_or_steer_the_terminal() {
        let path = PathBuf::from("a\nb\u{1b}[31m\u{202e}c");
        let message = Error::Empty { path }.to_string();
        assert!(message.starts_with("a\\nb\\u{1b}[31m\\u{202e}c: empty"), "{message}");
        assert!(!message.chars().any(char::is_control));
    }

    #[test]
    fn errors_of_the_system_are_sorted() {
        let missing = Error::io(Path::new("x"), io::ErrorKind::NotFound.into());
        assert!(matches!(missing, Error::NotFound { .. }));
        let refused = Error::io(Path::new("x"), io::ErrorKind::PermissionDenied.into());
        assert!(matches!(refused, Error::PermissionDenied { .. }));
    }
}
