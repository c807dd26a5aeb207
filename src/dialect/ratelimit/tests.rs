//! Which window is told, and that the structured fields read back.

use std::collections::HashSet;

use http::HeaderMap;
use proptest::prelude::*;
use sfv::{BareItem, List, ListEntry, Parser};

use super::*;
use crate::base::id::RuleName;
use crate::dialect::example::{
    self, ANONYMOUS_COUNTER, BURST, IN_FLIGHT, NOW, PER_ROOM_COUNTER, policy, quotas_and_more, standing,
};

fn told(policy: &PolicySet, standings: &[Standing]) -> HeaderMap {
    let mut head = Head::new();
    write_standing(&mut head, Limits { policy, standings }, NOW);
    head.to_map()
}

fn refused(policy: &PolicySet, standings: &[Standing], reason: Reason) -> HeaderMap {
    let mut head = Head::new();
    let refusal = Refusal::new(reason);
    write_refusal(&mut head, Limits { policy, standings }, &refusal, NOW, RemainingAs::Requests);
    head.to_map()
}

/// The names and integer parameters of a list of strings.
fn parsed(headers: &HeaderMap, name: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let list: List = Parser::new(headers[name].as_bytes()).parse().unwrap();
    let item = |entry: ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("an inner list") };
        let BareItem::String(name) = item.bare_item else { panic!("not a string") };
        let number = |value: BareItem| match value {
            BareItem::Integer(number) => Some(i64::from(number)),
            _ => None,
        };
        let parameters =
            item.params.into_iter().filter_map(|(key, value)| Some((key.to_string(), number(value)?)));
        (String::from(name), parameters.collect())
    };
    list.into_iter().map(item).collect()
}

#[test]
fn an_answer_tells_the_tightest_window() {
    let policy = quotas_and_more(&[("anonymous", "proxy", &[("minute", 5), ("hour", 30), ("day", 100)])]);
    let standings = [
        standing(0, 0, 2, Some(40_001)),
        standing(0, 1, 9, Some(1_000_000)),
        standing(0, 2, 60, Some(80_000_000)),
    ];
    let headers = told(&policy, &standings);
    let text = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let expected = [
        "x-ratelimit-limit: 30",
        "x-ratelimit-remaining: 9",
        "x-ratelimit-reset: 1798762601",
        "ratelimit-remaining: 9",
        "ratelimit-reset: 1000",
        "ratelimit-policy: \"minute\";q=5;w=60, \"hour\";q=30;w=3600, \"day\";q=100;w=86400",
        "ratelimit: \"hour\";r=9;t=1000",
    ];
    assert_eq!(text.collect::<Vec<_>>(), expected);
}

#[test]
fn of_equal_shares_the_fewest_left_is_told_then_the_longest_wait() {
    let policy = policy();
    let limit =
        |standings: &[Standing]| told(&policy, standings)["x-ratelimit-limit"].to_str().unwrap().to_owned();
    // All whole: `rooms` admits 2 in a minute, nothing else admits as few.
    let whole = [
        standing(ANONYMOUS_COUNTER, 0, 5, None),
        standing(ANONYMOUS_COUNTER, 2, 100, None),
        standing(PER_ROOM_COUNTER, 0, 2, None),
    ];
    assert_eq!(limit(&whole), "2");
    // Both used up: the one that ends last.
    let spent =
        [standing(ANONYMOUS_COUNTER, 0, 0, Some(10_000)), standing(ANONYMOUS_COUNTER, 2, 0, Some(90_000))];
    assert_eq!(limit(&spent), "100");
    // 1 of 5 is a smaller share than 1 of 4.
    let shares =
        [standing(PER_ROOM_COUNTER, 1, 1, Some(10_000)), standing(ANONYMOUS_COUNTER, 0, 1, Some(5_000))];
    assert_eq!(limit(&shares), "5");
}

#[test]
fn a_window_that_admits_none_is_the_tightest() {
    let policy = quotas_and_more(&[("closed", "proxy", &[("day", 0)]), ("open", "proxy", &[("minute", 5)])]);
    let headers = told(&policy, &[standing(1, 0, 1, Some(1_000)), standing(0, 0, 0, None)]);
    assert_eq!(headers["x-ratelimit-limit"], "0");
}

