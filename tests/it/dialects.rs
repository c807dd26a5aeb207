//! Every client generation, as it asks, as the generator is asked, and as the client is answered (`contract.md` sections
//! 1, 3 and 5), with the odd spellings that real clients have.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::gateway::{Answer, Gateway, OPEN, Setup};
use crate::generator::{Asked, Generator, answer};

/// One request as a client sends it, without `Host` and framing.
struct Sent {
    line: &'static str,
    headers: &'static [&'static str],
    body: Option<&'static str>,
}

const fn get(line: &'static str, headers: &'static [&'static str]) -> Sent {
    Sent { line, headers, body: None }
}

const fn post(line: &'static str, headers: &'static [&'static str], body: &'static str) -> Sent {
    Sent { line, headers, body: Some(body) }
}

/// Node 1.x and Rust.
const ZERO: &[Sent] = &[
    get(
        "GET /webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Faid%3D1988%26room_id%3D7300000000000000001&client=ttlive-node&uuc=1",
        &["User-Agent: axios/0.26", "Accept: application/json"],
    ),
    get(
        "GET /webcast/sign_url/?client=ttlive-rust&uuc=1&url=https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001&apiKey=",
        &["User-Agent: reqwest"],
    ),
];

/// Python, Node 2.0.3, Java, C#, Go.
const A: &[Sent] = &[
    get(
        "GET /webcast/fetch?client=ttlive-python&room_id=7300000000000000001&user_agent=Mozilla%2F5.0%20%28X11%29&client_enter=true&platform=web&tt_target_idc=useast1a",
        &[
            "Accept: */*",
            "Accept-Encoding: gzip, deflate",
            "User-Agent: TikTokLive.py/7.0.1",
            "X-Api-Key: key-of-overlay",
        ],
    ),
    get(
        "GET /webcast/fetch/?client=ttlive-python&room_id=7300000000000000001&apiKey=key-of-overlay",
        &["User-Agent: TikTokLive.py/6.6.5"],
    ),
    get(
        "GET //webcast/fetch?client=ttlive-java&uuc=1&room_id=7300000000000000001",
        &["User-Agent: Java-http-client/17"],
    ),
    get("GET /webcast/fetch?client=ttlive-net&uuc=1&room_id=7300000000000000001&apiKey=", &[]),
    get(
        "GET /webcast/fetch/?client=gotiktok_live&uuc=1&url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Faid%3D1988%26room_id%3D7300000000000000001&apiKey=",
        &["User-Agent: Go-http-client/1.1"],
    ),
    get("GET /webcast/fetch?client=ttlive-python&unique_id=Some.Name", &[]),
    post(
        "POST /webcast/sign_url?client=ttlive-other",
        &["User-Agent: TikTokLive.py/7.0.1"],
        r#"{"url":"https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001","userAgent":"Mozilla/5.0","method":"GET","type":"fetch"}"#,
    ),
    post(
        "POST /webcast/sign_url/?client=ttlive-python",
        &["User-Agent: TikTokLive.py/6.6.5", "Content-Type: application/x-www-form-urlencoded"],
        "url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Froom_id%3D7300000000000000001&method=GET&type=fetch",
    ),
    get("GET /webcast/rate_limits", &["User-Agent: Go-http-client/1.1", "X-Api-Key: key-of-overlay"]),
    get("GET //webcast//rate_limits/?apiKey=", &[]),
    get("GET /webcast/room_id?uniqueId=Some.Name&client=ttlive-python", &[]),
    post(
        "POST /webcast/chat",
        &["x-cookie-header: sessionid=s-1; tt-target-idc=useast1a"],
        r#"{"content":"hello","targetRoomId":7300000000000000001}"#,
    ),
];

/// Node 2.4.4 and 2.5.0.
const B: &[Sent] = &[
    get(
        "GET /webcast/rooms/7300000000000000001/connect?client=ttlive-node&cursor=&user_agent=Mozilla/5.0+(X11)&client_enter=true&platform=web",
        &[
            "Accept: application/protobuf,application/json",
            "User-Agent: tiktok-live-connector/2.5.0 linux",
            "X-Api-Key: key-of-overlay",
        ],
    ),
    get(
        "GET //webcast/rooms/7300000000000000001/connect/?client=ttlive-node",
        &["User-Agent: tiktok-live-connector/2.4.4 linux", "x-jwt-key: key-of-overlay"],
    ),
    post(
        "POST //tiktok/sign_url?client=ttlive-node",
        &["User-Agent: tiktok-live-connector/2.5.0 linux"],
        r#"{"url":"https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001","method":"GET","userAgent":"Mozilla/5.0"}"#,
    ),
    get("GET /accounts/me/rate_limits", &["Authorization: Bearer key-of-overlay"]),
    get("GET /accounts/me/rate_limits?type=webcast", &[]),
    get("GET /webcast/anchors/%40Some.Name/room_id", &[]),
    post(
        "POST /webcast/rooms/7300000000000000001/chat?client=ttlive-node",
        &["x-oauth-token: t-1"],
        r#"{"content":"two\nlines"}"#,
    ),
];

/// The newest SDKs, where they differ.
const C: &[Sent] = &[
    get(
        "GET /webcast/anchors/some.name/connect?client=ttlive-node",
        &["User-Agent: tiktok-live-connector/3.0.0 linux", "X-Api-Key: key-of-overlay"],
    ),
    post(
        "POST /tiktok/signing/encrypt/sign_url",
        &["X-Api-Key: key-of-overlay"],
        r#"{"url":"https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001","includeBrowserParams":true,"includeVerifyFp":true}"#,
    ),
];

fn policy() -> String {
    let hash = blake3::hash(b"key-of-overlay");
    format!(
        "{OPEN}
[[key]]
id = \"k_1\"
hash = \"blake3:{hash}\"
account = \"overlay-suite\"
[[quota]]
name = \"day\"
scope = \"proxy\"
limits = {{ day = 1000 }}
"
    )
}

fn send(gateway: &Gateway, sent: &Sent) -> Answer {
    let (method, target) = sent.line.split_once(' ').unwrap();
    let mut stream = gateway.connect();
    stream.write_all(&crate::gateway::request(method, target, sent.headers, sent.body)).unwrap();
    Answer::read_one(&mut stream)
}

/// Sends each, and writes down what was asked of the generator and what was answered.
fn transcript(sent: &[Sent]) -> String {
    let generator = Generator::good();
    let gateway = Setup::new(&policy()).generator(generator.address).start();
    let mut all = String::new();
    for sent in sent {
        let answer = send(&gateway, sent);
        assert_eq!(answer.status, 200, "{}: {}", sent.line, answer.text());
        write_sent(&mut all, sent);
        for asked in generator.take_asked() {
            write_asked(&mut all, &asked, &generator);
        }
        write_answer(&mut all, &answer);
        all.push('\n');
    }
    all
}

fn write_sent(all: &mut String, sent: &Sent) {
    writeln!(all, "{}", sent.line).unwrap();
    sent.headers.iter().for_each(|header| writeln!(all, "{header}").unwrap());
    if let Some(body) = sent.body {
        writeln!(all, "\n{body}").unwrap();
    }
}

fn write_asked(all: &mut String, asked: &Asked, generator: &Generator) {
    writeln!(all, "=> {} {}", asked.method, asked.target).unwrap();
    for (name, value) in &asked.headers {
        let value = value.replace(&generator.address.to_string(), "[generator]");
        writeln!(all, "   {name}: {value}").unwrap();
    }
    if !asked.body.is_empty() {
        writeln!(all, "   {}", String::from_utf8_lossy(&asked.body)).unwrap();
    }
}

/// What differs from run to run is replaced: ids, dates, and what is left of a window that is open.
fn write_answer(all: &mut String, answer: &Answer) {
    writeln!(all, "<= {}", answer.status).unwrap();
    let wait = answer.header("ratelimit-reset").filter(|wait| *wait != "0").unwrap_or("none").to_owned();
    let retry = answer.header("retry-after").unwrap_or("none").to_owned();
    let id = answer.header("x-request-id").unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned();
    for (name, value) in &answer.headers {
        let value = match name.as_str() {
            "date" => "[date]".to_owned(),
            "x-request-id" | "x-log-id" => value.replace(&id, "[id]"),
            "x-ratelimit-reset" => {
                assert!(value.parse::<u64>().is_ok_and(|unix| unix > 1_700_000_000), "{name}: {value}");
                "[unix]".to_owned()
            }
            "ratelimit-reset" | "retry-after" | "ratelimit-remaining" if *value == wait => {
                "[wait]".to_owned()
            }
            "ratelimit" => value.replace(&format!(";t={wait}"), ";t=[wait]"),
            _ => value.clone(),
        };
        writeln!(all, "   {name}: {value}").unwrap();
    }
    let body = match std::str::from_utf8(&answer.body) {
        Ok(text) if text.starts_with('{') => {
            let text = text.replace(&id, "[id]");
            let text = if retry == wait {
                text.replace(&format!("\"retry_after\":{retry},"), "\"retry_after\":[wait],")
                    .replace(&format!("in {retry} second"), "in [wait] second")
            } else {
                text
            };
            without_times(&text)
        }
        _ => answer.body.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        }),
    };
    writeln!(all, "   {body}").unwrap();
}

