//! Tests of the reader of hex text.

use super::*;
use crate::function::{Function, Inventory};
use std::string::ToString;
use std::vec::Vec;

type Outcome = (Result<Format, Error>, Inventory, Vec<crate::dump::Problem>);

fn read_text(text: impl AsRef<[u8]>) -> Outcome {
    let mut inventory = Inventory::new();
    let mut delivery = Delivery::new(&mut inventory);
    let result = read(Window::new(text.as_ref()), Path::new("dump.txt"), &mut delivery);
    let problems = delivery.problems;
    (result, inventory.finish(), problems)
}

/// Hex lines of `count` times 16 bytes that begin like a function of vendor 8086h.
fn hex(count: usize) -> String {
    let mut text = String::from("00: 86 80 34 12 07 00 10 00 01 00 00 02 00 00 00 00\n");
    for number in 1..count {
        text += &format!("{:02x}:{}\n", number * 16, " 00".repeat(16));
    }
    text
}

fn function<'a>(inventory: &'a Inventory, at: &str) -> &'a Function {
    let index = inventory.index_of(at.parse().expect("valid")).expect("there");
    &inventory.functions()[index]
}

fn damaged(inventory: &Inventory, at: &str) -> u32 {
    let index = inventory.index_of(at.parse().expect("valid")).expect("there");
    inventory.attributes(index).map_or(0, |attributes| attributes.damaged_lines)
}

#[test]
fn every_size_that_lspci_prints_is_read() {
    for (lines, captured) in [(4, 64), (16, 256), (256, 4096)] {
        for end in ["\n", "", "\n\nprose\n"] {
            let text = format!("00:1f.0 ISA bridge: Intel\n{}{end}", hex(lines));
            for text in [text.clone(), text.replace('\n', "\r\n"), text.to_uppercase()] {
                let (result, inventory, problems) = read_text(&text);
                assert!(result.is_ok() && problems.is_empty(), "{text}");
                let function = function(&inventory, "00:1f.0");
                assert_eq!(
                    (function.captured, function.vendor_id, function.device_id),
                    (captured, 0x8086, 0x1234)
                );
            }
        }
    }
}

#[test]
fn domains_of_four_to_eight_digits_and_bare_addresses_are_headers() {
    let mut text = String::new();
    let addresses =
        ["00:00.0", "0001:00:00.0", "10000:e1:00.0", "abcdef:00:00.0", "1234567:00:00.0", "89abcdef:00:00.0"];
    for address in addresses {
        text += &format!("{address}\n{}\n", hex(4));
    }
    let (result, inventory, _) = read_text(text);
    assert!(result.is_ok());
    for address in addresses {
        assert_eq!(function(&inventory, address).captured, 64, "{address}");
    }
}

#[test]
fn quoted_mail_is_read_like_the_original() {
    let text = format!("Hi,\nsee 00:1f.0 below\n\n00:1f.0 ISA bridge: Intel\n{}\n-- \nme\n", hex(16));
    let quoted: String = text.lines().map(|line| format!("> > {line}\n")).collect();
    let (result, inventory, problems) = read_text(quoted);
    assert!(result.is_ok() && problems.is_empty());
    assert_eq!(inventory.functions(), read_text(text).1.functions());
    assert_eq!(function(&inventory, "00:1f.0").captured, 256);
}

#[test]
fn an_indented_listing_is_read_like_the_original() {
    let text = format!(
        "00:1e.0 PCI bridge: Intel\n\tKernel driver in use: pcieport\n{}\n00:1f.0 ISA bridge: Intel\n{}\n",
        hex(16),
        hex(4)
    );
    for margin in ["    ", "        ", "\t"] {
        let indented: String = text.lines().map(|line| format!("{margin}{line}\n")).collect();
        let (result, inventory, problems) = read_text(format!("Look:\n\n{indented}\nThanks\n"));
        assert!(result.is_ok() && problems.is_empty(), "{margin:?}: {problems:?}");
        assert_eq!(inventory.functions(), read_text(&text).1.functions(), "{margin:?}");
        let driver = inventory.attributes(0).and_then(|known| known.driver.as_deref());
        assert_eq!(driver, Some("pcieport"), "{margin:?}");
    }
}

