//! The URL to be signed: chosen by the caller, so trusted in nothing.
//!
//! It is parsed once (`url`, the URL Standard). What is judged, counted and forwarded is its serialised form, and
//! whatever the standard would quietly repair (tabs, backslashes, missing slashes, escaped hosts) is refused before it
//! is parsed: a generator may repair it in another way. A URL that is its own serialised form beyond doubt is not parsed at
//! all, only cut in three: nearly all are, and the parser costs more than all else that is read of a request.

use std::borrow::Cow;

use url::Url;

use super::fault::Fault;
use super::param::Param;
use super::query::Pairs;
use super::rooms::Named;
use super::session::{Place, Session};

/// The longest URL that is signed, in bytes.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// How many parameters it may have: a browser of today sends about fifty.
const PAIRS_MAX: u32 = 128;

/// A URL that may be looked up in the targets of a policy: `https`, a domain name, the default port, no user, no
/// fragment.
#[derive(Clone)]
pub struct SignTarget {
    /// Serialised.
    text: String,
    /// Where the host ends, which begins behind `https://`, and the path begins.
    host_end: usize,
    /// Where the path ends.
    path_end: usize,
    named: Named,
    holds_session: bool,
}

impl SignTarget {
    /// Reads a URL; sessions in its query go to `session`.
    pub(super) fn read(
        text: Cow<'_, str>,
        hash_key: &[u8; 32],
        session: &mut Session,
    ) -> Result<Self, Fault> {
        let bad = |why| Fault::BadUrl { why };
        let (text, host_end, path_end) = match serialised_parts(&text) {
            Some((host_end, path_end)) => (text.into_owned(), host_end, path_end),
            None => parsed_parts(&text).map_err(bad)?,
        };
        let mut target = Self { text, host_end, path_end, named: Named::default(), holds_session: false };
        let query = target.text.get(target.path_end + 1..).unwrap_or_default();
        for pair in Pairs::of(query, PAIRS_MAX) {
            let pair = pair
                .map_err(|_| bad("its query has bad escapes, control characters or too many parameters"))?;
            let value = || pair.value.decoded();
            match Param::of(&pair.name.decoded()) {
                Param::Key => return Err(Fault::KeyInUrl),
                Param::Url => return Err(bad("it holds a `url` of its own; only one can be signed")),
                Param::RoomId => target.named.id(&value())?,
                Param::UniqueId => target.named.anchor(&value())?,
                Param::Session => {
                    target.holds_session = true;
                    session.add(hash_key, Place::Url, value().as_bytes());
                }
                Param::SessionPlace | Param::Client | Param::Device | Param::Other => {}
            }
        }
        Ok(target)
    }

    /// The host: lower case, no port, no trailing dot.
    pub fn host(&self) -> &str {
        &self.text[SCHEME.len()..self.host_end]
    }

    /// The path: begins with `/`, holds no escapes and no dot segments.
    pub fn path(&self) -> &str {
        &self.text[self.host_end..self.path_end]
    }

    /// The whole of it, serialised: the only form that is ever sent on.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The rooms that its query names.
    pub(super) const fn named(&self) -> Named {
        self.named
    }

    /// What is forwarded: [`as_str`](Self::as_str), or that without the session credentials in its query.
    pub(super) fn forwarded(&self, with_sessions: bool) -> Cow<'_, str> {
        if with_sessions || !self.holds_session {
            return Cow::Borrowed(self.as_str());
        }
        self.reduced(|param| !matches!(param, Param::Session | Param::SessionPlace))
    }

    /// What a record may show: host, path and room.
    pub(super) fn public(&self) -> Cow<'_, str> {
        self.reduced(|param| matches!(param, Param::RoomId | Param::UniqueId))
    }

    fn reduced(&self, keep: impl Fn(Param) -> bool) -> Cow<'_, str> {
        let (base, query) = self.as_str().split_once('?').unwrap_or((self.as_str(), ""));
        let mut text = String::from(base);
        for raw in query.split('&') {
            let pair = Pairs::of(raw, 1).next().and_then(Result::ok);
            if pair.is_some_and(|pair| keep(Param::of(&pair.name.decoded()))) {
                text.push(if text.len() == base.len() { '?' } else { '&' });
                text.push_str(raw);
            }
        }
        Cow::Owned(text)
    }
}

/// Two are one where their serialised forms are.
impl PartialEq for SignTarget {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SignTarget {}

/// Host and path alone: the query may hold a session.
impl std::fmt::Debug for SignTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignTarget({}{})", self.host(), self.path())
    }
}

const SCHEME: &str = "https://";

