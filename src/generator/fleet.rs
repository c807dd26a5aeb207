//! One thread's view of all generators, and how a request is asked of them.
//!
//! What threads share is in the [`Roster`]; connections, draws and the timer of hedges belong to the thread. Read
//! [`Fleet::ask`] first.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Attempt, Cause};
use super::balance::{Draws, Places, best};
use super::bell::Bell;
use super::budget::Budget;
use super::judge::{Good, Judgement};
use super::member::Generator;
use super::queue::DEAREST;
use super::race::Race;
use super::reply::WANTED;
use super::roster::{Asker, Payer, Permit, Roster, Unserved};
use super::wire::{self, Pool, WireError};
use super::{Failure, Lack, Question, unattended};
use crate::base::operation::Operation;
use crate::base::room::Room;

/// At most so many generators are asked for one request: where two of three are bad, the third is good.
pub const ATTEMPTS_MAX: usize = 3;

/// A generator says within this time how it fares, or is taken to stand still.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// What a caller is told to wait while all generators are out: as long as it has lasted already, and within this.
const ALL_OUT_WAIT_MAX: Duration = Duration::from_secs(60);

/// One thread's view of all generators.
#[derive(Debug)]
pub struct Fleet {
    pub(super) roster: Arc<Roster>,
    /// For each generator that is asked over the wire, this thread's connections.
    pools: Box<[Option<Rc<Pool>>]>,
    pub(super) draws: Draws,
    pub(super) bell: Bell,
    /// The room of the last good answer to a connect; 0 where there was none.
    good_room: Cell<u64>,
}

/// How asking ended.
#[derive(Debug)]
pub struct Outcome {
    /// What the client gets.
    pub end: End,
    /// What was tried for it, in the order of its beginning.
    pub attempts: [Option<Attempt>; ATTEMPTS_MAX],
    /// How long it waited for a generator with room; `None` where it did not have to.
    pub queued: Option<Duration>,
    /// From asking the first generator to the end, whether one was asked after the other or several at once.
    pub asking: Duration,
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
    pub fn new(roster: Arc<Roster>, seed: u64) -> Self {
        let pool = |generator: &Generator| {
            let settings = wire::Settings { wanted: WANTED, ..wire::Settings::default() };
            generator.kind.origin().map(|origin| Rc::new(Pool::new(origin.clone(), settings)))
        };
        let pools = roster.all().iter().map(|generator| pool(generator)).collect();
        Self { roster, pools, draws: Draws::new(seed), bell: Bell::default(), good_room: Cell::new(0) }
    }

    /// What all threads share.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Looks names up before the first request needs them. To be called on the thread's runtime.
    pub fn warm_up(&self) {
        let now = Instant::now();
        self.pools.iter().flatten().for_each(|pool| pool.resolve(now));
    }

    /// Closes connections that idled too long, lets the judges learn, and tells the other threads which room was answered for (not with every answer:
    /// all threads would write to one place). To be called now and then.
    pub fn tidy(&self) {
        if self.good_room.get() > 0 {
            self.roster.note_good_room(self.good_room.replace(0));
        }
        let now = Instant::now();
        self.roster.all().iter().for_each(|generator| generator.judge.keep_time(now));
        self.pools.iter().flatten().for_each(|pool| pool.prune(now));
    }

    /// The places of those that this thread should [`look`](Self::look) at now.
    pub fn due(&self) -> impl Iterator<Item = usize> {
        let now = Instant::now();
        let due = move |generator: &Generator| generator.kind.standing().is_some_and(|told| told.is_due(now));
        let all = self.roster.all().iter().enumerate();
        all.filter(move |(_, generator)| due(generator)).map(|(place, _)| place)
    }

    /// Asks a generator how it fares, where it tells without making a signature. Ends within a second.
    pub async fn look(&self, place: usize) {
        let pool = self.pools.get(place).and_then(Option::as_deref);
        if let Some(generator) = self.roster.all().get(place) {
            generator.kind.look(pool, Instant::now() + LOOK_TIMEOUT).await;
        }
    }

