//! A small policy for the tests of this room, and standings in it.

use std::sync::Arc;
use std::time::Duration;

use crate::base::id::{RuleName, TierName};
use crate::base::rate::{Rate, parse_length};
use crate::base::request_id::RequestId;
use crate::base::subject::Scopes;
use crate::base::time::Timestamp;
use crate::engine::decision::Standing;
use crate::policy::counter::{Counter, Family, Limit, Operations, Tiers, WindowLimit, limit_label};
use crate::policy::set::{Mode, Parts, PolicySet, Rule, RuleIndex, RuleKind, Tier, TierClass};

/// 2027-01-01T00:00:00.25Z: not a whole second, so that rounding shows.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_798_761_600_250);

pub(super) fn request_id() -> RequestId {
    RequestId::new(NOW, 1, [2, 3])
}

/// The rules of [`policy`], by their place.
pub(super) const BLOCKED: RuleIndex = RuleIndex(0);
pub(super) const ANONYMOUS: RuleIndex = RuleIndex(1);
pub(super) const PER_ROOM: RuleIndex = RuleIndex(2);
pub(super) const BURST: RuleIndex = RuleIndex(3);
pub(super) const IN_FLIGHT: RuleIndex = RuleIndex(4);

/// The counters of [`policy`], by their place.
pub(super) const ANONYMOUS_COUNTER: u16 = 0;
pub(super) const PER_ROOM_COUNTER: u16 = 1;

/// Five rules, among them two quotas with a `minute` each.
pub(super) fn policy() -> PolicySet {
    PolicySet::new(anonymous_and_rooms())
}

/// The same with all rules in this mode.
pub(super) fn with_mode(mode: Mode) -> PolicySet {
    let mut parts = anonymous_and_rooms();
    parts.counters.iter_mut().for_each(|counter| counter.mode = mode);
    parts.rules.iter_mut().for_each(|rule| rule.mode = mode);
    PolicySet::new(parts)
}

fn anonymous_and_rooms() -> Parts {
    parts(&[
        ("anonymous", "proxy", &[("minute", 5), ("hour", 30), ("day", 100)]),
        ("rooms", "proxy+room", &[("minute", 2), ("30m", 4)]),
    ])
}

/// A policy of these quotas (name, scope, windows of name and maximum), one counter each, in this order.
pub(super) fn quotas_and_more(quotas: &[Quota<'_>]) -> PolicySet {
    PolicySet::new(parts(quotas))
}

type Quota<'a> = (&'a str, &'a str, &'a [(&'a str, u32)]);

/// What such a policy is made of; its rate rule is called `burst`.
pub(super) fn parts(quotas: &[Quota<'_>]) -> Parts {
    let mut parts = Parts { tiers: vec![tier("anonymous", TierClass::None)], ..Parts::default() };
    parts.rules.push(rule(
        "datacentre",
        RuleKind::Blocklist { reason: Some("known view-bot \"proxies\"".into()), expires: None },
    ));
    for (name, scope, windows) in quotas {
        let place = parts.counters.len() as u16;
        let index = RuleIndex(parts.rules.len() as u16);
        parts.rules.push(rule(name, RuleKind::Quota { counters: place..place + 1 }));
        let scopes = Scopes::parse(scope).unwrap();
        parts.counters.push(counter(index, scopes, Limit::Windows(limits(scopes, windows))));
    }
    let proxy = Scopes::parse("proxy").unwrap();
    let place = parts.counters.len() as u16;
    let index = RuleIndex(parts.rules.len() as u16);
    parts.rules.push(rule("burst", RuleKind::Rate { counters: place..place + 1 }));
    parts.counters.push(counter(
        index,
        proxy,
        Limit::Rate { rate: Rate::parse("20/5m").unwrap(), burst: 5, label: "rate_limit_proxy_rate".into() },
    ));
    let index = RuleIndex(parts.rules.len() as u16);
    parts.rules.push(rule("in-flight", RuleKind::Concurrency { counters: place + 1..place + 2 }));
    let label: Arc<str> = "rate_limit_proxy_concurrency".into();
    parts.counters.push(counter(index, proxy, Limit::Concurrency { max: 50, label }));
    parts
}

pub(super) fn standing(counter: u16, window: u8, remaining: u32, resets_ms: Option<u64>) -> Standing {
    Standing { counter, window, remaining, resets: resets_ms.map(Duration::from_millis) }
}

fn limits(scopes: Scopes, windows: &[(&str, u32)]) -> Vec<WindowLimit> {
    let window = |(name, max): &(&str, u32)| {
        let label = limit_label(scopes, name).into();
        WindowLimit::new(parse_length(name).unwrap(), *max, (*name).into(), label)
    };
    windows.iter().map(window).collect()
}

fn counter(rule: RuleIndex, scopes: Scopes, limit: Limit) -> Counter {
    Counter {
        rule,
        mode: Mode::Enforce,
        scopes,
        limit,
        tiers: Tiers::All,
        operations: Operations::all(),
        family: Family(u64::from(rule.0)),
    }
}

fn rule(name: &str, kind: RuleKind) -> Rule {
    Rule {
        name: RuleName::new(name).unwrap(),
        mode: Mode::Enforce,
        kind,
        file: "10-rules.toml".into(),
        line: 1,
    }
}

fn tier(name: &str, class: TierClass) -> Tier {
    Tier { name: TierName::new(name).unwrap(), class }
}
