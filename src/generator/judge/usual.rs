//! How large a generator's answers usually are, learned from them, and what is too small beside that.
//!
//! A generator whose session is burnt answers with a stub of a few hundred bytes where it usually sends 43 KB; one whose
//! answers are always small is a good one all the same. So each is measured against itself: an answer is too small that
//! has less than a share of what nine of ten have, and less than an absolute bound, which keeps the harm of a wrong lesson
//! small.
//!
//! **It cannot be taught quickly.** 64 sizes are kept, at most one every ten seconds: a burst of odd answers, however long
//! its list, is a handful of them. To raise the bar, more than nine of ten must be large, for ten minutes. Answers that are
//! refused as too small teach too, or a change at the platform would keep a generator out for ever, but one every five
//! minutes: after about half an hour of nothing else, small is usual. Before twenty sizes are known, which takes twenty
//! seconds at least, no answer is too small.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Size;

/// So many sizes are kept.
const SIZES: usize = 64;

/// From so many on something is usual.
const KNOWN: usize = 20;

/// One size is kept so often: while nothing is usual yet, later, and of answers that were refused as too small.
const INTERVALS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(300)];

/// The sizes of one generator's answers to one operation.
#[derive(Debug)]
pub(super) struct UsualSize {
    /// Fewer bytes are too small; 0 while nothing is usual.
    floor: AtomicU32,
    /// The median, for the operator; 0 while nothing is usual.
    median: AtomicU32,
    /// Whether the next answer's size is kept.
    open: AtomicBool,
    /// Whether the next that is too small is kept.
    small_open: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    sizes: [u32; SIZES],
    count: usize,
    /// When the gates open next.
    opens: Option<Instant>,
    small_opens: Option<Instant>,
}

impl Default for UsualSize {
    fn default() -> Self {
        Self {
            floor: AtomicU32::new(0),
            median: AtomicU32::new(0),
            open: AtomicBool::new(true),
            small_open: AtomicBool::new(true),
            kept: Mutex::new(Kept { sizes: [0; SIZES], count: 0, opens: None, small_opens: None }),
        }
    }
}

