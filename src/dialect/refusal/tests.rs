//! Every refusal, as each client gets it; and what holds of all of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::dialect::example::{
    ANONYMOUS, ANONYMOUS_COUNTER, BLOCKED, BURST, IN_FLIGHT, NOW, PER_ROOM, PER_ROOM_COUNTER, policy,
    request_id, standing,
};
use crate::engine::decision::{Matcher, Standing};
use crate::engine::operator::{BanTarget, OperatorBan};
use crate::engine::viewbot::bans::Ban;
use crate::engine::viewbot::{Against, Rung};

const PYTHON: &str = "TikTokLive.py/7.0.1";
const NODE: &str = "tiktok-live-connector/2.5.0 linux";
const OTHER: &str = "Go-http-client/1.1";

fn standings() -> Vec<Standing> {
    vec![
        standing(ANONYMOUS_COUNTER, 0, 0, Some(40_100)),
        standing(ANONYMOUS_COUNTER, 1, 12, Some(2_400_000)),
        standing(ANONYMOUS_COUNTER, 2, 80, Some(80_000_000)),
        standing(PER_ROOM_COUNTER, 0, 1, Some(40_100)),
        standing(PER_ROOM_COUNTER, 1, 4, None),
    ]
}

fn quota(wait_ms: u64) -> Reason {
    Reason::Quota {
        rule: ANONYMOUS,
        label: "rate_limit_proxy_minute".into(),
        max: 5,
        different: None,
        window: Duration::from_secs(60),
        wait: Duration::from_millis(wait_ms),
    }
}

fn room_quota(wait_ms: u64) -> Reason {
    Reason::Quota {
        rule: PER_ROOM,
        label: "rate_limit_proxy_room_id_30m".into(),
        max: 4,
        different: None,
        window: Duration::from_secs(1800),
        wait: Duration::from_millis(wait_ms),
    }
}

fn viewbot(rung: Rung, wait_secs: Option<u64>) -> Reason {
    Reason::Viewbot(Against {
        wait: wait_secs.map(Duration::from_secs),
        rung,
        evidence: Ban::example().evidence,
    })
}

/// One of each; a new reason has to be added here, for `status_of` will ask for it.
fn reasons() -> Vec<Reason> {
    vec![
        Reason::Blocked { rule: BLOCKED, by: Matcher::Address },
        Reason::KeyUnknown,
        Reason::KeyAttempts { wait: Duration::from_millis(31_500) },
        Reason::KeyExpired { at: Timestamp::from_secs(1_790_000_000) },
        Reason::KeyDisabled,
        Reason::KeyProxy,
        Reason::KeyRoom,
        Reason::TargetNotListed,
        Reason::SessionRefused,
        Reason::Banned(Arc::new(Ban::example())),
        Reason::BannedByOperator(Arc::new(OperatorBan {
            id: 3,
            target: BanTarget::Asn(64_500),
            reason: "sells viewers".into(),
            made: NOW,
            until: NOW,
        })),
        viewbot(Rung::Convicted, None),
        viewbot(Rung::Suspicion, Some(120)),
        viewbot(Rung::Strangers, Some(7)),
        viewbot(Rung::Repeats, Some(25)),
        quota(40_100),
        Reason::Rate {
            rule: BURST,
            label: "rate_limit_proxy_rate".into(),
            wait: Duration::from_millis(14_001),
        },
        Reason::Concurrency { rule: IN_FLIGHT, label: "rate_limit_proxy_concurrency".into(), max: 50 },
    ]
}

fn printed(rejected: &Rejected<'_>, user_agent: &str) -> String {
    let response = rejected.answer(request_id(), NOW, user_agent);
    let mut text = format!("{}\n", response.status);
    let headers = response.head.to_map();
    let mut headers: Vec<_> = headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str().to_owned());
    for (name, value) in headers {
        writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
    }
    text + "\n" + std::str::from_utf8(&response.body).unwrap()
}

fn printed_for_all(rejected: &Rejected<'_>) -> String {
    let clients = [("Python", PYTHON), ("Node", NODE), ("others", OTHER)];
    let parts = clients.map(|(name, agent)| format!("== {name}\n{}\n", printed(rejected, agent)));
    parts.join("\n")
}

