//! Archives of made-up machines, and hostile ones.

use std::format;
use std::io::Write;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use tar::{Builder, EntryType, Header};

use super::super::{Problem, ProblemKind};
use super::*;
use crate::function::Inventory;
use crate::limits::Limit;

struct Read {
    result: Result<Format, Error>,
    inventory: Inventory,
    problems: Vec<Problem>,
    part: Option<std::string::String>,
    kernel: Option<std::string::String>,
    cmdline: Option<std::string::String>,
}

fn read_with(bytes: &[u8], options: &Options) -> Read {
    let mut inventory = Inventory::new();
    let mut delivery = Delivery::new(&mut inventory);
    delivery.limits = options.limits.clone();
    let result = detect::read_stream(bytes, Path::new("x.tar"), options, &mut delivery);
    let Delivery { problems, part, host, .. } = delivery;
    let (kernel, cmdline) = host.map(|host| (host.release, host.cmdline)).unwrap_or_default();
    Read { result, inventory: inventory.finish(), problems, part, kernel, cmdline }
}

fn read_bytes(bytes: &[u8]) -> Read {
    read_with(bytes, &Options::default())
}

fn config(device: u8) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..4].copy_from_slice(&[0x86, 0x80, device, 0x12]);
    bytes
}

fn add(tar: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, content: &[u8], link: &str) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    if link.is_empty() {
        tar.append_data(&mut header, name, content).expect("added");
    } else {
        tar.append_link(&mut header, name, link).expect("added");
    }
}

/// A machine as a copy of sysfs: a root port, and a function below it.
fn sysfs() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let port = "h/sys/devices/pci0000:00/0000:00:01.0";
    let below = &format!("{port}/0000:01:00.0");
    add(&mut tar, EntryType::Regular, "h/proc/cmdline", b"quiet iommu=pt\n", "");
    add(&mut tar, EntryType::Regular, "h/proc/sys/kernel/osrelease", b"6.1.0-20\n", "");
    add(&mut tar, EntryType::Regular, &format!("{below}/config"), &config(2), "");
    add(
        &mut tar,
        EntryType::Symlink,
        &format!("{below}/driver"),
        b"",
        "../../../../bus/pci/drivers/vfio-pci",
    );
    add(
        &mut tar,
        EntryType::Symlink,
        &format!("{below}/iommu_group"),
        b"",
        "../../../../kernel/iommu_groups/7",
    );
    add(&mut tar, EntryType::Regular, &format!("{port}/config"), &config(1), "");
    add(&mut tar, EntryType::Regular, &format!("{port}/resource0"), &[7; 100_000], "");
    for (name, target) in [
        ("0000:00:01.0", "../../../devices/pci0000:00/0000:00:01.0"),
        ("0000:01:00.0", "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0"),
    ] {
        add(&mut tar, EntryType::Symlink, &format!("h/sys/bus/pci/devices/{name}"), b"", target);
    }
    tar.into_inner().expect("whole")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("whole")
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("whole")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// The encoder is no part of what is built in: packed by another program, where there is one.
fn xz(bytes: &[u8]) -> Option<Vec<u8>> {
    use std::process::{Command, Stdio};
    let mut child = Command::new("xz").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take().expect("piped");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().expect("ends");
    writer.join().expect("ended").expect("written");
    Some(output.stdout)
}

