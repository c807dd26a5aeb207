//! People with a tool who watch: some go from room to room all evening, some come once.

use super::super::agenda::{Agenda, Source, World};
use super::super::identity::Client;
use super::super::networks::Plan;
use super::super::random::Random;
use super::super::rooms::Room;

/// How many people come again and again, at the usual rate.
const REGULARS: f64 = 4_500.0;

/// Which share of those who join a room are such people.
const REGULAR: f64 = 0.62;

/// In population 2, which share of a room's audience lives in its country.
const NATIONAL: f64 = 0.9;

/// Joins rooms that are live, by how much they are watched.
struct Audience {
    random: Random,
    gap: f64,
}

pub(super) fn begin(world: &World, agenda: &mut Agenda, share: f64) {
    agenda.source(0, Audience { random: world.random("audience"), gap: world.gap(share) });
}

impl Source for Audience {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        if let Some(room) = world.rooms.watched(&mut self.random) {
            let client = person_of(room, world, &mut self.random);
            world.seen.add(now, client, room.place);
            agenda.connect(now, client, room.place, world);
        }
        Some(now + self.random.wait(self.gap))
    }
}

/// Somebody who may watch this room.
pub(in super::super) fn person_of(room: Room, world: &World, random: &mut Random) -> Client {
    let country = country_of(room, world, random);
    if random.chance(REGULAR) {
        let regulars = world.scaled(REGULARS * Plan::share_of(country));
        world.people.person(country, random.below(regulars), &world.plan, &world.tools)
    } else {
        newcomer(country, world, random)
    }
}

/// Where somebody who watches this room lives.
fn country_of(room: Room, world: &World, random: &mut Random) -> u8 {
    if world.is_lively() && random.chance(NATIONAL) { room.country } else { Plan::country(random) }
}

/// Somebody of this country who was never seen before.
pub(in super::super) fn newcomer(country: u8, world: &World, random: &mut Random) -> Client {
    let number = 1 << 40 | random.next() >> 24;
    world.people.person(country, number, &world.plan, &world.tools)
}
