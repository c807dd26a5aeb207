//! Bytes that a client has sent and nobody has taken yet, and the memory that they stand in.
//!
//! A connection has such memory only while bytes of a request are in it: ten thousand idle ones have none. A thread keeps
//! what was given back for whoever reads next.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::framing::{Framing, HeadMap, RequestHead};
use super::violation::Violation;

/// Nearly every head, and a body beside it, fits at once. Grows where one does not.
const BYTES: usize = 4 << 10;

/// Received bytes, the first of them first.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    map: HeadMap,
}

impl Inbound {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether it has memory that is worth keeping for the next request, and not more than that.
    pub(super) fn is_spare(&self) -> bool {
        self.is_empty() && self.bytes.len() == BYTES
    }

    /// Whether it has no memory.
    pub(super) fn is_bare(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes so many bytes off the front.
    pub(super) fn advance(&mut self, taken: usize) {
        self.start = (self.start + taken).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Looks for a whole head at the front.
    pub(super) fn look(&mut self, framing: &mut Framing) -> Result<Option<usize>, Violation> {
        framing.head(&self.bytes[self.start..self.end], &mut self.map)
    }

    /// Keeps the head of so many bytes at the front; what follows it moves to `rest`, which is empty.
    pub(super) fn split(&mut self, head_bytes: usize, rest: &mut Inbound) {
        let after = self.start + head_bytes;
        if after < self.end {
            let length = self.end - after;
            rest.make_room(length);
            rest.bytes[..length].copy_from_slice(&self.bytes[after..self.end]);
            (rest.start, rest.end) = (0, length);
            self.end = after;
        }
    }

    /// The head that alone is in it.
    pub(super) fn head(&self) -> RequestHead<'_> {
        RequestHead::new(self.bytes(), &self.map)
    }

    /// Forgets what is in it.
    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Reads what has arrived; 0 when the client has finished.
    pub(super) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room(1);
        let mut buf = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
        let arrived = buf.filled().len();
        self.end += arrived;
        Poll::Ready(Ok(arrived))
    }

    /// Sees to it that so many more bytes can be taken in.
    fn make_room(&mut self, more: usize) {
        if self.bytes.len() - self.end >= more {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.bytes.len() - self.end < more {
            self.bytes.resize((self.bytes.len() * 2).max(BYTES), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::listener::FramingLimits;

    fn holding(bytes: &[u8]) -> Inbound {
        let mut inbound = Inbound::default();
        inbound.make_room(bytes.len());
        inbound.bytes[..bytes.len()].copy_from_slice(bytes);
        inbound.end = bytes.len();
        inbound
    }

    #[test]
    fn a_head_is_parted_from_what_follows_it() {
        let mut framing = Framing::new(FramingLimits::default());
        let mut inbound = holding(b"xxGET /a?b HTTP/1.1\r\nHost:  a\t\r\nX-Y:z\r\n\r\nGET /next");
        inbound.advance(2);
        let length = inbound.look(&mut framing).unwrap().unwrap();
        let mut rest = Inbound::default();
        inbound.split(length, &mut rest);
        let head = inbound.head();
        assert_eq!((head.method(), head.target(), head.path()), ("GET", "/a?b", "/a"));
        let headers: Vec<_> = head.headers().collect();
        assert_eq!(headers, [(&b"Host"[..], &b"a"[..]), (b"X-Y", b"z")]);
        assert_eq!(head.values("x-y").collect::<Vec<_>>(), [b"z"]);
        assert_eq!(rest.bytes(), b"GET /next");
    }

    #[test]
    fn it_grows_and_moves_what_is_left_to_the_front() {
        let mut inbound = holding(&[b'a'; BYTES]);
        inbound.advance(BYTES - 1);
        inbound.make_room(10);
        assert_eq!((inbound.bytes.len(), inbound.bytes()), (BYTES, &b"a"[..]));
        inbound.make_room(BYTES);
        assert_eq!((inbound.bytes.len(), inbound.bytes()), (2 * BYTES, &b"a"[..]));
        inbound.advance(1);
        assert!(inbound.is_empty() && !inbound.is_spare());
        assert!(holding(b"").is_empty());
    }
}
