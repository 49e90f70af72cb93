//! Functions that a guest may take to reach each other: cliques for GPUDirect.
//!
//! A guest's driver cannot see the host's hierarchy. QEMU and Cloud Hypervisor tell NVIDIA's by a number
//! from 0 to 15 on each GPU: those with the same number reach each other, every one every other.
//!
//! Whether they do is another question than isolation. What a guest's device sends carries the guest's
//! addresses, so that a switch which compares them with its own windows does not know the peer: the
//! IOMMU has to translate first. Two ways are left. With ATS the device asks the IOMMU beforehand, and
//! translated requests may turn in a switch; otherwise they go up, through the IOMMU, and the root complex
//! has to send them down again, which the kernel takes some host bridges to do.
//!
//! Sources: QEMU, hw/vfio/pci-quirks.c, "NVIDIA GPUDirect P2P Vendor capability" (display controllers of
//! NVIDIA only), property `x-nv-gpudirect-clique`; Cloud Hypervisor, `--device`, `x_nv_gpudirect_clique`;
//! Linux 7.2.13, drivers/pci/p2pdma.c, `host_bridge_whitelist`; PCIe Base 6.x, §10.1 "ATS Architectural
//! Overview", §6.12.3 "ACS Peer-to-Peer Control Interactions".

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::fabric::{Fabric, NONE};
use super::matrix::Label;
use super::p2pdma::{self, MapType, Why};
use super::port::TlpClass;
use super::trace::{Gate, GateKind};
use super::{Assumptions, Disposition, Reason};
use crate::anomaly::Presence;
use crate::topology::{FunctionIndex, Topology};

/// Most functions that cliques are looked for among: each is asked about each.
pub const MAX_FUNCTIONS: usize = 256;
/// How many numbers there are for cliques.
pub const NUMBERS: usize = 16;

/// How a guest's traffic gets from one function to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Way {
    /// Translated requests turn below the root complex.
    Translated,
    /// Through the root complex, whose host bridge the kernel lists.
    HostBridge,
    /// Through a root complex of AMD, taken to be of family 17h or later.
    HostBridgeGuessed,
}

impl Way {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Translated => "translated",
            Self::HostBridge => "host-bridge",
            Self::HostBridgeGuessed => "host-bridge-guessed",
        }
    }
}

/// What keeps a pair from being told that they reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hindrance {
    /// A transaction ends on the way, or the dump does not tell.
    Route {
        /// Its class.
        class: TlpClass,
        /// What becomes of it.
        disposition: Disposition,
        /// Why.
        reason: Reason,
        /// Where, if at one function.
        at: Option<FunctionIndex>,
    },
    /// Something is shut on the way, or the dump does not tell.
    Gate(Gate),
    /// It goes up to the root complex, which is not known to send it down again.
    HostBridge(Why),
}

impl Hindrance {
    /// Whether the dump lacks what would tell.
    #[must_use]
    pub const fn is_not_captured(self) -> bool {
        match self {
            Self::Route { disposition: Disposition::Undetermined, reason, .. } => reason.is_not_captured(),
            Self::Gate(Gate { open: None, .. }) | Self::HostBridge(Why::HostBridgeNotFound) => true,
            Self::Route { .. } | Self::Gate(_) | Self::HostBridge(_) => false,
        }
    }
}

/// What stands between two functions, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hindered {
    /// The initiator.
    pub from: FunctionIndex,
    /// The target.
    pub to: FunctionIndex,
    /// What.
    pub by: Hindrance,
}

/// Two functions, and whether a guest may be told that they reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pair {
    /// The two, by address.
    pub functions: (FunctionIndex, FunctionIndex),
    /// The longer of both ways, or what stands between them first.
    pub way: Result<Way, Hindered>,
}

/// Functions sorted into cliques.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cliques {
    /// Sets of two or more, in which every pair works; no function is in two. Largest first.
    pub sets: Vec<Vec<FunctionIndex>>,
    /// Functions that are in none.
    pub alone: Vec<FunctionIndex>,
    /// Every pair.
    pub pairs: Vec<Pair>,
    /// Pairs that work, but are in different sets: their functions reach others that do not reach each
    /// other. Which then go together was chosen step by step, and other choices may join more.
    pub parted: Vec<(FunctionIndex, FunctionIndex)>,
}

/// Whether a function takes the number of a clique: QEMU refuses it for others.
#[must_use]
pub fn takes_number(topology: &Topology, index: FunctionIndex) -> bool {
    const NVIDIA: u16 = 0x10de;
    topology.vendor(index) == Some(NVIDIA)
        && topology.function(index).is_some_and(|f| Label::of(f.class) == Label::Gpu)
}

