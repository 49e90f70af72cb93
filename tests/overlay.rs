//! What-if overlays against what kernels did: the dump of one boot and the command line of another
//! predict that other boot's registers and groups.
#![cfg(all(feature = "std", feature = "testkit"))]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use acsscan::addr::Sbdf;
use acsscan::db;
use acsscan::dump::{self, Input, Options};
use acsscan::function::Inventory;
use acsscan::kernel::Version;
use acsscan::kernel::acs_param::AcsOptions;
use acsscan::kernel::cmdline::pci_options;
use acsscan::route::Reason;
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::Linux;
use acsscan::route::overlay::{self, Boot, CONFIG_ACS, Firmware};
use acsscan::route::port::TlpClass;
use acsscan::route::{Assumptions, Disposition};
use acsscan::testkit::{Config, Machine};
use acsscan::topology::Topology;
use serde::Deserialize;
use support::{shared, subdirectories};

/// `boots.json` of a case: how its dump was taken, and what other boots of the same machine showed.
#[derive(Deserialize)]
struct Boots {
    boots: Vec<Booted>,
}

#[derive(Deserialize)]
struct Booted {
    kernel: String,
    parameters: String,
    /// Whether an IOMMU asked for ACS.
    enable_acs: bool,
    acs: BTreeMap<String, String>,
    groups: Option<BTreeMap<String, Option<u32>>>,
}

fn inventory(path: &Path) -> Inventory {
    let mut inventory = Inventory::new();
    dump::read(&Input::Path(path.to_owned()), &Options::default(), &mut inventory).expect("readable");
    inventory.finish()
}

/// The same functions together, whatever their numbers.
fn partition(groups: impl IntoIterator<Item = (String, Option<u32>)>) -> BTreeSet<BTreeSet<String>> {
    let mut by_number = BTreeMap::<u32, BTreeSet<String>>::new();
    for (address, group) in groups {
        if let Some(group) = group {
            by_number.entry(group).or_default().insert(address);
        }
    }
    by_number.into_values().collect()
}

/// The dump as if it had been booted so, and whether the groups are all certain.
fn boot(dump: &Path, booted: &Booted, firmware: Option<&Inventory>) -> Topology {
    let mut topology = Topology::new(inventory(dump));
    let options = AcsOptions::of_command_line(&booted.parameters);
    let kernel = Boot {
        version: booted.kernel.parse::<Version>().expect("a release"),
        requested: booted.enable_acs,
        no_ats: pci_options(&booted.parameters).any(|option| option.text == "noats"),
        options: &options,
        firmware: firmware.map_or(Firmware::Enabled, Firmware::Dump),
    };
    let database = db::builtin().expect("good");
    overlay::boot(&mut topology, &database, &kernel);
    topology
}

fn control_words(topology: &Topology, like: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let words = topology.functions().iter().filter_map(|function| {
        let control = function.acs.present()?.control.bits();
        Some((function.address.to_string(), format!("{control:#06x}")))
    });
    words.filter(|(address, _)| like.contains_key(address)).collect()
}

fn groups(topology: &Topology) -> BTreeSet<BTreeSet<String>> {
    let database = db::builtin().expect("good");
    let grouping = Linux::new(topology, &database).group();
    let group = |index: usize| grouping.group_of[index].map(|group| group as u32);
    partition(
        (0..topology.functions().len()).map(|i| (topology.functions()[i].address.to_string(), group(i))),
    )
}

fn compare(dump: &Path, booted: &Booted, firmware: Option<&Inventory>) {
    let topology = boot(dump, booted, firmware);
    let what = format!("{} as Linux {} {}", dump.display(), booted.kernel, booted.parameters);
    assert_eq!(control_words(&topology, &booted.acs), booted.acs, "{what}");
    if let Some(expected) = &booted.groups {
        assert_eq!(groups(&topology), partition(expected.clone()), "{what}");
    }
}

#[test]
fn a_dump_and_a_command_line_predict_the_registers_and_groups_of_the_other_boot() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let off = inventory(&corpus.join("kernel-iommu-off/configs"));
    let mut compared = 0;
    for case in ["kernel-iommu-off", "kernel-iommu-on"] {
        let text = std::fs::read_to_string(corpus.join(case).join("boots.json")).expect("readable");
        let boots: Boots = serde_json::from_str(&text).expect("JSON");
        for booted in &boots.boots {
            let dump = corpus.join(case).join("configs");
            // With and without the registers that firmware left, which are all 0 here: the guess.
            compare(&dump, booted, None);
            compare(&dump, booted, Some(&off));
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared} boots");
}

