//! One head: a request line and header lines, each looked at once, as soon as it is whole.

use super::{
    Violation,
    map::HeadMap,
    scan::{find_control, is_host, is_plain_target, is_token, name_length},
};
use crate::base::header::is_name;
use crate::gateway::listener::settings::FramingLimits;

/// Longest method taken; the longest registered one has 17 bytes.
const METHOD_BYTES_MAX: usize = 24;
/// What a request line has around its target: method, two spaces, version, CRLF.
const LINE_AROUND_TARGET: usize = METHOD_BYTES_MAX + 2 + 8 + 2;
/// How version 2 of the PROXY protocol begins.
const V2_PREFACE: &[u8] = ppp::v2::PROTOCOL_PREFIX;

/// How the body after a head is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// So many bytes, mostly none.
    Length(u32),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What came of looking at a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeadStep {
    /// The head is not whole yet.
    More,
    /// It ends at `end`; `last` when nothing after its body may be read as a request.
    Whole { end: usize, body: BodyFraming, last: bool },
    /// It is not taken.
    Refused(Violation),
}

/// A head on its way in. Offsets count from its first byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Start of the first line that is not whole yet; 0 only before the request line.
    line: usize,
    /// Up to here no line end was found.
    searched: usize,
    headers: u16,
    minor_version: u8,
    bodyless_method: bool,
    has_host: bool,
    is_chunked: bool,
    is_upgrade: bool,
    wants_close: bool,
    wants_keep_alive: bool,
    length: Option<u32>,
}

impl Head {
    /// Looks at what is new in `bytes`, which begins with the head's first byte and holds all that arrived of it.
    ///
    /// Where the bytes were split on their way never changes the result: limits are checked against offsets, and
    /// lines in their order. `map` is told where the parts stand; it must be the same one until the head is whole.
    pub(super) fn advance(&mut self, bytes: &[u8], map: &mut HeadMap, limits: &FramingLimits) -> HeadStep {
        match self.lines(bytes, map, limits) {
            Ok(step) => step,
            Err(violation) => HeadStep::Refused(violation),
        }
    }

    /// How far line ends were searched for.
    #[cfg(test)]
    pub(super) fn searched(&self) -> usize {
        self.searched
    }

    fn lines(
        &mut self,
        bytes: &[u8],
        map: &mut HeadMap,
        limits: &FramingLimits,
    ) -> Result<HeadStep, Violation> {
        if self.line == 0 {
            match bytes.first() {
                // A TLS record of type handshake; no text begins with it.
                Some(0x16) => return Err(Violation::Tls),
                // A balancer that is not among the trusted proxies, mostly: its operator is to read what is wrong.
                Some(b'\r') if bytes.starts_with(V2_PREFACE) => return Err(Violation::PrefaceUnexpected),
                Some(b'\r') if V2_PREFACE.starts_with(bytes) => return Ok(HeadStep::More),
                // RFC 9112 section 2.2 asks for leniency towards old clients here; none of ours needs it, and an
                // empty line is what a body that is two bytes longer than declared leaves behind.
                Some(b'\r' | b'\n') => return Err(Violation::EmptyLine),
                _ => {}
            }
        }
        loop {
            let in_request_line = self.line == 0;
            let window = if in_request_line {
                limits.head_bytes_max.min(limits.target_bytes_max + LINE_AROUND_TARGET)
            } else {
                limits.head_bytes_max
            };
            let end = window.min(bytes.len());
            let stop = find_control(&bytes[..end], self.searched);
            let at = match stop {
                Some(at) if at + 1 < end || bytes[at] != b'\r' => at,
                partial => {
                    if end == window {
                        return Err(if in_request_line {
                            Violation::TargetTooLong
                        } else {
                            Violation::HeadTooLarge
                        });
                    }
                    self.searched = partial.unwrap_or(end);
                    return Ok(HeadStep::More);
                }
            };
            match (bytes[at], bytes.get(at + 1)) {
                (b'\r', Some(b'\n')) => {}
                (b'\r', _) => return Err(Violation::BareCr),
                (b'\n', _) => return Err(Violation::BareLf),
                _ => return Err(Violation::ControlByte),
            }
            let line = &bytes[self.line..at];
            if in_request_line {
                self.request_line(line, map, limits)?;
            } else if line.is_empty() {
                let body = self.body()?;
                map.expects_continue &= self.minor_version == 1;
                map.keeps_alive = self.keeps_alive();
                return Ok(HeadStep::Whole { end: at + 2, body, last: !map.keeps_alive });
            } else {
                self.headers += 1;
                if self.headers > limits.headers_max {
                    return Err(Violation::TooManyHeaders);
                }
                self.header_line(line, map, limits)?;
            }
            self.line = at + 2;
            self.searched = at + 2;
        }
    }

