//! Where each request of a connection begins and ends, decided strictly and before hyper sees a byte.
//!
//! hyper drops a `Content-Length` that stands beside a `Transfer-Encoding`, takes several equal lengths for one and
//! answers heads that it cannot parse with an empty body. [`Framing`] looks at the same bytes first and lets pass only
//! what has exactly one reading; whatever it lets pass hyper reads in the same way (a property test holds them against
//! each other). It knows no sockets and no time, and allocates nothing.
//!
//! Start at [`Framing::vet`].

mod chunked;
mod head;
mod scan;
#[cfg(test)]
mod tests;

use self::{
    chunked::Chunks,
    head::{BodyFraming, Head, HeadStep},
};
use super::{settings::FramingLimits, violation::Violation};

/// What stands at the place up to which a connection's bytes were vetted.
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

/// What may be passed on of the bytes that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vetted {
    /// So many bytes, from the start, are whole heads and bytes of bodies.
    ///
    /// What follows is nothing, the beginning of a head that must come again in front of the bytes that arrive
    /// next, or bytes that nobody may read.
    pub passed: usize,
    /// How many heads there are among them.
    pub heads: u32,
    /// What stands after them, where that is a violation.
    pub refused: Option<Refused>,
}

/// A violation, and whether the request that has it was already passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Of a head: nothing of the request was passed on.
    Head(Violation),
    /// Of the body of the last head passed on.
    Body(Violation),
}

impl Refused {
    /// What was found.
    pub fn violation(self) -> Violation {
        match self {
            Refused::Head(violation) | Refused::Body(violation) => violation,
        }
    }
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
    /// Whether a head has begun and was not passed on.
    head_begun: bool,
    /// Whether nothing may follow the current request.
    last: bool,
}

impl Framing {
    /// Framing at the start of a connection.
    pub fn new(limits: FramingLimits) -> Self {
        Self { limits, state: State::Head(Head::default()), head_begun: false, last: false }
    }

    /// Where the vetted bytes end.
    pub fn position(&self) -> Position {
        match self.state {
            State::Head(_) if self.head_begun => Position::Head,
            State::Head(_) => Position::Boundary,
            State::Length { .. } | State::Chunked(_) => Position::Body,
            State::End => Position::End,
        }
    }

    /// Looks at the next bytes of the connection and says how many of them may be passed on.
    ///
    /// `bytes` begins with what the last call did not pass, if that was a beginning head. The one thing that is ever
    /// changed in it is the name of an ignored `Upgrade` header, so that hyper ignores it too.
    pub fn vet(&mut self, bytes: &mut [u8]) -> Vetted {
        let mut vetted = Vetted { passed: 0, heads: 0, refused: None };
        while vetted.passed < bytes.len() {
            let rest = &mut bytes[vetted.passed..];
            match &mut self.state {
                State::Head(head) => match head.advance(rest, &self.limits) {
                    HeadStep::More => {
                        self.head_begun = true;
                        break;
                    }
                    HeadStep::Whole { end, body, last } => {
                        vetted.passed += end;
                        vetted.heads += 1;
                        self.head_begun = false;
                        self.last = last;
                        match body {
                            BodyFraming::Length(0) => self.next_request(),
                            BodyFraming::Length(left) => self.state = State::Length { left },
                            BodyFraming::Chunked => self.state = State::Chunked(Chunks::new()),
                        }
                    }
                    HeadStep::Refused(violation) => {
                        self.state = State::End;
                        vetted.refused = Some(Refused::Head(violation));
                    }
                },
                State::Length { left } => {
                    let taken = (*left as usize).min(rest.len());
                    vetted.passed += taken;
                    *left -= taken as u32;
                    if *left == 0 {
                        self.next_request();
                    }
                }
                State::Chunked(chunks) => {
                    let step = chunks.advance(rest, self.limits.body_bytes_max);
                    vetted.passed += step.taken;
                    match step.ended {
                        Ok(true) => self.next_request(),
                        Ok(false) => {}
                        Err(violation) => {
                            self.state = State::End;
                            vetted.refused = Some(Refused::Body(violation));
                        }
                    }
                }
                State::End => break,
            }
        }
        vetted
    }

    fn next_request(&mut self) {
        self.state = if self.last { State::End } else { State::Head(Head::default()) };
    }
}
