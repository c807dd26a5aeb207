//! Generators that misbehave, behind a whole gateway: nothing bad reaches a client, nobody is charged for it, and nobody
//! learns which generator it was.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use signgate::generator::attempt::Mark;
use tokio::time::Instant;

use crate::gateway::{Answer, Gateway, OPEN, Setup};
use crate::generator::{Asked, CONNECT, Generator, answer, bytes_of, good};

pub const CONNECT_TARGET: &str = "/webcast/fetch?client=ttlive-python&room_id=7300000000000000001";
pub const COOKIE: &str = "X-Set-TT-Cookie: ttwid=1";
const URL: &str = "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001";

const BOGUS: &str = "DFSzswVLkKxANGP5CtmFF2lUrn1a";

/// What no client may see: what a generator is called, where it is, what it says of itself.
pub const NAME: &str = "burnt-signer-17";
const KEY: &str = "key-of-the-generator-17";
const SAYS_OF_ITSELF: &str = "tokyo-rack-17";

/// A gateway with one generator whose name, key and answers are known to nobody.
pub fn gateway(policy: &str, address: SocketAddr) -> Gateway {
    Setup::new(policy)
        .file("signer.key", &format!("{KEY}\n"))
        .config(&format!(
            "[[generator]]\nname = \"{NAME}\"\nalias = \"agent-a\"\nkind = \"euler\"\nurl = \"http://{address}\"\nkey-file = \"signer.key\""
        ))
        .start()
}

/// A gateway with several plain generators.
pub fn gateway_of(policy: &str, addresses: &[SocketAddr]) -> Gateway {
    addresses.iter().fold(Setup::new(policy), |setup, address| setup.generator(*address)).start()
}

/// Everything that an answer says, in one text.
fn all_of(answer: &Answer) -> String {
    format!("{:?}\n{}", answer.headers, answer.text())
}

#[track_caller]
pub fn tells_nothing(what: &str, answer: &Answer, address: SocketAddr) {
    let all = all_of(answer);
    for secret in
        [NAME, KEY, SAYS_OF_ITSELF, "127.0.0.1", &address.port().to_string(), "Set-Cookie", "set-cookie:"]
    {
        assert!(!all.contains(secret), "{what}: `{secret}` in {all}");
    }
}

/// A policy with a quota of so many a minute for each address.
pub fn limited(max: u32) -> String {
    format!("{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = {{ minute = {max} }}\n")
}

pub fn left(gateway: &Gateway) -> u64 {
    gateway.get("/webcast/rate_limits", &[]).json()["minute"]["remaining"].as_u64().unwrap()
}

/// A port at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

type Mood = Box<dyn Fn(&Asked) -> Vec<u8> + Send + Sync>;

fn says(status: u16, headers: &'static [&'static str], body: &[u8]) -> Mood {
    let body = body.to_vec();
    Box::new(move |_| answer(status, &[headers, &["Server: tokyo-rack-17"]].concat(), &body))
}

fn writes(bytes: Vec<u8>) -> Mood {
    Box::new(move |_| bytes.clone())
}