/// Where host and path end, of a URL that the parser would leave as it is, and nobody could take for another; `None` wherever
/// there is a doubt.
fn serialised_parts(text: &str) -> Option<(usize, usize)> {
    let rest = text.strip_prefix(SCHEME)?.as_bytes();
    let host = &rest[..rest.iter().position(|byte| *byte == b'/')?];
    let path = &rest[host.len()..];
    let path = &path[..path.iter().position(|byte| *byte == b'?').unwrap_or(path.len())];
    let query = &rest[host.len() + path.len()..];
    // Labels of letters, digits and hyphens, none of them written in Punycode, the last of letters alone: no address.
    let is_name = host.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    let mut labels = host.split(|byte| *byte == b'.');
    let are_labels = labels.clone().all(|label| !label.is_empty() && !label.starts_with(b"xn--"));
    let is_domain = labels.next_back().is_some_and(|label| label.iter().all(u8::is_ascii_lowercase));
    // No dot segments: no segment begins with a dot.
    let is_path = path
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.' | b'/'))
        && !path.windows(2).any(|pair| pair == b"/.");
    let is_query =
        query.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%=&+:/,@!$()*?".contains(byte));
    let host_end = SCHEME.len() + host.len();
    (is_name && are_labels && is_domain && is_path && is_query && text.len() <= URL_BYTES_MAX)
        .then_some((host_end, host_end + path.len()))
}

/// The serialised form of any other URL, and where its host and path end.
fn parsed_parts(text: &str) -> Result<(String, usize, usize), &'static str> {
    check_raw(text)?;
    let url = Url::parse(text).map_err(|_| "it is not a URL")?;
    check_parsed(&url)?;
    let host_end = SCHEME.len() + url.host_str().unwrap_or_default().len();
    let path_end = host_end + url.path().len();
    Ok((url.into(), host_end, path_end))
}

/// What the parser would repair without a word.
fn check_raw(text: &str) -> Result<(), &'static str> {
    if text.len() > URL_BYTES_MAX {
        return Err("it is longer than 8192 bytes");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it holds spaces, control characters or characters beyond ASCII; percent-encode them");
    }
    if text.contains(['\\', '#']) {
        return Err("it holds a backslash or a fragment");
    }
    let scheme = text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if !scheme {
        return Err("it does not begin with https://");
    }
    let authority = text[8..].split(['/', '?']).next().unwrap_or_default();
    // The parser would take the first part of the path for the host that is missing.
    if authority.is_empty() {
        return Err("it names no host");
    }
    if !authority
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'))
    {
        return Err("its host holds a user, an escape or other characters that no host name has");
    }
    Ok(())
}

