//! Keys: every form in which a client shows one, what is wrong with one, whose limits it shares, and `signgate keys` on the
//! policies of a running gateway.

use std::process::{Command, Output};

use signgate::base::secret::KeyHash;

use crate::gateway::{Answer, Gateway, OPEN, Setup, send};

const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";

/// The table of a key with this text.
fn table(id: &str, key: &str, more: &str) -> String {
    let hash = KeyHash::of(key.as_bytes());
    format!("[[key]]\nid = \"{id}\"\nhash = \"{hash}\"\naccount = \"overlay-suite\"\n{more}\n")
}

#[test]
fn a_key_comes_in_every_form_and_an_empty_one_is_none() {
    let keys = table("k_good", "sg_good/+=", "");
    let gateway = Setup::new(OPEN).policy("keys.toml", &keys).start();
    let forms: [(&str, &[&str]); 10] = [
        ("", &["X-Api-Key: sg_good/+="]),
        ("", &["x-api-key:   sg_good/+=  "]),
        ("", &["x-jwt-key: sg_good/+="]),
        ("", &["Authorization: Bearer sg_good/+="]),
        ("", &["authorization: bearer  sg_good/+="]),
        ("&apiKey=sg_good/%2B%3D", &[]),
        ("&%61pi%4bey=%73g_good%2F%2B%3D", &[]),
        ("&apiKey=sg_good/%2B%3D", &["X-Api-Key: sg_good/+=", "x-jwt-key: sg_good/+="]),
        ("&apiKey=", &["X-Api-Key: sg_good/+="]),
        ("", &["X-Api-Key: sg_good/+=", "Authorization: Basic c2dfZ29vZA=="]),
    ];
    let empty: [(&str, &[&str]); 7] = [
        ("", &[]),
        ("&apiKey=", &[]),
        ("&apiKey", &[]),
        ("", &["X-Api-Key:"]),
        ("", &["x-jwt-key:  "]),
        ("", &["Authorization: Bearer "]),
        ("", &["Authorization: Basic c2dfZ29vZA=="]),
    ];
    for (query, headers) in forms.iter().chain(&empty) {
        assert_eq!(gateway.get(&format!("{CONNECT}{query}"), headers).status, 200, "{query} {headers:?}");
    }
    let records = gateway.stop().records();
    for (place, record) in records.iter().enumerate() {
        if place < forms.len() {
            assert_eq!(record["key"]["id"], "k_good", "{:?}", forms[place]);
            assert_eq!(record["key"]["account"], "overlay-suite");
        } else {
            assert!(record["key"].is_null(), "{:?}", empty[place - forms.len()]);
        }
    }
}

#[test]
fn what_is_wrong_with_a_key_is_said() {
    let keys = [
        table("k_good", "good", "expires = 2100-01-01T00:00:00Z"),
        table("k_old", "old", "expires = 2020-01-01T00:00:00Z"),
        table("k_off", "off", "disabled = true"),
        table("k_far", "far", "proxies = [\"198.51.100.0/24\"]"),
        table("k_near", "near", "proxies = [\"198.51.100.0/24\", \"127.0.0.0/8\"]"),
        table("k_room", "room", "rooms = [\"5\", \"@streamer\"]"),
    ]
    .concat();
    let gateway = Setup::new(OPEN).policy("keys.toml", &keys).start();
    let ask = |key: &str, target: &str| gateway.get(target, &[&format!("X-Api-Key: {key}")]);
    for (key, target, status, label) in [
        ("nobodys", CONNECT, 401, "key_unknown"),
        ("GOOD", CONNECT, 401, "key_unknown"),
        ("k_good", CONNECT, 401, "key_unknown"),
        ("good\u{e9}", CONNECT, 401, "key_unknown"),
        ("old", CONNECT, 401, "key_expired"),
        ("off", CONNECT, 401, "key_disabled"),
        ("far", CONNECT, 403, "key_proxy"),
        ("room", CONNECT, 403, "key_room"),
        ("room", "/webcast/fetch?unique_id=somebody", 403, "key_room"),
    ] {
        let answer = ask(key, target);
        let body = answer.refusal(status, label);
        assert!(!body.to_string().contains(&format!("`{key}`")), "{body}");
        let challenge = answer.header("www-authenticate").is_some();
        assert_eq!(challenge, status == 401, "RFC 9110 section 11.6.1");
    }
    for (key, target) in [
        ("good", CONNECT),
        ("near", CONNECT),
        ("room", "/webcast/fetch?room_id=5"),
        ("room", "/webcast/fetch?unique_id=Streamer"),
    ] {
        assert_eq!(ask(key, target).status, 200, "{key}");
    }
    let long = "k".repeat(513);
    ask(&long, CONNECT).refusal(400, "key_too_long");
    // Of a key that nobody came to look up the record does not say that nobody knows it.
    gateway.post("/webcast/sign_url", &["X-Api-Key: good"], "{bad").refusal(400, "bad_body");
    let records = gateway.stop().records();
    let unknown = |label: &str| {
        let of: Vec<_> = records.iter().filter(|record| record["rule"] == label).collect();
        (of.len(), of.iter().filter(|record| record["key_unknown"] == true).count())
    };
    assert_eq!((unknown("key-unknown"), unknown("bad_body")), ((4, 4), (1, 0)));
}