#[test]
fn a_window_that_was_not_opened_has_nothing_to_wait_for() {
    let headers = told(&policy(), &[standing(ANONYMOUS_COUNTER, 0, 5, None)]);
    assert_eq!(headers["ratelimit-reset"], "0");
    assert_eq!(headers["x-ratelimit-reset"], "1798761601");
    assert_eq!(headers["ratelimit"], "\"minute\";r=5");
}

#[test]
fn rules_in_shadow_and_standings_of_other_policies_are_not_told() {
    let policy = policy();
    assert!(told(&policy, &[standing(99, 0, 0, None), standing(ANONYMOUS_COUNTER, 9, 0, None)]).is_empty());
    assert!(told(&policy, &[]).is_empty());
    let shadow = example::with_mode(Mode::Shadow);
    assert!(told(&shadow, &[standing(ANONYMOUS_COUNTER, 0, 1, Some(1))]).is_empty());
}

#[test]
fn windows_of_two_rules_are_told_apart() {
    let standings = [
        standing(ANONYMOUS_COUNTER, 0, 5, Some(40_100)),
        standing(ANONYMOUS_COUNTER, 2, 80, Some(80_000_000)),
        standing(PER_ROOM_COUNTER, 0, 1, Some(40_100)),
        standing(PER_ROOM_COUNTER, 1, 3, Some(1_000_000)),
    ];
    let headers = told(&policy(), &standings);
    assert_eq!(
        headers["ratelimit-policy"],
        "\"anonymous/minute\";q=5;w=60, \"day\";q=100;w=86400, \"rooms/minute\";q=2;w=60, \"30m\";q=4;w=1800"
    );
    assert_eq!(headers["ratelimit"], "\"rooms/minute\";r=1;t=41");
}

#[test]
fn a_refusal_for_a_rate_or_for_work_in_flight_tells_that_limit() {
    let standings = [standing(ANONYMOUS_COUNTER, 0, 3, Some(40_100))];
    let rate = Reason::Rate { rule: BURST, label: "x".into(), wait: Duration::from_millis(14_001) };
    let headers = refused(&policy(), &standings, rate);
    assert_eq!(headers["ratelimit-policy"], "\"minute\";q=5;w=60, \"burst\";q=20;w=300");
    assert_eq!(headers["ratelimit"], "\"burst\";r=0;t=15");
    assert_eq!(headers["x-ratelimit-limit"], "20");

    let in_flight = Reason::Concurrency { rule: IN_FLIGHT, label: "x".into(), max: 50 };
    let headers = refused(&policy(), &standings, in_flight);
    assert_eq!(
        headers["ratelimit-policy"],
        "\"minute\";q=5;w=60, \"in-flight\";q=50;qu=\"concurrent-requests\""
    );
    assert_eq!(headers["ratelimit"], "\"in-flight\";r=0;t=1");
}

#[test]
fn a_refusal_that_no_wait_mends_tells_what_is_left() {
    let headers =
        refused(&policy(), &[standing(ANONYMOUS_COUNTER, 0, 3, Some(40_100))], Reason::TargetNotListed);
    assert_eq!(headers["ratelimit-remaining"], "3");
    assert!(!headers.contains_key("retry-after"));
}

#[test]
fn a_rule_named_as_a_window_is_told_apart() {
    let mut parts = example::parts(&[("anonymous", "proxy", &[("minute", 5)])]);
    parts.rules[2].name = RuleName::new("minute").unwrap();
    let renamed = PolicySet::new(parts);
    let rate = Reason::Rate { rule: RuleIndex(2), label: "x".into(), wait: Duration::from_secs(1) };
    let headers = refused(&renamed, &[standing(0, 0, 3, Some(40_100))], rate);
    assert_eq!(headers["ratelimit"], "\"minute/limit\";r=0;t=1");
}

