//! JSON that a terminal can show as it is.

use core::str;
use std::io::{self, Write};

use serde::Serialize;

use crate::report::is_unsafe;

/// Passes on JSON, with an escape of JSON in place of each character that could steer a terminal and that JSON
/// itself lets pass: who reads the value gets the same text. Such characters only occur in strings, and
/// serde_json writes no part of a character alone.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_ascii() && !bytes.contains(&0x7f) {
            self.0.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let mut rest = str::from_utf8(bytes).map_err(io::Error::other)?;
        while let Some(at) = rest.find(|c| c != '\n' && is_unsafe(c)) {
            let (before, from) = rest.split_at(at);
            let mut from = from.chars();
            let found = from.next().unwrap_or_default();
            write!(self.0, "{before}\\u{:04x}", u32::from(found))?;
            rest = from.as_str();
        }
        self.0.write_all(rest.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a value in one line.
pub(crate) fn to_writer(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(Escaped(out), value).map_err(io::Error::from)
}

/// Writes a value in many lines.
pub(crate) fn to_writer_pretty(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(Escaped(out), value).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn every_character_comes_back_and_none_steers_a_terminal() {
        let all: String = ('\0'..=char::MAX).collect();
        for pretty in [false, true] {
            let (mut out, value) = (Vec::new(), [(&all, 1)]);
            let written =
                if pretty { to_writer_pretty(&mut out, &value) } else { to_writer(&mut out, &value) };
            written.expect("in memory");
            let text = String::from_utf8(out).expect("UTF-8");
            assert_eq!(text.chars().find(|c| *c != '\n' && is_unsafe(*c)), None);
            let read: [(String, u8); 1] = serde_json::from_str(&text).expect("JSON");
            assert!(read[0].0 == all);
        }
    }
}