    fn request_line(
        &mut self,
        line: &[u8],
        map: &mut HeadMap,
        limits: &FramingLimits,
    ) -> Result<(), Violation> {
        let space = line.iter().take(METHOD_BYTES_MAX + 1).position(|&byte| byte == b' ');
        let Some(space) = space else {
            return Err(if line.contains(&b' ') { Violation::Method } else { Violation::RequestLine });
        };
        let (method, rest) = (&line[..space], &line[space + 1..]);
        if !is_token(method) {
            return Err(Violation::Method);
        }
        let (target, minor_version) = if let Some(target) = rest.strip_suffix(b" HTTP/1.1") {
            (target, 1)
        } else if let Some(target) = rest.strip_suffix(b" HTTP/1.0") {
            (target, 0)
        } else {
            return Err(malformed_line(method, rest));
        };
        if target.len() > limits.target_bytes_max {
            return Err(Violation::TargetTooLong);
        }
        if target.first() != Some(&b'/') || method == b"CONNECT" {
            return Err(match target.first() {
                None | Some(b' ') => Violation::RequestLine,
                _ => Violation::TargetForm,
            });
        }
        if !is_plain_target(target) {
            return Err(if target.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
                Violation::RequestLine
            } else if target.contains(&b'#') {
                Violation::Fragment
            } else {
                Violation::TargetByte
            });
        }
        self.minor_version = minor_version;
        self.bodyless_method = matches!(method, b"GET" | b"HEAD");
        map.begin(space, target.len(), minor_version);
        Ok(())
    }

    /// Whether another request may follow on the connection (RFC 9112 section 9.3).
    fn keeps_alive(&self) -> bool {
        !self.is_upgrade && !self.wants_close && (self.minor_version == 1 || self.wants_keep_alive)
    }

    fn header_line(
        &mut self,
        line: &[u8],
        map: &mut HeadMap,
        limits: &FramingLimits,
    ) -> Result<(), Violation> {
        let colon = name_length(line);
        match line.get(colon) {
            Some(b':') if colon > 0 => {}
            Some(b' ' | b'\t') if colon == 0 => return Err(Violation::ObsFold),
            Some(b' ' | b'\t') => return Err(Violation::HeaderSpace),
            Some(b'_') => return Err(Violation::HeaderUnderscore),
            Some(b':') | None => return Err(Violation::HeaderLine),
            Some(_) => return Err(Violation::HeaderName),
        }
        let (name, value) = line.split_at(colon);
        let value = &value[1..];
        map.add(self.line, colon, line.len());
        // By length first: most names are of none of these lengths.
        match colon {
            4 if is_name(name, "host") => {
                if self.has_host {
                    return Err(Violation::HostRepeated);
                }
                if !is_host(value.trim_ascii()) {
                    return Err(Violation::HostInvalid);
                }
                self.has_host = true;
            }
            6 if is_name(name, "expect") => {
                if !value.trim_ascii().eq_ignore_ascii_case(b"100-continue") {
                    return Err(Violation::Expect);
                }
                map.expects_continue = true;
            }
            7 if is_name(name, "upgrade") => {
                // Java's HttpClient asks every plain-text server for h2c unless told otherwise, and one of the client
                // libraries uses it as it comes. RFC 9110 section 7.8 lets a server ignore the wish; whoever means
                // it goes on in HTTP/2, so the connection ends with this answer.
                if !value.trim_ascii().eq_ignore_ascii_case(b"h2c") {
                    return Err(Violation::Upgrade);
                }
                self.is_upgrade = true;
            }
            10 if is_name(name, "connection") => {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    self.wants_close |= option.eq_ignore_ascii_case(b"close");
                    self.wants_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is_name(name, "content-length") => {
                if self.length.is_some() {
                    return Err(Violation::LengthRepeated);
                }
                self.length = Some(parse_length(framing_value(value), limits.body_bytes_max)?);
            }
            17 if is_name(name, "transfer-encoding") => {
                if self.minor_version == 0 {
                    return Err(Violation::CodingVersion);
                }
                if self.is_chunked || !framing_value(value).eq_ignore_ascii_case(b"chunked") {
                    return Err(Violation::Coding);
                }
                self.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn body(&self) -> Result<BodyFraming, Violation> {
        if self.is_chunked && self.length.is_some() {
            return Err(Violation::LengthAndCoding);
        }
        if !self.has_host && self.minor_version == 1 {
            return Err(Violation::HostMissing);
        }
        let body = if self.is_chunked {
            BodyFraming::Chunked
        } else {
            BodyFraming::Length(self.length.unwrap_or(0))
        };
        if self.bodyless_method && body != BodyFraming::Length(0) {
            return Err(Violation::BodyUnexpected);
        }
        Ok(body)
    }
}

/// The value of a header that frames: spaces before it are let pass, nothing else is, for tabs and trailing
/// whitespace are where parsers before and behind us differ.
fn framing_value(after_colon: &[u8]) -> &[u8] {
    let start = after_colon.iter().position(|&byte| byte != b' ').unwrap_or(after_colon.len());
    &after_colon[start..]
}

/// `Content-Length` as RFC 9110 section 8.6 writes it, without leading zeros, which some read as octal.
fn parse_length(text: &[u8], max: u32) -> Result<u32, Violation> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) || (text.len() > 1 && text[0] == b'0') {
        return Err(Violation::LengthInvalid);
    }
    let length = text
        .iter()
        .fold(0u64, |length, digit| length.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    u32::try_from(length).ok().filter(|&length| length <= max).ok_or(Violation::BodyTooLarge)
}

/// Says what a request line without ` HTTP/1.x` at its end rather is.
fn malformed_line(method: &[u8], rest: &[u8]) -> Violation {
    match method {
        b"PRI" if rest == b"* HTTP/2.0" => Violation::Http2Preface,
        b"PROXY" => Violation::PrefaceUnexpected,
        _ if rest.windows(6).any(|six| six.eq_ignore_ascii_case(b" HTTP/")) => Violation::Version,
        _ => Violation::RequestLine,
    }
}
