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
    let room = Some(Room::Id(7_300_000_000_000_000_001));
    let head = head(headers, None, room, body, request_id(), limits, NOW).to_map();
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
        ("x-room-id", "as the judge has read it"),
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
    let all = passed(&[("x-log-code", "7\r\nset-cookie: a=b"), ("x-log-id", "ok")], Body::AsItCame);
    assert!(!all.iter().any(|(name, _)| name == "x-log-code" || name == "set-cookie"));
    assert!(all.iter().any(|(name, _)| name == "x-log-id"));
}

#[test]
fn a_value_that_clients_have_no_room_for_is_left_out() {
    let long = "l".repeat(1025);
    let all =
        passed(&[("x-log-id", &long), ("x-log-code", &long[1..]), ("x-set-tt-cookie", &long)], Body::Decoded);
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert!(!names.contains(&"x-log-id"));
    assert!(names.contains(&"x-log-code") && names.contains(&"x-set-tt-cookie"));
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
fn what_no_client_needs_may_be_of_any_type() {
    let parse = |field: &str, value: &Value| {
        let mut body = nested();
        body["response"][field] = value.clone();
        SignedUrl::parse(body.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{field} {value}: {error}"))
    };
    let cookie = |name: &str, value: &str| {
        Cookie::from([("name".into(), name.into()), ("value".into(), value.into())])
    };
    let both = [cookie("ttwid", "1"), cookie("odin", "a=b")];
    for two in [
        json!([{"name": "ttwid", "value": "1"}, {"name": "odin", "value": "a=b"}]),
        json!([{"name": "ttwid", "value": 1, "httpOnly": true, "session": null}, {"name": "odin", "value": "a=b"}, {}, 7]),
        json!(["ttwid=1; Path=/; Secure", "odin=a=b", "odd", "=odd"]),
        json!("ttwid=1; odin=a=b;"),
    ] {
        assert_eq!(parse("cookies", &two).cookies, both, "{two}");
    }
    assert_eq!(parse("cookies", &json!({"odin": "a=b", "ttwid": 1, "odd": {}})).cookies.len(), 2);
    assert_eq!(parse("cookies", &json!({"name": "ttwid", "value": "1"})).cookies, both[..1]);
    for none in [json!(null), json!(7), json!(true), json!([])] {
        assert_eq!(parse("cookies", &none).cookies, [] as [Cookie; 0]);
        assert_eq!(parse("tokens", &none).tokens.len(), 3, "as the URL tells them");
        assert_eq!(parse("requestHeaders", &none).request_headers.len(), 0);
        assert_eq!(parse("userAgent", &none).user_agent, "");
    }
    let tokens = parse("tokens", &json!({"X-Bogus": "DFSz", "verifyFp": null, "n": 1, "other": "o"})).tokens;
    assert_eq!(tokens.keys().collect::<Vec<_>>(), ["X-Bogus", "X-Gnarly", "msToken", "other"]);
    let headers = parse("requestHeaders", &json!({"X-Number": 1, "X-List": []})).request_headers;
    assert_eq!((headers.len(), headers["X-Number"].as_str()), (1, "1"));
    assert_eq!(parse("browserVersion", &json!(5.1)).browser_version.as_deref(), Some("5.1"));
    assert_eq!(parse("browserName", &json!(["Mozilla"])).browser_name, None);
    for code in [json!("200"), json!(null), json!(200.0), json!([])] {
        let mut body = nested();
        body["code"] = code;
        assert!(SignedUrl::parse(body.to_string().as_bytes()).is_ok(), "{body}");
    }
}

/// A mebibyte of them would become hundreds.
#[test]
fn so_many_cookies_are_taken() {
    let url = "https://webcast.tiktok.com/webcast/im/fetch/?X-Bogus=DFSzswVLkKxANGP5CtmFF2lUrn1a";
    let many: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("a{n}"), "b".into())).collect();
    for cookies in ["a=b;".repeat(1_000).into(), vec!["a=b"; 1_000].into(), many.into()] {
        let cookies: Value = cookies;
        let body = json!({"response": {"signedUrl": url, "cookies": cookies}});
        let signed = SignedUrl::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(signed.cookies.len(), 128);
    }
}

#[test]
fn tokens_beside_a_url_are_those_of_the_url() {
    let parse = |url: &str, tokens: Value| {
        let body = json!({"code": 200, "response": {"signedUrl": url, "tokens": tokens}});
        SignedUrl::parse(body.to_string().as_bytes())
    };
    for other in [json!({"X-Bogus": "other"}), json!({"X-Gnarly": "MnL"})] {
        assert!(matches!(parse(URL, other.clone()), Err(SignedUrlError::OtherTokens)), "{other}");
    }
    // Escaped as it stands in the URL it is the same.
    assert!(parse(URL, json!({"X-Gnarly": "MnL%3D", "X-Bogus": ""})).is_ok());
    // One of a session may have been renewed since: what stands in the URL counts.
    assert_eq!(parse(URL, json!({"msToken": "next"})).unwrap().tokens["msToken"], "abc==");
    // Of a URL that came signed and was signed again, one is enough.
    let twice = format!("{URL}&X-Bogus=DFSy");
    for one in ["DFSz", "DFSy"] {
        assert_eq!(parse(&twice, json!({"X-Bogus": one})).unwrap().tokens["X-Bogus"], one);
    }
}

#[test]
fn what_is_no_signed_url_is_told_apart() {
    let parse = |body: Value| SignedUrl::parse(body.to_string().as_bytes());
    assert!(matches!(SignedUrl::parse(b""), Err(SignedUrlError::Json(_))));
    assert!(matches!(SignedUrl::parse(b"<html>"), Err(SignedUrlError::Json(_))));
    for code in [json!(500), json!("500"), json!("error"), json!(0)] {
        let failed = json!({"code": code, "response": {"signedUrl": URL}});
        assert!(matches!(parse(failed), Err(SignedUrlError::Code(_))), "{code}");
    }
    // A derived struct would read these by their order.
    for list in [
        json!([200, {"signedUrl": URL}]),
        json!([200, {"signedUrl": URL}, null, null, null, null, null, null, null]),
        json!({"code": 200, "response": [URL, "M", null, null, {}, {}, []]}),
        json!({"code": 200, "response": URL}),
    ] {
        assert!(matches!(parse(list.clone()), Err(SignedUrlError::Json(_))), "{list}");
    }
    for missing in [
        json!({}),
        json!({"response": {}}),
        json!({"signedUrl": ""}),
        json!({"signedUrl": 7}),
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
