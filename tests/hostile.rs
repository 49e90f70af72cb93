//! Dumps of strangers, and the command that reads them as root: what they may not write, what they may not
//! cost, and what the process has given up before it looks at them.
#![cfg(all(feature = "archive", feature = "cli", feature = "testkit"))]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use acsscan::testkit::Config;
use acsscan::testkit::fuzz::harmless;

/// What a terminal, a page or a reader of JSON would take for more than text.
const HOSTILE: &str =
    "a\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}1m<script>alert(1)</script>\u{202e}b\u{2066}\r\"'\\&amp;";

/// One function's hex behind this title.
fn record(title: &str, bytes: &[u8]) -> String {
    let mut text = format!("{title}\n");
    for (line, row) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:02x}:", line * 16);
        for byte in row {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text + "\n"
}

fn spawn(arguments: &[&str], memory: Option<usize>) -> Child {
    let command = match memory {
        Some(kibibytes) => format!("ulimit -v {kibibytes}; exec \"$0\" \"$@\""),
        None => String::from("exec \"$0\" \"$@\""),
    };
    Command::new("sh")
        .args(["-c", &command, env!("CARGO_BIN_EXE_acsscan")])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs")
}

/// The answer about what is written to standard input, within so many KiB of address space.
fn answer(input: &mut (dyn Read + Send), arguments: &[&str], memory: Option<usize>) -> Output {
    let mut child = spawn(arguments, memory);
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A reader that has seen enough goes away.
            let _ = std::io::copy(input, &mut stdin);
        });
        child.wait_with_output().expect("ends")
    })
}

#[track_caller]
fn assert_harmless(output: &Output, what: &str) {
    for stream in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(stream).expect("UTF-8");
        assert_eq!(harmless(text), None, "{what}: {text:?}");
    }
}

const VERBS: [&[&str]; 8] = [
    &[],
    &["0000:00:1c.0"],
    &["show"],
    &["show", "-t"],
    &["groups"],
    &["groups", "--model", "spec,linux"],
    &["p2p", "--matrix"],
    &["explain", "0000:00:1c.0"],
];

/// Asks everything of a dump, in text and in JSON.
fn assert_all_harmless(dump: &str, more: &[&str]) {
    for verb in VERBS {
        for format in ["text", "json"] {
            if verb.contains(&"-t") && format == "json" {
                continue;
            }
            let output = acsscan(&[verb, &["--format", format, "--dump", dump], more].concat());
            let what = format!("{dump:?} {verb:?} {format}");
            assert!(matches!(output.status.code(), Some(0 | 3 | 4)), "{what}: {output:?}");
            assert_harmless(&output, &what);
            if format == "json" && output.status.code() != Some(4) {
                let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
                assert!(document.is_object());
            }
        }
    }
}

fn acsscan(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acsscan")).args(arguments).output().expect("runs")
}

#[test]
fn no_field_of_a_text_dump_passes_what_steers_a_terminal() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("dump.txt");
    let port = Config::root_port(1, 1).acs(0x1f, 0, 0);
    let titles = [
        format!(
            "0000:00:1c.0 PCI bridge: {HOSTILE}\n\tSubsystem: {HOSTILE}\n\tKernel driver in use: {HOSTILE}\n\tKernel modules: {HOSTILE}\n\tIOMMU group: 1{HOSTILE}"
        ),
        format!(
            "Slot:\t0000:00:1c.0\nClass:\t{HOSTILE}\nVendor:\t{HOSTILE}\nDriver:\t{HOSTILE}\nPhySlot:\t{HOSTILE}\nIOMMUGroup:\t{HOSTILE}"
        ),
        format!("0000:00:1c.0 PCI bridge: x\n\tKernel driver in use: pcieport{HOSTILE}"),
    ];
    for title in titles {
        let endpoint =
            record(&format!("0000:01:00.0 Ethernet controller: {HOSTILE}"), Config::endpoint().bytes());
        let text = record(&title, port.bytes()) + &endpoint + HOSTILE + "\n";
        fs::write(&path, &text).expect("written");
        assert_all_harmless(path.to_str().expect("UTF-8"), &[]);
        // Not even UTF-8, and cut in the middle of a letter.
        let mut bytes = text.into_bytes();
        bytes.iter_mut().filter(|byte| **byte == b'<').for_each(|byte| *byte = 0xc2);
        bytes.push(0xe2);
        fs::write(&path, &bytes).expect("written");
        assert_all_harmless(path.to_str().expect("UTF-8"), &[]);
    }
}

