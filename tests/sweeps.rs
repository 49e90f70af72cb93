//! Every function of the corpus, cut at every length, and some with every byte turned over.
#![cfg(all(feature = "archive", feature = "cli", feature = "testkit"))]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use acsscan::addr::Sbdf;
use acsscan::config::{ConfigSpace, Source};
use acsscan::dump::{self, Input, Options};
use acsscan::function::{HostBridge, Record, Sink, decode};
use acsscan::testkit::fuzz::{run, takes_away, walks};
use support::subdirectories;

/// The bytes of each function, each once, up to the first that is missing.
#[derive(Default)]
struct Bytes(BTreeSet<Vec<u8>>);

impl Sink for Bytes {
    fn record<S: Source>(&mut self, record: Record<'_, S>) {
        self.0.insert((0..record.config.extent()).map_while(|at| record.config.u8(at)).collect());
    }

    fn host_bridge(&mut self, _: HostBridge) {}
}

fn functions() -> Vec<Vec<u8>> {
    let mut bytes = Bytes::default();
    for case in subdirectories(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")) {
        for name in ["dump.txt", "configs", "sys"] {
            // Some are there to be refused.
            let _ = dump::read(&Input::Path(case.join(name)), &Options::default(), &mut bytes);
        }
    }
    bytes.0.into_iter().collect()
}

#[test]
fn every_function_of_the_corpus_may_be_cut_anywhere() {
    let (functions, mut cuts) = (functions(), 0);
    for bytes in &functions {
        let whole = decode(Sbdf::default(), &ConfigSpace::new(bytes.as_slice()));
        for length in 0..bytes.len() {
            takes_away(&whole, &decode(Sbdf::default(), &ConfigSpace::new(&bytes[..length])));
            cuts += 1;
        }
    }
    println!("{} functions, {cuts} cuts", functions.len());
    assert!(functions.len() > 80 && cuts > 200_000, "{} functions, {cuts} cuts", functions.len());
}

#[test]
fn any_byte_of_a_function_may_be_any_other() {
    let functions = functions();
    let long: Vec<&Vec<u8>> = functions.iter().filter(|bytes| bytes.len() == 4096).collect();
    let mut turned = 0;
    for bytes in long.iter().step_by(long.len() / 6) {
        for at in 0..bytes.len() {
            for mask in [0xff, 0x01, 0x80, 0x10] {
                let mut bytes = bytes.to_vec();
                bytes[at] ^= mask;
                let config = &ConfigSpace::new(bytes.as_slice());
                walks(config);
                let whole = decode(Sbdf::default(), config);
                // Somewhere in the middle, another place each time.
                let length = at * 7 % 4096;
                takes_away(&whole, &decode(Sbdf::default(), &ConfigSpace::new(&bytes[..length])));
                turned += 1;
            }
        }
        // Everything, up to what is written, for the bytes that carry the most.
        for at in (0..64).chain(0x100..0x120) {
            let mut input = vec![0xff, 0xff];
            input.extend_from_slice(bytes);
            input[2 + at] ^= 0xff;
            run("config_space", &input);
        }
    }
    assert!(turned >= 6 * 4 * 4096, "{turned}");
}
