//! How connections are counted and ended, and what polling costs.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::{CONNECT, open};
use crate::gateway::{Answer, Gateway, OPEN, Setup, connect};
use crate::generator::{Gate, Generator, good};

fn request(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// A generator that holds the answers for room 1 back.
fn held(gate: &Gate) -> Generator {
    let gate = gate.clone();
    Generator::with(move |asked| {
        if asked.target.ends_with("room_id=1") {
            gate.pass();
        }
        good(asked)
    })
}

/// Sends a request that the generator holds back, and waits until it has it.
fn begin(gateway: &Gateway, generator: &Generator) -> TcpStream {
    let before = generator.asked().len();
    let mut stream = gateway.connect();
    stream.write_all(&request("/webcast/fetch?room_id=1")).unwrap();
    gateway.wait_until("the generator's turn", |_| generator.asked().len() > before);
    stream
}

#[test]
fn asking_for_limits_costs_nothing_and_too_often_repeats() {
    let policy = format!("{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = {{ minute = 5 }}\n");
    let gateway = Setup::new(&policy).start();
    let polled = |target: &str| {
        let answer = gateway.get(target, &[]);
        assert_eq!(answer.status, 200);
        assert!(answer.json()["load_shedding"]["chance"].is_number());
        answer
    };
    assert_eq!(polled("/webcast/rate_limits").json()["minute"]["remaining"], 5);
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    for _ in 2..=30 {
        let answer = polled("/accounts/me/rate_limits?type=day");
        assert_eq!(answer.json()["minute"]["remaining"], 4, "polls cost nothing, and see the connect");
    }
    let told = polled("/webcast/rate_limits");
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    for _ in 32..=70 {
        assert_eq!(
            polled("/webcast/rate_limits").body,
            told.body,
            "the last answer again, and never a refusal"
        );
    }
    // Another source has polls of its own.
    let mut other = gateway.connect_from("127.0.0.2");
    other.write_all(&request("/webcast/rate_limits")).unwrap();
    assert_eq!(Answer::read_one(&mut other).json()["minute"]["remaining"], 5);
}

#[test]
fn a_source_with_too_many_connections_is_told_so_and_others_are_served() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let mut open: Vec<TcpStream> = (0..256).map(|_| gateway.connect()).collect();
    // The kernel may hand them to threads in another order: all are in when the last is answered.
    for stream in &mut open {
        stream.write_all(&request(CONNECT)).unwrap();
    }
    for stream in &mut open {
        assert_eq!(Answer::read_one(stream).status, 200);
    }
    let answers = Answer::read_all(&mut gateway.connect());
    assert_eq!(answers.len(), 1);
    let body = answers[0].json();
    assert_eq!((answers[0].status, body["code"].as_u64()), (429, Some(429)), "{body}");
    assert_eq!(body["limit_label"], "connections_per_source");
    assert!(answers[0].closes() && answers[0].number("retry-after") >= 1);
    let mut other = gateway.connect_from("127.0.0.2");
    other.write_all(&request(CONNECT)).unwrap();
    assert_eq!(Answer::read_one(&mut other).status, 200, "other sources are served");
    open.truncate(200);
    gateway.wait_until("room for a connection", |gateway| {
        let mut stream = gateway.connect();
        let _ = stream.write_all(&request(CONNECT));
        let _ = stream.shutdown(Shutdown::Write);
        Answer::read_all(&mut stream)[0].status == 200
    });
}

#[test]
fn a_source_that_connects_too_fast_is_told_so() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    // 500 at once and 100 a second: 2000 in a row are more, unless they take 15 seconds.
    let turned_away = (0..2000).find_map(|_| {
        let answers = gateway.raw(b"");
        answers.into_iter().next()
    });
    let answer = turned_away.expect("one is turned away");
    assert_eq!((answer.status, answer.json()["limit_label"].as_str()), (429, Some("accepts_per_source")));
    assert!(answer.closes() && answer.number("retry-after") >= 1);
    let mut other = gateway.connect_from("127.0.0.2");
    other.write_all(&request(CONNECT)).unwrap();
    assert_eq!(Answer::read_one(&mut other).status, 200);
}

#[test]
fn a_client_that_has_finished_sending_gets_its_answer() {
    let gate = Gate::default();
    let generator = held(&gate);
    let gateway = open(&generator).start();
    let mut stream = begin(&gateway, &generator);
    stream.shutdown(Shutdown::Write).unwrap();
    // The gateway has seen the end of input when it answers others on the same thread; then the answer may come.
    for _ in 0..8 {
        assert_eq!(gateway.get("/webcast/fetch?room_id=2", &[]).status, 200);
    }
    gate.open();
    let answers = Answer::read_all(&mut stream);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].status, 200);
}

/// A generator that does one piece of work at a time.
fn one_at_a_time(generator: &Generator) -> Setup {
    let config = format!(
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"http://{}\"\nin-flight-max = 1\n",
        generator.address
    );
    let policy = format!(
        "{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"room\"\nlimits = {{ minute = 1 }}\n\
         [[concurrency]]\nname = \"in-flight\"\nscope = \"subnet\"\nmax = 1\n"
    );
    Setup::new(&policy).config(&config)
}

