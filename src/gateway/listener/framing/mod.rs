//! Where each request of a connection begins and ends, decided strictly: what has two readings is refused.
//!
//! Servers differ in what they make of a `Content-Length` beside a `Transfer-Encoding`, of several equal lengths, of a line
//! that ends in LF alone; requests are smuggled through such differences (RFC 9112 section 11.2). [`Framing`] takes only
//! what has exactly one reading, and what it takes other parsers read in the same way (tests hold it against hyper and
//! httparse). It knows no sockets and no time.
//!
//! Start at [`Framing::head`].

mod chunked;
mod head;
mod map;
mod scan;
#[cfg(test)]
mod tests;

pub use self::map::{HeadMap, RequestHead};
use self::{
    chunked::Chunks,
    head::{BodyFraming, Head, HeadStep},
};
use super::{settings::FramingLimits, violation::Violation};

/// What stands at the place up to which a connection's bytes were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Nothing of a next request has arrived.
    Boundary,
    /// A head has begun and is not whole.
    Head,
    /// A body is not whole.
    Body,
    /// A violation, or the end of the last request that this connection may carry.
    End,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head(Head),
    Length { left: u32 },
    Chunked(Chunks),
    End,
}

/// The framing of one connection's requests.
#[derive(Debug)]
pub struct Framing {
    limits: FramingLimits,
    state: State,
    /// Whether a head has begun and is not whole.
    head_begun: bool,
    /// Whether nothing may follow the current request.
    last: bool,
}

impl Framing {
    /// Framing at the start of a connection.
    pub fn new(limits: FramingLimits) -> Self {
        Self { limits, state: State::Head(Head::default()), head_begun: false, last: false }
    }

    /// What comes next.
    pub fn position(&self) -> Position {
        match self.state {
            State::Head(_) if self.head_begun => Position::Head,
            State::Head(_) => Position::Boundary,
            State::Length { .. } | State::Chunked(_) => Position::Body,
            State::End => Position::End,
        }
    }

    /// Looks for a whole head at the start of `bytes`, and says how long it is; `None` where more has to come, after which
    /// `bytes` must hold the same and more. `map` is told where its parts stand.
    ///
    /// After a violation nothing more may be read: nobody can say where the next request begins. No head is found in the
    /// middle of a body, nor after the last request.
    pub fn head(&mut self, bytes: &[u8], map: &mut HeadMap) -> Result<Option<usize>, Violation> {
        let State::Head(head) = &mut self.state else { return Ok(None) };
        if bytes.is_empty() {
            return Ok(None);
        }
        match head.advance(bytes, map, &self.limits) {
            HeadStep::More => {
                self.head_begun = true;
                Ok(None)
            }
            HeadStep::Whole { end, body, last } => {
                self.head_begun = false;
                self.last = last;
                match body {
                    BodyFraming::Length(0) => self.next_request(),
                    BodyFraming::Length(left) => self.state = State::Length { left },
                    BodyFraming::Chunked => self.state = State::Chunked(Chunks::new()),
                }
                Ok(Some(end))
            }
            HeadStep::Refused(violation) => {
                self.end();
                Err(violation)
            }
        }
    }

    /// Takes what belongs to the current body from the start of `bytes`, and says how much that was. What the body holds,
    /// without its framing, is appended to `body`: at most `body_bytes_max` in all. Takes nothing where no body is
    /// awaited; the body is whole when [`position`](Self::position) says so.
    pub fn body(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Violation> {
        match &mut self.state {
            State::Length { left } => {
                let taken = (*left as usize).min(bytes.len());
                body.extend_from_slice(&bytes[..taken]);
                *left -= taken as u32;
                if *left == 0 {
                    self.next_request();
                }
                Ok(taken)
            }
            State::Chunked(chunks) => {
                let step = chunks.advance(bytes, self.limits.body_bytes_max, body);
                match step.ended {
                    Ok(true) => self.next_request(),
                    Ok(false) => {}
                    Err(violation) => {
                        self.end();
                        return Err(violation);
                    }
                }
                Ok(step.taken)
            }
            State::Head(_) | State::End => Ok(0),
        }
    }

    /// Nothing more may be read.
    pub(super) fn end(&mut self) {
        self.state = State::End;
    }

    fn next_request(&mut self) {
        self.state = if self.last { State::End } else { State::Head(Head::default()) };
    }
}
