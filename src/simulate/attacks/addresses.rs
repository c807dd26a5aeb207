//! A new address for each viewer: the plainest way to be many.

use super::super::campaign::{Campaign, Pace, Turn};
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::Independent;
use super::super::tools::{PYTHON, PYTHON_OLD};
use super::bots::{bot, residential};
use super::within;

/// What somebody calls themselves who has not thought of it.
const SCRIPT: &str = "python-requests/2.32.3";

/// The first thing that anybody tries.
pub(in super::super) const NAIVE_BURST: Scenario = Scenario {
    name: "naive-burst",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "3,000 viewers for one room in four minutes, one script, each from a rented machine of its own",
    hard: "no address asks twice, so no limit per address sees anything",
    build: |world, agenda| {
        let room = world.rooms.stage(0).place;
        let script = world.tools.add(SCRIPT, PYTHON);
        let pace = Pace::over(world.settings.sized(3_000), within(world, 4));
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            let hosters = world.plan.hosters();
            // Half of the machines of two hosters.
            let address = hosters[random.place(2)].address_in(random.below(120) as u16, random);
            Some((bot(address, script), room))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// Rented by the gigabyte.
pub(in super::super) const RESIDENTIAL_ROTATION: Scenario = Scenario {
    name: "residential-rotation",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "2,000 viewers in ten minutes from residential proxies, each used once or twice",
    hard: "addresses are people's own, of all networks and countries, and no list of them can keep up",
    build: |world, agenda| {
        let room = world.rooms.stage(1).place;
        let pace = Pace::over(world.settings.sized(2_000), within(world, 10));
        let mut last = None;
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            // What is used twice is another viewer the second time.
            let (address, tool) = match last.take() {
                Some(address) if random.chance(0.4) => (address, PYTHON),
                _ => {
                    let address = residential(world, random);
                    last = Some(address);
                    (address, PYTHON_OLD)
                }
            };
            Some((bot(address, tool), room))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// An IPv6 prefix holds more viewers than anybody needs.
pub(in super::super) const IPV6_ROTATION: Scenario = Scenario {
    name: "ipv6-rotation",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "2,500 viewers in five minutes, each from a /64 of its own in one hoster's /32",
    hard: "the attacker has more /64s than a table has places; only what they have in common tells",
    build: |world, agenda| {
        let room = world.rooms.stage(2).place;
        let script = world.tools.add(SCRIPT, PYTHON);
        let pace = Pace::over(world.settings.sized(2_500), within(world, 5));
        let make = move |Turn { world, random, .. }: Turn<'_>| {
            Some((bot(world.plan.hosters()[2].address_v6(random), script), room))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// A room of which nothing is known.
pub(in super::super) const NEW_ROOM: Scenario = Scenario {
    name: "new-room",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "900 viewers in eight minutes for a room that nobody else ever asked for",
    hard: "there is no baseline, no audience and nobody known: all that there is are the bots themselves",
    build: |world, agenda| {
        let room = world.rooms.make_apart(None).place;
        let pace = Pace::over(world.settings.sized(900), within(world, 8));
        let make =
            move |Turn { world, random, .. }: Turn<'_>| Some((bot(residential(world, random), PYTHON), room));
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};
