//! Few identities that ask often, each just below what an address may.

use super::super::campaign::{Campaign, Pace, Turn};
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::Independent;
use super::super::tools::{PYTHON, ToolId};
use super::bots::{bot, pool, rented, residential};
use super::{window, within};

/// Patience, and a few hundred machines.
pub(in super::super) const SLOW_DRIP: Scenario = Scenario {
    name: "slow-drip",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "2,400 viewers of 400 machines, six program names each, spread over all the time that there is",
    hard: "each address stays under every quota per minute and per hour, and the room fills as slowly as by itself",
    build: |world, agenda| {
        let room = world.rooms.stage(3).place;
        let names: Vec<ToolId> =
            (0..6).map(|number| world.tools.add(format!("TikTokLive.py/6.{number}.0"), PYTHON)).collect();
        let count = world.settings.sized(2_400);
        let mut random = world.random("machines");
        let machines = pool(world.settings.sized(400), || rented(world, &mut random));
        let pace = Pace::over(count, window(world));
        let make = move |Turn { number, .. }: Turn<'_>| {
            // All machines in turn, then all again under the next name: no address twice within minutes.
            let (machine, name) = (number as usize % machines.len(), number as usize / machines.len());
            Some((bot(machines[machine], names[name % names.len()]), room))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// No identities at all.
pub(in super::super) const HAMMERING: Scenario = Scenario {
    name: "hammering",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,600 signatures in five minutes without keys from 60 addresses, which repeat themselves",
    hard: "a viewer that repeats itself is no new viewer, and a broken client repeats itself, too",
    build: |world, agenda| {
        let room = world.rooms.stage(4).place;
        let mut random = world.random("machines");
        let machines = pool(world.settings.sized(60), || residential(world, &mut random));
        let pace = Pace::over(world.settings.sized(1_600), within(world, 5));
        let make = move |Turn { random, .. }: Turn<'_>| Some((bot(*random.pick(&machines), PYTHON), room));
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};
