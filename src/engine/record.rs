//! One counted thing: the windows of a quota, the cell of a rate, or the work in flight.
//!
//! 64 bytes with its key. A record knows when it ends, so it can be freed without its rule; one whose windows have ended
//! says the same as none at all.

use std::time::Duration;

use super::seen::Seen;
use crate::base::rate::Rate;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::counter::{Counter, Limit, WINDOWS_PER_COUNTER_MAX, WindowLimit};

/// What a record is kept under: its rule's family and what is counted.
///
/// The two lowest bits of the family say whether strangers can make such records at will, and whether this one holds
/// the sum of others that were folded into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordKey {
    family: u64,
    high: u64,
    low: u64,
}

const STRANGERS: u64 = 1;
const FOLD: u64 = 2;

/// The [width](Subject::width) of a bucket.
const BUCKET: u8 = 3;

impl RecordKey {
    pub(super) fn new(counter: &Counter, subject: Subject) -> Self {
        let (high, low) = subject.halves();
        let strangers = if counter.scopes.grows_by_strangers() { STRANGERS } else { 0 };
        Self { family: counter.family.0 & !(STRANGERS | FOLD) | strangers, high, low }
    }

    /// The family with its two lowest bits, and the subject's halves.
    #[inline]
    pub(super) const fn parts(self) -> (u64, (u64, u64)) {
        (self.family, (self.high, self.low))
    }

    /// What the records of a counter share, whatever they count.
    pub(super) fn family_of(counter: &Counter) -> u64 {
        counter.family.0 & !(STRANGERS | FOLD)
    }

    /// The same of this record's counter.
    pub(super) fn family(self) -> u64 {
        self.family & !(STRANGERS | FOLD)
    }

    /// Whether others were blurred in it: then it is nobody's count.
    pub(super) fn is_bucket(self) -> bool {
        self.subject().width() == BUCKET
    }

    fn subject(self) -> Subject {
        Subject::from_halves(self.high, self.low)
    }

    /// Whether strangers can make such records at will: only these are folded.
    pub(super) fn is_strangers(self) -> bool {
        self.family & STRANGERS != 0
    }

    /// Whether it holds the sum of others.
    pub(super) fn is_fold(self) -> bool {
        self.family & FOLD != 0
    }

    /// The record that this one may have been folded into.
    pub(super) fn parent(self) -> Option<Self> {
        let (high, low) = self.subject().parent()?.halves();
        Some(Self { family: self.family | FOLD, high, low })
    }

    /// The same for the same key on every machine and in every run: what is blurred must not hang on a seed.
    pub(super) fn fixed_hash(self) -> u64 {
        // The finisher of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) over each word in turn.
        [self.family, self.high, self.low].into_iter().fold(0, |hash: u64, word| {
            let mut x = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        })
    }

    /// The record and those that it may have been folded into with its neighbours, the nearest first.
    pub(super) fn neighbourhood(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |key| key.parent()).filter(|key| key.subject().width() < BUCKET)
    }

    /// The bucket that this record is blurred in; `None` where it has none, where it is one, or where strangers cannot
    /// make this record.
    pub(super) fn bucket(self) -> Option<Self> {
        if self.subject().width() < BUCKET { self.ancestor(BUCKET) } else { None }
    }

    /// The parent of that [width](Subject::width); `None` where it has none, or where strangers cannot make this record.
    pub(super) fn ancestor(self, width: u8) -> Option<Self> {
        if !self.is_strangers() {
            return None;
        }
        let mut parents = std::iter::successors(self.parent(), |key| key.parent());
        parents.find(|key| key.subject().width() == width)
    }
}

/// One window of a quota: how many were charged until when. Twelve bytes, as there are three in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Window {
    /// Milliseconds since 1970 at which it ends, in 48 bits: until the year 10889.
    ends_low: u32,
    ends_high: u16,
    refunded: u16,
    count: u32,
}

impl Window {
    pub(super) fn ends(self) -> u64 {
        u64::from(self.ends_high) << 32 | u64::from(self.ends_low)
    }

    pub(super) fn set_ends(&mut self, millis: u64) {
        self.ends_low = millis as u32;
        self.ends_high = (millis >> 32) as u16;
    }

    pub(super) fn is_open(self, now: u64) -> bool {
        self.ends() > now
    }

    /// How many were charged in the window that is open now.
    pub(super) fn count(self, now: u64) -> u32 {
        if self.is_open(now) { self.count } else { 0 }
    }

    /// How many were charged, whether or not the window is over.
    pub(super) fn charged(self) -> u32 {
        self.count
    }

