//! Which generators are in service, from what their answers were judged to be. No I/O, no clock.
//!
//! Every exchange leaves a mark in its generator's [`Tally`]; a few times a second [`Health::look`] reads them all and says
//! what changes. Two findings end in ejection:
//!
//! - **dead**: so many failures in a row, or nine of ten results of the last five seconds failed;
//! - **worse**: a share of its results failed or came too slowly, at least twice the share of the best of the others.
//!
//! Others are those that can do all that it can: who only signs URLs says nothing of how long it takes to connect, and does not
//! stand in for who connects.
//!
//! A generator that is *worse* is ejected only up to a ceiling, and comes back when nothing better is left. A *dead* one
//! is ejected up to the same ceiling, unless all that are in service are dead: then all are out, which is a state of its own
//! (see [`Fleet::ask`](super::fleet::Fleet::ask)). Out of ejection leads a probe that succeeds, never a client's request; each
//! ejection soon after the last one waits twice as long for its first probe.
//!
//! Why these numbers: five seconds hold enough results to tell one failure in five from chance (ten results at least), and
//! are how long an operator lets a fault be felt. Failures in a row are what finds a generator that has just gone, within
//! a few requests.
//!
//! A client may provoke failures by a request that no generator can serve. Such a request fails everywhere, so nobody bears
//! [witness](super::witness) that the generators are to blame: a generator that fails so often in a row is *suspect*, and
//! probed at once. Only what somebody else bears witness to makes one *dead* or *worse*. An answer that blames the request is no
//! failure until another generator does well on it; who is [doubted](Tally::is_doubted) is compared so (see `race`).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::balance::Places;
use super::witness::{Origin, Witnesses};
use crate::base::time::Timestamp;

/// What a generator's exchanges came to since the start. Shared by all threads; only grows.
#[derive(Debug, Default)]
pub struct Tally {
    good: AtomicU32,
    bad: AtomicU32,
    slow: AtomicU32,
    neither: AtomicU32,
    vouched: AtomicU32,
    in_a_row: AtomicU32,
    /// So many answers since the last good one that blame the request, and that nobody has confirmed.
    blames: AtomicU32,
    /// It blames requests far more often than the others.
    blames_more: AtomicBool,
    witnesses: Witnesses,
}

/// A reading of a [`Tally`], or the difference of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Good answers in time.
    pub good: u32,
    /// Failures, judged or of the wire.
    pub bad: u32,
    /// Good answers that came too late to be of use, and exchanges that another generator overtook.
    pub slow: u32,
    /// What says nothing of the generator: it blamed the request.
    pub neither: u32,
    /// Those of the failures to which another generator, or a probe, bears witness.
    pub vouched: u32,
}

impl Tally {
    /// A good answer.
    pub fn good(&self) {
        self.good.fetch_add(1, Ordering::Relaxed);
        self.no_failure();
        self.did_its_work();
    }

    /// It does not blame every request.
    pub fn did_its_work(&self) {
        if self.blames.load(Ordering::Relaxed) > 0 {
            self.blames.store(0, Ordering::Relaxed);
        }
    }

    /// A failure, of a client's request or of a probe.
    pub fn bad(&self, of: Option<Origin>) {
        self.bad.fetch_add(1, Ordering::Relaxed);
        self.in_a_row.fetch_add(1, Ordering::Relaxed);
        if let Some(of) = of {
            self.witnesses.failed(of);
        }
    }

    /// A failure that was counted before is the generator's own: another did well on the same request, or it was a probe's.
    pub fn vouch(&self) {
        self.vouched.fetch_add(1, Ordering::Relaxed);
        if self.in_a_row() > 0 {
            self.witnesses.sure();
        }
    }

    /// A probe could not tell whose fault the failures are.
    pub fn unclear(&self) {
        self.witnesses.unclear();
    }

    /// A good answer that came too slowly, or would have.
    pub fn slow(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
    }

