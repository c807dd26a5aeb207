use std::io::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::course::Course;
use super::decided;
use super::feed::{Feed, Noticed, OnBroken};
use super::input::InputError;
use super::line::Line;
use super::record::{Place, Record, shared_texts};
use super::report::Report;
use super::run::{self, Compared, Outcome, ReplayError};
use super::shared::Shared;
use crate::base::time::Timestamp;
use crate::dialect::Request;
use crate::engine::order::Order;
use crate::policy::{PolicySet, Sources, compile};

const BASE: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[tier.business]
class = "paid"
[[account]]
id = "moved"
tier = "business"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"#;

const START: u64 = 1_795_342_463_000;

fn policy(more: &str) -> PolicySet {
    let mut sources = Sources::new("");
    sources.insert("10.toml", format!("{BASE}{more}"));
    compile(&sources, Timestamp::from_millis(START)).unwrap_or_else(|wrong| panic!("{wrong:?}")).set
}

fn quota(scope: &str, limits: &str) -> PolicySet {
    policy(&format!("[[quota]]\nname = \"q\"\nscope = \"{scope}\"\nlimits = {{ {limits} }}\n"))
}

/// A connect of one client, so many milliseconds after the start.
fn asked(millis: u64) -> Value {
    json!({
        "time": START + millis,
        "client": "203.0.113.7",
        "key": null,
        "method": "GET",
        "target": "/webcast/fetch?room_id=7300000000000000001",
        "user_agent": "TikTokLive.py/7.0.1",
    })
}

fn with(mut line: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        line[name] = value.clone();
    }
    line
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn of_bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn of(&self, name: &str, lines: &[Value]) -> PathBuf {
        self.of_bytes(name, text(lines).as_bytes())
    }
}

fn text(lines: &[Value]) -> String {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}

struct Replayed {
    outcome: Outcome,
    noticed: Noticed,
    too_late: u64,
    bytes: Vec<u8>,
}

impl Replayed {
    /// The verdicts by line, one letter each.
    fn verdicts(&self) -> String {
        let mut lines: Vec<Value> = self.decisions();
        lines.sort_by_key(|line| line["line"].as_u64());
        lines.iter().map(|line| line["verdict"].as_str().unwrap()[..1].to_owned()).collect()
    }

