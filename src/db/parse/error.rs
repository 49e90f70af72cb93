//! What is wrong with a database file, and where.

use std::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

/// Problems that are reported one by one; the rest is only counted.
pub(super) const REPORTED: usize = 100;

/// A database file that cannot be used. Shown as one line for each problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct ParseError {
    file: String,
    problems: Vec<Problem>,
    more: usize,
}

/// One thing that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Line, from 1 on.
    pub line: usize,
    /// Column in characters, from 1 on.
    pub column: usize,
    /// One line of text.
    pub message: String,
}

impl ParseError {
    /// With one problem, at this byte offset of the text.
    pub(in crate::db) fn one(file: &str, text: &str, offset: usize, message: String) -> Self {
        let (line, column) = position(text, offset);
        let problems = Vec::from([Problem { line, column, message }]);
        Self { file: file.to_string(), problems, more: 0 }
    }

    /// The file, as the caller named it; empty for the built-in layer.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems in the order of the file: at least one, at most 100.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many problems were found beyond those.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = if self.file.is_empty() { "built-in database" } else { &self.file };
        for (n, Problem { line, column, message }) in self.problems.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{file}:{line}:{column}: {message}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n{file}: {more} more"),
        }
    }
}

/// Problems found so far, by their byte offsets in the file.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<(usize, String)>,
    more: usize,
}

impl Problems {
    /// Adds one.
    pub(super) fn push(&mut self, offset: usize, message: impl Into<String>) {
        if self.found.len() < REPORTED {
            self.found.push((offset, message.into()));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// `value` if there are none.
    pub(super) fn none_or<T>(mut self, value: T, text: &str, file: &str) -> Result<T, ParseError> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by_key(|(offset, _)| *offset);
        let problem = |(offset, message)| {
            let (line, column) = position(text, offset);
            Problem { line, column, message }
        };
        let problems = self.found.into_iter().map(problem).collect();
        Err(ParseError { file: file.to_string(), problems, more: self.more })
    }
}

/// Line and column of a byte offset, both from 1 on.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.chars().rev().take_while(|c| *c != '\n').count().saturating_add(1);
    (line, column)
}

/// Text from the file, in backquotes, cut and without anything that a terminal would act on.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for c in text.chars().take(60) {
        match c {
            '\'' | '"' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out.push_str(if text.chars().nth(60).is_some() { "…`" } else { "`" });
    out
}

/// What to write instead of `wrong`: the nearest of `words` if it is a slip away, else all of them.
pub(super) fn instead(wrong: &str, words: &[&str]) -> String {
    let nearest = words
        .iter()
        .map(|word| (distance(wrong, word), *word))
        .filter(|(distance, word)| *distance <= 2 && *distance < word.len())
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((_, word)) => std::format!("did you mean `{word}`?"),
        None => std::format!("one of {}", words.join(", ")),
    }
}

/// Edits that turn one word into the other; a large number if the lengths differ by much.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let (first, rest) = match row.split_first_mut() {
            Some(split) => split,
            None => return usize::MAX,
        };
        *first = left;
        for (cell, y) in rest.iter_mut().zip(b.bytes()) {
            let changed = diagonal.saturating_add(usize::from(!x.eq_ignore_ascii_case(&y)));
            diagonal = *cell;
            left = changed.min(left.saturating_add(1)).min(diagonal.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
