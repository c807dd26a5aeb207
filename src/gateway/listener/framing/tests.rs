//! Which violation is found where; that the same holds for bytes in pieces, and over sockets, is in `tests/it`.

use super::*;

const HOST: &str = "Host: a\r\n";

/// What is taken of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Taken {
    /// So many bytes are whole heads and parts of bodies.
    bytes: usize,
    heads: u32,
    body: Vec<u8>,
    /// The violation behind them, and whether it is of a body.
    refused: Option<(Violation, Position)>,
}

fn take(text: &str) -> (Taken, Position) {
    let mut framing = Framing::new(FramingLimits::default());
    let mut map = HeadMap::default();
    let mut taken = Taken { bytes: 0, heads: 0, body: Vec::new(), refused: None };
    loop {
        let (rest, position) = (&text.as_bytes()[taken.bytes..], framing.position());
        let step = if position == Position::Body {
            framing.body(rest, &mut taken.body)
        } else {
            framing.head(rest, &mut map).map(|head| {
                taken.heads += u32::from(head.is_some());
                head.unwrap_or(0)
            })
        };
        match step {
            Ok(0) => break,
            Ok(bytes) => taken.bytes += bytes,
            Err(violation) => {
                taken.refused = Some((violation, position));
                break;
            }
        }
    }
    (taken, framing.position())
}

fn head_violation(text: &str) -> Option<Violation> {
    match take(text).0 {
        Taken { bytes: 0, heads: 0, refused: Some((violation, position)), .. }
            if position != Position::Body =>
        {
            Some(violation)
        }
        _ => None,
    }
}

#[test]
fn each_violation_of_a_request_line_is_named() {
    for (line, violation) in [
        ("\u{16}\u{3}\u{1}", Violation::Tls),
        ("\r\nGET / HTTP/1.1", Violation::EmptyLine),
        ("GET / HTTP/1.1\n", Violation::BareLf),
        ("GET / HTTP/1.1\rX", Violation::BareCr),
        ("GET /\0 HTTP/1.1", Violation::ControlByte),
        ("GET / HTTP/1.1 ", Violation::Version),
        ("GET  / HTTP/1.1", Violation::RequestLine),
        ("GET /", Violation::RequestLine),
        ("G(T / HTTP/1.1", Violation::Method),
        ("GET / HTTP/2.0", Violation::Version),
        ("PRI * HTTP/2.0", Violation::Http2Preface),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2", Violation::PrefaceUnexpected),
        ("GET http://a/ HTTP/1.1", Violation::TargetForm),
        ("OPTIONS * HTTP/1.1", Violation::TargetForm),
        ("CONNECT a:443 HTTP/1.1", Violation::TargetForm),
        ("CONNECT / HTTP/1.1", Violation::TargetForm),
        ("GET /a b HTTP/1.1", Violation::RequestLine),
        ("GET /a\tb HTTP/1.1", Violation::RequestLine),
        ("GET /#a HTTP/1.1", Violation::Fragment),
        ("GET /<a> HTTP/1.1", Violation::TargetByte),
        ("GET /\u{e9} HTTP/1.1", Violation::TargetByte),
    ] {
        assert_eq!(head_violation(&format!("{line}\r\n{HOST}\r\n")), Some(violation), "{line:?}");
    }
}

#[test]
fn each_violation_of_a_header_is_named() {
    for (line, violation) in [
        ("X", Violation::HeaderLine),
        (": y", Violation::HeaderLine),
        ("X@: y", Violation::HeaderName),
        ("X_Y: y", Violation::HeaderUnderscore),
        ("X : y", Violation::HeaderSpace),
        (" X: y", Violation::ObsFold),
        ("Host: b", Violation::HostRepeated),
        ("Content-Length: +5", Violation::LengthInvalid),
        ("Content-Length: 05", Violation::LengthInvalid),
        ("Content-Length: 5\t", Violation::LengthInvalid),
        ("Content-Length: 5\r\nContent-Length: 5", Violation::LengthRepeated),
        ("Content-Length: 65537", Violation::BodyTooLarge),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Violation::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Violation::LengthAndCoding),
        ("Transfer-Encoding: gzip, chunked", Violation::Coding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Violation::Coding),
        ("Upgrade: websocket", Violation::Upgrade),
        ("Expect: 200-ok", Violation::Expect),
    ] {
        assert_eq!(
            head_violation(&format!("POST / HTTP/1.1\r\n{HOST}{line}\r\n\r\n")),
            Some(violation),
            "{line:?}"
        );
    }
    for (head, violation) in [
        ("GET / HTTP/1.1\r\n\r\n", Violation::HostMissing),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Violation::HostInvalid),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::CodingVersion),
        ("GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", Violation::BodyUnexpected),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::BodyUnexpected),
    ] {
        assert_eq!(head_violation(head), Some(violation), "{head:?}");
    }
}

