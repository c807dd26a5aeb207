//! Each refusal, each framing, and that the bytes' division does not matter.

use super::*;
use crate::generator::wire::head::HEADERS_MAX;

const WANTED: Wanted = Wanted::new(&["x-room-id", "content-type"]);

/// Small, so that each can be exceeded by a readable input.
const LIMITS: Limits = Limits {
    head_bytes_max: 512,
    headers_max: 6,
    body_bytes_max: 32,
    interims_max: 2,
    trailer_bytes_max: 64,
    extension_bytes_max: 40,
};

/// What a reader got.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) headers: [Option<Vec<u8>>; 2],
    pub(super) reuse: bool,
    /// Bytes that were not the answer's.
    pub(super) surplus: usize,
}

/// Reads `input`, given in pieces of `lens` (repeated), then the end of the connection. Whether an answer stays where it was
/// read to makes no difference.
pub(super) fn read(method: Method, limits: Limits, input: &[u8], lens: &[usize]) -> Result<Read, WireError> {
    let parser = || AnswerParser::new(method, WANTED, limits);
    let copied = read_with(parser(), input, lens);
    assert_eq!(read_with(parser().staying(), input, lens), copied, "where it stays");
    copied
}

fn read_with(mut parser: AnswerParser, input: &[u8], lens: &[usize]) -> Result<Read, WireError> {
    let mut given = 0;
    let mut taken = 0;
    let mut lens = lens.iter().cycle();
    while given < input.len() && !parser.is_complete() {
        let len = lens.next().map_or(usize::MAX, |len| (*len).max(1));
        given = given.saturating_add(len).min(input.len());
        taken += parser.feed(&input[taken..given])?;
    }
    if !parser.is_complete() {
        parser.end(&input[taken..])?;
    }
    let reuse = parser.keeps_alive();
    let read = || {
        let mut read = Buffer::new();
        read.extend_from_slice(&input[..given]);
        read
    };
    let answer = parser.into_answer_in(read).expect("`end` completes or refuses");
    Ok(Read {
        status: answer.status().as_u16(),
        body: answer.body().to_vec(),
        headers: ["x-room-id", "content-type"].map(|name| answer.header(name).map(<[u8]>::to_vec)),
        reuse,
        surplus: input.len() - taken,
    })
}

/// Reads `input` at once, and checks that bytewise and otherwise divided it reads the same.
fn read_all_ways(method: Method, input: &[u8]) -> Result<Read, WireError> {
    let at_once = read(method, LIMITS, input, &[]);
    for lens in [&[1][..], &[2], &[3], &[7, 1], &[64]] {
        assert_eq!(read(method, LIMITS, input, lens), at_once, "in pieces of {lens:?}");
    }
    at_once
}

fn get(input: &str) -> Result<Read, WireError> {
    read_all_ways(Method::Get, input.as_bytes())
}

fn malformed(why: Malformed) -> WireError {
    WireError::Malformed(why)
}

fn too_large(what: TooLarge) -> WireError {
    WireError::TooLarge(what)
}

#[test]
fn a_length_delimits() {
    let read =
        get("HTTP/1.1 200 OK\r\nX-Room-Id: 7\r\nContent-Length: 5\r\nx-room-id: 8\r\n\r\nhello").unwrap();
    assert_eq!((read.status, &read.body[..], read.reuse, read.surplus), (200, &b"hello"[..], true, 0));
    assert_eq!(read.headers, [Some(b"7".to_vec()), None], "the first one counts");
    let read = get("HTTP/1.1 404 \r\nContent-Length: 005\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1").unwrap();
    assert_eq!((read.status, &read.body[..], read.surplus), (404, &b"hello"[..], 8));
    let read = get("HTTP/1.1 500\r\nContent-Length: 0\r\nContent-Type:\r\n\r\n").unwrap();
    assert_eq!((read.status, read.body.len(), read.reuse), (500, 0, true));
    assert_eq!(read.headers, [None, Some(Vec::new())], "empty is not absent");
}

