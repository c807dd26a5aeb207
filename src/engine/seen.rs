//! Which different ones were seen: the windows of a distinct quota.
//!
//! Exact up to the limit, which bounds what is remembered: once it is reached nothing new is admitted, so nothing more is
//! added.

use std::time::Duration;

use super::record::{Left, Windows};
use crate::base::prefetch::prefetch_at;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::counter::{DISTINCT_MAX, WINDOWS_PER_COUNTER_MAX, WindowLimit};

/// The windows of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen([SeenWindow; WINDOWS_PER_COUNTER_MAX]);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct SeenWindow {
    /// Milliseconds since 1970.
    ends: u64,
    refunded: u32,
    /// Each different one, and how many requests were charged for it: it goes when the last of them is taken back.
    ones: Vec<(Subject, u32)>,
}

impl Seen {
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.0.iter().all(|window| window.ends <= now)
    }

    /// Asks for the memory of who was seen.
    pub(super) fn prefetch(&self) {
        for window in &self.0 {
            prefetch_at(&window.ones, 0);
        }
    }

    /// Where the windows end.
    pub(super) fn ends(&self) -> Windows<u64> {
        self.0.each_ref().map(|window| window.ends)
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|window| window.ones.len()).sum()
    }

    /// Whether `one` is admitted: it was seen before, or there is room for another.
    pub(super) fn left(&self, limits: &[WindowLimit], one: Subject, now: Timestamp) -> Left {
        let millis = now.as_millis();
        let mut left = Left::Some;
        let mut longest = Duration::ZERO;
        for ((place, window), limit) in (0u8..).zip(&self.0).zip(limits) {
            let open = window.ends > millis;
            let count = if open { window.ones.len() as u32 } else { 0 };
            if count < limit.max || open && limit.max > 0 && window.ones.iter().any(|(seen, _)| *seen == one)
            {
                continue;
            }
            let ends = if open { Timestamp::from_millis(window.ends) } else { now + limit.length };
            let wait = ends.since(now);
            if wait >= longest {
                longest = wait;
                left = Left::None { window: place, wait };
            }
        }
        left
    }

    pub(super) fn charge(&mut self, limits: &[WindowLimit], one: Subject, now: Timestamp) {
        let millis = now.as_millis();
        for (window, limit) in self.0.iter_mut().zip(limits) {
            if window.ends <= millis {
                window.ones.clear();
                window.refunded = 0;
                window.ends = millis + limit.length.as_millis() as u64;
            }
            match window.ones.iter_mut().find(|(seen, _)| *seen == one) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => window.ones.push((one, 1)),
            }
        }
    }

    /// Takes one charge for `one` back, in the windows that `ends` names.
    pub(super) fn refund(&mut self, limits: &[WindowLimit], one: Subject, ends: &Windows<u64>) -> bool {
        let mut any = false;
        for ((window, limit), ends) in self.0.iter_mut().zip(limits).zip(ends) {
            let place = window.ones.iter().position(|(seen, _)| *seen == one);
            let Some(place) = place.filter(|_| window.ends == *ends && window.refunded < limit.max) else {
                continue;
            };
            window.ones[place].1 -= 1;
            if window.ones[place].1 == 0 {
                window.ones.swap_remove(place);
                window.refunded += 1;
            }
            any = true;
        }
        any
    }

    /// Takes one charge for `one` back as if it had never been, in the windows that `ends` names.
    pub(super) fn undo(&mut self, one: Subject, ends: &Windows<u64>) {
        for (window, ends) in self.0.iter_mut().zip(ends) {
            let place = window.ones.iter().position(|(seen, _)| *seen == one);
            if let Some(place) = place.filter(|_| window.ends == *ends) {
                window.ones[place].1 -= 1;
                if window.ones[place].1 == 0 {
                    window.ones.swap_remove(place);
                }
            }
        }
    }

    /// How many each window remembers, and until when.
    pub(super) fn used(&self, now: Timestamp) -> Windows<(u32, Option<Duration>)> {
        self.0.each_ref().map(|window| {
            let left = Timestamp::from_millis(window.ends).since(now);
            if left.is_zero() { (0, None) } else { (window.ones.len() as u32, Some(left)) }
        })
    }

    /// How many the fullest open window remembers.
    pub(super) fn most(&self, now: u64) -> usize {
        self.0.iter().filter(|window| window.ends > now).map(|window| window.ones.len()).max().unwrap_or(0)
    }

    /// Takes in what another saw as so many that nobody can name: each of those who are blurred in one record must have
    /// seen at most so many, and none may have what others saw for seen before.
    pub(super) fn absorb_most(&mut self, other: &Self, now: u64) {
        for (window, other) in self.0.iter_mut().zip(&other.0) {
            if window.ends <= now {
                *window = SeenWindow::default();
            }
            let most = if other.ends > now {
                window.ends = window.ends.max(other.ends);
                window.refunded = window.refunded.max(other.refunded);
                window.ones.len().max(other.ones.len())
            } else {
                window.ones.len()
            };
            // No request brings a subject without a tag.
            window.ones = (0..most as u64).map(|n| (Subject::from_halves(0, n), 1)).collect();
        }
    }

    /// Forgets all but so many in each window.
    pub(super) fn keep_at_most(&mut self, most: usize) {
        for window in &mut self.0 {
            window.ones.truncate(most);
        }
    }

    /// Takes in what another saw; the later end holds.
    pub(super) fn absorb(&mut self, other: &Self, now: u64) {
        for (window, other) in self.0.iter_mut().zip(&other.0) {
            if other.ends <= now {
                continue;
            }
            if window.ends <= now {
                *window = other.clone();
                continue;
            }
            window.ends = window.ends.max(other.ends);
            window.refunded = window.refunded.saturating_add(other.refunded);
            for (one, count) in &other.ones {
                let has_room = window.ones.len() < DISTINCT_MAX as usize;
                match window.ones.iter_mut().find(|(seen, _)| seen == one) {
                    Some((_, before)) => *before = before.saturating_add(*count),
                    None if has_room => window.ones.push((*one, *count)),
                    None => {}
                }
            }
        }
    }
}
