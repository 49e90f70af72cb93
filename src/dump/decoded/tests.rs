//! What a text tells, and what it does not.

use super::*;
use crate::addr::Sbdf;
use crate::config::ConfigSpace;
use crate::function::{Decoded, ListState, decode};

const PORT: &str = "\
\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr- Stepping- SERR- FastB2B- DisINTx+
\tStatus: Cap+ 66MHz- UDF- FastB2B- ParErr- DEVSEL=fast >TAbort- <TAbort- <MAbort- >SERR- <PERR- INTx-
\tBus: primary=00, secondary=01, subordinate=0f, sec-latency=0
\tMemory behind bridge: df000000-df2fffff [size=3M] [32-bit]
\tPrefetchable memory behind bridge: 0000002000000000-00000020001fffff [size=2M] [64-bit]
\tCapabilities: [80] Power Management version 3
\tCapabilities: [a0] Express (v2) Root Port (Slot+), MSI 00
\t\tDevCap2: Completion Timeout: Not Supported, TimeoutDis-
\t\t\t FRS- ARIFwd+
\t\tDevCtl2: Completion Timeout: 50us to 50ms, TimeoutDis- ARIFwd+,
\tCapabilities: [100 v1] Virtual Channel
\tCapabilities: [140 v1] Access Control Services
\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
";

/// The function of a text that ends with an empty line, as lspci ends each.
fn text(header: &str, body: &str) -> Option<Decoded> {
    cut_text(header, &(body.to_owned() + "\n"))
}

/// The function of a text that ends as it is.
fn cut_text(header: &str, body: &str) -> Option<Decoded> {
    let mut text = Text::default();
    text.begin(header.as_bytes());
    for line in body.lines() {
        text.push(text.dedented(line.as_bytes()));
    }
    let image = text.image()?;
    let address: Sbdf = "00:01.0".parse().expect("valid");
    Some(decode(address, &ConfigSpace::new(&image)))
}

const HEADER: &str =
    "00:01.0 PCI bridge [0604]: Intel Corporation x [8086:1901] (rev 05) (prog-if 00 [Normal decode])";

#[test]
fn registers_of_a_port_are_those_that_were_printed() {
    let function = text(HEADER, PORT).expect("decoded").function;
    assert_eq!((function.vendor_id, function.device_id, function.revision), (0x8086, 0x1901, 5));
    let buses = function.bus_range().map(|range| (range.secondary, range.subordinate));
    assert_eq!(buses, Some((1, 15)));
    let pcie = function.pcie.present().expect("listed");
    assert_eq!(pcie.port_type().word(), "root-port");
    assert_eq!((pcie.ari_forwarding_supported(), pcie.ari_forwarding_enabled()), (Some(true), Some(true)));
    let acs = function.acs.present().expect("listed");
    assert_eq!((acs.offset.get(), acs.capability.bits(), acs.control.bits()), (0x140, 0x1f, 0x1d));
    let [_, _, _, _, memory, prefetchable, base, limit, _] = function.header().expect("laid out");
    assert_eq!((memory, prefetchable, base, limit), (0xdf20_df00, 0x0011_0001, 0x20, 0x20));
    assert!(function.ari.is_absent(), "the list was printed to its end");
}

#[test]
fn what_was_not_printed_is_not_captured_and_never_absent() {
    let denied =
        PORT.split("\tCapabilities").next().expect("one").to_owned() + "\tCapabilities: <access denied>\n";
    let function = text(HEADER, &denied).expect("decoded").function;
    assert!(function.pcie.is_not_captured() && function.acs.is_not_captured());
    assert_eq!(function.standard_list, ListState::NotCaptured);

    let no_extended = PORT.split("\tCapabilities: [100").next().expect("one");
    let function = text(HEADER, no_extended).expect("decoded").function;
    assert!(function.acs.is_not_captured(), "lspci may not have seen the extended space");

    let unprinted = PORT.replace("\t\tACSC", "\t\tXXXC");
    let function = text(HEADER, &unprinted).expect("decoded").function;
    assert!(function.acs.is_not_captured(), "-v names the capability without its registers");

    let broken = PORT.replace(
        "\tCapabilities: [140 v1] Access Control Services",
        "\tCapabilities: [140 v0] <chain looped>",
    );
    assert!(text(HEADER, &broken).expect("decoded").function.acs.is_not_captured());
    assert!(text(HEADER, "\tFlags: bus master\n").is_none(), "-v");
}

