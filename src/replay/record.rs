//! One recorded request, held until its turn. What many say alike it shares (`shared.rs`); it is used again for another.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::line::{Key, Line};
use super::shared::{Asked, HeldKey, Places, Shared};
use super::tally::Seat;
use crate::base::net::parse_address;
use crate::base::prefetch::prefetch;
use crate::base::room::Room;
use crate::base::secret::SessionHash;
use crate::base::text::cut;
use crate::base::time::{Timestamp, Wait};
use crate::dialect::Fault;
use crate::dialect::recorded::{Reading, Recorded, RecordedKey};
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
    /// Whether it was turned away for want of capacity, before anything was charged: so it is in a replay.
    pub turned_away: bool,
    /// Which of the policies that the feed [looks for](super::feed::Feed::look_for_policies) decided it, as the line says.
    pub decided_by: Option<u8>,
    /// What an operator ordered: then it is no request, and nothing else of it is set.
    pub order: Option<Box<Order>>,
    /// Whether the gateway started, with nothing counted: it is no request either.
    pub starts: bool,
    /// Of most records nothing: what is not [shared](super::shared).
    kept: Option<Box<Kept>>,
    asked: Option<Rc<Asked>>,
    client: Option<IpAddr>,
    room: Option<Room>,
    session: Option<SessionHash>,
    key: SaidKey,
}

/// Texts that few records hold.
#[derive(Debug, Default)]
struct Kept {
    text: String,
    rule: Span,
    request_id: Span,
    policy: Span,
    /// Host and path.
    url: Option<(Span, Span)>,
}

impl Kept {
    fn keep(&mut self, text: Option<&str>) -> Span {
        let from = self.text.len() as u32;
        self.text.push_str(text.unwrap_or_default());
        Span { from, to: self.text.len() as u32 }
    }

    fn part(&self, span: Span) -> &str {
        self.text.get(span.from as usize..span.to as usize).unwrap_or_default()
    }
}

/// How a recorded request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// How long after the decision, in nanoseconds.
    pub after: u64,
    /// In one word.
    pub outcome: Outcome,
    /// The room as the good answer named it.
    pub answer_room: Option<Room>,
}

