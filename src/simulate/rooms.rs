//! Rooms: which are live, how much they are watched, and where their audience lives.
//!
//! In population 1 every room is live from beginning to end. In population 2 streams start and end
//! (`personas::streams`), and each stream is a room that was never seen before, as on the platform itself.

use super::networks::Plan;
use super::random::Random;
use super::record::Place;
use super::settings::{Population, Settings};

/// Room ids begin here, as today's do.
const FIRST_ID: u64 = 7_300_000_000_000_000_000;

/// How fast rooms get smaller from the most watched one on (Zipf and Mandelbrot): the first few are about as large.
const ZIPF: f64 = 0.9;
const FLAT: f64 = 8.0;

fn weight_of(rank: usize) -> f64 {
    (rank as f64 + FLAT).powf(-ZIPF)
}

/// A live room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub place: Place,
    /// Where its audience lives.
    pub country: u8,
    /// How much it is watched, relative to others.
    pub weight: f64,
}

/// The rooms that are live now.
#[derive(Debug)]
pub(super) struct Rooms {
    seed: u64,
    live: Vec<Room>,
    /// Sums of weights up to each; empty where they have to be summed again.
    sums: Vec<f64>,
    made: u64,
    apart: u64,
    /// The average weight of rooms as they come.
    usual: f64,
    /// Rooms that are live all the time, for scenarios to happen in. They are there in every run, so that one with an
    /// attack differs from one without by the attack alone.
    stages: Vec<Room>,
}

/// So many rooms there are for scenarios to happen in.
pub(super) const STAGES: usize = 45;

impl Rooms {
    pub fn new(settings: &Settings) -> Self {
        let count = settings.rooms();
        let usual = (0..count).map(weight_of).sum::<f64>() / count as f64;
        let mut rooms = Self {
            seed: settings.seed,
            live: Vec::new(),
            sums: Vec::new(),
            made: 0,
            apart: 0,
            usual,
            stages: Vec::new(),
        };
        if settings.population == Population::Independent {
            for rank in 0..count {
                let room = rooms.make(weight_of(rank));
                rooms.open(room);
            }
            // Rooms that are neither the largest nor empty.
            let from = count / 15;
            rooms.stages = rooms.live[from..from + STAGES].to_vec();
        } else {
            for _ in 0..STAGES {
                let room = rooms.make(usual);
                rooms.open(room);
                rooms.stages.push(room);
            }
        }
        rooms
    }

    /// A room of a scenario's own, that nobody else asks for, of this country or of any. Rooms of everyday life stay the
    /// same beside it.
    pub fn make_apart(&mut self, country: Option<u8>) -> Room {
        self.apart += 1;
        self.numbered(1 << 40 | self.apart, country, self.usual)
    }

    /// A room that nobody has seen yet; not live yet.
    fn make(&mut self, weight: f64) -> Room {
        self.made += 1;
        self.numbered(self.made, None, weight)
    }

    fn numbered(&self, number: u64, country: Option<u8>, weight: f64) -> Room {
        let mut random = Random::numbered(self.seed ^ 0x726f_6f6d, number);
        let id = FIRST_ID + random.below(1 << 52);
        let streamer = random.next() >> 24;
        let country = country.unwrap_or_else(|| Plan::country(&mut random));
        Room { place: Place { id, streamer }, country, weight }
    }

    /// A room of a weight as they come: most are small.
    pub fn make_usual(&mut self, count: usize, random: &mut Random) -> Room {
        let rank = random.place(count);
        self.make(weight_of(rank))
    }

    /// The average weight of rooms as they come.
    pub const fn usual_weight(&self) -> f64 {
        self.usual
    }

    pub fn open(&mut self, room: Room) {
        self.live.push(room);
        self.sums.clear();
    }

    pub fn close(&mut self, place: Place) {
        self.live.retain(|room| room.place != place);
        self.sums.clear();
    }

    /// A room for a scenario to happen in, below [`STAGES`]: live from beginning to end.
    pub fn stage(&self, number: usize) -> Room {
        self.stages[number % STAGES]
    }

    pub fn is_live(&self, place: Place) -> bool {
        self.live.iter().any(|room| room.place == place)
    }

    /// A live room, by how much they are watched; `None` while none is live.
    pub fn watched(&mut self, random: &mut Random) -> Option<Room> {
        if self.sums.is_empty() {
            let mut sum = 0.0;
            self.sums.extend(self.live.iter().map(|room| {
                sum += room.weight;
                sum
            }));
        }
        let at = random.unit() * self.sums.last()?;
        let place = self.sums.partition_point(|sum| *sum <= at).min(self.live.len() - 1);
        Some(self.live[place])
    }

    /// A live room, each as likely; `None` while none is live.
    pub fn any(&self, random: &mut Random) -> Option<Room> {
        (!self.live.is_empty()).then(|| *random.pick(&self.live))
    }
}
