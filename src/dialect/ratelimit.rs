//! The limit headers: one set that every client generation finds its own words in (contract 5).
//!
//! Client libraries read the wait of a refusal from six different fields and agree on none; all of them are written, as
//! whole numbers, from one [`Wait`]. Beside them stand the fields of draft-ietf-httpapi-ratelimit-headers-11.
//!
//! **Which window is told.** On a refusal the exhausted one with the longest wait. Otherwise the *tightest*: the one with
//! the least share left of its maximum; of equal shares the one with the fewest left, then the one that ends last. Rules
//! in shadow mode are never told: they do not act. Where no window applies, nothing is written.

use std::cmp::Reverse;
use std::time::Duration;

use smallvec::SmallVec;

use crate::base::time::{Timestamp, Wait};
use crate::engine::decision::{Reason, Refusal, Standing};
use crate::policy::counter::{Limit, WindowLimit, header_text};
use crate::policy::set::{Mode, PolicySet, RuleIndex, RuleKind};

use super::head::{Field, Head, write_number};

/// `RateLimit-Policy` lists at most so many windows, and the told one: some clients cut a head at 8 KiB.
const LISTED_MAX: usize = 16;

/// What a client takes `RateLimit-Remaining` of a refusal for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemainingAs {
    /// How many requests are left, as the name says.
    Requests,
    /// The seconds to wait: TikTokLive for Python (4.5 to 7) tells its user to "try again in {remaining} seconds".
    Wait,
}

impl RemainingAs {
    /// As the client of that `User-Agent` takes it. Only the header decides, not `client=`: a forged word in a query must
    /// not change a header's meaning for a proxy in between.
    pub fn of_user_agent(user_agent: &str) -> Self {
        if user_agent.starts_with("TikTokLive.py/") { Self::Wait } else { Self::Requests }
    }
}

/// All that the limit headers of one answer are made from.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// The set that the request was judged by.
    pub policy: &'a PolicySet,
    /// What is left of the windows that the request met.
    pub standings: &'a [Standing],
}

/// Writes the limit headers of an answer that refuses nothing: of the tightest window.
pub fn write_standing(head: &mut Head, limits: Limits<'_>, now: Timestamp) {
    let items = limits.items();
    if let Some(told) = tightest(&items) {
        write_numbers(head, told.into(), now);
        limits.write_draft(head, &items, told);
    }
}

/// Writes the limit headers of a refusal: of the exhausted window with the longest wait, or, where waiting does not help,
/// as on any answer.
pub fn write_refusal(
    head: &mut Head,
    limits: Limits<'_>,
    refusal: &Refusal,
    now: Timestamp,
    remaining: RemainingAs,
) {
    let Some(wait) = refusal.wait() else { return write_standing(head, limits, now) };
    write_waiting(head, wait, remaining);
    match limits.exhausted(refusal.first(), wait) {
        Some(told) => {
            write_numbers(head, (&told).into(), now);
            limits.write_draft(head, &limits.items(), &told);
        }
        None => write_numbers(head, Numbers { max: None, remaining: 0, reset: Some(wait) }, now),
    }
}

/// Writes what a 429 says that no rule of the policy is behind: the wait, and no limit.
pub fn write_wait(head: &mut Head, wait: Wait, now: Timestamp, remaining: RemainingAs) {
    write_waiting(head, wait, remaining);
    write_numbers(head, Numbers { max: None, remaining: 0, reset: Some(wait) }, now);
}

/// What the classic fields tell.
#[derive(Clone, Copy)]
struct Numbers {
    max: Option<u32>,
    remaining: u32,
    reset: Option<Wait>,
}

impl From<&Item<'_>> for Numbers {
    fn from(item: &Item<'_>) -> Self {
        Self { max: Some(item.max), remaining: item.remaining, reset: item.reset }
    }
}

fn write_numbers(head: &mut Head, numbers: Numbers, now: Timestamp) {
    // A window that has not been opened is whole: there is nothing to wait for.
    let left = numbers.reset.map_or(0, Wait::secs);
    if let Some(max) = numbers.max {
        head.set_number(Field::XRateLimitLimit, u64::from(max));
    }
    head.set_number(Field::XRateLimitRemaining, u64::from(numbers.remaining));
    head.set_number(Field::XRateLimitReset, unix_seconds_after(now, left));
    // The wait may stand there already.
    if !head.has(Field::RateLimitRemaining) {
        head.set_number(Field::RateLimitRemaining, u64::from(numbers.remaining));
    }
    head.set_number(Field::RateLimitReset, left);
}

