//! Whether an answer will work at the client: judged by what is in it, never by its status alone.
//!
//! Generators answer 200 with nothing, with a stub, with a page of HTML when their session or address is burnt; clients
//! die on these (`contract.md` sections 3 and 4). What is asked of an answer here is what the clients need of it, as the
//! [`Rules`] say: a message of the right form with cookie, cursor, route and a push server of the platform
//! (`connect`), the URL that was asked for with a signature (`signed`), and no fewer bytes than is usual with this
//! generator (`usual`). How long a generator may take and how much it may send is bounded while it is read, by the wire.

mod connect;
mod rules;
mod signed;
mod usual;

use std::fmt;
use std::io::Read;

use bytes::Bytes;
use tokio::time::Instant;

use super::Question;
use super::reply::Reply;
use crate::base::header::is_value;
use crate::base::host::HostPattern;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::dialect::answer::{SignedUrl, loose};
use usual::UsualSize;

pub use rules::{PushHosts, Rules, Signature, Size};

/// A body may unpack to at most so many bytes.
const UNPACKED_MAX: u64 = 1024 * 1024;

/// A longer user agent is none: no server would take it.
const USER_AGENT_BYTES_MAX: usize = 2048;

/// An answer that will work.
#[derive(Debug, Clone)]
pub struct Good {
    /// As it came.
    pub reply: Reply,
    /// Its body, unpacked.
    pub body: Bytes,
    /// Of a signed URL: what it says. In a box: an answer is moved a few times, and most have none.
    pub signed: Option<Box<SignedUrl>>,
    /// The room that it is for, by its number, as the generator names it: the one that was asked for, where that was a number.
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
    /// An `X-Set-TT-Cookie` that is too long for the clients.
    OversizedCookie = "oversized cookie",
    /// Not the message that a connect is answered with.
    NotProtobuf = "not protobuf",
    /// The message has no cursor.
    NoCursor = "no cursor",
    /// The message names no WebSocket to go on to.
    NoPushServer = "no push server",
    /// The message leads to a host that is none of the platform's.
    FallbackHost = "fallback host",
    /// The message ends within a field, and its framing did not tell.
    MessageCut = "message cut short",
    /// It has far fewer bytes than is usual with this generator: a stub.
    TooSmall = "too small",
    /// The message has no route parameters: Python cannot go on.
    NoRouteParams = "no route parameters",
    /// It names another room than the one that was asked for.
    OtherRoom = "other room",
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
    /// A part of the signature is missing that the rules ask for.
    IncompleteSignature = "incomplete signature",
    /// A part of the signature does not look like one.
    ImplausibleSignature = "implausible signature",
    /// A part of the signature stands otherwise in the signed URL than beside it.
    OtherTokens = "other tokens",
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

/// Judges one generator's answers, by rules and by what is usual with it. Shared by all threads.
#[derive(Debug, Default)]
pub struct Judge {
    rules: Rules,
    connects: UsualSize,
    signed: UsualSize,
}

impl Judge {
    /// One that knows nothing of its generator yet.
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The built-in stand-in's: it leads to a host that is nowhere, and is good for what it is.
    pub fn of_stand_in() -> Self {
        let push_hosts = PushHosts::of([HostPattern::Host(super::adapters::stand_in::PUSH_HOST.into())]);
        Self::new(Rules { push_hosts, ..Rules::default() })
    }

    /// What it goes by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Judges an answer to `question`.
    pub fn judge(&self, question: &Question<'_>, reply: Reply) -> Judgement {
        match reply.status() {
            200 => match self.judge_content(question, reply) {
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

    fn judge_content(&self, question: &Question<'_>, reply: Reply) -> Result<Good, Fault> {
        let body = unpack(&reply)?;
        if body.is_empty() {
            return Err(Fault::EmptyBody);
        }
        let mut signed = None;
        match question.operation {
            Operation::Connect => connect::judge(&self.rules, reply.header("x-set-tt-cookie"), &body)?,
            Operation::SignUrl => {
                let asked = question.url.unwrap_or_default();
                let mut judged = signed::judge(self.rules.signature, asked, &body)?;
                // Where the generator does not say for which one it is, it is for the one that it was told.
                if !is_user_agent(&judged.user_agent) {
                    judged.user_agent = (question.browser_user_agent)().unwrap_or_default().into_owned();
                }
                signed = Some(Box::new(judged));
            }
            Operation::RoomId | Operation::Chat | Operation::Limits => judge_json(&body)?,
        }
        let room = room(question, &reply)?;
        if self.usual(question.operation).is_some_and(|usual| !usual.admits(body.len(), self.rules.size)) {
            return Err(Fault::TooSmall);
        }
        Ok(Good { reply, body, signed, room })
    }

    /// The sizes of answers to that operation; of those in free JSON none are learned, a short one is as good as a long one.
    const fn usual(&self, operation: Operation) -> Option<&UsualSize> {
        match operation {
            Operation::Connect => Some(&self.connects),
            Operation::SignUrl => Some(&self.signed),
            Operation::RoomId | Operation::Chat | Operation::Limits => None,
        }
    }

    /// How large its answers to that operation usually are, in bytes unpacked: the median; `None` while that is not known.
    pub fn usual_bytes(&self, operation: Operation) -> Option<u32> {
        self.usual(operation)?.median()
    }

    /// Lets it learn of the next answers. To be called a few times a second.
    pub fn keep_time(&self, now: Instant) {
        self.connects.keep_time(now);
        self.signed.keep_time(now);
    }
}

/// The room that an answer names, where that is one.
///
/// A connect that names another than it was asked for by number is refused, and not only its header left out: what is in
/// it leads into that room, whose number counts nobody, and to whoever asked it is as good as none. Beside the other answers the
/// header says nothing, and is left out.
fn room(question: &Question<'_>, reply: &Reply) -> Result<Option<Room>, Fault> {
    let number = |id: &[u8]| Room::parse_id(std::str::from_utf8(id).ok()?).ok();
    let named = reply.header("x-room-id").and_then(number);
    match question.room {
        Some(asked @ Room::Id(_)) if named.is_some_and(|named| named != asked) => {
            if question.operation == Operation::Connect { Err(Fault::OtherRoom) } else { Ok(None) }
        }
        _ => Ok(named),
    }
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

/// Of an answer that is passed on as it is: JSON in UTF-8 (RFC 8259 section 8.1), an object, and not one that says it failed.
fn judge_json(body: &[u8]) -> Result<(), Fault> {
    #[derive(serde::Deserialize)]
    struct Told {
        #[serde(default, deserialize_with = "loose::code")]
        code: Option<f64>,
    }
    // First, for texts that are not asked for are skipped unseen.
    let body = std::str::from_utf8(body).map_err(|_| Fault::NotJson)?;
    let loose::Object(told) =
        serde_json::from_str::<loose::Object<Told>>(body).map_err(|_| Fault::NotJson)?;
    if told.code.is_none_or(loose::is_success) { Ok(()) } else { Err(Fault::FailureCode) }
}

/// Whether it can be sent as one.
fn is_user_agent(text: &str) -> bool {
    !text.is_empty() && text.len() <= USER_AGENT_BYTES_MAX && is_value(text.as_bytes())
}

#[cfg(test)]
mod tests;
