//! All generators, and who is asked.
//!
//! Work in flight is counted in atomics that all threads share; connections belong to the thread. Of two generators drawn
//! at random the one with less in flight is asked (Mitzenmacher, "The power of two choices", 2001). A failure is mended
//! once, by another generator, where asking twice does no harm.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::judge::{self, Good, Judgement};
use super::reply::WANTED;
use super::wire::{Origin, Pool, Settings, WireError};
use super::{Failure, Question, adapters};
use crate::base::secret::Secret;

/// So many attempts are made for one request.
pub const ATTEMPTS_MAX: usize = 2;

/// One generator, as all threads share it.
#[derive(Debug)]
pub struct Generator {
    /// The operator's name for it: a metric's label.
    pub name: Arc<str>,
    /// What clients see of it in `X-Agent-ID`, where it names no agent of its own.
    pub alias: Arc<str>,
    /// How it is spoken to.
    pub kind: Kind,
    /// How much work it may have at a time.
    pub in_flight_max: u32,
    in_flight: AtomicU32,
}

/// How a generator is spoken to.
#[derive(Debug)]
pub enum Kind {
    /// The sign API, over HTTP.
    Euler {
        /// Where.
        origin: Origin,
        /// Its own key: the client's is never forwarded.
        key: Option<Secret>,
    },
    /// Built in.
    StandIn,
}

impl Generator {
    /// With nothing in flight.
    pub fn new(name: &str, alias: &str, kind: Kind, in_flight_max: u32) -> Self {
        Self {
            name: name.into(),
            alias: alias.into(),
            kind,
            in_flight_max: in_flight_max.max(1),
            in_flight: AtomicU32::new(0),
        }
    }

    /// How much work it has now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn permit(&self) -> Option<Permit<'_>> {
        let more = |now: u32| (now < self.in_flight_max).then_some(now + 1);
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Permit(self))
    }
}

/// The right to have one piece of work with a generator; given back when dropped, also by a caller that hung up.
struct Permit<'g>(&'g Generator);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One thread's view of all generators.
#[derive(Debug)]
pub struct Fleet {
    generators: Arc<[Generator]>,
    /// For each generator that is asked over the wire, this thread's connections.
    pools: Box<[Option<Pool>]>,
    random: Cell<u64>,
}

/// What one generator did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The place of the generator in [`Fleet::generators`].
    pub generator: usize,
    /// `good`, `blames the request`, or why it failed.
    pub result: &'static str,
    /// From asking to judging.
    pub took: Duration,
}

/// How asking ended.
#[derive(Debug)]
pub struct Outcome {
    /// What the client gets.
    pub end: End,
    /// What was tried for it, in order.
    pub attempts: [Option<Attempt>; ATTEMPTS_MAX],
}

/// The end of asking.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for every good answer")]
pub enum End {
    /// An answer that will work, and the place of the generator that gave it.
    Good(Good, usize),
    /// The request is at fault, says a generator that did its work, with this status.
    BlamesRequest(u16),
    /// No generator gave a good answer.
    Failed(Failure),
}

impl Fleet {
    /// One thread's view; `seed` starts its draws.
    pub fn new(generators: Arc<[Generator]>, seed: u64) -> Self {
        let pool = |generator: &Generator| match &generator.kind {
            Kind::Euler { origin, .. } => {
                Some(Pool::new(origin.clone(), Settings { wanted: WANTED, ..Settings::default() }))
            }
            Kind::StandIn => None,
        };
        let pools = generators.iter().map(pool).collect();
        Self { generators, pools, random: Cell::new(seed | 1) }
    }

    /// All generators.
    pub fn generators(&self) -> &[Generator] {
        &self.generators
    }

    /// Looks names up before the first request needs them. To be called on the thread's runtime.
    pub fn warm_up(&self) {
        let now = Instant::now();
        self.pools.iter().flatten().for_each(|pool| pool.resolve(now));
    }

    /// Closes connections that idled too long; to be called now and then.
    pub fn prune(&self) {
        let now = Instant::now();
        self.pools.iter().flatten().for_each(|pool| pool.prune(now));
    }

