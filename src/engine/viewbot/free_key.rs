//! H6, shared free key: a key that cost nothing at several addresses of one room.
//!
//! **What it measures.** How many different addresses used the viewer's free key for this room, `n`.
//!
//! **Formula.** bits = `log2(n)`, from three addresses on.
//!
//! **Why.** Free keys are registered by the dozen and dealt out to bots, a few to each: too few for [`fan_in`](super::fan_in).
//! A person needs no second address to watch one room.
//!
//! **Known false positives.** A hobby app with one free key in every copy: silent once it was seen in eight calm rooms from eight
//! subnets; until then no second kind of evidence beside the program, so that whoever has it waits. A viewer on a phone that
//! changes networks: three addresses within ten minutes in one alarmed room are rare; those of one mobile subnet, where the
//! table of networks says that it is one, are one.
//!
//! **An example.** `one free key at 6 addresses (+2.6)`.
//!
//! **Settings.** `[viewbot.evidence] shared-free-key`, the cap.

use super::arith::log2;
use super::cohort::Alarm;
use super::evidence::{Finding, Kind};
use super::ordinary::Ordinary;
use super::sighting::Sighting;

/// A key is the program's where so many of all strangers who came with the program came with the key.
const OF_THE_PROGRAM: f64 = 0.75;

/// Whether nearly all who came with the program of a viewer came with its key: then both are one fact. Of a key that is paid for only
/// where in calm rooms, too, nearly all who have the program have a paid key, or nobody has it: else a stolen key would be that of
/// whatever program its thief has.
pub(super) fn is_the_program(alarm: &Alarm, ordinary: &Ordinary, sighting: &Sighting) -> bool {
    let with_key = sighting.key.and_then(|key| alarm.keys.get(&key)).map_or(0.0, |cohort| cohort.strangers);
    let comes_with_one = || {
        let (of_profile, of_program) = ordinary.counts(sighting.profile);
        of_profile >= OF_THE_PROGRAM * of_program
    };
    with_key >= OF_THE_PROGRAM * alarm.of_profile(sighting.profile) && (sighting.is_free || comes_with_one())
}

/// Two addresses are a phone that left the house.
const ADDRESSES_MIN: f64 = 3.0;

pub(super) fn finding(alarm: &Alarm, ordinary: &Ordinary, sighting: &Sighting, cap: f64) -> Option<Finding> {
    let key = sighting.key.filter(|_| sighting.is_free)?;
    let seen = alarm.keys.get(&key).map_or(0.0, |cohort| cohort.addresses);
    if seen < ADDRESSES_MIN || ordinary.is_app(key) {
        return None;
    }
    Some(Finding::new(Kind::SharedFreeKey, log2(seen).min(cap), seen, 0.0))
}
