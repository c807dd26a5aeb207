//! Secrets go to the generator or nowhere: canaries are sent in every place and with every kind of error, and then looked
//! for in everything that the gateway says, shows and writes (`contract.md` section 2).

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use crate::gateway::{Answer, Gateway, OPEN, Setup};
use crate::generator::{Generator, answer, good};

/// What is found nowhere. Each secret has its own, so that a find says where it came from.
const CANARIES: [&str; 20] = [
    KEY,
    "sg_canaryunknownkey234567abcdefghijklmnopqrs",
    "CanaryQueryKey",
    "CanaryBearer",
    "CanaryBasic",
    "CanaryJwt",
    "CanarySessionInQuery",
    "CanarySessionInCookieHeader",
    "CanarySessionInCookie",
    "CanaryOauth",
    "CanarySessionInUrl",
    "CanaryTokenInUrl",
    "CanarySessionInBody",
    "CanaryTextInBody",
    "CanaryOddName",
    "CanaryPassword",
    "CanaryFragment",
    "CanaryOfGenerator",
    "CanaryFromGenerator",
    "CanaryInvisible",
];

/// A key that is known.
const KEY: &str = "sg_canarygoodkeyabcdefghijklmnopqrstuvwxyz23";

/// The gateway's own key at its generator.
const GENERATOR_KEY: &str = "CanaryOfGenerator";

const ROOM: &str = "7300000000000000001";

