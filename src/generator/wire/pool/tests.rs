//! A pool against a generator on loopback that keeps to a script.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::generator::wire::origin::Roots;
use crate::generator::wire::request::Method;
use crate::generator::wire::resolve::Resolver;
use crate::generator::wire::{Malformed, Unsendable};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const GET: Request<'static> =
    Request { method: Method::Get, target: "/sign", headers: &[], body: None, repeat: Repeat::Allowed };

/// What the generator does on a connection, one after the other; then it closes.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Reads a request and says this.
    Answer(&'static str),
    /// Reads a request.
    Swallow,
    /// Waits for the other end to close.
    Wait,
}
use Act::{Answer as Say, Swallow, Wait};

/// A scripted generator; connection `n` runs script `n`, and there are no more connections than scripts.
struct Generator {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<(usize, String)>>>,
    /// Told when a request was read, and when a connection was closed by the other end.
    news: Arc<Notify>,
    closed: Arc<AtomicUsize>,
}

impl Generator {
    async fn start(scripts: &[&[Act]]) -> Self {
        Self::start_with(scripts, None).await
    }

    async fn start_with(scripts: &[&[Act]], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let generator = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            news: Arc::default(),
            closed: Arc::default(),
        };
        let scripts: Vec<Vec<Act>> = scripts.iter().map(|script| script.to_vec()).collect();
        let (seen, news, closed) =
            (Arc::clone(&generator.seen), Arc::clone(&generator.news), Arc::clone(&generator.closed));
        tokio::spawn(async move {
            for (number, script) in scripts.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, news, closed) = (Arc::clone(&seen), Arc::clone(&news), Arc::clone(&closed));
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => play(stream, number, script, &seen, &news, &closed).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let session = stream.get_ref().1;
                                assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
                                assert_eq!(session.server_name(), Some("sign.example"));
                                play(stream, number, script, &seen, &news, &closed).await;
                            }
                        }
                    }
                });
            }
        });
        generator
    }

    fn pool(&self, settings: Settings) -> Pool {
        Pool::new(Origin::parse(&format!("http://{}/base", self.address), Roots::Native).unwrap(), settings)
    }

    /// Of each request so far the connection's number.
    fn connections(&self) -> Vec<usize> {
        self.seen.lock().unwrap().iter().map(|(number, _)| *number).collect()
    }
}

