//! hyper's client as the oracle: what ours accepts, hyper accepts, with the same status and body; what hyper refuses,
//! ours refuses. Answers come from a grammar that knows the classic desynchronisations, and are then mutated.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use super::tests::read;
use super::*;

/// What hyper's client makes of these bytes, then the end of the connection.
async fn hyper_reads(method: Method, input: &[u8], lens: &[usize]) -> Result<(u16, Vec<u8>), hyper::Error> {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await?;
    let request = http::Request::builder()
        .method(method.as_str())
        .uri("/")
        .header("host", "generator")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let server = async move {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            if far.read_buf(&mut asked).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let mut rest = input;
        let mut lens = lens.iter().cycle();
        while !rest.is_empty() {
            let len = lens.next().map_or(rest.len(), |len| (*len).clamp(1, rest.len()));
            // hyper may have hung up already: that is its verdict, not ours to judge here.
            if far.write_all(&rest[..len]).await.is_err() {
                return;
            }
            rest = &rest[len..];
            tokio::task::yield_now().await;
        }
    };
    let client = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes().to_vec()))
    };
    let ((), _, result) = tokio::join!(server, connection, client);
    result
}

fn status_line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("HTTP/1.1 200 OK".to_owned()),
        2 => (prop_oneof!["HTTP/1.1", "HTTP/1.0"], 100..620_u16, prop_oneof![Just(""), Just(" "), Just(" Why not")])
            .prop_map(|(version, status, reason)| format!("{version} {status}{reason}")),
        1 => prop_oneof![Just("HTTP/1.1 204 None"), Just("HTTP/1.1 304 Same"), Just("HTTP/1.0 200 OK")]
            .prop_map(str::to_owned),
    ]
}

fn header() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0..40_u32).prop_map(|length| format!("Content-Length: {length}")),
        3 => Just("Transfer-Encoding: chunked".to_owned()),
        2 => "[A-Za-z-]{1,12}: [ -~]{0,20}",
        1 => prop_oneof![
            Just("content-length: 5, 5"),
            Just("Content-Length: +5"),
            Just("Content-Length: 5 "),
            Just("Content-Length : 5"),
            Just("Content-Length: 0000005"),
            Just("Content-Length: 99999999999999999999"),
            Just("Transfer-Encoding: gzip, chunked"),
            Just("Transfer-Encoding: chunked, identity"),
            Just("Transfer-Encoding: Chunked"),
            Just("Transfer-Encoding:\tchunked"),
            Just("Transfer-Encoding : chunked"),
            Just("Connection: close"),
            Just("Keep-Alive: timeout=5"),
            Just(" folded"),
            Just("X-Room-Id: 7\n"),
        ]
        .prop_map(str::to_owned),
    ]
}

/// Few headers, and rarely more than one that frames: else next to nothing would be accepted.
fn head() -> impl Strategy<Value = String> {
    (status_line(), prop::collection::vec(header(), 0..3)).prop_map(|(status, headers)| {
        let mut lines = vec![status];
        lines.extend(headers);
        lines.join("\r\n") + "\r\n"
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (
        prop::collection::vec(any::<u8>(), 1..20),
        prop_oneof![
            8 => Just(""), 1 => Just(";a=b"), 1 => Just(" "), 1 => Just(";a\nb")
        ],
    );
    let trailers =
        prop_oneof![6 => Just(""), 1 => Just("A: b\r\n"), 1 => Just("A: b\n"), 1 => Just("no colon\r\n")];
    let chunked = (prop::collection::vec(chunk, 0..4), trailers).prop_map(|(chunks, trailers)| {
        let mut body = Vec::new();
        for (data, extension) in chunks {
            body.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
            body.extend_from_slice(&data);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        body
    });
    prop_oneof![3 => chunked, 2 => prop::collection::vec(any::<u8>(), 0..40)]
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let byte =
        || prop_oneof![3 => prop::sample::select(&b"\r\n \t:;,0159afxHC\0\x7f\x80"[..]), 1 => any::<u8>()];
    let mutation = prop_oneof![
        (any::<prop::sample::Index>(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<prop::sample::Index>(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<prop::sample::Index>().prop_map(Mutation::Remove),
        any::<prop::sample::Index>().prop_map(Mutation::Cut),
    ];
    prop_oneof![1 => Just(Vec::new()), 2 => prop::collection::vec(mutation, 1..4)]
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let interim = prop_oneof![
        8 => Just(""),
        1 => Just("HTTP/1.1 100 Continue\r\n\r\n"),
        1 => Just("HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"),
    ];
    (interim, head(), body(), mutations()).prop_map(|(interim, head, body, mutations)| {
        let mut bytes = format!("{interim}{head}\r\n").into_bytes();
        bytes.extend_from_slice(&body);
        for mutation in &mutations {
            mutation.apply(&mut bytes);
        }
        bytes
    })
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![4 => Just(Method::Get), 1 => Just(Method::Head), 2 => Just(Method::Post)]
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn what_ours_accepts_hyper_accepts_alike() {
    let runtime = runtime();
    // Both outcomes must be frequent, or the property says nothing.
    let accepted = std::cell::Cell::new((0_u32, 0_u32));
    let strategy = (method(), answer(), prop::collection::vec(1..40_usize, 0..6));
    let config = ProptestConfig::default();
    let cases = config.cases.max(4_000);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..config });
    let result = runner.run(&strategy, |(method, input, lens)| {
        let ours = read(method, Limits::default(), &input, &lens);
        prop_assert_eq!(&read(method, Limits::default(), &input, &[]), &ours, "split points count");
        let hypers = runtime.block_on(hyper_reads(method, &input, &lens));
        let (yes, all) = accepted.get();
        accepted.set((yes + u32::from(ours.is_ok()), all + 1));
        if let Ok(ours) = ours {
            match hypers {
                Ok((status, body)) => {
                    prop_assert_eq!(status, ours.status);
                    prop_assert_eq!(body, ours.body);
                }
                Err(error) => prop_assert!(false, "hyper refuses what ours accepts: {error:?}"),
            }
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let (yes, all) = accepted.get();
    assert!(yes * 10 > all && (all - yes) * 10 > all, "of {all} inputs {yes} were accepted");
}

/// The reasons for which ours is stricter, as `Malformed` lists them: hyper accepts each of these.
#[test]
fn where_ours_is_stricter() {
    let runtime = runtime();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (input, why) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            Malformed::LengthBesideCoding,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
            Malformed::Coding,
        ),
        ("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n".to_owned(), Malformed::BareNewline),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned(), Malformed::StatusLine),
        ("HTTP/1.1 999 OK\r\n\r\n".to_owned(), Malformed::Status),
        ("HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\n".to_owned(), Malformed::NoBodyFraming),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello".to_owned(), Malformed::LengthNotNumber),
        ("HTTP/1.0 304 Same\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), Malformed::CodingInOldVersion),
        (format!("{chunked}5 \r\nhello\r\n0\r\n\r\n"), Malformed::ChunkSize),
        (format!("{chunked}5;\0\r\nhello\r\n0\r\n\r\n"), Malformed::ChunkExtension),
    ] {
        let ours = read(Method::Get, Limits::default(), input.as_bytes(), &[]);
        assert_eq!(ours.err(), Some(WireError::Malformed(why)), "{input:?}");
        let hypers = runtime.block_on(hyper_reads(Method::Get, input.as_bytes(), &[]));
        assert!(hypers.is_ok(), "hyper refuses {input:?} too: {hypers:?}");
    }
}
