//! Bodies: slow ones, unfinished ones, and what the record keeps of them.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::gateway::{Answer, Gateway, OPEN, Setup};

const BODY: &str =
    r#"{"url":"https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001","method":"GET"}"#;

/// A request to sign a URL whose body lacks its last byte.
fn begin(gateway: &Gateway) -> TcpStream {
    let mut stream = gateway.connect();
    let (most, _) = BODY.split_at(BODY.len() - 1);
    write!(
        stream,
        "POST /webcast/sign_url HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{most}",
        BODY.len()
    )
    .unwrap();
    stream
}

#[test]
fn slow_bodies_do_not_save_up_what_a_rate_admits() {
    let policy = format!(
        "{OPEN}\n[[rate]]\nname = \"pace\"\nscope = \"proxy\"\noperations = [\"sign-url\"]\nrate = \"5/s\"\nburst = 1\n"
    );
    let gateway = Setup::new(&policy).flag("--workers").flag("1").start();
    let mut streams: Vec<_> = (0..6)
        .map(|_| {
            let stream = begin(&gateway);
            // Heads at a pace that the rate admits; a gateway that decides by the time of the head admits them all.
            std::thread::sleep(Duration::from_millis(210));
            stream
        })
        .collect();
    for stream in &mut streams {
        stream.write_all(b"}").unwrap();
    }
    let answers = streams.iter_mut().map(Answer::read_one);
    let admitted = answers.filter(|answer| answer.status == 200).count();
    assert!((1..=3).contains(&admitted), "of six bodies that came at once {admitted} were admitted");
}

#[test]
fn a_client_that_hangs_up_within_its_body_is_recorded_with_a_reason() {
    let gateway = Setup::new(OPEN).start();
    let stream = begin(&gateway);
    // A reset: nobody is left to whom an answer could be written.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    gateway.wait_until("the request is over", |gateway| {
        gateway.metric(r#"signgate_outcomes_total{operation="sign-url",outcome="invalid"}"#) > 0.5
    });
    let records = gateway.stop().records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["rule"], "body_cut");
}

#[test]
fn the_record_tells_what_stood_in_the_body_and_who_asked_amiss() {
    let gateway = Setup::new(OPEN).flag("--workers").flag("1").start();
    let elsewhere = r#"{"url":"https://elsewhere.example/p/?sessionid=s3cret","method":"GET"}"#;
    assert_eq!(gateway.post("/webcast/sign_url", &[], elsewhere).status, 403);
    let browser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) a-tool-of-somebody/1.0";
    assert_eq!(gateway.get("/no/such/path", &[browser]).status, 404);
    let _ = gateway.raw(b"\x16\x03\x01rubbish\r\n\r\n");
    let stopped = gateway.stop();
    assert!(!stopped.record.contains("s3cret"));
    let records = stopped.records();
    assert_eq!(records[0]["url"], "https://elsewhere.example/p/", "replay needs it to refuse it again");
    assert_eq!(records[1]["user_agent"], browser.strip_prefix("User-Agent: ").unwrap());
    assert_eq!(records[2]["method"], "", "nobody knows what it was");
}
