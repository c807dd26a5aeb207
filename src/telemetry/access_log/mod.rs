//! The access record: one request, one JSON object a line, the input of replay (design 7).
//!
//! A worker writes an [`AccessRecord`] into its [`Recorder`]'s own buffer without allocating or waiting; full buffers go
//! to one writer thread over a bounded queue. Where that thread falls behind, lines are lost and counted, and requests
//! are not held up. Secrets cannot get in: the target is redacted as it is written ([`redact_target`]), keys and
//! sessions come as their public ids and hashes.
//!
//! **Of people** a line holds the client's address, account and key id, room, user agent, device id, session hash, and what
//! was decided. A file is removed after `keep`; addresses can be cut earlier (`rotation`), and lines taken out (`rewrite`, for
//! `signgate record purge`). Read [`AccessRecord`] first.

mod json;
mod recorder;
mod redact;
mod rewrite;
mod rotation;
#[cfg(test)]
mod tests;
mod writer;

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::operation::Operation;
use crate::base::request_id::RequestIdText;
use crate::base::room::Room;
use crate::base::secret::SessionHash;
use crate::base::time::{Timestamp, Wait};
use crate::engine::decision::{Decision, Reason, Refusal, Verdict};
use crate::engine::facts::TargetClaim;
use crate::policy::PolicySet;
use crate::policy::set::Digest;

use super::outcome::Outcome;
use json::{Object, key};

pub use recorder::{Recorder, Share};
pub use redact::redact_target;
pub use rewrite::{Edit, Rewritten, rehearse, rewrite};
pub use rotation::record_files;
pub use writer::{Destination, RecordError, RecordLog, RecordSettings};

/// The format of the lines, which each of them names: replay refuses those of a newer one.
pub const RECORD_FORMAT: u32 = 1;

/// A user agent is kept up to so many bytes: all that a request may have (`dialect::request`), as policies match all of it.
const USER_AGENT_BYTES_MAX: usize = 1024;

/// What is said of an event is kept up to so many bytes.
const DETAIL_BYTES_MAX: usize = 256;

/// An operator's order is kept up to so many bytes; none is longer.
const ORDER_BYTES_MAX: usize = 512;

/// Other texts of strangers are kept up to so many bytes; they are shorter in all that we have seen.
const WORD_BYTES_MAX: usize = 64;

/// At most so many reasons are written.
const REASONS_MAX: usize = 16;

/// What is known of a request when it is over. Borrows everything.
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    /// When it was decided, not when it ended: replay must not see the future.
    pub time: Timestamp,
    /// Tells the order of decisions of one moment.
    pub seq: u64,
    /// From the decision until its effects were booked: the answer was there, or the client was gone.
    pub duration: Duration,
    /// What the client was told as `X-Request-ID`.
    pub request_id: RequestIdText,
    /// The client's address, where its source named one.
    pub client: Option<IpAddr>,
    /// As the request line had it.
    pub method: &'a str,
    /// Path and query.
    pub target: Target<'a>,
    /// What there is to say of a key that is not in the decision's caller.
    pub key_doubt: Option<KeyDoubt>,
    /// The URL to be signed, where it stood in the body; `None` else.
    pub url: TargetClaim<'a>,
    /// The header; empty where there is none.
    pub user_agent: &'a str,
    /// The session that came along.
    pub session: Option<SessionHash>,
    /// The room as resolved at the decision, wherever it stood.
    pub room: Option<Room>,
    /// The room as the good answer named it.
    pub answer_room: Option<Room>,
    /// `None` where the request was refused before it was known.
    pub operation: Option<Operation>,
    /// Of the answer; 0 where none was sent.
    pub status: u16,
    /// What was decided, and by whom.
    pub ruling: Ruling<'a>,
    /// How it ended.
    pub outcome: Outcome,
    /// The generator that answered last; where no answer was good, the one with the defect.
    pub generator: Option<&'a str>,
    /// Why there was no good answer, where there was none.
    pub lapse: Option<Lapse>,
    /// How many generators were asked.
    pub attempts: u8,
    /// Whether the charge was taken back.
    pub refunded: bool,
    /// Whether the policy admits it and it was turned away for want of capacity, before anything was charged.
    pub turned_away: bool,
    /// How long it waited for a generator with room for it.
    pub queue: Duration,
    /// How long generators took, all attempts together.
    pub generator_time: Duration,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

/// Why an admitted request got no good answer. The words are closed sets, and metrics' labels as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// Generators were asked: what was the matter with the last answer, or with its not coming. The `reason` of
    /// `signgate_generator_answers_total`.
    Defect(&'static str),
    /// None was asked: what there was too little of. The `reason` of `signgate_shed_total`, or that no generator can do this.
    Lack(&'static str),
}

/// A key that was shown and is none of the policy's. Nothing is kept of it: it may be somebody else's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDoubt {
    /// Nobody knows it.
    Unknown,
    /// It was not looked up: its proxy has shown too many unknown ones, and has to wait so long.
    Barred(Wait),
}

