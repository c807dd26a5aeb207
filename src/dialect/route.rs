//! From a method and a path to an operation: the table of `contract.md` section 1.
//!
//! The path is normalised once, here. What goes on is the route, and the path that a generator sees is written from
//! the route: no spelling of a client's reaches it. A generator's control paths (`/restart`, `/fetch`) are unknown
//! like any other.

use std::borrow::Cow;

use super::fault::Fault;
use super::query::escaped;
use super::rooms;
use crate::base::lanes::{Lanes, bits_of_64};
use crate::base::operation::Operation;
use crate::base::room::Room;

/// Which generation of clients spells its paths so. Answers differ by it (`contract.md` sections 1 and 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// Node 1.x, Rust: `GET /webcast/sign_url`, answered flat.
    Zero,
    /// Python 7, Node 2.0.3, Java, C#, Go.
    A,
    /// Node 2.4.4 and 2.5.0: room or streamer in the path.
    B,
    /// The newest SDKs, where they differ from [`B`](Self::B).
    C,
}

/// The method of a route. There are no others: a route is the method and the path together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Method {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A known path, with a method that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    operation: Operation,
    generation: Generation,
    method: Method,
    room: Option<Room>,
}

impl Route {
    /// Finds the route of a method and a path without its query.
    ///
    /// Duplicate and trailing slashes do not count: Node joins base and path with two, Python 6 and Go end in one.
    pub fn find(method: &str, path: &str) -> Result<Self, Fault> {
        use Generation::{A, B, C, Zero};
        use Method::{Get, Post};
        use Operation::{Chat, Connect, Limits, RoomId, SignUrl};
        let path = unescaped(path)?;
        let (segments, count) = segments(&path)?;
        let (allow, operation, generation, takes) = match &segments[..count] {
            ["webcast", "fetch"] => ("GET", Connect, A, Get),
            ["webcast", "rooms", _, "connect"] => ("GET", Connect, B, Get),
            ["webcast", "anchors", _, "connect"] => ("GET", Connect, C, Get),
            ["webcast", "sign_url"] if method == "GET" => ("GET, POST", SignUrl, Zero, Get),
            ["webcast", "sign_url"] => ("GET, POST", SignUrl, A, Post),
            ["tiktok", "sign_url"] => ("POST", SignUrl, B, Post),
            ["tiktok", "signing", "encrypt", "sign_url"] => ("POST", SignUrl, C, Post),
            ["webcast", "rate_limits"] => ("GET", Limits, A, Get),
            ["accounts", "me", "rate_limits"] => ("GET", Limits, B, Get),
            ["webcast", "room_id"] => ("GET", RoomId, A, Get),
            ["webcast", "anchors", _, "room_id"] => ("GET", RoomId, B, Get),
            ["webcast", "chat"] => ("POST", Chat, A, Post),
            ["webcast", "rooms", _, "chat"] => ("POST", Chat, B, Post),
            _ => return Err(Fault::UnknownPath),
        };
        if method != takes.as_str() {
            return Err(Fault::MethodNotAllowed { allow });
        }
        let room = match &segments[..count] {
            ["webcast", "rooms", id, _] => rooms::id(id)?.map(Room::Id),
            ["webcast", "anchors", name, _] => Some(Room::parse_anchor(name)?),
            _ => None,
        };
        Ok(Self { operation, generation, method: takes, room })
    }

    /// What is asked for.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// Who spells it so.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The room that the path names.
    pub const fn room(&self) -> Option<Room> {
        self.room
    }

