//! Looking ahead: asking for the memory that weighing a request begins with.
//!
//! Two steps of the same two looks: at the indexes of who comes and of the room, and, once these have come, at the entries that
//! they lead to; a replay has time for a third, at what the room's entry leads to and at what a newcomer is counted in. It is alone
//! with its engine and takes no lock for any; a gateway's threads are not.

use super::sighting::Sighting;
use super::{Viewbot, locked, owned, people, people_shard, room_shard, rooms};

/// Where a request will be looked up.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Foreseen {
    people: (u8, people::Foreseen),
    rooms: (u8, rooms::Foreseen),
    /// Whether the entries have been asked for.
    has_entries: bool,
}

impl Foreseen {
    /// Of the viewer, and of the room with its seat.
    pub(super) fn both(&self) -> (people::Foreseen, rooms::Foreseen) {
        (self.people.1, self.rooms.1)
    }
}

impl Viewbot {
    /// Asks for the memory that a request will need.
    pub(in crate::engine) fn foresee(&mut self, sighting: &Sighting) -> Foreseen {
        let (viewer, room, short) = (sighting.viewer, sighting.subject, sighting.short);
        let (people, rooms) = (people_shard(viewer), room_shard(room));
        Foreseen {
            people: (people as u8, owned(&mut self.people[people]).prefetch(viewer)),
            rooms: (rooms as u8, owned(&mut self.rooms[rooms]).prefetch(room, (short, viewer))),
            has_entries: false,
        }
    }

    /// Asks for the entries that it leads to.
    pub(in crate::engine) fn foresee_entries(&mut self, sighting: &Sighting, foreseen: &mut Foreseen) {
        let ((people, viewer), (rooms, seat)) = (&mut foreseen.people, &mut foreseen.rooms);
        owned(&mut self.people[usize::from(*people)]).prefetch_entries(sighting, viewer);
        owned(&mut self.rooms[usize::from(*rooms)]).prefetch_entries(seat);
        foreseen.has_entries = true;
    }

    /// Asks for what the room's entry leads to, and what a newcomer is counted in.
    pub(in crate::engine) fn foresee_behind(&mut self, foreseen: &mut Foreseen) {
        let ((people, viewer), (rooms, seat)) = (&mut foreseen.people, foreseen.rooms);
        owned(&mut self.people[usize::from(*people)]).prefetch_behind(viewer);
        owned(&mut self.rooms[usize::from(rooms)]).prefetch_behind(seat);
    }

    /// [`foresee`](Self::foresee) while others may look, too.
    pub(in crate::engine) fn look_ahead(&self, sighting: &Sighting) -> Foreseen {
        let (viewer, room) = (sighting.viewer, sighting.subject);
        // One after the other: in one expression both locks would be held to its end.
        let of_viewer = self.people(viewer).prefetch(viewer);
        let of_seat = self.room(room).prefetch(room, (sighting.short, viewer));
        Foreseen {
            people: (people_shard(viewer) as u8, of_viewer),
            rooms: (room_shard(room) as u8, of_seat),
            has_entries: false,
        }
    }

    /// [`foresee_entries`](Self::foresee_entries) while others may look, too; not where that has been done.
    pub(in crate::engine) fn look_at_entries(&self, sighting: &Sighting, foreseen: &mut Foreseen) {
        if foreseen.has_entries {
            return;
        }
        let ((people, viewer), (rooms, seat)) = (&mut foreseen.people, &mut foreseen.rooms);
        locked(&self.people[usize::from(*people)]).prefetch_entries(sighting, viewer);
        locked(&self.rooms[usize::from(*rooms)]).prefetch_entries(seat);
        foreseen.has_entries = true;
    }
}
