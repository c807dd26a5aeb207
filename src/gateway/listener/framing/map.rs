//! Where the parts of a head stand in its bytes, noted while they are looked at: nobody parses a head a second time.

use crate::base::header::is_name;

/// The places of one head's parts. Used again for the next head, whose places then stand in the same memory.
#[derive(Debug, Default)]
pub struct HeadMap {
    method_bytes: u32,
    target_bytes: u32,
    minor_version: u8,
    /// Whether the client waits for `100 Continue` before it sends a body (RFC 9110 section 10.1.1).
    pub(super) expects_continue: bool,
    /// Whether another request may follow on the connection.
    pub(super) keeps_alive: bool,
    lines: Vec<HeaderLine>,
}

/// One header line.
#[derive(Clone, Copy, Debug)]
struct HeaderLine {
    start: u32,
    colon: u32,
    end: u32,
}

impl HeaderLine {
    fn name(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.colon as usize).unwrap_or_default()
    }

    /// Without the whitespace around it (RFC 9110 section 5.5): mostly one space before it.
    fn value(self, bytes: &[u8]) -> &[u8] {
        let value = bytes.get(self.colon as usize + 1..self.end as usize).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match value {
            [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => value,
            _ => value.trim_ascii(),
        }
    }
}

impl HeadMap {
    /// Starts anew with a request line.
    pub(super) fn begin(&mut self, method_bytes: usize, target_bytes: usize, minor_version: u8) {
        // No cut: a head has at most `head_bytes_max` bytes.
        self.method_bytes = method_bytes as u32;
        self.target_bytes = target_bytes as u32;
        self.minor_version = minor_version;
        self.expects_continue = false;
        self.keeps_alive = false;
        self.lines.clear();
    }

    /// Notes a header line that begins at `start` and is so long, with its colon at `colon` of it.
    pub(super) fn add(&mut self, start: usize, colon: usize, length: usize) {
        let line =
            HeaderLine { start: start as u32, colon: (start + colon) as u32, end: (start + length) as u32 };
        self.lines.push(line);
    }
}

/// The head of a request that has exactly one reading: borrowed from the connection's bytes.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'c> {
    bytes: &'c [u8],
    map: &'c HeadMap,
}

impl<'c> RequestHead<'c> {
    /// The head in `bytes`, whose places `map` was told by [`Framing::head`](super::Framing::head).
    pub fn new(bytes: &'c [u8], map: &'c HeadMap) -> Self {
        Self { bytes, map }
    }

    /// The method: a token of at most 24 bytes, in the client's own letters.
    pub fn method(&self) -> &'c str {
        self.text(0, self.map.method_bytes as usize)
    }

    /// The target: a path that begins with `/`, and perhaps a query; printable ASCII.
    pub fn target(&self) -> &'c str {
        let start = self.map.method_bytes as usize + 1;
        self.text(start, start + self.map.target_bytes as usize)
    }

    /// The path, without the query.
    pub fn path(&self) -> &'c str {
        let target = self.target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// Whether the client speaks HTTP/1.0.
    pub(in crate::gateway::listener) fn is_http_1_0(&self) -> bool {
        self.map.minor_version == 0
    }

    /// Whether another request may follow on the connection, as far as the client is concerned.
    pub(in crate::gateway::listener) fn keeps_alive(&self) -> bool {
        self.map.keeps_alive
    }

    /// Whether the client waits for `100 Continue` before it sends a body.
    pub(in crate::gateway::listener) fn expects_continue(&self) -> bool {
        self.map.expects_continue
    }

    /// All header lines in the order in which they came: the name in the client's own letters, the value without the
    /// whitespace around it.
    pub fn headers(self) -> impl DoubleEndedIterator<Item = (&'c [u8], &'c [u8])> + use<'c> {
        self.map.lines.iter().map(move |line| (line.name(self.bytes), line.value(self.bytes)))
    }

    /// The values of all lines of a name, which is in lower case.
    pub fn values<'n>(self, name: &'n str) -> impl DoubleEndedIterator<Item = &'c [u8]> + use<'c, 'n> {
        // The length tells most lines apart, without a look at them.
        let lines =
            self.map.lines.iter().filter(move |line| (line.colon - line.start) as usize == name.len());
        lines.filter(move |line| is_name(line.name(self.bytes), name)).map(move |line| line.value(self.bytes))
    }

    /// The `User-Agent`; empty where there is none, or one that is not UTF-8.
    pub fn user_agent(&self) -> &'c str {
        self.values("user-agent").next().and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
    }

    /// Never the fallback: methods and targets are ASCII.
    fn text(&self, from: usize, to: usize) -> &'c str {
        self.bytes.get(from..to).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}
