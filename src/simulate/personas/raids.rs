//! Raids: a stream ends, or its creator says so, and its audience moves to another room within a minute.

use super::super::agenda::{Agenda, Source, World};
use super::super::identity::{Client, Persona};
use super::super::random::Random;
use super::super::rooms::Room;

/// The fewest and the most who move.
const MOVERS: (u64, u64) = (8, 60);

/// How long it takes until most have moved, in milliseconds.
const MOVES_WITHIN: f64 = 14_000.0;

struct Raids {
    random: Random,
    gap: f64,
}

pub(super) fn begin(world: &World, agenda: &mut Agenda, share: f64) {
    let mean = (MOVERS.0 + MOVERS.1) as f64 / 2.0;
    agenda.source(30_000, Raids { random: world.random("raids"), gap: world.gap(share) * mean });
}

impl Source for Raids {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let random = &mut self.random;
        if let (Some(from), Some(to)) = (world.rooms.watched(random), world.rooms.any(random)) {
            let movers = random.between(MOVERS.0, MOVERS.1);
            raid(now, (from, to), movers, world, agenda, random);
        }
        Some(now + self.random.wait(self.gap))
    }
}

/// So many of a room's audience, most of them people who were about, connect to another room.
pub(super) fn raid(
    now: u64,
    (from, to): (Room, Room),
    movers: u64,
    world: &World,
    agenda: &mut Agenda,
    random: &mut Random,
) {
    for _ in 0..movers {
        let person = super::person_of(from, world, random);
        let mover = world.seen.any(now, random).filter(|_| random.chance(0.5)).unwrap_or(person);
        let at = now + random.wait(MOVES_WITHIN);
        agenda.connect(at, Client { persona: Persona::Raid, ..mover }, to.place, world);
    }
}
