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

/// A record that has so many before it, or fewer, that should come after it is put into its place among them: requests under
/// way beside each other end in any order.
const NEAR: usize = 256;

/// The records of the last two minutes.
#[derive(Default)]
pub(super) struct Order {
    /// Those that came in order or nearly so: mostly all. Each with its key, so that whose turn it is can be told without
    /// looking at records that were read long ago.
    run: VecDeque<(Key, Box<Record>)>,
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
        let this = key(&record);
        if self.run.back().is_none_or(|(last, _)| *last <= this) {
            self.run.push_back((this, record));
            return;
        }
        // Between what comes before it and what comes after it.
        let (mut before, mut after) = (self.run.len().saturating_sub(NEAR), self.run.len() - 1);
        if self.run[before].0 > this {
            self.late.push(Late(record));
            return;
        }
        while after - before > 1 {
            let middle = usize::midpoint(before, after);
            if self.run[middle].0 <= this { before = middle } else { after = middle }
        }
        self.run.insert(after, (this, record));
    }

    /// The earliest record, once no earlier one can come: all inputs have been read up to `reached`. `None` is their end.
    pub(super) fn pop(&mut self, reached: Option<Timestamp>, window: Duration) -> Option<Box<Record>> {
        let late_first = match (self.run.front(), self.late.peek()) {
            (Some((run, _)), Some(late)) => key(&late.0) < *run,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let earliest = if late_first { key(&self.late.peek()?.0) } else { self.run.front()?.0 };
        let full = self.run.len() + self.late.len() > HELD_MAX;
        if !full && reached.is_some_and(|reached| reached.since(earliest.0) <= window) {
            return None;
        }
        let record = if late_first { self.late.pop()?.0 } else { self.run.pop_front()?.1 };
        if self.last.is_some_and(|last| earliest < last) {
            self.too_late += 1;
        } else {
            self.last = Some(earliest);
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_in_goes_out_in_order(
            times in proptest::collection::vec((0u64..900, 0u64..3), 1..700), window_ms in 0u64..900,
        ) {
            let mut order = Order::default();
            let window = Duration::from_millis(window_ms);
            let (mut reached, mut out) = (Timestamp::EPOCH, Vec::new());
            let mut expected = Vec::new();
            for (line, (late, seq)) in times.into_iter().enumerate() {
                // Each stands at most 900 ms from its place.
                let time = Timestamp::from_millis(line as u64 + 900 - late);
                let place = Place { file: 0, line: line as u64 };
                expected.push((time, seq, place));
                let mut record = Box::<Record>::default();
                (record.time, record.seq, record.place) = (time, seq, place);
                order.push(record);
                reached = reached.max(time);
                while let Some(record) = order.pop(Some(reached), window) {
                    out.push(key(&record));
                }
            }
            while let Some(record) = order.pop(None, window) {
                out.push(key(&record));
            }
            let late = order.too_late;
            prop_assert_eq!(late == 0, out.is_sorted());
            expected.sort();
            if late == 0 {
                prop_assert_eq!(out, expected);
            } else {
                prop_assert!(window_ms < 899);
                out.sort();
                prop_assert_eq!(out, expected, "none is lost");
            }
        }
    }
}
