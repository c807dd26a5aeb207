//! How a refusal is said: its status, its headers, and a JSON body that is never empty.
//!
//! All three kinds of refusal end here, so that every client finds the same words: what the policy refuses, a request that
//! is at fault, and generators that gave no good answer. Read [`Rejected`] first.
//!
//! The body is `{"code": <status>, "message", "error", "limit_label", "retry_after"?, "request_id", "reasons"?}`: Python and
//! Node 2 show `message`, Node 1 reads `error`, both print `limit_label` before the text (contract 5). An empty body would
//! make Python ask its user "Are you being detected by TikTok?", and one that is not JSON ends Node with a SyntaxError.
//!
//! **Deliberately absent:** the refusal of sign-a-URL as HTTP 200 with `code: 403` in the body. That is how Python is told
//! of a *premium* feature, which we have none of; every refusal here has its status on the wire.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::base::request_id::{RequestId, RequestIdText};
use crate::base::text::cut;
use crate::base::time::{Timestamp, Wait};
use crate::engine::decision::{Reason, Refusal};
use crate::engine::viewbot::Against;
use crate::policy::set::PolicySet;

use super::head::{Answer, Field, Head, Text};
use super::ratelimit::{self, Limits, RemainingAs};

/// A message in a body holds at most so many bytes of text; a longer one is cut, and ends in `…`.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// A body names at most so many reasons.
pub const REASONS_MAX: usize = 8;

/// The wait of a 429 or 503 for which nobody gave one: Python dies of a 429 without a number.
const WAIT_UNKNOWN: Wait = Wait::of(Duration::from_secs(1));

/// A request that gets no good answer: status, label, message, and perhaps a wait.
///
/// Borrows the policy and the decision; a fault that has nothing to do with them is `'static`.
#[derive(Debug, Clone)]
pub struct Rejected<'a> {
    cause: Cause<'a>,
    limits: Option<Limits<'a>>,
}

#[derive(Debug, Clone)]
enum Cause<'a> {
    Policy {
        refusal: &'a Refusal,
        policy: &'a PolicySet,
    },
    Own {
        status: StatusCode,
        label: &'static str,
        message: Cow<'static, str>,
        wait: Option<Wait>,
        allow: Option<&'static str>,
    },
}

/// In which way the generators failed a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// 502: those that were asked gave no good answer.
    Failed,
    /// 503: none may be asked: all are ejected, all are busy, or load is shed.
    NoCapacity,
    /// 504: the deadline passed.
    Late,
}

impl Unavailable {
    /// Its status (RFC 9110 sections 15.6.3 to 15.6.5).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Failed => StatusCode::BAD_GATEWAY,
            Self::NoCapacity => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl<'a> Rejected<'a> {
    /// What the policy refuses.
    pub const fn refused(refusal: &'a Refusal, limits: Limits<'a>) -> Self {
        Self { cause: Cause::Policy { refusal, policy: limits.policy }, limits: Some(limits) }
    }

    /// A fault of the request: framing, sizes, an unknown path, two room ids that disagree. `status` is one of 400 to 499
    /// (any other becomes 400: a refusal must never look like success).
    ///
    /// The message is read by its caller: it says what to change, and must hold no secret.
    pub fn request(status: StatusCode, label: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let status = if status.is_client_error() { status } else { StatusCode::BAD_REQUEST };
        Self::own(status, label, message.into(), None)
    }

    /// A method that the path does not know; `allow` lists those that it does, separated by commas (RFC 9110 section
    /// 15.5.6 wants them told).
    pub fn method(allow: &'static str) -> Self {
        let message = "this path is not asked with this method; see the `Allow` header";
        let mut rejected =
            Self::own(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message.into(), None);
        if let Cause::Own { allow: slot, .. } = &mut rejected.cause {
            *slot = Some(allow);
        }
        rejected
    }

    /// Too much at once, of something that no rule of the policy counts: connections of a source, keys tried.
    pub fn throttled(label: &'static str, message: impl Into<Cow<'static, str>>, wait: Wait) -> Self {
        Self::own(StatusCode::TOO_MANY_REQUESTS, label, message.into(), Some(wait))
    }

    /// Generators that gave no good answer. With a wait (a 503 always has one), the text ends in "; try again in …".
    pub fn unavailable(
        how: Unavailable,
        label: &'static str,
        message: impl Into<Cow<'static, str>>,
        wait: Option<Wait>,
    ) -> Self {
        Self::own(how.status(), label, message.into(), wait)
    }

    /// Tells what is left of the caller's windows beside a refusal that is not the policy's.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits<'a>) -> Self {
        self.limits = Some(limits);
        self
    }

