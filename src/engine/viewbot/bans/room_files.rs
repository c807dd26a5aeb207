//! What subnets and keys were convicted of, in each room by itself.

use std::collections::BTreeMap;
use std::ops::{Bound, Deref, DerefMut};
use std::sync::Arc;

use super::STRIKES_SECS;
use super::ban::Ban;
use crate::base::room::Room;
use crate::engine::viewbot::sighting::{Address, KeyNumber, Subnet};

/// A subnet or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine::viewbot) enum Place {
    Subnet(Subnet),
    Key(KeyNumber),
}

/// A subnet's or a key's convictions in one room.
#[derive(Debug, Default)]
pub(super) struct RoomFile {
    pub(super) addresses: Vec<Address>,
    pub(super) ban: Option<Arc<Ban>>,
    pub(super) last: u32,
    pub(super) probation_until: u32,
}

/// So many addresses of a subnet or key are remembered by themselves: all of a /24.
pub(super) const ADDRESSES_MAX: usize = 256;

/// Rooms' files at most.
const ROOM_FILES_MAX: usize = 65_536;

/// At the cap so many of them are looked at for each that is to be new: nobody waits until all are.
const SWEPT: usize = 32;

/// The files of subnets and keys in rooms.
#[derive(Debug, Default)]
pub(super) struct RoomFiles {
    files: BTreeMap<(Room, Place), RoomFile>,
    /// Up to here they were looked at last.
    swept: Option<(Room, Place)>,
}

impl RoomFiles {
    /// Whether there is room for another; at the cap what was not used lately makes it.
    pub(super) fn make_room(&mut self, now: u32) -> bool {
        if self.files.len() < ROOM_FILES_MAX {
            return true;
        }
        let from = self.swept.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.files.range((from, Bound::Unbounded)).take(SWEPT);
        let next: Vec<_> = next.map(|(place, file)| (*place, file.last)).collect();
        // Behind the last one comes the first.
        self.swept = if next.len() < SWEPT { None } else { next.last().map(|(place, _)| *place) };
        for (place, last) in next {
            if now.saturating_sub(last) > STRIKES_SECS / 24 {
                self.files.remove(&place);
            }
        }
        self.files.len() < ROOM_FILES_MAX
    }
}

impl Deref for RoomFiles {
    type Target = BTreeMap<(Room, Place), RoomFile>;
    fn deref(&self) -> &Self::Target {
        &self.files
    }
}

impl DerefMut for RoomFiles {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.files
    }
}
