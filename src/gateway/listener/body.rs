//! A request's body, on its way from the conversation, which reads it, to the handler, which waits for it.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::Poll,
};

use bytes::Bytes;

use super::{
    connection::ConnectionState,
    violation::{Rejection, Violation},
};

/// The body of a connection's current request.
#[derive(Debug, Default)]
pub(super) struct BodyState {
    /// Whether somebody waits for it. Until then nothing of it is read.
    wanted: Cell<bool>,
    /// Whether it came to its end, and to which.
    ended: Cell<Option<Result<(), Violation>>>,
    data: RefCell<Vec<u8>>,
}

impl BodyState {
    /// Starts a request, of which a body is still to come or there is none.
    pub(super) fn begin(&self, is_to_come: bool) {
        self.wanted.set(false);
        self.ended.set(if is_to_come { None } else { Some(Ok(())) });
        self.data.borrow_mut().clear();
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.get()
    }

    /// Hands over what `read` finds to belong to it.
    pub(super) fn take<T>(&self, read: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        read(&mut self.data.borrow_mut())
    }

    /// Notes that it is whole, or never will be.
    pub(super) fn end(&self, ended: Result<(), Violation>) {
        self.ended.set(Some(ended));
    }
}

/// The body of a request, to be read by who needs it.
#[derive(Clone, Copy, Debug)]
pub struct RequestBody<'c>(pub(super) &'c ConnectionState);

impl RequestBody<'_> {
    /// Reads the body whole; it cannot be larger than [`body_bytes_max`](super::FramingLimits::body_bytes_max). To be
    /// awaited within the connection's handler. What nobody reads ends the connection with the answer.
    ///
    /// The error is the answer: too large, too slow, badly framed, or cut short.
    pub async fn read(self) -> Result<Bytes, Rejection> {
        let body = &self.0.body;
        body.wanted.set(true);
        let ended = poll_fn(|_| body.ended.get().map_or(Poll::Pending, Poll::Ready)).await;
        match ended {
            Ok(()) => Ok(Bytes::from(body.data.take())),
            Err(violation) => Err(violation.rejection()),
        }
    }
}
