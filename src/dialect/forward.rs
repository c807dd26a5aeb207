//! What a generator is sent: written anew from what was read, so that what it acts on is what was judged and counted.
//!
//! The path is the route's own spelling. Of the query all goes on but keys, sessions where the policy keeps them back,
//! and what would name a room or a URL a second time. Headers and the fields of a body are lists of what is let
//! through.

use std::borrow::Cow;

use super::body::Scalar;
use super::param::Param;
use super::query::{Pairs, write_escaped};
use super::request::Request;
use super::route::Method;
use super::target::SignTarget;
use crate::base::room::Room;
use crate::base::secret::Secret;
use crate::base::text::may_be_kept;
use crate::policy::set::SessionMode;

/// Where a forwarded request is written. One a worker, used again and again: then it allocates nothing.
#[derive(Default)]
pub struct Scratch {
    target: String,
    body: Vec<u8>,
}

impl Scratch {
    /// How many bytes it keeps hold of.
    pub fn capacity(&self) -> usize {
        self.target.capacity() + self.body.capacity()
    }
}

/// Lengths alone: what was written holds secrets.
impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scratch({} bytes)", self.target.len() + self.body.len())
    }
}

/// A request as a generator is to be sent it. Framing, `Host` and the base path are the sender's.
#[derive(Clone, Copy)]
pub struct Forwarded<'f> {
    /// The method.
    pub method: Method,
    /// Path and query, ASCII.
    pub target: &'f str,
    /// What goes before the body.
    pub headers: Headers<'f>,
    /// JSON, with every POST.
    pub body: Option<&'f [u8]>,
}

/// A few headers, in the order in which they are sent. Names in lower case; no value holds a control character.
#[derive(Clone, Copy)]
pub struct Headers<'f> {
    list: [(&'f str, &'f str); 7],
    length: usize,
}

impl<'f> Headers<'f> {
    /// Adds one; an empty value is none.
    fn add(&mut self, name: &'static str, value: &'f str) {
        if let Some(place) = self.list.get_mut(self.length).filter(|_| !value.is_empty()) {
            *place = (name, value);
            self.length += 1;
        }
    }

    /// All of them.
    pub fn as_slice(&self) -> &[(&'f str, &'f str)] {
        &self.list[..self.length]
    }
}

/// Method and lengths alone: query and headers hold secrets.
impl std::fmt::Debug for Forwarded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{} {path} ({} headers)", self.method.as_str(), self.headers.length)
    }
}

/// As many bytes of a client's name or a device id may stand in a record.
const PUBLIC_VALUE_BYTES_MAX: usize = 64;

/// And of a streamer's name.
const PUBLIC_ROOM_BYTES_MAX: usize = 40;

