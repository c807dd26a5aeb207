//! Lockstep, the other half of H7: strangers who meet again and again.
//!
//! **What it measures.** How many of the room's newcomers of the last three minutes were, each, in three other rooms within two
//! minutes of this viewer, in the last half hour: its companions.
//!
//! **Formula.** Three companions from three other subnets and more weigh what the same two moves do ([`chain`](super::chain)),
//! whose slot it shares. Whoever met companions in two rooms is taken for one of them for half an hour, and earns no
//! credit of being known in that time.
//!
//! **Why.** A panel of a dozen viewers in each of forty rooms is nothing in any of them. But it is always the same dozen, and
//! chance does not bring the same four strangers into four rooms, each time within two minutes (SynchroTrap, CCS 2014;
//! CopyCatch, WWW 2013: lockstep in time and target). The order of the rooms is of no matter, and orders may overlap: the
//! [chain](super::chain) sees only pools that move as one. It is the one heuristic that speaks in rooms that are not alarmed;
//! there it throttles, and convicts nobody.
//!
//! **Known false positives.** Programs that react to the same event, as the start of a stream, and follow the same streamers.
//! Therefore known viewers and paid keys are never looked at, nor addresses that five viewers and more share, where one
//! visits rooms for the other. A raid train whose stops are minutes apart, of people who have no key and were never seen
//! before: four stops of it are needed, three with the same others.
//!
//! **An example.** `11 newcomers made the same move between rooms (+4.0)`.
//!
//! **Settings.** `[viewbot.evidence] pool-chain`, its second cap: where it is below `[viewbot.ladder] throttle-bits`, this is off.

use super::arith::mix;
use super::sighting::Address;

/// So many rooms of an address are remembered.
const KEPT: usize = 6;

/// Times are kept in steps of this many seconds.
const STEP_SECS: u32 = 30;
const STEP_BITS: u32 = 12;
const STEPS: u32 = (1 << STEP_BITS) - 1;

/// Two who came to a room within so many steps met there.
const MET_STEPS: u32 = 4;

/// What is longer ago, in steps, is no meeting: half an hour.
const RECENT_STEPS: u32 = 60;

/// A companion was met in so many other rooms.
pub(super) const MEETINGS_MIN: usize = 3;

/// So many companions are no chance.
pub(super) const COMPANIONS_MIN: u8 = 3;

/// In how many rooms somebody has to be met by companions to be taken for one of them elsewhere.
pub(super) const ROOMS_MIN: u8 = 2;

/// For how long.
pub(super) const FLAGGED_SECS: u32 = 1_800;

/// Among so many newcomers companions are looked for, the latest first,
pub(super) const LOOKED_AT: usize = 24;

/// who came in this time.
pub(super) const LOOKS_BACK_SECS: u32 = 180;

/// The last rooms somebody came to, each with when: packed, for every newcomer carries them. 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Meetings([u32; KEPT]);

impl Meetings {
    /// A room in what is left of 32 bits, never 0.
    fn short(room: u32) -> u32 {
        (room >> STEP_BITS).max(1)
    }

    const fn step(now: u32) -> u32 {
        (now / STEP_SECS) & STEPS
    }

    const fn room(meeting: u32) -> u32 {
        meeting >> STEP_BITS
    }

    const fn steps_between(one: u32, other: u32) -> u32 {
        let apart = (one & STEPS).wrapping_sub(other & STEPS) & STEPS;
        if apart > STEPS / 2 { STEPS + 1 - apart } else { apart }
    }

    /// Notes that a room was come to, the first time counts.
    pub(super) fn note(&mut self, room: u32, now: u32) {
        let meeting = (Self::short(room) << STEP_BITS) | Self::step(now);
        if !self.0.iter().any(|held| *held != 0 && Self::room(*held) == Self::room(meeting)) {
            self.0.copy_within(1.., 0);
            self.0[KEPT - 1] = meeting;
        }
    }

    /// Those of the last half hour in other rooms than this.
    pub(super) fn recent(&self, room: u32, now: u32) -> Self {
        let here = Self::short(room);
        let mut recent = Self::default();
        for meeting in self.0 {
            let is_recent = Self::steps_between(meeting, Self::step(now)) <= RECENT_STEPS;
            if meeting != 0 && Self::room(meeting) != here && is_recent {
                recent.0.copy_within(1.., 0);
                recent.0[KEPT - 1] = meeting;
            }
        }
        recent
    }

    /// The last of them in another room than this, however long ago.
    pub(super) fn latest(&self, room: u32) -> Self {
        let here = Self::short(room);
        let mut latest = Self::default();
        let elsewhere = |meeting: &&u32| **meeting != 0 && Self::room(**meeting) != here;
        latest.0[KEPT - 1] = self.0.iter().rev().find(elsewhere).copied().unwrap_or(0);
        latest
    }

    /// The room of the last of them, in a few bits.
    pub(super) fn last_room(&self) -> Option<u32> {
        let last = self.0[KEPT - 1];
        (last != 0).then_some(Self::room(last))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().filter(|meeting| **meeting != 0).count()
    }

    /// In how many rooms the two met.
    pub(super) fn shared(&self, other: &Self) -> usize {
        let met = |one: u32| {
            one != 0
                && other.0.iter().any(|two| {
                    *two != 0
                        && Self::room(*two) == Self::room(one)
                        && Self::steps_between(one, *two) <= MET_STEPS
                })
        };
        self.0.iter().filter(|meeting| met(**meeting)).count()
    }
}

