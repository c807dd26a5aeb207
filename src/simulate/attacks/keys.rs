//! Keys as identities: farmed by the hundred, or stolen.

use super::super::agenda::{Agenda, Source, World};
use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Key, Persona, Tier};
use super::super::random::Random;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::{Independent, Lively};
use super::super::tools::{NODE, PYTHON, PYTHON_OLD};
use super::bots::{bot, farmed_key, pool, rented, residential, with_key};
use super::within;

/// Keys cost an e-mail address each.
pub(in super::super) const FREE_KEYS: Scenario = Scenario {
    name: "free-keys",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "2,200 viewers in ten minutes: 300 free keys, each at several of 600 addresses",
    hard: "each key and each address stays within its quota; a key at several addresses is a person with a telephone",
    build: |world, agenda| farm(world, agenda, (2_200, 10), (300, 600), false),
};

/// The same, nearer to reality.
pub(in super::super) const FREE_KEY_FARM: Scenario = Scenario {
    name: "free-key-farm",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "2,000 viewers in twelve minutes: 500 free keys, each at two to four residential addresses",
    hard: "hobby apps have one free key in every copy, so that a shared key by itself says nothing",
    build: |world, agenda| farm(world, agenda, (2_000, 12), (500, 1_500), true),
};

fn farm(
    world: &World,
    agenda: &mut Agenda,
    (viewers, minutes): (u64, u64),
    (keys, addresses): (u64, u64),
    at_home: bool,
) {
    let room = world.rooms.stage(5).place;
    let mut random = world.random("addresses");
    let addresses = pool(world.settings.sized(addresses), || {
        if at_home { residential(world, &mut random) } else { rented(world, &mut random) }
    });
    let keys = world.settings.sized(keys);
    let pace = Pace::over(world.settings.sized(viewers), within(world, minutes));
    let make = move |Turn { number, world, random, .. }: Turn<'_>| {
        let key = number % keys;
        // A key has a few addresses of its own.
        let own = (key * 7 + random.below(4) * keys * 7) as usize;
        let address = if at_home { addresses[own % addresses.len()] } else { *random.pick(&addresses) };
        Some((with_key(bot(address, NODE), farmed_key(world, key)), room))
    };
    agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
}

/// A key that somebody pays for, in a public repository.
pub(in super::super) const STOLEN_KEY: Scenario = Scenario {
    name: "stolen-key",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,500 viewers in six minutes under one paid key, whose owner goes on using it",
    hard: "the key is good, its owner is a customer, and an app with one key in every copy looks the same",
    build: |world, agenda| {
        let room = world.rooms.stage(6).place;
        let key = world.people.own_key(12 << 40, Tier::Business);
        owner(world, agenda, key);
        let pace = Pace::over(world.settings.sized(1_500), within(world, 6));
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            Some((with_key(bot(residential(world, random), PYTHON_OLD), key), room))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// Whose key it is: a studio with three rooms and two tools.
struct Owner {
    random: Random,
    tools: [Client; 2],
}

fn owner(world: &World, agenda: &mut Agenda, key: Key) {
    let mut random = world.random("key owner");
    let address = world.plan.homes(0)[0].address(&mut random);
    let tool = |tool| Client {
        address,
        key: Some(key),
        tool,
        device: None,
        session: None,
        viewer: 12 << 40 | u64::from(tool),
        persona: Persona::KeyOwner,
    };
    agenda.source(5_000, Owner { random, tools: [tool(PYTHON), tool(NODE)] });
}

impl Source for Owner {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let room = world.rooms.stage(40 + self.random.place(3)).place;
        for tool in self.tools {
            agenda.connect(now, tool, room, world);
        }
        Some(now + self.random.wait(60_000.0))
    }
}
