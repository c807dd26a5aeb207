//! The room that is counted is the room that the generator acts on: what is said twice says the same, or nothing is done.

use super::{CONNECT, URL, URL_ESCAPED, open};
use crate::gateway::{OPEN, Setup};
use crate::generator::Generator;

#[test]
fn a_second_key_that_disagrees_is_refused() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let cases: [(&str, &[&str]); 9] = [
        ("", &["X-Api-Key: a", "X-Api-Key: b"]),
        ("", &["X-Api-Key: a", "x-jwt-key: b"]),
        ("", &["X-Api-Key: a", "Authorization: Bearer b"]),
        ("&apiKey=b", &["X-Api-Key: a"]),
        ("&apiKey=a&apiKey=b", &[]),
        ("&apiKey=a&%61piKey=b", &[]),
        ("&apiKey=a&api_key=b", &[]),
        ("&apiKey=a&apiKey[]=b", &[]),
        ("&apiKey=a&API%4Bey=b", &[]),
    ];
    for (query, headers) in cases {
        gateway.get(&format!("{CONNECT}{query}"), headers).refusal(400, "conflicting_key");
    }
    let post = |headers: &[&str], body: &str| gateway.post("/webcast/sign_url", headers, body);
    post(&[], &format!("{{\"url\":\"{URL}\",\"apiKey\":\"b\"}}")).refusal(400, "conflicting_key");
    gateway
        .get(&format!("/webcast/sign_url?url={URL_ESCAPED}%26apiKey%3Db"), &["X-Api-Key: b"])
        .refusal(400, "key_in_url");
    assert_eq!(generator.asked(), []);
}

#[test]
fn a_second_room_that_disagrees_is_refused() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    for target in [
        "/webcast/fetch?room_id=5&room_id=6".to_owned(),
        "/webcast/fetch?room_id=5&%72oom_id=6".into(),
        "/webcast/fetch?room_id=5&room%5fid=6".into(),
        "/webcast/fetch?room_id=5&roomId=6".into(),
        "/webcast/fetch?room_id=5&ROOM_ID=6".into(),
        "/webcast/fetch?room_id=5&room-id=6".into(),
        "/webcast/fetch?room_id=5&room_id[]=6".into(),
        "/webcast/fetch?room_id=5&room_id%5B0%5D=6".into(),
        "/webcast/fetch?unique_id=a&uniqueId=b".into(),
        "/webcast/rooms/5/connect?room_id=6".into(),
        "/webcast/rooms/5/connect?room%5Fid=6".into(),
        "/webcast/anchors/a/connect?unique_id=b".into(),
        "/webcast/anchors/a/connect?room_id=6".into(),
        format!("/webcast/sign_url?url={URL_ESCAPED}&room_id=6"),
        format!("/webcast/sign_url?url={URL_ESCAPED}%26room_id%3D6"),
        format!("/webcast/sign_url?url={URL_ESCAPED}%26room%255Fid%3D6"),
        format!("/webcast/fetch?room_id=6&url={URL_ESCAPED}"),
    ] {
        gateway.get(&target, &[]).refusal(400, "conflicting_room");
    }
    for (target, more) in [
        ("/webcast/sign_url", "\"room_id\":6"),
        ("/webcast/sign_url", "\"roomId\":\"6\""),
        ("/webcast/sign_url", "\"\\u0072oom_id\":\"6\""),
        ("/webcast/sign_url?room_id=6", "\"x\":1"),
        ("/tiktok/sign_url?%72oomId=6", "\"x\":1"),
    ] {
        let body = format!("{{\"url\":\"{URL}\",{more}}}");
        gateway.post(target, &[], &body).refusal(400, "conflicting_room");
    }
    let body = "{\"room_id\":5,\"room_id\":6,\"content\":\"hi\"}";
    gateway.post("/webcast/chat", &[], body).refusal(400, "conflicting_field");
    gateway
        .post("/webcast/rooms/5/chat", &[], "{\"room_id\":6,\"content\":\"hi\"}")
        .refusal(400, "conflicting_room");
    assert_eq!(generator.asked(), []);
}