#[test]
fn a_machine_is_read_alike_from_every_packing() {
    let plain = sysfs();
    let forms = [
        ("tar", Some(plain.clone())),
        ("gz", Some(gzip(&plain))),
        ("bz2", Some(bzip2(&plain))),
        ("zst", Some(zstd(&plain))),
        ("xz", xz(&plain)),
        ("gz.zst", Some(zstd(&gzip(&plain)))),
        ("two frames", Some([zstd(&plain[..700]), zstd(&plain[700..])].concat())),
        ("two members", Some([gzip(&plain[..700]), gzip(&plain[700..])].concat())),
    ];
    for (name, bytes) in forms {
        let Some(bytes) = bytes else { continue };
        let found = read_bytes(&bytes);
        assert!(matches!(found.result, Ok(Format::Archive)), "{name}: {:?}", found.result);
        assert!(found.problems.is_empty(), "{name}: {:?}", found.problems);
        let functions: Vec<_> =
            found.inventory.functions().iter().map(|f| (f.address.to_string(), f.device_id)).collect();
        let expected = [("0000:00:01.0".to_string(), 0x1201), ("0000:01:00.0".to_string(), 0x1202)];
        assert_eq!(functions, expected, "{name}");
        let known = found.inventory.attributes(1).expect("known");
        assert_eq!((known.driver.as_deref(), known.kernel_group), (Some("vfio-pci"), Some(7)), "{name}");
        assert_eq!(found.part.as_deref(), Some("h/sys"), "{name}");
        assert_eq!(found.kernel.as_deref(), Some("6.1.0-20"), "{name}");
        assert_eq!(found.cmdline.as_deref(), Some("quiet iommu=pt"), "{name}");
    }
    let thrice = read_bytes(&gzip(&gzip(&gzip(&plain)))).result;
    assert!(matches!(thrice, Err(Error::Unsupported { what: Unsupported::Nested, .. })), "{thrice:?}");
}

#[test]
fn a_compressed_text_is_read_as_the_text() {
    let text = format!("00:01.0 ISA bridge: x\n00:{}\n", " 11".repeat(16));
    let found = read_bytes(&gzip(text.as_bytes()));
    assert!(matches!(found.result, Ok(Format::LspciHex)), "{:?}", found.result);
    assert_eq!(found.inventory.functions().len(), 1);
    let archive = Options { format: Some(Format::Archive), ..Options::default() };
    let forced = read_with(&gzip(text.as_bytes()), &archive).result;
    assert!(matches!(forced, Err(Error::WrongFormat { .. })), "{forced:?}");
}