#[test]
fn each_reason_as_each_client_gets_it() {
    let (policy, standings) = (policy(), standings());
    let mut told = std::collections::BTreeMap::new();
    for reason in reasons() {
        // A caller who is refused for who it is has no windows.
        let counted = reason.wait_left().is_some() && !matches!(reason, Reason::KeyAttempts { .. });
        let limits = Limits { policy: &policy, standings: if counted { &standings } else { &[] } };
        let refusal = Refusal::new(reason);
        let rejected = Rejected::refused(&refusal, limits);
        // Several may go by one word.
        let word = refusal.first().word();
        let place = told.entry(word).and_modify(|place| *place += 1).or_insert(1);
        let name = if *place == 1 { word.to_owned() } else { format!("{word}-{place}") };
        insta::assert_snapshot!(name, printed_for_all(&rejected));
    }
}

#[test]
fn several_reasons_are_all_told_the_longest_wait_first() {
    let (policy, standings) = (policy(), standings());
    let mut refusal = Refusal::new(quota(40_100));
    refusal.add(room_quota(1_700_000));
    let rejected = Rejected::refused(&refusal, Limits { policy: &policy, standings: &standings });
    insta::assert_snapshot!("several-reasons", printed(&rejected, PYTHON));
}

#[test]
fn faults_of_requests_and_of_generators() {
    let wait = Wait::of(Duration::from_secs(2));
    let busy = "all generators are busy";
    let rejected = [
        Rejected::request(StatusCode::BAD_REQUEST, "room_mismatch", "two room ids disagree; send one"),
        Rejected::method("GET, POST"),
        Rejected::throttled("connections", "too many connections from this address", wait),
        Rejected::unavailable(Unavailable::NoCapacity, "no_capacity", busy, Some(wait)),
        Rejected::unavailable(Unavailable::Failed, "generators_failed", "no generator gave an answer", None),
        Rejected::unavailable(Unavailable::Late, "deadline", "no generator answered in time", None),
    ];
    let all: Vec<_> = rejected.iter().map(|rejected| printed(rejected, PYTHON)).collect();
    insta::assert_snapshot!("faults", all.join("\n\n"));
}

#[test]
fn a_refusal_never_looks_like_success() {
    for status in [StatusCode::OK, StatusCode::FOUND, StatusCode::SWITCHING_PROTOCOLS] {
        assert_eq!(Rejected::request(status, "x", "y").status(), StatusCode::BAD_REQUEST);
    }
}

#[test]
fn where_a_wait_is_expected_there_is_one() {
    let rejected = Rejected::request(StatusCode::TOO_MANY_REQUESTS, "x", "slow down");
    let headers = rejected.answer(request_id(), NOW, PYTHON).head.to_map();
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(headers["ratelimit-remaining"], "1");
    let rejected = Rejected::unavailable(Unavailable::NoCapacity, "x", "all are busy", None);
    assert_eq!(rejected.answer(request_id(), NOW, NODE).head.to_map()["retry-after"], "1");
    assert_eq!(rejected.message().to_string(), "all are busy; try again in 1 second");
}

#[test]
fn a_failure_of_generators_tells_what_is_left_of_the_windows() {
    let (policy, standings) = (policy(), standings());
    let limits = Limits { policy: &policy, standings: &standings[1..] };
    let rejected = Rejected::unavailable(Unavailable::Failed, "x", "none answered", None).with_limits(limits);
    let headers = rejected.answer(request_id(), NOW, PYTHON).head.to_map();
    assert_eq!(headers["ratelimit-remaining"], "12");
    assert!(!headers.contains_key("retry-after"));
}

#[test]
fn a_long_message_is_cut() {
    let rejected = Rejected::request(StatusCode::BAD_REQUEST, "x", "ä\"".repeat(100_000));
    let body = rejected.answer(request_id(), NOW, OTHER).body;
    assert!(body.len() < 4 * MESSAGE_BYTES_MAX, "{}", body.len());
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let message = body["message"].as_str().unwrap();
    assert!(message.ends_with('…') && message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
}

#[test]
fn a_refusal_names_a_bounded_number_of_reasons() {
    let policy = policy();
    let mut refusal = Refusal::new(quota(1));
    for _ in 0..100 {
        refusal.add(quota(1));
    }
    let rejected = Rejected::refused(&refusal, Limits { policy: &policy, standings: &[] });
    let body = rejected.answer(request_id(), NOW, OTHER).body;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["reasons"].as_array().unwrap().len(), REASONS_MAX);
}

