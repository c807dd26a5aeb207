//! Where the records of a shard lie: one cache line each, in segments that grow one at a time.
//!
//! A hash table that doubles copies everything at once, and the request that made it grow waits for that. So each shard has
//! several small tables. Their shares of the keys differ, each 2^(1/8) times the one before: no two of them double at the same
//! time, and however many records there are, about the same part of the memory lies empty.

use std::hash::BuildHasher;

use foldhash::fast::SeedableRandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::base::prefetch::prefetch;

use super::record::{Record, RecordKey};

pub(super) const SEGMENTS: usize = 8;

/// 64 bytes at a place that 64 divides: no record lies on two cache lines.
#[derive(Debug)]
#[repr(align(64))]
struct Slot {
    key: RecordKey,
    record: Record,
}

/// Records by their keys.
#[derive(Debug, Default)]
pub(super) struct Table([HashTable<Slot>; SEGMENTS]);

/// Where a record was found. It holds until the next change of the table; afterwards it may point at another record, or
/// none, and is looked up again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: u8,
    index: usize,
}

/// The seven bits that a table tags its places with, and asks before it looks at a place.
const TAG: u64 = 0x7f << 57;

/// The hash of a key: where to look comes from the subject alone, and what tells its records apart is the tag. So all that is
/// counted of one address, or of one account, lies side by side, and one cache line says where.
#[inline]
pub(super) fn hash_of(hasher: &SeedableRandomState, key: RecordKey) -> u64 {
    let (family, subject) = key.parts();
    hasher.hash_one(subject) ^ (family.wrapping_mul(0x9e37_79b9_7f4a_7c15) & TAG)
}

/// The segment of one of 256 parts of all keys.
#[inline]
pub(super) fn segment(part: u8) -> usize {
    usize::from(SHARES[usize::from(part)])
}

/// The segment of a hash, by bits that neither a table's index nor its tags come from.
#[inline]
fn segment_of(hash: u64) -> usize {
    segment((hash >> 40) as u8)
}

/// For each of 256 parts of all keys the segment that they go to.
const SHARES: [u8; 256] = shares();

const fn shares() -> [u8; 256] {
    // 2^(1/8) in parts of 2^32, multiplied up: constant evaluation has no powers of its own.
    const STEP: u64 = 4_683_695_047;
    let (mut shares, mut segment, mut bound) = ([0; 256], 0u8, STEP);
    let mut part = 0;
    while part < 256 {
        // Segment n holds the parts from 2^(n/8) - 1 to 2^((n+1)/8) - 1 of the whole.
        while (part as u64 + 256) << 24 >= bound && (segment as usize) < SEGMENTS - 1 {
            bound = ((bound as u128 * STEP as u128) >> 32) as u64;
            segment += 1;
        }
        shares[part] = segment;
        part += 1;
    }
    shares
}

