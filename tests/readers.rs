//! Readers against dumps of made-up and of real machines, where those are at hand: the forms in which
//! one machine was dumped must give the same functions, and no file may crash or stall a reader.
#![cfg(feature = "std")]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use acsscan::dump::{self, Input, Options};
use acsscan::function::{Function, Inventory};
use support::{files, plain, shared, subdirectories};

fn read(path: &Path, options: &Options) -> (Inventory, dump::SourceInfo) {
    let mut inventory = Inventory::new();
    let info = dump::read(&Input::Path(path.into()), options, &mut inventory);
    let info = info.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (inventory.finish(), info)
}

/// A conventional function has 256 bytes in sysfs and a page in an image.
fn without_size_of_conventional(functions: &[Function]) -> Vec<Function> {
    let mut functions = functions.to_vec();
    for function in &mut functions {
        if function.pcie.is_absent() {
            (function.captured, function.extent) = (0, 0);
        }
    }
    functions
}

#[test]
fn text_files_and_image_of_one_machine_give_the_same_functions() {
    let Some(oracle) = shared("oracle") else { return };
    let scratch = tempfile::tempdir().expect("a directory");
    let (mut sets, mut images) = (0, 0);
    for set in subdirectories(&oracle) {
        let (configs, info) = read(&set.join("configs"), &Options::default());
        assert_eq!((info.kind, info.problems.len()), (dump::Format::Tree, 0), "{}", set.display());
        assert_eq!(info.records, files(&set.join("configs")).len());
        let (whole, _) = read(&set, &Options::default());
        assert_eq!(whole.functions(), configs.functions(), "{}", set.display());

        let text = plain(&set, "lspci-xxxx.txt", scratch.path()).expect("every set has text");
        let (text, info) = read(&text, &Options::default());
        assert_eq!((info.kind, info.problems.len()), (dump::Format::LspciHex, 0), "{}", set.display());
        assert_eq!(text.functions(), configs.functions(), "{}", set.display());
        sets += 1;

        let Some(image) = plain(&set, "ecam.bin", scratch.path()) else { continue };
        let expected = without_size_of_conventional(configs.functions());
        let mut mapped = Options::default();
        mapped.mmap = true;
        for options in [Options::default(), mapped] {
            let (image, info) = read(&image, &options);
            assert_eq!((info.kind, info.problems.len()), (dump::Format::Ecam, 0), "{}", set.display());
            assert_eq!(without_size_of_conventional(image.functions()), expected, "{}", set.display());
        }
        images += 1;
    }
    println!("{sets} sets, {images} images");
    assert!(sets > 0);
}

