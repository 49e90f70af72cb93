//! Where a text stops: what its last line could have become.

use super::text::header;

/// What lspci's addresses look like, with a domain of each length and without.
const ADDRESSES: [&[u8]; 6] = [
    b"00:00.0",
    b"0000:00:00.0",
    b"00000:00:00.0",
    b"000000:00:00.0",
    b"0000000:00:00.0",
    b"00000000:00:00.0",
];

/// Longest of them.
const LONGEST: usize = 16;

/// Whether a line without its end may be the beginning of a function's first line, or of a line of hex of
/// which not even a byte is there.
pub(super) fn may_begin_more(line: &[u8]) -> bool {
    !line.is_empty()
        && (header(line.trim_ascii_start()).is_some() || begins_address(line) || begins_hex(line))
}

/// Whether more letters make it an address: if any do, these do.
fn begins_address(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"Slot:\t").unwrap_or(line);
    ADDRESSES.iter().any(|address| {
        let mut whole = [0; LONGEST];
        let (Some(out), Some(rest)) = (whole.get_mut(..address.len()), address.get(line.len()..)) else {
            return false;
        };
        let (start, end) = out.split_at_mut(line.len());
        start.copy_from_slice(line);
        end.copy_from_slice(rest);
        header(out).is_some()
    })
}

/// Whether it is an offset with its colon, and no whole pair of digits behind it.
fn begins_hex(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = line.get(digits..).unwrap_or_default();
    let rest = rest.strip_prefix(b":");
    matches!(digits, 2 | 3)
        && rest.is_some_and(|behind| match behind {
            [] | [b' '] => true,
            [b' ', digit] => digit.is_ascii_hexdigit(),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_of_an_address_or_of_a_line_of_hex_may_go_on() {
        for line in ["00:1f.2 SATA controller: Intel", "10000:e1:00.0 \"0604\"", "Slot:\t00:1f.2", "100: 0"] {
            let from = if line.starts_with("Slot") { 6 } else { 1 };
            for end in from..=line.len() {
                assert!(may_begin_more(&line.as_bytes()[..end]), "{}", &line[..end]);
            }
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_the_end_of_a_text_like_any_other() {
        for line in [
            "",
            "-- ",
            "me",
            "ff0: 00 00",
            "ff0: 00",
            "00:3",
            "00:2",
            "00:1f.8",
            "00:1f.22",
            "0g",
            "123:4",
            "00:1f 2",
        ] {
            assert!(!may_begin_more(line.as_bytes()), "{line}");
        }
    }
}