#[test]
fn each_violation_of_a_chunked_body_is_named_where_it_stands() {
    let head = format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n");
    for (good, bad, violation) in [
        ("", "x", Violation::ChunkSize),
        ("12345678", "9\r\n", Violation::ChunkSize),
        ("5", " \r\n", Violation::ChunkSize),
        ("5\r", "\r\n", Violation::ChunkSize),
        ("5", ";a=b\r\nhello\r\n", Violation::ChunkExtension),
        ("5\r\nhello", "!\r\n", Violation::ChunkEnd),
        ("5\r\nhello\r", "\r\n", Violation::ChunkEnd),
        ("5\r\nhello\r\n0\r\n", "X: y\r\n\r\n", Violation::Trailer),
        ("5\r\nhello\r\n0\r\n\r", "\r", Violation::Trailer),
        ("10001\r", "\n", Violation::BodyTooLarge),
        ("FFFFFFFF\r", "\n", Violation::BodyTooLarge),
        ("5\r\nhello\r\nFFFFFFFF\r", "\n", Violation::BodyTooLarge),
    ] {
        let (taken, position) = take(&format!("{head}{good}{bad}"));
        assert_eq!((taken.heads, taken.refused), (1, Some((violation, Position::Body))), "{good:?} {bad:?}");
        assert_eq!(position, Position::End);
    }
}

#[test]
fn a_chunked_body_is_put_together() {
    let head = format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n");
    let whole = format!("{head}5\r\nhello\r\n1;\r\n");
    assert_eq!(take(&whole).0.body, b"hello");
    let (taken, position) = take(&format!("{head}5\r\nhello\r\n00A\r\n, world...\r\n0\r\n\r\n"));
    assert_eq!(
        (&taken.body[..], taken.refused, position),
        (&b"hello, world..."[..], None, Position::Boundary)
    );
}

#[test]
fn the_position_says_what_is_under_way() {
    let post = format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\n");
    for (text, position) in [
        ("", Position::Boundary),
        ("P", Position::Head),
        (&post[..post.len() - 1], Position::Head),
        (&post, Position::Body),
        (&format!("{post}hell"), Position::Body),
        (&format!("{post}hello"), Position::Boundary),
        (&format!("{post}helloP"), Position::Head),
        ("GET / HTTP/3\r\n", Position::End),
    ] {
        assert_eq!(take(text).1, position, "{text:?}");
    }
}

#[test]
fn after_the_last_request_there_is_none() {
    for line in ["upgrade: H2C\r\nHTTP2-Settings: AAEA", "Connection: close", "connection: TE , Close"] {
        let head = format!("GET / HTTP/1.1\r\n{HOST}{line}\r\n\r\n");
        let (taken, position) = take(&format!("{head}PRI * HTTP/2.0\r\n\r\n"));
        assert_eq!((taken.bytes, taken.heads, taken.refused), (head.len(), 1, None));
        assert_eq!(position, Position::End);
    }
}

#[test]
fn no_piece_is_looked_at_twice_for_its_line_end() {
    // A client that sends a long line byte by byte must not cost its square.
    let mut framing = Framing::new(FramingLimits::default());
    let mut held = b"GET / HTTP/1.1\r\nX: ".to_vec();
    let mut map = HeadMap::default();
    framing.head(&held, &mut map).unwrap();
    held.extend([b'y'; 5000]);
    framing.head(&held, &mut map).unwrap();
    let State::Head(head) = &framing.state else { panic!("in a head") };
    assert_eq!(head.searched(), held.len());
}
