//! H10, carried evidence: what stayed under the threshold in other rooms.
//!
//! **What it measures.** The bits of profile and network that were found against this profile at this address in other alarmed
//! rooms, summed; at most 1.5 from each, eight rooms at most, half of it forgotten in 30 minutes. At an address that many
//! share, only what was found against this viewer: whoever has a name there, a key or a session, carries for itself, and
//! whoever has none carries nothing.
//!
//! **Formula.** bits = the sum, up to the cap. Known viewers carry nothing. A denial needs two kinds, and what is carried is of the
//! kinds that it was found as, with one bit and more, in two rooms and more: what the network told in them and tells in the
//! next is one kind, and so is a program.
//!
//! **Why.** A service that sells a few viewers to each of many rooms stays below what one room shows. Its proxies do not: they
//! turn up in one odd crowd after another.
//!
//! **Known false positives.** Somebody who visits several rooms that are under attack at the same time with the attackers' own
//! tool. One such room is not enough. Programs on rented machines that follow popular streams meet at the start of one after the
//! other, and carry their network from each: they wait. So do the bots of a service that have one program, nothing else in common, and
//! addresses of people: in many rooms as in one, a program alone denies nobody.
//!
//! **An example.** `evidence from 3 other rooms (+3.0)`.
//!
//! **Settings.** `[viewbot.evidence] carried`, the cap.

use super::evidence::{Finding, Kind};
use super::people::Surroundings;

pub(super) fn finding(around: &Surroundings, is_known: bool, cap: f64) -> Option<Finding> {
    let bits = around.carried.min(cap);
    (bits > 0.0 && !is_known).then(|| Finding::new(Kind::Carried, bits, around.carrying_rooms.into(), 0.0))
}
