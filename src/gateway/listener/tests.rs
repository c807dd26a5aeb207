//! Whole connections: deadlines under paused time, hang-ups, going out, PROXY protocol, caps.

use std::{cell::Cell, cell::RefCell, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpStream,
    sync::watch,
    task::{JoinHandle, LocalSet, spawn_local},
    time::{Instant, sleep, timeout},
};

use super::{
    Arrival, CapReached, CapSettings, ConnectionCaps, Deadline, Deadlines, ListenerSettings, ListenerThread,
    Stage, TICK, Violation, bind, serve_connection, serve_listener,
};
use crate::base::time::Timestamp;
use crate::dialect::head::{Answer, Head};

/// What a test's handler saw and how it ended.
#[derive(Default)]
struct Log {
    lines: RefCell<Vec<String>>,
    dropped: Cell<u32>,
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }
}

/// Counts a handler's future that was dropped before it was done.
struct Unfinished<'log>(&'log Log, bool);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.set(self.0.dropped.get() + 1);
        }
    }
}

/// Answers by path: `/slow/MS` after so long, `/never` never, `/large/BYTES` with so much, `/unread` without reading
/// the body.
async fn handle(arrival: Arrival<'_>, log: &Log) -> Answer {
    let Arrival { origin, request, body } = arrival;
    let source = origin.proxied().unwrap_or(origin.peer());
    let respond = |status: StatusCode, body: String| {
        log.lines.borrow_mut().push(format!(
            "{} {source} {} {}",
            origin.number(),
            status.as_u16(),
            &body[..body.len().min(40)]
        ));
        Answer { status, head: Head::new(), body: Bytes::from(body), time: Timestamp::EPOCH }
    };
    let path = match request {
        Ok(head) => head.path().to_owned(),
        Err(rejection) => return respond(rejection.status, rejection.label.to_owned()),
    };
    let mut unfinished = Unfinished(log, false);
    if path == "/never" {
        std::future::pending::<()>().await;
    }
    if let Some(ms) = path.strip_prefix("/slow/") {
        sleep(Duration::from_millis(ms.parse().unwrap())).await;
    }
    unfinished.1 = true;
    if path == "/unread" {
        return respond(StatusCode::OK, path);
    }
    match body.read().await {
        Ok(body) if body.is_empty() => match path.strip_prefix("/large/") {
            Some(bytes) => respond(StatusCode::OK, "x".repeat(bytes.parse().unwrap())),
            None => respond(StatusCode::OK, path),
        },
        Ok(body) => respond(StatusCode::OK, String::from_utf8_lossy(&body).into_owned()),
        Err(rejection) => respond(rejection.status, rejection.label.to_owned()),
    }
}

struct Served {
    thread: Rc<ListenerThread>,
    log: Rc<Log>,
    connection: JoinHandle<()>,
    started: Instant,
}

impl Served {
    /// Waits for the end of the connection, which has to come so long after its start.
    async fn ends_after(self, deadline: Duration) -> (Rc<ListenerThread>, Rc<Log>) {
        timeout(Duration::from_secs(600), self.connection).await.expect("an end").unwrap();
        let took = self.started.elapsed();
        assert!(took >= deadline && took <= deadline + 2 * TICK, "took {took:?}, not {deadline:?}");
        assert_eq!(self.thread.counts().open(), 0);
        (self.thread, self.log)
    }
}

/// Serves one connection from `peer` over a stream that holds `room` bytes each way.
/// The id that the listener's own answers carry here.
fn test_id() -> crate::base::request_id::RequestId {
    crate::base::request_id::RequestId::new(crate::base::time::Timestamp::EPOCH, 1, [1, 2])
}