#[test]
fn every_file_of_a_real_machine_is_read_or_refused_in_one_line() {
    let Some(realworld) = shared("realworld") else { return };
    let (mut read, mut refused) = (0, 0);
    for path in files(&realworld) {
        let mut inventory = Inventory::new();
        let begin = Instant::now();
        let result = dump::read(&Input::Path(path.clone()), &Options::default(), &mut inventory);
        // Unoptimized decompression of thousands of members takes its time.
        assert!(begin.elapsed() < Duration::from_secs(10), "{}", path.display());
        let inventory = inventory.finish();
        match result {
            Ok(info) => {
                read += 1;
                assert!(!inventory.functions().is_empty());
                println!(
                    "{}: {} functions of {} records",
                    info.path,
                    inventory.functions().len(),
                    info.records
                );
                for problem in info.problems {
                    println!("    {problem}");
                    assert!(!problem.to_string().contains('\n'));
                }
            }
            Err(error) => {
                refused += 1;
                println!("{error}");
                let error = error.to_string();
                assert!(!error.contains('\n') && error.contains(&path.display().to_string()), "{error}");
                assert!(inventory.functions().is_empty(), "{error}");
            }
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read > 0 && refused > 0);
}

/// Sets with their functions, from the notes that came with them.
const COUNTS: [(&str, usize); 19] = [
    ("firmware-port-logs/h310ch5-m2/lspci.txt", 14),
    ("firmware-port-logs/huananzhi-x99-bd4/lspci.txt", 87),
    ("firmware-port-logs/samsung-np350v5c/lspci.txt", 16),
    ("firmware-port-logs/h61-desktop/lspci.txt", 11),
    ("firmware-port-logs/acer-gm45/lspci.txt", 25),
    ("firmware-port-logs/power9-talos/lspci.txt", 16),
    ("firmware-port-logs/alienware-m11x/lspci.txt", 23),
    ("mailing-lists/sifive-unmatched-asm2824/lspci.txt", 18),
    ("mailing-lists/epyc-slot-numbers-a/lspci.txt", 28),
    ("mailing-lists/arm-n1sdp/lspci.txt", 16),
    ("mailing-lists/acpiphp-crash-repeated-dumps/lspci.txt", 14),
    ("mailing-lists/rtsx-single-4k/lspci.txt", 1),
    ("nvidia-bug-reports/x570-aorus-master/lspci.txt", 47),
    ("nvidia-bug-reports/wrx80e-sage-a/lspci.txt", 96),
    ("nvidia-bug-reports/precision-5820-vmd/lspci.txt", 128),
    ("nvidia-bug-reports/4029gp-trt2-gpus-only/lspci.txt", 44),
    ("nvidia-bug-reports/gpu-off-bus-all-ff/lspci.txt", 1),
    ("pciutils/tree-asus-p6t6", 53),
    ("pciutils/PCI-X-bridges-and-domains", 31),
];

#[test]
fn real_dumps_hold_as_many_functions_as_their_notes_say() {
    let Some(realworld) = shared("realworld") else { return };
    for (name, count) in COUNTS {
        let path = realworld.join(name);
        if path.exists() {
            assert_eq!(read(&path, &Options::default()).0.functions().len(), count, "{name}");
        }
    }
}

#[test]
fn damaged_lines_of_real_dumps_leave_holes_of_the_right_size() {
    let Some(realworld) = shared("realworld") else { return };
    let cut = [("huananzhi-x99-bd4", 1, 4), ("samsung-np350v5c", 0, 16)];
    for (name, lines, hole) in cut {
        let path = realworld.join("firmware-port-logs").join(name).join("lspci.txt");
        if !path.exists() {
            continue;
        }
        let (inventory, _) = read(&path, &Options::default());
        let holed: Vec<_> =
            inventory.functions().iter().filter(|function| function.captured < function.extent).collect();
        assert_eq!(holed.len(), 1, "{name}");
        assert_eq!(holed[0].extent - holed[0].captured, hole, "{name}");
        let index = inventory.index_of(holed[0].address).expect("there");
        assert_eq!(inventory.attributes(index).map_or(0, |known| known.damaged_lines), lines, "{name}");
    }
}

#[test]
fn groups_that_lspci_printed_are_those_of_the_kernel() {
    let Some(realworld) = shared("realworld") else { return };
    let directory = realworld.join("nvidia-bug-reports/x570-aorus-master");
    let Ok(table) = fs::read_to_string(directory.join("groups.tsv")) else { return };
    let (inventory, _) = read(&directory.join("lspci.txt"), &Options::default());
    let mut compared = 0;
    for line in table.lines() {
        let Some((address, group)) = line.split_once('\t') else { continue };
        let Ok(address) = address.parse() else { continue };
        let index = inventory.index_of(address).expect("in the dump");
        let found = inventory.attributes(index).and_then(|known| known.kernel_group);
        assert_eq!(found, group.trim().parse().ok(), "{address}");
        compared += 1;
    }
    assert!(compared > 40);
}

#[cfg(feature = "archive")]
#[test]
fn snapshots_of_sysfs_are_read_from_their_archives() {
    let Some(realworld) = shared("realworld") else { return };
    // Functions and host bridges with 32-bit domains, from the notes that came with them.
    let counts = [
        ("hwloc/2pa-pcidomain32bits.tar.bz2", 9, 64),
        ("hwloc/32em64t-2n8c+dax+nvme+mic+dimms.tar.bz2", 137, 64),
        ("hwloc/32intel64-2p8co2t+8ve.tar.bz2", 29, 64),
        ("ghw/linux-amd64-415ee03b8c4d1c4f07ae2e9d8b3d3d6d.tar.gz", 23, 0),
    ];
    for (name, count, captured) in counts {
        let path = realworld.join(name);
        if !path.exists() {
            continue;
        }
        let (inventory, info) = read(&path, &Options::default());
        assert_eq!(info.kind, dump::Format::Archive, "{name}");
        assert_eq!(inventory.functions().len(), count, "{name}");
        assert!(inventory.functions().iter().all(|function| function.captured == captured), "{name}");
    }
    // The bridge 5f:03.0 has no link in bus/pci/devices: it stands on the way to others only.
    let bridge = realworld.join("hwloc/32intel64-2p8co2t+8ve.tar.bz2");
    if bridge.exists() {
        assert!(read(&bridge, &Options::default()).0.index_of("5f:03.0".parse().expect("valid")).is_some());
    }
    let links = realworld.join("ghw/linux-amd64-415ee03b8c4d1c4f07ae2e9d8b3d3d6d.tar.gz");
    if links.exists() {
        let (inventory, _) = read(&links, &Options::default());
        let groups =
            (0..inventory.functions().len()).filter_map(|index| inventory.attributes(index)?.kernel_group);
        assert_eq!(groups.collect::<std::collections::BTreeSet<_>>().len(), 15);
    }
}