/// Path and query of a request.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// As the request line had them: redacted as they are written.
    AsItCame(&'a str),
    /// As [`redact_target`] leaves them, made of what was read (`dialect::Request::write_public_target`). Tests hold the two to
    /// each other with every record that they write.
    Public(&'a str),
}

/// What was decided, and by whom.
#[derive(Debug, Clone, Copy)]
pub enum Ruling<'a> {
    /// By a policy set.
    Policy {
        /// The decision.
        decision: &'a Decision,
        /// The set that it was made with.
        policy: &'a PolicySet,
    },
    /// By the gateway itself, before any policy was asked: framing, sizes, unknown path or method.
    Gateway {
        /// The set in force, where there is one.
        policy: Option<Digest>,
        /// Why, in one word of the gateway's own.
        reason: &'static str,
    },
}

impl Ruling<'_> {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Policy { decision, .. } => decision.verdict(),
            Self::Gateway { .. } => Verdict::Deny,
        }
    }

    fn shadow_verdict(&self) -> Verdict {
        match self {
            Self::Policy { decision, .. } => decision.shadow_verdict(),
            Self::Gateway { .. } => Verdict::Deny,
        }
    }

    /// Whether both the enforced rules and those in shadow mode admit it.
    fn admits(&self) -> bool {
        self.verdict() == Verdict::Allow && self.shadow_verdict() == Verdict::Allow
    }
}

impl AccessRecord<'_> {
    /// Appends one line with its newline. Allocates nothing but room in `out`; adds at most about 12 KiB.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_line(None, out);
    }

    /// As [`write_json`](Self::write_json), with the share of such requests that is recorded, where it is not all.
    fn write_line(&self, share: Option<f64>, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.number(key!("time"), self.time.as_millis());
        line.number(key!("nanos"), self.time.as_nanos() % 1_000_000);
        line.number(key!("seq"), self.seq);
        line.number(key!("format"), RECORD_FORMAT.into());
        milliseconds(line.field(key!("duration_ms")), self.duration);
        self.write_policy(&mut line);
        let id = line.field(key!("request_id"));
        id.push(b'"');
        id.extend_from_slice(self.request_id.as_bytes());
        id.push(b'"');
        if let Some(client) = self.client {
            write_address(line.field(key!("client")), client);
        }
        self.write_key(&mut line);
        match self.key_doubt {
            Some(KeyDoubt::Unknown) => line.boolean(key!("key_unknown"), true),
            Some(KeyDoubt::Barred(wait)) => line.number(key!("key_barred_s"), wait.secs()),
            None => {}
        }
        json::string_bounded(line.field(key!("method")), self.method, WORD_BYTES_MAX);
        let target = line.field(key!("target"));
        target.push(b'"');
        match self.target {
            Target::AsItCame(text) => redact::redact_target(text, target),
            Target::Public(text) => {
                debug_assert!(redact::is_redacted(text), "`{text}` holds what no record may");
                target.extend_from_slice(text.as_bytes());
            }
        }
        target.push(b'"');
        if let TargetClaim::Url { host, path } = self.url {
            let url = line.field(key!("url"));
            url.extend_from_slice(b"\"https://");
            redact::redact_host_and_path(host, path, url);
            url.push(b'"');
        }
        json::string_bounded(line.field(key!("user_agent")), self.user_agent, USER_AGENT_BYTES_MAX);
        if let Some(session) = self.session {
            line.plain(key!("session"), session);
        }
        if let Some(room) = self.room {
            write_room(line.field(key!("room")), room);
        }
        if let Some(room) = self.answer_room {
            write_room(line.field(key!("answer_room")), room);
        }
        if let Some(operation) = self.operation {
            line.word(key!("operation"), operation.word());
        }
        line.number(key!("status"), u64::from(self.status));
        self.write_ruling(&mut line);
        line.word(key!("outcome"), self.outcome.word());
        if let Some(generator) = self.generator {
            json::string_bounded(line.field(key!("generator")), generator, WORD_BYTES_MAX);
        }
        match self.lapse {
            None => {}
            Some(Lapse::Defect(word)) => line.word(key!("defect"), word),
            Some(Lapse::Lack(word)) => line.word(key!("lack"), word),
        }
        line.number(key!("attempts"), u64::from(self.attempts));
        line.boolean(key!("refunded"), self.refunded);
        if self.turned_away {
            line.boolean(key!("turned_away"), true);
        }
        milliseconds(line.field(key!("queue_ms")), self.queue);
        milliseconds(line.field(key!("generator_ms")), self.generator_time);
        line.number(key!("bytes_in"), self.bytes_in);
        line.number(key!("bytes_out"), self.bytes_out);
        if let Some(share) = share {
            // Writing into a vector does not fail.
            let _ = write!(line.field(key!("share")), "{share}");
        }
        line.end();
        out.push(b'\n');
    }

    fn write_policy(&self, line: &mut Object<'_>) {
        let digest = match self.ruling {
            Ruling::Policy { policy, .. } => Some(policy.digest()),
            Ruling::Gateway { policy, .. } => policy,
        };
        if let Some(Digest(bytes)) = digest {
            json::hex(line.field(key!("policy")), &bytes);
        }
    }

    fn write_key(&self, line: &mut Object<'_>) {
        let identity = match &self.ruling {
            Ruling::Policy { decision, policy } => decision
                .caller
                .identity
                .as_ref()
                .map(|(account, key)| (account, key, decision.caller.tier, policy)),
            Ruling::Gateway { .. } => None,
        };
        let out = line.field(key!("key"));
        let Some((account, key, tier, policy)) = identity else {
            out.extend_from_slice(b"null");
            return;
        };
        let mut object = Object::begin(out);
        object.word(key!("id"), key.as_str());
        object.word(key!("account"), account.as_str());
        object.word(key!("tier"), policy.tier(tier).name.as_str());
        object.end();
    }

    /// Verdicts, the deciding rule, all reasons (of a refusal, else of what shadow mode would refuse), the wait.
    fn write_ruling(&self, line: &mut Object<'_>) {
        line.word(key!("verdict"), self.ruling.verdict().word());
        line.word(key!("shadow"), self.ruling.shadow_verdict().word());
        match self.ruling {
            Ruling::Gateway { reason, .. } => {
                line.text(key!("by"), "gateway");
                line.text(key!("rule"), reason);
                let out = line.field(key!("reasons"));
                out.push(b'[');
                json::string(out, reason);
                out.push(b']');
            }
            Ruling::Policy { decision, policy } => {
                if let Some(refusal) = &decision.refusal {
                    line.text(key!("rule"), refusal.first().rule_name(policy));
                    write_reasons(line.field(key!("reasons")), refusal, policy);
                    if let Some(wait) = refusal.wait() {
                        line.number(key!("wait"), wait.secs());
                    }
                }
                if let Some(refusal) = decision.shadow.refusal() {
                    write_reasons(line.field(key!("shadow_reasons")), refusal, policy);
                }
                // Seldom, and for the operator alone: the caller is not told.
                let refusals = decision.refusal.iter().chain(decision.shadow.refusal());
                if let Some(evidence) = refusals.flat_map(Refusal::reasons).find_map(Reason::evidence) {
                    line.text(key!("evidence"), &evidence.to_string());
                }
            }
        }
    }
}

