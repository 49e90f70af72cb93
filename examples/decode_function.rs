//! Decodes one function without std and without allocation: what a monitor or a kernel does at boot.
//!
//! `cargo run --no-default-features --example decode_function`. All that `decode` uses is in the crate
//! without features; `main` alone uses std, to print.

use acsscan::anomaly::Presence;
use acsscan::cap::acs::{Acs, AcsControl};
use acsscan::cap::id::{CapabilityId, ExtendedCapabilityId};
use acsscan::cap::list::{find, find_extended};
use acsscan::cap::pcie::{DevicePortType, Pcie};
use acsscan::config::ConfigSpace;

/// What a port does with requests between its peers.
#[derive(Debug, PartialEq)]
enum Port {
    /// It sends them upstream.
    Redirects(DevicePortType),
    /// It has ACS, and does not.
    DoesNotRedirect(DevicePortType),
    /// It has no ACS: proved, the list was read to its end.
    HasNoAcs(DevicePortType),
    /// The bytes do not tell.
    NotKnown,
}

fn decode(bytes: &[u8]) -> Port {
    let config = ConfigSpace::new(bytes);
    let pcie = find(&config, CapabilityId::PCI_EXPRESS).present();
    let Some(pcie) = pcie.and_then(|at| Pcie::read(&config, at)) else { return Port::NotKnown };
    let port = pcie.device_port_type();
    match find_extended(&config, ExtendedCapabilityId::ACS) {
        Presence::Absent => Port::HasNoAcs(port),
        Presence::NotCaptured => Port::NotKnown,
        Presence::Present(at) => match Acs::read(&config, at) {
            Some(acs) if acs.anomaly().is_some() => Port::NotKnown,
            Some(acs) if acs.control.contains(AcsControl::REQUEST_REDIRECT) => Port::Redirects(port),
            Some(_) => Port::DoesNotRedirect(port),
            None => Port::NotKnown,
        },
    }
}

/// A root port: PCI Express at 40h, ACS at 100h.
fn root_port() -> [u8; 4096] {
    let mut bytes = [0; 4096];
    bytes[0x00..0x04].copy_from_slice(&[0x86, 0x80, 0x94, 0xa2]);
    bytes[0x06] = 0x10;
    bytes[0x0a..0x0f].copy_from_slice(&[0x04, 0x06, 0x00, 0x00, 0x01]);
    bytes[0x34] = 0x40;
    bytes[0x40..0x44].copy_from_slice(&[0x10, 0x00, 0x42, 0x00]);
    bytes[0x100..0x108].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00, 0x1f, 0x00, 0x1d, 0x00]);
    bytes
}

fn main() {
    let bytes = root_port();
    println!("all 4096 bytes: {:?}", decode(&bytes));
    println!("the first 256:  {:?}", decode(&bytes[..256]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_dump_is_not_known_and_never_without_acs() {
        let mut bytes = root_port();
        assert_eq!(decode(&bytes), Port::Redirects(DevicePortType::RootPort));
        for length in 0..0x108 {
            assert_eq!(decode(&bytes[..length]), Port::NotKnown, "{length} bytes");
        }
        bytes[0x100..0x108].fill(0);
        assert_eq!(decode(&bytes), Port::HasNoAcs(DevicePortType::RootPort));
    }
}
