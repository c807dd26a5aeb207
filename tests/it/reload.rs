//! Policies are swapped under a running gateway: soon, whole, and without anybody noticing but by what is decided.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::{Gateway, OPEN, Setup};

const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";
const FILE: &str = "10-test.toml";

fn limited(minute: u32) -> String {
    format!("{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = {{ minute = {minute} }}\n")
}

/// Puts a file in place as a careful editor does, in one step: nobody reads half of it.
fn replace(directory: &Path, text: &str) {
    let draft = directory.join(".draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, directory.join(FILE)).unwrap();
}

fn generation(gateway: &Gateway) -> f64 {
    gateway.metric("signgate_policy_generation")
}

/// Waits until the how-manieth set is in force: `/readyz` is the last to tell.
fn wait_for(gateway: &Gateway, generation: u64) {
    gateway.wait_until("the new policy", |gateway| {
        gateway.readyz().json()["policy"]["generation"].as_u64() == Some(generation)
    });
}

/// Waits until that many sets were refused.
fn wait_for_failures(gateway: &Gateway, count: f64) {
    gateway.wait_until("the failure", |gateway| {
        reloads(gateway, "failure") > count - 0.5 && !gateway.readyz().json()["reload_error"].is_null()
    });
}

fn reloads(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric(&format!("signgate_policy_reloads_total{{result=\"{result}\"}}"))
}

#[track_caller]
fn is(number: f64, expected: f64) {
    assert!((number - expected).abs() < 0.5, "{number}, not {expected}");
}

#[test]
fn an_edited_policy_comes_into_force_by_itself() {
    let gateway = Setup::new(&limited(1)).start();
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    gateway.get(CONNECT, &[]).refusal(429, "rate_limit_proxy_minute");
    let started = Instant::now();
    // In place, as most editors do.
    std::fs::write(gateway.policies().join(FILE), limited(3)).unwrap();
    gateway.wait_until("the new policy", |gateway| gateway.get(CONNECT, &[]).status == 200);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}: it is looked for every 2 s");
    wait_for(&gateway, 2);
    is(generation(&gateway), 2.0);
    is(reloads(&gateway, "success"), 2.0);
}

#[test]
fn a_file_that_is_added_or_removed_counts_too() {
    let gateway = Setup::new(OPEN).start();
    let more = gateway.policies().join("20-more.toml");
    std::fs::write(&more, "[[blocklist]]\nname = \"b\"\nprefixes = [\"127.0.0.0/8\"]\nreason = \"all\"\n")
        .unwrap();
    gateway.wait_until("the blocklist", |gateway| gateway.get(CONNECT, &[]).status == 403);
    std::fs::remove_file(more).unwrap();
    gateway.wait_until("its end", |gateway| gateway.get(CONNECT, &[]).status == 200);
}

#[test]
fn a_feed_that_changes_counts_too() {
    let policy =
        format!("{OPEN}\n[[blocklist]]\nname = \"b\"\nfile = \"feeds/b.netset\"\nreason = \"listed\"\n");
    let gateway = Setup::new(&policy).policy("feeds/b.netset", "192.0.2.0/24\n").start();
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    std::fs::write(gateway.policies().join("feeds/b.netset"), "192.0.2.0/24\n127.0.0.1\n").unwrap();
    gateway.wait_until("the feed", |gateway| gateway.get(CONNECT, &[]).status == 403);
}

#[test]
fn told_so_a_policy_comes_into_force_at_once() {
    let gateway = Setup::new(&limited(1)).start();
    let started = Instant::now();
    for max in 2..8 {
        replace(&gateway.policies(), &limited(max));
        gateway.signal("HUP");
        wait_for(&gateway, u64::from(max));
    }
    // By looking every 2 s alone, six would take 10.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    is(generation(&gateway), 7.0);
}

#[test]
fn a_bad_set_leaves_the_old_one_in_force_and_says_so() {
    let gateway = Setup::new(&limited(3)).start();
    assert_eq!(gateway.get(CONNECT, &[]).number("ratelimit-remaining"), 2);
    let before = gateway.readyz().json();
    assert_eq!(before["reload_error"], serde_json::Value::Null);
    let digest = before["policy"]["digest"].as_str().unwrap().to_owned();

    replace(&gateway.policies(), &limited(9).replace("scope = \"proxy\"", "scope = \"proxies\""));
    gateway.signal("HUP");
    wait_for_failures(&gateway, 1.0);
    is(gateway.metric("signgate_policy_last_reload_successful"), 0.0);
    is(generation(&gateway), 1.0);
    is(gateway.metric(&format!("signgate_policy_info{{digest=\"{digest}\"}}")), 1.0);
    let ready = gateway.readyz();
    assert_eq!(ready.status, 200, "it serves as before");
    let ready = ready.json();
    assert_eq!(ready["policy"], before["policy"]);
    let message = ready["reload_error"]["message"].as_str().unwrap();
    let at = format!("policies/{FILE}:16:9");
    for part in ["unknown scope `proxies`", &at, "`proxy`"] {
        assert!(message.contains(part), "{part} in {message}");
        gateway.wait_until("the complaint", |gateway| gateway.said().contains(part));
    }
    assert!(gateway.said().contains("stay in force"));
    assert_eq!(gateway.get(CONNECT, &[]).number("ratelimit-remaining"), 1, "the old one counts on");
    let complaints = gateway.said().matches("unknown scope").count();

    // The same again is one complaint as long as nobody asks.
    let wait_for_looks = Instant::now() + Duration::from_millis(2_300);
    gateway.wait_until("one more look", |_| Instant::now() > wait_for_looks);
    assert_eq!(gateway.said().matches("unknown scope").count(), complaints, "{}", gateway.said());

    replace(&gateway.policies(), &limited(5));
    gateway.signal("HUP");
    wait_for(&gateway, 2);
    is(gateway.metric("signgate_policy_last_reload_successful"), 1.0);
    assert_eq!(gateway.readyz().json()["reload_error"], serde_json::Value::Null);
    assert_eq!(gateway.get(CONNECT, &[]).number("ratelimit-remaining"), 2, "three of five are used");
}