fn any_reason() -> impl Strategy<Value = Reason> {
    (0..reasons().len(), 0u64..400 * 86_400_000).prop_map(|(which, wait_ms)| {
        let new_wait = Duration::from_millis(wait_ms);
        let mut reason = reasons().swap_remove(which);
        match &mut reason {
            Reason::KeyAttempts { wait } | Reason::Quota { wait, .. } | Reason::Rate { wait, .. } => {
                *wait = new_wait;
            }
            _ => {}
        }
        reason
    })
}

proptest! {
    #[test]
    fn the_wait_is_the_same_everywhere(
        reason in any_reason(),
        more in proptest::collection::vec(any_reason(), 0..3),
        now_ms in 0u64..4_000_000_000_000,
        python: bool,
    ) {
        let (policy, standings) = (policy(), standings());
        let mut refusal = Refusal::new(reason);
        for reason in more {
            refusal.add(reason);
        }
        let rejected = Rejected::refused(&refusal, Limits { policy: &policy, standings: &standings });
        let now = Timestamp::from_millis(now_ms);
        let response = rejected.answer(request_id(), now, if python { PYTHON } else { NODE });
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let headers = response.head.to_map();
        let number = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().parse::<u64>().unwrap());

        prop_assert_eq!(body["code"].as_u64().unwrap(), u64::from(response.status.as_u16()));
        prop_assert_eq!(&body["message"], &body["error"]);
        prop_assert_eq!(body["limit_label"].as_str().unwrap(), rejected.label());
        prop_assert_eq!(body["request_id"].as_str().unwrap(), &response.head.to_map()["x-request-id"]);
        let Some(wait) = refusal.wait().map(Wait::secs) else {
            prop_assert_ne!(response.status, StatusCode::TOO_MANY_REQUESTS);
            prop_assert_eq!(number("retry-after"), None);
            prop_assert!(body.get("retry_after").is_none());
            return Ok(());
        };
        prop_assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
        prop_assert_eq!(number("retry-after"), Some(wait));
        prop_assert_eq!(number("ratelimit-reset"), Some(wait));
        prop_assert_eq!(number("ratelimit-remaining"), Some(if python { wait } else { 0 }));
        prop_assert_eq!(number("x-ratelimit-remaining"), Some(0));
        prop_assert_eq!(body["retry_after"].as_u64(), Some(wait));
        // The moment is the first whole second at which the wait is over.
        let moment = Timestamp::from_secs(number("x-ratelimit-reset").unwrap());
        let over = now + Duration::from_secs(wait);
        prop_assert!(moment >= over && moment.since(over) < Duration::from_secs(1));
        let text = body["message"].as_str().unwrap();
        prop_assert!(text.contains(&format!("try again in {wait} second")), "{}", text);
    }

    #[test]
    fn a_body_is_json_whatever_the_message(message: String, wait in proptest::option::of(0u64..100_000)) {
        let wait = wait.map(|secs| Wait::of(Duration::from_secs(secs)));
        let rejected = Rejected::unavailable(Unavailable::NoCapacity, "no_capacity", message.clone(), wait);
        let response = rejected.answer(request_id(), NOW, PYTHON);
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        prop_assert_eq!(body["code"].as_u64(), Some(503));
        let text = body["message"].as_str().unwrap();
        prop_assert!(text.starts_with(&message) || text.ends_with('…'));
        if let Some(wait) = wait {
            let end = format!("; try again in {wait}");
            prop_assert!(text.ends_with(&end) || text.ends_with('…'));
            let headers = response.head.to_map();
            let told = headers["retry-after"].to_str().unwrap();
            prop_assert_eq!(told.parse::<u64>().unwrap(), wait.secs());
        }
    }
}
