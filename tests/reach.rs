//! Reachability as a user asks for it: pairs, domains, disagreement with the kernel, explanations.
#![cfg(feature = "cli")]

mod support;

use serde_json::Value;
use support::{acsscan, files, shared};

/// A machine with a switch whose downstream ports have no ACS.
const DUMP: &str = "corpus/qemu-sriov/dump.txt";

fn json(arguments: &[&str]) -> Value {
    let output = acsscan(&[arguments, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn two_endpoints_behind_ports_without_acs_reach_each_other_though_the_kernel_separates_them() {
    let route = json(&["p2p", "07:00.0", "08:00.0", "--dump", DUMP]);
    assert_eq!(route["routes"][0]["tlp"], "memory-untranslated");
    assert_eq!(route["routes"][0]["disposition"], "direct");
    assert_eq!(route["routes"][0]["reason"], "port-without-acs");
    assert_eq!(route["routes"][0]["hops"][0]["function"], "0000:06:00.0");
    assert_eq!(route["routes"][0]["hops"][0]["evidence"][0]["structure"], "ACS capability");
    assert_eq!(route["routes"].as_array().map(Vec::len), Some(5), "one for each class of transaction");
    let differ = json(&["groups", "--model", "spec,linux", "--dump", DUMP]);
    let worst = &differ["disagreements"][0];
    assert_eq!(worst["kind"], "separated-although-direct");
    let functions = worst["functions"].as_array().expect("functions");
    assert!(functions.contains(&"0000:07:00.0".into()) && functions.contains(&"0000:08:00.0".into()));
    let explained = json(&["explain", "07:00.0", "08:00.0", "--dump", DUMP]);
    assert_eq!(explained["other"]["verdict"], "not isolated");
    assert_eq!(explained["way_up"][0]["acs"], "no ACS capability");
    let changes = explained["remedies"].as_array().expect("remedies");
    assert!(changes.iter().any(|change| change["reason"] == "port-without-acs"), "{changes:?}");
}

#[test]
fn libvirt_refuses_what_is_behind_a_switch_without_acs_and_nothing_else() {
    let libvirt = json(&["groups", "--model", "libvirt", "--dump", DUMP]);
    let groups = libvirt["groups"].as_array().expect("groups");
    let shared: Vec<&Value> = groups.iter().filter(|group| group["why"] != serde_json::json!([])).collect();
    assert_eq!(shared.len(), 1, "one switch");
    let refused: Vec<&str> =
        shared[0]["why"].as_array().expect("why").iter().filter_map(|why| why["function"].as_str()).collect();
    assert_eq!(refused, ["0000:07:00.0", "0000:08:00.0", "0000:09:00.0", "0000:0a:00.0"]);
    assert_eq!(acsscan(&["groups", "--model", "linux,linux", "--dump", DUMP]).status.code(), Some(2));
}

#[test]
fn the_assumption_is_printed_first_and_can_be_dropped() {
    let scan = json(&["--dump", DUMP]);
    assert!(scan["assumptions"][0].as_str().is_some_and(|text| text.contains("root complex")));
    let domains = |scan: &Value| scan["domains"].as_array().map_or(0, Vec::len);
    let dropped = json(&["--root-complex", "unknown", "--dump", DUMP]);
    assert!(
        domains(&scan) > 5 && domains(&dropped) < domains(&scan),
        "{} {}",
        domains(&scan),
        domains(&dropped)
    );
    let text = String::from_utf8(acsscan(&["--dump", DUMP]).stdout).expect("UTF-8");
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("Assumed")), "{text}");
}

#[test]
fn routes_domains_and_matrices_keep_to_the_schema() {
    let schema = serde_json::from_slice(&acsscan(&["schema"]).stdout).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    for arguments in [
        &["p2p", "07:00.0", "01:00.0"][..],
        &["p2p", "07:00.0", "08:00.0", "--as-configured"],
        &["p2p", "--matrix"],
        &["p2p", "--matrix", "--class", "nic,nvme"],
        &["explain", "01:10.0"],
        &["explain", "01:10.0", "01:10.1"],
        &["groups", "--model", "spec"],
        &["groups", "--model", "libvirt"],
        &["groups", "--model", "libvirt,spec"],
        &["groups", "--model", "linux,libvirt"],
        &["07:00.0"],
        &["--summary"],
    ] {
        let document = json(&[arguments, &["--dump", DUMP]].concat());
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{arguments:?}: {errors:?}");
    }
}

#[test]
fn lines_say_what_the_document_says() {
    let schema = serde_json::from_slice(&acsscan(&["schema", "--format", "jsonl"]).stdout).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    let document = json(&["--dump", DUMP]);
    let text = String::from_utf8(acsscan(&["--dump", DUMP, "--format", "jsonl"]).stdout).expect("UTF-8");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for line in &lines {
        assert!(validator.is_valid(line), "{line}");
    }
    for (kind, list) in [("domain", "domains"), ("group", "groups"), ("finding", "findings")] {
        let of_kind = lines.iter().filter(|line| line["kind"] == kind).count();
        assert_eq!(Some(of_kind), document[list].as_array().map(Vec::len), "{kind}");
    }
    assert_eq!((&lines[0]["kind"], &lines[0]["source"]), (&"source".into(), &document["source"]));
    let summary = json(&["--dump", DUMP, "--summary"]);
    assert_eq!(
        summary["domains"]["total"].as_u64(),
        document["domains"].as_array().map(|all| all.len() as u64)
    );
    assert_eq!(acsscan(&["explain", "07:00.0", "--dump", DUMP, "--format", "jsonl"]).status.code(), Some(2));
}

#[test]
fn p2p_without_two_functions_says_what_it_takes() {
    for arguments in [&["p2p"][..], &["p2p", "07:00.0"], &["p2p", "--matrix", "--class", "toaster"]] {
        assert_eq!(acsscan(&[arguments, &["--dump", DUMP]].concat()).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(acsscan(&["p2p", "07:00.0", "7f:00.0", "--dump", DUMP]).status.code(), Some(4));
}

#[test]
fn real_machines_have_more_than_one_domain_and_none_is_held_by_the_root_complex() {
    let Some(realworld) = shared("realworld") else { return };
    let mut machines = 0;
    for path in files(&realworld).iter().filter(|path| path.ends_with("lspci.txt")) {
        let scan = json(&["--dump", path.to_str().expect("UTF-8")]);
        if scan["source"]["functions"].as_u64() < Some(10) {
            continue;
        }
        let domains = scan["domains"].as_array().expect("domains");
        assert!(domains.len() > 1, "{}", path.display());
        for merge in domains.iter().flat_map(|domain| domain["why"].as_array().expect("why")) {
            let reason = merge["reason"].as_str().unwrap_or_default();
            assert!(!["root-complex", "other-host-bridge"].contains(&reason), "{}: {merge}", path.display());
        }
        machines += 1;
    }
    assert!(machines >= 15, "{machines}");
}
