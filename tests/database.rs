//! The built-in database says what the table of facts says, all of it and nothing else.
//!
//! The table is kept beside the repository, in `$ACSSCAN_SHARED/spec` or `../shared/spec`; where it is
//! missing the tests say so and pass.
#![cfg(feature = "std")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use acsscan::cap::acs::AcsControl;
use acsscan::cap::pcie::DevicePortType;
use acsscan::db::{Alias, Claim, Condition, ConditionKind, Database, Entry, Layer, Match, Subject, builtin};
use serde::Deserialize;

#[derive(Deserialize)]
struct Facts {
    quirk: Vec<Fact>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fact {
    kind: String,
    order: usize,
    order_last: usize,
    vendor: String,
    devices: Vec<String>,
    any_device: bool,
    device_ranges: Vec<FactRange>,
    pch_device_ids: Vec<Family>,
    flags: Vec<String>,
    ignored_flags: Vec<String>,
    cleared_flags: Vec<String>,
    port_types: Vec<String>,
    require_multifunction: bool,
    require_root_bus: bool,
    require_acpi_table: Option<String>,
    require_acs_capability: bool,
    requires_runtime_enable: bool,
    on_no_match: String,
    capability_offset: u16,
    control_offset: u16,
    alias: String,
    subsystems: Vec<String>,
    class_code: Option<String>,
    class_base: Option<String>,
    require_same_host_bridge: bool,
    in_mainline_7_2: bool,
    handler: String,
}

#[derive(Deserialize)]
struct FactRange {
    first: String,
    last: String,
}

#[derive(Deserialize)]
struct Family {
    ids: Vec<String>,
}

fn facts() -> Option<Vec<Fact>> {
    let shared = std::env::var_os("ACSSCAN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join("spec/linux-quirks.toml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: there is no {}", path.display());
        return None;
    };
    let facts: Facts = toml::from_str(&text).expect("the table of facts is TOML");
    Some(facts.quirk)
}

fn hex(text: &str) -> u16 {
    u16::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal")
}

fn controls(flags: &[String]) -> AcsControl {
    flags.iter().fold(AcsControl::empty(), |all, flag| {
        all | match flag.as_str() {
            "SV" => AcsControl::SOURCE_VALIDATION,
            "TB" => AcsControl::TRANSLATION_BLOCKING,
            "RR" => AcsControl::REQUEST_REDIRECT,
            "CR" => AcsControl::COMPLETION_REDIRECT,
            "UF" => AcsControl::UPSTREAM_FORWARDING,
            "EC" => AcsControl::EGRESS_CONTROL,
            "DT" => AcsControl::DIRECT_TRANSLATED,
            flag => panic!("unknown flag {flag}"),
        }
    })
}

/// All IDs of an entry; empty is any.
/// What an entry must match beside the device IDs.
fn beside_devices(entry: &Entry) -> Match {
    let mut matches = entry.matches.clone();
    matches.devices.clear();
    matches
}

fn expanded(entry: &Entry) -> BTreeSet<u16> {
    entry.matches.devices.iter().flat_map(|range| range.first..=range.last).collect()
}

impl Fact {
    fn vendor(&self) -> Option<u16> {
        self.vendor.starts_with("0x").then(|| hex(&self.vendor))
    }

    /// All IDs; empty is any.
    fn ids(&self) -> BTreeSet<u16> {
        let listed = self.devices.iter().chain(self.pch_device_ids.iter().flat_map(|family| &family.ids));
        let ranges = self.device_ranges.iter().flat_map(|range| hex(&range.first)..=hex(&range.last));
        listed.map(|id| hex(id)).chain(ranges).collect()
    }

    fn port_types(&self) -> Vec<DevicePortType> {
        let port_type = |word: &String| match word.as_str() {
            "root_port" => DevicePortType::RootPort,
            "switch_downstream" => DevicePortType::SwitchDownstreamPort,
            "rciep" => DevicePortType::RootComplexIntegratedEndpoint,
            word => panic!("unknown port type {word}"),
        };
        self.port_types.iter().map(port_type).collect()
    }

