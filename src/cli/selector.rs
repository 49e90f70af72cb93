//! lspci's `-s` and `-d`.

use super::args::Selection;
use super::{Stop, address};
use crate::addr::Sbdf;
use crate::config::ClassCode;
use crate::topology::{FunctionIndex, Topology};

/// The functions that the options select.
pub(super) struct Wanted<'a> {
    names: &'a [String],
    slot: Option<Slot>,
    id: Option<Id>,
}

impl<'a> Wanted<'a> {
    /// What was typed, before anything is read.
    pub(super) fn parse(typed: &'a Selection) -> Result<Self, Stop> {
        let slot = typed.slot.as_deref().map(Slot::parse).transpose().map_err(Stop::Usage)?;
        let id = typed.device.as_deref().map(Id::parse).transpose().map_err(Stop::Usage)?;
        Ok(Self { names: &typed.addresses, slot, id })
    }

    /// Whether nothing was typed, which selects all.
    pub(super) const fn is_all(&self) -> bool {
        self.names.is_empty() && self.slot.is_none() && self.id.is_none()
    }

    /// The functions, sorted.
    pub(super) fn select(&self, topology: &Topology) -> Result<Vec<FunctionIndex>, Stop> {
        let named = address::resolve(topology, self.names)?;
        let functions = topology.functions().iter().enumerate();
        let selected: Vec<FunctionIndex> = functions
            .filter(|(index, _)| self.names.is_empty() || named.binary_search(index).is_ok())
            .filter(|(_, function)| self.slot.is_none_or(|slot| slot.holds(function.address)))
            .filter(|(index, function)| {
                self.id.is_none_or(|id| id.holds(topology.ids(*index), function.class))
            })
            .map(|(index, _)| index)
            .collect();
        if selected.is_empty() {
            eprintln!("acsscan: no function is selected; show -t lists them all");
        }
        Ok(selected)
    }
}

/// `-s [[[[domain]:]bus]:][device][.[function]]`; parts that are left out, or `*`, match anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    domain: Option<u32>,
    bus: Option<u32>,
    device: Option<u32>,
    function: Option<u32>,
}

impl Slot {
    /// Parses it as lspci does.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("-s {text}: expected [[[[domain]:]bus]:][device][.[function]] in hexadecimal");
        let (front, function) = match text.split_once('.') {
            Some((front, function)) => (front, function),
            None => (text, ""),
        };
        let mut parts = front.rsplit(':');
        let device = parts.next().unwrap_or("");
        let (bus, domain) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        if parts.next().is_some() {
            return Err(wrong());
        }
        let part = |text: &str, max: u32| part(text, max).ok_or_else(wrong);
        Ok(Self {
            domain: part(domain, u32::MAX)?,
            bus: part(bus, 0xff)?,
            device: part(device, 0x1f)?,
            function: part(function, 7)?,
        })
    }

    /// Whether the address is one of those meant.
    pub(super) fn holds(&self, address: Sbdf) -> bool {
        let agrees = |wanted: Option<u32>, is: u32| wanted.is_none_or(|wanted| wanted == is);
        agrees(self.domain, address.segment.0)
            && agrees(self.bus, address.bus().into())
            && agrees(self.device, address.bdf.device().into())
            && agrees(self.function, address.bdf.function().into())
    }
}

/// `-d [vendor]:[device][:class[:prog-if]]`; parts that are left out, or `*`, match anything, and so does an
/// `x` for a digit of the class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Id {
    vendor: Option<u32>,
    device: Option<u32>,
    /// Value and mask.
    class: Option<(u32, u32)>,
    interface: Option<u32>,
}

