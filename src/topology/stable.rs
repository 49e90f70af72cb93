//! The canonical form of a topology: what two machines of one kind have in common.
//!
//! One [`Entry`] a function, in the order of the ways down from the roots. It has the structure, the IDs
//! and what isolation rests on (ACS, ARI, ATS, SR-IOV), and neither bus numbers nor addresses of memory
//! nor serial numbers: machines whose firmware numbered the buses otherwise have the same form. The text
//! of all entries behind [`VERSION`], each on a line, is what a fingerprint is made of.
//!
//! | field | values |
//! |---|---|
//! | path | `DDDD:#N:dd.f/dd.f…`: segment, number of the root bus among those of the segment in order, then device and function at each step down; `?N` in place of `#N` below bus N of those that no bridge leads to; `+N` at the end for what is N routing IDs further than a physical function, as its virtual functions are |
//! | `ids`, `subsystem` | `vvvv:dddd`, `none`, or `unknown` |
//! | `class`, `revision` | hexadecimal digits, or `unknown` |
//! | `type` | Device/Port Type, `conventional`, or `unknown` |
//! | `multifunction` | `yes`, `no` |
//! | `buses` | of a bridge `configured`, `unconfigured`, or what is wrong with its bus numbers: `reversed`, `not-below`, `overlaps:PATH`, `repeats:PATH`, `escapes`, joined by `+`; `none` of others, or `unknown` |
//! | `acs-capability`, `acs-control` | the registers in hexadecimal, `absent`, or `not-captured` |
//! | `acs-vector` | the double word at +08h in hexadecimal, where it is a register: with P2P Egress Control, or with ACS Control all zero, as devices with 32-bit registers have it, where it is their control; `unused` elsewhere |
//! | `ari`, `ari-forwarding` | `present`, `absent`, `not-captured`; `on`, `off`, `unknown` |
//! | `ats` | `on`, `off`, `absent`, `not-captured` |
//! | `vfs` | `ENABLED/TOTAL vvvv:dddd`, `absent`, `not-captured`; virtual functions are no entries of their own, if their physical function is known |
//! | `captured` | `whole`, `part` |

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::way::{self, ORPHAN, VIRTUAL, Way};
use super::{BusDefect, FunctionIndex, Kind, Topology};
use crate::anomaly::Presence;
use crate::function::Function;

/// First line of the canonical text.
pub const VERSION: &str = "acsscan-topology/2";

/// One function in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its way down from the root.
    pub path: String,
    /// Names and values, in the order of the table above.
    pub fields: Vec<(&'static str, String)>,
}

