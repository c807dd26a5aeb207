//! Who bears witness to a generator's failures: a request that fails wherever it is asked speaks against itself.
//!
//! A caller may repeat a request that no generator can serve. What failed there is held against a generator only when somebody
//! bears witness: another generator did well on the same request, a probe failed as well, or, where a probe could not tell
//! (it connects to a room that may have ended, and whatever else is asked works), the failures are those of several callers,
//! each for another room. One caller with many rooms, many callers of one room, or both together, are not enough for that.
//!
//! A generator that blamed a request on which another then did well has failed at it, and bears no witness against itself by that: one
//! caller may ask for what only the other can do. It takes several callers, each with another room, or a probe.
//!
//! Kept for each generator from its first failure after a good answer to its next good answer. A few words of memory,
//! written only where something fails.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// So many different callers, each for another room, are no coincidence.
pub const DIFFERENT_MIN: usize = 3;

/// What is known of one generator's failures since its last good answer. Shared by all threads.
#[derive(Debug, Default)]
pub struct Witnesses {
    /// Somebody else did well, or a probe failed, too.
    sure: AtomicBool,
    /// A probe could not tell, or another did well on what this one blamed.
    unclear: AtomicBool,
    /// Failures that have neither caller nor subject in common.
    different: [AtomicU64; DIFFERENT_MIN],
}

/// Whose request failed, and what it was about: a hash of the account or of the address of a caller without a key, and one of
/// the room, or of the URL where no room is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(u64);

impl Origin {
    /// Of the two hashes half of the bits do: where they are alike by chance, it is one witness less.
    pub const fn new(caller: u64, subject: u64) -> Self {
        // Never 0: that is an empty slot.
        Self(caller << 32 | (subject & 0xffff_ffff) | 1 << 32)
    }

    const fn has_nothing_of(self, other: u64) -> bool {
        self.0 >> 32 != other >> 32 && self.0 as u32 != other as u32
    }
}

impl Witnesses {
    /// A request of that origin failed.
    pub fn failed(&self, of: Origin) {
        // Slots fill in order, so that two threads cannot enter the same twice.
        for slot in &self.different {
            match slot.compare_exchange(0, of.0, Ordering::Relaxed, Ordering::Relaxed) {
                Err(known) if of.has_nothing_of(known) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// It is the generator's fault: another did well on the same request, or a probe failed.
    pub fn sure(&self) {
        self.sure.store(true, Ordering::Relaxed);
    }

    /// A probe could not tell.
    pub fn unclear(&self) {
        self.unclear.store(true, Ordering::Relaxed);
    }

    /// Whether the failures are the generator's own.
    pub fn convince(&self) -> bool {
        let several = || self.different.iter().all(|slot| slot.load(Ordering::Relaxed) != 0);
        self.sure.load(Ordering::Relaxed) || self.unclear.load(Ordering::Relaxed) && several()
    }

    /// It gave a good answer: what was before is settled.
    pub fn settle(&self) {
        self.sure.store(false, Ordering::Relaxed);
        self.unclear.store(false, Ordering::Relaxed);
        self.different.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witnesses(failures: impl IntoIterator<Item = (u64, u64)>) -> Witnesses {
        let witnesses = Witnesses::default();
        failures
            .into_iter()
            .for_each(|(caller, subject)| witnesses.failed(Origin::new(caller << 1, subject)));
        witnesses
    }

    #[test]
    fn one_caller_with_many_rooms_and_many_callers_of_one_room_convince_nobody() {
        let one_caller: Vec<_> = (0..50).map(|n| (7, n)).collect();
        let one_room: Vec<_> = (0..50).map(|n| (n, 77)).collect();
        for failures in [one_caller.clone(), one_room.clone(), [one_caller, one_room].concat()] {
            let witnesses = witnesses(failures);
            witnesses.unclear();
            assert!(!witnesses.convince());
            witnesses.sure();
            assert!(witnesses.convince());
        }
    }

    #[test]
    fn several_callers_and_rooms_do_where_a_probe_cannot_tell() {
        let witnesses = witnesses([(1, 1), (1, 2), (2, 1), (2, 2), (3, 3)]);
        assert!(!witnesses.convince(), "a probe is asked first");
        witnesses.unclear();
        assert!(witnesses.convince());
        witnesses.settle();
        assert!(!witnesses.convince());
        witnesses.unclear();
        assert!(!witnesses.convince(), "what was before a good answer is forgotten");
    }

    #[test]
    fn an_origin_is_never_an_empty_slot() {
        assert_ne!(Origin::new(0, 0).0, 0);
    }

    #[test]
    fn threads_do_not_count_one_caller_twice() {
        for round in 0..200 {
            let witnesses = Witnesses::default();
            witnesses.unclear();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for n in 0..2 {
                            witnesses.failed(Origin::new((round + n) << 1, n));
                        }
                    });
                }
            });
            assert!(!witnesses.convince());
        }
    }
}
