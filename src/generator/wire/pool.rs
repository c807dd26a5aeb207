//! One thread's connections to one generator.
//!
//! The youngest idle connection is used first: it is the least likely to have been closed at the other end, and the
//! surplus of a busy minute is left to grow old. A connection that is in use is owned by the request's future; so it
//! closes when the future is dropped, and comes back only by way of a complete answer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Wanted};
use super::connection::{Afterwards, Connection};
use super::error::{NotConnected, Phase, WireError};
use super::origin::Origin;
use super::parse::{AnswerParser, Limits};
use super::request::{Method, Repeat, Request};
use super::stream::Stream;
use crate::base::buffer::Buffer;
use crate::base::turn::after_the_others;

/// How a pool treats its generator.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// For the name, all addresses and the handshake together; the request's own deadline may come sooner.
    pub connect_timeout: Duration,
    /// A connection that idled for longer is closed. Shorter where the generator says so (`Keep-Alive: timeout`).
    pub idle_timeout: Duration,
    /// Idle connections kept by this thread.
    pub idle_max: usize,
    /// The name is looked up again after this time in use.
    pub resolve_interval: Duration,
    /// How much an answer may be.
    pub limits: Limits,
    /// The headers that are kept of an answer.
    pub wanted: Wanted,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(30),
            idle_max: 256,
            resolve_interval: Duration::from_secs(30),
            limits: Limits::default(),
            wanted: Wanted::NONE,
        }
    }
}

/// What a pool has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that came about.
    pub dialled: u64,
    /// Requests put on an idle connection.
    pub reused: u64,
    /// Of these, those that found it closed and went to a fresh one.
    pub stale: u64,
}

/// One thread's connections to one generator. Its futures are not `Send`.
pub struct Pool {
    origin: Origin,
    settings: Settings,
    /// The youngest last.
    idle: RefCell<VecDeque<Link>>,
    /// Which of the addresses was good last.
    preferred: Cell<Option<SocketAddr>>,
    resolve_at: Cell<Option<Instant>>,
    counts: Cell<Counts>,
}

/// A request as it goes over the wire.
struct Written {
    text: Buffer,
    method: Method,
    repeat: Repeat,
}

/// A connection, and what decides whether it may be used again.
struct Link {
    connection: Connection<Stream>,
    address: SocketAddr,
    /// The resolver's generation in which `address` was last known to be right.
    generation: u32,
    /// When idle: until when.
    usable_until: Instant,
}

impl Pool {
    /// An empty pool; connects when there is something to send.
    pub fn new(origin: Origin, settings: Settings) -> Self {
        Self {
            origin,
            settings,
            idle: RefCell::default(),
            preferred: Cell::new(None),
            resolve_at: Cell::new(None),
            counts: Cell::default(),
        }
    }

    /// Looks the generator's name up, without waiting. To be called at the start, on a tokio runtime.
    pub fn resolve(&self, now: Instant) {
        self.resolve_at.set(Some(now + self.settings.resolve_interval));
        self.origin.resolver().refresh();
    }

    /// Sends a request and reads the whole answer, until `deadline`.
    ///
    /// On a stale idle connection (no byte of an answer came) it is sent once more, on a fresh one. Drop the future and
    /// its connection is closed. The request is written at once, and need not be held until it was answered.
    pub fn send<'p>(
        &'p self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Answer, WireError>> + use<'p> {
        let mut text = Buffer::new();
        let written = request.write_to(&mut text, self.origin.authority(), self.origin.base_path());
        let written = written.map(|()| Written { text, method: request.method, repeat: request.repeat });
        async move {
            match written {
                Ok(written) => self.send_written(&written, deadline).await,
                Err(why) => Err(WireError::Unsendable(why)),
            }
        }
    }

