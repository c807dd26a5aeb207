//! Who has been about lately, and where: honest crowds are made of such people in part, and attackers replay them.

use super::identity::Client;
use super::random::Random;
use super::record::Place;

/// So many of them are remembered.
const SEEN_MAX: usize = 1 << 14;

/// The last programs that people connected with, each with when and to which room.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ring: Vec<(u64, Client, Place)>,
    next: usize,
}

impl Seen {
    pub fn add(&mut self, now: u64, client: Client, room: Place) {
        if self.ring.len() < SEEN_MAX {
            self.ring.push((now, client, room));
        } else {
            self.ring[self.next] = (now, client, room);
        }
        self.next = (self.next + 1) % SEEN_MAX;
    }

    /// One of them, seen before `before`; `None` where chance finds nobody.
    pub fn any(&self, before: u64, random: &mut Random) -> Option<Client> {
        self.connected(before, random).map(|(client, _)| client)
    }

    /// One of them, with the room that they connected to.
    pub fn connected(&self, before: u64, random: &mut Random) -> Option<(Client, Place)> {
        (0..64).find_map(|_| {
            let (at, client, room) = *self.ring.get(random.place(self.ring.len()))?;
            (at < before).then_some((client, room))
        })
    }
}