#[test]
fn chunks_delimit() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Type: a/b\r\n\r\n";
    let read = get(&format!("{head}5\r\nhello\r\n00A;x=\"y\"\r\n, worlds..\r\n0\r\n\r\nmore")).unwrap();
    assert_eq!((&read.body[..], read.reuse, read.surplus), (&b"hello, worlds.."[..], true, 4));
    assert_eq!(read.headers[1], Some(b"a/b".to_vec()));
    let read = get(&format!("{head}0\r\nA: b\r\nContent-Length: 9\r\n\r\n")).unwrap();
    assert_eq!((read.body.len(), read.reuse, read.surplus), (0, true, 0), "trailers are dropped");
}

#[test]
fn the_close_delimits() {
    let read = get("HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
    assert_eq!((&read.body[..], read.reuse), (&b"hello"[..], false));
    let read = get("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n").unwrap();
    assert_eq!((read.body.len(), read.reuse), (0, false));
}

#[test]
fn some_answers_have_no_body() {
    for (method, head) in [
        (Method::Head, "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"),
        (Method::Head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (Method::Head, "HTTP/1.1 200 OK\r\n\r\n"),
        (Method::Get, "HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n"),
        (Method::Get, "HTTP/1.1 304 Same\r\nContent-Length: 77\r\n\r\n"),
        (Method::Get, "HTTP/1.1 304 Same\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ] {
        let read = read_all_ways(method, format!("{head}hello").as_bytes()).unwrap();
        assert_eq!((read.body.len(), read.reuse, read.surplus), (0, true, 5), "{head}");
    }
}

#[test]
fn interim_answers_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nX-Room-Id: 1\r\n\r\n";
    let read = get(&format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!")).unwrap();
    assert_eq!((read.status, &read.body[..], read.reuse), (200, &b"!"[..], true));
    assert_eq!(read.headers[0], None, "what an interim answer says is not the answer's");
    assert_eq!(get(interim), Err(WireError::CutShort));
}

#[test]
fn when_a_connection_may_be_used_again() {
    for (head, reuse) in [
        ("HTTP/1.1 200 OK\r\n", true),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nConnection: keep-alive\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: closed\r\n", true),
        ("HTTP/1.0 200 OK\r\n", false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n", false),
    ] {
        assert_eq!(get(&format!("{head}Content-Length: 0\r\n\r\n")).unwrap().reuse, reuse, "{head}");
    }
}

#[test]
fn idle_hints() {
    for (value, seconds) in
        [("timeout=5", Some(5)), ("max=7, Timeout=5", Some(5)), ("timeout=-5", None), ("timeout", None)]
    {
        let mut parser = AnswerParser::new(Method::Get, WANTED, LIMITS);
        let head = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\nContent-Length: 0\r\n\r\n");
        parser.feed(head.as_bytes()).unwrap();
        assert_eq!(parser.idle_hint().map(|hint| hint.as_secs()), seconds, "{value}");
    }
}

#[test]
fn heads_that_are_refused() {
    for (head, why) in [
        ("\r\nHTTP/1.1 200 OK", malformed(Malformed::StatusLine)),
        ("HTTP/2.0 200 OK", malformed(Malformed::StatusLine)),
        ("HTTP/1.1 2x0 OK", malformed(Malformed::StatusLine)),
        ("HTTP/1.1  200 OK", malformed(Malformed::StatusLine)),
        ("ICY 200 OK", malformed(Malformed::StatusLine)),
        ("HTTP/1.1 099 Low", malformed(Malformed::Status)),
        ("HTTP/1.1 600 High", malformed(Malformed::Status)),
        ("HTTP/1.1 101 Switch", malformed(Malformed::Upgrade)),
        ("HTTP/1.1 200 OK\nA: b", malformed(Malformed::BareNewline)),
        ("HTTP/1.1 200 OK\r\nA: b\nContent-Length: 5", malformed(Malformed::BareNewline)),
        ("HTTP/1.1 200 OK\r\nA: b\rc", malformed(Malformed::Header)),
        ("HTTP/1.1 200 OK\r\nA: b\0c", malformed(Malformed::Header)),
        ("HTTP/1.1 200 OK\r\nA b: c", malformed(Malformed::Header)),
        ("HTTP/1.1 200 OK\r\nContent-Length : 5", malformed(Malformed::Header)),
        ("HTTP/1.1 200 OK\r\n: b", malformed(Malformed::Header)),
        ("HTTP/1.1 200 OK\r\nno colon", malformed(Malformed::Header)),
        ("HTTP/1.1 200 OK\r\nA: b\r\n folded", malformed(Malformed::FoldedHeader)),
        ("HTTP/1.1 200 OK\r\n\tA: b", malformed(Malformed::FoldedHeader)),
        ("HTTP/1.1 200 OK\r\nA b: c\r\n folded", malformed(Malformed::Header)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", malformed(Malformed::LengthsDiffer)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5", malformed(Malformed::LengthNotNumber)),
        ("HTTP/1.1 200 OK\r\nContent-Length: +5", malformed(Malformed::LengthNotNumber)),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5", malformed(Malformed::LengthNotNumber)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0x5", malformed(Malformed::LengthNotNumber)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5 5", malformed(Malformed::LengthNotNumber)),
        ("HTTP/1.1 200 OK\r\nContent-Length:", malformed(Malformed::LengthNotNumber)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616", malformed(Malformed::LengthNotNumber)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            malformed(Malformed::LengthBesideCoding),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", malformed(Malformed::Coding)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked", malformed(Malformed::Coding)),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            malformed(Malformed::Coding),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity", malformed(Malformed::Coding)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding:", malformed(Malformed::Coding)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked", malformed(Malformed::Header)),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked", malformed(Malformed::CodingInOldVersion)),
        ("HTTP/1.1 204 None\r\nContent-Length: 5", malformed(Malformed::NoBodyFraming)),
        ("HTTP/1.1 204 None\r\nTransfer-Encoding: chunked", malformed(Malformed::NoBodyFraming)),
        ("HTTP/1.1 100 Go on\r\nContent-Length: 5", malformed(Malformed::NoBodyFraming)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 33", too_large(TooLarge::Body)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615", too_large(TooLarge::Body)),
        ("HTTP/1.1 200 OK\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:", too_large(TooLarge::Headers)),
        (
            "HTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 b\r\n\r\nHTTP/1.1 102 c\r\n\r\nHTTP/1.1 200 OK",
            too_large(TooLarge::Interims),
        ),
    ] {
        // More of the same behind it must not change the verdict.
        for rest in
            ["\r\n\r\n", "\r\n\r\nhello\r\n\r\n", "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
        {
            assert_eq!(get(&format!("{head}{rest}")).err(), Some(why), "{head:?}");
        }
    }
}

#[test]
fn chunks_that_are_refused() {
    let ok = "5\r\nhello\r\n";
    for (body, why) in [
        ("\r\n\r\n", malformed(Malformed::ChunkSize)),
        (" 5\r\nhello\r\n0\r\n\r\n", malformed(Malformed::ChunkSize)),
        ("5 \r\nhello\r\n0\r\n\r\n", malformed(Malformed::ChunkSize)),
        ("5 ;a\r\nhello\r\n0\r\n\r\n", malformed(Malformed::ChunkSize)),
        ("+5\r\nhello\r\n0\r\n\r\n", malformed(Malformed::ChunkSize)),
        ("-1\r\n", malformed(Malformed::ChunkSize)),
        ("0x5\r\nhello\r\n0\r\n\r\n", malformed(Malformed::ChunkSize)),
        ("5\nhello\r\n0\r\n\r\n", malformed(Malformed::ChunkSize)),
        ("5\rhello", malformed(Malformed::ChunkSize)),
        (";a\r\n\r\n", malformed(Malformed::ChunkSize)),
        ("00000000000000005\r\nhello", malformed(Malformed::ChunkSize)),
        ("10000000000000000\r\n", malformed(Malformed::ChunkSize)),
        ("5;a\nb\r\nhello", malformed(Malformed::ChunkExtension)),
        ("5;\0\r\nhello", malformed(Malformed::ChunkExtension)),
        ("5\r\nhello0\r\n\r\n", malformed(Malformed::ChunkEnd)),
        ("5\r\nhello\n0\r\n\r\n", malformed(Malformed::ChunkEnd)),
        ("5\r\nhello\r\r\n", malformed(Malformed::ChunkEnd)),
        ("0\r\n\n", malformed(Malformed::BareNewline)),
        ("0\r\nA: b\n\r\n", malformed(Malformed::BareNewline)),
        ("0\r\n\rX", malformed(Malformed::Trailer)),
        ("0\r\nno colon\r\n\r\n", malformed(Malformed::Trailer)),
        ("0\r\nA: b\r\n c\r\n\r\n", malformed(Malformed::Trailer)),
        ("ffffffffffffffff\r\n", too_large(TooLarge::Body)),
        ("20\r\n01234567890123456789012345678901\r\n1\r\n", too_large(TooLarge::Body)),
        ("5;0123456789012345678901234567890123456789\r\nhello", too_large(TooLarge::ChunkExtensions)),
        (
            "1;01234567890123456789\r\na\r\n1;01234567890123456789\r\na\r\n0\r\n\r\n",
            too_large(TooLarge::ChunkExtensions),
        ),
    ] {
        for before in ["", ok] {
            let input = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{before}{body}");
            assert_eq!(get(&input).err(), Some(why), "{before}{body:?}");
        }
    }
    let long = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;{}", "a".repeat(300));
    assert_eq!(get(&long).err(), Some(too_large(TooLarge::ChunkExtensions)), "a line without an end");
    let long = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: {}", "a".repeat(64));
    assert_eq!(get(&long).err(), Some(too_large(TooLarge::Trailers)), "trailers without an end");
}

#[test]
fn limits_are_exact() {
    let with_head = |bytes: usize| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: ";
        format!("{head}{}\r\n\r\n", "a".repeat(bytes - head.len() - 4))
    };
    assert!(get(&with_head(512)).is_ok());
    assert_eq!(get(&with_head(513)).err(), Some(too_large(TooLarge::Head)));
    assert_eq!(get(&"H".repeat(513)).err(), Some(malformed(Malformed::StatusLine)));

    let with_length =
        |bytes: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{}", "a".repeat(bytes));
    assert!(get(&with_length(32)).is_ok());
    let to_close = |bytes: usize| format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(bytes));
    assert!(get(&to_close(32)).is_ok());
    assert_eq!(get(&to_close(33)).err(), Some(too_large(TooLarge::Body)));

    let with_trailers = |bytes: usize| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n01234567890123456789012345678901\r\n0\r\n";
        format!("{head}A: {}\r\n\r\n", "a".repeat(bytes - 7))
    };
    assert!(get(&with_trailers(64)).is_ok());
    assert_eq!(get(&with_trailers(65)).err(), Some(too_large(TooLarge::Trailers)));

    let limits = Limits { headers_max: usize::MAX, head_bytes_max: 4096, ..LIMITS };
    let with_headers = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert!(read(Method::Get, limits, with_headers(HEADERS_MAX).as_bytes(), &[]).is_ok());
    let more = read(Method::Get, limits, with_headers(HEADERS_MAX + 1).as_bytes(), &[]);
    assert_eq!(more.err(), Some(too_large(TooLarge::Headers)));
}

#[test]
fn an_answer_cut_anywhere_is_never_an_answer() {
    for whole in [
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    ] {
        assert!(get(whole).is_ok());
        for len in 0..whole.len() {
            let expected = if len == 0 { WireError::ClosedEarly } else { WireError::CutShort };
            assert_eq!(get(&whole[..len]), Err(expected), "{:?}", &whole[..len]);
        }
    }
}

#[test]
fn the_window_takes_the_rest_of_a_body() {
    use bytes::BufMut;
    let mut parser = AnswerParser::new(Method::Get, WANTED, LIMITS);
    assert!(parser.window().is_none());
    parser.feed(b"HTTP/1.1 200 OK\r\nX-Room-Id: 7\r\nContent-Length: 5\r\n\r\nhe").unwrap();
    let mut window = parser.window().unwrap();
    assert_eq!(window.remaining_mut(), 3, "no byte beyond the body");
    window.put_slice(b"llo");
    drop(window);
    parser.window_filled();
    assert!(parser.is_complete() && parser.window().is_none());
    let answer = parser.into_answer().unwrap();
    assert_eq!((answer.body(), answer.header("x-room-id")), (&b"hello"[..], Some(&b"7"[..])));
    assert_eq!(answer.into_body(), "hello");
}

#[test]
fn debug_shows_no_value() {
    let mut parser = AnswerParser::new(Method::Get, WANTED, LIMITS);
    parser.feed(b"HTTP/1.1 200 OK\r\nX-Room-Id: hunter2\r\nContent-Length: 7\r\n\r\nhunter2").unwrap();
    assert!(!format!("{parser:?}").contains("hunter2"));
    let shown = format!("{:?}", parser.into_answer());
    assert!(!shown.contains("hunter2") && shown.contains("x-room-id"), "{shown}");
}
