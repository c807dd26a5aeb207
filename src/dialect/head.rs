//! The header of an answer while it is being written.
//!
//! Everything that the gateway ever sends is in [`Field`]: what is not in this closed list cannot leave, whatever a
//! generator answers. All values are written into one buffer and become slices of one block, so that those of a header
//! of fourteen fields cost no allocation and not twenty-eight (`HeaderValue::from(u64)` alone makes two).

use std::cell::RefCell;
use std::fmt;

use bytes::BytesMut;
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

            const fn bit(self) -> u32 {
                1 << self as u32
            }

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

/// Blocks of this size hold the values of some thirty answers. One is freed when the last of these has been sent.
const BLOCK_BYTES: usize = 16 << 10;

/// A buffer that an unusual answer made larger is not kept.
const BUFFER_BYTES_KEPT: usize = 4 << 10;

/// So many different sets of fields have a template; answers have about a dozen.
const TEMPLATES_MAX: usize = 32;

/// What a thread keeps for its next head.
#[derive(Default)]
struct Spare {
    text: Vec<u8>,
    block: BytesMut,
    templates: Vec<Template>,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

/// A map with some fields, their values empty. Cloned and filled it costs a third of inserting each field: no name is
/// hashed.
struct Template {
    /// A bit for each field that is in it.
    fields: u32,
    map: HeaderMap,
    /// The fields in the order in which the map goes through them.
    order: Vec<Field>,
}

impl Template {
    fn new(fields: u32) -> Self {
        let mut map = HeaderMap::with_capacity(fields.count_ones() as usize);
        for field in Field::ALL.into_iter().filter(|field| fields & field.bit() != 0) {
            map.insert(field.name(), HeaderValue::from_static(""));
        }
        let field_of = |name: &HeaderName| Field::ALL.into_iter().find(|field| field.name() == *name);
        let order = map.keys().filter_map(field_of).collect();
        Self { fields, map, order }
    }
}

/// The fields written so far.
#[derive(Debug)]
pub struct Head {
    text: Vec<u8>,
    /// From where to where in `text`, by the field's place.
    spans: [Option<(u32, u32)>; Field::ALL.len()],
}

impl Default for Head {
    fn default() -> Self {
        let text = SPARE.with_borrow_mut(|spare| std::mem::take(&mut spare.text));
        Self { text, spans: [None; Field::ALL.len()] }
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
        SPARE.with_borrow_mut(|spare| self.finish_with(spare))
    }

    fn finish_with(mut self, spare: &mut Spare) -> HeaderMap {
        let Spare { text, block, templates } = spare;
        if block.capacity() < self.text.len() {
            *block = BytesMut::with_capacity(BLOCK_BYTES.max(self.text.len()));
        }
        block.extend_from_slice(&self.text);
        let values = block.split().freeze();
        self.text.clear();
        self.text.shrink_to(BUFFER_BYTES_KEPT);
        *text = self.text;

        let present = Field::ALL.into_iter().filter(|field| self.spans[*field as usize].is_some());
        let fields = present.fold(0, |fields, field| fields | field.bit());
        let place = templates.iter().position(|template| template.fields == fields).unwrap_or_else(|| {
            templates.truncate(TEMPLATES_MAX - 1);
            templates.push(Template::new(fields));
            templates.len() - 1
        });
        let Template { map, order, .. } = &templates[place];
        let mut headers = map.clone();
        let mut unsendable = 0;
        for (value, field) in headers.values_mut().zip(order) {
            let (from, to) = self.spans[*field as usize].unwrap_or_default();
            match HeaderValue::from_maybe_shared(values.slice(from as usize..to as usize)) {
                Ok(read) => *value = read,
                Err(_) => unsendable |= field.bit(),
            }
        }
        for field in Field::ALL.into_iter().filter(|field| unsendable & field.bit() != 0) {
            headers.remove(field.name());
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