    fn own(status: StatusCode, label: &'static str, message: Cow<'static, str>, wait: Option<Wait>) -> Self {
        let needs_wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let wait = wait.or(needs_wait.then_some(WAIT_UNKNOWN));
        Self { cause: Cause::Own { status, label, message, wait, allow: None }, limits: None }
    }

    /// The status of the answer, and the `code` of its body.
    pub fn status(&self) -> StatusCode {
        match &self.cause {
            Cause::Policy { refusal, .. } => status_of(refusal.first()),
            Cause::Own { status, .. } => *status,
        }
    }

    /// What clients print before the text, and what records and metrics call it.
    pub fn label(&self) -> &str {
        match &self.cause {
            Cause::Policy { refusal, .. } => refusal.first().label(),
            Cause::Own { label, .. } => label,
        }
    }

    /// How long to wait, where waiting helps: the same number in every header and in the text.
    pub fn wait(&self) -> Option<Wait> {
        match &self.cause {
            Cause::Policy { refusal, .. } => refusal.wait(),
            Cause::Own { wait, .. } => *wait,
        }
    }

    /// The text that an end user reads.
    pub fn message(&self) -> impl fmt::Display + '_ {
        Message(&self.cause)
    }

    /// The whole answer.
    pub fn answer(&self, id: RequestId, now: Timestamp, user_agent: &str) -> Answer {
        let id = id.text();
        let head = self.head(&id, now, RemainingAs::of_user_agent(user_agent));
        Answer { status: self.status(), head, body: self.body(&id), time: now }
    }

    fn head(&self, id: &RequestIdText, now: Timestamp, remaining: RemainingAs) -> Head {
        let mut head = Head::new();
        head.set(Field::ContentType, "application/json");
        head.set(Field::CacheControl, "no-store");
        head.set(Field::RequestId, id.as_bytes());
        // The connector for Node takes the id of its rate-limit errors from here.
        head.set(Field::LogId, id.as_bytes());
        match (&self.cause, self.limits) {
            (Cause::Policy { refusal, .. }, Some(limits)) => {
                ratelimit::write_refusal(&mut head, limits, refusal, now, remaining);
            }
            // The windows have nothing to do with this wait: told beside it they would contradict it.
            (Cause::Own { status: StatusCode::TOO_MANY_REQUESTS, wait: Some(wait), .. }, _) => {
                ratelimit::write_wait(&mut head, *wait, now, remaining);
            }
            (_, Some(limits)) => ratelimit::write_standing(&mut head, limits, now),
            (_, None) => {}
        }
        if let Some(wait) = self.wait().filter(|_| !head.has(Field::RetryAfter)) {
            head.set_number(Field::RetryAfter, wait.secs());
        }
        if let Cause::Own { allow: Some(allow), .. } = &self.cause {
            head.set(Field::Allow, allow);
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 11.6.1 wants a challenge; of the ways that a key may come (contract 1) only this one is a
            // registered scheme. RFC 6750 section 3.1 has the word for a credential that is known to be no good.
            head.set(Field::WwwAuthenticate, "Bearer realm=\"sign service\", error=\"invalid_token\"");
        }
        head
    }

    fn body(&self, id: &RequestIdText) -> Bytes {
        let mut body = Vec::with_capacity(1024);
        body.extend_from_slice(b"{\"code\":");
        body.extend_from_slice(self.status().as_str().as_bytes());
        body.extend_from_slice(b",\"message\":");
        let message = body.len();
        write_json(&mut body, self.message());
        let message = message..body.len();
        body.extend_from_slice(b",\"error\":");
        body.extend_from_within(message);
        body.extend_from_slice(b",\"limit_label\":");
        write_json_text(&mut body, self.label());
        if let Some(wait) = self.wait() {
            body.extend_from_slice(b",\"retry_after\":");
            body.extend_from_slice(itoa::Buffer::new().format(wait.secs()).as_bytes());
        }
        body.extend_from_slice(b",\"request_id\":\"");
        body.extend_from_slice(id.as_bytes());
        body.push(b'"');
        if let Cause::Policy { refusal, policy } = &self.cause
            && refusal.reasons().nth(1).is_some()
        {
            write_reasons(&mut body, refusal, policy);
        }
        body.push(b'}');
        Bytes::from(body)
    }
}

