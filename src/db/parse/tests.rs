//! Tests of the reader: what is accepted, and what each mistake is told.

use super::*;
use crate::cap::pcie::DevicePortType;
use crate::db::IdRange;

/// An entry that is right, with this in place of its kind, match and claim.
fn with(rest: &str) -> String {
    format!("schema = 1\n[[entry]]\nname = \"a\"\nsource = \"b\"\nreason = \"c\"\n{rest}\n")
}

fn problems(text: &str) -> Vec<String> {
    let error = parse(text, Layer::CommandLine, "f").expect_err("the file is wrong");
    error.to_string().lines().map(String::from).collect()
}

fn one(rest: &str) -> Entry {
    let contents = parse(&with(rest), Layer::Administrator, "f").expect("the file is right");
    let mut entries = contents.entries;
    assert_eq!((entries.len(), contents.acceptances.len()), (1, 0));
    entries.remove(0)
}

#[test]
fn the_built_in_data_is_good_and_in_normal_form() {
    let database = builtin().expect("the built-in data is good");
    assert!(database.entries().len() > 60);
    for entry in database.entries() {
        assert_eq!((entry.layer, entry.file.as_str()), (Layer::BuiltIn, ""));
        assert!(entry.reason.ends_with('.'), "{}", entry.name);
        for range in &entry.matches.devices {
            let others = entry.matches.devices.iter().filter(|other| *other != range);
            let overlap = |other: &IdRange| range.first <= other.last && other.first <= range.last;
            assert!(!others.clone().any(overlap), "{}: {:04x}", entry.name, range.first);
        }
    }
}

#[test]
fn every_kind_parses_to_the_claim_with_its_word() {
    let controls = AcsControl::REQUEST_REDIRECT;
    let none = AcsControl::empty();
    let claims = [
        ("services = [\"ReqRedir\"]", Claim::Isolates { services: controls, ignored: none, open: none }),
        ("", Claim::DoesNotIsolate),
        (
            "capability_offset = 0x4\ncontrol_offset = 8",
            Claim::AcsLayout { capability_offset: 4, control_offset: 8 },
        ),
        ("cleared = [\"ReqRedir\"]", Claim::IgnoreAcsCapability { cleared: controls }),
        ("alias = \"all\"", Claim::RequesterIdAlias(Alias::All)),
        ("", Claim::BridgeSubstitutesSecondary),
        ("", Claim::BridgeKeepsRequesterId),
        ("", Claim::TranslationRoot),
        ("", Claim::OwnsSegment),
        ("same_host_bridge = true", Claim::HostBridgeP2p { same_host_bridge: true }),
        ("", Claim::Note),
    ];
    let words = claims.each_ref().map(|(_, claim)| claim.word());
    let kinds: Vec<_> = KINDS.iter().map(|(word, _)| *word).filter(|word| *word != ACCEPT).collect();
    assert_eq!(words.as_slice(), kinds, "all kinds of facts, each once");
    for (keys, claim) in claims {
        let entry = one(&format!("kind = \"{}\"\nmatch.vendor = \"1\"\n{keys}", claim.word()));
        assert_eq!(entry.claim, claim);
        assert_eq!(entry.file, "f");
    }
}

#[test]
fn every_alias_parses() {
    for (text, alias) in [
        ("\"all\"", Alias::All),
        ("\"unknown\"", Alias::Unknown),
        ("{ function = 1 }", Alias::FunctionOfSlot(1)),
        ("{ fixed = [\"01.0\", \"1f.7\"] }", Alias::Fixed([0x08, 0xff].into())),
        ("{ functions_of_every_slot = 4 }", Alias::FunctionsOfEverySlot(4)),
    ] {
        let entry = one(&format!("kind = \"requester-id-alias\"\nmatch.vendor = \"1\"\nalias = {text}"));
        assert_eq!(entry.claim, Claim::RequesterIdAlias(alias));
    }
}

