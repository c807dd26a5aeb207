//! Towards the generators: choose one, forward, judge what came back.
//!
//! A generator is an upstream that signs. Several may stand behind one gateway. What comes back is held and [judged](judge)
//! by its content, never by its status alone, and only what will work reaches a client.
//!
//! ```text
//! Fleet::ask -> door, queue -> choice -> race: ask, retry, hedge -> judge        one per thread
//!               shedding queue balance   race  budget     bell      latency health: read by all, kept by the keeper
//! ```
//!
//! A request is turned away or waits while all permits are out ([`shedding`], [`queue`]); it goes to the better of two
//! generators in service ([`balance`], over [`latency`] and work in flight); failures and delays are mended by others
//! (`race`, within a [`budget`]). Who is in service follows from judged answers ([`health`]), if the fault is not the request's
//! ([`witness`]), and, out of ejection, from probes alone. What threads share is in the [`roster`].
//! Whoever asks a generator holds a permit for it; of one that cannot be left, the work itself does (`unattended`).
//!
//! Read [`fleet::Fleet::ask`] first. The HTTP client is [`wire`]; how each kind is spoken to is in [`adapters`].

pub mod adapters;
pub mod attempt;
pub mod balance;
pub mod bell;
pub mod budget;
pub mod canary;
pub mod condition;
pub mod fleet;
pub mod health;
pub mod judge;
pub mod keeper;
pub mod latency;
pub mod member;
#[cfg(test)]
mod played;
pub mod probe;
pub mod queue;
mod race;
pub mod reply;
pub mod roster;
pub mod settings;
pub mod shedding;
pub mod stage;
pub mod trial;
mod unattended;
pub mod wire;
pub mod witness;

use std::borrow::Cow;
use std::time::Duration;

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
    /// No generator was asked, for want of capacity. It may be worth coming back after so long.
    #[error("{}", .0.text())]
    NoCapacity(Lack, Duration),
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
            Self::NoCapacity(lack, _) => lack.text(),
            Self::NoneConfigured => "no generator for this operation",
        }
    }
}

/// What there was too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lack {
    /// No generator is in service, and this request was not one of the few that are tried all the same.
    AllOut,
    /// More arrives than can be served: this request was turned away at the door.
    Shed,
    /// As many wait as may, or this one had to make room for another.
    QueueFull,
    /// No generator had room in time, or would have had.
    QueueSlow,
}

impl Lack {
    /// All of them, in the order of their places.
    pub const ALL: [Self; 4] = [Self::AllOut, Self::Shed, Self::QueueFull, Self::QueueSlow];

    /// A short static text: a metric's label.
    pub const fn text(self) -> &'static str {
        match self {
            Self::AllOut => "all-out",
            Self::Shed => "shed",
            Self::QueueFull => "queue-full",
            Self::QueueSlow => "queue-slow",
        }
    }
}
