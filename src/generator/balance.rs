//! Which generator is asked: the better of two drawn at random (Mitzenmacher, "The power of two choices", 2001).
//!
//! To always ask the best would send every thread's next request to the same one, as each sees the others' too late. Two
//! draws spread the work, and hardly ever ask the worst.

use std::cell::Cell;

use crate::base::operation::Operation;

/// At most so many generators stand behind one gateway.
pub const GENERATORS_MAX: usize = 64;

/// A set of generators, by their places: a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Places(pub u64);

impl Places {
    /// None.
    pub const NONE: Self = Self(0);

    /// The first `count`.
    pub const fn first(count: usize) -> Self {
        Self(if count >= GENERATORS_MAX { u64::MAX } else { (1 << count) - 1 })
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether this one is among them.
    pub const fn contains(self, place: usize) -> bool {
        (self.0 >> place) & 1 == 1
    }

    /// And this one.
    #[must_use]
    pub const fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place)
    }

    /// But not this one.
    #[must_use]
    pub const fn without(self, place: usize) -> Self {
        Self(self.0 & !(1 << place))
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub const fn but(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Their places, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            (left != 0).then(|| left &= left - 1).map(|()| place)
        })
    }

    /// The place of the `nth`, from 0; there must be so many.
    const fn nth(self, nth: usize) -> usize {
        let (mut left, mut passed) = (self.0, 0);
        while passed < nth {
            left &= left - 1;
            passed += 1;
        }
        left.trailing_zeros() as usize
    }
}

/// Draws of one thread, from xorshift64* (Vigna, 2014): balance needs no more.
#[derive(Debug)]
pub struct Draws(Cell<u64>);

impl Draws {
    /// The draws that follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(Cell::new(seed | 1))
    }

    /// 32 random bits.
    pub fn bits(&self) -> u32 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number below `bound`, without a division (Lemire, 2019; the bias is below one in a million here).
    fn below(&self, bound: usize) -> usize {
        ((u64::from(self.bits()) * bound as u64) >> 32) as usize
    }
}

/// The cheaper of two drawn among `candidates`; `None` where there is none.
pub fn better_of_two(candidates: Places, draws: &Draws, cost: impl Fn(usize) -> f64) -> Option<usize> {
    let count = candidates.len();
    match count {
        0 => return None,
        1 => return Some(candidates.nth(0)),
        _ => {}
    }
    let first = draws.below(count);
    let other = draws.below(count - 1);
    let (first, other) = (candidates.nth(first), candidates.nth(other + usize::from(other >= first)));
    Some(if cost(other) < cost(first) { other } else { first })
}

/// The cheapest of all: for what is seldom and must be right.
pub fn best(candidates: Places, cost: impl Fn(usize) -> f64) -> Option<usize> {
    candidates.iter().min_by(|one, other| cost(*one).total_cmp(&cost(*other)))
}

/// For each operation those that can do it.
pub type Able = [Places; Operation::COUNT];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_places() {
        let places = Places::first(5).without(1);
        assert_eq!(places.iter().collect::<Vec<_>>(), [0, 2, 3, 4]);
        assert_eq!((places.nth(1), places.len()), (2, 4));
        assert_eq!(Places::first(GENERATORS_MAX).len(), GENERATORS_MAX);
        assert!(Places::NONE.iter().next().is_none());
        assert_eq!(places.but(Places::first(3)), Places::NONE.with(3).with(4));
    }

    #[test]
    fn the_worst_is_never_asked_and_the_others_share() {
        let draws = Draws::new(7);
        let mut asked = [0; 4];
        for _ in 0..30_000 {
            let places = Places::first(4);
            asked[better_of_two(places, &draws, |place| place as f64).unwrap()] += 1;
        }
        // Of two different places, uniformly: the better one is place 0, 1, 2 in 3, 2, 1 of 6 pairs.
        for (place, expected) in [15_000, 10_000, 5_000, 0].into_iter().enumerate() {
            assert!(i32::abs(asked[place] - expected) < 400, "{asked:?}");
        }
    }

    #[test]
    fn every_candidate_is_drawn_and_nothing_else() {
        let draws = Draws::new(1);
        let candidates = Places::NONE.with(3).with(40).with(63);
        let mut seen = Places::NONE;
        for _ in 0..200 {
            seen = seen.with(better_of_two(candidates, &draws, |_| 1.0).unwrap());
        }
        assert_eq!(seen, candidates);
        assert_eq!(better_of_two(Places::NONE, &draws, |_| 1.0), None);
        assert_eq!(best(candidates, |place| 100.0 - place as f64), Some(63));
    }
}
