//! The book of all counts: an array of locked shards.
//!
//! A charge locks the distinct shards of its records in ascending order, checks all, books all: all or none, and no two
//! charges can wait for each other. A subject and everything that it can be folded into live in one shard.
//!
//! **At the cap** nothing spent is ever forgotten: that would refill it. Ended records are freed; then the parent
//! prefixes with the most records are folded into one record each, with the sum of their counts; then the least spent of
//! the others are blurred (`blur.rs`). Only records that strangers can make at will count towards the cap.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use smallvec::SmallVec;

use super::decision::{Reason, Refusal, Shadow, Standing};
use super::record::{Left, Record, RecordKey};
use super::shard::{Likely, LookUp, Shard};
use super::table::{hash_of, hash_of_subject};
use super::usage::Usage;
use super::viewbot::Counted;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::PolicySet;
use crate::policy::counter::{
    COUNTERS_PER_REQUEST_MAX, Counter, Limit, WINDOWS_PER_COUNTER_MAX, WindowLimit,
};
use crate::policy::set::Mode;

const SHARDS: usize = 256;

/// What a request would be charged to: the counters that apply, each with its subject.
#[derive(Debug, Clone, Default)]
pub struct Plan(SmallVec<[Planned; USUAL_COUNTERS]>);

/// Rarely do more counters apply to one request; where they do, a plan costs an allocation. All
/// [`COUNTERS_PER_REQUEST_MAX`] in place would cost every request the copying of two kilobytes.
const USUAL_COUNTERS: usize = 6;

#[derive(Debug, Clone, Copy)]
struct Planned {
    counter: u16,
    /// The place of the shard that the subject's records live in.
    shard: u16,
    subject: Subject,
    /// Of a distinct quota: what of its kind this request asks for.
    counted: Subject,
    /// Where the subject's record is likely to lie.
    likely: Likely,
}

impl Plan {
    /// Adds a counter. Compiled policies never apply more than [`COUNTERS_PER_REQUEST_MAX`] to one request.
    pub(super) fn add(&mut self, counter: u16, subject: Subject, counted: Subject) {
        debug_assert!(self.0.len() < COUNTERS_PER_REQUEST_MAX, "the compiler let too many counters apply");
        if self.0.len() < COUNTERS_PER_REQUEST_MAX {
            let shard = match self.0.last() {
                Some(last) if last.subject == subject => last.shard,
                _ => shard_of(subject),
            };
            self.0.push(Planned { counter, shard, subject, counted, likely: Likely::Unseen });
        }
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes it a plan of nothing.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn entries(&self) -> &[Planned] {
        &self.0
    }

    /// Forgets where anything was seen to lie.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.0.iter_mut().for_each(|planned| planned.likely = Likely::Unseen);
    }
}

/// What was booked for a request, and in which instance of each window: what a refund goes back to.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    booked: SmallVec<[Booked; USUAL_COUNTERS]>,
    /// What view-bot detection counted.
    pub(super) counted: Option<Counted>,
    /// The room as the request named it.
    pub(super) named: Option<crate::base::room::Room>,
}

#[derive(Debug, Clone, Copy)]
struct Booked {
    planned: Planned,
    ends: [u64; WINDOWS_PER_COUNTER_MAX],
    counts: [u32; WINDOWS_PER_COUNTER_MAX],
}

impl Receipt {
    fn add(&mut self, planned: Planned, record: &Record) {
        let counts = match record.windows() {
            Some([first, second, third]) => [first.charged(), second.charged(), third.charged()],
            None => Default::default(),
        };
        self.booked.push(Booked { planned, ends: record.ends(), counts });
    }

    /// Whether nothing was booked.
    pub fn is_empty(&self) -> bool {
        self.booked.is_empty()
    }

    /// Makes it that of nothing.
    pub(super) fn clear(&mut self) {
        self.booked.clear();
        (self.counted, self.named) = (None, None);
    }

    /// How the enforced windows stood right after this request was booked.
    pub fn standings<'a>(
        &'a self,
        policy: &'a PolicySet,
        now: Timestamp,
    ) -> impl Iterator<Item = Standing> + 'a {
        self.booked.iter().flat_map(move |booked| {
            let counter = policy.counter(booked.planned.counter);
            let limits = match &counter.limit {
                Limit::Windows(limits) if counter.mode == Mode::Enforce => limits.as_slice(),
                _ => &[],
            };
            limits.iter().enumerate().map(move |(place, limit)| Standing {
                counter: booked.planned.counter,
                window: place as u8,
                remaining: limit.max.saturating_sub(booked.counts[place]),
                resets: Some(Timestamp::from_millis(booked.ends[place]).since(now)),
            })
        })
    }
}

