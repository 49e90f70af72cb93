//! Every command that README and the guides show is run, and what they show of its output is what it
//! prints.
//!
//! A block `console` has commands behind `$ ` and what each prints; `...` on a line of its own stands for
//! lines that are left out. `ACSSCAN_BLESS=1` writes what is printed now, and keeps what is left out. The
//! commands of a block `sh` are run, too, and have to succeed. Both run in a folder with the dumps that
//! the guides speak of; "this host" is `corpus/sysfs-tree`.
#![cfg(feature = "cli")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use snapbox::Data;
use snapbox::filter::NormalizeToExpected;
use tempfile::TempDir;

/// The pages that people read. What engines.md shows is run by .ci/recipes.
const PAGES: [&str; 7] = [
    "README.md",
    "src/docs/embed.md",
    "src/docs/fleet.md",
    "src/docs/group.md",
    "src/docs/libvirt.md",
    "src/docs/limits.md",
    "src/docs/p2p.md",
];

/// What is run by the scripts in .ci, or is what runs this test.
const RUN_ELSEWHERE: [&str; 3] = [
    "cargo run --release -- --dump corpus/qemu-sriov/dump.txt",
    "cargo test --all-features",
    "cargo cinstall --locked --no-default-features --prefix=/usr --libdir=/usr/lib",
];

#[test]
fn the_hook_of_the_guide_is_the_one_that_is_installed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs");
    let guide = fs::read_to_string(root.join("libvirt.md")).expect("readable");
    let hook = fs::read_to_string(root.join("10-acsscan")).expect("readable");
    assert!(guide.contains(&format!("```text\n{hook}```\n")));
}