#[test]
fn listings_without_numbers_have_classes_and_vendors_by_name() {
    let function =
        text("00:01.0 PCI bridge: Intel Corporation Device 1901 (rev 05)", PORT).expect("decoded").function;
    assert_eq!((function.class.class(), function.vendor_id, function.device_id), (0x0604, 0x8086, 0));
    for (name, class) in [
        ("PICMG controller", 0x0206),
        ("Fibre Channel", 0x0c04),
        ("InfiniBand", 0x0c06),
        ("Keyboard controller", 0x0900),
        ("Class 0c80", 0x0c80),
        ("Class [0c80]", 0x0c80),
        ("Odd controller", 0),
    ] {
        let header = std::format!("00:02.0 {name}: Intel Corporation Device 1901 (rev 05)");
        let mut text = Text::default();
        text.begin(header.as_bytes());
        text.push(b"\tControl: x");
        assert_eq!(text.image().expect("decoded").has_class, class != 0, "{name}");
        let function = super::tests::text(&header, PORT).expect("decoded").function;
        assert_eq!(function.class.class(), class, "{name}");
    }
    let function = text("00:01.0 0604: 8086:1901 (rev 05)", PORT).expect("decoded").function;
    assert_eq!((function.class.class(), function.device_id), (0x0604, 0x1901));
}

#[test]
fn bytes_win_and_text_fills_what_they_lack() {
    let mut parsed = Text::default();
    parsed.begin(HEADER.as_bytes());
    PORT.lines().for_each(|line| parsed.push(line.as_bytes()));
    parsed.followed();
    let image = parsed.image().expect("decoded");
    let bytes = [0x5a_u8; 256];
    let filled = Filled { bytes: &bytes, text: &image };
    assert_eq!(filled.array::<4>(0), Some([0x5a; 4]));
    assert_eq!(filled.array(0x144), Some([0x1f_u8, 0, 0x1d, 0]));
    assert_eq!(filled.array::<4>(0x148), None);
    assert_eq!(filled.captured(), 256 + 4 + 8);
}

/// A port whose extended list is these lines.
fn with_extended(lines: &str) -> String {
    let start = PORT.split("\tCapabilities: [100").next().expect("one");
    std::format!("{start}{lines}")
}

#[test]
fn a_register_is_captured_only_if_all_its_tokens_are_on_the_line() {
    for label in ["ACSCap", "ACSCtl"] {
        let at = PORT.find(label).expect("there");
        let end = at + PORT[at..].find('\n').expect("a line");
        for cut in at..end - 1 {
            let body = [&PORT[..cut], &PORT[end..]].concat();
            let function = text(HEADER, &body).expect("decoded").function;
            assert!(function.acs.is_not_captured(), "{}", &PORT[at..cut]);
        }
    }
    for label in ["Control: ", "Status: "] {
        let at = PORT.find(label).expect("there");
        let end = at + PORT[at..].find(" DisINTx+").or(PORT[at..].find(" INTx-")).expect("a line");
        for cut in at + label.len()..end - 1 {
            let body = [&PORT[..cut], &PORT[at + PORT[at..].find('\n').expect("a line")..]].concat();
            assert!(!text(HEADER, &body).expect("decoded").function.answers, "{}", &PORT[at..cut]);
        }
    }
    let at = PORT.find("(Slot+)").expect("there");
    let cut = [&PORT[..at], &PORT[at + 7..]].concat();
    assert!(text(HEADER, &cut).expect("decoded").function.pcie.is_not_captured());
    for (lines, what) in [
        (
            "\tCapabilities: [100 v1] Address Translation Service (ATS)\n\t\tATSCap:\tInvalidate Queue Depth: 00\n\t\tATSCtl:\tEnable+, Smallest\n",
            "ATS",
        ),
        (
            "\tCapabilities: [100 v1] Alternative Routing-ID Interpretation (ARI)\n\t\tARICap:\tMFVC- ACS-, Next\n\t\tARICtl:\tMFVC- ACS-, Function Group: 0\n",
            "ARI",
        ),
    ] {
        let function = text(HEADER, &with_extended(lines)).expect("decoded").function;
        assert!(function.ats.present().is_none() && function.ari.present().is_none(), "{what}");
        assert_eq!(function.ats.is_not_captured(), what == "ATS");
    }
}

