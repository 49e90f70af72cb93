//! From the strings of a database file to values. Each function answers what is wrong with the string.

use std::format;
use std::string::String;

use super::error::{instead, quoted};
use crate::cap::acs::AcsControl;
use crate::cap::pcie::DevicePortType;
use crate::db::IdRange;

/// Vendor or device ID.
pub(super) fn id(text: &str) -> Result<u16, String> {
    hex(text, 4).ok_or_else(|| format!("{} is not a hexadecimal ID of up to 4 digits", quoted(text)))
}

/// Device ID or inclusive range of them.
pub(super) fn id_range(text: &str) -> Result<IdRange, String> {
    let (first, last) = range(text, id)?;
    Ok(IdRange { first, last })
}

/// Revision ID or inclusive range of them.
pub(super) fn revisions(text: &str) -> Result<(u8, u8), String> {
    range(text, |text| {
        let revision = hex(text, 2).and_then(|revision| u8::try_from(revision).ok());
        revision.ok_or_else(|| format!("{} is not a hexadecimal revision of up to 2 digits", quoted(text)))
    })
}

/// Subsystem vendor ID and subsystem ID.
pub(super) fn subsystem(text: &str) -> Result<(u16, u16), String> {
    match text.split_once(':') {
        Some((vendor, device)) => Ok((id(vendor)?, id(device)?)),
        None => Err(format!("{} has no colon: write vendor:device, such as 9005:02bb", quoted(text))),
    }
}

/// Base class, or base class and sub-class.
pub(super) fn class(text: &str) -> Result<(u8, Option<u8>), String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let [high, low] = hex(text, 4).unwrap_or_default().to_be_bytes();
    match digits.len() {
        4 if hex(text, 4).is_some() => Ok((high, Some(low))),
        2 if hex(text, 2).is_some() => Ok((low, None)),
        _ => Err(format!("{} is not a class of 2 or 4 hexadecimal digits, such as 03 or 0680", quoted(text))),
    }
}

/// Device/Port Type.
pub(super) fn port_type(text: &str) -> Result<DevicePortType, String> {
    DevicePortType::from_word(text).ok_or_else(|| {
        let types = (0..=15).map(DevicePortType::from_bits);
        let words: std::vec::Vec<_> = types
            .filter(|port_type| !matches!(port_type, DevicePortType::Reserved(_)))
            .map(DevicePortType::word)
            .collect();
        format!("unknown port type {}: {}", quoted(text), instead(text, &words))
    })
}

/// One ACS control.
pub(super) fn control(text: &str) -> Result<AcsControl, String> {
    let token = AcsControl::TOKENS.iter().find(|(token, _)| *token == text);
    token.map(|(_, control)| *control).ok_or_else(|| {
        let words = AcsControl::TOKENS.map(|(token, _)| token);
        format!("unknown ACS control {}: {}", quoted(text), instead(text, &words))
    })
}

/// Device and function, as bits 7:0 of a requester ID.
pub(super) fn devfn(text: &str) -> Result<u8, String> {
    crate::db::accept::device_function(text)
        .ok_or_else(|| format!("{} is not a device and function from 00.0 to 1f.7", quoted(text)))
}

/// Name of an entry.
pub(super) fn name(text: &str) -> Result<String, String> {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if text.len() <= 80 && text.split('-').all(word) {
        return Ok(String::from(text));
    }
    Err(format!("{} is not a name: up to 80 small letters and digits, single hyphens between", quoted(text)))
}

/// Prose: line breaks and runs of white space become one space.
pub(super) fn prose(text: &str) -> Result<String, String> {
    let words: std::vec::Vec<_> = text.split_whitespace().collect();
    let text = words.join(" ");
    if text.is_empty() {
        return Err(String::from("is empty"));
    }
    match text.chars().find(|c| c.is_control()) {
        None => Ok(text),
        Some(c) => Err(format!("has the control character U+{:04X}: leave it out", u32::from(c))),
    }
}

/// ACPI table signature.
pub(super) fn acpi_table(text: &str) -> Result<String, String> {
    if text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        return Ok(String::from(text));
    }
    Err(format!("{} is not an ACPI table: 4 capital letters or digits, such as IVRS", quoted(text)))
}

/// Hexadecimal number of up to so many digits, with or without "0x".
fn hex(text: &str, digits: usize) -> Option<u16> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let hexadecimal = text.bytes().all(|b| b.is_ascii_hexdigit());
    if text.is_empty() || text.len() > digits || !hexadecimal {
        return None;
    }
    u16::from_str_radix(text, 16).ok()
}

/// One value, or an inclusive range of values.
fn range<T: Copy + PartialOrd>(
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<(T, T), String> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (read(first)?, read(last)?),
        None => {
            let one = read(text)?;
            (one, one)
        }
    };
    if first > last {
        return Err(format!("{} runs backwards: put the lower end first", quoted(text)));
    }
    Ok((first, last))
}
