//! What a guest is given: the PCI functions that a libvirt domain names.
//!
//! Layer 7. The text comes from whoever may define guests: its size and depth are bounded, document type
//! declarations (and with them entities) are refused, and nothing is looked up.
//!
//! Source: libvirt, docs/formatdomain.rst, "Host device assignment", "Network interfaces" (hostdev) and
//! "Hard drives" (nvme); docs/hooks.rst.

use std::string::String;
use std::vec::Vec;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use crate::addr::Sbdf;
use crate::limits::{Limit, Limits};

/// The text is no description of a domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// Too long, or elements within elements.
    #[error("the domain's XML, at byte {at}: {}", .limit.passed(*.value))]
    Limit {
        /// Offset in bytes.
        at: u64,
        /// Which limit.
        limit: Limit,
        /// Its value.
        value: u64,
    },
    /// A document type declaration, which could define entities.
    #[error("the domain's XML has a document type declaration, which libvirt never writes, at byte {at}")]
    DocumentType {
        /// Offset in bytes.
        at: u64,
    },
    /// No well-formed XML.
    #[error("the domain's XML is damaged at byte {at}: {what}")]
    Damaged {
        /// Offset in bytes.
        at: u64,
        /// The parser's words.
        what: String,
    },
    /// Another document, or none.
    #[error("expected a <domain> element, as virsh dumpxml prints it")]
    NotADomain,
    /// A function that is assigned, without a readable address.
    #[error(
        "a <{element}> assigns a PCI function without a source address that can be read, before byte {at}"
    )]
    NoAddress {
        /// `hostdev`, `interface`, `actual`, `disk`, `backingStore`, `mirror` or `dataStore`.
        element: &'static str,
        /// Offset in bytes.
        at: u64,
    },
}

/// The functions that a domain is given by `<hostdev type='pci'>`, `<interface type='hostdev'>` (also
/// `<actual>`) and `<disk type='nvme'>` (also `<backingStore>`, `<mirror>` and `<dataStore>` at any depth
/// of a disk): sorted, each once. What `<qemu:commandline>` gives it is not seen.
///
/// ```
/// let xml = br#"<domain><devices><hostdev mode='subsystem' type='pci'><source>
///     <address domain='0x0000' bus='0x06' slot='0x02' function='0x0'/></source></hostdev></devices></domain>"#;
/// let functions = acsscan::guest::assigned_functions(xml)?;
/// assert_eq!(functions, ["0000:06:02.0".parse().unwrap()]);
/// # Ok::<(), acsscan::guest::DomainError>(())
/// ```
///
/// # Errors
///
/// If the text is no such description; then nothing is known of what the guest is given.
pub fn assigned_functions(xml: &[u8]) -> Result<Vec<Sbdf>, DomainError> {
    assigned_functions_within(&Limits::default(), xml)
}

/// As [`assigned_functions`], with other [`Limits::xml`] and [`Limits::xml_depth`].
///
/// # Errors
///
/// Those of [`assigned_functions`].
pub fn assigned_functions_within(limits: &Limits, xml: &[u8]) -> Result<Vec<Sbdf>, DomainError> {
    if xml.len() > limits.count(Limit::Xml) {
        return Err(DomainError::Limit { at: limits.xml, limit: Limit::Xml, value: limits.xml });
    }
    let mut reader = Reader::from_reader(xml);
    let mut walk = Walk { depth: limits.count(Limit::XmlDepth), ..Walk::default() };
    loop {
        let event = reader.read_event();
        let at = reader.buffer_position();
        match event {
            Ok(Event::Start(start)) => walk.start(&start, at)?,
            Ok(Event::Empty(start)) => {
                walk.start(&start, at)?;
                walk.end(at)?;
            }
            Ok(Event::End(_)) => walk.end(at)?,
            Ok(Event::DocType(_)) => return Err(DomainError::DocumentType { at }),
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => return Err(damaged(at, &error)),
        }
    }
    if !walk.is_domain {
        return Err(DomainError::NotADomain);
    }
    if !walk.path.is_empty() {
        return Err(damaged(u64::try_from(xml.len()).unwrap_or(u64::MAX), &"it ends within an element"));
    }
    walk.found.sort_unstable();
    walk.found.dedup();
    Ok(walk.found)
}

