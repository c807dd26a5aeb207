//! Clients that ask at a steady rate, whatever becomes of what they asked before, and look into each answer.
//!
//! The time of a request runs from when it was due: a proxy that holds its clients up cannot hide it by being asked less.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::answer;

/// The rooms that clients ask for.
pub const ROOMS: Range<u64> = 7_300_000_000_000_000_000..7_300_000_000_000_100_000;

/// No good answer is as long.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Who asks: one group of clients whose requests are counted together.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Lines of their requests, each with its end: a key.
    pub lines: String,
    /// So many requests of them in a row of all groups' requests.
    pub weight: usize,
}

/// What is asked, where, and how often.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where.
    pub address: SocketAddr,
    /// So many requests a second.
    pub rate: f64,
    /// How large good answers are.
    pub bytes: usize,
    /// What their library calls itself: the gateway reads from it how long they wait.
    pub library: &'static str,
    /// How long they do.
    pub patience: Duration,
    /// Who asks.
    pub groups: Vec<Group>,
}

/// How the requests of a stretch of time ended.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many were due.
    pub sent: u64,
    /// How many got a good answer.
    pub good: u64,
    /// What the others got, and how many.
    pub faults: BTreeMap<&'static str, u64>,
    /// How long good answers took.
    pub took: Vec<Duration>,
    /// How long refusals took: answers with status 429 or 503.
    pub refused: Vec<Duration>,
}

impl Tally {
    /// The share with a good answer.
    pub fn success(&self) -> f64 {
        self.good as f64 / self.sent.max(1) as f64
    }

    /// The time within which this share of them ended.
    pub fn percentile(times: &[Duration], share: f64) -> Duration {
        let mut times = times.to_vec();
        times.sort_unstable();
        let beyond =
            times.iter().enumerate().find(|(place, _)| (place + 1) as f64 >= times.len() as f64 * share);
        beyond.map_or(Duration::ZERO, |(_, time)| *time)
    }

    /// Adds another stretch of the same clients.
    pub fn add(&mut self, more: Self) {
        self.sent += more.sent;
        self.good += more.good;
        for (fault, count) in more.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        self.took.extend(more.took);
        self.refused.extend(more.refused);
    }

    /// How many were refused: 429 or 503.
    pub fn refusals(&self) -> u64 {
        self.refused.len() as u64
    }
}

/// A load that runs; its requests are counted by stretches, which follow one another without a gap.
pub struct Running {
    load: Load,
    /// When the next stretch begins.
    due: Instant,
    /// The next request to be sent.
    next: u64,
    idle: Rc<RefCell<Vec<TcpStream>>>,
}

/// A stretch of which all requests are sent, and some may not be answered yet.
pub struct Stretch {
    asked: Vec<tokio::task::JoinHandle<()>>,
    tallies: Rc<RefCell<Vec<Tally>>>,
}

impl Stretch {
    /// Waits for the last answer; a tally for each group.
    pub async fn end(self) -> Vec<Tally> {
        for one in self.asked {
            let _ = one.await;
        }
        self.tallies.take()
    }
}

impl Running {
    /// Ready to ask. To be used on a current-thread runtime, in a local set.
    pub fn new(load: Load) -> Self {
        Self { load, due: Instant::now(), next: 0, idle: Rc::default() }
    }