#[test]
fn whoever_guesses_keys_waits_and_nobody_else() {
    let keys = table("k_good", "good", "");
    let gateway = Setup::new(OPEN)
        .policy("keys.toml", &keys)
        .config("[listen]\nclient-address = \"x-forwarded-for\"\ntrusted-proxies = [\"127.0.0.0/8\"]")
        .start();
    let ask = |client: &str, key: &str| {
        let client = format!("X-Forwarded-For: {client}");
        gateway.get(CONNECT, &[&client, &format!("X-Api-Key: {key}")])
    };
    for number in 0..20 {
        ask("198.51.100.9", &format!("guess-{number}")).refusal(401, "key_unknown");
    }
    // Without a look-up: also the right one is not believed now.
    for key in ["guess-20", "good"] {
        let answer = ask("198.51.100.9", key);
        let body = answer.refusal(429, "key_attempts");
        let wait = answer.number("retry-after");
        assert!((1..=3).contains(&wait), "{wait}");
        assert_eq!((answer.number("ratelimit-reset"), body["retry_after"].as_u64()), (wait, Some(wait)));
    }
    // The same proxy without a key, another proxy with one; of IPv6 a proxy is a /64.
    assert_eq!(gateway.get(CONNECT, &["X-Forwarded-For: 198.51.100.9"]).status, 200);
    assert_eq!(ask("198.51.100.10", "good").status, 200);
    ask("198.51.100.10", "guess").refusal(401, "key_unknown");
    for number in 0..20 {
        ask(&format!("2001:db8:0:1::{number:x}"), "guess").refusal(401, "key_unknown");
    }
    ask("2001:db8:0:1:ffff::", "good").refusal(429, "key_attempts");
    assert_eq!(ask("2001:db8:0:2::1", "good").status, 200);
    // The wait was true: then the right key works again.
    gateway.wait_until("the end of the wait", |_| ask("198.51.100.9", "good").status == 200);
    // And guessing has one more try, not twenty, nor two.
    ask("198.51.100.9", "guess").refusal(401, "key_unknown");
    ask("198.51.100.9", "guess").refusal(429, "key_attempts");
}

#[test]
fn keys_of_one_account_share_its_quota_and_anonymous_callers_do_not() {
    let keys = [table("k_one", "one", ""), table("k_two", "two", "")].concat();
    let quota = "[[quota]]\nname = \"q\"\nscope = \"account\"\nlimits = { hour = 3 }\n";
    let gateway = Setup::new(&format!("{OPEN}\n{quota}")).policy("keys.toml", &keys).start();
    let ask = |key: &str| gateway.get(CONNECT, &[&format!("X-Api-Key: {key}")]);
    for (key, left) in [("one", 2), ("two", 1), ("one", 0)] {
        let answer = ask(key);
        assert_eq!((answer.status, answer.number("x-ratelimit-remaining")), (200, left));
    }
    for key in ["one", "two"] {
        ask(key).refusal(429, "rate_limit_account_hour");
    }
    for _ in 0..5 {
        assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    }
    // From another address it is the same account.
    let request = format!("GET {CONNECT}&apiKey=two HTTP/1.1\r\nHost: a\r\n\r\n");
    let answers = Answer::all_of(&send(gateway.connect_from("127.0.0.2"), request.as_bytes()));
    answers[0].refusal(429, "rate_limit_account_hour");
}

/// Runs `signgate keys` on the policies of a running gateway.
fn keys(gateway: &Gateway, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signgate"));
    command.current_dir(gateway.directory()).arg("keys").args(args);
    command.output().unwrap()
}

/// The same, to succeed; stdout without its last newline.
fn keys_well(gateway: &Gateway, args: &[&str]) -> String {
    let done = keys(gateway, args);
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
}

/// Does something to the policies, and waits until they are in force: by themselves, or at once after SIGHUP.
fn in_force<T>(gateway: &Gateway, with_signal: bool, change: impl FnOnce() -> T) -> T {
    let taken = || gateway.said().matches("new policies are in force").count();
    let before = taken();
    let done = change();
    if with_signal {
        gateway.signal("HUP");
    }
    gateway.wait_until("new policies", |_| taken() > before);
    done
}

/// The ids that `keys list` shows, with their states.
fn listed(gateway: &Gateway) -> Vec<(String, String)> {
    let text = keys_well(gateway, &["list"]);
    text.lines()
        .skip(1)
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap().to_owned(), words.nth(1).unwrap().to_owned())
        })
        .collect()
}

