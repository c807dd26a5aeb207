//! Where the records of a shard lie: one cache line each, in a row that is found through an index.
//!
//! A hash table that doubles copies everything at once, and the request that made it grow waits for that: so the row grows by a
//! block, and the [index](super::index), 11 to 21 bytes for each record of 64, is several. What of the index a look-up will need
//! can be asked for before: see [`prefetch_index`](Table::prefetch_index).

use std::hash::BuildHasher;
use std::slice;

use foldhash::fast::SeedableRandomState;

use crate::base::prefetch::{prefetch, prefetch_at};

use super::index::HashIndex;
use super::record::{Record, RecordKey};
use super::row::Row;

/// 64 bytes at a place that 64 divides: no record lies on two cache lines.
#[derive(Debug)]
#[repr(align(64))]
struct Slot {
    key: RecordKey,
    record: Record,
}

/// So many records are made room for at a time: so few blocks that where they lie stays at hand, and 4 KiB, which the allocator has
/// at places that 64 divides; of a larger block it would make a quarter more to be able to move it there.
const BLOCK: usize = 64;

/// Whoever goes through all records asks so many before for what one keeps elsewhere.
const AHEAD: usize = 8;

/// Records by their keys.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Table {
    row: Row<Slot, BLOCK>,
    index: HashIndex,
}

/// Where a record was found. It holds until one is taken out of the table; afterwards it may point at another record, or none, and is
/// looked up again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(u32);

/// The bits of a hash that tell the records of one subject apart. An index takes the part from bits above them, and a place in
/// it from bits below, as long as a part has at most 65,536 slots: 100 million records, in 256 shards of 8 parts.
const TAG: u32 = 0x00ff_0000;

/// The hash of a key: where to look comes from the subject alone, and what tells its records apart is the tag. So all that is
/// counted of one address, or of one account, lies side by side, and mostly one cache line says where.
#[inline]
pub(super) fn hash_of(hasher: &SeedableRandomState, key: RecordKey) -> u32 {
    let (family, subject) = key.parts();
    hash_of_subject(hasher, subject) ^ ((family.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 & TAG)
}

/// The hash of whatever is counted of a subject, but for its tag.
#[inline]
pub(super) fn hash_of_subject(hasher: &SeedableRandomState, subject: (u64, u64)) -> u32 {
    hasher.hash_one(subject) as u32
}

impl Table {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    /// Where the record of `key` lies, whose hash is `hash`.
    #[inline]
    pub(super) fn place(&self, hash: u32, key: RecordKey) -> Option<Place> {
        self.index.find(hash, |at| self.row[at].key == key).map(|at| Place(at as u32))
    }

    /// Where a record of that hash lies, and none where that is `None`. It is mostly the one that is looked for:
    /// [`at`](Self::at) tells. Waits for one cache line less than [`place`](Self::place).
    #[inline]
    pub(super) fn likely_place(&self, hash: u32) -> Option<Place> {
        self.index.find(hash, |_| true).map(|at| Place(at as u32))
    }

    /// Asks for what is looked at first for the records of that hash, or of its subject.
    #[inline]
    pub(super) fn prefetch_index(&self, hash: u32) {
        self.index.prefetch(hash);
    }

    /// Asks for the record that has that hash, and says where it lies.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) -> Option<Place> {
        let place = self.likely_place(hash)?;
        prefetch_at(slice::from_ref(self.row.get(place.0 as usize)?), 0);
        Some(place)
    }

    /// Asks for what the record that lies there keeps elsewhere.
    #[inline]
    pub(super) fn prefetch_behind(&self, place: Place) {
        if let Some(Slot { record: Record::Seen(seen), .. }) = self.row.get(place.0 as usize) {
            prefetch(&**seen);
        }
    }

    /// Asks for what stands behind that.
    #[inline]
    pub(super) fn prefetch_beyond(&self, place: Place) {
        if let Some(Slot { record: Record::Seen(seen), .. }) = self.row.get(place.0 as usize) {
            seen.prefetch();
        }
    }

    /// The record at a place where it was found, and nothing was taken out since.
    #[inline]
    pub(super) fn record(&self, Place(at): Place) -> &Record {
        &self.row[at as usize].record
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn record_mut(&mut self, Place(at): Place) -> &mut Record {
        &mut self.row[at as usize].record
    }

    /// The record at a place, where it is still that of `key`.
    #[inline]
    pub(super) fn at(&self, place: Place, key: RecordKey) -> Option<&Record> {
        let slot = self.row.get(place.0 as usize)?;
        (slot.key == key).then_some(&slot.record)
    }

    /// The record of `key`.
    #[inline]
    pub(super) fn get(&self, hasher: &SeedableRandomState, key: RecordKey) -> Option<&Record> {
        Some(self.record(self.place(hash_of(hasher, key), key)?))
    }

    /// Puts in the record of a key that has none. Gives where it lies, and the record.
    pub(super) fn insert(&mut self, hash: u32, key: RecordKey, record: Record) -> (Place, &mut Record) {
        let at = self.row.len();
        self.row.push(Slot { key, record });
        self.index.insert(hash, at);
        (Place(at as u32), &mut self.row[at].record)
    }

    /// Changes the record of `key`, or makes one where there is none.
    pub(super) fn merge(
        &mut self,
        hasher: &SeedableRandomState,
        key: RecordKey,
        change: impl FnOnce(&mut Record),
        make: impl FnOnce() -> Record,
    ) {
        let hash = hash_of(hasher, key);
        match self.place(hash, key) {
            Some(Place(at)) => change(&mut self.row[at as usize].record),
            None => {
                self.insert(hash, key, make());
            }
        }
    }

    /// Takes the record of `key` out.
    pub(super) fn remove(&mut self, hasher: &SeedableRandomState, key: RecordKey) -> Option<Record> {
        let Place(at) = self.place(hash_of(hasher, key), key)?;
        self.take(hasher, at as usize)
    }

    /// Takes out what lies there; the last one takes its place.
    fn take(&mut self, hasher: &SeedableRandomState, at: usize) -> Option<Record> {
        let hash = |slot: &Slot| hash_of(hasher, slot.key);
        self.index.remove(hash(&self.row[at]), at);
        let last = self.row.len() - 1;
        if at != last {
            self.index.moved(hash(&self.row[last]), last, at);
        }
        self.row.swap_remove(at).map(|slot| slot.record)
    }

    /// All records, in the order in which they were put in, but for those that took the place of one that was taken out.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RecordKey, &Record)> {
        self.row.iter().map(|slot| (slot.key, &slot.record))
    }

    /// Keeps those that `keep` says.
    pub(super) fn retain(
        &mut self,
        hasher: &SeedableRandomState,
        mut keep: impl FnMut(RecordKey, &mut Record) -> bool,
    ) {
        // From behind: what takes the place of one that goes was asked before.
        for at in (0..self.row.len()).rev() {
            if let Some(later) = at.checked_sub(AHEAD) {
                self.prefetch_behind(Place(later as u32));
            }
            let slot = &mut self.row[at];
            if !keep(slot.key, &mut slot.record) {
                self.take(hasher, at);
            }
        }
    }

    /// Gives memory back after many records have gone.
    pub(super) fn shrink(&mut self) {
        self.index.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_its_key_is_one_cache_line() {
        assert_eq!((std::mem::size_of::<Slot>(), std::mem::align_of::<Slot>()), (64, 64));
    }
}