#[test]
fn no_answer_that_would_not_work_reaches_a_client() {
    let small = bytes_of(CONNECT);
    let at = small.windows(19).position(|part| part == b"ws://127.0.0.1:2100").unwrap();
    let (mut fallback, mut hidden) = (small.clone(), small.clone());
    fallback[at..at + 19].copy_from_slice(b"ws://tokyo.example/");
    hidden[at..at + 19].copy_from_slice(b"ws://127.0.0.1@t.ky");
    let mut port = small.clone();
    let digits = port.windows(5).position(|part| part == b"21002").unwrap();
    port[digits..digits + 5].copy_from_slice(b"99999");
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\n{COOKIE}\r\nContent-Length: {length}\r\n");
    let framed = |head: String, body: &[u8]| writes([head.as_bytes(), b"\r\n", body].concat());
    let moods: Vec<(&str, Mood)> = vec![
        ("nothing in it", says(200, &[COOKIE], b"")),
        ("no cookie", says(200, &[], &small)),
        ("a Set-Cookie is not enough", says(200, &["Set-Cookie: ttwid=1"], &small)),
        ("an empty cookie", says(200, &["X-Set-TT-Cookie: ttwid="], &small)),
        ("a cookie that is taken back", says(200, &["X-Set-TT-Cookie: ttwid=; Path=/; Max-Age=0"], &small)),
        (
            "a cookie too long for Node",
            writes(answer(200, &[&format!("X-Set-TT-Cookie: a={}", "b".repeat(20_000))], &small)),
        ),
        ("another room", says(200, &[COOKIE, "X-Room-Id: 7300000000000000002"], &small)),
        ("a port that is none", says(200, &[COOKIE], &port)),
        ("HTML", says(200, &[COOKIE, "Content-Type: text/html"], b"<html>tokyo-rack-17 is sorry</html>")),
        ("JSON that says it failed", says(200, &[COOKIE], br#"{"code":500,"message":"tokyo-rack-17"}"#)),
        ("protobuf that is cut", says(200, &[COOKIE], &small[..30])),
        ("no cursor", says(200, &[COOKIE], &small[3..])),
        ("no push server", says(200, &[COOKIE], &small[..11])),
        ("a push server that is none of the platform's", says(200, &[COOKIE], &fallback)),
        ("one that is one user's of another host", says(200, &[COOKIE], &hidden)),
        ("a coding that nobody asked for", says(200, &[COOKIE, "Content-Encoding: br"], &small)),
        ("a gzip that is none", says(200, &[COOKIE, "Content-Encoding: gzip"], &small)),
        ("its own 401", says(401, &["WWW-Authenticate: Basic realm=\"tokyo-rack-17\""], b"who are you")),
        ("its own 403", says(403, &[], b"tokyo-rack-17 bans you")),
        ("its own 407", says(407, &[], b"tokyo-rack-17")),
        ("its own 429", says(429, &["Retry-After: 9999", "RateLimit-Reset: 9999"], b"{}")),
        ("500", says(500, &[], b"panic at tokyo-rack-17")),
        ("502", says(502, &[], b"")),
        ("503", says(503, &["Retry-After: 9999"], b"")),
        ("504", says(504, &[], b"")),
        ("599", says(599, &[], b"")),
        ("a redirect", says(302, &["Location: http://tokyo-rack-17/"], b"")),
        ("no content", writes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())),
        ("closed at once", writes(Vec::new())),
        ("cut in the body", framed(head(100) + "Connection: close\r\n", &small)),
        ("cut in the head", writes(b"HTTP/1.1 200 OK\r\nconnection: close\r\nX-Set".to_vec())),
        ("more than its length", framed(head(10), &small)),
        ("two lengths", framed(head(38) + "Content-Length: 37\r\n", &small)),
        (
            "a length that is none",
            framed(format!("HTTP/1.1 200 OK\r\n{COOKIE}\r\nContent-Length: x\r\n"), &small),
        ),
        ("length and coding", framed(head(38) + "Transfer-Encoding: chunked\r\n", &small)),
        ("garbage", writes(b"\x16\x03\x01 tokyo-rack-17 \r\n\r\n connection: close".to_vec())),
        ("an endless head", writes([b"HTTP/1.1 200 OK\r\nX-A: ".as_slice(), &[b'a'; 300_000]].concat())),
        (
            "a body beyond every bound",
            framed(head(40_000_000) + "Connection: close\r\n", &vec![b'a'; 2_000_000]),
        ),
        (
            "chunks that end early",
            framed(
                format!("HTTP/1.1 200 OK\r\n{COOKIE}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"),
                b"26\r\nabc",
            ),
        ),
    ];
    let generator = Generator::good();
    let gateway = gateway(OPEN, generator.address);
    for (what, mood) in moods {
        generator.set(mood);
        let failed = gateway.get(CONNECT_TARGET, &[]);
        assert_eq!(failed.status, 502, "{what}: {failed:?}");
        failed.refusal(502, "generator_failed");
        tells_nothing(what, &failed, generator.address);
        generator.set(good);
        let good = gateway.get(CONNECT_TARGET, &[]);
        assert_eq!(good.status, 200, "{what}: a good answer works at once: {good:?}");
        assert_eq!(good.body, small, "{what}: nothing of it was left over");
    }
    assert_eq!(
        generator.asked().last().unwrap().header("x-api-key"),
        Some(KEY),
        "the key reached it, not the client"
    );
    let stopped = gateway.stop();
    let mut records = stopped.records();
    records.sort_by_key(|record| record["seq"].as_u64());
    let outcomes: Vec<_> = records.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert!(outcomes.chunks(2).all(|pair| pair == ["generator-failed", "good"]), "{outcomes:?}");
    // Each bad one says what was the matter, in a word of the metric; a good one has nothing to say.
    for pair in records.chunks(2) {
        let defect = pair[0]["defect"].as_str().unwrap_or_else(|| panic!("{}", pair[0]));
        assert!(Mark::words()[Mark::OVERTAKEN.index() + 1..].contains(&defect), "{defect}");
        assert!(pair[1]["defect"].is_null() && pair[1]["lack"].is_null(), "{}", pair[1]);
    }
}

#[test]
fn no_signed_url_that_would_not_work_reaches_a_client() {
    let signed = |url: &str| {
        let url = url.to_owned();
        let body = serde_json::json!({"code": 200, "response": {"signedUrl": url}}).to_string();
        says(200, &[], body.as_bytes())
    };
    let moods: Vec<(&str, Mood)> = vec![
        ("unsigned", signed(URL)),
        ("an empty signature", signed(&format!("{URL}&X-Bogus="))),
        ("a signature that is none", signed(&format!("{URL}&X-Bogus=tokyo-rack-17"))),
        (
            "another host",
            signed("https://evil.example/webcast/im/fetch/?room_id=7300000000000000001&X-Bogus=abc"),
        ),
        ("another path", signed("https://webcast.tiktok.com/webcast/other/?X-Bogus=abc")),
        ("no URL", signed("tokyo-rack-17")),
        (
            "no room",
            signed("https://webcast.tiktok.com/webcast/im/fetch/?X-Bogus=DFSzswVLkKxANGP5CtmFF2lUrn1a"),
        ),
        ("a word for nothing", signed(&format!("{URL}&X-Bogus=undefinedundefined"))),
        ("a list", says(200, &[], format!(r#"[200,{{"signedUrl":"{URL}&X-Bogus={BOGUS}"}}]"#).as_bytes())),
        ("no signedUrl", says(200, &[], br#"{"code":200,"response":{}}"#)),
        ("a code of its own", says(200, &[], br#"{"code":403,"message":"tokyo-rack-17"}"#)),
        ("HTML", says(200, &[], b"<html>tokyo-rack-17</html>")),
        ("nothing", says(200, &[], b"")),
        ("its own 403", says(403, &[], br#"{"code":403}"#)),
    ];
    let generator = Generator::good();
    let gateway = gateway(OPEN, generator.address);
    let body = serde_json::json!({"url": URL}).to_string();
    let zero = format!("/webcast/sign_url?url={}", URL.replace(':', "%3A").replace('?', "%3F"));
    for (what, mood) in moods {
        generator.set(mood);
        for failed in [gateway.post("/tiktok/sign_url", &[], &body), gateway.get(&zero, &[])] {
            failed.refusal(502, "generator_failed");
            tells_nothing(what, &failed, generator.address);
        }
        generator.set(good);
        assert_eq!(gateway.post("/tiktok/sign_url", &[], &body).status, 200, "{what}");
    }
}

#[test]
fn an_answer_that_came_packed_goes_out_plain() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&bytes_of(CONNECT)).unwrap();
    let packed = packer.finish().unwrap();
    let generator =
        Generator::with(move |_| answer(200, &[COOKIE, "Content-Encoding: gzip", "Vary: *"], &packed));
    let gateway = gateway(OPEN, generator.address);
    for accepts in ["Accept-Encoding: gzip, deflate", "Accept-Encoding: identity"] {
        let plain = gateway.get(CONNECT_TARGET, &[accepts]);
        assert_eq!((plain.status, plain.body.clone()), (200, bytes_of(CONNECT)));
        assert_eq!(plain.header("content-encoding"), None);
    }
    assert!(generator.asked().iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
}

#[test]
fn of_a_good_answer_only_what_clients_read_goes_out() {
    let generator = Generator::with(|_| {
        let headers = [
            COOKIE,
            "X-Room-Id: 7300000000000000001",
            "X-Log-Id: log-1",
            "Set-Cookie: sid=tokyo-rack-17",
            "Server: tokyo-rack-17",
            "Via: 1.1 tokyo-rack-17",
            "X-Backend: tokyo-rack-17",
            "RateLimit-Remaining: 4711",
            "RateLimit-Reset: 4711",
            "X-RateLimit-Limit: 4711",
            "Retry-After: 4711",
            "X-Request-ID: tokyo-rack-17",
            "Cache-Control: public, max-age=4711",
        ];
        answer(200, &headers, &bytes_of(CONNECT))
    });
    let gateway = gateway(&limited(5), generator.address);
    let good = gateway.get(CONNECT_TARGET, &[]);
    assert_eq!(good.status, 200);
    assert_eq!(good.header("x-agent-id"), Some("agent-a"), "it is called as the operator wants");
    assert_eq!(
        (good.header("x-room-id"), good.header("x-log-id")),
        (Some("7300000000000000001"), Some("log-1"))
    );
    assert_eq!((good.number("ratelimit-remaining"), good.number("x-ratelimit-limit")), (4, 5), "ours");
    assert_eq!(good.header("cache-control"), Some("no-store"));
    let heads = format!("{:?}", good.headers);
    for secret in [NAME, KEY, SAYS_OF_ITSELF, "127.0.0.1", "4711"] {
        assert!(!heads.contains(secret), "`{secret}` in {heads}");
    }
}

/// A generator that does with each connection what it is told to, once it has read a head.
fn raw(behave: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let behave = Arc::new(behave);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let behave = Arc::clone(&behave);
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                if stream.read(&mut head).is_ok_and(|length| length > 0) {
                    behave(stream);
                }
            });
        }
    });
    address
}

#[test]
fn resets_are_failures() {
    let reset = |stream: &TcpStream| socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    let before = raw(move |stream| reset(&stream));
    let amid = raw(move |mut stream| {
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\n{COOKIE}\r\nContent-Length: 38\r\n\r\nab").as_bytes())
            .unwrap();
        reset(&stream);
    });
    for address in [before, amid] {
        let gateway = gateway(OPEN, address);
        for _ in 0..3 {
            let failed = gateway.get(CONNECT_TARGET, &[]);
            failed.refusal(502, "generator_failed");
            tells_nothing("reset", &failed, address);
        }
    }
}

#[test]
fn one_that_cannot_be_reached_is_a_503() {
    let address = nobody();
    let gateway = gateway(&limited(3), address);
    let failed = gateway.get(CONNECT_TARGET, &[]);
    let body = failed.refusal(503, "generator_unreachable");
    assert_eq!(body["retry_after"].as_u64(), Some(failed.number("retry-after")));
    tells_nothing("unreachable", &failed, address);
    assert_eq!(left(&gateway), 3, "nobody is charged for it");
    let record = gateway.stop().records().remove(0);
    assert_eq!(
        (&record["generator"], &record["defect"]),
        (&NAME.into(), &"connection refused".into()),
        "{record}"
    );
}

#[test]
fn one_that_hangs_is_a_504_before_its_client_gives_up() {
    // Held open and never answered.
    let address = raw(|stream| {
        let _ = (&stream).read(&mut [0; 1]);
    });
    let java = "/webcast/fetch?client=ttlive-java&room_id=7300000000000000001".to_owned();
    let node_1 = format!("/webcast/sign_url?url={}", URL.replace(':', "%3A").replace('?', "%3F"));
    let gives_up = |target: &str, after: Duration| {
        let gateway = gateway(&limited(3), address);
        let started = Instant::now();
        let failed = gateway.get(target, &[]);
        let took = started.elapsed();
        failed.refusal(504, "generator_timeout");
        tells_nothing("hangs", &failed, address);
        assert!(took + Duration::from_millis(500) > after, "{took:?}: it had its time");
        assert!(took < after, "{took:?}: its client gives up after {after:?}");
        assert_eq!(left(&gateway), 3, "nobody is charged for it");
        let record = gateway.stop().records().remove(0);
        let told = (&record["outcome"], &record["defect"]);
        assert_eq!(told, (&"timed-out".into(), &"timed out while waiting for the head".into()), "{record}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| gives_up(&java, Duration::from_secs(3)));
        scope.spawn(|| gives_up(&node_1, Duration::from_secs(5)));
    });
}

/// Each fails in a way of its own: the record's generator is the one whose defect it names.
#[test]
fn a_defect_stands_beside_the_generator_that_has_it() {
    let page = Generator::with(|_| answer(200, &[COOKIE], b"<html>blocked</html>"));
    let broken = Generator::with(|_| answer(503, &[], b""));
    // Slow enough to be overtaken: the one that was asked last is not the one that ended it.
    let slow = Generator::with(|_| {
        std::thread::sleep(Duration::from_millis(400));
        answer(200, &[], b"no cookie comes with this")
    });
    let gateway = gateway_of(OPEN, &[page.address, broken.address, slow.address]);
    for _ in 0..6 {
        assert_eq!(gateway.get(CONNECT_TARGET, &[]).status, 502);
    }
    let defects = [("euler", "not protobuf"), ("euler-2", "server error"), ("euler-3", "no cookie")];
    for record in gateway.stop().records() {
        let (generator, defect) = (record["generator"].as_str().unwrap(), record["defect"].as_str().unwrap());
        assert!(defects.contains(&(generator, defect)), "{record} of {defects:?}");
    }
}

#[test]
fn one_that_hangs_leaves_another_its_time() {
    let hangs = raw(|stream| {
        let _ = (&stream).read(&mut [0; 1]);
    });
    let good = Generator::good();
    let gateway = gateway_of(OPEN, &[hangs, good.address]);
    let connects: Vec<_> = (0..6)
        .map(|_| {
            let address = gateway.public;
            std::thread::spawn(move || {
                let target = "/webcast/fetch?client=ttlive-java&room_id=7300000000000000001";
                let started = Instant::now();
                (crate::gateway::ask(address, "GET", target, &[], None).status, started.elapsed())
            })
        })
        .collect();
    for connect in connects {
        let (status, took) = connect.join().unwrap();
        assert_eq!(status, 200);
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn a_failure_is_mended_by_another_generator() {
    let bad = Generator::with(|_| answer(500, &[], b""));
    let good = Generator::good();
    let gateway = gateway_of(OPEN, &[bad.address, good.address]);
    for _ in 0..30 {
        assert_eq!(gateway.get(CONNECT_TARGET, &[]).status, 200);
    }
    assert_eq!(good.take_asked().len(), 30, "each got its answer here");
    let tried = bad.take_asked().len();
    assert!((1..30).contains(&tried), "{tried}: the other was drawn now and then");

    let body = r#"{"content":"hello","room_id":"7300000000000000001"}"#;
    let statuses: Vec<_> = (0..30).map(|_| gateway.post("/webcast/chat", &[], body).status).collect();
    assert_eq!(
        bad.asked().len() + good.asked().len(),
        30,
        "what was said may have been heard: it is said once"
    );
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), good.asked().len());
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), bad.asked().len());
}

#[test]
fn a_chat_that_was_certainly_not_heard_is_said_to_another() {
    let good = Generator::good();
    let gateway = gateway_of(OPEN, &[nobody(), good.address]);
    let body = r#"{"content":"hello","room_id":"7300000000000000001"}"#;
    for _ in 0..20 {
        assert_eq!(gateway.post("/webcast/chat", &[], body).status, 200);
    }
    assert_eq!(good.asked().len(), 20);
}

#[test]
fn two_bad_ones_are_asked_once_each() {
    let (one, other) =
        (Generator::with(|_| answer(500, &[], b"")), Generator::with(|_| answer(500, &[], b"")));
    let gateway = gateway_of(OPEN, &[one.address, other.address]);
    gateway.get(CONNECT_TARGET, &[]).refusal(502, "generator_failed");
    assert_eq!((one.asked().len(), other.asked().len()), (1, 1));
    let records = gateway.stop().records();
    assert_eq!(records[0]["attempts"], 2, "{}", records[0]);
}

#[test]
fn two_good_ones_share_the_load() {
    let takes_time = || {
        Generator::with(|asked| {
            std::thread::sleep(Duration::from_millis(20));
            good(asked)
        })
    };
    let (one, other) = (takes_time(), takes_time());
    let gateway = gateway_of(OPEN, &[one.address, other.address]);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..20 {
                    assert_eq!(client.get(CONNECT_TARGET, &[]).status, 200);
                }
            });
        }
    });
    let shares = (one.asked().len(), other.asked().len());
    // A hedge now and then makes it a few more.
    assert!(shares.0 + shares.1 >= 200, "{shares:?}");
    assert!(shares.0.min(shares.1) >= 40, "{shares:?}");
}