fn damaged(at: u64, what: &dyn core::fmt::Display) -> DomainError {
    DomainError::Damaged { at, what: std::format!("{what}") }
}

/// Where the reader is.
#[derive(Debug, Default)]
struct Walk {
    /// Most elements that may be open.
    depth: usize,
    /// Names of the open elements.
    path: Vec<Vec<u8>>,
    is_domain: bool,
    /// The open elements that assign a function, the innermost last.
    giving: Vec<Giving>,
    found: Vec<Sbdf>,
}

/// An element that assigns a function.
#[derive(Debug)]
struct Giving {
    element: &'static str,
    /// How many elements are open around it.
    depth: usize,
    /// Whether its address came.
    found: bool,
}

impl Walk {
    fn start(&mut self, start: &BytesStart<'_>, at: u64) -> Result<(), DomainError> {
        if self.path.len() >= self.depth {
            return Err(DomainError::Limit { at, limit: Limit::XmlDepth, value: self.depth as u64 });
        }
        let name = start.name().as_ref().to_vec();
        let depth = self.path.len();
        // The elements around: the outermost three, and the innermost.
        let mut outer = [&[][..]; 3];
        outer.iter_mut().zip(&self.path).for_each(|(place, name)| *place = name);
        let inner = self.path.last().map(Vec::as_slice).unwrap_or_default();
        match outer {
            [b"", ..] if depth == 0 => {
                if name != b"domain" || self.is_domain {
                    return Err(DomainError::NotADomain);
                }
                self.is_domain = true;
            }
            [b"domain", b"devices", _]
                if name == b"address"
                    && depth > 2
                    && inner == b"source"
                    && self.giving.last().is_some_and(|last| last.depth.checked_add(2) == Some(depth)) =>
            {
                let Some(giving) = self.giving.last_mut() else { return Ok(()) };
                let element = giving.element;
                giving.found = true;
                self.found.push(address(start, at)?.ok_or(DomainError::NoAddress { element, at })?);
            }
            [b"domain", b"devices", device] => {
                let kind = attribute(start, b"type", at)?;
                let device = (depth > 2).then_some(device);
                if let Some(element) = kind.and_then(|kind| giving(device, &name, &kind)) {
                    self.giving.push(Giving { element, depth, found: false });
                }
            }
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    fn end(&mut self, at: u64) -> Result<(), DomainError> {
        self.path.pop();
        if self.giving.last().is_some_and(|last| last.depth == self.path.len()) {
            if let Some(Giving { element, found: false, .. }) = self.giving.pop() {
                return Err(DomainError::NoAddress { element, at });
            }
        }
        Ok(())
    }
}

/// The element's name, if an element of this name and type assigns a function here, within a `device` or
/// as one.
fn giving(device: Option<&[u8]>, name: &[u8], kind: &str) -> Option<&'static str> {
    match (device, name, kind) {
        (None, b"hostdev", "pci") => Some("hostdev"),
        (None, b"interface", "hostdev") => Some("interface"),
        (None, b"disk", "nvme") => Some("disk"),
        (Some(b"interface"), b"actual", "hostdev") => Some("actual"),
        // An image rests on others, and each may be an NVMe controller that the guest's process drives.
        (Some(b"disk"), b"backingStore", "nvme") => Some("backingStore"),
        (Some(b"disk"), b"mirror", "nvme") => Some("mirror"),
        (Some(b"disk"), b"dataStore", "nvme") => Some("dataStore"),
        _ => None,
    }
}

/// An attribute's value, with character references replaced. All are looked at, so that one that is there
/// twice is an error.
fn attribute(start: &BytesStart<'_>, name: &[u8], at: u64) -> Result<Option<String>, DomainError> {
    let mut found = None;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| damaged(at, &error))?;
        if attribute.key.as_ref() == name {
            let bytes = core::str::from_utf8(&attribute.value).map_err(|error| damaged(at, &error))?;
            found = Some(unescape(bytes).map_err(|error| damaged(at, &error))?.into_owned());
        }
    }
    Ok(found)
}

