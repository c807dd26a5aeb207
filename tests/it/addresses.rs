//! The client's address comes from exactly one source. Each trick to choose another one is tried here, and what came of it
//! is read in the access record and felt at a blocklist.

use std::io::Write;

use serde_json::Value;

use crate::gateway::{Answer, Gateway, OPEN, Setup, send};

const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";

/// Everybody is admitted but 203.0.113.0/24 and 2001:db8:bad::/48.
fn policy() -> String {
    format!("{OPEN}\n[[blocklist]]\nname = \"bad\"\nprefixes = [\"203.0.113.0/24\", \"2001:db8:bad::/48\"]\n")
}

/// A gateway that takes addresses from `source`, with these trusted proxies.
fn gateway(source: &str, trusted: &str) -> Gateway {
    let listen = format!("[listen]\nclient-address = \"{source}\"\ntrusted-proxies = [{trusted}]");
    Setup::new(&policy()).config(&listen).start()
}

fn is_blocked(client: &str) -> bool {
    client.starts_with("203.0.113.") || client.starts_with("2001:db8:bad:")
}

/// Asks with each of the cases' bytes before and headers in the request; each is to come from the address that it names.
fn clients(gateway: Gateway, cases: &[(Vec<u8>, Vec<&str>, &str)]) {
    for (preface, headers, client) in cases {
        let mut bytes = preface.clone();
        bytes.extend(request(headers));
        let answers = gateway.raw(&bytes);
        assert_eq!(answers.len(), 1, "{headers:?}: {answers:?}");
        if is_blocked(client) {
            answers[0].refusal(403, "blocked");
        } else {
            assert_eq!(answers[0].status, 200, "{headers:?} from {client}: {answers:?}");
        }
    }
    let records = gateway.stop().records();
    assert_eq!(records.len(), cases.len());
    for (record, (preface, headers, client)) in records.iter().zip(cases) {
        assert_eq!(record["client"], *client, "{} {headers:?}", preface.escape_ascii());
    }
}

