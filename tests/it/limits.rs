//! Asking for one's limits: in the shape that every generation reads, free of charge, and answered whatever else is wrong.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::gateway::{Answer, Gateway, OPEN, Setup};

const KEY: &str = "X-Api-Key: key-of-overlay";
const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";
/// Generation A; B and C, which ask for a kind of limit or not.
const SPELLINGS: [&str; 5] = [
    "/webcast/rate_limits",
    "//webcast/rate_limits/",
    "/accounts/me/rate_limits",
    "/accounts/me/rate_limits?type=webcast",
    "/accounts/me/rate_limits/?type=minute&apiKey=",
];

/// The answer as `contract.md` section 3 has it, and nothing else.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Limits {
    code: u16,
    message: Option<String>,
    /// Absent or whole, never null: the SDKs of generations B and C do not read null.
    #[serde(default, deserialize_with = "whole")]
    minute: Option<Window>,
    #[serde(default, deserialize_with = "whole")]
    hour: Option<Window>,
    #[serde(default, deserialize_with = "whole")]
    day: Option<Window>,
    load_shedding: LoadShedding,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Window {
    max: u32,
    remaining: u32,
    /// Must be there, be it null.
    #[serde(deserialize_with = "Option::deserialize")]
    reset_at: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct LoadShedding {
    at: f64,
    chance: f64,
}

fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Window>, D::Error> {
    Window::deserialize(deserializer).map(Some)
}

fn read(answer: &Answer) -> Limits {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() > 10));
    let limits: Limits =
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()));
    assert_eq!(limits.code, 200);
    let shedding = &limits.load_shedding;
    assert!((0.0..=1.0).contains(&shedding.at) && (0.0..=1.0).contains(&shedding.chance), "{shedding:?}");
    let minute = limits.minute.as_ref().expect("gotiktoklive needs a minute");
    assert!(minute.max > 0, "and a maximum above 0");
    for window in [&limits.minute, &limits.hour, &limits.day].into_iter().flatten() {
        assert!(window.remaining <= window.max, "{window:?}");
        if let Some(time) = &window.reset_at {
            let left = time.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{error}: {time}"));
            let now = jiff::Timestamp::now();
            assert!(left > now && left.duration_since(now).as_secs() <= 86_400, "{time} at {now}");
        }
    }
    limits
}

fn policy(more: &str) -> String {
    let hash = blake3::hash(b"key-of-overlay");
    format!("{OPEN}\n[[key]]\nid = \"k_1\"\nhash = \"blake3:{hash}\"\naccount = \"overlay-suite\"\n{more}")
}

const QUOTAS: &str = r#"
[[quota]]
name = "anonymous"
scope = "proxy"
tiers = ["anonymous"]
limits = { minute = 5, hour = 30, day = 100 }
[[quota]]
name = "community"
scope = "account"
tiers = ["community"]
limits = { day = 2500 }
"#;

fn remaining(gateway: &Gateway, headers: &[&str]) -> BTreeMap<&'static str, u32> {
    let limits = read(&gateway.get("/webcast/rate_limits", headers));
    let windows = [("minute", limits.minute), ("hour", limits.hour), ("day", limits.day)];
    windows.into_iter().filter_map(|(name, window)| Some((name, window?.remaining))).collect()
}

#[test]
fn every_spelling_gets_the_same_strict_shape() {
    let gateway = Setup::new(&policy(QUOTAS)).start();
    for spelling in SPELLINGS {
        let whole = read(&gateway.get(spelling, &[]));
        let told = |window: &Option<Window>| window.as_ref().map(|window| (window.max, window.remaining));
        assert_eq!(
            (told(&whole.minute), told(&whole.hour), told(&whole.day)),
            (Some((5, 5)), Some((30, 30)), Some((100, 100))),
            "{spelling}"
        );
        assert_eq!(whole.day.unwrap().reset_at, None, "a window that is not open has no end");
    }
    for _ in 0..2 {
        assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    }
    for spelling in SPELLINGS {
        let two_less = read(&gateway.get(spelling, &[]));
        let minute = two_less.minute.unwrap();
        assert_eq!((minute.max, minute.remaining, two_less.day.unwrap().remaining), (5, 3, 98), "{spelling}");
        assert!(minute.reset_at.is_some(), "an open window has an end");
    }
    // An account has a day alone; the minute that clients need is made of it.
    let account = read(&gateway.get("/accounts/me/rate_limits", &[KEY]));
    let minute = account.minute.unwrap();
    assert_eq!((minute.max, minute.remaining, account.hour), (2500, 2500, None));
}