#[test]
fn no_name_of_a_file_passes_what_steers_a_terminal() {
    let scratch = tempfile::tempdir().expect("a directory");
    let name = HOSTILE.replace('/', "_");
    let root = scratch.path().join(&name);
    let port = root.join("devices/pci0000:00/0000:00:1c.0");
    fs::create_dir_all(&port).expect("made");
    fs::create_dir_all(root.join("bus/pci/devices")).expect("made");
    fs::write(port.join("config"), Config::root_port(1, 1).bytes()).expect("written");
    let link = |target: &Path, address: &str| {
        symlink(target, root.join("bus/pci/devices").join(address)).expect("made");
    };
    link(&port, "0000:00:1c.0");
    link(Path::new(&format!("../../../{name}")), "0000:00:1d.0");
    link(Path::new("/"), "0000:00:1e.0");
    for attribute in ["driver", "iommu_group", "physfn"] {
        symlink(format!("../../{name}"), port.join(attribute)).expect("made");
    }
    let path = root.to_str().expect("UTF-8");
    assert_all_harmless(path, &[]);
    assert_all_harmless(path, &["--input-format", "tree"]);
    let nothing = scratch.path().join(format!("{name}x"));
    assert_all_harmless(nothing.to_str().expect("UTF-8"), &[]);
    fs::write(&nothing, HOSTILE).expect("written");
    assert_all_harmless(nothing.to_str().expect("UTF-8"), &[]);
    fs::write(scratch.path().join(format!("{name}0000:00:1c.0.bin")), [0; 256]).expect("written");
    let output = acsscan(&["--sysfs-root", nothing.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(4));
    assert_harmless(&output, "--sysfs-root");
    for verb in ["show", "explain"] {
        assert_harmless(&acsscan(&[verb, HOSTILE, "--dump", path]), "an address");
    }
}

#[test]
fn no_name_of_a_device_passes_what_steers_a_terminal() {
    let scratch = tempfile::tempdir().expect("a directory");
    let (ids, dump) = (scratch.path().join("pci.ids"), scratch.path().join("dump.txt"));
    let hostile = HOSTILE.replace('\r', "");
    let text = format!(
        "1af4  {hostile}\n\t1001  {hostile}\n\t\t1af4 1001  {hostile}\nC 06  {hostile}\n\t04  {hostile}\n"
    );
    fs::write(&ids, text).expect("written");
    fs::write(&dump, record("0000:00:1c.0 x: y", Config::root_port(1, 1).bytes())).expect("written");
    let ids = ids.to_str().expect("UTF-8");
    assert_all_harmless(dump.to_str().expect("UTF-8"), &["--ids", ids]);
    let shown = acsscan(&["show", "--ids", ids, "--dump", dump.to_str().expect("UTF-8")]);
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    assert!(shown.contains("<script>") && shown.contains("\\u{1b}[2J"), "the names are shown: {shown:?}");
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}

#[test]
fn no_text_of_a_database_passes_what_steers_a_terminal_or_is_markup() {
    let scratch = tempfile::tempdir().expect("a directory");
    let text = |name: &str| scratch.path().join(name).to_str().expect("UTF-8").to_owned();
    let (dump, own) = (text("dump.txt"), text(&HOSTILE.replace('/', "_")));
    let functions = [
        record("0000:00:1c.0 x: y", Config::root_port(1, 1).acs(0x1f, 0x1d, 0).bytes()),
        record("0000:01:00.0 x: y", Config::endpoint().multi_function().bytes()),
        record("0000:01:00.1 x: y", Config::endpoint().multi_function().bytes()),
    ];
    fs::write(&dump, functions.concat()).expect("written");
    // Controls are refused, see below; what else steers a terminal or is markup is text like any other.
    let allowed: String = HOSTILE.chars().filter(|c| !c.is_control()).collect();
    let hostile = quoted(&allowed);
    let entries = format!(
        "schema = 1\n\
         [[entry]]\nname = \"fact\"\nkind = \"isolates\"\nmatch.vendor = \"1af4\"\nservices = [\"ReqRedir\"]\n\
         conditions = [{{ other = {hostile} }}]\nsource = {hostile}\nreason = {hostile}\n\
         [[entry]]\nname = \"decision\"\nkind = \"accept\"\nslot = \"0000:00:1c.0/00.1\"\ndirect = true\n\
         who = {hostile}\nreason = {hostile}\nuntil = 2030-01-01\n"
    );
    fs::write(&own, entries).expect("written");
    let with = ["--db", &own, "--today", "2026-01-01"];
    assert_all_harmless(&dump, &with);
    let asked: [&[&str]; 14] = [
        &["db", "list"],
        &["db", "lookup", "1af4:"],
        &["db", "explain", "0000:01:00.1"],
        &["db", "check"],
        &["check", "0000:01:00.1"],
        &["check", "--unknown", "pass", "0000:01:00.1"],
        &["p2p", "0000:01:00.0", "0000:01:00.1"],
        &["explain", "0000:01:00.0", "0000:01:00.1"],
        &["plan", "isolate", "0000:01:00.1"],
        &["--format", "jsonl"],
        &["--format", "prom"],
        &["--format", "dot"],
        &["--format", "line"],
        &["report", "-o", "-"],
    ];
    let mut shown = String::new();
    for asked in asked {
        let output = acsscan(&[asked, &["--dump", &dump], &with].concat());
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{asked:?}: {output:?}");
        assert_harmless(&output, &format!("{asked:?}"));
        let answer = String::from_utf8(output.stdout).expect("UTF-8");
        if asked[0] == "report" {
            assert!(answer.contains("owned") && !answer.contains("<script>alert"), "markup");
        }
        shown += &answer;
    }
    for told in ["by a[2J]0;owned1m<script>alert(1)</script>\\u{202e}b\\u{2066}", "<script>alert(1)"] {
        assert!(shown.contains(told), "{told} is shown nowhere: {shown}");
    }
    // What is no database is quoted, too.
    let controls = fs::read_to_string(&own).expect("there").replace(&hostile, &quoted(HOSTILE));
    for damaged in [
        format!("schema = 1\n{HOSTILE}"),
        format!("schema = 1\n[[entry]]\n{hostile} = {hostile}\n"),
        controls,
    ] {
        fs::write(&own, damaged).expect("written");
        assert_all_harmless(&dump, &with);
        assert_harmless(&acsscan(&["db", "check", &own]), "db check");
    }
}

/// Field of `/proc/PID/status`.
fn status(process: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_reading_does_not_take_is_given_up_before_the_first_byte() {
    let mut child = spawn(&["-v", "--dump", "-"], None);
    let started = Instant::now();
    while status(child.id(), "NoNewPrivs") != "1" {
        assert!(started.elapsed() < Duration::from_secs(20), "privileges are kept");
        sleep(Duration::from_millis(5));
    }
    let mut told = vec![0; 4096];
    let length = child.stderr.as_mut().expect("piped").read(&mut told).expect("told");
    let mut told = String::from_utf8_lossy(&told[..length]).into_owned();
    let (user, capabilities) = (status(child.id(), "Uid"), status(child.id(), "CapEff"));
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(record("00:1f.0 x: y", &[0; 64]).as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    told.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("no new privileges") && told.contains("Landlock"), "{told}");
    if status(std::process::id(), "Uid").starts_with("0 ") && !told.contains("still root") {
        assert_eq!(user, "65534 65534 65534 65534");
        assert_eq!(capabilities, "0000000000000004", "CAP_DAC_READ_SEARCH alone");
    }
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        answer(&mut record("00:1f.0 x: y", &[0; 64]).as_bytes(), &["--dump", "-"], None).stderr.is_empty()
    );
}

#[test]
fn the_hook_gives_it_up_before_it_reads_the_guest() {
    let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/qemu-sriov/dump.txt");
    let arguments = ["hook", "libvirt", "--dump", dump, "--", "guest", "prepare", "begin", "-"];
    let mut child = spawn(&arguments, None);
    let started = Instant::now();
    while status(child.id(), "NoNewPrivs") != "1" {
        assert!(started.elapsed() < Duration::from_secs(20), "privileges are kept");
        sleep(Duration::from_millis(5));
    }
    child.stdin.take().expect("piped").write_all(b"<domain/>").expect("written");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// The process that this one has started.
fn started_by(process: u32) -> Option<u32> {
    let entries = fs::read_dir("/proc").expect("readable");
    let mut processes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.find(|other| status(*other, "PPid") == process.to_string())
}

#[test]
fn an_answer_that_is_a_file_is_read_by_a_process_that_cannot_write_it() {
    let scratch = tempfile::tempdir().expect("a directory");
    for verb in ["capture", "report"] {
        let path = scratch.path().join(verb);
        let mut child = spawn(&[verb, "-v", "-o", path.to_str().expect("UTF-8"), "--dump", "-"], None);
        let started = Instant::now();
        let reader = loop {
            if let Some(reader) = started_by(child.id()).filter(|reader| status(*reader, "NoNewPrivs") == "1")
            {
                break reader;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{verb}: privileges are kept");
            sleep(Duration::from_millis(5));
        };
        let mut told = vec![0; 4096];
        let length = child.stderr.as_mut().expect("piped").read(&mut told).expect("told");
        let told = String::from_utf8_lossy(&told[..length]).into_owned();
        if status(std::process::id(), "Uid").starts_with("0 ") && !told.contains("still root") {
            assert_eq!(status(reader, "Uid"), "65534 65534 65534 65534", "{verb}");
        }
        assert!(!path.exists(), "{verb}: nothing was read, and there is a file");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(record("00:1f.0 x: y", &[0; 64]).as_bytes()).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{verb}: {output:?}");
        assert!(fs::metadata(&path).expect("written").len() > 100, "{verb}");
    }
    let left: Vec<_> = fs::read_dir(&scratch).expect("readable").map(|entry| entry.expect("one")).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn an_answer_that_fails_leaves_no_file_and_its_exit_code() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("file");
    for verb in ["capture", "report"] {
        let arguments = [verb, "-o", path.to_str().expect("UTF-8"), "--dump", "-"];
        assert_eq!(answer(&mut HOSTILE.as_bytes(), &arguments, None).status.code(), Some(4), "{verb}");
        let wrong = [&arguments[..], &["--format", "json", "--set", "00:1f.0=+ReqRedir"]].concat();
        assert_eq!(acsscan(&wrong).status.code(), Some(2), "{verb}");
    }
    assert_eq!(fs::read_dir(&scratch).expect("readable").count(), 0);
}

/// Address space for a small bomb, in KiB: what the program itself takes, and little more.
const ROOM: usize = 96 * 1024;

#[test]
fn an_endless_line_is_refused_in_little_memory() {
    let mut line = std::io::repeat(b'x').take(256 << 20);
    let output = answer(&mut line, &["--dump", "-", "-n"], Some(ROOM));
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let mut zeros = std::io::repeat(0).take(256 << 20);
    assert_eq!(answer(&mut zeros, &["--dump", "-", "-n"], Some(ROOM)).status.code(), Some(4));
    // Endless, and no end of records either: the same function again and again costs no memory.
    let again = record("00:1f.0 x: y", &[0; 64]).repeat(100_000);
    assert_eq!(answer(&mut again.as_bytes(), &["--dump", "-", "-n"], Some(ROOM)).status.code(), Some(0));
}

/// The header of an empty file in a tar archive.
fn tar_header(name: &str) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

#[test]
fn an_archive_of_many_small_entries_is_refused_in_little_memory() {
    const ENTRIES: u32 = 150_000;
    let entry =
        |n: u32| tar_header(&format!("sys/devices/pci0000:00/{:04x}:{:02x}:00.0/config", n >> 8, n & 0xff));
    let mut archive: Vec<u8> = Vec::new();
    (0..=ENTRIES).for_each(|n| archive.extend_from_slice(&entry(n)));
    let limit = format!("entries={ENTRIES}");
    let output = answer(&mut archive.as_slice(), &["--dump", "-", "-n", "--limit", &limit], Some(ROOM));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(4) && told.contains("--limit entries="), "{output:?}");
}

#[test]
fn thousands_of_segments_and_crowded_lists_are_answered_in_little_memory() {
    let mut segments = String::new();
    for segment in 0..4096 {
        segments +=
            &record(&format!("{segment:04x}:00:00.0 x: y"), Config::conventional().captured(64).bytes());
    }
    let output = answer(&mut segments.as_bytes(), &["--dump", "-", "-n"], Some(ROOM));
    assert!(output.status.success(), "{:?}", output.status);
    // 960 extended capabilities, the last one ACS: as many as fit.
    let mut crowded = Config::endpoint();
    for at in (0x100..0x1000).step_by(4) {
        let (id, next) = if at == 0xff8 { (0x000d, 0) } else { (0x000b, at as u32 + 4) };
        crowded = crowded.dword(at, id | 1 << 16 | (next & 0xffc) << 20);
    }
    let mut text = String::new();
    for function in 0..256 {
        text += &record(&format!("00:{:02x}.{:x} x: y", function >> 3, function & 7), crowded.bytes());
    }
    let started = Instant::now();
    let output = answer(&mut text.as_bytes(), &["--dump", "-", "-n", "--format", "json"], Some(ROOM));
    assert!(matches!(output.status.code(), Some(0 | 3)), "{:?}", output.status);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn long_lists_on_a_command_line_are_answered_in_little_time() {
    let scratch = tempfile::tempdir().expect("a directory");
    let root = scratch.path();
    for device in 0..32 {
        let directory = root.join(format!("sys/bus/pci/devices/0000:00:{device:02x}.0"));
        fs::create_dir_all(&directory).expect("made");
        let port = Config::root_port(device + 1, device + 1).acs(0x1f, 0x1d, 0);
        fs::write(directory.join("config"), port.bytes()).expect("written");
    }
    fs::create_dir(root.join("proc")).expect("made");
    let dump = root.to_str().expect("UTF-8");
    // Entries that match nothing, that are damaged, that have a long way down, and options without end.
    for unit in ["pci:1:1;", "z;", "0:1.0/1.0/1.0/1.0/1.0/1.0;", "1@pci:1:1;", "0:1.0,"] {
        for name in ["disable_acs_redir", "config_acs"] {
            let list = format!("pci={name}={}00:01.0", unit.repeat(60_000 / unit.len()));
            fs::write(root.join("proc/cmdline"), &list).expect("written");
            for more in [&[][..], &["--kernel-params", &list]] {
                let arguments = [&["--dump", dump, "--format", "json"], more].concat();
                // Processor time, which does not depend on who else is there.
                let output = Command::new("sh")
                    .args(["-c", "ulimit -t 10; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_acsscan")])
                    .args(&arguments)
                    .output()
                    .expect("runs");
                let code = output.status.code();
                assert!(matches!(code, Some(0 | 3)), "{unit} {name}: {code:?} {:.500?}", output.stderr);
                let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
                let said = document["host"]["cmdline_findings"].as_array().map_or(0, Vec::len);
                assert!((1..=201).contains(&said), "{unit} {name}: {said}");
            }
        }
    }
}

#[test]
fn everything_is_opened_for_reading_and_nothing_is_written_but_the_answer() {
    const CALLS: &str = "trace=open,openat,openat2,creat,truncate,ftruncate,pwrite64,pwritev,pwritev2,unlink,\
                         unlinkat,rename,renameat2,mkdir,mkdirat,link,linkat,symlink,symlinkat,socket,connect,\
                         bind,sendto,sendmsg";
    let copy = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/sysfs-tree/sys");
    for source in [&["--sysfs-root", copy][..], &["--dump", copy], &["show", "--dump", copy]] {
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-e", CALLS, env!("CARGO_BIN_EXE_acsscan")])
            .args(source)
            .output();
        let Ok(output) = strace else {
            println!("skipped: strace is not installed");
            return;
        };
        let told = String::from_utf8_lossy(&output.stderr);
        let calls: Vec<&str> = told.lines().filter(|line| line.contains('(')).collect();
        if calls.is_empty() {
            println!("skipped: strace may not trace here: {told}");
            return;
        }
        for call in &calls {
            let opens = call.contains("open(") || call.contains("openat(");
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag));
            assert!(opens && !writes, "{source:?}: {call}");
        }
        assert!(calls.iter().any(|call| call.contains("/config\"") && call.contains("O_RDONLY")), "{told}");
    }
}
