//! One shard of the book: its records, and what becomes of them when there are too many.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::SeedableRandomState;

use super::blur::Blur;
use super::record::{Record, RecordKey};
use super::table::{Place, Table, hash_of};
use super::usage::Usage;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::counter::Limit;

/// Records, and how many of them, by their weight, count towards the cap. In the order in which they are asked: what every charge looks
/// at comes first, on one cache line with the lock, and on the next two where records are found.
#[derive(Default)]
#[repr(C)]
pub(super) struct Shard {
    strangers: usize,
    /// How many counted towards the cap after room was made last.
    kept: usize,
    /// Records that others were folded into; while there are none, nobody looks for parents.
    folds: usize,
    /// `None`: nobody was blurred.
    blur: Option<Box<Blur>>,
    records: Table,
}

/// Where a record is likely to lie: whoever kept it need not look for the record again. Where it lies elsewhere by now, or nowhere,
/// that is noticed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Likely {
    /// Nobody has looked.
    Unseen,
    /// Its hash is known.
    Hashed(u32),
    /// Its hash, and where one lies that has this hash.
    At(u32, Place),
}

/// A record that was looked up under its own name, until one is taken out of the shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookUp {
    pub(super) key: RecordKey,
    hash: u32,
    place: Option<Place>,
}

/// A prefix is crowded, and folded, where it has at least so many records, and at least one in [`CROWD_SHARE`] of all in
/// its shard: a sprayed one has nearly all of them. With fewer, blurring costs its honest addresses nothing, while a shared
/// limit would: two hundred thousand bots, spread over the world, would shut everybody out who has one of them among
/// 65,536 neighbours, and a spray of rooms everybody whose provider has eight more customers here.
const CROWD_MIN: usize = 8;
const CROWD_SHARE: usize = 8;

impl Shard {
    /// How many records count towards the cap.
    pub(super) fn strangers(&self) -> usize {
        self.strangers
    }

    /// Whether there are more records than its `share`, and enough of them new to make room again: where most of them
    /// cannot be folded, looking at all of them for every request would cost more than the room is worth.
    pub(super) fn is_over(&self, share: usize) -> bool {
        self.strangers >= share.max(1) && self.strangers > self.kept + share / 8
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Gives memory back after many records have ended.
    pub(super) fn shrink(&mut self) {
        self.records.shrink();
    }

    /// Asks for what is looked at first for the records of that hash, or of its subject.
    #[inline]
    pub(super) fn prefetch_index(&self, hash: u32) {
        self.records.prefetch_index(hash);
    }

    /// Asks for the record that has that hash, and says where it lies.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) -> Option<Place> {
        self.records.prefetch(hash)
    }

    /// Asks for what the record that lies there keeps elsewhere.
    #[inline]
    pub(super) fn prefetch_behind(&self, place: Place) {
        self.records.prefetch_behind(place);
    }

    /// Asks for what stands behind that.
    #[inline]
    pub(super) fn prefetch_beyond(&self, place: Place) {
        self.records.prefetch_beyond(place);
    }

    fn get(&self, hasher: &SeedableRandomState, key: RecordKey) -> Option<&Record> {
        self.records.get(hasher, key)
    }

    /// Begins to look a record up under its own name, to be read and then charged without looking again.
    /// [`confirm`](Self::confirm) ends it: what is asked for several records need not be waited for one after the other.
    #[inline]
    pub(super) fn look_up(&self, hasher: &SeedableRandomState, key: RecordKey, likely: Likely) -> LookUp {
        let hash = match likely {
            Likely::At(hash, place) => return LookUp { key, hash, place: Some(place) },
            Likely::Hashed(hash) => hash,
            Likely::Unseen => hash_of(hasher, key),
        };
        LookUp { key, hash, place: self.records.likely_place(hash) }
    }

    /// Makes sure that what was looked up is the record of that key.
    #[inline]
    pub(super) fn confirm(&self, look_up: &mut LookUp) {
        if let Some(place) = look_up.place
            && self.records.at(place, look_up.key).is_none()
        {
            look_up.place = self.records.place(look_up.hash, look_up.key);
        }
    }

