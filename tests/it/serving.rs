//! The gateway as a whole: it starts, serves, refuses with a true wait, and stops without losing anything.

use crate::gateway::{OPEN, Setup};
use crate::generator::Generator;

#[test]
fn a_good_answer_goes_through_and_is_recorded() {
    let generator = Generator::good();
    let gateway = Setup::new(OPEN).generator(generator.address).start();
    let answer = gateway.get("/webcast/fetch?client=ttlive-python&room_id=7300000000000000001", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-set-tt-cookie"), Some("ttwid=1"));
    assert_eq!(generator.asked().len(), 1);
    assert!(
        (gateway.metric(r#"signgate_requests_total{operation="connect",rule="none",verdict="allow"}"#) - 1.0)
            .abs()
            < 0.1
    );
    let stopped = gateway.stop();
    assert!(stopped.status.success(), "{}", stopped.said);
    let records = stopped.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["request_id"].as_str(), answer.header("x-request-id"));
    assert_eq!(records[0]["outcome"], "good");
}

#[test]
fn over_quota_every_number_is_the_true_wait() {
    let policy =
        format!("{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = {{ minute = 1, hour = 2 }}\n");
    let gateway = Setup::new(&policy).start();
    let target = "/webcast/fetch?room_id=7300000000000000001";
    assert_eq!(gateway.get(target, &[]).status, 200);
    let refused = gateway.get(target, &["User-Agent: TikTokLive.py/7.0.1"]);
    let body = refused.refusal(429, "rate_limit_proxy_minute");
    let wait = refused.number("retry-after");
    assert!((55..=60).contains(&wait), "{wait}");
    assert_eq!(refused.number("ratelimit-reset"), wait);
    assert_eq!(refused.number("ratelimit-remaining"), wait, "TikTokLive reads its wait from here");
    assert!(body["message"].as_str().unwrap().contains(&format!("{wait} seconds")), "{body}");
    assert_eq!(gateway.get(target, &[]).number("ratelimit-remaining"), 0);
}

#[test]
fn what_a_generator_has_in_flight_is_told_while_it_has_it() {
    const SERIES: &str = r#"signgate_generator_requests_in_flight{generator="euler"}"#;
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    let generator = Generator::with(move |asked| {
        let _ = receiver.lock().unwrap().recv_timeout(crate::gateway::PATIENCE);
        crate::generator::good(asked)
    });
    let gateway = Setup::new(OPEN).generator(generator.address).start();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| gateway.get("/webcast/fetch?room_id=7300000000000000001", &[]));
        gateway.wait_until("one request in flight", |gateway| gateway.metric(SERIES) > 0.5);
        sender.send(()).unwrap();
        assert_eq!(asking.join().unwrap().status, 200);
    });
    gateway.wait_until("none in flight", |gateway| gateway.metric(SERIES) < 0.5);
}
