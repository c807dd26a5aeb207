//! Whether an answer will work at the client: judged by what is in it, never by its status alone.
//!
//! Generators answer 200 with nothing, with a stub, with a page of HTML when their session or address is burnt; clients
//! die on these (`contract.md` sections 3 and 4). What is asked of an answer here is what the clients need of it.

use std::fmt;
use std::io::Read;

use bytes::Bytes;
use prost::Message;

use super::Question;
use super::reply::Reply;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::dialect::answer::SignedUrl;

/// A body may unpack to at most so many bytes.
const UNPACKED_MAX: u64 = 1024 * 1024;

/// An answer that will work.
#[derive(Debug, Clone)]
pub struct Good {
    /// As it came.
    pub reply: Reply,
    /// Its body, unpacked.
    pub body: Bytes,
    /// Of a signed URL: what it says.
    pub signed: Option<SignedUrl>,
    /// The room that it is for, as the generator names it.
    pub room: Option<Room>,
}

/// What the judge found.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for every good answer")]
pub enum Judgement {
    /// It will work.
    Good(Good),
    /// The generator did its work and says that the request is at fault, with this status: 400, 404, 410, 422 and the like.
    BlamesRequest(u16),
    /// It is none.
    Bad(Fault),
}

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// Why an answer is none. A closed set of short texts: each is a metric's label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $variant,)+
        }

        impl Fault {
            /// Every one, for metrics that are resolved beforehand.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The short text.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

faults! {
    /// A soft block: 200 with nothing in it.
    EmptyBody = "empty body",
    /// No `X-Set-TT-Cookie: name=value`.
    NoCookie = "no cookie",
    /// Not the message that a connect is answered with.
    NotProtobuf = "not protobuf",
    /// The message has no cursor.
    NoCursor = "no cursor",
    /// The message names no WebSocket to go on to.
    NoPushServer = "no push server",
    /// The message has no route parameters: Python cannot go on.
    NoRouteParams = "no route parameters",
    /// Not JSON, or not an object.
    NotJson = "not json",
    /// The JSON says itself that it failed.
    FailureCode = "failure code",
    /// The signed URL is missing, or is no URL.
    NoSignedUrl = "no signed url",
    /// The signed URL is not the URL that was asked for.
    OtherUrl = "other url signed",
    /// The signed URL carries no signature.
    Unsigned = "no signature",
    /// A content coding other than gzip, a broken one, or one that unpacks to too much.
    UnreadableCoding = "unreadable coding",
    /// Status 429: the generator's own limit.
    OwnLimit = "own limit",
    /// Status 401, 403 or 407: the generator does not take us.
    RefusesUs = "refuses us",
    /// A redirect.
    Redirect = "redirect",
    /// Status 5xx.
    ServerError = "server error",
    /// Any other status.
    OddStatus = "odd status",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Of `ProtoMessageFetchResult` the fields that are judged. As bytes: they are looked at in place, not copied.
#[derive(Clone, PartialEq, Message)]
struct FetchResult {
    #[prost(bytes = "bytes", tag = "2")]
    cursor: Bytes,
    /// A map: of its entries the last one; all that counts is whether there is one.
    #[prost(bytes = "bytes", tag = "7")]
    route_params: Bytes,
    #[prost(bytes = "bytes", tag = "10")]
    push_server: Bytes,
}

/// Judges an answer to `question`.
pub fn judge(question: &Question<'_>, reply: Reply) -> Judgement {
    match reply.status() {
        200 => match judge_content(question, reply) {
            Ok(good) => Judgement::Good(good),
            Err(fault) => Judgement::Bad(fault),
        },
        429 => Judgement::Bad(Fault::OwnLimit),
        401 | 403 | 407 => Judgement::Bad(Fault::RefusesUs),
        // A generator that has no such path, or that was too slow to read us, is not the caller's fault.
        405 | 408 | 421 | 426 | 431 => Judgement::Bad(Fault::OddStatus),
        status @ 400..=499 => Judgement::BlamesRequest(status),
        300..=399 => Judgement::Bad(Fault::Redirect),
        500..=599 => Judgement::Bad(Fault::ServerError),
        _ => Judgement::Bad(Fault::OddStatus),
    }
}

fn judge_content(question: &Question<'_>, reply: Reply) -> Result<Good, Fault> {
    let body = unpack(&reply)?;
    if body.is_empty() {
        return Err(Fault::EmptyBody);
    }
    let mut signed = None;
    match question.operation {
        Operation::Connect => judge_connect(&reply, &body)?,
        Operation::SignUrl => signed = Some(judge_signed(question.url.unwrap_or_default(), &body)?),
        Operation::RoomId | Operation::Chat | Operation::Limits => judge_json(&body)?,
    }
    let room = reply.header("x-room-id").and_then(|id| Room::parse_id(std::str::from_utf8(id).ok()?).ok());
    Ok(Good { reply, body, signed, room })
}

fn unpack(reply: &Reply) -> Result<Bytes, Fault> {
    let body = reply.body();
    match reply.header("content-encoding") {
        None => Ok(body),
        Some(coding) if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") => Ok(body),
        Some(coding) if coding.eq_ignore_ascii_case(b"gzip") => {
            let mut unpacked = Vec::new();
            let mut bounded = flate2::read::GzDecoder::new(&body[..]).take(UNPACKED_MAX + 1);
            bounded.read_to_end(&mut unpacked).map_err(|_| Fault::UnreadableCoding)?;
            if unpacked.len() as u64 > UNPACKED_MAX {
                return Err(Fault::UnreadableCoding);
            }
            Ok(unpacked.into())
        }
        Some(_) => Err(Fault::UnreadableCoding),
    }
}

fn judge_connect(reply: &Reply, body: &Bytes) -> Result<(), Fault> {
    let cookie = reply.header("x-set-tt-cookie").unwrap_or_default();
    if !cookie.iter().position(|byte| *byte == b'=').is_some_and(|at| at > 0 && at + 1 < cookie.len()) {
        return Err(Fault::NoCookie);
    }
    let result = FetchResult::decode(body.clone()).map_err(|_| Fault::NotProtobuf)?;
    if result.cursor.is_empty() || std::str::from_utf8(&result.cursor).is_err() {
        return Err(Fault::NoCursor);
    }
    if !is_websocket(&result.push_server) {
        return Err(Fault::NoPushServer);
    }
    if result.route_params.is_empty() {
        return Err(Fault::NoRouteParams);
    }
    Ok(())
}

/// Whether it is the URL of a WebSocket with a host: `wss://host…`.
fn is_websocket(url: &[u8]) -> bool {
    let rest = url.strip_prefix(b"wss://").or_else(|| url.strip_prefix(b"ws://")).unwrap_or_default();
    let host = rest.split(|byte| matches!(byte, b'/' | b'?' | b'#')).next().unwrap_or_default();
    !host.is_empty() && host.iter().all(u8::is_ascii_graphic) && !host.contains(&b'@')
}

fn judge_signed(asked: &str, body: &[u8]) -> Result<SignedUrl, Fault> {
    use crate::dialect::answer::SignedUrlError;
    let signed = SignedUrl::parse(body).map_err(|error| match error {
        SignedUrlError::Json(_) => Fault::NotJson,
        SignedUrlError::Code(_) => Fault::FailureCode,
        SignedUrlError::Missing => Fault::NoSignedUrl,
    })?;
    let url = url::Url::parse(&signed.signed_url).map_err(|_| Fault::NoSignedUrl)?;
    let asked = url::Url::parse(asked).map_err(|_| Fault::OtherUrl)?;
    if (url.scheme(), url.host_str(), url.path()) != (asked.scheme(), asked.host_str(), asked.path()) {
        return Err(Fault::OtherUrl);
    }
    // What a signer adds or puts in order is its own affair; the room is what was counted.
    let room =
        |url: &url::Url| url.query_pairs().find(|(key, _)| key == "room_id").map(|(_, id)| id.into_owned());
    if room(&asked).is_some_and(|asked| room(&url) != Some(asked)) {
        return Err(Fault::OtherUrl);
    }
    let has = |name: &str| url.query_pairs().any(|(key, value)| key == name && !value.is_empty());
    if !["X-Bogus", "X-Gnarly", "_signature"].into_iter().any(has) {
        return Err(Fault::Unsigned);
    }
    Ok(signed)
}

/// Of an answer that is passed on as it is: JSON, an object, and not one that says it failed.
fn judge_json(body: &[u8]) -> Result<(), Fault> {
    #[derive(serde::Deserialize)]
    struct Told {
        code: Option<f64>,
    }
    // A derived struct reads an array of its fields as well: `[null]` is no answer.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Fault::NotJson);
    }
    let told: Told = serde_json::from_slice(body).map_err(|_| Fault::NotJson)?;
    match told.code {
        Some(code) if (code - 200.0).abs() >= 1.0 => Err(Fault::FailureCode),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
