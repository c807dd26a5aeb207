//! What many records say alike, read once and held once: request lines, and keys.
//!
//! Traffic repeats itself: the same tools ask for the same rooms with the same words. What was read of a request line hangs on
//! nothing but that line, so that a record that has the same one points at what was read before. A table of the lines read
//! last says which; whatever it has forgotten is read again.

use std::hash::{BuildHasher, Hash};
use std::rc::Rc;

use foldhash::fast::FixedState;

use crate::base::subject::{Scope, Subject};
use crate::dialect::Fault;
use crate::dialect::recorded::{Reading, RecordedKey};

/// So many request lines are looked for, and half as many keys. What strangers choose to write can make them forgotten, and
/// nothing else.
const REMEMBERED: usize = 1 << 15;

/// A request line and its user agent, and what was read of them.
#[derive(Debug)]
pub(super) struct Asked {
    text: Box<str>,
    method: usize,
    target: usize,
    /// What was read.
    pub(super) reading: Result<Reading, Fault>,
}

impl Asked {
    /// Reads the request as a live one is read.
    pub(super) fn read<'h>(
        (method, target, user_agent): (&str, &'h str, &'h str),
        headers: impl Iterator<Item = (&'h str, &'h str)>,
    ) -> Self {
        Self {
            reading: Reading::of(method, target, user_agent, headers),
            text: [method, target, user_agent].concat().into(),
            method: method.len(),
            target: method.len() + target.len(),
        }
    }

    /// Its method.
    pub(super) fn method(&self) -> &str {
        self.text.get(..self.method).unwrap_or_default()
    }

    /// Its path and query.
    pub(super) fn target(&self) -> &str {
        self.text.get(self.method..self.target).unwrap_or_default()
    }

    fn says(&self, (method, target, user_agent): (&str, &str, &str)) -> bool {
        self.method() == method && self.target() == target && self.text.get(self.target..) == Some(user_agent)
    }
}

/// A key that was looked up when it was recorded, and what it and its account are counted under.
#[derive(Debug)]
pub(super) struct HeldKey {
    text: Box<str>,
    id: usize,
    account: usize,
    subjects: (Subject, Subject),
}

impl HeldKey {
    fn of((id, account, tier): (&str, &str, &str)) -> Self {
        Self {
            text: [id, account, tier].concat().into(),
            id: id.len(),
            account: id.len() + account.len(),
            subjects: (Subject::text(Scope::Account, account), Subject::text(Scope::Key, id)),
        }
    }

    fn id(&self) -> &str {
        self.text.get(..self.id).unwrap_or_default()
    }

    /// The account that it belonged to.
    pub(super) fn account(&self) -> &str {
        self.text.get(self.id..self.account).unwrap_or_default()
    }

    /// The tier that it had.
    pub(super) fn tier(&self) -> &str {
        self.text.get(self.account..).unwrap_or_default()
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

impl Shared {
    /// A request line with its user agent and no other header.
    pub(super) fn asked(&mut self, line: (&str, &str, &str)) -> Rc<Asked> {
        let read = || Asked::read(line, std::iter::empty());
        self.asked.get(line, |asked| asked.says(line), read)
    }

    /// A key by its id, its account and its tier.
    pub(super) fn key(&mut self, key: (&str, &str, &str)) -> Rc<HeldKey> {
        let is = |held: &HeldKey| (held.id(), held.account(), held.tier()) == key;
        self.keys.get(key, is, || HeldKey::of(key))
    }
}

/// Each in the one place that its hash says, until another takes it.
#[derive(Debug)]
struct Table<T>(Vec<Option<Rc<T>>>);

impl<T> Table<T> {
    fn new(places: usize) -> Self {
        Self(std::iter::repeat_with(|| None).take(places).collect())
    }

    fn get(&mut self, key: impl Hash, is: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> Rc<T> {
        // The same places in every run; and nothing hangs on them but how much is read again.
        let place = FixedState::with_seed(0).hash_one(key) as usize % self.0.len();
        match &mut self.0[place] {
            Some(held) if is(held) => Rc::clone(held),
            place => Rc::clone(place.insert(Rc::new(make()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_is_held_once_and_what_was_forgotten_is_read_again() {
        let mut shared = Shared::default();
        let line = ("GET", "/webcast/fetch?room_id=7", "agent");
        let one = shared.asked(line);
        assert!(Rc::ptr_eq(&one, &shared.asked(line)));
        // The same letters, cut otherwise, say something else.
        for other in
            [("GET", "/webcast/fetch?room_id=", "7agent"), ("GE", "T/webcast/fetch?room_id=7", "agent")]
        {
            assert!(!Rc::ptr_eq(&one, &shared.asked(other)), "{other:?}");
        }
        assert_eq!((one.method(), one.target()), (line.0, line.1));
        let key = shared.key(("k_1", "a", "free"));
        assert!(Rc::ptr_eq(&key, &shared.key(("k_1", "a", "free"))));
        assert!(!Rc::ptr_eq(&key, &shared.key(("k_1a", "", "free"))));
        assert_eq!((key.id(), key.account(), key.tier()), ("k_1", "a", "free"));
        for n in 0..10 * REMEMBERED {
            shared.asked(("GET", &format!("/webcast/fetch?room_id={}", n + 8), "agent"));
        }
        let again = shared.asked(line);
        assert!(!Rc::ptr_eq(&one, &again));
        assert_eq!(again.reading.as_ref().unwrap().room(), one.reading.as_ref().unwrap().room());
        assert_eq!(shared.asked(("PUT", "/", "")).reading.as_ref().err(), Some(&Fault::UnknownPath));
    }
}
