//! What a generator says of itself without being asked for a signature, as all threads share it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A generator is asked so often how it fares, by one of the threads.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How a generator says that it fares. Hints for the choice, no verdict: what it answers is judged all the same. Until it
/// has said something it counts as ready.
#[derive(Debug)]
pub struct Standing {
    stalled: AtomicBool,
    queued: AtomicU32,
    made: Instant,
    /// Milliseconds since `made`.
    next_look: AtomicU64,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            stalled: AtomicBool::new(false),
            queued: AtomicU32::new(0),
            made: Instant::now(),
            next_look: AtomicU64::new(0),
        }
    }
}

impl Standing {
    /// Notes that it can work, with so many requests waiting at it.
    pub fn ready(&self, queued: u32) {
        self.queued.store(queued, Ordering::Relaxed);
        self.stalled.store(false, Ordering::Relaxed);
    }

    /// Notes that it cannot work now: it restarts, or does not say.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// Whether it said that it cannot work now: to be asked only where nobody else can be.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// How many requests were waiting at it, ours among them.
    pub fn queued(&self) -> u32 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether it should be asked now how it fares; true for one of all the threads that ask, once a second.
    pub fn is_due(&self, now: Instant) -> bool {
        let since = now.duration_since(self.made).as_millis() as u64;
        let next = since + LOOK_INTERVAL.as_millis() as u64;
        let due = |at: u64| (at <= since).then_some(next);
        self.next_look.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }

    /// Asks for the next look soon: something went wrong.
    pub fn look_soon(&self) {
        self.next_look.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_looks_once_a_second_and_sooner_when_something_went_wrong() {
        let standing = Standing::default();
        let start = standing.made;
        let at = |ms| start + Duration::from_millis(ms);
        assert!(standing.is_due(at(0)));
        assert!(!standing.is_due(at(0)) && !standing.is_due(at(999)));
        assert!(standing.is_due(at(1_000)));
        standing.look_soon();
        assert!(standing.is_due(at(1_001)) && !standing.is_due(at(1_002)));
    }
}
