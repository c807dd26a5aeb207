//! What the operator reads and changes: `/metrics`, `/healthz`, `/readyz`, `/policies`, `/generators`, `/bans`, `/viewbot`, `/record/rotate`, on a listener and a thread of their own.
//!
//! A thread of its own, so that neither a flood of clients delays a scrape nor a scrape a client. Numbers and readiness are
//! for whoever reaches the listener; whatever changes something takes a token, or the socket on the gateway's own machine
//! ([`door`]). Bound in size, count and time like everything that reads from outside, for a scraper that hangs must not
//! lock the operator out. Read [`serve`](serve()) first.

mod bans;
pub mod door;
mod generators;
mod pages;
mod policies;
mod record;
mod serve;
mod socket;
#[cfg(test)]
mod tests;
mod viewbot;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::base::time::Clock;
use crate::control::desk::Desk;
use crate::control::generators::Generators;
use crate::gateway::Shared;
use crate::telemetry::access_log::RecordLog;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

pub use door::Door;
pub use serve::serve;
pub use socket::{AdminSocket, SocketError};

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Of `/readyz`.
    pub readiness: Readiness,
    /// Who answers for `/policies`.
    pub desk: Desk,
    /// Who may ask there.
    pub door: Arc<Door>,
    /// What `/record/rotate` sets aside.
    pub record: Arc<RecordLog>,
    /// When that is done.
    pub clock: Clock,
    /// What `/generators` shows and changes.
    pub generators: Arc<Generators>,
    /// What `/bans` and `/viewbot` show and change.
    pub gateway: Arc<Shared>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the operator")]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// Why not.
    pub source: std::io::Error,
}

impl BindError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self.source.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process listens there: stop it, or choose another address with `--admin` or `address` in `[admin]`"
            }
            std::io::ErrorKind::PermissionDenied => {
                "this user may not listen there: choose a port from 1024 on with `--admin` or `address` in `[admin]`"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address: choose one that it has with `--admin` or `address` in `[admin]`"
            }
            _ => "choose another address with `--admin` or `address` in `[admin]`",
        }
    }
}

/// Binds the admin listener. Done before the data path starts, so that an address that is taken stops the start and not
/// the first scrape.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| BindError { address, source })
}

/// The thread that serves the operator.
#[derive(Debug)]
pub struct AdminThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    /// Removes its file when it is dropped.
    socket: Option<AdminSocket>,
}

/// Starts the thread on a listener that [`bind`] made, and on the socket where there is one.
pub fn start(
    listener: TcpListener,
    socket: Option<AdminSocket>,
    shown: Shown,
) -> std::io::Result<AdminThread> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (listener, opened) = {
        let _inside = runtime.enter();
        let opened = socket.as_ref().map(|socket| tokio::net::UnixListener::from_std(socket.listener()?));
        (tokio::net::TcpListener::from_std(listener)?, opened.transpose()?)
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
        let stopped = async {
            // Dropped without a word is told to stop, too.
            let _ = stopped.await;
        };
        runtime.block_on(serve(listener, opened, shown, stopped));
    })?;
    Ok(AdminThread { stop, thread, socket })
}

impl AdminThread {
    /// Stops it: answers that are being written are finished, within two seconds.
    pub fn stop(self) {
        drop((self.stop, self.socket));
        if self.thread.join().is_err() {
            tracing::error!("the admin thread had failed");
        }
    }
}
