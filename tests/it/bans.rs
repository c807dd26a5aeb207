//! The operator's bans on a running gateway: over the socket and with a token, who is refused and how they are told, and what
//! log and record say of it. Convictions are tested where the clock can be moved, in `admin::bans`.

use std::process::{Command, Output};

use serde_json::Value;
use signgate::base::secret::KeyHash;

use crate::gateway::{Gateway, OPEN, Setup, ask};

const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";

/// `signgate …` in the gateway's directory, where it finds the socket by itself.
fn signgate(gateway: &Gateway, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signgate"));
    command.current_dir(gateway.directory()).args(args).output().unwrap()
}

fn done(gateway: &Gateway, args: &[&str]) -> (String, String) {
    let output = signgate(gateway, args);
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{args:?}: {out}{err}");
    (out, err)
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn listed(gateway: &Gateway, more: &[&str]) -> Vec<Value> {
    let (out, _) = done(gateway, &[&["bans", "list", "--format", "json"], more].concat());
    let body: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    body["bans"].as_array().unwrap().clone()
}

fn key(id: &str, key: &str, account: &str) -> String {
    let hash = KeyHash::of(key.as_bytes());
    format!("[[key]]\nid = \"{id}\"\nhash = \"{hash}\"\naccount = \"{account}\"\n")
}

#[test]
fn a_ban_refuses_at_once_tells_why_and_is_lifted() {
    let gateway = Setup::new(OPEN).start();
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    let (out, err) = done(
        &gateway,
        &["bans", "add", "--prefix", "127.0.0.0/24", "--reason", "rented view-bots & more", "--for", "2h"],
    );
    assert!(out.starts_with("127.0.0.0/24 banned as o1 until 20"), "{out}");
    assert!(err.contains("in memory alone") && err.contains("blocklist"), "{err}");
    let answer = gateway.get(CONNECT, &[]);
    let body = answer.refusal(403, "banned");
    let message = body["message"].as_str().unwrap();
    assert!(message.starts_with("this address is banned: rented view-bots & more; "), "{message}");
    assert_eq!(gateway.get("/webcast/rate_limits", &[]).status, 403, "a ban is from everything");
    // Whoever is elsewhere is not touched.
    assert_eq!(
        crate::gateway::Answer::all_of(&crate::gateway::send(
            gateway.connect_from("127.0.1.1"),
            format!("GET {CONNECT} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
        ))[0]
            .status,
        200
    );

    let (table, _) = done(&gateway, &["bans", "list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    for (title, cell) in
        [("STATE", "enforced"), ("KIND", "prefix"), ("ORIGIN", "operator"), ("WHOM", "127.0.0.0/24")]
    {
        assert_eq!(lines[0].find(title), lines[1].find(cell), "{title}:\n{table}");
    }
    let ban = &listed(&gateway, &["--proxy", "127.0.0.9"])[0];
    assert_eq!((&ban["id"], &ban["evidence"]), (&Value::from("o1"), &Value::from("rented view-bots & more")));
    assert!(listed(&gateway, &["--proxy", "127.0.1.9"]).is_empty());

    assert!((gateway.metric(r#"signgate_bans{of="operator"}"#) - 1.0).abs() < 0.5);
    let (out, _) = done(&gateway, &["bans", "lift", "o1"]);
    assert_eq!(out, "lifted o1: prefix, 127.0.0.0/24\n");
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    let (out, err) = done(&gateway, &["bans", "list"]);
    assert!(out.is_empty() && err.contains("no bans stand"), "{out}{err}");

    // What was done is in the log and in the record, in its place among the requests, and by whom.
    assert!(gateway.said().contains("the operator's ban"), "{}", gateway.said());
    let records = gateway.stop().records();
    let told: Vec<(&str, &str, &str)> = records
        .iter()
        .filter(|line| line["event"] == "ban" || line["event"] == "lift")
        .map(|line| {
            (
                line["event"].as_str().unwrap(),
                line["order"].as_str().unwrap(),
                line["detail"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].1.starts_with("prefix 127.0.0.0/24 ") && told[0].1.ends_with(" rented view-bots & more"));
    assert_eq!((told[1].0, told[1].1, told[1].2), ("lift", "prefix 127.0.0.0/24", "admin socket"));
    let refused = records.iter().filter(|line| line["rule"] == "operator-ban").count();
    assert_eq!(refused, 2);
}

#[test]
fn accounts_keys_rooms_and_networks_are_banned_in_every_mode_of_detection() {
    let more = format!(
        "{}{}[networks]\ntable = \"n.csv\"\n[viewbot]\nmode = \"off\"\n",
        key("k_one", "one", "overlay-suite"),
        key("k_two", "two", "overlay-suite")
    );
    let gateway =
        Setup::new(OPEN).policy("20.toml", &more).policy("n.csv", "127.0.0.0/8,64500,hosting\n").start();
    let status = |key: &str, room: &str| {
        let header = format!("X-Api-Key: {key}");
        let headers = if key.is_empty() { vec![] } else { vec![header.as_str()] };
        gateway.get(&format!("/webcast/fetch?{room}"), &headers).status
    };
    let all = || {
        [
            status("", "room_id=7"),
            status("one", "room_id=7"),
            status("two", "room_id=8"),
            status("", "unique_id=somebody"),
        ]
    };
    let ban = |kind: &str, whom: &str| {
        done(&gateway, &["bans", "add", kind, whom, "--reason", "said so", "--for", "30m"]);
    };
    assert_eq!(all(), [200; 4]);
    for (kind, whom, expected, said) in [
        ("--key", "k_one", [200, 403, 200, 200], "this key is banned"),
        ("--account", "overlay-suite", [200, 403, 403, 200], "this account is banned"),
        ("--room", "7", [403, 403, 200, 200], "this room is banned"),
        ("--room", "@somebody", [200, 200, 200, 403], "this room is banned"),
        ("--asn", "AS64500", [403; 4], "this network is banned"),
    ] {
        ban(kind, whom);
        assert_eq!(all(), expected, "{kind} {whom}");
        let answers = [
            gateway.get("/webcast/fetch?room_id=7", &["X-Api-Key: one"]).text(),
            gateway.get("/webcast/fetch?unique_id=somebody", &[]).text(),
        ];
        assert!(answers.iter().any(|text| text.contains(said)), "{said}: {answers:?}");
        let id = listed(&gateway, &[])[0]["id"].as_str().unwrap().to_owned();
        done(&gateway, &["bans", "lift", &id]);
    }
    // The same again replaces, and says so.
    ban("--room", "7");
    let (_, err) = done(&gateway, &["bans", "add", "--room", "7", "--reason", "longer", "--for", "2h"]);
    assert!(err.contains("in place of o6"), "{err}");
    assert_eq!(listed(&gateway, &["--room", "7"]).len(), 1);
}

#[test]
fn an_allowlist_exempts_from_bans_as_from_blocklists() {
    let allow =
        "[[allowlist]]\nname = \"partners\"\naccounts = [\"overlay-suite\"]\nexempt = [\"blocklist\"]\n";
    let more = format!("{}{allow}", key("k_one", "one", "overlay-suite"));
    let gateway = Setup::new(OPEN).policy("20.toml", &more).start();
    done(&gateway, &["bans", "add", "--prefix", "127.0.0.1", "--reason", "x", "--for", "1h"]);
    assert_eq!(gateway.get(CONNECT, &[]).status, 403);
    assert_eq!(gateway.get(CONNECT, &["X-Api-Key: one"]).status, 200);
}

#[test]
fn what_cannot_be_is_refused_with_what_would_do() {
    let gateway = Setup::new(OPEN).start();
    for (args, code, said) in [
        (
            &["bans", "add", "--prefix", "203.0.113.9/24", "--reason", "x", "--for", "1h"][..],
            1,
            "write `203.0.113.0/24`",
        ),
        (
            &["bans", "add", "--prefix", "203.0.113.0/24", "--reason", "x", "--for", "soon"],
            1,
            "`for` is `soon`: a length",
        ),
        (&["bans", "add", "--prefix", "0.0.0.0/0", "--reason", "x", "--for", "1h"], 1, "holds everybody"),
        (&["bans", "add", "--prefix", "0.0.0.0/00", "--reason", "x", "--for", "1h"], 1, "holds everybody"),
        (&["bans", "add", "--prefix", "::/0", "--reason", "x", "--for", "1h"], 1, "`--confirm`"),
        (
            &["bans", "add", "--prefix", "2000::/3", "--reason", "x", "--for", "1h"],
            1,
            "wider than any network",
        ),
        (
            &["bans", "add", "--prefix", "126.0.0.0/7", "--reason", "x", "--for", "1h"],
            1,
            "wider than any network",
        ),
        (
            &["bans", "add", "--prefix", "203.0.113.0/24", "--reason", "two\nlines", "--for", "1h"],
            1,
            "one line",
        ),
        (&["bans", "add", "--key", "sg_secret", "--reason", "x", "--for", "1h"], 1, "leaked"),
        (&["bans", "add", "--room", "streamer", "--reason", "x", "--for", "1h"], 1, "room id"),
        (&["bans", "add", "--prefix", "203.0.113.0/24", "--reason", "x"], 2, "--for"),
        (&["bans", "add", "--reason", "x", "--for", "1h"], 2, "--prefix"),
        (&["bans", "lift", "b7"], 1, "no such ban"),
        (&["bans", "lift", "7"], 1, "as `signgate bans list` shows it"),
        (&["bans", "lift"], 2, "required"),
        (&["bans", "promote", "o1"], 1, "not in shadow"),
        (&["bans", "promote", "s1"], 1, "no such ban"),
        (&["bans", "list", "--room", "streamer"], 1, "with its `@`"),
        (&["pardon", "streamer"], 1, "with its `@`"),
    ] {
        let output = signgate(&gateway, args);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
        assert!(err.contains(said), "{args:?}: {err}");
    }
    assert_eq!(listed(&gateway, &[]).len(), 0);
    let everybody = done(
        &gateway,
        &["bans", "add", "--prefix", "0.0.0.0/0", "--reason", "x", "--for", "1h", "--confirm"],
    );
    assert!(everybody.0.starts_with("0.0.0.0/0 banned as o1 "), "{}", everybody.0);
    // What is one's own goes by its id, and is named to whoever asks for the address.
    let output = signgate(&gateway, &["bans", "lift", "--proxy", "127.0.0.1"]);
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err.contains("view-bot detection has nothing about 127.0.0.1")
            && err.contains("`signgate bans lift o1`"),
        "{err}"
    );
    let (_, err) = texts(&signgate(&gateway, &["bans", "lift", "--proxy", "::1"]));
    assert!(err.contains("nothing about ::1; `signgate bans list`"), "{err}");
    let (out, err) = done(&gateway, &["pardon", "@streamer", "--for", "30m"]);
    assert!(out.starts_with("room @streamer is pardoned until 20") && err.contains("0 bans"), "{out}{err}");
    let warned = done(&gateway, &["bans", "add", "--asn", "64500", "--reason", "x", "--for", "1h"]).1;
    assert!(warned.contains("finds nobody"), "{warned}");
    for (kind, id, similar) in [
        ("--account", "overlay-suit", "; a similar one is `overlay-suite`"),
        ("--key", "k_no", "finds nobody"),
    ] {
        let warned = done(&gateway, &["bans", "add", kind, id, "--reason", "x", "--for", "1h"]).1;
        assert!(
            warned.contains("warning: the policy in force has no ") && warned.contains(similar),
            "{warned}"
        );
    }
}

#[test]
fn a_token_of_the_role_viewer_looks_and_one_of_the_role_operator_acts() {
    let token = |name: &str, role: &str| {
        let hash = KeyHash::of(format!("sg_{name}").as_bytes());
        format!("[[admin.token]]\nname = \"{name}\"\nhash = \"{hash}\"\nrole = \"{role}\"\n")
    };
    let config = format!("{}{}", token("looks", "viewer"), token("works", "operator"));
    let gateway = Setup::new(OPEN).config(&config).start();
    let status = |method: &str, target: &str, name: &str| {
        let header = format!("Authorization: Bearer sg_{name}");
        ask(gateway.admin, method, target, &[&header], None).status
    };
    for page in ["/bans", "/viewbot/rooms"] {
        assert_eq!(status("GET", page, "nobody"), 401, "{page}");
        assert_eq!(status("GET", page, "looks"), 200, "{page}");
        assert_eq!(ask(gateway.admin, "GET", page, &[], None).status, 401, "{page}");
    }
    for (change, code) in [
        ("/bans/add?room=7&reason=x&for=1h", 200),
        ("/bans/lift?id=o1", 200),
        ("/bans/promote?id=s1", 404),
        ("/viewbot/pardon?room=7", 200),
    ] {
        assert_eq!(status("POST", change, "looks"), 403, "{change}");
        assert_eq!(status("GET", change, "works"), 405, "{change}");
        assert_eq!(status("POST", change, "works"), code, "{change}");
    }
    // As the command line does it.
    let url = format!("http://{}", gateway.admin);
    std::fs::write(gateway.directory().join("token"), "sg_works\n").unwrap();
    let args = [
        "bans",
        "add",
        "--room",
        "7",
        "--reason",
        "x",
        "--for",
        "1h",
        "--admin-url",
        &url,
        "--token-file",
        "token",
    ];
    let output = signgate(&gateway, &args);
    assert!(output.status.success(), "{:?}", texts(&output));
    let records = gateway.stop().records();
    let by: Vec<&Value> =
        records.iter().filter(|line| line["event"] == "ban").map(|line| &line["detail"]).collect();
    assert_eq!(by, ["token works", "token works"]);
}

#[test]
fn a_cold_gateway_says_so_and_is_ready() {
    let gateway = Setup::new(OPEN).policy("20.toml", "[viewbot]\nmode = \"shadow\"\n").start();
    for n in 0..40 {
        gateway.get(&format!("{CONNECT}&device_id=d{n}"), &[]);
    }
    let ready = gateway.readyz();
    assert_eq!(ready.status, 200, "it serves");
    let told = &ready.json()["viewbot"];
    assert_eq!((&told["mode"], &told["is_cold"]), (&Value::from("shadow"), &Value::from(true)));
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.starts_with("cold: it throttles at most") && detail.contains("2000"), "{detail}");

    // Such a room is shown, as a crowd that nobody is convicted of.
    let output = signgate(&gateway, &["bans", "list"]);
    assert!(output.status.success(), "{:?}", texts(&output));
    let rooms = ask_socket(&gateway, "/viewbot/rooms");
    assert_eq!(rooms["rooms"][0]["room"], "7300000000000000001", "{rooms}");
    assert_eq!(rooms["rooms"][0]["verdict"], "crowd, not convicted");
    assert_eq!(rooms["rooms"][0]["proxies"][0]["proxy"], "127.0.0.1");
}

fn ask_socket(gateway: &Gateway, target: &str) -> Value {
    use std::io::{Read, Write};
    let path = gateway.directory().join("data/admin.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap())
        .unwrap_or_else(|error| panic!("{error}: {answer}"))
}
