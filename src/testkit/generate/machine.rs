//! Which functions a regular machine has: a host bridge, multi-function root ports, switches with one
//! upstream and twelve downstream ports, and below them devices of up to 60 functions that use ARI.

use alloc::vec::Vec;

use super::{Node, Port, Random, Role, Size, at};
use crate::testkit::port_type;

/// Ports of a switch below its upstream port.
const DOWNSTREAM_PORTS: u8 = 12;
/// Functions of a device at most.
const DEVICE: u32 = 60;

pub(super) fn regular(size: Size, seed: u64) -> Vec<Node> {
    let (count, segments) = size.functions();
    let mut nodes = Vec::with_capacity(count);
    if size == Size::Xl {
        full_segment(&mut nodes, seed);
    } else {
        for segment in 0..segments {
            let mut maker = Maker {
                nodes: Vec::new(),
                segment,
                random: Random::new(seed, u64::from(segment)),
                next_bus: 1,
                left: count / segments as usize,
            };
            maker.segment();
            maker.nodes.sort_unstable_by_key(|node| node.address);
            nodes.append(&mut maker.nodes);
        }
    }
    nodes
}

/// Every routing ID of one segment.
fn full_segment(nodes: &mut Vec<Node>, seed: u64) {
    nodes.push(Node::new(at(0, 0, 0), Role::HostBridge, true));
    for devfn in 1..=u8::MAX {
        let port = Port {
            port_type: port_type::ROOT_PORT,
            number: devfn,
            secondary: devfn,
            subordinate: devfn,
            ari: true,
        };
        nodes.push(Node::new(at(0, 0, devfn), Role::Port(port), true));
    }
    for bus in 1..=u8::MAX {
        device(nodes, 0, bus, 256, &mut Random::new(seed, u64::from(bus)));
    }
}

/// A device of `functions` functions that uses ARI: physical ones first, then their virtual ones, in
/// turn.
fn device(nodes: &mut Vec<Node>, segment: u32, bus: u8, functions: u32, random: &mut Random) {
    let physical = match random.below(8) {
        // Some devices have no virtual functions.
        0 => functions,
        n => (1 << (n % 4)).min(functions),
    };
    for number in 0..functions {
        let role = if number >= physical {
            Role::Virtual
        } else {
            match (functions - 1 - number) / physical {
                0 => Role::Endpoint,
                count => {
                    Role::Physical { first: physical as u16, stride: physical as u16, count: count as u16 }
                }
            }
        };
        nodes.push(Node::new(at(segment, bus, number as u8), role, functions > 1));
    }
}

struct Maker {
    nodes: Vec<Node>,
    segment: u32,
    random: Random,
    next_bus: u8,
    /// Functions still to be made.
    left: usize,
}

impl Maker {
    fn segment(&mut self) {
        self.add(0, 0, Role::HostBridge, false);
        // Devices of up to eight root ports each, from device 1 on.
        let mut slot = 8_u8;
        while self.left > 0 {
            let shared = self.left > 8;
            if self.random.percent(60) && self.left > 2 * usize::from(DOWNSTREAM_PORTS) {
                self.port(0, slot, port_type::ROOT_PORT, shared, Self::switch);
            } else if self.left > 1 {
                self.port(0, slot, port_type::ROOT_PORT, shared, Self::endpoints);
            } else {
                // Too few for a port with something behind it.
                self.add(0, slot | 7, Role::Port(unused_port(slot)), true);
            }
            slot += 1;
        }
    }

    fn add(&mut self, bus: u8, devfn: u8, role: Role, shared_device: bool) {
        self.nodes.push(Node::new(at(self.segment, bus, devfn), role, shared_device));
        self.left -= 1;
    }

    /// A port, and `below` what is behind it.
    fn port(&mut self, bus: u8, devfn: u8, port_type: u8, shared: bool, below: fn(&mut Self, u8) -> bool) {
        let place = self.nodes.len();
        self.add(bus, devfn, Role::HostBridge, shared);
        let secondary = self.next_bus;
        self.next_bus += 1;
        let ari = below(self, secondary);
        let subordinate = self.next_bus - 1;
        let number = devfn;
        self.nodes[place].role = Role::Port(Port { port_type, number, secondary, subordinate, ari });
    }

    fn switch(&mut self, bus: u8) -> bool {
        self.port(bus, 0, port_type::UPSTREAM, false, |maker, bus| {
            for number in 0..DOWNSTREAM_PORTS {
                if maker.left < 2 {
                    break;
                }
                maker.port(bus, number << 3, port_type::DOWNSTREAM, false, Self::endpoints);
            }
            false
        });
        false
    }

    fn endpoints(&mut self, bus: u8) -> bool {
        let wanted = 1 + self.random.below(DEVICE) * self.random.below(DEVICE) / DEVICE;
        let count = wanted.min(self.left as u32);
        device(&mut self.nodes, self.segment, bus, count, &mut self.random);
        self.left -= count as usize;
        true
    }
}

/// A port that leads nowhere.
fn unused_port(number: u8) -> Port {
    Port { port_type: port_type::ROOT_PORT, number, secondary: 0, subordinate: 0, ari: false }
}