/// What became of a charge.
#[derive(Debug)]
pub enum Charge {
    /// Everything was booked, and the receipt says what. A shadow rule may have had no room: then only the enforced ones
    /// were.
    Booked {
        /// What the shadow rules would have refused.
        shadow: Shadow,
    },
    /// There was room for everything; but the request was turned away, and nothing was booked.
    TurnedAway {
        /// What the shadow rules would have refused.
        shadow: Shadow,
    },
    /// Nothing was booked, and the receipt is empty.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The same with the findings of the shadow rules, where they had any.
        shadow: Shadow,
    },
}

/// A shard and its lock, from the beginning of a cache line.
#[derive(Default)]
#[repr(align(64))]
struct Locker(Mutex<Shard>);

/// The book of all counts. Shared by all threads.
pub struct Book {
    shards: Box<[Locker]>,
    hasher: SeedableRandomState,
    /// Records that strangers made, in all shards.
    strangers: AtomicUsize,
    strangers_max: usize,
}

/// How many records strangers can make at most, unless said otherwise: 64 bytes each, and their table's slack.
pub const STRANGERS_MAX_DEFAULT: usize = 400_000;

impl Book {
    /// An empty book. `seed` seeds its hash tables: no decision depends on it.
    pub fn new(strangers_max: usize, seed: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Locker::default()).collect(),
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_random()),
            strangers: AtomicUsize::new(0),
            strangers_max: strangers_max.max(SHARDS * 2),
        }
    }

    /// Books all of `plan`, or nothing of it. What was booked is written into `receipt`, whatever that held: it is large, and
    /// moving one costs more than looking a counter up.
    ///
    /// Shadow rules decide as if in force: where one has no room the request would have been refused, so that none of
    /// the shadow rules' counters moves, while the enforced ones are booked.
    pub fn charge(&self, policy: &PolicySet, plan: &Plan, receipt: &mut Receipt, now: Timestamp) -> Charge {
        self.charge_unless(policy, plan, receipt, now, || false)
    }

    /// The same, but that `is_turned_away` is asked where there is room for all: whether nothing is booked all the same. It is
    /// asked under the locks, and must not wait.
    pub fn charge_unless(
        &self,
        policy: &PolicySet,
        plan: &Plan,
        receipt: &mut Receipt,
        now: Timestamp,
        is_turned_away: impl FnOnce() -> bool,
    ) -> Charge {
        receipt.clear();
        if plan.is_empty() {
            let shadow = Shadow::Same;
            return if is_turned_away() { Charge::TurnedAway { shadow } } else { Charge::Booked { shadow } };
        }
        let mut locked = self.lock_all(plan);
        self.make_room(&mut locked, now);
        // What was looked up is charged without looking again, in the order of the plan.
        let mut look_ups = SmallVec::new();
        let Found { enforced, with_shadow, shadow_full } =
            self.room(policy, plan, &locked, &mut look_ups, now);
        if let Some(refusal) = enforced {
            let shadow = with_shadow.filter(|_| shadow_full).map_or(Shadow::Same, Shadow::Refuses);
            return Charge::Refused { refusal, shadow };
        }
        if is_turned_away() {
            return Charge::TurnedAway { shadow: with_shadow.map_or(Shadow::Same, Shadow::Refuses) };
        }
        for (planned, (shard, look_up)) in plan.entries().iter().zip(&look_ups) {
            let counter = policy.counter(planned.counter);
            if counter.mode == Mode::Shadow && shadow_full {
                continue;
            }
            let shard = locked.at_mut(*shard);
            let (record, likely, grown) =
                shard.charge(&self.hasher, &counter.limit, look_up, planned.counted, now);
            receipt.add(Planned { likely, ..*planned }, record);
            if grown > 0 {
                self.strangers.fetch_add(grown, Ordering::Relaxed);
            }
        }
        Charge::Booked { shadow: with_shadow.map_or(Shadow::Same, Shadow::Refuses) }
    }

    /// What [`charge`](Self::charge) would answer, and how each counter of `plan` stands. Books nothing.
    pub(super) fn look(&self, policy: &PolicySet, plan: &Plan, now: Timestamp) -> (Charge, Vec<Look>) {
        let locked = self.lock_all(plan);
        let Found { enforced, with_shadow, shadow_full } =
            self.room(policy, plan, &locked, &mut SmallVec::new(), now);
        let same = Shadow::Same;
        let charge = if let Some(refusal) = enforced {
            Charge::Refused {
                refusal,
                shadow: with_shadow.filter(|_| shadow_full).map_or(same, Shadow::Refuses),
            }
        } else {
            Charge::Booked { shadow: with_shadow.map_or(same, Shadow::Refuses) }
        };
        let looks = plan.entries().iter().map(|planned| {
            let counter = policy.counter(planned.counter);
            let key = RecordKey::new(counter, planned.subject);
            let (record, shared) = locked.at(locked.place(planned)).find_with_key(&self.hasher, key, now);
            let record = record.unwrap_or_else(|| Cow::Owned(Record::empty(&counter.limit)));
            let reason = match record.left(&counter.limit, planned.counted, now) {
                Left::Some => None,
                Left::None { window, wait } => Some(reason(counter, window, wait)),
            };
            Look { counter: planned.counter, used: record.used(&counter.limit, now), shared, reason }
        });
        (charge, looks.collect())
    }

    /// Asks for where it is said where the records of `plan` lie.
    pub(super) fn foresee(&mut self, policy: &PolicySet, plan: &mut Plan) {
        for planned in &mut plan.0 {
            let key = RecordKey::new(policy.counter(planned.counter), planned.subject);
            let hash = hash_of(&self.hasher, key);
            self.owned(planned.shard).prefetch_index(hash);
            planned.likely = Likely::Hashed(hash);
        }
    }

    /// The shard at a place, of a book that is nobody else's.
    fn owned(&mut self, place: u16) -> &mut Shard {
        self.shards[usize::from(place)].0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for what is looked at first for the records of these subjects; not where somebody else is at them, for it must not
    /// wait.
    pub(super) fn look_ahead(&self, subjects: impl Iterator<Item = Subject>) {
        for subject in subjects {
            let hash = hash_of_subject(&self.hasher, subject.halves());
            if let Ok(shard) = self.shards[usize::from(shard_of(subject))].0.try_lock() {
                shard.prefetch_index(hash);
            }
        }
    }

    /// Asks for the records.
    pub(super) fn foresee_records(&mut self, plan: &mut Plan) {
        for planned in &mut plan.0 {
            if let Likely::Hashed(hash) = planned.likely
                && let Some(place) = self.owned(planned.shard).prefetch(hash)
            {
                planned.likely = Likely::At(hash, place);
            }
        }
    }

    /// Asks for what they keep elsewhere.
    pub(super) fn foresee_behind(&mut self, plan: &Plan) {
        for planned in plan.entries() {
            if let Likely::At(_, place) = planned.likely {
                self.owned(planned.shard).prefetch_behind(place);
            }
        }
    }

    /// Asks for what stands behind that.
    pub(super) fn foresee_beyond(&mut self, plan: &Plan) {
        for planned in plan.entries() {
            if let Likely::At(_, place) = planned.likely {
                self.owned(planned.shard).prefetch_beyond(place);
            }
        }
    }

    /// Whether there is room for all of `plan`. Each record is looked up and put to `look_ups`.
    fn room(
        &self,
        policy: &PolicySet,
        plan: &Plan,
        locked: &Locked<'_>,
        look_ups: &mut LookUps,
        now: Timestamp,
    ) -> Found {
        let mut found = Found::default();
        // In three steps for all of them: memory is asked for many lines at once that way, and waited for twice and not twice
        // for each counter. Of a request's time in the engine most is that waiting.
        for planned in plan.entries() {
            let key = RecordKey::new(policy.counter(planned.counter), planned.subject);
            let shard = locked.place(planned);
            look_ups.push((shard, locked.at(shard).look_up(&self.hasher, key, planned.likely)));
        }
        for (shard, look_up) in &mut *look_ups {
            locked.at(*shard).confirm(look_up);
        }
        for (planned, (shard, look_up)) in plan.entries().iter().zip(&*look_ups) {
            let counter = policy.counter(planned.counter);
            let left = match locked.at(*shard).found(&self.hasher, look_up, now) {
                Some(record) => record.left(&counter.limit, planned.counted, now),
                None => Record::left_of_none(&counter.limit, planned.counted, now),
            };
            if let Left::None { window, wait } = left {
                found.note(counter, window, wait);
            }
        }
        found
    }

    /// Ends a booked request: work in flight is released, and where `refund` says so the counts go back, each to the
    /// window instance that the receipt names or nowhere. Tells whether anything was given back.
    pub fn settle(&self, policy: &PolicySet, receipt: &Receipt, refund: bool, now: Timestamp) -> bool {
        let mut any = false;
        for booked in &receipt.booked {
            let counter = policy.counter(booked.planned.counter);
            let in_flight = matches!(counter.limit, Limit::Concurrency { .. });
            if !in_flight && !refund {
                continue;
            }
            let mut shard = self.lock(booked.planned.shard);
            let key = RecordKey::new(counter, booked.planned.subject);
            if let Some(record) = shard.find_mut(&self.hasher, key, booked.planned.likely) {
                if in_flight {
                    record.release();
                } else {
                    any |= record.refund(&counter.limit, booked.planned.counted, &booked.ends, now);
                }
            }
        }
        any
    }

    /// Takes a charge back as if it had never been: for a request that a later check refuses. Unlike a refund it is not
    /// rationed, for a refused request consumes no quota.
    pub(super) fn undo(&self, policy: &PolicySet, receipt: &Receipt, now: Timestamp) {
        for booked in &receipt.booked {
            let counter = policy.counter(booked.planned.counter);
            let mut shard = self.lock(booked.planned.shard);
            let key = RecordKey::new(counter, booked.planned.subject);
            if let Some(record) = shard.find_mut(&self.hasher, key, booked.planned.likely) {
                record.undo(&counter.limit, booked.planned.counted, &booked.ends, now);
            }
        }
    }

    /// How the enforced windows of `plan` stand, without charging.
    pub fn standings(&self, policy: &PolicySet, plan: &Plan, now: Timestamp) -> Vec<Standing> {
        let mut standings = Vec::new();
        for planned in plan.entries() {
            let counter = policy.counter(planned.counter);
            let (Limit::Windows(limits), Mode::Enforce) = (&counter.limit, counter.mode) else { continue };
            let shard = self.lock(planned.shard);
            let record = shard.find(&self.hasher, RecordKey::new(counter, planned.subject), now);
            let windows = record.as_deref().and_then(Record::windows).copied().unwrap_or_default();
            for ((place, limit), window) in (0u8..).zip(limits).zip(windows) {
                let millis = now.as_millis();
                standings.push(Standing {
                    counter: planned.counter,
                    window: place,
                    remaining: limit.max.saturating_sub(window.count(millis)),
                    resets: window.is_open(millis).then(|| Timestamp::from_millis(window.ends()).since(now)),
                });
            }
        }
        standings
    }

    /// Frees the ended records of one of [`shard_count`](Self::shard_count) shards; called by the sweeper, a few shards at a
    /// time.
    pub fn sweep(&self, shard: usize, now: Timestamp) {
        let mut shard = self.lock(shard % SHARDS);
        let before = shard.strangers();
        shard.free_ended(&self.hasher, now);
        shard.shrink();
        self.strangers.fetch_sub(before - shard.strangers(), Ordering::Relaxed);
    }

    /// Shows the records of one shard to `usage`.
    pub fn tally(&self, shard: usize, usage: &mut Usage, now: Timestamp) {
        self.lock(shard % SHARDS).tally(usage, now);
    }

    /// How much strangers have made, by weight, and how much they can make at most.
    pub fn strangers(&self) -> (usize, usize) {
        (self.strangers.load(Ordering::Relaxed), self.strangers_max)
    }

    /// How many shards there are to [`sweep`](Self::sweep).
    pub const fn shard_count(&self) -> usize {
        SHARDS
    }

    /// How many records one shard holds.
    pub fn len_of(&self, shard: usize) -> usize {
        self.lock(shard % SHARDS).len()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        (0..SHARDS).map(|place| self.lock(place).len()).sum()
    }

    /// Whether nothing is counted at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self, place: impl Into<usize>) -> MutexGuard<'_, Shard> {
        // A panic under the lock can leave no half-made record: every write to one is a plain store.
        self.shards[place.into()].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the shards of a plan in ascending order.
    fn lock_all(&self, plan: &Plan) -> Locked<'_> {
        // A bit for each: in order, and each once.
        let mut wanted = [0u64; SHARDS / 64];
        for planned in plan.entries() {
            wanted[usize::from(planned.shard) / 64] |= 1 << (planned.shard % 64);
        }
        let mut locked = Locked(SmallVec::new());
        for (word, mut bits) in (0u16..).zip(wanted) {
            while bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as u16;
                locked.0.push((place, self.lock(place)));
                bits &= bits - 1;
            }
        }
        locked
    }

    /// Makes room in those of the locked shards that are over their share at the cap.
    fn make_room(&self, locked: &mut Locked<'_>, now: Timestamp) {
        // Half of the cap is shared by need; the other half is what shards may hold although it is used up.
        let share = self.strangers_max / 2 / SHARDS;
        for (_, shard) in &mut locked.0 {
            if shard.is_over(share) && self.strangers.load(Ordering::Relaxed) >= self.strangers_max / 2 {
                let before = shard.strangers();
                shard.make_room(&self.hasher, share / 2, now);
                self.strangers.fetch_sub(before - shard.strangers(), Ordering::Relaxed);
            }
        }
    }
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").field("strangers_max", &self.strangers_max).finish_non_exhaustive()
    }
}

