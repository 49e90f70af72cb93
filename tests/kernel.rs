//! The kernel's own groups, on emulated and on real machines: the model must form the same ones.
#![cfg(feature = "std")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use acsscan::db;
use acsscan::dump::{self, Format, Input, Options};
use acsscan::function::Inventory;
use acsscan::route::linux::Linux;
use acsscan::topology::Topology;
use support::{plain, shared, subdirectories};

type Partition = BTreeSet<BTreeSet<String>>;

/// What the model says of a dump.
struct Model {
    groups: Partition,
    ungrouped: BTreeSet<String>,
    predicted: usize,
}

fn model(path: &Path, format: Option<Format>) -> Model {
    let mut options = Options::default();
    options.format = format;
    let mut inventory = Inventory::new();
    dump::read(&Input::Path(path.to_owned()), &options, &mut inventory)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let topology = Topology::new(inventory.finish());
    let database = db::builtin().expect("the built-in database is good");
    let linux = Linux::new(&topology, &database);
    let grouping = linux.group();
    let address = |index: &usize| topology.functions()[*index].address.to_string();
    let outside = (0..grouping.group_of.len()).filter(|index| grouping.group_of[*index].is_none());
    Model {
        groups: grouping.groups.iter().map(|group| group.functions.iter().map(address).collect()).collect(),
        ungrouped: outside.map(|index| address(&index)).collect(),
        predicted: grouping.groups.iter().filter(|group| !group.is_certain()).count(),
    }
}

/// Groups of a kernel, and the functions that it put into none.
fn kernel(groups: impl IntoIterator<Item = (String, Option<String>)>) -> (Partition, BTreeSet<String>) {
    let (mut by_number, mut ungrouped) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeSet::new());
    for (address, group) in groups {
        match group {
            Some(group) => _ = by_number.entry(group).or_default().insert(address),
            None => _ = ungrouped.insert(address),
        }
    }
    (by_number.into_values().collect(), ungrouped)
}

fn of_json(path: &Path) -> (Partition, BTreeSet<String>) {
    let text = std::fs::read_to_string(path).expect("readable");
    let groups: BTreeMap<String, Option<u32>> = serde_json::from_str(&text).expect("JSON");
    kernel(groups.into_iter().map(|(address, group)| (address, group.map(|group| group.to_string()))))
}

fn of_tsv(path: &Path) -> (Partition, BTreeSet<String>) {
    let text = std::fs::read_to_string(path).expect("readable");
    kernel(text.lines().filter_map(|line| {
        let (address, group) = line.split_once('\t')?;
        let address = address.parse::<acsscan::addr::Sbdf>().ok()?.to_string();
        Some((address, (group != "-").then(|| group.to_owned())))
    }))
}

/// The model's groups without the functions that the kernel put into none: whether a host bridge
/// bypasses the IOMMU is not in configuration space.
fn without(groups: &Partition, left_out: &BTreeSet<String>) -> Partition {
    let kept = groups.iter().map(|group| group.difference(left_out).cloned().collect::<BTreeSet<_>>());
    kept.filter(|group| !group.is_empty()).collect()
}

#[test]
fn emulated_machines_are_grouped_as_the_kernel_grouped_them_from_every_form_of_dump() {
    let Some(oracle) = shared("oracle") else { return };
    let mut compared = 0;
    for set in subdirectories(&oracle) {
        let (expected, ungrouped) = of_json(&set.join("groups.json"));
        if expected.is_empty() {
            continue;
        }
        let scratch = tempfile::tempdir().expect("a directory");
        let mut forms = vec![(set.join("configs"), None)];
        forms
            .extend(plain(&set, "lspci-xxxx.txt", scratch.path()).map(|path| (path, Some(Format::LspciHex))));
        forms.extend(plain(&set, "ecam.bin", scratch.path()).map(|path| (path, Some(Format::Ecam))));
        assert!(forms.len() >= 2, "{}: no text", set.display());
        for (path, format) in forms {
            let found = model(&path, format);
            let name = format!("{} as {format:?}", set.display());
            assert_eq!(without(&found.groups, &ungrouped), expected, "{name}");
            assert_eq!(found.predicted, 0, "{name}: everything was captured");
            compared += 1;
        }
    }
    assert!(compared > 24, "only {compared} dumps were compared");
}

#[test]
fn real_machines_with_whole_dumps_are_grouped_as_their_kernel_grouped_them() {
    let Some(realworld) = shared("realworld") else { return };
    for set in [
        "nvidia-bug-reports/x570-aorus-master",
        "nvidia-bug-reports/x670e-proart",
        "nvidia-bug-reports/hp-omen-875-i7-8700",
        "firmware-port-logs/h310ch5-m2",
    ] {
        let (expected, ungrouped) = of_tsv(&realworld.join(set).join("groups.tsv"));
        let found = model(&realworld.join(set).join("lspci.txt"), None);
        assert_eq!(found.groups, expected, "{set}");
        assert_eq!(found.ungrouped, ungrouped, "{set}");
        assert_eq!(found.predicted, 0, "{set}");
    }
}

/// The 256-byte dump of this set carries the kernel's own `IOMMU group` lines, which are the best
/// guess where registers are missing.
#[test]
fn a_short_dump_that_names_the_kernels_groups_is_grouped_like_them_and_says_predicted() {
    let Some(realworld) = shared("realworld") else { return };
    let set = realworld.join("nvidia-bug-reports/wrx80e-sage-a");
    let (expected, ungrouped) = of_tsv(&set.join("groups.tsv"));
    let found = model(&set.join("lspci.txt"), None);
    assert_eq!(found.groups, expected);
    assert_eq!(found.ungrouped, ungrouped);
    assert!(found.predicted > 0, "the registers are not in the dump");
}
