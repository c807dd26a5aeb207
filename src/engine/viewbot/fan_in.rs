//! H5, key fan-in: one key at many addresses of one room.
//!
//! **What it measures.** How many different addresses used the viewer's key for this room, `n`. Of a paid key all addresses of one
//! subnet are one.
//!
//! **Formula.** bits = `log2(n / 2)`, from five addresses on: whoever owns a key connects from one address, perhaps two.
//!
//! **Why.** A stolen or bought key is shared by a farm, and one room sees it from everywhere at once.
//!
//! **Known false positives.** An app that has one key in every copy: a key that strangers used in eight calm rooms from eight
//! subnets is an app's; it is part of the profile then, and no evidence. Until then, where nearly all who came with the program
//! have the key, and those who have the program have paid keys elsewhere, too, it is no second kind beside the program
//! (`free_key::is_the_program`): they wait. A thief of such a customer's key who has the customer's
//! own program waits, too, and is not denied. A customer's fleet of rented machines: it stands side by
//! side in a subnet or two, and a key that is passed round does not. The addresses of one mobile subnet, where the table of
//! networks says that it is one, are one: a telephone has many.
//!
//! **An example.** `this key at 64 addresses, 2.0 expected (+4.0)`.
//!
//! **Settings.** `[viewbot.evidence] key-fan-in`, the cap.

use super::arith::log2;
use super::cohort::Alarm;
use super::evidence::{Finding, Kind};
use super::ordinary::Ordinary;
use super::sighting::Sighting;

/// Fewer addresses are a person with a phone, a desktop and a server.
const ADDRESSES_MIN: f64 = 5.0;

/// So many addresses one owner connects to one room from.
const OF_ONE_OWNER: f64 = 2.0;

/// Whether a key is where one owner has it, for all that this room saw.
pub(super) fn is_one_owners(alarm: &Alarm, sighting: &Sighting) -> bool {
    sighting.key.and_then(|key| alarm.keys.get(&key)).is_none_or(|cohort| cohort.addresses < ADDRESSES_MIN)
}

/// Whether fewer came with a key than are an excess at all.
pub(super) fn is_few(alarm: &Alarm, sighting: &Sighting, min_excess: f64) -> bool {
    sighting.key.and_then(|key| alarm.keys.get(&key)).is_none_or(|cohort| cohort.strangers < min_excess)
}

pub(super) fn finding(alarm: &Alarm, ordinary: &Ordinary, sighting: &Sighting, cap: f64) -> Option<Finding> {
    let key = sighting.key?;
    let seen = alarm.keys.get(&key).map_or(0.0, |cohort| cohort.addresses);
    if seen < ADDRESSES_MIN || ordinary.is_app(key) {
        return None;
    }
    Some(Finding::new(Kind::KeyFanIn, log2(seen / OF_ONE_OWNER).min(cap), seen, OF_ONE_OWNER))
}
