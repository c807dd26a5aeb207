//! Crowds: many honest people in one room at once.

use super::super::agenda::{Agenda, World};
use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona};
use super::super::networks::{Network, Plan};
use super::super::personas::newcomer;
use super::super::random::Random;
use super::super::record::Place;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::{Independent, Lively};
use super::super::tools::{PYTHON_OLD, Tools};

/// A creator's best day.
pub(in super::super) const FLASH_CROWD: Scenario = Scenario {
    name: "flash-crowd",
    populations: &[Independent],
    kind: Kind::Honest,
    summary: "4,000 people join one room within minutes; 40 % of them were about before",
    hard: "by volume it is larger than any attack; only who they are tells that it is ordinary",
    build: |world, agenda| flash_crowd(world, agenda, |_, client| client),
};

/// The crowd of [`FLASH_CROWD`], with what is done to each newcomer of it.
pub(in super::super) fn flash_crowd(
    world: &World,
    agenda: &mut Agenda,
    newcomer: impl Fn(Turn<'_>, Client) -> Client + 'static,
) {
    let room = world.rooms.stage(0);
    crowd(world, agenda, room.place, 4_000, move |turn| {
        let Turn { number, now, world, random } = turn;
        let before = now.saturating_sub(60_000);
        if random.chance(0.4)
            && let Some(client) = world.seen.any(before, random)
        {
            return client;
        }
        let country =
            if world.is_lively() && random.chance(0.9) { room.country } else { Plan::country(random) };
        let client = super::super::personas::newcomer(country, world, random);
        newcomer(Turn { number, now, world, random }, client)
    });
}

/// So many people, at the usual size, join a room in a burst.
pub(super) fn crowd(
    world: &World,
    agenda: &mut Agenda,
    room: Place,
    usual: u64,
    who: impl Fn(Turn<'_>) -> Client + 'static,
) {
    let begins = world.settings.event_at();
    let pace = Pace::crowd(begins, world.settings.sized(usual), 150_000);
    let make = move |turn: Turn<'_>| Some((Client { persona: Persona::Crowd, ..who(turn) }, room));
    agenda.source(begins, Campaign::new(world, "crowd", pace, make).human());
}

/// The same with a bias that has an honest reason.
pub(in super::super) const SKEWED_CROWD: Scenario = Scenario {
    name: "skewed-crowd",
    populations: &[Independent],
    kind: Kind::Honest,
    summary: "the flash crowd, with one app and three providers of one country over-represented",
    hard: "a tutorial named one tool, and a national broadcaster the stream: the crowd is not like other crowds, as bots' are not",
    build: |world, agenda| {
        flash_crowd(world, agenda, |Turn { world, random, .. }, client| {
            let address = if random.chance(0.45) {
                of_three_providers(world, random).address(random)
            } else {
                client.address
            };
            let tool = if random.chance(0.4) { PYTHON_OLD } else { client.tool };
            Client { address, tool, ..client }
        });
    },
};

fn of_three_providers<'w>(world: &'w World, random: &mut Random) -> &'w Network {
    let country = 1;
    random.pick(&world.plan.homes(country)[..3])
}

/// Somebody famous goes live for the first time.
pub(in super::super) const CELEBRITY: Scenario = Scenario {
    name: "celebrity",
    populations: &[Lively],
    kind: Kind::Honest,
    summary: "a celebrity goes live: fifty times the strangers, nearly all of one country, half of them with one tool",
    hard: "a room without history fills with strangers of one network, one tool and one minute: everything that bots are",
    build: |world, agenda| {
        let country = 2;
        let place = world.rooms.make_apart(Some(country)).place;
        let tool = Tools::favourites(country)[0];
        crowd(world, agenda, place, 5_000, move |Turn { now, world, random, .. }| {
            let country = if random.chance(0.95) { country } else { Plan::country(random) };
            let before = now.saturating_sub(60_000);
            let fan = random.chance(0.05).then(|| world.seen.any(before, random)).flatten();
            let client = fan.unwrap_or_else(|| newcomer(country, world, random));
            if fan.is_none() && random.chance(0.42) { Client { tool, ..client } } else { client }
        });
    },
};
