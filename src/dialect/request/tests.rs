use super::*;
use crate::base::secret::SessionHash;
use crate::dialect::spoken::{HASH_KEY, Spoken, facts};
use crate::engine::facts::{Credential, TargetClaim};

fn read(text: &str) -> Result<Request<'_>, Fault> {
    Spoken::of(text).read()
}

fn room_of(text: &str) -> Result<Option<String>, Fault> {
    read(text).map(|request| request.room().map(|room| room.to_string()))
}

const FETCH: &str = "https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Faid%3D1988%26room_id%3D";

#[test]
fn a_room_is_one_wherever_it_stands() {
    let found = Ok(Some("7300000000000000001".to_owned()));
    for text in [
        "GET /webcast/fetch?room_id=7300000000000000001",
        "GET //webcast/fetch/?room%5Fid=7300000000000000001",
        "GET /webcast/fetch?room_id=&room_id=%37300000000000000001",
        "GET /webcast/fetch?roomId=7300000000000000001&room_id=7300000000000000001",
        "GET /webcast/fetch?unique_id=name&room_id=7300000000000000001",
        "GET /webcast/rooms/7300000000000000001/connect?cursor=",
        "GET /webcast/rooms/7300000000000000001/connect?room_id=7300000000000000001&unique_id=name",
        "GET /webcast/rooms/7300000000000000001/connect/?room_id=0",
        &format!("GET /webcast/fetch/?client=gotiktok_live&uuc=1&url={FETCH}7300000000000000001"),
        &format!("GET /webcast/sign_url?client=ttlive-node&uuc=1&url={FETCH}7300000000000000001"),
        &format!("GET /webcast/sign_url?url={FETCH}7300000000000000001&room_id=7300000000000000001"),
        "POST /tiktok/sign_url\n\n{\"url\":\"https://webcast.tiktok.com/x?room_id=7300000000000000001\"}",
        "POST /webcast/sign_url/\n\n{\"url\":\"https://h.example/x\",\"room_id\":7300000000000000001}",
        "POST /webcast/sign_url\n\n{\"url\":\"https://h.example/x\",\"room\\u0049d\":\"7300000000000000001\"}",
        "POST /webcast/chat\n\n{\"content\":\"hi\",\"targetRoomId\":\"7300000000000000001\"}",
        "POST /webcast/rooms/7300000000000000001/chat\n\n{\"content\":\"hi\"}",
    ] {
        assert_eq!(room_of(text), found, "{text}");
    }
    let name = Ok(Some("@some.name".to_owned()));
    for text in [
        "GET /webcast/fetch?unique_id=Some.Name",
        "GET /webcast/room_id?uniqueId=%40some.name",
        "GET /webcast/anchors/Some.Name/room_id",
        "GET /webcast/anchors/%40some.name/connect?unique_id=some.name",
        "POST /webcast/rooms/0/chat\n\n{\"content\":\"hi\",\"targetUniqueId\":\"some.name\"}",
        "GET /webcast/sign_url?url=https://www.tiktok.com/api-live/user/room/?uniqueId=some.name",
    ] {
        assert_eq!(room_of(text), name, "{text}");
    }
}

#[test]
fn a_room_that_is_named_twice_must_be_the_same() {
    for text in [
        "GET /webcast/fetch?room_id=1&room_id=2",
        "GET /webcast/fetch?room_id=1&room%5fid=2",
        "GET /webcast/fetch?room_id=1&%72oom_id=2",
        "GET /webcast/fetch?room_id=1&ROOM_ID=2",
        "GET /webcast/fetch?room_id=1&room_id[]=2",
        "GET /webcast/fetch?unique_id=a&uniqueId=b",
        &format!("GET /webcast/fetch?room_id=1&url={FETCH}2"),
        "GET /webcast/rooms/1/connect?room_id=2",
        "GET /webcast/anchors/a/connect?unique_id=b",
        // Whether these two are one room, nobody here knows.
        "GET /webcast/anchors/a/connect?room_id=1",
        "GET /webcast/sign_url?room_id=1&url=https://h.example/?uniqueId=a",
        &format!("GET /webcast/sign_url?url={FETCH}1&room_id=2"),
        &format!("GET /webcast/sign_url?url={FETCH}1%26room_id%3D2"),
        &format!("GET /webcast/sign_url?url={FETCH}1%26room%255Fid%3D2"),
        "POST /tiktok/sign_url?room_id=1\n\n{\"url\":\"https://h.example/?room_id=2\"}",
        "POST /tiktok/sign_url\n\n{\"url\":\"https://h.example/?room_id=1\",\"room_id\":\"2\"}",
        "POST /webcast/chat?room_id=1\n\n{\"roomId\":\"2\"}",
        "POST /webcast/chat\n\n{\"roomId\":\"1\",\"targetRoomId\":2}",
        "POST /webcast/rooms/1/chat\n\n{\"roomId\":\"2\"}",
    ] {
        assert_eq!(room_of(text), Err(Fault::ConflictingRoom), "{text}");
    }
    assert_eq!(
        room_of("POST /webcast/chat\n\n{\"roomId\":\"1\",\"roomId\":\"2\"}"),
        Err(Fault::ConflictingField { name: "roomId" })
    );
    for text in [
        "GET /webcast/fetch?room_id=x",
        "GET /webcast/fetch?room_id=1%20",
        "GET /webcast/fetch?unique_id=a/b",
    ] {
        assert!(matches!(room_of(text), Err(Fault::BadRoom(_))), "{text}");
    }
}

