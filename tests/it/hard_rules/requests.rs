//! Framing, sizes, paths and methods.

use std::io::{Read, Write};

use super::{CONNECT, URL, open};
use crate::gateway::{Answer, send};
use crate::generator::Generator;

/// A POST of a URL to be signed, with these header lines in the place of its framing.
fn post(framing: &str, body: &str) -> Vec<u8> {
    format!("POST /webcast/sign_url HTTP/1.1\r\nHost: a\r\n{framing}\r\n{body}").into_bytes()
}

#[test]
fn framing_that_two_could_read_in_two_ways_is_refused() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let body = format!("{{\"url\":\"{URL}\"}}");
    let (length, size) = (body.len(), format!("{:x}", body.len()));
    let chunked = format!("{size}\r\n{body}\r\n0\r\n\r\n");
    for (framing, body, label) in [
        (format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), &body, "content_length"),
        (format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), &body, "content_length"),
        (format!("Content-Length: {length}, {length}\r\n"), &body, "content_length"),
        (format!("Content-Length: +{length}\r\n"), &body, "content_length"),
        (
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            &chunked,
            "length_and_coding",
        ),
        (
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            &chunked,
            "length_and_coding",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".into(),
            &chunked,
            "transfer_encoding",
        ),
        ("Transfer-Encoding: chunked, chunked\r\n".into(), &chunked, "transfer_encoding"),
        ("Transfer-Encoding: gzip, chunked\r\n".into(), &chunked, "transfer_encoding"),
        ("Transfer-Encoding: identity\r\n".into(), &chunked, "transfer_encoding"),
        ("Transfer-Encoding: xchunked\r\n".into(), &chunked, "transfer_encoding"),
        (format!("Content-Length: {length}\n"), &body, "bare_lf"),
        (format!("Content_Length: {length}\r\n"), &body, "header_underscore"),
        (format!("X_Forwarded_For: 1.2.3.4\r\nContent-Length: {length}\r\n"), &body, "header_underscore"),
        (format!("api_key: k\r\nContent-Length: {length}\r\n"), &body, "header_underscore"),
    ] {
        let answers = gateway.raw(&post(&framing, body));
        assert_eq!(answers.len(), 1, "{framing}");
        answers[0].rejection(400, label);
        assert_eq!(generator.take_asked(), [], "{framing}");
    }
    for (framing, sent) in [
        (format!("Content-Length: {length}\r\n"), &body),
        ("Transfer-Encoding: chunked\r\n".into(), &chunked),
        ("transfer-encoding: Chunked\r\n".into(), &chunked),
    ] {
        assert_eq!(gateway.raw(&post(&framing, sent))[0].status, 200, "{framing}");
        let asked = generator.take_asked();
        assert_eq!((asked.len(), asked[0].header("transfer-encoding")), (1, None), "the framing is ours");
        assert_eq!(asked[0].header("content-length").unwrap(), asked[0].body.len().to_string());
    }
}

#[test]
fn sizes_have_limits_and_each_says_so() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let long = |length: usize| "a".repeat(length);
    let get = |target: &str, headers: &str| {
        gateway.raw(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes()).remove(0)
    };
    let fill = |length: usize| format!("{CONNECT}&x={}", long(length - CONNECT.len() - 3));
    assert_eq!(get(&fill(8192), "").status, 200);
    get(&fill(8193), "").rejection(414, "target_length");
    let around = format!("GET {CONNECT} HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n").len();
    let header = |length: usize| format!("X: {}\r\n", long(length - around));
    assert_eq!(get(CONNECT, &header(16_384)).status, 200);
    get(CONNECT, &header(16_385)).rejection(431, "head_size");
    let many = |count: usize| "X: y\r\n".repeat(count);
    assert_eq!(get(CONNECT, &many(63)).status, 200, "64 with Host");
    get(CONNECT, &many(64)).rejection(431, "header_count");
    assert_eq!(generator.take_asked().len(), 3);

    // 64 KiB of body, and a byte more: said, counted in chunks, and without end.
    let body = |length: usize| {
        let (start, end) = (format!("{{\"url\":\"{URL}\",\"x\":\""), "\"}");
        format!("{start}{}{end}", long(length - start.len() - end.len()))
    };
    let framed = |length: usize| post(&format!("Content-Length: {length}\r\n"), &body(length));
    let in_chunks = |length: usize| {
        let body = body(length);
        let (first, second) = body.split_at(1000);
        let chunks = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
        post("Transfer-Encoding: chunked\r\n", &chunks)
    };
    for bytes in [framed(65_536), in_chunks(65_536)] {
        assert_eq!(gateway.raw(&bytes)[0].status, 200);
        let asked = generator.take_asked();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].body.len() < 200, "fields that nobody knows are not sent on");
    }
    let without_end =
        post("Transfer-Encoding: chunked\r\n", &format!("8000\r\n{}\r\n", long(32_768)).repeat(5));
    for bytes in [framed(65_537), in_chunks(65_537), without_end] {
        let answers = gateway.raw(&bytes);
        assert_eq!(answers.len(), 1);
        answers[0].rejection(413, "body_size");
    }
    assert_eq!(generator.take_asked(), []);
    let records = gateway.stop().records();
    let statuses: Vec<u64> = records.iter().map(|record| record["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 414, 200, 431, 200, 431, 200, 200, 413, 413, 413]);
}

#[test]
fn a_client_that_waits_for_the_word_to_go_on_gets_it() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let body = format!("{{\"url\":\"{URL}\"}}");
    let mut stream = gateway.connect();
    let framing = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    stream.write_all(&post(&framing, "")).unwrap();
    let mut word = [0; 25];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(generator.asked(), [], "a body is read whole before a generator is asked");
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(Answer::read_one(&mut stream).status, 200);
    assert_eq!(generator.asked().len(), 1);
}

