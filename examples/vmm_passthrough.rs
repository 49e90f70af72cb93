//! What a virtual machine monitor asks before it passes devices through to one guest: does anything that
//! stays outside share an isolation domain with them, and if so, which bit is in the way?
//!
//! `cargo run --example vmm_passthrough -- DUMP ADDRESS...`; `live` as DUMP is this host. Answers as
//! `acsscan check` does, with what this host's administrator has added to the device database.

use std::error::Error;

use acsscan::addr::Sbdf;
use acsscan::db::{self, Date, Places};
use acsscan::dump::{self, Input, Options};
use acsscan::finding::{self, Facts, Question};
use acsscan::function::Inventory;
use acsscan::route::Assumptions;
use acsscan::route::accept::Acceptances;
use acsscan::route::check::{Policy, Unknown, Verdict};
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::Linux;
use acsscan::topology::Topology;

/// The answer, and what it rests on; nothing if nothing speaks against it.
fn check(
    input: &Input,
    places: &Places,
    addresses: &[&str],
) -> Result<(Verdict, Option<String>), Box<dyn Error>> {
    let mut inventory = Inventory::new();
    let info = dump::read(input, &Options::default(), &mut inventory)?;
    let topology = Topology::new(inventory.finish());
    let database = db::load(places).database;
    let linux = Linux::new(&topology, &database);
    let fabric = Fabric::seen_by(&linux);
    let (domains, grouping) = (fabric.domains(&Assumptions::default()), linux.group());
    let own_host = matches!(input, Input::Live { .. });
    let accepted = Acceptances::new(&topology, &database, Date::today(), own_host);

    // Where bytes are missing, no answer is better than a wrong one.
    let lost: Vec<String> = info.lines().filter(|(_, loses)| *loses).map(|(line, _)| line).collect();
    let mut findings = finding::findings(&topology);
    findings.extend(finding::lost_findings(lost.iter().map(String::as_str)));
    let mut facts = Facts::new(&linux, &fabric, &domains, &grouping, &accepted);
    (facts.live, facts.findings) = (own_host, &findings);
    if let Some(host) = &info.host {
        facts.iommu = host.iommu(&topology);
    }

    let mut guest = Vec::new();
    for address in addresses {
        let address: Sbdf = address.parse()?;
        guest.push(topology.index_of(address).ok_or_else(|| format!("{address}: no such function"))?);
    }
    let question = Question::new(facts, &guest, Unknown::Fail);
    let judgement = question.judge(Policy::Spec);
    Ok((question.verdict(&judgement), question.why(&judgement)))
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
    let (verdict, why) = check(&input, &Places::default(), &addresses)?;
    println!("{}{}", verdict.word(), why.map(|why| format!(": {why}")).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_below_a_switch_without_acs_go_together_or_not_at_all() {
        let dump = Input::Path(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/qemu-sriov/dump.txt").into());
        let mut places = Places::default();
        places.root = None;
        let (verdict, why) = check(&dump, &places, &["07:00.0"]).expect("an answer");
        let why = why.expect("a reason");
        assert_eq!(verdict, Verdict::NotAssignable);
        assert!(why.starts_with("0000:07:00.0 is not kept apart from functions outside: "), "{why}");
        assert!(why.ends_with("(0000:06:00.0: no ACS capability)"), "{why}");
        let all = check(&dump, &places, &["07:00.0", "08:00.0", "09:00.0", "0a:00.0"]).expect("an answer");
        assert_eq!(all, (Verdict::Assignable, None));
    }
}