struct Message<'a>(&'a Cause<'a>);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Cause::Policy { refusal, policy } => refusal.first().describe(policy).fmt(f),
            Cause::Own { message, wait: None, .. } => f.write_str(message),
            Cause::Own { message, wait: Some(wait), .. } => write!(f, "{message}; try again in {wait}"),
        }
    }
}

/// The status of each finding (design 3, the order of checks). Whatever has a wait is a 429, for clients look for one there.
const fn status_of(reason: &Reason) -> StatusCode {
    match reason {
        Reason::Blocked { .. }
        | Reason::KeyProxy
        | Reason::KeyRoom
        | Reason::TargetNotListed
        | Reason::SessionRefused
        | Reason::Banned(_)
        | Reason::BannedByOperator(_)
        | Reason::Viewbot(Against { wait: None, .. }) => StatusCode::FORBIDDEN,
        Reason::KeyUnknown | Reason::KeyExpired { .. } | Reason::KeyDisabled => StatusCode::UNAUTHORIZED,
        Reason::KeyAttempts { .. }
        | Reason::Viewbot(Against { wait: Some(_), .. })
        | Reason::Quota { .. }
        | Reason::Rate { .. }
        | Reason::Concurrency { .. } => StatusCode::TOO_MANY_REQUESTS,
    }
}

fn write_reasons(body: &mut Vec<u8>, refusal: &Refusal, policy: &PolicySet) {
    let mut separator: &[u8] = b",\"reasons\":[";
    for reason in refusal.reasons().take(REASONS_MAX) {
        body.extend_from_slice(separator);
        separator = b",";
        body.extend_from_slice(b"{\"label\":");
        write_json_text(body, reason.label());
        body.extend_from_slice(b",\"message\":");
        write_json(body, reason.describe(policy));
        body.push(b'}');
    }
    body.push(b']');
}

/// Writes a JSON string (RFC 8259 section 7) of at most [`MESSAGE_BYTES_MAX`] bytes of text.
fn write_json(body: &mut Vec<u8>, text: impl fmt::Display) {
    body.push(b'"');
    let start = body.len();
    // Writing to a Vec cannot fail.
    let _ = write!(Text(body), "{text}");
    finish_json(body, start);
}

/// The same without the machinery of formatting.
fn write_json_text(body: &mut Vec<u8>, text: &str) {
    body.push(b'"');
    let start = body.len();
    body.extend_from_slice(text.as_bytes());
    finish_json(body, start);
}

/// Makes a JSON string of the text that was appended since `start`, and closes it. Nearly every text stands as it is.
fn finish_json(body: &mut Vec<u8>, start: usize) {
    let text = &body[start..];
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Without an early exit the compiler makes this wide.
    let special = text.iter().fold(0, |any, byte| any | u8::from(is_special(*byte))) != 0;
    if special || text.len() > MESSAGE_BYTES_MAX {
        let text = String::from_utf8(body.split_off(start)).unwrap_or_default();
        let kept = cut(&text, MESSAGE_BYTES_MAX);
        for character in kept.chars() {
            match character {
                '"' | '\\' => body.extend_from_slice(&[b'\\', character as u8]),
                '\n' => body.extend_from_slice(b"\\n"),
                '\0'..' ' => {
                    let _ = write!(Text(body), "\\u{:04x}", character as u32);
                }
                _ => body.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if kept.len() < text.len() {
            body.extend_from_slice("…".as_bytes());
        }
    }
    body.push(b'"');
}

#[cfg(test)]
mod tests;
