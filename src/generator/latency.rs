//! How long a generator takes: its peak EWMA, by which generators are compared, and the quantiles of its own answers, by
//! which a hedge is timed.
//!
//! Both are fed by every thread with plain atomics. Two threads that end an exchange at the same moment may lose one of the
//! two samples of the average; no count is lost. The quantiles are worked out beside the data path ([`Quantiles::look`]).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::base::time::Timestamp;

/// A sample has lost half of its weight after this time; a peak is held against a generator for about as long.
const MEMORY: Duration = Duration::from_secs(2);

/// Of what is faster than this nothing is made: it is the wire and the machine more than the generator.
const ALIKE: Duration = Duration::from_millis(10);

/// A failure counts as at least so slow: one that fails fast must not look fast.
pub const FAILURE_AS_LATENCY: Duration = Duration::from_secs(1);

/// And the first answer that blames its request.
const BLAME_AS_LATENCY: Duration = Duration::from_millis(100);

/// What a generator that was never measured costs for each request that it has already: it gets one at once, and further
/// ones as if it were slow.
const UNMEASURED: Duration = Duration::from_millis(500);

/// Four buckets to each power of two of microseconds, from 64 us to 32 s: a quantile is at most a quarter too high.
const BUCKETS: usize = 80;
const FIRST_OCTAVE: u32 = 6;

/// Quantiles are told from so many answers on.
pub const SAMPLES_MIN: u32 = 20;

/// Quantiles are those of the last one to two spans of this length.
const SPAN: Duration = Duration::from_secs(10);

/// How long one generator takes. Shared by all threads.
#[derive(Debug)]
pub struct Latency {
    /// Nanoseconds, as the bits of a float: 0 where nothing was measured yet.
    average: AtomicU64,
    /// When a sample came last, in nanoseconds.
    at: AtomicU64,
    /// How many good answers took so long; only grows.
    buckets: [AtomicU32; BUCKETS],
    /// Nanoseconds; 0 where it is not known yet.
    p50: AtomicU64,
    p95: AtomicU64,
    p99: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            average: AtomicU64::new(0),
            at: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU32::new(0)),
            p50: AtomicU64::new(0),
            p95: AtomicU64::new(0),
            p99: AtomicU64::new(0),
        }
    }
}

impl Latency {
    fn held(&self) -> [u32; BUCKETS] {
        std::array::from_fn(|place| self.buckets[place].load(Ordering::Relaxed))
    }

    /// A good answer took so long.
    pub fn answered(&self, took: Duration, now: Timestamp) {
        self.buckets[bucket(took)].fetch_add(1, Ordering::Relaxed);
        self.observe(took, now);
    }

    /// An exchange failed after so long.
    pub fn failed(&self, took: Duration, now: Timestamp) {
        self.observe(took.max(FAILURE_AS_LATENCY), now);
    }

    /// It said after so long that the request is at fault. That is sooner said than a signature is made, and tells nothing of how long
    /// that takes; but one that says it of everything must not look as if it had never been asked.
    pub fn blamed(&self, took: Duration, now: Timestamp) {
        if self.average.load(Ordering::Relaxed) == 0 {
            self.observe(took.max(BLAME_AS_LATENCY), now);
        }
    }

    /// An exchange was given up after so long: it would have taken longer.
    pub fn outlasted(&self, took: Duration, now: Timestamp) {
        self.observe(took * 2, now);
    }

    /// A peak is taken over at once, what is lower by its share of time (a "peak EWMA").
    fn observe(&self, took: Duration, now: Timestamp) {
        let took = took.as_nanos() as f64;
        let before = f64::from_bits(self.average.load(Ordering::Relaxed));
        let average = if took >= before {
            took
        } else {
            let past = now.as_nanos().saturating_sub(self.at.load(Ordering::Relaxed)) as f64;
            before - (before - took) * past / (past + MEMORY.as_nanos() as f64)
        };
        self.average.store(average.max(1.0).to_bits(), Ordering::Relaxed);
        self.at.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// What one more request would cost with so many in flight, in nanoseconds of waiting, before weights.
    ///
    /// What is known grows old: a generator that gets nothing comes to look better by and by, is asked again, and measured.
    pub fn cost(&self, in_flight: u32, now: Timestamp) -> f64 {
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        if average == 0.0 {
            return UNMEASURED.as_nanos() as f64 * f64::from(in_flight);
        }
        let past = now.as_nanos().saturating_sub(self.at.load(Ordering::Relaxed)) as f64;
        let memory = MEMORY.as_nanos() as f64;
        (average * memory / (memory + past)).max(ALIKE.as_nanos() as f64) * f64::from(in_flight + 1)
    }

    /// When an exchange with it ended last; `None` where there was none.
    pub fn last(&self) -> Option<Timestamp> {
        let at = self.at.load(Ordering::Relaxed);
        (at > 0).then(|| Timestamp::from_nanos(at))
    }

    /// Half of its good answers take at most so long. `None` until enough have come.
    pub fn p50(&self) -> Option<Duration> {
        known(&self.p50)
    }

    /// Of twenty good answers nineteen take at most so long.
    pub fn p95(&self) -> Option<Duration> {
        known(&self.p95)
    }

    /// Of a hundred good answers ninety-nine take at most so long.
    pub fn p99(&self) -> Option<Duration> {
        known(&self.p99)
    }
}

fn known(nanos: &AtomicU64) -> Option<Duration> {
    let nanos = nanos.load(Ordering::Relaxed);
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = micros.ilog2();
    if octave < FIRST_OCTAVE {
        return 0;
    }
    let quarter = (micros >> (octave - 2)) & 3;
    (((octave - FIRST_OCTAVE) * 4) as usize + quarter as usize).min(BUCKETS - 1)
}

/// The upper bound of a bucket.
fn bound(bucket: usize) -> Duration {
    let (octave, quarter) = (bucket as u32 / 4 + FIRST_OCTAVE, bucket as u64 % 4);
    Duration::from_micros((1 << octave) + ((quarter + 1) << (octave - 2)))
}

/// What the quantiles of one generator are taken from: a span of its answers. Belongs to whoever looks, no lock is needed.
#[derive(Debug)]
pub struct Quantiles {
    since: Timestamp,
    /// What the buckets held when the span before this one began, and when this one did.
    bases: [[u32; BUCKETS]; 2],
}

impl Quantiles {
    /// From now on: of one that is known longer than its keeper, what came before is another span's.
    pub fn new(latency: &Latency, now: Timestamp) -> Self {
        Self { since: now, bases: [latency.held(); 2] }
    }

