//! The header of an answer while it is being written.
//!
//! Everything that the gateway ever sends is in [`Field`]: what is not in this closed list cannot leave, whatever a
//! generator answers. All values are written into one buffer, from which they are copied to the wire: no map is made of
//! them in between.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;

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

/// Room for the values of most answers at once.
const BYTES: usize = 512;

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
#[derive(Debug)]
pub struct Head {
    text: Vec<u8>,
    /// From where to where in `text`, by the field's place.
    spans: [Option<(u32, u32)>; Field::ALL.len()],
}

impl Default for Head {
    fn default() -> Self {
        Self { text: Vec::with_capacity(BYTES), spans: [None; Field::ALL.len()] }
    }
}

impl Head {
    /// Without any field.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the field stands in it.
    pub fn has(&self, field: Field) -> bool {
        self.spans[field as usize].is_some()
    }

    /// Writes a field; the last value written counts.
    pub fn set(&mut self, field: Field, value: impl AsRef<[u8]>) {
        self.write(field, |text| text.extend_from_slice(value.as_ref()));
    }

    /// Writes a whole number.
    pub fn set_number(&mut self, field: Field, value: u64) {
        self.set(field, itoa::Buffer::new().format(value));
    }

    /// Writes the id of the request, as every answer carries it: clients show it in their errors.
    pub fn set_request_id(&mut self, id: RequestId) {
        self.set(Field::RequestId, id.text().as_str());
    }

    /// Writes a field piece by piece.
    pub fn write(&mut self, field: Field, value: impl FnOnce(&mut Vec<u8>)) {
        let from = self.text.len() as u32;
        value(&mut self.text);
        self.spans[field as usize] = Some((from, self.text.len() as u32));
    }

    /// The fields, each once. A value that may not stand in a header (RFC 9110 section 5.5) is left out: it can only have
    /// come from a generator.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &[u8])> {
        // One look at all of them, and a second only where something is wrong.
        let clean = is_sendable(&self.text);
        Field::ALL.into_iter().filter_map(move |field| {
            let (from, to) = self.spans[field as usize]?;
            let value = self.text.get(from as usize..to as usize)?;
            (clean || is_sendable(value)).then_some((field, value))
        })
    }

    /// Writes the lines that go over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.text.len() + 32 * Field::ALL.len());
        for (field, value) in self.fields() {
            out.extend_from_slice(field.line_start().as_bytes());
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// As a map, for tests.
    #[cfg(test)]
    pub fn to_map(&self) -> http::HeaderMap {
        let line = |(field, value): (Field, &[u8])| {
            let name = http::HeaderName::from_static(field.name());
            (name, http::HeaderValue::from_bytes(value).expect("a value that may be sent"))
        };
        self.fields().map(line).collect()
    }
}

/// Whether nothing in it ends a line. Without an early exit, so that the compiler looks at many bytes at a time.
fn is_sendable(value: &[u8]) -> bool {
    let bad = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    value.iter().fold(0, |any, byte| any | u8::from(bad(*byte))) == 0
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
        head.set(Field::SetTtCookie, "ttwid=1\r\nSet-Cookie: evil=1");
        head.set(Field::RoomId, "7");
        let headers = head.to_map();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-room-id"], "7");
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::HashSet<_> = Field::ALL.into_iter().map(Field::name).collect();
        assert_eq!(names.len(), Field::ALL.len());
    }
}