#[test]
fn names_and_numbers_of_old_versions_are_known() {
    let registers = "\t\tACSCap:\tSrcValid+ TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- \
                     DirectTrans-\n\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- \
                     EgressCtrl- DirectTrans-\n";
    for name in ["Access Controls <?>", "#0d [201f]", "Extended Capability ID 0xd"] {
        let list = with_extended(&std::format!("\tCapabilities: [100 v1] {name}\n"));
        let function = text(HEADER, &list).expect("decoded").function;
        assert!(function.acs.is_not_captured() && function.ari.is_absent(), "{name}");
        assert!(!function.is_complete(), "{name}: registers are missing");
        let function = text(HEADER, &(list + registers)).expect("decoded").function;
        assert_eq!(function.acs.present().map(|acs| acs.control.bits()), Some(1), "{name}");
    }
    let old = PORT.replace("Express (v2) Root Port (Slot+), MSI 00", "#10 [0142]");
    let pcie = text(HEADER, &old).expect("decoded").function.pcie.present().expect("by its number");
    assert_eq!(pcie.port_type().word(), "root-port");
}

#[test]
fn what_a_name_says_nothing_of_may_be_any_capability() {
    for name in ["Access Con", "Novel Thing", "", "<?>"] {
        let lines =
            std::format!("\tCapabilities: [100 v1] Virtual Channel\n\tCapabilities: [140 v1] {name}\n");
        let function = text(HEADER, &with_extended(&lines)).expect("decoded").function;
        assert!(function.acs.is_not_captured() && function.ari.is_not_captured(), "{name}");
        assert_eq!(function.extended_list, ListState::NotCaptured, "{name}");
        // What is known is found whatever stands before it.
        let novel = PORT.replace("Power Management version 3", name);
        let function = text(HEADER, &novel).expect("decoded").function;
        assert!(function.pcie.present().is_some() && function.acs.present().is_some(), "{name}");
        assert_eq!(function.standard_list, ListState::NotCaptured, "{name}");
    }
}

#[test]
fn a_list_ends_only_where_something_follows_that_ends_it() {
    let list = with_extended("\tCapabilities: [100 v1] Virtual Channel\n");
    let absent = |body: &str| cut_text(HEADER, body).expect("decoded").function.acs.is_absent();
    assert!(!absent(&list), "the end of the text");
    let cut = cut_text(HEADER, PORT).expect("decoded").function;
    assert_eq!(cut.acs.present().map(|acs| acs.control.bits()), Some(0x1d), "what was printed is known");
    assert!(cut.ari.is_not_captured() && !cut.is_complete());
    let standard = PORT.split("\tCapabilities: [100").next().expect("one");
    let cut = cut_text(HEADER, standard).expect("decoded").function;
    assert!(cut.pcie.present().is_some() && cut.standard_list == ListState::NotCaptured);
    for end in ["\n", "\tKernel driver in use: pcieport\n", "\tKernel modules: x\n"] {
        assert!(absent(&(list.clone() + end)), "{end:?}");
    }
    for end in ["\t[...]\n\n", "\t...\n\tKernel modules: x\n", "\t<snip>\n\n", "\t\u{2026}\n\n"] {
        assert!(!absent(&(list.clone() + end)), "{end:?}");
    }
    assert!(!absent(&(list.replace('\n', "\n\n"))), "empty lines that stand everywhere");
    let long = std::format!("{}{list}\n", list.lines().next().expect("one").to_owned() + "\n")
        + &"\t\tx\n".repeat(MAX_TEXT);
    assert!(!absent(&long), "more than is kept");
    let (before, after) = PORT.split_once("\tCapabilities").expect("lists");
    assert!(cut_text(HEADER, before).expect("decoded").function.header().is_none(), "lines may be missing");
    let gap = std::format!("{before}\t[...]\n\tCapabilities{after}\n");
    assert!(cut_text(HEADER, &gap).expect("decoded").function.bus_range().is_none());
    // The list that Status tells of was not printed.
    let function = text(HEADER, before).expect("decoded").function;
    assert!(function.pcie.is_not_captured() && function.bus_range().is_some());
}