    /// It says that the request is at fault.
    pub fn neither(&self) {
        self.neither.fetch_add(1, Ordering::Relaxed);
        self.blames.fetch_add(1, Ordering::Relaxed);
    }

    /// Another generator says the same of the request.
    pub fn confirmed(&self) {
        self.blames.store(0, Ordering::Relaxed);
    }

    /// Another did well on a request that it blamed. A caller may choose what only one of them can do: so that convicts it only
    /// where several callers fared so, each with another room, or a probe does.
    pub fn refuted(&self) {
        self.witnesses.unclear();
    }

    /// Whether its word alone is not enough when it blames a request: it has done nothing well yet, it blamed the one before as
    /// well, or it blames far more than the others.
    pub fn is_doubted(&self) -> bool {
        self.good.load(Ordering::Relaxed) == 0
            || self.blames.load(Ordering::Relaxed) > BLAMES_BELIEVED
            || self.blames_more.load(Ordering::Relaxed)
    }

    /// It blames requests far more often than the others, or no longer.
    pub fn note_blames_more(&self, more: bool) {
        self.blames_more.store(more, Ordering::Relaxed);
    }

    /// So many failures since the last good answer.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row.load(Ordering::Relaxed)
    }

    /// Begins to count failures in a row anew.
    pub fn no_failure(&self) {
        // Most answers follow a good one: nothing is written then.
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
            self.witnesses.settle();
        }
    }

    /// Whether somebody bears witness that its failures in a row are its own.
    pub fn is_convicted(&self) -> bool {
        self.witnesses.convince()
    }

    /// All so far.
    pub fn counts(&self) -> Counts {
        Counts {
            good: self.good.load(Ordering::Relaxed),
            bad: self.bad.load(Ordering::Relaxed),
            slow: self.slow.load(Ordering::Relaxed),
            neither: self.neither.load(Ordering::Relaxed),
            vouched: self.vouched.load(Ordering::Relaxed),
        }
    }
}

impl Counts {
    /// What came since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            good: self.good.wrapping_sub(earlier.good),
            bad: self.bad.wrapping_sub(earlier.bad),
            slow: self.slow.wrapping_sub(earlier.slow),
            neither: self.neither.wrapping_sub(earlier.neither),
            vouched: self.vouched.wrapping_sub(earlier.vouched),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            good: self.good + other.good,
            bad: self.bad + other.bad,
            slow: self.slow + other.slow,
            neither: self.neither + other.neither,
            vouched: self.vouched + other.vouched,
        }
    }

    /// How many of all answers blamed the request.
    fn blame_share(self) -> f64 {
        f64::from(self.neither) / f64::from((self.told() + self.neither).max(1))
    }

    /// How many that say something.
    pub const fn told(self) -> u32 {
        self.good + self.bad + self.slow
    }

    /// How many say something of this generator in particular: no failures that may be the requests'.
    pub const fn judged(self) -> u32 {
        self.good + self.vouched + self.slow
    }

    /// The share of those that were no good, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.vouched + self.slow) / f64::from(self.judged().max(1))
    }

    /// Nine of ten failed, and as many as this by others' witness.
    fn hardly_any_good(self, vouched_min: u32) -> bool {
        self.told() >= RESULTS_MIN
            && f64::from(self.bad) >= DEAD_SHARE * f64::from(self.told())
            && self.vouched >= vouched_min
    }
}

/// When generators are ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// So many failures in a row make a generator dead.
    pub failures_in_a_row: u32,
    /// Such a share of failures makes it worse, where the others do better.
    pub failure_share: f64,
    /// At most such a share of all generators is out, while any of the others works.
    pub ejected_share_max: f64,
    /// The first probe comes after so long; after twice as long with each further ejection.
    pub eject_for: Duration,
    /// But at the latest after this.
    pub eject_for_max: Duration,
}

/// Why a generator was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It hardly gives a good answer any more.
    Dead,
    /// It gives far fewer than the others, or far later.
    Worse,
}

