//! The life of a stream: announced, opened, joined in a burst that thins out, ended. Each is a room of its own.

use super::super::agenda::{Agenda, Source, World};
use super::super::random::{Random, whole};
use super::super::record::{Ask, Ending};
use super::super::rooms::Room;
use super::{creators, person_of, raids};

/// How long a stream lasts, in milliseconds: the median, and the mean that goes with its spread.
const LASTS: f64 = 3_000_000.0;
const LASTS_SPREAD: f64 = 0.6;
const LASTS_MEAN: f64 = LASTS * 1.197;

/// How long before it begins a stream is announced, in milliseconds at most: impatient programs ask for its room already.
const ANNOUNCED: u64 = 90_000;

/// For each who joins in the opening burst, so many ask too early.
const IMPATIENT: f64 = 0.08;

/// Which share of streams ends in a raid.
const RAIDING: f64 = 0.12;

/// Announces streams.
struct Announcing {
    random: Random,
    gap: f64,
    /// How many rooms are live at a time.
    live: usize,
    /// How many join the opening of a room of average weight.
    joiners: f64,
}

/// A stream from its first second to its last.
struct Stream {
    random: Random,
    room: Room,
    joiners: f64,
    begins: u64,
    ends: u64,
    /// How much of the opening burst is over, in expected joiners.
    joined: f64,
    /// How fast the burst thins out, in milliseconds.
    thins: f64,
    opened: bool,
}

pub(super) fn begin(world: &mut World, agenda: &mut Agenda, share: f64) {
    let mut random = world.random("streams");
    let live = world.settings.rooms();
    let gap = LASTS_MEAN / live as f64;
    let joiners = share * world.settings.rate * gap / 1000.0;
    // Those that are on when we begin to look have their openings behind them.
    for _ in 0..live {
        let room = world.rooms.make_usual(live, &mut random);
        world.rooms.open(room);
        let ends = whole(random.around(LASTS, LASTS_SPREAD) as f64 * random.unit()) + 1;
        let stream = Stream {
            random: Random::numbered(random.next(), room.place.id),
            room,
            joiners: 0.0,
            begins: 0,
            ends,
            joined: 0.0,
            thins: 1.0,
            opened: true,
        };
        agenda.source(ends, stream);
    }
    agenda.source(0, Announcing { random, gap, live, joiners });
}

impl Source for Announcing {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let random = &mut self.random;
        let room = world.rooms.make_usual(self.live, random);
        let joiners = self.joiners * room.weight / world.rooms.usual_weight();
        let begins = now + random.below(ANNOUNCED);
        for _ in 0..whole((joiners * IMPATIENT).round()) {
            let at = now + random.below(begins - now);
            let client = person_of(room, world, random);
            agenda.ask(at, client, Ask::RoomId, room.place, Ending::NotLive);
        }
        let stream = Stream {
            random: Random::numbered(random.next(), room.place.id),
            room,
            joiners,
            begins,
            ends: begins + random.around(LASTS, LASTS_SPREAD),
            joined: 0.0,
            thins: random.around(150_000.0, 0.5) as f64,
            opened: false,
        };
        agenda.source(begins, stream);
        Some(now + self.random.wait(self.gap))
    }
}

impl Source for Stream {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let random = &mut self.random;
        if !self.opened {
            self.opened = true;
            world.rooms.open(self.room);
            creators::connect_tools(now, self.room, world, agenda, random);
        } else if now >= self.ends {
            world.rooms.close(self.room.place);
            if random.chance(RAIDING)
                && let Some(to) = world.rooms.any(random)
            {
                let movers = random.between(6, 50);
                raids::raid(now, (self.room, to), movers, world, agenda, random);
            }
            return None;
        } else if self.joined < self.joiners {
            let client = person_of(self.room, world, random);
            world.seen.add(now, client, self.room.place);
            agenda.connect(now, client, self.room.place, world);
        }
        // Of a rate that thins out as e^(-t / thins), the sum up to t is joiners * (1 - e^(-t / thins)): the next joiner
        // comes where that sum is one more, by a draw of mean 1.
        self.joined += random.wait(1000.0) as f64 / 1000.0;
        if self.joined >= self.joiners {
            return Some(self.ends);
        }
        let after = -self.thins * (1.0 - self.joined / self.joiners).ln();
        Some((self.begins + whole(after)).max(now).min(self.ends))
    }
}
