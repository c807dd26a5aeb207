//! The header of an answer while it is being written.
//!
//! Everything that the gateway ever sends is in [`Field`]: what is not in this closed list cannot leave, whatever a
//! generator answers. Lines are written as they will go over the wire: no map is made of them in between.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;

use crate::base::buffer::Buffer;
use crate::base::header::is_value;
use crate::base::request_id::RequestId;
use crate::base::time::Timestamp;

macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident = $name:literal,)*) => {
        /// A header field of an answer. Each appears at most once.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field {
            $($(#[$doc])* $field,)*
        }

        impl Field {
            /// All of them.
            pub const ALL: [Self; [$(Self::$field),*].len()] = [$(Self::$field),*];

            const fn bit(self) -> u32 {
                1 << self as u32
            }

            /// Its name on the wire, in lower case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }

            /// How its line begins.
            const fn line_start(self) -> &'static str {
                match self { $(Self::$field => concat!($name, ": "),)* }
            }
        }
    };
}

fields! {
    /// `Content-Type`.
    ContentType = "content-type",
    /// `Content-Encoding`, where the generator's encoding is kept.
    ContentEncoding = "content-encoding",
    /// `X-Set-TT-Cookie`: without it a connect answer is worth nothing (contract 3).
    SetTtCookie = "x-set-tt-cookie",
    /// `X-Room-Id`.
    RoomId = "x-room-id",
    /// `X-Agent-ID`: which generator answered.
    AgentId = "x-agent-id",
    /// `X-Log-Id`.
    LogId = "x-log-id",
    /// `X-Log-Code`.
    LogCode = "x-log-code",
    /// `X-Request-ID`: always ours.
    RequestId = "x-request-id",
    /// `Cache-Control`.
    CacheControl = "cache-control",
    /// `WWW-Authenticate`.
    WwwAuthenticate = "www-authenticate",
    /// `Allow`.
    Allow = "allow",
    /// `Retry-After`, in seconds.
    RetryAfter = "retry-after",
    /// `X-RateLimit-Limit`.
    XRateLimitLimit = "x-ratelimit-limit",
    /// `X-RateLimit-Remaining`.
    XRateLimitRemaining = "x-ratelimit-remaining",
    /// `X-RateLimit-Reset`, in seconds since 1970.
    XRateLimitReset = "x-ratelimit-reset",
    /// `RateLimit-Remaining`.
    RateLimitRemaining = "ratelimit-remaining",
    /// `RateLimit-Reset`, in seconds from now.
    RateLimitReset = "ratelimit-reset",
    /// `RateLimit-Policy`, a structured field.
    RateLimitPolicy = "ratelimit-policy",
    /// `RateLimit`, a structured field.
    RateLimit = "ratelimit",
}

/// In front of the lines there is room for a status line, so that neither has to move when it is known. The longest of those that
/// have a name has 48 bytes.
const START_BYTES: usize = 64;

/// An answer of the gateway, whole.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Its header, without what frames it.
    pub head: Head,
    /// Its body.
    pub body: Bytes,
    /// When it was made.
    pub time: Timestamp,
}

/// The header, while it is written and until it is sent.
pub struct Head {
    /// The lines as they go over the wire, behind [`START_BYTES`].
    text: Buffer,
    /// A bit for each field that stands there.
    present: u32,
}

impl Default for Head {
    fn default() -> Self {
        let mut text = Buffer::new();
        text.resize(START_BYTES, b' ');
        Self { text, present: 0 }
    }
}

impl Head {
    /// Without any field.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the field stands in it.
    pub fn has(&self, field: Field) -> bool {
        self.present & field.bit() != 0
    }

    /// Writes a field, in the place of what was written to it before. The value is ours: nothing in it ends a line.
    pub fn set(&mut self, field: Field, value: impl AsRef<[u8]>) {
        self.write(field, |text| text.extend_from_slice(value.as_ref()));
    }

    /// Writes a field with a value that a generator gave. One that may not stand in a header (RFC 9110 section 5.5) is left
    /// out.
    pub fn set_foreign(&mut self, field: Field, value: &[u8]) {
        if is_value(value) {
            self.set(field, value);
        }
    }