fn shard_of(subject: Subject) -> u16 {
    (subject.bucket() % SHARDS as u64) as u16
}

/// The records of a plan, each with the [place](Locked::place) of its shard.
type LookUps = SmallVec<[(usize, LookUp); USUAL_COUNTERS]>;

/// What the counters of a request have against it.
#[derive(Default)]
struct Found {
    enforced: Option<Refusal>,
    /// The same with what the other rules found, once one of them did.
    with_shadow: Option<Refusal>,
    shadow_full: bool,
}

/// How a counter stands for one request, before it is booked.
pub(super) struct Look {
    /// Its place in the policy set.
    pub(super) counter: u16,
    /// How much is used of each window, or of the one limit; and until when.
    pub(super) used: Vec<(u32, Option<Duration>)>,
    /// Whether the count is that of a neighbourhood or a bucket, and not the subject's own.
    pub(super) shared: bool,
    /// Why it admits no more.
    pub(super) reason: Option<Reason>,
}

/// Why a counter admits no more.
fn reason(counter: &Counter, window: u8, wait: Duration) -> Reason {
    let rule = counter.rule;
    let quota = |limits: &[WindowLimit], different| {
        let limit = &limits[usize::from(window)];
        Reason::Quota {
            rule,
            label: limit.label.clone(),
            max: limit.max,
            different,
            window: limit.length,
            wait,
        }
    };
    match &counter.limit {
        Limit::Windows(limits) => quota(limits, None),
        Limit::Distinct { count, windows } => quota(windows, Some(*count)),
        Limit::Rate { label, .. } => Reason::Rate { rule, label: label.clone(), wait },
        Limit::Concurrency { max, label } => Reason::Concurrency { rule, label: label.clone(), max: *max },
    }
}

