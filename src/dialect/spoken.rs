//! Requests as tests write them: a request line, headers, an empty line, a body.

use super::fault::Fault;
use super::request::Request;
use crate::engine::facts::Facts;

/// The key under which tests hash sessions.
pub(super) const HASH_KEY: [u8; 32] = [7; 32];

/// A request as it is written down.
pub(super) struct Spoken<'t> {
    pub method: &'t str,
    pub target: &'t str,
    pub headers: Vec<(&'t str, &'t [u8])>,
    pub body: &'t [u8],
}

impl<'t> Spoken<'t> {
    /// Takes a text apart.
    pub fn of(text: &'t str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let header = |line: &'t str| {
            let (name, value) = line.split_once(':').unwrap();
            (name, value.as_bytes())
        };
        Self { method, target, headers: lines.map(header).collect(), body: body.as_bytes() }
    }

    /// Head and body, as the gateway reads them.
    pub fn read(&self) -> Result<Request<'t>, Fault> {
        let mut request = self.read_head()?;
        if request.awaits_body() {
            request.read_body(self.body)?;
        }
        Ok(request)
    }

    /// The head alone.
    pub fn read_head(&self) -> Result<Request<'t>, Fault> {
        Request::read(self.method, self.target, self.headers.iter().copied(), &HASH_KEY)
    }
}

/// The facts of a request from one place.
pub(super) fn facts<'r>(request: &'r Request<'_>) -> Facts<'r> {
    request.facts("203.0.113.7".parse().unwrap(), None)
}
