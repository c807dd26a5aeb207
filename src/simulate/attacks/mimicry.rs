//! Bots that look like people, more and more of what people are.

use super::super::agenda::{Agenda, World};
use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona};
use super::super::random::whole;
use super::super::record::Place;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::{Independent, Lively};
use super::super::stress::flash_crowd;
use super::super::tools::{PYTHON, PYTHON_RARE};
use super::bots::{
    audience_of, bot, identified, of_country, pool, rented, residential, true_profile, with_session,
};
use super::{window, within};

/// As people come.
pub(in super::super) const MIMICKED_TIMING: Scenario = Scenario {
    name: "mimicked-timing",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,000 viewers from residential proxies, who come as a crowd does: a burst that thins out over ten minutes",
    hard: "the room grows as an ordinary one does whose creator was mentioned somewhere",
    build: |world, agenda| {
        let room = world.rooms.stage(15).place;
        let begins = world.settings.event_at();
        let pace = Pace::crowd(begins, world.settings.sized(1_000), within(world, 5));
        let make =
            move |Turn { world, random, .. }: Turn<'_>| Some((bot(residential(world, random), PYTHON), room));
        agenda.source(begins, Campaign::new(world, "attack", pace, make));
    },
};

/// As people's programs are, behind few addresses.
pub(in super::super) const MIMICKED_CHURN: Scenario = Scenario {
    name: "mimicked-churn",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,000 viewers with libraries and keys as people have them, behind 80 residential addresses",
    hard: "no program is more common than it should be; only that there are so many at each address",
    build: |world, agenda| {
        let room = world.rooms.stage(16);
        let mut random = world.random("proxies");
        let proxies = pool(world.settings.sized(80), || residential(world, &mut random));
        let pace = Pace::over(world.settings.sized(1_000), within(world, 10));
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            let country = audience_of(world, room.country, random);
            let model = true_profile(world, country, random);
            let bot = identified(Client { address: *random.pick(&proxies), ..model });
            let bot = if bot.key.is_none() { with_session(bot, random) } else { bot };
            Some((bot, room.place))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// As people's programs are, on rented machines.
pub(in super::super) const MIMICKED_HOSTING: Scenario = Scenario {
    name: "mimicked-hosting",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,000 viewers with libraries and keys as people have them, each on a rented machine of its own",
    hard: "nothing but the kind of network is unlike people, and firms and platforms are there, too",
    build: |world, agenda| {
        let room = world.rooms.stage(17);
        let pace = Pace::over(world.settings.sized(1_000), within(world, 10));
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            let country = audience_of(world, room.country, random);
            let model = true_profile(world, country, random);
            Some((identified(Client { address: rented(world, random), ..model }), room.place))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// In the middle of a real crowd.
pub(in super::super) const HIDDEN_IN_CROWD: Scenario = Scenario {
    name: "hidden-in-crowd",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,000 bots of one program on residential proxies join together with a flash crowd of 4,000 real people",
    hard: "the crowd is real and so is its reason; a fifth of it is not",
    build: |world, agenda| {
        flash_crowd(world, agenda, |_, client| client);
        let room = world.rooms.stage(0).place;
        let begins = world.settings.event_at();
        let pace = Pace::crowd(begins, world.settings.sized(1_000), 150_000);
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            Some((bot(residential(world, random), PYTHON_RARE), room))
        };
        agenda.source(begins, Campaign::new(world, "attack", pace, make));
    },
};

/// Everything but having been there before.
pub(in super::super) const MIMICKED_BUT_AGE: Scenario = Scenario {
    name: "mimicked-but-age",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,000 viewers with people's libraries, keys, networks and timing, none of whom was ever seen",
    hard: "each is an ordinary person by all that can be seen; only that there are no regulars among them is odd",
    build: |world, agenda| look_alikes(world, agenda, 18, false),
};

/// Everything.
pub(in super::super) const MIMICKED_AND_AGED: Scenario = Scenario {
    name: "mimicked-and-aged",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "the same 1,000, half of whom were seen elsewhere before",
    hard: "nothing is unlike an ordinary crowd: no goal but to refuse nobody else",
    build: |world, agenda| look_alikes(world, agenda, 19, true),
};

fn look_alikes(world: &mut World, agenda: &mut Agenda, stage: usize, aged: bool) {
    let room = world.rooms.stage(stage);
    let begins = world.settings.event_at();
    let count = world.settings.sized(1_000);
    let mut random = world.random("bots");
    let bots: Vec<Client> = (0..count)
        .map(|_| {
            let country = audience_of(world, room.country, &mut random);
            true_profile(world, country, &mut random)
        })
        .collect();
    if aged {
        let decoys: Vec<Place> = (0..=count / 10).map(|_| world.rooms.make_apart(None).place).collect();
        let aged = bots.clone();
        let rested = begins.saturating_sub(500_000).max(60_000);
        let make = move |Turn { number, random, .. }: Turn<'_>| {
            let bot = aged[number as usize * 2 % aged.len()];
            Some((Client { persona: Persona::Preparing, ..bot }, *random.pick(&decoys)))
        };
        agenda.source(0, Campaign::new(world, "ageing", Pace::over(count / 2 + 1, rested), make));
    }
    let make = move |Turn { number, .. }: Turn<'_>| Some((*bots.get(number as usize)?, room.place));
    let pace = Pace::crowd(begins, count, within(world, 6));
    agenda.source(begins, Campaign::new(world, "attack", pace, make));
}

/// Patience.
pub(in super::super) const FOUR_IN_FIVE_MINUTES: Scenario = Scenario {
    name: "four-in-five-minutes",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "four viewers every five minutes, each like a person",
    hard: "any room grows and shrinks by more: no goal but to refuse nobody else",
    build: |world, agenda| drip(world, agenda, 20, 0.8),
};

/// A little faster, at home in the room's country.
pub(in super::super) const COUNTRY_TRUE_DRIP: Scenario = Scenario {
    name: "country-true-drip",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "five viewers a minute of the room's own country, with its networks and its favourite tools",
    hard: "it is what a room's own audience looks like: no goal but to refuse nobody else",
    build: |world, agenda| drip(world, agenda, 21, 5.0),
};

fn drip(world: &World, agenda: &mut Agenda, stage: usize, a_minute: f64) {
    let room = world.rooms.stage(stage);
    let gap = 60_000.0 / (a_minute * world.settings.attack_size);
    let pace = Pace::Steady { left: whole(window(world) as f64 / gap) + 1, gap };
    let make = move |Turn { world, random, .. }: Turn<'_>| {
        let country = audience_of(world, room.country, random);
        Some((true_profile(world, country, random), room.place))
    };
    agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
}

/// People's programs, recorded and played again.
pub(in super::super) const REPLAYED_PROFILES: Scenario = Scenario {
    name: "replayed-profiles",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "1,000 viewers with the programs of people who were about, from homes of the room's own country, new ones each",
    hard: "libraries are as common as among real people, only not as common as among those of this room",
    build: |world, agenda| {
        let room = world.rooms.stage(22);
        let pace = Pace::over(world.settings.sized(1_000), within(world, 10));
        let make = move |Turn { now, world, random, .. }: Turn<'_>| {
            let model = world.seen.any(now, random)?;
            let address = of_country(world, room.country, random);
            // Keys cannot be replayed: a gateway's record does not hold them.
            let client = Client { address, key: None, ..model };
            Some((with_session(client, random), room.place))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};