fn policy(more: &str) -> String {
    format!(
        "{OPEN}
[[key]]
id = \"k_1\"
hash = \"blake3:{}\"
account = \"overlay-suite\"
[[blocklist]]
name = \"closed-rooms\"
rooms = [\"666\", \"@closed.name\"]
reason = \"closed\"
{more}
",
        blake3::hash(KEY.as_bytes())
    )
}

fn start(policy: &str, generator: &str, more: &str) -> Gateway {
    Setup::new(policy)
        .env("SIGNGATE_LOG", "trace")
        .file("signer.key", GENERATOR_KEY)
        .config(&format!(
            "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"{generator}\"\nkey-file = \"signer.key\"\n{more}"
        ))
        .start()
}

/// One request full of secrets.
struct Full {
    what: &'static str,
    method: &'static str,
    target: String,
    headers: Vec<&'static str>,
    body: Option<String>,
    /// Whether its good answer holds the caller's own URL.
    echoes: bool,
}

/// Secrets that may stand beside each other in one request.
const SECRET_HEADERS: [&str; 5] = [
    "x-cookie-header: sessionid=CanarySessionInCookieHeader; sid_tt=CanarySessionInCookieHeader",
    "Cookie: sessionid=CanarySessionInCookie; other=CanarySessionInCookie",
    "x-oauth-token: CanaryOauth",
    "X-Odd-Header: CanaryOddName",
    "Proxy-Authorization: Basic CanaryBasic",
];

const SECRET_QUERY: &str = "session_id=CanarySessionInQuery&tt_target_idc=useast1a&sid_guard=CanarySessionInQuery&odd=CanaryOddName&msToken=CanaryTokenInUrl&cookie=CanaryOddName";

fn url_of(room: &str) -> String {
    format!(
        "https://webcast.tiktok.com/webcast/im/fetch/?room_id={room}&sessionid=CanarySessionInUrl&msToken=CanaryTokenInUrl&odd=CanaryOddName"
    )
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Every operation of every generation, each as full of secrets as it can be.
fn all(room: &str, key: &'static str) -> Vec<Full> {
    let name = if room == "666" { "closed.name" } else { "name" };
    let headers = || [&[key], SECRET_HEADERS.as_slice()].concat();
    let get = |what, target: String| Full {
        what,
        method: "GET",
        target,
        headers: headers(),
        body: None,
        echoes: false,
    };
    let post = |what, target: String, body: serde_json::Value| Full {
        what,
        method: "POST",
        target,
        headers: headers(),
        body: Some(body.to_string()),
        echoes: false,
    };
    let signed = |full: Full| Full { echoes: true, ..full };
    let sign = serde_json::json!({
        "url": url_of(room), "method": "GET", "userAgent": "Mozilla/5.0", "sessionId": "CanarySessionInBody",
        "ttTargetIdc": "useast1a", "ttwid": "CanaryTextInBody", "odd": "CanaryOddName", "payload": "CanaryTextInBody",
    });
    let chat = serde_json::json!({
        "content": "CanaryTextInBody", "sessionId": "CanarySessionInBody", "targetRoomId": room, "odd": ["CanaryOddName"],
    });
    vec![
        get("connect A", format!("/webcast/fetch?room_id={room}&client=ttlive-java&{SECRET_QUERY}")),
        get("connect Go", format!("/webcast/fetch/?url={}&client=ttlive-java", escaped(&url_of(room)))),
        get("connect B", format!("/webcast/rooms/{room}/connect?client=ttlive-java&{SECRET_QUERY}")),
        get("connect C", format!("/webcast/anchors/{name}/connect?client=ttlive-java&{SECRET_QUERY}")),
        signed(get(
            "sign-url 0",
            format!("/webcast/sign_url?url={}&client=ttlive-java&{SECRET_QUERY}", escaped(&url_of(room))),
        )),
        signed(post(
            "sign-url A",
            format!("/webcast/sign_url?client=ttlive-java&{SECRET_QUERY}"),
            sign.clone(),
        )),
        signed(post(
            "sign-url B",
            format!("/tiktok/sign_url?client=ttlive-java&{SECRET_QUERY}"),
            sign.clone(),
        )),
        signed(post(
            "sign-url C",
            format!("/tiktok/signing/encrypt/sign_url?client=ttlive-java&{SECRET_QUERY}"),
            sign,
        )),
        get("limits A", format!("/webcast/rate_limits?{SECRET_QUERY}")),
        get("limits B", format!("/accounts/me/rate_limits?type=minute&{SECRET_QUERY}")),
        get(
            "room id",
            format!("/webcast/room_id?uniqueId=name&room_id={room}&client=ttlive-java&{SECRET_QUERY}"),
        ),
        post("chat A", format!("/webcast/chat?client=ttlive-java&{SECRET_QUERY}"), chat.clone()),
        post("chat B", format!("/webcast/rooms/{room}/chat?client=ttlive-java&{SECRET_QUERY}"), chat),
    ]
}

const GOOD_KEY: &str = "X-Api-Key: sg_canarygoodkeyabcdefghijklmnopqrstuvwxyz23";
const UNKNOWN_KEY: &str = "X-Api-Key: sg_canaryunknownkey234567abcdefghijklmnopqrs";

/// The request as bytes, and the answer, which holds no secret.
fn send(gateway: &Gateway, full: &Full) -> Answer {
    let answer = gateway.ask(full.method, &full.target, &full.headers, full.body.as_deref());
    let mut text = format!("{:?} {}", answer.headers, answer.text());
    if answer.status == 200 && full.echoes {
        // The caller gets its own URL back; nothing but what stood in it.
        text = text
            .replace("CanarySessionInUrl", "")
            .replace("CanaryTokenInUrl", "")
            .replace("CanaryOddName", "");
    }
    clean(full.what, &text);
    answer
}

/// Sends every request; each must end with a status of `expected`, and those that cost nothing with 200.
fn send_all(gateway: &Gateway, room: &str, key: &'static str, expected: &[u16]) {
    for full in all(room, key) {
        let status = send(gateway, &full).status;
        let free = status == 200 && full.what.starts_with("limits");
        assert!(free || expected.contains(&status), "{}: {status}, expected one of {expected:?}", full.what);
    }
}

#[track_caller]
fn clean(what: &str, text: &str) {
    for canary in CANARIES {
        // Also as another case, or half of it, or decoded from what percent-encoding made of it.
        let found = text.to_ascii_lowercase().contains(&canary.to_ascii_lowercase());
        assert!(!found, "{what}: `{canary}` in {text}");
    }
}

/// Looks for canaries in everything that a gateway shows, says and leaves behind.
fn search(gateway: Gateway) {
    clean("metrics", &gateway.metrics());
    clean("readyz", &gateway.readyz().text());
    // Its directory goes with it: what it holds is read before, the record once more after its last line.
    let record = gateway.directory().join("data/access.jsonl");
    gateway.wait_until("a record", |_| std::fs::metadata(&record).is_ok_and(|found| found.len() > 0));
    let mut seen = 0;
    search_files(gateway.directory(), &mut seen);
    assert!(seen > 0, "there is a record");
    let stopped = gateway.stop();
    assert!(stopped.status.success(), "{}", stopped.said);
    clean("stderr", &stopped.said);
    clean("record", &stopped.record);
    assert!(!stopped.records().is_empty());
}

fn search_files(directory: &Path, seen: &mut usize) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            search_files(&path, seen);
        } else if path.is_file() && !["signgate.toml", "10-test.toml", "signer.key"].contains(&name.as_str())
        {
            *seen += 1;
            clean(&name, &String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn good_answers_leave_no_secret_behind() {
    let generator = Generator::good();
    let gateway = start(&policy(""), &format!("http://{}", generator.address), "");
    send_all(&gateway, ROOM, GOOD_KEY, &[200]);
    let asked = generator.asked();
    assert!(asked.len() >= 11, "{}", asked.len());
    for asked in &asked {
        assert_eq!(asked.header("x-api-key"), Some(GENERATOR_KEY));
        let all = format!("{asked:?} {}", String::from_utf8_lossy(&asked.body));
        for never in [KEY, "CanarySessionInCookie;", "CanaryBasic"] {
            assert!(!all.contains(never), "{never} in {all}");
        }
    }
    search(gateway);
}

#[test]
fn other_ways_to_show_a_key_leave_none_behind() {
    let generator = Generator::good();
    let gateway = start(&policy(""), &format!("http://{}", generator.address), "");
    let target = format!("/webcast/fetch?room_id={ROOM}");
    for (header, status) in [
        ("Authorization: Bearer CanaryBearer", 401),
        ("Authorization: Basic CanaryBasic", 200),
        ("x-jwt-key: CanaryJwt", 401),
        ("X-Other: CanaryJwt", 200),
    ] {
        let answer = gateway.get(&target, &[header]);
        assert_eq!(answer.status, status, "{header}");
        clean(header, &format!("{answer:?} {}", answer.text()));
    }
    for query in [
        "apiKey=CanaryQueryKey",
        "apikey=CanaryQueryKey",
        "api_key=Canary%51ueryKey",
        "x-api-key=CanaryQueryKey",
        "room_id=7&apiKey=CanaryQueryKey&apiKey=CanaryJwt",
        "url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fx%3FapiKey%3DCanaryQueryKey",
        "url=https%3A%2F%2Fuser%3ACanaryPassword%40webcast.tiktok.com%2Fwebcast%2Fx",
        "url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fx%23CanaryFragment",
        "url=CanaryPassword",
        "unique_id=CanaryPassword%20x",
        "room_id=CanaryQueryKey",
        "client=CanaryOddName%20CanaryOddName",
        "device_id=CanaryOddName%2FCanaryOddName",
        "x=%ZZCanaryOddName",
        "x=%00CanaryOddName",
    ] {
        let answer = gateway.get(&format!("{target}&{query}"), &[]);
        clean(query, &format!("{answer:?} {}", answer.text()));
    }
    // A good key in the query or the body goes no further either.
    let sign =
        serde_json::json!({"url": "https://webcast.tiktok.com/webcast/x?a=1", "apiKey": KEY}).to_string();
    let keyed = [
        gateway.get(&format!("{target}&apiKey={KEY}"), &[]),
        gateway.get(&format!("{target}&x=1&api%5Fkey={KEY}"), &[]),
        gateway.post("/tiktok/sign_url", &[GOOD_KEY], &sign),
        gateway.get(&target, &[&format!("Authorization: Bearer {KEY}"), &format!("x-jwt-key: {KEY}")]),
    ];
    for answer in keyed {
        assert_eq!(answer.status, 200, "{}", answer.text());
        clean("a good key", &format!("{answer:?} {}", answer.text()));
    }
    for asked in generator.asked() {
        let all = format!("{asked:?} {}", String::from_utf8_lossy(&asked.body));
        assert!(!all.contains(KEY), "{all}");
        assert!(
            !all.contains("CanaryQueryKey") && !all.contains("CanaryJwt") && !all.contains("CanaryB"),
            "{all}"
        );
    }
    search(gateway);
}

#[test]
fn refusals_leave_no_secret_behind() {
    let generator = Generator::good();
    let quota = "[[quota]]\nname = \"q\"\nscope = \"account\"\nlimits = { minute = 1 }\n";
    let gateway = start(&policy(quota), &format!("http://{}", generator.address), "");
    send_all(&gateway, ROOM, UNKNOWN_KEY, &[401]);
    send_all(&gateway, "666", GOOD_KEY, &[403]);
    send_all(&gateway, ROOM, GOOD_KEY, &[200, 429]);
    send_all(&gateway, ROOM, GOOD_KEY, &[429]);
    // Twenty unknown keys, then none is looked up.
    send_all(&gateway, ROOM, UNKNOWN_KEY, &[401, 429]);
    send_all(&gateway, ROOM, UNKNOWN_KEY, &[429]);
    search(gateway);
}

#[test]
fn faulty_requests_leave_no_secret_behind() {
    let generator = Generator::good();
    let gateway = start(&policy(""), &format!("http://{}", generator.address), "");
    for mut full in all(ROOM, GOOD_KEY) {
        let (path, query) = full.target.split_once('?').map(|(p, q)| (p.to_owned(), q.to_owned())).unwrap();
        let method = full.method;
        // 405, 404, then 400s: two rooms, two keys, two sessions' worth of odd headers.
        full.method = "PUT";
        assert_eq!(send(&gateway, &full).status, 405, "{}", full.what);
        full.method = method;
        full.target = format!("{path}/CanaryInvisible=/x?{query}");
        assert!([400, 404].contains(&send(&gateway, &full).status), "{}", full.what);
        full.target = format!("{path};CanaryInvisible?{query}");
        assert_eq!(send(&gateway, &full).status, 400, "{}", full.what);
        full.target = format!("{path}?{query}&room_id=1&roomId=2");
        assert_eq!(send(&gateway, &full).status, 400, "{}", full.what);
        full.target = format!("{path}?{query}&apiKey=CanaryQueryKey");
        assert_eq!(send(&gateway, &full).status, 400, "{}", full.what);
        full.target = format!("{path}?{query}&x={}", "CanaryOddName".repeat(1000));
        assert_eq!(send(&gateway, &full).status, 414, "{}", full.what);
        full.target = format!("{path}?{query}");
        if full.method == "POST" {
            for (body, status) in [
                ("{\"content\":\"CanaryTextInBody\",".to_owned(), 400),
                ("CanaryTextInBody".to_owned(), 400),
                ("[\"CanaryTextInBody\"]".to_owned(), 400),
                ("url=CanaryTextInBody&url=CanarySessionInBody".to_owned(), 400),
                ("{\"url\":\"CanaryTextInBody\",\"sessionId\":\"CanarySessionInBody\"}".to_owned(), 400),
                ("{\"apiKey\":\"CanaryTextInBody\"}".to_owned(), 400),
                (format!("{{\"content\":\"{}\"}}", "CanaryTextInBody".repeat(5000)), 413),
            ] {
                full.body = Some(body);
                let answered = send(&gateway, &full);
                assert_eq!(answered.status, status, "{}: {}", full.what, answered.text());
            }
        }
    }
    assert!(generator.asked().is_empty());
    search(gateway);
}

#[test]
fn framing_that_is_rejected_leaves_no_secret_behind() {
    let generator = Generator::good();
    let gateway = start(&policy(""), &format!("http://{}", generator.address), "");
    let secrets = format!("X-Api-Key: {KEY}\r\nx-cookie-header: sessionid=CanarySessionInCookieHeader\r\n");
    let line =
        format!("GET /webcast/fetch?apiKey={KEY}&session_id=CanarySessionInQuery&room_id=7 HTTP/1.1\r\n");
    let host = "Host: gateway.example\r\n";
    let chat = "POST /webcast/chat?session_id=CanarySessionInQuery HTTP/1.1\r\n";
    for (what, bytes) in [
        (
            "length and coding",
            format!(
                "{chat}{host}{secrets}Content-Length: 16\r\nTransfer-Encoding: chunked\r\n\r\nCanaryTextInBody"
            ),
        ),
        (
            "two lengths",
            format!("{chat}{host}{secrets}Content-Length: 16\r\nContent-Length: 17\r\n\r\nCanaryTextInBody"),
        ),
        ("no host", format!("{line}{secrets}\r\n")),
        ("bare LF", format!("{line}{host}X-A: CanaryOddName\n{secrets}\r\n")),
        ("control byte", format!("{line}{host}X-A: CanaryOddName\u{1}\r\n{secrets}\r\n")),
        ("underscore", format!("{line}{host}api_key: CanaryQueryKey\r\n{secrets}\r\n")),
        ("folded", format!("{line}{host}X-A: a\r\n CanaryOddName\r\n{secrets}\r\n")),
        (
            "target byte",
            format!("GET /webcast/fetch?session_id=CanarySession\"InQuery HTTP/1.1\r\n{host}{secrets}\r\n"),
        ),
        ("fragment", format!("GET /webcast/fetch?room_id=7#CanaryFragment HTTP/1.1\r\n{host}{secrets}\r\n")),
        (
            "absolute form",
            format!("GET http://user:CanaryPassword@h/webcast/fetch HTTP/1.1\r\n{host}{secrets}\r\n"),
        ),
        ("method", format!("CANARYINVISIBLE[ /webcast/fetch HTTP/1.1\r\n{host}{secrets}\r\n")),
        (
            "version",
            format!("GET /webcast/fetch?session_id=CanarySessionInQuery HTTP/3.0\r\n{host}{secrets}\r\n"),
        ),
        ("head too large", format!("{line}{host}{secrets}X-A: {}\r\n\r\n", "CanaryOddName".repeat(2000))),
        ("too many headers", format!("{line}{host}{}{secrets}\r\n", "X-A: CanaryOddName\r\n".repeat(100))),
        ("cut head", format!("{line}{host}{secrets}X-A: CanaryOdd")),
        (
            "cut body",
            format!("{chat}{host}{secrets}Content-Length: 4000\r\n\r\n{{\"content\":\"CanaryTextInBody"),
        ),
        (
            "chunk size",
            format!("{chat}{host}{secrets}Transfer-Encoding: chunked\r\n\r\nCanaryTextInBody\r\n"),
        ),
        ("body of a GET", format!("{line}{host}{secrets}Content-Length: 16\r\n\r\nCanaryTextInBody")),
        ("not HTTP", "CanaryPassword CanaryPassword\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}CanaryPassword".to_owned()),
    ] {
        let answers = gateway.raw(bytes.as_bytes());
        let last = answers.last().unwrap_or_else(|| panic!("{what}: no answer"));
        assert!((400..=431).contains(&last.status), "{what}: {last:?}");
        for answer in answers {
            clean(what, &format!("{answer:?} {}", answer.text()));
        }
    }
    assert!(generator.asked().is_empty());
    search(gateway);
}

#[test]
fn failures_of_generators_leave_no_secret_behind() {
    let generator = Generator::with(|_| {
        answer(500, &["X-Reason: CanaryFromGenerator"], b"bad key CanaryOfGenerator for CanaryFromGenerator")
    });
    let gateway = start(&policy(""), &format!("http://{}", generator.address), "");
    send_all(&gateway, ROOM, GOOD_KEY, &[502, 503]);
    for status in [200, 400, 401, 403, 404, 429] {
        generator.set(move |_| {
            answer(status, &["Set-Cookie: CanaryFromGenerator=1"], b"CanaryFromGenerator CanaryOfGenerator")
        });
        send_all(&gateway, ROOM, GOOD_KEY, &[502, 503, 400, 404]);
    }
    generator.set(|_| b"CanaryFromGenerator CanaryOfGenerator\r\n\r\nConnection: close".to_vec());
    send_all(&gateway, ROOM, GOOD_KEY, &[502, 503]);
    generator.set(good);
    search(gateway);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = start(&policy(""), &format!("http://{nobody}"), "");
    send_all(&gateway, ROOM, GOOD_KEY, &[503]);
    search(gateway);
}

#[test]
fn deadlines_and_clients_that_hang_up_leave_no_secret_behind() {
    // Reads what it is asked, and says nothing.
    let generator = Generator::with(|_| {
        std::thread::park_timeout(Duration::from_secs(20));
        Vec::new()
    });
    let gateway = start(&policy(""), &format!("http://{}", generator.address), "");
    let asking = || all(ROOM, GOOD_KEY).into_iter().filter(|full| !full.what.starts_with("limits"));
    std::thread::scope(|scope| {
        for full in asking() {
            let gateway = &gateway;
            scope.spawn(move || assert_eq!(send(gateway, &full).status, 504, "{}", full.what));
        }
        let hanging_up: Vec<_> = asking()
            .map(|full| {
                let request =
                    crate::gateway::request(full.method, &full.target, &full.headers, full.body.as_deref());
                let mut stream = gateway.connect();
                stream.write_all(&request).unwrap();
                stream
            })
            .collect();
        gateway.wait_until("all requests at the generator", |_| generator.asked().len() == 22);
        for stream in hanging_up {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    gateway.wait_until("the clients that hung up", |gateway| {
        gateway.metrics().lines().any(|line| {
            line.starts_with("signgate_outcomes_total{")
                && line.contains("client-gone")
                && !line.ends_with(" 0")
        })
    });
    search(gateway);
}

#[test]
fn sessions_are_passed_on_stripped_or_refused() {
    let sessions = [
        "CanarySessionInQuery",
        "CanarySessionInCookieHeader",
        "CanaryOauth",
        "CanarySessionInUrl",
        "CanarySessionInBody",
    ];
    let saw = |mode: &str, expected: &[u16]| {
        let generator = Generator::good();
        let policy = policy(&format!("[sessions]\nmode = \"{mode}\"\n"));
        let gateway = start(&policy, &format!("http://{}", generator.address), "");
        send_all(&gateway, ROOM, GOOD_KEY, expected);
        let asked = generator.asked();
        let mut all = String::new();
        for asked in &asked {
            let body = String::from_utf8_lossy(&asked.body);
            writeln!(all, "{} {:?} {body}", asked.target, asked.headers).unwrap();
        }
        if mode == "refuse" {
            let refused =
                gateway.get(&format!("/webcast/fetch?room_id={ROOM}&session_id=CanarySessionInQuery"), &[]);
            refused.refusal(403, "session_refused");
            let none = gateway.get(&format!("/webcast/fetch?room_id={ROOM}&tt_target_idc=useast1a"), &[]);
            assert_eq!(none.status, 200, "`tt_target_idc` alone is no session");
        }
        search(gateway);
        (asked.len(), all)
    };
    let (count, all) = saw("pass", &[200]);
    assert_eq!(count, 11);
    for session in sessions {
        assert!(all.contains(session), "{session} is passed on: {all}");
    }
    let (count, all) = saw("strip", &[200]);
    assert_eq!(count, 11);
    for session in sessions.iter().chain(&["useast1a", "CanarySessionInCookie"]) {
        assert!(!all.contains(session), "{session} is stripped: {all}");
    }
    assert!(all.contains("CanaryTokenInUrl"), "what is no session stays: {all}");
    let (count, all) = saw("refuse", &[403]);
    assert_eq!((count, all.as_str()), (0, ""), "nothing is asked");
}
