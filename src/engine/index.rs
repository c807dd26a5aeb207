//! Where the entries of a [row](super::row) lie, by their hashes.
//!
//! Looking somebody up is waiting for memory and little else, so all that a look-up needs lies together: half of a hash and a
//! place in eight bytes, the next best place beside it (linear probing; Knuth, TAOCP 3, 6.4), no marks that lie elsewhere.
//! There are several indices of different sizes, and none of them doubles at the same time as another.

use crate::base::prefetch::prefetch_at;

/// Half of a hash, enough for tables of this size, and where the entry lies. Kept, so that an index that grows does not have to
/// look at every entry, each in another place of the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) hash: u32,
    pub(super) at: u32,
}

/// No entry lies there.
const EMPTY: Slot = Slot { hash: 0, at: u32::MAX };

const SLOTS_MIN: usize = 16;

/// Of four slots so many are used at most: beyond that looking for who is not there takes long.
const USED_OF_FOUR: usize = 3;

/// One of several: a power of two, or none.
#[derive(Debug, Default)]
struct Part(Box<[Slot]>);

impl Part {
    /// Where the first slot of a hash is that `is` says, and the slot.
    #[inline]
    fn find(&self, hash: u32, is: impl Fn(Slot) -> bool) -> Option<(usize, Slot)> {
        let mask = self.0.len().checked_sub(1)?;
        let mut place = hash as usize & mask;
        loop {
            let slot = *self.0.get(place)?;
            if slot.at == EMPTY.at {
                return None;
            }
            if slot.hash == hash && is(slot) {
                return Some((place, slot));
            }
            place = (place + 1) & mask;
        }
    }

    /// Moves all to so many slots.
    fn move_to(&mut self, slots: usize) {
        for slot in std::mem::replace(&mut self.0, vec![EMPTY; slots].into()) {
            if slot.at != EMPTY.at {
                self.put(slot);
            }
        }
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.0.len() - 1;
        let mut place = slot.hash as usize & mask;
        while self.0[place].at != EMPTY.at {
            place = (place + 1) & mask;
        }
        self.0[place] = slot;
    }

    /// Empties a slot, and closes the gap: what was put behind it, for it was taken, moves up (Knuth's algorithm R).
    fn remove(&mut self, mut gap: usize) {
        let mask = self.0.len() - 1;
        let mut place = gap;
        loop {
            place = (place + 1) & mask;
            let slot = self.0[place];
            if slot.at == EMPTY.at {
                break;
            }
            let (from_home, from_gap) =
                (place.wrapping_sub(slot.hash as usize) & mask, place.wrapping_sub(gap) & mask);
            if from_home >= from_gap {
                self.0[gap] = slot;
                gap = place;
            }
        }
        self.0[gap] = EMPTY;
    }
}

/// So many.
const PARTS: usize = 8;

/// All of them. Their shares of the hashes differ, each 2^(1/8) times the one before: no two of them double at the same time, and
/// however many entries there are, about the same part of the memory lies empty. Where they lie comes first, in two cache lines: a
/// look-up needs no more of it.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct HashIndex {
    parts: [Part; PARTS],
    /// How many slots of each are used.
    used: [u32; PARTS],
}

/// Which one a hash is in: by bits that its place there does not come from.
#[inline]
fn part_of(hash: u32) -> usize {
    usize::from(SHARES[usize::from((hash >> 24) as u8)])
}

/// For each of 256 parts of all hashes the index that they are in.
const SHARES: [u8; 256] = shares();

const fn shares() -> [u8; 256] {
    // 2^(1/8) in parts of 2^32, multiplied up: constant evaluation has no powers of its own.
    const STEP: u64 = 4_683_695_047;
    let (mut shares, mut part, mut bound) = ([0; 256], 0u8, STEP);
    let mut share = 0;
    while share < 256 {
        // Index n holds the shares from 2^(n/8) - 1 to 2^((n+1)/8) - 1 of the whole.
        while (share as u64 + 256) << 24 >= bound && (part as usize) < PARTS - 1 {
            bound = ((bound as u128 * STEP as u128) >> 32) as u64;
            part += 1;
        }
        shares[share] = part;
        share += 1;
    }
    shares
}

impl HashIndex {
    /// Where the entry lies whose hash this is, and of which `is` says that it is the one.
    #[inline]
    pub(super) fn find(&self, hash: u32, is: impl Fn(usize) -> bool) -> Option<usize> {
        let found = self.parts[part_of(hash)].find(hash, |slot| is(slot.at as usize));
        found.map(|(_, slot)| slot.at as usize)
    }

