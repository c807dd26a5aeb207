//! An answer, judged: whatever is in it, the judge does not panic or unpack without end, and what it calls good has what a
//! client needs, as a decoder reads it.
//!
//! Input: one byte for the operation, the headers and the rules, the body.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use signgate::base::operation::Operation;
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

const ASKED: &str = "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7";

static JUDGES: LazyLock<[Judge; 2]> = LazyLock::new(|| {
    let push_hosts = PushHosts::default().and_loopback();
    [Rules { push_hosts, ..Rules::default() }, Rules { signature: Signature::Full, ..Rules::default() }].map(Judge::new)
});

fuzz_target!(|data: &[u8]| {
    let [flags, body @ ..] = data else { return };
    let operation = [Operation::Connect, Operation::SignUrl, Operation::RoomId, Operation::Chat][usize::from(flags & 3)];
    let mut headers = vec![("x-room-id", "7300000000000000001".to_owned())];
    if flags & 4 == 0 {
        headers.push(("x-set-tt-cookie", "ttwid=1".to_owned()));
    }
    if flags & 8 != 0 {
        headers.push(("content-encoding", "gzip".to_owned()));
    }
    let question = Question {
        operation,
        room: None,
        url: Some(ASKED),
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
            let read = FetchResult::decode(&good.body[..]).expect("a decoder reads what is good");
            assert!(!read.cursor.is_empty() && !read.route_params.is_empty());
            assert!(read.push_server.starts_with("ws"), "{}", read.push_server);
        }
        Operation::SignUrl => {
            let signed = good.signed.expect("a signed URL");
            let url = url::Url::parse(&signed.signed_url).expect("is a URL");
            assert_eq!((url.host_str(), url.path()), (Some("webcast.tiktok.com"), "/webcast/im/fetch/"));
            assert!(url.query_pairs().any(|(name, value)| name == "room_id" && value == "7"));
        }
        _ => {
            // What `Value` says beyond that, of halves of characters in escapes and of numbers that are too large, clients take.
            let text = std::str::from_utf8(&good.body).expect("is UTF-8");
            assert!(text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        }
    }
});