/// Every `"reset_at":"…"` replaced.
fn without_times(text: &str) -> String {
    let mut parts = text.split("\"reset_at\":\"");
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (time, rest) = part.split_once('"').unwrap();
        time.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{time}: {error}"));
        write!(all, "\"reset_at\":\"[time]\"{rest}").unwrap();
    }
    all
}

#[test]
fn generation_0_asks_by_url_and_is_answered_flat() {
    insta::assert_snapshot!(transcript(ZERO));
}

#[test]
fn generation_a_names_the_room_in_the_query() {
    insta::assert_snapshot!(transcript(A));
}

#[test]
fn generation_b_names_the_room_in_the_path() {
    insta::assert_snapshot!(transcript(B));
}

#[test]
fn generation_c_connects_by_name_and_encrypts() {
    insta::assert_snapshot!(transcript(C));
}

/// One request of each generation, and of each library whose refusals are worded for it.
const REFUSED: &[(&str, Sent)] = &[
    (
        "generation 0, Node 1.x",
        get(
            "GET /webcast/sign_url?client=ttlive-node&uuc=1&url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Froom_id%3D{room}",
            &["User-Agent: axios/0.26"],
        ),
    ),
    (
        "generation A, TikTokLive 7.0.1",
        get("GET /webcast/fetch?client=ttlive-python&room_id={room}", &["User-Agent: TikTokLive.py/7.0.1"]),
    ),
    (
        "generation A, Go",
        get("GET /webcast/fetch/?client=gotiktok_live&room_id={room}", &["User-Agent: Go-http-client/1.1"]),
    ),
    (
        "generation B, connector 2.5.0",
        get(
            "GET /webcast/rooms/{room}/connect?client=ttlive-node",
            &["User-Agent: tiktok-live-connector/2.5.0 linux"],
        ),
    ),
    (
        "generation C",
        get("GET /webcast/rooms/{room}/connect?client=ttlive-other", &["User-Agent: newest-sdk/1.0"]),
    ),
];