impl Table {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(HashTable::len).sum()
    }

    /// Where the record of `key` lies, whose hash is `hash`.
    #[inline]
    pub(super) fn place(&self, hash: u64, key: RecordKey) -> Option<Place> {
        let segment = segment_of(hash);
        let index = self.0[segment].find_bucket_index(hash, |slot| slot.key == key)?;
        Some(Place { segment: segment as u8, index })
    }

    /// Where a record with the tag of that hash lies, and none where that is `None`. It is mostly the one that is looked for:
    /// [`at`](Self::at) tells. Waits for one cache line less than [`place`](Self::place).
    #[inline]
    pub(super) fn likely_place(&self, hash: u64) -> Option<Place> {
        let segment = segment_of(hash);
        let index = self.0[segment].find_bucket_index(hash, |_| true)?;
        Some(Place { segment: segment as u8, index })
    }

    /// Asks for the record that has the tag of that hash.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(place) = self.likely_place(hash)
            && let Some(slot) = self.0[usize::from(place.segment)].get_bucket(place.index)
        {
            prefetch(slot);
        }
    }

    /// The record at a place, where it is still that of `key`.
    #[inline]
    pub(super) fn at(&self, place: Place, key: RecordKey) -> Option<&Record> {
        let slot = self.0[usize::from(place.segment)].get_bucket(place.index)?;
        (slot.key == key).then_some(&slot.record)
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn at_mut(&mut self, place: Place, key: RecordKey) -> Option<&mut Record> {
        let slot = self.0[usize::from(place.segment)].get_bucket_mut(place.index)?;
        (slot.key == key).then_some(&mut slot.record)
    }

    /// The record of `key`.
    #[inline]
    pub(super) fn get(&self, hasher: &SeedableRandomState, key: RecordKey) -> Option<&Record> {
        let hash = hash_of(hasher, key);
        self.0[segment_of(hash)].find(hash, |slot| slot.key == key).map(|slot| &slot.record)
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, hasher: &SeedableRandomState, key: RecordKey) -> Option<&mut Record> {
        let hash = hash_of(hasher, key);
        self.0[segment_of(hash)].find_mut(hash, |slot| slot.key == key).map(|slot| &mut slot.record)
    }

    /// Puts in the record of a key that has none.
    pub(super) fn insert(
        &mut self,
        hasher: &SeedableRandomState,
        hash: u64,
        key: RecordKey,
        record: Record,
    ) -> &mut Record {
        let rehash = |slot: &Slot| hash_of(hasher, slot.key);
        let entry = self.0[segment_of(hash)].insert_unique(hash, Slot { key, record }, rehash);
        &mut entry.into_mut().record
    }

    /// The record of `key`, made by `make` where there is none; and whether there was one.
    pub(super) fn merge(
        &mut self,
        hasher: &SeedableRandomState,
        key: RecordKey,
        change: impl FnOnce(&mut Record),
        make: impl FnOnce() -> Record,
    ) {
        let hash = hash_of(hasher, key);
        let rehash = |slot: &Slot| hash_of(hasher, slot.key);
        match self.0[segment_of(hash)].entry(hash, |slot| slot.key == key, rehash) {
            Entry::Occupied(mut found) => change(&mut found.get_mut().record),
            Entry::Vacant(absent) => {
                absent.insert(Slot { key, record: make() });
            }
        }
    }

    /// Takes the record of `key` out.
    pub(super) fn remove(&mut self, hasher: &SeedableRandomState, key: RecordKey) -> Option<Record> {
        let hash = hash_of(hasher, key);
        let found = self.0[segment_of(hash)].find_entry(hash, |slot| slot.key == key).ok()?;
        Some(found.remove().0.record)
    }

    /// All records, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RecordKey, &Record)> {
        self.0.iter().flatten().map(|slot| (slot.key, &slot.record))
    }

    /// Keeps those that `keep` says.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(RecordKey, &mut Record) -> bool) {
        for segment in &mut self.0 {
            segment.retain(|slot| keep(slot.key, &mut slot.record));
        }
    }

    /// Gives memory back after many records have gone.
    pub(super) fn shrink(&mut self, hasher: &SeedableRandomState) {
        for segment in &mut self.0 {
            let room = segment.len() * 2;
            if segment.capacity() > room + 16 {
                segment.shrink_to(room, |slot| hash_of(hasher, slot.key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_its_key_is_one_cache_line() {
        assert_eq!((std::mem::size_of::<Slot>(), std::mem::align_of::<Slot>()), (64, 64));
    }

    /// Or two of them would double at the same time, and some would hold nothing.
    #[test]
    fn shares_grow_from_segment_to_segment_and_leave_none_out() {
        let mut parts = [0u32; SEGMENTS];
        for share in SHARES {
            parts[usize::from(share)] += 1;
        }
        assert!(parts.iter().all(|parts| (22..=44).contains(parts)), "{parts:?}");
        assert!(SHARES.is_sorted() && parts[SEGMENTS - 1] > parts[0]);
    }
}
