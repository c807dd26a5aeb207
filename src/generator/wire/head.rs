//! Reads one answer's head: what httparse understands, held to the rules that it leaves open.
//!
//! A head that has come whole, with nothing odd in it, is read line by line as it stands ([`Lines`]); httparse would say the
//! same of it, and a test holds them to each other. Of all others httparse says what they are. It checks names, values and the status line, and refuses folded lines; it accepts bare LF, empty lines
//! before the status line and any three digits as a status, and knows nothing of framing. Those are checked here.

use std::mem::MaybeUninit;
use std::time::Duration;

use http::StatusCode;

use super::answer::{WANTED_MAX, Wanted};
use super::error::{Malformed, TooLarge, WireError};
use super::parse::Limits;
use super::request::{Method, TOKEN};
use crate::base::header::{is_name, is_value};

/// How many headers an answer may have at most, whatever [`Limits::headers_max`] says.
pub const HEADERS_MAX: usize = 100;

/// What one head was.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack for a moment; a box would be an allocation"
)]
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
    if let Some(plain) = read_plain(input, method, wanted, limits) {
        return plain;
    }
    read_odd(input, method, wanted, limits)
}

/// Reads a head in which nothing is odd; `None` where something is, or where its end is not there.
fn read_plain<'b>(
    input: &'b [u8],
    method: Method,
    wanted: &Wanted,
    limits: &Limits,
) -> Option<Result<HeadRead<'b>, WireError>> {
    let (mut lines, code, old_version) = Lines::begin(input)?;
    let mut fields = Fields::default();
    let mut values = [None; WANTED_MAX];
    let mut headers = 0;
    loop {
        let Line::Header(name, value) = lines.next_line()? else { break };
        headers += 1;
        if headers > limits.headers_max.min(HEADERS_MAX) {
            return None;
        }
        // What is wrong with a later line may come first in httparse's eyes.
        fields.take(name, value).ok()?;
        if let Some(at) = wanted.position(name) {
            values[at].get_or_insert(value);
        }
    }
    Some(concluded(lines.at, code, old_version, &fields, values, method, limits))
}

/// Reads any head, by httparse.
fn read_odd<'b>(
    input: &'b [u8],
    method: Method,
    wanted: &Wanted,
    limits: &Limits,
) -> Result<HeadRead<'b>, WireError> {
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
        fields.take(header.name.as_bytes(), header.value)?;
        if let Some(at) = wanted.position(header.name.as_bytes()) {
            values[at].get_or_insert(header.value);
        }
    }
    let (code, old_version) = (response.code.unwrap_or(0), response.version == Some(0));
    concluded(len, code, old_version, &fields, values, method, limits)
}

/// What a head of so many bytes comes to.
fn concluded<'b>(
    len: usize,
    code: u16,
    old_version: bool,
    fields: &Fields,
    values: [Option<&'b [u8]>; WANTED_MAX],
    method: Method,
    limits: &Limits,
) -> Result<HeadRead<'b>, WireError> {
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

/// The lines of a head, as long as nothing is odd: every line ends with CRLF, every name is a token right before its colon,
/// no value holds a control character but tabs (RFC 9112 sections 4 and 5).
struct Lines<'b> {
    input: &'b [u8],
    at: usize,
}

enum Line<'b> {
    /// Name and value, without the white space around it.
    Header(&'b [u8], &'b [u8]),
    /// The empty one.
    End,
}

impl<'b> Lines<'b> {
    /// After the status line: its code, and whether it is HTTP/1.0.
    fn begin(input: &'b [u8]) -> Option<(Self, u16, bool)> {
        let mut lines = Self { input, at: 0 };
        let line = lines.take()?;
        let (version, rest) = line.split_at_checked(9)?;
        let old_version = match version {
            b"HTTP/1.1 " => false,
            b"HTTP/1.0 " => true,
            _ => return None,
        };
        let (digits, reason) = rest.split_first_chunk::<3>()?;
        if !digits.iter().all(u8::is_ascii_digit) || !matches!(reason.first(), None | Some(b' ')) {
            return None;
        }
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        is_value(reason).then_some((lines, code, old_version))
    }

    fn next_line(&mut self) -> Option<Line<'b>> {
        let line = self.take()?;
        if line.is_empty() {
            return Some(Line::End);
        }
        let colon = name_length(line);
        let (name, value) = line.split_at(colon);
        let (&b':', value) = value.split_first()? else { return None };
        (!name.is_empty() && is_value(value)).then(|| Line::Header(name, trimmed(value)))
    }

    /// Up to the next LF, with a CR before it.
    fn take(&mut self) -> Option<&'b [u8]> {
        let rest = &self.input[self.at..];
        let end = memchr::memchr(b'\n', rest)?;
        self.at += end + 1;
        rest[..end].strip_suffix(b"\r")
    }
}

