//! Addresses in file names, in all the ways in which people and tools write them.

use std::path::Path;

use crate::addr::Sbdf;

/// The address that a path to a configuration file carries, in its last or its last two components:
///
/// | form | written by |
/// |---|---|
/// | `0000:00:1f.0[.ext]`, `00:1f.0[.ext]` | people |
/// | `0000:00:1f.0/config[.ext]` | sysfs |
/// | `00/1f.0`, `0001:00/1f.0` | procfs |
/// | `0000-00-1f.0[.ext]`, `0000_00_1f.0[.ext]` | tools that avoid colons |
/// | `pci_0000_00_1f_0[.ext]` | libvirt |
pub(super) fn address_of(path: &Path) -> Option<Sbdf> {
    let name = path.file_name()?.to_str()?;
    let parent = || path.parent()?.file_name()?.to_str();
    if name == "config" || name.starts_with("config.") {
        return from_name(parent()?);
    }
    from_name(name).or_else(|| from_procfs(parent()?, name))
}

/// The address at the start of a name, with nothing behind it but an extension.
pub(super) fn from_name(name: &str) -> Option<Sbdf> {
    if let Some(node) = name.strip_prefix("pci_") {
        return separated(node, '_', '_');
    }
    separated(name, ':', '.').or_else(|| separated(name, '-', '.')).or_else(|| separated(name, '_', '.'))
}

/// `domain SEP bus SEP device LAST function [.ext]`; the domain may be missing where `SEP` is a colon.
fn separated(name: &str, separator: char, last: char) -> Option<Sbdf> {
    let stem_end = name.match_indices(last).map(|(at, _)| at);
    // The function digit follows the last separator of the address: three of them where all are alike.
    let at = if separator == last { stem_end.into_iter().nth(2)? } else { stem_end.into_iter().next()? };
    let (front, rest) = (name.get(..at)?, name.get(at.checked_add(1)?..)?);
    let function = rest.get(..1)?;
    let behind = rest.get(1..)?;
    if !behind.is_empty() && !behind.starts_with('.') {
        return None;
    }
    let (front, device) = front.rsplit_once(separator)?;
    let (domain, bus) = match front.rsplit_once(separator) {
        Some((domain, bus)) => (domain, bus),
        None => ("0", front),
    };
    // Dates and version numbers look like addresses with dashes: ask for all the digits.
    let strict = separator != ':';
    if strict && (domain.len() < 4 || bus.len() != 2 || device.len() != 2 || is_date(domain, bus, device)) {
        return None;
    }
    build(domain, bus, device, function)
}

/// Whether it is a day rather than a place: no machine has 1970 segments.
fn is_date(year: &str, month: &str, day: &str) -> bool {
    let number = |text: &str, range: core::ops::RangeInclusive<u32>| {
        text.parse().is_ok_and(|number: u32| range.contains(&number))
    };
    number(year, 1970..=2099) && number(month, 1..=12) && number(day, 1..=31)
}

/// `bus/device.function` or `domain:bus/device.function`, as below `/proc/bus/pci`.
fn from_procfs(directory: &str, name: &str) -> Option<Sbdf> {
    let (device, function) = name.split_once('.')?;
    let (domain, bus) = directory.split_once(':').unwrap_or(("0", directory));
    if bus.len() != 2 || device.len() != 2 || function.len() != 1 {
        return None;
    }
    build(domain, bus, device, function)
}

fn build(domain: &str, bus: &str, device: &str, function: &str) -> Option<Sbdf> {
    let byte = |text: &str| u8::try_from(hex(text, 2)?).ok();
    Sbdf::new(hex(domain, 8)?, byte(bus)?, byte(device)?, u8::try_from(hex(function, 1)?).ok()?)
}

/// `pciDDDD:BB`, a host bridge in sysfs: domain and bus.
pub(super) fn host_bridge(name: &str) -> Option<(u32, u8)> {
    let (domain, bus) = name.strip_prefix("pci")?.split_once(':')?;
    if domain.len() < 4 || bus.len() != 2 {
        return None;
    }
    Some((hex(domain, 8)?, u8::try_from(hex(bus, 2)?).ok()?))
}

/// One to `max` hexadecimal digits and nothing else.
fn hex(text: &str, max: usize) -> Option<u32> {
    if text.is_empty() || text.len() > max || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_date_with_a_number_behind_it_is_no_address() {
        for name in ["2026-11-03.1.txt", "2026_11_03.1", "1999-12-31.0.log"] {
            assert_eq!(from_name(name), None, "{name}");
        }
        assert!(from_name("2026-13-03.1").is_some() && from_name("2026:11:03.1").is_some());
    }

    #[test]
    fn every_way_of_writing_an_address_is_understood() {
        for (path, address) in [
            ("configs/0000:00:1f.0.bin", "0000:00:1f.0"),
            ("0000-00-01.0.config", "0000:00:01.0"),
            ("/sys/devices/pci0000:00/0000:00:1f.0/config", "0000:00:1f.0"),
            ("x/10000:e1:00.0/config.bin", "10000:e1:00.0"),
            ("/proc/bus/pci/00/1f.0", "0000:00:1f.0"),
            ("/proc/bus/pci/0001:00/1f.0", "0001:00:1f.0"),
            ("pci_0000_00_1f_0", "0000:00:1f.0"),
            ("pci_0000_00_1f_0.config", "0000:00:1f.0"),
            ("0000_00_1f.0", "0000:00:1f.0"),
            ("00:1f.0", "0000:00:1f.0"),
            ("00:1F.2.config.bin", "0000:00:1f.2"),
            ("1:00:1f.0.bin", "0001:00:1f.0"),
            ("89abcdef:00:1f.0", "89abcdef:00:1f.0"),
        ] {
            let found = address_of(Path::new(path)).map(|found| found.to_string());
            assert_eq!(found.as_deref(), Some(address), "{path}");
        }
    }

    #[test]
    fn names_that_only_resemble_addresses_are_left_alone() {
        for path in [
            "config",
            "a/config",
            "DMAR.bin",
            "24-05-12.3.log",
            "1f.0",
            "pci_0000_00_1f",
            "00:1f.0x",
            "00:1f.8",
            "00:20.0",
            "0000:00:1f.0-copy",
            "123456789:00:1f.0",
            "v1.2/03.4",
            "1.2.3",
            "",
            "00:1f.",
            "é:1f.0",
            "pci0000:00",
        ] {
            assert_eq!(address_of(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn host_bridges_are_told_from_other_directories() {
        assert_eq!(host_bridge("pci10000:e0"), Some((0x10000, 0xe0)));
        assert_eq!(host_bridge("pci0000:00"), Some((0, 0)));
        assert_eq!(host_bridge("pci_bus"), None);
        assert_eq!(host_bridge("0000:00"), None);
    }
}
