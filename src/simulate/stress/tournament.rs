//! A tournament: many rooms at once, and an audience that looks into all of them.

use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona};
use super::super::personas::person_of;
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
    summary: "forty rooms start at once, and 2,400 people look into several of them",
    hard: "rooms without history fill together, and many make the same moves from room to room, as a rented pool does",
    build: |world, agenda| {
        let rooms: Vec<Room> =
            (0..ROOMS).map(|number| world.rooms.make_apart(Some((number % 3) as u8))).collect();
        let begins = world.settings.event_at();
        let count = world.settings.sized(2_400);
        // Each looks into about two and a half rooms: the last ones who came somewhere go on to the next.
        let mut wanderers: Vec<(Client, usize)> = Vec::new();
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            let (client, room) = if wanderers.len() > 50 && random.chance(0.6) {
                let place = random.place(wanderers.len());
                let (client, before) = wanderers.swap_remove(place);
                // Brackets lead some on together; the others look where it is exciting.
                let next = if random.chance(0.3) { (before + 1) % ROOMS } else { random.place(ROOMS) };
                (client, next)
            } else {
                let room = random.place(ROOMS);
                (person_of(rooms[room], world, random), room)
            };
            wanderers.push((client, room));
            if wanderers.len() > 600 {
                wanderers.swap_remove(0);
            }
            Some((Client { persona: Persona::Crowd, ..client }, rooms[room].place))
        };
        let pace = Pace::crowd(begins, count * 5 / 2, 240_000);
        agenda.source(begins, Campaign::new(world, "tournament", pace, make).human());
    },
};
