//! The engine's promises, against models that are too simple to be wrong.

mod rates;
mod room;
mod rows;
mod table;
mod usage;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::book::{Book, Charge, Plan, Receipt};
use super::decision::{Reason, Verdict};
use super::facts::{Credential, Facts, TargetClaim};
use super::foresight::Foresight;
use super::operator::BanTarget;
use super::order::Order;
use super::{Ending, Engine};
use crate::base::id::{AccountId, KeyId, RuleName, TierName};
use crate::base::library::Library;
use crate::base::net::Prefix;
use crate::base::operation::Operation;
use crate::base::rate::Rate;
use crate::base::room::Room;
use crate::base::secret::KeyHash;
use crate::base::subject::{Scope, Scopes, Subject};
use crate::base::time::Timestamp;
use crate::policy::PolicySet;
use crate::policy::counter::{Counter, Family, Limit, Operations, Tiers, WindowLimit, limit_label};
use crate::policy::set::{
    Account, AccountIndex, Key, KeyBounds, Mode, Parts, Rule, RuleIndex, RuleKind, Tier, TierClass, TierIndex,
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

fn rule_name(name: &str) -> RuleName {
    RuleName::new(name).unwrap()
}

/// A policy put together by hand, so that these tests stand on the engine alone.
struct Draft(Parts);

impl Draft {
    fn new() -> Self {
        let tier = |name: &str, class| Tier { name: TierName::new(name).unwrap(), class };
        let tiers = vec![tier("anonymous", TierClass::None), tier("free", TierClass::Free)];
        let mut parts = Parts { tiers, ..Parts::default() };
        for account in 0..4u32 {
            let (id, key) = (format!("a{account}"), format!("k{account}"));
            parts.accounts.push(Account {
                id: AccountId::new(&id).unwrap(),
                tier: TierIndex(1),
                subject: Subject::text(Scope::Account, &id),
            });
            for secret in [format!("sg_{account}"), format!("sg_{account}_second")] {
                parts.keys.push((
                    KeyHash::of(secret.as_bytes()),
                    Key::new(
                        KeyId::new(&key).unwrap(),
                        AccountIndex(account),
                        Subject::text(Scope::Key, &secret),
                        KeyBounds::default(),
                    ),
                ));
            }
        }
        Self(parts)
    }

    fn counter(mut self, name: &str, scopes: &str, limit: Limit, mode: Mode) -> Self {
        let scopes = Scopes::parse(scopes).unwrap();
        let windows: Vec<Duration> = match &limit {
            Limit::Windows(windows) | Limit::Distinct { windows, .. } => {
                windows.iter().map(|window| window.length).collect()
            }
            _ => Vec::new(),
        };
        let rule = RuleIndex(self.0.rules.len() as u16);
        let place = self.0.counters.len() as u16;
        self.0.rules.push(Rule {
            name: rule_name(name),
            mode,
            kind: RuleKind::Quota { counters: place..place + 1 },
            file: "test.toml".into(),
            line: 1,
        });
        self.0.counters.push(Counter {
            rule,
            mode,
            scopes,
            limit,
            tiers: Tiers::All,
            operations: Operations::all(),
            family: Family::of(&rule_name(name), "quota", scopes, &windows),
        });
        self
    }

    fn quota(self, name: &str, scopes: &str, windows: &[(u64, u32)]) -> Self {
        self.counter(name, scopes, windows_of(scopes, windows), Mode::Enforce)
    }

    fn set(self) -> PolicySet {
        PolicySet::new(self.0)
    }
}

fn windows_of(scopes: &str, windows: &[(u64, u32)]) -> Limit {
    let scopes = Scopes::parse(scopes).unwrap();
    let window = |(secs, max): &(u64, u32)| {
        let name = format!("{secs}s");
        let label = limit_label(scopes, &name).into();
        WindowLimit::new(Duration::from_secs(*secs), *max, name.into(), label)
    };
    Limit::Windows(windows.iter().map(window).collect())
}

fn facts(client: IpAddr, credential: Credential<'_>) -> Facts<'_> {
    Facts {
        resolved: None,
        operation: Operation::Connect,
        client,
        credential,
        room: Some(Room::Id(7)),
        target: TargetClaim::None,
        session: None,
        user_agent: "",
        library: Library::UNKNOWN,
        device: None,
        asn: None,
    }
}

fn v4(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

fn key_of(account: u32) -> Credential<'static> {
    Credential::Presented(KeyHash::of(format!("sg_{account}").as_bytes()))
}

/// Decides, and leaves what was admitted in force.
fn decide(
    engine: &Engine,
    policy: &PolicySet,
    facts: &Facts<'_>,
    now: Timestamp,
) -> super::decision::Decision {
    let assessment = engine.assess_ahead(policy, facts, now);
    engine.decide(policy, assessment, now).0
}

fn wait_secs(decision: &super::decision::Decision) -> u64 {
    decision.refusal.as_ref().unwrap().wait().unwrap().secs()
}

#[test]
fn the_wait_is_that_of_the_longest_window_used_up() {
    let engine = Engine::new(10_000, 1);
    let policy = Draft::new().quota("q", "proxy", &[(60, 2), (3600, 2)]).set();
    let facts = facts(v4(1), Credential::Absent);
    assert_eq!(decide(&engine, &policy, &facts, START).verdict(), Verdict::Allow);
    assert_eq!(decide(&engine, &policy, &facts, START + Duration::from_secs(10)).verdict(), Verdict::Allow);
    let refused = decide(&engine, &policy, &facts, START + Duration::from_millis(20_500));
    assert_eq!(refused.verdict(), Verdict::Throttle);
    assert_eq!(wait_secs(&refused), 3580, "the hour was opened 20.5 s ago: 3579.5 s rounded up");
    let later = decide(&engine, &policy, &facts, START + Duration::from_secs(3600));
    assert_eq!(later.verdict(), Verdict::Allow, "the wait was true");
}

#[test]
fn all_windows_are_charged_or_none() {
    let engine = Engine::new(10_000, 1);
    let policy = Draft::new().quota("wide", "total", &[(60, 3)]).quota("narrow", "proxy", &[(60, 1)]).set();
    let (one, two, three) = (v4(1), v4(2), v4(3));
    assert_eq!(decide(&engine, &policy, &facts(one, Credential::Absent), START).verdict(), Verdict::Allow);
    for _ in 0..10 {
        assert_eq!(
            decide(&engine, &policy, &facts(one, Credential::Absent), START).verdict(),
            Verdict::Throttle
        );
    }
    for other in [two, three] {
        let decision = decide(&engine, &policy, &facts(other, Credential::Absent), START);
        assert_eq!(decision.verdict(), Verdict::Allow, "ten refused requests took nothing of the total");
    }
    let fourth = decide(&engine, &policy, &facts(v4(4), Credential::Absent), START);
    assert_eq!(fourth.refusal.unwrap().first().rule_name(&policy), "wide");
}

#[test]
fn keys_of_one_account_share_its_quota() {
    let engine = Engine::new(10_000, 1);
    let policy = Draft::new().quota("q", "account", &[(60, 1)]).set();
    let second = Credential::Presented(KeyHash::of(b"sg_0_second"));
    assert_eq!(decide(&engine, &policy, &facts(v4(1), key_of(0)), START).verdict(), Verdict::Allow);
    assert_eq!(decide(&engine, &policy, &facts(v4(2), second), START).verdict(), Verdict::Throttle);
    assert_eq!(decide(&engine, &policy, &facts(v4(2), key_of(1)), START).verdict(), Verdict::Allow);
}

#[test]
fn a_raised_limit_helps_at_once_and_a_lowered_one_never_goes_below_zero() {
    let engine = Engine::new(10_000, 1);
    let limited = |max| Draft::new().quota("q", "proxy", &[(60, max)]).set();
    let who = facts(v4(1), Credential::Absent);
    let (three, five, one) = (limited(3), limited(5), limited(1));
    for _ in 0..3 {
        assert_eq!(decide(&engine, &three, &who, START).verdict(), Verdict::Allow);
    }
    assert_eq!(decide(&engine, &three, &who, START).verdict(), Verdict::Throttle);
    assert_eq!(decide(&engine, &five, &who, START).verdict(), Verdict::Allow);
    assert_eq!(engine.standings(&one, &who, START)[0].remaining, 0);
    assert_eq!(engine.standings(&five, &who, START)[0].remaining, 1);
    let renamed = Draft::new().quota("other", "proxy", &[(60, 5)]).set();
    assert_eq!(engine.standings(&renamed, &who, START)[0].remaining, 5, "a renamed rule starts anew");
}

#[test]
fn shadow_rules_count_and_find_but_do_not_act() {
    let engine = Engine::new(10_000, 1);
    let shadow = windows_of("proxy", &[(60, 1)]);
    let policy =
        Draft::new().counter("s", "proxy", shadow, Mode::Shadow).quota("q", "proxy", &[(60, 3)]).set();
    let who = facts(v4(1), Credential::Absent);
    assert_eq!(decide(&engine, &policy, &who, START).shadow_verdict(), Verdict::Allow);
    for _ in 0..2 {
        let decision = decide(&engine, &policy, &who, START);
        assert_eq!((decision.verdict(), decision.shadow_verdict()), (Verdict::Allow, Verdict::Throttle));
        assert_eq!(decision.shadow.refusal().unwrap().first().rule_name(&policy), "s");
    }
    assert_eq!(decide(&engine, &policy, &who, START).verdict(), Verdict::Throttle);
}

fn rooms_of_a_proxy(max: u32) -> PolicySet {
    let Limit::Windows(windows) = windows_of("proxy", &[(1800, max)]) else { unreachable!() };
    let limit = Limit::Distinct { count: Scope::Room, windows };
    Draft::new().counter("rooms", "proxy", limit, Mode::Enforce).set()
}

fn in_room(room: u64, client: IpAddr) -> Facts<'static> {
    Facts { room: Some(Room::Id(room)), ..facts(client, Credential::Absent) }
}

#[test]
fn a_distinct_quota_counts_different_ones_and_not_requests() {
    let engine = Engine::new(10_000, 1);
    let policy = rooms_of_a_proxy(4);
    let verdict = |room, client, now| decide(&engine, &policy, &in_room(room, v4(client)), now).verdict();
    for _ in 0..20 {
        for room in 1..=4 {
            assert_eq!(verdict(room, 1, START), Verdict::Allow);
        }
    }
    let later = START + Duration::from_secs(600);
    let fifth = decide(&engine, &policy, &in_room(5, v4(1)), later);
    assert_eq!((fifth.verdict(), wait_secs(&fifth)), (Verdict::Throttle, 1200));
    assert_eq!(verdict(4, 1, later), Verdict::Allow, "a room that was asked for before stays open");
    assert_eq!(verdict(5, 2, later), Verdict::Allow, "another proxy has rooms of its own");
    let over = START + Duration::from_secs(1800);
    assert_eq!(verdict(5, 1, over), Verdict::Allow, "the wait was true");
    let text = fifth.refusal.unwrap().first().describe(&policy).to_string();
    assert!(text.starts_with("the limit of 4 different rooms in 30m is used up"), "{text}");
}

#[test]
fn a_distinct_quota_forgets_a_room_when_every_request_for_it_was_taken_back() {
    let engine = Engine::new(10_000, 1);
    let policy = rooms_of_a_proxy(1);
    let ask = |room| {
        let assessment = engine.assess(&policy, &in_room(room, v4(1)), START);
        engine.decide(&policy, assessment, START).1
    };
    let (first, second) = (ask(1).unwrap(), ask(1).unwrap());
    engine.observe(&policy, &first, Ending::Refunded, START);
    assert!(ask(2).is_none(), "the second request for room 1 still counts");
    engine.observe(&policy, &second, Ending::Refunded, START);
    let third = ask(2).expect("room 1 is forgotten");
    engine.observe(&policy, &third, Ending::Refunded, START);
    assert!(ask(3).is_none() && ask(2).is_some(), "no more than the limit are taken back in a window");
}

proptest! {
    #[test]
    fn a_distinct_quota_never_admits_more_different_ones(
        asked in prop::collection::vec((1u64..12, 0u64..900, prop::bool::weighted(0.2)), 1..120), max in 1u32..6,
    ) {
        let engine = Engine::new(10_000, 1);
        let policy = rooms_of_a_proxy(max);
        let mut now = START;
        // The exact log: when the window opened, and the good requests of each room in it.
        let (mut opened, mut log): (Timestamp, HashMap<u64, u32>) = (START, HashMap::new());
        let mut is_open = false;
        for (room, gap, refund) in asked {
            now = now + Duration::from_secs(gap);
            if is_open && now.since(opened) >= Duration::from_secs(1800) {
                (is_open, log) = (false, HashMap::new());
            }
            let assessment = engine.assess(&policy, &in_room(room, v4(1)), now);
            let (decision, receipt) = engine.decide(&policy, assessment, now);
            let different = log.values().filter(|count| **count > 0).count() as u32;
            let seen = log.get(&room).is_some_and(|count| *count > 0);
            prop_assert_eq!(decision.verdict() == Verdict::Allow, seen || different < max);
            let Some(receipt) = receipt else { continue };
            if !is_open {
                (is_open, opened) = (true, now);
            }
            *log.entry(room).or_default() += 1;
            if refund && engine.observe(&policy, &receipt, Ending::Refunded, now) {
                *log.entry(room).or_default() -= 1;
            }
        }
    }
}

#[test]
fn work_in_flight_is_released_at_the_end() {
    let engine = Engine::new(10_000, 1);
    let limit = Limit::Concurrency { max: 1, label: "rate_limit_account_in_flight".into() };
    let policy = Draft::new().counter("c", "account", limit, Mode::Enforce).set();
    let who = facts(v4(1), key_of(0));
    let assessment = engine.assess(&policy, &who, START);
    let (_, receipt) = engine.decide(&policy, assessment, START);
    let refused = decide(&engine, &policy, &who, START);
    assert_eq!((refused.verdict(), wait_secs(&refused)), (Verdict::Throttle, 1));
    engine.observe(&policy, &receipt.unwrap(), Ending::Charged, START);
    assert_eq!(decide(&engine, &policy, &who, START).verdict(), Verdict::Allow);
}

#[test]
fn refunds_go_to_their_own_window_and_at_most_to_its_maximum() {
    let engine = Engine::new(10_000, 1);
    let policy = Draft::new().quota("q", "proxy", &[(60, 2)]).set();
    let who = facts(v4(1), Credential::Absent);
    let receipt = |now| {
        let assessment = engine.assess(&policy, &who, now);
        engine.decide(&policy, assessment, now).1
    };
    let first = receipt(START).unwrap();
    let next_window = START + Duration::from_secs(60);
    let _second = receipt(next_window).unwrap();
    assert!(!engine.observe(&policy, &first, Ending::Refunded, next_window), "its window is gone");
    let mut refunds = 0;
    while let Some(receipt) = receipt(next_window) {
        refunds += 1;
        assert!(refunds < 10, "a failing generator must not give unlimited tries");
        engine.observe(&policy, &receipt, Ending::Refunded, next_window);
    }
    assert_eq!(refunds, 3, "two were given back, the third was not");
}

#[test]
fn a_warm_admitted_decision_allocates_nothing() {
    let engine = Engine::new(10_000, 1);
    let rate = Limit::Rate { rate: Rate::parse("1000/s").unwrap(), burst: 1000, label: "r".into() };
    let policy = Draft::new()
        .quota("a", "account", &[(60, 1000), (3600, 1000), (86_400, 1000)])
        .quota("p", "proxy", &[(60, 1000)])
        .quota("pr", "proxy+room", &[(60, 1000)])
        .counter("rate", "proxy", rate, Mode::Enforce)
        .counter("s", "room", windows_of("room", &[(60, 1000)]), Mode::Shadow);
    let mut policy = policy;
    policy.0.blocklists.add_prefix("10.0.0.0/8".parse().unwrap(), RuleIndex(0));
    let policy = policy.set();
    let who = facts(v4(1), key_of(0));
    let decide = || {
        let assessment = engine.assess(&policy, &who, START);
        let (decision, receipt) = engine.decide(&policy, assessment, START);
        engine.observe(&policy, &receipt.unwrap(), Ending::Charged, START);
        assert_eq!(decision.verdict(), Verdict::Allow);
    };
    decide();
    let counted = allocation_counter::measure(decide);
    assert_eq!(counted.count_total, 0);
}

/// Any number of windows on any scope, with an exact log of what was admitted as the judge.
#[derive(Debug, Clone)]
enum Step {
    Request { account: u32, proxy: u32, refund: bool },
    Wait { millis: u64 },
    Reload { limits: [u32; 3] },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..4u32, 0..4u32, prop::bool::weighted(0.2))
            .prop_map(|(account, proxy, refund)| Step::Request { account, proxy, refund }),
        2 => (0..20_000u64).prop_map(|millis| Step::Wait { millis }),
        1 => [0..5u32, 0..8u32, 0..12u32].prop_map(|limits| Step::Reload { limits }),
    ];
    prop::collection::vec(step, 1..200)
}

