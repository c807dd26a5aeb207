//! What was decided, and why. A refusal without a reason cannot be built.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::operator::OperatorBan;
use super::viewbot::bans::Ban;
use super::viewbot::evidence::Evidence;
use super::viewbot::{Against, words};
use crate::base::id::{AccountId, KeyId};
use crate::base::rate::LengthText;
use crate::base::subject::Scope;
use crate::base::time::{Timestamp, Wait};
use crate::policy::counter::{Limit, WindowLimit};
use crate::policy::set::{PolicySet, RuleIndex, RuleKind, TierIndex};

/// The outcome of all rules for one request.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Who asked, as far as the policy knows.
    pub caller: Caller,
    /// What the enforced rules refuse, if they do.
    pub refusal: Option<Refusal>,
    /// What they would say with every shadow rule enforced.
    pub shadow: Shadow,
}

/// What the rules would say with every shadow rule enforced, beside what the enforced ones say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shadow {
    /// The same.
    #[default]
    Same,
    /// They would refuse, or refuse for other reasons.
    Refuses(Refusal),
    /// They would admit: an allowlist in shadow mode exempts it.
    Admits,
}

impl Shadow {
    /// What they would refuse, where that differs.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refuses(refusal) => Some(refusal),
            Self::Same | Self::Admits => None,
        }
    }

    /// This, or `other` where this is no news.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Same { other } else { self }
    }
}

impl Decision {
    /// What the enforced rules say.
    pub fn verdict(&self) -> Verdict {
        self.refusal.as_ref().map_or(Verdict::Allow, Refusal::verdict)
    }

    /// What they would say with every shadow rule enforced.
    pub fn shadow_verdict(&self) -> Verdict {
        match &self.shadow {
            Shadow::Same => self.verdict(),
            Shadow::Refuses(refusal) => refusal.verdict(),
            Shadow::Admits => Verdict::Allow,
        }
    }
}

/// Who asked, as far as the policy knows.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The tier whose limits apply.
    pub tier: TierIndex,
    /// The account and the public id of the key, where a valid key was shown. Of a record it says nothing: the record does.
    pub identity: Option<(AccountId, KeyId)>,
}

impl Caller {
    /// The same, taken away: what is left has no identity.
    pub(super) fn take(&mut self) -> Self {
        Self { tier: self.tier, identity: self.identity.take() }
    }
}

/// Three words, as records and metrics use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Admitted.
    Allow,
    /// Refused for now: there is a wait after which it may be admitted.
    Throttle,
    /// Refused.
    Deny,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Throttle, Self::Deny];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Throttle => "throttle",
            Self::Deny => "deny",
        }
    }
}

/// Why a request is refused: at least one reason, the deciding one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    first: Reason,
    more: Vec<Reason>,
}

impl Refusal {
    /// For one reason.
    pub fn new(first: Reason) -> Self {
        Self { first, more: Vec::new() }
    }

    /// Adds a reason of the same row. The one with the longer wait stands first: that wait is what the caller is told.
    pub fn add(&mut self, reason: Reason) {
        let longer = match (reason.wait_left(), self.first.wait_left()) {
            (Some(new), Some(first)) => new > first,
            _ => false,
        };
        self.more.push(if longer { std::mem::replace(&mut self.first, reason) } else { reason });
    }

    /// The deciding reason.
    pub fn first(&self) -> &Reason {
        &self.first
    }

    /// All reasons, the deciding one first.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// How long to wait, where waiting helps: the longest of all windows exhausted.
    pub fn wait(&self) -> Option<Wait> {
        self.first.wait_left().map(Wait::of)
    }

    /// Throttled where waiting helps, else denied.
    pub fn verdict(&self) -> Verdict {
        if self.first.wait_left().is_some() { Verdict::Throttle } else { Verdict::Deny }
    }
}

/// One finding against a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A blocklist holds something of it.
    Blocked {
        /// The list.
        rule: RuleIndex,
        /// What matched.
        by: Matcher,
    },
    /// The key is in no policy file.
    KeyUnknown,
    /// This proxy has shown too many unknown keys; they are not looked up until the wait is over.
    KeyAttempts {
        /// Until the next look-up.
        wait: Duration,
    },
    /// The key's time is over.
    KeyExpired {
        /// Since when.
        at: Timestamp,
    },
    /// The key was switched off.
    KeyDisabled,
    /// The key may not be used from this address.
    KeyProxy,
    /// The key may not be used for this room.
    KeyRoom,
    /// The URL is in no target.
    TargetNotListed,
    /// Session credentials came along, and the policy takes none.
    SessionRefused,
    /// A ban stands: what view-bot detection convicted.
    Banned(Arc<Ban>),
    /// The operator bans it by hand.
    BannedByOperator(Arc<OperatorBan>),
    /// View-bot detection stops it.
    Viewbot(Against),
    /// A window is used up: of a quota, or of a distinct quota.
    Quota {
        /// The rule.
        rule: RuleIndex,
        /// Its `limit_label`.
        label: Arc<str>,
        /// How many it admits.
        max: u32,
        /// Of what it admits so many different ones; `None` where requests are counted.
        different: Option<Scope>,
        /// The window's length.
        window: Duration,
        /// Until it ends.
        wait: Duration,
    },
    /// Faster than the rate.
    Rate {
        /// The rule.
        rule: RuleIndex,
        /// Its `limit_label`.
        label: Arc<str>,
        /// Until the next one is admitted.
        wait: Duration,
    },
    /// Too many at a time.
    Concurrency {
        /// The rule.
        rule: RuleIndex,
        /// Its `limit_label`.
        label: Arc<str>,
        /// How many it admits at a time.
        max: u32,
    },
}

