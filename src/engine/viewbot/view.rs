//! What an operator sees: alarmed rooms with their evidence, as plain data.

use super::sighting::{Address, Subnet};
use super::{COLD_STRANGERS, COLD_TIME, Viewbot, locked};
use crate::base::room::Room;
use crate::base::time::Timestamp;
use crate::policy::viewbot::ViewbotSettings;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// So many cohorts, addresses and subnets of a room are shown.
const SHOWN_MAX: usize = 20;

/// An alarmed room.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmedRoom {
    /// The room.
    pub room: Room,
    /// Since when it is alarmed.
    pub since: Timestamp,
    /// The gate's sum.
    pub sum: f64,
    /// New viewers a minute that are usual for it.
    pub usual_per_minute: f64,
    /// The greatest sum of each of the last minutes, with its time.
    pub curve: Vec<(Timestamp, f64)>,
    /// Newcomers that are known, and that are not; halved every ten minutes.
    pub known: f64,
    /// Not known.
    pub strangers: f64,
    /// How many strangers an ordinary crowd would have.
    pub crowd: f64,
    /// How many there are too many.
    pub excess: f64,
    /// Requests throttled and denied by their evidence, not counting those that a ban stopped.
    pub throttled: u32,
    /// Denied.
    pub denied: u32,
    /// The greatest cohorts: user agent, class and device, strangers.
    pub cohorts: Vec<(String, f64)>,
    /// The addresses with the most viewers.
    pub addresses: Vec<(Address, f64)>,
    /// The subnets with the most addresses.
    pub subnets: Vec<(Subnet, f64)>,
}

/// All alarmed rooms together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AlarmTotals {
    /// How many there are.
    pub rooms: usize,
    /// Strangers beyond an ordinary crowd, over all.
    pub excess: f64,
    /// Of the room that has most.
    pub excess_most: f64,
}

/// What has been learned, and whether it is enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warmth {
    /// Strangers in calm rooms that were learned from.
    pub strangers: f64,
    /// How many it takes.
    pub strangers_needed: u32,
    /// For how long it has been learning.
    pub learning_for: Duration,
    /// How long it takes.
    pub time_needed: Duration,
    /// While it is cold, nobody is convicted.
    pub is_cold: bool,
}

impl Viewbot {
    /// The alarmed rooms, those with the greatest excess first.
    pub fn alarmed_rooms(&self, settings: &ViewbotSettings, now: Timestamp) -> Vec<AlarmedRoom> {
        let mut found = Vec::new();
        for shard in &self.rooms {
            let mut shard = locked(shard);
            shard.alarms(settings, now.as_millis(), |gate, alarm| {
                let time = |secs: u32| Timestamp::from_secs(secs.into());
                let sorts = [
                    "no key",
                    "no key, device",
                    "free key",
                    "free key, device",
                    "paid key",
                    "paid key, device",
                ];
                let cohorts = alarm.profiles.iter().map(|(profile, cohort)| {
                    let agent = cohort.label.as_ref();
                    let agent = agent.map_or_else(|| "?".to_owned(), |label| label.as_str().to_owned());
                    (
                        format!("{agent} ({})", sorts[usize::from(profile.sort) % sorts.len()]),
                        cohort.strangers,
                    )
                });
                found.push(AlarmedRoom {
                    room: alarm.room,
                    since: time(alarm.since),
                    sum: gate.sum(),
                    usual_per_minute: gate.usual(&settings.gate, now.as_secs() as u32) * 60.0,
                    curve: alarm.curve.iter().map(|(at, sum)| (time(*at), f64::from(*sum))).collect(),
                    known: alarm.known,
                    strangers: alarm.strangers,
                    crowd: alarm.crowd.size,
                    excess: alarm.crowd.excess,
                    throttled: alarm.throttled,
                    denied: alarm.denied,
                    cohorts: most(cohorts),
                    addresses: most(alarm.addresses.iter().map(|(address, count)| (*address, *count))),
                    subnets: most(alarm.subnets.iter().map(|(subnet, count)| (*subnet, *count))),
                });
            });
        }
        found.sort_by(|one, other| other.excess.total_cmp(&one.excess).then(one.room.cmp(&other.room)));
        found
    }

    /// The alarmed rooms in three numbers.
    pub fn alarm_totals(&self, settings: &ViewbotSettings, now: Timestamp) -> AlarmTotals {
        let mut totals = AlarmTotals::default();
        for shard in &self.rooms {
            let mut shard = locked(shard);
            shard.alarms(settings, now.as_millis(), |_, alarm| {
                totals.rooms += 1;
                totals.excess += alarm.crowd.excess.max(0.0);
                totals.excess_most = totals.excess_most.max(alarm.crowd.excess);
            });
        }
        totals
    }

    /// Whether enough ordinary traffic has been seen.
    pub fn warmth(&self, now: Timestamp) -> Warmth {
        let started = self.started.load(Ordering::Relaxed);
        let learning_for =
            if started == 0 { Duration::ZERO } else { now.since(Timestamp::from_millis(started)) };
        Warmth {
            strangers: f64::from_bits(self.taught.load(Ordering::Relaxed)),
            strangers_needed: COLD_STRANGERS,
            learning_for,
            time_needed: COLD_TIME,
            is_cold: self.is_cold(now),
        }
    }

    /// How many rooms are remembered.
    pub fn room_count(&self) -> usize {
        self.rooms.iter().map(|shard| locked(shard).len()).sum()
    }
}

fn most<K: Ord>(counts: impl Iterator<Item = (K, f64)>) -> Vec<(K, f64)> {
    let mut counts: Vec<(K, f64)> = counts.collect();
    counts.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    counts.truncate(SHOWN_MAX);
    counts
}
