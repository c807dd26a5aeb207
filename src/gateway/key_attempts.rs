//! Unknown keys, throttled per proxy before any look-up: whoever guesses keys gets 20 tries a minute.
//!
//! governor counts the failures; the one that uses them up bars its proxy until governor would let it fail again, so that
//! no look-up comes of a try that is one too many. Both
//! maps are capped and swept: what is forgotten at the cap is a count of failures, never a quota.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::DefaultClock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::base::net::Prefix;
use crate::base::time::{Timestamp, Wait};

/// Failures in a minute before a proxy has to wait.
const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// How long until a proxy that used them up may fail once more.
const ONE_MORE_AFTER: Duration = Duration::from_secs(60).checked_div(FAILURES_PER_MINUTE.get()).unwrap();

/// So many proxies are remembered at most.
const PROXIES_MAX: usize = 65_536;

type Failures = RateLimiter<Prefix, DefaultKeyedStateStore<Prefix>, DefaultClock, StateInformationMiddleware>;

/// At the cap one failure in so long looks for room; the others are not counted: a look goes through all proxies.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_secs(1);

/// Who showed too many unknown keys.
#[derive(Debug)]
pub struct KeyAttempts {
    failures: Failures,
    barred: DashMap<Prefix, Timestamp, foldhash::fast::RandomState>,
    /// How many are barred: while there are none, which is nearly always, nobody looks.
    barred_count: AtomicUsize,
    /// When room was looked for, in nanoseconds since 1970.
    looked: AtomicU64,
}

impl Default for KeyAttempts {
    fn default() -> Self {
        Self {
            failures: RateLimiter::keyed(Quota::per_minute(FAILURES_PER_MINUTE)).with_middleware(),
            barred: DashMap::default(),
            barred_count: AtomicUsize::new(0),
            looked: AtomicU64::new(0),
        }
    }
}

impl KeyAttempts {
    /// How long keys of this proxy are not looked up; `None` where they are.
    pub fn barred(&self, proxy: Prefix, now: Timestamp) -> Option<Wait> {
        if self.barred_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let until = *self.barred.get(&proxy)?;
        (until > now).then(|| Wait::of(until.since(now)))
    }

    /// Notes an unknown key; the proxy is barred where that was its last.
    pub fn failed(&self, proxy: Prefix, now: Timestamp) {
        if self.failures.len() >= PROXIES_MAX && !self.makes_room(now) {
            return;
        }
        let may_fail_again =
            self.failures.check_key(&proxy).is_ok_and(|left| left.remaining_burst_capacity() > 0);
        if !may_fail_again && self.barred.len() < PROXIES_MAX {
            // By then there is a whole one, whatever part of it there is now.
            self.barred.insert(proxy, now + ONE_MORE_AFTER);
            self.barred_count.store(self.barred.len(), Ordering::Relaxed);
        }
    }

    /// Forgets failures that are over, where nobody has just done it. Whether there is room then.
    fn makes_room(&self, now: Timestamp) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        if now.since(Timestamp::from_nanos(looked)) < LOOK_FOR_ROOM_EVERY
            || self
                .looked
                .compare_exchange(looked, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return false;
        }
        self.failures.retain_recent();
        self.failures.len() < PROXIES_MAX
    }

    /// Forgets what is over; called by the sweeper.
    pub fn sweep(&self, now: Timestamp) {
        self.failures.retain_recent();
        self.failures.shrink_to_fit();
        self.barred.retain(|_, until| *until > now);
        self.barred_count.store(self.barred.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_cap_one_failure_a_second_looks_for_room() {
        let attempts = KeyAttempts::default();
        let now = Timestamp::from_secs(1_800_000_000);
        let spray = |from: u32, now| {
            for number in from..from + PROXIES_MAX as u32 {
                attempts.failed(Prefix::proxy(std::net::Ipv4Addr::from_bits(number).into()), now);
            }
        };
        spray(0, now);
        assert_eq!(attempts.failures.len(), PROXIES_MAX);
        assert!(attempts.looked.load(Ordering::Relaxed) == 0, "there was room");
        assert!(!attempts.makes_room(now), "nothing is over yet");
        assert_eq!(attempts.looked.load(Ordering::Relaxed), now.as_nanos());
        let soon = now + Duration::from_millis(999);
        spray(1 << 24, soon);
        assert_eq!(attempts.looked.load(Ordering::Relaxed), now.as_nanos(), "nobody looked again");
        assert_eq!(attempts.failures.len(), PROXIES_MAX);
    }

    #[test]
    fn after_the_twentieth_failure_one_proxy_is_barred_and_no_other() {
        let attempts = KeyAttempts::default();
        let proxy = |text: &str| Prefix::proxy(text.parse().unwrap());
        let (guesser, other) = (proxy("203.0.113.7"), proxy("203.0.113.8"));
        let now = Timestamp::from_secs(1_800_000_000);
        for _ in 0..20 {
            assert_eq!(attempts.barred(guesser, now), None);
            attempts.failed(guesser, now);
        }
        let wait = attempts.barred(guesser, now).expect("barred");
        assert_eq!(wait.secs(), 3, "one more try every 3 s");
        assert_eq!(attempts.barred(other, now), None);
        let later = now + Duration::from_secs(4);
        assert_eq!(attempts.barred(guesser, later), None, "the wait was true");
        attempts.sweep(later);
        assert_eq!(attempts.barred_count.load(Ordering::Relaxed), 0);
    }
}
