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
/// guess where registers are missing: here without the decoded text, which has them.
#[test]
fn a_short_dump_that_names_the_kernels_groups_is_grouped_like_them_and_says_predicted() {
    let Some(realworld) = shared("realworld") else { return };
    let set = realworld.join("nvidia-bug-reports/wrx80e-sage-a");
    let (expected, ungrouped) = of_tsv(&set.join("groups.tsv"));
    let text = String::from_utf8_lossy(&std::fs::read(set.join("lspci.txt")).expect("readable")).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with("\tControl: "));
    let scratch = tempfile::tempdir().expect("a directory");
    let stripped = scratch.path().join("lspci.txt");
    std::fs::write(&stripped, lines.collect::<Vec<_>>().join("\n")).expect("writable");
    let found = model(&stripped, None);
    assert_eq!(found.groups, expected);
    assert_eq!(found.ungrouped, ungrouped);
    assert!(found.predicted > 0, "the registers are not in the dump");
    let whole = model(&set.join("lspci.txt"), None);
    assert_eq!((whole.groups, whole.ungrouped), (expected, ungrouped), "and with the text");
}

/// Listings of `lspci -vv` without a byte of hex. Most name the kernel's groups, which are the best guess
/// where the text does not tell a register; `raven` does not, and its groups come from registers alone.
#[test]
fn decoded_listings_are_grouped_as_their_kernel_grouped_them() {
    let Some(realworld) = shared("realworld") else { return };
    let folder = realworld.join("decoded-text-with-groups");
    let mut compared = 0;
    for set in subdirectories(&folder) {
        let (expected, ungrouped) = of_tsv(&set.join("groups.tsv"));
        let found = model(&set.join("lspci-vvv.txt"), None);
        assert_eq!(without(&found.groups, &ungrouped), expected, "{}", set.display());
        compared += 1;
    }
    assert_eq!(compared, 6);
}

/// The same without the lines that name the groups: from the registers in the text alone.
#[test]
fn registers_of_decoded_listings_suffice_for_the_groups() {
    let Some(realworld) = shared("realworld") else { return };
    let scratch = tempfile::tempdir().expect("a directory");
    for name in [
        "decoded-text-with-groups/xeon-pex8748-pex8725-amc/lspci-vvv.txt",
        "decoded-text-with-groups/mac-mini-2018-egpu/lspci-vvv.txt",
        "decoded-text-with-groups/raven-5.4.0-47/lspci-vvv.txt",
        "decoded-text-with-groups/raptor-lake-s/lspci-vvv.txt",
        "decoded-text-with-groups/matisse-x570/lspci-vvv.txt",
        "nvidia-bug-reports/wrx80e-sage-a/lspci.txt",
        "mailing-lists/epyc-slot-numbers-a/lspci-vvv.txt",
    ] {
        let path = realworld.join(name);
        let text = String::from_utf8_lossy(&std::fs::read(&path).expect("readable")).into_owned();
        let lines = text.lines().filter(|line| !line.contains("IOMMU group:"));
        let stripped = scratch.path().join("lspci.txt");
        std::fs::write(&stripped, lines.collect::<Vec<_>>().join("\n")).expect("writable");
        let (expected, ungrouped) = of_tsv(&path.with_file_name("groups.tsv"));
        let found = model(&stripped, None);
        assert_eq!(without(&found.groups, &ungrouped), expected, "{name}");
        // lspci takes the second half of a 32-bit capability register for the control register: the
        // real one is not in the text.
        assert!(found.predicted > 0 || !name.contains("xeon"), "{name}");
    }
}
