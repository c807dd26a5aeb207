//! What is to come, in order of time, and the world in which it comes.
//!
//! Traffic is made as it is read: sources sleep in a heap until they are due, then say what is to be asked, and when to wake
//! them again. So memory hangs on how much happens at a time, not on how long the traffic is.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::identity::{Client, People};
use super::networks::Plan;
use super::outage::Outage;
use super::random::{Random, whole};
use super::record::{Ask, Ending, Header, Place, Record, Request};
use super::rooms::Rooms;
use super::seen::Seen;
use super::settings::{Population, Settings};
use super::tools::{Spelling, Tools};

/// How many requests come of one connect, with what programs ask beside it.
const BESIDE: f64 = 1.075;

/// Something that makes requests. It sleeps, wakes, puts what it makes on the agenda, and sleeps again.
pub(super) trait Source {
    /// What happens now; when to be woken again (milliseconds from the start), or `None` when it is over.
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64>;
}

/// What sources look at and change.
pub(super) struct World {
    pub settings: Settings,
    pub plan: Plan,
    pub tools: Tools,
    pub people: People,
    pub rooms: Rooms,
    pub seen: Seen,
    pub outage: Option<Outage>,
    /// Whether the programs that have a device id send it.
    pub sends_devices: bool,
}

impl World {
    /// A stream of chance of this name.
    pub fn random(&self, name: &str) -> Random {
        Random::named(self.settings.seed, name)
    }

    pub fn is_lively(&self) -> bool {
        self.settings.population == Population::Lively
    }

    /// How long apart connects are of which there are so many for each ordinary request, in milliseconds. What programs
    /// ask beside connecting is part of the ordinary requests.
    pub fn gap(&self, share: f64) -> f64 {
        1000.0 * BESIDE / (self.settings.rate * share)
    }

    /// So many at the usual rate of 30 a second, in proportion; at least one.
    pub fn scaled(&self, at_usual_rate: f64) -> u64 {
        whole((at_usual_rate * self.settings.rate / 30.0).round()).max(1)
    }
}

enum Due {
    Source(Box<dyn Source>),
    Request(Request),
}

struct Entry {
    at: u64,
    /// Tells apart what is due at one moment: in the order in which it was put here.
    order: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What is to come.
#[derive(Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Agenda {
    fn push(&mut self, at: u64, due: Due) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, due }));
    }

    /// Wakes a source for the first time.
    pub fn source(&mut self, at: u64, source: impl Source + 'static) {
        self.push(at, Due::Source(Box::new(source)));
    }

    /// One request.
    pub fn ask(&mut self, at: u64, client: Client, ask: Ask, room: Place, ending: Ending) {
        self.push(at, Due::Request(Request { client, ask, room, ending, tries: 0 }));
    }

    /// A program connects to a room. Some ask something else first, as their library or their author had it.
    pub fn connect(&mut self, at: u64, client: Client, room: Place, world: &World) {
        let habit = Random::numbered(client.viewer, room.id).below(100);
        let asks_limits = world.tools.get(client.tool).client == "gotiktok_live";
        let names_streamer = world.tools.get(client.tool).spelling == Spelling::AnchorPath;
        let mut at = at;
        if asks_limits {
            self.ask(at, client, Ask::Limits, room, Ending::Good);
            at += 180;
        }
        if habit < 6 && !names_streamer {
            self.ask(at, client, Ask::RoomId, room, Ending::Good);
            at += 350;
        }
        self.ask(at, client, Ask::Connect, room, Ending::Good);
        if habit == 99 && client.session.is_some() {
            self.ask(at + 20_000, client, Ask::Chat, room, Ending::Good);
        }
    }
}

/// Labelled traffic, in order of time, made as it is read.
pub struct Traffic {
    world: World,
    agenda: Agenda,
    header: Header,
    seq: u64,
}

impl Traffic {
    /// Prepares it.
    pub fn new(settings: Settings) -> Self {
        let population = settings.population;
        let scenario = settings.scenario;
        let lively = population == Population::Lively;
        let mut world = World {
            plan: Plan::new(settings.rate),
            tools: Tools::usual(),
            people: People::new(settings.seed, lively),
            rooms: Rooms::new(&settings),
            seen: Seen::default(),
            outage: None,
            sends_devices: true,
            settings,
        };
        let mut agenda = Agenda::default();
        super::personas::everyday(&mut world, &mut agenda);
        (scenario.build)(&mut world, &mut agenda);
        Self { world, agenda, header: Header { population, scenario: scenario.name }, seq: 0 }
    }

    /// Appends the line of a record of this traffic, with its newline.
    pub fn write_line(&self, record: &Record, out: &mut Vec<u8>) {
        record.write(self.header, &self.world.tools, out);
    }

    /// The tools that are about in it.
    #[cfg(test)]
    pub(super) const fn tools(&self) -> &Tools {
        &self.world.tools
    }

    /// Whether a room is live at the time of the last record.
    #[cfg(test)]
    pub(super) fn is_live(&self, room: Place) -> bool {
        self.world.rooms.is_live(room)
    }

    fn finish(&mut self, at: u64, mut request: Request) -> Record {
        let client = &mut request.client;
        if !client.persona.is_attack() {
            client.tool = self.world.tools.at(client.tool, client.viewer, at);
        }
        client.device = client.device.filter(|_| self.world.sends_devices);
        // Of its own: so that what else happens does not change how long this one took.
        let mut chance = Random::numbered(client.viewer, at);
        let mut duration_ms = 60 + chance.wait(90.0);
        if request.ending == Ending::Good
            && let Some(outage) = &self.world.outage
            && outage.holds(at)
            && request.ask != Ask::Limits
        {
            request.ending = Ending::Failed;
            duration_ms = 1_000 + chance.below(4_000);
            if let Some(wait) = outage.retries_after(&request, &mut chance) {
                let again = Request { tries: request.tries + 1, ending: Ending::Good, ..request };
                self.agenda.push(at + wait, Due::Request(again));
            }
        }
        let record = Record {
            time_ms: self.world.settings.start_ms + at,
            seq: self.seq,
            room: request.room.id,
            is_attack: request.client.persona.is_attack(),
            client: request.client.address,
            request,
            duration_ms,
        };
        self.seq += 1;
        record
    }
}

impl Iterator for Traffic {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let Reverse(Entry { at, due, .. }) = self.agenda.heap.pop()?;
            if at >= self.world.settings.end() {
                return None;
            }
            match due {
                Due::Request(request) => return Some(self.finish(at, request)),
                Due::Source(mut source) => {
                    if let Some(again) = source.fire(at, &mut self.world, &mut self.agenda) {
                        // A source that does not sleep would never let time go on.
                        self.agenda.push(again.max(at + 1), Due::Source(source));
                    }
                }
            }
        }
    }
}