    /// Writes a whole number.
    pub fn set_number(&mut self, field: Field, value: u64) {
        self.write(field, |text| write_number(text, value));
    }

    /// Writes the id of the request, as every answer carries it: clients show it in their errors.
    pub fn set_request_id(&mut self, id: RequestId) {
        self.set(Field::RequestId, id.text().as_bytes());
    }

    /// Writes a field piece by piece.
    pub fn write(&mut self, field: Field, value: impl FnOnce(&mut Vec<u8>)) {
        if self.has(field) {
            self.remove(field);
        }
        self.text.extend_from_slice(field.line_start().as_bytes());
        let from = self.text.len();
        value(&mut self.text);
        debug_assert!(is_value(&self.text[from..]), "a value of {} would end its line", field.name());
        self.text.extend_from_slice(b"\r\n");
        self.present |= field.bit();
    }

    fn remove(&mut self, field: Field) {
        let mut start = START_BYTES;
        while start < self.text.len() {
            let rest = &self.text[start..];
            let end = start + rest.windows(2).position(|two| two == b"\r\n").map_or(rest.len(), |at| at + 2);
            if rest.starts_with(field.line_start().as_bytes()) {
                self.text.drain(start..end);
                break;
            }
            start = end;
        }
        self.present &= !field.bit();
    }

    /// The lines as they go over the wire, each with its end.
    pub fn lines(&self) -> &[u8] {
        &self.text[START_BYTES..]
    }

    /// Puts a status line in front of the lines. Gives what they stand in, for more to be written behind them, and where in it
    /// the answer begins.
    pub fn begin(self, status: StatusCode) -> (Buffer, usize) {
        let mut text = self.text;
        let name = status.canonical_reason().unwrap_or_default();
        let parts = [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", name.as_bytes(), b"\r\n"];
        let start = START_BYTES - parts.iter().map(|part| part.len()).sum::<usize>();
        let mut at = start;
        for part in parts {
            text[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        (text, start)
    }

    /// As a map, for tests.
    #[cfg(test)]
    pub fn to_map(&self) -> http::HeaderMap {
        let text = std::str::from_utf8(self.lines()).expect("text");
        let line = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a line");
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, http::HeaderValue::from_str(value).expect("a value"))
        };
        text.split_terminator("\r\n").map(line).collect()
    }
}

/// Never what is in it: a line may be a session.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(Field::ALL.iter().filter(|field| self.has(**field))).finish()
    }
}

/// Writes a whole number in decimal. Most are small.
pub(super) fn write_number(text: &mut Vec<u8>, value: u64) {
    match value {
        0..10 => text.push(b'0' + value as u8),
        10..100 => text.extend_from_slice(&[b'0' + value as u8 / 10, b'0' + value as u8 % 10]),
        _ => text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Lets `write!` append to a buffer of bytes.
pub(super) struct Text<'a>(pub &'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_goes_out_once() {
        let mut head = Head::new();
        head.set(Field::ContentType, "text/plain");
        head.set_number(Field::RetryAfter, 41);
        head.set(Field::ContentType, "application/json");
        let headers = head.to_map();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get_all("content-type").iter().collect::<Vec<_>>(), ["application/json"]);
        assert_eq!(headers["retry-after"], "41");
    }

    #[test]
    fn a_value_that_would_split_the_head_is_left_out() {
        let mut head = Head::new();
        head.set_foreign(Field::SetTtCookie, b"ttwid=1\r\nSet-Cookie: evil=1");
        head.set_foreign(Field::RoomId, b"7");
        let headers = head.to_map();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-room-id"], "7");
    }

    #[test]
    fn every_status_line_fits_in_front() {
        for status in 100..1000 {
            let status = StatusCode::from_u16(status).unwrap();
            let mut head = Head::new();
            head.set_number(Field::RetryAfter, 41);
            let (text, start) = head.begin(status);
            let name = status.canonical_reason().unwrap_or_default();
            let expected = format!("HTTP/1.1 {} {name}\r\nretry-after: 41\r\n", status.as_u16());
            assert_eq!(&text[start..], expected.as_bytes());
        }
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::HashSet<_> = Field::ALL.into_iter().map(Field::name).collect();
        assert_eq!(names.len(), Field::ALL.len());
    }
}
