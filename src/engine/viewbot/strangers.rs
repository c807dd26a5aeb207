//! H8, a crowd of strangers: a room whose newcomers nobody has seen elsewhere.
//!
//! **What it measures.** Which share of the room's newcomers is known, against what is usual these minutes in calm rooms.
//!
//! **Formula.** `known + 2 sqrt(known + 1) < fraction-of-usual * expected`, from 20 newcomers on; `expected` sums up, newcomer by
//! newcomer, which share was known in calm rooms when it came (a gateway that has just begun to know people does not
//! hold those against a room who came before). The room has clearly fewer known viewers than a third of what a crowd of
//! its size brings. As many as [`profile`](super::profile) finds too many are left out, where they are the fewer: what speaks against them
//! stops them, and the rest of the crowd is no stranger for their coming.
//!
//! **Why.** In a flash crowd most have been seen before, in an attack most are new (Jung, Krishnamurthy, Rabinovich, WWW 2002).
//! It notices the attack that copies everything else.
//!
//! **Known false positives.** The launch of a new app, a television game, people from a country that never came before: crowds of
//! strangers, and real. Therefore it never convicts, and is no second kind of evidence either: strangers of that room get in
//! on a budget.
//!
//! **An example.** `2 of 310 newcomers are known, fewer than is usual`.
//!
//! **Settings.** `[viewbot.strangers] fraction-of-usual, budget, burst`.

use std::time::Duration;

use crate::policy::viewbot::Strangers as Settings;

use super::cohort::Alarm;
use super::evidence::{Finding, Kind};

/// Of fewer newcomers nothing can be said.
const NEWCOMERS_MIN: f64 = 20.0;

/// Where hardly anybody is known anyway, that nobody is says nothing.
const USUAL_MIN: f64 = 0.04;

/// Of a room that has more than this of its newcomers held against it there is no crowd to be spared: whoever sent those may
/// have sent the rest.
const HELD_MAX: f64 = 0.5;

pub(super) fn finding(alarm: &Alarm, settings: &Settings) -> Option<Finding> {
    let held = if alarm.crowd.excess <= HELD_MAX * alarm.told { alarm.crowd.excess } else { 0.0 };
    let (known, all) = (alarm.told_known, alarm.told - held);
    let expected = alarm.expected_known * all / alarm.told.max(1.0);
    let few = known + 2.0 * (known + 1.0).sqrt() < settings.fraction_of_usual * expected;
    (expected >= USUAL_MIN * all && all >= NEWCOMERS_MIN && few)
        .then(|| Finding::new(Kind::Strangers, 0.0, known, expected))
}

/// Takes one of the room's budget for strangers; how long to wait where there is none.
pub(super) fn take(alarm: &mut Alarm, settings: &Settings, now_ms: u64) -> Result<(), Duration> {
    let interval_ms = settings.budget.interval().as_secs_f64() * 1_000.0;
    let most = f64::from(settings.burst);
    // Who came before the alarm came out of it as well.
    let (left, at) = alarm.budget.unwrap_or(((most - alarm.strangers).max(0.0), now_ms));
    let left = (left + now_ms.saturating_sub(at) as f64 / interval_ms).min(most);
    if left < 1.0 {
        alarm.budget = Some((left, now_ms));
        return Err(Duration::from_secs_f64((1.0 - left) * interval_ms / 1_000.0));
    }
    alarm.budget = Some((left - 1.0, now_ms));
    Ok(())
}
