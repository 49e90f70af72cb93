//! Large regular files in parts: each is read by a thread of its own, and the parts are put together in
//! their order, as if one thread had read them all. Whoever reads says where parts may begin, and goes on
//! alone wherever they do not fit.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle, available_parallelism};
use std::vec::Vec;

use super::{Delivery, Problem};
use crate::addr::Segment;
use crate::function::{Inventory, Sink};

/// Bytes of a part that are worth a thread, and its memory.
const WORTH: u64 = 16 << 20;
/// Bytes of a part, where somebody asks for parts.
const LEAST: u64 = 2 << 20;
/// Most parts: what each has is in memory twice for a moment.
const MOST: u64 = 4;

/// How many parts so many bytes are worth: 1 is none.
/// `threads` are as many as there may be; 0 as many as there are processors.
pub(super) fn count(bytes: u64, threads: u8) -> u64 {
    let worth = if threads == 0 { bytes / WORTH } else { bytes / LEAST };
    let worth = worth.clamp(1, MOST);
    match (worth, threads) {
        (1, _) | (_, 1) => 1,
        (_, 0) => available_parallelism().map_or(1, |processors| worth.min(processors.get() as u64)),
        (_, threads) => worth.min(u64::from(threads)),
    }
}

/// Where the second and later parts of these bytes might begin, so that they are alike in size.
pub(super) fn cuts(bytes: Range<u64>, threads: u8) -> impl Iterator<Item = u64> {
    let size = bytes.end.saturating_sub(bytes.start);
    let count = count(size, threads);
    let each = size.checked_div(count).unwrap_or(size);
    (1..count).map(move |number| bytes.start.saturating_add(each.saturating_mul(number)))
}

/// What a part holds.
pub(super) struct Part {
    inventory: Inventory,
    segments: BTreeSet<Segment>,
    records: usize,
    problems: Vec<Problem>,
    problems_left_out: usize,
}

type Running<'scope, T> = ScopedJoinHandle<'scope, Option<(T, Part)>>;

/// Parts that are being read. Those that nobody takes are told to stop.
pub(super) struct Parts<'scope, T> {
    running: VecDeque<(u64, Running<'scope, T>)>,
    stop: Arc<AtomicBool>,
}

impl<'scope, T: Send + 'scope> Parts<'scope, T> {
    /// Begins to read the parts between these offsets, the last of which is the end: `read` delivers what is in
    /// one, until it is told to stop, and says what is to be known of it. Where there can be no thread, or the
    /// sink takes no parts, there are none.
    pub(super) fn start<K: Sink, F>(
        scope: &'scope Scope<'scope, '_>,
        delivery: &Delivery<'_, K>,
        offsets: &[u64],
        read: F,
    ) -> Self
    where
        F: Fn(Range<u64>, &mut Delivery<'_, Inventory>, &AtomicBool) -> io::Result<T> + Clone + Send + 'scope,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = VecDeque::new();
        for (start, end) in offsets.iter().zip(offsets.iter().skip(1)) {
            let Some(mut inventory) = delivery.sink.part() else { break };
            let (limits, unchecked, stop) = (delivery.limits.clone(), delivery.unchecked, Arc::clone(&stop));
            let (range, read) = (*start..*end, read.clone());
            let thread = move || {
                let mut delivery = Delivery { limits, unchecked, ..Delivery::new(&mut inventory) };
                let known = read(range, &mut delivery, &stop);
                // What one part alone has too much of, and what cannot be read, is told in its place.
                let whole = known.ok().filter(|_| !delivery.is_beyond_limits());
                let Delivery { segments, records, problems, problems_left_out, .. } = delivery;
                whole.map(|known| (known, Part { inventory, segments, records, problems, problems_left_out }))
            };
            let Ok(thread) = Builder::new().spawn_scoped(scope, thread) else { break };
            running.push_back((*start, thread));
        }
        Self { running, stop }
    }

    /// The next part, if it begins here, and what is known of it.
    pub(super) fn next(&mut self, here: u64) -> Option<(T, Part)> {
        let (_, thread) = self.running.pop_front().filter(|(start, _)| *start == here)?;
        thread.join().ok()?
    }
}

impl<T> Drop for Parts<'_, T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl<K: Sink> Delivery<'_, K> {
    /// Takes a part as if it had been delivered one by one; whether it did: not beyond a limit, and not
    /// what the sink does not take.
    pub(super) fn take(&mut self, part: Part) -> bool {
        let Part { inventory, segments, records, problems, problems_left_out } = part;
        let records = self.records.saturating_add(records);
        let new = segments.difference(&self.segments).count();
        let all = self.segments.len().saturating_add(new);
        if records as u64 > self.limits.functions || all as u64 > self.limits.segments {
            return false;
        }
        if !self.sink.take(inventory) {
            return false;
        }
        self.records = records;
        self.segments.extend(segments);
        self.segment = None;
        self.keep(problems, problems_left_out);
        true
    }
}
