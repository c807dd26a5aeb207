//! Policies swapped under load, by everything that can change a file, and brought back.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::gateway::{Answer, Gateway, OPEN, PATIENCE, Setup, ask};
use crate::generator::Generator;

const FETCH: &str = "/webcast/fetch?client=ttlive-python&room_id=7300000000000000001";

/// A policy whose two limits tell which set it is; both count in the same windows.
fn limited(limit: u32) -> String {
    format!(
        "{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = {{ hour = {limit}, day = {} }}\n",
        limit + 1_000_000
    )
}

/// The limit in force, as a client sees it.
fn limit(gateway: &Gateway) -> u64 {
    let answer = gateway.get(FETCH, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.number("x-ratelimit-limit")
}

fn becomes(gateway: &Gateway, expected: u64) {
    gateway.wait_until(&format!("a limit of {expected}"), |gateway| limit(gateway) == expected);
    // Requests see a set before it is told of; who takes it answers this only when it is done with it.
    assert_eq!(operate(gateway, "GET", "/policies").0, 200);
}

/// Writes as an editor does that is careful: beside the file, then over it.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// Asks over the admin socket.
fn operate(gateway: &Gateway, method: &str, target: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(gateway.directory().join("data/admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    (
        head[9..12].parse().unwrap(),
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")),
    )
}

fn ready(gateway: &Gateway) -> Value {
    let answer = ask(gateway.admin, "GET", "/readyz", &[], None);
    assert_eq!(answer.status, 200, "a bad policy never makes it unready");
    answer.json()
}

/// Runs `signgate` in the gateway's directory: exit code, stdout, stderr.
fn signgate(gateway: &Gateway, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signgate"));
    let done = command.current_dir(gateway.directory()).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

/// A series that holds whole numbers.
fn metric(gateway: &Gateway, series: &str) -> i64 {
    gateway.metric(series) as i64
}

fn complaints(gateway: &Gateway) -> usize {
    gateway.said().matches("the new policies are refused").count()
}

#[test]
fn swaps_under_load_lose_nothing_and_no_request_sees_two_sets() {
    const CLIENTS: usize = 4;
    const SWAPS: u32 = 1_000;
    let gateway = Setup::new(&limited(1_000_001)).flag("--workers").flag("2").start();
    let file = gateway.policies().join("10-test.toml");
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut told: HashMap<String, (u64, u64)> = HashMap::new();
    let mut digests: HashMap<String, u64> = HashMap::new();
    std::thread::scope(|scope| {
        let client = || {
            let mut seen = Vec::new();
            // One connection from the first swap to the last: closed, the next read panics.
            let mut stream = gateway.connect();
            while !over.load(Ordering::Acquire) {
                write!(stream, "GET {FETCH} HTTP/1.1\r\nHost: gateway.example\r\n\r\n").unwrap();
                let answer = Answer::read_one(&mut stream);
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert_ne!(answer.header("connection"), Some("close"));
                asked.fetch_add(1, Ordering::Relaxed);
                seen.push((answer.header("x-request-id").unwrap().to_owned(), pair(&answer)));
            }
            seen
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        for swap in 0..SWAPS {
            let limit = 1_000_001 + (swap + 1) % 2;
            replace(&file, &limited(limit));
            // The event may have been faster, which is as good.
            let (status, body) = operate(&gateway, "POST", "/policies/reload");
            assert_eq!(status, 200, "{body}");
            assert_eq!(
                body["policy"]["generation"],
                2 + swap,
                "each was taken once, and none left out: {body}"
            );
            digests.insert(body["policy"]["digest"].as_str().unwrap().to_owned(), u64::from(limit));
            // Some requests under each set, not only between the swaps.
            let before = asked.load(Ordering::Relaxed);
            while asked.load(Ordering::Relaxed) < before + 2 {
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Release);
        for client in clients {
            told.extend(client.join().unwrap());
        }
    });
    assert_eq!(digests.len(), 2);
    // Every request is in the same window of the same records, whichever set admitted it.
    let last = gateway.get(FETCH, &[]);
    let count = told.len() as u64 + 1;
    assert_eq!(count, asked.load(Ordering::Relaxed) + 1);
    assert_eq!(last.number("x-ratelimit-limit") - last.number("x-ratelimit-remaining"), count);
    let stopped = gateway.stop();
    assert!(stopped.status.success(), "{}", stopped.said);
    let mut sets = HashMap::<u64, usize>::new();
    let mut recorded = 0;
    for record in stopped.records().iter().filter(|record| record.get("event").is_none()) {
        recorded += 1;
        let Some((hour, day)) = told.get(record["request_id"].as_str().unwrap()) else { continue };
        let by_record = digests[record["policy"].as_str().unwrap()];
        assert_eq!((*hour, *day), (by_record, by_record + 1_000_000), "two sets in one request: {record}");
        *sets.entry(by_record).or_default() += 1;
    }
    assert_eq!(recorded, count);
    assert!(sets.len() == 2 && sets.values().all(|seen| *seen >= SWAPS as usize / 2), "{sets:?}");
}

/// The two limits that an answer tells.
fn pair(answer: &Answer) -> (u64, u64) {
    let policy = answer.header("ratelimit-policy").unwrap();
    let limit = |window: &str| {
        let rest = policy.split(&format!("\"{window}\";q=")).nth(1).unwrap_or_else(|| panic!("{policy}"));
        rest.split(';').next().unwrap().parse().unwrap()
    };
    (limit("hour"), limit("day"))
}

#[test]
fn a_file_is_taken_however_it_is_written() {
    let gateway = Setup::new(&limited(101)).start();
    let file = gateway.policies().join("10-test.toml");
    replace(&file, &limited(102));
    becomes(&gateway, 102);
    fs::write(&file, limited(103)).unwrap();
    becomes(&gateway, 103);
    // Half of it, cut within a table: a bad set. Then the rest.
    let text = limited(104);
    let (first, rest) = text.split_at(text.len() - 20);
    fs::write(&file, first).unwrap();
    gateway.wait_until("a complaint", |gateway| complaints(gateway) == 1);
    assert_eq!(limit(&gateway), 103, "the set before stays in force");
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(rest.as_bytes()).unwrap();
    becomes(&gateway, 104);
    assert_eq!(ready(&gateway)["reload_error"], Value::Null);
    // By SIGHUP.
    replace(&file, &limited(105));
    gateway.signal("HUP");
    becomes(&gateway, 105);
}

#[test]
fn an_edit_that_keeps_time_and_length_is_seen() {
    let gateway = Setup::new(&limited(101)).start();
    let file = gateway.policies().join("10-test.toml");
    let before = fs::metadata(&file).unwrap();
    let mut open = fs::OpenOptions::new().write(true).open(&file).unwrap();
    open.write_all(limited(102).as_bytes()).unwrap();
    open.set_modified(before.modified().unwrap()).unwrap();
    drop(open);
    let after = fs::metadata(&file).unwrap();
    assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
    becomes(&gateway, 102);
}

#[test]
fn a_linked_directory_is_swapped_as_kubernetes_does() {
    let gateway = Setup::new(&limited(101)).start();
    let policies = gateway.policies();
    let version = |name: &str, limit: u32| {
        fs::create_dir(policies.join(name)).unwrap();
        fs::write(policies.join(name).join("10-test.toml"), limited(limit)).unwrap();
    };
    let point = |at: &str| {
        symlink(at, policies.join("..data_tmp")).unwrap();
        fs::rename(policies.join("..data_tmp"), policies.join("..data")).unwrap();
    };
    version("..2026_01", 102);
    point("..2026_01");
    symlink("..data/10-test.toml", policies.join("link.toml")).unwrap();
    fs::rename(policies.join("link.toml"), policies.join("10-test.toml")).unwrap();
    becomes(&gateway, 102);
    version("..2026_02", 103);
    point("..2026_02");
    fs::remove_dir_all(policies.join("..2026_01")).unwrap();
    becomes(&gateway, 103);
    // Written where the links lead.
    replace(&policies.join("..2026_02/10-test.toml"), &limited(104));
    becomes(&gateway, 104);
}

#[test]
fn the_policy_directory_itself_may_be_a_link_and_each_file_in_it() {
    let gateway = Setup::new(&limited(101)).start();
    let root = gateway.directory().to_owned();
    fs::create_dir(root.join("v2")).unwrap();
    fs::write(root.join("v2/10-test.toml"), limited(102)).unwrap();
    fs::rename(root.join("policies"), root.join("v1")).unwrap();
    symlink("v2", root.join("policies")).unwrap();
    becomes(&gateway, 102);
    symlink("v1", root.join("next")).unwrap();
    fs::rename(root.join("next"), root.join("policies")).unwrap();
    becomes(&gateway, 101);
    replace(&root.join("v1/10-test.toml"), &limited(103));
    becomes(&gateway, 103);
    // So may a file in it, to another place.
    fs::create_dir(root.join("shared")).unwrap();
    fs::write(root.join("shared/q"), limited(104)).unwrap();
    symlink("../shared/q", root.join("v1/link")).unwrap();
    fs::rename(root.join("v1/link"), root.join("v1/10-test.toml")).unwrap();
    becomes(&gateway, 104);
    replace(&root.join("shared/q"), &limited(105));
    becomes(&gateway, 105);
}

#[test]
fn what_vanishes_leaves_the_set_in_force_and_is_taken_when_it_comes_back() {
    let gateway = Setup::new(OPEN).policy("20-quota.toml", limited(101).strip_prefix(OPEN).unwrap()).start();
    let (policies, away) = (gateway.policies(), gateway.directory().join("away"));
    // The only file with a tier: what is left is no policy.
    fs::rename(policies.join("10-test.toml"), &away).unwrap();
    gateway.wait_until("a complaint", |gateway| complaints(gateway) == 1);
    assert_eq!(limit(&gateway), 101);
    fs::rename(&away, policies.join("10-test.toml")).unwrap();
    gateway.wait_until("peace", |gateway| ready(gateway)["reload_error"].is_null());
    // All of it.
    fs::rename(&policies, &away).unwrap();
    gateway.wait_until("a complaint", |gateway| complaints(gateway) == 2);
    let error = ready(&gateway)["reload_error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("cannot read `policies`"), "{error}");
    assert_eq!(limit(&gateway), 101);
    fs::create_dir(&policies).unwrap();
    fs::write(policies.join("10-test.toml"), limited(102)).unwrap();
    becomes(&gateway, 102);
    // And what is left may be a policy: then it is one.
    fs::write(policies.join("10-test.toml"), OPEN).unwrap();
    gateway.wait_until("no limit", |gateway| gateway.get(FETCH, &[]).header("x-ratelimit-limit").is_none());
}

#[test]
fn a_bad_set_is_told_everywhere_and_complained_of_once() {
    let gateway = Setup::new(&limited(101)).start();
    let file = gateway.policies().join("10-test.toml");
    let bad = limited(102).replace("scope = \"proxy\"", "scope = \"proxies\"");
    replace(&file, &bad);
    gateway.wait_until("a complaint", |gateway| complaints(gateway) == 1);
    let told = ready(&gateway)["reload_error"]["message"].as_str().unwrap().to_owned();
    for words in ["unknown scope `proxies`", "policies/10-test.toml:", "^^^^^^^^^", "`proxy`"] {
        assert!(told.contains(words), "{told}");
        assert!(gateway.said().contains(words));
    }
    let failures = r#"signgate_policy_reloads_total{result="failure"}"#;
    assert_eq!(
        (metric(&gateway, "signgate_policy_last_reload_successful"), metric(&gateway, failures)),
        (0, 1)
    );
    // Written again, with other times: the same bad set.
    for _ in 0..3 {
        replace(&file, &bad);
        let (status, body) = operate(&gateway, "GET", "/policies");
        assert_eq!((status, body["reload_error"].as_str()), (200, Some(told.as_str())));
    }
    // Another one, so that the looks in between have surely been made.
    replace(&file, &bad.replace("proxies", "proxys"));
    // The words come last.
    gateway.wait_until("the other complaint", |gateway| gateway.said().contains("proxys"));
    assert_eq!((complaints(&gateway), metric(&gateway, failures)), (2, 2));
    assert_eq!(limit(&gateway), 101);
    replace(&file, &limited(102));
    becomes(&gateway, 102);
    assert_eq!(metric(&gateway, "signgate_policy_last_reload_successful"), 1);
    assert_eq!(ready(&gateway)["reload_error"], Value::Null);
}

#[test]
fn counters_go_on_and_a_limit_that_was_lowered_below_them_leaves_nothing_and_no_less() {
    let gateway = Setup::new(&limited(10)).start();
    let file = gateway.policies().join("10-test.toml");
    for _ in 0..10 {
        assert_eq!(gateway.get(FETCH, &[]).status, 200);
    }
    assert_eq!(gateway.get(FETCH, &[]).status, 429);
    let swap = |limit| {
        replace(&file, &limited(limit));
        let (status, body) = operate(&gateway, "POST", "/policies/reload");
        assert_eq!(status, 200, "{body}");
        body
    };
    let body = swap(12);
    gateway.wait_until("the change in the log", |gateway| {
        gateway.said().contains(
            "new policies are in force: quota `q`: day: raised from 1000010 to 1000012; quota `q`: hour: ",
        )
    });
    assert!(
        body["changes"].as_array().unwrap().contains(&"quota `q`: hour: raised from 10 to 12".into()),
        "{body}"
    );
    assert_eq!(body["counters_that_start_anew"], Value::Array(Vec::new()));
    let answer = gateway.get(FETCH, &[]);
    assert_eq!(
        (answer.status, answer.number("x-ratelimit-remaining")),
        (200, 1),
        "a raised limit helps at once"
    );
    swap(5);
    let refused = gateway.get(FETCH, &[]);
    assert_eq!((refused.status, refused.number("x-ratelimit-remaining")), (429, 0), "11 of 5 are spent");
    assert_eq!(refused.number("x-ratelimit-limit"), 5);
    let renamed = limited(5).replace("name = \"q\"", "name = \"r\"");
    replace(&file, &renamed);
    let (_, body) = operate(&gateway, "POST", "/policies/reload");
    assert!(body["counters_that_start_anew"][0].as_str().unwrap().contains("`q` is gone"), "{body}");
    assert_eq!(gateway.get(FETCH, &[]).number("x-ratelimit-remaining"), 4);
}

#[test]
fn a_rollback_stands_until_a_policy_file_changes() {
    let feed = "[[blocklist]]\nname = \"bad\"\nfile = \"bad.netset\"\n";
    let gateway =
        Setup::new(&limited(101)).policy("30-lists.toml", feed).policy("bad.netset", "192.0.2.1\n").start();
    let file = gateway.policies().join("10-test.toml");
    let (status, body) = operate(&gateway, "POST", "/policies/rollback");
    assert_eq!(status, 404, "{body}");
    let first = ready(&gateway)["policy"]["digest"].as_str().unwrap().to_owned();
    for limit in [102, 103] {
        replace(&file, &limited(limit));
        becomes(&gateway, u64::from(limit));
    }
    let (code, told, said) = signgate(&gateway, &["rollback"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        told.contains("quota `q`: hour: lowered from 103 to 102") && said.contains("passed over"),
        "{told}{said}"
    );
    assert_eq!(limit(&gateway), 102);
    let state = ready(&gateway);
    assert_eq!((&state["rolled_back"], &state["policy"]["generation"]), (&true.into(), &4.into()));
    assert_eq!(metric(&gateway, "signgate_policy_rolled_back"), 1);
    assert!(gateway.said().contains("policies were rolled back"), "{}", gateway.said());
    // Once more goes further back, and then there is nothing.
    assert_eq!(signgate(&gateway, &["rollback"]).0, 0);
    assert_eq!(ready(&gateway)["policy"]["digest"], first);
    let (code, _, said) = signgate(&gateway, &["rollback"]);
    assert!(code == 1 && said.contains("no earlier policy"), "{code} {said}");
    // Neither a rotated log, nor a feed that is new, nor a file that is touched ends it.
    gateway.signal("HUP");
    gateway.wait_until("a word", |gateway| gateway.said().contains("stay passed over"));
    fs::write(gateway.policies().join("bad.netset"), "192.0.2.1\n192.0.2.2\n").unwrap();
    fs::File::open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9)).unwrap();
    gateway.signal("HUP");
    gateway.wait_until("another", |gateway| gateway.said().matches("stay passed over").count() == 2);
    assert_eq!((limit(&gateway), &ready(&gateway)["rolled_back"]), (101, &true.into()));
    // A policy file does.
    replace(&file, &limited(104));
    becomes(&gateway, 104);
    assert_eq!(ready(&gateway)["rolled_back"], false);
    // What was in force before that is the first one; any other is there by name.
    assert_eq!(signgate(&gateway, &["rollback"]).0, 0);
    assert_eq!(limit(&gateway), 101);
    let (code, listed, _) = signgate(&gateway, &["rollback", "--list"]);
    assert_eq!((code, listed.lines().count()), (0, 4), "{listed}");
    assert!(listed.lines().any(|line| line.starts_with(&first) && line.ends_with("in force")), "{listed}");
    let (code, told, _) = signgate(&gateway, &["reload"]);
    assert!(code == 0 && told.contains("raised from 101 to 104"), "{told}");
    let to = listed.lines().rfind(|line| !line.contains(&first)).unwrap()[..16].to_owned();
    assert_eq!(signgate(&gateway, &["rollback", "--to", &to]).0, 0);
    assert_eq!(signgate(&gateway, &["rollback", "--to", "0123456789abcdef"]).0, 1);
    assert_eq!(signgate(&gateway, &["rollback", "--to", "yesterday"]).0, 2);
    let events: Vec<Value> = gateway.stop().records();
    let event = |record: &&Value| record["event"] == "rollback" && record["detail"] == "admin socket";
    assert_eq!(events.iter().filter(event).count(), 4);
}

#[test]
fn a_feed_that_shrinks_too_much_waits_for_a_person() {
    let feed = "[[blocklist]]\nname = \"bad\"\nfile = \"bad.netset\"\n";
    let listed = |count: u32| (1..=count).fold(String::new(), |text, n| format!("{text}192.0.2.{n}\n"));
    let gateway =
        Setup::new(&limited(101)).policy("30-lists.toml", feed).policy("bad.netset", &listed(100)).start();
    let file = gateway.policies().join("bad.netset");
    let entries = |gateway: &Gateway| metric(gateway, r#"signgate_feed_entries{rule="bad"}"#);
    assert_eq!(entries(&gateway), 100);
    let written = metric(&gateway, r#"signgate_feed_last_written_timestamp_seconds{rule="bad"}"#);
    assert!(written > 1_700_000_000, "{written}");
    replace(&file, &listed(50));
    gateway.wait_until("half", |gateway| entries(gateway) == 50);
    replace(&file, "# nobody today\n");
    gateway.wait_until("a complaint", |gateway| complaints(gateway) == 1);
    let told = ready(&gateway)["reload_error"]["message"].as_str().unwrap().to_owned();
    assert!(
        told.contains("from 50 entries to 0") && told.contains("signgate reload --confirm-shrink"),
        "{told}"
    );
    assert_eq!(entries(&gateway), 50);
    let (code, _, said) = signgate(&gateway, &["reload"]);
    assert!(code == 1 && said.contains("policies/bad.netset"), "{code} {said}");
    let (code, told, _) = signgate(&gateway, &["reload", "--confirm-shrink"]);
    assert!(code == 0 && told.contains("blocklist `bad`: lists 50 fewer, 0 now"), "{told}");
    assert_eq!(entries(&gateway), 0);
    // A file that only comes anew is fresh, and nothing else.
    let generation = ready(&gateway)["policy"]["generation"].clone();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::open(&file).unwrap().set_modified(at).unwrap();
    gateway.wait_until("its time", |gateway| {
        let series = r#"signgate_feed_last_written_timestamp_seconds{rule="bad"}"#;
        metric(gateway, series) == 1_000_000
    });
    assert_eq!(ready(&gateway)["policy"]["generation"], generation);
}

#[test]
fn changes_over_the_network_take_a_token_with_the_role_for_it() {
    let token = |name: &str, role: &str, more: &str| {
        let hash = blake3::hash(format!("sg_{name}").as_bytes()).to_hex();
        format!("[[admin.token]]\nname = \"{name}\"\nhash = \"blake3:{hash}\"\nrole = \"{role}\"\n{more}\n")
    };
    let config = [
        token("looks", "viewer", ""),
        token("works", "operator", ""),
        token("was", "admin", "expires = 2020-01-01T00:00:00Z"),
    ];
    let gateway = Setup::new(&limited(101)).config(&config.concat()).start();
    let status = |method: &str, target: &str, token: &str| {
        let header = format!("Authorization: Bearer {token}");
        let headers: &[&str] = if token.is_empty() { &[] } else { &[&header] };
        let answer = ask(gateway.admin, method, target, headers, None);
        let body = answer.json();
        assert_eq!(body["message"], body["error"], "{body}");
        assert!(!answer.text().contains("sg_"), "{body}");
        assert_eq!(answer.status == 401, answer.header("www-authenticate").is_some());
        answer.status
    };
    for (token, statuses) in
        [("", [401, 401]), ("sg_looks", [200, 403]), ("sg_works", [200, 200]), ("sg_was", [401, 401])]
    {
        assert_eq!(status("GET", "/policies", token), statuses[0], "{token}");
        assert_eq!(status("POST", "/policies/reload", token), statuses[1], "{token}");
    }
    assert_eq!(status("POST", "/policies/reload?confirm=everything", "sg_works"), 400);
    assert_eq!(status("POST", "/policies/rollback?to=x", "sg_works"), 400);
    assert_eq!(status("POST", "/policies/rollback", "sg_works"), 404);
    let url = format!("http://{}", gateway.admin);
    fs::write(gateway.directory().join("token"), "sg_works\n").unwrap();
    replace(&gateway.policies().join("10-test.toml"), &limited(102));
    let (code, _, said) = signgate(&gateway, &["reload", "--admin-url", &url, "--token-file", "token"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(limit(&gateway), 102);
    let (code, _, said) = signgate(&gateway, &["reload", "--admin-url", &url]);
    assert!(code == 2 && said.contains("SIGNGATE_ADMIN_TOKEN"), "{said}");
    // Whoever guesses has to wait.
    let guesses: Vec<u16> = (0..30).map(|n| status("GET", "/policies", &format!("guess{n}"))).collect();
    assert!(guesses.contains(&429), "{guesses:?}");
    assert_eq!(status("GET", "/policies", "sg_works"), 429);
    assert_eq!(operate(&gateway, "GET", "/policies").0, 200, "the socket is always open");
    let mode = fs::metadata(gateway.directory().join("data/admin.sock")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
}

#[test]
fn without_a_gateway_the_commands_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    for verb in ["reload", "rollback"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signgate"));
        let done = command.current_dir(directory.path()).arg(verb).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{said}");
        // Where it looked: a relative path goes from here, wherever the gateway was started.
        let looked = format!("{}/data/admin.sock`", directory.path().canonicalize().unwrap().display());
        assert!(
            said.contains(&looked) && said.contains("--config") && said.contains("--admin-url"),
            "{said}"
        );
    }
}

#[test]
fn a_request_under_way_is_finished_under_the_set_that_admitted_it() {
    let (entered, waiting) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let generator = Generator::with(move |asked| {
        entered.send(()).unwrap();
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        crate::generator::good(asked)
    });
    let gateway = Setup::new(&limited(101)).generator(generator.address).start();
    let mut stream: TcpStream = gateway.connect();
    write!(stream, "GET {FETCH} HTTP/1.1\r\nHost: gateway.example\r\n\r\n").unwrap();
    waiting.recv_timeout(PATIENCE).unwrap();
    for limit in [102, 103, 104] {
        replace(&gateway.policies().join("10-test.toml"), &limited(limit));
        assert_eq!(operate(&gateway, "POST", "/policies/reload").0, 200);
    }
    go.send(()).unwrap();
    let answer = Answer::read_one(&mut stream);
    assert_eq!((answer.status, pair(&answer)), (200, (101, 1_000_101)));
    go.send(()).unwrap();
    assert_eq!(limit(&gateway), 104);
}
