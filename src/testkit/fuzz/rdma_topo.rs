//! A dump of `rdma_topo`: JSON, with configuration space in base64 and zlib.
//!
//! Input: flags, then with flag 1 the JSON as it is, else functions: path, flags, length (two bytes), content.

use std::format;
use std::io::Write as _;
use std::string::String;
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::tree::NAMES;
use super::{judge, take};
use crate::addr::Sbdf;
use crate::config::ConfigSpace;
use crate::dump::{self, Format, Options};
use crate::function::{Inventory, decode};

/// Functions at most.
const FUNCTIONS: usize = 32;

pub(super) fn run(mut bytes: &[u8]) {
    let [flags] = take(&mut bytes);
    let (json, told) = if flags & 1 != 0 { (bytes.to_vec(), None) } else { make(bytes) };
    let mut options = Options { format: (flags & 2 == 0).then_some(Format::RdmaTopo), ..Options::default() };
    options.limits.functions = if flags & 4 != 0 { 2 } else { 10_000 };
    if flags & 8 != 0 {
        options.limits.file = 1024;
    }
    let mut inventory = Inventory::with_detail();
    let result = dump::read_stream(json.as_slice(), "topo.json", &options, &mut inventory);
    let inventory = inventory.finish();
    assert!(inventory.functions().len() as u64 <= options.limits.functions, "more functions than the limit");
    // A limit may have left it out.
    let limited = flags & 4 != 0;
    if let (Some((address, content)), Ok(_), false) = (told, &result, limited) {
        let index = inventory.index_of(address).expect("the only one of its address");
        let expected = decode(address, &ConfigSpace::new(content.as_slice())).function;
        assert_eq!(inventory.functions()[index], expected);
    }
    judge::judge_read(result, inventory);
}

/// The JSON, and one function with its bytes, if there is one at an address of its own that nothing damages.
fn make(mut bytes: &[u8]) -> (Vec<u8>, Option<(Sbdf, Vec<u8>)>) {
    let mut entries: Vec<String> = Vec::new();
    let mut sound: Vec<(Sbdf, Option<Vec<u8>>)> = Vec::new();
    while !bytes.is_empty() && entries.len() < FUNCTIONS {
        let [bus, last, flags, low, high] = take(&mut bytes);
        let length = usize::from(u16::from_le_bytes([low, high])) % 0x1200;
        let (given, rest) = bytes.split_at(bytes.len().min(length));
        bytes = rest;
        let mut content = given.to_vec();
        if flags & 1 != 0 {
            content.resize(length, 0);
        }
        let mut packed = if flags & 2 != 0 { content.clone() } else { deflated(&content) };
        if flags & 4 != 0 {
            let at = usize::from(last) % packed.len().max(1);
            packed.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bus | 1);
        }
        let mut config = STANDARD.encode(&packed);
        if flags & 8 != 0 {
            config.truncate(usize::from(low));
        }
        let name = match NAMES[usize::from(last) % NAMES.len()] {
            name if last < 0xc0 => format!("{bus:04x}:{bus:02x}:{:02x}.{}", last >> 3 & 31, name.len() & 7),
            name => String::from(name),
        };
        let above = NAMES[usize::from(bus) % NAMES.len()];
        let group = match flags >> 4 & 3 {
            0 => String::from("null"),
            1 => format!("{bus}"),
            2 => format!("-{bus}"),
            _ => String::from("1e99"),
        };
        if let Ok(address) = name.parse() {
            let plain = flags & 0xe == 0 && content.len() <= 4096 && flags >> 5 & 1 == 0;
            sound.push((address, plain.then_some(content)));
        }
        let more = if flags & 0x40 != 0 { r#", "vpd": {"x": [[[]]]}, "realname": "\u001b[2J""# } else { "" };
        entries.push(format!(
            r#"{{"realpath": "/sys/devices/pci{bus:04x}:00/{above}/{name}", "config": "{config}", "iommu_group": {group}{more}}}"#
        ));
    }
    let alone = |address| sound.iter().filter(|(other, _)| *other == address).count() == 1;
    let told = sound.iter().find_map(|(address, content)| {
        let content = content.as_ref().filter(|_| alone(*address))?;
        Some((*address, content.clone()))
    });
    (format!("[{}]", entries.join(", ")).into_bytes(), told)
}

/// Stored and not searched for repeats, to be quick; any decompressor reads it as the rest.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}
