//! A generator on loopback whose mood can be changed while it runs.

use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::sleep;

use super::answer::{self, COOKIE};
use super::load::ROOMS;
use super::mood::Mood;

/// A room that no generator has anything for: whatever its mood, the answer is 200 with an empty body.
pub const NOBODYS_ROOM: u64 = 7_400_000_000_000_000_000;

/// How long the phases of a flapping one are.
pub const FLAP: Duration = Duration::from_secs(2);

const SLOW: Duration = Duration::from_secs(3);
const DRIP: Duration = Duration::from_millis(100);
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What a generator is like when it is well.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long an answer takes.
    pub takes: Duration,
    /// How large a connect answer is, in bytes; 0 is as small as can be.
    pub bytes: usize,
    /// So many signatures at a time; what comes beyond waits in it.
    pub slots: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { takes: Duration::from_millis(20), bytes: 0, slots: Semaphore::MAX_PERMITS }
    }
}

/// What has been asked of one.
#[derive(Debug, Default)]
struct Asked {
    by_users: AtomicU64,
    by_others: AtomicU64,
    /// Which of the moods that it was told is in force.
    in_force: AtomicU64,
}

/// A mood and its number among those that were told.
type Told = (u64, Mood);

/// A running generator; it ends when dropped.
pub struct Generator {
    /// Where it listens.
    pub address: SocketAddr,
    mood: watch::Sender<Told>,
    asked: Arc<Asked>,
    ended: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Generator {
    /// One on a port that the system picks, good at first, on a thread of its own.
    pub fn start(settings: Settings) -> Self {
        let door = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = door.local_addr().unwrap().as_socket().unwrap();
        let (mood, moods) = watch::channel((0, Mood::Good));
        let (end, ended) = oneshot::channel::<()>();
        let asked = Arc::<Asked>::default();
        let one =
            Patient { settings, slots: Arc::new(Semaphore::new(settings.slots)), asked: Arc::clone(&asked) };
        // Listening before anybody can be told of it.
        door.listen(1024).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = live(address, door, one, moods) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address, mood, asked, ended: Some(end), thread: Some(thread) }
    }

