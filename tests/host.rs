//! A host's own facts, captures of it, and the hook of libvirt.
#![cfg(all(feature = "cli", feature = "testkit"))]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use acsscan::testkit::Config;
use support::{acsscan, shared, subdirectories};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, bytes).expect("written");
}

/// A machine's `sys` and `proc` made of an oracle set: its functions, with the groups that the kernel
/// formed.
fn machine(set: &Path, root: &Path) {
    let groups = fs::read_to_string(set.join("groups.json")).expect("readable");
    let groups: BTreeMap<String, Option<u32>> = serde_json::from_str(&groups).expect("JSON");
    let sysfs = root.join("sys");
    for entry in fs::read_dir(set.join("configs")).expect("a directory") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let address = name.trim_end_matches(".bin");
        let directory = sysfs.join("devices/flat").join(address);
        put(&directory.join("config"), fs::read(&path).expect("readable"));
        let link = sysfs.join("bus/pci/devices").join(address);
        fs::create_dir_all(link.parent().expect("one")).expect("made");
        symlink(format!("../../../devices/flat/{address}"), link).expect("made");
        if let Some(Some(group)) = groups.get(address) {
            symlink(format!("../../../kernel/iommu_groups/{group}"), directory.join("iommu_group"))
                .expect("made");
            put(&sysfs.join(format!("kernel/iommu_groups/{group}/type")), "DMA-FQ\n");
        }
    }
    fs::create_dir_all(sysfs.join("class/iommu/dmar0")).expect("made");
    put(&root.join("proc/cmdline"), "quiet intel_iommu=on\n");
    put(&root.join("proc/sys/kernel/osrelease"), "7.2.13\n");
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = acsscan(&[arguments, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A document without the name of its source.
fn without_source(mut document: serde_json::Value) -> serde_json::Value {
    document.as_object_mut().expect("an object").remove("source");
    document
}

#[test]
fn oracle_sets_turned_into_captures_have_the_groups_of_their_kernel() {
    let Some(oracle) = shared("oracle") else { return };
    let mut compared = 0;
    for set in subdirectories(&oracle) {
        let root = tempfile::tempdir().expect("a directory");
        machine(&set, root.path());
        if !root.path().join("sys/kernel").exists() {
            continue;
        }
        let capture = root.path().join("host.tar.zst");
        let sysfs = root.path().join("sys");
        let output = acsscan(&["capture", "--sysfs-root", text(&sysfs), "-o", text(&capture)]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            set.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.stdout.is_empty());
        let read = json(&["--dump", text(&capture)]);
        assert_eq!(read["differences"], serde_json::json!([]), "{}", set.display());
        assert_eq!(read["host"]["iommu"], "in-use");
        assert_eq!(read["host"]["mode"], "translated");
        assert_eq!(read["host"]["kernel"], "7.2.13");
        let direct = json(&["--sysfs-root", text(&sysfs)]);
        assert_eq!(without_source(read), without_source(direct), "{}", set.display());
        compared += 1;
    }
    assert!(compared > 10, "only {compared} sets");
}

#[test]
fn a_capture_of_this_host_answers_as_the_host_does() {
    if !Path::new("/sys/bus/pci/devices").exists() || acsscan(&["-n"]).status.code() == Some(4) {
        eprintln!("skipped: no PCI on this host");
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("host.tar.zst");
    let output = acsscan(&["capture", "-o", text(&file)]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
    for verb in [&[][..], &["show"], &["groups"]] {
        let here = without_source(json(&[verb, &["-n"]].concat()));
        let there = without_source(json(&[verb, &["-n", "--dump", text(&file)]].concat()));
        assert_eq!(here, there, "{verb:?}");
    }
}

#[test]
fn a_capture_is_a_tree_that_other_tools_unpack_and_overwrites_nothing() {
    let Some(oracle) = shared("oracle") else { return };
    let root = tempfile::tempdir().expect("a directory");
    machine(&oracle.join("v01-small"), root.path());
    let sysfs = root.path().join("sys");
    let file = root.path().join("host.tar.zst");
    let capture = |more: &[&str]| {
        acsscan(&[&["capture", "--sysfs-root", text(&sysfs), "-o", text(&file)], more].concat())
    };
    assert_eq!(capture(&[]).status.code(), Some(0));
    assert_eq!(capture(&[]).status.code(), Some(2), "it is there");
    assert_eq!(capture(&["--force", "--redact"]).status.code(), Some(0));
    let left: Vec<_> =
        fs::read_dir(root.path()).expect("listed").map(|e| e.expect("read").file_name()).collect();
    assert_eq!(left.len(), 3, "no temporary file stays: {left:?}");
    let unpacked = root.path().join("unpacked");
    fs::create_dir(&unpacked).expect("made");
    let tar = Command::new("tar").args(["--zstd", "-xf", text(&file), "-C", text(&unpacked)]).status();
    if !tar.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no tar with zstd");
        return;
    }
    let manifest = fs::read_to_string(unpacked.join("manifest.json")).expect("there");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(manifest["redacted"], serde_json::json!(["serials", "vpd", "hostname"]));
    assert_eq!(manifest["complete"], true);
    let direct = without_source(json(&["groups", "--sysfs-root", text(&sysfs)]));
    assert_eq!(without_source(json(&["groups", "--dump", text(&unpacked)])), direct);
    // Links lead where those of a sysfs lead: within it, wherever it is.
    assert_eq!(without_source(json(&["groups", "--sysfs-root", text(&unpacked.join("sys"))])), direct);
    let alone = root.path().join("alone");
    fs::rename(unpacked.join("sys"), &alone).expect("moved");
    let devices = alone.join("bus/pci/devices");
    let mut links = 0;
    for entry in fs::read_dir(&devices).expect("listed") {
        let path = entry.expect("read").path();
        let target = fs::read_link(&path).expect("a link");
        assert!(target.starts_with("../../../devices"), "{}", target.display());
        assert!(path.join("config").is_file(), "{}", target.display());
        links += 1;
    }
    assert!(links > 3);
    let functions = |document: serde_json::Value| document["groups"].clone();
    assert_eq!(functions(json(&["groups", "--sysfs-root", text(&alone)])), functions(direct));
}

#[test]
fn nothing_but_a_regular_file_is_replaced_by_an_answer() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = |name: &str| scratch.path().join(name);
    let dump = path("dump.txt");
    put(&dump, "00:00.0 Host bridge: x\n00: 86 80 00 12 06 00 00 00 00 00 00 06 00 00 00 00\n");
    assert!(Command::new("mkfifo").arg(path("pipe")).status().expect("runs").success());
    symlink("/dev/full", path("link")).expect("made");
    fs::create_dir(path("directory")).expect("made");
    let run = |verb: &str, to: &Path| {
        acsscan(&[verb, "--dump", text(&dump), "--force", "-o", text(to)]).status.code()
    };
    for verb in ["capture", "report"] {
        for name in ["pipe", "link", "directory"] {
            let before = fs::symlink_metadata(path(name)).expect("there").file_type();
            assert_eq!(run(verb, &path(name)), Some(2), "{verb} {name}");
            assert_eq!(fs::symlink_metadata(path(name)).expect("there").file_type(), before);
        }
        put(&path("file"), "old");
        let _ = fs::remove_file(path("to-file"));
        symlink("file", path("to-file")).expect("made");
        for name in ["to-file", "file"] {
            assert!(matches!(run(verb, &path(name)), Some(0 | 3)), "{verb} {name}");
        }
        assert!(path("to-file").symlink_metadata().expect("there").is_file(), "the link is replaced");
    }
}

#[test]
fn a_capture_of_decoded_text_says_which_registers_it_has_not_got() {
    let Some(realworld) = shared("realworld") else { return };
    for name in [
        "nvidia-bug-reports/wrx80e-sage-a",
        "mailing-lists/arm-n1sdp/lspci.txt",
        "firmware-port-logs/power9-talos/lspci.txt",
        "decoded-text-with-groups/mac-mini-2018-egpu/lspci-vvv.txt",
        "decoded-text-with-groups/xeon-pex8748-pex8725-amc/lspci-vvv.txt",
    ] {
        let dump = realworld.join(name);
        let scratch = tempfile::tempdir().expect("a directory");
        let file = scratch.path().join("c.tar.zst");
        let output = acsscan(&["capture", "--dump", text(&dump), "-o", text(&file)]);
        assert_eq!(output.status.code(), Some(3), "{name}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("decoded text"), "{name}");
        let manifest = manifest_of(&file);
        assert_eq!(manifest["complete"], false);
        let functions = manifest["functions"].as_array().expect("a list");
        let partial = functions.iter().filter(|function| function["complete"] == false).count();
        let read = acsscan(&["--dump", text(&file)]);
        let read = String::from_utf8_lossy(&read.stdout);
        let (before, _) = read.split_once(" of them not known whole").expect("some are not");
        let known: usize = before.rsplit(' ').next().expect("a number").parse().expect("a number");
        assert!((1..=partial).contains(&known), "{name}: {partial}, {read:.300}");
        assert!(manifest["problems"].as_array().is_some_and(|all| !all.is_empty()));
    }
}

/// The manifest of a capture.
fn manifest_of(capture: &Path) -> serde_json::Value {
    let output = Command::new("tar").args(["--zstd", "-xOf", text(capture), "manifest.json"]).output();
    let output = output.expect("tar runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn without_an_iommu_that_is_the_first_thing_said() {
    let Some(oracle) = shared("oracle") else { return };
    let root = tempfile::tempdir().expect("a directory");
    machine(&oracle.join("v01-small"), root.path());
    let sysfs = root.path().join("sys");
    fs::remove_dir_all(sysfs.join("class/iommu/dmar0")).expect("removed");
    fs::remove_dir_all(sysfs.join("kernel/iommu_groups")).expect("removed");
    fs::create_dir(sysfs.join("kernel/iommu_groups")).expect("made");
    put(&sysfs.join("firmware/acpi/tables/DMAR"), "");
    put(&root.path().join("proc/cmdline"), "intel_iommu=off pci=noacs\n");
    let output = acsscan(&["--sysfs-root", text(&sysfs), "--fail-on", "error"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout.starts_with("Host    IOMMU off"), "{stdout}");
    let check = |policy: &str| {
        let (sysfs, policy) = (text(&sysfs), ["--policy", policy]);
        let arguments =
            [&["check", "0000:00:02.0", "--sysfs-root", sysfs][..], &policy, &["--unknown", "pass"]];
        let output = acsscan(&[&arguments.concat()[..], &["--format", "json"]].concat());
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), document["objections"][0]["code"].as_str().map(str::to_owned))
    };
    for policy in ["spec", "linux"] {
        assert_eq!(check(policy), (Some(1), Some("no-iommu".into())), "{policy}");
    }
    let hook =
        hook(&sysfs, "prepare", "begin", domain(&["0000:00:02.0"]).as_bytes(), &["--policy", "libvirt"]);
    assert_eq!(hook.status.code(), Some(1), "whatever the policy");
    assert!(String::from_utf8_lossy(&hook.stderr).contains("no IOMMU"));
    for found in ["error iommu-off", "intel_iommu=off", "DMAR", "warning cmdline-unknown-option", "noacs"] {
        assert!(stdout.contains(found), "{found}: {stdout}");
    }
}

/// Runs the hook as libvirt does: nothing in the environment, the XML on standard input.
fn hook(sysfs: &Path, operation: &str, suboperation: &str, xml: &[u8], more: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .env_clear()
        .args(["hook", "libvirt", "--sysfs-root", text(sysfs)])
        .args(more)
        .args(["guest-1", operation, suboperation, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    // Of operations that it does not answer, it reads nothing.
    let _ = child.stdin.take().expect("piped").write_all(xml);
    child.wait_with_output().expect("ends")
}

fn domain(addresses: &[&str]) -> String {
    let mut devices = String::new();
    for address in addresses {
        let at = address.parse::<acsscan::addr::Sbdf>().expect("an address");
        let (bus, slot, function) = (at.bus(), at.bdf.device(), at.bdf.function());
        devices.push_str(&format!(
            "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='{:#06x}' bus='{bus:#04x}' \
             slot='{slot:#04x}' function='{function:#x}'/></source></hostdev>",
            at.segment.0
        ));
    }
    format!("<domain type='kvm'><name>guest-1</name><devices>{devices}</devices></domain>")
}

/// A machine, a group of one endpoint, and two functions that share a group.
fn case(root: &Path) -> Option<(String, Vec<String>)> {
    let oracle = shared("oracle")?;
    for set in subdirectories(&oracle) {
        let _ = fs::remove_dir_all(root);
        fs::create_dir_all(root).expect("made");
        machine(&set, root);
        let document = json(&["--sysfs-root", text(&root.join("sys"))]);
        let members = |group: &serde_json::Value| -> Vec<String> {
            let all = group["functions"].as_array().expect("a list");
            all.iter().map(|address| address.as_str().expect("text").to_owned()).collect()
        };
        let domains: Vec<_> = document["domains"].as_array().expect("a list").iter().map(members).collect();
        let groups: Vec<_> = document["groups"].as_array().expect("a list").iter().map(members).collect();
        let show = json(&["show", "--sysfs-root", text(&root.join("sys"))]);
        let endpoints: Vec<String> = show["functions"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|function| function["buses"].is_null() && function["port_type"] == "endpoint")
            .map(|function| function["address"].as_str().expect("text").to_owned())
            .collect();
        let of = |partition: &[Vec<String>], address: &String| {
            let part = partition.iter().find(|part| part.contains(address)).cloned().unwrap_or_default();
            part.into_iter().filter(|other| endpoints.contains(other)).collect::<Vec<_>>()
        };
        let alone = endpoints.iter().find(|e| of(&domains, e).len() == 1 && of(&groups, e).len() == 1);
        let shared = endpoints.iter().map(|e| of(&groups, e)).find(|all| all.len() == 2);
        if let (Some(alone), Some(shared)) = (alone, shared) {
            return Some((alone.clone(), shared));
        }
    }
    panic!("no set has both");
}

#[test]
fn the_hook_lets_isolated_functions_pass_and_refuses_others_with_the_reason() {
    let root = tempfile::tempdir().expect("a directory");
    let Some((alone, shared)) = case(root.path()) else { return };
    let sysfs = root.path().join("sys");
    let run = |addresses: &[&str], more: &[&str]| {
        hook(&sysfs, "prepare", "begin", domain(addresses).as_bytes(), more)
    };
    let stderr = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let passed = run(&[&alone], &[]);
    assert_eq!((passed.status.code(), stderr(&passed).as_str()), (Some(0), ""), "{alone}");
    let refused = run(&[&shared[0]], &["--policy", "linux"]);
    assert_eq!(refused.status.code(), Some(1), "{shared:?}: {}", stderr(&refused));
    assert!(refused.stdout.is_empty());
    let line = stderr(&refused);
    assert!(line.starts_with("acsscan: guest guest-1 may not start: "), "{line}");
    assert!(line.contains(&shared[0]) && line.contains(&shared[1]), "{line}");
    let together = run(&[&shared[0], &shared[1]], &["--policy", "linux"]);
    assert_eq!(together.status.code(), Some(0), "both go together: {}", stderr(&together));
    assert_eq!(run(&[], &[]).status.code(), Some(0), "nothing is assigned");
    assert_eq!(run(&["0000:fe:1f.7"], &[]).status.code(), Some(1), "not there");
}

#[test]
fn the_hook_takes_acceptances_and_says_them_and_what_is_not_known() {
    let root = tempfile::tempdir().expect("a directory");
    let sysfs = root.path().join("sys");
    let card = || Config::endpoint().ids(0x1af4, 0x9999).multi_function();
    for (address, config) in [
        ("0000:00:01.0", Config::root_port(1, 1).acs(0x001f, 0x001d, 0)),
        ("0000:01:00.0", card()),
        ("0000:01:00.1", card()),
    ] {
        put(&sysfs.join("devices/flat").join(address).join("config"), config.bytes());
        fs::create_dir_all(sysfs.join("bus/pci/devices")).expect("made");
        symlink(format!("../../../devices/flat/{address}"), sysfs.join("bus/pci/devices").join(address))
            .expect("made");
    }
    fs::create_dir_all(sysfs.join("class/iommu/dmar0")).expect("made");
    fs::create_dir_all(sysfs.join("kernel/iommu_groups/1")).expect("made");
    let file = root.path().join("accept.toml");
    let entry = "schema = 1\n[[entry]]\nname = 'lab'\nkind = 'accept'\n\
                 match = { vendor = '1af4', devices = ['9999'] }\nwho = 'Erika Mustermann'\n\
                 reason = 'Both guests are ours.'\nuntil = 2026-12-31\n";
    put(&file, entry);
    let bad = root.path().join("bad.toml");
    put(&bad, "schema = 1\nnonsense");
    let run = |more: &[&str]| {
        let output = hook(&sysfs, "prepare", "begin", domain(&["0000:01:00.0"]).as_bytes(), more);
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, line) = run(&["--no-default-db", "--db", text(&bad)]);
    assert_eq!(code, Some(3), "{line}");
    assert!(line.starts_with("acsscan: guest guest-1 may not start: not known: 0000:01:00.0 "), "{line}");
    assert!(line.contains("0000:01:00.1") && line.contains("database-file-refused"), "{line}");
    let (code, line) = run(&["--no-default-db", "--unknown", "warn"]);
    assert_eq!(code, Some(0), "{line}");
    assert!(line.starts_with("acsscan: guest guest-1 may start: not known: 0000:01:00.0 "), "{line}");
    assert_eq!(run(&["--no-default-db", "--unknown", "pass"]), (Some(0), String::new()));
    let accepted = |day: &str| run(&["--no-default-db", "--db", text(&file), "--today", day]);
    let (code, line) = accepted("2026-12-31");
    assert_eq!(code, Some(0), "{line}");
    assert!(line.contains("accepted (by Erika Mustermann, until 2026-12-31)"), "{line}");
    assert_eq!(accepted("2027-01-01").0, Some(3));
}

#[test]
fn the_hook_ends_other_operations_with_zero_whatever_happens() {
    let nowhere = Path::new("/nowhere");
    for (operation, suboperation) in [
        ("prepare", "end"),
        ("start", "begin"),
        ("started", "begin"),
        ("stopped", "end"),
        ("release", "end"),
        ("reconnect", "begin"),
        ("attach", "begin"),
        ("migrate", "begin"),
        ("restore", "begin"),
    ] {
        for more in [&[][..], &["--policy", "nonsense"], &["--no-such-option"]] {
            let output = hook(nowhere, operation, suboperation, b"<not xml", more);
            assert_eq!(output.status.code(), Some(0), "{operation} {suboperation} {more:?}");
            assert!(output.stdout.is_empty());
        }
    }
    let xml = domain(&["0000:01:00.0"]);
    assert_ne!(
        hook(nowhere, "prepare", "begin", xml.as_bytes(), &["--policy", "nonsense"]).status.code(),
        Some(0)
    );
    assert_eq!(hook(nowhere, "prepare", "begin", xml.as_bytes(), &[]).status.code(), Some(4), "fails closed");
    let passed = hook(nowhere, "prepare", "begin", xml.as_bytes(), &["--unknown", "pass"]);
    assert_eq!(passed.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&passed.stderr).contains("unchecked"));
}

/// Runs the hook with just these arguments, as a start of a guest with one function.
fn hook_with(arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .env_clear()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let _ = child.stdin.take().expect("piped").write_all(domain(&["0000:01:00.0"]).as_bytes());
    child.wait_with_output().expect("ends")
}

#[test]
fn a_start_with_arguments_out_of_place_is_refused_with_what_is_wrong() {
    let nowhere = ["hook", "libvirt", "--sysfs-root", "/nowhere"];
    for (arguments, reason) in [
        (&["g", "prepare", "begin"][..], "there are fewer"),
        (&["prepare", "begin", "-"], "there are fewer"),
        (&["g", "prepare", "-"], "there are fewer"),
        (&["g", "prepare"], "there are fewer"),
        (&["g", "prepare", "begin", "-", "more"], "there are more"),
        (&["x", "g", "prepare", "begin", "-"], "there are more"),
        (&["prepare", "begin", "-", "g"], "not in this order"),
        (&["--polcy", "linux", "g", "prepare", "begin", "-"], "--polcy"),
        (&["g", "prepare", "begin", "-", "--polcy", "linux"], "--polcy"),
        // Guests whose names are options.
        (&["--unknown=pass", "prepare", "begin", "-"], "there are fewer"),
        (&["--dump", "prepare", "begin", "-"], "there are fewer"),
        (&["--help", "prepare", "begin", "-"], ""),
        (&["--version", "prepare", "begin", "-"], ""),
    ] {
        let output = hook_with(&[&nowhere, arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(reason), "{arguments:?}: {stderr}");
    }
    // In its place it is an option, wherever that is, and a name behind `--`.
    for arguments in
        [&["g", "prepare", "begin", "-", "--policy", "spec"][..], &["--", "--help", "prepare", "begin", "-"]]
    {
        let output = hook_with(&[&nowhere, arguments].concat());
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: there is nothing to read");
    }
}

#[test]
fn arguments_out_of_place_end_every_other_operation_with_zero() {
    for arguments in [
        &["g", "reconnect", "begin"][..],
        &["g", "reconnect", "begin", "-", "more"],
        &["--polcy", "linux", "g", "reconnect", "begin", "-"],
        &["--help", "reconnect", "begin", "-"],
        &["prepare", "reconnect", "begin", "-"],
        &["--polcy", "prepare", "reconnect", "begin", "-"],
        &["prepare", "release", "end", "-"],
        &["--set", "x", "g", "stopped", "end", "-"],
        &["g"],
        &[],
    ] {
        let output = hook_with(&[&["hook", "libvirt"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn hostile_xml_ends_the_hook_quickly_with_an_error_of_one_line() {
    let mut bomb = String::from("<!DOCTYPE domain [<!ENTITY a0 'ha'>");
    for n in 1..60 {
        bomb.push_str(&format!("<!ENTITY a{n} '&a{};&a{};'>", n - 1, n - 1));
    }
    bomb.push_str("]><domain><name>&a59;</name></domain>");
    let deep = "<domain>".to_owned() + &"<devices>".repeat(200_000);
    let huge = "<domain>".to_owned() + &" ".repeat(40 << 20);
    let steering = "<domain><\u{1b}[2J\n";
    for xml in [bomb.as_str(), &deep, &huge, steering, ""] {
        let start = Instant::now();
        let output = hook(Path::new("/nowhere"), "prepare", "begin", xml.as_bytes(), &["--unknown", "pass"]);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(4), "{:.40}", xml);
        assert!(output.stdout.is_empty());
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(stderr.lines().count(), 1, "{stderr:?}");
        assert!(!stderr.trim_end().chars().any(char::is_control), "{stderr:?}");
    }
}

#[test]
fn a_copy_without_the_kernels_files_says_nothing_of_its_iommu() {
    let root = tempfile::tempdir().expect("a directory");
    let sysfs = root.path().join("sys");
    put(&sysfs.join("bus/pci/devices/0000:00:01.0/config"), Config::endpoint().bytes());
    let codes = |arguments: &[&str]| {
        let document = json(arguments);
        let iommu = document["host"]["iommu"].as_str().expect("a word").to_owned();
        let findings = document["findings"].as_array().expect("findings").clone();
        let host = ["no-kernel-groups", "iommu-absent", "iommu-off"];
        let codes: Vec<String> =
            findings.iter().filter_map(|f| f["code"].as_str().map(str::to_owned)).collect();
        (iommu, codes.into_iter().find(|code| host.contains(&code.as_str())))
    };
    let copy = || codes(&["--dump", text(root.path())]);
    assert_eq!(copy(), ("unknown".into(), None), "hwloc copies no links");
    let live = codes(&["--sysfs-root", text(&sysfs)]);
    assert_eq!(live, ("unknown".into(), Some("no-kernel-groups".into())), "the host has none");
    // An empty list was copied, but not what firmware says: the kernel uses none that there may be.
    fs::create_dir_all(sysfs.join("kernel/iommu_groups")).expect("made");
    assert_eq!(copy(), ("off".into(), Some("iommu-off".into())));
    fs::create_dir_all(sysfs.join("firmware/acpi/tables")).expect("made");
    assert_eq!(copy(), ("absent".into(), Some("iommu-absent".into())));
}