#[test]
fn every_key_of_match_parses() {
    let entry = one(r#"
kind = "note"
match.vendor = "0x8086"
match.devices = ["10c6", "0xa110-0xA11F"]
match.subsystems = ["9005:02bb"]
match.revisions = "00-0f"
match.classes = ["0680", "03"]
match.port_types = ["root-port"]
match.pcie = true
match.bridge = true
match.multi_function = false
match.root_bus = true
match.not_function = 7
match.acs = false
"#);
    let wanted = Match {
        vendor: Some(0x8086),
        devices: [IdRange { first: 0x10c6, last: 0x10c6 }, IdRange { first: 0xa110, last: 0xa11f }].into(),
        subsystems: [(0x9005, 0x02bb)].into(),
        revisions: Some((0x00, 0x0f)),
        classes: [(0x06, Some(0x80)), (0x03, None)].into(),
        port_types: [DevicePortType::RootPort].into(),
        pcie: Some(true),
        bridge: Some(true),
        multi_function: Some(false),
        root_bus: Some(true),
        not_function: Some(7),
        acs: Some(false),
    };
    assert_eq!(entry.matches, wanted);
}

#[test]
fn a_match_may_be_a_table_of_its_own() {
    let dotted = one("kind = \"note\"\nmatch.vendor = \"1\"\nmatch.acs = true");
    assert_eq!(one("kind = \"note\"\nmatch = { vendor = \"1\", acs = true }"), dotted);
    assert_eq!(one("kind = \"note\"\n[entry.match]\nvendor = \"1\"\nacs = true"), dotted);
}

#[test]
fn every_condition_parses_and_applies_not_unless_told_otherwise() {
    let entry = one(r#"
kind = "isolates"
match.vendor = "1"
services = ["ReqRedir"]
conditions = [
    { acpi_table = "IVRS" },
    { boot_step = "step", otherwise = "does-not-isolate" },
    { other = "more", otherwise = "does-not-apply" },
]
"#);
    let conditions = [
        Condition { kind: ConditionKind::AcpiTable("IVRS".into()), denies: false },
        Condition { kind: ConditionKind::BootStep("step".into()), denies: true },
        Condition { kind: ConditionKind::Other("more".into()), denies: false },
    ];
    assert_eq!(entry.conditions, conditions);
}

#[test]
fn prose_over_several_lines_becomes_one_line() {
    let text = with("kind = \"note\"").replace("\"c\"", "\"\"\"\nthe first\n   and the second\"\"\"");
    let entries = parse(&text, Layer::BuiltIn, "").expect("the file is right");
    assert_eq!(entries.entries[0].reason, "the first and the second");
}

#[test]
fn a_wrong_value_is_told_with_its_place_and_what_would_be_right() {
    for (line, problem) in [
        (
            "match.vendor = 8086",
            "6:16: `vendor` must be a hexadecimal ID in quotes, such as \"8086\"; this is of type integer",
        ),
        ("match.vendor = \"80867\"", "6:16: `80867` is not a hexadecimal ID of up to 4 digits"),
        ("match.vendor = \"+886\"", "6:16: `+886` is not a hexadecimal ID of up to 4 digits"),
        (
            "match = { vendor = \"1\", device = [\"2\"] }",
            "6:25: `device` is not a key here: did you mean `devices`?",
        ),
        (
            "match = { vendor = \"1\", devices = \"2\" }",
            "6:35: `devices` must be an array of hexadecimal IDs and ranges, such as [\"10c6\", \"a110-a11f\"]; this is of type string",
        ),
        (
            "match = { vendor = \"1\", devices = [] }",
            "6:35: `devices` is empty: it needs at least one element",
        ),
        (
            "match = { vendor = \"1\", devices = [\"2\", \"9-3\"] }",
            "6:41: `9-3` runs backwards: put the lower end first",
        ),
        (
            "match = { devices = [\"2\"] }",
            "6:21: `devices` needs `vendor`: each vendor numbers its own devices",
        ),
        (
            "match.subsystems = [\"9005\"]",
            "6:21: `9005` has no colon: write vendor:device, such as 9005:02bb",
        ),
        ("match.revisions = \"100\"", "6:19: `100` is not a hexadecimal revision of up to 2 digits"),
        (
            "match.classes = [\"060400\"]",
            "6:18: `060400` is not a class of 2 or 4 hexadecimal digits, such as 03 or 0680",
        ),
        (
            "match.port_types = [\"rootport\"]",
            "6:21: unknown port type `rootport`: did you mean `root-port`?",
        ),
        (
            "match.port_types = [\"port\"]",
            "6:21: unknown port type `port`: one of endpoint, legacy-endpoint, root-port, switch-upstream-port, switch-downstream-port, pcie-to-pci-bridge, pci-to-pcie-bridge, root-complex-integrated-endpoint, root-complex-event-collector",
        ),
        ("match.acs = \"yes\"", "6:13: `acs` must be true or false; this is of type string"),
        ("match.not_function = 8", "6:22: `not_function` must be a function number from 0 to 7"),
        ("match = \"8086\"", "6:9: `match` must be a table, such as { vendor = \"8086\" }"),
        ("vendor = \"1\"", "6:1: `vendor` is not a key here: write `match.vendor`"),
        ("sources = \"1\"", "6:1: `sources` is not a key here: did you mean `source`?"),
        (
            "colour = \"1\"",
            "6:1: `colour` is not a key here: one of name, kind, match, conditions, source, reason",
        ),
        (
            "services = [\"ReqRedir\"]",
            "6:1: `services` does not go with kind `note`: it belongs to `isolates`",
        ),
        (
            "conditions = [{ acpi_table = \"ivrs\" }]",
            "6:30: `ivrs` is not an ACPI table: 4 capital letters or digits, such as IVRS",
        ),
        (
            "conditions = [{ otherwise = \"does-not-apply\" }]",
            "6:15: a condition needs exactly one of acpi_table, boot_step, other",
        ),
        (
            "conditions = [{ other = \"x\", otherwise = \"no\" }]",
            "6:42: unknown `otherwise` `no`: one of does-not-apply, does-not-isolate",
        ),
        (
            "conditions = [{ other = \"x\", otherwise = \"does-not-isolate\" }]",
            "6:42: `does-not-isolate` goes only with kind `isolates`",
        ),
        (
            "conditions = [\"IVRS\"]",
            "6:15: `conditions` must be an array of tables, such as [{ acpi_table = \"IVRS\" }]",
        ),
        (
            "conditions = [{ other = \"a\\u0007\" }]",
            "6:25: condition has the control character U+0007: leave it out",
        ),
        ("x\u{1b} = 1", "6:2: not TOML: "),
        (
            "\"\\u001b[31m\" = 1",
            "6:1: `\\u{1b}[31m` is not a key here: one of name, kind, match, conditions, source, reason",
        ),
    ] {
        let found = problems(&with(&format!("{line}\nkind = \"note\"")));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("f:{problem}")), "{} instead of {problem}", found[0]);
        assert!(problem.ends_with("TOML: ") || found[0].len() == problem.len() + 2, "{}", found[0]);
    }
}