    /// Writes the path in its one spelling.
    pub fn write_path(&self, out: &mut String) {
        use Operation::{Chat, Connect, Limits, RoomId, SignUrl};
        let (before, after) = match (self.operation, self.generation) {
            (Connect, Generation::B) => ("/webcast/rooms/", "/connect"),
            (Connect, Generation::C) => ("/webcast/anchors/", "/connect"),
            (RoomId, Generation::B | Generation::C) => ("/webcast/anchors/", "/room_id"),
            (Chat, Generation::B | Generation::C) => ("/webcast/rooms/", "/chat"),
            (operation, generation) => {
                out.push_str(match (operation, generation) {
                    (Connect, _) => "/webcast/fetch",
                    (SignUrl, Generation::Zero | Generation::A) => "/webcast/sign_url",
                    (SignUrl, Generation::B) => "/tiktok/sign_url",
                    (SignUrl, Generation::C) => "/tiktok/signing/encrypt/sign_url",
                    (Limits, Generation::Zero | Generation::A) => "/webcast/rate_limits",
                    (Limits, Generation::B | Generation::C) => "/accounts/me/rate_limits",
                    (RoomId, _) => "/webcast/room_id",
                    (Chat, _) => "/webcast/chat",
                });
                return;
            }
        };
        out.push_str(before);
        match self.room {
            Some(Room::Anchor(name)) => out.push_str(name.as_str()),
            Some(Room::Id(id)) => out.push_str(itoa::Buffer::new().format(id)),
            None => out.push('0'),
        }
        out.push_str(after);
    }
}

/// The path with its escapes resolved, once. Only unreserved characters (RFC 3986 section 2.3) and `@` may be escaped:
/// an escaped slash or percent sign is how one path becomes another further on.
fn unescaped(path: &str) -> Result<Cow<'_, str>, Fault> {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut plain = String::with_capacity(path.len());
    let mut at = 0;
    while let Some(rest) = path.get(at..).filter(|rest| !rest.is_empty()) {
        if !rest.starts_with('%') {
            let run = rest.split('%').next().unwrap_or_default();
            plain.push_str(run);
            at += run.len();
            continue;
        }
        let byte = escaped(bytes, at).ok_or(Fault::BadPath)?;
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'@')) {
            return Err(Fault::BadPath);
        }
        plain.push(char::from(byte));
        at += 3;
    }
    Ok(Cow::Owned(plain))
}