impl Id {
    /// Parses it as lspci does.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("-d {text}: expected [vendor]:[device][:class[:prog-if]] in hexadecimal");
        let parts: Vec<&str> = text.split(':').collect();
        if !(2..=4).contains(&parts.len()) {
            return Err(wrong());
        }
        let nth = |n: usize, max: u32| part(parts.get(n).copied().unwrap_or(""), max).ok_or_else(wrong);
        Ok(Self {
            vendor: nth(0, 0xffff)?,
            device: nth(1, 0xffff)?,
            class: masked(parts.get(2).copied().unwrap_or("")).ok_or_else(wrong)?,
            interface: nth(3, 0xff)?,
        })
    }

    /// Whether a function with these IDs (if known) and this class is one of those meant.
    pub(super) fn holds(&self, ids: Option<(u16, u16)>, class: ClassCode) -> bool {
        let agrees = |wanted: Option<u32>, is: Option<u32>| wanted.is_none_or(|wanted| is == Some(wanted));
        agrees(self.vendor, ids.map(|(vendor, _)| vendor.into()))
            && agrees(self.device, ids.map(|(_, device)| device.into()))
            && self.class.is_none_or(|(value, mask)| u32::from(class.class()) & mask == value)
            && agrees(self.interface, Some(class.interface.into()))
    }
}

/// One part: `None` (anything) for nothing and `*`; no value for what is not a number up to `max`.
fn part(text: &str, max: u32) -> Option<Option<u32>> {
    if text.is_empty() || text == "*" {
        return Some(None);
    }
    if text.len() > 8 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let value = u32::from_str_radix(text, 16).ok()?;
    (value <= max).then_some(Some(value))
}

/// Four digits or fewer, of which an `x` matches any: value and mask.
fn masked(text: &str) -> Option<Option<(u32, u32)>> {
    let Some((first, _)) = text.split_once(['x', 'X']) else {
        return part(text, 0xffff).map(|value| value.map(|value| (value, 0xffff)));
    };
    let is_digit = |letter: char| letter.is_ascii_hexdigit() || letter.eq_ignore_ascii_case(&'x');
    if text.len() != 4 || !text.chars().all(is_digit) || first.len() >= 4 {
        return None;
    }
    let value = u32::from_str_radix(&text.replace(['x', 'X'], "0"), 16).ok()?;
    let mask: String =
        text.chars().map(|letter| if letter.is_ascii_hexdigit() { 'f' } else { '0' }).collect();
    Some(Some((value, u32::from_str_radix(&mask, 16).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(selector: &str, address: &str) -> bool {
        Slot::parse(selector).expect("valid").holds(address.parse().expect("valid"))
    }

    #[test]
    fn slots_select_as_lspci_does() {
        assert!(holds("1c", "0000:05:1c.3"), "a number alone is a device on every bus");
        assert!(holds("00:", "0001:00:1c.3"), "with a colon it is a bus of every domain");
        assert!(!holds("00:", "0001:01:1c.3"));
        assert!(holds(".3", "0000:05:1c.3"));
        assert!(holds("10000:e1:00.0", "10000:e1:00.0"));
        assert!(holds("1::", "0001:07:00.0") && !holds("1::", "0000:07:00.0"));
        assert!(holds("*:*:*.*", "0001:07:00.0"));
        for bad in ["0:0:0:0.0", "20", "0.8", "x", "100:0.0", "-1", "0.0.0"] {
            assert!(Slot::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_select_as_lspci_does() {
        let class = ClassCode { base: 6, sub: 4, interface: 1 };
        let holds = |text: &str| Id::parse(text).expect("valid").holds(Some((0x8086, 0xa294)), class);
        assert!(holds("8086:") && holds(":a294") && holds("::0604") && holds("8086:a294:0604:01"));
        assert!(holds("::06xx") && holds("::xx04") && holds("::06xx:01") && !holds("::02xx"));
        for bad in ["::6x", "::06xxx", "::0g0x", "06xx:"] {
            assert!(Id::parse(bad).is_err(), "{bad}");
        }
        assert!(!holds("8086:0001") && !holds("::0604:00"));
        assert!(!Id::parse("8086:").expect("valid").holds(None, class), "unknown IDs match no number");
        for bad in ["8086", "18086:1", "8086:a294:0604:01:1", "x:"] {
            assert!(Id::parse(bad).is_err(), "{bad}");
        }
    }
}
