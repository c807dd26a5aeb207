use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::base::time::{Clock, Timestamp};
use crate::policy::set::Digest;
use crate::telemetry::readiness::{GeneratorState, InForce, Phase, ReloadError};

/// With nobody at the desk: what `/policies` does is tested with a whole gateway.
pub(super) fn shown() -> Shown {
    Shown {
        metrics: Arc::new(Metrics::new(Timestamp::from_secs(1))),
        readiness: Readiness::new(),
        desk: Desk::new(std::sync::mpsc::channel().0),
        door: Arc::new(Door::new(Vec::new(), Clock::manual(Timestamp::from_secs(1)))),
        record: Arc::new(nothing_recorded()),
        clock: Clock::manual(Timestamp::from_secs(1)),
        generators: Arc::new(no_generators()),
        gateway: Arc::new(gateway(
            "format = 1\n[tier.anonymous]\nclass = \"none\"\n",
            Clock::manual(Timestamp::from_secs(1)),
        )),
    }
}

/// What a data path would share, with nobody on it.
pub(super) fn gateway(policy: &str, clock: Clock) -> Shared {
    let mut sources = crate::policy::Sources::new("");
    sources.insert("p.toml", policy);
    // For a policy that names it.
    sources.insert("networks.csv", "198.18.0.0/15,64500,hosting\n");
    let policy =
        crate::policy::compile(&sources, clock.now()).unwrap_or_else(|wrong| panic!("{wrong:?}")).set;
    let metrics = Arc::new(Metrics::new(clock.now()));
    let live = crate::gateway::Live::new(policy, &metrics, 1);
    let engine = crate::engine::Engine::new(10_000, 1);
    Shared::new(engine, live, clock, metrics, crate::gateway::Settings::default(), [0; 32])
}

fn no_generators() -> Generators {
    let stage = crate::generator::stage::Stage::new(Vec::new(), <_>::default(), Timestamp::from_secs(1));
    Generators::new(
        Arc::new(stage),
        Box::new(|| Ok(<_>::default())),
        Arc::new(nothing_recorded()),
        Arc::new(Metrics::new(Timestamp::from_secs(1))),
        Readiness::new(),
        Clock::manual(Timestamp::from_secs(1)),
    )
}