#[test]
fn what_the_guides_show_is_what_the_commands_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for page in PAGES {
        let path = root.join(page);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
        let told = told(&text, &Host::new(root), page, &mut wrong);
        if told == text {
            continue;
        }
        if std::env::var_os("ACSSCAN_BLESS").is_some() {
            fs::write(&path, told).expect("writable");
        } else {
            wrong.push(format!("{page} is stale (ACSSCAN_BLESS=1 writes it):\n{}", difference(&text, &told)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The page with what its commands print now; what went wrong goes to `wrong`.
fn told(text: &str, host: &Host, page: &str, wrong: &mut Vec<String>) -> String {
    let mut told = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        told.push_str(line);
        told.push('\n');
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match language {
            "console" => told.push_str(&console(&block, host, page, wrong)),
            _ => {
                if language == "sh" {
                    commands(&block).iter().for_each(|command| run_plain(command, host, page, wrong));
                } else if language.is_empty() && page == "README.md" {
                    let unknown = block.iter().filter(|line| !RUN_ELSEWHERE.contains(line));
                    wrong.extend(unknown.map(|line| format!("{page}: nobody runs this: {line}")));
                }
                block.iter().for_each(|line| told.push_str(&format!("{line}\n")));
            }
        }
        told.push_str("```\n");
    }
    told
}

/// A block of commands with what they print.
fn console(block: &[&str], host: &Host, page: &str, wrong: &mut Vec<String>) -> String {
    let mut told = String::new();
    let mut at = 0;
    while let Some(line) = block.get(at) {
        let Some(command) = line.strip_prefix("$ ") else {
            wrong.push(format!("{page}: a console block starts with a command, not with {line}"));
            break;
        };
        let shown: Vec<&str> =
            block[at + 1..].iter().take_while(|line| !line.starts_with("$ ")).copied().collect();
        at += 1 + shown.len();
        let (status, printed) = host.run(command);
        if !matches!(status, Some(0 | 1 | 3)) {
            wrong.push(format!("{page}: {command}: ended with {status:?}\n{printed}"));
        }
        let shown: String = shown.iter().map(|line| format!("{line}\n")).collect();
        let normalized =
            NormalizeToExpected::new().redact().normalize(Data::text(printed), &Data::text(shown));
        told.push_str(&format!("$ {command}\n{normalized}"));
    }
    told
}

/// The commands of a block, each whole.
fn commands(block: &[&str]) -> Vec<String> {
    let text = block.join("\n").replace("\\\n", "");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn run_plain(command: &str, host: &Host, page: &str, wrong: &mut Vec<String>) {
    if RUN_ELSEWHERE.contains(&command) {
        return;
    }
    let (status, printed) = host.run(command);
    if !matches!(status, Some(0 | 1 | 3)) {
        wrong.push(format!("{page}: {command}: ended with {status:?}\n{printed}"));
    }
}

fn difference(old: &str, new: &str) -> String {
    let lines = old.lines().zip(new.lines()).enumerate();
    let differ = lines.filter(|(_, (old, new))| old != new).take(5);
    differ.map(|(at, (old, new))| format!("  line {}\n  - {old}\n  + {new}\n", at + 1)).collect()
}

/// A folder in which the commands of the guides find what they name.
struct Host {
    folder: TempDir,
    path: String,
}

impl Host {
    fn new(root: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let at = |name: &str| folder.path().join(name);
        let dump =
            |case: &str| fs::read_to_string(root.join(format!("corpus/{case}/dump.txt"))).expect("a case");
        let write = |path: PathBuf, text: &str| fs::write(path, text).expect("writable");
        symlink(root.join("corpus"), at("corpus")).expect("linked");
        write(at("host.txt"), &dump("qemu-sriov"));
        write(at("old.txt"), &dump("qemu-sriov"));
        // A root port of the newer dump redirects no completions: ACS Control of 00:01.0, at 14Eh.
        let changed = dump("qemu-sriov").replacen("01 00 5f 00 1d 00", "01 00 5f 00 15 00", 1);
        write(at("new.txt"), &changed);
        fs::create_dir(at("dumps")).expect("made");
        for host in 1..=24 {
            write(at(&format!("dumps/node{host:02}.txt")), &dump("qemu-sriov"));
        }
        write(at("dumps/node25.txt"), &dump("qemu-small"));
        let is_short = |line: &&str| line.split(':').next().is_none_or(|offset| offset.len() != 3);
        let short: String =
            dump("qemu-sriov").lines().filter(is_short).map(|line| format!("{line}\n")).collect();
        write(at("short.txt"), &short);
        write(at("guest1.xml"), GUEST);
        fs::create_dir(at("collected")).expect("made");
        fs::create_dir(at("bin")).expect("made");
        // Without a dump it is this host, which has another sysfs here, and no names of its own.
        let program = format!(
            "#!/bin/sh\ncase \"$1 $*\" in\nschema*|fleet*|diff*|*--dump*) ;;\n*) set -- --sysfs-root {} \"$@\" ;;\nesac\n\
             exec {} --no-default-db --ids {} \"$@\"\n",
            root.join("corpus/sysfs-tree/sys").display(),
            env!("CARGO_BIN_EXE_acsscan"),
            at("pci.ids").display(),
        );
        write(at("pci.ids"), NAMES);
        for (name, script) in [
            ("acsscan", program.as_str()),
            ("ssh", "#!/bin/sh\ncat host.txt\n"),
            ("dot", "#!/bin/sh\nexec cat\n"),
        ] {
            let path = at("bin").join(name);
            write(path.clone(), script);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permitted");
        }
        let others = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{others}", at("bin").display());
        Self { folder, path }
    }

    /// Runs a command in a shell: its exit code, and what it prints.
    fn run(&self, command: &str) -> (Option<i32>, String) {
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{command}")])
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .output()
            .expect("runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
    }
}

/// A guest that is given one function.
const GUEST: &str = "<domain type='kvm'><devices><hostdev mode='subsystem' type='pci'><source>\
<address domain='0' bus='7' slot='0' function='0'/></source></hostdev></devices></domain>\n";

/// Names of the functions that the guides show: what pci.ids says of them, so that a page does not change
/// with the machine.
const NAMES: &str = "\
104c  Texas Instruments
\t8232  XIO3130 PCI Express Switch (Upstream)
\t8233  XIO3130 PCI Express Switch (Downstream)
1af4  Red Hat, Inc.
\t1041  Virtio 1.0 network device
\t1044  Virtio 1.0 RNG
\t1048  Virtio 1.0 SCSI
\t1052  Virtio 1.0 input
1b36  Red Hat, Inc.
\t000c  QEMU PCIe Root port
\t000d  QEMU XHCI Host Controller
\t0010  QEMU NVM Express Controller
8086  Intel Corporation
\t10c9  82576 Gigabit Network Connection
\t10ca  82576 Virtual Function
\t10d3  82574L Gigabit Network Connection
\t244e  82801 PCI Bridge
106b  Apple Inc.
\t003f  KeyLargo/Intrepid USB
C 01  Mass storage controller
\t00  SCSI storage controller
\t08  Non-Volatile memory controller
C 02  Network controller
\t00  Ethernet controller
C 06  Bridge
\t04  PCI bridge
C 09  Input device controller
\t00  Keyboard controller
C 0c  Serial bus controller
\t03  USB controller
C 00  Unclassified device
\tff  Unclassified device
";