    /// What the entry must match beside the IDs.
    fn matches(&self) -> Match {
        let pair = |pair: &String| {
            let (vendor, device) = pair.split_once(':').expect("a pair");
            (hex(vendor), hex(device))
        };
        let class = |code: &String| ((hex(code) >> 8) as u8, Some(hex(code) as u8));
        let base = |code: &String| (hex(code) as u8, None);
        let mut matches = Match::default();
        matches.vendor = self.vendor();
        matches.subsystems = self.subsystems.iter().map(pair).collect();
        matches.classes = self.class_code.iter().map(class).chain(self.class_base.iter().map(base)).collect();
        matches.port_types = self.port_types();
        matches.multi_function = self.require_multifunction.then_some(true);
        matches.root_bus = self.require_root_bus.then_some(true);
        matches.acs = self.require_acs_capability.then_some(true);
        matches
    }

    /// Claim and denial of unmet conditions, as the table has them.
    fn acs_claim(&self) -> Claim {
        match self.kind.as_str() {
            "acs_layout" => Claim::AcsLayout {
                capability_offset: self.capability_offset,
                control_offset: self.control_offset,
            },
            _ => Claim::Isolates {
                services: controls(&self.flags),
                ignored: controls(&self.ignored_flags),
                open: AcsControl::empty(),
            },
        }
    }

    fn is_about_acs(&self) -> bool {
        matches!(self.kind.as_str(), "acs_equivalent" | "acs_layout")
    }
}

/// A claim without what the kernel does not ask for.
fn kernels_part(claim: &Claim) -> Claim {
    match claim.clone() {
        Claim::Isolates { services, ignored, .. } => {
            Claim::Isolates { services, ignored, open: AcsControl::empty() }
        }
        claim => claim,
    }
}

fn is_about_acs(entry: &Entry) -> bool {
    matches!(entry.claim, Claim::Isolates { .. } | Claim::DoesNotIsolate | Claim::AcsLayout { .. })
}

/// The one entry with this claim, these IDs and, beside them, this match.
fn only<'d>(database: &'d Database, fact: &Fact, claim: &Claim, matches: &Match) -> (usize, &'d Entry) {
    let ids = fact.ids();
    let found: Vec<_> = database
        .entries()
        .iter()
        .enumerate()
        .filter(|(_, entry)| {
            let beside = beside_devices(entry);
            kernels_part(&entry.claim) == *claim && beside == *matches && expanded(entry) == ids
        })
        .collect();
    let about = format!("{} {} {}", fact.kind, fact.vendor, fact.handler);
    assert_eq!(found.len(), 1, "{about}: {found:#?}");
    let (index, entry) = found[0];
    for function in fact.handler.split(" / ") {
        let function = function.split_whitespace().next().unwrap_or_default();
        assert!(entry.source.contains(function), "{about}: source is {}", entry.source);
    }
    (index, entry)
}