#[test]
fn where_nothing_limits_a_client_still_starts() {
    let gateway = Setup::new(&policy("")).start();
    for spelling in SPELLINGS {
        let limits = read(&gateway.get(spelling, &[]));
        assert!(limits.minute.unwrap().remaining > 0, "{spelling}");
        assert_eq!((limits.hour, limits.day), (None, None));
    }
}

#[test]
fn a_thousand_polls_leave_the_quota_whole() {
    let rate = "[[rate]]\nname = \"pace\"\nscope = \"proxy\"\nrate = \"1/m\"\nburst = 6\n\
                [[concurrency]]\nname = \"at-a-time\"\nscope = \"proxy\"\nmax = 1\n";
    let gateway = Setup::new(&policy(&format!("{QUOTAS}{rate}"))).start();
    let mut client = gateway.client();
    for poll in 0..1000 {
        read(&client.get(SPELLINGS[poll % SPELLINGS.len()], &[]));
    }
    for left in [4, 3, 2, 1, 0] {
        let answer = client.get(CONNECT, &[]);
        assert_eq!((answer.status, answer.number("ratelimit-remaining")), (200, left));
    }
    client.get(CONNECT, &[]).refusal(429, "rate_limit_proxy_minute");
    assert_eq!(client.get("/webcast/rate_limits", &[]).status, 200, "one may ask when all is used up");
}

#[test]
fn polled_too_often_the_last_answer_is_told_again() {
    let gateway = Setup::new(&policy(QUOTAS)).start();
    let mut client = gateway.client();
    let connect = |left: u64| {
        assert_eq!(gateway.get(CONNECT, &[]).number("ratelimit-remaining"), left);
    };
    // 29 polls are answered afresh, the 30th too and for the rest of the minute.
    for poll in 1..30 {
        assert_eq!(read(&client.get("/webcast/rate_limits", &[])).minute.unwrap().remaining, 5, "{poll}");
    }
    connect(4);
    let last = client.get("/webcast/rate_limits", &[]);
    assert_eq!(read(&last).minute.unwrap().remaining, 4, "the thirtieth is fresh");
    connect(3);
    for _ in 0..50 {
        let again = client.get("/accounts/me/rate_limits", &[]);
        assert_eq!((again.status, &again.body), (200, &last.body), "then it is repeated, with 200");
    }
    // Another caller behind the same proxy is never told what this one has left.
    let other = read(&client.get("/webcast/rate_limits", &[KEY]));
    assert_eq!(other.day.unwrap().max, 2500);
    assert_eq!(gateway.get(CONNECT, &[]).number("ratelimit-remaining"), 2, "polling never touches the quota");
}

#[test]
fn who_is_refused_everything_is_refused_this() {
    let gateway = Setup::new(&policy(
        "[[blocklist]]\nname = \"bots\"\nuser-agents = [\"bot/*\"]\nreason = \"no bots\"\n",
    ))
    .start();
    for spelling in SPELLINGS {
        gateway.get(spelling, &["User-Agent: bot/1"]).refusal(403, "blocked");
        gateway.get(spelling, &["X-Api-Key: nobody's"]).refusal(401, "key_unknown");
        assert_eq!(gateway.get(spelling, &[KEY]).status, 200, "{spelling}");
        let wrong = gateway.post(spelling, &[], "{}");
        wrong.refusal(405, "method_not_allowed");
        assert_eq!(wrong.header("allow"), Some("GET"));
    }
}

#[test]
fn only_the_callers_own_windows_are_told() {
    let gateway = Setup::new(&policy(QUOTAS)).start();
    assert_eq!(gateway.get(CONNECT, &[KEY]).status, 200);
    assert_eq!(remaining(&gateway, &[KEY]), [("minute", 2499), ("day", 2499)].into());
    assert_eq!(remaining(&gateway, &[]), [("minute", 5), ("hour", 30), ("day", 100)].into());
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    assert_eq!(remaining(&gateway, &[]), [("minute", 4), ("hour", 29), ("day", 99)].into());
    assert_eq!(remaining(&gateway, &[KEY]), [("minute", 2499), ("day", 2499)].into());
}