    /// Works the quantiles out anew. With too few answers what is known is left as it is.
    pub fn look(&mut self, latency: &Latency, now: Timestamp) {
        let held = latency.held();
        let counts: [u32; BUCKETS] =
            std::array::from_fn(|place| held[place].wrapping_sub(self.bases[0][place]));
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if total >= u64::from(SAMPLES_MIN) {
            for (quantile, percent) in [(&latency.p50, 50), (&latency.p95, 95), (&latency.p99, 99)] {
                let rank = (total * percent).div_ceil(100);
                let mut passed = 0_u64;
                let place = counts.iter().position(|count| {
                    passed += u64::from(*count);
                    passed >= rank
                });
                let nanos = bound(place.unwrap_or(BUCKETS - 1)).as_nanos();
                quantile.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        }
        if now.since(self.since) >= SPAN {
            self.bases = [self.bases[1], held];
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn a_peak_counts_at_once_and_wears_off() {
        let latency = Latency::default();
        latency.answered(20 * MS, at(0));
        latency.answered(500 * MS, at(10));
        let peak = latency.cost(0, at(10));
        assert!((peak - 5e8).abs() < 1e6, "{peak}");
        for answer in 1..=400 {
            latency.answered(20 * MS, at(10 + answer * 50));
        }
        assert!(latency.cost(0, at(20_010)) < 4e7, "twenty seconds of good ones");
    }

    #[test]
    fn a_fast_failure_costs_more_than_a_slow_answer() {
        let (fails, works) = (Latency::default(), Latency::default());
        fails.failed(MS, at(0));
        works.answered(84 * MS, at(0));
        assert!(fails.cost(0, at(0)) > 5.0 * works.cost(0, at(0)));
    }

    #[test]
    fn one_that_was_never_measured_gets_one_request_at_once_and_not_all() {
        let (fresh, works) = (Latency::default(), Latency::default());
        works.answered(20 * MS, at(0));
        assert!(fresh.cost(0, at(0)) < works.cost(0, at(0)));
        assert!(fresh.cost(1, at(0)) > works.cost(5, at(0)));
    }

    #[test]
    fn one_that_gets_nothing_is_asked_again() {
        let (slow, busy) = (Latency::default(), Latency::default());
        slow.answered(200 * MS, at(0));
        for answer in 0..600 {
            busy.answered(20 * MS, at(answer * 100));
        }
        assert!(slow.cost(0, at(100)) > busy.cost(2, at(100)));
        assert!(slow.cost(0, at(60_000)) < busy.cost(2, at(60_000)), "after a minute of nothing");
    }

    #[test]
    fn who_begins_to_look_has_not_seen_what_came_before() {
        let latency = Latency::default();
        (0..1_000).for_each(|_| latency.answered(40 * MS, at(0)));
        let mut quantiles = Quantiles::new(&latency, at(1));
        quantiles.look(&latency, at(2));
        assert_eq!(latency.p95(), None);
        (0..20).for_each(|_| latency.answered(600 * MS, at(3)));
        quantiles.look(&latency, at(4));
        assert!(latency.p50().unwrap() > 500 * MS);
    }

    #[test]
    fn quantiles_are_those_of_the_last_spans() {
        let latency = Latency::default();
        let mut quantiles = Quantiles::new(&latency, at(0));
        (1..20).for_each(|_| latency.answered(20 * MS, at(1)));
        quantiles.look(&latency, at(50));
        assert_eq!(latency.p95(), None, "too few");
        (0..981).for_each(|_| latency.answered(20 * MS, at(2)));
        (0..20).for_each(|_| latency.answered(3_000 * MS, at(2)));
        quantiles.look(&latency, at(100));
        let near = |found: Option<Duration>, millis: u32| {
            let found = found.unwrap();
            assert!(found >= millis * MS && found <= millis * MS * 5 / 4, "{found:?} for {millis} ms");
        };
        near(latency.p50(), 20);
        near(latency.p95(), 20);
        near(latency.p99(), 3_000);
        for second in 1..=40 {
            (0..20).for_each(|_| latency.answered(100 * MS, at(second * 1_000)));
            quantiles.look(&latency, at(second * 1_000));
        }
        near(latency.p50(), 100);
        near(latency.p99(), 100);
    }

    #[test]
    fn every_length_has_its_bucket() {
        for micros in [0, 1, 63, 64, 79, 80, 127, 128, 20_000, 84_000, 33_000_000, u64::MAX / 1_000] {
            let took = Duration::from_micros(micros);
            let place = bucket(took);
            assert!(place == BUCKETS - 1 || bound(place) > took, "{micros}");
            assert!(place == 0 || bound(place - 1) <= took, "{micros}");
        }
    }
}