    /// In the order of the decisions.
    fn decisions(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn replay_files(
    policy: &PolicySet,
    against: Option<&PolicySet>,
    seed: u64,
    files: &[PathBuf],
    on_broken: OnBroken,
) -> Result<Replayed, ReplayError> {
    let mut feed = Feed::open(files, on_broken)?;
    let mut bytes = Vec::new();
    let outcome = run::run(&mut feed, policy, against, seed, Some(&mut bytes), |_, _| {})?;
    let too_late = feed.too_late();
    Ok(Replayed { outcome, noticed: std::mem::take(&mut feed.noticed), too_late, bytes })
}

fn replay(policy: &PolicySet, lines: &[Value]) -> Replayed {
    let files = Files::new();
    let path = files.of("access.jsonl", lines);
    replay_files(policy, None, 1, &[path], OnBroken::Skip).unwrap()
}

#[test]
fn lines_are_decided_in_the_order_of_time_and_seq() {
    let policy = quota("proxy", "minute = 2");
    let at = |millis, seq| with(asked(millis), &json!({ "seq": seq }));
    // As they ended: the first two admitted are those that were decided first.
    let replayed = replay(&policy, &[at(5, 9), at(5, 3), at(4, 7), at(119_000, 1), at(1, 2)]);
    let order: Vec<_> = replayed.decisions().iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(order, [4, 2, 1, 0, 3]);
    assert_eq!(replayed.verdicts(), "ttaaa");
    assert_eq!(replayed.too_late, 0);
}

#[test]
fn what_stands_further_than_two_minutes_from_its_place_is_decided_late_and_counted() {
    let policy = quota("proxy", "minute = 1");
    let replayed = replay(&policy, &[asked(0), asked(130_000), asked(260_000), asked(260_000), asked(1)]);
    assert_eq!(replayed.too_late, 1);
    assert_eq!(replayed.verdicts(), "aaatt", "a late line is decided at the time that has been reached");
}

/// A line of a clock that is far ahead is decided last, and those behind it in their order.
#[test]
fn a_line_of_the_far_future_makes_no_other_late() {
    let policy = quota("proxy", "minute = 1");
    let far = || with(asked(0), &json!({ "time": "2096-01-01T00:00:00Z" }));
    // First, in the middle, twice, and as the last line; of the others every second one stands a minute from its place.
    let ordinary = |n: u64| asked(n * 1_000 + if n.is_multiple_of(2) { 60_000 } else { 0 });
    for places in [&[0][..], &[150], &[100, 150], &[300]] {
        let mut lines: Vec<Value> = (0..300).map(ordinary).collect();
        for place in places {
            lines.insert(*place, far());
        }
        let replayed = replay(&policy, &lines);
        assert_eq!(replayed.too_late, 0, "{places:?}");
        let times: Vec<_> = replayed.decisions().iter().map(|line| line["time"].as_u64()).collect();
        assert!(times.is_sorted(), "{places:?}: {times:?}");
    }
    // Of several files each by itself.
    let files = Files::new();
    let own = |odd: u64| (0..300).filter(move |n| n % 2 == odd).map(|n| asked(n * 1_000)).collect::<Vec<_>>();
    let (mut one, other) = (own(0), own(1));
    one.insert(70, far());
    one.push(far());
    let inputs = [files.of("a", &one), files.of("b", &other)];
    let replayed = replay_files(&policy, None, 1, &inputs, OnBroken::Stop).unwrap();
    assert_eq!((replayed.too_late, replayed.outcome.tally.total.asked), (0, 302));
    let times: Vec<_> = replayed.decisions().iter().map(|line| line["time"].as_u64()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_refund_helps_no_request_that_was_decided_before_it() {
    let policy = quota("proxy", "minute = 1");
    let failed = json!({ "outcome": "generator-failed", "duration_ms": 100.5 });
    let lines = [with(asked(0), &failed), asked(50), asked(100), asked(101), asked(102)];
    assert_eq!(replay(&policy, &lines).verdicts(), "attat");
    // Without a word of it, it had a good answer.
    assert_eq!(replay(&policy, &[asked(0), asked(50), asked(101)]).verdicts(), "att");
    let refunded = json!({ "refunded": true, "duration_ms": 10 });
    assert_eq!(replay(&policy, &[with(asked(0), &refunded), asked(9), asked(10)]).verdicts(), "ata");
}

#[test]
fn who_was_turned_away_is_decided_and_charged_nothing() {
    let policy = quota("proxy", "minute = 1");
    let away = json!({ "turned_away": true, "outcome": "no-capacity", "duration_ms": 0.1 });
    let away = |millis| with(asked(millis), &away);
    // A quota gives back no more than it holds, and this one held nothing of them.
    assert_eq!(
        replay(&policy, &[away(0), away(1), away(2), away(3), asked(4), asked(5)]).verdicts(),
        "aaaaat"
    );
    assert_eq!(replay(&policy, &[asked(0), away(1)]).verdicts(), "at", "what the policy refuses it refuses");
}

#[test]
fn work_is_in_flight_until_it_ended() {
    let policy = policy("[[concurrency]]\nname = \"c\"\nscope = \"proxy\"\nmax = 1\n");
    let slow = json!({ "outcome": "good", "duration_ms": 100 });
    let lines = [with(asked(0), &slow), asked(99), asked(100), asked(100)];
    assert_eq!(replay(&policy, &lines).verdicts(), "ataa");
}

#[test]
fn nanoseconds_order_what_milliseconds_do_not() {
    let policy = quota("proxy", "minute = 1");
    let failed = json!({ "nanos": 400_000, "outcome": "generator-failed", "duration_ms": 0.2 });
    let at = |nanos: u32| with(asked(0), &json!({ "nanos": nanos }));
    // Ended at 600,000 ns.
    assert_eq!(replay(&policy, &[with(asked(0), &failed), at(599_999), at(600_000)]).verdicts(), "ata");
}

#[test]
fn who_asks_is_what_the_policy_of_today_says_of_the_key() {
    let policy = policy(
        r#"
[[quota]]
name = "free"
scope = "account"
tiers = ["community"]
limits = { minute = 1 }
[[key]]
id = "k_off"
hash = "blake3:0000000000000000000000000000000000000000000000000000000000000000"
account = "moved"
disabled = true
"#,
    );
    let by =
        |id, account, tier| with(asked(0), &json!({ "key": { "id": id, "account": account, "tier": tier } }));
    let lines = [
        // In the policy the account has another tier by now, which no quota holds.
        by("k_a", "moved", "community"),
        by("k_a", "moved", "community"),
        // A tier that the policy lacks counts as a free one.
        by("k_b", "other", "gold"),
        by("k_b", "other", "gold"),
        by("k_off", "moved", "community"),
        with(asked(0), &json!({ "key_unknown": true })),
        with(asked(0), &json!({ "key_barred_s": 3 })),
    ];
    let replayed = replay(&policy, &lines);
    assert_eq!(replayed.verdicts(), "aaatddt");
    let rules: Vec<Value> = replayed.decisions().into_iter().map(|line| line["rule"].clone()).collect();
    assert_eq!(rules[3..], ["free", "key-disabled", "key-unknown", "key-attempts"].map(Value::from));
    assert_eq!(replayed.outcome.unknown_tiers.iter().collect::<Vec<_>>(), ["gold"]);
}

#[test]
fn rooms_sessions_and_urls_of_the_record_are_believed() {
    let policy = policy(
        "[sessions]\nmode = \"refuse\"\n[[blocklist]]\nname = \"b\"\nrooms = [\"7300000000000000009\"]\n",
    );
    let sign = json!({ "method": "POST", "target": "/tiktok/sign_url" });
    let sign = with(asked(0), &sign);
    let lines = [
        asked(0),
        with(asked(0), &json!({ "room": "7300000000000000009" })),
        with(asked(0), &json!({ "target": "/webcast/fetch?room_id=7300000000000000009" })),
        with(asked(0), &json!({ "session": "087a1a74314a983ebfda93c737242cb3" })),
        with(asked(0), &json!({ "session": "any text at all" })),
        with(asked(0), &json!({ "headers": { "x-cookie-header": "sessionid=5" } })),
        with(sign.clone(), &json!({ "url": "https://webcast.tiktok.com/webcast/im/fetch/" })),
        with(sign.clone(), &json!({ "url": "https://evil.example/webcast/im/fetch/" })),
        // Its body was never read: nothing is held against it.
        sign,
    ];
    assert_eq!(replay(&policy, &lines).verdicts(), "adddddada");
}

#[test]
fn what_the_gateway_refused_by_itself_no_policy_frees() {
    let own = json!({
        "time": START, "key": null, "method": "", "target": "", "by": "gateway",
        "rule": "bare_lf", "verdict": "deny", "outcome": "invalid",
    });
    let replayed = replay(&policy(""), &[own, with(asked(1), &json!({ "target": "/restart" }))]);
    let rules: Vec<Value> = replayed.decisions().into_iter().map(|line| line["rule"].clone()).collect();
    assert_eq!(replayed.verdicts(), "dd");
    assert_eq!(rules, ["bare_lf", "unknown_path"]);
}

#[test]
fn broken_lines_are_told_by_number_and_passed_over() {
    let files = Files::new();
    let good = asked(0).to_string();
    let lines = [
        good.clone(),
        "{\"time\":1".to_owned(),
        String::new(),
        "{\"time\":1,\"client\":\"nowhere\",\"method\":\"GET\",\"target\":\"/\"}".to_owned(),
        format!("{{\"x\":\"{}\"}}", "x".repeat(super::input::LINE_BYTES_MAX)),
        "{\"time\":1,\"method\":\"GET\",\"target\":\"/\"}".to_owned(),
        good,
    ];
    let path = files.of_bytes("a.jsonl", lines.join("\n").as_bytes());
    let replayed = replay_files(&policy(""), None, 1, std::slice::from_ref(&path), OnBroken::Skip).unwrap();
    let places: Vec<&str> =
        replayed.noticed.complaints.iter().map(|(place, _)| place.rsplit(':').next().unwrap()).collect();
    assert_eq!(places, ["2", "4", "5", "6"]);
    assert_eq!((replayed.noticed.broken, replayed.noticed.lines), (4, 7));
    let numbers: Vec<_> = replayed.decisions().iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 6]);
    let why: Vec<_> = replayed.noticed.complaints.iter().map(|(_, why)| why.as_str()).collect();
    insta::assert_debug_snapshot!(why, @r#"
    [
        "EOF while parsing an object, at column 9",
        "`client` is no address",
        "a line of more than 65536 bytes",
        "`client` is missing",
    ]
    "#);
    let strict = replay_files(&policy(""), None, 1, &[path], OnBroken::Stop);
    assert!(
        matches!(strict, Err(ReplayError::Input(InputError::Broken { place, .. })) if place.ends_with(":2"))
    );
}

#[test]
fn records_of_a_newer_format_are_refused() {
    let files = Files::new();
    let told = |line: &str| {
        let path = files.of_bytes("a.jsonl", format!("{}\n{line}\n", asked(0)).as_bytes());
        replay_files(&policy(""), None, 1, &[path], OnBroken::Skip).err().map(|error| error.to_string())
    };
    // Its other fields, too, may be of other types than they were, and the number of any size.
    for (format, line) in [
        ("2", with(asked(1), &json!({ "format": 2 })).to_string()),
        (
            "2",
            r#"{"format":2,"time":1,"client":{"address":"203.0.113.7"},"method":"GET","target":"/"}"#.into(),
        ),
        ("2", r#"{"time":{"at":1},"format":2}"#.into()),
        ("2", r#"{"format":2}"#.into()),
        ("1.5", r#"{"format":1.5,"time":1}"#.into()),
        (
            "4.2949673e+21",
            with(asked(1), &json!({ "format": 4_294_967_300_000_000_000_000_f64 })).to_string(),
        ),
        ("4.2949673e+21", r#"{"time":1,"format":4294967300000000000000}"#.into()),
    ] {
        let told = told(&line).unwrap_or_else(|| panic!("taken: {line}"));
        assert!(told.contains(&format!("a.jsonl:2: this record has format {format}, ")), "{told}");
    }
    for line in [r#"{"format":1,"time":{}}"#, r#"{"format":"2","time":1}"#, r#"{"format":2,"time":1"#, "2"] {
        assert_eq!(told(line), None, "broken, and nothing newer: {line}");
    }
}

#[test]
fn several_files_packed_or_not_in_any_order_are_one() {
    let files = Files::new();
    let policy = quota("proxy", "hour = 150");
    let lines: Vec<Value> = (0..200).map(|n| asked(n * 10_000)).collect();
    let gzip = |lines: &[Value]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text(lines).as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    // Two members of gzip in one file, as where two files were joined.
    let second = [gzip(&lines[60..90]), gzip(&lines[90..120])].concat();
    let inputs = [
        files.of("access.jsonl", &lines[120..]),
        files.of_bytes("1", &zstd::encode_all(text(&lines[..60]).as_bytes(), 1).unwrap()),
        files.of_bytes("2", &second),
    ];
    let replayed = replay_files(&policy, None, 1, &inputs, OnBroken::Stop).unwrap();
    assert_eq!((replayed.too_late, replayed.outcome.tally.total.asked), (0, 200));
    let admitted: Vec<_> = replayed.decisions().iter().map(|line| line["verdict"] == "allow").collect();
    let whole = replay(&policy, &lines).decisions();
    assert_eq!(admitted, whole.iter().map(|line| line["verdict"] == "allow").collect::<Vec<_>>());
    let first = &replayed.decisions()[0];
    assert!(first["file"].as_str().unwrap().ends_with("/1") && first["line"] == 0, "{first}");
    let cut = &gzip(&lines)[..300];
    let torn = replay_files(&policy, None, 1, &[files.of_bytes("torn", cut)], OnBroken::Skip);
    assert!(matches!(torn, Err(ReplayError::Input(InputError::Read { .. }))));
}

#[test]
fn two_replicas_that_wrote_beside_each_other_are_merged() {
    let files = Files::new();
    let lines = |from: u64| (0..300).map(|n| asked(from + n * 2_000)).collect::<Vec<_>>();
    let inputs = [files.of("a", &lines(0)), files.of("b", &lines(1_000))];
    let replayed = replay_files(&policy(""), None, 1, &inputs, OnBroken::Stop).unwrap();
    assert_eq!(replayed.too_late, 0);
    let files: Vec<_> = replayed.decisions().iter().map(|line| line["file"].clone()).collect();
    assert!(files.windows(2).all(|pair| pair[0] != pair[1]), "they take turns");
}

#[test]
fn the_difference_of_two_policies_by_account() {
    let (tight, loose) =
        (quota("account", "minute = 1"), policy("[[blocklist]]\nname = \"b\"\naccounts = [\"moved\"]\n"));
    let by = |account: &str, millis| {
        with(asked(millis), &json!({ "key": { "id": "k", "account": account, "tier": "community" } }))
    };
    let lines = [by("one", 0), by("one", 1), by("one", 2), by("moved", 3), by("moved", 4), asked(5)];
    let files = Files::new();
    let path = files.of("a", &lines);
    let replayed = replay_files(&tight, Some(&loose), 1, &[path], OnBroken::Stop).unwrap();
    let report = Report { outcome: &replayed.outcome, policy: &tight, rows_max: 10 };
    insta::assert_snapshot!(report.text());
    let difference = &report.json()["difference"];
    assert_eq!(difference["newly_refused"], 2);
    assert_eq!(difference["newly_freed"], 1);
    assert_eq!(difference["refused_otherwise"], 1);
    assert_eq!(difference["accounts"][0]["refused_by"], json!({ "q": 2 }));
    assert_eq!(difference["accounts"][1]["freed_from"], json!({ "b": 1 }));
    assert_eq!(difference["accounts"][1]["newly_freed_share"], 0.5);
    // What is left out of a list is told by its number.
    let short = Report { rows_max: 1, ..report }.json();
    assert_eq!(short["difference"]["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(short["difference"]["in_all"], json!({ "accounts": 2 }));
    assert_eq!(short["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(
        short["in_all"],
        json!({ "rules": 1, "shadow_rules": 0, "accounts": 2, "rooms": 1, "addresses": 0 })
    );
    // The tiers that each of the two lacks.
    assert_eq!((&short["unknown_tiers"], &short["unknown_tiers_against"]), (&json!([]), &json!([])));
    let gold = policy("[tier.gold]\nclass = \"paid\"\n");
    let line = with(asked(0), &json!({ "key": { "id": "k", "account": "a", "tier": "gold" } }));
    let path = [files.of("b", &[line])];
    for (policy, against, lack) in
        [(&gold, Some(&loose), ([].as_slice(), Some(["gold"].as_slice()))), (&loose, None, (&["gold"], None))]
    {
        let replayed = replay_files(policy, against, 1, &path, OnBroken::Stop).unwrap();
        let json = Report { outcome: &replayed.outcome, policy, rows_max: 1 }.json();
        assert_eq!(
            (&json["unknown_tiers"], &json["unknown_tiers_against"]),
            (&json!(lack.0), &json!(lack.1))
        );
    }
}

/// What was read before the input cannot be read on is decided, though its turn had not come.
#[test]
fn a_torn_file_is_decided_up_to_where_it_is_torn() {
    let files = Files::new();
    let policy = policy("");
    let lines: Vec<Value> = (0..200).map(|n| asked(n * 10)).collect();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    packer.write_all(text(&lines).as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let torn = files.of_bytes("torn", &packed[..packed.len() / 2]);
    let broken =
        files.of_bytes("broken", [text(&lines[..100]), "x\n".into(), text(&lines)].concat().as_bytes());
    let newer = with(asked(0), &json!({ "format": 2 }));
    let newer = files.of("newer", &[&lines[..100], &[newer], &lines].concat());
    for (path, at_least) in [(torn, 90), (broken, 100), (newer, 100)] {
        let mut feed = Feed::open(&[path], OnBroken::Stop).unwrap();
        let (mut outcome, mut bytes) = (Outcome::default(), Vec::new());
        let done = run::run_into(&mut outcome, &mut feed, (&policy, None), 1, Some(&mut bytes), |_, _| {});
        assert!(matches!(done, Err(ReplayError::Input(_))));
        let asked = outcome.tally.total.asked;
        assert!((at_least..=100).contains(&asked), "{asked}");
        assert_eq!(bytes.split(|byte| *byte == b'\n').count() as u64, asked + 1);
        assert!(feed.next_record().unwrap().is_none(), "the error is told once");
    }
}

#[test]
fn what_is_wrong_with_a_line_is_told_in_its_words() {
    let told = |line: Value| replay(&policy(""), &[line]).noticed.complaints.remove(0).1;
    insta::assert_snapshot!(
        [
            json!([1]),
            json!("x"),
            with(asked(0), &json!({ "key": "k" })),
            with(asked(0), &json!({ "key": { "id": "k" } })),
            with(asked(0), &json!({ "seq": "1" })),
            with(asked(0), &json!({ "nanos": -1 })),
            with(asked(0), &json!({ "client_prefix": 256 })),
            with(asked(0), &json!({ "duration_ms": "1" })),
            with(asked(0), &json!({ "refunded": 1 })),
            with(asked(0), &json!({ "client": { "address": "203.0.113.7" } })),
            with(asked(0), &json!({ "headers": ["a"] })),
            with(asked(0), &json!({ "time": null })),
        ]
        .map(told)
        .join("\n"),
        @r#"
    invalid length 1, expected a record: one JSON object, at column 3
    invalid type: string "x", expected a record: one JSON object, at column 3
    invalid type: string "k", expected a key with `id`, `account` and `tier`, or null, at column 33
    missing field `account`, at column 40
    invalid type: string "1", expected a whole number, at column 59
    invalid value: integer `-1`, expected a whole number, at column 60
    invalid value: integer `256`, expected a number up to 255, at column 43
    invalid type: string "1", expected a number, at column 41
    invalid type: integer `1`, expected a boolean, at column 62
    invalid type: map, expected a text, at column 10
    invalid type: sequence, expected headers: texts by name, at column 34
    invalid type: null, expected a time: milliseconds since 1970, or RFC 3339, at column 115
    "#
    );
}

#[test]
fn events_are_no_requests() {
    let event = json!({ "time": START, "seq": 0, "event": "reload", "policy": "0fa10203040506ff" });
    let replayed = replay(&policy(""), &[event.clone(), asked(0), event]);
    assert_eq!(replayed.outcome.tally.total.asked, 1);
    assert_eq!(replayed.noticed.events["reload"], 2);
    let told = (Timestamp::from_millis(START), "reload".to_owned(), "0fa10203040506ff".to_owned());
    assert_eq!(
        (replayed.noticed.reloads, &replayed.noticed.first_reloads[..]),
        (2, &[told.clone(), told][..])
    );
}

/// By both policies; and what was under way when it came is given back to nobody.
#[test]
fn a_start_is_followed_nothing_that_was_counted_before_is_known() {
    let start = |millis: u64| json!({ "time": START + millis, "seq": 0, "format": 1, "event": "start", "detail": "signgate 1" });
    let fails = |millis: u64| {
        let mut line = asked(millis);
        line["outcome"] = "generator-failed".into();
        line["duration_ms"] = 5_000.into();
        line
    };
    let few = quota("proxy", "hour = 2");
    let ban = json!({ "time": START + 5_000, "seq": 0, "event": "ban", "order": format!("prefix 203.0.113.0/24 {} x", START + 900_000) });
    let lines = [
        start(0),
        asked(1_000),
        fails(2_000),
        asked(3_000),
        start(4_000),
        asked(4_500),
        ban,
        asked(6_000),
        start(6_500),
        asked(7_000),
        asked(8_000),
        asked(9_000),
    ];
    let replayed = replay(&few, &lines);
    assert_eq!(replayed.verdicts(), "aatadaat", "banned, and free again with the start");
    assert_eq!((replayed.noticed.events["start"], replayed.outcome.tally.total.asked), (3, 8));
    let files = Files::new();
    let both = replay_files(&few, Some(&few), 1, &[files.of("a.jsonl", &lines)], OnBroken::Stop).unwrap();
    let total = both.outcome.difference.unwrap().total;
    assert_eq!((total.newly_refused, total.newly_freed), (0, 0), "the other policy follows it, too");
}

/// In the order of their times, whatever order they stand in, and with both policies.
#[test]
fn an_operators_orders_are_followed() {
    let order = |millis: u64, event: &str, order: &str| json!({ "time": START + millis, "seq": 0, "event": event, "order": order, "detail": "token works" });
    let until = START + 60_000;
    let lines = [
        asked(0),
        asked(2_000),
        asked(4_000),
        asked(90_000),
        order(3_000, "lift", "prefix 203.0.113.0/24"),
        order(1_000, "ban", &format!("prefix 203.0.113.0/24 {until} rented, and more")),
        order(5_000, "ban", &format!("room 7300000000000000001 {until} x")),
        order(6_000, "lift", "shadow address 203.0.113.7"),
        order(7_000, "pardon", "@streamer 1h"),
    ];
    let replayed = replay(&policy(""), &lines);
    assert_eq!(
        replayed.verdicts(),
        "adaa",
        "the second is banned, the third is lifted, the fourth outlasts it all"
    );
    assert_eq!(replayed.noticed.events["lift"], 2);
    let files = Files::new();
    let both =
        replay_files(&policy(""), Some(&policy("")), 1, &[files.of("a.jsonl", &lines)], OnBroken::Stop);
    assert_eq!(
        both.unwrap().outcome.difference.unwrap().total.newly_refused,
        0,
        "the other policy follows them too"
    );
    let broken = order(1_000, "ban", "planet mars");
    let replayed = replay(&policy(""), &[broken, asked(0)]);
    assert_eq!((replayed.noticed.broken, replayed.outcome.tally.total.asked), (1, 1));
}

/// A record is used again for another line, and of an order nothing but the order is asked.
#[test]
fn an_order_holds_nothing_of_the_request_before_it() {
    let request = with(
        asked(0),
        &json!({
            "key": { "id": "k", "account": "a", "tier": "t" }, "verdict": "deny", "by": "gateway", "rule": "bad_path",
            "turned_away": true, "outcome": "good", "room": "7", "session": "s", "request_id": "r", "policy": "p",
            "url": "https://h/p",
        }),
    );
    let (request, order) = (request.to_string(), json!({ "time": START + 1, "seq": 3 }).to_string());
    let [request, order]: [Line<'_>; 2] = [&request, &order].map(|line| serde_json::from_str(line).unwrap());
    let pardon = || Order::parse("pardon", "@streamer 1h").unwrap();
    let place = Place { file: 1, line: 2 };
    let (mut used, mut shared) = (Record::default(), Shared::default());
    let (asked, key) = shared_texts(&request);
    let places = shared.places(asked, key);
    used.fill(&request, Place::default(), (&mut shared, places), true).unwrap();
    used.wanted = true;
    used.fill_order(&order, pardon(), place);
    let mut fresh = Record::default();
    fresh.fill_order(&order, pardon(), place);
    assert_eq!(format!("{used:?}"), format!("{fresh:?}"));
}

const PATHS: [&str; 3] = ["/webcast/fetch", "/webcast/sign_url", "/webcast/room_id/"];
const NAMES: [&str; 16] = [
    "device_id",
    "deviceId",
    "DEVICE-ID",
    "%64evice_id",
    "device_id[]",
    "client",
    "Client",
    "room_id",
    "roomId",
    "target_room_id",
    "uniqueId",
    "unique-id",
    "url",
    "%75RL",
    "user_agent",
    "session_id",
];
const VALUES: [&str; 12] = [
    "",
    "7123456789012345678",
    "7300000000000000001",
    "ttlive-node",
    "some.name",
    "odd+one",
    "odd%2Fone",
    "%E4%BD%A0",
    "sg_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Faid%3D1988%26room_id%3D7300000000000000001",
    "%37123456789012345678",
];

/// Lines of a few clients, accounts and rooms, with every outcome, out of order.
fn traffic() -> impl Strategy<Value = Vec<Value>> {
    let line = (0u64..90_000, 0u8..4, 0u8..4, 0u8..3, 0u16..900, 0usize..4, 0u8..3);
    let line = line.prop_map(|(millis, client, account, room, took, outcome, names)| {
        let key = match account {
            0 => Value::Null,
            n => json!({ "id": format!("k{n}"), "account": format!("a{n}"), "tier": "community" }),
        };
        let outcome = ["good", "generator-failed", "client-gone", "no-capacity"][outcome];
        let number = room + 1;
        let target = match names {
            0 => format!(
                "/webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2F%3Froom_id%3D{number}"
            ),
            1 => format!("/webcast/fetch?room_id={number}"),
            _ => format!("/webcast/fetch?unique_id=streamer{room}"),
        };
        let line = with(
            asked(millis),
            &json!({
                "client": format!("203.0.113.{client}"), "key": key, "target": target,
                "outcome": outcome, "duration_ms": f64::from(took) / 4.0,
            }),
        );
        // What its streamer's number is, a good answer tells.
        if names == 2 { with(line, &json!({ "answer_room": number.to_string() })) } else { line }
    });
    // A ban, or that it is lifted, or a start: seldom.
    let event = (0u64..90_000, 0usize..5).prop_map(|(millis, which)| {
        let until = START + 900_000;
        let (event, order) = [
            ("ban", format!("prefix 203.0.113.1/32 {until} x")),
            ("ban", format!("account a1 {until} x")),
            ("lift", "prefix 203.0.113.1/32".to_owned()),
            ("lift", "account a1".to_owned()),
            ("start", String::new()),
        ][which]
            .clone();
        json!({ "time": START + millis, "seq": 0, "format": 1, "event": event, "order": order, "detail": "token works" })
    });
    proptest::collection::vec(prop_oneof![40 => line, 1 => event], 1..150)
}

/// Each record by itself, foreseen by nobody: what the decisions of a replay are held to.
fn one_by_one(policy: &PolicySet, path: &[PathBuf]) -> Vec<u8> {
    let mut feed = Feed::open(path, OnBroken::Stop).unwrap();
    let mut course = Course::new(policy, 3);
    let mut bytes = Vec::new();
    while let Some(record) = feed.next_record().unwrap() {
        if !course.follow(&record) {
            let said = course.decide(&record);
            decided::write(&mut bytes, (record.place.line, None, record.time), &said, policy);
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn two_seeds_write_the_same_bytes_and_so_does_who_looks_at_one_record_at_a_time(lines in traffic()) {
        let policy = policy(r#"
[viewbot]
mode = "enforce"
[viewbot.gate]
burst = 2
[[blocklist]]
name = "b"
prefixes = ["203.0.113.2/32"]
mode = "shadow"
[[quota]]
name = "q"
scope = "proxy"
limits = { minute = 9, hour = 20 }
[[distinct]]
name = "d"
count = "room"
scope = "account"
limits = { minute = 2 }
[[rate]]
name = "r"
scope = "account"
rate = "1/s"
burst = 3
[[concurrency]]
name = "c"
scope = "room"
max = 3
mode = "shadow"
"#);
        let loose = quota("total", "minute = 30");
        let files = Files::new();
        let path = [files.of("a", &lines)];
        let one = replay_files(&policy, Some(&loose), 1, &path, OnBroken::Stop).unwrap();
        let other = replay_files(&policy, Some(&loose), 0xdead_beef_cafe, &path, OnBroken::Stop).unwrap();
        prop_assert_eq!(&one.bytes, &other.bytes);
        let slowly = one_by_one(&policy, &path);
        prop_assert_eq!(std::str::from_utf8(&one.bytes).unwrap(), std::str::from_utf8(&slowly).unwrap());
        let printed = |replayed: &Replayed| {
            let report = Report { outcome: &replayed.outcome, policy: &policy, rows_max: 100 };
            (report.text(), report.json().to_string())
        };
        prop_assert_eq!(printed(&one), printed(&other));
    }

    #[test]
    fn any_bytes_are_a_record_or_broken(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let files = Files::new();
        let path = [files.of_bytes("a", &[b"\n", &bytes[..]].concat())];
        prop_assert!(replay_files(&policy(""), None, 1, &path, OnBroken::Skip).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Names in every spelling, values as they should be and odd ones: what is kept of a target says what the target said.
    #[test]
    fn what_a_target_says_survives_its_redaction(
        pairs in proptest::collection::vec((0usize..NAMES.len(), 0usize..VALUES.len()), 0..5), path in 0usize..PATHS.len(),
    ) {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", NAMES[*name], VALUES[*value])).collect();
        let target = format!("{}?{}", PATHS[path], pairs.join("&"));
        let mut kept = Vec::new();
        crate::telemetry::access_log::redact_target(&target, &mut kept);
        let kept = String::from_utf8(kept).unwrap();
        let read = |target: &str| {
            let request = Request::read_recorded("GET", target, "", std::iter::empty()).ok()?;
            let facts = request.facts("203.0.113.7".parse().unwrap(), None);
            let device = facts.device.map(str::to_owned);
            Some((facts.operation, facts.room, facts.library, device, format!("{:?}", facts.target)))
        };
        if let Some(said) = read(&target) {
            prop_assert_eq!(read(&kept), Some(said), "{} {}", target, kept);
        }
    }
}

/// A record of which a part is missing: the same policy, which says otherwise.
#[test]
fn verdicts_are_compared_with_those_of_the_same_policy_alone() {
    let (policy, other) = (quota("proxy", "minute = 2"), quota("proxy", "minute = 1"));
    let said = |millis, policy: &str, verdict: &str| {
        with(asked(millis), &json!({ "policy": policy, "verdict": verdict }))
    };
    let (own, others) = (policy.digest().to_string(), other.digest().to_string());
    let lines = [
        said(0, &own, "throttle"),
        said(1, &others, "throttle"),
        said(2, "0fa10203040506ff", "allow"),
        with(asked(3), &json!({ "verdict": "allow" })),
        said(4, &others, "throttle"),
        said(5, &own, "throttle"),
        with(asked(6), &json!({ "policy": own })),
        // No policy was asked.
        with(said(7, &own, "allow"), &json!({ "by": "gateway", "rule": "bare_lf" })),
    ];
    let files = Files::new();
    let path = [files.of("access.jsonl", &lines)];
    let compare = |policy, against| {
        let Outcome { compared, compared_against, unlike_recorded, .. } =
            replay_files(policy, against, 1, &path, OnBroken::Stop).unwrap().outcome;
        let pair = |compared: Compared| (compared.unlike, compared.verdicts);
        (pair(compared), pair(compared_against), unlike_recorded)
    };
    assert_eq!(compare(&policy, Some(&other)), ((1, 2), (0, 2), 5));
    assert_eq!(compare(&other, Some(&policy)), ((0, 2), (1, 2), 4));
    assert_eq!(compare(&policy, None), ((1, 2), (0, 0), 5));
}