    /// Asks for the memory that finding the entry of that hash will look at.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        let Part(slots) = &self.parts[part_of(hash)];
        prefetch_at(slots, hash as usize & slots.len().wrapping_sub(1));
    }

    /// Notes where an entry lies.
    pub(super) fn insert(&mut self, hash: u32, at: usize) {
        let (part, used) = self.part_mut(hash);
        let slots = part.0.len();
        if (*used as usize + 1) * 4 > slots * USED_OF_FOUR {
            part.move_to((2 * slots).max(SLOTS_MIN));
        }
        part.put(Slot { hash, at: at as u32 });
        *used += 1;
    }

    /// Forgets the entry that lies there.
    pub(super) fn remove(&mut self, hash: u32, at: usize) {
        let (part, used) = self.part_mut(hash);
        if let Some((place, _)) = part.find(hash, |slot| slot.at as usize == at) {
            part.remove(place);
            *used -= 1;
        }
    }

    fn part_mut(&mut self, hash: u32) -> (&mut Part, &mut u32) {
        let part = part_of(hash);
        (&mut self.parts[part], &mut self.used[part])
    }

    /// Gives memory back after many entries were forgotten.
    pub(super) fn shrink(&mut self) {
        for (part, used) in self.parts.iter_mut().zip(self.used) {
            let needed = if used == 0 { 0 } else { (2 * used as usize).next_power_of_two().max(SLOTS_MIN) };
            // Where most of it lies empty.
            if 4 * needed <= part.0.len() {
                part.move_to(needed);
            }
        }
    }

    /// Notes that an entry lies elsewhere now.
    pub(super) fn moved(&mut self, hash: u32, from: usize, to: usize) {
        let (part, _) = self.part_mut(hash);
        if let Some((place, _)) = part.find(hash, |slot| slot.at as usize == from) {
            part.0[place].at = to as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Or two of them would double at the same time, and some would hold nothing.
    #[test]
    fn shares_grow_from_index_to_index_and_leave_none_out() {
        let mut parts = [0u32; PARTS];
        for share in SHARES {
            parts[usize::from(share)] += 1;
        }
        assert!(parts.iter().all(|parts| (22..=44).contains(parts)), "{parts:?}");
        assert!(SHARES.is_sorted() && parts[PARTS - 1] > parts[0]);
    }

    #[test]
    fn memory_is_given_back() {
        let mut index = HashIndex::default();
        let hash = |at: usize| (at as u32).wrapping_mul(0x9e37_79b9);
        (0..10_000).for_each(|at| index.insert(hash(at), at));
        let slots = |index: &HashIndex| index.parts.iter().map(|part| part.0.len()).sum::<usize>();
        (100..10_000).for_each(|at| index.remove(hash(at), at));
        assert!(slots(&index) >= 10_000);
        index.shrink();
        assert!(slots(&index) <= 8 * 64, "{}", slots(&index));
        assert!((0..100).all(|at| index.find(hash(at), |other| other == at) == Some(at)));
        (0..100).for_each(|at| index.remove(hash(at), at));
        index.shrink();
        assert_eq!(slots(&index), 0);
        assert_eq!(index.find(hash(0), |_| true), None);
    }

    proptest! {
        /// Hashes that crowd together among them, so that gaps are closed round the end of a part, too.
        #[test]
        fn finds_what_was_noted_and_not_forgotten(steps in prop::collection::vec((0u32..40, 0usize..6, 0u8..4), 1..500)) {
            let (mut index, mut model) = (HashIndex::default(), std::collections::BTreeMap::new());
            for (n, (hash, which, step)) in (0usize..).zip(steps) {
                let hash = if hash < 20 { hash % 16 } else { (hash - 20) << 28 | 15 };
                let nth = model.iter().filter(|(_, held)| **held == hash).map(|(at, _)| *at).nth(which);
                match (step, nth) {
                    (0, _) => {
                        index.insert(hash, n);
                        model.insert(n, hash);
                    }
                    (1, Some(at)) => {
                        index.remove(hash, at);
                        model.remove(&at);
                    }
                    (_, Some(at)) => {
                        index.moved(hash, at, n);
                        model.remove(&at);
                        model.insert(n, hash);
                    }
                    (3, None) => index.shrink(),
                    _ => index.remove(hash, n),
                }
                for (at, hash) in &model {
                    prop_assert_eq!(index.find(*hash, |other| other == *at), Some(*at));
                }
                prop_assert_eq!(index.find(hash, |at| !model.contains_key(&at)), None);
                let used = index.parts.each_ref().map(|part| part.0.iter().filter(|slot| slot.at != EMPTY.at).count() as u32);
                prop_assert_eq!(used.iter().sum::<u32>() as usize, model.len());
                prop_assert_eq!(index.used, used);
            }
        }
    }
}
