//! A libvirt domain, as whoever may define guests wrote it.
//!
//! Input: the XML; with a first byte of 1 that which the rest makes: elements of three bytes, opened and closed.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::{judge, take};
use crate::addr::Sbdf;
use crate::guest::assigned_functions;
use crate::report::clean;

/// Pieces at most: more than can be nested.
const PIECES: usize = 300;

/// What such descriptions are made of, with `@` for a byte of the number in hexadecimal and `#` for the number.
const TEMPLATES: [&str; 24] = [
    "<domain type='kvm' id='#'>",
    "<domain>",
    "<devices>",
    "<hostdev mode='subsystem' type='pci' managed='yes'>",
    "<hostdev type='usb'>",
    "<interface type='hostdev'>",
    "<disk type='nvme' device='disk'>",
    "<source>",
    "<source type='pci' namespace='1'>",
    "<address domain='0x@@' bus='0x@' slot='0x@' function='0x@'/>",
    "<address type='pci' domain='#' bus='0@' slot='0' function='0'/>",
    "<address domain='0x0000' bus='0x@' slot='0x00' function='0x0'></address>",
    "<address bus='#' slot='0'/>",
    "<address uuid='#'/>",
    "<name>#</name>",
    "<a>",
    "<!-- # -->",
    "<![CDATA[<address bus='0' slot='0'/>]]>",
    "<?xml version='1.0'?>",
    "<!DOCTYPE d [<!ENTITY a '#'>]>",
    "&#;",
    "&amp;&#x@;",
    "<x y='@' y='@'/>",
    "\u{feff} #\u{1b}[2J\n",
];

pub(super) fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((1, rest)) => check(&make(rest)),
        _ => check(bytes),
    }
}

fn check(xml: &[u8]) {
    let found = assigned_functions(xml);
    // What comes behind the document changes nothing, but for what is no XML there.
    assert_eq!(assigned_functions(&[xml, b"\n"].concat()).is_ok(), found.is_ok());
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let text = format!("{error}");
            assert!(!text.is_empty() && text.len() < 4096 + xml.len(), "{} bytes", text.len());
            assert_eq!(judge::harmless(&clean(&text)), None, "{text:?}");
            return;
        }
    };
    assert!(found.is_sorted_by(|a, b| a < b), "sorted, each once: {found:?}");
    let elements = xml.windows(8).filter(|window| window == b"<address").count();
    assert!(found.len() <= elements, "{found:?} of {elements} elements");
    assert_eq!(assigned_functions(canonical(&found).as_bytes()), Ok(found));
}

/// The same functions as libvirt would write them.
fn canonical(functions: &[Sbdf]) -> String {
    let mut xml = String::from("<domain type='kvm'><devices>");
    for function in functions {
        let devfn = function.bdf.devfn();
        xml += &format!(
            "<hostdev mode='subsystem' type='pci'><source><address domain='0x{:04x}' bus='0x{:02x}' slot='0x{:02x}' \
             function='0x{}'/></source></hostdev>",
            function.segment.0,
            function.bus(),
            devfn >> 3,
            devfn & 7
        );
    }
    xml + "</devices></domain>"
}

fn make(mut bytes: &[u8]) -> Vec<u8> {
    let (mut xml, mut open) = (Vec::new(), Vec::new());
    for _ in 0..PIECES {
        if bytes.is_empty() {
            break;
        }
        let [which, low, high] = take(&mut bytes);
        match which {
            0..0x80 => {
                let piece = TEMPLATES[usize::from(which) % TEMPLATES.len()];
                if piece.starts_with("<") && !piece.contains("/") && !piece.contains("!") {
                    open.extend(piece[1..].split([' ', '>']).next());
                }
                let number = format!("{}", u16::from_le_bytes([low, high]));
                let piece = piece.replace('#', &number);
                let mut halves = [low, high].into_iter().cycle();
                for part in piece.split_inclusive('@') {
                    match part.strip_suffix('@') {
                        Some(part) => {
                            let byte = halves.next().unwrap_or_default();
                            xml.extend_from_slice(format!("{part}{byte:02x}").as_bytes());
                        }
                        None => xml.extend_from_slice(part.as_bytes()),
                    }
                }
            }
            0x80..0xf0 => {
                for name in open.pop().into_iter().chain((which & 1 != 0).then(|| open.pop()).flatten()) {
                    xml.extend_from_slice(format!("</{name}>").as_bytes());
                }
            }
            _ => {
                let (spelled, rest) = bytes.split_at(bytes.len().min(usize::from(low & 0x3f)));
                bytes = rest;
                xml.extend_from_slice(spelled);
            }
        }
    }
    for name in open.iter().rev() {
        xml.extend_from_slice(format!("</{name}>").as_bytes());
    }
    xml
}