#[test]
fn a_second_url_that_disagrees_is_refused() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let other = "https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fother%2F%3Froom_id%3D5";
    for query in [
        format!("url={URL_ESCAPED}&url={other}"),
        format!("url={URL_ESCAPED}&%75rl={other}"),
        format!("url={URL_ESCAPED}&URL={other}"),
        format!("url={URL_ESCAPED}&url%5B%5D={other}"),
    ] {
        gateway.get(&format!("/webcast/sign_url?{query}"), &[]).refusal(400, "conflicting_url");
    }
    let body = format!("{{\"url\":\"{URL}\"}}");
    gateway.post(&format!("/webcast/sign_url?url={other}"), &[], &body).refusal(400, "conflicting_url");
    let twice = format!("{{\"url\":\"{URL}\",\"url\":\"{URL}&x=1\"}}");
    gateway.post("/webcast/sign_url", &[], &twice).refusal(400, "conflicting_field");
    let inside = format!("/webcast/sign_url?url={URL_ESCAPED}%26url%3Dhttps%253A%252F%252Fevil.example");
    gateway.get(&inside, &[]).refusal(400, "bad_url");
    assert_eq!(generator.asked(), []);
}

#[test]
fn what_is_said_twice_and_agrees_goes_on_once() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    for target in [
        "/webcast/fetch?room_id=5&room_id=5".to_owned(),
        "/webcast/fetch?room_id=5&room%5fid=5&roomId=05".into(),
        "/webcast/rooms/5/connect?room_id=5".into(),
        format!("/webcast/sign_url?url={URL_ESCAPED}&room_id=5&url={URL_ESCAPED}"),
    ] {
        let answer = gateway.get(&target, &[]);
        // A number with a leading zero is no room: two readers might read two.
        if target.contains("=05") {
            answer.refusal(400, "bad_room");
            continue;
        }
        assert_eq!(answer.status, 200, "{target}");
        let asked = generator.take_asked();
        assert_eq!(asked.len(), 1, "{target}");
        let decoded =
            percent_encoding::percent_decode_str(&asked[0].target).decode_utf8().unwrap().into_owned();
        assert!(!decoded.contains('6') && decoded.contains('5'), "{decoded}");
        assert!(decoded.matches("url=").count() <= 1, "{decoded}");
    }
    let records = gateway.stop().records();
    assert!(
        records.iter().filter(|record| record["status"] == 200).all(|record| record["room"] == "5"),
        "{records:?}"
    );
}

/// A limit on a room holds wherever the room stands.
#[test]
fn the_room_that_is_counted_is_the_one_that_is_asked_for() {
    let generator = Generator::good();
    let policy = format!("{OPEN}\n[[quota]]\nname = \"room\"\nscope = \"room\"\nlimits = {{ minute = 1 }}\n");
    let get = ["/webcast/fetch?room_id=5", "/webcast/rooms/5/connect", "/webcast/fetch/?x=1&%72oomId=5"];
    let body = format!("{{\"url\":\"{URL}\"}}");
    for first in get {
        let gateway = Setup::new(&policy).generator(generator.address).start();
        assert_eq!(gateway.get(first, &[]).status, 200, "{first}");
        for again in get {
            gateway.get(again, &[]).refusal(429, "rate_limit_room_id_minute");
        }
        let in_url = format!("/webcast/sign_url?url={URL_ESCAPED}");
        gateway.get(&in_url, &[]).refusal(429, "rate_limit_room_id_minute");
        gateway.post("/webcast/sign_url", &[], &body).refusal(429, "rate_limit_room_id_minute");
        assert_eq!(gateway.get("/webcast/fetch?room_id=6", &[]).status, 200);
    }
}
