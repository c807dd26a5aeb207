//! What many records say alike, read once and held once: request lines, and keys.
//!
//! Traffic repeats itself: the same tools ask for the same rooms with the same words. What was read of a request line hangs on
//! nothing but that line, so that a record that has the same one points at what was read before. A table of the lines read
//! last says which; whatever it has forgotten is read again.

use std::hash::BuildHasher;
use std::rc::Rc;

use foldhash::fast::FixedState;

use super::tally::Seat;
use crate::base::prefetch::{prefetch, prefetch_at};
use crate::base::subject::{Scope, Subject};
use crate::dialect::Fault;
use crate::dialect::recorded::{Reading, RecordedKey};

/// So many request lines are held, and half as many keys. What strangers choose to write can make them forgotten, and
/// nothing else.
const REMEMBERED: usize = 1 << 15;

/// So many share a set, in which the one that was asked for longest ago is forgotten. Of a million records of ordinary traffic
/// 11 % have a line that is not held, where with sets of one 23 % have, and with twice the memory 15 %.
const WAYS: usize = 4;

/// Of a text so many bytes are asked for before they are compared: most have fewer.
const TEXT_ASKED_FOR: usize = 320;

/// Longer texts are not held: all together take at most 100 MB, whatever a stranger writes, and a few as a rule.
const HELD_BYTES_MAX: usize = 2 << 10;

fn may_be_held((one, two, three): (&str, &str, &str)) -> bool {
    one.len() + two.len() + three.len() <= HELD_BYTES_MAX
}

/// Three texts, held one after the other.
#[derive(Debug, Clone)]
struct Texts {
    text: Rc<str>,
    /// Where the first and the second end: in a line of less than 64 KiB.
    ends: [u16; 2],
}

impl Texts {
    fn of((one, two, three): (&str, &str, &str)) -> Self {
        let ends = [one.len(), one.len() + two.len()].map(|end| u16::try_from(end).unwrap_or(u16::MAX));
        Self { text: [one, two, three].concat().into(), ends }
    }

    fn get(&self, part: std::ops::Range<usize>) -> &str {
        self.text.get(part).unwrap_or_default()
    }

    fn first(&self) -> &str {
        self.get(0..self.ends[0].into())
    }

    fn second(&self) -> &str {
        self.get(self.ends[0].into()..self.ends[1].into())
    }

    fn third(&self) -> &str {
        self.get(self.ends[1].into()..self.text.len())
    }

    fn are(&self, (one, two, three): (&str, &str, &str)) -> bool {
        self.first() == one && self.second() == two && self.third() == three
    }
}

/// A request line and its user agent, and what was read of them.
#[derive(Debug)]
pub(super) struct Asked {
    texts: Texts,
    /// What was read.
    pub(super) reading: Result<Reading, Fault>,
    /// Where the room that it names is counted.
    pub(super) seat: Seat,
}

impl Asked {
    /// Reads the request as a live one is read.
    pub(super) fn read<'h>(
        (method, target, user_agent): (&str, &'h str, &'h str),
        headers: impl Iterator<Item = (&'h str, &'h str)>,
    ) -> Self {
        Self {
            reading: Reading::of(method, target, user_agent, headers),
            texts: Texts::of((method, target, user_agent)),
            seat: Seat::default(),
        }
    }

    /// Its method.
    pub(super) fn method(&self) -> &str {
        self.texts.first()
    }

    /// Its path and query.
    pub(super) fn target(&self) -> &str {
        self.texts.second()
    }
}

/// A key that was looked up when it was recorded, and what it and its account are counted under.
#[derive(Debug)]
pub(super) struct HeldKey {
    texts: Texts,
    subjects: (Subject, Subject),
    /// Where its account is counted.
    pub(super) seat: Seat,
}

impl HeldKey {
    fn of((id, account, tier): (&str, &str, &str)) -> Self {
        Self {
            texts: Texts::of((id, account, tier)),
            subjects: (Subject::text(Scope::Account, account), Subject::text(Scope::Key, id)),
            seat: Seat::default(),
        }
    }

    /// Asks for the memory of its names.
    pub(super) fn prefetch(&self) {
        prefetch_at(self.texts.text.as_bytes(), 0);
    }

    fn id(&self) -> &str {
        self.texts.first()
    }

    /// The account that it belonged to.
    pub(super) fn account(&self) -> &str {
        self.texts.second()
    }

    /// The tier that it had.
    pub(super) fn tier(&self) -> &str {
        self.texts.third()
    }

    /// As facts are made of it.
    pub(super) fn recorded(&self) -> RecordedKey<'_> {
        RecordedKey::Known {
            id: self.id(),
            account: self.account(),
            tier: self.tier(),
            subjects: Some(self.subjects),
        }
    }
}

/// The request lines and keys that were read last.
#[derive(Debug)]
pub(super) struct Shared {
    asked: Table<Asked>,
    keys: Table<HeldKey>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { asked: Table::new(REMEMBERED), keys: Table::new(REMEMBERED / 2) }
    }
}

/// Where a request line and a key are held, if they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    asked: Place,
    key: Place,
}

impl Shared {
    /// Where a request line with its user agent, and a key by its id, its account and its tier, are looked for; asks for that
    /// memory.
    pub(super) fn places(&self, line: (&str, &str, &str), key: (&str, &str, &str)) -> Places {
        Places { asked: self.asked.place(line), key: self.keys.place(key) }
    }