fn three_quotas(limits: [u32; 3]) -> PolicySet {
    Draft::new()
        .quota("a", "account", &[(10, limits[0]), (40, limits[1])])
        .quota("p", "proxy", &[(15, limits[1])])
        .quota("t", "total", &[(30, limits[2])])
        .set()
}

/// The model: each window is a list of the times at which it was charged.
#[derive(Default)]
struct Model {
    windows: HashMap<(String, u64), ModelWindow>,
}

#[derive(Default, Clone)]
struct ModelWindow {
    opened: u64,
    charged: u32,
    refunded: u32,
}

impl Model {
    fn of_request(account: u32, proxy: u32, limits: [u32; 3]) -> [(String, u64, u32); 4] {
        [
            (format!("a{account}"), 10_000, limits[0]),
            (format!("a{account}"), 40_000, limits[1]),
            (format!("p{proxy}"), 15_000, limits[1]),
            ("t".into(), 30_000, limits[2]),
        ]
    }

    fn window(&mut self, name: &str, length: u64, now: u64) -> &mut ModelWindow {
        let window = self.windows.entry((name.into(), length)).or_default();
        if window.opened + length <= now {
            *window = ModelWindow::default();
        }
        window
    }

    fn request(&mut self, account: u32, proxy: u32, refund: bool, limits: [u32; 3], now: u64) -> bool {
        let windows = Self::of_request(account, proxy, limits);
        if windows.iter().any(|(name, length, max)| self.window(name, *length, now).charged >= *max) {
            return false;
        }
        for (name, length, max) in windows {
            let window = self.window(&name, length, now);
            if window.charged == 0 && window.refunded == 0 {
                window.opened = now;
            }
            window.charged += 1;
            if refund && window.refunded < max {
                window.charged -= 1;
                window.refunded += 1;
            }
        }
        true
    }
}