impl UsualSize {
    /// Whether an answer that is good otherwise is large enough. Nearly always two loads.
    pub(super) fn admits(&self, bytes: usize, rule: Size) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let small = bytes < self.floor.load(Ordering::Relaxed);
        let gate = if small { &self.small_open } else { &self.open };
        if gate.load(Ordering::Relaxed) && gate.swap(false, Ordering::Relaxed) {
            self.keep(bytes, rule);
        }
        !small
    }

    fn keep(&self, bytes: u32, rule: Size) {
        let Ok(mut kept) = self.kept.lock() else { return };
        let place = kept.count % SIZES;
        kept.sizes[place] = bytes;
        kept.count += 1;
        let count = kept.count.min(SIZES);
        if count < KNOWN {
            return;
        }
        let mut sizes = kept.sizes;
        let sizes = &mut sizes[..count];
        sizes.sort_unstable();
        #[expect(clippy::cast_sign_loss, reason = "a share is not below 0")]
        let share = (f64::from(sizes[count / 10]) * rule.share) as u32;
        self.floor.store(share.min(rule.below_bytes), Ordering::Relaxed);
        self.median.store(sizes[count / 2], Ordering::Relaxed);
    }

    /// Opens the gates whose time has come. To be called a few times a second.
    pub(super) fn keep_time(&self, now: Instant) {
        let Ok(mut kept) = self.kept.try_lock() else { return };
        let interval = INTERVALS[usize::from(kept.count >= KNOWN)];
        let reopen = |gate: &AtomicBool, opens: &mut Option<Instant>, interval| {
            if !gate.load(Ordering::Relaxed) {
                // Closed since the last call: the time runs from now.
                let due = *opens.get_or_insert(now + interval);
                if now >= due {
                    *opens = None;
                    gate.store(true, Ordering::Relaxed);
                }
            }
        };
        reopen(&self.open, &mut kept.opens, interval);
        reopen(&self.small_open, &mut kept.small_opens, INTERVALS[2]);
    }

    /// The median of what was kept, in bytes, once something is usual.
    pub(super) fn median(&self) -> Option<u32> {
        Some(self.median.load(Ordering::Relaxed)).filter(|median| *median > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator's answers over time: a hundred a second, with the gateway's tick four times a second.
    struct Course {
        usual: UsualSize,
        now: Instant,
    }

    impl Course {
        fn new() -> Self {
            Self { usual: UsualSize::default(), now: Instant::now() }
        }

        /// How many of the answers were taken; sizes come in turn.
        fn run(&mut self, seconds: u64, sizes: &[usize]) -> (usize, usize) {
            let (mut taken, mut all) = (0, 0);
            for _ in 0..seconds * 4 {
                self.now += Duration::from_millis(250);
                self.usual.keep_time(self.now);
                for _ in 0..25 {
                    taken += usize::from(self.usual.admits(sizes[all % sizes.len()], Size::default()));
                    all += 1;
                }
            }
            (taken, all)
        }
    }

    fn all(seconds: u64) -> (usize, usize) {
        (seconds as usize * 100, seconds as usize * 100)
    }

    #[test]
    fn a_stub_of_a_generator_that_answers_at_length_is_too_small() {
        let mut course = Course::new();
        assert_eq!(course.run(60, &[43_000, 38_000, 51_000]), all(60));
        assert!(!course.usual.admits(272, Size::default()));
        assert!(course.usual.admits(1_024, Size::default()), "never above the absolute bound");
        let median = course.usual.median().unwrap();
        assert!((38_000..=51_000).contains(&median), "{median}");
    }

    #[test]
    fn a_generator_whose_answers_are_always_small_is_a_good_one() {
        let mut course = Course::new();
        assert_eq!(course.run(3_600, &[38, 60, 272]), all(3_600));
    }

    #[test]
    fn small_ones_that_always_were_among_them_stay_good() {
        let mut course = Course::new();
        // One in seven is small.
        let mixed = [43_000, 43_000, 43_000, 300, 43_000, 43_000, 43_000];
        assert_eq!(course.run(20, &mixed), all(20));
        let (taken, of) = course.run(3_600, &mixed);
        // While few sizes are known a lesson can be wrong; not for long.
        assert!(taken * 100 >= of * 99, "{taken} of {of}");
    }

    #[test]
    fn one_odd_burst_teaches_nothing() {
        let mut course = Course::new();
        course.run(600, &[600]);
        course.run(120, &[1_000_000]);
        assert_eq!(course.run(600, &[600]), all(600), "large ones do not make the usual too small");
        let mut course = Course::new();
        course.run(600, &[43_000]);
        let (taken, _) = course.run(300, &[272]);
        assert_eq!(taken, 0, "five minutes of stubs do not make stubs usual");
        assert_eq!(course.run(60, &[43_000]), all(60));
        assert!(!course.usual.admits(272, Size::default()));
    }

    #[test]
    fn a_bad_session_among_good_ones_never_becomes_usual() {
        let mut course = Course::new();
        course.run(600, &[43_000]);
        let (taken, of) = course.run(4 * 3_600, &[43_000, 272, 43_000]);
        assert_eq!(taken, of - of / 3);
    }

    #[test]
    fn a_change_that_stays_is_taken_at_last() {
        let mut course = Course::new();
        course.run(600, &[43_000]);
        assert_eq!(course.run(20 * 60, &[500]).0, 0);
        course.run(25 * 60, &[500]);
        assert_eq!(course.run(60, &[500]), all(60), "after three quarters of an hour of nothing else");
    }

    #[test]
    fn nothing_is_too_small_before_anything_is_usual() {
        let mut course = Course::new();
        course.run(15, &[43_000]);
        assert!(course.usual.admits(1, Size::default()) && course.usual.median().is_none());
    }

    #[test]
    fn it_can_be_switched_off() {
        let usual = UsualSize::default();
        let off = Size { share: 0.0, below_bytes: 1024 };
        for _ in 0..30 {
            usual.open.store(true, Ordering::Relaxed);
            assert!(usual.admits(43_000, off));
        }
        assert!(usual.admits(0, off));
    }
}
