//! The listener against clients that do not mean well, over sockets, and against hyper and httparse, whose view of good
//! requests it has to share.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use signgate::base::{request_id::RequestId, time::Timestamp};
use signgate::dialect::head::{self, Field, Head};
use signgate::gateway::listener::{
    Arrival, Framing, FramingLimits, HeadMap, ListenerSettings, ListenerThread, Position, Rejection,
    RequestHead, Violation, serve_connection,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
    time::timeout,
};

use crate::corpus::{Expected, SMUGGLED, Variant, corpus};

/// One request as the handler got it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// One answer as the client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

type Recorder = Rc<RefCell<Vec<Seen>>>;

fn said(status: StatusCode, body: String) -> head::Answer {
    let mut head = Head::new();
    head.set(Field::AgentId, "handler");
    head::Answer { status, head, body: Bytes::from(body), time: Timestamp::EPOCH }
}

fn refusal(rejection: Rejection) -> head::Answer {
    let Rejection { status, label, message } = rejection;
    let body = serde_json::json!({"code": status.as_u16(), "message": message, "limit_label": label});
    said(status, body.to_string())
}

/// Records what arrives and answers like the gateway would.
async fn answer(arrival: Arrival<'_>, recorder: &Recorder) -> head::Answer {
    let head = match arrival.request {
        Ok(head) => head,
        Err(rejection) => return refusal(rejection),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head.headers().map(|(name, value)| (text(name).to_lowercase(), text(value))).collect();
    let body = match arrival.body.read().await {
        Ok(body) => body.to_vec(),
        Err(rejection) => return refusal(rejection),
    };
    let text = serde_json::json!({"seen": recorder.borrow().len()}).to_string();
    let (method, target) = (head.method().to_owned(), head.target().to_owned());
    recorder.borrow_mut().push(Seen { method, target, headers, body });
    said(StatusCode::OK, text)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, recorder: Recorder) {
    let peer: SocketAddr = "192.0.2.1:1234".parse().unwrap();
    let thread = ListenerThread::new(Arc::new(ListenerSettings::default()), || {
        RequestId::new(Timestamp::EPOCH, 1, [1, 2])
    });
    serve_connection(stream, peer, &thread, &async |arrival: Arrival<'_>| answer(arrival, &recorder).await)
        .await;
}

/// Splits what a client got into answers; what is left over is an answer cut short.
fn answers(mut bytes: &[u8], to_head: bool) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
            .map_or(0, |text| text.parse::<usize>().unwrap());
        bytes = &bytes[end + 4..];
        let status = head[9..12].parse().unwrap();
        if status == 100 {
            continue;
        }
        let length = if to_head { 0 } else { length };
        let body = String::from_utf8(bytes[..length].to_vec()).unwrap();
        bytes = &bytes[length..];
        answers.push(Answer { status, head, body });
    }
    assert!(bytes.is_empty(), "left over: {}", bytes.escape_ascii());
    answers
}

/// Sends `bytes`, finishes, and reads until the server has finished too.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: S, bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        // The server may have seen enough before it has seen all.
        let _ = writer.write_all(bytes).await;
        let _ = writer.shutdown().await;
    };
    let read = async {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.expect("the connection is closed, not reset");
        got
    };
    timeout(Duration::from_secs(20), async { tokio::join!(write, read).1 }).await.expect("the server closes")
}

fn check(variant: &Variant, seen: &[Seen], got: &[u8]) {
    let Variant { name, bytes, expected: Expected { bodies, rejected } } = variant;
    let answers = answers(got, bytes.starts_with(b"HEAD ") && rejected.is_none());
    let seen_bodies: Vec<_> = seen.iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(&seen_bodies, bodies, "{name}: the requests seen");
    for seen in seen {
        assert!(!seen.target.contains(SMUGGLED), "{name}: a hidden request was seen");
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    let expected: Vec<_> = bodies.iter().map(|_| 200).chain(*rejected).collect();
    assert_eq!(statuses, expected, "{name}: the answers");
    for answer in &answers {
        assert!(answer.head.contains("x-agent-id: handler"), "{name}: the listener answered by itself");
    }
    if rejected.is_some() {
        let last = answers.last().unwrap();
        assert!(last.head.contains("connection: close"), "{name}: {}", last.head);
        let body: serde_json::Value = serde_json::from_str(&last.body).unwrap();
        assert_eq!(body["code"], last.status, "{name}");
    }
}

#[test]
fn variants_have_names_of_their_own_and_are_many() {
    let corpus = corpus();
    let mut names: Vec<_> = corpus.iter().map(|variant| &variant.name).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1]);
    }
    assert!(corpus.len() >= 500, "{}", corpus.len());
}