impl Entry {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// The canonical form: entries with the functions that they are of, sorted by their ways.
#[must_use]
pub fn canonical(topology: &Topology) -> Vec<(FunctionIndex, Entry)> {
    let mut ways: Vec<(Way, FunctionIndex)> =
        ways(topology).into_iter().enumerate().map(|(index, way)| (way, index)).collect();
    ways.retain(|(_, index)| !matches!(topology.kind(*index), Kind::Virtual(_)));
    ways.sort_unstable();
    let mut wrong = wrong_buses(topology);
    let entry = |(way, index): (Way, FunctionIndex)| {
        let wrong = wrong.remove(&index).unwrap_or_default();
        (index, Entry { path: path(&way), fields: fields(topology, index, &wrong) })
    };
    ways.into_iter().map(entry).collect()
}

/// The canonical path of each function; of a virtual one that of its physical function.
#[must_use]
pub fn paths(topology: &Topology) -> Vec<String> {
    let ways = ways(topology);
    let way = |index: FunctionIndex| match topology.kind(index) {
        Kind::Virtual(physical) => ways.get(physical),
        _ => ways.get(index),
    };
    (0..ways.len()).map(|index| way(index).map(|way| path(way)).unwrap_or_default()).collect()
}

/// Ways on which buses that no bridge leads to are called by their turn.
fn ways(topology: &Topology) -> Vec<Way> {
    let starts = way::starts(topology);
    let names = starts.values().flat_map(|buses| buses.iter().copied().zip(0_u32..)).collect();
    way::ways(topology, &names)
}

fn path(way: &[u32]) -> String {
    let [segment, root, steps @ ..] = way else { return String::new() };
    let (mark, number) = if root & ORPHAN == 0 { ('#', *root) } else { ('?', root & !ORPHAN) };
    let step = |at: &u32| match at & VIRTUAL {
        0 => format!("{:02x}.{:x}", at >> 3, at & 7),
        _ => format!("+{:x}", at & !VIRTUAL),
    };
    let steps: Vec<String> = steps.iter().map(step).collect();
    format!("{segment:04x}:{mark}{number}:{}", steps.join("/"))
}

/// Whether a value of a field stands for what was not captured.
#[must_use]
pub fn is_unknown(value: &str) -> bool {
    matches!(value, "unknown" | "not-captured" | "part")
}

/// What is wrong with the bus numbers of bridges, without the numbers.
fn wrong_buses(topology: &Topology) -> BTreeMap<FunctionIndex, Vec<String>> {
    let defects = topology.bus_defects();
    let mut wrong: BTreeMap<FunctionIndex, Vec<String>> = BTreeMap::new();
    if defects.is_empty() {
        return wrong;
    }
    let paths = paths(topology);
    let mut note = |at: FunctionIndex, word: &str, with: Option<FunctionIndex>| {
        let with = with.and_then(|with| paths.get(with)).map(|path| format!(":{path}")).unwrap_or_default();
        wrong.entry(at).or_default().push(format!("{word}{with}"));
    };
    for defect in defects {
        match *defect {
            BusDefect::Repeated(first, second) => note(second, "repeats", Some(first)),
            BusDefect::Overlap(first, second) => note(second, "overlaps", Some(first)),
            BusDefect::Escapes(_, inner) => note(inner, "escapes", None),
            // Its functions are in a place of their own.
            BusDefect::Orphan(_) => {}
        }
    }
    wrong
}

/// The bus numbers of a function, without the numbers.
fn buses(function: &Function, wrong: &[String]) -> String {
    let Some(range) = function.bus_range() else {
        let has_none = function.answers && !function.is_bridge();
        return String::from(if has_none { "none" } else { "unknown" });
    };
    if range.secondary == 0 && range.subordinate == 0 {
        return String::from("unconfigured");
    }
    let own = [
        range.is_reversed().then_some("reversed"),
        (range.secondary <= function.address.bus()).then_some("not-below"),
    ];
    let own = own.into_iter().flatten().map(String::from);
    let words: Vec<String> = own.chain(wrong.iter().cloned()).collect();
    if words.is_empty() { String::from("configured") } else { words.join("+") }
}

fn fields(topology: &Topology, index: FunctionIndex, wrong: &[String]) -> Vec<(&'static str, String)> {
    let Some(function) = topology.function(index) else { return Vec::new() };
    let unknown = || String::from("unknown");
    let ids = |ids: (u16, u16)| format!("{:04x}:{:04x}", ids.0, ids.1);
    let if_answers = |text: String| if function.answers { text } else { unknown() };
    let port_type = match function.pcie {
        Presence::Present(pcie) => pcie.port_type().word().to_string(),
        Presence::Absent => String::from("conventional"),
        Presence::NotCaptured => unknown(),
    };
    let missing = |presence: &Presence<()>| presence.word().to_string();
    let acs = |value: &dyn Fn(crate::cap::acs::Acs) -> String| match function.acs {
        Presence::Present(acs) => value(acs),
        other => missing(&other.map(|_| ())),
    };
    let forwarding = function.pcie.present().and_then(|pcie| {
        let supported = pcie.ari_forwarding_supported();
        if supported == Some(false) { Some(false) } else { pcie.ari_forwarding_enabled() }
    });
    let ats = match function.ats {
        Presence::Present(ats) => String::from(if ats.enabled() { "on" } else { "off" }),
        other => missing(&other.map(|_| ())),
    };
    let vfs = match topology.sriov(index) {
        Presence::Present(sriov) => {
            let vf = ids((function.vendor_id, sriov.vf_device_id));
            format!("{}/{} {vf}", sriov.enabled_vfs(), sriov.total_vfs)
        }
        other => missing(&other.map(|_| ())),
    };
    let attributes = topology.inventory().attributes(index);
    let has_class = function.answers && !attributes.is_some_and(|known| known.class_unknown);
    let subsystem = match function.subsystem_presence() {
        Presence::Present(pair) => ids(pair),
        Presence::Absent => String::from("none"),
        Presence::NotCaptured => unknown(),
    };
    vec![
        ("ids", topology.ids(index).map_or_else(unknown, ids)),
        ("subsystem", subsystem),
        (
            "class",
            match has_class {
                true => format!("{:04x}{:02x}", function.class.class(), function.class.interface),
                false => unknown(),
            },
        ),
        ("revision", if_answers(format!("{:02x}", function.revision))),
        ("type", port_type),
        ("multifunction", String::from(if function.header_type.multi_function() { "yes" } else { "no" })),
        ("buses", buses(function, wrong)),
        ("acs-capability", acs(&|acs| format!("{:#06x}", acs.capability.bits()))),
        ("acs-control", acs(&|acs| format!("{:#06x}", acs.control.bits()))),
        (
            "acs-vector",
            acs(&|acs| match acs.capability.vector_bits() > 0 || acs.control.is_empty() {
                true => function.acs_dword_8().map_or_else(unknown, |vector| format!("{vector:#010x}")),
                false => String::from("unused"),
            }),
        ),
        ("ari", missing(&function.ari.map(|_| ()))),
        ("ari-forwarding", String::from(forwarding.map_or("unknown", |on| if on { "on" } else { "off" }))),
        ("ats", ats),
        ("vfs", vfs),
        ("captured", String::from(if function.is_complete() { "whole" } else { "part" })),
    ]
}

/// How one function of a machine differs from the function in the same place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The place is empty in the other machine.
    Added(Entry),
    /// The place is empty in this machine.
    Removed(Entry),
    /// Fields differ: name, value in the other machine, value in this one.
    Changed {
        /// The place.
        path: String,
        /// The fields that differ.
        fields: Vec<(&'static str, String, String)>,
    },
}

/// What `this` has otherwise than `other`, by path.
#[must_use]
pub fn differences(other: &[Entry], this: &[Entry]) -> Vec<Difference> {
    let mut places: BTreeMap<&str, (Option<&Entry>, Option<&Entry>)> = BTreeMap::new();
    for entry in other {
        places.entry(&entry.path).or_default().0 = Some(entry);
    }
    for entry in this {
        places.entry(&entry.path).or_default().1 = Some(entry);
    }
    let difference = |(path, pair): (&str, (Option<&Entry>, Option<&Entry>))| match pair {
        (None, Some(entry)) => Some(Difference::Added(entry.clone())),
        (Some(entry), None) => Some(Difference::Removed(entry.clone())),
        (Some(was), Some(is)) if was != is => {
            let fields = was.fields.iter().zip(&is.fields).filter(|(was, is)| was != is);
            let fields = fields.map(|((name, was), (_, is))| (*name, was.clone(), is.clone())).collect();
            Some(Difference::Changed { path: path.to_string(), fields })
        }
        _ => None,
    };
    places.into_iter().filter_map(difference).collect()
}

#[cfg(all(test, feature = "testkit"))]
mod tests {
    use super::*;
    use crate::testkit::{Config, Machine};

