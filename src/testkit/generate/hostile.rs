//! Machines that are meant to hurt: what costs more than it should on one of them is a defect.

use alloc::vec::Vec;

use super::{Harm, Node, Port, Random, Role, Set, Size, at, machine::regular};
use crate::addr::Segment;
use crate::testkit::port_type;

pub(super) fn machine(set: Set, size: Size, seed: u64) -> Vec<Node> {
    let (count, _) = size.functions();
    if set == Set::Chain {
        return chains(count);
    }
    let mut nodes = regular(size, seed);
    let mut random = Random::new(seed, 0);
    match set {
        Set::Crowded => harm(&mut nodes, Harm::Crowded),
        Set::Loops => harm(&mut nodes, Harm::Loop),
        Set::Short => harm(&mut nodes, Harm::Short),
        Set::Buses => {
            for node in &mut nodes {
                if let Role::Port(port) = &mut node.role {
                    twist(port, &mut random);
                }
            }
        }
        Set::Segments => {
            // Each of a thousand segments gets a slice of the machine, whatever is lost of it.
            for (index, node) in nodes.iter_mut().enumerate() {
                node.address.segment = Segment((index * 1000 / count) as u32);
            }
        }
        Set::Shuffled => {
            for index in (0..nodes.len()).step_by(8) {
                let mut again = nodes[index];
                if random.percent(50) {
                    again.harm = Harm::Other;
                }
                nodes.push(again);
            }
            random.shuffle(&mut nodes);
        }
        Set::Regular | Set::Chain => {}
    }
    nodes
}

fn harm(nodes: &mut [Node], harm: Harm) {
    for node in nodes {
        node.harm = harm;
    }
}

fn twist(port: &mut Port, random: &mut Random) {
    match random.below(4) {
        0 => (port.secondary, port.subordinate) = (0, 0),
        1 => core::mem::swap(&mut port.secondary, &mut port.subordinate),
        2 => port.subordinate = port.subordinate.saturating_add(random.below(64) as u8),
        _ => port.secondary = port.secondary.saturating_sub(random.below(64) as u8),
    }
}

/// Segments of 255 bridges below one another, with an endpoint at the end.
fn chains(count: usize) -> Vec<Node> {
    let node = |index: usize| {
        let (segment, bus) = ((index / 256) as u32, (index % 256) as u8);
        let port_type = match bus {
            0 => port_type::ROOT_PORT,
            n if n % 2 == 1 => port_type::UPSTREAM,
            _ => port_type::DOWNSTREAM,
        };
        let role = match bus.checked_add(1) {
            Some(secondary) => {
                Role::Port(Port { port_type, number: 0, secondary, subordinate: 255, ari: false })
            }
            None => Role::Endpoint,
        };
        Node::new(at(segment, bus, 0), role, false)
    };
    (0..count).map(node).collect()
}
