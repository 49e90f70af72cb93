//! The text of `lspci -vv`, made of the lines that it prints with any numbers in them, alone and beside hex.
//!
//! Input: how many bytes of hex, then lines of three bytes: which line, and the number in it; some with text.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{lspci_text, take, takes_away};
use crate::addr::Sbdf;
use crate::config::Source;
use crate::dump::{self, Format, Options};
use crate::function::{Decoded, HostBridge, Record, Sink, decode};
use crate::testkit::Config;

/// Lines at most.
const LINES: usize = 200;

/// What lspci prints, with `@` for a byte of the number in hexadecimal, `#` for the number in decimal, `?` for a
/// sign that its next bit tells.
const TEMPLATES: [&str; 46] = [
    "00:@.0 PCI bridge [0604]: Intel Corporation x [8086:@@] (rev @) (prog-if 00 [Normal decode])",
    "@:00.0 Ethernet controller: Intel Corporation x (rev @)",
    "0000:@:00.1 Ethernet controller [0200]: Mellanox x [15b3:1017]",
    "00:@.0 CardBus bridge [0607]: x [104c:@@]",
    "@:00.2 @@: @@:@@",
    "\tControl: I/O? Mem? BusMaster? SpecCycle? MemWINV? VGASnoop? ParErr? Stepping? SERR? FastB2B? DisINTx?",
    "\tStatus: Cap? 66MHz? UDF? FastB2B? ParErr? DEVSEL=fast >TAbort? <TAbort? <MAbort? >SERR? <PERR? INTx?",
    "\tBus: primary=00, secondary=@, subordinate=@, sec-latency=0",
    "\tI/O behind bridge: @@-@@ [size=4K] [16-bit]",
    "\tMemory behind bridge: @@0000-@@ffff [size=1M] [32-bit]",
    "\tMemory behind bridge: @@0000-@@ffff [disabled] [32-bit]",
    "\tPrefetchable memory behind bridge: 000000@@00000000-000000@@00ffffff [size=2M] [64-bit]",
    "\tRegion 0: Memory at @@@@0000 (64-bit, prefetchable) [size=1M]",
    "\tRegion @: I/O ports at @@ [size=32]",
    "\tRegion #: Memory at <unassigned> (32-bit, non-prefetchable)",
    "\tCapabilities: <access denied>",
    "\tCapabilities: [@] Power Management version 3",
    "\tCapabilities: [@] Express (v2) Root Port (Slot?), MSI 00",
    "\tCapabilities: [@] Express (v#) Endpoint, MSI 00",
    "\tCapabilities: [@] Express (v2) Upstream Port, MSI 00",
    "\tCapabilities: [@] Express (v2) Downstream Port (Slot?), MSI 00",
    "\tCapabilities: [@] Express (v2) PCI-Express to PCI/PCI-X Bridge, MSI 00",
    "\tCapabilities: [@] <chain looped>",
    "\tCapabilities: [@@] <unreadable>",
    "\tCapabilities: [100 v#] Advanced Error Reporting",
    "\tCapabilities: [1@ v1] Access Control Services",
    "\tCapabilities: [2@ v1] Alternative Routing-ID Interpretation (ARI)",
    "\tCapabilities: [@@ v1] Single Root I/O Virtualization (SR-IOV)",
    "\tCapabilities: [3@ v1] Address Translation Service (ATS)",
    "\t\tSltCap:\tAttnBtn? PwrCtrl? MRL? AttnInd? PwrInd? HotPlug? Surprise?",
    "\t\tDevCap2: Completion Timeout: Not Supported, TimeoutDis? NROPrPrP? LTR? ARIFwd?",
    "\t\t\t FRS? ARIFwd?",
    "\t\tDevCtl2: Completion Timeout: 50us to 50ms, TimeoutDis? ARIFwd?",
    "\t\tACSCap:\tSrcValid? TransBlk? ReqRedir? CmpltRedir? UpstreamFwd? EgressCtrl? DirectTrans?",
    "\t\tACSCtl:\tSrcValid? TransBlk? ReqRedir? CmpltRedir? UpstreamFwd? EgressCtrl? DirectTrans?",
    "\t\tARICap:\tMFVC? ACS?, Next Function: #",
    "\t\tARICtl:\tMFVC? ACS?, Function Group: #",
    "\t\tATSCap:\tInvalidate Queue Depth: @",
    "\t\tATSCtl:\tEnable?, Smallest Translation Unit: @",
    "\t\tIOVCap:\tMigration? 10BitTagReq? Interrupt Message Number: 000",
    "\t\tIOVCtl:\tEnable? Migration? Interrupt? MSE? ARIHierarchy?",
    "\t\tIOVSta:\tMigration?",
    "\t\tInitial VFs: #, Total VFs: #, Number of VFs: @, Function Dependency Link: 0@",
    "\t\tVF offset: #, stride: @, Device ID: @@",
    "\tKernel driver in use: vfio-pci",
    "\tIOMMU group: #",
];