    /// Rings for hedges, for ever. To be run beside the requests, on the same thread.
    pub async fn keep_time(&self) -> ! {
        self.bell.keep_time().await
    }

    /// Turns a request away where there is more to do than the generators can; to be asked of each, once, before anything is made
    /// ready for it.
    ///
    /// Where no generator works or can do it, that is what is to be said: [`ask`](Self::ask) does.
    pub fn turn_away(&self, operation: Operation, asker: Asker<'_>) -> Option<Failure> {
        let roster = &*self.roster;
        let payer = || roster.hash(&asker.payer);
        if !roster.shedding.turns_away(asker.rank, payer, || self.draws.bits()) {
            return None;
        }
        (!roster.working(operation).is_empty()).then(|| self.refused(Lack::Shed, operation, asker))
    }

    /// Asks until there is a good answer, nothing more may be tried, or `deadline` has come.
    ///
    /// A request that finds all its generators out is answered at once, but for a trickle that tries the least bad. One that was
    /// not [turned away](Self::turn_away) may wait for a generator with room. Then one generator is asked, and others where it
    /// fails or takes long: see `race`.
    pub async fn ask<'f>(
        &'f self,
        question: &'f Question<'_>,
        asker: Asker<'f>,
        deadline: Instant,
    ) -> Outcome {
        let roster = &*self.roster;
        let came = Instant::now();
        let able = roster.able(question.operation);
        if able.is_empty() {
            return Outcome::without(Failure::NoneConfigured, None);
        }
        let canary = roster.posted(asker.payer);
        let serving = roster.working(question.operation);
        if let Some(canary) = canary.filter(|place| roster.serving().and(able).contains(*place))
            && let Some(permit) = roster.permit_of(canary)
        {
            // What fails there is mended by the others.
            return Race::among(self, question, asker.payer, serving, deadline).run(permit, came, None).await;
        }
        if serving.is_empty() {
            // As among those that work: a canary where nobody else can do it.
            let regular = able.and(roster.on_full_duty());
            let tried = if regular.is_empty() { able.and(roster.on_duty()) } else { regular };
            return match self.least_bad(tried, came) {
                Some(permit) => {
                    Race::alone(self, question, asker.payer, deadline).run(permit, came, None).await
                }
                None => Outcome::without(self.refused(Lack::AllOut, question.operation, asker), None),
            };
        }
        let race = |serving| Race::among(self, question, asker.payer, serving, deadline);
        if roster.waiting() == 0
            && let Some(permit) = roster.permit(serving, &self.draws, roster.at(came))
        {
            return race(serving).run(permit, came, None).await;
        }
        // Who would be served too late for an answer to come in time need not wait.
        let in_time = deadline.checked_sub(self.usual_time(serving)).unwrap_or(came);
        let until = in_time.min(came + roster.settings().queue_time);
        let mut serving = serving;
        let (lack, queued) = loop {
            let waited = roster.wait(asker, serving, until).await;
            let began = Instant::now();
            let queued = Some(began.duration_since(came));
            match waited {
                Ok(permit) => return race(serving).run(permit, began, queued).await,
                Err(Unserved::NoRoom) => break (Lack::QueueFull, queued),
                Err(Unserved::TooLong) => break (Lack::QueueSlow, queued),
                Err(Unserved::Hopeless) => serving = roster.working(question.operation),
            }
            if serving.is_empty() {
                break (Lack::AllOut, queued);
            }
        };
        Outcome::without(self.refused(lack, question.operation, asker), queued)
    }

    /// While all are out: one of few requests, to the one of which least is known to be bad.
    fn least_bad(&self, able: Places, now: Instant) -> Option<Permit<'_>> {
        let roster = &*self.roster;
        if !roster.trickle.draw() {
            return None;
        }
        let now = roster.at(now);
        let permit = best(able, |place| roster.cost(place, now)).and_then(|place| roster.permit_of(place));
        if permit.is_none() {
            roster.trickle.give_back();
        }
        permit
    }

    /// What the fastest of them usually takes.
    fn usual_time(&self, places: Places) -> Duration {
        let known = places.iter().filter_map(|place| self.roster.all()[place].latency.p50());
        known.min().unwrap_or_default()
    }

    fn refused(&self, lack: Lack, operation: Operation, asker: Asker<'_>) -> Failure {
        let roster = &*self.roster;
        roster.shedding.refused(asker.rank);
        let wait = if lack == Lack::AllOut {
            // Of something that has lasted for a while, nothing better is known than that it may last as long again.
            roster.out_for(operation, roster.now()).min(ALL_OUT_WAIT_MAX)
        } else {
            // Who comes back after so many times the chance's worth will find a place; not all at the same second.
            let tries = 1.0 / (1.0 - roster.shedding.chance(asker.rank)).max(0.1);
            Duration::from_secs_f64(1.0 + tries * f64::from(self.draws.bits()) / f64::from(u32::MAX))
        };
        Failure::NoCapacity(lack, wait)
    }

    /// Asks the generator of `permit`, and judges what it says. Where it works to the end, the permit is lent to that work.
    pub(super) fn ask_one<'f, 'q>(
        &'f self,
        permit: &Permit<'_>,
        question: &'f Question<'q>,
        until: Instant,
    ) -> impl Future<Output = Result<Judgement, WireError>> + use<'f, 'q> {
        let generator = &*self.roster.all()[permit.place];
        let pool = self.pools[permit.place].as_ref();
        let to_the_end =
            generator.kind.works_to_the_end_for().map(|works_for| (works_for, permit.lend(&self.roster)));
        async move {
            let reply = match to_the_end {
                None => generator.kind.ask(pool.map(Rc::as_ref), question, until).await?,
                // In a box, as the futures of all other requests would have room for it.
                Some((works_for, permit)) => {
                    Box::pin(unattended::ask(permit, pool.cloned(), question, works_for, until)).await?
                }
            };
            Ok(generator.judge.judge(question, reply))
        }
    }

    pub(super) fn answered_well(&self, question: &Question<'_>) {
        if let (Operation::Connect, Some(Room::Id(room))) = (question.operation, question.room) {
            self.good_room.set(room);
        }
    }

    /// A permit for one more attempt at a request, where the budget has one and there is room at once.
    pub(super) fn permit_for_another(
        &self,
        candidates: Places,
        cause: Cause,
        now: Instant,
    ) -> Option<Permit<'_>> {
        debug_assert!(matches!(cause, Cause::Retry | Cause::Hedge));
        let roster = &*self.roster;
        let permit = roster.permit(candidates, &self.draws, roster.at(now))?;
        if roster.budget.draw() {
            return Some(permit);
        }
        roster.out_of_budget();
        None
    }

    /// The same where there is no room at once: it is waited for, before all who have just come. While all are busy, whatever one
    /// of them fails would be the client's else.
    pub(super) async fn wait_for_another(
        &self,
        candidates: Places,
        payer: Payer<'_>,
        deadline: Instant,
    ) -> Option<Permit<'_>> {
        let roster = &*self.roster;
        let (now, until) = (Instant::now(), deadline.checked_sub(self.usual_time(candidates))?);
        if until <= now || candidates.and(roster.serving()).is_empty() || !roster.budget.draw() {
            return None;
        }
        // Given back where nobody is asked, also where the client hangs up while it waits.
        let mut drawn = Drawn(Some(&roster.budget));
        let until = until.min(now + roster.settings().queue_time);
        let permit = roster.wait(Asker { payer, rank: DEAREST }, candidates, until).await.ok()?;
        drawn.0 = None;
        Some(permit)
    }
}

/// What was drawn on a budget, and is given back where it was not used.
struct Drawn<'b>(Option<&'b Budget>);

impl Drop for Drawn<'_> {
    fn drop(&mut self) {
        if let Some(budget) = self.0 {
            budget.give_back();
        }
    }
}

impl Outcome {
    /// Nobody was asked.
    pub const fn without(failure: Failure, queued: Option<Duration>) -> Self {
        Self { end: End::Failed(failure), attempts: [None; ATTEMPTS_MAX], queued, asking: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests;