#[tokio::test]
async fn every_variant_is_one_request_or_one_refusal_over_a_socket() {
    LocalSet::new()
        .run_until(async {
            for variant in corpus() {
                let recorder = Recorder::default();
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let served = spawn_local({
                    let recorder = Rc::clone(&recorder);
                    async move { serve(listener.accept().await.unwrap().0, recorder).await }
                });
                let got = exchange(TcpStream::connect(address).await.unwrap(), &variant.bytes).await;
                served.await.unwrap();
                check(&variant, &recorder.borrow(), &got);
            }
        })
        .await;
}

/// The same with a stream that holds so many bytes at a time.
async fn every_variant_in_pieces_of(size: usize, bytes_max: usize) {
    LocalSet::new()
        .run_until(async {
            for variant in corpus().into_iter().filter(|variant| variant.bytes.len() <= bytes_max) {
                let recorder = Recorder::default();
                let (client, server) = duplex(size);
                let served = spawn_local(serve(server, Rc::clone(&recorder)));
                let got = exchange(client, &variant.bytes).await;
                served.await.unwrap();
                check(&variant, &recorder.borrow(), &got);
            }
        })
        .await;
}

#[tokio::test]
async fn every_variant_comes_to_the_same_byte_by_byte() {
    every_variant_in_pieces_of(1, 20_000).await;
}

#[tokio::test]
async fn every_variant_comes_to_the_same_in_pieces() {
    every_variant_in_pieces_of(37, usize::MAX).await;
}

/// What the framing takes of bytes that arrive in these pieces: how many bytes (0 where a body has
/// a violation), heads among them, the bodies' bytes, the refusal and whether it is of a body, where it ends.
fn take(pieces: &[&[u8]]) -> (usize, u32, Vec<u8>, Option<(Violation, bool)>, Position) {
    let mut framing = Framing::new(FramingLimits::default());
    let mut map = HeadMap::default();
    let (mut held, mut taken, mut heads, mut body) = (Vec::new(), 0, 0, Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let in_body = framing.position() == Position::Body;
            let step = if in_body {
                framing.body(&held, &mut body)
            } else {
                framing.head(&held, &mut map).map(|head| {
                    heads += u32::from(head.is_some());
                    head.unwrap_or(0)
                })
            };
            match step {
                Ok(0) => break,
                Ok(bytes) => {
                    taken += bytes;
                    held.drain(..bytes);
                }
                Err(violation) => {
                    let taken = if in_body { 0 } else { taken };
                    return (taken, heads, body, Some((violation, in_body)), framing.position());
                }
            }
        }
    }
    (taken, heads, body, None, framing.position())
}

#[test]
fn where_bytes_are_split_never_matters() {
    for variant in corpus().iter().filter(|variant| variant.bytes.len() < 2000) {
        let whole = take(&[&variant.bytes]);
        for at in 0..=variant.bytes.len() {
            let (first, second) = variant.bytes.split_at(at);
            assert_eq!(take(&[first, second]), whole, "{} split at {at}", variant.name);
        }
        let bytes: Vec<_> = variant.bytes.chunks(1).collect();
        assert_eq!(take(&bytes), whole, "{} byte by byte", variant.name);
    }
}

#[tokio::test]
async fn a_refused_connection_is_closed_by_us() {
    LocalSet::new()
        .run_until(async {
            let recorder = Recorder::default();
            let (client, server) = duplex(4096);
            let served = spawn_local(serve(server, Rc::clone(&recorder)));
            let (mut reader, mut writer) = tokio::io::split(client);
            writer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/3.0\r\n").await.unwrap();
            let mut got = Vec::new();
            timeout(Duration::from_secs(20), reader.read_to_end(&mut got)).await.expect("closed").unwrap();
            let statuses: Vec<_> = answers(&got, false).iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, [200, 400]);
            // Whatever the client still sends is read by nobody.
            let _ = writer.write_all(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n").await;
            drop((reader, writer));
            served.await.unwrap();
            assert_eq!(recorder.borrow().len(), 1);
        })
        .await;
}

/// What hyper makes of `bytes`.
async fn as_hyper_sees_it(bytes: &[u8]) -> Vec<Seen> {
    let (client, server) = duplex(1 << 20);
    let all = Rc::new(RefCell::new(Vec::new()));
    let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
        let all = Rc::clone(&all);
        async move {
            let (head, body) = request.into_parts();
            let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            };
            let seen = Seen {
                method: head.method.to_string(),
                target: head.uri.to_string(),
                headers: head.headers.iter().map(line).collect(),
                body: body.collect().await?.to_bytes().to_vec(),
            };
            all.borrow_mut().push(seen);
            Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::default()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(hyper_util::rt::TokioIo::new(server), service);
    let (_, served) = tokio::join!(exchange(client, bytes), connection);
    served.unwrap();
    all.take()
}

