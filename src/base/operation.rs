//! What a client asks for.

use std::fmt;

/// The five things that a client asks a sign service for (`contract.md` section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// The first fetch of a room's live stream, signed and carried out by the generator; answered in protobuf.
    Connect,
    /// Sign a URL that the client will fetch itself; answered in JSON.
    SignUrl,
    /// How much of the caller's quotas is left. Answered by the gateway, free of charge.
    Limits,
    /// The room id of a streamer's unique id.
    RoomId,
    /// Send a chat message to a room.
    Chat,
}

impl Operation {
    /// All of them, in the order of their [`index`](Self::index).
    pub const ALL: [Self; 5] = [Self::Connect, Self::SignUrl, Self::Limits, Self::RoomId, Self::Chat];

    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The word in policies, metrics and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::SignUrl => "sign-url",
            Self::Limits => "limits",
            Self::RoomId => "room-id",
            Self::Chat => "chat",
        }
    }

    /// The operation of that [`word`](Self::word).
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.word() == word)
    }

    /// Its place in tables, from 0.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether asking a second generator after a failure does no harm. A chat message would be sent twice.
    pub const fn may_be_repeated(self) -> bool {
        !matches!(self, Self::Chat)
    }

    /// Whether quotas are booked for it at all. Asking for one's limits must never cost quota: clients poll it.
    pub const fn costs_quota(self) -> bool {
        !matches!(self, Self::Limits)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
