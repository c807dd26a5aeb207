//! Which violation is found where; that the same holds for bytes in pieces, and over sockets, is in `tests/it`.

use super::*;

const HOST: &str = "Host: a\r\n";

fn vet(text: &str) -> (Vetted, Position) {
    let mut framing = Framing::new(FramingLimits::default());
    let vetted = framing.vet(&mut text.as_bytes().to_vec());
    (vetted, framing.position())
}

fn head_violation(text: &str) -> Option<Violation> {
    match vet(text).0 {
        Vetted { passed: 0, heads: 0, refused: Some(Refused::Head(violation)) } => Some(violation),
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
        let (vetted, position) = vet(&format!("{head}{good}{bad}"));
        let refused = Some(Refused::Body(violation));
        assert_eq!(vetted, Vetted { passed: head.len() + good.len(), heads: 1, refused }, "{good:?} {bad:?}");
        assert_eq!(position, Position::End);
    }
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
        assert_eq!(vet(text).1, position, "{text:?}");
    }
}

#[test]
fn an_ignored_upgrade_is_hidden_and_ends_the_connection() {
    let head = format!("GET / HTTP/1.1\r\n{HOST}upgrade: H2C\r\nHTTP2-Settings: AAEA\r\n\r\n");
    let mut bytes = format!("{head}PRI * HTTP/2.0\r\n\r\n").into_bytes();
    let mut framing = Framing::new(FramingLimits::default());
    let vetted = framing.vet(&mut bytes);
    assert_eq!(vetted, Vetted { passed: head.len(), heads: 1, refused: None });
    assert_eq!(framing.position(), Position::End);
    assert_eq!(&bytes[..head.len()], head.replace("upgrade", "ignored").as_bytes());
}

#[test]
fn no_piece_is_looked_at_twice_for_its_line_end() {
    // A client that sends a long line byte by byte must not cost its square.
    let mut framing = Framing::new(FramingLimits::default());
    let mut held = b"GET / HTTP/1.1\r\nX: ".to_vec();
    framing.vet(&mut held);
    held.extend([b'y'; 5000]);
    framing.vet(&mut held);
    let State::Head(head) = &framing.state else { panic!("in a head") };
    assert_eq!(head.searched(), held.len());
}
