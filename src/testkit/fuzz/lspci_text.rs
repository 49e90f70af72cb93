//! lspci's text, with whatever else may be in such a file.
//!
//! Input: the text itself.

use std::io::{self, Read};

use super::judge;
use crate::db;
use crate::dump::{self, Options};
use crate::function::Inventory;
use crate::testkit::lazy;
use crate::topology::Topology;

/// Gives few bytes at a time, as a slow pipe would.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let few = buffer.len().min(7);
        self.0.read(&mut buffer[..few])
    }
}

pub(super) fn run(bytes: &[u8]) {
    let read = |input: &mut dyn Read| {
        let mut inventory = Inventory::with_detail();
        let result = dump::read_stream(input, "dump", &Options::default(), &mut inventory);
        (result.map_err(|error| std::format!("{error}")), inventory.finish())
    };
    let (result, inventory) = read(&mut &*bytes);
    let (slow_result, slow_inventory) = read(&mut Trickle(bytes));
    assert_eq!(result, slow_result);
    assert_eq!(inventory.functions(), slow_inventory.functions());
    lazy::agrees(bytes);
    match result {
        Ok(info) => {
            assert!(info.records >= inventory.functions().len());
            for problem in &info.problems {
                assert_eq!(judge::harmless(&problem.text), None, "{problem}");
            }
            let database = db::builtin().expect("good");
            judge::judge(&Topology::new(inventory), &database, info.kind.word());
        }
        Err(text) => assert_eq!(judge::harmless(&text), None, "{text}"),
    }
}
