//! All generators, as all threads share them: who is in service, permits for work, and the queue for them.
//!
//! Choosing and taking a permit are atomics. The queue's lock is taken only while permits are out: by who has to wait, and by
//! who gives a permit back while somebody waits, and then hands it to the next, on whichever thread that is.

use std::cell::Cell;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::attempt::{Attempt, Mark};
use super::balance::{Able, Draws, Places, better_of_two};
use super::budget::Budget;
use super::canary::{Behind, Side, is_chosen};
use super::member::Generator;
use super::queue::{Entry, Full, Line, Next, Ticket, Turn};
use super::settings::Settings;
use super::shedding::Shedding;
use super::trial::{Duty, Unchanged};
use crate::base::id::AccountId;
use crate::base::net::Prefix;
use crate::base::operation::Operation;
use crate::base::time::Timestamp;

/// A queue that stands is held at this part of the longest time that anybody may wait …
const STANDING_SHARE: u32 = 10;

/// … and at so many requests at least: fewer would leave slow generators idle by chance.
const STANDING_MIN: usize = 8;

/// Of what is served, at least this part is taken to be left by dearer tiers.
const LEFT_MIN: f64 = 0.01;

/// Who asks, as far as waiting is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Whose the request is: none may fill the queue alone.
    pub payer: Payer<'a>,
    /// When its tier is shed: 0 goes first.
    pub rank: u8,
}

/// Whose a request is.
#[derive(Debug, Clone, Copy, Hash)]
pub enum Payer<'a> {
    /// An account's.
    Account(&'a AccountId),
    /// Somebody's without a key, at that address.
    Proxy(Prefix),
}

/// Why somebody who waited gets no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// The queue is full, or had to make room for another.
    NoRoom,
    /// It took too long, or would.
    TooLong,
    /// There is no generator left to wait for.
    Hopeless,
}

/// All generators.
#[derive(Debug)]
pub struct Roster {
    all: Box<[Arc<Generator>]>,
    settings: Settings,
    /// The same moment on the runtime's clock, by which requests have their deadlines, and on ours.
    anchor: (Instant, Timestamp),
    able: Able,
    /// Who is in service: a bit each.
    serving: AtomicU64,
    /// Who gets a part of all traffic, and who a canary's share: a bit each.
    open: AtomicU64,
    canaries: AtomicU64,
    /// The places of canaries, each with that of its baseline.
    trials: Box<[(usize, usize)]>,
    /// By operation since when none that can do it is, in nanoseconds; 0 where one is.
    out_since: [AtomicU64; Operation::COUNT],
    queue: Mutex<Line>,
    /// How many wait. Written under the queue's lock; sequentially consistent, see [`Generator::take`].
    waiting: AtomicU32,
    hasher: foldhash::fast::RandomState,
    /// Door and chances.
    pub shedding: Shedding,
    /// Of retries and hedges.
    pub budget: Budget,
    /// Of what is tried while all are out.
    pub trickle: Budget,
    budget_exhausted: AtomicU32,
    /// The room of a good answer, for probes; 0 where none is known.
    good_room: AtomicU64,
}

impl Roster {
    /// All in service, from `now` on.
    pub fn new(all: Vec<Generator>, settings: Settings, now: Timestamp) -> Self {
        Self::of(all.into_iter().map(Arc::new).collect(), settings, now)
    }

    /// The same, of generators that may stand in another roster, too.
    pub fn of(all: Vec<Arc<Generator>>, settings: Settings, now: Timestamp) -> Self {
        let able = Operation::ALL.map(|operation| {
            let able = all.iter().enumerate().filter(|(_, generator)| generator.kind.can(operation));
            able.fold(Places::NONE, |all, (place, _)| all.with(place))
        });
        Self {
            serving: AtomicU64::new(Places::first(all.len()).0),
            trials: trials(&all),
            open: AtomicU64::new(on(&all, Duty::Full).0),
            canaries: AtomicU64::new(on(&all, Duty::Canary).0),
            all: all.into(),
            anchor: (Instant::now(), now),
            able,
            out_since: std::array::from_fn(|_| AtomicU64::new(0)),
            queue: Mutex::new(Line::new(settings.queue)),
            waiting: AtomicU32::new(0),
            hasher: foldhash::fast::RandomState::default(),
            shedding: Shedding::default(),
            budget: Budget::new(settings.retries),
            trickle: Budget::new(settings.trickle),
            budget_exhausted: AtomicU32::new(0),
            good_room: AtomicU64::new(0),
            settings,
        }
    }

