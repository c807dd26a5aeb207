//! Any body of a sign-a-URL or chat request: it is refused or read, never a panic; and what is written anew reads the
//! same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use signgate::dialect::Request;
use signgate::dialect::forward::Scratch;
use signgate::policy::set::SessionMode;

const HASH_KEY: [u8; 32] = [7; 32];
const NO_HEADERS: [(&str, &[u8]); 0] = [];

fuzz_target!(|data: &[u8]| {
    for target in ["/webcast/sign_url", "/webcast/chat", "/webcast/rooms/0/chat", "/tiktok/sign_url?room_id=42"] {
        let mut request = Request::read("POST", target, NO_HEADERS, &HASH_KEY).unwrap();
        if request.read_body(data).is_err() {
            continue;
        }
        let client = "203.0.113.7".parse().unwrap();
        for mode in [SessionMode::Pass, SessionMode::Strip] {
            let mut scratch = Scratch::default();
            let sent = request.forward(mode, None, &mut scratch);
            let mut again = Request::read("POST", sent.target, NO_HEADERS, &HASH_KEY).unwrap();
            again.read_body(sent.body.unwrap()).unwrap();
            let (one, two) = (request.facts(client, None), again.facts(client, None));
            assert_eq!((one.room, one.target), (two.room, two.target));
            assert_eq!(two.session, one.session.filter(|_| mode == SessionMode::Pass));
        }
    }
});
