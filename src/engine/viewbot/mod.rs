//! View-bot detection: finds the excess in a room, tells it from an ordinary crowd, and stops the proxies behind it.
//!
//! To add V viewers to a room somebody must obtain about V signatures for it. The [gate] notices that for every room;
//! whether the excess is a crowd or a farm is told by evidence in bits, one file a heuristic, whose doc comments are the
//! manual: [profile], [acquaintances], [network], [churn], [fan_in], [free_key], [chain], [lockstep], [strangers], [carried],
//! [known], [repeats]. The score is their sum; T bits say that all but `2^-T` of a cohort is excess. One kind of evidence only
//! throttles, a denial needs two. What is done then is the [ladder].
//!
//! ```text
//! identity shard: who is it?  ->  room shard: is this too many?  ->  (alarmed rooms only)
//!   identity shard: from where?  ->  room shard: weigh  ->  book of bans
//! ```
//!
//! Never two locks at once. Deterministic: no clock, no randomness, no order of a hash table decides anything.
//! Deliberately absent: thresholds on addresses or rates alone (a flash crowd is a maintainer's best day), regularity of
//! single clients (honest pollers are perfectly regular), any trust in what a client says of itself.
//!
//! Read [`Viewbot`] first.

pub mod acquaintances;
mod arith;
pub mod bans;
mod bounded;
pub mod carried;
mod census;
pub mod chain;
pub mod churn;
mod cohort;
mod counts;
pub mod evidence;
pub mod fan_in;
pub(super) mod foresight;
pub mod free_key;
pub mod gate;
pub mod known;
pub mod ladder;
mod learning;
pub mod lockstep;
mod log;
pub mod memory;
pub mod network;
mod ordinary;
mod pairs;
mod people;
pub mod profile;
mod rarities;
pub mod repeats;
mod rooms;
pub mod sighting;
pub mod strangers;
mod target;
pub mod view;
mod weigh;
pub(super) mod words;

#[cfg(test)]
mod sprays;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::base::room::Room;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::viewbot::{ViewbotMode, ViewbotSettings};

use arith::mix;
use bans::{Ban, Book, Conviction, PROBATION_SECS};
use counts::Counts;
use evidence::Evidence;
use foresight::Foreseen;
use ladder::KeyInRoom;
use learning::Learning;
use ordinary::Ordinary;
use pairs::Pairs;
use people::People;
use rooms::{Arrival, Booked, Rooms, Usual};
use sighting::{Sighting, Viewer};
use weigh::{Verdict, Weighed};

/// How much is remembered at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Rooms.
    pub rooms: usize,
    /// Viewers in the long memory; four fifths as many who were seen once, half as many addresses and profiles at addresses.
    pub viewers: usize,
    /// Viewers in rooms.
    pub seats: usize,
}

impl Default for Caps {
    /// Less than 400 MB when all of it is full (`sprays`).
    fn default() -> Self {
        Self { rooms: 1_000_000, viewers: 500_000, seats: 800_000 }
    }
}

/// Enough that threads hardly ever wait for each other, and so few that where their tables lie stays at hand: each of these shards
/// has kilobytes of that alone.
const PEOPLE_SHARDS: usize = 16;
const ROOM_SHARDS: usize = 16;

/// What is convicted, by where it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// Convicted while the mode was `enforce`.
    Enforced,
    /// What would have been; acts on nobody.
    Shadow,
    /// Out of the shadow by the operator: acts in every mode but `off`.
    Promoted,
}

impl Shelf {
    /// All of them.
    pub const ALL: [Self; BOOKS] = [Self::Enforced, Self::Shadow, Self::Promoted];
}

const BOOKS: usize = 3;

/// A gateway that has learned from fewer calm strangers is cold: it throttles, and convicts nobody.
pub const COLD_STRANGERS: u32 = 2_000;

/// And so is one that has been learning for less than this.
pub const COLD_TIME: Duration = Duration::from_secs(15 * 60);

