use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::dialect::spoken::{HASH_KEY, Spoken, facts};
use crate::engine::facts::Facts;

/// What clients were seen to send (`contract.md` section 1), and odd spellings of the same.
const REQUESTS: [&str; 17] = [
    "GET /webcast/fetch?client=ttlive-python&room_id=7300000000000000001&user_agent=Mozilla%2F5.0%20%28X11%29&client_enter=true&platform=web&tt_target_idc=useast1a\nAccept: */*\nAccept-Encoding: gzip, deflate\nUser-Agent: TikTokLive.py/7.0.1\nX-Api-Key: k-1",
    "GET /webcast/fetch/?client=ttlive-python&room_id=7300000000000000001&session_id=hunter2&tt_target_idc=useast1a\nUser-Agent: TikTokLive.py/6.6.5",
    "GET //webcast/fetch?client=ttlive-java&uuc=1&room_id=7300000000000000001&apiKey=k-1\nUser-Agent: Mozilla/5.0",
    "GET /webcast/fetch/?room_id=&room%5Fid=7300000000000000001&unique_id=name&apiKey=&isSignRedirect=1&x;room_id=8\nUser-Agent: Mozilla/5.0",
    "GET /webcast/fetch/?client=gotiktok_live&uuc=1&url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fwebcast%2Ffetch%2F%3Faid%3D1988%26browser_version%3D5.0%2B%2528X11%2529%26room_id%3D7300000000000000001&apiKey=\nUser-Agent: Mozilla/5.0",
    "GET /webcast/rooms/7300000000000000001/connect?client=ttlive-node&cursor=&user_agent=Mozilla/5.0+(X11)&client_enter=true&platform=web\nAccept: application/protobuf,application/json\nUser-Agent: tiktok-live-connector/2.5.0 linux\nX-Api-Key: k-1\nx-cookie-header: sessionid=hunter2; tt-target-idc=useast1a\nConnection: keep-alive, x-evil\nX-Forwarded-For: 1.2.3.4",
    "GET //webcast//anchors/%40Some.Name/connect/?client=ttlive-node",
    "GET /webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Faid%3D1988%26room_id%3D7300000000000000001%26browser_name%3DMozilla&client=ttlive-node&uuc=1\nUser-Agent: node-fetch",
    "GET /webcast/sign_url/?client=ttlive-rust&uuc=1&url=HTTPS://WebCast.TikTok.com:443/webcast/a/../im/fetch?room_id=5%2526x&apiKey=",
    "GET /webcast/sign_url?client=ttlive-rust&uuc=1&url=HTTPS://WebCast.TikTok.com:443/webcast/a/../im/fetch?room_id=5&apiKey=",
    "POST /tiktok/sign_url?client=ttlive-node\nContent-Type: application/json\nUser-Agent: tiktok-live-connector/2.5.0 linux\n\n{\"url\":\"https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001\",\"method\":\"GET\",\"userAgent\":\"Mozilla/5.0\"}",
    "POST /webcast/sign_url?client=ttlive-other\n\n{\"__proto__\":{\"url\":1},\"url\":\"https://webcast.tiktok.com/webcast/im/fetch/?room_id=5\",\"userAgent\":\"Moz\\\"illa\",\"method\":\"GET\",\"type\":\"fetch\",\"sessionId\":\"hunter2\",\"ttTargetIdc\":\"x\",\"includeBrowserParams\":true}",
    "POST //tiktok/signing/encrypt/sign_url/?url=https://webcast.tiktok.com/webcast/x\nx-jwt-key: k-1\n\n{}",
    "GET /webcast/room_id/?uniqueId=Some.Name&client=ttlive-python",
    "GET /accounts/me/rate_limits?type=minute\nAuthorization: Bearer k-1",
    "POST /webcast/chat\nx-cookie-header: sessionid=hunter2\n\n{\"content\":\"two\\nlines\",\"targetRoomId\":7300000000000000001,\"targetUniqueId\":\"other\"}",
    "POST /webcast/rooms/0/chat?client=ttlive-node\nx-oauth-token: hunter2\n\n{\"content\":\"hi\",\"targetUniqueId\":\"@Some.Name\"}",
];