fn write_reasons(out: &mut Vec<u8>, refusal: &Refusal, policy: &PolicySet) {
    out.push(b'[');
    for (place, reason) in refusal.reasons().take(REASONS_MAX).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        json::string(out, reason.rule_name(policy));
    }
    out.push(b']');
}

/// As its display, without the machinery of formatting: this runs for every request.
fn write_room(out: &mut Vec<u8>, room: Room) {
    out.push(b'"');
    match room {
        Room::Id(id) => json::integer(out, id),
        Room::Anchor(name) => {
            out.push(b'@');
            out.extend_from_slice(name.as_str().as_bytes());
        }
    }
    out.push(b'"');
}

/// As [`write_room`].
fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    out.push(b'"');
    match address {
        IpAddr::V4(v4) => {
            for (place, octet) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                json::integer(out, u64::from(octet));
            }
        }
        IpAddr::V6(v6) => {
            // Writing into a vector does not fail.
            let _ = write!(out, "{v6}");
        }
    }
    out.push(b'"');
}

/// Milliseconds with six places: replay orders what was booked by them, to the nanosecond.
fn milliseconds(out: &mut Vec<u8>, length: Duration) {
    let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    json::integer(out, nanos / 1_000_000);
    let rest = nanos % 1_000_000;
    if rest > 0 {
        let mut places = *b".000000";
        let mut left = rest;
        for place in places[1..].iter_mut().rev() {
            *place = b'0' + (left % 10) as u8;
            left /= 10;
        }
        let length = places.iter().rposition(|place| *place != b'0').map_or(0, |last| last + 1);
        out.extend_from_slice(&places[..length]);
    }
}

/// The gateway started, with nothing counted.
pub const START: &str = "start";

/// Something other than a request that changed what is decided: a line of its own.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// When it took effect.
    pub time: Timestamp,
    /// Its place among the decisions of that moment.
    pub seq: u64,
    /// What happened, in one word: [`start`](START), `reload`, `ban`.
    pub event: &'static str,
    /// The policy in force from then on.
    pub policy: Option<Digest>,
    /// What the operator ordered, as replay reads it.
    pub order: Option<&'a str>,
    /// What more there is to say of it; bounded, and never a secret.
    pub detail: Option<&'a str>,
}

impl Event<'_> {
    /// Appends one line with its newline.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.number(key!("time"), self.time.as_millis());
        line.number(key!("nanos"), self.time.as_nanos() % 1_000_000);
        line.number(key!("seq"), self.seq);
        line.number(key!("format"), RECORD_FORMAT.into());
        line.text(key!("event"), self.event);
        if let Some(Digest(bytes)) = self.policy {
            json::hex(line.field(key!("policy")), &bytes);
        }
        if let Some(order) = self.order {
            json::string_bounded(line.field(key!("order")), order, ORDER_BYTES_MAX);
        }
        if let Some(detail) = self.detail {
            json::string_bounded(line.field(key!("detail")), detail, DETAIL_BYTES_MAX);
        }
        line.end();
        out.push(b'\n');
    }
}