/// What a blocklist matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matcher {
    /// The client's address.
    Address,
    /// Its autonomous system.
    Asn,
    /// The room.
    Room,
    /// The account.
    Account,
    /// The key.
    Key,
    /// The user agent.
    UserAgent,
    /// The library.
    Library,
}

impl Matcher {
    /// As a person says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Asn => "network",
            Self::Room => "room",
            Self::Account => "account",
            Self::Key => "key",
            Self::UserAgent => "user agent",
            Self::Library => "client library",
        }
    }
}

/// How long a caller over its limit of work in flight is told to wait: nobody knows when one ends, most do within this.
const CONCURRENCY_WAIT: Duration = Duration::from_secs(1);

impl Reason {
    /// Its row in the order of checks (design 3): the lowest row that refuses answers.
    pub const fn row(&self) -> u8 {
        match self {
            Self::Blocked { .. } => 2,
            Self::KeyUnknown
            | Self::KeyAttempts { .. }
            | Self::KeyExpired { .. }
            | Self::KeyDisabled
            | Self::KeyProxy
            | Self::KeyRoom => 3,
            Self::TargetNotListed | Self::SessionRefused => 4,
            Self::Banned(_) | Self::BannedByOperator(_) => 5,
            Self::Viewbot(_) => 6,
            Self::Quota { .. } | Self::Rate { .. } | Self::Concurrency { .. } => 7,
        }
    }

    /// The rule behind it, where one is.
    pub const fn rule(&self) -> Option<RuleIndex> {
        match self {
            Self::Blocked { rule, .. }
            | Self::Quota { rule, .. }
            | Self::Rate { rule, .. }
            | Self::Concurrency { rule, .. } => Some(*rule),
            _ => None,
        }
    }

    /// How long until waiting has helped; `None` where it does not.
    pub const fn wait_left(&self) -> Option<Duration> {
        match self {
            Self::KeyAttempts { wait } | Self::Quota { wait, .. } | Self::Rate { wait, .. } => Some(*wait),
            Self::Concurrency { .. } => Some(CONCURRENCY_WAIT),
            Self::Viewbot(against) => against.wait,
            _ => None,
        }
    }

    /// What view-bot detection holds against the request. For operators: callers are not told.
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Banned(ban) => Some(&ban.evidence),
            Self::Viewbot(against) => Some(&against.evidence),
            _ => None,
        }
    }

    /// The word in records and metrics where no rule is behind it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Blocked { .. } => "blocklist",
            Self::KeyUnknown => "key-unknown",
            Self::KeyAttempts { .. } => "key-attempts",
            Self::KeyExpired { .. } => "key-expired",
            Self::KeyDisabled => "key-disabled",
            Self::KeyProxy => "key-proxy",
            Self::KeyRoom => "key-room",
            Self::TargetNotListed => "target-not-listed",
            Self::SessionRefused => "session-refused",
            Self::Banned(_) => "ban",
            Self::BannedByOperator(_) => "operator-ban",
            Self::Viewbot(_) => "viewbot",
            Self::Quota { .. } => "quota",
            Self::Rate { .. } => "rate",
            Self::Concurrency { .. } => "concurrency",
        }
    }

    /// The name of the rule behind it, or its [`word`](Self::word).
    pub fn rule_name<'a>(&self, policy: &'a PolicySet) -> &'a str
    where
        Self: 'a,
    {
        self.rule().map_or(self.word(), |rule| policy.rule(rule).name.as_str())
    }

    /// What a client prints before the text: `rate_limit_account_minute`, `blocked`.
    pub fn label(&self) -> &str {
        match self {
            Self::Quota { label, .. } | Self::Rate { label, .. } | Self::Concurrency { label, .. } => label,
            Self::Blocked { .. } => "blocked",
            Self::KeyUnknown => "key_unknown",
            Self::KeyAttempts { .. } => "key_attempts",
            Self::KeyExpired { .. } => "key_expired",
            Self::KeyDisabled => "key_disabled",
            Self::KeyProxy => "key_proxy",
            Self::KeyRoom => "key_room",
            Self::TargetNotListed => "target_not_listed",
            Self::SessionRefused => "session_refused",
            Self::Banned(_) | Self::BannedByOperator(_) => "banned",
            Self::Viewbot(Against { wait: None, .. }) => "viewbot_denied",
            Self::Viewbot(Against { wait: Some(_), .. }) => "viewbot_throttled",
        }
    }

    /// The finding as its caller reads it: what happened, and what to do.
    pub fn describe<'a>(&'a self, policy: &'a PolicySet) -> impl fmt::Display + 'a {
        Described { reason: self, policy }
    }
}