    async fn send_written(&self, request: &Written, deadline: Instant) -> Result<Answer, WireError> {
        let now = Instant::now();
        if deadline <= now {
            return Err(WireError::TimedOut(Phase::Connect));
        }
        if self.resolve_at.get().is_none_or(|due| due <= now) {
            self.resolve(now);
        }
        // Before a connection is taken, so that it is written to right after it was found to be quiet.
        after_the_others().await;
        if request.repeat == Repeat::Allowed
            && let Some(link) = self.take_idle(now)
        {
            self.count(|counts| counts.reused += 1);
            match self.exchange(link, request, deadline).await {
                Err(WireError::ClosedEarly) => self.count(|counts| counts.stale += 1),
                result => return result,
            }
        }
        // In a box: it happens once for many requests, and each of them would have room for it.
        let link = Box::pin(self.dial(deadline)).await?;
        self.count(|counts| counts.dialled += 1);
        self.exchange(link, request, deadline).await
    }

    async fn exchange(
        &self,
        mut link: Link,
        request: &Written,
        deadline: Instant,
    ) -> Result<Answer, WireError> {
        let Settings { wanted, limits, .. } = self.settings;
        let parser = AnswerParser::new(request.method, wanted, limits).staying();
        let (answer, afterwards) = link.connection.exchange(&request.text, parser, deadline).await?;
        if let Afterwards::Reuse { idle_hint } = afterwards {
            self.put_idle(link, idle_hint);
        }
        Ok(answer)
    }

    /// The youngest idle connection that can still be used.
    fn take_idle(&self, now: Instant) -> Option<Link> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut link) = idle.pop_back() {
            if now < link.usable_until && self.still_right(&mut link) && link.connection.is_quiet() {
                return Some(link);
            }
        }
        None
    }

    /// Whether the generator's name still leads where the connection leads.
    fn still_right(&self, link: &mut Link) -> bool {
        let generation = self.origin.resolver().generation();
        if link.generation != generation {
            if !self.origin.resolver().holds(link.address) {
                return false;
            }
            link.generation = generation;
        }
        true
    }

    fn put_idle(&self, mut link: Link, idle_hint: Option<Duration>) {
        // The generator's clock started before ours: a second less than it says, and nothing below that is worth it.
        let hinted = idle_hint.map_or(Duration::MAX, |hint| hint.saturating_sub(Duration::from_secs(1)));
        let idle_for = self.settings.idle_timeout.min(hinted);
        if idle_for.is_zero() || self.settings.idle_max == 0 {
            return;
        }
        link.usable_until = Instant::now() + idle_for;
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= self.settings.idle_max {
            idle.pop_front();
        }
        idle.push_back(link);
    }

    /// Closes the connections that idled for too long. Nothing depends on it but the sockets that they hold.
    pub fn prune(&self, now: Instant) {
        self.idle.borrow_mut().retain(|link| now < link.usable_until);
    }

    /// How many connections are idle.
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// What the pool has done so far.
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// Connects to one of the generator's addresses, in turn, the last good one first.
    ///
    /// Each gets an equal share of the time that is left, so that one that swallows packets does not use it up.
    async fn dial(&self, deadline: Instant) -> Result<Link, WireError> {
        let until = deadline.min(Instant::now() + self.settings.connect_timeout);
        let timed_out = WireError::TimedOut(Phase::Connect);
        let resolver = self.origin.resolver();
        let generation = resolver.generation();
        let addresses = match timeout_at(until, resolver.addresses()).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(_)) => return Err(WireError::NotConnected(NotConnected::Dns)),
            Err(_) => return Err(timed_out),
        };
        let preferred = self.preferred.get();
        let first = addresses.iter().position(|address| Some(*address) == preferred).unwrap_or(0);
        let mut failure = timed_out;
        for tried in 0..addresses.len() {
            let address = addresses[(first + tried) % addresses.len()];
            let now = Instant::now();
            let share = until.saturating_duration_since(now) / (addresses.len() - tried) as u32;
            if share.is_zero() {
                break;
            }
            failure = match timeout_at(now + share, Stream::dial(address, self.origin.tls())).await {
                Ok(Ok(stream)) => {
                    self.preferred.set(Some(address));
                    let connection = Connection::new(stream, deadline);
                    return Ok(Link { connection, address, generation, usable_until: deadline });
                }
                Ok(Err(why)) => WireError::NotConnected(why),
                Err(_) => timed_out,
            };
        }
        Err(failure)
    }
}

/// How it fares, not where it leads.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.idle())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