/// A request that is refused by its head does not have its body read, and what follows is no request.
#[test]
fn a_body_that_nobody_read_is_not_taken_for_a_request() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let hidden = format!("GET {CONNECT} HTTP/1.1\r\nHost: a\r\n\r\n");
    for (line, status) in [
        ("POST /restart", 404),
        ("PUT /webcast/fetch", 405),
        ("POST /webcast/sign_url?room_id=1&room_id=2", 400),
        ("POST /webcast/chat?room_id=5&apiKey=unknown", 401),
    ] {
        let request =
            format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len());
        let answers = gateway.raw(request.as_bytes());
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [status], "{line}");
        assert_eq!(generator.asked(), [], "{line}");
    }
}

#[test]
fn only_known_operations_are_forwarded() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    for path in [
        "/",
        "/restart",
        "/fetch",
        "/signature",
        "/health",
        "/metrics",
        "/healthz",
        "/readyz",
        "//restart",
        "/restart/",
        "/RESTART",
        "/%72estart",
        "/webcast",
        "/webcast/",
        "/webcast/restart",
        "/webcast/Fetch",
        "/webcast/fetch/x",
        "/webcast/rooms/5",
        "/webcast/rooms/5/restart",
        "/tiktok/fetch",
        "/accounts/me",
        "/favicon.ico",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let target = format!("{path}?room_id=5&url={}", super::URL_ESCAPED);
            gateway.ask(method, &target, &[], None).refusal(404, "unknown_path");
        }
    }
    for path in [
        "/webcast/../restart",
        "/webcast/./fetch",
        "/webcast/%2e%2e/restart",
        "/webcast/fetch/..%2f..%2frestart",
        "/webcast%2ffetch",
        "/webcast/fetch;/restart",
        "/webcast/fetch%00",
        "/..",
        "/%2e",
        "/webcast/rooms/../fetch",
    ] {
        let answer = gateway.get(&format!("{path}?room_id=5"), &[]);
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        answer.refusal(answer.status, if answer.status == 404 { "unknown_path" } else { "bad_path" });
    }
    assert_eq!(generator.take_asked(), []);
    for path in ["/webcast/fetch", "//webcast//fetch//", "/%77ebcast/fetch", "/webcast/fetch/"] {
        assert_eq!(gateway.get(&format!("{path}?room_id=5"), &[]).status, 200, "{path}");
        assert_eq!(
            generator.take_asked()[0].target,
            "/webcast/fetch?room_id=5",
            "{path}: one spelling goes on"
        );
    }
}

#[test]
fn a_known_path_with_another_method_says_which_it_takes() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    for (method, path, allow) in [
        ("POST", "/webcast/fetch", "GET"),
        ("DELETE", "/webcast/rooms/5/connect", "GET"),
        ("OPTIONS", "/webcast/rate_limits", "GET"),
        ("get", "/webcast/fetch", "GET"),
        ("PUT", "/webcast/sign_url", "GET, POST"),
        ("GET", "/tiktok/sign_url", "POST"),
        ("GET", "/webcast/chat", "POST"),
        ("TRACE", "/webcast/chat", "POST"),
    ] {
        let answer = gateway.ask(method, path, &[], None);
        answer.refusal(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    let head = send(gateway.connect(), b"HEAD /webcast/fetch HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 405 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(generator.asked(), []);
}

/// What may be signed is a list, and the URL is parsed once: what was judged is what is forwarded.
#[test]
fn only_what_the_policy_lists_is_signed() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let sign =
        |url: &str| gateway.post("/webcast/sign_url", &[], &serde_json::json!({"url": url}).to_string());
    for url in [
        "https://evil.example/webcast/im/fetch/",
        "https://webcast.tiktok.com/api/x",
        "https://webcast.tiktok.com.evil.example/webcast/x",
        "https://webcast.tiktok.com/webcast/../api/x",
        "https://webcast.tiktok.com/webcast/%2e%2e/api/x",
        "https://xwebcast.tiktok.com/webcast/x",
    ] {
        sign(url).refusal(403, "target_not_listed");
    }
    for url in [
        "http://webcast.tiktok.com/webcast/x",
        "https://webcast.tiktok.com@evil.example/webcast/x",
        "https://webcast.tiktok.com\\@evil.example/webcast/x",
        "https://webcast.tiktok.com:8443/webcast/x",
        "https://webcast.tiktok.com/webcast/x#y",
        "https://webcast.tiktok.com./webcast/x",
        "https://127.0.0.1/webcast/x",
        " https://webcast.tiktok.com/webcast/x",
        "//webcast.tiktok.com/webcast/x",
        "file:///etc/passwd",
    ] {
        sign(url).refusal(400, "bad_url");
    }
    assert_eq!(generator.take_asked(), []);
    assert_eq!(sign("HTTPS://WebCast.TikTok.com:443/webcast/a/../b/?room_id=5").status, 200);
    let body: serde_json::Value = serde_json::from_slice(&generator.take_asked()[0].body).unwrap();
    assert_eq!(body["url"], "https://webcast.tiktok.com/webcast/b/?room_id=5");
}
