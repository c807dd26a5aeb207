//! Those who stream: one to five tools at one address, which all connect when the stream begins and again now and then.

use std::collections::VecDeque;

use super::super::agenda::{Agenda, Source, World};
use super::super::identity::{Client, Persona};
use super::super::random::Random;
use super::super::record::Place;
use super::super::rooms::Room;

/// How likely it is that somebody has one, two, … tools.
const TOOLS: [f64; 5] = [0.38, 0.28, 0.18, 0.10, 0.06];

/// Their mean number.
const TOOLS_MEAN: f64 = 2.18;

/// Which share of the further tools uses the creator's key.
const SAME_KEY: f64 = 0.4;

/// Reconnects the tools of creators, all of one at a time: they were restarted, or the network was away.
struct Creators {
    random: Random,
    gap: f64,
    /// Whose were restarted last: nobody does it every minute.
    rested: VecDeque<Place>,
}

/// So many of them are remembered: among more rooms nobody is met twice within minutes.
const RESTED_MAX: usize = 2_000;

/// So many creators are looked at to find one whose tools were not restarted lately.
const LOOKS: usize = 8;

pub(super) fn begin(world: &World, agenda: &mut Agenda, share: f64) {
    agenda.source(
        0,
        Creators {
            random: world.random("creators"),
            gap: world.gap(share) * TOOLS_MEAN,
            rested: VecDeque::new(),
        },
    );
}

impl Source for Creators {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let Self { random, rested, .. } = self;
        let mut found = (0..LOOKS).filter_map(|_| world.rooms.any(random));
        if let Some(room) = found.find(|room| !rested.contains(&room.place)) {
            self.rested.push_back(room.place);
            if self.rested.len() > (world.settings.rooms() / 2).min(RESTED_MAX) {
                self.rested.pop_front();
            }
            connect_tools(now, room, world, agenda, &mut self.random);
        }
        Some(now + self.random.wait(self.gap))
    }
}

/// All tools of a room's creator connect, one after the other.
pub(super) fn connect_tools(now: u64, room: Room, world: &World, agenda: &mut Agenda, random: &mut Random) {
    let mut at = now;
    for tool in tools_of(room, world) {
        agenda.connect(at, tool, room.place, world);
        at += random.between(400, 9_000);
    }
}

/// The tools of a room's creator: the same whenever asked.
fn tools_of(room: Room, world: &World) -> Vec<Client> {
    let number = 2 << 40 | room.place.streamer;
    let mut random = Random::numbered(world.settings.seed ^ 0x746f_6f6c, room.place.streamer);
    let first = world.people.person(room.country, number, &world.plan, &world.tools);
    let first = Client { persona: Persona::Creator, ..first };
    let mut tools = vec![first];
    for _ in 0..random.weighted(TOOLS.into_iter()) {
        let tool = if world.is_lively() {
            world.tools.of_country(room.country, &mut random)
        } else {
            world.tools.anybody(&mut random)
        };
        let key = first.key.filter(|_| random.chance(SAME_KEY));
        tools.push(Client { tool, key, device: None, session: None, ..first });
    }
    tools
}
