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

fn text(header: &str, body: &str) -> Option<Decoded> {
    let mut text = Text::default();
    text.begin(header.as_bytes());
    for line in body.lines() {
        text.push(line.as_bytes());
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
    let function = text("00:01.0 0604: 8086:1901 (rev 05)", PORT).expect("decoded").function;
    assert_eq!((function.class.class(), function.device_id), (0x0604, 0x1901));
}

#[test]
fn bytes_win_and_text_fills_what_they_lack() {
    let mut parsed = Text::default();
    parsed.begin(HEADER.as_bytes());
    PORT.lines().for_each(|line| parsed.push(line.as_bytes()));
    let image = parsed.image().expect("decoded");
    let bytes = [0x5a_u8; 256];
    let filled = Filled { bytes: &bytes, text: &image };
    assert_eq!(filled.array::<4>(0), Some([0x5a; 4]));
    assert_eq!(filled.array(0x144), Some([0x1f_u8, 0, 0x1d, 0]));
    assert_eq!(filled.array::<4>(0x148), None);
    assert_eq!(filled.captured(), 256 + 4 + 8);
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
