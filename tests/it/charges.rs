//! Who pays for what a generator does: failures of generators cost nothing, requests that are blamed and callers that hang up
//! are charged, and work in flight is bounded.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::gateway::{Gateway, Setup};
use crate::generator::{Generator, answer, good};
use crate::generators::{CONNECT_TARGET, COOKIE, NAME, gateway, gateway_of, left, limited, tells_nothing};

/// Holds a generator's answers back until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }

    /// A generator that answers well once the gate is open.
    fn guards(&self) -> Generator {
        let gate = self.clone();
        Generator::with(move |asked| {
            gate.pass();
            good(asked)
        })
    }
}

#[test]
fn beyond_what_a_generator_may_have_in_flight_there_is_no_capacity() {
    let gate = Gate::default();
    let generator = gate.guards();
    let gateway = Setup::new(&limited(5))
        .config(&format!(
            "[[generator]]\nname = \"{NAME}\"\nkind = \"euler\"\nurl = \"http://{}\"\nin-flight-max = 1",
            generator.address
        ))
        .start();
    let address = gateway.public;
    let first =
        std::thread::spawn(move || crate::gateway::ask(address, "GET", CONNECT_TARGET, &[], None).status);
    gateway.wait_until("the first request", |_| generator.asked().len() == 1);
    for _ in 0..3 {
        let refused = gateway.get(CONNECT_TARGET, &[]);
        refused.refusal(503, "no_capacity");
        tells_nothing("no capacity", &refused, generator.address);
    }
    gate.open();
    assert_eq!(first.join().unwrap(), 200);
    assert_eq!(gateway.get(CONNECT_TARGET, &[]).status, 200, "there is room again");
    assert_eq!(generator.asked().len(), 2);
    assert_eq!(left(&gateway), 3, "two were served, and the others cost nothing");
}

/// At the door, while a queue stands: as often as it comes, and in a replay of the record.
#[test]
fn who_is_turned_away_is_charged_nothing_and_replays_so() {
    const MAX: u32 = 5;
    let gate = Gate::default();
    let generator = gate.guards();
    let gateway = Setup::new(&limited(MAX))
        .config(&format!(
            "[generators]\nqueue-length = 1\n[[generator]]\nname = \"{NAME}\"\nkind = \"euler\"\n\
             url = \"http://{}\"\nin-flight-max = 1",
            generator.address
        ))
        .flag("--workers")
        .flag("1")
        .start();
    let address = gateway.public;
    let ask_of = move |source: [u8; 4], target: &str| {
        let mut stream = crate::gateway::connect_from(source.into(), address);
        let headers = ["Connection: close"];
        stream.write_all(&crate::gateway::request("GET", target, &headers, None)).unwrap();
        crate::gateway::Answer::read_one(&mut stream)
    };
    let ask_from = move |source| ask_of(source, CONNECT_TARGET);
    let is_over = Arc::new(AtomicBool::new(false));
    // Strangers, each once: one is served for ever, one waits, and the others find the queue full until it has stood long enough.
    let crowd: Vec<_> = (0..4u8)
        .map(|lane| {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                for n in 0..u16::MAX {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let [high, low] = n.to_be_bytes();
                    ask_from([127, 10 + lane, high, low.max(1)]);
                }
            })
        })
        .collect();
    let label = |answer: &crate::gateway::Answer| answer.json()["limit_label"].clone();
    gateway.wait_until("the door is shut", |_| label(&ask_from([127, 9, 9, 9])) == "overloaded");
    // More often than a quota can be given back; where the queue is full, too.
    let mut turned_away = 0;
    gateway.wait_until("enough are turned away", |_| {
        let answer = ask_from([127, 9, 9, 8]);
        assert_eq!(answer.status, 503, "the quota has nothing against it: {answer:?}");
        if label(&answer) == "overloaded" {
            turned_away += 1;
            assert_eq!(answer.number("ratelimit-remaining"), u64::from(MAX), "{answer:?}");
        }
        turned_away > 3 * MAX
    });
    let mut asked = 0_u16;
    gateway.wait_until("the limits tell of it", |_| {
        // Whoever asks more than now and then is told the same again.
        asked += 1;
        let [high, low] = asked.to_be_bytes();
        let limits = ask_of([127, 8, high, low], "/webcast/rate_limits");
        assert_eq!(limits.status, 200, "{limits:?}");
        limits.json()["load_shedding"]["chance"].as_f64().is_some_and(|chance| chance > 0.5)
    });
    is_over.store(true, Ordering::Relaxed);
    gate.open();
    for lane in crowd {
        lane.join().unwrap();
    }

    let policies = tempfile::tempdir().unwrap();
    std::fs::copy(gateway.policies().join("10-test.toml"), policies.path().join("10-test.toml")).unwrap();
    let stopped = gateway.stop();
    let of_one = |record: &&serde_json::Value| record["client"] == "127.9.9.8";
    let records: Vec<_> = stopped.records().into_iter().filter(|record| of_one(&record)).collect();
    let turned: Vec<_> = records.iter().filter(|record| record["turned_away"] == true).collect();
    assert_eq!(turned.len() as u32, turned_away);
    for record in turned {
        assert_eq!(
            (&record["verdict"], &record["outcome"], &record["refunded"], &record["lack"]),
            (&"allow".into(), &"no-capacity".into(), &false.into(), &"shed".into())
        );
    }
    let lines = records.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    std::fs::write(policies.path().join("access.jsonl"), lines).unwrap();
    let replayed = Command::new(env!("CARGO_BIN_EXE_signgate"))
        .args(["replay", "--strict", "--format", "json", "--policies"])
        .arg(policies.path())
        .arg("--input")
        .arg(policies.path().join("access.jsonl"))
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(report["unlike_recorded"], 0, "{report}");
}

