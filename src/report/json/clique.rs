//! `acsscan p2p --cliques` as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::route::GateDocument;
use crate::report::words::{self, address};
use crate::route::clique::{Cliques, Hindrance, NUMBERS, Pair, takes_number};
use crate::topology::{FunctionIndex, Topology};

/// `acsscan p2p --cliques`: functions that a guest may be told reach each other.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CliquesDocument {
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// Sets of two or more in which every pair works, largest first; no function is in two.
    pub cliques: Vec<CliqueDocument>,
    /// Functions that are in no set.
    pub alone: Vec<String>,
    /// Every pair, and what stands between it.
    pub pairs: Vec<CliquePairDocument>,
    /// Pairs that work but are in different sets, because others of the sets do not reach each other; which
    /// go together was then chosen step by step, and other sets may join more pairs.
    pub parted: Vec<[String; 2]>,
}

/// Functions that all reach each other.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CliqueDocument {
    /// The number for `x-nv-gpudirect-clique`, 0 to 15; absent where all are taken, or no member takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<usize>,
    /// The longest way of any pair: `translated` (turns below the root complex by ATS), `host-bridge`,
    /// `host-bridge-guessed` (AMD, taken to be Zen or later).
    pub way: &'static str,
    /// The functions.
    pub functions: Vec<CliqueMemberDocument>,
}

/// One function of a clique, and how a guest is given it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CliqueMemberDocument {
    /// Its address.
    pub function: String,
    /// Whether it takes a number: display controllers of NVIDIA do.
    pub takes_number: bool,
    /// Arguments of QEMU.
    pub qemu: String,
    /// Arguments of Cloud Hypervisor.
    pub cloud_hypervisor: String,
}

/// Two functions.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CliquePairDocument {
    /// The two, by address.
    pub functions: [String; 2],
    /// Whether it works, and how: `translated`, `host-bridge`, `host-bridge-guessed`; `no`, `not-known`.
    pub works: &'static str,
    /// What stands between them first; absent where it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<HindranceDocument>,
}

/// What stands between two functions, in one direction.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct HindranceDocument {
    /// The initiator.
    pub from: String,
    /// The target.
    pub to: String,
    /// Where, if at one function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Code of the reason: of a route, a host bridge, or `gate-` with the gate's word.
    pub reason: String,
    /// The reason in words.
    pub message: String,
    /// The gate, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateDocument>,
}

impl CliquesDocument {
    /// Describes cliques.
    #[must_use]
    pub fn new(topology: &Topology, found: &Cliques, mut assumptions: Vec<String>) -> Self {
        assumptions.push(String::from(
            "that a guest is given the functions behind an IOMMU, that its driver turns on their Bus Master and \
             Memory Space Enable, and that the IOMMU turns on ATS",
        ));
        let mut numbers = 0..NUMBERS;
        let cliques = found.sets.iter().map(|set| clique(topology, found, set, &mut numbers)).collect();
        let names = |(a, b): (FunctionIndex, FunctionIndex)| [address(topology, a), address(topology, b)];
        Self {
            assumptions,
            cliques,
            alone: found.alone.iter().map(|index| address(topology, *index)).collect(),
            pairs: found.pairs.iter().map(|pair| CliquePairDocument::new(topology, pair)).collect(),
            parted: found.parted.iter().map(|pair| names(*pair)).collect(),
        }
    }
}

fn clique(
    topology: &Topology,
    found: &Cliques,
    set: &[FunctionIndex],
    numbers: &mut impl Iterator<Item = usize>,
) -> CliqueDocument {
    let inside = |index| set.binary_search(&index).is_ok();
    let pairs = found.pairs.iter().filter(|pair| inside(pair.functions.0) && inside(pair.functions.1));
    let way = pairs.filter_map(|pair| pair.way.ok()).max();
    let takes = |index: &FunctionIndex| takes_number(topology, *index);
    // One that is told of nobody else needs no number.
    let number = if set.iter().filter(|index| takes(index)).count() > 1 { numbers.next() } else { None };
    let member = |index: &FunctionIndex| {
        let function = address(topology, *index);
        let property = |name: &str| match number.filter(|_| takes(index)) {
            Some(number) => format!(",{name}={number}"),
            None => String::new(),
        };
        CliqueMemberDocument {
            takes_number: takes(index),
            qemu: format!("-device vfio-pci,host={function}{}", property("x-nv-gpudirect-clique")),
            cloud_hypervisor: format!(
                "--device path=/sys/bus/pci/devices/{function}{}",
                property("x_nv_gpudirect_clique")
            ),
            function,
        }
    };
    CliqueDocument {
        number,
        way: way.map_or("no", |way| way.word()),
        functions: set.iter().map(member).collect(),
    }
}

impl CliquePairDocument {
    fn new(topology: &Topology, pair: &Pair) -> Self {
        let (a, b) = pair.functions;
        let functions = [address(topology, a), address(topology, b)];
        let hindered = match pair.way {
            Ok(way) => return Self { functions, works: way.word(), hindrance: None },
            Err(hindered) => hindered,
        };
        let (at, reason, message, gate) = match hindered.by {
            Hindrance::Route { class, disposition, reason, at } => {
                let message = format!("{}: {disposition}: {reason}", class.words());
                (at, reason.code().to_owned(), message, None)
            }
            Hindrance::Gate(gate) => {
                let message = words::shut(gate.kind, gate.open.is_some()).to_owned();
                let reason = format!("gate-{}", gate.kind.word());
                (Some(gate.function), reason, message, Some(GateDocument::new(topology, &gate)))
            }
            Hindrance::HostBridge(why) => {
                let message = format!("it has to go through the root complex: {}", words::host_bridge(why));
                (None, why.code().to_owned(), message, None)
            }
        };
        let hindrance = HindranceDocument {
            from: address(topology, hindered.from),
            to: address(topology, hindered.to),
            at: at.map(|at| address(topology, at)),
            reason,
            message,
            gate,
        };
        let works = if hindered.by.is_not_captured() { "not-known" } else { "no" };
        Self { functions, works, hindrance: Some(hindrance) }
    }
}
