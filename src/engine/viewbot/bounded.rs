//! A table with a cap, whose choice of what to give up hangs on no hash seed.
//!
//! Entries lie in a row, found through an index. At the cap a hand jumps round the row, and the first entry that is worth no
//! more than the new one makes room; of many that are all worth more, the least (a clock, after Corbato's page replacement
//! of 1968, with worths for the used bit, and jumps because what is worth much lies together at the beginning).
//! Memory is given out as the table fills, and bounded by the cap.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use hashbrown::HashTable;

/// So many entries are looked at for one worth no more than the new one. Where nine of ten are worth more, one of them is
/// given up for every thousand that are new.
const LOOKED_AT: usize = 64;

const ENTRIES_MIN: usize = 8;

pub(super) struct Bounded<K, V> {
    index: HashTable<u32>,
    row: Vec<(K, V)>,
    hand: usize,
    cap: usize,
    hasher: SeedableRandomState,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    /// An empty one of at most `cap` entries. Nothing but the index's order hangs on `seed`.
    pub(super) fn new(cap: usize, seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_random());
        let cap = cap.clamp(ENTRIES_MIN, u32::MAX as usize);
        Self { index: HashTable::new(), row: Vec::new(), hand: 0, cap, hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    fn place(&self, key: &K) -> Option<usize> {
        let row = &self.row;
        self.index.find(self.hasher.hash_one(key), |at| row[*at as usize].0 == *key).map(|at| *at as usize)
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.place(key).map(|at| &self.row[at].1)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).map(|at| &mut self.row[at].1)
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
        if let Some(at) = self.place(&key) {
            return (&mut self.row[at].1, false);
        }
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
        let (row, hasher) = (&self.row, &self.hasher);
        self.index.insert_unique(hasher.hash_one(key), at as u32, |at| hasher.hash_one(row[*at as usize].0));
        (&mut self.row[at].1, true)
    }

    fn least(&mut self, enough: u64, worth: impl Fn(&K, &V) -> u64) -> usize {
        // The golden section of the row, made to meet every entry: jumps that never fall into step.
        let length = self.row.len();
        let jump = (length * 618 / 1_000) | 1;
        let mut least = (u64::MAX, 0);
        for _ in 0..LOOKED_AT {
            self.hand = (self.hand + jump) % length;
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
        let hash = self.hasher.hash_one(self.row[at].0);
        if let Ok(found) = self.index.find_entry(hash, |other| *other as usize == at) {
            found.remove();
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.place(key)?;
        self.unlink(at);
        let last = self.row.len() - 1;
        if at != last {
            let hash = self.hasher.hash_one(self.row[last].0);
            if let Some(moved) = self.index.find_mut(hash, |other| *other as usize == last) {
                *moved = at as u32;
            }
        }
        Some(self.row.swap_remove(at).1)
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
