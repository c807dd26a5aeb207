//! What came back, from the wire or made here: one face for the judge and the answer.

use bytes::Bytes;

use super::wire::{Answer, Wanted};

/// The headers of an answer that are looked at; all others are dropped unread.
pub const WANTED: Wanted = Wanted::new(&[
    "content-type",
    "content-encoding",
    "x-set-tt-cookie",
    "x-room-id",
    "x-agent-id",
    "x-log-id",
    "x-log-code",
]);

/// What came back.
#[derive(Debug, Clone)]
pub enum Reply {
    /// From a generator over the wire.
    Wire(Answer),
    /// From a generator over the wire, put into the words of the sign API by its adapter.
    Mapped {
        /// The generator's own.
        status: u16,
        /// Names in lower case.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Bytes,
    },
    /// Made in this process, with status 200.
    Made {
        /// Names in lower case.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Bytes,
    },
}

impl Reply {
    /// The status, 200 to 599.
    pub fn status(&self) -> u16 {
        match self {
            Self::Wire(answer) => answer.status().as_u16(),
            Self::Mapped { status, .. } => *status,
            Self::Made { .. } => 200,
        }
    }

    /// A header of [`WANTED`], by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        match self {
            Self::Wire(answer) => answer.header(name),
            Self::Mapped { headers, .. } | Self::Made { headers, .. } => {
                headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes())
            }
        }
    }

    /// The body, in whatever content coding it came.
    pub fn body(&self) -> Bytes {
        match self {
            // Cloning an answer copies no bytes.
            Self::Wire(answer) => answer.clone().into_body(),
            Self::Mapped { body, .. } | Self::Made { body, .. } => body.clone(),
        }
    }

    /// The headers of [`WANTED`] that there are: of these those go on to the client that its dialect lets through.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (wire, made) = match self {
            Self::Wire(answer) => (Some(answer), &[][..]),
            Self::Mapped { headers, .. } | Self::Made { headers, .. } => (None, headers.as_slice()),
        };
        let of_wire = wire.into_iter().flat_map(Answer::headers);
        let of_made = made.iter().map(|(name, value)| (*name, value.as_bytes()));
        of_wire.chain(of_made).map(|(name, value)| (name.as_bytes(), value))
    }
}
