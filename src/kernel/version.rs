//! Kernel releases, as `uname -r` has them.

use core::fmt;
use core::str::FromStr;

/// The numbers at the start of a kernel release: `6.12.117` of `6.12.117-1-amd64`.
///
/// A distribution's kernel may carry patches of later versions, and number its own releases
/// (`5.14.0-427.el9`): what is said of a version is said of the kernel as published under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u16,
    /// Second number.
    pub minor: u16,
    /// Third number: the stable release, 0 where it is left out.
    pub patch: u16,
}

impl Version {
    /// A version from its numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// Whether it is a stable release of `major.minor`.
    #[must_use]
    pub fn is_of(self, major: u16, minor: u16) -> bool {
        (self.major, self.minor) == (major, minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

/// The text does not begin with two numbers and a dot between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseVersionError;

impl fmt::Display for ParseVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a kernel release, such as 6.12.117-1-amd64")
    }
}

impl core::error::Error for ParseVersionError {}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text.trim();
        let mut number = || {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at_checked(end)?;
            let value = digits.parse::<u16>().ok()?;
            let dot = after.strip_prefix('.');
            rest = dot.unwrap_or_default();
            Some((value, dot.is_some()))
        };
        let (major, true) = number().ok_or(ParseVersionError)? else { return Err(ParseVersionError) };
        let (minor, more) = number().ok_or(ParseVersionError)?;
        let patch = if more { number().map_or(0, |(patch, _)| patch) } else { 0 };
        Ok(Self { major, minor, patch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn releases_are_read_whatever_follows_the_numbers() {
        for (text, version) in [
            ("6.12.117", Version::new(6, 12, 117)),
            ("6.12.117-1-amd64\n", Version::new(6, 12, 117)),
            ("7.2.13+deb14-amd64", Version::new(7, 2, 13)),
            ("6.15-rc3", Version::new(6, 15, 0)),
            ("5.14.0-427.el9.x86_64", Version::new(5, 14, 0)),
            ("6.8.x", Version::new(6, 8, 0)),
        ] {
            assert_eq!(text.parse(), Ok(version), "{text}");
        }
        for bad in ["", "6", "6.", "six.1", ".1", "99999.1", "-6.1"] {
            assert_eq!(bad.parse::<Version>(), Err(ParseVersionError), "{bad}");
        }
        assert_eq!(
            (Version::new(6, 1, 0).to_string(), Version::new(6, 1, 2).to_string()),
            ("6.1".into(), "6.1.2".into())
        );
        assert!(Version::new(6, 9, 99) < Version::new(6, 10, 0));
    }
}
