//! How much more may be asked of generators than clients ask: retries and hedges draw on one budget.
//!
//! Where generators fail, retries multiply the load just when there is least room for it. So they may be at most a share of
//! the requests, with a floor so that a quiet gateway mends its few failures too. The budget fills up by looks
//! ([`Fill::look`]) at how many requests came; drawing on it is one atomic.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::base::time::Timestamp;

/// What is saved up at most: so many seconds' worth. Enough for the second in which a generator turns bad.
const SAVED: Duration = Duration::from_secs(10);

/// So much of a draw is one: shares of requests are counted in thousandths.
const ONE: i64 = 1_000;

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// A share of the requests, 0 to 1.
    pub share: f64,
    /// Or so many a second, if that is more.
    pub per_second: u32,
}

/// What is left. Shared by all threads.
#[derive(Debug)]
pub struct Budget(AtomicI64);

impl Budget {
    /// With what a quiet second and no requests give.
    pub const fn new(allowance: Allowance) -> Self {
        Self(AtomicI64::new(allowance.per_second as i64 * ONE))
    }

    /// Takes one, if there is one.
    pub fn draw(&self) -> bool {
        if self.0.load(Ordering::Relaxed) < ONE {
            return false;
        }
        // Several threads may take the last one: what they took too much is missing afterwards.
        self.0.fetch_sub(ONE, Ordering::Relaxed) >= ONE || {
            self.0.fetch_add(ONE, Ordering::Relaxed);
            false
        }
    }

    /// Gives back one that was not used.
    pub fn give_back(&self) {
        self.0.fetch_add(ONE, Ordering::Relaxed);
    }
}

/// Fills a budget up.
#[derive(Debug)]
pub struct Fill {
    allowance: Allowance,
    saved: Duration,
    looked: Timestamp,
    /// Thousandths a second, smoothed over [`SAVED`].
    rate: f64,
}

impl Fill {
    /// Saves ten seconds' worth.
    pub fn new(allowance: Allowance, now: Timestamp) -> Self {
        let rate = f64::from(allowance.per_second) * ONE as f64;
        Self { allowance, saved: SAVED, looked: now, rate }
    }

    /// Saves one second's worth: for what must come evenly.
    pub fn even(allowance: Allowance, now: Timestamp) -> Self {
        Self { saved: Duration::from_secs(1), ..Self::new(allowance, now) }
    }

    /// Adds what `requests` since the last look and the time since then give.
    pub fn look(&mut self, budget: &Budget, requests: u64, now: Timestamp) {
        let past = now.since(self.looked).as_secs_f64();
        self.looked = now;
        if past == 0.0 {
            return;
        }
        let floor = f64::from(self.allowance.per_second) * ONE as f64 * past;
        let grant = (requests as f64 * self.allowance.share * ONE as f64).max(floor);
        let weight = past / (past + self.saved.as_secs_f64());
        self.rate += (grant / past - self.rate) * weight;
        let most = (self.rate * self.saved.as_secs_f64()).max(floor / past) as i64;
        let left = budget.0.load(Ordering::Relaxed);
        let more = (grant.round() as i64).min(most - left);
        if more > 0 {
            budget.0.fetch_add(more, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance { share: 0.2, per_second: 10 };
    const EVERY: Duration = Duration::from_millis(50);

    fn drawn(budget: &Budget, wanted: u32) -> u32 {
        (0..wanted).map(|_| u32::from(budget.draw())).sum()
    }

    /// Runs for `secs` with `requests` a look; each look `wanted` draws. Returns how many were given.
    fn run(
        fill: &mut Fill,
        budget: &Budget,
        now: &mut Timestamp,
        secs: u64,
        requests: u64,
        wanted: u32,
    ) -> u32 {
        (0..secs * 20)
            .map(|_| {
                *now = *now + EVERY;
                fill.look(budget, requests, *now);
                drawn(budget, wanted)
            })
            .sum()
    }

    #[test]
    fn a_fifth_of_the_requests_and_no_more() {
        let (budget, mut now) = (Budget::new(ALLOWANCE), Timestamp::from_secs(9));
        let mut fill = Fill::new(ALLOWANCE, now);
        // 1,000 a second, all of which would be repeated.
        let given = run(&mut fill, &budget, &mut now, 20, 50, 50);
        assert!((3_990..=4_030).contains(&given), "{given} of 20,000");
    }

    #[test]
    fn ten_a_second_where_there_is_little_traffic() {
        let (budget, mut now) = (Budget::new(ALLOWANCE), Timestamp::from_secs(9));
        let mut fill = Fill::new(ALLOWANCE, now);
        let given = run(&mut fill, &budget, &mut now, 20, 1, 1);
        assert!((200..=215).contains(&given), "{given}");
    }

    #[test]
    fn what_was_not_used_is_saved_up_for_ten_seconds() {
        let (budget, mut now) = (Budget::new(ALLOWANCE), Timestamp::from_secs(9));
        let mut fill = Fill::new(ALLOWANCE, now);
        run(&mut fill, &budget, &mut now, 120, 50, 0);
        let saved = drawn(&budget, 100_000);
        assert!((1_900..=2_000).contains(&saved), "{saved}: ten seconds of 200");
        budget.give_back();
        assert!(budget.draw() && !budget.draw());
    }

    #[test]
    fn an_even_one_saves_a_second() {
        let allowance = Allowance { share: 0.02, per_second: 10 };
        let (budget, mut now) = (Budget::new(allowance), Timestamp::from_secs(9));
        let mut fill = Fill::even(allowance, now);
        run(&mut fill, &budget, &mut now, 60, 100, 0);
        let saved = drawn(&budget, 1_000);
        assert!((38..=40).contains(&saved), "{saved}: 2 % of 2,000 a second");
    }

    #[test]
    fn threads_together_get_no_more_than_there_is() {
        let budget = Budget::new(Allowance { share: 0.0, per_second: 5_000 });
        let given: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| drawn(&budget, 4_000))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(given <= 5_000, "{given}");
        assert!(given >= 4_990, "{given}: hardly any is lost to the race");
    }
}
