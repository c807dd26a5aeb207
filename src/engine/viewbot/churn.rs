//! H4, identity churn: one address that is many viewers.
//!
//! **What it measures.** How many viewers of the room the viewer's own address is, `m`. A client that repeats itself is one.
//!
//! **Formula.** bits = `log2(m / max(4, 2 * B * p_subnet))`: against twice what an ordinary crowd of this size brings from the whole
//! subnet, and never fewer than four, for a household and an office are no farm.
//!
//! **Why.** Identities are free, addresses cost money. Whoever saves on addresses shows it here.
//!
//! **Known false positives.** Carriers' gateways and shared hosting platforms, with hundreds of people behind one address: their
//! subnets have large shares in calm rooms, and an attack through them is left to the profile. A creator with several tools
//! stays below four.
//!
//! **An example.** `31 viewers from this address (+2.9)`.
//!
//! **Settings.** `[viewbot.evidence] identity-churn`, the cap.

use super::arith::log2;
use super::cohort::Alarm;
use super::evidence::{Finding, Kind};
use super::network::subnet_share;
use super::ordinary::Ordinary;
use super::people::Surroundings;
use super::sighting::Sighting;

/// A household with several tools is at most so many viewers.
pub(super) const HOUSEHOLD: f64 = 4.0;

pub(super) fn finding(
    alarm: &Alarm,
    ordinary: &Ordinary,
    sighting: &Sighting,
    around: &Surroundings,
    cap: f64,
) -> Option<Finding> {
    let seen = alarm.addresses.get(&sighting.viewer.address).copied().unwrap_or(0.0);
    let expected = (2.0 * alarm.crowd.size * subnet_share(around, ordinary)).max(HOUSEHOLD);
    (seen > expected)
        .then(|| Finding::new(Kind::IdentityChurn, log2(seen / expected).min(cap), seen, expected))
}
