//! Told to stop, a gateway finishes what it was asked and says goodbye; nobody is cut off in the middle.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use crate::gateway::{Answer, OPEN, Setup, request};
use crate::generator::{Generator, good};

const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";

#[test]
fn a_request_under_way_gets_its_answer() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let generator = Generator::with(move |asked| {
        let _ = gate.lock().unwrap().recv_timeout(Duration::from_secs(20));
        good(asked)
    });
    let gateway = Setup::new(OPEN).generator(generator.address).start();
    let mut stream = gateway.connect();
    stream.write_all(&request("GET", CONNECT, &[], None)).unwrap();
    gateway.wait_until("the request", |_| generator.asked().len() == 1);
    gateway.signal("TERM");
    gateway
        .wait_until("the end of listening", |gateway| std::net::TcpStream::connect(gateway.public).is_err());
    // Beyond the time in which connections are still served as before, and a good part of a generator's own.
    let held_until = tokio::time::Instant::now() + Duration::from_millis(900);
    gateway.wait_until("the end of the lame duck", |_| tokio::time::Instant::now() > held_until);
    open.send(()).unwrap();
    let answer = Answer::read_one(&mut stream);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "then the connection ends");
    let stopped = gateway.wait_for_end();
    assert!(stopped.status.success(), "{}", stopped.said);
    assert_eq!(stopped.records().len(), 1);
    assert_eq!(stopped.records()[0]["outcome"], "good");
}

/// Whoever starts it may stop it as soon as it says that it is ready.
#[test]
fn signals_count_from_the_moment_that_it_is_ready() {
    for _ in 0..5 {
        let gateway = Setup::new(OPEN).start();
        gateway.signal("HUP");
        gateway.signal("TERM");
        let stopped = gateway.wait_for_end();
        assert_eq!(stopped.status.code(), Some(0), "{:?}: {}", stopped.status, stopped.said);
    }
}

#[test]
fn clients_that_keep_asking_are_told_to_go_and_lose_nothing() {
    let gateway = Setup::new(OPEN).start();
    let answered: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let mut stream = gateway.connect();
                scope.spawn(move || {
                    let mut answered = 0;
                    // Until it is told that this was the last answer: every request before has one.
                    loop {
                        stream.write_all(&request("GET", CONNECT, &[], None)).unwrap();
                        let answer = Answer::read_one(&mut stream);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        answered += 1;
                        if answer.header("connection") == Some("close") {
                            return answered;
                        }
                    }
                })
            })
            .collect();
        let first = r#"signgate_outcomes_total{operation="connect",outcome="good"}"#;
        gateway.wait_until("load", |gateway| gateway.metric(first) > 20.0);
        gateway.signal("TERM");
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let stopped = gateway.wait_for_end();
    assert!(stopped.status.success(), "{}", stopped.said);
    assert_eq!(stopped.records().len(), answered, "one record for each answer");
}