    /// Charges one; the first charge opens the window.
    fn charge(&mut self, limit: &WindowLimit, now: u64) {
        if !self.is_open(now) {
            *self = Self::default();
            self.set_ends(now + limit.length.as_millis() as u64);
        }
        self.count = self.count.saturating_add(1);
    }

    /// Gives one back to the window that `ends` names, at most the window's maximum in all: whoever can make a
    /// generator fail must not win unlimited tries by it.
    fn refund(&mut self, limit: &WindowLimit, ends: u64) -> bool {
        let due = self.ends() == ends
            && self.count > 0
            && u32::from(self.refunded) < limit.max.min(u32::from(u16::MAX));
        if due {
            self.count -= 1;
            self.refunded += 1;
        }
        due
    }

    /// Takes a charge back as if it had never been.
    fn undo(&mut self, ends: u64) {
        if self.ends() == ends && self.count > 0 {
            self.count -= 1;
            if self.count == 0 && self.refunded == 0 {
                *self = Self::default();
            }
        }
    }

    /// Takes in a window that is blurred in this one: no less spent than either, and no shorter.
    fn absorb_most(&mut self, other: Self, now: u64) {
        if !self.is_open(now) {
            *self = other;
        } else if other.is_open(now) {
            self.count = self.count.max(other.count);
            self.refunded = self.refunded.max(other.refunded);
            self.set_ends(self.ends().max(other.ends()));
        }
    }

    /// Takes in the count of a window that is folded into this one. The later end holds: ending early would refill.
    fn absorb(&mut self, other: Self, now: u64) {
        if !other.is_open(now) {
            return;
        }
        if !self.is_open(now) {
            *self = other;
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.refunded = self.refunded.saturating_add(other.refunded);
        self.set_ends(self.ends().max(other.ends()));
    }
}

/// One value for each window that a counter may have.
pub(super) type Windows<T> = [T; WINDOWS_PER_COUNTER_MAX];

/// What is counted under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Windows(Windows<Window>),
    /// Boxed: most records are not of this kind, and need not be as large.
    Seen(Box<Seen>),
    Cell(Cell),
    InFlight(u32),
}

/// The cell of a rate: GCRA (ITU-T I.371, annex A). All times in nanoseconds; points in time since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cell {
    /// The theoretical arrival time: what was charged has drained by then.
    arrival: u64,
    /// When it was charged last, and at which interval: a reload may change the rate under it.
    charged: u64,
    interval: u64,
    /// The same as `arrival` for what was given back: refunds are held to the rate themselves.
    refunds: u64,
}

impl Cell {
    /// The arrival time as it would be had `rate` been in force since the last charge: a raised rate helps at once, and
    /// under a lowered one nobody waits longer than a whole burst takes.
    fn arrival(&self, rate: Rate, burst: u32) -> Timestamp {
        let interval = nanos(rate.interval());
        if self.interval == interval || self.interval == 0 {
            return Timestamp::from_nanos(self.arrival);
        }
        let backlog = u128::from(self.arrival.saturating_sub(self.charged));
        let now_worth = backlog * u128::from(interval) / u128::from(self.interval);
        let whole_burst = u128::from(interval) * u128::from(burst);
        let ahead = u64::try_from(now_worth.min(whole_burst)).unwrap_or(u64::MAX);
        Timestamp::from_nanos(self.charged.saturating_add(ahead))
    }

    fn charge(&mut self, rate: Rate, burst: u32, now: Timestamp) {
        let from = self.arrival(rate, burst).max(now);
        self.arrival = (from + rate.interval()).as_nanos();
        self.charged = now.as_nanos();
        self.interval = nanos(rate.interval());
    }

    /// Gives back what has not drained of the charge that moved the arrival time to `charged_to`: what has drained is
    /// the caller's again already, and giving it back would pay for somebody else's charge.
    ///
    /// At most as often as the rate admits: whoever can make a generator fail must not win unlimited tries by it.
    fn refund(&mut self, rate: Rate, burst: u32, charged_to: u64, now: Timestamp) -> bool {
        let interval = nanos(rate.interval());
        let undrained = charged_to.saturating_sub(now.as_nanos()).min(interval);
        let may = now >= Timestamp::from_nanos(self.refunds) - ahead(rate, burst);
        let due = undrained > 0 && self.interval == interval && may;
        if due {
            self.arrival = self.arrival.saturating_sub(undrained);
            self.refunds = (Timestamp::from_nanos(self.refunds).max(now) + rate.interval()).as_nanos();
        }
        due
    }

