//! H7, the pool chain: newcomers who made the same moves between rooms.
//!
//! **What it measures.** Of the room's newcomers, how many came from the same alarmed room before, and how many from the same two
//! in the same order.
//!
//! **Formula.** The same move by 8 newcomers and 15 % of all is 1.5 bits; the same two moves by 6 and 15 % are 4 bits.
//!
//! **Why.** A rented pool serves one customer after the other, with the same addresses.
//!
//! **Known false positives.** A raid is the same move, once, by people: therefore it is worth little, and no second kind of
//! evidence. A loyal audience that follows a streamer through two alarmed rooms looks exactly like a pool; it is known
//! viewers for the most part, and needs evidence of another kind to be denied. Moves are an address's: of one that five viewers
//! and more have had none is counted, for who sits behind it made none of its neighbours' moves.
//!
//! **An example.** `83 newcomers made the same move between rooms (+1.5)`.
//!
//! **Settings.** `[viewbot.evidence] pool-chain`, two caps.

use super::cohort::Alarm;
use super::evidence::{Finding, Kind};
use super::lockstep::COMPANIONS_MIN;
use super::people::Met;
use super::rooms::Booked;

/// Fewer are acquaintances.
const ONCE_MIN: f64 = 8.0;
const TWICE_MIN: f64 = 6.0;

/// And at least this share of the newcomers.
const SHARE: f64 = 0.15;

/// Companions weigh what the same two moves do ([`lockstep`](super::lockstep)).
pub(super) fn in_lockstep(met: &Met, booked: &Booked, caps: [f64; 2]) -> Option<Finding> {
    (met.marches || booked.companions >= COMPANIONS_MIN)
        .then(|| Finding::new(Kind::PoolChain, caps[1], booked.companions.max(COMPANIONS_MIN).into(), 0.0))
}

pub(super) fn finding(alarm: &Alarm, chain: [u32; 2], caps: [f64; 2]) -> Option<Finding> {
    let [before, last] = chain;
    if last == 0 {
        return None;
    }
    let share = SHARE * (alarm.known + alarm.strangers);
    let twice = alarm.twice.get(&(before, last)).copied().unwrap_or(0.0);
    if before != 0 && twice >= share.max(TWICE_MIN) {
        return Some(Finding::new(Kind::PoolChain, caps[1], twice, 0.0));
    }
    let once = alarm.once.get(&last).copied().unwrap_or(0.0);
    (once >= share.max(ONCE_MIN)).then(|| Finding::new(Kind::PoolChain, caps[0], once, 0.0))
}
