//! Towards the generators: choose one, forward, judge what came back.
//!
//! A generator is an upstream that signs. Several may stand behind one gateway; which one answers a request is chosen by
//! two random choices over the work in flight. What comes back is held and [judged](judge) by its content, never by its
//! status alone, and only what will work reaches a client. One failure of a generator may be mended by asking another.
//!
//! Read [`fleet::Fleet::ask`] first. The HTTP client is [`wire`]; how each kind is spoken to is in [`adapters`].

pub mod adapters;
pub mod canary;
pub mod fleet;
pub mod judge;
pub mod reply;
pub mod wire;

use std::borrow::Cow;

use crate::base::operation::Operation;
use crate::base::room::Room;

/// What a generator is asked.
#[derive(Clone, Copy)]
pub struct Question<'q> {
    /// What for.
    pub operation: Operation,
    /// The room, where one is named.
    pub room: Option<Room>,
    /// The URL to be signed, as it is forwarded.
    pub url: Option<&'q str>,
    /// The browser's user agent that the signature is for, where one is named. Read only by those who need it: the sign
    /// API finds it in the request's own words.
    pub browser_user_agent: &'q dyn Fn() -> Option<Cow<'q, str>>,
    /// The request in the words of the sign API, without the generator's own key.
    pub method: wire::Method,
    /// Path and query.
    pub target: &'q str,
    /// Through the allow-list.
    pub headers: &'q [(&'q str, &'q str)],
    /// The body, serialised again.
    pub body: Option<&'q [u8]>,
}

/// Why a request got no good answer, though some generator should have given one: never the caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// No answer came.
    #[error("{}", .0.reason())]
    Wire(wire::WireError),
    /// An answer came, and is none.
    #[error("{0}")]
    Judged(judge::Fault),
    /// Every generator that could be asked has as much work in flight as it may.
    #[error("no capacity")]
    NoCapacity,
    /// No generator is configured that can do this.
    #[error("no generator for this operation")]
    NoneConfigured,
}

impl Failure {
    /// A short static text: a metric's label, a word of the record.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Wire(error) => error.reason(),
            Self::Judged(fault) => fault.text(),
            Self::NoCapacity => "no capacity",
            Self::NoneConfigured => "no generator for this operation",
        }
    }
}