/// The address of a `<address>` element; domain and function are 0 if left out.
fn address(start: &BytesStart<'_>, at: u64) -> Result<Option<Sbdf>, DomainError> {
    let mut parts = [Some(0), None, None, Some(0)];
    for (part, name) in parts.iter_mut().zip(["domain", "bus", "slot", "function"]) {
        if let Some(text) = attribute(start, name.as_bytes(), at)? {
            *part = number(&text);
        }
    }
    let [Some(domain), Some(bus), Some(slot), Some(function)] = parts else { return Ok(None) };
    let [Ok(bus), Ok(slot), Ok(function)] = [bus, slot, function].map(u8::try_from) else { return Ok(None) };
    Ok(Sbdf::new(domain, bus, slot, function))
}

/// A number as C's `strtoul` reads it with base 0.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // No sign, which `from_str_radix` would take.
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { u32::from_str_radix(digits, radix).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    fn found(devices: &str) -> Result<Vec<String>, DomainError> {
        let xml = format!(
            "<?xml version='1.0'?>\n<domain type='kvm'><name>a</name><devices>{devices}</devices></domain>\n"
        );
        assigned_functions(xml.as_bytes()).map(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_way_to_assign_a_function_is_seen_and_the_guests_own_addresses_are_not() {
        let devices = "
            <hostdev mode='subsystem' type='pci' managed='yes'>
              <driver name='vfio'/>
              <source><address domain='0x0001' bus='0x06' slot='0x1f' function='0x7'/></source>
              <address type='pci' domain='0x0000' bus='0x09' slot='0x00' function='0x0'/>
            </hostdev>
            <interface type='hostdev'><source><address type='pci' bus='10' slot='0' function='07'/></source></interface>
            <disk type='nvme'><source type='pci' namespace='1'><address bus='0x05' slot='0x00'/></source></disk>
            <hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>
            <interface type='network'><source network='default'/></interface>
            <controller type='pci'><address type='pci' bus='0x03' slot='0x02'/></controller>";
        assert_eq!(found(devices).expect("read"), ["0000:05:00.0", "0000:0a:00.7", "0001:06:1f.7"]);
        assert_eq!(found("").expect("read"), Vec::<String>::new());
    }

    #[test]
    fn nvme_below_an_image_is_seen_at_any_depth_and_in_mirrors() {
        let nvme = |element: &str, bus: u8, inner: &str| {
            format!(
                "<{element} type='nvme'><format type='raw'/><source type='pci' managed='yes' namespace='1'>\
                 <address domain='0x0000' bus='{bus}' slot='0' function='0'/></source>{inner}</{element}>"
            )
        };
        let disk = |inner: &str| {
            format!(
                "<disk type='file'><driver/><source file='/a'/>{inner}<target dev='vda' bus='virtio'/></disk>"
            )
        };
        let file =
            |inner: &str| format!("<backingStore type='file'><source file='/b'/>{inner}</backingStore>");
        assert_eq!(found(&disk(&nvme("backingStore", 1, ""))).expect("read"), ["0000:01:00.0"]);
        assert_eq!(found(&disk(&file(&file(&nvme("backingStore", 2, ""))))).expect("read"), ["0000:02:00.0"]);
        let both = nvme("mirror", 3, &nvme("backingStore", 4, ""));
        assert_eq!(found(&disk(&both)).expect("read"), ["0000:03:00.0", "0000:04:00.0"]);
        let store = format!("<source file='/a'>{}</source>", nvme("dataStore", 5, ""));
        assert_eq!(found(&format!("<disk type='file'>{store}</disk>")).expect("read"), ["0000:05:00.0"]);
        // The guest's own controllers are none of the host's.
        let own = "<controller type='nvme'><address type='pci' bus='1' slot='0'/></controller>";
        assert_eq!(found(own).expect("read"), Vec::<String>::new());
    }

    #[test]
    fn character_references_in_attributes_are_replaced_before_they_are_compared() {
        for device in [
            "<hostdev type='&#112;ci'><source><address bus='&#48;' slot='&#x30;x1'/></source></hostdev>",
            "<interface type='host&#x64;ev'><source><address bus='0' slot='1'/></source></interface>",
            "<disk type='&#110;vme'><source type='pci'><address bus='0' slot='1'/></source></disk>",
        ] {
            assert_eq!(found(device).expect("read"), ["0000:00:01.0"], "{device}");
        }
        assert!(matches!(found("<hostdev type='&pci;'/>"), Err(DomainError::Damaged { .. })));
    }

    #[test]
    fn an_assignment_that_cannot_be_read_is_an_error_and_not_left_out() {
        for device in [
            "<hostdev type='pci'/>",
            "<hostdev type='pci'><source/></hostdev>",
            "<hostdev type='pci'><source><address slot='0'/></source></hostdev>",
            "<hostdev type='pci'><source><address bus='0x100' slot='0'/></source></hostdev>",
            "<hostdev type='pci'><source><address bus='&#45;1' slot='0'/></source></hostdev>",
            "<hostdev type='pci'><x><source><address bus='1' slot='0'/></source></x></hostdev>",
            "<disk type='file'><source/><backingStore type='nvme'><format/></backingStore></disk>",
            "<disk type='nvme'><backingStore type='nvme'><source><address bus='1' slot='0'/></source></backingStore></disk>",
            "<hostdev type='pci'><source><address bus='-1' slot='0'/></source></hostdev>",
            "<interface type='hostdev'><address bus='1' slot='0'/></interface>",
        ] {
            assert!(
                matches!(found(device), Err(DomainError::NoAddress { .. })),
                "{device}: {:?}",
                found(device)
            );
        }
    }

    #[test]
    fn hostile_text_ends_at_once() {
        let bomb =
            b"<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><domain><name>&b;</name></domain>";
        assert!(matches!(assigned_functions(bomb), Err(DomainError::DocumentType { .. })));
        // Time grows with the text, however deep it is.
        let limits = Limits { xml_depth: 1 << 20, ..Limits::default() };
        let deepest = "<domain>".to_string() + &"<a>".repeat(100_000) + &"</a>".repeat(100_000) + "</domain>";
        assert_eq!(assigned_functions_within(&limits, deepest.as_bytes()), Ok(Vec::new()));
        let deep = "<domain>".to_string() + &"<a>".repeat(1_000_000);
        let passed = |found: Result<Vec<Sbdf>, DomainError>| match found {
            Err(DomainError::Limit { at, limit, value }) => (at, limit, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(passed(assigned_functions(deep.as_bytes())), (200, Limit::XmlDepth, 64));
        let raised = Limits { xml: 20 << 20, xml_depth: 100, ..Limits::default() };
        assert_eq!(passed(assigned_functions_within(&raised, deep.as_bytes())), (308, Limit::XmlDepth, 100));
        let huge = std::vec![b' '; (16 << 20) + 1];
        assert_eq!(passed(assigned_functions(&huge)), (16 << 20, Limit::Xml, 16 << 20));
        assert_eq!(assigned_functions_within(&raised, &huge), Err(DomainError::NotADomain));
        for other in ["", "<network/>", "<domain/><domain/>", "text"] {
            assert_eq!(assigned_functions(other.as_bytes()), Err(DomainError::NotADomain), "{other}");
        }
        for damaged in
            ["<domain>", "<domain></devices>", "<domain", "<domain><devices><hostdev type='pci' type='x'/>"]
        {
            assert!(
                matches!(assigned_functions(damaged.as_bytes()), Err(DomainError::Damaged { .. })),
                "{damaged}"
            );
        }
    }
}