/// There are too many functions to ask each about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooMany {
    /// How many there are.
    pub functions: usize,
}

/// Sorts functions into cliques, each of which works for a guest that is given all of it.
///
/// Bus Master Enable and Memory Space Enable of the functions themselves do not count, as the guest's
/// driver turns them on; those of bridges, windows and BARs do.
///
/// # Errors
///
/// More than [`MAX_FUNCTIONS`].
pub fn cliques(
    fabric: &Fabric<'_>,
    functions: &[FunctionIndex],
    assumptions: &Assumptions,
) -> Result<Cliques, TooMany> {
    if functions.len() > MAX_FUNCTIONS {
        return Err(TooMany { functions: functions.len() });
    }
    let mut pairs = Vec::new();
    for (n, a) in functions.iter().enumerate() {
        for b in functions.iter().skip(n.saturating_add(1)) {
            let forth = way(fabric, *a, *b, assumptions);
            let way = forth.and_then(|forth| Ok(forth.max(way(fabric, *b, *a, assumptions)?)));
            pairs.push(Pair { functions: (*a, *b), way });
        }
    }
    Ok(sorted(functions, pairs))
}

/// The sets that pairs come to.
fn sorted(functions: &[FunctionIndex], pairs: Vec<Pair>) -> Cliques {
    let mut peers: BTreeMap<FunctionIndex, Vec<FunctionIndex>> =
        functions.iter().map(|function| (*function, Vec::new())).collect();
    for Pair { functions: (a, b), .. } in pairs.iter().filter(|pair| pair.way.is_ok()) {
        peers.entry(*a).or_default().push(*b);
        peers.entry(*b).or_default().push(*a);
    }
    peers.values_mut().for_each(|peers| peers.sort_unstable());
    let mut found = Cliques { pairs, ..Cliques::default() };
    // Whoever has the most peers left begins, and takes of them whoever goes with all that were taken.
    loop {
        let left: Vec<FunctionIndex> = peers.keys().copied().collect();
        let Some(first) = most_peers(&peers, &left) else { break };
        let mut set = alloc::vec![first];
        let mut open = peers.get(&first).cloned().unwrap_or_default();
        while let Some(next) = most_peers(&peers, &open) {
            set.push(next);
            let of_next = peers.get(&next).map(Vec::as_slice).unwrap_or_default();
            open.retain(|other| of_next.binary_search(other).is_ok());
        }
        set.sort_unstable();
        for gone in &set {
            peers.remove(gone);
        }
        peers.values_mut().for_each(|peers| peers.retain(|peer| set.binary_search(peer).is_err()));
        match set.as_slice() {
            [one] => found.alone.push(*one),
            _ => found.sets.push(set),
        }
    }
    found.alone.sort_unstable();
    found.sets.sort_by_key(|set| (core::cmp::Reverse(set.len()), set.first().copied()));
    let mut set_of: BTreeMap<FunctionIndex, usize> = BTreeMap::new();
    for (number, set) in found.sets.iter().enumerate() {
        set_of.extend(set.iter().map(|function| (*function, number)));
    }
    let is_parted = |pair: &&Pair| {
        let (a, b) = pair.functions;
        let together = set_of.get(&a).is_some_and(|set| set_of.get(&b) == Some(set));
        pair.way.is_ok() && !together
    };
    found.parted = found.pairs.iter().filter(is_parted).map(|pair| pair.functions).collect();
    found
}

/// Of these the one with the most peers among these, of several the one with the fewest elsewhere.
fn most_peers(
    peers: &BTreeMap<FunctionIndex, Vec<FunctionIndex>>,
    of: &[FunctionIndex],
) -> Option<FunctionIndex> {
    let rank = |function: &FunctionIndex| {
        let all = peers.get(function).map(Vec::as_slice).unwrap_or_default();
        let inside = all.iter().filter(|peer| of.binary_search(peer).is_ok()).count();
        (core::cmp::Reverse(inside), all.len(), *function)
    };
    of.iter().min_by_key(|function| rank(function)).copied()
}