#[test]
fn refusals_as_each_generation_gets_them() {
    let policy = format!(
        "{}
[[quota]]
name = \"anonymous\"
scope = \"proxy\"
tiers = [\"anonymous\"]
limits = {{ minute = 1 }}
[[blocklist]]
name = \"closed-rooms\"
rooms = [\"666\"]
reason = \"this room is not served\"
",
        policy()
    );
    let mut all = String::new();
    for (who, sent) in REFUSED {
        let generator = Generator::good();
        let gateway = Setup::new(&policy).generator(generator.address).start();
        let ask = |room: &str, more: &[&str]| {
            let (method, target) = sent.line.split_once(' ').unwrap();
            gateway.ask(method, &target.replace("{room}", room), &[sent.headers, more].concat(), None)
        };
        assert_eq!(ask("7", &[]).status, 200, "{who}");
        let known = ["X-Api-Key: key-of-overlay"];
        let refusals =
            [(429, ask("7", &[])), (401, ask("7", &["X-Api-Key: nobody's"])), (403, ask("666", &known))];
        generator.set(|_| answer(200, &[], b""));
        let failed = ask("7", &known);
        writeln!(all, "# {who}").unwrap();
        for (status, answer) in refusals.into_iter().chain([(502, failed)]) {
            assert_eq!(answer.status, status, "{who}: {}", answer.text());
            write_answer(&mut all, &answer);
        }
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}
