//! The header of an answer while it is being written.
//!
//! Everything that the gateway ever sends is in [`Field`]: what is not in this closed list cannot leave, whatever a
//! generator answers. All values are written into one buffer and become slices of it, so that a header of fourteen
//! fields costs two allocations and not twenty-eight (`HeaderValue::from(u64)` alone makes two).

use std::fmt;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::base::request_id::RequestId;

macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident = $name:expr,)*) => {
        /// A header field of an answer. Each appears at most once.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field {
            $($(#[$doc])* $field,)*
        }

        impl Field {
            /// All of them.
            pub const ALL: [Self; [$(Self::$field),*].len()] = [$(Self::$field),*];

            /// Its name on the wire.
            pub const fn name(self) -> HeaderName {
                // Made when this is compiled: `from_static` looks at each byte.
                match self { $(Self::$field => const { $name },)* }
            }
        }
    };
}

fields! {
    /// `Content-Type`.
    ContentType = header::CONTENT_TYPE,
    /// `Content-Encoding`, where the generator's encoding is kept.
    ContentEncoding = header::CONTENT_ENCODING,
    /// `X-Set-TT-Cookie`: without it a connect answer is worth nothing (contract 3).
    SetTtCookie = HeaderName::from_static("x-set-tt-cookie"),
    /// `X-Room-Id`.
    RoomId = HeaderName::from_static("x-room-id"),
    /// `X-Agent-ID`: which generator answered.
    AgentId = HeaderName::from_static("x-agent-id"),
    /// `X-Log-Id`.
    LogId = HeaderName::from_static("x-log-id"),
    /// `X-Log-Code`.
    LogCode = HeaderName::from_static("x-log-code"),
    /// `X-Request-ID`: always ours.
    RequestId = HeaderName::from_static("x-request-id"),
    /// `Cache-Control`.
    CacheControl = header::CACHE_CONTROL,
    /// `WWW-Authenticate`.
    WwwAuthenticate = header::WWW_AUTHENTICATE,
    /// `Allow`.
    Allow = header::ALLOW,
    /// `Retry-After`, in seconds.
    RetryAfter = header::RETRY_AFTER,
    /// `X-RateLimit-Limit`.
    XRateLimitLimit = HeaderName::from_static("x-ratelimit-limit"),
    /// `X-RateLimit-Remaining`.
    XRateLimitRemaining = HeaderName::from_static("x-ratelimit-remaining"),
    /// `X-RateLimit-Reset`, in seconds since 1970.
    XRateLimitReset = HeaderName::from_static("x-ratelimit-reset"),
    /// `RateLimit-Remaining`.
    RateLimitRemaining = HeaderName::from_static("ratelimit-remaining"),
    /// `RateLimit-Reset`, in seconds from now.
    RateLimitReset = HeaderName::from_static("ratelimit-reset"),
    /// `RateLimit-Policy`, a structured field.
    RateLimitPolicy = HeaderName::from_static("ratelimit-policy"),
    /// `RateLimit`, a structured field.
    RateLimit = HeaderName::from_static("ratelimit"),
}

/// Enough for all fields of an ordinary answer.
const BYTES_EXPECTED: usize = 512;

/// The fields written so far.
#[derive(Debug)]
pub struct Head {
    text: Vec<u8>,
    /// From where to where in `text`, by the field's place.
    spans: [Option<(u32, u32)>; Field::ALL.len()],
}

impl Default for Head {
    fn default() -> Self {
        Self { text: Vec::with_capacity(BYTES_EXPECTED), spans: [None; Field::ALL.len()] }
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

    /// The map that goes out. A value that may not stand in a header (RFC 9110 section 5.5) is left out: it can only have
    /// come from a generator.
    pub fn finish(self) -> HeaderMap {
        let count = self.spans.iter().flatten().count();
        let mut headers = HeaderMap::with_capacity(count);
        let text = Bytes::from(self.text);
        for field in Field::ALL {
            let Some((from, to)) = self.spans[field as usize] else { continue };
            if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(from as usize..to as usize)) {
                headers.insert(field.name(), value);
            }
        }
        headers
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
        let headers = head.finish();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get_all("content-type").iter().collect::<Vec<_>>(), ["application/json"]);
        assert_eq!(headers["retry-after"], "41");
    }

    #[test]
    fn a_value_that_would_split_the_head_is_left_out() {
        let mut head = Head::new();
        head.set(Field::SetTtCookie, "ttwid=1\r\nSet-Cookie: evil=1");
        head.set(Field::RoomId, "7");
        let headers = head.finish();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-room-id"], "7");
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::HashSet<_> = Field::ALL.into_iter().map(Field::name).collect();
        assert_eq!(names.len(), Field::ALL.len());
    }
}
