//! Ways to go over functions in memory: the limit, ours, and those of other crates.
#![allow(dead_code, reason = "each benchmark uses some of it")]

use std::hint::black_box;

use acsscan::addr::Sbdf;
use acsscan::config::{ConfigSpace, SIZE};
use acsscan::function::{AHEAD, decode, touch};
use acsscan::testkit::generate::{self, Node, Set, Size};
use pci_types::{ConfigRegionAccess, EndpointHeader, PciAddress, PciHeader, PciPciBridgeHeader};

const SEED: u64 = 1;
const PAGE: usize = SIZE as usize;

/// A machine in memory.
pub(crate) struct Machine {
    /// Bytes, 4096 a function.
    pages: Vec<u8>,
    addresses: Vec<Sbdf>,
    /// For each function the lines that decoding asks for, as offsets into `pages`.
    touched: Vec<Vec<usize>>,
}

/// Reads of one function, noted.
struct Noting<'a>(&'a [u8], std::cell::RefCell<Vec<usize>>);

impl acsscan::config::Source for Noting<'_> {
    fn extent(&self) -> u16 {
        self.0.extent()
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        self.1.borrow_mut().push(usize::from(offset) / 64);
        self.1.borrow_mut().push((usize::from(offset) + N - 1) / 64);
        self.0.array(offset)
    }
}

impl Machine {
    pub(crate) fn new(size: Size) -> Self {
        let nodes = generate::machine(Set::Regular, size, SEED);
        let mut pages = Vec::with_capacity(nodes.len() * PAGE);
        let mut space = [0; PAGE];
        for node in &nodes {
            pages.extend_from_slice(node.bytes(SEED, &mut space));
        }
        assert_eq!(pages.len(), nodes.len() * PAGE);
        let lines = |index: usize, node: &Node| {
            let noting = Noting(&pages[index * PAGE..][..PAGE], Vec::new().into());
            let config = ConfigSpace::new(noting);
            black_box(decode(node.address, &config));
            let Noting(_, lines) = config.into_source();
            let mut lines = lines.into_inner();
            lines.sort_unstable();
            lines.dedup();
            lines.iter().map(|line| index * PAGE + line * 64).collect()
        };
        let touched = nodes.iter().enumerate().map(|(index, node)| lines(index, node)).collect();
        let addresses = nodes.iter().map(|node| node.address).collect();
        Self { pages, addresses, touched }
    }

    pub(crate) fn len(&self) -> usize {
        self.addresses.len()
    }

    pub(crate) fn touched_lines(&self) -> usize {
        self.touched.iter().map(Vec::len).sum()
    }

    fn functions(&self) -> impl Iterator<Item = (Sbdf, &[u8])> {
        self.addresses.iter().copied().zip(self.pages.chunks_exact(PAGE))
    }
}

/// A way over a machine.
pub(crate) type Walk = (&'static str, fn(&Machine));

/// All of them; the first is the limit.
pub(crate) const WALKS: [Walk; 7] = [
    ("touched lines only", limit),
    ("acsscan, one after the other", sequential),
    ("acsscan, touching ahead", ahead),
    ("every byte", every_byte),
    ("pci_types, capabilities", pci_types),
    ("pcics, extended only", pcics_extended),
    ("pcics, everything", pcics_everything),
];

fn limit(machine: &Machine) {
    let sum = machine.touched.iter().flatten().fold(0_u8, |sum, at| sum ^ machine.pages[*at]);
    black_box(sum);
}

fn sequential(machine: &Machine) {
    for (address, page) in machine.functions() {
        black_box(decode(address, &ConfigSpace::new(page)));
    }
}

fn ahead(machine: &Machine) {
    let mut later = machine.pages.chunks_exact(PAGE).skip(AHEAD);
    for (address, page) in machine.functions() {
        if let Some(later) = later.next() {
            touch(later);
        }
        black_box(decode(address, &ConfigSpace::new(page)));
    }
}

fn every_byte(machine: &Machine) {
    let words = machine.pages.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight")));
    black_box(words.fold(0, |sum, word| sum ^ word));
}

/// Configuration space of one function as `pci_types` asks for it.
struct Access<'a>(&'a [u8]);

impl ConfigRegionAccess for Access<'_> {
    unsafe fn read(&self, _: PciAddress, offset: u16) -> u32 {
        let bytes = self.0.get(usize::from(offset)..).and_then(<[u8]>::first_chunk);
        bytes.map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes))
    }

    unsafe fn write(&self, _: PciAddress, _: u16, _: u32) {}
}

/// It knows the standard list only.
fn pci_types(machine: &Machine) {
    for (address, page) in machine.functions() {
        let bdf = address.bdf;
        let address = PciAddress::new(address.segment.0 as u16, bdf.bus(), bdf.device(), bdf.function());
        let access = Access(page);
        if let Some(endpoint) = EndpointHeader::from_header(PciHeader::new(address), &access) {
            endpoint.capabilities(&access).for_each(|capability| _ = black_box(capability));
        } else if let Some(bridge) = PciPciBridgeHeader::from_header(PciHeader::new(address), &access) {
            black_box((bridge.secondary_bus_number(&access), bridge.subordinate_bus_number(&access)));
        }
    }
}

fn pcics_extended(machine: &Machine) {
    for (_, page) in machine.functions() {
        pcics::ExtendedCapabilities::new(&page[pcics::ECS_OFFSET..]).for_each(|found| _ = black_box(found));
    }
}

fn pcics_everything(machine: &Machine) {
    for (_, page) in machine.functions() {
        if let Ok(header) = pcics::Header::try_from(page) {
            let standard = &page[pcics::DDR_OFFSET..pcics::ECS_OFFSET];
            pcics::Capabilities::new(standard, &header).for_each(|found| _ = black_box(found));
            black_box(header);
        }
        pcics::ExtendedCapabilities::new(&page[pcics::ECS_OFFSET..]).for_each(|found| _ = black_box(found));
    }
}
