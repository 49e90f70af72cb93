//! Each kind of lint, and what is none.

use super::*;
use crate::testkit::{Config, Machine};

fn kinds(line: &str, version: &str) -> Vec<Kind> {
    lint(line, version.parse().ok(), Some(&machine())).into_iter().map(|lint| lint.kind).collect()
}

fn machine() -> Topology {
    Machine::new()
        .with("00:01.0", Config::root_port(1, 1).acs(0x1f, 0x1d, 0))
        .with("00:02.0", Config::root_port(2, 2).acs(0x1f, 0x1d, 0))
        .with("00:03.0", Config::conventional())
        .topology()
}

#[test]
fn what_does_not_exist_or_takes_a_patch_is_told_with_its_place() {
    let line = "quiet pci=noacs,noats pcie_acs_override=downstream,multifunction";
    let found = lint(line, None, None);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].kind, found[0].at, found[0].parameter.as_str()), (Kind::Unknown, 10, "noacs"));
    assert_eq!((found[1].kind, found[1].at), (Kind::NeedsPatch, 22));
    assert_eq!(kinds("intel_iommu=on iommu=pt", "6.12"), [Kind::PassThrough]);
}

#[test]
fn versions_decide_what_the_kernel_has() {
    let line = "pci=config_acs=1@00:01.0";
    assert_eq!(kinds(line, "6.10.14"), [Kind::NotInThisKernel]);
    for version in ["6.11.2", "6.12.22", "6.13.10", "6.14.1-arch1"] {
        assert_eq!(kinds(line, version), [Kind::MisreadByThisKernel], "{version}");
    }
    for version in ["6.12.23", "6.13.11", "6.14.2", "6.15.0", "7.2.13"] {
        assert_eq!(kinds(line, version), [], "{version}");
    }
    assert_eq!(kinds("pci=disable_acs_redir=00:01.0", "4.18"), [Kind::NotInThisKernel]);
}

#[test]
fn commas_between_entries_are_told_as_such() {
    let found = lint("pci=config_acs=1@00:01.0,1@00:02.0", None, None);
    assert_eq!(found.len(), 1);
    assert!(found[0].kind == Kind::Unknown && found[0].message.contains("';'"), "{found:?}");
}

#[test]
fn malformed_entries_say_their_column_and_what_is_lost() {
    let found = lint("ro pci=config_acs=1y@00:01.0;0@00:02.0", None, None);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, found[0].at), (Kind::Malformed, 19));
    assert!(found[0].message.contains("column 20") && found[0].message.contains("nothing counts"));
}

#[test]
fn conflicts_and_entries_without_effect_are_found_in_the_topology() {
    assert_eq!(kinds("pci=config_acs=1@00:01.0 pci=config_acs=1@00:02.0", "7.2"), [Kind::Overwritten]);
    assert_eq!(kinds("pci=config_acs=1@00:01.0;0@0:1.0", "7.2"), [Kind::WithoutEffect]);
    assert_eq!(kinds("pci=config_acs=1@00:03.0", "7.2"), [Kind::WithoutEffect], "it has no ACS");
    assert_eq!(kinds("pci=config_acs=1@05:00.0", "7.2"), [Kind::WithoutEffect]);
    let both = "pci=disable_acs_redir=00:01.0;00:02.0,config_acs=1@00:01.0";
    let found = lint(both, "7.2".parse().ok(), Some(&machine()));
    let conflict = found.iter().find(|lint| lint.kind == Kind::Conflict).expect("found");
    assert_eq!(conflict.functions, ["00:01.0".parse().expect("valid")]);
}

#[test]
fn an_option_that_this_kernel_lacks_does_nothing_to_any_function() {
    let both = "pci=disable_acs_redir=00:01.0,config_acs=1@00:01.0;0@05:00.0;zz";
    assert_eq!(kinds(both, "6.8"), [Kind::NotInThisKernel], "what only the other says, and no last word");
    let since = kinds(both, "7.2");
    assert_eq!(since, [Kind::Conflict, Kind::TakesBack, Kind::WithoutEffect, Kind::Malformed]);
}

#[test]
fn only_kernels_since_6_11_take_back_more_than_redirection() {
    let redir = "pci=disable_acs_redir=00:01.0";
    assert_eq!(kinds(redir, "6.10.14"), []);
    assert_eq!(kinds(redir, "6.11"), [Kind::TakesBack]);
    assert_eq!(kinds("quiet", "7.2"), []);
    let unknown = lint(redir, None, Some(&machine()));
    assert!(unknown[0].message.contains("on kernels since 6.11"), "{unknown:?}");
    let known = lint(redir, "7.2".parse().ok(), Some(&machine()));
    assert!(!known[0].message.contains("6.11"), "{known:?}");
}

#[test]
fn advice_about_bus_numbers_is_for_entries_that_match_nothing() {
    let message = |line: &str| lint(line, None, Some(&machine()))[0].message.clone();
    assert!(message("pci=config_acs=1@05:00.0").contains("bus numbers"));
    assert!(!message("pci=config_acs=1@00:03.0").contains("bus numbers"), "it has no ACS");
}

#[test]
fn what_lifts_vfio_s_protection_is_told_where_it_is_on() {
    for on in [
        "vfio.enable_unsafe_noiommu_mode=1",
        "vfio-iommu-type1.allow_unsafe_interrupts=Y",
        "vfio.enable_unsafe_noiommu_mode",
    ] {
        assert_eq!(kinds(on, "7.2"), [Kind::Unsafe], "{on}");
    }
    for off in [
        "vfio.enable_unsafe_noiommu_mode=0",
        "vfio_iommu_type1.allow_unsafe_interrupts=off",
        "iommu.passthrough=0",
    ] {
        assert_eq!(kinds(off, "7.2"), [], "{off}");
    }
    assert_eq!(kinds("iommu.passthrough=on", "7.2"), [Kind::PassThrough]);
}

#[test]
fn an_empty_option_is_named() {
    let found = lint("ro pci=config_acs=", None, None);
    assert_eq!((found[0].kind, found[0].parameter.as_str()), (Kind::Malformed, "config_acs"));
}

#[test]
fn what_no_kernel_could_hold_is_looked_at_and_told_in_part() {
    let line = format!("pci=disable_acs_redir={}00:01.0", "pci:1:1;".repeat(8_100));
    let options = AcsOptions::of_command_line(&line);
    let option = options.disable_acs_redir.as_ref().expect("there");
    assert_eq!((option.entries().len(), option.problems.len()), (8_101, 0));
    let found = lint(&line, None, Some(&machine()));
    assert_eq!(found.len(), MOST + 1);
    assert!(found[MOST].message.starts_with("7901 more findings"), "{:?}", found[MOST]);
    // Nothing is written twice: damaged entries say themselves, not what follows.
    let line = format!("pci=disable_acs_redir={}", "z;".repeat(50_000));
    let found = lint(&line, None, None);
    assert!(found.iter().all(|lint| lint.parameter == "z"), "{:?}", found[0]);
}

#[test]
fn any_line_is_looked_through() {
    for line in [
        "",
        "pci",
        "pci=",
        "pci=,,",
        "pci=config_acs",
        "pci=config_acs=",
        "\"",
        "é=ß pci=é",
        "pci=config_acs=@",
    ] {
        let _ = lint(line, None, Some(&machine()));
    }
}
