//! Writers: JSON for programs, text for people.
//!
//! Layer 7. Nothing here reads a dump. What comes from outside, be it a driver's name or a file's, is
//! passed through [`clean`] on its way to a terminal.

#[cfg(feature = "cli")]
pub mod html;
#[cfg(feature = "serde")]
pub mod json;
#[cfg(feature = "cli")]
pub mod names;
#[cfg(feature = "serde")]
pub mod prom;
#[cfg(feature = "cli")]
pub mod text;
pub mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use crate::db::Entry;
use crate::route::accept::Acceptances;
use crate::route::domains::{Domains, Unsettled};
use crate::route::fabric::Fabric;
use crate::topology::{FunctionIndex, Topology};

use crate::kernel::Host;

/// Where the functions came from, as reports say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// Kind of input: a word of `--input-format`.
    pub kind: String,
    /// Path, or `-`.
    pub path: String,
    /// What of a tree or an archive was read, if not all.
    pub part: Option<String>,
    /// Kernel release of the machine, where known.
    pub kernel: Option<String>,
    /// Kernel command line of the machine, where known.
    pub cmdline: Option<String>,
    /// What the host says of itself, where that is known.
    pub host: Option<Host>,
    /// What the reader could not do.
    pub problems: Vec<Problem>,
    /// What-if overlays that stand between the input and the answer, one line each.
    pub overlays: Vec<String>,
}

/// Something that the reader could not do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// One line.
    pub text: String,
    /// Whether a function, or bytes that nobody has counted, are missing for it.
    pub loses: bool,
}

impl Source {
    /// Whether a function, or bytes that nobody has counted, are missing.
    #[must_use]
    pub fn has_losses(&self) -> bool {
        self.losses().next().is_some()
    }

    /// The problems for which something is missing, one line each.
    pub fn losses(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().filter(|problem| problem.loses).map(|problem| problem.text.as_str())
    }
}

/// An answer that is worked out when it is first asked for.
pub type Lazy<'a, T> = &'a dyn Deref<Target = T>;

/// The hierarchy as transactions see it, what it is divided into, and what somebody has accepted.
#[derive(Clone, Copy)]
pub struct Reach<'a> {
    /// For pairs.
    pub fabric: &'a Fabric<'a>,
    /// The isolation domains.
    pub domains: Lazy<'a, Domains>,
    /// What only assumptions keep apart.
    pub unsettled: Lazy<'a, Vec<Unsettled>>,
    /// Who accepted what.
    pub accepted: &'a Acceptances<'a>,
}

impl fmt::Debug for Reach<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").finish_non_exhaustive()
    }
}

impl Reach<'_> {
    /// The topology.
    #[must_use]
    pub const fn topology(&self) -> &Topology {
        self.fabric.topology()
    }

    /// The database entries that the answers about these functions rest on, each with those functions.
    #[must_use]
    pub fn entries(
        &self,
        functions: impl Iterator<Item = FunctionIndex>,
    ) -> Vec<(&Entry, Vec<FunctionIndex>)> {
        let mut used: BTreeMap<usize, Vec<FunctionIndex>> = BTreeMap::new();
        for function in functions {
            for entry in self.fabric.entries_about(function) {
                used.entry(entry).or_default().push(function);
            }
        }
        let entries = self.fabric.database().entries();
        used.into_iter().filter_map(|(entry, functions)| Some((entries.get(entry)?, functions))).collect()
    }
}

/// Text that a terminal may show: control characters, and those that turn the direction of writing,
/// are written as escapes.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { cleaned.extend(c.escape_unicode()) } else { cleaned.push(c) }
    }
    Cow::Owned(cleaned)
}

/// Control characters, and the bidirectional formatting characters of Unicode (UAX #9).
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_turns_text_passes() {
        let hostile = "a\u{1b}[2Jb\r\n\u{9b}31m\u{202e}c\u{7f}";
        let cleaned = clean(hostile);
        assert!(cleaned.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{cleaned}");
        assert!(cleaned.contains("\\u{1b}[2J"));
        assert_eq!(clean("r8169 (Ω)"), "r8169 (Ω)");
    }
}