impl Request<'_> {
    /// Writes the request for a generator that speaks the sign API, with `key`, the generator's own. For requests
    /// whose body, if they have one, was read.
    pub fn forward<'f>(
        &'f self,
        sessions: SessionMode,
        key: Option<&'f Secret>,
        scratch: &'f mut Scratch,
    ) -> Forwarded<'f> {
        let with_sessions = sessions == SessionMode::Pass;
        scratch.target.clear();
        self.route.write_path(&mut scratch.target);
        self.write_query(with_sessions, &mut scratch.target);
        let mut headers = Headers { list: [("", ""); 7], length: 0 };
        // An answer is judged by its content, so it must come in the clear.
        headers.add("accept-encoding", "identity");
        headers.add("user-agent", self.user_agent);
        headers.add("accept", self.accept);
        headers.add("x-api-key", key.map_or("", Secret::reveal));
        if with_sessions {
            headers.add("x-cookie-header", self.cookies);
            headers.add("x-oauth-token", self.oauth_token);
        }
        let mut body = None;
        if self.route.method() == Method::Post {
            headers.add("content-type", "application/json");
            scratch.body.clear();
            self.write_body(with_sessions, &mut scratch.body);
            body = Some(scratch.body.as_slice());
        }
        Forwarded { method: self.route.method(), target: &scratch.target, headers, body }
    }

    /// The URL to be signed, as a generator is to be sent it, whatever it speaks: without the sessions in it, where the policy
    /// keeps them back.
    pub fn forwarded_url(&self, sessions: SessionMode) -> Option<Cow<'_, str>> {
        self.target().map(|target| target.forwarded(sessions == SessionMode::Pass))
    }

    /// Writes the target as a record may hold it: the route, and of the query only room, URL (its host, path and
    /// room), client and device. What a client calls the parameter in which it puts a secret cannot be known, so all
    /// others are left out, and of one that is there more than once all but the one that was believed: whatever a client
    /// repeats, the rest has room in a record. True where it is as a record has it: there a URL is cut further, and what looks
    /// like a key is not shown though it names a room.
    pub fn write_public_target(&self, out: &mut String) -> bool {
        self.route.write_path(out);
        let mut separator = Separator('?');
        let marks = self.marks.all(self.query);
        // The last client is believed, and the first device, as `Request::read_query` reads them.
        let client = marks.iter().rposition(|mark| mark.param == Param::Client);
        let device = marks.iter().position(|mark| mark.param == Param::Device);
        for (place, mark) in marks.iter().enumerate() {
            if [client, device].contains(&Some(place)) {
                separator.write(out);
                out.push_str(if mark.param == Param::Client { "client=" } else { "device_id=" });
                let value = mark.parts(self.query).1;
                // A value that is kept has no escapes but needless ones.
                if may_be_kept(value.raw().as_bytes(), PUBLIC_VALUE_BYTES_MAX) {
                    out.push_str(&value.decoded());
                } else {
                    out.push('-');
                }
            }
        }
        if let Some(room) = self.room.filter(|room| self.route.room() != Some(*room)) {
            separator.write(out);
            out.push_str(if matches!(room, Room::Id(_)) { "room_id=" } else { "unique_id=" });
            write_room(room, out);
        }
        if let Some(target) = self.target() {
            separator.write(out);
            out.push_str("url=");
            write_escaped(&target.public(), out);
        }
        let is_shown = |room: Option<Room>| match room {
            Some(Room::Anchor(name)) => may_be_kept(name.as_str().as_bytes(), PUBLIC_ROOM_BYTES_MAX),
            Some(Room::Id(_)) | None => true,
        };
        let rooms_are_shown = is_shown(self.room) && is_shown(self.route.room());
        self.target().is_none() && rooms_are_shown
    }

    fn write_query(&self, with_sessions: bool, out: &mut String) {
        let mut separator = Separator('?');
        // A POST's URL goes in its body.
        let mut url = self.target().filter(|_| self.route.method() == Method::Get);
        let marks = self.marks.all(self.query);
        let mut from = 0;
        for mark in &*marks {
            let (name, value) = mark.parts(self.query);
            let rewritten = match mark.param {
                Param::Key => Rewritten::Dropped,
                Param::Url => url.take().map_or(Rewritten::Dropped, Rewritten::Url),
                Param::RoomId | Param::UniqueId => {
                    let room = self.forwarded_room(mark.param).filter(|_| !value.is_empty());
                    room.map_or(Rewritten::Dropped, Rewritten::Room)
                }
                Param::Session if !with_sessions => Rewritten::Dropped,
                Param::SessionPlace if !with_sessions && self.session.hash().is_some() => Rewritten::Dropped,
                _ => continue,
            };
            self.write_between(from, usize::from(mark.start), &mut separator, out);
            from = usize::from(mark.end);
            match rewritten {
                Rewritten::Dropped => {}
                Rewritten::Url(target) => {
                    separator.write(out);
                    out.push_str("url=");
                    write_escaped(&target.forwarded(with_sessions), out);
                }
                Rewritten::Room(room) => {
                    separator.write(out);
                    name.write_to(out);
                    out.push('=');
                    write_room(room, out);
                }
            }
        }
        self.write_between(from, self.query.len(), &mut separator, out);
    }

    /// Writes the pairs between two that were rewritten: in one piece, where all of the query is canonical.
    fn write_between(&self, from: usize, to: usize, separator: &mut Separator, out: &mut String) {
        let run = self.query.get(from..to).unwrap_or_default().trim_matches('&');
        if self.marks.canonical() {
            if !run.is_empty() {
                separator.write(out);
                out.push_str(run);
            }
            return;
        }
        // All were well-formed when the request was read.
        for pair in Pairs::of(run, u32::MAX).flatten() {
            separator.write(out);
            pair.name.write_to(out);
            out.push('=');
            pair.value.write_to(out);
        }
    }

    fn write_body(&self, with_sessions: bool, out: &mut Vec<u8>) {
        let mut separator = b'{';
        for (name, value) in self.body.iter().flat_map(super::body::Body::fields) {
            let param = Param::of(name);
            let room;
            let text = match param {
                // The URL follows, whether it stood here or in the query.
                Param::Key | Param::Device | Param::Url => continue,
                Param::Session if !with_sessions => continue,
                Param::SessionPlace if !with_sessions && self.session.hash().is_some() => continue,
                Param::RoomId | Param::UniqueId => {
                    let Some(named) = self.forwarded_room(param) else { continue };
                    let mut text = String::new();
                    write_room(named, &mut text);
                    room = Scalar::Text(text);
                    &room
                }
                Param::Session | Param::SessionPlace | Param::Client | Param::Other => value,
            };
            write_field(&mut separator, name, text, out);
        }
        if let Some(target) = self.target() {
            let url = Scalar::Text(target.forwarded(with_sessions).into_owned());
            write_field(&mut separator, "url", &url, out);
        }
        if separator == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
    }

    /// What stands where a client names the room by `param`; `None` where that is dropped: a unique id beside the id
    /// that is counted, which the generator might prefer.
    fn forwarded_room(&self, param: Param) -> Option<Room> {
        self.room.filter(|room| matches!(room, Room::Id(_)) == (param == Param::RoomId))
    }
}

/// What becomes of a pair that is not sent on as it stands.
enum Rewritten<'f> {
    Dropped,
    Url(&'f SignTarget),
    Room(Room),
}

/// `?` once, then `&`.
struct Separator(char);

impl Separator {
    fn write(&mut self, out: &mut String) {
        out.push(std::mem::replace(&mut self.0, '&'));
    }
}

fn write_room(room: Room, out: &mut String) {
    match room {
        Room::Id(id) => out.push_str(itoa::Buffer::new().format(id)),
        Room::Anchor(name) => out.push_str(name.as_str()),
    }
}

fn write_field(separator: &mut u8, name: &str, value: &Scalar, out: &mut Vec<u8>) {
    out.push(std::mem::replace(separator, b','));
    // Writing JSON to a vector cannot fail: these are texts, numbers and flags.
    drop(serde_json::to_writer(&mut *out, name));
    out.push(b':');
    drop(match value {
        Scalar::Text(text) => serde_json::to_writer(&mut *out, text),
        Scalar::Number(number) => serde_json::to_writer(&mut *out, number),
        Scalar::Flag(flag) => serde_json::to_writer(&mut *out, flag),
        Scalar::Null => serde_json::to_writer(&mut *out, &()),
    });
}

#[cfg(test)]
mod tests;
