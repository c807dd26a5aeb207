//! Those who stream: one to five tools at one address, which all connect when the stream begins and again now and then.

use super::super::agenda::{Agenda, Source, World};
use super::super::identity::{Client, Persona};
use super::super::random::Random;
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
}

pub(super) fn begin(world: &World, agenda: &mut Agenda, share: f64) {
    agenda.source(0, Creators { random: world.random("creators"), gap: world.gap(share) * TOOLS_MEAN });
}

impl Source for Creators {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        if let Some(room) = world.rooms.any(&mut self.random) {
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
