//! The head of an answer, as it goes over the wire.

use super::framing::RequestHead;
use crate::dialect::head::Answer;

/// Writes the head of an answer to `head`, which was a request if there is one; `closes` where the connection ends with it.
/// `date` is the time of the answer in the form of RFC 9110 section 5.6.7.
pub(super) fn write_head(
    text: &mut Vec<u8>,
    answer: &Answer,
    date: &str,
    head: Option<RequestHead<'_>>,
    closes: bool,
) {
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(answer.status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(answer.status.canonical_reason().unwrap_or_default().as_bytes());
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(answer.head.lines());
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
}
