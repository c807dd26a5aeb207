//! The limit headers of real answers: read by a parser of structured fields (RFC 9651), and the same numbers in every
//! generation's words (draft-ietf-httpapi-ratelimit-headers-11; `contract.md` section 5).

use sfv::{BareItem, List, ListEntry, Parser};

use crate::gateway::{Answer, OPEN, Setup};
use crate::generator::{Generator, answer};

const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";

/// One entry of either field: its name and its whole numbers, by name.
type Entry = (String, Vec<(String, i64)>);

fn entries(value: &str) -> Vec<Entry> {
    let list: List = Parser::new(value).parse().unwrap_or_else(|error| panic!("{error}: {value}"));
    let entry = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("an inner list in {value}") };
        let BareItem::String(name) = &item.bare_item else { panic!("no string in {value}") };
        let numbers = item.params.iter().filter_map(|(key, number)| match number {
            BareItem::Integer(number) => Some((key.to_string(), i64::from(*number))),
            BareItem::String(unit) => {
                assert_eq!((key.as_str(), unit.as_str()), ("qu", "concurrent-requests"), "{value}");
                None
            }
            other => panic!("{other:?} in {value}"),
        });
        (name.to_string(), numbers.collect())
    };
    list.iter().map(entry).collect()
}

fn parameter(entry: &Entry, name: &str) -> Option<i64> {
    entry.1.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
}

/// Asserts that the new fields are well-formed and say what the classic ones say; gives the told window's name, what is
/// left and the wait.
fn agreed(answer: &Answer) -> (String, i64, i64) {
    let policy = entries(answer.header("ratelimit-policy").expect("a policy"));
    let told = entries(answer.header("ratelimit").expect("a limit"));
    assert_eq!(told.len(), 1);
    let told = &told[0];
    let mut names: Vec<_> = policy.iter().map(|entry| &entry.0).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), policy.len(), "every name once: {policy:?}");
    let limit = policy.iter().find(|entry| entry.0 == told.0).expect("the told limit is in the policy");
    let number = |name: &str| i64::try_from(answer.number(name)).unwrap();
    let (remaining, wait) = (parameter(told, "r").unwrap(), parameter(told, "t").unwrap_or(0));
    assert_eq!(parameter(limit, "q"), Some(number("x-ratelimit-limit")));
    assert_eq!(remaining, number("x-ratelimit-remaining"));
    assert_eq!(wait, number("ratelimit-reset"));
    if answer.status == 429 {
        assert_eq!(remaining, 0);
        assert_eq!(wait, number("retry-after"));
        assert!(wait >= 1);
    } else {
        assert_eq!(remaining, number("ratelimit-remaining"));
    }
    let now = jiff::Timestamp::now().as_second();
    let reset = number("x-ratelimit-reset");
    // Rounded up to a whole second, and read up to a second later than it was written.
    assert!((now + wait - 2..=now + wait + 1).contains(&reset), "{reset} is not {now} + {wait}");
    (told.0.clone(), remaining, wait)
}

fn policy(more: &str) -> String {
    format!("{OPEN}\n{more}")
}

#[test]
fn every_answer_says_the_same_in_old_words_and_new() {
    let quotas = "[[quota]]\nname = \"address\"\nscope = \"proxy\"\nlimits = { minute = 3, hour = 100 }\n\
                  [[quota]]\nname = \"room\"\nscope = \"room\"\nlimits = { minute = 50, \"30m\" = 60 }\n";
    let generator = Generator::good();
    let gateway = Setup::new(&policy(quotas)).generator(generator.address).start();
    for left in [2, 1, 0] {
        let good = gateway.get(CONNECT, &[]);
        assert_eq!(good.status, 200);
        let (name, remaining, wait) = agreed(&good);
        assert_eq!((name.as_str(), remaining), ("address/minute", left), "the tightest is told");
        assert!((55..=60).contains(&wait));
        let policy = entries(good.header("ratelimit-policy").unwrap());
        let all: Vec<_> = policy
            .iter()
            .map(|entry| (entry.0.as_str(), parameter(entry, "q").unwrap(), parameter(entry, "w").unwrap()))
            .collect();
        let expected =
            [("address/minute", 3, 60), ("hour", 100, 3600), ("room/minute", 50, 60), ("30m", 60, 1800)];
        assert_eq!(all.len(), expected.len(), "{all:?}");
        for limit in expected {
            assert!(all.contains(&limit), "{limit:?} in {all:?}");
        }
    }
    for user_agent in ["User-Agent: TikTokLive.py/7.0.1", "User-Agent: tiktok-live-connector/2.5.0 linux"] {
        let refused = gateway.get(CONNECT, &[user_agent]);
        refused.refusal(429, "rate_limit_proxy_minute");
        let (name, _, wait) = agreed(&refused);
        assert_eq!(name, "address/minute");
        let expected = if user_agent.contains("TikTokLive.py") { wait } else { 0 };
        assert_eq!(i64::try_from(refused.number("ratelimit-remaining")), Ok(expected), "{user_agent}");
    }
}

#[test]
fn several_exhausted_windows_tell_the_longest_wait() {
    let quotas = "[[quota]]\nname = \"address\"\nscope = \"proxy\"\nlimits = { minute = 1, hour = 1 }\n";
    let gateway = Setup::new(&policy(quotas)).start();
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    let refused = gateway.get(CONNECT, &[]);
    refused.refusal(429, "rate_limit_proxy_hour");
    let (name, _, wait) = agreed(&refused);
    assert_eq!(name, "hour");
    assert!((3590..=3600).contains(&wait), "{wait}");
}

#[test]
fn paces_and_work_in_flight_are_told_too() {
    let rules = "[[rate]]\nname = \"pace\"\nscope = \"proxy\"\nrate = \"1/m\"\nburst = 1\n";
    let gateway = Setup::new(&policy(rules)).start();
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    let refused = gateway.get(CONNECT, &[]);
    assert_eq!(refused.status, 429);
    let (name, _, wait) = agreed(&refused);
    assert_eq!(name, "pace");
    assert!((55..=60).contains(&wait), "{wait}");
}

#[test]
fn failures_of_generators_tell_the_windows_as_they_stand() {
    let quotas = "[[quota]]\nname = \"address\"\nscope = \"proxy\"\nlimits = { minute = 3 }\n";
    let generator =
        Generator::with(|_| answer(500, &["RateLimit: \"x\";r=1", "RateLimit-Policy: \"x\";q=2"], b""));
    let gateway = Setup::new(&policy(quotas)).generator(generator.address).start();
    let failed = gateway.get(CONNECT, &[]);
    failed.refusal(502, "generator_failed");
    let (name, ..) = agreed(&failed);
    assert_eq!(name, "minute");
}

#[test]
fn where_nothing_limits_nothing_is_told() {
    let shadow = "[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = { minute = 1 }\nmode = \"shadow\"\n";
    let gateway = Setup::new(&policy(shadow)).start();
    for _ in 0..3 {
        let good = gateway.get(CONNECT, &[]);
        assert_eq!(good.status, 200);
        assert!(!good.headers.iter().any(|(name, _)| name.contains("ratelimit")), "{good:?}");
    }
}
