//! What a worker thread holds: a buffer of its own, and the way to the writer.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::writer::{Chunk, Queue};
use super::{AccessRecord, Event};

/// A buffer that holds so much goes to the writer: some eighty lines. To wake the writer costs more than a line does.
const FLUSH_BYTES: usize = 64 << 10;

/// One worker's recorder. Not shared between threads: each has its own ([`RecordLog::recorder`](super::RecordLog::recorder)).
///
/// Lines wait in it until there are 64 KiB, or until [`flush`](Self::flush), which the worker's tick calls four times a
/// second. Dropping it flushes it.
#[derive(Debug)]
pub struct Recorder {
    /// `None` where nothing is recorded.
    queue: Option<Arc<Queue>>,
    buffer: RefCell<Vec<u8>>,
    lines: Cell<u64>,
    share: Share,
}

impl Recorder {
    pub(super) fn new(queue: Option<Arc<Queue>>, share: Share) -> Self {
        Self { queue, buffer: RefCell::default(), lines: Cell::new(0), share }
    }

    /// One that keeps nothing.
    pub fn none() -> Self {
        Self::new(None, Share::ALL)
    }

    /// Whether anything is kept.
    pub fn records(&self) -> bool {
        self.queue.is_some()
    }

    /// Records a request: always where it was refused, would have been with every shadow rule enforced, or went wrong;
    /// else where the share takes it. Never waits.
    pub fn record(&self, record: &AccessRecord<'_>) {
        if self.queue.is_none() {
            return;
        }
        let sampled = record.ruling.admits() && record.outcome == super::Outcome::Good;
        if sampled && !self.share.takes(record.request_id.as_bytes()) {
            return;
        }
        let share = (sampled && self.share != Share::ALL).then_some(self.share.fraction());
        self.add(|out| record.write_line(share, out));
    }

    /// Records an event, whatever the share.
    pub fn event(&self, event: &Event<'_>) {
        if self.queue.is_some() {
            self.add(|out| event.write_json(out));
        }
    }

    fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let full = {
            let mut buffer = self.buffer.borrow_mut();
            if buffer.capacity() == 0 {
                *buffer = self.queue.as_ref().and_then(|queue| queue.spare()).unwrap_or_default();
                // A line more than is flushed at: growing would copy.
                buffer.reserve(FLUSH_BYTES + FLUSH_BYTES / 4);
            }
            write(&mut buffer);
            buffer.len() >= FLUSH_BYTES
        };
        self.lines.set(self.lines.get() + 1);
        if full {
            self.flush();
        }
    }

    /// Hands what there is to the writer. Where the queue is full the lines are lost and counted.
    pub fn flush(&self) {
        let bytes = self.buffer.take();
        let lines = self.lines.take();
        if let Some(queue) = self.queue.as_deref().filter(|_| lines > 0) {
            queue.push(Chunk { bytes, lines });
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The share of admitted, well answered requests that is recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    fraction: f64,
    /// The same of 2^32, so that taking is a comparison of whole numbers.
    of: u64,
}

const WHOLE: u64 = 1 << 32;

impl Share {
    /// All of them.
    pub const ALL: Self = Self { fraction: 1.0, of: WHOLE };

    /// `None` outside 0 to 1.
    pub fn new(fraction: f64) -> Option<Self> {
        #[expect(clippy::cast_sign_loss, reason = "it is between 0 and 1")]
        (0.0..=1.0).contains(&fraction).then_some(Self { fraction, of: (fraction * WHOLE as f64) as u64 })
    }

    /// From 0 to 1.
    pub fn fraction(self) -> f64 {
        self.fraction
    }

    /// Whether the request of that id is among them: always the same answer for the same id.
    pub fn takes(self, request_id: &[u8]) -> bool {
        // FNV-1a (RFC 9923) with a finisher: ids are random or counted by us, so that nobody can aim at a share.
        let hash = request_id.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        let mixed = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed >> 32 < self.of
    }
}
