//! What a virtual machine monitor asks before it passes devices through to one guest: does anything that
//! stays outside share an isolation domain with them, and if so, which bit is in the way?
//!
//! `cargo run --example vmm_passthrough -- DUMP ADDRESS...`; `live` as DUMP is this host.

use std::error::Error;
use std::fmt::Write;

use acsscan::addr::Sbdf;
use acsscan::db;
use acsscan::dump::{self, Input, Options};
use acsscan::function::Inventory;
use acsscan::route::Assumptions;
use acsscan::route::fabric::Fabric;
use acsscan::topology::Topology;

fn check(input: &Input, addresses: &[&str]) -> Result<String, Box<dyn Error>> {
    let mut inventory = Inventory::new();
    dump::read(input, &Options::default(), &mut inventory)?;
    let topology = Topology::new(inventory.finish());
    let database = db::builtin()?;
    let fabric = Fabric::new(&topology, &database);
    let domains = fabric.domains(&Assumptions::default());
    let at = |index| topology.address(index).unwrap_or_default();

    let mut guest = Vec::new();
    for address in addresses {
        let address: Sbdf = address.parse()?;
        guest.push(topology.index_of(address).ok_or_else(|| format!("{address}: no such function"))?);
    }
    let mut said = String::new();
    for index in &guest {
        let domain = domains.domain_of(*index).and_then(|number| domains.get(number)).ok_or("no domain")?;
        let mut outside =
            domain.functions().filter(|other| fabric.initiates(*other) && !guest.contains(other));
        let Some(other) = outside.next() else { continue };
        writeln!(said, "{} and {} are not kept apart", at(*index), at(other))?;
        let bonds = domain.why().filter_map(|merge| Some((merge, merge.class?)));
        for (merge, class) in bonds.take(3) {
            let route = fabric.trace(merge.from, merge.to, class, domains.assumptions());
            writeln!(
                said,
                "  {} to {}: {}, {}",
                at(merge.from),
                at(merge.to),
                route.disposition,
                route.reason
            )?;
            for evidence in route.decisive().map(|hop| hop.evidence.as_slice()).unwrap_or_default() {
                writeln!(said, "    {}: {evidence}", evidence.function())?;
            }
        }
    }
    Ok(if said.is_empty() { String::from("assignable\n") } else { said })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, addresses @ ..] = arguments.as_slice() else {
        return Err("usage: vmm_passthrough DUMP|live ADDRESS...".into());
    };
    let input = match source.as_str() {
        "live" => Input::Live { sysfs_root: "/sys".into() },
        path => Input::Path(path.into()),
    };
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    print!("{}", check(&input, &addresses)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_below_a_switch_without_acs_go_together_or_not_at_all() {
        let dump = Input::Path(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/qemu-sriov/dump.txt").into());
        let one = check(&dump, &["07:00.0"]).expect("an answer");
        assert!(one.starts_with("0000:07:00.0 and 0000:08:00.0 are not kept apart\n"), "{one}");
        assert!(one.contains("0000:06:00.0: no ACS capability"), "{one}");
        let all = check(&dump, &["07:00.0", "08:00.0", "09:00.0", "0a:00.0"]).expect("an answer");
        assert_eq!(all, "assignable\n");
    }
}
