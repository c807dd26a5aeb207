//! Programs that never sleep: pollers at a fixed interval, and hobby bots on platforms.

use super::super::agenda::{Agenda, Source, World};
use super::super::identity::{Client, Persona, Tier};
use super::super::networks::Plan;
use super::super::random::{Random, whole};
use super::super::record::Place;
use super::super::tools::{NODE_PLATFORM, PYTHON, ToolId};

/// The intervals that people write into their programs, in milliseconds.
const INTERVALS: [u64; 5] = [30_000, 60_000, 60_000, 120_000, 300_000];

/// The clock of a program is that exact, in milliseconds.
const JITTER: u64 = 120;

/// One program that connects to one room at a fixed interval, whatever happens.
struct Poller {
    random: Random,
    client: Client,
    room: Option<Place>,
    interval: u64,
}

pub(super) fn pollers(world: &World, agenda: &mut Agenda, share: f64) {
    let mut random = world.random("pollers");
    let each: f64 =
        INTERVALS.iter().map(|interval| 1000.0 / *interval as f64).sum::<f64>() / INTERVALS.len() as f64;
    let count = whole((world.settings.rate * share / each).round());
    for number in 0..count {
        let country = Plan::country(&mut random);
        let client = world.people.person(country, 3 << 40 | number, &world.plan, &world.tools);
        let interval = *random.pick(&INTERVALS);
        let client = Client { persona: Persona::Poller, ..client };
        let first = random.below(interval);
        let random = Random::numbered(random.next(), number);
        agenda.source(first, Poller { random, client, room: None, interval });
    }
}

impl Source for Poller {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        if !self.room.is_some_and(|room| world.rooms.is_live(room)) {
            self.room = world.rooms.watched(&mut self.random).map(|room| room.place);
        }
        if let Some(room) = self.room {
            agenda.connect(now, self.client, room, world);
        }
        Some(now + self.interval - JITTER / 2 + self.random.below(JITTER))
    }
}

/// How many programs run on each platform, at the usual rate.
const PROGRAMS: f64 = 400.0;

/// Which share of them has a free key; the others have none, and cannot be told apart.
const KEYED: f64 = 0.4;

/// What programs on each platform are made with, nearly all of them: its template's library.
const TEMPLATES: [ToolId; 3] = [NODE_PLATFORM, PYTHON, NODE_PLATFORM];

/// Which share of them uses it.
const TEMPLATE: f64 = 0.85;

/// Hobby bots on shared hosting: hundreds behind eight addresses with one user agent.
struct SharedHosting {
    random: Random,
    gap: f64,
}

pub(super) fn shared_hosting(world: &World, agenda: &mut Agenda, share: f64) {
    agenda.source(0, SharedHosting { random: world.random("shared hosting"), gap: world.gap(share) });
}

impl Source for SharedHosting {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let platform = self.random.place(world.plan.platforms().len());
        let number = self.random.below(world.scaled(PROGRAMS));
        let client = program(platform, number, world);
        if let Some(room) = world.rooms.watched(&mut self.random) {
            agenda.connect(now, client, room.place, world);
        }
        Some(now + self.random.wait(self.gap))
    }
}

/// A program on a platform: the same whenever asked, but for the gateway that it leaves by.
fn program(platform: usize, number: u64, world: &World) -> Client {
    let owner = 4 << 40 | (platform as u64) << 32 | number;
    let mut random = Random::numbered(world.settings.seed ^ 0x7061_6173, owner);
    let tool = if random.chance(TEMPLATE) { TEMPLATES[platform] } else { world.tools.anybody(&mut random) };
    Client {
        address: world.plan.platforms()[platform].address(&mut random),
        key: random.chance(KEYED).then(|| world.people.own_key(owner, Tier::Community)),
        tool,
        device: None,
        session: None,
        viewer: random.next(),
        persona: Persona::SharedHosting,
    }
}
