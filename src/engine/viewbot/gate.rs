//! H1, the gate: which rooms are looked at.
//!
//! **What it measures.** New viewers of a room above what it can expect, cumulated: a CUSUM (Page, Biometrika 1954).
//! `S = max(0, S - max(floor, factor * mu) * dt) + 1` for each new viewer; the room is alarmed while `S` has been above `burst`
//! and has not come back to 0. `mu` is the room's own rate of new viewers, over `baseline`, learned only from viewers that
//! were admitted without suspicion. While the room is alarmed, `mu` stays what it was, or rises to twice the floor at most, before the
//! alarm has lasted for one `baseline`: a crowd that comes and goes would hide what comes in the hour after it. A gateway that knows
//! too little to convict anybody learns all of it: what it finds was there before.
//!
//! **Why.** A view-botter cannot add V viewers without V signatures: the excess of a room cannot be hidden, however it is
//! spread over addresses, keys and user agents. It is the cheapest test that notices all of them, and the only one that runs
//! for calm rooms.
//!
//! **Known false positives.** All of them: a raid, a celebrity, a streamer who starts. Therefore it is no evidence by itself
//! and stops nobody. It says where to look.
//!
//! **An example.** At 3 a minute 40 viewers within two minutes leave `S` at 34: from the 11th or so on the room is looked at.
//!
//! **Settings.** `[viewbot.gate] burst, floor, factor, baseline`. A room without a history is taken to have had ten quiet
//! minutes before its first viewer, so that its first burst is not its baseline; but no longer than the gateway has been
//! looking, and three at least: what is there when it starts was there before. `S` is capped at what drains at the floor
//! within one `baseline`: where nobody comes any more, an alarm does not outlast its cause by more.

use crate::policy::viewbot::Gate as Settings;

use super::arith::{faded, whole_of};

/// A room without a history is taken to have been quiet for so long.
const QUIET_SECS: u32 = 600;

/// And at least for so long, also where the gateway itself has just started: a busy room is calm by its own baseline after as
/// long again, and what comes in its first minutes, as bots that are to be aged somewhere, is not usual at once.
const QUIET_MIN_SECS: u32 = 200;

/// Up to so many times the floor a room learns in an alarm, too: most streams that begin are calm again within minutes, and need not
/// last for a baseline first.
const LEARNED_IN_ALARM: f64 = 2.0;

/// One room's gate. Milliseconds and seconds are since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    sum: f64,
    at_ms: u64,
    /// Since when the sum has been above 0.
    onset: u32,
    /// Since when the room's viewers are counted; the time that it is taken to have been quiet for is part of it.
    born: u32,
    learned: f64,
    learned_at: u32,
}

impl Gate {
    /// Of a room that is seen for the first time, by a gateway that has been looking since `started_ms`.
    pub(super) fn new(now_ms: u64, started_ms: u64) -> Self {
        let (now, started) = ((now_ms / 1_000) as u32, (started_ms / 1_000) as u32);
        let quiet = now.saturating_sub(started).clamp(QUIET_MIN_SECS, QUIET_SECS);
        Self {
            sum: 0.0,
            at_ms: now_ms,
            onset: now,
            born: now.saturating_sub(quiet),
            learned: 0.0,
            learned_at: now,
        }
    }

    /// How many new viewers a second the room usually has.
    pub(super) fn usual(&self, settings: &Settings, now: u32) -> f64 {
        let tau = settings.baseline.as_secs_f64();
        let left = self.learned * faded(f64::from(now.saturating_sub(self.learned_at)), tau);
        left / self.age(settings, now)
    }

    /// For how many seconds its viewers have been counted, up to a baseline.
    fn age(&self, settings: &Settings, now: u32) -> f64 {
        f64::from(now.saturating_sub(self.born)).min(settings.baseline.as_secs_f64()).max(1.0)
    }

    /// Drains the sum; true where that ends an excess, or there was none.
    pub(super) fn drain(&mut self, settings: &Settings, now_ms: u64) -> bool {
        let elapsed = now_ms.saturating_sub(self.at_ms);
        if elapsed > 0 {
            let now = (now_ms / 1_000) as u32;
            // What fades is never more than what was there: most rooms drain at the floor, whatever is left of theirs.
            let floor = floor(settings);
            let most = settings.factor * (self.learned / self.age(settings, now));
            let drift =
                if most <= floor { floor } else { floor.max(settings.factor * self.usual(settings, now)) };
            self.sum = (self.sum - drift * elapsed as f64 / 1_000.0).max(0.0);
            self.at_ms = now_ms;
        }
        let is_over = self.sum <= 0.0;
        if is_over {
            self.onset = (now_ms / 1_000) as u32;
        }
        is_over
    }