    /// What counts against a key that was looked up and confirmed, in its own name or another's.
    pub(super) fn found(
        &self,
        hasher: &SeedableRandomState,
        look_up: &LookUp,
        now: Timestamp,
    ) -> Option<Cow<'_, Record>> {
        match look_up.place {
            Some(place) => Some(Cow::Borrowed(self.records.record(place))),
            None if self.folds == 0 && self.blur.is_none() => None,
            None => self.find(hasher, look_up.key, now),
        }
    }

    /// The key under which `key`'s count goes on: its own, or that of a neighbourhood that it was folded into.
    fn resolve(&self, hasher: &SeedableRandomState, key: RecordKey) -> Option<RecordKey> {
        if self.folds == 0 {
            return self.get(hasher, key).map(|_| key);
        }
        key.neighbourhood().find(|key| self.get(hasher, *key).is_some())
    }

    /// Where `key` was blurred: the most that it can have spent.
    fn blurred(&self, hasher: &SeedableRandomState, key: RecordKey, now: Timestamp) -> Option<Record> {
        let blur = self.blur.as_ref()?;
        let bucket = key.bucket()?;
        let spent = blur.spent_at_most(key.fixed_hash())?;
        self.get(hasher, bucket).map(|record| record.spent_at_most(spent, now))
    }

    /// What counts against `key`, in its own name or another's.
    pub(super) fn find(
        &self,
        hasher: &SeedableRandomState,
        key: RecordKey,
        now: Timestamp,
    ) -> Option<Cow<'_, Record>> {
        match self.resolve(hasher, key) {
            Some(key) => self.get(hasher, key).map(Cow::Borrowed),
            None => self.blurred(hasher, key, now).map(Cow::Owned),
        }
    }

    /// As [`find`](Self::find), and whether the count is another's than `key`'s own.
    pub(super) fn find_with_key(
        &self,
        hasher: &SeedableRandomState,
        key: RecordKey,
        now: Timestamp,
    ) -> (Option<Cow<'_, Record>>, bool) {
        let own = self.get(hasher, key);
        if own.is_some() {
            return (own.map(Cow::Borrowed), false);
        }
        let others = self.find(hasher, key, now);
        let shared = others.is_some();
        (others, shared)
    }

    /// What a receipt's count stands in. A bucket is none: what it says is true of others, too.
    pub(super) fn find_mut(
        &mut self,
        hasher: &SeedableRandomState,
        key: RecordKey,
        likely: Likely,
    ) -> Option<&mut Record> {
        let place = match likely {
            Likely::At(_, place) if self.records.at(place, key).is_some() => place,
            _ => {
                let key = if self.folds == 0 { key } else { self.resolve(hasher, key)? };
                self.records.place(hash_of(hasher, key), key)?
            }
        };
        Some(self.records.record_mut(place))
    }

    /// Charges one to what was looked up and confirmed, in a new record where there is none. Gives the record and where it lies,
    /// and by how much the strangers' weight grew.
    pub(super) fn charge(
        &mut self,
        hasher: &SeedableRandomState,
        limit: &Limit,
        look_up: &LookUp,
        counted: Subject,
        now: Timestamp,
    ) -> (&Record, Likely, usize) {
        let LookUp { mut key, mut hash, mut place } = *look_up;
        let mut is_own = true;
        if place.is_none() {
            // It may go on under another name.
            if self.folds > 0
                && let Some(other) = self.resolve(hasher, key)
            {
                (key, hash, is_own) = (other, hash_of(hasher, other), false);
            }
            // Another charge of the same request may have made it.
            place = self.records.place(hash, key);
        }
        let (record, place, before) = if let Some(place) = place {
            let record = self.records.record_mut(place);
            let before = record.weight();
            (record, place, before)
        } else {
            // Whoever was blurred goes on from the most that they can have spent.
            let blurred = self.blurred(hasher, key, now);
            let new = blurred.unwrap_or_else(|| Record::empty(limit));
            let (place, record) = self.records.insert(hash, key, new);
            (record, place, 0)
        };
        record.charge(limit, counted, now);
        let grown = if key.is_strangers() { record.weight().saturating_sub(before) } else { 0 };
        self.strangers += grown;
        (record, if is_own { Likely::At(hash, place) } else { Likely::Unseen }, grown)
    }

    /// Shows each record to `usage`.
    pub(super) fn tally(&self, usage: &mut Usage, now: Timestamp) {
        self.records.iter().for_each(|(key, record)| usage.add(key, record, now));
    }

    /// Frees records that say the same as none.
    pub(super) fn free_ended(&mut self, hasher: &SeedableRandomState, now: Timestamp) {
        self.records.retain(hasher, |_, record| !record.is_over(now));
        if let Some(blur) = &mut self.blur {
            blur.free_ended(now.as_millis());
        }
        self.blur.take_if(|blur| blur.is_empty());
        self.recount();
        self.kept = self.kept.min(self.strangers);
    }

    /// Brings the strangers' records down to `wanted`, if that can be done at all, and so that as few as possible come
    /// to share a limit: frees what has ended, folds crowded prefixes, near ones first, and blurs the least spent of the
    /// others. What cannot be blurred is folded last, with any neighbour: an account's own pairs.
    pub(super) fn make_room(&mut self, hasher: &SeedableRandomState, wanted: usize, now: Timestamp) {
        self.free_ended(hasher, now);
        let crowd = CROWD_MIN.max(self.strangers / CROWD_SHARE);
        self.fold(hasher, 1, crowd, wanted, now);
        self.fold(hasher, 2, crowd, wanted, now);
        self.blur(hasher, wanted, now);
        self.fold(hasher, 1, 2, wanted, now);
        self.fold(hasher, 2, 2, wanted, now);
        self.shrink();
        self.kept = self.strangers;
    }

    /// Folds the parents of that width with the most records, each into one record with the sum of their counts.
    fn fold(
        &mut self,
        hasher: &SeedableRandomState,
        width: u8,
        children_min: usize,
        wanted: usize,
        now: Timestamp,
    ) {
        if self.strangers <= wanted {
            return;
        }
        let mut children: BTreeMap<RecordKey, usize> = BTreeMap::new();
        for (key, _) in self.records.iter() {
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
                left = left.saturating_sub(children - 1);
                more
            })
            .map(|(parent, _)| parent)
            .collect();
        let mut folded: BTreeMap<RecordKey, Record> = BTreeMap::new();
        self.records.retain(hasher, |key, record| {
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
            self.records.merge(hasher, key, |into| into.absorb(&record, now), || record.clone());
        }
        self.recount();
    }

    /// Blurs the least spent records: see [`Blur`].
    fn blur(&mut self, hasher: &SeedableRandomState, wanted: usize, now: Timestamp) {
        if self.strangers <= wanted {
            return;
        }
        let mut candidates: Vec<(u64, RecordKey, usize)> = Vec::new();
        for (key, record) in self.records.iter() {
            // A neighbourhood's sum stays what it is: as the most that somebody had spent it would shut others out.
            if key.is_fold() {
                continue;
            }
            if let (Some(_), Some(spent)) = (key.bucket(), record.spent(now)) {
                candidates.push((spent, key, record.weight()));
            }
        }
        // Keys differ, so that the order is one whatever that of the table was.
        candidates.sort_unstable();
        let mut left = self.strangers;
        for (spent, key, weight) in candidates {
            if left <= wanted {
                break;
            }
            left = left.saturating_sub(weight);
            let Some(bucket) = key.bucket() else { continue };
            let Some(record) = self.records.remove(hasher, key) else { continue };
            self.blur.get_or_insert_default().add(
                key.fixed_hash(),
                spent,
                record.ends_at_last(),
                now.as_millis(),
            );
            let into = |into: &mut Record| into.absorb_most(&record, now);
            self.records.merge(hasher, bucket, into, || {
                let mut most = record.emptied();
                most.absorb_most(&record, now);
                most
            });
        }
        self.recount();
    }

    fn recount(&mut self) {
        let strangers = self.records.iter().filter(|(key, _)| key.is_strangers());
        self.strangers = strangers.map(|(_, record)| record.weight()).sum();
        self.folds = self.records.iter().filter(|(key, _)| key.is_fold()).count();
    }
}
