//! Records in the order of their decisions, out of lines in the order of their ends.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::record::{Place, Record};
use crate::base::time::Timestamp;

/// A line is put into its place among those of so long (design 7): no request takes as long.
pub const WINDOW: Duration = Duration::from_secs(120);

/// At most so many records are held, however many requests a second there were.
pub const HELD_MAX: usize = 1 << 19;

type Key = (Timestamp, u64, Place);

fn key(record: &Record) -> Key {
    (record.time, record.seq, record.place)
}

/// The records of the last two minutes.
#[derive(Default)]
pub(super) struct Order {
    /// Those that came in order: nearly all, at no cost.
    run: VecDeque<Box<Record>>,
    /// The others.
    late: BinaryHeap<Late>,
    last: Option<Key>,
    /// How many came so late that others were decided before them.
    pub(super) too_late: u64,
}

struct Late(Box<Record>);

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Late {}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest: that is what a heap gives first.
impl Ord for Late {
    fn cmp(&self, other: &Self) -> Ordering {
        key(&other.0).cmp(&key(&self.0))
    }
}

impl Order {
    pub(super) fn push(&mut self, record: Box<Record>) {
        if self.run.back().is_none_or(|last| key(last) <= key(&record)) {
            self.run.push_back(record);
        } else {
            self.late.push(Late(record));
        }
    }

    /// The earliest record, once no earlier one can come: all inputs have been read up to `reached`. `None` is their end.
    pub(super) fn pop(&mut self, reached: Option<Timestamp>, window: Duration) -> Option<Box<Record>> {
        let late_first = match (self.run.front(), self.late.peek()) {
            (Some(run), Some(late)) => key(&late.0) < key(run),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let earliest = if late_first { &self.late.peek()?.0 } else { self.run.front()? };
        let full = self.run.len() + self.late.len() > HELD_MAX;
        if !full && reached.is_some_and(|reached| reached.since(earliest.time) <= window) {
            return None;
        }
        let record = if late_first { self.late.pop()?.0 } else { self.run.pop_front()? };
        let key = key(&record);
        if self.last.is_some_and(|last| key < last) {
            self.too_late += 1;
        } else {
            self.last = Some(key);
        }
        Some(record)
    }
}
