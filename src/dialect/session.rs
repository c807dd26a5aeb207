//! Whether a session came along, and which: all that goes on is a keyed hash.

use super::fault::Fault;
use super::param::Param;
use crate::base::secret::SessionHash;

/// Where a session stood. Of several, the first of these is the one that is hashed: a fixed order, so that the order
/// of headers changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// `session_id` in the query.
    Query,
    /// `x-cookie-header`.
    CookieHeader,
    /// `cookie`: never forwarded, but it tells that the caller has a session.
    Cookie,
    /// `x-oauth-token`.
    OauthToken,
    /// In the query of the URL to be signed.
    Url,
    /// In the body.
    Body,
}

/// The session found so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Session(Option<(Place, SessionHash)>);

impl Session {
    /// Takes in a session value; an empty one is none.
    pub fn add(&mut self, hash_key: &[u8; 32], place: Place, value: &[u8]) {
        if !value.is_empty() && self.0.is_none_or(|(found, _)| place < found) {
            self.0 = Some((place, SessionHash::of(hash_key, value)));
        }
    }

    /// Takes in the session that cookies hold (RFC 6265 section 5.4), if they do.
    pub fn add_cookies(&mut self, hash_key: &[u8; 32], place: Place, cookies: &str) {
        let pairs = cookies.split(';').filter_map(|cookie| cookie.split_once('='));
        let value =
            pairs.filter(|(name, _)| Param::of(name.trim()) == Param::Session).map(|(_, value)| value.trim());
        // The first that says something: `sessionid` and `sessionid_ss` hold the same.
        if let Some(value) = value.into_iter().find(|value| !value.is_empty()) {
            self.add(hash_key, place, value.as_bytes());
        }
    }

    /// Its hash.
    pub fn hash(&self) -> Option<SessionHash> {
        self.0.map(|(_, hash)| hash)
    }
}

/// A header's value as text that may be sent on: no control characters, so no line can end in it.
pub(super) fn header_text<'r>(
    name: &'static str,
    value: &'r [u8],
    bytes_max: usize,
) -> Result<&'r str, Fault> {
    let fault = Fault::BadHeader { name };
    let text = std::str::from_utf8(value.trim_ascii()).map_err(|_| fault)?;
    // Beyond ASCII there are control characters too (U+0080 to U+009F). Most headers are printable ASCII: seen in one look at
    // all bytes, which the compiler makes wide as nothing ends it early.
    let odd = text.bytes().fold(0, |odd, byte| odd | u8::from(byte.wrapping_sub(b' ') > b'~' - b' '));
    let controls = odd != 0 && text.contains(char::is_control);
    if controls || text.len() > bytes_max { Err(fault) } else { Ok(text) }
}