#[test]
fn every_row_about_acs_is_an_entry_in_linux_s_order() {
    let Some(facts) = facts() else { return };
    let database = builtin().expect("good");
    let mut rows = 0;
    let mut last = None;
    let mut entries = 0;
    for fact in facts.iter().filter(|fact| fact.is_about_acs()) {
        assert_eq!(fact.order, rows + 1);
        rows = fact.order_last;
        let (index, entry) = only(&database, fact, &fact.acs_claim(), &fact.matches());
        assert!(last < Some(index), "{} stands too early", entry.name);
        last = Some(index);
        let own = if fact.any_device { 1 } else { expanded(entry).len() };
        assert_eq!(own, fact.order_last - fact.order + 1, "{}", entry.name);
        entries += 1;
        match (&fact.require_acpi_table, fact.requires_runtime_enable) {
            (Some(table), false) => {
                let kind = ConditionKind::AcpiTable(table.clone());
                assert_eq!(entry.conditions, [Condition::new(kind, false)]);
            }
            (None, true) => assert!(matches!(
                entry.conditions.as_slice(),
                [Condition { kind: ConditionKind::BootStep(_), denies: true, .. }]
            )),
            _ => assert_eq!(entry.conditions, []),
        }
        if fact.on_no_match.starts_with("deny") {
            let rest = database.entries().get(index + 1).expect("an entry for the rest");
            assert_eq!(rest.claim, Claim::DoesNotIsolate);
            assert_eq!(rest.matches, fact.matches());
            last = Some(index + 1);
            entries += 1;
        }
    }
    assert_eq!(rows, 132);
    assert_eq!(entries, database.entries().iter().filter(|entry| is_about_acs(entry)).count());
}

/// What the table of facts answers, read as Linux reads it.
fn answer(facts: &[&Fact], subject: &Subject) -> Option<Claim> {
    for fact in facts.iter().filter(|fact| fact.is_about_acs()) {
        if fact.vendor() != Some(subject.vendor) {
            continue;
        }
        let ids = fact.ids();
        let listed = ids.is_empty() || ids.contains(&subject.device);
        let types = fact.port_types();
        let type_fits =
            types.is_empty() || subject.port_type.is_some_and(|port_type| types.contains(&port_type));
        let rest_fits = (!fact.require_multifunction || subject.multi_function)
            && (!fact.require_root_bus || subject.root_bus)
            && (!fact.require_acs_capability || subject.acs);
        if listed && type_fits && rest_fits {
            return Some(fact.acs_claim());
        }
        let denies = match fact.on_no_match.as_str() {
            "deny" => !listed,
            "deny-for-matching-port-type; defer-for-other-types" => !listed && type_fits,
            "defer" | "never-defers" => false,
            other => panic!("unknown on_no_match {other}"),
        };
        if denies {
            return Some(Claim::DoesNotIsolate);
        }
    }
    None
}

#[test]
fn the_first_answer_about_acs_is_the_table_s_for_every_id_in_it_and_its_neighbours() {
    let Some(facts) = facts() else { return };
    let database = builtin().expect("good");
    let vendors: BTreeSet<_> = facts.iter().filter(|f| f.is_about_acs()).filter_map(Fact::vendor).collect();
    let mut compared = 0;
    for vendor in vendors {
        let own = || facts.iter().filter(|fact| fact.is_about_acs() && fact.vendor() == Some(vendor));
        let edges = own().flat_map(|fact| &fact.device_ranges).flat_map(|r| [hex(&r.first), hex(&r.last)]);
        let listed = own().filter(|fact| fact.device_ranges.is_empty()).flat_map(Fact::ids);
        let devices: BTreeSet<u16> =
            edges.chain(listed).flat_map(|id| [id.wrapping_sub(1), id, id.wrapping_add(1)]).collect();
        let facts: Vec<_> = own().collect();
        let port_types = [None].into_iter().chain((0..=10).map(|bits| Some(DevicePortType::from_bits(bits))));
        for (device, port_type) in devices.iter().flat_map(|d| port_types.clone().map(|t| (*d, t))) {
            for bits in 0..8 {
                let subject = Subject {
                    vendor,
                    device,
                    subsystem: None,
                    revision: 0,
                    class: (0x02, 0x00),
                    port_type,
                    bridge: false,
                    multi_function: bits & 1 != 0,
                    root_bus: bits & 2 != 0,
                    function: 0,
                    acs: bits & 4 != 0,
                };
                let found = database.lookup(&subject).find(|entry| is_about_acs(entry));
                let wanted = answer(&facts, &subject);
                let found = found.map(|entry| kernels_part(&entry.claim));
                assert_eq!(found, wanted, "{subject:x?}");
                compared += 1;
            }
        }
    }
    println!("{compared} answers compared");
}