fn serve_from(peer: &str, settings: ListenerSettings, room: usize) -> (DuplexStream, Served) {
    let thread = ListenerThread::new(Arc::new(settings), test_id);
    spawn_local({
        let thread = Rc::clone(&thread);
        async move { thread.keep_time().await }
    });
    let (client, server) = duplex(room);
    let log = Rc::new(Log::default());
    let peer: SocketAddr = peer.parse().unwrap();
    let connection = spawn_local({
        let (thread, log) = (Rc::clone(&thread), Rc::clone(&log));
        async move {
            serve_connection(server, peer, &thread, &async |arrival: Arrival<'_>| {
                handle(arrival, &log).await
            })
            .await;
        }
    });
    (client, Served { thread, log, connection, started: Instant::now() })
}

fn serve() -> (DuplexStream, Served) {
    serve_from("192.0.2.1:1234", ListenerSettings::default(), 64 << 10)
}

async fn read_all(mut client: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut got = Vec::new();
    timeout(Duration::from_secs(600), client.read_to_end(&mut got)).await.expect("an end").unwrap();
    String::from_utf8(got).unwrap()
}

/// Reads until what was read ends with `end`.
async fn read_until(client: &mut (impl tokio::io::AsyncRead + Unpin), end: &str) -> String {
    let mut got = Vec::new();
    while !got.ends_with(end.as_bytes()) {
        got.push(timeout(Duration::from_secs(600), client.read_u8()).await.expect("more").unwrap());
    }
    String::from_utf8(got).unwrap()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

const HEAD: Duration = Duration::from_secs(10);
const BODY: Duration = Duration::from_secs(10);

macro_rules! paused_tests {
    ($($name:ident => $body:block)+) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                LocalSet::new().run_until(async { $body }).await;
            }
        )+
    };
}

