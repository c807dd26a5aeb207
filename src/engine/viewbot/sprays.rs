//! Sprays against view-bot detection: of rooms, addresses, devices and user agents that are made up as they come. They stay
//! within its caps, and unlearn neither what is usual for a calm room nor who is known.
//!
//! `SIGNGATE_LONG=1` sprays a million and more of each with the caps that are served with, and counts the bytes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::base::library::Library;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::engine::decision::Verdict;
use crate::engine::facts::{Credential, Facts, TargetClaim};
use crate::engine::viewbot::Caps;
use crate::engine::{Ending, Engine};
use crate::policy::{PolicySet, Sources, compile};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

const POLICY: &str =
    "format = 1\n[tier.anonymous]\nclass = \"none\"\n[viewbot]\nmode = \"enforce\"\nknown-age = \"8m\"\n";

/// What detection may take with all of its tables full.
const MEMORY_MAX: u64 = 400_000_000;

const AGENT: &str = "TikTokLive.py/7.0.1";

fn is_long() -> bool {
    std::env::var_os("SIGNGATE_LONG").is_some_and(|long| long == "1")
}

struct World {
    engine: Engine,
    policy: PolicySet,
    now: Timestamp,
}

#[derive(Clone, Copy)]
struct Asks<'a> {
    from: u32,
    room: u64,
    agent: &'a str,
    device: Option<&'a str>,
}

impl World {
    fn new(caps: Caps) -> Self {
        let mut sources = Sources::new("");
        sources.insert("p.toml", POLICY);
        let policy = compile(&sources, START).unwrap_or_else(|wrong| panic!("{wrong:?}")).set;
        Self { engine: Engine::with_caps(10_000, caps, 1), policy, now: START }
    }

    fn ask(&mut self, asked: Asks<'_>) -> Verdict {
        let facts = Facts {
            operation: Operation::Connect,
            client: IpAddr::V4(Ipv4Addr::from_bits(asked.from)),
            credential: Credential::Absent,
            room: Some(Room::Id(asked.room)),
            resolved: None,
            target: TargetClaim::None,
            session: None,
            user_agent: asked.agent,
            library: Library::UNKNOWN,
            device: asked.device,
            asn: None,
        };
        let assessment = self.engine.assess(&self.policy, &facts, self.now);
        let (decision, receipt) = self.engine.decide(&self.policy, assessment, self.now);
        if let Some(receipt) = receipt {
            self.engine.observe(&self.policy, &receipt, Ending::Good(None), self.now);
        }
        decision.verdict()
    }

    /// People who watch two rooms each, for an hour: rooms have a baseline, and people are known.
    fn live(&mut self, people: u32) {
        for round in 0..3u64 {
            for person in 0..people {
                let (from, room) = (person_at(person), room_of(person, round));
                let asked = Asks { from, room, agent: AGENT, device: None };
                assert_eq!(self.ask(asked), Verdict::Allow, "{person}");
                self.now = self.now + Duration::from_millis(1_200_000 / u64::from(people));
            }
        }
    }

    /// The baselines of these people's rooms: how many viewers each room learned from.
    fn baselines(&self, people: u32) -> Vec<Option<f64>> {
        let memory = self.engine.viewbot().memory();
        let learned = |person| {
            let room = Subject::room(&Room::Id(room_of(person, 0)));
            let place = memory.rooms.binary_search_by_key(&room, |(room, ..)| *room).ok()?;
            Some(memory.rooms[place].2)
        };
        (0..people).map(learned).collect()
    }

    /// How many of these people are in the long memory.
    fn known(&self, people: u32) -> usize {
        let memory = self.engine.viewbot().memory();
        let addresses: std::collections::BTreeSet<u64> =
            memory.viewers.iter().map(|(viewer, _)| viewer.address.number()).collect();
        (0..people).filter(|person| addresses.contains(&u64::from(person_at(*person)))).count()
    }
}

/// Each in a subnet of its own.
fn person_at(person: u32) -> u32 {
    0x0a00_0000 | person << 8
}

