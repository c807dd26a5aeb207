//! Broken clients: what should have been one connect becomes hundreds.

use super::super::agenda::{Agenda, Source, World};
use super::super::identity::{Client, Persona};
use super::super::random::Random;
use super::super::record::Place;

/// How long such a program runs until somebody notices, in milliseconds: the median.
const RUNS: f64 = 240_000.0;

/// How long it waits between two tries, in milliseconds.
const WAITS: (u64, u64) = (1_500, 6_000);

/// Lets programs break.
struct Breaking {
    random: Random,
    gap: f64,
}

/// One broken program.
struct Loop {
    random: Random,
    client: Client,
    room: Place,
    wait: u64,
    until: u64,
}

pub(super) fn begin(world: &World, agenda: &mut Agenda, share: f64) {
    // Its length is around a median; the mean of such lengths is larger by e^(0.5^2 / 2).
    let requests = RUNS * 1.13 / ((WAITS.0 + WAITS.1) as f64 / 2.0);
    agenda.source(20_000, Breaking { random: world.random("loops"), gap: world.gap(share) * requests });
}

impl Source for Breaking {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let random = &mut self.random;
        if let Some(room) = world.rooms.watched(random) {
            let client = Client { persona: Persona::Loop, ..super::person_of(room, world, random) };
            let broken = Loop {
                random: Random::numbered(random.next(), now),
                client,
                room: room.place,
                wait: random.between(WAITS.0, WAITS.1),
                until: now + random.around(RUNS, 0.5),
            };
            agenda.source(now, broken);
        }
        Some(now + self.random.wait(self.gap))
    }
}

impl Source for Loop {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        agenda.connect(now, self.client, self.room, world);
        let next = now + self.wait + self.random.below(200);
        (next < self.until).then_some(next)
    }
}