    /// Counts a new viewer; true where that is too many.
    pub(super) fn count(&mut self, settings: &Settings) -> bool {
        self.sum = (self.sum + 1.0)
            .min((floor(settings) * settings.baseline.as_secs_f64()).max(f64::from(settings.burst) + 1.0));
        self.sum > f64::from(settings.burst)
    }

    /// Takes a new viewer back.
    pub(super) fn uncount(&mut self) {
        self.sum = (self.sum - 1.0).max(0.0);
    }

    /// A viewer was admitted without suspicion.
    pub(super) fn learn(&mut self, settings: &Settings, now: u32) {
        let fade = faded(f64::from(now.saturating_sub(self.learned_at)), settings.baseline.as_secs_f64());
        self.learned = self.learned * fade + 1.0;
        self.learned_at = self.learned_at.max(now);
    }

    /// Whether the room learns from a viewer while it is alarmed, since `since`, when it usually had `usual_then` a second: up to that,
    /// or to [`LEARNED_IN_ALARM`], and all of what has lasted.
    pub(super) fn learns_in_alarm(&self, settings: &Settings, since: u32, usual_then: f64, now: u32) -> bool {
        let lasts = f64::from(now.saturating_sub(since)) >= settings.baseline.as_secs_f64();
        lasts || self.usual(settings, now) < usual_then.max(LEARNED_IN_ALARM * floor(settings))
    }

    /// Forgets the excess.
    pub(super) fn pardon(&mut self) {
        self.sum = 0.0;
    }

    /// The sum.
    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// Since when there is an excess.
    pub(super) fn onset(&self) -> u32 {
        self.onset
    }

    /// When it was first seen, when it learned last, and what.
    pub(super) fn baseline(&self) -> ([u32; 2], f64) {
        ([self.born, self.learned_at], self.learned)
    }

    /// As it was before a restart.
    pub(super) fn recalled(now_ms: u64, [born, learned_at]: [u32; 2], learned: f64) -> Self {
        Self { born, learned, learned_at, ..Self::new(now_ms, now_ms) }
    }

    /// What it is worth to remember it: how much was learned.
    pub(super) fn worth(&self) -> u64 {
        whole_of((self.learned - 1.0) * 16.0).into()
    }
}

fn floor(settings: &Settings) -> f64 {
    f64::from(settings.floor.count()) / settings.floor.per().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000_000;

    #[test]
    fn a_burst_alarms_and_a_trickle_does_not() {
        let settings = Settings::default();
        let mut gate = Gate::new(START, 0);
        for n in 0..11 {
            gate.drain(&settings, START + n * 100);
            assert_eq!(gate.count(&settings), n == 10, "{n}: {}", gate.sum());
        }
        let mut gate = Gate::new(START, 0);
        for n in 0..1_000 {
            gate.drain(&settings, START + n * 20_001);
            assert!(!gate.count(&settings), "3 a minute are never too many");
        }
    }

    #[test]
    fn a_room_is_held_against_its_own_baseline() {
        let settings = Settings::default();
        let mut gate = Gate::new(START, 0);
        // Half an hour at one a second, all without suspicion: the same rate and a quarter as much again never alarm.
        for n in 0..7_200u64 {
            let now = START + n * 1_000;
            gate.drain(&settings, now);
            let _ = gate.count(&settings);
            gate.learn(&settings, (now / 1_000) as u32);
        }
        let mut now = START + 7_200_000;
        assert!(gate.drain(&settings, now + 60_000));
        now += 60_000;
        for n in 0..900 {
            gate.drain(&settings, now + n * 800);
            assert!(!gate.count(&settings), "{n}");
            gate.learn(&settings, ((now + n * 800) / 1_000) as u32);
        }
    }

    #[test]
    fn an_alarm_does_not_outlast_its_cause_by_more_than_a_baseline() {
        let settings = Settings::default();
        let mut gate = Gate::new(START, 0);
        for _ in 0..10_000 {
            gate.count(&settings);
        }
        assert!(!gate.drain(&settings, START + 1_799_000));
        assert!(gate.drain(&settings, START + 1_801_000));
    }
}