    fn machine() -> Machine {
        Machine::new()
            .with("0000:00:1c.0", Config::root_port(1, 3).acs(0x1f, 0x1d, 0))
            .with("0000:01:00.0", Config::upstream(2, 3))
            .with("0000:02:00.0", Config::downstream(0, 3, 3).acs(0x1f, 0x1d, 0))
            .with("0000:03:00.0", Config::endpoint().ids(0x10de, 0x2684))
    }

    fn form(machine: &Machine) -> Vec<Entry> {
        canonical(&machine.topology()).into_iter().map(|(_, entry)| entry).collect()
    }

    #[test]
    fn a_machine_with_other_bus_numbers_has_the_same_form() {
        let renumbered = machine().renumbered(|bus| if bus == 0 { 0 } else { bus + 16 });
        assert_ne!(renumbered.topology().functions()[1].address, machine().topology().functions()[1].address);
        assert_eq!(form(&renumbered), form(&machine()));
        assert_eq!(form(&machine())[3].path, "0000:#0:1c.0/00.0/00.0/00.0");
        assert!(differences(&form(&machine()), &form(&renumbered)).is_empty());
    }

    #[test]
    fn wrong_bus_numbers_are_part_of_the_form_and_the_numbers_are_not() {
        let buses = |machine: &Machine, at: usize| form(machine)[at].get("buses").map(String::from);
        let two = |first: (u8, u8), second: (u8, u8)| {
            Machine::new()
                .with("0000:00:1c.0", Config::root_port(first.0, first.1))
                .with("0000:00:1d.0", Config::root_port(second.0, second.1))
        };
        let good = two((1, 3), (4, 6));
        assert_eq!(buses(&good, 1).as_deref(), Some("configured"));
        assert_eq!(form(&good), form(&two((1, 1), (5, 9))), "numbers alone");
        for (wrong, word) in [
            (two((1, 5), (4, 6)), "overlaps:0000:#0:1c.0"),
            (two((1, 3), (1, 6)), "repeats:0000:#0:1c.0"),
            (two((1, 3), (6, 4)), "reversed"),
            (two((1, 3), (0, 0)), "unconfigured"),
        ] {
            assert_eq!(buses(&wrong, 1).as_deref(), Some(word));
            assert_ne!(form(&wrong), form(&good), "{word}");
            let renumbered = wrong.renumbered(|bus| if bus == 0 { 0 } else { bus + 16 });
            assert_eq!(form(&renumbered), form(&wrong), "{word}");
        }
        let nested = Machine::new()
            .with("0000:00:1c.0", Config::root_port(1, 3))
            .with("0000:01:00.0", Config::upstream(2, 9));
        assert_eq!(buses(&nested, 1).as_deref(), Some("escapes"));
    }