#[test]
fn driver_and_group_are_taken_from_decoded_text() {
    let decoded = "\tIOMMU group: 14\n\tKernel driver in use: vfio-pci\n\tKernel modules: nouveau\n";
    let text =
        format!("01:00.0 VGA compatible controller: x\n{decoded}{}\n02:00.0 Class: y\n{}", hex(16), hex(4));
    let (_, inventory, _) = read_text(text);
    let attributes = inventory.attributes(0).expect("known");
    assert_eq!((attributes.driver.as_deref(), attributes.kernel_group), (Some("vfio-pci"), Some(14)));
    assert!(inventory.attributes(1).is_none());
    let text = format!("Slot:\t0000:01:00.0\nDriver:\tnvme\nIOMMUGroup:\t3\n{}", hex(4));
    let (_, inventory, _) = read_text(text);
    let attributes = inventory.attributes(0).expect("known");
    assert_eq!((attributes.driver.as_deref(), attributes.kernel_group), (Some("nvme"), Some(3)));
}

#[test]
fn bytes_that_noise_overwrote_are_not_captured_and_the_rest_is() {
    let lines = hex(256).replace(
        "f10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n",
        "f10: 00 00 00 00 00 00 00 00 00 00 00 00 pcilib: sysfs_read_vpd: read failed\n00 00 00 00\n",
    );
    let (_, inventory, problems) = read_text(format!("00:02.0 VGA: x\n{lines}"));
    let found = function(&inventory, "00:02.0");
    assert_eq!((found.captured, found.extent), (4092, 4096));
    assert_eq!(damaged(&inventory, "00:02.0"), 1);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].kind, ProblemKind::DamagedLines);

    let lines = hex(256).replace("\nf20: ", "\nf2pcilib: sysfs_read_vpd: read failed\n0: ");
    let (_, inventory, _) = read_text(format!("00:02.0 VGA: x\n{lines}"));
    let found = function(&inventory, "00:02.0");
    assert_eq!((found.captured, found.extent), (4080, 4096));
}

#[test]
fn repeated_offsets_are_counted_and_take_what_they_contradict() {
    let text = format!("00:02.0 VGA: x\n{}20: ff\n30: ff ff\n1008: 00\n40: 11\n", hex(4));
    let (_, inventory, _) = read_text(text);
    assert_eq!(function(&inventory, "00:02.0").captured, 33);
    assert_eq!(damaged(&inventory, "00:02.0"), 3);
    let zeros = ["00"; 16].join(" ");
    let text = format!("00:02.0 VGA: x\n{}20: {zeros}\n40: 11\n", hex(4));
    let (_, inventory, _) = read_text(text);
    assert_eq!((function(&inventory, "00:02.0").captured, damaged(&inventory, "00:02.0")), (65, 1));
}

#[test]
fn lines_with_a_pair_too_many_or_too_few_between_others_are_not_captured() {
    let zeros = ["00"; 16].join(" ");
    let line = format!("140: {zeros}\n");
    for other in [format!("140: 1d 00 {zeros}\n"), format!("140: {}\n", &zeros[3..])] {
        let (_, inventory, problems) =
            read_text(format!("00:02.0 VGA: x\n{}", hex(256).replace(&line, &other)));
        let found = function(&inventory, "00:02.0");
        assert_eq!((found.captured, damaged(&inventory, "00:02.0")), (4080, 1), "{other}");
        assert_eq!(problems.len(), 1);
    }
}

#[test]
fn hex_whose_header_is_lost_is_given_to_nobody() {
    for lines in [3, 4, 16] {
        let lost = hex(16).replace("86 80", "de 10");
        let text = format!("00:01.0 A: b\n{}\n{lost}40: 11 22\n\n00:03.0 C: d\n{}", hex(lines), hex(4));
        let (_, inventory, problems) = read_text(text);
        assert_eq!(inventory.functions().len(), 2);
        assert_eq!(usize::from(function(&inventory, "00:01.0").captured), lines * 16);
        assert_eq!(function(&inventory, "00:01.0").vendor_id, 0x8086);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].kind, ProblemKind::HeaderLost);
        assert_eq!(problems[0].address, "00:01.0".parse().ok());
    }
}

#[test]
fn hex_before_the_first_header_is_a_problem_not_a_function() {
    let (result, inventory, problems) = read_text(format!("{}\n00:03.0 C: d\n{}", hex(4), hex(4)));
    assert!(result.is_ok());
    assert_eq!((inventory.functions().len(), problems.len()), (1, 1));
    let (result, ..) = read_text(hex(16));
    assert!(matches!(result, Err(Error::NoRecord { .. })));
}