#[test]
fn a_status_line_of_a_capability_is_none_of_the_header() {
    let power = "Power Management version 3\n\tStatus: D0 NoSoftRst+ PME-Enable- DSel=0 DScale=0 PME-\n\
                 \tControl: nothing\n\tBus: primary=09, secondary=09, subordinate=09, sec-latency=0";
    let odd = PORT.replace("Power Management version 3", power);
    assert_eq!(text(HEADER, &odd).expect("decoded").function, text(HEADER, PORT).expect("decoded").function);
}

#[test]
fn indentation_by_spaces_and_of_the_whole_listing_is_read() {
    let expected = text(HEADER, PORT).expect("decoded").function;
    for (tab, margin) in
        [("        ", ""), ("    ", ""), ("\t", "    "), ("        ", "        "), ("  ", "\t")]
    {
        let body: std::string::String =
            PORT.lines().map(|line| std::format!("{margin}{}\n", line.replace('\t', tab))).collect();
        let header = std::format!("{margin}{HEADER}");
        assert_eq!(text(&header, &body).expect("decoded").function, expected, "{tab:?} {margin:?}");
    }
    let flat: std::string::String = PORT.lines().map(|line| std::format!(" {}\n", line.trim())).collect();
    assert_eq!(text(HEADER, &flat).expect("decoded").function, expected, "as forums have it");
}

#[test]
fn the_subsystem_is_what_the_text_says_and_otherwise_not_captured() {
    let endpoint = "00:1f.3 Audio device [0403]: Intel Corporation x [8086:a348]";
    let body = |line: &str| {
        let lines = PORT.lines().filter(|line| !line.contains("Bus: ") && !line.contains("behind"));
        line.to_owned() + &lines.map(|line| line.to_owned() + "\n").collect::<std::string::String>()
    };
    let subsystem = |line: &str| {
        let function = text(endpoint, &body(line)).expect("decoded").function;
        assert!(function.header().is_some(), "the Base Address registers are known");
        function.subsystem()
    };
    assert_eq!(
        subsystem("\tSubsystem: Gigabyte Technology Co., Ltd x [1458:e000]\n"),
        Some((0x1458, 0xe000))
    );
    assert_eq!(subsystem("\tSubsystem: 1458:e000\n"), Some((0x1458, 0xe000)));
    assert_eq!(subsystem("\tSubsystem: Gigabyte Technology Co., Ltd Device e000\n"), None);
    assert_eq!(subsystem(""), None);
    let of_bridge = PORT.replace("Power Management version 3", "Subsystem: Gigabyte x [1458:5001]");
    assert_eq!(text(HEADER, &of_bridge).expect("decoded").function.subsystem(), Some((0x1458, 0x5001)));
    assert!(text(HEADER, PORT).expect("decoded").function.subsystem_presence().is_absent());
}

#[test]
fn hostile_text_is_bounded_and_never_panics() {
    for line in [
        "\tCapabilities: [",
        "\tCapabilities: [fff v99999] Access Control Services",
        "\tCapabilities: []",
        "\tCapabilities: [ff] Express (v99",
        "\tBus: primary=é",
        "\tRegion 99999999999999999999: Memory at",
        "\tMemory behind bridge: ffffffffffffffffffff-é",
        "\t\tACSCap:",
        "\t\tInitial VFs: 99999999",
    ] {
        let body = std::format!("{PORT}{line}\n\t\tACSCap: SrcValid+\n\t\tDevCap2: ARIFwd+\n");
        assert!(text(HEADER, &body).is_some(), "{line}");
    }
    assert!(text("00:01.0 é [é]: [[[[[[[[[[[8086:", PORT).is_some());
    let mut endless = Text::default();
    endless.begin(HEADER.as_bytes());
    (0..100_000).for_each(|_| endless.push(b"\tCapabilities: [100 v1] x"));
    assert!(endless.body.len() <= MAX_TEXT);
}
