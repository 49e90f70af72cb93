//! Forms of input: what people and pipes do to text, and a sysfs tree.

use super::function::Made;
use super::{Case, machines};

pub(super) fn cases() -> Vec<Case> {
    let [port, endpoint] = [0, 1].map(|n| machines::port_and_endpoint().swap_remove(n));
    vec![
        Case::new(
            "repeats-crlf-upper",
            "records repeated, short before long, with CRLF line ends and upper-case hex",
        )
        .file("dump.txt", repeats(&port, &endpoint)),
        Case::new("stderr-noise", "messages of lspci between hex lines and within one of them")
            .file("dump.txt", noise(&port, &endpoint)),
        Case::new("hostile-names", "escape sequences and HTML where names and drivers stand")
            .file("dump.txt", hostile(&port, &endpoint)),
        Case::new("empty", "an empty file").file("dump.txt", ""),
        Case::new("prose", "text without any record").file("dump.txt", PROSE),
        Case::new("decoded-text", "`lspci -vv` without hex").file("dump.txt", DECODED),
        sysfs(&port, &endpoint),
    ]
}

fn repeats(port: &Made, endpoint: &Made) -> String {
    let records = [port.clone().cut(64), endpoint.clone(), port.clone(), endpoint.clone().cut(256)];
    let upper = |made: Made| format!("{} {}\n{}\n", made.address, made.title, made.hex().to_uppercase());
    records.map(upper).concat().replace('\n', "\r\n")
}

/// Standard error and standard output in one file.
fn noise(port: &Made, endpoint: &Made) -> String {
    let message = "pcilib: sysfs_read_vpd: read failed: Input/output error\n";
    let text = format!("{message}{}\n{}", port.text(), endpoint.text());
    // After the second line of hex, and in the middle of the line with offset 80h of the endpoint.
    let text = text.replacen("\n20: ", &format!("\n{message}20: "), 1);
    let at = text.rfind("\n80: ").expect("the endpoint has 4096 bytes") + 20;
    let (before, after) = text.split_at(at);
    format!("{before}{message}{after}")
}

fn hostile(port: &Made, endpoint: &Made) -> String {
    let port_title = "PCI bridge: \u{1b}[2J\u{1b}]0;owned\u{7}<script>alert(1)</script> \u{202e}reversed";
    let driver = "\tKernel driver in use: \u{1b}[31mvfio-pci\u{1b}[0m</td><img src=x onerror=alert(2)>\n";
    format!(
        "{} {port_title}\n\tKernel driver in use: pcieport\n{}\n{} {}\n{driver}{}",
        port.address,
        port.hex(),
        endpoint.address,
        endpoint.title,
        endpoint.hex()
    )
}

/// Files and links as the kernel lays them out. What drivers and groups link back to is left out:
/// tools that follow links would go round and round.
fn sysfs(port: &Made, endpoint: &Made) -> Case {
    let mut case = Case::new("sysfs-tree", "a part of sysfs: drivers and IOMMU groups are symbolic links");
    let root = "devices/pci0000:00";
    let places = [
        (port, format!("{root}/{}", port.address), "pcieport", 0),
        (endpoint, format!("{root}/{}/{}", port.address, endpoint.address), "vfio-pci", 1),
    ];
    for (made, place, driver, group) in places {
        let address = made.address;
        let up = "../".repeat(place.split('/').count());
        let id = |at: usize| format!("0x{:02x}{:02x}\n", made.bytes[at + 1], made.bytes[at]);
        let class = format!("0x{:02x}{:02x}{:02x}\n", made.bytes[11], made.bytes[10], made.bytes[9]);
        case = case
            .file(format!("sys/{place}/config"), made.bytes.clone())
            .file(format!("sys/{place}/vendor"), id(0))
            .file(format!("sys/{place}/device"), id(2))
            .file(format!("sys/{place}/class"), class)
            .link(format!("sys/{place}/driver"), format!("{up}bus/pci/drivers/{driver}"))
            .link(format!("sys/{place}/iommu_group"), format!("{up}kernel/iommu_groups/{group}"))
            .link(format!("sys/bus/pci/devices/{address}"), format!("../../../{place}"))
            .file(format!("sys/bus/pci/drivers/{driver}/uevent"), "")
            .file(format!("sys/kernel/iommu_groups/{group}/type"), "DMA-FQ\n");
    }
    case
}

const PROSE: &str = "\
Hello,

my machine puts the network card and the sound card into one group. At 10:30 I changed slots, and now
it is group 12: does that help? The card says \"PCIe 3.0 x4\".

Regards
";

const DECODED: &str = "\
00:1c.0 PCI bridge [0604]: Made by hand Root Port [1b36:0ff1] (prog-if 00 [Normal decode])
\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr- Stepping- SERR- FastB2B- DisINTx-
\tStatus: Cap+ 66MHz- UDF- FastB2B- ParErr- DEVSEL=fast >TAbort- <TAbort- <MAbort- >SERR- <PERR- INTx-
\tLatency: 0
\tIOMMU group: 0
\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0
\tCapabilities: [40] Express (v2) Root Port (Slot-), MSI 00
\t\tDevCap:\tMaxPayload 128 bytes, PhantFunc 0
\t\t\tExtTag- RBE-
\t\tDevCap2: Completion Timeout: Not Supported, TimeoutDis- NROPrPrP- LTR-
\t\t\t 10BitTagComp- 10BitTagReq- OBFF Not Supported, ExtFmt- EETLPPrefix-, ARIFwd-
\t\tDevCtl2: Completion Timeout: 50us to 50ms, TimeoutDis- LTR- 10BitTagReq- OBFF Disabled, ARIFwd-
\tCapabilities: [100 v2] Advanced Error Reporting
\tCapabilities: [148 v1] Access Control Services
\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
\tKernel driver in use: pcieport

01:00.0 Ethernet controller [0200]: Made by hand Endpoint [1b36:0ff0]
\tControl: I/O- Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr- Stepping- SERR- FastB2B- DisINTx-
\tStatus: Cap+ 66MHz- UDF- FastB2B- ParErr- DEVSEL=fast >TAbort- <TAbort- <MAbort- >SERR- <PERR- INTx-
\tLatency: 0
\tIOMMU group: 1
\tCapabilities: [40] Express (v2) Endpoint, MSI 00
\t\tDevCap:\tMaxPayload 128 bytes, PhantFunc 0, Latency L0s <64ns, L1 <1us
\t\t\tExtTag- AttnBtn- AttnInd- PwrInd- RBE- FLReset- SlotPowerLimit 0W
\tKernel driver in use: vfio-pci
";
