//! Functions that the user names.

use super::{Stop, verbs};
use crate::addr::{Bdf, Sbdf};
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
    let found = names.iter().map(|name| find(topology, name, &wrong));
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn find(topology: &Topology, name: &str, wrong: impl Fn(&str) -> String) -> Result<FunctionIndex, Stop> {
    let address = match name.parse::<Sbdf>() {
        Ok(address) if !is_way_down(name) => Some(address),
        Ok(_) | Err(_) if is_way_down(name) => way_down(topology, name),
        _ => return Err(Stop::Usage(wrong(name))),
    };
    address.and_then(|address| topology.index_of(address)).ok_or_else(|| {
        let near = topology.functions().first().map(|function| format!(", such as {}", function.address));
        Stop::Input(format!(
            "{name}: no such function in the dump; show -t lists them{}",
            near.unwrap_or_default()
        ))
    })
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

/// `0000:00:1c.0/00.0/01.0`: an address, then device and function on each bus further down.
fn is_way_down(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, rest)| {
        first.parse::<Sbdf>().is_ok() && rest.split('/').all(|hop| device_function(hop).is_some())
    })
}

fn way_down(topology: &Topology, name: &str) -> Option<Sbdf> {
    let mut hops = name.split('/');
    let mut at: Sbdf = hops.next()?.parse().ok()?;
    for hop in hops {
        let (device, function) = device_function(hop)?;
        let range = topology.function(topology.index_of(at)?)?.bus_range()?;
        at.bdf = Bdf::new(range.secondary, device, function)?;
    }
    Some(at)
}

/// `1f.2`.
fn device_function(text: &str) -> Option<(u8, u8)> {
    let (device, function) = text.split_once('.')?;
    let hex = |text: &str| u8::from_str_radix(text, 16).ok();
    Bdf::new(0, hex(device)?, hex(function)?).map(|bdf| (bdf.device(), bdf.function()))
}
