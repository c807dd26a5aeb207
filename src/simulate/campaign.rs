//! Many who do one thing: a crowd that joins a room, or the bots of an attack.

use super::agenda::{Agenda, Source, World};
use super::identity::Client;
use super::random::{Random, whole};
use super::record::{Ask, Ending, Place};

/// How they are spread over time.
#[derive(Debug, Clone)]
pub(super) enum Pace {
    /// So many, independently, at this mean distance in milliseconds.
    Steady { left: u64, gap: f64 },
    /// A crowd: a burst from the first moment on, which thins out over so many milliseconds.
    Thinning { begins: u64, count: f64, joined: f64, thins: f64 },
    /// So many in this length, ever faster: the pace grows evenly.
    Rising { begins: u64, count: f64, joined: f64, length: f64 },
}

impl Pace {
    /// So many, spread over this length.
    pub fn over(count: u64, length: u64) -> Self {
        Self::Steady { left: count, gap: length as f64 / count as f64 }
    }

    /// A crowd of so many.
    pub const fn crowd(begins: u64, count: u64, thins: u64) -> Self {
        Self::Thinning { begins, count: count as f64, joined: 0.0, thins: thins as f64 }
    }

    /// So many in this length, ever faster.
    pub const fn rising(begins: u64, count: u64, length: u64) -> Self {
        Self::Rising { begins, count: count as f64, joined: 0.0, length: length as f64 }
    }

    fn next(&mut self, now: u64, random: &mut Random) -> Option<u64> {
        match self {
            Self::Steady { left, gap } => {
                *left = left.checked_sub(1)?;
                (*left > 0).then(|| now + random.wait(*gap))
            }
            Self::Rising { begins, count, joined, length } => {
                *joined += random.wait(1000.0) as f64 / 1000.0;
                (*joined < *count).then(|| (*begins + whole(*length * (*joined / *count).sqrt())).max(now))
            }
            Self::Thinning { begins, count, joined, thins } => {
                // As in `personas::streams`: the inverse of the sum of a rate that thins out exponentially.
                *joined += random.wait(1000.0) as f64 / 1000.0;
                (*joined < *count)
                    .then(|| (*begins + whole(-*thins * (1.0 - *joined / *count).ln())).max(now))
            }
        }
    }
}

/// What whoever acts next may look at.
pub(super) struct Turn<'t> {
    /// How many acted before.
    pub number: u64,
    pub now: u64,
    pub world: &'t mut World,
    pub random: &'t mut Random,
}

type Make = Box<dyn FnMut(Turn<'_>) -> Option<(Client, Place)>>;

/// Many who do one thing.
pub(super) struct Campaign {
    random: Random,
    pace: Pace,
    number: u64,
    /// Whether their programs ask for other things on the way, as people's do.
    human: bool,
    make: Make,
}

impl Campaign {
    /// Each turn says who connects to which room, or that nobody does.
    pub fn new(
        world: &World,
        name: &str,
        pace: Pace,
        make: impl FnMut(Turn<'_>) -> Option<(Client, Place)> + 'static,
    ) -> Self {
        Self { random: world.random(name), pace, number: 0, human: false, make: Box::new(make) }
    }

    /// Their programs ask for other things on the way, as people's do.
    pub fn human(mut self) -> Self {
        self.human = true;
        self
    }
}

impl Source for Campaign {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let turn = Turn { number: self.number, now, world: &mut *world, random: &mut self.random };
        self.number += 1;
        if let Some((client, room)) = (self.make)(turn) {
            if self.human {
                agenda.connect(now, client, room, world);
            } else {
                agenda.ask(now, client, Ask::Connect, room, Ending::Good);
            }
        }
        self.pace.next(now, &mut self.random)
    }
}
