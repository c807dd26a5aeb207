//! What a decision may look at. Made by `dialect::facts` and nowhere else, for a live request as for a recorded one.

use std::net::IpAddr;

use crate::base::library::Library;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::base::secret::{KeyHash, SessionHash};
use crate::base::subject::Subject;
use crate::base::time::Wait;

/// Everything about one request that a decision may depend on. Borrows from the request; owns nothing.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'r> {
    /// What is asked for.
    pub operation: Operation,
    /// The client's address in its canonical form, from the one configured source.
    pub client: IpAddr,
    /// Who the caller says it is.
    pub credential: Credential<'r>,
    /// The room asked for, as the request names it in query, path, URL or body: by its number or its streamer.
    pub room: Option<Room>,
    /// The same in its one form, where a record tells how it was resolved; `None`: what good answers have taught says.
    pub resolved: Option<Room>,
    /// The URL to be signed.
    pub target: TargetClaim<'r>,
    /// The session that came along, hashed.
    pub session: Option<SessionHash>,
    /// The `User-Agent` header; empty where there is none.
    pub user_agent: &'r str,
    /// The client library, as it says.
    pub library: Library,
    /// The `device_id` of the query: today's libraries send none.
    pub device: Option<&'r str>,
    /// The autonomous system of the address, where a networks table is loaded.
    pub asn: Option<u32>,
}

/// Who the caller says it is.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'r> {
    /// No key, or an empty one: anonymous.
    Absent,
    /// A key, hashed at the door.
    Presented(KeyHash),
    /// A key that is not looked up: this proxy has shown too many unknown ones and has to wait.
    Unchecked(Wait),
    /// Of a record: a key that nobody knew when it was recorded, of which nothing is kept.
    Unknown,
    /// Of a record: the key was looked up when it was recorded.
    Recorded {
        /// The key's public id.
        id: &'r str,
        /// The account it belonged to.
        account: &'r str,
        /// The tier it had.
        tier: &'r str,
        /// What account and key are counted under, where whoever asks has worked it out before.
        subjects: Option<(Subject, Subject)>,
    },
}

/// The URL to be signed, as far as it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetClaim<'r> {
    /// The operation signs no URL of the caller's choice.
    None,
    /// It stands in the body, which has not been read yet: nothing is refused for it now.
    InBody,
    /// Parsed once and serialised again.
    Url {
        /// In lower case, without port or trailing dot.
        host: &'r str,
        /// As it will be forwarded.
        path: &'r str,
    },
}
