//! The listener: a few connections, each for a short while.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::door::Through;
use super::{Shown, pages};
use crate::telemetry::logging::LineLimit;

/// At most so many connections: a few scrapers, a load balancer, an operator's browser.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// A head is whole within that, or its connection is closed.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// A head is no larger.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A connection is closed after that, between two requests if it can be: one that reads its answers slowly, or sends a
/// body byte by byte, holds its place no longer.
const LIFETIME: Duration = Duration::from_secs(60);

/// What is being answered when a connection is to be closed has so long to finish.
const GRACE: Duration = Duration::from_secs(2);

/// Places that only the socket has: a flood on the listener must not keep the operator from it.
const SOCKET_CONNECTIONS_MAX: usize = 8;

/// Serves the pages until `stop` is ready, then finishes what is being answered, within two seconds. Runs on a
/// current-thread runtime with I/O and time.
pub async fn serve(
    listener: TcpListener,
    socket: Option<UnixListener>,
    shown: Shown,
    stop: impl Future<Output = ()>,
) {
    let router = pages::router(shown);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let socket_places = Arc::new(Semaphore::new(SOCKET_CONNECTIONS_MAX));
    let complaints = LineLimit::per_minute(2);
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted.map(|(stream, peer)| {
                (Box::new(stream) as Box<dyn Stream>, Through::Network(peer.ip()), &places)
            }),
            accepted = accept_on(socket.as_ref()) => accepted.map(|stream| {
                (Box::new(stream) as Box<dyn Stream>, Through::Socket, &socket_places)
            }),
            // Keeps the set from growing with connections that have ended.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, through, places)) => match Arc::clone(places).try_acquire_owned() {
                Ok(place) => {
                    let router = router.clone().layer(axum::Extension(through));
                    let service = TowerToHyperService::new(router);
                    connections.spawn(serve_connection(stream, service, stopped.clone(), place));
                }
                Err(_) => {
                    if let Some(left_out) = complaints.pass() {
                        tracing::warn!(
                            left_out,
                            "the admin listener has {CONNECTIONS_MAX} connections; more are closed"
                        );
                    }
                }
            },
            Err(error) => {
                if let Some(left_out) = complaints.pass() {
                    tracing::error!(%error, left_out, "the admin listener cannot accept a connection");
                }
                // Out of file descriptors: asking again at once would only burn CPU.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop((listener, socket));
    drop(stopping);
    // Every connection ends itself within the grace once it sees the channel closed.
    while connections.join_next().await.is_some() {}
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The next one, or never where there is no socket.
async fn accept_on(socket: Option<&UnixListener>) -> io::Result<tokio::net::UnixStream> {
    match socket {
        Some(socket) => socket.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn serve_connection(
    stream: Box<dyn Stream>,
    service: TowerToHyperService<axum::Router>,
    mut stopped: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // How a connection ends is its client's affair: nothing is logged of it.
    tokio::select! {
        _ = &mut connection => return,
        () = tokio::time::sleep(LIFETIME) => {}
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(GRACE, connection).await;
}