#[test]
fn failures_of_generators_consume_nothing() {
    let generator = Generator::with(|_| answer(200, &[COOKIE], b""));
    let gateway = gateway_of(&limited(3), &[generator.address]);
    for _ in 0..3 {
        let failed = gateway.get(CONNECT_TARGET, &[]);
        failed.refusal(502, "generator_failed");
        assert_eq!(left(&gateway), 3);
    }
    generator.set(good);
    for left in [2, 1, 0] {
        let answer = gateway.get(CONNECT_TARGET, &[]);
        assert_eq!((answer.status, answer.number("ratelimit-remaining")), (200, left));
    }
    gateway.get(CONNECT_TARGET, &[]).refusal(429, "rate_limit_proxy_minute");
    assert!((gateway.metric(r#"signgate_refunds_total{operation="connect"}"#) - 3.0).abs() < 0.1);
    let records = gateway.stop().records();
    let refunded: Vec<_> = records.iter().filter(|record| record["refunded"] == true).collect();
    assert_eq!(refunded.len(), 3);
}

#[test]
fn a_window_gives_back_at_most_its_maximum() {
    let generator = Generator::with(|_| answer(500, &[], b""));
    let gateway = gateway_of(&limited(3), &[generator.address]);
    // Three are given back, three more are charged; whoever can make a generator fail has no endless tries.
    for tries in 1..=6 {
        assert_eq!(gateway.get(CONNECT_TARGET, &[]).status, 502, "{tries}");
    }
    gateway.get(CONNECT_TARGET, &[]).refusal(429, "rate_limit_proxy_minute");
    assert_eq!(generator.asked().len(), 6);
}

#[test]
fn a_request_that_is_blamed_is_charged() {
    let generator = Generator::good();
    let gateway = gateway(&limited(9), generator.address);
    for (status, told, label) in [
        (404, 404, "not_found"),
        (410, 404, "not_found"),
        (400, 400, "bad_request"),
        (422, 400, "bad_request"),
        (402, 402, "premium"),
    ] {
        generator.set(move |_| answer(status, &[], b"{\"message\":\"tokyo-rack-17\"}"));
        let before = left(&gateway);
        let blamed = gateway.get(CONNECT_TARGET, &[]);
        blamed.refusal(told, label);
        tells_nothing("blamed", &blamed, generator.address);
        assert_eq!(left(&gateway), before - 1, "{status}");
    }
}

#[test]
fn a_caller_that_hangs_up_is_charged_and_frees_the_generator() {
    let gate = Gate::default();
    let generator = gate.guards();
    let policy = format!("{}\n[[concurrency]]\nname = \"c\"\nscope = \"proxy\"\nmax = 1\n", limited(3));
    let gateway = gateway_of(&policy, &[generator.address]);
    let gone = |gateway: &Gateway| {
        gateway.metric(r#"signgate_outcomes_total{operation="connect",outcome="client-gone"}"#)
    };
    let mut stream = gateway.connect();
    stream.write_all(&crate::gateway::request("GET", CONNECT_TARGET, &[], None)).unwrap();
    gateway.wait_until("the request", |_| generator.asked().len() == 1);
    gateway.get(CONNECT_TARGET, &[]).refusal(429, "rate_limit_proxy_concurrency");
    // With a reset: a FIN alone would leave it two seconds.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    gateway.wait_until("the end of the request", |gateway| gone(gateway) > 0.5);
    assert_eq!(left(&gateway), 2, "a generator was asked: that is charged");
    gate.open();
    assert_eq!(gateway.get(CONNECT_TARGET, &[]).status, 200, "its place is free again");
    let records = gateway.stop().records();
    let gone = records.iter().find(|record| record["outcome"] == "client-gone").unwrap();
    assert!(!gone["refunded"].as_bool().unwrap_or_default(), "{gone}");
}

#[test]
fn a_caller_that_hangs_up_before_a_generator_is_asked_pays_nothing() {
    let generator = Generator::good();
    let gateway = gateway_of(&limited(3), &[generator.address]);
    let mut stream = gateway.connect();
    let head =
        "POST /webcast/chat HTTP/1.1\r\nHost: gateway.example\r\nContent-Length: 400\r\n\r\n{\"content\":";
    stream.write_all(head.as_bytes()).unwrap();
    gateway.wait_until("the request", |gateway| gateway.metric("signgate_requests_in_flight") > 0.5);
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    gateway.wait_until("its end", |gateway| gateway.metric("signgate_requests_in_flight") < 0.5);
    assert_eq!((left(&gateway), generator.asked().len()), (3, 0));
}
