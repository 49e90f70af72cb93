//! Plans that were worked out by hand from the rules of PCIe Base 6.x, §6.12 "Access Control Services", and of
//! Linux's groups (drivers/iommu/iommu.c, `pci_device_group`), each with its derivation.
#![cfg(all(feature = "std", feature = "testkit"))]

mod support;

use std::path::Path;

use acsscan::db;
use acsscan::dump::{self, Input, Options};
use acsscan::function::Inventory;
use acsscan::route::Assumptions;
use acsscan::route::effect::effects;
use acsscan::route::fabric::Fabric;
use acsscan::route::linux::Linux;
use acsscan::route::plan::emit::{self, Parameters};
use acsscan::route::plan::{Measure, Outcome, Plan, connect, isolate};
use acsscan::testkit::{Config, Machine};
use acsscan::topology::{FunctionIndex, Topology};
use support::shared;

/// What a plan comes to, as it is printed.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    setpci: Vec<String>,
    undo: Vec<String>,
    config_acs: String,
    disable_acs_redir: Option<String>,
    /// How many pairs of functions become less safe in some class of transaction, and how many safer.
    opened_and_closed: [u64; 2],
}

fn read(path: &Path) -> Topology {
    let mut inventory = Inventory::new();
    dump::read(&Input::Path(path.to_owned()), &Options::default(), &mut inventory).expect("readable");
    Topology::new(inventory.finish())
}

/// A machine whose firmware left ACS off, captured with the IOMMU off.
fn off() -> Topology {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/kernel-iommu-off/configs"))
}

fn at(topology: &Topology, address: &str) -> FunctionIndex {
    topology.index_of(address.parse().expect("an address")).expect("in the dump")
}

fn isolated(topology: &Topology, measure: Measure, name: &str) -> (Plan, Topology) {
    let database = db::builtin().expect("good");
    let outcome = isolate(topology, &database, &Assumptions::default(), measure, &[at(topology, name)]);
    carried_out(topology, outcome)
}

fn connected(topology: &Topology, a: &str, b: &str) -> (Plan, Topology) {
    let database = db::builtin().expect("good");
    let pair = (at(topology, a), at(topology, b));
    carried_out(topology, connect(topology, &database, &Assumptions::default(), &[pair]))
}

fn carried_out(topology: &Topology, outcome: Outcome) -> (Plan, Topology) {
    let Outcome::Reached(plan) = outcome else { panic!("{outcome:?}") };
    assert!(plan.proved_smallest);
    let mut after = topology.clone();
    plan.apply(&mut after, false);
    (plan, after)
}

fn told(before: &Topology, (plan, after): &(Plan, Topology)) -> Told {
    let database = db::builtin().expect("good");
    let (old, new) = (Fabric::new(before, &database), Fabric::new(after, &database));
    let places: Vec<Option<FunctionIndex>> = (0..before.functions().len()).map(Some).collect();
    let found = effects(&old, &new, &places, &Assumptions::default()).expect("few classes");
    let Parameters::Pci { config_acs, disable_acs_redir } = emit::parameters(before, after, plan) else {
        panic!("bits below 7 of the word at +06h")
    };
    let opened = found.iter().filter(|effect| effect.opens()).map(|effect| effect.pairs).sum();
    let closed = found.iter().filter(|effect| effect.closes()).map(|effect| effect.pairs).sum();
    Told {
        setpci: emit::setpci(before, plan),
        undo: emit::undo(before, plan),
        config_acs,
        disable_acs_redir,
        opened_and_closed: [opened, closed],
    }
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| format!("setpci -s {line}")).collect()
}

/// The functions that Linux groups with one.
fn group(topology: &Topology, name: &str) -> Vec<String> {
    let grouping = Linux::new(topology, &db::builtin().expect("good")).group();
    let group = grouping.group_of[at(topology, name)].expect("grouped");
    let functions = grouping.groups[group].functions.iter();
    functions.map(|index| topology.functions()[*index].address.to_string()).collect()
}