    /// Takes over from a roster that it is put in the place of: those that are in both and were ejected are so here.
    pub(super) fn succeed(&self, old: &Self, now: Timestamp) {
        let was_out = |generator: &Arc<Generator>| {
            let place = old.all.iter().position(|before| Arc::ptr_eq(before, generator));
            place.is_some_and(|place| !old.serving().contains(place))
        };
        let out = self.all.iter().enumerate().filter(|(_, generator)| was_out(generator));
        let serving = out.fold(self.serving(), |all, (place, _)| all.without(place));
        for operation in Operation::ALL {
            let since = (now - old.out_for(operation, now)).as_nanos();
            self.out_since[operation.index()].store(since, Ordering::Relaxed);
        }
        self.serve(serving, now);
        self.good_room.store(old.good_room.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// All generators, in the order of the deployment file.
    pub fn all(&self) -> &[Arc<Generator>] {
        &self.all
    }

    /// How they are asked.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// A point on the runtime's clock, on ours.
    pub fn at(&self, instant: Instant) -> Timestamp {
        self.anchor.1 + instant.duration_since(self.anchor.0)
    }

    /// Those that can do it, in service or not.
    pub const fn able(&self, operation: Operation) -> Places {
        self.able[operation.index()]
    }

    /// Those in service.
    pub fn serving(&self) -> Places {
        Places(self.serving.load(Ordering::Relaxed))
    }

    pub(super) fn serve(&self, serving: Places, now: Timestamp) {
        self.serving.store(serving.0, Ordering::Relaxed);
        for (able, since) in self.able.iter().zip(&self.out_since) {
            if !able.and(serving).is_empty() {
                since.store(0, Ordering::Relaxed);
            } else if since.load(Ordering::Relaxed) == 0 {
                since.store(now.as_nanos(), Ordering::Relaxed);
            }
        }
        let mut line = self.line();
        let wakers = line.give_up(serving);
        self.told(&line);
        drop(line);
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// How long none has been in service that can do it.
    pub fn out_for(&self, operation: Operation, now: Timestamp) -> Duration {
        match self.out_since[operation.index()].load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.since(Timestamp::from_nanos(since)),
        }
    }

    /// Those that get traffic.
    pub fn on_duty(&self) -> Places {
        Places(self.open.load(Ordering::Relaxed) | self.canaries.load(Ordering::Relaxed))
    }

    /// Those that get their whole part of the traffic.
    pub fn on_full_duty(&self) -> Places {
        Places(self.open.load(Ordering::Relaxed))
    }

    /// Those in service that do it. While all that get their part of the traffic are out, a canary does it for everybody.
    pub fn working(&self, operation: Operation) -> Places {
        let working = self.serving().and(self.able(operation));
        let regular = working.and(self.on_full_duty());
        if regular.is_empty() { working.and(self.on_duty()) } else { regular }
    }

    /// The canary that `payer`'s requests go to first, if they do.
    pub(super) fn posted(&self, payer: Payer<'_>) -> Option<usize> {
        let canaries = Places(self.canaries.load(Ordering::Relaxed));
        let chosen = |place: &usize| {
            let generator = &self.all[*place];
            // The same for every roster and after every restart; of each canary's own.
            let hash = foldhash::quality::FixedState::default().hash_one((payer, &*generator.name));
            generator.post.trial().is_some_and(|trial| is_chosen(hash, trial.share))
        };
        canaries.iter().find(chosen)
    }

    /// Of each those that can do all that it can, and it.
    pub fn peers(&self) -> Vec<Places> {
        let everybody = Places::first(self.all.len());
        let peers = |place| {
            let can = self.able.iter().filter(|able| able.contains(place));
            can.fold(everybody, |peers, able| peers.and(*able))
        };
        (0..self.all.len()).map(peers).collect()
    }

    /// Gives a generator another duty: its duty before. Somebody must be left who gets all traffic and can do what it can; after
    /// the last canary, which serves everybody where nobody else is on duty, somebody at all.
    pub fn assign(&self, place: usize, duty: Duty) -> Result<Duty, Unchanged> {
        let post = &self.all[place].post;
        let full = on(&self.all, Duty::Full);
        let left = match (post.duty(), duty) {
            (Duty::Full, Duty::Canary | Duty::RolledBack | Duty::Drained) => Some(full),
            (Duty::Canary, Duty::RolledBack | Duty::Drained) => {
                Some(Places(full.0 | on(&self.all, Duty::Canary).0))
            }
            _ => None,
        };
        if left.is_some_and(|left| left.and(self.peers()[place]).without(place).is_empty()) {
            return Err(Unchanged::LastOne);
        }
        let before = post.assign(duty);
        self.know_duties();
        before
    }

    fn know_duties(&self) {
        self.open.store(on(&self.all, Duty::Full).0, Ordering::Relaxed);
        self.canaries.store(on(&self.all, Duty::Canary).0, Ordering::Relaxed);
    }

    /// Puts those back on duty without whom nobody would be left for an operation that some of them can do, as after a reload that
    /// takes out the others: their names.
    pub(super) fn leave_nobody_out(&self) -> Vec<Arc<str>> {
        let mut back = Vec::new();
        for able in self.able.iter().filter(|able| able.and(self.on_duty()).is_empty()) {
            // Those that are no canaries, where there are such.
            let plain = able.iter().filter(|place| self.all[*place].post.trial().is_none());
            let plain = plain.fold(Places::NONE, Places::with);
            for place in if plain.is_empty() { *able } else { plain }.iter() {
                let generator = &self.all[place];
                let duty = if plain.is_empty() { Duty::Canary } else { Duty::Full };
                if generator.post.assign(duty).is_ok() {
                    back.push(Arc::clone(&generator.name));
                }
            }
        }
        self.know_duties();
        back
    }

    /// Counts a first attempt for the canary that it was made at, or that is compared with whom it was made at. What it says is the
    /// request's fault counts for nothing, also where another did well on it: who is asked that hangs on who is doubted, which
    /// would count the one and not the other. One that blames everything is ejected, and its probes count.
    pub(super) fn count_for_trials(&self, attempt: &Attempt) {
        for (canary, baseline) in &self.trials {
            let side = match attempt.generator {
                place if place == *canary => Side::Canary,
                place if place == *baseline => Side::Baseline,
                _ => continue,
            };
            let post = &self.all[*canary].post;
            if let Some(trial) = post.trial().filter(|_| post.duty() == Duty::Canary) {
                match attempt.mark {
                    Mark::BLAMES => {}
                    // It was not waited for any longer: so long it took at least.
                    Mark::GOOD | Mark::OVERTAKEN => trial.tallies.note(side, Some(attempt.took)),
                    _ => trial.tallies.note(side, None),
                }
            }
        }
    }

    /// Counts a probe of a canary: one that is ejected gets no requests by which it could be judged.
    pub(super) fn count_probe_for_trials(&self, place: usize, failed: bool) {
        let post = &self.all[place].post;
        if let Some(trial) = post.trial().filter(|_| post.duty() == Duty::Canary) {
            trial.tallies.note(Side::Canary, (!failed).then_some(Duration::ZERO));
        }
    }

    /// Compares the canaries with their baselines, `passed` after the last time: the places of those that fell behind.
    pub fn compare(&self, passed: Duration) -> Vec<(usize, Behind)> {
        let canaries = on(&self.all, Duty::Canary).iter();
        let compared =
            canaries.filter_map(|place| Some((place, self.all[place].post.trial()?.conclude(passed)?)));
        compared.collect()
    }

    /// Gives the room that there is to those who wait.
    pub fn serve_waiting(&self) {
        for place in self.serving().iter() {
            while self.waiting() > 0 && self.all[place].has_room() && self.hand_on(place) {}
        }
    }

    /// What one more request would cost at that place.
    pub fn cost(&self, place: usize, now: Timestamp) -> f64 {
        self.all[place].cost(self.settings.slow_start, now)
    }

    /// A permit of the better of two of `candidates`; where neither has room, of any that has.
    pub fn permit(&self, candidates: Places, draws: &Draws, now: Timestamp) -> Option<Permit<'_>> {
        let best = better_of_two(candidates, draws, |place| self.cost(place, now))?;
        self.permit_of(best)
            .or_else(|| candidates.without(best).iter().find_map(|place| self.permit_of(place)))
    }

    /// A permit of that one.
    pub fn permit_of(&self, place: usize) -> Option<Permit<'_>> {
        // Not made before it is held: it gives back what it holds.
        self.all[place].take().then(|| Permit::of(self, place))
    }

