//! The bytes of a dump's functions.

use acsscan::addr::Sbdf;
use acsscan::config::Source;
use acsscan::function::{HostBridge, Record, Sink};

/// Keeps the bytes of each function.
#[derive(Default)]
pub(crate) struct Bytes(pub(crate) Vec<(Sbdf, Vec<u8>)>);

impl Sink for Bytes {
    fn record<S: Source>(&mut self, record: Record<'_, S>) {
        let bytes = (0..record.config.extent()).map(|at| record.config.u8(at).expect("no holes"));
        self.0.push((record.address, bytes.collect()));
    }

    fn host_bridge(&mut self, _: HostBridge) {}
}
