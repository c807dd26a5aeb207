//! The accept loop of one thread.

use std::{cell::Cell, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::spawn_local,
    time::{Instant, sleep, timeout},
};

use crate::base::request_id::RequestId;
use crate::dialect::head::Answer;

use super::{
    caps::ConnectionCaps,
    counts::CapReached,
    serve::{Arrival, serve_connection},
    thread::ListenerThread,
};

/// How long accepting pauses when the process has no file descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a failing accept is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// How often sources that went quiet are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Connections that a stopping loop still takes from the kernel's queue, where they would otherwise be reset.
const LAST_ACCEPTS_MAX: usize = 4096;
/// Turned-away connections that a thread keeps for a moment so that their clients can read why.
const TURNED_AWAY_MAX: u32 = 64;
/// How long it keeps each.
const TURNED_AWAY_LINGER: Duration = Duration::from_secs(1);

/// Accepts connections and serves them until `stop` becomes true, then goes out gracefully.
///
/// Runs on a current-thread runtime within a `LocalSet`, and keeps `thread`'s time meanwhile. When it returns, no
/// connection of this thread is left. A dropped sender of `stop` stops as well.
pub async fn serve_listener<H>(
    listener: std::net::TcpListener,
    thread: Rc<ListenerThread>,
    caps: Arc<ConnectionCaps>,
    handler: Rc<H>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()>
where
    H: AsyncFn(Arrival<'_>) -> Answer + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    let door = Door { thread: Rc::clone(&thread), caps, handler, turned_away: Rc::default() };
    let work = async {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = door.accept_for_ever(&listener) => {}
        }
        let queued = door.accept_queued(listener);
        thread.drain().await;
        queued
    };
    tokio::select! {
        done = work => done,
        never = Rc::clone(&thread).keep_time() => never,
    }
}

struct Door<H> {
    thread: Rc<ListenerThread>,
    caps: Arc<ConnectionCaps>,
    handler: Rc<H>,
    turned_away: Rc<Cell<u32>>,
}

impl<H> Door<H>
where
    H: AsyncFn(Arrival<'_>) -> Answer + 'static,
{
    async fn accept_for_ever(&self, listener: &TcpListener) {
        let mut logged: Option<Instant> = None;
        let mut swept = Instant::now();
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    self.thread.counts().accept_errors.add(1);
                    if !is_of_one_connection(&error) {
                        // Out of descriptors, most likely. The connection stays in the queue, so trying again at
                        // once would spin.
                        if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                            tracing::error!(%error, open = self.caps.open(), "cannot accept connections");
                            logged = Some(Instant::now());
                        }
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
            if swept.elapsed() >= SWEEP_EVERY {
                self.caps.sweep();
                swept = Instant::now();
            }
        }
    }

    /// Takes what the kernel has queued, for closing the socket would reset it.
    fn accept_queued(&self, listener: TcpListener) -> io::Result<()> {
        // Through the socket itself: tokio only knows of what its last look at epoll has shown.
        let listener = listener.into_std()?;
        for _ in 0..LAST_ACCEPTS_MAX {
            match listener.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    self.admit(TcpStream::from_std(stream)?, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let address = peer.ip().to_canonical();
        match self.caps.admit(address, self.thread.settings().trusts(address)) {
            Ok(seat) => {
                let (thread, handler) = (Rc::clone(&self.thread), Rc::clone(&self.handler));
                spawn_local(async move {
                    serve_connection(stream, peer, &thread, &*handler).await;
                    drop(seat);
                });
            }
            Err(cap) => {
                self.thread.counts().count_capped(cap);
                self.turn_away(stream, cap);
            }
        }
    }

    /// Tells the client why, if it can be told at once.
    fn turn_away(&self, mut stream: TcpStream, cap: CapReached) {
        let answer = turned_away_answer(cap, self.thread.next_id());
        if !matches!(stream.try_write(answer.as_bytes()), Ok(length) if length == answer.len()) {
            return;
        }
        // Closing at once would reset the connection when its request arrives, and the reset would overtake the answer.
        // A few are kept until their client has read it; in a flood the rest are not.
        let turned_away = Rc::clone(&self.turned_away);
        if turned_away.get() >= TURNED_AWAY_MAX {
            return;
        }
        turned_away.set(turned_away.get() + 1);
        spawn_local(async move {
            let _ = timeout(TURNED_AWAY_LINGER, async {
                let _ = stream.shutdown().await;
                let mut rubbish = [0; 1024];
                let mut left = 32;
                while left > 0 && matches!(stream.read(&mut rubbish).await, Ok(1..)) {
                    left -= 1;
                }
            })
            .await;
            turned_away.set(turned_away.get() - 1);
        });
    }
}

/// Whether a failed accept concerns the one connection that it would have given, and the next may well succeed.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// The whole answer to a connection over a cap. Its body ends with the connection, so it needs no length.
fn turned_away_answer(cap: CapReached, id: RequestId) -> String {
    let (status, reason, message) = match cap {
        CapReached::Connections => (
            503,
            "Service Unavailable",
            "the gateway has as many connections as it can take, try again in 1 second",
        ),
        CapReached::PerSource => (
            429,
            "Too Many Requests",
            "your address has too many open connections, close some or try again in 1 second",
        ),
        CapReached::AcceptRate => (
            429,
            "Too Many Requests",
            "your address opens connections too fast, reuse them or try again in 1 second",
        ),
    };
    // Clients read their wait from one or another of these; `RateLimit-Remaining` is TikTokLive's.
    let waits = "retry-after: 1\r\nratelimit-reset: 1\r\nratelimit-remaining: 1\r\n";
    let label = cap.label();
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\nconnection: close\r\nx-request-id: {id}\r\n{waits}\r\n\
         {{\"code\":{status},\"message\":\"{message}\",\"error\":\"{message}\",\"limit_label\":\"{label}\",\
         \"retry_after\":1,\"request_id\":\"{id}\"}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;

    #[test]
    fn turned_away_answers_are_json_under_their_label() {
        for cap in CapReached::ALL {
            let id = RequestId::new(Timestamp::from_secs(1_800_000_000), 1, [1, 2]);
            let answer = turned_away_answer(cap, id);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let status = if cap == CapReached::Connections { 503 } else { 429 };
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")));
            assert!(head.contains("connection: close") && head.contains("retry-after: 1"));
            assert_eq!(body["code"], status);
            assert_eq!(body["limit_label"], cap.label());
            assert_eq!(body["request_id"], id.to_string());
            assert!(head.contains(&format!("x-request-id: {id}\r\n")));
            assert!(body["message"].is_string() && body["message"] == body["error"]);
        }
    }
}
