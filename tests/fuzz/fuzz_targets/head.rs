//! A client's bytes: whatever it sends, however it is divided, the framing does not panic, lets the same bytes pass,
//! and lets no head pass that the parser behind it would not take, whole and no further.
//!
//! Input: one byte for the number of piece lengths (0 to 7), the lengths, the connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signgate::gateway::listener::{Framing, FramingLimits, Position, Refused};

const LIMITS: FramingLimits =
    FramingLimits { head_bytes_max: 512, headers_max: 8, target_bytes_max: 128, body_bytes_max: 256 };

/// What passed, heads among it, the refusal, where it ended.
type Read = (Vec<u8>, u32, Option<Refused>, Position);

fn read(input: &[u8], pieces: &[u8]) -> Read {
    let mut framing = Framing::new(LIMITS);
    let mut pieces = pieces.iter().cycle();
    let (mut held, mut passed, mut heads, mut rest) = (Vec::new(), Vec::new(), 0, input);
    while !rest.is_empty() {
        let length = pieces.next().map_or(rest.len(), |piece| usize::from(*piece).max(1)).min(rest.len());
        held.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
        let vetted = framing.vet(&mut held);
        assert!(vetted.passed <= held.len());
        if length == 1 && vetted.heads == 1 && vetted.refused.is_none() {
            check_head(&held[..vetted.passed]);
        }
        passed.extend(held.drain(..vetted.passed));
        heads += vetted.heads;
        if vetted.refused.is_some() {
            return (passed, heads, vetted.refused, framing.position());
        }
        if framing.position() == Position::End {
            break;
        }
        assert!(held.len() < LIMITS.head_bytes_max, "{} bytes are held, and no refusal", held.len());
    }
    (passed, heads, None, framing.position())
}

/// One byte at a time, what passes with a head is that head.
fn check_head(head: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())));
    http::Uri::try_from(request.path.unwrap()).expect("a target that hyper takes");
    http::Method::from_bytes(request.method.unwrap().as_bytes()).expect("a method that hyper takes");
    let count =
        |name: &str| request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count();
    assert!(count("content-length") + count("transfer-encoding") <= 1);
    assert!(count("host") <= 1 && count("upgrade") == 0);
    for header in &*request.headers {
        http::HeaderName::from_bytes(header.name.as_bytes()).expect("a name that hyper takes");
        http::HeaderValue::from_bytes(header.value).expect("a value that hyper takes");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((count, rest)) = data.split_first() else { return };
    let Some((pieces, input)) = rest.split_at_checked(usize::from(count % 8)) else { return };
    let whole = read(input, &[]);
    assert_eq!(read(input, pieces), whole);
    assert_eq!(read(input, &[1]), whole);
});