/// The table's words about an alias.
fn alias(text: &str) -> Alias {
    let devfn = |text: &str| {
        let (device, function) = text.trim().split_once('.').expect("device and function");
        (hex(device) << 3 | hex(function)) as u8
    };
    match text {
        "function 0 of the same slot" => Alias::FunctionOfSlot(0),
        "function 1 of the same slot" => Alias::FunctionOfSlot(1),
        "functions 0-4 of all 32 slots" => Alias::FunctionsOfEverySlot(4),
        "all 256 devfns" => Alias::All,
        "as Switchtec" => Alias::Unknown,
        text if text.starts_with("devfn list read from BAR0") => Alias::Unknown,
        text => {
            let list = text.trim_start_matches("fixed devfns ").trim_start_matches("fixed devfn ");
            Alias::Fixed(list.split(',').map(devfn).collect())
        }
    }
}

/// The entry about the host bridge of the fact: on the list if the fact is mainline, else a note.
fn host_bridge(database: &Database, fact: &Fact) -> usize {
    let claim = match fact.in_mainline_7_2 {
        true => Claim::HostBridgeP2p { same_host_bridge: fact.require_same_host_bridge },
        false => Claim::Note,
    };
    let ids = fact.ids();
    let found: Vec<_> = database
        .entries()
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.name.starts_with("p2p-") && entry.matches.vendor == fact.vendor())
        .filter(|(_, entry)| {
            expanded(entry).is_superset(&ids) && fact.any_device == entry.matches.devices.is_empty()
        })
        .collect();
    assert_eq!(found.len(), 1, "{} {:?}", fact.vendor, fact.devices);
    let (index, entry) = found[0];
    assert_eq!((&entry.claim, entry.matches.root_bus), (&claim, Some(true)), "{}", entry.name);
    index
}

fn mark<'d>(database: &'d Database, used: &mut BTreeSet<usize>, is: impl Fn(&Entry) -> bool) -> &'d Entry {
    let found: Vec<_> = database.entries().iter().enumerate().filter(|(_, entry)| is(entry)).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    used.insert(found[0].0);
    found[0].1
}

fn by_name<'d>(database: &'d Database, name: &str, used: &mut BTreeSet<usize>) -> &'d Entry {
    mark(database, used, |entry| entry.name == name)
}

/// The note with this in its source.
fn noted<'d>(database: &'d Database, source: &str, used: &mut BTreeSet<usize>) -> &'d Entry {
    mark(database, used, |entry| entry.claim == Claim::Note && entry.source.contains(source))
}

#[test]
fn every_id_on_the_list_of_host_bridges_is_in_the_table() {
    let Some(facts) = facts() else { return };
    let database = builtin().expect("good");
    let listed = facts.iter().filter(|f| f.kind == "host_bridge_p2p" && f.in_mainline_7_2);
    let listed: BTreeSet<_> = listed.map(|fact| (fact.vendor(), fact.ids())).collect();
    let entries = database.entries().iter().filter(|e| matches!(e.claim, Claim::HostBridgeP2p { .. }));
    let one_by_one = entries.flat_map(|entry| {
        let ids = expanded(entry);
        let any = ids.is_empty().then(BTreeSet::new);
        let each = ids.into_iter().map(|id| BTreeSet::from([id]));
        each.chain(any).map(|ids| (entry.matches.vendor, ids)).collect::<Vec<_>>()
    });
    assert_eq!(one_by_one.collect::<BTreeSet<_>>(), listed);
}