fn request(headers: &[&str]) -> Vec<u8> {
    let mut text = format!("GET {CONNECT} HTTP/1.1\r\nHost: a\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Cases of headers alone.
fn by_headers(cases: &[(&[&'static str], &'static str)]) -> Vec<(Vec<u8>, Vec<&'static str>, &'static str)> {
    cases.iter().map(|(headers, client)| (Vec::new(), headers.to_vec(), *client)).collect()
}

/// Every header that some server somewhere believes.
const ALL_HEADERS: [&str; 8] = [
    "X-Forwarded-For: 203.0.113.7",
    "Forwarded: for=203.0.113.7",
    "X-Real-IP: 203.0.113.7",
    "True-Client-IP: 203.0.113.7",
    "CF-Connecting-IP: 203.0.113.7",
    "X-Client-IP: 203.0.113.7",
    "X-Cluster-Client-IP: 203.0.113.7",
    "Fastly-Client-IP: 203.0.113.7",
];

#[test]
fn the_peer_is_the_client_whatever_headers_say() {
    let gateway = Setup::new(&policy()).start();
    clients(gateway, &by_headers(&[(&ALL_HEADERS, "127.0.0.1"), (&[], "127.0.0.1")]));
}

#[test]
fn each_peer_is_a_client_of_its_own() {
    let blocked = format!("{OPEN}\n[[blocklist]]\nname = \"bad\"\nprefixes = [\"127.0.0.3/32\"]\n");
    let gateway = Setup::new(&blocked).start();
    for (source, status) in [("127.0.0.2", 200), ("127.0.0.3", 403), ("127.0.0.4", 200)] {
        let got = send(gateway.connect_from(source), &request(&[]));
        assert_eq!(Answer::all_of(&got)[0].status, status, "{source}");
    }
    let records = gateway.stop().records();
    let seen: Vec<&Value> = records.iter().map(|record| &record["client"]).collect();
    assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
}

#[test]
fn an_ipv4_peer_on_an_ipv6_socket_is_an_ipv4_client() {
    let blocked = format!("{OPEN}\n[[blocklist]]\nname = \"bad\"\nprefixes = [\"127.0.0.3/32\"]\n");
    let config = "[listen]\nclient-address = \"x-forwarded-for\"\ntrusted-proxies = [\"127.0.0.1\"]";
    let gateway = Setup::new(&blocked).config(config).listen("[::]:0").start();
    let port = gateway.public.port();
    for (source, header, status) in [
        ("127.0.0.1", "X-Forwarded-For: 198.51.100.9", 200),
        ("127.0.0.1", "X-Forwarded-For: ::ffff:127.0.0.3", 403),
        ("127.0.0.3", "X-Forwarded-For: 198.51.100.9", 403),
        ("::1", "X-Forwarded-For: 198.51.100.9", 200),
    ] {
        let to = if source == "::1" { "::1" } else { "127.0.0.1" };
        let address = std::net::SocketAddr::new(to.parse().unwrap(), port);
        let stream = crate::gateway::connect_from(source.parse().unwrap(), address);
        assert_eq!(Answer::all_of(&send(stream, &request(&[header])))[0].status, status, "{source} {header}");
    }
    let records = gateway.stop().records();
    let seen: Vec<&Value> = records.iter().map(|record| &record["client"]).collect();
    assert_eq!(seen, ["198.51.100.9", "127.0.0.3", "127.0.0.3", "::1"]);
}

#[test]
fn x_forwarded_for_of_a_trusted_peer_is_read_from_the_right() {
    let gateway = gateway("x-forwarded-for", "\"127.0.0.0/8\", \"10.0.0.0/8\"");
    clients(
        gateway,
        &by_headers(&[
            (&["X-Forwarded-For: 198.51.100.9"], "198.51.100.9"),
            (&["X-Forwarded-For: 203.0.113.7"], "203.0.113.7"),
            // What the client itself wrote stands on the left.
            (&["X-Forwarded-For: 1.2.3.4, 203.0.113.7"], "203.0.113.7"),
            (&["X-Forwarded-For: 127.0.0.1, 203.0.113.7"], "203.0.113.7"),
            (&["X-Forwarded-For: 10.0.0.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            (&["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 203.0.113.7"], "203.0.113.7"),
            (&["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 1.2.3.4"], "1.2.3.4"),
            (&["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 10.0.0.2"], "203.0.113.7"),
            // An entry that cannot be read ends the walk: what is left of it is the client's own.
            (&["X-Forwarded-For: 1.2.3.4, unknown"], "127.0.0.1"),
            (&["X-Forwarded-For: 1.2.3.4, "], "127.0.0.1"),
            (&["X-Forwarded-For:"], "127.0.0.1"),
            (&["X-Forwarded-For: 1.2.3.4, 203.0.113.7.9, 10.0.0.2"], "10.0.0.2"),
            (&["X-Forwarded-For: 0xcb.0.113.7"], "127.0.0.1"),
            (&["X-Forwarded-For: 3405803783"], "127.0.0.1"),
            (&["X-Forwarded-For: 203.000.113.007"], "127.0.0.1"),
            (&["X-Forwarded-For: 1.2.3.4\t,\t203.0.113.7"], "203.0.113.7"),
            (&["X-Forwarded-For: ::ffff:203.0.113.7"], "203.0.113.7"),
            (&["X-Forwarded-For: 203.0.113.7, ::ffff:10.0.0.1"], "203.0.113.7"),
            (&["X-Forwarded-For: [::ffff:cb00:7107]:4711"], "203.0.113.7"),
            (&["X-Forwarded-For: 203.0.113.7:4711"], "203.0.113.7"),
            (&["X-Forwarded-For: 2001:db8:bad::7"], "2001:db8:bad::7"),
            (&["X-Forwarded-For: [2001:db8:bad::7]"], "2001:db8:bad::7"),
            (&["X-Forwarded-For: 2001:DB8:BAD:0::7%eth0"], "127.0.0.1"),
            (&[], "127.0.0.1"),
            // Other headers are none of its sources.
            (&ALL_HEADERS[1..], "127.0.0.1"),
            (&["Forwarded: for=203.0.113.7", "X-Forwarded-For: 198.51.100.9"], "198.51.100.9"),
        ]),
    );
}

#[test]
fn forwarded_of_a_trusted_peer_is_read_from_the_right() {
    let gateway = gateway("forwarded", "\"127.0.0.0/8\", \"10.0.0.0/8\"");
    clients(
        gateway,
        &by_headers(&[
            (&["Forwarded: for=203.0.113.7"], "203.0.113.7"),
            (&["Forwarded: FOR=\"203.0.113.7:4711\";proto=https"], "203.0.113.7"),
            (&["Forwarded: by=10.0.0.9;for=203.0.113.7, for=10.0.0.2"], "203.0.113.7"),
            (&["Forwarded: for=1.2.3.4, for=203.0.113.7"], "203.0.113.7"),
            (&["Forwarded: for=1.2.3.4", "Forwarded: for=203.0.113.7"], "203.0.113.7"),
            (&["Forwarded: for=\"[2001:db8:bad::7]:4711\""], "2001:db8:bad::7"),
            (&["Forwarded: for=\"[::ffff:203.0.113.7]\""], "203.0.113.7"),
            (&["Forwarded: for=1.2.3.4, for=unknown"], "127.0.0.1"),
            (&["Forwarded: for=1.2.3.4, for=_hidden"], "127.0.0.1"),
            (&["Forwarded: for=1.2.3.4, proto=https"], "127.0.0.1"),
            (&["Forwarded: for=1.2.3.4;for=203.0.113.7"], "127.0.0.1"),
            (&["Forwarded: for=\"1.2.3.4, for=203.0.113.7"], "203.0.113.7"),
            (&["Forwarded: by=\"x, for=1.2.3.4"], "1.2.3.4"),
            (&["Forwarded: 203.0.113.7"], "127.0.0.1"),
            (&["X-Forwarded-For: 203.0.113.7"], "127.0.0.1"),
        ]),
    );
}

#[test]
fn headers_of_a_stranger_are_not_believed() {
    for source in ["x-forwarded-for", "forwarded"] {
        let gateway = gateway(source, "\"10.0.0.0/8\"");
        clients(
            gateway,
            &by_headers(&[
                (&ALL_HEADERS, "127.0.0.1"),
                (&["X-Forwarded-For: 203.0.113.7, 10.0.0.1"], "127.0.0.1"),
                (&["Forwarded: for=203.0.113.7, for=10.0.0.1"], "127.0.0.1"),
            ]),
        );
    }
}

/// A version 2 preface: command and version, family and protocol, then addresses and what else there is.
fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn v2_tcp4(source: [u8; 4]) -> Vec<u8> {
    v2(0x21, 0x11, &[&source[..], &[10, 0, 0, 1, 0x1f, 0x90, 0, 80]].concat())
}

fn v2_tcp6(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    v2(0x21, 0x21, &[&source.octets()[..], &[0; 16], &[0x1f, 0x90, 0, 80]].concat())
}

#[test]
fn the_proxy_protocol_names_the_client() {
    let gateway = gateway("proxy-protocol", "\"127.0.0.0/8\"");
    let tlv = |source: [u8; 4]| {
        let payload = [&source[..], &[10, 0, 0, 1, 0x1f, 0x90, 0, 80], &[4, 0, 3, 1, 2, 3]].concat();
        v2(0x21, 0x11, &payload)
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"PROXY TCP4 198.51.100.9 10.0.0.1 8080 80\r\n".to_vec(), "198.51.100.9"),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n".to_vec(), "203.0.113.7"),
        (b"PROXY TCP6 2001:db8:bad::7 ::1 8080 80\r\n".to_vec(), "2001:db8:bad::7"),
        (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 8080 80\r\n".to_vec(), "203.0.113.7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (b"PROXY UNKNOWN 203.0.113.7 10.0.0.1 8080 80\r\n".to_vec(), "127.0.0.1"),
        (v2_tcp4([198, 51, 100, 9]), "198.51.100.9"),
        (v2_tcp4([203, 0, 113, 7]), "203.0.113.7"),
        (tlv([203, 0, 113, 7]), "203.0.113.7"),
        (v2_tcp6("2001:db8:bad::7"), "2001:db8:bad::7"),
        (v2_tcp6("::ffff:203.0.113.7"), "203.0.113.7"),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
        (v2(0x20, 0x11, &[203, 0, 113, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80]), "127.0.0.1"),
        (v2(0x21, 0x00, &[]), "127.0.0.1"),
    ];
    let cases: Vec<_> = cases
        .into_iter()
        // No header has a say here.
        .map(|(preface, client)| (preface, ALL_HEADERS.to_vec(), client))
        .collect();
    clients(gateway, &cases);
}

#[test]
fn a_preface_holds_for_all_requests_of_its_connection_and_may_come_in_pieces() {
    let gateway = gateway("proxy-protocol", "\"127.0.0.0/8\"");
    for preface in [b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n".to_vec(), v2_tcp4([203, 0, 113, 7])] {
        let mut stream = gateway.connect();
        for byte in &preface {
            stream.write_all(&[*byte]).unwrap();
        }
        for _ in 0..3 {
            stream.write_all(&request(&[])).unwrap();
            Answer::read_one(&mut stream).refusal(403, "blocked");
        }
        // A second one is no preface.
        stream.write_all(b"PROXY TCP4 198.51.100.9 10.0.0.1 8080 80\r\n").unwrap();
        stream.write_all(&request(&[])).unwrap();
        Answer::read_one(&mut stream).rejection(400, "proxy_protocol");
    }
}

#[test]
fn a_preface_that_is_missing_or_malformed_is_refused() {
    let gateway = gateway("proxy-protocol", "\"127.0.0.0/8\"");
    let request = request(&[]);
    let long = format!("PROXY UNKNOWN {}", "a".repeat(200));
    let bad: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\n".to_vec(),
        b"PROXY TCP4 203.0.113.777 10.0.0.1 8080 80\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::7 ::1 8080 80\r\n".to_vec(),
        b"PROXY UDP4 203.0.113.7 10.0.0.1 8080 80\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80 x\r\n".to_vec(),
        b"proxy TCP4 203.0.113.7 10.0.0.1 8080 80\r\n".to_vec(),
        b" PROXY UNKNOWN\r\n".to_vec(),
        b"\r\nPROXY UNKNOWN\r\n".to_vec(),
        long.into_bytes(),
        v2(0x11, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x11, &[0; 4]),
        v2(0x21, 0x12, &[0; 12]),
        v2(0x21, 0x11, &[0; 600]),
    ];
    for preface in &bad {
        let answers = gateway.raw(&[&preface[..], &request].concat());
        assert_eq!(answers.len(), 1, "{}", preface.escape_ascii());
        answers[0].rejection(400, "proxy_protocol");
    }
    let records = gateway.stop().records();
    assert_eq!(records.len(), bad.len());
    assert!(
        records.iter().all(|record| record["client"] == "127.0.0.1" && record["rule"] == "proxy_protocol")
    );
}

#[test]
fn a_preface_of_a_stranger_is_refused_and_without_one_the_peer_is_the_client() {
    let gateway = gateway("proxy-protocol", "\"10.0.0.0/8\"");
    let request = request(&["X-Forwarded-For: 203.0.113.7"]);
    for (preface, label) in [
        (b"PROXY TCP4 198.51.100.9 10.0.0.1 8080 80\r\n".to_vec(), "proxy_protocol"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "proxy_protocol"),
        (v2_tcp4([198, 51, 100, 9]), "proxy_protocol"),
        (v2(0x20, 0x00, &[]), "proxy_protocol"),
    ] {
        let answers = gateway.raw(&[&preface[..], &request].concat());
        assert_eq!(answers.len(), 1);
        answers[0].rejection(400, label);
    }
    assert_eq!(gateway.raw(&request)[0].status, 200);
    let records = gateway.stop().records();
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|record| record["client"] == "127.0.0.1"), "{records:?}");
}

/// Where no other source is configured, a PROXY line is no request.
#[test]
fn a_preface_nobody_asked_for_is_refused() {
    for gateway in [Setup::new(OPEN).start(), gateway("x-forwarded-for", "\"127.0.0.0/8\"")] {
        let bytes = [&b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n"[..], &request(&[])].concat();
        let answers = gateway.raw(&bytes);
        assert_eq!(answers.len(), 1);
        answers[0].rejection(400, "proxy_protocol");
        let records = gateway.stop().records();
        assert_eq!(records[0]["client"], "127.0.0.1");
    }
}