/// All that view-bot detection remembers. Shared by all threads.
pub struct Viewbot {
    people: Box<[Mutex<People>]>,
    rooms: Box<[Mutex<Rooms>]>,
    learning: Mutex<Learning>,
    ordinary: ArcSwap<Ordinary>,
    /// The bits of how many strangers that one has learned from: every request asks.
    taught: AtomicU64,
    /// The bits of the share of known viewers that is usual these minutes.
    usual_known: AtomicU64,
    /// The bits of the share of strangers who usually find another viewer of the room at their address.
    usual_company: AtomicU64,
    /// Convicted in earnest; in shadow; and in shadow, but promoted by the operator.
    books: [Book; BOOKS],
    pairs: Mutex<Pairs>,
    counts: Counts,
    /// Milliseconds since 1970 of the first request; 0 before.
    started: AtomicU64,
}

/// What is done to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// Throttled, until so long; `None` for denied.
    pub wait: Option<Duration>,
    /// In one word: why.
    pub rung: Rung,
    /// What is held against it.
    pub evidence: Arc<Evidence>,
}

impl Against {
    /// The same where nobody is denied: what would be denied waits.
    #[must_use]
    pub fn throttled(mut self) -> Self {
        self.wait.get_or_insert(weigh::DENIED_WAIT);
        self
    }
}

/// Why something is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// One client repeats itself: throttled.
    Repeats,
    /// A crowd of strangers, whose budget is spent: throttled.
    Strangers,
    /// A profile never seen before, whose budget is spent: throttled.
    Novel,
    /// Evidence, but not enough to deny: throttled.
    Suspicion,
    /// Evidence of one kind alone: throttled.
    OneKind,
    /// Enough to deny, but the gateway has not seen enough ordinary traffic, or the address was freed lately: throttled.
    Lenient,
    /// Convicted: denied.
    Convicted,
    /// Denied by a standing ban.
    Banned,
}

impl Rung {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Repeats,
        Self::Strangers,
        Self::Novel,
        Self::Suspicion,
        Self::OneKind,
        Self::Lenient,
        Self::Convicted,
        Self::Banned,
    ];

    /// The word in metrics and views.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Repeats => "repeats",
            Self::Strangers => "strangers",
            Self::Novel => "novel",
            Self::Suspicion => "suspicion",
            Self::OneKind => "one-kind",
            Self::Lenient => "lenient",
            Self::Convicted => "convicted",
            Self::Banned => "banned",
        }
    }
}

/// What an admitted request counted: until it is known how it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    sighting: Sighting,
    booked: Booked,
    /// Where its viewer was met.
    at: people::Foreseen,
    /// Seen for the first time.
    is_first: bool,
    /// It was admitted without suspicion.
    is_clean: bool,
}

fn people_shard(viewer: Viewer) -> usize {
    mix(viewer.address.subnet().to_number(), 1) as usize % PEOPLE_SHARDS
}

fn room_shard(room: Subject) -> usize {
    let (high, low) = room.halves();
    mix(high, low) as usize % ROOM_SHARDS
}

/// What is behind a lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is behind a lock that nobody else can hold.
fn owned<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// Who is convicted, and for what.
#[derive(Clone, Copy)]
struct Guilty<'g> {
    sighting: &'g Sighting,
    /// The admitted rest of its cohort.
    cohort: &'g [(Viewer, bool)],
    evidence: &'g Arc<Evidence>,
    /// Since when the room has its excess.
    onset: u32,
    key: Option<KeyInRoom>,
}

impl Viewbot {
    /// With nothing remembered. `seed` seeds hash tables, on which nothing hangs.
    pub fn new(caps: Caps, seed: u64) -> Self {
        let people = || Mutex::new(People::new(caps.viewers / PEOPLE_SHARDS, seed));
        let learning = Learning::new(seed);
        let rooms = || Mutex::new(Rooms::new(caps.rooms / ROOM_SHARDS, caps.seats / ROOM_SHARDS, seed));
        Self {
            people: (0..PEOPLE_SHARDS).map(|_| people()).collect(),
            rooms: (0..ROOM_SHARDS).map(|_| rooms()).collect(),
            usual_company: AtomicU64::new(learning.usual_company().to_bits()),
            learning: Mutex::new(learning),
            ordinary: ArcSwap::default(),
            taught: AtomicU64::new(0),
            usual_known: AtomicU64::new(0),
            books: std::array::from_fn(|_| Book::new(caps.viewers / 2, seed)),
            pairs: Mutex::new(Pairs::new(caps.rooms / 8, seed)),
            counts: Counts::default(),
            started: AtomicU64::new(0),
        }
    }

