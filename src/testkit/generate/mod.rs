//! Machines of any size for benchmarks: the same bytes for the same seed, legal by the specification
//! unless a set is meant to hurt.
//!
//! A machine is a list of [`Node`]s; [`Node::bytes`] makes the configuration space of one, which depends
//! on nothing but its address, its role and the seed, so that even the largest machine is written one
//! function at a time.

mod bytes;
mod hostile;
mod machine;
#[cfg(feature = "std")]
mod write;

#[cfg(feature = "std")]
pub use write::{Form, ecam, pages, text};

use alloc::vec::Vec;

use crate::addr::{Sbdf, Segment};
use crate::config::SIZE;

/// How large a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 1,024 functions in one segment.
    S,
    /// 10,240 functions in five segments.
    M,
    /// 65,536 functions in 32 segments.
    L,
    /// 65,536 functions in one segment: every routing ID, 255 root ports with 256 functions each.
    Xl,
}

impl Size {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::S, Self::M, Self::L, Self::Xl];

    /// The name on command lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::M => "M",
            Self::L => "L",
            Self::Xl => "XL",
        }
    }

    /// How many functions, in how many segments.
    #[must_use]
    pub const fn functions(self) -> (usize, u32) {
        match self {
            Self::S => (1024, 1),
            Self::M => (10_240, 5),
            Self::L => (65_536, 32),
            Self::Xl => (65_536, 1),
        }
    }
}

/// What a machine is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// As machines are.
    Regular,
    /// Chains of 255 bridges.
    Chain,
    /// 48 standard and 960 extended capabilities in each function.
    Crowded,
    /// Capability lists that lead back into themselves.
    Loops,
    /// Bus ranges that overlap, are zero, or are reversed.
    Buses,
    /// 64 bytes of each function.
    Short,
    /// A thousand segments.
    Segments,
    /// Unsorted, and one in eight addresses twice.
    Shuffled,
}

impl Set {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Regular,
        Self::Chain,
        Self::Crowded,
        Self::Loops,
        Self::Buses,
        Self::Short,
        Self::Segments,
        Self::Shuffled,
    ];

    /// The name on command lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Chain => "chain",
            Self::Crowded => "crowded",
            Self::Loops => "loops",
            Self::Buses => "buses",
            Self::Short => "short",
            Self::Segments => "segments",
            Self::Shuffled => "shuffled",
        }
    }
}

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The host bridge, a conventional function.
    HostBridge,
    /// A port or bridge, to these buses.
    Port(Port),
    /// A physical function without virtual ones.
    Endpoint,
    /// A physical function with this many virtual ones.
    Physical {
        /// First VF Offset.
        first: u16,
        /// VF Stride.
        stride: u16,
        /// NumVFs.
        count: u16,
    },
    /// A virtual function.
    Virtual,
}

/// A port of a root complex or a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Device/Port Type.
    pub port_type: u8,
    /// Port Number.
    pub number: u8,
    /// Secondary Bus Number.
    pub secondary: u8,
    /// Subordinate Bus Number.
    pub subordinate: u8,
    /// ARI Forwarding Enable.
    pub ari: bool,
}

/// How a function's bytes hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Not at all.
    None,
    /// See [`Set::Crowded`].
    Crowded,
    /// See [`Set::Loops`].
    Loop,
    /// See [`Set::Short`].
    Short,
    /// Other bytes than the same address had before.
    Other,
}

/// One function of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it is.
    pub address: Sbdf,
    /// What it is.
    pub role: Role,
    /// Whether several functions share its device.
    pub shared_device: bool,
    /// How it hurts.
    pub harm: Harm,
}

impl Node {
    fn new(address: Sbdf, role: Role, shared_device: bool) -> Self {
        Self { address, role, shared_device, harm: Harm::None }
    }

    /// Makes the function's configuration space; the part of `space` that a dump has.
    pub fn bytes<'s>(&self, seed: u64, space: &'s mut [u8; SIZE as usize]) -> &'s [u8] {
        bytes::make(self, seed, space)
    }
}

/// The functions of a machine, in the order in which a dump has them.
#[must_use]
pub fn machine(set: Set, size: Size, seed: u64) -> Vec<Node> {
    match set {
        Set::Regular => machine::regular(size, seed),
        _ => hostile::machine(set, size, seed),
    }
}

