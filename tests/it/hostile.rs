//! Bytes of people who do not mean well, or of machines that speak something else: whatever comes, the gateway goes on, and
//! where it can say something it says it in JSON.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::corpus::corpus;
use crate::gateway::{Answer, Gateway, OPEN, Setup, send};
use crate::generator::Generator;

const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";

/// A gateway that takes connections as fast as they come.
fn gateway(generator: &Generator) -> Gateway {
    Setup::new(OPEN)
        .generator(generator.address)
        .config("[listen]\nclient-address = \"x-forwarded-for\"\ntrusted-proxies = [\"127.0.0.0/8\"]")
        .start()
}

/// It still serves, no thread has panicked, and it stops well with a record for each of `answers`.
fn is_well(gateway: Gateway, answers: usize) {
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    let stopped = gateway.stop();
    assert!(stopped.status.success(), "{}", stopped.said);
    assert!(!stopped.said.contains("panicked"), "{}", stopped.said);
    assert_eq!(stopped.records().len(), answers + 1);
}

/// Sends the bytes and asserts that every answer is one of ours; how many there were.
#[track_caller]
fn provoke(gateway: &Gateway, bytes: &[u8]) -> usize {
    let got = send(gateway.connect(), bytes);
    let shown = || format!("{} -> {}", bytes[..bytes.len().min(300)].escape_ascii(), got.escape_ascii());
    if bytes.starts_with(b"HEAD ") && got.starts_with(b"HTTP/1.1 40") && got.ends_with(b"\r\n\r\n") {
        return 1;
    }
    let answers = Answer::all_of(&got);
    assert_eq!(answers.is_empty(), bytes.is_empty(), "{}", shown());
    for answer in &answers {
        assert!(answer.header("x-request-id").is_some(), "{}", shown());
        if answer.status == 200 {
            continue;
        }
        let body = answer.json();
        assert!(body["message"].is_string() && body["error"] == body["message"], "{}", shown());
        assert_eq!(body["code"], answer.status, "{}", shown());
        assert!(!body["limit_label"].as_str().unwrap().is_empty(), "{}", shown());
    }
    answers.len()
}

/// Numbers without end (xorshift64*, Vigna, 2014), the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

#[test]
fn other_protocols_are_told_in_words() {
    let generator = Generator::good();
    let gateway = gateway(&generator);
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[0xaa; 500]].concat();
    let known: [(&[u8], &str); 12] = [
        (&hello, "tls"),
        (b"\x16", "tls"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0", "http2"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "request_line"),
        (b"EHLO mail.example\r\n", "request_line"),
        (b"*1\r\n$4\r\nPING\r\n", "request_line"),
        (b"\0\0\0\0\0\0\0\0", "control_byte"),
        (b"\x05\x01\0", "control_byte"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", "control_byte"),
        (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "control_byte"),
        (b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
        (b"CONNECT 127.0.0.1:9091 HTTP/1.1\r\nHost: a\r\n\r\n", "target_form"),
    ];
    for (bytes, label) in known {
        let answers = gateway.raw(bytes);
        assert_eq!(answers.len(), 1, "{}", bytes.escape_ascii());
        answers[0].rejection(400, label);
    }
    is_well(gateway, known.len());
}

#[test]
fn rubbish_is_answered_in_json() {
    let generator = Generator::good();
    let gateway = gateway(&generator);
    let mut random = Random(1);
    let mut answers = 0;
    for _ in 0..300 {
        let length = 1 + random.below(600);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        answers += provoke(&gateway, &bytes);
    }
    // Rubbish that looks better: requests of the corpus with a few bytes changed.
    let corpus = corpus();
    for _ in 0..1500 {
        let mut bytes = corpus[random.below(corpus.len())].bytes.clone();
        if bytes.len() > 4000 {
            continue;
        }
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            let from = [b'\r', b'\n', b' ', b':', b'%', b'0', 0, 0xff][random.below(8)];
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.insert(at, from),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        answers += provoke(&gateway, &bytes);
    }
    generator.asked();
    is_well(gateway, answers);
}

#[test]
fn heads_and_bodies_without_end_are_cut_short() {
    let generator = Generator::good();
    let gateway = gateway(&generator);
    let mega = |text: &str| text.repeat((4 << 20) / text.len());
    let get = "GET /webcast/fetch?room_id=5 HTTP/1.1\r\nHost: a\r\n";
    let post = "POST /webcast/sign_url HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        (mega("a"), 414),
        (format!("GET /{}", mega("a")), 414),
        (format!("GET /?{}", mega("room_id=5&")), 414),
        (format!("{get}X: {}", mega("a")), 431),
        (format!("{get}{}", mega("a")), 431),
        (format!("{get}{}", mega("a: b\r\n")), 431),
        (format!("{post}{}", mega("1\r\na\r\n")), 413),
        (format!("{post}{}", mega("0")), 400),
        (format!("{post}5;{}", mega("a")), 400),
    ];
    for (bytes, status) in &cases {
        // The gateway reads so much of it and then closes; the reset that follows may overtake its answer.
        let mut stream = gateway.connect();
        let mut writer = stream.try_clone().unwrap();
        let mut got = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = writer.write_all(bytes.as_bytes());
                let _ = writer.shutdown(Shutdown::Write);
            });
            let _ = stream.read_to_end(&mut got);
        });
        let start = &bytes[..bytes.len().min(80)];
        for answer in Answer::all_of(&got) {
            answer.rejection(*status, answer.json()["limit_label"].as_str().unwrap());
        }
        assert!(!got.is_empty(), "{start}");
    }
    assert_eq!(generator.take_asked(), []);
    is_well(gateway, cases.len());
}