    /// Asks until there is a good answer, nothing more may be tried, or `deadline` has come.
    pub async fn ask(&self, question: &Question<'_>, deadline: Instant) -> Outcome {
        let mut attempts = [None; ATTEMPTS_MAX];
        let mut asked = None;
        let mut end = End::Failed(Failure::NoneConfigured);
        for attempt in &mut attempts {
            let Some((place, permit)) = self.choose(asked) else {
                if asked.is_none() && !self.generators.is_empty() {
                    end = End::Failed(Failure::NoCapacity);
                }
                break;
            };
            let started = Instant::now();
            // While another could still be asked, one that hangs must leave it time.
            let may_be_mended =
                asked.is_none() && self.generators.len() > 1 && question.operation.may_be_repeated();
            let until =
                if may_be_mended { started + deadline.duration_since(started) * 6 / 10 } else { deadline };
            let (result, goes_on);
            (end, result, goes_on) = match self.ask_one(place, question, until).await {
                Ok(Judgement::Good(good)) => (End::Good(good, place), "good", false),
                Ok(Judgement::BlamesRequest(status)) => {
                    (End::BlamesRequest(status), "blames the request", false)
                }
                Ok(Judgement::Bad(fault)) => {
                    (End::Failed(Failure::Judged(fault)), fault.text(), question.operation.may_be_repeated())
                }
                Err(error) => {
                    let repeat = question.operation.may_be_repeated() || error.certainly_unsent();
                    (End::Failed(Failure::Wire(error)), error.reason(), repeat)
                }
            };
            drop(permit);
            *attempt = Some(Attempt { generator: place, result, took: started.elapsed() });
            if !goes_on || Instant::now() >= deadline {
                break;
            }
            asked = Some(place);
        }
        Outcome { end, attempts }
    }

    async fn ask_one(
        &self,
        place: usize,
        question: &Question<'_>,
        until: Instant,
    ) -> Result<Judgement, WireError> {
        let reply = match (&self.generators[place].kind, &self.pools[place]) {
            (Kind::Euler { key, .. }, Some(pool)) => {
                adapters::euler::ask(pool, key.as_ref(), question, until).await?
            }
            _ => adapters::stand_in::answer(question),
        };
        Ok(judge::judge(question, reply))
    }

    /// Of two drawn at random the one with less in flight; where neither has room, any that has. Never `asked`.
    fn choose(&self, asked: Option<usize>) -> Option<(usize, Permit<'_>)> {
        let count = self.generators.len();
        let left = count - usize::from(asked.is_some_and(|asked| asked < count));
        if left == 0 {
            return None;
        }
        // Draws among those that are left: the place of one asked already is stepped over.
        let place = |draw: usize| draw + usize::from(asked.is_some_and(|asked| draw >= asked));
        let first = self.draw(left);
        let mut best = place(first);
        if left > 1 {
            let other = place((first + 1 + self.draw(left - 1)) % left);
            if self.generators[other].in_flight() < self.generators[best].in_flight() {
                best = other;
            }
        }
        let rest = (0..left).map(place).filter(|rest| *rest != best);
        std::iter::once(best).chain(rest).find_map(|place| Some((place, self.generators[place].permit()?)))
    }

    /// A number below `bound`, from xorshift64* (Vigna, 2014): balance needs no more.
    fn draw(&self, bound: usize) -> usize {
        let mut x = self.random.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random.set(x);
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(limits: &[u32]) -> Fleet {
        let generators = limits.iter().map(|max| Generator::new("g", "g", Kind::StandIn, *max)).collect();
        Fleet::new(generators, 7)
    }

    #[test]
    fn the_less_busy_of_two_is_chosen_and_none_beyond_its_limit() {
        let fleet = fleet(&[100, 100]);
        let mut permits: Vec<_> = (0..100).map(|_| fleet.choose(None).unwrap()).collect();
        assert_eq!((fleet.generators[0].in_flight(), fleet.generators[1].in_flight()), (50, 50));
        permits.extend((0..100).map(|_| fleet.choose(None).unwrap()));
        assert!(fleet.choose(None).is_none(), "no generator has room");
        drop(permits);
        assert_eq!(fleet.generators[0].in_flight(), 0, "permits come back");
    }

    #[test]
    fn one_that_failed_is_not_asked_again() {
        let fleet = fleet(&[9, 9, 9]);
        for asked in 0..3 {
            for _ in 0..50 {
                assert_ne!(fleet.choose(Some(asked)).unwrap().0, asked);
            }
        }
        assert!(self::fleet(&[9]).choose(Some(0)).is_none());
    }

    #[test]
    fn a_full_generator_does_not_hide_one_with_room() {
        let fleet = fleet(&[1, 1, 1, 1]);
        let permits: Vec<_> = (0..4).map(|_| fleet.choose(None).unwrap()).collect();
        assert_eq!(permits.len(), 4);
    }
}