fn write_waiting(head: &mut Head, wait: Wait, remaining: RemainingAs) {
    head.set_number(Field::RetryAfter, wait.secs());
    if remaining == RemainingAs::Wait {
        head.set_number(Field::RateLimitRemaining, wait.secs());
    }
}

/// The first whole second that is not before `now` + `wait`: a client that comes back at it must not be early.
fn unix_seconds_after(now: Timestamp, wait: u64) -> u64 {
    let end = now + Duration::from_secs(wait);
    end.as_secs() + u64::from(end > Timestamp::from_secs(end.as_secs()))
}

/// One limit as the draft tells it: an entry of `RateLimit-Policy`, and perhaps of `RateLimit`.
#[derive(Clone, Copy)]
struct Item<'a> {
    rule: RuleIndex,
    /// Rates and limits of work in flight have none.
    window: Option<&'a WindowLimit>,
    max: u32,
    length: Option<Duration>,
    remaining: u32,
    reset: Option<Wait>,
}

impl<'a> Item<'a> {
    fn name(&self) -> Option<&'a str> {
        self.window.map(|window| &*window.name)
    }

    fn is_same_limit(&self, other: &Item<'_>) -> bool {
        self.rule == other.rule && self.name() == other.name()
    }
}

/// Most requests meet no more windows.
type Items<'a> = SmallVec<[Item<'a>; 6]>;

/// The one with the least share left.
fn tightest<'i, 'a>(items: &'i [Item<'a>]) -> Option<&'i Item<'a>> {
    items.iter().min_by(|one, other| {
        // Shares compared without dividing. A maximum of 0 admits none: its share is 0.
        let share = |item: &Item<'_>, of: &Item<'_>| u64::from(item.remaining) * u64::from(of.max.max(1));
        let shares = share(one, other).cmp(&share(other, one));
        shares.then_with(|| {
            let rank = |item: &Item<'_>| (item.remaining, Reverse(item.reset));
            rank(one).cmp(&rank(other))
        })
    })
}

