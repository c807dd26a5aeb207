//! The whole corpus of smuggled requests, through the gateway, with a generator behind it that records what it gets.

use std::collections::HashMap;

use serde_json::Value;
use signgate::gateway::listener::Violation;

use crate::corpus::{SMUGGLED, Variant, corpus};
use crate::gateway::{Answer, Gateway, OPEN, Setup, send};
use crate::generator::{Asked, Generator};

/// Puts `to` in the place of `from` at the start of `bytes`, if it stands there.
fn begin_with(bytes: &mut Vec<u8>, from: &str, to: &str) {
    if bytes.starts_with(from.as_bytes()) {
        bytes.splice(..from.len(), to.bytes());
    }
}

/// The corpus is about framing and asks for `/`: made to ask for what a generator is needed for, so that each request that
/// is taken reaches it.
fn for_the_gateway(mut variant: Variant) -> Variant {
    // Those of a certain size stay as large as they are.
    if !variant.name.contains("16 KiB") && !variant.name.starts_with("head ") {
        for version in ["1.0", "1.1"] {
            let get = format!("GET /webcast/fetch?room_id=42 HTTP/{version}\r\n");
            begin_with(&mut variant.bytes, &format!("GET / HTTP/{version}\r\n"), &get);
            let post = format!("POST /webcast/sign_url HTTP/{version}\r\n");
            begin_with(&mut variant.bytes, &format!("POST / HTTP/{version}\r\n"), &post);
        }
    }
    variant
}

/// What the gateway answers to a request that is framed well.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// A generator is asked once.
    Asked,
    /// It answers by itself.
    Own(u16),
}

fn fate(first_line: &str, body: &[u8]) -> Fate {
    let signs = first_line.starts_with("POST /webcast/sign_url");
    match first_line.split(' ').next() {
        _ if signs && body.starts_with(b"{\"url\"") => Fate::Asked,
        _ if signs => Fate::Own(400),
        Some("GET") if first_line.contains("fetch?room_id=42") => Fate::Asked,
        Some("GET") if first_line.contains("/rate_limits") => Fate::Own(200),
        // A connect without a room.
        Some("GET") if first_line.contains("//webcast//fetch/") => Fate::Own(400),
        Some("HEAD") => Fate::Own(405),
        _ => Fate::Own(404),
    }
}

/// The request lines of the requests that are framed well: the first stands at the start, the others behind a body.
fn first_lines(variant: &Variant) -> Vec<String> {
    let count = variant.expected.bodies.len();
    let text = String::from_utf8_lossy(&variant.bytes);
    let lines = text.lines().filter(|line| line.contains(" HTTP/1.") && !line.contains(SMUGGLED));
    let lines: Vec<String> = lines
        .map(|line| {
            // Behind a body stands the next line without an end between.
            let at = ["GET /", "POST /"].iter().filter_map(|start| line.rfind(start)).max();
            if count > 1 { line[at.unwrap_or(0)..].to_owned() } else { line.to_owned() }
        })
        .take(count)
        .collect();
    assert_eq!(lines.len(), count, "{}", variant.name);
    lines
}

fn check_asked(variant: &Variant, fates: &[Fate], asked: &[Asked]) {
    let name = &variant.name;
    let expected = fates.iter().filter(|fate| **fate == Fate::Asked).count();
    assert_eq!(asked.len(), expected, "{name}: what the generator was asked: {asked:?}");
    for asked in asked {
        let all = format!("{} {:?} {}", asked.target, asked.headers, String::from_utf8_lossy(&asked.body));
        assert!(!all.contains(SMUGGLED) && !all.contains("666"), "{name}: {all}");
        if asked.method == "GET" {
            let got = (asked.target.as_str(), &asked.body[..]);
            assert_eq!(got, ("/webcast/fetch?room_id=42", &b""[..]), "{name}");
        } else {
            let body: Value = serde_json::from_slice(&asked.body).unwrap();
            let url = "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001";
            assert_eq!(body["url"], url, "{name}");
        }
    }
}