    /// How many wait for a permit.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// How long the queue has not been empty.
    pub fn queue_stands_for(&self, now: Timestamp) -> Duration {
        if self.waiting() == 0 { Duration::ZERO } else { self.line().stands_for(now) }
    }

    /// A keyed hash: a stranger cannot make two things look like one.
    pub(super) fn hash(&self, of: &impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// Whether a generator failed so often in a row that it would be out, and nobody bears witness to it.
    pub(super) fn is_suspect(&self, place: usize) -> bool {
        let tally = &self.all[place].tally;
        tally.in_a_row() >= self.settings.ejection.failures_in_a_row && !tally.is_convicted()
    }

    /// How many requests of that rank are served a second at those places, with dearer ones before them; `None` while that is
    /// not known. While a queue stands it is what is served; before, it is no less than what the generators could do.
    fn rate(&self, places: Places, rank: u8, stands: bool) -> Option<f64> {
        let could = |place: usize| {
            let generator = &self.all[place];
            Some(f64::from(generator.in_flight_max) / generator.latency.p50()?.as_secs_f64())
        };
        let served = self.shedding.serving();
        let all = if stands { served } else { served.max(places.iter().map(could).sum::<Option<f64>>()?) };
        // However much is asked by dearer ones: what is told of it lags behind.
        Some((all - self.shedding.dearer(rank)).max(all * LEFT_MIN))
    }

    /// How long it may take somebody who enters now, and how long it would.
    fn takes(&self, line: &Line, entry: &Entry, now: Timestamp) -> (Duration, Option<Duration>) {
        let longest = self.settings.queue_time;
        let stands = line.stands_for(now) >= longest;
        let rate = self.rate(entry.places, entry.rank, stands).filter(|rate| *rate > 0.0);
        let whole = |requests: usize, rate: f64| {
            Duration::try_from_secs_f64(requests as f64 / rate).unwrap_or(Duration::MAX)
        };
        let ahead = line.ahead(entry);
        let takes = rate.filter(|_| ahead > 0).map(|rate| whole(ahead + 1, rate));
        let served = self.shedding.serving();
        let held_at = if stands && served > 0.0 {
            (longest / STANDING_SHARE).max(whole(STANDING_MIN, served)).min(longest)
        } else {
            longest
        };
        (held_at, takes)
    }

    /// Waits until one of `places` has room, and no longer than `until`. Who would have to wait longer is told at once, and who waits
    /// for none that is in service, when the last of them goes out.
    ///
    /// What can be worked off within the `queue-time` is a burst, and may wait so long. A queue that has not been empty for as long
    /// will not be worked off: to wait in it helps nobody, and it is held at a tenth of the time, which is enough for the
    /// generators to have work always (the idea of CoDel, RFC 8289, with the wait told beforehand).
    pub async fn wait(
        &self,
        asker: Asker<'_>,
        places: Places,
        until: Instant,
    ) -> Result<Permit<'_>, Unserved> {
        let account = self.hash(&asker.payer);
        let (ticket, until) = {
            let mut line = self.line();
            // Under the lock: later it is told.
            if places.and(self.serving()).is_empty() {
                return Err(Unserved::Hopeless);
            }
            let (entry, now, left) = (
                Entry { account, rank: asker.rank, places },
                self.now(),
                until.saturating_duration_since(Instant::now()),
            );
            let (may_take, takes) = self.takes(&line, &entry, now);
            if takes.is_some_and(|takes| takes > may_take.min(left)) {
                return Err(Unserved::TooLong);
            }
            let entered = line.enter(entry, now);
            self.told(&line);
            drop(line);
            let (ticket, displaced) = entered.map_err(|Full| Unserved::NoRoom)?;
            displaced.into_iter().for_each(std::task::Waker::wake);
            // What is foreseen may be off by as much again.
            (ticket, until.min(Instant::now() + may_take * 2))
        };
        let mut place = InQueue { roster: self, ticket: Some(ticket) };
        // What came back before anybody could see that we wait is handed on now, to whoever is next.
        for place in places.and(self.serving()).iter() {
            if self.all[place].has_room() {
                self.hand_on(place);
            }
        }
        timeout_at(until, place.served()).await.unwrap_or(Err(Unserved::TooLong))
    }