fn show_facts(facts: &Facts<'_>, out: &mut String) {
    let Facts { operation, credential, room, target, session, library, device, user_agent, .. } = facts;
    let credential = match credential {
        crate::engine::facts::Credential::Absent => "anonymous",
        _ => "with key",
    };
    let session = if session.is_some() { "with session" } else { "no session" };
    writeln!(out, "   {operation}, {credential}, {session}, room {room:?}, target {target:?}").unwrap();
    writeln!(
        out,
        "   {} {:?} {user_agent:?} {device:?}",
        library.name,
        library.version.map(|v| v.to_string())
    )
    .unwrap();
}

fn show_forwarded(forwarded: &Forwarded<'_>, out: &mut String) {
    writeln!(out, "=> {} {}", forwarded.method.as_str(), forwarded.target).unwrap();
    for (name, value) in forwarded.headers.as_slice() {
        writeln!(out, "   {name}: {value}").unwrap();
    }
    if let Some(body) = forwarded.body {
        writeln!(out, "   {}", std::str::from_utf8(body).unwrap()).unwrap();
    }
}

#[test]
fn every_generation_and_what_a_generator_is_sent() {
    let mut all = String::new();
    let mut scratch = Scratch::default();
    let key = Secret::new("the-generators-own");
    for text in REQUESTS {
        writeln!(all, "{text}").unwrap();
        let request = match Spoken::of(text).read() {
            Ok(request) => request,
            Err(fault) => {
                writeln!(all, "=> {} {}: {fault}\n", fault.status(), fault.label()).unwrap();
                continue;
            }
        };
        show_facts(&facts(&request), &mut all);
        show_forwarded(&request.forward(SessionMode::Pass, Some(&key), &mut scratch), &mut all);
        let mut public = String::new();
        request.write_public_target(&mut public);
        writeln!(all, "   recorded as {public}\n").unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn stripped_of_sessions_nothing_of_them_goes_on() {
    let mut scratch = Scratch::default();
    for text in REQUESTS {
        for mode in [SessionMode::Strip, SessionMode::Refuse] {
            let Ok(request) = Spoken::of(text).read() else { continue };
            let mut sent = String::new();
            show_forwarded(&request.forward(mode, None, &mut scratch), &mut sent);
            assert!(!sent.contains("hunter2"), "{sent}");
            assert!(!sent.contains("k-1"), "{sent}");
        }
    }
    let text = "GET /webcast/sign_url?url=https://h.example/?a=1%26session_id=hunter2%26room_id=5&session_id=hunter2&tt_target_idc=x\ncookie: sessionid=hunter2";
    let request = Spoken::of(text).read().unwrap();
    let target = request.forward(SessionMode::Strip, None, &mut scratch).target;
    assert_eq!(target, "/webcast/sign_url?url=https://h.example/%3Fa%3D1%26room_id%3D5");
    // A generator that speaks in other words is told the same.
    let url = |mode| request.forwarded_url(mode).unwrap();
    assert_eq!(url(SessionMode::Strip), "https://h.example/?a=1&room_id=5");
    assert_eq!(url(SessionMode::Pass), "https://h.example/?a=1&session_id=hunter2&room_id=5");
}

#[test]
fn a_query_goes_on_canonical_however_odd_it_came() {
    let mut scratch = Scratch::default();
    let mut sent = |query: &str| {
        let text = format!("GET /webcast/fetch?{query}");
        Spoken::of(&text).read().unwrap().forward(SessionMode::Strip, None, &mut scratch).target.to_owned()
    };
    for (query, target) in [
        ("a=%e4%b8%ad&b=(x)", "/webcast/fetch?a=%e4%b8%ad&b=(x)"),
        ("&&a=1&&&b=2&", "/webcast/fetch?a=1&b=2"),
        ("a&b=", "/webcast/fetch?a=&b="),
        ("a=b=c&d=e;room_id=8", "/webcast/fetch?a=b%3Dc&d=e%3Broom_id%3D8"),
        ("a=x+y%2Bz&\u{e4}=\"", "/webcast/fetch?a=x%20y%2Bz&%C3%A4=%22"),
        ("apiKey=k&a=1&session_id=s", "/webcast/fetch?a=1"),
        ("apiKey=k", "/webcast/fetch"),
        ("room_id=&%72oom_id=%37&unique_id=name&room_id[]=7", "/webcast/fetch?room_id=7&room_id%5B%5D=7"),
        ("", "/webcast/fetch"),
    ] {
        assert_eq!(sent(query), target, "{query}");
    }
    // More parameters of meaning than are kept in place: those after them are found all the same.
    for many in [1, 11, 12, 13, 40] {
        let query =
            format!("{}a=1&apiKey=k&session_id=s&unique_id=name&room_id=7", "device_id=d&".repeat(many));
        assert_eq!(sent(&query), format!("/webcast/fetch?{}a=1&room_id=7", "device_id=d&".repeat(many)));
    }
}

/// Reads what a generator would be sent, as if it had come from a client.
fn again<'f>(forwarded: &Forwarded<'f>) -> Request<'f> {
    let headers = forwarded.headers.as_slice().iter().map(|(name, value)| (*name, value.as_bytes()));
    let headers: Vec<(&'f str, &'f [u8])> = headers.collect();
    let mut request = Request::read(forwarded.method.as_str(), forwarded.target, headers, &HASH_KEY)
        .expect("what is sent reads well");
    if let Some(body) = forwarded.body {
        request.read_body(body).expect("what is sent reads well");
    }
    request
}

