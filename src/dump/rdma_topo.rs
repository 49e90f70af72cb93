//! Dumps of `rdma_topo`: a JSON list of functions, with configuration space packed in zlib and base64.
//!
//! Read one function at a time; what a function unpacks to is bounded by what one can have.
//!
//! Source: rdma-core, `kernel-boot/rdma_topo`, `SysfsDevice.to_dict`.

use std::format;
use std::io::Read;
use std::path::{Component, Path};
use std::string::{String, ToString};
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::config_file::BUFFER;
use super::error::{Error, said};
use super::lines::Window;
use super::{Delivery, NOTHING, ProblemKind, name};
use crate::addr::Segment;
use crate::function::{Attributes, HostBridge, Sink};
use crate::limits::Limit;

/// Longest base64 text of a configuration space: zlib adds a few bytes to what it cannot pack.
const MAX_PACKED: usize = 8 * 1024;

/// What is used of a function's object.
#[derive(Deserialize)]
struct Entry {
    realpath: String,
    config: String,
    #[serde(default)]
    iommu_group: Option<u32>,
}

/// Reads a dump to its end.
pub(super) fn read<R: Read, K: Sink>(
    mut window: Window<R>,
    path: &Path,
    delivery: &mut Delivery<'_, K>,
) -> Result<(), Error> {
    window.skip_mark().map_err(|error| Error::io(path, error))?;
    let failed = |error: serde_json::Error| match error.is_io() {
        true => Error::io(path, error.into()),
        false => Error::RdmaTopo { path: path.to_path_buf(), reason: said(&error) },
    };
    let value = delivery.limits.file;
    let mut bounded = window.take(value);
    let mut json = serde_json::Deserializer::from_reader(bounded.by_ref());
    let read = Functions { delivery }.deserialize(&mut json).and_then(|()| json.end());
    if bounded.limit() == 0 {
        return Err(Error::Limit { path: path.to_path_buf(), limit: Limit::File, value });
    }
    read.map_err(failed)?;
    if delivery.records == 0 {
        return Err(Error::RdmaTopo { path: path.to_path_buf(), reason: "it lists no function".to_string() });
    }
    Ok(())
}

/// Delivers each function of the list as it comes.
struct Functions<'a, 'b, K> {
    delivery: &'a mut Delivery<'b, K>,
}

impl<'de, K: Sink> DeserializeSeed<'de> for Functions<'_, '_, K> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, K: Sink> Visitor<'de> for Functions<'_, '_, K> {
    type Value = ();

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a list of functions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Entry>()? {
            function(&entry, self.delivery);
        }
        Ok(())
    }
}

fn function<K: Sink>(entry: &Entry, delivery: &mut Delivery<'_, K>) {
    let names = || {
        Path::new(&entry.realpath).components().filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
    };
    let Some(address) = names().next_back().and_then(|name| name.parse().ok()) else {
        let text = format!("{}: not the path of a function: left out", entry.realpath);
        return delivery.problem(ProblemKind::NotAFunction, None, text);
    };
    let mut above = None;
    for name in names() {
        if let Some((segment, bus)) = name::host_bridge(name) {
            delivery.host_bridge(HostBridge { segment: Segment(segment), bus, requester: above });
        }
        above = name.parse().ok();
    }
    let known = Attributes { kernel_group: entry.iommu_group, ..Attributes::default() };
    match unpack(&entry.config) {
        Ok(bytes) => {
            let conventional_size = Attributes::of_config_file(bytes.len()).conventional_size;
            delivery.record(address, bytes.as_slice(), Attributes { conventional_size, ..known });
        }
        Err(reason) => {
            let text = format!("configuration space cannot be unpacked: {reason}");
            delivery.problem(ProblemKind::Unreadable, Some(address), text);
            delivery.record(address, NOTHING, known);
        }
    }
}

/// Configuration space from its base64 text.
fn unpack(text: &str) -> Result<Vec<u8>, String> {
    if text.len() > MAX_PACKED {
        return Err(format!("more than {MAX_PACKED} letters"));
    }
    let packed = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let unpacked =
        flate2::read::ZlibDecoder::new(packed.as_slice()).take(BUFFER as u64).read_to_end(&mut bytes);
    unpacked.map_err(|error| error.to_string())?;
    if bytes.len() >= BUFFER {
        return Err("more than 4096 bytes".to_string());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Inventory;
    use std::io::Write;
    use std::vec;

    fn pack(bytes: &[u8]) -> String {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("written");
        STANDARD.encode(encoder.finish().expect("whole"))
    }

    fn read_text(text: &str) -> (Result<(), Error>, Inventory, usize) {
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        let result = read(Window::new(text.as_bytes()), Path::new("x.json"), &mut delivery);
        let problems = delivery.problems.len();
        (result, inventory.finish(), problems)
    }

    fn entry(realpath: &str, config: &str) -> String {
        format!(
            r#"{{"realpath": "{realpath}", "config": "{config}", "modalias": "pci:x", "iommu_group": 7, "vpd": null}}"#
        )
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let text = format!("\u{feff}[{}]", entry("/sys/devices/pci0000:00/0000:00:01.0", &pack(&[0; 64])));
        let (result, inventory, _) = read_text(&text);
        assert!(result.is_ok() && inventory.functions().len() == 1);
    }

    #[test]
    fn functions_come_with_their_bytes_group_and_host_bridge() {
        let mut bytes = vec![0; 4096];
        bytes[..4].copy_from_slice(&[0xb3, 0x15, 0x23, 0x10]);
        let text = format!("[{}]", entry("/sys/devices/pci0009:00/0009:00:00.0/0009:01:00.0", &pack(&bytes)));
        let (result, inventory, problems) = read_text(&text);
        assert!(result.is_ok() && problems == 0, "{result:?}");
        let function = &inventory.functions()[0];
        assert_eq!((function.address.to_string().as_str(), function.device_id), ("0009:01:00.0", 0x1023));
        assert_eq!(inventory.attributes(0).and_then(|known| known.kernel_group), Some(7));
        assert!(inventory.host_bridge_at(Segment(9), 0).is_some());
    }

    #[test]
    fn a_bomb_or_damage_in_one_function_degrades_that_one_only() {
        let bomb = pack(&vec![0; 1 << 20]);
        let list =
            [("0000:00:01.0", bomb.as_str()), ("0000:00:02.0", "!"), ("0000:00:03.0", &pack(&[1; 64]))];
        let list: Vec<_> = list.iter().map(|(name, config)| entry(name, config)).collect();
        let (result, inventory, problems) = read_text(&format!("[{}, {}]", list.join(","), entry("x", "")));
        assert!(result.is_ok());
        let captured: Vec<_> = inventory.functions().iter().map(|function| function.captured).collect();
        assert_eq!((captured, problems), (vec![0, 0, 64], 3));
    }

    #[test]
    fn an_endless_string_ends_at_the_limit() {
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        delivery.limits.file = 1 << 16;
        let input = b"[{\"realpath\": \"".chain(std::io::repeat(b'a'));
        let error = read(Window::new(input), Path::new("x"), &mut delivery).expect_err("endless");
        assert!(matches!(error, Error::Limit { limit: Limit::File, .. }), "{error}");
    }

    #[test]
    fn other_json_is_refused_in_one_line() {
        for text in ["[]", "{\"config\": 1}", "[1]", "[", "[{\"config\": \"\\u001b[31m\\n\"}]", "[] x"] {
            let error = read_text(text).0.expect_err(text).to_string();
            assert!(error.contains("rdma_topo") && !error.contains('\n'), "{error}");
        }
    }
}
