//! New programs: an update of an old one, the launch of one that nobody knows.

use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona, Tier};
use super::super::networks::Plan;
use super::super::personas::{newcomer, person_of};
use super::super::random::whole;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::{Independent, Lively};
use super::super::tools::{JAVA, NODE, PYTHON};
use super::crowds::crowd;

/// Everybody plays along on television.
pub(in super::super) const TV_GAME: Scenario = Scenario {
    name: "tv-game",
    populations: &[Lively],
    kind: Kind::Honest,
    summary: "a game on television: 3,000 people of one country join one room with an app that is hours old",
    hard: "one program that nobody ever saw, one country, one room, one minute, all strangers: nothing but a person's word \
           tells it from a botnet",
    build: |world, agenda| {
        let country = 1;
        let place = world.rooms.make_apart(Some(country)).place;
        let app = world.tools.add("QuizNight/1.0.0", JAVA);
        crowd(world, agenda, place, 3_000, move |Turn { world, random, .. }| {
            let country = if random.chance(0.97) { country } else { Plan::country(random) };
            Client { tool: app, key: None, device: None, session: None, ..newcomer(country, world, random) }
        });
    },
};

/// A new app finds its users.
pub(in super::super) const APP_LAUNCH: Scenario = Scenario {
    name: "app-launch",
    populations: &[Lively, Independent],
    kind: Kind::Honest,
    summary: "a new app is launched: from one minute to the next one in eight who connect has it, with one paid key",
    hard: "a profile that was never seen appears in every room at once, and its key at hundreds of addresses",
    build: |world, agenda| {
        let app = world.tools.add("StreamPal/1.0.0", NODE);
        let key = world.people.own_key(10 << 40, Tier::Business);
        let begins = world.settings.event_at();
        let gap = world.gap(0.15 * world.settings.attack_size);
        let count = whole((world.settings.end() - begins) as f64 / gap);
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            let room = world.rooms.watched(random)?;
            let person = person_of(room, world, random);
            let client = Client { tool: app, key: Some(key), device: None, session: None, ..person };
            Some((Client { persona: Persona::EmbeddedApp, ..client }, room.place))
        };
        agenda.source(begins, Campaign::new(world, "app launch", Pace::Steady { left: count, gap }, make));
    },
};

/// How long it takes until everybody has the update, in milliseconds.
const UPDATES_WITHIN: u64 = 300_000;

/// Everybody's app updates itself.
pub(in super::super) const APP_UPDATE: Scenario = Scenario {
    name: "app-update",
    populations: &[Lively],
    kind: Kind::Honest,
    summary: "everybody's app updates itself within five minutes and connects again under its new name",
    hard: "the commonest profile vanishes, one that was never seen takes its place, and whoever was known is a stranger",
    build: |world, agenda| {
        let begins = world.settings.event_at();
        let new = world.tools.add("TikTokLive.py/7.1.0", PYTHON);
        world.tools.roll_out(PYTHON, new, begins, UPDATES_WITHIN);
        // Those who have it and were about connect again as they are updated.
        let count = world.settings.sized(world.scaled(2_000.0));
        let make = move |Turn { now, world, random, .. }: Turn<'_>| {
            let (client, room) = world.seen.connected(begins.min(now), random)?;
            let has_it = client.tool == PYTHON && world.tools.changes_at(PYTHON, client.viewer)? <= now;
            has_it.then_some((Client { persona: Persona::Reconnect, ..client }, room))
        };
        agenda.source(begins, Campaign::new(world, "update", Pace::over(count * 6, UPDATES_WITHIN), make));
    },
};