impl<'a> Limits<'a> {
    /// The enforced windows, in the policy's order.
    fn items(self) -> Items<'a> {
        let item = |(standing, rule, window): (Standing, RuleIndex, &'a WindowLimit)| Item {
            rule,
            window: Some(window),
            max: window.max,
            length: Some(window.length),
            remaining: standing.remaining.min(window.max),
            reset: standing.resets.map(Wait::of),
        };
        self.enforced().map(item).collect()
    }

    /// The standings of enforced rules, with what the policy says of them.
    pub(super) fn enforced(self) -> impl Iterator<Item = (Standing, RuleIndex, &'a WindowLimit)> + Clone {
        self.standings.iter().filter_map(move |standing| {
            let counter = self.policy.counters().get(usize::from(standing.counter))?;
            let window = standing.limit(self.policy)?;
            (counter.mode == Mode::Enforce).then_some((*standing, counter.rule, window))
        })
    }

    /// The limit behind a refusal, where one is.
    fn exhausted(self, reason: &Reason, wait: Wait) -> Option<Item<'a>> {
        let rule = reason.rule()?;
        let item = |window, max, length| Item { rule, window, max, length, remaining: 0, reset: Some(wait) };
        match reason {
            Reason::Quota { window: length, max, .. } => {
                let window = self.counters_of(rule).find_map(|limit| match limit {
                    Limit::Windows(windows) | Limit::Distinct { windows, .. } => {
                        windows.iter().find(|window| window.length == *length)
                    }
                    Limit::Rate { .. } | Limit::Concurrency { .. } => None,
                });
                Some(item(window, *max, Some(*length)))
            }
            Reason::Rate { .. } => self.counters_of(rule).find_map(|limit| match limit {
                Limit::Rate { rate, .. } => Some(item(None, rate.count(), Some(rate.per()))),
                Limit::Windows(_) | Limit::Distinct { .. } | Limit::Concurrency { .. } => None,
            }),
            Reason::Concurrency { max, .. } => Some(item(None, *max, None)),
            Reason::Blocked { .. }
            | Reason::KeyUnknown
            | Reason::KeyAttempts { .. }
            | Reason::KeyExpired { .. }
            | Reason::KeyDisabled
            | Reason::KeyProxy
            | Reason::KeyRoom
            | Reason::TargetNotListed
            | Reason::SessionRefused
            | Reason::Banned(_)
            | Reason::BannedByOperator(_)
            | Reason::Viewbot(_) => None,
        }
    }

    fn counters_of(self, rule: RuleIndex) -> impl Iterator<Item = &'a Limit> {
        let places = match self.policy.rules().get(usize::from(rule.0)).map(|rule| &rule.kind) {
            Some(
                RuleKind::Quota { counters }
                | RuleKind::Rate { counters }
                | RuleKind::Concurrency { counters },
            ) => usize::from(counters.start)..usize::from(counters.end),
            _ => 0..0,
        };
        self.policy.counters().get(places).unwrap_or_default().iter().map(|counter| &counter.limit)
    }

    /// `RateLimit-Policy: "minute";q=5;w=60, "day";q=100;w=86400` and `RateLimit: "minute";r=2;t=41`, structured fields
    /// (RFC 9651) of draft-ietf-httpapi-ratelimit-headers-11 sections 3 and 4.
    fn write_draft(self, head: &mut Head, items: &[Item<'a>], told: &Item<'a>) {
        head.write(Field::RateLimitPolicy, |text| {
            let mut listed = false;
            let mut separator: &[u8] = b"";
            for (place, item) in items.iter().enumerate() {
                let is_told = item.is_same_limit(told);
                listed |= is_told;
                if place < LISTED_MAX || is_told {
                    text.extend_from_slice(separator);
                    self.write_policy_item(text, items, item);
                    separator = b", ";
                }
            }
            if !listed {
                text.extend_from_slice(separator);
                self.write_policy_item(text, items, told);
            }
        });
        head.write(Field::RateLimit, |text| {
            self.write_name(text, items, told);
            write_parameter(text, *b";r=", u64::from(told.remaining));
            if let Some(reset) = told.reset {
                write_parameter(text, *b";t=", reset.secs());
            }
        });
    }

    fn write_policy_item(self, text: &mut Vec<u8>, items: &[Item<'_>], item: &Item<'_>) {
        match item.window {
            Some(window) if !is_ambiguous(items, item) => text.extend_from_slice(window.listed().as_bytes()),
            _ => {
                self.write_name(text, items, item);
                write_parameter(text, *b";q=", u64::from(item.max));
                match item.length {
                    Some(length) => write_parameter(text, *b";w=", Wait::of(length).secs()),
                    None => text.extend_from_slice(b";qu=\"concurrent-requests\""),
                }
            }
        }
    }

    /// The name of a limit, unique in the header: the window's alone where no other window has it (`minute`), else with
    /// its rule (`anonymous/minute`). A rule's name holds no slash, and within a rule the windows' names differ.
    fn write_name(self, text: &mut Vec<u8>, items: &[Item<'_>], item: &Item<'_>) {
        let rule = || self.policy.rules().get(usize::from(item.rule.0)).map_or("", |rule| rule.name.as_str());
        match item.window {
            None => {
                let rule = rule();
                text.push(b'"');
                text.extend_from_slice(header_text(rule).as_bytes());
                // Nothing forbids to name a rule as another one's window.
                if items.iter().any(|other| other.name() == Some(rule)) {
                    text.extend_from_slice(b"/limit");
                }
                text.push(b'"');
            }
            Some(window) if is_ambiguous(items, item) => {
                text.push(b'"');
                text.extend_from_slice(header_text(rule()).as_bytes());
                text.push(b'/');
                text.extend_from_slice(&window.quoted_name().as_bytes()[1..]);
            }
            Some(window) => text.extend_from_slice(window.quoted_name().as_bytes()),
        }
    }
}

/// Whether another rule has a window of the same name.
fn is_ambiguous(items: &[Item<'_>], item: &Item<'_>) -> bool {
    items.iter().any(|other| other.rule != item.rule && other.name() == item.name())
}

/// `;q=`, `;w=`, `;r=` or `;t=` with its number.
fn write_parameter(text: &mut Vec<u8>, name: [u8; 3], value: u64) {
    text.extend_from_slice(&name);
    write_number(text, value);
}

#[cfg(test)]
mod tests;