/// How many bytes of a token stand at the start.
fn name_length(line: &[u8]) -> usize {
    let is_token = |byte: u8| TOKEN[usize::from(byte)];
    let mut at = 0;
    // Four at a time, without an exit in between.
    while let Some([one, two, three, four]) = line.get(at..).and_then(<[u8]>::first_chunk)
        && is_token(*one) & is_token(*two) & is_token(*three) & is_token(*four)
    {
        at += 4;
    }
    while line.get(at).is_some_and(|&byte| is_token(byte)) {
        at += 1;
    }
    at
}

/// Without spaces and tabs around it.
fn trimmed(value: &[u8]) -> &[u8] {
    // Mostly there is one before it, and none else.
    if let [b' ', value @ ..] = value
        && let [first, .., last] = value
        && first.is_ascii_graphic()
        && last.is_ascii_graphic()
    {
        return value;
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
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
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), WireError> {
        // By length first: few headers share one of these four.
        match name.len() {
            10 if is_name(name, "connection") => {
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            10 if is_name(name, "keep-alive") => self.idle_hint = idle_hint(value),
            14 if is_name(name, "content-length") => {
                let length = decimal(value).ok_or(WireError::Malformed(Malformed::LengthNotNumber))?;
                if self.length.is_some_and(|before| before != length) {
                    return Err(WireError::Malformed(Malformed::LengthsDiffer));
                }
                self.length = Some(length);
            }
            17 if is_name(name, "transfer-encoding") => {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WANTED: Wanted = Wanted::new(&["x-room-id", "content-type"]);

    /// All of a verdict, as text.
    fn told(read: &Result<HeadRead<'_>, WireError>) -> String {
        match read {
            Ok(HeadRead::Partial) => "partial".into(),
            Ok(HeadRead::Interim { len }) => format!("interim of {len}"),
            Ok(HeadRead::Final(head)) => format!(
                "{} {} {:?} {} {:?} {:?}",
                head.len, head.status, head.framing, head.keep_alive, head.idle_hint, head.values
            ),
            Err(error) => format!("{error:?}"),
        }
    }

    fn agrees(input: &[u8], limits: &Limits) -> bool {
        let plain = read_plain(input, Method::Get, &WANTED, limits);
        let odd = read_odd(input, Method::Get, &WANTED, limits);
        if let Some(plain) = &plain {
            assert_eq!(told(plain), told(&odd), "{:?}", String::from_utf8_lossy(input));
        }
        plain.is_some()
    }

    #[test]
    fn usual_heads_are_read_without_httparse() {
        let limits = Limits::default();
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Type: application/protobuf\r\nX-Room-Id:\t7 \r\ncontent-length: 2048\r\n\r\nbody",
            "HTTP/1.0 200\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ] {
            assert!(agrees(head.as_bytes(), &limits), "{head}");
        }
        let one = Limits { headers_max: 1, ..limits };
        assert!(!agrees(b"HTTP/1.1 200 OK\r\na: b\r\nc: d\r\n\r\n", &one));
    }

    proptest! {
        #[test]
        fn what_is_read_line_by_line_is_what_httparse_reads(
            status in "HTTP/1\\.[012] ?[0-9]{2,4}( [ -~\t\u{80}\x7f]{0,9})?",
            lines in proptest::collection::vec(
                "(X-Room-Id|content-type|Content-Length|transfer-encoding|connection|keep-alive|[a-z_]{0,3}|a b|\\(a)[ :]{1,2}[ \t]?(chunked|close|keep-alive|timeout=5|[0-9]{1,3}|[ -~\t\x00\r\u{e9}]{0,6})[ \t]?",
                0..6,
            ),
            ends in proptest::collection::vec(prop_oneof![9 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")], 8),
            cut in 0usize..400,
        ) {
            let mut ends = ends.iter();
            let mut head = String::new();
            for line in std::iter::once(&status).chain(&lines).chain(&[String::new()]) {
                head.push_str(line);
                head.push_str(ends.next().unwrap());
            }
            agrees(head.as_bytes(), &Limits::default());
            agrees(&head.as_bytes()[..cut.min(head.len())], &Limits::default());
        }
    }
}
