//! Which headers go through, in either direction.

use std::collections::BTreeSet;

use super::{CONNECT, URL};
use crate::gateway::{OPEN, Setup};
use crate::generator::{Asked, CONNECT as CONNECT_ANSWER, Generator, answer, bytes_of};

/// A policy that admits everybody and has something to say of limits.
fn limited() -> String {
    format!("{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = {{ minute = 50 }}\n")
}

/// One generator with a key of its own.
fn with_key(generator: &Generator) -> Setup {
    let config = format!(
        "[[generator]]\nname = \"main\"\nalias = \"signer-1\"\nkind = \"euler\"\nurl = \"http://{}\"\nkey-file = \"main.key\"\n",
        generator.address
    );
    Setup::new(&limited()).config(&config).file("main.key", "the-generators-own-key\n")
}

fn names(asked: &Asked) -> BTreeSet<&str> {
    asked.headers.iter().map(|(name, _)| name.as_str()).collect()
}

/// What a client may send along, and no generator may see.
const FROM_THE_CLIENT: [&str; 26] = [
    "X-Forwarded-For: 203.0.113.7",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Proto: https",
    "X-Real-IP: 203.0.113.7",
    "Forwarded: for=203.0.113.7",
    "Via: 1.1 somebody",
    "CF-Connecting-IP: 203.0.113.7",
    "True-Client-IP: 203.0.113.7",
    "Cookie: a=hunter2",
    "Authorization: Basic aHVudGVyMg==",
    "Proxy-Authorization: Basic aHVudGVyMg==",
    "X-Custom: hunter2",
    "X-Request-ID: hunter2",
    "Range: bytes=0-1",
    "If-None-Match: \"x\"",
    "Referer: https://evil.example/",
    "Origin: https://evil.example",
    "TE: trailers",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "X-HTTP-Method-Override: DELETE",
    "X-Original-URL: /restart",
    "X-Rewrite-URL: /restart",
    "Content-Encoding: gzip",
    "Accept-Encoding: gzip, br",
    "Max-Forwards: 1",
];

#[test]
fn a_generator_sees_a_list_of_headers_and_its_own_key() {
    let generator = Generator::good();
    let gateway = with_key(&generator).start();
    let mut headers = vec!["User-Agent: TikTokLive.py/7.0.1", "Accept: application/protobuf"];
    headers.extend(FROM_THE_CLIENT);
    assert_eq!(gateway.get(CONNECT, &headers).status, 200);
    let asked = generator.take_asked().remove(0);
    let expected = ["host", "accept-encoding", "user-agent", "accept", "x-api-key"];
    assert_eq!(names(&asked), BTreeSet::from(expected), "{asked:?}");
    assert_eq!(asked.headers.len(), expected.len(), "each once");
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert_eq!(asked.header("x-api-key"), Some("the-generators-own-key"));
    assert_eq!(asked.header("host").unwrap(), generator.address.to_string());
    assert_eq!(asked.header("user-agent"), Some("TikTokLive.py/7.0.1"));

    let answer =
        gateway.post("/webcast/sign_url", &headers, &format!("{{\"url\":\"{URL}\",\"x\":\"hunter2\"}}"));
    assert_eq!(answer.status, 200);
    let asked = generator.take_asked().remove(0);
    let of_a_body = ["content-type", "content-length"];
    assert_eq!(names(&asked), expected.into_iter().chain(of_a_body).collect(), "{asked:?}");
    assert!(!format!("{asked:?} {}", String::from_utf8_lossy(&asked.body)).contains("hunter2"));
}