#[test]
fn a_wrong_claim_is_told_with_its_place_and_what_would_be_right() {
    for (kind, line, problem) in [
        ("isolate", "", "6:8: unknown kind `isolate`: did you mean `isolates`?"),
        ("isolates", "", "2:1: kind `isolates` needs `services`"),
        ("isolates", "services = []", "8:12: `services` is empty: it needs at least one element"),
        (
            "isolates",
            "services = [\"reqredir\"]",
            "8:13: unknown ACS control `reqredir`: did you mean `ReqRedir`?",
        ),
        ("acs-layout", "capability_offset = 4", "2:1: kind `acs-layout` needs `control_offset`"),
        (
            "acs-layout",
            "capability_offset = 4\ncontrol_offset = 6",
            "9:18: `control_offset` must be 8: of registers with 32 bits only the capability at 4 and the control at \
             8 are read; what other registers control can be said with kind `isolates`",
        ),
        (
            "acs-layout",
            "capability_offset = 0xc\ncontrol_offset = 8",
            "8:21: `capability_offset` must be 4: of registers with 32 bits only the capability at 4 and the control \
             at 8 are read; what other registers control can be said with kind `isolates`",
        ),
        (
            "requester-id-alias",
            "alias = \"some\"",
            "8:9: `alias` must be \"all\", \"unknown\" or a table with one of function, fixed, functions_of_every_slot",
        ),
        (
            "requester-id-alias",
            "alias = { function = 9 }",
            "8:22: `function` must be a function number from 0 to 7",
        ),
        (
            "requester-id-alias",
            "alias = { functions = 1 }",
            "8:11: `functions` is not a key here: did you mean `function`?",
        ),
        (
            "requester-id-alias",
            "alias = { fixed = [\"20.0\"] }",
            "8:20: `20.0` is not a device and function from 00.0 to 1f.7",
        ),
        ("host-bridge-p2p", "", "2:1: kind `host-bridge-p2p` needs `same_host_bridge`"),
        (
            "host-bridge-p2p",
            "same_host_bridge = 1",
            "8:20: `same_host_bridge` must be true or false; this is of type integer",
        ),
    ] {
        let text = with(&format!("kind = \"{kind}\"\nmatch.vendor = \"1\"\n{line}"));
        assert_eq!(problems(&text), [format!("f:{problem}")]);
    }
}

#[test]
fn an_entry_about_every_function_is_refused_unless_it_is_a_note() {
    let found = problems(&with("kind = \"does-not-isolate\""));
    let problem = "f:2:1: kind `does-not-isolate` needs `match`: without it, it is about every function";
    assert_eq!(found, [problem]);
    assert_eq!(problems(&with("kind = \"does-not-isolate\"\nmatch = {}")), [problem]);
    assert_eq!(one("kind = \"note\"").matches, Match::default());
}

