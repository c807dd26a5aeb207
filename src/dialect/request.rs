//! One request, read once: the head first, then the body where one is awaited.
//!
//! Everything that a request may say twice is gathered here from all the places where it can stand, and must agree.
//! Past this point there is one key (a hash), one room, one URL, one session (a hash).

use std::borrow::Cow;

use super::body::{Body, Scalar};
use super::fault::Fault;
use super::library;
use super::marks::Marks;
use super::param::Param;
use super::query::{Coded, Pairs};
use super::rooms::Named;
use super::route::{Method, Route};
use super::session::{Place, Session, header_text};
use super::target::SignTarget;
use crate::base::header::is_name;
use crate::base::library::Library;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::base::secret::KeyHash;
use crate::base::text::may_be_kept;

/// The longest request target that is read, in bytes: a URL of 8 KiB, escaped throughout, and what stands beside it.
pub const TARGET_BYTES_MAX: usize = 32 * 1024;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// The longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// How many parameters a query may have.
const PAIRS_MAX: u32 = 64;

/// The longest `User-Agent`, in bytes. Policies match patterns against it, at a cost of pattern times text.
const USER_AGENT_BYTES_MAX: usize = 1024;

/// The longest `Accept` and `x-oauth-token`, in bytes.
const HEADER_BYTES_MAX: usize = 4 * 1024;

/// The longest `x-cookie-header`, in bytes: a browser's whole jar for one site.
const COOKIES_BYTES_MAX: usize = 16 * 1024;

/// A request as far as it has been read. Borrows from the head; owns what had to be decoded.
#[derive(Clone)]
pub struct Request<'r> {
    pub(super) route: Route,
    /// The raw query: every pair of it has been found well-formed.
    pub(super) query: &'r str,
    pub(super) marks: Marks,
    pub(super) key: Option<KeyHash>,
    named: Named,
    pub(super) room: Option<Room>,
    pub(super) target: Option<SignTarget>,
    pub(super) session: Session,
    hash_key: &'r [u8; 32],
    pub(super) user_agent: &'r str,
    pub(super) accept: &'r str,
    pub(super) cookies: &'r str,
    pub(super) oauth_token: &'r str,
    pub(super) library: Library,
    pub(super) device: Option<Cow<'r, str>>,
    pub(super) body: Option<Body>,
}

