//! The credit of known viewers.
//!
//! **What it measures.** Whether the viewer signed for another room at least `known-age` ago, and got a good answer there while that
//! room was not under suspicion; or whether at least its address was seen before this room's excess began.
//!
//! **Formula.** -2 bits, and -0.5 for the address alone. None for those who came with a [pool](super::chain) or repeat
//! themselves.
//!
//! While the gateway has learned for less than twice `known-age`, half of that time is enough, and 15 minutes at least, as long as
//! it is cold: nobody can have been seen for longer than it looks. What it remembers across a restart counts.
//!
//! **Why.** Most of a real crowd was here before. It is a credit and no pardon: known can be earned by patience, and cheaply.
//! Who comes to one popular stream after the other looks, until known, like a service that sends its viewers there: in the
//! first six hours of a gateway that is most of the programs that follow streams.
//!
//! **Settings.** `[viewbot] known-age`, `[viewbot.evidence] known-viewer`.

use super::evidence::{Finding, Kind};

/// What an address is credited that was seen before the excess began, by this many seconds at least.
const ADDRESS_BITS: f64 = -0.5;
pub(super) const ADDRESS_SECS: u32 = 60;

pub(super) fn finding(
    is_known: bool,
    moves: bool,
    address_first: u32,
    onset: u32,
    bits: f64,
) -> Option<Finding> {
    if moves {
        None
    } else if is_known {
        Some(Finding::new(Kind::Known, bits, 1.0, 0.0))
    } else if address_first.saturating_add(ADDRESS_SECS) < onset {
        Some(Finding::new(Kind::Known, ADDRESS_BITS.max(bits), 0.0, 0.0))
    } else {
        None
    }
}
