//! The answer to "how much have I left": one shape that generations A, B and C read, free of charge.
//!
//! `{code, message, minute, hour?, day?, load_shedding: {at, chance}}`, each window as `{max, remaining, reset_at}`
//! (contract 3; EulerApiSdk 0.1.0 and @eulerstream/euler-api-sdk 0.3.0: the windows are optional there, but none may be
//! null, and `load_shedding` must be there). The `?type=` of generation B chooses among kinds of limits that we do not
//! have apart: it is read by nobody, and the answer is the same. A window of another length stands beside them under the
//! name of its length (`30m`, `week`).
//!
//! **Several rules, one window.** Of all windows of one length the tightest is told, the one with the fewest left: that is
//! how many requests would be admitted.
//!
//! [`LimitsMemory`] is the other half: a client that polls too often gets its last answer again.

use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::base::id::KeyId;
use crate::base::net::Prefix;
use crate::base::request_id::RequestId;
use crate::base::time::Timestamp;
use crate::policy::counter::window_name;

use super::head::{Field, Head};
use super::ratelimit::Limits;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The maximum that is told where nothing limits the caller: gotiktoklive does not start without one above 0.
pub const UNLIMITED: u32 = 1_000_000;

/// What is told of load shedding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadShedding {
    /// The share of the capacity in use from which requests are shed, 0 to 1.
    pub at: f64,
    /// The chance that a request of this caller is shed now, 0 to 1.
    pub chance: f64,
}

impl LoadShedding {
    /// Nothing is shed.
    pub const NONE: Self = Self { at: 1.0, chance: 0.0 };
}

/// The body of the answer, with status 200.
pub fn body(limits: Limits<'_>, shedding: LoadShedding, now: Timestamp) -> Bytes {
    let answer = Answer { told: Told::of(limits), shedding, now };
    // Maps with text keys and numbers always serialise; the fallback is still an answer that no client dies of.
    let body = serde_json::to_vec(&answer).unwrap_or_else(|_| b"{\"code\":200}".to_vec());
    Bytes::from(body)
}

/// The header of the answer. It holds no limit headers: beside a repeated answer they would tell what it holds back.
pub fn head(id: RequestId) -> Head {
    let mut head = Head::new();
    head.set(Field::ContentType, "application/json");
    head.set(Field::CacheControl, "no-store");
    head.set_request_id(id);
    head
}

/// What is left of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    length: Duration,
    max: u32,
    remaining: u32,
    resets: Option<Duration>,
}

/// The tightest window of each length, the shortest first.
struct Told(Vec<Left>);

impl Told {
    fn of(limits: Limits<'_>) -> Self {
        let windows = limits.enforced().map(|(standing, _, window)| Left {
            length: window.length,
            max: window.max,
            remaining: standing.remaining.min(window.max),
            resets: standing.resets,
        });
        let mut all: Vec<_> = windows.collect();
        // Of equally many left the smaller maximum, then the one that ends last.
        all.sort_by_key(|left| (left.length, left.remaining, left.max, std::cmp::Reverse(left.resets)));
        all.dedup_by_key(|left| left.length);
        Self(all)
    }

    fn of_length(&self, length: Duration) -> Option<Left> {
        self.0.iter().find(|left| left.length == length).copied()
    }

    /// The minute, which clients need even where the policy has none: then what the other windows let through in one. A
    /// longer window admits in a minute what is left of it; a shorter one is passed as often as it fits.
    fn minute(&self) -> Left {
        let in_a_minute = |left: &Left| {
            let times = if left.length < MINUTE {
                (MINUTE.as_millis() / left.length.as_millis().max(1)).max(1) as u32
            } else {
                1
            };
            Left {
                length: MINUTE,
                max: left.max.saturating_mul(times),
                remaining: left.remaining.saturating_add(left.max.saturating_mul(times - 1)),
                resets: left.resets,
            }
        };
        let derived = || self.0.iter().map(in_a_minute).min_by_key(|left| (left.remaining, left.max));
        let unlimited = Left { length: MINUTE, max: UNLIMITED, remaining: UNLIMITED, resets: None };
        self.of_length(MINUTE).or_else(derived).unwrap_or(unlimited)
    }
}