#[test]
fn a_client_that_hangs_up_frees_its_places_and_is_charged() {
    for reset in [false, true] {
        let gate = Gate::default();
        let generator = held(&gate);
        let gateway = one_at_a_time(&generator).start();
        let stream = begin(&gateway, &generator);
        gateway.get("/webcast/fetch?room_id=2", &[]).refusal(429, "rate_limit_subnet_concurrency");
        if reset {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(stream);
        // Neither the place under the rule nor the one at the generator is held any longer, which still has not answered.
        gateway.wait_until("a free place", |gateway| {
            let answer = gateway.get("/webcast/fetch?room_id=2", &[]);
            assert!([200, 429].contains(&answer.status), "{answer:?}");
            answer.status == 200
        });
        gateway.get("/webcast/fetch?room_id=1", &[]).refusal(429, "rate_limit_room_id_minute");
        gate.open();
        let records = gateway.stop().records();
        let gone: Vec<_> = records.iter().filter(|record| record["outcome"] == "client-gone").collect();
        assert_eq!(gone.len(), 1, "{records:?}");
        assert_eq!((&gone[0]["status"], &gone[0]["room"]), (&0.into(), &"1".into()));
        assert_eq!(gone[0]["refunded"], false);
    }
}

#[test]
fn stopping_loses_nothing() {
    let gate = Gate::default();
    let generator = held(&gate);
    let gateway = open(&generator).start();
    let mut under_way = begin(&gateway, &generator);
    let mut idle = gateway.connect();
    idle.write_all(&request(CONNECT)).unwrap();
    let before = Answer::read_one(&mut idle);
    assert!(before.status == 200 && !before.closes(), "{before:?}");
    let mut fresh = gateway.connect();
    gateway.signal("TERM");
    // The fresh connection has sent nothing yet, and the idle one asks again: both are answered, the first answer after
    // the signal was seen being the last.
    for stream in [&mut idle, &mut fresh] {
        loop {
            stream.write_all(&request(CONNECT)).unwrap();
            let answer = Answer::read_one(stream);
            assert_eq!(answer.status, 200);
            if answer.closes() {
                break;
            }
        }
        assert!(Answer::read_all(stream).is_empty(), "closed");
    }
    gate.open();
    let last = Answer::read_all(&mut under_way);
    assert_eq!(last.len(), 1);
    assert!(last[0].status == 200 && last[0].closes(), "{last:?}");
    let public = gateway.public;
    let stopped = gateway.wait_for_end();
    assert!(stopped.status.success(), "{}", stopped.said);
    assert!(stopped.records().iter().all(|record| record["outcome"] == "good"), "{}", stopped.record);
    assert!(TcpStream::connect(public).is_err());
}

/// A connection between two requests may be closed at any time; one that has never been used, too.
#[test]
fn stopping_does_not_wait_for_connections_that_ask_nothing() {
    let generator = Generator::good();
    let gateway = open(&generator).start();
    let mut idle = connect(gateway.public);
    idle.write_all(&request(CONNECT)).unwrap();
    assert_eq!(Answer::read_one(&mut idle).status, 200);
    let fresh = connect(gateway.public);
    assert!(gateway.stop().status.success());
    for mut stream in [idle, fresh] {
        assert!(Answer::read_all(&mut stream).is_empty());
    }
}

/// A body is read whole before a place is taken for it.
#[test]
fn a_client_that_is_slow_with_its_body_holds_no_place() {
    let generator = Generator::good();
    let gateway = one_at_a_time(&generator).start();
    let body = format!("{{\"url\":\"{}\"}}", super::URL);
    let head =
        format!("POST /webcast/sign_url HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut slow: Vec<TcpStream> = (0..4).map(|_| gateway.connect()).collect();
    for stream in &mut slow {
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body.as_bytes()[..9]).unwrap();
    }
    gateway.wait_until("four requests", |gateway| {
        let metrics = gateway.metrics();
        metrics.contains("\nsigngate_requests_in_flight 4\n")
    });
    assert_eq!(gateway.get("/webcast/fetch?room_id=2", &[]).status, 200);
    assert_eq!(generator.take_asked().len(), 1);
    slow[0].write_all(&body.as_bytes()[9..]).unwrap();
    assert_eq!(Answer::read_one(&mut slow[0]).status, 200);
}

/// A load balancer's question is no request: it is not counted, not recorded, and answered until the end.
#[test]
fn the_health_path_answers_until_the_end() {
    let gate = Gate::default();
    let generator = held(&gate);
    let gateway = open(&generator).config("[listen]\nhealth-path = \"/alive\"").start();
    let healthy = gateway.get("/alive", &[]);
    assert_eq!((healthy.status, healthy.json()["status"].as_str()), (200, Some("ok")));
    gateway.get("/alive/", &[]).refusal(404, "unknown_path");
    let mut under_way = begin(&gateway, &generator);
    let mut balancer = gateway.connect();
    gateway.signal("TERM");
    loop {
        balancer.write_all(&request("/alive")).unwrap();
        let answer = Answer::read_one(&mut balancer);
        if answer.status == 503 {
            assert_eq!(answer.json()["status"], "stopping");
            break;
        }
        assert!(!answer.closes(), "it says so before it closes");
    }
    gate.open();
    assert_eq!(Answer::read_all(&mut under_way)[0].status, 200);
    assert_eq!(gateway.wait_for_end().records().len(), 2, "the wrong path and the connect");
}
