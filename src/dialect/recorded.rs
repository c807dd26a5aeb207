//! From a recorded request to the facts of it: the same road as a live one, with what the record says of key, room, session
//! and URL put in, as these no longer stand in its target.

use std::net::{IpAddr, Ipv4Addr};

use super::fault::Fault;
use super::request::Request;
use crate::base::library::Library;
use crate::base::net::canonical;
use crate::base::operation::Operation;
use crate::base::prefetch::{prefetch, prefetch_at};
use crate::base::room::Room;
use crate::base::secret::{KeyHash, SessionHash};
use crate::base::subject::Subject;
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
        /// What account and key are counted under, where that has been worked out.
        subjects: Option<(Subject, Subject)>,
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
        recorded.put_into(self.facts(recorded.client, asn))
    }
}

impl<'f> Recorded<'f> {
    /// What the record says of key, room, session and URL goes before what was read of its request line.
    fn put_into(&self, mut facts: Facts<'f>) -> Facts<'f> {
        match self.key {
            RecordedKey::NotSaid => {}
            RecordedKey::None => facts.credential = Credential::Absent,
            RecordedKey::Known { id, account, tier, subjects } => {
                facts.credential = Credential::Recorded { id, account, tier, subjects };
            }
            RecordedKey::Unknown => facts.credential = Credential::Unknown,
            RecordedKey::Barred(wait) => facts.credential = Credential::Unchecked(wait),
        }
        // Of our own records the target holds the name that the request used, wherever it stood.
        facts.room = facts.room.or(self.room);
        facts.resolved = self.room;
        facts.session = self.session.or(facts.session);
        if let Some((host, path)) = self.url {
            facts.target = TargetClaim::Url { host, path };
        }
        facts
    }
}

/// What was read of a recorded request, on its own: the records that say the same need not each be read. Everything that
/// facts hold, but for what a record says beside its request.
#[derive(Debug, Clone)]
pub struct Reading {
    operation: Operation,
    key: Option<KeyHash>,
    room: Option<Room>,
    target: ReadTarget,
    session: Option<SessionHash>,
    user_agent: Box<str>,
    library: Library,
    device: Option<Box<str>>,
}

/// As [`TargetClaim`], and its own.
#[derive(Debug, Clone)]
enum ReadTarget {
    None,
    InBody,
    Url { host: Box<str>, path: Box<str> },
}

impl Reading {
    /// Reads a recorded head ([`Request::read_recorded`]).
    pub fn of<'h>(
        method: &str,
        target: &'h str,
        user_agent: &'h str,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
    ) -> Result<Self, Fault> {
        let request = Request::read_recorded(method, target, user_agent, headers)?;
        let facts = request.facts(IpAddr::V4(Ipv4Addr::UNSPECIFIED), None);
        Ok(Self {
            operation: facts.operation,
            key: request.key(),
            room: facts.room,
            target: match facts.target {
                TargetClaim::None => ReadTarget::None,
                TargetClaim::InBody => ReadTarget::InBody,
                TargetClaim::Url { host, path } => ReadTarget::Url { host: host.into(), path: path.into() },
            },
            session: facts.session,
            user_agent: facts.user_agent.into(),
            library: facts.library,
            device: facts.device.map(Into::into),
        })
    }

    /// The room that the request names.
    pub fn room(&self) -> Option<Room> {
        self.room
    }

    /// Asks for its own memory.
    pub fn prefetch(&self) {
        prefetch(&self.room);
        prefetch(&self.target);
        prefetch(&self.session);
        prefetch(&self.library);
    }

    /// Asks for the memory of its texts.
    pub fn prefetch_texts(&self) {
        prefetch_at(self.user_agent.as_bytes(), 0);
        if let Some(device) = &self.device {
            prefetch_at(device.as_bytes(), 0);
        }
    }

    /// The facts of a record of this request. `asn` is what the networks table of today says of its address.
    pub fn facts<'f>(&'f self, recorded: &Recorded<'f>, asn: Option<u32>) -> Facts<'f> {
        recorded.put_into(Facts {
            operation: self.operation,
            client: canonical(recorded.client),
            credential: self.key.map_or(Credential::Absent, Credential::Presented),
            room: self.room,
            resolved: None,
            target: match &self.target {
                ReadTarget::None => TargetClaim::None,
                ReadTarget::InBody => TargetClaim::InBody,
                ReadTarget::Url { host, path } => TargetClaim::Url { host, path },
            },
            session: self.session,
            user_agent: &self.user_agent,
            library: self.library,
            device: self.device.as_deref(),
            asn,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was read once says what reading it each time would.
    #[test]
    fn a_reading_makes_the_facts_of_its_request() {
        let session = SessionHash::of(&[1; 32], b"s");
        let key = RecordedKey::Known { id: "k", account: "a", tier: "t", subjects: None };
        for target in [
            "/webcast/fetch?room_id=7300000000000000001&client=ttlive-node&device_id=d1",
            "/webcast/rooms/7300000000000000001/connect?session_id=x&apiKey=sg_1",
            "/webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Froom_id%3D73",
            "/webcast/anchors/some.name/connect",
            "/accounts/me/rate_limits",
        ] {
            for agent in ["", "TikTokLive.py/7.0.1", "  spaced  "] {
                for key in [RecordedKey::NotSaid, RecordedKey::None, RecordedKey::Unknown, key] {
                    let client = "::ffff:192.0.2.7".parse().unwrap();
                    let url = target.len().is_multiple_of(2).then_some(("example.org", "/p"));
                    let room = agent.is_empty().then_some(Room::Id(9));
                    let recorded = Recorded { client, key, room, session: Some(session), url };
                    let headers = || [("accept", "a"), ("x-api-key", "sg_1")].into_iter();
                    let request = Request::read_recorded("GET", target, agent, headers()).unwrap();
                    let reading = Reading::of("GET", target, agent, headers()).unwrap();
                    assert_eq!(
                        format!("{:?}", reading.facts(&recorded, Some(5))),
                        format!("{:?}", request.facts_recorded(&recorded, Some(5))),
                        "{target} {agent}"
                    );
                }
            }
        }
        assert!(Reading::of("PUT", "/webcast/fetch", "", std::iter::empty()).is_err());
    }
}
