//! Sentences that text and JSON share.

use crate::addr::Sbdf;
use crate::finding::count;
use crate::route::linux::{Dependency, Guess, Linux};
use crate::topology::{FunctionIndex, Topology};

/// What a group rests on, in one sentence.
#[must_use]
pub fn dependency(linux: &Linux<'_>, dependency: Dependency) -> String {
    let topology = linux.topology();
    match dependency {
        Dependency::Isolation(index, guess) => {
            let taken = if linux.isolation(index).isolates { "isolating" } else { "not isolating" };
            format!("{}: taken as {taken}: {}", address(topology, index), self::guess(linux, guess))
        }
        Dependency::BridgeType(index) => {
            let conventional = linux.view(index).port_type.is_none();
            let taken = if conventional { "a bridge to a conventional bus" } else { "a PCIe port" };
            format!("{}: taken as {taken}: its capabilities are not known", address(topology, index))
        }
        Dependency::BridgeAbove(bus) => match topology.bus(bus) {
            Some(bus) => format!("bridge above bus {}:{:02x} not in the dump", bus.segment, bus.number),
            None => String::from("bridge not in the dump"),
        },
        Dependency::Requester(segment) => {
            format!("segment {segment}: a driver made it; whose requester ID it uses is not in the dump")
        }
        Dependency::KernelSays(group) => {
            format!("the running kernel's group {group}: the dump does not hold what would tell without it")
        }
        Dependency::EnabledLate(index) => format!(
            "{}: taken as isolating when its siblings were grouped; kernels from 6.15 on enable its ACS only \
             then, unless firmware had",
            address(topology, index)
        ),
        Dependency::Aliases(index) => format!(
            "{}: uses other requester IDs, which are not in configuration space",
            address(topology, index)
        ),
    }
}

/// Why something had to be guessed.
#[must_use]
pub fn guess(linux: &Linux<'_>, guess: Guess) -> String {
    let entries = linux.database().entries();
    match guess {
        Guess::NoAnswer => String::from("its configuration space gave no answer"),
        Guess::TypeNotCaptured => String::from("its capability list is not in the dump"),
        Guess::AcsNotCaptured => String::from("its extended configuration space is not in the dump"),
        Guess::KernelReadsNoMore => {
            String::from("the kernel's file of it ends at 256 bytes, so the kernel sees no ACS")
        }
        Guess::AriNotCaptured => {
            String::from("whether ARI makes it one of several functions of a device is not in the dump")
        }
        Guess::BrokenList => {
            String::from("its capability list is broken, and the kernel finds nothing behind the break")
        }
        Guess::ControlAllOnes => String::from("its ACS Control register reads ffff"),
        Guess::Condition(entry) => match entries.get(entry) {
            Some(entry) => {
                let conditions: Vec<String> =
                    entry.conditions.iter().map(|condition| condition.kind.to_string()).collect();
                format!("database entry {} asks that {}", entry.name, conditions.join(" and that "))
            }
            None => String::from("a database entry has a condition"),
        },
        Guess::KernelVersion(entry) => match entries.get(entry) {
            Some(entry) => format!("kernels differ: database entry {}", entry.name),
            None => String::from("kernels differ"),
        },
    }
}

/// `31 groups`, with the number of those that are predicted.
#[must_use]
pub fn groups(total: usize, predicted: usize) -> String {
    let total = count(total, "group");
    match predicted {
        0 => format!("{total}, all certain"),
        n => format!("{total}, {n} of them predicted: see what each depends on"),
    }
}

fn address(topology: &Topology, index: FunctionIndex) -> Sbdf {
    topology.function(index).map(|function| function.address).unwrap_or_default()
}