impl Why {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Dead => "it gives no good answers",
            Self::Worse => "it fails or lags far more than the others",
        }
    }
}

/// Something that an operator should hear of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// A generator is out of service.
    Ejected {
        /// Which.
        place: usize,
        /// Why.
        why: Why,
        /// What led there, of the last five seconds.
        counts: Counts,
        /// When it is probed first.
        probed_in: Duration,
    },
    /// A generator is in service again.
    Recovered {
        /// Which.
        place: usize,
        /// How long it was out.
        after: Duration,
    },
    /// None is in service any more.
    AllOut,
    /// The first one is in service again, after so long.
    NoLongerAllOut(Duration),
}

/// Results are looked at for so long, in slices.
const WINDOW: Duration = Duration::from_secs(5);
const SLICES: usize = 10;

/// A share of fewer results is chance.
const RESULTS_MIN: u32 = 10;

/// So many answers in a row that blame the request are taken at their word.
const BLAMES_BELIEVED: u32 = 1;

/// Who blames so much more of its requests than twice the least of the others is doubted.
const BLAMES_MORE: f64 = 0.05;

/// Nine of ten failed: dead, whatever the tenth was.
const DEAD_SHARE: f64 = 0.9;

/// One is probed so often while none that can do what it can is in service: nothing is left to lose.
const ALL_OUT_PROBE: Duration = Duration::from_secs(1);

/// After serving so long, an ejection waits as shortly as the first one did.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// All generators, as their answers have them.
#[derive(Debug)]
pub struct Health {
    rules: Rules,
    ones: Vec<One>,
    /// Of each those that can do all that it can, and it.
    peers: Vec<Places>,
    /// Those that get traffic.
    on_duty: Places,
    all_out_since: Option<Timestamp>,
}

#[derive(Debug)]
struct One {
    state: State,
    /// Ejections, none of which was forgiven yet.
    times: u32,
    slices: [Counts; SLICES],
    slice: usize,
    slice_since: Timestamp,
    read: Counts,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Serving { since: Timestamp },
    Ejected { since: Timestamp, why: Why, probe_at: Timestamp },
}

impl One {
    fn serves(&self) -> bool {
        matches!(self.state, State::Serving { .. })
    }

    fn turn(&mut self, counts: Counts, now: Timestamp) -> Counts {
        let new = counts.since(self.read);
        self.read = counts;
        let slice = WINDOW / SLICES as u32;
        if now.since(self.slice_since) >= WINDOW {
            self.forget(now);
        }
        while now.since(self.slice_since) >= slice {
            self.slice = (self.slice + 1) % SLICES;
            self.slices[self.slice] = Counts::default();
            self.slice_since = self.slice_since + slice;
        }
        self.slices[self.slice] = self.slices[self.slice].plus(new);
        new
    }

    fn forget(&mut self, now: Timestamp) {
        self.slices = [Counts::default(); SLICES];
        self.slice_since = now;
    }

    fn window(&self) -> Counts {
        self.slices.iter().fold(Counts::default(), |all, slice| all.plus(*slice))
    }
}

impl Health {
    /// As many generators as there are sets of `peers`, each those that can do all that one can: only they can stand in for it,
    /// and only with them it is compared. Of all these are in service; the others were ejected, for what is not known any
    /// more, and are probed at once.
    pub fn new(rules: Rules, peers: Vec<Places>, serving: Places, now: Timestamp) -> Self {
        let one = |place| One {
            state: if serving.contains(place) {
                State::Serving { since: now }
            } else {
                State::Ejected { since: now, why: Why::Dead, probe_at: now }
            },
            times: 0,
            slices: [Counts::default(); SLICES],
            slice: 0,
            slice_since: now,
            read: Counts::default(),
        };
        Self {
            rules,
            ones: (0..peers.len()).map(one).collect(),
            on_duty: Places::first(peers.len()),
            peers,
            all_out_since: None,
        }
    }