    /// Asks for so long.
    pub async fn ask_for(&mut self, length: Duration) -> Stretch {
        let groups = &self.load.groups;
        let tallies: Rc<RefCell<Vec<Tally>>> = Rc::new(RefCell::new(vec![Tally::default(); groups.len()]));
        let order: Vec<usize> = groups
            .iter()
            .enumerate()
            .flat_map(|(place, group)| std::iter::repeat_n(place, group.weight))
            .collect();
        let gap = Duration::from_secs_f64(1.0 / self.load.rate);
        // After a pause it begins anew; otherwise it goes on where the stretch before ended.
        if self.due.elapsed() > Duration::from_secs(1) {
            self.due = Instant::now();
        }
        let start = self.due;
        let mut asked = Vec::new();
        for n in 0u32.. {
            let due = start + gap * n;
            if due >= start + length {
                self.due = due;
                break;
            }
            sleep_until(due).await;
            let group = order[self.next as usize % order.len()];
            let room = ROOMS.start + self.next % (ROOMS.end - ROOMS.start);
            self.next += 1;
            let request = format!(
                "GET /webcast/fetch?client={}&room_id={room} HTTP/1.1\r\nHost: gateway.example\r\n\
                 User-Agent: a-client/1.0\r\n{}\r\n",
                self.load.library, groups[group].lines
            );
            let (idle, tallies) = (Rc::clone(&self.idle), Rc::clone(&tallies));
            let Load { address, bytes, patience, .. } = self.load;
            asked.push(tokio::task::spawn_local(async move {
                let answer = timeout_at(due + patience, ask(address, &idle, &request)).await;
                let took = due.elapsed();
                let mut tallies = tallies.borrow_mut();
                let tally = &mut tallies[group];
                tally.sent += 1;
                let fault = match &answer {
                    Err(_) => Some("nothing in time"),
                    Ok(Err(fault)) => Some(*fault),
                    Ok(Ok(answer)) => {
                        if matches!(answer.status, 429 | 503) {
                            tally.refused.push(took);
                        }
                        answer::fault(room, bytes, answer.status, answer.cookie.as_deref(), &answer.body)
                    }
                };
                match fault {
                    None => {
                        tally.good += 1;
                        tally.took.push(took);
                    }
                    Some(fault) => *tally.faults.entry(fault).or_default() += 1,
                }
            }));
        }
        Stretch { asked, tallies }
    }
}

/// Asks once, with these lines; the status and the body.
pub async fn get(address: SocketAddr, target: &str, lines: &str) -> Option<(u16, Vec<u8>)> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: gateway.example\r\n{lines}\r\n");
    let mut stream = connect(address).await?;
    let (answer, _) = exchange(&mut stream, &request).await.ok()?;
    Some((answer.status, answer.body))
}

struct Answer {
    status: u16,
    cookie: Option<String>,
    body: Vec<u8>,
}

/// Asks on a connection that is open, else on a new one.
async fn ask(
    address: SocketAddr,
    idle: &RefCell<Vec<TcpStream>>,
    request: &str,
) -> Result<Answer, &'static str> {
    loop {
        let kept = idle.borrow_mut().pop();
        let is_kept = kept.is_some();
        let mut stream =
            if let Some(stream) = kept { stream } else { connect(address).await.ok_or("no connection")? };
        match exchange(&mut stream, request).await {
            // Closed while it idled: nobody's fault, as any client's library sees it.
            Err("closed") if is_kept => {}
            Err(fault) => return Err(fault),
            Ok((answer, stays)) => {
                if stays {
                    idle.borrow_mut().push(stream);
                }
                return Ok(answer);
            }
        }
    }
}

/// A new connection, from one of many addresses: clients do not all live in one house.
async fn connect(address: SocketAddr) -> Option<TcpStream> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let source = Ipv4Addr::from(0x7f00_0900 | (NEXT.fetch_add(1, Ordering::Relaxed) % 200 + 1));
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((source, 0).into()).ok()?;
    let stream = socket.connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

async fn exchange(stream: &mut TcpStream, request: &str) -> Result<(Answer, bool), &'static str> {
    stream.write_all(request.as_bytes()).await.map_err(|_| "closed")?;
    let mut bytes = Vec::with_capacity(4096);
    let (mut status, mut cookie, mut stays, mut whole) = (0, None, true, None);
    loop {
        if whole.is_none_or(|whole| bytes.len() < whole) {
            match stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) if bytes.is_empty() => return Err("closed"),
                Ok(0) | Err(_) => return Err("cut"),
                Ok(_) => {}
            }
        }
        if whole.is_none()
            && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "no HTTP")?;
            let mut lines = head.split("\r\n");
            let first = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
            status = first.ok_or("no HTTP")?;
            let mut length = None;
            for (name, value) in lines.filter_map(|line| line.split_once(':')) {
                let value = value.trim();
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.parse::<usize>().ok();
                } else if name.eq_ignore_ascii_case("x-set-tt-cookie") {
                    cookie = Some(value.to_owned());
                } else if name.eq_ignore_ascii_case("connection") {
                    stays = !value.eq_ignore_ascii_case("close");
                }
            }
            whole = Some(end + 4 + length.ok_or("an answer without a length")?);
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err("an answer without an end");
        }
        match whole {
            Some(whole) if bytes.len() > whole => return Err("more than an answer"),
            Some(whole) if bytes.len() == whole => {
                let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0) + 4;
                return Ok((Answer { status, cookie, body: bytes.split_off(head) }, stays));
            }
            _ => {}
        }
    }
}