/// What is counted is what the generator acts on.
fn assert_same(request: &Request<'_>) {
    let (mut first, mut second) = (Scratch::default(), Scratch::default());
    let forwarded = request.forward(SessionMode::Pass, None, &mut first);
    assert!(forwarded.target.bytes().all(|byte| byte.is_ascii_graphic()), "{}", forwarded.target);
    for (_, value) in forwarded.headers.as_slice() {
        assert!(!value.contains(['\r', '\n', '\0']));
    }
    let reread = again(&forwarded);
    let (one, two) = (facts(request), facts(&reread));
    assert_eq!(one.operation, two.operation);
    assert_eq!(one.room, two.room);
    assert_eq!(one.target, two.target);
    assert_eq!(one.user_agent, two.user_agent);
    assert_eq!(one.library, two.library);
    assert_eq!(one.device, two.device);
    assert_eq!(request.route(), reread.route());
    assert_eq!(request.target(), reread.target());
    assert!(
        matches!(two.credential, crate::engine::facts::Credential::Absent),
        "the client's key goes nowhere"
    );
    // A `cookie` tells of a session but is not forwarded.
    assert!(two.session.is_none() || one.session.is_some());
    let once_more = reread.forward(SessionMode::Pass, None, &mut second);
    assert_eq!(forwarded.target, once_more.target, "what is written is canonical");
    assert_eq!(forwarded.body, once_more.body);

    let stripped = request.forward(SessionMode::Strip, None, &mut second);
    let reread = again(&stripped);
    let two = facts(&reread);
    assert_eq!((one.operation, one.room, one.target), (two.operation, two.room, two.target));
    assert_eq!(two.session, None);
}

#[test]
fn what_is_sent_says_what_was_judged() {
    for text in REQUESTS {
        if let Ok(request) = Spoken::of(text).read() {
            assert_same(&request);
        }
    }
}

#[test]
fn a_record_of_a_request_is_judged_as_the_request() {
    // Whatever is repeated, what decided has room in the record.
    let repeated = format!(
        "GET /webcast/sign_url?{}client=ttlive-node&device_id=1&device_id=2&url=https%3A%2F%2Fh.example%2F%3Froom_id%3D7",
        "client=ttlive-python&".repeat(30)
    );
    for text in REQUESTS.iter().copied().chain([&*repeated]) {
        let Ok(request) = Spoken::of(text).read() else { continue };
        let mut public = String::new();
        request.write_public_target(&mut public);
        let headers = [("user-agent", request.user_agent.as_bytes())];
        let recorded = Request::read(request.route().method().as_str(), &public, headers, &HASH_KEY).unwrap();
        let (one, two) = (facts(&request), facts(&recorded));
        assert_eq!((one.operation, one.room, one.target), (two.operation, two.room, two.target), "{public}");
        assert_eq!((one.library, one.device), (two.library, two.device), "{public}");
        assert!(
            public.matches("client=").count() <= 1 && public.matches("device_id=").count() <= 1,
            "{public}"
        );
    }
}

