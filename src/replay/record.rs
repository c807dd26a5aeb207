//! One recorded request, held until its turn. Owns what it needs in one text, and is used again for another.

use std::net::IpAddr;
use std::time::Duration;

use super::line::{Key, Line};
use crate::base::net::parse_address;
use crate::base::room::Room;
use crate::base::secret::SessionHash;
use crate::base::time::{Timestamp, Wait};
use crate::dialect::recorded::{Recorded, RecordedKey};
use crate::dialect::{Fault, Request};
use crate::engine::decision::Verdict;
use crate::engine::order::Order;
use crate::telemetry::outcome::Outcome;

/// No request takes longer: what a line says beyond that is cut.
const DURATION_MAX: Duration = Duration::from_secs(3_600);

/// A buffer that has grown beyond so many bytes is not kept for the next record.
const TEXT_KEPT_BYTES: usize = 4 << 10;

/// Where a line stands in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The how-manieth file, from 0.
    pub file: u16,
    /// The how-manieth line of it, from 0.
    pub line: u64,
}

/// A part of a record's text.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    from: u32,
    to: u32,
}

/// One recorded request.
#[derive(Debug, Default)]
pub struct Record {
    /// Where it stands.
    pub place: Place,
    /// When it was decided.
    pub time: Timestamp,
    /// Its place among the decisions of that moment.
    pub seq: u64,
    /// How it ended; `None` where the line does not say: then it had a good answer, at once.
    pub ended: Option<Ended>,
    /// What the line says was decided.
    pub verdict: Option<Verdict>,
    /// Whether it is the one that was looked for.
    pub wanted: bool,
    /// Whether the gateway refused it by itself, before any policy was asked: no policy can change that.
    pub by_gateway: bool,
    /// What an operator ordered: then it is no request, and nothing else of it is set.
    pub order: Option<Order>,
    text: String,
    client: Option<IpAddr>,
    room: Option<Room>,
    session: Option<SessionHash>,
    key: HeldKey,
    method: Span,
    target: Span,
    user_agent: Span,
    rule: Span,
    request_id: Span,
    policy: Span,
    url: Option<(Span, Span)>,
    headers: Vec<(Span, Span)>,
}

/// How a recorded request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// How long after the decision.
    pub after: Duration,
    /// In one word.
    pub outcome: Outcome,
    /// The room as the good answer named it.
    pub answer_room: Option<Room>,
}

#[derive(Debug, Clone, Copy, Default)]
enum HeldKey {
    #[default]
    NotSaid,
    None,
    Known {
        id: Span,
        account: Span,
        tier: Span,
    },
    Unknown,
    Barred(Wait),
}

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is no {1}")]
    Bad(&'static str, &'static str),
}

impl Record {
    /// Takes in a line.
    pub(super) fn fill(&mut self, line: &Line<'_>, place: Place) -> Result<(), Broken> {
        self.begin(line, place);
        self.by_gateway = line.by.as_deref() == Some("gateway");
        self.verdict = match line.verdict.as_deref() {
            None => None,
            Some(word) => Verdict::ALL.into_iter().find(|verdict| verdict.word() == word),
        };
        self.client = match line.client.as_deref() {
            Some(text) => Some(parse_address(text).ok_or(Broken::Bad("client", "address"))?),
            None if self.by_gateway => None,
            None => return Err(Broken::Missing("client")),
        };
        self.room = room("room", line.room.as_deref())?;
        self.session = match line.session.as_deref() {
            None | Some("") => None,
            // A foreign one is any text that tells sessions apart.
            Some(text) => Some(
                SessionHash::parse(text)
                    .unwrap_or_else(|| SessionHash::of(FOREIGN_SESSIONS, text.as_bytes())),
            ),
        };
        self.ended = ended(line)?;
        let required = |name, text: Option<&str>| match text {
            None if !self.by_gateway => Err(Broken::Missing(name)),
            text => Ok(text.map(str::len)),
        };
        required("method", line.method.as_deref())?;
        required("target", line.target.as_deref())?;
        self.method = self.keep(line.method.as_deref());
        self.target = self.keep(line.target.as_deref());
        self.user_agent = self.keep(line.user_agent.as_deref());
        self.rule = self.keep(line.rule.as_deref());
        self.request_id = self.keep(line.request_id.as_deref());
        self.policy = self.keep(line.policy.as_deref());
        self.key = match (&line.key, line.key_barred_s) {
            (Key::Known(key), _) => HeldKey::Known {
                id: self.keep(Some(&key.id)),
                account: self.keep(Some(&key.account)),
                tier: self.keep(Some(&key.tier)),
            },
            (_, Some(secs)) => HeldKey::Barred(Wait::of(Duration::from_secs(secs))),
            _ if line.key_unknown == Some(true) => HeldKey::Unknown,
            (Key::None, None) => HeldKey::None,
            (Key::NotSaid, None) => HeldKey::NotSaid,
        };
        self.url = match line.url.as_deref() {
            None => None,
            Some(url) => {
                let rest = url.strip_prefix("https://").ok_or(Broken::Bad("url", "https URL"))?;
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let path = path.split('?').next().unwrap_or_default();
                Some((self.keep(Some(host)), self.keep(Some(if path.is_empty() { "/" } else { path }))))
            }
        };
        for (name, value) in line.headers.iter().flat_map(|headers| &headers.0) {
            let header = (self.keep(Some(name)), self.keep(Some(value)));
            self.headers.push(header);
        }
        Ok(())
    }

