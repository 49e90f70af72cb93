//! How much is taken from one input, so that a small hostile one cannot take the memory or the time of the
//! machine. Each limit has a name, which its error says and `--limit` raises.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Declares the limits once: field, variant, word, what it counts, default.
macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident $variant:ident $word:literal $what:literal $default:expr;)*) => {
        /// What one input may have.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Limits {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        /// One of the [`Limits`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Limit {
            $(#[doc = concat!("[`Limits::", stringify!($field), "`].")] $variant,)*
        }

        impl Limit {
            /// Every limit, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, as errors and the command line have it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What it limits, as an error continues "more than N ...".
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }
        }

        impl Limits {
            /// The value of a limit.
            #[must_use]
            pub const fn get(&self, limit: Limit) -> u64 {
                match limit { $(Limit::$variant => self.$field,)* }
            }

            /// Sets a limit.
            pub const fn set(&mut self, limit: Limit, value: u64) {
                match limit { $(Limit::$variant => self.$field = value,)* }
            }
        }
    };
}

limits! {
    /// Entries of a directory tree or an archive, whatever they are.
    entries Entries "entries" "entries in the tree or archive" 1 << 20;
    /// Bytes that an archive or compressed file may have unpacked.
    unpacked Unpacked "unpacked" "bytes when unpacked" 4 << 30;
    /// How many times larger than its packed form the unpacked one may be; counts from 16 MiB on,
    /// because small inputs of zeros are packed better than anything.
    ratio Ratio "ratio" "times its packed size when unpacked" 1000;
    /// Bytes that are kept of an archive: names, links, configuration space.
    kept Kept "kept" "bytes of names, links and configuration space to keep of the archive" 512 << 20;
    /// Bytes of one text file in an archive or a directory, or of JSON.
    file File "file" "bytes in one text file" 64 << 20;
    /// Bytes that a decompressor may need as its window; more than 100 MiB cannot be had for Zstandard.
    window Window "window" "bytes of window that the decompressor would need" 128 << 20;
    /// Functions that are delivered.
    functions Functions "functions" "functions" 1 << 20;
    /// Segments of the functions that are delivered.
    segments Segments "segments" "segments" 1 << 17;
    /// Functions without hex that are kept until the text has some, or ends. More than twice the functions of
    /// a full segment do not occur.
    waiting Waiting "waiting" "functions without hex" 1 << 17;
    /// Bytes of one of the running kernel's tables: mounts, routes.
    table Table "table" "bytes in a table of the kernel" 16 << 20;
    /// Devices, links and mounts that are looked at for what the host itself uses.
    uses Uses "uses" "devices and mounts to look at for what the host uses" 1 << 18;
    /// Bytes of the XML that describes a domain.
    xml Xml "xml" "bytes of XML" 16 << 20;
    /// Elements of that XML that are open at one place; libvirt's descriptions have about ten.
    xml_depth XmlDepth "xml-depth" "levels of XML elements" 64;
    /// Bytes of one database file.
    database Database "database" "bytes in a database file" 1 << 20;
    /// Entries and acceptances of all database files.
    db_entries DbEntries "db-entries" "entries in the database files" 1 << 17;
    /// Database files of one directory.
    db_files DbFiles "db-files" "files *.toml in a directory" 4096;
}

impl Limit {
    /// What to say where an input has more: the limit, and how to raise it.
    #[must_use]
    pub fn passed(self, value: u64) -> String {
        let (what, word) = (self.what(), self.word());
        format!("more than {value} {what}; if you trust it, raise the limit with --limit {word}=VALUE")
    }
}

impl Limits {
    /// [`Limit::passed`] of the limit as it is.
    #[must_use]
    pub fn passed(&self, limit: Limit) -> String {
        limit.passed(self.get(limit))
    }

    /// The value of a limit, for what is counted in memory.
    #[must_use]
    pub fn count(&self, limit: Limit) -> usize {
        usize::try_from(self.get(limit)).unwrap_or(usize::MAX)
    }

    /// Reads `NAME=VALUE`; the value is a decimal number, with `K`, `M` or `G` behind it for powers
    /// of 1024.
    ///
    /// # Errors
    ///
    /// If there is no such limit, or the value is no such number; the text says what is.
    pub fn parse(text: &str) -> Result<(Limit, u64), String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let known = || Limit::ALL.iter().map(|limit| limit.word()).collect::<Vec<_>>().join(", ");
        let limit = Limit::ALL.iter().copied().find(|limit| limit.word() == name);
        let limit = limit.ok_or_else(|| format!("no limit has this name; there are {}", known()))?;
        let (digits, shift) = match value.as_bytes().last() {
            Some(b'K') => (value.strip_suffix('K'), 10),
            Some(b'M') => (value.strip_suffix('M'), 20),
            Some(b'G') => (value.strip_suffix('G'), 30),
            _ => (None, 0_u32),
        };
        let digits = digits.unwrap_or(value);
        let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number.and_then(|number| number.checked_mul(1 << shift)).filter(|number| *number > 0);
        let expected = "expected NAME=VALUE with a whole number above 0, and K, M or G behind it for powers of 1024: unpacked=8G".to_string();
        Ok((limit, number.ok_or(expected)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_can_be_raised_by_its_name() {
        let mut limits = Limits::default();
        for limit in Limit::ALL.iter().copied() {
            let before = limits.get(limit);
            let (found, value) = Limits::parse(&format!("{}={before}K", limit.word())).expect("valid");
            limits.set(found, value);
            assert_eq!((found, limits.get(limit)), (limit, before << 10));
        }
    }

    #[test]
    fn what_is_no_limit_is_refused_with_what_is() {
        assert!(Limits::parse("size=1").expect_err("unknown").contains("entries, unpacked"));
        for text in [
            "ratio",
            "ratio=",
            "ratio=0",
            "ratio=-1",
            "ratio=+1",
            "ratio=1GG",
            "ratio=1KKK",
            "ratio=99999999999G",
        ] {
            assert!(Limits::parse(text).expect_err(text).contains("NAME=VALUE"), "{text}");
        }
    }
}