    /// Takes in a cell that is folded into this one: the backlogs add up.
    fn absorb(&mut self, other: &Self, now: u64) {
        let sum = |one: u64, other: u64| one.max(now).saturating_add(other.saturating_sub(now));
        self.arrival = sum(self.arrival, other.arrival);
        self.refunds = sum(self.refunds, other.refunds);
        if other.charged > self.charged {
            (self.charged, self.interval) = (other.charged, other.interval);
        }
    }

    /// Takes in a cell that is blurred in this one: the larger backlog holds.
    fn absorb_most(&mut self, other: &Self) {
        self.refunds = self.refunds.max(other.refunds);
        if other.arrival > self.arrival {
            (self.arrival, self.charged, self.interval) = (other.arrival, other.charged, other.interval);
        }
    }
}

/// What a cell has spent is told in seconds: its interval changes with the policy. In nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// How far the arrival time may lie ahead of a charge that is admitted.
fn ahead(rate: Rate, burst: u32) -> Duration {
    rate.interval().saturating_mul(burst.saturating_sub(1))
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether one more is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Some,
    /// The window at that place is used up for so long.
    None {
        window: u8,
        wait: Duration,
    },
}

impl Record {
    pub(super) fn empty(limit: &Limit) -> Self {
        match limit {
            Limit::Windows(_) => Self::Windows(Default::default()),
            Limit::Distinct { .. } => Self::Seen(Box::default()),
            Limit::Rate { .. } => Self::Cell(Cell::default()),
            Limit::Concurrency { .. } => Self::InFlight(0),
        }
    }

    /// What an [empty](Self::empty) one says.
    pub(super) fn left_of_none(limit: &Limit, counted: Subject, now: Timestamp) -> Left {
        match limit {
            // In place: a box for every newcomer to look into would be an allocation.
            Limit::Distinct { windows, .. } => Seen::default().left(windows, counted, now),
            _ => Self::empty(limit).left(limit, counted, now),
        }
    }

    /// One of the same kind that counts nothing yet.
    pub(super) fn emptied(&self) -> Self {
        match self {
            Self::Windows(_) => Self::Windows(Default::default()),
            Self::Seen(_) => Self::Seen(Box::default()),
            Self::Cell(_) => Self::Cell(Cell::default()),
            Self::InFlight(_) => Self::InFlight(0),
        }
    }