pub(super) fn run(mut bytes: &[u8]) {
    let hex = [64, 256, 4096][usize::from(take::<1>(&mut bytes)[0]) % 3];
    let text = make(bytes);
    lspci_text::run(text.as_bytes());
    beside_hex(&text, hex);
}

fn make(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    for _ in 0..LINES {
        if bytes.is_empty() {
            break;
        }
        let [which, numbers @ ..] = take::<3>(&mut bytes);
        if which < 0xf0 {
            text += &filled(TEMPLATES[usize::from(which) % TEMPLATES.len()], numbers);
        } else {
            let (spelled, rest) = bytes.split_at(bytes.len().min(usize::from(numbers[0] & 0x3f)));
            bytes = rest;
            text += &String::from_utf8_lossy(spelled);
        }
        text.push('\n');
    }
    text
}

fn filled(template: &str, numbers: [u8; 2]) -> String {
    let (word, mut turn) = (u16::from_le_bytes(numbers), 0);
    let mut line = String::new();
    for letter in template.chars() {
        match letter {
            '@' => line += &format!("{:02x}", numbers[turn % 2]),
            '#' => line += &word.to_string(),
            '?' => line.push(if word.rotate_right(turn as u32) & 1 != 0 { '+' } else { '-' }),
            _ => {
                line.push(letter);
                continue;
            }
        }
        turn += 1;
    }
    line
}

/// Hex wins over text: what it tells stays, and where it is whole the text adds nothing.
fn beside_hex(text: &str, length: usize) {
    let config = Config::downstream(1, 2, 4).acs(0x1f, 0x1d, 0).captured(length);
    let mut dump = String::from("00:1f.7 PCI bridge: x\n");
    // What would begin another function, or hex of its own, stays out.
    for line in text.lines().filter(|line| line.starts_with('\t')) {
        dump += line;
        dump.push('\n');
    }
    for (line, row) in config.bytes().chunks(16).enumerate() {
        let row: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        dump += &format!("{:02x}: {}\n", line * 16, row.join(" "));
    }
    let mut decoded = All::default();
    // A NUL in a line alone would make it no text; that it is one is said here.
    let options = Options { format: Some(Format::LspciHex), ..Options::default() };
    dump::read_stream(dump.as_bytes(), "-", &options, &mut decoded).expect("there is hex");
    let hex = decode(Sbdf::default(), &crate::config::ConfigSpace::new(config.bytes()));
    assert_eq!(decoded.0.len(), 1, "{dump}");
    let mut both = decoded.0.remove(0);
    takes_away(&both, &hex);
    if length == 4096 {
        both.function.address = Sbdf::default();
        assert_eq!(both, hex, "{dump}");
    }
}

/// Every record, decoded.
#[derive(Default)]
struct All(Vec<Decoded>);

impl Sink for All {
    fn record<S: Source>(&mut self, record: Record<'_, S>) {
        self.0.push(decode(record.address, record.config));
    }

    fn host_bridge(&mut self, _: HostBridge) {}
}