/// The kernel's configuration space of each function of a capture, with ACS control words.
fn captured(set: &Path) -> (BTreeMap<String, String>, BTreeMap<String, Option<u32>>) {
    let inventory = inventory(&set.join("configs"));
    let topology = Topology::new(inventory);
    let all = topology.functions().iter().map(|f| (f.address.to_string(), String::new())).collect();
    let text = std::fs::read_to_string(set.join("groups.json")).expect("readable");
    (control_words(&topology, &all), serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn a_kernel_that_does_not_know_the_parameter_predicts_one_that_obeys_it() {
    let Some(oracle) = shared("oracle") else { return };
    let set = oracle.join("v11-config");
    let meta: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(set.join("meta.json")).expect("readable"))
            .expect("JSON");
    let (acs, groups) = captured(&set);
    let booted = Booted {
        kernel: meta["kernel"].as_str().expect("a release").to_owned(),
        parameters: meta["cmdline"].as_str().expect("a line").to_owned(),
        enable_acs: true,
        acs,
        groups: Some(groups),
    };
    assert!(!booted.acs.is_empty());
    compare(&oracle.join("v11-config-k6.1/configs"), &booted, None);
    assert!(subdirectories(&oracle).len() > 10);
}

fn switch(control: u16) -> Topology {
    Machine::new()
        .with("00:01.0", Config::root_port(1, 4).acs(0x001f, control, 0))
        .with("01:00.0", Config::upstream(2, 4))
        .with("02:01.0", Config::downstream(1, 3, 3).acs(0x001f, control, 0))
        .with("02:02.0", Config::downstream(2, 4, 4).acs(0x001f, control, 0))
        .with("03:00.0", Config::endpoint())
        .with("04:00.0", Config::endpoint())
        .topology()
}

#[test]
fn what_goes_back_to_unknown_firmware_is_undetermined_and_says_that_it_was_taken_as_0() {
    let database = db::builtin().expect("good");
    let mut topology = switch(0x001d);
    let options = AcsOptions::of_command_line("pci=config_acs=xxxx10x@00:01.0/0.0/1.0");
    assert!(options.config_acs.as_ref().expect("read").problems.is_empty());
    let firmware = Firmware::Enabled;
    let kernel = Boot { version: CONFIG_ACS, requested: true, no_ats: false, options: &options, firmware };
    let notes = overlay::boot(&mut topology, &database, &kernel).join("\n");
    assert!(
        notes.contains("taken as 0") && notes.contains("SrcValid, CmpltRedir, UpstreamFwd of 0000:02:01.0"),
        "{notes}"
    );
    let (a, b) = (topology.functions().len() - 2, topology.functions().len() - 1);
    let fabric = Fabric::new(&topology, &database);
    let answer = |class| fabric.disposition(a, b, class, &Assumptions::default());
    assert_eq!(answer(TlpClass::MemoryUntranslated).0, Disposition::Redirected, "that bit is given");
    assert_eq!(answer(TlpClass::Completion), (Disposition::Undetermined, Reason::FirmwareNotKnown));
    let grouping = Linux::new(&topology, &database).group();
    let group = &grouping.groups[grouping.group_of[a].expect("grouped")];
    assert!(!group.is_certain(), "it rests on the guess");
    let domains = fabric.domains(&Assumptions::default());
    let domain = domains.get(domains.domain_of(a).expect("there")).expect("there");
    assert_eq!(domain.held_by().map(|held| held.word()), Some("unproven"));
}

#[test]
fn a_removed_port_takes_what_is_below_it_along_and_a_moved_device_lands_below_the_other() {
    let database = db::builtin().expect("good");
    let at = |topology: &Topology, address: &str| topology.index_of(address.parse::<Sbdf>().expect("one"));
    let topology = switch(0);
    let port = at(&topology, "02:01.0").expect("there");
    let (removed, notes) = overlay::remove(topology, &[port]);
    let note = &notes[0];
    assert_eq!(removed.functions().len(), 4, "{note}");
    assert!(at(&removed, "03:00.0").is_none() && at(&removed, "04:00.0").is_some());
    let topology = switch(0);
    let (device, port) = (at(&topology, "03:00.0").expect("there"), at(&topology, "02:02.0").expect("there"));
    let taken = overlay::relocate(topology.clone(), device, port).expect_err("the link has its device");
    assert!(taken.to_string().contains("0000:04:00.0"), "{taken}");
    let upstream = at(&topology, "01:00.0").expect("there");
    assert!(overlay::relocate(topology.clone(), upstream, port).is_err(), "a switch does not move");
    assert!(overlay::relocate(topology.clone(), device, device).is_err(), "an endpoint has no bus below");
    let gone = at(&topology, "04:00.0").expect("there");
    let (topology, _) = overlay::remove(topology, &[gone]);
    let (device, port) = (at(&topology, "03:00.0").expect("there"), at(&topology, "02:02.0").expect("there"));
    let (moved, note) = overlay::relocate(topology, device, port).expect("room");
    assert!(at(&moved, "04:00.0").is_some() && at(&moved, "03:00.0").is_none(), "{note}");
    assert_eq!(Fabric::new(&moved, &database).topology().functions().len(), 5);
}

#[test]
fn what_an_overlay_set_is_never_shown_as_captured() {
    let database = db::builtin().expect("good");
    let mut topology = switch(0);
    let port = topology.index_of("02:01.0".parse().expect("one")).expect("there");
    let edits = overlay::parse_edits("+ReqRedir").expect("valid");
    let wide = overlay::wide_registers(&topology, &database);
    let note = overlay::set(&mut topology, &wide, port, &edits).expect("offered");
    assert_eq!(note, "0000:02:01.0: ACS Control 0x0000 becomes 0x0004 (+ReqRedir)");
    assert!(topology.functions()[port].acs_as_if());
    let fabric = Fabric::new(&topology, &database);
    let (from, to) = (topology.functions().len() - 2, topology.functions().len() - 1);
    let route = fabric.trace(from, to, TlpClass::MemoryUntranslated, &Assumptions::default());
    let evidence: Vec<String> =
        route.hops.iter().flat_map(|hop| &hop.evidence).map(ToString::to_string).collect();
    assert!(evidence.iter().any(|line| line.starts_with("ACS Control (as if)")), "{evidence:?}");
    let upstream = topology.index_of("01:00.0".parse().expect("one")).expect("there");
    let refused = overlay::set(&mut topology, &wide, upstream, &edits).expect_err("no ACS");
    assert!(refused.to_string().contains("no ACS capability"), "{refused}");
}
