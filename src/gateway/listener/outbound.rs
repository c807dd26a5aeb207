//! An answer, as it goes over the wire.

use bytes::{Buf, Bytes};

use super::framing::RequestHead;
use crate::base::buffer::Buffer;
use crate::dialect::head::Answer;

/// Bytes to be written: what is left of the text, then of the body.
pub(super) struct Outbound {
    text: Buffer,
    written: usize,
    body: Bytes,
}

impl Outbound {
    /// Of an answer to `head`, which was a request if there is one; `closes` where the connection ends with it. `date` is the
    /// time of the answer in the form of RFC 9110 section 5.6.7.
    pub(super) fn new(answer: Answer, date: &str, head: Option<RequestHead<'_>>, closes: bool) -> Self {
        let (mut text, start) = answer.head.begin(answer.status);
        text.extend_from_slice(b"content-length: ");
        text.extend_from_slice(itoa::Buffer::new().format(answer.body.len()).as_bytes());
        text.extend_from_slice(b"\r\ndate: ");
        text.extend_from_slice(date.as_bytes());
        if closes {
            text.extend_from_slice(b"\r\nconnection: close");
        } else if head.is_some_and(|head| head.is_http_1_0()) {
            // Who speaks HTTP/1.0 and asked for it has to be told (RFC 9112 appendix C.2.2).
            text.extend_from_slice(b"\r\nconnection: keep-alive");
        }
        text.extend_from_slice(b"\r\n\r\n");
        // RFC 9110 section 9.3.2: the answer to HEAD ends with its header.
        let has_body = head.is_none_or(|head| head.method() != "HEAD");
        let mut body = if has_body { answer.body } else { Bytes::new() };
        // In one piece where it fits; a large body stays where it is.
        if body.len() <= text.capacity() - text.len() {
            text.extend_from_slice(&body);
            body = Bytes::new();
        }
        Self { text, written: start, body }
    }

    /// What is left, in two pieces of which either may be empty.
    pub(super) fn left(&self) -> (&[u8], &[u8]) {
        (&self.text[self.written..], &self.body)
    }

    /// Takes so many bytes off the front.
    pub(super) fn advance(&mut self, written: usize) {
        let of_text = written.min(self.text.len() - self.written);
        self.written += of_text;
        self.body.advance(written - of_text);
    }
}
