//! A tournament: many rooms at once, and an audience that looks into all of them.

use std::collections::{BTreeSet, VecDeque};

use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona};
use super::super::personas::{newcomer, person_of};
use super::super::rooms::Room;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::Lively;

/// How many rooms play.
const ROOMS: usize = 40;

/// Forty rooms start at once.
pub(in super::super) const TOURNAMENT: Scenario = Scenario {
    name: "tournament",
    populations: &[Lively],
    kind: Kind::Honest,
    summary: "forty rooms start at once, and 2,400 people look into two and a half of them on average",
    hard: "rooms without history fill together, and many make the same moves from room to room, as a rented pool does",
    build: |world, agenda| {
        let rooms: Vec<Room> =
            (0..ROOMS).map(|number| world.rooms.make_apart(Some((number % 3) as u8))).collect();
        let begins = world.settings.event_at();
        let count = world.settings.sized(2_400);
        // Each looks into about two and a half rooms: the last ones who came somewhere go on to the next.
        let (mut wanderers, mut came) = (VecDeque::<(Client, usize)>::new(), BTreeSet::new());
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            let going_on = (wanderers.len() > 50 && random.chance(0.6))
                .then(|| wanderers.remove(random.place(wanderers.len())))
                .flatten();
            let (client, room) = if let Some((client, before)) = going_on {
                // Brackets lead some on together; the others look where it is exciting.
                let next = if random.chance(0.3) { (before + 1) % ROOMS } else { random.place(ROOMS) };
                (client, next)
            } else {
                let room = random.place(ROOMS);
                // There are only so many regulars, fewer at a low rate: who has come already is not one more.
                let person = person_of(rooms[room], world, random);
                let is_new = came.insert(person.viewer);
                (if is_new { person } else { newcomer(rooms[room].country, world, random) }, room)
            };
            wanderers.push_back((client, room));
            if wanderers.len() > 600 {
                wanderers.pop_front();
            }
            Some((Client { persona: Persona::Crowd, ..client }, rooms[room].place))
        };
        let pace = Pace::crowd(begins, count * 5 / 2, 240_000);
        agenda.source(begins, Campaign::new(world, "tournament", pace, make).human());
    },
};