    /// Asks for what is held there, and its texts, once the places have come.
    pub(super) fn prefetch(&self, places: Places) {
        self.asked.prefetch(places.asked);
        self.keys.prefetch(places.key);
    }

    /// A request line with its user agent and no other header. A long one is not held: nobody says it often, and what is held has
    /// to have an end.
    pub(super) fn asked(&mut self, places: Places, line: (&str, &str, &str)) -> Rc<Asked> {
        let read = || {
            let asked = Asked::read(line, std::iter::empty());
            (asked.texts.clone(), asked)
        };
        if !may_be_held(line) {
            return Rc::new(read().1);
        }
        self.asked.get(places.asked, line, read)
    }

    /// A key by its id, its account and its tier.
    pub(super) fn key(&mut self, places: Places, key: (&str, &str, &str)) -> Rc<HeldKey> {
        let make = || {
            let held = HeldKey::of(key);
            (held.texts.clone(), held)
        };
        if !may_be_held(key) {
            return Rc::new(make().1);
        }
        self.keys.get(places.key, key, make)
    }
}

/// What is held, by a hash of its texts, in [sets](WAYS): the one that was asked for last first.
#[derive(Debug)]
struct Table<T>(Vec<[Option<Held<T>>; WAYS]>);

/// With its texts beside it, which are asked first; and with a part of its hash, for most others are told apart by that.
#[derive(Debug)]
struct Held<T> {
    tag: u32,
    texts: Texts,
    value: Rc<T>,
}

/// In which set something is held, and its tag.
#[derive(Debug, Clone, Copy)]
struct Place {
    set: usize,
    tag: u32,
}

impl<T> Table<T> {
    fn new(places: usize) -> Self {
        Self(std::iter::repeat_with(|| std::array::from_fn(|_| None)).take(places / WAYS).collect())
    }

    fn place(&self, key: (&str, &str, &str)) -> Place {
        // The same places in every run; and nothing hangs on them but how much is read again.
        let hash = FixedState::with_seed(0).hash_one(key);
        let place = Place { set: hash as usize % self.0.len(), tag: (hash >> 32) as u32 };
        if let Some(set) = self.0.get(place.set) {
            prefetch(set);
        }
        place
    }

    /// Asks for the texts of what is likely to be meant, which are compared, and for what is said of them.
    fn prefetch(&self, place: Place) {
        let held = self.0[place.set].iter().flatten().find(|held| held.tag == place.tag);
        if let Some(held) = held {
            let text = held.texts.text.as_bytes();
            (0..text.len().min(TEXT_ASKED_FOR)).step_by(64).for_each(|at| prefetch_at(text, at));
            prefetch(&*held.value);
        }
    }

    fn get(&mut self, place: Place, texts: (&str, &str, &str), make: impl FnOnce() -> (Texts, T)) -> Rc<T> {
        let set = &mut self.0[place.set];
        let same = |held: &&Held<T>| held.tag == place.tag && held.texts.are(texts);
        let held = set
            .iter()
            .flatten()
            .enumerate()
            .find_map(|(at, held)| Some(held).filter(same).map(|held| (at, Rc::clone(&held.value))));
        if let Some((at, value)) = held {
            if at > 0 {
                set[..=at].rotate_right(1);
            }
            return value;
        }
        let (texts, value) = make();
        let value = Rc::new(value);
        set.rotate_right(1);
        set[0] = Some(Held { tag: place.tag, texts, value: Rc::clone(&value) });
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_is_held_once_and_what_was_forgotten_is_read_again() {
        let mut shared = Shared::default();
        let line = ("GET", "/webcast/fetch?room_id=7", "agent");
        let mut asked = |line: (&str, &str, &str)| {
            let places = shared.places(line, ("", "", ""));
            shared.asked(places, line)
        };
        let same = Rc::<Asked>::ptr_eq;
        let one = asked(line);
        assert!(same(&one, &asked(line)));
        // The same letters, cut otherwise, say something else.
        for other in
            [("GET", "/webcast/fetch?room_id=", "7agent"), ("GE", "T/webcast/fetch?room_id=7", "agent")]
        {
            assert!(!same(&one, &asked(other)), "{other:?}");
        }
        assert_eq!((one.method(), one.target()), (line.0, line.1));
        for n in 0..10 * REMEMBERED {
            asked(("GET", &format!("/webcast/fetch?room_id={}", n + 8), "agent"));
        }
        let again = asked(line);
        assert!(!same(&one, &again));
        let room = |asked: &Rc<Asked>| asked.reading.as_ref().unwrap().room();
        assert_eq!(room(&again), room(&one));
        assert_eq!(asked(("PUT", "/", "")).reading.as_ref().err(), Some(&Fault::UnknownPath));
    }

    #[test]
    fn a_key_is_told_apart_by_each_of_its_names() {
        let mut shared = Shared::default();
        let mut key = |names| {
            let places = shared.places(("", "", ""), names);
            shared.key(places, names)
        };
        let same = Rc::<HeldKey>::ptr_eq;
        let one = key(("k_1", "a", "free"));
        assert!(same(&one, &key(("k_1", "a", "free"))));
        assert!(!same(&one, &key(("k_1a", "", "free"))));
        assert_eq!((one.id(), one.account(), one.tier()), ("k_1", "a", "free"));
    }
}
