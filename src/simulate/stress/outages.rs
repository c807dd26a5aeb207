//! When something breaks, everybody comes back at once.

use super::super::agenda::{Agenda, World};
use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona};
use super::super::outage::Outage;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::{Independent, Lively};

/// How long an outage of the platform's side lasts, in milliseconds.
const AWAY: u64 = 60_000;

/// Everybody was thrown out.
pub(in super::super) const RECONNECT_STORM: Scenario = Scenario {
    name: "reconnect-storm",
    populations: &[Independent],
    kind: Kind::Honest,
    summary: "the platform drops all connections: 70 % of those who were connected sign again within two minutes",
    hard: "every room bursts at once, from one address for each tool; per-address limits refuse whoever has several",
    build: |world, agenda| come_back(world, agenda, false),
};

/// Everybody was thrown out, and many come back from elsewhere.
pub(in super::super) const OUTAGE_MOVED: Scenario = Scenario {
    name: "outage-moved",
    populations: &[Lively],
    kind: Kind::Honest,
    summary: "a provider's network fails: all sign again, half of them with another address of the same provider",
    hard: "half of the audience are strangers of a sudden, in every room, from the networks that were there before",
    build: |world, agenda| come_back(world, agenda, true),
};

/// 70 % of those who were about lately connect again, to where they were.
fn come_back(world: &World, agenda: &mut Agenda, moved: bool) {
    let begins = world.settings.event_at() + AWAY;
    // Whoever joined in the last ten minutes and more is connected; at the usual rate some 8,000.
    let count = world.settings.sized(world.scaled(5_600.0));
    let make = move |turn: Turn<'_>| {
        let Turn { now, world, random, .. } = turn;
        let (client, room) = world.seen.connected(now.saturating_sub(AWAY), random)?;
        let mut client = Client { persona: Persona::Reconnect, ..client };
        if moved && random.chance(0.5) {
            client.address = world.plan.network_of(client.address)?.address(random);
        }
        Some((client, room))
    };
    let pace = Pace::crowd(begins, count, 40_000);
    agenda.source(begins, Campaign::new(world, "come back", pace, make));
}

/// The generators are down.
pub(in super::super) const GENERATOR_OUTAGE: Scenario = Scenario {
    name: "generator-outage",
    populations: &[Independent],
    kind: Kind::Honest,
    summary: "every generator fails for three minutes; 60 % of the tools try again every five seconds, none with a device id",
    hard: "each retry looks like one viewer more, and without device ids neighbours at one address cannot be told apart",
    build: |world, _| {
        world.sends_devices = false;
        let from = world.settings.event_at();
        world.outage = Some(Outage { from, to: from + 180_000, retrying: 0.6, wait: 5_000 });
    },
};