#[test]
fn only_the_user_agent_of_python_reads_the_wait() {
    assert_eq!(RemainingAs::of_user_agent("TikTokLive.py/7.0.1"), RemainingAs::Wait);
    for other in ["", "tiktok-live-connector/2.5.0 linux", "evil TikTokLive.py/7.0.1", "TikTokLive/1"] {
        assert_eq!(RemainingAs::of_user_agent(other), RemainingAs::Requests, "{other}");
    }
}

#[test]
fn a_policy_of_many_windows_is_cut_and_still_holds_the_told_one() {
    let names = ["minute", "2m", "3m", "4m", "5m", "6m", "7m", "8m", "9m", "10m", "11m", "12m"];
    let windows: Vec<_> = names.iter().map(|name| (*name, 10)).collect();
    let policy = quotas_and_more(&[("one", "proxy", &windows), ("two", "proxy", &windows)]);
    let mut standings: Vec<_> = (0..24).map(|n| standing(n / 12, (n % 12) as u8, 10, Some(1_000))).collect();
    standings[20].remaining = 1;
    let headers = told(&policy, &standings);
    let listed = parsed(&headers, "ratelimit-policy");
    assert_eq!(listed.len(), LISTED_MAX + 1);
    assert_eq!(listed.last().unwrap().0, "two/9m");
    assert_eq!(parsed(&headers, "ratelimit")[0].0, "two/9m");
}

#[test]
fn odd_names_stay_structured_fields() {
    assert_eq!(header_text("a\"b\\c\u{e9}\nd 1"), "a_b_c___d 1");
}

proptest! {
    #[test]
    fn the_draft_fields_read_back(
        lefts in proptest::collection::vec((0u16..2, 0u8..3, any::<u32>(), proptest::option::of(0u64..u64::from(u32::MAX))), 1..6),
        now_ms in 0u64..4_000_000_000_000,
    ) {
        let policy = policy();
        let mut seen = HashSet::new();
        let standings: Vec<_> = lefts
            .into_iter()
            .filter(|(counter, window, ..)| seen.insert((*counter, *window)))
            .map(|(counter, window, left, resets)| standing(counter, window, left, resets))
            .filter(|standing| standing.limit(&policy).is_some())
            .collect();
        prop_assume!(!standings.is_empty());
        let mut head = Head::new();
        write_standing(&mut head, Limits { policy: &policy, standings: &standings }, Timestamp::from_millis(now_ms));
        let headers = head.to_map();

        let listed = parsed(&headers, "ratelimit-policy");
        let names: HashSet<_> = listed.iter().map(|(name, _)| name).collect();
        prop_assert_eq!(names.len(), standings.len(), "a name for each: {:?}", listed);
        let told = parsed(&headers, "ratelimit");
        prop_assert_eq!(told.len(), 1);
        let of = |name: &str, key: &str, list: &[(String, Vec<(String, i64)>)]| {
            let (_, parameters) = list.iter().find(|(other, _)| other == name).unwrap();
            parameters.iter().find(|(other, _)| other == key).map(|(_, value)| *value)
        };
        let number = |name: &str| headers[name].to_str().unwrap().parse::<i64>().unwrap();
        let name = &told[0].0;
        prop_assert_eq!(of(name, "q", &listed), Some(number("x-ratelimit-limit")));
        prop_assert_eq!(of(name, "r", &told), Some(number("x-ratelimit-remaining")));
        prop_assert_eq!(of(name, "r", &told), Some(number("ratelimit-remaining")));
        prop_assert_eq!(of(name, "t", &told).unwrap_or(0), number("ratelimit-reset"));
        // No other window has a smaller share left.
        let share = |left: u32, max: u32| f64::from(left.min(max)) / f64::from(max);
        let least = standings
            .iter()
            .map(|standing| share(standing.remaining, standing.limit(&policy).unwrap().max))
            .fold(f64::INFINITY, f64::min);
        let told_share = number("ratelimit-remaining") as f64 / number("x-ratelimit-limit") as f64;
        prop_assert!((told_share - least).abs() < 1e-9);
    }
}