/// Four people a room.
fn room_of(person: u32, round: u64) -> u64 {
    1_000 + u64::from(person / 4) + round % 2 * 1_000_000
}

/// What is made up anew for each request of a spray.
#[derive(Debug, Clone, Copy)]
enum Sprayed {
    Rooms,
    Addresses,
    Devices,
    Agents,
    All,
}

const SPRAYS: [Sprayed; 5] =
    [Sprayed::Rooms, Sprayed::Addresses, Sprayed::Devices, Sprayed::Agents, Sprayed::All];

impl World {
    /// Twice as many requests, with something in them made up anew for every second.
    fn spray(&mut self, sprayed: Sprayed, strangers: u32) {
        let mut text = String::new();
        for n in 0..strangers {
            use std::fmt::Write as _;
            text.clear();
            let _ = write!(text, "{sprayed:?}/{n}");
            let (far, room) = (0x3000_0000 + n * 11, 5_000_000_000 + u64::from(n));
            let (near, one_of_many) = (0x2000_0000 + n % 512, 4_000_000_000 + u64::from(n % 10_000));
            let asked = match sprayed {
                Sprayed::Rooms => Asks { from: near, room, agent: AGENT, device: None },
                Sprayed::Addresses => Asks { from: far, room: one_of_many, agent: AGENT, device: None },
                Sprayed::Devices => Asks { from: near, room: one_of_many, agent: AGENT, device: Some(&text) },
                Sprayed::Agents => Asks { from: near, room: one_of_many, agent: &text, device: None },
                Sprayed::All => Asks { from: far, room: room << 20, agent: &text, device: Some(&text) },
            };
            // Whoever comes twice is in the long memory.
            for _ in 0..2 {
                self.ask(asked);
            }
            self.now = self.now + Duration::from_micros(100);
        }
    }
}

fn sprays_unlearn_nothing(caps: Caps, people: u32, strangers: u32) {
    let mut world = World::new(caps);
    world.live(people);
    let (baselines, known) = (world.baselines(people), world.known(people));
    assert!(baselines.iter().all(|learned| learned.is_some_and(|learned| learned > 3.0)));
    assert_eq!(known as u32, people, "whoever came three times is remembered");
    for sprayed in SPRAYS {
        world.spray(sprayed, strangers);
        let counts = world.engine.viewbot().room_count();
        assert!(counts <= caps.rooms, "{counts} rooms after a spray of {sprayed:?}");
        assert!(world.engine.viewbot().memory().viewers.len() <= caps.viewers);
        assert_eq!(world.baselines(people), baselines, "a spray of {sprayed:?} unlearned a baseline");
        assert_eq!(world.known(people), known, "a spray of {sprayed:?} unlearned a known viewer");
    }
    // And none of them notices.
    for person in 0..people {
        let asked = Asks { from: person_at(person), room: room_of(person, 1), agent: AGENT, device: None };
        assert_eq!(world.ask(asked), Verdict::Allow, "{person}");
        world.now = world.now + Duration::from_millis(50);
    }
}

#[test]
fn sprays_unlearn_no_calm_baseline_and_no_known_viewer() {
    let caps = Caps { rooms: 12_800, viewers: 12_800, seats: 12_800 };
    sprays_unlearn_nothing(caps, 1_600, 30_000);
}

#[test]
fn a_million_of_everything_stays_within_400_mb() {
    if !is_long() {
        return;
    }
    // Without what the looks at its memory take: they copy it out.
    let took = allocation_counter::measure(|| {
        let mut world = World::new(Caps::default());
        world.live(40_000);
        for sprayed in SPRAYS {
            world.spray(sprayed, 1_200_000);
        }
    });
    assert!(took.bytes_max < MEMORY_MAX, "{} MB were needed", took.bytes_max / 1_000_000);
    println!("at most {} MB", took.bytes_max / 1_000_000);
    sprays_unlearn_nothing(Caps::default(), 40_000, 1_200_000);
}