/// An address; `devfn` is the function number where ARI is in use.
fn at(segment: u32, bus: u8, devfn: u8) -> Sbdf {
    let bdf = crate::addr::Bdf::from_bits(u16::from(bus) << 8 | u16::from(devfn));
    Sbdf { segment: Segment(segment), bdf }
}

/// `SplitMix64`: short, and good enough to shuffle. Source: Steele, Lea, Flood, "Fast Splittable
/// Pseudorandom Number Generators", OOPSLA 2014.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that depend on both.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// In this many of a hundred cases.
    fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::Presence;
    use crate::cap::list::{capabilities, extended_capabilities};
    use crate::config::ConfigSpace;
    use crate::function::{Attributes, Inventory, Record, Sink};
    use crate::topology::{Kind, Topology};

    fn topology(set: Set, size: Size) -> Topology {
        let mut inventory = Inventory::new();
        let mut space = [0; SIZE as usize];
        for node in machine(set, size, 1) {
            let config = &ConfigSpace::new(node.bytes(1, &mut space));
            inventory.record(Record { address: node.address, config, attributes: Attributes::default() });
        }
        Topology::new(inventory.finish())
    }

    #[test]
    fn regular_machines_are_legal_and_as_large_as_they_should_be() {
        for size in Size::ALL {
            let topology = topology(Set::Regular, size);
            let functions = topology.functions();
            let (count, segments) = size.functions();
            assert_eq!(functions.len(), count);
            assert_eq!(functions.last().map(|f| f.address.segment), Some(Segment(segments - 1)));
            assert!(topology.bus_defects().is_empty(), "{size:?}: {:?}", topology.bus_defects());
            assert!(topology.hidden_bridges().is_empty(), "{size:?}: {:?}", topology.hidden_bridges());
            assert!(topology.missing_vfs().is_empty(), "{size:?}");
            let (mut acs, mut virtuals) = (0, 0);
            for (index, function) in functions.iter().enumerate() {
                assert!(function.is_complete(), "{}", function.address);
                let anomalies = topology.inventory().extras(index).map_or(0, |e| e.anomalies().count());
                assert_eq!(anomalies, 0, "{}", function.address);
                assert_ne!(topology.kind(index), Kind::VirtualOfUnknown, "{}", function.address);
                acs += usize::from(matches!(function.acs, Presence::Present(_)));
                virtuals += usize::from(topology.kind(index).is_virtual());
            }
            assert!((80..90).contains(&(acs * 100 / count)), "{size:?}: {acs} of {count}");
            assert!(virtuals * 3 > count, "{size:?}: {virtuals} of {count}");
        }
    }

    #[test]
    fn every_function_but_host_bridges_has_eight_capabilities_of_each_kind() {
        let mut space = [0; SIZE as usize];
        for node in machine(Set::Regular, Size::S, 7) {
            let config = ConfigSpace::new(node.bytes(7, &mut space));
            if node.role != Role::HostBridge {
                let (standard, extended) = (capabilities(&config), extended_capabilities(&config));
                assert!(standard.clone().all(|entry| entry.is_ok()) && standard.count() == 8);
                assert!(extended.clone().all(|entry| entry.is_ok()) && extended.count() == 8);
            }
        }
    }

    #[test]
    fn hostile_machines_hurt_as_they_say() {
        for set in Set::ALL {
            let topology = topology(set, Size::S);
            let functions = topology.functions();
            let anomalies: usize =
                topology.inventory().all_extras().map(|(_, extras)| extras.anomalies().count()).sum();
            match set {
                Set::Regular => assert_eq!(anomalies, 0),
                Set::Chain => assert!(functions.iter().filter(|f| f.is_bridge()).count() >= 4 * 255),
                Set::Crowded => {
                    let node = machine(set, Size::S, 1)[9];
                    let mut space = [0; SIZE as usize];
                    let config = ConfigSpace::new(node.bytes(1, &mut space));
                    assert_eq!(capabilities(&config).count(), 48);
                    assert_eq!(extended_capabilities(&config).count(), 960);
                }
                Set::Loops => assert!(anomalies > functions.len()),
                Set::Buses => assert!(!topology.bus_defects().is_empty() && anomalies > 0),
                Set::Short => assert!(functions.iter().all(|f| f.captured == 64)),
                Set::Segments => assert!(functions.last().map(|f| f.address.segment) >= Some(Segment(900))),
                Set::Shuffled => assert!(topology.inventory().repeats().count() > functions.len() / 10),
            }
        }
    }
}
