use std::io::Write;

use super::*;
use crate::generator::wire::Method;

/// The smallest body that TikTokLive 7.0.1 and the connector 2.5.0 both accept (`contract.md` section 3).
const SMALLEST: &str = "1201633a060a0161120162521777733a2f2f3132372e302e302e313a32313030322f77735801";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn question(operation: Operation) -> Question<'static> {
    Question {
        operation,
        room: None,
        url: Some("https://webcast.tiktok.com/webcast/im/fetch/?room_id=7"),
        browser_user_agent: &|| None,
        method: Method::Get,
        target: "/",
        headers: &[],
        body: None,
    }
}

fn made(headers: &[(&'static str, &str)], body: &[u8]) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply::Made { headers, body: Bytes::copy_from_slice(body) }
}

/// Names and values.
type Headers = &'static [(&'static str, &'static str)];

const COOKIE: (&str, &str) = ("x-set-tt-cookie", "ttwid=1");

fn fault_of(operation: Operation, reply: Reply) -> Option<Fault> {
    let here = Rules { push_hosts: PushHosts::default().and_loopback(), ..Rules::default() };
    match Judge::new(here).judge(&question(operation), reply) {
        Judgement::Good(_) => None,
        Judgement::Bad(fault) => Some(fault),
        Judgement::BlamesRequest(status) => panic!("blames the request with {status}"),
    }
}

#[test]
fn the_smallest_good_connect_is_good() {
    assert_eq!(fault_of(Operation::Connect, made(&[COOKIE], &bytes(SMALLEST))), None);
}

#[test]
fn a_200_that_is_not_success_is_named() {
    let smallest = bytes(SMALLEST);
    let long = "a=".to_owned() + &"b".repeat(8 * 1024 - 1);
    assert_eq!(
        fault_of(Operation::Connect, made(&[("x-set-tt-cookie", &long)], &smallest)),
        Some(Fault::OversizedCookie)
    );
    assert_eq!(
        fault_of(Operation::Connect, made(&[("x-set-tt-cookie", &long[..8 * 1024])], &smallest)),
        None
    );
    let cases: [(Headers, &[u8], Fault); 10] = [
        (&[COOKIE], b"", Fault::EmptyBody),
        (&[], &smallest, Fault::NoCookie),
        (&[("x-set-tt-cookie", "ttwid=")], &smallest, Fault::NoCookie),
        (&[("x-set-tt-cookie", "ttwid=; Path=/; Max-Age=0")], &smallest, Fault::NoCookie),
        (&[COOKIE], b"<html>sorry</html>", Fault::NotProtobuf),
        (&[COOKIE], &smallest[..20], Fault::MessageCut),
        (&[COOKIE], &smallest[3..], Fault::NoCursor),
        (&[COOKIE], &smallest[..11], Fault::NoPushServer),
        (&[COOKIE, ("content-encoding", "br")], &smallest, Fault::UnreadableCoding),
        (&[COOKIE, ("content-encoding", "gzip")], &smallest, Fault::UnreadableCoding),
    ];
    for (headers, body, fault) in cases {
        assert_eq!(fault_of(Operation::Connect, made(headers, body)), Some(fault));
    }
    let mut elsewhere = smallest.clone();
    let host = elsewhere.windows(9).position(|part| part == b"127.0.0.1").unwrap();
    elsewhere[host..host + 9].copy_from_slice(b"x.example");
    assert_eq!(fault_of(Operation::Connect, made(&[COOKIE], &elsewhere)), Some(Fault::FallbackHost));
    let mut no_route = smallest.clone();
    no_route.drain(3..11);
    assert_eq!(fault_of(Operation::Connect, made(&[COOKIE], &no_route)), Some(Fault::NoRouteParams));
}

#[test]
fn an_answer_is_for_the_room_that_was_asked_for() {
    let here = Rules { push_hosts: PushHosts::default().and_loopback(), ..Rules::default() };
    let judge = Judge::new(here);
    let judged = |operation, asked: Option<&str>, named: &str| {
        let question = Question { room: asked.map(|room| Room::parse(room).unwrap()), ..question(operation) };
        let body = if operation == Operation::Connect { bytes(SMALLEST) } else { b"{}".to_vec() };
        match judge.judge(&question, made(&[COOKIE, ("x-room-id", named)], &body)) {
            Judgement::Good(good) => Ok(good.room),
            Judgement::Bad(fault) => Err(fault),
            Judgement::BlamesRequest(status) => panic!("{status}"),
        }
    };
    for asked in [None, Some("7"), Some("@somebody")] {
        assert_eq!(judged(Operation::Connect, asked, "7"), Ok(Some(Room::Id(7))), "{asked:?}");
        // No number: nothing that a client could use, and nothing that contradicts.
        assert_eq!(judged(Operation::Connect, asked, "unknown"), Ok(None), "{asked:?}");
    }
    assert_eq!(judged(Operation::Connect, Some("7"), "8"), Err(Fault::OtherRoom));
    assert_eq!(judged(Operation::Chat, Some("7"), "8"), Ok(None), "it was sent all the same");
}

#[test]
fn a_packed_answer_is_judged_by_what_is_in_it_and_never_unpacks_without_end() {
    let pack = |body: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(body).unwrap();
        packer.finish().unwrap()
    };
    let gzip = ("content-encoding", "gzip");
    assert_eq!(fault_of(Operation::Connect, made(&[COOKIE, gzip], &pack(&bytes(SMALLEST)))), None);
    let bomb = pack(&vec![0; 64 * 1024 * 1024]);
    assert_eq!(fault_of(Operation::Connect, made(&[COOKIE, gzip], &bomb)), Some(Fault::UnreadableCoding));
}

#[test]
fn a_signed_url_is_the_one_that_was_asked_for_and_is_signed() {
    let answer = |url: &str| format!(r#"{{"code":200,"response":{{"signedUrl":"{url}"}}}}"#);
    let judge = |body: &str| fault_of(Operation::SignUrl, made(&[], body.as_bytes()));
    let good = "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus=DFSzswVLkKxANGP5CtmFF2lUrn1a&msToken=x";
    assert_eq!(judge(&answer(good)), None);
    for (body, fault) in [
        (answer("https://webcast.tiktok.com/webcast/im/fetch/?room_id=7"), Fault::Unsigned),
        (answer("https://webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus="), Fault::Unsigned),
        (
            answer("https://webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus=abc"),
            Fault::ImplausibleSignature,
        ),
        (answer("https://evil.example/webcast/im/fetch/?X-Bogus=abc"), Fault::OtherUrl),
        (answer("https://webcast.tiktok.com/webcast/other/?X-Bogus=abc"), Fault::OtherUrl),
        (answer("https://webcast.tiktok.com/webcast/im/fetch/?room_id=8&X-Bogus=abc"), Fault::OtherUrl),
        (answer("not a url"), Fault::NoSignedUrl),
        (answer(""), Fault::NoSignedUrl),
        (r#"{"code":403,"message":"premium"}"#.into(), Fault::FailureCode),
        (
            format!(r#"{{"code":200,"response":{{"signedUrl":"{good}","tokens":{{"X-Bogus":"x"}}}}}}"#),
            Fault::OtherTokens,
        ),
        (format!(r#"[200,{{"signedUrl":"{good}"}}]"#), Fault::NotJson),
        ("<html>".into(), Fault::NotJson),
    ] {
        assert_eq!(judge(&body), Some(fault), "{body}");
    }
}

#[test]
fn a_signed_url_says_for_which_user_agent_it_is() {
    let asked = Question { browser_user_agent: &|| Some("asked".into()), ..question(Operation::SignUrl) };
    let url = "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus=DFSzswVLkKxANGP5CtmFF2lUrn1a";
    for (told, user_agent) in [
        (serde_json::json!("its own"), "its own"),
        (serde_json::json!(null), "asked"),
        (serde_json::json!(""), "asked"),
        (serde_json::json!("Mozilla\r\nX: y"), "asked"),
        (serde_json::json!("m".repeat(100_000)), "asked"),
    ] {
        let body = serde_json::json!({"response": {"signedUrl": url, "userAgent": told}}).to_string();
        let Judgement::Good(good) = Judge::default().judge(&asked, made(&[], body.as_bytes())) else {
            panic!("{told}")
        };
        assert_eq!(good.signed.unwrap().user_agent, user_agent);
    }
}

#[test]
fn other_answers_are_json_that_does_not_say_it_failed() {
    let judge = |body: &str| fault_of(Operation::RoomId, made(&[], body.as_bytes()));
    assert_eq!(judge(r#"{"code":200,"room_id":"7"}"#), None);
    assert_eq!(judge(r#"{"code":"200","room_id":7}"#), None);
    assert_eq!(judge(r#"{"code":500}"#), Some(Fault::FailureCode));
    assert_eq!(judge(r#"{"code":"500"}"#), Some(Fault::FailureCode));
    let cut_in_a_character = b"{\"title\":\"caf\xc3\"}";
    assert_eq!(fault_of(Operation::RoomId, made(&[], cut_in_a_character)), Some(Fault::NotJson));
    for body in ["[]", "[null]", "[200]", "", "null", "\"ok\""] {
        assert_eq!(
            judge(body),
            Some(if body.is_empty() { Fault::EmptyBody } else { Fault::NotJson }),
            "{body}"
        );
    }
}

#[test]
fn each_demand_can_be_dropped_and_each_generator_has_its_own() {
    let smallest = bytes(SMALLEST);
    let judged = |rules: Rules, headers: Headers, body: &[u8]| {
        matches!(
            Judge::new(rules).judge(&question(Operation::Connect), made(headers, body)),
            Judgement::Good(_)
        )
    };
    let here = || Rules { push_hosts: PushHosts::default().and_loopback(), ..Rules::default() };
    assert!(judged(here(), &[COOKIE], &smallest));
    assert!(!judged(Rules::default(), &[COOKIE], &smallest), "this machine is none of the platform's");
    assert!(!judged(here(), &[], &smallest));
    assert!(judged(Rules { cookie: false, ..here() }, &[], &smallest));
    let mut no_route = smallest.clone();
    no_route.drain(3..11);
    assert!(judged(Rules { route_params: false, ..here() }, &[COOKIE], &no_route));
    let every = PushHosts::of(HostPattern::parse("*"));
    assert!(judged(Rules { push_hosts: every, ..here() }, &[COOKIE], &smallest));
}

#[test]
fn a_stub_is_too_small_for_a_generator_that_answers_at_length() {
    let judge = Judge::new(Rules { push_hosts: PushHosts::default().and_loopback(), ..Rules::default() });
    let smallest = bytes(SMALLEST);
    let mut long = smallest.clone();
    // One message of 43,000 bytes.
    long.extend_from_slice(&[0x0a, 0xf8, 0xcf, 0x02]);
    long.resize(long.len() + 43_000, b'm');
    let question = question(Operation::Connect);
    let mut now = Instant::now();
    for _ in 0..100 {
        now += std::time::Duration::from_millis(250);
        judge.keep_time(now);
        assert!(matches!(judge.judge(&question, made(&[COOKIE], &long)), Judgement::Good(_)));
    }
    assert_eq!(judge.usual_bytes(Operation::Connect), Some(long.len() as u32));
    let found = judge.judge(&question, made(&[COOKIE], &smallest));
    assert!(matches!(found, Judgement::Bad(Fault::TooSmall)), "{found:?}");
}