/// Sends one variant; its answers, checked.
fn check(variant: &Variant, gateway: &Gateway, generator: &Generator) -> Vec<Answer> {
    let name = &variant.name;
    let bodies = &variant.expected.bodies;
    let lines = first_lines(variant);
    let fates: Vec<Fate> = lines.iter().zip(bodies).map(|(line, body)| fate(line, body)).collect();
    let mut got = send(gateway.connect(), &variant.bytes);
    if lines.first().is_some_and(|line| line.starts_with("HEAD ")) {
        // The answer to HEAD has the length of the body that it does not have (RFC 9110 section 9.3.2).
        assert!(got.ends_with(b"\r\n\r\n"), "{name}: {}", got.escape_ascii());
        let text = String::from_utf8(got).unwrap();
        got = text.replace("content-length: ", "x-length: ").into_bytes();
    }
    let answers = Answer::all_of(&got);
    check_asked(variant, &fates, &generator.take_asked());
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let expected = fates.iter().map(|fate| if let Fate::Own(status) = fate { *status } else { 200 });
    assert_eq!(
        statuses,
        expected.chain(variant.expected.rejected).collect::<Vec<_>>(),
        "{name}: {answers:?}"
    );
    if let (Some(status), Some(last)) = (variant.expected.rejected, answers.last()) {
        let label = last.json()["limit_label"].as_str().unwrap_or_default().to_owned();
        last.rejection(status, &label);
        // The framing refused it, and not what would have been read of it.
        let known = Violation::ALL.iter().any(|violation| violation.rejection().label == label);
        assert!(known, "{name}: {label}");
    }
    answers
}

#[test]
fn nothing_hidden_reaches_a_generator_and_every_refusal_is_said_and_recorded() {
    let generator = Generator::good();
    let gateway = Setup::new(OPEN)
        .generator(generator.address)
        // Trusted peers may connect as often as they like.
        .config("[listen]\nclient-address = \"x-forwarded-for\"\ntrusted-proxies = [\"127.0.0.0/8\"]")
        .start();
    let mut all = Vec::new();
    for variant in corpus().into_iter().map(for_the_gateway) {
        for answer in check(&variant, &gateway, &generator) {
            all.push((variant.name.clone(), answer));
        }
    }
    let stopped = gateway.stop();
    assert!(stopped.status.success() && !stopped.said.contains("panicked"), "{}", stopped.said);
    let records = stopped.records();
    assert_eq!(records.len(), all.len(), "one record for each answer");
    let records: HashMap<&str, &Value> =
        records.iter().map(|record| (record["request_id"].as_str().unwrap(), record)).collect();
    let refused = all.iter().filter(|(_, answer)| answer.status >= 400).count();
    assert!(refused > 600, "{refused}");
    for (name, answer) in &all {
        let record = records[answer.header("x-request-id").unwrap()];
        assert_eq!(record["status"], answer.status, "{name}");
        if answer.status >= 400 {
            assert_eq!(record["outcome"], "invalid", "{name}");
            // Nothing is made up of a head that was refused.
            let (method, target) = (record["method"].as_str().unwrap(), record["target"].as_str().unwrap());
            assert_eq!(method.is_empty(), target.is_empty(), "{name}: {record}");
            let body_labels =
                ["body_cut", "body_size", "chunk_size", "chunk_extension", "chunk_end", "trailer"];
            let by_head = Violation::ALL
                .iter()
                .map(|violation| violation.rejection().label)
                .any(|label| record["rule"] == label && !body_labels.contains(&label));
            assert!(!by_head || method.is_empty(), "{name}: {record}");
            if answer.header("x-length").is_none() {
                assert_eq!(record["rule"], answer.json()["limit_label"], "{name}");
            }
        }
    }
    assert!(!stopped.record.contains(SMUGGLED), "a hidden request was recorded");
}
