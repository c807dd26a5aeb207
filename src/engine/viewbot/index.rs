//! Where the entries of a [table](super::bounded) lie, by their hashes.
//!
//! Looking somebody up is waiting for memory and little else, so all that a look-up needs lies together: half of a hash and a
//! place in eight bytes, the next best place beside it (linear probing; Knuth, TAOCP 3, 6.4), no marks that lie elsewhere.
//! There are several indices of different sizes, and none of them doubles at the same time as another.

use crate::base::prefetch::prefetch_at;
use crate::engine::table;

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

/// One of several.
#[derive(Default)]
struct Part {
    /// A power of two, or none.
    slots: Vec<Slot>,
    used: usize,
}

impl Part {
    /// Where the first slot of a hash is that `is` says, and the slot.
    #[inline]
    fn find(&self, hash: u32, is: impl Fn(Slot) -> bool) -> Option<(usize, Slot)> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut place = hash as usize & mask;
        loop {
            let slot = *self.slots.get(place)?;
            if slot.at == EMPTY.at {
                return None;
            }
            if slot.hash == hash && is(slot) {
                return Some((place, slot));
            }
            place = (place + 1) & mask;
        }
    }

    fn insert(&mut self, slot: Slot) {
        if (self.used + 1) * 4 > self.slots.len() * USED_OF_FOUR {
            let doubled = (2 * self.slots.len()).max(SLOTS_MIN);
            for slot in std::mem::replace(&mut self.slots, vec![EMPTY; doubled]) {
                if slot.at != EMPTY.at {
                    self.put(slot);
                }
            }
        }
        self.put(slot);
        self.used += 1;
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut place = slot.hash as usize & mask;
        while self.slots[place].at != EMPTY.at {
            place = (place + 1) & mask;
        }
        self.slots[place] = slot;
    }

    /// Empties a slot, and closes the gap: what was put behind it, for it was taken, moves up (Knuth's algorithm R).
    fn remove(&mut self, mut gap: usize) {
        let mask = self.slots.len() - 1;
        let mut place = gap;
        loop {
            place = (place + 1) & mask;
            let slot = self.slots[place];
            if slot.at == EMPTY.at {
                break;
            }
            let (from_home, from_gap) =
                (place.wrapping_sub(slot.hash as usize) & mask, place.wrapping_sub(gap) & mask);
            if from_home >= from_gap {
                self.slots[gap] = slot;
                gap = place;
            }
        }
        self.slots[gap] = EMPTY;
        self.used -= 1;
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct HashIndex([Part; table::SEGMENTS]);

/// Which one a hash is in: by bits that its place there does not come from.
#[inline]
fn part_of(hash: u32) -> usize {
    table::segment((hash >> 24) as u8)
}

impl HashIndex {
    /// Where the entry lies whose hash this is, and of which `is` says that it is the one.
    #[inline]
    pub(super) fn find(&self, hash: u32, is: impl Fn(usize) -> bool) -> Option<usize> {
        let found = self.0[part_of(hash)].find(hash, |slot| is(slot.at as usize));
        found.map(|(_, slot)| slot.at as usize)
    }

    /// Asks for the memory that finding the entry of that hash will look at.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        let part = &self.0[part_of(hash)];
        prefetch_at(&part.slots, hash as usize & part.slots.len().wrapping_sub(1));
    }

    /// Notes where an entry lies.
    pub(super) fn insert(&mut self, hash: u32, at: usize) {
        self.0[part_of(hash)].insert(Slot { hash, at: at as u32 });
    }

    /// Forgets the entry that lies there.
    pub(super) fn remove(&mut self, hash: u32, at: usize) {
        let part = &mut self.0[part_of(hash)];
        if let Some((place, _)) = part.find(hash, |slot| slot.at as usize == at) {
            part.remove(place);
        }
    }

    /// Notes that an entry lies elsewhere now.
    pub(super) fn moved(&mut self, hash: u32, from: usize, to: usize) {
        let part = &mut self.0[part_of(hash)];
        if let Some((place, _)) = part.find(hash, |slot| slot.at as usize == from) {
            part.slots[place].at = to as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes that crowd together among them, so that gaps are closed round the end of a part, too.
        #[test]
        fn finds_what_was_noted_and_not_forgotten(steps in prop::collection::vec((0u32..40, 0usize..6, 0u8..3), 1..500)) {
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
                    _ => index.remove(hash, n),
                }
                for (at, hash) in &model {
                    prop_assert_eq!(index.find(*hash, |other| other == *at), Some(*at));
                }
                prop_assert_eq!(index.find(hash, |at| !model.contains_key(&at)), None);
                let used: usize = index.0.iter().map(|part| part.slots.iter().filter(|slot| slot.at != EMPTY.at).count()).sum();
                prop_assert_eq!(used, model.len());
                prop_assert_eq!(index.0.iter().map(|part| part.used).sum::<usize>(), used);
            }
        }
    }
}