struct Answer {
    told: Told,
    shedding: LoadShedding,
    now: Timestamp,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let window = |left| Window { left, now: self.now };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", &200)?;
        map.serialize_entry("message", "what is left of your limits")?;
        map.serialize_entry("minute", &window(self.told.minute()))?;
        for (name, length) in [("hour", HOUR), ("day", DAY)] {
            if let Some(left) = self.told.of_length(length) {
                map.serialize_entry(name, &window(left))?;
            }
        }
        for left in self.told.0.iter().filter(|left| ![MINUTE, HOUR, DAY].contains(&left.length)) {
            map.serialize_entry(&window_name(left.length), &window(*left))?;
        }
        map.serialize_entry("load_shedding", &self.shedding)?;
        map.end()
    }
}

impl Serialize for LoadShedding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A NaN would become `null`, which generation A's SDK does not read as a number.
        let share = |share: f64| if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("at", &share(self.at))?;
        map.serialize_entry("chance", &share(self.chance))?;
        map.end()
    }
}

struct Window {
    left: Left,
    now: Timestamp,
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Printed to the millisecond, rounded up: a client that comes back then must not be early.
        let reset_at =
            self.left.resets.map(|left| (self.now + left + Duration::from_nanos(999_999)).to_string());
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("max", &self.left.max)?;
        map.serialize_entry("remaining", &self.left.remaining)?;
        map.serialize_entry("reset_at", &reset_at)?;
        map.end()
    }
}

/// A proxy gets so many fresh answers in a minute; then the last one again, with status 200 (design 4: a client fails on
/// anything else).
pub const POLLS_PER_MINUTE: u32 = 30;

/// So many callers behind one proxy have an answer remembered. One caller is never told what another has left, so each
/// has its own; a proxy with more callers than this gets fresh answers for those beyond, which costs a reading each.
const CALLERS_PER_PROXY_MAX: usize = 4;

/// What was answered to proxies that ask for their limits again and again. Bounded.
///
/// Only counts are held until a proxy polls too often, so a spray of addresses costs about 70 bytes each, up to the cap. At
/// the cap proxies that are not held yet are answered afresh and not counted. Nothing is evicted to make room: a proxy
/// that spent its polls cannot make us forget it by spraying others.
#[derive(Debug)]
pub struct LimitsMemory {
    proxies: HashMap<Prefix, Polls, foldhash::fast::RandomState>,
    proxies_max: usize,
    swept: Timestamp,
}

#[derive(Debug)]
struct Polls {
    since: Timestamp,
    count: u32,
    answers: Vec<(Option<KeyId>, Bytes)>,
}

/// How long it is at least between two sweeps: at the cap, a sweep for each poll would cost more than the poll.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl LimitsMemory {
    /// Holds at most `proxies_max` proxies, each with a few answers at worst.
    pub fn new(proxies_max: usize) -> Self {
        Self { proxies: HashMap::default(), proxies_max, swept: Timestamp::EPOCH }
    }

    /// The answer to one poll of a caller (by its key, `None` without) behind a proxy: `fresh`, or, above
    /// [`POLLS_PER_MINUTE`], what that caller was told last. The minute runs from the proxy's first poll.
    pub fn answer(
        &mut self,
        proxy: Prefix,
        caller: Option<&KeyId>,
        now: Timestamp,
        fresh: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let Some(polls) = self.polls_of(proxy, now) else { return fresh() };
        polls.count = polls.count.saturating_add(1);
        if polls.count < POLLS_PER_MINUTE {
            return fresh();
        }
        // From the last fresh poll on answers are remembered.
        if let Some((_, told)) = polls.answers.iter().find(|(who, _)| who.as_ref() == caller) {
            return told.clone();
        }
        let answer = fresh();
        if polls.answers.len() < CALLERS_PER_PROXY_MAX {
            polls.answers.push((caller.cloned(), answer.clone()));
        }
        answer
    }

    /// How many proxies are held.
    pub fn len(&self) -> usize {
        self.proxies.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }

    /// The polls of a proxy in its running minute; `None` where there is no room to count them.
    fn polls_of(&mut self, proxy: Prefix, now: Timestamp) -> Option<&mut Polls> {
        if self.proxies.len() >= self.proxies_max && now.since(self.swept) >= SWEEP_INTERVAL {
            self.swept = now;
            self.proxies.retain(|_, polls| now.since(polls.since) < MINUTE);
        }
        let opened = || Polls { since: now, count: 0, answers: Vec::new() };
        if self.proxies.len() >= self.proxies_max && !self.proxies.contains_key(&proxy) {
            return None;
        }
        let polls = self.proxies.entry(proxy).or_insert_with(opened);
        if now.since(polls.since) >= MINUTE {
            *polls = opened();
        }
        Some(polls)
    }
}

#[cfg(test)]
mod tests;
