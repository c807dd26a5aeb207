//! Reads one answer's head: what httparse understands, held to the rules that it leaves open.
//!
//! httparse checks names, values and the status line, and refuses folded lines; it accepts bare LF, empty lines
//! before the status line and any three digits as a status, and knows nothing of framing. Those are checked here.

use std::mem::MaybeUninit;
use std::time::Duration;

use http::StatusCode;

use super::answer::{WANTED_MAX, Wanted};
use super::error::{Malformed, TooLarge, WireError};
use super::parse::Limits;
use super::request::Method;
use crate::base::header::is_name;

/// How many headers an answer may have at most, whatever [`Limits::headers_max`] says.
pub const HEADERS_MAX: usize = 100;

/// What one head was.
pub(super) enum HeadRead<'b> {
    /// Its end is not there yet.
    Partial,
    /// A 1xx of this many bytes: to be skipped.
    Interim { len: usize },
    /// The answer's own.
    Final(Head<'b>),
}

/// The answer's own head.
pub(super) struct Head<'b> {
    /// Bytes, the empty line included.
    pub(super) len: usize,
    pub(super) status: StatusCode,
    pub(super) framing: Framing,
    /// Whether the generator lets us use the connection again.
    pub(super) keep_alive: bool,
    /// How long the generator says that it keeps an idle connection (`Keep-Alive: timeout=5`).
    pub(super) idle_hint: Option<Duration>,
    /// By place in the [`Wanted`] list.
    pub(super) values: [Option<&'b [u8]>; WANTED_MAX],
}

/// Where the body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Empty,
    Length(usize),
    Chunked,
    ToClose,
}

/// Reads the head at the start of `input`, which holds at most `limits.head_bytes_max` bytes.
///
/// The verdict depends on the shortest prefix that allows one, so that it is the same however the bytes were split.
pub(super) fn read_head<'b>(
    input: &'b [u8],
    method: Method,
    wanted: &Wanted,
    limits: &Limits,
) -> Result<HeadRead<'b>, WireError> {
    match input.first() {
        None => return Ok(HeadRead::Partial),
        Some(b'H') => {}
        // httparse would skip empty lines, which after an answer that was one line too long is a desync.
        Some(_) => return Err(WireError::Malformed(Malformed::StatusLine)),
    }
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let slots = &mut slots[..limits.headers_max.min(HEADERS_MAX)];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, slots);
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(HeadRead::Partial),
        Err(error) => return Err(refusal(error, input, limits)),
    };
    if !lines_end_by_crlf(&input[..len]) {
        return Err(WireError::Malformed(Malformed::BareNewline));
    }

    let mut fields = Fields::default();
    let mut values = [None; WANTED_MAX];
    for header in &*response.headers {
        fields.take(header.name, header.value)?;
        if let Some(at) = wanted.position(header.name) {
            values[at].get_or_insert(header.value);
        }
    }

    let code = response.code.unwrap_or(0);
    let old_version = response.version == Some(0);
    if code == 101 {
        return Err(WireError::Malformed(Malformed::Upgrade));
    }
    let status = match StatusCode::from_u16(code) {
        Ok(status) if code < 600 => status,
        _ => return Err(WireError::Malformed(Malformed::Status)),
    };
    fields.check(status, old_version)?;
    if status.is_informational() {
        return Ok(HeadRead::Interim { len });
    }
    let framing = fields.framing(status, method, limits)?;
    let keep_alive = framing != Framing::ToClose && !fields.close && (!old_version || fields.keep_alive);
    Ok(HeadRead::Final(Head { len, status, framing, keep_alive, idle_hint: fields.idle_hint, values }))
}

/// The headers that decide where the answer ends and whether another may follow.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    idle_hint: Option<Duration>,
}

