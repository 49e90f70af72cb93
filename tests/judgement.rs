//! `check` and the hook on copies of a sysfs: what the running kernel did, and what is missing.
#![cfg(all(feature = "cli", feature = "testkit"))]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use acsscan::testkit::Config;
use serde_json::Value;
use support::acsscan;

/// A sysfs: two root ports with all that isolation needs, an endpoint below each, and the kernel's groups
/// of some of the functions.
struct Host {
    scratch: tempfile::TempDir,
}

impl Host {
    fn new(groups: &[(&str, u32)]) -> Self {
        let host = Self { scratch: tempfile::tempdir().expect("a directory") };
        host.put("0000:00:01.0", Config::root_port(1, 1).acs(0x001f, 0x001d, 0));
        host.put("0000:00:02.0", Config::root_port(2, 2).acs(0x001f, 0x001d, 0));
        host.put("0000:01:00.0", Config::endpoint().class(0x0200));
        host.put("0000:02:00.0", Config::endpoint().class(0x0108));
        for (address, group) in groups {
            let (device, group) = (host.device(address), format!("kernel/iommu_groups/{group}"));
            fs::create_dir_all(host.sysfs().join(&group)).expect("made");
            symlink(host.sysfs().join(group), device.join("iommu_group")).expect("made");
        }
        host
    }

    fn sysfs(&self) -> std::path::PathBuf {
        self.scratch.path().join("sys")
    }

    fn device(&self, address: &str) -> std::path::PathBuf {
        self.sysfs().join("bus/pci/devices").join(address)
    }

    fn put(&self, address: &str, config: Config) {
        let device = self.device(address);
        fs::create_dir_all(&device).expect("made");
        fs::write(device.join("config"), config.bytes()).expect("written");
    }

    /// Exit code and document of a check, of the copy or as if it were the running host.
    fn check(&self, live: bool, arguments: &[&str]) -> (Option<i32>, Value) {
        let root = self.sysfs();
        let from = ["--dump", "--sysfs-root"][usize::from(live)];
        let source = ["--format", "json", from, text(&root), "--db-root", text(self.scratch.path())];
        let output = acsscan(&[&["check"], arguments, &source].concat());
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), document)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn objections(check: &Value) -> Vec<&str> {
    let objections = check["objections"].as_array().expect("a list");
    objections.iter().filter_map(|objection| objection["code"].as_str()).collect()
}

const EACH: [(&str, u32); 4] =
    [("0000:00:01.0", 0), ("0000:00:02.0", 1), ("0000:01:00.0", 2), ("0000:02:00.0", 3)];

#[test]
fn a_function_in_no_group_among_others_that_have_one_has_no_iommu_behind_it() {
    let host = Host::new(&EACH);
    assert_eq!(host.check(false, &["01:00.0"]).1["verdict"], "assignable");
    let host = Host::new(&[EACH[0], EACH[1], EACH[3]]);
    for policy in ["spec", "linux"] {
        let (code, check) = host.check(false, &["01:00.0", "--policy", policy]);
        assert_eq!((code, objections(&check)), (Some(1), vec!["no-group"]), "{policy}");
    }
    assert_eq!(host.check(false, &["02:00.0"]).1["verdict"], "assignable");
}

#[test]
fn the_kernels_policy_asks_for_the_groups_that_it_formed() {
    let host = Host::new(&[EACH[0], EACH[1], EACH[2], ("0000:02:00.0", 2)]);
    let (code, check) = host.check(false, &["01:00.0", "--policy", "linux"]);
    assert_eq!((code, objections(&check)), (Some(1), vec!["group-shared"]));
    assert_eq!(check["objections"][0]["others"], serde_json::json!(["0000:02:00.0"]), "{check:#}");
    let both = host.check(false, &["01:00.0", "02:00.0", "--policy", "linux"]);
    assert_eq!(both.1["verdict"], "assignable");
}