/// Its key comes in any form, is known to the gateway, and stays there.
#[test]
fn the_clients_key_is_never_forwarded() {
    let generator = Generator::good();
    let key = "sg_the-clients-own-key";
    let hash = signgate::base::secret::KeyHash::of(key.as_bytes());
    let policy = format!("[[key]]\nid = \"k_1\"\nhash = \"{hash}\"\naccount = \"overlay-suite\"\n");
    for (setup, own) in [
        (with_key(&generator), Some("the-generators-own-key")),
        (Setup::new(OPEN).generator(generator.address), None),
    ] {
        let gateway = setup.policy("20-keys.toml", &policy).start();
        for header in
            [format!("X-Api-Key: {key}"), format!("x-jwt-key: {key}"), format!("Authorization: Bearer {key}")]
        {
            assert_eq!(gateway.get(CONNECT, &[&header]).status, 200, "{header}");
        }
        assert_eq!(gateway.get(&format!("{CONNECT}&apiKey={key}"), &[]).status, 200);
        assert_eq!(gateway.get(&format!("{CONNECT}&%61pi_key={key}&x=1"), &[]).status, 200);
        let body = format!("{{\"url\":\"{URL}\",\"apiKey\":\"{key}\"}}");
        let with_body = gateway.post("/webcast/sign_url", &[&format!("X-Api-Key: {key}")], &body);
        assert_eq!(with_body.status, 200);
        for asked in generator.take_asked() {
            let all = format!("{asked:?} {}", String::from_utf8_lossy(&asked.body));
            assert!(!all.contains("clients-own"), "{all}");
            assert_eq!(asked.header("x-api-key"), own);
        }
        let stopped = gateway.stop();
        assert!(
            !stopped.record.contains("clients-own") && !stopped.said.contains("own-key"),
            "{}",
            stopped.record
        );
        assert!(!stopped.record.contains("generators-own"));
        assert!(stopped.records().iter().all(|record| record["key"]["id"] == "k_1"), "{}", stopped.record);
    }
}

/// What a generator may say of itself, and no client may see.
const FROM_THE_GENERATOR: [&str; 24] = [
    "Set-Cookie: sid=hunter2",
    "Server: generator/1.0",
    "Via: 1.1 generator",
    "X-Powered-By: Express",
    "X-Request-ID: the-generators-own",
    "RateLimit-Limit: 7777",
    "RateLimit-Remaining: 7777",
    "RateLimit-Reset: 7777",
    "RateLimit: \"x\";r=7777",
    "RateLimit-Policy: \"x\";q=7777",
    "X-RateLimit-Limit: 7777",
    "X-RateLimit-Remaining: 7777",
    "X-RateLimit-Reset: 7777",
    "Retry-After: 7777",
    "X-Forwarded-For: 10.7.7.7",
    "X-Upstream: 10.7.7.7",
    "Location: http://10.7.7.7/",
    "Alt-Svc: h3=\":443\"",
    "Cache-Control: public, max-age=600",
    "Age: 7777",
    "ETag: \"7777\"",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT",
    "WWW-Authenticate: Basic realm=\"generator\"",
    "Access-Control-Allow-Origin: *",
];

#[test]
fn a_client_sees_a_list_of_headers_and_our_own_limits() {
    let generator = Generator::with(|asked| {
        let mut headers = FROM_THE_GENERATOR.to_vec();
        headers.extend(["X-Set-TT-Cookie: ttwid=1", "X-Room-Id: 7300000000000000001", "X-Log-Id: log-1"]);
        let body = if asked.target.contains("404") { Vec::new() } else { bytes_of(CONNECT_ANSWER) };
        answer(if asked.target.contains("404") { 404 } else { 200 }, &headers, &body)
    });
    let gateway = with_key(&generator).start();
    let good = gateway.get(CONNECT, &[]);
    assert_eq!((good.status, good.body.as_slice()), (200, bytes_of(CONNECT_ANSWER).as_slice()));
    let ours = ["connection", "content-length", "date", "cache-control", "x-request-id", "x-agent-id"];
    let limits = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "ratelimit-remaining",
        "ratelimit-reset",
        "ratelimit-policy",
        "ratelimit",
    ];
    let passed = ["x-set-tt-cookie", "x-room-id", "x-log-id"];
    let expected: BTreeSet<&str> = ours.into_iter().chain(limits).chain(passed).collect();
    let names: BTreeSet<&str> = good.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected, "{good:?}");
    assert_eq!(good.headers.len(), expected.len(), "each once");
    assert_eq!(good.header("x-agent-id"), Some("signer-1"));
    assert_eq!(good.number("x-ratelimit-limit"), 50);
    assert_eq!(good.number("x-ratelimit-remaining"), 49);
    assert_eq!(good.header("cache-control"), Some("no-store"));
    let id = good.header("x-request-id").unwrap().to_owned();

    // Neither where the generator refuses.
    let refused = gateway.get("/webcast/fetch?room_id=404", &[]);
    refused.refusal(404, "not_found");
    for answer in [&good, &refused] {
        let all = format!("{:?}", answer.headers);
        for word in ["hunter2", "generator", "Express", "7777", "10.7.7.7", "h3=", "1970"] {
            assert!(!all.contains(word), "{word}: {all}");
        }
    }
    let records = gateway.stop().records();
    assert_eq!(records[0]["request_id"], id.as_str());
}