#[test]
fn a_directory_that_is_gone_or_empty_changes_nothing() {
    let gateway = Setup::new(&limited(9)).start();
    let (policies, aside) = (gateway.policies(), gateway.directory().join("aside"));
    std::fs::rename(&policies, &aside).unwrap();
    gateway.signal("HUP");
    wait_for_failures(&gateway, 1.0);
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    std::fs::create_dir(&policies).unwrap();
    gateway.signal("HUP");
    wait_for_failures(&gateway, 2.0);
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    std::fs::remove_dir(&policies).unwrap();
    std::fs::rename(&aside, &policies).unwrap();
    replace(&policies, &limited(7));
    wait_for(&gateway, 2);
    assert_eq!(gateway.get(CONNECT, &[]).number("x-ratelimit-limit"), 7);
}

#[test]
fn counters_survive_and_a_raised_limit_helps_at_once() {
    let gateway = Setup::new(&limited(2)).start();
    for left in [1, 0] {
        assert_eq!(gateway.get(CONNECT, &[]).number("ratelimit-remaining"), left);
    }
    gateway.get(CONNECT, &[]).refusal(429, "rate_limit_proxy_minute");
    let reload = |text: &str| {
        let before = gateway.readyz().json()["policy"]["generation"].as_u64().unwrap();
        replace(&gateway.policies(), text);
        gateway.signal("HUP");
        wait_for(&gateway, before + 1);
    };
    reload(&format!("# a comment changes nothing\n{}", limited(2)));
    gateway.get(CONNECT, &[]).refusal(429, "rate_limit_proxy_minute");
    reload(&limited(4));
    assert_eq!(gateway.get(CONNECT, &[]).number("ratelimit-remaining"), 1, "three of four are used");
    reload(&limited(3));
    gateway.get(CONNECT, &[]).refusal(429, "rate_limit_proxy_minute");
    // A renamed rule counts from zero, and that is said.
    reload(&limited(3).replace("\"q\"", "\"renamed\""));
    assert_eq!(gateway.get(CONNECT, &[]).number("ratelimit-remaining"), 2);
    gateway.wait_until("a word on that", |gateway| gateway.said().contains("rule `q` is gone"));
}

/// As `logrotate` does it: the file is renamed, then the process told.
#[test]
fn told_so_the_access_record_is_begun_anew() {
    let gateway = Setup::new(OPEN).start();
    let (record, aside) =
        (gateway.directory().join("data/access.jsonl"), gateway.directory().join("data/aside.jsonl"));
    let lines = |path: &Path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    gateway.wait_until("the start and the first request", |_| lines(&record) == 2);
    std::fs::rename(&record, &aside).unwrap();
    gateway.signal("HUP");
    gateway.wait_until("a new file", |_| record.exists());
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    gateway.wait_until("the second line", |_| lines(&record) == 1);
    assert_eq!(lines(&aside), 2, "the old file has what it had");
}

/// Design 4: not one request lost, not one connection closed.
#[test]
fn a_hundred_reloads_under_load_are_noticed_by_nobody() {
    let gateway = Setup::new(&limited(1_000_000)).start();
    let (done, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // One connection; where it is closed, this panics.
                let mut client = gateway.client();
                while !done.load(Ordering::Relaxed) {
                    let answer = client.get(CONNECT, &[]);
                    if answer.status != 200 {
                        done.store(true, Ordering::Relaxed);
                    }
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for place in 1..=100 {
            if done.load(Ordering::Relaxed) {
                break;
            }
            replace(&gateway.policies(), &limited(1_000_000 + place));
            gateway.signal("HUP");
            wait_for(&gateway, u64::from(place) + 1);
        }
        done.store(true, Ordering::Relaxed);
    });
    is(generation(&gateway), 101.0);
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 400, "{asked}: there was load");
    let last = gateway.get(CONNECT, &[]);
    assert_eq!(last.number("x-ratelimit-limit"), 1_000_100);
    assert_eq!(last.number("ratelimit-remaining"), 1_000_100 - asked - 1, "every one was counted, and once");
    gateway.wait_until("the end of the load", |gateway| gateway.metric("signgate_connections_open") < 0.5);
}
