//! The hierarchy as a tree and as a graph: domains are marked by words, and whatever the machine is, the
//! graph is well formed and bounded.
#![cfg(feature = "cli")]

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use support::{acsscan, subdirectories};

/// The dumps of the corpus.
fn dumps() -> Vec<String> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let folders = subdirectories(corpus.as_ref());
    let dumps = folders.iter().map(|folder| folder.join("dump.txt")).filter(|path| path.exists());
    dumps.map(|path| path.to_str().expect("UTF-8").to_owned()).collect()
}

fn dot(dump: &str) -> String {
    let output = acsscan(&["show", "-t", "--format", "dot", "--dump", dump]);
    if output.status.code() == Some(4) {
        return String::new();
    }
    assert!(matches!(output.status.code(), Some(0 | 3)), "{dump}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The nodes of a graph, checked: one statement a line, every string ends on its line, and edges lead from
/// nodes that are there to nodes that are there, to each from one.
fn nodes(graph: &str) -> BTreeSet<String> {
    let mut lines = graph.lines();
    assert_eq!(lines.next(), Some("digraph acsscan {"));
    let (mut nodes, mut edges) = (BTreeSet::new(), Vec::new());
    for line in lines.by_ref().take_while(|line| *line != "}") {
        let mut quoted = false;
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' if quoted => assert!(matches!(rest.next(), Some('\\' | '"' | 'n')), "{line}"),
                '"' => quoted = !quoted,
                c => assert!(!c.is_control(), "{line}"),
            }
        }
        assert!(!quoted && line.ends_with(';'), "{line}");
        let line = line.trim().trim_end_matches(';');
        match line.split_once(" -> ") {
            Some((from, to)) if !line.contains("label=") => {
                let to = to.split(' ').next().expect("a node");
                edges.push((from.to_owned(), to.to_owned()));
            }
            _ if line.starts_with("graph ") || line.starts_with("node ") => {}
            _ => assert!(nodes.insert(line.split(' ').next().expect("a node").to_owned()), "{line}: twice"),
        }
    }
    assert_eq!(lines.next(), None);
    let mut reached = BTreeSet::new();
    for (from, to) in edges {
        assert!(nodes.contains(&from) && nodes.contains(&to), "{from} -> {to}");
        assert!(reached.insert(to.clone()), "{to} hangs on two");
    }
    nodes
}

#[test]
fn every_dump_of_the_corpus_is_drawn_as_a_graph_and_as_a_tree_with_its_domains() {
    let dumps = dumps();
    assert!(dumps.len() > 20, "{dumps:?}");
    let mut shared = 0;
    for dump in dumps {
        let graph = dot(&dump);
        if graph.is_empty() {
            continue;
        }
        assert!(nodes(&graph).len() > 1, "{dump}");
        shared += usize::from(graph.contains(", shared"));
        let plain = acsscan(&["show", "-t", "--color", "never", "--dump", &dump]).stdout;
        let coloured = acsscan(&["show", "-t", "--color", "always", "--dump", &dump]).stdout;
        let plain = String::from_utf8(plain).expect("UTF-8");
        assert!(plain.contains("domain 0"), "{plain}");
        assert_eq!(plain.contains("+}"), plain.contains("+ an isolation domain"), "{plain}");
        let coloured = String::from_utf8(coloured).expect("UTF-8");
        assert_eq!(plain, anstream::adapter::strip_str(&coloured).to_string(), "colour says no more");
    }
    assert!(shared > 2, "{shared}");
}

/// A function of 64 bytes.
fn record(text: &mut String, address: &str, device: u16) {
    let mut bytes = [0_u8; 64];
    bytes[..2].copy_from_slice(&0x1af4_u16.to_le_bytes());
    bytes[2..4].copy_from_slice(&device.to_le_bytes());
    bytes[0x0b] = 2;
    text.push_str(&format!("{address} Class 0200\n"));
    for (n, row) in bytes.chunks(16).enumerate() {
        let row: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{:02x}: {}\n", n * 16, row.join(" ")));
    }
    text.push('\n');
}

#[test]
fn alike_functions_are_one_node_and_beyond_a_bound_nothing_is_drawn_which_is_said() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("dump.txt");
    let draw = |device: &dyn Fn(u32) -> u16| {
        let mut text = String::new();
        for n in 0..6000_u32 {
            let address = format!("{:04x}:00:{:02x}.0", n >> 5, n & 31);
            record(&mut text, &address, device(n));
        }
        std::fs::write(&path, text).expect("writable");
        dot(path.to_str().expect("UTF-8"))
    };
    let alike = draw(&|_| 0x1000);
    assert_eq!(nodes(&alike).len(), 2 * 188, "a root bus and a node for its functions, 188 times");
    assert!(alike.contains("32 functions, 0000:00:00.0 to 0000:00:1f.0"), "{alike}");
    let each = draw(&|n| n as u16);
    let drawn = nodes(&each);
    assert!(drawn.len() < 4096 + 300 && drawn.contains("more"), "{}", drawn.len());
    assert!(each.contains("functions more, not drawn"));
}

#[test]
fn what_has_no_hierarchy_to_draw_is_refused() {
    for arguments in [&["groups"][..], &["show"], &["00:00.0"], &["--summary"], &["schema"]] {
        let output = acsscan(&[arguments, &["--format", "dot"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.stdout.is_empty() && stderr.contains("show -t --format dot"), "{stderr}");
    }
}

#[test]
fn neither_a_capture_nor_a_hook_takes_what_if_options() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("host.tar.zst");
    let file = file.to_str().expect("UTF-8");
    let dumps = dumps();
    let dump = dumps.first().expect("one");
    for overlay in [["--set", "00:01.0=+ReqRedir"], ["--remove", "00:01.0"], ["--kernel-params", "pci=noats"]]
    {
        let output = acsscan(&[&["capture", "-o", file, "--dump", dump][..], &overlay].concat());
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("what-if"), "{stderr}");
        assert!(!std::path::Path::new(file).exists());
    }
}

#[test]
fn a_guest_is_not_let_start_by_what_if() {
    let xml = "<domain><devices><hostdev mode='subsystem' type='pci'><source>\
               <address domain='0' bus='0' slot='1' function='0'/></source></hostdev></devices></domain>";
    let mut child = Command::new(env!("CARGO_BIN_EXE_acsscan"))
        .args(["hook", "libvirt", "--set", "00:01.0=+ReqRedir", "guest", "prepare", "begin", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("piped").write_all(xml.as_bytes()).expect("read");
    let output = child.wait_with_output().expect("ends");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("what-if") && stderr.lines().count() == 1, "{stderr}");
}
