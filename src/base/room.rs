//! A live room, in the one form in which it is counted.

use std::fmt;

/// A room as a request names it: by its number, or by the streamer's unique id where the number is not known yet.
///
/// Small and `Copy`: it is made for every request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Room {
    /// `room_id`: a decimal number that fits 64 bits.
    Id(u64),
    /// `unique_id`: the streamer's handle.
    Anchor(UniqueId),
}

/// A text that names no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// Not 1 to 20 digits, or beyond 64 bits, or zero.
    #[error("a room id is a decimal number of at most 20 digits")]
    Id,
    /// Not a handle.
    #[error("a unique id is 1 to 32 letters, digits, `.` and `_`, with or without a leading `@`")]
    UniqueId,
}

impl Room {
    /// Reads a room id. Leading zeros are refused: they would make two spellings of one room.
    pub fn parse_id(text: &str) -> Result<Self, RoomError> {
        // Numbers of so many digits fit, whatever the digits: only one more must be looked at.
        const ALWAYS_FIT: usize = 19;
        let bytes = text.as_bytes();
        if !(1..=ALWAYS_FIT + 1).contains(&bytes.len()) || bytes[0] == b'0' {
            return Err(RoomError::Id);
        }
        let (first, last) = bytes.split_at(bytes.len().min(ALWAYS_FIT));
        let mut number = 0u64;
        for byte in first {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return Err(RoomError::Id);
            }
            number = number.wrapping_mul(10).wrapping_add(digit.into());
        }
        if let Some(byte) = last.first() {
            let digit = Some(byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9).ok_or(RoomError::Id)?;
            number = number.checked_mul(10).and_then(|n| n.checked_add(digit.into())).ok_or(RoomError::Id)?;
        }
        Ok(Self::Id(number))
    }

    /// Reads a unique id: lower-cased, without its `@`.
    pub fn parse_anchor(text: &str) -> Result<Self, RoomError> {
        UniqueId::parse(text).map(Self::Anchor)
    }

    /// Reads either form as a policy or a record writes it: digits are an id, `@name` is a unique id.
    pub fn parse(text: &str) -> Result<Self, RoomError> {
        if text.starts_with('@') { Self::parse_anchor(text) } else { Self::parse_id(text) }
    }
}

/// `7300000000000000001` or `@name`; what it prints, [`Room::parse`] reads back.
impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Anchor(name) => write!(f, "@{}", name.as_str()),
        }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A streamer's handle: 1 to 32 of lower-case letters, digits, `.`, `_`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueId {
    bytes: [u8; 32],
    length: u8,
}

impl UniqueId {
    fn parse(text: &str) -> Result<Self, RoomError> {
        let name = text.strip_prefix('@').unwrap_or(text);
        if !(1..=32).contains(&name.len()) {
            return Err(RoomError::UniqueId);
        }
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            if !(from.is_ascii_alphanumeric() || from == b'.' || from == b'_') {
                return Err(RoomError::UniqueId);
            }
            *to = from.to_ascii_lowercase();
        }
        Ok(Self { bytes, length: name.len() as u8 })
    }

    /// The handle without `@`.
    pub fn as_str(&self) -> &str {
        // Only ASCII was let in, so this is never the fallback.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_room_has_one_spelling() {
        assert_eq!(Room::parse_id("7300000000000000001"), Ok(Room::Id(7_300_000_000_000_000_001)));
        for bad in [
            "",
            "0",
            "007",
            "+7",
            "-7",
            " 7",
            "7 ",
            "7e3",
            "99999999999999999999",
            "73000000000000000011",
            "18446744073709551616",
            "1844674407370955161x",
            "184467440737095516150",
        ] {
            assert_eq!(Room::parse_id(bad), Err(RoomError::Id), "{bad:?}");
        }
        assert_eq!(Room::parse_id("18446744073709551615"), Ok(Room::Id(u64::MAX)));
        assert_eq!(Room::parse_anchor("@Some.Name_1"), Room::parse_anchor("some.name_1"));
        for bad in ["", "@", "a b", "a/b", "ä", "@@a", &"x".repeat(33)] {
            assert_eq!(Room::parse_anchor(bad), Err(RoomError::UniqueId), "{bad:?}");
        }
        for text in ["7300000000000000001", "@name"] {
            assert_eq!(Room::parse(text).unwrap().to_string(), text);
        }
    }
}