#[test]
fn a_url_that_stands_twice_must_be_the_same() {
    let one = "https://h.example/x";
    for text in [
        format!("GET /webcast/sign_url?url={one}&url=https://h.example/y"),
        format!("GET /webcast/sign_url?url={one}&%75rl=https://h.example/y"),
        format!("GET /webcast/sign_url?url={one}&URL=https://h.example/y"),
        format!("POST /webcast/sign_url?url={one}\n\n{{\"url\":\"https://h.example/y\"}}"),
    ] {
        assert_eq!(read(&text).unwrap_err(), Fault::ConflictingUrl, "{text}");
    }
    for text in [
        format!("GET /webcast/sign_url?url={one}&url=https%3A%2F%2FH.Example%3A443%2Fx&url="),
        format!("POST /webcast/sign_url?url={one}\n\n{{\"url\":\"{one}\"}}"),
        format!("POST /webcast/sign_url?url={one}"),
    ] {
        assert_eq!(read(&text).unwrap().target().unwrap().as_str(), one, "{text}");
    }
    for text in [
        "GET /webcast/sign_url",
        "GET /webcast/sign_url?url=&client=ttlive-rust",
        "POST /tiktok/sign_url\n\n{\"method\":\"GET\"}",
        "POST /tiktok/sign_url\n\n",
    ] {
        assert_eq!(read(text).unwrap_err(), Fault::MissingUrl, "{text}");
    }
    assert_eq!(
        read("GET /webcast/sign_url?url=https://h.example/?a=1%26apiKey=x&apiKey=x").unwrap_err(),
        Fault::KeyInUrl
    );
}

#[test]
fn every_form_of_a_key() {
    let hash = KeyHash::of(b"k-1");
    for text in [
        "GET /webcast/rate_limits\nX-Api-Key: k-1",
        "GET /webcast/rate_limits?apiKey=k-1",
        "GET /webcast/rate_limits?%61pi%4Bey=k%2D1",
        "GET /webcast/rate_limits\nx-jwt-key: k-1",
        "GET /webcast/rate_limits\nAuthorization: bearer  k-1",
        "GET /webcast/rate_limits?apiKey=k-1&apiKey=\nX-Api-Key: k-1\nx-jwt-key:\nAuthorization: Bearer k-1\nX-Api-Key: k-1",
        "POST /webcast/chat\nX-Api-Key: k-1\n\n{\"apiKey\":\"k-1\"}",
    ] {
        let request = read(text).unwrap();
        assert!(
            matches!(facts(&request).credential, Credential::Presented(found) if found == hash),
            "{text}"
        );
    }
    for text in [
        "GET /webcast/rate_limits",
        "GET /webcast/sign_url?apiKey=&url=https://h.example/",
        "GET /webcast/rate_limits\nX-Api-Key: \nAuthorization: Bearer",
        "GET /webcast/rate_limits\nAuthorization: Basic azox",
        "POST /webcast/chat\n\n{\"apiKey\":\"\"}",
    ] {
        assert!(matches!(facts(&read(text).unwrap()).credential, Credential::Absent), "{text}");
    }
}

