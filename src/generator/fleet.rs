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

use super::judge::{Good, Judge, Judgement};
use super::reply::WANTED;
use super::wire::{Pool, Settings, WireError};
use super::{Failure, Question};
use crate::base::operation::Operation;

pub use super::adapters::Kind;

/// So many attempts are made for one request.
pub const ATTEMPTS_MAX: usize = 2;

/// A generator says within this time how it fares, or is taken to stand still.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// Judges its answers.
    pub judge: Judge,
    in_flight: AtomicU32,
}

impl Generator {
    /// With nothing in flight, and nothing known of it.
    pub fn new(name: &str, alias: &str, kind: Kind, judge: Judge, in_flight_max: u32) -> Self {
        Self {
            name: name.into(),
            alias: alias.into(),
            kind,
            in_flight_max: in_flight_max.max(1),
            judge,
            in_flight: AtomicU32::new(0),
        }
    }

    /// How much work it has now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What speaks against asking it, least first: that it says it cannot work now, then the work that is before it.
    fn burden(&self) -> (bool, u32) {
        let in_flight = self.in_flight();
        match self.kind.standing() {
            // Our own work waits there among that of others.
            Some(standing) => (standing.is_stalled(), in_flight.max(standing.queued())),
            None => (false, in_flight),
        }
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
    /// By [`Operation::index`], the places of those that can be asked for it.
    able: [Box<[usize]>; Operation::COUNT],
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
        let pool = |generator: &Generator| {
            let settings = Settings { wanted: WANTED, ..Settings::default() };
            generator.kind.origin().map(|origin| Pool::new(origin.clone(), settings))
        };
        let pools = generators.iter().map(pool).collect();
        let able = Operation::ALL.map(|operation| {
            (0..generators.len()).filter(|place| generators[*place].kind.can(operation)).collect()
        });
        Self { generators, pools, able, random: Cell::new(seed | 1) }
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

    /// Closes connections that idled too long, and lets the judges learn; to be called a few times a second.
    pub fn prune(&self) {
        let now = Instant::now();
        self.generators.iter().for_each(|generator| generator.judge.keep_time(now));
        self.pools.iter().flatten().for_each(|pool| pool.prune(now));
    }

    /// The places of those that this thread should [`look`](Self::look) at now.
    pub fn due(&self) -> impl Iterator<Item = usize> {
        let now = Instant::now();
        let due = move |generator: &Generator| generator.kind.standing().is_some_and(|told| told.is_due(now));
        self.generators
            .iter()
            .enumerate()
            .filter(move |(_, generator)| due(generator))
            .map(|(place, _)| place)
    }

    /// Asks a generator how it fares, where it tells without making a signature. Ends within a second.
    pub async fn look(&self, place: usize) {
        let pool = self.pools.get(place).and_then(Option::as_ref);
        if let Some(generator) = self.generators.get(place) {
            generator.kind.look(pool, Instant::now() + LOOK_TIMEOUT).await;
        }
    }

    /// Asks until there is a good answer, nothing more may be tried, or `deadline` has come.
    pub async fn ask(&self, question: &Question<'_>, deadline: Instant) -> Outcome {
        let mut attempts = [None; ATTEMPTS_MAX];
        let mut asked = None;
        let mut end = End::Failed(Failure::NoneConfigured);
        let able = self.able[question.operation.index()].len();
        for attempt in &mut attempts {
            let Some((place, permit)) = self.choose(question.operation, asked) else {
                if asked.is_none() && able > 0 {
                    end = End::Failed(Failure::NoCapacity);
                }
                break;
            };
            let started = Instant::now();
            // While another could still be asked, one that hangs must leave it time.
            let may_be_mended = asked.is_none() && able > 1 && question.operation.may_be_repeated();
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
        let reply = self.generators[place].kind.ask(self.pools[place].as_ref(), question, until).await?;
        Ok(self.generators[place].judge.judge(question, reply))
    }

    /// Of two drawn at random among those that can do it, the one with less before it; where neither has room, any that
    /// has; one that says it cannot work only where no other can be asked. Never `asked`.
    fn choose(&self, operation: Operation, asked: Option<usize>) -> Option<(usize, Permit<'_>)> {
        let able = &self.able[operation.index()];
        let asked = asked.and_then(|asked| able.iter().position(|place| *place == asked));
        let left = able.len() - usize::from(asked.is_some());
        if left == 0 {
            return None;
        }
        // Draws among those that are left: one asked already is stepped over.
        let place = |draw: usize| able[draw + usize::from(asked.is_some_and(|asked| draw >= asked))];
        let first = self.draw(left);
        let mut best = place(first);
        let burden = |place: usize| self.generators[place].burden();
        if left > 1 {
            let other = place((first + 1 + self.draw(left - 1)) % left);
            if burden(other) < burden(best) {
                best = other;
            }
        }
        let rest = |stalled: bool| {
            (0..left).map(place).filter(move |place| *place != best && burden(*place).0 == stalled)
        };
        let permit = |place: usize| Some((place, self.generators[place].permit()?));
        let ready = Some(best).filter(|best| !burden(*best).0);
        let stalled = Some(best).filter(|best| burden(*best).0);
        ready.into_iter().chain(rest(false)).chain(stalled).chain(rest(true)).find_map(permit)
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
        let generators = limits
            .iter()
            .map(|max| Generator::new("g", "g", Kind::StandIn, Judge::of_stand_in(), *max))
            .collect();
        Fleet::new(generators, 7)
    }

    #[test]
    fn the_less_busy_of_two_is_chosen_and_none_beyond_its_limit() {
        let fleet = fleet(&[100, 100]);
        let mut permits: Vec<_> = (0..100).map(|_| fleet.choose(Operation::Connect, None).unwrap()).collect();
        assert_eq!((fleet.generators[0].in_flight(), fleet.generators[1].in_flight()), (50, 50));
        permits.extend((0..100).map(|_| fleet.choose(Operation::Connect, None).unwrap()));
        assert!(fleet.choose(Operation::Connect, None).is_none(), "no generator has room");
        drop(permits);
        assert_eq!(fleet.generators[0].in_flight(), 0, "permits come back");
    }

    #[test]
    fn one_that_failed_is_not_asked_again() {
        let fleet = fleet(&[9, 9, 9]);
        for asked in 0..3 {
            for _ in 0..50 {
                assert_ne!(fleet.choose(Operation::Connect, Some(asked)).unwrap().0, asked);
            }
        }
        assert!(self::fleet(&[9]).choose(Operation::Connect, Some(0)).is_none());
    }

    #[test]
    fn a_full_generator_does_not_hide_one_with_room() {
        let fleet = fleet(&[1, 1, 1, 1]);
        let permits: Vec<_> = (0..4).map(|_| fleet.choose(Operation::Connect, None).unwrap()).collect();
        assert_eq!(permits.len(), 4);
    }
}
