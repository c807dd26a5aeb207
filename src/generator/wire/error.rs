//! Why there is no answer.
//!
//! Closed sets of short static texts, so that each can be a metric's label. None carries an address, a URL or a byte
//! that a generator sent.

use std::fmt;

/// Why a request got no answer from its generator.
///
/// How a caller may map it: [`Self::NotConnected`] to 503, [`Self::TimedOut`] to 504, [`Self::Unsendable`] to 500 (the
/// gateway itself composed the request), everything else to 502. Whether another generator may be asked:
/// [`Self::certainly_unsent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum WireError {
    /// The request was refused before a connection was touched: it would not arrive as it was meant.
    #[error("request cannot be sent: {0}")]
    Unsendable(Unsendable),
    /// No connection came about.
    #[error("generator not connected: {0}")]
    NotConnected(NotConnected),
    /// A deadline passed.
    #[error("generator {0}")]
    TimedOut(Phase),
    /// The generator closed, or reset, the connection before the first byte of an answer.
    #[error("generator closed the connection before any byte")]
    ClosedEarly,
    /// The generator closed, or reset, the connection amid an answer.
    #[error("answer cut short")]
    CutShort,
    /// The answer breaks the grammar, or could be read in two ways.
    #[error("answer malformed: {0}")]
    Malformed(Malformed),
    /// The answer exceeds a limit.
    #[error("answer refused: {0}")]
    TooLarge(TooLarge),
}

impl WireError {
    /// Whether the generator cannot have acted on the request, so that even one that must not be repeated may go to
    /// another generator.
    ///
    /// Holds for a request sent with [`Repeat::Never`](super::Repeat::Never); one that may be repeated can have been
    /// written to a stale connection before the dial failed.
    pub fn certainly_unsent(self) -> bool {
        matches!(self, Self::Unsendable(_) | Self::NotConnected(_) | Self::TimedOut(Phase::Connect))
    }

    /// Every [`reason`](Self::reason) that there is, for metrics that are resolved beforehand.
    pub fn reasons() -> impl Iterator<Item = &'static str> {
        let unsendable = Unsendable::ALL.iter().map(|why| why.text());
        let not_connected = NotConnected::ALL.iter().map(|why| why.text());
        let timed_out = Phase::ALL.iter().map(|phase| phase.text());
        let malformed = Malformed::ALL.iter().map(|why| why.text());
        let too_large = TooLarge::ALL.iter().map(|what| what.text());
        let own = [Self::ClosedEarly.reason(), Self::CutShort.reason()];
        unsendable.chain(not_connected).chain(timed_out).chain(malformed).chain(too_large).chain(own)
    }

    /// A short static text for logs and metric labels: the innermost reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unsendable(why) => why.text(),
            Self::NotConnected(why) => why.text(),
            Self::TimedOut(phase) => phase.text(),
            Self::ClosedEarly => "closed before any byte",
            Self::CutShort => "cut short",
            Self::Malformed(why) => why.text(),
            Self::TooLarge(what) => what.text(),
        }
    }
}

/// An enum of unit variants that each have a static text, which is also what they display.
macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every variant, for metrics that are resolved beforehand.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The short static text: a metric's label, the end of a message.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}

texts! {
    /// What in a request would not arrive as it was meant.
    Unsendable {
        /// The target is empty, does not start with `/`, or holds a space, a control, `#` or a byte outside ASCII.
        Target = "target is not in origin form",
        /// A header's name is not a token (RFC 9110 section 5.6.2).
        HeaderName = "header name is not a token",
        /// A header's value holds CR, LF, NUL or another control.
        HeaderValue = "control character in header value",
        /// Host, Content-Length and their like are ours.
        FramingHeader = "header belongs to the framing",
        /// The request's head exceeds 64 KiB.
        TooLong = "request head too long",
    }
}

texts! {
    /// Why no connection came about.
    NotConnected {
        /// The generator's name has no address, and never had one.
        Dns = "name not resolved",
        /// Nobody listens there.
        Refused = "connection refused",
        /// No route.
        Unreachable = "network or host unreachable",
        /// The generator's certificate is not trusted, has expired or is another host's.
        Certificate = "certificate not accepted",
        /// The TLS handshake failed otherwise.
        Tls = "tls handshake failed",
        /// Anything else, such as a reset or no free file descriptor.
        Failed = "connection failed",
    }
}

texts! {
    /// Where an exchange was when its deadline passed.
    Phase {
        /// Looking up the name, connecting, or in the TLS handshake.
        Connect = "timed out while connecting",
        /// Writing the request.
        Write = "timed out while writing the request",
        /// Waiting for the answer's head.
        Head = "timed out while waiting for the head",
        /// Reading the answer's body.
        Body = "timed out while reading the body",
    }
}

