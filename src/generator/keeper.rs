//! Looks after the generators, beside the data path: twenty times a second it reads what threads have counted, decides who is
//! in service, fills budgets, sets the door, has probes made, and tells metrics and log. One for the whole process.
//!
//! [`Keeper::look`] does all of it but the probes, without waiting, so that tests can look whenever they like.

mod words;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::attempt::{Cause, Mark};
use super::balance::Places;
use super::budget::Fill;
use super::fleet::Fleet;
use super::health::{Change, Counts, Health};
use super::latency::Quantiles;
use super::probe::{Found, probe};
use super::roster::Roster;
use super::shedding::Door;
use crate::base::operation::Operation;
use crate::base::time::Timestamp;
use crate::telemetry::metrics::{GeneratorMetrics, Metrics};
use words::{Failures, SLOW_ONLY, Teller};

/// How often it looks: an ejection comes at most so much later than its last failure.
pub const LOOK: Duration = Duration::from_millis(50);

/// An answer is too slow that takes so many times as long as 95 of 100 of the fastest generator's.
const SLOW_FACTOR: u32 = 5;

/// And longer than this: nobody minds a quarter of a second.
const SLOW_MIN: Duration = Duration::from_millis(250);

/// One in service whose last request or probe failed, or came late, and that is not asked since, is probed after this, until
/// it is ejected or has recovered: else a single sick one, which hardly anybody is sent to, would never be found out.
const PROBE_AGAIN: Duration = Duration::from_secs(1);

/// So many of its probes in a row come late: it is ejected.
const LATE_PROBES: u32 = 5;

/// Looks after the generators.
#[derive(Debug)]
pub struct Keeper {
    roster: Arc<Roster>,
    health: Health,
    retries: Fill,
    trickle: Fill,
    door: Door,
    served: u64,
    ones: Vec<One>,
    metrics: Arc<Metrics>,
    exhausted_read: u32,
    teller: Teller,
    /// Probes that are under way.
    probing: Places,
}

/// What is kept of one generator.
#[derive(Debug)]
struct One {
    quantiles: Quantiles,
    counts: Counts,
    /// How often it was asked since the last look, by cause.
    newly_asked: [u32; Cause::COUNT],
    failures: Failures,
    /// When it was last probed while in service, or the start.
    probed: Timestamp,
    /// Whether no good answer in time came since the last one that was late.
    is_late: bool,
    /// So many probes since then were late.
    late_probes: u32,
    /// So many probes in a row could not tell what it fails at.
    unclear: u32,
    /// So often in a row there was no room for a probe.
    no_room: u32,
    /// No probe before this: there was no room for one.
    not_before: Timestamp,
    metrics: GeneratorMetrics,
}

impl Keeper {
    /// Before anything has happened.
    pub fn new(roster: Arc<Roster>, metrics: Arc<Metrics>) -> Self {
        let now = roster.now();
        let settings = roster.settings();
        roster.all().iter().for_each(|generator| generator.condition.begins(now));
        let one = |generator: &super::member::Generator| One {
            quantiles: Quantiles::new(&generator.latency, now),
            // One that stays across a reload goes on from where it was.
            counts: generator.tally.counts(),
            newly_asked: [0; Cause::COUNT],
            failures: Failures::new(generator, now),
            probed: now,
            is_late: false,
            late_probes: 0,
            unclear: 0,
            no_room: 0,
            not_before: now,
            metrics: metrics.generator(&generator.name, generator.in_flight_max, Mark::words()),
        };
        let mut health = Health::new(settings.ejection, roster.peers(), roster.serving(), now);
        health.begins_with(|place| &roster.all()[place].tally);
        Self {
            health,
            retries: Fill::new(settings.retries, now),
            trickle: Fill::even(settings.trickle, now),
            door: Door::new(now),
            served: 0,
            ones: roster.all().iter().map(|generator| one(generator)).collect(),
            exhausted_read: 0,
            teller: Teller::new(roster.all().len()),
            probing: Places::NONE,
            metrics,
            roster,
        }
    }

