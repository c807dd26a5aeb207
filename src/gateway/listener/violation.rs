//! What a client can do wrong before there is a request, and the answer to each.

use http::StatusCode;

/// The answer to a request that never reached the gateway's core: what the caller is told, and under which label.
///
/// The listener makes it, the gateway words it as JSON; so it is small, static and `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// 400, 408, 413, 414 or 431.
    pub status: StatusCode,
    /// A short name from a closed set, fit for a metric label and for `limit_label`.
    pub label: &'static str,
    /// One sentence for the person at the other end, lowercase, no final period.
    pub message: &'static str,
}

macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident => $status:ident, $label:literal, $message:literal;)+) => {
        /// One way in which bytes fail to be a request that this gateway takes.
        ///
        /// Each is refused with `Connection: close`: after a violation nobody can say where the next request begins.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Violation {
            $($(#[$doc])* $name,)+
        }

        impl Violation {
            /// All of them, in the order of their declaration, which is also the order of their counters.
            pub const ALL: &[Violation] = &[$(Violation::$name,)+];

            /// Status, label and words for this violation.
            pub const fn rejection(self) -> Rejection {
                match self {
                    $(Violation::$name => Rejection {
                        status: StatusCode::$status,
                        label: $label,
                        message: $message,
                    },)+
                }
            }
        }
    };
}

