//! Any head, as a client might send it: it is refused or read, never a panic; and what is read is sent on as the same
//! request.
//!
//! Input: the first byte chooses the method, the first line is the target, every further line a header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use signgate::dialect::Request;
use signgate::dialect::forward::Scratch;
use signgate::policy::set::SessionMode;

const HASH_KEY: [u8; 32] = [7; 32];

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let method = if choice & 1 == 0 { "GET" } else { "POST" };
    let mut lines = rest.split(|byte| *byte == b'\n');
    let Some(Ok(target)) = lines.next().map(std::str::from_utf8) else { return };
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
    });
    let Ok(mut request) = Request::read(method, target, headers, &HASH_KEY) else { return };
    if request.read_body(b"{}").is_err() {
        return;
    }
    let client = "203.0.113.7".parse().unwrap();
    let mut scratch = Scratch::default();
    let sent = request.forward(SessionMode::Pass, None, &mut scratch);
    assert!(sent.target.bytes().all(|byte| byte.is_ascii_graphic()));
    for (_, value) in sent.headers.as_slice() {
        assert!(!value.contains(char::is_control));
    }
    let headers = sent.headers.as_slice().iter().map(|(name, value)| (*name, value.as_bytes()));
    let mut again = Request::read(sent.method.as_str(), sent.target, headers, &HASH_KEY).unwrap();
    again.read_body(sent.body.unwrap_or_default()).unwrap();
    let (one, two) = (request.facts(client, None), again.facts(client, None));
    assert_eq!((one.operation, one.room, one.target, one.library), (two.operation, two.room, two.target, two.library));
    assert!(again.key().is_none());
});
