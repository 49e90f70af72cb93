//! Machines that a real kernel has seen: both engines agree on them, and the answer is of use.

use std::path::PathBuf;

use acsscan::addr::{Sbdf, Segment};
use acsscan::config::ConfigSpace;
use acsscan::db::Database;
use acsscan::function::{Attributes, HostBridge, Inventory, Record, Sink};
use acsscan::route::Assumptions;
use acsscan::route::fabric::Fabric;
use acsscan::topology::Topology;

fn oracle() -> Option<PathBuf> {
    let shared = std::env::var_os("ACSSCAN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    let oracle = shared.join("oracle");
    if !oracle.is_dir() {
        println!("skipped: {} is not there", oracle.display());
        return None;
    }
    Some(oracle)
}

/// Those of the corpus, and all others that are at hand.
pub(super) fn sets() -> Vec<(String, Topology)> {
    let mut sets = Vec::new();
    #[cfg(feature = "std")]
    for name in ["qemu-config-acs", "qemu-small", "qemu-sriov"] {
        use acsscan::dump::{self, Input, Options};
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut inventory = Inventory::new();
        let input = Input::Path(corpus.join(name).join("dump.txt"));
        dump::read(&input, &Options::default(), &mut inventory).expect("readable");
        sets.push((format!("corpus/{name}"), Topology::new(inventory.finish())));
    }
    let Some(oracle) = oracle() else { return sets };
    for set in std::fs::read_dir(&oracle).expect("readable") {
        let path = set.expect("readable").path();
        if path.join("configs").is_dir() {
            let name = path.file_name().expect("named").to_string_lossy().into_owned();
            sets.push((name, read(&path)));
        }
    }
    assert!(sets.len() >= 13, "{} sets", sets.len());
    sets.sort_by(|a, b| a.0.cmp(&b.0));
    sets
}

fn read(set: &std::path::Path) -> Topology {
    let mut inventory = Inventory::new();
    for file in std::fs::read_dir(set.join("configs")).expect("readable") {
        let path = file.expect("readable").path();
        let address: Sbdf =
            path.file_stem().and_then(|s| s.to_str()).expect("named").parse().expect("an address");
        let bytes = std::fs::read(&path).expect("readable");
        let config = &ConfigSpace::new(bytes.as_slice());
        inventory.record(Record { address, config, attributes: Attributes::default() });
    }
    let sysfs = std::fs::read_to_string(set.join("sysfs.json")).expect("readable");
    for root in sysfs.split("/devices/pci").skip(1) {
        let (domain, bus) = (&root[..4], &root[5..7]);
        let segment = Segment(u32::from_str_radix(domain, 16).expect("hexadecimal"));
        let bus = u8::from_str_radix(bus, 16).expect("hexadecimal");
        inventory.host_bridge(HostBridge::new(segment, bus));
    }
    Topology::new(inventory.finish())
}

/// What is compiled in, where the reader of database files is.
fn database() -> Database {
    #[cfg(feature = "std")]
    return acsscan::db::builtin().expect("its own tests pass");
    #[cfg(not(feature = "std"))]
    Database::default()
}

#[test]
fn both_engines_agree_on_every_set() {
    for (name, topology) in sets() {
        let found = acsscan::testkit::engines::disagreement(&topology, &database());
        assert!(found.is_none(), "{name}: {}", found.unwrap_or_default());
    }
}

#[test]
fn default_domains_are_of_use_on_every_set() {
    for (name, topology) in sets() {
        let database = database();
        let fabric = Fabric::new(&topology, &database);
        let domains = fabric.domains(&Assumptions::default());
        let initiators = (0..topology.functions().len()).filter(|index| fabric.initiates(*index));
        let mut with_initiators: Vec<_> = initiators.filter_map(|index| domains.domain_of(index)).collect();
        with_initiators.sort_unstable();
        with_initiators.dedup();
        println!("{name}: {} functions, {} domains", topology.functions().len(), domains.len());
        assert!(with_initiators.len() > 1, "{name}");
        assert!(domains.get(domains.len()).is_none(), "{name}");
        for domain in domains.iter() {
            for merge in domain.why() {
                let root_complex = merge.reason.is_some_and(acsscan::route::Reason::is_root_complex);
                assert!(!root_complex, "{name}: {merge:?}");
            }
        }
    }
}

/// Dumps of real machines: both engines agree, and default domains are of use.
#[cfg(feature = "std")]
#[test]
fn real_machines_have_useful_domains_on_which_both_engines_agree() {
    use acsscan::dump::{self, Input, Options};
    let Some(real) = oracle().and_then(|oracle| Some(oracle.parent()?.join("realworld"))) else { return };
    let mut machines = 0;
    for folder in ["firmware-port-logs", "nvidia-bug-reports", "mailing-lists", "pciutils"] {
        for entry in std::fs::read_dir(real.join(folder)).expect("readable") {
            let path = entry.expect("readable").path();
            let file = if path.is_dir() { path.join("lspci.txt") } else { path };
            let mut inventory = Inventory::new();
            if dump::read(&Input::Path(file.clone()), &Options::default(), &mut inventory).is_err() {
                continue;
            }
            let topology = Topology::new(inventory.finish());
            let found = acsscan::testkit::engines::disagreement(&topology, &database());
            assert!(found.is_none(), "{}: {}", file.display(), found.unwrap_or_default());
            let database = database();
            let fabric = Fabric::new(&topology, &database);
            let domains = fabric.domains(&Assumptions::default());
            let count = topology.functions().len();
            println!("{}: {count} functions, {} domains", file.display(), domains.len());
            // A cut-out of a machine may be one device.
            assert!(domains.len() > 1 || count < 8, "{}", file.display());
            for merge in domains.iter().flat_map(|domain| domain.why().copied().collect::<Vec<_>>()) {
                let root_complex = merge.reason.is_some_and(acsscan::route::Reason::is_root_complex);
                assert!(!root_complex, "{}: {merge:?}", file.display());
            }
            machines += 1;
        }
    }
    assert!(machines >= 15, "{machines} machines");
}
