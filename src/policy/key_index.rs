//! Which key a hash is of.
//!
//! Looking a key up is waiting for memory and little else. So all that says where to look next lies together, in a slot of sixteen bytes, of
//! which there are two to four for each key (linear probing; Knuth, TAOCP 3, 6.4), and says where the account lies, too: key, account and the whole of the hash are
//! then fetched at the same time, and not one for the other. Whoever knows early who asks has them fetched meanwhile:
//! [`prefetch`](KeyIndex::prefetch).
//!
//! Keys are long and random, and what a stranger shows is no key of ours: nobody can choose hashes that crowd together here.

use crate::base::prefetch::prefetch_at;
use crate::base::secret::KeyHash;

/// A key in the index. `tag` is a part of its hash.
#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u64,
    key: u32,
    account: u32,
}

const EMPTY: Slot = Slot { tag: 0, key: u32::MAX, account: u32::MAX };

/// The places of keys and of their accounts, by the keys' hashes.
#[derive(Debug, Default)]
pub(super) struct KeyIndex {
    /// A power of two, at least twice as many as there are keys; or none.
    slots: Box<[Slot]>,
    /// By the place of the key.
    hashes: Box<[KeyHash]>,
}

/// A key that is likely the one of a hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Likely {
    pub(super) key: usize,
    pub(super) account: usize,
}

fn tag(hash: &KeyHash) -> u64 {
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has more than eight bytes");
    u64::from_le_bytes(*first)
}

impl KeyIndex {
    /// The hashes of all keys, in the order of their places, each with the place of its account.
    pub(super) fn new(keys: impl ExactSizeIterator<Item = (KeyHash, u32)>) -> Self {
        if keys.len() == 0 {
            return Self::default();
        }
        let mut slots = vec![EMPTY; (2 * keys.len()).next_power_of_two()].into_boxed_slice();
        let mask = slots.len() - 1;
        let mut hashes = Vec::with_capacity(keys.len());
        for (key, (hash, account)) in (0u32..).zip(keys) {
            let tag = tag(&hash);
            let mut place = tag as usize & mask;
            while slots[place].key != EMPTY.key {
                place = (place + 1) & mask;
            }
            slots[place] = Slot { tag, key, account };
            hashes.push(hash);
        }
        Self { slots, hashes: hashes.into() }
    }

    /// Asks for the memory that looking up this hash begins with.
    #[inline]
    pub(super) fn prefetch(&self, hash: &KeyHash) {
        prefetch_at(&self.slots, tag(hash) as usize & self.slots.len().wrapping_sub(1));
    }

    /// Which key this hash is likely of: the first one that shares a part of it. Asks for the rest of that one's hash.
    #[inline]
    pub(super) fn likely(&self, hash: &KeyHash) -> Option<Likely> {
        let slot = self.slots_of(tag(hash)).next()?;
        prefetch_at(&self.hashes, slot.key as usize);
        Some(Likely { key: slot.key as usize, account: slot.account as usize })
    }

    /// The place of the key of this hash.
    #[inline]
    pub(super) fn find(&self, hash: &KeyHash) -> Option<usize> {
        self.slots_of(tag(hash)).map(|slot| slot.key as usize).find(|key| self.hashes[*key] == *hash)
    }

    /// The slots of a tag.
    #[inline]
    fn slots_of(&self, tag: u64) -> impl Iterator<Item = Slot> {
        let mask = self.slots.len().wrapping_sub(1);
        let slots =
            (0..self.slots.len()).map(move |step| self.slots[(tag as usize).wrapping_add(step) & mask]);
        slots.take_while(|slot| slot.key != EMPTY.key).filter(move |slot| slot.tag == tag)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(number: u8, rest: u8) -> KeyHash {
        // Tags that share their home slots, or are the same although the hashes are not.
        let digits = |byte: u8, times: usize| format!("{byte:02x}").repeat(times);
        KeyHash::parse(&format!("blake3:{}{}", digits(number, 8), digits(rest, 24))).unwrap()
    }

    proptest! {
        /// However hashes crowd together.
        #[test]
        fn finds_every_key_and_no_other(chosen in prop::collection::btree_set((0u8..40, 0u8..3), 0..60)) {
            let keys: Vec<_> = chosen.iter().map(|(number, rest)| hash(*number, *rest)).collect();
            let index = KeyIndex::new(keys.iter().enumerate().map(|(place, key)| (*key, place as u32 + 100)));
            for (number, rest) in (0..40).flat_map(|number| (0..3).map(move |rest| (number, rest))) {
                let asked = hash(number, rest);
                let place = keys.iter().position(|key| *key == asked);
                prop_assert_eq!(index.find(&asked), place);
                index.prefetch(&asked);
                let likely = index.likely(&asked);
                prop_assert!(likely.is_some() || place.is_none());
                prop_assert!(likely.is_none_or(|likely| likely.account == likely.key + 100));
            }
        }
    }
}