#[test]
fn keys_are_made_rotated_and_disabled_while_the_gateway_runs() {
    const HAND_WRITTEN: &str = "# Ours since 2019; ask Kim before you touch it.\r\n\r\n[[key]]   # the old tool\r\n\
                                id=\"k_hand\"\r\n  hash = \"HASH\" # of what?\r\naccount='overlay-suite'\r\n# end";
    let hash = KeyHash::of(b"by-hand").to_string();
    let by_hand = HAND_WRITTEN.replace("HASH", &hash);
    let gateway = Setup::new(OPEN).policy("20-keys.toml", &by_hand).start();
    let file = gateway.policies().join("20-keys.toml");
    let ask = |key: &str| gateway.get(CONNECT, &[&format!("X-Api-Key: {key}")]);
    assert_eq!(ask("by-hand").status, 200);

    // Made: what is printed works, and nothing that stood there has changed.
    let first = in_force(&gateway, false, || keys_well(&gateway, &["new", "--account", "overlay-suite"]));
    assert_eq!(ask(&first).status, 200);
    assert_eq!(ask("by-hand").status, 200);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(&by_hand), "{text}");
    assert!(!text.contains(&first) && text.contains(&KeyHash::of(first.as_bytes()).to_string()));
    let ids: Vec<_> = listed(&gateway).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    let id = ids.iter().find(|id| *id != "k_hand").unwrap().clone();

    // Rotated: both are valid, until the old one's time is over.
    let second = in_force(&gateway, true, || keys_well(&gateway, &["rotate", &id, "--grace", "4s"]));
    assert_ne!(first, second);
    assert_eq!((ask(&first).status, ask(&second).status), (200, 200));
    gateway.wait_until("the end of the grace", |_| ask(&first).status != 200);
    ask(&first).refusal(401, "key_expired");
    assert_eq!(ask(&second).status, 200);

    // Disabled: the file's own spelling stays.
    in_force(&gateway, true, || keys_well(&gateway, &["disable", "k_hand"]));
    ask("by-hand").refusal(401, "key_disabled");
    assert_eq!(ask(&second).status, 200);
    let text = std::fs::read_to_string(&file).unwrap();
    let without = text.replacen("disabled = true\r\n", "", 1);
    assert!(text != without && without.starts_with(&by_hand), "{text:?}");
    let states = listed(&gateway);
    assert_eq!(states.iter().filter(|(_, state)| state == "valid").count(), 1, "{states:?}");
    assert!(states.contains(&("k_hand".into(), "disabled".into())), "{states:?}");
    assert!(states.contains(&(id, "expired".into())), "{states:?}");

    let stopped = gateway.stop();
    for key in [&first, &second, "by-hand"] {
        assert!(!stopped.said.contains(key) && !stopped.record.contains(key));
    }
}

#[test]
fn a_new_key_with_bounds_keeps_them() {
    let gateway = Setup::new(OPEN).start();
    let args = ["new", "--account", "overlay-suite", "--proxy", "198.51.100.0/24", "--proxy", "127.0.0.2/32"];
    let key = in_force(&gateway, true, || {
        keys_well(
            &gateway,
            &[&args[..], &["--room", "@Streamer", "--room", "5", "--expires", "90d"]].concat(),
        )
    });
    let from = |source: &str, room: &str| {
        let request = format!("GET /webcast/fetch?{room}&apiKey={key} HTTP/1.1\r\nHost: a\r\n\r\n");
        Answer::all_of(&send(gateway.connect_from(source), request.as_bytes())).remove(0)
    };
    from("127.0.0.1", "room_id=5").refusal(403, "key_proxy");
    from("127.0.0.2", "room_id=6").refusal(403, "key_room");
    assert_eq!(from("127.0.0.2", "room_id=5").status, 200);
    assert_eq!(from("127.0.0.2", "unique_id=streamer").status, 200);
    let text = std::fs::read_to_string(gateway.policies().join("keys.toml")).unwrap();
    assert!(text.contains("expires = 20"), "{text}");
}

#[test]
fn what_cannot_be_done_to_a_key_is_said_and_changes_nothing() {
    let by_hand = format!("# a comment\n{}", table("k_hand", "by-hand", "disabled = true"));
    let gateway = Setup::new(OPEN).policy("20-keys.toml", &by_hand).start();
    for (args, said) in [
        (&["new", "--account", "overlay-suit"][..], "a similar one exists: `overlay-suite`"),
        (&["rotate", "k_hnad"], "a similar one exists: `k_hand`"),
        (&["rotate", "k_hand"], "disabled"),
        (&["disable", "k_hand"], "disabled already"),
        (&["disable", "k_nobodys"], "no key has the id"),
    ] {
        let done = keys(&gateway, args);
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(1), 0), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(said), "{args:?}: {stderr}");
    }
    for args in [
        &["new", "--account", "overlay-suite", "--expires", "2001-01-01T00:00:00Z"][..],
        &["new", "--account", "overlay-suite", "--room", "two words"],
        &["list", "--policies", "nowhere"],
    ] {
        let done = keys(&gateway, args);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let names: Vec<_> = std::fs::read_dir(gateway.policies()).unwrap().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(std::fs::read_to_string(gateway.policies().join("20-keys.toml")).unwrap(), by_hand);
}
