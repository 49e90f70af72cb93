//! Every limit is named by what is told where it is passed, and raised by `--limit`.
#![cfg(all(feature = "archive", feature = "cli"))]

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use acsscan::limits::{Limit, Limits};

const DUMP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/qemu-small/dump.txt");

/// What is told about this input with `--limit NAME=VALUE`: both streams.
fn told(directory: &Path, limit: &str, arguments: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .current_dir(directory)
        .args(["--limit", limit])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    // A program that has seen enough goes away.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("ends");
    let code = output.status.code().unwrap_or_else(|| panic!("{limit}: {output:?}"));
    // Lines are folded at the width of a terminal.
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (code, told.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A tree with the running kernel's tables beside a sysfs.
fn tree(root: &Path) {
    let function = root.join("sys/bus/pci/devices/0000:00:00.0");
    fs::create_dir_all(&function).expect("made");
    fs::write(function.join("config"), [0; 64]).expect("written");
    fs::create_dir_all(root.join("proc/self")).expect("made");
    fs::write(root.join("proc/self/mountinfo"), "21 1 259:3 / / rw - ext4 /dev/root rw\n".repeat(10))
        .expect("written");
}

/// A tar of that tree and a dump, the dump with 17 MiB of line ends behind it as gzip, and alone as zstd.
fn archives(root: &Path) {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all("host", root.join("tree")).expect("in memory");
    let mut header = tar::Header::new_gnu();
    header.set_size(fs::metadata(DUMP).expect("there").len());
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, "b/lspci.txt", fs::File::open(DUMP).expect("there")).expect("in memory");
    fs::write(root.join("a.tar"), builder.into_inner().expect("in memory")).expect("written");
    let text = fs::read_to_string(DUMP).expect("there") + &"\n".repeat(17 << 20);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(text.as_bytes()).expect("in memory");
    fs::write(root.join("a.txt.gz"), packed.finish().expect("in memory")).expect("written");
    let text = fs::read(DUMP).expect("there");
    let packed =
        ruzstd::encoding::compress_to_vec(text.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
    fs::write(root.join("a.txt.zst"), packed).expect("written");
}

#[test]
fn every_limit_is_named_where_it_is_passed_and_raised_by_its_name() {
    let root = tempfile::tempdir().expect("a directory");
    let root = root.path();
    tree(&root.join("tree"));
    archives(root);
    fs::create_dir(root.join("devices.d")).expect("made");
    for name in ["a", "b"] {
        let entry = format!(
            "schema = 1\n[[entry]]\nname = \"{name}\"\nkind = \"note\"\nmatch = {{ vendor = \"1af4\" }}\n\
             source = \"a test\"\nreason = \"One of two.\"\n"
        );
        fs::write(root.join(format!("devices.d/{name}.toml")), entry).expect("written");
    }
    let mut segments = String::new();
    for segment in 0..3 {
        let _ = write!(
            segments,
            "{segment:04x}:00:00.0 Host bridge: x\n00: 86 80 c0 29 07 01 00 00 00 00 00 06 00 00 00 00\n\n"
        );
    }
    let waiting = "00:01.0 Host bridge: x\n\n00:02.0 Host bridge: x\n\n00:03.0 Host bridge: x\n\n00:04.0 Host bridge: x\n00: 86 80 c0 29 07 01 00 00 00 00 00 06 00 00 00 00\n";
    let guest = "<domain><devices></devices></domain>";
    let hook = ["hook", "libvirt", "--dump", DUMP, "--", "g", "prepare", "begin", "-"];
    let knowledge = ["db", "list", "--no-default-db", "--db", "devices.d"];
    for limit in Limit::ALL.iter().copied() {
        let (low, high, arguments, input): (u64, u64, &[&str], &str) = match limit {
            Limit::Entries => (3, 100, &["--dump", "a.tar"], ""),
            Limit::Unpacked => (4000, 64 << 20, &["--dump", "a.txt.gz"], ""),
            Limit::Ratio => (2, 2000, &["--dump", "a.txt.gz"], ""),
            Limit::Kept => (100, 1 << 20, &["--dump", "a.tar"], ""),
            Limit::File => (1000, 1 << 20, &["--dump", "a.tar"], ""),
            Limit::Window => (1, 1 << 30, &["--dump", "a.txt.zst"], ""),
            Limit::Functions => (2, 100, &["--dump", DUMP], ""),
            Limit::Segments => (2, 3, &["--dump", "-"], &segments),
            Limit::Waiting => (2, 3, &["--dump", "-"], waiting),
            Limit::Table => (50, 1000, &["--dump", "tree"], ""),
            Limit::Uses => (1, 1000, &["--dump", "tree"], ""),
            Limit::Xml => (10, 100, &hook, guest),
            Limit::XmlDepth => (1, 2, &hook, guest),
            Limit::Database => (100, 1000, &knowledge, ""),
            Limit::DbEntries => (1, 2, &knowledge, ""),
            Limit::DbFiles => (1, 2, &knowledge, ""),
            other => panic!("{}: a limit that nothing is known of", other.word()),
        };
        let word = limit.word();
        let advice = format!(
            "more than {low} {}; if you trust it, raise the limit with --limit {word}=VALUE",
            limit.what()
        );
        let (code, below) = told(root, &format!("{word}={low}"), arguments, input);
        assert!(below.contains(&advice), "{word}: {below}");
        // What is not taken as a whole is an error; what is left out makes the answer incomplete.
        let expected = match limit {
            Limit::Database | Limit::DbEntries | Limit::DbFiles => 0,
            Limit::File
            | Limit::Functions
            | Limit::Segments
            | Limit::Waiting
            | Limit::Table
            | Limit::Uses => 3,
            _ => 4,
        };
        assert_eq!(code, expected, "{word}: {below}");
        let (_, above) = told(root, &format!("{word}={high}"), arguments, input);
        assert!(!above.contains("--limit"), "{word}: {above}");
    }
}

#[test]
fn the_help_names_every_limit() {
    let output = Command::new(env!("CARGO_BIN_EXE_acsscan")).arg("--help").output().expect("runs");
    let help = String::from_utf8(output.stdout).expect("text");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let from = help.find("Take more (or less)").expect("there");
    let section = help.get(from..).and_then(|rest| rest.split("The error").next()).expect("there");
    for limit in Limit::ALL {
        let word = limit.word();
        assert!(section.split([' ', ',', '.', ';', ':']).any(|found| found == word), "{word}: {section}");
    }
}

#[test]
fn the_documentation_lists_every_limit_as_it_is() {
    let text = include_str!("../SECURITY.md");
    let section =
        text.split("\n## Limits\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("there");
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(ToOwned::to_owned);
    let limits = Limits::default();
    let expected = Limit::ALL
        .iter()
        .map(|limit| format!("| `{}` | {} | {} |", limit.word(), limits.get(*limit), limit.what()));
    assert_eq!(rows.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