impl<'r> Request<'r> {
    /// Reads a head. `target` is path and query in origin form; `headers` are names, in either case, with their values;
    /// `hash_key` is the deployment's own, under which sessions are hashed.
    pub fn read(
        method: &str,
        target: &'r str,
        headers: impl IntoIterator<Item = (impl AsRef<[u8]>, &'r [u8])>,
        hash_key: &'r [u8; 32],
    ) -> Result<Self, Fault> {
        if target.len() > TARGET_BYTES_MAX {
            return Err(Fault::TargetTooLong);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let route = Route::find(method, path)?;
        let mut request = Self {
            route,
            query,
            marks: Marks::default(),
            key: None,
            named: Named::default(),
            room: None,
            target: None,
            session: Session::default(),
            hash_key,
            user_agent: "",
            accept: "",
            cookies: "",
            oauth_token: "",
            library: Library::UNKNOWN,
            device: None,
            body: None,
        };
        let mut key = Key(None);
        request.read_query(&mut key)?;
        request.read_headers(headers, &mut key)?;
        if let Some(library) = library::of_user_agent(request.user_agent) {
            request.library = library;
        }
        let mut in_path = Named::default();
        route.room().map_or(Ok(()), |room| in_path.room(room))?;
        request.named.acted_on(in_path)?;
        request.key = key.0.map(|text| KeyHash::of(&text));
        request.room = request.named.settled()?;
        if request.is_nothing_to_sign() && !request.awaits_body() {
            return Err(Fault::MissingUrl);
        }
        Ok(request)
    }

    fn read_query(&mut self, key: &mut Key<'r>) -> Result<(), Fault> {
        for pair in Pairs::of(self.query, PAIRS_MAX) {
            let pair = pair?;
            let param = Param::of(&pair.name.decoded());
            self.marks.add(&pair, param);
            if pair.value.is_empty() {
                continue;
            }
            let value = || pair.value.decoded();
            match param {
                Param::Key => key.add(bytes_of(value()))?,
                Param::Url => self.read_url(value())?,
                Param::RoomId => self.named.id(&value())?,
                Param::UniqueId => self.named.anchor(&value())?,
                Param::Session => self.session.add(self.hash_key, Place::Query, value().as_bytes()),
                Param::Client => self.library = library::of_client(&value()),
                Param::Device => self.device = self.device.take().or_else(|| Some(device(&pair.value))),
                Param::SessionPlace | Param::Other => {}
            }
        }
        Ok(())
    }

    fn read_headers(
        &mut self,
        headers: impl IntoIterator<Item = (impl AsRef<[u8]>, &'r [u8])>,
        key: &mut Key<'r>,
    ) -> Result<(), Fault> {
        for (name, value) in headers {
            let name = name.as_ref();
            let is = |known: &str| is_name(name, known);
            // The length tells most headers apart from ours.
            match name.len() {
                6 if is("accept") && self.accept.is_empty() => {
                    self.accept = header_text("accept", value, HEADER_BYTES_MAX)?;
                }
                6 if is("cookie") => {
                    let cookies = header_text("cookie", value, COOKIES_BYTES_MAX)?;
                    self.session.add_cookies(self.hash_key, Place::Cookie, cookies);
                }
                9 if is("x-api-key") || is("x-jwt-key") => key.add(Cow::Borrowed(value))?,
                10 if is("user-agent") => {
                    let text = header_text("user-agent", value, USER_AGENT_BYTES_MAX)?;
                    once("user-agent", &mut self.user_agent, text)?;
                }
                13 if is("authorization") => key.add(Cow::Borrowed(bearer(value)))?,
                13 if is("x-oauth-token") => {
                    let token = header_text("x-oauth-token", value, HEADER_BYTES_MAX)?;
                    once("x-oauth-token", &mut self.oauth_token, token)?;
                    self.session.add(self.hash_key, Place::OauthToken, token.as_bytes());
                }
                15 if is("x-cookie-header") => {
                    let cookies = header_text("x-cookie-header", value, COOKIES_BYTES_MAX)?;
                    once("x-cookie-header", &mut self.cookies, cookies)?;
                    self.session.add_cookies(self.hash_key, Place::CookieHeader, cookies);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_url(&mut self, text: Cow<'_, str>) -> Result<(), Fault> {
        let target = SignTarget::read(text, self.hash_key, &mut self.session)?;
        self.named.acted_on(target.named())?;
        match &self.target {
            Some(before) if *before != target => Err(Fault::ConflictingUrl),
            _ => {
                self.target = Some(target);
                Ok(())
            }
        }
    }

    /// Reads the body. Without effect where none is [awaited](Self::awaits_body): it is not forwarded either.
    pub fn read_body(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if !self.awaits_body() {
            return Ok(());
        }
        if bytes.len() > BODY_BYTES_MAX {
            return Err(Fault::BodyTooLarge);
        }
        let body = Body::read(bytes)?;
        for (name, value) in body.fields() {
            let number;
            let text = match value {
                Scalar::Text(text) => text.as_str(),
                Scalar::Number(value) => {
                    number = value.to_string();
                    &number
                }
                Scalar::Flag(_) | Scalar::Null => "",
            };
            match Param::of(name) {
                // The body is no place for a key, so it may only repeat the one that the head shows.
                Param::Key if self.key != Some(KeyHash::of(text.as_bytes())) => {
                    return Err(Fault::ConflictingKey);
                }
                Param::Url => self.read_url(Cow::Borrowed(text))?,
                Param::RoomId => self.named.id(text)?,
                Param::UniqueId => self.named.anchor(text)?,
                Param::Session => self.session.add(self.hash_key, Place::Body, text.as_bytes()),
                Param::Key | Param::SessionPlace | Param::Client | Param::Device | Param::Other => {}
            }
        }
        self.body = Some(body);
        self.room = self.named.settled()?;
        if self.is_nothing_to_sign() { Err(Fault::MissingUrl) } else { Ok(()) }
    }

    /// Whether a body belongs to the request and has not been read yet.
    pub fn awaits_body(&self) -> bool {
        self.route.method() == Method::Post && self.body.is_none()
    }

    /// Whether all is there that the operation needs; [`Fault::MissingRoom`] where it is about a room and names none.
    ///
    /// For live requests, once the body is read. Replay does not ask: a record's own room is as good.
    pub fn complete(&self) -> Result<(), Fault> {
        let needs_room = match self.operation() {
            Operation::Connect | Operation::RoomId | Operation::Chat => true,
            Operation::SignUrl | Operation::Limits => false,
        };
        if needs_room && self.room.is_none() { Err(Fault::MissingRoom) } else { Ok(()) }
    }

    fn is_nothing_to_sign(&self) -> bool {
        self.operation() == Operation::SignUrl && self.target.is_none()
    }

    /// What is asked for.
    pub fn operation(&self) -> Operation {
        self.route.operation()
    }

    /// The route: operation, generation and method.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The key, hashed; `None` is anonymous.
    pub fn key(&self) -> Option<KeyHash> {
        self.key
    }

    /// The room, in its one form.
    pub fn room(&self) -> Option<Room> {
        self.room
    }

    /// The library, as it says.
    pub fn library(&self) -> Library {
        self.library
    }

    /// The URL to be signed. A connect may hold one too: Go sends the whole of what it wants fetched.
    pub fn target(&self) -> Option<&SignTarget> {
        self.target.as_ref()
    }

    /// The browser's user agent that the client wants a signature for (`userAgent` of the body, `user_agent` of the
    /// query).
    pub fn browser_user_agent(&self) -> Option<Cow<'_, str>> {
        let in_body =
            self.body.as_ref().and_then(|body| body.text("userAgent").or_else(|| body.text("user_agent")));
        in_body.map(Cow::Borrowed).or_else(|| {
            let mut pairs = Pairs::of(self.query, PAIRS_MAX).flatten();
            pairs.find(|pair| pair.name.decoded() == "user_agent").map(|pair| pair.value.decoded())
        })
    }
}

/// What a log line may hold: neither query nor cookies nor body.
impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("route", &self.route)
            .field("room", &self.room)
            .field("target", &self.target)
            .field("library", &self.library)
            .finish_non_exhaustive()
    }
}

/// The key that was shown, until it is hashed.
struct Key<'r>(Option<Cow<'r, [u8]>>);

impl<'r> Key<'r> {
    /// Takes in a key; an empty one is none.
    fn add(&mut self, text: Cow<'r, [u8]>) -> Result<(), Fault> {
        let text = match text {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.trim_ascii()),
            Cow::Owned(bytes) => Cow::Owned(bytes.trim_ascii().to_vec()),
        };
        if text.is_empty() {
            return Ok(());
        }
        if text.len() > KEY_BYTES_MAX {
            return Err(Fault::KeyTooLong);
        }
        match &self.0 {
            Some(before) if *before != text => Err(Fault::ConflictingKey),
            _ => {
                self.0 = Some(text);
                Ok(())
            }
        }
    }
}

/// A device id, where it looks like one: at most 64 bytes of what words and numbers are made of. All others are one and the same, `-`,
/// as the access record keeps no more of them (`telemetry::access_log`), and replay must see the viewers that were seen.
fn device<'r>(value: &Coded<'r>) -> Cow<'r, str> {
    const BYTES_MAX: usize = 64;
    if may_be_kept(value.raw().as_bytes(), BYTES_MAX) { value.decoded() } else { Cow::Borrowed("-") }
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1); empty for any other scheme, which is not for us.
fn bearer(value: &[u8]) -> &[u8] {
    match value.trim_ascii().split_at_checked(6) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer") && rest.starts_with(b" ") => {
            rest.trim_ascii()
        }
        _ => b"",
    }
}

fn bytes_of(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// Puts a header's value in its place; a second, different one is a fault.
fn once<'r>(name: &'static str, place: &mut &'r str, text: &'r str) -> Result<(), Fault> {
    if !place.is_empty() && !text.is_empty() && *place != text {
        return Err(Fault::ConflictingHeader { name });
    }
    if place.is_empty() {
        *place = text;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