    /// Looks until it is dropped. `fleet` is this task's own, of the same roster; to be run on a `LocalSet`.
    pub async fn run(mut self, fleet: std::rc::Rc<Fleet>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut probes = JoinSet::new();
        let mut pruned = self.roster.now();
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                Some(ended) = probes.join_next(), if !probes.is_empty() => {
                    // A probe that panicked has said so; its generator is probed again.
                    if let Ok((place, found)) = ended {
                        self.probed(place, found, self.roster.now());
                    } else {
                        self.probing = Places::NONE;
                    }
                }
            }
            let now = self.roster.now();
            self.look(now);
            for place in self.probes_due(now).iter() {
                self.probing = self.probing.with(place);
                let fleet = std::rc::Rc::clone(&fleet);
                probes.spawn_local(async move { (place, probe(&fleet, place).await) });
            }
            if now.since(pruned) >= Duration::from_secs(1) {
                pruned = now;
                fleet.tidy();
            }
        }
    }

    /// Everything but probes.
    pub fn look(&mut self, now: Timestamp) {
        let roster = Arc::clone(&self.roster);
        let mut first = 0;
        for (one, generator) in self.ones.iter_mut().zip(roster.all()) {
            one.quantiles.look(&generator.latency, now);
            one.failures.look(generator, now);
            generator.end_slow_start(roster.settings().slow_start, now);
            let counts = generator.tally.counts();
            let new = counts.since(one.counts);
            one.counts = counts;
            one.newly_asked = std::array::from_fn(|cause| generator.newly_asked(cause));
            first += u64::from(one.newly_asked[Cause::First as usize]);
            self.served += u64::from(new.told() + new.neither);
            if new.good > 0 {
                (one.is_late, one.late_probes, one.unclear, one.no_room) = (false, 0, 0, 0);
            } else if new.slow > 0 {
                one.is_late = true;
            }
        }
        self.health.are_on_duty(roster.on_duty());
        for (place, generator) in roster.all().iter().enumerate() {
            generator.is_slow_beyond(self.slow(place));
            generator.tally.note_blames_more(self.health.blames_more(place));
        }
        let changes = self.health.look(|place| &roster.all()[place].tally, now);
        self.take_in(&changes, now);

        let stood = roster.queue_stands_for(now);
        let arrived = self.door.look(&roster.shedding, self.served, stood, now);
        // A share of those for which a generator is asked: a flood that is refused must not widen it.
        self.retries.look(&roster.budget, first, now);
        self.trickle.look(&roster.trickle, arrived, now);
        // A generator that has just come back is not known to those who wait.
        roster.serve_waiting();
        self.teller.tell_held(roster.all(), now);
        self.tell_metrics();
    }

    /// What is slow of one, beside the fastest of those that can do all that it can: to sign a URL may take a tenth of what it
    /// takes to connect. With one generator alone nothing is. Nor is one on full duty slow beside a canary, however fast that is:
    /// it would get all the traffic, before anybody knows how it does with more than its share.
    fn slow(&self, place: usize) -> Option<Duration> {
        let full = self.roster.on_full_duty();
        let all = self.health.others(place);
        let others = if full.contains(place) { all.and(full) } else { all };
        let known = others.with(place).iter().filter_map(|place| self.roster.all()[place].latency.p95());
        let fastest = known.min().filter(|_| !others.is_empty())?;
        Some((fastest * SLOW_FACTOR).max(SLOW_MIN))
    }

    fn take_in(&mut self, changes: &[Change], now: Timestamp) {
        if changes.is_empty() {
            return;
        }
        self.roster.serve(self.health.serving(), now);
        for change in changes {
            let failures = match change {
                Change::Recovered { place, .. } => {
                    let generator = &self.roster.all()[*place];
                    generator.condition.works(now);
                    generator.tally.no_failure();
                    generator.start_slowly(now);
                    let one = &mut self.ones[*place];
                    (one.is_late, one.late_probes, one.unclear, one.no_room) = (false, 0, 0, 0);
                    None
                }
                Change::Ejected { place, why, .. } => {
                    let generator = &self.roster.all()[*place];
                    let failures = self.ones[*place].failures.text(generator);
                    let reasons = if failures.is_empty() { SLOW_ONLY.to_owned() } else { failures };
                    generator.condition.is_out(*why, &reasons, now);
                    Some(reasons)
                }
                Change::AllOut | Change::NoLongerAllOut(_) => None,
            };
            self.teller.tell(*change, self.roster.all(), failures.unwrap_or_default(), now);
        }
    }

    /// Whom to probe now: who is out and due, who failed and nobody can say why, who failed or was late and is not asked
    /// since, and who got nothing for so long.
    fn probes_due(&self, now: Timestamp) -> Places {
        let idle = self.roster.settings().probe.idle;
        let serving = self.health.serving().iter().filter(|place| {
            let (one, generator) = (&self.ones[*place], &self.roster.all()[*place]);
            if !generator.kind.can_fail() {
                return false;
            }
            if self.roster.is_suspect(*place) {
                return now.since(one.probed) >= (PROBE_AGAIN * (1 << one.unclear.min(8))).min(idle);
            }
            let last = generator.latency.last().map_or(one.probed, |last| last.max(one.probed));
            let is_troubled = one.is_late || generator.tally.in_a_row() > 0;
            now.since(last) >= if is_troubled { PROBE_AGAIN.min(idle) } else { idle }
        });
        let due = serving.fold(self.health.probes_due(now), Places::with);
        let postponed = |place: &usize| self.ones[*place].not_before > now;
        due.iter().filter(postponed).fold(due, Places::without).but(self.probing).and(self.roster.on_duty())
    }

    /// Takes in what a probe found; `None` where the generator had no room for it.
    fn probed(&mut self, place: usize, found: Option<Found>, now: Timestamp) {
        self.probing = self.probing.without(place);
        let suspect = self.roster.is_suspect(place);
        let one = &mut self.ones[place];
        let Some(found) = found else {
            one.no_room += 1;
            // Full of work for a second, and none of it came to good: nobody need ask.
            if suspect && one.no_room > 1 {
                self.roster.all()[place].tally.vouch();
            }
            one.not_before = now + PROBE_AGAIN;
            return;
        };
        one.metrics.probed(found.index());
        self.roster.count_probe_for_trials(place, matches!(found, Found::Failed(_)));
        (one.probed, one.no_room) = (now, 0);
        if self.health.serving().contains(place) {
            let generator = &self.roster.all()[place];
            match found {
                Found::Good => generator.tally.good(),
                Found::Slow => {
                    generator.tally.slow();
                    generator.tally.no_failure();
                    one.late_probes += 1;
                }
                Found::Failed(mark) => generator.failed_a_probe(mark),
                Found::Inconclusive => {
                    generator.tally.neither();
                    generator.tally.unclear();
                    one.unclear += 1;
                }
            }
            if one.late_probes >= LATE_PROBES {
                one.late_probes = 0;
                let changes: Vec<_> = self.health.lags(place, now).into_iter().collect();
                self.take_in(&changes, now);
            }
            return;
        }
        if let Found::Failed(mark) = found {
            self.roster.all()[place].condition.still_fails(mark.word());
        }
        // A slow one is better than none.
        let succeeded = match found {
            Found::Good | Found::Inconclusive => true,
            Found::Slow => self.health.serving().is_empty(),
            Found::Failed(_) => false,
        };
        let changes = self.health.probed(place, succeeded, now);
        self.take_in(&changes, now);
    }

    fn tell_metrics(&mut self) {
        let serving = self.health.serving();
        for (place, (one, generator)) in self.ones.iter_mut().zip(self.roster.all()).enumerate() {
            one.metrics.in_flight(generator.in_flight());
            for operation in [Operation::Connect, Operation::SignUrl] {
                one.metrics.answer_bytes(operation, generator.judge.usual_bytes(operation));
            }
            one.metrics.ejected(!serving.contains(place));
            for (cause, times) in one.newly_asked.iter_mut().enumerate() {
                one.metrics.attempted(cause, std::mem::take(times).into());
            }
        }
        tell_working(&self.roster, &self.metrics);
        self.metrics.queue_depth(self.roster.waiting());
        let exhausted = self.roster.budget_exhausted();
        self.metrics.budget_exhausted(u64::from(exhausted.wrapping_sub(self.exhausted_read)));
        self.exhausted_read = exhausted;
    }
}

/// Tells how many generators work for each operation: from the start, before anybody looks.
pub fn tell_working(roster: &Roster, metrics: &Metrics) {
    // Limits are told without a generator.
    for operation in Operation::ALL.into_iter().filter(|operation| *operation != Operation::Limits) {
        let able = roster.able(operation);
        let working = (!able.is_empty()).then(|| roster.working(operation).len());
        metrics.generators_working(operation, working);
    }
}

#[cfg(test)]
mod tests;
