//! The kernel's command line, cut into parameters as the kernel cuts it.
//!
//! Source: Linux 7.2.13, lib/cmdline.c (`next_arg`), kernel/params.c (`parse_args`, `parameq`),
//! drivers/pci/pci.c (`pci_setup`).

use alloc::vec::Vec;

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameter<'a> {
    /// Byte offset of the name in the command line.
    pub at: usize,
    /// What stands before the first `=`, or all of it.
    pub name: &'a str,
    /// What stands after it, without quotation marks around it.
    pub value: Option<Piece<'a>>,
}

/// A piece of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// Byte offset in the command line.
    pub at: usize,
    /// The text.
    pub text: &'a str,
}

impl Parameter<'_> {
    /// Whether this is its name: the kernel takes `-` and `_` for the same letter.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        let same = |(a, b): (u8, u8)| a == b || matches!((a, b), (b'-', b'_') | (b'_', b'-'));
        self.name.len() == name.len() && self.name.bytes().zip(name.bytes()).all(same)
    }

    /// The value's text, empty if there is none.
    #[must_use]
    pub fn value_text(&self) -> &str {
        self.value.map_or("", |value| value.text)
    }
}

/// The parameters of a command line, up to `--`, after which init's arguments stand.
#[must_use]
pub fn parameters(line: &str) -> Vec<Parameter<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = line.get(at..) {
        let Some(start) = rest.find(|letter: char| !is_space(letter)) else { break };
        let Some(argument) = rest.get(start..) else { break };
        let end = end_of(argument);
        let begin = at.saturating_add(start);
        at = begin.saturating_add(end);
        let Some(argument) = argument.get(..end) else { break };
        if argument == "--" {
            break;
        }
        found.push(parameter(begin, argument));
    }
    found
}

/// Where an argument ends: at white space outside quotation marks.
fn end_of(argument: &str) -> usize {
    let mut quoted = false;
    let ends = |(_, letter): &(usize, char)| {
        quoted ^= *letter == '"';
        is_space(*letter) && !quoted
    };
    argument.char_indices().find(ends).map_or(argument.len(), |(end, _)| end)
}

const fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t'..='\r' | '\u{a0}')
}

fn parameter(mut at: usize, mut argument: &str) -> Parameter<'_> {
    if let Some(inner) = argument.strip_prefix('"') {
        at = at.saturating_add(1);
        argument = inner.strip_suffix('"').unwrap_or(inner);
    }
    // A `=` in front is part of the name.
    let equals = argument.char_indices().skip(1).find(|(_, letter)| *letter == '=');
    let parts = equals
        .and_then(|(equals, _)| Some((argument.get(..equals)?, argument.get(equals.checked_add(1)?..)?)));
    let Some((name, value)) = parts else { return Parameter { at, name: argument, value: None } };
    let value_at = at.saturating_add(name.len()).saturating_add(1);
    let value = match value.strip_prefix('"') {
        Some(inner) => {
            Piece { at: value_at.saturating_add(1), text: inner.strip_suffix('"').unwrap_or(inner) }
        }
        None => Piece { at: value_at, text: value },
    };
    Parameter { at, name, value: Some(value) }
}

/// The options of all `pci=` parameters, in order: the kernel cuts them at commas first of all.
pub fn pci_options(line: &str) -> impl Iterator<Item = Piece<'_>> {
    parameters(line).into_iter().filter(|parameter| parameter.is_called("pci")).flat_map(|parameter| {
        let value = parameter.value.unwrap_or(Piece { at: parameter.at, text: "" });
        let mut at = value.at;
        value.text.split(',').filter_map(move |text| {
            let piece = Piece { at, text };
            at = at.saturating_add(text.len()).saturating_add(1);
            (!text.is_empty()).then_some(piece)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_values(line: &str) -> Vec<(usize, &str, Option<&str>)> {
        parameters(line).into_iter().map(|p| (p.at, p.name, p.value.map(|value| value.text))).collect()
    }

    #[test]
    fn parameters_are_cut_at_spaces_outside_quotation_marks() {
        let line = "ro root=/dev/sda1  x=\"a b\" \"y=c d\" empty= =odd tail\t\"open q";
        assert_eq!(
            names_and_values(line),
            [
                (0, "ro", None),
                (3, "root", Some("/dev/sda1")),
                (19, "x", Some("a b")),
                (28, "y", Some("c d")),
                (35, "empty", Some("")),
                (42, "=odd", None),
                (47, "tail", None),
                (53, "open q", None),
            ]
        );
        assert_eq!(names_and_values("a -- pci=noacs"), [(0, "a", None)]);
        assert_eq!(names_and_values(""), []);
        assert_eq!(names_and_values("\""), [(1, "", None)]);
    }

    #[test]
    fn values_say_where_they_stand() {
        let line = "quiet pci=noats,,config_acs=1@00:01.0 pci=\"nomsi,x\" pci";
        for piece in pci_options(line) {
            assert_eq!(&line[piece.at..][..piece.text.len()], piece.text);
        }
        let texts: Vec<_> = pci_options(line).map(|piece| piece.text).collect();
        assert_eq!(texts, ["noats", "config_acs=1@00:01.0", "nomsi", "x"]);
    }

    #[test]
    fn hyphens_and_underscores_in_names_are_one() {
        let [parameter] = parameters("intel-iommu=on")[..] else { panic!("one") };
        assert!(parameter.is_called("intel_iommu"));
        assert!(!parameter.is_called("intel_iommux"));
        assert_eq!(parameter.value_text(), "on");
    }
}
