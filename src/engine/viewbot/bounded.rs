//! A table with a cap, whose choice of what to give up hangs on no hash seed.
//!
//! Entries lie in a row, found through an index. At the cap a hand jumps round the row, and the first entry that is worth no
//! more than the new one makes room; of many that are all worth more, the least (a clock, after Corbato's page replacement
//! of 1968, with worths for the used bit, and jumps because what is worth much lies together at the beginning).
//! Memory is given out as the table fills, and bounded by the cap. Nothing is ever copied as a whole to grow: the row grows by
//! a block of entries, and the [index](crate::engine::index) is several, of different sizes.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use crate::base::prefetch::prefetch;
use crate::engine::index::HashIndex;
use crate::engine::row::Row;

/// So many entries are looked at for one worth no more than the new one. Where nine of ten are worth more, one of them is
/// given up for every thousand that are new.
const LOOKED_AT: usize = 64;

const ENTRIES_MIN: usize = 8;

/// So many entries are made room for at a time.
const BLOCK: usize = 512;

/// An entry that is being looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookUp<K> {
    key: K,
    likely: Likely,
}

/// Where an entry is likely to lie: whoever kept it need not look for the entry again. Where it lies elsewhere by now, or nowhere,
/// that is noticed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Likely {
    hash: u32,
    at: u32,
}

/// Nowhere, or not looked for yet.
const NOWHERE: u32 = u32::MAX;

impl<K> LookUp<K> {
    /// Where it was seen, for later.
    pub(super) fn likely(&self) -> Likely {
        self.likely
    }
}

impl Likely {
    /// Where it was put.
    pub(super) fn put_at(self, at: usize) -> Self {
        Self { at: at as u32, ..self }
    }

    /// Not looked for yet.
    const fn unseen(hash: u32) -> Self {
        Self { hash, at: NOWHERE }
    }

    /// Where it was seen.
    pub(super) fn place(self) -> Option<usize> {
        (self.at != NOWHERE).then_some(self.at as usize)
    }
}

/// From the beginning of a cache line: what every look-up needs lies on one, and on one of the two of its index that say where. There
/// are many tables, and half of them are looked at for every request.
#[repr(C, align(64))]
pub(super) struct Bounded<K, V> {
    hasher: SeedableRandomState,
    row: Row<(K, V), BLOCK>,
    cap: usize,
    hand: usize,
    /// To the end of the line.
    _rest: u64,
    index: HashIndex,
}