/// How a guest's traffic gets there.
fn way(
    fabric: &Fabric<'_>,
    from: FunctionIndex,
    to: FunctionIndex,
    assumptions: &Assumptions,
) -> Result<Way, Hindered> {
    // The functions' own enables are the guest's: they are taken as on.
    let assumed = Assumptions { hostile: true, ..*assumptions };
    let hindered = |by| Hindered { from, to, by };
    let topology = fabric.topology();
    let has_ats = |index| topology.function(index).is_some_and(|f| matches!(f.ats, Presence::Present(_)));
    let is_direct = |from, to, class| fabric.disposition(from, to, class, &assumed).0 == Disposition::Direct;
    let translated = has_ats(from)
        && is_direct(from, to, TlpClass::MemoryTranslated)
        && is_direct(to, from, TlpClass::Completion);
    if translated {
        let route = fabric.trace(from, to, TlpClass::MemoryTranslated, &assumed);
        return shut(fabric, &route.gates).map_or(Ok(Way::Translated), |gate| Err(hindered(gate)));
    }
    for (s, t, class) in [(from, to, TlpClass::MemoryUntranslated), (to, from, TlpClass::Completion)] {
        let (disposition, reason) = fabric.disposition(s, t, class, &assumed);
        let goes_up = match disposition {
            Disposition::Direct | Disposition::Redirected => true,
            Disposition::Undetermined => {
                matches!(reason, Reason::RootComplex | Reason::OtherHostBridge | Reason::RootAcsNotKnown)
            }
            // On a conventional bus the bridge above completes.
            Disposition::Blocked => class.is_completion() && reason == Reason::ClassNotEmitted,
        };
        if !goes_up {
            let at = fabric.trace(s, t, class, &assumed).decisive().map(|hop| hop.function);
            return Err(hindered(Hindrance::Route { class, disposition, reason, at }));
        }
    }
    let gates = fabric.gates(from, to, TlpClass::MemoryUntranslated, NONE);
    if let Some(gate) = shut(fabric, &gates) {
        return Err(hindered(gate));
    }
    match p2pdma::through_host_bridge(topology, fabric.database(), to, from) {
        (MapType::ThroughHostBridge, Why::AmdZenGuessed) => Ok(Way::HostBridgeGuessed),
        (MapType::ThroughHostBridge, _) => Ok(Way::HostBridge),
        (_, why) => Err(hindered(Hindrance::HostBridge(why))),
    }
}

/// The first gate that is not open and that a guest does not open, shut ones before those not known.
fn shut(fabric: &Fabric<'_>, gates: &[Gate]) -> Option<Hindrance> {
    let counts = |gate: &&Gate| match gate.kind {
        GateKind::InitiatorBusMaster => false,
        GateKind::Decode => fabric.topology().kind(gate.function).is_virtual(),
        GateKind::BusMaster | GateKind::Bar | GateKind::Window => true,
    };
    let not_open = gates.iter().filter(counts).filter(|gate| gate.open != Some(true));
    not_open.min_by_key(|gate| gate.open.is_none()).map(|gate| Hindrance::Gate(*gate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn sort(count: usize, works: &[(usize, usize)]) -> Cliques {
        let functions: Vec<FunctionIndex> = (0..count).collect();
        let by = Hindrance::HostBridge(Why::NotListed);
        let pair = |a: usize, b: usize| Pair {
            functions: (a, b),
            way: if works.contains(&(a, b)) {
                Ok(Way::HostBridge)
            } else {
                Err(Hindered { from: a, to: b, by })
            },
        };
        let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
        sorted(&functions, pairs.map(|(a, b)| pair(a, b)).collect())
    }

    #[test]
    fn whoever_all_reach_each_other_are_one_set_and_nobody_is_in_two() {
        let found = sort(6, &[(0, 1), (2, 3), (2, 4), (3, 4)]);
        assert_eq!(found.sets, [vec![2, 3, 4], vec![0, 1]]);
        assert_eq!(found.alone, [5]);
        assert!(found.parted.is_empty());
    }

    #[test]
    fn where_reaching_is_not_transitive_each_set_still_works_and_parted_pairs_are_told() {
        let found = sort(4, &[(0, 1), (1, 2), (2, 3)]);
        assert_eq!(found.sets, [vec![0, 1], vec![2, 3]]);
        assert_eq!(found.parted, [(1, 2)]);
        for (count, works) in [(5, vec![(0, 1), (0, 2), (0, 3), (0, 4), (3, 4)]), (3, vec![])] {
            let found = sort(count, &works);
            let inside = |a: &usize, b: &usize| works.contains(&(*a, *b));
            for set in &found.sets {
                assert!(set.iter().enumerate().all(|(n, a)| set[n + 1..].iter().all(|b| inside(a, b))));
            }
        }
    }
}
