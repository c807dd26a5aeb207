//! One generator, as all threads share it: what it is, how much it does, and how it fares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::adapters::Kind;
use super::attempt::{Cause, Mark};
use super::condition::Condition;
use super::health::Tally;
use super::judge::Judge;
use super::latency::Latency;
use super::trial::{Post, Trial};
use super::wire;
use super::witness::Origin;
use crate::base::time::Timestamp;

/// A generator that comes (back) into service begins with this part of its share.
const SLOW_START_SHARE: f64 = 0.1;

/// An answer that takes so many times as long as 99 of 100 of its generator's counts as none.
const HANGS_FACTOR: u32 = 4;

/// But not below this; and so long where too little is known.
const HANGS_MIN: Duration = Duration::from_millis(250);
const HANGS_UNKNOWN: Duration = Duration::from_secs(1);

/// And so long where no other could be asked.
const HANGS_ALONE: Duration = Duration::from_secs(3);

/// Nanoseconds: more than any generator costs that can work.
const STALLED: f64 = 1e18;

/// One generator, as all threads share it.
#[derive(Debug)]
pub struct Generator {
    /// The operator's name for it: a metric's label.
    pub name: Arc<str>,
    /// What clients see of it in `X-Agent-ID`, where it names no agent of its own.
    pub alias: Arc<str>,
    /// How it is spoken to.
    pub kind: Kind,
    /// How much work it may have at a time.
    pub in_flight_max: u32,
    /// Judges its answers.
    pub judge: Judge,
    /// How much it can do beside the others.
    pub weight: u32,
    /// How long it takes.
    pub latency: Latency,
    /// What its answers were.
    pub tally: Tally,
    /// What it is for at present.
    pub post: Post,
    /// Whether it works, since when, and why not.
    pub condition: Condition,
    /// A good answer of it that takes longer is too slow, in nanoseconds.
    slow: AtomicU64,
    /// Shared with those that stand for the same instance: see [`share_work_with`](Self::share_work_with).
    in_flight: Arc<AtomicU32>,
    /// When its slow start began, in nanoseconds; 0 where it has its full share.
    starts_since: AtomicU64,
    asked: [AtomicU32; Cause::COUNT],
    /// How many of these the metrics tell.
    told: [AtomicU32; Cause::COUNT],
    /// By [`Mark`], of failures only: for what is said of an ejection.
    failures: Box<[AtomicU32]>,
}

