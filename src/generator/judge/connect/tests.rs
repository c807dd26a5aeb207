use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::*;

/// The whole message, as a decoder reads it.
#[derive(Clone, PartialEq, Message)]
struct Whole {
    #[prost(bytes = "vec", repeated, tag = "1")]
    messages: Vec<Vec<u8>>,
    #[prost(string, tag = "2")]
    cursor: String,
    #[prost(int64, tag = "3")]
    fetch_interval: i64,
    #[prost(int64, tag = "4")]
    now: i64,
    #[prost(string, tag = "5")]
    internal_ext: String,
    #[prost(int32, tag = "6")]
    fetch_type: i32,
    #[prost(btree_map = "string, string", tag = "7")]
    route_params: BTreeMap<String, String>,
    #[prost(int64, tag = "8")]
    heartbeat_duration: i64,
    #[prost(bool, tag = "9")]
    need_ack: bool,
    #[prost(string, tag = "10")]
    push_server: String,
    #[prost(bool, tag = "11")]
    is_first: bool,
}

fn whole(cursor: &str, push_server: &str, messages: Vec<Vec<u8>>, route: bool) -> Whole {
    Whole {
        messages,
        cursor: cursor.into(),
        fetch_interval: 1_000,
        now: -1,
        internal_ext: "internal_src:dim".into(),
        fetch_type: 1,
        route_params: if route { [("imprp".into(), "x".into())].into() } else { BTreeMap::new() },
        heartbeat_duration: 10_000,
        need_ack: false,
        push_server: push_server.into(),
        is_first: true,
    }
}

/// What ours takes, prost takes, and both read the same.
fn compare(body: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(ours) = read(body) {
        let theirs = Whole::decode(body).map_err(|why| TestCaseError::fail(format!("{why}: {body:02x?}")))?;
        prop_assert_eq!(ours.cursor, theirs.cursor);
        prop_assert_eq!(ours.push_server, theirs.push_server);
        let is_named = theirs.route_params.keys().any(|name| !name.is_empty());
        prop_assert_eq!(ours.has_route_params, is_named);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_encoded_is_read(
        cursor in "\\PC{0,20}",
        push in "\\PC{0,20}",
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        route in any::<bool>(),
    ) {
        let body = whole(&cursor, &push, messages, route).encode_to_vec();
        let fields = read(&body).unwrap();
        prop_assert_eq!((fields.cursor, fields.push_server, fields.has_route_params), (cursor.as_str(), push.as_str(), route));
    }

    #[test]
    fn what_is_damaged_is_read_as_a_decoder_reads_it_or_not_at_all(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let mut body = whole("c", "wss://h.tiktok.com/", vec![vec![7; 40], vec![]], true).encode_to_vec();
        let place = at.index(body.len());
        body[place] = byte;
        compare(&body)?;
        body.truncate(end.index(body.len() + 1));
        compare(&body)?;
    }

    #[test]
    fn any_bytes_are_read_as_a_decoder_reads_them_or_not_at_all(body in prop::collection::vec(any::<u8>(), 0..64)) {
        compare(&body)?;
    }
}

#[test]
fn one_that_is_cut_is_told_from_what_is_none() {
    let body = whole("c", "wss://h.tiktok.com/", vec![vec![7; 400]], true).encode_to_vec();
    assert_eq!(read(&body[..300]), Err(Fault::NotProtobuf), "cut in its first field it might be anything");
    let mut turned = body[403..].to_vec();
    turned.extend_from_slice(&body[..403]);
    assert!(read(&turned).is_ok());
    for cut in 1..403 {
        let found = read(&turned[..turned.len() - cut]);
        assert!(matches!(found, Err(Fault::MessageCut) | Ok(_)), "{cut}: {found:?}");
    }
    for none in [&b"<html>"[..], b"{\"code\":200}", b"\x08\x01", b"\x00", b"\x0b\x0c", &[0xff; 12]] {
        assert_eq!(read(none), Err(Fault::NotProtobuf), "{none:02x?}");
    }
}

#[test]
fn the_host_of_a_websocket_is_what_a_client_connects_to() {
    for (url, host) in [
        ("wss://webcast-ws.tiktok.com/webcast/?x=1", "webcast-ws.tiktok.com"),
        ("ws://127.0.0.1:21002/ws", "127.0.0.1"),
        ("wss://[::1]:80", "[::1]"),
        ("wss://host?query", "host"),
        ("wss://host:65535/", "host"),
        ("wss://host:00001/", "host"),
        ("wss://host:/", "host"),
    ] {
        assert_eq!(host_of_websocket(url), Some(host.as_bytes()), "{url}");
    }
    for none in [
        "",
        "https://webcast-ws.tiktok.com/",
        "wss://",
        "wss:///path",
        "wss://x.tiktok.com@evil.example/",
        "wss://evil.example\\.tiktok.com/",
        "wss://a b/",
        "wss://h:port/",
        "wss://h:123456/",
        "wss://h:65536/",
        "wss://h:0/",
        "wss://h:+80/",
        "wss://[::1]:99999/",
        "wss://:80/",
        "wss://[::1/",
        "wss://[::1]x/",
        "wss://ümlaut.tiktok.com/",
    ] {
        assert_eq!(host_of_websocket(none), None, "{none}");
    }
}

#[test]
fn a_cookie_has_a_name_and_a_value() {
    for good in
        [&b"ttwid=1"[..], b"ttwid=1%7C2; Path=/; Secure", b" tt-target-idc = a=b ;", b"a=b; c=d", b"a=\xe9"]
    {
        assert!(is_cookie(good), "{good:?}");
    }
    for none in [
        &b""[..],
        b"ttwid",
        b"ttwid=",
        b"=1",
        b";=;",
        b"ttwid=; Path=/; Max-Age=0",
        b"ttwid= ;x=1",
        b"ttwid=\"\"",
        b"; ttwid=1",
        b"<a href=x>",
        b"undefined",
    ] {
        assert!(!is_cookie(none), "{none:?}");
    }
}

#[test]
fn route_parameters_have_a_name() {
    let of = |entries: &[&[u8]]| read(&entries.concat()).unwrap().has_route_params;
    let (named, nameless, empty) =
        (&b"\x3a\x06\x0a\x01a\x12\x01b"[..], &b"\x3a\x02\x12\x00"[..], &b"\x3a\x00"[..]);
    assert!(of(&[named]) && of(&[named, empty]) && of(&[nameless, named]));
    assert!(!of(&[nameless]) && !of(&[empty]) && !of(&[]));
}