proptest! {
    #[test]
    fn the_engine_admits_what_an_exact_log_admits(steps in steps(), seeds in any::<(u64, u64)>()) {
        let engines = [Engine::new(10_000, seeds.0), Engine::new(10_000, seeds.1)];
        let mut model = Model::default();
        let mut limits = [3, 5, 8];
        let mut policy = three_quotas(limits);
        let mut now = START;
        for step in steps {
            match step {
                Step::Wait { millis } => now = now + Duration::from_millis(millis),
                Step::Reload { limits: new } => {
                    limits = new;
                    policy = three_quotas(limits);
                }
                Step::Request { account, proxy, refund } => {
                    let expected = model.request(account, proxy, refund, limits, now.as_millis());
                    for engine in &engines {
                        let assessment = engine.assess(&policy, &facts(v4(proxy), key_of(account)), now);
                        let (decision, receipt) = engine.decide(&policy, assessment, now);
                        prop_assert_eq!(decision.verdict() == Verdict::Allow, expected, "two seeds, one log");
                        if let Some(receipt) = receipt {
                            let ending = if refund { Ending::Refunded } else { Ending::Charged };
                            engine.observe(&policy, &receipt, ending, now);
                        }
                        if let Some(refusal) = decision.refusal {
                            prop_assert!(refusal.wait().is_some_and(|wait| wait.secs() >= 1));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn rate_cells_agree_with_governor(
        count in 1u32..50, per_secs in 1u64..100, burst in 1u32..20,
        gaps in prop::collection::vec(0u64..3_000, 1..150),
    ) {
        use governor::clock::{Clock as _, FakeRelativeClock};
        let rate = Rate::new(count, Duration::from_secs(per_secs)).unwrap();
        let quota = governor::Quota::with_period(rate.interval()).unwrap()
            .allow_burst(std::num::NonZeroU32::new(burst).unwrap());
        let clock = FakeRelativeClock::default();
        let oracle = governor::RateLimiter::direct_with_clock(quota, clock.clone());
        let engine = Engine::new(10_000, 1);
        let limit = Limit::Rate { rate, burst, label: "r".into() };
        let policy = Draft::new().counter("r", "proxy", limit, Mode::Enforce).set();
        let who = facts(v4(1), Credential::Absent);
        let mut now = START;
        for gap in gaps {
            clock.advance(Duration::from_millis(gap));
            now = now + Duration::from_millis(gap);
            let theirs = oracle.check().map_err(|not_until| not_until.wait_time_from(clock.now()));
            let ours = decide(&engine, &policy, &who, now);
            match theirs {
                Ok(()) => prop_assert_eq!(ours.verdict(), Verdict::Allow),
                Err(wait) => {
                    let refusal = ours.refusal.expect("governor refuses");
                    let Reason::Rate { wait: our_wait, .. } = refusal.first() else { panic!("{refusal:?}") };
                    prop_assert_eq!(*our_wait, wait);
                }
            }
        }
    }

    #[test]
    fn a_full_book_decides_alike_under_any_seed(
        addresses in prop::collection::vec((0u32..40, 0u32..60, any::<u8>()), 1..800), seeds in any::<(u64, u64)>(),
    ) {
        let policy = Draft::new().quota("p", "proxy", &[(600, 2)]).quota("r", "room", &[(600, 50)]).set();
        let engines = [Engine::new(0, seeds.0), Engine::new(0, seeds.1)];
        for (step, (high, middle, low)) in (0u64..).zip(addresses) {
            let client = v4(high << 24 | middle << 8 | u32::from(low));
            let who = Facts { room: Some(Room::Id(u64::from(middle) + 1)), ..facts(client, Credential::Absent) };
            let now = START + Duration::from_millis(step);
            let verdicts = engines.each_ref().map(|engine| decide(engine, &policy, &who, now).verdict());
            prop_assert_eq!(verdicts[0], verdicts[1]);
        }
    }
}

/// Eight threads charge, refund and change policies under one another's hands. The log of each window instance, put
/// together from the receipts' own windows, must never exceed the largest limit that was ever in force.
#[test]
fn eight_threads_never_admit_more_than_the_limit_in_any_window() {
    /// For each window, by its counter, its place, whom it counts and its end: how many were charged and given back.
    type Log = HashMap<(u16, u8, u32, u64), (i64, i64)>;
    const LIMITS: [[u32; 3]; 2] = [[30, 45, 150], [20, 60, 140]];
    let engine = Engine::new(10_000, 1);
    let policies: Vec<Arc<PolicySet>> = LIMITS.iter().map(|limits| Arc::new(three_quotas(*limits))).collect();
    let clock = AtomicU64::new(START.as_nanos());
    let logs: Vec<Log> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u32)
            .map(|thread| {
                let (engine, policies, clock) = (&engine, &policies, &clock);
                scope.spawn(move || {
                    let mut log = Log::new();
                    for round in 0..4_000u32 {
                        let policy = &policies[(round / 64 + thread) as usize % 2];
                        let account = (round + thread) % 4;
                        // A charge that lost a race may hold a time that another thread has passed; so do real ones.
                        let now = Timestamp::from_nanos(clock.fetch_add(1_000_000, Ordering::Relaxed));
                        let assessment = engine.assess(policy, &facts(v4(round % 16), key_of(account)), now);
                        let (_, Some(receipt)) = engine.decide(policy, assessment, now) else {
                            continue;
                        };
                        let refund = round % 7 == 0;
                        let refunded = refund && engine.observe(policy, &receipt, Ending::Refunded, now);
                        for standing in receipt.standings(policy, now) {
                            let whom = [account, round % 16, 0][usize::from(standing.counter)];
                            let ends = (now + standing.resets.unwrap()).as_millis();
                            let entry =
                                log.entry((standing.counter, standing.window, whom, ends)).or_default();
                            entry.0 += 1;
                            entry.1 += i64::from(refunded);
                        }
                    }
                    log
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut total: Log = HashMap::new();
    for (window, (charged, refunded)) in logs.into_iter().flatten() {
        let entry = total.entry(window).or_default();
        entry.0 += charged;
        entry.1 += refunded;
    }
    let mut reached = [false; 3];
    for ((counter, window, whom, ends), (charged, refunded)) in total {
        // Of the two policies the larger limit: which of them a charge met hangs on the threads.
        let max = policies.iter().map(|policy| match &policy.counter(counter).limit {
            Limit::Windows(windows) => i64::from(windows[usize::from(window)].max),
            _ => unreachable!(),
        });
        let max = max.max().unwrap();
        assert!(
            charged - refunded <= max,
            "counter {counter}, window {window} of {whom} that ends at {ends}: {charged} charged, {refunded} given back"
        );
        reached[usize::from(counter)] |= charged >= max;
    }
    assert!(reached[0] && reached[2], "the limits were never met: this showed nothing");
}

fn plan_of(policy: &PolicySet, client: IpAddr) -> Plan {
    // Once: a spray asks for it with every stranger.
    static EMPTY: std::sync::LazyLock<Engine> = std::sync::LazyLock::new(|| Engine::new(1, 1));
    EMPTY.assess(policy, &facts(client, Credential::Absent), START).plan
}

/// Also where, between the two, an answer has taught which number a name stands for.
#[test]
fn what_was_foreseen_is_assessed_as_it_stands_when_its_turn_comes() {
    let windows = windows_of("room", &[(60, 2)]);
    let draft = Draft::new().quota("r", "room", &[(60, 2)]).quota("p", "proxy", &[(60, 9)]);
    let policy = draft.counter("s", "proxy+room", windows, Mode::Shadow).set();
    let mut engine = Engine::new(1_000, 1);
    let room = |name: &str| Facts { room: Some(Room::parse(name).unwrap()), ..facts(v4(1), key_of(1)) };
    let (named, other, number) = (room("@name"), room("@other"), Room::Id(5));
    let mut foreseen = [Foresight::default(), Foresight::default()];
    for (facts, foresight) in [&named, &other].into_iter().zip(&mut foreseen) {
        engine.foresee(foresight, &policy, facts, START);
        engine.foresee_entries(foresight);
        engine.foresee_behind(foresight);
    }
    let before = engine.assess(&policy, &named, START);
    let (_, receipt) = engine.decide(&policy, engine.assess(&policy, &named, START), START);
    engine.observe(&policy, &receipt.unwrap(), Ending::Good(Some(number)), START);
    for (facts, foresight) in [&named, &other].into_iter().zip(&mut foreseen) {
        let assessment = engine.assess_foreseen(&policy, foresight, || *facts, START).unforeseen();
        assert_eq!(format!("{assessment:?}"), format!("{:?}", engine.assess(&policy, facts, START)));
        assert_ne!(format!("{:?}", assessment.plan), format!("{:?}", before.plan));
        assert_eq!(assessment.room == Some(number), facts.room == named.room);
    }
}

/// A ban that came in between counts, and so does the time that has passed.
#[test]
fn what_was_foreseen_is_not_believed_once_somebody_is_banned_or_a_key_has_expired() {
    let mut draft = Draft::new().quota("p", "proxy", &[(60, 9)]);
    let (hash, subject) = (KeyHash::of(b"sg_short"), Subject::text(Scope::Key, "short"));
    let bounds = KeyBounds { expires: Some(START + Duration::from_secs(30)), ..KeyBounds::default() };
    let key = Key::new(KeyId::new("short").unwrap(), AccountIndex(0), subject, bounds);
    draft.0.keys.push((hash, key));
    let policy = draft.set();
    let mut engine = Engine::new(1_000, 1);
    let asked = facts(v4(1), Credential::Presented(hash));
    let admits = |engine: &mut Engine, later: u64, between: &dyn Fn(&Engine)| {
        let mut foresight = Foresight::default();
        engine.foresee(&mut foresight, &policy, &asked, START);
        between(engine);
        let now = START + Duration::from_secs(later);
        let foreseen = engine.assess_foreseen(&policy, &mut foresight, || asked, now).unforeseen();
        assert_eq!(format!("{foreseen:?}"), format!("{:?}", engine.assess(&policy, &asked, now)));
        foreseen.refusal.is_none()
    };
    assert!(admits(&mut engine, 0, &|_| {}));
    assert!(admits(&mut engine, 29, &|_| {}));
    assert!(!admits(&mut engine, 30, &|_| {}));
    assert!(!admits(&mut engine, 0, &|engine| {
        let (target, until) = (BanTarget::Room(Room::Id(7)), START + Duration::from_secs(60));
        engine.obey(&Order::Ban { target, until, reason: "r".into() }, START).unwrap();
    }));
}

#[test]
fn a_spray_stays_under_the_cap_and_refills_nobody() {
    let cap = 8_192;
    let book = Book::new(cap, 7);
    let policy = Draft::new().quota("p", "proxy", &[(86_400, 3)]).set();
    let spent: Vec<IpAddr> = (0..64).map(|n| v4(0x0a00_0000 | n << 8 | 9)).collect();
    for client in &spent {
        for _ in 0..3 {
            assert!(matches!(
                book.charge(&policy, &plan_of(&policy, *client), &mut Receipt::default(), START),
                Charge::Booked { .. }
            ));
        }
    }
    let spray_v4 = (0..200_000u32).map(|n| v4(0xc000_0000 | n.wrapping_mul(2_654_435_761) >> 4));
    let spray_v6 = (0..200_000u128).map(|n| {
        let bits = n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | bits >> 32))
    });
    for client in spray_v4.chain(spray_v6) {
        book.charge(&policy, &plan_of(&policy, client), &mut Receipt::default(), START);
    }
    assert!(book.len() <= cap, "{} records", book.len());
    for client in &spent {
        let charge = book.charge(&policy, &plan_of(&policy, *client), &mut Receipt::default(), START);
        assert!(matches!(charge, Charge::Refused { .. }), "{client} was refilled");
    }
    let bystander = v4(0x0505_0505);
    assert!(matches!(
        book.charge(&policy, &plan_of(&policy, bystander), &mut Receipt::default(), START),
        Charge::Booked { .. }
    ));
    let later = START + Duration::from_secs(86_401);
    for shard in 0..book.shard_count() {
        book.sweep(shard, later);
    }
    assert!(book.is_empty(), "ended records are free");
}

#[test]
fn folding_takes_the_busiest_neighbourhood_and_sums_its_counts() {
    let book = Book::new(0, 7);
    let policy = Draft::new().quota("p", "proxy", &[(86_400, 40)]).set();
    // With the smallest cap, one of a shard's own two records is the share: a busy /24 folds at once.
    for low in 1..=40 {
        book.charge(&policy, &plan_of(&policy, v4(0xcb00_7100 | low)), &mut Receipt::default(), START);
    }
    for filler in 0..600u32 {
        book.charge(&policy, &plan_of(&policy, v4(filler << 16 | 1)), &mut Receipt::default(), START);
    }
    for low in 41..=60 {
        book.charge(&policy, &plan_of(&policy, v4(0xcb00_7100 | low)), &mut Receipt::default(), START);
    }
    let neighbour = book.charge(&policy, &plan_of(&policy, v4(0xcb00_71ff)), &mut Receipt::default(), START);
    assert!(matches!(neighbour, Charge::Refused { .. }), "the /24 shares one limit of 40 now");
    assert_eq!(Prefix::subnet(v4(0xcb00_71ff)).to_string(), "203.0.113.0/24");
}

/// With the smallest cap everything is blurred: what somebody had spent holds, and is nobody else's.
#[test]
fn what_is_blurred_stays_spent_and_is_nobody_elses() {
    let rooms = Limit::Distinct {
        count: Scope::Room,
        windows: match windows_of("proxy", &[(1800, 4)]) {
            Limit::Windows(windows) => windows,
            _ => unreachable!(),
        },
    };
    let policy = Draft::new()
        .counter("rooms", "proxy", rooms, Mode::Enforce)
        .quota("room", "room", &[(3600, 50)])
        .quota("account-room", "account+room", &[(3600, 50)])
        .set();
    let engine = Engine::new(0, 7);
    let verdict = |room, client, now| decide(&engine, &policy, &in_room(room, v4(client)), now).verdict();
    for room in 1..=4 {
        assert_eq!(verdict(room, 0x0a00_0001, START), Verdict::Allow);
    }
    assert_eq!(verdict(5, 0x0a00_0001, START), Verdict::Throttle);
    for n in 0..50u32 {
        assert_eq!(verdict(9, 0x0b00_0001 | n << 8, START), Verdict::Allow);
    }
    for n in 1..8_000u32 {
        verdict(1_000_000 + u64::from(n), n.wrapping_mul(2_654_435_761), START);
    }
    let later = START + Duration::from_secs(60);
    assert_eq!(verdict(5, 0x0a00_0001, later), Verdict::Throttle, "four rooms were asked for");
    assert_eq!(
        verdict(1_000_001, 0x0a00_0001, later),
        Verdict::Throttle,
        "what others asked for is not seen"
    );
    assert_eq!(verdict(9, 0x0c00_0001, later), Verdict::Throttle, "the room is used up");
    // Two rooms for each of them: a count of others' would refuse the second or third.
    for n in 0..100u32 {
        for room in [1, 2] {
            let who = 0x0d00_0001 | n << 16;
            assert_eq!(verdict(u64::from(5_000_000 + 2 * n + room), who, later), Verdict::Allow, "{n}");
        }
    }
    let over = START + Duration::from_secs(1800);
    assert_eq!(verdict(9_000_005, 0x0a00_0001, over + Duration::from_secs(60)), Verdict::Allow, "it ended");
}
