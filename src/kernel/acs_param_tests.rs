//! Each trap of the two options, on a small machine.

use super::*;
use crate::testkit::{Config, Machine};
use alloc::format;

/// Two root ports, a switch below the first, and an endpoint below its second downstream port.
fn machine() -> Topology {
    Machine::new()
        .with("00:01.0", Config::root_port(1, 4))
        .with("00:02.0", Config::root_port(5, 5))
        .with("01:00.0", Config::upstream(2, 4))
        .with("02:00.0", Config::downstream(0, 3, 3))
        .with("02:01.0", Config::downstream(1, 4, 4))
        .with("04:00.0", Config::endpoint())
        .topology()
}

fn at(topology: &Topology, address: &str) -> FunctionIndex {
    topology.index_of(address.parse().expect("valid")).expect("in the dump")
}

/// What a `config_acs` value makes of 5Fh as firmware left it, in the function at `address`.
fn configured(value: &str, address: &str) -> u16 {
    let topology = machine();
    let options = AcsOptions::of_command_line(&format!("pci=config_acs={value}"));
    let firmware = AcsControl::from_bits_retain(0x5f);
    let standard = AcsControl::from_bits_retain(0x1d);
    options.control(&topology, at(&topology, address), firmware, standard).bits()
}

const UNTOUCHED: u16 = 0x1d;

#[test]
fn bits_are_read_from_the_right_and_x_keeps_what_firmware_set() {
    assert_eq!(configured("1@00:01.0", "00:01.0"), 0x5f);
    assert_eq!(configured("0@00:01.0", "00:01.0"), 0x5e);
    assert_eq!(configured("01x0xx0@00:01.0", "00:01.0"), 0x36);
    assert_eq!(configured("xxxxxxxxxxx@00:01.0", "00:01.0"), 0x5f, "x may stand anywhere");
    assert_eq!(configured("1@00:01.0", "00:02.0"), UNTOUCHED);
}

#[test]
fn the_first_entry_that_matches_wins() {
    let value = "0000000@00:02.0;1111111@0000:00:01.0;0@00:01.0";
    assert_eq!(configured(value, "00:01.0"), 0x7f);
    assert_eq!(configured(value, "00:02.0"), 0);
}

#[test]
fn a_malformed_entry_voids_what_follows_and_not_what_stands_before() {
    for (bad, kind) in [
        ("00:02.0", ProblemKind::BitsMissing),
        ("1y1@00:02.0", ProblemKind::BitInvalid('y')),
        ("10000000@00:02.0", ProblemKind::BitAbove6),
        ("1@pci:8086", ProblemKind::DeviceMalformed),
    ] {
        assert_eq!(configured(&format!("{bad};0@00:01.0"), "00:01.0"), UNTOUCHED, "{bad}");
        assert_eq!(configured(&format!("0@00:01.0;{bad}"), "00:01.0"), 0x5e, "{bad}");
        let line = format!("quiet pci=config_acs=0@00:01.0;{bad}");
        let problems = AcsOptions::of_command_line(&line).config_acs.expect("there").problems;
        assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
        assert_eq!(problems[0].kind, kind);
        assert!(kind.voids());
        let from_there = &line[problems[0].at..];
        assert!(bad.ends_with(from_there), "{bad}: {from_there}");
    }
}

#[test]
fn a_path_is_followed_through_the_hierarchy_whatever_the_bus_numbers_are() {
    assert_eq!(configured("0@00:01.0/0.0/1.0", "02:01.0"), 0x5e);
    assert_eq!(configured("0@00:01.0/0.0/1.0/0.0", "04:00.0"), 0x5e);
    assert_eq!(configured("0@1:0.0/1.0", "02:01.0"), 0x5e, "from any bus");
    assert_eq!(configured("0@00:02.0/0.0/1.0", "02:01.0"), UNTOUCHED);
    assert_eq!(configured("0@1:00:01.0/0.0/1.0", "02:01.0"), UNTOUCHED, "another domain");
}