const _: () =
    assert!(std::mem::offset_of!(Bounded<u64, u64>, index) == 64, "a line for what is not the index");

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    /// An empty one of at most `cap` entries. Nothing but the index's order hangs on `seed`.
    pub(super) fn new(cap: usize, seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_random());
        let cap = cap.clamp(ENTRIES_MIN, u32::MAX as usize);
        Self { hasher, row: Row::default(), cap, hand: 0, _rest: 0, index: HashIndex::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    #[inline]
    fn hash(&self, key: &K) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    /// Where the entry of `key` lies, until something is taken out of the table.
    #[inline]
    pub(super) fn place(&self, key: &K) -> Option<usize> {
        self.place_of(self.hash(key), key)
    }

    #[inline]
    fn place_of(&self, hash: u32, key: &K) -> Option<usize> {
        self.index.find(hash, |at| self.row[at].0 == *key)
    }

    /// Begins to look an entry up. [`found`](Self::found) ends it: what is asked of several tables need not be waited for one
    /// after the other.
    #[inline]
    pub(super) fn look_up(&self, key: K) -> LookUp<K> {
        self.look_up_likely(key, Likely::unseen(self.hash(&key)))
    }

    /// The same of an entry that was looked for before, in this table or in another of the same seed.
    #[inline]
    pub(super) fn look_up_likely(&self, key: K, likely: Likely) -> LookUp<K> {
        debug_assert_eq!(likely.hash, self.hash(&key), "the tables differ in their seeds");
        LookUp { key, likely: self.seen(likely) }
    }

    /// Where an entry lies of that hash, unless it was seen already: mostly the one that is meant.
    #[inline]
    fn seen(&self, likely: Likely) -> Likely {
        if likely.at != NOWHERE {
            return likely;
        }
        let at = self.index.find(likely.hash, |_| true);
        Likely { at: at.map_or(NOWHERE, |at| at as u32), ..likely }
    }

    /// Where the entry lies that was looked up, until something is taken out of the table.
    #[inline]
    pub(super) fn found(&self, look_up: &LookUp<K>) -> Option<usize> {
        let likely = look_up.likely.place()?;
        match self.row.get(likely) {
            Some((key, _)) if *key == look_up.key => Some(likely),
            _ => self.place_of(look_up.likely.hash, &look_up.key),
        }
    }

    /// Asks for the memory that finding the entry of `key` will look at; [`prefetch_entry`](Self::prefetch_entry) asks for the
    /// entry itself once that has come.
    #[inline]
    pub(super) fn prefetch(&self, key: &K) -> Likely {
        self.prefetch_like(Likely::unseen(self.hash(key)))
    }

    /// The same of what is looked for in another table of the same seed, too.
    #[inline]
    pub(super) fn prefetch_like(&self, other: Likely) -> Likely {
        self.index.prefetch(other.hash);
        Likely::unseen(other.hash)
    }

    /// Asks for the entry, and notes where it lies. Gives that, where there is one.
    #[inline]
    pub(super) fn prefetch_entry(&self, likely: &mut Likely) -> Option<usize> {
        *likely = self.seen(*likely);
        let at = likely.place()?;
        prefetch(self.row.get(at)?);
        Some(at)
    }

    #[inline]
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.place(key).map(|at| &self.row[at].1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).map(|at| &mut self.row[at].1)
    }

    /// [`get_mut`](Self::get_mut) of an entry that was seen before.
    #[inline]
    pub(super) fn get_mut_likely(&mut self, key: K, likely: Likely) -> Option<&mut V> {
        self.found(&self.look_up_likely(key, likely)).map(|at| &mut self.row[at].1)
    }

    /// What lies there.
    #[inline]
    pub(super) fn at(&self, place: usize) -> &V {
        &self.row[place].1
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn at_mut(&mut self, place: usize) -> &mut V {
        &mut self.row[place].1
    }

    /// Whether it is there, or there is room for it without giving anything up.
    pub(super) fn has_room(&self) -> bool {
        self.row.len() < self.cap
    }

    /// The entry of `key`, made by `make` where there is none; what `worth` finds worth least makes room for it at the
    /// cap. Tells whether it is new.
    pub(super) fn entry(
        &mut self,
        key: K,
        make: impl FnOnce() -> V,
        worth: impl Fn(&K, &V) -> u64,
    ) -> (&mut V, bool) {
        let (at, is_new) = self.enter(key, make, worth);
        (&mut self.row[at].1, is_new)
    }

    /// The same, and where it lies.
    pub(super) fn enter(
        &mut self,
        key: K,
        make: impl FnOnce() -> V,
        worth: impl Fn(&K, &V) -> u64,
    ) -> (usize, bool) {
        self.enter_looked_up(&self.look_up(key), make, worth)
    }

    /// The same of an entry that was looked up, and the table not changed since: else it could be entered twice.
    pub(super) fn enter_looked_up(
        &mut self,
        look_up: &LookUp<K>,
        make: impl FnOnce() -> V,
        worth: impl Fn(&K, &V) -> u64,
    ) -> (usize, bool) {
        if let Some(at) = self.found(look_up) {
            return (at, false);
        }
        let LookUp { key, likely: Likely { hash, .. } } = *look_up;
        debug_assert!(self.place(&key).is_none(), "the table was changed after the look-up");
        let at = if self.has_room() {
            self.row.push((key, make()));
            self.row.len() - 1
        } else {
            let value = make();
            let at = self.least(worth(&key, &value), worth);
            self.unlink(at);
            self.row[at] = (key, value);
            at
        };
        self.index.insert(hash, at);
        (at, true)
    }

    /// Where the hand jumps next: by the golden section of the row, made to meet every entry; jumps that never fall into step.
    #[inline]
    fn next(&self) -> usize {
        let length = self.row.len();
        let jump = (length * 618 / 1_000) | 1;
        (self.hand + jump) % length
    }

    /// Looks at the entry that is likely to make room for the next one, so that it is at hand then. Changes nothing: whoever
    /// is about to enter something into several tables waits for all of them at once.
    #[inline]
    pub(super) fn foresee(&self) {
        if !self.has_room() {
            let next = self.next();
            // Or nothing would hang on it, and it would not be done.
            std::hint::black_box(self.index.find(self.hash(&self.row[next].0), |_| true));
        }
    }

    fn least(&mut self, enough: u64, worth: impl Fn(&K, &V) -> u64) -> usize {
        let length = self.row.len();
        let mut least = (u64::MAX, 0);
        for _ in 0..LOOKED_AT {
            self.hand = self.next();
            let (key, value) = &self.row[self.hand];
            let worth = worth(key, value);
            if worth < least.0 {
                least = (worth, self.hand);
            }
            if worth <= enough {
                break;
            }
        }
        // However long the row is, sooner or later every entry is looked at.
        self.hand = (self.hand + 1) % length;
        least.1
    }

    fn unlink(&mut self, at: usize) {
        let hash = self.hash(&self.row[at].0);
        self.index.remove(hash, at);
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.place(key)?;
        self.unlink(at);
        let last = self.row.len() - 1;
        if at != last {
            let hash = self.hash(&self.row[last].0);
            self.index.moved(hash, last, at);
        }
        self.row.swap_remove(at).map(|(_, value)| value)
    }

    /// Changes all values, in the order of the row.
    pub(super) fn each_mut(&mut self, mut change: impl FnMut(&mut V)) {
        for place in 0..self.len() {
            change(self.at_mut(place));
        }
    }

    /// All entries, in the order of the row: the same in every run, whatever the seed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.row.iter().map(|(key, value)| (key, value))
    }
}

