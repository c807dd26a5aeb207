//! Which room a request is about, from all the places where it names one.

use super::fault::Fault;
use crate::base::room::Room;

/// What has been named so far. Everything that is named twice must agree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Named {
    id: Option<u64>,
    /// Always a [`Room::Anchor`].
    anchor: Option<Room>,
    /// The anchor stands where the generator acts on it whatever else is said: in the path, or in the URL to be signed.
    anchor_holds: bool,
}

impl Named {
    /// Takes in a room id as a client wrote it; empty and `0` name none.
    pub fn id(&mut self, text: &str) -> Result<(), Fault> {
        id(text)?.map_or(Ok(()), |number| self.room(Room::Id(number)))
    }

    /// Takes in a unique id; an empty one names none.
    pub fn anchor(&mut self, text: &str) -> Result<(), Fault> {
        if text.is_empty() { Ok(()) } else { self.room(Room::parse_anchor(text)?) }
    }

    /// Takes in a room.
    pub fn room(&mut self, room: Room) -> Result<(), Fault> {
        let agrees = match room {
            Room::Id(number) => *self.id.get_or_insert(number) == number,
            anchor @ Room::Anchor(_) => *self.anchor.get_or_insert(anchor) == anchor,
        };
        if agrees { Ok(()) } else { Err(Fault::ConflictingRoom) }
    }

    /// Takes in all that stands in one place, on which the generator acts.
    pub fn acted_on(&mut self, other: Self) -> Result<(), Fault> {
        other.id.map_or(Ok(()), |number| self.room(Room::Id(number)))?;
        other.anchor.map_or(Ok(()), |anchor| self.room(anchor))?;
        self.anchor_holds |= other.id.is_none() && other.anchor.is_some();
        Ok(())
    }

    /// The one room: the id, where there is one.
    ///
    /// A fault where an id was named beside an anchor that the generator would act on: nobody here knows whether the
    /// two are one room, and one of them would go uncounted.
    pub fn settled(&self) -> Result<Option<Room>, Fault> {
        match self.id {
            Some(_) if self.anchor_holds => Err(Fault::ConflictingRoom),
            Some(number) => Ok(Some(Room::Id(number))),
            None => Ok(self.anchor),
        }
    }
}

/// Reads a room id; empty and `0` name none (an SDK sends `0` where it names the streamer in the body).
pub(super) fn id(text: &str) -> Result<Option<u64>, Fault> {
    if matches!(text, "" | "0") {
        return Ok(None);
    }
    match Room::parse_id(text)? {
        Room::Id(number) => Ok(Some(number)),
        Room::Anchor(_) => Ok(None),
    }
}
