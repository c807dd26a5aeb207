//! Attacks that prepare themselves: what they do before is labelled `preparing` and is nobody's loss.

use super::super::agenda::World;
use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona};
use super::super::random::{Random, whole};
use super::super::record::Place;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::Independent;
use super::super::tools::{PYTHON, PYTHON_OLD};
use super::bots::{bot, residential};
use super::within;

/// How long bots rest between being seen elsewhere and the attack, in milliseconds, where there is so much time.
const RESTS: u64 = 540_000;

/// How many rooms they are aged in.
const DECOYS: usize = 8;

/// Known by sight.
pub(in super::super) const AGED_IDENTITIES: Scenario = Scenario {
    name: "aged-identities",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,400 viewers, each seen in one of eight decoy rooms nine minutes before, then in the room within eight minutes",
    hard: "being known is what tells people from bots, and bots can be made known, a few in each room",
    build: |world, agenda| {
        let count = world.settings.sized(1_400);
        let mut random = world.random("bots");
        let bots: Vec<Client> = (0..count).map(|_| bot(residential(world, &mut random), PYTHON)).collect();
        let begins = world.settings.event_at();
        // They are aged over the time that there is before their rest.
        let rested = begins.saturating_sub(RESTS).max(60_000);
        let ageing = rested.min(480_000);
        let decoys: Vec<Place> = (0..DECOYS).map(|_| world.rooms.make_apart(None).place).collect();
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
    summary: "bots join a room at a slow pace from the beginning on, then 280 more in 15 minutes, ever faster",
    hard: "whoever learns what is usual from what was admitted learns what the attacker wants",
    build: |world, agenda| {
        let room = world.rooms.stage(44).place;
        let begins = world.settings.event_at();
        let count = whole(begins as f64 / 60_000.0 * TRAINS_A_MINUTE);
        let bot = |world: &World, random: &mut Random| bot(residential(world, random), PYTHON_OLD);
        let train = move |Turn { world, random, .. }: Turn<'_>| {
            Some((Client { persona: Persona::Preparing, ..bot(world, random) }, room))
        };
        agenda.source(0, Campaign::new(world, "training", Pace::over(count.max(1), begins), train));
        let pace = Pace::rising(begins, world.settings.sized(280), within(world, 15));
        let attack = move |Turn { world, random, .. }: Turn<'_>| Some((bot(world, random), room));
        agenda.source(begins, Campaign::new(world, "attack", pace, attack));
    },
};

/// As many as come to any room.
const TRAINS_A_MINUTE: f64 = 1.2;
