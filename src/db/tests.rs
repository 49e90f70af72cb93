//! Tests of the database: what a condition holds for, and which entries answer.

use super::*;
use std::vec;

const ENDPOINT: Option<DevicePortType> = Some(DevicePortType::Endpoint);
const ROOT_PORT: Option<DevicePortType> = Some(DevicePortType::RootPort);
const DOWNSTREAM: Option<DevicePortType> = Some(DevicePortType::SwitchDownstreamPort);
const INTEGRATED: Option<DevicePortType> = Some(DevicePortType::RootComplexIntegratedEndpoint);

fn subject(vendor: u16, device: u16, port_type: Option<DevicePortType>) -> Subject {
    Subject {
        vendor,
        device,
        subsystem: None,
        revision: 0,
        class: (0x02, 0x00),
        port_type,
        bridge: false,
        multi_function: false,
        root_bus: false,
        function: 0,
        acs: false,
    }
}

/// Name of the entry that answers whether the function isolates, without regard to its conditions.
fn acs(subject: &Subject) -> Option<String> {
    let database = builtin().expect("the built-in data is good");
    let answer = database.lookup(subject).find(|entry| {
        matches!(entry.claim, Claim::Isolates { .. } | Claim::DoesNotIsolate | Claim::AcsLayout { .. })
    });
    answer.map(|entry| entry.name.clone())
}

#[test]
fn the_first_answer_about_acs_is_linux_s() {
    for (vendor, device, port_type, name) in [
        (0x8086, 0x10fb, ENDPOINT, Some("intel-ethernet-endpoints")),
        (0x8086, 0x10c6, INTEGRATED, Some("intel-ethernet-endpoints")),
        (0x8086, 0x9a60, INTEGRATED, Some("intel-integrated-endpoints")),
        (0x8086, 0x9a60, ENDPOINT, None),
        (0x8086, 0x1c10, ROOT_PORT, Some("intel-pch-root-ports")),
        (0x8086, 0x1c10, ENDPOINT, None),
        (0x8086, 0x1d11, ROOT_PORT, None),
        (0x8086, 0xa294, ROOT_PORT, None),
        (0x177d, 0xa026, ROOT_PORT, Some("cavium-thunderx-root-ports")),
        (0x177d, 0xa026, ENDPOINT, Some("cavium-thunderx-endpoints")),
        (0x1d17, 0x0721, ROOT_PORT, Some("zhaoxin-ports")),
        (0x1d17, 0x0722, ROOT_PORT, Some("zhaoxin-other-ports")),
        (0x1d17, 0x0720, DOWNSTREAM, Some("zhaoxin-other-ports")),
        (0x1d17, 0x0720, ENDPOINT, None),
        (0x1d17, 0x3038, ROOT_PORT, Some("zhaoxin-endpoints")),
        (0x8088, 0x1001, ENDPOINT, Some("wangxun-endpoints")),
        (0x8088, 0x1002, ENDPOINT, Some("wangxun-other-functions")),
        (0x8088, 0x1002, None, Some("wangxun-other-functions")),
        (0x17cb, 0x0400, ENDPOINT, Some("qualcomm-root-ports")),
        (0x1234, 0x1111, ENDPOINT, None),
    ] {
        let answer = acs(&subject(vendor, device, port_type));
        assert_eq!(answer.as_deref(), name, "{vendor:04x}:{device:04x} {port_type:?}");
    }
}

#[test]
fn a_shifted_layout_needs_an_acs_capability() {
    let mut port = subject(0x8086, 0xa294, ROOT_PORT);
    assert_eq!(acs(&port), None);
    port.acs = true;
    assert_eq!(acs(&port).as_deref(), Some("intel-pch-shifted-acs"));
    port.port_type = ENDPOINT;
    assert_eq!(acs(&port), None);
}

#[test]
fn amd_s_southbridge_isolates_only_on_a_root_bus_with_other_functions_and_an_ivrs_table() {
    let mut bridge = subject(0x1022, 0x780f, None);
    assert_eq!(acs(&bridge), None);
    bridge.multi_function = true;
    assert_eq!(acs(&bridge), None);
    bridge.root_bus = true;
    assert_eq!(acs(&bridge).as_deref(), Some("amd-southbridge"));
    let database = builtin().expect("good");
    let entry = database.lookup(&bridge).find(|entry| entry.name == "amd-southbridge").expect("found");
    let condition = Condition { kind: ConditionKind::AcpiTable("IVRS".into()), denies: false };
    assert_eq!(entry.conditions, [condition]);
    let redirects = AcsControl::REQUEST_REDIRECT | AcsControl::COMPLETION_REDIRECT;
    let ignored =
        AcsControl::SOURCE_VALIDATION | AcsControl::TRANSLATION_BLOCKING | AcsControl::UPSTREAM_FORWARDING;
    assert_eq!(entry.claim, Claim::Isolates { services: redirects, ignored, open: AcsControl::empty() });
}