async fn play(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    number: usize,
    script: Vec<Act>,
    seen: &Mutex<Vec<(usize, String)>>,
    news: &Notify,
    closed: &AtomicUsize,
) {
    for act in script {
        match act {
            Say(answer) => {
                read_request(&mut stream, number, seen, news).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
            Swallow => read_request(&mut stream, number, seen, news).await,
            Wait => {
                let _ = stream.read(&mut [0; 1]).await;
                closed.fetch_add(1, Ordering::Relaxed);
                news.notify_one();
            }
        }
    }
}

async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    number: usize,
    seen: &Mutex<Vec<(usize, String)>>,
    news: &Notify,
) {
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .split("Content-Length: ")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap().parse::<usize>().unwrap());
        (body.len() == length).then_some(text.clone())
    };
    while whole(&request).is_none() {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
    seen.lock().unwrap().push((number, whole(&request).unwrap()));
    news.notify_one();
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn get(pool: &Pool) -> Result<String, WireError> {
    let answer = pool.send(&GET, soon()).await?;
    Ok(String::from_utf8(answer.into_body().to_vec()).unwrap())
}

#[tokio::test]
async fn requests_share_a_connection() {
    let generator = Generator::start(&[&[Say(OK), Say(OK), Wait]]).await;
    let pool = generator.pool(Settings::default());
    assert_eq!(get(&pool).await.unwrap(), "hello");
    assert_eq!(pool.idle(), 1);
    let headers = [("X-Api-Key", "k")];
    let post = Request { method: Method::Post, headers: &headers, body: Some(b"{}"), ..GET };
    assert_eq!(pool.send(&post, soon()).await.unwrap().status(), 200);
    assert_eq!(pool.counts(), Counts { dialled: 1, reused: 1, stale: 0 });
    let seen = generator.seen.lock().unwrap();
    let host = format!("HTTP/1.1\r\nHost: {}\r\n", generator.address);
    assert_eq!(seen[0].1, format!("GET /base/sign {host}\r\n"));
    assert_eq!(seen[1].1, format!("POST /base/sign {host}X-Api-Key: k\r\nContent-Length: 2\r\n\r\n{{}}"));
}

#[tokio::test]
async fn a_stale_connection_is_retried_once_on_a_fresh_one() {
    let generator = Generator::start(&[&[Say(OK), Swallow], &[Say(OK), Wait]]).await;
    let pool = generator.pool(Settings::default());
    get(&pool).await.unwrap();
    assert_eq!(get(&pool).await.unwrap(), "hello");
    assert_eq!(generator.connections(), [0, 0, 1]);
    assert_eq!(pool.counts(), Counts { dialled: 2, reused: 1, stale: 1 });
}

#[tokio::test]
async fn a_fresh_connection_is_not_retried() {
    let generator = Generator::start(&[&[Say(OK), Swallow], &[Swallow], &[Say(OK)]]).await;
    let pool = generator.pool(Settings::default());
    get(&pool).await.unwrap();
    assert_eq!(get(&pool).await, Err(WireError::ClosedEarly));
    assert_eq!(generator.connections(), [0, 0, 1], "the stale one and one fresh one");
}

#[tokio::test]
async fn an_answer_that_began_is_not_retried() {
    let generator = Generator::start(&[&[Say(OK), Say("H")], &[Say(OK)]]).await;
    let pool = generator.pool(Settings::default());
    get(&pool).await.unwrap();
    assert_eq!(get(&pool).await, Err(WireError::CutShort));
    assert_eq!(generator.connections(), [0, 0]);
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn what_must_not_be_repeated_goes_to_a_fresh_connection() {
    let generator = Generator::start(&[&[Say(OK), Say(OK)], &[Swallow], &[Say(OK)]]).await;
    let pool = generator.pool(Settings::default());
    get(&pool).await.unwrap();
    let once = Request { repeat: Repeat::Never, ..GET };
    assert_eq!(pool.send(&once, soon()).await.err(), Some(WireError::ClosedEarly));
    assert_eq!(generator.connections(), [0, 1]);
}

#[tokio::test]
async fn connections_that_cannot_be_trusted_again_are_closed() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let generator = Generator::start(&[&[Say(answer), Wait]]).await;
        let pool = generator.pool(Settings::default());
        assert_eq!(get(&pool).await.unwrap(), "hello");
        assert_eq!(pool.idle(), 0, "{answer:?}");
        generator.news.notified().await;
        while generator.closed.load(Ordering::Relaxed) == 0 {
            generator.news.notified().await;
        }
    }
    let generator = Generator::start(&[&[Say("HTTP/1.1 200 OK\r\n\r\nhello")]]).await;
    let pool = generator.pool(Settings::default());
    assert_eq!(get(&pool).await.unwrap(), "hello");
    assert_eq!(pool.idle(), 0, "delimited by the close");

    let generator = Generator::start(&[&[Say("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), Wait]]).await;
    let pool = generator.pool(Settings::default());
    assert_eq!(get(&pool).await, Err(WireError::Malformed(Malformed::LengthNotNumber)));
    assert_eq!(pool.idle(), 0, "after an error");
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection() {
    let generator = Generator::start(&[&[Swallow, Wait]]).await;
    let pool = generator.pool(Settings::default());
    tokio::select! {
        biased;
        result = get(&pool) => panic!("answered: {result:?}"),
        () = generator.news.notified() => {}
    }
    generator.news.notified().await;
    assert_eq!(generator.closed.load(Ordering::Relaxed), 1);
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn idle_connections_are_bounded_in_number_and_time() {
    let generator = Generator::start(&[&[Say(OK), Wait], &[Say(OK), Wait], &[Say(OK), Wait]]).await;
    let pool = generator.pool(Settings { idle_max: 2, ..Settings::default() });
    let _ = tokio::join!(get(&pool), get(&pool), get(&pool));
    assert_eq!(pool.counts().dialled, 3);
    assert_eq!(pool.idle(), 2);
    let now = Instant::now();
    pool.prune(now + Duration::from_secs(29));
    assert_eq!(pool.idle(), 2);
    assert!(pool.take_idle(now + Duration::from_secs(29)).is_some());
    assert!(pool.take_idle(now + Duration::from_secs(31)).is_none());
    assert_eq!(pool.idle(), 0, "found to be too old on the way");

    let generator = Generator::start(&[&[Say(OK), Wait]]).await;
    let pool = generator.pool(Settings::default());
    get(&pool).await.unwrap();
    pool.prune(Instant::now() + Duration::from_secs(31));
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn the_youngest_is_used_first() {
    let generator = Generator::start(&[&[Say(OK), Say(OK), Wait], &[Say(OK), Say(OK), Wait]]).await;
    let pool = generator.pool(Settings::default());
    let _ = tokio::join!(get(&pool), get(&pool));
    let youngest = pool.idle.borrow().iter().map(|link| link.usable_until).max();
    let taken = pool.take_idle(Instant::now()).unwrap();
    assert_eq!(Some(taken.usable_until), youngest);
    assert_ne!(pool.take_idle(Instant::now()).unwrap().usable_until, taken.usable_until);
}

#[tokio::test]
async fn debug_reveals_nothing() {
    let generator = Generator::start(&[&[Say(OK), Wait]]).await;
    let pool = generator.pool(Settings::default());
    get(&pool).await.unwrap();
    let shown = format!("{pool:?}");
    assert!(
        !shown.contains("127.0.0.1") && !shown.contains(&generator.address.port().to_string()),
        "{shown}"
    );
}

#[tokio::test]
async fn nothing_is_dialled_for_what_cannot_be_sent() {
    let generator = Generator::start(&[&[Say(OK), Wait]]).await;
    let pool = generator.pool(Settings::default());
    let evil = Request { target: "/a\r\nX: y", ..GET };
    assert_eq!(pool.send(&evil, soon()).await.err(), Some(WireError::Unsendable(Unsendable::Target)));
    let late = pool.send(&GET, Instant::now()).await;
    assert_eq!(late.err(), Some(WireError::TimedOut(Phase::Connect)));
    assert_eq!(pool.counts(), Counts::default());
    get(&pool).await.unwrap();
    let late = pool.send(&GET, Instant::now()).await;
    assert_eq!(late.err(), Some(WireError::TimedOut(Phase::Connect)), "nor put on an idle connection");
    assert_eq!((pool.counts().reused, pool.idle()), (0, 1));
}

/// A port on loopback where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn named(resolver: Resolver, settings: Settings) -> Pool {
    let origin = Origin::parse("http://sign.example", Roots::Native).unwrap();
    Pool::new(origin.with_resolver(resolver), settings)
}

#[tokio::test]
async fn addresses_are_tried_in_turn_and_the_good_one_is_remembered() {
    let generator = Generator::start(&[&[Say(OK)], &[Say(OK)]]).await;
    let addresses = vec![nobody().await, generator.address];
    let resolver = Resolver::with_lookup(move || std::future::ready(Ok(addresses.clone())));
    let pool = named(resolver, Settings { idle_max: 0, ..Settings::default() });
    assert_eq!(get(&pool).await.unwrap(), "hello");
    assert_eq!(pool.preferred.get(), Some(generator.address));
    assert_eq!(get(&pool).await.unwrap(), "hello");
}

/// An address that swallows: a listener whose queue is full, so that the system drops what comes.
fn swallowing() -> (SocketAddr, Vec<std::net::TcpStream>, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let queued = (0..16)
        .map_while(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok())
        .collect();
    (address, queued, socket)
}

#[tokio::test]
async fn an_address_that_swallows_uses_up_its_share_only() {
    let (deaf, _queued, _socket) = swallowing();
    let generator = Generator::start(&[&[Say(OK)]]).await;
    let addresses = vec![deaf, generator.address];
    let resolver = Resolver::with_lookup(move || std::future::ready(Ok(addresses.clone())));
    let pool =
        named(resolver, Settings { connect_timeout: Duration::from_millis(500), ..Settings::default() });
    assert_eq!(get(&pool).await.unwrap(), "hello");

    let resolver = Resolver::with_lookup(move || std::future::ready(Ok(vec![deaf])));
    let pool =
        named(resolver, Settings { connect_timeout: Duration::from_millis(100), ..Settings::default() });
    assert_eq!(get(&pool).await, Err(WireError::TimedOut(Phase::Connect)));
}

#[tokio::test]
async fn the_name_is_looked_up_again_while_in_use() {
    for (resolve_interval, lookups) in [(Duration::ZERO, 3), (Duration::from_secs(30), 1)] {
        let generator = Generator::start(&[&[Say(OK), Say(OK), Say(OK), Wait]]).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, address) = (Arc::clone(&asked), generator.address);
        let resolver = Resolver::with_lookup(move || {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok(vec![address]))
        });
        let pool = named(resolver, Settings { resolve_interval, ..Settings::default() });
        for _ in 0..3 {
            get(&pool).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), lookups, "every {resolve_interval:?}");
        assert_eq!(pool.counts().dialled, 1);
    }
}

#[tokio::test]
async fn a_failed_dial_says_why() {
    let refused = nobody().await;
    let pool =
        Pool::new(Origin::parse(&format!("http://{refused}"), Roots::Native).unwrap(), Settings::default());
    assert_eq!(get(&pool).await, Err(WireError::NotConnected(NotConnected::Refused)));
    let resolver = Resolver::with_lookup(|| std::future::ready(Ok(Vec::new())));
    assert_eq!(
        get(&named(resolver, Settings::default())).await,
        Err(WireError::NotConnected(NotConnected::Dns))
    );
}

#[tokio::test(start_paused = true)]
async fn the_dial_has_a_deadline_of_its_own() {
    let start = Instant::now();
    let pool = named(Resolver::with_lookup(pending), Settings::default());
    assert_eq!(get(&pool).await, Err(WireError::TimedOut(Phase::Connect)));
    assert_eq!(start.elapsed().as_secs(), 2);
    let sooner = pool.send(&GET, Instant::now() + Duration::from_secs(1)).await;
    assert_eq!(sooner.err(), Some(WireError::TimedOut(Phase::Connect)));
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn a_connection_to_an_address_that_is_no_more_is_not_used_again() {
    let old = Generator::start(&[&[Say(OK), Say(OK), Say(OK)]]).await;
    let new = Generator::start(&[&[Say(OK), Say(OK), Wait]]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, answers) = (Arc::clone(&asked), [old.address, new.address]);
    let resolver = Resolver::with_lookup(move || {
        std::future::ready(Ok(vec![answers[count.fetch_add(1, Ordering::Relaxed).min(1)]]))
    });
    let pool = named(resolver.clone(), Settings { resolve_interval: Duration::ZERO, ..Settings::default() });
    get(&pool).await.unwrap();
    assert_eq!(old.connections(), [0]);
    while !resolver.holds(new.address) {
        pool.resolve(Instant::now());
        tokio::task::yield_now().await;
    }
    get(&pool).await.unwrap();
    get(&pool).await.unwrap();
    assert_eq!((old.connections(), new.connections()), (vec![0], vec![0, 0]));
}

/// A certificate for `name`, an acceptor that shows it, and the PEM to trust.
fn certified(name: &str) -> (TlsAcceptor, String) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), certified.cert.pem())
}

fn secured(name: &str, address: SocketAddr, pem: &str) -> Pool {
    let origin =
        Origin::parse(&format!("https://{name}:{}", address.port()), Roots::Pem(pem.as_bytes())).unwrap();
    let resolver = Resolver::with_lookup(move || std::future::ready(Ok(vec![address])));
    Pool::new(origin.with_resolver(resolver), Settings::default())
}

#[tokio::test]
async fn tls_connections_are_kept_too() {
    let (acceptor, pem) = certified("sign.example");
    let script: &[Act] = &[Say(OK), Say(OK), Swallow];
    let generator = Generator::start_with(&[script, &[Say(OK), Wait]], Some(acceptor)).await;
    let pool = secured("sign.example", generator.address, &pem);
    for _ in 0..3 {
        assert_eq!(get(&pool).await.unwrap(), "hello");
    }
    assert_eq!(generator.connections(), [0, 0, 0, 1], "kept, and retried when stale");
    assert_eq!(pool.counts().dialled, 2);
}

#[tokio::test]
async fn tls_that_cannot_be_trusted_is_refused() {
    let (acceptor, pem) = certified("sign.example");
    let (_, other_pem) = certified("sign.example");
    let generator = Generator::start_with(&[&[], &[]], Some(acceptor)).await;
    let refused = Err(WireError::NotConnected(NotConnected::Certificate));
    assert_eq!(
        get(&secured("sign.example", generator.address, &other_pem)).await,
        refused,
        "signed by another"
    );
    assert_eq!(get(&secured("other.example", generator.address, &pem)).await, refused, "another host's");

    let deaf = Generator::start(&[&[]]).await;
    let result = get(&secured("sign.example", deaf.address, &pem)).await;
    assert_eq!(result, Err(WireError::NotConnected(NotConnected::Tls)));
}

#[tokio::test]
async fn a_tls_stream_that_ends_without_saying_so_is_cut_short() {
    let (acceptor, pem) = certified("sign.example");
    // Delimited by the close, and dropped without `close_notify`: who cut it cannot be known.
    let generator = Generator::start_with(&[&[Say("HTTP/1.1 200 OK\r\n\r\nhel")]], Some(acceptor)).await;
    assert_eq!(get(&secured("sign.example", generator.address, &pem)).await, Err(WireError::CutShort));
}
