//! A new version of a generator beside the old one: who gets it, and whether it falls behind.
//!
//! **Who.** A share of all accounts (without a key: of all proxies), each always on the same side: [`is_chosen`]. A share that
//! is raised keeps those that were in. What fails at the canary is mended elsewhere; nobody else's retry goes to it.
//!
//! **Whether.** Two things are counted of first attempts, on both sides: failures as the judge calls them, and good answers
//! that are slow, which is beyond the baseline's own 75th percentile of the past (a canary may take [`SLOWER`] times as
//! long). Requests that are themselves to blame count for nothing. Of each the question is the same: are there more on the
//! canary's side than its share of the answers explains?
//!
//! The test is sequential and conditional. Of a batch with `n` answers, a share `p` of them the canary's, each failure would
//! be the canary's with probability `p` if both sides failed alike, however often that is and however it changes with time:
//! an outage of the platform hits both. For a canary that fails `t` times as often it would be `pt / (pt + 1 - p)`. The product
//! of these likelihood ratios over all failures is, for each `t`, a martingale of mean 1 as long as there is no difference
//! (within a batch the draw is without replacement, which only makes it smaller: Hoeffding 1963, theorem 4), and so is
//! their mean over several `t`. By Ville's inequality it ever gets to `1 / a` with probability `a` at most: **looking at it all
//! the time costs nothing** (a mixture sequential probability ratio test: Robbins 1970; Johari et al. 2022). It is one-sided: a
//! better canary only lowers it. A canary may fail [`TOLERATED`] of its answers more than the baseline: the baseline is given
//! as many failures that did not happen.
//!
//! A canary that was good for days and then falls behind would have to make up for all that went before; so a second test
//! starts anew every hour, the `k`th with `a / k(k + 1)`, which adds up to `a` as well.
//!
//! **Error rates.** [`FALSE_ALARM`] is the probability that a canary that is no worse is ever rolled back, over its whole life.
//! What it takes to find a worse one is in the tests, on simulated versions, with 5 % of the traffic and a baseline that
//! fails one answer in 200 (half of the canaries are found within so many of *their* answers):
//!
//! | canary | found within |
//! |---|---|
//! | fails always | 5 |
//! | fails one in 2 | 10 |
//! | fails one in 10 | 60 |
//! | fails one in 33 | 510 |
//! | takes twice as long | 55 |
//!
//! What it does not see: accounts are not alike, and one that sends most of the canary's share and fails for reasons of its
//! own counts as many. It is a reason to look, and rolling back is cheap.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The probability that a canary that is no worse is ever rolled back.
pub const FALSE_ALARM: f64 = 0.001;

/// So much more of its answers a canary may fail than the baseline: a share.
pub const TOLERATED: f64 = 0.002;

/// So many times as long a canary may take.
pub const SLOWER: f64 = 1.2;

/// The first answers of a canary are slow for want of practice: so many are not held against it.
const WARM_UP: u32 = 20;

/// How many times as often a worse canary might fail: the mixture.
const RATIOS: [f64; 6] = [1.5, 2.0, 3.0, 6.0, 15.0, 60.0];

/// A test that sees only what is recent starts so often.
const RESTART: Duration = Duration::from_secs(3_600);

/// Whether a request whose payer has that hash goes to a canary with `share` of the traffic. Uniform in the hash.
pub fn is_chosen(hash: u64, share: f64) -> bool {
    // 53 bits are what a share can tell apart.
    ((hash >> 11) as f64) < share * (1_u64 << 53) as f64
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The version in use.
    Baseline,
    /// The new one.
    Canary,
}

/// In what a canary fell behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Its answers fail more often.
    Success,
    /// Its good answers take longer.
    Latency,
}

impl Behind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Success, Self::Latency];

    /// The word in metrics, records and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Latency => "latency",
        }
    }
}