#[test]
fn an_intel_pch_port_does_not_isolate_unless_the_kernel_has_done_its_step() {
    let database = builtin().expect("good");
    let port = subject(0x8086, 0x8d1e, ROOT_PORT);
    let entry = database.lookup(&port).find(|entry| entry.claim != Claim::Note).expect("found");
    assert_eq!(entry.claim.word(), "isolates");
    assert!(matches!(
        entry.conditions.as_slice(),
        [Condition { kind: ConditionKind::BootStep(_), denies: true }]
    ));
}

#[test]
fn a_marvell_controller_uses_the_id_of_function_1() {
    let database = builtin().expect("good");
    let mut controller = subject(0x1b4b, 0x9230, ENDPOINT);
    let alias = database.lookup(&controller).find_map(|entry| match &entry.claim {
        Claim::RequesterIdAlias(alias) => Some(alias.clone()),
        _ => None,
    });
    assert_eq!(alias, Some(Alias::FunctionOfSlot(1)));
    controller.function = 1;
    assert!(!database.lookup(&controller).any(|entry| entry.name == "marvell-function-1"));
}

#[test]
fn a_bridge_substitutes_only_where_it_hides_its_capability_below_the_root_bus() {
    let database = builtin().expect("good");
    let mut bridge = Subject { bridge: true, ..subject(0x1b21, 0x1080, None) };
    let substitutes = |s: &Subject| database.lookup(s).any(|e| e.claim == Claim::BridgeSubstitutesSecondary);
    assert!(substitutes(&bridge));
    bridge.root_bus = true;
    assert!(!substitutes(&bridge));
    assert!(!substitutes(&Subject { bridge: true, ..subject(0x1b21, 0x1080, DOWNSTREAM) }));
}

#[test]
fn later_layers_go_first_and_within_a_layer_the_order_stays() {
    let text = |name: &str, matches: &str| {
        std::format!(
            "schema = 1\n[[entry]]\nname = \"{name}\"\nkind = \"does-not-isolate\"\nsource = \"s\"\nreason = \"r\"\nmatch = {matches}"
        )
    };
    let mut entries = parse(BUILTIN, Layer::BuiltIn, "").expect("good").entries;
    for (layer, name, matches) in [
        (Layer::Distribution, "distribution", "{ vendor = \"8086\" }"),
        (Layer::CommandLine, "any", "{ root_bus = false }"),
        (Layer::Administrator, "administrator", "{ vendor = \"8086\" }"),
    ] {
        entries.extend(parse(&text(name, matches), layer, "f").expect("good").entries);
    }
    let database = Database::new(entries);
    let card = subject(0x8086, 0x10fb, ENDPOINT);
    let names: Vec<_> = database.lookup(&card).map(|entry| entry.name.as_str()).collect();
    let last = ["ivrs-alias", "acs-override-patch"];
    let first = ["any", "administrator", "distribution", "intel-ethernet-endpoints"];
    assert_eq!(names, [first.as_slice(), &last].concat());
}

#[test]
fn the_index_by_vendor_finds_what_a_walk_over_all_entries_finds() {
    let database = builtin().expect("good");
    for vendor in [0x0000, 0x0014, 0x1022, 0x8086, 0x8088, 0x1b4b, 0xffff] {
        for port_type in [None, ROOT_PORT, INTEGRATED] {
            let subject = subject(vendor, 0x10fb, port_type);
            let walked: Vec<_> =
                database.entries().iter().filter(|entry| entry.matches.holds(&subject)).collect();
            let found: Vec<_> = database.lookup(&subject).collect();
            assert_eq!(found, walked, "{vendor:04x}");
        }
    }
}

#[test]
fn a_subsystem_and_a_revision_must_be_the_listed_ones() {
    let matches =
        Match { subsystems: vec![(0x9005, 0x02bb)], revisions: Some((0x02, 0x04)), ..Match::default() };
    let mut subject = Subject { revision: 0x03, ..subject(1, 1, None) };
    assert!(!matches.holds(&subject));
    subject.subsystem = Some((0x9005, 0x02bb));
    assert!(matches.holds(&subject));
    subject.revision = 0x05;
    assert!(!matches.holds(&subject));
}
