//! What is simulated: which scenario, in which population, how much of it, and from which seed.

use std::time::Duration;

use super::random::whole;
use super::scenarios::Scenario;

/// What ordinary traffic is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Population {
    /// Independent attributes, rooms with a long history: what a statistician would like.
    Independent = 1,
    /// Streams that start and end, countries with tools of their own, releases that roll out: nearer to reality.
    Lively = 2,
}

impl Population {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Independent, Self::Lively];

    /// 1 or 2.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// By its number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|population| population.number() == number)
    }
}

/// What is simulated. The same settings make the same traffic, byte for byte.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From which everything is drawn.
    pub seed: u64,
    /// What ordinary traffic is like.
    pub population: Population,
    /// What happens in it.
    pub scenario: &'static Scenario,
    /// Ordinary requests a second, on average.
    pub rate: f64,
    /// How long the part is in which the scenario happens. It begins when two fifths of it are over: before, whoever
    /// watches gets to know ordinary traffic.
    pub duration: Duration,
    /// How much ordinary traffic comes before that.
    pub history: Duration,
    /// How much larger than usual the scenario's own crowd or attack is.
    pub attack_size: f64,
    /// How many rooms are live at a time; `None` for twenty for each request a second.
    pub rooms: Option<u32>,
    /// When it begins, in milliseconds since 1970.
    pub start_ms: u64,
}

impl Settings {
    /// The scenario in its own population, half an hour at 30 requests a second.
    pub fn new(scenario: &'static Scenario, seed: u64) -> Self {
        Self {
            seed,
            population: scenario.populations[0],
            scenario,
            rate: 30.0,
            duration: Duration::from_secs(1_800),
            history: Duration::ZERO,
            attack_size: 1.0,
            rooms: None,
            // 2027-01-15T08:00:00Z
            start_ms: 1_800_000_000_000,
        }
    }

    /// How many rooms are live at a time, at least 60: some scenarios need forty of their own.
    pub(super) fn rooms(&self) -> usize {
        let rooms = self.rooms.map_or(whole(self.rate * 20.0) as usize, |rooms| rooms as usize);
        rooms.clamp(60, 100_000)
    }

    /// When the scenario's own event begins, in milliseconds from the start.
    pub(super) fn event_at(&self) -> u64 {
        (self.history + self.duration * 2 / 5).as_millis() as u64
    }

    /// When all is over, in milliseconds from the start.
    pub(super) fn end(&self) -> u64 {
        (self.history + self.duration).as_millis() as u64
    }

    /// So many of the scenario's own, at its size.
    pub(super) fn sized(&self, usual: u64) -> u64 {
        whole((usual as f64 * self.attack_size).round()).max(1)
    }
}