paused_tests! {
    a_silent_connection_is_closed_without_a_word => {
        let (client, served) = serve();
        assert_eq!(read_all(client).await, "");
        let (thread, log) = served.ends_after(HEAD).await;
        assert_eq!(thread.counts().deadlines(Deadline::Silent), 1);
        assert!(log.lines().is_empty());
    }

    a_slow_head_is_refused => {
        let (mut client, served) = serve();
        client.write_all(b"GET /a HTTP/1.1\r\nHo").await.unwrap();
        let got = read_all(client).await;
        assert!(got.starts_with("HTTP/1.1 408 ") && got.contains("connection: close"), "{got}");
        let (thread, log) = served.ends_after(HEAD).await;
        assert_eq!(thread.counts().deadlines(Deadline::Head), 1);
        assert_eq!(thread.counts().violations(Violation::HeadTimeout), 1);
        assert_eq!(log.lines(), ["1 192.0.2.1:1234 408 head_deadline"]);
    }

    a_dripping_head_is_refused => {
        let (client, served) = serve();
        let (mut reader, mut writer) = tokio::io::split(client);
        let drip = spawn_local(async move {
            for byte in get("/a-path-that-is-long-enough-to-outlive-the-deadline") {
                sleep(Duration::from_millis(900)).await;
                if writer.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
        });
        let got = read_until(&mut reader, "head_deadline").await;
        assert!(got.starts_with("HTTP/1.1 408 "));
        assert!(served.started.elapsed() <= HEAD + 2 * TICK);
        drip.abort();
    }

    a_slow_body_is_refused => {
        for framing in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
            let (mut client, served) = serve();
            client.write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n5\r\nhe").as_bytes()).await.unwrap();
            let got = read_all(client).await;
            assert!(got.starts_with("HTTP/1.1 408 ") && got.contains("connection: close"), "{got}");
            let (thread, log) = served.ends_after(BODY).await;
            assert_eq!(thread.counts().deadlines(Deadline::Body), 1);
            assert_eq!(log.lines(), ["1 192.0.2.1:1234 408 body_deadline"]);
        }
    }

    a_dripping_body_is_refused => {
        let (client, served) = serve();
        let (mut reader, mut writer) = tokio::io::split(client);
        let drip = spawn_local(async move {
            writer.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n").await.unwrap();
            while writer.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(900)).await;
            }
        });
        let got = read_until(&mut reader, "body_deadline").await;
        assert!(got.starts_with("HTTP/1.1 408 "));
        assert!(served.started.elapsed() <= BODY + 2 * TICK);
        drip.abort();
    }

    an_idle_connection_is_closed_without_a_word => {
        let (mut client, served) = serve();
        client.write_all(&get("/a")).await.unwrap();
        let got = read_all(client).await;
        assert!(got.starts_with("HTTP/1.1 200 ") && !got.contains("connection: close") && got.ends_with("/a"), "{got}");
        let (thread, log) = served.ends_after(Duration::from_secs(75)).await;
        assert_eq!(thread.counts().deadlines(Deadline::Idle), 1);
        assert_eq!(log.lines().len(), 1);
    }

    a_later_head_has_its_time_from_its_first_byte => {
        let (mut client, served) = serve();
        client.write_all(&get("/a")).await.unwrap();
        read_until(&mut client, "/a").await;
        sleep(Duration::from_secs(60)).await;
        client.write_all(b"GET /b").await.unwrap();
        sleep(Duration::from_secs(9)).await;
        client.write_all(b" HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_until(&mut client, "/b").await;
        client.write_all(b"GET /c").await.unwrap();
        assert!(read_all(client).await.starts_with("HTTP/1.1 408 "));
        served.ends_after(Duration::from_secs(69) + HEAD).await;
    }

    a_request_at_work_has_no_deadline_of_the_listener => {
        let (mut client, served) = serve();
        client.write_all(&get("/slow/300000")).await.unwrap();
        client.write_all(b"GET /next").await.unwrap();
        read_until(&mut client, "/slow/300000").await;
        assert!(read_all(client).await.starts_with("HTTP/1.1 408 "));
        served.ends_after(Duration::from_secs(300) + HEAD).await;
    }

    a_client_that_does_not_read_is_cut => {
        let (mut client, served) = serve_from("192.0.2.1:1234", ListenerSettings::default(), 1000);
        client.write_all(&get("/large/100000")).await.unwrap();
        let (thread, _) = served.ends_after(Deadlines::default().write).await;
        assert_eq!(thread.counts().deadlines(Deadline::Write), 1);
        drop(client);
    }

    a_client_that_reads_slowly_gets_all_within_the_deadline => {
        let (mut client, served) = serve_from("192.0.2.1:1234", ListenerSettings::default(), 1000);
        client.write_all(&get("/large/20000")).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        let mut piece = [0; 1000];
        loop {
            sleep(Duration::from_secs(1)).await;
            let length = client.read(&mut piece).await.unwrap();
            if length == 0 { break }
            got.extend_from_slice(&piece[..length]);
        }
        assert!(got.len() > 20_000, "{}", got.len());
        assert_eq!(served.thread.counts().deadlines(Deadline::Write), 0);
    }

    a_client_that_half_closes_while_it_is_written_to_gets_all_and_is_let_go => {
        let (mut client, served) = serve_from("192.0.2.1:1234", ListenerSettings::default(), 1000);
        client.write_all(&get("/large/20000")).await.unwrap();
        let mut start = [0; 100];
        client.read_exact(&mut start).await.unwrap();
        client.shutdown().await.unwrap();
        assert!(read_all(client).await.ends_with("xxx"));
        served.ends_after(Duration::ZERO).await;
    }

    a_client_that_half_closed_gets_its_answer => {
        let (mut client, served) = serve();
        client.write_all(&get("/slow/1500")).await.unwrap();
        client.shutdown().await.unwrap();
        let got = read_all(client).await;
        assert!(got.ends_with("/slow/1500") && got.contains("connection: close"), "{got}");
        let (_, log) = served.ends_after(Duration::from_millis(1500)).await;
        assert_eq!(log.dropped.get(), 0);
    }

    a_client_that_hung_up_frees_its_place => {
        let (mut client, served) = serve();
        client.write_all(&get("/never")).await.unwrap();
        drop(client);
        let (thread, log) = served.ends_after(Deadlines::default().half_closed).await;
        assert_eq!(log.dropped.get(), 1);
        assert_eq!(thread.counts().deadlines(Deadline::HalfClosed), 1);
    }

    answers_to_pipelined_requests_keep_their_order => {
        let (mut client, served) = serve();
        client.write_all(&[get("/slow/500"), get("/b"), b"GET /c HTTP/3\r\n".to_vec(), get("/d")].concat()).await.unwrap();
        let got = read_all(client).await;
        assert_eq!(got.matches("connection: close").count(), 1);
        served.connection.await.unwrap();
        assert_eq!(served.log.lines(), [
            "1 192.0.2.1:1234 200 /slow/500",
            "2 192.0.2.1:1234 200 /b",
            "3 192.0.2.1:1234 400 version",
        ]);
        assert_eq!(served.thread.counts().requests.get(), 3);
    }

    a_client_that_waits_for_it_is_told_to_go_on_once_its_body_is_wanted => {
        let (mut client, served) = serve();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        client.write_all(head).await.unwrap();
        read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
        client.write_all(b"ok").await.unwrap();
        let got = read_until(&mut client, "ok").await;
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
        // Neither one that is refused without its body nor one that does not wait.
        client.write_all(&[&head[..], b"ok"].concat()).await.unwrap();
        assert!(read_until(&mut client, "ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
        client.write_all(&[b"POST /unread HTTP/1.1\r\nExpect: 100-continue\r\n", &head[17..]].concat()).await.unwrap();
        assert!(read_all(client).await.starts_with("HTTP/1.1 200 OK\r\n"));
        served.ends_after(Duration::ZERO).await;
    }

    who_wants_to_close_is_obeyed => {
        for (version, connection, closes) in [
            ("1.1", "Close", true),
            ("1.1", "TE, close", true),
            ("1.1", "keep-alive", false),
            ("1.0", "te", true),
            ("1.0", "Keep-Alive", false),
            ("1.0", "keep-alive, close", true),
        ] {
            let (mut client, served) = serve();
            let request = format!("GET /a HTTP/{version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
            client.write_all(&[request.as_bytes(), &get("/b")].concat()).await.unwrap();
            client.shutdown().await.unwrap();
            let got = read_all(client).await;
            assert_eq!(got.ends_with("/a"), closes, "{version} {connection}: {got}");
            let told = if closes { "connection: close" } else { "connection: keep-alive" };
            assert_eq!(got[..got.find("/a").unwrap()].contains(told), closes || version == "1.0", "{got}");
            served.ends_after(Duration::ZERO).await;
        }
    }

    an_answer_is_framed_and_dated_and_to_head_it_has_no_body => {
        let (mut client, served) = serve();
        client.write_all(b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
        assert_eq!(read_until(&mut client, "/b").await, format!("{head}{head}/b"));
        drop((client, served));
    }

    idle_connections_hold_no_memory_and_share_what_was_given_back => {
        let thread = ListenerThread::new(Arc::new(ListenerSettings::default()), test_id);
        let connect = || {
            let (client, stream) = duplex(64 << 10);
            let thread = Rc::clone(&thread);
            let served = spawn_local(async move {
                let (log, peer) = (Log::default(), "192.0.2.1:1234".parse().unwrap());
                serve_connection(stream, peer, &thread, &async |arrival: Arrival<'_>| handle(arrival, &log).await).await;
            });
            (client, served)
        };
        let ask = async |client: &mut DuplexStream| {
            client.write_all(&get("/a")).await.unwrap();
            read_until(client, "/a").await;
            assert_eq!(thread.spares(), 1);
        };
        let (mut one, _first) = connect();
        ask(&mut one).await;
        let (mut two, _second) = connect();
        for _ in 0..2 {
            ask(&mut two).await;
            ask(&mut one).await;
        }
    }

    a_body_that_nobody_read_is_no_request => {
        let (mut client, served) = serve();
        client.write_all(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await.unwrap();
        let answer = spawn_local(async move {
            let got = read_until(&mut client, "/unread").await;
            let _ = client.write_all(&get("/hidden")).await;
            got + &read_all(client).await
        });
        let got = answer.await.unwrap();
        assert!(got.contains("connection: close"), "{got}");
        served.connection.await.unwrap();
        assert_eq!(served.log.lines(), ["1 192.0.2.1:1234 200 /unread"]);
    }

    a_client_still_sending_reads_why_it_was_refused => {
        let (client, served) = serve_from("192.0.2.1:1234", ListenerSettings::default(), 1000);
        let (reader, mut writer) = tokio::io::split(client);
        let sending = spawn_local(async move {
            writer.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
            writer.write_all(&vec![b'x'; 100_000]).await
        });
        let got = read_all(reader).await;
        assert!(got.starts_with("HTTP/1.1 413 "), "{got}");
        sending.await.unwrap().expect("the rest is read and thrown away");
        served.connection.await.unwrap();
    }

    counts_add_up => {
        let (mut client, served) = serve();
        client.write_all(&get("/a")).await.unwrap();
        let got = read_until(&mut client, "/a").await;
        let counts = served.thread.counts();
        assert_eq!((counts.accepted.get(), counts.closed.get(), counts.open()), (1, 0, 1));
        assert_eq!(counts.bytes_in.get(), get("/a").len() as u64);
        assert_eq!(counts.bytes_out.get(), got.len() as u64);
        drop(client);
        served.connection.await.unwrap();
        assert_eq!(served.thread.counts().open(), 0);
    }

    going_out_serves_what_comes_late_and_then_closes => {
        let (mut client, served) = serve();
        client.write_all(&get("/a")).await.unwrap();
        read_until(&mut client, "/a").await;
        let drain = spawn_local({
            let thread = Rc::clone(&served.thread);
            async move { thread.drain().await }
        });
        sleep(Duration::from_millis(300)).await;
        assert_eq!(served.thread.stage(), Stage::LameDuck);
        client.write_all(&get("/late")).await.unwrap();
        let got = read_all(client).await;
        assert!(got.ends_with("/late") && got.contains("connection: close"), "{got}");
        drain.await.unwrap();
    }

    going_out_closes_idle_connections_after_the_lame_duck => {
        let (mut client, served) = serve();
        client.write_all(&get("/a")).await.unwrap();
        read_until(&mut client, "/a").await;
        let started = Instant::now();
        served.thread.drain().await;
        assert!(started.elapsed() >= Deadlines::default().lame_duck && started.elapsed() < Duration::from_secs(1));
        assert_eq!(read_all(client).await, "");
    }

    going_out_waits_for_requests_at_work => {
        let (mut client, served) = serve();
        client.write_all(&get("/slow/20000")).await.unwrap();
        let (got, ()) = tokio::join!(read_all(client), async {
            sleep(Duration::from_secs(1)).await;
            served.thread.drain().await;
        });
        assert!(got.ends_with("/slow/20000") && got.contains("connection: close"), "{got}");
        assert_eq!(served.log.dropped.get(), 0);
    }

    going_out_cuts_what_does_not_end => {
        let (mut client, served) = serve();
        client.write_all(&get("/never")).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        served.thread.drain().await;
        let limits = Deadlines::default();
        let (took, limit) = (started.elapsed(), limits.lame_duck + limits.drain);
        assert!(took >= limit && took < limit + Duration::from_secs(1), "{took:?}");
        assert_eq!(served.log.dropped.get(), 1);
        assert_eq!(served.thread.counts().deadlines(Deadline::Drain), 1);
    }
}

fn proxied(trusted: &[&str]) -> ListenerSettings {
    ListenerSettings {
        proxy_protocol: true,
        trusted_proxies: trusted.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        ..ListenerSettings::default()
    }
}

const PREFACE: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 4000 80\r\n";

paused_tests! {
    a_trusted_peer_names_the_client => {
        for (trusted, pieces) in [(&["192.0.2.0/24"][..], 1), (&[], 1), (&["192.0.2.0/24"], 7), (&["192.0.2.0/24"], 1000)] {
            let (mut client, served) = serve_from("192.0.2.1:1234", proxied(trusted), 64 << 10);
            for piece in [PREFACE, &get("/a"), &get("/b")].concat().chunks(pieces) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            read_until(&mut client, "/b").await;
            assert_eq!(served.log.lines(), ["1 203.0.113.7:4000 200 /a", "2 203.0.113.7:4000 200 /b"]);
        }
    }

    a_local_preface_names_the_peer_itself => {
        let (mut client, served) = serve_from("[::ffff:192.0.2.1]:1234", proxied(&["192.0.2.1/32"]), 64 << 10);
        client.write_all(&[b"PROXY UNKNOWN\r\n".as_slice(), &get("/a")].concat()).await.unwrap();
        read_until(&mut client, "/a").await;
        assert_eq!(served.log.lines(), ["1 192.0.2.1:1234 200 /a"]);
    }

    a_missing_or_bad_preface_is_refused => {
        for bytes in [get("/a"), b"PROXY TCP4 x y 1 2\r\n".to_vec(), b"PROXY TCP5".to_vec()] {
            let (mut client, served) = serve_from("192.0.2.1:1234", proxied(&[]), 64 << 10);
            client.write_all(&bytes).await.unwrap();
            client.shutdown().await.unwrap();
            assert!(read_all(client).await.starts_with("HTTP/1.1 400 "));
            let lines = served.log.lines();
            assert!(lines[0].starts_with("1 192.0.2.1:1234 400 "), "{lines:?}");
        }
    }

    a_slow_preface_is_refused_and_a_silent_one_closed => {
        let (mut client, served) = serve_from("192.0.2.1:1234", proxied(&[]), 64 << 10);
        client.write_all(b"PROXY TCP4 ").await.unwrap();
        assert!(read_all(client).await.starts_with("HTTP/1.1 408 "));
        served.ends_after(HEAD).await;
        let (client, served) = serve_from("192.0.2.1:1234", proxied(&[]), 64 << 10);
        assert_eq!(read_all(client).await, "");
        served.ends_after(HEAD).await;
    }

    preface_and_head_share_one_deadline => {
        let (mut client, served) = serve_from("192.0.2.1:1234", proxied(&[]), 64 << 10);
        sleep(Duration::from_secs(8)).await;
        client.write_all(&[PREFACE, b"GET /a"].concat()).await.unwrap();
        assert!(read_all(client).await.starts_with("HTTP/1.1 408 "));
        served.ends_after(HEAD).await;
    }

    nobody_else_can_name_a_client => {
        for settings in [proxied(&["198.51.100.0/24"]), ListenerSettings::default()] {
            let (mut client, served) = serve_from("192.0.2.1:1234", settings.clone(), 64 << 10);
            client.write_all(&[PREFACE, &get("/a")].concat()).await.unwrap();
            assert!(read_all(client).await.starts_with("HTTP/1.1 400 "));
            assert_eq!(served.log.lines(), ["1 192.0.2.1:1234 400 proxy_protocol"]);
            let (mut client, served) = serve_from("192.0.2.1:1234", settings, 64 << 10);
            client.write_all(&get("/a")).await.unwrap();
            read_until(&mut client, "/a").await;
            assert_eq!(served.log.lines(), ["1 192.0.2.1:1234 200 /a"]);
        }
    }
}

/// A listener on loopback, in real time.
struct Listening {
    address: SocketAddr,
    thread: Rc<ListenerThread>,
    caps: Arc<ConnectionCaps>,
    log: Rc<Log>,
    stop: watch::Sender<bool>,
    done: JoinHandle<std::io::Result<()>>,
}

fn listen(caps: CapSettings) -> Listening {
    let socket = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let address = socket.local_addr().unwrap();
    let settings = ListenerSettings { caps, ..ListenerSettings::default() };
    let thread = ListenerThread::new(Arc::new(settings), test_id);
    let caps = ConnectionCaps::new(caps);
    let log = Rc::new(Log::default());
    let (stop, stopped) = watch::channel(false);
    let handler = Rc::new({
        let log = Rc::clone(&log);
        async move |arrival: Arrival<'_>| handle(arrival, &log).await
    });
    let done = spawn_local(serve_listener(socket, Rc::clone(&thread), Arc::clone(&caps), handler, stopped));
    Listening { address, thread, caps, log, stop, done }
}

macro_rules! socket_tests {
    ($($name:ident => $body:block)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                LocalSet::new().run_until(async { $body }).await;
            }
        )+
    };
}

socket_tests! {
    a_listener_serves_and_stops => {
        let listening = listen(CapSettings::default());
        let mut client = TcpStream::connect(listening.address).await.unwrap();
        client.write_all(&get("/a")).await.unwrap();
        read_until(&mut client, "/a").await;
        assert_eq!(listening.caps.open(), 1);
        let late = std::net::TcpStream::connect(listening.address).unwrap();
        late.set_nonblocking(true).unwrap();
        let mut late = TcpStream::from_std(late).unwrap();
        listening.stop.send(true).unwrap();
        // In the kernel's queue when accepting stops: served all the same.
        late.write_all(&get("/late")).await.unwrap();
        let got = read_all(late).await;
        assert!(got.ends_with("/late") && got.contains("connection: close"), "{got}");
        assert_eq!(read_all(client).await, "");
        listening.done.await.unwrap().unwrap();
        assert_eq!(listening.caps.open(), 0);
        assert!(TcpStream::connect(listening.address).await.is_err());
    }

    a_connection_over_a_cap_is_told_so => {
        for (caps, cap, status) in [
            (CapSettings { connections_max: 1, ..CapSettings::default() }, CapReached::Connections, 503),
            (CapSettings { per_source_max: 1, ..CapSettings::default() }, CapReached::PerSource, 429),
        ] {
            let listening = listen(caps);
            let mut first = TcpStream::connect(listening.address).await.unwrap();
            first.write_all(&get("/a")).await.unwrap();
            read_until(&mut first, "/a").await;
            let mut second = TcpStream::connect(listening.address).await.unwrap();
            second.write_all(&get("/b")).await.unwrap();
            let got = read_all(second).await;
            assert!(got.starts_with(&format!("HTTP/1.1 {status} ")) && got.contains(cap.label()), "{got}");
            assert_eq!(listening.thread.counts().capped(cap), 1);
            drop(first);
            while listening.caps.open() > 0 {
                tokio::task::yield_now().await;
            }
            let mut third = TcpStream::connect(listening.address).await.unwrap();
            third.write_all(&get("/c")).await.unwrap();
            read_until(&mut third, "/c").await;
            assert_eq!(listening.log.lines().len(), 2);
        }
    }

    a_client_that_resets_frees_its_place_at_once => {
        let listening = listen(CapSettings::default());
        let mut client = TcpStream::connect(listening.address).await.unwrap();
        client.write_all(&get("/never")).await.unwrap();
        while listening.thread.counts().requests.get() == 0 {
            tokio::task::yield_now().await;
        }
        client.set_zero_linger().unwrap();
        drop(client);
        let freed = async {
            while listening.caps.open() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Deadlines::default().half_closed / 2, freed).await.expect("no grace for a reset");
        assert_eq!(listening.log.dropped.get(), 1);
    }
}
