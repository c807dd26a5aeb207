//! One ban: whom it is about, why, and until when.

use std::sync::Arc;

use crate::base::room::Room;
use crate::base::time::Timestamp;
use crate::engine::viewbot::evidence::Evidence;
use crate::engine::viewbot::sighting::{Address, KeyNumber, Label, Profile, Subnet, Viewer};

/// Whom a ban is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// One viewer in one room.
    ViewerInRoom(Viewer, Room),
    /// Those of a profile at an address, in one room: where clean viewers share the address.
    ProfileInRoom(Address, Profile, Room),
    /// Those of a profile at an address.
    Profile(Address, Profile),
    /// A whole address.
    Address(Address),
    /// A subnet in one room.
    SubnetInRoom(Subnet, Room),
    /// A key in one room.
    KeyInRoom(KeyNumber, Room),
}

impl Target {
    /// The rung of the ladder.
    pub const fn word(&self) -> &'static str {
        RUNGS[self.place()]
    }

    /// Its place in [`RUNGS`].
    pub const fn place(&self) -> usize {
        match self {
            Self::ViewerInRoom(..) => 0,
            Self::ProfileInRoom(..) => 1,
            Self::Profile(..) => 2,
            Self::Address(_) => 3,
            Self::SubnetInRoom(..) => 4,
            Self::KeyInRoom(..) => 5,
        }
    }

    pub(in crate::engine::viewbot) fn address(&self) -> Option<Address> {
        match self {
            Self::ViewerInRoom(viewer, _) => Some(viewer.address),
            Self::ProfileInRoom(address, ..) | Self::Profile(address, _) | Self::Address(address) => {
                Some(*address)
            }
            Self::SubnetInRoom(..) | Self::KeyInRoom(..) => None,
        }
    }
}

/// The rungs that ban, by [`Target::place`].
pub const RUNGS: [&str; 6] = [
    "viewer-in-room",
    "address-profile-in-room",
    "address-profile",
    "address",
    "subnet-in-room",
    "key-in-room",
];

/// One ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// By which an operator names it.
    pub id: u64,
    /// Whom it is about.
    pub target: Target,
    /// When it was made.
    pub made: Timestamp,
    /// Identities that were seen before are not touched, but for a single viewer's.
    pub spares_before: u32,
    /// When it ends.
    pub until: Timestamp,
    /// What was held against them.
    pub evidence: Arc<Evidence>,
    /// The room whose excess it goes back to.
    pub room: Room,
    /// The user agent of the profile, for people.
    pub label: Label,
}

#[cfg(test)]
impl Ban {
    /// One for tests of what is done with bans.
    pub(crate) fn example() -> Self {
        use crate::engine::viewbot::evidence::{Finding, Kind};
        let address = Address::of(crate::base::net::Prefix::proxy([192, 0, 2, 7].into()));
        let mut evidence = Evidence::of_crowd(430.0, 900.0, 40.0);
        evidence.add(Some(Finding::new(Kind::Profile, 4.0, 212.0, 6.0)));
        evidence.add(Some(Finding::new(Kind::IdentityChurn, 2.9, 31.0, 4.0)));
        Self {
            id: 1,
            target: Target::Address(address),
            made: Timestamp::from_secs(1_800_000_000),
            spares_before: 1_800_000_000,
            until: Timestamp::from_secs(1_800_001_800),
            evidence: Arc::new(evidence),
            room: Room::Id(7_300_000_000_000_000_001),
            label: Label::new("TikTokLive.py/7.0.1"),
        }
    }
}