/// What one side did in a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Judged first attempts.
    pub answers: u32,
    /// Of these, those that failed.
    pub failures: u32,
    /// Of the good ones, those that were slow.
    pub slow: u32,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.failures += other.failures;
        self.slow += other.slow;
    }

    const fn good(self) -> u32 {
        self.answers.saturating_sub(self.failures)
    }
}

/// How many buckets latencies have: each a quarter of a doubling, from 0.1 ms to about 14 s.
const BUCKETS: usize = 68;

/// What is counted while requests are served, by all threads.
#[derive(Debug)]
pub struct Tallies {
    sides: [[AtomicU32; 3]; 2],
    /// The baseline's good answers by how long they took.
    latencies: [AtomicU32; BUCKETS],
    /// What takes longer is slow at the baseline, in nanoseconds.
    slow: AtomicU64,
}

impl Default for Tallies {
    fn default() -> Self {
        Self {
            sides: Default::default(),
            latencies: std::array::from_fn(|_| AtomicU32::new(0)),
            slow: AtomicU64::new(u64::MAX),
        }
    }
}

impl Tallies {
    /// A first attempt was judged: how long its good answer took, or that there is none.
    pub fn note(&self, side: Side, good: Option<Duration>) {
        let [answers, failures, slow] = &self.sides[side as usize];
        answers.fetch_add(1, Ordering::Relaxed);
        let Some(took) = good else {
            failures.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let limit = Duration::from_nanos(self.slow.load(Ordering::Relaxed));
        let limit = if side == Side::Canary { limit.mul_f64(SLOWER) } else { limit };
        if took > limit {
            slow.fetch_add(1, Ordering::Relaxed);
        }
        if side == Side::Baseline {
            self.latencies[bucket(took)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted since the last time.
    fn take(&self, side: Side) -> Seen {
        let [answers, failures, slow] = &self.sides[side as usize];
        // What comes between these is split over two batches; failures are taken first, so that none is without an answer.
        let (failures, slow) = (failures.swap(0, Ordering::Relaxed), slow.swap(0, Ordering::Relaxed));
        Seen { answers: answers.swap(0, Ordering::Relaxed).max(failures + slow), failures, slow }
    }
}

fn bucket(took: Duration) -> usize {
    let tenths = u32::try_from(took.as_micros() / 100).unwrap_or(u32::MAX);
    let Some(doublings) = tenths.checked_ilog2() else { return 0 };
    let within = (f64::from(tenths) / f64::from(doublings).exp2()).log2() * 4.0;
    let quarters = [1.0, 2.0, 3.0].iter().filter(|quarter| within >= **quarter).count();
    (doublings as usize * 4 + quarters).min(BUCKETS - 1)
}

/// The upper end of a bucket.
fn bound(bucket: usize) -> Duration {
    Duration::from_secs_f64(((bucket + 1) as f64 / 4.0).exp2() / 10_000.0)
}

/// The comparison of a canary with its baseline, from its start to its rollback or promotion.
#[derive(Debug)]
pub struct Comparison {
    success: Pair,
    latency: Pair,
    pending: [Seen; 2],
    latencies: [f64; BUCKETS],
    warming: u32,
    age: Duration,
    phantoms: f64,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            success: Pair::new(FALSE_ALARM / 2.0),
            latency: Pair::new(FALSE_ALARM / 2.0),
            pending: [Seen::default(); 2],
            latencies: [0.0; BUCKETS],
            warming: WARM_UP,
            age: Duration::ZERO,
            phantoms: 0.0,
        }
    }
}

impl Comparison {
    /// Takes what was counted since the last time, which is `passed` ago: about a second. What slow means for the next batch
    /// is settled by those before.
    pub fn conclude(&mut self, tallies: &Tallies, passed: Duration) -> Option<Behind> {
        let found = self.take([tallies.take(Side::Baseline), tallies.take(Side::Canary)], passed);
        for (kept, counted) in self.latencies.iter_mut().zip(&tallies.latencies) {
            // Half of it is forgotten in a minute or so.
            *kept = *kept * 0.99 + f64::from(counted.swap(0, Ordering::Relaxed));
        }
        let slow = self.third_quartile().map_or(u64::MAX, |slow| slow.as_nanos() as u64);
        tallies.slow.store(slow, Ordering::Relaxed);
        found
    }

    /// Takes one batch, of the baseline and of the canary.
    fn take(&mut self, batch: [Seen; 2], passed: Duration) -> Option<Behind> {
        self.age += passed;
        if self.age >= RESTART {
            self.age = Duration::ZERO;
            self.success.restart();
            self.latency.restart();
        }
        self.pending.iter_mut().zip(batch).for_each(|(pending, batch)| pending.add(batch));
        let [baseline, canary] = self.pending;
        if baseline.answers == 0 || canary.answers == 0 {
            // One side alone tells nothing of a difference.
            return None;
        }
        self.pending = [Seen::default(); 2];
        self.phantoms += TOLERATED * f64::from(baseline.answers);
        let phantoms = self.phantoms.floor();
        self.phantoms -= phantoms;
        self.success.observe(
            share(canary.answers, baseline.answers),
            f64::from(canary.failures),
            f64::from(baseline.failures) + phantoms,
        );
        if self.warming > 0 {
            self.warming = self.warming.saturating_sub(canary.good());
        } else if canary.good() > 0 && baseline.good() > 0 {
            self.latency.observe(
                share(canary.good(), baseline.good()),
                f64::from(canary.slow),
                f64::from(baseline.slow),
            );
        }
        match (self.success.rejects(), self.latency.rejects()) {
            (true, _) => Some(Behind::Success),
            (false, true) => Some(Behind::Latency),
            (false, false) => None,
        }
    }

    fn third_quartile(&self) -> Option<Duration> {
        let all: f64 = self.latencies.iter().sum();
        if all < 50.0 {
            return None;
        }
        let mut below = 0.0;
        let place = self.latencies.iter().position(|count| {
            below += count;
            below >= 0.75 * all
        });
        place.map(bound)
    }
}

fn share(canary: u32, baseline: u32) -> f64 {
    f64::from(canary) / (f64::from(canary) + f64::from(baseline))
}

/// The test of the whole life, and that of the last hour.
#[derive(Debug)]
struct Pair {
    whole: Test,
    recent: Test,
    restarts: f64,
    alpha: f64,
}

impl Pair {
    const fn new(alpha: f64) -> Self {
        Self { whole: Test::NEW, recent: Test::NEW, restarts: 1.0, alpha: alpha / 2.0 }
    }

    fn restart(&mut self) {
        self.recent = Test::NEW;
        self.restarts += 1.0;
    }

    fn observe(&mut self, share: f64, canary: f64, baseline: f64) {
        self.whole.observe(share, canary, baseline);
        self.recent.observe(share, canary, baseline);
    }

    fn rejects(&self) -> bool {
        self.whole.evidence() >= 1.0 / self.alpha
            || self.recent.evidence() >= self.restarts * (self.restarts + 1.0) / self.alpha
    }
}

/// The evidence against "no more than its share", by each of [`RATIOS`]: logarithms.
#[derive(Debug)]
struct Test([f64; RATIOS.len()]);

impl Test {
    const NEW: Self = Self([0.0; RATIOS.len()]);

    /// Of `canary + baseline` failures in a batch, so many were the canary's, whose share of the answers was `share`.
    fn observe(&mut self, share: f64, canary: f64, baseline: f64) {
        for (log, ratio) in self.0.iter_mut().zip(RATIOS) {
            let weight = share * ratio + 1.0 - share;
            *log += canary * (ratio / weight).ln() - baseline * weight.ln();
        }
    }

    fn evidence(&self) -> f64 {
        self.0.iter().map(|log| log.exp()).sum::<f64>() / RATIOS.len() as f64
    }
}

#[cfg(test)]
mod tests;
