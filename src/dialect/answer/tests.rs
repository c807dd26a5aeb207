//! What goes out of a generator's answer, and the two shapes of a signed URL.

use serde_json::{Value, json};

use super::*;
use crate::dialect::example::{ANONYMOUS_COUNTER, NOW, policy, request_id, standing};

const URL: &str =
    "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus=DFSz&X-Gnarly=MnL%3D&msToken=abc%3D%3D";

fn passed(headers: &[(&str, &str)], body: Body) -> Vec<(String, String)> {
    let policy = policy();
    let standings = [standing(ANONYMOUS_COUNTER, 0, 4, Some(40_100))];
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let limits = Limits { policy: &policy, standings: &standings };
    let head = head(headers, None, body, request_id(), limits, NOW).to_map();
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let mut all: Vec<_> = head.iter().map(text).collect();
    all.sort();
    all
}

#[test]
fn only_what_is_listed_goes_out() {
    let from_generator = [
        ("Content-Type", "application/protobuf"),
        ("X-Set-TT-Cookie", "ttwid=1"),
        ("X-SET-TT-COOKIE", "ttwid=2"),
        ("x-room-id", "7300000000000000001"),
        ("X-Agent-ID", "eu-1"),
        ("X-Log-Id", "20260101"),
        ("X-Log-Code", "0"),
        ("Set-Cookie", "session=secret"),
        ("Server", "nginx"),
        ("Via", "1.1 inner"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Request-ID", "theirs"),
        ("Retry-After", "999"),
        ("RateLimit-Remaining", "999"),
        ("RateLimit", "\"theirs\";r=999"),
        ("X-RateLimit-Limit", "999"),
        ("Content-Encoding", "gzip"),
        ("Content-Length", "38"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Cache-Control", "max-age=3600"),
    ];
    let all = passed(&from_generator, Body::Decoded);
    let lines: Vec<_> = all.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    insta::assert_snapshot!("headers", lines.join("\n"));
    let encoding = ("content-encoding".to_owned(), "gzip".to_owned());
    assert!(!all.contains(&encoding));
    assert!(passed(&from_generator, Body::AsItCame).contains(&encoding));
}

#[test]
fn a_body_of_ours_has_our_type() {
    let all = passed(&[("content-type", "text/html"), ("content-encoding", "br")], Body::Json);
    assert!(all.contains(&("content-type".to_owned(), "application/json".to_owned())));
    assert!(!all.iter().any(|(name, _)| name == "content-encoding"));
}

#[test]
fn a_header_that_would_split_the_head_is_left_out() {
    let all = passed(&[("x-room-id", "7\r\nset-cookie: a=b"), ("x-log-id", "ok")], Body::AsItCame);
    assert!(!all.iter().any(|(name, _)| name == "x-room-id" || name == "set-cookie"));
    assert!(all.iter().any(|(name, _)| name == "x-log-id"));
}

fn nested() -> Value {
    json!({
        "code": 200,
        "message": "signed",
        "response": {
            "signedUrl": URL,
            "userAgent": "Mozilla/5.0",
            "browserName": "Mozilla",
            "browserVersion": "5.0",
            "tokens": {"X-Bogus": "DFSz", "X-Gnarly": "MnL=", "msToken": "abc=="},
            "requestHeaders": {"User-Agent": "Mozilla/5.0"},
            "cookies": [{"name": "ttwid", "value": "1"}],
            "unknown": {"kept": false}
        }
    })
}

fn told(signed: &SignedUrl, shape: SignedShape) -> Value {
    serde_json::from_slice(&signed.body(shape)).unwrap()
}

#[test]
fn the_nested_form_goes_out_as_it_came() {
    let signed = SignedUrl::parse(nested().to_string().as_bytes()).unwrap();
    let mut expected = nested();
    expected.as_object_mut().unwrap().remove("message");
    expected["response"].as_object_mut().unwrap().remove("unknown");
    assert_eq!(told(&signed, SignedShape::Nested), expected);
}

#[test]
fn the_nested_form_becomes_the_flat_one_and_back() {
    let signed = SignedUrl::parse(nested().to_string().as_bytes()).unwrap();
    let flat = told(&signed, SignedShape::Flat);
    assert_eq!(flat, json!({"signedUrl": URL, "User-Agent": "Mozilla/5.0", "msToken": "abc=="}));

    let back = SignedUrl::parse(flat.to_string().as_bytes()).unwrap();
    assert_eq!((&back.signed_url, &back.user_agent), (&signed.signed_url, &signed.user_agent));
    assert_eq!(back.tokens, signed.tokens, "read from the URL");
    assert_eq!(told(&back, SignedShape::Flat), flat);
}

#[test]
fn the_flat_form_tells_tokens_that_the_url_does_not_hold() {
    let flat = json!({"signedUrl": "https://a/?x=1", "User-Agent": "M", "msToken": "t", "X-Bogus": "b", "_signature": ""});
    let signed = SignedUrl::parse(flat.to_string().as_bytes()).unwrap();
    let tokens: Vec<_> = signed.tokens.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tokens, [("X-Bogus", "b"), ("msToken", "t")]);
}

#[test]
fn a_signed_url_of_an_adapter_has_its_tokens() {
    let signed = SignedUrl::new(format!("{URL}#msToken=fragment"), "M".into());
    assert_eq!(signed.tokens["msToken"], "abc==");
    assert_eq!(signed.tokens["X-Gnarly"], "MnL=");
    assert_eq!(told(&signed, SignedShape::Nested)["response"]["cookies"], json!([]));
}

#[test]
fn what_is_no_signed_url_is_told_apart() {
    let parse = |body: Value| SignedUrl::parse(body.to_string().as_bytes());
    assert!(matches!(SignedUrl::parse(b""), Err(SignedUrlError::Json(_))));
    assert!(matches!(SignedUrl::parse(b"<html>"), Err(SignedUrlError::Json(_))));
    assert!(matches!(parse(json!({"signedUrl": 7})), Err(SignedUrlError::Json(_))));
    assert!(matches!(
        parse(json!({"code": 500, "response": {"signedUrl": URL}})),
        Err(SignedUrlError::Code(_))
    ));
    for missing in [
        json!({}),
        json!({"response": {}}),
        json!({"signedUrl": ""}),
        json!({"response": {"signedUrl": null}}),
    ] {
        assert!(matches!(parse(missing.clone()), Err(SignedUrlError::Missing)), "{missing}");
    }
    // Nothing but the URL is needed, and `null` is as good as nothing.
    let sparse = json!({"response": {"signedUrl": URL, "userAgent": null, "tokens": null, "cookies": null}});
    assert_eq!(parse(sparse).unwrap().tokens.len(), 3);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(SignedUrl::parse(deep.as_bytes()), Err(SignedUrlError::Json(_))));
}

proptest::proptest! {
    #[test]
    fn no_body_makes_it_panic(body: Vec<u8>, text in "\\PC{0,80}") {
        let _ = SignedUrl::parse(&body);
        let _ = SignedUrl::parse(text.as_bytes());
        let signed = SignedUrl::new(format!("https://a/?{text}"), text.clone());
        for shape in [SignedShape::Nested, SignedShape::Flat] {
            let read = SignedUrl::parse(&signed.body(shape)).unwrap();
            proptest::prop_assert_eq!(&read.signed_url, &signed.signed_url);
            proptest::prop_assert_eq!(&read.user_agent, &signed.user_agent);
        }
    }
}
