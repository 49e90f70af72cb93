//! What-if options with every verb: the answer says first that it is about no machine that there is, verdicts
//! follow the changed registers, and what cannot be applied is refused with the reason.
#![cfg(feature = "cli")]

mod support;

use std::process::Output;

use support::acsscan;

/// A machine whose firmware left ACS off.
const OFF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/kernel-iommu-off/configs");
/// Both functions of its device with two root ports.
const ON: [&str; 4] = ["--set", "00:03.0=+ReqRedir,+CmpltRedir", "--set", "00:03.1=+ReqRedir,+CmpltRedir"];

fn run(arguments: &[&str], options: &[&str]) -> Output {
    acsscan(&[arguments, &["--dump", OFF], options].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn every_verb_says_first_that_its_answer_is_as_if() {
    for arguments in [
        &[][..],
        &["06:00.0"],
        &["--summary"],
        &["show"],
        &["show", "-t"],
        &["groups"],
        &["groups", "--model", "spec,linux"],
        &["p2p", "06:00.0", "03:00.0"],
        &["p2p", "--matrix"],
        &["p2p", "--cliques", "--class", "nic"],
        &["explain", "06:00.0"],
        &["explain", "06:00.0", "05:00.0"],
        &["check", "06:00.0"],
        &["plan", "isolate", "06:00.0"],
        &["plan", "connect", "06:00.0", "05:00.0"],
        &["db", "explain", "06:00.0"],
    ] {
        let text = stdout(&run(arguments, &ON));
        assert!(text.starts_with("As if"), "{arguments:?}: {text}");
        assert_eq!(text.matches("As if").count(), 1, "{arguments:?}: {text}");
        assert!(!stdout(&run(arguments, &[])).contains("As if"), "{arguments:?}");
    }
    let difference = acsscan(&[&["diff", OFF], &ON[..]].concat());
    assert!(stdout(&difference).starts_with("As if") && difference.status.code() == Some(1));
    assert!(stdout(&run(&["--format", "line"], &ON)).starts_with("as if: "));
    assert!(stdout(&run(&["show", "-t", "--format", "dot"], &ON)).contains("label=\"as if\\n--set 00:03.0"));
    let metrics = run(&["--format", "prom"], &ON);
    assert_eq!((metrics.status.code(), metrics.stdout.len()), (Some(2), 0));
}

#[test]
fn a_verdict_follows_the_registers_that_are_set_and_every_policy_its_own() {
    let verdict = |options: &[&str], policy: &str| {
        let output = run(&["check", "06:00.0", "--policy", policy], options);
        let text = stdout(&output);
        let line =
            text.lines().find(|line| line.starts_with("0000:06:00.0: ")).expect("a verdict").to_owned();
        (output.status.code(), line)
    };
    let is = |code, word: &str, policy: &str| (Some(code), format!("0000:06:00.0: {word} (policy {policy})"));
    assert_eq!(verdict(&[], "spec"), is(3, "inconclusive", "spec"));
    assert_eq!(verdict(&ON, "spec"), is(0, "assignable", "spec"));
    // Linux asks for Source Validation and Upstream Forwarding, too.
    assert_eq!(verdict(&ON, "linux").0, Some(1));
    let whole = ["--set", "00:03.0=ACSCtl=0x1d", "--set", "00:03.1=ACSCtl=0x1d"];
    assert_eq!(verdict(&whole, "linux"), is(0, "assignable", "linux"));
    assert_eq!(verdict(&["--enable-acs"], "linux"), is(0, "assignable", "linux"));
    let alone = ["--remove", "05:00.0", "--remove", "05:00.1"];
    assert_eq!(verdict(&alone, "spec"), is(0, "assignable", "spec"));
}

#[test]
fn what_cannot_be_applied_is_refused_with_the_reason() {
    for (options, code, why) in [
        (&["--set", "7f:00.0=+ReqRedir"][..], 4, "7f:00.0: no such function in the dump"),
        (&["--set", "00:02.0=+Foo"], 2, "expected +TOKEN or -TOKEN with one of SrcValid"),
        (&["--set", "00:02.0"], 2, "expected ADDR=CHANGES"),
        (&["--set", "00:00.0=+ReqRedir"], 2, "it has no ACS capability"),
        (&["--set", "00:02.0=+EgressCtrl"], 2, "does not offer EgressCtrl"),
        (&["--remove", "7f:00.0"], 4, "no such function"),
        (&["--move", "03:00.0"], 2, "expected ADDR=PORT"),
        (&["--move", "00:02.0=00:03.0"], 2, "it is a bridge"),
        (&["--enable-acs=abc"], 2, "expected a kernel release"),
        (&["--firmware", OFF], 2, "--kernel-params"),
    ] {
        let output = run(&["check", "06:00.0"], options);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options:?}: {said}");
        assert!(said.contains(why) && output.stdout.is_empty(), "{options:?}: {said}");
    }
}

#[test]
fn parameters_that_do_nothing_are_told() {
    for (parameters, what) in [
        ("quiet splash", "nothing in it is about ACS"),
        ("", "nothing in it is about ACS"),
        ("pcie_acs_override=downstream", "unofficial patch"),
        ("pci=noacs", "no such option of pci="),
        ("pci=config_acs=zzz@00:02.0", "where only 0, 1 and x may stand"),
        ("pci=config_acs=1111@7f:00.0", "7f:00.0"),
    ] {
        let text = stdout(&run(&["groups"], &["--kernel-params", parameters]));
        let head: String = text.lines().take_while(|line| !line.starts_with("Source")).collect();
        assert!(head.contains("--kernel-params: ") && head.contains(what), "{parameters}: {head}");
    }
}

#[test]
fn ten_thousand_changes_are_applied_and_the_answer_stays_short() {
    let sets: Vec<String> = (0..10_000)
        .map(|n| format!("00:03.{}={}ReqRedir", n % 2, if n % 4 < 2 { '+' } else { '-' }))
        .collect();
    let options: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let output = run(&["--summary"], &options);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("and 9960 more") && text.len() < 20_000, "{} bytes", text.len());
}

#[test]
fn a_database_file_is_a_what_if_where_a_dump_is_compared_with_itself() {
    const ISOLATES: &str = r#"schema = 1
[[entry]]
name = "our-card"
kind = "isolates"
match = { vendor = "8086", devices = ["10d3"] }
services = ["ReqRedir", "CmpltRedir"]
source = "Letter of the vendor"
reason = "Its functions share no path."
"#;
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("lab.toml");
    std::fs::write(&file, ISOLATES).expect("writable");
    let file = file.to_str().expect("UTF-8");
    let difference = acsscan(&["diff", OFF, "--db", file]);
    let text = stdout(&difference);
    assert_eq!(difference.status.code(), Some(1), "{text}");
    assert!(text.starts_with("As if") && text.contains(": its entries count"), "{text}");
    let two = acsscan(&["diff", OFF, OFF, "--db", file]);
    assert_eq!((two.status.code(), stdout(&two).ends_with("alike\n")), (Some(0), true), "{}", stdout(&two));
    // With both, they are compared with what was read, which neither touched.
    let on = ["--set", "00:03.0=ACSCtl=0x1d", "--set", "00:03.1=ACSCtl=0x1d"];
    let both = stdout(&acsscan(&[&["diff", OFF, "--db", file], &on[..]].concat()));
    let apart = "  is  {0000:00:03.0} {0000:00:03.1, 0000:06:00.0} {0000:05:00.0} {0000:05:00.1}";
    assert!(both.contains("\nRegisters\n  0000:00:03.0 ACS Control") && both.contains(apart), "{both}");
}