    /// What was counted before is no news.
    pub fn begins_with<'t>(&mut self, tally: impl Fn(usize) -> &'t Tally) {
        for (place, one) in self.ones.iter_mut().enumerate() {
            one.read = tally(place).counts();
        }
    }

    /// From now on these get traffic: one that gets none does nothing in another's place.
    pub fn are_on_duty(&mut self, on_duty: Places) {
        self.on_duty = on_duty;
    }

    /// Those in service that can do all that this one can, and get traffic; without it.
    pub fn others(&self, place: usize) -> Places {
        self.serving().and(self.peers[place]).and(self.on_duty).without(place)
    }

    /// Whether one blames requests far more often than the best of the others: where many are at fault, all of them blame.
    pub fn blames_more(&self, place: usize) -> bool {
        let window = self.window(place);
        let others = self.others(place).iter().map(|other| self.window(other));
        let shares = others.filter(|window| window.told() + window.neither >= RESULTS_MIN / 2);
        let least = shares.map(Counts::blame_share).min_by(f64::total_cmp);
        window.neither >= RESULTS_MIN / 2
            && least.is_some_and(|least| window.blame_share() >= least * 2.0 + BLAMES_MORE)
    }

    /// Those in service.
    pub fn serving(&self) -> Places {
        let serving = self.ones.iter().enumerate().filter(|(_, one)| one.serves());
        serving.fold(Places::NONE, |all, (place, _)| all.with(place))
    }

    /// What the last five seconds of one came to.
    pub fn window(&self, place: usize) -> Counts {
        self.ones[place].window()
    }

    /// Reads all tallies and ejects whom it finds dead or worse. To be called several times a second.
    pub fn look<'t>(&mut self, tally: impl Fn(usize) -> &'t Tally, now: Timestamp) -> Vec<Change> {
        for (place, one) in self.ones.iter_mut().enumerate() {
            let new = one.turn(tally(place).counts(), now);
            match &mut one.state {
                // A client that was let through to it found it working: worth a probe at once.
                State::Ejected { probe_at, .. } if new.good > 0 => *probe_at = now.min(*probe_at),
                State::Serving { since } if one.times > 0 && now.since(*since) >= FORGIVEN_AFTER => {
                    one.times = 0;
                }
                State::Ejected { .. } | State::Serving { .. } => {}
            }
        }
        let mut changes = Vec::new();
        let enough = self.rules.failures_in_a_row;
        let is_dead = |one: &One, place: usize| {
            let tally = tally(place);
            tally.in_a_row() >= enough && tally.is_convicted() || one.window().hardly_any_good(enough)
        };
        let serving = self.serving();
        let dead = serving.iter().filter(|place| is_dead(&self.ones[*place], *place));
        let dead = dead.fold(Places::NONE, Places::with);
        let all_dead = !serving.is_empty() && dead == serving;
        for place in dead.iter() {
            if all_dead || self.may_eject() {
                changes.push(self.eject(place, Why::Dead, now));
            }
        }
        for place in self.serving().iter() {
            if self.may_eject() && self.is_worse(place) {
                changes.push(self.eject(place, Why::Worse, now));
            }
        }
        self.take_back_the_worse(&mut changes, now);
        for place in 0..self.ones.len() {
            let is_missed = self.others(place).is_empty();
            if let State::Ejected { probe_at, .. } = &mut self.ones[place].state
                && is_missed
            {
                *probe_at = (*probe_at).min(now + ALL_OUT_PROBE);
            }
        }
        // What is said of them is what happens.
        for change in &mut changes {
            if let Change::Ejected { place, probed_in, .. } = change
                && self.others(*place).is_empty()
            {
                *probed_in = ALL_OUT_PROBE.min(*probed_in);
            }
        }
        changes.extend(self.all_out(now));
        changes
    }

    /// Probes of one that is in service, and seldom asked, come late again and again: it is worse than the others.
    pub fn lags(&mut self, place: usize, now: Timestamp) -> Option<Change> {
        let ejected = self.ones[place].serves() && !self.others(place).is_empty() && self.may_eject();
        ejected.then(|| self.eject(place, Why::Worse, now))
    }

    fn may_eject(&self) -> bool {
        let out = self.ones.len() - self.serving().len();
        // What rounding takes from 0.7 of ten must not make it six.
        (out + 1) as f64 <= self.rules.ejected_share_max * self.ones.len() as f64 + 1e-9
    }

    fn is_worse(&self, place: usize) -> bool {
        let window = self.ones[place].window();
        let share = window.share();
        let others = self.others(place);
        let shares = others.iter().filter_map(|other| {
            let window = self.ones[other].window();
            (window.judged() >= RESULTS_MIN / 2).then(|| window.share())
        });
        let best = shares.min_by(f64::total_cmp);
        window.judged() >= RESULTS_MIN
            && share >= self.rules.failure_share
            && best.is_some_and(|best| best * 2.0 <= share)
    }

    fn eject(&mut self, place: usize, why: Why, now: Timestamp) -> Change {
        let one = &mut self.ones[place];
        let probed_in = pause(&self.rules, one.times);
        one.times = one.times.saturating_add(1);
        one.state = State::Ejected { since: now, why, probe_at: now + probed_in };
        Change::Ejected { place, why, counts: one.window(), probed_in }
    }

    /// Whoever is worse, where nothing better is left.
    fn take_back_the_worse(&mut self, changes: &mut Vec<Change>, now: Timestamp) {
        for place in 0..self.ones.len() {
            if matches!(self.ones[place].state, State::Ejected { why: Why::Worse, .. })
                && self.others(place).is_empty()
            {
                changes.extend(self.recover(place, now));
            }
        }
    }

    fn recover(&mut self, place: usize, now: Timestamp) -> Option<Change> {
        let one = &mut self.ones[place];
        let State::Ejected { since, .. } = one.state else { return None };
        one.forget(now);
        one.state = State::Serving { since: now };
        Some(Change::Recovered { place, after: now.since(since) })
    }

    fn all_out(&mut self, now: Timestamp) -> Option<Change> {
        match (self.serving().is_empty() && !self.ones.is_empty(), self.all_out_since) {
            (true, None) => {
                self.all_out_since = Some(now);
                Some(Change::AllOut)
            }
            (false, Some(since)) => {
                self.all_out_since = None;
                Some(Change::NoLongerAllOut(now.since(since)))
            }
            _ => None,
        }
    }

    /// Ejected ones that are to be probed now.
    pub fn probes_due(&self, now: Timestamp) -> Places {
        let due = self
            .ones
            .iter()
            .enumerate()
            .filter(|(_, one)| matches!(one.state, State::Ejected { probe_at, .. } if probe_at <= now));
        due.fold(Places::NONE, |all, (place, _)| all.with(place))
    }

    /// A probe of an ejected one ended. Success puts it in service; else the next one comes after a longer pause.
    pub fn probed(&mut self, place: usize, succeeded: bool, now: Timestamp) -> Vec<Change> {
        if succeeded {
            let mut changes: Vec<_> = self.recover(place, now).into_iter().collect();
            changes.extend(self.all_out(now));
            return changes;
        }
        let is_missed = self.others(place).is_empty();
        let one = &mut self.ones[place];
        if let State::Ejected { probe_at, .. } = &mut one.state {
            let wait = pause(&self.rules, one.times);
            one.times = one.times.saturating_add(1);
            *probe_at = now + if is_missed { wait.min(ALL_OUT_PROBE) } else { wait };
        }
        Vec::new()
    }
}

/// How long after the `times`-th ejection or failed probe the next probe comes.
fn pause(rules: &Rules, times: u32) -> Duration {
    rules.eject_for.saturating_mul(1 << times.min(16)).min(rules.eject_for_max)
}

#[cfg(test)]
mod tests;