/// 00:03.0 and 00:03.1 are two root ports of one device, with nothing on. Requests and completions from 06:00.0
/// come in at 03.1, those from 05:00.0 and 05:00.1 at 03.0, and without redirects nobody says what a root complex
/// does with them. Request Redirect and Completion Redirect at each port send them up: two bits at two functions.
/// Source Validation is not asked for: behind 03.1 there is 06:00.0 alone, whose IDs nobody behind 03.0 is trusted
/// with by any register, and Upstream Forwarding is of no use at a root port that redirects its own traffic.
/// Closed are the ordered pairs of 06:00.0 with 05:00.0 and 05:00.1, and those of all three with the other
/// functions of the machine, for which only what is assumed of the root complex stood before.
#[test]
fn a_function_behind_one_of_two_root_ports_of_a_device() {
    let before = off();
    let done = isolated(&before, Measure::Domains, "06:00.0");
    let told = told(&before, &done);
    assert_eq!(
        told.setpci,
        lines(&["0000:00:03.0 ECAP_ACS+6.w=000c:000c", "0000:00:03.1 ECAP_ACS+6.w=000c:000c"])
    );
    assert_eq!(
        told.undo,
        lines(&["0000:00:03.1 ECAP_ACS+6.w=0000:000c", "0000:00:03.0 ECAP_ACS+6.w=0000:000c"])
    );
    // DirectTrans 0, EgressCtrl not offered, UpstreamFwd 0, both redirects 1, TransBlk 0, SrcValid 0.
    assert_eq!(told.config_acs, "config_acs=0x01100@0000:00:03.0;0x01100@0000:00:03.1");
    assert_eq!(told.disable_acs_redir, None, "nothing goes off");
    // Initiators: 03:00.0, 04:00.0, 05:00.0, 05:00.1, 06:00.0, 07:00.0, 1f.0, 1f.2, 1f.3. From 06:00.0 to the
    // 8 others, and from each of 05:00.0 and 05:00.1 to the 7 that are not the other one of their device.
    assert_eq!(told.opened_and_closed, [0, 8 + 2 * 7]);
}

/// Linux puts 06:00.0 into the group of 03.1 because that port does not isolate, and 03.1 into that of 03.0
/// because they are functions of one device of which neither does. It asks for all four of Source Validation, both
/// redirects and Upstream Forwarding, which these ports offer. Either port alone would do; that above 06:00.0 is
/// taken, and what is behind the other stays with the other.
#[test]
fn a_group_of_linux_behind_one_of_two_root_ports_of_a_device() {
    let before = off();
    let whole = ["00:03.0", "00:03.1", "05:00.0", "05:00.1", "06:00.0"].map(|name| format!("0000:{name}"));
    assert_eq!(group(&before, "06:00.0"), whole);
    let done = isolated(&before, Measure::LinuxGroups, "06:00.0");
    let told = told(&before, &done);
    assert_eq!(told.setpci, lines(&["0000:00:03.1 ECAP_ACS+6.w=001d:001d"]));
    assert_eq!(told.undo, lines(&["0000:00:03.1 ECAP_ACS+6.w=0000:001d"]));
    assert_eq!(told.config_acs, "config_acs=0x11101@0000:00:03.1");
    assert_eq!(told.opened_and_closed, [0, 8], "what 06:00.0 sends");
    assert_eq!(group(&done.1, "06:00.0"), ["0000:06:00.0"]);
    assert_eq!(group(&done.1, "05:00.0"), ["0000:00:03.0", "0000:05:00.0", "0000:05:00.1"]);
}

/// The switch's downstream ports have no ACS, so that Linux puts 04:00.0 into the group of 02:01.0; with the root
/// port isolating, it goes no higher, and the two ports of the switch are devices of their own. 04:00.0 is then
/// with a port only, which need not be assigned. (03:00.0 still reaches it directly, which Linux does not ask.)
#[test]
fn a_group_of_linux_below_a_switch_without_acs() {
    let before = off();
    let done = isolated(&before, Measure::LinuxGroups, "04:00.0");
    let told = told(&before, &done);
    assert_eq!(told.setpci, lines(&["0000:00:02.0 ECAP_ACS+6.w=001d:001d"]));
    assert_eq!(told.undo, lines(&["0000:00:02.0 ECAP_ACS+6.w=0000:001d"]));
    assert_eq!(told.config_acs, "config_acs=0x11101@0000:00:02.0");
    // From 03:00.0 and 04:00.0 to the 7 that are not below the root port.
    assert_eq!(told.opened_and_closed, [0, 2 * 7]);
    assert_eq!(group(&done.1, "04:00.0"), ["0000:02:01.0", "0000:04:00.0"]);
}

