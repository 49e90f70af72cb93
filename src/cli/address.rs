//! Functions that the user names.

use super::{Stop, verbs};
use crate::addr::Sbdf;
use crate::db::Slot;
use crate::topology::{FunctionIndex, Topology};

/// The functions of the dump with these names, sorted, each once.
pub(super) fn resolve(topology: &Topology, names: &[String]) -> Result<Vec<FunctionIndex>, Stop> {
    all(topology, names, not_an_address)
}

/// The same where a verb could have been meant.
pub(super) fn resolve_or_verb(topology: &Topology, names: &[String]) -> Result<Vec<FunctionIndex>, Stop> {
    all(topology, names, neither_verb_nor_address)
}

fn all(
    topology: &Topology,
    names: &[String],
    wrong: impl Fn(&str) -> String,
) -> Result<Vec<FunctionIndex>, Stop> {
    let found = names.iter().map(|name| find_or(topology, name, &wrong));
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// An address, or a place in the hierarchy such as `0000:00:1c.0/00.0/01.0`.
pub(super) fn find(topology: &Topology, name: &str) -> Result<FunctionIndex, Stop> {
    find_or(topology, name, not_an_address)
}

fn find_or(topology: &Topology, name: &str, wrong: impl Fn(&str) -> String) -> Result<FunctionIndex, Stop> {
    let found = match (name.parse::<Slot>(), name.parse::<Sbdf>()) {
        (Ok(slot), _) => topology.in_place(&slot),
        (Err(_), Ok(address)) => topology.index_of(address),
        (Err(_), Err(_)) => return Err(Stop::Usage(wrong(name))),
    };
    found.ok_or_else(|| {
        Stop::Input(format!("{name}: no such function in the dump; {}", instead(topology, name)))
    })
}

/// What could have been meant: the same function of another segment, or else where all are listed.
fn instead(topology: &Topology, name: &str) -> String {
    let meant = name.parse::<Sbdf>().ok();
    let mut like = topology.functions().iter().map(|function| function.address);
    if let Some(found) = like.find(|address| meant.is_some_and(|meant| meant.bdf == address.bdf)) {
        return format!("there is {found}, of another segment");
    }
    match topology.functions().first() {
        Some(function) => format!("show -t lists them, such as {}", function.address),
        None => String::from("show -t lists them"),
    }
}

fn not_an_address(name: &str) -> String {
    format!("{name}: not an address such as 0000:00:1f.2, nor a way down such as 0000:00:1c.0/00.0")
}

fn neither_verb_nor_address(name: &str) -> String {
    if std::path::Path::new(name).exists() {
        return format!("{name}: a file is named with --dump: acsscan --dump {name}");
    }
    let close = verbs().into_iter().find(|verb| {
        let shared = verb.chars().zip(name.chars()).filter(|(a, b)| a == b).count();
        shared >= 2 && verb.len().abs_diff(name.len()) <= 2
    });
    match close {
        Some(verb) => format!("{name}: neither a verb nor an address; did you mean {verb}?"),
        None => {
            format!("{name}: neither a verb ({}) nor an address such as 0000:00:1f.2", verbs().join(", "))
        }
    }
}