impl<K, V> fmt::Debug for Bounded<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded")
            .field("len", &self.row.len())
            .field("cap", &self.cap)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(cap: usize, seed: u64) -> Bounded<u64, u64> {
        Bounded::new(cap, seed)
    }

    proptest! {
        /// Below the cap it is a map, and the seed never shows: not even in what is given up.
        #[test]
        fn is_a_map_and_hangs_on_no_seed(
            steps in prop::collection::vec((0u64..60, 0u8..4), 1..400), cap in 8usize..40, seeds in any::<(u64, u64)>()
        ) {
            let (mut one, mut other) = (table(cap, seeds.0), table(cap, seeds.1));
            let mut model = std::collections::BTreeMap::new();
            for (n, (key, step)) in steps.into_iter().enumerate() {
                if step == 0 {
                    prop_assert_eq!(one.remove(&key), other.remove(&key));
                    model.remove(&key);
                } else {
                    let make = || n as u64;
                    let worth = |_: &u64, value: &u64| *value;
                    prop_assert_eq!(one.entry(key, make, worth), other.entry(key, make, worth));
                    model.entry(key).or_insert(n as u64);
                }
                prop_assert!(one.len() <= cap);
                let (mine, others): (Vec<_>, Vec<_>) = (one.iter().collect(), other.iter().collect());
                prop_assert_eq!(&mine, &others);
                prop_assert!(mine.iter().all(|(key, value)| one.get(key) == Some(value)));
            }
            if cap >= 60 {
                prop_assert_eq!(one.len(), model.len());
            }
        }
    }

    proptest! {
        /// Where an entry was seen is believed only while it lies there: others are taken out, and take its place.
        #[test]
        fn what_was_seen_to_lie_somewhere_is_found_wherever_it_lies_now(
            steps in prop::collection::vec((0u64..12, 0u8..4), 1..400), cap in 8usize..16,
        ) {
            let (mut table, mut plain) = (table(cap, 1), table(cap, 2));
            let mut seen = std::collections::BTreeMap::new();
            for (n, (key, step)) in (0u64..).zip(steps) {
                let likely = *seen.entry(key).or_insert_with(|| table.prefetch(&key));
                match step {
                    0 => prop_assert_eq!(table.remove(&key), plain.remove(&key)),
                    1 => {
                        table.prefetch_entry(seen.get_mut(&key).unwrap());
                    }
                    2 => prop_assert_eq!(table.get_mut_likely(key, likely), plain.get_mut(&key)),
                    _ => {
                        let look_up = table.look_up_likely(key, likely);
                        let (at, is_new) = table.enter_looked_up(&look_up, || n, |_, value| *value);
                        let (value, expected) = plain.entry(key, || n, |_, value| *value);
                        prop_assert_eq!((*table.at(at), is_new), (*value, expected));
                        seen.insert(key, look_up.likely().put_at(at));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_worth_most_outlives_a_spray() {
        let mut table = table(64, 1);
        for key in 0..32 {
            table.entry(key, || 1_000, |_, worth| *worth);
        }
        for key in 1_000..100_000 {
            table.entry(key, || 1, |_, worth| *worth);
        }
        assert!((0..32).all(|key| table.get(&key).is_some()));
        assert_eq!(table.len(), 64);
    }
}
