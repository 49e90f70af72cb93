//! One machine in every form in which it can be dumped: the same functions and groups from each,
//! wherever the form holds the same information.
#![cfg(all(feature = "archive", feature = "serde"))]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use acsscan::addr::Sbdf;
use acsscan::db;
use acsscan::dump::capture::{self, Redact};
use acsscan::dump::{self, Format, Input, Options};
use acsscan::function::{Function, Inventory};
use acsscan::route::linux::Linux;
use acsscan::topology::Topology;
use base64::Engine;
use support::{Bytes, shared, subdirectories};

struct Found {
    format: Format,
    functions: Vec<Function>,
    groups: BTreeSet<Vec<Sbdf>>,
    problems: usize,
}

fn read(path: &Path) -> Found {
    let mut inventory = Inventory::new();
    let info = dump::read(&Input::Path(path.to_owned()), &Options::default(), &mut inventory);
    let info = info.unwrap_or_else(|error| panic!("{error}"));
    let topology = Topology::new(inventory.finish());
    let database = db::builtin().expect("good");
    let grouping = Linux::new(&topology, &database).group();
    let address = |index: &usize| topology.functions()[*index].address;
    Found {
        format: info.kind,
        groups: grouping.groups.iter().map(|group| group.functions.iter().map(address).collect()).collect(),
        functions: topology.functions().to_vec(),
        problems: info.problems.len(),
    }
}

