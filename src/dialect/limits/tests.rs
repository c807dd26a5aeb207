//! The limits answer in its shapes, and the memory of those who poll too often.

use std::cell::Cell;

use serde_json::{Value, json};

use super::*;
use crate::base::id::KeyId;
use crate::dialect::example::{
    ANONYMOUS_COUNTER, NOW, PER_ROOM_COUNTER, policy, quotas_and_more, request_id, standing, with_mode,
};
use crate::engine::decision::Standing;
use crate::policy::set::{Mode, PolicySet};

fn answer(policy: &PolicySet, standings: &[Standing]) -> Value {
    let body = body(Limits { policy, standings }, LoadShedding::NONE, NOW);
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn the_shape_that_all_generations_read() {
    let standings = [
        standing(ANONYMOUS_COUNTER, 0, 3, Some(40_100)),
        standing(ANONYMOUS_COUNTER, 1, 12, Some(2_400_000)),
        standing(ANONYMOUS_COUNTER, 2, 100, None),
        standing(PER_ROOM_COUNTER, 0, 1, Some(10_000)),
        standing(PER_ROOM_COUNTER, 1, 4, None),
    ];
    let policy = policy();
    let body = body(Limits { policy: &policy, standings: &standings }, LoadShedding::NONE, NOW);
    insta::assert_snapshot!("limits", std::str::from_utf8(&body).unwrap());
    let headers = head(request_id()).to_map();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-request-id"], request_id().to_string().as_str());
}

#[test]
fn of_several_rules_the_fewest_left_are_told() {
    let policy = quotas_and_more(&[("a", "proxy", &[("minute", 5)]), ("b", "account", &[("1m", 100)])]);
    // A nanosecond beyond the millisecond: the moment is rounded up.
    let resets = Some(Duration::new(1, 1));
    let answer = answer(&policy, &[standing(0, 0, 4, None), Standing { resets, ..standing(1, 0, 3, None) }]);
    assert_eq!(answer["minute"], json!({"max": 100, "remaining": 3, "reset_at": "2027-01-01T00:00:01.251Z"}));
    assert_eq!(answer.as_object().unwrap().len(), 4, "one window for a length, whatever its name: {answer}");
}

#[test]
fn a_minute_is_derived_from_the_longer_window_with_the_fewest_left() {
    let policy = quotas_and_more(&[("a", "proxy", &[("hour", 30), ("day", 100)])]);
    let answer = answer(&policy, &[standing(0, 0, 30, None), standing(0, 1, 2, Some(1_000_000))]);
    assert_eq!(answer["minute"]["max"], 100);
    assert_eq!(answer["minute"]["remaining"], 2);
    assert_eq!(answer["minute"]["reset_at"], answer["day"]["reset_at"]);
    assert_eq!(answer["hour"], json!({"max": 30, "remaining": 30, "reset_at": null}));
}

#[test]
fn a_minute_is_derived_from_a_shorter_window() {
    let policy = quotas_and_more(&[("a", "proxy", &[("10s", 5)])]);
    let answer = answer(&policy, &[standing(0, 0, 1, Some(4_000))]);
    assert_eq!((&answer["minute"]["max"], &answer["minute"]["remaining"]), (&json!(30), &json!(26)));
    assert_eq!(answer["10s"]["remaining"], 1);
    assert!(answer.get("hour").is_none() && answer.get("day").is_none(), "none may be null: {answer}");
}

#[test]
fn without_any_limit_the_minute_is_large() {
    let (enforced, shadow) = (policy(), with_mode(Mode::Shadow));
    let spent = [standing(ANONYMOUS_COUNTER, 0, 0, Some(1_000))];
    for answer in [answer(&enforced, &[]), answer(&shadow, &spent)] {
        assert_eq!(answer["minute"]["max"], UNLIMITED);
        assert_eq!(answer["load_shedding"], json!({"at": 1.0, "chance": 0.0}));
        assert_eq!(answer["code"], 200);
    }
}

#[test]
fn load_shedding_is_always_two_numbers() {
    for odd in [f64::NAN, f64::INFINITY, -1.0, 7.0] {
        let shedding = LoadShedding { at: odd, chance: odd };
        let told = serde_json::to_value(shedding).unwrap();
        for name in ["at", "chance"] {
            assert!((0.0..=1.0).contains(&told[name].as_f64().unwrap()), "{odd} {told}");
        }
    }
}

fn proxy(n: u32) -> Prefix {
    Prefix::proxy(std::net::Ipv4Addr::from_bits(n).into())
}

/// A fresh answer is the next number.
struct Poller {
    memory: LimitsMemory,
    fresh: Cell<u64>,
}

impl Poller {
    fn new(proxies_max: usize) -> Self {
        Self { memory: LimitsMemory::new(proxies_max), fresh: Cell::new(0) }
    }

    fn poll(&mut self, proxy: Prefix, caller: Option<&str>, now: Timestamp) -> u64 {
        let caller = caller.map(|caller| KeyId::new(caller).unwrap());
        let fresh = || {
            self.fresh.set(self.fresh.get() + 1);
            Bytes::from(self.fresh.get().to_string())
        };
        let answer = self.memory.answer(proxy, caller.as_ref(), now, fresh);
        std::str::from_utf8(&answer).unwrap().parse().unwrap()
    }
}

#[test]
fn who_polls_too_often_gets_the_last_answer_until_the_minute_is_over() {
    let mut poller = Poller::new(10);
    let told: Vec<_> = (0..40).map(|_| poller.poll(proxy(1), None, NOW)).collect();
    assert_eq!(told[..30], (1..=30).collect::<Vec<_>>());
    assert!(told[30..].iter().all(|answer| *answer == 30), "{told:?}");
    assert_eq!(poller.poll(proxy(2), None, NOW), 31, "another proxy is not held to it");
    assert_eq!(poller.poll(proxy(1), None, NOW + Duration::from_secs(59)), 30);
    assert_eq!(poller.poll(proxy(1), None, NOW + Duration::from_secs(60)), 32);
}

#[test]
fn polling_within_the_limit_is_always_answered_afresh() {
    let mut poller = Poller::new(10);
    for n in 1..=300 {
        let now = NOW + Duration::from_secs(2) * n;
        assert_eq!(poller.poll(proxy(1), None, now), u64::from(n));
    }
}

#[test]
fn one_caller_is_never_told_what_another_has_left() {
    let mut poller = Poller::new(10);
    for _ in 0..30 {
        poller.poll(proxy(1), Some("a"), NOW);
    }
    let callers = ["a", "b", "c", "d", "e", "f"];
    let first = callers.map(|caller| poller.poll(proxy(1), Some(caller), NOW));
    assert_eq!(first, [30, 31, 32, 33, 34, 35]);
    let again = callers.map(|caller| poller.poll(proxy(1), Some(caller), NOW));
    assert_eq!(again, [30, 31, 32, 33, 36, 37], "those beyond the slots are answered afresh");
    assert_eq!(poller.poll(proxy(1), None, NOW), 38, "nor is one without a key");
}

#[test]
fn a_spray_neither_grows_the_memory_nor_frees_the_one_who_spent() {
    let mut poller = Poller::new(100);
    for _ in 0..31 {
        poller.poll(proxy(1), None, NOW);
    }
    for n in 2..10_000 {
        poller.poll(proxy(n), None, NOW + Duration::from_millis(u64::from(n)));
        assert!(poller.memory.len() <= 100);
    }
    assert_eq!(poller.poll(proxy(1), None, NOW + Duration::from_secs(30)), 30);
    // Later the room is used again.
    poller.poll(proxy(77_777), None, NOW + Duration::from_secs(120));
    assert_eq!(poller.memory.len(), 1);
}