impl Generator {
    /// With nothing in flight and nothing known of it.
    pub fn new(name: &str, alias: &str, kind: Kind, judge: Judge, in_flight_max: u32, weight: u32) -> Self {
        Self {
            name: name.into(),
            alias: alias.into(),
            post: Post::default(),
            condition: Condition::default(),
            kind,
            judge,
            in_flight_max: in_flight_max.max(1),
            weight: weight.max(1),
            latency: Latency::default(),
            tally: Tally::default(),
            slow: AtomicU64::new(u64::MAX),
            in_flight: Arc::default(),
            starts_since: AtomicU64::new(0),
            asked: std::array::from_fn(|_| AtomicU32::new(0)),
            told: std::array::from_fn(|_| AtomicU32::new(0)),
            failures: Mark::words().iter().map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// The same, on trial.
    #[must_use]
    pub fn on_trial(self, trial: Trial) -> Self {
        Self { post: Post::of_canary(trial), ..self }
    }

    /// Whether both are one instance, which works on what it was asked to the end. Of other kinds several may be at one place,
    /// each with an account of its own.
    pub(super) fn is_one_with(&self, other: &Self) -> bool {
        let place = self.place_of_lasting_work();
        place.is_some() && place == other.place_of_lasting_work()
    }

    /// Where it works, if it does so to the end.
    fn place_of_lasting_work(&self) -> Option<(&str, &str, bool)> {
        self.kind.works_to_the_end_for().and(self.kind.origin()).map(wire::Origin::place)
    }

    /// Counts its work with that of the other: one that a reload put in the other's place has its work to finish, too.
    pub(super) fn share_work_with(&mut self, other: &Self) {
        self.in_flight = Arc::clone(&other.in_flight);
    }

    /// How much work it has now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it may have more.
    pub fn has_room(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) < self.in_flight_max
    }

    /// Takes up one more piece of work, if there is room for it. Sequentially consistent, as [`Self::give_back`] is: whoever
    /// gives back must see who waits, or whoever waits what was given back.
    pub(super) fn take(&self) -> bool {
        let more = |now: u32| (now < self.in_flight_max).then_some(now + 1);
        self.in_flight.fetch_update(Ordering::SeqCst, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn give_back(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// What one more request would cost here: its latency times the work that is before it, over its weight. One that says that
    /// it cannot work now costs more than any that does not.
    pub fn cost(&self, slow_start: Duration, now: Timestamp) -> f64 {
        let (before, stalled) = match self.kind.standing() {
            // Our own work waits there among that of others.
            Some(told) => (self.in_flight().max(told.queued()), told.is_stalled()),
            None => (self.in_flight(), false),
        };
        let cost = self.latency.cost(before, now) / f64::from(self.weight);
        let cost = if stalled { cost + STALLED } else { cost };
        match self.starts_since.load(Ordering::Relaxed) {
            0 => cost,
            since => {
                let passed = now.since(Timestamp::from_nanos(since)).as_secs_f64();
                cost / (passed / slow_start.as_secs_f64().max(1e-3)).clamp(SLOW_START_SHARE, 1.0)
            }
        }
    }

    /// Begins with a small part of its share.
    pub fn start_slowly(&self, now: Timestamp) {
        self.starts_since.store(now.as_nanos().max(1), Ordering::Relaxed);
    }

    /// Ends a slow start that has taken its time.
    pub(super) fn end_slow_start(&self, slow_start: Duration, now: Timestamp) {
        let since = self.starts_since.load(Ordering::Relaxed);
        if since != 0 && now.since(Timestamp::from_nanos(since)) >= slow_start {
            self.starts_since.store(0, Ordering::Relaxed);
        }
    }

    /// A good answer of it that takes longer than this is too slow.
    pub fn slow(&self) -> Duration {
        Duration::from_nanos(self.slow.load(Ordering::Relaxed))
    }

    pub(super) fn is_slow_beyond(&self, slow: Option<Duration>) {
        let nanos = slow.map_or(u64::MAX, |slow| u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX));
        self.slow.store(nanos, Ordering::Relaxed);
    }

    /// It is asked.
    pub(super) fn asked(&self, cause: Cause) {
        self.asked[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was asked since the start, by cause; wraps.
    pub fn asked_for(&self, cause: usize) -> u32 {
        self.asked.get(cause).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// How often it was asked since somebody called this, for that cause. One at a time may: whoever looks after it.
    pub(super) fn newly_asked(&self, cause: usize) -> u32 {
        let asked = self.asked_for(cause);
        self.told.get(cause).map_or(0, |told| asked.wrapping_sub(told.swap(asked, Ordering::Relaxed)))
    }

    /// It failed a request of that origin in that way.
    pub(super) fn failed(&self, mark: Mark, of: Origin, took: Duration, now: Timestamp) {
        self.failures[mark.index()].fetch_add(1, Ordering::Relaxed);
        self.tally.bad(Some(of));
        self.latency.failed(took, now);
    }

    /// It failed a probe in that way, and no request can be to blame for that.
    pub(super) fn failed_a_probe(&self, mark: Mark) {
        self.failures[mark.index()].fetch_add(1, Ordering::Relaxed);
        self.tally.bad(None);
        self.tally.vouch();
    }

    /// An answer that takes longer counts as none, even while it is waited for. Where no other could be asked anyway, one
    /// that stands still for a moment is better than none.
    pub(super) fn hangs_after(&self, is_alone: bool) -> Duration {
        let usual = self.latency.p99().map_or(HANGS_UNKNOWN, |p99| (p99 * HANGS_FACTOR).max(HANGS_MIN));
        if is_alone { usual.max(HANGS_ALONE) } else { usual }
    }

    /// How often it failed since the start, by [`Mark`]; wraps.
    pub(super) fn failures(&self) -> impl Iterator<Item = u32> {
        self.failures.iter().map(|count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand_in(weight: u32) -> Generator {
        let generator = Generator::new("g", "g", Kind::StandIn, Judge::of_stand_in(), 4, weight);
        generator.latency.answered(Duration::from_millis(20), Timestamp::from_secs(9));
        generator
    }

    #[test]
    fn work_is_bounded_and_comes_back() {
        let generator = stand_in(1);
        assert_eq!((0..6).filter(|_| generator.take()).count(), 4);
        assert!(!generator.has_room());
        generator.give_back();
        assert!(generator.take());
    }

    #[test]
    fn one_of_twice_the_weight_costs_half() {
        let (now, start) = (Timestamp::from_secs(9), Duration::from_secs(10));
        assert!((stand_in(1).cost(start, now) / stand_in(2).cost(start, now) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_slow_start_takes_its_time() {
        let (generator, start) = (stand_in(1), Duration::from_secs(10));
        let at = |secs| Timestamp::from_secs(9) + Duration::from_secs(secs);
        let full = |now| generator.latency.cost(0, now);
        generator.start_slowly(at(0));
        assert!((generator.cost(start, at(0)) / full(at(0)) - 10.0).abs() < 1e-9, "a tenth");
        assert!((generator.cost(start, at(5)) / full(at(5)) - 2.0).abs() < 1e-9, "half");
        generator.end_slow_start(start, at(9));
        assert!(generator.cost(start, at(9)) > full(at(9)));
        generator.end_slow_start(start, at(10));
        assert!((generator.cost(start, at(10)) - full(at(10))).abs() < 1e-9);
    }
}