    /// A piece of work at that place has ended.
    fn give_back(&self, place: usize) {
        self.all[place].give_back();
        if self.waiting() > 0 {
            self.hand_on(place);
        }
    }

    /// Gives room for one at that place to the next who waits for it; false where there is no room, or nobody.
    pub(super) fn hand_on(&self, place: usize) -> bool {
        let mut line = self.line();
        // Under the lock: whoever enters meanwhile must see the room as it is, not as we hold it for a moment.
        if !self.serving().contains(place) || !self.all[place].take() {
            return false;
        }
        let next = line.next(place, self.now());
        if matches!(next, Next::Nobody) {
            self.all[place].give_back();
        }
        self.told(&line);
        drop(line);
        let Next::Served(waker) = next else { return false };
        waker.into_iter().for_each(std::task::Waker::wake);
        true
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, line: &MutexGuard<'_, Line>) {
        self.waiting.store(line.len() as u32, Ordering::SeqCst);
    }

    pub(super) fn out_of_budget(&self) {
        self.budget_exhausted.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a retry or a hedge was left out for want of budget; wraps.
    pub fn budget_exhausted(&self) -> u32 {
        self.budget_exhausted.load(Ordering::Relaxed)
    }

    pub(super) fn good_room(&self) -> Option<u64> {
        let room = self.good_room.load(Ordering::Relaxed);
        (room > 0).then_some(room)
    }

    pub(super) fn note_good_room(&self, room: u64) {
        self.good_room.store(room, Ordering::Relaxed);
    }
}

/// Those with that duty.
fn on(all: &[Arc<Generator>], duty: Duty) -> Places {
    let on = all.iter().enumerate().filter(|(_, generator)| generator.post.duty() == duty);
    on.fold(Places::NONE, |all, (place, _)| all.with(place))
}

/// The places of canaries, each with that of its baseline.
fn trials(all: &[Arc<Generator>]) -> Box<[(usize, usize)]> {
    let trial = |(place, generator): (usize, &Arc<Generator>)| {
        let of = &generator.post.trial()?.of;
        Some((place, all.iter().position(|baseline| baseline.name == *of)?))
    };
    all.iter().enumerate().filter_map(trial).collect()
}

/// The right to have one piece of work with a generator; given back, or handed to the next who waits, when dropped, also by a
/// caller that hung up.
#[derive(Debug)]
pub struct Permit<'r> {
    roster: &'r Roster,
    /// Whose.
    pub place: usize,
    /// Whether the work itself has it now.
    is_lent: Cell<bool>,
}