/// The segments of a path and how many there are; empty ones do not count.
fn segments(path: &str) -> Result<([&str; 4], usize), Fault> {
    const BLOCK: usize = 64;
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(Fault::BadTarget);
    }
    // Graphic, and none that begins something else, or is read as a slash by others.
    let may_stand = |lanes: Lanes| {
        let odd = lanes.are(b'\\').or(lanes.are(b';')).or(lanes.are(b'?')).or(lanes.are(b'#'));
        lanes.are_within(b'!', b'~').and_not(odd)
    };
    if bytes.chunks(BLOCK).any(|block| bits_of_64(block, may_stand) != u64::MAX >> (BLOCK - block.len())) {
        return Err(Fault::BadPath);
    }
    let (mut segments, mut count, mut start) = ([""; 4], 0, 0);
    let mut add = |end: usize| {
        match &path[start..end] {
            "" => {}
            "." | ".." => return Err(Fault::BadPath),
            segment => {
                *segments.get_mut(count).ok_or(Fault::UnknownPath)? = segment;
                count += 1;
            }
        }
        start = end + 1;
        Ok(())
    };
    for (block, from) in bytes.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
        let mut slashes = bits_of_64(block, |lanes| lanes.are(b'/'));
        while slashes != 0 {
            add(from + slashes.trailing_zeros() as usize)?;
            slashes &= slashes - 1;
        }
    }
    add(bytes.len())?;
    Ok((segments, count))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_table_of_the_contract() {
        let mut table = String::new();
        for (method, path) in [
            ("GET", "/webcast/fetch"),
            ("GET", "/webcast/fetch/"),
            ("GET", "//webcast//fetch//"),
            ("GET", "/webcast/%66etch"),
            ("GET", "/webcast/rooms/7300000000000000001/connect"),
            ("GET", "//webcast/rooms/7300000000000000001/connect/"),
            ("GET", "/webcast/anchors/%40Some.Name/connect"),
            ("POST", "/webcast/sign_url/"),
            ("GET", "/webcast/sign_url"),
            ("POST", "//tiktok/sign_url"),
            ("POST", "/tiktok/signing/encrypt/sign_url"),
            ("GET", "/webcast/rate_limits"),
            ("GET", "/accounts/me/rate_limits"),
            ("GET", "/webcast/room_id"),
            ("GET", "/webcast/anchors/some.name/room_id"),
            ("POST", "/webcast/chat"),
            ("POST", "/webcast/rooms/7300000000000000001/chat"),
            ("POST", "/webcast/rooms/0/chat"),
        ] {
            let route = Route::find(method, path).unwrap();
            let mut written = String::new();
            route.write_path(&mut written);
            assert_eq!(Route::find(method, &written), Ok(route), "what is written is the same route");
            let (operation, generation) = (route.operation(), route.generation());
            writeln!(table, "{method:4} {path:48} {operation:8} {generation:?} {written}").unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn everything_else_is_refused() {
        for path in [
            "/",
            "/fetch",
            "/restart",
            "/webcast",
            "/webcast/fetch/x",
            "/Webcast/Fetch",
            "/webcast/rooms/1/restart",
            "/signature",
            "/webcast/rooms/connect",
            "/webcast/a/b/c/d",
            "/webcast/fetch&apiKey=x",
        ] {
            assert_eq!(Route::find("GET", path), Err(Fault::UnknownPath), "{path}");
        }
        for path in [
            "/webcast%2Ffetch",
            "/webcast/./fetch",
            "/webcast/../fetch",
            "/webcast/%2e%2E/fetch",
            "/webcast\\fetch",
            "/webcast/fetch;x=1",
            "/webcast/fetch%00",
            "/webcast/fetch%3Froom_id=1",
            "/webcast/fetch%",
            "/webcast/%2566etch",
            "/webcast/fetch%5c",
            "/webcast/fetch\u{e4}",
            "/webcast /fetch",
            "/webcast/rooms/%31%2f2/connect",
        ] {
            assert_eq!(Route::find("GET", path), Err(Fault::BadPath), "{path}");
        }
        for path in ["", "webcast/fetch", "*", "http://h/webcast/fetch"] {
            assert_eq!(Route::find("GET", path), Err(Fault::BadTarget), "{path}");
        }
        for path in
            ["/webcast/rooms/x/connect", "/webcast/rooms/007/connect", "/webcast/anchors/a%2Db/connect"]
        {
            assert!(matches!(Route::find("GET", path), Err(Fault::BadRoom(_))), "{path}");
        }
    }

    #[test]
    fn a_known_path_names_its_methods() {
        for (method, path, allow) in [
            ("POST", "/webcast/fetch", "GET"),
            ("HEAD", "/webcast/fetch", "GET"),
            ("get", "/webcast/fetch", "GET"),
            ("PUT", "/webcast/sign_url", "GET, POST"),
            ("GET", "/tiktok/sign_url", "POST"),
            ("OPTIONS", "/webcast/rooms/1/chat", "POST"),
        ] {
            assert_eq!(Route::find(method, path), Err(Fault::MethodNotAllowed { allow }), "{method} {path}");
        }
    }

    /// One byte after the other.
    fn segments_one_by_one(path: &str) -> Result<Vec<&str>, Fault> {
        if !path.starts_with('/') {
            return Err(Fault::BadTarget);
        }
        let may_stand = |byte: u8| byte.is_ascii_graphic() && !b"\\;?#".contains(&byte);
        if !path.bytes().all(may_stand) {
            return Err(Fault::BadPath);
        }
        let mut found = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if matches!(segment, "." | "..") {
                return Err(Fault::BadPath);
            }
            if found.len() == 4 {
                return Err(Fault::UnknownPath);
            }
            found.push(segment);
        }
        Ok(found)
    }

    proptest::proptest! {
        #[test]
        fn segments_are_those_between_slashes(
            path in "/?([a-z.]{0,3}/|[!-~]{0,2}|[a-z]{0,70}|\u{e4}| ){0,9}",
        ) {
            let found = segments(&path).map(|(segments, count)| segments[..count].to_vec());
            proptest::prop_assert_eq!(found, segments_one_by_one(&path), "{}", path);
        }
    }
}