#[test]
fn a_running_kernel_without_support_for_iommus_has_none_and_of_a_copy_that_is_assumed() {
    let host = Host::new(&[]);
    let (code, check) = host.check(false, &["01:00.0"]);
    assert_eq!((code, &check["verdict"]), (Some(0), &Value::from("assignable")));
    let assumed = check["assumptions"].as_array().expect("a list");
    assert!(assumed.iter().any(|text| text.as_str().expect("text").contains("IOMMU in use")), "{assumed:?}");
    // What else a kernel's sysfs has is there.
    for directory in ["class", "kernel"] {
        fs::create_dir_all(host.sysfs().join(directory)).expect("made");
    }
    let (code, check) = host.check(true, &["01:00.0"]);
    assert_eq!((code, objections(&check)), (Some(1), vec!["no-iommu"]));
}

#[test]
fn virtual_functions_that_are_on_and_not_in_the_dump_leave_it_open() {
    let host = Host::new(&[]);
    host.put("0000:01:00.0", Config::endpoint().ari().sriov(0x100, 1, 2));
    let (code, check) = host.check(false, &["01:00.0"]);
    assert_eq!((code, &check["verdict"]), (Some(3), &Value::from("inconclusive")), "{check:#}");
    let missing = check["missing"][0].as_str().expect("text");
    assert!(missing.starts_with("virtual-functions-missing"), "{missing}");
}

#[test]
fn what_is_accepted_is_not_the_verdict_where_more_is_open_and_only_passed() {
    let host = Host::new(&[]);
    for function in 0..3 {
        let endpoint = Config::endpoint().class(0x0200).multi_function();
        host.put(&format!("0000:01:00.{function}"), endpoint);
    }
    let with = |name: &str, other: &str| {
        format!(
            "[[entry]]\nname = \"{name}\"\nkind = \"accept\"\nslot = \"0000:00:01.0/00.0\"\n{other}who = \"E\"\n\
             reason = \"R\"\nuntil = 2027-01-01\n"
        )
    };
    let file = host.scratch.path().join("own.toml");
    let ask = |entries: &str, unknown: &str| {
        fs::write(&file, format!("schema = 1\n{entries}")).expect("written");
        let arguments = ["01:00.0", "--db", text(&file), "--unknown", unknown, "--today", "2026-11-01"];
        host.check(false, &arguments).1["verdict"].clone()
    };
    let one = with("one", "with = { slot = \"0000:00:01.0/00.1\" }\n");
    assert_eq!(ask(&one, "fail"), "inconclusive");
    assert_eq!(ask(&one, "warn"), "assignable", "one of two was accepted");
    assert_eq!(ask(&with("all", ""), "fail"), "accepted");
    assert_eq!(ask(&with("all", ""), "warn"), "accepted");
}

#[test]
fn the_entries_of_those_that_are_kept_apart_are_named_too() {
    let host = Host::new(&[]);
    for (function, device) in [(0, 0x0001), (2, 0x0002)] {
        let endpoint = Config::endpoint().ids(0x1af4, device).class(0x0200).multi_function();
        host.put(&format!("0000:01:00.{function}"), endpoint);
    }
    let file = host.scratch.path().join("own.toml");
    let entry = |name: &str, device: &str| {
        format!(
            "[[entry]]\nname = \"{name}\"\nkind = \"isolates\"\nmatch = {{ vendor = \"1af4\", devices = [\"{device}\"] }}\n\
             services = [\"ReqRedir\", \"CmpltRedir\"]\nsource = \"S\"\nreason = \"R\"\n"
        )
    };
    let entries = [entry("first", "0001"), entry("second", "0002")].concat();
    fs::write(&file, format!("schema = 1\n{entries}")).expect("written");
    let (_, check) = host.check(false, &["01:00.0", "--db", text(&file)]);
    assert_eq!(check["verdict"], "assignable", "{check:#}");
    let named: Vec<&str> =
        check["database"].as_array().expect("a list").iter().filter_map(|e| e["entry"].as_str()).collect();
    assert_eq!(named, ["first", "second"]);
}