struct Described<'a> {
    reason: &'a Reason,
    policy: &'a PolicySet,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, policy } = self;
        match reason {
            Reason::Blocked { rule, by } => {
                write!(f, "this {} is blocked", by.word())?;
                if let RuleKind::Blocklist { reason: Some(reason), .. } = &policy.rule(*rule).kind {
                    write!(f, ": {reason}")?;
                }
                f.write_str("; if you think this is a mistake, give the operator of this sign service the request id")
            }
            Reason::KeyUnknown => {
                f.write_str("this API key is unknown here; check it for typing errors, or ask the operator of this sign service for one")
            }
            Reason::KeyAttempts { wait } => {
                write!(f, "too many unknown API keys were tried from this address; try again in {}", Wait::of(*wait))
            }
            Reason::KeyExpired { at } => write!(f, "this API key expired at {at}; ask for a new one"),
            Reason::KeyDisabled => f.write_str("this API key is switched off; ask the operator of this sign service why"),
            Reason::KeyProxy => f.write_str("this API key may not be used from this address"),
            Reason::KeyRoom => f.write_str("this API key may not be used for this room"),
            Reason::TargetNotListed => f.write_str("this sign service does not sign URLs of this host and path"),
            Reason::SessionRefused => {
                f.write_str("this sign service takes no session credentials; send the request without session id and cookies")
            }
            Reason::Banned(ban) => words::banned(f, ban),
            Reason::BannedByOperator(ban) => write!(
                f,
                "this {} is banned: {}; if you think this is a mistake, give the operator of this sign service the request id",
                ban.target.matcher().word(),
                ban.reason
            ),
            Reason::Viewbot(against) => words::against(f, against),
            Reason::Quota { max, different: Some(scope), window, wait, .. } => write!(
                f,
                "the limit of {max} different {} {} is used up, those asked for before can still be asked for; \
                 for others try again in {}",
                match (scope, *max) {
                    (Scope::Proxy, 1) => "address".to_owned(),
                    (Scope::Proxy, _) => "addresses".to_owned(),
                    (Scope::Asn, 1) => "network".to_owned(),
                    (Scope::Asn, _) => "networks".to_owned(),
                    (Scope::Library, 1) => "client library".to_owned(),
                    (Scope::Library, _) => "client libraries".to_owned(),
                    (scope, 1) => scope.word().to_owned(),
                    (scope, _) => format!("{scope}s"),
                },
                Each(*window),
                Wait::of(*wait)
            ),
            // These two are most refusals: piece by piece, for `write!` costs more than the pieces.
            Reason::Quota { max, window, wait, .. } => {
                f.write_str("the limit of ")?;
                f.write_str(itoa::Buffer::new().format(*max))?;
                f.write_str(if *max == 1 { " request " } else { " requests " })?;
                Each(*window).fmt(f)?;
                f.write_str(" is used up; try again in ")?;
                Wait::of(*wait).fmt(f)
            }
            Reason::Rate { wait, .. } => {
                f.write_str("requests come faster than they are allowed to; try again in ")?;
                Wait::of(*wait).fmt(f)
            }
            Reason::Concurrency { max, .. } => {
                write!(
                    f,
                    "{max} {} under way already, as many as are allowed at a time; try again in {}",
                    if *max == 1 { "request is" } else { "requests are" },
                    Wait::of(CONCURRENCY_WAIT)
                )
            }
        }
    }
}

/// `a minute`, `in 30m`.
struct Each(Duration);

impl fmt::Display for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            1 => f.write_str("a second"),
            60 => f.write_str("a minute"),
            3_600 => f.write_str("an hour"),
            86_400 => f.write_str("a day"),
            604_800 => f.write_str("a week"),
            _ => write!(f, "in {}", LengthText(self.0)),
        }
    }
}

/// How much of one window is left, for headers and the limits answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The place of its counter in the policy set.
    pub counter: u16,
    /// The place of the window in its counter.
    pub window: u8,
    /// How many are left, never below zero.
    pub remaining: u32,
    /// Until it ends; `None` where it has not been opened: then all of it is left.
    pub resets: Option<Duration>,
}

impl Standing {
    /// What the policy says of this window: length, maximum, name, label. `None` only with another policy set's standing.
    pub fn limit(self, policy: &PolicySet) -> Option<&WindowLimit> {
        match &policy.counters().get(usize::from(self.counter))?.limit {
            Limit::Windows(windows) => windows.get(usize::from(self.window)),
            Limit::Distinct { .. } | Limit::Rate { .. } | Limit::Concurrency { .. } => None,
        }
    }
}
