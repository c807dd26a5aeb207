//! Repeats: one client that asks for the same room again and again.
//!
//! **What it measures.** How often a viewer asked for the room in five minutes.
//!
//! **Formula.** From the 13th time on it is throttled; so many for each tool where several share a key, up to four. Its repeats are
//! no new viewers, and it is never convicted for them. Only where four and more addresses that came with the excess ask
//! eight times and more is it no broken client but a farm that saves on identities: then each repeat beyond the third
//! counts in the gate and is throttled, and those beyond the twelfth count as new viewers. Whoever was admitted before the
//! excess is never part of that.
//!
//! **Why.** A broken retry loop is a fault, not a crowd: counting it would raise an alarm over one creator's overlay. Four of
//! them that began together are no four faults; and a farm that runs everybody's program shows by nothing else.
//!
//! **Known false positives.** A reconnect storm after an outage stays below: what got no good answer does not count. A stream
//! whose connection breaks every half minute, for those who came while it grew: they wait.
//!
//! **An example.** `one client repeats itself, 14 times in 5 minutes`.

use std::time::Duration;

use super::sighting::Address;

/// In this time.
pub(super) const WINDOW_SECS: u32 = 300;

/// Up to here it is a client that reconnects, or polls twice a minute; beyond it one client is throttled.
pub(super) const LOOP: u8 = 12;

/// Whoever repeats itself is told to ask as often as it may.
pub(super) const LOOP_WAIT: Duration = Duration::from_secs(WINDOW_SECS as u64 / LOOP as u64);

/// Up to here, a request every 50 seconds, nobody is noted as one who repeats himself.
pub(super) const INSISTS: u8 = 6;

/// Where many repeat themselves, so many requests are a reconnect or two; beyond it one waits.
pub(super) const AGAIN: u8 = 3;

/// A creator runs so many tools at a time under one key; each reconnects for itself.
pub(super) const TOOLS_MAX: u8 = 4;

/// So many addresses that repeat themselves are no broken client.
const ADDRESSES: usize = 4;

/// So many are held: with no more than those four, many that take turns would push each other out.
const HELD: usize = 2 * ADDRESSES;

/// The addresses of a room that repeat themselves, since its excess began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Repeaters([Option<(Address, u8)>; HELD]);

impl Repeaters {
    /// Notes a repeat; true where so many addresses repeat themselves that repeats count.
    pub(super) fn note(&mut self, address: Address) -> bool {
        let place = self.0.iter().position(|held| held.is_some_and(|(other, _)| other == address));
        match place.or_else(|| self.0.iter().position(Option::is_none)) {
            Some(place) => {
                let times = self.0[place].map_or(0, |(_, times)| times);
                self.0[place] = Some((address, times.saturating_add(1)));
            }
            // A single repeat makes room: what counts is who keeps at it.
            None => {
                if let Some(once) = self.0.iter_mut().find(|held| held.is_some_and(|(_, times)| times < 2)) {
                    *once = Some((address, 1));
                }
            }
        }
        self.is_farm()
    }

    /// Whether so many addresses repeat themselves that it is no fault of one client.
    pub(super) fn is_farm(&self) -> bool {
        self.0.iter().flatten().filter(|(_, times)| *times >= 2).count() >= ADDRESSES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Prefix;

    #[test]
    fn one_loop_is_a_fault_and_four_are_a_farm() {
        let address = |n: u8| Address::of(Prefix::proxy([192, 0, 2, n].into()));
        let mut repeaters = Repeaters::default();
        for _ in 0..100 {
            assert!(!repeaters.note(address(1)));
        }
        for n in 2..4 {
            assert!(!repeaters.note(address(n)) && !repeaters.note(address(n)));
        }
        assert!(!repeaters.note(address(4)));
        assert!(repeaters.note(address(4)));
        // Many that take turns, too.
        let mut repeaters = Repeaters::default();
        assert!((0..40).any(|n| repeaters.note(address(n % 20))));
    }
}