#[test]
fn every_other_fact_is_an_entry_and_there_are_no_more() {
    let Some(facts) = facts() else { return };
    let database = builtin().expect("good");
    let mut used = BTreeSet::new();
    let (mut bridges, mut allowed) = (0, 0);
    for fact in facts.iter().filter(|fact| !fact.is_about_acs()) {
        let matches = fact.matches();
        let take = |used: &mut BTreeSet<usize>, claim: Claim, matches: Match| {
            used.insert(only(&database, fact, &claim, &matches).0);
        };
        match fact.kind.as_str() {
            "acs_capability_mask" => {
                take(
                    &mut used,
                    Claim::IgnoreAcsCapability { cleared: controls(&fact.cleared_flags) },
                    matches,
                );
            }
            "dma_alias" if fact.any_device => {
                let entry = by_name(&database, "ivrs-alias", &mut used);
                assert_eq!((&entry.claim, &entry.matches), (&Claim::Note, &matches));
            }
            "dma_alias" => {
                let alias = alias(&fact.alias);
                let not_function = match alias {
                    Alias::FunctionOfSlot(function) => Some(function),
                    _ => None,
                };
                let mut place = matches;
                place.not_function = not_function;
                take(&mut used, Claim::RequesterIdAlias(alias), place);
            }
            "bridge_dma_alias" => {
                let mut place = matches;
                (place.bridge, place.pcie, place.root_bus) = (Some(true), Some(false), Some(false));
                take(&mut used, Claim::BridgeSubstitutesSecondary, place);
                bridges += fact.devices.len();
            }
            "bridge_no_alias" => take(&mut used, Claim::BridgeKeepsRequesterId, matches),
            "translation_root" => take(&mut used, Claim::TranslationRoot, matches),
            "host_bridge_p2p" => {
                used.insert(host_bridge(&database, fact));
                allowed += usize::from(fact.in_mainline_7_2);
            }
            "multifunction_change" if fact.devices.is_empty() => {
                let entry = by_name(&database, "nvidia-audio-function", &mut used);
                assert_eq!(expanded(entry), (0x08a0..=0xffff).collect());
                assert_eq!(beside_devices(entry), matches);
                assert!(entry.source.contains(&fact.handler));
            }
            "multifunction_change" => take(&mut used, Claim::Note, matches),
            "acs_enable" => {
                let part = fact.handler.split(" / ").next().unwrap_or_default();
                let evaluator = part.replace("enable_", "");
                let same = facts.iter().find(|other| other.handler == evaluator).expect("its evaluator");
                let entry = noted(&database, part, &mut used);
                assert_eq!(expanded(entry), same.ids());
                assert_eq!(beside_devices(entry), matches);
            }
            "real_dma_device" => {
                let ids =
                    [0x201d, 0x28c0, 0x467f, 0x4c3d, 0x7d0b, 0x9a0b, 0xa77f, 0xad0b, 0xb06f, 0xb07f, 0xb60b];
                let entry = by_name(&database, "vmd", &mut used);
                assert_eq!((&entry.claim, expanded(entry)), (&Claim::OwnsSegment, ids.into()));
                assert_eq!(beside_devices(entry), matches);
            }
            "port_type_fix" => {
                noted(&database, "set_pcie_port_type", &mut used);
            }
            "cpu_p2p" => {
                noted(&database, "cpu_supports_p2pdma", &mut used);
            }
            "out_of_tree" if fact.vendor == "any" => {
                let entry = noted(&database, "pcie_acs_override", &mut used);
                assert_eq!(entry.matches, matches);
            }
            "out_of_tree" => {
                let entry = noted(&database, "deepin-community/kernel", &mut used);
                assert!(entry.reason.contains(&fact.handler) && entry.matches == matches);
            }
            kind => panic!("unknown kind {kind}"),
        }
    }
    assert_eq!((bridges, allowed), (5, 21));
    let unused: Vec<_> = database
        .entries()
        .iter()
        .enumerate()
        .filter(|(n, e)| !is_about_acs(e) && !used.contains(n))
        .map(|(_, e)| &e.name)
        .collect();
    assert_eq!(unused, [] as [&String; 0], "entries without a fact");
    assert!(database.entries().iter().all(|entry| entry.layer == Layer::BuiltIn));
}