impl Found {
    /// Adds what a counter found to the refusals: of the enforced rules, and of all.
    fn note(&mut self, counter: &Counter, window: u8, wait: Duration) {
        let add = |refusal: &mut Option<Refusal>, reason: Reason| match refusal {
            Some(refusal) => refusal.add(reason),
            None => *refusal = Some(Refusal::new(reason)),
        };
        let reason = reason(counter, window, wait);
        if counter.mode == Mode::Enforce {
            if let Some(all) = &mut self.with_shadow {
                all.add(reason.clone());
            }
            add(&mut self.enforced, reason);
            return;
        }
        self.shadow_full |= counter.mode == Mode::Shadow;
        if self.with_shadow.is_none() {
            self.with_shadow.clone_from(&self.enforced);
        }
        add(&mut self.with_shadow, reason);
    }
}

/// The shards of one charge, locked.
struct Locked<'b>(SmallVec<[(u16, MutexGuard<'b, Shard>); USUAL_COUNTERS]>);

impl Locked<'_> {
    /// The how-manieth of them is the shard of a counter.
    fn place(&self, of: &Planned) -> usize {
        let place = self.0.iter().position(|(place, _)| *place == of.shard);
        place.expect("every shard of the plan was locked")
    }

    fn at(&self, place: usize) -> &Shard {
        &self.0[place].1
    }

    fn at_mut(&mut self, place: usize) -> &mut Shard {
        &mut self.0[place].1
    }
}