/// Both ports redirect, but 02:01.0 does not validate requester IDs: the next port above 03:00.0 that does is the
/// root port, whose buses include bus 04. 03:00.0 may send as 04:00.0, and for the IOMMU is it. One bit ends that.
#[test]
fn a_function_whose_requester_id_a_neighbour_may_use() {
    let port = |number, bus, control| Config::downstream(number, bus, bus).acs(0x001f, control, 0);
    let before = Machine::new()
        .with("00:01.0", Config::root_port(1, 4).acs(0x001f, 0x001d, 0))
        .with("01:00.0", Config::upstream(2, 4))
        .with("02:01.0", port(1, 3, 0x001c))
        .with("02:02.0", port(2, 4, 0x001d))
        .with("03:00.0", Config::endpoint())
        .with("04:00.0", Config::endpoint())
        .topology();
    let done = isolated(&before, Measure::Domains, "04:00.0");
    let told = told(&before, &done);
    assert_eq!(told.setpci, lines(&["0000:02:01.0 ECAP_ACS+6.w=0001:0001"]));
    assert_eq!(told.undo, lines(&["0000:02:01.0 ECAP_ACS+6.w=0000:0001"]));
    // The port offers no EgressCtrl and no DirectTrans, and firmware is to leave TransBlk off.
    assert_eq!(told.config_acs, "config_acs=xx11101@0000:00:01.0/00.0/01.0");
    assert_eq!(told.opened_and_closed, [0, 0], "no route changes");
}

/// 02:00.0 and 02:03.0 have SrcValid, ReqRedir, CmpltRedir and UpstreamFwd on, and offer no egress control;
/// neither NVMe drive nor network card has ATS. What comes in at each of the two ports is redirected, requests by
/// the one bit and completions by the other: both go off at both. From 03:00.0 the way is open to all seven other
/// devices below the switch then (eight functions), and so it is from 04:00.0; what the others send is redirected
/// as before (or was direct already, behind the three ports without ACS).
#[test]
fn two_devices_below_the_switch_of_an_x570_board() {
    let Some(dumps) = shared("realworld") else { return };
    let before = read(&dumps.join("nvidia-bug-reports/x570-aorus-master/lspci.txt"));
    let done = connected(&before, "03:00.0", "04:00.0");
    let told = told(&before, &done);
    assert_eq!(
        told.setpci,
        lines(&["0000:02:00.0 ECAP_ACS+6.w=0000:000c", "0000:02:03.0 ECAP_ACS+6.w=0000:000c"])
    );
    assert_eq!(
        told.undo,
        lines(&["0000:02:03.0 ECAP_ACS+6.w=000c:000c", "0000:02:00.0 ECAP_ACS+6.w=000c:000c"])
    );
    // UpstreamFwd and SrcValid stay.
    assert_eq!(told.config_acs, "config_acs=0x10001@0000:00:01.2/00.0/00.0;0x10001@0000:00:01.2/00.0/03.0");
    let redir = "disable_acs_redir=0000:00:01.2/00.0/00.0;0000:00:01.2/00.0/03.0";
    assert_eq!(told.disable_acs_redir.as_deref(), Some(redir), "only redirects go off");
    assert_eq!(told.opened_and_closed, [2 * 8, 0]);
    // Neither port isolates for Linux any more.
    assert_eq!(group(&done.1, "03:00.0"), ["0000:02:00.0", "0000:03:00.0"]);
}

/// The same switch behind host bridge 20 of a workstation: 25:00.0 and 25:00.1 are functions of one device, which
/// does not route between them, so that what goes from the one to the other comes to 22:02.0 with its target behind
/// that same port. Upstream Forwarding stays on there: these two stay apart as routes go, though the group holds
/// both. 23:00.0 reaches the eleven others below the switch, each of the two reaches ten: all but each other.
#[test]
fn a_drive_and_a_network_card_below_the_switch_of_a_wrx80_board() {
    let Some(dumps) = shared("realworld") else { return };
    let before = read(&dumps.join("nvidia-bug-reports/wrx80e-sage-a/lspci.txt"));
    let done = connected(&before, "23:00.0", "25:00.0");
    let told = told(&before, &done);
    assert_eq!(
        told.setpci,
        lines(&["0000:22:00.0 ECAP_ACS+6.w=0000:000c", "0000:22:02.0 ECAP_ACS+6.w=0000:000c"])
    );
    assert_eq!(
        told.undo,
        lines(&["0000:22:02.0 ECAP_ACS+6.w=000c:000c", "0000:22:00.0 ECAP_ACS+6.w=000c:000c"])
    );
    assert_eq!(told.config_acs, "config_acs=0x10001@0000:20:01.1/00.0/00.0;0x10001@0000:20:01.1/00.0/02.0");
    assert_eq!(told.opened_and_closed, [11 + 2 * 10, 0]);
    assert_eq!(group(&done.1, "25:00.0"), ["0000:22:02.0", "0000:25:00.0", "0000:25:00.1"]);
}
