//! Those who do it for a living: analytics firms and agencies.

use super::super::agenda::{Agenda, Source, World};
use super::super::identity::{Client, Persona, Tier};
use super::super::networks::Plan;
use super::super::random::Random;
use super::super::tools::{NODE, PYTHON};

/// How many analytics firms there are.
const FIRMS: u64 = 5;

/// How many machines each has rented.
const MACHINES: u64 = 4;

/// Connects to every room that it can find, from a few machines under one paid key.
struct Firm {
    random: Random,
    gap: f64,
    machines: Vec<Client>,
}

pub(super) fn analytics(world: &World, agenda: &mut Agenda, share: f64) {
    for number in 0..FIRMS {
        let mut random = Random::numbered(world.settings.seed ^ 0x6669_726d, number);
        let hoster = random.pick(world.plan.hosters()).clone();
        let key = world.people.own_key(7 << 40 | number, Tier::Enterprise);
        let (tool, subnet) = (*random.pick(&[PYTHON, NODE]), random.below(256) as u16);
        let machine = |viewer| Client {
            address: hoster.address_in(subnet, &mut random),
            key: Some(key),
            tool,
            device: None,
            session: None,
            viewer,
            persona: Persona::Analytics,
        };
        let machines = (0..MACHINES).map(|place| 7 << 40 | number << 8 | place).map(machine).collect();
        agenda.source(0, Firm { random, gap: world.gap(share / FIRMS as f64), machines });
    }
}

impl Source for Firm {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let machine = *self.random.pick(&self.machines);
        if let Some(room) = world.rooms.any(&mut self.random) {
            agenda.connect(now, machine, room.place, world);
        }
        Some(now + self.random.wait(self.gap))
    }
}

/// How many agencies there are, at the usual rate.
const AGENCIES: f64 = 14.0;

/// How many of its creators' rooms an agency connects to at a time, at most.
const ROOMS_AT_A_TIME: u64 = 6;

/// One office with one program and one key, which connects to several rooms in a row.
struct Agencies {
    random: Random,
    gap: f64,
}

pub(super) fn agencies(world: &World, agenda: &mut Agenda, share: f64) {
    let mean = f64::midpoint(1.0, ROOMS_AT_A_TIME as f64);
    agenda.source(0, Agencies { random: world.random("agencies"), gap: world.gap(share) * mean });
}

impl Source for Agencies {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let number = self.random.below(world.scaled(AGENCIES));
        let mut own = Random::numbered(world.settings.seed ^ 0x6167_656e, number);
        let country = Plan::country(&mut own);
        let tier = if own.chance(0.5) { Tier::Business } else { Tier::Community };
        let owner = 8 << 40 | number;
        let office = Client {
            address: world.plan.homes(country)[0].address(&mut own),
            key: Some(world.people.own_key(owner, tier)),
            tool: world.tools.of_country(country, &mut own),
            device: None,
            session: None,
            viewer: owner,
            persona: Persona::Agency,
        };
        let mut at = now;
        for _ in 0..=self.random.below(ROOMS_AT_A_TIME) {
            if let Some(room) = world.rooms.any(&mut self.random) {
                agenda.connect(at, office, room.place, world);
            }
            at += self.random.between(300, 3_000);
        }
        Some(now + self.random.wait(self.gap))
    }
}
