//! The configuration space of one function: eight standard and eight extended capabilities, placed in
//! shuffled order with gaps, and linked in another order.

use super::{Harm, Node, Port, Random, Role};
use crate::config::SIZE;
use crate::testkit::port_type;

type Space = [u8; SIZE as usize];

/// Bytes of the legacy header.
const SHORT: usize = 64;

pub(super) fn make<'s>(node: &Node, seed: u64, space: &'s mut Space) -> &'s [u8] {
    space.fill(0);
    let address = u64::from(node.address.segment.0) << 16 | u64::from(node.address.bdf.to_bits());
    let stream = address ^ if node.harm == Harm::Other { 1 << 60 } else { 0 };
    let mut random = Random::new(seed ^ 0x5eed, stream);
    header(node, space);
    if node.role == Role::HostBridge {
        let length = if node.harm == Harm::Short { SHORT } else { space.len() };
        return &space[..length];
    }
    standard(node, space, &mut random);
    extended(node, space, &mut random);
    match node.harm {
        Harm::Short => return &space[..SHORT],
        Harm::Crowded => crowd(space),
        Harm::Loop => tie(space),
        Harm::None | Harm::Other => {}
    }
    space
}

fn put16(space: &mut Space, at: usize, value: u16) {
    space[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn put32(space: &mut Space, at: usize, value: u32) {
    space[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Vendor, device and class of what a function is.
fn identity(node: &Node) -> (u16, u16, u16) {
    match node.role {
        Role::HostBridge => (0x1b36, 0x0008, 0x0600),
        Role::Port(port) => match port.port_type {
            port_type::UPSTREAM => (0x10b5, 0x9797, 0x0604),
            port_type::DOWNSTREAM => (0x10b5, 0x9798, 0x0604),
            _ => (0x1b36, 0x000c, 0x0604),
        },
        Role::Endpoint | Role::Physical { .. } => (0x15b3, 0x101d, 0x0200),
        Role::Virtual => (0xffff, 0xffff, 0x0200),
    }
}

fn header(node: &Node, space: &mut Space) {
    let (vendor, device, class) = identity(node);
    put16(space, 0x00, vendor);
    put16(space, 0x02, device);
    // Memory space and bus mastering; the former means nothing to a virtual function.
    put16(space, 0x04, if node.role == Role::Virtual { 0x0004 } else { 0x0406 });
    put16(space, 0x0a, class);
    let multi_function = node.shared_device && node.address.bdf.function() == 0 && node.role != Role::Virtual;
    space[0x0e] = if multi_function { 0x80 } else { 0 };
    let bdf = u32::from(node.address.bdf.to_bits());
    match node.role {
        Role::Port(Port { secondary, subordinate, .. }) => {
            space[0x0e] |= 1;
            space[0x18..0x1b].copy_from_slice(&[node.address.bus(), secondary, subordinate]);
            put32(space, 0x1c, 0x0000_00f0);
            // One mebibyte of memory for each bus below, no prefetchable window.
            let (base, limit) = (u32::from(secondary) << 4, u32::from(subordinate) << 4);
            put32(space, 0x20, 0x8000 | base | (0x8000 | limit) << 16);
            put32(space, 0x24, 0x0001_fff1);
        }
        Role::Endpoint | Role::Physical { .. } => {
            put32(space, 0x10, 0x8000_0000 | bdf << 12);
            put32(space, 0x2c, 0x0008_15b3);
        }
        Role::Virtual => put32(space, 0x2c, 0x0008_15b3),
        Role::HostBridge => put32(space, 0x2c, 0x1100_1af4),
    }
    if node.role != Role::HostBridge {
        put16(space, 0x06, 0x0010);
    }
}

/// IDs and sizes of structures, and where each goes: in shuffled order, with gaps from what `room` is left.
fn place<const N: usize>(
    sizes: [(u16, usize); N],
    start: usize,
    room: usize,
    random: &mut Random,
) -> [(u16, usize); N] {
    let mut order = sizes;
    random.shuffle(&mut order);
    let mut left = room - sizes.iter().map(|(_, size)| size).sum::<usize>();
    let mut next = start;
    order.map(|(id, size)| {
        let at = next;
        let gap = (random.below(left as u32 / 8 + 1) as usize * 2) & !3;
        left -= gap.min(left);
        next += size + gap;
        (id, at)
    })
}

fn standard(node: &Node, space: &mut Space, random: &mut Random) {
    let bridge = matches!(node.role, Role::Port(_));
    let subsystem_or_af = if bridge { 0x0d } else { 0x13 };
    let sizes = [
        (0x01, 8),
        (0x05, 24),
        (0x11, 12),
        (0x10, 60),
        (0x03, 8),
        (0x09, 16),
        (subsystem_or_af, 8),
        (0x14, 8),
    ];
    let mut placed = place(sizes, 0x40, 0xc0, random);
    random.shuffle(&mut placed);
    space[0x34] = placed[0].1 as u8;
    for (index, (id, at)) in placed.into_iter().enumerate() {
        space[at] = id as u8;
        space[at + 1] = placed.get(index + 1).map_or(0, |(_, next)| *next as u8);
        match id {
            0x01 => put16(space, at + 2, 0xc803),
            0x05 => put16(space, at + 2, 0x0180),
            0x11 => put16(space, at + 2, 0x803f),
            0x09 => space[at + 2] = 16,
            0x0d => put32(space, at + 4, 0x0000_1af4),
            0x13 => space[at + 2..at + 4].copy_from_slice(&[6, 3]),
            0x10 => pcie(node, space, at, random),
            _ => {}
        }
    }
}

fn pcie(node: &Node, space: &mut Space, at: usize, random: &mut Random) {
    let (port_type, number, ari) = match node.role {
        Role::Port(port) => (port.port_type, port.number, port.ari),
        _ => (port_type::ENDPOINT, 0, false),
    };
    let slot = port_type == port_type::ROOT_PORT || port_type == port_type::DOWNSTREAM;
    put16(space, at + 2, 2 | u16::from(port_type) << 4 | if slot { 0x100 } else { 0 });
    put32(space, at + 0x04, 0x0000_8022);
    put32(space, at + 0x0c, u32::from(number) << 24 | 0x0047_7d04);
    put16(space, at + 0x12, 0x7044);
    if slot {
        put32(space, at + 0x14, if random.percent(20) { 0x60 } else { 0 });
        put32(space, at + 0x24, 0x0000_0020);
        put32(space, at + 0x28, if ari { 0x20 } else { 0 });
    }
}

fn extended(node: &Node, space: &mut Space, random: &mut Random) {
    let port = matches!(node.role, Role::Port(_));
    // Structures that nobody decodes, for what a function does not have.
    let (acs, ari) = (random.percent(85), !port);
    let sizes = [
        (0x0001, 0x48),
        (0x0003, 12),
        (if acs { 0x000d } else { 0x000b }, 0x10),
        (if ari { 0x000e } else { 0x001e }, 16),
        (if port { 0x0019 } else { 0x000f }, 0x1c),
        (if matches!(node.role, Role::Physical { .. }) { 0x0010 } else { 0x0023 }, 0x40),
        (if port { 0x001f } else { 0x0013 }, 16),
        (if port { 0x0025 } else { 0x001b }, 12),
    ];
    let placed = place(sizes, 0x100, 0x400, random);
    // The first stands at 100h, as it must; the others are linked in any order.
    let mut linked = placed;
    random.shuffle(&mut linked[1..]);
    for (index, (id, at)) in linked.into_iter().enumerate() {
        let next = linked.get(index + 1).map_or(0, |(_, next)| *next as u32);
        put32(space, at, u32::from(id) | 1 << 16 | next << 20);
        match (id, node.role) {
            (0x000d, _) => put32(space, at + 4, services(node, random)),
            (0x000e, _) if !matches!(node.role, Role::Virtual) => {
                space[at + 5] = node.address.bdf.devfn().wrapping_add(1);
            }
            (0x000f, _) => put32(space, at + 4, 0x0000_0020),
            (0x0010, Role::Physical { first, stride, count }) => {
                put16(space, at + 8, 0x0019);
                put16(space, at + 0x0c, count);
                put16(space, at + 0x0e, count);
                put16(space, at + 0x10, count);
                put16(space, at + 0x14, first);
                put16(space, at + 0x16, stride);
                put16(space, at + 0x1a, 0x101e);
                put32(space, at + 0x1c, 0x553);
                put32(space, at + 0x20, 1);
            }
            (0x000b, _) => put32(space, at + 4, 0x0100_0001),
            _ => {}
        }
    }
}

/// ACS Capability and Control.
fn services(node: &Node, random: &mut Random) -> u32 {
    let offered: u32 = match node.role {
        Role::Port(port) if port.port_type != port_type::UPSTREAM => 0x5f,
        _ => 0x4c,
    };
    // What the kernel turns on; one in twenty is left off.
    let enabled = if random.percent(95) { offered & 0x1d } else { 0 };
    offered | enabled << 16
}

/// 48 standard and 960 extended capabilities: one in each double word.
fn crowd(space: &mut Space) {
    let types = space[0x42..0x44].to_vec();
    space[0x34] = 0x40;
    for at in (0x40..0x100).step_by(4) {
        space[at] = if at == 0x40 { 0x10 } else { 0x09 };
        space[at + 1] = if at == 0xfc { 0 } else { at as u8 + 4 };
    }
    space[0x42..0x44].copy_from_slice(&types);
    space[0x42] = 2;
    for at in (0x100..0x1000).step_by(4) {
        let next = if at == 0xffc { 0 } else { at as u32 + 4 };
        let id = match at {
            0x100 => 0x000e,
            0xf00 => 0x000d,
            _ => 0x000b,
        };
        put32(space, at, id | 1 << 16 | next << 20);
    }
}

/// Leads the last structure of both lists back to the first.
fn tie(space: &mut Space) {
    let first = space[0x34];
    let mut at = usize::from(first);
    while space[at + 1] != 0 {
        at = usize::from(space[at + 1]);
    }
    space[at + 1] = first;
    let mut at = 0x100;
    loop {
        let header = u32::from_le_bytes([space[at], space[at + 1], space[at + 2], space[at + 3]]);
        match header >> 20 {
            0 => return put32(space, at, header | 0x100 << 20),
            next => at = next as usize,
        }
    }
}
