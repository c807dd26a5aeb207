//! A client's bytes: whatever it sends, however it is divided, the framing does not panic, takes the same of it, and takes no
//! head that httparse would not take, whole and no further, with the same in it.
//!
//! Input: one byte for the number of piece lengths (0 to 7), the lengths, the connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signgate::gateway::listener::{Framing, FramingLimits, HeadMap, Position, RequestHead, Violation};

const LIMITS: FramingLimits =
    FramingLimits { head_bytes_max: 512, headers_max: 8, target_bytes_max: 128, body_bytes_max: 256 };

/// The heads that were taken, all bytes of bodies, the violation, where it ended.
type Read = (Vec<Vec<u8>>, Vec<u8>, Option<Violation>, Position);

fn read(input: &[u8], pieces: &[u8]) -> Read {
    let (mut framing, mut map) = (Framing::new(LIMITS), HeadMap::default());
    let mut pieces = pieces.iter().cycle();
    let (mut held, mut heads, mut body, mut rest) = (Vec::new(), Vec::new(), Vec::new(), input);
    while !rest.is_empty() {
        let length = pieces.next().map_or(rest.len(), |piece| usize::from(*piece).max(1)).min(rest.len());
        held.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
        loop {
            let taken = if framing.position() == Position::Body {
                framing.body(&held, &mut body)
            } else {
                framing.head(&held, &mut map).map(|head| {
                    head.map_or(0, |length| {
                        check_head(&held[..length], &map);
                        heads.push(held[..length].to_vec());
                        length
                    })
                })
            };
            match taken {
                Ok(0) => break,
                Ok(taken) => drop(held.drain(..taken)),
                Err(violation) => return (heads, body, Some(violation), framing.position()),
            }
        }
        if framing.position() == Position::End {
            break;
        }
        assert!(held.len() < LIMITS.head_bytes_max, "{} bytes are held, and no refusal", held.len());
    }
    (heads, body, None, framing.position())
}

fn check_head(bytes: &[u8], map: &HeadMap) {
    let head = RequestHead::new(bytes, map);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut oracle = httparse::Request::new(&mut headers);
    assert_eq!(oracle.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!((oracle.method, oracle.path), (Some(head.method()), Some(head.target())));
    let theirs = oracle.headers.iter().map(|header| (header.name.as_bytes(), header.value.trim_ascii()));
    assert!(head.headers().eq(theirs));
    let count = |name: &str| head.values(name).count();
    assert!(count("content-length") + count("transfer-encoding") <= 1);
    assert!(count("host") <= 1);
}

fuzz_target!(|data: &[u8]| {
    let Some((count, rest)) = data.split_first() else { return };
    let Some((pieces, input)) = rest.split_at_checked(usize::from(count % 8)) else { return };
    let whole = read(input, &[]);
    assert_eq!(read(input, pieces), whole);
    assert_eq!(read(input, &[1]), whole);
});