#[test]
fn a_missing_source_or_reason_is_an_error_and_all_problems_are_told_in_order() {
    let text =
        "schema = 1\n\n[[entry]]\nname = \"A\"\n[[entry]]\nname = \"b\"\nkind = \"note\"\nreason = \" \"\n";
    assert_eq!(
        problems(text),
        [
            "f:3:1: this entry needs `kind`",
            "f:3:1: this entry needs `source`",
            "f:3:1: this entry needs `reason`",
            "f:4:8: `A` is not a name: up to 80 small letters and digits, single hyphens between",
            "f:5:1: this entry needs `source`",
            "f:8:10: `reason` is empty",
        ]
    );
}

#[test]
fn a_name_used_twice_is_an_error_at_the_second() {
    let text = with("kind = \"note\"");
    let again = text.replace("schema = 1\n", "");
    assert_eq!(problems(&(text + &again)), ["f:8:8: `a` is the name of an entry above: choose another"]);
}

#[test]
fn the_frame_of_a_file_is_checked() {
    for (text, problem) in [
        ("", "1:1: there is no `schema`: write `schema = 1`"),
        ("schema = 2", "1:10: unknown `schema`: this program reads 1"),
        ("schema = \"1\"", "1:10: `schema` must be a number, without quotation marks: `schema = 1`"),
        ("schema = 1\n[entry]", "2:1: `entry` must be an array of tables: write [[entry]] before each"),
        ("schema = 1\nentry = [1]", "2:10: an entry must be a table: write [[entry]] before each"),
        ("schema = 1\n[[entries]]", "2:3: `entries` is not a key here: one of schema, entry"),
    ] {
        assert_eq!(problems(text), [format!("f:{problem}")]);
    }
    assert_eq!(parse("schema = 1", Layer::Distribution, "f"), Ok(Contents::default()));
}

#[test]
fn a_column_counts_characters() {
    let found = problems("schema = 1\nentry = [{ name = \"ä\", kind = 1 }]");
    assert!(
        found.contains(&String::from("f:2:31: `kind` must be a string; this is of type integer")),
        "{found:#?}"
    );
}

#[test]
fn a_file_too_large_or_with_too_many_entries_is_refused() {
    let large = format!("schema = 1 # {}", " ".repeat(1 << 20));
    let told = "f:1:1: more than 1048576 bytes in a database file; if you trust it, raise the limit with \
                --limit database=VALUE";
    assert_eq!(problems(&large), [told]);
    let raised = Limits { database: 1 << 21, db_entries: 1 << 18, ..Limits::default() };
    assert!(parse_within(&raised, &large, Layer::CommandLine, "f").is_ok());
    let many = format!("schema = 1\nentry = [{}]", "{},".repeat((1 << 17) + 1));
    let told = "f:2:9: more than 131072 entries in the database files; if you trust it, raise the limit with \
                --limit db-entries=VALUE";
    assert_eq!(problems(&many), [told]);
    let wrong = parse_within(&raised, &many, Layer::CommandLine, "f").expect_err("entries without a name");
    assert_eq!(wrong.problems().len(), 100);
}

#[test]
fn problems_are_counted_beyond_a_hundred() {
    let text = format!("schema = 1\nentry = [{}]", "1,".repeat(250));
    let error = parse(&text, Layer::CommandLine, "f").expect_err("wrong");
    assert_eq!((error.problems().len(), error.more()), (100, 150));
    assert!(error.to_string().ends_with("\nf: 150 more"));
}

#[test]
fn no_cut_of_the_built_in_text_panics() {
    for end in (0..BUILTIN.len()).step_by(211).filter(|end| BUILTIN.is_char_boundary(*end)) {
        if let Err(error) = parse(&BUILTIN[..end], Layer::BuiltIn, "") {
            assert!(!error.problems().is_empty());
        }
    }
}

#[test]
fn the_example_in_the_header_is_right() {
    let example: Vec<_> = BUILTIN.lines().filter_map(|line| line.strip_prefix("#     ")).collect();
    let from = example.iter().position(|line| *line == "schema = 1").expect("an example");
    let to = example.iter().position(|line| line.starts_with("reason")).expect("an example");
    let contents = parse(&example[from..=to].join("\n"), Layer::Administrator, "f").expect("right");
    assert_eq!(contents.entries.len(), 1);
}