    /// Whether it says the same as no record.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        match self {
            Self::Windows(windows) => windows.iter().all(|window| !window.is_open(now.as_millis())),
            Self::Seen(seen) => seen.is_over(now.as_millis()),
            Self::Cell(cell) => cell.arrival.max(cell.refunds) <= now.as_nanos(),
            Self::InFlight(count) => *count == 0,
        }
    }

    /// Whether one more fits into `limit`: of several windows used up, the one with the longest wait answers.
    pub(super) fn left(&self, limit: &Limit, counted: Subject, now: Timestamp) -> Left {
        match (self, limit) {
            (Self::Windows(windows), Limit::Windows(limits)) => {
                let millis = now.as_millis();
                let mut left = Left::Some;
                let mut longest = Duration::ZERO;
                for ((place, window), limit) in (0u8..).zip(windows).zip(limits) {
                    if window.count(millis) < limit.max {
                        continue;
                    }
                    // A limit of none at all has no window that could end; the honest wait is its whole length.
                    let ends = if window.is_open(millis) {
                        Timestamp::from_millis(window.ends())
                    } else {
                        now + limit.length
                    };
                    let wait = ends.since(now);
                    if wait >= longest {
                        longest = wait;
                        left = Left::None { window: place, wait };
                    }
                }
                left
            }
            (Self::Seen(seen), Limit::Distinct { windows, .. }) => seen.left(windows, counted, now),
            (Self::Cell(cell), Limit::Rate { rate, burst, .. }) => {
                let earliest = cell.arrival(*rate, *burst) - ahead(*rate, *burst);
                if now >= earliest { Left::Some } else { Left::None { window: 0, wait: earliest.since(now) } }
            }
            (Self::InFlight(count), Limit::Concurrency { max, .. }) if count >= max => {
                Left::None { window: 0, wait: Duration::ZERO }
            }
            _ => Left::Some,
        }
    }

    /// Charges one, whether or not there is room.
    pub(super) fn charge(&mut self, limit: &Limit, counted: Subject, now: Timestamp) {
        match (self, limit) {
            (Self::Seen(seen), Limit::Distinct { windows, .. }) => seen.charge(windows, counted, now),
            (Self::Windows(windows), Limit::Windows(limits)) => {
                for (window, limit) in windows.iter_mut().zip(limits) {
                    window.charge(limit, now.as_millis());
                }
            }
            (Self::Cell(cell), Limit::Rate { rate, burst, .. }) => cell.charge(*rate, *burst, now),
            (Self::InFlight(count), Limit::Concurrency { .. }) => *count = count.saturating_add(1),
            _ => {}
        }
    }

    /// Gives one back to the windows or the cell that `ends` of the receipt names. Work in flight is
    /// [released](Self::release).
    pub(super) fn refund(
        &mut self,
        limit: &Limit,
        counted: Subject,
        ends: &Windows<u64>,
        now: Timestamp,
    ) -> bool {
        match (self, limit) {
            (Self::Seen(seen), Limit::Distinct { windows, .. }) => seen.refund(windows, counted, ends),
            (Self::Windows(windows), Limit::Windows(limits)) => {
                let mut any = false;
                for ((window, limit), ends) in windows.iter_mut().zip(limits).zip(ends) {
                    any |= window.refund(limit, *ends);
                }
                any
            }
            (Self::Cell(cell), Limit::Rate { rate, burst, .. }) => cell.refund(*rate, *burst, ends[0], now),
            _ => false,
        }
    }

    /// Takes a charge back that was just booked, as if it had never been.
    pub(super) fn undo(&mut self, limit: &Limit, counted: Subject, ends: &Windows<u64>, now: Timestamp) {
        match (self, limit) {
            (Self::Seen(seen), Limit::Distinct { .. }) => seen.undo(counted, ends),
            (Self::Windows(windows), Limit::Windows(_)) => {
                windows.iter_mut().zip(ends).for_each(|(window, ends)| window.undo(*ends));
            }
            (Self::Cell(cell), Limit::Rate { rate, .. }) => {
                let undrained = ends[0].saturating_sub(now.as_nanos()).min(nanos(rate.interval()));
                cell.arrival = cell.arrival.saturating_sub(undrained);
            }
            (record @ Self::InFlight(_), Limit::Concurrency { .. }) => record.release(),
            _ => {}
        }
    }

    /// One piece of work in flight has ended.
    pub(super) fn release(&mut self) {
        if let Self::InFlight(count) = self {
            *count = count.saturating_sub(1);
        }
    }

    /// Takes in a record that is folded into this one.
    pub(super) fn absorb(&mut self, other: &Self, now: Timestamp) {
        match (self, other) {
            (Self::Windows(windows), Self::Windows(others)) => {
                for (window, other) in windows.iter_mut().zip(others) {
                    window.absorb(*other, now.as_millis());
                }
            }
            (Self::Seen(seen), Self::Seen(other)) => seen.absorb(other, now.as_millis()),
            (Self::Cell(cell), Self::Cell(other)) => cell.absorb(other, now.as_nanos()),
            (Self::InFlight(count), Self::InFlight(more)) => *count = count.saturating_add(*more),
            _ => {}
        }
    }

    /// Takes in a record that is blurred in this one, which then says the most that any of them had spent.
    pub(super) fn absorb_most(&mut self, other: &Self, now: Timestamp) {
        match (self, other) {
            (Self::Windows(windows), Self::Windows(others)) => {
                for (window, other) in windows.iter_mut().zip(others) {
                    window.absorb_most(*other, now.as_millis());
                }
            }
            (Self::Seen(seen), Self::Seen(other)) => seen.absorb_most(other, now.as_millis()),
            (Self::Cell(cell), Self::Cell(other)) => cell.absorb_most(other),
            _ => {}
        }
    }

    /// How much it has spent (requests, different ones, or seconds of a rate), to tell which records are blurred first and
    /// what they go on from; `None` for work in flight, which has to be found again when it ends, and of which there is
    /// never more than there are connections.
    pub(super) fn spent(&self, now: Timestamp) -> Option<u64> {
        match self {
            Self::Windows(windows) => {
                windows.iter().map(|window| u64::from(window.count(now.as_millis()))).max()
            }
            Self::Seen(seen) => Some(seen.most(now.as_millis()) as u64),
            Self::Cell(cell) => Some(cell.arrival.saturating_sub(now.as_nanos()).div_ceil(SECOND)),
            Self::InFlight(_) => None,
        }
    }

    /// What somebody goes on from who is blurred in this record and had [spent](Self::spent) at most so much.
    pub(super) fn spent_at_most(&self, spent: u64, now: Timestamp) -> Self {
        let mut record = self.clone();
        match &mut record {
            Self::Windows(windows) => {
                for window in windows {
                    window.count = window.count.min(u32::try_from(spent).unwrap_or(u32::MAX));
                }
            }
            Self::Seen(seen) => seen.keep_at_most(usize::try_from(spent).unwrap_or(usize::MAX)),
            Self::Cell(cell) => {
                let latest = now.as_nanos().saturating_add(spent.saturating_mul(SECOND));
                cell.arrival = cell.arrival.min(latest);
            }
            Self::InFlight(_) => {}
        }
        record
    }

    /// When it is over at the latest, in milliseconds since 1970.
    pub(super) fn ends_at_last(&self) -> u64 {
        match self {
            Self::Cell(cell) => cell.arrival.max(cell.refunds) / 1_000_000 + 1,
            Self::Windows(_) | Self::Seen(_) => self.ends().into_iter().max().unwrap_or_default(),
            Self::InFlight(_) => u64::MAX,
        }
    }

    /// What a receipt keeps of a charge just made: when each window ends (in milliseconds), or when the cell has drained (in
    /// nanoseconds). A refund goes to the instance that is named so.
    pub(super) fn ends(&self) -> Windows<u64> {
        match self {
            // One by one: an array's `map` is a call for each of them.
            Self::Windows([first, second, third]) => [first.ends(), second.ends(), third.ends()],
            Self::Seen(seen) => seen.ends(),
            Self::Cell(cell) => [cell.arrival, 0, 0],
            Self::InFlight(_) => [0; WINDOWS_PER_COUNTER_MAX],
        }
    }

    /// How much room it takes, in records: what a distinct quota remembers counts towards the cap, too.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Seen(seen) => 3 + seen.len() / 2,
            _ => 1,
        }
    }

    /// How much is used, and until when: of each window, of the burst, or at a time.
    pub(super) fn used(&self, limit: &Limit, now: Timestamp) -> Vec<(u32, Option<Duration>)> {
        let millis = now.as_millis();
        match (self, limit) {
            (Self::Windows(windows), Limit::Windows(limits)) => {
                let used = |window: &Window| {
                    let left = Timestamp::from_millis(window.ends()).since(now);
                    (window.count(millis), window.is_open(millis).then_some(left))
                };
                windows.iter().zip(limits).map(|(window, _)| used(window)).collect()
            }
            (Self::Seen(seen), Limit::Distinct { windows, .. }) => {
                seen.used(now).into_iter().take(windows.len()).collect()
            }
            (Self::Cell(cell), Limit::Rate { rate, burst, .. }) => {
                let backlog = cell.arrival(*rate, *burst).since(now);
                // A part of an interval is a whole request that cannot be made yet.
                let used = backlog.as_nanos().div_ceil(rate.interval().as_nanos());
                vec![(used.min(u128::from(*burst)) as u32, (!backlog.is_zero()).then_some(backlog))]
            }
            (Self::InFlight(count), _) => vec![(*count, None)],
            _ => Vec::new(),
        }
    }

    /// How much of `limit` is used, of several windows the fullest: 1 is all of it.
    pub(super) fn share(&self, limit: &Limit, now: Timestamp) -> f64 {
        let share = |used: u32, max: u32| f64::from(used) / f64::from(max.max(1));
        match (self, limit) {
            (Self::Windows(windows), Limit::Windows(limits)) => {
                let shares = windows
                    .iter()
                    .zip(limits)
                    .map(|(window, limit)| share(window.count(now.as_millis()), limit.max));
                shares.fold(0.0, f64::max)
            }
            (Self::Seen(seen), Limit::Distinct { windows, .. }) => {
                let shares =
                    seen.used(now).into_iter().zip(windows).map(|((used, _), limit)| share(used, limit.max));
                shares.fold(0.0, f64::max)
            }
            (Self::Cell(cell), Limit::Rate { rate, burst, .. }) => {
                let whole = rate.interval().saturating_mul((*burst).max(1));
                cell.arrival(*rate, *burst).since(now).as_secs_f64() / whole.as_secs_f64()
            }
            (Self::InFlight(count), Limit::Concurrency { max, .. }) => share(*count, *max),
            _ => 0.0,
        }
    }

    /// The windows of a plain quota.
    pub(super) fn windows(&self) -> Option<&Windows<Window>> {
        match self {
            Self::Windows(windows) => Some(windows),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_keeps_48_bits_of_its_end() {
        let mut window = Window::default();
        window.set_ends(0x1234_5678_9abc);
        assert_eq!(window.ends(), 0x1234_5678_9abc);
    }
}
