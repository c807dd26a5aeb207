//! What is counted and limited: per what, for whom, how much, and by which words refusals and headers call it.

use std::sync::Arc;
use std::time::Duration;

use super::set::{Mode, RuleIndex, TierIndex};
use crate::base::id::RuleName;
use crate::base::operation::Operation;
use crate::base::rate::{LengthText, Rate};
use crate::base::subject::{Scope, Scopes};
use crate::base::time::Wait;

/// A request meets at most so many counters; a policy that needs more is refused when it is compiled.
pub const COUNTERS_PER_REQUEST_MAX: usize = 16;

/// A counter holds at most so many windows; a quota with more is laid out as several counters.
pub const WINDOWS_PER_COUNTER_MAX: usize = 3;

/// A distinct quota remembers at most so many different ones for each subject.
pub const DISTINCT_MAX: u32 = 1_000;

/// Something that is counted and limited.
#[derive(Debug, Clone)]
pub struct Counter {
    /// Its rule.
    pub rule: RuleIndex,
    /// The rule's mode, at hand.
    pub mode: Mode,
    /// Per what it counts.
    pub scopes: Scopes,
    /// How much is admitted.
    pub limit: Limit,
    /// For which tiers.
    pub tiers: Tiers,
    /// For which operations.
    pub operations: Operations,
    /// What its records are kept under; see [`Family::of`].
    pub family: Family,
}

/// How much is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// So many in each window, 1 to [`WINDOWS_PER_COUNTER_MAX`] of them, the shortest first.
    Windows(Vec<WindowLimit>),
    /// Smoothed.
    Rate {
        /// The sustained rate.
        rate: Rate,
        /// How many at once after a pause, at least 1.
        burst: u32,
        /// As [`WindowLimit::label`].
        label: Arc<str>,
    },
    /// So many different ones of something in each window: four different rooms for one proxy in half an hour. Exact up to
    /// its maximum, which bounds what is remembered.
    Distinct {
        /// Of what different ones are counted.
        count: Scope,
        /// 1 to [`WINDOWS_PER_COUNTER_MAX`], the shortest first; `max` is at most [`DISTINCT_MAX`].
        windows: Vec<WindowLimit>,
    },
    /// At a time.
    Concurrency {
        /// At least 1.
        max: u32,
        /// As [`WindowLimit::label`].
        label: Arc<str>,
    },
}

/// So many in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowLimit {
    /// From the first charge on.
    pub length: Duration,
    /// How many; 0 admits none.
    pub max: u32,
    /// As the operator wrote it: `minute`, `30m`.
    pub name: Arc<str>,
    /// What a refusal prints: `rate_limit_account_minute` (see [`limit_label`]).
    pub label: Arc<str>,
    /// As the header `RateLimit-Policy` lists it: `"minute";q=5;w=60`. Every answer does, so it is written once.
    listed: Box<str>,
}

impl WindowLimit {
    /// At most `max` in a window that the operator calls `name`.
    pub fn new(length: Duration, max: u32, name: Arc<str>, label: Arc<str>) -> Self {
        let seconds = Wait::of(length).secs();
        let listed = format!("\"{}\";q={max};w={seconds}", header_text(&name)).into();
        Self { length, max, name, label, listed }
    }

    /// As `RateLimit-Policy` lists it (draft-ietf-httpapi-ratelimit-headers-11 section 3): `"minute";q=5;w=60`.
    pub fn listed(&self) -> &str {
        &self.listed
    }

    /// The name in quotes, as that header and `RateLimit` have it: `"minute"`.
    pub fn quoted_name(&self) -> &str {
        let end = self.listed.find(";q=").unwrap_or(self.listed.len());
        &self.listed[..end]
    }
}

/// The characters of an sf-string (RFC 9651 section 3.3.3), and `_` for each byte that is none: names hold nothing else but
/// for an operator's odd window.
pub fn header_text(name: &str) -> String {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    name.bytes().map(|byte| if plain(byte) { char::from(byte) } else { '_' }).collect()
}

/// The `limit_label` of a window: `rate_limit_account_minute`, `rate_limit_room_id_day`, `rate_limit_proxy_room_id_30m`.
pub fn limit_label(scopes: Scopes, window: &str) -> String {
    let second = scopes.second.map(|scope| format!("_{}", scope.label())).unwrap_or_default();
    format!("rate_limit_{}{second}_{window}", scopes.first.label())
}

/// The `limit_label` of a window of a distinct quota: `rate_limit_proxy_different_room_id_30m`.
pub fn distinct_label(scopes: Scopes, count: Scope, window: &str) -> String {
    limit_label(scopes, &format!("different_{}_{window}", count.label()))
}

/// The word for a window of that length: `second`, `minute`, `hour`, `day`, `week`, else the length as [`LengthText`].
pub fn window_name(length: Duration) -> String {
    match length.as_millis() {
        1_000 => "second".into(),
        60_000 => "minute".into(),
        3_600_000 => "hour".into(),
        86_400_000 => "day".into(),
        604_800_000 => "week".into(),
        _ => LengthText(length).to_string(),
    }
}

/// What a counter's records are kept under, across reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family(pub u64);

impl Family {
    /// Of the rule's name, its table, its scopes and the lengths of its windows, not of its limits: a raised limit helps at
    /// once, a renamed rule or a changed window starts anew.
    pub fn of(rule: &RuleName, table: &str, scopes: Scopes, windows: &[Duration]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{table}\0{rule}\0{scopes}").as_bytes());
        for window in windows {
            hasher.update(&window.as_nanos().to_le_bytes());
        }
        let mut short = [0; 8];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_le_bytes(short))
    }
}

/// A set of tiers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tiers {
    /// All of them, those added later too.
    #[default]
    All,
    /// These.
    Some(Vec<TierIndex>),
}

impl Tiers {
    /// Whether `tier` is in it.
    pub fn contains(&self, tier: TierIndex) -> bool {
        match self {
            Self::All => true,
            Self::Some(tiers) => tiers.contains(&tier),
        }
    }
}

/// A set of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operations(u8);

impl Operations {
    /// All that cost quota.
    pub fn all() -> Self {
        Operation::ALL.into_iter().filter(|operation| operation.costs_quota()).collect()
    }

    /// Whether `operation` is in it.
    pub const fn contains(self, operation: Operation) -> bool {
        self.0 >> operation.index() & 1 == 1
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().fold(0, |set, operation| set | 1 << operation.index()))
    }
}