#[test]
fn a_path_is_read_from_its_end_so_that_its_damage_shows_to_some_functions_only() {
    let value = "0@zz/0.0/1.0;0@00:01.0;0@02:01.0";
    assert_eq!(configured(value, "00:01.0"), 0x5e, "its end does not match: the rest is not read");
    assert_eq!(configured(value, "02:01.0"), UNTOUCHED);
}

#[test]
fn ids_match_with_zero_for_any() {
    // The functions of the test machine are 1af4:1001.
    assert_eq!(configured("0@pci:1af4:1001", "00:01.0"), 0x5e);
    assert_eq!(configured("0@pci:0:0", "04:00.0"), 0x5e);
    assert_eq!(configured("0@pci:1af4:0:0:0", "04:00.0"), 0x5e);
    assert_eq!(configured("0@pci:8086:0", "04:00.0"), UNTOUCHED);
    assert_eq!(configured("0@pci:1af4:0:1028:0", "04:00.0"), UNTOUCHED, "no such subsystem");
    assert_eq!(configured("0@pci:8086:1;0@pci:1af4:1001", "04:00.0"), 0x5e);
    assert_eq!(configured("0@pci:8086:1:2;0@pci:1af4:1001", "04:00.0"), UNTOUCHED, "three numbers");
}

#[test]
fn a_comma_ends_the_option() {
    assert_eq!(configured("0@00:02.0,0@00:01.0", "00:01.0"), UNTOUCHED);
}

#[test]
fn disable_acs_redir_also_takes_back_what_the_kernel_had_added() {
    let topology = machine();
    let index = at(&topology, "00:01.0");
    let (firmware, kernel) = (AcsControl::from_bits_retain(0x26), AcsControl::from_bits_retain(0x3f));
    let control = |line| AcsOptions::of_command_line(line).control(&topology, index, firmware, kernel).bits();
    assert_eq!(control("pci=disable_acs_redir=00:01.0"), 0x02, "SrcValid and UpstreamFwd are gone");
    assert_eq!(
        control("pci=disable_acs_redir=00:01.0,config_acs=1@0:1.0"),
        0x27,
        "config_acs has the last word"
    );
    assert_eq!(control("pci=config_acs=1@0:1.0 pci=disable_acs_redir=00:01.0"), 0x27, "in any order");
    assert_eq!(control("pci=disable_acs_redir=00:02.0"), 0x3f);
}

#[test]
fn a_repeated_option_overwrites_the_earlier_one() {
    let options = AcsOptions::of_command_line("pci=config_acs=1@00:01.0 pci=noats,config_acs=0@00:02.0");
    assert_eq!(options.overwritten, [(15, AcsOptionName::ConfigAcs)]);
    assert_eq!(options.config_acs.expect("there").entries()[0].text, "0@00:02.0");
}

#[test]
fn the_kernel_turns_on_what_the_capability_has() {
    let capability = AcsCapability::from_bits_retain(0x5f);
    let firmware = AcsControl::DIRECT_TRANSLATED;
    assert_eq!(standard(capability, firmware, false).bits(), 0x5d);
    assert_eq!(standard(capability, firmware, true).bits(), 0x5f);
    assert_eq!(standard(AcsCapability::empty(), firmware, true).bits(), 0x40);
}

#[test]
fn any_text_is_read_to_an_end() {
    for text in [
        "",
        ";",
        "@",
        "@;@",
        "1@",
        "1@;",
        "é@00:01.0",
        "1@é",
        "1@pci:",
        "1@pci:é",
        "x@/",
        "1@0:0.0/",
        "0x@0x0:0x1.0x0",
    ] {
        for name in ["config_acs", "disable_acs_redir"] {
            let line = format!("pci={name}={text}");
            let options = AcsOptions::of_command_line(&line);
            let option = options.config_acs.or(options.disable_acs_redir).expect("there");
            for problem in option.problems {
                assert!(line.is_char_boundary(problem.at), "{line}");
            }
        }
    }
}