violations! {
    /// A head of more bytes than `head_bytes_max`.
    HeadTooLarge => REQUEST_HEADER_FIELDS_TOO_LARGE, "head_size", "the request's head is larger than this gateway takes";
    /// More header lines than `headers_max`.
    TooManyHeaders => REQUEST_HEADER_FIELDS_TOO_LARGE, "header_count", "the request has more header lines than this gateway takes";
    /// A request target of more bytes than `target_bytes_max`.
    TargetTooLong => URI_TOO_LONG, "target_length", "the request's target is longer than this gateway takes";
    /// A body, declared or counted, of more bytes than `body_bytes_max`.
    BodyTooLarge => PAYLOAD_TOO_LARGE, "body_size", "the request's body is larger than this gateway takes";
    /// The head was begun but did not arrive whole within its deadline.
    HeadTimeout => REQUEST_TIMEOUT, "head_deadline", "the request's head did not arrive in time";
    /// The body did not arrive whole within its deadline.
    BodyTimeout => REQUEST_TIMEOUT, "body_deadline", "the request's body did not arrive in time";
    /// The client finished sending in the middle of a head.
    HeadCut => BAD_REQUEST, "head_cut", "the request's head ended early";
    /// The client finished sending in the middle of a body.
    BodyCut => BAD_REQUEST, "body_cut", "the request's body ended early";
    /// A TLS handshake on the plain port.
    Tls => BAD_REQUEST, "tls", "this port speaks plain http: use http:// or the port that has TLS";
    /// The HTTP/2 connection preface (RFC 9113 section 3.4).
    Http2Preface => BAD_REQUEST, "http2", "this port speaks HTTP/1.1, not HTTP/2";
    /// A PROXY protocol line where none is expected.
    PrefaceUnexpected => BAD_REQUEST, "proxy_protocol", "a PROXY protocol line is not expected from this address";
    /// Something other than a PROXY protocol line where one is required.
    PrefaceMissing => BAD_REQUEST, "proxy_protocol", "the connection does not begin with a PROXY protocol line";
    /// A PROXY protocol line that cannot be read.
    PrefaceInvalid => BAD_REQUEST, "proxy_protocol", "the PROXY protocol line is malformed";
    /// An empty line before the request line: mostly the sign of a body that was longer than declared.
    EmptyLine => BAD_REQUEST, "empty_line", "an empty line stands before the request line";
    /// A line that ends in LF alone.
    BareLf => BAD_REQUEST, "bare_lf", "a line of the head ends in LF without CR";
    /// A CR that is not followed by LF.
    BareCr => BAD_REQUEST, "bare_cr", "a CR in the head is not followed by LF";
    /// NUL or another control byte in a head.
    ControlByte => BAD_REQUEST, "control_byte", "the head contains a control byte";
    /// A request line that is not `METHOD target HTTP/1.x` with single spaces.
    RequestLine => BAD_REQUEST, "request_line", "the request line is malformed";
    /// A method that is no token, or longer than 24 bytes.
    Method => BAD_REQUEST, "method", "the request's method is malformed";
    /// A version other than HTTP/1.0 and HTTP/1.1.
    Version => BAD_REQUEST, "version", "the request is neither HTTP/1.0 nor HTTP/1.1";
    /// A target in absolute, authority or asterisk form.
    TargetForm => BAD_REQUEST, "target_form", "the request's target must be a path that begins with `/`";
    /// A byte in the target that has to be percent-encoded (RFC 3986 section 2).
    TargetByte => BAD_REQUEST, "target_byte", "the request's target contains a byte that must be percent-encoded";
    /// A `#` in the target.
    Fragment => BAD_REQUEST, "fragment", "the request's target contains a fragment";
    /// A header line without a colon, or with an empty name.
    HeaderLine => BAD_REQUEST, "header_line", "a header line has no name or no colon";
    /// A header name that is no token.
    HeaderName => BAD_REQUEST, "header_name", "a header name contains a byte that names may not have";
    /// A header name with an underscore, which some servers read as a hyphen.
    HeaderUnderscore => BAD_REQUEST, "header_underscore", "a header name contains an underscore";
    /// Whitespace between a header name and its colon.
    HeaderSpace => BAD_REQUEST, "header_space", "whitespace stands before the colon of a header line";
    /// A header line that begins with whitespace (obs-fold, RFC 9112 section 5.2).
    ObsFold => BAD_REQUEST, "obs_fold", "a header line begins with whitespace";
    /// HTTP/1.1 without `Host`.
    HostMissing => BAD_REQUEST, "host", "the request has no Host header";
    /// More than one `Host`.
    HostRepeated => BAD_REQUEST, "host", "the request has more than one Host header";
    /// A `Host` that names no host.
    HostInvalid => BAD_REQUEST, "host", "the request's Host header is malformed";
    /// A `Content-Length` that is not a plain decimal number.
    LengthInvalid => BAD_REQUEST, "content_length", "the request's Content-Length is not a plain number";
    /// More than one `Content-Length`, even with equal values.
    LengthRepeated => BAD_REQUEST, "content_length", "the request has more than one Content-Length";
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.3).
    LengthAndCoding => BAD_REQUEST, "length_and_coding", "the request has both Content-Length and Transfer-Encoding";
    /// A `Transfer-Encoding` other than exactly one `chunked`.
    Coding => BAD_REQUEST, "transfer_encoding", "the request's Transfer-Encoding is not exactly one `chunked`";
    /// A `Transfer-Encoding` in HTTP/1.0, which does not know it.
    CodingVersion => BAD_REQUEST, "transfer_encoding", "HTTP/1.0 has no Transfer-Encoding";
    /// An `Upgrade` to anything but h2c, which alone is ignored.
    Upgrade => BAD_REQUEST, "upgrade", "this gateway does not switch protocols";
    /// An `Expect` other than `100-continue`.
    Expect => BAD_REQUEST, "expect", "the request expects something other than `100-continue`";
    /// A body on GET or HEAD.
    BodyUnexpected => BAD_REQUEST, "body_unexpected", "a GET or HEAD request has a body";
    /// A chunk size that is no hexadecimal number of at most eight digits, or a line around it that is malformed.
    ChunkSize => BAD_REQUEST, "chunk_size", "a chunk's size line is malformed";
    /// A chunk extension.
    ChunkExtension => BAD_REQUEST, "chunk_extension", "chunk extensions are not taken";
    /// A chunk whose data is not followed by CRLF.
    ChunkEnd => BAD_REQUEST, "chunk_end", "a chunk is longer or shorter than its size";
    /// A trailer field after the last chunk.
    Trailer => BAD_REQUEST, "trailer", "trailer fields are not taken";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_worded_in_the_house_style() {
        for violation in Violation::ALL {
            let Rejection { status, label, message } = violation.rejection();
            assert!([400, 408, 413, 414, 431].contains(&status.as_u16()), "{violation:?}");
            assert!(
                label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{label}"
            );
            assert!(!message.ends_with('.') && !message.contains('"'), "{message}");
        }
    }

    #[test]
    fn counters_are_indexed_by_declaration() {
        for (index, violation) in Violation::ALL.iter().enumerate() {
            assert_eq!(*violation as usize, index);
        }
    }
}
