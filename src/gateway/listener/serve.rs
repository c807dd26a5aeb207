//! One connection from its first byte to its last: hyper over a [`Guard`], and a handler for what arrives.

use std::{
    convert::Infallible, future::Future, future::poll_fn, net::SocketAddr, pin::pin, rc::Rc, task::Poll,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONNECTION};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    connection::{ConnectionState, Origin},
    framing::Refused,
    guard::Guard,
    thread::ListenerThread,
    violation::{Rejection, Violation},
};

/// What hyper's buffers may hold beyond the largest head: so it never refuses one for its size, in its own words.
const BUFFER_BYTES_SPARE: usize = 16 << 10;

/// A request, or the place in a connection where one should have been.
#[derive(Debug)]
pub struct Arrival {
    /// Where it came from.
    pub origin: Origin,
    /// The request; or why there is none, to be answered and recorded like any other refusal.
    pub request: Result<Request<Incoming>, Rejection>,
}

/// Serves `stream` until either side ends it.
///
/// `handler` is called for each request in turn, and its answer is written before the next is looked at. Its future is
/// dropped where it stands when the client resets the connection, when the client has finished sending and
/// [`half_closed`](super::Deadlines::half_closed) has passed, and when the connection is cut.
///
/// Deadlines take effect only while [`ListenerThread::keep_time`] runs on the same thread.
pub async fn serve_connection<S, H>(stream: S, peer: SocketAddr, thread: &Rc<ListenerThread>, handler: &H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: AsyncFn(Arrival) -> Response<Full<Bytes>>,
{
    let state = Rc::new(ConnectionState::new(Rc::clone(thread), peer));
    let _registered = thread.register(Rc::clone(&state));
    let service = service_fn(|request: Request<Incoming>| {
        let number = state.begin();
        let request = match state.refused(number) {
            // What hyper has is the guard's stand-in.
            Some(Refused::Head(violation)) => Err(violation.rejection()),
            // The head is good; whoever reads the body learns of the violation.
            Some(Refused::Body(_)) | None => Ok(request),
        };
        let origin = Origin { connection: Rc::clone(&state), number };
        let state = &state;
        Box::pin(async move {
            let mut response = handler(Arrival { origin, request }).await;
            if state.answer() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        })
    });
    let io = TokioIo::new(Guard::new(stream, Rc::clone(&state)));
    let mut builder = http1::Builder::new();
    // hyper keeps looking for the client's end of input while it serves (no `half_close`); the guard decides what it
    // is told of it. Its timer stays off: the guard has the deadlines.
    builder
        .header_read_timeout(None)
        .max_buf_size(thread.settings().framing.head_bytes_max + BUFFER_BYTES_SPARE);
    let mut connection = pin!(builder.serve_connection(io, service));
    poll_fn(|cx| {
        state.attend(cx.waker());
        if state.is_cut() {
            return Poll::Ready(());
        }
        // An error means that the client is gone or that its body was cut, which the guard has counted.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// Reads a request's body whole; it cannot be larger than [`body_bytes_max`](super::FramingLimits::body_bytes_max).
///
/// The error is the answer: too large, too slow, badly framed, or cut short.
pub async fn read_body(body: Incoming, origin: &Origin) -> Result<Bytes, Rejection> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(_) => Err(origin.rejection().unwrap_or(Violation::BodyCut.rejection())),
    }
}
