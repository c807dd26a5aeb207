//! A generator's answer: whatever it sends, however it is divided, the parser does not panic, keeps to its limits, and
//! gives one verdict.
//!
//! Input: one byte for the method and whether the limits are small, one for the number of piece lengths (0 to 7), the
//! lengths, the answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signgate::generator::wire::{AnswerParser, Limits, Method, Wanted, WireError};

const WANTED: Wanted = Wanted::new(&["x-room-id", "content-type", "x-set-tt-cookie"]);

const SMALL: Limits = Limits {
    head_bytes_max: 128,
    headers_max: 4,
    body_bytes_max: 64,
    interims_max: 2,
    trailer_bytes_max: 48,
    extension_bytes_max: 24,
};

/// Status, wanted headers, body, whether the connection may be used again, bytes taken.
type Read = (u16, Vec<Option<Vec<u8>>>, Vec<u8>, bool, usize);

fn read(method: Method, limits: Limits, input: &[u8], lens: &[u8]) -> Result<Read, WireError> {
    let mut parser = AnswerParser::new(method, WANTED, limits);
    let mut lens = lens.iter().cycle();
    let (mut given, mut taken) = (0, 0);
    while given < input.len() && !parser.is_complete() {
        given += lens.next().map_or(input.len(), |len| usize::from(*len).max(1));
        given = given.min(input.len());
        let len = parser.feed(&input[taken..given])?;
        assert!(len <= given - taken, "took more than it was given");
        taken += len;
        if !parser.is_complete() {
            let held = given - taken;
            let most = limits.head_bytes_max.max(limits.trailer_bytes_max).max(256);
            assert!(held < most, "{held} bytes are left with the caller, and no refusal");
        }
    }
    if !parser.is_complete() {
        parser.end(&input[taken..])?;
    }
    assert!(parser.is_complete(), "neither an answer nor a refusal");
    let reuse = parser.keeps_alive();
    let answer = parser.into_answer().expect("complete");
    assert!(answer.body().len() <= limits.body_bytes_max);
    assert!((200..600).contains(&answer.status().as_u16()));
    let headers = ["x-room-id", "content-type", "x-set-tt-cookie"]
        .map(|name| answer.header(name).map(<[u8]>::to_vec))
        .to_vec();
    for value in headers.iter().flatten() {
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "a value could end a line");
    }
    Ok((answer.status().as_u16(), headers, answer.into_body().to_vec(), reuse, taken))
}

fuzz_target!(|data: &[u8]| {
    let [flags, count, rest @ ..] = data else { return };
    let Some((lens, input)) = rest.split_at_checked(usize::from(count & 7)) else { return };
    let method = match flags & 3 {
        0 => Method::Head,
        1 => Method::Post,
        _ => Method::Get,
    };
    let limits = if flags & 4 == 0 { Limits::default() } else { SMALL };
    let at_once = read(method, limits, input, &[]);
    assert_eq!(read(method, limits, input, lens), at_once, "in pieces of {lens:?}");
    assert_eq!(read(method, limits, input, &[1]), at_once, "bytewise");
    if let Ok((.., taken)) = at_once {
        // What follows an answer is not the answer's business.
        let reused = read(method, limits, &input[..taken], &[]);
        assert_eq!(reused, at_once, "the surplus changed the answer");
    }
});
