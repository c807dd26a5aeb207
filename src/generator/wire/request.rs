//! A request as the caller composes it, and its form on the wire.
//!
//! The framing is ours: the caller's headers may not touch it, and nothing in target or headers can end a line.

use std::fmt;
use std::io::Write;

use super::error::Unsendable;
use crate::base::header::is_value;

/// Bytes of a request's head at most.
const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The methods that generators are asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: its answer has no body, whatever its head says.
    Head,
    /// `POST`
    Post,
}

impl Method {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// Whether the generator may see the request twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Signing: twice is no harm. Sent on an idle connection, and once more on a fresh one if that was stale.
    Allowed,
    /// Chat: twice would be seen. Sent on a fresh connection only, once: whether a connection that closed without a
    /// byte was stale, or the generator acted and then died, cannot be known (RFC 9110 section 9.2.2).
    Never,
}

/// What to ask a generator. Borrowed: it is written out at once.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    /// The method.
    pub method: Method,
    /// Path and query in origin form, as it is to be sent after the origin's base path: `/webcast/fetch?room_id=1`.
    /// ASCII, percent-encoded, no fragment.
    pub target: &'r str,
    /// Headers in the order in which they are sent. None of the framing: `Host`, `Content-Length` and the like are
    /// refused.
    pub headers: &'r [(&'r str, &'r str)],
    /// The body; a POST without one says `Content-Length: 0`.
    pub body: Option<&'r [u8]>,
    /// Whether the generator may see it twice.
    pub repeat: Repeat,
}

impl Request<'_> {
    /// Writes the request to `out`: `authority` for `Host`, `base_path` before the target.
    ///
    /// On an error `out` holds rubbish.
    pub(super) fn write_to(
        &self,
        out: &mut Vec<u8>,
        authority: &str,
        base_path: &str,
    ) -> Result<(), Unsendable> {
        // Here and below without an early exit, so that the compiler makes it wide.
        let is_odd = |byte: u8| !byte.is_ascii_graphic() || byte == b'#';
        let odd = self.target.bytes().fold(0, |odd, byte| odd | u8::from(is_odd(byte)));
        if odd != 0 || !self.target.starts_with('/') {
            return Err(Unsendable::Target);
        }
        for part in
            [self.method.as_str(), " ", base_path, self.target, " HTTP/1.1\r\nHost: ", authority, "\r\n"]
        {
            out.extend_from_slice(part.as_bytes());
        }
        for (name, value) in self.headers {
            if name.is_empty() || !name.bytes().all(|byte| TOKEN[usize::from(byte)]) {
                return Err(Unsendable::HeaderName);
            }
            if is_framing(name) {
                return Err(Unsendable::FramingHeader);
            }
            if !is_value(value.as_bytes()) {
                return Err(Unsendable::HeaderValue);
            }
            for part in [*name, ": ", *value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        let body = match (self.body, self.method) {
            (Some(body), _) => body,
            (None, Method::Post) => &[],
            (None, Method::Get | Method::Head) => {
                out.extend_from_slice(b"\r\n");
                return check_len(out.len());
            }
        };
        out.extend_from_slice(b"Content-Length: ");
        // Writing a number to a vector cannot fail.
        let _ = write!(out, "{}\r\n\r\n", body.len());
        check_len(out.len())?;
        out.extend_from_slice(body);
        Ok(())
    }
}

fn check_len(head_bytes: usize) -> Result<(), Unsendable> {
    if head_bytes > REQUEST_HEAD_BYTES_MAX { Err(Unsendable::TooLong) } else { Ok(()) }
}

/// Headers that say where a message ends or what the connection does next.
fn is_framing(name: &str) -> bool {
    const FRAMING: [&str; 10] = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "trailer",
        "te",
        "expect",
    ];
    // By length first: of nearly every name it says no.
    matches!(name.len(), 2 | 4 | 6 | 7 | 10 | 14 | 16 | 17)
        && FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}

/// Which bytes a token may hold (RFC 9110 section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// The path and the headers' names alone: keys and sessions are in the query and in the values.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &path)
            .field("headers", &names)
            .field("body_bytes", &self.body.map(<[u8]>::len))
            .field("repeat", &self.repeat)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(request: &Request<'_>) -> Result<String, Unsendable> {
        let mut out = Vec::new();
        request.write_to(&mut out, "sign.example:8080", "/v1")?;
        Ok(String::from_utf8(out).unwrap())
    }

    const PLAIN: Request<'static> =
        Request { method: Method::Get, target: "/a?b=c", headers: &[], body: None, repeat: Repeat::Allowed };

    #[test]
    fn framing_is_ours() {
        let headers = [("Accept", "*/*"), ("X-Key", "k \t é")];
        assert_eq!(
            written(&Request { headers: &headers, ..PLAIN }).unwrap(),
            "GET /v1/a?b=c HTTP/1.1\r\nHost: sign.example:8080\r\nAccept: */*\r\nX-Key: k \t é\r\n\r\n"
        );
        let post = Request { method: Method::Post, ..PLAIN };
        let head = "POST /v1/a?b=c HTTP/1.1\r\nHost: sign.example:8080\r\n";
        assert_eq!(written(&post).unwrap(), format!("{head}Content-Length: 0\r\n\r\n"));
        assert_eq!(
            written(&Request { body: Some(b"{}"), ..post }).unwrap(),
            format!("{head}Content-Length: 2\r\n\r\n{{}}")
        );
        for name in ["Host", "content-length", "Transfer-Encoding", "connection", "TE", "Expect", "Upgrade"] {
            let headers = [(name, "x")];
            assert_eq!(
                written(&Request { headers: &headers, ..PLAIN }),
                Err(Unsendable::FramingHeader),
                "{name}"
            );
        }
    }

    #[test]
    fn nothing_can_end_a_line() {
        for target in
            ["", "a", "*", "http://x/", "/a b", "/a\r\nX: y", "/a\n", "/a\0", "/a#b", "/é", "/\x7f", "/\t"]
        {
            assert_eq!(written(&Request { target, ..PLAIN }), Err(Unsendable::Target), "{target:?}");
        }
        for name in ["", "a b", "a:", "a\r", "a\n", "é", "a\0", "(a)"] {
            let headers = [(name, "x")];
            assert_eq!(
                written(&Request { headers: &headers, ..PLAIN }),
                Err(Unsendable::HeaderName),
                "{name:?}"
            );
        }
        for value in ["\r", "a\r\nb: c", "\n", "\0", "\x1b[0m", "\x7f"] {
            let headers = [("a", value)];
            assert_eq!(
                written(&Request { headers: &headers, ..PLAIN }),
                Err(Unsendable::HeaderValue),
                "{value:?}"
            );
        }
        let long = format!("/{}", "a".repeat(REQUEST_HEAD_BYTES_MAX));
        assert_eq!(written(&Request { target: &long, ..PLAIN }), Err(Unsendable::TooLong));
    }

    #[test]
    fn debug_shows_no_secret() {
        let headers = [("X-Api-Key", "hunter2")];
        let request = Request {
            target: "/webcast/fetch?session_id=hunter2",
            headers: &headers,
            body: Some(b"hunter2"),
            ..PLAIN
        };
        let shown = format!("{request:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("/webcast/fetch") && shown.contains("X-Api-Key"), "{shown}");
    }
}