/// One request that is well framed, and its body.
fn good_request() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let body = prop::collection::vec(any::<u8>(), 0..600);
    let method = prop::sample::select(vec!["POST", "PUT", "DELETE", "X-ANY"]);
    let header = "[a-zA-Z0-9-]{1,20}:[ \t]{0,2}[ -~]{0,40}".prop_filter("frames", |line| {
        !["host", "content-length", "transfer-encoding", "expect", "upgrade", "connection"]
            .contains(&line.split(':').next().unwrap_or("").to_ascii_lowercase().as_str())
    });
    let headers = prop::collection::vec(header, 0..12);
    let target = "/[a-zA-Z0-9/._~%{}|-]{0,60}[?]?[a-zA-Z0-9&=?/:;,+%-]{0,60}";
    let sizes = prop::option::of(prop::collection::vec(1..200usize, 0..12));
    (body, method, headers, target, sizes).prop_map(|(body, method, headers, target, sizes)| {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: sign.example\r\n").into_bytes();
        for header in headers {
            bytes.extend(header.bytes());
            bytes.extend(b"\r\n");
        }
        match sizes {
            None => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend(&body);
            }
            Some(sizes) => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = &body[..];
                for size in sizes.into_iter().chain([usize::MAX]) {
                    let (chunk, after) = rest.split_at(size.min(rest.len()));
                    if !chunk.is_empty() {
                        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                        bytes.extend(chunk);
                        bytes.extend(b"\r\n");
                    }
                    rest = after;
                }
                bytes.extend(b"0\r\n\r\n");
            }
        }
        (bytes, body)
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// What the listener makes of `bytes`.
async fn as_we_see_it(bytes: &[u8], piece: usize) -> (Vec<Seen>, Vec<Answer>) {
    let recorder = Recorder::default();
    let (client, server) = duplex(piece);
    let (got, ()) = tokio::join!(exchange(client, bytes), serve(server, Rc::clone(&recorder)));
    (recorder.take(), answers(&got, false))
}

/// Headers in the order in which a map has them: by name, those of one name as they came.
fn sorted(mut all: Vec<Seen>) -> Vec<Seen> {
    for seen in &mut all {
        seen.headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn good_requests_are_seen_as_hyper_sees_them(
        requests in prop::collection::vec(good_request(), 1..5),
        piece in 1..3000usize,
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let bodies: Vec<_> = requests.into_iter().map(|(_, body)| body).collect();
        let taken = take(&[&bytes]);
        prop_assert_eq!(taken, (bytes.len(), bodies.len() as u32, bodies.concat(), None, Position::Boundary));
        let (seen, answers) = block_on(as_we_see_it(&bytes, piece));
        prop_assert_eq!(seen.iter().map(|seen| seen.body.clone()).collect::<Vec<_>>(), bodies);
        prop_assert_eq!(sorted(seen), sorted(block_on(as_hyper_sees_it(&bytes))));
        prop_assert!(answers.iter().all(|answer| answer.status == 200));
    }

    /// Whatever arrives, each answer is the handler's, and each that is good answers a request that it has seen.
    #[test]
    fn every_answer_is_the_handlers(
        requests in prop::collection::vec(good_request(), 1..4),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..4),
        piece in 1..3000usize,
    ) {
        let mut bytes: Vec<u8> = requests.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        for (index, byte, kind) in edits {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let (seen, answers) = block_on(as_we_see_it(&bytes, piece));
        for answer in &answers {
            prop_assert!(answer.head.contains("x-agent-id: handler"), "{}", answer.head);
        }
        let good = answers.iter().filter(|answer| answer.status == 200).count();
        prop_assert_eq!(good, seen.len());
    }

    /// What is taken as a head, httparse takes whole and no further, and finds the same in it.
    #[test]
    fn heads_are_read_as_httparse_reads_them(
        request in good_request(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 0..4),
    ) {
        let mut bytes = request.0;
        for (index, byte, kind) in edits {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let mut map = HeadMap::default();
        let read = Framing::new(FramingLimits::default()).head(&bytes, &mut map);
        let Ok(Some(length)) = read else { return Ok(()) };
        let head = RequestHead::new(&bytes[..length], &map);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut oracle = httparse::Request::new(&mut headers);
        prop_assert_eq!(oracle.parse(&bytes), Ok(httparse::Status::Complete(length)));
        prop_assert_eq!((oracle.method, oracle.path), (Some(head.method()), Some(head.target())));
        let theirs: Vec<_> = oracle.headers.iter().map(|header| (header.name.as_bytes(), header.value.trim_ascii())).collect();
        prop_assert_eq!(head.headers().collect::<Vec<_>>(), theirs);
    }
}
