//! The built-in stand-in: answers in the right form, and opens nothing.
//!
//! With it the gateway, its demo and its tests run on a fresh machine with no generator at all. It says so in `X-Agent-ID`.
//! What it "signs" is filler of the usual length, made from a hash of what was asked, so that the same question has the
//! same answer; its push server is under `.invalid` (RFC 2606 section 2), which no resolver knows.

use bytes::Bytes;
use prost::Message;

use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::dialect::answer::{SignedShape, SignedUrl};
use crate::generator::Question;
use crate::generator::reply::Reply;

/// What it calls itself in `X-Agent-ID`.
pub const AGENT: &str = "stand-in";

/// The host of its push server: nowhere.
pub const PUSH_HOST: &str = "stand-in.invalid";

/// The parts of `ProtoMessageFetchResult` that a client needs to go on (`contract.md` section 3).
#[derive(Clone, PartialEq, Message)]
struct FetchResult {
    #[prost(string, tag = "2")]
    cursor: String,
    #[prost(int64, tag = "3")]
    fetch_interval: i64,
    #[prost(string, tag = "5")]
    internal_ext: String,
    #[prost(btree_map = "string, string", tag = "7")]
    route_params: std::collections::BTreeMap<String, String>,
    #[prost(int64, tag = "8")]
    heartbeat_duration: i64,
    #[prost(string, tag = "10")]
    push_server: String,
    #[prost(bool, tag = "11")]
    is_first: bool,
}

/// Answers at once.
pub fn answer(question: &Question<'_>) -> Reply {
    let mut headers = vec![("x-agent-id", AGENT.to_owned())];
    let body = match question.operation {
        Operation::Connect => {
            headers.push(("content-type", "application/protobuf".into()));
            headers.push(("x-set-tt-cookie", "signgate_stand_in=1".into()));
            if let Some(Room::Id(id)) = question.room {
                headers.push(("x-room-id", id.to_string()));
            }
            connect(question).into()
        }
        Operation::SignUrl => {
            headers.push(("content-type", "application/json".into()));
            let user_agent = (question.browser_user_agent)().unwrap_or_default();
            sign(question.url.unwrap_or_default(), &user_agent).body(SignedShape::Nested)
        }
        Operation::RoomId => {
            headers.push(("content-type", "application/json".into()));
            let id = room_id(question.room);
            Bytes::from(format!(r#"{{"code":200,"message":"{NOTHING}","room_id":"{id}"}}"#))
        }
        Operation::Chat | Operation::Limits => {
            headers.push(("content-type", "application/json".into()));
            Bytes::from(format!(r#"{{"code":200,"message":"{NOTHING}"}}"#))
        }
    };
    Reply::Made { headers, body }
}

/// What its JSON says of itself.
const NOTHING: &str = "made by signgate's stand-in generator, opens nothing";

fn connect(question: &Question<'_>) -> Vec<u8> {
    FetchResult {
        cursor: filler(question.target, "cursor", 20),
        fetch_interval: 1_000,
        internal_ext: filler(question.target, "internal_ext", 40),
        route_params: [("imprp".to_owned(), filler(question.target, "imprp", 24))].into(),
        heartbeat_duration: 10_000,
        push_server: format!("wss://{PUSH_HOST}/webcast/im/ws_proxy/ws_reuse_supplement/"),
        is_first: true,
    }
    .encode_to_vec()
}

fn sign(url: &str, user_agent: &str) -> SignedUrl {
    let mut signed = url.to_owned();
    let mut mark = if url.contains('?') { '&' } else { '?' };
    for (name, length) in [("X-Bogus", 28), ("X-Gnarly", 332), ("msToken", 128)] {
        signed.push(mark);
        signed.push_str(name);
        signed.push('=');
        signed.push_str(&filler(url, name, length));
        mark = '&';
    }
    SignedUrl::new(signed, user_agent.to_owned())
}

/// A number that looks like a room's and is the same for the same name.
fn room_id(room: Option<Room>) -> u64 {
    match room {
        Some(Room::Id(id)) => id,
        Some(Room::Anchor(name)) => {
            let hash = blake3::hash(name.as_str().as_bytes());
            let low = hash.as_bytes()[..7].iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
            7_000_000_000_000_000_000 + low
        }
        None => 7_000_000_000_000_000_000,
    }
}

/// `length` letters and digits that hang on `seed` and `name` alone.
fn filler(seed: &str, name: &str, length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes()).update(b"\0").update(seed.as_bytes());
    let mut bytes = vec![0; length];
    hasher.finalize_xof().fill(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::judge::{Judge, Judgement};
    use crate::generator::wire::Method;

    #[test]
    fn its_answers_have_the_form_that_the_judge_asks_for() {
        let judge = Judge::of_stand_in();
        for operation in Operation::ALL {
            let question = Question {
                operation,
                room: Room::parse("@name").ok(),
                url: Some("https://webcast.tiktok.com/webcast/im/fetch/?room_id=7"),
                browser_user_agent: &|| Some("Mozilla/5.0".into()),
                method: Method::Get,
                target: "/webcast/fetch?room_id=7",
                headers: &[],
                body: None,
            };
            let reply = answer(&question);
            assert_eq!(reply.header("x-agent-id"), Some(AGENT.as_bytes()));
            let Judgement::Good(good) = judge.judge(&question, reply) else { panic!("{operation}") };
            if let Some(signed) = good.signed {
                assert_eq!(signed.tokens["X-Bogus"].len(), 28);
                assert_eq!(signed.tokens["X-Gnarly"].len(), 332);
                assert!(signed.signed_url.contains("&msToken="));
            }
        }
    }
}
