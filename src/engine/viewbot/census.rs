//! Counts that are halved now and then, a few at a time.
//!
//! A halving makes no round over what is counted: a number says how often everything has been halved, each count says when
//! it was written last, and whoever reads it makes up for the difference. What is left of one or two is nothing; its place is
//! found by a [sweep](Census::sweep) of a few rows for each new count, and given to somebody else. Places stand for keys in
//! tables that count the same things for a part of all ([`Tally`]): there, too, what has faded to nothing is not read, so that
//! a place's next owner inherits nothing.

use std::hash::Hash;

use super::ordinary::Map;

/// Of what fades to less nothing is left.
const LEFT_MIN: f64 = 0.5;

/// So many rows are looked at for each that is counted, while there may be some of which nothing is left.
const SWEPT: usize = 4;

/// What is left of a count after so many halvings; nothing where that is too little.
#[inline]
fn left(count: f64, halvings: u32) -> f64 {
    let left = raw(count, halvings);
    if left < LEFT_MIN { 0.0 } else { left }
}

/// The same, however little it is.
#[inline]
fn raw(count: f64, halvings: u32) -> f64 {
    // A power of two by its exponent alone: exact.
    if halvings == 0 { count } else { count * f64::from_bits(u64::from(1_023 - halvings.min(1_000)) << 52) }
}

/// Stands for a key.
pub(super) type Place = u16;

#[derive(Debug, Clone)]
struct Row<K> {
    key: K,
    /// 0 for a place that is free.
    count: f64,
    halvings: u32,
}

/// How many of each of so many different ones at most.
#[derive(Debug, Clone)]
pub(super) struct Census<K> {
    places: Map<K, Place>,
    rows: Vec<Row<K>>,
    free: Vec<Place>,
    most: usize,
    halvings: u32,
    /// Rows before it have been looked at since the last halving.
    swept: usize,
}

impl<K: Copy + Eq + Hash> Census<K> {
    /// Of at most so many different ones.
    pub(super) fn new(most: usize) -> Self {
        let most = most.min(usize::from(Place::MAX));
        Self { places: Map::default(), rows: Vec::new(), free: Vec::new(), most, halvings: 0, swept: 0 }
    }

    /// How many places there are, free ones included.
    #[inline]
    pub(super) fn places(&self) -> usize {
        self.rows.len()
    }

    /// The place of a key.
    #[inline]
    pub(super) fn place(&self, key: &K) -> Option<Place> {
        self.places.get(key).copied()
    }

    /// What is counted at a place.
    #[inline]
    pub(super) fn at(&self, place: Place) -> f64 {
        let row = &self.rows[usize::from(place)];
        left(row.count, self.halvings - row.halvings)
    }

    /// The same, however little it is.
    pub(super) fn raw_at(&self, place: Place) -> f64 {
        let row = &self.rows[usize::from(place)];
        raw(row.count, self.halvings - row.halvings)
    }

    /// Whose place it is.
    #[inline]
    pub(super) fn key(&self, place: Place) -> K {
        self.rows[usize::from(place)].key
    }

    /// How many there are of a key.
    #[inline]
    pub(super) fn count_of(&self, key: &K) -> f64 {
        self.place(key).map_or(0.0, |place| self.at(place))
    }

    /// Counts so many more. Gives the place; `None` where there are too many different ones to take in another.
    pub(super) fn count(&mut self, key: K, more: f64) -> Option<Place> {
        let halvings = self.halvings;
        if let Some(place) = self.place(&key) {
            let count = self.at(place) + more;
            self.rows[usize::from(place)] = Row { key, count, halvings };
            return Some(place);
        }
        let row = Row { key, count: more, halvings };
        let place = match self.free.pop() {
            Some(place) => {
                self.rows[usize::from(place)] = row;
                place
            }
            None if self.rows.len() < self.most => {
                self.rows.push(row);
                (self.rows.len() - 1) as Place
            }
            None => return None,
        };
        self.places.insert(key, place);
        Some(place)
    }

    /// Halves everything.
    pub(super) fn halve(&mut self) {
        self.halvings += 1;
        self.swept = 0;
    }

    /// Frees a few of the places of which nothing is left; `gone` hears whose they were, and what little they were.
    pub(super) fn sweep(&mut self, mut gone: impl FnMut(K, Place, f64)) {
        let end = (self.swept + SWEPT).min(self.rows.len());
        for place in self.swept..end {
            let (key, little) = (self.rows[place].key, self.raw_at(place as Place));
            if self.rows[place].count > 0.0 && little < LEFT_MIN {
                gone(key, place as Place, little);
                self.rows[place].count = 0.0;
                self.places.remove(&key);
                self.free.push(place as Place);
            }
        }
        self.swept = end;
    }
}

/// Counts of a part of what a census counts, by its places. It keeps no number of halvings: its owner does.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// In order.
    places: Vec<Place>,
    counts: Vec<f64>,
}

impl Tally {
    /// What is counted at a place, with so many halvings still to be made up for.
    #[inline]
    pub(super) fn at(&self, place: Option<Place>, halvings: u32) -> f64 {
        let found = place.and_then(|place| self.places.binary_search(&place).ok());
        found.map_or(0.0, |at| left(self.counts[at], halvings))
    }

    /// Counts so many more; one of `most` different ones.
    pub(super) fn count(&mut self, place: Place, more: f64, most: usize) {
        match self.places.binary_search(&place) {
            Ok(at) => self.counts[at] += more,
            Err(at) if self.places.len() < most => {
                self.places.insert(at, place);
                self.counts.insert(at, more);
            }
            Err(_) => {}
        }
    }

    /// Makes up for so many halvings, and drops what nothing is left of.
    pub(super) fn halve(&mut self, halvings: u32) {
        let mut kept = 0;
        for at in 0..self.places.len() {
            let count = left(self.counts[at], halvings);
            if count > 0.0 {
                (self.places[kept], self.counts[kept]) = (self.places[at], count);
                kept += 1;
            }
        }
        self.places.truncate(kept);
        self.counts.truncate(kept);
    }

    /// All of them, in the order of their places.
    #[inline]
    pub(super) fn iter(&self, halvings: u32) -> impl Iterator<Item = (Place, f64)> {
        let counts = self.counts.iter().map(move |count| left(*count, halvings));
        self.places.iter().copied().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// What a round over everything at each halving would leave, and no place with two owners.
        #[test]
        fn counts_are_what_halving_all_of_them_at_once_leaves(steps in prop::collection::vec(0u16..70, 1..600)) {
            let (mut census, mut tally, mut model) = (Census::new(40), Tally::default(), BTreeMap::new());
            let mut made_up = 0;
            for step in steps {
                if step >= 60 {
                    census.halve();
                    made_up += 1;
                    for count in model.values_mut() {
                        *count *= 0.5;
                    }
                    model.retain(|_, count| *count >= LEFT_MIN);
                } else {
                    census.sweep(|_, _, _| {});
                    let place = census.count(step, 1.0);
                    prop_assert!(place.is_some() || census.places() == 40);
                    if let Some(place) = place {
                        *model.entry(step).or_insert(0.0) += 1.0;
                        tally.halve(made_up);
                        made_up = 0;
                        tally.count(place, 1.0, usize::MAX);
                    }
                }
                for key in 0..60 {
                    let count = model.get(&key).copied().unwrap_or(0.0);
                    prop_assert!((census.count_of(&key) - count).abs() < 1e-12);
                    prop_assert!((tally.at(census.place(&key), made_up) - count).abs() < 1e-12);
                }
            }
        }
    }
}
