//! One shard of the book: its records, and how they are folded when there are too many.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use foldhash::fast::SeedableRandomState;
use hashbrown::HashTable;

use super::record::{Record, RecordKey};
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::set::Counter;

/// Records, and how many of them, by their weight, count towards the cap.
#[derive(Default)]
pub(super) struct Shard {
    records: HashTable<(RecordKey, Record)>,
    strangers: usize,
    /// Records that others were folded into; while there are none, nobody looks for parents.
    folds: usize,
    /// How many of the strangers' records were left when room was made last: those could not be folded any further.
    tight: usize,
}

impl Shard {
    /// How many records count towards the cap.
    pub(super) fn strangers(&self) -> usize {
        self.strangers
    }

    /// Whether it is worth looking for room beyond `share` records: where little could be folded the last time, a look is
    /// due again once there are a quarter more. It goes through all records, and requests wait for it.
    pub(super) fn is_over(&self, share: usize) -> bool {
        self.strangers >= share.max(self.tight + self.tight / 4)
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Gives memory back after many records have ended.
    pub(super) fn shrink(&mut self, hasher: &SeedableRandomState) {
        let room = self.records.len() * 2;
        if self.records.capacity() > room + 64 {
            self.records.shrink_to(room, |(key, _)| hasher.hash_one(key));
        }
    }

    /// The key under which `key`'s count stands: its own, or that of a parent that it was folded into.
    fn resolve(&self, hasher: &SeedableRandomState, key: RecordKey) -> Option<RecordKey> {
        let holds =
            |key: &RecordKey| self.records.find(hasher.hash_one(key), |(other, _)| other == key).is_some();
        if holds(&key) {
            return Some(key);
        }
        if self.folds == 0 {
            return None;
        }
        std::iter::successors(key.parent(), |key| key.parent()).find(holds)
    }

    pub(super) fn find(&self, hasher: &SeedableRandomState, key: RecordKey) -> Option<&Record> {
        if self.folds == 0 {
            return self
                .records
                .find(hasher.hash_one(key), |(other, _)| *other == key)
                .map(|(_, record)| record);
        }
        let key = self.resolve(hasher, key)?;
        self.records.find(hasher.hash_one(key), |(other, _)| *other == key).map(|(_, record)| record)
    }

    pub(super) fn find_mut(&mut self, hasher: &SeedableRandomState, key: RecordKey) -> Option<&mut Record> {
        let key = if self.folds == 0 { key } else { self.resolve(hasher, key)? };
        self.records.find_mut(hasher.hash_one(key), |(other, _)| *other == key).map(|(_, record)| record)
    }

    /// Charges one, in a new record where there is none. Gives the record, and by how much the strangers' weight grew.
    pub(super) fn charge(
        &mut self,
        hasher: &SeedableRandomState,
        counter: &Counter,
        subject: Subject,
        counted: Subject,
        now: Timestamp,
    ) -> (&Record, usize) {
        let own = RecordKey::new(counter, subject);
        let key = if self.folds == 0 { own } else { self.resolve(hasher, own).unwrap_or(own) };
        let hash = hasher.hash_one(key);
        // Not `entry`: it makes room for one more even where the key is there, an allocation now and then for nothing.
        let (record, before) = match self.records.find_entry(hash, |(other, _)| *other == key) {
            Ok(entry) => {
                let record = &mut entry.into_mut().1;
                let before = record.weight();
                (record, before)
            }
            Err(absent) => {
                let new = (key, Record::empty(&counter.limit));
                let entry = absent.into_table().insert_unique(hash, new, |(key, _)| hasher.hash_one(key));
                (&mut entry.into_mut().1, 0)
            }
        };
        record.charge(&counter.limit, counted, now);
        let grown = if key.is_strangers() { record.weight().saturating_sub(before) } else { 0 };
        self.strangers += grown;
        (record, grown)
    }

    /// Frees records that say the same as none.
    pub(super) fn free_ended(&mut self, now: Timestamp) {
        self.records.retain(|(_, record)| !record.is_over(now));
        self.recount();
    }

    /// Brings the strangers' records down to `wanted`, if that can be done at all: frees what has ended, then folds the
    /// parents with the most records, near ones first, so that as few as possible come to share a limit.
    pub(super) fn make_room(&mut self, hasher: &SeedableRandomState, wanted: usize, now: Timestamp) {
        self.free_ended(now);
        for (width, children_min) in [(1, 8), (2, 8), (1, 2), (2, 2), (3, 2)] {
            if self.strangers <= wanted {
                break;
            }
            let mut children: BTreeMap<RecordKey, usize> = BTreeMap::new();
            for (key, _) in &self.records {
                if let Some(parent) = key.ancestor(width) {
                    *children.entry(parent).or_default() += 1;
                }
            }
            let mut parents: Vec<_> =
                children.into_iter().filter(|(_, children)| *children >= children_min).collect();
            // The most children first; a stable sort keeps equal ones in the order of their keys.
            parents.sort_by_key(|(_, children)| std::cmp::Reverse(*children));
            let mut left = self.strangers;
            let chosen: BTreeSet<RecordKey> = parents
                .into_iter()
                .take_while(|(_, children)| {
                    let more = left > wanted;
                    left -= children - 1;
                    more
                })
                .map(|(parent, _)| parent)
                .collect();
            let mut folded: BTreeMap<RecordKey, Record> = BTreeMap::new();
            self.records.retain(|(key, record)| {
                let Some(parent) = key.ancestor(width).filter(|parent| chosen.contains(parent)) else {
                    return true;
                };
                folded
                    .entry(parent)
                    .and_modify(|into| into.absorb(record, now))
                    .or_insert_with(|| record.clone());
                false
            });
            for (key, record) in folded {
                let hash = hasher.hash_one(key);
                match self.records.find_mut(hash, |(other, _)| *other == key) {
                    Some((_, into)) => into.absorb(&record, now),
                    None => {
                        self.records.insert_unique(hash, (key, record), |(key, _)| hasher.hash_one(key));
                    }
                }
            }
            self.recount();
        }
        self.tight = self.strangers;
    }

    fn recount(&mut self) {
        let strangers = self.records.iter().filter(|(key, _)| key.is_strangers());
        self.strangers = strangers.map(|(_, record)| record.weight()).sum();
        self.folds = self.records.iter().filter(|(key, _)| key.is_fold()).count();
        self.tight = self.tight.min(self.strangers);
    }
}