#[test]
fn one_that_drips_is_given_up_in_time() {
    // A byte now and then, for ever: neither silence nor progress.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut stream: TcpStream = stream;
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let head = format!("HTTP/1.1 200 OK\r\n{COOKIE}\r\nContent-Length: 100000\r\n\r\n");
                let mut sent = stream.write_all(head.as_bytes());
                while sent.is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                    sent = stream.write_all(b"m");
                }
            });
        }
    });
    let gateway = gateway(OPEN, address);
    let began = Instant::now();
    let target = "/webcast/fetch?client=ttlive-java&room_id=7300000000000000001";
    gateway.get(target, &[]).refusal(504, "generator_timeout");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn what_an_answer_must_have_is_set_for_all_or_one() {
    let generator = Generator::with(|_| answer(200, &[], &bytes_of(CONNECT)));
    let gateway = |config: &str| {
        let url = format!("url = \"http://{}\"", generator.address);
        Setup::new(OPEN)
            .config(&config.replace("URL", &format!("name = \"g\"\nkind = \"euler\"\n{url}")))
            .start()
    };
    for (config, status) in [
        ("[[generator]]\nURL", 502),
        ("[[generator]]\nURL\njudge = { cookie = false }", 200),
        ("[judge]\ncookie = false\n[[generator]]\nURL", 200),
        (
            "[judge]\ncookie = false\n[[generator]]\nURL\n[generator.judge]\npush-hosts = [\"*.tiktok.com\"]",
            502,
        ),
    ] {
        assert_eq!(gateway(config).get(CONNECT_TARGET, &[]).status, status, "{config}");
    }
}