texts! {
    /// How an answer breaks the grammar, or could be read in two ways.
    ///
    /// hyper's client accepts what these refuse, ours is stricter: [`Self::LengthBesideCoding`], [`Self::Coding`],
    /// [`Self::BareNewline`], [`Self::Status`], [`Self::NoBodyFraming`], [`Self::Upgrade`], [`Self::ChunkExtension`];
    /// in part [`Self::StatusLine`] (empty lines before it), [`Self::LengthNotNumber`] (lists such as `5, 5`; any on an
    /// answer without a body, and so [`Self::LengthsDiffer`]), [`Self::CodingInOldVersion`] (on an answer without a
    /// body), [`Self::ChunkSize`] (white space after it). The others hyper refuses too.
    Malformed {
        /// The first line is not `HTTP/1.0` or `HTTP/1.1`, three digits, reason.
        StatusLine = "status line is not http/1",
        /// The status is outside 100 to 599 (RFC 9110 section 15).
        Status = "status outside 100 to 599",
        /// A header line has no valid name or value (RFC 9112 section 5).
        Header = "header line is not a header",
        /// A line starts with white space (RFC 9112 section 5.2).
        FoldedHeader = "folded header line",
        /// A line ends by LF alone, or a CR stands alone (RFC 9112 section 2.2).
        BareNewline = "line not ended by cr lf",
        /// Both framings at once: the classic way to desynchronise (RFC 9112 section 6.3).
        LengthBesideCoding = "content-length beside transfer-encoding",
        /// Several Content-Lengths that disagree.
        LengthsDiffer = "content-lengths differ",
        /// Not digits alone, or beyond 64 bits.
        LengthNotNumber = "content-length is not a number",
        /// Anything but exactly one `chunked`.
        Coding = "transfer-encoding is not exactly one chunked",
        /// HTTP/1.0 knows no codings (RFC 9112 section 6.1).
        CodingInOldVersion = "transfer-encoding in http/1.0",
        /// A 1xx or 204 that announces a body (RFC 9110 section 8.6, RFC 9112 section 6.1).
        NoBodyFraming = "body announced where there can be none",
        /// A 101 that nobody asked for.
        Upgrade = "protocol switched without being asked",
        /// Not one to sixteen hexadecimal digits, followed by CR LF or `;`.
        ChunkSize = "chunk size is not a hexadecimal number",
        /// A control character in a chunk extension.
        ChunkExtension = "control character in chunk extension",
        /// A chunk's data is not followed by CR LF.
        ChunkEnd = "chunk not ended by cr lf",
        /// A trailer line is not a header.
        Trailer = "trailer line is not a header",
    }
}

texts! {
    /// Which limit an answer exceeds.
    TooLarge {
        /// Bytes of one head.
        Head = "head too large",
        /// Number of headers.
        Headers = "too many headers",
        /// Bytes of the body, announced or read.
        Body = "body too large",
        /// Number of 1xx answers.
        Interims = "too many interim answers",
        /// Bytes or number of the trailers.
        Trailers = "trailers too large",
        /// Bytes of one chunk's line, or of all extensions together.
        ChunkExtensions = "chunk extensions too large",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_distinct_and_short() {
        let mut texts: Vec<&str> = Malformed::ALL.iter().map(|why| why.text()).collect();
        texts.extend(TooLarge::ALL.iter().map(|what| what.text()));
        texts.extend(Phase::ALL.iter().map(|phase| phase.text()));
        texts.extend(NotConnected::ALL.iter().map(|why| why.text()));
        texts.extend(Unsendable::ALL.iter().map(|why| why.text()));
        let count = texts.len();
        assert!(texts.iter().all(|text| text.len() <= 48 && !text.ends_with('.')));
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), count);
    }

    #[test]
    fn a_message_is_one_line_with_the_reason_last() {
        let error = WireError::Malformed(Malformed::LengthBesideCoding);
        assert_eq!(error.to_string(), "answer malformed: content-length beside transfer-encoding");
        assert_eq!(error.reason(), "content-length beside transfer-encoding");
        for phase in Phase::ALL {
            let error = WireError::TimedOut(*phase);
            assert!(error.reason().starts_with("timed out while "), "a label that reads alone: {error}");
            assert_eq!(error.to_string(), format!("generator {}", error.reason()));
        }
    }

    #[test]
    fn only_what_never_left_counts_as_unsent() {
        assert!(WireError::NotConnected(NotConnected::Refused).certainly_unsent());
        assert!(WireError::TimedOut(Phase::Connect).certainly_unsent());
        assert!(!WireError::TimedOut(Phase::Write).certainly_unsent());
        assert!(!WireError::ClosedEarly.certainly_unsent());
    }
}