impl<'r> Permit<'r> {
    /// Of room that was taken.
    const fn of(roster: &'r Roster, place: usize) -> Self {
        Self { roster, place, is_lent: Cell::new(false) }
    }

    /// The generator that it is for.
    pub fn generator(&self) -> &Generator {
        &self.roster.all[self.place]
    }

    /// Lends it, once and for good, to work that may go on longer than its caller stays. `roster` is the one that it is of.
    pub(super) fn lend(&self, roster: &Arc<Roster>) -> Lent {
        debug_assert!(std::ptr::eq(&raw const **roster, self.roster) && !self.is_lent.get());
        self.is_lent.set(true);
        Lent { roster: Arc::clone(roster), place: self.place }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_lent.get() {
            self.roster.give_back(self.place);
        }
    }
}

/// A permit that the work has. It is given back when the work ends.
#[derive(Debug)]
pub(super) struct Lent {
    roster: Arc<Roster>,
    place: usize,
}

impl Lent {
    pub(super) fn generator(&self) -> &Generator {
        &self.roster.all[self.place]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.roster.give_back(self.place);
    }
}

/// A place in the queue, left when dropped.
struct InQueue<'r> {
    roster: &'r Roster,
    ticket: Option<Ticket>,
}

impl<'r> InQueue<'r> {
    async fn served(&mut self) -> Result<Permit<'r>, Unserved> {
        poll_fn(|cx| {
            let Some(ticket) = &self.ticket else { return Poll::Ready(Err(Unserved::NoRoom)) };
            let turn = self.roster.line().poll(ticket, cx.waker());
            if turn == Turn::Waits {
                return Poll::Pending;
            }
            self.ticket = None;
            Poll::Ready(match turn {
                Turn::Has(place) => Ok(Permit::of(self.roster, place)),
                Turn::Hopeless => Err(Unserved::Hopeless),
                Turn::Waits | Turn::Displaced => Err(Unserved::NoRoom),
            })
        })
        .await
    }
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut line = self.roster.line();
        let turn = line.leave(&ticket);
        self.roster.told(&line);
        drop(line);
        if let Turn::Has(place) = turn {
            // It was handed to us while we went.
            drop(Permit::of(self.roster, place));
        }
    }
}

#[cfg(test)]
mod tests;