#[test]
fn queries_and_bodies_that_cannot_be_read_are_refused() {
    let generator = Generator::good();
    let gateway = gateway(&generator);
    let deep = |open: &str| format!("{{\"url\":{}", open.repeat(10_000));
    let targets = [
        "/webcast/fetch?room_id=%",
        "/webcast/fetch?room_id=%0",
        "/webcast/fetch?%zz=1",
        "/webcast/fetch?room_id=5&x=%00",
        "/webcast/fetch?room_id=5&x=%0d%0aX-Injected:%201",
        "/webcast/fetch?room_id=5&x=%ff",
        "/webcast/fetch?room_id=-1",
        "/webcast/fetch?room_id=18446744073709551616",
        "/webcast/fetch?room_id=5.0",
        "/webcast/fetch?room_id=5;room_id=6",
        "/webcast/fetch?unique_id=%20%20",
        "/webcast/fetch?unique_id=a%2Fb",
        "/webcast/rooms/%35%2F/connect",
        "/webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2F%0d%0a",
        "/webcast/sign_url?url=%25",
        "/webcast/fetch",
        "/webcast/sign_url",
        "/webcast/fetch?room_id=",
    ];
    let many = format!("/webcast/fetch?room_id=5&{}", "a&".repeat(100));
    let mut count = 0;
    for target in targets.into_iter().chain([many.as_str()]) {
        let answer = gateway.get(target, &[]);
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
        answer.refusal(400, answer.json()["limit_label"].as_str().unwrap());
        count += 1;
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{\"url\":1}",
        "{\"url\":null}",
        "{\"url\":[]}",
        "{\"url\":\"\"}",
        "{}x",
        "{\"url\":\"\\ud800\"}",
        "{\"url\":1e400}",
        "<xml/>",
        "url=%zz",
        &deep("["),
        &deep("{\"a\":"),
        "{\"room_id\":99999999999999999999999,\"url\":\"https://webcast.tiktok.com/webcast/x\"}",
    ] {
        let answer = gateway.post("/webcast/sign_url", &[], body);
        assert_eq!(answer.status, 400, "{}: {answer:?}", &body[..body.len().min(80)]);
        answer.refusal(400, answer.json()["limit_label"].as_str().unwrap());
        count += 1;
    }
    for headers in [
        "User-Agent: \u{85}",
        "X-Api-Key: \u{ff}",
        "Accept: \u{9f}",
        "x-cookie-header: a\u{85}b",
        "User-Agent: a\r\nUser-Agent: b",
        "Authorization: Bearer",
        "Authorization: Bearer \u{fffd}",
    ] {
        let request = format!("GET {CONNECT} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
        count += provoke(&gateway, request.as_bytes());
    }
    let long = format!("GET {CONNECT} HTTP/1.1\r\nHost: a\r\nUser-Agent: {}\r\n\r\n", "a".repeat(5000));
    count += provoke(&gateway, long.as_bytes());
    for asked in generator.take_asked() {
        assert!(asked.target.starts_with(CONNECT), "{asked:?}");
    }
    is_well(gateway, count);
}

#[test]
fn thousands_of_pipelined_requests_are_answered_in_their_order() {
    const COUNT: usize = 4000;
    let generator = Generator::good();
    let gateway = gateway(&generator);
    let mut bytes = String::new();
    for number in 0..COUNT {
        bytes.push_str(match number % 4 {
            0 => "GET /webcast/rate_limits HTTP/1.1\r\nHost: a\r\n\r\n",
            1 => "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            2 => "PUT /webcast/fetch HTTP/1.1\r\nHost: a\r\n\r\n",
            _ => "POST /webcast/sign_url HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        });
    }
    let answers = gateway.raw(bytes.as_bytes());
    assert_eq!(answers.len(), COUNT);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, [200, 404, 405, 400][number % 4], "{number}");
        assert!(!answer.closes() || number == COUNT - 1, "{number}");
    }
    assert_eq!(generator.asked(), []);
    is_well(gateway, COUNT);
}

/// Clients that hang up at every point of a request, with and without a reset.
#[test]
fn clients_that_hang_up_anywhere_harm_nobody() {
    let generator = Generator::good();
    let gateway = gateway(&generator);
    let body = "{\"url\":\"https://webcast.tiktok.com/webcast/x?room_id=5\"}";
    let post =
        format!("POST /webcast/sign_url HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let pipelined = post.repeat(3);
    for reset in [false, true] {
        for end in (0..pipelined.len()).step_by(5) {
            let mut stream = gateway.connect();
            stream.write_all(&pipelined.as_bytes()[..end]).unwrap();
            if reset {
                socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            }
        }
    }
    gateway.wait_until("the end of all connections", |gateway| {
        gateway.metrics().contains("\nsigngate_requests_in_flight 0\n")
    });
    assert_eq!(gateway.get(CONNECT, &[]).status, 200);
    let stopped = gateway.stop();
    assert!(stopped.status.success() && !stopped.said.contains("panicked"), "{}", stopped.said);
    for record in stopped.records() {
        let outcome = record["outcome"].as_str().unwrap();
        assert!(["good", "invalid", "client-gone"].contains(&outcome), "{record}");
    }
}