#[test]
fn a_function_without_hex_is_one_only_in_a_hex_dump_and_in_lspcis_words() {
    let listing = "00:00.0 Host bridge: x\n00:01.0 \"PCI bridge\" \"y\"\n00:02.0 is where it hangs: often\n\
                   00:03.0\n00:04.0 0604: 8086:1901 (rev 05)\n";
    let (result, inventory, _) = read_text(listing);
    assert!(matches!(result, Err(Error::Unsupported { what: Unsupported::LspciText, .. })));
    assert!(inventory.functions().is_empty());
    for text in
        [format!("{listing}00:1f.0 ISA: z\n{}", hex(4)), format!("00:1f.0 ISA: z\n{}\n{listing}", hex(4))]
    {
        let (result, inventory, _) = read_text(text);
        assert!(result.is_ok());
        let found: Vec<_> =
            inventory.functions().iter().map(|f| (f.address.to_string(), f.captured)).collect();
        let expected = [("0000:00:00.0", 0), ("0000:00:01.0", 0), ("0000:00:04.0", 0), ("0000:00:1f.0", 64)];
        assert!(found.iter().map(|(at, bytes)| (at.as_str(), *bytes)).eq(expected), "{found:?}");
    }
}

#[test]
fn prose_is_no_dump() {
    for text in ["hello\nworld\n", "dead: beef\n", "\n\n", "[ 1.0] pci 0000:00:1c.0: AER\n", "00 00 00"] {
        assert!(matches!(read_text(text).0, Err(Error::NoRecord { .. })), "{text}");
    }
}

#[test]
fn an_endless_line_between_hex_lines_costs_nothing_but_itself() {
    let mut text = format!("00:02.0 VGA: x\n{}", hex(2));
    text += &"9".repeat(300_000);
    text += "\n20: 11 22\n";
    let (_, inventory, _) = read_text(text);
    assert_eq!(function(&inventory, "00:02.0").captured, 34);
}

#[test]
fn a_text_cut_anywhere_gives_no_more_than_it_holds() {
    let text = format!("00:02.0 VGA: x\n{}\n00:03.0 C: d\n{}", hex(5), hex(4));
    let whole: u16 = read_text(&text).1.functions().iter().map(|function| function.captured).sum();
    let mut last = 0;
    for end in 0..=text.len() {
        let (_, inventory, _) = read_text(&text[..end]);
        let captured: u16 = inventory.functions().iter().map(|function| function.captured).sum();
        assert!(captured >= last && usize::from(captured) * 3 <= end, "{end}");
        last = captured;
    }
    assert_eq!(last, whole);
}

#[test]
fn a_text_that_ends_within_the_line_of_the_next_function_is_told_to_be_cut() {
    let vv = "00:02.0 VGA [0300]: x [8086:1234]\n\tControl: I/O+ Mem+ BusMaster+\n\tKernel modules: a\n";
    for (whole, indent) in
        [(format!("00:02.0 VGA: x\n{}", hex(16)), ""), (vv.to_owned(), ""), (vv.to_owned(), "    ")]
    {
        let lines = |text: &str| -> String { text.lines().map(|line| format!("{indent}{line}\n")).collect() };
        let whole = lines(&whole);
        let next = format!("{indent}00:1f.2 SATA controller: Intel");
        for end in indent.len() + 1..=next.len() {
            for between in ["", "\n"] {
                let text = format!("{whole}{between}{}", &next[..end]);
                let (result, _, problems) = read_text(&text);
                assert!(result.is_ok());
                let told = problems.iter().filter(|problem| problem.kind == ProblemKind::Truncated).count();
                assert_eq!(told, 1, "{:?}: {problems:?}", &next[..end]);
            }
        }
        for end in ["", "\n", "\n\n", "\n-- \nme", "\nthe end"] {
            let text = format!("{}{end}", whole.trim_end());
            let (_, inventory, problems) = read_text(&text);
            assert!(
                problems.iter().all(|problem| problem.kind != ProblemKind::Truncated),
                "{end:?}: {problems:?}"
            );
            assert_eq!(inventory.functions().len(), 1);
        }
    }
}

#[test]
fn a_text_that_ends_within_a_line_of_hex_is_told_to_be_cut_even_after_256_bytes() {
    let text = format!("00:02.0 VGA: x\n{}", hex(17));
    let second = text.rfind("100:").expect("there");
    for end in second + 1..text.len() - 1 {
        let (_, _, problems) = read_text(&text[..end]);
        assert!(
            problems.iter().any(|problem| problem.kind == ProblemKind::Truncated),
            "{:?}",
            &text[second..end]
        );
    }
}