    /// Takes in the line of an operator's order.
    pub(super) fn fill_order(&mut self, line: &Line<'_>, order: Order, place: Place) {
        self.begin(line, place);
        self.order = Some(order);
    }

    fn begin(&mut self, line: &Line<'_>, place: Place) {
        self.text.clear();
        self.headers.clear();
        self.place = place;
        self.time = line.time.0 + Duration::from_nanos(line.nanos.unwrap_or_default().min(999_999).into());
        self.seq = line.seq.unwrap_or_default();
        self.wanted = false;
        self.order = None;
    }

    fn keep(&mut self, text: Option<&str>) -> Span {
        let from = self.text.len() as u32;
        self.text.push_str(text.unwrap_or_default());
        Span { from, to: self.text.len() as u32 }
    }

    fn part(&self, span: Span) -> &str {
        self.text.get(span.from as usize..span.to as usize).unwrap_or_default()
    }

    /// Reads the request as a live one is read.
    pub fn request(&self) -> Result<Request<'_>, Fault> {
        let headers = self.headers.iter().map(|(name, value)| (self.part(*name), self.part(*value)));
        Request::read_recorded(self.method(), self.target(), self.part(self.user_agent), headers)
    }

    /// What it says beside its request line; `None` where there is no client, which only the gateway's own refusals lack.
    pub fn recorded(&self) -> Option<Recorded<'_>> {
        Some(Recorded {
            client: self.client?,
            key: match self.key {
                HeldKey::NotSaid => RecordedKey::NotSaid,
                HeldKey::None => RecordedKey::None,
                HeldKey::Known { id, account, tier } => RecordedKey::Known {
                    id: self.part(id),
                    account: self.part(account),
                    tier: self.part(tier),
                },
                HeldKey::Unknown => RecordedKey::Unknown,
                HeldKey::Barred(wait) => RecordedKey::Barred(wait),
            },
            room: self.room,
            session: self.session,
            url: self.url.map(|(host, path)| (self.part(host), self.part(path))),
        })
    }

    /// The client's address.
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// The room, where the line names one beside the target.
    pub fn room(&self) -> Option<Room> {
        self.room
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.part(self.method)
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        self.part(self.target)
    }

    /// The account of the key; empty where the line names none.
    pub fn account(&self) -> &str {
        match self.key {
            HeldKey::Known { account, .. } => self.part(account),
            _ => "",
        }
    }

    /// The tier of the key; empty where the line names none.
    pub fn tier(&self) -> &str {
        match self.key {
            HeldKey::Known { tier, .. } => self.part(tier),
            _ => "",
        }
    }

    /// The rule that the line says decided; where the gateway refused by itself, its own reason. Empty where there is none.
    pub fn rule(&self) -> &str {
        self.part(self.rule)
    }

    /// The id that its client was told.
    pub fn request_id(&self) -> &str {
        self.part(self.request_id)
    }

    /// The digest of the policy that decided it.
    pub fn policy(&self) -> &str {
        self.part(self.policy)
    }

    /// Lets go of a buffer that has grown.
    pub(super) fn trim(&mut self) {
        if self.text.capacity() > TEXT_KEPT_BYTES {
            self.text = String::new();
            self.headers = Vec::new();
        }
    }
}

/// Sessions of foreign records are hashed once more: to tell them apart.
const FOREIGN_SESSIONS: &[u8; 32] = b"one key for all foreign sessions";

fn room(name: &'static str, text: Option<&str>) -> Result<Option<Room>, Broken> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => match Room::parse_id(text) {
            Err(_) if text.bytes().any(|byte| !byte.is_ascii_digit()) => Room::parse_anchor(text),
            read => read,
        }
        .map(Some),
    }
    .map_err(|_| Broken::Bad(name, "room"))
}

/// Our own words, and those that foreign records are likely to have.
fn outcome(word: &str) -> Option<Outcome> {
    Outcome::from_word(word).or(match word {
        "ok" | "success" => Some(Outcome::Good),
        "failed" | "failure" | "error" | "bad" => Some(Outcome::GeneratorFailed),
        _ => None,
    })
}

fn ended(line: &Line<'_>) -> Result<Option<Ended>, Broken> {
    let outcome = match line.outcome.as_deref() {
        Some(word) => Some(outcome(word).ok_or(Broken::Bad("outcome", "outcome"))?),
        // Its counts went back, so a generator failed.
        None if line.refunded == Some(true) => Some(Outcome::GeneratorFailed),
        None => None,
    };
    let after = match line.duration_ms {
        None => Duration::ZERO,
        Some(millis) if millis.is_finite() && millis >= 0.0 => {
            Duration::try_from_secs_f64(millis.min(DURATION_MAX.as_millis() as f64) / 1e3)
                .unwrap_or(DURATION_MAX)
        }
        Some(_) => return Err(Broken::Bad("duration_ms", "length of time")),
    };
    let answer_room = room("answer_room", line.answer_room.as_deref())?;
    Ok(outcome.map(|outcome| Ended { after, outcome, answer_room }))
}
