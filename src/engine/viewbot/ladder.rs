//! The ladder: how wide and how long, once a viewer is convicted.
//!
//! 1. The viewer in the room.
//! 2. New identities of its profile at its address, where at least `address-profile.min-bad-share` of them are convicted; only in
//!    that room where the address is shared, that is, where five and more of its viewers are clean, or the table of networks
//!    says `mobile` or `paas`: of the people behind those few were seen yet.
//! 3. The whole address, where it is not shared and at least `address.min-bad-share` of its viewers are convicted: a rented machine's,
//!    where fewer than three are clean; a provider's, where none is and two profiles and more are convicted. A farm of one program
//!    is stopped by rung 2, and behind a provider's address whoever has another program, or came earlier, may be a neighbour.
//!    Twice as long for each further room, at most `address.max`.
//! 4. Its subnet in the room, where at least `subnet-in-room.addresses` and `min-bad-share` of those seen are convicted. Shared
//!    addresses do not count: a carrier's translators stand side by side.
//! 5. Its key in the room, under the same shares of the key's addresses there. A whole key or account is only ever banned by
//!    the operator.
//!
//! **Why.** Convicting viewers alone would be a race that the view-botter wins: identities are free. Proxies are not. Whoever
//! shares an address with a farm keeps what it had: identities that were seen before the address's first conviction are never
//! touched.

use std::time::Duration;

use super::bans::{Book, Conviction, Place, Target};
use super::people::Crowded;
use super::sighting::KeyNumber;
use crate::base::time::Timestamp;
use crate::policy::viewbot::Ladder;

/// With so many clean viewers an address is shared.
pub(super) const SHARED_EGRESS: u32 = 5;

/// With so many clean viewers a rented machine is not banned as a whole. A provider's address is not with a single one: behind it
/// are people of whom most were not seen yet.
const CLEAN_MAX: u32 = 3;

/// So many addresses of a key must be convicted before the key is denied in the room: twice those of a subnet, as a key's
/// owner may be among them.
const KEY_ADDRESSES: usize = 8;

/// The key of a convicted viewer, and at how many addresses of the room it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyInRoom {
    pub(super) key: KeyNumber,
    pub(super) addresses: f64,
    /// Those of one subnet are one.
    pub(super) is_by_subnet: bool,
    /// Since when the room has its excess: whoever was seen before is spared.
    pub(super) onset: u32,
}

/// Convicts a viewer; gives the rungs that were reached anew, by [`Target::place`].
pub(super) fn convict(
    book: &Book,
    ladder: &Ladder,
    conviction: &Conviction<'_>,
    crowded: Crowded,
    key: Option<KeyInRoom>,
    now: Timestamp,
) -> [bool; 6] {
    let mut reached = [false; 6];
    let Conviction { viewer, profile, room, .. } = *conviction;
    let Some(standing) = book.convict(conviction, ladder.viewer_in_room, now) else { return reached };
    reached[0] = true;
    let share = |bad: u32, all: u32| f64::from(bad) / f64::from(all.max(1));
    let clean = crowded.viewers.saturating_sub(standing.bad);
    let is_shared = clean >= SHARED_EGRESS || crowded.is_shared;

    if share(standing.bad_of_profile, crowded.of_profile) >= ladder.address_profile.min_bad_share {
        let target = if is_shared {
            Target::ProfileInRoom(viewer.address, profile, room)
        } else {
            Target::Profile(viewer.address, profile)
        };
        let until = now + longer(ladder.address_profile.ttl, standing.rooms, ladder);
        reached[target.place()] |= book.widen(conviction, target, until, now);
    }
    let is_farms = if crowded.is_rented {
        clean < CLEAN_MAX
    } else {
        clean == 0 && standing.bad > standing.bad_of_profile
    };
    if share(standing.bad, crowded.viewers) >= ladder.address.min_bad_share && is_farms && !is_shared {
        let target = Target::Address(viewer.address);
        let until = now + longer(ladder.address.ttl, standing.rooms, ladder);
        reached[target.place()] |= book.widen(conviction, target, until, now);
    }

    let secs = now.as_secs() as u32;
    let subnet = Place::Subnet(viewer.address.subnet());
    let rung = &ladder.subnet_in_room;
    // An address that many clean viewers share says nothing of its neighbours.
    let convicted = if is_shared { 0 } else { book.convict_in(room, subnet, viewer.address, secs) };
    if convicted >= rung.addresses as usize
        && share(convicted as u32, crowded.addresses) >= rung.min_bad_share
    {
        reached[4] |= book.ban_in(conviction, subnet, now + rung.ttl, secs, now);
    }
    if let Some(KeyInRoom { key, addresses, is_by_subnet, onset }) = key {
        let place = Place::Key(key);
        let at = if is_by_subnet { viewer.address.first_of_subnet() } else { viewer.address };
        let convicted = book.convict_in(room, place, at, secs);
        if convicted >= KEY_ADDRESSES && convicted as f64 >= rung.min_bad_share * addresses {
            reached[5] |= book.ban_in(conviction, place, now + ladder.key_in_room, onset, now);
        }
    }
    reached
}

/// Longer for each further room.
fn longer(ttl: Duration, rooms: u32, ladder: &Ladder) -> Duration {
    let times = (1..rooms.min(16)).fold(1.0, |times, _| times * ladder.address.factor);
    Duration::try_from_secs_f64(ttl.as_secs_f64() * times).unwrap_or(Duration::MAX).min(ladder.address.max)
}
