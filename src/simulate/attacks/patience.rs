//! Attacks that prepare themselves: what they do before is labelled `preparing` and is nobody's loss.

use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona};
use super::super::record::{Ask, Ending, Place};
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::Independent;
use super::super::tools::{PYTHON, PYTHON_OLD};
use super::bots::{bot, residential};
use super::within;

/// How long bots rest between being seen elsewhere and the attack, in milliseconds, where there is so much time.
const RESTS: u64 = 540_000;

/// Known by sight.
pub(in super::super) const AGED_IDENTITIES: Scenario = Scenario {
    name: "aged-identities",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,400 viewers, each seen in one of 200 decoy rooms nine minutes before, then in the room within eight minutes",
    hard: "being known is what tells people from bots, and bots can be made known, a few in each room",
    build: |world, agenda| {
        let count = world.settings.sized(1_400);
        let mut random = world.random("bots");
        let bots: Vec<Client> = (0..count).map(|_| bot(residential(world, &mut random), PYTHON)).collect();
        let begins = world.settings.event_at();
        // They are aged over the time that there is before their rest.
        let rested = begins.saturating_sub(RESTS).max(60_000);
        let ageing = rested.min(480_000);
        let decoys: Vec<Place> = (0..count.div_ceil(7)).map(|_| world.rooms.make_apart(None).place).collect();
        let aged = bots.clone();
        let age = move |Turn { number, .. }: Turn<'_>| {
            let room = decoys[number as usize % decoys.len()];
            Some((Client { persona: Persona::Preparing, ..aged[number as usize] }, room))
        };
        agenda.source(rested - ageing, Campaign::new(world, "ageing", Pace::over(count, ageing), age));
        let room = world.rooms.stage(13).place;
        let attack = move |Turn { number, .. }: Turn<'_>| Some((bots[number as usize], room));
        agenda.source(begins, Campaign::new(world, "attack", Pace::over(count, within(world, 8)), attack));
    },
};

/// Slowly first, so that much is usual.
pub(in super::super) const TRAINED_BASELINE: Scenario = Scenario {
    name: "trained-baseline",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "bots join a room slowly and ever faster from the beginning on, then 280 more in ten minutes",
    hard: "whoever learns what is usual from what was admitted learns what the attacker wants",
    build: |world, agenda| {
        let room = world.rooms.stage(14).place;
        let begins = world.settings.event_at();
        // From one a minute to six: as the square of time goes on.
        let (count, mut random) = (begins / 60_000 * 7 / 2, world.random("training"));
        for number in 0..count {
            let at = (begins as f64 * ((number as f64 + random.unit()) / count as f64).sqrt()) as u64;
            let trainer = bot(residential(world, &mut random), PYTHON_OLD);
            let trainer = Client { persona: Persona::Preparing, ..trainer };
            agenda.ask(at, trainer, Ask::Connect, room, Ending::Good);
        }
        let pace = Pace::over(world.settings.sized(280), within(world, 10));
        let make =
            move |Turn { world, random, .. }: Turn<'_>| Some((bot(residential(world, random), PYTHON_OLD), room));
        agenda.source(begins, Campaign::new(world, "attack", pace, make));
    },
};