#[test]
fn two_different_keys_are_a_fault_wherever_they_stand() {
    for text in [
        "GET /webcast/rate_limits?apiKey=a&apiKey=b",
        "GET /webcast/rate_limits?apiKey=a&%61piKey=b",
        "GET /webcast/rate_limits?apiKey=a&apikey[]=b",
        "GET /webcast/rate_limits?apiKey=a\nX-Api-Key: b",
        "GET /webcast/rate_limits\nX-Api-Key: a\nX-Api-Key: b",
        "GET /webcast/rate_limits\nX-Api-Key: a\nAuthorization: Bearer b",
        "GET /webcast/rate_limits\nx-jwt-key: a\nAuthorization: Bearer b",
        "POST /webcast/chat\nX-Api-Key: a\n\n{\"apiKey\":\"b\"}",
        "POST /webcast/chat\n\n{\"apiKey\":\"b\"}",
    ] {
        assert_eq!(read(text).unwrap_err(), Fault::ConflictingKey, "{text}");
    }
    let long = |length| format!("GET /webcast/rate_limits?apiKey={}", "k".repeat(length));
    assert!(read(&long(KEY_BYTES_MAX)).is_ok());
    assert_eq!(read(&long(KEY_BYTES_MAX + 1)).unwrap_err(), Fault::KeyTooLong);
}

#[test]
fn a_session_is_found_and_hashed() {
    let hash = Some(SessionHash::of(&HASH_KEY, b"hunter2"));
    for text in [
        "GET /webcast/fetch?room_id=1&session_id=hunter2&tt_target_idc=useast1a",
        "GET /webcast/fetch?room_id=1\nx-cookie-header: ttwid=1; sessionid=hunter2; tt-target-idc=x",
        "GET /webcast/fetch?room_id=1\nx-cookie-header: sessionid=; sessionid_ss=hunter2",
        "GET /webcast/fetch?room_id=1\ncookie: a=b\ncookie: sessionid=hunter2",
        "GET /webcast/fetch?room_id=1\nX-OAuth-Token: hunter2",
        // A fixed order, whichever comes first.
        "GET /webcast/fetch?session_id=hunter2\ncookie: sessionid=other\nx-cookie-header: sessionid=another",
        "GET /webcast/fetch\ncookie: sessionid=other\nx-cookie-header: sessionid=hunter2",
        "GET /webcast/sign_url?url=https://h.example/?sessionid=hunter2",
        "POST /webcast/chat\n\n{\"content\":\"hi\",\"roomId\":\"1\",\"sessionId\":\"hunter2\"}",
    ] {
        assert_eq!(facts(&read(text).unwrap()).session, hash, "{text}");
    }
    for text in [
        "GET /webcast/fetch?room_id=1&tt_target_idc=useast1a",
        "GET /webcast/fetch?room_id=1&session_id=",
        "GET /webcast/fetch?room_id=1\nx-cookie-header: ttwid=1; sessionid=",
    ] {
        assert_eq!(facts(&read(text).unwrap()).session, None, "{text}");
    }
}

#[test]
fn the_url_of_a_post_is_not_held_against_it_before_its_body_is_read() {
    let spoken = Spoken::of("POST /tiktok/sign_url\n\n{\"url\":\"https://evil.example/x\"}");
    let mut request = spoken.read_head().unwrap();
    assert!(request.awaits_body());
    assert_eq!(facts(&request).target, TargetClaim::InBody);
    request.read_body(spoken.body).unwrap();
    assert!(!request.awaits_body());
    assert_eq!(facts(&request).target, TargetClaim::Url { host: "evil.example", path: "/x" });

    let early = Spoken::of("POST /tiktok/sign_url?url=https://evil.example/x").read_head().unwrap();
    assert_eq!(facts(&early).target, TargetClaim::Url { host: "evil.example", path: "/x" });
    let connect = read("GET /webcast/fetch?room_id=1&url=https://evil.example/x").unwrap();
    assert_eq!(facts(&connect).target, TargetClaim::Url { host: "evil.example", path: "/x" }, "Go sends one");
    assert_eq!(facts(&read("GET /webcast/fetch?room_id=1").unwrap()).target, TargetClaim::None);
}

#[test]
fn the_user_agent_names_the_library_before_the_query_does() {
    let library = |text: &str| {
        let library = read(text).unwrap().library();
        (library.name.word(), library.version.map(|version| version.to_string()))
    };
    assert_eq!(
        library("GET /webcast/fetch?client=ttlive-node\nUser-Agent: TikTokLive.py/7.0.1"),
        ("ttlive-python", Some("7.0.1".into()))
    );
    assert_eq!(
        library("GET /webcast/fetch?client=ttlive-java\nUser-Agent: Mozilla/5.0"),
        ("ttlive-java", None)
    );
    assert_eq!(library("GET /webcast/fetch?client=x"), ("ttlive-other", None));
}