#[test]
fn an_sos_report_gives_the_bytes_of_procfs_and_what_its_links_tell() {
    let mut tar = Builder::new(Vec::new());
    let top = "sosreport-host-2026";
    let devices = format!("{top}/sys/bus/pci/devices");
    let function = format!("{top}/sys/devices/pci0000:00/0000:00:01.0");
    add(
        &mut tar,
        EntryType::Symlink,
        &format!("{devices}/0000:00:01.0"),
        b"",
        "../../../devices/pci0000:00/0000:00:01.0",
    );
    add(
        &mut tar,
        EntryType::Symlink,
        &format!("{function}/iommu_group"),
        b"",
        "../../../kernel/iommu_groups/3",
    );
    add(&mut tar, EntryType::Regular, &format!("{top}/proc/bus/pci/00/01.0"), &config(9), "");
    add(&mut tar, EntryType::Regular, &format!("{top}/proc/bus/pci/devices"), b"0008\t80861209\t0\n", "");
    add(
        &mut tar,
        EntryType::Regular,
        &format!("{top}/sos_commands/pci/lspci_-nnvv"),
        b"00:01.0 ISA bridge: x\n\tFlags: y\n",
        "",
    );
    add(
        &mut tar,
        EntryType::Regular,
        &format!("{top}/sos_commands/kernel/uname_-a"),
        b"Linux host 5.14.0-427.el9 #1 SMP\n",
        "",
    );
    let found = read_bytes(&tar.into_inner().expect("whole"));
    assert!(matches!(found.result, Ok(Format::Archive)), "{:?}", found.result);
    assert_eq!(found.inventory.functions()[0].device_id, 0x1209);
    assert_eq!(found.inventory.attributes(0).and_then(|known| known.kernel_group), Some(3));
    assert_eq!(found.kernel.as_deref(), Some("5.14.0-427.el9"));
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

#[test]
fn members_that_lead_out_or_stand_for_devices_are_left_alone() {
    let mut tar = Builder::new(Vec::new());
    add(&mut tar, EntryType::Regular, "0000:00:01.0.bin", &config(1), "");
    add(&mut tar, EntryType::Link, "0000:00:02.0.bin", b"", "0000:00:01.0.bin");
    add(&mut tar, EntryType::Symlink, "0000:00:03.0.bin", b"", "../../etc/passwd");
    add(&mut tar, EntryType::Symlink, "0000:00:04.0.bin", b"", "/etc/passwd");
    add(&mut tar, EntryType::Symlink, "0000:00:05.0.bin", b"", "0000:00:05.0.bin");
    for (kind, name) in [(EntryType::Char, "0000:00:06.0.bin"), (EntryType::Fifo, "0000:00:07.0.bin")] {
        add(&mut tar, kind, name, b"", "");
    }
    let mut header = Header::new_old();
    header.as_old_mut().name[..22].copy_from_slice(b"../../0000:00:08.0.bin");
    header.set_size(256);
    header.set_cksum();
    tar.append(&header, &config(8)[..]).expect("added");
    let found = read_bytes(&tar.into_inner().expect("whole"));
    assert!(matches!(found.result, Ok(Format::Archive)), "{:?}", found.result);
    let functions: Vec<_> = found.inventory.functions().iter().map(|f| f.address.to_string()).collect();
    assert_eq!(functions, ["0000:00:01.0", "0000:00:02.0"]);
    let kinds: Vec<_> = found.problems.iter().map(|problem| problem.kind).collect();
    let outside = ProblemKind::LeadsOut;
    assert_eq!(kinds, [outside, outside, outside, ProblemKind::Unreadable]);
}

#[test]
fn each_limit_ends_the_reading_with_its_name() {
    let many = |count: usize| {
        let mut tar = Builder::new(Vec::new());
        for n in 0..count {
            add(&mut tar, EntryType::Symlink, &format!("{n}/driver"), b"", "x");
        }
        tar.into_inner().expect("whole")
    };
    // 17 MiB of zeros, less than 80 KiB when packed.
    let zeros = {
        let mut tar = Builder::new(Vec::new());
        add(&mut tar, EntryType::Regular, "zeros", &vec![0; 17 << 20], "");
        tar.into_inner().expect("whole")
    };
    let cases = [
        (Limit::Entries, 100, many(101)),
        (Limit::Kept, 4096, many(50)),
        (Limit::Unpacked, 1 << 20, gzip(&zeros)),
        (Limit::Ratio, 100, gzip(&zeros)),
        (Limit::Ratio, 1000, bzip2(&zeros)),
    ];
    for (limit, value, bytes) in cases {
        let mut options = Options::default();
        options.limits.set(limit, value);
        let error = read_with(&bytes, &options).result.expect_err("too much");
        assert!(matches!(error, Error::Limit { limit: found, .. } if found == limit), "{limit:?}: {error}");
        assert!(error.to_string().contains(&format!("--limit {}=", limit.word())), "{error}");
    }
    let mut options = Options::default();
    options.limits.set(Limit::Window, 1 << 20);
    if let Some(bytes) = xz(&sysfs()) {
        let error = read_with(&bytes, &options).result.expect_err("window too large");
        assert!(matches!(error, Error::Limit { limit: Limit::Window, .. }), "{error}");
    }
    options = Options::default();
    options.limits.set(Limit::Functions, 1);
    let found = read_with(&sysfs(), &options);
    assert_eq!((found.inventory.functions().len(), found.problems.len()), (1, 1));
    assert!(found.problems[0].text.contains("--limit functions="), "{}", found.problems[0]);
}

#[test]
fn an_endless_name_is_not_taken_into_memory() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_path("././@LongLink").expect("short");
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(1 << 20, b'a');
    assert!(matches!(read_bytes(&bytes).result, Err(Error::Unpack { .. })));
}

#[test]
fn a_cut_archive_gives_what_came_before_the_cut_and_says_so() {
    let whole = sysfs();
    for bytes in [whole[..whole.len() / 2].to_vec(), gzip(&whole)[..800].to_vec()] {
        let found = read_bytes(&bytes);
        let cut = found.problems.iter().any(|problem| problem.kind == ProblemKind::Truncated);
        assert!(cut || found.result.is_err(), "{:?}", found.problems);
    }
    for length in 0..gzip(&whole).len() {
        let found = read_bytes(&gzip(&whole)[..length]);
        let said = found.result.is_err() || found.problems.iter().any(|p| p.kind == ProblemKind::Truncated);
        assert!(said || found.inventory.functions().len() == 2, "{length}");
    }
}
