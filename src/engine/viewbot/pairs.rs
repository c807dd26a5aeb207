//! Which `@unique_id` is which `room_id`: so that a room is one room, however it is named.
//!
//! A pair is learned only from a judged good answer to a request that named the unique id alone; requests never teach, or a
//! forged pair could hide an attacked room inside a large calm one. The newest wins, a pair expires after a day, there are
//! so many at most, and no counts are ever merged.

use super::bounded::Bounded;
use crate::base::room::{Room, UniqueId};

/// A stream ends within a day, and the next one has another number.
const PAIR_SECS: u32 = 24 * 3_600;

#[derive(Debug, Clone, Copy)]
struct Pair {
    id: u64,
    at: u32,
}

pub(super) struct Pairs(Bounded<UniqueId, Pair>);

impl Pairs {
    pub(super) fn new(most: usize, seed: u64) -> Self {
        Self(Bounded::new(most, seed))
    }

    /// The room in its one form.
    pub(super) fn canonical(&self, room: Room, now: u32) -> Room {
        match room {
            Room::Id(_) => room,
            Room::Anchor(name) => match self.0.get(&name) {
                Some(pair) if now.saturating_sub(pair.at) < PAIR_SECS => Room::Id(pair.id),
                _ => room,
            },
        }
    }

    /// A good answer to a request that named the unique id alone told the room's number.
    pub(super) fn learn(&mut self, named: Room, answered: Room, now: u32) {
        if let (Room::Anchor(name), Room::Id(id)) = (named, answered) {
            let pair = Pair { id, at: now };
            *self.0.entry(name, || pair, |_, pair| u64::from(pair.at)).0 = pair;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_pair_wins_and_expires() {
        let mut pairs = Pairs::new(8, 1);
        let (name, other) = (Room::parse("@name").unwrap(), Room::parse("@other").unwrap());
        assert_eq!(pairs.canonical(name, 0), name);
        pairs.learn(name, Room::Id(7), 10);
        pairs.learn(name, Room::Id(8), 20);
        // Nobody learns anything of a number, or from a name.
        pairs.learn(Room::Id(8), Room::Id(9), 20);
        pairs.learn(other, name, 20);
        assert_eq!(pairs.canonical(name, 30), Room::Id(8));
        assert_eq!(pairs.canonical(other, 30), other);
        assert_eq!(pairs.canonical(Room::Id(8), 30), Room::Id(8));
        assert_eq!(pairs.canonical(name, 20 + PAIR_SECS), name);
    }
}
