//! H4, identity churn: one address that is many viewers, or many that are a few each.
//!
//! **What it measures.** How many viewers of the room the viewer's own address is, `m`. A client that repeats itself is one, and so
//! is whoever waited and asks again. And
//! of all addresses together: how many strangers, `c`, found another viewer of the room at theirs.
//!
//! **Formula.** bits = `log2(m / max(4, 2 * B * p_subnet))`: against twice what an ordinary crowd of this size brings from the whole
//! subnet, and never fewer than four, for a household and an office are no farm. Or bits = `log2((c - 4) / E)` where chance
//! cannot do it (as [`profile`](super::profile)), `E = B * q`, for each whose address has two viewers and more: `q` is the share
//! of strangers in calm rooms who find another viewer at their address. Four are left out, for the creator's own tools sit
//! at one address, and so are those at the viewer's own address: one alone is told by `m`. Addresses that five viewers and more
//! had before the room's excess are left out, too: carriers' and platforms'. The stronger of the two counts. `B` is as in
//! [`network`](super::network): with all who have the viewer's program, where that is in excess.
//!
//! **Why.** Identities are free, addresses cost money. Whoever saves on addresses shows it here; a dozen viewers behind each of
//! eighty homes are a family each, and no eighty families came to one room.
//!
//! **Known false positives.** Carriers' gateways and shared hosting platforms, with hundreds of people behind one address: their
//! subnets have large shares in calm rooms, and an attack through them is left to the profile. A campus, an office, a class that
//! watches together: at an address that many had before, at a telephone's, and where it is the only address that is many, it is
//! no second kind of evidence, and they wait. A creator with several tools stays below four. A stream that whole families watch,
//! each on devices of their own, if no other stream is like it: they wait, for it is one kind of evidence; and where those with
//! other programs share addresses as often, it is none beside the profile.
//!
//! **An example.** `31 viewers from this address (+2.9)`; `212 viewers share an address with others (+3.5)`.
//!
//! **Settings.** `[viewbot.evidence] identity-churn`, the cap.

use super::arith::log2;
use super::cohort::Alarm;
use super::evidence::{Finding, Kind};
use super::network::{Comers, subnet_share};
use super::ordinary::Ordinary;
use super::people::Surroundings;
use super::profile::lift;
use super::sighting::{Profile, Sighting};

/// A household with several tools is at most so many viewers.
pub(super) const HOUSEHOLD: f64 = 4.0;

/// Two viewers; a little has faded of the first.
const COMPANY: f64 = 1.5;

/// Whether sharing addresses is everybody's in the room: the others share them far more often than is usual, and those who came
/// with the profile no more often than the others, as far as chance lets tell.
pub(super) fn is_everybodys(alarm: &Alarm, profile: Profile, usual_company: f64) -> bool {
    alarm.company_of(profile).is_some_and(|[(strangers, in_company), (others, others_in_company)]| {
        lift(others_in_company - HOUSEHOLD, others * usual_company) > 0.0
            && lift(in_company, strangers * others_in_company / others) <= 0.0
    })
}

pub(super) fn finding(
    alarm: &Alarm,
    ordinary: &Ordinary,
    sighting: &Sighting,
    around: &Surroundings,
    usual_company: f64,
    (comers, cap): (&Comers, f64),
) -> Option<Finding> {
    let address = sighting.viewer.address;
    let seen = alarm.addresses.get(&address).copied().unwrap_or(0.0);
    let expected = (2.0 * comers.from(subnet_share(around, ordinary))).max(HOUSEHOLD);
    let alone = if seen > expected { log2(seen / expected) } else { 0.0 };
    let together = if seen >= COMPANY && !alarm.shared.contains_key(&address) {
        lift(alarm.in_company_elsewhere(address) - HOUSEHOLD, comers.count() * usual_company)
    } else {
        0.0
    };
    if together > alone {
        return Some(Finding::new(Kind::IdentityChurn, together.min(cap), alarm.in_company, 0.0));
    }
    (alone > 0.0).then(|| Finding::new(Kind::IdentityChurn, alone.min(cap), seen, expected))
}