/// The hex text as lspci writes it.
fn hex(machine: &[(Sbdf, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (address, bytes) in machine {
        writeln!(text, "{address} Class 0000: made").expect("text");
        for (line, bytes) in bytes.chunks(16).enumerate() {
            write!(text, "{:02x}:", line * 16).expect("text");
            bytes.iter().for_each(|byte| write!(text, " {byte:02x}").expect("text"));
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// Configuration files below one directory, as `name` names them.
fn files(machine: &[(Sbdf, Vec<u8>)], root: &Path, name: impl Fn(Sbdf) -> String) -> PathBuf {
    for (address, bytes) in machine {
        let path = root.join(name(*address));
        fs::create_dir_all(path.parent().expect("one")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    root.to_owned()
}

fn sysfs(machine: &[(Sbdf, Vec<u8>)], root: &Path) -> PathBuf {
    let devices = root.join("sys/bus/pci/devices");
    fs::create_dir_all(&devices).expect("made");
    for (address, _) in machine {
        symlink(format!("../../../devices/all/{address}"), devices.join(address.to_string())).expect("made");
    }
    files(machine, root, |address| format!("sys/devices/all/{address}/config"))
}

fn tar(directory: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all("machine", directory).expect("packed");
    builder.into_inner().expect("whole")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("whole")
}

fn rdma_topo(machine: &[(Sbdf, Vec<u8>)]) -> String {
    let pack = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("written");
        base64::engine::general_purpose::STANDARD.encode(encoder.finish().expect("whole"))
    };
    let entry = |(address, bytes): &(Sbdf, Vec<u8>)| serde_json::json!({"realpath": format!("/sys/devices/all/{address}"), "config": pack(bytes), "modalias": ""});
    serde_json::Value::from_iter(machine.iter().map(entry)).to_string()
}

/// How many functions a text told what of, so that a text that tells nothing does not agree.
#[derive(Default)]
struct Told {
    subsystems: usize,
    port_types: usize,
    acs: usize,
    absent: usize,
    multifunction: usize,
}

/// What a text without hex tells as bytes do, where it tells it. `alone`: it is the only one in its slot,
/// of which no text says whether the device could have more.
fn agree(text: &Function, bytes: &Function, alone: bool, told: &mut Told) {
    let address = bytes.address;
    assert_eq!(text.address, address);
    assert_eq!((text.vendor_id, text.device_id), (bytes.vendor_id, bytes.device_id), "{address}");
    assert_eq!((text.class, text.revision), (bytes.class, bytes.revision), "{address}");
    assert_eq!(text.bus_range(), bytes.bus_range(), "{address}");
    assert_eq!(text.port_type(), bytes.port_type(), "{address}");
    assert_eq!(text.header_type.layout(), bytes.header_type.layout(), "{address}");
    let multifunction = bytes.header_type.multi_function();
    // What the others say is never asked; a virtual function never says so.
    if !alone && address.bdf.function() == 0 && !bytes.hides_its_ids() {
        assert_eq!(text.header_type.multi_function(), multifunction, "{address}");
        told.multifunction += usize::from(multifunction);
    }
    // Without one lspci prints no line.
    let has_subsystem = |function: &Function| function.subsystem().filter(|ids| !matches!(ids.0, 0 | 0xffff));
    assert!(text.subsystem().is_none() || text.subsystem() == bytes.subsystem(), "{address}");
    assert_eq!(has_subsystem(text), has_subsystem(bytes), "{address}");
    told.subsystems += usize::from(has_subsystem(text).is_some());
    told.port_types += usize::from(text.port_type().is_some());
    told.acs += usize::from(text.acs.present().is_some());
    told.absent += usize::from(text.acs.is_absent());
    assert!(text.acs.is_not_captured() || registers(text) == registers(bytes), "{address}");
    assert!(text.ari.is_not_captured() || text.ari == bytes.ari, "{address}");
    // Of the capability register lspci does not print all bits.
    let ats = |function: &Function| function.ats.present().map(|ats| (ats.offset, ats.enabled()));
    assert!(text.ats.is_not_captured() || ats(text) == ats(bytes), "{address}");
}

/// The ACS registers in the bits that lspci prints.
fn registers(function: &Function) -> Option<(u16, u16, u16)> {
    let acs = function.acs.present()?;
    Some((acs.offset.get(), acs.capability.bits() & 0x7f, acs.control.bits() & 0x7f))
}

fn every_form_of(machine: &[(Sbdf, Vec<u8>)], name: &str, told: &mut Told) {
    let scratch = tempfile::tempdir().expect("a directory");
    let at = |name: &str| scratch.path().join(name);
    let put = |name: &str, bytes: &[u8]| {
        fs::write(at(name), bytes).expect("written");
        at(name)
    };
    let text = put("host.txt", hex(machine).as_bytes());
    let tree = sysfs(machine, &at("tree"));
    let procfs = files(machine, &at("procfs"), |address| {
        let devfn = address.bdf.devfn();
        let domain =
            if address.segment.0 == 0 { String::new() } else { format!("{:04x}:", address.segment.0) };
        format!("proc/bus/pci/{domain}{:02x}/{:02x}.{:x}", address.bus(), devfn >> 3, devfn & 7)
    });
    let captured = capture::capture(&Input::Path(text.clone()), &Options::default(), Redact::default());
    let captured = captured.expect("captured").to_bytes().expect("packed");
    let mut forms = vec![
        (Format::Tree, files(machine, &at("files"), |address| format!("{address}.bin"))),
        (Format::Tree, procfs.clone()),
        (Format::Sysfs, tree.clone()),
        (Format::Archive, put("tree.tar", &tar(&tree))),
        (Format::Archive, put("tree.tgz", &gzip(&tar(&tree)))),
        (Format::Archive, put("procfs.tgz", &gzip(&tar(&procfs)))),
        (Format::LspciHex, put("host.txt.gz", &gzip(hex(machine).as_bytes()))),
        (Format::RdmaTopo, put("rdma.json", rdma_topo(machine).as_bytes())),
    ];
    forms.push((Format::Archive, put("capture.tar.zst", &captured)));
    let expected = read(&text);
    assert_eq!((expected.format, expected.problems), (Format::LspciHex, 0), "{name}");
    for (format, path) in forms {
        let found = read(&path);
        let form = format!("{name} as {}", path.file_name().and_then(std::ffi::OsStr::to_str).expect("one"));
        assert_eq!((found.format, found.problems), (format, 0), "{form}");
        assert_eq!(found.functions, expected.functions, "{form}");
        assert_eq!(found.groups, expected.groups, "{form}");
    }
    let Ok(decoded) = Command::new("lspci").args(["-vvv", "-nn", "-D", "-F"]).arg(&text).output() else {
        println!("without decoded text: lspci is not installed");
        return;
    };
    let found = read(&put("decoded.txt", &decoded.stdout));
    assert_eq!(found.format, Format::LspciText, "{name}");
    assert_eq!(found.functions.len(), expected.functions.len(), "{name}");
    let slot = |function: &Function| {
        let address = function.address;
        (address.segment, address.bus(), address.bdf.devfn() >> 3)
    };
    for (text, bytes) in found.functions.iter().zip(&expected.functions) {
        let alone = expected.functions.iter().filter(|other| slot(other) == slot(bytes)).count() == 1;
        agree(text, bytes, alone, told);
    }
    assert_eq!(found.groups, expected.groups, "{name} as decoded text");
}

#[test]
fn every_form_of_one_machine_gives_the_same_functions_and_groups() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut sources: Vec<PathBuf> =
        ["qemu-small", "qemu-sriov"].iter().map(|name| corpus.join(name).join("dump.txt")).collect();
    if let Some(oracle) = shared("oracle") {
        sources.extend(subdirectories(&oracle).into_iter().map(|set| set.join("configs")));
    }
    if let Some(realworld) = shared("realworld") {
        for name in ["x570-aorus-master", "x670e-proart", "hp-omen-875-i7-8700"] {
            sources.push(realworld.join("nvidia-bug-reports").join(name).join("lspci.txt"));
        }
    }
    let mut told = Told::default();
    for source in sources {
        let mut bytes = Bytes::default();
        dump::read(&Input::Path(source.clone()), &Options::default(), &mut bytes).expect("readable");
        every_form_of(&bytes.0, &source.display().to_string(), &mut told);
    }
    if Command::new("lspci").arg("--version").output().is_ok() {
        let Told { subsystems, port_types, acs, absent, multifunction } = told;
        let fewest = subsystems.min(port_types).min(acs).min(absent).min(multifunction);
        assert!(fewest > 0, "{subsystems} {port_types} {acs} {absent} {multifunction}");
    }
}
