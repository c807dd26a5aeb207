//! An answer, judged: whatever is in it, the judge does not panic or unpack without end, and what it calls good has what a
//! client needs, as a decoder reads it.
//!
//! Input: one byte for the operation, the headers and the rules, one for the room and the URL that were asked for, one for the cookie's
//! length, the cookie, the body.
#![no_main]

mod good;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use signgate::base::operation::Operation;
use signgate::base::room::Room;
use signgate::generator::Question;
use signgate::generator::judge::{Judge, Judgement, PushHosts, Rules, Signature};
use signgate::generator::reply::Reply;
use signgate::generator::wire::Method;

#[derive(Clone, PartialEq, Message)]
struct FetchResult {
    #[prost(string, tag = "2")]
    cursor: String,
    #[prost(string, tag = "5")]
    internal_ext: String,
    #[prost(btree_map = "string, string", tag = "7")]
    route_params: BTreeMap<String, String>,
    #[prost(string, tag = "10")]
    push_server: String,
    #[prost(bool, tag = "11")]
    is_first: bool,
}

/// The room that answers are for.
const ROOM: u64 = 7_300_000_000_000_000_001;

static JUDGES: LazyLock<[Judge; 2]> = LazyLock::new(|| {
    let push_hosts = PushHosts::default().and_loopback();
    [Rules { push_hosts, ..Rules::default() }, Rules { signature: Signature::Full, ..Rules::default() }].map(Judge::new)
});

fuzz_target!(|data: &[u8]| {
    let [flags, asked, length, rest @ ..] = data else { return };
    let Some((cookie, body)) = rest.split_at_checked(usize::from(*length)) else { return };
    let operation = [Operation::Connect, Operation::SignUrl, Operation::RoomId, Operation::Chat][usize::from(flags & 3)];
    // Long ones are many short ones.
    let cookie = String::from_utf8_lossy(cookie).repeat(if flags & 32 == 0 { 1 } else { 100 });
    let mut headers = vec![("x-room-id", ROOM.to_string())];
    if flags & 4 == 0 {
        headers.push(("x-set-tt-cookie", cookie.clone()));
    }
    if flags & 8 != 0 {
        headers.push(("content-encoding", "gzip".to_owned()));
    }
    let room = [None, Some(Room::Id(ROOM)), Some(Room::Id(7)), Room::parse("@name").ok()][usize::from(asked & 3)];
    let url = good::ASKED[usize::from(asked >> 2 & 3)];
    let question = Question {
        operation,
        room,
        url: Some(url),
        browser_user_agent: &|| None,
        method: Method::Get,
        target: "/",
        headers: &[],
        body: None,
    };
    let reply = Reply::Made { headers, body: Bytes::copy_from_slice(body) };
    let Judgement::Good(good) = JUDGES[usize::from(flags >> 4 & 1)].judge(&question, reply) else { return };
    assert!(!good.body.is_empty() && good.body.len() <= 1 << 20);
    match operation {
        Operation::Connect => {
            assert_eq!(flags & 4, 0, "good without a cookie");
            let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            assert!(!name.trim().is_empty() && !value.trim().is_empty() && cookie.len() <= 8 * 1024, "{cookie:?}");
            assert_ne!(room, Some(Room::Id(7)), "good for another room");
            let read = FetchResult::decode(&good.body[..]).expect("a decoder reads what is good");
            assert!(!read.cursor.is_empty() && read.route_params.keys().any(|name| !name.is_empty()));
            let push_server = url::Url::parse(&read.push_server).expect("the push server is a URL");
            assert!(matches!(push_server.scheme(), "ws" | "wss") && push_server.port() != Some(0), "{push_server}");
        }
        Operation::SignUrl => good::assert_signed(url, &good),
        _ => {
            // What `Value` says beyond that, of halves of characters in escapes and of numbers that are too large, clients take.
            let text = std::str::from_utf8(&good.body).expect("is UTF-8");
            assert!(text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        }
    }
});