fn check_parsed(url: &Url) -> Result<(), &'static str> {
    let Some(url::Host::Domain(host)) = url.host() else { return Err("its host is not a domain name") };
    if url.scheme() != "https"
        || !url.username().is_empty()
        || url.password().is_some()
        || url.fragment().is_some()
    {
        return Err("it is not a plain https URL");
    }
    if url.port().is_some() {
        return Err("it names a port");
    }
    if host.is_empty() || host.ends_with('.') {
        return Err("its host ends in a dot");
    }
    // A server that unescapes once more, or cuts `;` parameters, would find another path than the one that was judged.
    if url.path().contains(['%', ';']) {
        return Err("its path holds escapes or parameters");
    }
    if url.as_str().len() > URL_BYTES_MAX {
        return Err("it is longer than 8192 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::room::Room;

    fn read(text: &str) -> Result<SignTarget, Fault> {
        SignTarget::read(text.into(), &[7; 32], &mut Session::default())
    }

    #[test]
    fn what_is_judged_is_the_serialised_form() {
        for (text, host, path, all) in [
            (
                "https://webcast.tiktok.com/webcast/im/fetch/?aid=1988&room_id=7300000000000000001",
                "webcast.tiktok.com",
                "/webcast/im/fetch/",
                "https://webcast.tiktok.com/webcast/im/fetch/?aid=1988&room_id=7300000000000000001",
            ),
            ("HTTPS://WebCast.TikTok.COM:443", "webcast.tiktok.com", "/", "https://webcast.tiktok.com/"),
            ("https://h.example/a/../b/./c?x='", "h.example", "/b/c", "https://h.example/b/c?x=%27"),
            ("https://h.example/a/%2e%2e/b", "h.example", "/b", "https://h.example/b"),
            (
                "https://xn--tiktk-jua.com/webcast/",
                "xn--tiktk-jua.com",
                "/webcast/",
                "https://xn--tiktk-jua.com/webcast/",
            ),
        ] {
            let target = read(text).unwrap();
            assert_eq!((target.host(), target.path(), target.as_str()), (host, path, all), "{text}");
            assert_eq!(read(target.as_str()), Ok(target.clone()), "serialised again, it is the same");
        }
    }

    #[test]
    fn tricks() {
        for text in [
            "",
            "webcast.tiktok.com/webcast/",
            "//webcast.tiktok.com/webcast/",
            "http://webcast.tiktok.com/webcast/",
            "https:/webcast.tiktok.com/webcast/",
            "https:webcast.tiktok.com/webcast/",
            "https:///webcast.tiktok.com/webcast/",
            "https://",
            "https://@webcast.tiktok.com/webcast/",
            "https://webcast.tiktok.com@evil.example/webcast/",
            "https://a:b@webcast.tiktok.com/webcast/",
            "https://webcast.tiktok.com:8443/webcast/",
            "https://webcast.tiktok.com./webcast/",
            "https://webcast.tiktok.com%2eevil.example/webcast/",
            "https://%77ebcast.tiktok.com/webcast/",
            "https://127.0.0.1/webcast/",
            "https://0x7f.1/webcast/",
            "https://2130706433/",
            "https://[::1]/webcast/",
            "https://webcast.tiktok.com\\@evil.example/webcast/",
            "https://webcast.tiktok.com\\.evil.example/",
            "https:\\\\webcast.tiktok.com/webcast/",
            "https://webcast.tiktok.com/webcast/#/x",
            "https://webcast.tiktok.com#@evil.example/",
            "https://web\tcast.tiktok.com/webcast/",
            "ht\ntps://webcast.tiktok.com/webcast/",
            " https://webcast.tiktok.com/webcast/",
            "https://webcast.tiktok.com/webcast/\r\nx: y",
            "https://webcast.tiktok.com/web cast/",
            "https://webcast.tiktok.com/webcast/\u{0}",
            "https://webcast\u{3002}tiktok.com/webcast/",
            "https://webcast.tiktok.com/webcast/..%2f..%2fapi",
            "https://webcast.tiktok.com/webcast/%252e%252e/api",
            "https://webcast.tiktok.com/webcast/..;/api",
            "https://webcast.tiktok.com/webcast/<",
            "https://webcast.tiktok.com/webcast/?a=%0d%0a",
            "https://webcast.tiktok.com/webcast/?a=%zz",
            "https://webcast.tiktok.com/webcast/?url=https%3A%2F%2Fevil.example%2F",
            "https://webcast.tiktok.com/webcast/?%75rl=x",
            "javascript:alert(1)",
            "file:///etc/passwd",
            &format!("https://webcast.tiktok.com/{}", "x".repeat(URL_BYTES_MAX)),
            &format!("https://webcast.tiktok.com/?{}", "a&".repeat(129)),
        ] {
            assert!(matches!(read(text), Err(Fault::BadUrl { .. })), "{text:?} {:?}", read(text));
        }
        for text in ["https://h.example/?apiKey=x", "https://h.example/?a=1&%61pi_key=x"] {
            assert_eq!(read(text), Err(Fault::KeyInUrl), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_not_parsed_would_parse_to_itself(
            text in "https://([a-z0-9-]{1,4}\\.|xn--[a-z]|[.@:%A-Z]){0,3}[a-z0-9]{0,3}(/[a-z.~%;_-]{0,3}|\\[]|){0,3}(\\?[ -~]{0,6}|\\?[a-z=&%0-9]{0,9}|)"
        ) {
            if let Some((host_end, path_end)) = serialised_parts(&text) {
                proptest::prop_assert_eq!(parsed_parts(&text), Ok((text, host_end, path_end)));
            }
        }
    }

    #[test]
    fn urls_as_clients_write_them_need_no_parser() {
        for text in [
            "https://webcast.tiktok.com/webcast/im/fetch/?aid=1988&room_id=7300000000000000001",
            "https://www.tiktok.com/@/live/?a=Mozilla%2F5.0+(X11)",
            "https://webcast.tiktok.com/",
        ] {
            let is_plain = serialised_parts(text).is_some();
            assert_eq!(is_plain, !text.contains('@'), "{text}");
            assert!(parsed_parts(text).is_ok_and(|(read, ..)| read == *text));
        }
    }

    #[test]
    fn rooms_of_its_query() {
        let room =
            |query: &str| read(&format!("https://h.example/?{query}")).and_then(|t| t.named().settled());
        assert_eq!(room("room_id=5"), Ok(Some(Room::Id(5))));
        assert_eq!(room("a=1&room%5Fid=5&room_id=5"), Ok(Some(Room::Id(5))));
        assert_eq!(room("uniqueId=%40Name"), Ok(Some(Room::parse_anchor("name").unwrap())));
        assert_eq!(room("room_id="), Ok(None));
        for two in [
            "room_id=5&room_id=6",
            "room_id=5&room%5fid=6",
            "room_id=5&roomId=6",
            "room_id=5&room_id[]=6",
            "uniqueId=a&unique_id=b",
        ] {
            assert_eq!(room(two), Err(Fault::ConflictingRoom), "{two}");
        }
        assert!(matches!(room("room_id=5;room_id=6"), Err(Fault::BadRoom(_))));
    }

    #[test]
    fn sessions_can_be_taken_out() {
        let target =
            read("https://h.example/x?a=1&session_id=hunter2&b=%2B&tt_target_idc=x&room_id=5").unwrap();
        assert_eq!(target.forwarded(true), target.as_str());
        assert_eq!(target.forwarded(false), "https://h.example/x?a=1&b=%2B&room_id=5");
        assert_eq!(target.public(), "https://h.example/x?room_id=5");
        assert!(!format!("{target:?}").contains("hunter2"));
        assert_eq!(read("https://h.example/x?session_id=1").unwrap().forwarded(false), "https://h.example/x");
    }
}
