//! Legal machines, made from choices: the two engines agree, and bytes that are taken away turn no answer
//! round.
//!
//! Input: which function is cut and where, then numbers of two bytes that choose.

use std::vec::Vec;

use super::{judge, take};
use crate::db::Database;
use crate::route::Assumptions;
use crate::testkit::engines;
use crate::testkit::fabric::{Choices, Shape, machine};

/// Functions up to which all pairs are looked at.
const PAIRS: usize = 20;

pub(super) fn run(mut bytes: &[u8]) {
    let [which, cut, cut_high, flags] = take(&mut bytes);
    let numbers: Vec<u32> = bytes.chunks(2).map(|pair| u32::from(u16::from_le_bytes(word(pair)))).collect();
    let shape = Shape { damaged: flags & 1 != 0, buses: 8, ..Shape::default() };
    let mut machine = machine(&mut Choices::new(&numbers), shape);
    let before = machine.topology();
    judge::judge(&before, &Database::default(), "topology");
    let functions = machine.functions_mut();
    let at = usize::from(which) % functions.len();
    let length = usize::from(u16::from_le_bytes([cut, cut_high]) % 0x200);
    functions[at].1 = functions[at].1.clone().captured(length);
    let after = machine.topology();
    judge::judge(&after, &Database::default(), "topology");
    if flags & 1 == 0 && before.functions().len() <= PAIRS {
        for hostile in [true, false] {
            let assumptions = Assumptions { hostile, ..Assumptions::default() };
            if let Some(turned) = engines::turned_round(&before, &after, &assumptions) {
                panic!("{turned}, when {:?} was cut to {length} bytes", before.functions()[at]);
            }
        }
    }
}

fn word(pair: &[u8]) -> [u8; 2] {
    [pair[0], pair.get(1).copied().unwrap_or(0)]
}