    /// Changes what it does; it does when this returns.
    pub fn set(&self, mood: Mood) {
        let mut number = 0;
        self.mood.send_modify(|told| {
            number = told.0 + 1;
            *told = (number, mood);
        });
        while self.asked.in_force.load(Ordering::Acquire) < number {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How often it was asked by the clients of [`super::load`].
    pub fn asked_by_users(&self) -> u64 {
        self.asked.by_users.load(Ordering::Relaxed)
    }

    /// How often it was asked by somebody else: the gateway's probes.
    pub fn asked_by_others(&self) -> u64 {
        self.asked.by_others.load(Ordering::Relaxed)
    }

    /// What a process does whose only work is to be three generators: prints their addresses, then takes a line of three
    /// moods again and again (and answers with how often each has been asked, by users and by others), until its input ends.
    pub fn serve_three(settings: Settings) {
        let three = [(); 3].map(|()| Self::start(settings));
        let addresses: Vec<_> = three.iter().map(|one| one.address.to_string()).collect();
        println!("{}", addresses.join(" "));
        let mut input = std::io::stdin().lock();
        let mut line = String::new();
        while input.read_line(&mut line).is_ok_and(|length| length > 0) {
            for (one, word) in three.iter().zip(line.split_whitespace()) {
                one.set(Mood::parse(word).unwrap_or_else(|| panic!("there is no mood `{word}`")));
            }
            let asked: Vec<_> = three
                .iter()
                .map(|one| format!("{} {}", one.asked_by_users(), one.asked_by_others()))
                .collect();
            println!("{}", asked.join(" "));
            let _ = std::io::stdout().flush();
            line.clear();
        }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.ended.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket that has the address and does not listen: whoever connects is refused.
fn bound(address: SocketAddr) -> Socket {
    // After a listener was closed its address may take a moment to be free again.
    for _ in 0..100 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        if socket.bind(&address.into()).is_ok() {
            return socket;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{address} is taken");
}

/// Opens and shuts the door as the mood wants it.
async fn live(address: SocketAddr, door: Socket, one: Patient, mut moods: watch::Receiver<Told>) {
    let (now, mut phases) = watch::channel(*moods.borrow_and_update());
    tokio::spawn(async move {
        // In phases: a flapping one is good, then refused, then good.
        loop {
            let (number, mood) = *moods.borrow_and_update();
            now.send_replace((number, if mood == Mood::Flapping { Mood::Refused } else { mood }));
            if mood == Mood::Flapping {
                tokio::select! {
                    changed = moods.changed() => if changed.is_err() { return },
                    () = flap(&now, number) => {}
                }
            } else if moods.changed().await.is_err() {
                return;
            }
        }
    });
    let mut door = Some(door);
    let asked = Arc::clone(&one.asked);
    let in_force = |number| asked.in_force.store(number, Ordering::Release);
    loop {
        let (number, mood) = *phases.borrow_and_update();
        match mood {
            Mood::Refused => {
                drop(door.take());
                let _refuses = bound(address);
                in_force(number);
                if phases.changed().await.is_err() {
                    return;
                }
            }
            Mood::Dead => {
                drop(door.take());
                // A full queue of connections that nobody takes: the system drops what comes after.
                let hole = bound(address);
                hole.listen(0).unwrap();
                let _filled = [(); 4].map(|()| {
                    let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                    filler.set_nonblocking(true).unwrap();
                    let _ = filler.connect(&address.into());
                    filler
                });
                in_force(number);
                if phases.changed().await.is_err() {
                    return;
                }
            }
            _ => {
                let listens = door.take().unwrap_or_else(|| {
                    let door = bound(address);
                    door.listen(1024).unwrap();
                    door
                });
                let listener = TcpListener::from_std(listens.into()).unwrap();
                in_force(number);
                loop {
                    tokio::select! {
                        accepted = listener.accept() => {
                            let Ok((stream, _)) = accepted else { continue };
                            let _ = stream.set_nodelay(true);
                            tokio::spawn(attend(stream, one.clone(), phases.clone()));
                        }
                        changed = phases.changed() => {
                            if changed.is_err() {
                                return;
                            }
                            let (number, mood) = *phases.borrow_and_update();
                            if matches!(mood, Mood::Refused | Mood::Dead) {
                                phases.mark_changed();
                                break;
                            }
                            in_force(number);
                        }
                    }
                }
            }
        }
    }
}

async fn flap(now: &watch::Sender<Told>, number: u64) {
    loop {
        sleep(FLAP).await;
        now.send_replace((number, Mood::Good));
        sleep(FLAP).await;
        now.send_replace((number, Mood::Refused));
    }
}

/// Whoever is asked.
#[derive(Clone)]
struct Patient {
    settings: Settings,
    slots: Arc<Semaphore>,
    asked: Arc<Asked>,
}

/// A request, as far as it matters.
struct Request {
    head: String,
    body: Vec<u8>,
}

/// Serves one connection until it ends, or the process is gone.
async fn attend(mut stream: TcpStream, one: Patient, mut phases: watch::Receiver<Told>) {
    let mut gone = phases.clone();
    tokio::select! {
        _ = gone.wait_for(|(_, mood)| *mood == Mood::Refused) => {}
        () = async {
            let mut bytes = Vec::new();
            while let Some(request) = read(&mut stream, &mut bytes).await {
                let (_, mood) = *phases.borrow_and_update();
                one.count(&request);
                if !one.answer(mood, &request, &mut stream, &mut phases).await {
                    break;
                }
            }
        } => {}
    }
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap_or(0));
            if bytes.len() >= end + 4 + length {
                let body = bytes[end + 4..end + 4 + length].to_vec();
                bytes.drain(..end + 4 + length);
                return Some(Request { head, body });
            }
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return None;
        }
        match stream.read_buf(bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

impl Request {
    fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The room, wherever it stands in the target.
    fn room(&self) -> u64 {
        let target = self.target();
        let rest =
            target.split_once("room_id=").or_else(|| target.split_once("/rooms/")).map(|(_, rest)| rest);
        let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
        rest.and_then(|rest| rest[..digits(rest)].parse().ok()).unwrap_or(0)
    }
}

impl Patient {
    fn count(&self, request: &Request) {
        let users = ROOMS.contains(&request.room()) && !request.target().contains("client=ttlive-other");
        let counter = if users { &self.asked.by_users } else { &self.asked.by_others };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A good answer: its head's lines and its body.
    fn good(&self, request: &Request) -> (Vec<String>, Vec<u8>) {
        let target = request.target();
        let json = || vec!["Content-Type: application/json".to_owned()];
        if target.contains("sign_url") {
            let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let query = target.split_once("url=").map(|(_, url)| url.split('&').next().unwrap_or_default());
            let url = asked["url"].as_str().map(str::to_owned).or_else(|| {
                Some(percent_encoding::percent_decode_str(query?).decode_utf8_lossy().into_owned())
            });
            let url = url.unwrap_or_default();
            let (bogus, gnarly) = ("DFSzswVLkKxANGP5CtmFF2lUrn1a", "M".repeat(332));
            let signed = serde_json::json!({"code": 200, "response": {
                "signedUrl": format!("{url}&X-Bogus={bogus}&X-Gnarly={gnarly}&msToken=t"), "userAgent": "Mozilla/5.0",
                "tokens": {"X-Bogus": bogus, "X-Gnarly": gnarly, "msToken": "t"}, "browserName": "Mozilla",
                "browserVersion": "5.0", "requestHeaders": {}, "cookies": [],
            }});
            return (json(), signed.to_string().into_bytes());
        }
        if target.contains("rate_limits") {
            return (
                json(),
                br#"{"code":200,"minute":{"max":1000,"remaining":1000,"reset_at":null}}"#.to_vec(),
            );
        }
        let room = request.room();
        let lines = vec![
            "Content-Type: application/protobuf".to_owned(),
            format!("X-Set-TT-Cookie: {COOKIE}"),
            format!("X-Room-Id: {room}"),
        ];
        (lines, answer::connect(room, self.settings.bytes))
    }

    /// Answers in this mood. False where the connection ends with it.
    async fn answer(
        &self,
        mood: Mood,
        request: &Request,
        stream: &mut TcpStream,
        phases: &mut watch::Receiver<Told>,
    ) -> bool {
        if mood == Mood::Dead {
            hang(stream, phases).await;
            return false;
        }
        {
            let _slot = self.slots.acquire().await;
            sleep(if mood == Mood::Slow { SLOW } else { self.settings.takes }).await;
        }
        let mood = if request.room() == NOBODYS_ROOM { Mood::Empty } else { mood };
        let (lines, body) = self.good(request);
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let whole = |lines: &[&str], body: &[u8]| [&answer::head(200, lines, body.len()), body].concat();
        match mood {
            Mood::Good | Mood::Slow | Mood::Refused | Mood::Flapping | Mood::Dead => {
                return stream.write_all(&whole(&lines, &body)).await.is_ok();
            }
            Mood::HangsBefore => hang(stream, phases).await,
            Mood::HangsAmid => {
                let half = [&answer::head(200, &lines, body.len()), &body[..body.len() / 2]].concat();
                let _ = stream.write_all(&half).await;
                hang(stream, phases).await;
            }
            Mood::Garbage => {
                let noise: Vec<u8> =
                    (0..512u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
                let _ = stream.write_all(&noise).await;
            }
            Mood::CutShort => {
                let half = [&answer::head(200, &lines, body.len()), &body[..body.len() / 2]].concat();
                let _ = stream.write_all(&half).await;
            }
            Mood::Html => {
                let page = b"<!doctype html><title>Sorry</title><p>We are back in a minute.</p>";
                return stream.write_all(&whole(&["Content-Type: text/html"], page)).await.is_ok();
            }
            Mood::Empty => return stream.write_all(&whole(&lines, b"")).await.is_ok(),
            Mood::NoCookie => {
                lines.retain(|line| !line.starts_with("X-Set-TT-Cookie"));
                return stream.write_all(&whole(&lines, &body)).await.is_ok();
            }
            Mood::FallbackHost => {
                return stream.write_all(&whole(&lines, &answer::stub(request.room()))).await.is_ok();
            }
            Mood::OwnLimit => {
                let limited = [&answer::head(429, &["Retry-After: 60"], 2), b"{}".as_slice()].concat();
                return stream.write_all(&limited).await.is_ok();
            }
            Mood::Blames => {
                let page = b"<!doctype html><title>Bad Request</title><p>Session expired.</p>";
                let blamed =
                    [&answer::head(400, &["Content-Type: text/html"], page.len()), page.as_slice()].concat();
                return stream.write_all(&blamed).await.is_ok();
            }
            Mood::HugeHead => {
                let line = format!("X-Padding: {}", "a".repeat(1 << 20));
                lines.push(&line);
                return stream.write_all(&whole(&lines, &body)).await.is_ok();
            }
            Mood::EndlessBody => {
                let mut head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_vec();
                for line in lines {
                    head.extend_from_slice(format!("{line}\r\n").as_bytes());
                }
                head.extend_from_slice(b"\r\n");
                let chunk = [b"4000\r\n".as_slice(), &[b'm'; 0x4000], b"\r\n"].concat();
                let mut sent = stream.write_all(&head).await;
                // As quickly as somebody takes it, and yet the machine has to do other things beside.
                while sent.is_ok() {
                    sent = stream.write_all(&chunk).await;
                    sleep(Duration::from_millis(1)).await;
                }
            }
            Mood::Drip => {
                for byte in whole(&lines, &body) {
                    if stream.write_all(&[byte]).await.is_err() {
                        return false;
                    }
                    sleep(DRIP).await;
                }
            }
            Mood::Reset => {
                let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            }
            Mood::WrongLength => {
                let long = [&answer::head(200, &lines, body.len() - 10), body.as_slice()].concat();
                return stream.write_all(&long).await.is_ok();
            }
        }
        false
    }
}

/// Says nothing until the other side has enough of it, or the mood is another.
async fn hang(stream: &mut TcpStream, phases: &mut watch::Receiver<Told>) {
    let mut ignored = [0; 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut ignored) => if !read.is_ok_and(|length| length > 0) { return },
            _ = phases.changed() => return,
        }
    }
}