#[derive(Debug, Clone, Default)]
enum SaidKey {
    #[default]
    NotSaid,
    None,
    Known(Rc<HeldKey>),
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
    /// Takes in a line. `with_names`: what only somebody who looks for one record asks of it is kept, too.
    pub(super) fn fill(
        &mut self,
        line: &Line<'_>,
        place: Place,
        (shared, places): (&mut Shared, Places),
        with_names: bool,
    ) -> Result<(), Broken> {
        self.begin(line, place);
        self.by_gateway = line.by.as_deref() == Some("gateway");
        self.turned_away = line.turned_away == Some(true);
        self.verdict = match line.verdict.as_deref() {
            None => None,
            Some(word) => Verdict::ALL.into_iter().find(|verdict| verdict.word() == word),
        };
        let (asked, key) = shared_texts(line);
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
            _ => Ok(()),
        };
        required("method", line.method.as_deref())?;
        required("target", line.target.as_deref())?;
        self.asked = Some(match &line.headers {
            Some(headers) if !headers.0.is_empty() => {
                let headers = headers.0.iter().map(|(name, value)| (&**name, &**value));
                Rc::new(Asked::read(asked, headers))
            }
            _ => shared.asked(places, asked),
        });
        if with_names || self.by_gateway {
            let kept = self.kept.get_or_insert_default();
            kept.rule = kept.keep(line.rule.as_deref().map(shown));
            kept.request_id = kept.keep(line.request_id.as_deref());
            kept.policy = kept.keep(line.policy.as_deref());
        }
        self.key = match (&line.key, line.key_barred_s) {
            (Key::Known(_), _) => SaidKey::Known(shared.key(places, key)),
            (_, Some(secs)) => SaidKey::Barred(Wait::of(Duration::from_secs(secs))),
            _ if line.key_unknown == Some(true) => SaidKey::Unknown,
            (Key::None, None) => SaidKey::None,
            (Key::NotSaid, None) => SaidKey::NotSaid,
        };
        if let Some(url) = line.url.as_deref() {
            let rest = url.strip_prefix("https://").ok_or(Broken::Bad("url", "https URL"))?;
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = path.split('?').next().unwrap_or_default();
            let kept = self.kept.get_or_insert_default();
            kept.url =
                Some((kept.keep(Some(host)), kept.keep(Some(if path.is_empty() { "/" } else { path }))));
        }
        Ok(())
    }

    /// Takes in the line of an operator's order.
    pub(super) fn fill_order(&mut self, line: &Line<'_>, order: Order, place: Place) {
        // A request that it held before may have set anything.
        *self = Self::default();
        self.begin(line, place);
        self.order = Some(Box::new(order));
    }

    /// Takes in the line of a gateway's start.
    pub(super) fn fill_start(&mut self, line: &Line<'_>, place: Place) {
        *self = Self::default();
        self.begin(line, place);
        self.starts = true;
    }

    fn begin(&mut self, line: &Line<'_>, place: Place) {
        if let Some(kept) = &mut self.kept {
            let text = std::mem::take(&mut kept.text);
            **kept = Kept { text, ..Kept::default() };
            kept.text.clear();
        }
        self.place = place;
        self.time = line.time.0 + Duration::from_nanos(line.nanos.unwrap_or_default().min(999_999).into());
        self.seq = line.seq.unwrap_or_default();
        self.wanted = false;
        self.decided_by = None;
        self.order = None;
        self.starts = false;
    }

    fn part(&self, span: impl FnOnce(&Kept) -> Span) -> &str {
        self.kept.as_ref().map_or("", |kept| kept.part(span(kept)))
    }

    /// What was read of the request, as a live one is read.
    pub fn request(&self) -> &Result<Reading, Fault> {
        self.asked.as_ref().map_or(&Err(Fault::BadTarget), |asked| &asked.reading)
    }

    /// What it says beside its request line; `None` where there is no client, which only the gateway's own refusals lack.
    pub fn recorded(&self) -> Option<Recorded<'_>> {
        Some(Recorded {
            client: self.client?,
            key: match &self.key {
                SaidKey::NotSaid => RecordedKey::NotSaid,
                SaidKey::None => RecordedKey::None,
                SaidKey::Known(key) => key.recorded(),
                SaidKey::Unknown => RecordedKey::Unknown,
                SaidKey::Barred(wait) => RecordedKey::Barred(*wait),
            },
            room: self.room,
            session: self.session,
            url: self.kept.as_ref().and_then(|kept| {
                let (host, path) = kept.url?;
                Some((kept.part(host), kept.part(path)))
            }),
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
        self.asked.as_ref().map_or("", |asked| asked.method())
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        self.asked.as_ref().map_or("", |asked| asked.target())
    }

    /// The account of the key, as it is shown; empty where the line names none.
    pub fn account(&self) -> &str {
        match &self.key {
            SaidKey::Known(key) => shown(key.account()),
            _ => "",
        }
    }

    /// The account of the key, and its seat in the tally of accounts, where the line names one.
    pub(super) fn account_seat(&self) -> Option<(&Seat, &str)> {
        match &self.key {
            SaidKey::Known(key) => Some((&key.seat, shown(key.account()))),
            _ => None,
        }
    }

    /// The room that the request itself names, and its seat in the tally of rooms.
    pub(super) fn room_seat(&self) -> Option<(&Seat, Room)> {
        let asked = self.asked.as_ref()?;
        Some((&asked.seat, asked.reading.as_ref().ok()?.room()?))
    }

    /// The tier of the key; empty where the line names none.
    pub fn tier(&self) -> &str {
        match &self.key {
            SaidKey::Known(key) => key.tier(),
            _ => "",
        }
    }

    /// The rule that the line says decided; where the gateway refused by itself, its own reason. Empty where there is none,
    /// and, as the two after it, where neither one record is looked for nor the gateway refused it.
    pub fn rule(&self) -> &str {
        self.part(|kept| kept.rule)
    }

    /// The id that its client was told.
    pub fn request_id(&self) -> &str {
        self.part(|kept| kept.request_id)
    }

    /// The digest of the policy that decided it.
    pub fn policy(&self) -> &str {
        self.part(|kept| kept.policy)
    }

    /// Asks for its own memory.
    pub(super) fn prefetch(&self) {
        prefetch(self);
        prefetch(&self.asked);
        prefetch(&self.key);
        prefetch(&self.client);
        prefetch(&self.room);
    }

    /// Asks for the memory of what it shares.
    pub(super) fn prefetch_shared(&self) {
        if let Some(asked) = &self.asked {
            prefetch(&**asked);
            if let Ok(reading) = &asked.reading {
                reading.prefetch();
            }
        }
        if let SaidKey::Known(key) = &self.key {
            prefetch(&**key);
        }
    }

    /// Asks for the texts of what it shares.
    pub(super) fn prefetch_texts(&self) {
        if let Ok(reading) = self.request() {
            reading.prefetch_texts();
        }
        if let SaidKey::Known(key) = &self.key {
            key.prefetch();
        }
    }

    /// Lets go of what it shares, and of a buffer that has grown.
    pub(super) fn trim(&mut self) {
        self.asked = None;
        self.key = SaidKey::NotSaid;
        self.kept.take_if(|kept| kept.text.capacity() > TEXT_KEPT_BYTES);
    }
}

/// A name of which at most so many bytes are counted by and shown: ours are shorter, and others may have any.
const NAME_BYTES_MAX: usize = 128;

fn shown(name: &str) -> &str {
    cut(name, NAME_BYTES_MAX)
}

/// Of a line's texts those that it may share: its request line with the user agent, and id, account and tier of the key.
pub(super) fn shared_texts<'l>(
    line: &'l Line<'_>,
) -> ((&'l str, &'l str, &'l str), (&'l str, &'l str, &'l str)) {
    let [method, target, user_agent] =
        [&line.method, &line.target, &line.user_agent].map(|text| text.as_deref().unwrap_or_default());
    let key = match &line.key {
        Key::Known(key) => (&*key.id, &*key.account, &*key.tier),
        Key::None | Key::NotSaid => ("", "", ""),
    };
    ((method, target, user_agent), key)
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
    Ok(outcome.map(|outcome| Ended { after: after.as_nanos() as u64, outcome, answer_room }))
}