/// What the latest newcomers of a room left, as far as it takes to say that none of them has the address of another or can be
/// its companion: a bit for each address, and of whoever has been in [`MEETINGS_MIN`] rooms one for each of those. Looking at
/// the newcomers themselves is waiting for memory two dozen times. Of two generations the older is dropped when the younger
/// has seen so many as are [looked at](LOOKED_AT).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traces {
    rooms: [u64; 2],
    /// Fewer bits, for every room has them: what they say is that most rooms have few newcomers, and those are others.
    addresses: [u32; 2],
    newcomers: u8,
}

impl Traces {
    /// A bit for each room.
    fn bits(meetings: &Meetings) -> impl Iterator<Item = u64> {
        let met = meetings.0.iter().filter(|meeting| **meeting != 0);
        met.map(|meeting| 1 << (Meetings::room(*meeting) % 64))
    }

    /// One bit of 32.
    fn bit(address: Address) -> u32 {
        1 << (mix(address.number(), 0) % 32)
    }

    /// Another newcomer.
    pub(super) fn note(&mut self, address: Address, meetings: &Meetings) {
        if usize::from(self.newcomers) >= LOOKED_AT {
            *self = Self { rooms: [self.rooms[1], 0], addresses: [self.addresses[1], 0], newcomers: 0 };
        }
        self.newcomers += 1;
        self.addresses[1] |= Self::bit(address);
        if meetings.len() >= MEETINGS_MIN {
            self.rooms[1] |= Self::bits(meetings).fold(0, |all, bit| all | bit);
        }
    }

    /// Whether one of them may have that address.
    pub(super) fn may_hold(&self, address: Address) -> bool {
        (self.addresses[0] | self.addresses[1]) & Self::bit(address) != 0
    }

    /// Whether one of them may have met somebody in so many rooms as a companion did.
    pub(super) fn may_hold_companions(&self, meetings: &Meetings) -> bool {
        let all = self.rooms[0] | self.rooms[1];
        Self::bits(meetings).filter(|bit| all & bit != 0).count() >= MEETINGS_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Prefix;

    const ROOM: u32 = 1 << STEP_BITS;

    #[test]
    fn who_came_to_the_same_rooms_at_the_same_time_met_there() {
        let (mut one, mut other, mut late) = (Meetings::default(), Meetings::default(), Meetings::default());
        for n in 1..=8 {
            one.note(n * ROOM, 1_800_000_000 + n * 60);
            // In another order, and within a minute.
            other.note((9 - n) * ROOM, 1_800_000_000 + (9 - n) * 60 + 40);
            late.note(n * ROOM, 1_800_000_600 + n * 60);
        }
        assert_eq!(one.len(), KEPT);
        // Rooms 3 to 8 here, 6 to 1 there.
        assert_eq!((one.shared(&other), other.shared(&one)), (4, 4));
        assert_eq!(one.shared(&late), 0);
        // Coming again is no other time.
        one.note(8 * ROOM, 1_800_009_000);
        assert_eq!(one.len(), KEPT);
        // The room that is come to now is no meeting, nor what is long ago.
        assert_eq!(one.recent(8 * ROOM, 1_800_000_600).len(), KEPT - 1);
        assert_eq!(one.recent(8 * ROOM, 1_800_003_000).len(), 0);
        assert_eq!(Meetings::default().shared(&Meetings::default()), 0);
    }

    #[test]
    fn whoever_may_be_a_companion_is_looked_for_among_the_last_newcomers() {
        let address = |n: u32| Address::of(Prefix::proxy(std::net::Ipv4Addr::from_bits(n).into()));
        let visited = |rooms: std::ops::Range<u32>| {
            let mut meetings = Meetings::default();
            rooms.for_each(|room| meetings.note(room * ROOM, 1_800_000_000));
            meetings
        };
        let mut traces = Traces::default();
        let one = visited(1..5);
        assert!(!traces.may_hold_companions(&one));
        traces.note(address(0), &one);
        assert!(traces.may_hold_companions(&visited(2..8)) && !traces.may_hold_companions(&visited(3..9)));
        // Not forgotten among so many as are looked at, and not kept for ever.
        for _ in 1..LOOKED_AT {
            traces.note(address(0), &visited(20..22));
            assert!(traces.may_hold_companions(&one));
        }
        for _ in 0..2 * LOOKED_AT {
            traces.note(address(0), &visited(20..22));
        }
        assert!(!traces.may_hold_companions(&one) && !traces.may_hold_companions(&visited(20..24)));
    }

    #[test]
    fn an_address_is_looked_for_among_the_last_newcomers() {
        let address = |n: u32| Address::of(Prefix::proxy(std::net::Ipv4Addr::from_bits(n).into()));
        let mut traces = Traces::default();
        assert!((0..32).all(|n| !traces.may_hold(address(n))));
        for n in 0..1_000 {
            traces.note(address(n), &Meetings::default());
            let latest = (n + 1).saturating_sub(LOOKED_AT as u32)..=n;
            assert!(latest.clone().all(|n| traces.may_hold(address(n))), "one of {latest:?} is forgotten");
        }
        // Of a room's first few newcomers nearly no stranger is mistaken for one.
        let mut traces = Traces::default();
        (0..3).for_each(|n| traces.note(address(n), &Meetings::default()));
        let strangers = (1_000..2_000).filter(|n| traces.may_hold(address(*n))).count();
        assert!(strangers < 150, "{strangers} of 1,000");
    }

    #[test]
    fn a_day_later_is_another_time() {
        assert_eq!(Meetings::steps_between(1, STEPS), 2);
        assert_eq!(Meetings::steps_between(STEPS, 1), 2);
    }
}
