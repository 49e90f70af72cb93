//! The quick walkers of the capability lists find what the careful ones find: on generated functions, whole,
//! cut and damaged, and on bytes that are no functions at all.

use acsscan::addr::{Bdf, Sbdf, Segment};
use acsscan::testkit::decode::agrees;
use acsscan::testkit::generate::{self, Random, Set, Size};

const SEED: u64 = 5;

fn at(random: &mut Random) -> Sbdf {
    Sbdf { segment: Segment(0), bdf: Bdf::from_bits(random.below(0x1_0000) as u16) }
}

/// Generated functions, some of every set.
fn functions() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut space = [0; 4096];
    for set in Set::ALL.into_iter().chain([Set::Regular]) {
        let nodes = generate::machine(set, Size::S, SEED);
        found.extend(nodes.iter().step_by(17).map(|node| node.bytes(SEED, &mut space).to_vec()));
    }
    found
}

#[test]
fn functions_decode_alike_wherever_the_capture_ends() {
    let mut random = Random::new(SEED, 0);
    for bytes in functions() {
        let address = at(&mut random);
        agrees(address, &bytes);
        for _ in 0..8 {
            let length = random.below(bytes.len() as u32 + 1) as usize;
            agrees(address, &bytes[..length]);
        }
        let beyond = [bytes.as_slice(), &[0xff; 7]].concat();
        agrees(address, &beyond);
    }
}

#[test]
fn damaged_functions_decode_alike() {
    let mut random = Random::new(SEED, 1);
    for bytes in functions() {
        for _ in 0..40 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + random.below(6) {
                damage(&mut bytes, &mut random);
            }
            agrees(at(&mut random), &bytes);
        }
    }
}

/// Mostly where the lists are: the header, a pointer, an ID.
fn damage(bytes: &mut [u8], random: &mut Random) {
    let length = bytes.len() as u32;
    let value = match random.below(4) {
        0 => 0xff,
        1 => 0,
        2 => [0x0d, 0x0e, 0x0f, 0x10, 0x12, 0x40, 0x41, 0xfc][random.below(8) as usize],
        _ => random.below(256) as u8,
    };
    let linked: Vec<usize> = (0x34..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let place = match random.below(4) {
        0 => random.below(0x40.min(length)) as usize,
        1 => random.below(length) as usize,
        _ if linked.is_empty() => 0,
        _ => linked[random.below(linked.len() as u32) as usize],
    };
    match random.below(12) {
        0 => {
            let end = bytes.len().min(place + 4);
            bytes[place..end].fill(value);
        }
        // The first 256 bytes again, from 100h on.
        1 if bytes.len() == 4096 => {
            let (first, rest) = bytes.split_at_mut(256);
            rest.chunks_mut(256).for_each(|page| page.copy_from_slice(first));
        }
        _ => bytes[place] = value,
    }
}

#[test]
fn any_bytes_decode_alike() {
    let mut random = Random::new(SEED, 2);
    for round in 0..20_000 {
        let mut bytes = vec![0; 4096];
        bytes.iter_mut().for_each(|byte| *byte = random.below(256) as u8);
        // Else few would have a list, or one that leads anywhere.
        bytes[6] |= 0x10;
        if round % 2 == 0 {
            bytes[0x0e] = random.below(4) as u8;
            let steps = 1 + random.below(80) as usize;
            link(&mut bytes, steps, &mut random);
        }
        agrees(at(&mut random), &bytes);
    }
}

/// Two lists of as many structures as there is room for, at random places.
fn link(bytes: &mut [u8], steps: usize, random: &mut Random) {
    let mut from = 0x34;
    for _ in 0..steps {
        let to = 0x40 + random.below(48) as u8 * 4;
        bytes[from] = to;
        bytes[usize::from(to)] = [0x10, 0x0d, 0x05, 0x01][random.below(4) as usize];
        from = usize::from(to) + 1;
    }
    bytes[from] &= random.below(2) as u8 * 0xff;
    let mut at = 0x100;
    for step in 0..steps {
        let next = if step + 1 == steps { 0 } else { 0x100 + random.below(960) * 4 };
        let header = (0x0b + random.below(9)) | 1 << 16 | next << 20;
        bytes[at..at + 4].copy_from_slice(&header.to_le_bytes());
        at = (next as usize).max(0x100);
    }
}