#[test]
fn bounds() {
    let long = format!("GET /webcast/fetch?a={}", "x".repeat(TARGET_BYTES_MAX));
    assert_eq!(read(&long).unwrap_err().status(), 414);
    let many = |count| format!("GET /webcast/fetch?{}", "a=1&".repeat(count));
    assert!(read(&many(64)).is_ok());
    assert_eq!(read(&many(65)).unwrap_err(), Fault::TooManyParameters);
    let large = format!("POST /webcast/chat\n\n{{\"content\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    assert_eq!(read(&large).unwrap_err().status(), 413);
    let agent = format!("GET /webcast/fetch\nuser-agent: {}", "x".repeat(USER_AGENT_BYTES_MAX + 1));
    for (text, name) in [
        (agent.as_str(), "user-agent"),
        ("GET /webcast/fetch\nuser-agent: a\u{7}b", "user-agent"),
        ("GET /webcast/fetch\nx-cookie-header: a\u{7f}b", "x-cookie-header"),
    ] {
        assert_eq!(read(text).unwrap_err(), Fault::BadHeader { name });
    }
    assert_eq!(
        read("GET /webcast/fetch\nuser-agent: a\nuser-agent: b").unwrap_err(),
        Fault::ConflictingHeader { name: "user-agent" }
    );
}

#[test]
fn what_an_operation_is_about_must_be_named() {
    let missing = |text: &str| read(text).unwrap().complete();
    assert_eq!(missing("GET /webcast/fetch?client=ttlive-python"), Err(Fault::MissingRoom));
    assert_eq!(missing("GET /webcast/room_id"), Err(Fault::MissingRoom));
    assert_eq!(missing("POST /webcast/chat\n\n{\"content\":\"x\"}"), Err(Fault::MissingRoom));
    assert_eq!(missing("GET /webcast/rate_limits"), Ok(()));
    assert_eq!(missing("GET /webcast/sign_url?url=https://h.example/"), Ok(()));
    assert_eq!(missing("GET /webcast/fetch?unique_id=name"), Ok(()));
}

#[test]
fn nothing_that_prints_holds_a_secret() {
    let text = "POST /webcast/sign_url?apiKey=hunter2&session_id=hunter2\nx-cookie-header: sessionid=hunter2\n\
                x-oauth-token: hunter2\n\n{\"url\":\"https://h.example/?session_id=hunter2\",\"sessionId\":\"hunter2\"}";
    let request = read(text).unwrap();
    let mut public = String::new();
    request.write_public_target(&mut public);
    let printed = format!("{request:?} {:?} {:?} {public}", facts(&request), request.target());
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn what_a_record_shows_less_of_is_not_called_public() {
    let is_public = |text: &str| read(text).unwrap().write_public_target(&mut String::new());
    let key_like = "sg_abcdefghijklmnopq";
    assert!(is_public("GET /webcast/fetch?room_id=7300000000000000001&client=ttlive-python&device_id=d%2F1"));
    assert!(is_public("GET /webcast/fetch?unique_id=some.name"));
    assert!(!is_public(&format!("GET /webcast/fetch?unique_id={key_like}")));
    assert!(!is_public(&format!("GET /webcast/anchors/{key_like}/connect")));
    assert!(is_public(&format!("GET /webcast/fetch?room_id=7{}", "&client=x".repeat(20))), "the last one");
    assert!(!is_public("GET /webcast/sign_url?url=https://h.example/"));
}

#[test]
fn every_fault_as_its_reader_meets_it() {
    use std::fmt::Write;
    let mut all = String::new();
    for fault in [
        Fault::BadTarget,
        Fault::TargetTooLong,
        Fault::BadPath,
        Fault::UnknownPath,
        Fault::MethodNotAllowed { allow: "GET, POST" },
        Fault::TooManyParameters,
        Fault::BadEscape,
        Fault::BadText,
        Fault::BadHeader { name: "user-agent" },
        Fault::ConflictingHeader { name: "user-agent" },
        Fault::ConflictingKey,
        Fault::KeyTooLong,
        Fault::KeyInUrl,
        read("GET /webcast/fetch?room_id=x").unwrap_err(),
        Fault::ConflictingRoom,
        Fault::MissingRoom,
        read("GET /webcast/sign_url?url=http://h.example/").unwrap_err(),
        Fault::ConflictingUrl,
        Fault::MissingUrl,
        Fault::BodyTooLarge,
        Fault::BadBody,
        Fault::ConflictingField { name: "url" },
    ] {
        writeln!(all, "{} {}: {fault}", fault.status(), fault.label()).unwrap();
    }
    insta::assert_snapshot!(all);
}