/// Pieces that meet each other in ways nobody writes by hand.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "room_id=",
            "room%5Fid=",
            "roomId=",
            "unique_id=",
            "uniqueId=",
            "url=",
            "%75rl=",
            "apiKey=",
            "session_id=",
            "client=",
            "device_id=",
            "tt_target_idc=",
            "&",
            "&",
            "&",
            "=",
            "%",
            "%2",
            "%41",
            "%26",
            "%3D",
            "%25",
            "+",
            "[]",
            ";",
            "7",
            "42",
            "0",
            "name",
            "@Name",
            "https://h.example/",
            "https%3A%2F%2Fh.example%2Fx%3Froom_id%3D",
            "?",
            "#",
            "\\",
            "%C3%A4",
            "ä",
            "%ff",
            "..",
            "/",
            "ttlive-node",
            "\"",
            "{",
            "}",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,6}",
        "\\PC{0,3}",
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn paths() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "/webcast/fetch",
        "//webcast/fetch/",
        "/webcast/rooms/42/connect",
        "/webcast/anchors/name/connect",
        "/webcast/sign_url",
        "/tiktok/sign_url",
        "/tiktok/signing/encrypt/sign_url",
        "/webcast/rate_limits",
        "/webcast/room_id",
        "/webcast/chat",
        "/webcast/rooms/0/chat",
        "/webcast/%66etch",
        "/webcast/../fetch",
    ])
    .prop_map(str::to_owned)
}

fn bodies() -> impl Strategy<Value = String> {
    let field = proptest::sample::select(vec![
        "url",
        "room_id",
        "roomId",
        "targetRoomId",
        "uniqueId",
        "targetUniqueId",
        "apiKey",
        "content",
        "method",
        "userAgent",
        "x",
        "sessionId",
    ]);
    let value = prop_oneof![
        Just("\"https://h.example/x?room_id=42\"".to_owned()),
        Just("\"https://h.example/x\"".to_owned()),
        Just("\"42\"".to_owned()),
        Just("42".to_owned()),
        Just("7".to_owned()),
        Just("\"name\"".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("{\"room_id\":7}".to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    proptest::collection::vec((field, value), 0..6).prop_map(|fields| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_it_panic(
        method in "GET|POST|\\PC{0,5}",
        target in "\\PC{0,60}",
        name in "user-agent|x-api-key|authorization|x-cookie-header|cookie|[a-z]{0,9}",
        value in proptest::collection::vec(any::<u8>(), 0..40),
        body in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let headers = [(name.as_str(), value.as_slice())];
        if let Ok(mut request) = Request::read(&method, &target, headers, &HASH_KEY)
            && request.read_body(&body).is_ok()
        {
            assert_same(&request);
        }
    }

    #[test]
    fn no_mixture_is_judged_as_one_thing_and_sent_as_another(
        method in "GET|POST",
        path in paths(),
        query in pieces(),
        body in bodies(),
        agent in "|TikTokLive.py/7.0.1|[ -~äü]{0,12}",
        key in "|a|b",
        cookies in "|sessionid=x; a=b|[ -~]{0,12}",
    ) {
        let target = format!("{path}?{query}");
        let headers = [
            ("User-Agent", agent.as_bytes()),
            ("X-Api-Key", key.as_bytes()),
            ("x-cookie-header", cookies.as_bytes()),
        ];
        if let Ok(mut request) = Request::read(&method, &target, headers, &HASH_KEY)
            && request.read_body(body.as_bytes()).is_ok()
        {
            assert_same(&request);
        }
    }
}