    fn people(&self, viewer: Viewer) -> MutexGuard<'_, People> {
        locked(&self.people[people_shard(viewer)])
    }

    fn room(&self, room: Subject) -> MutexGuard<'_, Rooms> {
        locked(&self.rooms[room_shard(room)])
    }

    fn learning(&self) -> MutexGuard<'_, Learning> {
        locked(&self.learning)
    }

    /// The book that convictions go to.
    fn book(&self, mode: ViewbotMode) -> &Book {
        &self.books[usize::from(mode != ViewbotMode::Enforce)]
    }

    /// The room in its one form: an `@unique_id` whose number is known is that number.
    pub fn canonical(&self, room: Room, now: Timestamp) -> Room {
        match room {
            Room::Id(_) => room,
            Room::Anchor(_) => locked(&self.pairs).canonical(room, secs(now)),
        }
    }

    /// A good answer to a request that named `named` alone told the room's number.
    pub(super) fn learn_pair(&self, named: Room, answered: Room, now: Timestamp) {
        if matches!((named, answered), (Room::Anchor(_), Room::Id(_))) {
            locked(&self.pairs).learn(named, answered, secs(now));
        }
    }

    /// Whether too little ordinary traffic has been seen to convict anybody.
    pub fn is_cold(&self, now: Timestamp) -> bool {
        let started = self.started.load(Ordering::Relaxed);
        f64::from_bits(self.taught.load(Ordering::Relaxed)) < f64::from(COLD_STRANGERS)
            || now.as_millis() < started.saturating_add(COLD_TIME.as_millis() as u64)
    }

    /// Makes what has been learned the measure of what is ordinary.
    fn publish(&self, ordinary: Arc<Ordinary>) {
        let strangers = ordinary.strangers();
        self.ordinary.store(ordinary);
        self.taught.store(strangers.to_bits(), Ordering::Relaxed);
    }

    /// How long ago somebody has to have signed to be known. Nobody can have been seen for longer than the gateway has looked: while
    /// that is less than twice the setting, half of it, and no less than a gateway is cold.
    fn known_age(&self, settings: &ViewbotSettings, now_ms: u64) -> u32 {
        let up = now_ms.saturating_sub(self.started.load(Ordering::Relaxed)) / 1_000;
        settings.known_age.as_secs().min((up / 2).max(COLD_TIME.as_secs())) as u32
    }

    /// The sum of a room's gate, which alarms it above its burst.
    pub(super) fn excess(&self, sighting: &Sighting, settings: &ViewbotSettings, now: Timestamp) -> f64 {
        let mut rooms = self.room(sighting.subject);
        rooms.state_mut(sighting.subject).map_or(0.0, |state| {
            let mut gate = state.gate;
            gate.drain(&settings.gate, now.as_millis());
            gate.sum()
        })
    }

    /// The ban that stands against the viewer of a request, in the book that `mode` fills.
    pub(super) fn standing(
        &self,
        sighting: &Sighting,
        mode: ViewbotMode,
        now: Timestamp,
    ) -> Option<Arc<Ban>> {
        let book = self.book(mode);
        if mode == ViewbotMode::Off || book.is_empty() {
            return None;
        }
        let first = || self.people(sighting.viewer).first(&sighting.viewer).unwrap_or(secs(now));
        book.standing(sighting.viewer, sighting.profile, sighting.key, sighting.room, first, now)
    }

    /// The ban out of the shadow that the operator promoted, whatever the mode.
    pub(super) fn promoted(&self, sighting: &Sighting, now: Timestamp) -> Option<Arc<Ban>> {
        let book = self.shelf(Shelf::Promoted);
        if book.is_empty() {
            return None;
        }
        let first = || self.people(sighting.viewer).first(&sighting.viewer).unwrap_or(secs(now));
        book.standing(sighting.viewer, sighting.profile, sighting.key, sighting.room, first, now)
    }

    /// Counts that a standing ban stopped a request, or would have.
    pub(super) fn count_banned(&self, mode: ViewbotMode, ban: &Ban) {
        self.counts.rung(mode, Rung::Banned);
        self.counts.evidence(mode, &ban.evidence);
    }

    /// Counts a request that every other check admits, and says what is held against it. What was counted is written into
    /// `counted`, where the receipt keeps it. `foreseen` is where to look, if anybody has looked ahead.
    pub(super) fn weigh(
        &self,
        settings: &ViewbotSettings,
        sighting: &Sighting,
        foreseen: Option<&Foreseen>,
        counted: &mut Option<Counted>,
        now: Timestamp,
    ) -> Option<Against> {
        let (now_ms, now_secs) = (now.as_millis(), secs(now));
        if self.started.load(Ordering::Relaxed) == 0 {
            let _ = self.started.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        }
        let known_age = self.known_age(settings, now_ms);
        // What carries too much to be let in anywhere; nothing does where carried evidence is switched off.
        let suspect_bits = if settings.evidence.carried >= settings.ladder.throttle_bits && !self.is_cold(now)
        {
            settings.ladder.throttle_bits
        } else {
            f64::INFINITY
        };
        let usual_known = f64::from_bits(self.usual_known.load(Ordering::Relaxed));
        let marching = settings.evidence.pool_chain[1] >= settings.ladder.throttle_bits;
        let (of_viewer, of_seat) = foreseen.map(Foreseen::both).unzip();
        let met = self.people(sighting.viewer).meet(
            sighting,
            of_viewer,
            now_secs,
            known_age,
            (suspect_bits, marching),
        );
        let mut rooms = self.room(sighting.subject);
        let usual = Usual { known: usual_known, started_ms: self.started.load(Ordering::Relaxed) };
        let (arrival, booked) = rooms.arrive(sighting, of_seat, &met, usual, settings, now_ms);
        let unearned = rooms.take_unearned();
        drop(rooms);
        for viewer in unearned {
            self.people(viewer).unearn(&viewer, sighting.short);
        }
        if booked.companions >= lockstep::COMPANIONS_MIN {
            self.people(sighting.viewer).marched(sighting.viewer.address, sighting.short, now_secs);
        }
        let counted = counted.insert(Counted {
            sighting: *sighting,
            booked,
            at: met.at,
            is_first: met.is_first,
            is_clean: true,
        });
        match arrival {
            Arrival::Admitted => return None,
            Arrival::Loops(times) => {
                let mut evidence = Evidence::default();
                evidence.note(evidence::Finding::new(evidence::Kind::Repeats, 0.0, times.into(), 0.0));
                counted.is_clean = false;
                let evidence = Arc::new(evidence);
                return Some(self.throttle(settings.mode, Rung::Repeats, evidence, repeats::LOOP_WAIT));
            }
            Arrival::Suspect => {
                let around = self.people(sighting.viewer).surroundings(sighting, now_secs);
                let mut evidence = Evidence::default();
                evidence.add(carried::finding(&around, false, settings.evidence.carried));
                evidence.add(chain::in_lockstep(&met, &booked, settings.evidence.pool_chain));
                counted.is_clean = false;
                let wait = Duration::from_secs(600);
                return Some(self.throttle(settings.mode, Rung::Suspicion, Arc::new(evidence), wait));
            }
            Arrival::Alarmed => {}
        }

        // An alarmed room.
        let around = self.people(sighting.viewer).surroundings(sighting, now_secs);
        let ordinary = self.ordinary.load();
        let book = self.book(settings.mode);
        let is_lenient = self.is_cold(now)
            || book.is_on_probation(sighting.viewer.address, now_secs)
            || book.is_on_probation_in(sighting.room, sighting.subnet, sighting.key, now_secs);
        let is_untaught = ordinary.strangers() < f64::from(COLD_STRANGERS);
        let mut rooms = self.room(sighting.subject);
        let state = rooms.state_mut(sighting.subject)?;
        let onset = state.gate.onset();
        let alarm = state.alarm.as_deref_mut()?;
        let scene = weigh::Scene {
            sighting,
            met: &met,
            around: &around,
            booked: &booked,
            ordinary: &ordinary,
            usual_known,
            usual_company: f64::from_bits(self.usual_company.load(Ordering::Relaxed)),
            onset,
            is_lenient,
            is_untaught,
            settings,
        };
        let Weighed { verdict, evidence, cohort, key_addresses, is_clean } =
            weigh::weigh(alarm, &scene, now_ms);
        match verdict {
            Verdict::Admit => {}
            Verdict::Throttle(..) => alarm.throttled = alarm.throttled.saturating_add(1),
            Verdict::Deny => alarm.denied = alarm.denied.saturating_add(1),
        }
        if matches!(verdict, Verdict::Admit) {
            rooms.seat(sighting, &booked);
        }
        drop(rooms);
        drop(ordinary);
        counted.is_clean = is_clean;
        self.note(counted, &evidence, now_secs);
        match verdict {
            Verdict::Admit => None,
            Verdict::Throttle(rung, wait) => Some(self.throttle(settings.mode, rung, evidence, wait)),
            Verdict::Deny => {
                let key = sighting.key.zip(key_addresses);
                let is_by_subnet = sighting.is_paid() || sighting.is_mobile;
                let key = key.map(|(key, addresses)| KeyInRoom { key, addresses, is_by_subnet, onset });
                let guilty = Guilty { sighting, cohort: &cohort, evidence: &evidence, onset, key };
                self.convict(settings, &guilty, now);
                self.counts.rung(settings.mode, Rung::Convicted);
                self.counts.evidence(settings.mode, &evidence);
                Some(Against { wait: None, rung: Rung::Convicted, evidence })
            }
        }
    }

    fn throttle(&self, mode: ViewbotMode, rung: Rung, evidence: Arc<Evidence>, wait: Duration) -> Against {
        self.counts.rung(mode, rung);
        self.counts.evidence(mode, &evidence);
        Against { wait: Some(wait), rung, evidence }
    }

    /// Notes what other rooms will want to know: the move, and the bits that did not convict.
    fn note(&self, counted: &Counted, evidence: &Evidence, now: u32) {
        let Counted { sighting, booked, .. } = counted;
        if !booked.is_stranger {
            return;
        }
        let bits = [evidence::Kind::Profile, evidence::Kind::Network].map(|kind| evidence.bits_of(kind));
        let speaks = bits.iter().sum::<f64>() > 0.0;
        if !booked.is_new && !speaks {
            return;
        }
        let mut people = self.people(sighting.viewer);
        if booked.is_new {
            people.moved(sighting.viewer.address, sighting.short, now);
        }
        if speaks {
            people.carry(sighting, bits.into(), now);
        }
    }

    /// Convicts the viewer, and the admitted rest of its cohort.
    fn convict(&self, settings: &ViewbotSettings, guilty: &Guilty<'_>, now: Timestamp) {
        let Guilty { sighting, cohort, evidence, onset, key } = *guilty;
        let book = self.book(settings.mode);
        let convicted = std::iter::once((sighting.viewer, true)).chain(cohort.iter().copied());
        for (place, (viewer, has_second)) in convicted.enumerate() {
            let is_freed = || {
                let (address, now) = (viewer.address, secs(now));
                book.is_on_probation(address, now)
                    || book.is_on_probation_in(sighting.room, address.subnet(), None, now)
            };
            // Whoever was freed lately is not convicted for what another did, either.
            if place > 0 && (viewer == sighting.viewer || is_freed()) {
                continue;
            }
            let people = self.people(viewer);
            if place > 0
                && people.is_bystander(
                    viewer,
                    sighting.profile,
                    (sighting.short, onset, secs(now)),
                    has_second,
                )
            {
                continue;
            }
            let crowded = people.crowded(viewer.address, sighting.profile);
            drop(people);
            let conviction = Conviction {
                viewer,
                profile: sighting.profile,
                room: sighting.room,
                evidence,
                label: sighting.label,
            };
            let reached = ladder::convict(book, &settings.ladder, &conviction, crowded, key, now);
            self.counts.bans(settings.mode, reached);
        }
    }

    /// What an admitted request counted is settled: what got a good answer teaches, what did not is taken back.
    pub(super) fn settle(
        &self,
        settings: &ViewbotSettings,
        counted: &Counted,
        is_good: bool,
        now: Timestamp,
    ) {
        let Counted { sighting, booked, at, is_first, is_clean } = counted;
        let now_secs = secs(now);
        if !is_good {
            self.room(sighting.subject).take_back(sighting, booked);
            return;
        }
        if !is_clean {
            return;
        }
        // Nobody earns anything in a room that may be under attack: else view-bots would be known by having view-botted.
        let teaches =
            booked.is_quiet && self.people(sighting.viewer).admitted(sighting, *at, now_secs, *is_first);
        if booked.is_new {
            let mut rooms = self.room(sighting.subject);
            rooms.learn(sighting.subject, booked, settings, now_secs, || self.is_cold(now));
        }
        let arrives = booked.is_new && booked.has_audience && booked.is_quiet;
        let has_company = booked.has_company.filter(|_| booked.is_quiet);
        if teaches || arrives || has_company.is_some() {
            let mut learning = self.learning();
            if let Some(has_company) = has_company {
                learning.asked(has_company);
                self.usual_company.store(learning.usual_company().to_bits(), Ordering::Relaxed);
            }
            if arrives {
                learning.arrival(!booked.is_stranger, now_secs);
                self.usual_known.store(learning.usual_known().to_bits(), Ordering::Relaxed);
            }
            let published = if teaches { learning.stranger(sighting) } else { None };
            drop(learning);
            if let Some(ordinary) = published {
                self.publish(ordinary);
            }
        }
    }

    /// The book of bans in earnest.
    pub fn bans(&self) -> &Book {
        &self.books[0]
    }

    /// The book of what would have been banned.
    pub fn shadow_bans(&self) -> &Book {
        &self.books[1]
    }

    /// What has been counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The book of a shelf.
    pub fn shelf(&self, shelf: Shelf) -> &Book {
        &self.books[shelf as usize]
    }

    /// Lifts a ban in earnest: with it go the strikes that led to it, and for an hour the same evidence only throttles.
    pub fn lift(&self, id: u64, now: Timestamp) -> Option<Arc<Ban>> {
        self.lift_from(Shelf::Enforced, id, now)
    }

    /// Lifts a ban of any book. The strikes go in all of them, and so does probation hold in all of them; what another book
    /// says of the same stays.
    pub fn lift_from(&self, shelf: Shelf, id: u64, now: Timestamp) -> Option<Arc<Ban>> {
        let ban = self.shelf(shelf).lift(id, now)?;
        for other in Shelf::ALL.into_iter().filter(|other| *other != shelf) {
            self.shelf(other).put_on_probation(&ban.target, now);
        }
        Some(ban)
    }

    /// Makes a ban of the shadow book real, in every mode but `off`. Gives it as it stands now, with its new number.
    pub fn promote(&self, id: u64, now: Timestamp) -> Option<Arc<Ban>> {
        let shadow = self.shelf(Shelf::Shadow).find(id, now)?;
        let promoted = self.shelf(Shelf::Promoted);
        promoted.adopt(&shadow, now);
        promoted.list(now).into_iter().find(|ban| ban.target == shadow.target)
    }

    /// Pardons a room: its excess and everything derived from it is dropped, bits that its newcomers carried to other rooms
    /// among it, and for `length` the room is not looked at. Until then it teaches nothing, either: what an operator let pass
    /// in one room is not what is ordinary in all of them.
    /// Gives how many bans went with it.
    pub fn pardon(&self, room: Room, length: Duration, now: Timestamp) -> usize {
        let canonical = self.canonical(room, now);
        let until = secs(now + length);
        // What was counted before the number of a named room was known stands under its name.
        let names = if canonical == room { &[canonical][..] } else { &[canonical, room] };
        let mut dropped = 0;
        for room in names {
            let subject = crate::base::subject::Subject::room(room);
            self.room(subject).pardon(subject, until);
            let short = sighting::short_room(subject);
            for shard in &self.people {
                locked(shard).forget_room(short);
            }
            dropped += self.books.iter().map(|book| book.pardon(*room, now)).sum::<usize>();
        }
        dropped
    }
}

impl std::fmt::Debug for Viewbot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Viewbot").field("books", &self.books).finish_non_exhaustive()
    }
}

/// For how long the same evidence only throttles after a ban was lifted.
pub const PROBATION: Duration = Duration::from_secs(PROBATION_SECS as u64);

/// Seconds since 1970, until 2106.
fn secs(now: Timestamp) -> u32 {
    now.as_secs().min(u64::from(u32::MAX)) as u32
}
