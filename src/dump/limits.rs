//! How much a reader takes from one input, so that a small hostile one cannot take the memory or the
//! time of the machine. Each limit has a name, which its error says and an option can raise.

use std::format;
use std::string::{String, ToString};

/// What one input may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Entries of a directory tree or an archive, whatever they are.
    pub entries: u64,
    /// Bytes that an archive or compressed file may have unpacked.
    pub unpacked: u64,
    /// How many times larger than its packed form the unpacked one may be; counts from 16 MiB on,
    /// because small inputs of zeros are packed better than anything.
    pub ratio: u64,
    /// Bytes that are kept of an archive: names, links, configuration space.
    pub kept: u64,
    /// Bytes of one text file in an archive or a directory, or of JSON.
    pub file: u64,
    /// Bytes that a decompressor may need as its window.
    pub window: u64,
    /// Functions that are delivered.
    pub functions: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1 << 20,
            unpacked: 4 << 30,
            ratio: 1000,
            kept: 512 << 20,
            file: 64 << 20,
            window: 128 << 20,
            functions: 1 << 20,
        }
    }
}

/// One of the [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::entries`].
    Entries,
    /// [`Limits::unpacked`].
    Unpacked,
    /// [`Limits::ratio`].
    Ratio,
    /// [`Limits::kept`].
    Kept,
    /// [`Limits::file`].
    File,
    /// [`Limits::window`].
    Window,
    /// [`Limits::functions`].
    Functions,
}

impl Limit {
    /// Every limit, in the order of the documentation.
    pub const ALL: [Self; 7] =
        [Self::Entries, Self::Unpacked, Self::Ratio, Self::Kept, Self::File, Self::Window, Self::Functions];

    /// Its name, as errors and the command line have it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Unpacked => "unpacked",
            Self::Ratio => "ratio",
            Self::Kept => "kept",
            Self::File => "file",
            Self::Window => "window",
            Self::Functions => "functions",
        }
    }

    /// What it limits, as an error continues "more than N ...".
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Entries => "entries in the tree or archive",
            Self::Unpacked => "bytes when unpacked",
            Self::Ratio => "times its packed size when unpacked",
            Self::Kept => "bytes of names, links and configuration space to keep of the archive",
            Self::File => "bytes in one text file",
            Self::Window => "bytes of window that the decompressor would need",
            Self::Functions => "functions",
        }
    }
}

impl Limits {
    /// The value of a limit.
    #[must_use]
    pub const fn get(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Entries => self.entries,
            Limit::Unpacked => self.unpacked,
            Limit::Ratio => self.ratio,
            Limit::Kept => self.kept,
            Limit::File => self.file,
            Limit::Window => self.window,
            Limit::Functions => self.functions,
        }
    }

    /// Sets a limit.
    pub const fn set(&mut self, limit: Limit, value: u64) {
        let field = match limit {
            Limit::Entries => &mut self.entries,
            Limit::Unpacked => &mut self.unpacked,
            Limit::Ratio => &mut self.ratio,
            Limit::Kept => &mut self.kept,
            Limit::File => &mut self.file,
            Limit::Window => &mut self.window,
            Limit::Functions => &mut self.functions,
        };
        *field = value;
    }

    /// Reads `NAME=VALUE`; the value is a decimal number, with `K`, `M` or `G` behind it for powers
    /// of 1024.
    ///
    /// # Errors
    ///
    /// If there is no such limit, or the value is no such number; the text says what is.
    pub fn parse(text: &str) -> Result<(Limit, u64), String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let known = || Limit::ALL.map(Limit::word).join(", ");
        let limit = Limit::ALL.into_iter().find(|limit| limit.word() == name);
        let limit = limit.ok_or_else(|| format!("no limit has this name; there are {}", known()))?;
        let (digits, shift) = match value.as_bytes().last() {
            Some(b'K') => (value.trim_end_matches('K'), 10),
            Some(b'M') => (value.trim_end_matches('M'), 20),
            Some(b'G') => (value.trim_end_matches('G'), 30),
            _ => (value, 0_u32),
        };
        let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number.and_then(|number| number.checked_mul(1 << shift)).filter(|number| *number > 0);
        let expected = "expected NAME=VALUE with a number above 0, such as unpacked=8G".to_string();
        Ok((limit, number.ok_or(expected)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_can_be_raised_by_its_name() {
        let mut limits = Limits::default();
        for limit in Limit::ALL {
            let before = limits.get(limit);
            let (found, value) = Limits::parse(&format!("{}={}G", limit.word(), before)).expect("valid");
            limits.set(found, value);
            assert_eq!((found, limits.get(limit)), (limit, before << 30));
        }
    }

    #[test]
    fn what_is_no_limit_is_refused_with_what_is() {
        assert!(Limits::parse("size=1").expect_err("unknown").contains("entries, unpacked"));
        for text in ["ratio", "ratio=", "ratio=0", "ratio=-1", "ratio=+1", "ratio=1GG1", "ratio=99999999999G"]
        {
            assert!(Limits::parse(text).expect_err(text).contains("NAME=VALUE"), "{text}");
        }
    }
}
