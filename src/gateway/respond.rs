//! The words of every answer.

use bytes::Bytes;
use http::StatusCode;
use smallvec::SmallVec;

use super::admit::Stop;
use super::exchange::Exchange;
use crate::base::time::{Timestamp, Wait};
use crate::dialect::Fault;
use crate::dialect::answer::{self, Body, SignedShape};
use crate::dialect::head::{Answer, Field, Head};
use crate::dialect::ratelimit::Limits;
use crate::dialect::refusal::{Rejected, Unavailable};
use crate::dialect::route::Generation;
use crate::generator::judge::Good;
use crate::generator::reply::Reply;
use crate::generator::wire::WireError;
use crate::generator::{Failure, Lack};

/// A good answer, in the shape of the client's generation.
pub(super) fn good(exchange: &Exchange<'_>, good: &Good, alias: &str, generation: Generation) -> Answer {
    let standings = exchange.standings();
    let limits = Limits { policy: &exchange.live.policy, standings: &standings };
    let form = if good.signed.is_some() { Body::Json } else { Body::Decoded };
    // What a generator calls itself may name it; clients are told what the operator says. The stand-in always owns up.
    let agent = (!matches!(good.reply, Reply::Made { .. })).then_some(alias);
    let head = answer::head(good.reply.headers(), agent, good.room, form, exchange.id, limits, exchange.now);
    let shape = if generation == Generation::Zero { SignedShape::Flat } else { SignedShape::Nested };
    let body = good.signed.as_ref().map_or_else(|| good.body.clone(), |signed| signed.body(shape));
    with(head, body, exchange.now)
}

/// Says why there is no good answer, and notes it.
pub(super) fn refusal(exchange: &mut Exchange<'_>, stop: &Stop, user_agent: &str) -> Answer {
    let standings = match stop {
        Stop::Framing(_) | Stop::Fault(_) => SmallVec::new(),
        Stop::Refused | Stop::Blamed(_) | Stop::Failed(_) => exchange.standings(),
    };
    match stop {
        Stop::Framing(rejection) => exchange.invalid(rejection.label),
        Stop::Fault(fault) => exchange.invalid(fault.label()),
        Stop::Refused | Stop::Blamed(_) | Stop::Failed(_) => {}
    }
    let limits = Limits { policy: &exchange.live.policy, standings: &standings };
    let rejected = match stop {
        Stop::Framing(rejection) => Rejected::request(rejection.status, rejection.label, rejection.message),
        Stop::Fault(fault) => of_fault(*fault),
        Stop::Refused => match exchange.decision().and_then(|decision| decision.refusal.as_ref()) {
            Some(refusal) => Rejected::refused(refusal, limits),
            // Nobody stops for a refusal without having one.
            None => Rejected::request(StatusCode::FORBIDDEN, "refused", "this request is refused"),
        },
        Stop::Blamed(status) => blamed(*status).with_limits(limits),
        Stop::Failed(failure) => unavailable(*failure).with_limits(limits),
    };
    rejected.answer(exchange.id, exchange.now, user_agent)
}

fn of_fault(fault: Fault) -> Rejected<'static> {
    if let Some(allow) = fault.allow() {
        return Rejected::method(allow);
    }
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
    Rejected::request(status, fault.label(), fault.to_string())
}

/// What a generator says against a request, in our words: its own could name it.
fn blamed(status: u16) -> Rejected<'static> {
    let (status, label, message) = match status {
        404 | 410 => (
            StatusCode::NOT_FOUND,
            "not_found",
            "the sign service does not find this room or streamer; is the streamer live?",
        ),
        402 => {
            (StatusCode::PAYMENT_REQUIRED, "premium", "the sign service offers this only to paying customers")
        }
        413 => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the sign service finds this request too large"),
        _ => (
            StatusCode::BAD_REQUEST,
            "bad_request",
            "the sign service cannot use this request; check its parameters",
        ),
    };
    Rejected::request(status, label, message)
}

/// How the generators failed, in words that name none of them.
fn unavailable(failure: Failure) -> Rejected<'static> {
    let mut wait = WAIT_FOR_GENERATORS;
    let (how, label, message) = match failure {
        Failure::NoCapacity(lack, told) => {
            wait = told;
            let (label, message) = match lack {
                Lack::AllOut => ("no_generator_works", "no signature generator works at the moment"),
                Lack::Shed => (
                    "overloaded",
                    "the sign service has more to do than it can; this request was turned away",
                ),
                Lack::QueueFull => {
                    ("queue_full", "all signature generators are busy, and too many requests wait for them")
                }
                Lack::QueueSlow => ("no_capacity", "all signature generators are busy"),
            };
            (Unavailable::NoCapacity, label, message)
        }
        Failure::NoneConfigured => (
            Unavailable::NoCapacity,
            "no_generator",
            "no signature generator of this sign service can do this",
        ),
        Failure::Wire(WireError::TimedOut(_)) => {
            (Unavailable::Late, "generator_timeout", "the signature generator did not answer in time")
        }
        Failure::Wire(WireError::NotConnected(_)) => {
            (Unavailable::NoCapacity, "generator_unreachable", "the signature generator cannot be reached")
        }
        Failure::Wire(_) => {
            (Unavailable::Failed, "generator_failed", "the signature generator gave no complete answer")
        }
        Failure::Judged(_) => (
            Unavailable::Failed,
            "generator_failed",
            "the signature generator gave an answer that would not have worked",
        ),
    };
    Rejected::unavailable(how, label, message, Some(Wait::of(wait)))
}

/// What a caller is told to wait for generators that failed: nobody knows, and most failures are over sooner.
const WAIT_FOR_GENERATORS: std::time::Duration = std::time::Duration::from_secs(2);

/// The answer of the health path.
pub(super) fn health(draining: bool, now: Timestamp) -> Answer {
    let mut head = Head::new();
    head.set(Field::ContentType, "application/json");
    head.set(Field::CacheControl, "no-store");
    let (status, body) = if draining {
        (StatusCode::SERVICE_UNAVAILABLE, &b"{\"status\":\"stopping\"}"[..])
    } else {
        (StatusCode::OK, &b"{\"status\":\"ok\"}"[..])
    };
    Answer { status, ..with(head, Bytes::from_static(body), now) }
}

/// Head and body with status 200.
pub(super) fn with(head: Head, body: Bytes, now: Timestamp) -> Answer {
    Answer { status: StatusCode::OK, head, body, time: now }
}