    #[test]
    fn what_stands_behind_acs_counts_only_where_it_is_a_register() {
        let vector = |capability, control| {
            let port = Config::root_port(1, 3).acs(capability, control, 0xdead_beef);
            form(&Machine::new().with("0000:00:1c.0", port))[0].get("acs-vector").map(String::from)
        };
        assert_eq!(vector(0x1f, 0x1d).as_deref(), Some("unused"));
        assert_eq!(vector(0x083f, 0x1d).as_deref(), Some("0xdeadbeef"), "Egress Control");
        assert_eq!(vector(0x1f, 0).as_deref(), Some("0xdeadbeef"), "32-bit registers");
    }

    #[test]
    fn what_differs_is_named_by_place_and_field() {
        let other = Machine::new()
            .with("0000:00:1c.0", Config::root_port(1, 3).acs(0x1f, 0x19, 0))
            .with("0000:01:00.0", Config::upstream(2, 3))
            .with("0000:02:00.0", Config::downstream(0, 3, 3).acs(0x1f, 0x1d, 0))
            .with("0000:02:01.0", Config::downstream(1, 4, 4));
        let found = differences(&form(&machine()), &form(&other));
        let control = [("acs-control", String::from("0x001d"), String::from("0x0019"))];
        let [Difference::Changed { path, fields }, Difference::Removed(gone), Difference::Added(new)] =
            found.as_slice()
        else {
            panic!("{found:?}")
        };
        assert_eq!((path.as_str(), fields.as_slice()), ("0000:#0:1c.0", control.as_slice()));
        assert_eq!(gone.get("ids"), Some("10de:2684"));
        assert_eq!(new.path, "0000:#0:1c.0/00.0/01.0");
    }
}
