//! From a recorded request to the facts of it: the same road as a live one, with what the record says of key, room, session
//! and URL put in, as these no longer stand in its target.

use std::net::IpAddr;

use super::fault::Fault;
use super::request::Request;
use crate::base::room::Room;
use crate::base::secret::SessionHash;
use crate::base::time::Wait;
use crate::engine::facts::{Credential, Facts, TargetClaim};

/// What a record says of a request beside its request line and headers.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'r> {
    /// The client's address.
    pub client: IpAddr,
    /// The key.
    pub key: RecordedKey<'r>,
    /// The room as resolved at the decision. Trusted; without it the one that the target names, as good answers teach.
    pub room: Option<Room>,
    /// The session; without it the one that stands in target or headers.
    pub session: Option<SessionHash>,
    /// Host and path of the URL to be signed, where it stood in the body.
    pub url: Option<(&'r str, &'r str)>,
}

/// What a record says of the key.
#[derive(Debug, Clone, Copy)]
pub enum RecordedKey<'r> {
    /// Nothing: the one that stands in target or headers, if there is one.
    NotSaid,
    /// There was none.
    None,
    /// One that was known.
    Known {
        /// Its public id.
        id: &'r str,
        /// The account it belonged to.
        account: &'r str,
        /// The tier it had.
        tier: &'r str,
    },
    /// One that nobody knew.
    Unknown,
    /// One that was not looked up, and how long its proxy had to wait.
    Barred(Wait),
}

impl<'r> Request<'r> {
    /// Reads a recorded head: as [`read`](Self::read), with the user agent beside the headers. One among these is passed
    /// over where there is one beside them.
    pub fn read_recorded(
        method: &str,
        target: &'r str,
        user_agent: &'r str,
        headers: impl Iterator<Item = (&'r str, &'r str)>,
    ) -> Result<Self, Fault> {
        // A session that stands in the target of a foreign record is told apart from others of the same traffic, and
        // from nothing else.
        const HASH_KEY: &[u8; 32] = b"one key for all recorded traffic";
        let kept = headers
            .filter(|(name, _)| user_agent.is_empty() || !name.eq_ignore_ascii_case("user-agent"))
            .map(|(name, value)| (name, value.as_bytes()));
        let beside = (!user_agent.is_empty()).then_some(("user-agent", user_agent.as_bytes()));
        Self::read(method, target, beside.into_iter().chain(kept), HASH_KEY)
    }

    /// The facts of a recorded request. `asn` is what the networks table of today says of its address.
    pub fn facts_recorded<'f>(&'f self, recorded: &Recorded<'f>, asn: Option<u32>) -> Facts<'f> {
        let mut facts = self.facts(recorded.client, asn);
        match recorded.key {
            RecordedKey::NotSaid => {}
            RecordedKey::None => facts.credential = Credential::Absent,
            RecordedKey::Known { id, account, tier } => {
                facts.credential = Credential::Recorded { id, account, tier };
            }
            RecordedKey::Unknown => facts.credential = Credential::Unknown,
            RecordedKey::Barred(wait) => facts.credential = Credential::Unchecked(wait),
        }
        // Of our own records the target holds the name that the request used, wherever it stood.
        facts.room = facts.room.or(recorded.room);
        facts.resolved = recorded.room;
        facts.session = recorded.session.or(facts.session);
        if let Some((host, path)) = recorded.url {
            facts.target = TargetClaim::Url { host, path };
        }
        facts
    }
}