impl Fields {
    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), WireError> {
        // By length first: few headers share one of these four.
        match name.len() {
            10 if is_name(name.as_bytes(), "connection") => {
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            10 if is_name(name.as_bytes(), "keep-alive") => self.idle_hint = idle_hint(value),
            14 if is_name(name.as_bytes(), "content-length") => {
                let length = decimal(value).ok_or(WireError::Malformed(Malformed::LengthNotNumber))?;
                if self.length.is_some_and(|before| before != length) {
                    return Err(WireError::Malformed(Malformed::LengthsDiffer));
                }
                self.length = Some(length);
            }
            17 if is_name(name.as_bytes(), "transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(WireError::Malformed(Malformed::Coding));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// What could be read in two ways, whether or not this answer has a body.
    fn check(&self, status: StatusCode, old_version: bool) -> Result<(), WireError> {
        let malformed = if self.chunked && self.length.is_some() {
            Malformed::LengthBesideCoding
        } else if self.chunked && old_version {
            Malformed::CodingInOldVersion
        } else if (status.is_informational() || status == StatusCode::NO_CONTENT)
            && (self.chunked || self.length.is_some_and(|length| length > 0))
        {
            // Servers that send this may well send the body too, which would pass for the next answer.
            Malformed::NoBodyFraming
        } else {
            return Ok(());
        };
        Err(WireError::Malformed(malformed))
    }

    fn framing(&self, status: StatusCode, method: Method, limits: &Limits) -> Result<Framing, WireError> {
        if method == Method::Head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return Ok(Framing::Empty);
        }
        if self.chunked {
            return Ok(Framing::Chunked);
        }
        match self.length {
            Some(0) => Ok(Framing::Empty),
            Some(length) => match usize::try_from(length) {
                Ok(length) if length <= limits.body_bytes_max => Ok(Framing::Length(length)),
                _ => Err(WireError::TooLarge(TooLarge::Body)),
            },
            None => Ok(Framing::ToClose),
        }
    }
}

/// Digits alone: no sign, no white space, no list (RFC 9110 section 8.6).
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        digit.is_ascii_digit().then_some(())?;
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// Of `timeout=5, max=100` the five seconds; rubbish is no hint.
fn idle_hint(value: &[u8]) -> Option<Duration> {
    value.split(|byte| *byte == b',').find_map(|parameter| {
        let (name, seconds) = parameter.trim_ascii().split_at_checked(8)?;
        if !name.eq_ignore_ascii_case(b"timeout=") {
            return None;
        }
        let seconds = decimal(seconds)?;
        Some(Duration::from_secs(seconds.min(3600)))
    })
}

/// Whether each LF follows a CR and each CR is followed by an LF.
///
/// Without an early exit, so that the compiler makes it wide: heads are good in all but a few cases.
pub(super) fn lines_end_by_crlf(section: &[u8]) -> bool {
    let pairs = section.iter().zip(section.get(1..).unwrap_or_default());
    let bad = pairs.fold(0, |bad, (one, next)| bad | u8::from((*one == b'\r') != (*next == b'\n')));
    bad == 0 && section.first() != Some(&b'\n') && section.last() != Some(&b'\r')
}

/// Whether a section's end stands in `input`, given that its first `scanned` bytes were looked at before.
///
/// Cheap and sloppy: it only says when parsing again is worth it, so that a generator that sends a head byte by byte
/// does not cost the square of the head.
pub(super) fn may_have_ended(input: &[u8], scanned: usize) -> bool {
    let fresh = &input[scanned.saturating_sub(2)..];
    fresh.windows(2).any(|pair| pair == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n")
}

/// Which refusal an error of httparse is. Not on the usual way: it may parse again to find the offending byte.
#[cold]
fn refusal(error: httparse::Error, input: &[u8], limits: &Limits) -> WireError {
    match error {
        httparse::Error::TooManyHeaders => WireError::TooLarge(TooLarge::Headers),
        httparse::Error::Version | httparse::Error::Status => WireError::Malformed(Malformed::StatusLine),
        _ if offends_at_line_start(input, limits) => WireError::Malformed(Malformed::FoldedHeader),
        _ => WireError::Malformed(Malformed::Header),
    }
}

/// Whether the first byte that httparse refuses is white space at the start of a line.
///
/// A prefix that is refused stays refused when more follows, so the shortest one is found by halving.
fn offends_at_line_start(input: &[u8], limits: &Limits) -> bool {
    let refused = |len: usize| {
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let slots = &mut slots[..limits.headers_max.min(HEADERS_MAX)];
        httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut httparse::Response::new(&mut []), &input[..len], slots)
            .is_err()
    };
    let (mut accepted, mut shortest) = (0, input.len());
    while shortest - accepted > 1 {
        let middle = accepted.midpoint(shortest);
        if refused(middle) {
            shortest = middle;
        } else {
            accepted = middle;
        }
    }
    matches!(input[..shortest], [.., b'\n', b' ' | b'\t'])
}
