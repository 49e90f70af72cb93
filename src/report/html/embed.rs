//! JSON within a page: text that no HTML parser can take for markup, and tables of what repeats.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, Formatter, Serializer as JsonSerializer};
use serde_json::value::RawValue;

use crate::report::clean;

/// A value as JSON for a `script` element: `<`, `>` and `&` are escaped, and what [`clean`] makes harmless
/// for a terminal is made harmless here, too.
pub(super) fn json(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    // Writing to memory does not fail, and none of the values has keys that are no text.
    let _ = value.serialize(&mut JsonSerializer::with_formatter(&mut bytes, Embedded));
    String::from_utf8(bytes).unwrap_or_default()
}

struct Embedded;

impl Formatter for Embedded {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // What clean() writes has backslashes, which JSON escapes once more.
        let cleaned = clean(fragment).replace('\\', "\\\\");
        let mut rest = cleaned.as_str();
        while let Some(at) = rest.find(['<', '>', '&']) {
            let (before, from) = rest.split_at(at);
            let mut chars = from.chars();
            let special = chars.next().unwrap_or_default();
            write!(writer, "{before}\\u{:04x}", u32::from(special))?;
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let control = match escape {
            CharEscape::Quote => return writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => return writer.write_all(b"\\\\"),
            CharEscape::Solidus => return writer.write_all(b"/"),
            CharEscape::LineFeed => return writer.write_all(b"\\n"),
            CharEscape::Tab => return writer.write_all(b"\\t"),
            CharEscape::Backspace => 8,
            CharEscape::FormFeed => 12,
            CharEscape::CarriageReturn => 13,
            CharEscape::AsciiControl(byte) => byte,
        };
        write!(writer, "\\\\u{{{control:x}}}")
    }
}

/// Values, each once; what uses them has their index.
#[derive(Debug, Default)]
pub(super) struct Table {
    index: BTreeMap<String, usize>,
    bytes: usize,
}

impl Table {
    /// The index of a value, which is added if it is not there.
    pub(super) fn add(&mut self, value: &impl Serialize) -> usize {
        let text = json(value);
        let next = self.index.len();
        if let Some(known) = self.index.get(&text) {
            return *known;
        }
        self.bytes = self.bytes.saturating_add(text.len());
        self.index.insert(text, next);
        next
    }

    /// The same, if it is there already or the table has fewer bytes than `limit`.
    pub(super) fn add_within(&mut self, value: &impl Serialize, limit: usize) -> Option<usize> {
        let known = || self.index.get(&json(value)).copied();
        if self.bytes >= limit { known() } else { Some(self.add(value)) }
    }

    /// How many bytes its values have.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values: Vec<(usize, &String)> = self.index.iter().map(|(text, at)| (*at, text)).collect();
        values.sort_unstable();
        let raw = values.into_iter().map(|(_, text)| RawValue::from_string(text.clone()));
        let raw: Result<Vec<Box<RawValue>>, _> = raw.collect();
        raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_a_script_or_moves_a_cursor_and_all_text_can_be_read_back() {
        let hostile = "</script><!--&amp;\u{2028}\u{1b}[2J\u{202e}\"\\ \u{7f}\u{85}é\n";
        let text = json(&[hostile]);
        assert!(text.bytes().all(|byte| !b"<>&".contains(&byte) && byte >= b' '), "{text}");
        assert!(!text.contains(['\u{2028}', '\u{202e}', '\u{7f}', '\u{85}']));
        let read: Vec<String> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read, ["</script><!--&amp;\\u{2028}\\u{1b}[2J\\u{202e}\"\\ \\u{7f}\\u{85}é\n"]);
    }

    #[test]
    fn a_table_has_each_value_once_and_in_the_order_of_their_indices() {
        let mut table = Table::default();
        assert_eq!([table.add(&"z"), table.add(&"a"), table.add(&"z")], [0, 1, 0]);
        assert_eq!(table.add_within(&"m", 6), None, "{}", table.bytes());
        assert_eq!(table.add_within(&"z", 6), Some(0));
        assert_eq!(json(&table), r#"["z","a"]"#);
    }
}
