//! Where in a query the parameters stand that mean something here: found when it is read, so that nobody looks for
//! them again.

use std::borrow::Cow;

use super::param::Param;
use super::query::{Coded, Pair, Pairs};

/// How many are kept in place. A query with more is an odd one, and is gone through once more.
const KEPT: usize = 12;

/// One parameter that means something here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// What it is.
    pub param: Param,
    /// Where the pair begins in the query.
    pub start: u16,
    /// Where it ends.
    pub end: u16,
    name_length: u16,
}

impl Mark {
    fn of(pair: &Pair<'_>, param: Param) -> Self {
        let name_length = pair.name.raw().len();
        let end = pair.start + name_length + pair.value.raw().len() + usize::from(pair.has_equals());
        // No cut: a target is at most 32 KiB.
        Self { param, start: pair.start as u16, end: end as u16, name_length: name_length as u16 }
    }

    /// Its name and value.
    pub fn parts(self, query: &str) -> (Coded<'_>, Coded<'_>) {
        let pair = query.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default();
        let (name, value) = pair.split_at_checked(usize::from(self.name_length)).unwrap_or_default();
        (Coded::of(name), Coded::of(value.strip_prefix('=').unwrap_or_default()))
    }
}

/// All of a query's marks, in order.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    kept: [Mark; KEPT],
    count: usize,
    canonical: bool,
    /// Where the next pair begins if no empty pair stands between.
    next: usize,
}

impl Default for Marks {
    fn default() -> Self {
        let none = Mark { param: Param::Other, start: 0, end: 0, name_length: 0 };
        Self { kept: [none; KEPT], count: 0, canonical: true, next: 0 }
    }
}

impl Marks {
    /// Takes in the next pair.
    pub fn add(&mut self, pair: &Pair<'_>, param: Param) {
        let mark = Mark::of(pair, param);
        self.canonical &= pair.canonical && pair.start == self.next;
        self.next = usize::from(mark.end) + 1;
        if param != Param::Other {
            if let Some(place) = self.kept.get_mut(self.count) {
                *place = mark;
            }
            self.count += 1;
        }
    }

    /// Whether every pair may be sent on as it stands, and none is empty.
    pub fn canonical(&self) -> bool {
        self.canonical
    }

    /// All marks; `query` is the one that they are of.
    pub fn all(&self, query: &str) -> Cow<'_, [Mark]> {
        if let Some(kept) = self.kept.get(..self.count) {
            return Cow::Borrowed(kept);
        }
        let pairs =
            Pairs::of(query, u32::MAX).flatten().map(|pair| Mark::of(&pair, Param::of(&pair.name.decoded())));
        Cow::Owned(pairs.filter(|mark| mark.param != Param::Other).collect())
    }
}