fn nothing_recorded() -> RecordLog {
    use crate::telemetry::access_log::{Destination, RecordSettings};
    let settings = RecordSettings { destination: Destination::None, ..RecordSettings::default() };
    let clock = Clock::manual(Timestamp::from_secs(1));
    RecordLog::open(&settings, clock, Metrics::new(Timestamp::EPOCH).record_counts()).unwrap()
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A gateway's admin thread, and where it is.
pub(super) fn started(shown: &Shown) -> (AdminThread, SocketAddr) {
    let listener = bind(anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    (start(listener, None, shown.clone()).unwrap(), address)
}

/// The whole answer to one request, as it came.
pub(super) fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn pages() {
    let shown = shown();
    let (admin, address) = started(&shown);
    let metrics = ask(address, "GET /metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    assert!(metrics.contains("\nsigngate_process_start_time_seconds 1\n"), "{metrics}");
    assert!(ask(address, "GET /healthz").ends_with("\r\n\r\n{\"status\":\"alive\"}\n"));
    assert!(ask(address, "HEAD /healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    for (request, status) in [
        ("GET /", "404 Not Found"),
        ("GET /metrics/", "404 Not Found"),
        ("POST /metrics", "405 Method Not Allowed"),
        ("DELETE /readyz", "405 Method Not Allowed"),
        ("POST /restart", "404 Not Found"),
        ("GET /policies", "403 Forbidden"),
        ("POST /policies/reload", "403 Forbidden"),
        ("POST /policies/rollback", "403 Forbidden"),
    ] {
        let answer = ask(address, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(status.starts_with(&body["code"].to_string()), "{request}: {body}");
        assert_eq!(answer.contains("allow: GET, HEAD\r\n"), status.starts_with("405"), "{answer}");
    }
    let answer = ask(address, "GET /policies/reload");
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: POST\r\n"), "{answer}");
    admin.stop();
}

#[test]
fn readiness_is_told_with_what_it_rests_on() {
    let shown = shown();
    let (admin, address) = started(&shown);
    let mut told = String::new();
    let mut tell = || told += &ask(address, "GET /readyz").replace("\r\n", "\n");
    tell();
    let at = Timestamp::from_secs(1_795_342_463);
    let generator = |name: &str, kind, in_use| GeneratorState { name: name.into(), kind, in_use };
    shown.readiness.generators(vec![generator("main", "euler", true), generator("spare", "stand-in", false)]);
    shown.readiness.policy_in_force(InForce { digest: Digest([7; 8]), generation: 3, since: at }, false);
    shown.readiness.reload_failed(ReloadError { at, message: "unknown scope `proxies`".into() });
    shown.readiness.enter(Phase::Ready);
    tell();
    shown.readiness.policy_in_force(InForce { digest: Digest([8; 8]), generation: 4, since: at }, true);
    shown.readiness.enter(Phase::Stopping);
    tell();
    let told: Vec<_> = told.lines().filter(|line| !line.starts_with("date:")).collect();
    insta::assert_snapshot!(told.join("\n"));
    admin.stop();
}

#[test]
fn a_taken_address_is_named_with_what_to_do() {
    let taken = bind(anywhere()).unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address} for the operator"));
    assert!(error.help().contains("another process") && error.help().contains("--admin"), "{}", error.help());
}

#[test]
fn after_a_stop_nobody_listens() {
    let (admin, address) = started(&shown());
    // An idle connection holds the stop up no longer than its grace.
    let idle = TcpStream::connect(address).unwrap();
    admin.stop();
    assert!(TcpStream::connect(address).is_err());
    drop(idle);
}

/// Runs a server whose clock jumps ahead whenever nothing else is to be done.
async fn with_server<F: Future<Output = ()>>(client: impl FnOnce(SocketAddr) -> F) {
    let listener = tokio::net::TcpListener::from_std(bind(anywhere()).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::select! {
        () = serve(listener, None, shown(), std::future::pending()) => unreachable!("it was not told to stop"),
        () = client(address) => {}
    }
}

/// How long the server lets a client stay that says this and then waits.
async fn stays(said: &str) -> Duration {
    let mut stayed = Duration::ZERO;
    with_server(async |address| {
        let before = tokio::time::Instant::now();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        // Reset or closed: either way it has ended.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        stayed = before.elapsed();
    })
    .await;
    stayed
}

#[tokio::test(start_paused = true)]
async fn slow_clients_are_cut() {
    let second = Duration::from_secs(1);
    assert!(stays("").await <= 6 * second, "silent");
    assert!(stays("GET /metrics HTTP/1.1\r\nx: ").await <= 6 * second, "half a head");
    let half_a_body = "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1";
    assert!(stays(half_a_body).await <= 63 * second, "half a body");
    // More answers than the sockets' buffers hold, and none of them read.
    with_server(async |address| {
        let before = tokio::time::Instant::now();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        while stream.write_all("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(64).as_bytes()).await.is_ok()
        {
        }
        assert!(before.elapsed() <= 63 * second, "{:?}", before.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_ends_between_two_requests() {
    with_server(async |address| {
        let before = tokio::time::Instant::now();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut answers = 0;
        loop {
            let mut answer = [0; 4096];
            if stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.is_err()
                || !stream.read(&mut answer).await.is_ok_and(|read| read > 0)
            {
                break;
            }
            answers += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let lived = before.elapsed().as_secs();
        assert!((50..=63).contains(&lived) && answers >= 50, "{answers} answers in {lived} s");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_oversized_head_is_refused() {
    with_server(async |address| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!("GET /metrics HTTP/1.1\r\nx: {}", "y".repeat(64 << 10));
        // The server may close before all of it is sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    })
    .await;
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_at_once_and_places_come_back() {
    with_server(async |address| {
        let mut held = Vec::new();
        for _ in 0..super::serve::CONNECTIONS_MAX {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            // Answered, so surely accepted, and kept open.
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut first = [0; 8];
            stream.read_exact(&mut first).await.unwrap();
            held.push(stream);
        }
        let mut beyond = tokio::net::TcpStream::connect(address).await.unwrap();
        assert_eq!(beyond.read(&mut [0; 8]).await.unwrap_or(0), 0, "closed without an answer");
        held.clear();
        loop {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
            if stream.read(&mut [0; 8]).await.is_ok_and(|read| read > 0) {
                break;
            }
        }
    })
    .await;
}
